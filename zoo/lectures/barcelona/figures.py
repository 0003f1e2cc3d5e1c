"""Figures of the lecture of Barcelona, each under the claim that it shows."""

import math

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyArrowPatch

from zoo.lectures.barcelona.recurrence import scans
from zoo.lectures.ledger import drawing
from zoo.lectures.panels import blank, new_figure, plain
from zoo.lectures.small_tasks import (
    ReNet,
    digits,
    drawn_pictures,
    moving_digits,
    outlines,
    pixel_model,
    segmenter,
    strings_of_pixels,
)
from zoo.palette import ACCENT, COLOURS, INK, PALE, SECOND

THIRD = COLOURS[2]
RADIUS = 0.28  # of a layer in R04


def arrow(axes: Axes, begin: tuple[float, float], end: tuple[float, float], colour: str) -> None:
    """From the rim of one circle to that of another, to the right or up."""
    gap = (RADIUS + 0.02) / math.dist(begin, end)
    (a, b), (c, d) = begin, end
    ends = (a + gap * (c - a), b + gap * (d - b)), (c - gap * (c - a), d - gap * (d - b))
    axes.add_patch(FancyArrowPatch(
        *ends, arrowstyle="-|>", mutation_scale=16, color=colour, linewidth=2, shrinkA=0, shrinkB=0
    ))  # fmt: skip


@drawing("R04")
def front_and_side() -> Figure:
    """Three layers seen from the front, and from the side: the same weights at every step."""
    figure, (front, side) = new_figure(
        "Front view and side view: the same three matrices at every step", 1, 2, width_ratios=(1, 2.6)
    )
    colours = {"x": SECOND, "h": INK, "y": ACCENT}

    def column(axes: Axes, at: float, index: str) -> None:
        for height, letter in enumerate("xhy"):
            axes.add_patch(Circle((at, height), RADIUS, facecolor="white", edgecolor=colours[letter], linewidth=2.5))
            axes.text(at, height, f"${letter}_{{{index}}}$", ha="center", va="center", fontsize=15)
        for height, weight in enumerate(("w_1", "w_3")):
            arrow(axes, (at, height), (at, height + 1), INK)
            axes.text(at - 0.12, height + 0.5, f"${weight}$", ha="right", va="center", fontsize=13)

    column(front, 0.0, "t")
    front.add_patch(FancyArrowPatch(
        (0.2, 1.2), (0.2, 0.8), arrowstyle="-|>", mutation_scale=16, color=THIRD, linewidth=2.5,
        connectionstyle="arc3,rad=-2.6",
    ))  # fmt: skip
    front.text(0.78, 1.0, "$w_2$", color=THIRD, ha="left", va="center", fontsize=15)
    front.set_title("front", fontsize=13)
    for at, index in enumerate(("t-1", "t", "t+1")):
        column(side, 1.3 * at, index)
    for at in range(-1, 3):
        arrow(side, (1.3 * at, 1), (1.3 * (at + 1), 1), THIRD)
        side.text(1.3 * (at + 0.5), 1.1, "$w_2$", color=THIRD, ha="center", va="bottom", fontsize=15)
    side.set_title("side: turned by 90 degrees, along time", fontsize=13)
    for axes, right in ((front, 1.2), (side, 3.7)):
        axes.set_xlim(-0.6 if axes is front else -1.1, right)
        axes.set_ylim(-0.4, 2.4)
        axes.set_aspect("equal")
        axes.axis("off")
    return figure


@drawing("R06")
def three_scans() -> Figure:
    """A picture as a sequence: the way of three scans, the jumps in red."""
    figure, panels = new_figure("A still image as a sequence of pixels: three ways to read it", 1, 3)
    picture = digits("test")[0][5, 0]
    for axes, (name, path) in zip(panels, scans(8).items(), strict=True):
        axes.imshow(picture.numpy(), cmap="gray_r", alpha=0.35)
        for (i, j), (k, m) in zip(path.tolist(), path[1:].tolist(), strict=False):
            far = abs(k - i) > 1 or abs(m - j) > 1
            axes.plot([j, m], [i, k], color=ACCENT if far else SECOND, linewidth=1.2 if far else 2.4)
        axes.plot(path[0, 1], path[0, 0], "o", color=INK, markersize=9)
        longest = float((path[1:] - path[:-1]).float().norm(dim=1).max())
        axes.set_title(f"{name}\nlongest step {longest:.2f} pixels", fontsize=13)
        axes.axis("off")
    return figure


