"""Lets torchvision be imported beside a torch of another build.

The registry's torchvision wheel is built for CUDA. Beside a CPU build of torch its compiled operators cannot be
loaded, and `import torchvision` (and with it `import lightning`) stops at "operator torchvision::nms does not
exist". Declaring the two schemas first makes everything but those operators work; the zoo uses none of them.
"""

import importlib.util
from pathlib import Path

import torch

_library: torch.library.Library | None = None  # the declarations live as long as this object


def declare_missing_operators() -> None:
    """Declare `torchvision::nms` and `qnms` if the real ones cannot be loaded. Call before torchvision or Lightning."""
    global _library
    spec = importlib.util.find_spec("torchvision")
    if _library is not None or spec is None or spec.origin is None:
        return
    for compiled in Path(spec.origin).parent.glob("_C*.*"):
        try:
            torch.ops.load_library(compiled)
        except OSError:  # built against a torch that is not here
            continue
    if hasattr(torch.ops.torchvision, "nms"):
        return
    _library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        _library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
