"""The comparison as one HTML file that opens offline: the verdict, the tables, the plots and the pictures.

Nothing in it comes from elsewhere: plots are inline SVG, pictures inline PNG, and the browser is told to load no more.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from datetime import datetime
from html import escape
from importlib import metadata, resources
from pathlib import Path

from emotion.base import files
from emotion.base.errors import UserError
from emotion.compare import page_faces, page_figures, page_tables, predictions
from emotion.compare.board import Board, Entry
from emotion.compare.predictions import Predictions

_HERE = Path(__file__).parent
_MATRICES = 6
_RECALLS = 12
_LONGEST_TITLE = 24


def write(path: Path, boards: Sequence[Board], pictures: int = 24) -> None:
    """Write the page, and beside it ``pareto.png``; of further boards ``pareto-2.png`` and so on.

    The pictures of people in it come from the data that the runs were made of: the page says that it holds them.

    Args:
        path: The file to write; its folder exists.
        boards: The comparison, at least one board.
        pictures: How many pictures the best two entries of each board disagree on are shown; 0 shows none.

    Raises:
        OSError: The folder cannot be written to.
    """
    sections, shown = [], 0
    for number, board in enumerate(boards, start=1):
        page_figures.save_pareto(board, path.with_name("pareto.png" if number == 1 else f"pareto-{number}.png"))
        text, count = _section(board, f"b{number}", pictures)
        sections.append(text)
        shown += count
    # A name of a folder may hold bytes that are no text, which UTF-8 has nothing for.
    files.write_bytes(path, _page(boards, sections, shown).encode("utf-8", "replace"))


def _page(boards: Sequence[Board], sections: Sequence[str], shown: int) -> str:
    script = (_HERE / "page.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    entries, runs = (sum(counts) for counts in zip(*map(_sizes, boards), strict=True))
    title = f"Comparison of {_title(boards) or _count(entries, 'entry', 'entries')}"
    care = f"<p class='care'>This page holds {_count(shown, 'picture')} from the data that the runs were made of. "
    care += "Where they show people, share it with care.</p>"
    several = ""
    if len(boards) > 1:
        links = "".join(f'<li><a href="#b{i}">{escape(_heading(b))}</a></li>' for i, b in enumerate(boards, start=1))
        several = (
            f"<nav aria-label='Tables'><p>These runs were scored on {len(boards)} different sets of pictures or "
            f"labels. Figures from different ones do not compare, so there is a table for each:</p>"
            f"<ol>{links}</ol></nav>"
        )
    made = f"{datetime.now().astimezone():%Y-%m-%d %H:%M %Z}"
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta name="robots" content="noindex">\n<title>{title}</title>\n'
        f"<style>\n{resources.files('emotion.reports').joinpath('page.css').read_text(encoding='utf-8')}</style>\n</head>\n<body>\n<header>\n"
        f"<h1>{title}</h1>\n<p class='faint'>{_count(runs, 'run')}, compared {made} by emotion "
        f"{escape(metadata.version('emotion'))}</p>\n{care if shown else ''}{several}</header>\n<main>\n"
        + "\n".join(sections)
        + f"\n</main>\n<script>{script}</script>\n</body>\n</html>\n"
    )


def _title(boards: Sequence[Board]) -> str:
    """The names of two or three entries, where they are short; else nothing."""
    names = [entry.name for board in boards for entry in board.entries]
    if not 2 <= len(names) <= 3 or len(boards) > 1 or max(map(len, names)) > _LONGEST_TITLE:
        return ""
    return escape(f"{', '.join(names[:-1])} and {names[-1]}")


def _section(board: Board, key: str, pictures: int) -> tuple[str, int]:
    """A board's part of the page, and how many pictures are in it."""
    several = len(board.entries) > 1
    read, faults = _predictions(board)
    by_entry = [(entry, read[entry.name]) for entry in board.entries[:_RECALLS] if entry.name in read]
    parts = [
        f'<section id="{key}">\n<h2>{escape(_heading(board))}</h2>',
        f'<p class="faint">Fingerprint <code>{escape(board.pixels[:16])}</code>. '
        f"Rarest emotion: {escape(board.rarest)}.</p>",
        _verdict(board),
        "<h3>All entries</h3>",
        f'<p class="faint">{_reading(board)}</p>',
        page_tables.ranking(board, page_figures.on_front(board)),
        "<h3>Accuracy against cost</h3>",
        page_figures.paretos(board, key),
    ]
    if board.differences:
        parts += [
            "<h3>Which differences are real?</h3>",
            f'<p class="faint">{_TESTS}</p>',
            page_tables.differences(board),
        ]
    parts += ["<h3>How training went</h3>", page_figures.histories(board, key)]
    if by_entry:
        parts += _answers(board, by_entry)
    count = 0
    if several:
        parts.append("<h3>Pictures on which the best two disagree most</h3>")
        best = [read.get(entry.name) for entry in board.entries[:2]]
        if best[0] is not None and best[1] is not None:
            section = page_faces.section(board, best[0], best[1], pictures)
            count = section.count
            parts.append(section.text)
    parts += [f"<p>{escape(fault)}</p>" for fault in faults]
    parts.append("<h3>What this page cannot tell</h3>")
    parts.append(f"<ul>{''.join(f'<li>{escape(note)}</li>' for note in (*board.notes, _LIMIT))}</ul>")
    parts += [page_tables.runs(board), "</section>"]
    return "\n".join(parts), count


