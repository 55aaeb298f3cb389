"""Search folders: making one, finding one, resuming its search."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from emotion.base import files, locks, provenance
from emotion.base.errors import UserError
from emotion.config import cli
from emotion.tune.plan import FILE, Plan

#: The keys that may change when a search is resumed; anything else would make its trials another search's.
MAY_CHANGE = ("tuner.max_trials", "tuner.workers", "tuner.max_failures", "dataset.root", "dataset.cache",
              "dataset.cache_dir", "trainer.threads")  # fmt: skip


def create(search: Path, plan: Plan, cfg: DictConfig) -> None:
    """Make a search's folder.

    Raises:
        UserError: It cannot be written to.
    """
    record = {
        "created": provenance.now(),
        "command": provenance.command(),
        "commit": provenance.commit(),
        "versions": provenance.versions(),
        "finished": None,
        "plan": plan.as_json(),
    }
    try:
        search.mkdir(parents=True, exist_ok=True)
        files.write_json(search / FILE, record)
        files.write_text(search / "config.yaml", OmegaConf.to_yaml(cfg, resolve=True))
    except OSError as error:
        raise UserError(f"{search}: cannot be written ({error.strerror}); set outputs=... to another folder") from None


def finish(search: Path) -> None:
    """Record that the search has ended by itself."""
    files.write_json(search / FILE, files.read_json(search / FILE) | {"finished": provenance.now()})


def resolve(name: Any, outputs: str) -> Path:
    """Find a search by id, unique prefix of it, path, or ``latest``.

    Raises:
        UserError: No search, or several, have that name.
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
    newest = ", ".join(p.relative_to(root).as_posix() for p in (matches or known)[-5:])
    if matches:
        raise UserError(f"resume: '{name}' fits {len(matches)} searches ({newest}); write more of its name")
    raise UserError(f"resume: no search '{name}' under '{root}'. There are: {newest}; also: latest")


def resumed(search: Path, asked: cli.Request) -> Plan:
    """The plan of a search with the changes that the command line asks for, recorded in its folder.

    Raises:
        UserError: Another process runs it, or a change would make it another search.
    """
    if locks.is_held(search):
        raise UserError(f"{search}: another process runs this search; stop it first")
    before = Plan.load(search)
    changes = [o for o in Plan.of(asked).overrides if not o.startswith("outputs=")]
    names = [o.partition("=")[0] for o in changes]
    wrong = [name for name in names if name not in MAY_CHANGE] + list(asked.space)
    if wrong:
        raise UserError(
            f"{', '.join(wrong)}: would make {search.name} another search. On resume you may change "
            f"{', '.join(MAY_CHANGE)}; to change more, begin a new one"
        )
    unchanged = [o for o in before.overrides if o.partition("=")[0] not in names]
    plan = Plan((*unchanged, *changes), before.space, before.config_dir)
    with locks.held(search):
        files.write_json(search / FILE, files.read_json(search / FILE) | {"plan": plan.as_json(), "finished": None})
    return plan
