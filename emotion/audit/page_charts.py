"""The histograms of the audit's page, as inline SVG in the page's own colours."""

from __future__ import annotations

from html import escape

from emotion.audit.distributions import Distribution
from emotion.data.examples import SPLITS

_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP = 360, 150, 34, 22, 8


def charts(distributions: tuple[Distribution, ...]) -> str:
    """All histograms, a line for each split, and the key to the lines."""
    shown = [split for split in SPLITS if any(split in d.shares for d in distributions)]
    key = "".join(f'<li><span style="border-color:{_colour(split)}"></span>{split}</li>' for split in shown)
    figures = "".join(_figure(d) for d in distributions)
    return f'<ul class="key">{key}</ul><div class="charts">{figures}</div>'


def _figure(d: Distribution) -> str:
    middles = ", ".join(f"{split} {_number(values[1])}" for split, values in d.percentiles.items())
    caption = f"<figcaption>{escape(d.title)}. Median: {escape(middles)}.</figcaption>"
    if len(d.edges) == 2:
        value = _number((d.edges[0] + d.edges[1]) / 2)
        return f"<figure><p>{escape(d.title)}: {value} in all pictures.</p></figure>"
    return f"<figure>{_svg(d)}{caption}</figure>"


def _svg(d: Distribution) -> str:
    top = max(max(shares) for shares in d.shares.values())
    inner, tall = _WIDTH - _LEFT - 6, _HEIGHT - _BOTTOM - _TOP
    bins = len(d.edges) - 1

    def x(edge: int) -> float:
        return _LEFT + inner * edge / bins

    def y(share: float) -> float:
        return _TOP + tall * (1 - share / top)

    parts = []
    for split, shares in d.shares.items():
        points = [f"{x(0):.1f},{y(0):.1f}"]
        for i, share in enumerate(shares):
            points += [f"{x(i):.1f},{y(share):.1f}", f"{x(i + 1):.1f},{y(share):.1f}"]
        points.append(f"{x(bins):.1f},{y(0):.1f}")
        parts.append(
            f'<polyline points="{" ".join(points)}" fill="none" stroke="{_colour(split)}" stroke-width="1.6"/>'
        )
    base = _HEIGHT - _BOTTOM
    parts.append(f'<line class="axis" x1="{_LEFT}" x2="{_WIDTH - 6}" y1="{base}" y2="{base}"/>')
    for i in range(0, bins + 1, bins // 4):
        anchor = "start" if i == 0 else "end" if i == bins else "middle"
        parts.append(f'<text x="{x(i):.1f}" y="{base + 15}" text-anchor="{anchor}">{_number(d.edges[i])}</text>')
    parts.append(f'<text x="{_LEFT - 4}" y="{_TOP + 9}" text-anchor="end">{100 * top:.0f} %</text>')
    label = escape(f"Histogram: {d.title}, share of the pictures of each split")
    return f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{label}">{"".join(parts)}</svg>'


def _colour(split: str) -> str:
    return f"var(--series-{SPLITS.index(split)})"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 10 else f"{value:.2g}"