_TESTS = (
    "Paired, on the same pictures, corrected after Holm for the number of comparisons. “Not shown” does not mean "
    "equal: the interval says how large a difference could still be."
)
_LIMIT = (
    "Intervals and tests speak of other pictures of the same kind. Other cameras, people and taggers can change the "
    "order."
)


def _verdict(board: Board) -> str:
    if not board.verdict:
        return ""
    return f'<div class="verdict">{"".join(f"<p>{escape(sentence)}</p>" for sentence in board.verdict)}</div>'


def _reading(board: Board) -> str:
    seeds = " ± is the standard deviation over seeds." if any(len(e.runs) > 1 for e in board.entries) else ""
    best = " Bold: best of its column." if len(board.entries) > 1 else ""
    front = ' <span class="front">◆</span> on the Pareto front: none is both cheaper and better.'
    return (
        f"Best first. Scores in percent; small figures are 95 % intervals.{seeds}{best}"
        f"{front if any(page_figures.on_front(board)) and len(board.entries) > 1 else ''}"
    )


def _answers(board: Board, by_entry: Sequence[tuple[Entry, Predictions]]) -> list[str]:
    matrices = "".join(page_tables.confusion(board, *each) for each in by_entry[:_MATRICES])
    of = f" The best {len(by_entry[:_MATRICES])} of {len(board.entries)} entries."
    seeds = " Means over the seeds." if any(len(entry.runs) > 1 for entry, _ in by_entry) else ""
    n = int(by_entry[0][1].support()[board.labels.index(board.rarest)])
    best = f" The best {len(by_entry)} of {len(board.entries)} entries." if len(board.entries) > len(by_entry) else ""
    return [
        "<h3>Who is taken for whom</h3>",
        '<p class="faint">Percentages of each true emotion (rows) by what it was taken for (columns).'
        f"{seeds}{of if len(board.entries) > _MATRICES else ''}</p>",
        f'<div class="matrices">{matrices}</div>',
        "<h3>Recall of each emotion</h3>",
        f'<p class="faint">In percent.{seeds}{best} There are {_count(n, "picture")} of {escape(board.rarest)}: '
        f"one more or less is {100 / max(n, 1):.2g} points.</p>",
        page_tables.recalls(board, by_entry),
    ]


def _predictions(board: Board) -> tuple[dict[str, Predictions], list[str]]:
    found, faults = {}, []
    for entry in board.entries[:_RECALLS]:
        try:
            found[entry.name] = predictions.read(entry, board.split)
        except UserError as error:
            faults.append(f"{entry.name}: {error}")
    return found, faults


def _heading(board: Board) -> str:
    return f"{board.data}: {_count(board.n, 'picture')} of the {board.split} split"


def _sizes(board: Board) -> tuple[int, int]:
    return len(board.entries), sum(len(entry.runs) for entry in board.entries)


def _count(n: int, one: str, more: str | None = None) -> str:
    return f"{n:,} {one if n == 1 else more or one + 's'}"
