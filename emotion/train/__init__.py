"""Train a model: ``python -m emotion.train model=cnn dataset=fer2013 dataset.root=data/fer2013``.

``train(cfg)`` is a plain function; ``main`` is the command round it, which also resumes and sweeps. Nothing here
imports TensorFlow until the command is known to be right.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from emotion import runs
from emotion.base import exits, logs
from emotion.base.errors import UserError
from emotion.config import cli
from emotion.faces.contract import Contract
from emotion.runs import creating, resuming, status
from emotion.train import sweep

if TYPE_CHECKING:
    import keras

    from emotion.data.cache import Store
    from emotion.data.examples import Splits

log = logging.getLogger(__name__)


def train(cfg: DictConfig, folder: Path | None = None) -> dict[str, Any]:
    """Train, evaluate and export one model.

    Args:
        cfg: The composed and validated config of ``conf/train.yaml``.
        folder: Where the run goes; default a new folder below ``cfg.outputs``.

    Returns:
        ``{"run": id, "objective": best monitored value, "scores": {split: scores}}``.

    Raises:
        UserError: Something in the config, the data or the machine that the user can correct.
    """
    folder = folder or runs.new_folder(Path(cfg.outputs), cfg.model.get("name", "model"))
    run = runs.create(folder, Path(cfg.outputs), cfg)
    return work(run.config(), run)


def work(cfg: DictConfig, run: runs.Run, resume: bool = False) -> dict[str, Any]:
    """Do a run's work, or what is left of it, and keep its record."""
    with status.recorded(run):
        log.info("run %s", run.id)
        logs.import_tensorflow()
        from emotion.data import sources
        from emotion.inference import litert, scoring
        from emotion.runs import checkpoints
        from emotion.train import board, distillation, environment, fit, state

        environment.set_up(cfg.trainer, cfg.seed)
        saved = state.load(run.state) if resume else None
        splits = sources.load(cfg.dataset)
        resuming.check_data(run, splits.fingerprint)
        contract = _contract(cfg, run, splits.labels, resume)
        if resume:
            resuming.take_over(run, cfg)
        runs.update(run, data=splits.fingerprint, unreadable=[list(u) for u in splits.unreadable])
        for note in splits.notes:
            log.info("%s", note)
        counts = ", ".join(f"{len(splits[s]):,} {s}" for s in ("train", "validation", "test"))
        log.info("data %s: %s", splits.fingerprint["pixels"][:12], counts)

        data = fit.Data.open(distillation.with_teacher(cfg, splits, run), contract, cfg.dataset)
        validation = data.validation
        fitted = fit.fit(cfg, run, data, saved)
        del data  # the training images are not needed any more
        progress = fitted.progress
        runs.update(
            run,
            parameters=fitted.parameters,
            training_seconds=round(progress.seconds, 1),
            stopped_early=fitted.stopped_early,
            objective={"name": cfg.trainer.monitor, "value": progress.best, "epoch": progress.best_epoch},
        )

        model = checkpoints.load(run.checkpoint())
        scores = _score(cfg, run, model, splits, validation)
        board.write_scores(run, scores, progress.best_epoch)
        memory = environment.peak_memory()
        compared = validation.read(np.arange(min(litert.COMPARED, len(validation))))
        costs = litert.efficiency(run, model, compared, "validation split")
        runs.update(run, efficiency=costs | {"peak_memory_bytes": memory})
        shown = list(scores)[-1]
        log.info("%s", scoring.summary(run, shown, scores[shown]))
    log.info("done: %s", run.path)
    return {"run": run.id, "objective": progress.best, "scores": scores}


def _score(
    cfg: DictConfig, run: runs.Run, model: keras.Model, splits: Splits, validation: Store
) -> dict[str, dict[str, Any]]:
    """Calibrate the best checkpoint, score it on the splits that were held out, and write the figures."""
    from emotion.inference import scoring
    from emotion.inference.runtimes import Traced

    traced = Traced(model)
    raw = scoring.answers(traced, validation, run)
    if cfg.trainer.get("calibrate", True):
        scoring.calibrate(run, raw, splits.validation)
    scorer = scoring.Scoring(run, splits, trained_on=splits, bootstrap=cfg.trainer.bootstrap)
    scored = {"validation": scorer.score("validation", raw)}
    if len(splits.test):  # read here for the first time
        raw = scoring.answers(traced, scorer.open("test", cfg.dataset), run)
        scored["test"] = scorer.score("test", raw)
    else:
        log.warning("the test split is empty: this run has validation scores alone, which are optimistic")
    scoring.write_own(run, scored, splits.fingerprint)
    return {split: result.scores for split, result in scored.items()}


def _contract(cfg: DictConfig, run: runs.Run, labels: tuple[str, ...], resume: bool) -> Contract:
    """The model's input and output; a resumed run keeps what it began with."""
    from emotion.data import crop_margin
    from emotion.models.build import contract_of

    if resume and (run.path / "contract.json").is_file():
        return run.contract()
    margin, note = crop_margin.for_live(cfg.dataset)
    log.info("%s", note)
    contract = contract_of(cfg.model, margin, labels)
    contract.save(run.path / "contract.json")
    return contract


def job(cfg: DictConfig) -> float | None:
    """One Hydra job of a single run; sweeps go through :mod:`emotion.train.sweep`."""
    folder = Path(HydraConfig.get().runtime.output_dir)
    if cfg.resume is not None:
        run = runs.resolve(cfg.resume, cfg.outputs)
        cfg = resuming.config_of(run, cfg, list(HydraConfig.get().overrides.task))
        result = work(cfg, run, resume=True)
    else:
        result = train(cfg, folder)
    objective: float | None = result["objective"]
    return objective


def main() -> None:
    with exits.exit_codes():
        request = cli.request("train")
        if request.cfg is None:
            cli.launch(request, job)
        elif request.multirun:
            sweep.run(request)
        elif request.cfg.resume is not None:
            if isinstance(request.cfg.resume, bool):
                raise UserError("resume: say which run, such as resume=latest; true is for sweeps, with -m")
            run = runs.resolve(request.cfg.resume, request.cfg.outputs)
            resuming.config_of(run, request.cfg, list(request.overrides))
            here = f"hydra.run.dir={cli.quoted(run.path)}"
            cli.launch(request.with_overrides(here, "hydra.output_subdir=null"), job)
        else:
            _check_place(request)
            cli.launch(request, job)


def _check_place(request: cli.Request) -> None:
    """Refuse a folder that cannot be a new run's before Hydra writes into it."""
    assert request.cfg is not None
    creating.teachers(request.cfg)
    folders = [o.partition("=")[2].strip("'\"") for o in request.overrides if o.startswith("hydra.run.dir=")]
    if folders and runs.is_run(Path(folders[-1])):
        raise UserError(f"hydra.run.dir: there is a run in '{folders[-1]}' already; choose another folder or resume it")
    try:
        Path(request.cfg.outputs).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"outputs: '{request.cfg.outputs}' cannot be a folder for runs ({error.strerror})") from None
