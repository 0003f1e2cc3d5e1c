"""Part E, numbers: the same seed gives the same bits however a run is started and watched, and no NaN is kept."""

import contextlib
import json
import math
import os
import random
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from conftest import ROOT, WAIVED
from evidence.golden import FILE, TOLERANCE, losses, machine
from test_processes import DDP, running, torchrun
from test_resume import LEARNT, QUIET

from soak.children import Child, offspring, until
from soak.frame import Counts, fault, must
from soak.interruption import put
from soak.runs import LIMIT, TRAININGS, Training, digest, expect_small_data, learnt_the_same, whole
from zoo.callbacks import tensors
from zoo.checkpoint import read_checkpoint
from zoo.cli import main
from zoo.module import ZooModule
from zoo.registry import load_all, schema
from zoo.workers import free_port

ALL_AT_ONCE = ("echo states", "counted words")  # a single step, which sets the weights whatever they were


def latest(*overrides: str) -> list[str]:
    """Of overrides of the same key the last one."""
    return list({text.partition("=")[0]: text for text in overrides}.values())


# --- E1: the same seed ------------------------------------------------------------------------------------------------

OTHERWISE = (  # changes nothing of the weights
    "trainer.progress=true", "logger=tensorboard", "trainer.val_every_n_epochs=2", "trainer.log_every_n_steps=1",
    "trainer.checkpoint_every_n_steps=1", "trainer.val_every_n_epochs=100", "figures=true",
)  # fmt: skip
NEW = f"""
import sys; sys.path[:0] = {[str(ROOT), str(ROOT / "tests")]}
import conftest
from pathlib import Path
from soak.runs import expect_small_data
from zoo.cli import main
expect_small_data(Path(".."))
main(sys.argv[1:])
"""


@fault("E1", "the same seed, started and watched in another way", cases=sorted(TRAININGS), times=6, limit=90)
def the_same_seed(dice: random.Random, folder: Path, name: str, new: bool | None = None) -> Counts:
    """With and without progress bar, logger, validation, workers, figures, in a new process: the same weights.

    new: whether everything is imported anew in it, under another PYTHONHASHSEED; one in three is, unless it is said.
    """
    whole(name, folder)
    otherwise = dice.sample(OTHERWISE, dice.randint(1, len(OTHERWISE)))
    if any(text.startswith("data.num_workers") for text in TRAININGS[name]):
        otherwise.append(f"data.num_workers={dice.choice((0, 1, 2, 4))}")
    overrides = latest(*QUIET, "run_dir=run", *TRAININGS[name], *otherwise)
    new = dice.randrange(3) == 0 if new is None else new

    def work() -> None:
        if new:
            hashes = {"PYTHONHASHSEED": str(dice.randrange(2**32))}
            os.execve(sys.executable, [sys.executable, *WAIVED, "-c", NEW, *overrides], os.environ | hashes)
        warnings.simplefilter("ignore")
        expect_small_data(folder.parent)
        main(overrides)

    with Child(work, folder, "again") as child:
        must(child.wait(LIMIT) == 0, f"exit code {child.code}: {child.errors[-300:]}")
    expected = whole_run(name, folder)
    one, other = (read_checkpoint(run / "checkpoints" / "last.ckpt") for run in (expected, folder / "run"))
    for key in ("state_dict", "optimizer_states", "lr_schedulers", "global_step"):
        must(digest(one[key]) == digest(other[key]), f"{key} is another one with {' '.join(otherwise)}")
    return {"in a new process": int(new), "in a forked one": int(not new)}


def whole_run(name: str, folder: Path) -> Path:
    """Where `whole` has trained."""
    return folder.parent / f"whole_{name.replace(' ', '_')}" / "run"


# --- E2, E3: the first losses of every network ------------------------------------------------------------------------


@fault("E2", "other numbers of threads and other instructions", cases=("two threads", "AVX2", "no AVX"), limit=120)
def other_sums(dice: random.Random, folder: Path, how: str) -> Counts:
    """Sums are rounded in another order: the first losses are those of the golden file to within its tolerance."""
    older = {"AVX2": ("avx2", "AVX2"), "no AVX": ("default", "SSE41")}.get(how, ("", ""))
    environment = {"ATEN_CPU_CAPABILITY": older[0], "ONEDNN_MAX_CPU_ISA": older[1]} if older[0] else {}
    models = dice.sample(sorted(load_all()["model"]), 4)
    code = f"""
import sys; sys.path[:0] = {[str(ROOT), str(ROOT / "tests")]}
import json
from pathlib import Path
from evidence.golden import losses, torch
torch.set_num_threads({2 if how == "two threads" else 1})
found = {{model: losses(model, f"run_{{model}}") for model in {models}}}
Path("found.json").write_text(json.dumps(found))
"""

    def work() -> None:
        os.execve(sys.executable, [sys.executable, *WAIVED, "-c", code], os.environ | environment)

    with Child(work, folder, "other") as child:
        must(child.wait(100) == 0, f"exit code {child.code}: {child.errors[-300:]}")
    for model, found in json.loads((folder / "found.json").read_text()).items():
        near(model, found, exactly=False)
    return {"networks": len(models)}


