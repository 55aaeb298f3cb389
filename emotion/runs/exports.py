"""The kinds of export, with what they need and how far each may be from its checkpoint; and export folders.

An export's folder stands alone: the model, ``contract.json``, ``report.json`` and ``report.md``.
"""

from __future__ import annotations

import hashlib
import importlib.util
import shlex
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from emotion import runs
from emotion.base import files, guarded
from emotion.base.errors import UserError, did_you_mean
from emotion.faces.contract import Contract
from emotion.runs import finding

#: Each format's model, below the export's folder. TensorFlow Serving wants a number for a folder.
FILES = {"litert": "model.tflite", "onnx": "model.onnx", "saved_model": "model/1"}

#: The packages that make and check an ONNX file, and the extra that brings them.
ONNX = ("tf2onnx", "onnx", "onnxruntime")


@dataclass(frozen=True)
class Tolerance:
    """How far an export may be from its checkpoint on the validation split; None does not matter.

    Attributes:
        probability: Largest difference of any probability.
        accuracy: Largest difference of the accuracy, as a fraction, in either direction.
        changed_labels: Largest share of images whose most probable label changes: gains and losses of an undertrained
            network may cancel in its accuracy.
    """

    probability: float | None = None
    accuracy: float | None = None
    changed_labels: float | None = None


#: By quantisation: probabilities move, answers should not. Measured in docs/decisions/export-tolerances.md.
TOLERANCES: dict[str | None, Tolerance] = {
    None: Tolerance(probability=1e-4),
    "float16": Tolerance(probability=0.05, accuracy=0.005, changed_labels=0.005),
    "dynamic": Tolerance(accuracy=0.01, changed_labels=0.02),
    "int8": Tolerance(accuracy=0.01, changed_labels=0.02),
}


@dataclass(frozen=True)
class Kind:
    """A format and its quantisation: ``litert``, ``onnx`` or ``saved_model``; ``float16``, ``dynamic``, ``int8`` or
    None for float32."""

    format: str
    quantize: str | None = None

    @property
    def name(self) -> str:
        """What the export is called, such as ``litert-int8``."""
        return f"{self.format}-{self.quantize}" if self.quantize else self.format

    @property
    def precision(self) -> str:
        return self.quantize or "float32"

    def tolerance(self, override: Tolerance | None = None) -> Tolerance:
        """The tolerances of this kind, with those of ``override`` in place of its own."""
        given = {} if override is None else {k: v for k, v in vars(override).items() if v is not None}
        return replace(TOLERANCES[self.quantize], **given)

    def require(self) -> None:
        """Check that the packages which make this kind of export are installed, without importing them.

        Raises:
            UserError: Names what to install.
        """
        absent = [name for name in (ONNX if self.format == "onnx" else ()) if importlib.util.find_spec(name) is None]
        if absent:
            raise UserError(
                f"format=onnx needs {', '.join(absent)}, which {'are' if len(absent) > 1 else 'is'} not installed "
                f"here. pip install 'emotion[onnx]', or choose format=litert"
            )
        if importlib.util.find_spec("tensorflow") is None:
            raise UserError("exporting needs TensorFlow, which is not installed here. pip install tensorflow")


#: Where a run's exports are, below its folder.
FOLDER = "exports"
#: Added to the name of the folder that holds the report, and nothing else, of an export that is not equal.
FAILED = "-failed"

#: What the code reads of a report, by type.
_REPORT: dict[str, Any] = {"status": str, "run": str, "format": str, "checkpoint": dict[str, str], "sha256": str,
                           "quantize": str, "name": str, "latency_ms": dict[str, float | None]}  # fmt: skip

_RECORDS = ("contract.json", "report.json", "report.md")


@dataclass(frozen=True)
class Exported:
    """An export's folder and the content of its ``report.json``."""

    path: Path
    report: dict[str, Any]

    @property
    def format(self) -> str:
        return str(self.report["format"])

    @property
    def model(self) -> Path:
        """The model's file, or the folder of a SavedModel."""
        return self.path / FILES[self.format]

    @property
    def id(self) -> str:
        """``<run>/exports/<name>``, or its path where it is not in its run's folder."""
        home = self.home()
        inside = home is not None and self.path.resolve().parent == home / FOLDER
        return f"{self.report['run']}/{FOLDER}/{self.path.name}" if inside else str(self.path)

    def contract(self) -> Contract:
        return Contract.load(self.path / "contract.json")

    def check(self) -> None:
        """Hold the model against its record.

        Raises:
            UserError: The export failed, or its model is missing or not the one that was exported.
        """
        if self.report["status"] != "done":
            raise UserError(
                f"{self.path}: this export differed from its checkpoint by more than the tolerance, so the model file "
                f"was discarded; see {self.path / 'report.md'}. For other options: python -m emotion.export --help"
            )
        if not self.model.exists():
            raise UserError(f"{self.model}: missing; {self._advice()}")
        if digest(self.model) != self.report["sha256"]:
            raise UserError(f"{self.model}: damaged, not the file that was exported; {self._advice()}")

    def is_stale(self) -> bool:
        """Whether the run's best checkpoint is another one by now; False where the run is not at hand."""
        checkpoint = self.path / str(self.report["checkpoint"]["path"])
        return checkpoint.is_file() and files.sha256(checkpoint) != self.report["checkpoint"]["sha256"]

    def _advice(self) -> str:
        return f"restore it, or export again: {self.command()}"

    def command(self) -> str:
        """The command that makes this export again."""
        home, report = self.home(), self.report
        words = ["python", "-m", "emotion.export"]
        words.append(f"run={runs.Run(home, str(report['run'])).reference if home else report['run']}")
        words.append(f"format={report['format']}")
        words += [f"quantize={report['quantize']}"] if report.get("quantize") else []
        usual = home is not None and self.path.parent.name == FOLDER and self.path.name == report.get("name")
        return shlex.join([*words, *([] if usual else [f"folder={self.path}"])])

    def home(self) -> Path | None:
        """The folder of the run that this was made from, if it is still there, by ``report.json``."""
        folder = (self.path / str(self.report["checkpoint"]["path"])).resolve().parent.parent
        return folder if runs.is_run(folder) else None


