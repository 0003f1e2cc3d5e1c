"""Calculations number by number: every value, gradient and update against PyTorch, and what is written of them."""

import json
import math
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from conftest import Told
from torch import Tensor, nn

import zoo
from zoo.errors import ConfigError
from zoo.lectures import bptt
from zoo.lectures.terms import above, entry, leaf, log, row_sums, sqrt, total
from zoo.lectures.trace import Trace
from zoo.lectures.traces import TRACES, trace
from zoo.lectures.writing import Style, figure, line, named

Numbers = dict[str, Tensor]
PLAIN, LATEX = Style(latex=False, numbers=True, inline=True), Style(latex=True, numbers=True)


@pytest.fixture(params=list(TRACES))
def board(request: pytest.FixtureRequest) -> Trace:
    return trace(request.param)


# --- the same by PyTorch, forward only: autograd does the rest ----------------------------------------------------


def xor(n: Numbers) -> None:
    n["z1"] = n["w11"] * n["x1"] + n["w12"] * n["x2"] + n["b1"]
    n["z2"] = n["w21"] * n["x1"] + n["w22"] * n["x2"] + n["b2"]
    n["h1"], n["h2"] = torch.sigmoid(n["z1"]), torch.sigmoid(n["z2"])
    n["z"] = n["v1"] * n["h1"] + n["v2"] * n["h2"] + n["c"]
    n["y"] = torch.sigmoid(n["z"])
    n["J"] = F.mse_loss(n["y"], n["t"], reduction="sum") / 2


def chain(n: Numbers) -> None:
    n["z1"] = torch.sigmoid(n["w1"] * n["x"])
    n["y"] = n["w2"] * n["z1"]
    n["J"] = F.mse_loss(n["y"], n["t"]) / 2


def rnn(n: Numbers) -> None:
    for t in (1, 2, 3):
        n[f"z{t}"] = F.linear(n[f"x{t}"], n["Whx"], n["bh"]) + F.linear(n[f"h{t - 1}"], n["Whh"])
        n[f"h{t}"] = torch.tanh(n[f"z{t}"])
        n[f"y{t}"] = F.linear(n[f"h{t}"], n["Wyh"])
        n[f"p{t}"] = n[f"y{t}"].softmax(0)
        n[f"L{t}"] = F.cross_entropy(n[f"y{t}"], n[f"t{t}"])
    n["L"] = torch.stack([n[f"L{t}"] for t in (1, 2, 3)]).mean()


def through_time(n: Numbers) -> None:
    for t in (1, 2, 3):  # the weights of each step for themselves, so that each has a gradient of its own
        n[f"u{t}"], n[f"w{t}"] = n["u"] * 1, n["w"] * 1
        n[f"h{t}"] = torch.tanh(n[f"w{t}"] * n[f"x{t}"] + n[f"u{t}"] * n[f"h{t - 1}"])
    n["J"] = F.mse_loss(n["h3"], n["t"]) / 2


def lstm(n: Numbers) -> None:
    n["v"] = torch.stack([n["h0"], n["x1"]])
    squash = {"f": torch.sigmoid, "i": torch.sigmoid, "g": torch.tanh, "o": torch.sigmoid}
    for gate, function in squash.items():
        n[f"z_{gate}"] = n[f"W_{gate}"] @ n["v"] + n[f"b_{gate}"]
        n[gate] = function(n[f"z_{gate}"])
    n["c1"] = n["f"] * n["c0"] + n["i"] * n["g"]
    n["h1"] = n["o"] * torch.tanh(n["c1"])
    n["J"] = F.mse_loss(n["h1"], n["t"]) / 2


def attention(n: Numbers) -> None:
    for name in "QKV":
        n[name] = n["X"] @ n[f"W_{name}"]
    n["S"] = n["Q"] @ n["K"].T
    n["Z"] = n["S"] / math.sqrt(2)
    n["A"] = n["Z"].softmax(1)
    n["O"] = n["A"] @ n["V"]
    n["J"] = F.mse_loss(n["O"], n["T"], reduction="sum") / 2


def convolution(n: Numbers) -> None:
    n["y"] = F.conv2d(n["x"][None, None], n["w"][None, None])[0, 0]
    n["y_11"], n["y_12"] = n["y"][0, 0], n["y"][0, 1]
    n["J"] = F.mse_loss(n["y"], n["t"], reduction="sum") / 2


