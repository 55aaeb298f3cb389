"""How soon a command answers ``--help`` or a typo, and whether it imported TensorFlow to do so.

    python benchmarks/startup.py

Every line is a whole process, from its start to its end, run in turn with all the others. What was imported is read
from ``python -X importtime`` in a run of its own. Run it twice where the files are not in the disk cache yet.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile

import machine
from processes import imported, seconds

_YARDSTICK = ["-c", "import tensorflow"]

#: What a person types, and the exit code that answers it.
_COMMANDS = {
    "train --help": (["-m", "emotion.train", "--help"], 0),
    "train --cfg job": (["-m", "emotion.train", "--cfg", "job"], 0),
    "train trainer.epohs=3": (["-m", "emotion.train", "trainer.epohs=3"], 2),
    "train trainer.epochs=0": (["-m", "emotion.train", "trainer.epochs=0"], 2),
    "train -m model=cnn,cnm": (["-m", "emotion.train", "-m", "model=cnn,cnm"], 2),
    "evaluate --help": (["-m", "emotion.evaluate", "--help"], 0),
    "evaluate run=nosuch": (["-m", "emotion.evaluate", "run=nosuch"], 2),
    "live --help": (["-m", "emotion.live", "--help"], 0),
    "live run=latest sorce=0": (["-m", "emotion.live", "run=latest", "sorce=0"], 2),
    "tune space upside down": (["-m", "emotion.tune", "trainer.learning_rate=interval(1,0.1)"], 2),
    "tune model=choice(cnn,cnm)": (["-m", "emotion.tune", "model=choice(cnn,cnm)"], 2),
    "compare runs=nosuch": (["-m", "emotion.compare", "runs=nosuch"], 2),
    "collect --help": (["-m", "emotion.collect", "--help"], 0),
    "collect source=webcam": (["-m", "emotion.collect", "root=x", "source=webcam"], 2),
    "audit --help": (["-m", "emotion.audit", "--help"], 0),
    "audit fail_on=[leak]": (["-m", "emotion.audit", "fail_on=[leak]"], 2),
    "export run=nosuch": (["-m", "emotion.export", "run=nosuch"], 2),
}
_QUICK = ("train --help", "train trainer.epohs=3", "live --help")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=7, help="processes of each kind; the median is shown")
    parser.add_argument("--quick", action="store_true", help="few commands, once each: only to see that it works")
    arguments = parser.parse_args()
    repeats = 1 if arguments.quick else arguments.repeats
    commands = {k: v for k, v in _COMMANDS.items() if k in _QUICK or not arguments.quick}

    print(machine.describe())
    with tempfile.TemporaryDirectory() as folder:
        heavy = {name: imported(line, folder) for name, (line, _) in commands.items()}  # also fills the disk cache
        if not arguments.quick:
            seconds(_YARDSTICK, folder, 0)
        yardstick: list[float] = []
        taken: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(repeats):  # in turn, so that a busy machine is busy for all of them
            yardstick.append(seconds(_YARDSTICK, folder, 0))
            for name, (line, code) in commands.items():
                taken[name].append(seconds(line, folder, code))

    whole = statistics.median(yardstick)
    print(f"Whole processes, median of {repeats}; python -c 'import tensorflow' takes {whole:.2f} s.")
    print(f"{'python -m emotion.':<26}{'seconds':>9}{'slowest':>9}{'exit':>6}{'of import tensorflow':>22}  imported")
    for name, (_, code) in commands.items():
        median = statistics.median(taken[name])
        what = ", ".join(heavy[name]) or "neither TensorFlow nor Keras"
        print(f"{name:<26}{median:>9.2f}{max(taken[name]):>9.2f}{code:>6}{median / whole:>22.2f}  {what}")


if __name__ == "__main__":
    main()
