"""Recurrent networks: the readable cells against PyTorch's kernels, the carried state, generating, explaining."""

import itertools
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from conftest import ROOT, needs
from torch import Tensor, nn

import zoo
from zoo.data.irish import full_bars, note_length, problem
from zoo.data.text import Windows
from zoo.errors import CheckpointError, ConfigError, DataError
from zoo.lectures.bptt import bptt, narrate
from zoo.models.recurrent import GATES, Cells, recurrent_layers, unroll
from zoo.recurrent_figures import gradient_by_lag
from zoo.registry import build

Train = Callable[..., dict[str, Any]]
QUIET = ["figures=false", "logger=csv", "trainer.progress=false"]
TEXT = f"data.path={ROOT / 'LICENSE'}"  # a thousand characters that stay as they are


def char_rnn(seed: int = 0, **arguments: Any) -> nn.Module:
    torch.manual_seed(seed)
    return zoo.create("char_rnn", **({"vocabulary": "abcde", "hidden_size": 7} | arguments))


# --- cells -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("num_layers", [1, 3])
@pytest.mark.parametrize("cell", sorted(GATES))
def test_readable_cells_equal_the_fused_ones_forward_and_backward(
    cell: str, num_layers: int, bidirectional: bool
) -> None:
    torch.manual_seed(0)
    made = {}
    for implementation in ("fused", "reference"):
        made[implementation] = recurrent_layers(
            cell, 4, 6, num_layers, bidirectional=bidirectional, implementation=implementation
        )
    with torch.no_grad():
        for parameter in made["fused"].parameters():
            parameter.uniform_(-0.5, 0.5)
    made["reference"].load_state_dict(made["fused"].state_dict())
    x = torch.randn(3, 9, 4)
    parts = 2 if cell == "lstm" else 1
    start = tuple(torch.randn(num_layers * (2 if bidirectional else 1), 3, 6) for _ in range(parts))
    weights = torch.randn(3, 9, 6 * (2 if bidirectional else 1))
    results = {}
    for name, layers in made.items():
        given = x.clone().requires_grad_()
        outputs, state = unroll(layers, given, start)
        loss = (outputs * weights).sum() + sum(part.square().sum() for part in state)
        loss.backward()
        gradients = {key: parameter.grad for key, parameter in layers.named_parameters()}
        results[name] = {"outputs": outputs, "x": given.grad} | gradients
        results[name] |= {f"state {i}": part for i, part in enumerate(state)}
    assert results["fused"].keys() == results["reference"].keys()
    for name, value in results["fused"].items():
        scale = max(1.0, float(value.detach().abs().max()))  # gradients are sums over 27 characters
        torch.testing.assert_close(results["reference"][name], value, rtol=0, atol=1e-6 * scale, msg=name)


def test_the_whole_model_is_the_same_in_either_implementation() -> None:
    for cell in sorted(GATES):
        fused = char_rnn(cell=cell, num_layers=2, embedding_dim=3)
        reference = char_rnn(cell=cell, num_layers=2, embedding_dim=3, implementation="reference")
        reference.load_state_dict(fused.state_dict())
        batch = tuple(torch.randint(5, (2, 4, 9)))
        losses = [net.loss(batch) for net in (fused, reference)]
        torch.testing.assert_close(losses[0]["loss"], losses[1]["loss"], rtol=0, atol=1e-6)
        for a, b in zip(losses[0]["state"], losses[1]["state"], strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=1e-6)


def test_one_step_of_each_cell_is_pytorchs_cell() -> None:
    torch.manual_seed(0)
    x, h, c = torch.randn(2, 4), torch.randn(2, 6), torch.randn(2, 6)
    for cell, single in (("rnn", nn.RNNCell), ("lstm", nn.LSTMCell), ("gru", nn.GRUCell)):
        torch_cell = single(4, 6)
        ours = Cells(cell, 4, 6, 1, 0.0, False, "tanh", True)
        ours.load_state_dict({f"{name}_l0": value for name, value in torch_cell.state_dict().items()})
        state = (h[None], c[None]) if cell == "lstm" else (h[None],)
        expected = torch_cell(x, (h, c) if cell == "lstm" else h)
        _, new = ours(x[:, None], state)
        for a, b in zip(new, expected if cell == "lstm" else (expected,), strict=True):
            torch.testing.assert_close(a[0], b, rtol=0, atol=1e-6)


