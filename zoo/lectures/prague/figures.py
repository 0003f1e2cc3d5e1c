"""Figures of Prague for a slide: drawn anew from what the rows compute."""

import math

import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor, nn

import zoo
from zoo.figures import conv_filters
from zoo.lectures.ledger import drawing
from zoo.lectures.panels import blank, new_figure, plain, titled
from zoo.lectures.prague.architectures import GoogLeNet, counted, resnet, vgg, zfnet
from zoo.lectures.prague.recurrence import sentence_of
from zoo.lectures.prague.runs import captioned, learning_speeds, polyline, sawtooth, trained_captioner
from zoo.lectures.small_tasks import digits
from zoo.palette import ACCENT, COLOURS, INK, PALE, SECOND
from zoo.word_figures import capitals


def picture(axes: Axes, image: Tensor, title: str = "", signed: bool = False) -> None:
    """A picture (h, w) in a pale frame; signed: red positive, blue negative, else ink on paper."""
    bound = float(image.abs().max())
    low, colours = (-bound, "RdBu_r") if signed else (0, "Greys")
    axes.imshow(image.numpy(), cmap=colours, vmin=low, vmax=bound)
    axes.set_title(title, fontsize=12)
    blank(axes)
    axes.spines[:].set_color(PALE)


@drawing("C04")
def three_nets() -> Figure:
    """Inputs to y; with one hidden layer; with two."""
    figure, panels = new_figure("Deeper: features of the input, and features of those", 1, 3)
    for axes, hidden in zip(panels, ([], [5], [5, 5]), strict=True):
        network = zoo.create("mlp", in_features=4, num_classes=2, hidden_sizes=hidden)
        sizes, count = [4, *hidden, 1], sum(p.numel() for p in network.parameters())
        places = [[(x, y - (size - 1) / 2) for y in range(size)] for x, size in enumerate(sizes)]
        for left, right in zip(places, places[1:], strict=False):
            for start in left:
                for end in right:
                    axes.plot(*zip(start, end, strict=True), color=PALE, linewidth=1, zorder=1)
        for number, column in enumerate(places):
            colour = SECOND if number == 0 else ACCENT if number == len(places) - 1 else INK
            axes.scatter(*zip(*column, strict=True), s=170, color=colour, zorder=2)
        axes.set(xlim=(len(hidden) / 2 - 1.3, len(hidden) / 2 + 2.3), ylim=(-2.6, 2.6))
        axes.axis("off")
        names = ["no hidden layer", "one hidden layer", "two hidden layers"]
        axes.set_title(f"{names[len(hidden)]}\n{count} parameters", fontsize=13)
    return figure


@drawing("C09")
def countries_and_capitals_drawn() -> Figure:
    """The zoo's word vectors of countries and capitals along two principal components."""
    return capitals(zoo.load("english-skipgram"), "Countries and capitals, skip-gram on 4.75 million words")


@drawing("C13")
def sine_by_a_polyline() -> Figure:
    """A sine by 4, 8 and 16 ReLU neurons, and the error over the width."""
    figure, panels = new_figure("One hidden layer: the error falls with the square of its width", 1, 2)
    x = torch.linspace(0, 1, 4097, dtype=torch.float64)[:, None]
    target = torch.sin(2 * math.pi * x)
    panels[0].plot(x, target, color=PALE, linewidth=7, label=r"$\sin 2 \pi x$")
    for n, colour in ((4, SECOND), (16, ACCENT)):
        panels[0].plot(x, polyline(n)(x), color=colour, linewidth=2, label=f"{n} neurons")
    panels[0].legend(frameon=False, fontsize=11)
    plain(panels[0], "x")
    widths = [2**k for k in range(1, 9)]
    errors = [float((polyline(n)(x) - target).abs().max()) for n in widths]
    panels[1].loglog(
        widths, [math.pi**2 / 2 / n**2 for n in widths], color=PALE, linewidth=7, label=r"bound, $\pi^2 / 2 n^2$"
    )
    panels[1].loglog(widths, errors, "o-", color=ACCENT, linewidth=2, label="largest error")
    panels[1].legend(frameon=False, fontsize=11)
    plain(panels[1], "ReLU neurons n")
    return figure


@drawing("C14")
def folds_of_a_sawtooth() -> Figure:
    """The tent map once, twice, three times and six times."""
    figure, panels = new_figure(
        "Depth folds: two ReLU neurons more double the number of pieces", 2, 2, sharex=True, sharey=True
    )
    x = torch.arange(2**10 + 1, dtype=torch.float64)[:, None] / 2**10
    for axes, layers in zip(panels, (1, 2, 3, 6), strict=True):
        axes.plot(x, sawtooth(layers)(x), color=ACCENT, linewidth=2)
        deep = f"{layers} layer{'s' * (layers > 1)}, {2 * layers} neurons: {2**layers} pieces"
        axes.set_title(f"{deep}\n(in one layer at least {2**layers - 1} neuron{'s' * (layers > 1)})", fontsize=12)
        plain(axes)
    return figure


