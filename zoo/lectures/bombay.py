# fmt: off
"""Bombay (G. Ramakrishnan): convolution and recurrence as building blocks; every claim of the slides, computed."""

import itertools
import json
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import zoo
from zoo.lectures.ledger import Steps, Within, claim, remark
from zoo.lectures.small_tasks import (
    FORGET,
    WORDS,
    LinearChainCRF,
    context_lstm,
    contexts,
    digits,
    fit,
    map_net,
    on_a_stage,
    sticky_tags,
    taggers,
)
from zoo.models.recurrent import recurrent_layers


@claim("I01", slide="2, 11", topic="architectures", says="seven Lego blocks, from feature maps to memory cells",
       expected={"feature maps": (6, 8, 8), "patches": 75, "strides": (6, 4, 4), "padding": (6, 12, 12),
                 "pooling": (3, 4, 4), "embeddings": (5, 4), "memory cells": (5, 7)}, verdict="ok")
def lego_blocks() -> Steps:
    x, words = torch.randn(1, 3, 12, 12), torch.tensor([[2, 0, 1, 1, 2]])
    maps, strided, padded = nn.Conv2d(3, 6, 5), nn.Conv2d(3, 6, 5, stride=2), nn.Conv2d(3, 6, 5, padding=2)
    yield f"3x12x12, six feature maps, each a patch of 3*5*5 weights: {by_size(maps(x))}"
    yield f"the same with stride 2: {by_size(strided(x))}; with padding 2: {by_size(padded(x))}"
    pooled = F.max_pool2d(x, 3, stride=3)
    yield f"3x12x12, max-pooling 3x3 with stride 3, no weights: {by_size(pooled)}"
    embedded = nn.Embedding(3, 4)(words)
    memory, (_, c) = nn.LSTM(4, 7, batch_first=True)(embedded)
    yield f"5 words of 3: embedded {by_size(embedded)}; LSTM cells {by_size(memory)}, which hold {c.shape[2]} numbers"
    sizes = {"feature maps": maps(x), "strides": strided(x), "padding": padded(x), "pooling": pooled}
    sizes |= {"embeddings": embedded, "memory cells": memory}
    return {name: tuple(part.shape[1:]) for name, part in sizes.items()} | {"patches": maps.weight[0].numel()}


@claim("I02", slide=3, topic="convolution", says="sparse connections, unshared: multiplication with a Toeplitz matrix",
       stated="a Toeplitz matrix", expected={"free weights": 13, "diagonals that are constant": 0, "of": 3},
       verdict="wrong",
       why="The weights of this slide differ along every diagonal: a banded matrix. Toeplitz is K, and from slide 4 on "
           "the product too.",
       correction="Multiplication with a banded matrix; with shared weights (slide 4) it is a Toeplitz matrix")
def banded_matrix() -> Steps:
    m = torch.arange(5)
    mask = (m[:, None] - m).abs() <= 1  # K(i - m)
    matrix = torch.randn(5, 5) * mask  # w_mi, each its own
    for line in matrix.tolist():
        yield " ".join(f"{w:6.2f}" if w else "     0" for w in line)
    bands = [torch.diagonal(matrix, k) for k in (-1, 0, 1)]
    constant = sum(bool((band == band[0]).all()) for band in bands)
    sizes = " + ".join(str(len(band)) for band in bands)
    yield f"free weights: {sizes} = {int(mask.sum())}; constant diagonals: {constant}"
    return {"free weights": int(mask.sum()), "diagonals that are constant": constant, "of": len(bands)}


@claim("I03", slide=4, topic="convolution", says="shared weights: h_i = sum over m of x_m w_(i-m) K(i-m)",
       expected={"h": (4, 11, 18, 25, 26), "A x": (4, 11, 18, 25, 26), "np.convolve": (4, 11, 18, 25, 26),
                 "np.correlate": (10, 17, 24, 31, 14), "weights": 3}, verdict="ok")
def true_convolution() -> Steps:
    import numpy as np

    x, w = [1, 2, 3, 4, 5], {-1: 1, 0: 2, 1: 4}
    h = tuple(sum(x[m] * w[i - m] for m in range(5) if abs(i - m) <= 1) for i in range(5))
    yield f"x = {x}; w_-1, w_0, w_1 = {', '.join(map(str, w.values()))}"
    yield f"h_3 = x_2 w_1 + x_3 w_0 + x_4 w_-1 = 2 * 4 + 3 * 2 + 4 * 1 = {h[2]}"
    toeplitz = [[w.get(i - m, 0) for m in range(5)] for i in range(5)]
    product = tuple((torch.tensor(toeplitz) @ torch.tensor(x)).tolist())
    yield f"A x = {product} with A = [{'; '.join(' '.join(map(str, line)) for line in toeplitz)}], Toeplitz"
    kernel = list(w.values())
    convolved, correlated = (tuple(map(int, f(x, kernel, "same"))) for f in (np.convolve, np.correlate))
    yield f"h = {h}; np.convolve {convolved}, np.correlate {correlated}"
    flipped = torch.tensor(kernel).flip(0).view(1, 1, 3).float()
    layer = F.conv1d(torch.tensor(x).view(1, 1, 5).float(), flipped, padding=1).flatten().int().tolist()
    yield f"a layer of PyTorch correlates (Prague C31): it gives h with the kernel turned round, {layer}"
    return {"h": h, "A x": product, "np.convolve": convolved, "np.correlate": correlated, "weights": len(w)}


