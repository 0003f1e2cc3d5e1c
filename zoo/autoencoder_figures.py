"""Figures of autoencoders: what each phase can reconstruct, what its neurons look for, where the codes lie."""

import copy
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator
from torch import nn

from zoo.checkpoint import load_weights, read_checkpoint
from zoo.curves import Curve, draw_curves
from zoo.models.autoencoder import Autoencoder, Stack
from zoo.models.autoencoder_classifier import AutoencoderClassifier
from zoo.models.few_labels import FewLabels
from zoo.palette import COLOURS, SIZE
from zoo.picture_figures import LOOKED_AT, class_name, draw_image, ready_in_parts, spread, unit_range, without_axes
from zoo.word_figures import principal_components

if TYPE_CHECKING:
    from zoo.data.dataset import DataSet


def autoencoder_figures(network: nn.Module, data: "DataSet", folder: Path, title: str) -> dict[str, Figure]:
    """The figures that fit; in `folder`, that of the run, lies how the network was at the end of each phase."""
    figures = {}
    stack = stack_of(network)
    if not isinstance(stack, Stack):
        return figures
    with torch.no_grad():
        if len(stack.decoders):
            figures["reconstructions"] = reconstructions(network, data, folder, title)
        figures["filters"] = filters(stack, data.ready("test", slice(1))[0].shape[1:], title)
        if stack.encoders[-1].out_features > 1:
            figures["codes"] = codes(stack, data, title)
    if isinstance(network, AutoencoderClassifier) and phase_file(folder, len(stack.encoders)).exists():
        figures["gradient_by_layer"] = gradients(network, data, folder, title)
    if isinstance(network, FewLabels):
        figures["error_by_labels"] = error_by_labels(network, data, title)
    return figures


def stack_of(network: nn.Module) -> nn.Module:
    """The autoencoders of a network, where they are not the network itself."""
    return network.stack if isinstance(network, FewLabels) else network


def phase_file(folder: Path, phases: int) -> Path:
    """Where the weights after the first phases lie; after 0 they are the random start."""
    return folder / "checkpoints" / f"phase_{phases}.ckpt"


def as_after(network: nn.Module, folder: Path, phases: int) -> nn.Module:
    """A copy as the network was after the first phases."""
    path = phase_file(folder, phases)
    then = copy.deepcopy(network)
    load_weights(then, read_checkpoint(path), path)
    return then


def reconstructions(network: nn.Module, data: "DataSet", folder: Path, title: str) -> Figure:
    """A test picture of each class, what is left of it after each phase, and what PCA leaves with as many numbers."""
    targets = data.test[1]
    chosen = torch.stack([(targets == label).nonzero()[0, 0] for label in targets.unique()[:10]])
    x, _ = data.ready("test", chosen)  # (K, C, h, w)
    rows = {"picture": x}
    stack = stack_of(network)
    for k, encoder in enumerate(stack.encoders, 1):
        if not phase_file(folder, k).exists():  # not trained alone, or ended by trainer.max_steps
            break
        then = stack_of(as_after(network, folder, k))
        rows[f"layer {k}: {encoder.out_features}"] = then.decode(then.encode(x, k), k).view_as(x)
    if isinstance(network, Autoencoder):
        rows[f"all: {network.code_size}"] = network(x).view_as(x)
        if network.code_size < network.in_features and hasattr(data, "pca"):
            rows[f"PCA: {network.code_size}"] = data.pca(x, network.code_size)
    figure = Figure(figsize=(8.0, 0.5 + 0.75 * len(rows)), layout="constrained")
    figure.suptitle(f"{title}: reconstructions")
    low, high = float(x.min()), float(x.max())
    grid = figure.subplots(len(rows), len(x), squeeze=False)
    for line, (label, pictures) in zip(grid, rows.items(), strict=True):
        for axes, picture in zip(line, pictures, strict=True):
            draw_image(axes, picture, data.transform, vmin=low, vmax=high)
        line[0].set_ylabel(label, rotation=0, ha="right", va="center")
    return figure


