"""Corpora as numbers against plain Python, their cache, bad files, text8, and the tests that word vectors take."""

import functools
import gzip
import hashlib
import itertools
import json
import os
import re
import socket
import threading
import tracemalloc
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from conftest import DATA_ROOT, needs
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo.data import fetch, numbering, text8, word_tests
from zoo.data.corpus import Corpus
from zoo.data.numbering import RUN, Numbered, numbered
from zoo.data.pydoc_words import RELATED, PyDocWords
from zoo.data.text8 import Text8
from zoo.data.word_tests import KnownWords, judge_analogies, judge_pairs, read_analogies, read_pairs
from zoo.errors import ConfigError, DataError, OutputError
from zoo.models.word_vectors import WordVectors
from zoo.registry import build

Train = Callable[..., dict[str, Any]]
BOM = b"\xef\xbb\xbf"
ENGLISH = DATA_ROOT / "english.txt.gz"
PAIRS = [DATA_ROOT / "wordsim353.tsv", DATA_ROOT / "simlex999.txt"]
QUESTIONS = DATA_ROOT / "questions-words.txt"


def plain(text: bytes, min_count: int, most: int | None, run: int = RUN) -> tuple[list[str], list[int], list[int]]:
    """Words, counts and numbers by Python's own means: the oracle."""
    sentences = [line.split() for line in text.removeprefix(BOM).split(b"\n")]
    ranked = Counter(word for sentence in sentences for word in sentence).most_common()  # equals: the first seen first
    kept = [(word, count) for word, count in ranked if count >= min_count][:most]
    places = {word: i for i, (word, _) in enumerate(kept)}
    numbers = []
    for sentence in sentences:
        if known := [places[word] for word in sentence if word in places]:
            numbers += [*known, len(kept)]
    numbers += [len(kept)] * (-len(numbers) % run)
    return [word.decode() for word, _ in kept], [count for _, count in kept], numbers


def as_lists(text: Numbered) -> tuple[list[str], list[int], list[int]]:
    return text.words, text.counts, text.runs.flatten().tolist()


def in_pieces(text: bytes, size: int) -> Callable[[], Iterator[tuple[bytes, float]]]:
    return lambda: ((text[at : at + size], at / len(text)) for at in range(0, len(text), size))


def corpus(path: Path, cache: Path, **arguments: Any) -> Corpus:
    """A corpus that is judged by nothing."""
    untested = {"similarity": [], "analogies": None, "cache": str(cache)}
    return Corpus(str(path), **(untested | arguments))


def contents(data: Any) -> list[Any]:
    return [data.words, data.counts, data.fingerprint, data.train[0].tolist(), data.val[0].tolist()]


def one_line(error: Exception, code: int = 3) -> str:
    """The error as the command line would print it."""
    assert "\n" not in str(error) and error.exit_code == code
    return str(error)


# --- numbering against plain Python ----------------------------------------------------------------------

WHITE = " \t\n\r\v\f"
characters = st.one_of(
    st.sampled_from("ab\u00a0\u2028\u0085\x1c\x1f\u3000\ufeff\U0001f389"),  # white space to others, not here
    st.characters(exclude_categories=["Cs"], exclude_characters=WHITE + "\0"),
)
spaces = st.sampled_from([*WHITE, "\r\n", "  ", "\n\n", "\n \t\n", " \n"])


@st.composite
def texts(draw: st.DrawFn) -> bytes:
    """Few words, of up to 16 bytes, in an order of their own, with any white space between."""
    words = draw(st.lists(st.text(characters, min_size=1, max_size=4), min_size=1, max_size=6))
    parts = draw(st.lists(st.tuples(st.sampled_from(words), spaces), max_size=40))
    text = draw(st.sampled_from(["", "\ufeff", " ", "\n\n"])) + "".join(itertools.chain.from_iterable(parts))
    return (text if draw(st.booleans()) else text.rstrip(WHITE)).encode()


@settings(max_examples=200, deadline=None)
@given(texts(), st.integers(1, 4), st.sampled_from([None, None, 2, 3]), st.integers(20, 70), st.integers(1, 70))
def test_any_text_is_numbered_as_plain_python_does_it(
    tmp_path_factory: pytest.TempPathFactory, text: bytes, min_count: int, most: int | None, block: int, size: int
) -> None:
    cache = tmp_path_factory.mktemp("cache")
    words, counts, numbers = plain(text, min_count, most, run=8)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(numbering, "BLOCK", block)
        patch.setattr(numbering, "RUN", 8)
        arguments = ("any", "", in_pieces(text, min(size, block)), cache, min_count, most)
        if len(words) < 2:
            with pytest.raises(DataError, match=rf"any has {len(words)} words that stand in it {min_count} times"):
                numbered(*arguments)
            assert list(cache.iterdir()) == []
            return
        for _ in range(2):  # the second is the cache's
            found = numbered(*arguments)
            assert as_lists(found) == (words, counts, numbers)
            assert found.runs.dtype == torch.int32 and found.runs.shape == (len(numbers) // 8, 8)
            assert found.fingerprint == hashlib.sha256(text).hexdigest()


def test_by_hand(tmp_path: Path) -> None:
    """b and c stand there as often, b first; x and y do once, and a line that holds nothing else leaves nothing."""
    text = b"b a a c\n\nx\n a\tb c \r\n\v\ny"
    found = numbered("hand", 0, in_pieces(text, 5), tmp_path, 2, None)
    assert found.words == ["a", "b", "c"] and found.counts == [3, 2, 2]
    assert found.runs.tolist() == [[1, 0, 0, 2, 3, 0, 1, 2] + [3] * (RUN - 8)]


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffa a b b a \ufeffa",  # dropped where the text begins, and only there, even where a piece begins with it
        "\ufeffa a b b\na \ufeffa \ufeffa",
        "a b\n" + "x\ny z\n" * 20 + "a b\n\n",  # 20 numbers of rare words at a time, and no second end of a sentence
        "a b\n" + "".join(f"x{i}\n" for i in range(30)) + "b\n" + " ".join(f"y{i}" for i in range(50)) + "\na",
    ],
)
def test_what_lies_between_pieces(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numbering, "BLOCK", 20)
    raw = text.encode()
    for size in range(1, 20):
        for most in (None, 2):
            found = numbered("pieces", [size], in_pieces(raw, size), tmp_path, 2, most)
            assert as_lists(found) == plain(raw, 2, most)


