"""The perceptron: one threshold neuron, which learns from its mistakes.

Lecture: Cyprus U02 (slide 3: perceptrons are linear classifiers), U04 (no gradient passes through the threshold).
Source:  Rosenblatt, The perceptron, Psychological Review 1958; Novikoff, On convergence proofs on perceptrons,
         Symposium on the Mathematical Theory of Automata 1962 (the bound on the number of mistakes).
Input:   x (B, ...) float32, flattened to (B, in_features); of Boolean functions 0 and 1, or -1 and 1.
Output:  z (B, 1) float32, the weighted sum; the answer is class 1 where z > 0. It stands where others have a logit, but
         only its sign means something: how far z is from 0 is not how sure the neuron is.
Result:  configs/experiment/xor_perceptron.yaml.
Differs: the weights start at random, not at 0, so that seeds differ; it comes to rest from any start.

The rule: y = [w x + b > 0], and after each item w <- w + r (t - y) x, b <- b + r (t - y). A right answer changes
nothing. If a plane separates the classes, the neuron comes to rest: from w = 0 after at most (R / gamma)^2 mistakes, R
the length of the longest (x, 1) and gamma the distance of the nearest from the best plane through 0. Two of the 16
functions of two bits have no such plane, XOR and its opposite: there it never rests, and gets at most 3 of 4 right.

Shapes: B batch, D features.
"""

import torch
from torch import Tensor, nn

from zoo.models.classifier import Classifier
from zoo.registry import register


@register("perceptron")
class Perceptron(Classifier):
    """One weight per input, a bias, and a threshold.

    in_features: D, size of an item when flattened.
    num_classes: 2.
    """

    def __init__(self, in_features: int, num_classes: int = 2):
        super().__init__()
        if in_features < 1:
            raise ValueError(f"in_features must be >= 1, got {in_features}")
        if num_classes != 2:
            raise ValueError(f"a threshold neuron tells two classes apart, got num_classes={num_classes}")
        self.linear = nn.Linear(in_features, 1)

    @property
    def example_input(self) -> Tensor:
        """Two items of the right size."""
        return torch.zeros(2, self.linear.in_features)

    def forward(self, x: Tensor) -> Tensor:
        """z (B, 1) of items (B, D). Raises ValueError if an item has not `in_features` numbers."""
        x = x.flatten(1)  # (B, D)
        if x.shape[1] != self.linear.in_features:
            raise ValueError(f"the perceptron takes items of {self.linear.in_features} numbers, got {x.shape[1]}")
        return self.linear(x)

    def loss(self, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        """The perceptron criterion max(0, -s z), s = 1 for class 1 and -1 for class 0; and accuracy in [0, 1].

        It is zero for right answers, and a step down its gradient is the rule, were all items taken at once.
        """
        x, targets = batch
        z = self(x)[:, 0]
        sign = 2 * targets.to(z.dtype) - 1
        return {"loss": torch.relu(-sign * z).mean(), "acc": ((z > 0) == targets).float().mean()}

    @torch.no_grad()
    def update(self, batch: tuple[Tensor, Tensor], lr: float) -> dict[str, Tensor]:
        """Rosenblatt's rule, item by item in the order of the batch. Gives loss and accuracy from before."""
        report = self.loss(batch)
        weight, bias = self.linear.weight[0], self.linear.bias
        for x, target in zip(batch[0].flatten(1), batch[1], strict=True):
            error = target - (weight @ x + bias > 0).to(x.dtype)  # 1, 0 or -1
            weight += lr * error * x
            bias += lr * error
        return report
