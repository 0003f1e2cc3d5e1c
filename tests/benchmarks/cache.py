"""Writing with the cache beside writing without: `python tests/benchmarks/cache.py` (nothing else running).

512 characters by a network of the size of `experiment=shakespeare_transformer` with a context of 512, from one
character on, always the likeliest. Without the cache every character reads all before it anew, as nanoGPT does. The two
take turns; both must write the same text.
"""

import json
import statistics
import time

import torch

import zoo

LENGTH, PAIRS = 512, 5


def written(network: torch.nn.Module, cached: bool) -> tuple[float, str]:
    """Characters per second, and the text."""
    started = time.perf_counter()
    if cached:
        text = "".join(network.generate("A", LENGTH, temperature=0))
    else:
        x = network.encode("A")[None]
        with torch.no_grad():
            for _ in range(LENGTH):
                x = torch.cat([x, network(x)[:, -1:].argmax(2)], 1)
        text = network.decode(x[0, 1:])
    return LENGTH / (time.perf_counter() - started), text


if __name__ == "__main__":
    torch.manual_seed(0)
    sizes = {"context_length": LENGTH, "hidden_size": 256, "num_heads": 4, "num_layers": 4}
    network = zoo.create("char_transformer", vocabulary="".join(map(chr, range(32, 97))), **sizes).eval()
    rates: dict[bool, list[float]] = {True: [], False: []}
    for turn in range(PAIRS + 1):
        texts = {}
        for cached in (True, False) if turn % 2 else (False, True):
            rate, texts[cached] = written(network, cached)
            if turn:  # the first turn warms up
                rates[cached].append(rate)
        assert texts[True] == texts[False]
    medians = {cached: statistics.median(values) for cached, values in rates.items()}
    print(
        json.dumps(
            {
                "threads": torch.get_num_threads(),
                "cached_characters_per_second": round(medians[True]),
                "uncached_characters_per_second": round(medians[False]),
                "ratio": round(medians[True] / medians[False], 2),
            }
        )
    )
