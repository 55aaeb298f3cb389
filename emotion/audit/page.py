"""The audit as one HTML file that opens offline, with the pictures that it speaks of.

Nothing in it comes from elsewhere: charts are inline SVG, pictures are inlined, and the browser is told to load no
more. It looks like the comparison's page and shares its style sheet.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from html import escape
from importlib import metadata, resources
from pathlib import Path

from emotion.audit import page_charts, page_pictures
from emotion.audit.documents import number
from emotion.audit.finding import Finding, Group
from emotion.audit.report import Report
from emotion.base import files

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def write(path: Path, report: Report, pictures: int) -> None:
    """Write the page.

    Args:
        path: The file to write; its folder exists.
        report: What was found.
        pictures: How many pictures, or groups of pictures that belong together, each finding shows; 0 shows none.

    Raises:
        OSError: The folder cannot be written to.
    """
    sections, shown = [], 0
    for found in report.findings:
        text, count = _section(report, found, pictures)
        sections.append(text)
        shown += count
    # A name of a file may hold bytes that are no text, which UTF-8 has nothing for.
    files.write_bytes(path, _page(report, sections, shown).encode("utf-8", "replace"))


def _page(report: Report, sections: Sequence[str], shown: int) -> str:
    style = resources.files("emotion.reports").joinpath("page.css").read_text(encoding="utf-8")
    style += resources.files(__package__ or "").joinpath("page.css").read_text(encoding="utf-8")
    title = escape(f"Audit of {report.dataset}")
    made = f"{datetime.now().astimezone():%Y-%m-%d %H:%M %Z}"
    where = f" in <code>{escape(report.root)}</code>" if report.root else ""
    care = ""
    if shown:
        care = f"<p class='care'>This page holds {shown:,} pictures from the data. Where they show people, share it "
        care += "with care.</p>"
    body = [
        _verdict(report),
        "<h2>Pictures</h2>",
        _counts(report),
        "<h2>Findings</h2>",
        _table(report),
        *sections,
        "<h2>Framing</h2>",
        f"<p>{escape(report.framing.sentence())} {escape(report.contract)}</p>",
        _offset(report),
        "<h2>Distributions</h2>",
        page_charts.charts(report.distributions),
        *_votes(report),
        "<h2>Notes</h2>",
        f"<ul>{''.join(f'<li>{escape(note)}</li>' for note in (*report.pictures.splits.notes, *_LIMITS))}</ul>",
    ]
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta name="robots" content="noindex">\n<title>{title}</title>\n<style>\n{style}</style>\n</head>\n<body>\n'
        f'<header>\n<h1>{title}</h1>\n<p class="faint">{len(report.pictures):,} pictures{where}, looked at {made} by '
        f"emotion {escape(metadata.version('emotion'))}</p>\n{care}</header>\n<main>\n"
        + "\n".join(body)
        + "\n</main>\n</body>\n</html>\n"
    )


_LIMITS = (
    "Near-duplicates are pictures whose pHash and dHash both differ in at most 6 of 64 bits; what was cropped or "
    "mirrored is not found.",
    "The Haar cascades miss faces that are turned, covered or drawn, and see some where there are none.",
)


def _verdict(report: Report) -> str:
    met = [f for f in report.findings if f.met]
    first = f"{len(met)} of {len(report.findings)} checks found something." if met else "Nothing was found."
    lines = [first, *(f.meaning for f in met[:3])]
    if report.failed:
        lines.append(f"Failed: {', '.join(report.failed)} (fail_on).")
    kind = "verdict failed" if report.failed else "verdict"
    return f'<div class="{kind}">{"".join(f"<p>{escape(line)}</p>" for line in lines)}</div>'


def _counts(report: Report) -> str:
    heads = "".join(f'<th scope="col">{escape(n)}</th>' for n in (*report.pictures.splits.labels, "all"))
    rows = ""
    for split, counts in report.counts.items():
        cells = "".join(f"<td>{n:,}</td>" for n in (*counts.values(), sum(counts.values())))
        rows += f'<tr><th scope="row">{split}</th>{cells}</tr>'
    return _scrolled(
        "Pictures of each class and split",
        f'<table class="pinned"><thead><tr><th scope="col" class="text">Split</th>{heads}</tr></thead>'
        f"<tbody>{rows}</tbody></table>",
    )


def _table(report: Report) -> str:
    rows = ""
    for f in report.findings:
        share = f"{100 * f.count / f.of:.2f} %" if f.of and f.count else "–"
        met = '<td class="text met">yes</td>' if f.met else '<td class="text">no</td>'
        name = f'<a href="#{f.name}">{escape(f.title)}</a>' if f.count else escape(f.title)
        rows += (
            f'<tr><th scope="row">{name}</th><td class="text"><code>{f.name}</code></td><td>{number(f)}</td>'
            f"<td>{share}</td>{met}</tr>"
        )
    heads = "".join(
        f'<th scope="col"{kind}>{t}</th>'
        for t, kind in (
            ("Finding", ' class="text"'),
            ("For fail_on", ' class="text"'),
            ("Pictures", ""),
            ("Share", ""),
            ("Met", ' class="text"'),
        )
    )
    return _scrolled("Findings", f'<table class="pinned"><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>')


def _section(report: Report, found: Finding, most: int) -> tuple[str, int]:
    if not found.count:
        return "", 0
    parts = [
        f'<section id="{found.name}"><h3>{escape(found.title)}</h3>',
        f"<p>{escape(found.meaning)}</p><p class='advice'>{escape(found.advice)}</p>",
    ]
    files_ = found.details.get("files", ())
    if files_:
        lines = "".join(f"<li><code>{escape(f['name'])}</code>: {escape(f['reason'])}</li>" for f in files_[:20])
        more = f"<li>and {len(files_) - 20:,} more</li>" if len(files_) > 20 else ""
        parts.append(f"<ul>{lines}{more}</ul>")
    shown = 0
    for title, some in _chapters(report, found, most):
        text, count = page_pictures.groups(report.pictures, some)
        if count and title:
            parts.append(f"<h4>{escape(title)}</h4>")
        parts.append(text)
        shown += count
    left = len(found.groups) - most
    if left > 0 and found.name != "label_noise":
        parts.append(f'<p class="faint">{left:,} more are in audit.json.</p>')
    return "\n".join([*parts, "</section>"]), shown


def _chapters(report: Report, found: Finding, most: int) -> list[tuple[str, Sequence[Group]]]:
    """What a finding shows: doubtful labels by class, of all else the first."""
    if found.name == "label_noise":
        labels = report.pictures.splits.labels
        by_class = [
            (n, [g for g in found.groups if report.pictures.labels[g.pictures[0]] == i]) for i, n in enumerate(labels)
        ]
        each = (most + 1) // 2
        return [(f"Labelled {name}: {len(some):,} doubted", some[:each]) for name, some in by_class]
    plain_ = [g for g in found.groups if not g.caption]
    marked = [g for g in found.groups if g.caption]
    if plain_ and marked:
        return [("", plain_[: (most + 1) // 2]), (f"These {marked[0].caption}", marked[: most // 2])]
    return [("", found.groups[:most])]


def _offset(report: Report) -> str:
    framing = report.framing
    if framing.right is None or framing.down is None:
        return ""
    across = f"{100 * abs(framing.right):.1f} % to the {'right' if framing.right >= 0 else 'left'}"
    along = f"{100 * abs(framing.down):.1f} % {'down' if framing.down >= 0 else 'up'}"
    return f"<p class=\"faint\">In the median, the box's centre is {across} and {along} of the picture's.</p>"


def _votes(report: Report) -> list[str]:
    if report.not_faces is None:
        return []
    said = [report.not_faces.sentence()]
    if report.contradicted is not None:
        said.append(report.contradicted.sentence())
    return ["<h2>What FER+'s ten people say</h2>", *(f"<p>{escape(sentence)}</p>" for sentence in said)]


def _scrolled(name: str, table: str) -> str:
    return f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(name)}">{table}</div>'
