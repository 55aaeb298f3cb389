"""Loading a Keras model first in a process with limits: its architecture may claim any memory and any time.

``python -m emotion.runs.trial <file>`` loads it in safe mode and runs it on one blank image.
"""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

from emotion.base import exits, logs, processes, progress
from emotion.base.errors import UserError

log = logging.getLogger(__name__)

#: Most seconds that importing TensorFlow, loading and one step may take, and most memory of the last two.
SECONDS, MEMORY = 120.0, 4 << 30


def fault(path: Path) -> str | None:
    """What is wrong with a ``.keras`` or HDF5 file, by a process that tried it; None where it can be loaded."""
    log.info("trying %s in a process with limits first, since it is not known here (5 to 10 s)", path.name)
    line, variables = processes.module("emotion.runs.trial", path.absolute(), environment={"CUDA_VISIBLE_DEVICES": ""})
    with subprocess.Popen(
        line, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace",
        env=variables, start_new_session=True,
    ) as process:  # fmt: skip
        try:
            with progress.working(f"loading {path.name}"):
                _, said = process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            return f"loading it takes more than {SECONDS:.0f} seconds"
        finally:
            process.kill()
    if process.returncode == 0:
        return None
    reasons = [line.removeprefix("error: ") for line in said.splitlines() if line.startswith("error: ")]
    ended = f"signal {-process.returncode}" if process.returncode < 0 else f"code {process.returncode}"
    return reasons[-1] if reasons else f"loading it ended a process with {ended}; it may need too much memory"


def _load(path: Path) -> None:
    import keras
    import numpy as np

    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
        sides = [side for source in getattr(model, "inputs", ()) for side in source.shape[1:]]
        if sides and None not in sides:
            blank = [np.zeros((1, *source.shape[1:]), source.dtype) for source in model.inputs]
            model(blank if len(blank) > 1 else blank[0], training=False)
    except MemoryError:
        raise UserError(f"it needs more than {MEMORY >> 30} GB of memory") from None
    except Exception as error:  # a damaged file can fail anywhere in Keras
        exhausted = type(error).__name__ == "ResourceExhaustedError"
        reason = f"it needs more than {MEMORY >> 30} GB of memory" if exhausted else str(error).strip()
        raise UserError((reason or type(error).__name__).partition("\n")[0]) from None


def main() -> None:
    processes.end_with_parent()
    with exits.exit_codes():
        logs.import_tensorflow()
        processes.limit(SECONDS, MEMORY)
        _load(Path(sys.argv[1]))


if __name__ == "__main__":
    main()