def test_lstm_by_hand_with_one_matrix_over_h_and_x() -> None:
    """R17 writes each gate as W [h, x] + b."""
    layers = recurrent_layers("lstm", 2, 3, implementation="reference")
    w = torch.cat((layers.weight_hh_l0, layers.weight_ih_l0), 1).detach()  # (4H, H + D)
    b = (layers.bias_ih_l0 + layers.bias_hh_l0).detach()
    x, h, c = torch.tensor([0.5, -1.0]), torch.tensor([0.1, 0.2, -0.3]), torch.tensor([1.0, 0.0, -1.0])
    i, f, u, o = (w @ torch.cat((h, x)) + b).split(3)
    new_c = f.sigmoid() * c + i.sigmoid() * u.tanh()
    new_h = o.sigmoid() * new_c.tanh()
    _, (got_h, got_c) = layers(x[None, None], (h[None, None], c[None, None]))
    torch.testing.assert_close(got_h[0, 0], new_h)
    torch.testing.assert_close(got_c[0, 0], new_c)


def test_gates_lie_between_zero_and_one_and_forget_gates_start_open() -> None:
    net = char_rnn(cell="lstm", hidden_size=50)
    layer = net.trace("abcdeabcde")[0]
    assert set(layer) == {"h", "c", "input", "forget", "output"} and layer["h"].shape == (10, 50)
    for name in ("input", "forget", "output"):
        assert 0 < layer[name].min() and layer[name].max() < 1
    assert float(layer["forget"].mean()) == pytest.approx(1 / (1 + math.exp(-1)), abs=0.05)  # R15: sigmoid(1) = 0.731
    assert set(char_rnn(cell="gru").trace("ab")[0]) == {"h", "reset", "update"}


def test_the_trace_is_what_the_network_computes() -> None:
    for cell in sorted(GATES):
        net = char_rnn(cell=cell, num_layers=2)
        outputs, _ = unroll(net.layers, net.embed(net.encode("abcab")[None]))
        torch.testing.assert_close(net.trace("abcab")[-1]["h"], outputs[0].detach(), rtol=0, atol=1e-6)


def test_irnn_starts_as_the_identity() -> None:
    """S37: a state that nothing is added to stays as it is, however long."""
    layers = recurrent_layers("irnn", 3, 5)
    h = torch.rand(1, 1, 5, requires_grad=True)
    _, (after,) = unroll(layers, torch.zeros(1, 50, 3), (h,))
    torch.testing.assert_close(after, h)
    (gradient,) = torch.autograd.grad(after.sum(), h)
    assert torch.equal(gradient, torch.ones_like(gradient))


def test_sigmoid_neurons_are_for_the_readable_cells() -> None:
    """I30: g may be a sigmoid; and I37: over six steps at most (1/4)^6 of it comes back."""
    layers = recurrent_layers("rnn", 1, 1, nonlinearity="sigmoid", implementation="reference")
    with torch.no_grad():
        for parameter in layers.parameters():
            parameter.fill_(1.0 if parameter.dim() == 2 else 0.0)
    x = torch.zeros(1, 7, 1, requires_grad=True)
    outputs, _ = layers(x)
    (gradient,) = torch.autograd.grad(outputs[0, -1, 0], x)
    assert 0 < float(gradient[0, 0, 0]) <= 0.25**7
    steps = gradient[0, :, 0]
    assert (steps[1:] > steps[:-1]).all()


def test_bidirectional_has_six_matrices_and_reads_from_both_ends() -> None:
    """R09: two for each direction, and the two halves of the output's."""
    net = zoo.create("sequence_rnn", num_classes=3, vocab_size=5, in_features=0, cell="rnn", bidirectional=True)
    matrices = [name for name, parameter in net.layers.named_parameters() if parameter.dim() == 2]
    halves = net.output.weight.split(64, 1)
    assert len(matrices) + len(halves) == 6
    x = torch.tensor([[0, 1, 2, 3]])
    forward, backward = net.pooled(net.embed(x), None).split(64, 1)
    turned = Cells("rnn", 5, 64, 1, 0.0, False, "tanh", True)
    turned.load_state_dict(
        {name.removesuffix("_reverse"): value for name, value in net.layers.state_dict().items() if "_reverse" in name}
    )
    torch.testing.assert_close(turned(net.embed(x.flip(1)))[0][:, -1], backward, rtol=0, atol=1e-6)


