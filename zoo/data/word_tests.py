"""What word vectors are judged by: the similarity of pairs of words, as people see it, and analogies (C05, C09, C11).

Sources: WordSim-353 (Finkelstein et al., Placing search in context, 2002), SimLex-999 (Hill, Reichart & Korhonen,
2015), the 19,544 analogies of Mikolov, Chen, Corrado & Dean 2013. Capitals count as small letters, in the tests and in
the vocabulary.
"""

import math
from pathlib import Path

import torch
from torch import Tensor

from zoo.data.fetch import File, fetch
from zoo.data.text import read_text
from zoo.errors import DataError
from zoo.models.word_vectors import WordVectors

FOLDER = "https://raw.githubusercontent.com/piskvorky/gensim/develop/gensim/test/test_data/"
FILES = {
    file.name: file
    for file in (
        File("wordsim353.tsv", "f92a022fc2537793a15bc3a8c162ebcd74990e033a228bb6388cb71e4c0b1e1d", 7_186),
        File("simlex999.txt", "d5e0501971478a511430ee880bd0121e94ac701ba86d90544d83e6d2ba3db05d", 18_126),
        File("questions-words.txt", "8c29b3332afc46f3fb8be04cb5297bf96f39aa7131272dff57869b4485b22a36", 603_955),
    )
}
CELLS = 30_000_000  # cosines that are there at once
KNOWN = 300_000  # words that analogies are looked for among, the commonest, as gensim does it


def file_of(name: str, root: Path) -> Path:
    """A file of the user's, or one of FILES, fetched into `root` where it is not there. Raises DataError."""
    return fetch(FOLDER + name, root / name, FILES[name]) if name in FILES else Path(name).expanduser()


def read_pairs(path: Path) -> list[tuple[str, str, float]]:
    """Lines of two words and how similar they are, with tabs between; # begins a comment. Raises DataError."""
    pairs = []
    for number, line in enumerate(read_text(path).splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            first, second, score = line.lower().split("\t")[:3]
            pairs.append((first.strip(), second.strip(), float(score)))
            if not math.isfinite(pairs[-1][2]):
                raise ValueError(score)
        except ValueError as error:
            raise DataError(f"{path} line {number}: want word, tab, word, tab, number, got {line[:60]!r}") from error
    if not pairs:
        raise DataError(f"{path} holds no pairs")
    return pairs


def read_analogies(path: Path) -> dict[str, list[list[str]]]:
    """Questions of four words, `athens greece oslo norway`, by section, which `: name` begins. Raises DataError."""
    sections: dict[str, list[list[str]]] = {}
    for number, line in enumerate(read_text(path).splitlines(), 1):
        words = line.lower().split()
        if line.startswith(":") and len(words) > 1:
            section = sections.setdefault("-".join(words[1:]), [])
        elif len(words) == 4 and sections:
            section.append(words)
        elif words:
            raise DataError(f"{path} line {number}: want `: section` or, after one, four words, got {line[:60]!r}")
    if not any(sections.values()):
        raise DataError(f"{path} holds no analogies")
    return sections


class KnownWords:
    """The words of a network in small letters, up to KNOWN, each once: of several spellings the commonest.

    numbers: from word to row of `unit`, their vectors (V, D) of length 1.
    """

    def __init__(self, network: WordVectors):
        commonest = {word.lower(): number for number, word in reversed(list(enumerate(network.words[:KNOWN])))}
        rows = sorted(commonest.values())
        self.numbers = {network.words[row].lower(): i for i, row in enumerate(rows)}
        self.unit = network.unit_vectors()[rows]


def judge_pairs(words: KnownWords, pairs: list[tuple[str, str, float]]) -> tuple[float, int]:
    """Spearman's rank correlation between cosines and what people say, and of how many pairs both words are known.

    0 where fewer than three pairs are known, or all cosines or all judgements of them are the same.
    """
    from scipy.stats import spearmanr

    numbers, unit = words.numbers, words.unit.cpu()
    known = [(numbers[a], numbers[b], score) for a, b, score in pairs if a in numbers and b in numbers]
    if len(known) < 3:
        return 0.0, len(known)
    first, second, scores = zip(*known, strict=True)
    cosines = (unit[list(first)] * unit[list(second)]).sum(1)
    if cosines.max() == cosines.min() or max(scores) == min(scores):
        return 0.0, len(known)
    return float(spearmanr(cosines.numpy(), scores).statistic), len(known)


def judge_analogies(words: KnownWords, questions: list[list[str]]) -> tuple[int, int]:
    """How many questions a : b, c : d are answered with d, and of how many all four words are known.

    The answer is the word of the largest cosine to b - a + c that is none of the three (3CosAdd). Of several spellings
    only the commonest may be it: `Better` is no answer to good : better, bad : ?
    """
    numbers, unit = words.numbers, words.unit
    known = [[numbers[word] for word in four] for four in questions if all(word in numbers for word in four)]
    right = 0
    every = torch.tensor(known, dtype=torch.int64, device=unit.device).view(-1, 4)
    for part in every.split(max(1, CELLS // len(unit))):
        right += int((answers(unit, part) == part[:, 3]).sum())
    return right, len(known)


def answers(unit: Tensor, questions: Tensor) -> Tensor:
    """The words (B,) that 3CosAdd gives for questions (B, 4) in vectors of length 1 (V, D)."""
    a, b, c = (unit[questions[:, i]] for i in range(3))
    cosines = (b - a + c) @ unit.mT  # (B, V), up to the length of the left side, which changes no order
    return cosines.scatter_(1, questions[:, :3], -torch.inf).argmax(1)
