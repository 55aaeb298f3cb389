"""Resuming a run: what may change, and what would make it another run."""

from __future__ import annotations

from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from emotion import runs
from emotion.base.errors import UserError
from emotion.config.checks import validate
from emotion.runs import creating, repeating

#: What the user may change on resume; everything else would make it another run.
MAY_CHANGE = ("trainer.epochs", "trainer.patience", "trainer.threads", "trainer.bootstrap", "dataset.root",
              "dataset.cache", "dataset.cache_dir")  # fmt: skip


def config_of(run: runs.Run, requested: DictConfig, overrides: list[str]) -> DictConfig:
    """The run's own config with the requested changes.

    Args:
        run: The run to resume.
        requested: The composed command line; its values are taken for the keys that it names.
        overrides: The command line's ``key=value`` arguments.

    Raises:
        UserError: The run is running or has nothing to resume, a change is not allowed, or nothing is left to do.
    """
    record = run.record()
    if record.status == "running":
        raise UserError(f"run {run.id} is running (process {record.pid} on {record.host}); stop it first")
    if record.published:
        raise UserError(
            f"run {run.id} was published without its optimizer state and cannot be resumed. Start a new run, or distil "
            f"from it with trainer.teacher={run.reference}"
        )
    if record.adopted:
        raise UserError(f"run {run.id} was adopted, not trained here, so there is nothing to resume")
    if not run.has_state:
        raise UserError(
            f"run {run.id} ({record.status}) stopped before its first epoch ended; there is nothing to resume. "
            f"Start it again: {repeating.again(run.path, run.config())}"
        )
    cfg = creating.with_absolute_paths(_changed(run, requested, overrides))  # a teacher that is gone is named here
    validate(cfg)
    done, is_done = record.epoch, record.status == "done"
    if is_done and cfg.trainer.epochs == done:
        raise UserError(f"run {run.id} is done after {done} epochs. To train longer set trainer.epochs={2 * done}")
    patience = cfg.trainer.patience
    if is_done and record.stopped_early and patience == run.config().trainer.patience:
        raise UserError(
            f"run {run.id} stopped early, after {patience} epochs that were no better. To train longer raise "
            f"trainer.patience, or set it to null"
        )
    if cfg.trainer.epochs < done:
        raise UserError(f"trainer.epochs: {cfg.trainer.epochs} is less than the {done} that run {run.id} has done")
    return cfg


def _changed(run: runs.Run, requested: DictConfig, overrides: list[str]) -> DictConfig:
    """The run's config with the overrides that are allowed on resume."""
    cfg = run.config()
    for override in OverridesParser.create().parse_overrides(overrides):
        key = override.get_key_element().lstrip("+~")
        if key in ("resume", "outputs") or key.startswith("hydra"):
            continue
        before, wanted = OmegaConf.select(cfg, key), OmegaConf.select(requested, key)
        if key in MAY_CHANGE:
            OmegaConf.update(cfg, key, wanted)
        elif key == "experiment" or (OmegaConf.is_dict(wanted) and wanted != before):
            raise UserError(
                f"{key}: cannot be changed on resume; remove it from the command line. What can be changed: "
                f"{', '.join(MAY_CHANGE)}"
            )
        elif wanted != before:
            raise UserError(
                f"{key}: changing it from '{before}' to '{wanted}' would make run {run.id} another run. "
                f"When resuming you may change: {', '.join(MAY_CHANGE)}. To change more, start a new run"
            )
    return cfg


def take_over(run: runs.Run, cfg: DictConfig) -> None:
    """Give a resumed run the config of :func:`config_of`, and record what that changed and after which epoch."""
    record, before = run.record(), run.config()
    changed = [key for key in MAY_CHANGE if OmegaConf.select(before, key) != OmegaConf.select(cfg, key)]
    changes = {
        key: [OmegaConf.select(before, key), OmegaConf.select(cfg, key)]
        for key in changed
        if key.startswith("trainer.")
    }
    entry = {"after_epoch": record.epoch, "settings": changes}
    if changes and record.changed[-1:] != [entry]:  # else it was killed right here before
        runs.update(run, changed=[*record.changed, entry])
    runs.configure(
        run, cfg, repeating.with_changes(record.command, {key: OmegaConf.select(cfg, key) for key in changed})
    )


def check_data(run: runs.Run, fingerprint: dict[str, Any]) -> None:
    """Refuse to resume with other data than the run began with."""
    before = run.record().pixels
    if before is not None and before != fingerprint["pixels"]:
        raise UserError(
            f"dataset.root: the data changed since run {run.id} began (fingerprint {before[:12]}, now "
            f"{fingerprint['pixels'][:12]}). Restore it, or start a new run"
        )
