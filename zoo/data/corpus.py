"""Corpora: running text whose words are to be learnt from the company they keep (`data=corpus data.path=FILE`).

A corpus is held as a file of numbers that is mapped into memory (zoo/data/numbering.py), so it may be larger than that.
An item is a run of 256 words; runs are drawn in another order in each pass, and no window reaches from one to the next.
"""

import gzip
import zlib
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from zoo.data.dataset import DataSet
from zoo.data.numbering import BLOCK, RUN, numbered
from zoo.data.word_tests import KnownWords, file_of, judge_analogies, judge_pairs, read_analogies, read_pairs
from zoo.errors import DataError
from zoo.registry import register


class WordSet(DataSet):
    """Base of all corpora. A subclass opens its text in `blocks` and says in `key` which text it is.

    Words are what stands between white space, as they are written; a line is a sentence, which no window leaves. The
    last runs are held out, validation and test alike: they tell how the loss goes, the vectors are judged by the tests.
    """

    probes_untrained = False  # random vectors know nothing
    probes_while_training = True
    key: list[Any]  # plain values
    queries = ("king", "france", "three", "good", "walked", "music", "water", "daughter")

    def __init__(
        self,
        batch_size: int = 512,
        min_count: int = 5,
        max_vocab_size: int | None = None,
        held_out: float = 0.01,
        similarity: list[str] = ["wordsim353.tsv", "simlex999.txt"],  # noqa: B006  (read, never changed)
        analogies: str | None = "questions-words.txt",
        cache: str = "runs/corpora",
        root: str | None = None,
    ):
        super().__init__(batch_size, root)
        if min_count < 1 or (max_vocab_size is not None and max_vocab_size < 2):
            raise ValueError(
                f"min_count must be >= 1 and max_vocab_size >= 2 or null, got {min_count} and {max_vocab_size}"
            )
        if not 0 < held_out < 1:
            raise ValueError(f"held_out must lie between 0 and 1, got {held_out}")
        self.min_count, self.max_vocab_size, self.held_out = min_count, max_vocab_size, held_out
        self.similarity, self.analogies, self.cache = similarity, analogies, Path(cache).expanduser()
        self.words: list[str] = []

    @property
    def source(self) -> str:
        """What errors and the cache call this corpus."""
        return type(self).__name__.lower()

    def blocks(self) -> Iterator[tuple[bytes, float]]:
        """The text in pieces of at most BLOCK bytes, with the share that is read by then. Raises DataError."""
        raise AssertionError("each corpus opens itself")

    def load(self) -> None:
        """Number the words, or take their numbers from the cache. Raises DataError, OutputError."""
        if self.words:
            return
        _ = self.pairs, self.questions  # what is wrong with them is said now, not when an epoch is over
        text = numbered(self.source, self.key, self.blocks, self.cache, self.min_count, self.max_vocab_size)
        held_out = max(1, round(self.held_out * len(text.runs)))
        if len(text.runs) <= held_out:
            raise DataError(f"{self.source} has {len(text.runs) * RUN:,} words or fewer: too few to hold a run out")
        self.train, self.val = (text.runs[:-held_out],), (text.runs[-held_out:],)
        self.test = self.val
        self.counts, self.fingerprint, self.words = text.counts, text.fingerprint, text.words

    @property
    def provides(self) -> dict[str, Any]:
        """The words are known when the corpus has been read, so it is read here. Raises DataError, OutputError."""
        self.load()
        return {"words": self.words, "counts": self.counts, "input_shape": [RUN]}

    def example_batch(self) -> tuple[Tensor]:
        """Two runs of the commonest word."""
        return (torch.zeros(2, RUN, dtype=torch.int32),)

    @cached_property
    def pairs(self) -> dict[str, list[tuple[str, str, float]]]:
        """The tests of similarity, read once."""
        files = [file_of(name, self.root) for name in self.similarity]
        return {path.stem: read_pairs(path) for path in files}

    @cached_property
    def questions(self) -> dict[str, list[list[str]]]:
        """The analogies by section, read once."""
        return read_analogies(file_of(self.analogies, self.root)) if self.analogies else {}

    def probe(self, network: nn.Module) -> dict[str, float]:
        """Rank correlations, shares of right analogies, and of both how many are covered of how many."""
        metrics: dict[str, float] = {}
        words = KnownWords(network)
        for name, pairs in self.pairs.items():
            metrics[name], covered = judge_pairs(words, pairs)
            metrics |= {f"{name}/covered": covered, f"{name}/total": len(pairs)}
        every_right, every_known = 0, 0
        for section, questions in self.questions.items():
            right, known = judge_analogies(words, questions)
            metrics[f"analogies/{section}"] = right / max(1, known)
            metrics |= {f"analogies/{section}/covered": known, f"analogies/{section}/total": len(questions)}
            every_right, every_known = every_right + right, every_known + known
        if self.questions:
            total = sum(map(len, self.questions.values()))
            metrics["analogies"] = every_right / max(1, every_known)
            metrics |= {"analogies/covered": every_known, "analogies/total": total}
        return metrics

    def report(self, network: nn.Module, seed: int) -> str | None:
        """The five nearest words of a few."""
        known = [word for word in self.queries if word in network.numbers]
        known += [word for word in self.words[100:800:100] if not known]  # another language, perhaps
        return "\n".join(f"{word}: {', '.join(near for near, _ in network.nearest(word, 5))}" for word in known) or None


@register("corpus", group="data")
class Corpus(WordSet):
    """A file of yours, plain or .gz, of any size, one sentence a line.

    path: the file; a relative one is looked for here, then in `root`.
    batch_size: runs of 256 words.
    min_count: rarer words are left out. max_vocab_size: words kept at most, the commonest; None: all.
    held_out: share of the runs, the last ones, that is not trained on.
    similarity: files of word pairs, by path, or the names wordsim353.tsv and simlex999.txt, which are fetched.
    analogies: a file of analogies, by path, or questions-words.txt, which is fetched; None: none.
    cache: folder for the numbered text.
    root: folder for what is fetched; None: ZOO_DATA_DIR, else data/cache.
    """

    def __init__(
        self,
        path: str,
        batch_size: int = 512,
        min_count: int = 5,
        max_vocab_size: int | None = None,
        held_out: float = 0.01,
        similarity: list[str] = ["wordsim353.tsv", "simlex999.txt"],  # noqa: B006  (read, never changed)
        analogies: str | None = "questions-words.txt",
        cache: str = "runs/corpora",
        root: str | None = None,
    ):
        super().__init__(batch_size, min_count, max_vocab_size, held_out, similarity, analogies, cache, root)
        here = Path(path).expanduser()
        self.path = here if here.exists() else self.root / here  # which is `here` again where that is absolute

    @property
    def source(self) -> str:
        """The file's name."""
        return self.path.name

    @property
    def key(self) -> list[Any]:
        """The file, and when it was changed. Raises DataError where it is not there."""
        try:
            about = self.path.stat()
        except OSError as error:
            text = f"cannot read {self.path}: {error.strerror}; data.path=FILE may be any text of yours"
            raise DataError(text) from error
        return [str(self.path.resolve()), about.st_size, about.st_mtime_ns]

    def blocks(self) -> Iterator[tuple[bytes, float]]:
        """The file, unpacked as it is read."""
        try:
            with open(self.path, "rb") as raw:
                file: Any = gzip.GzipFile(fileobj=raw) if self.path.suffix == ".gz" else raw
                while piece := file.read(BLOCK):
                    yield piece, raw.tell() / max(1, self.path.stat().st_size)
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(f"cannot read {self.path}: {getattr(error, 'strerror', None) or error}") from error
