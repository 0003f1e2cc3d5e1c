# fmt: off
"""Shanghai, S01 to S09: perceptrons and activations."""

import math

import torch
from torch import Tensor, nn

import zoo
from zoo.lectures.ledger import Steps, Within, claim
from zoo.lectures.shanghai import runs
from zoo.lectures.shanghai.runs import fit
from zoo.models.activations import activation_named


@claim("S01", slide="The Perceptron", topic="neuron", says="perceptron: y = g(w0 + X^T W)",
       expected={"y": 0.993307, "as printed": 5.0}, tolerance=1e-6, verdict="extraction",
       why="The text prints g as a fraction g/g, which would be 1; The Perceptron: Simplified has the whole formula.")
def perceptron() -> Steps:
    neuron = zoo.create("mlp", in_features=2, num_classes=2, hidden_sizes=[])  # one output neuron, no hidden one
    set_weights(neuron.layers[0], [[3.0, -2.0]], [1.0])
    z = neuron(torch.tensor([[2.0, 1.0]])).item()
    yield f"W = (3, -2), w0 = 1, X = (2, 1):  z = 1 + 3*2 - 2*1 = {z:g}"
    y = torch.sigmoid(torch.tensor(z)).item()
    yield f"y = g(z) = 1 / (1 + e^-{z:g}) = {y:.6f}"
    yield f"(g/g) z, as the text has it, = 1 * {z:g} = {z:g}: no probability"
    return {"y": y, "as printed": z}


@claim("S02", slide="Common Activation Functions", topic="neuron", says="sigmoid: g' = g (1 - g)",
       expected={"g(0)": 0.5, "g'(0)": 0.25, "largest error": Within(high=1e-8)}, verdict="ok")
def slope_of_the_sigmoid() -> Steps:
    z = torch.arange(-50, 51, dtype=torch.float64) / 10
    g = torch.sigmoid(z)
    slope = g * (1 - g)
    error = (slope - central_difference(torch.sigmoid, z)).abs().max().item()
    yield f"g(0) = 1 / (1 + 1) = {g[50]:g};  g'(0) = {g[50]:g} * (1 - {g[50]:g}) = {slope[50]:g}, its maximum"
    yield f"against (g(z + h) - g(z - h)) / 2h, h = 1e-5, over -5 <= z <= 5: largest error {error:.1e}"
    return {"g(0)": g[50].item(), "g'(0)": slope[50].item(), "largest error": error}


@claim("S03", slide="Common Activation Functions", topic="neuron", says="tanh: e^-e / (e^z + e^-z) and g' = 1 - g^2",
       expected={"printed, at 0": 0.032994, "tanh(0)": 0.0, "largest error": Within(high=1e-8)}, tolerance=1e-6,
       verdict="extraction", why="The numerator e^z - e^-z is damaged in the text; the derivative is right.")
def slope_of_tanh() -> Steps:
    z = torch.arange(-50, 51, dtype=torch.float64) / 10
    printed = math.exp(-math.e) / (math.exp(0) + math.exp(-0))
    yield f"as printed, z = 0: e^-2.71828 / (1 + 1) = {printed:.6f}; an odd function has 0 there"
    whole = (z.exp() - (-z).exp()) / (z.exp() + (-z).exp())
    at_zero = whole[50].item()
    yield f"(e^z - e^-z) / (e^z + e^-z), z = 0: (1 - 1) / 2 = {at_zero:g}"
    error = (1 - whole**2 - central_difference(torch.tanh, z)).abs().max().item()
    yield f"1 - g^2 against the difference quotient of tanh, -5 <= z <= 5: largest error {error:.1e}"
    return {"printed, at 0": printed, "tanh(0)": at_zero, "largest error": error}


@claim("S04", slide="Common Activation Functions", topic="neuron",
       says="ReLU: max(0, z); derivative 1 if z > 0, else 0",
       stated=(0.0, 0.0, 1.0), expected=(0.0, 0.0, 1.0), verdict="ok")
def slope_of_relu() -> Steps:
    z = torch.tensor([-1.0, 0.0, 1.0], requires_grad=True)
    relu = activation_named("relu")(z)
    (slope,) = torch.autograd.grad(relu.sum(), z)
    yield f"z = {', '.join(f'{v:g}' for v in z.tolist())}:  max(0, z) = {', '.join(f'{v:g}' for v in relu.tolist())}"
    yield f"derivatives by autograd: {', '.join(f'{v:g}' for v in slope.tolist())}"
    yield "at 0 it has none; any number from 0 to 1 would do, slide and PyTorch take 0"
    return tuple(slope.tolist())


