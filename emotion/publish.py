"""Give a run away: ``python -m emotion.publish run=best folder=emotion/pretrained/<name>``.

What is written is an ordinary run folder, slim and without traces of the machine, with a model card. Nothing here
imports TensorFlow until a command's arguments are known to be right.
"""

from __future__ import annotations

import logging
from typing import Any

from omegaconf import DictConfig

from emotion import cli, folders, logs, runs
from emotion.errors import UserError
from emotion.exporting import data
from emotion.interrupts import sigterm_raises
from emotion.publishing import place as places
from emotion.publishing import source
from emotion.publishing.card import MODEL_FILES

log = logging.getLogger("emotion.publish")  # __name__ is "__main__" under python -m


def publish(cfg: DictConfig) -> dict[str, Any]:
    """Write a slim copy of a finished run, fit to be given away, all at once.

    It holds the best checkpoint and its LiteRT export, contract, config, record, figures, history, plots, report and
    the model card ``README.md``; neither predictions nor training state, logs or TensorBoard events. With ``half`` both
    model files hold rounded weights, and the run is scored anew.

    Returns:
        ``{"folder", "bytes", "files": {name: bytes}, "changes": what was changed of the run's records, in words}``.

    Raises:
        UserError: No such run, one that is not finished or whose figures are of another checkpoint, a folder that holds
            something else, files that are too large, or rounding that changes the model's answers.
    """
    run = runs.resolve(cfg.run, cfg.outputs)
    place = folders.named(cfg.folder, "emotion/pretrained/mine")
    origin = source.origin(run, cfg.outputs)
    check = places.checker(origin, cfg.overwrite)
    check(place)
    if run.path.resolve() == place.resolve():
        raise UserError(f"folder: '{place}' is the run itself; name another folder")
    found = source.read(run, cfg.weights)
    if cfg.half and not cfg.weights:
        raise UserError("half: with weights=false there are no weights to round; leave one of the two out")
    if cfg.weights and not cfg.half:
        source.check_size({name: run.path / name for name in MODEL_FILES}, cfg.largest)
    splits = data.load(run, cfg.dataset, needed=True) if cfg.half else None
    with sigterm_raises(), folders.staging(place, "the run") as staging:
        logs.import_tensorflow()
        from emotion.publishing import slim

        folder = staging / "published"
        changes = slim.write(run, found, folder, place.name, origin, cfg, splits)
        sizes = {name: (folder / name).stat().st_size for name in slim.contents(folder)}
        source.check_size({name: folder / name for name in sizes}, cfg.largest)
        folders.put(folder, place, staging, check)
    total = sum(sizes.values())
    print(f"run {run.id} as {place.name}")
    for change in changes:
        print(f"  changed: {change}")
    for name, size in sizes.items():
        print(f"  {name:<28}{size / 1e6:8.3f} MB")
    print(f"written to {place}, {total / 1e6:.2f} MB. Read {place / 'README.md'} before you give it away")
    return {"folder": str(place), "bytes": total, "files": sizes, "changes": changes}


def main() -> None:
    cli.main("publish", publish)


if __name__ == "__main__":
    main()
