"""How good a trained network is on the test set that its card names: measured anew, without Lightning."""

from typing import Any

import torch
from torch import nn

from zoo.errors import CheckpointError
from zoo.registry import build

PLACES = ("root", "cache", "num_workers")  # settings of data sets that say where and how to read, not what
# What is counted on texts that the network writes: on another processor one character may round to another, and all
# that follow it.
WRITTEN = {"test/tunes_that_parse": 6.0, "test/full_bars": 0.06}
CLOSE = 2e-3  # of the others, relative where they are above 1


def data_of(card: dict[str, Any], root: str | None = None) -> Any:
    """The data set that a card names, loaded. Raises CheckpointError where it names none, DataError, ConfigError.

    root: folder of the data; None: what the card says, else ZOO_DATA_DIR, else data/cache.
    """
    if not isinstance(card.get("data"), str) or not isinstance(card.get("data_arguments"), dict):
        raise CheckpointError("its card names no data set of the zoo; it cannot be measured")
    arguments = dict(card["data_arguments"])
    if root is not None:
        arguments["root"] = root
    data = build("data", card["data"], arguments)
    data.load()
    return data


@torch.no_grad()
def evaluate(network: nn.Module, data: Any) -> dict[str, float]:
    """`test/...`: the mean of each metric over the items of the test set, and what the data set asks of a network.

    In float32 and in eval mode; as `python train.py` measures at its end.
    """
    network.eval()
    carries = data.consecutive and getattr(network, "carries_state", False)
    sums: dict[str, float] = {}
    state, items = None, 0
    for batch in data.batches("test"):
        metrics = network.loss(batch, state) if carries else network.loss(batch)
        state = metrics.pop("state", None)
        count = int(metrics.pop("items", batch[-1].numel()))
        items += count
        for name, value in metrics.items():
            sums[name] = sums.get(name, 0.0) + float(value) * count
    found = {name: total / max(1, items) for name, total in sums.items()} | data.probe(network)
    return {f"test/{name}": round(float(value), 6) for name, value in found.items()}


def metrics_of_test(card: dict[str, Any]) -> dict[str, float]:
    """The metrics of a card that are of the test set; those of training and validation are not measured anew."""
    metrics = card.get("metrics")
    pairs = metrics.items() if isinstance(metrics, dict) else ()
    return {name: value for name, value in pairs if isinstance(value, (int, float)) and name.startswith("test/")}


def disagreements(stated: dict[str, float], found: dict[str, float]) -> list[str]:
    """Where the metrics of a card and those found differ by more than rounding: a line for each."""
    lines = []
    for name, value in stated.items():
        now = found.get(name)
        allowed = WRITTEN.get(name, CLOSE * max(1.0, abs(value)))
        if now is None or not abs(now - value) <= allowed:
            lines.append(f"{name}: the card says {value:.4f}, found {'nothing' if now is None else f'{now:.4f}'}")
    return lines
