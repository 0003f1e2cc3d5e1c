"""Experiments whose failure is promised: each fails because of what it says, and what its file names mends it."""

import math
import re
import statistics
from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from conftest import ROOT, marked, needs_mnist
from torch.nn.utils import clip_grad_norm_

import zoo
from zoo.config import compose_settings
from zoo.models.recurrent import readable
from zoo.registry import build

Train = Callable[..., dict[str, Any]]
BREAKS = sorted(path.stem for path in (ROOT / "configs" / "experiment").glob("break_*.yaml"))
MENDED = re.compile(r"^# Mended: (\S+): (\S+) (-?[\d.]+) ± [\d.]+ \(n = 3\)\.$", re.MULTILINE)
FAST = ("figures=false", "logger=csv", "trainer.progress=false")


def loaded(name: str, **arguments: Any) -> Any:
    data = build("data", name, arguments)
    data.load()
    return data


def mended(name: str) -> tuple[str, str, float]:
    """The override that mends a break, the promised metric, and what it is then, as the experiment's file says."""
    (found,) = MENDED.findall((ROOT / "configs" / "experiment" / f"{name}.yaml").read_text())
    return found[0], found[1], float(found[2])


@pytest.mark.parametrize("name", BREAKS)
def test_what_mends_it_is_named_and_misses_the_promise(name: str) -> None:
    override, metric, value = mended(name)
    ((promised, (low, high)),) = compose_settings([f"experiment={name}", override]).expect.items()
    assert metric == promised and not low <= value <= high


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", marked(BREAKS))
def test_mended_it_does_not_break(name: str, train: Train) -> None:
    override, metric, value = mended(name)
    result = train(f"experiment={name}", override, *FAST)
    assert result["pass"] is False
    assert result["metrics"][metric] == pytest.approx(value, abs=max(0.05, 0.2 * abs(value)))


# --- Shanghai S05, S08: no activation -----------------------------------------------------------------------------


def test_without_an_activation_a_network_is_one_matrix(train: Train) -> None:
    result = train("experiment=break_no_activation", *FAST)
    net = zoo.load(result["checkpoint"])
    x, targets = loaded("xor").test
    matrix, bias = torch.eye(2), torch.zeros(2)
    for layer in net.layers:
        matrix, bias = layer.weight @ matrix, layer.weight @ bias + layer.bias
    with torch.no_grad():
        torch.testing.assert_close(net(x), x @ matrix.T + bias, atol=1e-6, rtol=0)
    assert result["metrics"]["test/acc"] <= 0.75
    rules = torch.randn(3, 10_000)  # w1, w2, b
    logits = x @ rules[:2] + rules[2]  # (4, 10000)
    losses = F.softplus(torch.where(targets[:, None] == 1, -logits, logits)).mean(0)
    assert float(losses.min()) > math.log(2)


# --- Cyprus U04: step units ---------------------------------------------------------------------------------------


