"""How many examples the property tests try."""

from __future__ import annotations

import hypothesis

# A machine that is busy otherwise is no fault of the code.
hypothesis.settings.register_profile("full", deadline=None)
hypothesis.settings.register_profile("quick", deadline=None, max_examples=10)
# For `make mutants`: the same verdicts tomorrow, and no time spent on the smallest example.
_PHASES = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
hypothesis.settings.register_profile(
    "mutants", deadline=None, max_examples=10, derandomize=True, database=None, phases=_PHASES
)


def max_examples(count: int) -> hypothesis.settings:
    """For a test whose examples are dear or need many: its own count, in the quick tier no more than all others."""
    return hypothesis.settings(max_examples=min(count, hypothesis.settings().max_examples))
