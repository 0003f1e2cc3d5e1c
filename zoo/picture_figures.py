"""Figures of one picture: what the convolutions make of it, what it is taken for, which part of it decides.

Drawn at the end of a run of a test picture, and of any picture by `draw_picture`:

    from zoo.picture_figures import draw_picture
    draw_picture(zoo.load("runs/.../checkpoints/best.ckpt"), "cat.jpg", "figures")

Shapes: B batch, C channels, h height, w width, K classes.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from zoo.data.picture_files import read_picture
from zoo.models.classifier import class_logits
from zoo.palette import ACCENT, SECOND, SIZE, printable

if TYPE_CHECKING:
    from zoo.data.dataset import DataSet, Split

MAPS = 16  # of each convolution that are drawn
PLACES = 14  # of the occluding square, along each side of a picture
LOOKED_AT = 10_000  # test pictures, at most
PICTURES_AT_ONCE, NUMBERS_AT_ONCE = 500, 2**23  # in one pass through a network, at most
ACTIVATIONS = ("relu", "tanh", "sigmoid")
HIGHLIGHT, PLAIN = SECOND, "#aab7b8"


class Picture(NamedTuple):
    """A picture (C, h, w) float32 as a network takes it.

    transform: how it was made, as `DataSet.transform` says. label: the number of its class, where it is known.
    """

    image: Tensor
    transform: dict[str, Any]
    label: int | None = None

    def name(self, number: int) -> str:
        """What a class is called."""
        return class_name(self.transform.get("classes"), number)


def class_name(classes: Sequence[str] | None, number: int, longest: int = 22) -> str:
    """The name of a class as a figure can show it; its number where classes have no names."""
    name = str(number) if classes is None else printable(classes[number])
    return name if len(name) <= longest else f"{name[: longest - 3]}..."


# --- pictures on their way into a network -------------------------------------------------------------------------


def spread(size: int, limit: int) -> Tensor:
    """The numbers of at most `limit` of `size` items, evenly over all: a set may be sorted by class."""
    count = min(size, limit)
    return torch.arange(count) * size // count


def ready_in_parts(data: "DataSet", rows: Tensor) -> Iterator["Split"]:
    """Test items as a network takes them, in parts of a size that fits into memory."""
    per_item = data.ready("test", rows[:1])[0].numel()
    for part in rows.split(max(1, min(PICTURES_AT_ONCE, NUMBERS_AT_ONCE // per_item))):
        yield data.ready("test", part)


def classifies(network: nn.Module, images: Tensor) -> bool:
    """Whether the network, or its present phase, tells classes of such pictures (B, ...) apart."""
    return "acc" in network.loss((images, torch.zeros(len(images), dtype=torch.int64)))


# --- pictures on the page -----------------------------------------------------------------------------------------


def draw_image(axes: Axes, image: Tensor, transform: dict[str, Any], **limits: float) -> None:
    """A picture (C, h, w): grey as ink on paper, between vmin and vmax where given; colours as they were."""
    if len(image) == 1:
        axes.imshow(image[0].numpy(), cmap="gray_r", **limits)
    else:
        mean, std = (torch.tensor(transform[key]).view(-1, 1, 1) for key in ("mean", "std"))
        axes.imshow((image * std + mean).clamp(0, 1).permute(1, 2, 0).numpy())
    without_axes(axes)


def without_axes(axes: Axes) -> None:
    """A picture without ticks and frame, which may have a label."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)


def unit_range(pictures: Tensor) -> Tensor:
    """Each of the pictures (n, ...) on its own scale: its least number becomes 0, its largest 1."""
    flat = pictures.flatten(1)
    low, high = flat.min(1, keepdim=True).values, flat.max(1, keepdim=True).values
    return ((flat - low) / (high - low).clamp(min=1e-12)).view_as(pictures)


