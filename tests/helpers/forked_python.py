"""Stands for the Python interpreter: ``-m emotion.<module>`` is forked from the server, all else run as usual.

The environment says where the server listens (``EMOTION_TEST_FORKSERVER``) and which interpreter is the real one
(``EMOTION_TEST_PYTHON``). SIGINT, SIGTERM and SIGHUP are passed on; killing this process kills the forked one.
"""

import json
import os
import signal
import socket
import sys


def main() -> None:
    python, address = os.environ["EMOTION_TEST_PYTHON"], os.environ["EMOTION_TEST_FORKSERVER"]
    arguments = sys.argv[1:]
    options = []
    while arguments[:1] == ["-P"]:
        options.append(arguments.pop(0))
    if arguments[:1] != ["-m"] or not arguments[1].startswith("emotion."):
        os.execv(python, [python, *sys.argv[1:]])
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.connect(address)
    request = {
        "module": arguments[1],
        "arguments": arguments[2:],
        "cwd": os.getcwd(),  # noqa: PTH109 - pathlib would take time to import
        "environment": dict(os.environ),
        "safe_path": bool(options),
        "executable": os.environ["EMOTION_TEST_EXECUTABLE"],
    }
    text = json.dumps(request).encode()
    socket.send_fds(connection, [len(text).to_bytes(4, "little")], [0, 1, 2])
    connection.sendall(text)
    _receive(connection)  # the process's id: it has begun
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: connection.sendall(bytes([number])))
    code = int.from_bytes(_receive(connection), "little", signed=True)
    if code < 0:
        if -code != signal.SIGKILL:  # which has no handler
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


def _receive(connection: socket.socket) -> bytes:
    data = b""
    while len(data) < 4:
        part = connection.recv(4 - len(data))
        if not part:
            print(f"the fork server ended; see the log beside {os.environ['EMOTION_TEST_FORKSERVER']}", file=sys.stderr)
            os._exit(97)
        data += part
    return data


main()
