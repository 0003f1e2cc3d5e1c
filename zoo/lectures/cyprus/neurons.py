# fmt: off
"""Cyprus, U01 to U10: neurons, layers, and what they can tell apart."""

import torch
import torch.nn.functional as F

import zoo
from zoo.lectures.cyprus import runs
from zoo.lectures.ledger import Steps, Within, claim


@claim("U01", slide=3, topic="neuron", says="step = perceptron, linear = linear, sigmoid = logistic regression",
       expected={"step: mistakes left": 0, "linear: distance from least squares": Within(high=1e-6),
                 "sigmoid: distance from Newton's solution": Within(high=1e-6)},
       verdict="ok")
def one_neuron() -> Steps:
    x = torch.cat([torch.randn(200, 2, dtype=torch.float64), torch.ones(200, 1, dtype=torch.float64)], 1)  # (N, 3)
    z = 2 * x[:, 0] - x[:, 1] + 0.5
    t = (z + torch.randn(200, dtype=torch.float64) > 0).double()  # classes that overlap
    yield "y = g(w1 x1 + w2 x2 + b), 200 points in two classes"

    perceptron, batch = zoo.create("perceptron", in_features=2), (x[:, :2].float(), (z > 0).long())
    rounds = next((number for number in range(1, 1001) if perceptron.update(batch, lr=1.0)["acc"] == 1), 1000)
    mistakes = int(((perceptron(batch[0])[:, 0] > 0) != batch[1]).sum())
    yield f"g = step, classes apart: the perceptron rule is at rest in round {rounds}, mistakes left: {mistakes}"

    w = runs.descend(lambda w: 0.5 * (x @ w - t).square().mean())
    exact = torch.linalg.lstsq(x, t[:, None]).solution[:, 0]
    linear = float((w - exact).abs().max())
    yield f"g = linear, squared error: descent {runs.numbers(w)}, least squares the same to {linear:.0e}"

    w = runs.descend(lambda w: F.binary_cross_entropy_with_logits(x @ w, t))
    newton = torch.zeros(3, dtype=torch.float64)
    for _ in range(20):  # logistic regression as statistics does it: iteratively reweighted least squares
        p = torch.sigmoid(x @ newton)
        newton -= torch.linalg.solve(x.T @ (x * (p * (1 - p))[:, None]), x.T @ (p - t))
    logistic = float((w - newton).abs().max())
    yield f"g = sigmoid, cross-entropy: descent {runs.numbers(w)}, Newton's method the same to {logistic:.0e}"
    return {"step: mistakes left": mistakes, "linear: distance from least squares": linear,
            "sigmoid: distance from Newton's solution": logistic}


@claim("U02", slide=3, topic="neuron", says="perceptrons are linear classifiers",
       expected={"learned, of 16": 14, "never learned": "0110 1001", "best on XOR, of 4": 3}, verdict="ok",
       experiments=("xor_perceptron",))
def sixteen_functions() -> Steps:
    x = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    learned, never = [], []
    for number in range(16):
        bits = f"{number:04b}"
        targets = torch.tensor([int(bit) for bit in bits])
        neuron = zoo.create("perceptron", in_features=2)
        at_rest = any(neuron.update((x, targets), lr=0.5)["acc"] == 1 for _ in range(100))
        (learned if at_rest else never).append(bits)
    yield "a function of two bits is its answers to 00, 01, 10, 11: there are 2^4 = 16"
    yield f"the perceptron rule comes to rest on {len(learned)}: {' '.join(learned)}"
    yield f"never, in 100 rounds, on {len(never)}: {' '.join(never)}: XOR and its opposite"
    grid = torch.linspace(-2, 2, 17)
    w = torch.cartesian_prod(grid, grid, grid)  # (4913, 3): w1, w2, b
    right = ((w[:, :2] @ x.T + w[:, 2:] > 0) == torch.tensor([0, 1, 1, 0])).sum(1)
    yield f"of {len(w):,} lines on a grid, the best has {int(right.max())} of XOR's 4 patterns right"
    return {"learned, of 16": len(learned), "never learned": " ".join(never), "best on XOR, of 4": int(right.max())}


@claim("U03", slide=3, topic="neuron", says="XOR can be solved with 2 hidden neurons and 1 output neuron",
       expected={"answers": (0, 1, 1, 0), "parameters": 9}, verdict="ok",
       experiments=("xor_2_2_1", "xor_2_2_1_naive", "xor_mlp"))
