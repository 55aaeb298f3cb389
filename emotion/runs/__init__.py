"""The run folder: making, finding and reading runs, and every file that a run holds."""

from emotion.runs.folder import EVALUATION, Run, create, listing, new_folder, resolve, update
from emotion.runs.record import RunRecord, around, is_run

__all__ = [
    "EVALUATION",
    "Run",
    "RunRecord",
    "around",
    "create",
    "is_run",
    "listing",
    "new_folder",
    "resolve",
    "update",
]
