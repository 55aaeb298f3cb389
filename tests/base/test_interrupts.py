"""Being asked to stop while native code is being imported, and once it is at work."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from emotion.base.interrupts import Interrupted, deferred, sigterm_raises

#: Sends the signal while optree's native part initialises itself, which makes an ImportError of any exception.
_SCRIPT = """
import _imp, signal, sys
from emotion.base import exits, logs
from emotion.base.interrupts import sigterm_raises

def send(frame, event, argument):
    global native
    if event == "c_call" and argument in (_imp.create_dynamic, _imp.exec_dynamic):
        native = "optree" in repr(frame.f_locals)
    elif event == "c_return":
        native = native and argument not in (_imp.create_dynamic, _imp.exec_dynamic)
    elif event == "call" and native:
        sys.setprofile(None)
        print("sent")
        signal.raise_signal(int(sys.argv[1]))

native = False
sys.setprofile(send)
with exits.exit_codes(), sigterm_raises():
    logs.import_tensorflow()
"""


@pytest.mark.parametrize(("number", "raised"), [(signal.SIGTERM, Interrupted), (signal.SIGINT, KeyboardInterrupt)])
def test_a_signal_waits_for_the_end_of_what_defers_it(number: int, raised: type[BaseException]) -> None:
    done = []
    with pytest.raises(raised), sigterm_raises(), deferred():  # noqa: PT012
        signal.raise_signal(number)
        done.append(True)
    assert done


def test_a_second_signal_does_not_wait() -> None:
    done = []
    with pytest.raises(KeyboardInterrupt), deferred():  # noqa: PT012
        signal.raise_signal(signal.SIGINT)
        done.append(1)
        signal.raise_signal(signal.SIGINT)
        done.append(2)
    assert done == [1]


@pytest.mark.parametrize("numbers", [(signal.SIGINT, signal.SIGINT), (signal.SIGINT, signal.SIGTERM)])
def test_a_second_signal_that_comes_out_as_a_broken_import_is_not_lost(numbers: tuple[int, int]) -> None:
    with pytest.raises((KeyboardInterrupt, Interrupted)), sigterm_raises(), deferred():  # noqa: PT012
        try:
            for number in numbers:
                signal.raise_signal(number)
        except BaseException:
            raise ImportError("pip install optree") from None


def test_an_ignored_signal_is_none() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with pytest.raises(Interrupted), sigterm_raises(), deferred():  # noqa: PT012
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGTERM)
            raise ImportError("pip install optree")
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_signal_prevails_over_the_error_of_a_broken_import() -> None:
    with pytest.raises(KeyboardInterrupt), deferred():  # noqa: PT012
        signal.raise_signal(signal.SIGINT)
        raise ImportError("pip install optree")


def test_handlers_are_as_before() -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with deferred():
        assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) != before
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


@pytest.mark.nightly
@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_while_tensorflow_is_imported_is_no_missing_package(number: int, code: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT, str(int(number))], capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stderr
    assert done.stderr in ("", "loading TensorFlow ...\n")
    assert done.stdout == "sent\n"


#: Crashes where the interpreter takes itself down.
_CRASHES = """
import atexit, os, signal
from emotion.base import exits, logs
from emotion.base.interrupts import Interrupted, sigterm_raises

atexit.register(os.kill, os.getpid(), signal.SIGSEGV)
with exits.exit_codes(), sigterm_raises():
    logs.import_tensorflow()
    print("half a line", end="")
    raise Interrupted
"""


@pytest.mark.slow
def test_an_interrupted_process_ends_at_once_where_tensorflow_is_at_work() -> None:
    done = subprocess.run([sys.executable, "-c", _CRASHES], capture_output=True, text=True, check=False)
    assert done.returncode == 143, done.stderr
    assert done.stdout == "half a line"
    assert "Traceback" not in done.stderr
