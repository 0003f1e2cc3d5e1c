"""What a data set is to the zoo: three splits held as tensors, served in whole batches.

The order of an epoch is a pure function of (seed, epoch) and the first batch follows from the step, so a run that
was killed in the middle of an epoch goes on with exactly the batch that would have come next. No random state is kept.
"""

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

Split = tuple[Tensor, ...]


class Share(NamedTuple):
    """Which of several processes this is: of each batch it takes every `processes`-th item, from item `rank` on."""

    rank: int = 0
    processes: int = 1

    def __call__(self, start: int, end: int) -> slice:
        """Its part of the places `start` to `end`."""
        return slice(min(start + self.rank, end), end, self.processes)


ALONE = Share()


def data_root(root: str | None) -> Path:
    """Where data files lie: `data.root=`, else the environment's `ZOO_DATA_DIR`, else `data/cache`."""
    return Path(root or os.environ.get("ZOO_DATA_DIR") or "data/cache").expanduser()


class DataSet:
    """Base of all data sets. A subclass loads its tensors in `load` and says in `provides` what a model may need.

    provides: plain values such as `num_classes`, `in_features`, `input_shape` (of one item), known before loading;
        they fill what a model's configuration leaves missing.
    train, val, test: tuples of tensors with equal first dimension N, set by `load`.
    transform: how an item was made from the raw thing, as plain values; it travels with the checkpoint.
    licence: under which the items are to be had; data/README.md says more.
    fingerprint: tells contents apart where the same settings may mean another content (a file of the user's).
    consecutive: whether a batch goes on where the one before has ended, so that a network may carry its state along.
    probes_untrained: whether the probe is taken before training too; not where it is slow and would say nothing.
    probes_while_training: whether it is taken after each validation, into metrics.csv.
    """

    provides: dict[str, Any]
    transform: dict[str, Any] = {}
    licence = "not stated"
    fingerprint = ""
    consecutive = False
    probes_untrained = True
    probes_while_training = False
    train: Split
    val: Split
    test: Split

    def __init__(self, batch_size: int, root: str | None = None, repeat: int = 1):
        for name, value in (("batch_size", batch_size), ("repeat", repeat)):
            if value < 1:
                raise ValueError(f"{name} must be >= 1, got {value}")
        self.batch_size, self.repeat = batch_size, repeat
        self.root = data_root(root)

    def load(self) -> None:
        """Set `train`, `val` and `test`; calling it twice changes nothing. Raises DataError."""
        raise AssertionError("each data set loads itself")

    def example_batch(self) -> Split:
        """Two blank items with labels, known before loading: enough to see whether a model fits."""
        return torch.zeros(2, *self.provides["input_shape"]), torch.zeros(2, dtype=torch.int64)

    def batches(
        self,
        part: str,
        seed: int | None = None,
        step: Callable[[], int] | None = None,
        device: Any = None,
        rows: Callable[[int], Tensor | None] | None = None,
        share: Share = ALONE,
    ) -> "Batches":
        """Serves `train` (in an order drawn from the seed, if there is one), `val` or `test` on the device.

        rows: as in `Batches`, of `train`. share: the part of each batch that this process gets.
        """
        tensors = tuple(tensor.to(device) for tensor in getattr(self, part))
        served = partial(self.served, part, seed)
        if part == "train":
            return Batches(tensors, self.batch_size, seed, self.repeat, step, rows, served, share)
        size = max(self.batch_size, EVALUATION_BATCH)  # larger, which changes no mean, goes faster
        return Batches(tensors, size, served=served, share=share)

    def served(self, part: str, seed: int | None, items: Split, rows: slice | Tensor, number: int) -> Split:
        """What a batch becomes on its way to the network: the last step, where pictures are augmented.

        rows: the numbers of its items. number: of the pass over the items, from 0.
        """
        return items

    def ready(self, part: str, rows: slice | Tensor = slice(None)) -> Split:
        """Items of a split as a network is given them in evaluation, on the CPU; what is held may be rawer."""
        return tuple(tensor[rows] for tensor in getattr(self, part))

    def probe(self, network: torch.nn.Module) -> dict[str, float]:
        """What the lecture asks of a net on this set, by name; in eval mode, after training and mostly before."""
        return {}

    def report(self, network: torch.nn.Module, seed: int) -> str | None:
        """What one would read of a net on this set, such as a text that it writes; None where there is nothing.

        Kept after each validation, to watch it learn, and shown at the end.
        """
        return None


