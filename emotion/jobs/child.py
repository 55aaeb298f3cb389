"""Training a run in a process of its own, and what the process that waits for it does when either is stopped.

TensorFlow in one process grows with every model it trains, so sweeps and searches train each run in a child. The
process that waits never imports TensorFlow.
"""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path

from emotion import runs
from emotion.base import exits, processes, provenance
from emotion.base.interrupts import Interrupted, sigterm_raises
from emotion.runs import record

#: Seconds between two looks at whether a child should be stopped.
_LOOK_EVERY = 0.3


class JobFailedError(Exception):
    """A run ended without being done; its own log and ``run.json`` say why."""


class JobRefusedError(JobFailedError):
    """A job was not begun: its folder holds another run, or another process trains it."""


def in_child(
    run: runs.Run,
    *,
    environment: Mapping[str, str] | None = None,
    descriptors: tuple[int, ...] = (),
    output: Path | None = None,
    asked_to_stop: Callable[[], bool] | None = None,
) -> None:
    """Train a run that has been created in a process of its own, and wait for it.

    Args:
        run: The run; it goes on where it stopped if it has a state.
        environment: Variables for the child beside this process's.
        descriptors: Open files that the child keeps open while it lives, such as locks.
        output: A file that takes what the child prints; None is this process's own streams.
        asked_to_stop: Looked at a few times a second; true ends the child.

    Raises:
        JobFailedError: It did not end well. A child that was killed leaves no word: the record is completed here.
        KeyboardInterrupt, emotion.base.interrupts.Interrupted: This process was asked to stop; so was the child, and it
            has ended.
    """
    line, variables = processes.module("emotion.train.job", run.path, run.id, environment=environment)
    with output.open("ab") if output else nullcontext() as file:
        child = subprocess.Popen(
            line, env=variables, pass_fds=descriptors, stdout=file, stderr=subprocess.STDOUT if file else None
        )
    try:
        with sigterm_raises():
            code = _wait(child, asked_to_stop)
    except BaseException:
        child.send_signal(signal.SIGTERM)
        child.wait()
        if record.read(run.path).status == "running":  # it had no time to say so
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


def _wait(child: subprocess.Popen[bytes], asked_to_stop: Callable[[], bool] | None) -> int:
    while True:
        try:
            return child.wait(None if asked_to_stop is None else _LOOK_EVERY)
        except subprocess.TimeoutExpired:
            if asked_to_stop is not None and asked_to_stop():
                raise Interrupted from None
