"""Score a run: ``python -m emotion.evaluate run=latest [split=test] [dataset=folder dataset.root=...]``.

Nothing here imports TensorFlow until a command's arguments are known to be right.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from emotion import runs
from emotion.base import logs
from emotion.base.errors import UserError
from emotion.config import cli
from emotion.runs import exports

if TYPE_CHECKING:
    from emotion.data.examples import Splits
    from emotion.inference.classifier import Classifier
    from emotion.inference.runtimes import Traced

log = logging.getLogger("emotion.evaluate")  # __name__ is "__main__" under python -m


def evaluate(cfg: DictConfig) -> dict[str, Any]:
    """Score a run's checkpoint, or an export of it, on one split of its own data or of another dataset.

    The best checkpoint's figures on the run's own data, wherever that is now, go into the run's ``metrics.json``,
    ``predictions.npz``, plots and report; all others into
    ``<run>/evaluations/<dataset>-<first 8 digits of its fingerprint>-<split>[-last][-flip]/``. The folder of a
    published run stays as it is: for one, ``<run>`` is
    ``<outputs>/evaluations-of-published/<the run it was>-<8 digits of its weights>``, and for the one that ships with
    the package ``<outputs>/evaluations-of-pretrained/<name>``. For an export it is
    ``<the export's folder>/evaluation``, until it is regenerated.

    Returns:
        The scores; see :class:`emotion.inference.scoring.Scored`.

    Raises:
        UserError: No such run, a run without that checkpoint or with damaged files, data that does not load.
    """
    run = exports.as_run(cfg.run, cfg.outputs) or runs.resolve(cfg.run, cfg.outputs)
    if run.export is not None and cfg.checkpoint != "best":
        raise UserError(f"checkpoint: leave out '{cfg.checkpoint}'; exports are made from the best one")
    checkpoint, dataset = run.checkpoint(cfg.checkpoint), _dataset(run, cfg)
    logs.import_tensorflow()
    from emotion.inference import scoring

    splits = _load(run, dataset, named=cfg.dataset is not None)
    model, batch_size = _model(run, checkpoint, cfg)
    own_data = cfg.dataset is None or splits.fingerprint["pixels"] == run.record().pixels
    trained_on = splits if own_data else _training_data(run)
    scorer = scoring.Scoring(run, splits, trained_on, cfg.bootstrap, calibrated=cfg.checkpoint == "best")
    raw = scoring.answers(model, scorer.open(cfg.split, dataset), run, batch_size, cfg.tta)
    scored = {cfg.split: scorer.score(cfg.split, raw)}
    folder = run.results
    if not (own_data and cfg.checkpoint == "best" and cfg.tta == "none"):
        how = "".join(f"-{value}" for value, usual in ((cfg.checkpoint, "best"), (cfg.tta, "none")) if value != usual)
        folder = folder / "evaluations" / f"{dataset.name}-{splits.fingerprint['pixels'][:8]}-{cfg.split}{how}"
    folder.mkdir(parents=True, exist_ok=True)
    if folder == run.path:
        scoring.write_own(run, scored, splits.fingerprint, checkpoint)
    else:
        scoring.write(run, folder, scored, splits.fingerprint, checkpoint, cfg.tta)
    print(scoring.summary(run, cfg.split, scored[cfg.split].scores))
    print(f"written to {folder}")
    if run.elsewhere is None and run.export is None:
        _refresh_export(run)
    return scored[cfg.split].scores


def _dataset(run: runs.Run, cfg: DictConfig) -> DictConfig:
    """The dataset config to score on, known to exist before anything takes time."""
    dataset: DictConfig | None = run.config().dataset if cfg.dataset is None else cfg.dataset
    if dataset is None:
        raise UserError(f"run {run.id} was adopted without data. Say what to score it on: dataset=... dataset.root=...")
    root = OmegaConf.select(dataset, "root")
    if cfg.dataset is None and root is not None and not Path(str(root)).expanduser().exists():
        raise UserError(
            f"dataset.root: no such file or folder '{root}', where run {run.id} says its data is. Say where it is now: "
            f"dataset={dataset.name} dataset.root=..."
        )
    return dataset


def _load(run: runs.Run, dataset: DictConfig, named: bool) -> Splits:
    """The data; the run's own must still be what it was made with, unless the user has named it."""
    from emotion.data import sources

    splits, pixels = sources.load(dataset), run.record().pixels
    if not named and pixels not in (None, splits.fingerprint["pixels"]):
        raise UserError(
            f"run {run.id} was made with other data than '{dataset.root or dataset.name}' holds now "
            f"(fingerprint {pixels[:12]}, now {splits.fingerprint['pixels'][:12]}). "
            f"Name the data you mean with dataset=... dataset.root=..."
        )
    for note in splits.notes:
        log.info("%s", note)
    return splits


def _model(run: runs.Run, checkpoint: Path, cfg: DictConfig) -> tuple[Traced | Classifier, int]:
    """What is scored, and its batch size."""
    from emotion.base.devices import cores
    from emotion.inference.classifier import LARGEST_BATCH, Classifier
    from emotion.inference.runtimes import Traced
    from emotion.runs import checkpoints

    if run.export is None:
        return Traced(checkpoints.load(checkpoint)), cfg.batch_size
    return Classifier(exports.model_of(run), run.contract().uncalibrated(), cores()), LARGEST_BATCH


def _refresh_export(run: runs.Run) -> None:
    from emotion.inference import convert, litert

    try:
        difference = litert.refresh(run)
    except convert.NoExportError as error:  # the scores stand without it
        log.warning("%s", error)
        return
    if difference is not None:
        log.info("model.tflite made, equal to the checkpoint within %.1e", difference)


def _training_data(run: runs.Run) -> Splits | None:
    """The data that a run was trained on, or None where it is not known, gone, unreadable, or other data by now."""
    from emotion.inference import held_out

    try:
        return held_out.of_run(run)
    except (UserError, OmegaConfBaseException) as error:
        log.warning("run %s: the training data is not available: %s", run.id, error)
        return None


def main() -> None:
    cli.main("evaluate", evaluate)


if __name__ == "__main__":
    main()
