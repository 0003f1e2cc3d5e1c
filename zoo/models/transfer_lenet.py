"""Transfer learning: a LeNet that has read some digits learns the others from a few examples of each.

Lecture: Prague C24 (transfer learning: what was learned for one task is used again for another).
Source:  Yosinski, Clune, Bengio & Lipson, How transferable are features in deep neural networks?, NIPS 2014:
         layers frozen or fine-tuned, against a network from scratch; the first ones are general, the last ones not.
Input:   x (B, 1, 28, 28) float32, standardised pixels.
Output:  logits (B, K) float32 of the fine-tuned network.
Result:  configs/experiment/digits_transfer.yaml.
Differs: all networks have outputs for all K classes, of which each is only ever shown its own: no label is renumbered.

Shapes: B batch, K classes.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.models.lenet import LeNet
from zoo.models.phases import Phase, some_of_each_class
from zoo.registry import register

LAYERS = ("conv1", "conv2", "fc1", "fc2")  # the output is never re-used: it knows other classes


@register("transfer_lenet")
class TransferLeNet(nn.Module):
    """Four LeNets. `source` learns its classes; then, from a few examples, three learn the other classes together:

    `frozen` has the first layers of the source, and trains only the others; `fine_tuned` starts from the same and
    trains all; `scratch` starts at random, as the other layers of all three do. No number of one ever touches another.

    num_classes: K >= 2.
    source_classes: what the source learns; the rest is what is learnt afterwards.
    labels_per_class: examples of each of the other classes, >= 1, drawn by the seed.
    reused_layers: how many of conv1, conv2, fc1, fc2 are taken over, 1 to 4.
    source_epochs: how long the source learns, >= 1; the rest of trainer.max_epochs is for the three.
    dropout: of every LeNet, in [0, 1).
    """

    def __init__(
        self,
        num_classes: int,
        source_classes: list[int] = [0, 1, 2, 3, 4],  # noqa: B006  (read, never changed; a schema needs the value)
        labels_per_class: int = 5,
        reused_layers: int = 2,
        source_epochs: int = 5,
        dropout: float = 0.0,
    ):
        super().__init__()
        known = set(range(num_classes))
        if not source_classes or not set(source_classes) < known:
            raise ValueError(f"source_classes must be some of 0 .. {num_classes - 1}, got {list(source_classes)}")
        for name, value in (("labels_per_class", labels_per_class), ("source_epochs", source_epochs)):
            if value < 1:
                raise ValueError(f"{name} must be >= 1, got {value}")
        if not 1 <= reused_layers <= len(LAYERS):
            raise ValueError(f"reused_layers must lie in 1 .. {len(LAYERS)}, got {reused_layers}")
        self.reused = LAYERS[:reused_layers]
        self.labels_per_class, self.source_epochs = labels_per_class, source_epochs
        self.source, self.frozen, self.fine_tuned, self.scratch = (
            LeNet(num_classes, dropout=dropout) for _ in range(4)
        )
        is_source = torch.tensor([label in source_classes for label in range(num_classes)])
        self.register_buffer("is_source", is_source, persistent=False)
        self.reuse()
        self.phase = len(self.phases) - 1

    @torch.no_grad()
    def reuse(self) -> None:
        """Give the source's layers, as they are now, to those who start from them; the other layers start alike."""
        taken = {key: value for key, value in self.source.state_dict().items() if key.split(".")[0] in self.reused}
        for net in (self.frozen, self.fine_tuned):
            net.load_state_dict(self.scratch.state_dict() | taken)

    @property
    def phases(self) -> list[Phase]:
        """The source on its classes, then the three on a few examples of the others."""
        three = (*(layer for name, layer in self.frozen.named_children() if name not in self.reused),)
        three += (self.fine_tuned, self.scratch)
        return [
            Phase("source", (self.source,), self.source_epochs, rows=self.source_rows),
            Phase("re-use", three, rows=self.other_rows, begin=self.reuse),
        ]

    def source_rows(self, targets: Tensor, seed: int) -> Tensor:
        """The numbers (n,) of the items of the source's classes."""
        return self.is_source.cpu()[targets].nonzero()[:, 0]

    def other_rows(self, targets: Tensor, seed: int) -> Tensor:
        """The numbers (n,) of a few items of each other class."""
        classes = (~self.is_source).nonzero()[:, 0].tolist()
        return some_of_each_class(targets, seed, self.labels_per_class, classes)

    @property
    def example_input(self) -> Tensor:
        """Two blank pictures."""
        return self.source.example_input

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, K) of pictures (B, 1, 28, 28)."""
        return self.fine_tuned(x)

    def loss(self, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor | int]:
        """Of the present phase, over the items of its classes: cross-entropy in nats, summed over the networks.

        With the accuracy of each network, and what the re-use has gained: `gain/frozen`, `gain/fine_tuned`.
        """
        x, targets = batch
        in_source = self.is_source[targets]
        mine = in_source if self.phase == 0 else ~in_source  # (B,), all while training
        x, targets = x[mine], targets[mine]
        nets = ["source"] if self.phase == 0 else ["frozen", "fine_tuned", "scratch"]
        logits = {name: getattr(self, name)(x) for name in nets}
        items = max(1, len(x))  # a batch may hold none of these classes
        metrics: dict[str, Tensor | int] = {
            "loss": sum(F.cross_entropy(z, targets, reduction="sum") for z in logits.values()) / items
        }
        metrics |= {name: (z.argmax(1) == targets).sum() / items for name, z in logits.items()}
        if self.phase:
            metrics |= {f"gain/{name}": metrics[name] - metrics["scratch"] for name in ("frozen", "fine_tuned")}
        return metrics | {"items": len(x)}
