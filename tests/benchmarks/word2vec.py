"""word2vec beside gensim: `python tests/benchmarks/word2vec.py [SEEDS [RATE]]` (nothing else running, ten minutes).

Reference: gensim's Word2Vec in its fastest form, `corpus_file`, at its own default rate 0.025 or another one given.
Ours: english_skipgram and english_cbow. Both read english.txt.gz with 100 dimensions, window 5, 5 negatives, min_count
5, sample 1e-3, 5 epochs and 2 threads (gensim: workers). They take turns, each in a process of its own. Words per
second are the file's words by the seconds of an epoch, without vocabulary, tests and start: gensim's from the call of
`train` to its return, ours in metrics.csv from the end of the first epoch to that of the last, since in the first one
Lightning and PyTorch load what they need. The same code judges both.
"""

import csv
import gzip
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import zoo
from zoo.data.dataset import data_root
from zoo.models.word_vectors import WordVectors
from zoo.registry import build

ROOT = Path(__file__).parent.parent.parent
EPOCHS = 5
REFERENCE = f"""
import sys, time
from gensim.models import Word2Vec
skipgram, seed, rate = sys.argv[1:]
net = Word2Vec(sg=int(skipgram), seed=int(seed), alpha=float(rate), vector_size=100, window=5, negative=5, min_count=5,
               sample=1e-3, workers=2)
net.build_vocab(corpus_file="english.txt")
started = time.perf_counter()
net.train(corpus_file="english.txt", epochs={EPOCHS}, total_words=net.corpus_total_words,
          total_examples=net.corpus_count)
print(time.perf_counter() - started)
net.wv.save_word2vec_format("gensim.bin", binary=True)
"""


def gensim(architecture: str, seed: int, rate: str, folder: Path) -> tuple[float, dict[str, float]]:
    """Seconds of an epoch, and how good the vectors are."""
    command = [sys.executable, "-c", REFERENCE, str(int(architecture == "skipgram")), str(seed), rate]
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, text=True, check=True)
    return float(done.stdout) / EPOCHS, judge(zoo.load_vectors(folder / "gensim.bin"))


def ours(architecture: str, seed: int, folder: Path) -> tuple[float, dict[str, float]]:
    """The same of the experiment, which is trained without tests and figures."""
    run = folder / "run"
    shutil.rmtree(run, ignore_errors=True)
    command = [sys.executable, str(ROOT / "train.py"), f"experiment=english_{architecture}", f"seed={seed}",
               f"run_dir={run}", "trainer.threads=2", "data.similarity=[]", "data.analogies=null", "figures=false",
               "logger=csv", f"trainer.val_every_n_epochs={EPOCHS}"]  # fmt: skip
    subprocess.run(command, cwd=folder, capture_output=True, check=True)
    with open(run / "metrics.csv", newline="") as file:
        ends = [float(row["seconds"]) for row in csv.DictReader(file)]
    return (ends[-1] - ends[0]) / (EPOCHS - 1), judge(zoo.load(str(run)))


def judge(network: WordVectors) -> dict[str, float]:
    """Rank correlations and the share of right analogies."""
    found = build("data", "corpus", {"path": "english.txt.gz"}).probe(network)
    return {name: found[name] for name in ("wordsim353", "simlex999", "analogies", "analogies/covered")}


def main(seeds: int = 3, rate: str = "0.025") -> None:
    """Print every run and the medians."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with gzip.open(data_root(None) / "english.txt.gz") as packed, open(folder / "english.txt", "wb") as plain:
            shutil.copyfileobj(packed, plain)
        words = len((folder / "english.txt").read_bytes().split())
        ours("skipgram", 0, folder)  # the text is numbered once, and everything is in the disk's cache
        for architecture in ("skipgram", "cbow"):
            runs: dict[str, list[tuple[float, dict[str, float]]]] = {"gensim": [], "zoo": []}
            for seed in range(seeds):
                runs["gensim"].append(gensim(architecture, seed, rate, folder))
                runs["zoo"].append(ours(architecture, seed, folder))
                for which, results in runs.items():
                    seconds, found = results[-1]
                    scores = "  ".join(f"{name} {value:.4f}" for name, value in found.items())
                    speed = words / seconds
                    print(f"{architecture} {which:6} seed {seed}  {speed:10,.0f} words/s  {scores}", flush=True)
            ratios = [a / b for (a, _), (b, _) in zip(runs["gensim"], runs["zoo"], strict=True)]
            print(f"{architecture}: ratio of speeds {statistics.median(ratios):.2f} (median of {seeds} pairs)")
            for score in ("wordsim353", "analogies"):
                means = {
                    which: statistics.mean(found[score] for _, found in results) for which, results in runs.items()
                }
                print(f"{architecture}: {score} gensim {means['gensim']:.4f}, zoo {means['zoo']:.4f}")


if __name__ == "__main__":
    arguments = sys.argv[1:]
    main(*([int(arguments[0]), *arguments[1:]] if arguments else []))
