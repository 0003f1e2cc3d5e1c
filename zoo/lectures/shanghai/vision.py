# fmt: off
"""Shanghai, S48 to S60: pictures and convolution."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import zoo
from zoo.lectures.ledger import Steps, Within, claim
from zoo.lectures.shanghai import runs
from zoo.lectures.shanghai.runs import ridge


@claim("S48", slide="Images are Numbers", topic="representation",
       says="an image is a matrix of numbers 0 to 255, such as 1080x1080x3",
       expected={"numbers": 3_499_200, "photograph": (427, 640, 3), "least": 0, "most": 255, "digit": (8, 8)},
       verdict="ok",
       why="The example on the slide is a grey picture of 16 rows and 12 columns; ours are a photograph and a digit.")
def images_are_numbers() -> Steps:
    from sklearn.datasets import load_sample_image

    image = torch.empty(1080, 1080, 3, dtype=torch.uint8, device="meta")  # (h, w, C), a byte each
    megabytes = image.numel() * image.element_size() / 1e6
    yield f"1080 * 1080 * 3 = {image.numel():,} numbers, a byte each: {megabytes:.1f} MB"
    photograph = load_sample_image("china.jpg")  # (h, w, C), of scikit-learn
    least, most, size = int(photograph.min()), int(photograph.max()), "x".join(map(str, photograph.shape))
    yield f"a photograph of {size}: whole numbers from {least} to {most}; its first pixel {photograph[0, 0].tolist()}"
    digit = (runs.zoo_data("digits", image_size=8, standardise=False).test[0][1, 0] * 255).round().int()
    yield "a handwritten digit of 8x8 pixels, its upper half:"
    for row in digit[:4].tolist():
        yield "  " + " ".join(f"{value:3}" for value in row)
    return {"numbers": image.numel(), "photograph": photograph.shape, "least": least, "most": most,
            "digit": tuple(digit.shape)}


@claim("S49", slide="Tasks in Computer Vision", topic="representation",
       says="regression gives a continuous value; classification a label, with probabilities",
       expected={"sum of probabilities": 1.0, "labels right": Within(0.97, 1.0), "ink, R^2": Within(0.75, 0.9)},
       tolerance=1e-5, verdict="ok", experiments=("digits_lenet",))
def two_heads() -> Steps:
    network, data = zoo.load("digits-lenet"), runs.zoo_data("digits")
    (x, _), (test_x, test_y) = data.train, data.test

    @torch.no_grad()
    def body(pictures: Tensor) -> Tensor:
        """(N, 400): what LeNet's convolutions have found; and a 1 for the bias."""
        g = network.activation
        maps = network.pool2(g(network.conv2(network.pool1(g(network.conv1(pictures))))))
        return F.pad(maps.flatten(1), (0, 1), value=1.0)

    with torch.no_grad():
        p = network(test_x).softmax(1)
    right = (p.argmax(1) == test_y).float().mean().item()
    yield f"one body, LeNet's convolutions; head 1, softmax: {100 * right:.1f} % of {len(test_y)} digits right"
    k = p[0].argmax().item()
    yield f"  the first is a {k} with P = {p[0, k]:.4f}; its ten probabilities add up to {p[0].sum():.4f}"
    ink, test_ink = x.mean((1, 2, 3)), test_x.mean((1, 2, 3))  # numbers without limits
    found = body(test_x) @ ridge(body(x), ink)
    r2 = 1 - ((found - test_ink).square().mean() / test_ink.var(correction=0)).item()
    yield f"head 2, a linear neuron, how much ink (0: average): {found[0]:+.3f}, true {test_ink[0]:+.3f}; R^2 {r2:.3f}"
    return {"sum of probabilities": p[0].sum().item(), "labels right": right, "ink, R^2": r2}


@claim("S50", slide="Learning Feature Representations", topic="representation",
       says="a hierarchy of features, learnt from the data instead of made by hand",
       expected={"pixels": Within(0.9, 0.96), "edges by hand": Within(0.95, 0.985), "learnt": Within(0.985, 1.0)},
       verdict="shown", experiments=("digits_lenet", "digits_transfer"),
       why="On small digits, which are kind to features made by hand; the order is the lecture's.")
def features_by_hand_or_learnt() -> Steps:
    data = runs.zoo_data("digits")
    (x, y), (test_x, test_y) = data.train, data.test
    shares = {}
    for name, features in (("pixels", lambda pictures: pictures.flatten(1)), ("edges by hand", edge_histograms)):
        a, b = features(x), features(test_x)
        w = ridge(a, F.one_hot(y, 10).float() - 0.1)
        shares[name] = ((b @ w).argmax(1) == test_y).float().mean().item()
        yield f"{name + ':':14} {a.shape[1]} numbers, linear classifier: {100 * shares[name]:.1f} % right"
    network = zoo.load("digits-lenet")
    with torch.no_grad():
        shares["learnt"] = network.loss((test_x, test_y))["acc"].item()
    yield f"{'learnt:':14} LeNet's two layers of filters and three more: {100 * shares['learnt']:.1f} %"
    return shares


