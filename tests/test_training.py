"""Whole runs: every experiment takes real steps, every option does what it says, the results are written."""

import csv
import gc
import json
import math
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from conftest import FOUND_PICTURES, ROOT, RUNNABLE

import zoo
from zoo.checkpoint import read_checkpoint
from zoo.data.cifar10 import CIFAR10
from zoo.data.multi30k import Multi30k
from zoo.errors import ConfigError, NumericError, OutputError
from zoo.loggers import MetricsCSV
from zoo.phases import Plan
from zoo.registry import build, load_all

Train = Callable[..., dict[str, Any]]


# Those on ImageNet, in tests/test_cifar10.py.
@pytest.mark.parametrize("name", [name for name in RUNNABLE if not name.values[0].startswith("imagenet")])
def test_every_experiment_takes_real_steps(name: str, train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    # Reading the last tenth of Shakespeare as one stream takes 512 neurons half a minute.
    small = ["model.hidden_size=48"] if name.startswith("shakespeare") else []
    if name == "english_svd":  # of all words it takes half a minute
        small = ["data.max_vocab_size=3000"]
    if name.startswith("cifar10"):
        small = [f"data.cache={FOUND_PICTURES}"]
    if name.endswith("_gpu"):
        small += ["trainer=cpu", "data.batch_size=8"]
    few(Multi30k, 20, monkeypatch)  # an untrained network writes a thousand translations up to their limits
    few(CIFAR10, 200, monkeypatch)
    result = train(f"experiment={name}", "trainer.max_steps=3", "run_dir=run", *small)
    saved = read_checkpoint("run/checkpoints/last.ckpt")
    torch.manual_seed(0)
    network = zoo.create(saved["zoo"]["model"], **saved["zoo"]["arguments"])
    assert saved["global_step"] == (1 if getattr(network, "takes_all_at_once", False) else 3)
    fixed = {key for key, _ in network.named_buffers() if key == "positions.table"}  # sinusoids
    if name == "mackey_glass_esn":  # its reservoir is as it was drawn
        fixed = {key for key, _ in network.named_buffers()}
    moved = network.state_dict().keys() - fixed
    if hasattr(network, "phases"):
        Plan(network, 1, 1000).enter(0)
        moved = {key for key, parameter in network.named_parameters() if parameter.requires_grad}
    still = {  # what stands still there is what is promised: before a step (U04), below a dozen sigmoids (C18)
        "break_step_units": ("weight1", "bias1"),
        "break_sigmoid_depth": tuple(f"layers.{i}." for i in range(15)),
    }.get(name, ())
    for key, start in network.state_dict().items():
        if not key.startswith(still):
            assert torch.equal(start, saved["state_dict"][f"network.{key}"]) != (key in moved), key
    assert result["experiment"] == name and result["expect"]
    assert all(metric in result["metrics"] for metric in result["expect"])
    assert [Path(path).exists() for path in result["figures"]] == [True] * len(result["figures"]) != []


def few(cls: type, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a data set load so many items for validation and test only, evenly out of all."""
    load = cls.load

    def load_few(data: Any) -> None:
        load(data)
        chosen = slice(None, None, len(data.test[0]) // count)
        data.val, data.test = (tuple(side[chosen] for side in part) for part in (data.val, data.test))
        if hasattr(data, "references"):
            data.references = data.references[chosen]

    monkeypatch.setattr(cls, "load", load_few)


def test_a_run_leaves_what_the_readme_says(train: Train, capsys: pytest.CaptureFixture[str]) -> None:
    result = train("experiment=xor_mlp", "seed=3")
    assert result["pass"] and result["metrics"]["test/acc"] == 1.0 and result["seed"] == 3
    folder = Path(result["checkpoint"]).parent.parent
    assert folder.parent == Path("runs/xor_mlp")
    assert json.loads((folder / "result.json").read_text()) == result
    assert set(result["seconds"]) == {"setup", "fit", "test", "figures"}
    assert yaml.safe_load((folder / "config.yaml").read_text())["seed"] == 3
    with open(folder / "metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == list(range(15, 151, 15))
    assert {"train/loss", "train/acc", "val/loss", "val/acc"} <= set(rows[0])
    seconds = [float(row["seconds"]) for row in rows]
    assert seconds == sorted(seconds) and 0 < seconds[0] < seconds[-1] <= result["seconds"]["fit"]
    assert list((folder / "tensorboard").iterdir())
    assert "PASS: test/acc is 1.0000" in capsys.readouterr().err
    net = zoo.load(str(folder))
    assert (net(torch.tensor([[0.0, 0], [0, 1], [1, 0], [1, 1]]))[:, 0] > 0).tolist() == [False, True, True, False]
    assert net.card["data"] == "xor" and net.card["metrics"]["val/acc"] == 1.0
    assert not [path for path in folder.rglob("*") if "=" in path.name]


def test_the_seconds_of_a_continued_run_go_on(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text("step,epoch,seconds,val/loss\n5,1,7.5,0.3\n10,2,15,0.2\n")
    metrics = MetricsCSV(tmp_path / "metrics.csv", first_step=5)
    metrics.log_metrics({"epoch": 2, "val/loss": 0.25}, 10)
    assert list(metrics.rows) == [5, 10]
    assert 7.5 < metrics.rows[10]["seconds"] < 8.5


def test_result_of_a_run_is_what_its_checkpoint_gives(train: Train) -> None:
    result = train("trainer.max_epochs=2", "figures=false")
    from zoo.registry import build

    data = build("data", "digits", {"batch_size": 32})
    data.load()
    with torch.no_grad():
        metrics = zoo.load(result["checkpoint"]).loss(data.test)
    assert float(metrics["acc"]) == pytest.approx(result["metrics"]["test/acc"], abs=1e-6)
    assert float(metrics["loss"]) == pytest.approx(result["metrics"]["test/loss"], abs=1e-5)


def test_a_missed_promise_is_said(train: Train, capsys: pytest.CaptureFixture[str]) -> None:
    result = train("experiment=xor_mlp", "trainer.max_steps=1", "figures=false")
    assert result["pass"] is False
    assert "MISSED: test/acc" in capsys.readouterr().err


FAST = ["model=mlp", "data=digits", "figures=false", "trainer.max_epochs=2", "logger=csv"]


def test_without_a_promise_nothing_is_said_to_be_kept(train: Train) -> None:
    result = train(*FAST)
    assert result["pass"] is None and result["experiment"] == "mlp_on_digits"


def test_max_steps_in_the_first_epoch_ends_well(train: Train) -> None:
    for select in ("last", "best"):
        train(*FAST, "trainer.max_steps=3", f"trainer.select={select}", f"run_dir={select}")
        assert read_checkpoint(f"{select}/checkpoints/best.ckpt")["global_step"] == 3


def test_what_a_run_leaves_behind_can_be_collected_after_it(train: Train) -> None:
    """Of several in a process, as in a sweep, only the first puts what there is beyond the collector's reach."""
    train(*FAST, "trainer.max_steps=1")
    frozen = gc.get_freeze_count()
    train(*FAST, "trainer.max_steps=1")
    assert 0 < gc.get_freeze_count() <= frozen


def test_many_networks_on_the_lectures_question(train: Train) -> None:
    result = train("model=many_mlps", "data=pass_class", "trainer.max_epochs=1", "model.num_copies=3")
    assert "test/solved" in result["metrics"] and result["figures"]


@pytest.mark.parametrize("name", sorted(load_all()["optimizer"]))
def test_every_optimizer_lowers_the_loss(name: str, train: Train) -> None:
    train(*FAST, f"optimizer={name}", "run_dir=run")
    with open("run/metrics.csv", newline="") as file:
        losses = [float(row["train/loss"]) for row in csv.DictReader(file)]
    assert losses[1] < losses[0] < math.log(10) + 0.1


@pytest.mark.parametrize("activation", ["linear", "sigmoid", "tanh", "relu", "step"])
def test_every_activation_by_override(activation: str, train: Train) -> None:
    result = train(*FAST, f"model.activation={activation}")
    assert result["metrics"]["test/acc"] > 0.3


@pytest.mark.parametrize("precision", ["bf16-mixed", "bf16-true", "64-true"])
def test_every_precision_by_override(precision: str, train: Train) -> None:
    result = train("experiment=pass_class_mlp", f"trainer.precision={precision}", "trainer.max_epochs=2")
    assert "test/p(4,5)" in result["metrics"]
    result = train(*FAST, "optimizer=adam", "figures=true", f"trainer.precision={precision}", "run_dir=run")
    assert result["metrics"]["test/acc"] > 0.8 and result["metrics"]["train/loss"] > 0.1
    assert zoo.load("run")(torch.zeros(2, 1, 28, 28)).isfinite().all()
    for cell in ("rnn", "gru", "lstm"):  # whose state is carried from batch to batch
        text = ["model=char_rnn", "model.hidden_size=16", "data=text", f"data.path={ROOT / 'LICENSE'}", "logger=csv"]
        drawn = f"figures={str(cell == 'lstm').lower()}"  # the cell with two states
        result = train(*text, f"model.cell={cell}", f"trainer.precision={precision}", "trainer.max_epochs=2", drawn)
        assert 0 < result["metrics"]["test/loss"] < 5
    given = [
        "model=char_transformer",
        "model.position=sinusoidal",
        "model.hidden_size=16",
        "model.num_layers=1",
        *text[2:],
    ]
    result = train(*given, f"trainer.precision={precision}", "trainer.max_epochs=2", "run_dir=attention")
    data = build("data", "text", {"path": str(ROOT / "LICENSE")})
    data.load()
    with torch.no_grad():
        again = zoo.load("attention").loss((data.test[0][None, :-1], data.test[0][None, 1:]))["loss"]
    assert float(again) == pytest.approx(result["metrics"]["test/loss"], rel=1e-6 if precision == "64-true" else 0.02)


def test_gradients_are_clipped(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    norms = []
    step = torch.optim.SGD.step

    def watched(self: torch.optim.SGD, closure: Any = None) -> Any:
        result = step(self, closure)
        norms.append(math.sqrt(sum(float(p.grad.square().sum()) for p in self.param_groups[0]["params"])))
        return result

    monkeypatch.setattr(torch.optim.SGD, "step", watched)
    train(*FAST, "optimizer=sgd", "trainer.gradient_clip_norm=0.01", "trainer.max_steps=5")
    assert len(norms) == 5 and all(norm <= 0.0101 for norm in norms)


def test_early_stopping_stops_early(train: Train) -> None:
    train(*FAST[:3], "logger=csv", "trainer.max_epochs=50", "trainer.early_stopping_patience=2", "optimizer=adam",
          "optimizer.lr=0.03", "run_dir=run")  # fmt: skip
    with open("run/metrics.csv", newline="") as file:
        losses = [float(row["val/loss"]) for row in csv.DictReader(file)]
    assert len(losses) < 50
    assert losses.index(min(losses)) == len(losses) - 3


def test_the_best_epoch_by_validation_is_kept_where_wanted(train: Train) -> None:
    arguments = [*FAST[:3], "logger=csv", "trainer.max_epochs=6", "optimizer=adam", "optimizer.lr=0.1"]
    train(*arguments, "trainer.select=best", "trainer.monitor=val/acc", "run_dir=run")
    with open("run/metrics.csv", newline="") as file:
        accuracies = [float(row["val/acc"]) for row in csv.DictReader(file)]
    assert read_checkpoint("run/checkpoints/best.ckpt")["zoo"]["metrics"]["val/acc"] == pytest.approx(max(accuracies))
    assert read_checkpoint("run/checkpoints/best.ckpt")["epoch"] == accuracies.index(max(accuracies))


def test_the_schedule_sets_the_learning_rate_of_each_step(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    rates = []
    step = torch.optim.SGD.step

    def watched(self: torch.optim.SGD, closure: Any = None) -> Any:
        rates.append(self.param_groups[0]["lr"])
        return step(self, closure)

    monkeypatch.setattr(torch.optim.SGD, "step", watched)
    train("model=mlp", "data=xor", "data.repeat=10", "optimizer=sgd", "optimizer.lr=1", "optimizer.schedule=linear",
          "trainer.max_epochs=1", "figures=false", "logger=csv")  # fmt: skip
    assert rates == pytest.approx([1 - i / 10 for i in range(10)])


def test_pretrained_starts_from_the_weights_of_another_run(train: Train) -> None:
    train("model=mlp", "data=xor", "figures=false", "logger=csv", "run_dir=one", "trainer.max_steps=2")
    train("model=mlp", "data=xor", "figures=false", "logger=csv", "run_dir=two", "trainer.max_steps=1",
          "pretrained=one/checkpoints/best.ckpt", "optimizer=sgd", "optimizer.lr=1e-30")  # fmt: skip
    one, two = (read_checkpoint(f"{name}/checkpoints/best.ckpt")["state_dict"] for name in ("one", "two"))
    assert all(torch.equal(one[key], two[key]) for key in one)


def test_same_seed_same_weights_other_seed_others(train: Train) -> None:
    weights = []
    for seed, name in ((0, "a"), (0, "b"), (1, "c")):
        other = ["trainer.progress=false", "logger=csv"] if name == "b" else []
        train("trainer.max_steps=20", "figures=false", f"seed={seed}", f"run_dir={name}", *other)
        weights.append(read_checkpoint(f"{name}/checkpoints/last.ckpt")["state_dict"])
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])
    assert not any(torch.equal(weights[0][key], weights[2][key]) for key in weights[0])


def test_two_runs_of_one_second_get_two_folders(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.strftime", lambda form: "2026-01-01_00-00-00")
    folders = {train("experiment=xor_mlp", "trainer.max_steps=1", "figures=false")["checkpoint"] for _ in range(3)}
    assert len(folders) == 3


def test_a_folder_that_holds_a_run_is_not_written_over(train: Train) -> None:
    train("experiment=xor_mlp", "trainer.max_steps=1", "figures=false", "run_dir=run")
    with pytest.raises(OutputError, match="run_dir=run holds a run"):
        train("experiment=xor_mlp", "trainer.max_steps=1", "figures=false", "run_dir=run")


def test_a_loss_that_is_no_number_stops_the_run_and_is_not_saved(train: Train) -> None:
    with pytest.raises(NumericError, match=r"the loss is (nan|inf) at step \d+; try a smaller optimizer.lr"):
        train("optimizer=sgd", "optimizer.lr=1e20", "figures=false", "run_dir=run")
    for path in Path("run").rglob("*.ckpt"):
        assert all(value.isfinite().all() for value in read_checkpoint(path)["state_dict"].values())
    assert not Path("run/result.json").exists()


def test_weights_that_are_no_number_are_not_saved_even_where_no_loss_told(train: Train) -> None:
    """The very last step spoils the weights, after the last loss was looked at."""
    with pytest.raises(NumericError):
        train("model=mlp", "data=xor", "optimizer=sgd", "optimizer.lr=1e38", "trainer.max_steps=1", "figures=false",
              "model.activation=linear", "optimizer.weight_decay=1e38", "run_dir=run")  # fmt: skip
    assert list(Path("run").rglob("*.ckpt")) == []


def test_a_logger_that_is_not_installed_is_named(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == "wandb" else find(name, *more))
    with pytest.raises(ConfigError, match="logger=wandb needs the package wandb"):
        train("experiment=xor_mlp", "logger=wandb")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # theirs, of libraries below them
@pytest.mark.parametrize("name", ["wandb", "mlflow"])
def test_the_other_loggers_where_installed(name: str, train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip(name, reason=f"{name} is an extra: pip install -e '.[{name}]'")
    monkeypatch.setenv("WANDB_MODE", "offline")
    train("experiment=xor_mlp", f"logger={name}", "trainer.max_steps=3", "figures=false", "run_dir=run")
    assert list(Path("run").glob("wandb/*" if name == "wandb" else "mlflow.db"))


def test_the_command_prints_one_line_of_json(shell: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    done = shell("experiment=xor_mlp")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["pass"] is True and done.stdout.count("\n") == 1
    assert "PASS: test/acc is 1.0000" in done.stderr
    assert "Warning" not in done.stderr
