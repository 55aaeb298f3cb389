"""What several tests stand on: the data beside the repository, small configs, one trained run."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import hypothesis
import pytest
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from omegaconf import DictConfig

from emotion import runs
from emotion.base import locks
from emotion.config import schema
from tests.helpers import commands
from tests.helpers.commands import answered, emotion
from tests.helpers.untrained import drawn, models, outputs

__all__ = ["answered", "drawn", "emotion", "models", "outputs"]

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# The tests run side by side on few cores; waiting threads that spin would take turns from those that work.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# A shell that runs the tests in the background has them ignore Ctrl-C, and all processes that they start.
for _number, _handler in {signal.SIGINT: signal.default_int_handler, signal.SIGHUP: signal.SIG_DFL}.items():
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, _handler)

# A machine that is busy otherwise is no fault of the code.
hypothesis.settings.register_profile("any machine", deadline=None)
hypothesis.settings.load_profile("any machine")

REPOSITORY = Path(__file__).resolve().parents[1]
_SHARED = REPOSITORY.parent / "shared"


#: Modules with tests of a minute and more, the longest first.
_LONGEST = ("test_resume", "test_sweep", "test_tune", "test_train", "test_benchmarks", "test_launchers", "test_slurm",
            "test_mirrored", "test_kill", "test_wheel")  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin every worker's share with some of the longest: begun last, one would keep a worker busy alone.

    A worker gets a stretch of the list; whoever is done early takes from the end of another's.
    """
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    shares: list[list[pytest.Item]] = [[] for _ in range(workers)]
    turns = [*range(workers), *reversed(range(workers))]
    for i, module in enumerate(_LONGEST):
        shares[turns[i % len(turns)]] += [item for item in items if item.path.stem == module]
    rest = iter([item for item in items if item.path.stem not in _LONGEST])
    size = len(items) // workers
    ordered = [item for share in shares for item in [*share, *islice(rest, max(0, size - len(share)))]]
    items[:] = [*ordered, *rest]


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


@contextmanager
def made_once(folder: Path) -> Iterator[bool]:
    """Whether this folder's content is still to be made; other workers wait until it is, or make it if that fails."""
    folder.mkdir(exist_ok=True)
    with locks.alone(folder):
        missing = not (folder / "made").exists()
        yield missing
        (folder / "made").touch()


@pytest.fixture(autouse=True, scope="session")
def cache_folder(common: Path) -> Iterator[None]:
    """Keep parsed and decoded data out of the home folder; one folder serves the whole session."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EMOTION_CACHE", str(common / "emotion-cache"))
        yield


def compose(command: str, *overrides: str) -> DictConfig:
    """The real config of a command, with overrides."""
    schema.register()
    with initialize_config_dir(str(schema.CONF), version_base="1.3"):
        return hydra_compose(command, list(overrides))


#: A training that takes seconds: few drawn faces, a tiny network.
TINY = (
    "dataset.per_emotion=24",
    "dataset.image_size=48",
    "dataset.noise=0.3",
    "model.stages=[8,16]",
    "trainer.epochs=2",
    "trainer.batch_size=32",
    "trainer.bootstrap=50",
)


@pytest.fixture(scope="session")
def trained(common: Path) -> runs.Run:
    """A finished run on drawn faces, shared by all tests; do not change it."""
    folder = common / "trained"
    with made_once(folder) as missing:
        if missing:
            emotion("train", *TINY, f"outputs={folder / 'outputs'}", cwd=folder)
    return runs.resolve("latest", folder / "outputs")
