"""word2vec: words become vectors by predicting the words around them.

Lecture: Prague C06 (CBOW: the word from its context), C07 (skip-gram: the context from the word), C08 (one projection
         shared by all words: 2 V D parameters), C09-C11 (what the vectors know).
Source:  Mikolov, Chen, Corrado & Dean, Efficient estimation of word representations in vector space, 2013 (the two
         architectures, hierarchical softmax); Mikolov, Sutskever, Chen, Corrado & Dean, Distributed representations of
         words and phrases and their compositionality, NIPS 2013 (negative sampling, sections 2.2; subsampling, 2.3).
Input:   x (B, C) int64: the numbers of C words, whose vectors are averaged; C = 1 for skip-gram.
Output:  logits (B, V) float32: which words may stand near them (skip-gram), or between them (CBOW).
Result:  configs/experiment/english_skipgram.yaml, english_cbow.yaml, text8_skipgram.yaml, text8_cbow.yaml,
         pydoc_skipgram.yaml.
Differs: from the published program for speed, as zoo/models/word2vec.py lists: the words of a chunk of text share one
         product for all windows, and their negatives; weights change once per block of words.

It learns by plain stochastic gradient descent whose two lines stand in `update`, beside the loss that they belong to;
tests/test_word2vec.py holds them equal to autograd. Where that deviates from the published program, for speed:
- The text is cut into chunks of L words. A chunk's words are scored against all L + 2 window words around them by one
  matrix product, and what lies outside a word's own window has weight 0.
- Negative words are drawn for a chunk, K of them, not for each pair; each counts k / K for every pair of the chunk. A
  word that is its own negative is not drawn again.
- Weights change after every block of `block_size` words, not after every pair, and the rows of the commonest words
  more slowly (`rates`).
- CBOW follows its gradient, a word of a context of m taking a share of 1 / m. The program averages likewise, but then
  moves each word by the whole step; so here the rate is larger.
- Subsampling is the program's: a word is kept with probability (sqrt(f / t) + 1) t / f; the paper has sqrt(t / f).

Shapes: V words, D embedding_dim, N chunks, L words in a chunk, W window, I input words, T target words, O output rows.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.models.huffman import huffman_paths
from zoo.models.word_vectors import WordVectors, distributions
from zoo.registry import register

ARCHITECTURES = ("skipgram", "cbow")
OBJECTIVES = ("negative_sampling", "hierarchical_softmax", "softmax")
STEADY = 2.0  # the rates of all comparisons that a row takes part in within a block may sum up to this; see `rates`


class Block(NamedTuple):
    """Some chunks of text, as they are drawn from it."""

    places: Tensor  # (N, L), for each word the row of `masks`
    inputs: Tensor  # (N, I), the words whose vectors are read: skip-gram's L words, CBOW's L + 2 W
    targets: Tensor  # (N, T), the words to be predicted: skip-gram's L + 2 W, CBOW's L; then K negatives


@register("word2vec")
class Word2Vec(WordVectors):
    """Two tables of V x D: the vectors, and the output layer, which is thrown away once they are learnt.

    words: V different words, the commonest first. counts: how often each stands in the corpus.
    architecture: skipgram | cbow.
    embedding_dim: D.
    window: W, the farthest word that counts as context; each word draws its own reach from 1 .. W, so that near words
        count more.
    objective: negative_sampling: tell a word that is there from drawn ones | hierarchical_softmax: find the word in
        Huffman's tree | softmax: the whole distribution, V products for each word, for small vocabularies.
    negatives: k, drawn words per word that is there.
    sample: t; words with a share f > t of the corpus are dropped at random before windows are taken; 0: none.
    noise_exponent: negatives are drawn by count ** noise_exponent; 0.75 in the paper.
    chunk_length: L. negatives_per_chunk: K. block_size: words between two changes of the weights.
    """

    def __init__(
        self,
        words: list[str],
        counts: list[int],
        architecture: str = "skipgram",
        embedding_dim: int = 100,
        window: int = 5,
        objective: str = "negative_sampling",
        negatives: int = 5,
        sample: float = 1e-3,
        noise_exponent: float = 0.75,
        chunk_length: int = 32,
        negatives_per_chunk: int = 32,
        block_size: int = 768,
    ):
        for name, value, valid in (
            ("architecture", architecture, ARCHITECTURES), ("objective", objective, OBJECTIVES)
        ):  # fmt: skip
            if value not in valid:
                raise ValueError(f"{name} must be one of {', '.join(valid)}, got {value!r}")
        for name, number in {
            "embedding_dim": embedding_dim, "window": window, "negatives": negatives, "chunk_length": chunk_length,
            "negatives_per_chunk": negatives_per_chunk, "block_size": block_size,
        }.items():  # fmt: skip
            if number < 1:
                raise ValueError(f"{name} must be >= 1, got {number}")
        super().__init__(words, (torch.rand(len(words), embedding_dim) - 0.5) / embedding_dim)
        self.check_counts(counts)
        rows = len(words) - (objective == "hierarchical_softmax")  # one per word, or per inner node of the tree
        self.output_vectors = nn.Parameter(torch.zeros(rows, embedding_dim))
        self.skipgram, self.objective, self.window = architecture == "skipgram", objective, window
        self.negatives, self.negatives_per_chunk, self.chunk_length = negatives, negatives_per_chunk, chunk_length
        self.chunks_per_block = max(1, block_size // chunk_length)
        share, keep, noise = distributions(counts, sample, noise_exponent)  # (V,)
        near, positive = self.masks()
        tables = {
            "keep": F.pad(keep, (0, 1)).float(),  # (V + 1,); number V, the end of a sentence, is always dropped
            "noise": noise.cumsum(0).float(),  # (V,)
            "mean": near / near.sum(1, keepdim=True).clamp(min=1),  # (R, L + 2 W), CBOW's average
            "positive": positive,  # (R, T)
            "pairs": positive.sum(1),  # (R,)
        }
        kept = share * keep / (share * keep).sum()
        if objective == "negative_sampling":
            each = tables["pairs"][:, None] * (negatives / negatives_per_chunk)
            tables["weight"] = torch.cat([positive, each.expand(-1, negatives_per_chunk)], 1)  # (R, T + K)
            tables["is_there"] = F.pad(torch.ones(positive.shape[1]), (0, negatives_per_chunk))  # (T + K,)
            asked = kept + negatives * noise  # (V,), how often a row of the output layer is asked, per pair
        elif objective == "hierarchical_softmax":
            paths = dict(zip(("nodes", "turns", "on_path"), huffman_paths(counts), strict=True))
            tables |= paths
            asked = torch.zeros(rows, dtype=torch.float64)  # (V - 1,)
            asked.index_add_(0, paths["nodes"].flatten(), (kept[:, None] * paths["on_path"]).flatten())
        else:
            asked = 4 * kept  # a softmax may be four times as steep as a sigmoid
        context = window + 1  # words around a word, on average
        tables["input_load"] = asked.sum() * kept * (context if self.skipgram else 1 / context)
        tables["output_load"] = asked * (context if self.skipgram else 1)
        for name, table in tables.items():  # they follow from the arguments, so they are not saved
            self.register_buffer(name, table.float() if table.is_floating_point() else table, persistent=False)

    def masks(self) -> tuple[Tensor, Tensor]:
        """For each place in a chunk, with each reach to its left and right, which words belong together.

        Of R = (W + 1)^2 L combinations, numbered as `draw` does: near (R, L + 2 W), 1 for the words around that place,
        0 for it and the others; and positive (R, T), 1 for the targets there: skip-gram's are the words around, CBOW's
        is the word itself, if there is any around it.
        """
        length, reach = self.chunk_length, torch.arange(self.window + 1)
        distance = torch.arange(length + 2 * self.window) - torch.arange(length)[:, None] - self.window  # (L, L + 2 W)
        left = (distance < 0) & (-distance <= reach[:, None, None, None])  # (W + 1, 1, L, L + 2 W)
        right = (distance > 0) & (distance <= reach[:, None, None])  # (W + 1, L, L + 2 W)
        near = (left | right).float().flatten(0, 2)
        itself = torch.eye(length).repeat(len(reach) ** 2, 1)
        return near, near if self.skipgram else itself * near.amax(1, keepdim=True)

    @property
    def example_input(self) -> Tensor:
        """Two single words."""
        return torch.tensor([[0], [1]])

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, V) of words (B, C); with hierarchical softmax they are log-probabilities."""
        scores = self.vectors[x].mean(1) @ self.output_vectors.mT
        if self.objective != "hierarchical_softmax":
            return scores
        signs = 2 * self.turns - 1  # turn 1 has the probability sigmoid(score), turn 0 the rest
        return (F.logsigmoid(signs * scores[:, self.nodes]) * self.on_path).sum(2)

    def nats(self, scores: Tensor, wanted: Tensor, weight: Tensor) -> Tensor:
        """The loss of scores (N, L, O), summed over pairs; `wanted` and `weight` as in `Comparison`."""
        if self.objective == "softmax":
            return (weight * scores.logsumexp(2, keepdim=True)).sum() - (wanted * scores).sum()
        return (weight * F.binary_cross_entropy_with_logits(scores, wanted.expand_as(scores), reduction="none")).sum()

    def error(self, scores: Tensor, wanted: Tensor, weight: Tensor) -> Tensor:
        """The derivative (N, L, O) of `nats` by the scores."""
        if self.objective == "softmax":
            return weight * scores.softmax(2) - wanted
        return (scores.sigmoid() - wanted) * weight

    def loss(self, batch: tuple[Tensor]) -> dict[str, Tensor]:
        """Nats per pair of a word and one of its context (CBOW: per word) in runs of text, as `draw` takes them."""
        total, pairs = self.pairs.new_zeros(2)
        for block in self.draw(batch):
            compared = self.comparison(block)
            scores = (compared.hidden @ compared.outputs.mT).to(total)  # (N, L, O)
            total = total + self.nats(scores, compared.wanted, compared.weight)
            pairs = pairs + self.pairs[block.places].sum()
        return {"loss": total / pairs.clamp(min=1), "items": pairs}

    @torch.no_grad()
    def update(self, batch: tuple[Tensor], lr: float) -> dict[str, Tensor]:
        """Gradient descent: after each block a step of rate lr down its loss, summed over its pairs.

        Gives the loss per pair of the first block, before it was learnt from; to look at all of them would cost time.
        """
        report = {"loss": self.pairs.new_zeros(()), "items": self.pairs.new_zeros(())}
        input_rate, output_rate = self.rates(lr)
        for number, block in enumerate(self.draw(batch)):
            compared = self.comparison(block)
            scores = torch.bmm(compared.hidden, compared.outputs.mT).to(self.pairs)  # (N, L, O)
            if number == 0:
                pairs = self.pairs[block.places].sum()
                loss = self.nats(scores, compared.wanted, compared.weight) / pairs.clamp(min=1)
                report = {"loss": loss, "items": pairs}
            error = self.error(scores, compared.wanted, compared.weight)  # (N, L, O)
            # Rates are multiplied into the smallest of the factors; for CBOW each word of a context takes its share.
            rates, output_rates = input_rate[block.inputs], output_rate[compared.rows][:, None]  # (N, I), (N, 1, O)
            output_step = torch.bmm((error * output_rates).mT, compared.hidden)
            if compared.mean is None:
                step = torch.bmm(error * rates.view(len(error), -1, 1), compared.outputs)
            else:
                step = torch.bmm(error, compared.outputs).view(*compared.mean.shape[:2], -1)
                step = torch.bmm((compared.mean * rates[:, None]).mT, step)
            add_to_rows(self.vectors, block.inputs, step)
            add_to_rows(self.output_vectors, compared.rows, output_step)
        return report

    def rates(self, lr: float) -> tuple[Tensor, Tensor]:
        """What a row of the two tables is moved by, (V,) and (V or V - 1,): -lr, or less where it is used too often.

        All of a block's pairs push a row at once, from where it stands before. Of a few dozen pushes each would still
        go the right way; of the hundreds that the commonest words get, all together they would overshoot.
        """
        block_size = self.chunks_per_block * self.chunk_length
        loads = (self.input_load, self.output_load)  # comparisons per word of text that a row takes part in, on average
        return tuple(-(STEADY / (block_size * load)).clamp(max=lr) for load in loads)

    def draw(self, batch: tuple[Tensor]) -> Iterator[Block]:
        """Subsampling, windows and negatives of runs of text, in blocks.

        batch: runs (S, T) of word numbers, V at the end of a sentence; a run is not continued by the next.
        In eval mode the same is drawn each time, so that validations can be compared.
        """
        (runs,) = batch
        device, length, window = runs.device, self.chunk_length, self.window
        generator = None if self.training else torch.Generator(device).manual_seed(0)
        ends = runs == len(self.words)
        ends[:, -1] = True
        sentence = ends.flatten().cumsum(0) - ends.flatten().long()  # its number, the same up to its end
        kept = torch.rand(runs.numel(), generator=generator, device=device) < self.keep.index_select(0, runs.flatten())
        kept = kept.nonzero()[:, 0]
        words, sentence = runs.flatten().index_select(0, kept).long(), sentence.index_select(0, kept)
        if len(words) == 0:
            return
        # How far each word looks to its left and right: as far as it draws, but not out of its sentence.
        sizes = sentence.unique_consecutive(return_counts=True)[1]
        stops = sizes.cumsum(0)
        place = torch.arange(len(words), device=device)
        reach = torch.randint(1, window + 1, (len(words),), generator=generator, device=device)
        left = torch.minimum(reach, place - (stops - sizes).repeat_interleave(sizes))
        right = torch.minimum(reach, stops.repeat_interleave(sizes) - 1 - place)
        # Chunks; the last is filled up with words that have no reach.
        chunks = -(-len(words) // length)
        filling = chunks * length - len(words)
        places = F.pad(left * (window + 1) + right, (0, filling)).view(chunks, length) * length  # rows of `masks`
        places += torch.arange(length, device=device)
        around = F.pad(words, (window, window + filling)).unfold(0, length + 2 * window, length)  # (N, L + 2 W)
        centres = around[:, window : window + length].contiguous()  # (N, L)
        inputs, targets = (centres, around) if self.skipgram else (around, centres)
        if self.objective == "negative_sampling":
            # A chunk's negatives are spread evenly: one from each K-th part of the distribution, common words to rare.
            strata = torch.arange(self.negatives_per_chunk, device=device)
            drawn = strata + torch.rand(chunks, len(strata), generator=generator, device=device)  # (N, K)
            negatives = torch.searchsorted(self.noise, drawn / len(strata)).clamp_(max=len(self.words) - 1)
            targets = torch.cat([targets, negatives], 1)
        for first in range(0, chunks, self.chunks_per_block):
            block = slice(first, first + self.chunks_per_block)
            yield Block(places[block], inputs[block], targets[block])

    def comparison(self, block: Block) -> "Comparison":
        """What is compared in a block: hidden vectors with rows of the output layer; and what the scores shall be."""
        places, targets = block.places.flatten(), block.targets
        shape = (*block.places.shape, -1)
        kind = block.places.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else self.vectors.dtype  # of products
        hidden, mean = rows_of(self.vectors, block.inputs).to(dtype), None  # (N, I, D)
        if not self.skipgram:
            mean = self.mean.to(dtype).index_select(0, places).view(shape)  # (N, L, L + 2 W)
            hidden = torch.bmm(mean, hidden)  # (N, L, D)
        if self.objective == "negative_sampling":
            weight = self.weight.index_select(0, places).view(shape)  # (N, L, T + K)
            outputs = rows_of(self.output_vectors, targets).to(dtype)
            return Comparison(mean, hidden, targets, outputs, self.is_there, weight)
        positive = self.positive.index_select(0, places).view(shape)  # (N, L, T)
        if self.objective == "hierarchical_softmax":
            rows, turns, on_path = (table[targets].flatten(1) for table in (self.nodes, self.turns, self.on_path))
            weight = positive.repeat_interleave(self.nodes.shape[1], 2) * on_path[:, None]  # (N, L, T P)
            return Comparison(mean, hidden, rows, rows_of(self.output_vectors, rows), turns[:, None], weight)
        # Every word of the vocabulary is compared with every word of the block, which is one long chunk here.
        rows = torch.arange(len(self.words), device=places.device)[None]  # (1, V)
        wanted = positive.new_zeros(*block.places.shape, rows.shape[1])
        wanted.scatter_add_(2, targets[:, None].expand_as(positive), positive)  # (N, L, V), how often each is wanted
        hidden, wanted, weight = (x.flatten(0, 1)[None] for x in (hidden, wanted, positive.sum(2, keepdim=True)))
        return Comparison(mean, hidden, rows, rows_of(self.output_vectors, rows), wanted, weight)


class Comparison(NamedTuple):
    """Both layers of the network on a block; the full softmax takes the block as one chunk of N L words."""

    mean: Tensor | None  # (N, L, I), CBOW: what each of them contributes to each hidden vector
    hidden: Tensor  # (N, L, D)
    rows: Tensor  # (N, O), numbers of the rows of the output layer that are compared with it
    outputs: Tensor  # (N, O, D), those rows
    wanted: Tensor  # (1 or N, 1 or L, O), what the answer shall be: 0 or 1; full softmax: how often
    weight: Tensor  # (N, L, 1 or O), how much each answer counts


def rows_of(table: Tensor, numbers: Tensor) -> Tensor:
    """The rows (..., D) of a table (V, D); index_select is the fastest of several ways."""
    return table.index_select(0, numbers.flatten()).view(*numbers.shape, -1)


def add_to_rows(table: Tensor, numbers: Tensor, step: Tensor) -> None:
    """Add to rows of a table, to each as often as it is named. With a factor, `alpha`, it would take thrice as long."""
    table.index_add_(0, numbers.flatten(), step.to(table.dtype).view(-1, table.shape[1]))
