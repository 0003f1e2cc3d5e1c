"""AlexNet: parameter counts of the lecture, torchvision's logits, the paper's layers by hand, top-5, ten views."""

import functools
import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import zoo
from zoo.torchvision_operators import declare_missing_operators

# Prague C45, layer by layer; single: the same without groups; torchvision: arXiv 1404.5997.
COUNTS = {
    "paper": [34_944, 307_456, 885_120, 663_936, 442_624, 37_752_832, 16_781_312, 4_097_000],
    "single": [34_944, 614_656, 885_120, 1_327_488, 884_992, 37_752_832, 16_781_312, 4_097_000],
    "torchvision": [23_296, 307_392, 663_936, 884_992, 590_080, 37_752_832, 16_781_312, 4_097_000],
    "cifar": [1_792, 73_856, 295_168, 442_560, 331_968, 885_248, 262_656, 5_130],
}
TOGETHER = {"paper": 60_965_224, "single": 62_378_344, "torchvision": 61_100_840, "cifar": 2_298_378}


def layers(net: nn.Module) -> list[nn.Module]:
    return [module for module in net.modules() if isinstance(module, (nn.Conv2d, nn.Linear))]


@functools.cache
def paper() -> nn.Module:
    """Made once: drawing sixty million numbers takes a second."""
    torch.manual_seed(0)
    return zoo.create("alexnet", num_classes=1000, variant="paper").eval()


@pytest.mark.parametrize("variant", COUNTS)
def test_parameters_layer_by_layer(variant: str) -> None:
    with torch.device("meta"):
        net = zoo.create("alexnet", num_classes=10 if variant == "cifar" else 1000, variant=variant)
    counts = [sum(p.numel() for p in layer.parameters()) for layer in layers(net)]
    assert counts == COUNTS[variant] and sum(counts) == TOGETHER[variant] == sum(p.numel() for p in net.parameters())


def test_torchvisions_weights_load_unchanged_and_give_its_logits() -> None:
    declare_missing_operators()
    import torchvision

    torch.manual_seed(0)
    reference = torchvision.models.alexnet().eval()
    with torch.device("meta"):
        net = zoo.create("alexnet", num_classes=1000, variant="torchvision").eval()
    net.load_state_dict(reference.state_dict(), assign=True)
    x = torch.randn(2, 3, 224, 224)
    with torch.no_grad():
        torch.testing.assert_close(net(x), reference(x), rtol=0, atol=1e-5)
        wide = torch.randn(1, 3, 96, 128)
        torch.testing.assert_close(net(wide), reference(wide), rtol=0, atol=1e-5)


def response_normalised(a: Tensor) -> Tensor:
    """Section 3.3, map by map: b_i = a_i / (k + alpha * sum of a_j^2, j from i - 2 to i + 2)^beta."""
    maps = a.shape[1]
    out = torch.empty_like(a)
    for i in range(maps):
        neighbours = a[:, max(0, i - 2) : min(maps, i + 3)]
        out[:, i] = a[:, i] / (2 + 1e-4 * neighbours.square().sum(1)) ** 0.75
    return out


def on_two_gpus(layer: nn.Conv2d, x: Tensor, padding: int) -> Tensor:
    """Each half of the maps sees its own half of the input."""
    half, weight, bias = x.shape[1] // 2, layer.weight, layer.bias
    out = len(weight) // 2
    return torch.cat(
        [
            F.conv2d(x[:, :half], weight[:out], bias[:out], padding=padding),
            F.conv2d(x[:, half:], weight[out:], bias[out:], padding=padding),
        ],
        1,
    )


def test_the_papers_layers_in_the_papers_order() -> None:
    net = paper()
    conv1, conv2, conv3, conv4, conv5, fc6, fc7, fc8 = layers(net)
    x = torch.randn(1, 3, 224, 224) * 100  # so that the normalisation has something to do
    with torch.no_grad():
        padded = F.pad(x, (2, 1, 2, 1))  # 227 pixels: the last zero of 228 is never reached
        a = F.relu(F.conv2d(padded, conv1.weight, conv1.bias, stride=4))
        assert a.shape[1:] == (96, 55, 55)
        a = F.max_pool2d(response_normalised(a), 3, 2)
        a = F.max_pool2d(response_normalised(F.relu(on_two_gpus(conv2, a, 2))), 3, 2)
        a = F.relu(F.conv2d(a, conv3.weight, conv3.bias, padding=1))
        a = F.relu(on_two_gpus(conv5, F.relu(on_two_gpus(conv4, a, 1)), 1))
        a = F.max_pool2d(a, 3, 2).flatten(1)
        assert a.shape == (1, 9216)
        logits = fc8(F.relu(fc7(F.relu(fc6(a)))))
        torch.testing.assert_close(net(x), logits, rtol=1e-4, atol=1e-4)


def test_the_papers_first_weights() -> None:
    for number, layer in enumerate(layers(paper()), 1):
        assert float(layer.weight.detach().std()) == pytest.approx(0.01, rel=0.05)
        assert torch.equal(layer.bias, torch.full_like(layer.bias, float(number in (2, 4, 5, 6, 7))))


def test_the_table_of_sizes_says_55_and_why_not_57() -> None:
    lines = paper().summary().splitlines()
    outputs = {line.split()[0]: line.split()[1] for line in lines if line[:4] in ("conv", "pool")}
    assert outputs == {
        "conv1": "96x55x55", "pool1": "96x27x27", "conv2": "256x27x27", "pool2": "256x13x13", "conv3": "384x13x13",
        "conv4": "384x13x13", "conv5": "256x13x13", "pool5": "256x6x6",
    }  # fmt: skip
    assert any("9,216 * 4,096 + 4,096" in line for line in lines)
    assert "(224 + 2*2 - 11) / 4 + 1 = 55.25 -> 55" in lines[2]
    assert "57.75" in lines[-3] and "60,965,224" in lines[-4]
    # I20: neurons of the first layer.
    assert 55 * 55 * 96 == 290_400


