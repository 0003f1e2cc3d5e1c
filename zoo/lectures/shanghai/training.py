# fmt: off
"""Shanghai, S10 to S17: losses, and going downhill."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import zoo
from zoo.lectures.ledger import Steps, Within, claim
from zoo.lectures.shanghai import runs


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
