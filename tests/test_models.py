"""Over the registry: every network keeps the contract, has a sane loss at the start and learns with every parameter."""

import ast
import inspect
import math
from pathlib import Path
from typing import Any, get_type_hints

import pytest
import torch

import zoo
from zoo.checkpoint import write_checkpoint
from zoo.models.decoding import BEGIN, END
from zoo.registry import MISSING, build, load_all

PROVIDED = {  # as a data set would
    "num_classes": 10,
    "in_features": 12,
    "input_shape": [3, 32, 32],
    "vocabulary": "abcdefghij",
    "vocab_size": 10,
    "context_length": 6,
    "words": list("abcdefghij"),
    "counts": [10] * 10,
}

ABC = {"vocabulary": "abc", "cell": "rnn", "hidden_size": 3, "implementation": "reference"}

# What else a model needs, and its other forms: name, arguments, parameters, loss at the start (None: ln classes).
MORE: list[tuple[str, dict[str, Any], int, float | None]] = [
    ("lenet", {}, 61_706, None),
    ("lenet", {"variant": "paper"}, 60_000, 84.0),  # the distance of an F6 at rest from a code of +-1
    ("nielsen_convnet", {}, 289_630, None),
    ("nielsen_convnet", {"channels": [20, 40]}, 85_670, None),
    ("fast_convnet", {}, 142_586, None),
    ("alexnet", {"variant": "cifar"}, 2_298_378, None),  # the large ones: tests/test_alexnet.py
    ("mlp_and_convnet", {}, 3072 * 100 + 100 + 1010 + 1_216 + 12_832 + 51_264 + 10_250, 2 * math.log(10)),
    ("mlp", {"in_features": 784}, 79_510, None),
    ("mlp", {"in_features": 2, "num_classes": 2, "hidden_sizes": [2]}, 9, None),
    ("many_mlps", {"in_features": 2, "num_classes": 2, "num_copies": 5}, 5 * 9, 5 * math.log(2)),  # summed over copies
    ("perceptron", {"num_classes": 2}, 13, 0.25),  # half of the items are wrong, by |z| of some 0.5
    ("locally_connected", {}, 14_976 + 5_770, None),  # C29
    ("locally_connected", {"in_channels": 3}, 43_776 + 5_770, None),  # C30
    ("locally_connected", {"image_size": 8, "kernel_size": 3, "out_channels": 2}, 2 * 36 * 10 + 730, None),
    ("echo_state_network", {"in_features": 1}, 202, 0.03),  # U49; the loss of a read-out drawn near 0, against 0
    ("echo_state_network", {"reservoir_size": 20}, 33, 0.4),
    # Barcelona R18: with 128 inputs and 256 hidden neurons the cells have 98,816, 296,448 and 395,264 parameters.
    ("char_rnn", {"cell": "rnn", "embedding_dim": 128, "hidden_size": 256}, 98_816 + 128 * 10 + 257 * 10, None),
    ("char_rnn", {"cell": "gru", "embedding_dim": 128, "hidden_size": 256}, 296_448 + 128 * 10 + 257 * 10, None),
    ("char_rnn", {"cell": "lstm", "embedding_dim": 128, "hidden_size": 256}, 395_264 + 128 * 10 + 257 * 10, None),
    ("char_rnn", {"cell": "irnn", "num_layers": 2, "hidden_size": 5}, 5 * 10 + 25 + 10 + 25 + 25 + 10 + 60, None),
    ("char_rnn", ABC | {"variant": "lecture"}, 30, None),  # I26: 9 + 9 + 3 + 9
    ("char_rnn", ABC, 36, None),  # with PyTorch's second bias and a bias at the output
    ("sequence_rnn", {"in_features": 0}, 4 * 64 * (10 + 64 + 2) + 65 * 10, None),
    (
        "sequence_rnn",
        {
            "in_features": 0,
            "bidirectional": True,
            "pooling": "max",
            "num_classes": 2,
            "embedding_dim": 8,
            "hidden_size": 5,
            "cell": "gru",
        },
        80 + 2 * 3 * 5 * (8 + 5 + 2) + 11,
        None,
    ),
    ("sequence_rnn", {"vocab_size": 0, "in_features": 2, "pooling": "mean"}, 4 * 64 * (2 + 64 + 2) + 650, None),
    # A layer of D = 128 without biases: 12 D^2 and two norms; nanoGPT counts 0.80 M with 65 characters.
    ("char_transformer", {"bias": False}, 4 * (12 * 128**2 + 256) + 128 + 10 * 128 + 6 * 128, None),
    ("char_transformer", {"norm": "post", "position": "sinusoidal"}, 4 * (12 * 128**2 + 13 * 128) + 1280, None),
    ("sequence_transformer", {"in_features": 0}, 12 * 64**2 + 13 * 64 + 128 + 10 * 64 + 6 * 64 + 650, None),
    (
        "sequence_transformer",
        {"vocab_size": 0, "in_features": 2, "pooling": "max", "position": "none", "num_classes": 2, "norm": "post"},
        12 * 64**2 + 13 * 64 + 3 * 64 + 65,
        None,
    ),
    ("transformer", {"norm": "pre", "hidden_size": 16}, 160 + 3 * (12 * 256 + 13 * 16 + 16 * 256 + 19 * 16) + 64, 3.0),
    (
        "seq2seq",
        {"hidden_size": 5, "embedding_dim": 4, "attention": "none"},
        10 * 4 + 15 * (4 + 5 + 2) + 2 * 30 + (15 * 5 + 15 * 5 + 15 * 6) + 4 * (5 + 5 + 4 + 1) + 10,
        None,
    ),
    (
        "seq2seq",
        {"hidden_size": 5, "embedding_dim": 4},  # annotations of 10; W, U and v
        10 * 4 + 2 * 15 * (4 + 5 + 2) + 30 + (25 + 50 + 5) + (15 * 5 + 15 * 10 + 15 * 6) + 4 * (5 + 10 + 4 + 1) + 10,
        None,
    ),
]
# Layers of 12-8-4: weights, biases there and back; a sigmoid at rest is a half, far from a normal number by 1 + 1/4.
CODES = {"hidden_sizes": [8, 4]}
MORE += [
    ("autoencoder", CODES, 12 * 8 + 8 * 4 + (8 + 4) + (12 + 8), 12 * 1.25),
    ("autoencoder", CODES | {"tied": False, "activation": "tanh"}, 2 * (96 + 32) + 12 + 20, 12 * 1.25),
    ("autoencoder_classifier", CODES, 96 + 32 + 12 + 20 + 50, None),
    ("autoencoder_classifier", CODES | {"pretraining_epochs": 0}, 96 + 32 + 12 + 50, None),
    ("few_labels", CODES | {"labels": [10, 20]}, 96 + 32 + 12 + 20 + 4 * (96 + 32 + 12 + 50), 2 * math.log(10)),
    ("transfer_lenet", {}, 4 * 61_706, 3 * math.log(10)),
]
SAMPLING = 6 * math.log(2)  # one word that is there, five that were drawn
MORE += [
    ("word2vec", {"embedding_dim": 4}, 2 * 40, SAMPLING),
    ("word2vec", {"embedding_dim": 4, "architecture": "cbow"}, 2 * 40, SAMPLING),
    ("word2vec", {"embedding_dim": 4, "objective": "softmax"}, 2 * 40, None),
    ("word2vec", {"embedding_dim": 4, "objective": "hierarchical_softmax"}, 40 + 9 * 4, None),
    ("word_svd", {"embedding_dim": 4}, 2 * 40, None),
    ("word_svd", {"embedding_dim": 4, "weighting": "log"}, 2 * 40, None),
]
CASES = [(name, given) for name, given, _, _ in MORE]
CASES += [(name, {}) for name in zoo.list_models() if name not in {case[0] for case in CASES}]


