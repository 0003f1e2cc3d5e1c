# fmt: off
"""Prague (P. Pošík), C13 to C20: deep or shallow, and why deep is difficult."""

import math

import torch
import torch.nn.functional as F
from torch import nn

import zoo
from zoo.lectures.ledger import Steps, Within, claim
from zoo.lectures.prague.runs import (
    accuracy,
    deep_net,
    descend,
    learning_speeds,
    polyline,
    sawtooth,
    shifted_by_one,
    some_of_each,
    standard_digits,
    steps_until,
)


@claim("C13", slide=21, topic="depth", says="one hidden layer with enough units approximates any continuous function",
       expected={"2": 1.0, "16": 0.018846, "256": 7.53e-5, "bump, 8": Within(0.1, 0.9), "bump, 256": Within(high=1e-4)},
       tolerance=5e-7, verdict="ok")
def wide_enough() -> Steps:
    x = torch.linspace(0, 1, 4097, dtype=torch.float64)[:, None]  # (N, 1)
    target = torch.sin(2 * math.pi * x)
    yield "sin(2 pi x) on [0, 1] by n ReLU neurons, each bending the line at a knot k/n so that it meets the sine there"
    errors = {}
    for n in (2, 16, 256):
        errors[str(n)] = float((polyline(n)(x) - target).abs().max())
        yield f"  n = {n:3}: largest error {errors[str(n)]:.2e}   (bound h^2/8 max|f''| = {math.pi**2 / 2 / n**2:.2e})"
    side = torch.linspace(-2, 2, 33, dtype=torch.float64)
    plane = torch.cartesian_prod(side, side)  # (N, 2)
    bump = torch.exp(-plane.square().sum(1, keepdim=True))
    for n in (8, 256):
        hidden = torch.tanh(plane @ torch.randn(2, n, dtype=torch.float64) + torch.randn(n, dtype=torch.float64))
        hidden = F.pad(hidden, (0, 1), value=1.0)  # and a bias
        fitted = hidden @ torch.linalg.lstsq(hidden, bump, driver="gelsd").solution
        errors[f"bump, {n}"] = float((fitted - bump).abs().max())
    yield f"exp(-x^2 - y^2) by tanh neurons: error {errors['bump, 8']:.2f} with 8, {errors['bump, 256']:.0e} with 256"
    return errors


@claim("C14", slide=22, topic="depth", says="some functions need exponentially more units in a shallow net",
       expected={"neurons, deep": 20, "pieces": 1_024, "neurons, one layer": 1_023}, verdict="ok")
def folded_sawtooth() -> Steps:
    network = sawtooth(10)
    yield "tent(x) = 2 relu(x) - 4 relu(x - 1/2) folds [0, 1] once; 10 layers of two such neurons:"
    x = torch.arange(2**12 + 1, dtype=torch.float64)[:, None] / 2**12  # exact in binary
    slopes = network(x)[:, 0].diff() * 2**12
    pieces = 1 + int((slopes.diff() != 0).sum())
    deep = sum(layer.out_features for layer in network if isinstance(layer, nn.Linear)) - 1  # without the output
    yield f"  {deep} neurons draw {pieces:,} straight pieces of slope +-{abs(float(slopes[0])):,.0f}"
    yield "each ReLU of a single hidden layer bends the line at one place: n neurons, at most n + 1 pieces"
    yield f"so one layer needs at least {pieces:,} - 1 = {pieces - 1:,} neurons, twice as many for each further fold"
    return {"neurons, deep": deep, "pieces": pieces, "neurons, one layer": pieces - 1}


@claim("C15", slide=23, topic="depth", says="solve sub-problems first, then integrate the solutions",
       expected=(7, 256, 256), verdict="shown", experiments=("xor_mlp",),
       why="One example, ours: parity of eight bits by seven copies of the zoo's XOR network.")
