"""The pictures of a run: confusion matrix, reliability, history, and contact sheets.

Drawn with matplotlib's object API on an Agg canvas, never pyplot: no display, no figures that pile up in a sweep. Every
function returns the picture as uint8 ``[H, W, 3]`` RGB, which is what TensorBoard takes, and writes a PNG as well
where it is given a path. Colours are Okabe and Ito's (2008), which colour-blind people can tell apart.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.image import imsave
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import NDArray

from emotion.faces import resize
from emotion.labels import EMOTIONS
from emotion.metrics import Reliability

Picture = NDArray[np.uint8]

BLUE, ORANGE, GREEN = "#0072b2", "#d55e00", "#009e73"
INK, FAINT, LINE = "#222222", "#6f6f6f", "#d4d4d4"
_BLUES = LinearSegmentedColormap.from_list("blues", ["#ffffff", "#cfe3f0", "#6aaed1", "#0072b2", "#004c78"])
_DPI = 110
_STYLE = {
    "font.family": ["DejaVu Sans"],
    "font.size": 9,
    "text.color": INK,
    "text.parse_math": False,  # a $ in a run's name is a $
    "axes.edgecolor": LINE,
    "axes.labelcolor": FAINT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
}


@contextmanager
def _figure(width: float, height: float) -> Iterator[Figure]:
    """An empty figure of this size in inches, in our style whatever the user's matplotlibrc says."""
    with matplotlib.style.context(["default", _STYLE]):
        figure = Figure(figsize=(width, height), dpi=_DPI, layout="constrained")
        FigureCanvasAgg(figure)
        yield figure
        figure.clear()


def _picture(figure: Figure, path: Path | None) -> Picture:
    canvas = figure.canvas
    assert isinstance(canvas, FigureCanvasAgg)
    canvas.draw()
    picture = np.asarray(canvas.buffer_rgba())[..., :3].copy()
    if path is not None:
        imsave(path, picture, format="png", dpi=_DPI)  # print_png would draw, and lay out, a second time
    return picture


def _heading(figure: Figure, title: str, note: str = "") -> None:
    """A bold title, and sentences below it in grey, flush left."""
    # The layout engine makes room for the title alone: blank lines in it keep the note's place.
    figure.suptitle(title + "\n" * (note.count("\n") + 2), x=0.012, ha="left", fontsize=11, fontweight="bold")
    if note:
        # Placed from the top edge in points, so that it sits under the title whatever the figure's height.
        figure.text(
            0.012,
            1 - 22 / 72 / figure.get_figheight(),
            note,
            ha="left",
            va="top",
            fontsize=9,
            color=FAINT,
            linespacing=1.35,
        )


def confusion_matrix(
    matrix: Sequence[Sequence[int]] | NDArray[Any],
    path: Path | None,
    *,
    names: Sequence[str] = EMOTIONS,
    title: str = "Confusion matrix",
) -> Picture:
    """Draw who was taken for whom, coloured by the share of each true class.

    Args:
        matrix: int ``[C, C]``, true classes on rows, as in :func:`emotion.metrics.score`. Rows may be empty.
        path: Where to write a PNG; None writes nothing.
        names: The C classes.
        title: Heading.

    Raises:
        ValueError: ``matrix`` is not ``[C, C]``.
    """
    counts = np.asarray(matrix)
    classes = len(names)
    if counts.shape != (classes, classes):
        raise ValueError(f"matrix has shape {list(counts.shape)}, must be [{classes}, {classes}] as there are names")
    support = counts.sum(axis=1)
    shares = counts / np.maximum(support, 1)[:, None]
    side = max(0.78 * classes, 3.0)
    with _figure(side + 1.7, side + 1.2) as figure:
        axes = figure.add_subplot()
        axes.imshow(shares, cmap=_BLUES, vmin=0, vmax=1, aspect="auto")
        for row in range(classes):
            for column in range(classes):
                _cell(axes, row, column, int(counts[row, column]), shares[row, column], support[row] == 0)
            axes.add_patch(Rectangle((row - 0.5, row - 0.5), 1, 1, fill=False, edgecolor=INK, clip_on=False))
        axes.set_xticks(range(classes), names)
        axes.set_yticks(range(classes), [f"{name}\n{n:,}" for name, n in zip(names, support, strict=True)])
        axes.set_xticks(np.arange(classes + 1) - 0.5, minor=True)
        axes.set_yticks(np.arange(classes + 1) - 0.5, minor=True)
        axes.grid(which="minor", color="white", linewidth=1.5)
        axes.tick_params(which="both", length=0)
        axes.spines[:].set_visible(False)
        axes.set_xlabel("taken for", labelpad=6)
        axes.set_ylabel("true emotion and its pictures", labelpad=6)
        _heading(figure, title, "Shares of each true emotion. Right answers are on the diagonal.")
        return _picture(figure, path)