@drawing("C17")
def sigmoid_and_its_slope() -> Figure:
    """The sigmoid and its derivative; what is left of an error after so many layers."""
    figure, panels = new_figure("The slope of the sigmoid is a quarter at most", 1, 2)
    z = torch.linspace(-8, 8, 321, dtype=torch.float64)
    s = torch.sigmoid(z)
    panels[0].plot(z, s, color=SECOND, linewidth=2.5, label="s(z)")
    panels[0].plot(z, s * (1 - s), color=ACCENT, linewidth=2.5, label="s'(z) = s (1 - s)")
    panels[0].axhline(0.25, color=INK, linewidth=1, linestyle=":")
    panels[0].text(-8, 0.27, "0.25", fontsize=12)
    panels[0].legend(frameon=False, fontsize=12, loc="upper left")
    plain(panels[0], "z")
    layers = range(11)
    for slope, colour, label in ((1.0, SECOND, "ReLU, active: 1"), (0.25, ACCENT, "sigmoid, at best: $0.25^n$")):
        panels[1].semilogy(layers, [slope**n for n in layers], "o-", color=colour, linewidth=2, label=label)
    panels[1].set_ylim(1e-7, 1e1)
    panels[1].legend(frameon=False, fontsize=12, loc="lower left")
    plain(panels[1], "layers n on the way back", "product of the slopes")
    return figure


@drawing("C18")
def speeds_of_learning() -> Figure:
    """|dL/db| of each hidden layer while nets of 1, 2, 3 and 5 sigmoid layers learn digits."""
    figure, panels = new_figure("How fast each sigmoid layer learns: the first ones hardly at all", 1, 4, sharey=True)
    colours = (ACCENT, *COLOURS[4:1:-1], SECOND)
    for axes, hidden in zip(panels, (1, 2, 3, 5), strict=True):
        torch.manual_seed(0)
        norms, _, share = learning_speeds(hidden)
        for layer in range(hidden):
            smooth = norms[:, layer].unfold(0, 25, 5).mean(1)
            steps = 12 + 5 * torch.arange(len(smooth))
            axes.semilogy(steps, smooth, color=colours[layer], linewidth=2, label=f"layer {layer + 1}")
        axes.set_title(f"{hidden} hidden layer{'s' * (hidden > 1)}\n{100 * share:.0f} % right", fontsize=12)
        plain(axes, "steps")
    panels[0].set_ylabel(r"$|\partial L / \partial b|$", fontsize=12)
    panels[0].legend(*panels[-1].get_legend_handles_labels(), frameon=False, fontsize=12, loc="lower left")
    return figure


@drawing("C21")
def through_fewer_numbers() -> Figure:
    """Digits, and what a linear autoencoder with 2, 8 and 24 hidden neurons gives back: the best there is, by PCA."""
    x, y = digits("train")
    rows = torch.tensor([int((y == k).nonzero()[0]) for k in range(10)])
    mean, pixels = x.flatten(1).mean(0), x.flatten(1)
    vh = torch.linalg.svd(pixels - mean, full_matrices=False).Vh
    figure, panels = new_figure("Linear autoencoder: 64 pixels through 2, 8 and 24 numbers", 4, 10)
    for line, size in enumerate((64, 24, 8, 2)):
        back = mean + (pixels - mean) @ vh[:size].T @ vh[:size]
        error = float((back - pixels).square().sum(1).mean())
        for axes, row in zip(panels[10 * line : 10 * line + 10], rows, strict=True):
            picture(axes, back[row].view(8, 8).clamp(0, 1))
        name = "the digits" if size == 64 else f"{size} numbers\nerror {error:.2f}"
        first = panels[10 * line]
        first.text(-0.25, 0.5, name, transform=first.transAxes, fontsize=11, ha="right", va="center")
    return figure


@drawing("C33")
def three_ways_to_connect() -> Figure:
    """Parameters of a fully connected, a locally connected and a convolutional layer on 28x28 pixels."""
    local = zoo.create("locally_connected", num_classes=10).local
    layers = {
        "fully connected,\n784 neurons": nn.Linear(784, 784),
        "5x5 windows,\n576 neurons": local,
        "5x5, shared,\n576 neurons": nn.Conv2d(1, 1, 5),
        "5x5, shared,\n20 maps": nn.Conv2d(1, 20, 5),
    }
    counts = [sum(p.numel() for p in layer.parameters()) for layer in layers.values()]
    figure, (axes,) = new_figure("28x28 pixels to a hidden layer: what has to be learnt")
    bars = axes.barh(range(4), counts, color=(INK, SECOND, ACCENT, ACCENT))
    axes.bar_label(bars, [f" {count:,}" for count in counts], fontsize=14)
    axes.set_yticks(range(4), list(layers))
    axes.invert_yaxis()
    axes.set(xscale="log", xlim=(1, 2e7))
    plain(axes, "parameters, with biases")
    return figure


