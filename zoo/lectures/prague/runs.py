"""Small networks, and trainings of seconds, for rows and figures of Prague.

Shapes: N items, B batch, T time, D input, H hidden, L hidden layers, K classes, h height, w width.
"""

import math
import tempfile
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import zoo
from zoo.data.corpus import WordSet
from zoo.lectures.small_tasks import digits, fit
from zoo.models.word_vectors import WordVectors
from zoo.registry import build


@torch.no_grad()
def accuracy(network: nn.Module, x: Tensor, y: Tensor) -> float:
    """Share of the items x whose largest logit is that of their class y."""
    return float((network(x).argmax(1) == y).float().mean())


def some_of_each(y: Tensor, count: int) -> Tensor:
    """The numbers of `count` items of each class, drawn at random."""
    classes = range(int(y.max()) + 1)
    return torch.cat([(y == k).nonzero()[:, 0][torch.randperm(int((y == k).sum()))[:count]] for k in classes])


def placed_anywhere(pictures: Tensor, rows: int, columns: int) -> tuple[Tensor, Tensor]:
    """Each of (N, 1, 8, 8) somewhere in (N, 1, 8 + rows, 8 + columns); and where its first corner is, (2, N)."""
    room = torch.tensor([rows, columns])
    corner = (torch.rand(2, len(pictures)) * (room[:, None] + 1)).long()
    down = (torch.arange(8 + rows) - corner[0, :, None]) % (8 + rows)  # (N, h): which line of the picture comes there
    along = (torch.arange(8 + columns) - corner[1, :, None]) % (8 + columns)  # (N, w)
    items = torch.arange(len(pictures))[:, None, None]
    return F.pad(pictures, (0, columns, 0, rows))[items, 0, down[:, :, None], along[:, None]][:, None], corner


# --- words (C06, C12) ------------------------------------------------------------------------------------------------


def help_topics() -> tuple[WordSet, Tensor]:
    """The corpus of Python's help topics, and its words in runs (N, 256)."""
    with tempfile.TemporaryDirectory() as folder:
        data = build("data", "pydoc_words", {"cache": folder})
        data.load()
        return data, torch.as_tensor(data.train[0]).clone()


def learnt_vectors(data: WordSet, runs: Tensor, architecture: str, passes: int = 30) -> WordVectors:
    """word2vec, so many times through the text, the rate falling from 0.05 to 0."""
    network = zoo.create("word2vec", words=data.words, counts=data.counts, architecture=architecture)
    for number in range(passes):
        network.update((runs[torch.randperm(len(runs))],), 0.05 * (1 - number / passes))
    return network


# --- what one layer can do, and many (C13, C14) ----------------------------------------------------------------------


@torch.no_grad()
def polyline(n: int) -> nn.Sequential:
    """n ReLU neurons that draw the line through the points of sin(2 pi x) at 0, 1/n, 2/n, ..., 1."""
    knots = torch.arange(n + 1, dtype=torch.float64) / n
    slopes = torch.sin(2 * math.pi * knots).diff() * n  # (n,), between two knots
    network = nn.Sequential(nn.Linear(1, n), nn.ReLU(), nn.Linear(n, 1)).double().requires_grad_(False)
    network[0].weight.fill_(1.0)
    network[0].bias.copy_(-knots[:-1])  # neuron k is max(0, x - k/n)
    network[2].weight[0] = slopes.diff(prepend=torch.zeros(1))  # by how much the line bends at each knot
    network[2].bias.zero_()
    return network


