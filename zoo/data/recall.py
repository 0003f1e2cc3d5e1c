"""Recall over a gap: "I grew up in France [...] I speak fluent ..." as symbols (Cyprus U47, U48; Prague C58).

A sequence is blanks, a symbol to be remembered, a gap filled with symbols, and a question mark, at which the first
symbol is asked for. The symbols of the gap are drawn from the same eight, as a text about France names other countries
too: the network has to shut them out, not only to hold on. All sequences are equally long.
"""

import torch
from torch import Tensor, nn

from zoo.data.dataset import DataSet
from zoo.registry import register

SYMBOLS = 8  # tokens 0..7
BLANK, QUESTION = SYMBOLS, SYMBOLS + 1
WRITTEN = "abcdefgh_?"  # how a person writes the tokens


@register("recall", group="data")
class Recall(DataSet):
    """Items (max(gaps) + 3,) int64; the label is the first symbol, 0..7, so that guessing is right one time in 8.

    gaps: symbols between the first and the question; each gap makes up an equal share of every split.
    train_size: sequences to train on, all gaps together; a tenth of it is validation. The test has 500 of each gap.
    """

    licence = "none: drawn symbols"

    def __init__(
        self,
        batch_size: int = 100,
        gaps: list[int] = [1, 2, 3, 5, 10, 20, 50, 100],  # noqa: B006  (read, never changed)
        train_size: int = 16_000,
    ):
        super().__init__(batch_size)
        if not gaps or any(gap < 0 for gap in gaps):
            raise ValueError(f"gaps must be numbers >= 0, one at least, got {list(gaps)}")
        if train_size < 10 * len(gaps):
            raise ValueError(f"train_size must be >= {10 * len(gaps)}, ten for each gap, got {train_size}")
        self.gaps, self.train_size = list(gaps), train_size
        self.transform = {
            "kind": "symbols",
            "vocabulary": WRITTEN,
            "length": max(gaps) + 3,
            "blank": WRITTEN[BLANK],
            "classes": list(WRITTEN[:SYMBOLS]),
        }
        self.provides = {
            "num_classes": SYMBOLS,
            "vocab_size": SYMBOLS + 2,
            "in_features": 0,
            "context_length": max(gaps) + 3,
            "input_shape": [max(gaps) + 3],
        }

    def load(self) -> None:
        """Draw the sequences, always the same."""
        generator = torch.Generator().manual_seed(0)
        sizes = {"train": self.train_size, "val": self.train_size // 10, "test": 500 * len(self.gaps)}
        for part, size in sizes.items():
            drawn = [self.draw(gap, size // len(self.gaps), generator) for gap in self.gaps]
            setattr(self, part, tuple(torch.cat(tensors) for tensors in zip(*drawn, strict=True)))

    def draw(self, gap: int, size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """`size` sequences with this gap, and their first symbols."""
        length = max(self.gaps) + 3
        x = torch.full((size, length), BLANK)
        x[:, length - gap - 2 : -1] = torch.randint(SYMBOLS, (size, gap + 1), generator=generator)
        x[:, -1] = QUESTION
        return x, x[:, length - gap - 2].clone()

    def example_batch(self) -> tuple[Tensor, ...]:
        """Two sequences of blanks."""
        return torch.full((2, max(self.gaps) + 3), BLANK), torch.zeros(2, dtype=torch.int64)

    def probe(self, network: nn.Module) -> dict[str, float]:
        """Accuracy for each gap, as `acc_gap_20`."""
        return {f"acc_gap_{gap}": accuracy for gap, accuracy in self.accuracy_by_gap(network)}

    def accuracy_by_gap(self, network: nn.Module) -> list[tuple[int, float]]:
        """Gap and accuracy of each group of the test set."""
        x, symbols = self.test
        with torch.no_grad():
            right = torch.cat([network(part).argmax(1) for part in x.split(500)]) == symbols
        shares = right.view(len(self.gaps), -1).float().mean(1)  # (gaps,)
        return list(zip(self.gaps, shares.tolist(), strict=True))
