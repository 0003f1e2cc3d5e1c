"""LeNet-5: the convolutional network that read the cheques.

Lecture: Prague C29-C38 (convolution, shared weights, pooling); Bombay I01-I15.
Source:  LeCun, Bottou, Bengio & Haffner, Gradient-based learning applied to document recognition, Proc. IEEE 1998,
         sections II.B and II.C, figure 2, table I, appendix A (initial weights, squashing function).
Input:   x (B, in_channels, 28, 28) float32, standardised pixels.
Output:  logits (B, num_classes) float32; of the paper's variant, minus the squared distance to each class's code.
Result:  configs/experiment/digits_lenet.yaml, mnist_lenet.yaml (paper: 0.9905 on MNIST, no distortions).
Differs: variant="modern", the default, is the copy that everybody draws: all maps of C3 see all maps of S2, maximum
         instead of trained subsampling, ReLU, softmax; 61,706 parameters. variant="paper" is the network of 1998 with
         its 60,000, except that pictures are standardised (paper: background -0.1, ink 1.175) and padded with zeros,
         that subsampling starts as the mean, that the 7x12 code pictures are drawn afresh, and that plain optimizers
         train it (paper: stochastic diagonal Levenberg-Marquardt).

Shapes: B batch, C channels, K classes.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.models.activations import activation_named
from zoo.models.classifier import Classifier
from zoo.registry import register

VARIANTS = ("modern", "paper")


@register("lenet")
class LeNet(Classifier):
    """Convolution and pooling twice, then three fully connected layers.

    num_classes: K >= 2 (paper: 10, one code picture per digit).
    in_channels: C of the input, 1 for grey.
    variant: modern | paper.
    activation: step | linear | sigmoid | tanh | relu; the paper's variant has its own, 1.7159 tanh(2 z / 3).
    dropout: probability in [0, 1) of dropping a feature before each hidden fully connected layer.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int = 1,
        variant: str = "modern",
        activation: str = "relu",
        dropout: float = 0.0,
    ):
        super().__init__()
        if num_classes < 2:
            raise ValueError(f"num_classes must be >= 2, got {num_classes}")
        if in_channels < 1:
            raise ValueError(f"in_channels must be >= 1, got {in_channels}")
        if variant not in VARIANTS:
            raise ValueError(f"variant must be one of {', '.join(VARIANTS)}, got {variant!r}")
        if variant == "paper" and num_classes != 10:
            raise ValueError(f"variant=paper has codes for 10 digits, got num_classes={num_classes}")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout must lie in [0, 1), got {dropout}")
        self.in_channels = in_channels
        self.variant = variant
        self.dropout = dropout
        self.conv1 = nn.Conv2d(in_channels, 6, kernel_size=5, padding=2)  # the paper's 32x32 input: 28 + 2 * 2
        self.fc1 = nn.Linear(16 * 5 * 5, 120)  # C5; a convolution in the paper, whose map is 1x1
        self.fc2 = nn.Linear(120, 84)  # F6
        if variant == "modern":
            self.activation = activation_named(activation)
            self.pool1 = self.pool2 = nn.MaxPool2d(2)
            self.conv2: nn.Module = nn.Conv2d(6, 16, kernel_size=5)
            self.output: nn.Module = nn.Linear(84, num_classes)
        else:
            self.activation = scaled_tanh
            self.pool1, self.pool2 = Subsampling(6), Subsampling(16)
            self.conv2 = PartialConv()
            self.output = EuclideanRBF()
            for layer in (self.conv1, self.fc1, self.fc2):  # appendix A: uniform in +-2.4 / fan-in
                fan_in = layer.weight[0].numel()
                nn.init.uniform_(layer.weight, -2.4 / fan_in, 2.4 / fan_in)
                nn.init.zeros_(layer.bias)

    @property
    def example_input(self) -> Tensor:
        """Two blank pictures."""
        return torch.zeros(2, self.in_channels, 28, 28)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, K) of pictures (B, C, 28, 28). Raises ValueError for any other size."""
        if x.shape[1:] != (self.in_channels, 28, 28):
            raise ValueError(f"LeNet takes ({self.in_channels}, 28, 28) pictures, got {tuple(x.shape[1:])}")
        g = self.activation
        x = g(self.conv1(x))  # C1 (B, 6, 28, 28)
        x = self.pool1(x)  # S2 (B, 6, 14, 14)
        x = g(self.conv2(x))  # C3 (B, 16, 10, 10)
        x = self.pool2(x).flatten(1)  # S4 (B, 400)
        if self.dropout:
            x = F.dropout(x, self.dropout, self.training)
        x = g(self.fc1(x))  # C5 (B, 120)
        if self.dropout:
            x = F.dropout(x, self.dropout, self.training)
        x = g(self.fc2(x))  # F6 (B, 84)
        return self.output(x)  # (B, K)

    def loss(self, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        """Nats per picture, and accuracy in [0, 1]; the targets (B,) are class numbers, int64.

        modern: cross-entropy of the softmax. paper: equation 9, the distance to the right code plus
        log(exp(-j) + sum of exp(-distance)): a cross-entropy with a rubbish class that keeps wrong codes from being
        pushed away for ever. It starts near 84, the distance of an F6 at rest to a code of +-1.
        """
        x, targets = batch
        logits = self(x)
        if self.variant == "modern":
            loss = F.cross_entropy(logits, targets)
        else:
            rubbish = torch.full_like(logits[:, :1], -RUBBISH_DISTANCE)
            total = torch.cat([logits, rubbish], 1).logsumexp(1)  # (B,)
            loss = (total - logits.gather(1, targets[:, None])[:, 0]).mean()
        correct = logits.argmax(1) == targets
        return {"loss": loss, "acc": correct.float().mean()}


# --- parts of the network of 1998 ---------------------------------------------------------------------------------

RUBBISH_DISTANCE = 0.1  # j of equation 9, a positive constant that the paper leaves open


def scaled_tanh(z: Tensor) -> Tensor:
    """f(z) = A tanh(S z) with A = 1.7159, S = 2/3, so that f(1) = 1 and f(-1) = -1 (appendix A)."""
    return 1.7159 * torch.tanh(2 / 3 * z)


class Subsampling(nn.Module):
    """S2, S4: the sum of 2x2 inputs times a trained coefficient plus a trained bias, squashed; two numbers a map."""

    def __init__(self, channels: int):
        super().__init__()
        self.coefficient = nn.Parameter(torch.full((channels, 1, 1), 0.25))
        self.bias = nn.Parameter(torch.zeros(channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H/2, W/2)."""
        return scaled_tanh(self.coefficient * (4 * F.avg_pool2d(x, 2)) + self.bias)


