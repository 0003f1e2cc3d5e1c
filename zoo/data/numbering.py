"""A corpus of any size as numbers on the disk: one pass over its bytes, and no Python object per word.

The text is read block by block. NumPy finds where the words of a block begin and end and hashes them all at once; only
a hash that is new becomes a Python string. What is trained on is a file of int32 that is mapped into memory, not read.
"""

import contextlib
import hashlib
import itertools
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import torch
from torch import Tensor

from zoo.errors import DataError, OutputError

RUN = 256  # words in a run, the item of a corpus
BLOCK = 1 << 20  # bytes that are read at once; their NumPy arrays take 55 to 86 times as much
SPACES = (b" ", b"\t", b"\n", b"\r", b"\v", b"\f")
IS_SPACE = np.isin(np.arange(256, dtype=np.uint8), np.frombuffer(b"".join(SPACES), dtype=np.uint8))
NEWLINE = ord("\n")


class Numbered(NamedTuple):
    """A corpus: its words, the commonest first, how often each stands in it, and its text as their numbers."""

    words: list[str]
    counts: list[int]
    runs: Tensor  # (N, RUN) int32; the number after the last word's is the end of a sentence
    fingerprint: str  # SHA-256 of the text


class Hashing:
    """64-bit numbers of all words of a block at once: polynomials in an odd base, modulo 2^64.

    A word at offset s has the sum of code[byte] base^(offset - s) over its bytes: a difference of cumulative sums,
    times base^-s. Of a million different words two share a number with a probability of some 3e-8.
    """

    def __init__(self) -> None:
        self.codes = np.random.default_rng(0).integers(2**64, size=256, dtype=np.uint64)
        base = 0x9E3779B97F4A7C15
        self.powers, self.inverses = (
            np.cumprod(np.append(np.uint64(1), np.full(BLOCK * 2, factor)), dtype=np.uint64)
            for factor in (np.uint64(base), np.uint64(pow(base, -1, 2**64)))
        )

    def of(self, block: np.ndarray, starts: np.ndarray, stops: np.ndarray) -> np.ndarray:
        """The numbers (W,) uint64 of the words of a block of bytes between `starts` and `stops`."""
        sums = np.zeros(len(block) + 1, dtype=np.uint64)
        np.cumsum(self.codes[block] * self.powers[: len(block)], out=sums[1:])
        return (sums[stops] - sums[starts]) * self.inverses[starts]


def numbered(
    name: str, key: object, blocks: Callable[[], Iterator[tuple[bytes, float]]], cache: Path, min_count: int,
    most: int | None,
) -> Numbered:  # fmt: skip
    """Words, counts and numbers of a text, from the cache where they are there.

    name: what messages and the cache call it. key: tells this text apart from others of that name, in plain values.
    blocks: opens the text, which comes in pieces of bytes, at most BLOCK, with the share that is read by then.
    min_count: rarer words are left out, as if they did not stand there. most: words kept at most, the commonest.
    Raises DataError, for a text in which fewer than two words are common enough too; OutputError.
    """
    digest = hashlib.sha256(json.dumps([key, min_count, most, RUN, "checked"]).encode()).hexdigest()[:12]
    folder = cache / f"{name}_{digest}"
    if not folder.exists():
        build(name, blocks(), folder, min_count, most)
    return read(folder)


def read(folder: Path) -> Numbered:
    """What `build` has written. Raises DataError where it is damaged."""
    try:
        about = json.loads((folder / "corpus.json").read_text())
        numbers, counts, fingerprint = about["numbers"], about["counts"], about["fingerprint"]
        for name, size in (("numbers.i32", 4 * numbers), ("words.txt", about["words"])):
            if (folder / name).stat().st_size != size:
                raise ValueError(f"the size of {name} is wrong")
        words = (folder / "words.txt").read_bytes().decode().split("\n")
        if len(words) != len(counts):
            raise ValueError("words and counts do not match")
        if about.pop("sha256") != checksum(folder, about):
            raise ValueError("its SHA-256 is not the one it was written with")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{folder} is damaged ({error}); delete it to have it made again") from error
    # Not shared: nothing that is done to the tensor reaches the file.
    runs = torch.from_file(str(folder / "numbers.i32"), shared=False, size=numbers, dtype=torch.int32).view(-1, RUN)
    return Numbered(words, counts, runs, fingerprint)


def checksum(folder: Path, about: dict[str, Any]) -> str:
    """SHA-256 of words and numbers, and of what is said about them."""
    digest = hashlib.sha256(json.dumps(about).encode())
    for name in ("words.txt", "numbers.i32"):
        with open(folder / name, "rb") as file:
            while piece := file.read(BLOCK):
                digest.update(piece)
    return digest.hexdigest()


