"""Where trained networks come from: a name that ships with the zoo, a run, a file, an address, the Hugging Face Hub.

Whatever the door, what comes in is tensors and plain values: the network is built from the registry by its name and
checked arguments, and nothing that a file holds is ever executed.
"""

import functools
import hashlib
import json
import math
import os
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from zoo.checkpoint import COMMENT, LEGACY, MARK, load_weights, plain_content, read_checkpoint, read_file
from zoo.errors import CheckpointError, DataError, short
from zoo.items import check_transform
from zoo.registry import build, nearest
from zoo.weight_files import check_weights, numbers_in, unpacked

INDEX = "index.json"  # in zoo/weights/: name -> SHA-256 and size of NAME.safetensors
PINNED = re.compile(r"(https?://[^#\s]+\.safetensors)#sha256=([0-9a-fA-F]{64})")
MAKERS = (torch.empty, torch.zeros, torch.ones, torch.rand, torch.randn, torch.full, torch.arange, torch.eye)
# Times a file's numbers and tensors, and beside them numbers and calls, for tables that follow from the arguments.
AS_MANY, ROOM, CALLS = 4, 1 << 24, 100
PUBLISHED = "model.safetensors"  # in a folder that `zoo publish` has made, and in a repository of the Hub
LONGEST = 60  # letters of a name; what is longer was meant as a path
ZIP = b"PK\x03\x04"
IMAGENET = {"kind": "image", "size": 224, "resize": 256, "channels": 3}  # how torchvision's weights see a picture
IMAGENET |= {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}


@functools.cache
def index() -> dict[str, dict[str, Any]]:
    """What ships with the zoo: name -> `sha256` and `bytes` of its file."""
    return json.loads((files("zoo.weights") / INDEX).read_text(encoding="utf-8"))


def shipped(name: str) -> bytes:
    """The bytes of a file that ships with the zoo. Raises CheckpointError where they are not those of the index."""
    path = files("zoo.weights") / f"{name}.safetensors"
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror or error}") from error
    if hashlib.sha256(raw).hexdigest() != index()[name]["sha256"]:
        raise CheckpointError(f"{path} is damaged: its SHA-256 is not the one of {INDEX}; install the zoo anew")
    return raw


def ships(raw: bytes) -> bool:
    """Whether these bytes are one of the files that ship with the zoo."""
    return hashlib.sha256(raw).hexdigest() in [file["sha256"] for file in index().values()]


def read(source: str | Path) -> dict[str, Any]:
    """`zoo`, what is known of the network, and `state_dict`, its weights on the CPU. Raises CheckpointError.

    source: a name that ships; a run directory, or a folder that was published; a .ckpt, a .safetensors, a state dict of
        torchvision's AlexNet; https://....safetensors#sha256=HEX; hf://owner/name.
    """
    text = str(source)
    if text in index():
        return unpacked(shipped(text), text, trusted=True)
    if text.startswith("hf://"):
        from zoo.hub import fetched

        return unpacked(raw := read_file(fetched(text)), text, ships(raw))
    if text.startswith(("http://", "https://")):
        return unpacked(read_file(downloaded(text)), text, trusted=True)
    path = Path(text)
    if os.path.isfile(path / PUBLISHED):
        path = path / PUBLISHED
    if len(path.parts) == 1 and not path.suffix and len(text) < LONGEST and not path.exists():
        close, valid = nearest(text.lower(), index()), ", ".join(index())
        raise CheckpointError(f"no network is called {text!r}{close}, and no file or folder; valid: {valid}")
    if os.path.isdir(path):
        if not (path / "checkpoints" / "best.ckpt").exists():
            runs = sorted(run.parent.name for run in path.glob("*/checkpoints"))
            below = f"; in it are the runs {', '.join(runs[-3:])}" if runs else ""
            raise CheckpointError(f"{text} holds no run (checkpoints/best.ckpt), nor what zoo publish makes{below}")
        from zoo.card import with_result

        return with_result(read_checkpoint(path), path)
    raw = read_file(path)
    if raw.startswith((ZIP, LEGACY)) and not raw[-COMMENT:].startswith(MARK):
        return of_torchvision(raw, str(path))
    return unpacked(raw, str(path), ships(raw)) if path.suffix == ".safetensors" else read_checkpoint(path)


