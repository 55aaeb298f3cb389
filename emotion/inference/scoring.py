"""Scoring a checkpoint on a split; :mod:`emotion.inference.writing` writes what comes of it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from omegaconf import DictConfig

from emotion import metrics, runs
from emotion.base.errors import UserError
from emotion.base.progress import progress, working
from emotion.data import cache, pipeline, seen
from emotion.data.examples import ALL, Examples, Splits
from emotion.faces import priors
from emotion.faces.contract import Contract
from emotion.inference import mistakes
from emotion.inference import priors as run_priors
from emotion.inference.classifier import Classifier, check_fit, predict
from emotion.inference.mistakes import Map, Mistake
from emotion.inference.runtimes import Probabilities, Traced
from emotion.metrics import agreement, calibration, slices
from emotion.runs import figures, predictions
from emotion.runs.predictions import Predictions

log = logging.getLogger(__name__)

Scores = dict[str, Any]


@dataclass(frozen=True)
class Scored:
    """A split's scores, and the answers that they are of, with the column ``leaked`` where that is known.

    Attributes:
        scores: Those of :func:`emotion.metrics.score`, with ``test_set``, which images these are, and ``official``,
            whether they are a split as its authors published it; of a test split whose images could be compared with
            the training data those of :func:`emotion.metrics.score_with_leak_free`. Where people voted, those of
            :func:`emotion.metrics.agreement.score` as ``agreement``.
        mistakes: The most confident wrong answers, the most confident first.
        maps: Of the first of them, where the network looked; see :func:`emotion.inference.mistakes.occlusion`.
    """

    scores: Scores
    predictions: Predictions
    mistakes: tuple[Mistake, ...] = ()
    maps: tuple[Map, ...] = ()


@dataclass(frozen=True)
class Scoring:
    """How the splits of a dataset are scored.

    Attributes:
        run: Whose contract says how images are prepared and what the outputs mean.
        splits: The data to score on.
        seen: The images that the run has seen; None where that is not known.
        bootstrap: Resamples for the intervals.
        calibrated: Whether the contract's temperature belongs to the model that is scored.
        prior: What ``prior=`` asks for; see :func:`emotion.inference.priors.contract`.
        shown: How many of the most confident mistakes are kept with their images.
    """

    run: runs.Run
    splits: Splits
    seen: seen.Compact | None
    bootstrap: int
    calibrated: bool = True
    prior: Any = None
    shown: int = mistakes.SHOWN

    def open(self, split: str, dataset: DictConfig) -> cache.Store:
        """A split's images, prepared, and cached as the dataset config says.

        Raises:
            UserError: The split has no images, other labels than the run, or an image that can no longer be read.
        """
        if not len(self.splits[split]):
            raise UserError(
                f"split: the {split} split of this data has no images; choose another split=..., such as validation"
            )
        contract = self.run.contract()
        if contract.labels != self.splits.labels:
            raise UserError(
                f"dataset: its labels are {', '.join(self.splits.labels)}; those of run {self.run.id} are "
                f"{', '.join(contract.labels)}. Score it on data with the same labels"
            )
        return cache.open_store(self.splits[split], contract, cache=dataset.cache, cache_dir=dataset.cache_dir)

    @working("computing scores and their intervals")
    def score(
        self,
        split: str,
        raw: Probabilities,
        store: cache.Store | None = None,
        columns: Mapping[str, slices.Texts] | None = None,
    ) -> Scored:
        """Score what :func:`answers` gave for a split: the test split, or all images, also without leaked ones.

        With the split's prepared images, ``store``, the most confident mistakes are kept with theirs.

        With another prior than that of training, ``target_prior`` gives its shares by label, and ``as_trained`` the
        score without it. With columns that divide the images, ``slices`` gives what
        :func:`emotion.metrics.slices.score` does.
        """
        examples, contract = self.splits[split], self.contract_for(raw)
        probabilities = calibration.answers(raw, contract)
        # In an order of their own, so that every bootstrap of these images draws the same ones.
        order = predictions.ordered(examples.hashes, examples.labels, {})[0]
        ours, labels = probabilities[order], examples.labels[order]
        options: dict[str, Any] = {"names": contract.labels, "bootstrap": self.bootstrap}
        leaked = seen.among(examples.hashes, self.seen) if split in ("test", ALL) and self.seen is not None else None
        if leaked is not None:
            scores = metrics.score_with_leak_free(ours, labels, leaked[order], **options)
        else:
            scores = metrics.score(ours, labels, **options)
        marks = self.splits.fingerprint
        scores |= {"test_set": figures.test_set(marks, split), "official": figures.is_official(marks, split)}
        if contract.target_prior is not None:
            own = calibration.answers(raw, replace(contract, target_prior=None))[order]
            scores |= {
                "target_prior": dict(zip(contract.labels, contract.target_prior, strict=True)),
                "as_trained": metrics.score(own, labels, **options),
            }
        if examples.part_labels is not None:
            by_part = zip(self.splits.parts, examples.part_labels[order].T, strict=True)
            scores |= {"parts": metrics.score_parts(ours, dict(by_part), **options)}
        if columns:
            scores |= {"slices": slices.score(probabilities.argmax(axis=1) == examples.labels, columns)}
        if examples.votes is not None:
            # Calibration is to the majority's label; how people divide is what the network itself was fitted to.
            scores |= {"agreement": agreement.score(raw[order], examples.votes[order], bootstrap=self.bootstrap)}
        answered = Predictions(
            probabilities, examples.labels.astype(np.int8), examples.hashes, examples.votes, leaked,
            mistakes.names(self.splits, split),
        )  # fmt: skip
        found = () if store is None else mistakes.find(examples, answered, store, self.shown)
        return Scored(scores, answered, found)

    def contract_for(self, raw: Probabilities) -> Contract:
        """By which contract these answers are read: with the target prior, estimated from them where that is asked."""
        contract = run_priors.contract(self.run, self.prior)
        if self.prior == priors.ESTIMATE:
            contract = replace(contract, target_prior=priors.estimate(raw, priors.trained_prior(contract)))
        return contract if self.calibrated else replace(contract, temperature=1.0)


def answers(
    model: Traced | Classifier,
    store: cache.Store,
    run: runs.Run,
    batch_size: int = 256,
    tta: str = "none",
) -> Probabilities:
    """The model's own probabilities for prepared images, before calibration: float32 ``[N, C]``.

    Args:
        model: The checkpoint, or its export with an uncalibrated contract.
        run: Whose model it is, for the progress bar.
        tta: ``none``, or ``flip``: each answer is the mean of those for the image and its mirror image.

    Raises:
        UserError: The model disagrees with the contract or gives no probabilities, or an image can no longer be read.
    """
    if isinstance(model, Traced):
        check_fit(run.checkpoint(), model.inputs, model.outputs, run.contract())
    passes = 2 if tta == "flip" else 1
    with cache.failing(store), progress(passes * len(store), f"asking run {run.id}") as advance:
        raw = predict(model, _counted(pipeline.evaluation(store, batch_size=batch_size), advance))
        if tta == "flip":
            mirrored = pipeline.evaluation(store, batch_size=batch_size).map(lambda images: images[:, :, ::-1])
            raw = 0.5 * (raw + predict(model, _counted(mirrored, advance)))
    if not np.isfinite(raw).all():
        raise UserError(f"{run.checkpoint()}: its outputs are not numbers (NaN); training diverged, use another run")
    if len(raw) and (raw.min() < 0 or np.abs(raw.sum(axis=1) - 1).max() > 1e-3):
        raise UserError(f"{run.checkpoint()}: its outputs are no probabilities, which add up to 1; use another run")
    return raw


def _counted(batches: Iterable[Any], advance: Callable[[int], None]) -> Iterator[Any]:
    for images in batches:
        yield images
        advance(len(images))


def calibrate(run: runs.Run, raw: Probabilities, examples: Examples) -> None:
    """Fit a temperature on the answers to the validation split, and put it into the run's contract.

    It is fitted with the prior in force there, that of the validation split: a network that was trained with other
    shares, such as with balanced batches, is not taken for one that is sure of itself too much or too little.
    """
    contract, labels = run.contract(), examples.labels
    adjusted = raw
    if contract.prior is not None and len(labels):
        counts = np.bincount(labels, minlength=len(contract.labels))
        adjusted = priors.adjust(raw, contract.prior, tuple(counts / counts.sum()))
    temperature = calibration.fit_temperature(adjusted, labels)
    replace(contract, temperature=temperature).save(run.path / "contract.json")
    if len(examples) < calibration.FEWEST:
        log.info("confidence is not calibrated: %d validation images are too few for it", len(examples))
    else:
        log.info("confidence calibrated on validation: temperature %.2f", temperature)