@claim("S05", slide="Importance of Activation Functions", topic="depth",
       says="linear activations: linear decisions at any size; others approximate anything",
       expected={"difference from one matrix": Within(high=1e-5), "linear": Within(0.4, 0.65),
                 "ReLU": Within(0.98, 1.0)},
       verdict="ok", trains=True, experiments=("break_no_activation",))
def rings() -> Steps:
    deep = zoo.create("mlp", in_features=2, num_classes=2, hidden_sizes=[64, 64, 64], activation="linear")
    x, y = two_rings(400)
    matrix = deep.layers[3].weight @ deep.layers[2].weight @ deep.layers[1].weight @ deep.layers[0].weight  # (1, 2)
    bias = deep(torch.zeros(1, 2))
    difference = (deep(x) - (x @ matrix.T + bias)).abs().max().item()
    yield f"2-64-64-64-1 without activation: W4 W3 W2 W1 = ({matrix[0, 0]:.4f}, {matrix[0, 1]:.4f}), as one neuron has"
    yield f"largest difference between the net and that neuron, on 400 points: {difference:.0e}"
    shares = {}
    for name, activation in (("linear", "linear"), ("ReLU", "relu")):
        network = zoo.create("mlp", in_features=2, num_classes=2, hidden_sizes=[64, 64, 64], activation=activation)
        fit(network, (x, y), steps=100, lr=3e-3)
        shares[name] = network.loss(two_rings(400))["acc"].item()
        yield f"a ring around a disc, after 100 steps of Adam, {name}: {100 * shares[name]:.1f} % right"
    return {"difference from one matrix": difference} | shares


@claim("S06", slide="This is just a line in 2D!", topic="neuron",
       says="w0 = 1, W = (3, -2): y = g(1 + 3 x1 - 2 x2), a line",
       expected={"(0, 0)": 0.731059, "(1, 2)": 0.5, "(-1, 2)": 0.002473, "straight": True}, tolerance=1e-6,
       verdict="ok", why="The points are ours; (-1, 2) is that of the public slides of MIT 6.S191.")
def neuron_is_a_line() -> Steps:
    neuron = zoo.create("mlp", in_features=2, num_classes=2, hidden_sizes=[])
    set_weights(neuron.layers[0], [[3.0, -2.0]], [1.0])
    answers = {}
    for x1, x2 in ((0, 0), (1, 2), (-1, 2)):
        z = neuron(torch.tensor([[float(x1), float(x2)]])).item()
        answers[f"({x1}, {x2})"] = torch.sigmoid(torch.tensor(z)).item()
        yield f"x = ({x1}, {x2}):  z = 1 + 3*{x1} - 2*{x2} = {z:g},  g(z) = {answers[f'({x1}, {x2})']:.5f}"
    x1 = torch.linspace(-3, 3, 7)
    border = torch.stack([x1, (1 + 3 * x1) / 2], 1)  # x2 = 1/2 + 3/2 x1
    straight = bool((torch.sigmoid(neuron(border)) - 0.5).abs().max() < 1e-6)
    yield f"g = 1/2 where 1 + 3 x1 - 2 x2 = 0: all of x2 = 0.5 + 1.5 x1? {'yes' if straight else 'no'}"
    return answers | {"straight": straight}


@claim("S07", slide="Multi Output Perceptron", topic="parameters",
       says="dense layer: z_i = w_0i + sum over j of x_j w_ji",
       expected={"parameters": 15, "difference": Within(high=1e-12)}, verdict="ok")
def dense_layer() -> Steps:
    m, k = 4, 3
    layer, x = nn.Linear(m, k).double(), torch.randn(m, dtype=torch.float64)
    w, w0 = layer.weight.T, layer.bias  # the slide's w[j, i] goes from input j to output i
    z = [w0[i] + sum(x[j] * w[j, i] for j in range(m)) for i in range(k)]
    terms = " ".join(f"{x[j].item() * w[j, 0].item():+.3f}" for j in range(m))
    yield f"m = {m} inputs, k = {k} outputs:  z_1 = {w0[0].item():.3f} {terms} = {z[0].item():.3f}"
    difference = (torch.stack(z) - layer(x)).abs().max().item()
    yield f"all z_i against nn.Linear({m}, {k}): largest difference {difference:.0e}"
    parameters = zoo.inspect(layer.float(), (m,)).parameters
    yield f"every input to every output, and a bias each: {m} * {k} + {k} = {parameters} parameters"
    return {"parameters": parameters, "difference": difference}


