"""31,014 English descriptions of photographs and their German translations: what a network can learn to translate.

Source: Elliott et al., Multi30K: Multilingual English-German Image Descriptions, VL 2016; repository multi30k/dataset,
task 1. Split: the official one; the test part is that of 2016 (test_2016_flickr).
"""

import gzip
import hashlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.data.dataset import DataSet, Passes, Split, mix
from zoo.data.fetch import File, fetch
from zoo.data.subwords import decode, encode, train_subwords
from zoo.errors import DataError
from zoo.models.decoding import BEGIN, END, PADDING
from zoo.registry import register

URL = "https://raw.githubusercontent.com/multi30k/dataset/master/data/task1/raw"
LANGUAGES = ("en", "de")
FILES = {  # of LANGUAGES, packed as they come
    "train": (
        File("train.en.gz", "d79cfa999dd4c51d2cb42499b6796d5a882c3a8a961923c25a898c90f8bbd56f", 568_929),
        File("train.de.gz", "726e39b2fa9eb9ffb6dc763fb35a179f80fae06ffc5d28b6ace5faa883de28a6", 637_044),
    ),
    "val": (
        File("val.en.gz", "14f7d25ddd868909a9213e361768460edcacdd6ab9d1e77b92560dc10c10dc28", 21_650),
        File("val.de.gz", "f0cba2f995189cf5770f29a8a9a537a3ad3f51657ad873405082ff6863a5e75a", 24_681),
    ),
    "test": (
        File("test_2016_flickr.en.gz", "611d361c6334bc7246101d48097c13cf5c4413c5befc793cc629934359d532d9", 21_077),
        File("test_2016_flickr.de.gz", "9204244e408ccb38d2a55cfcd344df15005fc42a07a6e55ca6c52b6ababb8cc8", 22_890),
    ),
}
POOL = 50  # batches that are sorted together: like lengths side by side, yet other neighbours in each pass
SHOWN = 5  # sentences in a report


