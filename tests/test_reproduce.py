"""`zoo reproduce`: experiments trained anew beside what they promise."""

import json
import signal
import subprocess
import sys
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
    assert reproduce.cells(row) == ("digits_lenet", "test/acc 0.9 to 1", "0.9200 ± 0.0424 (n = 2)", "1.5", "PASS")
    assert reproduce.judged("digits_lenet", "LeNet", [line(0.89)], 1.5).verdict == MISSED
    assert reproduce.judged("mine", "", [line(0.89, {})], 1.5).verdict == "promises nothing"
    page = reproduce.markdown([row]).splitlines()
    assert page[2] == "| `digits_lenet` | LeNet | test/acc 0.9 to 1 | 0.9200 ± 0.0424 (n = 2) | 1.5 | PASS |"


def test_an_experiment_is_trained_and_judged(told: Told) -> None:
    code, out, err = told("reproduce", "xor_mlp", "--seeds", "2", "--json")
    assert code == 0 and "1/1: xor_mlp" in err
    (row,) = json.loads(out)
    assert row["verdict"] == "PASS" and row["values"] == [1.0, 1.0] and row["promised"] == [1.0, 1.0]
    assert 0 < row["minutes"] < 2
    assert len(list(Path("runs/xor_mlp").iterdir())) == 2, "the runs stay where train.py puts them"


def test_what_fails_or_misses_ends_with_one(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [
        (3, "", "error: no such data"),
        (-9, "", "epoch 1/9"),
        (0, json.dumps(line(0.1)) + "\n", "figure: x.png"),
    ]
    monkeypatch.setattr(reproduce, "train", lambda command: answers.pop(0))
    code, out, _ = told("reproduce", "mnist_mlp", "mnist_fast", "DIGITS_LENET")
    rows = out.splitlines()
    assert code == 1 and rows[1].endswith("  no such data"), "in words"
    assert rows[2].endswith("  exit code -9: epoch 1/9") and rows[3].endswith("  MISSED")


def test_data_that_is_missing_is_named_in_the_table(
    told: Told, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_DATA_DIR", str(tmp_path / "empty"))
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    code, out, err = told("reproduce", "mnist_mlp", "--json")
    (row,) = json.loads(out)
    assert code == 1 and "train-images-idx3-ubyte is not there" in row["verdict"] and row["verdict"] in err


def test_a_run_is_passed_on_line_by_line(capsys: pytest.CaptureFixture[str]) -> None:
    program = "import sys; print('{}'); print('one', file=sys.stderr); print('two', file=sys.stderr)"
    assert reproduce.train([sys.executable, "-c", program]) == (0, "{}\n", "two")
    assert capsys.readouterr().err == "one\ntwo\n"


SAVES = """
import signal, sys, time
def save(signum, frame):
    print("saved", file=sys.stderr)
    sys.exit(128 + signum)
signal.signal(signal.SIGTERM, save)
print("trains", file=sys.stderr, flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_passed_on_and_what_is_finished_is_told(tmp_path: Path, signum: signal.Signals) -> None:
    """A first experiment is done, a second is being trained: it may save, and nothing is left behind."""
    program = f"""
from zoo import reproduce, shell
given = [reproduce.train, lambda command: (3, "", "error: no such data")]
program = {SAVES!r}
def train(command):
    return given.pop()([command[0], "-c", program])
reproduce.train = train
shell.main(["reproduce", "mnist_mlp", "mnist_fast"])
"""
    run = subprocess.Popen(
        [sys.executable, "-c", program], cwd=tmp_path, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert run.stdout and run.stderr
    while run.stderr.readline() != "trains\n":
        assert run.poll() is None
    run.send_signal(signum)
    out, err = run.communicate(timeout=30)
    assert run.returncode == 128 + signum and err == f"saved\nstopped by {signum.name}\n"
    assert "mnist_mlp" in out and "no such data" in out and "mnist_fast" not in out


def test_those_of_a_lecture() -> None:
    assert {"xor_mlp", "recall_rnn"} <= set(reproduce.named([], "cyprus", False)) < set(reproduce.named([], None, True))
    assert reproduce.named(["xor_mlp", "xor_mlp"], None, False) == ["xor_mlp"]
