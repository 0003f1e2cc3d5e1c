"""Small pieces of the lectures against what is known of them: perceptron, ESN, local windows, numpy, evolution."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import zoo
from zoo.figures import draw_all
from zoo.lectures import numpy_backprop
from zoo.lectures.evolution import Net, costs, evolve, mutated
from zoo.models.locally_connected import LocallyConnected2d
from zoo.plane_figures import decision_regions
from zoo.registry import build

PATTERNS = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
FUNCTIONS = list(itertools.product([0, 1], repeat=4))  # the answers to the four patterns
NOT_LINEAR = ((0, 1, 1, 0), (1, 0, 0, 1))  # XOR and its opposite


# --- the perceptron -----------------------------------------------------------------------------------------------


def accuracies(x: Tensor, targets: Tensor, passes: int = 60) -> list[float]:
    """Of a perceptron after each item that it learns from."""
    net = zoo.create("perceptron", in_features=2)
    found = []
    for _ in range(passes):
        for i in torch.randperm(len(x)):
            net.update((x[i : i + 1], targets[i : i + 1]), 1.0)
            found.append(float(net.loss((x, targets))["acc"]))
    return found


@pytest.mark.parametrize("coding", [0, -1])
def test_a_perceptron_learns_14_of_the_16_functions_of_two_bits(coding: int) -> None:
    x = PATTERNS if coding == 0 else 2 * PATTERNS - 1
    learnt, best = {}, {}
    for function in FUNCTIONS:
        found = accuracies(x, torch.tensor(function))
        learnt[function], best[function] = found[-1] == 1, max(found)
        assert learnt[function] == (function not in NOT_LINEAR)
    assert sum(learnt.values()) == 14
    assert [best[function] for function in NOT_LINEAR] == [0.75, 0.75]


def test_a_perceptron_that_is_right_changes_nothing_and_one_that_is_wrong_moves_by_the_item() -> None:
    net = zoo.create("perceptron", in_features=2)
    with torch.no_grad():
        net.linear.weight.copy_(torch.tensor([[1.0, -1.0]]))
        net.linear.bias.zero_()
    item = torch.tensor([[3.0, 1.0]])  # z = 2
    net.update((item, torch.tensor([1])), 0.5)
    assert net.linear.weight.tolist() == [[1.0, -1.0]] and net.linear.bias.tolist() == [0.0]
    report = net.update((item, torch.tensor([0])), 0.5)
    assert net.linear.weight.tolist() == [[-0.5, -1.5]] and net.linear.bias.tolist() == [-0.5]
    assert float(report["loss"]) == 2 and float(report["acc"]) == 0  # of before


def test_its_criterion_has_the_rule_as_its_gradient() -> None:
    net = zoo.create("perceptron", in_features=3)
    x, targets = torch.randn(1, 3), torch.tensor([1])
    if float(net(x).detach()) > 0:
        targets = 1 - targets  # so that it is wrong
    net.loss((x, targets))["loss"].backward()
    before = net.linear.weight.detach().clone()
    net.update((x, targets), 0.1)
    torch.testing.assert_close(net.linear.weight.detach(), before - 0.1 * net.linear.weight.grad)


def test_novikoffs_bound_holds() -> None:
    """From w = 0 there are at most (R / gamma)^2 mistakes: points in the plane, apart by a line that is known."""
    normal = torch.tensor([0.6, 0.8, 0.2]) / torch.tensor([0.6, 0.8, 0.2]).norm()  # of the plane through 0, with a bias
    x = torch.randn(200, 2)
    ones = torch.cat([x, torch.ones(200, 1)], 1)
    distance = ones @ normal
    x, ones, distance = (tensor[distance.abs() > 0.1] for tensor in (x, ones, distance))
    net = zoo.create("perceptron", in_features=2)
    nn.init.zeros_(net.linear.weight)
    nn.init.zeros_(net.linear.bias)
    mistakes = 0
    for _ in range(50):
        for i in range(len(x)):
            before = net.linear.bias.clone()
            net.update((x[i : i + 1], (distance[i : i + 1] > 0).long()), 1.0)
            mistakes += int(net.linear.bias != before)
    assert float(net.loss((x, (distance > 0).long()))["acc"]) == 1
    assert 0 < mistakes <= (ones.norm(dim=1).max() / distance.abs().min()) ** 2


def test_the_figure_of_a_perceptron_knows_two_shades() -> None:
    data = build("data", "xor", {})
    data.load()
    with torch.no_grad():
        hard = decision_regions(zoo.create("perceptron", in_features=2), data, "net")
        soft = decision_regions(zoo.create("mlp", in_features=2, num_classes=2), data, "net")
    assert "probability" not in hard.axes[0].get_title() and len(hard.axes) == 1
    assert "probability" in soft.axes[0].get_title() and len(soft.axes) == 2


# --- the echo state network ---------------------------------------------------------------------------------------


def network(**arguments: float) -> nn.Module:
    return zoo.create("echo_state_network", **({"in_features": 1, "reservoir_size": 30} | arguments))


def test_the_read_out_is_that_of_ridge_regression() -> None:
    from sklearn.linear_model import Ridge

    x, targets = torch.rand(100, 20, 1), torch.randn(100)
    net = network(ridge=1e-2)
    report = net.update((x, targets), 1.0)
    z = net.features(x).double().numpy()
    theirs = Ridge(alpha=1e-2, solver="svd").fit(z, targets.double().numpy())
    np.testing.assert_allclose(net.output.weight[0].detach().numpy(), theirs.coef_, rtol=1e-4, atol=1e-5)
    assert float(net.output.bias.detach()) == pytest.approx(theirs.intercept_, rel=1e-4)
    error = np.mean((theirs.predict(z) - targets.numpy()) ** 2)
    assert float(report["loss"].detach()) == pytest.approx(error, rel=1e-4)


def test_with_hardly_any_ridge_it_is_least_squares() -> None:
    x, targets = torch.randn(200, 20, 1), torch.randn(200)
    net = network(ridge=1e-12, input_scale=1.0)
    net.update((x, targets), 1.0)
    z = np.concatenate([net.features(x).double().numpy(), np.ones((200, 1))], 1)
    theirs = np.linalg.lstsq(z, targets.double().numpy(), rcond=None)[0]
    np.testing.assert_allclose(net(x)[:, 0].detach().numpy(), z @ theirs, atol=1e-4)


def test_the_reservoir_has_its_radius_and_is_a_plain_rnn_that_is_not_trained() -> None:
    net = network(spectral_radius=0.7, in_features=2)
    assert float(torch.linalg.eigvals(net.recurrent).abs().max()) == pytest.approx(0.7, rel=1e-4)
    plain = nn.RNN(2, 30, batch_first=True)
    with torch.no_grad():
        plain.weight_ih_l0.copy_(net.input)
        plain.weight_hh_l0.copy_(net.recurrent)
        plain.bias_ih_l0.copy_(net.bias)
        plain.bias_hh_l0.zero_()
    x = torch.randn(3, 9, 2)
    torch.testing.assert_close(net.features(x), torch.cat([x[:, -1], plain(x)[1][0]], 1))
    fixed = {name: value.clone() for name, value in net.named_buffers()}
    net.update((x, torch.randn(3)), 1.0)
    assert all(torch.equal(value, fixed[name]) for name, value in net.named_buffers())
    assert {name for name, _ in net.named_parameters()} == {"output.weight", "output.bias"}
    assert {name for name, _ in net.named_buffers()} <= net.state_dict().keys()


def test_the_lectures_network_has_202_trained_and_40400_fixed_weights() -> None:
    net = zoo.create("echo_state_network", in_features=1)
    assert sum(p.numel() for p in net.parameters()) == 202
    assert sum(b.numel() for b in net.buffers()) == 40_400


def test_below_a_radius_of_one_the_start_is_forgotten_and_far_above_it_is_not() -> None:
    """The echo state property: two pasts that differ, then the same 100 values."""
    past, same = torch.randn(2, 10, 1), torch.zeros(1, 100, 1).expand(2, -1, -1)
    distances = {}
    for radius in (0.9, 3.0):
        net = network(spectral_radius=radius, reservoir_size=100)
        state = net.features(torch.cat([past, same], 1))[:, 1:]
        distances[radius] = float((state[0] - state[1]).norm())
    assert distances[0.9] < 1e-4 and distances[3.0] > 0.1


def test_it_foretells_mackey_glass_and_the_figure_shows_how_long(tmp_path: Path) -> None:
    data = build("data", "mackey_glass", {})
    data.load()
    net = zoo.create("echo_state_network", in_features=1)
    net.update(data.train, 1.0)
    found = data.probe(net)
    assert found["nrmse"] < 0.001 < 0.13 < found["nrmse_of_persistence"]
    series, answers = data.left_alone(net, 3)
    with torch.no_grad():
        window = torch.cat([data.test[0][0], answers[:2, None]])[2:]  # the last of three: two answers in its window
        torch.testing.assert_close(net(window[None])[0, 0], answers[2])
    (tmp_path / "metrics.csv").write_text("step,epoch,train/loss\n1,1,0.5\n")
    assert {path.stem for path in draw_all(net, data, tmp_path, "title")} == {"learning_curves", "left_alone"}


# --- local windows ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("channels", "maps", "size", "kernel"), [(1, 1, 28, 5), (3, 2, 9, 3), (2, 4, 5, 5)])
def test_with_equal_weights_everywhere_it_is_a_convolution(channels: int, maps: int, size: int, kernel: int) -> None:
    layer = LocallyConnected2d(channels, maps, size, kernel)
    conv = nn.Conv2d(channels, maps, kernel)
    with torch.no_grad():
        layer.weight.copy_(conv.weight.flatten(1)[:, None].expand_as(layer.weight))
        layer.bias.copy_(conv.bias[:, None].expand_as(layer.bias))
    x = torch.randn(4, channels, size, size)
    torch.testing.assert_close(layer(x), conv(x), rtol=1e-4, atol=1e-5)


def test_each_window_has_its_own_weights() -> None:
    layer = LocallyConnected2d(2, 3, 6, 4)
    x = torch.randn(5, 2, 6, 6)
    found = layer(x)
    assert found.shape == (5, 3, 3, 3)
    for row, column in itertools.product(range(3), repeat=2):
        window = x[:, :, row : row + 4, column : column + 4].flatten(1)  # (B, P)
        place = 3 * row + column
        expected = window @ layer.weight[:, place].T + layer.bias[:, place]
        torch.testing.assert_close(found[:, :, row, column], expected)


def test_a_neuron_sees_its_window_only() -> None:
    net = zoo.create("locally_connected", num_classes=10)
    x = torch.zeros(1, 1, 28, 28, requires_grad=True)
    net.local(x)[0, 0, 7, 11].backward()
    rows, columns = x.grad[0, 0].nonzero().T
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (7, 11, 11, 15)


@pytest.mark.parametrize(("channels", "count"), [(1, 14_976), (3, 43_776)])
def test_the_layer_has_the_parameters_of_the_slides(channels: int, count: int) -> None:
    net = zoo.create("locally_connected", num_classes=10, in_channels=channels)
    assert sum(p.numel() for p in net.local.parameters()) == count == 24**2 * (channels * 5**2 + 1)
    shared = nn.Conv2d(channels, 1, 5)
    assert sum(p.numel() for p in shared.parameters()) * 24**2 == count


# --- back-propagation in numpy ------------------------------------------------------------------------------------


def autograd(mlp: list[numpy_backprop.Layer], x: np.ndarray, targets: np.ndarray, error: str) -> list[np.ndarray]:
    """The gradients by every weight and bias, in order."""
    parameters = [torch.tensor(part, requires_grad=True) for layer in mlp for part in layer]
    y, t = torch.tensor(x), torch.tensor(targets)
    for weight, bias in zip(parameters[::2], parameters[1::2], strict=True):
        y = torch.sigmoid(y @ weight.T + bias)
    loss = 0.5 * (y - t).square().sum() if error == "squared_error" else F.binary_cross_entropy(y, t, reduction="sum")
    loss.backward()
    assert float(loss.detach()) == pytest.approx(numpy_backprop.error_of(mlp, x, targets, error), rel=1e-12)
    return [parameter.grad.numpy() for parameter in parameters]


@pytest.mark.parametrize("error", ["squared_error", "cross_entropy"])
@pytest.mark.parametrize("sizes", [[3, 1], [2, 2, 1], [4, 7, 5, 3], [2, 3, 3, 3, 3, 2]])
def test_the_two_rules_of_the_slide_are_the_gradient(sizes: list[int], error: str) -> None:
    rng = np.random.default_rng(0)
    mlp = numpy_backprop.new_mlp(sizes, seed=1)
    x, targets = rng.normal(size=(9, sizes[0])), rng.random((9, sizes[-1]))
    ours = [part for layer in numpy_backprop.gradients(mlp, x, targets, error) for part in layer]
    for found, expected in zip(ours, autograd(mlp, x, targets, error), strict=True):
        assert np.abs(found - expected).max() <= 1e-12 * max(1, np.abs(expected).max())
    before = [part.copy() for layer in mlp for part in layer]
    measured = [part for layer in numpy_backprop.finite_differences(mlp, x, targets, error) for part in layer]
    for found, expected in zip(ours, measured, strict=True):
        assert np.abs(found - expected).max() <= 1e-6 * max(1, np.abs(expected).max())
    assert all(np.array_equal(a, b) for a, b in zip(before, (p for layer in mlp for p in layer), strict=True))


def test_delta_of_a_cross_entropy_output_is_y_minus_t() -> None:
    mlp = numpy_backprop.new_mlp([2, 3, 2])
    x, targets = np.random.default_rng(0).normal(size=(5, 2)), np.eye(2)[[0, 1, 1, 0, 1]]
    outputs = numpy_backprop.forward(mlp, x)
    found = numpy_backprop.deltas(mlp, outputs, targets, "cross_entropy")
    np.testing.assert_allclose(found[-1], outputs[-1] - targets, rtol=1e-12)
    assert [delta.shape for delta in found] == [(5, 3), (5, 2)]


def test_it_learns_xor() -> None:
    x, targets = PATTERNS.double().numpy(), np.array([[0.0], [1.0], [1.0], [0.0]])
    mlp = numpy_backprop.new_mlp([2, 4, 1])
    numpy_backprop.train(mlp, x, targets, lr=1.0, steps=2000, error="cross_entropy")
    assert ((numpy_backprop.forward(mlp, x)[-1] > 0.5) == targets).all()


# --- evolution ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(10))
def test_evolution_learns_xor_with_threshold_units_and_finds_the_smallest_net(seed: int) -> None:
    torch.manual_seed(seed)
    targets = torch.tensor([0, 1, 1, 0])
    found = evolve(PATTERNS, targets)
    assert found.wrong[0] == 2 and found.hidden_neurons[0] == 0  # a constant
    assert found.solved_in is not None and found.solved_in < 150
    assert found.hidden_neurons[-1] == 2  # U03: fewer cannot
    assert found.wrong == sorted(found.wrong, reverse=True)  # a worse child never takes the parent's place
    assert torch.equal(found.net(PATTERNS)[0].long(), targets)


def test_a_net_is_what_its_formula_says() -> None:
    nets = Net(torch.randn(5, 3, 4), torch.randn(5, 4), torch.rand(5, 3) < 0.6)
    x = torch.randn(7, 3)
    answers = nets(x)
    for n in range(5):
        for p in range(7):
            h = [
                float(nets.is_there[n, k] and nets.hidden[n, k, :3] @ x[p] + nets.hidden[n, k, 3] > 0) for k in range(3)
            ]
            assert answers[n, p] == bool(nets.output[n, :3] @ torch.tensor(h) + nets.output[n, 3] > 0)
        assert torch.equal(nets.chosen(n)(x)[0], answers[n])


def test_children_differ_from_their_parent_by_at_most_one_hidden_neuron() -> None:
    parent = Net(torch.randn(1, 6, 3), torch.randn(1, 7), torch.tensor([[True, False, True, False, False, False]]))
    brood = mutated(parent, 2000, sigma=0.5)
    switched = (brood.is_there != parent.is_there).sum(1)
    assert switched.max() == 1 and float(switched.float().mean()) == pytest.approx(0.5, abs=0.05)
    assert float(brood.hidden.std(0).mean()) == pytest.approx(0.5 / 1.25**0.5, rel=0.05)


def test_wrong_answers_count_before_neurons() -> None:
    """Three constants: always 0 with two hidden neurons, with none, and always 1."""
    none, both = [False, False], [True, True]
    nets = Net(
        torch.zeros(3, 2, 3), torch.tensor([[0.0, 0, -1], [0, 0, -1], [0, 0, 1]]), torch.tensor([both, none, none])
    )
    assert costs(nets, PATTERNS, torch.tensor([0, 0, 0, 0])).tolist() == [2, 0, 6]
    assert costs(nets, PATTERNS, torch.tensor([0, 1, 1, 1])).tolist() == [5, 5, 3]
