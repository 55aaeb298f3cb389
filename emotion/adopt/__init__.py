"""Adopt a network: ``python -m emotion.adopt file=theirs.hdf5 labels=fer2013 pixels=minus_one_to_one dataset=...``.

Somebody else's Keras model becomes a run like any other. Nothing here imports TensorFlow until the file's architecture
and the labels are known to be right.
"""

from __future__ import annotations

import logging
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from emotion import runs
from emotion.adopt import model_file
from emotion.base import files, logs
from emotion.base.errors import UserError, did_you_mean
from emotion.config import cli
from emotion.faces import labels
from emotion.faces.contract import Contract
from emotion.runs import status

if TYPE_CHECKING:
    import keras

    from emotion.data.examples import Splits

log = logging.getLogger(__name__)

#: How far from 1 the probabilities of a picture may add up to, from rounding in half precision.
_SUM_TOLERANCE = 0.02


def adopt(cfg: DictConfig) -> runs.Run:
    """Make a run of a Keras model that was trained elsewhere.

    Its ``best.keras`` takes uint8 pictures and gives probabilities in our order of labels; around it are the usual
    files but for those of a training. ``run.json`` says under ``adopted`` what was taken.

    Args:
        cfg: The composed and validated config of ``conf/adopt.yaml``.

    Raises:
        UserError: A file that is no whole Keras model of built-in layers, labels that are not the dataset's, or values
            that do not fit the network. Nothing is left behind.
    """
    found = model_file.read(Path(cfg.file))
    theirs = label_order(cfg.labels)
    ours = _labels_of(cfg.dataset, theirs)
    if sorted(theirs) != sorted(ours):
        raise UserError(
            f"labels: {', '.join(theirs)} must be the dataset's, each once, in the network's order: {', '.join(ours)}"
        )
    name = _name(cfg.name, found.path)
    logs.import_tensorflow()
    from emotion.adopt import wrap
    from emotion.data import sources

    network = wrap.load(found)
    contract = _contract(cfg, network, ours)
    model = wrap.wrap(network, contract, theirs, cfg.pixels, cfg.output)
    _check_answers(model, contract)
    splits = None if cfg.dataset is None else sources.load(cfg.dataset)
    taken = {"file": found.path.name, "sha256": found.sha256, "pixels": cfg.pixels, "labels": list(theirs)}
    looks = {key: getattr(contract, key) for key in ("height", "width", "colour", "interpolation")}
    described = OmegaConf.create(
        {
            "dataset": cfg.dataset,
            "model": {"name": name, **taken, "output": cfg.output, **looks},
            "seed": None,  # theirs is not known
            "outputs": cfg.outputs,
        }
    )
    root = Path(cfg.outputs)
    run = runs.create(runs.new_folder(root, name), root, described)
    try:
        with status.recorded(run):
            _fill(run, model, contract, splits, taken | {"source": cfg.source, "licence": cfg.licence})
    except BaseException:
        shutil.rmtree(run.path, ignore_errors=True)  # what is there of it can be made again, and nobody can use it
        raise
    print(f"adopted {found.path.name} as {run.path}")
    print(f"score it: python -m emotion.evaluate run={run.reference}" + ("" if splits else " dataset=..."))
    return run


def _fill(run: runs.Run, model: keras.Model, contract: Contract, splits: Splits | None, taken: dict[str, Any]) -> None:
    import numpy as np

    from emotion.inference import litert
    from emotion.inference.held_out import read as read_pictures
    from emotion.runs import checkpoints

    contract.save(run.path / "contract.json")
    run.checkpoints.mkdir()
    with files.replacing(run.best) as temporary:
        model.save(temporary)
    model = checkpoints.load(run.checkpoint())  # what everybody else gets
    runs.update(run, adopted=taken, parameters=model.count_params())
    pictures, compared_on = litert.drawn_faces(contract), "drawn faces"
    if splits is not None:
        runs.update(run, data=splits.fingerprint, unreadable=[list(u) for u in splits.unreadable])
        for note in splits.notes:
            log.info("%s", note)
        some = splits.validation.take(np.arange(min(litert.COMPARED, len(splits.validation))))
        if len(some):
            pictures, compared_on = read_pictures(some, contract), "validation split"
    runs.update(run, efficiency=litert.efficiency(run, model, pictures, compared_on))


