"""Training in phases: what a network says of itself where not everything is trained from the start.

A network that has `phases` is trained through all of them in one run. `phase` is the number of the present one, from
0; it is set from outside (zoo/phases.py), and the network's `loss` goes by it. A network as it is made or loaded is in
its last phase, the one that the others were for.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Phase:
    """One phase of the training.

    name: what it is called in the log and in figures, such as `layer 2`.
    trained: what learns in it; everything else is frozen, to the bit.
    epochs: how many, >= 1; None, as it is for the last phase: an equal share of what is left of `trainer.max_epochs`.
    rows: from the targets (N,) of the training set and the run's seed to the numbers (n,) of the items that the phase
        sees, int64; None: it sees all. An epoch always has as many steps as over the whole set: fewer items are seen
        more often.
    begin: what is done once, before the first step, such as copying weights.
    """

    name: str
    trained: tuple[nn.Module, ...]
    epochs: int | None = None
    rows: Callable[[Tensor, int], Tensor] | None = None
    begin: Callable[[], None] | None = None


def some_of_each_class(targets: Tensor, seed: int, count: int, classes: list[int]) -> Tensor:
    """The numbers of `count` items of each class among the targets (N,), drawn by the seed; int64, rising.

    Raises ValueError where a class has fewer.
    """
    order = torch.randperm(len(targets), generator=torch.Generator().manual_seed(seed))
    chosen = []
    for label in classes:
        rows = order[targets[order] == label][:count]
        if len(rows) < count:
            raise ValueError(f"class {label} has {len(rows)} training items, not the {count} that were asked for")
        chosen.append(rows)
    return torch.cat(chosen).sort().values
