# fmt: off
"""Cyprus, U28 to U36: convolutional networks."""

import torch
import torch.nn.functional as F
from torch import nn

import zoo
from zoo.lectures.cyprus import runs
from zoo.lectures.ledger import Steps, Within, claim, remark


@claim("U28", slide=20, topic="parameters", says="256x256x3 pixels, 100 hidden, 1 output: 19,660,900 parameters",
       stated=19_660_900, expected=19_660_900, verdict="ok by convention", experiments=("cifar10_cat_or_not",),
       why="Weights alone; with the 101 biases there are 19,661,001.")
def cat_or_not() -> Steps:
    inputs = 256 * 256 * 3
    yield f"inputs: 256 * 256 * 3 = {inputs:,}"
    with torch.device("meta"):  # counted, not held
        network = zoo.create("mlp", in_features=inputs, num_classes=2, hidden_sizes=[100])
    weights = sum(layer.weight.numel() for layer in network.layers)
    yield f"weights: {inputs:,} * 100 + 100 * 1 = {network.layers[0].weight.numel():,} + 100 = {weights:,}"
    everything = sum(p.numel() for p in network.parameters())
    yield f"with biases: {weights:,} + 100 + 1 = {everything:,}, in float32 {4 * everything / 1e6:.1f} MB"
    return weights


@claim("U29", slide=20, topic="convolution", says="MLPs take many parameters and know nothing of translation",
       expected={"convolution": Within(high=1e-5), "MLP": Within(0.9, 1.4), "weights": (19_660_800, 1_200)},
       verdict="shown", experiments=("mnist_mlp", "mnist_nielsen", "cifar10_cat_or_not"),
       why="A bar moved by 3 pixels, seen by the first layers of two networks trained on MNIST; U25 has the accuracy.")
def moved_by_three_pixels() -> Steps:
    bar = torch.zeros(1, 1, 28, 28)
    bar[:, :, 9:19, 9:11] = 1
    moved = bar.roll(3, 3)
    with torch.no_grad():
        conv, dense = zoo.load("mnist-nielsen").convs[0], zoo.load("mnist-mlp").layers[0]
        maps, maps_moved = conv(bar), conv(moved)
        hidden, hidden_moved = dense(bar.flatten(1)).relu(), dense(moved.flatten(1)).relu()
    in_step = float((maps_moved[..., 3:] - maps[..., :-3]).abs().max())
    apart = float((hidden_moved - hidden).norm() / hidden.norm())
    yield "an upright bar, and the same 3 pixels to the right"
    yield f"convolution, 20 maps: they move by 3 as well; largest difference after moving back {in_step:.0e}"
    yield f"MLP, 100 hidden neurons: they change by {100 * apart:.0f} % of their length"
    dense_weights, conv_weights = 256 * 256 * 3 * 100, nn.Conv2d(3, 16, kernel_size=5).weight.numel()
    yield f"weights at 256x256x3: 100 hidden neurons {dense_weights:,} (U28), 16 filters of 5x5x3 {conv_weights:,}"
    return {"convolution": in_step, "MLP": apart, "weights": (dense_weights, conv_weights)}


@claim("U30", slide=21, topic="convolution", says="a neuron sees a window, such as 5x5; a fully connected one sees all",
       expected={"pixels, convolution": 25, "pixels, fully connected": 784, "side, by layer": "5, 6, all, all"},
       verdict="ok", experiments=("mnist_nielsen",))
def receptive_fields() -> Steps:
    network, x = zoo.load("mnist-nielsen"), torch.rand(1, 1, 28, 28, requires_grad=True)
    conv = network.convs[0](x)[0, 0, 12, 12]
    seen = torch.autograd.grad(conv, x)[0][0, 0].nonzero()
    (top, left), (bottom, right) = seen.min(0).values.tolist(), seen.max(0).values.tolist()
    yield f"neuron (12, 12) of a map: dz/dx is not 0 for {len(seen)} pixels, x[{top}..{bottom}, {left}..{right}]"
    dense = zoo.load("mnist-mlp").layers[0](x.flatten(1))[0, 0]
    everything = int((torch.autograd.grad(dense, x)[0] != 0).sum())
    yield f"a neuron of the MLP's hidden layer: for {everything} pixels, 28 * 28"
    layers = zoo.inspect(network).layers
    sides = ", ".join(str(layer.receptive_field) for layer in layers)
    kinds = ", ".join(layer.kind for layer in layers)
    yield f"side of the window, by zoo inspect: {kinds}: {sides}"
    return {"pixels, convolution": len(seen), "pixels, fully connected": everything, "side, by layer": sides}


