"""Figures of word vectors: countries and capitals, countries from west to east, neighbours while they are learnt.

Source: Prague C09 (countries lie in one area, capitals in another, and the offsets are almost the same) and C10 (the
places run roughly from Asia through the Middle East and eastern Europe to western Europe).
Shapes: P pairs of a country and its capital, D embedding_dim.
"""

import csv
import itertools
import re
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from matplotlib.text import Annotation, Text
from matplotlib.transforms import Bbox
from torch import Tensor

from zoo.models.word_vectors import WordVectors
from zoo.palette import ACCENT, SECOND, printable

LARGE = (9.6, 5.4)  # inches; 16:9 like a slide, larger than other figures for the many words
COUNTRY, CAPITAL, GREY, LIGHT = SECOND, ACCENT, "#909497", "#b2babb"
WHITE = {"facecolor": "white", "alpha": 0.7, "linewidth": 0, "pad": 0}  # behind a name that arrows cross
FEWEST, DRAWN = 5, 20  # pairs of which something can be said, and that can be read in one picture
ROWS, COLUMNS = 8, 5  # words and reports, likewise
LINE = re.compile(r"(\S+): (\S+(?:, \S+)*)")  # of a report: a word and its nearest


class Places(NamedTuple):
    """The pairs of data/capitals.csv that a network knows, in alphabetical order of the countries."""

    names: list[tuple[str, str]]  # country, capital
    longitudes: list[float]  # degrees east of the capital
    vectors: Tensor  # (2, P, D): countries, capitals, at length 1
    drawn: list[int]  # the at most 20 pairs whose rarer word is commonest, as indices of these lists


def word_figures(network: WordVectors, folder: Path, title: str) -> dict[str, Figure]:
    """The figures that fit the words of a network and the reports in its run's folder."""
    figures = {"capitals": capitals(network, title), "longitudes": longitudes(network, title)}
    figures["neighbours"] = neighbours(folder, title)
    return {name: figure for name, figure in figures.items() if figure is not None}


def places(network: WordVectors) -> Places | None:
    """None where fewer than five pairs are known, or the vectors have no two dimensions to draw."""
    lines = (files("zoo.files") / "capitals.csv").read_text(encoding="utf-8").splitlines()
    known = [row for row in csv.reader(lines[1:]) if row[0] in network.numbers and row[1] in network.numbers]
    if len(known) < FEWEST or network.embedding_dim < 2:
        return None
    numbers = torch.tensor([[network.number(row[kind]) for row in known] for kind in (0, 1)])
    vectors = network.unit_vectors().cpu()[numbers]
    drawn = numbers.amax(0).argsort()[:DRAWN].tolist()
    return Places([(row[0], row[1]) for row in known], [float(row[2]) for row in known], vectors, drawn)


def principal_components(x: Tensor, count: int) -> Tensor:
    """Rows (N, D) along the first principal components of all rows: (N, count), with mean 0."""
    centred = x - x.mean(0)
    return centred @ torch.linalg.svd(centred, full_matrices=False).Vh[:count].T


def offset_cosine(network: WordVectors) -> tuple[float, float] | None:
    """Mean cosine between the offsets capital - country of two different countries, and the same of wrong pairs (C09).

    At 1 all offsets have the same direction. Wrong pairs are for comparison, since they too lead from the countries to
    the capitals: the capitals move on by 1, 2, ..., P - 1 places of the alphabet, so that each country meets each wrong
    capital once, and the P - 1 means are averaged. None where there are no `places`.
    """
    if (known := places(network)) is None:
        return None
    start, end = known.vectors
    wrong = [mean_cosine(end.roll(shift, 0) - start) for shift in range(1, len(start))]
    return mean_cosine(end - start), sum(wrong) / len(wrong)


def mean_cosine(x: Tensor) -> float:
    """Mean cosine between two different rows of (P, D)."""
    cosines = F.normalize(x, dim=1) @ F.normalize(x, dim=1).T
    return float((cosines.sum() - cosines.trace()) / (len(x) * (len(x) - 1)))


def longitude_rank(network: WordVectors) -> float | None:
    """Spearman's rank correlation, in [0, 1], of the countries' first principal component and longitude (C10).

    Of the vectors at length 1; the longitude is the capital's. The absolute value, since the sign of a component means
    nothing. None where there are no `places`.
    """
    return eastward(known)[1] if (known := places(network)) else None


def eastward(known: Places) -> tuple[Tensor, float]:
    """The countries' first principal component (P,), its sign such that it grows eastwards; the rank correlation."""
    from scipy.stats import spearmanr

    component = principal_components(known.vectors[0], 1)[:, 0]
    correlation = float(spearmanr(component.numpy(), known.longitudes).statistic)
    return (-component if correlation < 0 else component), abs(correlation)


