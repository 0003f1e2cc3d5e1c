"""Back-propagation through time by hand: every number of the lecture's example, without autograd (Bombay I27-I33).

Forward, with x_t one-hot and h_0 = 0 (the slides' x_0 = 0 is an index off by one: I31):

    z_t = Whx x_t + Whh h_(t-1) + bh,  h_t = tanh(z_t),  y_t = Wyh h_t + by,  p_t = softmax(y_t)
    L = 1/T sum_t -log p_t[target_t]

Backward, from the last step to the first:

    dL/dy_t = (p_t - onehot(target_t)) / T
    dL/dh_t = Wyh' dL/dy_t + Whh' dL/dz_(t+1)
    dL/dz_t = (1 - h_t^2) * dL/dh_t

The weights are the same at every step, so their gradients are sums over t, and there is one update: dL/dWhh is the sum
of dL/dz_t h_(t-1)'. (I33 tunes the weights for y3, then y2, then y1; that is not BPTT.)

Shapes: T time, V vocabulary, H hidden.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

WIDEST = 6  # hidden neurons and letters, up to which the numbers can be read


class BPTT(NamedTuple):
    """All numbers of one sequence."""

    h: Tensor  # (T, H)
    y: Tensor  # (T, V)
    p: Tensor  # (T, V)
    losses: Tensor  # (T,) nats, before the mean
    dy: Tensor  # (T, V) dL/dy_t
    dh: Tensor  # (T, H) dL/dh_t
    dz: Tensor  # (T, H) dL/dz_t
    gradients: dict[str, Tensor]  # of Whx (T, H, V), Whh (T, H, H), Wyh (T, V, H), bh (T, H): what each step adds


def bptt(network: nn.Module, x: Tensor, targets: Tensor) -> BPTT:
    """Forward and backward pass over one sequence x (T,) with targets (T,), for a `char_rnn` with cell=rnn and tanh."""
    w = {name: parameter.detach().float().cpu() for name, parameter in network.named_parameters()}
    whx, whh, wyh = w["layers.weight_ih_l0"], w["layers.weight_hh_l0"], w["output.weight"]
    bh = w["layers.bias_ih_l0"] + w.get("layers.bias_hh_l0", 0)
    by = w.get("output.bias", 0)
    inputs = torch.eye(whx.shape[1])[x]  # (T, V)

    h = torch.zeros(len(x) + 1, len(whh))  # h[0] is the state before the first step
    for t, x_t in enumerate(inputs, 1):
        h[t] = torch.tanh(whx @ x_t + whh @ h[t - 1] + bh)
    y = h[1:] @ wyh.T + by  # (T, V)
    p = y.softmax(1)
    losses = -p[torch.arange(len(x)), targets].log()

    dy = (p - torch.eye(len(wyh))[targets]) / len(x)  # (T, V)
    dh, dz = torch.zeros_like(h[1:]), torch.zeros_like(h[1:])
    for t in reversed(range(len(x))):
        later = whh.T @ dz[t + 1] if t + 1 < len(x) else 0
        dh[t] = wyh.T @ dy[t] + later
        dz[t] = (1 - h[t + 1] ** 2) * dh[t]
    gradients = {
        "Whx": dz[:, :, None] * inputs[:, None, :],
        "Whh": dz[:, :, None] * h[:-1, None, :],
        "Wyh": dy[:, :, None] * h[1:, None, :],
        "bh": dz,
    }
    return BPTT(h[1:], y, p, losses, dy, dh, dz, gradients)


def narrate(network: nn.Module, x: Tensor, targets: Tensor) -> str | None:
    """The pass over x (1, T) in words and numbers; None for a network that is another or too wide to be read."""
    layers = getattr(network, "layers", None)
    plain = isinstance(layers, nn.RNN) or getattr(layers, "cell", "") == "rnn"
    if not plain or layers.nonlinearity != "tanh" or layers.num_layers > 1 or network.embedding is not None:
        return None
    if max(layers.hidden_size, len(network.vocabulary)) > WIDEST:
        return None
    one = bptt(network, x[0], targets[0])
    read, wanted = network.decode(x[0]), network.decode(targets[0])
    lines = [f"forward, letters {' '.join(network.vocabulary)}"]
    for t in range(len(read)):
        lines += [
            f"  t = {t + 1}  x = {read[t]!r}  target {wanted[t]!r}  loss {one.losses[t]:.4f}",
            f"    h {row(one.h[t])}   y {row(one.y[t])}   p {row(one.p[t])}",
        ]
    lines += [f"  L = mean loss = {one.losses.mean():.4f}", "backward, from the last step to the first"]
    for t in reversed(range(len(read))):
        parts = {"dL/dy": one.dy[t], "dL/dh": one.dh[t], "dL/dz": one.dz[t]}
        lines.append(f"  t = {t + 1}  " + "   ".join(f"{name} {row(value, '.1e')}" for name, value in parts.items()))
    lines.append("gradients, summed over time; one update follows")
    for name, parts in one.gradients.items():
        if parts.dim() == 2:
            parts = parts[:, None]
        lines.append(f"  dL/d{name} = " + " + ".join(f"(t={t})" for t in range(1, len(read) + 1)))
        for i in range(parts.shape[1]):
            summands = " + ".join(row(part[i], ".1e") for part in parts)
            lines.append(f"    {row(parts[:, i].sum(0), '.1e')} = {summands}")
    return "\n".join(lines) + "\n"


def row(values: Tensor, form: str = ".4f") -> str:
    """Numbers in brackets, in columns."""
    return "[" + " ".join(f"{value:8{form}}" for value in values.tolist()) + "]"
