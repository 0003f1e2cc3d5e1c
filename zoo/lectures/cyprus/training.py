# fmt: off
"""Cyprus, U11 to U15: how they are trained."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import zoo
from zoo.lectures.cyprus import runs
from zoo.lectures.ledger import Steps, Within, claim


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
       why="200 digits, a fifth of them with a random label; with clean labels there is hardly anything to gain.")
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
    yield f"one network 64-30-10 on 200 digits, 40 of them labelled at random: test accuracy {single:.3f}"
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
    yield "when all are right, the smaller net wins: what is left is as small as that of U03"
    return {"wrong answers": run.wrong[-1], "hidden neurons": run.hidden_neurons[-1],
            "generations": -1 if run.solved_in is None else run.solved_in}
