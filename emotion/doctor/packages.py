"""Python, TensorFlow with its GPUs, LiteRT with the model that ships, and the optional packages."""

from __future__ import annotations

import json
import platform
import re
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from importlib import metadata

import numpy as np

from emotion.base import devices
from emotion.base.errors import UserError
from emotion.base.words import counted
from emotion.doctor.finding import Finding
from emotion.runs import published

PYTHONS = ("3.11", "3.12", "3.13")
#: Seconds for importing TensorFlow on a slow disk.
_PATIENCE = 180
#: Extras that bring no ability of a command.
_NO_ABILITY = ("dev", "docs", "mutants")

_ASK = """
import json, os
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
import tensorflow as tf, keras
gpus = tf.config.list_physical_devices("GPU")
names = [tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name) for gpu in gpus]
total = float(tf.reduce_sum(tf.ones((8, 8))))
build = tf.sysconfig.get_build_info()
print(json.dumps([tf.__version__, keras.__version__, names, total, bool(build.get("is_cuda_build"))]))
"""


def python() -> Iterator[Finding]:
    version = platform.python_version()
    found = f"{version}, {platform.system()} {platform.machine()}"
    if version.rpartition(".")[0] in PYTHONS:
        yield Finding("Python", "ok", found)
    else:
        yield Finding(
            "Python", "fault", found, f"TensorFlow needs Python {', '.join(PYTHONS)}; make setup takes PYTHON="
        )


def tensorflow() -> Iterator[Finding]:
    """TensorFlow and its GPUs, in a process of its own: a broken one may end the process that imports it."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", _ASK], capture_output=True, text=True, timeout=_PATIENCE, check=False
        )
    except subprocess.TimeoutExpired:
        yield Finding("TensorFlow", "fault", f"not imported within {_PATIENCE} s", "Is the disk or network drive slow?")
        return
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or [f"ended by signal {-done.returncode}"])[-1]
        advice = "Without it, runs with model.tflite can be run live. To train: pip install tensorflow"
        if done.returncode == -4:  # SIGILL
            reason, advice = "this processor lacks AVX, which TensorFlow needs", "Use another machine to train"
        yield Finding("TensorFlow", "fault", f"cannot be imported: {reason}", advice)
        return
    tensorflow_version, keras_version, names, total, cuda = json.loads(done.stdout.strip().splitlines()[-1])
    status, advice = ("ok", "") if total == 64 else ("fault", "Its arithmetic is wrong: install it again")
    yield Finding("TensorFlow", status, f"{tensorflow_version}, Keras {keras_version}", advice)  # type: ignore[arg-type]
    yield _gpu(names, cuda=cuda)


def _gpu(names: list[str], *, cuda: bool) -> Finding:
    if names:
        return Finding("GPU", "ok", f"{counted(len(names), 'GPU')} for TensorFlow: {', '.join(names)}")
    present = devices.gpus()
    if not present:
        return Finding("GPU", "note", "none: training runs on the processor, minutes to hours for FER2013")
    found = f"the driver lists {counted(len(present), 'GPU')}, and TensorFlow sees none"
    if not cuda:
        return Finding("GPU", "fault", found, "This is tensorflow-cpu. pip install 'tensorflow[and-cuda]'")
    return Finding("GPU", "fault", found, "Its CUDA libraries are missing: pip install 'tensorflow[and-cuda]'")


def litert() -> Iterator[Finding]:
    """LiteRT, by labelling with the model that ships."""
    try:
        version = metadata.version("ai-edge-litert")
    except metadata.PackageNotFoundError:
        yield Finding("LiteRT", "fault", "not installed", "pip install ai-edge-litert")
        return
    if not published.shipped_ids():
        yield Finding("LiteRT", "note", f"{version}; no model ships with this installation to try it with")
        return
    try:
        from emotion.inference import engines

        classifier = engines.load(engines.find(published.SHIPPED, "outputs"), "litert")
        classifier.warm_up()
        face = np.zeros((1, *classifier.contract.shape), np.uint8)
        began = time.perf_counter()
        classifier.probabilities(face)
    except (UserError, ImportError, RuntimeError) as error:
        yield Finding(
            "LiteRT", "fault", f"{version} does not run the model that ships ({error})", "Install emotion again"
        )
        return
    milliseconds = 1000 * (time.perf_counter() - began)
    yield Finding("LiteRT", "ok", f"{version}, runs the model that ships; one face in {milliseconds:.1f} ms")


def extras() -> Iterator[Finding]:
    """The optional packages, by the extra that brings them."""
    needed: dict[str, list[str]] = defaultdict(list)
    for requirement in metadata.requires("emotion") or ():
        match = re.match(r"([\w.-]+).*extra == ['\"](\w+)['\"]", requirement)
        if match and match[2] not in _NO_ABILITY:
            needed[match[2]].append(match[1])
    absent = {extra: missing for extra, names in needed.items() if (missing := [n for n in names if not _installed(n)])}
    present = [extra for extra in needed if extra not in absent]
    if present:
        yield Finding("extras", "ok", f"installed: {', '.join(sorted(present))}")
    for extra, missing in sorted(absent.items()):
        yield Finding("extras", "note", f"{extra}: without {', '.join(missing)}", f"pip install 'emotion[{extra}]'")


def _installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True
