"""Many small perceptrons trained at once: the same net from a thousand random starts, as one batched computation.

Lecture: Cyprus U03 (slide 3): XOR can be solved with 2 hidden neurons and 1 output neuron. Whether gradient descent
         finds that solution depends on the start; this file measures how often.
Source:  Rumelhart, Hinton & Williams 1986 (PDP, chapter 8) report local minima for XOR; Hamey, XOR has no local
         minima, Neural Networks 1998, shows that they are plateaux.
Input:   x (B, in_features) float32, seen by every copy.
Output:  logits (B, R) float32: each copy's logit of class 1.
Result:  configs/experiment/xor_2_2_1.yaml, xor_2_2_1_naive.yaml.

Shapes: R copies, B batch, D features, H hidden.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.models.activations import activation_named
from zoo.registry import register

INITS = ("pytorch", "normal", "opposed")
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
    init_std: deviation of what is drawn from a normal distribution, > 0.
    init: pytorch, uniform in +-1/sqrt(fan-in) | normal, N(0, init_std^2) for weights and biases alike | opposed: hidden
        neurons start as opponents, with biases +1, -1, +1, ... and output weights +2, -2, +2, ...; only the first
        weights, N(0, init_std^2), are drawn. Two neurons that start alike may turn into the same feature, and a net
        with one feature cannot tell XOR: that is the plateau where the other starts get stuck.
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
            "weight1": (in_features, hidden_size, num_copies),  # copies last: all first layers are one matrix product
            "bias1": (hidden_size, num_copies),
            "weight2": (hidden_size, num_copies),
            "bias2": (num_copies,),
        }
        for name, shape in shapes.items():
            bound = 1 / math.sqrt(in_features if name.endswith("1") else hidden_size)
            start = (2 * torch.rand(shape) - 1) * bound if init == "pytorch" else init_std * torch.randn(shape)
            setattr(self, name, nn.Parameter(start))
        if init == "opposed":
            signs = torch.tensor([1.0, -1.0]).repeat(hidden_size)[:hidden_size]  # (H,)
            with torch.no_grad():
                self.bias1.copy_(signs[:, None])
                self.weight2.copy_(2 * signs[:, None])
                self.bias2.zero_()

    @property
    def example_input(self) -> Tensor:
        """Two items of the right size."""
        return torch.zeros(2, self.in_features)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, R). Raises ValueError if an item has not `in_features` numbers."""
        x = x.flatten(1)  # (B, D)
        if x.shape[1] != self.in_features:
            raise ValueError(f"the MLPs take items of {self.in_features} numbers, got {x.shape[1]}")
        z = (x @ self.weight1.flatten(1)).unflatten(1, self.bias1.shape)  # (B, D) @ (D, H * R) -> (B, H, R)
        hidden = self.activation(z + self.bias1)  # (B, H, R)
        return (hidden * self.weight2).sum(1) + self.bias2  # (B, R)

    def loss(self, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        """Sum over the copies of the mean loss per item; in eval mode also accuracy, and the share of copies `solved`.

        A step is so small that counting right answers would make up a sixth of it: not while training.
        """
        x, targets = batch
        logits = self(x)
        wanted = targets[:, None].to(logits.dtype).expand_as(logits)
        if self.objective == "cross_entropy":
            losses = F.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
        else:
            losses = 0.5 * (torch.sigmoid(logits) - wanted).square()
        loss = losses.mean(0).sum()
        if self.training:
            return {"loss": loss}
        correct = (logits > 0) == (wanted > 0.5)  # (B, R)
        return {"loss": loss, "acc": correct.float().mean(), "solved": correct.all(0).float().mean()}
