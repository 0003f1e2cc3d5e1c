"""Errors of a user's making: one line each, and the exit code that goes with it.

0 done, 2 usage or configuration, 3 data, 4 checkpoint, 5 numbers, 6 disk or output, 7 a process of several, 130 Ctrl-C,
143 SIGTERM.
"""

import re
from typing import Any

# A RuntimeError of torch, or of oneDNN in it, over memory: there is no kind of error for that on the CPU.
NO_MEMORY = re.compile("allocate memory|(out of|not enough) memory|could not create a (primitive|memory)")


class ZooError(Exception):
    """A mistake that the user can mend; its text is one line: what was wrong, where, what is valid."""

    exit_code = 1


class ConfigError(ZooError):
    """A misspelt key, an unknown name, a value out of range, or parts that do not fit together."""

    exit_code = 2


class DataError(ZooError):
    """Data that is missing, damaged or not what it says it is."""

    exit_code = 3


class CheckpointError(ZooError):
    """A checkpoint that is missing, damaged, foreign, or of another network."""

    exit_code = 4


class NumericError(ZooError):
    """A loss, weight or gradient that is no longer a finite number."""

    exit_code = 5


class OutputError(ZooError):
    """A run directory that cannot be written, or a disk that is full."""

    exit_code = 6


class ProcessError(ZooError):
    """A process of several that was killed, or that the others cannot reach."""

    exit_code = 7


class Stopped(ZooError):
    """The run was asked to stop by a signal; the text says where it can be continued from."""

    def __init__(self, signum: int, text: str):
        super().__init__(text)
        self.exit_code = 128 + signum


def short(value: Any) -> str:
    """A value in one line of an error."""
    text = str(value) if str(value).isprintable() else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
