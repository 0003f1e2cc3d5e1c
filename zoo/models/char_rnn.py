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

import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.models.recurrent import State, readable, recurrent_layers, unroll
from zoo.registry import register


@register("char_rnn")
class CharRNN(nn.Module):
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
        if len(vocabulary) < 2 or len(set(vocabulary)) < len(vocabulary):
            raise ValueError(f"vocabulary must hold two or more characters, each once, got {vocabulary!r}")
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

    def encode(self, text: str) -> Tensor:
        """Numbers (T,) int64 of the characters. Raises ValueError naming those that the vocabulary lacks."""
        numbers = {character: i for i, character in enumerate(self.vocabulary)}
        if unknown := sorted(set(text) - set(numbers)):
            raise ValueError(f"the vocabulary lacks {', '.join(map(repr, unknown))}; it has {self.vocabulary!r}")
        return torch.tensor([numbers[character] for character in text], dtype=torch.int64)

    def decode(self, numbers: Tensor) -> str:
        """The characters of numbers (T,)."""
        return "".join(self.vocabulary[i] for i in numbers.tolist())

    def generate(
        self,
        prompt: str,
        length: int,
        temperature: float = 1.0,
        top_k: int | None = None,
        generator: torch.Generator | None = None,
    ) -> Iterator[str]:
        """Characters that may follow the prompt, one by one as they are drawn; in eval mode without dropout.

        length: how many. temperature: >= 0; logits are divided by it, 0 always takes the likeliest.
        top_k: draw among the k likeliest only. generator: of the CPU, for draws that can be repeated.
        Raises ValueError, at the call, for a prompt that is empty or holds unknown characters, and values out of range.
        """
        if not prompt:
            raise ValueError("prompt must hold at least one character")
        numbers = self.sample(self.encode(prompt)[None], length, temperature, top_k, generator)
        return (self.vocabulary[int(number)] for number in numbers)

    def sample(
        self,
        x: Tensor,
        length: int,
        temperature: float = 1.0,
        top_k: int | None = None,
        generator: torch.Generator | None = None,
    ) -> Iterator[Tensor]:
        """The same for B prompts x (B, T) of numbers: `length` tensors (B,) int64, each drawn when it is asked for."""
        if length < 0 or not 0 <= temperature < math.inf or not (top_k is None or top_k >= 1):
            rule = "length must be >= 0, temperature a finite number >= 0, top_k >= 1 or None"
            raise ValueError(f"{rule}, got length={length}, temperature={temperature}, top_k={top_k}")
        x = x.to(self.output.weight.device)

        def draw() -> Iterator[Tensor]:
            latest, state = x, None
            for _ in range(length):
                with torch.no_grad():
                    logits, state = self.unroll(latest, state)
                logits = logits[:, -1].float().cpu()  # (B, V), after the last character; drawn alike on any device
                if top_k is not None and top_k < logits.shape[1]:
                    logits = logits.masked_fill(logits < logits.topk(top_k).values[:, -1:], -torch.inf)
                if temperature == 0:
                    drawn = logits.argmax(1, keepdim=True)
                else:
                    drawn = torch.multinomial((logits / temperature).softmax(1), 1, generator=generator)
                yield drawn[:, 0]
                latest = drawn.to(x.device)  # (B, 1)

        return draw()

    def trace(self, text: str) -> list[dict[str, Tensor]]:
        """What each layer held at each character of `text`: `h`, for the LSTM `c`, and the gates, (T, H) each."""
        x = self.encode(text)[None].to(self.output.weight.device)  # (1, T)
        with torch.no_grad():
            _, _, layers = readable(self.layers).trace(self.embed(x))
        return [{name: values[0] for name, values in layer.items()} for layer in layers]
