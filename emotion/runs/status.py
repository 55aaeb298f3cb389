"""Keeping a run's status true while a process works on it."""

from __future__ import annotations

import errno
import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from emotion import runs
from emotion.base import locks, provenance
from emotion.base.errors import UserError
from emotion.base.interrupts import Interrupted, sigterm_raises

log = logging.getLogger(__name__)


@contextmanager
def recorded(run: runs.Run) -> Iterator[None]:
    """Keep the run's status honest: done at the end, interrupted or failed (with the traceback logged) otherwise."""
    with locks.held(run.path), sigterm_raises():
        runs.update(run, status="running", started=provenance.now(), finished=None, error=None, **provenance.process())
        try:
            yield
        except (KeyboardInterrupt, Interrupted):
            _try_to_update(run, status="interrupted", finished=provenance.now())
            log.warning("run %s interrupted; %s", run.id, _advice(run))
            raise
        except BaseException as error:
            reason = str(error) if isinstance(error, UserError) else traceback.format_exc()
            _try_to_update(run, status="failed", finished=provenance.now(), error=reason)
            log.error("run %s failed", run.id, exc_info=True)
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES):
                raise UserError(
                    f"{error.filename or run.path}: cannot write ({error.strerror}). Make room; {_advice(run)}"
                ) from None
            raise
        runs.update(run, status="done", finished=provenance.now())


def _try_to_update(run: runs.Run, **fields: Any) -> None:
    """Record how a run ended, if it can be written; what ended it matters more than a failure to write it."""
    try:
        runs.update(run, **fields)
    except (OSError, UserError) as error:
        log.error("%s", error)


def _advice(run: runs.Run) -> str:
    if run.has_state:
        return f"resume it: python -m emotion.train resume={run.reference}"
    return "no epoch was completed, so there is nothing to resume"
