"""The networks that won ImageNet after AlexNet, built from short tables so that they can be counted (Prague C46-C53).

zfnet      Zeiler & Fergus, Visualizing and understanding convolutional networks, ECCV 2014, figure 3
vgg        Simonyan & Zisserman, Very deep convolutional networks for large-scale image recognition, ICLR 2015, table 1
googlenet  Szegedy et al., Going deeper with convolutions, CVPR 2015, table 1
resnet     He et al., Deep residual learning for image recognition, CVPR 2016, table 1

They are for looking at, on the meta device, where nothing is held and nothing computed: `counted(vgg, 16)`. Without
dropout and response normalisation, which have no parameters.

Shapes: B batch, C channels.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

PICTURE = (1, 3, 224, 224)
CLASSES = 1000
WEIGHTED, POOLING = ("Convolution", "Addmm"), ("MaxPool", "AvgPool")  # how autograd's names for such steps begin


def conv(inputs: int, outputs: int, kernel: int, stride: int = 1, padding: int | None = None) -> nn.Sequential:
    """A convolution and ReLU; the padding keeps the size where nothing else is said."""
    padding = kernel // 2 if padding is None else padding
    return nn.Sequential(nn.Conv2d(inputs, outputs, kernel, stride, padding), nn.ReLU())


def classifier(*sizes: int) -> nn.Sequential:
    """Fully connected layers with ReLU between them."""
    layers: list[nn.Module] = [nn.Flatten()]
    for inputs, outputs in zip(sizes, sizes[1:], strict=False):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def zfnet() -> nn.Sequential:
    """AlexNet in one piece, whose first filters are 7x7 at stride 2, not 11x11 at stride 4."""
    return nn.Sequential(
        conv(3, 96, 7, 2, 1), nn.MaxPool2d(3, 2, 1),  # (B, 96, 110, 110) -> (B, 96, 55, 55)
        conv(96, 256, 5, 2, 0), nn.MaxPool2d(3, 2, 1),  # (B, 256, 26, 26) -> (B, 256, 13, 13)
        conv(256, 384, 3), conv(384, 384, 3), conv(384, 256, 3), nn.MaxPool2d(3, 2),  # (B, 256, 6, 6)
        classifier(256 * 6 * 6, 4096, 4096, CLASSES),
    )  # fmt: skip


def vgg(layers: int) -> nn.Sequential:
    """3x3 convolutions only, 13 or 16 of them; after each of five groups the side is halved. layers: 16 or 19."""
    more = layers == 19
    parts, channels = [], 3
    for maps, convolutions in ((64, 2), (128, 2), (256, 3 + more), (512, 3 + more), (512, 3 + more)):
        for _ in range(convolutions):
            parts.append(conv(channels, maps, 3))
            channels = maps
        parts.append(nn.MaxPool2d(2))
    return nn.Sequential(*parts, classifier(512 * 7 * 7, 4096, 4096, CLASSES))


class Inception(nn.Module):
    """Convolutions of three sizes and a pooling side by side, their maps put together.

    sizes: maps of 1x1; of the 1x1 before the 3x3 and of the 3x3; of the 1x1 before the 5x5 and of the 5x5; of the 1x1
        after the pooling.
    """

    def __init__(self, inputs: int, sizes: tuple[int, ...]):
        super().__init__()
        one, before_three, three, before_five, five, pooled = sizes
        self.branches = nn.ModuleList([
            conv(inputs, one, 1),
            nn.Sequential(conv(inputs, before_three, 1), conv(before_three, three, 3)),
            nn.Sequential(conv(inputs, before_five, 1), conv(before_five, five, 5)),
            nn.Sequential(nn.MaxPool2d(3, 1, 1), conv(inputs, pooled, 1)),
        ])  # fmt: skip
        self.outputs = one + three + five + pooled

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, outputs, h, w)."""
        return torch.cat([branch(x) for branch in self.branches], 1)