def _cell(axes: Axes, row: int, column: int, count: int, share: float, empty: bool) -> None:
    if empty:
        axes.text(column, row, "–", ha="center", va="center", color=FAINT)
        return
    colour = "white" if share > 0.65 else INK if count else FAINT  # whichever contrasts more with the cell
    percent = "<1 %" if 0 < share < 0.005 else ">99 %" if 0.995 <= share < 1 else f"{100 * share:.0f} %"
    axes.text(column, row - 0.1, percent, ha="center", va="center", color=colour, fontsize=10)
    axes.text(column, row + 0.22, f"{count:,}", ha="center", va="center", color=colour, fontsize=7.5)


def reliability(curve: Reliability, path: Path | None, *, ece: float, title: str = "Reliability") -> Picture:
    """Draw accuracy against confidence, with 95 % Wilson intervals and the share of pictures in each bin.

    Args:
        curve: What :func:`emotion.metrics.reliability_curve` returns.
        path: Where to write a PNG; None writes nothing.
        ece: Expected calibration error, a fraction, for the heading.
        title: Heading.
    """
    filled = curve.counts > 0
    confidence, accuracy, counts = curve.confidence[filled], curve.accuracy[filled], curve.counts[filled]
    low, high = _wilson(accuracy, counts)
    with _figure(5.6, 6.2) as figure:
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
        upper.plot([0, 1], [0, 1], color=FAINT, linewidth=1, linestyle=(0, (4, 3)))
        upper.vlines(confidence, low, high, color=BLUE, alpha=0.35, linewidth=5)
        upper.plot(confidence, accuracy, color=BLUE, linewidth=1.2, marker="o", markersize=5, clip_on=False)
        upper.text(0.03, 0.96, "underconfident", color=FAINT, va="top")
        upper.text(0.97, 0.04, "overconfident", color=FAINT, ha="right")
        upper.set_ylim(0, 1)
        upper.set_ylabel("accuracy")
        lower.bar(
            curve.edges[:-1], curve.counts / curve.counts.sum(), np.diff(curve.edges), align="edge", color=BLUE,
            edgecolor="white", alpha=0.75,
        )  # fmt: skip
        lower.set_ylabel("pictures")
        lower.set_xlabel("confidence: the top emotion's probability")
        lower.set_xlim(0, 1)
        for axes in (upper, lower):
            axes.grid(True)
            axes.tick_params(length=0)
            axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
        lower.yaxis.set_major_locator(MaxNLocator(3))
        lower.xaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
        _heading(
            figure,
            title,
            f"Expected calibration error {100 * ece:.1f} %. On the dashed line, a confidence of 70 %\n"
            f"means 70 % right. Bars: 95 % intervals. {counts.sum():,} pictures.",
        )
        return _picture(figure, path)