FORWARD: dict[str, Callable[[Numbers], None]] = {
    "xor": xor, "chain": chain, "rnn": rnn, "bptt": through_time, "lstm": lstm, "attention": attention,
    "convolution": convolution,
}  # fmt: skip


def run(board: Trace, changed: Numbers | None = None) -> Numbers:
    """The starting numbers, or what they were changed to, and all that PyTorch makes of them."""
    given = {step.symbol: step.value for step in board.steps if step.part == "given"} | (changed or {})
    numbers = {symbol: value.clone().requires_grad_() for symbol, value in given.items()}
    FORWARD[board.name](numbers)
    return numbers


def close(found: Tensor, wanted: Tensor) -> None:
    assert found.dtype == torch.float64 and found.shape == wanted.shape
    torch.testing.assert_close(found, wanted.detach(), rtol=0, atol=1e-12)


# --- values -------------------------------------------------------------------------------------------------------


def test_every_value_of_the_forward_pass_is_pytorchs(board: Trace) -> None:
    numbers = run(board)
    forward = board.parts()["forward"]
    assert len(forward) >= 3
    for step in forward:
        close(step.value, numbers[step.symbol])


def test_every_derivative_is_autograds(board: Trace) -> None:
    numbers, seen = run(board), 0
    for step in board.steps:
        if not (parts := re.fullmatch(r"d(\w+)/d(\w+)", step.symbol)) or step.symbol == "dJ/dw_11":
            continue
        above, below = parts.groups()
        (gradient,) = torch.autograd.grad(numbers[above], numbers[below], retain_graph=True)
        close(step.value, gradient)
        seen += 1
    assert seen >= 3


def test_every_update_goes_down_the_gradient(board: Trace) -> None:
    numbers = run(board)
    loss = "L" if board.name == "rnn" else "J"
    new = {step.symbol[:-4]: step.value for step in board.steps if step.symbol.endswith(" new")}
    after = new.pop(loss)
    for symbol, value in new.items():
        (gradient,) = torch.autograd.grad(numbers[loss], numbers[symbol], retain_graph=True)
        assert gradient.abs().max() > 1e-3  # there is something to learn
        close(value, numbers[symbol] - numbers["eta"] * gradient)
    close(after, run(board, new)[loss])
    assert after < numbers[loss]


def test_the_terms_of_bptt_are_the_gradients_of_each_step() -> None:
    board = trace("bptt")
    numbers = run(board)
    for step in (step for step in board.steps if re.fullmatch(r"[uw][123]", step.symbol)):
        (gradient,) = torch.autograd.grad(numbers["J"], numbers[step.symbol], retain_graph=True)
        close(step.value, gradient)
    for t in (1, 2, 3):
        assert board[f"s{t}"] == pytest.approx(1 - board[f"h{t}"] ** 2, abs=1e-12)


def test_the_three_letters_are_those_of_bptt_by_hand() -> None:
    board = trace("rnn")
    net = zoo.create("char_rnn", vocabulary="abc", cell="rnn", hidden_size=3, implementation="reference",
                     variant="lecture")  # fmt: skip
    names = {"layers.weight_ih_l0": "Whx", "layers.weight_hh_l0": "Whh", "output.weight": "Wyh"}
    names["layers.bias_ih_l0"] = "bh"
    weights = {name: torch.tensor(board[symbol]) for name, symbol in names.items()}
    net.load_state_dict(weights)
    found = bptt.bptt(net, net.encode("aba"), net.encode("bac"))
    for t in (1, 2, 3):
        rows = {"h": found.h, "p": found.p, "dL/dy": found.dy, "dL/dh": found.dh, "dL/dz": found.dz}
        for symbol, row in rows.items():
            torch.testing.assert_close(row[t - 1], torch.tensor(board[f"{symbol}{t}"]), rtol=0, atol=1e-6)
    for symbol, parts in found.gradients.items():
        torch.testing.assert_close(parts.sum(0), torch.tensor(board[f"dL/d{symbol}"]), rtol=0, atol=1e-6)


def test_the_lstm_is_pytorchs_cell() -> None:
    board, cell = trace("lstm"), nn.LSTMCell(1, 1, dtype=torch.float64)
    weights = torch.tensor([board[f"W_{gate}"] for gate in "ifgo"], dtype=torch.float64)  # (4, 2): of h, of x
    biases = torch.tensor([board[f"b_{gate}"] for gate in "ifgo"], dtype=torch.float64)
    values = {"weight_hh": weights[:, :1], "weight_ih": weights[:, 1:], "bias_ih": biases, "bias_hh": 0 * biases}
    cell.load_state_dict(values)
    x, h, c = (torch.tensor([[board[symbol]]], dtype=torch.float64) for symbol in ("x1", "h0", "c0"))
    h, c = cell(x, (h, c))
    assert h.item() == pytest.approx(board["h1"], abs=1e-12) and c.item() == pytest.approx(board["c1"], abs=1e-12)


