"""From a run to a classifier, with real checkpoints, real exports and the processes that make them."""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import psutil
import pytest

from emotion import runs
from emotion.base import files
from emotion.base.errors import UserError
from emotion.data import synthetic
from emotion.faces import images
from emotion.faces.contract import Contract
from emotion.inference import engines
from emotion.inference.classifier import Classifier
from emotion.runs import status
from tests.helpers.tiers import rest_nightly

pytestmark = pytest.mark.slow

TOLERANCE = 1e-4
REPOSITORY = Path(__file__).resolve().parents[2]

_LOAD = (
    "import sys\n"
    "from emotion import runs\n"
    "from emotion.base.errors import UserError\n"
    "from emotion.inference import engines\n"
    "try: classifier = engines.load(runs.resolve(sys.argv[1], '.'), sys.argv[2])\n"
    "except UserError as error: sys.exit(f'error: {error}')\n"
    "classifier.warm_up()\n"
    "print(classifier.engine, 'tensorflow' in sys.modules)\n"
)


@pytest.fixture
def run(models, outputs: Path, tmp_path: Path) -> runs.Run:
    """A copy of the grey model's run, as training leaves it, but without an export."""
    shutil.copytree(outputs / "gray", tmp_path / "runs" / "gray")
    (tmp_path / "runs" / "gray" / "model.tflite").unlink()
    return runs.Run(tmp_path / "runs" / "gray", "gray")


@pytest.fixture(autouse=True)
def temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No export leaves anything behind, wherever temporary files go."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    yield
    assert list(folder.iterdir()) == []


@pytest.fixture(scope="module")
def pictures() -> list[images.Image]:
    return [synthetic.picture(1, number, 64, 1.0) for number in range(14)]


def _says(classifier: Classifier, pictures: list[images.Image]) -> np.ndarray:
    return classifier.classify(pictures)


def _keras_says(run: runs.Run, pictures: list[images.Image]) -> np.ndarray:
    return _says(engines.load(run, "keras"), pictures)


def _names(run: runs.Run) -> set[str]:
    return {p.name for p in run.path.iterdir()}


def _start(run: runs.Run, engine: str = "auto", code: str = _LOAD, prefix: Sequence[str] = ()) -> subprocess.Popen[str]:
    command = [*prefix, sys.executable, "-c", code, str(run.path), engine]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def _other_checkpoint(run: runs.Run, seed: int) -> None:
    """Put a model with other weights in the place of the best checkpoint, as training does."""
    import keras

    model = keras.saving.load_model(run.checkpoint(), compile=False)
    rng = np.random.default_rng(seed)
    model.set_weights([w + rng.normal(0, 0.1, w.shape) for w in model.get_weights()])
    model.save(run.path / "other.keras")
    (run.path / "other.keras").replace(run.checkpoint())


def test_a_missing_export_is_made_once(run: runs.Run, pictures, caplog: pytest.LogCaptureFixture) -> None:
    classifier = engines.load(run)
    assert classifier.engine == "litert"
    assert [r.message for r in caplog.records if r.name.startswith("emotion")] == [
        "run gray: model.tflite is not there yet; exporting the best checkpoint (about 10 s, once)"
    ]
    made = run.record().tflite
    assert made["checkpoint"] == files.sha256(run.checkpoint())
    assert made["sha256"] == files.sha256(run.tflite())
    assert made["max_difference"] <= TOLERANCE
    assert made["compared_on"] == "drawn faces"  # this run names no data
    assert _names(run) == {"run.json", "contract.json", "checkpoints", "model.tflite"}
    assert (run.tflite().stat().st_mode & 0o777) == 0o644
    said = _says(classifier, pictures)
    assert np.ptp(said, axis=0).max() > 0.01
    np.testing.assert_allclose(said, _keras_says(run, pictures), rtol=0, atol=TOLERANCE)
    before = run.tflite().stat()
    caplog.clear()
    engines.load(run)
    assert not caplog.records
    assert run.tflite().stat() == before


def test_a_trained_runs_export_is_compared_on_its_own_data(trained: runs.Run, tmp_path: Path, pictures) -> None:
    shutil.copytree(trained.path, tmp_path / "copy")
    run = runs.Run(tmp_path / "copy", "copy")
    (run.path / "model.tflite").unlink()
    classifier = engines.load(run)
    assert run.record().tflite["compared_on"] == "validation split"
    np.testing.assert_allclose(_says(classifier, pictures), _keras_says(run, pictures), rtol=0, atol=TOLERANCE)