def find(name: Any, outputs: str | Path) -> Exported | None:
    """The export that a name stands for; None where it is rather a run's.

    Args:
        name: An export's folder, by its path or its path below ``outputs``, or ``<run>/exports/<export>`` with a run
            that :func:`emotion.runs.resolve` finds, such as ``latest/exports/litert-int8``.
        outputs: Folder that holds the runs.

    Raises:
        UserError: The run has no such export, or its record is damaged.
    """
    text = str(name)
    try:
        path = Path(text).expanduser()
    except RuntimeError:  # ~ and no user's name: explained where runs are looked for
        return None
    for folder in (path, Path(outputs) / text):
        if runs.is_run(folder):
            return None
        if (folder / "report.json").is_file():
            return _read(folder)
    run_name, mark, export_name = path.as_posix().rpartition(f"/{FOLDER}/")
    if not mark or path.is_file():
        return None
    run = _with_export(run_name, outputs, export_name)
    folder = run.results / FOLDER / export_name
    if (folder / "report.json").is_file():
        return _read(folder)
    names = [p.parent.name for p in sorted((run.results / FOLDER).glob("*/report.json"))]
    names = [n for n in names if not n.startswith(".") and not n.endswith(FAILED)]
    raise UserError(
        f"run: run {run.id} has no export '{export_name}'.{did_you_mean(export_name, names)} "
        + (f"It has: {', '.join(names)}. " if names else "It has none. ")
        + f"Make one: python -m emotion.export run={run.reference} format=litert quantize=int8"
    )


def _with_export(name: str, outputs: str | Path, export: str) -> runs.Run:
    """The run of that name; of ``latest`` and ``best`` one that has the export, if any has."""

    def unfit(run: runs.Run, record: runs.RunRecord) -> str | None:
        has = (run.results / FOLDER / export / "report.json").is_file()
        return finding.unusable(run, record) or (None if has else f"without an export {export}")

    if name in ("latest", "best"):
        with suppress(UserError):
            return runs.resolve(name, outputs, unfit)
    return runs.resolve(name, outputs)


def _read(folder: Path) -> Exported:
    report = guarded.read_json(folder / "report.json", "export again")
    reason = guarded.misfit(report, _REPORT)
    if reason is None and None in map(report.get, ("status", "run", "format", "checkpoint")):
        reason = "a key is missing"
    if reason is not None or report["format"] not in FILES:
        raise UserError(
            f"{folder / 'report.json'}: not an export's record, or damaged ({reason or 'its format'}); export again"
        )
    whole = {"path", "sha256"} <= report["checkpoint"].keys() and (report["status"] != "done" or "sha256" in report)
    if not whole or any("\0" in text or len(text) > 4096 for text in report["checkpoint"].values()):
        raise UserError(f"{folder / 'report.json'}: damaged, without the checkpoint that was exported; export again")
    return Exported(folder, report)


def as_run(name: Any, outputs: str | Path) -> runs.Run | None:
    """The run whose export a name stands for, with the export in its checkpoint's place; None where it is a run's name.

    Args:
        name, outputs: As for :func:`find`.

    Raises:
        UserError: As :func:`find` does; the export failed, is damaged, or is of an older checkpoint than the run's best
            one; or its run is not at hand.
    """
    export = find(name, outputs)
    if export is None:
        return None
    home = export.home()
    if home is None:
        raise UserError(
            f"run: '{name}' is an export whose run is not available, and only that knows its data. Put it back into "
            f"its run's folder, or export again"
        )
    run = runs.resolve(home, outputs)
    export.check()
    if export.is_stale():
        raise UserError(f"run: {export.path} was made from an older checkpoint; export again: {export.command()}")
    return replace(run, id=f"{run.id}/{FOLDER}/{export.path.name}", export=export.path)


def model_of(run: runs.Run) -> Path:
    """What runs a run live: its export of :func:`as_run`, else its ``model.tflite``.

    Raises:
        UserError: It has none.
    """
    return run.tflite() if run.export is None else _read(run.export).model


def may_be_replaced(folder: Path) -> bool:
    """Whether a folder is missing, empty, or an export and nothing else."""
    if not folder.exists() and not folder.is_symlink():
        return True
    if not folder.is_dir() or folder.is_symlink():
        return False
    names = {p.name for p in folder.iterdir()}
    own = {*_RECORDS, runs.EVALUATION, *(name.partition("/")[0] for name in FILES.values())}
    try:
        return not names or (names <= own and files.read_json(folder / "report.json").get("format") in FILES)
    except UserError:  # no export's record
        return False


def digest(model: Path) -> str:
    """The SHA-256 of a model's file, or of a SavedModel's files and their names, in hexadecimal."""
    if model.is_file():
        return files.sha256(model)
    digest_of_all = hashlib.sha256()
    for path in sorted(p for p in model.rglob("*") if p.is_file()):
        digest_of_all.update(f"{path.relative_to(model).as_posix()}\0{files.sha256(path)}\n".encode())
    return digest_of_all.hexdigest()


def size(model: Path) -> int:
    """Bytes of a model's file, or of all files of a SavedModel."""
    return sum(p.stat().st_size for p in [model, *model.rglob("*")] if p.is_file())
