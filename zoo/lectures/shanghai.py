# fmt: off
"""Shanghai: deep learning from the perceptron to attention; every claim of the slides, computed."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import zoo
from zoo.lectures import shanghai_runs as runs
from zoo.lectures.ledger import Steps, Within, claim
from zoo.models.activations import activation_named
from zoo.models.attention import MultiHeadAttention, Positions, attention, attention_weights, blocks
from zoo.models.recurrent import recurrent_layers, rnn_step


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
       why="Keras' Dense has no activation unless told so: the printed net is linear, which Importance of Activation "
           "Functions warns of; the formula above it has g.",
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


@claim("S10", slide="Empirical Loss", topic="loss", says="empirical loss J = mean of the losses over all n items",
       expected={"n": 500, "difference": Within(high=1e-6)}, verdict="ok")
def empirical_loss() -> Steps:
    network, (x, y) = zoo.load("pass-class"), runs.zoo_data("pass_class").test
    with torch.no_grad():
        p = torch.sigmoid(network(x)[:, 0])
        losses = -torch.where(y == 1, p, 1 - p).log()  # (n,)
        j = network.loss((x, y))["loss"].item()
    first = " + ".join(f"{loss:.3f}" for loss in losses[:4].tolist())
    yield f"will I pass this class, n = {len(x)} students: sum = {first} + ... = {losses.sum().item():.3f}"
    yield f"J = {losses.sum().item():.3f} / {len(x)} = {losses.mean().item():.6f}; the network's own loss {j:.6f}"
    yield "so the total over the set, as the slide says it, is divided by n, as its formula has it"
    return {"n": len(x), "difference": abs(j - losses.mean().item())}


@claim("S11", slide="Binary Cross Entropy Loss", topic="loss", says="J = -mean of y log f + (1 - y) log(1 - f)",
       expected={"y = 1, f = 0.1": 2.302585, "three students": 1.474283}, tolerance=1e-6, verdict="ok",
       why="The formula stands; its labels under the braces are scrambled in the text. The three are of MIT 6.S191.")
def binary_cross_entropy() -> Steps:
    p, y = torch.tensor([0.1, 0.8, 0.6]), torch.tensor([1.0, 0.0, 1.0])
    losses = -(y * p.log() + (1 - y) * (1 - p).log())
    yield f"y = 1, f = 0.1:  -log 0.1 = {losses[0]:.6f} nats"
    yield f"f = (0.1, 0.8, 0.6), y = (1, 0, 1):  -(log 0.1 + log 0.2 + log 0.6) / 3 = {losses.mean():.6f}"
    library = F.binary_cross_entropy(p, y).item()
    yield f"F.binary_cross_entropy: {library:.6f}"
    return {"y = 1, f = 0.1": losses[0].item(), "three students": library}


@claim("S12", slide="Mean Squared Error Loss", topic="loss", says="mean squared error for real numbers",
       expected=2433.333333, tolerance=1e-3, verdict="extraction",
       why="The formula is lost in the text; the numbers are those of the public slides of MIT 6.S191.")
def mean_squared_error() -> Steps:
    grades, answers = torch.tensor([90.0, 20.0, 95.0]), torch.tensor([30.0, 80.0, 85.0])
    squares = (grades - answers).square()
    yield "J = 1/n sum (y - f)^2, final grades y = (90, 20, 95), predicted f = (30, 80, 85)"
    yield f"({' + '.join(f'{s:g}' for s in squares.tolist())}) / 3 = {squares.mean():.2f}"
    yield f"F.mse_loss: {F.mse_loss(answers, grades):.2f}, its root {squares.mean().sqrt():.1f} points"
    return F.mse_loss(answers, grades).item()


@claim("S13", slide="Training Neural Networks", topic="training", says="W* = argmin of J(W)",
       expected={"w0": 0.5, "w1": 1.4, "J": 0.05, "lower nearby": 0}, tolerance=1e-9, verdict="ok")
def argmin() -> Steps:
    x, y = runs.POINTS.T
    yield "a line through (1,2) (2,3) (3,5) (4,6), J = mean squared error; means x = 2.5, y = 4"
    w1 = ((x - x.mean()) * (y - y.mean())).sum() / (x - x.mean()).square().sum()
    w0 = y.mean() - w1 * x.mean()
    yield f"dJ/dW = 0 gives w1 = 7 / 5 = {w1:.1f}, w0 = 4 - {w1:.1f} * 2.5 = {w0:.1f}"
    best = torch.stack([w0, w1])
    j = runs.line_error(best)
    errors = " + ".join(f"{error:.1f}^2" for error in (w0 + w1 * x - y).abs().tolist())
    yield f"J(W*) = ({errors}) / 4 = {j:.2f}"
    around = best + torch.randn(10_000, 2, dtype=torch.float64)
    lower = int((runs.line_error(around) < j).sum())
    yield f"of 10,000 random W around it {lower} have a smaller J"
    return {"w0": w0.item(), "w1": w1.item(), "J": j.item(), "lower nearby": lower}


@claim("S14", slide="Take small step in opposite ...", topic="training",
       says="W <- W - eta dJ/dW until convergence; return W",
       expected={"J, minus": 0.05, "J, as printed": 18.5}, tolerance=1e-4, verdict="extraction",
       why="The minus sign is missing in the text of these slides; Optimization through gradient descent has it.")
def gradient_descent() -> Steps:
    start = torch.randn(2, dtype=torch.float64)  # ~ N(0, 1)
    path = runs.descend(runs.line_error, start, lr=0.1, steps=400)
    j = runs.line_error(path)
    yield f"the line of S13, W = ({start[0]:.3f}, {start[1]:.3f}) drawn from N(0, 1), eta = 0.1"
    yield "J after 0, 1, 10, 100, 400 steps: " + ", ".join(f"{j[n]:.4f}" for n in (0, 1, 10, 100, 400))
    yield f"W = ({path[-1, 0]:.4f}, {path[-1, 1]:.4f}); W* = (0.5, 1.4), J = 0.05"
    w = start
    for _ in range(400):
        w = w.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(runs.line_error(w), w)
        w = w * 0.01 * gradient  # the text without its minus: a product; eta smaller, or it runs off
    printed = runs.line_error(w).item()
    yield f"without the minus it reads W eta dJ/dW: W goes to ({w[0].item():.4f}, {w[1].item():.4f}), J = {printed:.4f}"
    return {"J, minus": j[-1].item(), "J, as printed": printed}


@claim("S15", slide="import tensorflow as tf", topic="training",
       says="code: w = tf.Variable([tf.random.normal()]); w = w - lr * gradient",
       expected={"a leaf after w = w - lr g": False, "gradient at step 2": "None", "in place, J": 0.0}, tolerance=1e-6,
       verdict="wrong",
       why="By TensorFlow's documented API (not run here): normal() needs a shape, and w becomes a Tensor that no tape "
           "watches, so the next gradient is None. Computed: the twin in PyTorch.",
       correction="tf.Variable(tf.random.normal([n])); weights.assign_sub(lr * gradient)")
def rebinding_a_parameter() -> Steps:
    import warnings

    def loss(w: Tensor) -> Tensor:
        return (w - 3).square().sum()

    w = nn.Parameter(torch.zeros(1))
    loss(w).backward()
    first = w.grad.item()
    w = w - 0.1 * w.grad
    leaf = w.is_leaf
    yield f"J = (w - 3)^2, w = 0: step 1, gradient {first:g}, w = w - 0.1 * {first:g} = {w.item():.1f}"
    yield f"w is now the result of a subtraction: an nn.Parameter? {isinstance(w, nn.Parameter)}. A leaf? {leaf}"
    loss(w).backward()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch warns of just this
        second = str(w.grad)
    yield f"step 2: gradient {second}, so there is no step 3"
    w = nn.Parameter(torch.zeros(1))
    for _ in range(100):
        w.grad = None
        loss(w).backward()
        with torch.no_grad():
            w -= 0.1 * w.grad  # in place: still the same parameter
    j = loss(w).item()
    yield f"in place, under torch.no_grad(): w -= 0.1 * gradient; after 100 steps w = {w.item():.4f}, J = {j:.1e}"
    return {"a leaf after w = w - lr g": leaf, "gradient at step 2": second, "in place, J": j}


@claim("S16", slide="How does a small change in ...", topic="backpropagation",
       says="dJ/dw1 = dJ/dy dy/dz1 dz1/dw1; dJ/dw2 = dJ/dy dy/dw2",
       expected={"dJ/dw2": -0.216507, "dJ/dw1": 0.116455, "difference": Within(high=1e-12)}, tolerance=1e-6,
       verdict="ok")
def chain_rule() -> Steps:
    x, target, w1, w2 = 2.0, 1.0, 0.5, -1.0
    z1 = 1 / (1 + math.exp(-w1 * x))
    y = 1 / (1 + math.exp(-w2 * z1))
    yield f"x = 2, w1 = 0.5, w2 = -1:  z1 = g(1) = {z1:.6f},  y = g(-z1) = {y:.6f},  J = (y - 1)^2 = {(y - 1) ** 2:.6f}"
    dj_dy, dy_dz1, dy_dw2, dz1_dw1 = 2 * (y - target), y * (1 - y) * w2, y * (1 - y) * z1, z1 * (1 - z1) * x
    dw2, dw1 = dj_dy * dy_dw2, dj_dy * dy_dz1 * dz1_dw1
    yield f"dJ/dw2 = dJ/dy dy/dw2          = {dj_dy:.6f} * {dy_dw2:.6f} = {dw2:.6f}"
    yield f"dJ/dw1 = dJ/dy dy/dz1 dz1/dw1 = {dj_dy:.6f} * {dy_dz1:.6f} * {dz1_dw1:.6f} = {dw1:.6f}"
    w = torch.tensor([w1, w2], dtype=torch.float64, requires_grad=True)
    j = (torch.sigmoid(w[1] * torch.sigmoid(w[0] * x)) - target).square()
    (gradient,) = torch.autograd.grad(j, w)
    difference = max(abs(gradient[0].item() - dw1), abs(gradient[1].item() - dw2))
    yield f"autograd: {gradient[1]:.6f}, {gradient[0]:.6f}; largest difference {difference:.0e}"
    return {"dJ/dw2": dw2, "dJ/dw1": dw1, "difference": difference}


@claim("S17", slide="Training Neural Networks is Difficult", topic="training",
       says="a picture of the loss landscape of a neural net",
       expected={"loss": 0.273301, "loss, swapped": 0.273301, "halfway": 0.301197}, tolerance=1e-4,
       verdict="shown", why="The slide is a picture (Li et al. 2017); zoo figure S17 draws one by their method.")
def landscape_has_many_valleys() -> Steps:
    network, batch = zoo.load("pass-class"), runs.zoo_data("pass_class").test
    weights = {name: p.detach() for name, p in network.named_parameters()}
    order = torch.arange(8).flip(0)  # hidden neuron 1 becomes 8, ...
    swapped = {"layers.0.weight": weights["layers.0.weight"][order], "layers.0.bias": weights["layers.0.bias"][order],
               "layers.1.weight": weights["layers.1.weight"][:, order], "layers.1.bias": weights["layers.1.bias"]}

    def loss(w: dict[str, Tensor]) -> float:
        logit = torch.func.functional_call(network, w, (batch[0],))[:, 0]
        return F.binary_cross_entropy_with_logits(logit, batch[1].float()).item()

    middle = {name: (w + swapped[name]) / 2 for name, w in weights.items()}
    losses = {"loss": loss(weights), "loss, swapped": loss(swapped), "halfway": loss(middle)}
    yield f"the trained net 2-8-1 of S09: loss {losses['loss']:.4f}"
    yield f"its 8 hidden neurons in another order, the same function: loss {losses['loss, swapped']:.4f}"
    yield f"halfway between the two: loss {losses['halfway']:.4f}; a convex J would lie no higher than its ends"
    yield f"this valley has a copy for every order of the neurons: 8! = {math.factorial(8):,}"
    return losses


@claim("S18", slide="Setting the Learning Rate", topic="training",
       says="a small rate gets stuck, a large one diverges, a stable one converges",
       expected={"small": Within(1.9, 2.1), "stable": Within(-0.001, 0.001), "large": Within(low=1e6),
                 "0.99 * 2/L": Within(high=0.01), "1.01 * 2/L": Within(low=100.0)},
       verdict="ok", experiments=("break_learning_rate",),
       why="The stable rate leaves the dip since it is larger than 2 / the dip's curvature; a wide one would hold it.")
def three_learning_rates() -> Steps:
    yield "J = 0.1 w^2, minimum at 0, with a narrow dip at w = 2; from w = 4, 400 steps"
    start, ends = torch.tensor(4.0, dtype=torch.float64), {}
    for name, rate in runs.RATES.items():
        path = runs.descend(runs.valley_with_a_dip, start, rate, steps=400)
        ends[name] = path[-1].item() if name != "large" else path[-1].abs().item()
        first = ", ".join(f"{w:.2f}" for w in path[:5].tolist())
        yield f"{name + ',':7} eta = {rate:<5g} w = {first}, ... -> {ends[name]:.3g}"
    curvature = 0.2
    for share in (0.99, 1.01):
        path = runs.descend(lambda w: 0.5 * curvature * w**2, start, share * 2 / curvature, steps=400)
        ends[f"{share} * 2/L"] = path[-1].abs().item()
    yield f"without the dip w <- (1 - eta L) w, L = {curvature}: converges just where eta < 2 / L = {2 / curvature:g}"
    yield f"|w| after 400 steps: eta = 9.9: {ends['0.99 * 2/L']:.4f};  eta = 10.1: {ends['1.01 * 2/L']:.0f}"
    return ends


@claim("S19", slide="Adaptive Learning Rates", topic="training",
       says="rates adapt to the gradient, the speed of learning, the size of the weights",
       expected={"SGD": 100.0, "Adam": 1.0, "Adagrad": 0.1, "plateau": 0.1, "Adafactor": 10.0}, tolerance=0.02,
       verdict="ok")
def adaptive_rates() -> Steps:
    def steps(kind: type[torch.optim.Optimizer], start: list[float], gradient: list[float], times: int = 1) -> Tensor:
        """|the last of `times` steps| of each weight under a gradient that stays the same."""
        w = [nn.Parameter(torch.tensor([[value]])) for value in start]
        optimizer = kind(w, lr=0.01)
        for _ in range(times):
            before = torch.cat(w).detach().clone()
            for parameter, g in zip(w, gradient, strict=True):
                parameter.grad = torch.tensor([[g]])
            optimizer.step()
        return (torch.cat(w).detach() - before).abs().flatten()

    ratios = {}
    for name, kind in (("SGD", torch.optim.SGD), ("Adam", torch.optim.Adam)):
        pair = steps(kind, [1.0, 1.0], [1.0, 0.01])
        ratios[name] = (pair[0] / pair[1]).item()
        taken = f"{pair[0]:.4g} and {pair[1]:.4g}, {ratios[name]:.0f} to 1"
        yield f"two weights, gradients 1 and 0.01; {name + ':':5} steps {taken}"
    early, late = (steps(torch.optim.Adagrad, [1.0], [1.0], times).item() for times in (1, 100))
    ratios["Adagrad"] = late / early
    yield f"Adagrad, 1st and 100th step: {early:.4g}, {late:.4g}, shorter by 1 / sqrt(100) = {ratios['Adagrad']:.2g}"
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.01)
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=5)
    for _ in range(8):
        plateau.step(1.0)  # a loss that does not fall
    ratios["plateau"] = optimizer.param_groups[0]["lr"] / 0.01
    yield f"ReduceLROnPlateau, where the loss has stopped falling: rate times {ratios['plateau']:g}"
    large, small = steps(torch.optim.Adafactor, [10.0, 1.0], [1.0, 1.0]).tolist()
    ratios["Adafactor"] = large / small
    yield f"Adafactor, weights 10 and 1, gradients 1: steps {large:.4g} and {small:.4g}, {ratios['Adafactor']:.0f} to 1"
    return ratios


@claim("S20", slide="Gradient Descent Algorithms", topic="training",
       says="SGD (Kiefer & Wolfowitz 1952), Adam, Adadelta, Adagrad, RMSProp",
       expected={"SGD": Within(high=0.01), "Adam": Within(high=0.1), "Adadelta": Within(high=0.01),
                 "Adagrad": Within(high=0.01), "RMSProp": Within(high=0.01), "Kiefer-Wolfowitz": Within(high=0.01)},
       verdict="loose",
       why="Kiefer & Wolfowitz estimate the slope from values of the function; stochastic gradients go back to Robbins "
           "& Monro, 1951. The TensorFlow names are lost.",
       correction="SGD: Robbins & Monro, A Stochastic Approximation Method, 1951")
def optimizers_on_one_surface() -> Steps:
    yield "J = (w1^2 + 25 w2^2) / 2 from (-4, 1.5), where J = 36.125, after 60 steps; each at a rate of its own"
    ends = {name: runs.ravine(runs.optimizer_path(name)[-1]).item() for name in runs.OPTIMIZERS}
    for names in (("SGD", "Adam"), ("Adadelta", "Adagrad", "RMSProp")):
        yield ";  ".join(f"{name}, rate {runs.OPTIMIZERS[name][1]['lr']:g}: J = {ends[name]:.1e}" for name in names)
    w, calls = torch.tensor([-4.0, 1.5], dtype=torch.float64), 0
    for n in range(60):
        c = 0.1 / (n + 1) ** 0.25  # both ends of a short way along each axis
        sides = torch.cat([w + c * torch.eye(2), w - c * torch.eye(2)])
        plus, minus = runs.ravine(sides).view(2, 2)
        w, calls = w - 0.07 * (plus - minus) / (2 * c), calls + 4
    ends["Kiefer-Wolfowitz"] = runs.ravine(w).item()
    yield f"Kiefer & Wolfowitz: no gradient, {calls} values of J (4 a step): J = {ends['Kiefer-Wolfowitz']:.2g}"
    return ends


@claim("S21", slide="Stochastic Gradient Descent", topic="training",
       says="gradient averaged over B items: cheap, and a better estimate than one item's",
       expected={"slope": Within(-1.05, -0.95), "whole set": Within(high=1e-6)}, verdict="ok",
       why="The slide on mini-batches still has the title Stochastic Gradient Descent.")
def variance_of_the_gradient() -> Steps:
    x, y = runs.zoo_data("pass_class").train
    gradients = gradients_of_a_neuron(x, y)  # (N, 3), one for each student
    w = torch.zeros(3, requires_grad=True)
    loss = F.binary_cross_entropy_with_logits(x @ w[:2] + w[2], y.float())
    (whole,) = torch.autograd.grad(loss, w)
    difference = (gradients.mean(0) - whole).abs().max().item()
    yield f"a neuron, {len(x)} students of S09: mean of the items' gradients = gradient of J within {difference:.0e}"
    sizes, variances = [1, 4, 16, 64, 256], []
    for size in sizes:
        rows = torch.randint(len(x), (2000, size))
        variances.append((gradients[rows].mean(1) - gradients.mean(0)).square().sum(1).mean().item())
    yield f"B                {'  '.join(f'{size:7}' for size in sizes)}"
    yield f"variance         {'  '.join(f'{value:7.5f}' for value in variances)}"
    yield f"variance times B {'  '.join(f'{size * value:7.5f}' for size, value in zip(sizes, variances, strict=True))}"
    slope = slope_of(torch.tensor(sizes).log(), torch.tensor(variances).log())
    yield f"slope of log variance over log B: {slope:.3f}; Var ~ 1/B has -1"
    return {"slope": slope, "whole set": difference}


@claim("S22", slide="Mini-batches while training", topic="training",
       says="smoother convergence, larger learning rates, faster by parallel computation",
       expected={"B = 1": Within(low=1e3), "B = 64": Within(high=0.1), "times faster": Within(low=4.0)},
       verdict="shown",
       why="The rates are a linear neuron's; S21 has the smoothness. Times differ between machines: the band is wide.")
def larger_rates_with_batches() -> Steps:
    truth, rate = torch.randn(20), 0.2
    yield "a linear neuron of 20 inputs ~ N(0, 1), squared error, eta = 0.2, 200 steps"
    ends = {}
    for size in (1, 64):
        w = torch.zeros(20)
        for _ in range(200):
            x = torch.randn(size, 20)
            w = w - rate * x.T @ (x @ w - x @ truth) / size
        distance = (w - truth).norm().nan_to_num(1e9, 1e9).clamp(max=1e9).item()  # 1e9 stands for anything larger
        ends[f"B = {size}"] = distance
        more = " or more" if distance == 1e9 else ""
        yield f"B = {size:2}: distance from the true weights {truth.norm():.2f} -> {distance:.2g}{more}"
    yield f"one x has the curvature |x|^2 = 20: stable below 2 / 20 = {2 / 20:g}; the mean over many x has 1: below 2"
    seconds = {size: seconds_per_epoch(size) for size in (1, 64)}
    faster = seconds[1] / seconds[64]
    yield f"900 students through 2-64-1, an epoch: B = 1 {1e3 * seconds[1]:.0f} ms, B = 64 {1e3 * seconds[64]:.1f} ms"
    return ends | {"times faster": faster}


@claim("S23", slide="The Problem of Overfitting", topic="regularisation",
       says="over-fitting; regularisation discourages complex models and helps on unseen data",
       expected={"best degree": 3, "degree 1": Within(0.28, 0.34), "degree 3": Within(0.11, 0.14),
                 "degree 11": Within(low=1.5), "degree 11, decay": Within(0.12, 0.17)},
       verdict="shown", why="The curves on the slide are a picture; ours are means over 200 sets of 12 noisy points.")
def overfitting() -> Steps:
    degrees = range(1, 12)
    train, test = runs.polynomial_errors(degrees)
    yield "polynomials through 12 noisy points of a sine; squared error, noise 0.3^2 = 0.09"
    shown = (1, 2, 3, 5, 7, 9, 11)
    yield f"degree    {'  '.join(f'{d:6}' for d in shown)}"
    yield f"training  {'  '.join(f'{train[d - 1]:6.3f}' for d in shown)}"
    yield f"unseen    {'  '.join(f'{test[d - 1]:6.3f}' for d in shown)}"
    best = int(test.argmin()) + 1
    decayed = runs.polynomial_errors(range(11, 12), decay=0.1)[1].item()
    yield f"least on unseen points: degree {best}; degree 11 with weight decay 0.1: {decayed:.3f}"
    return {"best degree": best, "degree 1": test[0].item(), "degree 3": test[2].item(), "degree 11": test[-1].item(),
            "degree 11, decay": decayed}


@claim("S24", slide="Regularization 1: Dropout", topic="regularisation",
       says="drop typically 50 %: tf.keras.layers.Dropout(p=0.5)",
       expected={"dropped": Within(0.485, 0.515), "kept ones": 2.0, "mean": Within(0.97, 1.03), "eval": True},
       verdict="wrong", why="The idea holds. By its documented API, Keras' Dropout(rate, ...) has no argument p: a "
                            "TypeError (judged from the documentation); nn.Dropout of PyTorch takes p.",
       correction="tf.keras.layers.Dropout(rate=0.5); in PyTorch nn.Dropout(p=0.5)")
def dropout() -> Steps:
    drop, x = nn.Dropout(p=0.5), torch.ones(10_000)
    y = drop(x)
    dropped = (y == 0).float().mean().item()
    sigma = math.sqrt(0.5 * 0.5 / len(x))
    yield f"nn.Dropout(p=0.5), 10,000 ones: {100 * dropped:.2f} % become 0 (50 %, 3 sigma = {300 * sigma:.1f} %)"
    kept = y[y > 0].unique()
    yield f"the others are multiplied by 1 / (1 - 0.5) = {kept.tolist()[0]:g}, so the mean stays: {y.mean():.3f}"
    same = torch.equal(drop.eval()(x), x)
    yield f"in eval mode nothing happens: {'output = input' if same else 'output differs'}"
    return {"dropped": dropped, "kept ones": kept.item(), "mean": y.mean().item(), "eval": same}


@claim("S25", slide="after Regularization 1: Dropout", topic="regularisation",
       says="lost in the text; MIT 6.S191 has early stopping in this place",
       expected={"best epoch of 300": Within(8, 60), "test accuracy gained": Within(0.02, 0.3)}, verdict="extraction",
       trains=True, why="Nothing of these slides is in the text; computed is early stopping, as in Cyprus U13.")
def second_regularisation() -> Steps:
    from zoo.lectures import cyprus

    return (yield from cyprus.early_stopping())


@claim("S26", slide="Sequence Modeling Applications", topic="recurrence",
       says="one to one, many to one, one to many, many to many",
       expected={"1 to 1": (1, 3), "1 to N": (1, 5), "N to 1": (1, 3), "N to M": (1, 4, 20), "N to N": (1, 6, 4)},
       verdict="ok", experiments=("pass_class_mlp", "reviews_lstm", "multi30k_gru_attention"))
def sequence_modes() -> Steps:
    from zoo.lectures import cyprus

    return (yield from cyprus.five_modes())


@claim("S27", slide="Recurrent Neural Networks (RNNs)", topic="recurrence",
       says="h_t = f_W(x_t, h_(t-1)); the same function and parameters at every step",
       expected={"parameters": (150, 150), "uses": (3, 100), "difference": Within(high=1e-6)}, verdict="ok",
       why="The equations are lost in the text; its words are kept.")
def neuron_with_recurrence() -> Steps:
    layer = recurrent_layers("rnn", input_size=3, hidden_size=10, implementation="reference")
    lengths = (3, 100)
    tables = [zoo.inspect(layer, (steps, 3)) for steps in lengths]
    parameters, uses = tuple(table.parameters for table in tables), tuple(table.layers[0].times for table in tables)
    yield f"h_t = tanh(Wx x_t + bx + Wh h_(t-1) + bh), 3 inputs, 10 neurons: 10 * (3 + 1 + 10 + 1) = {parameters[0]}"
    yield (f"sequences of {lengths[0]} and {lengths[1]} steps: {parameters[0]} and {parameters[1]} parameters, "
           f"each used {uses[0]} and {uses[1]} times")
    x, h = torch.randn(1, 5, 3), torch.zeros(1, 10)
    w = {name.removesuffix("_l0"): p.detach() for name, p in layer.named_parameters()}
    for x_t in x.unbind(1):
        (h,), _ = rnn_step(x_t, (h,), w, "tanh")
    library = nn.RNN(3, 10, batch_first=True)
    library.load_state_dict(layer.state_dict())
    difference = (library(x)[1][0] - h).abs().max().item()
    yield f"h_5 = ({', '.join(f'{value:.3f}' for value in h[0, :3].tolist())}, ...); nn.RNN differs by {difference:.0e}"
    return {"parameters": parameters, "uses": uses, "difference": difference}


@claim("S28", slide="Sequence Modeling: Design Criteria", topic="recurrence",
       says="RNNs meet all: variable length, long term, order, shared parameters",
       expected={"RNN": "yes no yes yes", "LSTM": "yes yes yes yes", "dense": "no yes yes no",
                 "attention": "yes yes yes yes"},
       verdict="loose",
       why="A plain RNN meets three: over 50 steps its gradient is gone, as the lecture says itself under Limitations "
           "of RNNs. An LSTM whose forget gates start open meets all four.",
       correction="A plain RNN meets three of the four criteria; long-term dependencies want gates, or attention")
def four_criteria() -> Steps:
    makers = {
        "RNN": lambda steps: zoo.create("sequence_rnn", **NUMBERS, cell="rnn", hidden_size=32),
        "LSTM": lambda steps: zoo.create("sequence_rnn", **NUMBERS, cell="lstm", hidden_size=32, forget_bias=5.0),
        "dense": lambda steps: nn.Sequential(nn.Flatten(), nn.Linear(steps * 3, 32), nn.ReLU(), nn.Linear(32, 1)),
        "attention": lambda steps: zoo.create("sequence_transformer", **NUMBERS, context_length=steps, hidden_size=32,
                                              position="sinusoidal"),
    }
    yield "          length   long term: |dy/dx_1| / |dy/dx_50|   order   shared parameters"
    answers = {}
    for name, make in makers.items():
        network, x = make(50), torch.randn(8, 50, 3, requires_grad=True)
        (gradient,) = torch.autograd.grad(network(x).sum(), x)
        ratio = (gradient[:, 0].norm() / gradient[:, -1].norm()).item()
        reordered = torch.cat([x[:, :-1].flip(1), x[:, -1:]], 1)  # the last step stays
        tests = (
            all(runs_on(network, torch.randn(1, steps, 3)) for steps in (5, 50)),
            ratio > 1e-3,
            not torch.allclose(network(x), network(reordered), atol=1e-6),
            count(make(10)) == count(make(50)),
        )
        words = ["yes" if test else "no" for test in tests]
        yield f"{name:9} {words[0]:8} {words[1]:3} {ratio:<33.1e} {words[2]:7} {words[3]}"
        answers[name] = " ".join(words)
    return answers


@claim("S29", slide="Predict the Next Word", topic="recurrence",
       says='"This morning I took my cat for a walk.": given eight words, predict the next',
       expected={"words": 9, "P(walk)": Within(0.95, 1.0), "two words only": Within(0.2, 0.3)}, verdict="shown",
       trains=True, experiments=("pydoc_lstm",),
       why="Trained on this sentence and three like it (car, drive; boat, sail; horse, ride).")
def predict_the_next_word() -> Steps:
    pairs = {"cat": "walk", "car": "drive", "boat": "sail", "horse": "ride"}
    sentences = [f"this morning i took my {thing} for a {end}".split() for thing, end in pairs.items()]
    vocabulary = sorted({word for sentence in sentences for word in sentence})
    numbers = torch.tensor([[vocabulary.index(word) for word in sentence] for sentence in sentences])  # (4, 9)
    yield f"{' '.join(sentences[0])}: {len(sentences[0])} words, 8 given; in four such {len(vocabulary)} different"
    walk, answers = vocabulary.index("walk"), {}
    for name, given in (("P(walk)", numbers[:, :-1]), ("two words only", numbers[:, -3:-1])):
        network = zoo.create("sequence_rnn", num_classes=len(vocabulary), vocab_size=len(vocabulary), in_features=0,
                             cell="lstm", hidden_size=32, embedding_dim=16)
        fit(network, (given, numbers[:, -1]), steps=150, lr=0.02)
        p = network(given)[0].softmax(0)
        answers[name] = p[walk].item()
        read = " ".join(vocabulary[i] for i in given[0].tolist())
        best = ", ".join(f"{vocabulary[i]} {p[i]:.2f}" for i in p.argsort(descending=True)[:4].tolist())
        yield f"an LSTM reads '{read}':  {best}"
    yield "what decides stands three words back: who sees only 'for a' must guess one in four"
    return {"words": len(sentences[0])} | answers


@claim("S30", slide="Encoding Language for a Neural Network", topic="words",
       says="vocabulary, word to index, index to a vector of fixed size",
       expected={"difference": 0.0, "words": 10_000, "vector": 100}, verdict="ok",
       experiments=("english_skipgram", "pydoc_skipgram"))
def embedding_is_a_product() -> Steps:
    network = zoo.load("english-skipgram")
    words, size = network.vectors.shape
    index = network.number("walk")
    yield f"1. vocabulary: {words:,} words;  2. index of 'walk': {index:,}"
    one_hot = torch.zeros(words)
    one_hot[index] = 1.0
    by_product, by_row = one_hot @ network.vectors.detach(), F.embedding(torch.tensor(index), network.vectors.detach())
    first = ", ".join(f"{value:.3f}" for value in by_product[:4].tolist())
    yield f"3. one-hot (1 x {words:,}) times W ({words:,} x {size}) = ({first}, ...)"
    difference = (by_product - by_row).abs().max().item()
    yield f"   row {index:,} of W is the same, without {words:,} * {size} multiplications; difference {difference:g}"
    yield f"   and means something: next to 'walk' lie {', '.join(word for word, _ in network.nearest('walk', 3))}"
    return {"difference": difference, "words": words, "vector": size}


@claim("S31", slide="Handle Variable Sequence Lengths", topic="recurrence",
       says="three sentences of different length",
       expected={"words": (4, 6, 9), "difference": Within(high=1e-6)}, verdict="ok", experiments=("reviews_lstm",))
def padded_sentences() -> Steps:
    sentences = ("the food was great", "we visited a restaurant for lunch",
                 "we were hungry but cleaned the house before eating")
    words = [sentence.split() for sentence in sentences]
    vocabulary = ["", *sorted({word for sentence in words for word in sentence})]  # 0 fills up
    rows = [torch.tensor([vocabulary.index(word) for word in sentence]) for sentence in words]
    lengths = torch.tensor([len(row) for row in rows])
    yield f"words: {', '.join(map(str, lengths.tolist()))}"
    padded = nn.utils.rnn.pad_sequence(rows, batch_first=True)  # (3, 9)
    network = zoo.create("sequence_rnn", num_classes=2, vocab_size=len(vocabulary), in_features=0, hidden_size=16,
                         bidirectional=True)
    with torch.no_grad():
        together = network(padded, lengths)[:, 0]
        alone = torch.stack([network(row[None])[0, 0] for row in rows])
        careless = network(padded)[:, 0]
    yield f"filled up to a batch of {tuple(padded.shape)}, lengths given, through an LSTM that reads from both ends:"
    for name, values in (("together", together), ("one by one", alone), ("without lengths", careless)):
        yield f"  {name + ':':17} {'  '.join(f'{value:+.6f}' for value in values.tolist())}"
    return {"words": tuple(lengths.tolist()), "difference": (together - alone).abs().max().item()}


@claim("S32", slide="Model Long-Term Dependencies", topic="recurrence",
       says='"France is where I grew up [...] I speak fluent ...": from the distant past',
       expected={"RNN, gap 1": Within(0.75, 1.0), "RNN, gap 40": Within(0.1, 0.5), "LSTM, gap 40": Within(0.97, 1.0)},
       verdict="shown", trains=True, experiments=("recall_rnn", "recall_lstm"),
       why="The sentence as symbols: the first of them is asked for after a gap of others.")
def france_and_boston() -> Steps:
    from zoo.lectures import cyprus

    return (yield from cyprus.recall_over_a_gap())


@claim("S33", slide="Capture Differences in Sequence Order", topic="recurrence",
       says='"good, not bad at all" and "bad, not good at all" differ by the order alone',
       expected={"words": 8, "bags differ by": 0.0, "bag": (0.5, 0.5), "RNN": (1.0, 0.0)}, tolerance=0.05, verdict="ok",
       trains=True)
def order_of_words() -> Steps:
    good, bad = ("the food was good not bad at all".split(), "the food was bad not good at all".split())
    vocabulary = sorted(set(good))
    x = torch.tensor([[vocabulary.index(word) for word in sentence] for sentence in (good, bad)])  # (2, 8)
    y = torch.tensor([1, 0])
    bags = F.one_hot(x, len(vocabulary)).sum(1).float()  # (2, V): how often each word occurs
    differ = (bags[0] - bags[1]).abs().max().item()
    yield f"{len(good)} words each; counts of {', '.join(vocabulary)}: they differ by {differ:g}"
    bag = zoo.create("mlp", in_features=len(vocabulary), num_classes=2, hidden_sizes=[16])
    rnn = zoo.create("sequence_rnn", num_classes=2, vocab_size=len(vocabulary), in_features=0, cell="rnn",
                     hidden_size=16)
    answers = {}
    for name, network, batch in (("bag", bag, (bags, y)), ("RNN", rnn, (x, y))):
        fit(network, batch, steps=100, lr=0.02)
        answers[name] = tuple(torch.sigmoid(network(batch[0])[:, 0]).tolist())
        yield f"trained on the two, {name} of words: P(praise) = {answers[name][0]:.3f} and {answers[name][1]:.3f}"
    return {"words": len(good), "bags differ by": differ} | answers


@claim("S34", slide="Standard RNN Gradient Flow", topic="recurrence",
       says="many values > 1 explode, many < 1 vanish: activation, weights, architecture",
       expected={"0.9": 0.005153775, "1.0": 1.0, "1.1": 117.390853}, tolerance=1e-5, verdict="ok",
       experiments=("break_no_clipping",))
def values_above_and_below_one() -> Steps:
    from zoo.lectures import barcelona

    return (yield from barcelona.powers_of_a_matrix())


@claim("S35", slide="Exploding Gradients", topic="recurrence",
       says="gradient clipping scales big gradients",
       expected={"norm": Within(low=100.0), "clipped": 1.0, "cosine": 1.0, "a small one": 0.5}, tolerance=1e-4,
       verdict="ok", experiments=("break_no_clipping",))
def gradient_clipping() -> Steps:
    layer = recurrent_layers("rnn", input_size=3, hidden_size=16, nonlinearity="relu")
    with torch.no_grad():
        layer.weight_hh_l0.copy_(1.3 * torch.eye(16))
    layer(torch.randn(4, 30, 3))[0][:, -1].sum().backward()
    before = torch.cat([p.grad.flatten() for p in layer.parameters()])
    yield f"ReLU, Wh = 1.3 I, 30 steps: 1.3^30 = {1.3**30:,.0f}, and the gradient's norm is {before.norm().item():,.0f}"
    norm = nn.utils.clip_grad_norm_(layer.parameters(), max_norm=1.0).item()
    after = torch.cat([p.grad.flatten() for p in layer.parameters()])
    cosine = F.cosine_similarity(before, after, dim=0).item()
    yield f"clipped at c = 1: g <- g * 1 / {norm:,.0f}, norm {after.norm().item():.4f}, cosine with g {cosine:.4f}"
    small = nn.Parameter(torch.zeros(2))
    small.grad = torch.tensor([0.3, 0.4])
    nn.utils.clip_grad_norm_([small], max_norm=1.0)
    yield f"a gradient of norm 0.5 stays as it is: {small.grad.norm().item():.4f}"
    return {"norm": norm, "clipped": after.norm().item(), "cosine": cosine, "a small one": small.grad.norm().item()}


@claim("S36", slide="Why are vanishing gradients a problem?", topic="recurrence",
       says="errors from further back have smaller gradients; short-term bias",
       expected={"correlation": Within(-1.0, -0.97), "factor per step": Within(0.4, 0.65),
                 "last 5 of 40": Within(0.9, 1.0)},
       verdict="ok", experiments=("recall_rnn",))
def gradient_against_lag() -> Steps:
    layer = recurrent_layers("rnn", input_size=4, hidden_size=64, implementation="reference")
    norms = runs.gradient_by_lag(layer, steps=40, batch=16)  # (40,)
    shown = (0, 5, 10, 20, 30, 39)
    yield "an RNN of 64 neurons as it starts, 40 steps; gradient of h_40 by the input k steps back"
    yield f"k       {'  '.join(f'{k:7}' for k in shown)}"
    yield f"|dh/dx| {'  '.join(f'{norms[k].item():7.1e}' for k in shown)}"
    lags, logs = torch.arange(5.0, 40.0), norms[5:].log()
    factor, correlation = math.exp(slope_of(lags, logs)), torch.corrcoef(torch.stack([lags, logs]))[0, 1].item()
    yield f"log |dh/dx| against k is a line (correlation {correlation:.4f}): each step back costs a factor {factor:.3f}"
    share = (norms[:5].sum() / norms.sum()).item()
    yield f"{100 * share:.1f} % of it all come from the last 5 steps: what is learnt is the short term"
    return {"correlation": correlation, "factor per step": factor, "last 5 of 40": share}


@claim("S37", slide="Trick #1, Trick #2", topic="recurrence",
       says="ReLU; weights start as the identity, biases at zero",
       expected={"ReLU, I": 1.0, "tanh, 0.9 I": 0.003655, "sigmoid, I": 0.0}, tolerance=1e-6, verdict="ok",
       experiments=("recall_irnn",))
def identity_start() -> Steps:
    start = recurrent_layers("irnn", input_size=1, hidden_size=16)
    identity = torch.equal(start.weight_hh_l0.detach(), torch.eye(16)) and not start.bias_hh_l0.any()
    yield f"the zoo's cell=irnn starts with Wh = I and b = 0: {'yes' if identity else 'no'}"
    starts, norms = {"ReLU, I": ("relu", 1.0), "tanh, 0.9 I": ("tanh", 0.9), "sigmoid, I": ("sigmoid", 1.0)}, {}
    for name, (nonlinearity, scale) in starts.items():
        kept = runs.kept_gradient(nonlinearity, scale, steps=50)
        norms[name] = kept[-1].item()
        yield f"{name + ':':12} |dh_t / dh_0|, t = 1, 10, 50:  {kept[0]:.4f}  {kept[9]:.1e}  {kept[49]:.1e}"
    yield f"0.9^50 = {0.9**50:.4f}; the slope of tanh takes the rest; that of the sigmoid is at most 1/4"
    return norms


@claim("S38", slide="Long Short Term Memory (LSTMs)", topic="gates",
       says="forget, store, update, output; partially uninterrupted gradient flow",
       expected={"c_t = f c + i u": Within(high=1e-5), "best neuron": Within(0.2, 0.7),
                 "all gates at 1/2": Within(high=1e-29)},
       verdict="ok", experiments=("recall_lstm", "break_forget_bias"))
def gates_over_a_gap() -> Steps:
    from zoo.models.recurrent import readable

    network = zoo.load("recall-lstm")
    (x,) = network.inputs(["a" + "bcdefgh" * 14 + "bc" + "?"])  # a, a gap of 100 symbols, and the question
    cells = readable(network.layers)
    with torch.no_grad():
        vectors = network.embed(x)
        trace = {name: values[0] for name, values in cells.trace(vectors)[2][0].items()}  # (T, H) each
        w, h = cells.weights(0, ""), torch.cat([torch.zeros(1, 64), trace["h"][:-1]])
        u = (vectors[0] @ w["weight_ih"].T + w["bias_ih"] + h @ w["weight_hh"].T + w["bias_hh"])[:, 128:192].tanh()
        update = trace["forget"][1:] * trace["c"][:-1] + trace["input"][1:] * u[1:]
        answer = network(x).softmax(1)[0, 0].item()
    difference = (update - trace["c"][1:]).abs().max().item()
    yield f"c_t = f c_(t-1) + i u: forget, store, update; h_t = o tanh(c_t): output. Holds within {difference:.0e}"
    kept = trace["forget"][1:-1].prod(0)  # dc_101 / dc_1 along the cell, of each neuron
    yield f"a trained LSTM is told 'a', then 100 other symbols: asked, it says a with P = {answer:.3f}"
    best = kept.sort(descending=True).values
    first = ", ".join(f"{value:.2f}" for value in best[:5].tolist())
    yield f"dc_101 / dc_1 = f_2 f_3 ... f_101, the best of 64 neurons: {first}, ..."
    yield f"the median neuron: {kept.median().item():.0e}; all gates at 1/2: 0.5^100 = {0.5**100:.0e}. Hence: partially"
    return {"c_t = f c + i u": difference, "best neuron": best[0].item(), "all gates at 1/2": 0.5**100}


@claim("S39", slide="Example Task: Music Generation", topic="applications",
       says="sheet music in, the next character of sheet music out",
       expected={"tunes": 16, "parse": Within(13, 16), "full bars": Within(0.75, 1.0)}, verdict="shown",
       experiments=("irish_lstm",),
       why="A trained LSTM writes Irish tunes in ABC notation; whether they please is not computed.")
def irish_tunes() -> Steps:
    from zoo.data.irish import Irish, full_bars, problem

    network = zoo.load("irish-lstm")
    generator = torch.Generator().manual_seed(0)
    drawn = network.sample(network.encode(Irish.prompt).repeat(16, 1), 450, temperature=0.7, generator=generator)
    tunes = ["X:" + network.decode(row).partition("\n\n")[0] for row in torch.stack(list(drawn), 1)]
    good = [tune for tune in tunes if problem(tune) is None]
    bars = [full_bars(tune) for tune in good]
    full, of = (sum(column) for column in zip(*bars, strict=True))
    yield f"16 tunes, character by character: {len(good)} parse as ABC, {full} of {of} bars are as long as their metre"
    for line in [line for line in good[0].splitlines() if line[:2] not in ("X:", "Z:", "M:", "L:")][:4]:
        yield f"  {line}"
    return {"tunes": len(tunes), "parse": len(good), "full bars": full / of}


@claim("S40", slide="Example Task: Sentiment Classification", topic="applications",
       says="two tweets, one positive, one negative",
       expected={"words told apart": Within(0.8, 1.0), "course": Within(0.05, 0.6), "snow": Within(-0.6, -0.01)},
       verdict="shown", experiments=("reviews_lstm", "reviews_transformer"),
       why="Computed with word vectors, a linear layer and the words of content; whole reviews: see the experiments.")
def two_tweets() -> Steps:
    network = zoo.load("english-skipgram")
    vectors = network.unit_vectors()
    praise = ("good great best excellent wonderful brilliant happy love beautiful enjoy perfect success fine pleased "
              "delightful superb fun glad win helpful").split()
    blame = ("bad worst terrible awful poor sad hate ugly boring failure wrong unhappy miserable disappointing stupid "
             "lack loss painful lose unfortunately").split()
    x = torch.stack([vectors[network.number(word)] for word in praise + blame])  # (40, D)
    y = torch.cat([torch.ones(20), -torch.ones(20)])
    right = sum((ridge(x[rest], y[rest]) @ x[i] * y[i]).item() > 0 for i, rest in all_but_one(40))
    yield f"w = (X'X + I)^-1 X'y, X: vectors of 40 words of praise (+1) and blame (-1); left out: {right} of 40 right"
    w, scores = ridge(x, y), {}
    tweets = {"course": "introduction definitely one best courses kind available online",
              "snow": "not mind bit snow right now had any winter"}
    for name, text in tweets.items():
        each = {word: (w @ vectors[network.number(word)]).item() for word in text.split()}
        scores[name] = sum(each.values()) / len(each)
        ranked = sorted(each, key=lambda word: -abs(each[word]))
        most = ", ".join(f"{word} {each[word]:+.2f}" for word in ranked[:4])
        yield f"{name}: mean {scores[name]:+.3f}; {most}"
    yield "order is lost here: that 'not mind' wishes for snow needs a network that reads (S33)"
    return {"words told apart": right / 40} | scores


@claim("S41", slide="Limitations of RNNs", topic="attention",
       says="RNNs: slow, short memory; dense over all steps: not scalable, no order",
       expected={"steps in a row": (1_000, 1), "dense, T = 10": 41_024, "dense, T = 1000": 4_096_064, "RNN": 8_320,
                 "dense sees order": True, "sum sees order": False},
       verdict="ambiguous", experiments=("recall_transformer", "recall_rnn"),
       why="A dense layer over the steps side by side has weights of its own for each place, so it does see order; one "
           "over their sum does not. It shares nothing between places.",
       correction="Dense over all steps: not scalable, fixed length, nothing shared between places")
def limits_of_recurrence() -> Steps:
    d, h = 64, 64
    rnn = recurrent_layers("rnn", d, h, implementation="reference")
    transformer = zoo.create("sequence_transformer", num_classes=2, vocab_size=0, in_features=d, context_length=1_000)
    in_a_row = tuple(max(layer.times for layer in zoo.inspect(network, (1_000, d)).layers)
                     for network in (rnn, transformer))
    yield f"T = 1,000: an RNN uses its layer {in_a_row[0]:,} times in a row; a Transformer: {in_a_row[1]}"
    dense = {steps: count(nn.Linear(steps * d, h)) for steps in (10, 1_000)}
    yield f"parameters, d = h = 64: dense T d h + h = {dense[10]:,} (T = 10), {dense[1_000]:,} (T = 1,000)"
    yield f"  RNN, whatever T: 64 * (64 + 64 + 2) = {count(rnn):,}"
    layer, few = nn.Linear(10 * d, h), torch.randn(1, 10, d)
    side_by_side = not torch.allclose(layer(few.flatten(1)), layer(few.flip(1).flatten(1)), atol=1e-4)
    once = nn.Linear(d, h)
    in_sum = not torch.allclose(once(few.sum(1)), once(few.flip(1).sum(1)), atol=1e-4)
    yield f"steps in reverse order change the output: side by side {side_by_side}, as a sum {in_sum}"
    return {"steps in a row": in_a_row, "dense, T = 10": dense[10], "dense, T = 1000": dense[1_000],
            "RNN": count(rnn), "dense sees order": side_by_side, "sum sees order": in_sum}


@claim("S42", slide="Intuition Behind Self-Attention", topic="attention",
       says="data is fed in all at once: position must be encoded to understand order",
       expected={"without positions": Within(high=1e-5), "with positions": Within(low=0.1)}, verdict="ok",
       experiments=("pydoc_transformer", "shakespeare_transformer"))
def attention_without_order() -> Steps:
    block = blocks(1, hidden_size=16, num_heads=2, feedforward_size=32, dropout=0.0, attention_dropout=0.0, norm="pre",
                   activation="relu", implementation="fused")[0]
    x, order = torch.randn(1, 6, 16), torch.tensor([3, 0, 5, 1, 4, 2])
    differences = {}
    for name, kind in (("without positions", "none"), ("with positions", "sinusoidal")):
        places = Positions(kind, context_length=6, hidden_size=16)
        with torch.no_grad():
            straight, shuffled = block(places(x)), block(places(x[:, order]))
        differences[name] = (straight[:, order] - shuffled).abs().max().item()
    yield f"six vectors of 16 numbers through a Transformer block, and again in the order {order.tolist()}"
    without, with_places = differences.values()
    yield f"without positions: the same six outputs, reordered; largest difference {without:.0e}"
    yield f"with sin, cos of the place added: other outputs; largest difference {with_places:.2f}"
    return differences


@claim("S43", slide="Goal: identify and attend to ...", topic="attention",
       says='query-key similarity, scaled dot product: "also known as cosine similarity"',
       expected={"dot product": 28.0, "scaled": 16.165808, "cosine": 1.0, "unit vectors": 1.0}, tolerance=1e-5,
       verdict="wrong",
       why="A cosine divides by |q| |k|, attention by sqrt(d), whatever the lengths; a dot product is a cosine only "
           "between unit vectors.",
       correction="The scaled dot product; cosine similarity would divide by |q| |k|")
def cosine_or_dot_product() -> Steps:
    q, k = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([2.0, 4.0, 6.0])
    dot = (q @ k).item()
    scaled = dot / math.sqrt(3)
    yield f"q = (1, 2, 3), k = (2, 4, 6) = 2 q:  q k = 2 + 8 + 18 = {dot:g};  / sqrt(3) = {scaled:.4f}"
    cosine = F.cosine_similarity(q, k, dim=0).item()
    yield f"cosine: {dot:g} / (|q| |k|) = {dot:g} / ({q.norm().item():.4f} * {k.norm().item():.4f}) = {cosine:.4f}"
    unit = (F.normalize(q, dim=0) @ F.normalize(k, dim=0)).item()
    yield f"both at length 1: dot product {unit:.4f}, the cosine"
    weights = torch.tensor([1.0, -1.0]).softmax(0)
    yield f"a softmax of cosines, -1 to 1, is never sharper than {weights[0]:.2f} to {weights[1]:.2f} between two keys"
    return {"dot product": dot, "scaled": scaled, "cosine": cosine, "unit vectors": unit}


@claim("S44", slide="Goal: identify and attend to ...", topic="attention",
       says="A(Q, K, V) = softmax(Q K^T / scaling) V",
       expected={"difference": Within(high=1e-6), "sum of a row": 1.0, "deviation of q k": Within(7.8, 8.2)},
       tolerance=1e-6, verdict="ok", why="The slide leaves the scaling open; it is sqrt(d) (Vaswani et al. 2017).",
       experiments=("pydoc_transformer", "shakespeare_transformer_gpu"))
def scaled_dot_product_attention() -> Steps:
    q, k, v = torch.randn(3, 1, 1, 6, 64).unbind(0)  # (B, A, T, d) each
    difference = (attention(q, k, v) - F.scaled_dot_product_attention(q, k, v)).abs().max().item()
    yield f"6 queries, 6 keys, d = 64: attention written out against PyTorch's: largest difference {difference:.0e}"
    weights = attention_weights(q, k)[0, 0]
    row = weights[0].sum().item()
    yield f"weights of query 1: {' + '.join(f'{w:.3f}' for w in weights[0].tolist())} = {row:.4f}"
    many = torch.randn(2, 20_000, 64)
    products = (many[0] * many[1]).sum(1)
    deviation = products.std().item()
    yield f"q, k ~ N(0, 1): q k is a sum of 64 products, deviation {deviation:.2f}; sqrt(64) = 8 brings it back to 1"
    sharp = products[:19_998].view(-1, 6)
    tops = [(sharp / scale).softmax(1).max(1).values.mean().item() for scale in (1.0, 8.0)]
    yield f"largest of 6 weights, mean: {tops[0]:.2f} unscaled, where softmax learns little; {tops[1]:.2f} scaled"
    return {"difference": difference, "sum of a row": row, "deviation of q k": deviation}


@claim("S45", slide="Applying Multiple Self-Attention Heads", topic="attention",
       says="each head attends to a different part of the input",
       expected={"parameters": (16_640, 16_640, 16_640, 16_640), "nearest": Within(0.5, 2.0),
                 "farthest": Within(10.0, 20.0)},
       verdict="ok", experiments=("shakespeare_transformer", "shakespeare_transformer_fast", "recall_transformer"))
def heads_look_elsewhere() -> Steps:
    counts = tuple(count(MultiHeadAttention(64, heads)) for heads in (1, 2, 4, 8))
    yield f"D = 64, 1, 2, 4, 8 heads: 4 * 64^2 + 4 * 64 = {', '.join(f'{n:,}' for n in counts)}, whatever the number"
    network = zoo.load("shakespeare-transformer")
    text = "ROMEO:\nWhat shall I say to you, my lord, that you have not heard?\n"
    with torch.no_grad():
        maps = network.attention_maps(network.encode(text)[None])[0][0]  # first layer (A, T, T)
    places = torch.arange(len(text))
    back = (maps * (places[:, None] - places)).sum(2)[:, 20:].mean(1)  # mean distance, of all but the first places
    yield f"a Transformer that writes Shakespeare, first layer, {len(text)} characters: a head looks back on average"
    yield f"  {', '.join(f'{distance:.1f}' for distance in back.tolist())} characters"
    return {"parameters": counts, "nearest": back.min().item(), "farthest": back.max().item()}


@claim("S46", slide="Self-Attention Applied", topic="history",
       says="BERT 2019, GPT-3 2020, AlphaFold2 2021, Vision Transformers ICLR 2020",
       stated={"ViT": "ICLR 2020"},
       expected={"ViT": "ICLR 2021", "BERT sees what follows": True, "GPT sees what follows": False,
                 "words of a picture": 196},
       verdict="wrong", experiments=("multi30k_transformer", "multi30k_transformer_gpu"),
       why="An Image is Worth 16x16 Words came out as arXiv 2010.11929, half a year after ICLR 2020 had ended. The "
           "other three are right.",
       correction="Dosovitskiy et al., ICLR 2021")
def three_uses_of_a_block() -> Steps:
    year, month = 2000 + int("2010.11929"[:2]), int("2010.11929"[2:4])
    iclr = {2020: (2020, 4), 2021: (2021, 5)}  # when each was held: April and May
    venue = next(held for held, date in iclr.items() if date > (year, month))
    yield f"arXiv 2010.11929: submitted {month}/{year}; ICLR 2020 was in 4/2020, so it is ICLR {venue}"
    block = blocks(1, hidden_size=16, num_heads=2, feedforward_size=32, dropout=0.0, attention_dropout=0.0, norm="pre",
                   activation="gelu", implementation="fused")[0]
    x = torch.randn(1, 5, 16)
    changed = torch.cat([x[:, :4], -x[:, 4:]], 1)  # another last word
    sees = {}
    for name, causal in (("BERT", False), ("GPT", True)):
        with torch.no_grad():
            change = (block(x, causal=causal) - block(changed, causal=causal))[0, 0].abs().max().item()
        sees[f"{name} sees what follows"] = change > 1e-6
        yield f"one block as in {name}: another word 5 changes the answer at word 1 by {change:.2g}"
    words = zoo.conv_size(224, kernel=16, stride=16).output ** 2
    yield f"as in ViT: a picture of 224x224 in patches of 16x16: (224 / 16)^2 = {words} words"
    return {"ViT": f"ICLR {venue}"} | sees | {"words of a picture": words}


@claim("S47", slide="Sequence Modeling: Summary", topic="recurrence",
       says="recurrence relation, back-propagation through time; self-attention without recurrence",
       expected=Within(high=1e-6), verdict="ok",
       experiments=("abc_rnn", "shakespeare_lstm", "shakespeare_transformer"))
def summary_of_sequences() -> Steps:
    from zoo.lectures.bptt import bptt

    network = zoo.create("char_rnn", vocabulary="abcd", cell="rnn", hidden_size=3, implementation="reference",
                         variant="lecture")
    x, targets = network.encode("abca"), network.encode("bcad")
    by_hand = bptt(network, x, targets)
    loss = network.loss((x[None], targets[None]))["loss"]
    loss.backward()
    yield f"a recurrence h_t = tanh(Wx x_t + Wh h_(t-1) + b), 3 neurons, reads a b c a: loss {loss.item():.4f}"
    parts = [part[0, 0].item() for part in by_hand.gradients["Whh"]]
    yield f"through time: dL/dWh[1,1] = {' '.join(f'{part:+.5f}' for part in parts)} = {sum(parts):+.5f}"
    difference = (by_hand.gradients["Whh"].sum(0) - network.layers.weight_hh_l0.grad).abs().max().item()
    yield f"autograd: {network.layers.weight_hh_l0.grad[0, 0].item():+.5f}; largest difference over Wh {difference:.0e}"
    yield "point 5, attention: S42 to S45"
    return difference


@claim("S48", slide="Images are Numbers", topic="representation",
       says="an image is a matrix of numbers 0 to 255, such as 1080x1080x3",
       expected={"numbers": 3_499_200, "least": 0, "most": 255, "digit": (8, 8)}, verdict="ok",
       why="The example on the slide is a grey picture of 16 rows and 12 columns; ours is a digit of 8x8.")
def images_are_numbers() -> Steps:
    image = torch.randint(0, 256, (1080, 1080, 3), dtype=torch.uint8)  # (h, w, C), a byte each
    size = image.numel() * image.element_size() / 1e6
    yield f"1080 * 1080 * 3 = {image.numel():,} numbers from {image.min()} to {image.max()}, a byte each: {size:.1f} MB"
    digit = (runs.zoo_data("digits", image_size=8, standardise=False).test[0][1, 0] * 255).round().int()
    yield "a handwritten digit of 8x8 pixels, its upper half:"
    for row in digit[:4].tolist():
        yield "  " + " ".join(f"{value:3}" for value in row)
    return {"numbers": image.numel(), "least": image.min().item(), "most": image.max().item(),
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
    counted = yield from prague.fully_connected_weights()
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

    return (yield from prague.nielsens_network())


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
       why="Computed: why the steering angle wants a likelihood. The results in medicine rest on published studies.")
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



# --- what several rows share --------------------------------------------------------------------------------------

NUMBERS = {"num_classes": 2, "vocab_size": 0, "in_features": 3}  # a network that reads three numbers a step


def set_weights(layer: nn.Linear, weight: list[list[float]], bias: list[float]) -> None:
    """Give a layer these numbers."""
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(weight))
        layer.bias.copy_(torch.tensor(bias))


def central_difference(g, z: Tensor, h: float = 1e-5) -> Tensor:
    """(g(z + h) - g(z - h)) / 2h."""
    return (g(z + h) - g(z - h)) / (2 * h)


def slope_of(x: Tensor, y: Tensor) -> float:
    """Of the line that fits best."""
    x, y = x.double() - x.double().mean(), y.double() - y.double().mean()
    return ((x * y).sum() / (x * x).sum()).item()


def two_rings(items: int) -> tuple[Tensor, Tensor]:
    """Points (N, 2) of a disc, class 0, and of a ring around it, class 1."""
    y = torch.arange(items) % 2
    radius = 0.5 * torch.rand(items) + 0.8 * y
    angle = 2 * math.pi * torch.rand(items)
    return torch.stack([radius * angle.cos(), radius * angle.sin()], 1), y


def fit(network: nn.Module, batch: tuple[Tensor, ...], steps: int, lr: float) -> None:
    """Adam on all items at once; leaves the network in eval mode."""
    optimizer = torch.optim.Adam(network.train().parameters(), lr)
    for _ in range(steps):
        optimizer.zero_grad()
        network.loss(batch)["loss"].backward()
        optimizer.step()
    network.eval()


def gradients_of_a_neuron(x: Tensor, y: Tensor) -> Tensor:
    """dJ/dw of each item (N, 2) alone, at w = 0, for a sigmoid neuron with cross-entropy: (p - y) (x, 1), (N, 3)."""
    p = 0.5  # sigmoid(0)
    return (p - y)[:, None] * torch.cat([x, torch.ones(len(x), 1)], 1)


def seconds_per_epoch(size: int) -> float:
    """Of plain gradient descent on 900 students in batches of `size`, the faster of two."""
    import time

    x, y = runs.zoo_data("pass_class").train
    network = zoo.create("mlp", in_features=2, num_classes=2, hidden_sizes=[64])
    best = math.inf
    for _ in range(2):
        started = time.perf_counter()
        for rows in torch.randperm(len(x)).split(size):
            network.zero_grad()
            network.loss((x[rows], y[rows]))["loss"].backward()
            with torch.no_grad():
                for parameter in network.parameters():
                    parameter -= 0.1 * parameter.grad
        best = min(best, time.perf_counter() - started)
    return best


def count(network: nn.Module) -> int:
    """Parameters."""
    return sum(p.numel() for p in network.parameters())


def runs_on(network: nn.Module, x: Tensor) -> bool:
    """Whether it takes an input of this size."""
    try:
        network(x)
    except (RuntimeError, ValueError):
        return False
    return True


def ridge(x: Tensor, y: Tensor) -> Tensor:
    """Linear regression with weight decay 1: (X'X + I)^-1 X'y, for x (N, D)."""
    return torch.linalg.solve(x.T @ x + torch.eye(x.shape[1]), x.T @ y)


def all_but_one(n: int) -> list[tuple[int, list[int]]]:
    """Each of n items, and the others."""
    return [(i, [j for j in range(n) if j != i]) for i in range(n)]


def edge_histograms(pictures: Tensor) -> Tensor:
    """How much edge of each of 8 directions there is in each of 4x4 parts of a picture (N, 1, 28, 28): (N, 128)."""
    dx = pictures[:, 0, 1:-1, 2:] - pictures[:, 0, 1:-1, :-2]
    dy = pictures[:, 0, 2:, 1:-1] - pictures[:, 0, :-2, 1:-1]  # (N, 26, 26)
    direction = ((torch.atan2(dy, dx) / math.pi + 1) * 4).long() % 8
    strength = F.one_hot(direction, 8).permute(0, 3, 1, 2) * torch.hypot(dx, dy)[:, None]  # (N, 8, 26, 26)
    return F.adaptive_avg_pool2d(strength, 4).flatten(1)
