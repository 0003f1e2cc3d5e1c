"""Recurrent networks calculated number by number: three letters, three steps of a chain, one step of an LSTM."""

from zoo.lectures.terms import HALF, Term, entry, joined, log, outer, sigmoid, softmax, tanh, worked
from zoo.lectures.trace import Trace


def rnn() -> Trace:
    """The lecture's three letters and three hidden neurons, as `bptt.py` has them; one update for all."""
    board = Trace(
        "rnn",
        title="An RNN reads a, b, a and should say b, a, c",
        source="Bombay, slides 28-37",
        note="Vectors are written as rows; letters are one-hot. L is the mean loss in nats. The state starts at 0.",
        decimals=3,
    )
    x = [board.given(f"x{t}", letter) for t, letter in enumerate(([1, 0, 0], [0, 1, 0], [1, 0, 0]), 1)]
    targets = [board.given(f"t{t}", letter) for t, letter in enumerate(([0, 1, 0], [1, 0, 0], [0, 0, 1]), 1)]
    h0, eta = board.given("h0", [0, 0, 0]), board.given("eta", 1)
    whx = board.given("Whx", [[1, 0, 0], [0, 1, 0], [0, 0, 1]])
    whh = board.given("Whh", [[0, 1, 0], [0, 0, 1], [1, 0, 0]])
    wyh = board.given("Wyh", [[0, 1, 0], [1, 0, 0], [0, 1, 1]])
    bh = board.given("bh", [0, 0, 0])

    def forward(board: Trace, whx: Term, whh: Term, wyh: Term, bh: Term) -> tuple[list[Term], list[Term], Term]:
        h, p, losses = [h0], [], []
        for t in (1, 2, 3):
            z = worked(whx @ x[t - 1]) + worked(whh @ h[-1]) + bh
            h.append(board.let(f"h{t}", tanh(z), f"step {t}"))
            p.append(board.let(f"p{t}", softmax(worked(wyh @ h[-1]))))
            losses.append(board.let(f"L{t}", -log(entry(p[-1], int(targets[t - 1].value.argmax())))))
        return h, p, board.let("L", (losses[0] + losses[1] + losses[2]) / 3, "mean")

    board.part = "forward"
    h, p, _ = forward(board, whx, whh, wyh, bh)

    board.part = "backward, from the last step to the first"
    dy: dict[int, Term] = {}
    dz: dict[int, Term] = {}
    for t in (3, 2, 1):
        dy[t] = board.let(f"dL/dy{t}", (p[t - 1] - targets[t - 1]) / 3, f"step {t}")
        dh = worked(wyh.T @ dy[t])
        if t < 3:
            dh = dh + worked(whh.T @ dz[t + 1])  # what the later steps say
        dh = board.let(f"dL/dh{t}", dh)
        dz[t] = board.let(f"dL/dz{t}", (1 - h[t] ** 2) * dh)

    board.part = "gradients: sums over the steps"
    dwhx = board.let("dL/dWhx", worked(outer(dz[1], x[0]) + outer(dz[2], x[1]) + outer(dz[3], x[2])))
    dwhh = board.let("dL/dWhh", worked(outer(dz[1], h[0]) + outer(dz[2], h[1]) + outer(dz[3], h[2])))
    dwyh = board.let("dL/dWyh", worked(outer(dy[1], h[1]) + outer(dy[2], h[2]) + outer(dy[3], h[3])))
    dbh = board.let("dL/dbh", worked(dz[1] + dz[2] + dz[3]))

    board.part = "one update"
    new = [
        board.let("Whx new", whx - eta * dwhx), board.let("Whh new", whh - eta * dwhh),
        board.let("Wyh new", wyh - eta * dwyh), board.let("bh new", bh - eta * dbh),
    ]  # fmt: skip
    board.found("L new", forward(board.scratch(), *new)[-1], "lower")
    return board