@claim("I04", slide=4, topic="convolution", says="neighbours act alike wherever they are; less storage", expected=0.0,
       tolerance=1e-12, verdict="ok")
def alike_everywhere() -> Steps:
    from zoo.lectures import prague

    difference = yield from prague.shifted_input_shifted_map()
    shared, places = nn.Conv2d(1, 1, 5, bias=False).weight.numel(), 24 * 24
    yield f"storage: {shared} weights; with weights of their own at {places} places {shared * places:,}"
    return difference


@claim("I05", slide=5, topic="convolution", says="stride s: keep the h_i whose i is a multiple of s", expected=0.0,
       verdict="ok")
def stride_is_downsampling() -> Steps:
    x, w, worst = torch.randn(1, 1, 21), torch.randn(1, 1, 3), 0.0
    every = F.conv1d(x, w)
    for s in (2, 3, 4):
        strided = F.conv1d(x, w, stride=s)
        difference = float((strided - every[:, :, ::s]).abs().max())
        worst = max(worst, difference)
        kept = ", ".join(map(str, range(0, every.shape[2], s)))
        yield f"stride {s}: {strided.shape[2]} of {every.shape[2]} outputs, i = {kept}; difference {difference}"
    return worst


@claim("I06", slide=5, topic="convolution", says="at the ends: pad with zeros (same), or fewer nodes (valid)",
       expected={"same": 5, "valid": 3, "full": 7}, verdict="ok")
def padding_by_name() -> Steps:
    n, k, found = 5, 3, {}
    for name, zeros, formula in (("same", 1, "n"), ("valid", 0, "n - k + 1"), ("full", 2, "n + k - 1")):
        found[name] = F.conv1d(torch.randn(1, 1, n), torch.randn(1, 1, k), padding=zeros).shape[2]
        sum_ = zoo.conv_size(n, k, padding=name).formula()
        yield f"{name:5} n = {n}, k = {k}, {zeros} zeros at each end: {sum_}; {formula} = {found[name]}"
    return found


remark("I07", slide="6-9", topic="convolution", says="pictures of convolutional filters", verdict="no claim",
       why="The pictures are not in the text; zoo figure C36 draws learned filters.")


@claim("I08", slide=10, topic="parameters", says="MLP on 200x200x3 pixels, 40,000 hidden neurons: 4,800,000 parameters",
       stated=4_800_000, expected=4_800_000_000, verdict="wrong",
       why="120,000 inputs times 40,000 neurons are 4.8 billion weights: three zeros are missing.",
       correction="4,800,000,000 weights, 19.2 GB in float32")
def mlp_on_a_photograph() -> Steps:
    inputs, hidden = 200 * 200 * 3, 40_000
    yield f"inputs: 200 * 200 * 3 = {inputs:,}"
    layer = nn.Linear(inputs, hidden, device="meta")  # counted, not held: it would take 19 GB
    weights = layer.weight.numel()
    yield f"weights: {inputs:,} * {hidden:,} = {weights:,}, in float32 {4 * weights / 1e9:.1f} GB"
    yield f"with biases: {weights:,} + {hidden:,} = {weights + layer.bias.numel():,}"
    return weights


@claim("I09", slide=10, topic="parameters", says="20 feature maps of 5x5x3: just 1,500 parameters", stated=1_500,
       expected={"weights": 1_500, "with biases": 1_520}, verdict="ok by convention",
       why="Counted without the bias that each map has; with it 1,520.")
def twenty_feature_maps() -> Steps:
    with torch.device("meta"):
        found = zoo.inspect(nn.Sequential(nn.Conv2d(3, 20, 5)), (3, 200, 200))
    weights, biases = found.parameters_without_biases, found.parameters - found.parameters_without_biases
    yield f"20 maps * 5 * 5 * 3 = {weights:,} weights, + {biases} biases = {found.parameters:,}"
    yield f"on 200x200x3 each is used at 196 * 196 = {found.macs // weights:,} places: {found.macs:,} multiplications"
    return {"weights": weights, "with biases": found.parameters}


