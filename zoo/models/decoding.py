"""What networks that translate have in common: the special tokens, the loss, and the search for a translation.

Such a network has two methods; the rows R are sentences, or sentences times hypotheses:

start(source (B, S) int64, filled up with PADDING behind) -> state of R = B rows
step(latest (R,) int64, state) -> logits (R, V) of the token that follows `latest`, and the state to go on with

The state is a tuple of tensors whose first dimension is R, so that hypotheses can be copied, re-ordered and dropped.

Source:  Sutskever, Vinyals & Le, Sequence to sequence learning with neural networks, 2014, section 3.2 (beam search);
         comparing hypotheses of different lengths: Wu et al., Google's neural machine translation system, 2016,
         section 7 (their penalty is ((5 + length) / 6)^a, ours length^a).

Shapes: B sentences, S tokens of a source, T tokens of a target, K beam size, R rows, V vocabulary.
"""

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

PADDING, UNKNOWN, BEGIN, END = range(4)

State = tuple[Tensor, ...]


class Translator(Protocol):
    """What `beam_search` asks of a network."""

    def start(self, source: Tensor) -> State:
        """The state before the first token, of source (B, S)."""

    def step(self, latest: Tensor, state: State) -> tuple[Tensor, State]:
        """Logits (R, V) of what follows the tokens `latest` (R,), and the state to go on with."""


def check_source(source: Tensor) -> None:
    """Raises ValueError if source is not (B, S), or a sentence is empty."""
    if source.dim() != 2:
        raise ValueError(f"source must be (B, S) tokens, got {tuple(source.shape)}")
    empty = (source == PADDING).all(1)
    if empty.any():
        raise ValueError(f"every source sentence must hold a token, number {int(empty.int().argmax())} is all PADDING")


def check_target(target: Tensor, source: Tensor) -> None:
    """Raises ValueError if target is not (B, T) for as many sentences as the source."""
    if target.dim() != 2 or len(target) != len(source):
        raise ValueError(f"target must be ({len(source)}, T) tokens, got {tuple(target.shape)}")


def translation_loss(logits: Tensor, targets: Tensor, label_smoothing: float = 0.0) -> dict[str, Tensor]:
    """Mean nats per target token, share of right ones, and how many there are (`items`); PADDING does not count.

    logits: (B, T, V), or (N, V) of chosen tokens. targets: (B, T) or (N,).
    label_smoothing: share of the target's probability that is spread evenly over the vocabulary.
    """
    logits, targets = logits.flatten(0, -2).float(), targets.flatten()  # (N, V), (N,); argmax of bfloat16 is slow
    loss = F.cross_entropy(logits, targets, ignore_index=PADDING, label_smoothing=label_smoothing)
    counts = targets != PADDING
    items = counts.sum()
    return {"loss": loss, "acc": ((logits.argmax(1) == targets) & counts).sum() / items, "items": items}


def beam_search(
    network: Translator,
    source: Tensor,
    beam_size: int = 1,
    max_length: int | None = None,
    length_penalty: float = 1.0,
) -> list[Tensor]:
    """The best translation found of each source sentence: B tensors (T,) int64 on the CPU, without BEGIN and END.

    Each sentence has K live hypotheses. Of all their continuations by one token the K likeliest are kept; those that
    end with END are finished, the others live on. Finished ones compete by

        log p(tokens, END | source) / (number of tokens, END included)^length_penalty

    where p is the network's own probability. The search for a sentence ends as soon as K hypotheses have finished, or
    no live one can win any more: its log p can only fall, so that its score stays below log p / (limit + 1)^penalty.
    A hypothesis of as many tokens as the limit allows is closed with END, whatever that costs. PADDING and BEGIN are
    never produced. beam_size=1 always takes the likeliest token: greedy decoding. A wider beam finds what scores
    better most of the time, not always: it may drop, on the way, what greedy decoding keeps.

    source: (B, S) int64, filled up with PADDING. A sentence's translation does not depend on the others beside it.
    beam_size: K >= 1.
    max_length: limit of a translation's tokens, without END; None: 10 more than twice the source's. In either case no
        more than a network that says its `context_length` can look at.
    length_penalty: in [0, 10]; 0 prefers short translations, 1 compares by the mean per token, more prefers long ones.
    Raises ValueError for values out of range.
    """
    if source.dim() != 2 or not len(source):
        raise ValueError(f"source must be one or more sentences (B, S), got {tuple(source.shape)}")
    if beam_size < 1:
        raise ValueError(f"beam_size must be >= 1, got {beam_size}")
    if max_length is not None and max_length < 1:
        raise ValueError(f"max_length must be >= 1, or None, got {max_length}")
    if not 0 <= length_penalty <= 10:
        raise ValueError(f"length_penalty must lie in [0, 10], got {length_penalty}")
    with torch.no_grad():
        return search(network, source, beam_size, max_length, length_penalty)


