"""A word of few letters, read over and over: the three-letter example of Bombay I25-I34, small enough to print.

Training, validation and test set are the same word: the question is how a net learns it.
"""

import torch
from torch import nn

from zoo.data.dataset import DataSet
from zoo.data.text import encode
from zoo.registry import register


@register("abc", group="data")
class ABC(DataSet):
    """One item of T = len(text) characters; the target of each is the next, and of the last the first.

    text: `abac` needs memory, since b or c may follow an a; `bach` is the word behind the slides' second example,
        whose `h` their alphabet lacks (I32). Of four letters, so that the sequence length is the lecture's 4 (I34).
    repeat: how often an epoch shows it.
    """

    licence = "none: a word"

    def __init__(self, text: str = "abac", repeat: int = 1):
        super().__init__(batch_size=1, repeat=repeat)
        if len(set(text)) < 2:
            raise ValueError(f"text must have two different characters at least, got {text!r}")
        self.text, self.vocabulary = text, "".join(sorted(set(text)))
        self.provides = {
            "vocabulary": self.vocabulary,
            "vocab_size": len(self.vocabulary),
            "context_length": len(text),
            "input_shape": [len(text)],
        }
        self.transform = {"kind": "characters", "vocabulary": self.vocabulary}

    def load(self) -> None:
        """x (1, T) and the targets (1, T)."""
        x = encode(self.text, self.vocabulary)
        self.train = self.val = self.test = (x[None], x.roll(-1)[None])

    def example_batch(self) -> tuple[torch.Tensor, ...]:
        """The word."""
        self.load()
        return self.test

    def report(self, network: nn.Module, seed: int) -> str | None:
        """Back-propagation through time, number by number, of a plain recurrent network."""
        from zoo.lectures.bptt import narrate

        return narrate(network, *self.test)