@claim("I10", slide=10, topic="convolution", says="output size ((M + P)/s - 1) x ((N + Q)/s - 1)", stated=204,
       verdict="wrong",
       expected={"full, s = 1": (168, 168), "full, s > 1": (0, 504), "none, s = P": (96, 96), "none, else": (40, 576)},
       why="Right with full padding at stride 1, as in the slide's example; at larger strides it never is. Slide 19 "
           "has the form without padding.",
       correction="floor((M - P)/s) + 1 along each side; with p zeros at each end floor((M + 2p - P)/s) + 1")
def formula_of_slide_10() -> Steps:
    right = {name: [] for name in ("full, s = 1", "full, s > 1", "none, s = P", "none, else")}
    for m, p, s in itertools.product(range(9, 33), range(1, 8), range(1, 5)):
        x, kernel, of_slide = torch.empty(1, 1, m), torch.empty(1, 1, p), int((m + p) / s - 1)
        full, valid = (F.conv1d(x, kernel, stride=s, padding=zeros).shape[2] for zeros in (p - 1, 0))
        right["full, s = 1" if s == 1 else "full, s > 1"].append(of_slide == full)
        right["none, s = P" if s == p else "none, else"].append(of_slide == valid)
    for name, cases in right.items():
        yield f"padding {name}: rounded down, as on slide 22, F.conv1d's size in {sum(cases)} of {len(cases)} cases"
    once, twice = (zoo.conv_size(200, 5, s, "full") for s in (1, 2))
    yield f"M = 200, P = 5: s = 1 gives (200 + 5)/1 - 1 = {205 / 1 - 1:g}, the size with full padding, {once.output};"
    yield f"                s = 2 gives (200 + 5)/2 - 1 = {205 / 2 - 1:g}, but with full padding it is {twice.output}"
    return {name: (sum(cases), len(cases)) for name, cases in right.items()}


@claim("I11", slide=10, topic="pooling", says="20 x 204 x 204 = 832,320 neurons, which can increase with max-pooling",
       stated={"full": 832_320}, verdict="contradictory",
       expected={"full": 832_320, "same": 800_000, "valid": 768_320, "full, then 2x2 max-pooling": 208_080},
       why="The number is right with full padding. Max-pooling takes neurons away, as slide 12 says; at stride 1 and "
           "2x2 it is 203 x 203.",
       correction="832,320 neurons with full padding (768,320 without), which max-pooling reduces")
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
                 "not pooled": Within(0.47, 0.56)}, verdict="ok", experiments=("mnist_nielsen",))
def what_pooling_saves() -> Steps:
    network = zoo.load("mnist-nielsen")
    with_pooling = sum(p.numel() for p in network.layers[0].parameters())
    without = sum(p.numel() for p in nn.Linear(20 * 24 * 24, 100, device="meta").parameters())
    yield f"the layer behind, with 2x2 pooling: 20*12*12 * 100 + 100 = {with_pooling:,} parameters"
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
       expected=(6, 8), verdict="ok by convention",
       why="The input is a picture that the text lacks; 5, 6, 7, 8 with a window of 2 is our reconstruction.")
def pooled_row() -> Steps:
    x = torch.tensor([[5.0, 6.0, 7.0, 8.0]])
    found = {s: tuple(int(value) for value in F.max_pool1d(x, 2, stride=s)[0]) for s in (1, 2)}
    yield f"5, 6, 7, 8 in windows of 2 at stride 1: max(5, 6), max(6, 7), max(7, 8) = {found[1]}"
    yield f"at stride 2: max(5, 6), max(7, 8) = {found[2]}"
    return found[2]


@claim("I15", slide="18, 19", topic="pooling", says="max-pooling 3x3 of 5x5 with three channels, stride 1: 3x3x1",
       stated=(3, 3, 1), expected=(3, 3, 3), verdict="wrong",
       why="The side (5 - 3)/1 + 1 = 3 is right. Pooling takes the maximum in each channel by itself: 3 stay 3; "
           "only one through all channels leaves 1.",
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
       why="An exercise. Of three stacks the convolution wins; a quarter of the stage holds the digit, and most of the "
           "heat.")
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


@claim("I21", slide=23, topic="applications", says="a CRF extends logistic regression to sequences; do networks?",
       expected={"forward and brute force": 0.0, "logistic regression": Within(0.58, 0.62), "CRF": Within(0.77, 0.83),
                 "RNN": Within(0.79, 0.85)}, tolerance=1e-5, trains=True, verdict="shown",
       why="Tags that stay, symbols that lie: what a symbol cannot tell, its neighbours can, to a CRF and to an RNN.")
