"""Figures of the lecture of Shanghai, each under the claim that it shows."""

import math

import numpy as np
import torch
from matplotlib.figure import Figure

import zoo
from zoo.lectures.ledger import drawing
from zoo.lectures.panels import new_figure, plain, titled
from zoo.lectures.shanghai import runs
from zoo.palette import ACCENT, COLOURS, INK, PALE, SECOND

GREEN = COLOURS[2]


@drawing("S03")
def activation_functions() -> Figure:
    """Sigmoid, tanh and ReLU, and their derivatives."""
    figure, panels = new_figure("Three activation functions and their derivatives", 1, 3)
    z = torch.linspace(-5, 5, 201, requires_grad=True)
    functions = {"sigmoid": torch.sigmoid, "tanh": torch.tanh, "ReLU": torch.relu}
    for axes, (name, g) in zip(panels, functions.items(), strict=True):
        values = g(z)
        (slope,) = torch.autograd.grad(values.sum(), z)
        axes.plot(z.detach(), values.detach(), color=SECOND, linewidth=3, label="g(z)")
        axes.plot(z.detach(), slope, color=ACCENT, linewidth=2, linestyle="--", label="g'(z)")
        axes.set_title(f"{name}: slope at most {slope.max():.2g}", fontsize=12)
        axes.axhline(0, color=PALE, zorder=0)
        axes.set_ylim(-1.2, 2.2)
        plain(axes, "z", "")
    panels[0].legend(frameon=False, fontsize=12)
    return figure


@drawing("S09")
def will_i_pass() -> Figure:
    """The probability of passing over lectures and hours, before and after training."""
    data = runs.zoo_data("pass_class")
    figure, panels = new_figure("Will I pass this class? 4 lectures, 5 hours", 1, 2, sharey=True)
    torch.manual_seed(0)
    networks = {
        "before training": zoo.create("mlp", in_features=2, num_classes=2, hidden_sizes=[8], activation="tanh"),
        "after training": zoo.load("pass-class"),
    }
    scale = torch.tensor([8.0, 10.0])
    lectures, hours = torch.meshgrid(torch.linspace(0, 8, 81), torch.linspace(0, 10, 81), indexing="xy")
    x, y = data.test[0] * scale, data.test[1]
    for axes, (name, network) in zip(panels, networks.items(), strict=True):
        with torch.no_grad():
            p = torch.sigmoid(network(torch.stack([lectures, hours], 2).view(-1, 2) / scale)).view(81, 81)
            answer = torch.sigmoid(network(torch.tensor([[4.0, 5.0]]) / scale)).item()
        shades = axes.contourf(lectures, hours, p, levels=np.linspace(0, 1, 21), cmap="RdBu", alpha=0.8)
        for value, marker, label in ((0, "x", "failed"), (1, "o", "passed")):
            colours = {"color": INK} if value == 0 else {"color": "white", "edgecolors": INK}
            axes.scatter(*x[y == value].T, s=16, marker=marker, linewidths=0.8, label=label, **colours)
        axes.scatter(4, 5, s=260, marker="*", color="gold", edgecolors=INK, zorder=4)
        axes.set_title(f"{name}: P(pass) = {answer:.2f}", fontsize=13)
        plain(axes, "lectures attended", "")
    panels[0].set_ylabel("hours on the final project", fontsize=12)
    panels[0].legend(fontsize=11, loc="lower left")
    figure.colorbar(shades, ax=panels, ticks=[0, 0.5, 1], label="P(pass)")
    return figure


