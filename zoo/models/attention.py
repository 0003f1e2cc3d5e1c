"""Attention and the blocks that a Transformer is made of, to be read (`attention`) and to be fast (PyTorch's kernels).

A query asks, a key answers how well it fits, and what is handed over is the mean of the values, weighted by the fit
(Shanghai S42-S45; Vaswani et al., Attention is all you need, 2017, section 3.2):

attention(Q, K, V) = softmax(Q K^T / sqrt(d)) V

d is the number of coordinates per head; the dot product is a cosine only between unit vectors (S43). Self-attention
asks the sequence itself, cross-attention another one, here called the memory. Without a mask nothing in it knows an
order: permute the input and the output is permuted alike, so positions are added (S42).

On a CPU with bfloat16 the written-out form is the faster one; on a GPU the fused kernel is, whose backward pass may add
in another order each time: there a continued run is not the same to the bit.

Shapes: B batch, T positions that ask, S positions that are asked, D hidden size, A heads, d = D / A.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.models.dropout import Dropout

ACTIVATIONS = {"relu": F.relu, "gelu": F.gelu}
Pair = tuple[Tensor, Tensor]  # keys and values, each (B, A, S, d)


def attention_weights(q: Tensor, k: Tensor, mask: Tensor | None = None) -> Tensor:
    """softmax(Q K^T / sqrt(d)): (B, A, T, S), whose rows add up to 1, of q (B, A, T, d) and k (B, A, S, d).

    mask: bool, of a shape that broadcasts to (B, A, T, S); True where a query may look.
    """
    scores = (q / math.sqrt(q.shape[-1])) @ k.transpose(-2, -1)  # (B, A, T, S); q has fewer numbers to divide
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    return scores.softmax(-1)


def attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    """Answers (B, A, T, d): the mean of the values v (B, A, S, d) with those weights."""
    return attention_weights(q, k, mask) @ v


def causal_mask(queries: int, keys: int, device: torch.device) -> Tensor:
    """(T, S) bool: the last query sees all keys, the one before all but the last, and so on."""
    return torch.ones(queries, keys, dtype=torch.bool, device=device).tril(keys - queries)


class MultiHeadAttention(nn.Module):
    """A attentions side by side, each on its own d = D / A coordinates of Q, K and V (S45).

    4 D^2 weights and, with bias, 4 D more, whatever the number of heads.

    hidden_size: D. num_heads: A, which must divide it.
    dropout: probability that a weight is set to zero while training.
    implementation: fused (F.scaled_dot_product_attention) | reference (`attention`).
    """

    def __init__(
        self, hidden_size: int, num_heads: int, dropout: float = 0.0, bias: bool = True, implementation: str = "fused"
    ):
        super().__init__()
        self.num_heads, self.dropout, self.implementation = num_heads, Dropout(dropout), implementation
        self.query = nn.Linear(hidden_size, hidden_size, bias)
        self.key_value = nn.Linear(hidden_size, 2 * hidden_size, bias)
        self.output = nn.Linear(hidden_size, hidden_size, bias)

    def heads(self, x: Tensor) -> Tensor:
        """(B, T, D) cut into (B, A, T, d)."""
        return x.unflatten(2, (self.num_heads, -1)).transpose(1, 2)

    def keys_values(self, x: Tensor) -> Pair:
        """Keys and values (B, A, S, d) of what is asked, x (B, S, D)."""
        k, v = self.key_value(x).chunk(2, 2)
        return self.heads(k), self.heads(v)

    def weights(self, x: Tensor, keys: Tensor, mask: Tensor | None = None, causal: bool = False) -> Tensor:
        """How much each head looks where: (B, A, T, S). Arguments as in `forward`."""
        q = self.heads(self.query(x))
        return attention_weights(q, keys, causal_mask(q.shape[2], keys.shape[2], x.device) if causal else mask)

    def forward(
        self, x: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None = None, causal: bool = False
    ) -> Tensor:
        """Answers (B, T, D) for those that ask, x (B, T, D).

        mask: as in `attention_weights`. causal: in its stead, no query sees keys behind its own place (`causal_mask`).
        """
        if self.implementation == "reference":
            answers = self.dropout(self.weights(x, keys, mask, causal)) @ values
        else:
            q, dropout = self.heads(self.query(x)), self.dropout.p if self.training else 0.0
            whole = q.shape[2] == keys.shape[2]  # without a past: the fastest kernels know this mask by its name
            if causal and not whole:
                mask = causal_mask(q.shape[2], keys.shape[2], x.device)
            answers = F.scaled_dot_product_attention(q, keys, values, mask, dropout, is_causal=causal and whole)
        return self.output(answers.transpose(1, 2).flatten(2))  # (B, T, D)


class Block(nn.Module):
    """Self-attention, where wanted cross-attention to a memory, and two linear layers at each position.

    Each of these is added to what came in (a residual connection), so that there is a straight way from the first layer
    to the last. norm=pre normalises what goes into each (GPT-2; Xiong et al., On layer normalization in the transformer
    architecture, 2020), norm=post the sum, as in 2017.
    """

    def __init__(
        self, *, hidden_size: int, num_heads: int, feedforward_size: int, dropout: float, attention_dropout: float,
        norm: str, activation: str, implementation: str, bias: bool = True, with_memory: bool = False,
    ):  # fmt: skip
        super().__init__()
        self.pre, self.activation = norm == "pre", ACTIVATIONS[activation]
        self.drop = Dropout(dropout)
        options = (hidden_size, num_heads, attention_dropout, bias, implementation)
        self.attention, self.attention_norm = MultiHeadAttention(*options), nn.LayerNorm(hidden_size, bias=bias)
        if with_memory:
            self.memory_attention = MultiHeadAttention(*options)
            self.memory_norm = nn.LayerNorm(hidden_size, bias=bias)
        self.feedforward_norm = nn.LayerNorm(hidden_size, bias=bias)
        self.expand = nn.Linear(hidden_size, feedforward_size, bias)
        self.contract = nn.Linear(feedforward_size, hidden_size, bias)

    def before(self, norm: nn.Module, x: Tensor) -> Tensor:
        """What goes into a sublayer."""
        return norm(x) if self.pre else x

    def after(self, norm: nn.Module, x: Tensor) -> Tensor:
        """What becomes of the sum."""
        return x if self.pre else norm(x)

    def attend(
        self, x: Tensor, mask: Tensor | None = None, causal: bool = False, past: Pair | None = None
    ) -> tuple[Tensor, Pair]:
        """x (B, T, D) after it has looked at itself and its past; and keys and values of both, for the next step."""
        y = self.before(self.attention_norm, x)
        k, v = self.attention.keys_values(y)
        if past is not None:
            k, v = torch.cat([past[0], k], 2), torch.cat([past[1], v], 2)
        answers = self.attention(y, k, v, mask, causal)
        return self.after(self.attention_norm, x + self.drop(answers)), (k, v)

    def attend_memory(self, x: Tensor, memory: Pair, mask: Tensor | None) -> Tensor:
        """x (B, T, D) after it has looked at the keys and values of a memory."""
        answers = self.memory_attention(self.before(self.memory_norm, x), *memory, mask)
        return self.after(self.memory_norm, x + self.drop(answers))

    def feed_forward(self, x: Tensor) -> Tensor:
        """x (B, T, D) after the two linear layers."""
        y = self.contract(self.activation(self.expand(self.before(self.feedforward_norm, x))))
        return self.after(self.feedforward_norm, x + self.drop(y))

    def forward(self, x: Tensor, mask: Tensor | None = None, causal: bool = False) -> Tensor:
        """x (B, T, D) after self-attention and the two linear layers: a layer without memory and past."""
        return self.feed_forward(self.attend(x, mask, causal)[0])

    def weights(self, x: Tensor, mask: Tensor | None = None, causal: bool = False) -> Tensor:
        """How much each head of the self-attention looks where: (B, A, T, T)."""
        y = self.before(self.attention_norm, x)
        return self.attention.weights(y, self.attention.keys_values(y)[0], mask, causal)

    def memory_weights(self, x: Tensor, memory: Pair, mask: Tensor | None) -> Tensor:
        """How much each head looks where in the memory: (B, A, T, S), for x from `attend`."""
        return self.memory_attention.weights(self.before(self.memory_norm, x), memory[0], mask)


def blocks(num_layers: int, **options: int | float | str | bool) -> nn.ModuleList:
    """L of `Block`; weights start as in Glorot & Bengio 2010, which suits embeddings of variance 1; biases at zero."""
    stack = nn.ModuleList(Block(**options) for _ in range(num_layers))
    for name, parameter in stack.named_parameters():
        if parameter.dim() == 2:
            nn.init.xavier_uniform_(parameter)
        elif name.endswith("bias"):
            nn.init.zeros_(parameter)
    return stack


class Positions(nn.Module):
    """What is added to the vector at each place so that the order can be seen (S42).

    kind: learned (one vector per place, as in GPT-2 and BERT) | sinusoidal (2017, section 3.5) | none.
    context_length: places.
    scale: of the vectors that it is added to: much larger, and the places would drown what stands there.
    """

    def __init__(self, kind: str, context_length: int, hidden_size: int, scale: float = 1.0):
        super().__init__()
        if kind == "learned":
            self.table = nn.Parameter(scale * torch.randn(context_length, hidden_size))
        else:
            self.register_buffer("table", scale * sinusoids(context_length, hidden_size) if kind != "none" else None)

    def forward(self, x: Tensor, first: int = 0) -> Tensor:
        """x (B, T, D), whose first vector stands at place `first`, with the positions added."""
        return x if self.table is None else x + self.table[first : first + x.shape[1]]


def sinusoids(context_length: int, hidden_size: int) -> Tensor:
    """PE(place, 2i) = sin(place / 10000^(2i/D)), PE(place, 2i+1) = cos of the same: (context_length, D)."""
    places = torch.arange(context_length)[:, None]  # (T, 1)
    rates = 10_000.0 ** (-torch.arange(0, hidden_size, 2) / hidden_size)  # (D/2,)
    return torch.stack([torch.sin(places * rates), torch.cos(places * rates)], 2).flatten(1)[:, :hidden_size]


def check_arguments(
    *, hidden_size: int, num_heads: int, num_layers: int, feedforward_size: int, context_length: int, dropout: float,
    attention_dropout: float, position: str, norm: str, activation: str, implementation: str,
) -> None:  # fmt: skip
    """What every Transformer asks of its arguments. Raises ValueError that names the value and the rule."""
    sizes = {"hidden_size": hidden_size, "num_heads": num_heads, "num_layers": num_layers}
    for name, size in {**sizes, "feedforward_size": feedforward_size, "context_length": context_length}.items():
        if size < 1:
            raise ValueError(f"{name} must be >= 1, got {size}")
    if hidden_size % num_heads:
        raise ValueError(f"hidden_size must be a multiple of num_heads, got {hidden_size} and {num_heads}")
    for name, share in (("dropout", dropout), ("attention_dropout", attention_dropout)):
        if not 0 <= share < 1:
            raise ValueError(f"{name} must lie in [0, 1), got {share}")
    for name, value, valid in (
        ("position", position, ("learned", "sinusoidal", "none")),
        ("norm", norm, ("pre", "post")),
        ("activation", activation, tuple(ACTIVATIONS)),
        ("implementation", implementation, ("fused", "reference")),
    ):
        if value not in valid:
            raise ValueError(f"{name} must be one of {', '.join(valid)}, got {value!r}")