def capitals(network: WordVectors, title: str) -> Figure | None:
    """Countries, capitals and the offsets between them along the first two principal components of both (C09).

    At most 20 pairs are drawn; components and cosines are those of all. None where there are no `places`.
    """
    if (known := places(network)) is None:
        return None
    points = principal_components(known.vectors.flatten(0, 1), 2).view(2, -1, 2)
    points = -points if points[1, :, 0].mean() < 0 else points  # arrows are read from left to right
    start, end = points[:, known.drawn]
    figure = Figure(figsize=LARGE, layout="constrained")
    axes = figure.subplots()
    axes.quiver(*start.T, *(end - start).T, angles="xy", scale_units="xy", scale=1, width=0.0015, color=LIGHT)
    labels = []
    for kind, here, there, colour in ((0, start, end, COUNTRY), (1, end, start, CAPITAL)):
        axes.scatter(*here.T, s=14, color=colour)
        for i, point, other in zip(known.drawn, here.tolist(), there.tolist(), strict=True):
            side = (-4, "right") if point[0] < other[0] else (4, "left")  # the name stands away from its arrow
            line = {"arrowstyle": "-", "color": colour, "linewidth": 0.5, "shrinkA": 0, "shrinkB": 0}
            labels.append(axes.annotate(printable(known.names[i][kind]), point, (side[0], 0), arrowprops=line))
            labels[-1].set(anncoords="offset points", ha=side[1], va="center", color=colour, fontsize=9, bbox=WHITE)
    axes.set(xlabel="first principal component; blue: countries, red: capitals", ylabel="second")
    axes.margins(0.12)
    cosines = "mean cosine between two offsets {:.2f}, of wrong pairs {:.2f}".format(*offset_cosine(network))
    axes.set_title(f"{title}: {len(known.drawn)} of {len(known.names)} pairs\n{cosines}")
    move_apart(figure, labels)
    return figure


def move_apart(figure: Figure, labels: list[Annotation]) -> None:
    """Move labels no farther than needed, so that none covers another or a point."""
    figure.draw_without_rendering()  # which places them
    points = [label.axes.transData.transform(label.xy) for label in labels]
    taken = [Bbox([point - 3, point + 3]) for point in points]  # in pixels
    moves = sorted(itertools.product(range(-200, 201, 4), repeat=2), key=lambda move: move[0] ** 2 + move[1] ** 2)
    for label in labels:
        box = Text.get_window_extent(label)  # without its line
        x, y = next(move for move in moves if not box.translated(*move).count_overlaps(taken))
        taken.append(box.translated(x, y))
        label.set_position((label.xyann[0] + x * 72 / figure.dpi, label.xyann[1] + y * 72 / figure.dpi))


def longitudes(network: WordVectors, title: str) -> Figure | None:
    """The first principal component of the countries, one line for each, from west to east (C10).

    A line for each keeps those of Europe apart, which share few degrees. At most 20 are drawn; component and rank
    correlation are those of all. None where there are no `places`.
    """
    if (known := places(network)) is None:
        return None
    component, correlation = eastward(known)
    drawn = sorted(known.drawn, key=known.longitudes.__getitem__, reverse=True)  # the lowest line first
    figure = Figure(figsize=LARGE, layout="constrained")
    axes = figure.subplots()
    axes.plot(component[drawn], range(len(drawn)), "o", color=COUNTRY)
    labels = [f"{printable(known.names[i][0])} {round(known.longitudes[i])}\u00b0" for i in drawn]
    axes.set_yticks(range(len(drawn)), labels)
    axes.grid(axis="y", color=LIGHT, linewidth=0.5)
    axes.set(xlabel="first principal component of the countries", ylabel="longitude, from west to east")
    counts = f"{len(drawn)} of {len(known.names)} countries"
    axes.set_title(f"{title}: {counts}\nrank correlation with longitude {correlation:.2f}")
    return figure


def neighbours(folder: Path, title: str) -> Figure | None:
    """The nearest words of at most eight, a column for each of at most five reports of a run, the first and last too.

    Read from `reports/<step>.txt`, lines "word: nearest, second, ..."; red are those of the last column. None where the
    run has no reports of this form.
    """
    reports = []  # (step, {word: its nearest})
    for path in sorted((folder / "reports").glob("[0-9]*.txt"), key=lambda path: int(path.stem)):
        lines = [LINE.fullmatch(line) for line in path.read_text(encoding="utf-8").splitlines()]
        if lines and all(lines):
            reports.append((int(path.stem), {line[1]: line[2].split(", ") for line in lines}))
    if not reports:
        return None
    chosen = torch.linspace(0, len(reports) - 1, min(COLUMNS, len(reports))).round().int().tolist()
    words = list(reports[-1][1].items())[:ROWS]
    figure = Figure(figsize=(LARGE[0], 0.7 + 0.72 * len(words)), layout="constrained")
    axes = figure.subplots()
    for row, (word, last) in enumerate(words):
        axes.axhline(row - 0.5, color=GREY, linewidth=0.5)
        axes.text(0, row, printable(word), va="center", weight="bold")
        for column, i in enumerate(chosen, start=1):
            cell = reports[i][1].get(word, [])
            for line, neighbour in enumerate(cell):
                height = row - 0.45 + 0.9 * (line + 0.5) / len(cell)  # one under another between two rules
                colour = CAPITAL if neighbour in last else GREY
                axes.text(column, height, printable(neighbour), va="center", fontsize=9, color=colour)
    axes.set(xlim=(0, len(chosen) + 1), ylim=(len(words) - 0.5, -0.5), yticks=[])
    axes.set_xticks(range(1, len(chosen) + 1), [f"step {reports[i][0]:,}" for i in chosen], ha="left")
    axes.tick_params(length=0, labeltop=True, labelbottom=False)
    axes.spines[:].set_visible(False)
    figure.suptitle(f"{title}: nearest words, red those of the last column")
    return figure
