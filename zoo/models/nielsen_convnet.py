"""Nielsen's convolutional network, the one the lecture draws for MNIST.

Lecture: Prague C38 (slide 50: 28x28 -> 20x24x24 -> 20x12x12 -> 100 -> 10), C39 (stack more of them), C36 (its filters).
Source:  Nielsen, Neural Networks and Deep Learning, 2015, chapter 6: 98.78 % (one convolution), 99.06 % (two).
Input:   x (B, in_channels, 28, 28) float32, standardised pixels.
Output:  logits (B, num_classes) float32.
Result:  configs/experiment/mnist_nielsen.yaml.
Differs: ReLU by default (chapter 6 starts with sigmoid); any optimizer (chapter 6: SGD, batch 10, 60 epochs).

Shapes: B batch, C channels, H height, W width, K classes.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.models.activations import activation_named
from zoo.models.classifier import Classifier
from zoo.registry import register


@register("nielsen_convnet")
class NielsenConvNet(Classifier):
    """5x5 convolutions, each followed by 2x2 max-pooling, then fully connected layers: 289,630 parameters.

    num_classes: K >= 2.
    in_channels: C of the input, 1 for grey.
    channels: maps of each convolution; [20, 40] is C39's deeper net, with fewer parameters (85,670).
    hidden_sizes: neurons of each hidden fully connected layer.
    activation: step | linear | sigmoid | tanh | relu.
    dropout: probability in [0, 1) of dropping an input of a fully connected layer.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int = 1,
        channels: list[int] = [20],  # noqa: B006  (read, never changed; a schema needs the value)
        hidden_sizes: list[int] = [100],  # noqa: B006
        activation: str = "relu",
        dropout: float = 0.0,
    ):
        super().__init__()
        if num_classes < 2:
            raise ValueError(f"num_classes must be >= 2, got {num_classes}")
        if in_channels < 1:
            raise ValueError(f"in_channels must be >= 1, got {in_channels}")
        if not 1 <= len(channels) <= 2 or any(c < 1 for c in channels):
            raise ValueError(f"channels must be one or two numbers >= 1 (28x28 has room for two), got {list(channels)}")
        if any(size < 1 for size in hidden_sizes):
            raise ValueError(f"hidden_sizes must all be >= 1, got {list(hidden_sizes)}")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout must lie in [0, 1), got {dropout}")
        self.in_channels = in_channels
        self.activation = activation_named(activation)
        self.dropout = dropout
        maps = [in_channels, *channels]
        self.convs = nn.ModuleList(nn.Conv2d(m, n, kernel_size=5) for m, n in zip(maps, maps[1:], strict=False))
        side = 28
        for _ in channels:
            side = (side - 4) // 2  # 28 -> 24 -> 12 -> 8 -> 4
        sizes = [channels[-1] * side * side, *hidden_sizes, num_classes]
        self.layers = nn.ModuleList(nn.Linear(m, n) for m, n in zip(sizes, sizes[1:], strict=False))

    @property
    def example_input(self) -> Tensor:
        """Two blank pictures."""
        return torch.zeros(2, self.in_channels, 28, 28)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, K) of pictures (B, C, 28, 28). Raises ValueError for any other size."""
        if x.shape[1:] != (self.in_channels, 28, 28):
            raise ValueError(f"this net takes ({self.in_channels}, 28, 28) pictures, got {tuple(x.shape[1:])}")
        for conv in self.convs:
            # Pool first: it gives the same, since no activation here ever falls, for a quarter of the work.
            x = self.activation(F.max_pool2d(conv(x), 2))  # (B, 20, 12, 12)
        x = x.flatten(1)  # (B, 2880)
        for i, layer in enumerate(self.layers):
            if self.dropout:
                x = F.dropout(x, self.dropout, self.training)
            x = layer(x)  # (B, 100), at last (B, K)
            if i + 1 < len(self.layers):
                x = self.activation(x)
        return x

    def loss(self, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        """Cross-entropy in nats per picture, and accuracy in [0, 1]; targets (B,) are class numbers, int64."""
        x, targets = batch
        logits = self(x)
        correct = logits.argmax(1) == targets
        return {"loss": F.cross_entropy(logits, targets), "acc": correct.float().mean()}
