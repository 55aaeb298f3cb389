"""What may change on resume, what is refused, and what is recorded of it; no training is needed to see that."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf

from emotion import runs
from emotion.base.errors import UserError
from emotion.runs import resuming, status
from tests.conftest import compose

#: What differs from the defaults, which the command line of a resume has for all that it does not name.
OWN = ("trainer.epochs=5", "trainer.patience=3", "model.dropout=0.35", "seed=4", "augmentation=strong")


composed = cache(compose)


def stopped(root: Path, **record: Any) -> runs.Run:
    """A run that was stopped after two of five epochs."""
    cfg = composed("train", *OWN).copy()
    cfg.outputs = str(root)
    run = runs.create(root / "a", root, cfg)
    run.checkpoints.mkdir()
    run.state.write_bytes(b"only looked for here")
    runs.update(run, **({"status": "interrupted", "epoch": 2} | record))
    return run


def asked(run: runs.Run, *changes: str) -> DictConfig:
    """The config that ``emotion.train resume=<run> <changes>`` goes on with."""
    keys = [change.lstrip("+") for change in changes if "." in change or change.startswith(("seed", "outputs"))]
    groups = [change for change in changes if change.lstrip("+") not in keys]
    requested = OmegaConf.unsafe_merge(composed("train", *groups).copy(), OmegaConf.from_dotlist(keys))
    assert isinstance(requested, DictConfig)
    return resuming.config_of(run, requested, [f"resume={run.path}", *changes])


def plain(cfg: DictConfig) -> Any:
    return OmegaConf.to_container(cfg)


def test_the_runs_own_config_counts_and_not_the_defaults(tmp_path: Path) -> None:
    run = stopped(tmp_path)
    assert plain(asked(run)) == plain(run.config())
    assert run.config().model.dropout == 0.35


def test_each_allowed_change_is_taken_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = stopped(tmp_path / "outputs")
    monkeypatch.chdir(tmp_path)
    values: dict[str, Any] = {
        "trainer.epochs": 9, "trainer.patience": None, "trainer.threads": 1, "trainer.bootstrap": 7,
        "dataset.root": "faces", "dataset.cache": "disk", "dataset.cache_dir": "/elsewhere",
    }  # fmt: skip
    assert tuple(values) == resuming.MAY_CHANGE
    changes = [f"{key}={'null' if value is None else value}" for key, value in values.items()]
    found = asked(run, *changes, "outputs=somewhere", "seed=4", "++model.dropout=0.35")
    wanted = run.config()
    for key, value in values.items():
        OmegaConf.update(wanted, key, value)
    wanted.dataset.root = str(tmp_path / "faces")
    assert plain(found) == plain(wanted)
    assert run.config().trainer.epochs == 5, "nothing is written before the training begins"


def test_settings_of_the_command_itself_are_no_change(tmp_path: Path) -> None:
    run = stopped(tmp_path)
    overrides = ["hydra.run.dir=elsewhere", "hydra/launcher=joblib", f"resume={run.path}", "trainer.epochs=6"]
    found = resuming.config_of(run, composed("train", "trainer.epochs=6"), overrides)
    assert found.trainer.epochs == 6, "the keys after those are read too"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("seed=5", "seed: changing it from '4' to '5' would make run a another run"),
        ("model.dropout=0.3", "model.dropout: changing it from '0.35' to '0.3'"),
        ("++trainer.batch_size=9", "trainer.batch_size: changing it from"),
        ("augmentation=light", "augmentation: cannot be changed on resume"),
        ("experiment=quickstart", "experiment: cannot be changed on resume"),
        ("trainer.epochs=1", "trainer.epochs: 1 is less than the 2 that run a has done"),
        ("trainer.epochs=0", "trainer.epochs: 0 is out of range"),
    ],
)
def test_what_would_make_it_another_run_is_refused(tmp_path: Path, change: str, said: str) -> None:
    run = stopped(tmp_path)
    with pytest.raises(UserError) as caught:
        asked(run, "trainer.threads=1", change)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({"published": {"run": "a"}}, "was published without its optimizer state"),
        ({"adopted": {"file": "a.keras"}}, "was adopted, not trained here"),
    ],
)
def test_runs_without_a_training_of_their_own(tmp_path: Path, record: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        asked(stopped(tmp_path, status="done", **record), "trainer.epochs=9")


def test_before_the_first_epoch_ended_there_is_nothing_to_resume(tmp_path: Path) -> None:
    run = stopped(tmp_path, command="rm -r /; which a stranger wrote")
    run.state.unlink()
    with pytest.raises(UserError) as caught:
        asked(run)
    assert str(caught.value).endswith(f"nothing to resume. Start it again: python -m emotion.train again={run.path}")


def test_while_it_is_running_it_is_left_alone(tmp_path: Path) -> None:
    run = stopped(tmp_path)
    with status.recorded(run), pytest.raises(UserError, match="run a is running"):
        asked(run, "trainer.epochs=9")


#: Status, whether it stopped early, epochs done; then changes, and what is said (nothing: it goes on).
AT_THE_END = [
    ("done", False, 5, [], "is done after 5 epochs. To train longer set trainer.epochs=10"),
    ("done", False, 5, ["trainer.patience=9"], "is done after 5 epochs"),
    ("done", False, 5, ["trainer.epochs=4"], "trainer.epochs: 4 is less than the 5"),
    ("done", False, 5, ["trainer.epochs=6"], ""),
    ("interrupted", False, 5, [], ""),  # stopped while it was scored
    ("failed", True, 4, [], ""),
    ("done", True, 4, [], "stopped early, after 3 epochs that were no better"),
    ("done", True, 4, ["trainer.epochs=50"], "stopped early, after 3 epochs that were no better"),
    ("done", True, 4, ["trainer.patience=4"], ""),
    ("done", True, 4, ["trainer.patience=null"], ""),
    ("done", True, 4, ["trainer.patience=4", "trainer.epochs=3"], "trainer.epochs: 3 is less than the 4"),
]


@pytest.mark.parametrize(("state", "early", "epochs", "changes", "said"), AT_THE_END)
def test_a_run_at_its_end(tmp_path: Path, state: str, early: bool, epochs: int, changes: list[str], said: str) -> None:
    run = stopped(tmp_path, status=state, stopped_early=early, epoch=epochs)
    if not said:
        assert asked(run, *changes).seed == 4
        return
    with pytest.raises(UserError) as caught:
        asked(run, *changes)
    assert said in str(caught.value)


def test_what_changed_is_recorded_once_with_its_epoch(tmp_path: Path) -> None:
    run = stopped(tmp_path)
    cfg = asked(run, "trainer.epochs=9", "trainer.patience=null", "dataset.cache=disk")
    for _ in range(2):  # as if it had been killed between the record and the config
        written = (run.path / "config.yaml").read_bytes()
        resuming.take_over(run, cfg)
        first = {"after_epoch": 2, "settings": {"trainer.epochs": [5, 9], "trainer.patience": [3, None]}}
        assert run.record().changed == [first], "where data is kept is no change of the training"
        assert run.config() == cfg
        (run.path / "config.yaml").write_bytes(written)
    resuming.take_over(run, cfg)
    runs.update(run, epoch=7)
    resuming.take_over(run, asked(run, "trainer.epochs=11"))
    assert run.record().changed == [first, {"after_epoch": 7, "settings": {"trainer.epochs": [9, 11]}}]
    resuming.take_over(run, asked(run))
    assert len(run.record().changed) == 2, "a resume without changes"


def test_other_data_is_refused(tmp_path: Path) -> None:
    run = stopped(tmp_path, data={"pixels": "0123456789abcdef"})
    resuming.check_data(run, {"pixels": "0123456789abcdef"})
    with pytest.raises(UserError, match=r"the data changed since run a began \(fingerprint 0123456789ab, now fedcba"):
        resuming.check_data(run, {"pixels": "fedcba9876543210"})
    runs.update(run, data={})
    resuming.check_data(run, {"pixels": "fedcba9876543210"})  # stopped before its data was known
