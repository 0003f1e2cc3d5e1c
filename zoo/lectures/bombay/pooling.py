# fmt: off
"""Bombay (G. Ramakrishnan), I11 to I20: pooling, AlexNet, exercises."""

import json

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import zoo
from zoo.lectures.bombay.shared import by_size, parameters
from zoo.lectures.ledger import Steps, Within, claim
from zoo.lectures.small_tasks import (
    digits,
    fit,
    map_net,
    on_a_stage,
)


@claim("I11", slide=10, topic="pooling", says="20 x 204 x 204 = 832,320 neurons, which can increase with max-pooling",
       stated={"full": 832_320}, verdict="ambiguous",
       expected={"full": 832_320, "same": 800_000, "valid": 768_320, "full, then 2x2 max-pooling": 208_080,
                 "both": 1_040_400},
       why="Right with full padding. Pooling makes the maps smaller, as slide 12 says; there are more neurons only if "
           "those of the pooling layer are counted on top.",
       correction="832,320 neurons with full padding (768,320 without), of which 2x2 max-pooling passes on 208,080")
def neurons_of_twenty_maps() -> Steps:
    found = {}
    for name in ("full", "same", "valid"):
        size = zoo.conv_size(200, kernel=5, padding=name)
        found[name] = 20 * size.output**2
        yield f"{name}: {size.formula()}; 20 * {size.output}^2 = {found[name]:,}"
    pooled = F.max_pool2d(torch.empty(20, 204, 204, device="meta"), 2)
    found["full, then 2x2 max-pooling"] = pooled.numel()
    overlapping = F.max_pool2d(torch.empty(20, 204, 204, device="meta"), 2, stride=1)
    yield f"2x2 max-pooling leaves {by_size(pooled[None])} = {pooled.numel():,}; at stride 1 {overlapping.numel():,}"
    found["both"] = found["full"] + pooled.numel()
    yield f"both layers together: {found['full']:,} + {pooled.numel():,} = {found['both']:,}"
    return found


@claim("I12", slide=11, topic="pooling", says="the blocks again; pooling is more downsampling", expected=(200, 98, 49),
       verdict="ok")
def more_downsampling() -> Steps:
    blocks = nn.Sequential(nn.Conv2d(3, 20, 5, stride=2), nn.ReLU(), nn.MaxPool2d(2))
    layers = [layer for layer in zoo.inspect(blocks, (3, 200, 200)).layers if layer.size_formula]
    for layer in layers:
        yield f"{layer.kind}: {layer.size_formula}, {layer.parameters:,} parameters"
    yield "the stride makes it smaller, pooling once more, and without a weight"
    return (200, *(int(layer.output.rpartition("x")[2]) for layer in layers))


@claim("I13", slide=12, topic="pooling", says="max-pooling: smaller, fewer parameters, translation invariance",
       expected={"with pooling": 288_100, "without": 1_152_100, "pooled": Within(0.37, 0.45),
                 "not pooled": Within(0.47, 0.56)}, verdict="ok", experiments=("mnist_nielsen",),
       why="The invariance is partial, as the numbers show; that it helps against over-fitting is not computed.")
def what_pooling_saves() -> Steps:
    network = zoo.load("mnist-nielsen")
    with_pooling = sum(p.numel() for p in network.layers[0].parameters())
    without = sum(p.numel() for p in nn.Linear(20 * 24 * 24, 100, device="meta").parameters())
    yield f"the layer after it, with 2x2 pooling: 20*12*12 * 100 + 100 = {with_pooling:,} parameters"
    yield f"without: 20*24*24 * 100 + 100 = {without:,}, {without / with_pooling:.1f} times as many"
    with torch.no_grad():
        picture = F.interpolate(digits("test")[0][:200], size=20, mode="bilinear")
        picture = (F.pad(picture, (4, 4, 4, 4)) - 0.1307) / 0.3081
        maps, moved = (torch.relu(network.convs[0](x)) for x in (picture, picture.roll(1, 3)))  # by one pixel
        pairs = {"not pooled": (maps, moved), "pooled": (F.max_pool2d(maps, 2), F.max_pool2d(moved, 2))}
        found = {name: float((b - a).norm() / a.norm()) for name, (a, b) in pairs.items()}
    before, after = found["not pooled"], found["pooled"]
    yield f"200 digits moved by one pixel: the maps change by {before:.0%}, the pooled maps by {after:.0%}"
    return {"with pooling": with_pooling, "without": without} | found


@claim("I14", slide="13-17", topic="pooling", says="1-D max-pooling; with stride 2 the answer is [6, 8]", stated=(6, 8),
       expected=(6, 8), verdict="extraction",
       why="The input is a picture that the text lacks; 5, 6, 7, 8 with a window of 2 is our guess, which fits.")
def pooled_row() -> Steps:
    x = torch.tensor([[5.0, 6.0, 7.0, 8.0]])
    found = {s: tuple(int(value) for value in F.max_pool1d(x, 2, stride=s)[0]) for s in (1, 2)}
    yield f"5, 6, 7, 8 in windows of 2 at stride 1: max(5, 6), max(6, 7), max(7, 8) = {found[1]}"
    yield f"at stride 2: max(5, 6), max(7, 8) = {found[2]}"
    return found[2]