def test_the_attention_is_pytorchs() -> None:
    board = trace("attention")
    q, k, v = (torch.tensor(board[name], dtype=torch.float64) for name in "QKV")
    close(torch.tensor(board["O"], dtype=torch.float64), F.scaled_dot_product_attention(q, k, v))


def test_the_convolution_is_the_lectures() -> None:
    board = trace("convolution")
    assert board["y"] == [[4, 3, 4], [2, 4, 3], [2, 3, 4]]
    assert board["dJ/dw_11"] == board["dJ/dw"][0][0] == 4


def test_steps_set_by_hand_solve_xor_and_a_small_change_is_the_derivative() -> None:
    assert trace("xor")["s"] == trace("xor")["t"] == [0, 1, 1, 0]
    board = trace("chain")
    assert board["q"] == pytest.approx(board["dJ/dw2"], abs=0.005) and board["q"] != board["dJ/dw2"]


# --- what is written ----------------------------------------------------------------------------------------------


def test_the_text_can_be_read(board: Trace) -> None:
    lines = board.text().splitlines()
    assert len(lines) <= 60 and max(map(len, lines)) <= 100
    assert board.title in lines[0] and board.source in lines[0] and lines[1] == board.note
    for step in board.steps:
        assert f"{step.symbol} = " in board.text() or f" {step.symbol} " in board.text()
    assert len({step.symbol for step in board.steps if step.symbol != "J new"}) >= len(board.steps) - 2


def worked_out(numbers: str) -> Tensor:
    """What a row of numbers comes to: [1 0; 0 1] is a matrix, a matrix before another is multiplied with it."""
    known = {"sigmoid": torch.sigmoid, "tanh": torch.tanh, "log": torch.log, "sqrt": torch.sqrt, "sum": torch.sum}
    known |= {"softmax": lambda z: z.softmax(-1), "rowsums": lambda a: a.sum(-1, keepdim=True), "t": read}
    known["conv"] = lambda x, w: F.conv2d(x[None, None], w[None, None])[0, 0]
    numbers = numbers.replace("^", "**").replace("] [", "] @ [")
    numbers = re.sub(r"\[([^\[\]]*)\]|(?<![\w*.])(\d[\d.e-]*)", lambda part: f"t('{part[1] or part[2]}')", numbers)
    return eval(numbers, known)


def read(figures: str) -> Tensor:
    rows = [[float(number) for number in row.split()] for row in figures.split("; ")]
    value = torch.tensor(rows, dtype=torch.float64)
    return value if len(rows) > 1 else value[0] if " " in figures else value[0, 0]


def test_the_numbers_put_in_come_to_the_value(board: Trace) -> None:
    steps = [step for step in board.to_dict()["steps"] if step["numbers"] and " > " not in step["numbers"]]
    assert len(steps) >= 8
    for step in steps:
        value = torch.tensor(step["value"], dtype=torch.float64)
        torch.testing.assert_close(worked_out(step["numbers"]), value, rtol=0, atol=0.004)


def test_everything_becomes_json(board: Trace) -> None:
    found = json.loads(json.dumps(board.to_dict()))
    assert (found["name"], found["title"], found["source"]) == (board.name, board.title, board.source)
    assert len(found["steps"]) == len(board.steps)
    for step, kept in zip(board.steps, found["steps"], strict=True):
        assert kept["value"] == step.value.tolist() and bool(kept["formula"]) == (step.term is not None)
        assert kept.keys() == {"part", "what", "symbol", "formula", "numbers", "latex", "value"}


