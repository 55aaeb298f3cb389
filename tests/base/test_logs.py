"""What importing TensorFlow brings along, and what it must not spoil."""

from __future__ import annotations

import subprocess
import sys

import pytest

_SCRIPT = """
import sys
from emotion.base import logs
logs.import_tensorflow()
heavy = {"pandas", "sklearn", "matplotlib", "scipy.stats"} & set(sys.modules)
import keras, matplotlib.figure, numpy, sklearn.metrics
keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]).predict(numpy.ones((1, 2)), verbose=0)
print(sorted(heavy), sklearn.metrics.accuracy_score([0, 1], [0, 1]))
"""


@pytest.mark.nightly
@pytest.mark.slow
def test_tensorflow_comes_without_what_keras_alone_would_bring() -> None:
    done = subprocess.run([sys.executable, "-c", _SCRIPT], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["[]", "1.0"]
    assert done.stderr in ("", "loading TensorFlow ...\n")
