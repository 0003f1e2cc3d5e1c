"""The figures of a run, large enough for a slide: drawn from metrics.csv, the network and the test set.

Every function returns a matplotlib Figure; `draw_all` chooses those that fit and writes them as PNG.
"""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter
from torch import Tensor, nn

from zoo.attention_figures import attention_figures
from zoo.autoencoder_figures import autoencoder_figures
from zoo.checkpoint import write_whole
from zoo.curves import kept_curve
from zoo.models.classifier import class_logits
from zoo.models.recurrent import Cells
from zoo.models.word_vectors import WordVectors
from zoo.palette import ACCENT, COLOURS, INK, PALE, SECOND, SIZE
from zoo.picture_figures import (
    LOOKED_AT,
    Picture,
    class_name,
    coloured_filters,
    draw_image,
    picture_figures,
    ready_in_parts,
    spread,
)
from zoo.plane_figures import decision_regions, many_decision_regions
from zoo.recurrent_figures import recurrent_figures
from zoo.series_figures import left_alone
from zoo.word_figures import word_figures

if TYPE_CHECKING:
    from zoo.data.dataset import DataSet

MOST_CLASSES = 20  # of a confusion matrix that can still be read


def draw_all(network: nn.Module, data: "DataSet", folder: Path, title: str) -> list[Path]:
    """Draw what fits this network and data into `folder/figures`; the paths written."""
    network.eval()
    series = read_metrics(folder / "metrics.csv")
    figures = {"learning_curves": learning_curves(series, title, read_phases(folder / "metrics.csv", network))}
    batch = data.ready("test", slice(2))
    items = batch[0]
    with torch.no_grad():
        tells_classes = items.is_floating_point() and "acc" in network.loss(batch)
        if tells_classes and items.shape[1:] == (2,):  # points of the plane
            one_answer = network(items).shape[1] == 1
            regions = decision_regions if one_answer else many_decision_regions
            figures["decision_regions"] = regions(network, data, title)
        if tells_classes and items.dim() >= 4:  # pictures, or several views of each
            figures |= classification_figures(network, data, title)
    if items.dim() == 4:
        figures |= autoencoder_figures(network, data, folder, title)
    convs = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    if convs:
        in_halves = len(convs) > 1 and convs[1].groups == 2  # each looks at one half of what the first has found
        figures["conv1_filters"] = conv_filters(convs[0].weight.detach(), title, 1 + in_halves)
    if isinstance(getattr(network, "layers", None), (nn.RNNBase, Cells)):
        figures |= recurrent_figures(network, data, folder / "figures", title)
    if hasattr(network, "attention_maps"):
        with torch.no_grad():
            figures |= attention_figures(network, data, title)
    if isinstance(network, WordVectors):
        figures |= word_figures(network, folder, title)
    if hasattr(data, "accuracy_by_gap"):
        curve = data.accuracy_by_gap(network)
        figures["accuracy_by_gap"] = kept_curve("accuracy_by_gap", curve, folder / "figures", title)
    if hasattr(data, "left_alone"):
        figures["left_alone"] = left_alone(network, data, title)
    return [save(figure, folder / "figures" / f"{name}.png") for name, figure in figures.items()]


def save(figure: Figure, path: Path) -> Path:
    """Write a figure as PNG, whole."""
    picture = io.BytesIO()
    figure.savefig(picture, dpi=160)
    write_whole(path, picture.getbuffer())
    return path


def read_metrics(path: Path, against: str = "epoch") -> dict[str, list[tuple[float, float]]]:
    """metrics.csv as one series per metric: (epochs done, value); against="seconds": (seconds of training, value)."""
    series: dict[str, list[tuple[float, float]]] = {}
    with open(path, newline="") as file:
        for row in csv.DictReader(file):
            for name, text in row.items():
                if text and "/" in name and row.get(against):  # runs of older versions have no seconds
                    series.setdefault(name, []).append((float(row[against]), float(text)))
    return series


def read_phases(path: Path, network: nn.Module) -> dict[str, float]:
    """The phases that metrics.csv tells of, by name, and the epoch at which each has ended."""
    names = [phase.name for phase in getattr(network, "phases", [])]
    with open(path, newline="") as file:
        rows = [row for row in csv.DictReader(file) if row.get("phase")]
    return {names[int(float(row["phase"])) - 1]: float(row["epoch"]) for row in rows}


