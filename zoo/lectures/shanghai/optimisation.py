# fmt: off
"""Shanghai, S18 to S25: learning rates, batches, over-fitting."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import zoo
from zoo.lectures.ledger import Steps, Within, claim
from zoo.lectures.shanghai import runs
from zoo.lectures.shanghai.runs import slope_of


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
       verdict="wrong",
       why="The idea holds. But p was the name in Keras 1; by its documented API tf.keras' Dropout(rate, ...) takes no "
           "p (TensorFlow is not run here). PyTorch's nn.Dropout does.",
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

    return (yield from cyprus.training.early_stopping())


def gradients_of_a_neuron(x: Tensor, y: Tensor) -> Tensor:
    """dJ/dw of each item (N, 2) alone, at w = 0, for a sigmoid neuron with cross-entropy: (p - y) (x, 1), (N, 3)."""
    p = 0.5  # sigmoid(0)
    return (p - y)[:, None] * torch.cat([x, torch.ones(len(x), 1)], 1)


def seconds_per_epoch(size: int) -> float:
    """Of plain gradient descent on 900 students in batches of `size`, on one core; the fastest of three."""
    import time

    x, y = runs.zoo_data("pass_class").train
    network = zoo.create("mlp", in_features=2, num_classes=2, hidden_sizes=[64])
    threads, best = torch.get_num_threads(), math.inf
    torch.set_num_threads(1)  # there is too little to do for several, which would wait for one another
    for _ in range(3):
        started = time.perf_counter()
        for rows in torch.randperm(len(x)).split(size):
            network.zero_grad()
            network.loss((x[rows], y[rows]))["loss"].backward()
            with torch.no_grad():
                for parameter in network.parameters():
                    parameter -= 0.1 * parameter.grad
        best = min(best, time.perf_counter() - started)
    torch.set_num_threads(threads)
    return best