@claim("S51", slide="Fully Connected Neural Network", topic="parameters",
       says="on images: no spatial information, and many, many parameters",
       expected={"change": Within(high=1e-4), "28x28 to 28x28": 615_440, "1080x1080x3 to as many": 12_244_400_640_000},
       verdict="ok", experiments=("break_permuted_pixels", "mnist_mlp"))
def dense_layers_on_pictures() -> Steps:
    from zoo.lectures import prague

    network, pictures, order = zoo.load("mnist-mlp"), torch.rand(8, 784), torch.randperm(784)
    with torch.no_grad():
        straight = network(pictures)
        network.layers[0].weight.copy_(network.layers[0].weight[:, order].clone())  # its columns in the same order
        change = (network(pictures[:, order]) - straight).abs().max().item()
    yield f"all pixels in one random order, the first weights likewise: logits change by {change:.0e}"
    counted = yield from prague.convolution.fully_connected_weights()
    numbers = 1080 * 1080 * 3
    yield f"1080x1080x3 to as many: {numbers:,}^2 = {numbers**2:,} weights, {4 * numbers**2 / 1e12:.0f} TB in float32"
    return {"change": change, "28x28 to 28x28": counted["C"], "1080x1080x3 to as many": numbers**2}


@claim("S52", slide="Feature Extraction with Convolution", topic="convolution",
       says="filter of 4x4: 16 weights; shift by 2 pixels for the next patch",
       stated={"weights": 16}, expected={"weights": 16, "with bias": 17, "colours": 48, "outputs": 13},
       verdict="ok by convention", why="16 for one grey channel and without the bias; 48 for RGB.")
def filter_of_4x4() -> Steps:
    grey, colours = nn.Conv2d(1, 1, 4, stride=2), nn.Conv2d(3, 1, 4, stride=2)
    table = zoo.inspect(grey, (1, 28, 28))
    weights = table.parameters_without_biases
    yield f"4 * 4 = {weights} weights, {table.parameters} with the bias; RGB: 3 * 4 * 4 = {colours.weight.numel()}"
    size = zoo.conv_size(28, kernel=4, stride=2)
    yield f"28 pixels, stride 2: {size.formula()} patches along each side"
    assert grey(torch.zeros(1, 1, 28, 28)).shape[-1] == size.output
    yield f"the same {weights} weights for all {size.output} * {size.output} = {size.output**2} outputs"
    return {"weights": weights, "with bias": table.parameters,
            "colours": colours.weight.numel(), "outputs": size.output}


@claim("S53", slide="The Convolution Operation", topic="convolution",
       says="5x5 image, 3x3 filter: feature map [4 3 4; 2 4 3; 2 3 4]",
       stated=((4, 3, 4), (2, 4, 3), (2, 3, 4)), expected=((4, 3, 4), (2, 4, 3), (2, 3, 4)), verdict="ok")
def convolution_by_hand() -> Steps:
    image = torch.tensor([[1, 1, 1, 0, 0], [0, 1, 1, 1, 0], [0, 0, 1, 1, 1], [0, 0, 1, 1, 0], [0, 1, 1, 0, 0]])
    kernel = torch.tensor([[1, 0, 1], [0, 1, 0], [1, 0, 1]])
    products = (image[:3, :3] * kernel).flatten().tolist()
    yield f"first patch times filter: {' + '.join(map(str, products))} = {sum(products)}"
    maps = runs.filtered(image.float(), kernel.float()).int()
    for row in maps.tolist():
        yield f"  {row}"
    yield "the filter is its own mirror image, so convolution and cross-correlation give the same"
    return tuple(map(tuple, maps.tolist()))


@claim("S54", slide="Producing Feature Maps", topic="convolution", says="sharpen, edge detect, strong edge detect",
       expected={"sharpen": (100.0, (0.0, 300.0)), "edge detect": (0.0, (100.0, -100.0)),
                 "strong edge detect": (0.0, (-300.0, 300.0))},
       verdict="shown", why="The numbers of the filters are not in the text; these are the usual ones.")
