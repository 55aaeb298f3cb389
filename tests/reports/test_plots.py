from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from emotion import metrics
from emotion.faces.labels import EMOTIONS
from emotion.metrics.proportions import wilson
from emotion.reports.evaluation import confusion_matrix, reliability
from emotion.reports.sheet import image_grid
from emotion.reports.training import history as plot_history


def _decoded(path: Path) -> np.ndarray:
    data = path.read_bytes()
    assert len(data) < 200_000
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return image[..., ::-1]


def _good(path: Path, picture: np.ndarray, smallest: int = 300, largest: int = 1000) -> None:
    """The PNG is what was returned, is of a size for a web page, and shows more than a blank sheet."""
    assert picture.dtype == np.uint8
    np.testing.assert_array_equal(_decoded(path), picture)
    assert smallest <= min(picture.shape[:2])
    assert max(picture.shape[:2]) <= largest
    assert (picture != 255).any(axis=2).mean() > 0.005


def _matrix() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 60, (7, 7)) + 300 * np.eye(7, dtype=int)


def _empty_rows() -> np.ndarray:
    matrix = _matrix()
    matrix[[1, 4]] = 0
    return matrix


@pytest.mark.slow
@pytest.mark.parametrize(
    "matrix",
    [_matrix(), _empty_rows(), np.zeros((7, 7), int), 1_234_567 * np.eye(7, dtype=int), _matrix().tolist()],
    ids=["usual", "empty rows", "nothing", "perfect", "lists"],
)
def test_confusion_matrix(matrix: Any, tmp_path: Path) -> None:
    _good(tmp_path / "m.png", confusion_matrix(matrix, tmp_path / "m.png", title="cnn on $1 and $2"))


def test_confusion_matrix_colours_rows_by_their_own_share() -> None:
    common, rare = np.diag([9000, 10]), np.array([[0, 9000], [10, 0]])
    right = confusion_matrix(common, None, names=("a", "b"))
    wrong = confusion_matrix(rare, None, names=("a", "b"))
    h, w = right.shape[:2]
    # A rare class that is always right is as dark as a common one.
    first, second = right[int(h * 0.25), int(w * 0.25)], right[int(h * 0.8), int(w * 0.85)]
    np.testing.assert_array_equal(first, second)
    assert first.mean() < 120
    assert wrong[int(h * 0.25), int(w * 0.25)].mean() > 250


def test_confusion_matrix_of_other_classes_and_wrong_shapes(tmp_path: Path) -> None:
    _good(tmp_path / "m.png", confusion_matrix([[3, 1], [0, 4]], tmp_path / "m.png", names=("a", "b")))
    with pytest.raises(ValueError, match="must be \\[7, 7\\]"):
        confusion_matrix([[1, 2], [3, 4]], None)


def _predictions(kind: str) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    y = rng.integers(0, 7, 500)
    return {
        "usual": (rng.dirichlet(np.full(7, 0.5), 500), y),
        "perfect": (np.eye(7)[y], y),
        "hopeless": (np.eye(7)[(y + 1) % 7], y),
        "undecided": (np.full((500, 7), 1 / 7), y),
        "one picture": (np.eye(7)[:1], np.array([0])),
    }[kind]


@pytest.mark.parametrize("kind", ["usual", "perfect", "hopeless", "undecided", "one picture"])
def test_reliability(kind: str, tmp_path: Path) -> None:
    curve = metrics.reliability_curve(*_predictions(kind))
    picture = reliability(curve, tmp_path / "r.png", ece=curve.expected_calibration_error, title=kind)
    _good(tmp_path / "r.png", picture)


def test_wilson_interval_is_the_published_one() -> None:
    # Newcombe (1998), table I, method 3: 81 of 263, 0 of 20, and 1 of 29.
    low, high = wilson([81, 0, 1], [263, 20, 29])
    np.testing.assert_allclose(low, [0.2553, 0, 0.0061], atol=5e-5)
    np.testing.assert_allclose(high, [0.3662, 0.1611, 0.1718], atol=5e-5)


def _rows(epochs: int) -> list[dict[str, Any]]:
    return [
        {
            "epoch": e,
            "loss": 2 / e,
            "accuracy": 1 - 0.8 / e,
            "val_loss": 2.2 / e,
            "val_accuracy": 0.7 - 0.5 / e,
            "val_macro_f1": 0.65 - 0.5 / e,
            "learning_rate": 1e-3 * (1 + math.cos(math.pi * e / epochs)) / 2,
            "seconds": 3.5,
        }
        for e in range(1, epochs + 1)
    ]


