"""Translation with recurrent networks: the papers' formulas in loops, the search against searches without tricks."""

import itertools
import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import zoo
from zoo.models.decoding import BEGIN, END, PADDING, State, beam_search, translation_loss

WORD = END + 1  # the first number that is no special token
SOURCE = torch.tensor([[4, 5, 6, 7, END], [8, 9, END, 0, 0], [END, 0, 0, 0, 0], [5, 5, 4, END, 0]])  # 5, 3, 1, 4 tokens
TARGET = torch.tensor([[BEGIN, 9, 8, 7], [BEGIN, 4, 0, 0], [BEGIN, 6, 5, 0], [BEGIN, 0, 0, 0]])


def seq2seq(attention: str = "bahdanau", seed: int = 0, **arguments: Any) -> nn.Module:
    torch.manual_seed(seed)
    sizes = {"vocab_size": 10, "hidden_size": 6, "embedding_dim": 5}
    return zoo.create("seq2seq", attention=attention, **(sizes | arguments)).eval()


# --- the network -----------------------------------------------------------------------------------------


def gru_cell(net: nn.Module, direction: str = "") -> nn.GRUCell:
    """PyTorch's cell with the weights of the encoder, or those of the decoder's three parts."""
    encoder = net.encoder
    if direction == "decoder":
        w = [torch.cat([net.word_gates.weight, net.context_gates.weight], 1), net.state_gates.weight]
        w += [net.word_gates.bias, net.state_gates.bias]
    else:
        w = [getattr(encoder, f"{kind}_l0{direction}") for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
    cell = nn.GRUCell(w[0].shape[1], w[1].shape[1]).double()
    cell.load_state_dict(dict(zip(("weight_ih", "weight_hh", "bias_ih", "bias_hh"), w, strict=True)))
    return cell


def by_hand(net: nn.Module, source: list[int], target: list[int]) -> tuple[Tensor, Tensor | None]:
    """Logits (T, V) and attention (T, S) of one sentence pair without padding, number by number as in the papers."""
    size = net.encoder.hidden_size
    scale = math.sqrt(net.source_embedding.embedding_dim)
    vectors = [scale * net.source_embedding.weight[token] for token in source]
    forward, h = [], torch.zeros(size).double()
    for x in vectors:
        h = gru_cell(net)(x, h)
        forward.append(h)
    if net.attention == "none":
        context = torch.tanh(net.summary.weight @ forward[-1] + net.summary.bias)
        s, attention = torch.tanh(net.first_state.weight @ context + net.first_state.bias), None
    else:
        backward, h = [], torch.zeros(size).double()
        for x in reversed(vectors):
            h = gru_cell(net, "_reverse")(x, h)
            backward.insert(0, h)
        annotations = [torch.cat(pair) for pair in zip(forward, backward, strict=True)]
        s, attention = torch.tanh(net.first_state.weight @ backward[0] + net.first_state.bias), []
    logits = []
    for token in target:
        y = scale * net.target_embedding.weight[token]
        if net.attention == "bahdanau":
            energies = []
            for h in annotations:
                hidden = torch.tanh(net.query.weight @ s + net.key.weight @ h)
                energies.append(math.exp(sum(v * z for v, z in zip(net.energy.weight[0], hidden, strict=True))))
            weights = [e / sum(energies) for e in energies]
            context = sum(a * h for a, h in zip(weights, annotations, strict=True))
            attention.append(torch.tensor(weights))
        s = gru_cell(net, "decoder")(torch.cat([y, context]), s)
        t = torch.tanh(net.readout.weight @ torch.cat([s, context, y]) + net.readout.bias)
        logits.append(net.output.weight @ t + net.output.bias)
    return torch.stack(logits), torch.stack(attention).double() if attention else None


@pytest.mark.parametrize("tie_embeddings", [True, False])
@pytest.mark.parametrize("attention", ["bahdanau", "none"])
def test_the_formulas_of_the_papers_in_loops(attention: str, tie_embeddings: bool) -> None:
    net = seq2seq(attention, tie_embeddings=tie_embeddings).double()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.uniform_(-1, 1)
        logits = net(SOURCE, TARGET)
        for i, (source, target) in enumerate(zip(SOURCE, TARGET, strict=True)):
            length = int((source != PADDING).sum())
            expected, weights = by_hand(net, source[:length].tolist(), target.tolist())
            torch.testing.assert_close(logits[i], expected)
            if weights is not None:
                found = net.attention_maps(SOURCE, TARGET)[0][i, 0]  # (T, S)
                torch.testing.assert_close(found[:, :length].float(), weights.float())
                assert torch.equal(found[:, length:], torch.zeros(4, 5 - length).double())
                torch.testing.assert_close(found.sum(1), torch.ones(4).double())


@pytest.mark.parametrize("attention", ["bahdanau", "none"])
def test_token_by_token_gives_what_teacher_forcing_gives(attention: str) -> None:
    net = seq2seq(attention)
    state, steps = net.start(SOURCE), []
    for latest in TARGET.unbind(1):
        logits, state = net.step(latest, state)
        assert all(len(part) == len(SOURCE) for part in state)
        steps.append(logits)
    torch.testing.assert_close(torch.stack(steps, 1), net(SOURCE, TARGET))
    torch.testing.assert_close(steps[0][:, None], net(SOURCE))  # no target: BEGIN alone


@pytest.mark.parametrize("attention", ["bahdanau", "none"])
def test_padding_and_other_sentences_change_nothing(attention: str) -> None:
    net = seq2seq(attention)
    logits, loss = net(SOURCE, TARGET), net.loss((SOURCE, TARGET))
    padded = F.pad(SOURCE, (0, 4)), F.pad(TARGET, (0, 3))
    torch.testing.assert_close(net(*padded)[:, :4], logits)
    again = net.loss(padded)
    assert int(loss["items"]) == int(again["items"]) == 3 + 1 + 2  # TARGET without its BEGINs
    torch.testing.assert_close(again, loss)
    for i in range(4):
        alone = SOURCE[i : i + 1, : int((SOURCE[i] != PADDING).sum())]
        torch.testing.assert_close(net(alone, TARGET[i : i + 1]), logits[i : i + 1])


@pytest.mark.parametrize("tie_embeddings", [True, False])
@pytest.mark.parametrize("attention", ["bahdanau", "none"])
def test_loss_starts_at_chance_and_every_parameter_gets_a_gradient(attention: str, tie_embeddings: bool) -> None:
    sizes = {"vocab_size": 300, "hidden_size": 64, "embedding_dim": 64}
    net = seq2seq(attention, tie_embeddings=tie_embeddings, dropout=0.1, **sizes).train()
    loss = net.loss((SOURCE, TARGET))["loss"]
    assert float(loss.detach()) == pytest.approx(math.log(300), rel=0.1)
    loss.backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad.abs().sum() > 0, name


def test_the_loss_is_that_of_the_logits_and_smooth_in_training_only() -> None:
    net = seq2seq(label_smoothing=0.2)
    logits = net(SOURCE, TARGET[:, :-1])
    for training, smoothing in ((False, 0.0), (True, 0.2)):
        expected = translation_loss(logits, TARGET[:, 1:], smoothing)
        torch.testing.assert_close(net.train(training).loss((SOURCE, TARGET)), expected)


def test_dropout_is_for_training() -> None:
    net = seq2seq(dropout=0.5)
    assert torch.equal(net(SOURCE, TARGET), net(SOURCE, TARGET))
    net.train()
    assert not torch.allclose(net.start(SOURCE)[0], net.start(SOURCE)[0])  # of the source's vectors
    features, _, _ = net.decode(TARGET, net.start(SOURCE))
    assert 0.3 < float((features == 0).float().mean()) < 0.7  # and before the output


def test_tied_embeddings_are_one_matrix() -> None:
    net = seq2seq()
    matrices = net.source_embedding.weight, net.target_embedding.weight, net.output.weight
    assert all(matrix is matrices[0] for matrix in matrices)
    counts = [sum(p.numel() for p in seq2seq(tie_embeddings=tied).parameters()) for tied in (False, True)]
    assert counts[0] - counts[1] == 2 * 10 * 5


def test_translation_loss_counts_words_only() -> None:
    torch.manual_seed(0)
    logits, targets = torch.randn(2, 3, 7), torch.tensor([[4, END, 0], [0, 6, 0]])
    logits[0, 0, 4] = 9.0  # right
    logits[1, 1, 5] = 9.0  # wrong
    logits[0, 1, 6] = 9.0  # wrong
    logits[1, 0, 0] = 9.0  # PADDING said of PADDING is no right token
    log_p = logits.log_softmax(2)
    plain = [-float(log_p[place]) for place in ((0, 0, 4), (0, 1, END), (1, 1, 6))]
    even = [-float(log_p[place].mean()) for place in ((0, 0), (0, 1), (1, 1))]
    found = translation_loss(logits, targets)
    assert float(found["loss"]) == pytest.approx(sum(plain) / 3)
    assert (float(found["acc"]), int(found["items"])) == (pytest.approx(1 / 3), 3)
    smooth = translation_loss(logits, targets, 0.3)["loss"]
    assert float(smooth) == pytest.approx(0.7 * sum(plain) / 3 + 0.3 * sum(even) / 3)
    chosen = targets != PADDING
    torch.testing.assert_close(translation_loss(logits[chosen], targets[chosen]), found)


# --- the search ------------------------------------------------------------------------------------------


class Oracle:
    """A network whose logits are random numbers that depend on the sentence (its first token) and all tokens so far."""

    def __init__(self, vocab_size: int, seed: int = 0, spread: float = 2.0):
        self.vocab_size, self.rows, self.steps = vocab_size, 9973, []
        self.table = spread * torch.randn(self.rows, vocab_size, generator=torch.Generator().manual_seed(seed))

    def start(self, source: Tensor) -> State:
        return (source[:, 0],)

    def step(self, latest: Tensor, state: State) -> tuple[Tensor, State]:
        assert not torch.is_grad_enabled() and latest.dtype == torch.int64 and len(latest) == len(state[0])
        self.steps.append(len(latest))
        prefix = (state[0] * (self.vocab_size + 1) + latest) % self.rows
        return self.table[prefix], (prefix,)

    def log_p(self, first: int, tokens: list[int]) -> list[float]:
        """Of each next token after `tokens`."""
        prefix = first
        for token in [BEGIN, *tokens]:
            prefix = (prefix * (self.vocab_size + 1) + token) % self.rows
        return self.table[prefix].double().log_softmax(0).tolist()

    def score(self, first: int, tokens: list[int], length_penalty: float) -> float:
        """What hypotheses compete by."""
        total = sum(self.log_p(first, tokens[:i])[token] for i, token in enumerate([*tokens, END]))
        return total / (len(tokens) + 1) ** length_penalty


def sources(count: int) -> Tensor:
    """Sentences of 1 to 6 tokens, whose first tokens differ."""
    source = torch.full((count, 6), WORD)
    source[:, 0] = torch.arange(4, 4 + count)
    return source.masked_fill(torch.arange(6) > torch.arange(count)[:, None] % 6, PADDING)


def naive_greedy(oracle: Oracle, first: int, limit: int) -> list[int]:
    tokens = []
    while len(tokens) < limit:
        row = oracle.log_p(first, tokens)
        row[PADDING] = row[BEGIN] = -math.inf
        token = row.index(max(row))
        if token == END:
            break
        tokens.append(token)
    return tokens


def naive_beam(oracle: Oracle, first: int, beam_size: int, limit: int, length_penalty: float) -> list[int]:
    """Beam search of one sentence with lists, to the end: without the bound that lets the other stop early."""
    live, finished = [(0.0, [])], []
    for length in range(1, limit + 2):
        continuations = []
        for total, tokens in live:
            row = oracle.log_p(first, tokens)
            for token in range(oracle.vocab_size):
                if token == END or (token not in (PADDING, BEGIN) and length <= limit):
                    continuations.append((total + row[token], [*tokens, token]))
        kept = sorted(continuations, reverse=True)[:beam_size]
        finished += [(total / length**length_penalty, tokens[:-1]) for total, tokens in kept if tokens[-1] == END]
        live = [(total, tokens) for total, tokens in kept if tokens[-1] != END]
        if len(finished) >= beam_size:
            break
    return max(finished)[1]


@pytest.mark.parametrize("seed", range(3))
def test_a_beam_of_one_is_greedy(seed: int) -> None:
    oracle, source = Oracle(9, seed), sources(12)
    found = beam_search(oracle, source)
    expected = [naive_greedy(oracle, int(row[0]), 2 * int((row != PADDING).sum()) + 10) for row in source]
    assert [row.tolist() for row in found] == expected
    assert len({len(row) for row in expected}) > 3  # and not all of a kind
    assert sum(oracle.steps) == sum(min(len(row), 22) + 1 for row in expected)  # nothing is computed behind END


@pytest.mark.parametrize("length_penalty", [0.0, 0.6, 1.0, 2.0])
@pytest.mark.parametrize("beam_size", [1, 2, 3, 5])
def test_the_search_is_that_of_lists_without_stopping_early(beam_size: int, length_penalty: float) -> None:
    oracle, source = Oracle(8), sources(12)
    for max_length in (None, 5):
        found = beam_search(oracle, source, beam_size, max_length, length_penalty)
        limits = [max_length or 2 * int((row != PADDING).sum()) + 10 for row in source]
        for row, tokens, limit in zip(source, found, limits, strict=True):
            assert tokens.tolist() == naive_beam(oracle, int(row[0]), beam_size, limit, length_penalty)
            assert tokens.dtype == torch.int64 and tokens.device.type == "cpu" and len(tokens) <= limit


@pytest.mark.parametrize("length_penalty", [0.0, 0.6, 1.0, 2.0])
@pytest.mark.parametrize(("vocab_size", "max_length"), [(7, 1), (7, 3), (7, 4), (5, 4)])
def test_a_beam_as_wide_as_the_number_of_hypotheses_finds_the_best_of_all(
    vocab_size: int, max_length: int, length_penalty: float
) -> None:
    words = [token for token in range(vocab_size) if token not in (PADDING, BEGIN, END)]
    oracle, source = Oracle(vocab_size), sources(5)
    hypotheses = [list(tokens) for n in range(max_length + 1) for tokens in itertools.product(words, repeat=n)]
    found = beam_search(oracle, source, len(hypotheses), max_length, length_penalty)
    for row, tokens in zip(source, found, strict=True):
        scores = [oracle.score(int(row[0]), hypothesis, length_penalty) for hypothesis in hypotheses]
        assert tokens.tolist() == hypotheses[scores.index(max(scores))]


def test_the_search_adds_up_in_single_precision() -> None:
    rough, source = Oracle(9), sources(200)
    rough.table = rough.table.bfloat16()
    same = Oracle(9)
    same.table = rough.table.float()
    for found, expected in zip(beam_search(rough, source, 3), beam_search(same, source, 3), strict=True):
        assert torch.equal(found, expected)


def test_a_wider_beam_finds_better_translations_on_average() -> None:
    oracle, source = Oracle(12), sources(40)
    means = []
    for beam_size in (1, 3, 10):
        found = beam_search(oracle, source, beam_size)
        scores = [oracle.score(int(row[0]), tokens.tolist(), 1.0) for row, tokens in zip(source, found, strict=True)]
        means.append(sum(scores) / len(scores))
    assert means == sorted(means) and means[2] > means[0] + 0.05


@pytest.mark.parametrize("beam_size", [1, 4])
@pytest.mark.parametrize("attention", ["bahdanau", "none"])
def test_a_translation_does_not_depend_on_the_other_sentences(attention: str, beam_size: int) -> None:
    net = seq2seq(attention, seed=1)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(3)  # a network of strong opinions
    together = net.translate(SOURCE, beam_size)
    assert len({len(tokens) for tokens in together}) > 1
    for row, tokens in zip(SOURCE, together, strict=True):
        alone = net.translate(row[None, : int((row != PADDING).sum())], beam_size)
        assert torch.equal(alone[0], tokens)


class Stubborn:
    """Always the same logits."""

    def __init__(self, *logits: float):
        self.logits, self.steps = torch.tensor(logits, dtype=torch.bfloat16), 0

    def start(self, source: Tensor) -> State:
        return (source,)

    def step(self, latest: Tensor, state: State) -> tuple[Tensor, State]:
        self.steps += 1
        return self.logits.expand(len(latest), -1), state


@pytest.mark.parametrize("beam_size", [1, 3])
def test_padding_and_begin_are_never_produced_and_each_sentence_has_its_limit(beam_size: int) -> None:
    found = beam_search(Stubborn(90, 0, 90, -90, 10), SOURCE, beam_size)
    assert [row.tolist() for row in found] == [[WORD] * (2 * tokens + 10) for tokens in (5, 3, 1, 4)]
    assert [len(row) for row in beam_search(Stubborn(0, 0, 0, -9, 9), SOURCE, beam_size, max_length=2)] == [2] * 4


def test_the_search_ends_when_nothing_better_can_come() -> None:
    sure = Stubborn(0, 0, 0, 20, 0)
    assert [len(row) for row in beam_search(sure, SOURCE, beam_size=5)] == [0] * 4
    assert sure.steps == 1


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"beam_size": 0}, "beam_size must be >= 1, got 0"),
        ({"max_length": 0}, "max_length must be >= 1, or None, got 0"),
        ({"length_penalty": math.nan}, r"length_penalty must lie in \[0, 10\], got nan"),
        ({"length_penalty": math.inf}, r"length_penalty must lie in \[0, 10\], got inf"),
        ({"length_penalty": -0.5}, r"length_penalty must lie in \[0, 10\], got -0.5"),
        ({"source": torch.tensor([4, 5])}, r"source must be one or more sentences \(B, S\), got \(2,\)"),
        ({"source": torch.tensor([[4, 5], [0, 0]])}, "sentence must hold a token, number 1 is all PADDING"),
    ],
)
def test_what_cannot_be_searched_for_is_refused(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        seq2seq().translate(**({"source": SOURCE} | wrong))


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"vocab_size": 4}, r"vocab_size must be >= 5 \(four special tokens and a word\), got 4"),
        ({"attention": "luong"}, "attention must be one of bahdanau, none, got 'luong'"),
        ({"hidden_size": 0}, "hidden_size must be >= 1, got 0"),
        ({"embedding_dim": 0}, "embedding_dim must be >= 1, got 0"),
        ({"dropout": 1.0}, r"dropout must lie in \[0, 1\), got 1.0"),
        ({"label_smoothing": -0.1}, r"label_smoothing must lie in \[0, 1\), got -0.1"),
    ],
)
def test_bad_values_are_named_with_their_rule(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(zoo.errors.ConfigError, match=words):
        seq2seq(**wrong)


def test_inputs_of_another_shape_are_refused() -> None:
    net = seq2seq()
    with pytest.raises(ValueError, match=r"source must be \(B, S\) tokens, got \(3,\)"):
        net(SOURCE[0, :3])
    with pytest.raises(ValueError, match=r"target must be \(4, T\) tokens, got \(2, 4\)"):
        net(SOURCE, TARGET[:2])


def test_without_attention_there_are_no_maps() -> None:
    assert seq2seq("none").attention_maps(SOURCE, TARGET) == []


# --- learning --------------------------------------------------------------------------------------------


def reversals(count: int) -> tuple[Tensor, Tensor]:
    """Sentences of four to eight of fifty words, and the same words from back to front."""
    lengths = torch.randint(4, 9, (count, 1))
    place = torch.arange(8)
    source = torch.randint(WORD, WORD + 50, (count, 8)).masked_fill(place >= lengths, PADDING)
    backward = source.gather(1, (lengths - 1 - place).clamp(min=0)).masked_fill(place >= lengths, PADDING)
    target = F.pad(F.pad(backward, (1, 0), value=BEGIN), (0, 1)).scatter(1, lengths + 1, END)
    return source, target


def test_attention_learns_to_reverse_and_looks_where_the_word_stands() -> None:
    accuracies = {}
    for attention in ("none", "bahdanau"):
        net = seq2seq(attention, vocab_size=WORD + 50, hidden_size=48, embedding_dim=32).train()
        optimizer = torch.optim.Adam(net.parameters(), lr=0.005)
        for _ in range(300):
            net.loss(reversals(48))["loss"].backward()
            optimizer.step()
            optimizer.zero_grad()
        source, target = reversals(300)
        accuracies[attention] = float(net.eval().loss((source, target))["acc"])
    assert accuracies["bahdanau"] > 0.97
    assert accuracies["none"] < 0.7  # one vector is a bottleneck

    looked_at = net.attention_maps(source, target[:, :-1])[0][:, 0, :-1].argmax(2)  # (B, 8)
    lengths = (source != PADDING).sum(1, keepdim=True)
    apart = (looked_at - (lengths - 1 - torch.arange(8))).abs()[torch.arange(8) < lengths]
    assert (apart == 0).float().mean() > 0.75
    assert (apart <= 1).float().mean() > 0.98  # an annotation knows of the words beside its own
    for beam_size in (1, 3):
        found = net.translate(source, beam_size)
        right = [torch.equal(row, words[words > END]) for row, words in zip(found, target, strict=True)]
        assert sum(right) > 0.85 * len(right)
