"""`-m`: every combination is trained once, whatever stops it, and the table says what came out."""

import json
import statistics
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import zoo.curves
import zoo.sweep
from zoo.errors import ConfigError, NumericError, Stopped
from zoo.sweep import sweep, table

SWEEP = ["experiment=xor_mlp", "seed=1,2,3", "optimizer.lr=0.1,1e-9", "figures=false", "logger=csv"]


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Which runs were trained, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    seen: list[list[str]] = []
    run = zoo.sweep.run

    def watched(settings: Any) -> dict[str, Any]:
        seen.append(settings.overrides)
        if len(seen) == 3:
            raise Stopped(15, "stopped")
        return run(settings)

    monkeypatch.setattr(zoo.sweep, "run", watched)
    return seen


def test_a_sweep_goes_on_where_it_was_stopped_and_ends_with_a_table(
    trained: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(Stopped):
        sweep(SWEEP)
    assert len(trained) == 3
    sweep(SWEEP)
    assert len(trained) == 3 + 4  # the third again and the three after it
    assert len({tuple(overrides) for overrides in trained}) == 6
    out, err = capsys.readouterr()
    assert len([json.loads(line) for line in out.splitlines()]) == 6
    lines = [line.split() for line in err.splitlines() if line.startswith("optimizer.lr=")]
    shown = {line[0]: line for line in lines}
    good, bad = shown["optimizer.lr=0.1"], shown["optimizer.lr=1e-09"]
    assert good[-5:] == ["1.0000", "0.0000", "1.0000", "1.0000", "3"]
    assert bad[-1] == "3" and float(bad[-5]) < 1
    before = len(trained)
    sweep(SWEEP)
    assert len(trained) == before
    assert "done before" in capsys.readouterr().err
    assert not [path for path in Path("runs").rglob("*") if "=" in path.name]


def test_the_table_is_mean_and_deviation_over_the_seeds() -> None:
    accuracies = [0.9, 0.95, 0.97, 0.5]
    jobs = [[f"seed={seed}", "optimizer=sgd"] for seed in range(3)] + [["seed=0", "optimizer=adam"]]
    results = [{"experiment": "x", "expect": {}, "metrics": {"test/acc": value}} for value in accuracies]
    first, second = (line.split() for line in table(jobs, results).splitlines()[1:])
    mean, deviation = statistics.mean(accuracies[:3]), statistics.stdev(accuracies[:3])
    assert first == ["optimizer=sgd", "test/acc", f"{mean:.4f}", f"{deviation:.4f}", "0.9000", "0.9700", "3"]
    assert second == ["optimizer=adam", "test/acc", "0.5000", "nan", "0.5000", "0.5000", "1"]


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["seed=1,2", "run_dir=x"], "run_dir has no place in a sweep"),
        (["seed=1,2", "ckpt_path=last"], "ckpt_path has no place in a sweep"),
        (["seed=1,2", "optimizer=adam,sdg"], "unknown optimizer 'sdg'"),
        (["model.dropout=0.1,1.5"], "dropout must lie in"),
    ],
)
def test_no_run_begins_where_one_of_them_is_wrong(
    overrides: list[str], words: str, trained: list[list[str]], tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=words):
        sweep(overrides)
    assert trained == [] and list(tmp_path.iterdir()) == []


def test_a_setting_that_diverges_is_a_line_of_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    overrides = ["model=mlp", "data=digits", "optimizer=sgd", "optimizer.lr=1e30,0.1", "trainer.max_epochs=1",
                 "figures=false", "logger=csv"]  # fmt: skip
    for _ in range(2):
        with pytest.raises(NumericError, match="1 of 2 runs ended with numbers that are not finite"):
            sweep(overrides)
        shown = capsys.readouterr().err
        assert "optimizer.lr=1e+30" in shown and "1 of 1 failed" in shown and "optimizer.lr=0.1" in shown


def test_the_runs_are_compared_in_one_figure_of_each_kind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    drawn: dict[str, dict[str, Any]] = {}
    draw = zoo.curves.draw_curves

    def watched(name: str, curves: dict[str, Any], title: str) -> Any:
        drawn[name] = curves
        return draw(name, curves, title)

    monkeypatch.setattr(zoo.curves, "draw_curves", watched)
    small = ["data.gaps=[1,4]", "data.train_size=100", "model.hidden_size=4", "trainer.max_epochs=2", "logger=csv"]
    sweep(["experiment=recall_rnn,recall_gru", *small])
    assert set(drawn) == {"validation_loss", "validation_loss_by_time", "gradient_by_lag", "accuracy_by_gap"}
    for curves in drawn.values():
        assert set(curves) == {"recall_rnn", "recall_gru"}
    assert [gap for gap, _ in drawn["accuracy_by_gap"]["recall_gru"]] == [1, 4]
    assert len(drawn["validation_loss"]["recall_rnn"]) == 2 and len(drawn["gradient_by_lag"]["recall_rnn"]) == 7
    (base,) = Path("runs/sweeps").iterdir()
    assert {path.stem for path in base.glob("*.png")} == set(drawn)
    assert "accuracy_by_gap.png" in capsys.readouterr().err


def test_several_values_without_m_are_refused(shell: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    done = shell("seed=1,2")
    assert done.returncode == 2 and "name 2 runs; add -m" in done.stderr