class Pairs(Passes):
    """Batches (source (B, S), target (B, T)) int64 of pairs of like length, with little padding to compute in vain.

    pairs: sources and targets, each (N, longest), filled up with PADDING.
    seed: in pass p the pairs are shuffled by (seed, p), cut into pools, each sorted by length and cut into batches, and
        the batches shuffled; None: all sorted by length.
    step: as in `Passes`. Each pair comes once in a pass; one batch may be smaller.
    S and T are those of the longest sentence of the batch, see `width`.
    """

    def __init__(
        self, pairs: Split, batch_size: int, seed: int | None = None, step: Callable[[], int] | None = None
    ):  # fmt: skip
        self.pairs, self.seed = pairs, seed
        self.lengths = tuple((side != PADDING).sum(1).cpu() for side in pairs)
        self.size = len(self.lengths[0])
        self.batch_size = min(batch_size, self.size)
        super().__init__(-(-self.size // self.batch_size), 1, step)

    def __iter__(self) -> Iterator[Split]:
        """The batches of the current epoch that are still to come."""
        plan, plan_of = [], -1
        for number, batch in self.still_to_come():
            if number != plan_of:
                plan, plan_of = self.plan(number), number
            rows, widths = plan[batch]
            yield tuple(side[:, :wide][rows] for side, wide in zip(self.pairs, widths, strict=True))

    def plan(self, number: int) -> list[tuple[Tensor, tuple[int, ...]]]:
        """Of each batch of pass `number`: its rows (B,), and the widths of source and target."""
        source, target = self.lengths
        longer = torch.maximum(source, target)  # by the source alone, a third of the targets would be padding
        length = longer * (int(longer.max()) + 1) + target  # in one number: by the longer, then by the target
        order, generator = torch.arange(self.size), torch.Generator()
        if self.seed is not None:
            pool = order // (POOL * self.batch_size)
            order = torch.randperm(self.size, generator=generator.manual_seed(mix(self.seed, number)))
            length = length[order] + pool * (int(length.max()) + 1)
        order = order[length.argsort(stable=True)]
        widths = [[width(part) for part in side[order].split(self.batch_size)] for side in self.lengths]
        rows = order.to(self.pairs[0].device).split(self.batch_size)
        plan = list(zip(rows, zip(*widths, strict=True), strict=True))
        if self.seed is not None:
            plan = [plan[i] for i in torch.randperm(len(plan), generator=generator).tolist()]
        return plan


def width(lengths: Tensor) -> int:
    """Of the longest, up to a multiple of 8: oneDNN and cuDNN choose a kernel for each shape, so there shall be few."""
    return -(-int(lengths.max()) // 8) * 8


@register("multi30k", group="data")
class Multi30k(DataSet):
    """Pairs: source (S,) int64, sub-words and END; target (T,) int64, BEGIN, sub-words and END; filled up with PADDING.

    vocab_size: sub-words of both languages together, with the four special ones, learnt from the training part; the
        same in both directions.
    source, target: en and de, or de and en.
    root: folder that holds (or shall hold) multi30k/*.gz; None: ZOO_DATA_DIR, else data/cache.
    """

    licence = "not stated; see the terms of Flickr30K"
    probes_untrained = False  # it would write each of 2,000 translations up to its limit, for a BLEU of 0

    def __init__(
        self,
        batch_size: int = 128,
        vocab_size: int = 8000,
        source: str = "en",
        target: str = "de",
        root: str | None = None,
    ):
        super().__init__(batch_size, root)
        if {source, target} != set(LANGUAGES):
            known = " and ".join(LANGUAGES)
            raise ValueError(f"source and target must be {known}, in either order, got {source!r} and {target!r}")
        if vocab_size <= END + 1:
            raise ValueError(f"vocab_size must be > {END + 1}, for so many are special, got {vocab_size}")
        self.vocab_size, self.source, self.target = vocab_size, source, target
        self.transform: dict[str, Any] = {}
        self.references: list[str] = []
        self.shown: tuple[list[str], list[str]] = ([], [])

    @property
    def provides(self) -> dict[str, Any]:
        """The longest sentence is known when all have been cut into sub-words, so it is done here. Raises DataError."""
        self.load()
        return {"vocab_size": self.vocab_size, "input_shape": list(self.train[0].shape[1:])}

    def load(self) -> None:
        """Read the sentences, fetched where they are not there, and cut them into sub-words. Raises DataError."""
        if self.transform:
            return
        texts = {part: self.read(part) for part in FILES}
        subwords = train_subwords([line for lines in texts["train"].values() for line in lines], self.vocab_size)
        transform = {"kind": "subwords", "languages": [self.source, self.target], "sentencepiece": subwords}
        sources = filled_up([encode(texts[part][self.source], transform) for part in FILES])
        targets = filled_up([F.pad(encode(texts[part][self.target], transform), (1, 0), value=BEGIN) for part in FILES])
        self.train, self.val, self.test = zip(sources, targets, strict=True)
        self.references = texts["test"][self.target]
        self.shown = (texts["val"][self.source][:SHOWN], texts["val"][self.target][:SHOWN])
        self.fingerprint = hashlib.sha256(subwords.encode()).hexdigest()  # another sentencepiece may cut otherwise
        self.transform = transform

    def read(self, part: str) -> dict[str, list[str]]:
        """The sentences of a part in each language, line by line the same. Raises DataError."""
        texts = {}
        for language, file in zip(LANGUAGES, FILES[part], strict=True):
            path = fetch(f"{URL}/{file.name}", self.root / "multi30k" / file.name, file)
            texts[language] = gzip.decompress(path.read_bytes()).decode().removesuffix("\n").split("\n")
        if len({len(lines) for lines in texts.values()}) > 1:
            counts = ", ".join(f"{len(lines):,} in {language}" for language, lines in texts.items())
            raise DataError(f"multi30k: {part} must have as many lines in each language, got {counts}")
        return texts

    def example_batch(self) -> Split:
        """Two pairs as long as the longest: whatever takes them takes all."""
        self.load()
        return tuple(side[:2] for side in self.train)

    def batches(
        self, part: str, seed: int | None = None, step: Callable[[], int] | None = None, device: Any = None
    ) -> Pairs:
        """Pairs of like length. Validation and test have batches of the same size: their logits take the most room."""
        pairs = tuple(side.to(device) for side in getattr(self, part))
        return Pairs(pairs, self.batch_size, seed, step) if part == "train" else Pairs(pairs, self.batch_size)

    def probe(self, network: nn.Module) -> dict[str, float]:
        """BLEU of the test part's translations, by beam search with 5 hypotheses and by greedy search."""
        if not hasattr(network, "translate"):
            return {}
        sizes = {"bleu": 5, "bleu_greedy": 1}
        found = {name: self.translations(network, self.test[0], size) for name, size in sizes.items()}
        return {name: bleu(sentences, self.references)[0] for name, sentences in found.items()}

    def report(self, network: nn.Module, seed: int) -> str | None:
        """Translations of the first validation sentences, greedy; and how sacreBLEU counts for `test/bleu`."""
        if not hasattr(network, "translate"):
            return None
        sentences = self.translations(network, self.val[0][:SHOWN])
        blocks = [
            f"{self.source}: {source}\n{self.target}: {sentence}\nreference: {reference}\n"
            for source, sentence, reference in zip(self.shown[0], sentences, self.shown[1], strict=True)
        ]
        return "\n".join([*blocks, f"test/bleu: {bleu(sentences, self.shown[1])[1]}\n"])

    def translations(self, network: nn.Module, sources: Tensor, beam_size: int = 1) -> list[str]:
        """What a network that has `translate` makes of sources (N, S), as text; like lengths go side by side."""
        device = next(network.parameters(), sources).device
        lengths = (sources != PADDING).sum(1)
        order, found = lengths.argsort(stable=True), []
        for rows in order.split(self.batch_size):
            found += network.translate(sources[rows, : width(lengths[rows])].to(device), beam_size=beam_size)
        sentences = decode(found, self.transform)
        return [sentences[place] for place in order.argsort().tolist()]


def filled_up(sides: list[Tensor]) -> list[Tensor]:
    """Each (N, S) of its own, all with the same S, which is a `width`."""
    longest = width(torch.tensor([side.shape[1] for side in sides]))
    return [F.pad(side, (0, longest - side.shape[1]), value=PADDING) for side in sides]


def bleu(sentences: list[str], references: list[str]) -> tuple[float, str]:
    """Corpus BLEU, 0 to 100, of translations with one reference each, and sacreBLEU's signature: how it was counted.

    Papineni et al., BLEU, ACL 2002; Post, A call for clarity in reporting BLEU scores, WMT 2018.
    """
    from sacrebleu.metrics import BLEU

    metric = BLEU()
    score = metric.corpus_score(sentences, [references]).score
    return score, str(metric.get_signature())
