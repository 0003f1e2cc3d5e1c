"""What a trained network makes of raw items, such as pictures and sentences; a classifier tells class and probability.

How an item became numbers is known to the checkpoint (`transform`), and zoo/items.py does the same with raw ones.

Shapes: N items, B of them at once, K classes.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

AT_ONCE = 200  # items in one pass through the network: what becomes of them stays in the processor's cache
SHOWN = 5  # classes that an answer ranks


class Prediction(NamedTuple):
    """The five likeliest classes, the likeliest first, and their probabilities in [0, 1]."""

    classes: list[str]
    probabilities: list[float]

    @property
    def label(self) -> str:
        """The likeliest class."""
        return self.classes[0]

    @property
    def probability(self) -> float:
        """How sure the network is of it."""
        return self.probabilities[0]

    def __str__(self) -> str:
        """`7 (99.8 % sure; then 1: 0.1 %)`."""
        k, p = self
        return f"{k[0]} ({100 * p[0]:.1f} % sure; then {k[1]}: {100 * p[1]:.1f} %)"


def class_logits(logits: Tensor) -> Tensor:
    """Logits (B, K) with K >= 2, of a network with a single output too: class 0 then has the logit 0."""
    return F.pad(logits, (1, 0)) if logits.shape[1] == 1 else logits


class TakesRawItems(nn.Module):
    """Base of the networks that, once trained, can be given items as a person has them: pictures, texts, numbers.

    transform: how an item was made from the raw one, as `DataSet.transform` says; `zoo.load` fills it in.
    """

    transform: dict[str, Any] = {}

    def inputs(self, items: Sequence[Any] | Tensor) -> tuple[Tensor, ...]:
        """What `forward` takes for these raw items. Raises DataError for what cannot be read or is of another kind."""
        from zoo.items import ready  # reading files is no matter of a model's

        weight = next(self.parameters())
        found = ready(items, self.transform)
        return tuple(x.to(weight.device, weight.dtype if x.is_floating_point() else x.dtype) for x in found)


class Classifier(TakesRawItems):
    """Base of the networks whose `forward` gives logits (B, K), or (B, 1) for two classes."""

    def predict(self, item: Any) -> Prediction:
        """The class of one item: the path of a picture, a picture, numbers, a text, as the network was trained on.

        In eval mode, as `zoo.load` gives it. Raises DataError for what cannot be read or is of another kind.
        """
        return self.predict_all([item])[0]

    @torch.no_grad()
    def predict_all(self, items: Sequence[Any] | Tensor) -> list[Prediction]:
        """The classes of N items, or of an array of pictures (N, h, w[, 3]) uint8; likewise."""
        names, answers = self.transform.get("classes"), []
        for start in range(0, len(items), AT_ONCE):
            p = class_logits(self(*self.inputs(items[start : start + AT_ONCE]))).softmax(1)  # (B, K)
            if not names or len(names) != p.shape[1]:
                names = [str(k) for k in range(p.shape[1])]
            best = p.topk(min(SHOWN, p.shape[1]))
            classes = [[names[k] for k in row] for row in best.indices.tolist()]
            answers += map(Prediction, classes, best.values.tolist())
        return answers