@claim("I15", slide="18, 19", topic="pooling", says="max-pooling 3x3 of 5x5 with three channels, stride 1: 3x3x1",
       stated=(3, 3, 1), expected=(3, 3, 3), verdict="wrong",
       why="The side (5 - 3)/1 + 1 = 3 is right. Max-pooling goes channel by channel, as with the 3x3x1 windows of "
           "slide 22, so 3 stay 3; only a maximum through all channels leaves 1.",
       correction="3x3x3: the maximum of each PxQ patch (not MxN), channel by channel")
def pooled_channels() -> Steps:
    x = torch.randn(1, 3, 5, 5)
    pooled = nn.MaxPool2d(3, stride=1)(x)
    yield f"side: {zoo.conv_size(5, kernel=3).formula()}; nn.MaxPool2d(3, stride=1): {by_size(pooled)}, channels first"
    alone = torch.cat([F.max_pool2d(channel, 3, stride=1) for channel in x.split(1, dim=1)], 1)
    yield f"each channel by itself, put together again: difference {float((pooled - alone).abs().max())}"
    across = F.max_pool3d(x[:, None], 3, stride=1)[0, 0]
    yield f"a maximum over PxQx3 patches, through all channels: {by_size(across[None])}; AlexNet keeps its 96 (I19)"
    channels, *sides = pooled.shape[1:]
    return (*sides, channels)


@claim("I16", slide=20, topic="architectures", says="try stacks of blocks, save them as JSON, look at heat maps",
       expected={"linear": Within(0.91, 0.95), "hidden layer": Within(0.95, 0.98), "convolution": Within(0.95, 0.99),
                 "class maps": Within(0.95, 1.0), "from JSON the same": True, "heat on the digit": Within(0.62, 0.8)},
       trains=True, verdict="shown",
       why="An exercise. Of three stacks the linear one is the weakest; a quarter of the stage holds the digit, and "
           "most of the heat.")
def stacks_and_heat_maps() -> Steps:
    (x, y), (x_test, y_test), found = digits("train"), digits("test"), {}
    stacks = {
        "linear": nn.Sequential(nn.Flatten(), nn.Linear(64, 10)),
        "hidden layer": nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.Tanh(), nn.Linear(32, 10)),
        "convolution": nn.Sequential(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
                                     nn.Linear(256, 10)),
    }
    for name, network in stacks.items():
        fit(network, lambda network=network: cross_entropy(network, x, y), 300, 1e-2)
        found[name] = accuracy(network, x_test, y_test)
        yield f"{name}: {parameters(network):,} parameters, {found[name]:.1%} of new digits right"
    snapshot = json.dumps({key: value.tolist() for key, value in network.state_dict().items()})
    before = network(x_test).detach()
    for weights in network.parameters():
        nn.init.zeros_(weights)
    network.load_state_dict({key: torch.tensor(value) for key, value in json.loads(snapshot).items()})
    found["from JSON the same"] = bool((network(x_test) == before).all())
    yield f"as JSON {len(snapshot):,} characters; read back, all answers the same: {found['from JSON the same']}"
    maps = map_net(x, y)
    stage, on_digit = on_a_stage(x_test)  # a digit somewhere on 16x16
    found["class maps"] = accuracy(maps, stage, y_test)
    heat = maps.class_maps(stage)[torch.arange(len(y_test)), y_test].relu()  # of the true class, (N, 8, 8)
    heat = F.interpolate(heat[:, None], scale_factor=2)[:, 0]
    found["heat on the digit"] = float(heat[on_digit].sum() / heat.sum())
    yield (f"class maps: {found['class maps']:.1%} right; on the digit's 8x8 of 16x16 pixels, 25 %, lies "
           f"{found['heat on the digit']:.0%} of the heat")
    return found


@claim("I17", slide=21, topic="neuron", says="discuss tanh, sigmoid, ReLU, softmax: when which?",
       expected={"tanh": Within(0.9, 1.0), "sigmoid": Within(0.2, 0.75), "ReLU": Within(0.9, 1.0),
                 "softmax": Within(0.1, 0.3)}, trains=True, verdict="shown", experiments=("break_sigmoid_depth",),
       why="An exercise: the same net of four hidden layers, the same start, each activation; slopes decide.")
def four_activations() -> Steps:
    (x, y), (x_test, y_test), found = digits("train"), digits("test"), {}
    for name, activation in (("tanh", nn.Tanh), ("sigmoid", nn.Sigmoid), ("ReLU", nn.ReLU), ("softmax", nn.Softmax)):
        right = []
        for depth in (1, 4):
            network = deep_network(activation, depth)
            slopes = gradient_of_the_first(network, x, y)
            fit(network, lambda network=network: cross_entropy(network, x, y), 300, 1e-2)
            right.append(accuracy(network, x_test, y_test))
        found[name] = right[1]
        yield (f"{name:8} one hidden layer {right[0]:.1%} right; four {right[1]:.1%}, "
               f"gradient of the first at the start {slopes:.0e}")
    yield "for the output: softmax of classes, sigmoid of yes or no; in between ReLU or tanh"
    return found


