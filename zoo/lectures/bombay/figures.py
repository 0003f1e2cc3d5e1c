"""Figures of the lecture of Bombay, each under the claim that it shows."""

import torch
import torch.nn.functional as F
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import nn

import zoo
from zoo.lectures.bombay.pooling import deep_network, gradient_of_the_first
from zoo.lectures.bombay.shared import abc_network
from zoo.lectures.bombay.time import sensitivity_to_the_first
from zoo.lectures.ledger import drawing
from zoo.lectures.panels import blank, new_figure, plain
from zoo.lectures.small_tasks import FORGET, WORDS, context_lstm, digits, map_net, on_a_stage
from zoo.palette import ACCENT, COLOURS, INK, PALE, SECOND

THIRD = COLOURS[2]


@drawing("I03")
def banded_and_toeplitz() -> Figure:
    """The matrix of sparse connections, and the one of shared weights: a colour is a weight."""
    figure, panels = new_figure("Sparse connections: a banded matrix. Shared weights: a Toeplitz matrix", 1, 2)
    n, shades = 5, colormaps["rainbow"](torch.linspace(0, 1, 13).numpy(), alpha=0.5)
    for axes, shared in zip(panels, (False, True), strict=True):
        free = 0
        for i in range(n):
            for m in range(n):
                near = abs(i - m) <= 1
                colour = shades[6 * (i - m + 1) if shared else free] if near else "white"
                axes.add_patch(Rectangle((m, n - 1 - i), 1, 1, facecolor=colour, edgecolor=PALE))
                name = f"$w_{{{i - m}}}$" if shared else f"$w_{{{m + 1},{i + 1}}}$"
                axes.text(m + 0.5, n - 0.5 - i, name if near else "0", ha="center", va="center", fontsize=13)
                free += near
        axes.set_xlim(0, n)
        axes.set_ylim(0, n)
        axes.set_aspect("equal")
        blank(axes)
        axes.set_title(f"slide {4 if shared else 3}: {3 if shared else free} free weights", fontsize=13)
    return figure


@drawing("I10")
def three_formulas() -> Figure:
    """Outputs along one side of 200 pixels, window 5, against the stride."""
    figure, (axes,) = new_figure("200 pixels, window 5: slide 10 fits full padding at s = 1, and none at s = 5")
    strides = range(1, 9)
    for name, padding, colour in (("full padding", "full", THIRD), ("no padding", "valid", SECOND)):
        sizes = [zoo.conv_size(200, 5, s, padding).output for s in strides]
        axes.plot(strides, [100 * size / (200 / s) for s, size in zip(strides, sizes, strict=True)], "o-", color=colour,
                  linewidth=2.5, label=f"{name}: run")  # fmt: skip
    slide = [(200 + 5) / s - 1 for s in strides]
    axes.plot(strides, [100 * size / (200 / s) for s, size in zip(strides, slide, strict=True)], "s--", color=ACCENT,
              linewidth=2.5, label="(M + P)/s - 1, slide 10")  # fmt: skip
    plain(axes, "stride s", "outputs, % of 200 / s")
    axes.grid(color=PALE)
    axes.legend(frameon=False, fontsize=12)
    return figure


@drawing("I14")
def pooling_a_row() -> Figure:
    """5, 6, 7, 8 in windows of two, at stride 1 and at stride 2."""
    figure, panels = new_figure("Max-pooling in one dimension, windows of 2 (our input: the slide's is lost)", 1, 2)
    row = (5, 6, 7, 8)
    for axes, stride in zip(panels, (1, 2), strict=True):
        pooled = F.max_pool1d(torch.tensor([row]).float(), 2, stride=stride)[0].int().tolist()
        for i, value in enumerate(row):
            axes.add_patch(Rectangle((i, 0), 1, 1, facecolor="white", edgecolor=INK, linewidth=2))
            axes.text(i + 0.5, 0.5, value, ha="center", va="center", fontsize=20)
        for k, value in enumerate(pooled):
            left, colour = k * stride, (SECOND, ACCENT, THIRD)[k]
            axes.add_patch(Rectangle((left + 0.55, 2.4), 0.9, 0.9, facecolor="white", edgecolor=colour, linewidth=2.5))
            axes.text(left + 1, 2.85, value, ha="center", va="center", fontsize=20)
            for i in (left + 0.5, left + 1.5):
                axes.plot([i + 0.08 * (k - 1), left + 1], [1.05, 2.35], color=colour, linewidth=2)
        axes.set_xlim(-0.2, 4.2)
        axes.set_ylim(-0.4, 3.6)
        axes.set_aspect("equal")
        axes.axis("off")
        axes.set_title(f"stride {stride}: {pooled}", fontsize=14)
    return figure


