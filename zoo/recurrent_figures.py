"""Figures of recurrent networks: what reaches back through time, what the neurons and gates do over a text."""

from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor, nn

from zoo.curves import Curve, kept_curve
from zoo.models.recurrent import unroll
from zoo.palette import FONT, printable

if TYPE_CHECKING:
    from zoo.data.dataset import DataSet


def recurrent_figures(network: nn.Module, data: "DataSet", folder: Path, title: str) -> dict[str, Figure]:
    """The figures that fit; the curve is written as CSV into `folder` too."""
    figures = {}
    reads_last_state = getattr(network, "pooling", "last") == "last" and not network.layers.bidirectional
    if reads_last_state and len(data.test) < 3:  # a third tensor would be lengths
        figures["gradient_by_lag"] = kept_curve("gradient_by_lag", gradient_by_lag(network, data), folder, title)
    if hasattr(network, "trace") and data.consecutive:
        figures["hidden_units"] = coloured_text(network, network.decode(data.test[0][:300]), title)
    return figures


def gradient_by_lag(network: nn.Module, data: "DataSet", steps: int = 100, sequences: int = 64) -> Curve:
    """Norm of d loss_T / d x_(T-k) against k = 0, 1, ... : what the loss at the last step says of an input long ago.

    In a plain network each step back multiplies by the same matrix and a slope <= 1, so the norm falls (or grows) like
    a power (R11, S36, I35); gates can let it through. The root of the mean square over `sequences` sequences of the
    test set; of a text, over windows of `steps` characters.
    """
    if data.consecutive:
        text = data.test[0]
        steps = min(steps, len(text) - 1)
        starts = torch.linspace(0, len(text) - steps - 1, sequences).long()
        x = text[starts[:, None] + torch.arange(steps)]  # (B, T)
        targets = text[starts + steps]
    else:
        order = torch.randperm(len(data.test[0]), generator=torch.Generator().manual_seed(0))[:sequences]
        x, targets = data.test[0][order], data.test[-1][order]
        targets = targets[:, -1] if targets.dim() == 2 else targets  # of the last step
    vectors = network.embed(x).detach().requires_grad_()  # (B, T, D)
    outputs, _ = unroll(network.layers, vectors)
    answer = network.output(outputs[:, -1])
    if answer.shape[1] > 1:
        loss = F.cross_entropy(answer, targets, reduction="sum")
    elif targets.is_floating_point():
        loss = F.mse_loss(answer[:, 0], targets, reduction="sum")
    else:
        loss = F.binary_cross_entropy_with_logits(answer[:, 0], targets.float(), reduction="sum")
    (gradient,) = torch.autograd.grad(loss, vectors)
    norms = gradient.norm(dim=2).square().mean(0).sqrt()  # (T,)
    return list(enumerate(norms.flip(0).tolist()))


def coloured_text(network: nn.Module, text: str, title: str, units: int = 6, characters: int = 90) -> Figure:
    """The end of a text in strips, one per neuron of the last layer and one per gate: red +1, blue -1; gates 0 to 1.

    The neurons are those that hold on longest: whose values at neighbouring characters are most alike, among the half
    that moves most. Of each gate the neuron is shown that opens and shuts it most.
    """
    layer = {name: values[-characters:] for name, values in network.trace(text)[-1].items()}  # of tensors (T, H)
    h = layer["h"]
    moving = h.std(0) >= h.std(0).median()
    centred = h - h.mean(0)
    alike = (centred[1:] * centred[:-1]).sum(0) / centred.square().sum(0).clamp(min=1e-12)  # (H,)
    chosen = alike.masked_fill(~moving, -torch.inf).topk(min(units, int(moving.sum()))).indices.tolist()
    strips = [(f"neuron {i}", h[:, i], -1.0, "RdBu_r") for i in chosen]
    for name, values in layer.items():
        if name not in ("h", "c"):
            i = int(values.std(0).argmax())
            strips.append((f"{name} gate {i}", values[:, i], 0.0, "viridis"))
    figure = Figure(figsize=(12.0, 0.5 + 0.62 * len(strips)), layout="constrained")
    figure.suptitle(title)
    for axes, (label, values, low, colours) in zip(figure.subplots(len(strips), 1), strips, strict=True):
        strip(axes, text[-characters:], values, low, colours)
        axes.set_ylabel(label, rotation=0, ha="right", va="center", fontsize=9)
    return figure


def strip(axes: Axes, text: str, values: Tensor, low: float, colours: str) -> None:
    """One line of text, each character on the colour of its value."""
    axes.imshow(values[None].numpy(), cmap=colours, vmin=low, vmax=1, aspect="auto", alpha=0.55)
    for i, character in enumerate(text):
        axes.text(i, 0, printable(character), ha="center", va="center", fontsize=9, family=FONT)
    axes.set_xticks([])
    axes.set_yticks([])
