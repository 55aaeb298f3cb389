"""What every model is given: colours, sizes and crops, computed by hand."""

from __future__ import annotations

import numpy as np
import pytest

from emotion.faces import images
from emotion.faces.contract import Contract
from emotion.faces.images import Box

BLUE, GREEN, RED = 200, 100, 50
#: ITU-R BT.601: 0.299 red + 0.587 green + 0.114 blue.
GREY = round(0.299 * RED + 0.587 * GREEN + 0.114 * BLUE)


def flat(*channels: int) -> images.Image:
    """A picture of one colour, 10 high and 12 wide; without a third dimension where it has one channel."""
    return np.full((10, 12, len(channels)), channels, np.uint8)


@pytest.mark.parametrize(
    ("image", "colour", "expected"),
    [
        (flat(BLUE, GREEN, RED), "rgb", [RED, GREEN, BLUE]),
        (flat(BLUE, GREEN, RED), "gray", [GREY]),
        (flat(BLUE, GREEN, RED, 7), "rgb", [RED, GREEN, BLUE]),
        (flat(BLUE, GREEN, RED, 7), "gray", [GREY]),
        (flat(90), "rgb", [90, 90, 90]),
        (flat(90), "gray", [90]),
        (flat(90)[:, :, 0], "rgb", [90, 90, 90]),
        (flat(90)[:, :, 0], "gray", [90]),
    ],
)
@pytest.mark.parametrize("size", [(10, 12), (8, 9), (20, 30)])
def test_colours_and_shape_are_the_contracts(
    image: images.Image, colour: str, expected: list[int], size: tuple[int, int]
) -> None:
    found = images.prepare(image, Contract(*size, colour=colour))
    assert found.dtype == np.uint8
    assert found.shape == (*size, len(expected))
    assert found.reshape(-1, len(expected)).tolist() == [expected] * (size[0] * size[1])


def test_a_picture_is_not_turned_or_mirrored() -> None:
    image = np.arange(80, dtype=np.uint8).reshape(8, 10)
    np.testing.assert_array_equal(images.prepare(image, Contract(8, 10))[:, :, 0], image)
    enlarged = images.prepare(image, Contract(16, 30))[:, :, 0]
    assert (enlarged[0, 0], enlarged[0, -1], enlarged[-1, 0], enlarged[-1, -1]) == (0, 9, 70, 79)


def row(*values: int) -> images.Image:
    """A picture of two equal rows."""
    return np.array([values, values], np.uint8)


@pytest.mark.parametrize(
    ("interpolation", "expected"),
    [
        ("area", [25, 75]),  # means of four
        ("linear", [10, 60]),  # of the two nearest to the new pixel's middle
    ],
)
def test_shrinking(interpolation: str, expected: list[int]) -> None:
    image = row(0, 20, 0, 80, 20, 60, 60, 160)
    assert images.resize(image, 1, 2, interpolation).tolist() == [expected]


def test_cubic_shrinking_takes_four_pixels() -> None:
    # Keys's kernel with a = -0.75 at distances 1.5, 0.5, 0.5, 1.5: -0.09375, 0.59375, 0.59375, -0.09375.
    image = row(80, 0, 160, 0, 0, 0, 0, 0)
    wanted = 0.59375 * 160 - 0.09375 * 80
    assert images.resize(image, 2, 2, "cubic")[0, 0] == pytest.approx(wanted, abs=0.51)


@pytest.mark.parametrize("interpolation", ["area", "linear"])
def test_enlarging_is_linear_for_area_too(interpolation: str) -> None:
    assert images.resize(row(0, 100), 2, 4, interpolation).tolist() == [[0, 25, 75, 100]] * 2
    # As many pixels in another shape: twice the height, half the width.
    assert images.resize(row(0, 20, 60, 100), 4, 2, interpolation).tolist() == [[10, 80]] * 4


def test_cubic_enlarging_overshoots() -> None:
    # The same kernel at a quarter of a pixel: shares of the right are 0, -0.035, -0.105, 0.227, then 1 less these.
    found = images.resize(row(100, 100, 200, 200), 2, 8, "cubic")[0]
    wanted = [100, 96.48, 89.45, 122.66, 177.34, 210.55, 203.52, 200]
    np.testing.assert_allclose(found, wanted, rtol=0, atol=0.51)


RAMP = np.arange(100, dtype=np.uint8).reshape(10, 10)  # the value is 10 * row + column


@pytest.mark.parametrize(
    ("box", "margin", "rows", "columns"),
    [
        (Box(2, 3, 4, 4), 0.0, (3, 7), (2, 6)),
        (Box(2, 4, 4, 2), 0.0, (3, 7), (2, 6)),  # a square of the longer side round the middle
        (Box(3, 3, 2, 4), 0.0, (3, 7), (2, 6)),
        (Box(3, 4, 4, 4), 0.25, (3, 9), (2, 8)),  # a quarter of 4 on each side
        (Box(2, 3, 4, 4), -0.25, (4, 6), (3, 5)),
        (Box(2, 3, 5, 5), -0.6, (5, 6), (4, 5)),  # one pixel at the least
        (Box(0, 0, 10, 10), 0.0, (0, 10), (0, 10)),
    ],
)
def test_crops_by_hand(box: Box, margin: float, rows: tuple[int, int], columns: tuple[int, int]) -> None:
    np.testing.assert_array_equal(images.crop(RAMP, box, margin), RAMP[slice(*rows), slice(*columns)])


@pytest.mark.parametrize(
    ("box", "margin"),
    [
        (Box(-2, 3, 4, 4), 0.0), (Box(3, -2, 4, 4), 0.0), (Box(8, 3, 4, 4), 0.0), (Box(3, 8, 4, 4), 0.0),
        (Box(0, 0, 10, 10), 0.3), (Box(-3, 7, 4, 6), 0.5),
        (Box(20, 2, 4, 4), 0.0), (Box(-9, 2, 4, 4), 0.0), (Box(2, 30, 4, 4), 0.0), (Box(2, -30, 4, 4), 0.0),
        (Box(10, 2, 4, 4), 0.0), (Box(-4, -4, 4, 4), 0.0),
    ],
)  # fmt: skip
@pytest.mark.parametrize("channels", [None, 3])
def test_beyond_the_border_its_pixels_are_repeated(box: Box, margin: float, channels: int | None) -> None:
    image = RAMP if channels is None else np.stack([RAMP] * channels, axis=2)
    side = round(max(box.width, box.height) * (1 + 2 * margin))
    left, top = round(box.x + box.width / 2 - side / 2), round(box.y + box.height / 2 - side / 2)
    wanted = [[image[min(max(y, 0), 9), min(max(x, 0), 9)] for x in range(left, left + side)]
              for y in range(top, top + side)]  # fmt: skip
    np.testing.assert_array_equal(images.crop(image, box, margin), np.array(wanted))