@claim("U31", slide=21, topic="convolution", says="the filter slides over the map; its dot products are a new map",
       expected={"size": (4, 4), "first": -10.0, "largest difference": Within(high=1e-12)}, verdict="ok")
def sliding_filter() -> Steps:
    x = torch.arange(36.0, dtype=torch.float64).view(6, 6) % 7
    w = torch.tensor([[0.0, 1.0, 0.0], [-1.0, 0.0, 1.0], [0.0, -1.0, 0.0]], dtype=torch.float64)
    rows = cols = 6 - 3 + 1
    by_hand = torch.zeros(rows, cols, dtype=torch.float64)
    for r in range(rows):
        for c in range(cols):
            for j in range(3):
                for k in range(3):
                    by_hand[r, c] += w[j, k] * x[r + j, c + k]
    patch = " ".join(runs.bits(row) for row in x[:3, :3])
    yield f"patch at (0, 0): {patch}; filter: 0 1 0  -1 0 1  0 -1 0"
    yield f"dot product: 1*{x[0, 1]:.0f} - 1*{x[1, 0]:.0f} + 1*{x[1, 2]:.0f} - 1*{x[2, 1]:.0f} = {by_hand[0, 0]:.0f}"
    maps = F.conv2d(x[None, None], w[None, None])[0, 0]
    difference = float((maps - by_hand).abs().max())
    yield f"all {rows} * {cols} places of 6x6 with 3x3, four loops, against conv2d: largest difference {difference:.0e}"
    return {"size": tuple(maps.shape), "first": float(by_hand[0, 0]), "largest difference": difference}


@claim("U32", slide=21, topic="pooling", says="pooling, optional: the maximum or the mean of each patch",
       expected={"maximum": (6, 8, 3, 4), "mean": (3.25, 5.25, 2.0, 2.0), "numbers": (576, 144)}, verdict="ok",
       experiments=("mnist_nielsen", "mnist_lenet", "mnist_lenet_paper"))
def pooling() -> Steps:
    x = torch.tensor([[1.0, 1, 2, 4], [5, 6, 7, 8], [3, 2, 1, 0], [1, 2, 3, 4]])[None, None]
    most, mean = F.max_pool2d(x, 2).flatten(), F.avg_pool2d(x, 2).flatten()
    yield f"4x4: {' / '.join(runs.bits(row) for row in x[0, 0])}, patches of 2x2"
    yield f"maximum of each: {runs.bits(most)}; the first is max(1, 1, 5, 6)"
    yield f"mean of each:    {' '.join(f'{value:g}' for value in mean.tolist())}; the first is (1 + 1 + 5 + 6) / 4"
    pool = zoo.inspect(zoo.load("mnist-nielsen")).layers[1]
    before, after = (int(side.rpartition("x")[2]) ** 2 for side in (pool.input, pool.output))
    yield f"in mnist-nielsen: {pool.input} -> {pool.output}, {before} numbers of a map become {after}; no parameters"
    return {"maximum": tuple(most.int().tolist()), "mean": tuple(mean.tolist()), "numbers": (before, after)}


@claim("U33", slide=22, topic="parameters", says="a 3x3 filter: only 9 parameters are learnt for its whole map",
       stated={"grey": 9}, expected={"grey": 9, "grey, with bias": 10, "RGB": 27, "RGB, with bias": 28},
       verdict="ok by convention", why="One map in and no bias; a filter has a 3x3 slice for each map before it.")
