"""Train one run that was created already, in a process of its own: ``python -m emotion.job FOLDER ID``.

Sweeps start this; a person has ``python -m emotion.train``.
"""

from __future__ import annotations

import sys
from pathlib import Path

from emotion import cli, logs, runs, sweep
from emotion.train import work


def main() -> None:
    run = runs.Run(Path(sys.argv[1]), sys.argv[2])
    logs.set_up(run.path / "train.log")
    with cli.exit_codes():
        work(run.config(), run, resume=sweep.has_state(run))


if __name__ == "__main__":
    main()
