"""Figures of networks that tell classes of points in a plane apart: which class they say where."""

from typing import TYPE_CHECKING

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from zoo.models.perceptron import Perceptron
from zoo.palette import ACCENT, INK, PALE, SECOND, SIZE

if TYPE_CHECKING:
    from zoo.data.dataset import DataSet


def decision_regions(network: nn.Module, data: "DataSet", title: str, points: int = 201) -> Figure:
    """Probability of class 1 over the plane, the border at one half, the test items, and the lecture's question.

    A threshold neuron has no probabilities: it says yes or no.
    """
    x, targets = data.test
    scale = torch.tensor(data.transform.get("scale", [1.0, 1.0]))  # back to the units that the lecture speaks in
    names, classes = getattr(data, "feature_names", ["x1", "x2"]), data.transform.get("classes", ["0", "1"])
    few = len(x) <= 10
    first, second, grid = plane(x * scale, margin=0.4 if few else 0.04, points=points)
    p = torch.sigmoid(network(grid / scale)[:, 0]).view(points, points)
    yes_or_no = isinstance(network, Perceptron)
    shown = 0.25 + 0.5 * (p > 0.5) if yes_or_no else p
    figure = Figure(figsize=(6.4, 5.4), layout="constrained")
    axes = figure.subplots()
    shades = axes.contourf(first, second, shown.numpy(), levels=np.linspace(0, 1, 21), cmap="RdBu_r", alpha=0.75)
    axes.contour(first, second, p.numpy(), levels=[0.5], colors=INK, linewidths=2)
    for value, marker, colour in ((0, "o", SECOND), (1, "s", ACCENT)):
        items = (x[targets == value] * scale).numpy()
        axes.scatter(
            items[:, 0], items[:, 1], s=140 if few else 11, marker=marker, color=colour,
            edgecolors="white", linewidths=1.5 if few else 0.2, label=classes[value], zorder=3,
        )  # fmt: skip
    question = getattr(data, "question", None)
    if question:
        answer = float(torch.sigmoid(network(torch.tensor([question]) / scale)))
        label = f"{question}: p = {answer:.2f}"
        axes.scatter(*question, s=260, marker="*", color="gold", edgecolors=INK, label=label, zorder=4)
    axes.set_xlabel(names[0])
    axes.set_ylabel(names[1])
    says = "where it says" if yes_or_no else "probability of"
    axes.set_title(f"{title}: {says} class {classes[1]}" + ("" if yes_or_no else ", border at 0.5"))
    axes.legend(loc="upper right")
    if not yes_or_no:
        figure.colorbar(shades, ax=axes, ticks=[0, 0.25, 0.5, 0.75, 1])
    return figure


def plane(x: Tensor, margin: float, points: int) -> tuple[np.ndarray, np.ndarray, Tensor]:
    """A grid over the items x (N, 2) and a margin (a share of their range): both axes and the grid (points^2, 2)."""
    low, high = x.min(0).values, x.max(0).values
    room = margin * (high - low)
    first, second = (torch.linspace(float(a), float(b), points) for a, b in zip(low - room, high + room, strict=True))
    return first.numpy(), second.numpy(), torch.stack(torch.meshgrid(first, second, indexing="xy"), -1).view(-1, 2)


def many_decision_regions(network: nn.Module, data: "DataSet", title: str, count: int = 24) -> Figure:
    """The same plane as the first `count` copies of a network see it; those with a mistake are framed."""
    x, targets = data.test
    first, second, grid = plane(x, margin=0.4, points=61)
    p = torch.sigmoid(network(grid)).T.view(-1, 61, 61)  # (R, 61, 61)
    solved = ((network(x) > 0) == (targets[:, None] > 0)).all(0)  # (R,)
    figure = Figure(figsize=SIZE, layout="constrained")
    share = f"{int(solved.sum()):,} of {len(solved):,} starts solve it"
    figure.suptitle(f"{title}: {share}; the first {min(count, len(p))}, the stuck ones framed")
    for axes, i in zip(figure.subplots(3, 8).flat, range(count), strict=True):
        axes.set_xticks([])
        axes.set_yticks([])
        axes.axis("on" if i < len(p) else "off")
        if i < len(p):
            axes.contourf(first, second, p[i].numpy(), levels=np.linspace(0, 1, 11), cmap="RdBu_r", alpha=0.75)
            axes.scatter(*x.T.numpy(), s=16, c=[(SECOND, ACCENT)[t] for t in targets], edgecolors="white", zorder=3)
            for spine in axes.spines.values():
                spine.set(color=PALE if solved[i] else INK, linewidth=1 if solved[i] else 4)
    return figure
