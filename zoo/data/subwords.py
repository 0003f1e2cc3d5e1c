"""Sub-words, one vocabulary for two languages: byte-pair encoding by sentencepiece, the only file that imports it.

Sennrich et al., Neural machine translation of rare words with subword units, ACL 2016; Kudo & Richardson,
SentencePiece, EMNLP 2018. It is imported when a text is cut or put together, not before: nothing else shall depend on
it. The trained vocabulary is kept as base64 text in a transform, a plain value that a checkpoint carries:

    net = zoo.load("runs/mine")
    decode(net.translate(encode(["A man sleeps."], net.card["transform"])), net.card["transform"])
"""

import base64
import io
from collections.abc import Iterable
from itertools import chain
from typing import Any

import torch
from torch import Tensor

from zoo.errors import DataError
from zoo.models.decoding import BEGIN, END, PADDING, UNKNOWN

SPECIAL = {"pad_id": PADDING, "unk_id": UNKNOWN, "bos_id": BEGIN, "eos_id": END}


def train_subwords(texts: Iterable[str], vocab_size: int) -> str:
    """A vocabulary of `vocab_size` pieces of these sentences, with the special ones, as base64; always the same.

    Raises DataError where the sentences have more characters or fewer pieces than that.
    """
    import sentencepiece

    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(texts),
            model_writer=model,
            model_type="bpe",
            vocab_size=vocab_size,
            character_coverage=1.0,
            normalization_rule_name="identity",  # a translation is compared with the file as it is
            num_threads=1,
            minloglevel=2,
            **SPECIAL,
        )
    except (RuntimeError, ValueError) as error:
        reason = str(error).rpartition("] ")[2].partition(" Increase")[0]  # after its place in sentencepiece's source
        raise DataError(f"no sub-words of this text with data.vocab_size={vocab_size}: {reason}") from error
    return base64.b64encode(model.getvalue()).decode()


def encode(texts: Iterable[str], transform: dict[str, Any]) -> Tensor:
    """Numbers (N, S) int64 of the sub-words of each sentence and END, filled up with PADDING. Raises ValueError.

    transform: what a data set of sub-words says of itself and a checkpoint keeps.
    """
    rows = processor(transform).encode(list(texts), add_eos=True)
    lengths = torch.tensor([len(row) for row in rows], dtype=torch.int64)
    longest = max(map(len, rows), default=0)
    x = torch.full((len(rows), longest), PADDING)
    x[torch.arange(longest) < lengths[:, None]] = torch.tensor(list(chain(*rows)), dtype=torch.int64)
    return x


def decode(numbers: Iterable[Tensor], transform: dict[str, Any]) -> list[str]:
    """The sentences of rows (T,) of numbers: each up to its first END, without the special ones. Raises ValueError."""
    loaded = processor(transform)
    sentences = []
    for row in numbers:
        row = row.tolist()
        before_end = row[: row.index(END)] if END in row else row
        sentences.append(loaded.decode([number for number in before_end if number > END]))
    return sentences


def pieces(numbers: Tensor, transform: dict[str, Any]) -> list[str]:
    """Each of the numbers (T,) as text, to label a figure: ▁ begins a word, special ones look like </s>.

    Raises ValueError.
    """
    return processor(transform).id_to_piece(numbers.tolist())


def processor(transform: dict[str, Any]) -> Any:
    """The vocabulary, ready for use. Raises ValueError where the transform holds none."""
    import sentencepiece

    if transform.get("kind") != "subwords":
        raise ValueError(f"the transform must be of kind 'subwords', got {transform.get('kind')!r}")
    try:
        model = base64.b64decode(transform["sentencepiece"], validate=True)
        loaded = sentencepiece.SentencePieceProcessor(model_proto=model or b"\0")  # empty is no error to it, until used
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ValueError("the transform's 'sentencepiece' is not the base64 text of a vocabulary") from error
    numbers = {name: getattr(loaded, name)() for name in SPECIAL}
    if numbers != SPECIAL:
        raise ValueError(f"the transform's special numbers must be {SPECIAL}, got {numbers}")
    return loaded
