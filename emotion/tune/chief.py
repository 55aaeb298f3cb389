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

from emotion.base import locks
from emotion.base.errors import UserError
from emotion.tune import trials

log = logging.getLogger(__name__)

_SECONDS_BETWEEN_LOOKS = 0.5
#: A worker elsewhere whose trial nobody trains for so long is taken for dead: starting a child takes some seconds.
_SECONDS_WITHOUT_LIFE = 180.0
#: A worker that dies so often, each time soon after its start, will not do better the next time.
_RESTARTS, _SECONDS_OF_A_GOOD_LIFE = 3, 300.0


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
        while True:
            time.sleep(_SECONDS_BETWEEN_LOOKS)
            look()
            for worker in crew:
                worker.look_after()
            lost.look()
            if oracle._retry_queue and crew and all(worker.is_done for worker in crew):
                crew[0].work_again()  # what another left undone
            idle = all(worker.is_done for worker in crew) and not oracle.ongoing_trials and not oracle.tuner_ids
            if oracle.asked and idle and not oracle._retry_queue:
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
        host = address if address != "0.0.0.0" else "127.0.0.1"
        self._environment = {
            **os.environ,
            "KERASTUNER_TUNER_ID": name,
            "KERASTUNER_ORACLE_IP": host,
            "KERASTUNER_ORACLE_PORT": str(port),
            "no_grpc_proxy": host,  # gRPC would ask http_proxy even for this machine
        }
        self._start()

    @property
    def output(self) -> Path:
        return self._search / "workers" / f"{self.name}.log"

    def _start(self) -> None:
        self._started = time.monotonic()
        self.output.parent.mkdir(exist_ok=True)
        line = [sys.executable, "-m", "emotion.tune.worker", str(self._search)]
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
        self.deaths = 1 if time.monotonic() - self._started > _SECONDS_OF_A_GOOD_LIFE else self.deaths + 1
        if self.deaths > _RESTARTS:
            raise UserError(f"worker {self.name} died {self.deaths} times soon after its start; see {self.output}")
        log.warning("worker %s died (%s); starting it again, with its trial", self.name, _how(code))
        self._start()

    def work_again(self) -> None:
        """Start a worker that had found nothing more to do."""
        self.wait()
        self.is_done = False
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
        for name in set(self._oracle.tuner_ids) - self._ours:
            trial = self._oracle.ongoing_trials.get(name)
            seen = max(self._alive.get(name, 0.0), self._oracle.asked[name])
            if trial is not None and self._shows_life(trial.trial_id):
                seen = self._alive[name] = now
            if now - seen > _SECONDS_WITHOUT_LIFE:
                undone = f"; trial {trial.trial_id} is done again" if trial else ""
                log.warning("worker %s has gone%s", name, undone)
                self._oracle.take_from(name)

    def _shows_life(self, trial_id: str) -> bool:
        """Whether a trial's run is held, or was written to lately where locks do not reach other machines."""
        folder = trials.folder_of(self._search, trial_id)
        parts = [folder, *(folder / "executions").glob("*")]
        if any(locks.is_held(part) for part in parts):
            return True
        files = [f for part in parts for f in (part / "train.log", part / "history.csv") if f.is_file()]
        return any(time.time() - f.stat().st_mtime < _SECONDS_WITHOUT_LIFE for f in files)


def _how(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"
