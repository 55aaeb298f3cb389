"""The run folder: making, finding and reading runs, and every file that a run holds."""

from emotion.runs.creating import configure, create, new_folder
from emotion.runs.folder import EVALUATION, Run, listing, resolve, update
from emotion.runs.record import RunRecord, around, is_run

__all__ = [
    "EVALUATION",
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
