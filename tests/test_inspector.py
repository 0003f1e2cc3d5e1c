"""The inspector: the lecture's numbers by hand, published ones, what PyTorch counts, and every network of the zoo."""

import json
import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from test_models import CASES, make
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

import zoo
from zoo.inspector import Inspection, inspect


def column(inspection: Inspection, field: str) -> dict[str, Any]:
    """Of each layer, by name; no two layers have the same."""
    values = {layer.name: getattr(layer, field) for layer in inspection.layers}
    assert len(values) == len(inspection.layers)
    return values


def worked_out(formula: str) -> tuple[float, str]:
    """What the left side of a formula comes to, and what it is said to come to."""
    left, right = formula.split(" = ")
    return eval(left.replace(",", "")), right.replace(",", "")


def counted_by_pytorch(net: nn.Module, x: Tensor) -> float:
    """MACs, of which each is two operations."""
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad(), sdpa_kernel(SDPBackend.MATH):  # the fused attention of a CPU is not counted
        net.eval()(x)
    return counter.get_total_flops() / 2


# --- the lecture's networks, by hand ------------------------------------------------------------------------------


def test_lenet_by_hand() -> None:
    found = inspect(zoo.create("lenet", num_classes=10))
    assert found.input == "1x28x28"
    assert column(found, "output") == {
        "conv1": "6x28x28", "pool1": "6x14x14", "conv2": "16x10x10", "pool2": "16x5x5",
        "fc1": "120", "fc2": "84", "output": "10",
    }  # fmt: skip
    assert list(column(found, "input").values()) == [
        "1x28x28", "6x28x28", "6x14x14", "16x10x10", "400", "120", "84",
    ]  # fmt: skip
    assert list(column(found, "kind").values()) == ["conv2d", "max_pool2d"] * 2 + ["linear"] * 3
    assert list(column(found, "parameters").values()) == [156, 0, 2_416, 0, 48_120, 10_164, 850]
    assert list(column(found, "parameters_without_biases").values()) == [150, 0, 2_400, 0, 48_000, 10_080, 840]
    assert list(column(found, "macs").values()) == [117_600, 0, 240_000, 0, 48_000, 10_080, 840]
    assert list(column(found, "receptive_field").values()) == [5, 6, 14, 16, "all", "all", "all"]
    assert found.layers[0].size_formula == "(28 + 2*2 - 5) / 1 + 1 = 28"
    assert found.layers[0].count_formula == "6 * (1 * 5*5) + 6 = 156"
    assert found.layers[4].count_formula == "400 * 120 + 120 = 48,120"
    assert found.layers[0].macs_formula == "6 * 28 * 28 * 5 * 5 = 117,600"
    assert (found.parameters, found.parameters_without_biases) == (61_706, 61_470)
    assert (found.macs, found.bytes) == (416_520, 246_824)


def test_the_lenet_of_1998_loses_none_of_its_60000() -> None:
    found = inspect(zoo.create("lenet", num_classes=10, variant="paper"))
    counts = column(found, "parameters")
    assert (counts["pool1: mul(coefficient)"], counts["pool1: add(bias)"]) == (6, 6)  # 2 a map: 12, 32
    assert (counts["pool2: mul(coefficient)"], counts["pool2: add(bias)"]) == (16, 16)
    assert counts["conv2: conv2d(weight)"] == 1_516 and found.parameters == 60_000
    assert column(found, "count_formula")["conv2: conv2d(weight)"] == "60 * (5 * 5) + 16 = 1,516"
    assert found.parameters_without_biases == 60_000 - 6 - 6 - 16 - 16 - 120 - 84
    assert column(found, "receptive_field")["pool2: avg_pool2d"] == 16


def test_nielsens_network() -> None:
    found = inspect(zoo.create("nielsen_convnet", num_classes=10))
    assert [layer.parameters for layer in found.layers] == [520, 0, 288_100, 1_010]
    assert [layer.output for layer in found.layers] == ["20x24x24", "20x12x12", "100", "10"]
    assert found.parameters == 289_630
    assert found.layers[1].name == "NielsenConvNet: max_pool2d"  # a function, called by the network itself


def test_functions_called_twice_by_one_module_are_two_layers() -> None:
    found = inspect(zoo.create("nielsen_convnet", num_classes=10, channels=[20, 40]))
    pools = [layer.output for layer in found.layers if layer.kind == "max_pool2d"]
    assert pools == ["20x12x12", "40x4x4"]


