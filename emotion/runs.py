"""Run folders: making them, finding them, and keeping their status honest.

A run's id is its path below the outputs folder (``20261122-075340-299053_cnn``, or ``20261122-075341-023246_sweep/3``).
Reading a run means reading JSON and ``.keras`` files in safe mode; nothing is unpickled and no class that its config
names is made.
"""

from __future__ import annotations

import difflib
import errno
import hashlib
import json
import logging
import os
import platform
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import IO, Any

import yaml
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from emotion.contract import Contract
from emotion.errors import UserError

try:
    import fcntl
except ImportError:  # Windows: a killed run there goes on claiming that it runs
    fcntl = None  # type: ignore[assignment]

log = logging.getLogger(__name__)

STATUSES = ("running", "done", "failed", "interrupted")


class Interrupted(BaseException):
    """The process was asked to stop (SIGTERM)."""


@dataclass(frozen=True)
class Run:
    """A run's folder and its id."""

    path: Path
    id: str

    @property
    def reference(self) -> str:
        """What to type after ``run=`` or ``resume=`` in this folder, wherever the run is."""
        path, here = self.path.resolve(), Path.cwd()
        return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)

    def contract(self) -> Contract:
        return Contract.load(self.path / "contract.json")

    def config(self) -> DictConfig:
        """The resolved config that the run was made with."""
        path = self.path / "config.yaml"
        try:
            cfg = OmegaConf.load(path)
        except FileNotFoundError:
            raise UserError(f"{path}: missing; this run cannot be loaded") from None
        except (OSError, ValueError, yaml.YAMLError) as error:
            raise UserError(f"{path}: cannot be read ({str(error).splitlines()[0]}); restore it") from None
        if not isinstance(cfg, DictConfig) or "model" not in cfg or "dataset" not in cfg:
            raise UserError(f"{path}: damaged, not a run's config; restore it")
        return cfg

    def record(self) -> dict[str, Any]:
        """The content of ``run.json``, with ``running`` corrected where its process is gone."""
        record = read_json(self.path / "run.json")
        if record.get("status") not in STATUSES:
            raise UserError(f"{self.path / 'run.json'}: damaged, it gives no status; restore it or remove the run")
        if record["status"] == "running" and not _is_locked(self.path):
            record["status"] = "interrupted"
        return record

    def checkpoint(self, which: str = "best") -> Path:
        """Path of ``checkpoints/<which>.keras``.

        Raises:
            UserError: There is none; says what state the run is in and what to do.
        """
        path = self.path / "checkpoints" / f"{which}.keras"
        if path.is_file():
            return path
        status = self.record()["status"]
        advice = {
            "running": "wait for its first epoch to end",
            "interrupted": f"go on with it: python -m emotion.train resume={self.reference}",
        }.get(status, f"see {self.path / 'train.log'}")
        raise UserError(f"run {self.id} ({status}) has no {which} checkpoint; {advice}")

    def tflite(self) -> Path:
        """Path of ``model.tflite``.

        Raises:
            UserError: The run has no export of its best checkpoint.
        """
        fault = self.tflite_fault()
        if fault is None:
            return self.path / "model.tflite"
        self.checkpoint()
        raise UserError(
            f"run {self.id}: model.tflite {fault}. "
            f"Make it from the best checkpoint: python -m emotion.evaluate run={self.reference} split=validation"
        )

    def tflite_fault(self) -> str | None:
        """Why ``model.tflite`` is not the best checkpoint's export; None where it is, by the hashes of both."""
        path, checkpoint = self.path / "model.tflite", self.path / "checkpoints" / "best.keras"
        if not path.is_file():
            return "is not there yet"
        recorded = self.record().get("tflite")
        recorded = recorded if isinstance(recorded, dict) else {}
        if checkpoint.is_file() and recorded.get("checkpoint") != sha256(checkpoint):
            return "is of an older checkpoint"
        if "sha256" in recorded and recorded["sha256"] != sha256(path):
            return "is damaged, not the file that was exported"
        return None


# ------------------------------------------------------------------------------------------------------ JSON on disk


def write_text(path: Path, text: str) -> None:
    """Write a file so that readers see the old content or the new, never a part."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_json(path: Path, content: Any) -> None:
    """Write JSON atomically. NaN and infinities are refused: they are not JSON."""
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        UserError: The file is missing or damaged.
    """
    try:
        content = json.loads(path.read_text())
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error})") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: holds {type(content).__name__}, expected an object")
    return content


# ----------------------------------------------------------------------------------------------------------- making