@pytest.mark.parametrize("pooling", ["last", "mean", "max"])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_what_stands_behind_the_end_changes_nothing(pooling: str, bidirectional: bool) -> None:
    """S31: sentences of 4, 6 and 9 words in one batch, padded, each as if it were alone."""
    torch.manual_seed(0)
    net = zoo.create(
        "sequence_rnn", num_classes=4, vocab_size=20, in_features=0, embedding_dim=3, pooling=pooling,
        bidirectional=bidirectional,
    ).eval()  # fmt: skip
    x, lengths = torch.randint(20, (3, 9)), torch.tensor([4, 6, 9])
    together = net(x, lengths)
    for i, length in enumerate(lengths.tolist()):
        torch.testing.assert_close(together[i], net(x[i : i + 1, :length])[0], rtol=0, atol=1e-6)
    assert not torch.allclose(net(x)[0], together[0])


def test_order_counts_for_the_network_and_not_for_the_bag() -> None:
    """S33: 'good, not bad at all' and 'bad, not good at all' hold the same words."""
    from zoo.data.words import tokenize

    one, two = tokenize(["good, not bad at all", "bad, not good at all"])
    assert sorted(one) == sorted(two) and one != two
    places = {word: i for i, word in enumerate(sorted(set(one)))}
    x = torch.tensor([[places[word] for word in words] for words in (one, two)])
    bags = F.one_hot(x, len(places)).sum(1)
    assert torch.equal(bags[0], bags[1])
    torch.manual_seed(0)
    logits = zoo.create("sequence_rnn", num_classes=2, vocab_size=len(places), in_features=0)(x)
    assert abs(float((logits[0] - logits[1]).detach())) > 1e-3


def test_an_mlp_forgets_and_a_recurrent_net_does_not() -> None:
    """R02, R03: only the recurrent output depends on earlier inputs."""
    mlp = zoo.create("mlp", in_features=5, num_classes=5)
    steps = F.one_hot(torch.tensor([[0, 1, 2], [3, 1, 2]]), 5).float()
    assert torch.equal(*(mlp(sequence)[2] for sequence in steps))
    net = char_rnn()
    outputs, _ = net.unroll(torch.tensor([[0, 1, 2], [3, 1, 2]]))
    assert not torch.allclose(outputs[0, 2], outputs[1, 2])
    earlier = net.unroll(torch.tensor([[0, 1, 2], [0, 1, 4]]))[0]
    torch.testing.assert_close(earlier[0, :2], earlier[1, :2])  # and never on later ones (I31)


# --- text and the state that is carried ------------------------------------------------------------------


@pytest.mark.parametrize("size", [2, 3, 65, 1000, 1001])
@pytest.mark.parametrize(("batch_size", "length"), [(1, 4), (3, 7), (4, 64), (32, 50)])
def test_windows_show_every_character_once_as_a_target(size: int, batch_size: int, length: int) -> None:
    windows = Windows(torch.arange(size), batch_size, length)
    batches = list(windows)
    assert len(batches) == len(windows) > 0
    assert all(x.shape == y.shape and torch.equal(x + 1, y) for x, y in batches)
    shown = torch.cat([y.flatten() for _, y in batches]).tolist()
    assert len(shown) == len(set(shown)) > size - 1 - windows.batch_size
    for row in range(windows.batch_size):  # each stream goes on where the window before has ended
        stream = torch.cat([x[row] for x, _ in batches])
        assert torch.equal(stream, torch.arange(int(stream[0]), int(stream[0]) + len(stream)))
    assert all(x.untyped_storage().data_ptr() == batches[0][0].untyped_storage().data_ptr() for x, _ in batches)


def test_each_pass_begins_elsewhere_and_follows_from_seed_and_step() -> None:
    text = torch.arange(1000)
    step = 0
    windows = Windows(text, 4, 50, seed=1, repeat=2, step=lambda: step)
    whole = list(windows)
    assert len(whole) == 10 and windows.per_pass == 5
    firsts = [int(whole[i][0][0, 0]) for i in (0, 5)]
    assert len(set(firsts)) == 2
    for step in range(10):  # noqa: B007  (the windows look at it)
        rest = list(windows)
        assert len(rest) == 10 - step
        assert all(
            torch.equal(a, b)
            for one, two in zip(rest, whole[step:], strict=True)
            for a, b in zip(one, two, strict=True)
        )
    assert int(next(iter(Windows(text, 4, 50, seed=2)))[0][0, 0]) != firsts[0]


