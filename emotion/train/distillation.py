"""Learning from other runs' answers as well as from the labels (Hinton, Vinyals and Dean 2015), offline.

A teacher answers once for every training image as it is and mirrored; its probabilities are kept on disk. Their mean
over the teachers is softened and mixed into the targets. Augmented images keep the answer for the image that they
were made of.
"""

from __future__ import annotations

import hashlib
import logging
import shlex
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from omegaconf import DictConfig

from emotion import runs
from emotion.base import files
from emotion.base.errors import UserError
from emotion.data import cache, seen
from emotion.data.examples import Splits
from emotion.faces import priors
from emotion.inference import scoring
from emotion.inference.runtimes import Probabilities, Traced
from emotion.metrics import calibration
from emotion.runs import checkpoints, creating

if TYPE_CHECKING:
    import keras

log = logging.getLogger(__name__)

#: Share of the test images that a teacher may have seen as copies elsewhere: 8 % of FER2013's are in its training too.
_MOST_SEEN = 0.1

Targets = np.ndarray[Any, np.dtype[np.float32]]


def with_targets(cfg: DictConfig, splits: Splits, run: runs.Run) -> Splits:
    """The splits with the targets that are fitted: balanced, mixed with what teachers say, or as they are.

    With ``trainer.balanced_targets`` each target is divided by the class shares of the training split and normalised:
    where people divide between a rare and a frequent emotion, the rare one gains.

    With teachers, targets become ``(1 - w) * target + w * softmax(log(p) / T)``, with ``p`` the mean of the teachers'
    probabilities, each moved to the class shares of these targets (equal ones where they are balanced), ``w``
    ``trainer.teacher_weight`` and ``T`` ``trainer.teacher_temperature``. The run records its teachers, also one that
    gives its weights alone (``w`` is 0).

    Raises:
        UserError: No such run, a teacher with other labels, or one that may have seen what this run is judged by.
    """
    settings = cfg.trainer
    teachers, balanced = creating.teachers(cfg), settings.get("balanced_targets", False)
    if not teachers and not balanced:
        return splits
    for teacher in teachers:
        _check(teacher, splits, counted=settings.get("teacher_seen", "refuse") == "count")
    train = splits.train
    own = np.eye(len(splits.labels), dtype=np.float32)[train.labels] if train.targets is None else train.targets
    prior = own.sum(axis=0) / own.sum()
    if balanced:
        shares, prior = prior, (prior > 0) / (prior > 0).sum()
        own = priors.adjust(own, shares, prior)
    if teachers:
        runs.update(run, teachers=[{"run": t.id, "checkpoint": files.sha256(t.checkpoint())} for t in teachers])
    weight = np.float32(settings.teacher_weight if teachers else 0)
    if not weight:
        return replace(splits, train=replace(train, targets=own)) if balanced else splits
    answers = np.mean([_for_prior(teacher, _answers(cfg, splits, teacher), prior) for teacher in teachers], axis=0)
    soft = calibration.apply(answers, settings.teacher_temperature)
    agree = float((soft.argmax(axis=1) == train.labels).mean())
    names = ", ".join(teacher.id for teacher in teachers)
    log.info("taught by run %s: %.1f %% of the training labels are its answer", names, 100 * agree)
    return replace(splits, train=replace(train, targets=(1 - weight) * own + weight * soft))


def _for_prior(teacher: runs.Run, answers: Targets, prior: Targets) -> Targets:
    """A teacher's answers for other class shares than those of its own training; as they are where it has none."""
    trained = teacher.contract().prior
    return answers if trained is None else priors.adjust(answers, trained, prior)


def _check(teacher: runs.Run, splits: Splits, counted: bool) -> None:
    if teacher.contract().labels != splits.labels:
        raise UserError(
            f"trainer.teacher: run {teacher.id} knows {', '.join(teacher.contract().labels)}; this data has "
            f"{', '.join(splits.labels)}"
        )
    if teacher.record().adopted:
        raise UserError(
            f"trainer.teacher: run {teacher.id} was adopted, and which images it was trained on is not known: it may "
            f"teach those that this run is judged by. Take a run that was trained here"
        )
    if splits.loss != "cross_entropy":
        raise UserError(
            "trainer.teacher: with dataset.label_mode=multi_target there is no target to mix a teacher's answers into; "
            "set dataset.label_mode=probability"
        )
    fingerprints = teacher.record().data.get("pixels_by_split") or {}
    other = [s for s in ("validation", "test") if fingerprints.get(s) != splits.fingerprint["pixels_by_split"][s]]
    if other and counted:
        _count(teacher, splits)
    elif other:
        raise UserError(
            f"trainer.teacher: run {teacher.id} was made with another {other[0]} split, so it may have been trained "
            f"on images that this run is judged by, and teach them. Train the teacher on this data with the same "
            f"dataset.split_seed, or set trainer.teacher_seen=count, which lets it see validation images and takes the "
            f"few test images that it has seen for leaked"
        )