@claim("S08", slide="Deep Neural Network", topic="depth", says="code of a deep net: Dense(n1), Dense(n2), Dense(2)",
       expected={"as printed": Within(high=1e-3), "with ReLU": Within(low=0.1)}, verdict="contradictory",
       experiments=("break_no_activation",),
       why="Keras' Dense has no activation unless told so: the printed net is linear. The formula above it has a g, "
           "and the slide 'Importance of Activation Functions' says why it is needed.",
       correction='Dense(n1, activation="relu"), Dense(n2, activation="relu"), Dense(2)')
def printed_network_is_linear() -> Steps:
    printed = nn.Sequential(nn.Linear(2, 16), nn.Linear(16, 16), nn.Linear(16, 2))
    for parameter in printed.parameters():
        nn.init.normal_(parameter)
    meant = nn.Sequential(printed[0], nn.ReLU(), printed[1], nn.ReLU(), printed[2])  # the same weights
    xor = torch.tensor([[0.0, 0], [0, 1], [1, 0], [1, 1]])
    yield "f(0,0) + f(1,1) = f(0,1) + f(1,0) for every linear f; XOR wants 0 + 0 = 1 + 1"
    gaps = {}
    for name, network in (("as printed", printed), ("with ReLU", meant)):
        f = network(xor)[:, 0].detach()
        gaps[name] = (f[0] + f[3] - f[1] - f[2]).abs().item()
        values = f"{f[0]:+.3f} {f[3]:+.3f} against {f[1]:+.3f} {f[2]:+.3f}"
        yield f"2-16-16-2 {name}, random weights: {values}, difference {gaps[name]:.2g}"
    return gaps


@claim("S09", slide="Example Problem", topic="applications",
       says="pass or fail from lectures attended and hours on the project",
       expected={"untrained": Within(0.4, 0.6), "trained": Within(0.86, 0.95), "accuracy": Within(0.87, 0.91)},
       verdict="shown", experiments=("pass_class_mlp",),
       why="The slide's numbers were pictures: the zoo draws 1,500 students of its own, and asks about (4, 5).")
def will_i_pass() -> Steps:
    trained = zoo.load("pass-class")
    untrained = zoo.create("many_mlps", in_features=2, num_classes=2, num_copies=100, hidden_size=8, activation="tanh")
    student = torch.tensor([[4.0, 5.0]])  # lectures, hours
    with torch.no_grad():
        before = torch.sigmoid(untrained(student / torch.tensor([8.0, 10.0]))).mean().item()
    yield f"4 lectures, 5 hours; untrained nets 2-8-1 say {before:.3f}, the mean of 100"
    answer = trained.predict(student[0].tolist())
    after = dict(zip(*answer, strict=True))["passed"]
    yield f"trained on 900 students: P(pass) = {after:.3f}"
    data = runs.zoo_data("pass_class")
    accuracy = trained.loss(data.test)["acc"].item()
    yield f"of 500 others {100 * accuracy:.1f} % right; by the true chances {100 * data.bayes_accuracy:.1f} % would be"
    return {"untrained": before, "trained": after, "accuracy": accuracy}


def set_weights(layer: nn.Linear, weight: list[list[float]], bias: list[float]) -> None:
    """Give a layer these numbers."""
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(weight))
        layer.bias.copy_(torch.tensor(bias))


def central_difference(g, z: Tensor, h: float = 1e-5) -> Tensor:
    """(g(z + h) - g(z - h)) / 2h."""
    return (g(z + h) - g(z - h)) / (2 * h)


def two_rings(items: int) -> tuple[Tensor, Tensor]:
    """Points (N, 2) of a disc, class 0, and of a ring around it, class 1."""
    y = torch.arange(items) % 2
    radius = 0.5 * torch.rand(items) + 0.8 * y
    angle = 2 * math.pi * torch.rand(items)
    return torch.stack([radius * angle.cos(), radius * angle.sin()], 1), y
