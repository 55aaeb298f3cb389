"""Where the jobs of a sweep run: in this terminal, by joblib on this machine, or by Slurm on a cluster.

Hydra and its plugins for joblib and Slurm (submitit) start the jobs (``hydra/launcher=joblib``, ``slurm``). This adds
progress, jobs that end well when the sweep is stopped, and a message for every job, however it ended.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher

from emotion.base.errors import UserError
from emotion.config.schema import PLUGINS


def register() -> None:
    """Let Hydra make our launchers where a config names the plugins' own, which it takes from one package only."""
    made = Plugins.instance().class_name_to_class  # which has Hydra's modules run again: they are imported after it
    from emotion.jobs import local

    made |= {local.LAUNCHER: local.SequentialLauncher, local.SWEEPER: local.OptionSweeper}
    for option, (package, name, _) in PLUGINS.items():
        made[name] = _launcher(option, package)


def _launcher(option: str, package: str) -> type[Launcher]:
    try:
        is_installed = find_spec(package) is not None
    except ModuleNotFoundError:  # not even one of Hydra's plugins is
        is_installed = False
    if not is_installed:
        return _NoJoblib if option == "joblib" else _NoSlurm
    if option == "joblib":
        from emotion.jobs.joblib import JoblibLauncher

        return JoblibLauncher
    from emotion.jobs.slurm import SlurmLauncher

    return SlurmLauncher


class _Missing(Launcher):
    """Stands for a plugin that is not installed, and says so before anything is made."""

    option = ""

    def __init__(self, **options: Any) -> None:
        pass

    def setup(self, **context: Any) -> None:
        package = PLUGINS[self.option][2]
        raise UserError(
            f"hydra/launcher={self.option}: {package} is not installed. "
            f"Install it: pip install 'emotion[sweeps]' (or pip install {package})"
        )

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        raise AssertionError("setup always raises")


class _NoJoblib(_Missing):
    option = "joblib"


class _NoSlurm(_Missing):
    option = "slurm"
