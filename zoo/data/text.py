"""Text as a stream of characters: `data=text data.path=FILE`, and the base of the texts that have a name.

A text is one tensor on the device. It is cut into `batch_size` streams that are read side by side; a batch is the next
window of `sequence_length` characters of every stream, a slice of that tensor, so a network can carry its state from
one batch to the next.
"""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from zoo.data.dataset import DataSet, Passes, Split, mix
from zoo.errors import DataError
from zoo.registry import register


class Windows(Passes):
    """Batches (x, targets), each (B, T) int64, of a text (N,): the targets are x, one character later.

    batch_size: streams, fewer where the text is too short for so many windows. sequence_length: T.
    seed: pass p begins at a place drawn from (seed, p), the text being closed to a ring, so that the borders of the
        windows move; None: from the first character on.
    repeat, step: as in `Passes`.
    Every character but the first is a target once in a pass, less those (fewer than B) that no stream of equal length
    can take. The last window may be shorter.
    """

    def __init__(
        self,
        text: Tensor,
        batch_size: int,
        sequence_length: int,
        seed: int | None = None,
        repeat: int = 1,
        step: Callable[[], int] | None = None,
    ):
        self.text, self.sequence_length = text, sequence_length
        self.batch_size = max(1, min(batch_size, (len(text) - 1) // sequence_length))
        self.seed = seed
        self.stream_length = (len(text) - 1) // self.batch_size
        super().__init__(-(-self.stream_length // sequence_length), repeat, step)

    def __iter__(self) -> Iterator[Split]:
        """The batches of the current epoch that are still to come."""
        streams, streams_of = None, -1
        for number, window in self.still_to_come():
            if number != streams_of:
                streams, streams_of = self.streams(number), number
            first = window * self.sequence_length
            yield tuple(stream[:, first : first + self.sequence_length] for stream in streams)

    def streams(self, number: int) -> Split:
        """x and targets of pass `number`, each (B, stream_length)."""
        text = self.text
        if self.seed is not None:
            text = text.roll(-(mix(self.seed, number) % len(text)))
        used = self.batch_size * self.stream_length
        return text[:used].view(self.batch_size, -1), text[1 : used + 1].view(self.batch_size, -1)


class TextSet(DataSet):
    """Base of all texts: the first nine tenths train, the last tenth is validation and test alike.

    That is how these texts are split wherever their figures are quoted. The experiments keep the last epoch, so no
    epoch is selected on the last tenth; their recipes were chosen by it. Validation reads the tenth in 32 streams,
    which takes a second; the test reads it as one, so that a network that carries its state predicts every character
    from all that came before it.

    vocabulary: the characters of the whole text, in the order of their code points.
    """

    consecutive = True  # a batch goes on where the one before has ended
    prompt = "\n"  # what a sample of the network begins with

    def __init__(self, batch_size: int, sequence_length: int, root: str | None = None):
        super().__init__(batch_size, root)
        if sequence_length < 1:
            raise ValueError(f"sequence_length must be >= 1, got {sequence_length}")
        self.sequence_length = sequence_length
        self.vocabulary = ""

    def read(self) -> str:
        """The whole text. Raises DataError."""
        raise AssertionError("each text reads itself")

    def split(self, text: str) -> tuple[str, str]:
        """What is trained on, and what is held out."""
        border = len(text) * 9 // 10
        return text[:border], text[border:]

    def load(self) -> None:
        """Read the text and number its characters. Raises DataError, for a text too short for one window too."""
        if self.vocabulary:
            return
        text = self.read()
        vocabulary = "".join(sorted(set(text)))
        if len(vocabulary) < 2:
            raise DataError(f"{self.source} holds {len(text):,} times {vocabulary!r}: nothing can be learnt from that")
        training, held_out = self.split(text)
        if len(held_out) < 2:
            raise DataError(f"{self.source} has {len(text):,} characters: the last tenth of them must be two at least")
        if len(training) <= self.sequence_length:
            raise DataError(
                f"{self.source} has {len(text):,} characters, of which {len(training):,} are trained on: fewer than "
                f"one window of data.sequence_length={self.sequence_length} and the character after it"
            )
        self.train, self.val = ((encode(part, vocabulary),) for part in (training, held_out))
        self.test = self.val
        self.fingerprint = hashlib.sha256(text.encode()).hexdigest()
        self.vocabulary = vocabulary

    @property
    def source(self) -> str:
        """What errors call this text."""
        return f"data={type(self).__name__.lower()}"

    @property
    def provides(self) -> dict[str, Any]:
        """The vocabulary is known when the text has been read, so it is read here. Raises DataError."""
        self.load()
        return {
            "vocabulary": self.vocabulary,
            "vocab_size": len(self.vocabulary),
            "context_length": self.sequence_length,
            "input_shape": [self.sequence_length],
        }

    @property
    def transform(self) -> dict[str, Any]:
        """A character is its place in the vocabulary."""
        return {"kind": "characters", "vocabulary": self.vocabulary}

    def example_batch(self) -> Split:
        """Two windows of the first character."""
        blank = torch.zeros(2, self.sequence_length, dtype=torch.int64)
        return blank, blank

    def batches(
        self, part: str, seed: int | None = None, step: Callable[[], int] | None = None, device: Any = None
    ) -> Windows:
        """Windows of a part of the text."""
        (text,) = getattr(self, part)
        if part == "train":
            return Windows(text.to(device), self.batch_size, self.sequence_length, seed, step=step)
        streams, length = (1, TEST_WINDOW) if part == "test" else (VALIDATION_STREAMS, VALIDATION_WINDOW)
        length = -(-length // self.sequence_length) * self.sequence_length  # whole contexts of a network that has one
        return Windows(text.to(device), streams, min(length, max(1, (len(text) - 1) // streams)))

    def report(self, network: nn.Module, seed: int) -> str | None:
        """A text of 400 characters by the network."""
        return self.sample(network, seed, 400) if hasattr(network, "generate") else None

    def sample(self, network: nn.Module, seed: int, length: int) -> str:
        """A text by a network that has `generate`, beginning with `prompt`, drawn at temperature 0.8."""
        prompt = self.prompt if set(self.prompt) <= set(self.vocabulary) else self.vocabulary[0]
        generator = torch.Generator().manual_seed(seed)
        return prompt + "".join(network.generate(prompt, length, temperature=0.8, generator=generator))


# A network that carries its state depends on none of these; one that looks back cuts the windows to its context.
VALIDATION_STREAMS, VALIDATION_WINDOW, TEST_WINDOW = 32, 256, 1024


def encode(text: str, vocabulary: str) -> Tensor:
    """The places (N,) int64 of the characters in the vocabulary."""
    numbers = {character: i for i, character in enumerate(vocabulary)}
    return torch.tensor([numbers[character] for character in text], dtype=torch.int64)


def read_text(path: Path) -> str:
    """A UTF-8 file; a byte-order mark is dropped, and line ends of Windows or old Macs become newlines.

    Raises DataError for a file that is not there, is empty, is not UTF-8 or holds NUL bytes.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    if (offset := raw.find(b"\0")) >= 0:
        raise DataError(f"{path} is no text: it has a NUL byte at byte offset {offset:,}")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        byte = raw[error.start]
        raise DataError(f"{path} is not UTF-8: byte 0x{byte:02x} at byte offset {error.start:,}") from error
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    if not text:
        raise DataError(f"{path} is empty")
    return text


@register("text", group="data")
class Text(TextSet):
    """Any UTF-8 file of yours, split by place: first nine tenths, last tenth.

    path: the file. sequence_length: characters per window. batch_size: streams read side by side; fewer where the text
        is too short for so many windows.
    """

    def __init__(self, path: str, batch_size: int = 32, sequence_length: int = 64):
        super().__init__(batch_size, sequence_length)
        self.path = Path(path).expanduser()

    @property
    def source(self) -> str:
        """The file."""
        return str(self.path)

    def read(self) -> str:
        """The file as text. Raises DataError."""
        return read_text(self.path)
