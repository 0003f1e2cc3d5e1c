"""Several processes learn what one learns with the same batches, and end together, however one of them ends."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import ROOT, WAIVED

from zoo import fit  # noqa: F401  (Lightning is imported once, for all processes that are forked from this one)
from zoo.checkpoint import read_checkpoint
from zoo.checks import check_processes
from zoo.config import Settings, TrainerConfig, compose_settings
from zoo.data.dataset import Batches, Share
from zoo.errors import ConfigError, NumericError, Stopped, ZooError
from zoo.module import ZooModule
from zoo.processes import place
from zoo.train import run
from zoo.workers import End, failure, free_port

Train = Callable[..., dict[str, Any]]

DDP = ["trainer=ddp", "trainer.accelerator=cpu", "figures=false", "logger=csv", "trainer.progress=false"]
ALONE = [*DDP, "trainer.devices=1"]
# 1,071 training digits: ten batches of 107 and one of a single digit, of which the second process has none.
MLP = ["model=mlp", "data=digits", "data.batch_size=107", "optimizer=sgd", "optimizer.lr=0.05",
       "optimizer.momentum=0.9", "optimizer.schedule=linear"]  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def part(settings: Settings, variables: dict[str, str], end: Any, before: Callable[[], None]) -> None:
    """One process, as torchrun or srun would start it."""
    os.environ |= variables
    try:
        before()
        end.send((0, run(settings)))
    except ZooError as error:
        end.send((error.exit_code, str(error)))
    except BaseException:
        end.send((1, traceback.format_exc()))


def torchrun(rank: int, processes: int) -> dict[str, str]:
    return {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(processes)}


def srun(rank: int, processes: int) -> dict[str, str]:
    names = {"SLURM_PROCID": rank, "SLURM_LOCALID": rank, "SLURM_NTASKS": processes, "SLURM_NODEID": 0,
             "SLURM_NTASKS_PER_NODE": processes, "SLURM_NNODES": 1, "SLURM_NODELIST": "127.0.0.1"}  # fmt: skip
    return {name: str(value) for name, value in names.items()}


def together(
    *overrides: str, starter: Callable[[int, int], dict[str, str]] = torchrun, before: Callable[[], None] = lambda: None
) -> list[tuple[int, Any]]:
    """Exit code and result or error of each process; forked, which spares each the imports."""
    settings = compose_settings([*DDP, *overrides])
    meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    context = multiprocessing.get_context("fork")
    ends, processes = [], []
    for rank in range(settings.trainer.devices):
        ours, theirs = context.Pipe()
        variables = starter(rank, settings.trainer.devices) | meeting
        processes.append(context.Process(target=part, args=(settings, variables, theirs, before)))
        processes[-1].start()
        theirs.close()
        ends.append(ours)
    try:
        return [end.recv() if end.poll(60) else (-1, "silent") for end in ends]
    finally:
        for process in processes:
            process.join(5)
            process.kill()


def succeeded(ends: list[tuple[int, Any]]) -> dict[str, Any]:
    assert [code for code, _ in ends] == [0] * len(ends), ends
    assert all(result == {} for _, result in ends[1:])
    return ends[0][1]


def last(run_dir: str) -> dict[str, Any]:
    return read_checkpoint(Path(run_dir) / "checkpoints" / "last.ckpt")


def assert_same_weights(one: str, two: str, tolerance: float) -> None:
    ours, theirs = last(one), last(two)
    assert ours["global_step"] == theirs["global_step"]
    for name, value in ours["state_dict"].items():
        torch.testing.assert_close(value, theirs["state_dict"][name], atol=tolerance, rtol=0, msg=name)


def rows(run_dir: str) -> list[list[float]]:
    """metrics.csv without its column of seconds."""
    header, *lines = (Path(run_dir) / "metrics.csv").read_text().splitlines()
    kept = [i for i, name in enumerate(header.split(",")) if name != "seconds"]
    return [[float(line.split(",")[i] or 0) for i in kept] for line in lines]


def flat(table: list[list[float]]) -> list[float]:
    return [value for row in table for value in row]


@pytest.mark.parametrize("processes", [2, 3])
def test_every_item_is_served_once(processes: int) -> None:
    items = torch.arange(23)
    for size in (4, 5, 7, 11, 22, 23, 50):
        for seed in (None, 3):
            whole = list(Batches((items,), size, seed))
            parts = [list(Batches((items,), size, seed, share=Share(r, processes))) for r in range(processes)]
            assert {len(part) for part in parts} == {len(whole)}
            for (batch,), *shares in zip(whole, *parts, strict=True):
                assert sorted(torch.cat([share for (share,) in shares]).tolist()) == sorted(batch.tolist())


def test_a_hundred_steps_of_two_processes_are_those_of_one(train: Train, folder: Path) -> None:
    """Also in what is written of them; and when one of them is stopped in the midst of an epoch, and all with it."""

    def stop_the_second() -> None:
        start = ZooModule.training_step

        def stopped(self: ZooModule, batch: Any, batch_idx: int) -> torch.Tensor:
            if self.share.rank and self.global_step == 60:
                os.kill(os.getpid(), signal.SIGTERM)
            return start(self, batch, batch_idx)

        ZooModule.training_step = stopped  # in the forked process only

    # In double precision, in which what is not the same sum shows.
    exact = [*MLP, "trainer.precision=64-true", "trainer.max_epochs=10", "trainer.max_steps=100"]
    alone = train(*ALONE, *exact, "run_dir=alone")
    ends = together(*exact, "run_dir=two", before=stop_the_second)
    said = "stopped by SIGTERM at step 61, saved as two/checkpoints/last.ckpt; the same command with ckpt_path=last"
    assert ends == [(143, f"{said} continues")] * 2
    result = succeeded(together(*exact, "run_dir=two", "ckpt_path=last"))
    assert_same_weights("alone", "two", 1e-12)
    assert result["metrics"] == pytest.approx(alone["metrics"], abs=1e-6)
    assert flat(rows("two")) == pytest.approx(flat(rows("alone")), abs=1e-6)
    assert result["machine"]["processes"] == 2
    assert json.loads((folder / "two" / "result.json").read_text()) == result
    assert not (folder / "runs").exists()


def test_in_single_precision_under_srun_and_with_early_stopping(train: Train, folder: Path) -> None:
    stopping = [*MLP, "trainer.max_epochs=40", "trainer.early_stopping_patience=2", "optimizer.lr=0.02"]
    train(*ALONE, *stopping, "run_dir=alone")
    succeeded(together(*stopping, "run_dir=two", starter=srun))
    assert last("two")["global_step"] < 40 * 11
    assert_same_weights("alone", "two", 1e-5)


def test_a_hundred_steps_in_single_precision(train: Train, folder: Path) -> None:
    short = [*MLP, "optimizer.lr=0.01", "trainer.max_epochs=10", "trainer.max_steps=100"]
    train(*ALONE, *short, "run_dir=alone")
    succeeded(together(*short, "run_dir=two"))
    assert_same_weights("alone", "two", 1e-6)


def test_each_process_drops_out_other_neurons(folder: Path) -> None:
    def tell_draws() -> None:
        step = ZooModule.training_step

        def watched(self: ZooModule, batch: Any, batch_idx: int) -> torch.Tensor:
            state = torch.get_rng_state()
            Path(f"draw{self.share.rank}_{self.global_step}").write_text(str(torch.rand(3).tolist()))
            torch.set_rng_state(state)
            return step(self, batch, batch_idx)

        ZooModule.training_step = watched  # in the forked process only

    dropout = [*MLP, "model.dropout=0.5", "trainer.max_epochs=1", "trainer.max_steps=2", "run_dir=two"]
    succeeded(together(*dropout, before=tell_draws))
    draws = [Path(f"draw{rank}_{step}").read_text() for rank in (0, 1) for step in (0, 1)]
    assert len(set(draws)) == 4


def test_a_process_that_has_lost_the_others_is_not_to_blame(folder: Path) -> None:
    victim = End(1, "failed with RuntimeError: [/gloo/transport/tcp/pair.cc:5] Connection closed by peer", "one\n")
    guilty = End(1, "failed with ValueError: no", "two\n")
    error = failure({0: victim, 1: guilty}, 2, [], folder)
    assert str(error) == "process 2 of 2 failed with ValueError: no; nothing was saved yet"
    assert "process 1 of 2 was killed by SIGKILL" in str(failure({1: victim, 0: End(-9)}, 2, [], folder))


def test_a_loss_that_is_no_number_in_one_ends_all_with_the_same_error(folder: Path) -> None:
    def spoil_the_second() -> None:
        start = ZooModule.training_step

        def spoilt(self: ZooModule, batch: Any, batch_idx: int) -> torch.Tensor:
            loss = start(self, batch, batch_idx)
            return loss * float("nan") if self.share.rank and self.global_step == 3 else loss

        ZooModule.training_step = spoilt

    ends = together(*MLP, "trainer.max_epochs=1", "run_dir=two", before=spoil_the_second)
    assert {code for code, _ in ends} == {NumericError.exit_code}
    assert all(text.startswith("the loss is nan at step 4") for _, text in ends)


# --- the processes that `trainer=ddp` starts itself ---------------------------------------------------------------

LONG = [*DDP, "model=lenet", "data=digits", "data.batch_size=16", "trainer.max_epochs=500", "run_dir=long",
        "trainer.checkpoint_every_n_steps=10"]  # fmt: skip


def children(pid: int) -> list[int]:
    command = ["ps", "-ww", "--ppid", str(pid), "-o", "pid=,args="]  # ww: however long the lines are
    found = subprocess.run(command, capture_output=True, text=True).stdout
    return [int(line.split()[0]) for line in found.splitlines() if "zoo.workers" in line]


def running(pid: int) -> bool:
    """Whether a process is there, and not only waits to be asked for its exit code."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def assert_gone(pids: list[int], within: float = 10) -> None:
    until = time.monotonic() + within
    while left := [pid for pid in pids if running(pid)]:
        assert time.monotonic() < until, f"still there: {left}"
        time.sleep(0.02)


