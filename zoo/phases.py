"""Which step of a run belongs to which phase of the network's training (zoo/models/phases.py)."""

import bisect
import itertools

from torch import nn

from zoo.errors import ConfigError
from zoo.models.phases import Phase
from zoo.optimizers import Recipe


class Plan:
    """The phases of a run and the steps at which they end; a network without phases has one, in which all is trained.

    max_epochs: shared out among the phases. max_steps: where the run is to stop earlier, in whatever phase.
    Raises ConfigError where the phases need more epochs than there are, or fewer.
    """

    def __init__(self, network: nn.Module, steps_per_epoch: int, max_epochs: int, max_steps: int | None = None):
        self.network = network
        self.phases: list[Phase] = getattr(network, "phases", [Phase("training", (network,))])
        self.epochs = shared_out([phase.epochs for phase in self.phases], max_epochs)
        self.total_steps = min(steps_per_epoch * max_epochs, max_steps or 2**62)
        self.ends = list(itertools.accumulate(epochs * steps_per_epoch for epochs in self.epochs))

    def number(self, step: int) -> int:
        """Of the phase, from 0, that a step belongs to; steps count from 0."""
        return min(bisect.bisect_right(self.ends, step), len(self.phases) - 1)

    def first_step(self, number: int) -> int:
        """Of phase `number`."""
        return self.ends[number - 1] if number else 0

    def factor(self, recipe: Recipe, step: int) -> float:
        """What the optimizer's peak rate is multiplied by: every phase has the whole schedule."""
        number = self.number(step)
        first = self.first_step(number)
        return recipe.factor(step - first, min(self.ends[number], self.total_steps) - first)

    def trained(self, number: int) -> int:
        """How many parameters phase `number` trains."""
        return sum(p.numel() for p in {p for part in self.phases[number].trained for p in part.parameters()})

    def enter(self, number: int) -> str:
        """Freeze what phase `number` does not train, and free the rest; what to tell the user of the phase."""
        phase = self.phases[number]
        self.network.phase = number
        self.network.requires_grad_(False)
        for part in phase.trained:
            part.requires_grad_(True)
        trained, total = self.trained(number), sum(p.numel() for p in self.network.parameters())
        before = sum(self.epochs[:number])
        return (
            f"phase {number + 1}/{len(self.phases)}, {phase.name}: trains {trained:,} of {total:,} parameters, "
            f"epochs {before + 1} to {before + self.epochs[number]}"
        )


def shared_out(wanted: list[int | None], max_epochs: int) -> list[int]:
    """The epochs of each phase, together `max_epochs`: those of None have equal parts of what the others leave.

    The last phase is one of them, and has the odd epochs. Raises ConfigError where less than one each is left.
    """
    given = sum(epochs or 0 for epochs in wanted)
    sharing = wanted.count(None)
    if max_epochs < given + sharing:
        raise ConfigError(
            f"trainer.max_epochs must be >= {given + sharing}, got {max_epochs}: of {len(wanted)} phases "
            f"{len(wanted) - sharing} take {given} together, and the others at least 1 each"
        )
    epochs = [(max_epochs - given) // sharing if own is None else own for own in wanted]
    epochs[-1] += max_epochs - sum(epochs)
    return epochs
