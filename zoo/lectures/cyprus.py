# fmt: off
"""Cyprus: from the neuron to recurrent networks; every claim of the slides, computed."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import zoo
from zoo.lectures import cyprus_runs as runs
from zoo.lectures.ledger import Steps, Within, claim, remark
from zoo.models.recurrent import recurrent_layers, rnn_step


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
       stated={"pieces of the region": 1},
       expected={"pieces of the region": 2, "bounded": True, "XNOR": "11110001111"}, verdict="wrong",
       why="Lippmann's figure of 1987; refuted by Makhoul et al., IJCNN 1989, and doi 10.1109/5.58343; C13 says otherwise.",
       correction="one hidden layer comes as close as one likes to any region; an AND of its neurons is convex")
def two_separate_squares() -> Steps:
    yield "the net of U03 with its output turned round says 1 where x1 + x2 < 0.5 and where x1 + x2 > 1.5"
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
       why="Of regions made of cells; that one layer cannot is another matter: U06.")
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


@claim("U11", slide=6, topic="training", says="updates: SGD per pattern, batch per epoch, mini-batch per subset",
       expected={"1": 60_000, "64": 938, "60000": 1}, verdict="ok", experiments=("mnist_mlp",))
def updates_per_epoch() -> Steps:
    from zoo.data.dataset import Batches

    patterns = torch.zeros(60_000, 1)
    updates = {str(of): sum(1 for _ in Batches((patterns,), of)) for of in (1, 64, 60_000)}
    yield "one epoch over the 60,000 pictures of MNIST, an update after each batch: ceil(60,000 / B)"
    yield f"stochastic, B = 1:      60,000 / 1      = {updates['1']:,} updates"
    yield f"mini-batch, B = 64:     60,000 / 64     = {60_000 / 64:g} -> {updates['64']}, the last of {60_000 % 64}"
    yield f"batch,      B = 60,000: 60,000 / 60,000 = {updates['60000']}"
    return updates


@claim("U12", slide=6, topic="training", says="momentum: memory of the previous direction, speeds up learning",
       expected={"gain at constant gradient": 10.0, "steps without": 113, "steps with": 31}, tolerance=1e-3,
       verdict="ok")
def momentum_in_a_ravine() -> Steps:
    speed, gain = 0.0, []
    for _ in range(100):
        speed = 0.9 * speed + 1.0
        gain.append(speed)
    first = ", ".join(f"{value:.4g}" for value in gain[:4])
    yield f"v <- 0.9 v + g with g = 1: {first}, ... -> 1 / (1 - 0.9) = {gain[-1]:.3f}"
    yield "ravine f = (x^2 + 25 y^2) / 2, from (10, 1) to f < 1e-6, each with its best step size:"
    best = {"without": (2 / (1 + 25), 0.0), "with": (4 / (1 + 5) ** 2, ((5 - 1) / (5 + 1)) ** 2)}  # Polyak 1964
    steps = {name: len(runs.path_in_a_ravine(lr, momentum)) - 1 for name, (lr, momentum) in best.items()}
    for name, (lr, momentum) in best.items():
        yield f"  momentum {momentum:.3f}, lr {lr:.4f}: {steps[name]} steps"
    return {"gain at constant gradient": gain[-1], **{f"steps {name}": count for name, count in steps.items()}}


@claim("U13", slide=6, topic="regularisation", says="early stopping: stop when the validation error starts increasing",
       expected={"best epoch of 300": Within(8, 60), "test accuracy gained": Within(0.02, 0.3)},
       verdict="shown", trains=True,
       why="200 digits, a fifth of them with a random label, so that there is something to overfit.")
def early_stopping() -> Steps:
    (x, y), (test_x, test_y) = runs.digits()
    few, val = torch.randperm(len(x))[:500].split([200, 300])
    labels = runs.noisy(y[few])
    network = zoo.create("mlp", in_features=64, num_classes=10, hidden_sizes=[100])
    optimizer = torch.optim.Adam(network.parameters(), 1e-2)
    losses, errors, tests = [], [], []
    for _ in range(300):
        loss = F.cross_entropy(network(x[few]), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
        with torch.no_grad():
            errors.append(float(F.cross_entropy(network(x[val]), y[val])))
        tests.append(runs.accuracy(network, test_x, test_y))
    best = min(range(300), key=errors.__getitem__)
    yield "epoch        training loss   validation loss   test accuracy"
    for epoch in (0, best, 299):
        note = " <- stop here" if epoch == best else ""
        yield f"{epoch + 1:5}        {losses[epoch]:13.3f}   {errors[epoch]:15.3f}   {tests[epoch]:13.3f}{note}"
    yield "the training loss goes on falling: it is the wrong labels that are being learnt"
    return {"best epoch of 300": best + 1, "test accuracy gained": tests[best] - tests[-1]}


@claim("U14", slide=6, topic="regularisation", says="regularisation, tuning and ensembles improve performance",
       expected={"single": Within(0.62, 0.8), "ensemble": Within(0.72, 0.9), "L2, tuned": Within(0.83, 0.95)},
       verdict="shown", trains=True,
       why="200 digits, a fifth of them with a random label; with clean labels all three gain a percent at most.")
def regularised_and_together() -> Steps:
    (x, y), (test_x, test_y) = runs.digits()
    few, val = torch.randperm(len(x))[:500].split([200, 300])
    labels = runs.noisy(y[few])

    def trained(rows: Tensor, decay: float) -> nn.Module:
        network = zoo.create("mlp", in_features=64, num_classes=10, hidden_sizes=[30])
        optimizer = torch.optim.Adam(network.parameters(), 1e-2, weight_decay=decay)
        for _ in range(150):
            optimizer.zero_grad()
            F.cross_entropy(network(x[few][rows]), labels[rows]).backward()
            optimizer.step()
        return network.eval()

    single = runs.accuracy(trained(torch.arange(200), 0.0), test_x, test_y)
    bagged = [trained(torch.randint(200, (200,)), 0.0) for _ in range(10)]
    alone = sum(runs.accuracy(network, test_x, test_y) for network in bagged) / 10
    with torch.no_grad():
        vote = sum(network(test_x).softmax(1) for network in bagged).argmax(1)
    ensemble = float((vote == test_y).float().mean())
    yield f"one network 64-30-10 on 200 digits, 40 of them mislabelled: test accuracy {single:.3f}"
    yield f"ten, each on a sample of its own (bagging): {alone:.3f} each, {ensemble:.3f} together"
    networks = {decay: trained(torch.arange(200), decay) for decay in (0.001, 0.01, 0.03, 0.1)}
    tuned = {decay: runs.accuracy(network, x[val], y[val]) for decay, network in networks.items()}
    best = max(tuned, key=tuned.__getitem__)
    shares = ", ".join(f"{decay:g}: {share:.3f}" for decay, share in tuned.items())
    yield f"with L2, accuracy on 300 validation digits by its strength: {shares}"
    regularised = runs.accuracy(networks[best], test_x, test_y)
    yield f"the best of them, {best:g}, on the test set: {regularised:.3f}"
    return {"single": single, "ensemble": ensemble, "L2, tuned": regularised}


@claim("U15", slide=6, topic="training", says="the topology can be learned without gradients, by evolution",
       expected={"wrong answers": 0, "hidden neurons": 2, "generations": Within(1, 300)}, verdict="shown",
       why="(1 + 20) evolution of weights and number of threshold units, which no gradient can train (U04).")
def evolved_xor() -> Steps:
    from zoo.lectures.evolution import evolve

    x = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    run = evolve(x, torch.tensor([0, 1, 1, 0]))
    yield "XOR with step units; 20 children in each generation, the best takes the parent's place"
    better = [i for i in range(1, len(run.wrong)) if run.wrong[i] < min(run.wrong[:i])]
    for i in (0, *better[-2:], len(run.wrong) - 1):
        yield f"generation {i:3}: {run.wrong[i]} of 4 answers wrong, {run.hidden_neurons[i]} hidden neurons"
    yield "when all are right, the smaller net wins: what is left is that of U03"
    return {"wrong answers": run.wrong[-1], "hidden neurons": run.hidden_neurons[-1],
            "generations": -1 if run.solved_in is None else run.solved_in}


@claim("U16", slide=8, topic="representation", says="red pixels: simpler in RGB; less saturated: simpler in HSV",
       expected={"picked": 344, "picked differently": 0, "desaturated differently": Within(high=1e-12)},
       verdict="shown", why="Counted for one rule each; a rule for one hue alone would be the shorter one in HSV.")
def red_and_pale() -> Steps:
    from colorsys import hsv_to_rgb, rgb_to_hsv

    levels = [(i + 0.5) / 16 for i in range(16)]
    pixels = [(r, g, b) for r in levels for g in levels for b in levels]
    in_rgb = [r > 2 * g and r > 2 * b for r, g, b in pixels]
    yield f"red, in RGB: R > 2 G and R > 2 B, two comparisons: picks {sum(in_rgb)} of {len(pixels):,} colours"
    in_hsv = []
    for h, s, _ in (rgb_to_hsv(*pixel) for pixel in pixels):
        away = 360 * min(h, 1 - h)  # degrees from red, on either side
        in_hsv.append(away < 60 and s * (1 - away / 60) > 0.5)
    different = sum(a != b for a, b in zip(in_rgb, in_hsv, strict=True))
    yield f"the same in HSV: S (1 - |H| / 60) > 1/2, H taken around the circle: differs for {different} colours"
    worst = 0.0
    for pixel in pixels:
        h, s, v = rgb_to_hsv(*pixel)
        pale = hsv_to_rgb(h, s / 2, v)
        worst = max(worst, *(abs((max(pixel) + c) / 2 - p) for c, p in zip(pixel, pale, strict=True)))
    yield "half as saturated, in HSV: S / 2, one operation; in RGB: (max(R, G, B) + C) / 2 for each of three C"
    yield f"largest difference between the two: {worst:.0e}"
    return {"picked": sum(in_rgb), "picked differently": different, "desaturated differently": worst}


@claim("U17", slide=8, topic="representation", says="Cartesian or polar coordinates: one task, easy or difficult",
       expected={"best line on x, y": 0.668, "threshold on r": 1.0}, tolerance=0.004, verdict="ok")
def two_rings() -> Steps:
    points, ring = runs.rings()
    angles = torch.arange(0, 180) * torch.pi / 180
    across = points @ torch.stack([angles.cos(), angles.sin()])  # (N, 180): how far along each direction
    right = [((across > c) == ring[:, None]).float().mean(0) for c in torch.linspace(-2.1, 2.1, 85)]
    shares = torch.stack([torch.stack(right), 1 - torch.stack(right)])
    line = float(shares.max())
    yield "two rings around the origin, of radius 1 and 2, 360 points each"
    yield f"x, y: of 180 * 85 lines the best has {100 * line:.1f} % right: it touches the inner ring,"
    yield "      with all of it on one side and 120 of 360 degrees of the outer one on the other: (1 + 1/3) / 2"
    r = points.norm(dim=1)
    polar = float(((r > 1.5) == ring).float().mean())
    yield f"r, theta: r > 1.5 has {100 * polar:.0f} % right"
    return {"best line on x, y": line, "threshold on r": polar}


@claim("U18", slide=9, topic="depth", says="2 layers of representations: shallow; more: deep",
       expected={"xor": 2, "mnist-mlp": 2, "mnist-sda": 4, "mnist-lenet": 5, "cifar10-alexnet": 8},
       verdict="ok by convention", why="Chollet's definition, applied to layers with weights; others count otherwise.")
def layers_of_the_zoo() -> Steps:
    depths = {}
    for name in ("xor", "mnist-mlp", "mnist-sda", "mnist-lenet", "cifar10-alexnet"):
        layers = [layer for layer in zoo.inspect(zoo.load(name)).layers if layer.kind in ("linear", "conv2d")]
        depths[name] = len(layers)
    yield "layers with weights, convolutions and fully connected ones, of networks that ship with the zoo"
    for word in ("shallow", "deep"):
        these = [name for name, depth in depths.items() if (depth > 2) == (word == "deep")]
        yield f"{word + ':':8} {', '.join(f'{name} {depths[name]}' for name in these)}"
    return depths


@claim("U19", slide=10, topic="history", says="1990-2010: CPUs became faster by a factor of about 5,000",
       expected={"months to double": 19.53}, tolerance=0.01, verdict="outside",
       why="Chollet 2018, section 1.3.1; it fits what is called Moore's law, a doubling in 18 to 24 months.")
def months_to_double() -> Steps:
    from math import log2

    doublings = log2(5_000)
    yield f"5,000 = 2^{doublings:.2f}: {doublings:.2f} doublings in 20 years"
    yield f"one in 240 / {doublings:.2f} = {240 / doublings:.1f} months; Moore's law: 18 to 24"
    return {"months to double": 240 / doublings}


@claim("U20", slide=11, topic="history", says="ImageNet: 1.4 million images, 1,000 categories",
       stated=1_400_000, rounding=0.03, expected=1_431_167, verdict="ok",
       why="The three parts of ILSVRC 2012 (Russakovsky et al. 2015); all of ImageNet has ten times as many.")
def imagenet_parts() -> Steps:
    parts = {"training": 1_281_167, "validation": 50_000, "test": 100_000}
    total = sum(parts.values())
    yield f"{' + '.join(f'{count:,} {name}' for name, count in parts.items())} = {total:,}"
    yield f"a category has {parts['training'] / 1000:,.0f} training pictures on average"
    return total


@claim("U21", slide=12, topic="depth", says="better activations, initialisation, optimizers, batch norm, residuals",
       expected={"sigmoid, SGD": Within(2.3, 2.32), "ReLU": Within(2.3, 2.32), "He's initialisation": Within(1.9, 2.3),
                 "Adam": Within(0.5, 1.3), "batch norm": Within(0.5, 1.0), "residual": Within(0.02, 0.15)},
       verdict="shown", trains=True,
       why="20 layers of 48 neurons, each at a rate that suits it, mean of 3 starts; ReLU by itself changes nothing.")
def ladder_of_tricks() -> Steps:
    yield "training loss of 20 layers after 60 batches, each line with all that stands above it (guessing: 2.303)"
    losses = {name: sum(runs.losses_of_a_rung(name)[-1] for _ in range(3)) / 3 for name in runs.RUNGS}
    names = list(losses)
    for pair in (names[:2], names[2:4], names[4:]):
        yield "   ".join(f"{name + ':':22} {losses[name]:6.3f}" for name in pair)
    yield "no single one does it; layer-wise pre-training, which the slide calls abandoned, is C23's"
    return losses


@claim("U22", slide=12, topic="depth", says="the gradient faded away as the number of layers increased",
       expected={"sigmoid": Within(0.15, 0.25), "ReLU": Within(0.8, 1.2)}, verdict="ok",
       experiments=("break_sigmoid_depth",))
def fading_gradient() -> Steps:
    yield "norm of dL/dz by layer, 1 (first) to 20, seen from the last; weights of variance 1/n, for ReLU 2/n"
    factors = {}
    for name in ("sigmoid", "relu"):
        norms = runs.gradient_by_layer(name, depth=20)
        factors[name] = (norms[0] / norms[-1]) ** (1 / 19)
        shares = "   ".join(f"{layer}: {norms[layer - 1] / norms[-1]:.0e}" for layer in (15, 10, 5, 1))
        yield f"{name + ':':8} {shares}   per layer {factors[name]:.3f}"
    yield "each layer multiplies it by W' g'(z); sigmoid' is at most 1/4, and ReLU' is 1 for half of the neurons"
    return {"sigmoid": factors["sigmoid"], "ReLU": factors["relu"]}


@claim("U23", slide=13, topic="history", says="venture capital: $19M in 2011, $394M in 2014; DeepMind bought in 2013",
       expected={"times": 20.7, "times a year": 2.75}, tolerance=0.05, verdict="outside",
       why="Chollet 2018, section 1.3.4, dates it so too; the press reported the purchase on 26 and 27 January 2014.")
def venture_capital() -> Steps:
    times = 394 / 19
    yield f"394 / 19 = {times:.1f} times in three years, {times:.1f}^(1/3) = {times ** (1 / 3):.2f} times a year"
    yield f"DeepMind alone, $500M, cost 500 / 394 = {500 / 394:.2f} times all venture capital in AI of 2014"
    return {"times": times, "times a year": times ** (1 / 3)}


@claim("U24", slide=15, topic="representation", says="letters: grey, (R+G+B)/3, is easier to learn from than colour",
       expected={"lead of grey, 100 digits": Within(0.02, 0.25), "lead of grey, 1,071 digits": Within(-0.03, 0.03),
                 "weights of the first layer": (19_200, 6_400)},
       verdict="shown", trains=True,
       why="Digits in red, green or blue ink; with all 1,071 of them to learn from the lead is gone.")
def grey_or_colour() -> Steps:
    (x, y), (test_x, test_y) = runs.digits()
    yield "each digit is written in red, green or blue ink, drawn at random; an MLP with 100 hidden neurons"
    leads, weights = [], []
    for count in (100, len(x)):
        rows, shares = torch.randperm(len(x))[:count], []
        ink, test_ink = runs.coloured(x[rows]), runs.coloured(test_x)  # (N, 3, 8, 8)
        for seen, test_seen in ((ink, test_ink), (ink.mean(1, True), test_ink.mean(1, True))):
            network = zoo.create("mlp", in_features=seen[0].numel(), num_classes=10, hidden_sizes=[100])
            runs.train(network, F.cross_entropy, seen, y[rows], steps=300, lr=3e-3)
            shares.append(runs.accuracy(network, test_seen, test_y))
            weights.append(network.layers[0].weight.numel())
        yield f"{count:5,} digits to learn from: colour {shares[0]:.3f}, grey {shares[1]:.3f}"
        leads.append(shares[1] - shares[0])
    yield f"weights of the first layer: colour 3 * 64 * 100 = {weights[0]:,}, grey 64 * 100 = {weights[1]:,}"
    return {"lead of grey, 100 digits": leads[0], "lead of grey, 1,071 digits": leads[1],
            "weights of the first layer": tuple(weights[:2])}


@claim("U25", slide=16, topic="convolution", says="translation invariance: a dog is a dog wherever it is",
       expected={"MLP": Within(0.08, 0.2), "convolution, fully connected": Within(0.2, 0.5),
                 "convolution, maximum": Within(0.92, 1.0)},
       verdict="shown", trains=True, experiments=("mnist_mlp", "mnist_lenet"),
       why="Trained on digits in the middle, tested 2 pixels aside; what is invariant is the maximum over all places.")
def shifted_digits() -> Steps:
    curves = runs.accuracy_by_shift(shifts=(0, 2, 4))
    yield "trained on digits of 8x8 in the middle of 16x16; tested 0, 2 and 4 pixels up, down, left and right"
    for name, curve in curves.items():
        yield f"{name + ':':30} {'  '.join(f'{100 * share:5.1f} %' for share in curve)}   (guessing: 10 %)"
    yield "a convolution moves its map along with the picture; only the maximum over the map forgets where"
    return {name: curve[1] for name, curve in curves.items()}


@claim("U26", slide=17, topic="words", says="'dog' means the same in both sentences: learn it once, reuse it",
       expected={"places": 3, "rows": 1, "gradients added up": Within(high=1e-5)}, verdict="ok",
       experiments=("english_skipgram", "pydoc_skipgram"))
def one_row_for_dog() -> Steps:
    vectors = zoo.load("english-skipgram")
    texts = "quick brown dog lazy white dog".split(), "there was a dog with a short tail".split()
    rows = torch.tensor([vectors.number(word) for text in texts for word in text])
    dog, width = vectors.number("dog"), vectors.embedding_dim
    places = rows == dog
    yield f"a word is the number of a row, of {len(vectors.words):,} rows of {width} numbers; dog is row {dog}"
    counts = [text.count("dog") for text in texts]
    yield f"met {counts[0]} times in the first text, {counts[1]} time in the second: always that row"
    table = vectors.vectors.detach().clone().requires_grad_()
    wanted = torch.randn(len(rows), width)  # what each of the places would have it changed by
    (table[rows] * wanted).sum().backward()
    difference = float((table.grad[dog] - wanted[places].sum(0)).abs().max())
    yield f"in training the row's gradient is the sum over its {int(places.sum())} places, to {difference:.0e}"
    yield f"what all its places have taught it: the nearest of all words is {vectors.nearest('dog', 1)[0][0]}"
    return {"places": int(places.sum()), "rows": len(set(rows[places].tolist())), "gradients added up": difference}


@claim("U27", slide=18, topic="parameters", says="share weights where inputs carry the same information",
       expected={"picture": (14_976, 26), "words": (10_000_000, 1_000_000), "letters": (243_720, 5_384)},
       verdict="ok", experiments=("digits_locally_connected",))
def shared_and_not() -> Steps:
    counts = {}
    local = zoo.create("locally_connected", num_classes=10)
    conv = nn.Conv2d(1, 1, kernel_size=5)
    counts["picture"] = sum(p.numel() for p in local.local.parameters()), sum(p.numel() for p in conv.parameters())
    yield "parameters, each place with weights of its own and all places with the same"
    own, shared = counts["picture"]
    yield f"28x28 pixels, windows of 5x5: 24 * 24 * (25 + 1) = {own:,}; as a convolution 25 + 1 = {shared}"
    words, width = zoo.load("english-skipgram").vectors.shape
    counts["words"] = 10 * words * width, words * width
    own, shared = counts["words"]
    yield f"10 words of {words:,}, {width} numbers each: 10 * {words:,} * {width} = {own:,}; one table {shared:,}"
    found = yield from any_length()
    counts["letters"] = found["with weights of their own for 50 steps"], found["parameters"]
    return counts


@claim("U28", slide=20, topic="parameters", says="256x256x3 pixels, 100 hidden, 1 output: 19,660,900 parameters",
       stated=19_660_900, expected=19_660_900, verdict="ok by convention", experiments=("cifar10_cat_or_not",),
       why="Weights alone; with the 101 biases there are 19,661,001.")
def cat_or_not() -> Steps:
    inputs = 256 * 256 * 3
    yield f"inputs: 256 * 256 * 3 = {inputs:,}"
    with torch.device("meta"):  # counted, not held
        network = zoo.create("mlp", in_features=inputs, num_classes=2, hidden_sizes=[100])
    weights = sum(layer.weight.numel() for layer in network.layers)
    yield f"weights: {inputs:,} * 100 + 100 * 1 = {network.layers[0].weight.numel():,} + 100 = {weights:,}"
    everything = sum(p.numel() for p in network.parameters())
    yield f"with biases: {weights:,} + 100 + 1 = {everything:,}, in float32 {4 * everything / 1e6:.1f} MB"
    return weights


@claim("U29", slide=20, topic="convolution", says="MLPs take many parameters and know nothing of translation",
       expected={"convolution": Within(high=1e-5), "MLP": Within(0.9, 1.4), "weights": (19_660_800, 1_200)},
       verdict="shown", experiments=("mnist_mlp", "mnist_nielsen", "cifar10_cat_or_not"),
       why="A bar moved by 3 pixels, seen by the first layers of two networks trained on MNIST; U25 has the accuracy.")
def moved_by_three_pixels() -> Steps:
    bar = torch.zeros(1, 1, 28, 28)
    bar[:, :, 9:19, 9:11] = 1
    moved = bar.roll(3, 3)
    with torch.no_grad():
        conv, dense = zoo.load("mnist-nielsen").convs[0], zoo.load("mnist-mlp").layers[0]
        maps, maps_moved = conv(bar), conv(moved)
        hidden, hidden_moved = dense(bar.flatten(1)).relu(), dense(moved.flatten(1)).relu()
    in_step = float((maps_moved[..., 3:] - maps[..., :-3]).abs().max())
    apart = float((hidden_moved - hidden).norm() / hidden.norm())
    yield "an upright bar, and the same 3 pixels to the right"
    yield f"convolution, 20 maps: they move by 3 as well; largest difference after moving back {in_step:.0e}"
    yield f"MLP, 100 hidden neurons: they change by {100 * apart:.0f} % of their length"
    dense_weights, conv_weights = 256 * 256 * 3 * 100, nn.Conv2d(3, 16, kernel_size=5).weight.numel()
    yield f"weights at 256x256x3: 100 hidden neurons {dense_weights:,} (U28), 16 filters of 5x5x3 {conv_weights:,}"
    return {"convolution": in_step, "MLP": apart, "weights": (dense_weights, conv_weights)}


@claim("U30", slide=21, topic="convolution", says="a neuron sees a window, such as 5x5; a fully connected one sees all",
       expected={"pixels, convolution": 25, "pixels, fully connected": 784, "side, by layer": "5, 6, all, all"},
       verdict="ok", experiments=("mnist_nielsen",))
def receptive_fields() -> Steps:
    network, x = zoo.load("mnist-nielsen"), torch.rand(1, 1, 28, 28, requires_grad=True)
    conv = network.convs[0](x)[0, 0, 12, 12]
    seen = torch.autograd.grad(conv, x)[0][0, 0].nonzero()
    (top, left), (bottom, right) = seen.min(0).values.tolist(), seen.max(0).values.tolist()
    yield f"neuron (12, 12) of a map: dz/dx is not 0 for {len(seen)} pixels, x[{top}..{bottom}, {left}..{right}]"
    dense = zoo.load("mnist-mlp").layers[0](x.flatten(1))[0, 0]
    everything = int((torch.autograd.grad(dense, x)[0] != 0).sum())
    yield f"a neuron of the MLP's hidden layer: for {everything} pixels, 28 * 28"
    layers = zoo.inspect(network).layers
    sides = ", ".join(str(layer.receptive_field) for layer in layers)
    kinds = ", ".join(layer.kind for layer in layers)
    yield f"side of the window, by zoo inspect: {kinds}: {sides}"
    return {"pixels, convolution": len(seen), "pixels, fully connected": everything, "side, by layer": sides}


@claim("U31", slide=21, topic="convolution", says="the filter slides over the map; its dot products are a new map",
       expected={"size": (4, 4), "first": -10.0, "largest difference": Within(high=1e-12)}, verdict="ok")
def sliding_filter() -> Steps:
    x = torch.arange(36.0, dtype=torch.float64).view(6, 6) % 7
    w = torch.tensor([[0.0, 1.0, 0.0], [-1.0, 0.0, 1.0], [0.0, -1.0, 0.0]], dtype=torch.float64)
    rows = cols = 6 - 3 + 1
    by_hand = torch.zeros(rows, cols, dtype=torch.float64)
    for r in range(rows):
        for c in range(cols):
            for j in range(3):
                for k in range(3):
                    by_hand[r, c] += w[j, k] * x[r + j, c + k]
    patch = " ".join(runs.bits(row) for row in x[:3, :3])
    yield f"patch at (0, 0): {patch}; filter: 0 1 0  -1 0 1  0 -1 0"
    yield f"dot product: 1*{x[0, 1]:.0f} - 1*{x[1, 0]:.0f} + 1*{x[1, 2]:.0f} - 1*{x[2, 1]:.0f} = {by_hand[0, 0]:.0f}"
    maps = F.conv2d(x[None, None], w[None, None])[0, 0]
    difference = float((maps - by_hand).abs().max())
    yield f"all {rows} * {cols} places of 6x6 with 3x3, four loops, against conv2d: largest difference {difference:.0e}"
    return {"size": tuple(maps.shape), "first": float(by_hand[0, 0]), "largest difference": difference}


@claim("U32", slide=21, topic="pooling", says="pooling, optional: the maximum or the mean of each patch",
       expected={"maximum": (6, 8, 3, 4), "mean": (3.25, 5.25, 2.0, 2.0), "numbers": (576, 144)}, verdict="ok",
       experiments=("mnist_nielsen", "mnist_lenet", "mnist_lenet_paper"))
def pooling() -> Steps:
    x = torch.tensor([[1.0, 1, 2, 4], [5, 6, 7, 8], [3, 2, 1, 0], [1, 2, 3, 4]])[None, None]
    most, mean = F.max_pool2d(x, 2).flatten(), F.avg_pool2d(x, 2).flatten()
    yield f"4x4: {' / '.join(runs.bits(row) for row in x[0, 0])}, patches of 2x2"
    yield f"maximum of each: {runs.bits(most)}; the first is max(1, 1, 5, 6)"
    yield f"mean of each:    {' '.join(f'{value:g}' for value in mean.tolist())}; the first is (1 + 1 + 5 + 6) / 4"
    pool = zoo.inspect(zoo.load("mnist-nielsen")).layers[1]
    before, after = (int(side.rpartition("x")[2]) ** 2 for side in (pool.input, pool.output))
    yield f"in mnist-nielsen: {pool.input} -> {pool.output}, {before} numbers of a map become {after}; no parameters"
    return {"maximum": tuple(most.int().tolist()), "mean": tuple(mean.tolist()), "numbers": (before, after)}


@claim("U33", slide=22, topic="parameters", says="a 3x3 filter has only 9 parameters, whatever the size of the map",
       stated={"grey": 9}, expected={"grey": 9, "grey, with bias": 10, "RGB": 27, "RGB, with bias": 28},
       verdict="ok by convention", why="One map in and no bias; a filter has a 3x3 slice for each map before it.")
def parameters_of_a_filter() -> Steps:
    counts = {}
    for name, maps in (("grey", 1), ("RGB", 3)):
        conv = nn.Conv2d(maps, 1, kernel_size=3)
        counts[name] = conv.weight.numel()
        counts[f"{name}, with bias"] = conv.weight.numel() + conv.bias.numel()
        yield f"{name + ':':5} {maps} * 3 * 3 = {counts[name]}, with the bias {counts[f'{name}, with bias']}"
    dense = 28 * 28 * 26 * 26
    yield f"fully connected, the same 28x28 -> 26x26: 784 * 676 = {dense:,}; unshared windows: 676 * 9 = {676 * 9:,}"
    return counts


remark("U34", slide="23, 24", topic="pooling", says="pictures of pooling and of a ConvNet", verdict="no claim",
       why="The pictures are not in the text; U32 computes a pooling, U35 what the layers of a ConvNet see.")


@claim("U35", slide=25, topic="convolution", says="layer after layer: edges, arrangements, parts, objects, the class",
       expected={"pixels": Within(0.88, 0.91), "convolution 1": Within(0.89, 0.93), "convolution 2": Within(0.93, 0.96),
                 "hidden 1": Within(0.955, 0.98), "hidden 2": Within(0.97, 0.995)},
       verdict="shown", experiments=("digits_lenet", "mnist_lenet"),
       why="How well the nearest class mean does on each layer; the figure shows what the maps of digits-lenet see.")
def better_representations() -> Steps:
    network, features = zoo.load("digits-lenet"), {}
    (x, y), (test_x, test_y) = runs.digits(28)
    yield "digits-lenet: a test digit belongs to the class whose mean over the training digits is nearest"
    for (name, a), (_, b) in zip(runs.layers_of_lenet(network, x), runs.layers_of_lenet(network, test_x), strict=True):
        means = torch.stack([a[y == digit].mean(0) for digit in range(10)])  # (10, D)
        features[name] = float((torch.cdist(b, means).argmin(1) == test_y).float().mean())
    fields = dict(zip(features, ("1", "6", "16", "all", "all"), strict=True))
    for names in (list(features)[:3], list(features)[3:]):
        yield "   ".join(f"{name} (sees {fields[name]}): {features[name]:.3f}" for name in names)
    yield "from layer to layer the digits of a class come closer together: better representations, one after another"
    return features


@claim("U36", slide=26, topic="applications", says="ConvNets for images, and also for language and time series",
       expected={"weights": 25, "error of persistence": Within(0.2, 0.35), "error of the filter": Within(0.12, 0.22)},
       verdict="shown", why="A list; one of the applications is run: a filter over time foretells the series of U37.")
def filter_over_time() -> Steps:
    series = sum(runs.parts_of_a_series(years=40).values())
    windows, following = series.unfold(0, 24, 1)[:-1], series[24:]  # (N, 24), (N,)
    past = len(windows) // 2
    inputs = torch.cat([windows, torch.ones_like(windows[:, :1])], 1)
    solution = torch.linalg.lstsq(inputs[:past], following[:past, None]).solution[:, 0]
    filter_ = nn.Conv1d(1, 1, kernel_size=24).double()
    with torch.no_grad():
        filter_.weight.copy_(solution[:-1].view(1, 1, 24))
        filter_.bias.copy_(solution[-1:])
        foretold = filter_(series[None, None, :-1])[0, 0]
    weights = sum(p.numel() for p in filter_.parameters())
    yield f"a 1-D convolution over {len(series)} months, a filter of 24: {weights} parameters, fitted to the first half"
    late, spread = slice(past, None), following[past:].std()
    errors = {name: float((guess[late] - following[late]).square().mean().sqrt() / spread)
              for name, guess in (("persistence", windows[:, -1]), ("filter", foretold))}
    yield "error in the second half, as a share of the standard deviation:"
    yield f"  as last month: {errors['persistence']:.3f}   the filter: {errors['filter']:.3f}"
    return {"weights": weights, "error of persistence": errors["persistence"], "error of the filter": errors["filter"]}


@claim("U37", slide="28, 29", topic="representation", says="time series: trend, seasonality, cyclic variation, noise",
       expected={"a year of seasonality": Within(high=1e-12), "trend found": 0.1, "period of the cycle": 60},
       tolerance=0.004, verdict="ok")
def four_components() -> Steps:
    parts = runs.parts_of_a_series(years=40)
    series = sum(parts.values())
    first = "  ".join(f"{name} {float(values[0]):+.3f}" for name, values in parts.items())
    yield f"480 months; the first: {first}  sum {float(series[0]):+.3f}"
    over_a_year = float(parts["seasonality"].unfold(0, 12, 1).mean(1).abs().max())
    yield f"a mean over 12 months leaves of the seasonality {over_a_year:.0e}: it repeats each year"
    smooth = series.unfold(0, 12, 1).mean(1)  # trend, cycle, and what is left of the noise
    months = torch.arange(len(smooth), dtype=torch.float64)
    line = torch.stack([months, torch.ones_like(months)], 1)
    slope = torch.linalg.lstsq(line, smooth[:, None]).solution
    yield f"a line through these means rises by {float(slope[0, 0]):.4f} a month; the trend is 0.1"
    strength = torch.fft.rfft((smooth - (line @ slope)[:, 0])[:420]).abs()
    period = round(420 / int(strength[1:].argmax() + 1))
    yield f"what the line leaves swings with a period of {period} months, longer than a year: the cycle"
    return {"a year of seasonality": over_a_year, "trend found": float(slope[0, 0]), "period of the cycle": period}


@claim("U38", slide=30, topic="representation", says="quiz: sequential data and time series are the same thing? false",
       expected={"order matters": True, "order is time": False}, verdict="ok")
def sequences_without_a_clock() -> Steps:
    matters = sorted("dog") == sorted("god") and "dog" != "god"
    yield "dog and god have the same letters and are different words: what counts is the order"
    partner = str.maketrans("ACGT", "TGCA")
    strand = "GATTACA"
    other = strand.translate(partner)[::-1]  # the strand beside it, which is read the other way
    same = other.translate(partner)[::-1] == strand
    yield f"the DNA {strand}, read from its other end: {other}; and that from its other end: {strand}"
    yield "two readings of one molecule: it has an order, but neither end is earlier"
    return {"order matters": matters, "order is time": not same}


@claim("U39", slide=32, topic="representation", says="order to space: shifted inputs, moving averages, windows",
       expected={"windows": 8, "with the next value": 7, "means": (2.0, 4.0, 6.0, 6.0, 6.0, 8.0, 7.0, 6.0)},
       tolerance=1e-5, verdict="ok")
def windows_of_a_series() -> Steps:
    series = torch.tensor([1.0, 2, 3, 7, 8, 3, 7, 14, 0, 4])
    windows = series.unfold(0, 3, 1)  # (8, 3)
    yield f"N = {len(series)} values {runs.bits(series)}, T = 3: N - T + 1 = {len(windows)} windows"
    yield f"x_(t-2), x_(t-1), x_t as three inputs: {', '.join(runs.bits(row) for row in windows[:4])}, ..."
    means = F.conv1d(series[None, None], torch.full((1, 1, 3), 1 / 3))[0, 0]  # 1/T sum of x_(t-i), i = 0 .. T - 1
    yield f"moving average 1/T sum_i x_(t-i): {runs.bits(means)}; it is a convolution with 1/3 1/3 1/3"
    pairs = list(zip(windows[:-1], series[3:], strict=True))
    window, value = pairs[0]
    yield f"a window and the value after it, to foretell: N - T = {len(pairs)}, {runs.bits(window)} -> {value:g}, ..."
    return {"windows": len(windows), "with the next value": len(pairs), "means": tuple(means.tolist())}


@claim("U40", slide=33, topic="convolution", says="an MLP does not see that it is the same pattern 2 steps later",
       expected={"shifted by": 2, "places that differ, of 10": 6, "cosine": 0.25, "filter, maximum": (3.0, 3.0),
                 "filter, where": (2, 4)},
       tolerance=1e-6, verdict="ok")
def same_pattern_later() -> Steps:
    first, second = torch.tensor([[0.0, 0, 1, 1, 1, 0, 0, 1, 0, 0], [0, 0, 0, 0, 1, 1, 1, 0, 0, 1]])
    shift = next(s for s in range(10) if torch.equal(second[s:], first[: 10 - s]) and not second[:s].any())
    yield f"a = {runs.bits(first)}   b = {runs.bits(second)}: b is a, {shift} steps later"
    different = int((first != second).sum())
    cosine = float(F.cosine_similarity(first, second, dim=0))
    dot = float(first @ second)
    yield f"to an MLP, input by input: {different} of 10 differ; a . b = {dot:g}, cosine {dot:g} / (2 * 2) = {cosine:g}"
    responses = F.conv1d(torch.stack([first, second])[:, None], torch.ones(1, 1, 3))[:, 0]  # (2, 8)
    most, where = responses.max(1)
    yield f"the filter 1 1 1 on a: {runs.bits(responses[0])}; on b: {runs.bits(responses[1])}"
    yield f"the same maximum {most[0]:.0f}, in a at {int(where[0])}, in b at {int(where[1])}"
    return {"shifted by": shift, "places that differ, of 10": different, "cosine": cosine,
            "filter, maximum": tuple(most.tolist()), "filter, where": tuple(where.tolist())}


@claim("U41", slide=35, topic="recurrence", says="a discrete-time dynamic neuron: a(t+1) from a(t) and the inputs",
       expected={"impulse": (1.0, 0.5, 0.25, 0.125), "constant input": 2.0}, tolerance=1e-6, verdict="extraction",
       why="The signs of the formula are lost; run here as a(t+1) = r a(t) + sum w_i x_i(t), y = g(a), the usual one.")
def dynamic_neuron() -> Steps:
    def run(inputs: list[float], r: float = 0.5, w: float = 1.0) -> list[float]:
        a, activities = 0.0, []
        for x in inputs:
            a = r * a + w * x
            activities.append(a)
        return activities

    impulse, constant = run([1, 0, 0, 0]), run([1] * 60)
    yield "a(t+1) = 0.5 a(t) + x(t), from a(0) = 0"
    yield f"an impulse 1 0 0 0: a = {' '.join(f'{a:g}' for a in impulse)}: it fades by r at each step"
    first = " ".join(f"{a:g}" for a in constant[:4])
    yield f"a constant input 1 1 1 ...: a = {first} ... -> {constant[-1]:g} = 1 / (1 - r)"
    return {"impulse": tuple(impulse), "constant input": constant[-1]}


@claim("U42", slide=36, topic="recurrence", says="delay D: y_j(t) = w y_i(t - D); such connections are recurrent",
       expected={"arrives at": (1, 2, 3), "a delay line answers for": 3, "a loop answers for": 10},
       verdict="ok by convention",
       why="As a definition; delays without a loop, as in Waibel's time-delay network, are mostly called feed-forward.")
def delayed_connections() -> Steps:
    y_i = torch.zeros(10)
    y_i[1] = 1
    arrivals = []
    for delay in (0, 1, 2):
        y_j = 0.5 * F.pad(y_i, (delay, 0))[:10]
        arrivals.append(int(y_j.argmax()))
        yield f"D = {delay}: y_j(t) = 0.5 y_i(t - {delay}): {' '.join(f'{y:g}' for y in y_j[:6].tolist())}"
    line = sum(F.pad(y_i, (delay, 0))[:10] for delay in (0, 1, 2))
    loop, state = [], 0.0
    for x in [1.0] + [0.0] * 9:
        state = x + 0.5 * state
        loop.append(state)
    yield f"three delays side by side: an impulse is answered for {int((line > 0).sum())} steps, then forgotten"
    yield f"a loop, y(t) = x(t) + 0.5 y(t-1): {' '.join(f'{y:g}' for y in loop[:5])} ... never ends: this is memory"
    return {"arrives at": tuple(arrivals), "a delay line answers for": int((line > 0).sum()),
            "a loop answers for": sum(y > 0 for y in loop)}


@claim("U43", slide=38, topic="recurrence", says="two neurons: y1 from x and both a step ago, y2 from y1 now",
       expected={"y1": (1.0, 0.0, -0.25), "y2": (2.0, 1.0, 0.0), "as a matrix": Within(high=1e-12)},
       tolerance=1e-9, verdict="ok")
def two_neurons_three_steps() -> Steps:
    wx1, w11, w21, w12, w22 = 1.0, 0.5, -0.25, 2.0, 0.5
    yield f"wx1 = {wx1:g}, w11 = {w11:g}, w21 = {w21:g}, w12 = {w12:g}, w22 = {w22:g}; x = 1, 0, 0; y1(0) = y2(0) = 0"
    y1 = y2 = 0.0
    run = []
    for t, x in enumerate((1.0, 0.0, 0.0), 1):
        before = (y1, y2)
        y1 = wx1 * x + w11 * before[0] + w21 * before[1]
        y2 = w12 * y1 + w22 * before[1]  # y1 of now: this connection has no delay
        run.append((y1, y2))
        yield (f"t = {t}  y1 = 1*{x:g} + 0.5*{before[0]:g} - 0.25*{before[1]:g} = {y1:g}"
               f"   y2 = 2*{y1:g} + 0.5*{before[1]:g} = {y2:g}")
    now = torch.tensor([[0.0, 0.0], [w12, 0.0]], dtype=torch.float64)  # (I - now) y(t) = ago y(t-1) + in x(t)
    ago = torch.tensor([[w11, w21], [0.0, w22]], dtype=torch.float64)
    unmix, y = torch.linalg.inv(torch.eye(2, dtype=torch.float64) - now), torch.zeros(2, dtype=torch.float64)
    worst = 0.0
    for x, expected in zip((1.0, 0.0, 0.0), run, strict=True):
        y = unmix @ (ago @ y + torch.tensor([wx1 * x, 0.0], dtype=torch.float64))
        worst = max(worst, float((y - torch.tensor(expected, dtype=torch.float64)).abs().max()))
    yield f"as a matrix, y(t) = (I - W0)^-1 (W1 y(t-1) + Wx x(t)): differs by {worst:.0e}"
    return {"y1": tuple(a for a, _ in run), "y2": tuple(b for _, b in run), "as a matrix": worst}


@claim("U44", slide="39-42", topic="recurrence", says="BPTT: unroll, propagate errors from T to 1, add up, update once",
       expected=Within(high=1e-12), verdict="ok", experiments=("abc_rnn",))
def shared_weights_unrolled() -> Steps:
    steps = 5
    x, target = torch.randn(1, steps, 3, dtype=torch.float64), torch.randn(1, steps, 4, dtype=torch.float64)
    shared = recurrent_layers("rnn", input_size=3, hidden_size=4, implementation="reference").double()
    F.mse_loss(shared(x)[0], target).backward()
    w = {name.removesuffix("_l0"): p for name, p in shared.named_parameters()}
    yield f"one RNN of 3 inputs and 4 neurons, unrolled over T = {steps}; its weights are used {steps} times"

    copies = [{name: p.detach().clone().requires_grad_() for name, p in w.items()} for _ in range(steps)]
    state, outputs = (torch.zeros(1, 4, dtype=torch.float64),), []
    for x_t, copy in zip(x.unbind(1), copies, strict=True):  # now each step has weights of its own
        state, _ = rnn_step(x_t, state, copy, "tanh")
        outputs.append(state[0])
    F.mse_loss(torch.stack(outputs, 1), target).backward()
    entry = [float(copy["weight_ih"].grad[0, 0]) for copy in copies]
    total = float(w["weight_ih"].grad[0, 0])
    yield "a feed-forward net of 5 layers with copies of the weights: dL/dWhx[1,1] of copy t = 1 .. 5, and their sum"
    yield f"  {' '.join(f'{g:+.5f}' for g in entry)}   sum {sum(entry):+.5f}   shared weights: {total:+.5f}"
    difference = max(float((sum(c[name].grad for c in copies) - p.grad).abs().max()) for name, p in w.items())
    yield f"largest difference over all {sum(p.numel() for p in w.values())} parameters: {difference:.0e}"
    return difference


@claim("U45", slide=42, topic="recurrence", says="weight sharing lets RNNs read sequences of variable length",
       expected={"lengths read": 48, "parameters": 5_384, "with weights of their own for 50 steps": 243_720},
       verdict="ok", experiments=("reviews_lstm",))
def any_length() -> Steps:
    network = zoo.create("sequence_rnn", num_classes=8, vocab_size=10, in_features=0, cell="rnn", hidden_size=64)
    with torch.no_grad():
        read = [length for length in range(3, 51) if network(torch.zeros(1, length, dtype=torch.int64)).shape == (1, 8)]
    yield f"one network reads sequences of {read[0]} to {read[-1]} steps: {len(read)} lengths, 8 logits each time"
    recurrent, output = (sum(p.numel() for p in part.parameters()) for part in (network.layers, network.output))
    yield f"parameters, whatever the length: 64 * (10 + 64 + 2) + 8 * (64 + 1) = {recurrent + output:,}"
    yield f"were the weights different at each of 50 steps, a feed-forward net: 50 * {recurrent:,} + {output}"
    return {"lengths read": len(read), "parameters": recurrent + output,
            "with weights of their own for 50 steps": 50 * recurrent + output}


@claim("U46", slide="43-48", topic="recurrence", says="five modes: 1 to 1, 1 to N, N to 1, N to M, N to N in step",
       expected={"1 to 1": (1, 3), "1 to N": (1, 5), "N to 1": (1, 3), "N to M": (1, 4, 20), "N to N": (1, 6, 4)},
       verdict="ok", experiments=("reviews_lstm", "multi30k_gru_attention", "shakespeare_lstm"))
def five_modes() -> Steps:
    picture, letters = torch.randn(1, 7), torch.tensor([[0, 1, 2, 3, 0, 1]])
    classifier = zoo.create("mlp", in_features=7, num_classes=3)
    writer = zoo.create("char_rnn", vocabulary="abcd", cell="rnn", hidden_size=8)
    critic = zoo.create("sequence_rnn", num_classes=3, vocab_size=4, in_features=0, hidden_size=8)
    translator = zoo.create("seq2seq", vocab_size=20, hidden_size=8, embedding_dim=8)
    state, letter, caption = (nn.Linear(7, 8)(picture)[None],), letters[:, :1], []
    for _ in range(5):  # what is written is read at the next step
        logits, state = writer.unroll(letter, state)
        letter = logits.argmax(2)
        caption.append(letter)
    source, target = torch.randint(4, 20, (1, 6)), torch.randint(4, 20, (1, 4))
    modes = {
        "1 to 1": ("a picture -> its class", picture, classifier(picture)),
        "1 to N": ("a picture -> its caption", picture, torch.cat(caption, 1)),
        "N to 1": ("a review -> how it is meant", letters, critic(letters)),
        "N to M": ("a sentence -> its translation", source, translator(source, target)),
        "N to N": ("each frame -> its label", letters, writer(letters)),
    }
    for mode, (task, given, made) in modes.items():
        what = "letters" if mode == "1 to N" else "logits"
        yield f"{mode}   {task:30}  {runs.size(given)} -> {runs.size(made)} {what}"
    return {mode: tuple(made.shape) for mode, (_, _, made) in modes.items()}


@claim("U47", slide=49, topic="recurrence", says="a small gap, clouds and sky: RNNs can learn to use the past",
       expected={"gap 1": Within(0.97, 1.0), "gap 3": Within(0.97, 1.0)}, verdict="shown", trains=True,
       experiments=("recall_rnn", "pydoc_lstm"),
       why="A symbol is asked for after 1 to 3 others; a plain RNN with 64 neurons.")
def recall_over_a_short_gap() -> Steps:
    curve = runs.recall_curve("rnn", [1, 2, 3], lr=3e-3)
    yield "recall one of 8 symbols after 1, 2 or 3 others; a plain RNN, 500 batches of 64"
    yield f"accuracy at gap 1: {curve[0]:.3f}, gap 2: {curve[1]:.3f}, gap 3: {curve[2]:.3f}   (guessing: 0.125)"
    return {"gap 1": curve[0], "gap 3": curve[2]}


@claim("U48", slide=50, topic="recurrence", says="as the gap grows, RNNs become unable to connect the information",
       expected={"RNN, gap 1": Within(0.85, 1.0), "RNN, gap 40": Within(0.08, 0.45), "LSTM, gap 40": Within(0.95, 1.0)},
       verdict="shown", trains=True,
       experiments=("recall_rnn", "recall_irnn", "recall_gru", "recall_lstm", "recall_transformer"),
       why="The first symbol is asked for after a gap of others; both saw the same sequences equally often.")
def recall_over_a_gap() -> Steps:
    gaps = [1, 2, 5, 10, 20, 40]
    yield "recall one of 8 symbols after a gap of others, as France after a long text; 500 batches of 64"
    yield f"gap            {' '.join(f'{gap:5}' for gap in gaps)}    (guessing: 0.125)"
    curves = {"RNN": runs.recall_curve("rnn", gaps, lr=3e-3), "LSTM": runs.recall_curve("lstm", gaps, lr=1e-2)}
    for name, curve in curves.items():
        yield f"{name:5} accuracy {' '.join(f'{share:5.2f}' for share in curve)}"
    return {"RNN, gap 1": curves["RNN"][0], "RNN, gap 40": curves["RNN"][-1], "LSTM, gap 40": curves["LSTM"][-1]}


@claim("U49", slide=7, topic="recurrence", says="outcomes: vanishing gradients, echo state networks, LSTM, embeddings",
       expected={"weights, trained and fixed": (202, 40_400), "error": Within(0.0, 0.001),
                 "persistence": Within(0.14, 0.15)},
       verdict="shown", experiments=("mackey_glass_esn",),
       why="The slides end at 50, before these outcomes; the echo state network, which no other lecture has, is run.")
def echo_state_network() -> Steps:
    from zoo.registry import build

    data = build("data", "mackey_glass", {"train_size": 600, "length": 50})
    data.load()
    network = zoo.create("echo_state_network", in_features=1)
    fixed, trained = (sum(x.numel() for x in part) for part in (network.buffers(), network.parameters()))
    yield f"200 neurons: fixed weights 200 * (200 + 1 + 1) = {fixed:,}; read-out 200 + 1 + 1 = {trained}"
    network.update(data.train, lr=0.0)
    found = data.probe(network)
    windows = f"{len(data.train[0])} windows of {data.length}"
    yield f"chaotic series of Mackey and Glass, {windows}: the read-out is the solution of linear equations"
    yield f"next value, error as a share of the deviation: {found['nrmse']:.5f}"
    yield f"the same for 'as the last value':              {found['nrmse_of_persistence']:.5f}"
    return {"weights, trained and fixed": (trained, fixed), "error": found["nrmse"],
            "persistence": found["nrmse_of_persistence"]}
