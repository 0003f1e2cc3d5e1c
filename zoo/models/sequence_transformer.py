"""Transformer that reads a whole sequence and answers once: every step looks at all others (the encoder alone, BERT).

Lecture: Shanghai S40, S42-S46; the task of recall: Cyprus U47, U48.
Source:  Vaswani et al., Attention is all you need, 2017; the encoder alone: Devlin et al., BERT, 2019. The blocks stand
         in zoo/models/attention.py.
Input:   x (B, T) int64 tokens where vocab_size > 0, else (B, T, in_features) float32; lengths (B,) int64, or None.
Output:  logits (B, num_classes) float32; with num_classes=2 one logit (B, 1); with num_classes=0 one number (B, 1).
Result:  configs/experiment/recall_transformer.yaml, reviews_transformer.yaml.

Shapes: B batch, T steps, D hidden size, A heads, L layers, C context, K classes.
"""

import torch
from torch import Tensor, nn

from zoo.models.attention import Positions, blocks, check_arguments
from zoo.models.dropout import Dropout
from zoo.models.sequences import SequenceModel
from zoo.registry import register


@register("sequence_transformer")
class SequenceTransformer(SequenceModel):
    """The encoder alone: every step looks at all steps, and what they found is drawn together into one answer.

    num_classes: K >= 2; 0: a number is to be told, with squared error.
    vocab_size: number of tokens; 0: the input is numbers, `in_features` at each step.
    in_features: numbers at each step where vocab_size is 0.
    context_length: C, the longest sequence.
    hidden_size: D. num_heads: A, which must divide it. num_layers: L.
    feedforward_size: of the two linear layers at each position; 0: 4 D.
    pooling: what the answer sees: last (the last step) | mean | max (over time, per coordinate).
    dropout: probability in [0, 1) that an output of a sublayer, or of the embedding, is set to zero while training.
    attention_dropout: the same for the weights of the attention.
    position: learned | sinusoidal | none. norm: pre | post. activation: relu | gelu.
    implementation: fused | reference.
    """

    def __init__(
        self,
        num_classes: int,
        vocab_size: int,
        in_features: int,
        context_length: int,
        hidden_size: int = 64,
        num_heads: int = 4,
        num_layers: int = 1,
        feedforward_size: int = 0,
        pooling: str = "last",
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        position: str = "learned",
        norm: str = "pre",
        activation: str = "gelu",
        implementation: str = "fused",
    ):
        super().__init__(num_classes, vocab_size, in_features, pooling)
        options = {
            "hidden_size": hidden_size,
            "num_heads": num_heads,
            "feedforward_size": feedforward_size or 4 * hidden_size,
            "dropout": dropout,
            "attention_dropout": attention_dropout,
            "norm": norm,
            "activation": activation,
            "implementation": implementation,
        }
        check_arguments(num_layers=num_layers, context_length=context_length, position=position, **options)
        self.context_length = context_length
        self.embedding = nn.Embedding(vocab_size, hidden_size) if vocab_size else nn.Linear(in_features, hidden_size)
        self.positions = Positions(position, context_length, hidden_size)
        self.drop = Dropout(dropout)
        self.blocks = blocks(num_layers, **options)
        self.norm = nn.LayerNorm(hidden_size) if norm == "pre" else nn.Identity()
        self.output = nn.Linear(hidden_size, self.num_answers)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Logits (B, K), or (B, 1); what stands behind a sequence's length (B,) changes nothing.

        Raises ValueError if x has another shape than (B, T) or (B, T, in_features), or T > C.
        """
        h, mask = self.begin(x, lengths)  # (B, T, D)
        for block in self.blocks:
            h = block(h, mask)
        return self.output(self.drop(self.pool(self.norm(h), lengths)))  # (B, T, D) -> (B, D) -> (B, K)

    def begin(self, x: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """What goes into the first block (B, T, D), and the mask (B, 1, 1, T) of the steps that may be looked at."""
        self.check_input(x)
        if x.shape[1] > self.context_length:
            raise ValueError(f"the network looks at {self.context_length} steps at most, got {x.shape[1]}")
        mask = None
        if lengths is not None:
            mask = (torch.arange(x.shape[1], device=x.device) < lengths[:, None])[:, None, None]
        return self.drop(self.positions(self.embedding(x))), mask

    def attention_maps(self, x: Tensor, lengths: Tensor | None = None) -> list[Tensor]:
        """How much each step looks at which: L tensors (B, A, T, T)."""
        h, mask = self.begin(x, lengths)
        maps = []
        for block in self.blocks:
            maps.append(block.weights(h, mask))
            h = block(h, mask)
        return maps
