"""Import a third-party model: ``python -m emotion.adopt file=net.h5 labels=fer2013 pixels=raw dataset=...``.

A Keras model that was trained elsewhere becomes a run like any other. Nothing here imports TensorFlow until the file's
architecture and the labels have been checked.
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

#: How far the probabilities of an image may add up to something else than 1, from rounding in half precision.
_SUM_TOLERANCE = 0.02


def adopt(cfg: DictConfig) -> runs.Run:
    """Make a run of a Keras model that was trained elsewhere, by a config of ``conf/adopt.yaml``.

    Its ``best.keras`` takes uint8 images and returns probabilities in our order of labels; the run has the usual files
    except those of a training. ``run.json`` records the source under ``adopted``.

    Raises:
        UserError: A file that is no whole Keras model of built-in layers, labels that are not the dataset's, or values
            that do not fit the network. Nothing is left behind.
    """
    source = model_file.read(Path(cfg.file))
    order = label_order(cfg.labels)
    keeps_contempt = labels.CONTEMPT in order if cfg.dataset is None else cfg.dataset.get("contempt") == "keep"
    names = (*labels.EMOTIONS, labels.CONTEMPT) if keeps_contempt else labels.EMOTIONS
    if sorted(order) != sorted(names):
        raise UserError(
            f"labels: {', '.join(order)} must be the dataset's, each once, in the network's order: {', '.join(names)}"
        )
    name = _name(cfg.name, source.path)
    logs.import_tensorflow()
    from emotion.adopt import wrap
    from emotion.data import sources

    network = wrap.load(source)
    contract = _contract(cfg, network, names)
    model = wrap.wrap(network, contract, order, cfg.pixels, cfg.output)
    _check_outputs(model, contract)
    splits = None if cfg.dataset is None else sources.load(cfg.dataset)
    adopted = {"file": source.path.name, "sha256": source.sha256, "pixels": cfg.pixels, "labels": list(order)}
    inputs = {key: getattr(contract, key) for key in ("height", "width", "colour", "interpolation")}
    config = OmegaConf.create(
        {
            "dataset": cfg.dataset,
            "model": {"name": name, **adopted, "output": cfg.output, **inputs},
            "seed": None,  # not known
            "outputs": cfg.outputs,
        }
    )
    root = Path(cfg.outputs)
    run = runs.create(runs.new_folder(root, name), root, config)
    try:
        with status.recorded(run):
            _fill(run, model, contract, splits, adopted | {"source": cfg.source, "licence": cfg.licence})
    except BaseException:
        shutil.rmtree(run.path, ignore_errors=True)  # it can be made again, and is of no use as it is
        raise
    print(f"imported {source.path.name} as {run.path}")
    print(f"score it: python -m emotion.evaluate run={run.reference}" + ("" if splits else " dataset=..."))
    return run


def _name(name: str | None, file: Path) -> str:
    """The model's name, by default the file's."""
    name = re.sub(r"[^\w.-]+", "_", file.stem) if name is None else name
    if not re.fullmatch(r"[\w.-]*\w[\w.-]*", name) or len(name) > 60:
        raise UserError(f"name: '{name}' cannot be part of a folder's name; set name=<letters, digits, _ . ->")
    return name


def _fill(run: runs.Run, model: keras.Model, contract: Contract, splits: Splits | None, adopted: Any) -> None:
    from emotion.inference import litert
    from emotion.runs import checkpoints

    contract.save(run.path / "contract.json")
    run.checkpoints.mkdir()
    with files.replacing(run.best) as temporary:
        model.save(temporary)
    model = checkpoints.load(run.checkpoint())  # as every other command will
    runs.update(run, adopted=adopted, parameters=model.count_params())
    if splits is not None:
        runs.update(run, data=splits.fingerprint, unreadable=[list(u) for u in splits.unreadable])
        for note in splits.notes:
            log.info("%s", note)
    images, compared_on = litert.comparison_images(splits.validation if splits else None, contract)
    runs.update(run, efficiency=litert.efficiency(run, model, images, compared_on))


def label_order(given: Any) -> tuple[str, ...]:
    """Our names of a network's outputs, in its order.

    Args:
        given: A list of names as other datasets spell them, or the name of a published numbering.

    Raises:
        UserError: Neither; or a name that is no emotion, or is repeated.
    """
    if isinstance(given, str):
        orders = {
            name: numbering
            for name, numbering in labels.NUMBERINGS.items()
            if len(numbering) == max(numbering) - min(numbering) + 1
        }
        if given not in orders:
            raise UserError(
                f"labels: '{given}' is neither a list of emotions, such as [angry,disgust,...], nor one of "
                f"{', '.join(orders)}.{did_you_mean(given, orders)}"
            )
        return tuple(name for _, name in sorted(orders[given].items()))
    if not OmegaConf.is_list(given):
        raise UserError(f"labels: '{given}' must be a list of emotions in the network's order, such as [angry,sad,...]")
    names = []
    for word in map(str, given):
        try:
            is_contempt = word.strip().lower() == labels.CONTEMPT
            names.append(labels.CONTEMPT if is_contempt else labels.EMOTIONS[labels.index_of(word)])
        except UserError as error:
            raise UserError(f"labels: {str(error).partition(' Set dataset')[0]}") from None
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise UserError(f"labels: {', '.join(repeated)} given more than once; every output is another emotion")
    return tuple(names)


def _contract(cfg: DictConfig, network: keras.Model, names: tuple[str, ...]) -> Contract:
    from emotion.adopt import wrap
    from emotion.data import crop_margin

    height, width, channels = wrap.input_shape(network, cfg.height, cfg.width)
    colour = cfg.colour or ("gray" if channels == 1 else "rgb")
    if colour == "rgb" and channels == 1:
        raise UserError("colour: the network takes one channel, so its images are gray; leave colour out")
    margin = 0.0
    if cfg.dataset is not None:
        margin, note = crop_margin.for_live(cfg.dataset)
        log.info("%s", note)
    return Contract(height, width, colour, margin, cfg.interpolation, names)


def _check_outputs(model: keras.Model, contract: Contract) -> None:
    """Refuse outputs that are no probabilities, which no score would show."""
    import numpy as np

    from emotion.inference import litert
    from emotion.inference.classifier import predict
    from emotion.inference.runtimes import Traced

    outputs = predict(Traced(model), litert.drawn_faces(contract))
    if not np.isfinite(outputs).all():
        raise UserError("file: the network's outputs are not all numbers; its weights are damaged, or pixels is wrong")
    sums = outputs.sum(axis=1)
    if outputs.min() < -_SUM_TOLERANCE or np.abs(sums - 1).max() > _SUM_TOLERANCE:
        raise UserError(
            f"output: these are no probabilities: their sums are {sums.min():.3g} to {sums.max():.3g}, the smallest is "
            f"{outputs.min():.3g}. Set output=logits if a softmax is missing"
        )


def main() -> None:
    cli.main("adopt", adopt)