@drawing("I16")
def heat_maps() -> Figure:
    """Digits somewhere on a stage, and which places speak for their class."""
    figure, panels = new_figure("Where does the network look? Class activation maps", 2, 6)
    (x, y), (x_test, y_test) = digits("train"), digits("test")
    network = map_net(x, y)
    chosen = torch.tensor([int((y_test == digit).nonzero()[3]) for digit in (0, 2, 3, 5, 7, 9)])
    stage, _ = on_a_stage(x_test[chosen])
    heat = network.class_maps(stage)[torch.arange(6), y_test[chosen]]
    heat = F.interpolate(heat[:, None], scale_factor=4, mode="bilinear")[:, 0]
    bound = float(heat.max())
    with torch.no_grad():
        p = network(stage).softmax(1)
    for i in range(6):
        panels[i].imshow(stage[i, 0].numpy(), cmap="gray_r", vmin=0, vmax=1)
        panels[6 + i].imshow(stage[i, 0].numpy(), cmap="gray_r", vmin=0, vmax=1, extent=(0, 1, 0, 1))
        panels[6 + i].imshow(heat[i].numpy(), cmap="RdBu_r", vmin=-bound, vmax=bound, alpha=0.6, extent=(0, 1, 0, 1))
        panels[i].set_title(f"{int(p[i].argmax())} ({100 * float(p[i].max()):.0f} %)", fontsize=13)
        blank(panels[i])
        blank(panels[6 + i])
    panels[0].set_ylabel("input", fontsize=12)
    panels[6].set_ylabel("heat of its class", fontsize=12)
    return figure


@drawing("I17")
def activations_and_depth() -> Figure:
    """What reaches the first layer through ever more hidden layers, by activation; and the slopes that decide it."""
    figure, (left, right) = new_figure("Activation functions: their slopes decide what reaches the first layer", 1, 2)
    z = torch.linspace(-5, 5, 201)
    x, y = digits("train")
    kinds = (("ReLU", nn.ReLU, ACCENT), ("tanh", nn.Tanh, INK), ("sigmoid", nn.Sigmoid, SECOND),
             ("softmax", nn.Softmax, THIRD))  # fmt: skip
    for name, activation, colour in kinds:
        if activation is not nn.Softmax:  # it has no slope of its own: each output depends on all inputs
            inputs = z.clone().requires_grad_()
            (slopes,) = torch.autograd.grad(activation()(inputs).sum(), inputs)
            left.plot(z, slopes, color=colour, linewidth=2.5, label=name)
        depths = range(1, 7)
        norms = [gradient_of_the_first(deep_network(activation, depth), x, y) for depth in depths]
        right.semilogy(depths, norms, "o-", color=colour, linewidth=2.5, label=name)
    plain(left, "z", "slope g'(z)")
    plain(right, "hidden layers", "gradient of the first layer at the start")
    left.legend(frameon=False, fontsize=12, loc="upper left")
    right.legend(frameon=False, fontsize=12, loc="lower left")
    right.grid(color=PALE)
    return figure


@drawing("I33")
def one_by_one() -> Figure:
    """The probability of each wanted output while they are tuned one by one, and with the gradients summed."""
    figure, panels = new_figure("Read b, a, c; want a, c, h: tuned one by one, or BPTT's sum?", 1, 2, sharey=True)
    colours = (SECOND, THIRD, ACCENT)
    for axes, (name, plan) in zip(
        panels, (("first y3, then y2, then y1", ([2], [1], [0])), ("gradients added up, one update", ([0, 1, 2],) * 3)),
        strict=True,
    ):  # fmt: skip
        torch.manual_seed(0)
        network = abc_network("abch")
        x, targets, curves = network.encode("bac")[None], network.encode("ach"), []
        optimizer = torch.optim.SGD(network.parameters(), lr=1.0)
        for outputs in plan:
            for _ in range(100):
                logits = network(x)[0]  # (3, V)
                curves.append(logits.softmax(1)[torch.arange(3), targets].tolist())
                optimizer.zero_grad()
                F.cross_entropy(logits[outputs], targets[outputs], reduction="sum").backward()
                optimizer.step()
        for t, curve in enumerate(zip(*curves, strict=True)):
            axes.plot(curve, color=colours[t], linewidth=2.5, label=f"y{t + 1} = {'ach'[t]}")
        axes.set_title(name, fontsize=13)
        plain(axes, "updates", "")
        axes.set_ylim(-0.02, 1.05)
    panels[0].set_ylabel("probability of the wanted letter", fontsize=12)
    panels[0].vlines([100, 200], 0, 1, color=PALE)
    panels[1].legend(frameon=False, fontsize=13, loc="center right")
    return figure


