"""Figures of attention: which position looks at which, per layer and head; how positions are told apart."""

from typing import TYPE_CHECKING

import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor, nn

from zoo.models.decoding import BEGIN, END, PADDING
from zoo.palette import ACCENT, FONT, SIZE, printable

if TYPE_CHECKING:
    from zoo.data.dataset import DataSet

CHARACTERS, WORDS = 32, 20  # that fit beside a map and can still be read


def attention_figures(network: nn.Module, data: "DataSet", title: str) -> dict[str, Figure]:
    """The figures that fit this network and data."""
    figures = {}
    table = getattr(getattr(network, "positions", None), "table", None)
    if table is not None:
        figures["positions"] = position_heat_map(table.detach().float(), title)
    if hasattr(network, "translate"):
        figures |= translation_maps(network, data, title)
    elif data.consecutive:
        x = data.test[0][None, : min(CHARACTERS, network.context_length)]
        labels = list(network.decode(x[0]))
        figures["attention_maps"] = grid(network.attention_maps(x), labels, labels, title)
    elif hasattr(data, "gaps"):
        figures["attention_to_the_past"] = recall_map(network, data, title)
    elif "vocabulary" in data.transform and len(data.test) == 3:
        x, lengths, _ = (part[data.test[1].argmin()][None] for part in data.test)  # the shortest text
        first = max(0, int(lengths) - WORDS)
        labels = [data.transform["vocabulary"][i] for i in x[0, first : int(lengths)].tolist()]
        maps = [
            weights[:, :, first : int(lengths), first : int(lengths)] for weights in network.attention_maps(x, lengths)
        ]
        figures["attention_maps"] = grid(maps, labels, labels, title)
    return figures


def position_heat_map(table: Tensor, title: str) -> Figure:
    """What is added at each place (T, D), and how alike the places are: the cosine of each pair (T, T)."""
    figure = Figure(figsize=SIZE, layout="constrained")
    figure.suptitle(f"{title}: the position encoding")
    left, right = figure.subplots(1, 2)
    bound = float(table.abs().max())
    shades = left.imshow(table.numpy(), cmap="RdBu_r", vmin=-bound, vmax=bound, aspect="auto", interpolation="nearest")
    left.set_xlabel("coordinate")
    left.set_ylabel("place")
    figure.colorbar(shades, ax=left)
    unit = F.normalize(table, dim=1)
    shades = right.imshow((unit @ unit.T).numpy(), cmap="RdBu_r", vmin=-1, vmax=1, interpolation="nearest")
    right.set_xlabel("place")
    right.set_title("cosine between places", fontsize=10)
    figure.colorbar(shades, ax=right)
    return figure


def grid(maps: list[Tensor], asking: list[str], asked: list[str], title: str) -> Figure:
    """One panel per layer (row) and head (column) of L maps (1, A, T, S)."""
    rows, columns = len(maps), maps[0].shape[1]
    figure = Figure(figsize=(2.6 * columns + 0.8, 2.5 * rows + 0.6), layout="constrained")
    figure.suptitle(f"{title}: each row shows where that position looks, dark the most of each map")
    for i, line in enumerate(figure.subplots(rows, columns, squeeze=False)):
        for j, axes in enumerate(line):
            panel(axes, maps[i][0, j], asking if j == 0 else [], asked if i == rows - 1 else [])
            axes.set_title(f"layer {i + 1}, head {j + 1}", fontsize=9)
    return figure


def panel(axes: Axes, weights: Tensor, asking: list[str], asked: list[str], fontsize: float = 5.5) -> None:
    """One map (T, S), white 0, dark the largest; labels where given."""
    axes.imshow(weights.float().numpy(), cmap="Blues", vmin=0, aspect="auto", interpolation="nearest")
    straight = max(map(len, asked), default=0) <= 1
    axes.set_xticks(
        range(len(asked)), [printable(text) for text in asked], fontsize=fontsize, rotation=0 if straight else 90
    )
    axes.set_yticks(range(len(asking)), [printable(text) for text in asking], fontsize=fontsize)
    for label in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        label.set_family(FONT)
    axes.tick_params(length=0)


def recall_map(network: nn.Module, data: "DataSet", title: str) -> Figure:
    """Where the question looks: one sequence of each gap, per layer and head; a ring round the symbol asked for."""
    x, _ = data.test
    x = x[:: len(x) // len(data.gaps)]  # (gaps, T), the first of each
    maps = [weights[:, :, -1] for weights in network.attention_maps(x)]  # (gaps, A, T) of each layer
    places = [x.shape[1] - gap - 2 for gap in data.gaps]  # of the symbols asked for
    panels = [(f"layer {i + 1}, head {j + 1}", m[:, j]) for i, m in enumerate(maps) for j in range(m.shape[1])]
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(12.0, 0.6 + 2.1 * rows), layout="constrained")
    figure.suptitle(f"{title}: where the question mark looks; ringed: the symbol to remember")
    for number, axes in enumerate(figure.subplots(rows, columns, squeeze=False).flat):
        if number == len(panels):  # an odd number leaves one over
            axes.axis("off")
            continue
        label, weights = panels[number]
        axes.imshow(weights.float().numpy(), cmap="Blues", vmin=0, vmax=1, aspect="auto", interpolation="nearest")
        axes.scatter(places, range(len(places)), s=60, facecolors="none", edgecolors=ACCENT)
        axes.set_yticks(range(len(data.gaps)), map(str, data.gaps), fontsize=7)
        axes.set_ylabel("gap")
        axes.set_xlabel("step")
        axes.set_title(label, fontsize=9)
    return figure


def translation_maps(network: nn.Module, data: "DataSet", title: str) -> dict[str, Figure]:
    """Where each piece of a translation looks in the source: four test sentences, and all heads on the first of them.

    The four are drawn as the mean over the heads of the last layer. Nothing is drawn of a network without attention.
    """
    from zoo.data.subwords import pieces

    sources = data.test[0]
    lengths = (sources != PADDING).sum(1)
    shortest = lengths.argsort(stable=True)[: len(lengths) // 2]  # can be read on a slide
    figure = Figure(figsize=(12.0, 9.0), layout="constrained")
    figure.suptitle(f"{title}: where each piece of the translation looks")
    figures = {"translations": figure}
    for axes, i in zip(figure.subplots(2, 2).flat, shortest.sort().values[:4].tolist(), strict=False):
        source = sources[None, i, : int(lengths[i])]
        (written,) = network.translate(source)
        maps = network.attention_maps(source, F.pad(written, (1, 0), value=BEGIN)[None])
        if not maps:
            return {}
        asked, asking = (pieces(row, data.transform) for row in (source[0], F.pad(written, (0, 1), value=END)))
        panel(axes, maps[-1][0].mean(0), asking, asked, fontsize=8)
        if maps[0].shape[1] > 1 and "attention_maps" not in figures:
            figures["attention_maps"] = grid(maps, asking, asked, title)
    return figures
