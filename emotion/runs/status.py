"""Keeping a run's status true while a process works on it."""

from __future__ import annotations

import errno
import logging
import os
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

from hydra.core.hydra_config import HydraConfig

from emotion import runs
from emotion.base import guarded, locks, provenance
from emotion.base.errors import UserError
from emotion.base.interrupts import Interrupted, sigterm_raises
from emotion.runs.record import RunRecord

log = logging.getLogger(__name__)


@contextmanager
def recorded(run: runs.Run) -> Iterator[None]:
    """Keep the run's status honest: done at the end, interrupted or failed (with the traceback logged) otherwise."""
    # In a received run, a link would lead elsewhere.
    guarded.check_regular(run.path / locks.NAME, run.path / "train.log")
    with locks.held(run.path), sigterm_raises():
        started = runs.record.read(run.path)
        runs.update(run, status="running", started=provenance.now(), finished=None, error=None, **provenance.process())
        try:
            yield
        except (KeyboardInterrupt, Interrupted):
            _end(run, None, status="interrupted", finished=provenance.now())
            is_job = (started.swept or started.trial) and not HydraConfig.initialized()
            advice = "" if is_job else f"; {_advice(run)}"  # the sweep or search says how to go on
            log.warning("run %s interrupted%s", run.id, advice)
            raise
        except BaseException as error:
            reason = str(error) if isinstance(error, UserError) else traceback.format_exc()
            before = started if isinstance(error, UserError) and started.status == "done" else None
            _end(run, before, status="failed", finished=provenance.now(), error=reason)
            log.error("run %s failed", run.id, exc_info=True)
            if (why := _unwritable(error)) is not None:
                place = getattr(error, "filename", None) or run.path
                raise UserError(f"{place}: cannot write ({why}). Make room; {_advice(run)}") from None
            raise
        runs.update(run, status="done", finished=provenance.now())


def _end(run: runs.Run, before: RunRecord | None, **fields: Any) -> None:
    """Record how a run ended, if it can be written; what ended it matters more than a failure to write it.

    Where there is a record from before, and no epoch was added since, that is put back, with the settings that were
    changed since: the run's config has them too.
    """
    try:
        written = runs.record.read(run.path)
        if before is not None and written.epoch == before.epoch:
            runs.record.write(run.path, replace(before, changed=written.changed, command=written.command))
        else:
            runs.update(run, **fields)
    except (OSError, UserError) as error:
        log.error("%s", error)
        if fields["status"] == "failed":
            with suppress(OSError):
                runs.record.mark_failed(run.path)


def _unwritable(error: BaseException) -> str | None:
    """Why a disk took no more; TensorFlow has no error of its own for that."""
    if isinstance(error, OSError):
        is_disk = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES)
        return error.strerror if is_disk else None
    full = os.strerror(errno.ENOSPC)
    return full if full in str(error) else None


def _advice(run: runs.Run) -> str:
    if run.has_state:
        return f"resume it: python -m emotion.train resume={run.reference}"
    return "no epoch was completed, so there is nothing to resume"