@fault("E3", "the first losses of a network", cases=sorted(load_all()["model"]), times=6)
def golden(dice: random.Random, folder: Path, model: str) -> Counts:
    """As tests/evidence/golden_losses.json has them: exactly, where this is the machine that it was written on."""
    exactly = json.loads(FILE.read_text())["machine"] == machine()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        near(model, losses(model, "run"), exactly)
    return {"networks, bit for bit" if exactly else "networks, within 1e-5": 1}


def near(model: str, found: list[float], exactly: bool) -> None:
    """The losses are those of the golden file. Raises Wrong."""
    expected = json.loads(FILE.read_text())["losses"][model]
    must(len(found) == len(expected), f"{model}: {len(found)} losses instead of {len(expected)}")
    for step, (ours, theirs) in enumerate(zip(found, expected, strict=True), 1):
        same = ours == theirs if exactly else math.isclose(ours, theirs, rel_tol=TOLERANCE, abs_tol=1e-6)
        must(same, f"{model}: the loss is {ours!r} at step {step}, and was {theirs!r}")


# --- E4: a NaN --------------------------------------------------------------------------------------------------------


@fault("E4", "a NaN", cases=("in a loss", "in a gradient", "in a parameter", "in validation"), times=3)
def a_nan(dice: random.Random, folder: Path, where: str) -> Counts:
    """Exit code 5, no checkpoint holds it, and the same command goes on from what was saved before."""
    name = dice.choice([name for name in sorted(TRAININGS) if name not in ALL_AT_ONCE])
    expected = whole(name, folder)
    step = dice.randrange(expected.steps // 3 if where == "in validation" else expected.steps)  # one is still to come
    value = dice.choice((math.nan, math.inf, -math.inf))
    number = dice.randrange(1000)

    spoil = {"in a loss": spoil_a_loss, "in validation": spoil_validation}.get(where, spoil_weights)
    with Training(folder, TRAININGS[name], lambda: spoil(step, value, number, where)) as training:
        training.wait(LIMIT)
        must(training.code == 5, f"{name}: exit code {training.code} instead of 5: {training.last_line}")
        must(training.last_line.startswith("error: "), f"{name}: no error in one line: {training.last_line}")
        must("Traceback" not in training.errors, f"a traceback before {training.last_line}")
        if where == "in a loss":
            at_once = training.step == step and f"at step {step + 1}" in training.last_line
            must(at_once, f"{name}: not at once, but after {training.step - step} more: {training.last_line}")
        later = training.step - step
    for path in (folder / "run").rglob("*.ckpt"):
        content = read_checkpoint(path)
        for key, tensor in tensors({key: content[key] for key in LEARNT if key in content}):
            must(not tensor.is_floating_point() or tensor.isfinite().all(), f"{name}: {path.name} holds it in {key}")
    must(not (folder / "run" / "result.json").exists(), "there is a result")
    with Training(folder, TRAININGS[name]) as training:
        training.succeed()
    learnt_the_same(folder, name)
    return {"stopped": 1, "steps in between": max(0, later)}


def spoil_a_loss(step: int, value: float, number: int, where: str) -> None:
    """The loss of that step is no number."""
    original = ZooModule.training_step

    def spoilt(module: ZooModule, batch: Any, batch_idx: int) -> torch.Tensor:
        loss = original(module, batch, batch_idx)
        return loss * value if module.global_step == step else loss

    ZooModule.training_step = spoilt


def spoil_validation(step: int, value: float, number: int, where: str) -> None:
    """A metric of the first validation after that step is no number."""

    def spoilt(module: ZooModule, *arguments: Any) -> None:
        if module.global_step > step:
            key = sorted(key for key in module.sums if key.startswith("val/"))[0]
            module.sums[key] = module.sums[key] + value

    put(ZooModule, "validation_step", after=spoilt)


def spoil_weights(step: int, value: float, number: int, where: str) -> None:
    """An element of a parameter that is being trained, or of its gradient, is no number at that step."""
    done = []

    def spoilt(module: ZooModule, *arguments: Any) -> None:
        if module.global_step < step or done:
            return
        trained = [p for p in module.network.parameters() if p.requires_grad]
        if where == "in a gradient":  # a network that takes steps of its own has none
            trained = [p.grad for p in trained if p.grad is not None] or trained
        with torch.no_grad():
            chosen = trained[number % len(trained)]
            chosen.view(-1)[number % chosen.numel()] = value
        done.append(step)

    has_gradients = where == "in a gradient"
    put(ZooModule, "on_after_backward" if has_gradients else "on_train_batch_start", after=spoilt)


# --- E5, E6: two processes --------------------------------------------------------------------------------------------


@contextlib.contextmanager
def two(
    folder: Path, overrides: list[str], before: Callable[[int], object] = lambda rank: None
) -> Iterator[list[Child]]:
    """The command in two forked processes, as torchrun would start them."""
    meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}

    def work(rank: int) -> Callable[[], None]:
        def train() -> None:
            os.environ |= torchrun(rank, 2) | meeting
            warnings.simplefilter("ignore")
            expect_small_data(folder.parent)
            before(rank)
            main(overrides)

        return train

    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(Child(work(rank), folder, f"rank_{rank}")) for rank in range(2)]


