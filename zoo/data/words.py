"""Words instead of characters: tokenizer and vocabulary of torchtext, the only file that imports it.

torchtext 0.6.0 is its last release in pure Python, and it has no successor; `basic_english` lowers the case and sets
punctuation apart, a `Vocab` numbers words by their frequency.
"""

from collections import Counter
from collections.abc import Iterable

from torchtext.data.utils import get_tokenizer
from torchtext.vocab import Vocab

PADDING, UNKNOWN = "<pad>", "<unk>"  # numbers 0 and 1

tokenize = get_tokenizer("basic_english")


def vocabulary_of(texts: Iterable[list[str]], max_size: int, min_frequency: int = 2) -> list[str]:
    """The commonest words of tokenized texts, at most `max_size`, after the two special ones."""
    counts = Counter(word for words in texts for word in words)
    return Vocab(counts, max_size, min_freq=min_frequency, specials=[PADDING, UNKNOWN]).itos


def numbers_of(words: list[str], places: dict[str, int]) -> list[int]:
    """Places of the words in the vocabulary; those that it lacks become <unk>."""
    return [places.get(word, 1) for word in words]
