"""Train a model: ``python -m emotion.train model=cnn dataset=fer2013 dataset.root=data/fer2013``.

``train(cfg)`` is a plain function; ``main`` is the command round it, which also resumes and sweeps. Nothing here
imports TensorFlow until the command is known to be right.
"""

from __future__ import annotations

import logging
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from emotion import runs
from emotion.base import exits, logs, words
from emotion.base.errors import UserError
from emotion.config import cli, trust, typed
from emotion.faces.contract import Contract
from emotion.runs import creating, finding, repeating, resuming, status
from emotion.train import sweep

if TYPE_CHECKING:
    import keras

    from emotion.data.cache import Store
    from emotion.data.examples import Splits

log = logging.getLogger(__name__)

#: Bytes that the files of a small run take, at the least.
_LEAST_ROOM = 2_000_000


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
        from emotion.data import framing, seen, sources
        from emotion.inference import litert, summary
        from emotion.runs import checkpoints
        from emotion.train import balance, board, distillation, environment, fit, state

        environment.set_up(cfg.trainer, cfg.seed)
        saved = state.load(run.state) if resume else None
        splits = sources.load(cfg.dataset)
        resuming.check_data(run, splits.fingerprint)
        if not resume:
            framing.check(cfg.dataset, splits)
        contract = _contract(cfg, run, splits.labels, resume)
        if resume:
            resuming.take_over(run, cfg)
        runs.update(run, data=splits.fingerprint, unreadable=[list(u) for u in splits.unreadable])
        seen.save(run.path, seen.union(seen.of(splits), *distillation.seen_by_teachers(cfg)))
        for note in splits.notes:
            log.info("%s", note)
        counts = ", ".join(f"{len(splits[s]):,} {s}" for s in ("train", "validation", "test"))
        log.info("data %s: %s", splits.fingerprint["pixels"][:12], counts)

        data = fit.Data.open(distillation.with_targets(cfg, splits, run), contract, cfg.dataset)
        validation = data.validation
        weighed = balance.Balance.of(cfg.trainer, data.splits)
        replace(contract, prior=weighed.prior).save(run.path / "contract.json")
        fitted = fit.fit(cfg, run, data, weighed, saved)
        del data  # the training images are not needed any more
        progress = fitted.progress
        runs.update(
            run,
            parameters=fitted.parameters,
            training_seconds=round(progress.seconds, 1),
            stopped_early=fitted.stopped_early,
            objective={"name": cfg.trainer.monitor, "value": progress.best, "epoch": progress.best_epoch},
        )

        model = checkpoints.load(run.checkpoint(), made_here=True)
        scores = _score(cfg, run, model, splits, validation)
        board.write_scores(run, scores, progress.best_epoch, progress.seconds)
        memory = environment.peak_memory()
        compared = validation.read(np.arange(min(litert.COMPARED, len(validation))))
        costs = litert.efficiency(run, model, compared, "validation split")
        runs.update(run, efficiency=costs | {"peak_memory_bytes": memory})
        shown = list(scores)[-1]
        log.info("%s", summary.text(run, shown, scores[shown]))
    log.info("done: %s", run.path)
    return {"run": run.id, "objective": progress.best, "scores": scores}


def _score(
    cfg: DictConfig, run: runs.Run, model: keras.Model, splits: Splits, validation: Store
) -> dict[str, dict[str, Any]]:
    """Calibrate the best checkpoint, score it on the splits that were held out, and write the figures."""
    from emotion.data import seen
    from emotion.inference import scoring, writing
    from emotion.inference.runtimes import Traced

    traced = Traced(model)
    raw = scoring.answers(traced, validation, run)
    if cfg.trainer.get("calibrate", True):
        scoring.calibrate(run, raw, splits.validation)
    scorer = scoring.Scoring(run, splits, seen.load(run.path), bootstrap=cfg.trainer.bootstrap)
    scored = {"validation": scorer.score("validation", raw, validation)}
    if len(splits.test):  # read here for the first time
        test = scorer.open("test", cfg.dataset)
        scored["test"] = scorer.score("test", scoring.answers(traced, test, run), test)
    else:
        log.warning("the test split is empty: this run has validation scores alone, which are optimistic")
    writing.write_own(run, scored, splits.fingerprint)
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
    elif cfg.again is not None:
        run = runs.resolve(cfg.again, cfg.outputs)
        result = train(repeating.config_of(run, cfg, list(HydraConfig.get().overrides.task)), folder)
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
            cli.launch(_resumed(request, request.cfg), job)
        elif request.cfg.again is not None:
            request = _repeated(request, request.cfg)
            _check_place(request)
            cli.launch(request, job)
        else:
            _check_place(request)
            cli.launch(request, job)


def _resumed(request: cli.Request, asked: DictConfig) -> cli.Request:
    """A request to resume a run, in that run's folder.

    Raises:
        UserError: No run is named, it cannot be resumed so, or it names a function that the user did not.
    """
    if isinstance(asked.resume, bool):
        raise UserError("resume: say which run, such as resume=latest; true is for sweeps, with -m")
    if asked.again is not None:
        raise UserError("again: begins a new run like another; leave out resume, or again")
    run = runs.resolve(asked.resume, asked.outputs, finding.unresumable)
    trust.check(resuming.config_of(run, asked, list(request.overrides)), f"run {run.id}", trust.named(request))
    here = f"hydra.run.dir={typed.quoted(run.path)}"
    return request.naming("resume", run.path).with_overrides(here, "hydra.output_subdir=null")


def _repeated(request: cli.Request, asked: DictConfig) -> cli.Request:
    """A request for a new run like another, in a folder that is called after its model.

    Raises:
        UserError: There is no such run, it cannot be repeated so, or it names a function that the user did not.
    """
    run = runs.resolve(asked.again, asked.outputs, finding.untrained)
    cfg = repeating.config_of(run, asked, list(request.overrides))
    trust.check(cfg, f"run {run.id}", trust.named(request))
    request = request.naming("again", run.path)
    if any(o.startswith("hydra.run.dir=") for o in request.overrides):
        return request
    name = re.sub(r"[^\w-]+", "_", str(cfg.model.get("name", "model")))[:60]  # it may be from elsewhere
    return request.with_overrides(f"hydra.run.dir={typed.quoted(runs.new_folder(Path(asked.outputs), name))}")


def _check_place(request: cli.Request) -> None:
    """Refuse a folder that cannot be a new run's before Hydra writes into it."""
    assert request.cfg is not None
    creating.teachers(request.cfg)
    folders = [o.partition("=")[2].strip("'\"") for o in request.overrides if o.startswith("hydra.run.dir=")]
    if folders and Path(folders[-1]).exists() and not Path(folders[-1]).is_dir():
        raise UserError(f"hydra.run.dir: '{folders[-1]}' is not a folder; choose another place")
    if folders and runs.is_run(Path(folders[-1])):
        raise UserError(f"hydra.run.dir: there is a run in '{folders[-1]}' already; choose another folder or resume it")
    try:
        Path(request.cfg.outputs).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"outputs: '{request.cfg.outputs}' cannot be a folder for runs ({error.strerror})") from None
    free = shutil.disk_usage(request.cfg.outputs).free
    if free < _LEAST_ROOM:
        raise UserError(f"outputs: the disk of '{request.cfg.outputs}' is full ({words.size(free)} left); make room")
