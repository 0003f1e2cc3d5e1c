"""The whole command beside its imports alone: `python tests/benchmarks/start_up.py` (nothing else running).

Reference: a process that imports torch and Lightning and ends. Ours: `python train.py experiment=xor_mlp`, which
composes, trains, tests, draws and writes. Both take turns; medians.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
IMPORTS = (
    "from zoo.torchvision_operators import declare_missing_operators; declare_missing_operators();"
    "import torch, lightning"
)
COMMANDS = {
    "imports": [sys.executable, "-c", IMPORTS],
    "ours": [sys.executable, str(ROOT / "train.py"), "experiment=xor_mlp"],
}


def seconds(name: str) -> float:
    """How long the command takes, in an empty folder."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        subprocess.run(COMMANDS[name], cwd=folder, check=True, capture_output=True)
        return time.perf_counter() - started


if __name__ == "__main__":
    for name in COMMANDS:
        seconds(name)  # warms the disk's cache
    taken = {name: [] for name in COMMANDS}
    for _ in range(9):
        for name in COMMANDS:
            taken[name].append(seconds(name))
    medians = {name: statistics.median(values) for name, values in taken.items()}
    ratio = medians["ours"] / medians["imports"]
    print(json.dumps({**{k: round(v, 2) for k, v in medians.items()}, "ratio": round(ratio, 2)}))