@pytest.mark.parametrize(("variant", "total"), [("paper", 60_965_224), ("torchvision", 61_100_840)])
def test_alexnet_as_published(variant: str, total: int) -> None:
    with torch.device("meta"):  # sizes are known without a number being drawn
        found = inspect(zoo.create("alexnet", num_classes=1000, variant=variant))
    assert found.parameters == total
    maps = [layer for layer in found.layers if layer.kind in ("conv2d", "max_pool2d")]
    assert [layer.output.split("x")[1] for layer in maps] == ["55", "27", "27", "13", "13", "13", "13", "6"]
    assert [layer.receptive_field for layer in maps] == [11, 19, 51, 67, 99, 131, 163, 195]
    assert maps[0].size_formula == "(224 + 2*2 - 11) / 4 + 1 = 55.25 -> 55"
    assert found.layers[-1].receptive_field == "all"
    if variant == "torchvision":
        assert round(found.macs / 1e9, 2) == 0.71  # torchvision's own table of weights: 0.71 GFLOPS, which are MACs
    else:
        assert maps[2].count_formula == "2 * (128 * (48 * 5*5)) + 256 = 307,456"
        assert maps[2].macs == 256 * 27 * 27 * 48 * 25  # half of what it would be without groups


@pytest.mark.parametrize(("cell", "gates"), [("rnn", 1), ("gru", 3), ("lstm", 4)])
def test_gates_of_recurrent_layers(cell: str, gates: int) -> None:
    net = zoo.create("char_rnn", vocabulary="abcd", cell=cell, embedding_dim=128, hidden_size=512, num_layers=1)
    found = inspect(net, (50,))
    layer = found.layers[1]
    assert layer.parameters == sum(p.numel() for p in net.layers.parameters())
    assert layer.count_formula == f"{gates} * (512 * (128 + 512) + 2 * 512) = {layer.parameters:,}"
    assert layer.parameters_without_biases == gates * 512 * (128 + 512)
    assert layer.macs == 50 * layer.parameters_without_biases
    assert (layer.input, layer.output, layer.receptive_field) == ("50x128", "50x512", None)


def test_a_loop_over_time_is_one_layer_and_costs_what_the_fused_one_does() -> None:
    arguments = {"vocabulary": "abcd", "hidden_size": 6, "embedding_dim": 3, "num_layers": 2}
    loop = inspect(zoo.create("char_rnn", implementation="reference", **arguments), (50,))
    fused = inspect(zoo.create("char_rnn", **arguments), (50,))
    steps = [layer for layer in loop.layers if layer.name.startswith("layers: linear(weight_")]
    assert [layer.times for layer in steps] == [50] * 4 and "x 50" in str(loop)
    assert (loop.macs, loop.parameters) == (fused.macs, fused.parameters)
    assert loop.parameters_without_biases == fused.parameters_without_biases


# --- sizes and receptive fields -----------------------------------------------------------------------------------

