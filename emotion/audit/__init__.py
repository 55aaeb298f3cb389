"""Find a dataset's faults: ``python -m emotion.audit dataset=folder dataset.root=data/faces``.

Ends with exit code 1 where a finding that ``fail_on`` names exceeds its limit. Nothing here imports TensorFlow.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from emotion import runs
from emotion.base import staging
from emotion.base.errors import UserError
from emotion.config import cli

if TYPE_CHECKING:
    from emotion.audit.examine import Report

FAILED = 1


def audit(cfg: DictConfig) -> Report:
    """Look at every image of a dataset, by a config of ``conf/audit.yaml``; print and write what is wrong with it.

    Raises:
        UserError: The dataset is not what its config says, a run that does not fit it, or a folder that cannot be
            written to.
    """
    folder = _folder(cfg)
    judges = _judges(cfg.run, cfg.outputs)
    from emotion.audit import documents, page
    from emotion.audit.examine import examine
    from emotion.data import sources

    dataset: Any = OmegaConf.create(OmegaConf.to_container(cfg.dataset, resolve=True))
    dataset.drop_duplicates = "none"  # what training may leave out is what is looked for
    report = examine(dataset, sources.load(dataset), cfg, judges)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        documents.write(folder, report)
        page.write(folder / "audit.html", report, cfg.pictures)
    except OSError as error:
        raise UserError(f"folder: cannot write to '{folder}' ({error.strerror}); set folder=... to another") from None
    documents.show(report)
    print(f"\nwritten to {folder}: audit.html, .md, .json")
    return report


def _folder(cfg: DictConfig) -> Path:
    folder = Path(cfg.folder).expanduser() if cfg.folder else runs.new_folder(Path(cfg.outputs), "audit")
    if runs.around(folder) is not None:
        raise UserError(f"folder: '{folder}' is a run's folder or inside one; choose another")
    staging.check_writable(folder)
    return folder


def _judges(named: Any, outputs: str) -> list[runs.Run]:
    """The runs that judge the labels, known to be fit for it before anything takes time."""
    if named is None:
        return []
    from emotion.audit import label_noise
    from emotion.runs import selection

    judges = [choice.run for choice in selection.select(named, outputs)]
    label_noise.check(judges)
    return judges


def _task(cfg: DictConfig) -> None:
    report = audit(cfg)
    if report.failed:
        print(f"failed: {', '.join(report.failed)} (fail_on)", file=sys.stderr)
        raise SystemExit(FAILED)


def main() -> None:
    cli.main("audit", _task)
