# fmt: off
"""Prague (P. Pošík), C21 to C24: autoencoders, layer by layer."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import zoo
from zoo.lectures.ledger import Steps, Within, claim
from zoo.lectures.prague.runs import (
    accuracy,
    descend,
    linear_on,
    some_of_each,
    train_phase,
)
from zoo.lectures.small_tasks import digits, fit


@claim("C21", slide=28, topic="autoencoders", says="autoencoder: reconstruct through fewer neurons; reduces dimensions",
       expected={"linear autoencoder": 1.52728, "PCA": 1.52728}, tolerance=2e-4, verdict="ok", trains=True,
       experiments=("mnist_autoencoder", "mnist_autoencoder_linear", "mnist_deep_autoencoder"))
def linear_autoencoder_is_pca() -> Steps:
    x, _ = digits("train")
    x = x.flatten(1).double()
    network = zoo.create("autoencoder", in_features=64, hidden_sizes=[8], activation="linear", code_activation="linear",
                         output_activation="linear", pretraining_epochs=0).double()
    yield "64 pixels - 8 hidden neurons - 64 pixels; loss: squared error per picture, summed over the pixels"
    with torch.no_grad():
        start = float(network.loss((x,))["loss"])
    optimizer = torch.optim.LBFGS(network.parameters(), max_iter=500, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = network.loss((x,))["loss"]
        loss.backward()
        return loss

    optimizer.step(closure)
    with torch.no_grad():
        end = float(network.loss((x,))["loss"])
    values = torch.linalg.svdvals(x - x.mean(0))
    best = float(values[8:].square().sum() / len(x))
    total = float(values.square().sum() / len(x))
    yield f"without hidden neurons, only the mean: {total:.4f}; autoencoder at the start: {start:.4f}"
    yield f"linear autoencoder, trained: {end:.5f}; PCA, 8 components: {best:.5f} = sum of the other 56 variances"
    return {"linear autoencoder": end, "PCA": best}


@claim("C22", slide="29-32", topic="autoencoders", says="always train a single layer: vanishing gradients are no issue",
       expected={"trained": (2_144, 560, 152), "frozen stay": True, "error after 1": Within(0.6, 0.95),
                 "after 2": Within(0.3, 0.8)},
       verdict="loose", trains=True, experiments=("digits_sda", "mnist_deep_autoencoder"),
       why="Right in the main; but as drawn, an inner layer's error comes back through the frozen outer decoders, and "
           "shrinks a little.",
       correction="Hardly an issue; none if each layer reconstructs the code that it is given (Bengio et al. 2006)")
def one_layer_at_a_time() -> Steps:
    x, y = digits("train")
    network = zoo.create("autoencoder", in_features=64, hidden_sizes=[32, 16, 8], target="input")
    trained, frozen_stay = [], True
    for k in range(3):
        before = {name: p.detach().clone() for name, p in network.named_parameters()}
        train_phase(network, k, x, y, steps=100, lr=1e-2)
        learns = {name for name, p in network.named_parameters() if p.requires_grad}
        trained.append(sum(before[name].numel() for name in learns))
        stays = {name for name, p in network.named_parameters() if torch.equal(p, before[name])}
        frozen_stay &= stays == before.keys() - learns
        total = sum(p.numel() for p in before.values())
        yield f"layer {k + 1}: trains {trained[-1]:,} of {total:,} parameters; the others stay: {frozen_stay}"
    network.requires_grad_(True)
    h, errors = network.encode(x), []
    for k in (2, 1, 0):  # z_k, of which r_k is made; the error of r_0 comes back from z_0 to z_2
        z = network.decoders[k](h, network.encoders[k])
        z.retain_grad()
        errors.insert(0, z)
        h = network.activations[k](z)
    (h - x.flatten(1)).square().sum().backward()
    sizes = [float(z.grad.norm()) for z in errors]  # |dL/dz_k|
    left = [size / sizes[0] for size in sizes]
    shares = ", ".join(f"{100 * share:.1f} %" for share in left)
    yield f"layer 3's error on its way back through two frozen decoders: {shares}"
    yield "with target=code, layer 3 reconstructs h_2: nothing frozen lies between it and its error"
    return {"trained": tuple(trained), "frozen stay": frozen_stay, "error after 1": left[1], "after 2": left[2]}


@claim("C23", slide=33, topic="autoencoders", says="attach a classifier to the encoder, train it and fine-tune",
       expected={"pre-trained": Within(0.83, 0.93), "usual start": Within(0.05, 0.2), "good start": Within(0.83, 0.93)},
       verdict="shown", trains=True, experiments=("mnist_sda", "mnist_sda_control", "digits_sda", "mnist_few_labels"),
       why="Three sigmoid layers, 100 labels: pre-trained they learn, from PyTorch's start they do not; from Glorot's, "
           "which came later, they do too.")
def classifier_on_an_encoder() -> Steps:
    (x, y), test = digits("train"), digits("test")
    options = {"in_features": 64, "num_classes": 10, "hidden_sizes": [64, 64, 64]}
    pretrained = zoo.create("autoencoder_classifier", **options)
    yield f"64 - 64 - 64 - 64 - 10 with sigmoids; each layer an autoencoder on {len(x):,} digits without labels"
    for k in range(3):
        train_phase(pretrained, k, x, y, steps=200, lr=1e-2)
    pretrained.phase = 3
    networks = {
        "pre-trained": pretrained.requires_grad_(True),
        "usual start": zoo.create("mlp", activation="sigmoid", **options),
        "good start": zoo.create("autoencoder_classifier", pretraining_epochs=0, **options)}
    rows, shares = some_of_each(y, 10), {}
    for name, network in networks.items():
        descend(network.train(), x[rows], y[rows], 300, 0.1)
        shares[name] = accuracy(network.eval(), *test)
    yield "then all of it by gradient descent on 10 labelled digits of each class, 300 steps:"
    yield f"  pre-trained {100 * shares['pre-trained']:.1f} %; from PyTorch's start {100 * shares['usual start']:.1f} %"
    yield f"  from Glorot's start, its weights four times as large for sigmoids: {100 * shares['good start']:.1f} %"
    return shares


@claim("C24", slide=34, topic="representation", says="transfer learning: part of a model serves a related task",
       expected={"re-used": Within(0.79, 0.91), "random": Within(0.68, 0.84), "from scratch": Within(0.66, 0.81),
                 "gain": Within(0.04, 0.2)},
       verdict="shown", trains=True, experiments=("mnist_transfer", "digits_transfer"),
       why="Convolutions learnt on MNIST serve for digits of other writers on a coarser grid, three examples of each.")
def transfer_from_mnist() -> Steps:
    (x, y), (test_x, test_y) = digits("train"), digits("test")
    x, test_x = ((F.pad(F.interpolate(part, 20, mode="bilinear"), [4] * 4) - 0.1307) / 0.3081 for part in (x, test_x))
    draws = [some_of_each(y, 3) for _ in range(5)]
    shares = {}
    for name, source in (("re-used", zoo.load("mnist-lenet")), ("random", zoo.create("lenet", num_classes=10))):
        steps = (source.conv1, nn.ReLU(), source.pool1, source.conv2, nn.ReLU(), source.pool2, nn.Flatten())
        features = nn.Sequential(*steps).requires_grad_(False)
        tests = features(test_x)  # (602, 400)
        shares[name] = sum(linear_on(features(x[draw]), y[draw], tests, test_y) for draw in draws) / 5
    scratch = []
    for draw in draws:
        lenet = zoo.create("lenet", num_classes=10)
        fit(lenet, lambda draw=draw, net=lenet: net.loss((x[draw], y[draw]))["loss"], 100, 3e-3)
        scratch.append(accuracy(lenet, test_x, test_y))
    shares["from scratch"] = sum(scratch) / 5
    yield f"three examples of each digit, the mean of five draws; {len(test_y)} digits of scikit-learn to read:"
    yield f"  LeNet's two convolutions from MNIST, frozen, and a new linear layer: {100 * shares['re-used']:.1f} %"
    yield f"  the same with convolutions at their random start: {100 * shares['random']:.1f} %"
    yield f"  all of LeNet from scratch: {100 * shares['from scratch']:.1f} %"
    return shares | {"gain": shares["re-used"] - shares["from scratch"]}
