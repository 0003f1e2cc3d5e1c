"""What a data set is to the zoo: three splits held as tensors, served in whole batches.

The order of an epoch is a pure function of (seed, epoch) and the first batch follows from the step, so a run that
was killed in the middle of an epoch goes on with exactly the batch that would have come next. No random state is kept.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

Split = tuple[Tensor, ...]


def data_root(root: str | None) -> Path:
    """Where data files lie: `data.root=`, else the environment's `ZOO_DATA_DIR`, else `data/cache`."""
    return Path(root or os.environ.get("ZOO_DATA_DIR") or "data/cache").expanduser()


class DataSet:
    """Base of all data sets. A subclass loads its tensors in `load` and says in `provides` what a model may need.

    provides: plain values such as `num_classes`, `in_features`, `input_shape` (of one item), known before loading;
        they fill what a model's configuration leaves missing.
    train, val, test: tuples of tensors with equal first dimension N, set by `load`.
    transform: how an item was made from the raw thing, as plain values; it travels with the checkpoint.
    """

    provides: dict[str, Any]
    transform: dict[str, Any] = {}
    train: Split
    val: Split
    test: Split

    def __init__(self, batch_size: int, root: str | None = None):
        if batch_size < 0 or (batch_size == 0):
            raise ValueError(f"batch_size must be >= 1 (or larger than the set: one whole batch), got {batch_size}")
        self.batch_size = batch_size
        self.root = data_root(root)

    def load(self) -> None:
        """Set `train`, `val` and `test`; calling it twice changes nothing. Raises DataError."""
        raise AssertionError("each data set loads itself")

    def probe(self, model: torch.nn.Module) -> dict[str, float]:
        """What the lecture asks of a net on this set, as named numbers; taken before and after training."""
        return {}


class Batches:
    """Whole-tensor batches of one split; the order of epoch e is a permutation drawn from (seed, e).

    step: called at the start of each epoch; gives the number of batches served since the run began, from which
        the epoch and the first batch in it follow. None: always from the start (evaluation).
    seed: None keeps the order of the file.
    """

    def __init__(
        self, tensors: Split, batch_size: int, seed: int | None = None, step: Callable[[], int] | None = None
    ):
        self.tensors = tensors
        self.size = len(tensors[0])
        self.batch_size = min(batch_size, self.size)
        self.seed, self.step = seed, step

    def __len__(self) -> int:
        return -(-self.size // self.batch_size)  # the last batch may be smaller

    def __iter__(self) -> Iterator[Split]:
        epoch, first = divmod(self.step() if self.step else 0, len(self))
        order = self.order(epoch)
        for i in range(first, len(self)):
            rows = slice(i * self.batch_size, (i + 1) * self.batch_size)
            # One whole batch needs no copy and no order; a view serves when the file's own order is kept.
            if self.batch_size == self.size:
                yield self.tensors
            elif order is None:
                yield tuple(t[rows] for t in self.tensors)
            else:
                yield tuple(t[order[rows]] for t in self.tensors)

    def order(self, epoch: int) -> Tensor | None:
        """The permutation (N,) of this epoch, int64; None where the file's order is kept."""
        if self.seed is None or self.batch_size == self.size:
            return None
        generator = torch.Generator().manual_seed(mix(self.seed, epoch))
        return torch.randperm(self.size, generator=generator)


def mix(seed: int, counter: int) -> int:
    """One 63-bit seed out of two numbers (splitmix64's finaliser), so that neighbouring counters share nothing."""
    z = (seed * 0x9E3779B97F4A7C15 + counter * 0xD1B54A32D192ED03 + 0x632BE59BD9B4E019) & (2**64 - 1)
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & (2**64 - 1)
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & (2**64 - 1)
    return (z ^ (z >> 31)) >> 1
