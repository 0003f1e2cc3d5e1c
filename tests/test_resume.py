"""Stopped anywhere and continued, a run ends with the bits of the run that was never stopped."""

import csv
import functools
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import ROOT, WAIVED
from test_pictures import write_tree, zipped

from zoo.callbacks import SafeCheckpointIO
from zoo.checkpoint import read_checkpoint
from zoo.data.text import TextSet
from zoo.errors import CheckpointError, NumericError, Stopped
from zoo.module import ZooModule

Train = Callable[..., dict[str, Any]]
QUIET = ["figures=false", "logger=csv", "trainer.progress=false"]

# 1,071 training digits in batches of 100: 11 steps an epoch, 33 in all; dropout, momentum, schedule, moments.
RUNS = {
    "convnet": ["model=lenet", "data=digits", "model.dropout=0.5", "optimizer=adam", "optimizer.schedule=linear",
                "optimizer.warmup=0.2", "data.batch_size=100", "trainer.max_epochs=3"],
    "momentum": ["model=mlp", "data=digits", "model.dropout=0.2", "optimizer=sgd", "optimizer.momentum=0.9",
                 "data.batch_size=100", "trainer.max_epochs=3", "trainer.select=best"],
    "running means": ["model=fast_convnet", "data=digits", "model.label_smoothing=0.1", "optimizer=rmsprop",
                      "data.batch_size=100", "trainer.max_epochs=3", "trainer.log_every_n_steps=4"],
    "rare validation": ["model=mlp", "data=digits", "data.batch_size=100", "optimizer=adadelta", "trainer.max_epochs=3",
                        "trainer.val_every_n_epochs=2"],
    "repeated passes": ["model=mlp", "data=pass_class", "data.batch_size=100", "data.repeat=2", "optimizer=adagrad",
                        "trainer.max_epochs=3", "trainer.max_steps=33"],
    "carried state": ["model=char_rnn", "model.num_layers=2", "model.hidden_size=16", "model.dropout=0.3", "data=text",
                      f"data.path={ROOT / 'LICENSE'}", "data.batch_size=4", "data.sequence_length=23", "optimizer=adam",
                      "trainer.gradient_clip_norm=1", "trainer.max_epochs=3"],
    "attention": ["model=char_transformer", "model.num_layers=1", "model.hidden_size=16", "model.dropout=0.3",
                  "model.attention_dropout=0.1", "model.implementation=reference", "data=text",
                  f"data.path={ROOT / 'LICENSE'}", "data.batch_size=4", "data.sequence_length=23", "optimizer=adamw",
                  "trainer.precision=bf16-mixed", "trainer.max_epochs=3"],
    "phases": ["model=autoencoder_classifier", "model.hidden_sizes=[20,10]", "model.pretraining_epochs=1",
               "model.dropout=0.2", "data=digits", "data.standardise=false", "data.batch_size=100", "optimizer=adam",
               "optimizer.schedule=linear", "optimizer.weight_decay=0.1", "trainer.max_epochs=3"],
    "phases with few items": ["model=few_labels", "model.hidden_sizes=[10]", "model.labels=[20,110]",
                              "model.pretraining_epochs=1", "data=digits", "data.standardise=false",
                              "data.batch_size=100", "optimizer=adam", "optimizer.fused=true", "trainer.max_epochs=3"],
    "own steps": ["model=word2vec", "data=pydoc_words", "data.batch_size=22", "model.embedding_dim=8", "optimizer=sgd",
                  "optimizer.schedule=linear", "trainer.max_epochs=3"],
}  # fmt: skip
PICTURES = ["model=mlp", "data=image_folder", "data.root=pets.zip", "data.image_size=16", "data.lighting=0.1",
            "data.batch_size=6", "optimizer=adam", "trainer.max_epochs=3"]  # fmt: skip
RUNS["pictures in memory"] = [*PICTURES, "data.crop=padded"]
RUNS["pictures from files"] = [*PICTURES, "data.held=false", "data.num_workers=0"]


@pytest.fixture(autouse=True)
def pictures(tmp_path: Path) -> None:
    """81 of noise, of which 66 are for training."""
    zipped(write_tree(tmp_path / "pets", each=27), tmp_path / "pets.zip")


@pytest.fixture(autouse=True)
def short_reports(monkeypatch: pytest.MonkeyPatch) -> None:
    """Writing the 400 characters after each validation takes longer than all the training here: ten do."""
    monkeypatch.setattr(TextSet, "report", lambda self, network, seed: self.sample(network, seed, 10))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """`whole("convnet")`: where that run lies, never stopped; trained once for all that is compared with it."""
    from zoo.config import compose_settings
    from zoo.train import run

    @functools.cache
    def trained(name: str) -> str:
        folder = str(tmp_path_factory.mktemp("whole") / "run")
        run(compose_settings([*RUNS[name], *QUIET, f"run_dir={folder}"]))
        return folder

    return trained


