"""What a sweep was for: the main effect of each key that was varied, and interactions of two keys.

The main effect of a key is the difference between two of its values, averaged over all combinations of the other keys
that occur with both, and over their seeds; it is tested on the same images, as a contrast of the entries
(:func:`emotion.compare.significance.contrast`). An interaction is how much such a difference changes between two
values of another key. The p values of all main effects, and apart from them those of all interactions, are corrected
after Holm.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from emotion.compare import groups, significance
from emotion.compare.board import Effect, Figure
from emotion.compare.groups import Group
from emotion.metrics.bootstrap import Floats
from emotion.metrics.holm import holm
from emotion.runs import swept

#: Of more entries than this, or keys of more values, no effects are computed: that is a search, not a design.
_MOST_ENTRIES, _MOST_LEVELS, _MOST_INTERACTIONS = 200, 8, 60

#: Key to the value of each entry, as texts.
Factors = dict[str, list[str]]


@dataclass(frozen=True, eq=False)
class _Contrast:
    """Weights ``[E]`` of entries, and what they compare: a key's two values, and for an interaction another key's."""

    weights: Floats
    key: str
    levels: tuple[str, str]
    contexts: int
    within: str = ""
    between: tuple[str, str] = ("", "")


def of(
    collapsed: Sequence[Group], estimates: Mapping[str, significance.Estimate], correct: Floats, metric: str
) -> tuple[tuple[Effect, ...], tuple[Effect, ...]]:
    """Main effects and interactions; none where fewer than two keys were varied against each other.

    Args:
        collapsed: The entries.
        estimates, correct, metric: What they scored; see :mod:`emotion.compare.significance`.
    """
    if not 4 <= len(collapsed) <= _MOST_ENTRIES:
        return (), ()
    factors = varied(collapsed)
    if len(factors) < 2:
        return (), ()
    main = [c for key in factors for c in _main(factors, key)]
    pairs = list(combinations(factors, 2))
    interactions = [c for first, second in pairs for c in _interactions(factors, first, second)]
    if len({c.key for c in main}) < 2:
        return (), ()
    if len(interactions) > _MOST_INTERACTIONS:
        interactions = []
    tested = (_tested(contrasts, estimates[metric], correct, metric) for contrasts in (main, interactions))
    effects, crossed = tested
    return effects, crossed


def varied(collapsed: Sequence[Group]) -> Factors:
    """The keys that were varied, with each entry's value: those of the command line where the runs tell them.

    A key whose value follows from another's, such as the layers of a model from its name, is not one of its own.
    """
    given = _given(collapsed)
    if given is not None:
        return given
    facts = groups.differing(collapsed)
    keys = [key for key in dict.fromkeys(k for fact in facts for k in fact) if key not in groups.NO_SETTINGS]
    every: Factors = {"model": [groups.model_of(group.members[0]) for group in collapsed]}
    every |= {key: [_text(fact.get(key, "–")) for fact in facts] for key in keys}
    return _independent(every)


def _given(collapsed: Sequence[Group]) -> Factors | None:
    """The swept keys as they were typed; None where they do not tell all entries apart."""
    typed = [_overrides(group) for group in collapsed]
    if any(not overrides for overrides in typed):
        return None
    keys = [key for key in dict.fromkeys(k for o in typed for k in o) if key not in groups.IRRELEVANT]
    factors = _independent({key: [o.get(key, "–") for o in typed] for key in keys})
    cells = set(zip(*factors.values(), strict=True)) if factors else set()
    return factors if len(cells) == len(collapsed) else None


def _overrides(group: Group) -> dict[str, str]:
    return {o.partition("=")[0].lstrip("+~"): o.partition("=")[2] for o in swept.overrides(group.members[0].run)}


def _independent(every: Factors) -> Factors:
    """Without keys of one value, and without those that another, earlier one decides."""
    kept: Factors = {}
    for key, values in every.items():
        decided = any(len(set(zip(other, values, strict=True))) == len(set(other)) for other in kept.values())
        if len(set(values)) > 1 and not decided:
            kept[key] = values
    return kept


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else "null" if value is None else str(value)


def _main(factors: Factors, key: str) -> Iterator[_Contrast]:
    cells = _cells(factors, [key])
    levels = list(dict.fromkeys(factors[key]))
    if len(levels) > _MOST_LEVELS:
        return
    for first, second in combinations(levels, 2):
        shared = [by for by in cells.values() if {(first,), (second,)} <= by.keys()]
        if shared:
            weights = np.zeros(len(factors[key]))
            for by in shared:
                weights[by[first,]] += 1 / len(shared)
                weights[by[second,]] -= 1 / len(shared)
            yield _Contrast(weights, key, (first, second), len(shared))


def _interactions(factors: Factors, key: str, within: str) -> Iterator[_Contrast]:
    cells = _cells(factors, [key, within])
    pairs = [list(combinations(dict.fromkeys(factors[k]), 2)) for k in (key, within)]
    for a, b in pairs[0]:
        for c, d in pairs[1]:
            shared = [by for by in cells.values() if {(a, c), (b, c), (a, d), (b, d)} <= by.keys()]
            if shared:
                weights = np.zeros(len(factors[key]))
                for by in shared:
                    for cell, sign in (((a, c), 1), ((b, c), -1), ((a, d), -1), ((b, d), 1)):
                        weights[by[cell]] += sign / len(shared)
                yield _Contrast(weights, key, (a, b), len(shared), within, (c, d))


def _cells(factors: Factors, keys: Sequence[str]) -> dict[tuple[str, ...], dict[tuple[str, ...], int]]:
    """By the values of the other keys: the entry with each combination of values of these keys."""
    cells: dict[tuple[str, ...], dict[tuple[str, ...], int]] = defaultdict(dict)
    for entry in range(len(next(iter(factors.values())))):
        context = tuple(values[entry] for key, values in factors.items() if key not in keys)
        cells[context][tuple(factors[key][entry] for key in keys)] = entry
    return cells


def _tested(
    contrasts: Sequence[_Contrast], estimate: significance.Estimate, correct: Floats, metric: str
) -> tuple[Effect, ...]:
    if not contrasts:
        return ()
    weights = np.stack([c.weights for c in contrasts])
    if metric == "accuracy":
        gains = significance.contrast_accuracy(estimate, correct, weights)
    else:
        gains = significance.contrast(estimate, weights)
    corrected = holm(gains.p)
    effects = []
    for k, c in enumerate(contrasts):
        swapped = gains.gain[k] < 0
        sign, ends = (-1, (gains.high[k], gains.low[k])) if swapped else (1, (gains.low[k], gains.high[k]))
        low, high = float(sign * ends[0]), float(sign * ends[1])
        better, worse = reversed(c.levels) if swapped and not c.within else c.levels
        stronger, weaker = reversed(c.between) if swapped else c.between
        seeds = estimate.seeds[c.weights != 0]
        effects.append(
            Effect(
                key=c.key, better=better, worse=worse, within=c.within, stronger=stronger, weaker=weaker, metric=metric,
                gain=Figure(float(sign * gains.gain[k]), low, high), p=float(gains.p[k]), p_holm=float(corrected[k]),
                significant=bool(corrected[k] <= 1 - significance.CONFIDENCE and low > 0),
                contexts=c.contexts, seeds=int(seeds.min()), comparisons=len(contrasts),
                test=significance.name(metric, int(seeds.max()), pair=False),
            )
        )  # fmt: skip
    return tuple(effects)
