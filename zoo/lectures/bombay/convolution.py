# fmt: off
"""Bombay (G. Ramakrishnan), I01 to I10: convolution, strides, sizes."""

import itertools

import torch
import torch.nn.functional as F
from torch import nn

import zoo
from zoo.lectures.bombay.shared import by_size
from zoo.lectures.ledger import Steps, claim, remark


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
       verdict="ambiguous",
       why="K is a Toeplitz matrix, and so is that of the shared weights of slide 4. But the weights w_mi of this "
           "slide differ along every diagonal: banded, not Toeplitz.",
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
    yield f"a layer of PyTorch correlates (Prague C31): it gives h with the kernel flipped, {layer}"
    return {"h": h, "A x": product, "np.convolve": convolved, "np.correlate": correlated, "weights": len(w)}


@claim("I04", slide=4, topic="convolution", says="neighbours act alike wherever they are; less storage", expected=0.0,
       tolerance=1e-12, verdict="ok")
def alike_everywhere() -> Steps:
    from zoo.lectures import prague

    difference = yield from prague.convolution.shifted_input_shifted_map()
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


@claim("I10", slide=10, topic="convolution", says="output size ((M + P)/s - 1) x ((N + Q)/s - 1)",
       stated="(M + P)/s - 1", verdict="wrong",
       expected={"full, s = 1": (168, 168), "full, s > 1": (0, 504), "none, s = P": (96, 96), "none, else": (40, 576)},
       why="Right with full padding at stride 1, as in the slide's example; with full padding at larger strides never, "
           "without padding only at s = P or by luck in rounding. Slide 19 has the right form for that.",
       correction="floor((M - P)/s) + 1 along each side; with p zeros at each end floor((M + 2p - P)/s) + 1")
def formula_of_slide_10() -> Steps:
    right = {name: [] for name in ("full, s = 1", "full, s > 1", "none, s = P", "none, else")}
    for m, p, s in itertools.product(range(9, 33), range(1, 8), range(1, 5)):
        x, kernel, of_slide = torch.empty(1, 1, m), torch.empty(1, 1, p), int((m + p) / s - 1)
        full, valid = (F.conv1d(x, kernel, stride=s, padding=zeros).shape[2] for zeros in (p - 1, 0))
        right["full, s = 1" if s == 1 else "full, s > 1"].append(of_slide == full)
        right["none, s = P" if s == p else "none, else"].append(of_slide == valid)
    for name, cases in right.items():
        yield f"padding {name + ':':12} F.conv1d's size in {sum(cases):3} of {len(cases)} cases, rounded as on slide 22"
    once, twice = (zoo.conv_size(200, 5, s, "full") for s in (1, 2))
    yield f"M = 200, P = 5: s = 1 gives (200 + 5)/1 - 1 = {205 / 1 - 1:g}, the size with full padding, {once.output};"
    yield f"                s = 2 gives (200 + 5)/2 - 1 = {205 / 2 - 1:g}, but with full padding it is {twice.output}"
    return {name: (sum(cases), len(cases)) for name, cases in right.items()}
