# fmt: off
"""Barcelona (X. Giró-i-Nieto), R01 to R12: recurrence and back-propagation through time."""

import math

import torch
from torch import Tensor

import zoo
from zoo.lectures.ledger import Steps, Within, claim, remark
from zoo.lectures.small_tasks import (
    digits,
    fit,
    moving_digits,
)

remark("R01", slide="3, 4", topic="architectures", says="a ConvNet, drawn from the front and turned",
       verdict="no claim", why="The slide only recalls the ConvNet; Prague C38 computes one layer by layer.")


@claim("R02", slide=5, topic="recurrence", says="an MLP's output depends only on the current input",
       expected={"change": 0.0, "gradient": 0.0}, verdict="ok")
def mlp_sees_only_now() -> Steps:
    network = zoo.create("mlp", in_features=3, num_classes=2, hidden_sizes=[4], activation="tanh")
    x = torch.randn(5, 3)  # (T, D), one step after the other
    shuffled = x[[3, 1, 0, 2, 4]]  # another past, the same last step
    before, after = network(x)[-1].detach(), network(shuffled)[-1].detach()
    yield f"last of five outputs: {float(before):.6f}; after shuffling the four inputs before it: {float(after):.6f}"
    x.requires_grad_()
    (gradient,) = torch.autograd.grad(network(x)[-1].sum(), x)
    norms = [float(g.norm()) for g in gradient]
    yield f"|d y_5 / d x_t|, t = 1 .. 5: {', '.join(f'{norm:.3f}' for norm in norms)}"
    return {"change": float((before - after).abs()), "gradient": max(norms[:-1])}


@claim("R03", slide="6, 7", topic="recurrence", says="an RNN's output depends on the hidden states before it",
       expected={"one input": 1, "different answers": 8, "right": 8}, verdict="ok",
       experiments=("recall_rnn", "recall_lstm"))
def rnn_remembers() -> Steps:
    network, symbols = zoo.load("recall-lstm"), "abcdefgh"
    texts = [f"{first}cab?" for first in symbols]
    yield f"a trained LSTM reads {texts[0]}, {texts[1]}, ..., {texts[-1]}; the last input is always '?'"
    answers = [answer.label for answer in network.predict_all(texts)]
    yield f"answers: {' '.join(answers)}; the input of the last step alone could give one answer only"
    right = sum(answer == first for answer, first in zip(answers, symbols, strict=True))
    return {"one input": len({text[-1] for text in texts}), "different answers": len(set(answers)), "right": right}


@claim("R04", slide=8, topic="recurrence", says="front and side view: the same layers, drawn again for every step",
       expected={"parameters": (121, 121), "multiplications": (96, 480)}, verdict="ok")
def front_and_side_view() -> Steps:
    network = zoo.create("sequence_rnn", num_classes=2, vocab_size=0, in_features=4, cell="rnn", hidden_size=8,
                         implementation="reference")
    front, side = zoo.inspect(network, (1, 4)), zoo.inspect(network, (5, 4))
    for name, view in (("front, T = 1", front), ("side,  T = 5", side)):
        uses = ", ".join(f"{layer.name.split('(')[-1].rstrip(')')} x {layer.times}" for layer in view.layers)
        yield f"{name}: {uses}; parameters {view.parameters}"
    macs = [sum(layer.macs for layer in view.layers[:2]) for view in (front, side)]
    yield f"multiplications of the recurrent layer: {macs[0]} for one step, {macs[1]} = 5 * {macs[0]} for five"
    return {"parameters": (front.parameters, side.parameters), "multiplications": tuple(macs)}


@claim("R05", slide="9, 10", topic="recurrence", says="a node is a layer at one step; sequences of any length",
       expected={"lengths read": 48, "parameters": 5_384, "with weights of their own for 50 steps": 243_720},
       verdict="ok")
def any_length() -> Steps:
    from zoo.lectures import cyprus

    return (yield from cyprus.recurrence.any_length())


@claim("R06", slide=11, topic="recurrence", says="a still image as a sequence: zigzag and snake scans",
       expected={"steps": 784, "raster": 27.018512, "snake": 1.0, "zigzag": 1.414214}, tolerance=1e-5, verdict="ok",
       experiments=("break_permuted_pixels",))