def test_a_word_has_the_same_hash_wherever_it_stands() -> None:
    hashing = numbering.Hashing()
    text = b"ab ba ab aab abb a b \xc3\xa4 ab" + b" " * 1_000_000 + b"ab"
    block = np.frombuffer(text, dtype=np.uint8)
    found = [match.span() for match in re.finditer(rb"\S+", text)]
    hashes = hashing.of(block, *np.array(found).T).tolist()
    by_word = dict(zip((text[start:stop] for start, stop in found), hashes, strict=True))
    assert [by_word[text[start:stop]] for start, stop in found] == hashes
    assert len(set(by_word.values())) == len(by_word) == 7


@pytest.mark.parametrize("limits", [{"min_count": 1}, {"min_count": 4}, {"min_count": 2, "max_vocab_size": 50}])
def test_plain_and_packed_files_give_the_same(limits: dict[str, int], tmp_path: Path) -> None:
    text = Path(__file__).read_bytes() * 2
    (tmp_path / "plain.txt").write_bytes(text)
    (tmp_path / "packed.txt.gz").write_bytes(gzip.compress(text))
    one, two = (corpus(tmp_path / name, tmp_path / "cache", **limits) for name in ("plain.txt", "packed.txt.gz"))
    one.load()
    two.load()
    assert contents(one) == contents(two)
    words, counts, numbers = plain(text, limits["min_count"], limits.get("max_vocab_size"))
    assert one.words == words and one.counts == counts and one.fingerprint == hashlib.sha256(text).hexdigest()
    assert torch.cat([one.train[0], one.val[0]]).flatten().tolist() == numbers


@needs("english")
def test_english_to_the_last_word(tmp_path: Path) -> None:
    text = gzip.decompress(ENGLISH.read_bytes())
    data = corpus(Path(ENGLISH.name), tmp_path, root=str(DATA_ROOT))
    data.load()
    words, counts, numbers = plain(text, 5, None)
    assert len(text.split()) == 4_748_186 and len(data.words) == 32_123
    assert data.words == words and data.counts == counts
    runs = torch.cat([data.train[0], data.val[0]])
    assert torch.equal(runs.flatten(), torch.tensor(numbers, dtype=torch.int32))
    assert data.fingerprint == hashlib.sha256(text).hexdigest()


