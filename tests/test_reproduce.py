"""`zoo reproduce`: experiments trained anew beside what they promise."""

import json
import subprocess
from pathlib import Path

import pytest
from conftest import Told

from zoo import reproduce
from zoo.reproduce import MISSED, PASS, Row


def line(value: float, expect: dict[str, list[float]] | None = None) -> dict[str, object]:
    return {"metrics": {"test/acc": value}, "expect": {"test/acc": [0.9, 1.0]} if expect is None else expect}


def test_the_mean_of_the_seeds_keeps_the_promise_or_not() -> None:
    row = reproduce.judged("digits_lenet", "LeNet", [line(0.89), line(0.95)], 1.5)
    assert row == Row("digits_lenet", "LeNet", "test/acc", (0.9, 1.0), [0.89, 0.95], PASS, 1.5)
    assert reproduce.cells(row) == ("digits_lenet", "test/acc 0.9 to 1", "0.9200 ± 0.0424 (n = 2)", "PASS", "1.5")
    assert reproduce.judged("digits_lenet", "LeNet", [line(0.89)], 1.5).verdict == MISSED
    assert reproduce.judged("mine", "", [line(0.89, {})], 1.5).verdict == "promises nothing"
    page = reproduce.markdown([row]).splitlines()
    assert page[2] == "| `digits_lenet` | LeNet | test/acc 0.9 to 1 | 0.9200 ± 0.0424 (n = 2) | PASS | 1.5 |"


def test_an_experiment_is_trained_and_judged(told: Told) -> None:
    code, out, err = told("reproduce", "xor_mlp", "--seeds", "2", "--json")
    assert code == 0 and "1/1: xor_mlp" in err
    (row,) = json.loads(out)
    assert row["verdict"] == "PASS" and row["values"] == [1.0, 1.0] and row["promised"] == [1.0, 1.0]
    assert 0 < row["minutes"] < 2
    assert len(list(Path("runs/xor_mlp").iterdir())) == 2, "the runs stay where train.py puts them"


def test_what_fails_or_misses_ends_with_one(
    told: Told,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers = [subprocess.CompletedProcess([], 3, ""), subprocess.CompletedProcess([], 0, json.dumps(line(0.1)) + "\n")]
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: answers.pop(0))
    code, out, _ = told("reproduce", "mnist_mlp", "digits_lenet")
    assert code == 1
    assert "exit code 3" in out.splitlines()[1] and "MISSED" in out.splitlines()[2]


def test_those_of_a_lecture() -> None:
    assert {"xor_mlp", "recall_rnn"} <= set(reproduce.named([], "cyprus", False)) < set(reproduce.named([], None, True))
    assert reproduce.named(["xor_mlp", "xor_mlp"], None, False) == ["xor_mlp"]