def _wilson(share: NDArray[Any], n: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """95 % score interval of a proportion (Wilson 1927): sensible at 0, at 1 and for a handful of pictures."""
    z = 1.959964
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return centre - half, centre + half


# ------------------------------------------------------------------------------------------------------------ history

# Panel title, and for each column of history.csv its label and colour.
_PANELS: tuple[tuple[str, dict[str, tuple[str, str]]], ...] = (
    ("Loss", {"loss": ("training", FAINT), "val_loss": ("validation", BLUE)}),
    (
        "Scores",
        {
            "accuracy": ("training accuracy", FAINT),
            "val_accuracy": ("validation accuracy", BLUE),
            "val_macro_f1": ("validation macro-F1", ORANGE),
        },
    ),
    ("Learning rate", {"learning_rate": ("learning rate", GREEN)}),
)


def history(
    rows: Sequence[Mapping[str, Any]],
    path: Path | None,
    *,
    monitor: str,
    best_epoch: int | None,
    title: str = "Training",
) -> Picture:
    """Draw loss, scores and learning rate over the epochs, and mark the epoch whose checkpoint was kept.

    Args:
        rows: One mapping an epoch, as read from ``history.csv``: numbers or their text. Columns that are missing
            are left out, and so are values that are empty, NaN or infinite.
        path: Where to write a PNG; None writes nothing.
        monitor: The column that chose the checkpoint.
        best_epoch: That epoch, counted as in the column ``epoch``; None marks none.
        title: Heading.

    Raises:
        ValueError: There are no rows, or an epoch is not a number.
    """
    if not rows:
        raise ValueError("no rows: the history of a run with no finished epoch cannot be drawn")
    epochs = np.array([_number(row.get("epoch", i)) for i, row in enumerate(rows)])
    if np.isnan(epochs).any():
        raise ValueError("the column epoch holds something that is not a number")
    columns = {name: np.array([_number(row.get(name)) for row in rows]) for _, panel in _PANELS for name in panel}
    panels = [
        (heading, {name: look for name, look in panel.items() if np.isfinite(columns[name]).any()})
        for heading, panel in _PANELS
    ]
    panels = [(heading, panel) for heading, panel in panels if panel] or [("Nothing was recorded", {})]
    heights = [1 if heading == "Learning rate" else 2.2 for heading, _ in panels]
    with _figure(7.6, 0.9 + sum(heights)) as figure:
        grid = figure.subplots(len(panels), 1, sharex=True, squeeze=False, height_ratios=heights)
        for axes, (heading, panel) in zip(grid[:, 0], panels, strict=True):
            _panel(axes, heading, panel, epochs, columns, monitor, best_epoch)
        bottom = grid[-1, 0]
        bottom.set_xlabel("epoch")
        bottom.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        margin = max(0.03 * np.ptp(epochs), 0.5)
        bottom.set_xlim(epochs.min() - margin, epochs.max() + margin)
        _heading(figure, title, _best_note(epochs, columns, monitor, best_epoch))
        return _picture(figure, path)


def _number(value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return math.nan
    return number if math.isfinite(number) else math.nan


def _best_note(epochs: NDArray[Any], columns: Mapping[str, NDArray[Any]], monitor: str, best: int | None) -> str:
    if best is None:
        return f"{len(epochs)} epochs"
    values = columns[monitor][epochs == best] if monitor in columns else np.array([])
    if not len(values) or math.isnan(values[-1]):
        return f"The checkpoint is from epoch {best}, chosen by {monitor}."
    return f"The checkpoint is from epoch {best}, chosen by {monitor}: {values[-1]:.4g}."


def _panel(
    axes: Axes,
    heading: str,
    panel: Mapping[str, tuple[str, str]],
    epochs: NDArray[Any],
    columns: Mapping[str, NDArray[Any]],
    monitor: str,
    best: int | None,
) -> None:
    if best is not None:
        axes.axvline(best, color=INK, linewidth=0.8, linestyle=(0, (2, 2)))
    for name, (label, colour) in panel.items():
        # A line through one epoch is invisible, so short histories show their points.
        axes.plot(
            epochs, columns[name], color=colour, linewidth=1.6, label=label, marker="o",
            markersize=3.5 if len(epochs) <= 12 else 0,
        )  # fmt: skip
        if name == monitor and best is not None:
            at = epochs == best
            axes.plot(
                epochs[at], columns[name][at], color=colour, marker="o", markersize=7, markeredgecolor="white",
                linestyle="none",
            )  # fmt: skip
    axes.set_title(heading, loc="left", fontsize=9.5, fontweight="bold")
    if len(panel) > 1:
        axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncol=len(panel), fontsize=8.5, borderaxespad=0.2)
    if heading == "Scores":
        axes.yaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
    if heading == "Learning rate":
        axes.set_ylim(bottom=0)
    axes.grid(True)
    axes.tick_params(length=0)


# -------------------------------------------------------------------------------------------------------- contact sheet

_TILE = 112  # pixels a side that tiles aim at
_GAP = 8


def image_grid(
    images: NDArray[np.uint8], path: Path | None, *, titles: Sequence[str] | None = None, columns: int = 8
) -> Picture:
    """Lay pictures out on a white sheet, row by row, with a word above each.

    Small pictures are enlarged by a whole factor without smoothing, so that every pixel can be seen.

    Args:
        images: uint8 ``[N, H, W]`` or ``[N, H, W, 1]`` grey, or ``[N, H, W, 3]`` RGB.
        path: Where to write a PNG; None writes nothing.
        titles: N words; None writes none. Words wider than their picture are cut.
        columns: Pictures in a row, at most.

    Raises:
        ValueError: No images, another shape or dtype, or a number of titles that does not fit.
    """
    shape = list(images.shape)
    if images.dtype != np.uint8 or images.ndim not in (3, 4) or (images.ndim == 4 and shape[3] not in (1, 3)):
        raise ValueError(f"images are {images.dtype} {shape}, must be uint8 [N, H, W] or [N, H, W, 1 or 3]")
    if not images.size or columns < 1:
        raise ValueError(f"nothing to lay out: images have shape {shape}, columns is {columns}")
    if titles is not None and len(titles) != len(images):
        raise ValueError(f"{len(titles)} titles for {len(images)} images")
    tiles = [_tile(image) for image in images]
    height, width = tiles[0].shape[:2]
    band = 0 if titles is None else 20
    columns = min(columns, len(tiles))
    rows = math.ceil(len(tiles) / columns)
    step_y, step_x = height + band + _GAP, width + _GAP
    sheet = np.full((rows * step_y + _GAP, columns * step_x + _GAP, 3), 255, np.uint8)
    corners = [(_GAP + i // columns * step_y + band, _GAP + i % columns * step_x) for i in range(len(tiles))]
    for tile, (top, left) in zip(tiles, corners, strict=True):
        sheet[top : top + height, left : left + width] = tile
    with _figure(sheet.shape[1] / _DPI, sheet.shape[0] / _DPI) as figure:
        figure.set_layout_engine("none")
        figure.figimage(sheet)
        for title, (top, left) in zip(titles or (), corners, strict=False):
            text = figure.text(left / sheet.shape[1], 1 - (top - 5) / sheet.shape[0], title, fontsize=8.5)
            while text.get_window_extent().width > width and title:
                title = title[:-1]
                text.set_text(f"{title.rstrip()}…")
        return _picture(figure, path)


def _tile(image: Picture) -> Picture:
    """RGB ``[h, w, 3]`` with its longer side near :data:`_TILE`: enlarged by repetition, or shrunk by area."""
    rgb = np.broadcast_to(image.reshape(*image.shape[:2], -1), (*image.shape[:2], 3))
    longer = max(rgb.shape[:2])
    if longer > _TILE:
        height, width = (max(1, round(side * _TILE / longer)) for side in rgb.shape[:2])
        return resize(np.ascontiguousarray(rgb), height, width, "area")
    factor = max(1, round(_TILE / longer))
    return rgb.repeat(factor, axis=0).repeat(factor, axis=1)
