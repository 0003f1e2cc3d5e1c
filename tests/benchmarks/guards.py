"""What guards, hashes and counters take of an epoch: `python tests/benchmarks/guards.py` (nothing else running).

The same training by `zoo.fit`, with all of them and with none: guard = the look at each loss and at signals;
randomness = a new seed of dropout at each step; counters = the steps counted against the plan; hash = SHA-256 of each
checkpoint, its check for numbers that are not finite, and the check on reading. What is timed is an epoch's training,
validation and checkpoint, on the clock and as what the process has computed, which others on the machine move less.
Both take turns in the same process; the medians of their pairs are compared. The weights at the end must be equal where
nothing is dropped out, or the two did not do the same.

Overrides change the training: `python tests/benchmarks/guards.py shakespeare_lstm trainer.max_steps=100`.
"""

import contextlib
import gc
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import torch

from zoo.torchvision_operators import declare_missing_operators

declare_missing_operators()

import zoo.callbacks
import zoo.checkpoint
from zoo.config import compose_settings
from zoo.fit import fit
from zoo.module import ZooModule
from zoo.train import assemble

CASES = {  # overrides, pairs
    "mnist_lenet": (["experiment=mnist_lenet", "trainer.max_epochs=1"], 5),
    "shakespeare_lstm": (["experiment=shakespeare_lstm", "trainer.max_epochs=1"], 3),
}


class NoHash:
    """In the place of SHA-256: of all contents the same."""

    def hexdigest(self) -> str:
        """Of nothing."""
        return "0" * 64


@contextlib.contextmanager
def without_any() -> Iterator[None]:
    """Neither guard nor counters, neither hashes nor checks."""
    guard = zoo.callbacks.Guard

    def nothing(*arguments: object) -> None:
        pass

    with contextlib.ExitStack() as stack:
        for name in ("on_train_batch_end", "on_validation_end", "on_train_epoch_end", "on_train_end"):
            stack.enter_context(mock.patch.object(guard, name, nothing))
        stack.enter_context(mock.patch.object(ZooModule, "on_train_batch_start", nothing))
        stack.enter_context(mock.patch.object(zoo.callbacks, "tensors", lambda value: iter(())))
        no_hashes = SimpleNamespace(sha256=lambda *content: NoHash())
        stack.enter_context(mock.patch.object(zoo.checkpoint, "hashlib", no_hashes))
        yield


def spent(settings: Any) -> tuple[float, float, dict[str, torch.Tensor]]:
    """Seconds on the clock and computed, from the first batch to the end of `fit`, which has saved; what is learnt."""
    data, network, recipe, about = assemble(settings)
    data.load()
    started: list[tuple[float, float]] = []
    start = zoo.callbacks.Checkpoints.on_train_start

    def first(self: Any, trainer: Any, module: Any) -> None:
        start(self, trainer, module)
        started.append((time.perf_counter(), time.process_time()))

    with tempfile.TemporaryDirectory() as folder, mock.patch.object(zoo.callbacks.Checkpoints, "on_train_start", first):
        fit(settings, network, data, recipe, Path(folder), about, None)
        ((clock, computed),) = started
        return time.perf_counter() - clock, time.process_time() - computed, network.state_dict()


def compare(name: str, more: list[str]) -> dict[str, Any]:
    """With and without, in turns; the first turn warms up."""
    overrides, pairs = CASES[name]
    settings = compose_settings([*overrides, "trainer.progress=false", "logger=csv", *more])
    clock: dict[str, list[float]] = {"with": [], "without": []}
    computed: dict[str, list[float]] = {"with": [], "without": []}
    for turn in range(pairs + 1):
        learnt = {}
        for which in ("with", "without") if turn % 2 else ("without", "with"):
            with without_any() if which == "without" else contextlib.nullcontext():
                seconds, processor, learnt[which] = spent(settings)
            if turn:
                clock[which].append(seconds)
                computed[which].append(processor)
        if not settings.model.get("dropout"):
            assert all(torch.equal(learnt["with"][key], value) for key, value in learnt["without"].items())
    found: dict[str, Any] = {"case": name, "threads": torch.get_num_threads(), "pairs": pairs}
    for what, taken in (("clock", clock), ("computed", computed)):
        shares = [a / b - 1 for a, b in zip(taken["with"], taken["without"], strict=True)]
        found |= {f"{which}_{what}": round(statistics.median(taken[which]), 3) for which in taken}
        found |= {f"share_{what}": round(statistics.median(shares), 4), f"shares_{what}": [round(s, 4) for s in shares]}
    return found


if __name__ == "__main__":
    gc.collect()
    gc.freeze()  # as zoo/train.py does: what the imports made is no longer looked through
    names = [text for text in sys.argv[1:] if "=" not in text]
    for case in names or CASES:
        print(json.dumps(compare(case, [text for text in sys.argv[1:] if "=" in text])))
