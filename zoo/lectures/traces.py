"""Small networks calculated number by number: forward, backward, update; `zoo trace NAME`.

Each function writes one calculation, in the order of the board. The derivatives are written out by hand. Here stand the
networks without a memory; those with one are in traces_recurrent.py.
"""

from collections.abc import Callable

from zoo.errors import ConfigError
from zoo.lectures.terms import (
    HALF,
    Term,
    above,
    conv,
    flipped,
    padded,
    row_sums,
    sigmoid,
    softmax,
    sqrt,
    total,
    window,
)
from zoo.lectures.trace import Trace
from zoo.lectures.traces_recurrent import bptt, lstm, rnn
from zoo.registry import nearest


def xor() -> Trace:
    """Two inputs, two hidden neurons, one output, all sigmoids: one step on the four patterns of XOR."""
    board = Trace(
        "xor",
        title="XOR: a 2-2-1 network, one step of gradient descent",
        source="Cyprus, slide 3",
        note="In brackets the four patterns: 00, 01, 10, 11. J is the sum of their halved squared errors.",
        decimals=3,
    )
    x1, x2 = board.given("x1", [0, 0, 1, 1]), board.given("x2", [0, 1, 0, 1])
    t, eta = board.given("t", [0, 1, 1, 0]), board.given("eta", 1)
    start = {"w11": 1, "w12": -1, "b1": 0, "w21": 1, "w22": 1, "b2": -1, "v1": 2, "v2": -1, "c": 0}
    weights = {symbol: board.given(symbol, value) for symbol, value in start.items()}

    def forward(
        board: Trace, w11: Term, w12: Term, b1: Term, w21: Term, w22: Term, b2: Term, v1: Term, v2: Term, c: Term
    ) -> tuple[Term, ...]:
        z1 = board.let("z1", w11 * x1 + w12 * x2 + b1, "unit 1")
        h1 = board.let("h1", sigmoid(z1))
        z2 = board.let("z2", w21 * x1 + w22 * x2 + b2, "unit 2")
        h2 = board.let("h2", sigmoid(z2))
        z = board.let("z", v1 * h1 + v2 * h2 + c, "output")
        y = board.let("y", sigmoid(z))
        return h1, h2, y, board.let("J", HALF * total((y - t) ** 2), "loss")

    board.part = "forward"
    h1, h2, y, _ = forward(board, **weights)

    board.part = "backward"
    gradients = {}

    def derive(symbol: str, term: Term, what: str = "") -> None:
        gradients[symbol] = board.let(f"dJ/d{symbol}", term, what)

    dy = board.let("dJ/dy", y - t, "error")
    sy = board.let("sy", y * (1 - y), "slope")
    dz = board.let("dJ/dz", dy * sy)
    derive("v1", total(dz * h1), "weights")
    derive("v2", total(dz * h2))
    derive("c", total(dz))
    for unit, h in (("1", h1), ("2", h2)):
        dh = board.let(f"dJ/dh{unit}", weights[f"v{unit}"] * dz, f"unit {unit}")
        sh = board.let(f"sh{unit}", h * (1 - h), "slope")
        dz_unit = board.let(f"dJ/dz{unit}", dh * sh)
        derive(f"w{unit}1", total(dz_unit * x1))
        derive(f"w{unit}2", total(dz_unit * x2))
        derive(f"b{unit}", total(dz_unit))

    board.part = "update"
    new = {symbol: board.let(f"{symbol} new", w - eta * gradients[symbol]) for symbol, w in weights.items()}
    board.found("J new", forward(board.scratch(), **new)[-1], "the loss falls")

    board.part = "with steps instead of sigmoids the weights can be set by hand"
    s1 = board.let("s1", above(x1 + x2, 0.5), "one or both")
    s2 = board.let("s2", above(x1 + x2, 1.5), "both")
    board.let("s", above(s1 - s2, 0.5), "one, not both")
    return board


def chain() -> Trace:
    """One input, one hidden neuron, one output: the chain rule with a number for every factor."""
    board = Trace(
        "chain",
        title="The chain x - z1 - y: every factor of the chain rule",
        source="Shanghai, A small change in one weight",
        note="z1 is a sigmoid neuron, y a linear one, J half the squared error.",
    )
    x, t, eta = board.given("x", 2), board.given("t", 1), board.given("eta", 0.5)
    w1, w2 = board.given("w1", 0.5), board.given("w2", 2)

    def forward(board: Trace, w1: Term, w2: Term) -> tuple[Term, ...]:
        z1 = board.let("z1", sigmoid(w1 * x), "hidden neuron")
        y = board.let("y", w2 * z1, "output")
        return z1, y, board.let("J", HALF * (y - t) ** 2, "loss")

    board.part = "forward"
    z1, y, loss = forward(board, w1, w2)

    board.part = "backward, factor by factor"
    dy = board.let("dJ/dy", y - t, "the loss by y")
    dy_dw2 = board.let("dy/dw2", z1, "y by w2")
    dw2 = board.let("dJ/dw2", dy * dy_dw2, "two factors")
    dy_dz1 = board.let("dy/dz1", w2, "y by z1")
    dz1_dw1 = board.let("dz1/dw1", z1 * (1 - z1) * x, "z1 by w1")
    dw1 = board.let("dJ/dw1", dy * dy_dz1 * dz1_dw1, "three factors")

    board.part = "a small change of w2, to compare with dJ/dw2"
    nudged = board.let("J nudged", HALF * ((w2 + 0.01) * z1 - t) ** 2, "loss with more w2")
    board.let("q", (nudged - loss) / 0.01, "its change")

    board.part = "update"
    w1 = board.let("w1 new", w1 - eta * dw1)
    w2 = board.let("w2 new", w2 - eta * dw2)
    board.found("J new", forward(board.scratch(), w1, w2)[-1], "the loss falls")
    return board