@pytest.mark.parametrize("cell", sorted(GATES))
def test_with_the_state_carried_windows_are_one_long_text(cell: str) -> None:
    net = char_rnn(cell=cell, num_layers=2).eval()
    text = torch.randint(5, (101,))
    whole = float(net.loss((text[None, :-1], text[None, 1:]))["loss"].detach())
    state, total, cut = None, 0.0, 0.0
    for x, y in Windows(text, 1, 8):
        answer = net.loss((x, y), state)
        state = answer["state"]
        total += float(answer["loss"].detach()) * y.numel()
        cut += float(net.loss((x, y))["loss"].detach()) * y.numel()
    assert total / 100 == pytest.approx(whole, abs=1e-5)
    assert abs(cut / 100 - whole) > 1e-5  # and without it they are not
    assert not any(part.requires_grad for part in state)


def test_training_carries_the_state_and_begins_each_pass_without(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run's weights are those of a loop of five lines."""
    result = train("model=char_rnn", "model.hidden_size=6", "data=text", TEXT, "data.batch_size=4",
                   "data.sequence_length=22", "optimizer=sgd", "trainer.max_epochs=3", *QUIET)  # fmt: skip
    trained = zoo.load(result["checkpoint"])
    torch.manual_seed(0)
    net = zoo.create("char_rnn", vocabulary=trained.vocabulary, hidden_size=6)
    data = build("data", "text", {"path": str(ROOT / "LICENSE"), "batch_size": 4, "sequence_length": 22})
    data.load()
    step = 0
    for _ in range(3):
        state = None
        for batch in list(data.batches("train", seed=0, step=lambda: step)):  # noqa: B023  (used at once)
            answer = net.loss(batch, state)
            state = answer["state"]
            net.zero_grad()
            answer["loss"].backward()
            with torch.no_grad():
                for parameter in net.parameters():
                    parameter -= 0.1 * parameter.grad
            step += 1
    assert step == 33
    for name, value in net.state_dict().items():
        torch.testing.assert_close(trained.state_dict()[name], value, rtol=0, atol=1e-6)
    net.eval()
    whole = net.loss((data.test[0][None, :-1], data.test[0][None, 1:]))["loss"]
    assert result["metrics"]["test/loss"] == pytest.approx(float(whole.detach()), abs=1e-5)  # the whole last tenth


def test_a_run_without_carried_state_learns_from_each_window_alone(train: Train) -> None:
    result = train("model=char_rnn", "data=abc", "data.repeat=50", "optimizer.lr=0.01", "trainer.max_epochs=1", *QUIET)
    assert result["metrics"]["test/loss"] < 0.1 * math.log(3)


def text_file(folder: Path, content: bytes) -> dict[str, Any]:
    (folder / "mine.txt").write_bytes(content)
    return {"path": str(folder / "mine.txt"), "sequence_length": 10}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "mine.txt is empty"),
        (b"\xef\xbb\xbf", "mine.txt is empty"),
        (b"aaaaaaaaaaaaaaaaaaaaaa", r"mine.txt holds 22 times 'a': nothing can be learnt from that"),
        (b"abcabcabc", r"mine.txt has 9 characters: the last tenth of them must be two at least"),
        (b"abcdefghijk", r"of which 9 are trained on: fewer than one window of data.sequence_length=10"),
        ("Bücher, ".encode() * 20 + b"\xff\xfe", "mine.txt is not UTF-8: byte 0xff at byte offset 180"),
        ("Grüße".encode("latin-1") * 9, "mine.txt is not UTF-8: byte 0xfc at byte offset 2"),
        (b"abc\0def" * 9, "mine.txt is no text: it has a NUL byte at byte offset 3"),
        ("hello".encode("utf-16") * 9, "mine.txt is no text: it has a NUL byte"),
    ],
)
def test_a_text_that_cannot_be_learnt_from_is_one_line(content: bytes, words: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=words) as caught:
        build("data", "text", text_file(tmp_path, content)).load()
    assert "\n" not in str(caught.value)


