"""Word vectors without learning: counts of which words stand together, and a truncated singular value decomposition.

Lecture: Prague C12: similar results come from the SVD of the (log) co-occurrence matrix.
Source:  Levy & Goldberg, Neural word embedding as implicit matrix factorization, NIPS 2014 (skip-gram with negative
         sampling factorises PMI - log k); Levy, Goldberg & Dagan, Improving distributional similarity with lessons
         learned from word embeddings, TACL 2015 (what to take over from word2vec: windows, subsampling, smoothing;
         the power of the singular values); Halko, Martinsson & Tropp 2011 (the randomised SVD).
Input:   x (B, C) int64: the numbers of C words, whose vectors are averaged.
Output:  logits (B, V) float32: which words may stand near them; log p(c) + PMI, or the log counts, of rank D.
Result:  configs/experiment/english_svd.yaml.
Differs: subsampling is by expectation: each pair counts with the product of the probabilities that its words are kept;
         and so is word2vec's random reach: a pair at distance d counts (W + 1 - d) / W.

Shapes: V words, D embedding_dim, W window, S runs, T words in a run.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.models.word_vectors import WordVectors, distributions
from zoo.registry import register

WEIGHTINGS = ("ppmi", "log")


@register("word_svd")
class WordSVD(WordVectors):
    """Two tables of V x D whose product is closest to the matrix, of all tables of that size.

    words: V different words, the commonest first. counts: how often each stands in the corpus.
    embedding_dim: D.
    window: W, the farthest word that counts as context.
    weighting: ppmi: max(0, log of how much oftener two words stand together than by chance) | log: log(1 + count).
    sample: t; words with a share f > t of the corpus count less, as in word2vec; 0: all alike.
    noise_exponent: chance takes contexts by count ** noise_exponent; 0.75 as in word2vec.
    shift: k >= 1; log k is taken off the PMI, as skip-gram with k negatives does.
    power: of the singular values in the vectors; 1: the plain decomposition; 0.5 or 0 serve similarity better.
    """

    takes_all_at_once = True

    def __init__(
        self,
        words: list[str],
        counts: list[int],
        embedding_dim: int = 100,
        window: int = 5,
        weighting: str = "ppmi",
        sample: float = 1e-3,
        noise_exponent: float = 0.75,
        shift: float = 1.0,
        power: float = 0.5,
    ):
        if weighting not in WEIGHTINGS:
            raise ValueError(f"weighting must be one of {', '.join(WEIGHTINGS)}, got {weighting!r}")
        for name, number in {"embedding_dim": embedding_dim, "window": window}.items():
            if number < 1:
                raise ValueError(f"{name} must be >= 1, got {number}")
        if embedding_dim > len(words):
            raise ValueError(f"embedding_dim must be at most the number of words, {len(words)}, got {embedding_dim}")
        if not 0 <= power <= 1:
            raise ValueError(f"power must lie in [0, 1], got {power}")
        if not 1 <= shift < math.inf:
            raise ValueError(f"shift must be a finite number >= 1, got {shift}")
        super().__init__(words, (torch.rand(len(words), embedding_dim) - 0.5) / embedding_dim)
        self.check_counts(counts)
        self.output_vectors = nn.Parameter((torch.rand(len(words), embedding_dim) - 0.5) / embedding_dim)
        self.window, self.weighting, self.power = window, weighting, power
        self.shift, self.noise_exponent = shift, noise_exponent
        _, keep, noise = distributions(counts, sample, noise_exponent)
        self.register_buffer("keep", keep.float(), persistent=False)  # (V,)
        self.register_buffer("log_noise", noise.log().float(), persistent=False)  # (V,), log p(c)

    @property
    def example_input(self) -> Tensor:
        """Two single words."""
        return torch.tensor([[0], [1]])

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, V) of words (B, C)."""
        scores = self.vectors[x].mean(1) @ self.output_vectors.mT
        return scores + self.log_noise if self.weighting == "ppmi" else scores

    def together(self, runs: Tensor) -> Tensor:
        """How often words stand together in runs (S, T), number V ending a sentence: sparse (V, V), symmetric."""
        size = len(self.words)
        ends = runs == size
        sentence = ends.cumsum(1)
        keys, values = [], []
        for distance in range(1, self.window + 1):
            first, second = runs[:, :-distance], runs[:, distance:]
            same = (sentence[:, :-distance] == sentence[:, distance:]) & ~ends[:, :-distance]
            key, count = torch.unique(first[same].long() * size + second[same], return_counts=True)
            keys.append(key)
            values.append(count * ((self.window + 1 - distance) / self.window))
        key, value = torch.cat(keys), torch.cat(values)
        rows, columns = key // size, key % size
        value = value * self.keep[rows] * self.keep[columns]
        both = torch.stack([torch.cat([rows, columns]), torch.cat([columns, rows])])
        return torch.sparse_coo_tensor(both, torch.cat([value, value]), (size, size), check_invariants=False).coalesce()

    def matrix(self, together: Tensor) -> Tensor:
        """The log counts or the positive PMI, sparse (V, V), of what `together` gives."""
        (rows, columns), count = together.indices(), together.values()
        if self.weighting == "log":
            value = count.log1p()
        else:
            sums = torch.zeros(len(self.words), device=count.device).index_add_(0, rows, count)
            chance = sums**self.noise_exponent / (sums**self.noise_exponent).sum()
            value = (count / (sums[rows] * chance[columns])).log() - math.log(self.shift)
        held = value > 0
        indices = torch.stack([rows[held], columns[held]])
        return torch.sparse_coo_tensor(indices, value[held], together.shape, is_coalesced=True, check_invariants=False)

    @torch.no_grad()
    def update(self, batch: tuple[Tensor], lr: float) -> dict[str, Tensor]:
        """Solve: the batch is the whole corpus, and the rate means nothing. Gives the loss on its first runs."""
        matrix = self.matrix(self.together(batch[0]))
        dim = self.embedding_dim
        left, values, right = torch.svd_lowrank(matrix, q=min(dim + OVERSAMPLING, len(self.words)), niter=ITERATIONS)
        self.vectors.copy_(left[:, :dim] * values[:dim] ** self.power)
        self.output_vectors.copy_(right[:, :dim] * values[:dim] ** (1 - self.power))
        return self.loss((batch[0][:FIRST],))

    def loss(self, batch: tuple[Tensor]) -> dict[str, Tensor]:
        """Nats per pair: how well the logits foretell the words around a word, in runs as `together` takes them."""
        together = self.together(batch[0])
        (rows, columns), count = together.indices(), together.values()
        total = count.new_zeros(())
        words, where = rows.unique_consecutive(return_inverse=True)
        for first in range(0, len(words), FEW):  # the logits of all words at once would not fit into memory
            part = (first <= where) & (where < first + FEW)
            log_p = F.log_softmax(self(words[first : first + FEW, None]), dim=1)
            total = total - (count[part] * log_p[where[part] - first, columns[part]]).sum()
        items = count.sum()
        return {"loss": total / items.clamp(min=1e-9), "items": items}


OVERSAMPLING, ITERATIONS = 20, 4  # of the randomised decomposition: more directions than asked for, and power steps
FIRST = 200  # runs that the training loss is taken from
FEW = 1000  # words whose logits are there at once
