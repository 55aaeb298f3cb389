"""Label the faces of a video: ``python -m emotion.live source=clip.mp4 save=labelled.mp4 log=faces.jsonl``.

Nothing is stored unless ``save``, ``log`` or ``timeline`` asks for it, and nothing is left in the working directory.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from omegaconf import DictConfig

from emotion import runs
from emotion.base import interrupts
from emotion.base.errors import UserError
from emotion.config import cli

if TYPE_CHECKING:
    from emotion.base.interrupts import Stop
    from emotion.faces.contract import Contract
    from emotion.live.sinks import Sink
    from emotion.video.frame import Stream
    from emotion.video.window import Window

log = logging.getLogger("emotion.live")  # under `python -m` this module is __main__


def run(cfg: DictConfig) -> dict[str, Any]:
    """Label a source's frames, print a summary and return it.

    Its keys are the fields of :class:`emotion.live.main_loop.Summary`, ``run`` (the id of the run or export) and
    ``signal`` (the number of the signal that ended it, or None).

    Raises:
        UserError: No such run, source, folder or display, or a model that disagrees with its contract.
    """
    from emotion.config import commands
    from emotion.faces import priors
    from emotion.faces.labelled import UNCERTAIN
    from emotion.inference import engines
    from emotion.inference.labeller import Labeller
    from emotion.inference.session import Settings
    from emotion.live import annotate, main_loop
    from emotion.live.main_loop import report
    from emotion.video import source
    from emotion.video.smoothing import LINGERING

    _check_paths(cfg)
    with interrupts.interruption() as stop:
        chosen = engines.find(cfg.run, cfg.outputs)
        classifier = engines.load(chosen, cfg.engine, cfg.threads, cfg.prior)
        classifier.warm_up()
        with source.opened(cfg.source, cfg.max_frames, cfg.stride, cfg.loop, stop) as stream:
            if stream.independent and cfg.prior == priors.ESTIMATE:
                raise UserError(
                    f"prior: estimate needs faces that are followed over time, and the images of {stream.name} stand "
                    f"alone; take prior=balanced, or shares such as prior='{{happy: 0.4, neutral: 0.6}}'"
                )
            sinks = _sinks(cfg, stream, classifier.contract)
            window = _window(cfg, stream, stop)
            sinks += [window] if window else []
            if cfg.display == "browser":
                from emotion.inference.model import Model
                from emotion.live.browser import Browser

                sinks.append(Browser(cfg.browser, stream, Model(chosen.id, classifier), stop))
            settings = Settings(
                smoothing=cfg.smoothing,
                min_confidence=cfg.min_confidence,
                max_gap=cfg.max_gap,
                detector=commands.Detector(**cfg.detector),
                # A face that the detector misses for some frames must stay blurred.
                lingering=max(LINGERING, cfg.max_gap) if cfg.blur else LINGERING,
                estimates_prior=cfg.prior == priors.ESTIMATE,
            )
            labeller = Labeller(stream, classifier, settings)
            overlay = annotate.compose(
                labeller.labels, bars=cfg.bars, rate=not stream.independent and cfg.save is None, blur=cfg.blur
            )
            ships = isinstance(chosen, runs.Run) and chosen.ships
            hint = ", the model that ships with emotion (run=<id> takes another)," if ships else ""
            print(f"run {chosen.id}{hint} on {stream.name}", flush=True)
            summary = main_loop.run(labeller, sinks, overlay, stop, window.idle if window else None)
    if stop.signal is not None:
        print("interrupted; files are whole up to here" if summary.processed else "interrupted before the first frame")
    print(report(summary))
    if summary.shares.keys() == {UNCERTAIN}:
        print(
            f"every label is '{UNCERTAIN}': no confidence reached min_confidence={cfg.min_confidence:g}, the highest "
            f"was {summary.highest:.2f}. A lower min_confidence shows labels, with that little confidence"
        )
    for key in ("save", "log", "timeline"):
        if cfg[key] is not None and summary.processed:
            print(f"  {key}: {cfg[key]}")
    return asdict(summary) | {"run": chosen.id, "signal": stop.signal}


def _sinks(cfg: DictConfig, stream: Stream, contract: Contract) -> list[Sink]:
    from emotion.live.saving import save_sink

    sinks: list[Sink] = []
    if cfg.save is not None:
        sinks.append(save_sink(cfg.save, stream, cfg.stride))
    if cfg.log is not None:
        from emotion.live.face_log import log_sink

        sinks.append(log_sink(cfg.log, contract.labels, stream))
    if cfg.timeline is not None:
        from emotion.live.timeline import Timeline

        if stream.independent:
            raise UserError(f"timeline: {stream.name} has no time axis; leave timeline out, or give a video")
        sinks.append(Timeline(cfg.timeline, contract.labels))
    return sinks


def _window(cfg: DictConfig, stream: Stream, stop: Stop) -> Window | None:
    if cfg.display in ("browser", "none"):
        return None
    from emotion.video.window import Window
    from emotion.video.window_probe import NoWindowError

    try:
        return Window(not stream.live, stream.independent, stop, cfg.snapshots)
    except NoWindowError as error:
        if cfg.display == "window":
            raise
        log.info("display: no window, as %s. display=browser shows it on a page", error.reason)
        return None


def _check_paths(cfg: DictConfig) -> None:
    """Refuse to overwrite the source, or to write twice to one file, by whatever link or spelling."""
    from emotion.video import source

    if cfg.source is None:
        raise UserError("source: no value given. Give a camera's number (source=0), a file, a folder or an address")
    source.path_of(cfg.snapshots, "snapshots")  # its files replace no other
    taken: dict[Path | tuple[int, int], str] = {}
    for key in ("source", "save", "log", "timeline"):
        path = source.path_of(cfg[key], key)
        if path is not None:
            other = taken.setdefault(_place(path), key)
            if other != key:
                raise UserError(f"{key}: '{cfg[key]}' is also {other}=; choose another place")


def _place(path: Path) -> Path | tuple[int, int]:
    """What is the same for all names of one file: hard links share no path."""
    try:
        status = path.stat()
    except OSError:
        return Path(os.path.realpath(path))  # which ends at a loop of links
    return status.st_dev, status.st_ino


def _task(cfg: DictConfig) -> None:
    ended_by = run(cfg)["signal"]
    if ended_by == signal.SIGINT:
        raise KeyboardInterrupt
    if ended_by is not None:  # SIGTERM, or SIGHUP of a terminal that was closed
        raise interrupts.Interrupted


def main() -> NoReturn:
    try:
        cli.main("live", _task)
    except SystemExit as ended:
        if threading.active_count() > 1:
            # Python would wait for a read of a silent server, which OpenCV cannot interrupt.
            interrupts.end_at_once(int(ended.code or 0))
        raise


if __name__ == "__main__":
    main()
