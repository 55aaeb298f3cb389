"""Serve a run: a page with the visitor's own camera, and an API for programs: ``python -m emotion.serve run=best``.

Nothing of a picture is stored or logged; TensorFlow is not needed.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

from omegaconf import DictConfig

from emotion.base import interrupts
from emotion.config import cli, commands
from emotion.serve import address


def serve(cfg: DictConfig) -> dict[str, Any]:
    """Serve until a signal comes; returns ``run`` and the ``signal``'s number.

    Raises:
        UserError: No such run, a port that is taken, wrong TLS files, or packages that are missing.
    """
    # OpenCV reads these when it is first imported: larger pictures are not decoded, and no video opens an address.
    os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(int(cfg.limits.megapixels * 1e6)))
    os.environ.setdefault("OPENCV_FFMPEG_CAPTURE_OPTIONS", "protocol_whitelist;file")
    with interrupts.interruption() as stop, address.opened(cfg) as opened:
        from emotion.inference import model as models
        from emotion.serve import app, errors, metrics, server
        from emotion.serve.service import Service

        model = models.load(cfg.run, cfg.outputs, engine=cfg.engine, threads=cfg.threads, prior=cfg.prior)
        model.classifier.warm_up()
        counts = metrics.Metrics(model.labels, tuple(errors.CODES.values()), cfg.workers)

        def say() -> None:
            print(
                f"run {model.id} at {opened.url}\nCtrl-C ends it. Nothing of a picture is stored or logged.", flush=True
            )

        def work(number: int, flag: interrupts.Stop, started: Callable[[], None] = lambda: None) -> None:
            counts.worker = number
            service = Service(model, commands.ServeLimits(**cfg.limits), counts, _settings(cfg))
            server.serve(app.create(service, opened.access), opened.bound, opened.tls, flag, started)

        if cfg.workers == 1:
            work(0, stop, say)
        else:
            say()
            server.in_processes(cfg.workers, work, counts.forget, stop)
        return {"run": model.id, "signal": stop.signal}


def _settings(cfg: DictConfig) -> Any:
    from emotion.faces import priors
    from emotion.inference.session import Settings

    return Settings(
        cfg.smoothing,
        cfg.min_confidence,
        cfg.max_gap,
        commands.Detector(**cfg.detector),
        estimates_prior=cfg.prior == priors.ESTIMATE,
    )


def _task(cfg: DictConfig) -> None:
    ended_by = serve(cfg)["signal"]
    if ended_by == signal.SIGINT:
        raise KeyboardInterrupt
    if ended_by is not None:
        raise interrupts.Interrupted


def main() -> None:
    cli.main("serve", _task)