def tiles(pictures: Tensor, columns: int, between: float) -> Tensor:
    """Pictures (n, C, h, w) side by side on one sheet (C, H, W), row by row, with gaps of the value `between`."""
    n, channels, h, w = pictures.shape
    gap = max(1, w // 16)
    sheet = torch.full((channels, -(-n // columns) * (h + gap) - gap, columns * (w + gap) - gap), between)
    for i, picture in enumerate(pictures):
        top, left = i // columns * (h + gap), i % columns * (w + gap)
        sheet[:, top : top + h, left : left + w] = picture
    return sheet


# --- the figures --------------------------------------------------------------------------------------------------


def draw_picture(network: nn.Module, path: str | Path, folder: str | Path) -> list[Path]:
    """Draw what fits of a picture file, for a network that `zoo.load` has read, into `folder`; the paths written.

    Raises DataError where the file is no picture, ValueError where the network does not classify any.
    """
    from zoo.figures import save  # it draws these figures too

    transform = getattr(network, "card", {}).get("transform", {})
    if transform.get("kind") != "image":
        raise ValueError("draw_picture takes a network of zoo.load that was trained on pictures")
    picture = Picture(read_picture(path, transform), transform)
    network.eval()
    with torch.no_grad():
        if not classifies(network, picture.image[None]):
            raise ValueError(f"{type(network).__name__} does not classify pictures")
        figures = picture_figures(network, picture, printable(Path(path).name))
    return [save(figure, Path(folder) / f"{Path(path).stem}_{name}.png") for name, figure in figures.items()]


def picture_figures(network: nn.Module, picture: Picture, title: str) -> dict[str, Figure]:
    """The figures that fit a network, in eval mode, which classifies pictures."""
    figures = {"top_five": top_five(network, picture, title), "occlusion": occlusion_map(network, picture, title)}
    if convolved(network, picture.image):
        figures["feature_maps"] = feature_maps(network, picture, title)
    return figures


class Watch(TorchFunctionMode):
    """Keeps the maps that convolutions give; those after the activation, where one follows before the next convolution.

    It watches functions, not modules: in some networks activations, and a convolution too, are no modules.
    """

    def __init__(self) -> None:
        super().__init__()
        self.maps: list[Tensor] = []
        self.waiting = False  # for the activation

    def __torch_function__(self, function: Any, types: Any, arguments: Any = (), options: Any = None) -> Any:
        """Called by torch in place of each of its functions."""
        result = function(*arguments, **(options or {}))
        name = getattr(function, "__name__", "")
        if name == "conv2d":
            self.maps.append(result)
            self.waiting = True
        elif name in ACTIVATIONS and self.waiting and result.dim() == 4:
            self.maps[-1] = result
            self.waiting = False
        return result


def convolved(network: nn.Module, image: Tensor) -> list[Tensor]:
    """What the convolutions make of a picture (C, h, w): the maps (maps, h', w') of each, after its activation."""
    with Watch() as watch, torch.no_grad():
        network(image[None])
    return [maps[0] for maps in watch.maps]


def feature_maps(network: nn.Module, picture: Picture, title: str) -> Figure:
    """The picture, and of each convolution the maps that it excites most on average, at most 16, in their order.

    Each map is on its own scale, dark its least number, bright its largest.
    """
    convolutions = convolved(network, picture.image)
    panels = 1 + len(convolutions)
    columns = 3 if panels in (5, 6) else min(panels, 4)
    rows = -(-panels // columns)
    figure = Figure(figsize=(2.7 * columns, 0.8 + 2.6 * rows), layout="constrained")
    figure.suptitle(f"{title}: what the convolutions make of it, each map on its own scale")
    first, *others = figure.subplots(rows, columns, squeeze=False).flat
    draw_image(first, picture.image, picture.transform)
    first.set_title("the picture", fontsize=11)
    for axes in others:
        axes.axis("off")
    for number, (axes, maps) in enumerate(zip(others, convolutions, strict=False), 1):
        chosen = maps.mean((1, 2)).topk(min(MAPS, len(maps))).indices.sort().values
        sheet = tiles(unit_range(maps[chosen])[:, None], -(-len(chosen) // 4), torch.nan)
        axes.imshow(sheet[0].numpy(), cmap="viridis", vmin=0, vmax=1, interpolation="nearest")
        some = f"{len(chosen)} of " if len(chosen) < len(maps) else ""
        axes.set_title(f"conv {number}: {some}{len(maps)} maps, {maps.shape[1]}x{maps.shape[2]}", fontsize=11)
    return figure


def top_five(network: nn.Module, picture: Picture, title: str) -> Figure:
    """The picture and the five classes that the network thinks most probable; the true one in blue, if it is known."""
    with torch.no_grad():
        p = class_logits(network(picture.image[None]))[0].softmax(0)
    values, classes = p.topk(min(5, len(p)))
    labels = [picture.name(c) + " (true)" * (c == picture.label) for c in classes.tolist()]
    figure = Figure(figsize=SIZE, layout="constrained")
    figure.suptitle(f"{title}: what it is taken for")
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.2))
    draw_image(left, picture.image, picture.transform)
    if picture.label is not None and picture.label not in classes:
        left.set_xlabel(f"true: {picture.name(picture.label)}, {p[picture.label]:.1%}", fontsize=12)
    colours = [HIGHLIGHT if c == picture.label else PLAIN for c in classes.tolist()]
    bars = right.barh(range(len(classes)), values.tolist(), color=colours)
    right.bar_label(bars, [f"{value:.1%}" for value in values.tolist()], padding=4, fontsize=12)
    right.set_yticks(range(len(classes)), labels, fontsize=12)
    right.invert_yaxis()  # the most probable on top
    right.set_xlim(0, 1.25)  # room for the number beside a bar of 1
    right.set_xticks([])
    right.spines[["top", "right", "bottom"]].set_visible(False)
    return figure


class Square(NamedTuple):
    """What hides a part of a picture: a square of size x size pixels, moved by `stride` pixels.

    Its places are the middles of the fields of stride x stride pixels; beyond the picture's edge it is cut off.
    """

    size: int
    stride: int

    def places(self, length: int) -> range:
        """Where its middle stands, along a side of that length."""
        return range(self.stride // 2, length, self.stride)

    def pixels(self, middle: int) -> slice:
        """What it covers along one side."""
        start = middle - self.size // 2
        return slice(max(0, start), start + self.size)

    def hide(self, image: Tensor, y: int, x: int) -> Tensor:
        """A copy of the picture (C, h, w) with 0 around (y, x): a grey, the mean colour, where it is standardised."""
        hidden = image.clone()
        hidden[:, self.pixels(y), self.pixels(x)] = 0
        return hidden


def occlusion(network: nn.Module, image: Tensor, label: int, square: Square) -> Tensor:
    """The probability of a class while a part of a picture (C, h, w) is hidden: a number per place, (rows, columns)."""
    _, height, width = image.shape
    rows = []
    for y in square.places(height):
        hidden = torch.stack([square.hide(image, y, x) for x in square.places(width)])
        rows.append(class_logits(network(hidden)).softmax(1)[:, label])
    return torch.stack(rows)


def occlusion_map(network: nn.Module, picture: Picture, title: str, square: Square | None = None) -> Figure:
    """Zeiler & Fergus 2014, section 4.2: how probable the class stays while a grey square hides a part of the picture.

    The class is the true one, or where that is unknown the most probable one. Left: the place that harms most.
    square: None: a quarter as wide as the picture, 14 places a side.
    """
    image = picture.image
    _, height, width = image.shape
    square = square or Square(size=max(1, height // 4), stride=-(-height // PLACES))
    size, stride = square
    with torch.no_grad():
        p = class_logits(network(image[None]))[0].softmax(0)
        label = int(p.argmax()) if picture.label is None else picture.label
        values = occlusion(network, image, label, square)
    low, high = values.min().item(), values.max().item()
    dark = min(low, high - 0.05)  # or a difference that is none would look like one
    y, x = (stride // 2 + stride * int(i) for i in torch.unravel_index(values.argmin(), values.shape))
    figure = Figure(figsize=SIZE, layout="constrained")
    figure.suptitle(f"{title}: hidden by a square of {size}x{size} pixels, in steps of {stride}")
    left, right = figure.subplots(1, 2)
    draw_image(left, square.hide(image, y, x), picture.transform)
    corner = (x - size // 2 - 0.5, y - size // 2 - 0.5)  # a pixel reaches half a unit beyond its middle
    left.add_patch(Rectangle(corner, size, size, fill=False, edgecolor=ACCENT, linewidth=2))
    left.set_title(f"{picture.name(label)}: {p[label]:.1%}, hidden like this {low:.1%}", fontsize=11)
    fields = (-0.5, values.shape[1] * stride - 0.5, values.shape[0] * stride - 0.5, -0.5)
    shades = right.imshow(values.numpy(), cmap="viridis", vmin=dark, vmax=high, extent=fields, interpolation="nearest")
    right.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))  # the last fields may reach beyond the picture
    without_axes(right)
    right.set_title("by where the middle of the square is", fontsize=11)
    figure.colorbar(shades, ax=right, shrink=0.8, label=f"probability of {picture.name(label)}")
    return figure


def coloured_filters(weight: Tensor, title: str, halves: int) -> Figure:
    """Filters (C_out, 3, h, w) as figure 3 of AlexNet's paper shows its 96: rows of 16, each filter on its own scale.

    halves: 2 draws the first half of them apart from the other.
    """
    sheets = [tiles(part, min(16, len(part)), between=1.0) for part in unit_range(weight).chunk(halves)]
    height, width = sheets[0].shape[1:]
    figure = Figure(figsize=(8.0, 0.5 + halves * (0.3 + 7.8 * height / width)), layout="constrained")
    figure.suptitle(title)
    names = ("first half", "second half")
    for axes, sheet, name in zip(figure.subplots(halves, squeeze=False).flat, sheets, names, strict=False):
        axes.imshow(sheet.permute(1, 2, 0).numpy(), interpolation="nearest")
        axes.axis("off")
        if halves > 1:
            axes.set_title(name, fontsize=10)
    return figure