@drawing("R07")
def which_way() -> Figure:
    """Two videos of four frames; one frame alone does not tell the direction."""
    figure, panels = new_figure(
        "A video is a sequence: which way does the digit go?\n"
        "An RNN that reads four frames is always right, from one frame it can but guess", 2, 4,
    )  # fmt: skip
    video, rightwards = moving_digits(digits("test")[0][:40])
    for line, direction in enumerate((1, 0)):
        frames = video[int((rightwards == direction).nonzero()[1])]
        for t, frame in enumerate(frames):
            axes = panels[4 * line + t]
            axes.imshow(frame.numpy(), cmap="gray_r")
            blank(axes)
            axes.set_title(f"t = {t + 1}" if not line else "", fontsize=13)
        panels[4 * line].set_ylabel("right" if direction else "left", fontsize=13)
    return figure


@drawing("R11")
def powers() -> Figure:
    """What is left of a state, or of a gradient, after T multiplications by a matrix."""
    figure, (axes,) = new_figure("T multiplications by U: exploding, kept, vanishing")
    rotation = torch.linalg.qr(torch.randn(64, 64, dtype=torch.float64)).Q
    for gain, colour in ((1.1, ACCENT), (1.0, INK), (0.9, SECOND), (0.5, THIRD)):
        norms = [float(torch.linalg.matrix_norm(torch.linalg.matrix_power(gain * rotation, t), 2)) for t in range(51)]
        axes.semilogy(norms, color=colour, linewidth=2.5)
        axes.text(50.5, norms[-1], f"{gain:.1f}: {norms[-1]:.2g}", color=colour, va="center", fontsize=13)
    plain(axes, "T", "largest stretch by U, T times")
    axes.set_xlim(0, 60)
    axes.grid(color=PALE)
    return figure


@drawing("R15")
def kept_by_the_gate() -> Figure:
    """How much of the cell state is left after T steps, by where the forget gate stands."""
    figure, (axes,) = new_figure("The cell adds, and yet forgets: what a forget gate leaves of c after T steps")
    steps = torch.arange(101)
    for bias, name, colour in (
        (5.0, "bias 5", THIRD), (3.0, "bias 3", INK), (1.0, "bias 1 (Gers et al.)", SECOND), (0.0, "bias 0", ACCENT),
    ):  # fmt: skip
        f = float(torch.sigmoid(torch.tensor(bias)))
        axes.semilogy(steps, f ** steps.double(), color=colour, linewidth=2.5, label=f"{name}: f = {f:.3f}")
    axes.axhline(2.0**-24, color=PALE, linewidth=2)
    axes.text(100, 2.0**-24, "below: nothing left beside 1 in float32", ha="right", va="bottom", fontsize=11)
    plain(axes, "T, steps", r"$\partial c_T / \partial c_0 = f^T$")
    axes.set_ylim(1e-20, 3)
    axes.set_xlim(0, 100)
    axes.legend(frameon=False, fontsize=12, loc="lower left")
    return figure


@drawing("R20")
def pictures_drawn() -> Figure:
    """Digits as they are, and pictures that a model of pixels draws, one pixel after the other."""
    figure, panels = new_figure("A model of pixels draws; it names no class", 3, 8)
    strings = strings_of_pixels(digits("train")[0])
    network = pixel_model(strings)
    true = strings[torch.randperm(len(strings))[:8], 1:].view(8, 8, 8)
    drawn = drawn_pictures(network, 16)
    for axes, picture in zip(panels, torch.cat([true, drawn]), strict=True):
        axes.imshow(picture.numpy(), cmap="gray_r", vmin=0, vmax=1)
        blank(axes)
    for line, name in ((0, "digits"), (8, "drawn"), (16, "drawn")):
        panels[line].set_ylabel(name, fontsize=13)
        for axes in panels[line : line + 8]:
            axes.spines[:].set_color(SECOND if line == 0 else ACCENT)
    return figure


@drawing("R21")
def inside_or_outside() -> Figure:
    """Outlines, what each pixel is, and what convolutions and sweeps take it for."""
    from torch import nn

    figure, panels = new_figure("Inside or outside? Sweeps see the whole picture, 3x3 convolutions 5x5 pixels", 4, 5)
    convs = nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 3, 1)
    )
    networks = [segmenter(convs), segmenter(ReNet(hidden_size=12))]
    images, labels = outlines(5)
    with torch.no_grad():
        rows = [images[:, 0] * 1.0, labels, *(network(images).argmax(1) for network in networks)]
    names = ("picture", "truth", "3x3 conv.", "sweeps")
    for line, (name, row) in enumerate(zip(names, rows, strict=True)):
        for column, picture in enumerate(row):
            axes = panels[5 * line + column]
            colours, most = ("gray_r", 1) if line == 0 else ("viridis", 2)
            axes.imshow(picture.numpy(), cmap=colours, vmin=0, vmax=most)
            blank(axes)
        panels[5 * line].set_ylabel(name, fontsize=12)
    return figure
