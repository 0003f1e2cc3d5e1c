"""Recurrent network that reads a whole sequence and answers once: many to one (sentiment, recall, addition).

Lecture: Cyprus U46-U48, Prague C56, C58, Shanghai S26, S37, S40; both directions: Barcelona R09 (slides 14, 15).
Source:  Hochreiter & Schmidhuber 1997; Schuster & Paliwal, Bidirectional recurrent neural networks, 1997; maximum over
         time: Collobert & Weston 2008. The layers stand in zoo/models/recurrent.py.
Input:   x (B, T) int64 tokens where vocab_size > 0, else (B, T, in_features) float32; lengths (B,) int64, or None.
Output:  logits (B, num_classes) float32; with num_classes=2 one logit (B, 1); with num_classes=0 one number (B, 1).
Result:  configs/experiment/recall_rnn.yaml, _irnn, _gru, _lstm; reviews_lstm.yaml.
Differs: the LSTM's forget gates start with bias 1 (Gers et al. 2000; PyTorch: 0).

Shapes: B batch, T time, D input, H hidden (2H for both directions), K classes.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from zoo.models.recurrent import recurrent_layers, unroll
from zoo.models.sequences import SequenceModel
from zoo.registry import register


@register("sequence_rnn")
class SequenceRNN(SequenceModel):
    """Recurrent layers, the outputs at all steps drawn together into one vector, and a linear layer.

    num_classes: K >= 2; 0: a number is to be told, with squared error.
    vocab_size: number of tokens; 0: the input is numbers, `in_features` at each step.
    in_features: D where vocab_size is 0.
    cell: rnn | irnn | gru | lstm. hidden_size: H. num_layers: L.
    embedding_dim: length of a token's vector; 0: one-hot.
    bidirectional: read from both ends, with weights of their own.
    pooling: what the answer sees: last (the state after the last step) | mean | max (over time, per neuron).
    dropout: probability in [0, 1), of the input vectors, between layers, and before the output.
    forget_bias: where the LSTM's forget gates start (PyTorch: 0).
    implementation: fused | reference, for one direction.
    """

    def __init__(
        self,
        num_classes: int,
        vocab_size: int,
        in_features: int,
        cell: str = "lstm",
        hidden_size: int = 64,
        num_layers: int = 1,
        embedding_dim: int = 0,
        bidirectional: bool = False,
        pooling: str = "last",
        dropout: float = 0.0,
        forget_bias: float = 1.0,
        implementation: str = "fused",
    ):
        super().__init__(num_classes, vocab_size, in_features, pooling)
        if embedding_dim < 0 or (embedding_dim and not vocab_size):
            raise ValueError(f"embedding_dim must be >= 0, and 0 where there are no tokens, got {embedding_dim}")
        self.dropout, self.directions = dropout, 2 if bidirectional else 1
        self.embedding = nn.Embedding(vocab_size, embedding_dim) if embedding_dim else None
        input_size = in_features or embedding_dim or vocab_size
        self.layers = recurrent_layers(
            cell, input_size, hidden_size, num_layers, dropout, bidirectional,
            implementation=implementation, forget_bias=forget_bias,
        )  # fmt: skip
        self.output = nn.Linear(hidden_size * self.directions, self.num_answers)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Logits (B, K), or (B, 1); what stands behind a sequence's length changes nothing (S31).

        Raises ValueError if x has another shape than (B, T) or (B, T, in_features).
        """
        self.check_input(x)
        vectors = self.embed(x)  # (B, T, D)
        if self.dropout:
            vectors = F.dropout(vectors, self.dropout, self.training)
        features = self.pooled(vectors, lengths)
        if self.dropout:
            features = F.dropout(features, self.dropout, self.training)
        return self.output(features)

    def embed(self, x: Tensor) -> Tensor:
        """Vectors (B, T, D) of the tokens x (B, T); numbers are left as they are."""
        if self.embedding is not None:
            return self.embedding(x)
        return F.one_hot(x, self.vocab_size).to(self.output.weight.dtype) if self.vocab_size else x

    def pooled(self, x: Tensor, lengths: Tensor | None) -> Tensor:
        """One vector (B, H) or (B, 2H) per sequence x (B, T, D)."""
        if lengths is not None and self.directions == 2:  # the way back begins at each sequence's own end
            packed = pack_padded_sequence(x, lengths.cpu(), batch_first=True, enforce_sorted=False)
            outputs, state = unroll(self.layers, packed)
            outputs, _ = pad_packed_sequence(outputs, batch_first=True)  # (B, T, 2H)
        else:  # what is read after the end changes nothing before it
            outputs, state = unroll(self.layers, x)  # (B, T, H or 2H)
        if self.pooling == "last" and self.directions == 2:
            return torch.cat(state[0][-2:].unbind(0), 1)  # after the last step of each direction
        return self.pool(outputs, lengths)