def of_torchvision(raw: bytes, source: str) -> dict[str, Any]:
    """The content of a state dict of torchvision's AlexNet. Raises CheckpointError for any other archive."""
    content = plain_content(raw, source)
    last = content.get("classifier.6.weight") if isinstance(content, dict) else None
    if getattr(last, "ndim", 0) != 2 or "features.0.weight" not in content:
        raise CheckpointError(
            f"{source} is not a checkpoint of the zoo: it has not the zoo's mark, nor is it a state dict of "
            f"torchvision's AlexNet"
        )
    check_weights(content, source)
    classes = {"classes": imagenet_classes()} if len(last) == 1000 else {}
    about = {
        "model": "alexnet",
        "arguments": {"num_classes": len(last), "variant": "torchvision"},
        "transform": IMAGENET | classes,
    }
    return {"zoo": about, "state_dict": content}


def imagenet_classes() -> list[str]:
    """The names of ImageNet's 1,000 classes, which torchvision knows."""
    from zoo.torchvision_operators import declare_missing_operators

    declare_missing_operators()
    from torchvision.models import AlexNet_Weights  # a second to import: only for weights of torchvision

    return list(AlexNet_Weights.IMAGENET1K_V1.meta["categories"])


def downloaded(address: str) -> Path:
    """The file at an address, kept under the data root. Raises CheckpointError."""
    from zoo.data.dataset import data_root
    from zoo.data.fetch import File, fetch

    pinned = PINNED.fullmatch(address)
    if pinned is None:
        raise CheckpointError(
            f"{address}: weights are fetched only as https://....safetensors#sha256=HEX, whose SHA-256 says which "
            f"file is meant"
        )
    url, sha256 = pinned[1], pinned[2].lower()
    try:
        return fetch(url, data_root(None) / "weights" / f"{sha256}.safetensors", File(url, sha256, None))
    except DataError as error:
        raise CheckpointError(str(error)) from error


def load_network(source: str | Path) -> nn.Module:
    """The network of any `source` that `read` takes, in eval mode. Raises CheckpointError, ConfigError."""
    return built(read(source), source)


def built(content: dict[str, Any], source: str | Path) -> nn.Module:
    """The network that a content holds, in eval mode; source: what errors call it."""
    about = content["zoo"]
    network = bounded(about["model"], about["arguments"], content, source)
    load_weights(network, content, source)
    network.card = about
    give_transform(network, about, source)
    return network.eval()


def give_transform(network: nn.Module, about: dict[str, Any], source: str | Path) -> None:
    """Let the network know how its items are made. Raises CheckpointError where that is not in order."""
    transform = about.get("transform")
    if transform and hasattr(network, "transform"):
        try:
            check_transform(transform)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise CheckpointError(f"{source}: its transform is not in order: {short(error)}") from error
    if isinstance(transform, dict):
        network.transform = transform


def bounded(model: str, arguments: dict[str, Any], content: dict[str, Any], source: str | Path) -> nn.Module:
    """The network of that name, as long as the weights of the file fill it. Raises CheckpointError, ConfigError."""
    with Bounded(content["state_dict"], source):
        return build("model", model, arguments)


class Bounded(TorchFunctionMode):
    """While a network is made of what a file says, stops it from taking memory that the file's weights do not fill.

    weights: those of the file. source: what the error calls it. Raises CheckpointError.
    """

    def __init__(self, weights: dict[str, torch.Tensor], source: str | Path):
        super().__init__()
        self.numbers, self.source = numbers_in(weights), source
        self.left, self.calls_left = AS_MANY * self.numbers + ROOM, AS_MANY * len(weights) + CALLS

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Count what is about to be made, then make it."""
        if function in MAKERS:
            first = args[0] if args else (kwargs or {}).get("size", 0)
            sides = first if isinstance(first, (tuple, list)) else [a for a in args if isinstance(a, int)]
            self.left -= math.prod(int(side) for side in sides)
            self.calls_left -= 1
            if min(self.left, self.calls_left) < 0:
                raise CheckpointError(
                    f"{self.source} holds {self.numbers:,} numbers, its card asks for a far larger network; not built"
                )
        return function(*args, **(kwargs or {}))


def adapted(name: str, arguments: dict[str, Any], source: str | Path) -> nn.Module:
    """A network in train mode that starts from trained weights; arguments that are not given are those of `source`.

    Its output layer starts anew where it has another number of classes. Raises CheckpointError, ConfigError.
    """
    content = read(source)
    about = content["zoo"]
    if about["model"] != name:
        raise CheckpointError(f"{source} does not fit: it holds model={about['model']}, not {name}")
    network = bounded(name, {**about["arguments"], **arguments}, content, source)
    anew = load_weights(network, content, source, new_head=True)
    if isinstance(transform := about.get("transform"), dict) and anew:  # the classes are others now
        about = about | {"transform": {key: value for key, value in transform.items() if key != "classes"}}
    give_transform(network, about, source)
    return network