def xor_by_hand() -> Steps:
    network, x = runs.xor_network(), torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    h, answers = network.activation(network.layers[0](x)).int().tolist(), (network(x)[:, 0] > 0).int().tolist()
    yield "h1 = [x1 + x2 > 0.5]: or    h2 = [x1 + x2 > 1.5]: and    y = [h1 - h2 > 0.5]: or, but not and"
    for (x1, x2), (h1, h2), y in zip(x.int().tolist(), h, answers, strict=True):
        hidden = f"h1 = [{x1 + x2} > 0.5] = {h1}   h2 = [{x1 + x2} > 1.5] = {h2}"
        yield f"x = {x1} {x2}   {hidden}   y = [{h1 - h2} > 0.5] = {y}"
    parameters = sum(p.numel() for p in network.parameters())
    yield f"parameters: 2 * (2 + 1) + 1 * (2 + 1) = {parameters}"
    return {"answers": tuple(answers), "parameters": parameters}


@claim("U04", slide=3, topic="neuron", says="with the Heaviside step, gradient descent cannot train them",
       expected={"largest gradient": 0.0, "parameters changed by 100 steps": 0, "the same with sigmoids": 9},
       verdict="ok", experiments=("break_step_units",))
def no_gradient_through_a_step() -> Steps:
    x = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    t, changed = torch.tensor([0.0, 1.0, 1.0, 0.0]), {}
    for name in ("step", "sigmoid"):
        network = zoo.create("mlp", in_features=2, num_classes=2, hidden_sizes=[2], activation=name)
        weights = list(network.parameters())
        before = [w.detach().clone() for w in weights]
        for _ in range(100):
            y = network.activation(network(x)[:, 0])  # the output neuron has the same activation
            gradients = torch.autograd.grad((y - t).square().mean(), weights)
            with torch.no_grad():
                for w, gradient in zip(weights, gradients, strict=True):
                    w -= gradient
        largest = max(float(gradient.abs().max()) for gradient in gradients)
        changed[name] = largest, sum(int((w != old).sum()) for w, old in zip(weights, before, strict=True))
    yield "g(z) = [z > 0] is flat on both sides of 0, so g'(z) = 0 wherever it exists"
    yield "dE/dw = dE/dy g'(z) x = dE/dy * 0 * x = 0, whatever the error"
    for name, (largest, moved) in changed.items():
        yield f"2-2-1 on XOR, {name + ':':9} largest gradient {largest:.2g}; 100 steps change {moved} of 9 parameters"
    return {"largest gradient": changed["step"][0], "parameters changed by 100 steps": changed["step"][1],
            "the same with sigmoids": changed["sigmoid"][1]}


@claim("U05", slide=4, topic="neuron", says="MLP: a feed-forward net, mostly with differentiable activations",
       expected={"sizes": (784, 100, 10), "parameters": 79_510, "from the layers by hand": Within(high=1e-5)},
       verdict="ok", experiments=("mnist_mlp", "pass_class_mlp"))
def multilayer_perceptron() -> Steps:
    network = zoo.load("mnist-mlp")
    found = zoo.inspect(network)
    for layer in found.layers:
        yield f"{layer.name}: {layer.input} -> {layer.output}, {layer.count_formula} parameters"
    (w1, b1), (w2, b2) = ((layer.weight, layer.bias) for layer in network.layers)
    x = torch.rand(5, 784)
    with torch.no_grad():
        by_hand = (x @ w1.T + b1).clamp(min=0) @ w2.T + b2  # each layer reads the one before, and nothing else
        difference = float((network(x) - by_hand).abs().max())
    yield f"y = W2 max(0, W1 x + b1) + b2: differs from the network's answers by {difference:.0e}"
    sizes = (network.in_features, *(layer.out_features for layer in network.layers))
    return {"sizes": sizes, "parameters": found.parameters, "from the layers by hand": difference}


@claim("U06", slide=4, topic="neuron", says="1 hidden layer forms open or convex decision regions",
       stated="open or convex",
       expected={"pieces of the region": 2, "bounded": True, "XNOR": "11110001111"}, verdict="wrong",
       why="So it stood in Lippmann's survey of 1987; but one hidden layer can form separate regions: Makhoul et al., "
           "IJCNN 1989; Gibson & Cowan, Proc. IEEE 1990, doi 10.1109/5.58343. See also C13.",
       correction="One hidden layer can approximate any region; it is convex where the output neuron is an AND")