def chain_of_tags() -> Steps:
    crf = LinearChainCRF(symbols=3, tags=3)
    nn.init.normal_(crf.transition)
    x = torch.tensor([[0, 2, 1, 1, 0]])
    with torch.no_grad():
        every = torch.cartesian_prod(*[torch.arange(3)] * 5)  # all taggings of five symbols
        brute, forward = crf.score(x.expand(len(every), -1), every).logsumexp(0), crf.log_z(x)[0]
    yield f"log Z: the sum over all 3^5 = {len(every)} taggings {brute:.6f}, the forward algorithm {forward:.6f}"
    (x, y), (x_test, y_test) = sticky_tags(2000), sticky_tags(1000)
    yield "tags stay with p = 0.95; a symbol tells its tag with p = 0.6"
    right = {}
    for name, tag in taggers(x, y).items():
        right[name] = float((tag(x_test) == y_test).float().mean())
        yield f"{name}: {right[name]:.1%} of the tags right"
    return {"forward and brute force": float(forward - brute)} | right


@claim("I22", slide="24, 25", topic="recurrence", says="share parameters across time; the same task for every element",
       expected=Within(high=1e-12), verdict="ok")
def shared_over_time() -> Steps:
    from zoo.lectures import cyprus

    return (yield from cyprus.shared_weights_unrolled())


@claim("I23", slide=26, topic="applications", says="try a text-generation RNN: what do you see, how to improve it?",
       expected={"T = 0.3": Within(0.7, 1.05), "T = 1": Within(1.1, 1.5), "T = 2": Within(2.3, 3.3)}, verdict="shown",
       why="An exercise, here with the zoo's LSTM: cold it is sure and safe, hot it misspells; better cells help.",
       experiments=("shakespeare_rnn", "shakespeare_gru", "shakespeare_lstm", "pydoc_lstm"))
def text_by_temperature() -> Steps:
    network, found = zoo.load("shakespeare-lstm"), {}
    prompt = network.encode("KING:\n")[None].expand(8, -1)  # eight texts at once
    for temperature in (0.3, 1.0, 2.0):
        drawn = torch.stack(list(network.sample(prompt, 60, temperature)), 1)  # (8, 60)
        with torch.no_grad():
            logits = network(torch.cat([prompt, drawn], 1)[:, :-1])[:, -60:]  # before each letter that was drawn
        nats = float(F.cross_entropy(logits.flatten(0, 1), drawn.flatten()))
        found[f"T = {temperature:g}"] = nats
        yield f"T = {temperature:g}: {network.decode(drawn[0])[:50]!r}, {nats:.2f} nats a letter"
    rnn, lstm = (zoo.load(f"shakespeare-{cell}").card["metrics"]["test/loss"] for cell in ("rnn", "lstm"))
    yield f"to improve it: a better cell (nats a letter on unseen text, as measured: RNN {rnn:.3f}, LSTM {lstm:.3f})"
    return found


@claim("I24", slide=27, topic="recurrence", says="compact: the same task for every element, given what came before",
       expected={"parameters": 30, "letter by letter": 0.0, "another past": Within(low=0.05)}, tolerance=1e-6,
       verdict="ok", experiments=("abc_rnn", "shakespeare_lstm", "pydoc_lstm"))
def compact_network() -> Steps:
    network = abc_network("abc")
    text = network.encode("abacabac")[None]
    with torch.no_grad():
        whole, state, parts = network(text), None, []
        for letter in text.split(1, dim=1):
            logits, state = network.unroll(letter, state)
            parts.append(logits)
        apart = float((torch.cat(parts, 1) - whole).abs().max())
        other = network(network.encode("cabcabbc")[None])[0, -1]
    count = parameters(network)
    yield f"{count} parameters read abacabac, letter by letter with the state carried on, or at once: {apart:.0e} apart"
    changed = float((other - whole[0, -1]).abs().max())
    yield f"after cabcabb the same last letter, c, gives other logits: {changed:.2f} apart"
    return {"parameters": count, "letter by letter": apart, "another past": changed}


@claim("I25", slide="28, 29", topic="representation", says="one-hot: a 1 for the k-th letter, 0 for all others",
       expected={"a": (1, 0, 0), "b": (0, 1, 0), "c": (0, 0, 1)}, verdict="ok", experiments=("abc_rnn",))
def one_hot_letters() -> Steps:
    network = abc_network("abc")
    vectors = network.embed(network.encode("abc")[None])[0].int()
    for letter, vector in zip("abc", vectors.tolist(), strict=True):
        yield f"{letter} -> {vector}"
    distances = torch.pdist(vectors.float())
    yield f"each as far from the others: distances {', '.join(f'{d:.3f}' for d in distances)}"
    return {letter: tuple(vector) for letter, vector in zip("abc", vectors.tolist(), strict=True)}