def _count(teacher: runs.Run, splits: Splits) -> None:
    """Say what a teacher has seen of the images that a run is judged by; refuse one that has seen much of the test."""
    images = seen.load(teacher.path)
    if images is None:
        raise UserError(
            f"trainer.teacher: run {teacher.id} does not record which images it was trained on ({seen.FILE}). "
            f"Make the file where its data is: {teacher.evaluate_command()}"
        )
    counts = {s: int(seen.among(splits[s].hashes, images).sum()) for s in ("validation", "test")}
    if counts["test"] > _MOST_SEEN * len(splits.test):
        raise UserError(
            f"trainer.teacher: run {teacher.id} has seen {counts['test']:,} of {len(splits.test):,} test images. Train "
            f"a teacher on this data"
        )
    if not any(counts.values()):
        log.info("run %s has seen none of the validation and test images", teacher.id)
        return
    log.warning(
        "run %s has seen %s of %s validation images, whose scores are therefore optimistic, and %s of %s test images, "
        "which count as leaked",
        teacher.id,
        *(f"{n:,}" for s in counts for n in (counts[s], len(splits[s]))),
    )


def take_weights(model: keras.Model, cfg: DictConfig) -> None:
    """Begin with the weights of the first teacher, of the same architecture (``trainer.initial_weights=teacher``).

    Raises:
        UserError: Its network is another one.
    """
    teacher = creating.teachers(cfg)[0]
    given = checkpoints.load(teacher.checkpoint()).weights
    if [(w.path, w.shape) for w in given] != [(w.path, w.shape) for w in model.weights]:
        there, here = teacher.config().get("model") or {}, cfg.model
        other = {k: v for k, v in there.items() if k in here and v != here[k]}
        words = shlex.join(f"model.{k}={'null' if v is None else v}" for k, v in other.items())
        raise UserError(
            f"trainer.initial_weights: run {teacher.id} has another network than this model. Set what it was trained "
            f"with: {words or 'its own model, see its config.yaml'}"
        )
    for weight, value in zip(model.weights, given, strict=True):
        weight.assign(value)
    log.info("beginning with the weights of run %s", teacher.id)


def seen_by_teachers(cfg: DictConfig) -> list[seen.Compact]:
    """What the teachers have seen, as far as they record it."""
    found = [seen.load(teacher.path) for teacher in creating.teachers(cfg)]
    return [images for images in found if images is not None]


def _answers(cfg: DictConfig, splits: Splits, teacher: runs.Run) -> Targets:
    """The teacher's probabilities for the training images: float32 ``[N, C]``, from the cache where it has them."""
    checkpoint = teacher.checkpoint()
    digest = hashlib.sha256(files.sha256(checkpoint).encode())
    digest.update(np.ascontiguousarray(splits.train.hashes, "S16").tobytes())
    path = Path(cfg.dataset.cache_dir).expanduser() / f"teacher-flip-{digest.hexdigest()[:24]}.npy"
    shape = (len(splits.train), len(splits.labels))
    with suppress(OSError, ValueError, EOFError):
        cached: Probabilities = np.load(path, allow_pickle=False)
        if cached.shape == shape and cached.dtype == np.float32:
            return cached
    log.info("asking run %s about %s training images", teacher.id, f"{len(splits.train):,}")
    contract, dataset = teacher.contract(), cfg.dataset
    store = cache.open_store(splits.train, contract, cache=dataset.cache, cache_dir=dataset.cache_dir)
    # Of each image and its mirror image: students are shown both, and the mean is right more often.
    answers = scoring.answers(Traced(checkpoints.load(checkpoint)), store, teacher, tta="flip")
    try:
        with files.replacing_in_cache(path) as temporary, temporary.open("wb") as file:
            np.save(file, answers)
    except OSError as error:
        log.warning("%s cannot be written (%s), so the next start asks again", path, error.strerror)
    return answers
