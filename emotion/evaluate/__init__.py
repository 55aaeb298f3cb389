"""Score a run: ``python -m emotion.evaluate run=latest [split=test] [dataset=folder dataset.root=...]``.

Nothing here imports TensorFlow until a command's arguments are known to be right.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from emotion import runs
from emotion.base import files, logs
from emotion.base.errors import UserError
from emotion.config import cli
from emotion.inference import priors
from emotion.runs import exports

if TYPE_CHECKING:
    from emotion.data.examples import Splits
    from emotion.evaluate.cutting import Cut
    from emotion.evaluate.loading import Data
    from emotion.evaluate.several import Evaluated
    from emotion.inference.classifier import Classifier
    from emotion.inference.runtimes import Traced
    from emotion.inference.scoring import Scored

log = logging.getLogger(__name__)

#: Beside the figures of images that were searched: those in which no face was found, one a line.
NO_FACE = "no_face.txt"


def evaluate(cfg: DictConfig) -> dict[str, Any]:
    """Score a run's checkpoint, or an export of it, on its own data or on another dataset.

    The best checkpoint's figures on a split of the run's own data, wherever that is now, go into the run's
    ``metrics.json``, ``predictions.npz``, plots and report; all others into ``<run>/evaluations/<dataset>-<first 8
    digits of its fingerprint>-<split>[-last][-flip][-<prior>][-faces|-search][-bootstrap<resamples>]/``. ``-faces`` has
    faces that were cut out of images, ``-search`` also the whole images without one; ``-bootstrap`` stands where the
    run's figures were made with more resamples. The folder of a published run stays as it is: for one, ``<run>`` is
    ``<outputs>/evaluations-of-published/<the run it was>-<8 digits of its weights>``, and for the one that ships with
    the package ``<outputs>/evaluations-of-pretrained/<name>``. For an export it is ``<the export's
    folder>/evaluation``, until it is regenerated.

    Several runs or datasets give one table; see :mod:`emotion.evaluate.several`.

    Returns:
        The scores; see :class:`emotion.inference.scoring.Scored`.

    Raises:
        UserError: No such run, a run without that checkpoint or with damaged files, data that does not load.
    """
    if cfg.datasets or OmegaConf.is_list(cfg.run):
        from emotion.evaluate import several

        return several.evaluate(cfg, _evaluate)
    return _evaluate(cfg).scores


def _evaluate(cfg: DictConfig) -> Evaluated:
    """Score one run on one dataset."""
    run = exports.as_run(cfg.run, cfg.outputs) or runs.resolve(cfg.run, cfg.outputs)
    if run.export is not None and cfg.checkpoint != "best":
        raise UserError(f"checkpoint: leave out '{cfg.checkpoint}'; exports are made from the best one")
    from emotion.evaluate import loading
    from emotion.evaluate.several import Evaluated

    checkpoint, dataset = run.checkpoint(cfg.checkpoint), loading.dataset_of(run, cfg.dataset)
    run.record()  # a damaged record, as a mistake in the prior, is answered before anything takes time
    priors.contract(run, cfg.prior)
    logs.import_tensorflow()
    from emotion.inference import mistakes, scoring, summary, writing

    data = loading.load(run, dataset, cfg.split, named=cfg.dataset is not None)
    seen = loading.seen_by(run, data)
    cut = _cut(run, data, dataset, cfg)
    splits = data.splits if cut is None else _with(data, cut)
    columns = _columns(data, dataset, cfg, cut)
    model, batch_size = _model(run, checkpoint, cfg)
    scorer = scoring.Scoring(
        run, splits, seen, cfg.bootstrap, calibrated=cfg.checkpoint == "best", prior=priors.plain(cfg.prior),
        shown=max(mistakes.SHOWN, cfg.explain),
    )  # fmt: skip
    store = scorer.open(data.split, dataset)
    raw = scoring.answers(model, store, run, batch_size, cfg.tta)
    scored = {data.split: scorer.score(data.split, raw, store, columns)}
    if cfg.explain:
        scored = {data.split: _explained(model, scored[data.split], cfg.explain)}
    folder = _folder(run, data, dataset, cfg, cut, checkpoint)
    folder.mkdir(parents=True, exist_ok=True)
    fingerprint = data.splits.fingerprint
    if folder == run.path:
        writing.write_own(run, scored, fingerprint, checkpoint)
    else:
        writing.write(run, folder, scored, fingerprint, checkpoint, cfg.tta, scorer.calibrated)
    print(summary.text(run, data.split, scored[data.split].scores))
    _write_missing(folder, cut)
    print(f"written to {folder}")
    if run.elsewhere is None and run.export is None and run.ready_made is None:
        _refresh(run, data)
    return Evaluated(scored[data.split].scores, data.split, folder, run)


def _explained(model: Traced | Classifier, scored: Scored, most: int) -> Scored:
    """The score with maps of where the network looked in its most confident mistakes."""
    from emotion.base.progress import progress
    from emotion.inference import mistakes

    maps = []
    with progress(len(scored.mistakes[:most]), "where it looked") as advance:
        for mistake in scored.mistakes[:most]:
            maps.append(mistakes.occlusion(model, mistake.image, mistake.answer))
            advance(1)
    if len(maps) < most:
        log.info("explain: there are only %d wrong answers to explain", len(maps))
    return replace(scored, maps=tuple(maps))


def _cut(run: runs.Run, data: Data, dataset: DictConfig, cfg: DictConfig) -> Cut | None:
    """The faces of other data than the run's own, which is framed as the run knows it, unless the user says so."""
    from emotion.evaluate import cutting

    if cfg.faces == "whole" or (cfg.faces == "auto" and data.own):
        return None
    root = dataset.root if dataset.name == "folder" else None
    cut = cutting.cut(data.splits[data.split], run.contract(), cfg.faces, cfg.no_face, dataset.cache_dir, root)
    log.info("%s", cut.note)
    return cut if cut.examples.face is not None else None


