"""One of several processes that try configs for a chief: ``python -m emotion.tune.worker <search>``.

``python -m emotion.tune tuner.workers=N`` starts these. The environment says which worker this is and where its chief
listens, by Keras Tuner's own variables: ``KERASTUNER_TUNER_ID``, ``KERASTUNER_ORACLE_IP``, ``KERASTUNER_ORACLE_PORT``.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from pathlib import Path

from emotion.base import exits, logs
from emotion.base.errors import UserError
from emotion.base.interrupts import sigterm_raises
from emotion.tune import loop
from emotion.tune.plan import Plan

log = logging.getLogger(__name__)

#: Keras Tuner's client waits an hour for a chief.
_SECONDS_TO_ANSWER = 120.0


def join(search: Path) -> None:
    """Work for the chief that the environment names until the search ends.

    Raises:
        UserError: The chief does not answer any more.
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
        # The client looks into its own oracle only for what this loop never asks.
        loop.until_stopped(OracleClient(None), name, plan, search, cfg.tuner.objective)
    except grpc.FutureTimeoutError:
        raise UserError(
            f"worker {name}: no chief answers at {host}:{port}; is it running, and the address right?"
        ) from None
    except grpc.RpcError as error:
        raise UserError(f"worker {name}: the chief at {host}:{port} does not answer ({error.code().name})") from None


def _end_with_the_chief() -> None:
    """Wait for the pipe from the process that started this one to close, which it does however that one ends."""
    os.read(sys.stdin.fileno(), 1)
    os.kill(os.getpid(), signal.SIGTERM)


def main() -> None:
    with exits.exit_codes(), sigterm_raises():
        logs.set_up()
        threading.Thread(target=_end_with_the_chief, daemon=True).start()
        join(Path(sys.argv[1]))


if __name__ == "__main__":
    main()
