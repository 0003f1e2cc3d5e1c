"""The English prose of Python's own help topics (`help("assert")`): text for a language model that needs no network.

Source: the Python documentation as shipped in the module pydoc_data.topics; PSF licence. It differs a little from one
Python version to the next: 3.11's prose is quoted in data/README.md.
"""

import re

from torch import nn

from zoo.data.text import TextSet
from zoo.registry import register


@register("pydoc", group="data")
class PyDoc(TextSet):
    """Paragraphs of prose, one a line, without code, tables and grammar; first nine tenths train."""

    licence = "PSF"
    prompt = "The "

    def __init__(self, batch_size: int = 32, sequence_length: int = 64):
        super().__init__(batch_size, sequence_length)

    def read(self) -> str:
        """The paragraphs that are prose."""
        return "".join(paragraph + "\n" for paragraph in paragraphs() if PROSE.fullmatch(paragraph))

    def probe(self, network: nn.Module) -> dict[str, float]:
        """The share of real words among those that the network writes: words that stand in the text.

        2,000 characters, drawn at temperature 0.8 with a fixed seed.
        """
        if not hasattr(network, "generate"):
            return {}
        text = self.sample(network, seed=0, length=2000)
        known = set(re.findall(r"[a-z]+", self.read().lower()))
        words = re.findall(r"[a-z]+", text.lower())[:-1]  # the last may be cut off
        return {"real_words": sum(word in known for word in words) / max(1, len(words))}


PROSE = re.compile(r"""[A-Z][A-Za-z0-9 .,;:'"()_*-]{60,}[.:]""")  # a sentence or more; code has other signs


def paragraphs() -> list[str]:
    """All paragraphs out of the module, each in one line, in the order of its topics."""
    from pydoc_data.topics import topics

    parts = [part for name in sorted(topics) for part in re.split(r"\n\s*\n", topics[name])]
    return [" ".join(part.split()) for part in parts]
