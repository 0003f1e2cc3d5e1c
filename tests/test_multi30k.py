"""Sub-words, pairs of sentences in batches of like length, and BLEU; most of it on a corpus invented here."""

import gzip
import hashlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sacrebleu
import torch
from conftest import DATA_ROOT, ROOT, needs
from torch import Tensor, nn

import zoo
from zoo.checkpoint import read_checkpoint, write_checkpoint
from zoo.data import multi30k
from zoo.data.fetch import File
from zoo.data.multi30k import Multi30k, Pairs, bleu, width
from zoo.data.subwords import decode, encode, pieces, processor, train_subwords
from zoo.errors import ConfigError, DataError
from zoo.models.decoding import BEGIN, END, PADDING, UNKNOWN
from zoo.module import ZooModule
from zoo.registry import build

CORPUS = [
    ("A cat sleeps.", "Eine Katze schläft."),
    ("The old dog sleeps under the table.", "Der alte Hund schläft unter dem Tisch."),
    ("Two children run.", "Zwei Kinder rennen."),
    ("A woman reads a red book on the bank.", "Eine Frau liest ein rotes Buch auf der Bank."),
    ("The baker sells bread.", "Der Bäcker verkauft Brot."),
    ("It rains (again) today!", "Es regnet heute (schon wieder)!"),
    ("Three cooks stir one soup.", "Drei Köche rühren eine Suppe."),
    ("My brother's bicycle is green.", "Das Fahrrad meines Bruders ist grün."),
    ("Nobody hears the bell.", "Niemand hört die Glocke."),
    ("A boat crosses the wide river before noon.", "Ein Boot überquert vor Mittag den breiten Fluss."),
    ("Snow, snow, snow.", "Schnee, Schnee, Schnee."),
    ("She asks: why?", "Sie fragt: warum?"),
]
VOCAB_SIZE = 120
English, German = zip(*CORPUS, strict=True)


def write_corpus(root: Path, monkeypatch: pytest.MonkeyPatch, parts: dict[str, list[tuple[str, str]]]) -> None:
    """Files of these pairs below `root`, which from now on are the ones that the data set expects."""
    (root / "multi30k").mkdir()
    files = {}
    for part, pairs in parts.items():
        for language, lines in zip(("en", "de"), zip(*pairs, strict=True), strict=True):
            packed = gzip.compress("".join(f"{line}\n" for line in lines if line).encode())
            name = f"{part}.{language}.gz"
            (root / "multi30k" / name).write_bytes(packed)
            files.setdefault(part, []).append(File(name, hashlib.sha256(packed).hexdigest(), len(packed)))
    monkeypatch.setattr(multi30k, "FILES", files)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_corpus(tmp_path, monkeypatch, {"train": CORPUS, "val": CORPUS[:7], "test": CORPUS[4:]})
    return tmp_path


@pytest.fixture(scope="module")
def transform() -> dict[str, Any]:
    subwords = train_subwords(English + German, VOCAB_SIZE)
    return {"kind": "subwords", "languages": ["en", "de"], "sentencepiece": subwords}


class Parrot(nn.Module):
    """Translates by heart, and remembers what it was asked."""

    def __init__(self, pairs: tuple[Tensor, Tensor]):
        super().__init__()
        sources, targets = ([row[row > END] for row in side] for side in pairs)
        self.known = {tuple(source.tolist()): target for source, target in zip(sources, targets, strict=True)}
        self.asked: list[tuple[int, tuple[int, ...]]] = []

    def translate(self, source: Tensor, beam_size: int = 1) -> list[Tensor]:
        self.asked.append((beam_size, tuple(source.shape)))
        return [self.known[tuple(row[row > END].tolist())] for row in source]


def made_up_pairs(size: int) -> tuple[Tensor, Tensor]:
    """Sentences of 1 to 40 numbers, each pair with numbers of its own."""
    generator = torch.Generator().manual_seed(1)
    lengths = torch.randint(1, 41, (2, size, 1), generator=generator)
    numbers = torch.arange(size)[:, None] + 4
    sources, targets = ((torch.arange(48) < n) * numbers for n in lengths)
    return sources, targets


