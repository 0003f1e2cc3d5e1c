"""Python's own help topics as a corpus: word vectors that need no network.

Source: the Python documentation as shipped in the module pydoc_data.topics; PSF licence. It differs a little from one
Python version to the next. Here all of it is read, in small letters: a paragraph is a sentence, a word is a run of
letters and underscores.
"""

import re
from collections.abc import Iterator
from functools import cached_property
from typing import Any

from torch import nn

from zoo.data.corpus import WordSet
from zoo.data.numbering import BLOCK
from zoo.data.pydoc import paragraphs
from zoo.registry import register

# Ours: words that whoever knows Python would put side by side.
RELATED = """int float, list tuple, tuple dictionary, read write, left right, true false, raise except, try finally,
class instance, module package, method function, keys values, start stop, argument parameter, first second,
global local, bytes string, string unicode, subclass base, integer integers, object objects, get set, if else,
while for, break continue, upper lower, bit bits, generator iterator, coroutine asynchronous, mapping sequence,
name names, exception exceptions, call called, return returns, yield expression"""


@register("pydoc_words", group="data")
class PyDocWords(WordSet):
    """Some 64,000 words, 1,350 different ones that stand there five times or more.

    batch_size: runs of 256 words. min_count: rarer words are left out. held_out: share of the runs that is not trained
        on. cache: folder for the numbered text.
    """

    licence = "PSF"
    queries = ("int", "list", "true", "class", "raise", "left", "import", "generator")

    def __init__(
        self, batch_size: int = 256, min_count: int = 5, held_out: float = 0.01, cache: str = "runs/corpora"
    ):  # fmt: skip
        super().__init__(batch_size, min_count, None, held_out, [], None, cache, None)
        self.related = [pair.split() for pair in RELATED.split(",")]

    @cached_property
    def text(self) -> bytes:
        """The topics, read once for the key and the blocks."""
        return "".join(" ".join(re.findall(r"[a-z_]+", part.lower())) + "\n" for part in paragraphs()).encode()

    @property
    def key(self) -> list[Any]:
        """The text itself, which is small."""
        return [self.text.decode()]

    def blocks(self) -> Iterator[tuple[bytes, float]]:
        """In pieces."""
        text = self.text
        for start in range(0, len(text), BLOCK):
            yield text[start : start + BLOCK], (start + BLOCK) / len(text)

    def probe(self, network: nn.Module) -> dict[str, float]:
        """Of all words, the share that is farther from a word than its partner in RELATED; chance is 0.5.

        Mean over the pairs whose two words are known, in both directions.
        """
        numbers, unit = network.numbers, network.unit_vectors()
        pairs = [(numbers[a], numbers[b]) for a, b in self.related if a in numbers and b in numbers]
        shares = []
        for a, b in pairs + [(b, a) for a, b in pairs]:
            cosines = unit @ unit[a]  # (V,)
            shares.append(float((cosines < cosines[b]).sum()) / (len(unit) - 2))  # not the two words themselves
        return {"related": sum(shares) / max(1, len(shares)), "related/covered": len(pairs)}
