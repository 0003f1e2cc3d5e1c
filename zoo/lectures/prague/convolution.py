# fmt: off
"""Prague (P. Pošík), C25 to C37: convolutional layers."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import zoo
from zoo.lectures.ledger import Steps, Within, claim
from zoo.lectures.prague.runs import (
    accuracy,
    placed_anywhere,
)
from zoo.lectures.small_tasks import digits, fit


@claim("C25", slide=36, topic="parameters", experiments=("mnist_mlp",),
       says="quiz: connections (weights to train) from 28x28 pixels to as many hidden neurons",
       expected={"B": 614_656, "C": 615_440}, verdict="ambiguous",
       why="Connections are B. But the biases are trained too, and slides 40 and 42 count them as weights: C.",
       correction="Ask for connections (B, 614,656) or for parameters with the biases (C, 615,440)")
def fully_connected_weights() -> Steps:
    layer = nn.Linear(28 * 28, 28 * 28)
    connections, trained = layer.weight.numel(), sum(p.numel() for p in layer.parameters())
    yield f"A  28^2 = {28**2}: the pixels, not the weights"
    yield f"B  28^2 * 28^2 = {connections:,}: a weight for every pair, which is a connection"
    yield f"C  28^2 * (28^2 + 1) = {trained:,}: and a bias for each neuron; what nn.Linear(784, 784) trains"
    yield f"D  (28^2 + 1) * (28^2 + 1) = {(28**2 + 1) ** 2:,}: as if the bias had inputs of its own"
    return {"B": connections, "C": trained}


@claim("C26", slide=37, topic="parameters", says="the number of weights is about 600 thousand", stated=600_000,
       expected=615_440, rounding=0.03, verdict="ok")
def about_600_thousand() -> Steps:
    return (yield from fully_connected_weights())["C"]


@claim("C27", slide=37, topic="convolution", says="fully connected nets treat near and far pixels alike",
       expected={"MLP": Within(0.82, 0.92), "MLP, shuffled": Within(0.82, 0.92), "ConvNet": Within(0.92, 0.99),
                 "ConvNet, shuffled": Within(0.62, 0.82)},
       verdict="shown", trains=True, experiments=("break_permuted_pixels", "mnist_mlp"),
       why="All pictures shuffled in one way: the MLP cannot notice it, the ConvNet loses its neighbours.")
def permuted_pixels() -> Steps:
    (x, y), (test_x, test_y) = digits("train"), digits("test")
    order = torch.randperm(12 * 12)
    test_x, _ = placed_anywhere(test_x, 4, 4)
    mlp = lambda: nn.Sequential(nn.Flatten(), nn.Linear(144, 100), nn.ReLU(), nn.Linear(100, 10))  # noqa: E731
    conv = lambda: nn.Sequential(  # noqa: E731
        nn.Conv2d(1, 12, 5), nn.ReLU(), nn.Conv2d(12, 32, 5), nn.ReLU(), nn.AdaptiveMaxPool2d(1), nn.Flatten(),
        nn.Linear(32, 10))
    yield "8x8 digits anywhere in 12x12; then all pictures with their 144 pixels in one random order"
    shares = {}
    for name, make in (("MLP", mlp), ("ConvNet", conv)):
        for suffix, see in (("", lambda a: a), (", shuffled", lambda a: a.flatten(1)[:, order].view_as(a))):
            network = make()

            def loss(network=network, see=see) -> Tensor:
                rows = torch.randint(len(x), (64,))
                return F.cross_entropy(network(see(placed_anywhere(x[rows], 4, 4)[0])), y[rows])

            fit(network, loss, steps=400, lr=1e-2)
            shares[name + suffix] = accuracy(network, see(test_x), test_y)
        yield f"  {name:8} {100 * shares[name]:.1f} %, shuffled {100 * shares[name + ', shuffled']:.1f} %"
    yield "an MLP that is shuffled too is the same function: W x = (W P') (P x) for any permutation P"
    return shares


@claim("C28", slide=39, topic="convolution", says="a 5x5 window slides over the image; each place is a hidden neuron",
       expected={"stride 1": (24, 24), "stride 2": (12, 12)}, verdict="ok")
def a_neuron_for_each_place() -> Steps:
    picture, found = torch.zeros(1, 1, 28, 28), {}
    for stride in (1, 2):
        size = zoo.conv_size(28, kernel=5, stride=stride)
        found[f"stride {stride}"] = tuple(nn.Conv2d(1, 1, 5, stride)(picture).shape[2:])
        rows, columns = found[f"stride {stride}"]
        yield f"stride {stride}: {size.formula()}; PyTorch: {rows}x{columns} = {rows * columns} neurons"
    return found


@claim("C29", slide=40, topic="parameters", says="local fields with own weights: 24^2 (5^2 + 1), about 15 thousand",
       stated=15_000, expected=14_976, rounding=0.01, verdict="ok", experiments=("digits_locally_connected",))
def locally_connected_weights() -> Steps:
    layer = zoo.create("locally_connected", num_classes=10, in_channels=1, image_size=28, kernel_size=5).local
    weights, biases = layer.weight.numel(), layer.bias.numel()
    yield f"24 * 24 = {biases} neurons, each with 5 * 5 = 25 weights and a bias of its own"
    yield f"24^2 * (5^2 + 1) = {weights:,} + {biases} = {weights + biases:,}"
    full = 576 * (784 + 1)
    yield f"fully connected they would have 576 * (784 + 1) = {full:,}: {full / (weights + biases):.0f} times as many"
    return weights + biases


@claim("C30", slide=42, topic="parameters", says="three colour channels: 24^2 (3 * 5^2 + 1), about 45 thousand",
       stated=45_000, expected=43_776, rounding=0.03, verdict="loose",
       why="The formula gives 43,776; 45 thousand is three times the rounded 15 thousand, biases included.",
       correction="About 44 thousand")
def locally_connected_colours() -> Steps:
    layer = zoo.create("locally_connected", num_classes=10, in_channels=3, image_size=28, kernel_size=5).local
    total = layer.weight.numel() + layer.bias.numel()
    yield f"24^2 * (3 * 5^2 + 1) = 576 * 76 = {total:,}"
    yield f"three times the grey net would be 3 * 14,976 = {3 * 14_976:,}, but a neuron has one bias, not three"
    return total


@claim("C31", slide=43, topic="convolution", says="z_rc = g(b + sum_jk w_jk x_(r+j),(c+k)), close to convolution",
       expected={"conv2d": Within(high=1e-12), "convolution": Within(low=0.1),
                 "convolution, w turned": Within(high=1e-12)}, verdict="ok")
def sum_over_a_window() -> Steps:
    x, w = torch.randn(28, 28, dtype=torch.float64), torch.randn(5, 5, dtype=torch.float64)
    b, places, pixels, weights = 0.1, range(24), x.tolist(), w.tolist()
    window = [(j, k) for j in range(5) for k in range(5)]
    z = [[b + sum(weights[j][k] * pixels[r + j][c + k] for j, k in window) for c in places] for r in places]
    z = torch.tensor(z, dtype=torch.float64)
    yield f"z(0, 0) = g({b} + {w[0, 0]:.3f} * {x[0, 0]:.3f} + {w[0, 1]:.3f} * {x[0, 1]:.3f} + ... 25 products)"
    yield f"        = g({z[0, 0]:.4f}) = {torch.sigmoid(z[0, 0]):.4f} with g = sigmoid"
    theirs = F.conv2d(x[None, None], w[None, None], torch.tensor([b], dtype=torch.float64))[0, 0]
    found = {"conv2d": float((z - theirs).abs().max())}
    yield f"F.conv2d: largest difference {found['conv2d']:.0e} over 24 * 24 places; both slide w as it is"
    for name, kernel in (("convolution", w), ("convolution, w turned", w.flip(0, 1))):
        product = torch.fft.fft2(x, (32, 32)) * torch.fft.fft2(kernel, (32, 32))  # the convolution theorem
        convolved = torch.fft.ifft2(product).real[4:28, 4:28] + b  # where the windows lie in the picture
        found[name] = float((z - convolved).abs().max())
    yield f"convolution, sum_jk w_jk x_(r-j),(c-k), by Fourier: {found['convolution']:.1f} away;"
    yield f"  with w turned by 180 degrees: {found['convolution, w turned']:.0e}. A net learns w either way round"
    return found


@claim("C32", slide=44, topic="convolution", says="several input channels: the sum runs over them too, i = 0, 1, 2",
       expected=Within(high=1e-12), verdict="ok")
def sum_over_channels() -> Steps:
    x, w = torch.randn(3, 12, 12, dtype=torch.float64), torch.randn(3, 5, 5, dtype=torch.float64)
    pixels, weights, places = x.tolist(), w.tolist(), range(8)
    window = [(i, j, k) for i in range(3) for j in range(5) for k in range(5)]
    z = [[sum(weights[i][j][k] * pixels[i][r + j][c + k] for i, j, k in window) for c in places] for r in places]
    z = torch.tensor(z, dtype=torch.float64)
    one_by_one = sum(F.conv2d(x[i][None, None], w[i][None, None])[0, 0] for i in range(3))
    together = F.conv2d(x[None], w[None])[0, 0]
    yield f"z(0, 0), a sum of 3 * 5 * 5 = {len(window)} products: {z[0, 0]:+.6f}"
    yield f"the same as three pictures, each with its own 5x5, added up: {one_by_one[0, 0]:+.6f}"
    yield f"F.conv2d on three channels: {together[0, 0]:+.6f}"
    difference = float(torch.stack([z - together, one_by_one - together]).abs().max())
    yield f"largest difference over 8 * 8 places: {difference:.0e}; one map comes out, whatever the number of channels"
    return difference


@claim("C33", slide=45, topic="parameters", says="shared weights: 3 * 5^2 + 1 = 76 parameters", stated=76, expected=76,
       verdict="ok")
def shared_weights() -> Steps:
    layer = nn.Conv2d(3, 1, kernel_size=5)
    total = sum(p.numel() for p in layer.parameters())
    yield f"3 * 5^2 + 1 = {layer.weight.numel()} + {layer.bias.numel()} = {total}, for a picture of whatever size"
    local = zoo.create("locally_connected", num_classes=10, in_channels=3).local
    apart = local.weight.numel() + local.bias.numel()
    yield f"with weights of their own, 24 * 24 neurons would have {apart:,} = {apart // total} * {total}"
    return total


@claim("C34", slide=45, topic="convolution", says="all neurons detect the same feature, at different places",
       expected=0.0, tolerance=1e-12, verdict="ok")
def shifted_input_shifted_map() -> Steps:
    conv = nn.Conv2d(1, 1, kernel_size=5).double().requires_grad_(False)
    x = torch.randn(1, 1, 28, 28, dtype=torch.float64)
    shifted = x.roll((3, 2), dims=(2, 3))  # 3 pixels down, 2 to the right; what falls out comes in at the other side
    before, after = conv(x), conv(shifted)
    yield f"z(r, c) of a picture at (10, 10): {float(before[0, 0, 10, 10]):+.6f}"
    yield f"of the picture moved by (3, 2), at (13, 12): {float(after[0, 0, 13, 12]):+.6f}"
    difference = float((after[..., 3:, 2:] - before[..., :-3, :-2]).abs().max())
    inside = after[..., 3:, 2:].numel()
    yield f"largest difference over the {inside} places whose windows lie in both pictures: {difference:.0e}"
    return difference


@claim("C35", slide="46, 47", topic="convolution", says="a convolutional layer turns a volume into a volume",
       expected={"volume": (20, 24, 24), "parameters": 1_520, "neurons": 11_520}, verdict="ok")
def volume_into_volume() -> Steps:
    layer = nn.Conv2d(3, 20, kernel_size=5)
    found = zoo.inspect(layer, (3, 28, 28)).layers[0]
    yield f"3x28x28 -> {found.output}: {found.size_formula}, one map for each of 20 filters"
    yield f"parameters: {found.count_formula}, 76 for each filter; of the picture's size they know nothing"
    yield f"products: {found.macs_formula} for one picture"
    volume = tuple(layer(torch.zeros(1, 3, 28, 28)).shape[1:])
    return {"volume": volume, "parameters": found.parameters, "neurons": math.prod(volume)}


@claim("C36", slide=48, topic="convolution", says="20 filters for MNIST, not hand-crafted but trained",
       expected={"filters": 20, "size": (5, 5), "neighbours alike": 0.44, "at the start": Within(-0.2, 0.2)},
       tolerance=0.01,
       verdict="shown", experiments=("mnist_nielsen",),
       why="Counted in the zoo's trained network: neighbouring weights agree only after training.")
def learned_filters() -> Steps:
    learnt = zoo.load("mnist-nielsen").convs[0].weight.detach()[:, 0]  # (20, 5, 5)
    start = zoo.create("nielsen_convnet", num_classes=10).convs[0].weight.detach()[:, 0]
    count, *size = learnt.shape
    yield f"{count} filters of {size[0]}x{size[1]}: {count * 25} numbers, drawn at random, then trained (figure C36)"
    after, before = neighbours_alike(learnt), neighbours_alike(start)
    yield "correlation of each weight with its neighbour to the right or below:"
    yield f"  at the start {before:+.2f}, trained {after:+.2f}: strokes and edges, not noise"
    return {"filters": count, "size": tuple(size), "neighbours alike": after, "at the start": before}


@claim("C37", slide=49, topic="pooling", says="2x2 max-pooling: 4 times fewer, each channel by itself; L2, average",
       stated={"factor": 4}, tolerance=1e-3, verdict="ok",
       expected={"factor": 4, "max": (6.0, 8.0, 14.0, 16.0), "average": (3.5, 5.5, 11.5, 13.5),
                 "L2": (8.124, 11.747, 23.367, 27.313)})
def pooling() -> Steps:
    x = torch.arange(1.0, 17.0).view(1, 1, 4, 4)
    yield "of the 4x4 numbers 1 ... 16 the first 2x2 are 1, 2, 5, 6"
    found = {}
    for name, layer in (("max", nn.MaxPool2d(2)), ("average", nn.AvgPool2d(2)), ("L2", nn.LPPool2d(2, 2))):
        found[name] = tuple(layer(x).flatten().tolist())
        sums = {"max": "max(1, 2, 5, 6)", "average": "(1 + 2 + 5 + 6) / 4", "L2": "sqrt(1 + 4 + 25 + 36)"}
        yield f"  {name:8} {sums[name]} = {found[name][0]:.3g};  all four: {', '.join(f'{v:.3g}' for v in found[name])}"
    maps = torch.randn(1, 20, 24, 24)
    pooled = nn.MaxPool2d(2)(maps)
    alone = torch.cat([nn.MaxPool2d(2)(maps[:, k : k + 1]) for k in range(20)], 1)
    assert torch.equal(pooled, alone)
    yield f"20x24x24 -> {'x'.join(map(str, pooled.shape[1:]))}, the same as each channel by itself; parameters: none"
    return {"factor": maps.numel() // pooled.numel()} | found


def neighbours_alike(filters: Tensor) -> float:
    """Correlation between each weight of filters (N, h, w) and the one to its right or below it."""
    here = torch.cat([filters[:, :, :-1].flatten(), filters[:, :-1].flatten()])
    there = torch.cat([filters[:, :, 1:].flatten(), filters[:, 1:].flatten()])
    return float(torch.corrcoef(torch.stack([here, there]))[0, 1])
