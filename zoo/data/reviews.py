"""2,000 film reviews, half of them positive: what an order of words says, beside what a bag of words says (S33, S40).

Source: Pang & Lee, A sentimental education, ACL 2004 (polarity dataset 2.0), distributed by NLTK with permission.
Split: the authors' ten folds follow the numbers in the file names; cv000-cv699 train, cv700-cv799 are validation,
cv800-cv999, a fifth, are held out as test.
"""

import zipfile
from typing import Any

import torch
from torch import Tensor, nn

from zoo.data.dataset import DataSet
from zoo.data.fetch import File, fetch
from zoo.data.words import encode, tokenize, vocabulary_of
from zoo.errors import DataError
from zoo.registry import register

URL = "https://raw.githubusercontent.com/nltk/nltk_data/gh-pages/packages/corpora/movie_reviews.zip"
FILE = File("movie_reviews.zip", "a41211ae685019137410268134db6a1a14428c89b671eb83056151a878539008", 4_004_848)
CLASSES = ("neg", "pos")


@register("reviews", group="data")
class Reviews(DataSet):
    """Items: numbers of words (max_length,) int64, filled up with 0, and how many there are, int64; label 1: positive.

    max_length: words of a review that are read, its last ones, where the verdict tends to stand.
    vocab_size: words that are known, the commonest of the training part, with the two for padding and unknown words.
    root: folder that holds (or shall hold) movie_reviews.zip; None: ZOO_DATA_DIR, else data/cache.
    """

    licence = "not stated by its authors"

    def __init__(
        self, batch_size: int = 50, max_length: int = 300, vocab_size: int = 10_000, root: str | None = None
    ):  # fmt: skip
        super().__init__(batch_size, root)
        if max_length < 1 or vocab_size < 3:
            raise ValueError(f"max_length must be >= 1 and vocab_size >= 3, got {max_length} and {vocab_size}")
        self.max_length, self.vocab_size = max_length, vocab_size
        self.provides = {
            "num_classes": 2,
            "vocab_size": vocab_size,
            "in_features": 0,
            "context_length": max_length,
            "input_shape": [max_length],
        }
        self.vocabulary: list[str] = []
        self.bag_of_words: float | None = None

    def load(self) -> None:
        """Read the reviews out of the archive, fetched where it is not there. Raises DataError."""
        if self.vocabulary:
            return
        path = fetch(URL, self.root / FILE.name, FILE)
        parts: dict[str, list[tuple[str, int]]] = {"train": [], "val": [], "test": []}
        with zipfile.ZipFile(path) as archive:
            for name in sorted(archive.namelist()):
                if name.endswith(".txt"):
                    label, number = CLASSES.index(name.split("/")[1]), int(name.rpartition("/cv")[2][:3])
                    part = "train" if number < 700 else "val" if number < 800 else "test"
                    parts[part].append((archive.read(name).decode("latin-1"), label))
        vocabulary = vocabulary_of(tokenize(text for text, _ in parts["train"]), self.vocab_size - 2)
        if len(vocabulary) < self.vocab_size:
            raise DataError(f"the reviews have {len(vocabulary):,} words, fewer than data.vocab_size asks for")
        self.vocabulary = vocabulary
        for part, reviews in parts.items():
            x, lengths = encode((text for text, _ in reviews), self.transform)
            setattr(self, part, (x, lengths, torch.tensor([label for _, label in reviews])))

    @property
    def transform(self) -> dict[str, Any]:
        """How a review becomes numbers; `zoo.data.words.encode` does it."""
        return {
            "kind": "words",
            "tokenizer": "torchtext basic_english",
            "max_length": self.max_length,
            "vocabulary": self.vocabulary,
            "classes": ["negative", "positive"],
        }

    def example_batch(self) -> tuple[Tensor, ...]:
        """Two reviews of one word."""
        x = torch.zeros(2, self.max_length, dtype=torch.int64)
        return x, torch.ones(2, dtype=torch.int64), torch.zeros(2, dtype=torch.int64)

    def probe(self, network: nn.Module) -> dict[str, float]:
        """The same words as a bag: accuracy of a logistic regression on which words occur in a review (S33)."""
        if self.bag_of_words is None:
            from sklearn.linear_model import LogisticRegression

            bags = {part: self.bags(getattr(self, part)[0]) for part in ("train", "test")}
            regression = LogisticRegression(C=0.1, max_iter=1000).fit(bags["train"], self.train[2])
            self.bag_of_words = float(regression.score(bags["test"], self.test[2]))
        return {"acc_bag_of_words": self.bag_of_words}

    def bags(self, x: Tensor) -> Tensor:
        """1 for each word that occurs, else 0: (N, V) float32, padding never."""
        bags = torch.zeros(len(x), self.vocab_size).scatter_(1, x, 1.0)
        bags[:, 0] = 0
        return bags
