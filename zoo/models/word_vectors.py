"""What all word vectors are asked, however they were learnt: the nearest words, analogies, similarities (C05, C09).

Source: Mikolov, Yih & Zweig, Linguistic regularities in continuous space word representations, NAACL 2013 (analogies by
vector offset, "3CosAdd").

Shapes: V words, D embedding_dim, B queries.
"""

import difflib

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class WordVectors(nn.Module):
    """Base of the networks that give each word a vector, and a store of vectors that were read from a file.

    words: V different words, in the order of the rows, the commonest first where counts are known.
    vectors: (V, D) float32.
    Every question raises ValueError for a word that is not there, with the closest spellings.
    """

    def __init__(self, words: list[str], vectors: Tensor):
        super().__init__()
        if len(words) < 2 or len(set(words)) < len(words):
            raise ValueError(f"words must be two or more, each once, got {len(words):,}, {len(set(words)):,} different")
        if vectors.dim() != 2 or len(vectors) != len(words):
            raise ValueError(f"{len(words):,} words need as many vectors, got a tensor {tuple(vectors.shape)}")
        self.words = words
        self.numbers = {word: i for i, word in enumerate(words)}
        self.vectors = nn.Parameter(vectors)

    def check_counts(self, counts: list[int]) -> None:
        """Raises ValueError where they are not one number >= 1 per word."""
        if len(counts) != len(self.words) or min(counts) < 1:
            raise ValueError(f"counts must be {len(self.words)} numbers >= 1, one per word")

    @property
    def embedding_dim(self) -> int:
        """D."""
        return self.vectors.shape[1]

    def number(self, word: str) -> int:
        """The row of a word. Raises ValueError, with the closest spellings, where it is not there."""
        if word not in self.numbers:
            close = difflib.get_close_matches(word, self.words, n=3, cutoff=0.6)
            close = [word.lower(), *close] if word.lower() in self.numbers else close
            advice = f"; closest: {', '.join(map(repr, close))}" if close else ""
            raise ValueError(f"{word!r} is not one of the {len(self.words):,} words{advice}")
        return self.numbers[word]

    def vector(self, word: str) -> Tensor:
        """The vector (D,) of a word."""
        return self.vectors.detach()[self.number(word)]

    def unit_vectors(self) -> Tensor:
        """All vectors at length 1 (V, D), so that a product of two is their cosine; a vector of zeros stays so."""
        return F.normalize(self.vectors.detach().float(), dim=1)

    def similarity(self, a: str, b: str) -> float:
        """Cosine of the angle between two words' vectors, in [-1, 1]."""
        return float(F.cosine_similarity(self.vector(a), self.vector(b), dim=0))

    def nearest(self, word: str, count: int = 10) -> list[tuple[str, float]]:
        """The `count` words of the largest cosine to a word, and the cosines; not the word itself."""
        number, unit = self.number(word), self.unit_vectors()
        return self.closest(unit, unit[number], [number], count)

    def analogy(self, a: str, b: str, c: str, count: int = 5) -> list[tuple[str, float]]:
        """What is to c as a is to b: `analogy("paris", "france", "italy")` should begin with rome.

        The words of the largest cosine to a - b + c, all three at length 1 and none of them among the answers.
        """
        given = [self.number(word) for word in (a, b, c)]
        unit = self.unit_vectors()
        first, second, third = unit[given]
        return self.closest(unit, first - second + third, given, count)

    def closest(self, unit: Tensor, direction: Tensor, excluded: list[int], count: int) -> list[tuple[str, float]]:
        """The words whose vectors of length 1 (V, D) have the largest cosine to a direction (D,), but `excluded`."""
        if count < 1:
            raise ValueError(f"count must be >= 1, got {count}")
        cosines = unit @ F.normalize(direction, dim=0)  # (V,)
        cosines[excluded] = -torch.inf
        best = cosines.topk(min(count, len(self.words) - len(set(excluded))))
        return [(self.words[i], value) for i, value in zip(best.indices.tolist(), best.values.tolist(), strict=True)]


def distributions(counts: list[int], sample: float, noise_exponent: float) -> tuple[Tensor, Tensor, Tensor]:
    """What word2vec draws by, each (V,) float64: shares, probabilities to be kept, and those of a drawn word.

    sample: t; a word with a share f > t is kept with probability (sqrt(f / t) + 1) t / f; 0: every word is.
    noise_exponent: words are drawn by count ** noise_exponent.
    Raises ValueError.
    """
    if not 0 <= sample <= 1 or not 0 <= noise_exponent <= 1:
        raise ValueError(f"sample and noise_exponent must lie in [0, 1], got {sample} and {noise_exponent}")
    frequency = torch.tensor(counts, dtype=torch.float64)
    share, noise = frequency / frequency.sum(), frequency**noise_exponent
    keep = (((share / sample).sqrt() + 1) * sample / share).clamp(max=1) if sample else torch.ones_like(share)
    return share, keep, noise / noise.sum()