def parity_from_xor() -> Steps:
    network = zoo.load("xor")
    bits = torch.cartesian_prod(*[torch.arange(2.0)] * 8)  # (256, 8)
    yield "sub-problem: is one of two bits set? learnt from four examples (zoo.load('xor')); then a tree of it:"
    level, used = bits, 0
    with torch.no_grad():
        while level.shape[1] > 1:
            pairs = level.view(-1, 2)
            answers = (network(pairs)[:, 0] > 0).float().view(len(bits), -1)
            used += answers.shape[1]
            yield f"  {level.shape[1]} bits -> {answers.shape[1]}; copies of it so far: {used}"
            level = answers
    right = int((level[:, 0] == bits.sum(1) % 2).sum())
    yield f"parity of 8 bits: {right} of {len(bits)} patterns right, and not one of them was ever trained on"
    return used, right, len(bits)


@claim("C16", slide="24, 25", topic="training", says="what is hard: activation, initialisation, momentum, architecture",
       expected={"as it should be": Within(0.88, 0.96), "sigmoid": Within(0.05, 0.15),
                 "small start": Within(0.05, 0.15), "large start": Within(0.05, 0.15), "no momentum": Within(0.4, 0.85),
                 "40 layers": Within(0.1, 0.5)},
       verdict="shown", trains=True, experiments=("break_sigmoid_depth", "break_learning_rate"),
       why="Eight layers of 32 on digits, 200 steps; one thing changed at a time.")
def hard_to_train() -> Steps:
    train, test = standard_digits("train"), standard_digits("test")
    networks = {
        "as it should be": (deep_net(8, 32), 0.9), "sigmoid": (deep_net(8, 32, nn.Sigmoid), 0.9),
        "small start": (deep_net(8, 32, std=0.01), 0.9), "large start": (deep_net(8, 32, std=1.0), 0.9),
        "no momentum": (deep_net(8, 32), 0.0), "40 layers": (deep_net(40, 32), 0.9)}
    yield "64 - 32 x 8 - 10, ReLU, start N(0, 2 / inputs), rate 0.01, momentum 0.9, 200 steps; guessing: 10 %"
    shares = {}
    for name, (network, momentum) in networks.items():
        shares[name] = accuracy(descend(network, *train, 200, 0.01, momentum), *test)
    changed = {"sigmoid": "ReLU -> sigmoid", "small start": "start N(0, 0.01^2)", "large start": "start N(0, 1)",
               "no momentum": "momentum 0", "40 layers": "40 hidden layers"}
    for name, share in shares.items():
        yield f"  {changed.get(name, name):20} {100 * share:5.1f} %"
    return shares


@claim("C17", slide=26, topic="depth", says="the derivative of the standard sigmoid lies in (0, 0.25]",
       stated={"largest": 0.25}, expected={"largest": 0.25, "3 layers": 0.015625, "10 layers": 9.5367e-7},
       tolerance=1e-10, verdict="ok", experiments=("break_sigmoid_depth",))
def slope_of_the_sigmoid() -> Steps:
    z = (torch.arange(-1000, 1001, dtype=torch.float64) / 100).requires_grad_()
    (slope,) = torch.autograd.grad(torch.sigmoid(z).sum(), z)
    steepest, at, end = float(slope.max()), abs(z[slope.argmax()].item()), float(slope[-1])
    yield f"s'(z) = s(z) (1 - s(z)): largest at z = {at:g}, 0.5 * 0.5 = {steepest}; at z = 10 only {end:.1e}"
    yield "each sigmoid layer on the way back multiplies the error by at most that, were all weights 1:"
    powers = {n: steepest**n for n in (3, 5, 10)}
    yield "  " + ",  ".join(f"0.25^{n} = {power:.3g}" for n, power in powers.items())
    return {"largest": steepest, "3 layers": powers[3], "10 layers": powers[10]}


@claim("C18", slide=26, topic="depth", says="errors diminish towards the input; first layers learn virtually nothing",
       expected={"2 layers": Within(0.15, 0.4), "3 layers": Within(0.02, 0.08), "5 layers": Within(0.0008, 0.006),
                 "first layer moved": Within(high=0.01), "last layer moved": Within(0.1, 0.5)},
       verdict="shown", trains=True, experiments=("break_sigmoid_depth", "mnist_sda_control"),
       why="Nielsen's measure, |dL/db| of each layer, and his start; digits, 300 steps of gradient descent.")
