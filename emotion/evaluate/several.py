"""Several runs on several datasets in one table: ``run=[...]`` and ``datasets=[...]``."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from emotion import runs
from emotion.base import files, staging
from emotion.base.errors import UserError
from emotion.config import parts, rules
from emotion.evaluate import loading
from emotion.inference import report, wording
from emotion.reports import markdown
from emotion.runs import exports

log = logging.getLogger(__name__)

#: Holds where each evaluation is; ``emotion.compare runs=<its folder>`` reads it.
INDEX = runs.ACROSS


@dataclass(frozen=True)
class Evaluated:
    """One evaluation: the scores, of which images, where it is written, and of which run."""

    scores: dict[str, Any]
    split: str
    folder: Path
    run: runs.Run


def evaluate(cfg: DictConfig, score: Callable[[DictConfig], Evaluated]) -> dict[str, Any]:
    """Score each run on each dataset with ``score``, and write one table of all into a new folder.

    Where one of the runs was made with a dataset, all are scored on its test split, unless ``split`` says otherwise:
    only figures of the same images can be compared.

    Returns:
        Run's name to dataset's name to the scores.

    Raises:
        UserError: As for one evaluation, or a folder that cannot be written to.
    """
    names = list(cfg.run) if OmegaConf.is_list(cfg.run) else [cfg.run]
    datasets: dict[str, DictConfig | None] = dict(_nodes(cfg)) if cfg.datasets else {"": cfg.dataset}
    folder = staging.named(cfg.folder, "across") if cfg.folder else runs.new_folder(Path(cfg.outputs), "datasets")
    staging.check_writable(folder)
    owners = _owners(cfg, names, datasets)
    for title, owner in owners.items():
        log.info("%s", _test_alone(title, owner))
    table: dict[str, dict[str, Evaluated]] = {}
    for name in names:
        for title, node in datasets.items():
            split = "test" if title in owners else cfg.split
            one = OmegaConf.merge(cfg, {"run": name, "datasets": [], "dataset": node, "split": split})
            assert isinstance(one, DictConfig)
            done = score(one)
            shown = title or str((node or done.run.config().dataset).name)
            table.setdefault(done.run.id, {})[shown] = done
    try:
        folder.mkdir(parents=True, exist_ok=True)
        files.write_json(folder / INDEX, _index(table, folder))
        files.write_text(folder / "datasets.md", _markdown(table, owners))
    except OSError as error:
        raise UserError(f"folder: cannot write to '{folder}' ({error.strerror}); set folder=... to another") from None
    print(_markdown(table, owners))
    print(f"written to {folder}; rank the runs: python -m emotion.compare runs={folder}")
    return {run: {title: done.scores for title, done in row.items()} for run, row in table.items()}


def _owners(cfg: DictConfig, names: list[str], datasets: Mapping[str, DictConfig | None]) -> dict[str, str]:
    """Of datasets that one of several runs was made with, that run, where the user has not chosen the split."""
    if cfg.split is not None or len(names) < 2:
        return {}
    found = [exports.as_run(name, cfg.outputs) or runs.resolve(name, cfg.outputs) for name in names]
    owners = {title: loading.owner(found, node) for title, node in datasets.items() if node is not None}
    return {title: owner.id for title, owner in owners.items() if owner is not None}


def _test_alone(title: str, owner: str) -> str:
    return f"{title or 'the dataset'}: its test split alone, for all runs, as {owner} was made with the rest of it"


def _nodes(cfg: DictConfig) -> dict[str, DictConfig]:
    return parts.nodes(OmegaConf.create({"parts": rules.datasets(cfg)}))


def _index(table: dict[str, dict[str, Evaluated]], folder: Path) -> dict[str, Any]:
    return {
        "evaluations": [
            {
                "run": name,
                "dataset": title,
                "split": done.split,
                "labels": list(done.run.contract().labels),
                "folder": os.path.relpath(done.folder.resolve(), folder.resolve()),
                "scores": {key: done.scores[key] for key in ("n", *report.ACROSS)},
            }
            for name, row in table.items()
            for title, done in row.items()
        ]
    }


def _markdown(table: dict[str, dict[str, Evaluated]], owners: Mapping[str, str]) -> str:
    tables = report.across_tables({name: {t: one.scores for t, one in row.items()} for name, row in table.items()})
    sections = ["# Runs on datasets", *(f"## {heading}\n\n{text}" for heading, text in tables.items())]
    scores = {f"{name} on {title}": one.scores for name, row in table.items() for title, one in row.items()}
    sections.append(
        f"{wording.in_parentheses(scores)} Figures count every image, also those that a run was trained on; "
        "each evaluation's report gives both."
    )
    sections += [f"{markdown.plain(_test_alone(title, owner))}." for title, owner in owners.items()]
    return "\n\n".join(sections) + "\n"
