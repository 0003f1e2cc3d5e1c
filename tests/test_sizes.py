"""Sizes of convolutions: against PyTorch over a grid, the lectures' own numbers, and what is refused."""

import itertools
import json

import pytest
import torch
import torch.nn.functional as F

import zoo


@pytest.mark.parametrize("padding", [0, 1, 2, 5, "valid", "same", "full"])
def test_the_size_and_the_pixels_seen_are_pytorchs(padding: int | str) -> None:
    grid = itertools.product(range(1, 14), range(1, 6), range(1, 6), range(1, 4))
    for size, kernel, stride, dilation in grid:
        wide = dilation * (kernel - 1)
        zeros = {"valid": (0, 0), "same": (wide // 2, wide - wide // 2), "full": (wide, wide)}
        before, after = (padding, padding) if isinstance(padding, int) else zeros[padding]
        if size + before + after < wide + 1:
            with pytest.raises(ValueError, match="does not fit"):
                zoo.conv_size(size, kernel, stride, padding, dilation)
            continue
        found = zoo.conv_size(size, kernel, stride, padding, dilation)
        x = torch.ones(1, 1, size, requires_grad=True)
        y = F.conv1d(F.pad(x, (before, after)), torch.ones(1, 1, kernel), stride=stride, dilation=dilation)
        y.sum().backward()
        assert found.output == y.shape[2]
        assert found.unseen == (x.grad[0, 0] == 0).nonzero().flatten().tolist()
        assert int(found) == found.output and found.output <= found.exact < found.output + 1


def test_two_dimensions_are_two_sides() -> None:
    for kernel, stride, padding, dilation in itertools.product((1, 3, 4), (1, 2, 3), (0, 1, 2), (1, 2)):
        y = F.conv2d(torch.zeros(1, 1, 12, 17), torch.zeros(1, 1, kernel, kernel), None, stride, padding, dilation)
        assert y.shape[2:] == tuple(zoo.conv_size(n, kernel, stride, padding, dilation).output for n in (12, 17))


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")  # it copies the input, and says so
@pytest.mark.parametrize("size, kernel", [(7, 3), (8, 4), (9, 2)])
def test_same_is_pytorchs_at_stride_one(size: int, kernel: int) -> None:
    y = F.conv2d(torch.zeros(1, 1, size, size), torch.zeros(1, 1, kernel, kernel), padding="same")
    assert zoo.conv_size(size, kernel, padding="same").output == y.shape[2] == size


def test_it_explains_alexnets_first_layer() -> None:
    found = zoo.conv_size(224, kernel=11, stride=4, padding=2)
    assert (found.output, found.exact, found.slide_10) == (55, 55.25, 57.75)
    lines = str(found).splitlines()
    assert lines[0] == "(224 + 2*2 - 11) / 4 + 1 = 55.25 -> 55"
    assert "every pixel is seen; of the 2 zeros after the last pixel, 1 not" in lines[1]
    assert "valid 54, same 56, full 59" in lines[2]
    assert "227 pixels without padding, (227 - 11) / 4 + 1 = 55" in lines[3] and "padding 3, 55.75 -> 55" in lines[3]
    assert "(224 + 11) / 4 - 1 = 57.75 -> 57" in lines[4]
    assert max(map(len, lines)) <= 110


def test_slide_10_of_bombay_is_full_padding_at_stride_one() -> None:
    for size, kernel in itertools.product(range(2, 30), range(2, 8)):
        assert zoo.conv_size(size, kernel, padding="full").slide_10 == zoo.conv_size(size, kernel, padding="full").exact
        for stride in range(2, 6):  # as full padding it is never right elsewhere
            found = zoo.conv_size(size, kernel, stride, "full")
            assert found.output != found.slide_10 // 1
        if size >= kernel:
            pooled = zoo.conv_size(size, kernel, stride=kernel)
            assert pooled.output == pooled.slide_10 // 1


def test_unseen_pixels_are_named() -> None:
    assert "never seen: the last 1 of 224 pixels, counted from 0: 223" in str(zoo.conv_size(224, 11, 4))
    assert "never seen: 4 of 10 pixels, counted from 0: 2, 5, 8, 9" in str(zoo.conv_size(10, 2, 3))
    assert "window: 2 * (3 - 1) + 1 = 5 pixels wide" in str(zoo.conv_size(7, 3, dilation=2))
    assert "(7 + 1 + 2 - 4) / 1 + 1 = 7" in str(zoo.conv_size(7, 4, padding="same"))


def test_every_other_reading_has_as_many_outputs() -> None:
    for size, kernel, stride, padding in itertools.product((9, 12, 27), (3, 5), (1, 2, 3), (0, 1, 2)):
        found = zoo.conv_size(size, kernel, stride, padding)
        for reading in found.others():
            number = int("".join(filter(str.isdigit, reading.split(",")[0])))
            same = (number, kernel, stride) if "pixels" in reading else (size, kernel, stride, number)
            assert zoo.conv_size(*same).output == found.output, reading


def test_many_readings_are_counted() -> None:
    found = zoo.conv_size(1000, 500, 499)
    assert len(found.others()) > 200 and f"; and {len(found.others()) - 3} more\n" in str(found)
    assert max(map(len, str(found).splitlines())) <= 130


def test_it_becomes_json() -> None:
    found = json.loads(json.dumps(zoo.conv_size(224, 11, 4, 2).to_dict()))
    assert (found["output"], found["zeros"]) == (55, [2, 2])
    assert found["by_name"] == {"valid": 54, "same": 56, "full": 59}


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"size": 0, "kernel": 3}, "size must be a whole number >= 1, got 0"),
        ({"size": 5, "kernel": 2.0}, "kernel must be a whole number >= 1, got 2.0"),
        ({"size": 5, "kernel": 3, "stride": True}, "stride must be"),
        ({"size": 5, "kernel": 3, "dilation": -1}, "dilation must be"),
        ({"size": 5, "kernel": 3, "padding": -1}, "padding must be a whole number >= 0, or one of valid, same, full"),
        ({"size": 5, "kernel": 3, "padding": "sane"}, "'sane'"),
        ({"size": 5, "kernel": 3, "padding": [1, 1]}, "padding must be"),
        ({"size": 5, "kernel": 7}, "a window of 7 does not fit into 5 pixels and 0 zeros"),
    ],
)
def test_what_makes_no_window_is_refused_in_one_line(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message) as refused:
        zoo.conv_size(**arguments)
    assert "\n" not in str(refused.value)