@drawing("S14")
def gradient_descent() -> Figure:
    """The way down J(w0, w1) of a line through four points, and the line at each stage."""
    figure, (left, right) = new_figure("Gradient descent: a line through four points", 1, 2)
    path = runs.descend(runs.line_error, torch.tensor([-2.0, 0.0], dtype=torch.float64), lr=0.1, steps=400)
    w0, w1 = torch.meshgrid(torch.linspace(-3, 3, 121), torch.linspace(-1, 4, 121), indexing="xy")
    j = runs.line_error(torch.stack([w0, w1], 2).double())
    left.contourf(w0, w1, j.sqrt(), levels=24, cmap="Blues_r")
    left.plot(*path.T, "o-", color=ACCENT, markersize=4, linewidth=1.5)
    left.scatter(0.5, 1.4, s=200, marker="*", color="gold", edgecolors=INK, zorder=3)
    left.set_title("J(w0, w1): dark is low, the star is W*", fontsize=12)
    plain(left, "w0", "w1")
    x, y = runs.POINTS.T
    right.scatter(x, y, s=90, color=INK, zorder=3)
    ends = torch.tensor([0.5, 4.5])
    for steps, shade in ((0, 0.3), (1, 0.5), (2, 0.7), (400, 1.0)):
        a, b = path[steps].tolist()
        right.plot(ends, a + b * ends, color=ACCENT, alpha=shade, linewidth=2.5)
        error = runs.line_error(path[steps]).item()
        right.annotate(f"n = {steps}, J = {error:.2f}", (4.55, a + b * 4.5), fontsize=11, va="center")
    right.set_title("the line after n steps", fontsize=12)
    right.set_xlim(0.4, 7.6)
    right.set_xticks([1, 2, 3, 4])
    plain(right, "x", "y")
    return figure


@drawing("S17")
def loss_landscape() -> Figure:
    """The loss of a trained network along two random, filter-normalised directions."""
    network, (x, y) = zoo.load("digits-lenet"), runs.zoo_data("digits").test
    torch.manual_seed(0)
    reach, points = 1.5, 19
    plane = runs.loss_plane(network, (x[:100], y[:100]), reach, points)
    figure = titled("Around the trained weights of a LeNet: loss along two random directions")
    a, b = np.meshgrid(np.linspace(-reach, reach, points), np.linspace(-reach, reach, points))
    height = plane.clamp(max=12).numpy()
    solid = figure.add_subplot(1, 2, 1, projection="3d")
    solid.plot_surface(a, b, height, cmap="viridis", linewidth=0, rstride=1, cstride=1)
    solid.set_title("loss in nats", fontsize=12)
    solid.view_init(elev=35, azim=-60)
    flat = figure.add_subplot(1, 2, 2)
    lines = flat.contour(a, b, height, levels=[0.1, 0.3, 1, 2, 3, 5, 8, 12], cmap="viridis")
    flat.clabel(lines, fontsize=10, fmt="%g")
    flat.scatter(0, 0, s=200, marker="*", color="gold", edgecolors=INK, zorder=3)
    flat.set_title(f"at the star {plane[points // 2, points // 2]:.3f} nats", fontsize=12)
    plain(flat, "direction 1, in lengths of the filters", "direction 2")
    return figure


@drawing("S18")
def three_learning_rates() -> Figure:
    """Too small a rate is caught by the false minimum, too large a one runs away."""
    figure, panels = new_figure("The learning rate: stuck, right, running away", 1, 3, sharey=True)
    w = torch.linspace(-7.5, 7.5, 601, dtype=torch.float64)
    start = torch.tensor(4.0, dtype=torch.float64)
    for axes, (name, rate), colour in zip(panels, runs.RATES.items(), (SECOND, GREEN, ACCENT), strict=True):
        axes.plot(w, runs.valley_with_a_dip(w), color=INK, linewidth=1.5, zorder=1)
        path = runs.descend(runs.valley_with_a_dip, start, rate, steps=200 if name != "large" else 2)
        axes.plot(path, runs.valley_with_a_dip(path), "o-", color=colour, markersize=6, linewidth=1.2, alpha=0.75)
        end = "runs away" if name == "large" else f"ends at w = {path[-1].abs():.2f}"
        axes.set_title(f"{name}, \u03b7 = {rate:g}\n{end}", fontsize=12)
        axes.set_ylim(-0.4, 6.2)
        plain(axes, "w", "")
    panels[0].set_ylabel("J(w)", fontsize=12)
    return figure


