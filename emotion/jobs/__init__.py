"""Where the jobs of a sweep run: ``hydra/launcher=joblib`` on this machine, ``hydra/launcher=slurm`` on a cluster.

Hydra's plugins for joblib and Slurm (submitit) start the jobs. What is added here: progress, jobs that end well when
the sweep is stopped, and a word for every job, however it ended.
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
    classes = Plugins.instance().class_name_to_class
    for option, (package, name, _) in PLUGINS.items():
        if not _is_installed(package):
            classes[name] = NoJoblib if option == "joblib" else NoSlurm
        elif option == "joblib":
            from emotion.jobs.joblib import JoblibLauncher

            classes[name] = JoblibLauncher
        else:
            from emotion.jobs.slurm import SlurmLauncher

            classes[name] = SlurmLauncher


def _is_installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:  # not even one of Hydra's plugins is
        return False


class _Missing(Launcher):
    """Stands for a plugin that is not there, and says so before anything is made."""

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


class NoJoblib(_Missing):
    option = "joblib"


class NoSlurm(_Missing):
    option = "slurm"
