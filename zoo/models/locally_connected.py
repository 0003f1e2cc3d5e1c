"""Local receptive fields without shared weights: what lies between a fully connected layer and a convolution.

Lecture: Prague C29 (slide 40: 28x28 pixels, 24x24 neurons, each with a window of 5x5: 24^2 (5^2 + 1) = 14,976
         parameters), C30 (the same for three colours: 24^2 (3 5^2 + 1) = 43,776).
Source:  LeCun, Generalization and network design strategies, 1989 (local connections, then shared weights);
         Nielsen, Neural Networks and Deep Learning, 2015, chapter 6, from which the slide is drawn.
Input:   x (B, in_channels, image_size, image_size) float32, standardised pixels.
Output:  logits (B, num_classes) float32.
Result:  configs/experiment/digits_locally_connected.yaml.
Differs: ReLU by default; the slide leaves open what comes after the layer: here one linear layer.

Were all windows given the same weights, it would be a convolution with one map, of 26 parameters (C31).

Shapes: B batch, C channels, P = C k^2 pixels of a window, L windows = neurons of a map, O maps, K classes.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.models.activations import activation_named
from zoo.models.classifier import Classifier
from zoo.registry import register


class LocallyConnected2d(nn.Module):
    """As nn.Conv2d with stride 1 and no padding, but each window has its own weights and bias: O L (P + 1) parameters.

    in_channels: C. out_channels: O, neurons that look through the same window. image_size: side of the pictures.
    kernel_size: k, side of a window.
    """

    def __init__(self, in_channels: int, out_channels: int, image_size: int, kernel_size: int):
        super().__init__()
        self.out_size = image_size - kernel_size + 1
        windows, pixels = self.out_size**2, in_channels * kernel_size**2
        bound = pixels**-0.5  # as nn.Conv2d starts
        self.weight = nn.Parameter(torch.empty(out_channels, windows, pixels).uniform_(-bound, bound))  # (O, L, P)
        self.bias = nn.Parameter(torch.empty(out_channels, windows).uniform_(-bound, bound))  # (O, L)
        self.kernel_size = kernel_size

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, O, h - k + 1, h - k + 1) of pictures (B, C, h, h)."""
        windows = F.unfold(x, self.kernel_size)  # (B, P, L)
        z = torch.einsum("bpl,olp->bol", windows, self.weight) + self.bias  # (B, O, L)
        return z.unflatten(2, (self.out_size, self.out_size))


@register("locally_connected")
class LocallyConnected(Classifier):
    """A locally connected layer, an activation, and a linear layer.

    num_classes: K >= 2.
    in_channels: C of the input, 1 for grey, 3 for colours.
    image_size: side of the pictures.
    kernel_size: k, side of a window, at most image_size; as large, it is a fully connected layer of one neuron.
    out_channels: O, neurons for each window; the slide has one.
    activation: step | linear | sigmoid | tanh | relu.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int = 1,
        image_size: int = 28,
        kernel_size: int = 5,
        out_channels: int = 1,
        activation: str = "relu",
    ):
        super().__init__()
        if num_classes < 2:
            raise ValueError(f"num_classes must be >= 2, got {num_classes}")
        for name, number in {"in_channels": in_channels, "out_channels": out_channels}.items():
            if number < 1:
                raise ValueError(f"{name} must be >= 1, got {number}")
        if not 1 <= kernel_size <= image_size:
            raise ValueError(f"kernel_size must lie in 1 .. image_size={image_size}, got {kernel_size}")
        self.input_shape = (in_channels, image_size, image_size)
        self.activation = activation_named(activation)
        self.local = LocallyConnected2d(in_channels, out_channels, image_size, kernel_size)
        self.output = nn.Linear(out_channels * self.local.out_size**2, num_classes)

    @property
    def example_input(self) -> Tensor:
        """Two blank pictures."""
        return torch.zeros(2, *self.input_shape)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, K) of pictures (B, C, h, h). Raises ValueError for any other size."""
        if x.shape[1:] != self.input_shape:
            raise ValueError(f"this net takes {self.input_shape} pictures, got {tuple(x.shape[1:])}")
        hidden = self.activation(self.local(x))  # (B, 1, 24, 24)
        return self.output(hidden.flatten(1))

    def loss(self, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        """Cross-entropy in nats per picture, and accuracy in [0, 1]; targets (B,) are class numbers, int64."""
        x, targets = batch
        logits = self(x)
        correct = logits.argmax(1) == targets
        return {"loss": F.cross_entropy(logits, targets), "acc": correct.float().mean()}
