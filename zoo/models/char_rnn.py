"""Character language model: a recurrent network that reads a text and, at each character, predicts the next.

Lecture: Bombay I22-I38 (recurrent language model), Barcelona R02-R18 (RNN, LSTM, GRU), Prague C54-C61, Shanghai
         S27-S39.
Source:  Elman, Finding structure in time, 1990; Hochreiter & Schmidhuber, Long short-term memory, 1997; Cho et al.,
         Learning phrase representations using RNN encoder-decoder, 2014 (GRU); Le, Jaitly & Hinton, A simple way to
         initialize recurrent networks of rectified linear units, 2015; as a model of characters: Karpathy, The
         unreasonable effectiveness of recurrent neural networks, 2015. The layers stand in zoo/models/recurrent.py.
Input:   x (B, T) int64, positions in the vocabulary.
Output:  logits (B, T, V) float32 of the character that follows each.
Result:  configs/experiment/shakespeare_rnn.yaml, _gru, _lstm; pydoc_lstm.yaml, irish_lstm.yaml, abc_rnn.yaml.
Differs: the LSTM's forget gates start with bias 1 (Gers et al. 2000; PyTorch: 0); dropout also before the output.

Shapes: B batch, T time, V vocabulary, E embedding, H hidden, L layers.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.models.characters import CharacterModel
from zoo.models.recurrent import State, readable, recurrent_layers, unroll
from zoo.registry import register


@register("char_rnn")
class CharRNN(CharacterModel):
    """h_t = cell(x_t, h_(t-1)), logits y_t = Wy h_t + by; the state is carried from one window of a text to the next.

    vocabulary: the V characters that it knows, each once, in the order of their numbers.
    cell: rnn | irnn (ReLU, starting from the identity) | gru | lstm.
    hidden_size: H. num_layers: L.
    embedding_dim: E, length of the learnt vector that stands for a character; 0: one-hot, E = V (I25).
    dropout: probability in [0, 1) that an output of a layer is set to zero while training.
    input_dropout: the same for what goes into the first layer.
    nonlinearity: of cell=rnn; tanh | relu | sigmoid.
    forget_bias: where the LSTM's forget gates start; PyTorch's 0 lets the cell forget half with every step (R15).
    implementation: fused (PyTorch's kernels) | reference (the loop over time, to be read).
    variant: pytorch (two biases per hidden neuron and one per output) | lecture (I27: one and none), reference only.
    """

    carries_state = True  # `loss` takes the state that the window before has left

    def __init__(
        self,
        vocabulary: str,
        cell: str = "lstm",
        hidden_size: int = 128,
        num_layers: int = 1,
        embedding_dim: int = 0,
        dropout: float = 0.0,
        input_dropout: float = 0.0,
        nonlinearity: str = "tanh",
        forget_bias: float = 1.0,
        implementation: str = "fused",
        variant: str = "pytorch",
    ):
        super().__init__()
        self.check_vocabulary(vocabulary)
        if embedding_dim < 0:
            raise ValueError(f"embedding_dim must be >= 0 (0: one-hot), got {embedding_dim}")
        if not 0 <= input_dropout < 1:
            raise ValueError(f"input_dropout must lie in [0, 1), got {input_dropout}")
        if variant not in ("pytorch", "lecture"):
            raise ValueError(f"variant must be one of pytorch, lecture, got {variant!r}")
        self.vocabulary, self.dropout, self.input_dropout = vocabulary, dropout, input_dropout
        self.embedding = nn.Embedding(len(vocabulary), embedding_dim) if embedding_dim else None
        self.layers = recurrent_layers(
            cell, embedding_dim or len(vocabulary), hidden_size, num_layers, dropout,
            nonlinearity=nonlinearity, implementation=implementation, second_bias=variant == "pytorch",
            forget_bias=forget_bias,
        )  # fmt: skip
        self.output = nn.Linear(hidden_size, len(vocabulary), bias=variant == "pytorch")

    @property
    def example_input(self) -> Tensor:
        """Two windows of three characters."""
        return torch.zeros(2, 3, dtype=torch.int64)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, T, V), read from an empty state."""
        return self.unroll(x)[0]

    def embed(self, x: Tensor) -> Tensor:
        """Vectors (B, T, E) of the characters x (B, T)."""
        if self.embedding is not None:
            return self.embedding(x)
        return F.one_hot(x, len(self.vocabulary)).to(self.output.weight.dtype)

    def unroll(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Logits (B, T, V) for x (B, T) and the state after the last character; None: begin with zeros."""
        vectors = self.embed(x)  # (B, T, E)
        if self.input_dropout:
            vectors = F.dropout(vectors, self.input_dropout, self.training)
        outputs, state = unroll(self.layers, vectors, state)  # (B, T, H)
        if self.dropout:
            outputs = F.dropout(outputs, self.dropout, self.training)
        return self.output(outputs), state

    def loss(self, batch: tuple[Tensor, Tensor], state: State | None = None) -> dict[str, Tensor | State]:
        """Cross-entropy in nats per character, accuracy, and the state to go on with.

        The state is cut off from its past: gradients flow back to the beginning of the window and no further
        (truncated back-propagation through time).
        """
        x, targets = batch  # (B, T) both
        logits, state = self.unroll(x, state)
        loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten())
        accuracy = (logits.argmax(2) == targets).float().mean()
        return {"loss": loss, "acc": accuracy, "state": tuple(s.detach() for s in state)}

    def trace(self, text: str) -> list[dict[str, Tensor]]:
        """What each layer held at each character of `text`: `h`, for the LSTM `c`, and the gates, (T, H) each."""
        x = self.encode(text)[None].to(self.output.weight.device)  # (1, T)
        with torch.no_grad():
            _, _, layers = readable(self.layers).trace(self.embed(x))
        return [{name: values[0] for name, values in layer.items()} for layer in layers]
