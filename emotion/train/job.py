"""Train one run that was created already, in a process of its own: ``python -m emotion.train.job FOLDER ID``.

Sweeps start this; users have ``python -m emotion.train``.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from emotion import runs
from emotion.base import exits, logs, processes
from emotion.train import work


def main() -> None:
    run = runs.Run(Path(sys.argv[1]), sys.argv[2])
    processes.end_with_parent()
    if hasattr(signal, "SIGUSR2"):
        # Slurm sends it to all of a job's processes when its time is nearly up; the one that waits for us handles it.
        signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    logs.set_up(run.path / "train.log")
    with exits.exit_codes():
        work(run.config(), run, resume=run.has_state)


if __name__ == "__main__":
    main()
