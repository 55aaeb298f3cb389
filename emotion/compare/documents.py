"""A comparison as files for people and programs: Markdown, JSON, and a CSV file of entries and one of differences."""

from __future__ import annotations

import csv
import io
import math
import shlex
from collections.abc import Sequence
from dataclasses import asdict, fields
from os.path import commonpath
from pathlib import Path
from typing import Any

from markupsafe import Markup

from emotion.base import files, words
from emotion.compare import tables
from emotion.compare.board import Board, Difference, Effect, Entry, Figure
from emotion.reports import markdown
from emotion.runs import Run, listing, swept

#: Rows of the table of differences shown in Markdown; the JSON file holds all.
_MOST_DIFFERENCES = 30


def write(folder: Path, boards: Sequence[Board], tensorboard: str) -> None:
    """Write ``comparison.md``, ``.csv`` and ``.json``, and ``differences.csv``, with the TensorBoard command."""
    text = markdown.render(
        Path(__file__).with_name("comparison.md.jinja"),
        boards=boards,
        tensorboard=Markup(tensorboard),
        ranking=_ranking,
        differences=lambda board: markdown.text_table(
            tables.DIFFERENCE, map(tables.difference, board.differences[:_MOST_DIFFERENCES])
        ),
        settings=lambda board: [
            (entry.name, ", ".join(run.id for run in entry.runs), tables.settings(entry)) for entry in board.entries
        ],
        most=_MOST_DIFFERENCES,
        effect_titles=tables.EFFECT,
        effects=lambda board: list(map(tables.effect, (*board.effects, *board.interactions))),
        effects_caption=tables.effects_caption,
        caption=tables.caption,
    )
    files.write_text(folder / "comparison.md", text)
    files.write_text(folder / "comparison.csv", _csv(boards))
    files.write_text(folder / "differences.csv", _differences(boards))
    content = {"tensorboard": tensorboard, "boards": [files.as_json(asdict(board)) for board in boards]}
    files.write_json(folder / "comparison.json", content)


def _ranking(board: Board) -> tuple[list[str], list[list[str]]]:
    """Headings and rows of the table of all entries."""
    shown = [*tables.quality(board), tables.SEEDS, *tables.cost()]
    rows = []
    for entry in board.entries:
        cells = [column.cell(entry) for column in shown]
        rows.append([entry.name, *(f"{c.text} ({c.interval})" if c.interval else c.text for c in cells)])
    return ["", *(column.title for column in shown)], rows


_FIGURES = tuple(f.name for f in fields(Entry) if "Figure" in str(f.type))
_PLAIN = ("parameters", "multiply_adds", "file_bytes", "latency_ms", "peak_memory_bytes", "training_seconds")
_PARTS = ("low", "high", "deviation")


def _csv(boards: Sequence[Board]) -> str:
    """A line per entry; scores are fractions, and what is not known is empty."""
    keys = list(dict.fromkeys(key for board in boards for entry in board.entries for key in entry.settings))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    figures = [name if part is None else f"{name}_{part}" for name in _FIGURES for part in (None, *_PARTS)]
    about = ["data", "test_set", "pixels", "split", "n", "resamples", "ranked_on", "intervals"]
    writer.writerow([*about, "rank", "name", "runs", "seeds", *figures, *_PLAIN, *keys])
    for board in boards:
        for rank, entry in enumerate(board.entries, start=1):
            writer.writerow([
                words.cell(board.data), words.cell(board.test_set), board.pixels, board.split, board.n, board.resamples,
                board.ranked_on, _INTERVALS[len(entry.seeds) > 1], rank, words.cell(entry.name),
                words.cell(" ".join(run.id for run in entry.runs)),
                " ".join(str(seed) for seed in entry.seeds if seed is not None),
                *(value for name in _FIGURES for value in _parts(getattr(entry, name))),
                *(_cell(getattr(entry, name)) for name in _PLAIN),
                *(_cell(entry.settings.get(key)) for key in keys),
            ])  # fmt: skip
    return text.getvalue()


_INTERVALS = {
    False: "95 %; accuracy and recall: Wilson; macro_f1: percentile bootstrap over images",
    True: "95 %; bootstrap over images and seeds",
}


