"""Small tasks, and networks that learn them in seconds, for rows and figures of Barcelona and Bombay.

Shapes: N items, B batch, T time, D input, H hidden, K classes, h height, w width.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import zoo
from zoo.lectures.chain_crf import LinearChainCRF
from zoo.models.decoding import BEGIN, END
from zoo.models.recurrent import readable, recurrent_layers
from zoo.registry import build


def fit(network: nn.Module, loss: Callable[[], Tensor], steps: int, lr: float) -> nn.Module:
    """Adam for so many steps, the rate falling to zero; `loss` draws a batch each time. In eval mode at the end."""
    optimizer = torch.optim.Adam(network.parameters(), lr, betas=(0.9, 0.99))
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, steps)
    for _ in range(steps):
        optimizer.zero_grad()
        loss().backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    return network.eval()


def digits(part: str) -> tuple[Tensor, Tensor]:
    """scikit-learn's digits as ink in [0, 1], (N, 1, 8, 8), and their labels (N,)."""
    data = build("data", "digits", {"image_size": 8, "standardise": False})
    data.load()
    return getattr(data, part)


# --- a video: which way does the digit move? (R07) ------------------------------------------------------------------


def moving_digits(images: Tensor, frames: int = 4) -> tuple[Tensor, Tensor]:
    """Each digit (N, 1, 8, 8) wanders round a ring of 16 columns, 2 per frame: videos (N, T, 8, 16), 1 for rightwards.

    It starts anywhere, so that one frame says nothing of the direction.
    """
    rightwards = torch.randint(2, (len(images),))
    start = torch.randint(16, (len(images),))
    ring = F.pad(images[:, 0], (0, 8))  # (N, 8, 16)
    shifts = start[:, None] + 2 * (2 * rightwards[:, None] - 1) * torch.arange(frames)  # (N, T)
    columns = (torch.arange(16) - shifts[:, :, None]) % 16  # (N, T, 16): which column comes there
    video = ring[:, None].expand(-1, frames, -1, -1).gather(3, columns[:, :, None].expand(-1, -1, 8, -1))
    return video, rightwards


# --- translation: dates in words into figures (R19) ------------------------------------------------------------------

MONTHS = "January February March April May June July August September October November December".split()
TENS = "oh ten twenty thirty forty fifty sixty seventy eighty ninety".split()
UNITS = "naught one two three four five six seven eight nine".split()
ENGLISH = [f"{day}." for day in range(1, 32)] + MONTHS + TENS + UNITS
FIGURES = list("0123456789-")
TOKENS = ["", "?", "<", ">", *ENGLISH, *FIGURES]  # the first four are the special ones of zoo/models/decoding.py


