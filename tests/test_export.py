"""Exported networks answer as torch's do, at sizes that the exporter has not seen, and carry their card."""

import json
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_models import CASES, make
from torch import Tensor, nn

import zoo
from zoo.errors import ConfigError, NumericError, OutputError
from zoo.export import export, reads_sequence

RNN = {"cell": "rnn", "hidden_size": 6, "num_layers": 2}
GRU = {"cell": "gru", "hidden_size": 6, "embedding_dim": 4}
LSTM = {"cell": "lstm", "hidden_size": 6, "num_layers": 2}
LECTURE = {"cell": "rnn", "hidden_size": 6, "variant": "lecture", "implementation": "reference"}
SIGMOID = {"cell": "rnn", "hidden_size": 6, "nonlinearity": "sigmoid", "implementation": "reference"}
BOTH_WAYS = {"in_features": 0, "hidden_size": 6, "bidirectional": True}
TRANSFORMER = {"hidden_size": 8, "num_heads": 2, "num_layers": 1}
REFERENCE = {"implementation": "reference"}

NETWORKS: list[tuple[str, dict[str, Any]]] = [
    ("mlp", {}),
    ("mlp", {"num_classes": 2}),
    ("lenet", {}),
    ("lenet", {"variant": "paper"}),
    ("nielsen_convnet", {}),
    ("fast_convnet", {}),
    ("alexnet", {"variant": "cifar"}),
    ("autoencoder", {"hidden_sizes": [8, 4]}),
    ("autoencoder_classifier", {"hidden_sizes": [8, 4]}),
    ("char_rnn", RNN),
    ("char_rnn", GRU),
    ("char_rnn", LSTM),
    ("char_rnn", LSTM | REFERENCE),
    ("char_rnn", LECTURE),
    ("char_transformer", TRANSFORMER),
    ("char_transformer", TRANSFORMER | REFERENCE),
    ("sequence_rnn", {"in_features": 0, "hidden_size": 6}),
    ("sequence_rnn", BOTH_WAYS),
    ("word2vec", {"embedding_dim": 4}),
]
TRANSLATORS = ("transformer", "seq2seq")  # have no graph
MORE = [(name, given) for name, given in CASES if name not in TRANSLATORS]
MORE += [("char_rnn", GRU | REFERENCE), ("char_transformer", {"context_length": 1})]
MORE += [("sequence_rnn", {"num_classes": 0, "vocab_size": 0, "in_features": 2})]
ALL = [*NETWORKS, *(pytest.param(*case, marks=pytest.mark.slow) for case in MORE)]


def trained(name: str, given: dict[str, Any]) -> nn.Module:
    """A network as `zoo.load` gives it; its running means and what starts at zero are other than at the start."""
    net, arguments = make(name, given)
    for value in net.state_dict().values():
        if value.is_floating_point():
            value.add_(0.02 * torch.randn_like(value))
    net.card = {"model": name, "arguments": arguments, "transform": {"kind": "text"}, "title": "Übung"}
    return net.eval()


def inputs(net: nn.Module) -> list[Tensor]:
    """Of batch 1 and 3; sequences also of other lengths than the example's."""
    like, limit = net.example_input, getattr(net, "context_length", None) or 7
    shapes = [(size, *like.shape[1:]) for size in (1, 3)]
    if time_is_free(net):
        shapes += [(size, time, *like.shape[2:]) for size, time in ((3, 1), (2, limit - 1), (1, limit))]
    return [torch.randn(shape) if like.is_floating_point() else torch.randint(3, shape) for shape in shapes]


def time_is_free(net: nn.Module) -> bool:
    return reads_sequence(net) and getattr(net, "context_length", None) != 1


def check_answers(net: nn.Module, answer: Callable[[Tensor], Tensor], tolerance: float) -> None:
    with torch.no_grad():
        for x in inputs(net):
            told, wanted = answer(x), net(x)
            assert told.shape == wanted.shape and wanted.isfinite().all()
            assert (told - wanted).abs().max() <= tolerance * wanted.abs().max().clamp(min=1)


@pytest.mark.parametrize(("name", "given"), [*ALL, ("char_rnn", SIGMOID)])
def test_onnx_answers_as_torch_does(
    name: str, given: dict[str, Any], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("onnxscript")
    onnx, onnxruntime = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    net = trained(name, given)
    path = export(net, tmp_path / "net.onnx", "onnx")
    assert list(tmp_path.iterdir()) == [path]  # the weights are in it
    assert capfd.readouterr() == ("", "")
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    assert [opset.version for opset in model.opset_import] == [20]
    assert {entry.key: json.loads(entry.value) for entry in model.metadata_props} == {"zoo": net.card}
    assert str(Path.cwd()).encode() not in path.read_bytes()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options)
    (x,), (output,) = session.get_inputs(), session.get_outputs()
    assert x.name == "x"
    assert x.shape[:2] == (["batch", "time"] if time_is_free(net) else ["batch", net.example_input.shape[1]])
    assert output.name == (
        "reconstruction" if name == "autoencoder" else "number" if given.get("num_classes") == 0 else "logits"
    )
    assert output.shape[0] == "batch"
    check_answers(net, lambda x: torch.from_numpy(session.run(None, {"x": x.numpy()})[0]), 1e-4)


SHIPPED = [
    pytest.param(name, marks=[] if name in ("mnist-lenet", "shakespeare-lstm", "mnist-sda") else pytest.mark.slow)
    for name in zoo.list_models(pretrained=True)
]


