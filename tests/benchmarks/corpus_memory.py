"""Memory of a large corpus: `python tests/benchmarks/corpus_memory.py [GIGABYTES]` (some minutes, twice that on disk).

Writes a text of invented words, whose frequencies fall with a power of the rank such that a gigabyte has about as many
words five times or more as the first of Wikipedia (218,316); trains skip-gram on it for one epoch by `train.py`; prints
the largest resident memory of that process, which includes the pages of the numbered text that it maps.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parent.parent.parent
TYPES, EXPONENT, SENTENCE, BLOCK = 1_000_000, 1.3, 20, 1_000_000


def write(path: Path, size: int) -> int:
    """A text of `size` bytes; gives its words."""
    generator = np.random.default_rng(0)
    words = np.array([f"w{number:x}" for number in range(TYPES)], dtype=object)
    cumulative = np.cumsum(np.arange(1, TYPES + 1) ** -EXPONENT)
    total = 0
    with open(path, "w") as file:
        while file.tell() < size:
            drawn = words[np.searchsorted(cumulative, generator.random(BLOCK) * cumulative[-1])]
            file.write("\n".join(" ".join(row) for row in drawn.reshape(-1, SENTENCE)) + "\n")
            total += BLOCK
    return total


def main(gigabytes: float = 1.0) -> None:
    """Print size, words, time and memory."""
    with tempfile.TemporaryDirectory() as folder:
        text = Path(folder) / "invented.txt"
        words = write(text, int(gigabytes * 1e9))
        print(f"{text.stat().st_size:,} bytes, {words:,} words")
        command = [sys.executable, str(ROOT / "train.py"), "model=word2vec", "data=corpus", f"data.path={text}",
                   "data.similarity=[]", "data.analogies=null", "optimizer=sgd", "optimizer.lr=0.025",
                   "model.block_size=1536", "trainer.max_epochs=1", "figures=false", "logger=csv"]  # fmt: skip
        started = time.perf_counter()
        done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, text=True, check=True)
        result = json.loads(done.stdout)
        memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6  # kilobytes, on Linux
        print(f"{result['parameters']:,} parameters, fit {result['seconds']['fit']:.0f} s, "
              f"all {time.perf_counter() - started:.0f} s, at most {memory:.2f} GB")  # fmt: skip


if __name__ == "__main__":
    main(*map(float, sys.argv[1:]))
