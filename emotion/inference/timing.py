"""Latency of models, measured in a process of its own in which nothing else runs.

It opens them as live video does, so an export that is timed is one that can be loaded where it is needed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from emotion.base.errors import UserError
from emotion.faces.contract import Contract
from emotion.inference.classifier import Classifier
from emotion.inference.latency import medians


def latency(models: Mapping[str, Path], contract: Path) -> dict[str, float]:
    """Median milliseconds for one picture on one thread; the models take turns.

    Args:
        models: By name: paths that :class:`emotion.inference.classifier.Classifier` takes.
        contract: Path of the ``contract.json`` of them all.

    Raises:
        UserError: A model cannot be loaded.
    """
    # -P and the path: our own package, whatever lies in the working directory.
    package = str(Path(__file__).resolve().parents[2])
    paths = os.pathsep.join(filter(None, (package, os.environ.get("PYTHONPATH"))))
    line = [sys.executable, "-P", "-m", "emotion.inference.timing", str(contract)]
    line += [f"{name}={path}" for name, path in models.items()]
    done = subprocess.run(
        line, env=os.environ | {"PYTHONPATH": paths}, capture_output=True, text=True, errors="replace"
    )
    if done.returncode:
        lines = [text for text in done.stderr.splitlines() if text.strip()] or [f"exit code {done.returncode}"]
        raise UserError(f"a process of its own cannot run the export ({lines[-1].removeprefix('error: ')})")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    from emotion.base import exits

    with exits.exit_codes():
        contract = Contract.load(Path(sys.argv[1]))
        picture = np.random.default_rng(0).integers(0, 256, (1, *contract.shape), dtype=np.uint8)
        opened = {}
        for name, _, path in (argument.partition("=") for argument in sys.argv[2:]):
            opened[name] = Classifier(path, contract)
        calls = {name: lambda model=model: model.probabilities(picture) for name, model in opened.items()}
        print(json.dumps({name: round(value, 4) for name, value in medians(calls).items()}))


if __name__ == "__main__":
    main()
