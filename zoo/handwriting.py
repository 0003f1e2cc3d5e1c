"""A photographed, scanned or drawn digit -> ink placed in its picture as the training digits were.

A person reads a digit wherever it stands, however large, dark on light or light on dark. A network was trained on
digits of one size in one place, so what is written is found, scaled and put there.

Source: LeCun, Cortes & Burges, The MNIST database: scaled into 20x20 pixels with their proportions kept, then the
centre of mass put into the middle of 28x28.

Shapes: N pictures, h height, w width, s side of the pictures that the network takes.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

FAINT = 0.2  # what has less than this share of the strongest ink is paper
COARSE = 64  # side of the picture in which pieces of ink are told apart
DENSE = 0.35  # what has less than this share of the strongest ink there is noise
THINNEST = 2.0  # pixels of the small picture: a thinner line would fade into grey on its way there
SAME = 0.6  # pixels by which the centre of mass may be off in a picture that is left as it is; MNIST: 0.5
LEAST = 0.05  # difference between ink and paper, of 1 between black and white, below which a picture is blank


def written(grey: Tensor, size: int, writing: dict[str, Any]) -> Tensor:
    """Ink (N, s, s) float32 in [0, 1] of grey pictures (N, h, w) uint8; pictures that are in place already stay so.

    size: s. writing: how the training digits lie in their pictures:
        box: pixels of the longer side of what is written. centre: what is put into the middle: mass | box.
        resolution: side of the coarser picture that they come from, if there is one.
    Raises ValueError for a picture without a sign of ink.
    """
    ink = ink_of(grey)
    rest = range(len(ink))
    if grey.shape[1:] == (size, size) and "resolution" not in writing:
        there = in_place(ink, writing)
        if bool(there.all()):
            return ink
        rest = (~there).nonzero()[:, 0].tolist()
        moved = ink.clone()
    else:
        moved = torch.empty(len(ink), size, size)
    for i in rest:
        moved[i] = placed(ink[i], size, writing)
    return moved


def ink_of(grey: Tensor) -> Tensor:
    """Ink (N, h, w) float32 in [0, 1]: how far each pixel is from the paper, which is what most of the edge shows."""
    edge = torch.cat([grey[:, 0], grey[:, -1], grey[:, :, 0], grey[:, :, -1]], 1)  # (N, 2 h + 2 w)
    if bool(((edge == 0).sum(1) > edge.shape[1] // 2).all()):  # white on black, as MNIST is: there is no more to find
        return grey / 255
    paper = lit(edge.float(), *grey.shape[1:])  # (N, h, w)
    pixels = grey.float()
    dark_on_light = (paper - pixels) / paper.clamp(min=1)
    light_on_dark = (pixels - paper) / (255 - paper).clamp(min=1)
    return torch.where(paper > 127.5, dark_on_light, light_on_dark).clamp_(0, 1)


def lit(edge: Tensor, height: int, width: int) -> Tensor:
    """How bright the paper is (N, h, w), by its edge (N, 2 h + 2 w): the plane that fits most of it best.

    Light comes from one side in most photographs. What differs from the median far more than others do is no paper.
    """
    y, x = torch.linspace(-1, 1, height), torch.linspace(-1, 1, width)
    sides = [(-torch.ones(width), x), (torch.ones(width), x), (y, -torch.ones(height)), (y, torch.ones(height))]
    places = torch.stack([torch.ones(edge.shape[1]), *(torch.cat(parts) for parts in zip(*sides, strict=True))], 1)
    median = edge.median(1, keepdim=True).values
    off = (edge - median).abs()
    usual = (off <= 3 * off.median(1, keepdim=True).values + 1).float()  # (N, E)
    weighted = places * usual[:, :, None]  # (N, E, 3)
    plane = torch.linalg.lstsq(weighted, (edge * usual)[:, :, None]).solution[:, :, 0]  # (N, 3)
    level = plane[:, 0, None, None] + plane[:, 1, None, None] * y[:, None] + plane[:, 2, None, None] * x
    return level.clamp(0, 255)


def in_place(ink: Tensor, writing: dict[str, Any]) -> Tensor:
    """Which of the pictures (N, s, s) show what is written in its box and in the middle, (N,) bool."""
    s, box = ink.shape[1], writing["box"]
    profiles = torch.stack([ink.sum(2), ink.sum(1)])  # (2, N, s), of rows and columns
    longest = extent(profiles > 0).amax(0)  # (N,)
    fits = (longest <= box) & (longest >= box * 3 // 4)
    if writing["centre"] == "mass":
        mass = profiles[0].sum(1).clamp(min=1e-6)  # (N,)
        centres = profiles @ torch.arange(s, dtype=torch.float32) / mass  # (2, N)
        fits &= ((centres - s // 2).abs() <= SAME).all(0)
    return fits


def extent(there: Tensor) -> Tensor:
    """From the first to the last place that is set along the last dimension, (...) of (..., s); 0 where none is."""
    places = torch.arange(1, there.shape[-1] + 1)
    last = (there * places).amax(-1)
    backward = (there * places.flip(0)).amax(-1)  # from the other end
    return (last + backward - there.shape[-1]) * (last > 0)


def placed(ink: Tensor, size: int, writing: dict[str, Any]) -> Tensor:
    """One picture (h, w) -> (s, s): cut out, scaled into the box with its proportions kept, and centred."""
    strongest = float(ink.max())
    if strongest < LEAST:
        raise ValueError("it is blank: nothing stands out from the paper")
    ink = torch.where(ink < FAINT * strongest, 0.0, ink / strongest)
    ink = ink * of_the_digit(ink)
    rows, columns = ink.amax(1).nonzero()[:, 0], ink.amax(0).nonzero()[:, 0]
    ink = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    box = writing["box"]
    scale = box / max(ink.shape)
    ink = thickened(ink, THINNEST / scale)
    height, width = (max(1, round(side * scale)) for side in ink.shape)
    small = resized(ink, (min(height, box), min(width, box)))
    small = small / small.max()
    field = F.pad(small, (size, size, size, size))  # from which the window is cut
    if writing["centre"] == "mass":
        mass = small.sum()
        y = float((small.sum(1) @ torch.arange(len(small), dtype=torch.float32)) / mass)
        x = float((small.sum(0) @ torch.arange(small.shape[1], dtype=torch.float32)) / mass)
        top, left = size + round(y) - size // 2, size + round(x) - size // 2
    else:
        top, left = (size - (size - side) // 2 for side in small.shape)
    # What the middle would push over the edge stays in the picture.
    top = min(max(top, len(small)), size)
    left = min(max(left, small.shape[1]), size)
    field = field[top : top + size, left : left + size]
    if "resolution" in writing:
        coarse = resized(field, (writing["resolution"],) * 2)
        field = F.interpolate(coarse[None, None], (size, size), mode="bilinear", align_corners=False)[0, 0]
    return field


def of_the_digit(ink: Tensor) -> Tensor:
    """Which pixels (h, w) belong to what is written, 1 or 0: not those of specks, and not of what touches the edge.

    Looked at coarsely, where noise is gone; a piece counts if it has a tenth of the largest one's ink.
    """
    scale = min(1.0, COARSE / max(ink.shape))
    coarse = resized(ink, tuple(max(1, round(side * scale)) for side in ink.shape)) if scale < 1 else ink
    there = coarse > DENSE * coarse.max()
    labels = (torch.arange(1, there.numel() + 1, dtype=torch.float32).view_as(coarse) * there)[None, None]
    for _ in range(there.numel()):  # each pixel takes the largest number beside it, until nothing changes
        grown = F.max_pool2d(labels, 3, stride=1, padding=1) * there
        if torch.equal(grown, labels):
            break
        labels = grown
    labels = labels[0, 0].long()
    mass = torch.zeros(there.numel() + 1).index_add_(0, labels.flatten(), (coarse * there).flatten())
    mass[0] = 0
    inner = mass.clone()
    inner[torch.cat([labels[0], labels[-1], labels[:, 0], labels[:, -1]])] = 0
    mass = inner if inner.max() > 0.1 * mass.max() else mass  # a digit may fill its picture up to the edge
    kept = (mass > 0.1 * mass.max())[labels].float()[None, None]
    kept = F.max_pool2d(kept, 3, stride=1, padding=1)  # with the pale rim of its lines
    return F.interpolate(kept, ink.shape, mode="nearest")[0, 0]


def thickened(ink: Tensor, wanted: float) -> Tensor:
    """Lines (h, w) made `wanted` pixels thick where they are thinner: a pen's line is a hair in a large picture."""
    solid = F.pad((ink > 0.5).float(), (1, 1, 1, 1))
    area = float(solid.sum())
    edges = float((solid[1:] != solid[:-1]).sum() + (solid[:, 1:] != solid[:, :-1]).sum())
    thickness = 2 * area / max(1.0, edges)  # a long line of thickness t has 2 edges a pixel, and t of area
    grow = round((wanted - thickness) / 2)
    if grow < 1:
        return ink
    padded = F.pad(ink, (grow, grow, grow, grow))
    for _ in range(grow):  # step by step, which rounds the corners off less than one large square would square them
        padded = F.max_pool2d(padded[None], 3, stride=1, padding=1)[0]
    return padded


def resized(ink: Tensor, sides: tuple[int, int]) -> Tensor:
    """A picture (h, w) of other sides; each new pixel is a mean of all that it covers."""
    return F.interpolate(ink[None, None], sides, mode="bilinear", align_corners=False, antialias=True)[0, 0].clamp(0, 1)