def test_a_stale_export_is_made_anew(models, outputs: Path, run: runs.Run, pictures, caplog) -> None:
    shutil.copy(outputs / "gray" / "model.tflite", run.path)
    assert run.tflite_fault() is None
    old = _says(engines.load(run), pictures)
    _other_checkpoint(run, 1)
    new = _says(engines.load(run), pictures)
    assert "is of an older checkpoint; exporting" in caplog.text
    np.testing.assert_allclose(new, _keras_says(run, pictures), rtol=0, atol=TOLERANCE)
    assert np.abs(new - old).max() > 10 * TOLERANCE


@pytest.mark.parametrize("recorded", [True, False])
def test_a_truncated_export_is_made_anew(models, outputs: Path, run: runs.Run, recorded: bool, caplog) -> None:
    """Also where the run is older than the record of its export's hash."""
    path = run.path / "model.tflite"
    whole = (outputs / "gray" / "model.tflite").read_bytes()
    path.write_bytes(whole)
    if recorded:
        runs.update(run, tflite=run.record().tflite | {"sha256": files.sha256(path)})
    assert run.tflite_fault() is None
    path.write_bytes(whole[: len(whole) // 2])
    assert engines.load(run).engine == "litert"
    assert "damaged" in caplog.text
    assert run.tflite_fault() is None


def test_an_export_alone_serves_where_it_is_whole(models, outputs: Path, run: runs.Run) -> None:
    shutil.copy(outputs / "gray" / "model.tflite", run.path)
    (run.path / "checkpoints" / "best.keras").unlink()
    assert engines.load(run).engine == "litert"
    (run.path / "model.tflite").write_bytes(b"gone")
    with pytest.raises(UserError, match=r"model\.tflite: is damaged, and the run has no checkpoint"):
        engines.load(run)


def test_a_run_that_still_trains_gives_its_best_so_far(run: runs.Run, caplog: pytest.LogCaptureFixture) -> None:
    with status.recorded(run):
        runs.update(run, epoch=3, best_epoch=2)
        assert engines.load(run).engine == "litert"
        assert run.record().status == "running"
        assert run.record().tflite["checkpoint"] == files.sha256(run.checkpoint())
    assert "run gray is still training (epoch 3); using its best checkpoint so far, of epoch 2" in caplog.text
    assert run.record().status == "done"


@pytest.mark.parametrize("engine", engines.ENGINES)
def test_a_run_before_its_first_checkpoint_says_what_to_wait_for(run: runs.Run, engine: str) -> None:
    run.checkpoint().unlink()
    with (
        status.recorded(run),
        pytest.raises(UserError, match=r"\(running\) has no best checkpoint; wait for its first"),
    ):
        engines.load(run, engine)


@pytest.mark.nightly
def test_a_checkpoint_replaced_while_it_is_exported_does_no_harm(run: runs.Run, pictures, tmp_path: Path) -> None:
    candidates, expected = {}, {}
    for seed in range(2):
        _other_checkpoint(run, seed)
        digest = files.sha256(run.checkpoint())
        candidates[digest] = run.checkpoint().read_bytes()
        expected[digest] = _keras_says(run, pictures)
    command = [sys.executable, "-m", "emotion.inference.litert", str(run.path)]
    process = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    turn = 0
    while process.poll() is None:
        (run.path / "next.keras").write_bytes(list(candidates.values())[turn % 2])
        (run.path / "next.keras").replace(run.checkpoint())
        turn += 1
    out, err = process.communicate()
    assert process.returncode == 0, err
    assert turn > 100
    told = [line for line in err.splitlines() if not line.startswith(("loading ", "converting "))]  # a slow machine
    assert (out, told) == ("", [])
    found = run.record().tflite["checkpoint"]
    said = _says(Classifier(run.path / "model.tflite", run.contract()), pictures)
    np.testing.assert_allclose(said, expected[found], rtol=0, atol=TOLERANCE)


@pytest.mark.nightly
def test_two_that_start_at_once_share_one_export(run: runs.Run) -> None:
    processes = [_start(run) for _ in range(2)]
    for process in processes:
        out, err = process.communicate(timeout=200)
        assert process.returncode == 0, err
        assert out == "litert False\n"
    assert run.tflite_fault() is None
    assert _names(run) == {"run.json", "contract.json", "checkpoints", "model.tflite"}


def _without_roots_powers() -> list[str]:
    """What to start a command with, so that a folder's permissions count for root too."""
    if os.geteuid() != 0:
        return []
    if shutil.which("setpriv") is None:
        pytest.skip("root may write anywhere, and there is no setpriv here to give that up")
    return ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]


def test_a_folder_that_cannot_be_written_to(run: runs.Run) -> None:
    """Somebody else's run: the export is a temporary file, and the folder stays as it is."""
    folders = [run.path, run.path / "checkpoints"]
    before = {p: p.stat().st_mtime_ns for p in run.path.rglob("*")}
    for folder in folders:
        folder.chmod(0o555)
    try:
        process = _start(run, prefix=_without_roots_powers())
        out, err = process.communicate(timeout=200)
    finally:
        for folder in folders:
            folder.chmod(0o755)
    assert (process.returncode, out) == (0, "litert False\n"), err
    assert "its folder cannot be written to; exporting the best checkpoint into a temporary file" in err
    assert {p: p.stat().st_mtime_ns for p in run.path.rglob("*")} == before


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_while_exporting_ends_it(run: runs.Run, number: int, code: int) -> None:
    """Also where handlers are in place that only note the signal, as the loop's do."""
    command = (
        "import signal, sys\n"
        "from emotion.base import exits; from emotion import runs\n"
        "from emotion.inference import engines\n"
        "for number in (signal.SIGINT, signal.SIGTERM): signal.signal(number, lambda *_: None)\n"
        "with exits.exit_codes(): engines.load(runs.resolve(sys.argv[1], '.'))\n"
    )
    process = _start(run, code=command)
    children: list[psutil.Process] = []
    while process.poll() is None and not children:
        children = psutil.Process(process.pid).children()
        time.sleep(0.05)
    time.sleep(1)  # into the import of TensorFlow
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    assert "Traceback" not in err
    assert not [child for child in children if child.is_running()]
    assert _names(run) == {"run.json", "contract.json", "checkpoints"}


def _put(run: runs.Run, model) -> None:
    model.save(run.checkpoint())


def _rounding(contract: Contract):
    """A model whose answers are nothing but rounding: the difference of one sum taken in two orders, magnified."""
    import keras

    rng = np.random.default_rng(0)
    image = keras.Input(contract.shape, dtype="uint8")
    x = keras.layers.Rescaling(1 / 127.5, offset=-1)(image)
    one, other = (keras.layers.Dense(7, use_bias=False) for _ in range(2))
    a, b = (one(keras.layers.Flatten()(x)), other(keras.layers.Flatten()(keras.layers.Permute((2, 1, 3))(x))))
    kernel = rng.normal(size=(contract.height, contract.width, 7)).astype(np.float32)
    one.set_weights([kernel.reshape(-1, 7)])
    other.set_weights([kernel.transpose(1, 0, 2).reshape(-1, 7)])
    logits = keras.layers.Rescaling(1e6)(keras.layers.Subtract()([a, b]))
    return keras.Model(image, keras.layers.Softmax()(logits))


def _beyond_litert(contract: Contract):
    """A model with an operation that LiteRT does not have."""
    import keras

    image = keras.Input(contract.shape, dtype="uint8")
    x = keras.layers.Rescaling(1 / 127.5, offset=-1)(image)
    x = keras.layers.Flatten()(keras.layers.Resizing(24, 24, antialias=True)(x))
    return keras.Model(image, keras.layers.Dense(7, activation="softmax")(x))


@pytest.mark.parametrize(
    ("build", "message"),
    rest_nightly(
        [
            (_rounding, "its LiteRT export differs from the checkpoint by"),
            (_beyond_litert, "its model cannot be converted to litert"),
        ]
    ),
)
def test_a_model_without_an_equal_export_goes_to_keras(
    run: runs.Run, build, message: str, caplog: pytest.LogCaptureFixture
) -> None:
    _put(run, build(run.contract()))
    before = run.record()
    with pytest.raises(UserError, match=rf"{message}.*Set engine=keras"):
        engines.load(run, "litert")
    caplog.clear()
    assert engines.load(run).engine == "keras"
    assert message in caplog.text
    assert run.record() == before
    assert _names(run) == {"run.json", "contract.json", "checkpoints"}


def test_a_damaged_checkpoint_is_told_by_its_own_name(run: runs.Run) -> None:
    path = run.checkpoint()
    path.write_bytes(path.read_bytes()[:1000])
    for engine in engines.ENGINES:
        with pytest.raises(UserError) as caught:
            engines.load(run, engine)
        assert str(caught.value).startswith(f"{path}: damaged, not a whole Keras checkpoint")


def test_a_contract_of_another_model_is_refused_by_both(run: runs.Run) -> None:
    Contract(48, 48, labels=("happy", "sad")).save(run.path / "contract.json")
    for engine in ("keras", "auto"):
        with pytest.raises(UserError) as caught:
            engines.load(run, engine)
        assert str(caught.value).startswith(f"{run.checkpoint()}: its output is float32 ['N', 7], but contract.json")
    Contract(64, 64).save(run.path / "contract.json")
    with pytest.raises(UserError, match=r"its input is uint8 \['N', 48, 48, 1\], but contract.json"):
        engines.load(run, "keras")


def test_a_path_near_a_run_is_told_which_folder_to_name(run: runs.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for inside in (run.checkpoint(), run.path / "contract.json", run.path / "checkpoints"):
        with pytest.raises(UserError, match=f"is inside a run; name the run's own folder: run={run.path}$"):
            runs.resolve(inside, run.path.parent)
    monkeypatch.setenv("HOME", str(run.path.parent.parent))
    assert runs.resolve("~/runs/gray", "elsewhere").path == run.path
    with pytest.raises(UserError, match=rf"'{run.path.parent}' is a folder but no run's.* below it are {run.path}$"):
        runs.resolve(run.path.parent, run.path.parent)
    shutil.copytree(run.path, run.path.parent / "grass")
    with pytest.raises(UserError, match=r"'gra' fits 2 runs \(grass, gray\); write more of the one you mean"):
        runs.resolve("gra", run.path.parent)


def test_an_unknown_engine_is_refused(run: runs.Run) -> None:
    with pytest.raises(UserError, match=r"engine: 'lite' is not one of auto, litert, keras\. Did you mean 'litert'"):
        engines.load(run, "lite")


def test_keras_and_litert_say_the_same(models, outputs: Path, pictures) -> None:
    for name in ("gray", "rgb"):
        run = runs.Run(outputs / name, name)
        by_litert, by_keras = (engines.load(run, engine) for engine in ("litert", "keras"))
        assert (by_litert.engine, by_keras.engine) == ("litert", "keras")
        by_keras.warm_up()
        crowd = pictures * 3
        np.testing.assert_allclose(_says(by_litert, crowd), _says(by_keras, crowd), rtol=0, atol=TOLERANCE)
        assert _says(by_keras, []).shape == (0, 7)


def test_a_machine_without_tensorflow(models, outputs: Path, run: runs.Run) -> None:
    code = "import sys\nsys.modules['tensorflow'] = None\n" + _LOAD
    shown = []
    for chosen, engine in ((runs.Run(outputs / "gray", "gray"), "auto"), (run, "auto"), (run, "keras")):
        process = _start(chosen, engine, code)
        out, err = process.communicate(timeout=60)
        assert "Traceback" not in err
        shown.append((process.returncode, out.partition(" ")[0], err))
    assert shown[0][:2] == (0, "litert"), shown
    assert shown[1][0] == shown[2][0] == 1
    assert "model.tflite is not there yet, and making it needs TensorFlow, which is not installed" in shown[1][2]
    assert "engine=keras needs TensorFlow, which cannot be imported here" in shown[2][2]
    assert "Set engine=litert" in shown[2][2]


def test_the_notice_reaches_people_who_set_no_logging_up(run: runs.Run) -> None:
    assert logging.getLogger(engines.__name__).getEffectiveLevel() <= logging.WARNING
    process = _start(run, "litert")
    _, err = process.communicate(timeout=200)
    assert err == "run runs/gray: model.tflite is not there yet; exporting the best checkpoint (about 10 s, once)\n"
    assert json.loads((run.path / "run.json").read_text())["tflite"]["sha256"]
