# fmt: off
"""Bombay (G. Ramakrishnan), I31 to I38: the worked example, and what happens over time."""

import torch
import torch.nn.functional as F
from torch import nn

import zoo
from zoo.lectures.bombay.shared import abc_network, row
from zoo.lectures.ledger import Steps, Within, claim
from zoo.lectures.small_tasks import (
    FORGET,
    WORDS,
    context_lstm,
    contexts,
)
from zoo.models.recurrent import recurrent_layers


@claim("I31", slide="33-36", topic="recurrence", says="h1 reads x0 = 0, h2 reads x1; y3 = Wyh g(Whh h2 + Whx x2 + bh)",
       expected={"printed, by x3": 0.0, "printed, by x2": Within(low=0.01), "slide 32, by x3": Within(low=0.01)},
       verdict="contradictory",
       why="As printed, y3 does not depend on x3, yet slide 36 has it from x3, x2, x1, and slide 32 has x_t in h_t.",
       correction="h1 = g(Whh h0 + Whx x1 + bh) and so on: only h0 is zero; y3 = Wyh g(Whh h2 + Whx x3 + bh)")
def recurrence_as_printed() -> Steps:
    whx, whh, wyh = (torch.randn(3, 3, dtype=torch.float64) for _ in range(3))
    found = {}
    for name, shift in (("printed", 1), ("slide 32", 0)):
        x = torch.zeros(4, 3, dtype=torch.float64)
        x[1], x[2], x[3] = torch.eye(3, dtype=torch.float64)[[1, 0, 2]]  # b, a, c; x_0 = 0
        x.requires_grad_()
        h = torch.zeros(3, dtype=torch.float64)
        for t in (1, 2, 3):
            h = torch.tanh(whh @ h + whx @ x[t - shift])
        (gradient,) = torch.autograd.grad((wyh @ h).sum(), x)
        sizes = {f"{name}, by x{t}": float(gradient[t].norm()) for t in (1, 2, 3)}
        yield f"{name}, h_t reads x_{'(t-1)' if shift else 't'}: " + ", ".join(
            f"|dy3/dx{t}| = {size:.3f}" for t, size in enumerate(sizes.values(), 1))
        found |= sizes
    return {key: found[key] for key in ("printed, by x3", "printed, by x2", "slide 32, by x3")}


@claim("I32", slide="34, 35", topic="representation",
       says="x2 = 'a' should give y2 = 'c', x3 = 'c' should give y3 = 'h'",
       expected={"letters that abc lacks": "h", "letters of bach": 4, "target of x3": (0, 0, 0, 1)},
       verdict="contradictory", experiments=("abc_rnn",),
       why="The vocabulary of slide 28 is a, b, c: an 'h' has no code in it. The letters fit 'bach', of length 4 as on "
           "slide 37.",
       correction="Vocabulary a, b, c, h, with one-hot vectors of four numbers")
def letters_of_bach() -> Steps:
    text, short = "bach", abc_network("abc")
    lacks = "".join(letter for letter in text if letter not in short.vocabulary)
    try:
        short.encode("h")
    except ValueError as error:
        yield f"abc: {error}"
    network = abc_network("".join(sorted(set(text))))
    for t, (now, wanted) in enumerate(zip(text, text[1:], strict=False), 1):
        target = network.embed(network.encode(wanted)[None])[0, 0].int().tolist()
        yield f"abch: x{t} = {now!r} should give y{t} = {wanted!r} = {target}"
    return {"letters that abc lacks": lacks, "letters of bach": len(network.vocabulary), "target of x3": tuple(target)}


@claim("I33", slide=36, topic="backpropagation", says="tune the weights for y3 first, then for y2, then for y1",
       expected={"summed": (12, 12), "one by one": Within(5, 10)}, trains=True, verdict="loose",
       experiments=("abc_rnn",),
       why="BPTT adds up the gradients of all outputs for one update; tuned one by one, the later undo the first.",
       correction="Add up the gradients of y3, y2 and y1, then update the weights once")
