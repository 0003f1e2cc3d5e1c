"""What somebody else does with a fault: a row beside ours in docs/reliability.md."""

from typing import NamedTuple


class Row(NamedTuple):
    """How many of so many trials of a fault somebody else takes as it must be, and what happens."""

    fault: str
    who: str
    right: int
    trials: int
    words: str