STACKS = [
    [nn.Conv2d(3, 4, (5, 3), (2, 1), (2, 0))],
    [nn.Conv2d(3, 4, 3, dilation=3, stride=2)],
    [nn.Conv2d(3, 4, (5, 3), padding="same"), nn.Conv2d(4, 4, 3, padding="valid", dilation=2)],
    [nn.MaxPool2d(3, 2, ceil_mode=True), nn.Conv2d(3, 6, 3, groups=3), nn.AvgPool2d((2, 3))],
    [nn.Conv2d(3, 4, 3, stride=2), nn.ReLU(), nn.MaxPool2d(2, return_indices=False), nn.Conv2d(4, 2, 2)],
    [nn.Conv2d(3, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d((12, 8))],
]


@pytest.mark.parametrize("stack", STACKS)
def test_sizes_come_out_as_they_are(stack: list[nn.Module]) -> None:
    found = inspect(nn.Sequential(*stack), (3, 24, 32))
    x = torch.zeros(1, 3, 24, 32)
    outputs = []
    for layer in stack:
        x = layer.eval()(x)
        outputs += [] if isinstance(layer, nn.ReLU) else ["x".join(map(str, x.shape[1:]))]
    assert [layer.output for layer in found.layers] == outputs
    for layer in found.layers:
        sides = layer.output.split("x")[1:]
        parts = layer.size_formula.split("; ") if layer.size_formula else []
        for formula, side in zip(parts * (2 if len(parts) == 1 else 1), sides, strict=bool(parts)):
            exact, shown = worked_out(formula)
            assert int(shown.split(" -> ")[-1]) == int(side) and abs(exact - float(side)) < 1
            assert (" -> " in shown) == (exact != int(side))
    assert found.macs == counted_by_pytorch(nn.Sequential(*stack), torch.zeros(1, 3, 24, 32))


@pytest.mark.parametrize("stack", STACKS)
def test_the_receptive_field_is_where_a_gradient_arrives(stack: list[nn.Module]) -> None:
    """Maximum pooling passes a gradient to one pixel only, so means stand in: the windows are the same."""
    linear = [
        nn.AvgPool2d(layer.kernel_size, layer.stride, layer.padding, layer.ceil_mode)
        if isinstance(layer, nn.MaxPool2d)
        else layer
        for layer in stack
        if not isinstance(layer, nn.ReLU)
    ]
    for layer in linear:
        for parameter in layer.parameters():
            nn.init.ones_(parameter)  # so that nothing cancels
    x = torch.zeros(1, 3, 24, 32, requires_grad=True)
    y = nn.Sequential(*linear).eval()(x)
    y[0, 0, y.shape[2] // 2, y.shape[3] // 2].backward()
    places = x.grad[0].sum(0).nonzero()
    rows, columns = (places.max(0).values - places.min(0).values + 1).tolist()  # dilated windows have holes
    expected = rows if rows == columns else f"{rows}x{columns}"
    assert inspect(nn.Sequential(*stack), (3, 24, 32)).layers[-1].receptive_field == expected


class Residual(nn.Module):
    """Two ways through, the longer of which sees more; then the mean over all places."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.conv = nn.Conv2d(1, 2, 3, padding=1), nn.Conv2d(2, 2, 5, padding=2)
        self.last, self.head = nn.Conv2d(2, 2, 1), nn.Conv2d(2, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = self.last(torch.relu_(x + self.conv(x)))
        return self.head(x.mean((2, 3), keepdim=True)).flatten(1)


def test_the_field_goes_through_sums_and_is_all_after_a_mean() -> None:
    found = inspect(Residual(), (1, 9, 9))
    assert column(found, "receptive_field") == {"stem": 3, "conv": 7, "last": 7, "head": "all"}


def test_a_perceptron_sees_all_of_a_picture_and_no_side_of_a_list() -> None:
    net = zoo.create("mlp", in_features=784, num_classes=10)
    assert [layer.receptive_field for layer in inspect(net, (1, 28, 28)).layers] == ["all", "all"]
    assert [layer.receptive_field for layer in inspect(net).layers] == [None, None]
    assert "sees" not in str(inspect(net)) and "size" not in str(inspect(net))


# --- every network of the zoo -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "given"), CASES)
def test_every_network_adds_up_and_every_formula_holds(name: str, given: dict[str, Any]) -> None:
    net, _ = make(name, given)
    found = inspect(net)
    assert sum(layer.parameters for layer in found.layers) == sum(p.numel() for p in net.parameters())
    assert sum(layer.macs for layer in found.layers) == found.macs > 0
    for layer in found.layers:
        assert layer.parameters_without_biases <= layer.parameters and layer.bytes == 4 * layer.parameters
        assert bool(layer.count_formula) == (layer.parameters > 0)
        if layer.parameters:
            assert worked_out(layer.count_formula) == (layer.parameters, str(layer.parameters))
        if layer.macs:
            macs, shown = worked_out(layer.macs_formula)
            assert macs == int(shown) and macs * layer.times == layer.macs
        for formula in filter(None, layer.size_formula.split("; ")):
            exact, shown = worked_out(formula)
            assert math.floor(exact) == int(shown.split(" -> ")[-1])
    lines = str(found).splitlines()
    assert lines[0].startswith("layer") and all(line == line.rstrip() for line in lines)
    assert json.loads(json.dumps(found.to_dict())) == found.to_dict()


# PyTorch's counter knows neither the fused recurrent layers nor the products of word2vec's plain vectors.
COUNTED = [case for case in CASES if case[0] not in ("char_rnn", "sequence_rnn", "seq2seq", "word2vec", "word_svd")]


@pytest.mark.parametrize(("name", "given"), COUNTED)
def test_macs_are_those_that_pytorch_counts(name: str, given: dict[str, Any]) -> None:
    net, _ = make(name, given)
    assert inspect(net).macs == counted_by_pytorch(net, net.example_input[:1])


class Products(nn.Module):
    """Each way to multiply matrices."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Parameter(torch.randn(5, 7)), nn.Parameter(torch.randn(7))

    def forward(self, x: Tensor) -> Tensor:
        y = torch.addmm(self.b, x[0], self.a) + x[0].mm(self.a) + x[0] @ self.a  # (4, 7)
        y = y + torch.einsum("bij,jk->bik", x, self.a)[0] + torch.einsum("...ij,jk", x, self.a)[0]
        z = torch.bmm(y[None], y.T[None]) + torch.matmul(y, y.T)  # (1, 4, 4)
        return F.scaled_dot_product_attention(z[None], z[None], z[None])[0]


def test_products_cost_what_pytorch_counts() -> None:
    net = Products()
    found = inspect(net, (4, 5))
    assert found.macs == 5 * 4 * 5 * 7 + 2 * 4 * 7 * 4 + 2 * 4 * 4 * 4
    assert found.macs == counted_by_pytorch(net, torch.zeros(1, 4, 5))
    assert found.parameters == 5 * 7 + 7 and found.parameters_without_biases == 5 * 7


def test_cells_cost_what_their_layers_do() -> None:
    class Step(nn.Module):
        def __init__(self, cell: nn.Module):
            super().__init__()
            self.cell = cell

        def forward(self, x: Tensor) -> Tensor:
            out = self.cell(x)
            return out[0] if isinstance(out, tuple) else out

    for cell, layer in ((nn.LSTMCell, nn.LSTM), (nn.GRUCell, nn.GRU), (nn.RNNCell, nn.RNN)):
        one, many = inspect(Step(cell(3, 5)), (3,)), inspect(Step(layer(3, 5, batch_first=True)), (1, 3))
        assert one.layers[0].count_formula == many.layers[0].count_formula and one.macs == many.macs > 0


def test_time_may_come_before_the_batch() -> None:
    class TimeFirst(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm = nn.LSTM(3, 5, num_layers=2, bidirectional=True, bias=False)

        def forward(self, x: Tensor) -> Tensor:
            return self.lstm(x.transpose(0, 1))[0]

    (layer,) = inspect(TimeFirst(), (9, 3)).layers
    assert (layer.input, layer.output) == ("9x3", "9x10")
    assert layer.parameters == layer.parameters_without_biases == 2 * 4 * 5 * (3 + 5) + 2 * 4 * 5 * (10 + 5)
    assert layer.macs == 9 * layer.parameters


def test_a_projected_state_is_counted_by_its_shapes() -> None:
    with torch.device("meta"):  # a CPU warns that it has no fast kernel
        (layer,) = inspect(nn.Sequential(nn.LSTM(3, 5, proj_size=2)), (4, 3)).layers
    assert layer.count_formula == "20 * 3 + 20 * 2 + 20 + 20 + 2 * 5 = 150"


# --- whose parameters ---------------------------------------------------------------------------------------------


def test_a_shared_weight_counts_once_and_the_second_use_says_so() -> None:
    found = inspect(zoo.create("char_transformer", vocabulary="abcd", context_length=6, num_layers=1))
    output = found.layers[-1]
    assert (output.name, output.parameters, output.note) == ("output", 0, "shares embedding.weight")
    assert output.macs == 6 * 128 * 4
    assert column(found, "parameters")["embedding"] == 4 * 128
    assert column(found, "parameters")["positions: add(table)"] == 6 * 128


def test_a_tied_decoder_has_its_bias_alone() -> None:
    found = inspect(zoo.create("autoencoder", in_features=12, hidden_sizes=[8]))
    assert column(found, "parameters") == {"encoders.0": 104, "decoders.0: linear(encoders.0.weight)": 12}
    assert found.layers[1].note == "shares encoders.0.weight" and found.layers[1].macs == 96
    assert found.parameters_without_biases == 96


def test_what_forward_does_not_use_is_said() -> None:
    found = inspect(zoo.create("autoencoder_classifier", in_features=12, num_classes=10, hidden_sizes=[8, 4]))
    unused = {layer.name: layer.parameters for layer in found.layers if layer.note == "not used by forward"}
    assert unused == {"decoders.0": 12, "decoders.1": 8}
    assert all(layer.times == layer.macs == 0 for layer in found.layers if layer.name in unused)


def test_a_kernel_put_together_from_parameters_is_theirs_and_a_bias_need_not_be_called_so() -> None:
    class Cross(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w, self.b = nn.Parameter(torch.randn(5)), nn.Parameter(torch.randn(1))

        def forward(self, x: Tensor) -> Tensor:
            kernel = torch.zeros(1, 1, 3, 3, device=x.device)
            kernel[0, 0, 1] = self.w[:3]
            kernel[0, 0, ::2, 1] = self.w[3:]
            return F.conv2d(x, kernel, self.b)

    (layer,) = inspect(Cross(), (1, 4, 4)).layers
    assert (layer.name, layer.count_formula) == ("Cross: conv2d(w)", "5 + 1 = 6")
    assert (layer.parameters, layer.parameters_without_biases) == (6, 5)


def test_macs_that_are_not_known_are_not_passed_over_in_silence() -> None:
    (layer,) = inspect(nn.Sequential(nn.ConvTranspose2d(1, 2, 3)), (1, 5, 5)).layers
    assert (layer.kind, layer.parameters, layer.note) == ("conv_transpose2d", 20, "MACs not known")


# --- the network is left alone, and mistakes are named ------------------------------------------------------------


def test_the_network_is_left_as_it_was() -> None:
    torch.manual_seed(0)
    net = zoo.create("fast_convnet", num_classes=10)
    net.norm1.eval()  # frozen, as one does in fine-tuning
    before = {key: value.clone() for key, value in net.state_dict().items()}
    x = torch.randn(3, 1, 28, 28)
    random = torch.get_rng_state()
    inspect(net, x)
    assert torch.equal(torch.get_rng_state(), random)
    assert net.training and net.norm2.training and not net.norm1.training
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in net.modules())
    assert all(parameter.grad is None for parameter in net.parameters())
    other = zoo.create("fast_convnet", num_classes=10)
    other.load_state_dict(before)
    assert torch.equal(net.eval()(x), other.eval()(x))


def test_the_first_item_of_a_batch_stands_for_all() -> None:
    net = zoo.create("lenet", num_classes=10)
    assert inspect(net, torch.zeros(7, 1, 28, 28)) == inspect(net, [1, 28, 28]) == inspect(net)


@pytest.mark.parametrize(
    ("input", "words"),
    [
        ((1, 32, 32), r"LeNet cannot take an item of 1x32x32: LeNet takes \(1, 28, 28\) pictures, got \(1, 32, 32\)"),
        (torch.zeros(2, 784), r"LeNet cannot take an item of 784: LeNet takes"),
        ((1, 0, 28), r"the size of an item must be whole numbers >= 1, got \(1, 0, 28\)"),
        ((1, 2.5), r"whole numbers >= 1, got \(1, 2.5\)"),
        (torch.zeros(0, 1, 28, 28), r"a batch of one item or more, got the shape \(0, 1, 28, 28\)"),
        (torch.tensor(1.0), r"a batch of one item or more, got the shape \(\)"),
    ],
)
def test_input_that_does_not_fit_is_named_in_one_line(input: Any, words: str) -> None:
    net = zoo.create("lenet", num_classes=10)
    with pytest.raises(ValueError, match=words) as error:
        inspect(net, input)
    assert "\n" not in str(error.value)
    assert net.training and not any(module._forward_hooks for module in net.modules())


def test_plain_networks_need_a_size_and_pytorchs_complaint_is_passed_on() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 5), nn.Flatten(), nn.Linear(16, 2))
    assert [layer.name for layer in inspect(net, (3, 6, 6)).layers] == ["0", "2"]
    with pytest.raises(ValueError, match="Sequential has no example_input: give the size of an item"):
        inspect(net)
    with pytest.raises(ValueError, match="Sequential cannot take an item of 3x4x4: .*Kernel size") as error:
        inspect(net, (3, 4, 4))
    assert "\n" not in str(error.value)