def learning_curves(
    series: dict[str, list[tuple[float, float]]], title: str, phases: dict[str, float] | None = None
) -> Figure:
    """Errors (left) and the shares between 0 and 1 (right) against the epoch, training and validation.

    phases: name and last epoch of each; lines stand between them.
    """
    figure = Figure(figsize=SIZE, layout="constrained")
    figure.suptitle(title)
    # Without details, such as the share of one section of the analogies.
    series = {name: points for name, points in sorted(series.items()) if name.count("/") == 1}
    on_the_left = {name for name in series if name.partition("/")[2] in ("loss", "squared_error")}
    panels = figure.subplots(1, 1 + (len(on_the_left) < len(series)), sharex=True, squeeze=False)[0]
    left, right = panels[0], panels[-1]
    others = sorted({name.partition("/")[2] for name in series} - {"loss", "acc"})
    for name, points in series.items():
        part, _, metric = name.partition("/")
        axes = left if name in on_the_left else right
        style = {"train": (SECOND, "-"), "val": (ACCENT, "--")}.get(part, (INK, ":"))
        if metric in ("loss", "acc"):
            label, width = part, 2.0
        else:  # each in a colour of its own
            label, width = f"{part} {metric}", 1.0
            style = (COLOURS[(others.index(metric) + 2) % len(COLOURS)], style[1])  # after red and blue
        marker = "o" if len(points) <= 12 else None  # a single point would not be seen
        axes.plot(*zip(*points, strict=True), style[1], color=style[0], linewidth=width, marker=marker, label=label)
    labels = ("loss", "accuracy" if any(name.endswith("/acc") for name in series) else "")
    for axes, label in zip(panels, labels, strict=False):
        axes.set_xlabel("epoch")
        axes.set_ylabel(label)
        axes.spines[["top", "right"]].set_visible(False)
        if axes.lines:
            axes.legend(frameon=False)
    losses = [value for line in left.lines for value in line.get_ydata()]
    if losses and min(losses) > 0:
        left.set_yscale("log")
        plain = FuncFormatter(lambda value, _: f"{value:g}")
        left.yaxis.set_major_formatter(plain)
        if max(losses) < 10 * min(losses):  # else the powers of ten are labels enough
            left.yaxis.set_minor_formatter(plain)
    if phases:
        left.set_xlim(left=0)  # or the name of a phase of a few steps would stand outside
    ends = [0.0, *(phases or {}).values()]
    for name, start, end in zip(phases or {}, ends, ends[1:], strict=False):
        left.text((start + end) / 2, 1.01, name, transform=left.get_xaxis_transform(), size=7, ha="center")
        for axes in panels if start else ():
            axes.axvline(start, color=PALE, zorder=0)
    return figure


def classification_figures(network: nn.Module, data: "DataSet", title: str) -> dict[str, Figure]:
    """What a network that classifies pictures takes for what, its worst mistakes, and a picture looked at closely.

    The picture is the first that it gets right, or else the first.
    """
    rows = spread(len(data.test[0]), LOOKED_AT)
    answers = [(class_logits(network(images)), targets) for images, targets in ready_in_parts(data, rows)]
    logits, targets = (torch.cat(parts) for parts in zip(*answers, strict=True))
    figures = {}
    if logits.shape[1] <= MOST_CLASSES:
        figures["confusion_matrix"] = confusion_matrix(logits, targets, title, data.transform.get("classes"))
    wrong = surest_mistakes(logits, targets)
    images = middle_views(data, rows[wrong]) if len(wrong) else []
    figures["worst_mistakes"] = worst_mistakes(logits[wrong], targets[wrong], images, data.transform, title)
    chosen = (logits.argmax(1) == targets).int().argmax()[None]  # the first of the largest; 0 where all are wrong
    picture = Picture(middle_views(data, rows[chosen])[0], data.transform, int(targets[chosen]))
    return figures | picture_figures(network, picture, title)


