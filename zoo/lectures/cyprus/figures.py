"""Figures of the lecture of Cyprus, each under the claim that it shows."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from torch import Tensor

import zoo
from zoo.lectures.cyprus import runs
from zoo.lectures.ledger import drawing
from zoo.lectures.panels import blank, new_figure, plain, titled
from zoo.palette import ACCENT, COLOURS, INK, PALE, SECOND

THIRD, FOURTH = COLOURS[2:4]


def regions(axes: Axes, logit: Callable[[Tensor], Tensor], low: tuple[float, float], high: tuple[float, float]) -> None:
    """Where in the plane the logit of points (N, 2) is positive, in red, and where not, in blue."""
    x, y = (torch.linspace(a, b, 400) for a, b in zip(low, high, strict=True))
    points = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1).view(-1, 2)
    with torch.no_grad():
        z = logit(points).view(400, 400)
    axes.contourf(x, y, z, levels=[-1e9, 0, 1e9], colors=[SECOND, ACCENT], alpha=0.35)
    axes.contour(x, y, z, levels=[0], colors=INK, linewidths=2)
    axes.set_xlim(low[0], high[0])
    axes.set_ylim(low[1], high[1])
    axes.set_aspect("equal")


@drawing("U03")
def xor_with_two_lines() -> Figure:
    """The plane of the inputs with the two hidden neurons as lines, and the plane of what they say."""
    figure, (inputs, hidden) = new_figure(
        "XOR: two lines make a strip, and in their own plane one line is enough", 1, 2
    )
    network = runs.xor_network()
    corners = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    answers = network(corners)[:, 0] > 0
    regions(inputs, lambda x: network(x)[:, 0], (-0.5, -0.5), (1.5, 1.5))
    regions(hidden, lambda h: network.layers[1](h)[:, 0], (-0.5, -0.5), (1.5, 1.5))
    seen = network.activation(network.layers[0](corners))
    for axes, points in ((inputs, corners), (hidden, seen)):
        for value, colour, marker in ((False, SECOND, "o"), (True, ACCENT, "s")):
            some = points[answers == value]
            axes.scatter(*some.T, s=160, color=colour, marker=marker, edgecolors="white", zorder=3)
        axes.set_xticks([0, 1])
        axes.set_yticks([0, 1])
    inputs.text(-0.4, 0.42, "h1: or", rotation=-45, fontsize=12)
    inputs.text(1.02, 0.62, "h2: and", rotation=-45, fontsize=12)
    hidden.annotate("01 and 10", (1, 0), (0.72, -0.3), fontsize=12)
    hidden.annotate("00", (0, 0), (-0.3, -0.25), fontsize=12)
    hidden.annotate("11", (1, 1), (1.1, 1.15), fontsize=12)
    plain(inputs, "x1", "x2")
    plain(hidden, "h1 = [x1 + x2 > 0.5]", "h2 = [x1 + x2 > 1.5]")
    return figure


@drawing("U06")
def neither_open_nor_convex() -> Figure:
    """Regions of nets with one hidden layer."""
    figure, panels = new_figure(
        "One hidden layer: regions (red) that are neither open nor convex\n"
        "each dotted line is a hidden neuron's", 1, 3,
    )  # fmt: skip
    first = [[1.0, 0.0]] * 3 + [[0.0, 1.0]] * 3
    corner = runs.step_network((first, [0, -1, -2, 0, -1, -2]), ([[2, -1, -1, 2, -1, -1]], [-2.5]))
    shown = (
        ("2 neurons: two half-planes\n(XNOR)", runs.xnor_network(), (-0.7, -0.7), (1.7, 1.7)),
        ("6 neurons: two separate\nsquares", runs.two_squares(), (-0.5, -1.5), (3.5, 2.5)),
        ("6 neurons: one piece,\nwith a dent", corner, (-0.5, -0.5), (2.5, 2.5)),
    )
    for axes, (title, network, low, high) in zip(panels, shown, strict=True):
        regions(axes, lambda x, network=network: network(x)[:, 0], low, high)
        for (a, b), bias in zip(network.layers[0].weight.tolist(), network.layers[0].bias.tolist(), strict=True):
            axes.axline((-bias * a / (a * a + b * b), -bias * b / (a * a + b * b)), slope=-a / b if b else float("inf"),
                        color=INK, linestyle=":", linewidth=1)  # fmt: skip
        axes.set_title(title, fontsize=12)
        blank(axes)
    return figure


@drawing("U07")
def any_region() -> Figure:
    """A letter set by hand and two spirals that were learnt, each by a net with two hidden layers."""
    figure, (letter, spirals) = new_figure("Two hidden layers: set by hand, and learnt", 1, 2)
    network, _ = runs.letter_network()
    regions(letter, lambda x: network(x)[:, 0], (-1.5, -1), (6.5, 8))
    lines, cells = (layer.out_features for layer in network.layers[:2])
    letter.set_title(f"{lines} lines, {cells} cells, no training", fontsize=12)
    torch.manual_seed(0)
    x, y = two_spirals()
    learnt = zoo.create("mlp", in_features=2, num_classes=2, hidden_sizes=[40, 40], activation="tanh")
    runs.train(learnt, lambda z, t: F.binary_cross_entropy_with_logits(z[:, 0], t), x, y.float(), 1500, 1e-2, 200)
    regions(spirals, lambda points: learnt(points)[:, 0], (-1.1, -1.1), (1.1, 1.1))
    for value, colour in ((0, SECOND), (1, ACCENT)):
        spirals.scatter(*x[y == value].T, s=14, color=colour, edgecolors="white", linewidths=0.4)
    with torch.no_grad():
        right = float(((learnt(x)[:, 0] > 0) == (y == 1)).float().mean())
    spirals.set_title(f"2-40-40-1 on two spirals: {100 * right:.0f} % right", fontsize=12)
    for axes in (letter, spirals):
        blank(axes)
    return figure


def two_spirals() -> tuple[Tensor, Tensor]:
    """Points (400, 2) of two spirals that wind around each other one and a half times, and which one (400,)."""
    t = torch.linspace(0.15, 1, 200)
    arm = torch.stack([t * (3 * torch.pi * t).cos(), t * (3 * torch.pi * t).sin()], 1)
    return torch.cat([arm, -arm]), torch.arange(400) // 200


@drawing("U12")
def with_and_without_momentum() -> Figure:
    """The ways down a ravine."""
    figure, panels = new_figure(
        "A ravine, 25 times as steep across as along, each with its best step size", 2, 1, sharex=True
    )
    x, y = torch.linspace(-4, 11, 200), torch.linspace(-3, 3, 200)
    f = (x[None] ** 2 + 25 * y[:, None] ** 2) / 2
    best = (("without momentum", 2 / 26, 0.0, SECOND), ("with momentum 0.44", 4 / 36, 4 / 9, ACCENT))
    for axes, (name, lr, momentum, colour) in zip(panels, best, strict=True):
        path = runs.path_in_a_ravine(lr, momentum)
        axes.contour(x, y, f, levels=[0.3, 3, 10, 20, 35, 60, 100], colors=PALE)
        axes.plot(*path.T, color=colour, marker="o", markersize=4, linewidth=1.5)
        axes.plot(0, 0, marker="*", markersize=14, color=INK)
        axes.set_title(f"{name}: {len(path) - 1} steps to f < 1e-6", fontsize=12)
        axes.set_ylim(-3, 3)
        plain(axes, "", "y")
    panels[1].set_xlabel("x", fontsize=12)
    return figure


@drawing("U17")
def rings_in_two_ways() -> Figure:
    """Two rings in Cartesian and in polar coordinates, with the best straight border of each."""
    figure, (cartesian, polar) = new_figure("The same points: no line tells them apart, and one line does", 1, 2)
    points, outer = runs.rings()
    points, outer = points[::6], outer[::6]
    r, theta = points.norm(dim=1), torch.atan2(points[:, 1], points[:, 0])
    for axes, (a, b) in ((cartesian, points.T), (polar, (theta, r))):
        axes.scatter(a[~outer], b[~outer], s=30, color=SECOND)
        axes.scatter(a[outer], b[outer], s=30, color=ACCENT, marker="s")
    cartesian.axvline(1.03, color=INK, linewidth=2)
    cartesian.set_aspect("equal")
    cartesian.set_title("x, y: the best line has 2/3 right", fontsize=12)
    polar.axhline(1.5, color=INK, linewidth=2)
    polar.set_ylim(0, 2.5)
    polar.set_xticks([-torch.pi, 0, torch.pi], ["-pi", "0", "pi"])
    polar.set_title("r, theta: r > 1.5 has all right", fontsize=12)
    plain(cartesian, "x", "y")
    plain(polar, "theta", "r")
    return figure


@drawing("U21")
def ladder() -> Figure:
    """Training loss of 20 layers with more and more of what was found."""
    figure, (axes,) = new_figure("20 layers learn to read digits: each line has all that stands above it")
    colours = (PALE, "#909497", FOURTH, SECOND, THIRD, ACCENT)
    for name, colour in zip(runs.RUNGS, colours, strict=True):
        losses = []
        for seed in range(3):
            torch.manual_seed(seed)
            losses.append(runs.losses_of_a_rung(name))
        mean = torch.tensor(losses).mean(0)
        axes.plot(mean, color=colour, linewidth=2.5, label=name)
    axes.axhline(2.3026, color=INK, linewidth=1, linestyle=":")
    axes.text(60, 2.4, "guessing", fontsize=11, ha="right", va="bottom")
    axes.set_ylim(0, 3)
    axes.legend(frameon=False, fontsize=12, loc="center left", bbox_to_anchor=(1, 0.5))
    plain(axes, "batches of 64", "training loss, mean of 3 starts")
    return figure


@drawing("U22")
def gradient_on_its_way_back() -> Figure:
    """Norm of the gradient in each of 20 layers, with sigmoid and with ReLU."""
    figure, (axes,) = new_figure("The gradient on its way back through 20 layers")
    for name, colour in (("relu", THIRD), ("tanh", SECOND), ("sigmoid", ACCENT)):
        torch.manual_seed(0)
        norms = runs.gradient_by_layer(name)
        factor = (norms[0] / norms[-1]) ** (1 / 19)
        label = {"relu": "ReLU"}.get(name, name)
        axes.plot(range(1, 21), [n / norms[-1] for n in norms], color=colour, marker="o", linewidth=2.5,
                  label=f"{label}: times {factor:.2f} per layer")  # fmt: skip
    axes.set_yscale("log")
    axes.set_xticks([1, 5, 10, 15, 20])
    axes.legend(frameon=False, fontsize=12)
    plain(axes, "layer (1: first)", "norm of dL/dz, that of layer 20 is 1")
    return figure


@drawing("U25")
def a_digit_moves_aside() -> Figure:
    """Accuracy of three networks over the shift, and what a shifted digit looks like."""
    figure = titled("Trained in the middle, tested aside")
    shifts = (0, 1, 2, 3, 4)
    grid = figure.add_gridspec(2, len(shifts), height_ratios=(1, 3.2))
    (_, _), (test_x, _) = runs.digits()
    picture = F.pad(test_x[3, 0], (4, 4, 4, 4))
    for i, shift in enumerate(shifts):
        axes = figure.add_subplot(grid[0, i])
        axes.imshow(picture.roll(shift, 1).numpy(), cmap="Greys")
        blank(axes)
    axes = figure.add_subplot(grid[1, :])
    torch.manual_seed(0)
    colours = (SECOND, FOURTH, ACCENT)
    for (name, curve), colour in zip(runs.accuracy_by_shift(shifts).items(), colours, strict=True):
        axes.plot(shifts, curve, color=colour, marker="o", linewidth=2.5, label=name.replace(", ", ", then "))
    axes.axhline(0.1, color=INK, linewidth=1, linestyle=":")
    axes.text(0, 0.12, "guessing", fontsize=11)
    axes.set_ylim(0, 1.03)
    axes.set_xlim(-0.5, 4.5)
    axes.set_xticks(shifts)
    axes.legend(frameon=False, fontsize=12, loc="upper right", bbox_to_anchor=(1, 0.92))
    plain(axes, "pixels aside, of 16", "accuracy on test digits")
    return figure


@drawing("U35")
def what_layers_see() -> Figure:
    """The patches that excite maps of LeNet most, and how well each layer tells the digits apart."""
    figure = titled("digits-lenet: from edges to arrangements of edges, and better with each layer")
    left, middle, right = figure.subfigures(1, 3, width_ratios=(1, 1.35, 1.3))
    network, (_, (x, y)) = zoo.load("digits-lenet"), runs.digits(28)
    with torch.no_grad():
        first = network.activation(network.conv1(x))  # (N, 6, 28, 28)
        second = network.activation(network.conv2(network.pool1(first)))  # (N, 16, 10, 10)
    # A neuron (r, c) of the first map sees the pixels from (r - 2, c - 2) on, one of the second from (2r - 2, 2c - 2).
    for panel, maps, stride, side, title in (
        (left, first, 1, 5, "conv 1 sees 5x5"), (middle, second, 2, 14, "conv 2 sees 14x14"),
    ):  # fmt: skip
        panel.suptitle(title, fontsize=12)
        grid = panel.subplots(6, 4)
        for row, number in zip(grid, range(6), strict=True):
            best = maps[:, number].flatten(1).max(1)
            for axes, item in zip(row, best.values.argsort(descending=True)[:4].tolist(), strict=True):
                r, c = divmod(int(best.indices[item]), maps.shape[3])
                padded = F.pad(x[item, 0], (2, 2, 2, 2), value=float(x.min()))
                patch = padded[stride * r : stride * r + side, stride * c : stride * c + side]
                axes.imshow(patch.numpy(), cmap="Greys")
                blank(axes)
                axes.spines[:].set_color(PALE)
    (train_x, train_y), _ = runs.digits(28)
    shares = {}
    for (name, a), (_, b) in zip(runs.layers_of_lenet(network, train_x), runs.layers_of_lenet(network, x), strict=True):
        means = torch.stack([a[train_y == digit].mean(0) for digit in range(10)])
        shares[name] = float((torch.cdist(b, means).argmin(1) == y).float().mean())
    axes = right.subplots()
    axes.plot(list(shares.values()), list(shares), color=ACCENT, marker="o", markersize=9, linewidth=2.5)
    axes.invert_yaxis()
    axes.set_title("nearest class mean", fontsize=12)
    axes.tick_params(labelsize=11)
    plain(axes, "accuracy")
    return figure


@drawing("U37")
def four_parts_and_their_sum() -> Figure:
    """A time series and its components."""
    figure, panels = new_figure("A time series is the sum of four parts", 5, 1, sharex=True)
    torch.manual_seed(0)
    parts = runs.parts_of_a_series(years=12)
    shown = {"the series": sum(parts.values()), **parts}
    for axes, (name, values), colour in zip(
        panels, shown.items(), (INK, SECOND, THIRD, FOURTH, "#909497"), strict=True
    ):
        axes.plot(torch.arange(len(values)) / 12, values, color=colour, linewidth=2)
        axes.set_ylabel(name.replace(" ", "\n"), fontsize=11, rotation=0, ha="right", va="center")
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_xticks(range(0, 13, 2))
        axes.locator_params(axis="y", nbins=2)
        axes.margins(x=0.01)
    panels[-1].set_xlabel("years", fontsize=12)
    return figure


@drawing("U40")
def pattern_and_response() -> Figure:
    """The slide's two sequences, and what a filter of three ones says along them."""
    figure, panels = new_figure(
        "The same pattern 2 steps later: a filter answers the same, 2 steps later", 2, 2, sharex=True
    )
    sequences = torch.tensor([[0.0, 0, 1, 1, 1, 0, 0, 1, 0, 0], [0, 0, 0, 0, 1, 1, 1, 0, 0, 1]])
    responses = F.conv1d(sequences[:, None], torch.ones(1, 1, 3))[:, 0]  # (2, 8)
    for row, (sequence, response) in enumerate(zip(sequences, responses, strict=True)):
        left, right = panels[2 * row : 2 * row + 2]
        left.bar(range(10), sequence.numpy(), color=[ACCENT if s else PALE for s in sequence.tolist()], width=0.9)
        left.set_yticks([0, 1])
        most = float(response.max())
        tops = [ACCENT if r == most else SECOND for r in response.tolist()]
        right.bar(range(8), response.numpy(), color=tops, width=0.9)
        right.set_yticks(range(4))
        for place, value in enumerate(response.int().tolist()):
            right.text(place, value + 0.08, value, ha="center", fontsize=11)
        right.set_ylim(0, 3.6)
        plain(left, "time" if row else "", "")
        plain(right, "time at which the filter begins" if row else "", "")
    panels[0].set_title("to an MLP: 6 of 10 inputs differ", fontsize=12)
    panels[1].set_title("filter 1 1 1: the maximum is 3 in both", fontsize=12)
    panels[0].set_xticks(range(10))
    return figure