@torch.no_grad()
def sawtooth(layers: int) -> nn.Sequential:
    """Two ReLU neurons in each layer fold [0, 1] onto itself: tent(x) = 2 relu(x) - 4 relu(x - 1/2) of tent(x) ..."""
    parts: list[nn.Module] = []
    for layer in range(layers):
        bend = nn.Linear(1 if layer == 0 else 2, 2).double()
        tent = torch.tensor([[1.0] if layer == 0 else [2.0, -4.0]])  # of the two neurons before
        bend.weight.copy_(tent.expand(2, -1))
        bend.bias.copy_(torch.tensor([0.0, -0.5]))
        parts += [bend, nn.ReLU()]
    output = nn.Linear(2, 1).double()
    output.weight.copy_(torch.tensor([[2.0, -4.0]]))
    output.bias.zero_()
    return nn.Sequential(*parts, output).requires_grad_(False)


# --- deep networks on digits (C16, C18, C20) -------------------------------------------------------------------------


def standard_digits(part: str) -> tuple[Tensor, Tensor]:
    """The 64 pixels (N, 64) with mean 0 and deviation 1, and the classes (N,)."""
    x, y = digits(part)
    return (x.flatten(1) - 0.3055) / 0.3762, y


def deep_net(hidden: int, width: int, activation: type[nn.Module] = nn.ReLU, std: float | None = None) -> nn.Sequential:
    """64 - width - ... - width - 10. std: deviation of the first weights; None: He's, sqrt(2 / inputs)."""
    sizes, parts = [64, *[width] * hidden, 10], []
    for inputs, outputs in zip(sizes, sizes[1:], strict=False):
        layer = nn.Linear(inputs, outputs)
        nn.init.normal_(layer.weight, std=(2 / inputs) ** 0.5 if std is None else std)
        nn.init.zeros_(layer.bias)
        parts += [layer, activation()]
    return nn.Sequential(*parts[:-1])


def descend(
    network: nn.Module, x: Tensor, y: Tensor, steps: int, lr: float, momentum: float = 0.9,
    each: Callable[[int], bool | None] = lambda step: None, see: Callable[[Tensor], Tensor] = lambda x: x,
) -> nn.Module:  # fmt: skip
    """Gradient descent on batches of 64, as `see` shows them; `each` is called before every step, True ends it."""
    optimizer = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], lr, momentum)
    for step in range(1, steps + 1):
        rows = torch.randint(len(x), (64,))
        optimizer.zero_grad()
        F.cross_entropy(network(see(x[rows])), y[rows]).backward()
        if each(step):
            break
        optimizer.step()
    return network


def learning_speeds(hidden: int, steps: int = 300) -> tuple[Tensor, Tensor, float]:
    """64 - 30 - ... - 30 - 10 with sigmoids, from Nielsen's start: N(0, 1 / inputs), biases N(0, 1).

    Of each step and layer |dL/db| (T, L + 1); how far each layer's weights have moved, as a share (L + 1,); accuracy.
    """
    (x, y), (test_x, test_y) = standard_digits("train"), standard_digits("test")
    network = deep_net(hidden, 30, nn.Sigmoid)
    layers = [layer for layer in network if isinstance(layer, nn.Linear)]
    for layer in layers:
        nn.init.normal_(layer.weight, std=layer.in_features**-0.5)
        nn.init.normal_(layer.bias)
    start, norms = [layer.weight.detach().clone() for layer in layers], []
    descend(network, x, y, steps, 0.1, 0.0, lambda _: norms.append([float(p.bias.grad.norm()) for p in layers]))
    moved = [(layer.weight.detach() - w).norm() / w.norm() for layer, w in zip(layers, start, strict=True)]
    return torch.tensor(norms), torch.stack(moved), accuracy(network, test_x, test_y)


def steps_until(network: nn.Module, share: float, most: int = 2000) -> int:
    """Steps of gradient descent until so many of the test digits are read, looked at after every tenth."""
    (x, y), test = standard_digits("train"), standard_digits("test")
    taken = most

    def look(step: int) -> bool:
        nonlocal taken
        taken = step
        return step % 10 == 0 and accuracy(network, *test) >= share

    descend(network, x, y, most, 0.05, each=look)
    return taken


