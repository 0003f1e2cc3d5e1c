"""The adding problem: two of many numbers are marked, and their sum is asked for at the end (Cyprus U48, Prague C58).

Source: Hochreiter & Schmidhuber, Long short-term memory, 1997, section 5.4, in the form of Le, Jaitly & Hinton 2015.
"""

import torch
from torch import Tensor

from zoo.data.dataset import DataSet
from zoo.registry import register


@register("adding", group="data")
class Adding(DataSet):
    """Items (length, 2) float32: a number in [0, 1) and a mark, 1 twice (once in each half), else 0; the label is the
    sum of the marked numbers, float32. Always answering 1 gives a squared error of 1/6 = 0.167.

    length: numbers in a sequence, >= 2. train_size: sequences to train on; a tenth of it is validation, 1,000 are test.
    """

    licence = "none: drawn numbers"

    def __init__(self, batch_size: int = 100, length: int = 50, train_size: int = 10_000):
        super().__init__(batch_size)
        if length < 2 or train_size < 10:
            raise ValueError(f"length must be >= 2 and train_size >= 10, got {length} and {train_size}")
        self.length, self.train_size = length, train_size
        self.provides = {
            "num_classes": 0,
            "vocab_size": 0,
            "in_features": 2,
            "context_length": length,
            "input_shape": [length, 2],
        }

    def load(self) -> None:
        """Draw the sequences, always the same."""
        generator = torch.Generator().manual_seed(0)
        for part, size in (("train", self.train_size), ("val", self.train_size // 10), ("test", 1000)):
            numbers = torch.rand(size, self.length, generator=generator)
            half = self.length // 2
            marks = torch.zeros(size, self.length)
            marks.scatter_(1, torch.randint(half, (size, 1), generator=generator), 1.0)
            marks.scatter_(1, torch.randint(half, self.length, (size, 1), generator=generator), 1.0)
            setattr(self, part, (torch.stack((numbers, marks), 2), (numbers * marks).sum(1)))

    def example_batch(self) -> tuple[Tensor, ...]:
        """Two sequences of zeros."""
        return torch.zeros(2, self.length, 2), torch.zeros(2)
