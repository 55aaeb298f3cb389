"""The workers of a search, which run its trials: threads of the chief, and processes on other machines over gRPC.

A thread only waits for the process that trains its trial. A worker on another machine is ``python -m emotion.tune
resume=<id>`` with Keras Tuner's own variables, which name the worker and its chief's address: ``KERASTUNER_TUNER_ID``,
``KERASTUNER_ORACLE_IP``, ``KERASTUNER_ORACLE_PORT``.

Keras Tuner's own chief waits for ever for a worker that died. This one serves the same protocol, and hands a trial that
shows no sign of life to another worker.
"""

from __future__ import annotations

import copy
import logging
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from emotion.base import locks, logs
from emotion.base.errors import UserError
from emotion.base.interrupts import sigterm_raises
from emotion.base.words import shortened
from emotion.tune import trial
from emotion.tune.plan import Plan

log = logging.getLogger(__name__)

#: Hyperband has nothing to do until a round's last trial ends; Keras Tuner's own loop asks without a pause.
_SECONDS_WHEN_IDLE = 1.0
#: Keras Tuner's client waits an hour for a chief.
_SECONDS_TO_ANSWER = 120.0
_POLL_SECONDS = 0.5
#: A worker elsewhere whose trial shows no life for so long is taken for dead: starting a child takes some seconds.
_SECONDS_WITHOUT_LIFE = 180.0
#: A thread that waits longer for its child to end is left to itself.
_SECONDS_TO_STOP = 60.0
_LAST_PORT = 65_535


def is_chief() -> bool:
    """Whether Keras Tuner's variables make this process the chief of workers on other machines."""
    return "chief" in os.environ.get("KERASTUNER_TUNER_ID", "")


def is_worker() -> bool:
    """Whether Keras Tuner's variables make this process a worker elsewhere; UserError where only some are set."""
    names = ("KERASTUNER_TUNER_ID", "KERASTUNER_ORACLE_IP", "KERASTUNER_ORACLE_PORT")
    absent = [n for n in names if not os.environ.get(n)]
    port = os.environ.get("KERASTUNER_ORACLE_PORT") or "0"
    if not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > _LAST_PORT:  # gRPC would take what is left of it by 65,536
        raise UserError(f"KERASTUNER_ORACLE_PORT: '{shortened(port)}' is not a port number, 0 to {_LAST_PORT}")
    if "KERASTUNER_TUNER_ID" in absent or is_chief():
        return False
    if absent:
        raise UserError(f"{', '.join(absent)}: not set, though other variables of Keras Tuner are; set all three")
    return True


def run(oracle: Any, plan: Plan, search: Path, workers: int, objective: str, report: Callable[[], None]) -> None:
    """Run trials until the oracle has no more and every worker has heard so.

    Args:
        oracle: A Keras Tuner oracle.
        plan, search: Of the search; workers elsewhere must see its folder too.
        workers: How many trials to train at once on this machine; with 0 it is one, or none where this process is the
            chief of workers on other machines (:func:`is_chief`).
        objective: Name of the metric.
        report: Called twice a second and after each trial of a thread; stops the search by raising.

    Raises:
        UserError: The chief cannot listen at its address.
    """
    with ExitStack() as stack:
        serves = is_chief()
        if serves:
            address = stack.enter_context(_served(oracle))
            if not workers:
                log.warning("waiting for workers at %s", address)

        reporting = threading.Lock()

        def report_alone() -> None:
            with reporting:
                report()

        def work(name: str, stop: threading.Event) -> None:
            run_trials(oracle, name, plan, search, objective, stop, report_alone)

        local = stack.enter_context(_Threads(workers or int(not serves), work))
        remote = _Remote(oracle, search, local.names)
        while True:
            time.sleep(_POLL_SECONDS)
            report_alone()
            remote.check()
            if local.are_done():
                if oracle._retry_queue:
                    local.start()  # what another left undone
                elif oracle.asked and not oracle.ongoing_trials and not oracle.tuner_ids:
                    return


def run_trials(
    oracle: Any,
    name: str,
    plan: Plan,
    search: Path,
    objective: str,
    stop: threading.Event,
    report: Callable[[], None] = lambda: None,
) -> None:
    """Ask the oracle for trials and run them until it has no more.

    Args:
        oracle: A Keras Tuner oracle, or its client.
        name: By which the oracle knows which worker has which trial; one that returns under it gets its trial again.
        plan, search, objective: Of the search.
        stop: Ends the trial in training and raises :class:`emotion.base.interrupts.Interrupted`.
        report: Called after each trial; stops the search by raising.
    """
    while not stop.is_set():
        asked = oracle.create_trial(name)
        if asked.status == "STOPPED":
            return
        if asked.status == "IDLE":
            stop.wait(_SECONDS_WHEN_IDLE)
            continue
        ended = copy.copy(asked)  # the oracle reads its own trials' status in other threads
        try:
            mean = trial.run(plan, search, asked.trial_id, asked.hyperparameters.values, stop)
        except trial.TrialFailedError as error:
            ended.status, ended.message = "FAILED", str(error)
        else:
            oracle.update_trial(asked.trial_id, {objective: mean})
            ended.status = "COMPLETED"
        oracle.end_trial(ended)
        report()