def undropped(name: str) -> list[str]:
    """A training without dropout, in double precision where the network takes it: what is not the same sum shows."""
    model = next(text.partition("=")[2] for text in TRAININGS[name] if text.startswith("model="))
    cls = load_all()["model"][model]
    drops = [f"model.{key}=0" for key in schema(cls).__dataclass_fields__ if "dropout" in key]
    double = [] if hasattr(cls, "update") else ["trainer.precision=64-true"]
    return latest(*TRAININGS[name], *drops, *DDP, *double)


@fault("E5", "two gloo processes beside one", cases=sorted(TRAININGS), times=4, limit=120)
def two_processes(dice: random.Random, folder: Path, name: str) -> Counts:
    """The weights are those of one with the same batches; what cannot be split says so in one line."""
    overrides = undropped(name)
    with two(folder, [*overrides, "run_dir=two"]) as pair:
        codes = [child.wait(LIMIT) for child in pair]
    if codes == [2, 2]:
        must("cannot be split" in pair[0].errors, f"{name}: {pair[0].errors}")
        return {"cannot be split, and say so": 1}
    must(codes == [0, 0], f"{name}: exit codes {codes}: {pair[0].errors[-300:]} {pair[1].errors[-300:]}")

    def alone() -> None:
        warnings.simplefilter("ignore")
        expect_small_data(folder.parent)
        main([*latest(*overrides, "trainer.devices=1"), "run_dir=alone"])

    with Child(alone, folder, "alone") as child:
        must(child.wait(LIMIT) == 0, f"{name}: exit code {child.code}: {child.errors[-300:]}")
    one, other = (read_checkpoint(folder / place / "checkpoints" / "last.ckpt") for place in ("alone", "two"))
    must(one["global_step"] == other["global_step"], f"{name}: {other['global_step']} steps of {one['global_step']}")
    if "normalises by the statistics of its own share" in pair[0].errors:
        return {"normalise by the items of a process, and say so": 1}
    for key, value in one["state_dict"].items():
        apart = float((value.double() - other["state_dict"][key].double()).abs().max())
        must(apart <= 1e-6, f"{name}: {key} is {apart:.1e} apart")
    return {"are equal": 1}


ENDS = ("SIGKILL of the first", "SIGKILL of the second", "SIGKILL of who started them", "an exception in the second")


@fault("E6", "the end of one of two processes", cases=ENDS, limit=120)
def end_of_one(dice: random.Random, folder: Path, how: str) -> Counts:
    """All of them are gone within ten seconds, with an exit code that is not 0; what was saved is whole."""
    long = ["model=mlp", "data=digits", "data.batch_size=16", "trainer.max_epochs=500", "run_dir=long", *DDP,
            "trainer.checkpoint_every_n_steps=10"]  # fmt: skip
    saved = folder / "long" / "checkpoints" / "last.ckpt"
    if how == "an exception in the second":
        step = dice.randrange(10, 60)

        def fail(module: ZooModule, *arguments: Any) -> None:
            if module.global_step == step:
                raise ValueError("the second fails")

        with two(folder, long, lambda rank: put(ZooModule, "training_step", before=fail) if rank else None) as pair:
            codes = [child.wait(LIMIT) for child in pair]
        must(0 not in codes, f"exit codes {codes}")
    else:
        with Child(lambda: main(long), folder, "parent") as parent:
            until(lambda: saved.exists() or not parent.running, 60, "nothing is saved")
            workers = sorted(offspring(parent.pid))
            must(len(workers) == 2, f"{len(workers)} processes: {parent.errors[-300:]}")
            time.sleep(dice.uniform(0, 0.5))
            chosen = {"SIGKILL of the first": workers[0], "SIGKILL of the second": workers[1]}.get(how, parent.pid)
            os.kill(chosen, signal.SIGKILL)
            code = parent.wait(10)
            until(lambda: not any(map(running, workers)), 10, "one of them goes on")
            if chosen != parent.pid:
                must(code == 7, f"exit code {code} instead of 7: {parent.errors[-300:]}")
                must("was killed by SIGKILL" in parent.errors, f"it does not say why: {parent.errors[-300:]}")
    read_checkpoint(saved)
    return {"ended": 1}