def shifted_by_one(x: Tensor) -> Tensor:
    """Each of the digits (N, 64) moved by -1, 0 or 1 pixels down and along; 0 is the mean, the paper -0.81."""
    pictures = F.pad(x.view(-1, 1, 8, 8), (1, 1, 1, 1), value=-0.3055 / 0.3762)
    down, along = torch.randint(3, (2, len(x), 1)) + torch.arange(8)  # (N, 8) each
    return pictures[torch.arange(len(x))[:, None, None], 0, down[:, :, None], along[:, None]].flatten(1)


def linear_on(features: Tensor, y: Tensor, test: Tensor, test_y: Tensor) -> float:
    """Accuracy of a linear layer that learns from few features (N, D), standardised by their own mean and deviation."""
    mean, deviation = features.mean(0), features.std()
    layer = nn.Linear(features.shape[1], int(test_y.max()) + 1)
    x = (features - mean) / deviation
    fit(layer, lambda: F.cross_entropy(layer(x), y) + 1e-3 * layer.weight.square().sum(), 100, 1e-2)
    return accuracy(layer, (test - mean) / deviation, test_y)


# --- memories (C59, C61) ---------------------------------------------------------------------------------------------


@torch.no_grad()
def latches() -> nn.Module:
    """A plain RNN that recalls the first of any number of symbols: the task of zoo/data/recall.py, by hand.

    Neuron k turns positive at its own symbol, negative at another, and at a weight of 4 stays as it has turned.
    """
    network = zoo.create("sequence_rnn", num_classes=8, vocab_size=10, in_features=0, cell="rnn", hidden_size=8)
    layers = network.layers
    for parameter in network.parameters():
        parameter.zero_()
    layers.weight_ih_l0[:, :8] = 2 * torch.eye(8) - 1
    layers.weight_hh_l0.copy_(4 * torch.eye(8))
    network.output.weight.copy_(torch.eye(8))
    return network.eval()


@torch.no_grad()
def keep_for(steps: int, bias: float) -> float:
    """What is left of a state of 1 after so many steps of an LSTM cell, all of it 0 but the bias of its forget gate."""
    cell = nn.LSTMCell(1, 1).double()
    for parameter in cell.parameters():
        parameter.zero_()
    cell.bias_ih[1] = bias
    x, state = torch.zeros(1, 1, dtype=torch.float64), torch.tensor([[[0.0]], [[1.0]]], dtype=torch.float64).unbind()
    for _ in range(steps):
        state = cell(x, state)
    return float(state[1])


# --- autoencoders (C22, C23) -----------------------------------------------------------------------------------------


def train_phase(network: nn.Module, number: int, x: Tensor, y: Tensor, steps: int, lr: float) -> None:
    """One of a network's phases: what it does not train is frozen."""
    network.phase = number
    network.requires_grad_(False)
    for part in network.phases[number].trained:
        part.requires_grad_(True)

    def loss() -> Tensor:
        rows = torch.randint(len(x), (64,))
        return network.loss((x[rows], y[rows]))["loss"]

    fit(network.train(), loss, steps, lr)


# --- captions (C62) --------------------------------------------------------------------------------------------------

NAMES = "zero one two three four five six seven eight nine".split()
WORDS = ["<end>", "a", "an", *NAMES, "on", "the", "left", "right"]
LONGEST = 6


def captioned(part: str) -> tuple[Tensor, Tensor]:
    """A digit on the left or on the right (N, 1, 8, 16), and `an eight on the left <end>` as words (N, 6)."""
    pictures, y = digits(part)
    scenes, corner = placed_anywhere(pictures, 0, 8)
    sides = ["left" if column <= 4 else "right" for column in corner[1].tolist()]
    sentences = [
        f"{'an' if k == 8 else 'a'} {NAMES[k]} on the {side} <end>" for k, side in zip(y.tolist(), sides, strict=True)
    ]
    return scenes, torch.tensor([[WORDS.index(word) for word in sentence.split()] for sentence in sentences])