# Table I: which maps of S2 each of the 16 maps of C3 sees. It breaks the symmetry and saves a third of the weights.
C3_TABLE = (
    [[0, 1, 2], [1, 2, 3], [2, 3, 4], [3, 4, 5], [0, 4, 5], [0, 1, 5]]
    + [[0, 1, 2, 3], [1, 2, 3, 4], [2, 3, 4, 5], [0, 3, 4, 5], [0, 1, 4, 5], [0, 1, 2, 5]]
    + [[0, 1, 3, 4], [1, 2, 4, 5], [0, 2, 3, 5]]
    + [[0, 1, 2, 3, 4, 5]]
)  # fmt: skip


class PartialConv(nn.Module):
    """C3: a 5x5 convolution over the 60 pairs of table I: 60 * 25 + 16 = 1,516 parameters instead of 2,416."""

    pair_out: Tensor
    pair_in: Tensor

    def __init__(self) -> None:
        super().__init__()
        pairs = torch.tensor([(o, i) for o, inputs in enumerate(C3_TABLE) for i in inputs])
        self.register_buffer("pair_out", pairs[:, 0], persistent=False)
        self.register_buffer("pair_in", pairs[:, 1], persistent=False)
        fan_in = torch.tensor([25.0 * len(C3_TABLE[o]) for o in pairs[:, 0].tolist()])
        bound = (2.4 / fan_in)[:, None, None]  # (60, 1, 1)
        self.weight = nn.Parameter((2 * torch.rand(len(pairs), 5, 5) - 1) * bound)
        self.bias = nn.Parameter(torch.zeros(16))

    def forward(self, x: Tensor) -> Tensor:
        """(B, 6, 14, 14) -> (B, 16, 10, 10); pairs that are not connected have weight zero."""
        full = torch.zeros(16, 6, 5, 5, dtype=x.dtype, device=x.device)
        full = full.index_put((self.pair_out, self.pair_in), self.weight.to(x.dtype))
        return F.conv2d(x, full, self.bias)


# Figure 3's idea, drawn afresh: one 7x12 picture a digit, side by side; ink is +1, paper -1.
CODES = """
.#####. ...#... .#####. .#####. ....##. ####### ..####. ####### .#####. .#####.
##...## ..##... ##...## ##...## ...###. ##..... .##.... .....## ##...## ##...##
#.....# .###... #.....# ......# ..#.##. ##..... ##..... .....#. #.....# #.....#
#.....# ...#... ......# ......# ..#.##. ##..... #...... ....##. #.....# #.....#
#.....# ...#... .....## .....## .#..##. ######. #.###.. ....#.. ##...## #.....#
#.....# ...#... ....##. ..####. .#..##. .....## ##...## ...##.. .#####. ##...##
#.....# ...#... ...##.. .....## #...##. ......# #.....# ...#... ##...## .######
#.....# ...#... ..##... ......# ####### ......# #.....# ..##... #.....# ......#
#.....# ...#... .##.... ......# ....##. ......# #.....# ..#.... #.....# ......#
#.....# ...#... ##..... #.....# ....##. #.....# #.....# .##.... #.....# .....##
##...## ...#... #...... ##...## ....##. ##...## ##...## .#..... ##...## ....##.
.#####. .#####. ####### .#####. ....##. .#####. .#####. ##..... .#####. .####..
"""


class EuclideanRBF(nn.Module):
    """The output layer: squared distance of F6 to each class's fixed code (equation 7); nothing is trained."""

    codes: Tensor

    def __init__(self) -> None:
        super().__init__()
        rows = [line.split() for line in CODES.split("\n") if line]
        ink = [[c == "#" for row in rows for c in row[digit]] for digit in range(10)]
        self.register_buffer("codes", 2.0 * torch.tensor(ink, dtype=torch.float32) - 1, persistent=False)  # (K, 84)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 84) -> minus the squared distances (B, K)."""
        return -(x[:, None, :] - self.codes).square().sum(2)