def filters(stack: Stack, shape: tuple[int, int, int], title: str, per_layer: int = 24) -> Figure:
    """What the first neurons of each layer look for in a picture (C, h, w): red where ink excites, blue where it damps.

    Of coloured pictures it is a coloured picture, each on its own scale. From the second layer on it is the product of
    the weights, as if the layers between were linear.
    """
    columns = 12
    figure = Figure(figsize=(8.0, 0.4 + len(stack.encoders) * 1.7), layout="constrained")
    figure.suptitle(f"{title}: filters")
    seen = torch.eye(stack.in_features)
    for part, (k, encoder) in zip(
        figure.subfigures(len(stack.encoders), 1, squeeze=False)[:, 0], enumerate(stack.encoders, 1), strict=True
    ):
        seen = encoder.weight @ seen  # (H, D)
        shown = seen[:per_layer].view(-1, *shape)
        part.suptitle(f"layer {k}" + ("" if k == 1 else ", through the layers before it"), fontsize=10)
        rows = -(-len(shown) // columns)
        for axes, i in zip(part.subplots(rows, columns, squeeze=False).flat, range(rows * columns), strict=True):
            without_axes(axes)
            if i < len(shown) and shape[0] == 1:
                bound = float(shown[i].abs().max())
                axes.imshow(shown[i, 0].numpy(), cmap="RdBu_r", vmin=-bound, vmax=bound)
            elif i < len(shown):
                axes.imshow(unit_range(shown[i : i + 1])[0].permute(1, 2, 0).numpy())
    return figure


def codes(stack: Stack, data: "DataSet", title: str, count: int = 3000) -> Figure:
    """Test pictures in two dimensions: the first two principal components of their pixels, and of their codes.

    A code of two numbers is drawn as it is.
    """
    parts = [(x.flatten(1), stack.encode(x), y) for x, y in ready_in_parts(data, spread(len(data.test[0]), count))]
    pixels, code, targets = (torch.cat(part) for part in zip(*parts, strict=True))
    points = {
        "pixels": principal_components(pixels, 2),
        f"code of {code.shape[1]}": principal_components(code, 2) if code.shape[1] > 2 else code,
    }
    figure = Figure(figsize=SIZE, layout="constrained")
    figure.suptitle(f"{title}: the two main directions" if code.shape[1] > 2 else title)
    names = data.transform.get("classes")
    for axes, (label, xy) in zip(figure.subplots(1, 2), points.items(), strict=True):
        axes.set_title(label)
        axes.set_xticks([])
        axes.set_yticks([])
        for digit, colour in zip(targets.unique().tolist(), (*COLOURS, "#7f8c8d", "#e67e22"), strict=False):
            mine = xy[targets == digit]
            axes.scatter(*mine.T.numpy(), s=3, color=colour, linewidths=0, label=class_name(names, digit))
            if names is None:
                axes.text(*mine.median(0).values.tolist(), str(digit), color=colour, size=15, weight="bold")
    if names is not None:  # they would hide each other among the points
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), markerscale=5, frameon=False)
    return figure


def gradients(network: AutoencoderClassifier, data: "DataSet", folder: Path, title: str, count: int = 1000) -> Figure:
    """Gradient of the cross-entropy by each layer's weights before fine-tuning: with and without pre-training (C18).

    The root of its mean square, over the first `count` training pictures.
    """
    curves: dict[str, Curve] = {}
    batch = data.ready("train", slice(count))
    for label, phases in (("random start", 0), ("after pre-training", len(network.layer_phases))):
        then = as_after(network, folder, phases)
        layers = [*then.encoders, then.output]
        found = torch.autograd.grad(then.loss(batch)["loss"], [layer.weight for layer in layers])
        curves[label] = [(k, float(gradient.square().mean().sqrt())) for k, gradient in enumerate(found, 1)]
    figure = draw_curves("gradient_by_layer", curves, title)
    figure.axes[0].set_xticks(range(1, len(layers) + 1))
    return figure


def error_by_labels(network: FewLabels, data: "DataSet", title: str) -> Figure:
    """Test error against the number of labels, from pre-trained layers and from the random start."""
    with torch.no_grad():
        rows = spread(len(data.test[0]), LOOKED_AT)
        parts = [(len(batch[0]) / len(rows), network.loss(batch)) for batch in ready_in_parts(data, rows)]

    def error(name: str) -> float:
        return 1 - sum(share * float(metrics[name]) for share, metrics in parts)

    curves: dict[str, Curve] = {
        label: [(count, error(f"{name}/{count}")) for count in network.labels]
        for label, name in (("random start", "random"), ("pre-trained on all pictures", "pretrained"))
    }
    figure = draw_curves("error_by_labels", curves, title)
    axes = figure.axes[0]
    axes.set_xscale("log")
    axes.set_xticks(network.labels, [f"{count:,}" for count in network.labels])
    axes.xaxis.set_minor_locator(NullLocator())
    return figure
