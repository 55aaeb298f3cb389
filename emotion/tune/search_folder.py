"""Search folders: making them, finding them, going on with them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from emotion.base import files, locks, provenance
from emotion.base.errors import UserError
from emotion.config import cli
from emotion.tune.plan import FILE, Plan

#: What a person may change when a search goes on; anything else would make its trials another search's.
MAY_CHANGE = ("tuner.max_trials", "tuner.workers", "tuner.max_failures", "dataset.root", "dataset.cache",
              "dataset.cache_dir", "trainer.threads")  # fmt: skip


def is_chief() -> bool:
    """Whether Keras Tuner's variables make this process the chief of workers elsewhere."""
    return "chief" in os.environ.get("KERASTUNER_TUNER_ID", "")


def is_worker() -> bool:
    """Whether Keras Tuner's variables make this process a worker of a chief elsewhere.

    Raises:
        UserError: Some of the variables are there and others not.
    """
    names = ("KERASTUNER_TUNER_ID", "KERASTUNER_ORACLE_IP", "KERASTUNER_ORACLE_PORT")
    absent = [n for n in names if not os.environ.get(n)]
    if "KERASTUNER_TUNER_ID" in absent or is_chief():
        return False
    if absent:
        raise UserError(f"{', '.join(absent)}: not set, though other variables of Keras Tuner are; set all three")
    return True


def create(search: Path, plan: Plan, cfg: DictConfig) -> None:
    """Make a search's folder.

    Raises:
        UserError: It cannot be written to.
    """
    try:
        search.mkdir(parents=True, exist_ok=True)
        files.write_json(
            search / FILE,
            {
                "created": provenance.now(),
                "command": provenance.command(),
                "commit": provenance.commit(),
                "versions": provenance.versions(),
                "finished": None,
                "plan": plan.as_json(),
            },
        )
        files.write_text(search / "config.yaml", OmegaConf.to_yaml(cfg, resolve=True))
    except OSError as error:
        raise UserError(f"{search}: cannot be written ({error.strerror}); set outputs=... to another folder") from None


def finish(search: Path) -> None:
    """Record that the search has ended by itself."""
    files.write_json(search / FILE, files.read_json(search / FILE) | {"finished": provenance.now()})


def resolve(name: Any, outputs: str) -> Path:
    """Find a search by id, unique prefix of it, path, or ``latest``.

    Raises:
        UserError: None, or several, answer to that name.
    """
    root, name = Path(outputs), str(name)
    for folder in (Path(name).expanduser(), root / name):
        if (folder / FILE).is_file():
            return folder
    known = sorted((p.parent for p in root.glob(f"**/{FILE}")), key=lambda p: p.name)
    if not known:
        raise UserError(f"resume: there are no searches under '{root}'. Begin one: python -m emotion.tune")
    if name == "latest":
        return known[-1]
    matches = [p for p in known if p.relative_to(root).as_posix().startswith(name)]
    if len(matches) == 1:
        return matches[0]
    some = ", ".join(p.relative_to(root).as_posix() for p in (matches or known)[-5:])
    if matches:
        raise UserError(f"resume: '{name}' fits {len(matches)} searches ({some}); write more of the one you mean")
    raise UserError(f"resume: no search '{name}' under '{root}'. There are: {some}; also: latest")


def going_on(search: Path, asked: cli.Request) -> Plan:
    """The plan of a search with the changes that the command line asks for, recorded in its folder.

    Raises:
        UserError: Another process is at it, or a change would make it another search.
    """
    if locks.is_held(search):
        raise UserError(f"{search}: another process is at this search; stop it first")
    before = Plan.load(search)
    changes = [o for o in Plan.of(asked).overrides if not o.startswith("outputs=")]
    wrong = [o.partition("=")[0] for o in changes if o.partition("=")[0] not in MAY_CHANGE] + list(asked.space)
    if wrong:
        raise UserError(
            f"{', '.join(wrong)}: would make {search.name} another search. When going on you may change "
            f"{', '.join(MAY_CHANGE)}; to change more, begin a new one"
        )
    names = {c.partition("=")[0] for c in changes}
    kept = [o for o in before.overrides if o.partition("=")[0] not in names]
    plan = Plan((*kept, *changes), before.space, before.config_dir)
    with locks.held(search):
        files.write_json(search / FILE, files.read_json(search / FILE) | {"plan": plan.as_json(), "finished": None})
    return plan
