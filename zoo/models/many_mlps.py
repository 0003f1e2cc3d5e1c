"""Many small perceptrons trained at once: the same net from a thousand random starts, as one batched computation.

Lecture: Cyprus U03 (slide 3): XOR can be solved with 2 hidden neurons and 1 output neuron. Whether gradient descent
         finds that solution depends on the start; this file measures how often.
Source:  Rumelhart, Hinton & Williams 1986 (PDP, chapter 8) report local minima for XOR; Hamey, XOR has no local
         minima, Neural Networks 1998, shows that they are plateaux.
Input:   x (B, in_features) float32, seen by every copy.
Output:  logits (R, B) float32: copy r's logit of class 1.
Result:  configs/experiment/xor_2_2_1.yaml, xor_2_2_1_naive.yaml.

Shapes: R copies, B batch, D features, H hidden.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.models.activations import activation_named
from zoo.registry import register

INITS = ("pytorch", "normal")
OBJECTIVES = ("cross_entropy", "squared_error")


@register("many_mlps")
class ManyMLPs(nn.Module):
    """R independent networks D - hidden_size - 1; no number of one copy ever touches another.

    The loss is the sum over the copies, so that each copy's gradient is what it would be alone.

    in_features: D. num_classes: must be 2, told apart by one output neuron.
    num_copies: R, the number of random starts.
    hidden_size: H.
    activation: of the hidden neurons; step | linear | sigmoid | tanh | relu.
    objective: cross_entropy | squared_error (of the sigmoid output).
    init: pytorch, uniform in +-1/sqrt(fan-in) | normal, N(0, init_std^2) for weights and biases alike.
    """

    def __init__(
        self,
        in_features: int,
        num_classes: int,
        num_copies: int = 1000,
        hidden_size: int = 2,
        activation: str = "sigmoid",
        objective: str = "cross_entropy",
        init: str = "pytorch",
        init_std: float = 1.0,
    ):
        super().__init__()
        for name, value in (("in_features", in_features), ("num_copies", num_copies), ("hidden_size", hidden_size)):
            if value < 1:
                raise ValueError(f"{name} must be >= 1, got {value}")
        if num_classes != 2:
            raise ValueError(f"many_mlps has one output neuron for 2 classes, got num_classes={num_classes}")
        for name, value, valid in (("objective", objective, OBJECTIVES), ("init", init, INITS)):
            if value not in valid:
                raise ValueError(f"{name} must be one of {', '.join(valid)}, got {value!r}")
        if not 0 < init_std < math.inf:
            raise ValueError(f"init_std must be a finite number > 0, got {init_std}")
        self.in_features = in_features
        self.activation = activation_named(activation)
        self.objective = objective
        shapes = {
            "weight1": (num_copies, in_features, hidden_size),
            "bias1": (num_copies, 1, hidden_size),
            "weight2": (num_copies, hidden_size, 1),
            "bias2": (num_copies, 1, 1),
        }
        for name, shape in shapes.items():
            fan_in = in_features if name.endswith("1") else hidden_size
            bound = 1 / math.sqrt(fan_in)
            start = init_std * torch.randn(shape) if init == "normal" else (2 * torch.rand(shape) - 1) * bound
            setattr(self, name, nn.Parameter(start))

    @property
    def example_input(self) -> Tensor:
        """Two items of the right size."""
        return torch.zeros(2, self.in_features)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (R, B). Raises ValueError if an item has not `in_features` numbers."""
        x = x.flatten(1)  # (B, D)
        if x.shape[1] != self.in_features:
            raise ValueError(f"the MLPs take items of {self.in_features} numbers, got {x.shape[1]}")
        hidden = self.activation(x @ self.weight1 + self.bias1)  # (R, B, H)
        return (hidden @ self.weight2 + self.bias2)[:, :, 0]  # (R, B)

    def loss(self, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        """Sum over the copies of the mean loss per item; mean accuracy; `solved`, the share of copies with no error."""
        x, targets = batch
        logits = self(x)
        wanted = targets.to(logits.dtype).expand_as(logits)
        if self.objective == "cross_entropy":
            losses = F.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
        else:
            losses = 0.5 * (torch.sigmoid(logits) - wanted).square()
        correct = (logits > 0) == (wanted > 0.5)
        return {
            "loss": losses.mean(1).sum(),
            "acc": correct.float().mean(),
            "solved": correct.all(1).float().mean(),
        }