def make(name: str, given: dict[str, Any]) -> tuple[torch.nn.Module, dict[str, Any]]:
    torch.manual_seed(0)
    parameters = inspect.signature(load_all()["model"][name]).parameters
    arguments = {k: v for k, v in PROVIDED.items() if k in parameters} | given
    net = zoo.create(name, **arguments)
    if name == "word2vec":  # its output layer starts at zero, and nothing would reach the vectors in the first step
        torch.nn.init.normal_(net.output_vectors, std=0.01)
    return net, arguments


def batch(net: torch.nn.Module, arguments: dict[str, Any], size: int = 20) -> tuple[torch.Tensor, ...]:
    """What `loss` takes."""
    shape = (size, *net.example_input.shape[1:])
    if "words" in arguments:  # running text, without targets
        return (torch.randint(10, (size, 8)).int(),)
    if "vocabulary" in arguments:  # a text: a target for each character
        return tuple(torch.randint(classes(arguments), shape) for _ in range(2))
    if hasattr(net, "translate"):  # sentences without special tokens but the first and the last
        source, target = (torch.randint(4, arguments["vocab_size"], (size, length)) for length in (6, 7))
        source[:, -1] = target[:, -1] = END
        target[:, 0] = BEGIN
        return source, target
    is_number = net.example_input.is_floating_point()
    x = torch.randn(shape) if is_number else torch.randint(arguments["vocab_size"], shape)
    return x, torch.arange(size) % classes(arguments)


