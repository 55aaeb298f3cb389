"""Label the faces of a video: ``python -m emotion.live run=latest source=clip.mp4 save=labelled.mp4 log=faces.jsonl``.

Nothing is stored unless ``save`` or ``log`` asks for it, and nothing is left in the working directory.
"""

from __future__ import annotations

import signal
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from omegaconf import DictConfig

from emotion import cli
from emotion.errors import UserError


def run(cfg: DictConfig) -> dict[str, Any]:
    """Label a source's frames, print a summary and return it.

    Returns:
        :class:`emotion.live.loop.Summary`'s fields, ``run`` (its id), and ``signal``: the number of the signal that
        ended it, or None.

    Raises:
        UserError: No such run, source, folder or display, or a model that disagrees with its contract.
    """
    from emotion import faces, runs
    from emotion.live import loop, sinks, source
    from emotion.live.classifier import Classifier

    _check_paths(cfg)
    with loop.interruption() as stopped:
        chosen = runs.resolve(cfg.run, cfg.outputs)
        classifier = Classifier(chosen.tflite(), chosen.contract(), cfg.threads)
        detector = partial(faces.detect, faces.load_cascade(), **cfg.detector)
        with source.opened(cfg.source, cfg.max_frames) as stream:
            outputs: list[sinks.Sink] = []
            if cfg.save is not None:
                outputs.append(sinks.Video(cfg.save, stream.rate, steady=stream.kind == "camera"))
            if cfg.log is not None:
                outputs.append(sinks.Lines(cfg.log, classifier.contract.labels))
            if cfg.display == "window" or (cfg.display == "auto" and sinks.no_window() is None):
                outputs.append(sinks.Window(stream.kind == "video", stream.kind == "picture", stopped))
            print(f"run {chosen.id} on {stream.name}", flush=True)
            summary = loop.run(stream.frames, detector, classifier, outputs, stopped)
    if stopped():
        print("interrupted; files are whole up to here")
    print(loop.report(summary))
    for key in ("save", "log"):
        if cfg[key] is not None:
            print(f"  {key}: {cfg[key]}")
    return asdict(summary) | {"run": chosen.id, "signal": stopped.signal}


def _check_paths(cfg: DictConfig) -> None:
    """Refuse to write over what is read, or twice to one file."""
    paths = {
        key: Path(str(cfg[key])).expanduser().resolve() for key in ("source", "save", "log") if cfg[key] is not None
    }
    for key, other in (("save", "source"), ("log", "source"), ("log", "save")):
        if key in paths and paths[key] == paths.get(other):
            raise UserError(f"{key}: '{cfg[key]}' is also {other}=; choose another file")


def _task(cfg: DictConfig) -> None:
    from emotion.runs import Interrupted

    ended_by = run(cfg)["signal"]
    if ended_by == signal.SIGINT:
        raise KeyboardInterrupt
    if ended_by == signal.SIGTERM:
        raise Interrupted


def main() -> NoReturn:
    cli.main("live", _task)


if __name__ == "__main__":
    main()