def test_subwords_come_back_as_the_text_that_they_were(transform: dict[str, Any]) -> None:
    for sentences in (English, German):
        numbers = encode(sentences, transform)
        ends = (numbers != PADDING).sum(1)
        assert numbers.dtype == torch.int64 and numbers.shape == (12, int(ends.max()))
        assert numbers.max() < VOCAB_SIZE
        assert [row.tolist().index(END) + 1 for row in numbers] == ends.tolist()  # what is filled up stands behind END
        assert decode(numbers, transform) == list(sentences)
    assert train_subwords(English + German, VOCAB_SIZE) == transform["sentencepiece"]
    assert encode([], transform).shape == (0, 0) and decode([], transform) == []
    assert encode([""], transform).tolist() == [[END]]


def test_decoding_stops_at_end_and_drops_what_is_special(transform: dict[str, Any]) -> None:
    (row,) = encode(["A cat"], transform)
    cat = row[:-1]
    torn = torch.cat([torch.tensor([BEGIN, PADDING]), cat[:1], torch.tensor([UNKNOWN]), cat[1:], row[-1:], cat])
    assert decode([cat, row, torn, row[-1:], row[:0]], transform) == ["A cat", "A cat", "A cat", "", ""]
    assert decode(encode(["A ☃ cat"], transform), transform) == ["A  cat"]  # no sub-word knows it


def test_pieces_label_every_number(transform: dict[str, Any]) -> None:
    numbers = encode(["The bell", "A"], transform)
    first, second = (pieces(row, transform) for row in numbers)
    assert "".join(first) == "▁The▁bell</s>" and len(first) == len(second) == numbers.shape[1]
    assert second[:2] == ["▁A", "</s>"] and set(second[2:]) <= {"<pad>"}


def test_vocabulary_sizes_that_the_text_cannot_fill_are_named() -> None:
    for size in (20, 5000, 10**12):
        with pytest.raises(DataError, match=rf"no sub-words of this text with data\.vocab_size={size}: \S") as caught:
            train_subwords(English, size)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "!", "ä", "AAAA", None, 7])
def test_a_transform_that_is_none_is_refused_in_one_line(text: object, transform: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="'sentencepiece' is not the base64 text of a vocabulary$"):
        encode(["A cat"], {**transform, "sentencepiece": text})
    with pytest.raises(ValueError, match="must be of kind 'subwords', got 'words'"):
        decode([torch.tensor([5])], {**transform, "kind": "words"})


def test_a_vocabulary_cut_short_or_numbered_otherwise_is_refused(
    transform: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValueError, match="not the base64 text of a vocabulary"):
        processor({**transform, "sentencepiece": transform["sentencepiece"][:1000]})
    from zoo.data import subwords

    monkeypatch.setattr(subwords, "SPECIAL", {"pad_id": 3, "unk_id": 1, "bos_id": 2, "eos_id": 0})
    with pytest.raises(ValueError, match="special numbers must be .*'pad_id': 3.*, got .*'pad_id': 0"):
        processor(transform)


def test_the_transform_travels_in_a_checkpoint(transform: dict[str, Any], tmp_path: Path) -> None:
    about = {"model": "mlp", "arguments": {}, "transform": transform}
    write_checkpoint({"zoo": about, "state_dict": {}}, tmp_path / "net.ckpt")
    found = read_checkpoint(tmp_path / "net.ckpt")["zoo"]["transform"]
    assert found == transform
    assert torch.equal(encode(German, found), encode(German, transform))


