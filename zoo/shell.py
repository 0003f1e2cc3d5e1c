"""`zoo`: what one does with trained networks and with the lectures, in a shell; `python -m zoo` is the same.

The commands stand in zoo/commands.py and zoo/lectures/commands.py. Errors are one line and an exit code, as
zoo/errors.py lists them.
"""

import argparse
import contextlib
import gc
import os
import re
import signal
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from zoo import __version__, commands
from zoo.errors import ConfigError, OutputError, ZooError
from zoo.lectures import commands as lectures

EPILOG = "Training: python train.py --help, or zoo-train --help."
SOURCE = "a name of `zoo list`, a run's directory, a .ckpt, a .safetensors, hf://owner/name"


def main(arguments: list[str] | None = None) -> None:
    """Run a command, and turn every error into one line and an exit code."""
    gc.disable()  # a collection looks at each of the million objects that imports make, and frees none
    with contextlib.suppress(AttributeError):  # where it has been replaced by something else
        sys.stdout.reconfigure(errors="replace")  # a terminal that has no ± shows a question mark
    try:
        options = parser().parse_args(arguments)
        options.command(options)
        print(end="", flush=True)  # also where stdout is closed and there is none
        sys.exit(0)
    except ZooError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except BrokenPipeError:  # of `zoo ... | head`: nobody reads any more, and that is no error
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except KeyboardInterrupt:
        print("stopped by SIGINT", file=sys.stderr)
        sys.exit(128 + signal.SIGINT)
    except OSError as error:
        print(f"error: {error.filename or 'writing'}: {error.strerror or error}", file=sys.stderr)
        sys.exit(OutputError.exit_code)
    except MemoryError:
        print("error: this takes more memory than the machine has", file=sys.stderr)
        sys.exit(OutputError.exit_code)


class Parser(argparse.ArgumentParser):
    """A parser whose errors are the zoo's, and to which `-1,0` is two numbers and no option."""

    def __init__(self, *args: Any, **options: Any):
        super().__init__(*args, **options)
        self._negative_number_matcher = re.compile(r"-[\d.][\d.,\s-]*")

    def error(self, message: str) -> NoReturn:
        """Raises ConfigError."""
        raise ConfigError(f"{message}; see {self.prog} --help")


def parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    whole = Parser("zoo", description="What one does with trained networks, and the lectures computed.", epilog=EPILOG)
    whole.add_argument("--version", action="version", version=f"lecture-zoo {__version__}")
    parsers = whole.add_subparsers(metavar="COMMAND", required=True, parser_class=Parser)

    def add(command: Callable[[argparse.Namespace], None], *given: str, values: bool = True) -> argparse.ArgumentParser:
        """A parser for a function, with its name and the first line of its docstring.

        given: the arguments that stand without a name. values: whether --json makes it print plain values.
        """
        about = (command.__doc__ or "").split("\n")[0]
        one = parsers.add_parser(command.__name__.removesuffix("_"), help=about, description=about)
        one.set_defaults(command=command)
        for name in given:
            one.add_argument(name, help=SOURCE if name == "source" else None, metavar=name.upper())
        if values:
            one.add_argument("--json", action="store_true", help="plain values instead of text")
        return one

    commands.add_commands(add)
    lectures.add_commands(add)
    return whole
