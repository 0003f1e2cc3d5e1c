"""Evolution instead of gradients: weights and number of hidden neurons of a net of threshold units (Cyprus U15, U04).

A net of one hidden layer, y = [v h + c > 0] with h = [W x + b > 0], has the gradient 0 wherever it has one: no descent
can begin. A (1 + lambda) evolution strategy needs none (Rechenberg 1973):

    children   lambda copies of the parent; each weight moves, w <- (w + sigma N(0, 1)) / sqrt(1 + sigma^2), and in one
               child of two a hidden neuron is added or taken away
    selection  the best of them takes the parent's place, unless it is worse: the one with the fewest wrong answers, and
               of those with none the one with the fewest hidden neurons

A child that is only as good as its parent takes its place too: where all around have equally many wrong answers the
parent wanders, until a child has fewer. Without the root the weights would grow as it wanders, and sigma would soon be
too small beside them; a threshold unit does not care how long its weights are. The net begins without a hidden neuron,
as a constant: that it has to grow is learnt as well. Neurons are switched on and off, not made and destroyed, so that
all children are computed at once.

Shapes: N children, P patterns, D inputs, H most hidden neurons.
"""

from typing import NamedTuple

import torch
from torch import Tensor


class Net(NamedTuple):
    """N networks."""

    hidden: Tensor  # (N, H, D + 1), W and b
    output: Tensor  # (N, H + 1), v and c
    is_there: Tensor  # (N, H) bool: which hidden neurons the network has

    def __call__(self, x: Tensor) -> Tensor:
        """The answers (N, P) bool on patterns x (P, D)."""
        h = (with_one(x) @ self.hidden.mT > 0) & self.is_there[:, None]  # (P, D + 1) @ (N, D + 1, H) -> (N, P, H)
        return (with_one(h.to(x.dtype)) @ self.output[:, :, None])[:, :, 0] > 0  # (N, P)

    def chosen(self, number: int) -> "Net":
        """Network `number` alone, as one of one."""
        return Net(*(part[number : number + 1] for part in self))

    @property
    def hidden_neurons(self) -> Tensor:
        """How many each has, (N,)."""
        return self.is_there.sum(1)


class Evolution(NamedTuple):
    """What became of the parent; entry 0 is from before the first generation."""

    net: Net  # the last parent
    wrong: list[int]  # answers of the parent, by generation
    hidden_neurons: list[int]  # of the parent, by generation

    @property
    def solved_in(self) -> int | None:
        """Generations until all answers were right; None: they never were."""
        return self.wrong.index(0) if 0 in self.wrong else None


def with_one(x: Tensor) -> Tensor:
    """A one beside the numbers (..., D) of each item, for the bias: (..., D + 1)."""
    return torch.cat([x, torch.ones_like(x[..., :1])], -1)


def mutated(parent: Net, children: int, sigma: float) -> Net:
    """N children of a parent: all weights moved, and in one child of two a hidden neuron switched on or off."""
    moved = [(part + sigma * torch.randn(children, *part.shape[1:])) / (1 + sigma**2) ** 0.5 for part in parent[:2]]
    is_there = parent.is_there.repeat(children, 1)
    place = torch.randint(is_there.shape[1], (children, 1))
    switched = torch.rand(children, 1) < 0.5
    return Net(*moved, is_there.scatter(1, place, is_there.gather(1, place) ^ switched))


def costs(nets: Net, x: Tensor, targets: Tensor) -> Tensor:
    """What selection goes by, (N,), the smaller the better: wrong answers; where there are none, hidden neurons."""
    wrong = (nets(x) != targets).sum(1)
    return torch.where(wrong == 0, nets.hidden_neurons, nets.is_there.shape[1] + wrong)


def evolve(
    x: Tensor,
    targets: Tensor,
    most_hidden: int = 6,
    children: int = 20,
    sigma: float = 0.5,
    generations: int = 500,
) -> Evolution:
    """Evolve a net that answers the patterns x (P, D) with targets (P,), 0 or 1; draws from torch's random numbers.

    It goes on after all answers are right, since a smaller net may still be found.
    """
    H, D = most_hidden, x.shape[1]
    parent = Net(torch.randn(1, H, D + 1), torch.randn(1, H + 1), torch.zeros(1, H, dtype=torch.bool))
    wrong = [int((parent(x) != targets).sum())]
    hidden_neurons = [0]
    for _ in range(generations):
        brood = mutated(parent, children, sigma)
        cost = costs(brood, x, targets)
        best = int(cost.argmin())
        if cost[best] <= costs(parent, x, targets):
            parent = brood.chosen(best)
        wrong.append(int((parent(x) != targets).sum()))
        hidden_neurons.append(int(parent.hidden_neurons))
    return Evolution(parent, wrong, hidden_neurons)