def first_layers_learn_nothing() -> Steps:
    found = {}
    yield "sigmoid layers of 30; mean |dL/db| over the training, first hidden layer ... last hidden layer:"
    for hidden in (1, 2, 3, 5):
        norms, moved, share = learning_speeds(hidden)
        speeds = norms.mean(0)[:-1]  # without the output layer
        yield f"  {hidden} hidden: {'  '.join(f'{speed:.1e}' for speed in speeds)}   ({100 * share:.0f} % right)"
        found[f"{hidden} layers"] = float(speeds[0] / speeds[-1])
    kept = 100 * found["5 layers"]
    yield f"five layers: the first learns at {kept:.2f} % of the last one's speed; 0.25^4 = 0.39 %"
    ends = 100 * moved[[0, -1]]
    yield f"how far the weights have moved: first layer {ends[0]:.1f} % of their length, output layer {ends[1]:.0f} %"
    del found["1 layers"]  # which is 1
    return found | {"first layer moved": float(moved[0]), "last layer moved": float(moved[-1])}


@claim("C19", slide=26, topic="depth", says="the exploding gradient is exactly the opposite problem",
       expected={"0.9": 0.005153775, "1.0": 1.0, "1.1": 117.390853}, tolerance=1e-5, verdict="ok",
       experiments=("break_no_clipping",))
def exploding_gradient() -> Steps:
    from zoo.lectures import barcelona

    return (yield from barcelona.recurrence.powers_of_a_matrix())


@claim("C20", slide=27, topic="training", says="what made it work: data, GPUs, sharing, augmentation, dropout, ReLU",
       expected={"steps, ReLU": Within(20, 90), "steps, sigmoid": Within(150, 400), "100 digits": Within(0.84, 0.92),
                 "1,071 digits": Within(0.95, 0.985), "moved by a pixel": Within(0.3, 0.5),
                 "augmented": Within(0.89, 0.97), "shared": 76},
       verdict="shown", trains=True,
       experiments=("mnist_fast", "mnist_lenet", "cifar10_alexnet_gpu", "mnist_few_labels"),
       why="Four of the seven factors in seconds; dropout, pre-training and the GPU have experiments of their own.")
def what_made_it_work() -> Steps:
    found = {name: steps_until(deep_net(2, 100, g), 0.95) for name, g in (("ReLU", nn.ReLU), ("sigmoid", nn.Sigmoid))}
    yield f"64 - 100 - 100 - 10: 95 % right after {found['ReLU']} steps with ReLU, {found['sigmoid']} with sigmoid"
    (x, y), (test_x, test_y) = standard_digits("train"), standard_digits("test")
    rows = some_of_each(y, 10)
    few = accuracy(descend(deep_net(2, 100), x[rows], y[rows], 200, 0.05), test_x, test_y)
    network = descend(deep_net(2, 100), x, y, 200, 0.05)
    every = accuracy(network, test_x, test_y)
    yield f"data: {100 * few:.1f} % right after 100 digits, {100 * every:.1f} % after {len(x):,}"
    moved = shifted_by_one(test_x)
    plain = accuracy(network, moved, test_y)
    augmented = accuracy(descend(deep_net(2, 100), x, y, 400, 0.05, see=shifted_by_one), moved, test_y)
    yield f"augmentation: on digits moved by a pixel {100 * plain:.1f} %; trained on moved ones {100 * augmented:.1f} %"
    shared = sum(p.numel() for p in nn.Conv2d(3, 1, 5).parameters())
    yield f"weight sharing: {shared} parameters for a map of 24x24 neurons, not {576 * shared:,} (C30, C33)"
    return {"steps, ReLU": found["ReLU"], "steps, sigmoid": found["sigmoid"], "100 digits": few, "1,071 digits": every,
            "moved by a pixel": plain, "augmented": augmented, "shared": shared}
