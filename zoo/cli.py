"""The command line: what was asked for, done; every error as one line and an exit code (zoo/errors.py)."""

import dataclasses
import gc
import json
import os
import signal
import sys
from typing import Any

from zoo.errors import NO_MEMORY, ConfigError, OutputError, ZooError
from zoo.experiments import config_names, experiment_title

HELP = """\
usage: python train.py [experiment=NAME] [key=value ...]   train, test, draw, and say whether the promise was kept
       python train.py -m seed=1,2,3 [key=a,b ...]         every combination, then a table of mean, deviation, n
                          hydra/launcher=joblib            ... side by side: hydra.launcher.n_jobs=2
       python train.py --cfg [key=value ...]               print the composed configuration and stop

A run that was stopped goes on with ckpt_path=last. All keys of an experiment: python train.py --cfg experiment=NAME
"""


def main(arguments: list[str] | None = None) -> None:
    """The command line: run, and turn every error into one line and an exit code."""
    gc.disable()  # a collection looks at each of the million objects that imports make, and frees none
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, stop)
    try:
        command(sys.argv[1:] if arguments is None else arguments)
        sys.exit(0)
    except ZooError as error:
        print(str(error) if error.exit_code >= 128 else f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except (MemoryError, RuntimeError) as error:  # torch has no kind of error for it on the CPU, and oneDNN few words
        why = (str(error).splitlines() or ["MemoryError"])[0]
        if isinstance(error, RuntimeError) and not NO_MEMORY.search(why):
            raise
        advice = "try a smaller data.batch_size; a run that had begun goes on with ckpt_path=last"
        print(f"error: this takes more memory than there is ({why}); {advice}", file=sys.stderr)
        sys.exit(OutputError.exit_code)
    except OSError as error:  # of a library that writes by itself; a full disk most of all
        print(f"error: {error.filename or 'writing'}: {error.strerror or error}", file=sys.stderr)
        sys.exit(OutputError.exit_code)


def stop(signum: int, frame: Any) -> None:
    """SIGTERM or Ctrl-C while nothing is being trained; during training zoo/callbacks.py saves first.

    Leaves at once: an exception raised in the middle of an import may be swallowed there.
    """
    text = f"stopped by {signal.Signals(signum).name}; a run that had begun goes on with ckpt_path=last\n"
    os.write(2, text.encode())
    os._exit(128 + signum)


def command(arguments: list[str]) -> None:
    """Do what the arguments ask for."""
    flags = {text for text in arguments if text.startswith("-")}
    overrides = [text for text in arguments if text not in flags]
    if unknown := flags - {"-h", "--help", "-m", "--multirun", "-c", "--cfg"}:
        raise ConfigError(f"unknown option {sorted(unknown)[0]!r}; valid: --help, -m, --cfg")
    if flags & {"-h", "--help"}:
        print_help()
        return
    for text in overrides:
        if text in config_names():
            raise ConfigError(f"{text!r} sets nothing; write experiment={text}")
    from zoo.config import compose_settings, expand
    from zoo.train import run

    if flags & {"-c", "--cfg"}:
        import yaml

        text = yaml.safe_dump(dataclasses.asdict(compose_settings(overrides)), sort_keys=False)
        print(text + "# ???: what the data set says\n" * ("???" in text), end="")
    elif flags & {"-m", "--multirun"}:
        if "TORCHELASTIC_RUN_ID" in os.environ:
            raise ConfigError("torchrun starts one run; without it each run of a sweep starts its own processes")
        from zoo.sweep import sweep

        sweep(overrides)
    else:
        jobs = expand(overrides)
        if len(jobs) > 1:
            raise ConfigError(f"these overrides name {len(jobs)} runs; add -m to train them all")
        if result := run(compose_settings(overrides)):  # the first of several processes has it
            print(json.dumps(result))


def print_help() -> None:
    """Usage, and what there is to choose from."""
    from zoo.registry import load_all

    print(HELP)
    for group, classes in load_all().items():
        print(f"{group:10} {', '.join(sorted(classes))}")
    for group in ("trainer", "logger"):
        print(f"{group:10} {', '.join(config_names(group))}")
    print("experiment")
    width = max(map(len, config_names()))
    for name in config_names():
        print(f"  {name:{width}}  {experiment_title(name)}")
