# fmt: off
"""Bombay (G. Ramakrishnan), I21 to I30: from chains to recurrent language models."""

import math

import torch
import torch.nn.functional as F
from torch import nn

import zoo
from zoo.lectures.bombay.shared import abc_network, parameters, row
from zoo.lectures.chain_crf import LinearChainCRF
from zoo.lectures.ledger import Steps, Within, claim
from zoo.lectures.small_tasks import (
    sticky_tags,
    taggers,
)


@claim("I21", slide=23, topic="applications", says="a CRF extends logistic regression to sequences; do networks?",
       expected={"forward and brute force": 0.0, "logistic regression": Within(0.58, 0.62), "CRF": Within(0.77, 0.83),
                 "RNN": Within(0.79, 0.85)}, tolerance=1e-5, trains=True, verdict="shown",
       why="Tags persist, symbols are noisy: what a symbol cannot tell, its neighbours can, to a CRF and to an RNN.")
def chain_of_tags() -> Steps:
    crf = LinearChainCRF(symbols=3, tags=3)
    nn.init.normal_(crf.transition)
    x = torch.tensor([[0, 2, 1, 1, 0]])
    with torch.no_grad():
        every = torch.cartesian_prod(*[torch.arange(3)] * 5)  # all taggings of five symbols
        brute, forward = crf.score(x.expand(len(every), -1), every).logsumexp(0), crf.log_z(x)[0]
    yield f"log Z: the sum over all 3^5 = {len(every)} taggings {brute:.6f}, the forward algorithm {forward:.6f}"
    (x, y), (x_test, y_test) = sticky_tags(2000), sticky_tags(1000)
    yield "tags stay with p = 0.95; a symbol tells its tag with p = 0.6"
    right = {}
    for name, tag in taggers(x, y).items():
        right[name] = float((tag(x_test) == y_test).float().mean())
        yield f"{name}: {right[name]:.1%} of the tags right"
    return {"forward and brute force": float(forward - brute)} | right


@claim("I22", slide="24, 25", topic="recurrence", says="share parameters across time; the same task for every element",
       expected=Within(high=1e-12), verdict="ok")
def shared_over_time() -> Steps:
    from zoo.lectures import cyprus

    return (yield from cyprus.recurrence.shared_weights_unrolled())


@claim("I23", slide=26, topic="applications", says="try a text-generation RNN: what do you see, how to improve it?",
       expected={"T = 0.3": Within(0.7, 1.05), "T = 1": Within(1.1, 1.5), "T = 2": Within(2.3, 3.3)}, verdict="shown",
       why="An exercise, here with the zoo's LSTM: cold it is sure and safe, hot it misspells; better cells help.",
       experiments=("shakespeare_rnn", "shakespeare_gru", "shakespeare_lstm", "pydoc_lstm"))
def text_by_temperature() -> Steps:
    network, found = zoo.load("shakespeare-lstm"), {}
    prompt = network.encode("KING:\n")[None].expand(8, -1)  # eight texts at once
    for temperature in (0.3, 1.0, 2.0):
        drawn = torch.stack(list(network.sample(prompt, 60, temperature)), 1)  # (8, 60)
        with torch.no_grad():
            logits = network(torch.cat([prompt, drawn], 1)[:, :-1])[:, -60:]  # before each letter that was drawn
        nats = float(F.cross_entropy(logits.flatten(0, 1), drawn.flatten()))
        found[f"T = {temperature:g}"] = nats
        yield f"T = {temperature:g}: {network.decode(drawn[0])[:50]!r}, {nats:.2f} nats a letter"
    rnn, lstm = (zoo.load(f"shakespeare-{cell}").card["metrics"]["test/loss"] for cell in ("rnn", "lstm"))
    yield f"to improve it: a better cell (nats a letter on unseen text, as measured: RNN {rnn:.3f}, LSTM {lstm:.3f})"
    return found