def items(net: torch.nn.Module, arguments: dict[str, Any]) -> torch.Tensor:
    """What `forward` takes."""
    return torch.randint(10, (20, 1)) if "words" in arguments else batch(net, arguments)[0]


def classes(arguments: dict[str, Any]) -> int:
    if "words" in arguments:
        return len(arguments["words"])
    if "vocabulary" in arguments:
        return len(arguments["vocabulary"])
    return arguments.get("num_classes") or arguments.get("vocab_size", 1)  # an autoencoder has no classes


@pytest.mark.parametrize(("name", "given"), CASES)
def test_example_input_gives_finite_outputs_one_per_item(name: str, given: dict[str, Any]) -> None:
    net, arguments = make(name, given)
    net.eval()
    with torch.no_grad():
        assert net(net.example_input).isfinite().all()
        x = items(net, arguments)
        logits = net(x)
    assert len(logits) == len(x)
    # No item sees another, in eval mode.
    torch.testing.assert_close(net(x[:3]), logits[:3], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("name", "given"), CASES)
def test_loss_starts_at_chance_and_every_parameter_gets_a_gradient(name: str, given: dict[str, Any]) -> None:
    net, arguments = make(name, given)
    chance = math.log(classes(arguments))
    expected = next((start for n, g, _, start in MORE if (n, g) == (name, given) and start), chance)
    loss = net.loss(batch(net, arguments))["loss"]
    assert float(loss.detach()) == pytest.approx(expected, rel=0.25)
    loss.backward()
    idle = idle_at_the_end(net)
    for parameter_name, parameter in net.named_parameters():
        if parameter_name not in idle:
            assert parameter.grad is not None and parameter.grad.abs().sum() > 0, parameter_name


def idle_at_the_end(net: torch.nn.Module) -> set[str]:
    """The parameters that the last phase of a training in phases does not train."""
    if not hasattr(net, "phases"):
        return set()
    trained = {parameter for part in net.phases[-1].trained for parameter in part.parameters()}
    return {name for name, parameter in net.named_parameters() if parameter not in trained}


@pytest.mark.parametrize(("name", "given"), [case for case in CASES if "phases" in dir(load_all()["model"][case[0]])])
def test_every_phase_moves_all_that_it_trains_and_all_is_trained(name: str, given: dict[str, Any]) -> None:
    net, arguments = make(name, given)
    idle = dict(net.named_parameters())
    tensors = batch(net, arguments)
    for number, phase in enumerate(net.phases):
        net.phase = number
        net.zero_grad()
        net.loss((tensors[0].sigmoid(), tensors[1]))["loss"].backward()
        trained = {parameter for part in phase.trained for parameter in part.parameters()}
        assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in trained), phase.name
        idle = {key: parameter for key, parameter in idle.items() if parameter not in trained}
    assert all(key.startswith("frozen.conv") for key in idle)  # which is the source's, as it is


# The words that word2vec draws go by their place in the text; tests/test_word2vec.py looks at them.
@pytest.mark.parametrize(("name", "given"), [case for case in CASES if case[0] != "word2vec"])
def test_loss_does_not_depend_on_the_order_of_the_items(name: str, given: dict[str, Any]) -> None:
    net, arguments = make(name, given)
    tensors = batch(net.eval(), arguments)
    order = torch.randperm(len(tensors[0]))
    other = net.loss(tuple(tensor[order] for tensor in tensors))
    torch.testing.assert_close(net.loss(tensors)["loss"], other["loss"])


@pytest.mark.parametrize(("name", "given", "count", "_"), MORE)
def test_parameter_count(name: str, given: dict[str, Any], count: int, _: float | None) -> None:
    net, _ = make(name, given)
    assert sum(p.numel() for p in net.parameters()) == count


