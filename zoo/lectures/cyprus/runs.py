"""Networks and small tasks that the claims of Cyprus and their figures share.

Shapes: N items, B batch, T time, D features, H hidden, L layers, h height, w width.
"""

import functools
from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import zoo
from zoo.models.activations import activation_named
from zoo.registry import build

# --- nets of threshold units, with weights set by hand (U03, U06, U07) ---------------------------------------------

Rows = list[list[float]]

LETTER = (
    "####.",
    "#...#",
    "#...#",
    "####.",
    "#.#..",
    "#..#.",
    "#...#",
)  # fmt: skip


def step_network(*layers: tuple[Rows, list[float]]) -> nn.Module:
    """The zoo's MLP of two inputs with step activations, and these weights and biases; class 1 where its logit > 0."""
    sizes = [len(bias) for _, bias in layers]
    network = zoo.create("mlp", in_features=2, num_classes=2, hidden_sizes=sizes[:-1], activation="step")
    with torch.no_grad():
        for layer, (weight, bias) in zip(network.layers, layers, strict=True):
            layer.weight.copy_(torch.tensor(weight))
            layer.bias.copy_(torch.tensor(bias))
    return network.requires_grad_(False)


def xor_network() -> nn.Module:
    """h1 = [x1 + x2 > 0.5], h2 = [x1 + x2 > 1.5], y = [h1 - h2 > 0.5]."""
    return step_network(([[1, 1], [1, 1]], [-0.5, -1.5]), ([[1, -1]], [-0.5]))


def xnor_network() -> nn.Module:
    """The same with the output turned round."""
    return step_network(([[1, 1], [1, 1]], [-0.5, -1.5]), ([[-1, 1]], [0.5]))


def two_squares() -> nn.Module:
    """One hidden layer, class 1 in two separate squares: 0 < x < 1 or 2 < x < 3, and 0 < y < 1."""
    first = [[1.0, 0.0]] * 4 + [[0.0, 1.0]] * 2
    return step_network((first, [0, -1, -2, -3, 0, -1]), ([[1, -1, 1, -1, 1, -1]], [-1.5]))


def letter_network() -> tuple[nn.Module, Tensor]:
    """Two hidden layers, class 1 on a letter of 5x7 cells; and which cells (7, 5) are black, the lowest row first."""
    cells = torch.tensor([[cell == "#" for cell in row] for row in reversed(LETTER)])
    height, width = cells.shape
    lines = [[1.0, 0.0]] * (width + 1) + [[0.0, 1.0]] * (height + 1)
    starts = [-float(i) for i in range(width + 1)] + [-float(j) for j in range(height + 1)]
    rectangles = []
    for row, column in cells.nonzero().tolist():  # right of one line and not of the next, above one and not the next
        reads = [0.0] * len(lines)
        reads[column], reads[column + 1] = 1.0, -1.0
        reads[width + 1 + row], reads[width + 2 + row] = 1.0, -1.0
        rectangles.append(reads)
    count = len(rectangles)
    return step_network((lines, starts), (rectangles, [-1.5] * count), ([[1.0] * count], [-0.5])), cells


# --- training, by the shortest way ---------------------------------------------------------------------------------


def descend(error: Callable[[Tensor], Tensor], size: int = 3, lr: float = 0.5, steps: int = 3000) -> Tensor:
    """The weights (size,) at which plain gradient descent from 0 has arrived, in float64."""
    w = torch.zeros(size, dtype=torch.float64)
    for _ in range(steps):
        w.requires_grad_()
        (gradient,) = torch.autograd.grad(error(w), w)
        w = (w - lr * gradient).detach()
        if gradient.abs().max() < 1e-12:
            break
    return w


def train(
    network: nn.Module, loss: Callable[[Tensor, Tensor], Tensor], x: Tensor, y: Tensor, steps: int, lr: float,
    batch: int = 64,
) -> nn.Module:  # fmt: skip
    """Adam on random batches, the rate falling to zero, gradients clipped. In eval mode at the end."""
    optimizer = torch.optim.Adam(network.train().parameters(), lr)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, steps)
    for _ in range(steps):
        rows = torch.randint(len(x), (batch,))
        optimizer.zero_grad()
        loss(network(x[rows]), y[rows]).backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    return network.eval()


@torch.no_grad()
def accuracy(network: nn.Module, x: Tensor, y: Tensor) -> float:
    """Share of the items x whose largest logit is that of their class y."""
    return float((network(x).argmax(1) == y).float().mean())


