"""The Transformer of 2017: an encoder reads a sentence, a decoder writes its translation, both by attention alone.

Lecture: Shanghai S42-S46; the task: Barcelona R19.
Source:  Vaswani et al., Attention is all you need, 2017. The blocks stand in zoo/models/attention.py.
Input:   source (B, S) and target (B, T) int64, tokens of one vocabulary, filled up with PADDING.
Output:  logits (B, T, V) float32 of the token that follows each of the target.
Result:  configs/experiment/multi30k_transformer.yaml, multi30k_transformer_gpu.yaml.
Differs: smaller by default (2017: 6 layers, D = 512); norm, activation and position are arguments, whose defaults are
         those of 2017; dropout of the attention weights is another (2017: none); weights start as in Glorot 2010.

Shapes: B batch, S source tokens, T target tokens, V vocabulary, D hidden size, A heads, d = D / A, L layers, C context.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.models.attention import Positions, blocks, check_arguments
from zoo.models.decoding import BEGIN, END, PADDING, beam_search, check_source, check_target, translation_loss
from zoo.models.dropout import Dropout
from zoo.registry import register

State = tuple[Tensor, ...]  # the source's mask; keys and values of the source, layer by layer; the same of the target


@register("transformer")
class Transformer(nn.Module):
    """Encoder and decoder of 2017: the decoder looks at what it has written and at all of the encoder's vectors.

    vocab_size: V, one vocabulary for both languages; its special tokens stand in zoo/models/decoding.py.
    hidden_size: D. num_heads: A, which must divide it. num_layers: L of the encoder, and as many of the decoder.
    feedforward_size: of the two linear layers at each position; 0: 4 D.
    context_length: C, the longest sentence.
    dropout: probability in [0, 1) that an output of a sublayer, or of the embedding, is set to zero while training.
    attention_dropout: the same for the weights of the attention.
    label_smoothing: share of the target's probability that is spread over all words while training (5.4).
    position: learned | sinusoidal | none. norm: pre | post. activation: relu | gelu.
    implementation: fused | reference.
    """

    def __init__(
        self,
        vocab_size: int,
        hidden_size: int = 256,
        num_heads: int = 4,
        num_layers: int = 3,
        feedforward_size: int = 0,
        context_length: int = 256,
        dropout: float = 0.1,
        attention_dropout: float = 0.0,
        label_smoothing: float = 0.1,
        position: str = "sinusoidal",
        norm: str = "post",
        activation: str = "relu",
        implementation: str = "fused",
    ):
        super().__init__()
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
        if vocab_size <= END + 1:
            raise ValueError(f"vocab_size must be >= {END + 2} (four special tokens and a word), got {vocab_size}")
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"label_smoothing must lie in [0, 1), got {label_smoothing}")
        self.hidden_size, self.context_length, self.label_smoothing = hidden_size, context_length, label_smoothing
        self.embedding = nn.Embedding(vocab_size, hidden_size)  # of source and target; its transpose is the output
        nn.init.normal_(self.embedding.weight, std=hidden_size**-0.5)
        self.positions = Positions(position, context_length, hidden_size)
        self.drop = Dropout(dropout)
        self.encoder = blocks(num_layers, **options)
        self.decoder = blocks(num_layers, with_memory=True, **options)
        pre = norm == "pre"
        self.encoder_norm, self.decoder_norm = (nn.LayerNorm(hidden_size) if pre else nn.Identity() for _ in range(2))

    @property
    def example_input(self) -> Tensor:
        """Two source sentences of three tokens."""
        return torch.full((2, 3), END + 1)

    def forward(self, source: Tensor, target: Tensor | None = None) -> Tensor:
        """Logits (B, T, V) of the token after each of target (B, T), for source (B, S), filled up with PADDING.

        target: begins with BEGIN; None: that alone, T = 1.
        Raises ValueError for other shapes, and for a sentence that is empty or longer than C.
        """
        state = self.start(source)
        if target is None:
            target = source.new_full((len(source), 1), BEGIN)
        check_target(target, source)
        return self.output(self.decode(target, state)[0])

    def embed(self, x: Tensor, first: int = 0) -> Tensor:
        """Vectors (B, T, D) of tokens x (B, T) that stand at `first` and after it; scaled as in section 3.4."""
        if first + x.shape[1] > self.context_length:
            given = first + x.shape[1]
            raise ValueError(f"the network takes sentences of {self.context_length} tokens at most, got {given}")
        return self.drop(self.positions(self.embedding(x) * math.sqrt(self.hidden_size), first))

    def start(self, source: Tensor) -> State:
        """What the decoder needs of source (B, S): each of its layers' keys and values (B, A, S, d), and the mask."""
        check_source(source)
        mask = (source != PADDING)[:, None, None]  # (B, 1, 1, S)
        h = self.embed(source)
        for block in self.encoder:
            h = block(h, mask)
        h = self.encoder_norm(h)
        pairs = [block.memory_attention.keys_values(h) for block in self.decoder]
        return (mask, *(tensor for pair in pairs for tensor in pair))

    def decode(self, target: Tensor, state: State) -> tuple[Tensor, State]:
        """Features (B, T, D) for target (B, T), and the state with keys and values of all that is written so far."""
        mask, count = state[0], 2 * len(self.decoder)
        memory, past = state[1 : 1 + count], state[1 + count :]
        first = past[0].shape[2] if past else 0
        h = self.embed(target, first)
        cache: State = ()
        for i, block in enumerate(self.decoder):
            pair = slice(2 * i, 2 * i + 2)  # of this layer
            h, now = block.attend(h, causal=True, past=past[pair] if past else None)
            h = block.feed_forward(block.attend_memory(h, memory[pair], mask))
            cache += now
        return self.decoder_norm(h), (mask, *memory, *cache)

    def output(self, features: Tensor) -> Tensor:
        """Logits (..., V) of features (..., D): how well each token's own vector fits."""
        return F.linear(features, self.embedding.weight)

    def step(self, latest: Tensor, state: State) -> tuple[Tensor, State]:
        """Logits (B, V) of the token after `latest` (B,), and the state to go on with."""
        features, state = self.decode(latest[:, None], state)
        return self.output(features[:, 0]), state

    def loss(self, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        """Mean nats per target token, and accuracy, of (source (B, S), target (B, T + 1)): BEGIN ... END, PADDING."""
        source, target = batch
        latest, following = target[:, :-1], target[:, 1:]  # (B, T) both
        features, _ = self.decode(latest, self.start(source))
        counts = following != PADDING
        logits = self.output(features[counts])  # (N, V): the largest product by far is spared what does not count
        return translation_loss(logits, following[counts], self.label_smoothing if self.training else 0.0)

    def translate(
        self, source: Tensor, beam_size: int = 1, max_length: int | None = None, length_penalty: float = 1.0
    ) -> list[Tensor]:
        """The translations found of source (B, S): B tensors (T,) int64 on the CPU, see `beam_search`; in eval mode."""
        return beam_search(self, source.to(self.embedding.weight.device), beam_size, max_length, length_penalty)

    def attention_maps(self, source: Tensor, target: Tensor) -> list[Tensor]:
        """How much each target token (B, T) looks at which source token: L tensors (B, A, T, S)."""
        mask, *memory = self.start(source)
        h, maps = self.embed(target), []
        for i, block in enumerate(self.decoder):
            pair = memory[2 * i : 2 * i + 2]  # of this layer
            h = block.attend(h, causal=True)[0]
            maps.append(block.memory_weights(h, pair, mask))
            h = block.feed_forward(block.attend_memory(h, pair, mask))
        return maps