def test_memory_does_not_grow_with_the_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """20 MB in pieces of 64 KiB, of which no more than one is there at a time, and its arrays."""
    block = 1 << 16
    monkeypatch.setattr(numbering, "BLOCK", block)
    lines = (" ".join(f"word{(i * i + j) % 3001}" for j in range(7)) + "\n" for i in range(1500))
    cycle = "".join(lines).encode()  # longer than a block, so that each block cuts words elsewhere
    assert block < len(cycle) < 2 * block

    def served(times: int) -> Iterator[tuple[bytes, float]]:
        size = len(cycle) * times
        for at in range(0, size, block):
            first = at % len(cycle)
            yield (cycle[first:] + cycle)[: min(block, size - at)], at / size

    peaks = []
    for size in (5_000_000, 20_000_000):
        times = -(-size // len(cycle))
        tracemalloc.start()
        try:
            found = numbered("long", size, functools.partial(served, times), tmp_path, 1, None)
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
        once = Counter(cycle.split())
        assert dict(zip(found.words, found.counts, strict=True)) == {w.decode(): n * times for w, n in once.items()}
    # Hashing has two tables of 2 BLOCK numbers of 8 bytes, 32 BLOCK. Of a block no more than 8 such numbers a byte are
    # there at a time, 64 BLOCK. The words themselves are 3,001.
    assert peaks[0] < 100 * block < 20_000_000 / 3
    assert peaks[1] < 1.1 * peaks[0]


def test_the_last_runs_are_held_out_and_nothing_done_to_them_reaches_the_file(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_text("a b c d e f g\n" * 400)  # 3,200 numbers, 12.5 runs
    data = corpus(path, tmp_path / "cache", held_out=0.25)
    assert data.provides == {"words": list("abcdefg"), "counts": [400] * 7, "input_shape": [RUN]}
    assert len(data.train[0]) == 10 and len(data.val[0]) == 3 and data.test is data.val
    numbers = torch.cat([data.train[0], data.val[0]]).flatten().tolist()
    assert numbers == list(range(8)) * 400 + [7] * (13 * RUN - 3200)
    (x,) = next(iter(data.batches("test")))
    assert torch.equal(x, data.val[0])
    data.train[0].fill_(99)
    again = corpus(path, tmp_path / "cache", held_out=0.25)
    again.load()
    assert torch.cat([again.train[0], again.val[0]]).flatten().tolist() == numbers


# --- the cache -------------------------------------------------------------------------------------------


@pytest.fixture
def text_file(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text("".join(f"one {'two ' * (i % 3)}three\nw{i % 40}\n" for i in range(600)))
    return path


@pytest.fixture
def readings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The name of every file that has been opened to be numbered."""
    opened: list[str] = []
    blocks = Corpus.blocks

    def counted(self: Corpus) -> Iterator[tuple[bytes, float]]:
        opened.append(self.path.name)
        return blocks(self)

    monkeypatch.setattr(Corpus, "blocks", counted)
    return opened


def test_a_text_is_read_once_for_each_form(text_file: Path, readings: list[str], tmp_path: Path) -> None:
    cache = tmp_path / "cache"

    def load(**arguments: Any) -> tuple[list[Any], int]:
        before = len(readings)
        data = corpus(text_file, cache, **arguments)
        data.load()
        data.load()
        return contents(data), len(readings) - before

    first, read = load()
    assert read == 1
    assert load() == (first, 0)
    assert load(held_out=0.5, batch_size=3)[1] == 0  # neither changes what lies there
    rarer, read = load(min_count=16)
    assert read == 1 and len(rarer[0]) < len(first[0])
    few, read = load(max_vocab_size=3)
    assert read == 1 and few[0] == first[0][:3]
    about = text_file.stat()
    os.utime(text_file, ns=(about.st_atime_ns, about.st_mtime_ns + 1))
    assert load() == (first, 1)  # touched: who knows
    with open(text_file, "a") as file:
        file.write("one\n" * 3)
    os.utime(text_file, ns=(about.st_atime_ns, about.st_mtime_ns))
    longer, read = load()
    assert read == 1 and longer[1][0] == first[1][0] + 3 and longer[2] != first[2]
    (tmp_path / "elsewhere").mkdir()
    text_file = text_file.rename(tmp_path / "elsewhere" / "text.txt")  # another file, whatever its name
    assert load() == (longer, 1)
    assert len(list(cache.iterdir())) == 6


def spoil(path: Path, damage: str) -> None:
    """Cut the file by 1 byte or 1,000, flip a bit, empty it, take it away, or put something else in its place."""
    if damage == "gone":
        path.unlink()
    elif damage == "flipped":
        raw = path.read_bytes()
        path.write_bytes(raw[:3] + bytes([raw[3] ^ 1]) + raw[4:])
    elif damage.isdigit():
        path.write_bytes(path.read_bytes()[: -int(damage)])
    else:
        path.write_bytes(damage.encode("latin-1"))


@pytest.mark.parametrize(
    ("name", "damage"),
    [(name, "flipped") for name in ("numbers.i32", "words.txt", "corpus.json")]
    + [(name, damage) for name in ("numbers.i32", "words.txt", "corpus.json") for damage in ("", "1", "100", "gone")]
    + [("words.txt", "\xff\n"), ("corpus.json", "[]"), ("corpus.json", "null"), ("corpus.json", '{"numbers": 1024}')]
    + [("corpus.json", "fingerprint")],
)
def test_a_damaged_cache_is_named_and_not_read(text_file: Path, name: str, damage: str, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    good = corpus(text_file, cache)
    good.load()
    before = contents(good)
    (folder,) = cache.iterdir()
    if damage == "fingerprint":
        about = json.loads((folder / name).read_text())
        del about[damage]
        damage = json.dumps(about)
    spoil(folder / name, damage)
    with pytest.raises(DataError, match=f"{re.escape(str(folder))} is damaged .*delete it to have it made again") as e:
        corpus(text_file, cache).load()
    one_line(e.value)
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    mended = corpus(text_file, cache)
    mended.load()
    assert contents(mended) == before


@pytest.mark.parametrize("swept", [True, False])  # False: killed so hard that not even its own remains went
def test_what_was_killed_in_the_midst_is_not_used(
    swept: bool, text_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, cache = text_file.read_bytes(), tmp_path / "cache"

    def killed() -> Iterator[tuple[bytes, float]]:
        yield text[:3000], 0.5
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        if not swept:
            patch.setattr(numbering.shutil, "rmtree", lambda *_, **__: None)
        with pytest.raises(KeyboardInterrupt):
            numbered("text", 0, killed, cache, 1, None)
    left = [path.name for path in cache.iterdir()]
    assert left == [] if swept else len(left) == 1 and re.fullmatch(r"\.text_\w+\.\d+\.part", left[0])
    found = numbered("text", 0, in_pieces(text, 1000), cache, 1, None)
    assert as_lists(found) == plain(text, 1, None)
    assert [path.name for path in cache.iterdir() if path.name.endswith(".part")] == []


def test_two_at_once_both_get_it(text_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While one process reads, another begins and comes to its end."""
    text, cache = text_file.read_bytes(), tmp_path / "cache"
    second = []

    def slow() -> Iterator[tuple[bytes, float]]:
        yield text[:3000], 0.5
        with monkeypatch.context() as patch:
            patch.setattr(os, "getpid", lambda: 4_000_001)
            second.append(numbered("text", 0, in_pieces(text, 1000), cache, 1, None))
        assert len(list(cache.iterdir())) == 2
        yield text[3000:], 1.0

    first = numbered("text", 0, slow, cache, 1, None)
    assert as_lists(first) == as_lists(second[0]) == plain(text, 1, None)
    (folder,) = cache.iterdir()
    assert sorted(path.name for path in folder.iterdir()) == ["corpus.json", "numbers.i32", "words.txt"]


def test_a_cache_that_cannot_be_written_is_named(
    text_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(OutputError, match="cannot write .*text.txt/cache/text.txt_") as error:
        corpus(text_file, text_file / "cache").load()
    one_line(error.value, 6)

    def full(*_: Any) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(numbering, "renumber", full)
    with pytest.raises(OutputError, match="cannot write .*: No space left on device") as error:
        corpus(text_file, tmp_path / "cache").load()
    one_line(error.value, 6)
    assert list((tmp_path / "cache").iterdir()) == []


# --- bad files -------------------------------------------------------------------------------------------

PROSE = b"some words of a text that goes on and on for a while\n" * 40_000  # 2.1 MB: more than two blocks
PACKED = gzip.compress(PROSE, 1)
BAD: dict[str, tuple[bytes | None, str]] = {  # file: what is in it, what is said
    "none.txt": (None, "cannot read .*none.txt: No such file or directory"),
    "empty.txt": (b"", "empty.txt has 0 words that stand in it 5 times or more .*; it has 0 different words"),
    "white.txt": (b" \n\t\r\n", "white.txt has 0 words"),
    "rare.txt": (b"a b c d\n" * 4, r"rare.txt has 0 words .* 5 times or more \(data.min_count\).* 4 different words"),
    "one.txt": (b"a\n" * 9 + b"b", "one.txt has 1 words .* two are needed; it has 2 different words"),
    "nul.txt": (b"ab cd\0ef gh\n", "nul.txt is no text: it has a NUL byte at byte offset 5$"),
    "late.txt": (PROSE + b"some\0words\n", "late.txt is no text: it has a NUL byte at byte offset 2,120,004$"),
    "utf16.txt": ("some words\n".encode("utf-16"), "utf16.txt is no text: it has a NUL byte at byte offset 3$"),
    "latin.txt": (PROSE + "le caf\xe9\n".encode("latin-1"), r"not UTF-8: b'caf\\xe9' at byte 2,120,003$"),
    "long.txt": (b"x " + b"y" * 3_000_000, "long.txt is no text of words: no white space in 1,048,576 bytes from .* 2"),
    "cut.gz": (PACKED[:-100], "cannot read .*cut.gz: "),
    "foreign.gz": (b"words that were never packed\n", "cannot read .*foreign.gz: Not a gzipped file"),
    "mixed.gz": (PACKED[:200] + b"x" * 100 + PACKED[300:], "cannot read .*mixed.gz: "),
    "type.gz": (PACKED[:10] + b"\xff" + PACKED[11:], "cannot read .*type.gz: .*invalid block type"),
    "sum.gz": (PACKED[:-8] + b"\0" * 8, "cannot read .*sum.gz: CRC check failed"),
    "packed.txt": (PACKED, "packed.txt is (no text|not UTF-8)"),
}


@pytest.mark.parametrize("name", sorted(BAD))
def test_a_bad_file_is_one_line_and_leaves_nothing(name: str, tmp_path: Path) -> None:
    content, words = BAD[name]
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=words) as error:
        corpus(tmp_path / name, tmp_path / "cache").load()
    assert len(one_line(error.value)) < 300
    assert not (tmp_path / "cache").exists() or list((tmp_path / "cache").iterdir()) == []


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot read .*: Is a directory") as error:
        corpus(tmp_path, tmp_path / "cache").load()
    one_line(error.value)


def test_a_text_too_short_to_hold_a_run_out_is_told(tmp_path: Path) -> None:
    for times, few in ((51, True), (52, False)):  # 5 numbers each: 255 fit in a run
        (tmp_path / "short.txt").write_text("a b c d\n" * times)
        data = corpus(tmp_path / "short.txt", tmp_path / "cache")
        if few:
            with pytest.raises(DataError, match="short.txt has 256 words or fewer: too few to hold a run out") as error:
                data.load()
            one_line(error.value)
        else:
            data.load()
            assert len(data.train[0]) == len(data.val[0]) == 1


@pytest.mark.parametrize("name", ["none.txt", "nul.txt"])
def test_a_run_on_a_bad_file_leaves_no_run(name: str, train: Train, tmp_path: Path) -> None:
    content, words = BAD[name]
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=words):
        train_on(train, tmp_path / name)
    assert not (tmp_path / "runs").exists() or list((tmp_path / "runs").rglob("*")) == [tmp_path / "runs" / "corpora"]


def test_bad_word_tests_are_told_before_anything_is_read(
    text_file: Path, readings: list[str], train: Train, tmp_path: Path
) -> None:
    """Not when the first epoch of a corpus of any size is over."""
    with pytest.raises(DataError, match="cannot read none.tsv: No such file"):
        train_on(train, text_file, "data.similarity=[none.tsv]")
    with pytest.raises(DataError, match="cannot read none.txt: No such file"):
        train_on(train, text_file, "data.analogies=none.txt")
    assert readings == [] and not (tmp_path / "runs").exists()


def train_on(train: Train, path: Path, *overrides: str) -> dict[str, Any]:
    return train(
        "model=word2vec", "data=corpus", f"data.path={path}", "data.similarity=[]", "data.analogies=null",
        "optimizer=sgd", "trainer.max_epochs=1", "figures=false", "logger=csv", "trainer.progress=false", *overrides,
    )  # fmt: skip


def test_a_file_of_ones_own_is_trained_on_and_judged(text_file: Path, train: Train, tmp_path: Path) -> None:
    (tmp_path / "mine.tsv").write_text("one\ttwo\t3\none\tTHREE\t2\ntwo\tthree\t1\nfour\tone\t0\n")
    result = train_on(train, text_file, "data.similarity=[mine.tsv]", "data.held_out=0.3", "model.sample=0")
    assert result["metrics"]["test/mine/covered"] == 3 and result["metrics"]["test/mine/total"] == 4
    assert -1 <= result["metrics"]["test/mine"] <= 1 and result["metrics"]["test/loss"] > 0
    assert len(list((tmp_path / "runs" / "corpora").iterdir())) == 1


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"min_count": 0}, "min_count must be >= 1 and max_vocab_size >= 2 or null, got 0 and None"),
        ({"max_vocab_size": 1}, "max_vocab_size >= 2 or null, got 5 and 1"),
        ({"held_out": 0.0}, "held_out must lie between 0 and 1, got 0.0"),
        ({"held_out": 1}, "held_out must lie between 0 and 1, got 1"),
        ({"batch_size": 0}, "batch_size must be >= 1"),
        ({"similarity": "x.tsv"}, "similarity must be of type"),
    ],
)
def test_bad_settings_are_named_with_their_rule(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        build("data", "corpus", {"path": "x"} | wrong)


# --- text8, and what else is fetched ----------------------------------------------------------------------


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    """Serves `folder` on this machine and notes what was `asked`; text8 and the word tests are looked for there."""
    site = SimpleNamespace(folder=tmp_path / "served", asked=[])
    site.folder.mkdir()

    class Handler(SimpleHTTPRequestHandler):
        def log_request(self, *args: Any) -> None:
            site.asked.append(self.path)

        def log_message(self, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(site.folder))) as httpd:
        threading.Thread(target=httpd.serve_forever, args=(0.01,), daemon=True).start()
        monkeypatch.setattr(fetch, "PAUSE", 0.01)
        monkeypatch.setattr(text8, "URL", f"http://127.0.0.1:{httpd.server_port}/text8.zip")
        monkeypatch.setattr(word_tests, "FOLDER", f"http://127.0.0.1:{httpd.server_port}/")
        yield site
        httpd.shutdown()


