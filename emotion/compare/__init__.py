"""Compare runs: ``python -m emotion.compare runs=all``, ``runs='*_cnn'``, ``runs=[<id>,<id>]`` or ``runs=<sweep>``.

Nothing here imports TensorFlow, but to time a SavedModel; 500 runs take seconds.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from pathlib import Path

from omegaconf import DictConfig

from emotion import runs
from emotion.base.errors import UserError
from emotion.compare.board import Board
from emotion.config import cli
from emotion.runs import selection

log = logging.getLogger(__name__)

#: Runs that were left out of `all`, a glob or a sweep are told apart up to so many.
_MOST_LEFT_OUT = 10


def compare(cfg: DictConfig) -> list[Board]:
    """Compare the runs that a config names; print the verdict and write it down.

    Args:
        cfg: The composed and validated config of ``conf/compare.yaml``.

    Raises:
        UserError: No such run, a named run that cannot be compared, or a folder that cannot be written to.
    """
    selected = selection.select(cfg.runs, cfg.outputs)
    return compare_runs(
        [each.run for each in selected],
        Path(cfg.folder) if cfg.folder else runs.new_folder(Path(cfg.outputs), "comparison"),
        named=[each.run for each in selected if each.named],
        split=cfg.split,
        rank_by=cfg.rank_by,
        resamples=cfg.resamples,
        seed=cfg.seed,
        latency=cfg.latency,
        pictures=cfg.pictures,
    )


def compare_runs(
    some: Sequence[runs.Run],
    folder: Path,
    *,
    named: Collection[runs.Run] = (),
    split: str = "test",
    rank_by: str = "accuracy",
    resamples: int = 1000,
    seed: int = 0,
    latency: str = "auto",
    pictures: int = 12,
) -> list[Board]:
    """Compare runs; print the tables and the verdict, and write Markdown, CSV, JSON and the HTML page.

    Args:
        some: The runs.
        folder: Where the comparison is written.
        named: Those of the runs that a person named: one that cannot be compared is a mistake. Of the others it is
            left out, and a note says why.
        split: ``test`` or ``validation``.
        rank_by: ``accuracy`` or ``macro_f1``.
        resamples: Of the bootstrap.
        seed: Draws them.
        latency: ``auto``, ``measured`` or ``recorded``; see :func:`emotion.compare.speed.timed`.
        pictures: How many disagreements the page shows.

    Returns:
        One board for each set of pictures that the runs were scored on.

    Raises:
        UserError: A named run cannot be compared, or none can, or the folder cannot be written to.
    """
    if runs.around(folder) is not None:
        raise UserError(f"folder: '{folder}' is a run's folder or inside one; choose another")
    from emotion.compare import boards, candidates, documents, speed, table, tensorboard

    found, unfit = candidates.read(some, split)
    remarks = _left_out(unfit, named, len(found))
    made = boards.build(found, split, rank_by, resamples, seed, lambda entries: speed.timed(entries, latency))
    made[0] = boards.with_notes(made[0], remarks)
    command = tensorboard.command(made)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        documents.write(folder, made, command)
        _write_page(folder / "comparison.html", made, pictures)
    except OSError as error:
        raise UserError(f"folder: cannot write to '{folder}' ({error.strerror}); set folder=... to another") from None
    table.show(made)
    print(f"\nwritten to {folder}: comparison.html, .md, .csv, .json\ncurves: {command}")
    return made


def _left_out(unfit: Sequence[object], named: Collection[runs.Run], fit: int) -> list[str]:
    """Notes about runs that cannot be compared.

    Raises:
        UserError: One of them was named, or no other is left.
    """
    from emotion.compare.candidates import Unfit

    cannot = [each for each in unfit if isinstance(each, Unfit)]
    mistakes = [each for each in cannot if each.run in named]
    if mistakes or not fit:
        shown = mistakes or cannot
        lines = [f"run {each.run.id}: {each.why}" for each in shown[:_MOST_LEFT_OUT]]
        more = [f"and {len(shown) - _MOST_LEFT_OUT} more"] if len(shown) > _MOST_LEFT_OUT else []
        what = "cannot be compared" if mistakes else "none of these runs can be compared"
        raise UserError("\n".join([f"runs: {what}", *lines, *more]))
    lines = [f"Left out: run {each.run.id}: {each.why}" for each in cannot[:_MOST_LEFT_OUT]]
    if len(cannot) > _MOST_LEFT_OUT:
        lines.append(f"Left out: {len(cannot) - _MOST_LEFT_OUT} more runs that are not done or are damaged.")
    return lines


def _write_page(path: Path, made: Sequence[Board], pictures: int) -> None:
    from emotion.compare import page

    page.write(path, made, pictures)


def main() -> None:
    cli.main("compare", compare)
