"""What rows of several parts use."""

from torch import Tensor, nn

import zoo


def abc_network(vocabulary: str) -> nn.Module:
    """The net of slides 30 to 32: one-hot letters, 3 hidden neurons, one bias."""
    return zoo.create(
        "char_rnn", vocabulary=vocabulary, cell="rnn", hidden_size=3, implementation="reference", variant="lecture"
    )


def parameters(network: nn.Module) -> int:
    """How many, weights and biases."""
    return sum(p.numel() for p in network.parameters())


def by_size(x: Tensor) -> str:
    """`3x4x4`, of one item."""
    return "x".join(map(str, x.shape[1:]))


def row(values: Tensor) -> str:
    """In brackets, with three digits after the point."""
    return "[" + " ".join(f"{value:.3f}" for value in values.tolist()) + "]"