def outcome(folder: str) -> tuple[dict[str, Any], dict[str, Any], list[dict[str, str]]]:
    """Everything that training leaves: both checkpoints and the metrics, without the time that they took."""
    last, best = (read_checkpoint(Path(folder) / "checkpoints" / name) for name in ("last.ckpt", "best.ckpt"))
    with open(Path(folder) / "metrics.csv", newline="") as file:
        rows = [{name: text for name, text in row.items() if name != "seconds"} for row in csv.DictReader(file)]
    return last, best, rows


def assert_same(one: Any, two: Any, where: str = "") -> None:
    """Bit for bit, through nested containers."""
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, two), where
    elif isinstance(one, dict):
        assert one.keys() == two.keys(), where
        for key in one:
            assert_same(one[key], two[key], f"{where}.{key}")
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(two), where
        for i, (a, b) in enumerate(zip(one, two, strict=True)):
            assert_same(a, b, f"{where}[{i}]")
    else:
        assert one == two, where


LEARNT = ("state_dict", "optimizer_states", "lr_schedulers", "global_step", "epoch", "zoo")


def assert_same_outcome(one: str, two: str) -> None:
    for a, b in zip(outcome(one)[:2], outcome(two)[:2], strict=True):
        assert_same({k: a[k] for k in LEARNT if k in a}, {k: b[k] for k in LEARNT if k in b})
    assert outcome(one)[2] == outcome(two)[2]


class Killed(BaseException):
    """Stands for SIGKILL: nothing is saved, nothing cleaned up."""


