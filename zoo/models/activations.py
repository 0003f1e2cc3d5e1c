"""The activation functions of the lectures, by name (Cyprus U01, U04; Shanghai S02-S04).

step     1 if z > 0 else 0    derivative 0 everywhere it exists: gradient descent learns nothing (U04)
linear   z                    any depth of it is still one linear map (S05)
sigmoid  1 / (1 + exp(-z))    derivative s (1 - s) <= 1/4 (S02)
tanh                          derivative 1 - tanh^2 (S03)
relu     max(0, z)            derivative 1 if z > 0 else 0 (S04)
"""

from collections.abc import Callable

import torch
from torch import Tensor


def step(z: Tensor) -> Tensor:
    """Heaviside's step; the term 0 * z keeps it in the graph, so that its gradient is an exact zero."""
    return (z > 0).to(z.dtype) + 0 * z


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "step": step,
    "linear": lambda z: z,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": torch.relu,
}


def activation_named(name: str) -> Callable[[Tensor], Tensor]:
    """The function of that name. Raises ValueError with the valid names."""
    if name not in ACTIVATIONS:
        raise ValueError(f"activation must be one of {', '.join(ACTIVATIONS)}, got {name!r}")
    return ACTIVATIONS[name]
