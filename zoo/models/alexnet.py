"""AlexNet: the convolutional network that won ImageNet in 2012 and began the decade of deep vision.

Lecture: Prague C43-C45 (ILSVRC 2012, the structure, 60 million parameters); Bombay I18-I20 (its sizes).
Source:  Krizhevsky, Sutskever & Hinton, ImageNet classification with deep convolutional neural networks, NIPS 2012
         (section 3: structure, 4: augmentation and dropout, 5: training); Krizhevsky, One weird trick for
         parallelizing convolutional neural networks, arXiv 1404.5997, 2014, for the form that torchvision distributes.
Input:   x (B, 3, 224, 224) float32, standardised pixels; (B, V, 3, 224, 224): V views of each picture, such as the
         paper's ten crops, whose probabilities are averaged. variant=cifar: 32 instead of 224.
Output:  logits (B, num_classes) float32; of several views, the logarithms of the mean probabilities.
Result:  configs/experiment/imagenet_alexnet_paper.yaml, imagenet_alexnet_torchvision.yaml, cifar10_alexnet.yaml.
Differs: by variant, as the table in this file says. variant="cifar" is ours, for pictures of 32x32: narrower layers, no
         response normalisation, and it starts as He et al. 2015 do.

                    paper               single         torchvision    cifar
    maps            96 256 384 384 256  the same       64 192 384     64 128 256 192 192
                                                       256 256
    groups          2 in conv2, 4, 5    none           none           none
    normalisation   response (LRN)      response       none           none
    hidden neurons  4096 4096           4096 4096      4096 4096      512 512
    before them     6x6 maps            6x6 maps       averaged to    3x3 maps
                                                       6x6, any size
    dropout         after both hidden layers           before both    after both
    first weights   deviation 0.01; biases 1 in        PyTorch's      He's
                    conv2, 4, 5, fc6, 7, else 0
    parameters      60,965,224          62,378,344     61,100,840     (10 classes) 2,298,378
Groups are the paper's two GPUs: each computes half of the maps and sees the other's in conv3 and the fully connected
layers only. The paper says 224x224 pictures, from which 11x11 filters at stride 4 make 55x55 maps only if two rows of
zeros are put around them (or with 227 pixels); all variants but cifar do that. The paper's response normalisation has
alpha = 1e-4 per neighbour, PyTorch divides its alpha by the five neighbours. torchvision's names are kept, so the
weights that it distributes load unchanged; it has 256 maps in conv4, where the one weird trick's text has 384.

Shapes: B batch, V views, K classes.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.models.classifier import Classifier
from zoo.registry import register

VARIANTS = ("paper", "single", "torchvision", "cifar")


@register("alexnet")
class AlexNet(Classifier):
    """Five convolutions, three of them pooled, then three fully connected layers.

    num_classes: K >= 2.
    variant: paper | single | torchvision | cifar.
    dropout: probability in [0, 1) of dropping a feature at each of the two hidden fully connected layers.
    label_smoothing: in [0, 1), the share of the target's probability that is spread evenly over all classes while
        training; in eval mode the loss is the plain cross-entropy.
    """

    def __init__(
        self, num_classes: int, variant: str = "torchvision", dropout: float = 0.5, label_smoothing: float = 0.0
    ):
        super().__init__()
        if num_classes < 2:
            raise ValueError(f"num_classes must be >= 2, got {num_classes}")
        if variant not in VARIANTS:
            raise ValueError(f"variant must be one of {', '.join(VARIANTS)}, got {variant!r}")
        for name, value in (("dropout", dropout), ("label_smoothing", label_smoothing)):
            if not 0 <= value < 1:
                raise ValueError(f"{name} must lie in [0, 1), got {value}")
        self.variant, self.label_smoothing = variant, label_smoothing
        self.image_size = 32 if variant == "cifar" else 224
        if variant == "torchvision":
            self.features = torchvision_features()
            self.avgpool = nn.AdaptiveAvgPool2d(6)
            self.classifier = nn.Sequential(
                nn.Dropout(dropout), nn.Linear(256 * 6 * 6, 4096), nn.ReLU(),
                nn.Dropout(dropout), nn.Linear(4096, 4096), nn.ReLU(),
                nn.Linear(4096, num_classes),
            )  # fmt: skip
            return
        self.features = cifar_features() if variant == "cifar" else paper_features(2 if variant == "paper" else 1)
        inputs, hidden = (192 * 3 * 3, 512) if variant == "cifar" else (256 * 6 * 6, 4096)
        self.classifier = nn.Sequential(
            nn.Linear(inputs, hidden), nn.ReLU(), nn.Dropout(dropout),
            nn.Linear(hidden, hidden), nn.ReLU(), nn.Dropout(dropout),
            nn.Linear(hidden, num_classes),
        )  # fmt: skip
        (init_he if variant == "cifar" else init_paper)(
            [layer for layer in self.modules() if isinstance(layer, (nn.Conv2d, nn.Linear))]
        )

    @property
    def example_input(self) -> Tensor:
        """Two blank pictures."""
        return torch.zeros(2, 3, self.image_size, self.image_size)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, K) of pictures (B, 3, s, s), or of several views (B, V, 3, s, s) of each.

        Raises ValueError for another size; torchvision's variant takes any of 63 and more.
        """
        if x.dim() == 5:
            log_p = self(x.flatten(0, 1)).log_softmax(1).view(*x.shape[:2], -1)  # (B, V, K)
            return log_p.logsumexp(1) - math.log(x.shape[1])  # the logarithm of the mean
        size = self.image_size
        averaged = self.variant == "torchvision"
        if x.shape[1:] != (3, size, size) and not (averaged and x.shape[1] == 3 and min(x.shape[2:]) >= 63):
            sizes = f"(3, {size}, {size}) pictures" + (" or any from (3, 63, 63) on" if averaged else "")
            raise ValueError(f"AlexNet takes {sizes}, got {tuple(x.shape[1:])}")
        x = self.features(x)  # (B, 256, 6, 6); cifar: (B, 192, 3, 3)
        if averaged:
            x = self.avgpool(x)
        return self.classifier(x.flatten(1))  # (B, 9216) -> (B, 4096) -> (B, 4096) -> (B, K)

    def loss(self, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        """Cross-entropy in nats per picture, accuracy, and of more than ten classes top-5 accuracy, in [0, 1].

        Targets (B,) are class numbers, int64. An answer is right among the top 5 if its class has one of the five
        highest logits, ties broken as `torch.topk` does (C42).
        """
        x, targets = batch
        logits = self(x)
        smoothing = self.label_smoothing if self.training else 0.0
        metrics = {
            "loss": F.cross_entropy(logits, targets, label_smoothing=smoothing),
            "acc": (logits.argmax(1) == targets).float().mean(),
        }
        if logits.shape[1] > 10:
            metrics["top5"] = (logits.topk(5).indices == targets[:, None]).any(1).float().mean()
        return metrics

    def summary(self) -> str:
        """The sizes of all maps with the arithmetic that gives them (I18-I20), and the parameters of each layer."""
        size, channels, number = self.image_size, 3, 0
        lines = [f"{'layer':8} {'output':>12}  {'parameters':>10}  size", f"{'input':8} {f'3x{size}x{size}':>12}"]
        for layer in self.features:
            if not isinstance(layer, (nn.Conv2d, nn.MaxPool2d)):
                continue
            kernel, stride, padding = (side(getattr(layer, key)) for key in ("kernel_size", "stride", "padding"))
            exact = (size + 2 * padding - kernel) / stride + 1
            sum_ = f"({size} + 2*{padding} - {kernel}) / {stride} + 1 = {exact:g}"
            size, convolves = int(exact), isinstance(layer, nn.Conv2d)
            number, channels = number + convolves, layer.out_channels if convolves else channels
            name = f"conv{number}" if convolves else f"pool{number}"
            count = f"{sum(p.numel() for p in layer.parameters()):,}" if convolves else ""
            rounded = f" -> {size}" if exact != size else ""
            lines.append(f"{name:8} {f'{channels}x{size}x{size}':>12}  {count:>10}  {sum_}{rounded}")
        for layer in self.classifier:
            if isinstance(layer, nn.Linear):
                number += 1
                inputs, outputs = layer.in_features, layer.out_features
                count = f"{inputs * outputs + outputs:,}"
                lines.append(f"{f'fc{number}':8} {outputs:>12,}  {count:>10}  {inputs:,} * {outputs:,} + {outputs:,}")
        lines.append(f"{'together':8} {'':12}  {sum(p.numel() for p in self.parameters()):>10,}")
        return "\n".join(lines) + (NOT_57 if self.variant != "cifar" else "")


NOT_57 = """
Why 55 and not 57: (224 + 11) / 4 - 1 = 57.75 adds the filter where it has to be taken away. Without padding 224 pixels
give 54, with two zeros on each side, or with 227 pixels, 55. And 3x3 pooling would take 57 to 55 at stride 1, but the
paper pools at stride 2, from 55 to 27."""


def init_paper(layers: list[nn.Module]) -> None:
    """Section 5: draws of deviation 0.01; biases of 1 where that gives the ReLUs positive inputs to begin with."""
    for number, layer in enumerate(layers, 1):
        nn.init.normal_(layer.weight, std=0.01)
        nn.init.constant_(layer.bias, 1.0 if number in (2, 4, 5, 6, 7) else 0.0)


def init_he(layers: list[nn.Module]) -> None:
    """He et al., Delving deep into rectifiers, 2015; the output starts near zero, at chance."""
    for layer in layers:
        nn.init.normal_(layer.weight, std=(2 / layer.weight[0].numel()) ** 0.5)
        nn.init.zeros_(layer.bias)
    nn.init.normal_(layers[-1].weight, std=0.001)


def side(value: int | tuple[int, int]) -> int:
    """PyTorch keeps sizes of square things as a number or as a pair."""
    return value if isinstance(value, int) else value[0]


def paper_features(groups: int) -> nn.Sequential:
    """conv1 to conv5 of 2012: (B, 3, 224, 224) -> (B, 256, 6, 6). groups: 2, as trained on two GPUs, or 1."""
    return nn.Sequential(
        nn.Conv2d(3, 96, kernel_size=11, stride=4, padding=2), nn.ReLU(),  # (B, 96, 55, 55)
        response_norm(), nn.MaxPool2d(3, stride=2),  # (B, 96, 27, 27); windows overlap
        nn.Conv2d(96, 256, kernel_size=5, padding=2, groups=groups), nn.ReLU(),
        response_norm(), nn.MaxPool2d(3, stride=2),  # (B, 256, 13, 13)
        nn.Conv2d(256, 384, kernel_size=3, padding=1), nn.ReLU(),
        nn.Conv2d(384, 384, kernel_size=3, padding=1, groups=groups), nn.ReLU(),
        nn.Conv2d(384, 256, kernel_size=3, padding=1, groups=groups), nn.ReLU(),
        nn.MaxPool2d(3, stride=2),  # (B, 256, 6, 6)
    )  # fmt: skip


def response_norm() -> nn.LocalResponseNorm:
    """Section 3.3: a / (2 + 1e-4 * sum of a^2 over 5 neighbouring maps)^0.75; PyTorch takes alpha times 5."""
    return nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0)