def test_who_reads_no_sub_words_imports_neither_sentencepiece_nor_sacrebleu() -> None:
    code = (
        "import sys; from zoo.registry import build; build('data', 'abc', {}).load(); build('data', 'multi30k', {});"
        "assert 'zoo.data.multi30k' in sys.modules; assert not {'sentencepiece', 'sacrebleu'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


@pytest.mark.parametrize("seed", [None, 0])
@pytest.mark.parametrize(("size", "batch_size"), [(1000, 7), (64, 64), (10, 99)])
def test_each_pair_comes_once_with_no_more_padding_than_its_batch_needs(
    size: int, batch_size: int, seed: int | None
) -> None:
    pairs = made_up_pairs(size)
    batches = Pairs(pairs, batch_size, seed)
    served = list(batches)
    assert len(served) == len(batches) == -(-size // batch_size)
    found = []
    for sources, targets in served:
        assert (sources[:, 0] == targets[:, 0]).all()  # they are still pairs
        for side in (sources, targets):
            lengths = (side != PADDING).sum(1)
            assert side.shape[1] % 8 == 0 and 0 <= side.shape[1] - int(lengths.max()) < 8
        found += list(zip(sources.tolist(), targets.tolist(), strict=True))
    assert sorted(source[0] for source, _ in found) == list(range(4, size + 4))
    for source, target in found:  # and whole
        for side, whole in zip((source, target), (part[source[0] - 4] for part in pairs), strict=True):
            assert sum(side) == int(whole.sum())


def test_pairs_of_like_length_stand_side_by_side() -> None:
    pairs = made_up_pairs(1000)
    longest = [[int((side != PADDING).sum(1).max()) for side in batch] for batch in Pairs(pairs, 10)]
    assert [max(batch) for batch in longest] == sorted(max(batch) for batch in longest)

    def computed(batches: Pairs) -> int:
        return sum(side.numel() for batch in batches for side in batch)

    unsorted = [part for side in pairs for part in side.split(10)]
    chance = sum(len(part) * width((part != PADDING).sum(1)) for part in unsorted)
    assert computed(Pairs(pairs, 10)) < computed(Pairs(pairs, 10, seed=0)) < 0.9 * chance
    order = [max((side != PADDING).sum(1).max() for side in batch) for batch in Pairs(pairs, 10, seed=0)]
    assert order != sorted(order)  # short and long batches take turns


def test_a_pass_is_a_function_of_its_seed_and_number_and_can_be_entered_anywhere() -> None:
    pairs, step = made_up_pairs(100), 0
    batches = Pairs(pairs, 9, seed=4, step=lambda: step)

    def rest() -> list[list[Any]]:
        return [[side.tolist() for side in batch] for batch in batches]

    whole = rest()
    assert [[side.tolist() for side in batch] for batch in Pairs(pairs, 9, seed=4)] == whole
    assert [[side.tolist() for side in batch] for batch in Pairs(pairs, 9, seed=5)] != whole
    for step in (1, 5, 11):
        assert rest() == whole[step:]
    step = 12
    assert len(rest()) == 12 and rest() != whole  # the next pass, in an order of its own
    pairs = made_up_pairs(2000)  # several pools
    one, two = ({frozenset(sources[:, 0].tolist()) for sources, _ in Pairs(pairs, 9, seed)} for seed in (0, 1))
    assert len(one & two) < 5  # other neighbours too


def test_items_are_sentences_with_their_special_numbers(root: Path) -> None:
    data = build("data", "multi30k", {"vocab_size": VOCAB_SIZE, "root": str(root)})
    assert data.provides == {"vocab_size": VOCAB_SIZE, "input_shape": [data.train[0].shape[1]]}
    for part, pairs in (("train", CORPUS), ("val", CORPUS[:7]), ("test", CORPUS[4:])):
        sources, targets = getattr(data, part)
        assert decode(sources, data.transform) == [english for english, _ in pairs]
        assert decode(targets, data.transform) == [german for _, german in pairs]
        assert ((sources == END).sum(1) == 1).all() and not (sources == BEGIN).any()
        assert ((targets == END).sum(1) == 1).all() and (targets[:, 0] == BEGIN).all()
        assert not (targets[:, 1:] == BEGIN).any() and not (sources == UNKNOWN).any()
        assert sources.shape[1] == data.train[0].shape[1] and targets.shape[1] == data.train[1].shape[1]
    back = build("data", "multi30k", {"vocab_size": VOCAB_SIZE, "root": str(root), "source": "de", "target": "en"})
    back.load()
    assert decode(back.test[0], back.transform) == [german for _, german in CORPUS[4:]]
    assert back.transform == {**data.transform, "languages": ["de", "en"]}
    assert back.fingerprint == data.fingerprint != ""


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"source": "fr"}, "source and target must be en and de, in either order, got 'fr' and 'de'"),
        ({"source": "de"}, "got 'de' and 'de'"),
        ({"vocab_size": 4}, "vocab_size must be > 4, for so many are special, got 4"),
        ({"batch_size": 0}, "batch_size must be >= 1"),
    ],
)
def test_bad_values_are_named_with_their_rule(wrong: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        build("data", "multi30k", wrong)


def test_files_of_different_length_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_corpus(tmp_path, monkeypatch, {"train": CORPUS, "val": [*CORPUS, ("One more.", "")], "test": CORPUS})
    with pytest.raises(DataError, match="multi30k: val must have as many lines .*, got 13 in en, 12 in de"):
        Multi30k(root=str(tmp_path)).load()


def test_a_damaged_file_is_named(root: Path) -> None:
    (root / "multi30k" / "val.de.gz").write_bytes(gzip.compress(b"Hallo"))
    with pytest.raises(DataError, match=r"val\.de\.gz is damaged"):
        Multi30k(root=str(root)).load()


def test_a_network_that_gives_the_references_has_a_bleu_of_100(root: Path) -> None:
    data = Multi30k(batch_size=3, vocab_size=VOCAB_SIZE, root=str(root))
    data.load()
    parrot = Parrot(data.test)
    assert data.probe(parrot) == pytest.approx({"bleu": 100, "bleu_greedy": 100})
    assert [(size, shape[0]) for size, shape in parrot.asked] == [(5, 3), (5, 3), (5, 2), (1, 3), (1, 3), (1, 2)]
    assert [shape[1] for _, shape in parrot.asked[:3]] == sorted(shape[1] for _, shape in parrot.asked[:3])
    known = list(parrot.known)
    parrot.known[known[0]] = parrot.known[known[1]]
    assert 0 < data.probe(parrot)["bleu"] < 100
    assert data.probe(nn.Linear(1, 1)) == {} and data.report(nn.Linear(1, 1), 0) is None
    assert not data.probes_untrained


def test_the_report_shows_five_translations_and_how_bleu_is_counted(root: Path) -> None:
    data = Multi30k(vocab_size=VOCAB_SIZE, root=str(root))
    data.load()
    report = data.report(Parrot(data.val), seed=0)
    blocks = [f"en: {english}\nde: {german}\nreference: {german}\n" for english, german in CORPUS[:5]]
    signature = f"nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:{sacrebleu.__version__}"
    assert report == "\n".join([*blocks, f"test/bleu: {signature}\n"])


def test_bleu_is_what_sacrebleu_says() -> None:
    references = list(German) * 3
    assert bleu(references, references)[0] == pytest.approx(100)
    mangled = [" ".join(line.lower().split()[: 3 + i % 4]) for i, line in enumerate(references)]
    by_hand = sacrebleu.corpus_bleu(mangled, [references])
    assert bleu(mangled, references)[0] == by_hand.score and 10 < by_hand.score < 60
    assert bleu([""] * 36, references)[0] == 0


class Counter(nn.Module):
    """Its loss is the mean of the numbers that are no padding."""

    def loss(self, batch: tuple[Tensor, ...]) -> dict[str, Tensor]:
        count = (batch[-1] != PADDING).sum()
        return {"loss": batch[-1].sum() / count, "items": count}


@pytest.mark.parametrize("as_number", [int, lambda count: count])
def test_means_are_over_the_items_that_a_loss_names(
    as_number: Callable[[Tensor], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    network = Counter()
    told = network.loss
    monkeypatch.setattr(network, "loss", lambda batch: (answer := told(batch)) | {"items": as_number(answer["items"])})
    module = ZooModule(network, None, None, 0, {})
    _, targets = pairs = made_up_pairs(100)
    for batch in Pairs(pairs, 9):
        module.add("val", batch)
    checkpoint: dict[str, Any] = {}
    module.on_save_checkpoint(checkpoint)
    assert checkpoint["running_sums"]["items"] == {"train": 0, "val": int((targets != PADDING).sum()), "test": 0}
    assert all(type(count) is int for count in checkpoint["running_sums"]["items"].values())
    means = module.finish("val", 0)
    assert means == {"val/loss": pytest.approx(float(targets.sum() / (targets != PADDING).sum()))}
    assert module.items["val"] == 0


def test_a_run_translates_reports_and_continues_in_mid_epoch_with_the_same_bits(
    root: Path, train: Callable[..., dict[str, Any]]
) -> None:
    settings = [
        "model=seq2seq", "model.hidden_size=8", "model.embedding_dim=8", "model.dropout=0.1", "data=multi30k",
        f"data.root={root}", "data.batch_size=4", f"data.vocab_size={VOCAB_SIZE}", "trainer.max_epochs=3",
        "figures=false", "logger=csv", "trainer.progress=false",
    ]  # fmt: skip
    result = train(*settings, "run_dir=whole")
    assert {"test/loss", "test/acc", "test/bleu", "test/bleu_greedy"} <= result["metrics"].keys()
    assert not any(name.startswith("before/") for name in result["metrics"])
    assert sorted(path.name for path in Path("whole/reports").iterdir()) == [f"{n:07d}.txt" for n in (0, 3, 6, 9)]
    train(*settings, "run_dir=parts", "trainer.max_steps=4")
    (Path("parts") / "result.json").unlink()
    train(*settings, "run_dir=parts", "ckpt_path=last")
    whole, parts = (read_checkpoint(f"{name}/checkpoints/last.ckpt") for name in ("whole", "parts"))
    assert whole["zoo"]["metrics"] == parts["zoo"]["metrics"]
    network = zoo.load("whole")  # with nothing but the checkpoint
    transform = network.card["transform"]
    (sentence,) = decode(network.translate(encode([CORPUS[4][0]], transform), beam_size=2), transform)
    data = Multi30k(vocab_size=VOCAB_SIZE, root=str(root))
    data.load()
    assert sentence == data.translations(network, data.test[0][:1], beam_size=2)[0]
    for name, weights in whole["state_dict"].items():
        assert torch.equal(weights, parts["state_dict"][name]), name


@needs("multi30k")
def test_multi30k_is_the_official_split_and_comes_back_to_the_letter() -> None:
    data = Multi30k(root=str(DATA_ROOT))
    data.load()
    assert [len(part[0]) for part in (data.train, data.val, data.test)] == [29_000, 1_014, 1_000]
    first = "Two young, White males are outside near many bushes."
    assert decode(data.train[0][:1], data.transform) == [first]
    for side, language in enumerate(("en", "de")):
        for part, pairs in (("val", data.val), ("test", data.test)):
            (file,) = [file for file in multi30k.FILES[part] if f".{language}." in file.name]
            lines = gzip.decompress((DATA_ROOT / "multi30k" / file.name).read_bytes()).decode().split("\n")[:-1]
            assert decode(pairs[side], data.transform) == lines
        assert not (data.train[side] == UNKNOWN).any()
    assert len(processor(data.transform)) == data.provides["vocab_size"] == 8000
    batches = data.batches("train", seed=0)
    assert len(batches) == 227
    shapes = [[tuple(side.shape) for side in batch] for batch in batches]
    assert len({str(shape) for shape in shapes}) <= 12
    tokens = sum(int((side != PADDING).sum()) for side in data.train)
    assert sum(rows * wide for batch in shapes for rows, wide in batch) < 1.35 * tokens  # a quarter is padding
    assert data.probe(Parrot(data.test)) == pytest.approx({"bleu": 100, "bleu_greedy": 100})
