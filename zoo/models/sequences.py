"""What networks that read a whole sequence and answer once have in common: their input, pooling over time, the loss."""

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.models.classifier import Classifier

POOLINGS = ("last", "mean", "max")


class SequenceModel(Classifier):
    """Base of the networks from many to one. A subclass gives `forward(x, lengths=None) -> logits`.

    num_classes: K >= 2; 0: a number is to be told, with squared error.
    vocab_size: number of tokens; 0: the input is numbers, `in_features` at each step.
    pooling: what the answer sees of the outputs at all steps: last | mean | max.
    """

    def __init__(self, num_classes: int, vocab_size: int, in_features: int, pooling: str):
        super().__init__()
        if num_classes < 0 or num_classes == 1:
            raise ValueError(f"num_classes must be >= 2, or 0 for a number, got {num_classes}")
        if (vocab_size > 0) == (in_features > 0) or min(vocab_size, in_features) < 0:
            given = f"vocab_size={vocab_size}, in_features={in_features}"
            raise ValueError(f"either vocab_size or in_features must be > 0 and the other 0, got {given}")
        if pooling not in POOLINGS:
            raise ValueError(f"pooling must be one of {', '.join(POOLINGS)}, got {pooling!r}")
        self.num_classes, self.vocab_size, self.in_features = num_classes, vocab_size, in_features
        self.pooling = pooling
        self.num_answers = num_classes if num_classes > 2 else 1

    @property
    def example_input(self) -> Tensor:
        """Two sequences of three steps."""
        return torch.zeros(2, 3, dtype=torch.int64) if self.vocab_size else torch.zeros(2, 3, self.in_features)

    def check_input(self, x: Tensor) -> None:
        """Raises ValueError if x has another shape than (B, T) or (B, T, in_features)."""
        if x.dim() != (2 if self.vocab_size else 3) or (self.in_features and x.shape[2] != self.in_features):
            wanted = "(B, T) tokens" if self.vocab_size else f"(B, T, {self.in_features}) numbers"
            raise ValueError(f"the network takes {wanted}, got {tuple(x.shape)}")

    def pool(self, outputs: Tensor, lengths: Tensor | None) -> Tensor:
        """One vector (B, H) for the outputs (B, T, H) of a sequence, of which the first `lengths` (B,) count."""
        if self.pooling == "last":
            if lengths is None:
                return outputs[:, -1]
            return outputs[torch.arange(len(outputs), device=outputs.device), lengths - 1]
        if lengths is None:
            return outputs.mean(1) if self.pooling == "mean" else outputs.max(1).values
        behind = (torch.arange(outputs.shape[1], device=outputs.device) >= lengths[:, None])[:, :, None]  # (B, T, 1)
        if self.pooling == "mean":
            return outputs.masked_fill(behind, 0.0).sum(1) / lengths[:, None]
        return outputs.masked_fill(behind, -torch.inf).max(1).values

    def loss(self, batch: tuple[Tensor, ...]) -> dict[str, Tensor]:
        """Cross-entropy in nats and accuracy; for a number squared error. The batch is (x, [lengths,] targets)."""
        *inputs, targets = batch
        answer = self(*inputs)
        if self.num_classes == 0:
            return {"loss": F.mse_loss(answer[:, 0], targets)}
        if self.num_classes == 2:
            logit = answer[:, 0]
            loss, right = F.binary_cross_entropy_with_logits(logit, targets.to(logit.dtype)), (logit > 0) == targets
        else:
            loss, right = F.cross_entropy(answer, targets), answer.argmax(1) == targets
        return {"loss": loss, "acc": right.float().mean()}
