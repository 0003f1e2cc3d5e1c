"""Our training loop beside a bare PyTorch loop: `python tests/benchmarks/training_loop.py` (nothing else running).

Same network, same start, same batches in the same order, same optimizer. What is timed is an epoch's training
steps; the bare loop logs nothing, ours sums loss and accuracy, looks at every loss and serves a progress line. The
two take turns, and the medians are compared. The weights at the end must be equal, or the two did not do the same.
"""

import gc
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from zoo.torchvision_operators import declare_missing_operators

declare_missing_operators()

from zoo.callbacks import Guard
from zoo.config import Settings, compose_settings
from zoo.fit import fit
from zoo.module import ZooModule
from zoo.train import assemble

CASES = {
    "mnist_lenet": (["experiment=mnist_lenet", "trainer.max_epochs=1"], 11),
    "xor_mlp": (["experiment=xor_mlp", "data.repeat=2000", "trainer.max_epochs=1"], 7),
}


def bare(settings: Settings) -> tuple[float, int, dict[str, torch.Tensor]]:
    """Seconds, steps and weights of the loop that everybody writes."""
    data, network, recipe, _ = assemble(settings)
    data.load()
    batches = data.batches("train", settings.seed)
    optimizer = recipe.build(network.parameters())
    total = len(batches)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: recipe.factor(step, total))
    network.train()
    started = time.perf_counter()
    for batch in batches:
        optimizer.zero_grad()
        loss = network.loss(batch)["loss"]
        loss.backward()
        optimizer.step()
        if not recipe.constant:
            schedule.step()
    return time.perf_counter() - started, total, network.state_dict()


def ours(settings: Settings) -> tuple[float, int, dict[str, torch.Tensor]]:
    """The same through `zoo.fit`; the clock runs from the first batch to the last."""
    data, network, recipe, about = assemble(settings)
    data.load()
    clock: dict[str, float] = {}
    start, end = ZooModule.on_train_batch_start, Guard.on_train_batch_end

    def started(self: ZooModule, batch: Any, batch_idx: int) -> None:
        clock.setdefault("start", time.perf_counter())
        start(self, batch, batch_idx)

    def ended(self: Guard, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        end(self, trainer, module, outputs, batch, batch_idx)
        clock["end"] = time.perf_counter()
        clock["steps"] = batch_idx + 1

    ZooModule.on_train_batch_start, Guard.on_train_batch_end = started, ended
    try:
        with tempfile.TemporaryDirectory() as folder:
            fit(settings, network, data, recipe, Path(folder), about, None)
    finally:
        ZooModule.on_train_batch_start, Guard.on_train_batch_end = start, end
    return clock["end"] - clock["start"], int(clock["steps"]), network.state_dict()


def compare(name: str) -> dict[str, Any]:
    """Both loops in turns; medians."""
    overrides, pairs = CASES[name]
    settings = compose_settings([*overrides, "trainer.progress=false", "logger=csv"])
    loops: dict[str, Callable[[Settings], tuple[float, int, dict[str, torch.Tensor]]]] = {"bare": bare, "ours": ours}
    seconds: dict[str, list[float]] = {"bare": [], "ours": []}
    for turn in range(pairs + 1):
        weights = {}
        for loop in loops if turn % 2 else reversed(loops):
            taken, steps, weights[loop] = loops[loop](settings)
            if turn:  # the first turn warms up
                seconds[loop].append(taken)
        assert all(torch.equal(weights["bare"][key], weights["ours"][key]) for key in weights["bare"])
    median = {loop: statistics.median(taken) for loop, taken in seconds.items()}
    return {
        "case": name,
        "threads": torch.get_num_threads(),
        "steps": steps,
        "bare_us_per_step": round(median["bare"] / steps * 1e6, 1),
        "ours_us_per_step": round(median["ours"] / steps * 1e6, 1),
        "ratio": round(median["ours"] / median["bare"], 3),
        "ratio_of_pairs": [round(a / b, 3) for a, b in zip(seconds["ours"], seconds["bare"], strict=True)],
    }


if __name__ == "__main__":
    gc.collect()
    gc.freeze()  # as zoo/train.py does: what the imports made is no longer looked through
    for case in sys.argv[1:] or CASES:
        print(json.dumps(compare(case)))
