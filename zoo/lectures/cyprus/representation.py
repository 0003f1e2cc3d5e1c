# fmt: off
"""Cyprus, U16 to U27: representations, depth, and what inputs have in common."""

import torch
import torch.nn.functional as F
from torch import nn

import zoo
from zoo.lectures.cyprus import runs
from zoo.lectures.cyprus.recurrence import any_length
from zoo.lectures.ledger import Steps, Within, claim


@claim("U16", slide=8, topic="representation", says="red pixels: simpler in RGB; less saturated: simpler in HSV",
       expected={"picked": 344, "picked differently": 0, "desaturated differently": Within(high=1e-12)},
       verdict="shown", why="For one rule each; a rule that asks for the hue alone would be shorter in HSV.")
def red_and_pale() -> Steps:
    from colorsys import hsv_to_rgb, rgb_to_hsv

    levels = [(i + 0.5) / 16 for i in range(16)]
    pixels = [(r, g, b) for r in levels for g in levels for b in levels]
    in_rgb = [r > 2 * g and r > 2 * b for r, g, b in pixels]
    yield f"red, in RGB: R > 2 G and R > 2 B, two comparisons: picks {sum(in_rgb)} of {len(pixels):,} colours"
    in_hsv = []
    for h, s, _ in (rgb_to_hsv(*pixel) for pixel in pixels):
        away = 360 * min(h, 1 - h)  # degrees from red, on either side
        in_hsv.append(away < 60 and s * (1 - away / 60) > 0.5)
    different = sum(a != b for a, b in zip(in_rgb, in_hsv, strict=True))
    yield f"the same in HSV: S (1 - |H| / 60) > 1/2, H taken around the circle: differs for {different} colours"
    worst = 0.0
    for pixel in pixels:
        h, s, v = rgb_to_hsv(*pixel)
        pale = hsv_to_rgb(h, s / 2, v)
        worst = max(worst, *(abs((max(pixel) + c) / 2 - p) for c, p in zip(pixel, pale, strict=True)))
    yield "half as saturated, in HSV: S / 2, one operation; in RGB: (max(R, G, B) + C) / 2 for each of three C"
    yield f"largest difference between the two: {worst:.0e}"
    return {"picked": sum(in_rgb), "picked differently": different, "desaturated differently": worst}


@claim("U17", slide=8, topic="representation", says="Cartesian or polar coordinates: one task, easy or difficult",
       expected={"best line on x, y": 0.668, "threshold on r": 1.0}, tolerance=0.004, verdict="ok")
def two_rings() -> Steps:
    points, ring = runs.rings()
    angles = torch.arange(0, 180) * torch.pi / 180
    across = points @ torch.stack([angles.cos(), angles.sin()])  # (N, 180): how far along each direction
    right = [((across > c) == ring[:, None]).float().mean(0) for c in torch.linspace(-2.1, 2.1, 85)]
    shares = torch.stack([torch.stack(right), 1 - torch.stack(right)])
    line = float(shares.max())
    yield "two rings around the origin, of radius 1 and 2, 360 points each"
    yield f"x, y: of 180 * 85 lines the best has {100 * line:.1f} % right: it touches the inner ring,"
    yield "      with all of it on one side and 120 of 360 degrees of the outer one on the other: (1 + 1/3) / 2"
    r = points.norm(dim=1)
    polar = float(((r > 1.5) == ring).float().mean())
    yield f"r, theta: r > 1.5 has {100 * polar:.0f} % right"
    return {"best line on x, y": line, "threshold on r": polar}


@claim("U18", slide=9, topic="depth", says="2 layers of representations: shallow; more: deep",
       expected={"xor": 2, "mnist-mlp": 2, "mnist-sda": 4, "mnist-lenet": 5, "cifar10-alexnet": 8},
       verdict="ok by convention", why="Chollet's definition, applied to layers with weights; others count otherwise.")
def layers_of_the_zoo() -> Steps:
    depths = {}
    for name in ("xor", "mnist-mlp", "mnist-sda", "mnist-lenet", "cifar10-alexnet"):
        layers = [layer for layer in zoo.inspect(zoo.load(name)).layers if layer.kind in ("linear", "conv2d")]
        depths[name] = len(layers)
    yield "layers with weights, convolutions and fully connected ones, of networks that ship with the zoo"
    for word in ("shallow", "deep"):
        these = [name for name, depth in depths.items() if (depth > 2) == (word == "deep")]
        yield f"{word + ':':8} {', '.join(f'{name} {depths[name]}' for name in these)}"
    return depths


@claim("U19", slide=10, topic="history", says="1990-2010: CPUs became faster by a factor of about 5,000",
       expected={"months to double": 19.53}, tolerance=0.01, verdict="outside",
       why="Chollet 2018, section 1.3.1; it fits what is called Moore's law, a doubling in 18 to 24 months.")