@pytest.mark.parametrize(
    "rows",
    [
        _rows(30),
        _rows(1),
        [{key: str(value) for key, value in row.items()} for row in _rows(5)],
        [{"epoch": e, "loss": 0.5, "learning_rate": 0.0} for e in range(1, 5)],
        [{"epoch": e, "loss": math.nan, "val_loss": math.inf, "accuracy": "", "val_accuracy": None} for e in (1, 2, 3)],
        [{"loss": 1.0}, {"loss": 0.5}],
    ],
    ids=["usual", "one epoch", "text", "constant", "diverged", "no epoch column"],
)
def test_history(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    picture = plot_history(rows, tmp_path / "h.png", monitor="val_macro_f1", best_epoch=1)
    _good(tmp_path / "h.png", picture)


@pytest.mark.slow
def test_history_marks_the_best_epoch() -> None:
    unmarked, early, late = (
        plot_history(_rows(10), None, monitor="val_loss", best_epoch=best)[150:-80] for best in (None, 2, 9)
    )
    for marked, low, high in ((early, 0.1, 0.3), (late, 0.8, 0.95)):
        darker = (marked.astype(int) - unmarked < -40).all(axis=2).mean(axis=0)  # share of each column's pixels
        assert low < darker.argmax() / len(darker) < high
        assert darker.max() > 0.3  # a dashed line from top to bottom


def test_history_needs_an_epoch() -> None:
    with pytest.raises(ValueError, match="no rows"):
        plot_history([], None, monitor="val_loss", best_epoch=None)
    with pytest.raises(ValueError, match="epoch holds"):
        plot_history([{"epoch": "first"}], None, monitor="val_loss", best_epoch=None)


@pytest.mark.parametrize("shape", [(5, 48, 48), (5, 48, 48, 1), (5, 48, 48, 3)])
def test_image_grid_repeats_every_pixel(shape: tuple[int, ...], tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    sheet = image_grid(images, tmp_path / "g.png", columns=3)
    np.testing.assert_array_equal(_decoded(tmp_path / "g.png"), sheet)
    step = 48 * 2 + 8
    assert sheet.shape == (2 * step + 8, 3 * step + 8, 3)
    for i in range(5):
        top, left = 8 + i // 3 * step, 8 + i % 3 * step
        tile = sheet[top : top + 96 : 2, left : left + 96 : 2]
        np.testing.assert_array_equal(tile, np.broadcast_to(images[i].reshape(48, 48, -1), (48, 48, 3)))
    assert (sheet[8 + step :, 8 + 2 * step :] == 255).all()  # the sixth place is empty


def test_image_grid_writes_a_word_above_each_picture() -> None:
    images = np.zeros((3, 64, 64), np.uint8)
    plain = image_grid(images, None, titles=["", "", ""], columns=2)
    worded = image_grid(images, None, titles=["happy", "", "a very long name indeed, much too long"], columns=2)
    assert plain.shape == worded.shape
    ink = (plain != worded).any(axis=2)
    assert ink[:28, :136].any()  # above the first
    assert not ink[:, 136:].any()  # nothing above the second, and the third's name is cut
    assert ink[156:184, :136].any()
    for top in (28, 184):
        assert not ink[top : top + 128].any()  # and never across a picture


def test_image_grid_shrinks_large_pictures() -> None:
    sheet = image_grid(np.zeros((2, 300, 600, 3), np.uint8), None)
    assert sheet.shape == (56 + 16, 2 * 112 + 24, 3)


@pytest.mark.parametrize(
    ("images", "titles", "message"),
    [
        (np.zeros((2, 8, 8)), None, "uint8"),
        (np.zeros((8, 8), np.uint8), None, "N, H, W"),
        (np.zeros((2, 8, 8, 4), np.uint8), None, "1 or 3"),
        (np.zeros((0, 8, 8), np.uint8), None, "nothing to lay out"),
        (np.zeros((2, 8, 8), np.uint8), ["one"], "1 titles for 2"),
    ],
)
def test_image_grid_refuses_what_it_cannot_lay_out(images: np.ndarray, titles: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        image_grid(images, None, titles=titles)


@pytest.mark.slow
def test_plots_leave_the_users_matplotlib_alone() -> None:
    import matplotlib

    before = dict(matplotlib.rcParams)
    with matplotlib.rc_context({"font.size": 30.0}):
        large = confusion_matrix(_matrix(), None, names=EMOTIONS)
        assert matplotlib.rcParams["font.size"] == 30.0
    np.testing.assert_array_equal(large, confusion_matrix(_matrix(), None, names=EMOTIONS))
    assert dict(matplotlib.rcParams) == before


@pytest.mark.slow
def test_plots_need_neither_pyplot_nor_tensorflow() -> None:
    import subprocess

    code = (
        "import sys; from emotion import metrics; from emotion.reports import evaluation; "
        "from emotion.inference import report; "
        "evaluation.confusion_matrix([[1, 0], [0, 1]], None, names='ab'); "
        "metrics.score([[0.5, 0.5]], [0], names='ab', bootstrap=2); "
        "print([m for m in ('matplotlib.pyplot', 'tensorflow', 'keras') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
