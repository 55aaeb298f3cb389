"""What a sweep or a search gave a run, and what it is called by that: ``model=cnn, augmentation=light, seed=0``."""

from __future__ import annotations

import logging
import re
import shlex
import shutil
import sys
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from emotion.base import files, guarded
from emotion.base.errors import UserError
from emotion.runs.finding import listing
from emotion.runs.folder import Run
from emotion.runs.record import RunRecord

log = logging.getLogger(__name__)

#: The folder of TensorBoard's event files in a run's folder, and that of all its jobs in a sweep's. TensorBoard shows
#: these names in a narrow column, which it breaks at hyphens and spaces alone.
FOLDER, JOBS = "tb", "tb-jobs"

#: A name is a folder's too, which may have 255 bytes.
_LONGEST = 160


def name(swept: Mapping[str, Any]) -> str:
    """Keys and values of a job in one line; of a dotted key its last part, where no other key ends in it."""
    ends = Counter(key.rpartition(".")[2] for key in swept)
    return ", ".join(f"{_short_key(key, ends)}={_short(value)}" for key, value in swept.items())


def _short_key(key: str, ends: Mapping[str, int]) -> str:
    end = key.rpartition(".")[2]
    return end if ends[end] == 1 else key


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def board(run: Run) -> Path:
    """The folder of a run's TensorBoard events, whose name is what TensorBoard calls the run.

    That of a sweep's job is ``<sweep>/tb-jobs/<what differs>``, that of a trial ``<search>/trials/tb-jobs/trial=3,
    <values>``, and that of any other run its own ``tb``.
    """
    record = run.record()
    if record.trial.get("values"):
        root = run.path.parents[2] if record.trial.get("execution") else run.path.parent
        return root / JOBS / _as_folder(f"trial={record.trial.get('number')}, {_of_trial(record)}", "")
    if record.swept:
        return run.path.parent / JOBS / _as_folder(name(record.swept), f", job={run.path.name}")
    return run.path / FOLDER


def _of_trial(record: RunRecord) -> str:
    execution = record.trial.get("execution")
    return name(record.trial["values"]) + (f", seed={record.seed}" if execution else "")


def _as_folder(text: str, mark: str) -> str:
    """A text as the name of one folder; ``mark`` tells it from others where characters had to be replaced or cut."""
    possible = re.sub(r'[\x00-\x1f/\\:*?"<>|]', "-", text).encode()[:_LONGEST].decode(errors="ignore").strip()
    return possible if possible == text else possible + mark


def overrides(run: Run) -> list[str]:
    """What was typed for a run, and what a sweep added, in Hydra's grammar; empty where that is not known."""
    path = run.path / ".hydra" / "overrides.yaml"
    if not path.is_file():
        return []
    try:
        content = OmegaConf.to_container(OmegaConf.create(guarded.read_yaml(path, interpolations=True)))
    except UserError as error:
        log.warning("%s; what was typed for the run is not known", error)
        return []
    return [str(o) for o in content] if isinstance(content, list) else []


def forget_events(run: Run) -> None:
    """Remove a run's TensorBoard events, unless another job of its sweep has the same name."""
    events = board(run)
    others = [other for other in listing(run.path.parent) if other.path != run.path] if events.is_dir() else []
    for other in others:
        with suppress(UserError):  # of a damaged record no name is known
            if board(other) == events:
                return
    shutil.rmtree(events, ignore_errors=True)


def tensorboard(folder: Path) -> str:
    """The command that shows the runs in a folder: a run's, a sweep's, or one that holds them."""
    jobs = folder / JOBS
    return tensorboard_with(f"--logdir {shlex.quote(files.from_here(jobs if jobs.is_dir() else folder))}")


def tensorboard_with(options: str) -> str:
    """A ``tensorboard`` command that is found: by its path where this environment's programs are not."""
    installed = files.from_here(Path(sys.executable).parent / "tensorboard")
    return f"{'tensorboard' if shutil.which('tensorboard') else shlex.quote(installed)} {options}"