def tuned_one_by_one() -> Steps:
    right, first = {"one by one": 0, "summed": 0}, torch.initial_seed()
    for start in range(first, first + 4):
        for way, plan in (("one by one", ([2], [1], [0])), ("summed", ([0, 1, 2],) * 3)):
            torch.manual_seed(start)  # the same weights for both
            network = abc_network("abch")
            x, targets = network.encode("bac")[None], network.encode("ach")
            optimizer, after = torch.optim.SGD(network.parameters(), lr=1.0), []
            for outputs in plan:
                for _ in range(100):
                    optimizer.zero_grad()
                    F.cross_entropy(network(x)[0, outputs], targets[outputs], reduction="sum").backward()
                    optimizer.step()
                after.append(float(network(x)[0].softmax(1)[2, targets[2]].detach()))
            right[way] += int((network(x)[0].argmax(1) == targets).sum())
            if start == first:
                yield f"{way}: p of the right y3 after 100, 200, 300 steps: {', '.join(f'{p:.2f}' for p in after)}"
    for way, count in right.items():
        yield f"{way}: {count} of 4 starts * 3 outputs right"
    return {"summed": (right["summed"], 12), "one by one": right["one by one"]}


@claim("I34", slide=37, topic="representation", says="sequence length 4, batch size 1; one-hot is the best encoding",
       expected={"input": (4, 1, 3), "one-hot and table": 0.0, "products saved": 1_000_000}, verdict="loose",
       experiments=("abc_rnn",),
       why="Fit for three letters. A one-hot vector times a matrix picks a column of it, which is the same as looking "
           "up a learnt vector; with large vocabularies that is what is done.",
       correction="One-hot, or the same by table look-up (an embedding), which costs no products")
def one_hot_is_a_look_up() -> Steps:
    letters = torch.tensor([0, 1, 0, 2])  # a b a c
    x = F.one_hot(letters, 3).float()[:, None]  # (T, B, V)
    yield f"input (T, B, V) = {tuple(x.shape)}"
    whx = torch.randn(3, 3)
    table = nn.Embedding.from_pretrained(whx.T)
    difference = float((x[:, 0] @ whx.T - table(letters)).abs().max())
    yield f"Whx times the one-hot vector of b: {row(whx @ x[1, 0])}; row b of the table: {row(table.weight[1])}"
    words, hidden = 10_000, 100
    product = zoo.inspect(nn.Linear(words, hidden, bias=False, device="meta"), torch.empty(1, words, device="meta"))
    yield f"a word of {words:,}, {hidden} neurons: {product.macs:,} products, all but {hidden} with 0; a table: none"
    return {"input": tuple(x.shape), "one-hot and table": difference, "products saved": product.macs}


@claim("I35", slide=38, topic="recurrence", says="influence decays exponentially; a product of |v| < 1 gives zero",
       expected={"0.9": 0.005153775, "1.0": 1.0, "1.1": 117.390853}, tolerance=1e-5, verdict="ok")
def decaying_influence() -> Steps:
    from zoo.lectures import barcelona

    value = yield from barcelona.recurrence.powers_of_a_matrix()
    steps = next(t for t in range(1, 1000) if torch.tensor(0.25).pow(t) == 0)
    yield f"zero is the limit; 0.25, the sigmoid's steepest slope, is rounded to 0 in float32 after {steps} factors"
    return value


@claim("I36", slide=38, topic="recurrence", says="a function that gives values > 1 as output makes gradients explode",
       expected={"ReLU": 1.0, "ReLU, weight 1.1": 117.39085, "5 + z/2": 8.881784e-16, "output of 5 + z/2": 10.0},
       tolerance=1e-4, verdict="loose",
       why="The size of the output says nothing: what is multiplied are slopes times weights, which have to exceed 1.",
       correction="Gradients explode where slope times weight exceeds 1")
