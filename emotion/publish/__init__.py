"""Publish a model: ``python -m emotion.publish run=best folder=emotion/pretrained/<name>``.

The result is an ordinary run folder, slim and without traces of the machine, with a model card. Nothing here imports
TensorFlow until the command's arguments have been checked.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from emotion import runs
from emotion.base import files, logs, staging
from emotion.base.errors import UserError
from emotion.base.interrupts import sigterm_raises
from emotion.config import cli
from emotion.inference import held_out, priors
from emotion.publish import elsewhere
from emotion.publish import source as sources


def publish(cfg: DictConfig) -> dict[str, Any]:
    """Write a slim copy of a finished run for publication, all at once.

    It holds the best checkpoint and its LiteRT export, contract, config, record, figures, history, plots, report and
    the model card ``README.md``; neither predictions nor training state, logs or TensorBoard events. With ``half`` both
    model files hold rounded weights, and the run is scored again. With ``evaluations`` the card also has its scores on
    other datasets, beside other runs.

    Returns:
        ``{"folder", "bytes", "files": {name: bytes}, "changes": what was changed in the run's records, in words}``.

    Raises:
        UserError: No such run, one that is not finished or whose figures are of another checkpoint, a folder that holds
            something else, evaluations of another network, files that are too large, or rounding that changes the
            model's outputs.
    """
    run = runs.resolve(cfg.run, cfg.outputs)
    place = staging.named(cfg.folder, "emotion/pretrained/mine")
    origin = sources.origin(run, cfg.outputs)
    check = partial(sources.check_place, origin=origin, overwrite=cfg.overwrite)
    check(place)
    if run.path.resolve() == place.resolve():
        raise UserError(f"folder: '{place}' is the run itself; choose another folder")
    source = sources.read(run, cfg.weights)
    if cfg.half and not cfg.weights:
        raise UserError("half: with weights=false there are no weights to round; leave one of the two out")
    if cfg.prior is not None and not cfg.half:
        raise UserError("prior: figures for another class prior are scored again, as half=true does; set half=true too")
    if cfg.prior is not None:
        priors.contract(run, cfg.prior)  # a mistake in it is answered before anything takes time
    evaluated = _elsewhere(cfg, run, place)
    if cfg.weights and not cfg.half:
        sources.check_size({name: run.path / name for name in sources.MODEL_FILES}, cfg.largest)
    splits = held_out.load(run, cfg.dataset, needed=True) if cfg.half else None
    with sigterm_raises(), staging.staging(place, "the run") as temporary:
        logs.import_tensorflow()
        from emotion.publish import slim

        folder = temporary / "published"
        changes = slim.write(run, source, runs.Run(folder, place.name), origin, cfg, splits, evaluated)
        sizes = {name: (folder / name).stat().st_size for name in slim.contents(folder)}
        sources.check_size({name: folder / name for name in sizes}, cfg.largest)
        staging.put(folder, place, temporary, check)
    total = sum(sizes.values())
    print(f"run {run.id} as {place.name}")
    for change in changes:
        print(f"  changed: {change}")
    for name, size in sizes.items():
        print(f"  {name:<28}{size / 1e6:8.3f} MB")
    print(f"written to {place}, {total / 1e6:.2f} MB. Read {place / 'README.md'} before you publish it")
    return {"folder": str(place), "bytes": total, "files": sizes, "changes": changes}


def _elsewhere(cfg: DictConfig, run: runs.Run, place: Path) -> elsewhere.Elsewhere | None:
    """The evaluations for the card. Rounded weights are scored on other datasets once they are published."""
    if cfg.evaluations is None:
        return None
    given = cfg.evaluations if OmegaConf.is_list(cfg.evaluations) else [cfg.evaluations]
    folders = [Path(str(folder)).expanduser() for folder in given]
    checkpoint = place / sources.MODEL_FILES[0] if cfg.half else run.checkpoint()
    if not checkpoint.is_file():
        raise UserError(
            f"evaluations: with half=true they are of the rounded network, and '{place}' has none yet. Publish it "
            f"without evaluations=, score run={place} on the datasets, and publish it again"
        )
    return elsewhere.read(folders, files.sha256(checkpoint))


def main() -> None:
    cli.main("publish", publish)
