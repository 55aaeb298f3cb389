"""Open a run or an export as a classifier.

A run's model is run by LiteRT where it has an export or one can be made, by Keras where that is asked for; an export by
the runtime of its format.
"""

from __future__ import annotations

import importlib.util
import logging
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from emotion import runs
from emotion.base import files, processes
from emotion.base.errors import UserError, did_you_mean
from emotion.base.interrupts import sigterm_raises
from emotion.inference import priors
from emotion.inference.classifier import Classifier
from emotion.inference.convert import NoExportError
from emotion.inference.litert import NO_EXPORT
from emotion.inference.runtimes import UnreadableModelError
from emotion.runs import exports
from emotion.runs.exports import Exported

log = logging.getLogger(__name__)

ENGINES = ("auto", "litert", "keras")

#: A process that was asked to stop has this long before it is killed.
_SECONDS_TO_STOP = 5.0


def find(name: Any, outputs: str | Path) -> runs.Run | Exported:
    """The run or export of that name; see :func:`emotion.runs.resolve` and :func:`emotion.runs.exports.find`.

    Raises:
        UserError: There is neither.
    """
    return exports.find(name, outputs) or runs.resolve(name, outputs)


def load(run: runs.Run | Exported, engine: str = "auto", threads: int = 1, prior: Any = None) -> Classifier:
    """Open a run's best checkpoint, or an export, for classification.

    An export must be the file that its ``report.json`` records, and is run by the runtime of its format, with a warning
    if its run has another best checkpoint now; ``engine`` is ``auto`` or that format. For a run:

    ``litert`` uses ``model.tflite``; if that is missing, stale or damaged, a separate process, which imports
    TensorFlow, regenerates it from ``best.keras`` and compares the two. The export is a temporary file where the run's
    folder is read-only or published. ``auto`` does the same, and falls back to ``keras`` where LiteRT cannot run it.
    ``keras`` imports TensorFlow here: 600 MB and some seconds more.

    Args:
        prior: The class prior to answer for; see :func:`emotion.inference.priors.contract`.

    Raises:
        UserError: An unknown engine, a run without a checkpoint, a damaged one, a model that disagrees with its
            contract, an export that is needed and cannot be made, or a missing package.
    """
    if engine not in ENGINES:
        raise UserError(f"engine: '{engine}' is not one of {', '.join(ENGINES)}.{did_you_mean(engine, ENGINES)}")
    try:
        contract = priors.contract(run, prior)
        export = isinstance(run, Exported)
        classifier = _load_export(run, engine, threads) if export else _load(run, engine, threads)  # type: ignore[arg-type]
        classifier.contract = contract
        return classifier
    except OSError as error:
        raise UserError(f"{error.filename or run.path}: cannot be read ({error.strerror})") from None


def _load_export(export: Exported, engine: str, threads: int) -> Classifier:
    if engine not in ("auto", export.format):
        raise UserError(f"engine: {engine} does not run {export.id}; leave engine out, the export's format sets it")
    export.check()
    if export.is_stale():
        log.warning(
            "%s is of an older checkpoint than run %s has now. Export again: %s",
            export.id, export.report["run"], export.command(),
        )  # fmt: skip
    return Classifier(export.model, export.contract(), threads)


def _load(run: runs.Run, engine: str, threads: int) -> Classifier:
    _warn_if_unfinished(run)
    if run.ready_made is not None:
        if engine == "keras" or (engine == "litert" and run.ready_made.suffix == ".onnx"):
            raise UserError(f"engine: {engine} does not run {run.ready_made.name} of run {run.id}; leave engine out")
        return Classifier(run.ready_made, run.contract(), threads)
    if engine != "keras":
        try:
            return _litert(run, threads)
        except NoExportError as error:
            if engine == "litert":
                raise UserError(f"{error}. Set engine=keras to use the checkpoint itself") from None
            log.warning("%s. Using the checkpoint itself (engine=keras): slower to start, needs more memory", error)
    return Classifier(run.checkpoint(), run.contract(), threads)


def _warn_if_unfinished(run: runs.Run) -> None:
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
        other = f"make it on another machine: python -m emotion.evaluate run={run.id} split=validation"
        raise UserError(
            f"run {run.id}: model.tflite {fault}, and making it needs TensorFlow, which is not installed here. "
            f"pip install tensorflow, or {'restore it as it was published' if run.elsewhere else other}"
        )
    if run.elsewhere is None and _is_writable(run.path):
        log.warning("run %s: model.tflite %s; exporting the best checkpoint (about 10 s, once)", run.id, fault)
        _export(run)
        return Classifier(path, contract, threads)
    why = "is published and read-only" if run.elsewhere else "cannot be written to"
    log.warning(
        "run %s: model.tflite %s, and its folder %s; exporting the best checkpoint into a temporary file (about 10 s, "
        "each time)", run.id, fault, why,
    )  # fmt: skip
    with files.temporary_folder() as folder:
        temporary = folder / path.name
        _export(run, temporary)
        return Classifier(temporary, contract, threads)  # an open file outlives its name


def _is_writable(folder: Path) -> bool:
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _export(run: runs.Run, destination: Path | None = None) -> None:
    """Export in a separate process.

    Raises:
        NoExportError: It reports that there can be no export, or it dies.
        UserError: It reports another fault of the run.
    """
    line, environment = processes.module(
        "emotion.inference.litert", run.path.absolute(), *([destination] if destination else [])
    )
    with _signals_raise():
        process = subprocess.Popen(
            line,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env=environment,
            start_new_session=True,  # Ctrl-C is for us; we pass it on
        )
        try:
            _, errors = process.communicate()
        finally:
            _stop(process)
    if process.returncode == 0:
        return
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    reported = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    if reported and process.returncode != NO_EXPORT:
        raise UserError(reported[-1])
    ended = f"killed by signal {-process.returncode}" if process.returncode < 0 else (lines or ["no message"])[-1]
    raise NoExportError(reported[-1] if reported else f"run {run.id}: exporting its checkpoint failed ({ended})")


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
    """Let SIGINT and SIGTERM end the wait at once, also where the loop's handlers only set a flag."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with sigterm_raises():
            yield
    finally:
        signal.signal(signal.SIGINT, before)