def at_step(step: int, action: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Do something before the batch of this global step."""
    start = ZooModule.on_train_batch_start

    def watched(self: ZooModule, batch: Any, batch_idx: int) -> None:
        start(self, batch, batch_idx)
        if self.global_step == step:
            action()

    monkeypatch.setattr(ZooModule, "on_train_batch_start", watched)


@pytest.mark.parametrize("name", sorted(RUNS))
def test_killed_anywhere_it_ends_with_the_same_bits(
    name: str, train: Train, whole: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    overrides = [*RUNS[name], *QUIET, "trainer.checkpoint_every_n_steps=4"]
    assert outcome(whole(name))[0]["global_step"] == 33 or name == "repeated passes"

    def kill() -> None:
        raise Killed

    for kills in ([1], [3, 7], [10, 11], [12], [16, 21], [22, 32], [4, 8, 20]):
        folder = f"killed{'_'.join(map(str, kills))}"
        for step in kills:
            with monkeypatch.context() as patch:
                at_step(step, kill, patch)
                go_on = ["ckpt_path=last"] if Path(folder).exists() else []
                with pytest.raises(Killed):
                    train(*overrides, f"run_dir={folder}", *go_on)
        train(*overrides, f"run_dir={folder}", "ckpt_path=last")
        assert_same_outcome(whole(name), folder)


def test_other_workers_and_another_cache_change_nothing(train: Train, whole: Callable[[str], str]) -> None:
    run = [*RUNS["pictures from files"], *QUIET, "run_dir=run"]
    train(*run, "trainer.max_steps=5")
    train(*run, "ckpt_path=last", "data.num_workers=1", "data.cache=elsewhere")
    assert_same(*(outcome(folder)[0]["state_dict"] for folder in ("run", whole("pictures from files"))))


@pytest.mark.parametrize("name", ["carried state", "momentum", "phases", "rare validation"])
@pytest.mark.parametrize(("signum", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_saves_says_where_and_loses_no_step(
    name: str, signum: int, code: int, train: Train, whole: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    overrides = [*RUNS[name], *QUIET]
    handler = signal.getsignal(signum)
    for step in (
        0,
        5,
        10,
        11,
        32,
    ):  # the first, one in the middle, an epoch's last, the next one's first, the very last
        folder = f"stopped{step}"
        with monkeypatch.context() as patch:
            at_step(step, lambda: os.kill(os.getpid(), signum), patch)
            with pytest.raises(
                Stopped, match=rf"at step {step + 1}, saved as {folder}/checkpoints/last.ckpt"
            ) as caught:
                train(*overrides, f"run_dir={folder}")
        assert caught.value.exit_code == code
        assert read_checkpoint(f"{folder}/checkpoints/last.ckpt")["global_step"] == step + 1
        train(*overrides, f"run_dir={folder}", "ckpt_path=last")
        assert_same_outcome(whole(name), folder)
    assert signal.getsignal(signum) == handler  # given back


def test_early_stopping_remembers_what_it_saw(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    overrides = ["model=mlp", "data=digits", "optimizer=adam", "optimizer.lr=0.03", "data.batch_size=100", *QUIET,
                 "trainer.early_stopping_patience=2", "trainer.max_epochs=50"]  # fmt: skip
    train(*overrides, "run_dir=whole")
    steps = outcome("whole")[0]["global_step"]
    assert steps < 50 * 11
    for step in (steps - 12, steps - 11, steps - 5):
        with monkeypatch.context() as patch:
            at_step(step, lambda: os.kill(os.getpid(), signal.SIGTERM), patch)
            with pytest.raises(Stopped):
                train(*overrides, f"run_dir=stopped{step}")
        train(*overrides, f"run_dir=stopped{step}", "ckpt_path=last")
        assert_same_outcome("whole", f"stopped{step}")


@pytest.mark.parametrize("name", ["momentum", "rare validation"])
def test_a_finished_run_is_taken_further(name: str, train: Train, whole: Callable[[str], str]) -> None:
    train(*RUNS[name], *QUIET, "run_dir=further", "trainer.max_epochs=2")
    train(*RUNS[name], *QUIET, "run_dir=further", "ckpt_path=last")
    assert_same_outcome(whole(name), "further")


@pytest.mark.parametrize(
    "name", ["momentum", "rare validation", "running means", "carried state", "phases with few items"]
)
@pytest.mark.parametrize("steps", [1, 5, 11, 15, 32])
def test_a_run_cut_short_by_max_steps_is_taken_further(
    name: str, steps: int, train: Train, whole: Callable[[str], str]
) -> None:
    train(*RUNS[name], *QUIET, "run_dir=further", f"trainer.max_steps={steps}")
    train(*RUNS[name], *QUIET, "run_dir=further", "ckpt_path=last")
    for a, b in zip(outcome(whole(name))[:2], outcome("further")[:2], strict=True):
        assert_same(a["state_dict"], b["state_dict"])
    assert_same(outcome(whole(name))[0]["optimizer_states"], outcome("further")[0]["optimizer_states"])


def test_a_signal_while_the_end_is_saved_is_answered(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    import zoo.callbacks

    keep = zoo.callbacks.keep_last_as_best

    def interrupted(last: Path, best: Path) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        keep(last, best)

    monkeypatch.setattr(zoo.callbacks, "keep_last_as_best", interrupted)
    with pytest.raises(Stopped, match="at step 33"):
        train(*RUNS["convnet"], *QUIET, "run_dir=run")


def test_killed_between_a_checkpoint_and_its_metrics(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    overrides = ["model=mlp", "data=digits", "data.batch_size=100", "trainer.max_epochs=1", "logger=csv"]
    train(*overrides, "run_dir=whole")
    save = SafeCheckpointIO.save_checkpoint

    def killed_after(self: SafeCheckpointIO, *arguments: Any, **options: Any) -> None:
        save(self, *arguments, **options)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(SafeCheckpointIO, "save_checkpoint", killed_after)
        with pytest.raises(Killed):
            train(*overrides, "run_dir=killed")
    train(*overrides, "run_dir=killed", "ckpt_path=last")  # with its figures, drawn from the metrics
    assert_same_outcome("whole", "killed")


def test_killed_between_the_last_save_and_the_result(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    overrides = [*RUNS["convnet"], *QUIET]
    whole = train(*overrides, "run_dir=whole")
    for lost in (["result.json"], ["result.json", "checkpoints/best.ckpt"]):
        for name in lost:
            (Path("whole") / name).unlink()
        again = train(*overrides, "run_dir=whole", "ckpt_path=last")
        assert again["metrics"] == whole["metrics"]


def test_last_is_the_newest_unfinished_run(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    overrides = ["experiment=xor_mlp", *QUIET]
    with monkeypatch.context() as patch:
        at_step(20, lambda: os.kill(os.getpid(), signal.SIGTERM), patch)
        with pytest.raises(Stopped):
            train(*overrides)
    train(*overrides, "seed=5")  # a later run that was finished
    (unfinished,) = [p for p in Path("runs/xor_mlp").iterdir() if not (p / "result.json").exists()]
    assert train(*overrides, "ckpt_path=last")["checkpoint"].startswith(str(unfinished))
    with pytest.raises(CheckpointError, match="no unfinished run in runs/xor_mlp"):
        train(*overrides, "ckpt_path=last")


def test_only_the_same_run_is_continued(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    overrides = [*RUNS["convnet"], *QUIET, "run_dir=run"]
    with monkeypatch.context() as patch:
        at_step(15, lambda: os.kill(os.getpid(), signal.SIGTERM), patch)
        with pytest.raises(Stopped):
            train(*overrides)
    for change, words in (
        ("seed=1", "was trained with seed=0, this command says seed=1"),
        ("model.dropout=0.1", "was trained with dropout=0.5, this command says dropout=0.1"),
        ("optimizer.lr=0.5", "was trained with lr=0.001"),
        ("data.batch_size=50", "was trained with batch_size=100"),
        ("trainer.gradient_clip_norm=1", "was trained with gradient_clip_norm=None"),
        ("trainer.precision=64-true", "was trained with precision=32-true"),
    ):
        with pytest.raises(CheckpointError, match=words):
            train(*overrides, change, "ckpt_path=last")
    same, last = overrides[:-1], "run/checkpoints/last.ckpt"
    shutil.copy(last, "copy.ckpt")
    for wrong, words in (
        (["ckpt_path=copy.ckpt"], "is continued in its own run directory only"),
        ([f"ckpt_path={last}", "run_dir=other"], "is continued in its own run directory only"),
        (["ckpt_path=last", "run_dir=other"], "run_dir=other holds no run"),
        (["ckpt_path=other.ckpt"], "cannot read checkpoint other.ckpt"),
    ):
        with pytest.raises(CheckpointError, match=words):
            train(*same, *wrong)
    train(*same, f"ckpt_path={last}")
    with pytest.raises(CheckpointError, match="best.ckpt holds weights only"):
        train(*same, "ckpt_path=run/checkpoints/best.ckpt")


def test_a_damaged_checkpoint_is_not_continued(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    overrides = [*RUNS["convnet"], *QUIET, "run_dir=run"]
    at_step(15, lambda: os.kill(os.getpid(), signal.SIGTERM), monkeypatch)
    with pytest.raises(Stopped):
        train(*overrides)
    path = Path("run/checkpoints/last.ckpt")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="last.ckpt is damaged"):
        train(*overrides, "ckpt_path=last")


def test_a_run_that_turned_into_no_number_keeps_its_last_good_checkpoint(
    train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoil(self: ZooModule, batch: Any, batch_idx: int) -> None:
        if self.global_step == 15:
            with torch.no_grad():
                next(self.network.parameters()).fill_(float("nan"))

    monkeypatch.setattr(ZooModule, "on_train_batch_start", spoil)
    with pytest.raises(NumericError, match="the loss is nan at step 16"):
        train(*RUNS["convnet"], *QUIET, "run_dir=run")
    assert read_checkpoint("run/checkpoints/last.ckpt")["global_step"] == 11


LONG = ["model=lenet", "data=digits", "model.dropout=0.5", "trainer.max_epochs=8", "data.batch_size=16",
        "trainer.checkpoint_every_n_steps=10", "trainer.threads=1", *QUIET]  # fmt: skip


def started(folder: Path, *more: str, before: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    """The command in a new process; before it stands what is to start it."""
    command = [sys.executable, "-W", "error", *WAIVED, str(ROOT / "train.py"), *LONG, "run_dir=run", *more]
    return subprocess.Popen([*before, *command], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(path: Path, process: subprocess.Popen[str], newer_than: float = 0.0) -> None:
    """Until the file is there, and newer."""
    while not (path.exists() and path.stat().st_mtime > newer_than):
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.01)


def test_three_sigkills_and_a_sigterm_of_real_processes(tmp_path: Path, train: Train) -> None:
    dice = random.Random(int.from_bytes(os.urandom(4), "little"))
    train(*LONG, "run_dir=whole")
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    for attempt in range(4):
        process = started(tmp_path, *(["ckpt_path=last"] if attempt else []))
        wait_for(last, process, newer_than=time.time())
        time.sleep(dice.uniform(0, 0.3))
        process.send_signal(signal.SIGKILL if attempt < 3 else signal.SIGTERM)
        output, errors = process.communicate()
        assert process.returncode == (-9 if attempt < 3 else 143), errors
        assert output == ""
    assert errors.count("\n") == 1 and "stopped by SIGTERM at step" in errors and "run/checkpoints/last.ckpt" in errors
    final = started(tmp_path, "ckpt_path=last")
    assert "error" not in final.communicate()[1] and final.returncode == 0
    assert_same_outcome("whole", "run")


def test_ctrl_c_before_training_is_one_line(tmp_path: Path) -> None:
    process = started(tmp_path)
    wait_for(tmp_path / "run" / "config.yaml", process)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()
    assert process.returncode == 130
    assert errors.count("\n") == 1 and "stopped by SIGINT" in errors


def test_a_full_disk_is_one_line_and_code_six(tmp_path: Path) -> None:
    limit = "resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))"
    code = f"import os, resource, sys; {limit}; os.execv(sys.argv[1], sys.argv[1:])"
    process = started(tmp_path, before=(sys.executable, "-c", code))
    _, errors = process.communicate()
    assert process.returncode == 6, errors
    assert errors.count("\n") == 1
    assert errors.startswith("error: cannot write run/checkpoints/last.ckpt: File too large")
    assert not list(tmp_path.rglob("*.ckpt"))
