"""A zoo of reference networks that accompanies deep-learning lectures.

    import zoo
    net = zoo.create("mlp", in_features=2, num_classes=2, hidden_sizes=[8])  # untrained
    net = zoo.load("runs/digits_lenet/.../checkpoints/best.ckpt")            # trained, in eval mode

Importing the package costs nothing: torch is imported when the first network is made, Hydra's configuration and
Lightning only by `python train.py`.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

    from zoo.models.word_vectors import WordVectors

__version__ = "0.1.0"
__all__ = ["create", "list_models", "load", "load_vectors", "save_vectors"]


def list_models() -> list[str]:
    """The names that `create` and `model=` take."""
    from zoo.registry import load_all

    return sorted(load_all()["model"])


def create(name: str, **arguments: object) -> "nn.Module":
    """An untrained network of that name, in train mode. Raises ConfigError for a name or argument that is not there."""
    from zoo.registry import build

    return build("model", name, arguments)


def load(path: str) -> "nn.Module":
    """A trained network, in eval mode, from a run directory, a checkpoint file or its URL.

    Neither Hydra nor Lightning is imported, and no code in the file is ever executed. Raises CheckpointError.
    """
    from zoo.checkpoint import load_network

    return load_network(path)


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