@claim("I26", slide="30, 31", topic="parameters", says="a language model with one hidden layer of 3 neurons",
       expected={"slide 32": 30, "with output bias": 33, "PyTorch": 36}, verdict="ok", experiments=("abc_rnn",))
def parameters_of_abc() -> Steps:
    lecture, pytorch = abc_network("abc"), zoo.create("char_rnn", vocabulary="abc", cell="rnn", hidden_size=3)
    found = zoo.inspect(lecture)
    for layer in found.layers:
        yield f"{layer.name}: {layer.count_formula}"
    with_bias = found.parameters + len(lecture.vocabulary)
    total = zoo.inspect(pytorch).parameters
    yield f"Whx 9 + Whh 9 + bh 3 + Wyh 9 = {found.parameters}; by 3 = {with_bias}; PyTorch has a second bh: {total}"
    return {"slide 32": found.parameters, "with output bias": with_bias, "PyTorch": total}


@claim("I27", slide=32, topic="recurrence", says="h_t = g(Whh h_(t-1) + Whx x_t + bh); y_t = Wyh h_t", expected=0.0,
       tolerance=1e-6, verdict="ok", experiments=("abc_rnn",))
def equations_of_the_rnn() -> Steps:
    network = abc_network("abc").requires_grad_(False)
    whx, whh, bh = network.layers.weight_ih_l0, network.layers.weight_hh_l0, network.layers.bias_ih_l0
    wyh, h, ys = network.output.weight, torch.zeros(3), []
    for t, letter in enumerate("abac", 1):
        x = torch.eye(3)["abc".index(letter)]
        h = torch.tanh(whh @ h + whx @ x + bh)
        ys.append(wyh @ h)
        yield f"t = {t}, x = {letter}: h = {row(h)}, y = {row(ys[-1])}"
    theirs = nn.RNN(3, 3, batch_first=True).requires_grad_(False)
    theirs.load_state_dict({"weight_ih_l0": whx, "weight_hh_l0": whh, "bias_ih_l0": bh, "bias_hh_l0": torch.zeros(3)})
    outputs = theirs(torch.eye(3)[[0, 1, 0, 2]][None])[0][0] @ wyh.T
    difference = float((outputs - torch.stack(ys)).abs().max())
    yield f"torch.nn.RNN with these weights: {difference:.1e} apart"
    return difference


@claim("I28", slide=32, topic="neuron", says="tanh = (1 - e^2x)/(1 + e^2x), in the text; tanh(x) = 2 sigmoid(2x) - 1",
       expected={"tanh(1)": 0.761594, "as in text": -0.761594, "with e^-2x": 0.761594, "2 sigmoid(2) - 1": 0.761594},
       tolerance=1e-6, verdict="extraction",
       why="The text has lost minus signs here (2 sigmoid(2x)1, h_t1); as it stands the fraction is -tanh(x).")
def tanh_and_sigmoid() -> Steps:
    x = 1.0
    found = {"tanh(1)": math.tanh(x), "as in text": (1 - math.exp(2 * x)) / (1 + math.exp(2 * x)),
             "with e^-2x": (1 - math.exp(-2 * x)) / (1 + math.exp(-2 * x)),
             "2 sigmoid(2) - 1": 2 / (1 + math.exp(-2 * x)) - 1}
    yield f"as in the text: (1 - {math.exp(2):.4f}) / (1 + {math.exp(2):.4f}) = {found['as in text']:.6f}"
    yield f"with the sign:  (1 - {math.exp(-2):.4f}) / (1 + {math.exp(-2):.4f}) = {found['with e^-2x']:.6f} = tanh(1)"
    z = torch.linspace(-5, 5, 1001, dtype=torch.float64)
    apart = float((2 * torch.sigmoid(2 * z) - 1 - torch.tanh(z)).abs().max())
    yield f"2 sigmoid(2x) - 1 and tanh(x) over x = -5 .. 5: {apart:.1e} apart"
    return found


@claim("I29", slide=32, topic="neuron", says="softmax extends the sigmoid to many classes", expected=True, verdict="ok")
def softmax_of_two() -> Steps:
    z = torch.linspace(-5, 5, 11, dtype=torch.float64)
    yield "softmax([z, 0])[0] = e^z / (e^z + e^0) = 1 / (1 + e^-z) = sigmoid(z)"
    two = torch.stack([z, torch.zeros_like(z)], 1).softmax(1)[:, 0]
    difference = float((two - torch.sigmoid(z)).abs().max())
    yield f"largest difference over z = -5, -4, ..., 5: {difference:.1e}"
    return difference < 1e-12


