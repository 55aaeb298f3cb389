"""Learning from other runs' answers as well as from the labels (Hinton, Vinyals and Dean 2015), offline.

A teacher answers once for every training image as it is and mirrored; its probabilities are kept on disk. Their mean
over the teachers is softened and mixed into the targets. Augmented images keep the answer for the image that they
were made of.
"""

from __future__ import annotations

import hashlib
import logging
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import DictConfig

from emotion import runs
from emotion.base import files
from emotion.base.errors import UserError
from emotion.data import cache
from emotion.data.examples import Splits
from emotion.inference import scoring
from emotion.inference.runtimes import Probabilities, Traced
from emotion.metrics import calibration
from emotion.runs import checkpoints, creating

log = logging.getLogger(__name__)

Targets = np.ndarray[Any, np.dtype[np.float32]]


def with_teacher(cfg: DictConfig, splits: Splits, run: runs.Run) -> Splits:
    """Mix the teachers' softened probabilities into the training targets, and record the teachers of the run.

    Targets become ``(1 - w) * target + w * softmax(log(p) / T)``, with ``p`` the mean of the teachers' probabilities,
    ``w`` ``trainer.teacher_weight`` and ``T`` ``trainer.teacher_temperature``.

    Raises:
        UserError: No such run, a teacher with other labels, or one that may have seen what this run is judged by.
    """
    settings = cfg.trainer
    teachers = creating.teachers(cfg)
    if not teachers:
        return splits
    for teacher in teachers:
        _check(teacher, splits)
    answers = np.mean([_answers(cfg, splits, teacher) for teacher in teachers], axis=0)
    soft = calibration.apply(answers, settings.teacher_temperature)
    train = splits.train
    own = np.eye(len(splits.labels), dtype=np.float32)[train.labels] if train.targets is None else train.targets
    weight = np.float32(settings.teacher_weight)
    runs.update(run, teachers=[{"run": t.id, "checkpoint": files.sha256(t.checkpoint())} for t in teachers])
    agree = float((soft.argmax(axis=1) == train.labels).mean())
    names = ", ".join(teacher.id for teacher in teachers)
    log.info("taught by run %s: %.1f %% of the training labels are its answer", names, 100 * agree)
    return replace(splits, train=replace(train, targets=(1 - weight) * own + weight * soft))


def _check(teacher: runs.Run, splits: Splits) -> None:
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
    fingerprints = teacher.record().data.get("pixels_by_split", {})
    for split in ("validation", "test"):
        if fingerprints.get(split) != splits.fingerprint["pixels_by_split"][split]:
            raise UserError(
                f"trainer.teacher: run {teacher.id} was made with another {split} split, so it may have been trained "
                f"on images that this run is judged by, and teach them. Train the teacher on this data with the same "
                f"dataset.split_seed"
            )


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