@pytest.fixture
def killed_run(folder: Path) -> Iterator[tuple[int, str, list[int]]]:
    """A run whose second process was killed: exit code, stderr, and the processes that there were."""
    command = [sys.executable, "-W", "error", *WAIVED, str(ROOT / "train.py"), *LONG]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            wait_for(folder / "long" / "checkpoints" / "last.ckpt", process)
            workers = children(process.pid)
            os.kill(workers[1], signal.SIGKILL)
            killed = time.monotonic()
            output, errors = process.communicate(timeout=20)
            assert time.monotonic() - killed < 10
            assert output == ""
            yield process.returncode, errors, workers
        finally:
            process.kill()  # or what has gone wrong above would wait for its end


def wait_for(path: Path, process: subprocess.Popen[str] | None = None, newer_than: float = 0.0) -> None:
    until = time.monotonic() + 100
    while not (path.exists() and path.stat().st_mtime > newer_than):
        assert time.monotonic() < until and (process is None or process.poll() is None)
        time.sleep(0.02)


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc and ps for processes")
def test_killed_or_stopped_all_of_them_end(killed_run: tuple[int, str, list[int]], train: Train, folder: Path) -> None:
    code, errors, workers = killed_run
    assert len(workers) == 2
    assert code == 7
    assert errors == (
        "error: process 2 of 2 was killed by SIGKILL; long/checkpoints/last.ckpt is what was saved, "
        "ckpt_path=last continues\n"
    )
    assert_gone(workers)

    saved, saved_at = folder / "long" / "checkpoints" / "last.ckpt", time.time()

    def stop_when_training() -> None:
        wait_for(saved, newer_than=saved_at)
        os.kill(os.getpid(), signal.SIGTERM)

    stopper = threading.Thread(target=stop_when_training)
    stopper.start()
    with pytest.raises(Stopped, match=r"stopped by SIGTERM at step \d+, saved as long/checkpoints/last.ckpt") as caught:
        train(*LONG, "ckpt_path=last")
    stopper.join()
    assert caught.value.exit_code == 143
    assert f"at step {last('long')['global_step']}," in str(caught.value)
    assert children(os.getpid()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc and ps for processes")
def test_without_the_parent_none_of_them_goes_on(folder: Path) -> None:
    parent = multiprocessing.get_context("fork").Process(target=run, args=(compose_settings(LONG),))
    parent.start()
    until = time.monotonic() + 60
    while len(workers := children(parent.pid or 0)) < 2:
        assert time.monotonic() < until
        time.sleep(0.02)
    parent.kill()
    parent.join()
    assert_gone(workers)


# --- what cannot be split -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["model=char_rnn", "data=text", f"data.path={ROOT / 'LICENSE'}"], "batches of data=text cannot be split"),
        (["model=word2vec", "data=pydoc_words", "optimizer=sgd"], "cannot be split"),
        (["experiment=digits_sda"], "model=autoencoder_classifier is trained in phases, which cannot be split"),
        (["model=mlp", "data=xor", "data.batch_size=1"], "data.batch_size=1 is shared by 2 processes"),
        (["model=mlp", "data=digits", "trainer.num_nodes=2"], "num_nodes=2: start .* by srun or torchrun, 2 on each"),
    ],
)
def test_what_cannot_be_split_is_one_line_before_anything_starts(
    overrides: list[str], words: str, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subprocess, "Popen", None)
    with pytest.raises(ConfigError, match=words):
        train(*DDP, *overrides, "run_dir=run")
    assert not Path("run").exists()


