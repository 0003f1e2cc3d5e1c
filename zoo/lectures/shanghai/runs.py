"""Small computations that the claims of Shanghai and their figures share.

Shapes: N items, B batch, T time, D features, H hidden.
"""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.models.recurrent import recurrent_layers

if TYPE_CHECKING:
    from zoo.data.dataset import DataSet

POINTS = torch.tensor([[1.0, 2.0], [2.0, 3.0], [3.0, 5.0], [4.0, 6.0]], dtype=torch.float64)  # x, y of S13 and S14
RATES = {"small": 0.05, "stable": 1.0, "large": 12.0}  # of S18
RAVINE = torch.tensor([1.0, 25.0])  # curvatures of S20's surface
OPTIMIZERS: dict[str, tuple[type[torch.optim.Optimizer], dict[str, float]]] = {
    "SGD": (torch.optim.SGD, {"lr": 0.07}),
    "Adam": (torch.optim.Adam, {"lr": 0.3}),
    "Adadelta": (torch.optim.Adadelta, {"lr": 3.0, "eps": 1e-3}),
    "Adagrad": (torch.optim.Adagrad, {"lr": 1.0}),
    "RMSProp": (torch.optim.RMSprop, {"lr": 0.1}),
}
KERNELS = {  # the usual ones; the slide shows only what they do
    "sharpen": torch.tensor([[0.0, -1, 0], [-1, 5, -1], [0, -1, 0]]),
    "edge detect": torch.tensor([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]]),
    "strong edge detect": torch.tensor([[-1.0, -1, -1], [-1, 8, -1], [-1, -1, -1]]),
}


def zoo_data(name: str, **arguments: object) -> "DataSet":
    """A data set that needs no network, loaded."""
    from zoo.registry import build

    data = build("data", name, arguments)
    data.load()
    return data


# --- surfaces that gradient descent walks on ----------------------------------------------------------------------


def line_error(w: Tensor) -> Tensor:
    """J = mean squared error of the line w0 + w1 x through the four points; w (..., 2)."""
    x, y = POINTS.T
    return (w[..., :1] + w[..., 1:] * x - y).square().mean(-1)


def descend(error: Callable[[Tensor], Tensor], start: Tensor, lr: float, steps: int) -> Tensor:
    """The path (steps + 1, ...) of w <- w - lr dJ/dw."""
    path = [start]
    for _ in range(steps):
        w = path[-1].detach().requires_grad_()
        (gradient,) = torch.autograd.grad(error(w), w)
        path.append((w - lr * gradient).detach())
    return torch.stack(path)


def valley_with_a_dip(w: Tensor) -> Tensor:
    """J = 0.1 w^2, whose minimum is at 0, with a narrow false minimum near 2."""
    return 0.1 * w**2 - 0.5 * torch.exp(-0.5 * ((w - 2) / 0.2) ** 2)


def ravine(w: Tensor) -> Tensor:
    """J = (w1^2 + 25 w2^2) / 2."""
    return 0.5 * (RAVINE.to(w) * w**2).sum(-1)


def optimizer_path(name: str, steps: int = 60) -> Tensor:
    """Where an optimizer of PyTorch goes on the ravine, from (-4, 1.5): (steps + 1, 2)."""
    kind, options = OPTIMIZERS[name]
    w = nn.Parameter(torch.tensor([-4.0, 1.5]))
    optimizer, path = kind([w], **options), [w.detach().clone()]
    for _ in range(steps):
        optimizer.zero_grad()
        ravine(w).backward()
        optimizer.step()
        path.append(w.detach().clone())
    return torch.stack(path)


def loss_plane(network: nn.Module, batch: tuple[Tensor, ...], reach: float, points: int) -> Tensor:
    """The loss around a trained network's weights, over a plane (points, points) through them.

    The two directions are random and filter-normalised (Li et al., Visualizing the loss landscape of neural nets,
    arXiv 1712.09913, section 4): each neuron's direction is as long as its weights, and biases stay as they are.
    """
    weights = {name: p.detach() for name, p in network.named_parameters()}
    directions = []
    for _ in range(2):
        direction = {}
        for name, w in weights.items():
            d = torch.randn_like(w)
            sizes = [values.flatten(1).norm(dim=1).view(-1, *[1] * (w.dim() - 1)) for values in (w, d) if w.dim() > 1]
            direction[name] = d * sizes[0] / sizes[1] if sizes else torch.zeros_like(w)
        directions.append(direction)
    x, targets = batch
    plane = torch.empty(points, points)
    for i, a in enumerate(torch.linspace(-reach, reach, points)):
        for j, b in enumerate(torch.linspace(-reach, reach, points)):
            moved = {name: w + a * directions[0][name] + b * directions[1][name] for name, w in weights.items()}
            with torch.no_grad():
                logits = torch.func.functional_call(network, moved, (x,))
            plane[i, j] = F.cross_entropy(logits, targets)
    return plane


# --- training in practice -----------------------------------------------------------------------------------------


