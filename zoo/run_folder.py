"""The directory of a run: a new one for it alone, or the one of the run that is to be continued."""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.errors import CheckpointError, OutputError, short

if TYPE_CHECKING:
    from zoo.config import Settings

NEUTRAL = ("num_workers", "cache")


def continued(settings: "Settings", about: dict[str, Any]) -> tuple[Path, str | None] | None:
    """The folder and the checkpoint that `ckpt_path` means; None where no run is to be continued.

    A run that was killed before its first checkpoint goes on from its start. Raises CheckpointError where there is
    nothing to continue, or where the checkpoint is of another run.
    """
    from zoo.checkpoint import read_checkpoint

    if settings.ckpt_path is None:
        return None
    if settings.ckpt_path == "last":
        folder = Path(settings.run_dir) if settings.run_dir else unfinished_run(Path("runs") / settings.experiment)
        if not (folder / "config.yaml").exists():
            raise CheckpointError(f"ckpt_path=last: run_dir={folder} holds no run; leave ckpt_path away to begin one")
        source = str(folder / "checkpoints" / "last.ckpt")
        if not Path(source).exists():
            return folder, None
    else:
        source = settings.ckpt_path
        folder = Path(source).parent.parent
    content = read_checkpoint(source)
    if "optimizer_states" not in content:
        raise CheckpointError(f"{source} holds weights only; continue from last.ckpt, or use pretrained={source}")
    whole = Path(source) == folder / "checkpoints" / "last.ckpt" and (folder / "config.yaml").exists()
    if not whole or Path(settings.run_dir or folder).resolve() != folder.resolve():
        raise CheckpointError(
            f"{source} is continued in its own run directory only, as RUN/checkpoints/last.ckpt; "
            f"for a new run from its weights: pretrained={source}"
        )
    kept = "model data data_arguments fingerprint arguments optimizer optimizer_arguments trainer seed"
    for key in kept.split():
        theirs, ours = (without_place(value) for value in (since_then(key, content["zoo"]), about[key]))
        if theirs != ours:
            if isinstance(theirs, dict) and isinstance(ours, dict):
                key, theirs, ours = next(
                    (k, theirs.get(k), ours.get(k)) for k in {**theirs, **ours} if theirs.get(k) != ours.get(k)
                )
            raise CheckpointError(
                f"{source} was trained with {key}={short(theirs)}, this command says {key}={short(ours)}; "
                f"give the same settings, or start anew with pretrained={source}"
            )
    theirs, ours = ([phase["epochs"] for phase in kept.get("phases", [])] for kept in (content["zoo"], about))
    if theirs[:-1] != ours[:-1]:  # the last phase may be trained longer
        raise CheckpointError(
            f"{source} was trained in phases of {theirs} epochs, this command has {ours}; give the same "
            f"trainer.max_epochs"
        )
    for key in ("torch", "threads", "processes"):
        theirs = content["zoo"].get(key, 1)  # checkpoints of version 0.1.0 do not tell of processes: there was one
        if theirs != about[key]:
            print(f"{key} was {theirs}, is {about[key]}: bits may differ", file=sys.stderr)
    return folder, source


ARGUMENTS = {"arguments": "model", "data_arguments": "data", "optimizer_arguments": "optimizer"}


def since_then(key: str, kept: dict[str, Any]) -> Any:
    """What a checkpoint says under the key; arguments that its version did not have yet are at their defaults."""
    from zoo.registry import defaults

    value, group = kept.get(key), ARGUMENTS.get(key)
    return defaults(group, kept[group]) | value if group and isinstance(value, dict) else value


def without_place(value: Any) -> Any:
    """Settings without those that change no result: who reads the data, and where what was read is kept."""
    return {k: v for k, v in value.items() if k not in NEUTRAL} if isinstance(value, dict) else value


def unfinished_run(base: Path) -> Path:
    """The newest run below `base` that has no result. Raises CheckpointError."""
    runs = [path.parent for path in base.glob("*/config.yaml") if not (path.parent / "result.json").exists()]
    if not runs:
        raise CheckpointError(f"ckpt_path=last: no unfinished run in {base}; leave ckpt_path away to begin one")
    return max(runs, key=lambda path: path.name)


def new_folder(settings: "Settings") -> Path:
    """A directory of this run alone. Raises OutputError where it cannot be made or holds a run already."""
    wanted = Path(settings.run_dir or Path("runs") / settings.experiment / time.strftime("%Y-%m-%d_%H-%M-%S"))
    if settings.run_dir and (wanted / "config.yaml").exists():
        raise OutputError(f"run_dir={wanted} holds a run; choose another, or, if it was stopped, ckpt_path=last")
    try:
        wanted.parent.mkdir(parents=True, exist_ok=True)
        for number in range(1, 1000):  # two runs may start in the same second
            folder = wanted if number == 1 else wanted.with_name(f"{wanted.name}_{number}")
            try:
                folder.mkdir(exist_ok=settings.run_dir is not None)
                return folder
            except FileExistsError:
                if settings.run_dir:
                    raise
    except OSError as error:
        raise OutputError(f"cannot make run directory {wanted}: {error.filename}: {error.strerror}") from error
    raise OutputError(f"a thousand runs of this second lie in {wanted.parent}")