@claim("I24", slide=27, topic="recurrence", says="compact: the same task for every element, given what came before",
       expected={"parameters": 30, "letter by letter": 0.0, "another past": Within(low=0.05)}, tolerance=1e-6,
       verdict="ok", experiments=("abc_rnn", "shakespeare_lstm", "pydoc_lstm"))
def compact_network() -> Steps:
    network = abc_network("abc")
    text = network.encode("abacabac")[None]
    with torch.no_grad():
        whole, state, parts = network(text), None, []
        for letter in text.split(1, dim=1):
            logits, state = network.unroll(letter, state)
            parts.append(logits)
        apart = float((torch.cat(parts, 1) - whole).abs().max())
        other = network(network.encode("cabcabbc")[None])[0, -1]
    count = parameters(network)
    yield f"{count} parameters read abacabac, letter by letter with the state carried on, or at once: {apart:.0e} apart"
    changed = float((other - whole[0, -1]).abs().max())
    yield f"after cabcabb the same last letter, c, gives other logits: {changed:.2f} apart"
    return {"parameters": count, "letter by letter": apart, "another past": changed}


@claim("I25", slide="28, 29", topic="representation", says="one-hot: a 1 for the k-th letter, 0 for all others",
       expected={"a": (1, 0, 0), "b": (0, 1, 0), "c": (0, 0, 1)}, verdict="ok", experiments=("abc_rnn",))
def one_hot_letters() -> Steps:
    network = abc_network("abc")
    vectors = network.embed(network.encode("abc")[None])[0].int()
    for letter, vector in zip("abc", vectors.tolist(), strict=True):
        yield f"{letter} -> {vector}"
    distances = torch.pdist(vectors.float())
    yield f"each as far from the others: distances {', '.join(f'{d:.3f}' for d in distances)}"
    return {letter: tuple(vector) for letter, vector in zip("abc", vectors.tolist(), strict=True)}


@claim("I26", slide="30, 31", topic="parameters", says="a language model with one hidden layer of 3 neurons",
       expected={"slide 32": 30, "with output bias": 33, "PyTorch": 36}, verdict="ok", experiments=("abc_rnn",))
def parameters_of_abc() -> Steps:
    lecture, pytorch = abc_network("abc"), zoo.create("char_rnn", vocabulary="abc", cell="rnn", hidden_size=3)
    found = zoo.inspect(lecture)
    for layer in found.layers:
        yield f"{layer.name}: {layer.count_formula}"
    with_bias = found.parameters + len(lecture.vocabulary)
    total = zoo.inspect(pytorch).parameters
    yield f"Whx 9 + Whh 9 + bh 3 + Wyh 9 = {found.parameters}; with output bias {with_bias}; PyTorch, two bh: {total}"
    return {"slide 32": found.parameters, "with output bias": with_bias, "PyTorch": total}


@claim("I27", slide=32, topic="recurrence", says="h_t = g(Whh h_(t-1) + Whx x_t + bh); y_t = Wyh h_t", expected=0.0,
       tolerance=1e-6, verdict="ok", experiments=("abc_rnn",))
def equations_of_the_rnn() -> Steps:
    network = abc_network("abc").requires_grad_(False)
    whx, whh, bh = network.layers.weight_ih_l0, network.layers.weight_hh_l0, network.layers.bias_ih_l0
    wyh, h, ys = network.output.weight, torch.zeros(3), []
    for t, letter in enumerate("abac", 1):
        x = torch.eye(3)["abc".index(letter)]
        h = torch.tanh(whh @ h + whx @ x + bh)
        ys.append(wyh @ h)
        yield f"t = {t}, x = {letter}: h = {row(h)}, y = {row(ys[-1])}"
    theirs = nn.RNN(3, 3, batch_first=True).requires_grad_(False)
    theirs.load_state_dict({"weight_ih_l0": whx, "weight_hh_l0": whh, "bias_ih_l0": bh, "bias_hh_l0": torch.zeros(3)})
    outputs = theirs(torch.eye(3)[[0, 1, 0, 2]][None])[0][0] @ wyh.T
    difference = float((outputs - torch.stack(ys)).abs().max())
    yield f"torch.nn.RNN with these weights: {difference:.1e} apart"
    return difference


