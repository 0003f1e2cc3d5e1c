"""What lies in configs/: the names of a group, and what an experiment says of itself."""

from importlib.resources import files


def config_names(group: str = "experiment") -> list[str]:
    """What `<group>=` takes, in the order of the alphabet."""
    found = (file.name for file in (files("zoo.configs") / group).iterdir())
    return sorted(name.removesuffix(".yaml") for name in found if name.endswith(".yaml"))


def experiment_title(experiment: str) -> str:
    """The second line of its file, which says what it shows."""
    text = (files("zoo.configs") / "experiment" / f"{experiment}.yaml").read_text(encoding="utf-8")
    return text.partition("\n# ")[2].partition("\n")[0]