def months_to_double() -> Steps:
    from math import log2

    doublings = log2(5_000)
    yield f"5,000 = 2^{doublings:.2f}: {doublings:.2f} doublings in 20 years"
    yield f"one in 240 / {doublings:.2f} = {240 / doublings:.1f} months; Moore's law: 18 to 24"
    return {"months to double": 240 / doublings}


@claim("U20", slide=11, topic="history", says="ImageNet: 1.4 million images, 1,000 categories",
       stated=1_400_000, rounding=0.03, expected=1_431_167, verdict="ok",
       why="The three parts of ILSVRC 2012 (Russakovsky et al. 2015); all of ImageNet has ten times as many.")
def imagenet_parts() -> Steps:
    parts = {"training": 1_281_167, "validation": 50_000, "test": 100_000}
    total = sum(parts.values())
    yield f"{' + '.join(f'{count:,} {name}' for name, count in parts.items())} = {total:,}"
    yield f"a category has {parts['training'] / 1000:,.0f} training pictures on average"
    return total


@claim("U21", slide=12, topic="depth", says="better activations, initialisation, optimizers, batch norm, residuals",
       expected={"sigmoid, SGD": Within(2.3, 2.32), "ReLU": Within(2.3, 2.32), "He's initialisation": Within(1.9, 2.3),
                 "Adam": Within(0.5, 1.3), "batch norm": Within(0.5, 1.0), "residual": Within(0.02, 0.15)},
       verdict="shown", trains=True,
       why="20 layers of 48 neurons, each at a rate that suits it, mean of 3 starts; ReLU by itself changes nothing.")
def ladder_of_tricks() -> Steps:
    yield "training loss of 20 layers after 60 batches, each line with all that stands above it (guessing: 2.303)"
    losses = {name: sum(runs.losses_of_a_rung(name)[-1] for _ in range(3)) / 3 for name in runs.RUNGS}
    names = list(losses)
    for pair in (names[:2], names[2:4], names[4:]):
        yield "   ".join(f"{name + ':':22} {losses[name]:6.3f}" for name in pair)
    yield "no single one does it; layer-wise pre-training, which the slide calls abandoned, is C23's"
    return losses


@claim("U22", slide=12, topic="depth", says="the gradient faded away as the number of layers increased",
       expected={"sigmoid": Within(0.15, 0.25), "ReLU": Within(0.8, 1.2)}, verdict="ok",
       experiments=("break_sigmoid_depth",))
def fading_gradient() -> Steps:
    yield "norm of dL/dz by layer, 1 (first) to 20, seen from the last; weights of variance 1/n, for ReLU 2/n"
    factors = {}
    for name in ("sigmoid", "relu"):
        norms = runs.gradient_by_layer(name, depth=20)
        factors[name] = (norms[0] / norms[-1]) ** (1 / 19)
        shares = "   ".join(f"{layer}: {norms[layer - 1] / norms[-1]:.0e}" for layer in (15, 10, 5, 1))
        yield f"{name + ':':8} {shares}   per layer {factors[name]:.3f}"
    yield "each layer multiplies it by W' g'(z); sigmoid' is at most 1/4, and ReLU' is 1 for half of the neurons"
    return {"sigmoid": factors["sigmoid"], "ReLU": factors["relu"]}


@claim("U23", slide=13, topic="history", says="venture capital: $19M in 2011, $394M in 2014; DeepMind bought in 2013",
       expected={"times": 20.7, "times a year": 2.75}, tolerance=0.05, verdict="outside",
       why="Chollet 2018, section 1.3.4, dates it so too; the press reported the purchase on 26 and 27 January 2014.")
def venture_capital() -> Steps:
    times = 394 / 19
    yield f"394 / 19 = {times:.1f} times in three years, {times:.1f}^(1/3) = {times ** (1 / 3):.2f} times a year"
    yield f"DeepMind alone, $500M, cost 500 / 394 = {500 / 394:.2f} times all venture capital in AI of 2014"
    return {"times": times, "times a year": times ** (1 / 3)}


@claim("U24", slide=15, topic="representation", says="letters: grey, (R+G+B)/3, is easier to learn from than colour",
       expected={"lead of grey, 100 digits": Within(0.02, 0.25), "lead of grey, 1,071 digits": Within(-0.03, 0.03),
                 "weights of the first layer": (19_200, 6_400)},
       verdict="shown", trains=True,
       why="Digits in red, green or blue ink; with all 1,071 of them to learn from the lead is gone.")