@pytest.mark.parametrize(("name", "given"), CASES)
def test_saved_and_loaded_it_is_the_same_network(name: str, given: dict[str, Any], tmp_path: Path) -> None:
    net, arguments = make(name, given)
    net.loss(batch(net, arguments))  # moves the running means where there are any
    path = tmp_path / "net.ckpt"
    weights = {f"network.{key}": value for key, value in net.state_dict().items()}
    write_checkpoint({"zoo": {"model": name, "arguments": arguments}, "state_dict": weights}, path)
    again = zoo.load(str(path))
    assert not again.training
    x = items(net, arguments)
    assert torch.equal(again(x), net.eval()(x))


@pytest.mark.parametrize("name", zoo.list_models())
def test_constructor_takes_typed_plain_values_only(name: str) -> None:
    cls = load_all()["model"][name]
    plain = {int, float, str, bool, list[int], list[float], list[str], int | None, float | None, str | None}
    hints = get_type_hints(cls.__init__)
    for parameter in list(inspect.signature(cls).parameters.values()):
        assert parameter.kind is parameter.POSITIONAL_OR_KEYWORD, parameter
        assert hints[parameter.name] in plain, parameter
        assert f"{parameter.name}:" in cls.__doc__, f"{parameter.name} is not documented"


@pytest.mark.parametrize("name", zoo.list_models())
def test_model_file_imports_only_torch_and_the_registry(name: str) -> None:
    path = Path(inspect.getfile(load_all()["model"][name]))
    text = path.read_text()
    allowed = {"torch", "math", "collections", "dataclasses", "functools", "typing"}
    parts = ("activations", "attention", "characters", "classifier", "decoding", "dropout", "huffman", "recurrent")
    parts += ("sequences", "word_vectors", "phases", "autoencoder", "lenet", "mlp", "locally_connected")
    shared = ("zoo.registry", *(f"zoo.models.{part}" for part in parts))  # what several models are made of
    for node in ast.walk(ast.parse(text)):
        modules = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        modules += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        for module in modules:
            assert module.split(".")[0] in allowed or module in shared, module
    for heading in ("Lecture:", "Source:", "Input:", "Output:", "Result:", "Shapes:"):
        assert heading in ast.get_docstring(ast.parse(text)), heading


