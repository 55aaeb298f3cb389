"""Where the jobs of a sweep run: ``hydra/launcher=joblib`` on this machine, ``hydra/launcher=slurm`` on a cluster.

Hydra's plugins for joblib and Slurm (submitit) start the jobs. What is added here: progress, jobs that end well when
the sweep is stopped, and a word for every job, however it ended.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from omegaconf import MISSING

from emotion.errors import UserError

#: Option of ``hydra/launcher``: the plugin's package, what Hydra calls its class, what to install.
PLUGINS = {
    "joblib": (
        "hydra_plugins.hydra_joblib_launcher",
        "hydra_plugins.hydra_joblib_launcher.joblib_launcher.JoblibLauncher",
        "hydra-joblib-launcher",
    ),
    "slurm": (
        "hydra_plugins.hydra_submitit_launcher",
        "hydra_plugins.hydra_submitit_launcher.submitit_launcher.SlurmLauncher",
        "hydra-submitit-launcher",
    ),
}


@dataclass
class Joblib:
    """What joblib is told; ``conf/hydra/launcher/joblib.yaml`` says what the values mean."""

    _target_: str = PLUGINS["joblib"][1]
    n_jobs: int = MISSING
    batch_size: int = MISSING
    pre_dispatch: str = MISSING


@dataclass
class Slurm:
    """What Slurm and submitit are told; ``conf/hydra/launcher/slurm.yaml`` says what the values mean."""

    _target_: str = PLUGINS["slurm"][1]
    submitit_folder: str = MISSING
    name: str = MISSING
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    exclude: str | None = None
    gres: str | None = None
    cpus_per_task: int | None = None
    gpus_per_node: int | None = None
    mem_gb: int | None = None
    timeout_min: int = MISSING
    signal_delay_s: int = MISSING
    max_num_timeout: int = MISSING
    array_parallelism: int = MISSING
    setup: list[str] | None = None
    additional_parameters: dict[str, Any] = field(default_factory=dict)


def register() -> None:
    """Let Hydra make our launchers where a config names the plugins' own, which it takes from one package only."""
    classes = Plugins.instance().class_name_to_class
    for option, (package, name, _) in PLUGINS.items():
        if not _is_installed(package):
            classes[name] = NoJoblib if option == "joblib" else NoSlurm
        elif option == "joblib":
            from emotion.launchers.joblib import JoblibLauncher

            classes[name] = JoblibLauncher
        else:
            from emotion.launchers.slurm import SlurmLauncher

            classes[name] = SlurmLauncher


def store_schemas(store: ConfigStore) -> None:
    """Put the schemas of both options where ``conf/hydra/launcher`` finds them, whether or not a plugin is there."""
    Plugins.instance()
    # joblib's plugin stores a config of its own under our file's name, and Hydra would hold ours against it.
    store.repo["hydra"]["launcher"].pop("joblib.yaml", None)
    store.store(group="hydra/launcher", name="base_joblib", node=Joblib)
    store.store(group="hydra/launcher", name="base_slurm", node=Slurm)


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