def torchvision_features() -> nn.Sequential:
    """After the single tower of 2014: (B, 3, 224, 224) -> (B, 256, 6, 6)."""
    return nn.Sequential(
        nn.Conv2d(3, 64, kernel_size=11, stride=4, padding=2), nn.ReLU(), nn.MaxPool2d(3, stride=2),  # (B, 64, 27, 27)
        nn.Conv2d(64, 192, kernel_size=5, padding=2), nn.ReLU(), nn.MaxPool2d(3, stride=2),  # (B, 192, 13, 13)
        nn.Conv2d(192, 384, kernel_size=3, padding=1), nn.ReLU(),
        nn.Conv2d(384, 256, kernel_size=3, padding=1), nn.ReLU(),
        nn.Conv2d(256, 256, kernel_size=3, padding=1), nn.ReLU(), nn.MaxPool2d(3, stride=2),  # (B, 256, 6, 6)
    )  # fmt: skip


def cifar_features() -> nn.Sequential:
    """For pictures of 32x32, ours: (B, 3, 32, 32) -> (B, 192, 3, 3)."""
    return nn.Sequential(
        nn.Conv2d(3, 64, kernel_size=3, padding=1), nn.ReLU(), nn.MaxPool2d(3, stride=2),  # (B, 64, 15, 15)
        nn.Conv2d(64, 128, kernel_size=3, padding=1), nn.ReLU(), nn.MaxPool2d(3, stride=2),  # (B, 128, 7, 7)
        nn.Conv2d(128, 256, kernel_size=3, padding=1), nn.ReLU(),
        nn.Conv2d(256, 192, kernel_size=3, padding=1), nn.ReLU(),
        nn.Conv2d(192, 192, kernel_size=3, padding=1), nn.ReLU(), nn.MaxPool2d(3, stride=2),  # (B, 192, 3, 3)
    )  # fmt: skip
