"""One training in several processes: which of them this is, and what they tell each other.

zoo/workers.py starts them; under srun and torchrun they are there already. Each is told its place by the environment.
In a training that is alone `total`, `largest` and `first` cost nothing and change nothing.
"""

import os
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from zoo.data.dataset import ALONE, Share
from zoo.errors import ConfigError, ProcessError, ZooError

if TYPE_CHECKING:
    from zoo.config import TrainerConfig

Made = TypeVar("Made")

PATIENCE = timedelta(minutes=10)  # with a process that does not answer the others
STARTERS = {  # who starts processes, and how it tells each its rank, its rank on this machine and their number
    "torchrun": ("RANK", "LOCAL_RANK", "WORLD_SIZE"),
    "srun": ("SLURM_PROCID", "SLURM_LOCALID", "SLURM_NTASKS"),
}


class Place(NamedTuple):
    """Which of several processes this is, as its starter says."""

    rank: int
    local_rank: int  # among those of this machine
    processes: int
    starter: str


def place(trainer: "TrainerConfig") -> Place | None:
    """The place of this process; None where nobody has started several, or where this training is to be alone.

    Raises ConfigError where others have been started than the settings say.
    """
    wanted = trainer.devices * trainer.num_nodes
    for starter, names in STARTERS.items():
        values = [os.environ.get(name) for name in names]
        if None in values or starter == "srun" and os.environ.get("SLURM_JOB_NAME") in ("bash", "interactive"):
            continue
        here = Place(*(int(value or 0) for value in values), starter)
        if starter == "srun" and wanted == 1:
            return None  # a batch script may have more tasks than this one
        if here.processes != wanted:
            raise ConfigError(
                f"{starter} has started {here.processes} processes, trainer.devices={trainer.devices} times "
                f"trainer.num_nodes={trainer.num_nodes} are {wanted}; start as many as that"
            )
        return here if wanted > 1 else None
    if trainer.num_nodes > 1:
        raise ConfigError(
            f"trainer.num_nodes={trainer.num_nodes}: start the processes of several machines by srun or torchrun, "
            f"{trainer.devices} on each"
        )
    return None


def on_gpus(accelerator: str) -> bool:
    """Whether Lightning would take GPUs of NVIDIA's or AMD's."""
    return accelerator in ("auto", "gpu") and torch.cuda.is_available()


def connect(trainer: "TrainerConfig", here: Place) -> None:
    """Meet the other processes: NCCL between GPUs, gloo between CPUs. Raises ProcessError where they do not come."""
    os.environ["OMP_NUM_THREADS"] = str(torch.get_num_threads())  # or Lightning would choose its own number
    device = torch.device("cuda", here.local_rank) if on_gpus(trainer.accelerator) else None
    if device:
        torch.cuda.set_device(device)
    if here.starter == "srun":
        meet_under_slurm(trainer)
    try:
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if device else "gloo",
            timeout=PATIENCE, rank=here.rank, world_size=here.processes, device_id=device,
        )  # fmt: skip
    except (RuntimeError, ValueError) as error:
        who = f"process {here.rank + 1} of {here.processes}"
        raise ProcessError(f"{who} cannot meet the others: {str(error).splitlines()[0]}") from error


def meet_under_slurm(trainer: "TrainerConfig") -> None:
    """Put into the environment where the first process of a SLURM job listens. Raises ConfigError."""
    from zoo.torchvision_operators import declare_missing_operators

    declare_missing_operators()
    from lightning.fabric.plugins.environments import SLURMEnvironment

    try:
        job = SLURMEnvironment()
        job.validate_settings(trainer.devices, trainer.num_nodes)
    except (RuntimeError, ValueError) as error:
        raise ConfigError(f"srun: {str(error).splitlines()[0].strip()}") from error
    os.environ |= {"MASTER_ADDR": job.main_address, "MASTER_PORT": str(job.main_port)}


def disconnect() -> None:
    """Part from the others, at the end of the training."""
    if share().processes > 1:
        dist.destroy_process_group()


def share() -> Share:
    """Which of the connected processes this is."""
    if dist.is_available() and dist.is_initialized():
        return Share(dist.get_rank(), dist.get_world_size())
    return ALONE


def total(values: Tensor) -> Tensor:
    """The sum of what each process gives, in place; all must call it."""
    if share().processes > 1:
        dist.all_reduce(values)
    return values


def largest(number: int) -> int:
    """The largest number that a process gives; all must call it."""
    if share().processes == 1:
        return number
    numbers = torch.tensor(number)
    dist.all_reduce(numbers, dist.ReduceOp.MAX)
    return int(numbers)


def first(make: Callable[[], Made]) -> Made:
    """What the first process makes, for all of them; all must call it. Raises in each the ZooError that it raises."""
    mine = share()
    if mine.processes == 1:
        return make()
    told: list[Any] = [None]
    if mine.rank == 0:
        try:
            told = [(make(), None)]
        except ZooError as error:
            told = [(None, error)]
    dist.broadcast_object_list(told)
    made, error = told[0]
    if error is not None:
        raise error
    return made
