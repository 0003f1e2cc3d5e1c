"""What the model files write by hand, against PyTorch's own layers, other formulas of it, or numbers of the paper."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import zoo
from zoo.models.lenet import C3_TABLE, CODES, RUBBISH_DISTANCE, EuclideanRBF, PartialConv, Subsampling, scaled_tanh


def test_modern_lenet_is_the_usual_stack_of_layers() -> None:
    torch.manual_seed(0)
    net = zoo.create("lenet", num_classes=10).eval()
    stack = nn.Sequential(
        net.conv1, nn.ReLU(), nn.MaxPool2d(2), net.conv2, nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        net.fc1, nn.ReLU(), net.fc2, nn.ReLU(), net.output,
    )  # fmt: skip
    x = torch.randn(4, 1, 28, 28)
    torch.testing.assert_close(net(x), stack(x))


def test_paper_lenet_has_the_parameters_of_each_layer_of_the_paper() -> None:
    net = zoo.create("lenet", num_classes=10, variant="paper")
    counts = {name: sum(p.numel() for p in module.parameters()) for name, module in net.named_children()}
    paper = {"conv1": 156, "pool1": 12, "conv2": 1516, "pool2": 32, "fc1": 48120, "fc2": 10164, "output": 0}
    assert counts == paper


def test_c3_table_is_table_one() -> None:
    assert [len(inputs) for inputs in C3_TABLE] == [3] * 6 + [4] * 9 + [6]
    used = [sum(i in inputs for inputs in C3_TABLE) for i in range(6)]
    assert used == [10] * 6  # each map of S2 has ten crosses in its row
    assert len({tuple(inputs) for inputs in C3_TABLE}) == 16


def test_partial_convolution_is_a_sum_over_the_connected_maps() -> None:
    torch.manual_seed(0)
    layer = PartialConv()
    nn.init.normal_(layer.bias)
    x = torch.randn(2, 6, 14, 14)
    weights = iter(layer.weight)
    maps = []
    for out, inputs in enumerate(C3_TABLE):
        terms = [F.conv2d(x[:, i : i + 1], next(weights)[None, None]) for i in inputs]
        maps.append(sum(terms) + layer.bias[out])
    torch.testing.assert_close(layer(x), torch.cat(maps, 1), rtol=1e-4, atol=1e-5)


def test_subsampling_adds_four_inputs_times_a_coefficient_plus_a_bias() -> None:
    torch.manual_seed(0)
    layer = Subsampling(3)
    nn.init.normal_(layer.coefficient)
    nn.init.normal_(layer.bias)
    x = torch.randn(2, 3, 4, 4)
    four = x[:, :, ::2, ::2] + x[:, :, 1::2, ::2] + x[:, :, ::2, 1::2] + x[:, :, 1::2, 1::2]
    torch.testing.assert_close(layer(x), 1.7159 * torch.tanh(2 / 3 * (four * layer.coefficient + layer.bias)))


def test_scaled_tanh_passes_through_one() -> None:
    assert float(scaled_tanh(torch.tensor(1.0))) == pytest.approx(1, abs=1e-4)


def test_euclidean_output_is_minus_the_squared_distance() -> None:
    x = torch.randn(5, 84)
    layer = EuclideanRBF()
    torch.testing.assert_close(layer(x), -torch.cdist(x, layer.codes).square(), rtol=1e-4, atol=1e-3)
    assert set(layer.codes.unique().tolist()) == {-1.0, 1.0}
    assert len(layer.codes.unique(dim=0)) == 10
    assert all(len(row) == 7 for line in CODES.split() for row in [line])


def test_paper_loss_is_equation_nine() -> None:
    torch.manual_seed(0)
    net = zoo.create("lenet", num_classes=10, variant="paper").double()
    x, targets = torch.randn(3, 1, 28, 28, dtype=torch.float64), torch.tensor([1, 7, 7])
    with torch.no_grad():
        distances = (-net(x)).tolist()
        ours = float(net.loss((x, targets))["loss"])
    by_hand = 0.0
    for row, target in zip(distances, targets.tolist(), strict=True):
        by_hand += row[target] + math.log(math.exp(-RUBBISH_DISTANCE) + sum(math.exp(-d) for d in row))
    assert ours == pytest.approx(by_hand / 3, rel=1e-12)


@pytest.mark.parametrize("channels", [[20], [20, 40]])
def test_nielsens_net_is_the_usual_stack_of_layers(channels: list[int]) -> None:
    torch.manual_seed(0)
    net = zoo.create("nielsen_convnet", num_classes=10, channels=channels, activation="sigmoid").eval()
    layers: list[nn.Module] = []
    for conv in net.convs:
        layers += [conv, nn.Sigmoid(), nn.MaxPool2d(2)]  # as the book has it: first squash, then pool
    layers += [nn.Flatten(), net.layers[0], nn.Sigmoid(), net.layers[1]]
    x = torch.randn(4, 1, 28, 28)
    torch.testing.assert_close(net(x), nn.Sequential(*layers)(x))


def test_fast_convnet_is_the_usual_stack_of_layers() -> None:
    torch.manual_seed(0)
    net = zoo.create("fast_convnet", num_classes=10)
    x, targets = torch.randn(8, 1, 28, 28), torch.arange(8)
    net.loss((x, targets))
    net.eval()
    stack = nn.Sequential(
        nn.ZeroPad2d(-2), net.conv1, net.norm1, nn.ReLU(), net.conv2, net.norm2, nn.ReLU(), nn.Flatten(),
        net.fc1, nn.ReLU(), net.fc2,
    ).eval()  # fmt: skip
    torch.testing.assert_close(net(x), stack(x))
    torch.testing.assert_close(net.loss((x, targets))["loss"], F.cross_entropy(stack(x), targets))


@pytest.mark.parametrize("activation", ["linear", "sigmoid", "tanh", "relu"])
def test_mlp_is_the_usual_stack_of_layers(activation: str) -> None:
    torch.manual_seed(0)
    net = zoo.create("mlp", in_features=12, num_classes=3, hidden_sizes=[5, 4], activation=activation)
    g = {"linear": nn.Identity(), "sigmoid": nn.Sigmoid(), "tanh": nn.Tanh(), "relu": nn.ReLU()}[activation]
    stack = nn.Sequential(nn.Flatten(), net.layers[0], g, net.layers[1], g, net.layers[2])
    x, targets = torch.randn(6, 3, 4), torch.arange(6) % 3
    torch.testing.assert_close(net(x), stack(x))
    torch.testing.assert_close(net.loss((x, targets))["loss"], F.cross_entropy(stack(x), targets))


def test_two_classes_of_the_mlp_are_one_bernoulli_variable() -> None:
    net = zoo.create("mlp", in_features=2, num_classes=2, hidden_sizes=[3])
    x, targets = torch.randn(4, 2), torch.tensor([0, 1, 1, 0])
    p = torch.sigmoid(net(x)[:, 0])
    by_hand = -(targets * p.log() + (1 - targets) * (1 - p).log()).mean()
    torch.testing.assert_close(net.loss((x, targets))["loss"], by_hand)
    assert float(net.loss((x, targets))["acc"]) == float(((p > 0.5).long() == targets).float().mean())


def test_step_activation_learns_nothing_in_front_of_it() -> None:
    net = zoo.create("mlp", in_features=2, num_classes=2, hidden_sizes=[3], activation="step")
    net.loss((torch.randn(4, 2), torch.tensor([0, 1, 1, 0])))["loss"].backward()
    assert net.layers[0].weight.grad.abs().sum() == 0  # U04: its derivative is zero wherever it exists
    assert net.layers[1].bias.grad.abs().sum() > 0


def test_dropout_drops_in_training_and_not_in_evaluation() -> None:
    torch.manual_seed(0)
    for name in ("lenet", "nielsen_convnet"):
        net = zoo.create(name, num_classes=10, dropout=0.5)
        x = torch.randn(2, 1, 28, 28)
        assert not torch.equal(net(x), net(x))
        net.eval()
        assert torch.equal(net(x), net(x))


@pytest.mark.parametrize("objective", ["cross_entropy", "squared_error"])
@pytest.mark.parametrize("init", ["pytorch", "normal", "opposed"])
def test_each_of_many_mlps_is_an_mlp_alone(objective: str, init: str) -> None:
    torch.manual_seed(0)
    many = zoo.create(
        "many_mlps", in_features=2, num_classes=2, num_copies=3, activation="tanh", objective=objective, init=init
    )
    x, targets = torch.tensor([[0.0, 0], [0, 1], [1, 0], [1, 1]]), torch.tensor([0, 1, 1, 0])
    many.loss((x, targets))["loss"].backward()
    for r in range(3):
        alone = zoo.create("mlp", in_features=2, num_classes=2, hidden_sizes=[2], activation="tanh")
        first, second = alone.layers
        with torch.no_grad():
            first.weight.copy_(many.weight1[:, :, r].T)
            first.bias.copy_(many.bias1[:, r])
            second.weight.copy_(many.weight2[:, r][None])
            second.bias.copy_(many.bias2[r])
        torch.testing.assert_close(many(x)[:, r], alone(x)[:, 0])
        if objective == "cross_entropy":
            alone.loss((x, targets))["loss"].backward()
        else:
            (0.5 * (torch.sigmoid(alone(x)[:, 0]) - targets).square()).mean().backward()
        torch.testing.assert_close(many.weight1.grad[:, :, r].T, first.weight.grad)
        torch.testing.assert_close(many.bias1.grad[:, r], first.bias.grad)
        torch.testing.assert_close(many.weight2.grad[:, r], second.weight.grad[0])
        torch.testing.assert_close(many.bias2.grad[r], second.bias.grad[0])


def test_share_of_solved_copies_counts_those_without_a_mistake() -> None:
    many = zoo.create("many_mlps", in_features=2, num_classes=2, num_copies=2, activation="relu").eval()
    x, targets = torch.tensor([[0.0, 0], [0, 1], [1, 0], [1, 1]]), torch.tensor([0, 1, 1, 0])
    with torch.no_grad():  # copy 0: relu(x1 + x2) - 2 relu(x1 + x2 - 1) - 1/2, the textbook's; copy 1: always no
        many.weight1.copy_(torch.ones(2, 2, 2))
        many.bias1.copy_(torch.tensor([[0.0, 0.0], [-1.0, -1.0]]))
        many.weight2.copy_(torch.tensor([[1.0, 0.0], [-2.0, 0.0]]))
        many.bias2.fill_(-0.5)
        metrics = many.loss((x, targets))
    assert float(metrics["solved"]) == 0.5
    assert float(metrics["acc"]) == pytest.approx(6 / 8)