def slopes_not_outputs() -> Steps:
    found = {}
    cases = {"ReLU": (1.0, torch.relu), "ReLU, weight 1.1": (1.1, torch.relu), "5 + z/2": (1.0, lambda z: 5 + z / 2)}
    for name, (w, g) in cases.items():
        start = torch.tensor(3.0, dtype=torch.float64, requires_grad=True)
        h = start
        for _ in range(50):
            h = g(w * h)
        found[name], output = float(torch.autograd.grad(h, start)[0]), float(h.detach())
        yield f"h_t = g(w h_(t-1)), g = {name}, h_0 = 3: output h_50 = {output:.4g}, dh_50/dh_0 = {found[name]:.3g}"
    yield "all outputs lie above 1; what is multiplied are the slopes, w g'(z) = 1, 1.1, 1/2"
    return found | {"output of 5 + z/2": output}


@claim("I37", slide=39, topic="recurrence", says="sensitivity to the first input decays over 7 time steps",
       expected={"bound after 6 transitions": 2.4414e-4, "simulated": Within(2e-5, 2.4414e-4), "decays": True},
       tolerance=1e-7, verdict="ok")
def seven_steps() -> Steps:
    sensitivity = sensitivity_to_the_first("rnn", steps=7)
    shares = [value / sensitivity[0] for value in sensitivity]
    yield "|dh_t / dx_1|, t = 1 .. 7, as a share of the first, one sigmoid neuron with w = 1:"
    yield ", ".join(f"{share:.1e}" for share in shares)
    yield f"bound: a slope of at most 1/4 at each of 6 transitions, (1/4)^6 = {0.25**6:.2e}"
    falls = all(later < earlier for earlier, later in zip(shares, shares[1:], strict=False))
    return {"bound after 6 transitions": 0.25**6, "simulated": shares[-1], "decays": falls}


@claim("I38", slide=40, topic="gates", says="remember the context 'India' until it is no longer needed, then forget it",
       expected={"right": Within(0.99, 1.0), "held": Within(0.6, 1.0), "at END": Within(0.0, 0.35)}, trains=True,
       verdict="shown", experiments=("break_forget_bias",),
       why="A toy grammar, two contexts that hold until END: the forget gate stays open between and shuts at END.")
def keep_and_forget() -> Steps:
    network = context_lstm()
    words, held = contexts(500)
    with torch.no_grad():
        right = float((network(words).argmax(2) == held).float().mean())
    yield f"words {', '.join(WORDS)}; at each the network says which context holds: {right:.1%} right"
    forget = network.gates(words)["forget"]  # (B, T, H)
    before = F.pad(held, (1, 0))[:, :-1] > 0  # a context is there to be kept or dropped
    keep, drop = forget[before & (words > 1) & (words != FORGET)].mean(0), forget[before & (words == FORGET)].mean(0)
    yield f"forget gates of {len(keep)} cells, mean: at 'and', 'so' {row(keep)}, at END {row(drop)}"
    cell = int((keep - drop).argmax())
    sentence = torch.tensor([[0, 2, 3, 2, FORGET, 3, 1, 2]])
    gates = network.gates(sentence)["forget"][0, :, cell]
    read = [f"{WORDS[word]} {gate:.2f}" for word, gate in zip(sentence[0].tolist(), gates.tolist(), strict=True)]
    yield f"cell {cell}: {', '.join(read)}"
    return {"right": right, "held": float(keep[cell]), "at END": float(drop[cell])}


def sensitivity_to_the_first(cell: str, steps: int, **options: float) -> list[float]:
    """|dh_t / dx_1| at t = 1 .. steps, of a single neuron: an RNN with a sigmoid and weights 1, or an LSTM."""
    settings = {"nonlinearity": "sigmoid"} if cell == "rnn" else options
    layers = recurrent_layers(cell, 1, 1, implementation="reference", **settings).double()
    if cell == "rnn":
        for name, parameter in layers.named_parameters():
            nn.init.constant_(parameter, 0.0 if name.startswith("bias") else 1.0)
    x = torch.randn(1, steps, 1, dtype=torch.float64, requires_grad=True)
    h = layers(x)[0][0, :, 0]  # (T,)
    return [float(torch.autograd.grad(h_t, x, retain_graph=True)[0][0, 0].abs()) for h_t in h]