@drawing("U46")
def five_modes_drawn() -> Figure:
    """Inputs, states and outputs over time in the five modes."""
    figure, panels = new_figure("Five ways from input to output", 1, 5, width_ratios=(1, 3, 3, 5, 3))
    modes = (  # name, example, steps, those with an input, those with an output
        ("1 to 1", "picture\nto class", 1, [0], [0]),
        ("1 to N", "picture\nto caption", 3, [0], [0, 1, 2]),
        ("N to 1", "review\nto opinion", 3, [0, 1, 2], [2]),
        ("N to M", "sentence to\nits translation", 5, [0, 1, 2], [2, 3, 4]),
        ("N to N", "frames to\ntheir labels", 3, [0, 1, 2], [0, 1, 2]),
    )
    for axes, (name, example, steps, inputs, outputs) in zip(panels, modes, strict=True):
        for t in range(steps):
            box(axes, t, 1, THIRD)
            if t:
                arrow(axes, (t - 1 + 0.3, 1), (t - 0.3, 1))
            if t in inputs:
                box(axes, t, 0, ACCENT)
                arrow(axes, (t, 0.25), (t, 0.75))
            if t in outputs:
                box(axes, t, 2, SECOND)
                arrow(axes, (t, 1.25), (t, 1.75))
        axes.set_xlim(-0.6, steps - 0.4)
        axes.set_ylim(-1.2, 2.6)
        axes.text((steps - 1) / 2, -0.45, example, ha="center", va="top", fontsize=11)
        axes.set_title(name, fontsize=13)
        axes.axis("off")
    for y, word, colour in ((2, "output", SECOND), (1, "state", THIRD), (0, "input", ACCENT)):
        panels[0].text(-0.6, y, word, ha="right", va="center", fontsize=12, color=colour, weight="bold")
    return figure


