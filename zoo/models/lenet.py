"""LeNet-5: the convolutional network that read the cheques.

Lecture: Prague C29-C38 (convolution, shared weights, pooling); Bombay I01-I15.
Source:  LeCun, Bottou, Bengio & Haffner, Gradient-based learning applied to document recognition, Proc. IEEE 1998,
         section II.B and figure 2.
Input:   x (B, in_channels, 28, 28) float32, standardised pixels.
Output:  logits (B, num_classes) float32.
Result:  configs/experiment/digits_lenet.yaml, mnist_lenet.yaml.

Shapes: B batch, C channels, K classes.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.models.activations import activation_named
from zoo.registry import register


@register("lenet")
class LeNet(nn.Module):
    """Two convolutions with pooling, then three fully connected layers: 61,706 parameters for ten classes.

    num_classes: K >= 2.
    in_channels: C of the input, 1 for grey.
    activation: step | linear | sigmoid | tanh | relu.
    dropout: probability in [0, 1) of dropping a feature before each hidden fully connected layer.
    """

    def __init__(
        self, num_classes: int, in_channels: int = 1, activation: str = "relu", dropout: float = 0.0
    ):
        super().__init__()
        if num_classes < 2:
            raise ValueError(f"num_classes must be >= 2, got {num_classes}")
        if in_channels < 1:
            raise ValueError(f"in_channels must be >= 1, got {in_channels}")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout must lie in [0, 1), got {dropout}")
        self.in_channels = in_channels
        self.activation = activation_named(activation)
        self.dropout = dropout
        self.conv1 = nn.Conv2d(in_channels, 6, kernel_size=5, padding=2)  # the paper's 32x32 input: 28 + 2 * 2
        self.conv2 = nn.Conv2d(6, 16, kernel_size=5)
        self.fc1 = nn.Linear(16 * 5 * 5, 120)  # the paper calls it a convolution: its map is 1x1
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, num_classes)

    @property
    def example_input(self) -> Tensor:
        """Two grey pictures."""
        return torch.zeros(2, self.in_channels, 28, 28)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, K) of pictures (B, C, 28, 28). Raises ValueError for any other size."""
        if x.shape[1:] != (self.in_channels, 28, 28):
            raise ValueError(f"LeNet takes ({self.in_channels}, 28, 28) pictures, got {tuple(x.shape[1:])}")
        g = self.activation
        x = F.max_pool2d(g(self.conv1(x)), 2)  # (B, 6, 14, 14)
        x = F.max_pool2d(g(self.conv2(x)), 2)  # (B, 16, 5, 5)
        x = x.flatten(1)  # (B, 400)
        if self.dropout:
            x = F.dropout(x, self.dropout, self.training)
        x = g(self.fc1(x))  # (B, 120)
        if self.dropout:
            x = F.dropout(x, self.dropout, self.training)
        return self.fc3(g(self.fc2(x)))  # (B, K)

    def loss(self, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        """Cross-entropy in nats per picture, and accuracy in [0, 1]; targets (B,) are class numbers, int64."""
        x, targets = batch
        logits = self(x)
        correct = logits.argmax(1) == targets
        return {"loss": F.cross_entropy(logits, targets), "acc": correct.float().mean()}