@pytest.mark.parametrize("trait", ["update", "carries_state", "takes_all_at_once", "phases"])
def test_a_network_that_cannot_be_split(trait: str) -> None:
    settings = compose_settings([*DDP, "experiment=xor_mlp"])
    network = torch.nn.Linear(1, 1)
    setattr(network, trait, True)
    with pytest.raises(ConfigError, match="trainer.devices=2: model=mlp .*, which cannot be split; use trainer=auto"):
        check_processes(network, SimpleSet(), settings)


class SimpleSet:
    batch_size = 2

    def batches(self, part: str, share: Share) -> None: ...


def test_the_place_among_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def place_of(variables: dict[str, str], **trainer: int) -> Any:
        with monkeypatch.context() as patch:
            for name, value in variables.items():
                patch.setenv(name, value)
            return place(TrainerConfig(**trainer))

    assert place_of({}) is None and place_of({}, devices=4) is None
    slurm = srun(5, 8) | {"SLURM_LOCALID": "1"}
    assert place_of(slurm, devices=4, num_nodes=2) == (5, 1, 8, "srun")
    assert place_of(slurm) is None  # a single process within a larger allocation
    assert place_of(slurm | {"SLURM_JOB_NAME": "bash"}, devices=4) is None
    assert place_of(torchrun(1, 2) | slurm, devices=2) == (1, 1, 2, "torchrun")
    for variables, trainer, words in (
        (slurm, {"devices": 2}, "srun has started 8 processes, .* are 2"),
        (torchrun(0, 2), {}, "torchrun has started 2 processes, .* are 1"),
        ({}, {"num_nodes": 2}, "by srun or torchrun"),
    ):
        with pytest.raises(ConfigError, match=words):
            place_of(variables, **trainer)
