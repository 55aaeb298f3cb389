"""A process that has TensorFlow imported and forks for each command: ``forkserver.py <socket> <pid to outlive>``.

Importing TensorFlow, Keras, Matplotlib and scikit-learn takes half the time of a small training, and more where
coverage is measured, which begins in the forked process. Tests whose subject is
not the process itself start commands through this server; see :func:`tests.conftest.emotion`. No operation runs in the
server, so that a fork has no threads of TensorFlow's to miss. Not for machines with GPUs, whose driver does not survive
a fork.
"""

from __future__ import annotations

import array
import atexit
import json
import os
import runpy
import select
import signal
import socket
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn


def main() -> None:
    address, guarded = sys.argv[1], int(sys.argv[2])
    if os.fork():  # it serves all workers of a session, and outlives the one that needs it first
        os._exit(0)
    os.setsid()
    _import()

    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    server.bind(address + ".new")
    server.listen(64)
    Path(address + ".new").rename(address)
    clients: dict[int, socket.socket] = {}  # by the process that was forked for it
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake)
    while _alive(guarded):
        watched: list[Any] = [server, woken, *clients.values()]
        readable, _, _ = select.select(watched, [], [], 1.0)
        for pid, client in list(clients.items()):
            if client in readable:  # a signal's number to pass on; nothing, when the client is gone
                try:
                    number = client.recv(1)
                except OSError:  # it was killed before it had read the process's id
                    number = b""
                with suppress(ProcessLookupError):
                    os.kill(pid, number[0] if number else signal.SIGKILL)
                if not number:
                    client.close()
                    del clients[pid]
        if woken in readable:
            os.read(woken, 4096)
        if server in readable:
            connection, _ = server.accept()
            with suppress(OSError):  # of a client that was killed meanwhile
                _begin(connection, server, clients)
        _reap(clients)
    Path(address).unlink(missing_ok=True)


def _import() -> None:
    """What commands import that takes long; nothing of it has a thread before it is used."""
    import coverage.sqldata  # noqa: F401 - where it is not measured it costs a tenth of a second
    import cv2  # noqa: F401
    import h5py  # noqa: F401
    import hydra._internal.hydra
    import hydra.core.override_parser.overrides_parser  # noqa: F401
    import PIL.Image  # noqa: F401
    import rich.progress  # noqa: F401
    import tensorflow as tf  # noqa: F401


def _begin(connection: socket.socket, server: socket.socket, clients: dict[int, socket.socket]) -> None:
    descriptors = array.array("i")
    head, ancillary, _, _ = connection.recvmsg(4, socket.CMSG_SPACE(3 * descriptors.itemsize))
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            descriptors.frombytes(data[: len(data) - len(data) % descriptors.itemsize])
    size, text = int.from_bytes(head, "little"), b""
    while len(text) < size and (part := connection.recv(1 << 16)):  # a long one comes in parts
        text += part
    if len(descriptors) != 3 or len(text) < size:
        for descriptor in descriptors:
            os.close(descriptor)
        connection.close()
        return
    pid = os.fork()
    if pid == 0:
        server.close()
        connection.close()
        _run(json.loads(text), descriptors)
    clients[pid] = connection
    for descriptor in descriptors:
        os.close(descriptor)
    connection.sendall(pid.to_bytes(4, "little"))


def _run(request: dict[str, Any], descriptors: array.array[int]) -> NoReturn:
    """In the forked process: become ``python -m module arguments``."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
    os.closerange(3, max(descriptors) + 64)
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["cwd"])
    extra = [p for p in request["environment"].get("PYTHONPATH", "").split(os.pathsep) if p]
    sys.path[:] = ([] if request["safe_path"] else [request["cwd"]]) + extra + sys.path[1:]
    sys.argv = ["", *request["arguments"]]
    sys.executable = request["executable"]
    code: Any = 0
    try:
        if "COVERAGE_PROCESS_CONFIG" in os.environ:
            import coverage

            coverage.process_startup(force=True)
        if "EMOTION_TEST_HOLD" in os.environ:  # a new interpreter would find it by PYTHONPATH
            runpy.run_path(str(Path(__file__).parent / "holding" / "sitecustomize.py"))
        runpy.run_module(request["module"], run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        code = ended.code
        if isinstance(code, str):
            print(code, file=sys.stderr)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 1
    with suppress(BaseException):
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(BaseException):
            stream.flush()
    os._exit(code if isinstance(code, int) else 1 if code else 0)


def _reap(clients: dict[int, socket.socket]) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        client = clients.pop(pid, None)
        if client is not None:
            with suppress(OSError):
                client.sendall(os.waitstatus_to_exitcode(status).to_bytes(4, "little", signed=True))
            client.close()


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


if __name__ == "__main__":
    main()