class Captioner(nn.Module):
    """Vinyals et al. 2015, small: a ConvNet's vector is the state in which an LSTM begins to write."""

    def __init__(self, hidden: int = 64, embedding: int = 16):
        super().__init__()
        self.see = nn.Sequential(
            nn.Conv2d(1, 16, 3), nn.ReLU(), nn.Conv2d(16, 32, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
            nn.Linear(32 * 2 * 6, hidden),
        )  # fmt: skip
        self.embedding, self.cell = nn.Embedding(len(WORDS), embedding), nn.LSTMCell(embedding, hidden)
        self.output = nn.Linear(hidden, len(WORDS))

    def forward(self, pictures: Tensor, sentences: Tensor) -> Tensor:
        """Logits (N, T, V) of each word of sentences (N, T), from the picture and the words before it."""
        h = c = self.see(pictures)  # (N, H)
        logits = []
        for t in range(sentences.shape[1]):
            before = sentences[:, t - 1] if t else torch.zeros_like(sentences[:, 0])  # before the first stands <end>
            h, c = self.cell(self.embedding(before), (h, c))
            logits.append(self.output(h))
        return torch.stack(logits, 1)

    def nats(self, pictures: Tensor, sentences: Tensor) -> Tensor:
        """-log p(sentence | picture), the sum over its words, the mean over pictures."""
        logits = self(pictures, sentences)
        return F.cross_entropy(logits.flatten(0, 1), sentences.flatten(), reduction="sum") / len(pictures)

    @torch.no_grad()
    def write(self, pictures: Tensor) -> Tensor:
        """The likeliest word at each step, (N, T)."""
        words = torch.zeros(len(pictures), 0, dtype=torch.int64)
        for _ in range(LONGEST):
            following = self(pictures, F.pad(words, (0, 1)))[:, -1].argmax(1)
            words = torch.cat([words, following[:, None]], 1)
        return words


def trained_captioner(steps: int = 600) -> Captioner:
    """Trained to make the sentences of the training pictures likely."""
    pictures, sentences = captioned("train")
    network = Captioner()

    def loss() -> Tensor:
        rows = torch.randint(len(pictures), (64,))
        return network.nats(pictures[rows], sentences[rows])

    return fit(network, loss, steps, 1e-2)


# --- LeCun's ConvNet of 1989 (C03) -----------------------------------------------------------------------------------


class ConvNet1989(nn.Module):
    """Backpropagation applied to handwritten zip code recognition: shared weights, a bias for every neuron.

    Each of the 12 maps of H2 sees 8 of those of H1; which, the paper only describes: here the next 8, in a circle.
    """

    def __init__(self):
        super().__init__()
        self.h1, self.h1_bias = nn.Conv2d(1, 12, 5, 2, bias=False), nn.Parameter(torch.zeros(12, 8, 8))
        self.h2, self.h2_bias = nn.Parameter(torch.randn(12, 8, 5, 5) / 14), nn.Parameter(torch.zeros(12, 4, 4))
        self.h3, self.output = nn.Linear(12 * 4 * 4, 30), nn.Linear(30, 10)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 1, 16, 16) -> (N, 10); two rows of paper around the picture, and around the maps of H1."""
        h1 = torch.tanh(self.h1(F.pad(x, (2, 1, 2, 1))) + self.h1_bias)  # (N, 12, 8, 8)
        seen = torch.cat([h1.roll(-k, 1)[:, :8] for k in range(12)], 1)  # (N, 96, 8, 8), 8 for each map of H2
        h2 = F.conv2d(F.pad(seen, (2, 1, 2, 1)), self.h2, stride=2, groups=12)
        h2 = torch.tanh(h2 + self.h2_bias)  # (N, 12, 4, 4)
        return self.output(torch.tanh(self.h3(h2.flatten(1))))