def separable(net: Any, x: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """For which copies of two hidden step units (R,) some threshold unit can tell the classes by what these give.

    Of two bits a threshold unit computes every function but XOR and its negation.
    """
    z = (x @ net.weight1.flatten(1)).unflatten(1, net.bias1.shape) + net.bias1  # (4, 2, R)
    code = 2 * (z[:, 0] > 0).long() + (z[:, 1] > 0).long()  # (4, R), in 0..3
    tables = [torch.tensor(table) for table in product((0, 1), repeat=4) if table not in ((0, 1, 1, 0), (1, 0, 0, 1))]
    assert len(tables) == 14
    return torch.stack([(table[code] == targets[:, None]).all(0) for table in tables]).any(0)


def test_nothing_before_a_step_moves_and_what_is_solved_was_drawn(train: Train) -> None:
    result = train("experiment=break_step_units", "trainer.max_epochs=4", *FAST)
    net = zoo.load(result["checkpoint"])
    torch.manual_seed(0)
    start = zoo.create("many_mlps", **net.card["arguments"])
    for name in ("weight1", "bias1"):
        assert torch.equal(getattr(net, name), getattr(start, name)), name
    for name in ("weight2", "bias2"):  # a unit that is 1 for no pattern leaves its output weight alone
        assert (getattr(net, name) != getattr(start, name)).float().mean() > 0.5, name
    x, targets = batch = loaded("xor").test
    start.loss(batch)["loss"].backward()
    assert start.weight1.grad.eq(0).all() and start.bias1.grad.eq(0).all()
    assert start.weight2.grad.ne(0).float().mean() > 0.5
    with torch.no_grad():
        solved = ((net(x) > 0) == targets[:, None]).all(0)
    assert torch.equal(solved, separable(start, x, targets))
    assert result["metrics"]["test/solved"] == pytest.approx(float(solved.float().mean()))
    assert 0 < int(solved.sum()) < 50


# --- Shanghai S18: the learning rate ------------------------------------------------------------------------------


def test_gradient_descent_converges_below_two_over_the_curvature_and_not_above(train: Train) -> None:
    points, targets = loaded("pass_class").train
    x, y = torch.cat([torch.ones(len(points), 1), points], 1).double(), targets.double()

    def gradient(w: torch.Tensor) -> torch.Tensor:
        return x.T @ (torch.sigmoid(x @ w) - y) / len(x)

    def hessian(w: torch.Tensor) -> torch.Tensor:
        p = torch.sigmoid(x @ w)
        return (x.T * (p * (1 - p))) @ x / len(x)

    lowest = torch.zeros(3, dtype=torch.float64)
    for _ in range(20):  # Newton
        lowest -= torch.linalg.solve(hessian(lowest), gradient(lowest))
    curvatures, directions = torch.linalg.eigh(hessian(lowest))
    limit = 2 / float(curvatures[-1])
    for share, grows in ((0.99, False), (1.01, True)):  # of 2/L: off by a factor of 1 - 1.98 or 1 - 2.02 in each step
        w = lowest + 1e-6 * directions[:, -1]
        for _ in range(200):
            w = w - share * limit * gradient(w)
        assert (float((w - lowest).norm()) > 1e-6) == grows
    name = "break_learning_rate"
    mended_by, promised = mended(name)[0], compose_settings([f"experiment={name}"]).optimizer["lr"]
    assert float(mended_by.partition("=")[2]) < limit < 20 < promised
    torch.manual_seed(0)
    nets = [zoo.create("mlp", in_features=2, num_classes=2, hidden_sizes=[])]
    for number, lr in enumerate((mended_by, "optimizer.lr=20", f"optimizer.lr={promised}")):
        nets.append(zoo.load(train(f"experiment={name}", lr, f"run_dir={number}", *FAST)["checkpoint"]))
    with torch.no_grad():
        start, below, above, far = (float(net.loss((points, targets))["loss"]) for net in nets)
    least = float(F.binary_cross_entropy_with_logits(x @ lowest, y))
    assert below == pytest.approx(least, abs=1e-4)
    assert least + 0.01 < above < start < far  # just above it swings, with a width that grows with the rate


# --- Shanghai S35: clipping ---------------------------------------------------------------------------------------


def test_the_same_training_explodes_without_clipping_only() -> None:
    """Until a gradient's norm is first above 1 both are the same; then one is cut to 1, and the other leads astray."""
    settings = compose_settings(["experiment=break_no_clipping"])
    data = loaded("pydoc")
    norms, losses = {}, {}
    for clip in (math.inf, 1.0):
        torch.manual_seed(0)
        net = zoo.create("char_rnn", vocabulary=data.provides["vocabulary"], cell="rnn")
        optimizer = torch.optim.SGD(net.parameters(), settings.optimizer["lr"])
        norms[clip], losses[clip], state = [], [], None
        for batch in data.batches("train", seed=0):
            metrics = net.loss(batch, state)
            state = metrics["state"]
            optimizer.zero_grad()
            metrics["loss"].backward()
            norms[clip].append(float(clip_grad_norm_(net.parameters(), clip)))
            losses[clip].append(float(metrics["loss"].detach()))
            optimizer.step()
    first = next(step for step, norm in enumerate(norms[1.0]) if norm > 1)
    assert 0 < first < 20 and norms[1.0][: first + 1] == norms[math.inf][: first + 1]
    assert statistics.median(norms[1.0]) < 1 < 2 < statistics.median(norms[math.inf])
    assert max(norms[1.0]) < 10 < max(norms[math.inf])
    assert losses[1.0][-1] < 3.5 < math.log(len(net.vocabulary)) < losses[math.inf][-1]


# --- Prague C17, C18: sigmoids in depth ---------------------------------------------------------------------------


def test_through_sigmoids_the_gradient_vanishes_from_layer_to_layer(train: Train) -> None:
    settings = compose_settings(["experiment=break_sigmoid_depth"])
    images, labels = loaded("digits").train
    first = {}
    for activation in ("sigmoid", "relu"):
        torch.manual_seed(0)
        arguments = settings.model | {"activation": activation, "in_features": 784, "num_classes": 10}
        net = zoo.create("mlp", **arguments)
        net.loss((images, labels))["loss"].backward()
        norms = torch.stack([layer.weight.grad.norm() for layer in net.layers])  # (21,)
        first[activation] = float(norms[0] / norms[-1])
        if activation == "sigmoid":
            assert (norms[1:-1] / norms[2:] < 0.25).all()  # the first layer has more weights than the others
    assert first["sigmoid"] < 1e-14 and first["relu"] > 1e-8
    result = train("experiment=break_sigmoid_depth", "trainer.max_epochs=5", *FAST)
    torch.manual_seed(0)
    start, end = zoo.create("mlp", **arguments | {"activation": "sigmoid"}), zoo.load(result["checkpoint"])
    with torch.no_grad():
        moved = [float((end.layers[i].weight - w).norm() / w.norm()) for i in (0, -1) for w in [start.layers[i].weight]]
    assert moved[0] < 1e-9 and moved[1] > 1e-2


# --- Prague C27: permuted pixels ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["digits", pytest.param("mnist", marks=needs_mnist)])
def test_all_pictures_are_permuted_alike_and_can_be_put_back(name: str) -> None:
    plain, mixed = loaded(name), loaded(name, permute=True)
    assert "permutation" not in plain.transform
    order = torch.tensor(mixed.transform["permutation"])
    assert sorted(order.tolist()) == list(range(784)) and (order != torch.arange(784)).float().mean() > 0.9
    for part in ("train", "val", "test"):
        images, labels = getattr(mixed, part)
        wanted, same = getattr(plain, part)
        assert torch.equal(images.flatten(1)[:, order.argsort()].view_as(images), wanted)
        assert torch.equal(labels, same)
    assert loaded(name, permute=True).transform == mixed.transform


def test_to_an_mlp_permuted_pixels_are_only_weights_in_another_order() -> None:
    plain, mixed = loaded("digits"), loaded("digits", permute=True)
    net = zoo.create("mlp_and_convnet", num_classes=10, input_shape=[1, 28, 28])
    x, permuted = plain.test[0], mixed.test[0]
    before = net.mlp(x), net(x)
    with torch.no_grad():
        first = net.mlp.layers[0].weight
        first.copy_(first[:, mixed.transform["permutation"]].clone())
        torch.testing.assert_close(net.mlp(permuted), before[0], atol=1e-5, rtol=0)
        assert float((net(permuted) - before[1]).abs().max()) > 0.01


# --- Barcelona R15: the forget gate -------------------------------------------------------------------------------


def test_what_the_forget_bias_leaves_of_the_cell_after_the_gap() -> None:
    """Along the cell dc_T/dc_0 is the product of the forget gates: 0.5^T, or 0.73^T."""
    settings = compose_settings(["experiment=break_forget_bias"])
    data = loaded("recall")
    left = {}
    for bias in (settings.model["forget_bias"], float(mended("break_forget_bias")[0].partition("=")[2])):
        torch.manual_seed(0)
        given = {key: data.provides[key] for key in ("num_classes", "vocab_size", "in_features")}
        net = zoo.create("sequence_rnn", **given, cell="lstm", forget_bias=bias)
        with torch.no_grad():
            _, _, (trace,) = readable(net.layers).trace(net.embed(data.test[0][:50]))
        steps = data.test[0].shape[1]
        left[bias] = float(trace["forget"].log().sum(1).mean().exp())
        assert left[bias] == pytest.approx((1 / (1 + math.exp(-bias))) ** steps, rel=0.9)
    assert left[0.0] < 1e-28 < 1e-16 < left[1.0]
