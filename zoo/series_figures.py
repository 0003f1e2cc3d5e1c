"""The figure of a network that foretells a series: what it makes of it when it reads nothing but its own answers."""

from typing import TYPE_CHECKING

import torch
from matplotlib.figure import Figure
from torch import nn

from zoo.palette import ACCENT, INK, SECOND, SIZE

if TYPE_CHECKING:
    from zoo.data.mackey_glass import MackeyGlass

STEPS = 300
FAR_OFF = 0.1  # standard deviations, from which on two curves are seen to part


@torch.no_grad()
def left_alone(network: nn.Module, data: "MackeyGlass", title: str) -> Figure:
    """The series and the network's own continuation of it (top); their distance, in standard deviations (bottom).

    In a chaotic series any error grows, however small it was, until the two have nothing in common.
    """
    series, answers = data.left_alone(network, STEPS)
    distance = (answers - series).abs() / series.std()
    far = (distance > FAR_OFF).nonzero()
    until = f"within {FAR_OFF:g} standard deviations for {int(far[0])} steps" if len(far) else "never far off"
    figure = Figure(figsize=SIZE, layout="constrained")
    figure.suptitle(f"{title}: left to itself, {until}")
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    steps = torch.arange(1, STEPS + 1)
    top.plot(steps, series, color=SECOND, linewidth=2, label="the series")
    top.plot(steps, answers, color=ACCENT, linewidth=2, linestyle="--", label="the network, fed its own answers")
    low, high = float(series.min()), float(series.max())
    top.set_ylim(low - 0.3 * (high - low), high + 0.5 * (high - low))  # whatever the network has come to
    top.legend(frameon=False, loc="upper left", ncols=2)
    bottom.semilogy(steps, distance.clamp(min=1e-7), color=INK)
    bottom.axhline(FAR_OFF, color=ACCENT, linewidth=1)
    bottom.set_xlabel("steps after the last true value that it was given")
    bottom.set_ylabel("distance")
    for axes in (top, bottom):
        axes.spines[["top", "right"]].set_visible(False)
    return figure