def parameters_of_a_filter() -> Steps:
    counts = {}
    for name, maps in (("grey", 1), ("RGB", 3)):
        conv = nn.Conv2d(maps, 1, kernel_size=3)
        counts[name] = conv.weight.numel()
        counts[f"{name}, with bias"] = conv.weight.numel() + conv.bias.numel()
        yield f"{name + ':':5} {maps} * 3 * 3 = {counts[name]}, with the bias {counts[f'{name}, with bias']}"
    dense = 28 * 28 * 26 * 26
    yield f"fully connected, the same 28x28 -> 26x26: 784 * 676 = {dense:,}; unshared windows: 676 * 9 = {676 * 9:,}"
    return counts


remark("U34", slide="23, 24", topic="pooling", says="pictures of pooling and of a ConvNet", verdict="no claim",
       why="The pictures are not in the text; U32 computes a pooling, U35 what the layers of a ConvNet see.")


@claim("U35", slide=25, topic="convolution", says="layer after layer: edges, arrangements, parts, objects, the class",
       expected={"pixels": Within(0.88, 0.91), "convolution 1": Within(0.89, 0.93), "convolution 2": Within(0.93, 0.96),
                 "hidden 1": Within(0.955, 0.98), "hidden 2": Within(0.97, 0.995)},
       verdict="shown", experiments=("digits_lenet", "mnist_lenet"),
       why="Measured: how well the nearest class mean does on each layer. Edges and parts are seen in figure U35.")
def better_representations() -> Steps:
    network, features = zoo.load("digits-lenet"), {}
    (x, y), (test_x, test_y) = runs.digits(28)
    yield "digits-lenet: a test digit belongs to the class whose mean over the training digits is nearest"
    for (name, a), (_, b) in zip(runs.layers_of_lenet(network, x), runs.layers_of_lenet(network, test_x), strict=True):
        means = torch.stack([a[y == digit].mean(0) for digit in range(10)])  # (10, D)
        features[name] = float((torch.cdist(b, means).argmin(1) == test_y).float().mean())
    fields = dict(zip(features, ("1", "6", "16", "all", "all"), strict=True))
    for names in (list(features)[:3], list(features)[3:]):
        yield "   ".join(f"{name} (sees {fields[name]}): {features[name]:.3f}" for name in names)
    yield "from layer to layer the digits of a class come closer together: better representations, one after another"
    return features


@claim("U36", slide=26, topic="applications", says="ConvNets for images, and also for language and time series",
       expected={"weights": 25, "error of persistence": Within(0.2, 0.35), "error of the filter": Within(0.12, 0.22)},
       verdict="shown", why="A list; one of the applications is run: a filter over time predicts the series of U37.")
def filter_over_time() -> Steps:
    series = sum(runs.parts_of_a_series(years=40).values())
    windows, following = series.unfold(0, 24, 1)[:-1], series[24:]  # (N, 24), (N,)
    past = len(windows) // 2
    inputs = torch.cat([windows, torch.ones_like(windows[:, :1])], 1)
    solution = torch.linalg.lstsq(inputs[:past], following[:past, None]).solution[:, 0]
    filter_ = nn.Conv1d(1, 1, kernel_size=24).double()
    with torch.no_grad():
        filter_.weight.copy_(solution[:-1].view(1, 1, 24))
        filter_.bias.copy_(solution[-1:])
        predicted = filter_(series[None, None, :-1])[0, 0]
    weights = sum(p.numel() for p in filter_.parameters())
    yield f"a 1-D convolution over {len(series)} months, a filter of 24: {weights} parameters, fitted to the first half"
    late, spread = slice(past, None), following[past:].std()
    errors = {name: float((guess[late] - following[late]).square().mean().sqrt() / spread)
              for name, guess in (("persistence", windows[:, -1]), ("filter", predicted))}
    yield "error in the second half, as a share of the standard deviation:"
    yield f"  as last month: {errors['persistence']:.3f}   the filter: {errors['filter']:.3f}"
    return {"weights": weights, "error of persistence": errors["persistence"], "error of the filter": errors["filter"]}
