"""Back-propagation in numpy: a sigmoid MLP of any depth, by the two rules of the lecture (Cyprus U09, slide 5).

Forward, layer by layer, with y_0 = x:

    net_k = y_(k-1) W_k' + b_k,  y_k = f(net_k),  f(net) = 1 / (1 + exp(-net)),  f'(net) = y (1 - y)

Backward, from the last layer to the first:

    output node:  delta = f'(net) * dE/dy
    hidden node:  delta = f'(net) * (sum of the deltas of the next layer, each times the weight that leads there)
    weight:       dE/dw = (delta of the node that it leads to) * (output of the node that it comes from)

A bias is a weight from a node whose output is always 1. No gradient is taken by any library.

Shapes: B items, D_k nodes of layer k; D_0 is the size of an item.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

Array = np.ndarray


class Layer(NamedTuple):
    """The weights that lead to a layer; or the gradients by them."""

    weight: Array  # (D_k, D_(k-1))
    bias: Array  # (D_k,)


class Error(NamedTuple):
    """An error function of the outputs y (B, D) and the targets t (B, D), summed over nodes and items."""

    value: Callable[[Array, Array], float]
    slope: Callable[[Array, Array], Array]  # dE/dy


ERRORS = {
    "squared_error": Error(
        value=lambda y, t: 0.5 * np.sum((y - t) ** 2),
        slope=lambda y, t: y - t,
    ),
    "cross_entropy": Error(  # each output is the probability of a yes: targets in [0, 1]
        value=lambda y, t: -np.sum(t * np.log(y) + (1 - t) * np.log(1 - y)),
        slope=lambda y, t: (y - t) / (y * (1 - y)),  # times f'(net) it is y - t (U10)
    ),
}


def new_mlp(sizes: list[int], seed: int = 0, scale: float = 1.0) -> list[Layer]:
    """An MLP with sizes[0] inputs and sizes[k] nodes in layer k: weights and biases drawn from N(0, scale^2)."""
    draw = np.random.default_rng(seed).normal
    return [Layer(draw(0, scale, (n, m)), draw(0, scale, n)) for m, n in zip(sizes, sizes[1:], strict=False)]


def forward(mlp: list[Layer], x: Array) -> list[Array]:
    """The outputs (B, D_k) of all layers, of which the first is x (B, D_0) itself."""
    outputs = [x]
    for weight, bias in mlp:
        net = outputs[-1] @ weight.T + bias  # (B, D_k)
        outputs.append(1 / (1 + np.exp(-net)))
    return outputs


def error_of(mlp: list[Layer], x: Array, targets: Array, error: str = "squared_error") -> float:
    """E on items x (B, D_0) with targets (B, D of the last layer)."""
    return float(ERRORS[error].value(forward(mlp, x)[-1], targets))


def deltas(mlp: list[Layer], outputs: list[Array], targets: Array, error: str = "squared_error") -> list[Array]:
    """The delta (B, D_k) of every node, dE/dnet, by layer from the first hidden one on."""
    found: list[Array] = []
    for k in reversed(range(len(mlp))):
        y = outputs[k + 1]
        if not found:
            back = ERRORS[error].slope(y, targets)
        else:
            back = found[0] @ mlp[k + 1].weight  # (B, D_(k+1)) @ (D_(k+1), D_k): next deltas times weights
        found.insert(0, y * (1 - y) * back)
    return found


def gradients(mlp: list[Layer], x: Array, targets: Array, error: str = "squared_error") -> list[Layer]:
    """dE/dw of all weights and biases, summed over the items."""
    outputs = forward(mlp, x)
    found = deltas(mlp, outputs, targets, error)
    return [Layer(delta.T @ before, delta.sum(0)) for delta, before in zip(found, outputs, strict=False)]


def finite_differences(
    mlp: list[Layer], x: Array, targets: Array, error: str = "squared_error", step: float = 1e-5
) -> list[Layer]:
    """The same gradients from the error alone: (E(w + step) - E(w - step)) / (2 step), weight by weight."""
    found = [Layer(np.zeros_like(weight), np.zeros_like(bias)) for weight, bias in mlp]
    for layer, slopes in zip(mlp, found, strict=True):
        for part, slope in zip(layer, slopes, strict=True):
            for place, value in np.ndenumerate(part):
                part[place] = value + step
                above = error_of(mlp, x, targets, error)
                part[place] = value - step
                slope[place] = (above - error_of(mlp, x, targets, error)) / (2 * step)
                part[place] = value
    return found


def train(mlp: list[Layer], x: Array, targets: Array, lr: float, steps: int, error: str = "squared_error") -> None:
    """Batch gradient descent: all weights, in place, `steps` times."""
    for _ in range(steps):
        for layer, slopes in zip(mlp, gradients(mlp, x, targets, error), strict=True):
            for part, slope in zip(layer, slopes, strict=True):
                part -= lr * slope