def three_filters() -> Steps:
    flat = torch.full((3, 3), 100.0)
    step = torch.tensor([[100.0, 100.0, 200.0, 200.0]]).repeat(3, 1)  # from dark to light
    answers = {}
    yield "on a grey area of 100, and across an edge 100 | 200"
    for name, kernel in runs.KERNELS.items():
        edge = tuple(runs.filtered(step, kernel)[0].tolist())
        answers[name] = (runs.filtered(flat, kernel).item(), edge)
        rows = "; ".join(" ".join(f"{value:g}" for value in row) for row in kernel.tolist())
        yield f"{name + ':':19} [{rows}], sum {kernel.sum():g}: {answers[name][0]:g} and {edge[0]:g} | {edge[1]:g}"
    yield "sum 1 keeps the grey and drives both sides of an edge apart; sum 0 leaves nothing but edges"
    return answers


@claim("S55", slide="CNNs for Classification", topic="architectures",
       says="convolution, non-linearity, pooling; then learn",
       expected={"maps": (20, 24, 24), "pooled": (20, 12, 12), "neurons": 11_520, "pooled neurons": 2_880,
                 "parameters": 289_630},
       verdict="ok", experiments=("digits_lenet", "mnist_nielsen", "mnist_fast"))
def convolution_relu_pooling() -> Steps:
    from zoo.lectures import prague

    return (yield from prague.networks.nielsens_network())


@claim("S56", slide="Convolutional Layers: Local Connectivity", topic="convolution",
       says="neuron (p, q): sum over i, j = 1 .. 4 of w_ij x_(i+p, j+q) + b",
       expected={"neuron (0, 0)": 2348.5, "neuron (3, 3)": 5612.5, "difference": 0.0}, verdict="ok",
       why="Pixels count from 1 and neurons from 0 here; Prague C31 counts both from 0.")
def sum_over_a_patch() -> Steps:
    x = torch.arange(1.0, 50.0, dtype=torch.float64).view(7, 7)  # x_11 = 1, x_12 = 2, ..., x_77 = 49
    w, b = torch.arange(1.0, 17.0, dtype=torch.float64).view(4, 4), 0.5

    def neuron(p: int, q: int) -> Tensor:
        # the slide counts pixels and weights from 1, Python from 0
        return sum(w[i - 1, j - 1] * x[i + p - 1, j + q - 1] for i in range(1, 5) for j in range(1, 5)) + b

    first, last = neuron(0, 0).item(), neuron(3, 3).item()
    yield "7x7 pixels 1, 2, ..., 49, weights 1, 2, ..., 16: w_11 x_11 + ... + w_44 x_44 + b ="
    yield f"  1*1 + 2*2 + 3*3 + 4*4 + 5*8 + ... + 16*25 + {b} = {first:g} for neuron (0, 0)"
    by_loops = torch.stack([torch.stack([neuron(p, q) for q in range(4)]) for p in range(4)])  # 7 - 4 + 1 places
    library = F.conv2d(x[None, None], w[None, None], torch.tensor([b], dtype=torch.float64))[0, 0]
    difference = (by_loops - library).abs().max().item()
    yield f"neurons (0, 0) to (3, 3), {by_loops.numel()} of them, against F.conv2d: largest difference {difference:g}"
    return {"neuron (0, 0)": first, "neuron (3, 3)": last, "difference": difference}


@claim("S57", slide="Introducing Non-Linearity", topic="convolution",
       says="ReLU, pixel by pixel, after every convolution: negative values become zero",
       expected={"negative before": Within(0.2, 0.9), "negative after": 0.0, "pixel by pixel": True}, verdict="ok",
       experiments=("mnist_lenet",))
def relu_after_convolution() -> Steps:
    network, x = zoo.load("digits-lenet"), runs.zoo_data("digits").test[0][:100]
    with torch.no_grad():
        maps = network.conv1(x)  # (100, 6, 28, 28)
    relu = network.activation(maps)
    before, after = ((values < 0).float().mean().item() for values in (maps, relu))
    yield f"LeNet's first convolution of 100 digits: {100 * before:.1f} % of {maps.numel():,} values are negative"
    yield f"after ReLU {100 * after:.1f} %, the others as they were; the size {tuple(relu.shape[1:])} stays"
    order = torch.randperm(28 * 28)
    pixelwise = torch.equal(network.activation(maps.flatten(2)[..., order]), relu.flatten(2)[..., order])
    yield f"pixel by pixel: shuffling the pixels before or after it is the same: {'yes' if pixelwise else 'no'}"
    return {"negative before": before, "negative after": after, "pixel by pixel": pixelwise}


@claim("S58", slide="Pooling", topic="pooling", says="MaxPool2D 2x2, stride 2: [6 8; 3 4]; spatial invariance",
       stated={"pooled": ((6, 8), (3, 4))},
       expected={"pooled": ((6, 8), (3, 4)), "moved by 1": ((5, 7), (3, 3)), "numbers left": 0.25},
       verdict="ok by convention",
       why="The input is lost in the text; that of MIT 6.S191's slides is used. The invariance is only approximate.")