def search(
    network: Translator, source: Tensor, beam_size: int, max_length: int | None, length_penalty: float
) -> list[Tensor]:
    """The search itself; a sentence whose search has ended leaves the batch."""
    limits = 2 * (source != PADDING).sum(1) + 10  # (B,)
    if max_length is not None:
        limits = torch.full_like(limits, max_length)
    if (context := getattr(network, "context_length", None)) is not None:
        limits = limits.clamp(max=context - 1)  # BEGIN takes one place
    found = source.new_full((len(source), int(limits.max()) + 1), PADDING)
    best = torch.full(limits.shape, -torch.inf, device=source.device)  # (B,) score of what is found
    finished = torch.zeros_like(limits)  # (B,) how many
    left = torch.arange(len(source), device=source.device)  # (B,) which sentences are still searched for

    state = copies(network.start(source), left.repeat_interleave(beam_size))  # B -> R = B K rows
    tokens = source.new_full((len(source), beam_size, 1), BEGIN)  # (B, K, 1 + length)
    live = torch.full((len(source), beam_size), -torch.inf, device=source.device)  # (B, K) log p
    live[:, 0] = 0.0  # at the beginning all K are the same: one is enough

    for length in range(1, found.shape[1] + 1):
        logits, state = network.step(tokens[:, :, -1].flatten(), state)
        gains = logits.float().log_softmax(1).view(*live.shape, -1)  # (B, K, V)
        gains[:, :, [PADDING, BEGIN]] = -torch.inf
        closing = torch.arange(gains.shape[2], device=source.device) != END  # (V,)
        gains.masked_fill_((length > limits)[:, None, None] & closing, -torch.inf)
        live, choice = (live[:, :, None] + gains).flatten(1).topk(beam_size)  # (B, K V) -> (B, K)
        beam, token = choice // gains.shape[2], choice % gains.shape[2]
        tokens = torch.cat([tokens.gather(1, beam[:, :, None].expand_as(tokens)), token[:, :, None]], 2)

        ended = (token == END) & (live > -torch.inf)
        score, place = live.masked_fill(~ended, -torch.inf).div(length**length_penalty).max(1)  # (B,)
        better = score > best
        found[left[better], :length] = tokens[better, place[better], 1:]  # longer than what it replaces
        best = torch.maximum(best, score)
        finished += ended.sum(1)
        live = live.masked_fill(ended, -torch.inf)

        hope = live.max(1).values / (limits + 1.0) ** length_penalty > best
        on = (hope & (finished < beam_size)).nonzero()[:, 0]  # (B',) sentences that go on
        if not len(on):
            break
        state = copies(state, (on[:, None] * beam_size + beam[on]).flatten())  # R -> B' K rows
        tokens, live, best, finished, limits, left = (x[on] for x in (tokens, live, best, finished, limits, left))
    return [row[(row != PADDING) & (row != END)] for row in found.cpu()]


def copies(state: State, rows: Tensor) -> State:
    """The state of these rows, in this order."""
    return tuple(part.index_select(0, rows) for part in state)