def bptt() -> Trace:
    """A recurrent net of one neuron, three steps, the loss at the end: the Jacobians and their products."""
    board = Trace(
        "bptt",
        title="Back-propagation through three steps",
        source="Barcelona, slide 20",
        note="h_t = tanh(w x_t + u h_(t-1)); u is in every step. J is half the squared error of h3.",
    )
    x1, x2, x3 = board.given("x1", 1), board.given("x2", 0), board.given("x3", 1)
    h0, t, eta = board.given("h0", 0.5), board.given("t", 0), board.given("eta", 0.5)
    w, u = board.given("w", 1), board.given("u", 0.5)

    def forward(board: Trace, w: Term, u: Term) -> tuple[Term, ...]:
        h1 = board.let("h1", tanh(w * x1 + u * h0), "step 1")
        h2 = board.let("h2", tanh(w * x2 + u * h1), "step 2")
        h3 = board.let("h3", tanh(w * x3 + u * h2), "step 3")
        return h1, h2, h3, board.let("J", HALF * (h3 - t) ** 2, "loss")

    board.part = "forward"
    h1, h2, h3, _ = forward(board, w, u)

    board.part = "backward: slopes and Jacobians"
    dh3 = board.let("dJ/dh3", h3 - t, "error")
    s3 = board.let("s3", 1 - h3**2, "slope of tanh, step 3")
    s2 = board.let("s2", 1 - h2**2, "step 2")
    s1 = board.let("s1", 1 - h1**2, "step 1")
    j3 = board.let("dh3/dh2", s3 * u, "Jacobian")
    j2 = board.let("dh2/dh1", s2 * u, "Jacobian")

    board.part = "the three ways from u to J: one factor more for each step back"
    u3 = board.let("u3", dh3 * (s3 * h2), "u in step 3")
    u2 = board.let("u2", dh3 * j3 * (s2 * h1), "u in step 2")
    u1 = board.let("u1", dh3 * j3 * j2 * (s1 * h0), "u in step 1")
    du = board.let("dJ/du", u3 + u2 + u1, "sum")

    board.part = "the three ways from w to J"
    w3 = board.let("w3", dh3 * (s3 * x3), "w in step 3")
    w2 = board.let("w2", dh3 * j3 * (s2 * x2), "w in step 2")
    w1 = board.let("w1", dh3 * j3 * j2 * (s1 * x1), "w in step 1")
    dw = board.let("dJ/dw", w3 + w2 + w1, "sum")

    board.part = "update"
    u = board.let("u new", u - eta * du)
    w = board.let("w new", w - eta * dw)
    board.found("J new", forward(board.scratch(), w, u)[-1], "the loss falls")
    return board


def lstm() -> Trace:
    """One step of an LSTM of one neuron, the gates as the slides have them."""
    board = Trace(
        "lstm",
        title="One step of an LSTM",
        source="Barcelona, slides 27-30",
        note="f forgets, i lets in, o lets out; g is the new content; c is the cell. J is half the squared error.",
    )
    h0, c0, x1 = board.given("h0", 0.5), board.given("c0", 1), board.given("x1", 1)
    t, eta = board.given("t", 0), board.given("eta", 0.5)
    start = {"f": ([1, 0.5], 1), "i": ([0, 1], 0), "g": ([1, -0.5], 0.5), "o": ([0.5, 0.5], 0)}
    w = {gate: board.given(f"W_{gate}", weights) for gate, (weights, _) in start.items()}
    b = {gate: board.given(f"b_{gate}", bias) for gate, (_, bias) in start.items()}
    what = {"f": "forget gate", "i": "input gate", "g": "new content", "o": "output gate"}

    def forward(board: Trace, w: dict[str, Term], b: dict[str, Term]) -> tuple[Term, dict[str, Term], Term, Term, Term]:
        v = board.let("v", joined(h0, x1), "both in one vector")
        gates = {}
        for gate in start:
            squash = tanh if gate == "g" else sigmoid
            gates[gate] = board.let(gate, squash(w[gate] @ v + b[gate]), what[gate])
        c1 = board.let("c1", gates["f"] * c0 + gates["i"] * gates["g"], "cell")
        h1 = board.let("h1", gates["o"] * tanh(c1), "output")
        return v, gates, c1, h1, board.let("J", HALF * (h1 - t) ** 2, "loss")

    board.part = "forward"
    v, gates, c1, h1, _ = forward(board, w, b)
    f, i, g, o = (gates[gate] for gate in "figo")

    board.part = "backward"
    dh1 = board.let("dJ/dh1", h1 - t, "error")
    dc1 = board.let("dJ/dc1", dh1 * o * (1 - tanh(c1) ** 2), "cell")
    dz = {
        "f": board.let("dJ/dz_f", dc1 * c0 * (f * (1 - f)), "forget gate"),
        "i": board.let("dJ/dz_i", dc1 * g * (i * (1 - i)), "input gate"),
        "g": board.let("dJ/dz_g", dc1 * i * (1 - g**2), "new content"),
        "o": board.let("dJ/dz_o", dh1 * tanh(c1) * (o * (1 - o)), "output gate"),
    }

    board.part = "gradients of the weights, and back in time"
    dw = {gate: board.let(f"dJ/dW_{gate}", dz[gate] * v, what[gate]) for gate in start}
    board.let("dJ/dc0", dc1 * f, "to the cell")
    to_h0 = [entry(w[gate], 0) * dz[gate] for gate in start]
    board.let("dJ/dh0", to_h0[0] + to_h0[1] + to_h0[2] + to_h0[3], "to the output")

    board.part = "update; a bias takes dJ/dz"
    w = {gate: board.let(f"W_{gate} new", w[gate] - eta * dw[gate]) for gate in start}
    b = {gate: board.let(f"b_{gate} new", b[gate] - eta * dz[gate]) for gate in start}
    board.found("J new", forward(board.scratch(), w, b)[-1], "the loss falls")
    return board
