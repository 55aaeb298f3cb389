"""From a run or an export to a classifier.

A run is classified with by LiteRT where there is an export or one can be made, by Keras where that is asked for; an
export by what its format needs.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from emotion import runs
from emotion.base.errors import UserError, did_you_mean
from emotion.base.interrupts import sigterm_raises
from emotion.inference.classifier import Classifier
from emotion.inference.litert import NO_EXPORT, NoExportError
from emotion.inference.runtimes import UnreadableModelError
from emotion.runs import exports
from emotion.runs.exports import Exported

log = logging.getLogger(__name__)

ENGINES = ("auto", "litert", "keras")

#: A process that was asked to stop has this long before it is killed.
_SECONDS_TO_STOP = 5.0


def find(name: Any, outputs: str | Path) -> runs.Run | Exported:
    """The run or the export that a person means.

    See :func:`emotion.runs.resolve` and :func:`emotion.runs.exports.find`.

    Raises:
        UserError: Neither answers to that name.
    """
    return exports.find(name, outputs) or runs.resolve(name, outputs)


def load(run: runs.Run | Exported, engine: str = "auto", threads: int = 1) -> Classifier:
    """Open a run's best checkpoint, or an export, for classification.

    An export is run by what its format needs, and must be the file that ``report.json`` tells of. One whose run has
    another best checkpoint by now is used with a warning. For a run:

    ``litert`` uses ``model.tflite``; where that is missing, stale or damaged, a process of its own makes it anew from
    ``best.keras`` and compares the two, since that imports TensorFlow. Where the run's folder cannot be written to, or
    stays as it was published, the export is a temporary file. ``auto`` does the same, and goes on with ``keras`` where
    LiteRT cannot run the model. ``keras`` imports TensorFlow here: 600 MB and some seconds more.

    Args:
        run: From :func:`find`.
        engine: ``auto``, ``litert`` or ``keras``; of no use to an export.
        threads: CPU threads for the model; see :class:`emotion.inference.classifier.Classifier`.

    Raises:
        UserError: An engine that there is not, a run without a checkpoint, a damaged one, a model that disagrees with
            its contract, an export that is needed and cannot be made, or a package that is missing.
    """
    if engine not in ENGINES:
        raise UserError(f"engine: '{engine}' is not one of {', '.join(ENGINES)}.{did_you_mean(engine, ENGINES)}")
    try:
        return _load_export(run, engine, threads) if isinstance(run, Exported) else _load(run, engine, threads)
    except OSError as error:
        raise UserError(f"{error.filename or run.path}: cannot be read ({error.strerror})") from None


def _load_export(export: Exported, engine: str, threads: int) -> Classifier:
    if engine not in ("auto", export.format):
        raise UserError(f"engine: {engine} does not run {export.id}; leave engine out, an export's format says it")
    export.check()
    if export.is_stale():
        log.warning(
            "%s is of an older checkpoint than run %s has now. Export again: %s",
            export.id, export.report["run"], export.command(),
        )  # fmt: skip
    return Classifier(export.model, export.contract(), threads)


def _load(run: runs.Run, engine: str, threads: int) -> Classifier:
    _say_if_unfinished(run)
    if engine == "keras":
        return Classifier(run.checkpoint(), run.contract(), threads)
    try:
        return _litert(run, threads)
    except NoExportError as error:
        if engine == "litert":
            raise UserError(f"{error}. Set engine=keras to use the checkpoint itself") from None
        log.warning("%s. Using the checkpoint itself (engine=keras), which starts slower and takes more memory", error)
    return Classifier(run.checkpoint(), run.contract(), threads)


def _say_if_unfinished(run: runs.Run) -> None:
    record = run.record()
    if record.status == "done" or not run.has_best:
        return
    state = {"running": "is still training", "interrupted": "was interrupted"}.get(record.status, "has failed")
    at = f" (epoch {record.epoch})" if record.epoch else ""
    best = f", of epoch {record.best_epoch}" if record.best_epoch else ""
    log.warning("run %s %s%s; using its best checkpoint so far%s", run.id, state, at, best)


def _litert(run: runs.Run, threads: int) -> Classifier:
    contract, path = run.contract(), run.path / "model.tflite"
    fault = run.tflite_fault()
    if fault is None:
        try:
            return Classifier(path, contract, threads)
        except UnreadableModelError:
            fault = "is damaged"
    if path.is_file() and not run.has_best:
        raise UserError(f"{path}: {fault}, and the run has no checkpoint to make it from; restore one of the two")
    run.checkpoint()
    if importlib.util.find_spec("tensorflow") is None:
        other = f"make it elsewhere: python -m emotion.evaluate run={run.id} split=validation"
        raise UserError(
            f"run {run.id}: model.tflite {fault}, and making it needs TensorFlow, which is not installed here. "
            f"pip install tensorflow, or {'restore it as it was published' if run.elsewhere else other}"
        )
    if run.elsewhere is None and _is_writable(run.path):
        log.warning("run %s: model.tflite %s; exporting the best checkpoint (about 10 s, once)", run.id, fault)
        _export(run)
        return Classifier(path, contract, threads)
    why = "stays as it was published" if run.elsewhere else "cannot be written to"
    log.warning(
        "run %s: model.tflite %s, and its folder %s; exporting the best checkpoint into a temporary file (about 10 s, "
        "each time)", run.id, fault, why,
    )  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="emotion-") as folder:
        temporary = Path(folder) / path.name
        _export(run, temporary)
        return Classifier(temporary, contract, threads)  # an open file outlives its name


def _is_writable(folder: Path) -> bool:
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _export(run: runs.Run, destination: Path | None = None) -> None:
    """Export in a process of its own.

    Raises:
        NoExportError: It says that there can be no export, or it dies.
        UserError: It says what else is wrong with the run.
    """
    # -P and the path: our own package, whatever lies in the working directory.
    package = str(Path(__file__).resolve().parents[2])
    paths = os.pathsep.join(filter(None, (package, os.environ.get("PYTHONPATH"))))
    command = [sys.executable, "-P", "-m", "emotion.inference.litert", str(run.path.absolute())]
    with _signals_raise():
        process = subprocess.Popen(
            [*command, str(destination)] if destination else command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env=os.environ | {"PYTHONPATH": paths},
            start_new_session=True,  # Ctrl-C is for us; we pass it on
        )
        try:
            _, errors = process.communicate()
        finally:
            _stop(process)
    if process.returncode == 0:
        return
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    said = next((line.removeprefix("error: ") for line in reversed(lines) if line.startswith("error: ")), None)
    if said is not None and process.returncode != NO_EXPORT:
        raise UserError(said)
    if said is None:
        ended = f"killed by signal {-process.returncode}" if process.returncode < 0 else (lines or ["no message"])[-1]
        said = f"run {run.id}: exporting its checkpoint failed ({ended})"
    raise NoExportError(said)


def _stop(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(_SECONDS_TO_STOP)
        process.kill()
        process.wait()
    if process.stderr is not None:
        process.stderr.close()


@contextmanager
def _signals_raise() -> Iterator[None]:
    """Let SIGINT and SIGTERM end the wait at once, even where the loop has made them a flag for between frames."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with sigterm_raises():
            yield
    finally:
        signal.signal(signal.SIGINT, before)