def _columns(data: Data, dataset: DictConfig, cfg: DictConfig, cut: Cut | None) -> dict[str, Any]:
    """The slices that images are scored by, of the images as they are in their files."""
    from emotion.evaluate import slicing

    if cfg.slices is False or (cfg.slices is None and data.own and not dataset.get("metadata")):
        return {}
    examples = data.splits[data.split]
    return slicing.columns(examples if cut is None else examples.take(cut.kept), dataset)


def _with(data: Data, cut: Cut) -> Splits:
    from emotion.data.examples import ALL

    if data.split != ALL:
        return replace(data.splits, **{data.split: cut.examples})  # type: ignore[arg-type]
    none = cut.examples.take(cut.kept[:0])
    return replace(data.splits, train=none, validation=none, test=cut.examples)


def _folder(run: runs.Run, data: Data, dataset: DictConfig, cfg: DictConfig, cut: Cut | None, checkpoint: Path) -> Path:
    """Where the figures go: beside those of the run, those that have narrower, rougher or other intervals."""
    from emotion.data.examples import ALL

    searched = None if cut is None else "search" if cfg.no_face == "whole" else "faces"
    unusual = ((cfg.checkpoint, "best"), (cfg.tta, "none"), (priors.word(cfg.prior), None), (searched, None))
    how = "".join(f"-{value}" for value, usual in unusual if value != usual)
    if data.own and data.split != ALL and not how:
        if cfg.bootstrap >= _resamples(run, data.split, checkpoint):
            return run.results
        how = f"-bootstrap{cfg.bootstrap}"
    pixels = data.splits.fingerprint["pixels"][:8]
    return run.results / "evaluations" / f"{dataset.name}-{pixels}-{data.split}{how}"


def _resamples(run: runs.Run, split: str, checkpoint: Path) -> int:
    """Of the run's present figures on a split: those with fewer do not take their place. 0 where there are none."""
    path = run.results / "metrics.json"
    written = files.read_json(path) if path.is_file() else {}
    if written.get("checkpoint") != files.sha256(checkpoint):
        return 0
    return int((written.get(split) or {}).get("bootstrap") or 0)


def _write_missing(folder: Path, cut: Cut | None) -> None:
    """List the images without a face, or take away the list of an earlier evaluation."""
    if cut is None or not cut.without:
        (folder / NO_FACE).unlink(missing_ok=True)
        return
    files.write_text(folder / NO_FACE, "".join(f"{name}\n" for name in cut.without))
    print(f"  {len(cut.without):,} images without a face that was found: {folder / NO_FACE}")


def _model(run: runs.Run, checkpoint: Path, cfg: DictConfig) -> tuple[Traced | Classifier, int]:
    """What is scored, and its batch size."""
    from emotion.base.devices import cores
    from emotion.inference.classifier import LARGEST_BATCH, Classifier
    from emotion.inference.runtimes import Traced
    from emotion.runs import checkpoints

    if run.export is None and run.ready_made is None:
        return Traced(checkpoints.load(checkpoint)), cfg.batch_size
    return Classifier(exports.model_of(run), run.contract().uncalibrated(), cores()), LARGEST_BATCH


def _refresh(run: runs.Run, data: Data) -> None:
    """Make what the run's folder lacks: its LiteRT export, and what it has seen, which older runs did not keep."""
    from emotion.data import seen
    from emotion.inference import convert, litert

    if data.own and not (run.path / seen.FILE).is_file():
        seen.save(run.path, seen.of(data.splits))
    try:
        difference = litert.refresh(run)
    except convert.NoExportError as error:  # the scores stand without it
        log.warning("%s", error)
        return
    if difference is not None:
        log.info("model.tflite made, equal to the checkpoint within %.1e", difference)


def main() -> None:
    cli.main("evaluate", evaluate)