INCEPTIONS = {
    "3a": (64, 96, 128, 16, 32, 32), "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64), "4b": (160, 112, 224, 24, 64, 64), "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64), "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128), "5b": (384, 192, 384, 48, 128, 128),
}  # fmt: skip


class GoogLeNet(nn.Module):
    """Three convolutions, nine inception modules, one linear layer. heads: with the two that only help in training."""

    def __init__(self, heads: bool = False):
        super().__init__()
        self.stem = nn.Sequential(
            conv(3, 64, 7, 2), nn.MaxPool2d(3, 2, 1), conv(64, 64, 1), conv(64, 192, 3), nn.MaxPool2d(3, 2, 1),
        )  # fmt: skip
        self.inceptions, channels = nn.ModuleDict(), 192
        for name, sizes in INCEPTIONS.items():
            self.inceptions[name] = Inception(channels, sizes)
            channels = self.inceptions[name].outputs
        self.pool, self.output = nn.MaxPool2d(3, 2, 1), nn.Sequential(nn.AvgPool2d(7), classifier(channels, CLASSES))
        self.heads = nn.ModuleDict()
        for name in ("4a", "4d") if heads else ():
            sizes = (conv(self.inceptions[name].outputs, 128, 1), classifier(128 * 4 * 4, 1024, CLASSES))
            self.heads[name] = nn.Sequential(nn.AvgPool2d(5, 3), *sizes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, 1000) of pictures (B, 3, 224, 224); the heads are for training only."""
        x = self.stem(x)  # (B, 192, 28, 28)
        for name, inception in self.inceptions.items():
            x = inception(self.pool(x) if name in ("4a", "5a") else x)
        return self.output(x)


class Bottleneck(nn.Module):
    """y = relu(x + F(x)), F being 1x1, 3x3 and 1x1 convolutions, each with batch normalisation."""

    def __init__(self, inputs: int, width: int, stride: int = 1):
        super().__init__()
        outputs = 4 * width
        self.residual = nn.Sequential(
            nn.Conv2d(inputs, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
            nn.Conv2d(width, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
            nn.Conv2d(width, outputs, 1, bias=False), nn.BatchNorm2d(outputs),
        )  # fmt: skip
        fits = inputs == outputs and stride == 1
        change = (nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
        self.shortcut = nn.Identity() if fits else nn.Sequential(*change)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, h, w) -> (B, 4 width, h / stride, w / stride)."""
        return torch.relu(self.shortcut(x) + self.residual(x))


def resnet(blocks: tuple[int, ...] = (3, 8, 36, 3)) -> nn.Sequential:
    """ResNet-152: a convolution, blocks of three in four groups, each of half the side, and one linear layer."""
    stem = (nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1))
    parts, channels = [*stem], 64
    for group, count in enumerate(blocks):
        for block in range(count):
            width = 64 * 2**group
            parts.append(Bottleneck(channels, width, stride=2 if group and not block else 1))
            channels = 4 * width
    return nn.Sequential(*parts, nn.AvgPool2d(7), classifier(channels, CLASSES))


# --- counting -----------------------------------------------------------------------------------------------------


def counted(build: Callable[..., nn.Module], *arguments: int | bool) -> tuple[int, int, int]:
    """Of a network: parameters; layers with weights on the longest way through it; the same with poolings."""
    with torch.device("meta"):
        network = build(*arguments).eval()
        logits = network(torch.empty(PICTURE))
    assert logits.shape == (1, CLASSES)
    deep = depth(logits, WEIGHTED), depth(logits, WEIGHTED + POOLING)
    return sum(p.numel() for p in network.parameters()), *deep


def depth(output: Tensor, kinds: tuple[str, ...]) -> int:
    """Steps of these kinds on the longest way through the graph that autograd has kept of a computation."""
    known: dict[object, int] = {}

    def longest(step: object) -> int:
        if step not in known:
            before = (longest(earlier) for earlier, _ in step.next_functions if earlier is not None)
            known[step] = max(before, default=0) + step.name().startswith(kinds)
        return known[step]

    return longest(output.grad_fn)
