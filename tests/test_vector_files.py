"""Files of word vectors: the same to the last bit, shared with gensim and torchtext, and refused when damaged."""

import gzip
import os
import resource
import ssl
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo.errors import DataError, NumericError, OutputError
from zoo.models.word_vectors import WordVectors
from zoo.vector_files import LONGEST, load_vectors, save_vectors

FORMATS = ["vectors.txt", "vectors.vec", "vectors.txt.gz", "vectors.bin", "vectors.bin.gz"]
WORDS = ["</s>", "don't", "naïve", "日本", "🎉", "-0.5", "_", "e\u0301", "x" * 300]
EDGES = [0.0, -0.0, 1e-45, -1.1754944e-38, 3.4028235e38, 1 / 3, 16777216.0, 0.1, -1e-7, 123456.79]


@pytest.fixture
def network() -> WordVectors:
    """Words of several scripts, numbers of every size, from the smallest float32 to the largest."""
    vectors = torch.randn(len(WORDS), 10) * 10.0 ** torch.randint(-30, 30, (len(WORDS), 10))
    vectors[0] = torch.tensor(EDGES)
    return WordVectors(WORDS, vectors)


def same_bits(a: torch.Tensor, b: torch.Tensor) -> bool:
    return a.dtype == b.dtype == torch.float32 and torch.equal(a.detach().view(torch.int32), b.view(torch.int32))


@pytest.mark.parametrize("name", FORMATS)
def test_what_is_written_is_read_to_the_last_bit(name: str, network: WordVectors, tmp_path: Path) -> None:
    path = tmp_path / "new" / name
    save_vectors(network, path)
    read = load_vectors(str(path))
    assert read.words == WORDS and same_bits(network.vectors, read.vectors)
    assert not read.training and not read.vectors.requires_grad
    before = path.read_bytes()
    save_vectors(read, path)
    assert path.read_bytes() == before and (before[:2] == b"\x1f\x8b") == name.endswith(".gz")
    assert [p.name for p in path.parent.iterdir()] == [name]
    if name.endswith(".gz"):  # no date in it: what is written tomorrow is the same too
        assert before[4:8] == bytes(4)


def test_the_bytes_are_those_of_word2vec(tmp_path: Path) -> None:
    network = WordVectors(["a", "ß"], torch.tensor([[1.0, -0.5], [0.1, 2e10]]))
    save_vectors(network, tmp_path / "x.txt")
    assert (tmp_path / "x.txt").read_bytes() == b"2 2\na 1 -0.5\n\xc3\x9f 0.100000001 2e+10\n"
    save_vectors(network, tmp_path / "x.bin")
    numbers = np.array([1, -0.5, 0.1, 2e10], dtype="<f4").tobytes()
    assert (tmp_path / "x.bin").read_bytes() == b"2 2\na " + numbers[:8] + b"\n\xc3\x9f " + numbers[8:] + b"\n"


words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=5).filter(lambda w: w.split() == [w])
numbers = st.floats(width=32, allow_nan=False, allow_infinity=False)


@settings(max_examples=60, deadline=None)
@given(st.lists(words, min_size=2, max_size=5, unique=True), st.integers(1, 4), st.data())
def test_any_words_and_numbers_survive(tmp_path_factory: pytest.TempPathFactory, given_words, dim, data) -> None:
    folder = tmp_path_factory.getbasetemp()
    row = st.lists(numbers, min_size=dim, max_size=dim)
    vectors = torch.tensor(data.draw(st.lists(row, min_size=len(given_words), max_size=len(given_words))))
    for name in ("any.txt", "any.bin"):
        save_vectors(WordVectors(given_words, vectors), folder / name)
        read = load_vectors(folder / name)
        assert read.words == given_words and same_bits(vectors, read.vectors)


@pytest.mark.parametrize("name", FORMATS)
def test_gensim_reads_what_the_zoo_writes(name: str, network: WordVectors, tmp_path: Path) -> None:
    from gensim.models import KeyedVectors

    save_vectors(network, tmp_path / name)
    theirs = KeyedVectors.load_word2vec_format(str(tmp_path / name), binary=".bin" in name)
    assert theirs.index_to_key == WORDS
    assert same_bits(network.vectors, torch.from_numpy(theirs.vectors))


@pytest.mark.parametrize("name", FORMATS)
def test_the_zoo_reads_what_gensim_writes(name: str, network: WordVectors, tmp_path: Path) -> None:
    from gensim.models import KeyedVectors

    theirs = KeyedVectors(vector_size=10)
    theirs.add_vectors(WORDS, network.vectors.detach().numpy())
    theirs.save_word2vec_format(str(tmp_path / name), binary=".bin" in name)
    read = load_vectors(tmp_path / name)
    assert read.words == WORDS and same_bits(network.vectors, read.vectors)