@pytest.mark.parametrize("name", SHIPPED)
def test_onnx_of_what_ships_answers_as_torch_does(name: str, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    net = zoo.load(name)
    session = onnxruntime.InferenceSession(export(net, tmp_path / "net.onnx", "onnx"))
    x = torch.cat([net.example_input, net.example_input[:1]])  # another number than it was traced with
    x = torch.randn_like(x) if x.is_floating_point() else torch.randint_like(x, 0, 8)
    (found,) = session.run(None, {"x": x.numpy()})
    with torch.no_grad():
        assert np.abs(found - net(x).numpy()).max() <= 1e-4


@pytest.mark.parametrize(("name", "given"), ALL)
@pytest.mark.filterwarnings("ignore:`torch.jit.load` is deprecated:DeprecationWarning")
def test_torchscript_answers_as_torch_does(
    name: str, given: dict[str, Any], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    net = trained(name, given)
    path = export(net, tmp_path / "net.pt", "torchscript")
    assert list(tmp_path.iterdir()) == [path]
    assert capfd.readouterr() == ("", "")
    files = {"zoo.json": ""}
    fused_attention = "transformer" in name and given.get("implementation") != "reference"
    tolerance = 1e-5 if fused_attention else 1e-6  # it is exported written out, and adds up in another order
    check_answers(net, torch.jit.load(path, _extra_files=files), tolerance)
    assert json.loads(files["zoo.json"]) == net.card


@pytest.mark.parametrize(
    ("name", "given"), [*NETWORKS, ("transformer", {"hidden_size": 16}), ("seq2seq", {"hidden_size": 5})]
)
def test_json_reads_back_to_the_same_bits(name: str, given: dict[str, Any], tmp_path: Path) -> None:
    net = trained(name, given)
    path = export(net, tmp_path / "net.json", "json")
    content = json.loads(path.read_text(encoding="utf-8"))
    assert content["format"] == 1
    assert content["card"] == net.card
    assert (content["model"], content["arguments"]) == (name, net.card["arguments"])
    assert list(content["weights"]) == list(net.state_dict())
    for key, weight in net.state_dict().items():
        read = np.array(content["weights"][key]["data"], np.float32).reshape(content["weights"][key]["shape"])
        assert read.shape == tuple(weight.shape)
        assert read.tobytes() == weight.float().numpy().tobytes()


def test_json_keeps_any_float32(tmp_path: Path) -> None:
    net = nn.Linear(50, 40)  # without a card
    bits = torch.randint(-(2**31), 2**31, (40, 50)).int().view(torch.float32)
    odd = torch.tensor([-0.0, 0.0, 1e-45, 1.1754942e-38, 3.4028235e38, 16777217.0, 0.1])
    net.weight.data = torch.where(bits.isfinite(), bits, -0.0)
    net.bias.data[: len(odd)] = odd
    content = json.loads(export(net, tmp_path / "net.json", "json").read_text())
    assert (content["model"], content["arguments"], content["card"]) == (None, None, {})
    for name, weight in net.named_parameters():
        read = np.array(content["weights"][name]["data"], np.float32)
        assert read.tobytes() == weight.detach().numpy().tobytes()


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_json_has_no_word_for_what_is_not_finite(number: float, tmp_path: Path) -> None:
    net = nn.Linear(3, 2)
    net.bias.data[1] = number
    with pytest.raises(NumericError, match="^cannot export: bias holds a number that is not finite, which JSON"):
        export(net, tmp_path / "net.json", "json")
    net.bias.data.zero_()
    net.card = {"metrics": {"test/loss": number}}
    with pytest.raises(NumericError, match="^cannot export: the card holds a number that is not finite"):
        export(net, tmp_path / "net.json", "json")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("to", ["onnx", "torchscript", "json"])
def test_exporting_leaves_the_network_as_it_was(to: str, tmp_path: Path) -> None:
    if to == "onnx":
        pytest.importorskip("onnxscript")
    net, _ = make("char_rnn", LSTM | REFERENCE | {"dropout": 0.5})  # in train mode, without a card
    before = [*net.modules()]
    export(net, tmp_path / "net", to)
    assert [*net.modules()] == before and net.training
    assert all(parameter.requires_grad for parameter in net.parameters())


def test_what_cannot_be_exported_is_refused_in_one_line(tmp_path: Path) -> None:
    net = trained("mlp", {})
    with pytest.raises(ConfigError, match=r"^cannot export to 'onx' \(did you mean 'onnx'\?\); valid: onnx, torch.*"):
        export(net, tmp_path / "net", "onx")
    for name in TRANSLATORS:
        for to in ("onnx", "torchscript"):
            with pytest.raises(ConfigError, match="^(Transformer|Seq2Seq) writes token by token.*export it to json$"):
                export(make(name, {"hidden_size": 16})[0], tmp_path / "net", to)
    with pytest.raises(ConfigError, match="^TorchScript has no recurrent layers with nonlinearity=sigmoid"):
        export(trained("char_rnn", SIGMOID), tmp_path / "net", "torchscript")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("package", ["onnx", "onnxscript"])
def test_a_missing_package_is_named(package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ConfigError, match="^to=onnx needs packages that are missing .*: pip install onnx onnxscript$"):
        export(trained("mlp", {}), tmp_path / "net.onnx", "onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("to", ["onnx", "torchscript", "json"])
def test_a_full_disk_leaves_the_previous_file(to: str, tmp_path: Path) -> None:
    if to == "onnx":
        pytest.importorskip("onnxscript")
    net, path = trained("mlp", {"in_features": 784}), tmp_path / "net"
    path.write_text("previous")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(OutputError, match="cannot write .*net: File too large"):
            export(net, path, to)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [p.read_text() for p in tmp_path.iterdir()] == ["previous"]
