"""Our character LSTM beside a bare loop around nn.LSTM: `python tests/benchmarks/char_lstm.py` (nothing else running).

Same start, same slices of the text in the same order, same optimizer, clipping and carried state. The two take turns,
and the medians of the characters per second are compared. The weights at the end must be equal.
"""

import gc
import json
import statistics
import time

import torch
import torch.nn.functional as F
from torch import nn
from training_loop import ours

from zoo.config import Settings, compose_settings
from zoo.train import assemble

STEPS, PAIRS = 60, 9
OVERRIDES = [
    "experiment=shakespeare_lstm",
    "model.dropout=0",
    "model.input_dropout=0",
    "optimizer.schedule=constant",
    "optimizer.warmup=0",
]


def bare(settings: Settings) -> tuple[float, int, dict[str, torch.Tensor]]:
    """Seconds, steps and weights of the loop that everybody writes."""
    data, network, _, _ = assemble(settings)
    data.load()
    size, width, hidden = len(network.vocabulary), settings.model["embedding_dim"], settings.model["hidden_size"]
    embedding, lstm, output = (
        nn.Embedding(size, width),
        nn.LSTM(width, hidden, batch_first=True),
        nn.Linear(hidden, size),
    )
    layers = nn.ModuleDict({"embedding": embedding, "layers": lstm, "output": output})
    layers.load_state_dict(network.state_dict())
    options = settings.optimizer
    optimizer = torch.optim.AdamW(
        layers.parameters(), options["lr"], (options["beta1"], options["beta2"]), weight_decay=options["weight_decay"]
    )
    windows = data.batches("train", settings.seed)
    x, targets = windows.streams(0)  # (B, N / B) each
    length, state = windows.sequence_length, None
    started = time.perf_counter()
    for step in range(STEPS):
        window = slice(step * length, (step + 1) * length)
        outputs, state = lstm(embedding(x[:, window]), state)
        state = tuple(part.detach() for part in state)
        loss = F.cross_entropy(output(outputs).flatten(0, 1), targets[:, window].flatten())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(layers.parameters(), settings.trainer.gradient_clip_norm)
        optimizer.step()
    return time.perf_counter() - started, STEPS, layers.state_dict()


if __name__ == "__main__":
    gc.collect()
    gc.freeze()  # as zoo/train.py does
    settings = compose_settings([*OVERRIDES, f"trainer.max_steps={STEPS}", "trainer.progress=false", "logger=csv"])
    rates: dict[str, list[float]] = {"bare": [], "ours": []}
    for turn in range(PAIRS + 1):
        weights = {}
        for name in ("bare", "ours") if turn % 2 else ("ours", "bare"):
            seconds, steps, weights[name] = {"bare": bare, "ours": ours}[name](settings)
            if turn:  # the first turn warms up
                rates[name].append(steps * settings.data["batch_size"] * settings.data["sequence_length"] / seconds)
        assert all(torch.equal(weights["bare"][key], weights["ours"][key]) for key in weights["bare"])
    median = {name: statistics.median(values) for name, values in rates.items()}
    print(
        json.dumps(
            {
                "threads": torch.get_num_threads(),
                "bare_characters_per_second": round(median["bare"]),
                "ours_characters_per_second": round(median["ours"]),
                "ratio": round(median["ours"] / median["bare"], 3),
                "ratio_of_pairs": [round(a / b, 3) for a, b in zip(rates["ours"], rates["bare"], strict=True)],
            }
        )
    )