def max_pooling() -> Steps:
    x = torch.tensor([[1.0, 1, 2, 4], [5, 6, 7, 8], [3, 2, 1, 0], [1, 2, 3, 4]])
    y = F.max_pool2d(x[None], 2, 2)[0].int()
    yield "[1 1 2 4; 5 6 7 8; 3 2 1 0; 1 2 3 4], the largest of each 2x2:"
    yield (f"  max(1, 1, 5, 6) = {y[0, 0]}, max(2, 4, 7, 8) = {y[0, 1]}, max(3, 2, 1, 2) = {y[1, 0]}, "
           f"max(1, 0, 3, 4) = {y[1, 1]}; {y.numel()} of {x.numel()} numbers are left")
    moved = F.max_pool2d(F.pad(x, (1, 0))[None, :, :4], 2, 2)[0].int()
    yield f"the picture one pixel to the right, a 0 coming in: {moved.tolist()}"
    same = (moved == y).sum().item()
    yield f"{same} of 4 stay: a maximum is kept only where it does not leave its window"
    return {"pooled": tuple(map(tuple, y.tolist())), "moved by 1": tuple(map(tuple, moved.tolist())),
            "numbers left": y.numel() / x.numel()}


@claim("S59", slide="Class Probabilities", topic="loss",
       says="softmax(y_i) = e^y_i / sum over j of e^y_j",
       expected={"p": (0.665241, 0.244728, 0.090031), "sum": 1.0, "shifted": Within(high=1e-12)}, tolerance=1e-6,
       verdict="ok")
def softmax() -> Steps:
    y = torch.tensor([2.0, 1.0, 0.0], dtype=torch.float64)
    powers = y.exp()
    p = powers / powers.sum()
    yield f"y = (2, 1, 0):  e^y = ({', '.join(f'{v:.4f}' for v in powers.tolist())}), sum {powers.sum():.4f}"
    yield f"p = ({', '.join(f'{v:.4f}' for v in p.tolist())}), sum {p.sum():.4f}"
    shifted = ((y + 1000).softmax(0) - p).abs().max().item()
    yield f"y + 1000: the same p within {shifted:.0e}, though e^1002 overflows; softmax takes the maximum off first"
    return {"p": tuple(p.tolist()), "sum": p.sum().item(), "shifted": shifted}


@claim("S60", slide="End-to-End Framework ... Navigation", topic="applications",
       says="screening, detection, segmentation; navigation with L = -log P(theta | I, M)",
       expected={"squared error": Within(-3.0, 3.0), "left": Within(-32.0, -28.0), "right": Within(28.0, 32.0),
                 "loss, one": Within(4.7, 5.0), "loss, two": Within(3.3, 3.7)},
       verdict="shown", trains=True,
       why="Computed: why the steering angle needs a likelihood. The results in medicine rest on published studies.")
def steering_at_a_fork() -> Steps:
    angles = torch.cat([torch.randn(500) * 4 - 30, torch.randn(500) * 4 + 30])
    mean = angles.mean().item()  # argmin of the squared error
    yield f"a fork: 500 drivers steered near -30 degrees, 500 near +30; least squared error: {mean:+.1f}, into the tree"
    one, two = (runs.steering_mixture(angles, parts) for parts in (1, 2))
    yield (f"L = -mean log P(theta), one normal distribution: mean {one['means'].item():+.1f}, "
           f"deviation {one['deviations'].item():.1f}, L = {one['loss'].item():.3f} nats")
    means = two["means"].sort().values.tolist()
    yield (f"a mixture of two: means {means[0]:+.1f} and {means[1]:+.1f}, weights {two['weights'][0]:.2f} and "
           f"{two['weights'][1]:.2f}, L = {two['loss'].item():.3f} nats")
    return {"squared error": mean, "left": means[0], "right": means[1], "loss, one": one["loss"].item(),
            "loss, two": two["loss"].item()}


def edge_histograms(pictures: Tensor) -> Tensor:
    """How much edge of each of 8 directions there is in each of 4x4 parts of a picture (N, 1, 28, 28): (N, 128)."""
    dx = pictures[:, 0, 1:-1, 2:] - pictures[:, 0, 1:-1, :-2]
    dy = pictures[:, 0, 2:, 1:-1] - pictures[:, 0, :-2, 1:-1]  # (N, 26, 26)
    direction = ((torch.atan2(dy, dx) / math.pi + 1) * 4).long() % 8
    strength = F.one_hot(direction, 8).permute(0, 3, 1, 2) * torch.hypot(dx, dy)[:, None]  # (N, 8, 26, 26)
    return F.adaptive_avg_pool2d(strength, 4).flatten(1)