def build(name: str, blocks: Iterator[tuple[bytes, float]], folder: Path, min_count: int, most: int | None) -> None:
    """Write the folder that `read` reads, whole or not at all. Raises DataError, OutputError."""
    part = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    try:
        part.mkdir(parents=True, exist_ok=True)
        with open(part / "seen.i32", "wb") as file:
            words, seen, fingerprint = number_in_order_of_sight(name, blocks, file)
        order = np.argsort(-seen, kind="stable")  # the commonest first; of equals, the first to appear
        order = order[seen[order] >= min_count][:most]
        if len(order) < 2:
            raise DataError(
                f"{name} has {len(order)} words that stand in it {min_count} times or more (data.min_count), and two "
                f"are needed; it has {len(words):,} different words"
            )
        final = np.full(len(words) + 1, LEFT_OUT, dtype=np.int32)
        final[order] = np.arange(len(order))
        final[SENTENCE_END] = len(order)
        numbers = renumber(part / "seen.i32", part / "numbers.i32", final)
        (part / "seen.i32").unlink()
        size = (part / "words.txt").write_bytes("\n".join(words[i] for i in order.tolist()).encode())
        about = {"numbers": numbers, "words": size, "fingerprint": fingerprint, "counts": seen[order].tolist()}
        (part / "corpus.json").write_text(json.dumps(about | {"sha256": checksum(part, about)}))
        with contextlib.suppress(FileExistsError, NotADirectoryError):
            part.rename(folder)
        if not folder.exists():
            raise OutputError(f"cannot write {folder}")
    except OSError as error:
        if not folder.exists():  # else another process has made the same at the same time
            raise OutputError(f"cannot write {folder}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


LEFT_OUT, SENTENCE_END = -2, -1


def number_in_order_of_sight(
    name: str, blocks: Iterator[tuple[bytes, float]], file: BinaryIO
) -> tuple[list[str], np.ndarray, str]:
    """Write every word of a text as a number, the first word seen being 0, and SENTENCE_END at the end of a line.

    Gives the words, how often each was seen, and the SHA-256 of the text. Raises DataError for what is no UTF-8 text.
    """
    hashing, digest = Hashing(), hashlib.sha256()
    places: dict[int, int] = {}  # of a word's hash: its number
    words: list[str] = []
    counts = np.zeros(1 << 16, dtype=np.int64)
    total, offset, rest, shown = 0, 0, b"", time.monotonic()
    for piece, share in itertools.chain(blocks, [(b"", 1.0)]):
        digest.update(piece)
        text = rest + (piece or b"\n")  # the last line may lack its end
        cut = max(text.rfind(space) for space in SPACES) + 1  # no word goes on after it
        text, rest = text[:cut], text[cut:]
        if len(rest) > BLOCK:
            raise DataError(f"{name} is no text of words: no white space in {BLOCK:,} bytes from byte {offset:,} on")
        if not offset and text.startswith(b"\xef\xbb\xbf"):  # a byte-order mark
            text = b"   " + text[3:]
        block = np.frombuffer(text, dtype=np.uint8)
        if (nul := text.find(b"\0")) >= 0:
            raise DataError(f"{name} is no text: it has a NUL byte at byte offset {offset + nul:,}")
        # True where white space begins or ends; the block ends with white space, so a word's ends come in pairs.
        edges = np.flatnonzero(np.diff(IS_SPACE[block], prepend=True))
        starts, stops = edges[::2], edges[1::2]
        unique, first, inverse, count = np.unique(
            hashing.of(block, starts, stops), return_index=True, return_inverse=True, return_counts=True
        )
        numbers = np.array([places.get(word, -1) for word in unique.tolist()], dtype=np.int32)
        new = np.flatnonzero(numbers < 0)
        for i in new[np.argsort(first[new])].tolist():
            start, stop = starts[first[i]], stops[first[i]]
            try:
                word = text[start:stop].decode()
            except UnicodeDecodeError as error:
                raise DataError(f"{name} is not UTF-8: {text[start:stop][:40]!r} at byte {offset + start:,}") from error
            numbers[i] = places[int(unique[i])] = len(words)
            words.append(word)
        if len(words) > len(counts):
            counts = np.concatenate([counts, np.zeros(2 * len(words) - len(counts), dtype=np.int64)])
        counts[numbers] += count
        ends = np.searchsorted(starts, np.flatnonzero(block == NEWLINE))
        np.insert(numbers[inverse], ends, SENTENCE_END).tofile(file)
        offset += len(text)
        total += len(starts)
        if time.monotonic() - shown > 1:
            shown = time.monotonic()
            print(f"{name}: {share:.0%} read, {total:,} words, {len(words):,} different ones", file=sys.stderr)
    return words, counts[: len(words)], digest.hexdigest()


def renumber(source: Path, target: Path, final: np.ndarray) -> int:
    """Write the file anew with each word's final number, without those left out, filled up to whole runs.

    Gives how many numbers it holds. Sentences of which nothing is left leave nothing.
    """
    written, last = 0, final[SENTENCE_END]
    with open(source, "rb") as seen, open(target, "wb") as file:
        while len(numbers := np.fromfile(seen, dtype=np.int32, count=BLOCK)):
            numbers = final[numbers]
            numbers = numbers[numbers != LEFT_OUT]
            before = np.concatenate([[last], numbers[:-1]])
            numbers = numbers[(numbers != final[SENTENCE_END]) | (before != final[SENTENCE_END])]
            numbers.tofile(file)
            written += len(numbers)
            last = numbers[-1] if len(numbers) else last
        filling = -written % RUN
        np.full(filling, final[SENTENCE_END], dtype=np.int32).tofile(file)
    return written + filling
