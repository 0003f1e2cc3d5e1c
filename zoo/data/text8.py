"""text8: the first 10^8 characters of an English Wikipedia, letters and spaces only, the usual corpus for word vectors.

Source: Mahoney, Large text compression benchmark, 2006; from the English Wikipedia of March 2006, licence CC BY-SA.
"""

import zipfile
import zlib
from collections.abc import Iterator

from zoo.data.corpus import WordSet
from zoo.data.fetch import File, fetch
from zoo.data.numbering import BLOCK
from zoo.errors import DataError
from zoo.registry import register

URL = "https://mattmahoney.net/dc/text8.zip"
FILE = File("text8.zip", "a6640522afe85d1963ad56c05b0ede0a0c000dddc9671758a6cc09b7a38e5232", 31_344_016)
SIZE = 100_000_000  # bytes, unpacked


@register("text8", group="data")
class Text8(WordSet):
    """17,005,207 words in one line; of them 71,290 different ones stand there five times or more.

    Its arguments are those of `corpus`, without the path.
    """

    licence = "CC BY-SA 3.0"
    key = [FILE.sha256]

    def blocks(self) -> Iterator[tuple[bytes, float]]:
        """Out of the archive, fetched where it is not there. Raises DataError."""
        path = fetch(URL, self.root / FILE.name, FILE)
        try:
            with zipfile.ZipFile(path) as archive, archive.open("text8") as file:
                done = 0
                while piece := file.read(BLOCK):
                    done += len(piece)
                    yield piece, done / SIZE
        except (zipfile.BadZipFile, KeyError, OSError, zlib.error) as error:
            raise DataError(f"cannot read {path}: {error}") from error