@drawing("C34")
def the_map_moves_along() -> Figure:
    """A digit and a map of it by a learned filter; both moved."""
    network = zoo.load("mnist-nielsen")
    x, y = digits("test")
    digit = F.interpolate(x[int((y == 7).nonzero()[0])][None], 16, mode="bilinear")
    here = F.pad(digit, (2, 10, 2, 10))
    there = here.roll((7, 8), (2, 3))
    weight = network.convs[0].weight.detach()
    strongest = int(F.conv2d(here, weight).relu().sum((2, 3)).argmax())
    filter_ = weight[strongest][None]
    figure, panels = new_figure(
        "The same filter everywhere: a moved picture gives the moved map", 2, 3, width_ratios=(3, 1, 3)
    )
    for line, (image, name) in enumerate(((here, ""), (there, " moved by (7, 8)"))):
        picture(panels[3 * line], image[0, 0], f"digit{name}")
        picture(panels[3 * line + 1], filter_[0, 0], "5x5 filter", signed=True)
        picture(panels[3 * line + 2], F.conv2d(image, filter_)[0, 0].relu(), f"map{name}")
    return figure


@drawing("C36")
def filters_of_the_trained_net() -> Figure:
    """The 20 filters of the zoo's trained net."""
    return conv_filters(zoo.load("mnist-nielsen").convs[0].weight.detach(), "MNIST, trained")


@drawing("C38")
def a_digit_through_the_net() -> Figure:
    """20 maps of 24x24, pooled to 12x12, and the ten outputs for a digit."""
    network = zoo.load("mnist-nielsen")
    x, y = digits("test")
    image = F.pad(F.interpolate(x[int((y == 3).nonzero()[0])][None], 20, mode="bilinear"), [4] * 4)
    with torch.no_grad():
        maps = network.convs[0]((image - 0.1307) / 0.3081)  # (1, 20, 24, 24)
        pooled = F.max_pool2d(maps, 2).relu()
        p = network((image - 0.1307) / 0.3081)[0].softmax(0)
    figure = titled("28x28 -> 20x24x24 -> 20x12x12 -> 100 -> 10")
    parts = figure.subfigures(1, 4, width_ratios=(1.1, 1.6, 1.6, 1))
    picture(parts[0].subplots(), image[0, 0], "28x28")
    for part, stack, name in (
        (parts[1], maps[0].relu(), "20 maps of 24x24"),
        (parts[2], pooled[0], "20 of 12x12, pooled"),
    ):
        part.suptitle(name, fontsize=12)
        for axes, one in zip(part.subplots(5, 4).flat, stack, strict=True):
            picture(axes, one)
    axes = parts[3].subplots()
    axes.barh(range(10), p.tolist(), color=ACCENT)
    axes.set_yticks(range(10))
    axes.set_xticks([0, 1])
    axes.invert_yaxis()
    axes.set_title("10 outputs", fontsize=12)
    plain(axes, "probability")
    return figure


@drawing("C47")
def depth_and_parameters() -> Figure:
    """Networks of the ImageNet contests: layers with weights, and parameters."""
    networks = {
        "AlexNet": lambda: zoo.create("alexnet", num_classes=1000, variant="paper"), "ZFNet": zfnet,
        "VGG-16": lambda: vgg(16), "VGG-19": lambda: vgg(19), "GoogLeNet": GoogLeNet, "ResNet-152": resnet,
    }  # fmt: skip
    found = {name: counted(build) for name, build in networks.items()}
    figure, panels = new_figure("Networks of the ImageNet contests, built and counted", 1, 2)
    depths, sizes = [layers for _, layers, _ in found.values()], [count / 1e6 for count, _, _ in found.values()]
    for axes, values, form, colour, label in (
        (panels[0], depths, "{:.0f}", SECOND, "layers with weights, one after the other"),
        (panels[1], sizes, "{:.1f}", ACCENT, "million parameters"),
    ):
        bars = axes.barh(range(len(values)), values, color=colour)
        axes.bar_label(bars, [f" {form.format(value)}" for value in values], fontsize=12)
        axes.set_yticks(range(len(values)), list(found))
        axes.set_xlim(0, 1.2 * max(values))
        axes.invert_yaxis()
        plain(axes, label)
    return figure


@drawing("C62")
def written_captions() -> Figure:
    """Eight test pictures, and the sentence that a small captioner writes under each."""
    torch.manual_seed(0)
    network = trained_captioner()
    scenes, sentences = captioned("test")
    rows = torch.arange(0, 96, 12)
    written = network.write(scenes[rows])
    figure, panels = new_figure("ConvNet + LSTM: captions of pictures that it has never seen", 2, 4)
    for axes, scene, words, truth in zip(panels, scenes[rows], written, sentences[rows], strict=True):
        picture(axes, scene[0], sentence_of(words))
        axes.title.set_color(INK if torch.equal(words, truth) else ACCENT)
    return figure
