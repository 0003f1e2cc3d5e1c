"""word2vec against autograd, sums in plain Python and gensim; the tree, the draws, the borders; counting and SVD."""

import itertools
import math
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import zoo
from zoo.errors import ConfigError, NumericError
from zoo.models import word2vec
from zoo.models.huffman import huffman_paths
from zoo.models.word_vectors import WordVectors

Train = Callable[..., dict[str, Any]]

WORDS = [f"w{i}" for i in range(30)]
COUNTS = [1000 // (i + 1) + 1 for i in range(30)]
EVERY = list(itertools.product(word2vec.ARCHITECTURES, word2vec.OBJECTIVES))
SMALL = {"embedding_dim": 8, "window": 2, "chunk_length": 7, "negatives_per_chunk": 5, "sample": 0.05}


def net_of(words: list[str] = WORDS, counts: list[int] = COUNTS, **arguments: Any) -> word2vec.Word2Vec:
    """A network in double precision whose two tables are far from their start."""
    net = zoo.create("word2vec", words=words, counts=counts, **SMALL | arguments).double()
    with torch.no_grad():
        net.vectors.normal_()
        net.output_vectors.normal_()
    return net


def runs_of(size: int = 30, shape: tuple[int, int] = (3, 50)) -> torch.Tensor:
    return torch.randint(0, size + 1, shape, dtype=torch.int32)


@pytest.mark.parametrize(("architecture", "objective"), EVERY)
def test_a_step_is_the_gradient_that_autograd_finds(
    architecture: str, objective: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(word2vec, "STEADY", math.inf)  # no row is held back
    net = net_of(architecture=architecture, objective=objective, block_size=10_000)
    runs = runs_of()
    torch.manual_seed(1)
    found = net.loss((runs,))
    (found["loss"] * found["items"]).backward()  # the sum over pairs
    expected = [(table - 0.1 * table.grad).detach() for table in (net.vectors, net.output_vectors)]
    torch.manual_seed(1)
    report = net.update((runs,), 0.1)
    torch.testing.assert_close(report, {name: value.detach() for name, value in found.items()})
    for table, after in zip((net.vectors, net.output_vectors), expected, strict=True):
        torch.testing.assert_close(table.detach(), after, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("architecture", word2vec.ARCHITECTURES)
def test_blocks_are_steps_one_after_the_other(architecture: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two blocks: the second is scored with what the first has changed."""
    monkeypatch.setattr(word2vec, "STEADY", math.inf)
    net = net_of(architecture=architecture, sample=0.0, block_size=70)
    runs = torch.randint(0, 30, (1, 140), dtype=torch.int32)  # 140 words: 20 chunks, 2 blocks
    torch.manual_seed(1)
    blocks = list(net.draw((runs,)))
    assert [len(block.places) for block in blocks] == [10, 10]
    tables = [net.vectors.detach().clone(), net.output_vectors.detach().clone()]
    for block in blocks:
        vectors, output_vectors = (table.requires_grad_() for table in tables)
        shadow = net_of(architecture=architecture, sample=0.0, block_size=70)
        with torch.no_grad():
            shadow.vectors.copy_(vectors)
            shadow.output_vectors.copy_(output_vectors)
        compared = shadow.comparison(block)
        scores = compared.hidden @ compared.outputs.mT
        shadow.nats(scores, compared.wanted, compared.weight).backward()
        tables = [(table - 0.05 * table.grad).detach().clone() for table in (shadow.vectors, shadow.output_vectors)]
    torch.manual_seed(1)
    net.update((runs,), 0.05)
    torch.testing.assert_close([net.vectors.detach(), net.output_vectors.detach()], tables, rtol=1e-11, atol=1e-11)


def pairs_in(runs: torch.Tensor, reach: int, end: int) -> list[tuple[int, int]]:
    """(centre, context) of all words within `reach` of each other in a sentence, by plain loops."""
    pairs = []
    for run in runs.tolist():
        sentences = [[]]
        for word in run:
            sentences[-1].append(word) if word != end else sentences.append([])
        for sentence in sentences:
            for i, centre in enumerate(sentence):
                near = [j for j in range(i - reach, i + reach + 1) if j != i and 0 <= j < len(sentence)]
                pairs += [(centre, sentence[j]) for j in near]
    return pairs


@pytest.mark.parametrize("objective", ["softmax", "hierarchical_softmax"])
def test_skipgram_is_minus_log_of_the_probability_of_each_context_word(objective: str) -> None:
    """With window 1 nothing is drawn: every word sees its two neighbours."""
    net, runs = net_of(objective=objective, window=1, sample=0.0, block_size=50), runs_of()
    with torch.no_grad():
        log_p = net(torch.arange(30)[:, None]).log_softmax(1)  # (V, V)
        pairs = pairs_in(runs, 1, 30)
        found = net.loss((runs,))
        assert int(found["items"]) == len(pairs)
        assert float(found["loss"]) == pytest.approx(-sum(float(log_p[a, b]) for a, b in pairs) / len(pairs), rel=1e-6)


@pytest.mark.parametrize("objective", ["softmax", "hierarchical_softmax"])
def test_cbow_is_minus_log_of_the_probability_of_the_word_between_two(objective: str) -> None:
    net, runs = net_of(architecture="cbow", objective=objective, window=1, sample=0.0, block_size=50), runs_of()
    contexts: dict[int, list[int]] = {}
    centres = []
    for run in runs.tolist():
        for i, word in enumerate(run):
            near = [run[j] for j in (i - 1, i + 1) if 0 <= j < len(run) and run[j] != 30]
            if word != 30 and near:
                contexts[len(centres)] = near
                centres.append(word)
    with torch.no_grad():
        nats = [-float(net(torch.tensor([contexts[i]])).log_softmax(1)[0, word]) for i, word in enumerate(centres)]
        found = net.loss((runs,))
    assert int(found["items"]) == len(nats)
    assert float(found["loss"]) == pytest.approx(sum(nats) / len(nats), rel=1e-6)


def test_negative_sampling_tells_what_is_there_from_what_was_drawn() -> None:
    """Word by word: - log s(u v) of the pairs, and k / K of - log s(- u n) of each of the chunk's negatives."""
    net = net_of(window=1, sample=0.0, block_size=10_000, negatives=3).eval()
    runs = torch.randint(0, 30, (1, 63), dtype=torch.int32)  # one sentence: 9 chunks of 7
    (block,) = net.draw((runs,))
    u, v, words = net.vectors.detach(), net.output_vectors.detach(), runs[0].tolist()
    total = 0.0
    for i, centre in enumerate(words):
        near = [words[j] for j in (i - 1, i + 1) if 0 <= j < len(words)]
        total -= sum(float(F.logsigmoid(u[centre] @ v[word])) for word in near)
        for drawn in block.targets[i // 7, 9:].tolist():  # after the chunk's 7 words and one on either side
            total -= len(near) * 3 / 5 * float(F.logsigmoid(-u[centre] @ v[drawn]))
    found = net.loss((runs,))
    assert float(found["loss"].detach()) * 124 == pytest.approx(total, rel=1e-6)


@pytest.mark.parametrize("architecture", word2vec.ARCHITECTURES)
def test_no_window_leaves_its_sentence_or_its_run(architecture: str) -> None:
    """A sentence repeats one word, so a word may only be near itself; the second run begins with another sentence."""
    text = torch.tensor([word for word in range(14) for _ in range(5)] + [14] * 4 + [15] * 5)
    text = torch.cat([torch.cat([part, torch.tensor([30])]) for part in text[:70].split(5)] + [text[70:]])
    runs = torch.stack([text[:46], text[46:92]]).int()  # the first run ends with the fourth word 7
    net = net_of(architecture=architecture, sample=0.0, window=4)
    pairs = 0
    for block in net.draw((runs,)):
        near = net.mean[block.places.flatten()].view(*block.places.shape, -1) > 0  # (N, L, L + 2 W)
        inputs, targets = (block.inputs, block.targets) if architecture == "skipgram" else (block.targets, block.inputs)
        centres, around = inputs[:, :7, None].expand_as(near), targets[:, None, :15].expand_as(near)
        assert (around == centres)[near & (centres < 14)].all()
        pairs += int(near.sum())
    assert pairs > 150


def test_near_words_count_more() -> None:
    """A word's reach is drawn from 1 .. W: at distance d a pair is there with probability (W + 1 - d) / W."""
    net = net_of(sample=0.0, window=4)
    seen = dict.fromkeys(range(1, 5), 0)
    for block in net.draw((torch.zeros(40, 200, dtype=torch.int32),)):
        near = net.mean[block.places.flatten()].view(-1, 7, 15) > 0
        for place, distance in itertools.product(range(7), range(1, 5)):
            seen[distance] += int(near[:, place, place + 4 + distance].sum())
    assert [count / 8000 for count in seen.values()] == pytest.approx([1.0, 0.75, 0.5, 0.25], abs=0.03)


def test_common_words_are_dropped_as_often_as_the_formula_says() -> None:
    net = net_of(sample=0.03)
    share = torch.tensor(COUNTS) / sum(COUNTS)
    keep = ((share / 0.03).sqrt() + 1) * 0.03 / share
    assert 0 < keep[0] < keep[1] < 1 < keep[-1]
    runs = torch.arange(2).repeat(100, 100).int()  # words 0 and 1 in turn
    left = Counter(torch.cat([block.inputs.flatten() for block in net.draw((runs,))]).tolist())
    for word in (0, 1):  # the last chunk is filled up with a few zeros
        assert left[word] / 10_000 == pytest.approx(float(keep[word]), abs=0.025)


def test_negatives_are_drawn_by_the_count_to_the_power_of_three_quarters() -> None:
    net = net_of(sample=0.0, negatives_per_chunk=50)
    drawn = torch.cat([b.targets[:, -50:].flatten() for b in net.draw((torch.zeros(20, 700, dtype=torch.int32),))])
    wanted = torch.tensor(COUNTS, dtype=torch.float64) ** 0.75
    wanted *= len(drawn) / wanted.sum()
    surprise = ((drawn.bincount(minlength=30) - wanted) ** 2 / wanted).sum()
    assert len(drawn) == 100_000 and surprise < 60  # chi squared, 29 degrees of freedom: 1 in 1,000 is above 58


def test_validation_draws_the_same_each_time() -> None:
    net, runs = net_of(sample=0.01).eval(), runs_of()
    torch.manual_seed(1)
    one = net.loss((runs,))["loss"]
    torch.manual_seed(2)
    assert torch.equal(one, net.loss((runs,))["loss"])
    assert not torch.equal(one, net.train().loss((runs,))["loss"])


def test_huffmans_tree_is_the_shortest() -> None:
    nodes, turns, on_path = huffman_paths(COUNTS)
    lengths = on_path.sum(1)
    assert float((2.0**-lengths).sum()) == 1  # every leaf is used
    codes = ["".join(str(int(t)) for t in row[ok]) for row, ok in zip(turns, on_path, strict=True)]
    assert not any(a != b and b.startswith(a) for a in codes for b in codes)  # no word lies on the way to another
    weights, cost = sorted(COUNTS), 0
    while len(weights) > 1:  # the least sum there can be
        merged = weights.pop(0) + weights.pop(0)
        cost += merged
        weights = sorted([*weights, merged])
    assert int((lengths * torch.tensor(COUNTS)).sum()) == cost
    assert set(nodes[:, 0].tolist()) == {28}  # the root, the last of 29
    assert nodes.max() == 28 and lengths[0] == lengths.min()


def test_parameters_are_two_tables() -> None:
    """C08: 10,000 words and 100 dimensions, one projection shared by all words."""
    net = zoo.create("word2vec", words=[str(i) for i in range(10_000)], counts=[1] * 10_000)
    assert sum(p.numel() for p in net.parameters()) == 2 * 10_000 * 100


def test_local_and_distributed_representations() -> None:
    """C05, S30: no one-hot word is like another; a vector is a one-hot word times the table."""
    one_hot, net = torch.eye(30, dtype=torch.float64), net_of()
    assert torch.equal(one_hot @ one_hot.T, one_hot)
    assert torch.equal(one_hot[7] @ net.vectors, net.vectors[7])


def two_topics(words: int = 40, runs: int = 200) -> torch.Tensor:
    """Sentences of words of the first half, and others of the second."""
    side = torch.randint(0, 2, (runs, 1))
    return (torch.randint(0, words // 2, (runs, 60)) + side * (words // 2)).int()


@pytest.mark.parametrize(("architecture", "objective"), EVERY)
def test_words_of_a_topic_come_together(architecture: str, objective: str) -> None:
    runs = two_topics()
    words, counts = [f"w{i}" for i in range(40)], torch.bincount(runs.flatten(), minlength=40).tolist()
    net = zoo.create("word2vec", words=words, counts=counts, architecture=architecture, objective=objective,
                     embedding_dim=16, sample=0.0, block_size=200, negatives_per_chunk=10)  # fmt: skip
    start = net.update((runs,), 0.1)["loss"]
    for _ in range(15):
        end = net.update((runs,), 0.1)["loss"]
    assert end < start - 0.2
    topic = torch.arange(40) < 20
    nearest = (net.unit_vectors() @ net.unit_vectors().T - 2 * torch.eye(40)).argmax(1)
    assert (topic[nearest] == topic).float().mean() > 0.95


def test_few_words_in_large_blocks_do_not_overshoot() -> None:
    """40 words, each hundreds of times in a block, at a rate that is right for thousands."""
    runs = two_topics()
    net = zoo.create("word2vec", words=[f"w{i}" for i in range(40)], counts=[300] * 40, block_size=5_000, sample=0.0)
    for _ in range(100):
        loss = net.update((runs,), 0.05)["loss"]
    assert loss < 3.6 and net.vectors.isfinite().all() and net.vectors.norm(dim=1).max() < 20


def test_runs_without_words_change_nothing() -> None:
    net = net_of()
    before = net.vectors.detach().clone()
    ends = torch.full((2, 9), 30, dtype=torch.int32)
    assert net.update((ends,), 0.1)["loss"] == 0 and torch.equal(net.vectors, before)
    assert int(net.loss((ends,))["items"]) == 0


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (["optimizer=adam"], "model=word2vec takes steps of its own: it needs optimizer=sgd, without momentum"),
        (["optimizer=sgd", "optimizer.momentum=0.9"], "it needs optimizer=sgd, without momentum and weight_decay"),
        (["optimizer=sgd", "trainer.gradient_clip_norm=1"], "trainer.gradient_clip_norm must be null"),
        (["optimizer=sgd", "trainer.precision=16-mixed"], "precision must be 32-true or bf16-mixed, got '16-mixed'"),
        (["optimizer=sgd", "model.window=0"], "window must be >= 1, got 0"),
        (["optimizer=sgd", "model.negatives=-1"], "negatives must be >= 1, got -1"),
        (["optimizer=sgd", "model=word_svd"], "takes the whole training set at once: data.batch_size must be >= "),
        (["optimizer=sgd", "model=char_rnn"], "model 'char_rnn' needs 'vocabulary', which nothing has given"),
    ],
)
def test_what_would_be_left_undone_is_refused(wrong: list[str], words: str, train: Train) -> None:
    with pytest.raises(ConfigError, match=words):
        train("model=word2vec", "data=pydoc_words", "data.batch_size=100", *wrong)


def test_it_learns_in_bfloat16_too(train: Train) -> None:
    result = train("experiment=pydoc_skipgram", "trainer.precision=bf16-mixed", "trainer.max_epochs=10", "run_dir=run")
    assert result["metrics"]["test/related"] > 0.6
    net = zoo.load("run")
    assert net.vectors.dtype == torch.float32 and len(net.nearest("list", 3)) == 3


def test_a_rate_that_is_far_too_large_is_told(train: Train) -> None:
    with pytest.raises(NumericError):
        train("experiment=pydoc_skipgram", "optimizer.lr=1000", "figures=false")


def gensim_of(net: WordVectors) -> Any:
    from gensim.models import KeyedVectors

    theirs = KeyedVectors(net.embedding_dim)
    theirs.add_vectors(net.words, net.vectors.detach().numpy())
    return theirs


def test_questions_are_answered_as_gensim_does() -> None:
    torch.manual_seed(3)
    net = WordVectors(WORDS, torch.randn(30, 6))
    theirs = gensim_of(net)
    for ours, reference in (
        (net.nearest("w3", 7), theirs.most_similar("w3", topn=7)),
        (net.analogy("w1", "w2", "w3", 4), theirs.most_similar(positive=["w1", "w3"], negative=["w2"], topn=4)),
        (net.nearest("w3", 1000), theirs.most_similar("w3", topn=29)),
    ):
        assert [word for word, _ in ours] == [word for word, _ in reference]
    assert net.nearest("w3", 7) == [(word, pytest.approx(c, abs=1e-6)) for word, c in theirs.most_similar("w3", topn=7)]
    assert net.similarity("w4", "w9") == pytest.approx(float(theirs.similarity("w4", "w9")), abs=1e-6)
    np.testing.assert_array_equal(net.vector("w5").numpy(), theirs["w5"])


def test_an_unknown_word_is_told_with_the_closest_spellings() -> None:
    net = WordVectors(["king", "queen", "kings", "castle"], torch.randn(4, 3))
    with pytest.raises(ValueError, match=r"'kingg' is not one of the 4 words; closest: 'king', 'kings'"):
        net.nearest("kingg")
    with pytest.raises(ValueError, match=r"'xyzzy' is not one of the 4 words$"):
        net.analogy("king", "queen", "xyzzy")
    with pytest.raises(ValueError, match="count must be >= 1, got 0"):
        net.nearest("king", 0)


def counted(runs: torch.Tensor, window: int, keep: torch.Tensor) -> torch.Tensor:
    """How often words stand together, (V, V), by plain loops."""
    table = torch.zeros(len(keep), len(keep), dtype=torch.float64)
    for run in runs.tolist():
        for i, j in itertools.combinations(range(len(run)), 2):
            if j - i <= window and 30 not in run[i : j + 1]:
                weight = (window + 1 - (j - i)) / window * float(keep[run[i]] * keep[run[j]])
                table[run[i], run[j]] += weight
                table[run[j], run[i]] += weight
    return table


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("weighting", ["ppmi", "log"])
def test_with_all_dimensions_the_decomposition_is_the_matrix(weighting: str, power: float) -> None:
    runs = runs_of()
    net = zoo.create("word_svd", words=WORDS, counts=COUNTS, embedding_dim=30, window=3, sample=0.01, power=power,
                     weighting=weighting, shift=1.5)  # fmt: skip
    table = counted(runs, 3, net.keep)
    if weighting == "log":
        expected = table.log1p()
    else:
        context = table.sum(0) ** 0.75 / (table.sum(0) ** 0.75).sum()
        expected = ((table / (table.sum(1, keepdim=True) * context)).log() - math.log(1.5)).clamp(min=0)
    net.update((runs,), 0.0)
    found = (net.vectors @ net.output_vectors.T).detach().double()
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)


def test_counting_and_learning_agree_on_topics() -> None:
    runs = two_topics()
    net = zoo.create("word_svd", words=[f"w{i}" for i in range(40)], counts=[300] * 40, embedding_dim=4)
    net.update((runs,), 0.0)
    topic = torch.arange(40) < 20
    nearest = (net.unit_vectors() @ net.unit_vectors().T - 2 * torch.eye(40)).argmax(1)
    assert (topic[nearest] == topic).float().mean() > 0.95
