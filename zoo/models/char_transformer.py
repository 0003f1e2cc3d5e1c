"""Character language model without recurrence: each character looks back at all before it (the decoder alone, GPT).

Lecture: Shanghai S42-S46.
Source:  Vaswani et al., Attention is all you need, 2017; as a language model: Radford et al., Improving language
         understanding by generative pre-training, 2018; of characters: Karpathy, nanoGPT, 2022. The blocks stand in
         zoo/models/attention.py.
Input:   x (B, T) int64, positions in the vocabulary, T <= C.
Output:  logits (B, T, V) float32 of the character that follows each.
Result:  configs/experiment/pydoc_transformer.yaml, shakespeare_transformer.yaml, shakespeare_transformer_gpu.yaml.
Differs: dropout of the attention weights is an argument of its own (2017: none; nanoGPT: the same as `dropout`).

Shapes: B batch, T positions, S characters so far, V vocabulary, D hidden size, A heads, d = D / A, L layers, C context.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.models.attention import Positions, blocks, check_arguments
from zoo.models.characters import CharacterModel
from zoo.models.dropout import Dropout
from zoo.registry import register

START = 0.02  # deviation of the weights at the start, GPT-2's
State = tuple[Tensor, ...]  # keys and values of layer 1, of layer 2, ...


@register("char_transformer")
class CharTransformer(CharacterModel):
    """The decoder alone: each character looks at itself and those before it, and the next is predicted.

    The state that `unroll` hands on is the cache of keys and values of all characters read so far.

    vocabulary: the V characters that it knows, each once, in the order of their numbers.
    context_length: C, how many characters it can look at; the length of the windows that it is trained on.
    hidden_size: D. num_heads: A, which must divide it. num_layers: L.
    feedforward_size: of the two linear layers at each position; 0: 4 D.
    dropout: probability in [0, 1) that an output of a sublayer, or of the embedding, is set to zero while training.
    attention_dropout: the same for the weights of the attention.
    position: learned | sinusoidal | none (that it looks only back tells it something of the order even so).
    norm: pre | post. activation: relu | gelu.
    bias: False leaves the biases out, as nanoGPT does.
    implementation: fused (PyTorch's kernel) | reference (softmax(QK^T / sqrt(d)) V written out).
    """

    def __init__(
        self,
        vocabulary: str,
        context_length: int,
        hidden_size: int = 128,
        num_heads: int = 4,
        num_layers: int = 4,
        feedforward_size: int = 0,
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        position: str = "learned",
        norm: str = "pre",
        activation: str = "gelu",
        bias: bool = True,
        implementation: str = "fused",
    ):
        super().__init__()
        self.check_vocabulary(vocabulary)
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
        self.vocabulary, self.context_length = vocabulary, context_length
        self.embedding = nn.Embedding(len(vocabulary), hidden_size)
        self.positions = Positions(position, context_length, hidden_size, START)
        self.drop = Dropout(dropout)
        self.blocks = blocks(num_layers, bias=bias, **options)
        self.norm = nn.LayerNorm(hidden_size, bias=bias) if norm == "pre" else nn.Identity()
        self.output = nn.Linear(hidden_size, len(vocabulary), bias=False)
        self.output.weight = self.embedding.weight  # one matrix for reading and writing (Press & Wolf, 2017)
        self.start_small()

    def start_small(self) -> None:
        """All weights from N(0, START^2); what is added up along the way smaller by the root of how many (GPT-2)."""
        for name, parameter in self.named_parameters():
            if parameter.dim() == 2:
                is_added = name.endswith(("attention.output.weight", "contract.weight"))
                nn.init.normal_(parameter, std=START / (2 * len(self.blocks)) ** 0.5 if is_added else START)

    @property
    def example_input(self) -> Tensor:
        """Two texts of as many characters as it can look at."""
        return torch.zeros(2, self.context_length, dtype=torch.int64)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, T, V) of the character after each of x (B, T). Raises ValueError if T > C."""
        return self.unroll(x)[0]

    def unroll(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Logits (B, T, V) for x (B, T), and keys and values (2 L tensors (B, A, S, d)) of all S characters so far."""
        first = 0 if state is None else state[0].shape[2]
        if first + x.shape[1] > self.context_length:
            given = f"{first + x.shape[1]} characters"
            raise ValueError(f"the network looks at {self.context_length} characters at most, got {given}")
        h = self.drop(self.positions(self.embedding(x), first))  # (B, T, D)
        cache: State = ()
        for i, block in enumerate(self.blocks):
            h, pair = block.attend(h, causal=True, past=None if state is None else state[2 * i : 2 * i + 2])
            h = block.feed_forward(h)
            cache += pair
        return self.output(self.norm(h)), cache

    def loss(self, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        """Cross-entropy in nats per character, and accuracy.

        Longer texts (B, T > C) are cut into windows of C characters, each read without what was before it: a character
        is then predicted from half a context on average, as nanoGPT measures.
        """
        x, targets = batch  # (B, T) both
        if x.shape[1] > self.context_length:
            missing = -x.shape[1] % self.context_length
            x = F.pad(x, (0, missing)).view(-1, self.context_length)
            targets = F.pad(targets, (0, missing), value=-100).view(-1, self.context_length)  # -100 does not count
        logits = self(x)
        loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten())
        right = logits.argmax(2) == targets
        return {"loss": loss, "acc": right.sum() / (targets >= 0).sum()}

    def attention_maps(self, x: Tensor) -> list[Tensor]:
        """How much each character looks at which: L tensors (B, A, T, T), for x (B, T)."""
        h, maps = self.positions(self.embedding(x)), []
        for block in self.blocks:
            maps.append(block.weights(h, causal=True))
            h = block(h, causal=True)
        return maps
