"""Hydra's own sweeper and launcher, with what they lack: values for one option alone, and how a sweep stands."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from itertools import product

from hydra._internal.core_plugins.basic_launcher import BasicLauncher, BasicLauncherConf
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper, BasicSweeperConf
from hydra.core.override_parser.types import Override
from hydra.core.utils import JobReturn

from emotion.base.errors import UserError
from emotion.jobs import sweep_table

#: The classes that these stand for, by their names in Hydra's configs.
LAUNCHER, SWEEPER = BasicLauncherConf._target_, BasicSweeperConf._target_


class OptionSweeper(BasicSweeper):
    """Hydra's sweeper; ``model.weights@mobilenet_v2=null`` is for the jobs with ``model=mobilenet_v2`` alone."""

    def split_arguments(  # type: ignore[override]
        self, overrides: list[Override], max_batch_size: int | None
    ) -> list[list[list[str]]]:
        own = [o for o in overrides if o.package and "." in o.key_or_group]
        (jobs,) = BasicSweeper.split_arguments([o for o in overrides if o not in own], None)
        for override in own:
            if not any(_choice(override) in job for job in jobs):
                raise UserError(f"{override.get_key_element()}: no job of this sweep has {_choice(override)}")
        jobs = [more for job in jobs for more in _with_own(job, own)]
        return list(self.split_overrides_to_chunks(jobs, max_batch_size))


def _choice(override: Override) -> str:
    return f"{override.key_or_group.partition('.')[0]}={override.package}"


def _with_own(job: list[str], own: list[Override]) -> Iterator[list[str]]:
    """A job with its option's own values, once for each combination of them."""
    values: dict[str, list[str]] = {}
    for override in own:
        if _choice(override) in job:
            several = override.is_sweep_override()
            texts = list(override.sweep_string_iterator()) if several else [override.get_value_element_as_str()]
            values[override.key_or_group] = texts
    common = [text for text in job if text.partition("=")[0] not in values]
    for chosen in product(*values.values()):
        yield [*common, *(f"{key}={value}" for key, value in zip(values, chosen, strict=True))]


class SequentialLauncher(BasicLauncher):
    """Hydra's launcher, with a line before each job."""

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        sweep = sweep_table.Sweep.launched(self.config, job_overrides, initial_job_idx)
        results: list[JobReturn] = []
        for number, overrides in enumerate(job_overrides, initial_job_idx):
            print(sweep.heading(number), file=sys.stderr, flush=True)
            results += super().launch([overrides], number)
            sweep.refresh()
        return results
