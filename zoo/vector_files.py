"""Files in which word2vec, gensim, fastText and torchtext share word vectors: word2vec's text and binary formats.

Both begin with a line "V D": V words, D embedding_dim. A row of text is a word and its D numbers, with a space between
any two; a row of binary is a word, a space, D little-endian float32, and a newline, which gensim leaves out. The name
of a file says which it is: .bin or .bin.gz is binary, any other is text; a name that ends in .gz is packed by gzip.

Source: the program word2vec of Mikolov et al., 2013 (code.google.com/archive/p/word2vec).
"""

import contextlib
import gzip
import os
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

import numpy as np
import torch

from zoo.checkpoint import written_whole
from zoo.errors import DataError, NumericError, OutputError
from zoo.models.word_vectors import WordVectors

LONGEST = 1 << 16  # bytes of the longest word: a file that never ends a word must not fill the memory
DIGITS = 64  # bytes of the longest number in text, and of the longest first line
BLOCK = 1 << 22  # bytes read at once
PACKED = 1032  # bytes that one byte of gzip can unpack to, at most


def is_binary(path: Path) -> bool:
    """Whether the name is that of a file in the binary format."""
    return path.name.removesuffix(".gz").endswith(".bin")


def save_vectors(network: WordVectors, path: str | Path) -> None:
    """Write the words and vectors (V, D) as float32, to the last bit in either format; whole or not at all.

    Raises OutputError for a word that such a file cannot hold (empty, with white space, not UTF-8, above 65,536 bytes)
    and where the file cannot be written; NumericError for a vector that is not finite.
    """
    path = Path(path)
    table = network.vectors.detach().cpu().float().numpy()
    digits = b" ".join([b"%.9g"] * table.shape[1])  # nine: also by way of float64 it is the same float32
    with written_whole(path) as plain, packed(plain, path) as file:
        file.write(b"%d %d\n" % table.shape)
        for word, row in zip(network.words, table, strict=True):
            if not np.isfinite(row).all():
                raise NumericError(f"cannot write {path}: the vector of {word[:40]!r} is not finite")
            numbers = row.astype("<f4").tobytes() if is_binary(path) else digits % tuple(row.tolist())
            file.write(encoded(word, path) + b" " + numbers + b"\n")


def packed(file: IO[bytes], path: Path) -> contextlib.AbstractContextManager[IO[bytes]]:
    """The file, or gzip before it where the name says so; without a date: equal vectors give equal files."""
    return gzip.GzipFile("", "wb", 6, file, 0) if path.suffix == ".gz" else contextlib.nullcontext(file)


def encoded(word: str, path: Path) -> bytes:
    """A word in UTF-8. Raises OutputError where a reader would not find it again."""
    with contextlib.suppress(UnicodeEncodeError):
        if word.split() == [word] and len(name := word.encode()) <= LONGEST:
            return name
    raise OutputError(f"cannot write {path}: the word {word[:40]!r} is empty, too long, not Unicode or has white space")


def load_vectors(path: str | Path) -> WordVectors:
    """The words and float32 vectors (V, D) of a file, on the CPU, in eval mode; they ask for no gradient.

    Raises DataError for a file that is missing, cut short, damaged, or in another format than its name says.
    """
    path = Path(path)
    try:
        with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as file:
            words, table = read(file, path)
    except (OSError, EOFError, zlib.error, MemoryError) as error:
        raise DataError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error
    return WordVectors(words, torch.from_numpy(table)).requires_grad_(False).eval()


def read(file: IO[bytes], path: Path) -> tuple[list[str], np.ndarray]:
    """The words, and their vectors (V, D). Raises DataError, and what reading and unpacking raise."""
    line = file.readline(DIGITS)
    header = line.split()
    count, dim = map(int, header) if len(header) == 2 and all(map(bytes.isdigit, header)) else (0, 0)
    if count < 2 or dim < 1 or not line.endswith(b"\n"):
        raise DataError(f"{path} must begin with a line of how many words (2 or more) and numbers, got {line[:40]!r}")
    size = os.fstat(file.fileno()).st_size * (PACKED if path.suffix == ".gz" else 1)
    if count * (dim * 4 + 2 if is_binary(path) else dim * 2 + 1) > size:  # before any memory is taken
        raise DataError(f"{path} is too small for {count:,} words with {dim:,} numbers each, as its first line says")
    numbers: dict[str, int] = {}
    table = np.empty((count, dim), dtype=np.float32)
    try:
        with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is refused as that
            for word, row in (binary_rows if is_binary(path) else text_rows)(file, count, dim):
                table[len(numbers)] = row
                if word in numbers:
                    raise ValueError(f"the word {word!r} was word {numbers[word] + 1:,} already")
                if not np.isfinite(table[len(numbers)]).all():
                    raise ValueError(f"the vector of {word!r} is not finite in float32")
                numbers[word] = len(numbers)
    except ValueError as error:
        place = f"word {len(numbers) + 1:,}" if is_binary(path) else f"line {len(numbers) + 2:,}"
        raise DataError(f"{path}, {place}: {str(error)[:200]}") from error
    return list(numbers), table


def text_rows(file: IO[bytes], count: int, dim: int) -> Iterator[tuple[str, Sequence[float]]]:
    """Word and numbers of each line. Raises ValueError for a line that is none, and for more lines than `count`."""
    for _ in range(count):
        line = file.readline(LONGEST + DIGITS * dim)
        if not line.endswith(b"\n"):  # without it the last number may be half a number
            raise ValueError("it is cut short, or far too long" if line else f"not there, of {count:,} words")
        name, *numbers = line.split() or [b""]  # bytes are split at ASCII's white space only
        if len(numbers) != dim:
            raise ValueError(f"{dim:,} numbers must follow {name.decode()!r}, got {len(numbers):,}")
        if line.count(b"_") > name.count(b"_"):  # Python alone takes 1_000 for a number
            raise ValueError(f"a number of {name.decode()!r} has an underscore")
        yield name.decode(), [float(number) for number in numbers]
    if file.read(BLOCK).strip():
        raise ValueError("more follows than the first line says")


def binary_rows(file: IO[bytes], count: int, dim: int) -> Iterator[tuple[str, np.ndarray]]:
    """Each word and its vector (D,). Raises ValueError for what is none, and for more of them than `count`."""
    block, at, longest = b"", 0, LONGEST + 2 + 4 * dim  # with the space, and the newline of the row before
    for _ in range(count):
        if len(block) - at < longest and (more := file.read(max(BLOCK, longest))):
            block, at = block[at:] + more, 0
        space = block.find(b" ", at, at + LONGEST + 2)
        name = block[at:space].removeprefix(b"\n")
        at = space + 1 + 4 * dim
        if space < 0 or at > len(block) or name.split() != [name]:
            raise ValueError(f"{name[:40]!r} is no word, or the file ends before its vector does")
        yield name.decode(), np.frombuffer(block, "<f4", dim, space + 1)
    if block[at : at + 2] + file.read(1) not in (b"", b"\n"):
        raise ValueError("more follows than the first line says")
