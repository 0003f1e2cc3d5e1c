"""`-m`: every combination is trained once, whatever stops it, and the table says what came out."""

import json
import os
import signal
import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import zoo
import zoo.curves
import zoo.sweep
from zoo.errors import ConfigError, NumericError, Stopped
from zoo.launchers import Launcher, check_name
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


SMALL = ["experiment=xor_mlp", "trainer.max_steps=3", "figures=false", "logger=csv"]
JOBLIB = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]
side_by_side = pytest.mark.xdist_group("side_by_side")  # in one process of pytest, which starts joblib's only once


def sweep_in(folder: Path, overrides: list[str]) -> Path:
    """The folder of the one sweep that is trained there."""
    folder.mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        sweep(overrides)
    (base,) = (folder / "runs" / "sweeps").iterdir()
    return base


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder for what joblib trains here: its processes live on and stay where they were started."""
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    from joblib.externals.loky import get_reusable_executor

    folder = tmp_path_factory.mktemp("together")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield folder
    get_reusable_executor().shutdown()


def same(one: Path, other: Path) -> bool:
    """Whether two runs have come to the same weights and metrics."""
    results = [json.loads((run / "result.json").read_text()) for run in (one, other)]
    states = [zoo.load(run).state_dict() for run in (one, other)]
    return results[0]["metrics"] == results[1]["metrics"] and all(
        torch.equal(value, states[1][name]) for name, value in states[0].items()
    )


def leftovers(folder: Path) -> list[Path]:
    """What Hydra would leave by itself, and what says that a sweep is being trained."""
    names = ("multirun", "outputs", ".hydra", "launched")
    return [path for path in folder.rglob("*") if path.name in names]


@side_by_side
def test_joblib_trains_what_the_serial_sweep_trains(
    together: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    serial = sweep_in(tmp_path, [*SMALL, "seed=1,2"])
    capsys.readouterr()
    sweep([*JOBLIB, *SMALL, "seed=1,2"])
    assert [json.loads(line)["seed"] for line in capsys.readouterr().out.splitlines()] == [1, 2]
    base = together / "runs" / "sweeps" / serial.name  # the same, so either goes on with what the other has begun
    assert (base / "table.txt").read_text() == (serial / "table.txt").read_text()
    for run in ("0001", "0002"):
        assert same(*serial.glob(f"{run}_*"), *base.glob(f"{run}_*"))
    assert leftovers(together) == []
    sweep([*JOBLIB, *SMALL, "seed=1,2"])
    done = capsys.readouterr()
    assert done.out == "" and done.err.count("done before") == 2


@side_by_side
def test_a_setting_that_diverges_beside_others_is_a_result(together: Path, capsys: pytest.CaptureFixture[str]) -> None:
    overrides = ["model=mlp", "data=digits", "optimizer=sgd", "optimizer.lr=1e30,0.1", "trainer.max_epochs=1",
                 "figures=false", "logger=csv"]  # fmt: skip
    with pytest.raises(NumericError, match="1 of 2 runs ended with numbers that are not finite"):
        sweep([*JOBLIB, *overrides])
    shown = capsys.readouterr()
    assert ["failed" in json.loads(line) for line in shown.out.splitlines()] == [True, False]
    assert "1 of 1 failed" in shown.err and "optimizer.lr=0.1" in shown.err


@side_by_side
def test_sigterm_saves_all_that_are_trained_and_the_same_command_goes_on(together: Path) -> None:
    overrides = [*JOBLIB, "model=mlp", "data=digits", "trainer.max_epochs=20", "figures=false", "logger=csv"]

    def stop_once_training() -> None:
        until = time.monotonic() + 60
        while time.monotonic() < until and not list(together.rglob("*seed_[789]*/checkpoints/last.ckpt")):
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGTERM)

    stopping = threading.Thread(target=stop_once_training)
    stopping.start()
    with pytest.raises(Stopped, match="stopped by SIGTERM; the same command goes on") as stopped:
        sweep([*overrides, "seed=7,8,9"])
    stopping.join()
    assert stopped.value.exit_code == 143
    begun = {path.parent.name[:4]: path.parent for path in together.rglob("*seed_[789]*/config.yaml")}
    assert begun and set(begun) <= {"0001", "0002"}  # what waited has not begun
    assert leftovers(together) == [] and not list(together.rglob("*seed_[789]*/result.json"))
    sweep([*overrides, "seed=7,8,9"])
    assert len(list(together.rglob("*seed_[789]*/result.json"))) == 3
    for run in begun.values():
        epochs = [line.split(",")[0] for line in (run / "metrics.csv").read_text().splitlines()[1:]]
        assert len(epochs) == len(set(epochs)) == 20


def test_submitit_trains_the_same_in_a_process_of_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    serial = sweep_in(tmp_path / "serial", [*SMALL, "seed=1"])
    capsys.readouterr()
    base = sweep_in(tmp_path / "submitit", [*SMALL, "seed=1", "hydra/launcher=submitit_local"])
    assert json.loads(capsys.readouterr().out)["seed"] == 1
    assert same(*serial.glob("0001_*"), *base.glob("0001_*"))
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (
            ["hydra/launcher=joblob"],
            r"hydra/launcher 'joblob' \(did you mean 'joblib'\?\); valid: basic, joblib, ",
        ),
        (
            ["hydra/launcher=joblib", "hydra.launcher.n_job=2"],
            r"key 'hydra.launcher.n_job' \(did you mean 'n_jobs'",
        ),
        (["hydra/launcher=joblib", "hydra.launcher.n_jobs=two"], "hydra.launcher.n_jobs: Value 'two'"),
        (["hydra/launcher=joblib", "hydra.launcher.n_jobs=0"], "hydra.launcher.n_jobs: n_jobs == 0"),
        (["hydra/launcher=joblib,basic"], "a sweep has one launcher"),
        (["hydra.launcher.n_jobs=2"], "of which launcher"),
        (["hydra/launcher=joblib", "+hydra.launcher.x={_target_:os.mkdir,path:made}"], "not what makes it"),
        (["hydra/lancher=joblib"], "a sweep takes hydra/launcher=NAME"),
    ],
)
def test_a_launcher_that_does_not_fit_is_one_line(
    overrides: list[str], words: str, trained: list[list[str]], tmp_path: Path
) -> None:
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    with pytest.raises(ConfigError, match=words) as error:
        sweep([*SMALL, "seed=1,2", *overrides])
    assert "\n" not in str(error.value)
    assert trained == [] and list(tmp_path.iterdir()) == []


def test_a_launcher_that_is_not_installed_is_named_with_the_command_that_installs_it() -> None:
    with pytest.raises(ConfigError, match="pip install hydra-submitit-launcher"):
        check_name(["hydra/launcher=submitit_slurm"], ["basic", "joblib"])


def test_runs_side_by_side_share_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("joblib", "submitit"):
        pytest.importorskip(f"hydra_plugins.hydra_{name}_launcher")
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    two = Launcher(JOBLIB, Path("runs"))
    assert [two.threads(runs) for runs in (1, 2, 100)] == [8, 4, 4]
    cluster = "hydra/launcher=submitit_slurm"
    assert Launcher([cluster], Path("runs")).threads(2) is None
    assert Launcher([cluster, "hydra.launcher.cpus_per_task=3"], Path("runs")).threads(2) == 3
