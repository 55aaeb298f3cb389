"""Compare runs: ``python -m emotion.compare runs=all``, ``runs='*_cnn'``, ``runs=[<id>,<id>]`` or ``runs=<sweep>``.

Nothing here imports TensorFlow, except to time a SavedModel; 500 runs take seconds.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from emotion import runs
from emotion.base import staging
from emotion.base.errors import UserError
from emotion.config import cli
from emotion.runs import selection

if TYPE_CHECKING:
    from emotion.compare.board import Board
    from emotion.compare.candidates import Unfit

#: How many runs that were left out of `all`, a glob or a sweep are listed.
_MOST_LEFT_OUT = 10


def compare(cfg: DictConfig) -> list[Board]:
    """Compare the runs that a config of ``conf/compare.yaml`` names; print the verdict and write it to a folder.

    A folder of ``emotion.evaluate`` with several datasets is compared across these: :mod:`emotion.compare.across`.

    Raises:
        UserError: No such run, a named run that cannot be compared, or a folder that cannot be written to.
    """
    folder = Path(cfg.folder) if cfg.folder else runs.new_folder(Path(cfg.outputs), "comparison")
    if isinstance(cfg.runs, str) and (Path(cfg.runs).expanduser() / runs.ACROSS).is_file():
        from emotion.compare import across
        from emotion.metrics.bootstrap import RESAMPLES

        across.compare(Path(cfg.runs).expanduser(), folder, cfg.resamples or RESAMPLES, cfg.seed)
        return []
    selected = selection.select(cfg.runs, cfg.outputs)
    return compare_runs(
        [choice.run for choice in selected],
        folder,
        named=[choice.run for choice in selected if choice.named],
        **{key: cfg[key] for key in ("split", "rank_by", "rank_on", "resamples", "seed", "latency", "pictures")},
    )


def compare_runs(
    compared: Sequence[runs.Run],
    folder: Path,
    *,
    named: Collection[runs.Run] = (),
    split: str = "test",
    rank_by: str = "accuracy",
    rank_on: str = "validation",
    resamples: int | None = None,
    seed: int = 0,
    latency: str = "auto",
    pictures: int = 12,
) -> list[Board]:
    """Compare runs; print the tables and the verdict, and write Markdown, CSV, JSON and the HTML page.

    Args:
        compared, folder: The runs, and where the comparison is written.
        named: The runs that the user named: if one of them cannot be compared, that is an error. Others are left out,
            and a note says why.
        split, rank_by, rank_on, resamples, seed: See :class:`emotion.compare.ranking.How`.
        latency: ``auto``, ``measured`` or ``recorded``; see :func:`emotion.compare.speed.timed`.
        pictures: How many disagreements the page shows.

    Returns:
        A board for each set of images that the runs were scored on.

    Raises:
        UserError: A named run cannot be compared, or none can, or the folder cannot be written to.
    """
    if runs.around(folder) is not None:
        raise UserError(f"folder: '{folder}' is a run's folder or inside one; choose another")
    staging.check_writable(folder)
    from emotion.compare import candidates, folds, ranking, speed

    fit, unfit = candidates.read(compared, split)
    left_out = _left_out(unfit, named, bool(fit))
    fit, incomplete = folds.pool(fit) if split == "test" else (fit, [])
    from emotion.compare import documents, page, tables  # plots take time to import, errors need none

    how = ranking.How(split, rank_by, rank_on, resamples, seed)
    ranked = ranking.build(fit, how, lambda entries: speed.timed(entries, latency))
    ranked[0] = replace(ranked[0], notes=(*left_out, *incomplete, *ranked[0].notes))
    command = documents.tensorboard_command(ranked)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        documents.write(folder, ranked, command)
        page.write(folder / "comparison.html", ranked, pictures)
    except OSError as error:
        raise UserError(f"folder: cannot write to '{folder}' ({error.strerror}); set folder=... to another") from None
    tables.show(ranked)
    print(f"\nwritten to {folder}: comparison.html, .md, .csv, .json, differences.csv\ncurves: {command}")
    return ranked


def _left_out(unfit: Sequence[Unfit], named: Collection[runs.Run], any_fit: bool) -> list[str]:
    """Notes about runs that cannot be compared.

    Raises:
        UserError: One of them was named, or no other is left.
    """
    errors = [run for run in unfit if run.run in named]
    shown = errors or unfit
    lines = [f"run {run.run.id}: {run.why}" for run in shown[:_MOST_LEFT_OUT]]
    more = len(shown) - _MOST_LEFT_OUT
    if errors or not any_fit:
        what = "cannot be compared" if errors else "none of these runs can be compared"
        raise UserError("\n".join([f"runs: {what}", *lines, *([f"and {more} more"] if more > 0 else [])]))
    if more > 0:
        lines.append(f"{more} more runs that are not done or are damaged.")
    return [f"Left out: {line}" for line in lines]


def main() -> None:
    cli.main("compare", compare)