@drawing("S20")
def optimizers_in_a_ravine() -> Figure:
    """Five ways down the same surface."""
    figure, (left, right) = new_figure("Five optimizers on one surface, 60 steps each", 1, 2)
    w1, w2 = torch.meshgrid(torch.linspace(-4.6, 1.6, 121), torch.linspace(-1.9, 1.9, 121), indexing="xy")
    left.contour(w1, w2, runs.ravine(torch.stack([w1, w2], 2)).sqrt(), levels=14, colors=PALE, zorder=0)
    for name, colour in zip(runs.OPTIMIZERS, COLOURS, strict=False):
        path = runs.optimizer_path(name)
        left.plot(*path.T, ".-", color=colour, linewidth=1.8, markersize=5, label=name)
        right.plot(runs.ravine(path), color=colour, linewidth=2.2, label=name)
    left.scatter(0, 0, s=160, marker="*", color="gold", edgecolors=INK, zorder=4)
    left.set_title("paths from (-4, 1.5)", fontsize=12)
    plain(left, "w1", "w2")
    right.set_yscale("log")
    right.set_ylim(1e-9, 100)
    right.set_title("J = (w1\u00b2 + 25 w2\u00b2) / 2", fontsize=12)
    right.legend(frameon=False, fontsize=11)
    plain(right, "step", "J")
    return figure


@drawing("S23")
def overfitting() -> Figure:
    """Error against the degree of a polynomial, and three of the fits."""
    figure, (left, right) = new_figure("Over-fitting: polynomials through 12 noisy points", 1, 2)
    torch.manual_seed(3)
    x, noise = torch.linspace(-1, 1, 12, dtype=torch.float64), 0.3
    y = torch.sin(math.pi * x) + noise * torch.randn(12, dtype=torch.float64)
    fine = torch.linspace(-1, 1, 201, dtype=torch.float64)
    left.plot(fine, torch.sin(math.pi * fine), color=PALE, linewidth=6, label="truth")
    for degree, colour in zip((1, 3, 11), (SECOND, GREEN, ACCENT), strict=True):
        powers = torch.arange(degree + 1)
        fit = torch.linalg.lstsq(x[:, None] ** powers, y[:, None]).solution
        left.plot(fine, (fine[:, None] ** powers @ fit)[:, 0], color=colour, linewidth=2, label=f"degree {degree}")
    left.scatter(x, y, s=50, color=INK, zorder=3)
    left.set_ylim(-2.4, 2.4)
    left.legend(frameon=False, fontsize=11)
    plain(left, "x", "y")
    degrees = range(1, 12)
    train, test = runs.polynomial_errors(degrees)
    decayed = runs.polynomial_errors(degrees, decay=0.1)[1]
    right.plot(degrees, train, "o-", color=SECOND, linewidth=2, label="on the 12 points")
    right.plot(degrees, test, "o-", color=ACCENT, linewidth=2, label="on unseen points")
    right.plot(degrees, decayed, "--", color=GREEN, linewidth=2, label="unseen, weight decay 0.1")
    right.axhline(noise**2, color=INK, linewidth=1, linestyle=":")
    right.text(11, noise**2, "noise", ha="right", va="bottom", fontsize=10)
    right.set_yscale("log")
    right.set_ylim(5e-3, 6)
    right.legend(frameon=False, fontsize=10)
    plain(right, "degree", "mean squared error, 200 sets")
    return figure


@drawing("S37")
def gradients_through_time() -> Figure:
    """What is left of a gradient after so many steps, for four starts."""
    figure, (axes,) = new_figure("What is left of the gradient after t steps through time")
    starts = {
        "ReLU, Wh = I (trick 2)": ("relu", 1.0), "tanh, Wh = 0.9 I": ("tanh", 0.9), "sigmoid, Wh = I": ("sigmoid", 1.0),
        "ReLU, Wh = 1.3 I": ("relu", 1.3),
    }  # fmt: skip
    for (name, (nonlinearity, scale)), colour in zip(starts.items(), COLOURS, strict=False):
        norms = runs.kept_gradient(nonlinearity, scale, steps=50)
        axes.plot(range(1, 51), norms, color=colour, linewidth=3)
        axes.annotate(f"{name}: {norms[-1]:.1g}", (50.5, norms[-1]), fontsize=11, va="center", color=colour)
    axes.set_yscale("log")
    axes.set_xlim(0, 78)
    axes.set_xticks([1, 10, 20, 30, 40, 50])
    plain(axes, "steps t", r"$|\partial h_t / \partial h_0|$")
    return figure