def attention() -> Trace:
    """One head of self-attention on three tokens, and one step for the weights of its queries."""
    board = Trace(
        "attention",
        title="One self-attention head, three tokens",
        source="Shanghai, Attention weighting",
        note="A row for each token; those of A add up to 1. d: width of Q and K. J: half the squared error of O.",
    )
    x = board.given("X", [[1, 0], [0, 1], [1, 1]])
    w_q, w_k = board.given("W_Q", [[1, 0], [1, 1]]), board.given("W_K", [[1, 1], [0, 1]])
    w_v = board.given("W_V", [[1, 0], [0, 2]])
    t, d, eta = board.given("T", [[1, 0], [0, 1], [1, 1]]), board.given("d", 2), board.given("eta", 1)

    def forward(board: Trace, w_q: Term) -> tuple[Term, ...]:
        q = board.let("Q", x @ w_q, "queries")
        k = board.let("K", x @ w_k, "keys")
        v = board.let("V", x @ w_v, "values")
        s = board.let("S", q @ k.T, "scores")
        z = board.let("Z", s / sqrt(d), "scaled")
        a = board.let("A", softmax(z), "weights")
        o = board.let("O", a @ v, "output")
        return q, k, v, a, o, board.let("J", HALF * total((o - t) ** 2), "loss")

    board.part = "forward"
    _, k, v, a, o, _ = forward(board, w_q)

    board.part = "backward"
    do = board.let("dJ/dO", o - t, "error")
    da = board.let("dJ/dA", do @ v.T, "weights")
    m = board.let("m", row_sums(a * da), "mean")
    dz = board.let("dJ/dZ", a * (da - m), "scaled")
    ds = board.let("dJ/dS", dz / sqrt(d), "scores")
    dq = board.let("dJ/dQ", ds @ k, "queries")
    dw_q = board.let("dJ/dW_Q", x.T @ dq)

    board.part = "update"
    w_q = board.let("W_Q new", w_q - eta * dw_q)
    board.found("J new", forward(board.scratch(), w_q)[-1], "the loss falls")
    return board


def convolution() -> Trace:
    """The lecture's image and filter; the gradient of a filter is a convolution too."""
    board = Trace(
        "convolution",
        title="A 3x3 filter on a 5x5 image",
        source="Shanghai, The Convolution Operation",
        note="conv slides the second over the first, multiplies and adds. J is half the squared error.",
    )
    image = [[1, 1, 1, 0, 0], [0, 1, 1, 1, 0], [0, 0, 1, 1, 1], [0, 0, 1, 1, 0], [0, 1, 1, 0, 0]]
    x, w = board.given("x", image), board.given("w", [[1, 0, 1], [0, 1, 0], [1, 0, 1]])
    t, eta = board.given("t", [[3, 3, 3], [3, 3, 3], [3, 3, 3]]), board.given("eta", 0.02)

    def forward(board: Trace, w: Term) -> tuple[Term, Term]:
        y = board.let("y", conv(x, w), "map")
        return y, board.let("J", HALF * total((y - t) ** 2), "loss")

    board.part = "forward"
    board.let("y_11", window(x, w, 0, 0), "top left")
    board.let("y_12", window(x, w, 0, 1), "next")
    y, _ = forward(board, w)

    board.part = "backward"
    dy = board.let("dJ/dy", y - t, "error")
    board.let("dJ/dw_11", window(x, dy, 0, 0), "weight top left")
    dw = board.let("dJ/dw", conv(x, dy), "filter")
    board.let("dJ/dx", conv(padded(dy, 2), flipped(w)), "image")

    board.part = "update"
    w = board.let("w new", w - eta * dw)
    board.found("J new", forward(board.scratch(), w)[-1], "the loss falls")
    return board


TRACES: dict[str, Callable[[], Trace]] = {
    "xor": xor, "chain": chain, "rnn": rnn, "bptt": bptt, "lstm": lstm, "attention": attention,
    "convolution": convolution,
}  # fmt: skip


def trace(name: str) -> Trace:
    """The calculation of that name. Raises ConfigError."""
    if name not in TRACES:
        raise ConfigError(f"unknown trace {name!r}{nearest(name, list(TRACES))}; valid: {', '.join(TRACES)}")
    return TRACES[name]()
