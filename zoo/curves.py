"""Curves that are kept as CSV beside their figure, so that those of several runs can be drawn into one.

`python train.py -m experiment=recall_rnn,recall_gru,recall_transformer` ends with such figures (zoo/sweep.py).
"""

import csv
from pathlib import Path

from matplotlib.figure import Figure

from zoo.checkpoint import write_whole
from zoo.palette import COLOURS, SIZE

Curve = list[tuple[float, float]]
CURVES = {  # name: axis labels, and whether y is logarithmic
    "validation_loss": ("epoch", "validation loss", True),
    "validation_loss_by_time": ("seconds", "validation loss", True),
    "gradient_by_lag": ("steps back", "norm of the loss's gradient at that input", True),
    "gradient_by_layer": ("layer", "root mean square of the gradient by its weights", True),
    "error_by_labels": ("labels", "share of the test pictures that is misread", True),
    "accuracy_by_gap": ("symbols between the one to remember and the question", "accuracy", False),
}


def kept_curve(name: str, curve: Curve, folder: Path, title: str) -> Figure:
    """The figure of one curve, which is written as CSV into `folder` too."""
    x, y, _ = CURVES[name]
    write_whole(folder / f"{name}.csv", "".join(f"{a},{b}\n" for a, b in [(x, y), *curve]).encode())
    return draw_curves(name, {title: curve}, title)


def read_curve(path: Path) -> Curve:
    """A curve as it was written."""
    with open(path, newline="") as file:
        return [(float(x), float(y)) for x, y in list(csv.reader(file))[1:]]


def draw_curves(name: str, curves: dict[str, Curve], title: str) -> Figure:
    """One or more curves of a kind in one figure."""
    x, y, logarithmic = CURVES[name]
    figure = Figure(figsize=SIZE, layout="constrained")
    axes = figure.subplots()
    for colour, (label, points) in zip(COLOURS, curves.items(), strict=False):
        points = [(a, b) for a, b in points if b > 0 or not logarithmic]  # what has underflown ends the line
        marker = "o" if len(points) <= 12 else None
        axes.plot(*zip(*points, strict=True), color=colour, linewidth=2, marker=marker, label=label)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.set_title(title)
    axes.spines[["top", "right"]].set_visible(False)
    if logarithmic:
        axes.set_yscale("log")
        lowest, highest = axes.get_ylim()
        if highest < 30 * lowest:  # at most one power of ten would stand beside the axis
            axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
            axes.yaxis.set_minor_formatter(lambda value, _: f"{value:g}")
    else:
        axes.set_ylim(0, 1.03)
        ticks = sorted({a for curve in curves.values() for a, _ in curve})
        axes.set_xscale("log" if ticks[0] > 0 else "symlog")
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.minorticks_off()
    if len(curves) > 1:
        axes.legend(frameon=False)
    return figure
