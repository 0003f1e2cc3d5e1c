"""A zoo of reference networks that accompanies deep-learning lectures.

    import zoo
    net = zoo.load("mnist-lenet")                                            # trained, in eval mode
    print(net.predict("seven.png"), net.card["metrics"])
    net = zoo.create("mlp", in_features=2, num_classes=2, hidden_sizes=[8])  # untrained

Importing the package costs nothing: torch is imported when the first network is made, Hydra's configuration and
Lightning only by `python train.py`.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from torch import Tensor, nn

    from zoo.inspector import Inspection
    from zoo.lectures.sizes import Size
    from zoo.models.word_vectors import WordVectors

__version__ = "0.1.0"
__all__ = ["conv_size", "create", "inspect", "list_models", "load", "load_vectors", "save_vectors"]


def list_models(pretrained: bool = False) -> list[str]:
    """The names that `create` and `model=` take; pretrained: those that `load` takes, trained and shipped."""
    if pretrained:
        from zoo.pretrained import index

        return list(index())
    from zoo.registry import load_all

    return sorted(load_all()["model"])


def create(name: str, pretrained: "str | Path | None" = None, **arguments: object) -> "nn.Module":
    """A network of that name, in train mode.

    pretrained: whatever `load` takes; the weights start from there, and arguments that are not given are as there. With
        another number of classes the output layer starts anew.
    Raises ConfigError for a name or argument that is not there, CheckpointError for weights that do not fit.
    """
    if pretrained is not None:
        from zoo.pretrained import adapted

        return adapted(name, arguments, pretrained)
    from zoo.registry import build

    return build("model", name, arguments)


def load(source: "str | Path") -> "nn.Module":
    """A trained network, in eval mode, with its `card` and the verbs of its kind.

    source: a name of `list_models(pretrained=True)`, a run directory, a .ckpt, a .safetensors, a state dict of
        torchvision's AlexNet, `https://....safetensors#sha256=HEX`, or `hf://owner/name`.
    Verbs: `predict(picture)` of a classifier, `generate(prompt, length)` of a model of characters, `nearest(word)` of
    word vectors, `reconstruct(picture)` of an autoencoder.
    Neither Hydra nor Lightning is imported, and no code in the file is ever executed. Raises CheckpointError.
    """
    from zoo.pretrained import load_network

    return load_network(source)


def inspect(network: "nn.Module", input: "Tensor | Sequence[int] | None" = None) -> "Inspection":
    """Sizes, parameters, multiplications and receptive fields of each step, with the arithmetic that gives them.

    input: items, or the size of one; None: the network's `example_input`. Raises ValueError for one that does not fit.
    """
    from zoo import inspector

    return inspector.inspect(network, input)


def conv_size(size: int, kernel: int, stride: int = 1, padding: int | str = 0, dilation: int = 1) -> "Size":
    """Outputs of a convolution or a pooling along one side; printed, the arithmetic with its numbers.

    padding: zeros on each side, or "valid", "same", "full". Raises ValueError for values that make no window.
    """
    from zoo.lectures import sizes

    return sizes.conv_size(size, kernel, stride, padding, dilation)


def save_vectors(network: "WordVectors", path: "str | Path") -> None:
    """Write word vectors in word2vec's format: binary where the name ends in .bin, else text; .gz packs them.

    Raises OutputError.
    """
    from zoo import vector_files

    vector_files.save_vectors(network, path)


def load_vectors(path: "str | Path") -> "WordVectors":
    """Read word vectors in word2vec's format, as gensim and others write it too. Raises DataError."""
    from zoo import vector_files

    return vector_files.load_vectors(path)