@drawing("S45")
def heads_of_a_transformer() -> Figure:
    """Where the four heads of the first layer of a Transformer look while it reads."""
    network, text = zoo.load("shakespeare-transformer"), "What shall I say to you"
    with torch.no_grad():
        maps = network.attention_maps(network.encode(text)[None])[0][0]  # (A, T, T)
    places = torch.arange(len(text))
    back = (maps * (places[:, None] - places)).sum(2)[:, 10:].mean(1)
    title = "Four heads of one layer, each looks elsewhere (row: who asks)"
    figure, panels = new_figure(title, 1, len(maps), size=(11.0, 3.6), sharey=True)
    for i, (axes, weights) in enumerate(zip(panels, maps, strict=True)):
        axes.imshow(weights.sqrt().numpy(), cmap="Blues", vmin=0, vmax=1)
        axes.set_title(f"head {i + 1}: {back[i]:.1f} back", fontsize=12)
        axes.set_xticks(range(len(text)), list(text), fontsize=9, family="monospace")
        axes.set_yticks(range(len(text)), list(text), fontsize=9, family="monospace")
    return figure


@drawing("S54")
def three_filters() -> Figure:
    """A photograph, sharpened, and its edges."""
    from sklearn.datasets import load_sample_image  # photographs that come with scikit-learn

    picture = torch.tensor(load_sample_image("china.jpg"), dtype=torch.float32).mean(2)[60:360, 130:530]  # grey (h, w)
    figure, panels = new_figure("One picture, three filters of 3x3", 2, 2, size=(8.0, 6.2))
    shown = {"original": picture} | {name: runs.filtered(picture, kernel) for name, kernel in runs.KERNELS.items()}
    for axes, (name, image) in zip(panels, shown.items(), strict=True):
        if name not in ("original", "sharpen"):
            image = image.abs()  # an edge is one whichever side is the lighter
        axes.imshow(image.clamp(0, 255).numpy(), cmap="gray", vmin=0, vmax=255)
        if name in runs.KERNELS:
            rows = (" ".join(f"{value:g}" for value in row) for row in runs.KERNELS[name].tolist())
            name += f"  [{'; '.join(rows)}]"
        axes.set_title(name, fontsize=11)
        axes.axis("off")
    return figure


@drawing("S60")
def steering_at_a_fork() -> Figure:
    """Why a steering angle is learnt as a distribution."""
    torch.manual_seed(0)
    angles = torch.cat([torch.randn(500) * 4 - 30, torch.randn(500) * 4 + 30])
    figure, (axes,) = new_figure("At a fork: the likeliest angle is not the mean")
    axes.hist(angles, bins=60, range=(-60, 60), density=True, color=PALE, label="what 1,000 drivers did")
    theta = torch.linspace(-60, 60, 601)
    for parts, colour, name in ((1, SECOND, "one normal distribution"), (2, ACCENT, "mixture of two")):
        found = runs.steering_mixture(angles, parts)
        normal = torch.distributions.Normal(found["means"], found["deviations"])
        density = (found["weights"] * normal.log_prob(theta[:, None]).exp()).sum(1)
        axes.plot(theta, density, color=colour, linewidth=3, label=f"{name}: L = {found['loss']:.2f} nats")
    axes.axvline(
        angles.mean(), ymax=0.62, color=INK, linestyle="--", linewidth=2, label="least squared error: straight ahead"
    )
    axes.set_yticks([])
    axes.legend(frameon=False, fontsize=11, loc="upper center")
    axes.set_ylim(0, 0.085)
    plain(axes, "steering angle \u03b8 in degrees, left to right", "P(\u03b8)")
    return figure