def middle_views(data: "DataSet", rows: Tensor) -> Tensor:
    """Test pictures (n, C, h, w) as a network takes them; of several views of each, the middle one."""
    images = data.ready("test", rows)[0]
    return images[:, 4] if images.dim() == 5 else images


def confusion_matrix(logits: Tensor, targets: Tensor, title: str, names: list[str] | None = None) -> Figure:
    """Counts of (true class, predicted class); the shade shows the mistakes, since right answers outnumber them."""
    classes = logits.shape[1]
    counts = torch.zeros(classes, classes, dtype=torch.int64)
    counts.index_put_((targets, logits.argmax(1)), torch.ones_like(targets), accumulate=True)
    mistakes = counts.clone().fill_diagonal_(0)
    figure = Figure(figsize=(6.4, 5.8) if classes <= 10 else (10.0, 9.0), layout="constrained")
    axes = figure.subplots()
    axes.imshow(mistakes.numpy(), cmap="Reds", vmax=max(1, int(mistakes.max())) * 1.3)
    for i in range(classes):
        for j in range(classes):
            if counts[i, j]:
                axes.text(
                    j, i, int(counts[i, j]), ha="center", va="center", fontsize=9,
                    color=INK, weight="normal" if i == j else "bold",
                )  # fmt: skip
    labels = [class_name(names, i) for i in range(classes)]
    axes.set_xticks(range(classes), labels, rotation=90 if names and classes > 3 else 0)
    axes.set_yticks(range(classes), labels)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    wrong = int(mistakes.sum())
    axes.set_title(f"{title}: {wrong} of {len(targets)} wrong ({wrong / len(targets):.2%})")
    return figure


def surest_mistakes(logits: Tensor, targets: Tensor, count: int = 16) -> Tensor:
    """Which of the answers (N, K) are wrong, the surest first: at most `count` numbers, int64."""
    sureness, predicted = logits.softmax(1).max(1)
    wrong = (predicted != targets).nonzero()[:, 0]
    return wrong[sureness[wrong].argsort(descending=True)][:count]


def worst_mistakes(
    logits: Tensor, targets: Tensor, images: Sequence[Tensor], transform: dict[str, Any], title: str
) -> Figure:
    """Wrong answers about the pictures (C, h, w), with the probabilities of the answer and of the truth.

    Up to 16 are drawn, up to 8 where classes have names, which take more room.
    """
    names = transform.get("classes")
    figure = Figure(figsize=SIZE, layout="constrained")
    figure.suptitle(f"{title}: the mistakes it was surest of" if len(images) else f"{title}: no mistakes")
    grid = figure.subplots(2, 4 if names else 8)
    for axes in grid.flat:
        axes.axis("off")
    for axes, p, truth, image in zip(grid.flat, logits.softmax(1), targets.tolist(), images, strict=False):
        guess = int(p.argmax())
        draw_image(axes, image, transform)
        says, true = class_name(names, guess), class_name(names, truth)
        axes.set_title(f"says {says} ({p[guess]:.0%})\nis {true} ({p[truth]:.0%})", fontsize=9)
    return figure


def conv_filters(weight: Tensor, title: str, halves: int = 1) -> Figure:
    """Every filter of the first convolution, (C_out, C_in, h, w).

    Of three channels: as a coloured picture, each on its own scale; halves: 2 puts a gap after the first half, where
    the second convolution sees only one half. Otherwise red positive, blue negative, one scale for all.
    """
    title = f"{title}: the {len(weight)} filters of the first convolution"
    if weight.shape[1] == 3:
        return coloured_filters(weight, title, halves)
    filters = weight.mean(1)  # (C_out, h, w); for grey input the filter itself
    rows = -(-len(filters) // 10)
    columns = -(-len(filters) // rows)
    figure = Figure(figsize=(8.0, 0.6 + 8.0 / columns * rows), layout="constrained")
    figure.suptitle(title)
    bound = float(filters.abs().max())
    for axes, i in zip(figure.subplots(rows, columns, squeeze=False).flat, range(rows * columns), strict=True):
        axes.axis("off")
        if i < len(filters):
            axes.imshow(filters[i].numpy(), cmap="RdBu_r", vmin=-bound, vmax=bound)
    return figure
