"""Multi-layer perceptron: the fully connected network of every first lecture.

Lecture: Cyprus U03 (XOR needs a hidden layer), U05 (slide 4); Shanghai S07-S09 ("will I pass this class?").
Source:  Rumelhart, Hinton & Williams, Learning representations by back-propagating errors, Nature 1986;
         784-100-10 on MNIST: Nielsen, Neural Networks and Deep Learning, chapter 6.
Input:   x (B, ...) float32, flattened to (B, in_features).
Output:  logits (B, num_classes) float32; for two classes one output neuron, logits (B, 1), p = sigmoid(logit).
Result:  configs/experiment/xor_mlp.yaml, pass_class_mlp.yaml, mnist_mlp.yaml.
Differs: 1986 trained on squared error; cross-entropy here, whose gradient at the output is p - y (U10).

Shapes: B batch, D features, H hidden, K classes.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.models.activations import activation_named
from zoo.models.classifier import Classifier
from zoo.registry import register


@register("mlp")
class MLP(Classifier):
    """Linear layers with an activation between them: z = W a + b, a = g(z).

    in_features: D, size of an item when flattened.
    num_classes: K >= 2.
    hidden_sizes: neurons of each hidden layer; [] gives logistic regression.
    activation: step | linear | sigmoid | tanh | relu.
    dropout: probability in [0, 1) that a hidden activation is set to zero while training.
    """

    def __init__(
        self,
        in_features: int,
        num_classes: int,
        hidden_sizes: list[int] = [100],  # noqa: B006  (read, never changed; a schema needs the value)
        activation: str = "relu",
        dropout: float = 0.0,
    ):
        super().__init__()
        if in_features < 1:
            raise ValueError(f"in_features must be >= 1, got {in_features}")
        if num_classes < 2:
            raise ValueError(f"num_classes must be >= 2, got {num_classes}")
        if any(size < 1 for size in hidden_sizes):
            raise ValueError(f"hidden_sizes must all be >= 1, got {list(hidden_sizes)}")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout must lie in [0, 1), got {dropout}")
        self.in_features = in_features
        self.activation = activation_named(activation)
        self.dropout = dropout
        num_outputs = 1 if num_classes == 2 else num_classes
        sizes = [in_features, *hidden_sizes, num_outputs]
        self.layers = nn.ModuleList(nn.Linear(m, n) for m, n in zip(sizes, sizes[1:], strict=False))

    @property
    def example_input(self) -> Tensor:
        """Two items of the right size."""
        return torch.zeros(2, self.in_features)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, K), or (B, 1) for two classes. Raises ValueError if an item has not `in_features` numbers."""
        a = x.flatten(1)  # (B, D)
        if a.shape[1] != self.in_features:
            raise ValueError(f"the MLP takes items of {self.in_features} numbers, got {a.shape[1]}")
        for layer in self.layers[:-1]:
            a = self.activation(layer(a))  # (B, H)
            if self.dropout:
                a = F.dropout(a, self.dropout, self.training)
        return self.layers[-1](a)  # (B, K)

    def loss(self, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        """Cross-entropy in nats per item, and accuracy in [0, 1]; the targets (B,) are class numbers, int64."""
        x, targets = batch
        logits = self(x)
        if logits.shape[1] == 1:  # two classes: -log p(y) of a Bernoulli variable (S11)
            logit = logits[:, 0]
            loss = F.binary_cross_entropy_with_logits(logit, targets.to(logit.dtype))
            correct = (logit > 0) == targets
        else:
            loss = F.cross_entropy(logits, targets)
            correct = logits.argmax(1) == targets
        return {"loss": loss, "acc": correct.float().mean()}