def grey_or_colour() -> Steps:
    (x, y), (test_x, test_y) = runs.digits()
    yield "each digit is written in red, green or blue ink, drawn at random; an MLP with 100 hidden neurons"
    leads, weights = [], []
    for count in (100, len(x)):
        rows, shares = torch.randperm(len(x))[:count], []
        ink, test_ink = runs.coloured(x[rows]), runs.coloured(test_x)  # (N, 3, 8, 8)
        for seen, test_seen in ((ink, test_ink), (ink.mean(1, True), test_ink.mean(1, True))):
            network = zoo.create("mlp", in_features=seen[0].numel(), num_classes=10, hidden_sizes=[100])
            runs.train(network, F.cross_entropy, seen, y[rows], steps=300, lr=3e-3)
            shares.append(runs.accuracy(network, test_seen, test_y))
            weights.append(network.layers[0].weight.numel())
        yield f"{count:5,} digits to learn from: colour {shares[0]:.3f}, grey {shares[1]:.3f}"
        leads.append(shares[1] - shares[0])
    yield f"weights of the first layer: colour 3 * 64 * 100 = {weights[0]:,}, grey 64 * 100 = {weights[1]:,}"
    return {"lead of grey, 100 digits": leads[0], "lead of grey, 1,071 digits": leads[1],
            "weights of the first layer": tuple(weights[:2])}


@claim("U25", slide=16, topic="convolution", says="translation invariance: a dog is a dog wherever it is",
       expected={"MLP": Within(0.08, 0.2), "convolution, fully connected": Within(0.2, 0.5),
                 "convolution, maximum": Within(0.92, 1.0)},
       verdict="shown", trains=True, experiments=("mnist_mlp", "mnist_lenet"),
       why="Trained on digits in the middle, tested 2 pixels aside; what is invariant is the maximum over all places.")
def shifted_digits() -> Steps:
    curves = runs.accuracy_by_shift(shifts=(0, 2, 4))
    yield "trained on digits of 8x8 in the middle of 16x16; tested 0, 2 and 4 pixels up, down, left and right"
    for name, curve in curves.items():
        yield f"{name + ':':30} {'  '.join(f'{100 * share:5.1f} %' for share in curve)}   (guessing: 10 %)"
    yield "a convolution moves its map along with the picture; only the maximum over the map forgets where"
    return {name: curve[1] for name, curve in curves.items()}


@claim("U26", slide=17, topic="words", says="'dog' means the same in both sentences: learn it once, reuse it",
       expected={"places": 3, "rows": 1, "gradients added up": Within(high=1e-5)}, verdict="ok",
       experiments=("english_skipgram", "pydoc_skipgram"))
def one_row_for_dog() -> Steps:
    vectors = zoo.load("english-skipgram")
    texts = "quick brown dog lazy white dog".split(), "there was a dog with a short tail".split()
    rows = torch.tensor([vectors.number(word) for text in texts for word in text])
    dog, width = vectors.number("dog"), vectors.embedding_dim
    places = rows == dog
    yield f"a word is the number of a row, of {len(vectors.words):,} rows of {width} numbers; dog is row {dog}"
    counts = [text.count("dog") for text in texts]
    yield f"met {counts[0]} times in the first text, {counts[1]} time in the second: always that row"
    table = vectors.vectors.detach().clone().requires_grad_()
    wanted = torch.randn(len(rows), width)  # what each of the places would have it changed by
    (table[rows] * wanted).sum().backward()
    difference = float((table.grad[dog] - wanted[places].sum(0)).abs().max())
    yield f"in training the row's gradient is the sum over its {int(places.sum())} places, to {difference:.0e}"
    yield f"what all its places have taught it: the nearest of all words is {vectors.nearest('dog', 1)[0][0]}"
    return {"places": int(places.sum()), "rows": len(set(rows[places].tolist())), "gradients added up": difference}


@claim("U27", slide=18, topic="parameters", says="share weights where inputs carry the same information",
       expected={"picture": (14_976, 26), "words": (10_000_000, 1_000_000), "letters": (243_720, 5_384)},
       verdict="ok", experiments=("digits_locally_connected",))
def shared_and_not() -> Steps:
    counts = {}
    local = zoo.create("locally_connected", num_classes=10)
    conv = nn.Conv2d(1, 1, kernel_size=5)
    counts["picture"] = sum(p.numel() for p in local.local.parameters()), sum(p.numel() for p in conv.parameters())
    yield "parameters, each place with weights of its own and all places with the same"
    own, shared = counts["picture"]
    yield f"28x28 pixels, windows of 5x5: 24 * 24 * (25 + 1) = {own:,}; as a convolution 25 + 1 = {shared}"
    words, width = zoo.load("english-skipgram").vectors.shape
    counts["words"] = 10 * words * width, words * width
    own, shared = counts["words"]
    yield f"10 words of {words:,}, {width} numbers each: 10 * {words:,} * {width} = {own:,}; one table {shared:,}"
    found = yield from any_length()
    counts["letters"] = found["with weights of their own for 50 steps"], found["parameters"]
    return counts
