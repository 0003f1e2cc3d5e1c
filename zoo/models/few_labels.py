"""What unlabelled pictures are worth: networks with few labels, from pre-trained layers and from the random start.

Lecture: Prague C23 (a classifier on a pre-trained encoder): the other pictures still teach its layers.
Source:  Bengio et al., Greedy layer-wise training of deep networks, NIPS 2006; Erhan et al., Why does unsupervised
         pre-training help deep learning?, JMLR 2010: it acts as a regulariser, most where labels are few.
Input:   x (B, ...) float32, flattened to (B, D), in [0, 1].
Output:  logits (B, K) float32 of the pre-trained network that had most labels.
Result:  configs/experiment/mnist_few_labels.yaml.
Differs: both networks of a pair start from the same random numbers and see the same batches; one of them has had its
         hidden layers trained as denoising autoencoders in between, on all training items.

Shapes: B batch, D features, K classes.
"""

from functools import partial

import torch
from torch import Tensor, nn

from zoo.models.autoencoder import Autoencoder
from zoo.models.mlp import MLP
from zoo.models.phases import Phase, some_of_each_class
from zoo.registry import register


@register("few_labels")
class FewLabels(nn.Module):
    """One stack of autoencoders, and for each number of labels a pair of sigmoid networks D - H_1 - ... - H_L - K.

    in_features: D, size of an item when flattened.
    num_classes: K >= 2.
    hidden_sizes: H_1 ... H_L, of every network.
    labels: how many labelled items each pair sees, rising; multiples of K, as many of each class, drawn by the seed.
    corruption_level: share of its input that each layer gets masked while it is trained as an autoencoder, in [0, 1).
    pretraining_epochs: of each layer, >= 1; the pairs have equal parts of what is left of trainer.max_epochs.
    dropout: probability in [0, 1) that a hidden activation is set to zero while the pairs are trained.
    """

    def __init__(
        self,
        in_features: int,
        num_classes: int,
        hidden_sizes: list[int] = [500, 500, 500],  # noqa: B006  (read, never changed; a schema needs the value)
        labels: list[int] = [100, 300, 1000, 10000],  # noqa: B006
        corruption_level: float = 0.25,
        pretraining_epochs: int = 2,
        dropout: float = 0.0,
    ):
        super().__init__()
        if num_classes < 2:
            raise ValueError(f"num_classes must be >= 2, got {num_classes}")
        if pretraining_epochs < 1:
            raise ValueError(f"pretraining_epochs must be >= 1, got {pretraining_epochs}")
        rising = all(a < b for a, b in zip(labels, labels[1:], strict=False))
        if not labels or not rising or any(count < 1 or count % num_classes for count in labels):
            raise ValueError(f"labels must be rising multiples of {num_classes}, the classes, got {list(labels)}")
        self.labels, self.classes = list(labels), list(range(num_classes))
        self.stack = Autoencoder(
            in_features, hidden_sizes, reconstruction="cross_entropy", corruption="masking",
            corruption_levels=[corruption_level], pretraining_epochs=pretraining_epochs,
        )  # fmt: skip
        arguments = (in_features, num_classes, hidden_sizes, "sigmoid", dropout)
        self.random = nn.ModuleList(MLP(*arguments) for _ in labels)
        self.pretrained = nn.ModuleList(MLP(*arguments) for _ in labels)
        for pair in zip(self.random, self.pretrained, strict=True):
            pair[1].load_state_dict(pair[0].state_dict())  # the same output layer
            for net in pair:
                self.take_layers(net)
        self.phase = len(self.phases) - 1

    @torch.no_grad()
    def take_layers(self, net: MLP) -> None:
        """Give a network the encoders of the stack, as they are now, for its hidden layers."""
        for layer, encoder in zip(net.layers, self.stack.encoders, strict=False):
            layer.load_state_dict(encoder.state_dict())

    @property
    def phases(self) -> list[Phase]:
        """Each layer of the stack alone, on all items, then the pairs, on those with labels."""
        pairs = zip(self.labels, self.random, self.pretrained, strict=True)
        return self.stack.layer_phases + [
            Phase(
                f"{count:,} labels",
                (random, pretrained),
                rows=partial(some_of_each_class, count=count // len(self.classes), classes=self.classes),
                begin=partial(self.take_layers, pretrained),
            )
            for count, random, pretrained in pairs
        ]

    @property
    def example_input(self) -> Tensor:
        """Two items of the right size."""
        return self.stack.example_input

    def check(self, x: Tensor) -> None:
        """Whether items x (N, ...) can be reconstructed. Raises ValueError."""
        self.stack.check(x)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, K) of x (B, ...)."""
        return self.pretrained[-1](x)

    def loss(self, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        """Of the present phase: a layer's, or the sum of the pair's cross-entropies in nats.

        In eval mode also the accuracy of every network trained so far, such as `pretrained/100` and `random/100`, and
        `advantage/100`, the first less the second.
        """
        present = self.phase - len(self.stack.encoders)  # of the pairs
        if present < 0:
            return self.stack.layer_loss(batch[0], self.phase)
        pair = (self.pretrained[present], self.random[present])
        metrics = {"loss": sum(net.loss(batch)["loss"] for net in pair)}
        if self.training:
            return metrics
        for count, *pair in list(zip(self.labels, self.pretrained, self.random, strict=True))[: present + 1]:
            pretrained, random = (net.loss(batch)["acc"] for net in pair)
            metrics |= {f"pretrained/{count}": pretrained, f"random/{count}": random}
            metrics[f"advantage/{count}"] = pretrained - random
        return metrics