def serve(site: SimpleNamespace, name: str, content: bytes) -> fetch.File:
    (site.folder / name).write_bytes(content)
    return fetch.File(name, hashlib.sha256(content).hexdigest(), len(content))


LETTERS = b"anarchism originated as a term of abuse first used against early working class radicals " * 50


def zipped(path: Path, member: str = "text8") -> bytes:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(member, LETTERS)
    return path.read_bytes()


def test_text8_is_fetched_once_and_numbered(
    server: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text8, "FILE", serve(server, "text8.zip", zipped(tmp_path / "made.zip")))
    tests = {
        "wordsim353.tsv": b"Term\tabuse\t7\nterm\tclass\t2\nearly\tfirst\t5\n",
        "simlex999.txt": b"early\tfirst\t1\nterm\tqueen\t2\n",
        "questions-words.txt": b": all\nearly first class term\n",
    }
    monkeypatch.setattr(word_tests, "FILES", {name: serve(server, name, text) for name, text in tests.items()})
    arguments = {"cache": str(tmp_path / "cache"), "root": str(tmp_path / "root")}
    data = build("data", "text8", arguments)
    data.load()
    assert (data.words, data.counts) == plain(LETTERS, 5, None)[:2] and len(data.words) == 14
    assert torch.cat([data.train[0], data.val[0]]).flatten().tolist() == plain(LETTERS, 5, None)[2]
    assert sorted(server.asked) == sorted(["/text8.zip", *(f"/{name}" for name in tests)])
    found = data.probe(WordVectors(data.words, torch.randn(14, 8)))
    assert (found["wordsim353/covered"], found["wordsim353/total"]) == (3, 3)
    assert (found["simlex999"], found["simlex999/covered"], found["simlex999/total"]) == (0, 1, 2)
    assert (found["analogies/all/covered"], found["analogies/total"]) == (1, 1)
    for gone in ("none", "cache"):  # the numbers are there, then the archive is: nobody is asked again
        for path in sorted((tmp_path / gone).rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        again = build("data", "text8", arguments)
        again.load()
        assert contents(again) == contents(data) and len(server.asked) == 4
    (tmp_path / "root" / "text8.zip").unlink()
    build("data", "text8", arguments).load()  # the numbers are there
    assert len(server.asked) == 4


def test_a_damaged_text8_is_one_line(server: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = zipped(tmp_path / "made.zip")
    file = serve(server, "text8.zip", made)
    monkeypatch.setattr(text8, "FILE", file)
    arguments: dict[str, Any] = {"similarity": [], "analogies": None, "cache": str(tmp_path / "cache")}

    def refused(root: str) -> str:
        with pytest.raises(DataError) as error:
            Text8(root=str(tmp_path / root), **arguments).load()
        assert list((tmp_path / "cache").iterdir()) == []
        return one_line(error.value)

    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "text8.zip").write_bytes(made[: len(made) // 2])
    assert re.search("half/text8.zip is damaged: SHA-256 .*delete it", refused("half"))
    assert server.asked == []
    (server.folder / "text8.zip").write_bytes(b"<html>please log in</html>")
    assert "not the file expected" in refused("new")
    assert not (tmp_path / "new").exists()
    middle = len(made) // 2
    for content, words in (  # each is what it should be by its SHA-256, as one who has changed that would have it
        (b"no archive", "File is not a zip file"),
        (zipped(tmp_path / "other.zip", "text9"), "no item named 'text8'"),
        (made[:35] + b"\xff" + made[36:], "invalid block type"),  # the first byte of what was packed
        (made[:middle] + bytes([made[middle] ^ 255]) + made[middle + 1 :], "invalid|Bad CRC-32"),
    ):
        monkeypatch.setattr(text8, "FILE", serve(server, "text8.zip", content))
        assert re.search(f"cannot read .*text8.zip: .*({words})", refused(hashlib.sha256(content).hexdigest()))


def test_the_real_text8_is_pinned() -> None:
    assert text8.URL.startswith("https://") and len(text8.FILE.sha256) == 64 and text8.FILE.size == 31_344_016
    assert word_tests.FOLDER.startswith("https://")


# --- Python's help topics ---------------------------------------------------------------------------------


def test_help_topics_are_numbered_alike_each_time_and_without_a_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pydoc_data.topics import topics

    monkeypatch.setattr(socket, "socket", None)  # whoever wants one fails
    made = [build("data", "pydoc_words", {"cache": str(tmp_path / name)}) for name in ("one", "two")]
    for data in made:
        data.load()
    one, two = made
    assert contents(one) == contents(two) and one.text == two.text
    sentences = [re.findall("[a-z_]+", part) for _, topic in sorted(topics.items())
                 for part in re.split(r"\n\s*\n", topic.lower())]  # fmt: skip
    counts = Counter(itertools.chain.from_iterable(sentences))
    assert dict(zip(one.words, one.counts, strict=True)) == {w: n for w, n in counts.items() if n >= 5}
    text = "".join(" ".join(sentence) + "\n" for sentence in sentences).encode()
    numbers = torch.cat([one.train[0], one.val[0]]).flatten().tolist()
    assert (one.words, one.counts, numbers) == plain(text, 5, None)
    assert sum(counts.values()) == pytest.approx(64_000, rel=0.3) and len(one.words) == pytest.approx(1350, rel=0.3)


def test_the_probe_of_partners(tmp_path: Path) -> None:
    data = PyDocWords(cache=str(tmp_path))
    pairs, seen = [], set()
    for a, b in (pair.split() for pair in RELATED.split(",")):
        if not {a, b} & seen:  # a word with two partners cannot be nearest to both
            pairs.append((a, b))
            seen |= {a, b}
    assert len(pairs) > 25
    words = [f"w{i}" for i in range(200)] + [word for pair in pairs for word in pair]
    vectors = torch.randn(len(words), 50)
    vectors[201::2] = vectors[200::2] * 3 + torch.randn(len(pairs), 50) / 100  # partners point the same way
    assert data.probe(WordVectors(words, vectors)) == {"related": 1.0, "related/covered": len(pairs)}
    vectors[201::2] = -vectors[200::2]
    assert data.probe(WordVectors(words, vectors))["related"] == 0
    found = []
    for _ in range(20):
        vectors = torch.randn(len(words), 50)
        found.append(data.probe(WordVectors(words, vectors))["related"])
    assert np.mean(found) == pytest.approx(0.5, abs=0.04) and min(found) < max(found)
    cosines = torch.cosine_similarity(vectors[:, None], vectors, dim=2)
    shares = []
    for i in range(200, len(words), 2):
        for a, b in ((i, i + 1), (i + 1, i)):
            others = [j for j in range(len(words)) if j not in (a, b)]
            shares.append(sum(float(cosines[a, j]) < float(cosines[a, b]) for j in others) / len(others))
    assert found[-1] == pytest.approx(np.mean(shares), abs=1e-4)
    assert data.probe(WordVectors(words[:200], vectors[:200])) == {"related": 0.0, "related/covered": 0}


def test_most_partners_are_known(tmp_path: Path) -> None:
    data = PyDocWords(cache=str(tmp_path))
    data.load()
    found = data.probe(WordVectors(data.words, torch.randn(len(data.words), 20)))
    assert found["related/covered"] >= 0.9 * len(data.related) and len(data.related) == RELATED.count(",") + 1


def test_the_report_shows_neighbours_of_known_words(tmp_path: Path) -> None:
    data = corpus(tmp_path / "x", tmp_path)
    data.words = ["king", "queen", *(f"w{i}" for i in range(300))]
    network = WordVectors(data.words, torch.randn(302, 10))
    network.vectors.data[1] = network.vectors.data[0] * 2
    report = data.report(network, 0)
    assert re.fullmatch(r"king: queen(, w\d+){4}", report)
    data.words = [f"v{i}" for i in range(302)]  # another language
    report = data.report(WordVectors(data.words, network.vectors), 0)
    assert [line.partition(":")[0] for line in report.split("\n")] == ["v100", "v200", "v300"]


# --- what word vectors are judged by ----------------------------------------------------------------------


def gensims(network: WordVectors) -> Any:
    from gensim.models import KeyedVectors

    vectors = KeyedVectors(network.embedding_dim)
    vectors.add_vectors(network.words, network.vectors.detach().numpy())
    return vectors


def of_pairs(share: float) -> WordVectors:
    """Some words of the similarity tests in any order, some of them with a capital, some in two spellings."""
    chosen = np.random.default_rng(0)
    words = sorted({word for path in PAIRS for a, b, _ in read_pairs(path) for word in (a, b)})
    words = chosen.choice(words, int(share * len(words)), replace=False).tolist()
    words = [word.title() if i % 3 == 0 else word for i, word in enumerate(words)]
    words += [word.upper() for word in words[:100]]
    return WordVectors(words, torch.randn(len(words), 20))


@needs("english")
@pytest.mark.parametrize("most", [300_000, 200])
@pytest.mark.parametrize("path", PAIRS, ids=lambda path: path.name)
def test_pairs_are_judged_as_gensim_does(path: Path, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(word_tests, "KNOWN", most)
    network, pairs = of_pairs(0.5), read_pairs(path)
    _, spearman, unknown = gensims(network).evaluate_word_pairs(str(path), restrict_vocab=most)
    value, covered = judge_pairs(KnownWords(network), pairs)
    assert value == pytest.approx(spearman.statistic, abs=1e-5) and value != 0
    assert covered == round((1 - unknown / 100) * len(pairs)) and 0 < covered < len(pairs)


def of_analogies(share: float) -> WordVectors:
    """Both words of some pairs; what sets the second apart from the first is alike, more or less, within a section."""
    chosen = np.random.default_rng(0)
    sections = read_analogies(QUESTIONS)
    vectors: dict[str, torch.Tensor] = {}
    for questions in sections.values():
        step = torch.randn(30)
        for a, b in sorted({tuple(words[i : i + 2]) for words in questions for i in (0, 2)}):
            if chosen.random() < share:
                first = vectors.setdefault(a, torch.randn(30))
                vectors.setdefault(b, first + step + torch.randn(30) * 0.7)
    words = list(vectors)
    chosen.shuffle(words)
    spelt = [word.title() if i % 3 == 0 else word for i, word in enumerate(words)]
    return WordVectors(spelt, torch.stack([vectors[word] for word in words]))


@needs("english")
@pytest.mark.parametrize("most", [300_000, 250])
def test_analogies_are_judged_as_gensim_does(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(word_tests, "KNOWN", most)
    network = of_analogies(0.35)
    _, sections = gensims(network).evaluate_word_analogies(str(QUESTIONS), restrict_vocab=most)
    theirs = {s["section"]: (len(s["correct"]), len(s["correct"]) + len(s["incorrect"])) for s in sections[:-1]}
    words = KnownWords(network)
    ours = {name: judge_analogies(words, questions) for name, questions in read_analogies(QUESTIONS).items()}
    assert ours == theirs and len(ours) == 14
    right, covered = (sum(numbers) for numbers in zip(*ours.values(), strict=True))
    assert 0.05 * covered < right < 0.95 * covered and 100 < covered < 19_544


@needs("english")
def test_the_probe_sums_its_sections() -> None:
    data = Corpus("any", root=str(DATA_ROOT))
    found = data.probe(of_analogies(0.35))
    assert set(found) >= {"wordsim353", "simlex999", "analogies", "analogies/family", "analogies/gram8-plural/covered"}
    for name in ("wordsim353", "simlex999", *(f"analogies/{section}" for section in data.questions), "analogies"):
        assert 0 <= found[f"{name}/covered"] <= found[f"{name}/total"]
        assert -1 <= found[name] <= 1
    assert (found["wordsim353/total"], found["simlex999/total"], found["analogies/total"]) == (353, 999, 19_544)
    covered = {section: found[f"analogies/{section}/covered"] for section in data.questions}
    assert found["analogies/covered"] == sum(covered.values())
    assert sum(found[f"analogies/{section}/total"] for section in data.questions) == 19_544
    right = sum(found[f"analogies/{section}"] * covered[section] for section in data.questions)
    assert found["analogies"] == pytest.approx(right / sum(covered.values())) and right > 0


def test_nothing_known_is_nothing_right() -> None:
    network = WordVectors(["x", "y", "z"], torch.randn(3, 4))
    assert judge_pairs(KnownWords(network), [("a", "b", 1.0), ("x", "y", 2.0), ("y", "z", 3.0)]) == (0.0, 2)
    assert judge_analogies(KnownWords(network), [["a", "b", "c", "d"], ["x", "y", "z", "d"]]) == (0, 0)


def test_a_rank_correlation_that_is_not_defined_is_zero() -> None:
    pairs = [("x", "y", 1.0), ("y", "z", 2.0), ("x", "z", 3.0)]
    assert judge_pairs(KnownWords(WordVectors(["x", "y", "z"], torch.zeros(3, 4))), pairs) == (0.0, 3)
    network = WordVectors(["x", "y", "z"], torch.randn(3, 4))
    assert judge_pairs(KnownWords(network), [(a, b, 5.0) for a, b, _ in pairs]) == (0.0, 3)


def test_ranks_by_hand() -> None:
    """Cosines 1, 0 and -1, judged in this order, the other way round, and with the last two exchanged."""
    network = WordVectors(["X", "y", "z", "w"], torch.tensor([[1.0, 0], [2, 0], [0, 3], [-1, 0]]))
    for scores, value in (((9, 5, 1), 1.0), ((1, 5, 9), -1.0), ((9, 1, 5), 0.5)):
        pairs = [("x", other, float(score)) for other, score in zip("yzw", scores, strict=True)]
        assert judge_pairs(KnownWords(network), pairs) == (pytest.approx(value), 3)


def test_of_two_spellings_the_commonest_counts() -> None:
    """`Better`, right beside `better`, is no answer to good : better, bad : ?, and worse is asked for, not `WORSE`."""
    words = ["good", "better", "bad", "worse", "Better", "WORSE", "Bad"]
    good, bad, step = torch.tensor([4.0, 1, 0]), torch.tensor([1.0, 4, 0]), torch.tensor([0.0, 0, 2])
    vectors = [good, good + step, bad, bad + 0.9 * step, bad + step, bad + 1.05 * step, bad + step]
    network = WordVectors(words, torch.stack(vectors))
    assert judge_analogies(KnownWords(network), [["good", "better", "bad", "worse"]]) == (1, 1)
    pairs = [("better", "good", 1.0), ("bad", "good", 2.0), ("worse", "bad", 3.0)]
    lower = WordVectors(words[:4], torch.stack(vectors[:4]))
    assert judge_pairs(KnownWords(network), pairs) == judge_pairs(KnownWords(lower), pairs)


@pytest.mark.parametrize(
    ("read", "text", "words"),
    [
        (read_pairs, "# about\n\na\tb\t1\na b 2\n", r"line 4: want word, tab, word, tab, number, got 'a b 2'"),
        (read_pairs, "a\tb\n", "line 1: want word, tab, word, tab, number"),
        (read_pairs, "a\tb\tmuch\n", "line 1: .* got 'a\\\\tb\\\\tmuch'"),
        (read_pairs, "a\tb\t1\na\tb\tnan\n", "line 2: want word"),
        (read_pairs, "a\tb\tinf\n", "line 1: want word"),
        (read_pairs, "# nothing\n\n", "holds no pairs"),
        (read_pairs, "", "is empty"),
        (read_analogies, ": one\na b c d\na b c\n", "line 3: want `: section` or, after one, four words, got 'a b c'"),
        (read_analogies, "a b c d\n: one\n", "line 1: want `: section`"),
        (read_analogies, ": one\na b c d e\n", "line 2: .* got 'a b c d e'"),
        (read_analogies, ":\na b c d\n", "line 1: want `: section`"),
        (read_analogies, ": one\n: two\n", "holds no analogies"),
        (read_analogies, "a" * 1000, "line 1: .* got 'a{60}'$"),
    ],
)
def test_a_bad_line_is_named(read: Callable[[Path], Any], text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "mine"
    path.write_text(text)
    with pytest.raises(DataError, match=words) as error:
        read(path)
    assert one_line(error.value).startswith(str(path))
    with pytest.raises(DataError, match="cannot read .*none: No such file"):
        read(tmp_path / "none")


def test_files_of_ones_own_are_read_in_small_letters(tmp_path: Path) -> None:
    path = tmp_path / "mine"
    path.write_text("# about\nKing\tqueen\t8.5\r\n\nTea \t Cup\t-1e1\tand more\n")
    assert read_pairs(path) == [("king", "queen", 8.5), ("tea", "cup", -10.0)]
    path.write_text(": One part\nA b C d\n\n: two\ne f g h\n: one PART\ni j k l\n")
    assert read_analogies(path) == {"one-part": [list("abcd"), list("ijkl")], "two": [list("efgh")]}