# --- digits --------------------------------------------------------------------------------------------------------


@functools.cache
def digits(side: int = 8) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Pictures (N, 1, side, side) and classes (N,), to train on (1,071) and to test on (602); at 8x8 ink in [0, 1]."""
    data = build("data", "digits", {"image_size": side, "standardise": side > 8})
    data.load()
    return data.train, data.test


def noisy(y: Tensor) -> Tensor:
    """Classes (N,), the first fifth of them drawn at random."""
    count = len(y) // 5
    return torch.cat([torch.randint(10, (count,)), y[count:]])


def coloured(x: Tensor) -> Tensor:
    """Grey pictures (N, 1, h, w) in red, green or blue ink each: (N, 3, h, w)."""
    ink = F.one_hot(torch.randint(3, (len(x),)), 3)  # (N, 3)
    return ink[:, :, None, None] * x


def accuracy_by_shift(shifts: tuple[int, ...]) -> dict[str, list[float]]:
    """Of networks trained on digits in the middle of 16x16: accuracy on digits so many pixels from there (U25)."""
    (x, y), (test_x, test_y) = digits()
    x, test_x = F.pad(x, (4, 4, 4, 4)), F.pad(test_x, (4, 4, 4, 4))  # (N, 1, 16, 16)

    def convs() -> list[nn.Module]:
        return [nn.Conv2d(1, 8, 5, padding=2), nn.ReLU(), nn.Conv2d(8, 24, 5, padding=2), nn.ReLU()]

    networks = {
        "MLP": nn.Sequential(nn.Flatten(), nn.Linear(256, 100), nn.ReLU(), nn.Linear(100, 10)),
        "convolution, fully connected": nn.Sequential(*convs(), nn.MaxPool2d(4), nn.Flatten(), nn.Linear(384, 10)),
        "convolution, maximum": nn.Sequential(*convs(), nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(24, 10)),
    }
    curves = {}
    for name, network in networks.items():
        train(network, F.cross_entropy, x, y, steps=150, lr=1e-2, batch=32)
        moved = [torch.cat([test_x.roll(s, (2, 3)) for s in ((0, d), (0, -d), (d, 0), (-d, 0))]) for d in shifts]
        curves[name] = [accuracy(network, pictures, test_y.repeat(4)) for pictures in moved]
    return curves


@torch.no_grad()
def layers_of_lenet(network: nn.Module, x: Tensor) -> Iterator[tuple[str, Tensor]]:
    """What a modern LeNet makes of pictures x, layer by layer: (N, D) each."""
    yield "pixels", x.flatten(1)
    x = network.pool1(network.activation(network.conv1(x)))
    yield "convolution 1", x.flatten(1)
    x = network.pool2(network.activation(network.conv2(x))).flatten(1)
    yield "convolution 2", x
    for number, layer in enumerate((network.fc1, network.fc2), 1):
        x = network.activation(layer(x))
        yield f"hidden {number}", x


# --- depth (U21, U22) ----------------------------------------------------------------------------------------------


class Deep(nn.Module):
    """A fully connected net of L layers of 48 neurons for digits, with or without what was found from 2009 to 2016.

    he: weights of variance 2/n, which keep the size of what passes through half-open ReLUs; else 1/(3n), as PyTorch's.
    """

    def __init__(self, activation: str, he: bool, batch_norm: bool, residual: bool, depth: int = 20, width: int = 48):
        super().__init__()
        self.activation, self.residual = activation_named(activation), residual
        self.first, self.last = nn.Linear(64, width), nn.Linear(width, 10)
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(depth - 2))
        self.norms = nn.ModuleList(nn.BatchNorm1d(width) if batch_norm else nn.Identity() for _ in self.layers)
        for layer in (self.first, *self.layers) if he else ():
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, 10) of pictures (B, 1, 8, 8)."""
        a = self.activation(self.first(x.flatten(1)))  # (B, H)
        for layer, norm in zip(self.layers, self.norms, strict=True):
            found = self.activation(norm(layer(a)))
            a = a + found if self.residual else found
        return self.last(a)


RUNGS = {  # each with all that stands above it: activation, He's weights, batch norm, residual; optimizer and rate
    "sigmoid, SGD": (("sigmoid", False, False, False), torch.optim.SGD, 0.1),
    "ReLU": (("relu", False, False, False), torch.optim.SGD, 0.1),
    "He's initialisation": (("relu", True, False, False), torch.optim.SGD, 0.1),
    "Adam": (("relu", True, False, False), torch.optim.Adam, 3e-3),
    "batch norm": (("relu", True, True, False), torch.optim.Adam, 1e-2),
    "residual": (("relu", True, True, True), torch.optim.Adam, 1e-2),
}