@pytest.mark.parametrize("name", ["vectors.txt", "vectors.txt.gz"])
def test_torchtext_reads_what_the_zoo_writes(
    name: str, network: WordVectors, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torchtext.vocab import Vectors

    # torchtext switches the check of certificates off for the whole process; this puts it back after the test.
    monkeypatch.setattr(ssl, "_create_default_https_context", ssl._create_default_https_context)
    save_vectors(network, tmp_path / name)
    theirs = Vectors(str(tmp_path / name), cache=str(tmp_path / "cache"))
    assert theirs.itos == WORDS and same_bits(network.vectors, theirs.vectors)


def test_text_of_other_programs_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_bytes(b"2 2 \r\n\xc2\xa0 1\t+2.50 \r\nb_c -.5 1E-3 \n\n")  # white space beyond ASCII is part of a word
    read = load_vectors(path)
    assert read.words == ["\xa0", "b_c"] and read.vectors.tolist() == [[1, 2.5], [-0.5, pytest.approx(1e-3)]]


def test_a_binary_file_longer_than_what_is_read_at_once(tmp_path: Path) -> None:
    network = WordVectors([f"w{i}" for i in range(3000)], torch.randn(3000, 800))  # 9.6 MB
    for name in ("x.bin", "x.bin.gz"):
        save_vectors(network, tmp_path / name)
        read = load_vectors(tmp_path / name)
        assert read.words == network.words and torch.equal(read.vectors, network.vectors)
    path = tmp_path / "long.bin"  # and rows that are longer
    save_vectors(WordVectors(["a" * LONGEST, "b" * LONGEST], torch.ones(2, 2_000_000)), path)
    assert [word[-1] for word in load_vectors(path).words if len(word) == LONGEST] == ["a", "b"]
    with open(path, "ab") as file:
        file.write(b"c")
    with pytest.raises(DataError, match="word 3: more follows"):
        load_vectors(path)


def test_any_float_type_is_written_as_float32(tmp_path: Path) -> None:
    for dtype in (torch.float64, torch.float16, torch.bfloat16):
        vectors = torch.randn(2, 3).to(dtype)
        save_vectors(WordVectors(["a", "b"], vectors), tmp_path / "x.txt")
        assert torch.equal(load_vectors(tmp_path / "x.txt").vectors, vectors.float())


@pytest.mark.parametrize("name", ["x.txt", "x.bin.gz"])
@pytest.mark.parametrize("word", ["", " ", "a b", "a\n", "\ta", "a\u00a0b", "a\u2028b", "\x1c", "\ud800", "a" * 65_537])
def test_a_word_that_the_reader_would_not_find_again_is_refused(word: str, name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"before")
    with pytest.raises(OutputError, match="cannot write .* the word '.* is empty, too long") as caught:
        save_vectors(WordVectors(["good", word], torch.ones(2, 3)), tmp_path / name)
    assert repr(word[:40]) in str(caught.value) and "\n" not in str(caught.value)
    assert [p.read_bytes() for p in tmp_path.iterdir()] == [b"before"]


def test_numbers_that_are_not_finite_are_not_written(tmp_path: Path) -> None:
    for number in (float("nan"), float("inf"), 1e300):  # the last is none in float32
        vectors = torch.tensor([[1.0, 2.0], [number, 3.0]], dtype=torch.float64)
        with pytest.raises(NumericError, match="x.txt: the vector of 'bad' is not finite"):
            save_vectors(WordVectors(["good", "bad"], vectors), tmp_path / "x.txt")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", FORMATS)
def test_a_full_disk_leaves_the_previous_file(name: str, network: WordVectors, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(b"before")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        with pytest.raises(OutputError, match=f"cannot write .*{name}: File too large"):
            save_vectors(network, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert path.read_bytes() == b"before" and len(list(tmp_path.iterdir())) == 1


def test_a_place_that_cannot_be_written_is_named(network: WordVectors, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write .*file/x.txt"):
        save_vectors(network, tmp_path / "file" / "x.txt")


ROW = np.ones(2, dtype="<f4").tobytes()
BAD = np.array([1, np.nan], dtype="<f4").tobytes()
DAMAGED = [
    ("x.txt", b"", "must begin with a line"),
    ("x.bin", b"", "must begin with a line"),
    ("x.txt", b"the 0.1 0.2\nof 0.3 0.4\n", "must begin with a line"),  # GloVe's files have no header
    ("x.txt", b"\n2 2\na 1 2\nb 3 4\n", "must begin with a line"),
    ("x.txt", b"2 2", "must begin with a line"),
    ("x.txt", b"2 2 2\na 1 2\nb 3 4\n", "must begin with a line"),
    ("x.txt", b"2 -2\na 1 2\nb 3 4\n", "must begin with a line"),
    ("x.txt", b"2 2.0\na 1 2\nb 3 4\n", "must begin with a line"),
    ("x.txt", b"0 2\n", "must begin with a line"),
    ("x.txt", b"1 2\na 1 2\n", "must begin with a line"),
    ("x.txt", b"2 0\na\nb\n", "must begin with a line"),
    ("x.txt", b"2_0 2\na 1 2\nb 3 4\n", "must begin with a line"),
    ("x.txt", "2 ٢\na 1 2\nb 3 4\n".encode(), "must begin with a line"),
    ("x.txt", b"9" * 9000 + b" 2\n", "must begin with a line"),
    ("x.bin", b"\x80\x04\x95K\x01.", "must begin with a line"),
    ("x.bin", b"PK\x03\x04" + bytes(200), "must begin with a line"),
    ("x.txt", b"2" + b" " * 100 + b"2\na 1 2\nb 3 4\n", "must begin with a line"),
    ("x.txt", b"99999999999999999999 9999999999999999999\na 1\n", "too small for 99,999"),
    ("x.txt", b"2 9999999999999999999\na 1\n", "too small for 2 words with 9,999"),
    ("x.bin", b"99999999999999999999 9999999999999999999\na 1\n", "too small for 99,999"),
    ("x.bin.gz", gzip.compress(b"9999999999 300\na 1\n"), "too small for 9,999,999,999 words with 300"),
    ("x.bin", b"2 2\na " + ROW + b"b " + ROW[:3], "too small for 2 words with 2"),
    ("x.bin", b"2 2\na " + ROW + b"b " + ROW[:-1], "word 2: b'b' is no word, or the file ends before its vector"),
    ("x.txt", b"4 1\na 1000\nb 1000\n", "line 4: not there, of 4 words"),
    ("x.txt", b"2 2\na 1 2\nb 3 4\nc 5 6\n", "line 4: more follows"),
    ("x.txt", b"2 2\na 1 2\nb 3\n", "line 3: 2 numbers must follow 'b', got 1"),
    ("x.txt", b"2 2\na 1 2 3\nb 3 4\n", "line 2: 2 numbers must follow 'a', got 3"),
    ("x.txt", b"2 2\na b 1 2\nc 3 4\n", "line 2: 2 numbers must follow 'a', got 3"),
    ("x.txt", b"2 2\na 1 2\n\nb 3 4\n", "line 3: 2 numbers must follow '', got 0"),
    ("x.txt", b"2 2\na 1 2\nb 3 4", "line 3: it is cut short"),  # of 4.5, perhaps
    ("x.txt", b"2 2\na 1 2\n" + b"b" * 70_000 + b" 1 2\n", "line 3: it is cut short, or far too long"),
    ("x.txt", b"2 2\na 1 2\nb 3 x\n", "line 3: could not convert .*'x'"),
    ("x.txt", b"2 2\na 1 2\nb 3 " + b"x" * 9000 + b"\n", "line 3: could not convert"),
    ("x.txt", b"2 2\na 1 2\nb 3 0x1p3\n", "line 3: could not convert"),
    ("x.txt", b"2 2\na 1 2\nb_c 3 1_0\n", "line 3: a number of 'b_c' has an underscore"),
    ("x.txt", b"2 2\na 1 2\nb 3 nan\n", "line 3: the vector of 'b' is not finite"),
    ("x.txt", b"2 2\na 1 -inf\nb 3 4\n", "line 2: the vector of 'a' is not finite"),
    ("x.txt", b"2 2\na 1 1e39\nb 3 4\n", "line 2: the vector of 'a' is not finite"),
    ("x.txt", b"3 1\na 1\nb 2\na 3\n", "line 4: the word 'a' was word 1 already"),
    ("x.txt", b"2 1\na 1\n\xff\xfe 2\n", "line 3: 'utf-8' codec can't decode byte 0xff"),
    ("x.txt", b"2 1\na 1\n\xff\xfe 2 3\n", "line 3: 'utf-8' codec can't decode byte 0xff"),
    ("x.txt", b"2 2\na " + ROW + b"\nb " + ROW + b"\n", "line 2"),  # a binary file under a name of text
    ("x.bin", b"2 2\na 1.25 2.25\nb 3.25 4.25\n", "word 2"),  # and the other way round
    ("x.bin", b"2 2\n" + b"a" * 12 + b" " + ROW, "word 2: b'' is no word, or the file ends"),
    ("x.bin", b"2 2\na " + ROW + b"b" * 12, "word 2: b'bbbbbbbbbbbb?' is no word"),
    ("x.bin", b"2 2\na " + ROW + b"b " + ROW + b"c", "word 3: more follows"),
    ("x.bin", b"2 2\na " + ROW + b"\nb " + ROW + b"\n\n", "word 3: more follows"),
    ("x.bin", b"2 2\na " + ROW + b" " + ROW + b"\n", "word 2: b'' is no word"),
    ("x.bin", b"2 2\na " + ROW + b"b\tc " + ROW, r"word 2: b'b\\tc' is no word"),
    ("x.bin", b"2 2\na " + ROW + b"b" * 70_000 + b" " + ROW, "word 2: b'b*' is no word"),
    ("x.bin", b"2 2\na " + ROW + b"\na " + ROW + b"\n", "word 2: the word 'a' was word 1 already"),
    ("x.bin", b"2 2\na " + ROW + b"\nb " + BAD + b"\n", "word 2: the vector of 'b' is not finite"),
    ("x.bin", b"2 2\na " + ROW + b"\n\xff " + ROW + b"\n", "word 2: 'utf-8' codec can't decode byte 0xff"),
    ("x.txt.gz", b"2 1\na 1\nb 2\n", "cannot read .*Not a gzipped file"),
    ("x.txt.gz", b"", "must begin with a line"),
    ("x.txt", gzip.compress(b"2 1\na 1\nb 2\n"), "must begin with a line"),
]


@pytest.mark.parametrize(("name", "content", "message"), DAMAGED, ids=range(len(DAMAGED)))
def test_a_damaged_or_foreign_file_is_one_line(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        load_vectors(tmp_path / name)
    line = str(caught.value)
    assert str(tmp_path / name) in line and "\n" not in line and len(line) < 300 + len(str(tmp_path))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    for name in ("no.txt", "no.bin", "no.txt.gz"):
        with pytest.raises(DataError, match=f"cannot read .*{name}: No such file"):
            load_vectors(tmp_path / name)
    with pytest.raises(DataError, match="Is a directory"):
        load_vectors(tmp_path)


@pytest.mark.parametrize("name", FORMATS)
def test_no_shortened_file_is_read(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    save_vectors(WordVectors(["one", "two", "three"], torch.randn(3, 4)), path)
    good = path.read_bytes()
    for length in range(len(good) - (".bin" in name and not name.endswith(".gz"))):  # the last newline may be missing
        path.write_bytes(good[:length])
        with pytest.raises(DataError) as caught:
            load_vectors(path)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["vectors.txt.gz", "vectors.bin.gz"])
def test_a_flipped_byte_in_a_packed_file_is_noticed(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    network = WordVectors(["one", "two", "three"], torch.randn(3, 4))
    save_vectors(network, path)
    good = path.read_bytes()
    for place in range(10, len(good)):  # the ten bytes before hold the date and the like
        path.write_bytes(good[:place] + bytes([good[place] ^ 0x55]) + good[place + 1 :])
        with pytest.raises(DataError) as caught:
            load_vectors(path)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["bomb.txt.gz", "bomb.bin.gz"])
def test_a_small_file_that_unpacks_to_a_large_one_takes_no_memory(name: str, tmp_path: Path) -> None:
    with gzip.open(tmp_path / name, "wb") as file:
        file.write(b"1000 100\n")
        for _ in range(100):
            file.write(bytes(1 << 20))
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match="line 2: it is cut short, or far too long|word 1: .* is no word"):
            load_vectors(tmp_path / name)
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


def test_more_than_the_memory_holds_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_bytes(b"9000000000 300\n")
    os.truncate(tmp_path / "x.txt", 10**13)  # a hole, which takes no disk
    with pytest.raises(DataError, match="cannot read .*x.txt: Unable to allocate|line 2: it is cut short, or far too"):
        load_vectors(tmp_path / "x.txt")


def test_a_vocabulary_is_read_in_seconds(tmp_path: Path) -> None:
    network = WordVectors([f"word{i}" for i in range(8000)], torch.randn(8000, 100))
    for name, seconds in (("x.txt", 2.0), ("x.bin", 0.5)):  # about ten times what it takes
        save_vectors(network, tmp_path / name)
        start = time.process_time()
        load_vectors(tmp_path / name)
        assert time.process_time() - start < seconds