def create(folder: Path, root: Path, cfg: DictConfig) -> Run:
    """Make a run in this folder: ``run.json`` exclusively, then ``config.yaml``.

    Raises:
        UserError: There is a run in the folder already, or it cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        run = Run(folder, _id_of(folder, root))
        mine = folder / f".run.json.{os.getpid()}"
        write_json(mine, _new_record(run, cfg))
        try:
            os.link(mine, folder / "run.json")  # whole or not at all, and two processes never share a run
        finally:
            mine.unlink()
        write_text(folder / "config.yaml", OmegaConf.to_yaml(cfg, resolve=True))
    except FileExistsError:
        raise UserError(f"{folder}: there is a run already; choose another folder or resume it") from None
    except OSError as error:
        raise UserError(f"{folder}: cannot write a run there ({error.strerror}); set outputs=... to another") from None
    return run


def new_folder(root: Path, name: str) -> Path:
    """A folder name that no other run has: local time to the microsecond, then what it trains."""
    return root / f"{datetime.now():%Y%m%d-%H%M%S-%f}_{name}"


def update(run: Run, **fields: Any) -> None:
    """Change some of ``run.json``'s fields, atomically: two processes that change different fields both succeed."""
    with alone(run.path):
        write_json(run.path / "run.json", read_json(run.path / "run.json") | fields)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Wait until no other process is inside this for the same folder, and keep others waiting; not reentrant.

    Where folders cannot be locked (Windows, some network file systems) nobody waits.
    """
    if fcntl is None:
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


@contextmanager
def recorded(run: Run) -> Iterator[None]:
    """Keep the run's status honest: done at the end, interrupted or failed (with the traceback logged) otherwise."""
    with _lock(run.path), sigterm_raises():
        update(run, status="running", started=now(), finished=None, error=None, **_process())
        try:
            yield
        except (KeyboardInterrupt, Interrupted):
            _try_to_update(run, status="interrupted", finished=now())
            log.warning("run %s interrupted; %s", run.id, _advice(run))
            raise
        except BaseException as error:
            known = isinstance(error, UserError)
            _try_to_update(run, status="failed", finished=now(), error=str(error) if known else traceback.format_exc())
            log.error("run %s failed", run.id, exc_info=True)
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES):
                raise UserError(
                    f"{error.filename or run.path}: cannot write ({error.strerror}). Make room; {_advice(run)}"
                ) from None
            raise
        update(run, status="done", finished=now())


def _try_to_update(run: Run, **fields: Any) -> None:
    """Say how a run ended, if the disk still takes it; what ended it matters more than a failure to note it."""
    try:
        update(run, **fields)
    except (OSError, UserError) as error:
        log.error("%s", error)


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """Hold a run while it is worked on: the lock goes with the process, however that ends."""
    with (folder / ".lock").open("w") as file:
        try:
            _flock(file)
        except BlockingIOError:
            raise UserError(f"{folder}: another process is training this run; stop it first") from None
        yield


def _is_locked(folder: Path) -> bool:
    try:
        with (folder / ".lock").open("r+") as file:
            _flock(file)
    except BlockingIOError:
        return True
    except OSError:  # no lock was ever made, or it is not ours to try
        return False
    return False


def _flock(file: IO[str]) -> None:
    if fcntl is not None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _advice(run: Run) -> str:
    if (run.path / "checkpoints" / "state.npz").is_file():
        return f"go on with it: python -m emotion.train resume={run.reference}"
    return "it stopped before its first epoch ended, so there is nothing to resume"


@contextmanager
def sigterm_raises() -> Iterator[None]:
    def stop(signum: int, frame: Any) -> None:
        raise Interrupted

    try:
        before = signal.signal(signal.SIGTERM, stop)
    except ValueError:  # not the main thread: whoever started it handles signals
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def now() -> str:
    """The time in UTC, ISO 8601 to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _new_record(run: Run, cfg: DictConfig) -> dict[str, Any]:
    return {
        "id": run.id,
        "status": "running",
        "created": now(),
        "seed": cfg.seed,
        "command": _command(),
        "commit": _commit(),
        "versions": _versions(),
        **_process(),
    }


def _command() -> str:
    """What a person types to make this run: a sweep's job names its own overrides."""
    if HydraConfig.initialized():
        return shlex.join(["python", "-m", "emotion.train", *HydraConfig.get().overrides.task])
    return shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])


def _process() -> dict[str, Any]:
    return {"pid": os.getpid(), "host": socket.gethostname()}