def losses_of_a_rung(name: str, steps: int = 60) -> list[float]:
    """Loss by step of one of RUNGS, and at last that over all 1,071 digits."""
    arguments, kind, lr = RUNGS[name]
    network = Deep(*arguments)
    optimizer = kind(network.parameters(), lr=lr)
    (x, y), _ = digits()
    losses = []
    for _ in range(steps):
        rows = torch.randint(len(x), (64,))
        loss = F.cross_entropy(network(x[rows]), y[rows])
        losses.append(float(loss.detach()))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        return [*losses, float(F.cross_entropy(network(x), y))]


def gradient_by_layer(activation: str, depth: int = 20, width: int = 128) -> list[float]:
    """Norm of dL/dz in each layer of a net at its start, for random items; weights of variance 1/n, for ReLU 2/n."""
    gain = 2.0 if activation == "relu" else 1.0
    g, a, sums = activation_named(activation), torch.randn(64, width), []
    for _ in range(depth):
        z = F.linear(a, torch.randn(width, width) * (gain / width) ** 0.5).requires_grad_()  # (B, H)
        z.retain_grad()
        sums.append(z)
        a = g(z)
    (a @ torch.randn(width)).sum().backward()
    return [float(z.grad.norm()) for z in sums]


# --- series and sequences ------------------------------------------------------------------------------------------


def recall_curve(cell: str, gaps: list[int], lr: float) -> list[float]:
    """Accuracy at each gap of a recurrent net with 64 neurons, trained on all of them together (U47, U48)."""
    data = build("data", "recall", {"gaps": gaps, "train_size": 12_000})
    data.load()
    network = zoo.create("sequence_rnn", num_classes=8, vocab_size=10, in_features=0, cell=cell, hidden_size=64)
    train(network, F.cross_entropy, *data.train, steps=500, lr=lr)
    return [share for _, share in data.accuracy_by_gap(network)]


def parts_of_a_series(years: int) -> dict[str, Tensor]:
    """A monthly series in its four components (months,), float64; the noise is drawn (U37)."""
    months = torch.arange(12 * years, dtype=torch.float64)
    return {
        "trend": 0.1 * months,
        "seasonality": 3 * torch.sin(2 * torch.pi * months / 12) + torch.cos(4 * torch.pi * months / 12),
        "cyclic variation": 4 * torch.sin(2 * torch.pi * months / 60),  # five years
        "noise": torch.randn(len(months), dtype=torch.float64),
    }


# --- points of the plane -------------------------------------------------------------------------------------------


def rings() -> tuple[Tensor, Tensor]:
    """Points (720, 2) on two rings around the origin, of radius 1 and 2; and whether they lie on the outer one."""
    angles = torch.arange(360) * torch.pi / 180
    circle = torch.stack([angles.cos(), angles.sin()], 1)
    return torch.cat([circle, 2 * circle]), torch.arange(720) >= 360


def path_in_a_ravine(lr: float, momentum: float) -> Tensor:
    """Gradient descent on f = (x^2 + 25 y^2) / 2 from (10, 1) until f < 1e-6: points (steps + 1, 2) (U12)."""
    curvatures = torch.tensor([1.0, 25.0], dtype=torch.float64)
    path, speed = [torch.tensor([10.0, 1.0], dtype=torch.float64)], torch.zeros(2, dtype=torch.float64)
    while (curvatures * path[-1] ** 2).sum() / 2 > 1e-6:
        speed = momentum * speed - lr * curvatures * path[-1]  # v <- mu v - lr df/dw
        path.append(path[-1] + speed)  # w <- w + v
    return torch.stack(path)


# --- numbers for people --------------------------------------------------------------------------------------------


def bits(x: Tensor) -> str:
    """`0 1 1`; fractions are cut to a digit that matters: `0.333`."""
    return " ".join(f"{value:.3g}" for value in x.flatten().tolist())


def numbers(x: Tensor) -> str:
    """`(0.123, -4.560)`."""
    return f"({', '.join(f'{value:.3f}' for value in x.flatten().tolist())})"


def size(x: Tensor) -> str:
    """`1x6x4`."""
    return "x".join(map(str, x.shape))