def polynomial_errors(degrees: range, sets: int = 200, points: int = 12, noise: float = 0.3, decay: float = 0.0):
    """Mean squared errors (degrees,) on the points that a polynomial was fitted to, and on others.

    Each of `sets` data sets has `points` noisy values of sin(pi x), -1 <= x <= 1. decay: of the weights, as in ridge
    regression.
    """
    x = torch.linspace(-1, 1, points, dtype=torch.float64)
    others = torch.linspace(-0.95, 0.95, 50, dtype=torch.float64)
    y = torch.sin(math.pi * x) + noise * torch.randn(sets, points, dtype=torch.float64)  # (sets, points)
    unseen = torch.sin(math.pi * others) + noise * torch.randn(sets, 50, dtype=torch.float64)
    train, test = [], []
    for degree in degrees:
        powers, of_others = (values[:, None] ** torch.arange(degree + 1) for values in (x, others))  # (N, degree + 1)
        fit = torch.linalg.solve(powers.T @ powers + decay * torch.eye(degree + 1), powers.T @ y.T)
        train.append((powers @ fit - y.T).square().mean())
        test.append((of_others @ fit - unseen.T).square().mean())
    return torch.stack(train), torch.stack(test)


# --- recurrence ---------------------------------------------------------------------------------------------------


def kept_gradient(nonlinearity: str, scale: float, steps: int, h0: float = 0.3, width: int = 16) -> Tensor:
    """|dh_t / dh_0|, t = 1 .. steps, as the largest singular value, of an RNN with Wh = scale * I and zero biases.

    nonlinearity: of `recurrent_layers`; the input is zero.
    """
    layers = recurrent_layers("rnn", 1, width, nonlinearity=nonlinearity, implementation="reference").double()
    with torch.no_grad():
        for name, parameter in layers.named_parameters():
            parameter.copy_(scale * torch.eye(width) if name.startswith("weight_hh") else torch.zeros_like(parameter))
    h, norms = torch.full((1, 1, width), h0, dtype=torch.float64), []
    jacobian = torch.eye(width, dtype=torch.float64)
    nothing = torch.zeros(1, 1, 1, dtype=torch.float64)
    for _ in range(steps):
        step = torch.autograd.functional.jacobian(lambda state: layers(nothing, (state,))[1][0].flatten(), h)
        jacobian = step.view(width, width) @ jacobian
        h = layers(nothing, (h,))[1][0].detach()
        norms.append(torch.linalg.matrix_norm(jacobian, 2))
    return torch.stack(norms)


def gradient_by_lag(layers: nn.Module, steps: int, batch: int = 8) -> Tensor:
    """|d sum(h_T) / d x_(T - k)|, k = 0 .. steps - 1, mean over random sequences."""
    x = torch.randn(batch, steps, layers.weight_ih_l0.shape[1], requires_grad=True)  # (B, T, D)
    outputs, _ = layers(x)
    (gradient,) = torch.autograd.grad(outputs[:, -1].sum(), x)
    return gradient.norm(dim=2).mean(0).flip(0)  # (T,)


# --- vision -------------------------------------------------------------------------------------------------------


def filtered(picture: Tensor, kernel: Tensor) -> Tensor:
    """A grey picture (h, w) after a filter, without a margin: (h - 2, w - 2)."""
    return F.conv2d(picture[None, None], kernel[None, None])[0, 0]


def steering_mixture(angles: Tensor, parts: int, steps: int = 200) -> dict[str, Tensor]:
    """Fit P(angle) as a mixture of `parts` normal distributions by descending L = -mean log P (S60).

    Gives weights, means and deviations (parts,), and the loss in nats.
    """
    means = nn.Parameter(0.2 * torch.arange(parts) - 0.1)  # all nearly straight ahead
    logits, log_deviations = nn.Parameter(torch.zeros(parts)), nn.Parameter(torch.zeros(parts))
    optimizer = torch.optim.Adam([means, logits, log_deviations], lr=0.05)
    scaled = angles[:, None] / 30  # in units of 30 degrees, so that the numbers are near 1
    for _ in range(steps):
        normal = torch.distributions.Normal(means, log_deviations.exp())
        loss = -torch.logsumexp(logits.log_softmax(0) + normal.log_prob(scaled), 1).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    found = {"weights": logits.softmax(0), "means": 30 * means, "deviations": 30 * log_deviations.exp()}
    return {name: values.detach() for name, values in found.items()} | {"loss": loss.detach() + math.log(30)}


def slope_of(x: Tensor, y: Tensor) -> float:
    """Of the line that fits best."""
    x, y = x.double() - x.double().mean(), y.double() - y.double().mean()
    return ((x * y).sum() / (x * x).sum()).item()


def fit(network: nn.Module, batch: tuple[Tensor, ...], steps: int, lr: float) -> None:
    """Adam on all items at once; leaves the network in eval mode."""
    optimizer = torch.optim.Adam(network.train().parameters(), lr)
    for _ in range(steps):
        optimizer.zero_grad()
        network.loss(batch)["loss"].backward()
        optimizer.step()
    network.eval()


def count(network: nn.Module) -> int:
    """Parameters."""
    return sum(p.numel() for p in network.parameters())


def ridge(x: Tensor, y: Tensor) -> Tensor:
    """Linear regression with weight decay 1: (X'X + I)^-1 X'y, for x (N, D)."""
    return torch.linalg.solve(x.T @ x + torch.eye(x.shape[1]), x.T @ y)