def scans_of_a_picture() -> Steps:
    jumps = {}
    for name, path in scans(28).items():
        steps = (path[1:] - path[:-1]).double().norm(dim=1)  # from each pixel to the next
        assert len(set(map(tuple, path.tolist()))) == 28 * 28  # each pixel once
        jumps[name] = float(steps.max())
        first = ", ".join(str(tuple(pixel)) for pixel in path[:5].tolist())
        yield f"{name}: begins {first}; longest step {jumps[name]:.3f}"
    yield "28 * 28 = 784 steps each; a raster line ends 27 columns from where the next begins: sqrt(27^2 + 1^2)"
    return {"steps": len(path)} | jumps


@claim("R07", slide=12, topic="applications", says="a video as a sequence, sampled over time", trains=True,
       expected={"video": Within(0.98, 1.0), "one frame": Within(0.4, 0.6)}, verdict="shown",
       why="The slide only names it; here an RNN sees in four frames which way a digit moves, and in one frame not.")
def moving_digit() -> Steps:
    (images, _), (others, _) = digits("train"), digits("test")
    (video, direction), (test, truth) = moving_digits(images), moving_digits(others)
    yield f"videos of {video.shape[1]} frames, {video.shape[2]} x {video.shape[3]} pixels: which way goes the digit?"
    right = {}
    for name, frames in (("video", slice(None)), ("one frame", slice(1, 2))):
        network = zoo.create("sequence_rnn", num_classes=2, vocab_size=0, in_features=8 * 16, cell="rnn",
                             hidden_size=32)
        x, x_test = (part[:, frames].flatten(2) for part in (video, test))  # (N, T, 128)

        def loss(network=network, x=x):
            rows = torch.randint(len(x), (64,))
            return network.loss((x[rows], direction[rows]))["loss"]

        fit(network, loss, 300, 5e-3)
        with torch.no_grad():
            right[name] = float(network.loss((x_test, truth))["acc"])
        yield f"an RNN that reads T = {x.shape[1]}: {right[name]:.1%} of {len(truth)} new videos right; guessing 50 %"
    return right


@claim("R08", slide=13, topic="recurrence", says="shared over time: w2, in addition to w1 and w3", stated=3, expected=3,
       verdict="ok")
def three_matrices() -> Steps:
    network = zoo.create("sequence_rnn", num_classes=3, vocab_size=0, in_features=4, cell="rnn", hidden_size=8)
    matrices = {name: p for name, p in network.named_parameters() if p.dim() == 2}
    roles = ("w1, input -> hidden", "w2, hidden -> hidden", "w3, hidden -> output")
    for role, (name, p) in zip(roles, matrices.items(), strict=True):
        yield f"{role}: {name} {tuple(p.shape)}"
    network(torch.randn(2, 50, 4)).sum().backward()
    yield f"after 50 steps there are still {len(matrices)}, each with one gradient, summed over the steps"
    return sum(p.grad is not None for p in matrices.values())


@claim("R09", slide="14, 15", topic="recurrence", says="a BRNN learns w2, w3, w4, w5 in addition to w1 and w6",
       stated=6, expected=6, verdict="ok")
def six_matrices() -> Steps:
    network = zoo.create("sequence_rnn", num_classes=3, vocab_size=0, in_features=4, cell="rnn", hidden_size=8,
                         bidirectional=True)
    matrices = {name: p for name, p in network.layers.named_parameters() if p.dim() == 2}
    for name, p in matrices.items():
        yield f"{name} {tuple(p.shape)}"
    halves = network.output.weight.split(8, dim=1)  # for the way forth and the way back
    size = tuple(network.output.weight.shape)
    yield f"output.weight {size} = [w5, w6], for h of either way: {len(halves)} matrices of {tuple(halves[0].shape)}"
    h = network.layers(torch.randn(1, 6, 4))[0][0, -1]  # (2H,)
    forth, back = h.split(8)
    apart = network.output(h) - (halves[0] @ forth + halves[1] @ back + network.output.bias)
    yield f"W [h_forth, h_back] = W_forth h_forth + W_back h_back, up to {float(apart.detach().abs().max()):.0e}"
    return len(matrices) + len(halves)


@claim("R10", slide="16-18", topic="recurrence", says="delay unit z^-1; one recurrence; T recurrences",
       expected={"loop": 0.15625, "nested": 0.15625, "difference with tanh": 0.0}, tolerance=1e-12,
       verdict="extraction", why="The formulas are lost in the text; what the titles name is computed here.")