@drawing("I36")
def slope_times_weight() -> Figure:
    """Outputs and gradients of one neuron over 50 steps: it is not the output that explodes a gradient."""
    figure, (left, right) = new_figure("It is slope times weight that explodes, not the output", 1, 2)
    cases = (("ReLU, w = 1", 1.0, torch.relu, INK), ("ReLU, w = 1.1", 1.1, torch.relu, ACCENT),
             ("5 + z/2, w = 1", 1.0, lambda z: 5 + z / 2, SECOND))  # fmt: skip
    for name, w, g, colour in cases:
        first = torch.tensor(3.0, dtype=torch.float64, requires_grad=True)
        h, outputs, slopes = first, [3.0], [1.0]
        for _ in range(50):
            h = g(w * h)
            outputs.append(float(h.detach()))
            slopes.append(float(torch.autograd.grad(h, first, retain_graph=True)[0]))
        left.semilogy(outputs, color=colour, linewidth=2.5, label=name)
        right.semilogy(slopes, color=colour, linewidth=2.5)
    left.axhline(1, color=PALE)
    left.set_ylim(0.5, 1000)
    plain(left, "t", "output $h_t$: all above 1")
    plain(right, "t", r"gradient $\partial h_t / \partial h_0$")
    left.legend(frameon=False, fontsize=12, loc="upper left")
    return figure


@drawing("I37")
def heat_strip() -> Figure:
    """How strongly seven states still depend on the first input: an RNN, and LSTMs by their forget bias."""
    figure, (axes,) = new_figure("Sensitivity to the first input over 7 steps: the darker, the more is left")
    rows = {}
    for name, cell, options in (
        ("RNN, sigmoid", "rnn", {}), ("LSTM, forget bias 0", "lstm", {"forget_bias": 0.0}),
        ("LSTM, forget bias 1", "lstm", {"forget_bias": 1.0}), ("LSTM, forget bias 5", "lstm", {"forget_bias": 5.0}),
    ):  # fmt: skip
        torch.manual_seed(1)
        values = torch.tensor(sensitivity_to_the_first(cell, 7, **options))
        rows[name] = values / values[0]
    shares = torch.stack(list(rows.values()))
    axes.imshow(shares.clamp(1e-4, 1).log10().numpy(), cmap="Greys", vmin=-4.2, vmax=0.2, aspect="auto")
    for i, row in enumerate(shares.tolist()):
        for t, share in enumerate(row):
            text = f"{share:.2f}" if share >= 0.01 else f"{share:.0e}"
            axes.text(t, i, text, ha="center", va="center", fontsize=13, color="white" if share > 0.03 else INK)
    axes.set_xticks(range(7), [f"t = {t}" for t in range(1, 8)], fontsize=12)
    axes.set_yticks(range(len(rows)), list(rows), fontsize=12)
    axes.spines[:].set_visible(False)
    axes.set_xlabel(r"$|\partial h_t / \partial x_1|$ as a share of its value at t = 1", fontsize=12)
    return figure


@drawing("I38")
def forget_gates() -> Figure:
    """The forget gates and cells of a trained LSTM while it reads: a context is kept until END."""
    figure, (gates, cells) = new_figure("Keep the context, and forget it at END: an LSTM of 3 cells", 2, 1, sharex=True)
    network = context_lstm()
    text = "so India and so and END so and France so END and".split()
    words = torch.tensor([[WORDS.index(word) for word in text]])
    trace = network.gates(words)
    with torch.no_grad():
        held = network(words).argmax(2)[0].tolist()
    for axes, values, low, colours in (
        (gates, trace["forget"][0], 0.0, "viridis"), (cells, trace["c"][0], -2.5, "RdBu_r"),
    ):  # fmt: skip
        shades = axes.imshow(values.T.numpy(), cmap=colours, vmin=low, vmax=-low or 1.0, aspect="auto")
        figure.colorbar(shades, ax=axes, pad=0.01)
        axes.set_yticks(range(3), ["cell 1", "cell 2", "cell 3"], fontsize=11)
        for t in (words[0] == FORGET).nonzero()[:, 0].tolist():
            axes.add_patch(Rectangle((t - 0.5, -0.5), 1, 3, fill=False, edgecolor=ACCENT, linewidth=3))
    gates.set_title("forget gates: 1 keeps, 0 forgets", fontsize=12)
    cells.set_title("cell states, and what the network says holds", fontsize=12)
    answers = ["none", "India", "France"]
    labels = [f"{word}\n({answers[context]})" for word, context in zip(text, held, strict=True)]
    cells.set_xticks(range(len(text)), labels, fontsize=9)
    return figure