@claim("I30", slide=32, topic="neuron", says="g may be sigmoid or softmax; a network may mix activations",
       expected={"units that sigmoid leaves free": 3, "units that softmax leaves free": 2, "mixed, all learn": True},
       verdict="ok")
def mixed_activations() -> Steps:
    z = torch.randn(3, dtype=torch.float64)
    free = {}
    for name, g in (("sigmoid", torch.sigmoid), ("softmax", lambda z: z.softmax(0))):
        jacobian = torch.autograd.functional.jacobian(g, z)
        free[f"units that {name} leaves free"] = int(torch.linalg.matrix_rank(jacobian))
        rank = free[f"units that {name} leaves free"]
        yield f"h = {name}(z) of 3 units: {row(g(z))}, sum {float(g(z).sum()):.3f}; rank of dh/dz (3, 3): {rank}"
    yield "softmax ties the units of a hidden layer to the sum 1: allowed, unusual; at the output a probability"
    network = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 5), nn.ReLU(), nn.Linear(5, 5), nn.Sigmoid(),
                            nn.Linear(5, 3), nn.Softmax(1))
    (-network(torch.randn(16, 4))[:, 0].log().mean()).backward()
    learn = all(bool(p.grad.abs().sum() > 0) for p in network.parameters())
    yield f"tanh, ReLU, sigmoid, softmax one after the other: every layer has a gradient: {learn}"
    return free | {"mixed, all learn": learn}


@claim("I31", slide="33-36", topic="recurrence", says="h1 reads x0 = 0, h2 reads x1; y3 = Wyh g(Whh h2 + Whx x2 + bh)",
       expected={"printed, by x3": 0.0, "printed, by x2": Within(low=0.01), "slide 32, by x3": Within(low=0.01)},
       verdict="contradictory",
       why="As printed, y3 does not depend on x3, yet slide 36 wants it from x3, x2, x1, and slide 32 has x_t in h_t.",
       correction="h1 = g(Whh h0 + Whx x1 + bh) and so on: only h0 is zero; y3 = Wyh g(Whh h2 + Whx x3 + bh)")
def recurrence_as_printed() -> Steps:
    whx, whh, wyh = (torch.randn(3, 3, dtype=torch.float64) for _ in range(3))
    found = {}
    for name, shift in (("printed", 1), ("slide 32", 0)):
        x = torch.zeros(4, 3, dtype=torch.float64)
        x[1], x[2], x[3] = torch.eye(3, dtype=torch.float64)[[1, 0, 2]]  # b, a, c; x_0 = 0
        x.requires_grad_()
        h = torch.zeros(3, dtype=torch.float64)
        for t in (1, 2, 3):
            h = torch.tanh(whh @ h + whx @ x[t - shift])
        (gradient,) = torch.autograd.grad((wyh @ h).sum(), x)
        sizes = {f"{name}, by x{t}": float(gradient[t].norm()) for t in (1, 2, 3)}
        yield f"{name}, h_t reads x_{'(t-1)' if shift else 't'}: " + ", ".join(
            f"|dy3/dx{t}| = {size:.3f}" for t, size in enumerate(sizes.values(), 1))
        found |= sizes
    return {key: found[key] for key in ("printed, by x3", "printed, by x2", "slide 32, by x3")}


@claim("I32", slide="34, 35", topic="representation", says="x2 = 'a' wants y2 = 'c', x3 = 'c' wants y3 = 'h'",
       expected={"letters that abc lacks": "h", "letters of bach": 4, "target of x3": (0, 0, 0, 1)},
       verdict="contradictory", experiments=("abc_rnn",),
       why="The vocabulary of slide 28 is a, b, c: an 'h' has no code in it. The letters fit 'bach', of length 4 as on "
           "slide 37.",
       correction="Vocabulary a, b, c, h, with one-hot vectors of four numbers")
def letters_of_bach() -> Steps:
    text, short = "bach", abc_network("abc")
    lacks = "".join(letter for letter in text if letter not in short.vocabulary)
    try:
        short.encode("h")
    except ValueError as error:
        yield f"abc: {error}"
    network = abc_network("".join(sorted(set(text))))
    for t, (now, wanted) in enumerate(zip(text, text[1:], strict=False), 1):
        target = network.embed(network.encode(wanted)[None])[0, 0].int().tolist()
        yield f"abch: x{t} = {now!r} wants y{t} = {wanted!r} = {target}"
    return {"letters that abc lacks": lacks, "letters of bach": len(network.vocabulary), "target of x3": tuple(target)}


@claim("I33", slide=36, topic="backpropagation", says="tune the weights for y3 first, then for y2, then for y1",
       expected={"summed": (12, 12), "one by one": Within(5, 10)}, trains=True, verdict="loose",
       experiments=("abc_rnn",),
       why="BPTT adds up the gradients of all outputs and makes one update; one by one, the later undo the first.",
       correction="Add up the gradients of y3, y2 and y1, then update the weights once")