@claim("I28", slide=32, topic="neuron", says="tanh = (1 - e^2x)/(1 + e^2x), in the text; tanh(x) = 2 sigmoid(2x) - 1",
       expected={"tanh(1)": 0.761594, "as in text": -0.761594, "with e^-2x": 0.761594, "2 sigmoid(2) - 1": 0.761594},
       tolerance=1e-6, verdict="extraction",
       why="The text has lost minus signs here (2 sigmoid(2x)1, h_t1); as it stands the fraction is -tanh(x).")
def tanh_and_sigmoid() -> Steps:
    x = 1.0
    found = {"tanh(1)": math.tanh(x), "as in text": (1 - math.exp(2 * x)) / (1 + math.exp(2 * x)),
             "with e^-2x": (1 - math.exp(-2 * x)) / (1 + math.exp(-2 * x)),
             "2 sigmoid(2) - 1": 2 / (1 + math.exp(-2 * x)) - 1}
    yield f"as in the text: (1 - {math.exp(2):.4f}) / (1 + {math.exp(2):.4f}) = {found['as in text']:.6f}"
    yield f"with the sign:  (1 - {math.exp(-2):.4f}) / (1 + {math.exp(-2):.4f}) = {found['with e^-2x']:.6f} = tanh(1)"
    z = torch.linspace(-5, 5, 1001, dtype=torch.float64)
    apart = float((2 * torch.sigmoid(2 * z) - 1 - torch.tanh(z)).abs().max())
    yield f"2 sigmoid(2x) - 1 and tanh(x) over x = -5 .. 5: {apart:.1e} apart"
    return found


@claim("I29", slide=32, topic="neuron", says="softmax extends the sigmoid to many classes", expected=True, verdict="ok")
def softmax_of_two() -> Steps:
    z = torch.linspace(-5, 5, 11, dtype=torch.float64)
    yield "softmax([z, 0])[0] = e^z / (e^z + e^0) = 1 / (1 + e^-z) = sigmoid(z)"
    two = torch.stack([z, torch.zeros_like(z)], 1).softmax(1)[:, 0]
    difference = float((two - torch.sigmoid(z)).abs().max())
    yield f"largest difference over z = -5, -4, ..., 5: {difference:.1e}"
    return difference < 1e-12


@claim("I30", slide=32, topic="neuron", says="g may be sigmoid or softmax; a network may mix activations",
       expected={"units that sigmoid leaves free": 3, "units that softmax leaves free": 2, "mixed, all learn": True},
       verdict="ok")
def mixed_activations() -> Steps:
    z = torch.randn(3, dtype=torch.float64)
    free = {}
    for name, g in (("sigmoid", torch.sigmoid), ("softmax", lambda z: z.softmax(0))):
        jacobian = torch.autograd.functional.jacobian(g, z)
        free[f"units that {name} leaves free"] = int(torch.linalg.matrix_rank(jacobian))
        rank = free[f"units that {name} leaves free"]
        yield f"h = {name}(z) of 3 units: {row(g(z))}, sum {float(g(z).sum()):.3f}; rank of dh/dz (3, 3): {rank}"
    yield "softmax ties the units of a hidden layer to the sum 1: allowed, unusual; at the output a probability"
    network = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 5), nn.ReLU(), nn.Linear(5, 5), nn.Sigmoid(),
                            nn.Linear(5, 3), nn.Softmax(1))
    (-network(torch.randn(16, 4))[:, 0].log().mean()).backward()
    learn = all(bool(p.grad.abs().sum() > 0) for p in network.parameters())
    yield f"tanh, ReLU, sigmoid, softmax one after the other: every layer has a gradient: {learn}"
    return free | {"mixed, all learn": learn}