EVALUATION_BATCH = 500


class Passes:
    """What every loader here counts alike: `repeat` passes of `per_pass` batches make an epoch.

    step: gives the number of batches served since the run began, from which the pass and the first batch in it follow.
        None: always from the start (evaluation).
    """

    def __init__(self, per_pass: int, repeat: int, step: Callable[[], int] | None):
        self.per_pass, self.repeat, self.step = per_pass, repeat, step

    def __len__(self) -> int:
        """Batches per epoch."""
        return self.per_pass * self.repeat

    def still_to_come(self, per_pass: int | None = None) -> Iterator[tuple[int, int]]:
        """Pass, and batch in it, of the batches of the current epoch that have not been served.

        per_pass: of passes over some of the items only; None: `per_pass`.
        """
        start = self.step() if self.step else 0
        end = (start // len(self) + 1) * len(self)  # of this epoch
        return (divmod(i, per_pass or self.per_pass) for i in range(start, end))


class Batches(Passes):
    """Whole-tensor batches of one split; the order of pass p over it is a permutation drawn from (seed, p).

    seed: None keeps the order of the file.
    repeat: passes per epoch. step: as in `Passes`.
    rows: from the step to the numbers (n,) of the items that this epoch sees, or None for all. It keeps its number of
        batches.
    served: what a batch of items becomes, given also their numbers and that of the pass; None: it stays as it is.
    share: the part of each batch that this process gets.
    """

    def __init__(
        self,
        tensors: Split,
        batch_size: int,
        seed: int | None = None,
        repeat: int = 1,
        step: Callable[[], int] | None = None,
        rows: Callable[[int], Tensor | None] | None = None,
        served: Callable[[Split, slice | Tensor, int], Split] | None = None,
        share: Share = ALONE,
    ):
        self.tensors, self.rows = tensors, rows
        self.served, self.share = served or (lambda items, rows, number: items), share
        self.batch_size = min(batch_size, len(tensors[0]))
        self.seed = seed
        super().__init__(-(-len(tensors[0]) // self.batch_size), repeat, step)  # the last batch may be smaller

    def __iter__(self) -> Iterator[Split]:
        """The batches of the current epoch that are still to come."""
        rows = self.rows(self.step() if self.step else 0) if self.rows else None
        tensors = self.tensors if rows is None else tuple(t[rows.to(t.device)] for t in self.tensors)
        size = len(tensors[0])
        per_pass = -(-size // self.batch_size)
        order, order_of = None, -1
        for number, batch in self.still_to_come(per_pass):
            start = batch * self.batch_size
            chosen: slice | Tensor = self.share(start, min(start + self.batch_size, size))
            if per_pass == 1:  # the whole set at once: no order, and no copy
                yield self.served(tuple(t[chosen] for t in tensors), chosen, number)
                continue
            if self.seed is not None:
                if number != order_of:
                    order, order_of = self.order(number, size).to(tensors[0].device), number
                chosen = order[chosen]
            yield self.served(tuple(t[chosen] for t in tensors), chosen, number)

    def order(self, number: int, size: int) -> Tensor:
        """The permutation (size,) of pass `number`, int64."""
        generator = torch.Generator().manual_seed(mix(self.seed or 0, number))
        return torch.randperm(size, generator=generator)


def mix(seed: int, counter: int) -> int:
    """One 63-bit seed out of two numbers (splitmix64's finaliser), so that neighbouring counters share nothing."""
    z = (seed * 0x9E3779B97F4A7C15 + counter * 0xD1B54A32D192ED03 + 0x632BE59BD9B4E019) & (2**64 - 1)
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & (2**64 - 1)
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & (2**64 - 1)
    return (z ^ (z >> 31)) >> 1