def label_order(given: Any) -> tuple[str, ...]:
    """Our names of a network's outputs, in its order.

    Args:
        given: A list of names as other datasets spell them, or the name of a published numbering.

    Raises:
        UserError: Neither; or a name that is none of the emotions, or comes twice.
    """
    if isinstance(given, str):
        numbering = labels.NUMBERINGS.get(given, {})
        if len(numbering) != max(numbering, default=0) - min(numbering, default=0) + 1:
            orders = [name for name, numbers in labels.NUMBERINGS.items() if len(numbers) > max(numbers) - min(numbers)]
            raise UserError(
                f"labels: '{given}' is neither a list of emotions, such as [angry,disgust,...], nor one of "
                f"{', '.join(orders)}.{did_you_mean(given, orders)}"
            )
        return tuple(numbering[number] for number in sorted(numbering))
    if not OmegaConf.is_list(given):
        raise UserError(f"labels: '{given}' must be a list of emotions in the network's order, such as [angry,sad,...]")
    found = []
    for word in given:
        try:
            is_contempt = str(word).strip().lower() == labels.CONTEMPT
            found.append(labels.CONTEMPT if is_contempt else labels.EMOTIONS[labels.index_of(str(word))])
        except UserError as error:
            raise UserError(f"labels: {str(error).partition(' Set dataset')[0]}") from None
    twice = sorted({name for name in found if found.count(name) > 1})
    if twice:
        raise UserError(f"labels: {', '.join(twice)} given more than once; each of its outputs means another emotion")
    return tuple(found)


def _labels_of(dataset: DictConfig | None, theirs: tuple[str, ...]) -> tuple[str, ...]:
    keeps = labels.CONTEMPT in theirs if dataset is None else dataset.get("contempt") == "keep"
    return (*labels.EMOTIONS, labels.CONTEMPT) if keeps else labels.EMOTIONS


def _name(given: str | None, path: Path) -> str:
    name = re.sub(r"[^\w.-]+", "_", path.stem) if given is None else given
    if not re.fullmatch(r"[\w.-]*\w[\w.-]*", name) or len(name) > 60:
        raise UserError(f"name: '{name}' cannot be part of a folder's name; set name=<letters, digits, _ . ->")
    return name


def _contract(cfg: DictConfig, network: keras.Model, names: tuple[str, ...]) -> Contract:
    from emotion.adopt import wrap
    from emotion.data import crop_margin

    height, width, channels = wrap.input_shape(network, cfg.height, cfg.width)
    colour = cfg.colour or ("gray" if channels == 1 else "rgb")
    if colour == "rgb" and channels == 1:
        raise UserError("colour: the network takes one channel, so its pictures are gray; leave colour out")
    margin = 0.0
    if cfg.dataset is not None:
        margin, note = crop_margin.for_live(cfg.dataset)
        log.info("%s", note)
    return Contract(height, width, colour, margin, cfg.interpolation, names)


def _check_answers(model: keras.Model, contract: Contract) -> None:
    """Refuse outputs that are no probabilities, which no score would show."""
    import numpy as np

    from emotion.inference import litert
    from emotion.inference.predict import predict

    answers = predict(model, litert.drawn_faces(contract))
    if not np.isfinite(answers).all():
        raise UserError("file: the network's outputs are not all numbers; its weights are damaged, or pixels is wrong")
    sums = answers.sum(axis=1)
    if answers.min() < -_SUM_TOLERANCE or np.abs(sums - 1).max() > _SUM_TOLERANCE:
        raise UserError(
            f"output: these are no probabilities: on some pictures they add up to {sums.min():.3g} to "
            f"{sums.max():.3g} and the least is {answers.min():.3g}. Set output=logits if a softmax is missing"
        )


def main() -> None:
    cli.main("adopt", adopt)
