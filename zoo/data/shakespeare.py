"""Tiny Shakespeare: a million characters of plays, the usual text for small language models.

Source: A. Karpathy, char-rnn, 2015, out of Shakespeare's works; public domain.
"""

from zoo.data.fetch import File, fetch
from zoo.data.text import TextSet, read_text
from zoo.registry import register

URL = "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt"
FILE = File(
    "tinyshakespeare.txt", "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed", 1_115_394
)  # fmt: skip


@register("shakespeare", group="data")
class Shakespeare(TextSet):
    """1,115,394 characters, 65 different ones; first 90 % train, last 10 % held out, as in nanoGPT.

    root: folder that holds (or shall hold) tinyshakespeare.txt; None: ZOO_DATA_DIR, else data/cache.
    """

    licence = "public domain"

    def __init__(self, batch_size: int = 64, sequence_length: int = 64, root: str | None = None):
        super().__init__(batch_size, sequence_length, root)

    def read(self) -> str:
        """The file, fetched where it is not there. Raises DataError."""
        return read_text(fetch(URL, self.root / FILE.name, FILE))
