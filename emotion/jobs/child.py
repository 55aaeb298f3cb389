"""Training a run in a process of its own, and how both processes end when either is stopped.

TensorFlow's memory grows with every model that a process trains, so sweeps and searches train each run in a child.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path

from emotion import runs
from emotion.base import exits, guarded, processes, provenance
from emotion.base.interrupts import Interrupted, sigterm_raises
from emotion.runs import record

_POLL_SECONDS = 0.3


class JobFailedError(Exception):
    """A run ended without being done; its log and ``run.json`` say why."""


class JobRefusedError(JobFailedError):
    """A job was not started: its folder holds another run, or another process trains it."""


def in_child(
    run: runs.Run,
    *,
    environment: Mapping[str, str] | None = None,
    descriptors: tuple[int, ...] = (),
    output: Path | None = None,
    asked_to_stop: Callable[[], bool] = lambda: False,
) -> None:
    """Train a run that has been created in a process of its own, and wait for it.

    It may be called in a thread, which has to live as long as the child: Linux stops a child with its parent thread.

    Args:
        run: The run; it is resumed if it has a state.
        environment: Variables for the child beside this process's.
        descriptors: Open files that the child keeps open while it lives, such as locks.
        output: A file for the child's output; None is this process's own streams.
        asked_to_stop: Called a few times a second; true ends the child.

    Raises:
        JobFailedError: The training failed, or its process was killed, which is then recorded here.
        KeyboardInterrupt, emotion.base.interrupts.Interrupted: This process or thread was asked to stop, and the child
            has ended.
    """
    line, variables = processes.module("emotion.train.job", run.path, run.id, environment=environment, own_modules=True)
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
    with os.fdopen(guarded.open_regular(output, flags), "ab") if output else nullcontext() as file:
        child = subprocess.Popen(
            line, env=variables, pass_fds=descriptors, stdout=file, stderr=subprocess.STDOUT if file else None
        )
    try:
        with sigterm_raises():
            while (code := _code(child)) is None:
                if asked_to_stop():
                    raise Interrupted
    except BaseException:
        child.send_signal(signal.SIGTERM)
        child.wait()
        if record.read(run.path).status == "running":  # it was killed before it could record it
            runs.update(run, status="interrupted", finished=provenance.now())
        raise
    if code == 0:
        return
    if record.read(run.path).status == "running":
        how = f"killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        runs.update(run, status="failed", finished=provenance.now(), error=f"the process was {how}")
    if code in (exits.INTERRUPTED, -signal.SIGINT):
        raise KeyboardInterrupt
    raise JobFailedError(f"run {run.id}: see {run.path / 'train.log'}")


def _code(child: subprocess.Popen[bytes]) -> int | None:
    try:
        return child.wait(_POLL_SECONDS)
    except subprocess.TimeoutExpired:
        return None
