"""What several tests stand on: the data beside the repository, small configs, one trained run."""

from __future__ import annotations

import copy
import importlib
import logging
import os
import signal
import sys
from collections.abc import Generator, Iterator
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import absl.logging
import hypothesis
import pytest
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from omegaconf import DictConfig

from emotion import runs
from emotion.base import processes
from emotion.config import schema
from tests.helpers import commands, properties
from tests.helpers.commands import answered, emotion
from tests.helpers.once import made_once
from tests.helpers.tiers import has_turn
from tests.helpers.trainings import TINY
from tests.helpers.untrained import drawn, models, outputs

__all__ = ["TINY", "answered", "drawn", "emotion", "models", "outputs", "properties"]

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# The tests run side by side on few cores; waiting threads that spin would take turns from those that work.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# A shell that runs the tests in the background has them ignore Ctrl-C, and all processes that they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

# Hydra's logging closes every handler there is, and absl's then the stream that it was made with: pytest's.
absl.logging.get_absl_handler().python_handler.stream = sys.__stderr__

hypothesis.settings.load_profile("full")  # see tests.helpers.properties

REPOSITORY = Path(__file__).resolve().parents[1]
_SHARED = REPOSITORY.parent / "shared"


#: Modules with tests of a minute and more, the longest first.
_LONGEST = ("test_tutorials", "test_resume", "test_sweep", "test_tune", "test_train", "test_benchmarks",
            "test_launchers", "test_slurm", "test_mirrored", "test_kills", "test_kill", "test_wheel")  # fmt: skip


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--night", type=int, metavar="N", help="of the nightly tests those whose turn it is in night N")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Take those whose night it is, and begin every worker's share with some of the longest.

    Begun last, one would keep a worker busy alone.
    A worker gets a stretch of the list; whoever is done early takes from the end of another's.
    """
    if (night := config.getoption("night")) is not None:
        config.hook.pytest_deselected(items=[item for item in items if not has_turn(item, night)])
        items[:] = [item for item in items if has_turn(item, night)]
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    shares: list[list[pytest.Item]] = [[] for _ in range(workers)]
    turns = [*range(workers), *reversed(range(workers))]
    for i, module in enumerate(_LONGEST):
        shares[turns[i % len(turns)]] += [item for item in items if item.path.stem == module]
    rest = iter([item for item in items if item.path.stem not in _LONGEST])
    size = len(items) // workers
    ordered = [item for share in shares for item in [*share, *islice(rest, max(0, size - len(share)))]]
    items[:] = [*ordered, *rest]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Leave the processes of nightly tests out of the coverage: measured, they take half as long again."""
    settings = os.environ.pop("COVERAGE_PROCESS_CONFIG", None) if item.get_closest_marker("nightly") else None
    try:
        return (yield)
    finally:
        if settings is not None:
            os.environ["COVERAGE_PROCESS_CONFIG"] = settings


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real faces, which the project may read but not ship."""
    if not _SHARED.is_dir():
        pytest.skip("no ../shared beside the repository: real data is not part of a clone")
    return _SHARED


@pytest.fixture(scope="session")
def common(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for what is made once in a session, by whichever of its workers needs it first."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "common"
    folder.mkdir(exist_ok=True)
    commands.session_folder = folder
    return folder


@pytest.fixture(autouse=True, scope="session")
def cache_folder(common: Path) -> Iterator[None]:
    """Keep parsed and decoded data out of the home folder; one folder serves the whole session."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EMOTION_CACHE", str(common / "emotion-cache"))
        yield


#: What commands set for their own process, before they import OpenCV or Hydra.
_OF_A_PROCESS = ("OPENCV_FFMPEG_CAPTURE_OPTIONS", "OPENCV_IO_MAX_IMAGE_PIXELS", "HYDRA_FULL_ERROR", "QT_LOGGING_RULES")

#: What says a thing once in a process.
_SAID_ONCE = (("emotion.runs.finding", "_say"), ("emotion.video.capture", "_tell"))


@pytest.fixture(autouse=True)
def own_process(common: Path) -> Iterator[None]:
    """Forget what a test leaves in the process: modules that it wrote (others use their names), variables, levels."""
    before, unset = set(sys.modules), [name for name in _OF_A_PROCESS if name not in os.environ]
    levels, handlers = {logger: logger.level for logger in _loggers()}, list(logging.root.handlers)
    yield
    logging.root.handlers[:] = handlers  # Hydra puts its own in their place
    if (config := getattr(sys.modules.get("keras"), "config", None)) is not None:
        config.set_dtype_policy("float32")  # a training in bfloat16 would leave its own to the next network
    for logger in _loggers():  # a command's own level would show the next test lines that it did not ask for
        logger.setLevel(levels.get(logger, logging.NOTSET))
    for module, function in _SAID_ONCE:
        if module in sys.modules:
            getattr(sys.modules[module], function).cache_clear()
    for name in unset:
        os.environ.pop(name, None)
    for name in set(sys.modules) - before:
        # Not by getattr, at which a lazy module imports what it stands for.
        file = getattr(sys.modules[name], "__dict__", {}).get("__file__")
        if isinstance(file, str) and Path(file).is_relative_to(common.parent):
            del sys.modules[name]
            importlib.invalidate_caches()


def _loggers() -> list[logging.Logger]:
    """The root logger and those of the package."""
    named = list(logging.root.manager.loggerDict.items())  # threads may add to it
    return [logging.root, *(x for name, x in named if name.startswith("emotion") and isinstance(x, logging.Logger))]


@pytest.fixture(autouse=True, scope="session")
def forked_children(common: Path) -> Iterator[None]:
    """Fork the children of commands that a test runs in its own process, as those of forked commands are."""
    module = processes.module

    def forked(*arguments: Any, **options: Any) -> tuple[list[str], dict[str, str]]:
        line, variables = module(*arguments, **options)
        return [commands.interpreter(), *line[1:]], variables

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(processes, "module", forked)
        yield


def compose(command: str, *overrides: str) -> DictConfig:
    """The real config of a command, with overrides."""
    return copy.deepcopy(_composed(command, *overrides))


@cache  # Hydra takes a tenth of a second for it
def _composed(command: str, *overrides: str) -> DictConfig:
    schema.register()
    with initialize_config_dir(str(schema.CONF), version_base="1.3"):
        return hydra_compose(command, list(overrides))


@pytest.fixture(scope="session")
def trained(common: Path) -> Iterator[runs.Run]:
    """A finished run on drawn faces, shared by all tests, none of which may change it."""
    with made_once(common / "trained") as folder:
        if folder:
            emotion("train", *TINY, f"outputs={folder / 'outputs'}", cwd=folder)
    run = runs.resolve("latest", common / "trained" / "outputs")
    before = _listed(run.path)
    yield run
    assert _listed(run.path) == before, "a test changed the run that all share; it must copy it first"


def _listed(folder: Path) -> dict[str, int]:
    return {p.relative_to(folder).as_posix(): p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file()}