@pytest.mark.parametrize(
    ("name", "wrong", "words"),
    [
        ("mlp", {"dropout": 1.0}, r"dropout must lie in \[0, 1\), got 1.0"),
        ("mlp", {"hidden_sizes": [3, 0]}, "hidden_sizes must all be >= 1"),
        ("mlp", {"in_features": 0}, "in_features must be >= 1"),
        ("mlp", {"num_classes": 1}, "num_classes must be >= 2"),
        ("mlp", {"activation": "gelu"}, "activation must be one of step, linear, sigmoid, tanh, relu, got 'gelu'"),
        ("lenet", {"variant": "1998"}, "variant must be one of modern, paper"),
        ("lenet", {"variant": "paper", "num_classes": 5}, "codes for 10 digits, got num_classes=5"),
        ("lenet", {"in_channels": 0}, "in_channels must be >= 1"),
        ("lenet", {"dropout": -0.1}, "dropout must lie in"),
        ("nielsen_convnet", {"channels": [20, 40, 80]}, "channels must be one or two"),
        ("nielsen_convnet", {"hidden_sizes": [0]}, "hidden_sizes must all be >= 1"),
        ("fast_convnet", {"label_smoothing": 1.0}, r"label_smoothing must lie in \[0, 1\)"),
        ("fast_convnet", {"hidden_size": 0}, "hidden_size must be >= 1"),
        ("alexnet", {"variant": "owt"}, "variant must be one of paper, single, torchvision, cifar, got 'owt'"),
        ("alexnet", {"dropout": 1.0}, r"dropout must lie in \[0, 1\), got 1.0"),
        ("alexnet", {"label_smoothing": -0.1}, r"label_smoothing must lie in \[0, 1\), got -0.1"),
        ("alexnet", {"num_classes": 1}, "num_classes must be >= 2, got 1"),
        ("mlp_and_convnet", {"num_classes": 1}, "num_classes must be >= 2, got 1"),
        ("mlp_and_convnet", {"hidden_size": 0}, "hidden_sizes must all be >= 1"),
        ("mlp_and_convnet", {"input_shape": [3, 32, 4]}, r"input_shape must be .* >= 8, got \[3, 32, 4\]"),
        ("many_mlps", {"num_classes": 3}, "got num_classes=3"),
        ("many_mlps", {"num_classes": 2, "init": "zeros"}, "init must be one of"),
        ("many_mlps", {"num_classes": 2, "num_copies": 0}, "num_copies must be >= 1"),
        ("many_mlps", {"num_classes": 2, "init_std": -1.0}, "init_std must be"),
        ("perceptron", {"num_classes": 10}, "two classes apart, got num_classes=10"),
        ("perceptron", {"num_classes": 2, "in_features": 0}, "in_features must be >= 1, got 0"),
        ("locally_connected", {"num_classes": 1}, "num_classes must be >= 2, got 1"),
        ("locally_connected", {"in_channels": 0}, "in_channels must be >= 1, got 0"),
        ("locally_connected", {"out_channels": 0}, "out_channels must be >= 1, got 0"),
        ("locally_connected", {"kernel_size": 29}, "kernel_size must lie in 1 .. image_size=28, got 29"),
        ("locally_connected", {"activation": "gelu"}, "activation must be one of step, linear, sigmoid, tanh, relu"),
        ("echo_state_network", {"in_features": 0}, "in_features must be >= 1, got 0"),
        ("echo_state_network", {"reservoir_size": 0}, "reservoir_size must be >= 1, got 0"),
        ("echo_state_network", {"spectral_radius": 0.0}, "spectral_radius must be a finite number > 0, got 0.0"),
        ("echo_state_network", {"input_scale": -1.0}, "input_scale must be a finite number > 0, got -1.0"),
        ("echo_state_network", {"ridge": float("inf")}, "ridge must be a finite number > 0, got inf"),
        (
            "mlp",
            {"hidden_size": 3},
            r"has no argument 'hidden_size' \(did you mean 'hidden_sizes'\?\); valid: in_features",
        ),
        ("mlp", {"in_features": "2"}, "in_features must be of type int, got '2'"),
        ("mlp", {"hidden_sizes": [2.5]}, r"hidden_sizes must be of type list\[int\], got \[2.5\]"),
        ("mlp", {"activation": ["relu"]}, "activation must be of type str"),
        ("mlp", {"dropout": True}, "dropout must be of type float, got True"),
        ("char_rnn", {"cell": "elman"}, "cell must be one of rnn, irnn, lstm, gru, got 'elman'"),
        ("char_rnn", {"vocabulary": "a"}, "vocabulary must hold two or more characters, each once, got 'a'"),
        ("char_rnn", {"vocabulary": "aba"}, "each once, got 'aba'"),
        ("char_rnn", {"hidden_size": 0}, "hidden_size must be >= 1"),
        ("char_rnn", {"num_layers": 0}, "num_layers must be >= 1"),
        ("char_rnn", {"embedding_dim": -1}, "embedding_dim must be >= 0"),
        ("char_rnn", {"dropout": 1.0}, "dropout must lie in"),
        ("char_rnn", {"input_dropout": -0.1}, "input_dropout must lie in"),
        ("char_rnn", {"implementation": "cuda"}, "implementation must be one of fused, reference"),
        ("char_rnn", {"variant": "slide"}, "variant must be one of pytorch, lecture"),
        ("char_rnn", {"variant": "lecture"}, "variant=lecture need implementation=reference"),
        ("char_rnn", {"cell": "rnn", "nonlinearity": "gelu"}, "nonlinearity must be one of tanh, relu, sigmoid"),
        ("char_rnn", {"nonlinearity": "relu"}, "nonlinearity=relu is for cell=rnn"),
        ("sequence_rnn", {"in_features": 2}, "either vocab_size or in_features must be > 0"),
        ("sequence_rnn", {"num_classes": 1}, "num_classes must be >= 2, or 0 for a number"),
        ("sequence_rnn", {"pooling": "sum"}, "pooling must be one of last, mean, max"),
        ("sequence_rnn", {"vocab_size": 0, "in_features": 2, "embedding_dim": 3}, "embedding_dim must be >= 0, and 0"),
        ("char_transformer", {"num_heads": 3}, "hidden_size must be a multiple of num_heads, got 128 and 3"),
        ("char_transformer", {"num_layers": 0}, "num_layers must be >= 1, got 0"),
        ("char_transformer", {"feedforward_size": -4}, "feedforward_size must be >= 1, got -4"),
        ("char_transformer", {"dropout": 1.0}, r"dropout must lie in \[0, 1\), got 1.0"),
        ("char_transformer", {"attention_dropout": -0.1}, "attention_dropout must lie in"),
        ("char_transformer", {"position": "rotary"}, "position must be one of learned, sinusoidal, none, got 'rotary'"),
        ("char_transformer", {"norm": "batch"}, "norm must be one of pre, post, got 'batch'"),
        ("char_transformer", {"activation": "tanh"}, "activation must be one of relu, gelu, got 'tanh'"),
        ("char_transformer", {"implementation": "flash"}, "implementation must be one of fused, reference"),
        ("char_transformer", {"vocabulary": "aba"}, "vocabulary must hold two or more characters, each once"),
        ("sequence_transformer", {"context_length": 0}, "context_length must be >= 1, got 0"),
        ("sequence_transformer", {"pooling": "first"}, "pooling must be one of last, mean, max, got 'first'"),
        ("transformer", {"label_smoothing": 1.0}, r"label_smoothing must lie in \[0, 1\), got 1.0"),
        ("transformer", {"vocab_size": 4}, "vocab_size must be >= 5"),
        ("seq2seq", {"vocab_size": 4}, "vocab_size must be >= 5"),
        ("seq2seq", {"attention": "luong"}, "attention must be one of bahdanau, none, got 'luong'"),
        ("seq2seq", {"embedding_dim": 0}, "embedding_dim must be >= 1, got 0"),
        ("word2vec", {"architecture": "glove"}, "architecture must be one of skipgram, cbow, got 'glove'"),
        ("word2vec", {"objective": "nce"}, "objective must be one of negative_sampling, hierarchical_softmax, softmax"),
        ("word2vec", {"window": 0}, "window must be >= 1, got 0"),
        ("word2vec", {"embedding_dim": 0}, "embedding_dim must be >= 1, got 0"),
        ("word2vec", {"negatives": -1}, "negatives must be >= 1, got -1"),
        ("word2vec", {"sample": -1e-3}, r"must lie in \[0, 1\], got -0.001"),
        ("word2vec", {"counts": [1]}, "counts must be 3 numbers >= 1, one per word"),
        ("word2vec", {"words": ["a", "b", "a"]}, "two or more, each once, got 3, 2 different"),
        ("word2vec", {"words": "abc"}, r"words must be of type list\[str\], got 'abc'"),
        ("word_svd", {"weighting": "tfidf"}, "weighting must be one of ppmi, log, got 'tfidf'"),
        ("word_svd", {"embedding_dim": 4}, "embedding_dim must be at most the number of words, 3, got 4"),
        ("word_svd", {"shift": 0.5}, "shift must be a finite number >= 1, got 0.5"),
        ("lennet", {}, r"unknown model 'lennet' \(did you mean 'lenet'\?\); valid: "),
    ],
)
def test_bad_values_are_named_with_their_rule(name: str, wrong: dict[str, Any], words: str) -> None:
    given = {
        "char_rnn": {"vocabulary": "abc"},
        "sequence_rnn": {"num_classes": 10, "vocab_size": 5, "in_features": 0},
        "char_transformer": {"vocabulary": "abc", "context_length": 6},
        "sequence_transformer": {"num_classes": 10, "vocab_size": 5, "in_features": 0, "context_length": 6},
        "transformer": {"vocab_size": 10},
        "word2vec": {"words": ["a", "b", "c"], "counts": [3, 2, 1]},
        "word_svd": {"words": ["a", "b", "c"], "counts": [3, 2, 1], "embedding_dim": 2},
        "seq2seq": {"vocab_size": 10},
        "mlp": {"num_classes": 10, "in_features": 2},
        "mlp_and_convnet": {"num_classes": 10, "input_shape": [3, 32, 32]},
        "perceptron": {"in_features": 2},
        "echo_state_network": {"in_features": 1},
        "many_mlps": {"num_classes": 10, "in_features": 2},
    }.get(name, {"num_classes": 10})
    with pytest.raises(zoo.errors.ConfigError, match=words):
        zoo.create(name, **(given | wrong))


def test_a_missing_argument_is_named() -> None:
    with pytest.raises(zoo.errors.ConfigError, match="model 'mlp' needs 'in_features'"):
        build("model", "mlp", {"in_features": MISSING, "num_classes": 2})


@pytest.mark.parametrize("name", ["lenet", "nielsen_convnet", "fast_convnet", "locally_connected"])
def test_pictures_of_another_size_are_refused(name: str) -> None:
    net, _ = make(name, {})
    with pytest.raises(ValueError, match=r"takes \(1, 28, 28\) pictures, got \(1, 32, 32\)"):
        net(torch.zeros(2, 1, 32, 32))
