"""An MLP and a convolutional network side by side on the same pictures: what does sharing weights save?

Lecture: Cyprus U28 (cat or not: 256x256x3 pixels into 100 hidden neurons); Prague C25-C31; near and far pixels: C27.
Source:  ours; the MLP is the slide's, 100 hidden neurons, the convolutional network a LeNet with three layers.
Input:   x (B, C, h, w) float32, standardised pixels.
Output:  logits (B, num_classes) float32, of the convolutional network.
Result:  configs/experiment/cifar10_cat_or_not.yaml, break_permuted_pixels.yaml.

Shapes: B batch, C channels, h height, w width, K classes.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.models.mlp import MLP
from zoo.registry import register

SMALLEST = 8  # pixels of a side, which three poolings halve


@register("mlp_and_convnet")
class MLPAndConvNet(nn.Module):
    """Two networks that are trained on the same batches; neither knows of the other.

    num_classes: K >= 2.
    input_shape: [C, h, w] of a picture, with h and w >= 8.
    hidden_size: neurons of the MLP's hidden layer.
    dropout: probability in [0, 1) of dropping a feature before the output of either.
    """

    def __init__(self, num_classes: int, input_shape: list[int], hidden_size: int = 100, dropout: float = 0.0):
        super().__init__()
        if num_classes < 2:
            raise ValueError(f"num_classes must be >= 2, got {num_classes}")
        if len(input_shape) != 3 or input_shape[0] < 1 or min(input_shape[1:]) < SMALLEST:
            raise ValueError(
                f"input_shape must be channels, height and width, with sides >= {SMALLEST}, got {list(input_shape)}"
            )
        self.input_shape = channels, height, width = tuple(input_shape)
        self.mlp = MLP(channels * height * width, num_classes, [hidden_size], activation="relu", dropout=dropout)
        self.convnet = nn.Sequential(
            nn.Conv2d(channels, 16, kernel_size=5, padding=2), nn.ReLU(), nn.MaxPool2d(2),  # (B, 16, h/2, w/2)
            nn.Conv2d(16, 32, kernel_size=5, padding=2), nn.ReLU(), nn.MaxPool2d(2),  # (B, 32, h/4, w/4)
            nn.Conv2d(32, 64, kernel_size=5, padding=2), nn.ReLU(), nn.MaxPool2d(2),  # (B, 64, h/8, w/8), rounded down
            nn.Flatten(), nn.Dropout(dropout), nn.Linear(64 * (height // 8) * (width // 8), num_classes),
        )  # fmt: skip

    @property
    def example_input(self) -> Tensor:
        """Two blank pictures."""
        return torch.zeros(2, *self.input_shape)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, K) of the convolutional network. Raises ValueError for pictures of another size."""
        if x.shape[1:] != self.input_shape:
            raise ValueError(f"these networks take {self.input_shape} pictures, got {tuple(x.shape[1:])}")
        return self.convnet(x)

    def loss(self, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        """The sum of both cross-entropies in nats; accuracy of the convolutional network, of the MLP, and the lead."""
        x, targets = batch
        logits, mlp = self(x), self.mlp.loss(batch)
        acc = (logits.argmax(1) == targets).float().mean()
        loss = F.cross_entropy(logits, targets) + mlp["loss"]
        return {"loss": loss, "acc": acc, "mlp_acc": mlp["acc"], "lead": acc - mlp["acc"]}

    def summary(self) -> str:
        """What each of them costs in parameters, and what the slide's picture would cost."""
        hidden = self.mlp.layers[0].out_features
        counts = [sum(p.numel() for p in network.parameters()) for network in (self.mlp, self.convnet)]
        channels, height, width = self.input_shape
        first, large = height * width * channels * hidden, 256 * 256 * channels * hidden
        return (
            f"MLP: {counts[0]:,} parameters, {height}*{width}*{channels} * {hidden} = {first:,} of them weights of the "
            f"first layer;\n"
            f"    for pictures of 256x256 these alone would be 256*256*{channels} * {hidden} = {large:,}\n"
            f"convolutional network: {counts[1]:,} parameters, 5*5*{channels} * 16 = {25 * channels * 16:,} of them "
            f"weights of the first layer,\n"
            f"    whatever the size of the picture"
        )
