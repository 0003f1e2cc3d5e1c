"""Words instead of characters: tokenizer and vocabulary of torchtext, the only file that imports it.

torchtext 0.6.0 is its last release in pure Python, and it has no successor; `basic_english` lowers the case and sets
punctuation apart, a `Vocab` numbers words by their frequency. It is imported when a text of words is read, not before:
nothing else shall depend on it.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

PADDING, UNKNOWN = "<pad>", "<unk>"  # numbers 0 and 1


def tokenize(texts: Iterable[str]) -> list[list[str]]:
    """The words and punctuation marks of each text, in lower case."""
    from torchtext.data.utils import get_tokenizer

    tokenizer = get_tokenizer("basic_english")
    return [tokenizer(text) for text in texts]


def vocabulary_of(texts: Iterable[list[str]], max_size: int, min_frequency: int = 2) -> list[str]:
    """The commonest words of tokenized texts, at most `max_size`, after the two special ones."""
    from torchtext.vocab import Vocab

    counts = Counter(word for words in texts for word in words)
    return Vocab(counts, max_size, min_freq=min_frequency, specials=[PADDING, UNKNOWN]).itos


def encode(texts: Iterable[str], transform: dict[str, Any]) -> tuple[Tensor, Tensor]:
    """Numbers (N, max_length) int64 of the last words of each text, filled up with 0, and how many (N,) int64, >= 1.

    transform: what a data set of words says of itself and a checkpoint keeps, so that a trained network can be asked
    about other texts: `net(*encode(["good, not bad at all"], net.card["transform"]))`.
    """
    places = {word: i for i, word in enumerate(transform["vocabulary"])}
    longest = transform["max_length"]
    rows = [[places.get(word, 1) for word in words[-longest:]] or [1] for words in tokenize(texts)]
    x = torch.zeros(len(rows), longest, dtype=torch.int64)
    for i, row in enumerate(rows):
        x[i, : len(row)] = torch.tensor(row)
    return x, torch.tensor([len(row) for row in rows])