def nested_recurrences() -> Steps:
    u, w, inputs = 0.5, 1.0, [1.0, -1.0, 0.5, 0.25, 0.125, 0.0]
    h = 0.0
    for x in inputs:
        h = u * h + w * x  # u z^-1: what was there one step before
    steps = len(inputs)
    nested = sum(u ** (steps - t) * w * x for t, x in enumerate(inputs, 1))
    yield f"loop, h_t = {u} h_(t-1) + x_t over {steps} inputs: {h}"
    yield f"nested, sum over t of {u}^({steps} - t) x_t = {nested}"
    yield f"an impulse (1, 0, 0, ...) comes out as u^t: {', '.join(str(u**t) for t in range(5))}, ..."
    big_u, big_w, xs = torch.randn(4, 4, dtype=torch.float64), torch.randn(4, 3, dtype=torch.float64), torch.randn(3, 3)
    a, b, c = xs.double()
    in_one_line = torch.tanh(big_w @ c + big_u @ torch.tanh(big_w @ b + big_u @ torch.tanh(big_w @ a)))
    state = torch.zeros(4, dtype=torch.float64)
    for x in (a, b, c):
        state = torch.tanh(big_w @ x + big_u @ state)
    difference = float((state - in_one_line).abs().max())
    yield f"g(W x_3 + U g(W x_2 + U g(W x_1))) with g = tanh, against the loop: difference {difference:.0e}"
    return {"loop": h, "nested": nested, "difference with tanh": difference}


@claim("R11", slide=19, topic="recurrence", says="long-term memory vanishes: T nested multiplications by U",
       expected={"0.9": 0.005153775, "1.0": 1.0, "1.1": 117.390853}, tolerance=1e-5, verdict="ok")
def powers_of_a_matrix() -> Steps:
    rotation = torch.linalg.qr(torch.randn(64, 64, dtype=torch.float64)).Q  # orthogonal: changes no length
    norms = {}
    for gain in (0.9, 1.0, 1.1):
        norms[str(gain)] = float(torch.linalg.matrix_norm(torch.linalg.matrix_power(gain * rotation, 50), 2))
        yield f"U = {gain} * a rotation of 64 dimensions: |U^50| = {gain}^50 = {norms[str(gain)]:.4g}"
    h, jacobian, u = torch.randn(64).double(), torch.eye(64).double(), 0.9 * rotation
    for _ in range(50):
        h = torch.tanh(u @ h)
        jacobian = (1 - h**2)[:, None] * u @ jacobian  # of h_t by h_0
    squashed = float(torch.linalg.matrix_norm(jacobian, 2))
    yield f"tanh after each step only takes away: |dh_50 / dh_0| = {squashed:.4g} at gain 0.9, for its slope is <= 1"
    return norms


@claim("R12", slide=20, topic="backpropagation", says="BPTT with 3 steps; gradients may explode or vanish with depth",
       expected={"u = 0.5, by hand": 0.122757, "u = 0.5, autograd": 0.122757, "u = 3, by hand": 16.525172,
                 "u = 3, autograd": 16.525172}, tolerance=1e-6, verdict="ok")
def three_steps_back() -> Steps:
    inputs, found = (0.1, -0.1, 0.1), {}
    yield f"h_t = tanh(u h_(t-1) + x_t), h_0 = 0, x = {inputs}; dh_3/dh_0 = product of u (1 - h_t^2)"
    for u in (0.5, 3.0):
        h, factors = 0.0, []
        for x in inputs:
            h = math.tanh(u * h + x)
            factors.append(u * (1 - h**2))
        by_hand = math.prod(factors)
        start = torch.zeros((), dtype=torch.float64, requires_grad=True)
        state = start
        for x in inputs:
            state = torch.tanh(u * state + x)
        autograd = float(torch.autograd.grad(state, start)[0])
        yield f"u = {u}: {' * '.join(f'{f:.4f}' for f in factors)} = {by_hand:.5f}; autograd {autograd:.5f}"
        found |= {f"u = {u:g}, by hand": by_hand, f"u = {u:g}, autograd": autograd}
    return found


def scans(side: int) -> dict[str, Tensor]:
    """The pixels (row, column) of a square picture in three orders, (side * side, 2) each.

    raster: line by line; snake: every other line backwards; zigzag: along the diagonals, as JPEG reads its blocks.
    """
    pixels = [(i, j) for i in range(side) for j in range(side)]
    orders = {
        "raster": pixels,
        "snake": sorted(pixels, key=lambda p: (p[0], p[1] if p[0] % 2 == 0 else -p[1])),
        "zigzag": sorted(pixels, key=lambda p: (sum(p), p[0] if sum(p) % 2 else p[1])),
    }
    return {name: torch.tensor(order) for name, order in orders.items()}