def _differences(boards: Sequence[Board]) -> str:
    """A line per tested difference, main effect and interaction, each with its test, images and correction."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([
        "kind", "key", "better", "worse", "within", "stronger", "weaker", "metric", "test_set", "n", "gain", "low",
        "high", "interval", "resamples", "test", "p", "p_holm", "comparisons", "significant",
    ])  # fmt: skip
    for board in boards:
        tested: list[Difference | Effect] = [*board.effects, *board.interactions, *board.differences]
        for one in tested:
            kind = "difference" if isinstance(one, Difference) else "interaction" if one.within else "main effect"
            keys = [getattr(one, key, "") for key in ("key", "better", "worse", "within", "stronger", "weaker")]
            writer.writerow([
                kind, *map(words.cell, keys), one.metric, words.cell(board.test_set), board.n, one.gain.value,
                one.gain.low, one.gain.high, "95 % paired bootstrap", board.resamples, one.test, one.p, one.p_holm,
                one.comparisons, one.significant,
            ])  # fmt: skip
    return text.getvalue()


def _parts(figure: Figure | None) -> list[Any]:
    if figure is None:
        return [""] * (1 + len(_PARTS))
    return [_cell(getattr(figure, name)) for name in ("value", *_PARTS)]


def _cell(value: Any) -> Any:
    return "" if value is None or (isinstance(value, float) and math.isnan(value)) else words.cell(value)


#: More runs than this do not fit on a command line that is copied by hand.
_MOST_NAMED = 40
#: Most levels between an outputs folder and a run: of a search's trials.
_DEEPEST = 3


def tensorboard_command(boards: Sequence[Board]) -> str:
    """The ``tensorboard`` command for the runs of these boards.

    A folder that holds these runs and no other is given as ``--logdir``; else each run is named in ``--logdir_spec``.
    Where they are too many for that, or a path holds one of its separators, it is the folder that holds them all.
    """
    named = [(_clean(_label(entry, i)), run)
             for board in boards for entry in board.entries for i, run in enumerate(entry.runs)]  # fmt: skip
    once = {run.path.resolve(): (label, run) for label, run in reversed(named)}  # an export's curves are its run's
    named = list(once.values())[::-1]
    named = [(label, run) for label, run in named if swept.board(run).is_dir()] or named  # adopted ones have none
    paths = [run.path.resolve() for _, run in named]
    common = Path(commonpath(paths))
    # Runs of different places have a home folder, or the whole disk, in common.
    near = common != common.parent and all(len(path.relative_to(common).parts) <= _DEEPEST for path in paths)
    if len(paths) == 1 or (near and {run.path.resolve() for run in listing(common)} == set(paths)):
        return swept.tensorboard(common)
    places = _places(named)
    if len(places) > _MOST_NAMED or any(set(",:") & set(str(place)) for place in places):
        return swept.tensorboard(common)
    labels = list(places.values())
    if len(set(labels)) < len(labels):
        labels = [f"{label}-{i}" for i, label in enumerate(labels)]
    spec = ",".join(f"{label}:{files.from_here(place)}" for label, place in zip(labels, places, strict=True))
    return swept.tensorboard_with(f"--logdir_spec {shlex.quote(spec)}")


def _places(named: Sequence[tuple[str, Run]]) -> dict[Path, str]:
    """Folders that TensorBoard reads for these runs, a whole sweep's in one, and what each is called."""
    boards = {swept.board(run).resolve(): (label, run) for label, run in named}
    places: dict[Path, str] = {}
    for board, (label, run) in boards.items():
        if board.parent == run.path.resolve():
            places[run.path.resolve()] = label
        elif set(board.parent.iterdir()) <= boards.keys():
            places[board.parent] = _clean(board.parent.parent.name)
        else:
            places[board] = label
    return places


def _label(entry: Entry, i: int) -> str:
    """What an entry's run is called."""
    seed = f" seed={entry.seeds[i // entry.folds]}" if len(entry.seeds) > 1 else ""
    return entry.name + seed + (f" fold={i % entry.folds}" if entry.folds > 1 else "")


def _clean(text: str) -> str:
    """Without what separates names and folders in ``--logdir_spec``."""
    return text.replace(",", ";").replace(":", "-").replace(" ", "_")
