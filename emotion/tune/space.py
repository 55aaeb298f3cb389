"""A search space in Hydra's sweep grammar: ``choice(32, 64)``, ``range(0.0, 0.6, step=0.1)``, ``interval(0.1, 0.9)``.

Nothing here imports Keras Tuner, so a mistake in a space is reported at once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep
from hydra.errors import HydraException

from emotion.base.errors import UserError

#: A longer list is a mistake: an interval does the same.
_LARGEST_CHOICE = 1000

_EXAMPLES = "choice(32, 64), range(0.0, 0.6, step=0.1), interval(0.1, 0.9), tag(log, interval(1e-5, 1e-2))"

Value = str | int | float


@dataclass(frozen=True)
class Choice:
    """One of a few values.

    Attributes:
        key: The config key or group that takes it.
        values: All whole numbers, all real numbers, or all texts as Hydra's override grammar writes them.
        only_for: The options of the key's config group that have this key; None where all have it.
    """

    key: str
    values: tuple[Value, ...]
    only_for: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Interval:
    """A number from ``low`` to ``high``.

    Attributes:
        key: The config key that takes it.
        low: Smallest value.
        high: Largest value; as in Hydra, whole numbers end below the end that is written.
        log: Draw its logarithm evenly.
        whole: Whole numbers only.
        only_for: As in :class:`Choice`.
    """

    key: str
    low: float
    high: float
    log: bool = False
    whole: bool = False
    only_for: tuple[str, ...] | None = None


Parameter = Choice | Interval


def parse(space: Mapping[str, Any]) -> list[Parameter]:
    """Read a space without its keys whose value is None; UserError names every key that cannot be read, and why."""
    parameters, problems = [], []
    for key, text in space.items():
        if text is None:
            continue
        try:
            parameters.append(_parameter(str(key), text))
        except UserError as error:
            problems.append(f"tuner.space: {key}: {error}")
    if problems:
        raise UserError("\n".join(problems))
    return parameters


def trials_of_a_grid(parameters: list[Parameter]) -> int | None:
    """How many combinations a space of choices has; None with an interval, or where a choice depends on another."""
    choices = [p for p in parameters if isinstance(p, Choice) and p.only_for is None]
    return math.prod(len(choice.values) for choice in choices) if len(choices) == len(parameters) else None


def samples(parameter: Parameter) -> list[str]:
    """Overrides that show whether the config takes its values: all of a choice, both ends of an interval."""
    values = parameter.values if isinstance(parameter, Choice) else (parameter.low, parameter.high)
    return [f"{parameter.key}={value}" for value in values]


def _parameter(key: str, text: Any) -> Parameter:
    if isinstance(text, str):
        try:
            parsed = OverridesParser.create().parse_override(f"{key}={text}")
        except HydraException as error:
            reason = str(error).splitlines()[0]
            raise UserError(f"cannot read '{text}' ({reason}). Write for example {_EXAMPLES}") from None
        sweep = parsed.value()
        if isinstance(sweep, ChoiceSweep):
            return Choice(key, _choice(text, parsed))
        if isinstance(sweep, RangeSweep):
            return Choice(key, _range(text, sweep))
        if isinstance(sweep, IntervalSweep):
            return _interval(key, text, sweep)
    raise UserError(f"'{text}' is one value, not several. Write for example {_EXAMPLES}")


def _choice(text: str, parsed: Override) -> tuple[Value, ...]:
    numbers_or_texts: list[Any] = [parsed._convert_value(v) for v in parsed.value().list]  # type: ignore[union-attr]
    types = {type(value) for value in numbers_or_texts}
    if types <= {int, float}:
        number = int if types == {int} else float
        values: tuple[Value, ...] = tuple(number(value) for value in numbers_or_texts)
    else:
        values = tuple(parsed.sweep_string_iterator())
    if len(set(values)) < len(values):
        raise UserError(f"'{text}' has a value twice")
    if len(values) > _LARGEST_CHOICE:
        raise UserError(f"'{text}' has {len(values)} values; the limit is {_LARGEST_CHOICE}")
    return values


def _range(text: str, sweep: RangeSweep) -> tuple[Value, ...]:
    if sweep.step == 0 or sweep.start is None or sweep.stop is None:
        raise UserError(f"'{text}' has no end; write range(start, stop, step=...) with a step that is not 0")
    length = abs(sweep.stop - sweep.start) / abs(sweep.step)
    if length > _LARGEST_CHOICE:
        raise UserError(f"'{text}' has {length:.0f} values; write interval({sweep.start}, {sweep.stop}) instead")
    values = tuple(sweep.range())
    if not values:
        raise UserError(f"'{text}' holds nothing: the start {sweep.start} is not before the stop {sweep.stop}")
    return values


def _interval(key: str, text: str, sweep: IntervalSweep) -> Interval:
    low, high = sweep.start, sweep.end
    if low is None or high is None:
        raise UserError(f"'{text}' needs two ends")
    whole = isinstance(low, int) and isinstance(high, int)
    last = high - 1 if whole else high
    if not low < high:
        raise UserError(f"'{text}' is upside down: {low} is not below {high}. Write interval({high}, {low})")
    if unknown := sorted(sweep.tags - {"log"}):
        raise UserError(f"'{text}' has the tag '{unknown[0]}'; the only tag is log")
    log = "log" in sweep.tags
    if log and low <= 0:
        raise UserError(f"'{text}': a logarithmic interval must start above 0, not at {low}")
    return Interval(key, low, last, log, whole)
