"""The run folder: making, finding and reading runs, and every file that a run holds."""

from emotion.runs.folder import EVALUATION, Run, create, listing, new_folder, resolve, update

__all__ = ["EVALUATION", "Run", "create", "listing", "new_folder", "resolve", "update"]
