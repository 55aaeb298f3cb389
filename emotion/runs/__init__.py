"""The run folder: making, finding and reading runs, and every file that a run holds."""

from emotion.runs.creating import configure, create, new_folder
from emotion.runs.finding import listing, resolve
from emotion.runs.folder import ACROSS, EVALUATION, READY_MADE, Run, update
from emotion.runs.record import RunRecord, around, is_run

__all__ = [
    "ACROSS",
    "EVALUATION",
    "READY_MADE",
    "Run",
    "RunRecord",
    "around",
    "configure",
    "create",
    "is_run",
    "listing",
    "new_folder",
    "resolve",
    "update",
]
