"""A worker of a search: asks the oracle for trials and runs them until there are no more.

Workers on this machine are threads of the chief (:mod:`emotion.tune.chief`). A worker on another machine is
``python -m emotion.tune resume=<id>`` with Keras Tuner's own variables, which name the worker and its chief's address:
``KERASTUNER_TUNER_ID``, ``KERASTUNER_ORACLE_IP``, ``KERASTUNER_ORACLE_PORT``.
"""

from __future__ import annotations

import copy
import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from emotion.base import logs
from emotion.base.errors import UserError
from emotion.base.interrupts import sigterm_raises
from emotion.tune import trial
from emotion.tune.plan import Plan

log = logging.getLogger(__name__)

#: Hyperband has nothing to do until a round's last trial ends; Keras Tuner's own loop asks without a pause.
_SECONDS_WHEN_IDLE = 1.0
#: Keras Tuner's client waits an hour for a chief.
_SECONDS_TO_ANSWER = 120.0


def is_chief() -> bool:
    """Whether Keras Tuner's variables make this process the chief of workers on other machines."""
    return "chief" in os.environ.get("KERASTUNER_TUNER_ID", "")


def is_worker() -> bool:
    """Whether Keras Tuner's variables make this process a worker of a chief on another machine.

    Raises:
        UserError: Some of the variables are set and others not.
    """
    names = ("KERASTUNER_TUNER_ID", "KERASTUNER_ORACLE_IP", "KERASTUNER_ORACLE_PORT")
    absent = [n for n in names if not os.environ.get(n)]
    if "KERASTUNER_TUNER_ID" in absent or is_chief():
        return False
    if absent:
        raise UserError(f"{', '.join(absent)}: not set, though other variables of Keras Tuner are; set all three")
    return True


def run_trials(
    oracle: Any,
    name: str,
    plan: Plan,
    search: Path,
    objective: str,
    stop: threading.Event,
    look: Callable[[], None] = lambda: None,
) -> None:
    """Ask the oracle for trials and run them until it has no more.

    Args:
        oracle: A Keras Tuner oracle, or its client.
        name: By which the oracle knows which worker has which trial; one that returns under it gets its trial again.
        plan: Composes the trials' configs.
        search: The search's folder.
        objective: Name of the metric that the oracle is given.
        stop: Ends the trial in training and raises :class:`emotion.base.interrupts.Interrupted`.
        look: Called after each trial; stops the search by raising.
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
        look()


def join(search: Path) -> None:
    """Work for the chief that the environment names until the search ends.

    Raises:
        UserError: The chief does not answer.
    """
    plan = Plan.load(search)
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