def join(search: Path, plan: Plan) -> None:
    """Work for the chief that the environment names until the search ends; UserError where it does not answer."""
    cfg = plan.compose()
    logs.import_tensorflow()
    import grpc
    from keras_tuner.src.distribute.oracle_client import OracleClient

    name, host, port = (os.environ[f"KERASTUNER_{part}"] for part in ("TUNER_ID", "ORACLE_IP", "ORACLE_PORT"))
    os.environ.setdefault("no_grpc_proxy", host)  # gRPC would ask http_proxy even within one network
    log.warning("worker %s joins the chief at %s:%s", name, host, port)
    try:
        with grpc.insecure_channel(f"{host}:{port}") as channel:
            grpc.channel_ready_future(channel).result(_SECONDS_TO_ANSWER)
        with sigterm_raises():
            # The client looks into its own oracle only for what is never asked here.
            run_trials(OracleClient(None), name, plan, search, cfg.tuner.objective, threading.Event())
    except grpc.FutureTimeoutError:
        raise UserError(f"worker {name}: no chief answers at {host}:{port}; is it running there?") from None
    except grpc.RpcError as error:
        raise UserError(f"worker {name}: the chief at {host}:{port} does not answer ({error.code().name})") from None


@contextmanager
def _served(oracle: Any) -> Iterator[str]:
    """Listen where Keras Tuner's variables say, or on this machine alone; gives the address."""
    import grpc
    from keras_tuner.src import protos
    from keras_tuner.src.distribute.oracle_chief import OracleServicer

    host, port = os.environ.get("KERASTUNER_ORACLE_IP", "127.0.0.1"), os.environ.get("KERASTUNER_ORACLE_PORT", "0")
    # Without the option two chiefs may listen at one port, and workers talk to either.
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=1), options=[("grpc.so_reuseport", 0)])
    protos.get_service_grpc().add_OracleServicer_to_server(OracleServicer(oracle), server)
    try:
        bound = server.add_insecure_port(f"{host}:{port}")
    except RuntimeError:
        raise UserError(
            f"KERASTUNER_ORACLE_IP, KERASTUNER_ORACLE_PORT: cannot listen at {host}:{port}; is the port taken?"
        ) from None
    server.start()
    try:
        yield f"{host}:{bound}"
    finally:
        server.stop(grace=1).wait()


class _Threads:
    """The workers of this machine."""

    def __init__(self, number: int, work: Callable[[str, threading.Event], None]) -> None:
        self.names = [f"local{i}" for i in range(number)]  # Keras Tuner's lock tells threads apart by name
        self._work, self._stop = work, threading.Event()
        self._errors: list[BaseException] = []

    def __enter__(self) -> _Threads:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(_SECONDS_TO_STOP)

    def start(self) -> None:
        self._threads = [threading.Thread(target=self._run, args=(n,), name=n, daemon=True) for n in self.names]
        for thread in self._threads:
            thread.start()

    def _run(self, name: str) -> None:
        try:
            self._work(name, self._stop)
        except BaseException as error:
            self._errors.append(error)

    def are_done(self) -> bool:
        """Whether all have ended; raises what ended one early."""
        if self._errors:
            raise self._errors[0]
        return not any(thread.is_alive() for thread in self._threads)


class _Remote:
    """Takes trials from workers elsewhere that have gone, so that others do them."""

    def __init__(self, oracle: Any, search: Path, local: list[str]) -> None:
        self._oracle, self._search, self._local = oracle, search, set(local)
        self._alive: dict[str, float] = {}

    def check(self) -> None:
        now = time.monotonic()
        for name in set(self._oracle.tuner_ids) - self._local:
            ongoing = self._oracle.ongoing_trials.get(name)
            seen = max(self._alive.get(name, 0.0), self._oracle.asked[name])
            if ongoing is not None and self._shows_life(ongoing.trial_id):
                seen = self._alive[name] = now
            if now - seen > _SECONDS_WITHOUT_LIFE:
                undone = f"; trial {ongoing.trial_id} is done again" if ongoing else ""
                log.warning("worker %s has gone%s", name, undone)
                self._oracle.take_from(name)

    def _shows_life(self, trial_id: str) -> bool:
        """Whether a trial's run is held, or was written to lately where locks do not reach other machines."""
        folder = trial.folder_of(self._search, trial_id)
        parts = [folder, *(folder / "executions").glob("*")]
        if any(locks.is_held(part) for part in parts):
            return True
        files = [f for part in parts for f in (part / "train.log", part / "history.csv") if f.is_file()]
        return any(time.time() - f.stat().st_mtime < _SECONDS_WITHOUT_LIFE for f in files)
