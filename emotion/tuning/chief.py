"""A chief that hands out trials to worker processes, and looks after them.

Keras Tuner's own chief waits for ever for a worker that died. This one serves the same protocol; a worker of this
machine that dies is started again under its name, and so gets its trial again; a worker elsewhere whose trial shows no
sign of life loses it to another.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from emotion import locks
from emotion.errors import UserError
from emotion.tuning import trials

log = logging.getLogger(__name__)

_SECONDS_BETWEEN_LOOKS = 0.5
#: A worker elsewhere whose trial nobody trains for so long is taken for dead: starting a child takes some seconds.
_SECONDS_WITHOUT_LIFE = 180.0
#: A worker that dies so often without ending a trial will not do better the next time.
_RESTARTS = 3


def run(oracle: Any, search: Path, workers: int, address: str, port: int, look: Callable[[], None]) -> None:
    """Serve the oracle until every worker has heard that the search is over.

    Args:
        oracle: A Keras Tuner oracle.
        search: The search's folder, which workers elsewhere must see too.
        workers: How many to start on this machine; others may join.
        address: To listen at.
        port: Likewise; 0 takes a free one.
        look: Called twice a second; stops the search by raising.

    Raises:
        UserError: The address cannot be listened at, or workers die as soon as they are started.
    """
    with _served(oracle, address, port) as port, _started(search, workers, address, port) as crew:
        if not workers:
            log.warning("waiting for workers at %s:%d", address, port)
        lost = _Lost(oracle, search, {f"tuner{i}" for i in range(workers)})
        ended_before = len(oracle.end_order)
        joined = workers > 0
        while True:
            time.sleep(_SECONDS_BETWEEN_LOOKS)
            look()
            if len(oracle.end_order) > ended_before:
                ended_before = len(oracle.end_order)
                for worker in crew:
                    worker.deaths = 0
            for worker in crew:
                worker.look_after()
            lost.look()
            joined = joined or bool(oracle.tuner_ids)
            if joined and all(w.is_done for w in crew) and not oracle.ongoing_trials and not oracle.tuner_ids:
                return


@contextmanager
def _served(oracle: Any, address: str, port: int) -> Iterator[int]:
    import grpc
    from keras_tuner.src import protos
    from keras_tuner.src.distribute.oracle_chief import OracleServicer

    # Without the option two chiefs may listen at one port, and workers talk to either.
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=1), options=[("grpc.so_reuseport", 0)])
    protos.get_service_grpc().add_OracleServicer_to_server(OracleServicer(oracle), server)
    try:
        bound = server.add_insecure_port(f"{address}:{port}")
    except RuntimeError:
        raise UserError(
            f"KERASTUNER_ORACLE_IP, KERASTUNER_ORACLE_PORT: cannot listen at {address}:{port}; is the port taken?"
        ) from None
    server.start()
    try:
        yield bound
    finally:
        server.stop(grace=1).wait()


class _Worker:
    """A worker process of this machine."""

    def __init__(self, name: str, search: Path, address: str, port: int) -> None:
        self.name, self.deaths, self.is_done = name, 0, False
        self._search = search
        self._environment = {
            **os.environ,
            "KERASTUNER_TUNER_ID": name,
            "KERASTUNER_ORACLE_IP": address if address != "0.0.0.0" else "127.0.0.1",
            "KERASTUNER_ORACLE_PORT": str(port),
        }
        self._start()

    @property
    def output(self) -> Path:
        return self._search / "workers" / f"{self.name}.log"

    def _start(self) -> None:
        self.output.parent.mkdir(exist_ok=True)
        line = [sys.executable, "-m", "emotion.tuning.worker", str(self._search)]
        with self.output.open("ab") as file:
            self._process = subprocess.Popen(
                line, env=self._environment, stdin=subprocess.PIPE, stdout=file, stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for the chief; it passes it on
            )  # fmt: skip

    def look_after(self) -> None:
        """Start the worker again if it died.

        Raises:
            UserError: It died too often.
        """
        code = None if self.is_done else self._process.poll()
        if code is None:
            return
        if code == 0:
            self.is_done = True
            return
        self.deaths += 1
        if self.deaths > _RESTARTS:
            raise UserError(f"worker {self.name} died {self.deaths} times without ending a trial; see {self.output}")
        log.warning("worker %s died (%s); starting it again, with its trial", self.name, _how(code))
        self._start()

    def stop(self) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)

    def wait(self) -> None:
        self._process.wait()
        assert self._process.stdin is not None
        self._process.stdin.close()


@contextmanager
def _started(search: Path, workers: int, address: str, port: int) -> Iterator[list[_Worker]]:
    crew: list[_Worker] = []
    try:
        crew += [_Worker(f"tuner{i}", search, address, port) for i in range(workers)]
        yield crew
    finally:
        for worker in crew:
            worker.stop()
        for worker in crew:
            worker.wait()


class _Lost:
    """Takes trials from workers elsewhere that have gone, so that others do them."""

    def __init__(self, oracle: Any, search: Path, ours: set[str]) -> None:
        self._oracle, self._search, self._ours = oracle, search, ours
        self._alive: dict[str, float] = {}

    def look(self) -> None:
        now = time.monotonic()
        for name, trial in list(self._oracle.ongoing_trials.items()):
            if name in self._ours:
                continue
            folder = trials.folder_of(self._search, trial.trial_id)
            parts = [folder, *(folder / "executions").glob("*")]
            if name not in self._alive or any(locks.is_held(part) for part in parts):
                self._alive[name] = now
            elif now - self._alive[name] > _SECONDS_WITHOUT_LIFE:
                log.warning("worker %s has gone; trial %s is done again", name, trial.trial_id)
                self._oracle.ongoing_trials.pop(name, None)
                self._oracle.tuner_ids.discard(name)
                self._oracle._retry_queue.append(trial.trial_id)
                del self._alive[name]


def _how(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"