def tuned_one_by_one() -> Steps:
    right, first = {"one by one": 0, "summed": 0}, torch.initial_seed()
    for start in range(first, first + 4):
        for way, plan in (("one by one", ([2], [1], [0])), ("summed", ([0, 1, 2],) * 3)):
            torch.manual_seed(start)  # the same weights for both
            network = abc_network("abch")
            x, targets = network.encode("bac")[None], network.encode("ach")
            optimizer, after = torch.optim.SGD(network.parameters(), lr=1.0), []
            for outputs in plan:
                for _ in range(100):
                    optimizer.zero_grad()
                    F.cross_entropy(network(x)[0, outputs], targets[outputs], reduction="sum").backward()
                    optimizer.step()
                after.append(float(network(x)[0].softmax(1)[2, targets[2]].detach()))
            right[way] += int((network(x)[0].argmax(1) == targets).sum())
            if start == first:
                yield f"{way}: p of the right y3 after 100, 200, 300 steps: {', '.join(f'{p:.2f}' for p in after)}"
    for way, count in right.items():
        yield f"{way}: {count} of 4 starts * 3 outputs right"
    return {"summed": (right["summed"], 12), "one by one": right["one by one"]}


@claim("I34", slide=37, topic="representation", says="sequence length 4, batch size 1; one-hot is the best encoding",
       expected={"input": (4, 1, 3), "one-hot and table": 0.0, "products saved": 1_000_000}, verdict="loose",
       experiments=("abc_rnn",),
       why="A one-hot vector times a matrix is a column of it: the same as looking up a learnt vector, which larger "
           "vocabularies do.",
       correction="One-hot, or the same by table look-up (an embedding), which costs no products")
def one_hot_is_a_look_up() -> Steps:
    letters = torch.tensor([0, 1, 0, 2])  # a b a c
    x = F.one_hot(letters, 3).float()[:, None]  # (T, B, V)
    yield f"input (T, B, V) = {tuple(x.shape)}"
    whx = torch.randn(3, 3)
    table = nn.Embedding.from_pretrained(whx.T)
    difference = float((x[:, 0] @ whx.T - table(letters)).abs().max())
    yield f"Whx times the one-hot vector of b: {row(whx @ x[1, 0])}; row b of the table: {row(table.weight[1])}"
    words, hidden = 10_000, 100
    product = zoo.inspect(nn.Linear(words, hidden, bias=False, device="meta"), torch.empty(1, words, device="meta"))
    yield f"a word of {words:,}, {hidden} neurons: {product.macs:,} products, all but {hidden} with 0; a table: none"
    return {"input": tuple(x.shape), "one-hot and table": difference, "products saved": product.macs}


@claim("I35", slide=38, topic="recurrence", says="influence decays exponentially; a product of |v| < 1 gives zero",
       expected={"0.9": 0.005153775, "1.0": 1.0, "1.1": 117.390853}, tolerance=1e-5, verdict="ok")
def decaying_influence() -> Steps:
    from zoo.lectures import barcelona

    value = yield from barcelona.powers_of_a_matrix()
    steps = next(t for t in range(1, 1000) if torch.tensor(0.25).pow(t) == 0)
    yield f"zero is the limit; 0.25, the sigmoid's steepest slope, is rounded to 0 in float32 after {steps} factors"
    return value


@claim("I36", slide=38, topic="recurrence", says="a function that gives values > 1 as output makes gradients explode",
       expected={"ReLU": 1.0, "ReLU, weight 1.1": 117.39085, "5 + z/2": 8.881784e-16, "output of 5 + z/2": 10.0},
       tolerance=1e-4, verdict="loose",
       why="The size of the output says nothing: what is multiplied are slopes times weights, which have to exceed 1.",
       correction="Gradients explode where slope times weight exceeds 1")
def slopes_not_outputs() -> Steps:
    found = {}
    cases = {"ReLU": (1.0, torch.relu), "ReLU, weight 1.1": (1.1, torch.relu), "5 + z/2": (1.0, lambda z: 5 + z / 2)}
    for name, (w, g) in cases.items():
        start = torch.tensor(3.0, dtype=torch.float64, requires_grad=True)
        h = start
        for _ in range(50):
            h = g(w * h)
        found[name], output = float(torch.autograd.grad(h, start)[0]), float(h.detach())
        yield f"h_t = g(w h_(t-1)), g = {name}, h_0 = 3: output h_50 = {output:.4g}, dh_50/dh_0 = {found[name]:.3g}"
    yield "all outputs lie above 1; what is multiplied are the slopes, w g'(z) = 1, 1.1, 1/2"
    return found | {"output of 5 + z/2": output}


