"""Import a third-party model: ``python -m emotion.adopt file=net.h5 labels=fer2013 pixels=raw dataset=...``.

A model that was trained elsewhere becomes a run like any other: a Keras file, or a LiteRT or ONNX file, which can be
scored, compared and run live, but not trained on. Nothing here imports TensorFlow until file and labels have been
checked, and for LiteRT and ONNX not at all.
"""

from __future__ import annotations

import logging
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from emotion import runs
from emotion.adopt import model_file, plan, ready_made
from emotion.base import files, logs
from emotion.base.errors import UserError, did_you_mean
from emotion.base.progress import working
from emotion.config import cli
from emotion.faces import labels
from emotion.faces.contract import Contract
from emotion.runs import status

if TYPE_CHECKING:
    from emotion.adopt.ready_made import ReadyMade
    from emotion.adopt.wrap import KerasNetwork
    from emotion.data.examples import Splits

log = logging.getLogger(__name__)

#: How far the probabilities of an image may add up to something else than 1, from rounding in half precision.
_SUM_TOLERANCE = 0.02


def adopt(cfg: DictConfig) -> runs.Run:
    """Make a run of a model that was trained elsewhere, by a config of ``conf/adopt.yaml``.

    Its ``best.keras``, ``best.tflite`` or ``best.onnx`` takes uint8 images and returns probabilities in our order of
    labels; the run has the usual files except those of a training. ``run.json`` records the source under ``adopted``.

    Raises:
        UserError: A file that is no whole model of built-in operations, labels that are not the dataset's, or values
            that do not fit the network. Nothing is left behind.
    """
    path = model_file.find(Path(cfg.file))
    source = ready_made.read(path) if path.suffix.lower() in runs.READY_MADE else model_file.read(path)
    order = label_order(cfg.labels)
    keeps_contempt = labels.CONTEMPT in order if cfg.dataset is None else cfg.dataset.get("contempt") == "keep"
    names = (*labels.EMOTIONS, labels.CONTEMPT) if keeps_contempt else labels.EMOTIONS
    if sorted(order) != sorted(names):
        raise UserError(
            f"labels: {', '.join(order)} must be the dataset's, each once, in the network's order: {', '.join(names)}"
        )
    name = _name(cfg.name, path)
    with working("loading the network"):
        network = _opened(source)
    contract = _contract(cfg, network.signature, names)
    steps = plan.plan(network.signature, contract, order, cfg.pixels, cfg.output, cfg.colour == "bgr")
    from emotion.data import sources

    with files.temporary_folder() as folder:
        made = network.saved(steps, folder)
        _check_outputs(network, contract)
        splits = None if cfg.dataset is None else sources.load(cfg.dataset)
        adopted = {"file": path.name, "sha256": source.sha256, "pixels": cfg.pixels, "labels": list(order)}
        adopted |= {"channels": "bgr"} if cfg.colour == "bgr" else {}
        config = _config(cfg, name, adopted, contract)
        root = Path(cfg.outputs)
        run = runs.create(runs.new_folder(root, name), root, config)
        try:
            with status.recorded(run):
                _fill(run, network, made, contract, splits)
                runs.update(run, adopted=adopted | {"source": cfg.source, "licence": cfg.licence})
        except BaseException:
            shutil.rmtree(run.path, ignore_errors=True)  # it can be made again, and is of no use as it is
            raise
    print(f"imported {path.name} as {run.path}")
    print(f"score it: python -m emotion.evaluate run={run.reference}" + ("" if splits else " dataset=..."))
    return run


def _config(cfg: DictConfig, name: str, adopted: dict[str, Any], contract: Contract) -> DictConfig:
    """What the run's config says of the network and its data."""
    inputs = {key: getattr(contract, key) for key in ("height", "width", "colour", "interpolation")}
    return OmegaConf.create(
        {
            "dataset": cfg.dataset,
            "model": {"name": name, **adopted, "output": cfg.output, **inputs},
            "seed": None,  # not known
            "outputs": cfg.outputs,
        }
    )


def _name(name: str | None, file: Path) -> str:
    """The model's name, by default the file's."""
    name = re.sub(r"[^\w.-]+", "_", file.stem) if name is None else name
    if not re.fullmatch(r"[\w.-]*\w[\w.-]*", name) or len(name) > 60:
        raise UserError(f"name: '{name}' cannot be part of a folder's name; set name=<letters, digits, _ . ->")
    return name


def _opened(source: model_file.ModelFile | ReadyMade) -> KerasNetwork | ReadyMade:
    if not isinstance(source, model_file.ModelFile):
        return source
    logs.import_tensorflow()
    from emotion.adopt.wrap import KerasNetwork

    return KerasNetwork(source)


def _fill(
    run: runs.Run, network: KerasNetwork | ReadyMade, made: Path, contract: Contract, splits: Splits | None
) -> None:
    contract.save(run.path / "contract.json")
    run.checkpoints.mkdir()
    with files.replacing(run.checkpoints / made.name) as temporary:
        shutil.copyfile(made, temporary)
    runs.update(run, parameters=network.parameters)
    if splits is not None:
        runs.update(run, data=splits.fingerprint, unreadable=[list(u) for u in splits.unreadable])
        for note in splits.notes:
            log.info("%s", note)
    runs.update(run, efficiency=network.efficiency(run, splits))


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


def _contract(cfg: DictConfig, signature: plan.Signature, names: tuple[str, ...]) -> Contract:
    from emotion.data import crop_margin

    height, width, channels = plan.input_shape(signature, cfg.height, cfg.width)
    # Our images are RGB; the network's own order is restored inside the model.
    colour = "rgb" if cfg.colour == "bgr" else cfg.colour or ("gray" if channels == 1 else "rgb")
    if colour == "rgb" and channels == 1:
        raise UserError("colour: the network takes one channel, so its images are gray; leave colour out")
    margin = 0.0
    if cfg.dataset is not None:
        margin, note = crop_margin.for_live(cfg.dataset)
        log.info("%s", note)
    return Contract(height, width, colour, margin, cfg.interpolation, names)


@working("trying the network on drawn faces")
def _check_outputs(network: KerasNetwork | ReadyMade, contract: Contract) -> None:
    """Refuse outputs that are no probabilities, which no score would show."""
    import numpy as np

    from emotion.inference import litert

    outputs = network.predict(litert.drawn_faces(contract))
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