def test_the_latex_is_balanced(board: Trace) -> None:
    text = board.latex()
    depth = 0
    for brace in re.findall(r"(?<!\\)[{}]", text):
        depth += 1 if brace == "{" else -1
        assert depth >= 0
    assert depth == 0 and text.count(r"\left(") == text.count(r"\right)")
    open_environments = []
    for verb, environment in re.findall(r"\\(begin|end)\{([a-z*]+)\}", text):
        if verb == "begin":
            open_environments.append(environment)
        else:
            assert open_environments.pop() == environment
    assert not open_environments
    assert text.count(r"\begin{align*}") == len(board.parts())
    outside = re.sub(r"(?s)\\begin\{align\*\}.*?\\end\{align\*\}|%[^\n]*", "", text)
    assert not re.search(r"(?<!\\)[_^&#$]", outside)


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="no LaTeX here")
def test_the_latex_compiles(tmp_path: Path) -> None:
    body = "\n\n".join(trace(name).latex() for name in TRACES)
    document = rf"\documentclass{{article}}\usepackage{{amsmath}}\begin{{document}}{body}\end{{document}}"
    (tmp_path / "all.tex").write_text(document)
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "all.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0 and (tmp_path / "all.pdf").stat().st_size > 20_000, done.stdout[-1000:]


def test_all_are_listed(told: Told) -> None:
    rows = json.loads(told("trace", "--json")[1])
    assert [row["name"] for row in rows] == list(TRACES)
    assert "lstm         One step of an LSTM (Barcelona, slides 27-30)" in told("trace")[1].splitlines()
    assert told("trace", "XOR", "--format", "LaTeX")[1] == trace("xor").latex() + "\n"


def test_an_unknown_name_is_one_line_that_names_the_valid_ones() -> None:
    with pytest.raises(ConfigError, match=r"unknown trace 'lstn' \(did you mean 'lstm'\?\); valid: xor, chain, rnn"):
        trace("lstn")


# --- terms --------------------------------------------------------------------------------------------------------


def test_terms_are_written_as_on_a_board() -> None:
    a, b, v, m = leaf("a", -2), leaf("b1", 3), leaf("v", [1, -2]), leaf("M", [[1, 0.5], [0, -1]])
    expected = [
        (a + b, "-2 + 3", "-2 + 3"),
        (b + a, "3 - 2", "3 - 2"),
        (b - a, "3 - (-2)", "3 - (-2)"),
        (b - (a - b), "3 - (-2 - 3)", "3 - (-2 - 3)"),
        (b * a, "3*(-2)", r"3 \cdot (-2)"),
        (b * (1 - a), "3*(1 - (-2))", r"3 \cdot (1 - (-2))"),
        (a**2, "(-2)^2", "(-2)^2"),
        (-log(b), "-log(3)", r"-\log(3)"),
        (b / sqrt(b), "3 / sqrt(3)", r"\frac{3}{\sqrt{3}}"),
        (a / (b * b), "-2 / (3*3)", r"\frac{-2}{3 \cdot 3}"),
        (total(v * v), "1*1 - 2*(-2)", r"1 \cdot 1 - 2 \cdot (-2)"),
        (entry(v, 1) * b, "-2*3", r"-2 \cdot 3"),
        (m.T, "[1 0; 0.5 -1]", r"\begin{bmatrix} 1 & 0 \\ 0.5 & -1 \end{bmatrix}"),
        (row_sums(m), "rowsums([1 0.5; 0 -1])", None),
        (above(v, 0.5), "[[1 -2] > 0.5]", None),
    ]
    for term, plain, latex in expected:
        assert line(term, PLAIN) == plain
        assert latex is None or line(term, LATEX) == latex
    assert line(b * (1 - a), PLAIN._replace(numbers=False)) == "b1 (1 - a)"
    assert line(v * v, LATEX._replace(numbers=False)) == r"v \odot v"
    assert (b - (a - b)).value == 8 and row_sums(m).value.tolist() == [[1.5], [-1]]


@pytest.mark.parametrize(
    "name, latex",
    [
        ("w11", "w_{11}"), ("h_2", "h_2"), ("Whx", "W_{hx}"), ("eta", r"\eta"), ("J", "J"),
        ("dJ/dW_Q", r"\frac{\partial J}{\partial W_Q}"), ("w1 new", r"w_1^{\text{new}}"),
    ],
)  # fmt: skip
def test_names_in_latex(name: str, latex: str) -> None:
    assert named(name, latex=True) == latex and named(name, latex=False) == name


def test_numbers_have_four_decimals_and_small_ones_two_digits() -> None:
    plain, latex = Style(latex=False, numbers=True), Style(latex=True, numbers=True)
    for number, text in ((0.123456, "0.1235"), (2.0, "2"), (-0.5, "-0.5"), (1e-17, "0"), (0.00002461, "2.5e-05")):
        assert figure(number, plain) == text
    assert figure(0.00002461, latex) == r"2.5 \cdot 10^{-5}" and figure(100.0, latex) == "100"