@pytest.mark.parametrize("variant", ["torchvision", "cifar"])
def test_the_table_is_what_the_network_computes(variant: str) -> None:
    with torch.device("meta"):
        net = zoo.create("alexnet", num_classes=10, variant=variant)
        sizes = []
        x = net.example_input[:1]
        for layer in net.features:
            x = layer(x)
            if isinstance(layer, (nn.Conv2d, nn.MaxPool2d)):
                sizes.append("x".join(str(n) for n in x.shape[1:]))
    table = [line.split()[1] for line in net.summary().splitlines() if line[:4] in ("conv", "pool")]
    assert table == sizes


def test_ten_views_are_averaged_as_probabilities() -> None:
    torch.manual_seed(0)
    net = zoo.create("alexnet", num_classes=10, variant="cifar").eval()
    x = torch.randn(3, 10, 3, 32, 32)
    with torch.no_grad():
        probabilities = torch.stack([net(x[:, view]).softmax(1) for view in range(10)]).mean(0)
        torch.testing.assert_close(net(x).exp(), probabilities)
        loss = net.loss((x, torch.tensor([1, 2, 3])))["loss"]
    expected = -sum(math.log(probabilities[i, i + 1]) for i in range(3)) / 3
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_the_loss_of_ten_views_is_finite_however_sure_they_are() -> None:
    net = zoo.create("alexnet", num_classes=3, variant="cifar").eval()
    one = net.forward
    net.forward = lambda x: one(x) if x.dim() == 5 else torch.tensor([[0.0, 200.0, 0.0]]).expand(len(x), 3)
    x = torch.zeros(1, 10, 3, 32, 32)
    torch.testing.assert_close(net.loss((x, torch.tensor([0])))["loss"], torch.tensor(200.0))


def test_top_5_is_among_the_five_highest() -> None:
    """C42, counted by sorting; there are no ties among normal draws, and of equal logits five count at most."""
    torch.manual_seed(0)
    net = zoo.create("alexnet", num_classes=40, variant="cifar").eval()
    logits, targets = torch.randn(200, 40), torch.randint(40, (200,))
    net.forward = lambda x: logits
    found = float(net.loss((torch.zeros(200, 3, 32, 32), targets))["top5"])
    ranks = [sorted(row, reverse=True).index(row[target]) for row, target in zip(logits.tolist(), targets, strict=True)]
    assert found == pytest.approx(sum(rank < 5 for rank in ranks) / 200)
    net.forward = lambda x: torch.zeros(40, 40)
    assert float(net.loss((torch.zeros(40, 3, 32, 32), torch.arange(40)))["top5"]) == 5 / 40


def test_label_smoothing_is_for_training_only() -> None:
    net = zoo.create("alexnet", num_classes=10, variant="cifar", dropout=0.0, label_smoothing=0.1)
    batch = (torch.randn(4, 3, 32, 32), torch.tensor([1, 2, 3, 4]))
    with torch.no_grad():
        log_p = net(batch[0]).log_softmax(1)
        plain = -log_p[range(4), batch[1]].mean()
        torch.testing.assert_close(net.loss(batch)["loss"], 0.9 * plain - 0.1 * log_p.mean())
        torch.testing.assert_close(net.eval().loss(batch)["loss"], plain)


@pytest.mark.parametrize(
    ("variant", "shape", "words"),
    [
        ("cifar", (3, 33, 33), r"takes \(3, 32, 32\) pictures, got \(3, 33, 33\)"),
        ("paper", (3, 227, 227), r"takes \(3, 224, 224\) pictures, got"),
        ("torchvision", (3, 62, 224), r"takes \(3, 224, 224\) pictures or any from \(3, 63, 63\) on, got"),
        ("torchvision", (1, 224, 224), "got"),
    ],
)
def test_other_sizes_are_refused(variant: str, shape: tuple[int, ...], words: str) -> None:
    with torch.device("meta"):
        net = zoo.create("alexnet", num_classes=10, variant=variant)
        with pytest.raises(ValueError, match=words):
            net(torch.zeros(2, *shape))


def test_the_mlp_and_the_convnet_do_not_touch_each_other() -> None:
    """Cyprus U28: 256x256x3 into 100 neurons are 19,660,800 weights, and 100 more to the answer."""
    torch.manual_seed(0)
    net = zoo.create("mlp_and_convnet", num_classes=2, input_shape=[3, 32, 32])
    batch = (torch.randn(6, 3, 32, 32), torch.tensor([0, 1, 0, 1, 1, 0]))
    metrics = net.loss(batch)
    metrics["loss"].backward()
    losses = (net.mlp.loss(batch)["loss"], F.cross_entropy(net(batch[0]), batch[1]))
    for part, alone in zip((net.mlp, net.convnet), losses, strict=True):
        gradients = torch.autograd.grad(alone, list(part.parameters()))
        for parameter, gradient in zip(part.parameters(), gradients, strict=True):
            torch.testing.assert_close(parameter.grad, gradient)
    assert float(metrics["lead"]) == pytest.approx(float(metrics["acc"] - metrics["mlp_acc"]))
    assert "256*256*3 * 100 = 19,660,800" in net.summary()
    assert sum(p.numel() for p in net.mlp.parameters()) == 3072 * 100 + 100 + 100 + 1
    with pytest.raises(ValueError, match=r"take \(3, 32, 32\) pictures"):
        net(torch.zeros(2, 3, 28, 28))