def _versions() -> dict[str, str]:
    packages = ("emotion", "tensorflow", "tensorflow-cpu", "keras", "numpy", "opencv-python", "opencv-python-headless")
    found = {"python": platform.python_version()}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def _commit() -> str | None:
    """The commit of the code, with a `+` where it was changed since; None outside a checkout."""
    here = Path(__file__).resolve().parents[1]
    if not (here / ".git").exists():
        return None
    try:
        commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=here, capture_output=True, text=True)
        changed = subprocess.run(["git", "status", "--porcelain", "-uno"], cwd=here, capture_output=True, text=True)
    except OSError:
        return None
    return commit.stdout.strip() + ("+" if changed.stdout.strip() else "") if commit.returncode == 0 else None


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def with_absolute_paths(cfg: DictConfig) -> DictConfig:
    """A config whose data and weights are found from any folder."""
    cfg = OmegaConf.create(OmegaConf.to_container(cfg, resolve=True))  # type: ignore[assignment]
    for key, names in {"dataset.root": (), "model.weights": ("imagenet",)}.items():
        value = OmegaConf.select(cfg, key)
        if isinstance(value, str) and value not in names:
            OmegaConf.update(cfg, key, str(Path(value).expanduser().absolute()))
    return cfg


# ---------------------------------------------------------------------------------------------------------- finding


def listing(root: Path) -> list[Run]:
    """All runs below a folder, oldest first by id."""
    found = sorted(p.parent for p in root.glob("**/run.json")) if root.is_dir() else []
    return [Run(path, _id_of(path, root)) for path in found]


def resolve(run: Any, outputs: str | Path) -> Run:
    """Find a run by id, unique prefix of an id, path of its folder, ``latest`` or ``best``.

    ``latest`` is the run that was made last. ``best`` is the finished run with the highest validation macro-F1 among
    those trained on the same data as the last finished one: scores on different data do not compare.

    Raises:
        UserError: No run, or several, answer to that name; names the nearest ids.
    """
    name, root = str(run), Path(outputs)
    path = Path(name).expanduser()
    if (path / "run.json").is_file():
        return Run(path, _id_of(path, root))
    if (root / name / "run.json").is_file():
        return Run(root / name, name)
    around = next((p for p in path.absolute().parents if (p / "run.json").is_file()), None)
    if around is not None and path.exists():
        raise UserError(f"run: '{name}' is inside a run; name the run's own folder: run={around}")
    everything = listing(root)
    if not everything:
        raise UserError(f"run: there are no runs under '{root}'. Train one first: python -m emotion.train")
    if name == "latest":
        return max(everything, key=lambda r: (_created(r), r.id))
    if name == "best":
        return _best(everything, root)
    matches = [r for r in everything if r.id.startswith(name)]
    if len(matches) == 1:
        return matches[0]
    ids = [r.id for r in everything]
    if matches:
        some = ", ".join(r.id for r in matches[:5])
        more = ", ..." if len(matches) > 5 else ""
        raise UserError(f"run: '{name}' fits {len(matches)} runs ({some}{more}); write more of the one you mean")
    if path.is_dir():
        within = ", ".join(str(r.path) for r in listing(path)[-3:])
        raise UserError(
            f"run: '{name}' is a folder but no run's, without run.json; "
            + (f"below it are {within}" if within else "name the folder that emotion.train made")
        )
    near = difflib.get_close_matches(name, ids, n=3, cutoff=0.3) or ids[-3:]
    raise UserError(f"run: no run '{name}' under '{root}'. Nearest: {', '.join(near)}; also: latest, best")


def _created(run: Run) -> str:
    try:
        return str(run.record().get("created", ""))
    except UserError:  # a damaged run is not the latest
        return ""


def _best(runs: list[Run], root: Path) -> Run:
    finished = []
    for run in runs:
        try:
            record = run.record()
        except UserError:
            continue
        score = (record.get("scores") or {}).get("validation", {}).get("macro_f1")
        if record.get("status") == "done" and score is not None:
            finished.append((record, score, run))
    if not finished:
        raise UserError(f"run: no run under '{root}' is finished, so none is best. Try run=latest")
    latest = max(finished, key=lambda f: (f[0].get("created", ""), f[2].id))
    same_data = [f for f in finished if f[0].get("data", {}).get("pixels") == latest[0].get("data", {}).get("pixels")]
    return max(same_data, key=lambda f: f[1])[2]


def _id_of(path: Path, root: Path) -> str:
    try:
        return path.resolve().relative_to(root.resolve()).as_posix()
    except ValueError:
        return "/".join(path.resolve().parts[-2:])  # outside the outputs folder: `<sweep>/<job>`