def two_separate_squares() -> Steps:
    yield "the net of U03 with its output negated says 1 where x1 + x2 < 0.5 and where x1 + x2 > 1.5"
    xnor = runs.xnor_network()
    way = torch.linspace(-0.5, 1.5, 11)
    classes = "".join(str(int(z > 0)) for z in xnor(torch.stack([way, way], 1))[:, 0])
    yield f"along the diagonal from (-0.5, -0.5) to (1.5, 1.5): {' '.join(classes)}: not convex"
    yield "six neurons: y = [x > 0] - [x > 1] + [x > 2] - [x > 3] + [y > 0] - [y > 1] > 1.5: two squares"
    network = runs.two_squares()
    row = torch.stack([torch.arange(-0.5, 4), torch.full((5,), 0.5)], 1)
    across = [int(z > 0) for z in network(row)[:, 0]]
    yield f"at x = -0.5, 0.5, ..., 3.5 and y = 0.5: {' '.join(map(str, across))}: two pieces"
    grid = torch.cartesian_prod(torch.linspace(-9, 12, 85), torch.linspace(-9, 12, 85))
    x, y = grid.T
    around = grid[(x < 0) | (x > 3) | (y < 0) | (y > 1) | ((x > 1) & (x < 2))]
    outside = int((network(around)[:, 0] > 0).sum())
    yield f"of {len(around):,} points around and between them, class 1: {outside}. Neither open nor convex"
    pieces = sum(b > a for a, b in zip([0, *across], across, strict=False))
    return {"pieces of the region": pieces, "bounded": outside == 0, "XNOR": classes}


@claim("U07", slide=4, topic="neuron", says="2 hidden layers create arbitrary decision regions",
       expected={"hidden neurons": (14, 18), "points right": 1.0}, verdict="ok",
       why="Shown for regions made of cells. It does not follow that a single hidden layer could not: U06.")
def a_letter_of_cells() -> Steps:
    network, cells = runs.letter_network()
    lines, rectangles = (layer.out_features for layer in network.layers[:2])
    yield f"the letter R as {len(runs.LETTER)} rows of {len(runs.LETTER[0])} cells, {rectangles} of them black"
    yield f"layer 1: 6 upright and 8 level lines, {lines} neurons: on which side is the point?"
    yield f"layer 2: a neuron for each black cell, [x > i] - [x > i+1] + [y > j] - [y > j+1] > 1.5: {rectangles}"
    yield "output: is it in one of them? any region of the plane, in cells as small as one likes"
    points = torch.rand(20_000, 2) * torch.tensor([7.0, 9.0]) - 1  # the letter and a margin of one cell
    column, row = points.floor().long().T
    on_the_letter = (column >= 0) & (column < 5) & (row >= 0) & (row < 7)
    truth = on_the_letter & cells[row.clamp(0, 6), column.clamp(0, 4)]
    right = float(((network(points)[:, 0] > 0) == truth).float().mean())
    yield f"of {len(points):,} random points, {100 * right:.0f} % get the right answer; nothing was trained"
    return {"hidden neurons": (lines, rectangles), "points right": right}


@claim("U08", slide=4, topic="neuron", says="forward propagation; the second layer's features are of the first's",
       expected={"lines crossed": 8, "cells": 1, "by hand": 1.0, "lines that a cell reads": (4, 4)}, verdict="ok")
def features_of_features() -> Steps:
    network, _ = runs.letter_network()
    first, second, last = network.layers
    x = torch.tensor([[3.5, 3.5]])
    h1 = network.activation(first(x))
    h2 = network.activation(second(h1))
    upright, level = runs.bits(h1[0, :6]), runs.bits(h1[0, 6:])
    yield f"x = (3.5, 3.5) -> layer 1, right of x = 0 .. 5: {upright}; above y = 0 .. 7: {level}"
    yield f"-> layer 2, in which black cell: {runs.bits(h2[0])} -> output [{h2.sum():.0f} > 0.5] = {int(last(h2) > 0)}"
    reads = (second.weight != 0).sum(1)
    yield f"a cell is a feature of features: it reads {int(reads.min())} of the {len(h1[0])} lines, and not x itself"
    points = torch.rand(500, 2) * 9 - 1
    right = []
    for point in points.tolist():  # the same, node by node
        a = point
        for layer in network.layers:
            rows = zip(layer.weight.tolist(), layer.bias.tolist(), strict=True)
            a = [float(sum(w * v for w, v in zip(row, a, strict=True)) + b > 0) for row, b in rows]
        right.append(a[0])
    agreement = float(((network(points)[:, 0] > 0).float() == torch.tensor(right)).float().mean())
    yield f"node by node, without a matrix: the same answer for {100 * agreement:.0f} % of {len(points)} points"
    return {"lines crossed": int(h1.sum()), "cells": int(h2.sum()), "by hand": agreement,
            "lines that a cell reads": (int(reads.min()), int(reads.max()))}