def test_a_missing_text_and_a_folder_are_one_line(tmp_path: Path) -> None:
    for path, words in ((tmp_path / "none.txt", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(DataError, match=f"cannot read {path}: {words}"):
            build("data", "text", {"path": str(path)}).load()


def test_line_ends_and_byte_order_mark_are_read_as_on_any_machine(tmp_path: Path) -> None:
    data = build("data", "text", text_file(tmp_path, b"\xef\xbb\xbf" + b"one\r\ntwo\rthree\n" * 9))
    assert data.read() == "one\ntwo\nthree\n" * 9
    assert "\r" not in data.provides["vocabulary"]


def test_a_text_just_long_enough_is_trained_on(tmp_path: Path, train: Train) -> None:
    (tmp_path / "short.txt").write_bytes(b"hello world, hello")  # 16 of 18 characters: one window of 15
    data = ["data=text", "data.path=short.txt"]
    result = train("model=char_rnn", *data, "data.sequence_length=15", "trainer.max_epochs=2", *QUIET)
    assert result["metrics"]["train/loss"] > 0
    with pytest.raises(DataError, match="fewer than one window"):
        train("model=char_rnn", *data, "data.sequence_length=16", *QUIET)


# --- generating ------------------------------------------------------------------------------------------


def test_generating_streams_one_step_per_character() -> None:
    net = char_rnn().eval()
    steps = []
    net.layers.register_forward_hook(lambda module, inputs, outputs: steps.append(inputs[0].shape[1]))
    stream = net.generate("abc", 10**9)
    assert steps == []
    first = list(itertools.islice(stream, 4))
    assert len(first) == 4 and set(first) <= set("abcde")
    assert steps == [3, 1, 1, 1]  # the prompt at once, then one character each: the state is kept


def test_greedy_generation_is_the_likeliest_given_the_whole_text() -> None:
    net = char_rnn(seed=3, hidden_size=20).eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(4)
    for options in ({"temperature": 0.0}, {"top_k": 1}, {"temperature": 1e-6}):
        text = "ab"
        for character in net.generate("ab", 30, **options):
            assert character == net.vocabulary[int(net(net.encode(text)[None])[0, -1].argmax())]
            text += character


def test_temperature_and_top_k_shape_what_is_drawn() -> None:
    net = char_rnn().eval()
    with torch.no_grad():
        net.output.weight.zero_()
        net.output.bias.copy_(torch.tensor([0.0, 1.0, 2.0, 3.0, -9.0]))
    prompts = net.encode("a").repeat(20_000, 1)

    def shares(**options: Any) -> Tensor:
        (drawn,) = net.sample(prompts, 1, generator=torch.Generator().manual_seed(0), **options)
        return drawn.bincount(minlength=5) / len(drawn)

    logits = net.output.bias.detach()
    for temperature in (0.5, 1.0, 2.0):
        expected = (logits / temperature).softmax(0)
        torch.testing.assert_close(shares(temperature=temperature), expected, rtol=0, atol=0.015)
    best = logits.masked_fill(logits < 2, -torch.inf).softmax(0)
    torch.testing.assert_close(shares(top_k=2), best, rtol=0, atol=0.015)
    assert shares(top_k=99).count_nonzero() >= 4


def test_the_same_generator_draws_the_same_text() -> None:
    net = char_rnn().eval()
    one, two = ("".join(net.generate("a", 50, generator=torch.Generator().manual_seed(7))) for _ in range(2))
    assert one == two


@pytest.mark.parametrize("bias", [math.nan, math.inf, -math.inf])
def test_a_forget_bias_that_is_no_number_is_refused(bias: float) -> None:
    with pytest.raises(ValueError, match=f"forget_bias must be a finite number, got {bias}"):
        recurrent_layers("lstm", 2, 3, forget_bias=bias)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("xay!", 5), r"the vocabulary lacks '!', 'x', 'y'; it has 'abcde'"),
        (("", 5), "prompt must hold at least one character"),
        (("a", -1), "length must be >= 0, temperature a finite number >= 0"),
        (("a", 5, -0.5), "temperature a finite number >= 0"),
        (("a", 5, math.nan), "temperature a finite number >= 0"),
        (("a", 5, 1.0, 0), "top_k >= 1 or None, got length=5, temperature=1.0, top_k=0"),
    ],
)
def test_a_bad_prompt_is_refused_at_the_call(arguments: tuple[Any, ...], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        char_rnn().generate(*arguments)


def test_the_vocabulary_travels_with_the_checkpoint(train: Train) -> None:
    result = train("model=char_rnn", "data=text", TEXT, "trainer.max_epochs=1", "data.batch_size=4", *QUIET)
    net = zoo.load(result["checkpoint"])
    assert net.vocabulary == "".join(sorted(set((ROOT / "LICENSE").read_text()))) == net.card["transform"]["vocabulary"]
    assert len("".join(net.generate("Permission", 20))) == 20


def test_another_text_or_vocabulary_is_not_mistaken_for_the_same(
    train: Train, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run = ["model=char_rnn", "data=text", "data.path=mine.txt", "data.sequence_length=10", "run_dir=run", *QUIET]
    Path("mine.txt").write_text("hello world, " * 20)
    result = train(*run, "trainer.max_epochs=1")
    Path("run/result.json").unlink()
    Path("mine.txt").write_text("world, hello " * 20)  # the same characters
    with pytest.raises(CheckpointError, match="was trained with fingerprint="):
        train(*run, "trainer.max_epochs=2", "ckpt_path=last")
    Path("mine.txt").write_text("jello world, " * 20)  # as many characters
    with pytest.raises(CheckpointError, match="its vocabulary is ' ,dehlorw', the network's ' ,dejlorw'"):
        train(*run[:-4], "run_dir=other", f"pretrained={result['checkpoint']}", *QUIET)
    with pytest.raises(ConfigError, match="vocabulary 'abcdefghi' against ' ,dejlorw'; leave vocabulary away"):
        train(*run[:-4], "run_dir=other", "model.vocabulary=abcdefghi", *QUIET)


def test_a_text_of_any_script_is_drawn_and_told(train: Train, capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine.txt").write_text("na\u00efve \U0001f600 \u6f22\u5b57 $x$ \x1b[2J " * 30)
    train("model=char_rnn", "data=text", "data.path=mine.txt", "trainer.max_epochs=1", "logger=csv")
    assert "\x1b" not in capsys.readouterr().err


def test_what_it_writes_is_kept_after_each_validation(train: Train, capsys: pytest.CaptureFixture[str]) -> None:
    train("model=char_rnn", "data=text", TEXT, "data.batch_size=4", "data.sequence_length=22", "run_dir=run",
          "trainer.max_epochs=3", "logger=csv", "figures=false")  # fmt: skip
    reports = sorted(Path("run/reports").iterdir())
    assert [path.name for path in reports] == ["0000000.txt", "0000011.txt", "0000022.txt", "0000033.txt"]
    assert all(len(path.read_text()) == 401 for path in reports)
    assert reports[-1].read_text() in capsys.readouterr().err


# --- number by number ------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", ["lecture", "pytorch"])
@pytest.mark.parametrize("text", ["abac", "bach"])
def test_bptt_by_hand_is_autograd_summed_over_time(text: str, variant: str) -> None:
    data = build("data", "abc", {"text": text})
    data.load()
    net = char_rnn(vocabulary=data.vocabulary, cell="rnn", hidden_size=3, implementation="reference", variant=variant)
    loss = net.loss(data.train)["loss"]
    loss.backward()
    x, targets = data.train
    by_hand = bptt(net, x[0], targets[0])
    assert float(by_hand.losses.mean()) == pytest.approx(float(loss.detach()), abs=1e-6)
    torch.testing.assert_close(by_hand.y, net(x)[0].detach(), rtol=0, atol=1e-6)
    pairs = {"Whx": net.layers.weight_ih_l0, "Whh": net.layers.weight_hh_l0, "Wyh": net.output.weight}
    pairs["bh"] = net.layers.bias_ih_l0
    for name, parameter in pairs.items():
        torch.testing.assert_close(by_hand.gradients[name].sum(0), parameter.grad, rtol=0, atol=1e-6)
        assert not torch.allclose(by_hand.gradients[name][-1], parameter.grad, atol=1e-4)  # one step alone is not it
    assert x.shape == (1, 4)  # I34: sequence length 4, batch size 1


def test_the_numbers_printed_are_the_numbers() -> None:
    data = build("data", "abc", {})
    data.load()
    net = char_rnn(vocabulary="abc", cell="rnn", hidden_size=3, implementation="reference", variant="lecture")
    text = data.report(net, 0)
    numbers = bptt(net, *(part[0] for part in data.train))
    for value in [*numbers.h.flatten(), *numbers.y.flatten(), *numbers.losses]:
        assert f"{float(value):.4f}" in text
    for parts in numbers.gradients.values():
        for value in [*parts.flatten(), *parts.sum(0).flatten()]:
            assert f"{float(value):.1e}" in text


def test_what_is_too_wide_or_another_cell_is_not_narrated() -> None:
    x = torch.zeros(1, 3, dtype=torch.int64)
    small = [{"cell": cell, "hidden_size": 3, "implementation": "reference"} for cell in ("lstm", "gru", "irnn")]
    embedded = {"cell": "rnn", "hidden_size": 3, "embedding_dim": 2}
    for arguments in (*small, {"cell": "lstm"}, {"cell": "rnn"}, embedded):
        assert narrate(char_rnn(**arguments), x, x) is None
    assert narrate(char_rnn(cell="rnn", hidden_size=3).double(), x, x) is not None


def test_one_hot_times_matrix_is_a_row_of_the_embedding() -> None:
    """S30, I34."""
    net = char_rnn(embedding_dim=4)
    x = torch.tensor([[0, 3, 4]])
    assert torch.equal(F.one_hot(x, 5).float() @ net.embedding.weight, net.embed(x))


# --- tasks and figures -----------------------------------------------------------------------------------


def test_recall_asks_for_the_symbol_before_the_gap() -> None:
    data = build("data", "recall", {"gaps": [0, 2, 5], "train_size": 90})
    data.load()
    for part, size in (("train", 90), ("val", 9), ("test", 1500)):
        x, symbols = getattr(data, part)
        assert x.shape == (size, 8)
        gaps = [gap for gap in (0, 2, 5) for _ in range(size // 3)]
        for row, symbol, gap in zip(x.tolist(), symbols.tolist(), gaps, strict=True):
            assert row[: 6 - gap] == [8] * (6 - gap) and row[-1] == 9
            assert row[6 - gap] == symbol and max(row[6 - gap : -1]) < 8


def test_adding_has_two_marks_and_their_sum() -> None:
    data = build("data", "adding", {"length": 9, "train_size": 2000})
    data.load()
    x, targets = data.train
    assert torch.equal(x[:, :, 1].sum(1), torch.full((2000,), 2.0))
    assert (x[:, :4, 1].sum(1) == 1).all()
    torch.testing.assert_close((x[:, :, 0] * x[:, :, 1]).sum(1), targets)
    assert float((targets - 1).square().mean()) == pytest.approx(1 / 6, abs=0.01)


def test_an_lstm_learns_to_add_and_says_so(train: Train) -> None:
    net = ["model=sequence_rnn", "model.hidden_size=32", "optimizer.lr=0.01", "optimizer.schedule=cosine"]
    result = train(*net, "data=adding", "data.length=12", "trainer.max_epochs=6", *QUIET)
    assert result["metrics"]["test/loss"] < 0.03  # 0.167 by always answering 1


def test_gradient_by_lag_of_a_linear_net_is_a_straight_line() -> None:
    """R11: with a recurrent matrix of 0.9 times the identity, 50 steps back are worth 0.9^50 = 0.0052."""
    net = zoo.create("sequence_rnn", num_classes=0, vocab_size=0, in_features=2, cell="irnn", hidden_size=2)
    with torch.no_grad():
        net.layers.weight_hh_l0.mul_(0.9)
        net.layers.weight_ih_l0.fill_(0.1)
        net.output.weight.fill_(1.0)
    data = build("data", "adding", {"length": 51})
    data.load()
    curve = gradient_by_lag(net, data)
    assert [lag for lag, _ in curve] == list(range(51))
    assert curve[50][1] / curve[0][1] == pytest.approx(0.9**50, rel=1e-4)
    assert 0.9**50 == pytest.approx(0.0052, abs=5e-5)


@pytest.mark.parametrize(
    ("overrides", "names"),
    [
        (["model=char_rnn", "data=text", TEXT], {"learning_curves", "gradient_by_lag", "hidden_units"}),
        (["model=char_rnn", "model.cell=rnn", "model.implementation=reference", "data=abc"],
         {"learning_curves", "gradient_by_lag"}),
        (["model=sequence_rnn", "data=recall", "data.gaps=[1,4]", "data.train_size=100"],
         {"learning_curves", "gradient_by_lag", "accuracy_by_gap"}),
        (["model=sequence_rnn", "model.bidirectional=true", "data=adding", "data.train_size=100"],
         {"learning_curves"}),
    ],
)  # fmt: skip
def test_the_figures_of_recurrent_nets(overrides: list[str], names: set[str], train: Train) -> None:
    result = train(*overrides, "trainer.max_epochs=1", "logger=csv", "run_dir=run")
    assert {Path(path).stem for path in result["figures"]} == names
    written = {path.stem for path in Path("run/figures").glob("*.csv")}
    assert written == names & {"gradient_by_lag", "accuracy_by_gap"}


# --- tunes -----------------------------------------------------------------------------------------------

TUNE = """X:1
T:Test
M:6/8
L:1/8
K:D Major
A|dfa afd|gfe (3def g2 A|d3/2e/f [Ad]3|"D"~d3 d2:|!"""


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("", "", None),
        ("T:Test\n", "", "header fields"),
        ("M:6/8", "M:six", "header fields"),
        ("K:D Major", "K:H Major", "header fields"),
        ("M:6/8\nL:1/8", "L:1/8\nM:6/8", "header fields"),
        ("afd", "aXd", "no notes or bars: 'Xd"),
        ("afd", "a/0fd", "no notes or bars: '0fd"),
        ("M:6/8", "M:6/0", "header fields"),
        ("L:1/8", "L:1/0", "header fields"),
        ("X:1\nT:Test\nM:6/8", "X:1T:TestM:6/8", "header fields"),
        (":|!", "[CE]!", "does not end with a bar line"),
        (":|!", "[K:D]!", "does not end with a bar line"),
        (":|!", "", "does not end with a bar line"),
        ("A|dfa afd|gfe (3def g2 A|d3/2e/f [Ad]3|", "", "fewer than two bar lines"),
    ],
)
def test_a_tune_parses_or_its_fault_is_named(old: str, new: str, words: str | None) -> None:
    found = problem(TUNE.replace(old, new))
    assert (found is None) if words is None else words in found


def test_bars_are_measured_against_the_metre() -> None:
    assert full_bars(TUNE) == (2, 3)  # dfa afd is full; the second has 7 eighths; the third is full
    lengths = {"A": 1, "A2": 2, "A/": 0.5, "A//": 0.25, "A3/2": 1.5, "^c'2": 2, "[CE]2": 2, "[C2E2]": 2, "=B,,3": 3}
    assert {text: float(note_length(text)) for text in lengths} == lengths


# --- reviews ---------------------------------------------------------------------------------------------


@needs("reviews")
def test_a_trained_network_is_asked_about_other_reviews(train: Train) -> None:
    """S40; the vocabulary and the name of the tokenizer come out of the checkpoint."""
    from zoo.data.words import encode

    net = ["model=sequence_rnn", "model.embedding_dim=8", "model.hidden_size=8"]
    data = ["data=reviews", "data.max_length=20", "data.vocab_size=500", "data.batch_size=200"]
    result = train(*net, *data, "trainer.max_epochs=1", *QUIET)
    assert 0.5 < result["metrics"]["test/acc_bag_of_words"] == result["metrics"]["before/acc_bag_of_words"]
    net = zoo.load(result["checkpoint"])
    transform = net.card["transform"]
    assert transform["vocabulary"][:2] == ["<pad>", "<unk>"] and len(transform["vocabulary"]) == 500
    x, lengths = encode(["What a good film, xyzzyx!", "", "bad " * 30], transform)
    assert lengths.tolist() == [7, 1, 20] and x.shape == (3, 20)
    assert [transform["vocabulary"][i] for i in x[0, :7]] == ["what", "a", "good", "film", ",", "<unk>", "!"]
    assert net(x, lengths).shape == (3, 1)


def test_the_readable_cells_refuse_packed_sequences() -> None:
    net = zoo.create(
        "sequence_rnn", num_classes=2, vocab_size=5, in_features=0, implementation="reference", bidirectional=True
    )
    with pytest.raises(ValueError, match="reading from both ends needs implementation=fused"):
        net(torch.zeros(2, 3, dtype=torch.int64), torch.tensor([2, 3]))


def test_torchtext_is_imported_for_words_only() -> None:
    code = "import sys, zoo; zoo.list_models(); assert not {'torchtext', 'requests'} & set(sys.modules)"
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, cwd=ROOT)
