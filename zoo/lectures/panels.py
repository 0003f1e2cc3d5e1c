"""What the figures of all lectures begin with: a title over panels, and axes without a box."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from zoo.palette import SIZE


def new_figure(
    title: str, rows: int = 1, columns: int = 1, size: tuple[float, float] = SIZE, **options: object
) -> tuple[Figure, list[Axes]]:
    """A figure with a title, and its axes row by row; options as of `Figure.subplots`."""
    figure = titled(title, size)
    return figure, list(figure.subplots(rows, columns, squeeze=False, **options).flat)


def titled(title: str, size: tuple[float, float] = SIZE) -> Figure:
    """A figure with a title only."""
    figure = Figure(figsize=size, layout="constrained")
    figure.suptitle(title, fontsize=14)
    return figure


def plain(axes: Axes, x: str = "", y: str = "") -> None:
    """Names of the axes, in type for the last row, and no box around them."""
    axes.set_xlabel(x, fontsize=12)
    axes.set_ylabel(y, fontsize=12)
    axes.tick_params(labelsize=11)
    axes.spines[["top", "right"]].set_visible(False)


def blank(axes: Axes) -> None:
    """No ticks."""
    axes.set(xticks=[], yticks=[])