@claim("I37", slide=39, topic="recurrence", says="sensitivity to the first input decays over 7 time steps",
       expected={"bound after 6 transitions": 2.4414e-4, "simulated": Within(2e-5, 2.4414e-4), "decays": True},
       tolerance=1e-7, verdict="ok")
def seven_steps() -> Steps:
    sensitivity = sensitivity_to_the_first("rnn", steps=7)
    shares = [value / sensitivity[0] for value in sensitivity]
    yield "|dh_t / dx_1|, t = 1 .. 7, as a share of the first, one sigmoid neuron with w = 1:"
    yield ", ".join(f"{share:.1e}" for share in shares)
    yield f"bound: a slope of at most 1/4 at each of 6 transitions, (1/4)^6 = {0.25**6:.2e}"
    falls = all(later < earlier for earlier, later in zip(shares, shares[1:], strict=False))
    return {"bound after 6 transitions": 0.25**6, "simulated": shares[-1], "decays": falls}


@claim("I38", slide=40, topic="gates", says="remember the context 'India' until it is no longer needed, then forget it",
       expected={"right": Within(0.99, 1.0), "held": Within(0.6, 1.0), "at END": Within(0.0, 0.35)}, trains=True,
       verdict="shown", experiments=("break_forget_bias",),
       why="A toy grammar, two contexts that hold until END: the forget gate stays open between and shuts at END.")
def keep_and_forget() -> Steps:
    network = context_lstm()
    words, held = contexts(500)
    with torch.no_grad():
        right = float((network(words).argmax(2) == held).float().mean())
    yield f"words {', '.join(WORDS)}; at each the network says which context holds: {right:.1%} right"
    forget = network.gates(words)["forget"]  # (B, T, H)
    before = F.pad(held, (1, 0))[:, :-1] > 0  # a context is there to be kept or dropped
    keep, drop = forget[before & (words > 1) & (words != FORGET)].mean(0), forget[before & (words == FORGET)].mean(0)
    yield f"forget gates of {len(keep)} cells, mean: at 'and', 'so' {row(keep)}, at END {row(drop)}"
    cell = int((keep - drop).argmax())
    sentence = torch.tensor([[0, 2, 3, 2, FORGET, 3, 1, 2]])
    gates = network.gates(sentence)["forget"][0, :, cell]
    read = [f"{WORDS[word]} {gate:.2f}" for word, gate in zip(sentence[0].tolist(), gates.tolist(), strict=True)]
    yield f"cell {cell}: {', '.join(read)}"
    return {"right": right, "held": float(keep[cell]), "at END": float(drop[cell])}


def abc_network(vocabulary: str) -> nn.Module:
    """The net of slides 30 to 32: one-hot letters, 3 hidden neurons, one bias."""
    return zoo.create("char_rnn", vocabulary=vocabulary, cell="rnn", hidden_size=3, implementation="reference",
                      variant="lecture")


def alexnet_layers() -> list:
    """What `zoo.inspect` finds in the AlexNet of 2012, counted and not computed."""
    with torch.device("meta"):
        network = zoo.create("alexnet", num_classes=1000, variant="paper")
    return zoo.inspect(network).layers


def sensitivity_to_the_first(cell: str, steps: int, **options: float) -> list[float]:
    """|dh_t / dx_1| at t = 1 .. steps, of a single neuron: an RNN with a sigmoid and weights 1, or an LSTM."""
    settings = {"nonlinearity": "sigmoid"} if cell == "rnn" else options
    layers = recurrent_layers(cell, 1, 1, implementation="reference", **settings).double()
    if cell == "rnn":
        for name, parameter in layers.named_parameters():
            nn.init.constant_(parameter, 0.0 if name.startswith("bias") else 1.0)
    x = torch.randn(1, steps, 1, dtype=torch.float64, requires_grad=True)
    h = layers(x)[0][0, :, 0]  # (T,)
    return [float(torch.autograd.grad(h_t, x, retain_graph=True)[0][0, 0].abs()) for h_t in h]


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


def parameters(network: nn.Module) -> int:
    """How many, weights and biases."""
    return sum(p.numel() for p in network.parameters())


def accuracy(network: nn.Module, x: Tensor, y: Tensor) -> float:
    """Share of the items that the network gets right."""
    with torch.no_grad():
        return float((network(x).argmax(1) == y).float().mean())


def by_size(x: Tensor) -> str:
    """`3x4x4`, of one item."""
    return "x".join(map(str, x.shape[1:]))


def row(values: Tensor) -> str:
    """In brackets, with three digits after the point."""
    return "[" + " ".join(f"{value:.3f}" for value in values.tolist()) + "]"