def box(axes: Axes, x: float, y: float, colour: str) -> None:
    """A vector."""
    style = "round,pad=0,rounding_size=0.08"
    axes.add_patch(FancyBboxPatch((x - 0.22, y - 0.22), 0.44, 0.44, boxstyle=style, facecolor=colour, edgecolor=INK))


def arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    """A function of one vector that gives another."""
    axes.add_patch(FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=12, color=INK, shrinkA=0, shrinkB=0))


@drawing("U48")
def forgotten_over_a_gap() -> Figure:
    """Accuracy of recall over the gap, RNN and LSTM."""
    figure, (axes,) = new_figure("Which symbol came first? Asked after a gap of others")
    gaps = [1, 2, 5, 10, 20, 40]
    for name, cell, lr, colour in (("plain RNN", "rnn", 3e-3, ACCENT), ("LSTM", "lstm", 1e-2, SECOND)):
        torch.manual_seed(0)
        curve = runs.recall_curve(cell, gaps, lr)
        axes.plot(gaps, curve, color=colour, marker="o", linewidth=2.5, label=name)
    axes.axhline(1 / 8, color=INK, linewidth=1, linestyle=":")
    axes.text(1, 0.14, "guessing, 1 of 8", fontsize=11)
    axes.set_xscale("log")
    axes.set_xticks(gaps, gaps)
    axes.minorticks_off()
    axes.set_ylim(0, 1.05)
    axes.legend(frameon=False, fontsize=12, loc="center right")
    plain(axes, "symbols in the gap", "accuracy on new sequences")
    return figure