def dates() -> tuple[Tensor, Tensor]:
    """`3. March ninety seven` and `97-03-03`, as tokens: (N, 4), and (N, 10) from BEGIN to END, in a random order."""
    ymd = torch.cartesian_prod(torch.arange(100), torch.arange(1, 13), torch.arange(1, 32))
    year, month, day = ymd[torch.randperm(len(ymd))].unbind(1)  # (N,) each
    place = {name: TOKENS.index(first) for name, first in (("day", "1."), ("month", "January"), ("tens", "oh"))}
    units, zero, dash = TOKENS.index("naught"), TOKENS.index("0"), torch.full_like(day, TOKENS.index("-"))
    source = [place["day"] + day - 1, place["month"] + month - 1, place["tens"] + year // 10, units + year % 10]
    figures = [zero + number // size % 10 for number in (year, month, day) for size in (10, 1)]
    begin, end = torch.full_like(day, BEGIN), torch.full_like(day, END)
    target = [begin, *figures[:2], dash, *figures[2:4], dash, *figures[4:], end]
    return torch.stack(source, 1), torch.stack(target, 1)


def date_translator(source: Tensor, target: Tensor, steps: int = 700) -> nn.Module:
    """Cho's encoder-decoder, which hands over one vector, trained on these sentences."""
    network = zoo.create("seq2seq", vocab_size=len(TOKENS), attention="none", hidden_size=64, embedding_dim=32)

    def loss() -> Tensor:
        rows = torch.randint(len(source), (64,))
        return network.loss((source[rows], target[rows]))["loss"]

    return fit(network, loss, steps, 1e-2)


# --- a model of pixels (R20) -----------------------------------------------------------------------------------------


def strings_of_pixels(images: Tensor) -> Tensor:
    """Pictures (N, 1, 8, 8) as (N, 65) of 0 and 1, line by line; before the first pixel stands a 0."""
    return F.pad((images > 0.5).long().flatten(1), (1, 0))


def pixel_model(strings: Tensor, steps: int = 600) -> nn.Module:
    """An LSTM over the pixels: p(x) = product over i of p(x_i | x_1 ... x_(i-1))."""
    network = zoo.create("char_rnn", vocabulary="01", cell="lstm", hidden_size=64)

    def loss() -> Tensor:
        rows = strings[torch.randint(len(strings), (64,))]
        return network.loss((rows[:, :-1], rows[:, 1:]))["loss"]

    return fit(network, loss, steps, 1e-2)


def nats_per_picture(network: nn.Module, strings: Tensor) -> float:
    """-log p(x), the mean over pictures."""
    with torch.no_grad():
        return 64 * float(network.loss((strings[:, :-1], strings[:, 1:]))["loss"])


def drawn_pictures(network: nn.Module, count: int) -> Tensor:
    """Pictures (count, 8, 8) of 0 and 1, drawn from the model pixel by pixel."""
    start = torch.zeros(count, 1, dtype=torch.int64)
    return torch.stack(list(network.sample(start, 64)), 1).view(count, 8, 8)


# --- segmentation by recurrent sweeps (R21) --------------------------------------------------------------------------


def outlines(count: int, side: int = 14) -> tuple[Tensor, Tensor]:
    """Pictures (N, 1, h, w) of a rectangle's outline; of each pixel (N, h, w): 0 outside, 1 outline, 2 inside.

    What a blank pixel is cannot be told from its neighbours, if the outline is far.
    """
    low = (torch.rand(count, 2, 1) * (side - 6)).long()  # where it begins: rows, columns
    high = low + 6 + (torch.rand(count, 2, 1) * (side - 6 - low)).long()
    places = torch.arange(side)
    within, inner = (places >= low) & (places <= high), (places > low) & (places < high)  # (N, 2, side)
    box, inside = (part[:, 0, :, None] & part[:, 1, None, :] for part in (within, inner))  # (N, h, w)
    return (box & ~inside).float()[:, None], box.long() + inside.long()


class ReNet(nn.Module):
    """Two bidirectional sweeps in the place of a convolution (Visin et al. 2015): along the columns, along the rows.

    After both, each pixel has seen the whole picture. In: (B, 1, h, w); out: logits (B, K, h, w).
    """

    def __init__(self, hidden_size: int = 16, num_classes: int = 3):
        super().__init__()
        self.down = recurrent_layers("gru", 1, hidden_size, bidirectional=True)
        self.across = recurrent_layers("gru", 2 * hidden_size, hidden_size, bidirectional=True)
        self.output = nn.Linear(2 * hidden_size, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, K, h, w)."""
        b, _, h, w = x.shape
        columns = x[:, 0].transpose(1, 2).reshape(b * w, h, 1)
        seen = self.down(columns)[0].view(b, w, h, -1)  # (B, w, h, 2H)
        rows = seen.transpose(1, 2).reshape(b * h, w, -1)
        seen = self.across(rows)[0].view(b, h, w, -1)  # (B, h, w, 2H)
        return self.output(seen).permute(0, 3, 1, 2)


def segmenter(network: nn.Module, steps: int = 120) -> nn.Module:
    """The network, trained on outlines that are drawn anew for each step."""

    def loss() -> Tensor:
        images, labels = outlines(32)
        return F.cross_entropy(network(images), labels)

    return fit(network, loss, steps, 1e-2)


def mean_iou(predicted: Tensor, labels: Tensor, classes: int = 3) -> float:
    """Intersection over union of what was predicted and what is, the mean over the classes."""
    shares = []
    for k in range(classes):
        ours, theirs = predicted == k, labels == k
        shares.append(float((ours & theirs).sum() / (ours | theirs).sum()))
    return sum(shares) / classes


# --- tagging with a linear-chain CRF (I21) ---------------------------------------------------------------------------


def sticky_tags(count: int, length: int = 20, tags: int = 3) -> tuple[Tensor, Tensor]:
    """Symbols x and tags y, (N, T) each: a tag stays with p = 0.95; its symbol shows it with p = 0.6, else another."""
    y = torch.randint(tags, (count, 1))
    for _ in range(length - 1):
        other = (y[:, -1:] + torch.randint(1, tags, (count, 1))) % tags
        y = torch.cat([y, torch.where(torch.rand(count, 1) < 0.95, y[:, -1:], other)], 1)
    wrong = (y + torch.randint(1, tags, y.shape)) % tags
    return torch.where(torch.rand(y.shape) < 0.6, y, wrong), y


class Tagger(nn.Module):
    """A recurrent network over one-hot symbols, and at each step a softmax over the tags.

    In: (B, T); out: logits (B, T, K). options: as for `recurrent_layers`.
    """

    def __init__(self, cell: str, symbols: int, tags: int, hidden_size: int, **options: bool | str):
        super().__init__()
        self.embedding = nn.Embedding.from_pretrained(torch.eye(symbols))
        self.layers = recurrent_layers(cell, symbols, hidden_size, **options)
        width = hidden_size * (2 if options.get("bidirectional") else 1)
        self.output = nn.Linear(width, tags)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, T, K)."""
        return self.output(self.layers(self.embedding(x))[0])

    def gates(self, x: Tensor) -> dict[str, Tensor]:
        """h, c and the gates of an LSTM, (B, T, H) each."""
        with torch.no_grad():
            return readable(self.layers).trace(self.embedding(x))[2][0]


def taggers(x: Tensor, y: Tensor, steps: int = 150) -> dict[str, Callable[[Tensor], Tensor]]:
    """Three trained taggers, each a function from symbols (B, T) to tags (B, T)."""
    regression, crf = LinearChainCRF(3, 3, chained=False), LinearChainCRF(3, 3)
    rnn = Tagger("gru", 3, 3, 16, bidirectional=True)

    def batch() -> tuple[Tensor, Tensor]:
        rows = torch.randint(len(x), (64,))
        return x[rows], y[rows]

    def rnn_loss() -> Tensor:
        symbols, tags = batch()
        return F.cross_entropy(rnn(symbols).flatten(0, 1), tags.flatten())

    for model in (regression, crf):
        fit(model, lambda model=model: model.loss(*batch()), steps, 5e-2)
    fit(rnn, rnn_loss, steps, 2e-2)
    return {"logistic regression": regression.best, "CRF": crf.best, "RNN": lambda x: rnn(x).argmax(2)}


# --- remember and forget (I38) ---------------------------------------------------------------------------------------

WORDS = ("India", "France", "and", "so", "END")  # two contexts, two words that change nothing, and the end of one
FORGET = WORDS.index("END")


def contexts(count: int, length: int = 50) -> tuple[Tensor, Tensor]:
    """Words (N, T), and at each step which context holds: 0 none, 1 India, 2 France."""
    words = torch.multinomial(torch.tensor([0.04, 0.04, 0.43, 0.43, 0.06]), count * length, True).view(count, length)
    held, now = [], torch.zeros(count, dtype=torch.int64)
    for word in words.unbind(1):
        now = torch.where(word < 2, word + 1, torch.where(word == FORGET, 0, now))
        held.append(now)
    return words, torch.stack(held, 1)


def context_lstm(steps: int = 500) -> Tagger:
    """An LSTM of 3 cells that says at each step which context holds; its sentences are drawn anew for each step."""
    network = Tagger("lstm", len(WORDS), 3, hidden_size=3)

    def loss() -> Tensor:
        words, held = contexts(64)
        return F.cross_entropy(network(words).flatten(0, 1), held.flatten())

    return fit(network, loss, steps, 5e-2)


# --- which part of a picture decides? (I16) --------------------------------------------------------------------------


def on_a_stage(images: Tensor) -> tuple[Tensor, Tensor]:
    """Digits (N, 1, 8, 8) somewhere on a stage (N, 1, 16, 16), and where each stands: (N, 16, 16) bool."""
    n, places = len(images), torch.arange(16)
    top, left = torch.randint(9, (2, n, 1))
    rows, columns = (places - top) % 16, (places - left) % 16  # (N, 16): which row of the padded digit comes there
    stage = F.pad(images[:, 0], (0, 8, 0, 8))[torch.arange(n)[:, None, None], rows[:, :, None], columns[:, None, :]]
    return stage[:, None], (rows < 8)[:, :, None] & (columns < 8)[:, None, :]


class MapNet(nn.Module):
    """Convolutions, the mean of each map, a linear layer: logit_k = sum_c w_kc mean(map_c) + b_k.

    So the map of class k, sum_c w_kc map_c, says which places speak for it (Zhou et al., CVPR 2016).
    """

    def __init__(self):
        super().__init__()
        layers, channels = [], (1, 16, 32, 32)
        for i in range(3):
            layers += [nn.Conv2d(channels[i], channels[i + 1], 3, padding=1, bias=False)]
            layers += [nn.BatchNorm2d(channels[i + 1]), nn.ReLU()]
        self.features = nn.Sequential(*layers[:3], nn.MaxPool2d(2), *layers[3:])
        self.output = nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, K) of pictures (B, 1, h, w)."""
        return self.output(self.features(x).mean((2, 3)))

    def class_maps(self, x: Tensor) -> Tensor:
        """What each place says for each class, (B, K, h / 2, w / 2)."""
        with torch.no_grad():
            return torch.einsum("bchw,kc->bkhw", self.features(x), self.output.weight)


def map_net(images: Tensor, labels: Tensor, steps: int = 300) -> MapNet:
    """The network, trained on digits that stand anywhere."""
    network = MapNet()

    def loss() -> Tensor:
        rows = torch.randint(len(images), (64,))
        return F.cross_entropy(network(on_a_stage(images[rows])[0]), labels[rows])

    return fit(network, loss, steps, 2e-2)