@claim("I18", slide=22, topic="architectures", says="AlexNet's first layer: (224 + 11)/4 - 1 = 57, so 57 x 57",
       stated=57, expected=55, verdict="wrong",
       experiments=("imagenet_alexnet_paper", "imagenet_alexnet_torchvision"),
       why="The filter has to be taken away, not added; the paper's maps are 55x55.",
       correction="(224 + 2*2 - 11)/4 + 1 = 55.25, so 55 x 55, with two zeros at each end (or with 227 pixels)")
def first_maps_of_alexnet() -> Steps:
    (conv1, *_) = alexnet_layers()
    yield f"slide: (224 + 11)/4 - 1 = {(224 + 11) / 4 - 1} -> {int((224 + 11) / 4 - 1)}"
    for size, padding in ((224, 2), (227, 0), (224, 0), (224, "full")):
        yield f"{size} pixels, padding {padding}: {zoo.conv_size(size, kernel=11, stride=4, padding=padding).formula()}"
    yield f"run: {conv1.output}, {conv1.size_formula}"
    return int(conv1.output.rpartition("x")[2])


@claim("I19", slide=22, topic="pooling", says="max-pooling 3x3 at stride 1 reduces AlexNet's 57x57 to 55x55", stated=55,
       expected=27, verdict="wrong", why="The arithmetic, 57 - 3 + 1 = 55, is right, its start is not. The paper pools "
       "at stride 2: 55 -> 27.", correction="Max-pooling 3x3 at stride 2 reduces 55 x 55 to 27 x 27")
def pooling_of_alexnet() -> Steps:
    yield f"slide: from 57, {zoo.conv_size(57, kernel=3).formula()}; the two errors give the size before pooling, 55"
    pooled = next(layer for layer in alexnet_layers() if layer.kind == "max_pool2d")
    yield f"paper: from 55 at stride 2, {zoo.conv_size(55, kernel=3, stride=2).formula()}"
    yield f"run: {pooled.output}, {pooled.size_formula}"
    return int(pooled.output.rpartition("x")[2])


@claim("I20", slide=22, topic="architectures", says="AlexNet: 48 (x 2) features of 11x11x3; 5 convolutions, 3 FC",
       stated={"features": 96, "convolutions": 5, "fully connected": 3}, verdict="ok",
       expected={"features": 96, "convolutions": 5, "fully connected": 3, "parameters": 34_944, "neurons": 290_400},
       experiments=("imagenet_alexnet_paper", "cifar10_alexnet", "cifar10_alexnet_gpu"))
def layers_of_alexnet() -> Steps:
    layers = alexnet_layers()
    conv1 = layers[0]
    maps, side = int(conv1.output.partition("x")[0]), int(conv1.output.rpartition("x")[2])
    yield f"48 * (11 * 11 * 3 + 1) = {48 * (11 * 11 * 3 + 1):,} parameters in each half; run: {conv1.count_formula}"
    yield f"neurons of the first layer: {side} * {side} * {maps} = {side * side * maps:,}"
    kinds = [layer.kind for layer in layers]
    counts = {"features": maps, "convolutions": kinds.count("conv2d"), "fully connected": kinds.count("linear")}
    yield f"{counts['convolutions']} convolutions, {counts['fully connected']} fully connected layers"
    return counts | {"parameters": conv1.parameters, "neurons": side * side * maps}


def alexnet_layers() -> list:
    """What `zoo.inspect` finds in the AlexNet of 2012, counted and not computed."""
    with torch.device("meta"):
        network = zoo.create("alexnet", num_classes=1000, variant="paper")
    return zoo.inspect(network).layers


def deep_network(activation: type[nn.Module], depth: int) -> nn.Sequential:
    """64 pixels, hidden layers of 32, 10 logits; always from the same start."""
    torch.manual_seed(torch.initial_seed())
    layers, width = [nn.Flatten()], 64
    for _ in range(depth):
        layers += [nn.Linear(width, 32), activation(1) if activation is nn.Softmax else activation()]
        width = 32
    return nn.Sequential(*layers, nn.Linear(width, 10))


def gradient_of_the_first(network: nn.Sequential, x: Tensor, y: Tensor) -> float:
    """Norm of the gradient that reaches the first layer, over 64 items."""
    return float(torch.autograd.grad(F.cross_entropy(network(x[:64]), y[:64]), network[1].weight)[0].norm())


def cross_entropy(network: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """Of 64 items, drawn anew."""
    rows = torch.randint(len(x), (64,))
    return F.cross_entropy(network(x[rows]), y[rows])


def accuracy(network: nn.Module, x: Tensor, y: Tensor) -> float:
    """Share of the items that the network gets right."""
    with torch.no_grad():
        return float((network(x).argmax(1) == y).float().mean())