@claim("U09", slide=5, topic="backpropagation", says="delta: f' * sum of next deltas * weights; dE/dw: delta * output",
       expected={"deltas": (-0.0990596, 0.0712844, -0.0237535), "from finite differences": Within(high=1e-6),
                 "from autograd": Within(high=1e-12)},
       tolerance=1e-6, verdict="ok", experiments=("xor_mlp",))
def deltas_by_rule() -> Steps:
    import numpy as np

    from zoo.lectures import numpy_backprop as rule

    small = [rule.Layer(np.array([[1.0]]), np.zeros(1)), rule.Layer(np.array([[0.5], [-1.0]]), np.zeros(2))]
    x, t = np.array([[1.0]]), np.array([[1.0, 0.0]])
    outputs = rule.forward(small, x)
    h, (y1, y2) = outputs[1][0, 0], outputs[2][0]
    hidden, last = rule.deltas(small, outputs, t)
    delta, (d1, d2) = hidden[0, 0], last[0]
    yield f"x = 1, h = s(1 x) = {h:.4f}, y1 = s(0.5 h) = {y1:.4f}, y2 = s(-1 h) = {y2:.4f}; targets 1 and 0"
    yield f"output: delta1 = y1 (1 - y1) * (y1 - 1) = {d1:.4f}, delta2 = y2 (1 - y2) * (y2 - 0) = {d2:.4f}"
    yield f"hidden: h (1 - h) * sum = {h * (1 - h):.4f} * ({d1:.4f} * 0.5 + {d2:.4f} * -1) = {delta:.4f}"
    yield f"dE/dw, from h to y1: delta1 * h = {d1:.4f} * {h:.4f} = {d1 * h:.4f}; from x to h: {delta:.4f} * 1"

    mlp = rule.new_mlp([4, 6, 5, 3])
    x, t = (np.random.default_rng(seed).random((8, width)) for seed, width in ((1, 4), (2, 3)))
    tensors = [torch.tensor(part, requires_grad=True) for layer in mlp for part in layer]
    a = torch.tensor(x)
    for weight, bias in zip(tensors[::2], tensors[1::2], strict=True):
        a = torch.sigmoid(a @ weight.T + bias)
    (0.5 * (a - torch.tensor(t)).square().sum()).backward()
    found, measured = (np.concatenate([part.ravel() for layer in layers for part in layer])
                       for layers in (rule.gradients(mlp, x, t), rule.finite_differences(mlp, x, t)))
    taped = np.concatenate([p.grad.numpy().ravel() for p in tensors])
    apart = [float(np.linalg.norm(found - other) / np.linalg.norm(other)) for other in (measured, taped)]
    yield f"4-6-5-3, {len(found)} gradients: {apart[0]:.0e} from finite differences, {apart[1]:.0e} from autograd"
    return {"deltas": (float(d1), float(d2), float(delta)), "from finite differences": apart[0],
            "from autograd": apart[1]}


@claim("U10", slide=5, topic="loss", says="squared error for regression, cross-entropy for classification",
       expected={"cross-entropy": -0.982014, "squared error": -0.017345, "linear, squared error": -5.0},
       tolerance=1e-6, verdict="ok")
def output_delta() -> Steps:
    z = torch.tensor(-4.0, dtype=torch.float64, requires_grad=True)
    y = torch.tensor(1.0, dtype=torch.float64)
    p = float(torch.sigmoid(z.detach()))
    losses = {
        "cross-entropy": F.binary_cross_entropy_with_logits(z, y),
        "squared error": 0.5 * (torch.sigmoid(z) - y).square(),
        "linear, squared error": 0.5 * (z - y).square(),
    }
    deltas = {name: float(torch.autograd.grad(loss, z)[0]) for name, loss in losses.items()}
    yield f"an output that is sure and wrong: z = -4, p = sigmoid(z) = {p:.4f}, but y = 1"
    yield f"sigmoid, cross-entropy:  delta = p - y               = {deltas['cross-entropy']:.4f}"
    yield f"sigmoid, squared error:  delta = (p - y) p (1 - p)   = {deltas['squared error']:.4f}"
    yield f"linear,  squared error:  delta = z - y               = {deltas['linear, squared error']:.4f}"
    yield "each error with its own output: the delta is the difference; crossed, a sure mistake hardly learns"
    return deltas
