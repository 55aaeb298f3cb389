"""How fast FER2013's CSV opens, and in how much memory, beside a textbook reader.

    python benchmarks/fer2013_csv.py --data ../shared/data

The CSV is written by that folder's ``make_fer2013.py`` into a temporary folder. PrivateTest is not in it; copies of
PublicTest rows stand in for it, so that the file has the published 35,887 rows. Every opening is a fresh process, its
time is that of ``emotion.data.sources.load``, its memory that of the whole process.
"""

from __future__ import annotations

import argparse
import csv
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import machine
import numpy as np

_PRIVATE_ROWS = 3589
_TEXTBOOK_ROWS = 5000
_QUICK_ROWS = 2000


def write_csv(data: Path, folder: Path, limit: int | None) -> Path:
    """The published number of rows, or fewer of each split, by the data folder's own script."""
    few = [] if limit is None else ["--limit", str(limit)]
    subprocess.run(
        [sys.executable, str(data / "make_fer2013.py"), "csv", str(folder), *few],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    path = folder / "fer2013.csv"
    with path.open("rb") as file:
        public = [line for line in file if line.rstrip().endswith(b",PublicTest")]
    with path.open("ab") as file:
        file.writelines(line.replace(b",PublicTest", b",PrivateTest") for line in public[:_PRIVATE_ROWS])
    return path


def textbook(path: Path, rows: int | None) -> int:
    """Read with the csv module and a split per row; returns how many rows that were."""
    pixels, labels, usages = [], [], []
    with path.open(newline="") as file:
        for i, row in enumerate(csv.DictReader(file)):
            if i == rows:
                break
            pixels.append(np.array(row["pixels"].split(), np.uint8))
            labels.append(int(row["emotion"]))
            usages.append(row["Usage"])
    return len(np.stack(pixels))


def child(how: str, path: Path, cache: Path) -> None:
    """Open once and print seconds, peak MB and rows as JSON."""
    if how.startswith("textbook"):
        start = time.perf_counter()
        rows = textbook(path, None if how == "textbook" else _TEXTBOOK_ROWS)
    else:
        from omegaconf import OmegaConf

        from emotion.data import sources

        values = {"name": "fer2013", "root": str(path), "cache_dir": str(cache), "split_seed": 0, "limit": None}
        cfg = OmegaConf.create({**values, "validation_fraction": 0.1, "test_fraction": 0.1})
        start = time.perf_counter()
        splits = sources.load(cfg)
        rows = len(splits.train) + len(splits.validation) + len(splits.test)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # kB on Linux
    print(json.dumps({"seconds": seconds, "mb": peak, "rows": rows}))


def measure(how: str, path: Path, cache: Path) -> dict[str, float]:
    command = [sys.executable, __file__, "--child", how, str(path), str(cache)]
    answer: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return answer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder with make_fer2013.py and its data")
    parser.add_argument("--repeats", type=int, default=3, help="openings of each kind; the median is shown")
    parser.add_argument("--whole-textbook", action="store_true", help="the textbook reader reads every row, not 5,000")
    parser.add_argument(
        "--quick", action="store_true", help="2,000 rows a split, opened once: only to see that it works"
    )
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        how, path, cache = arguments.child
        child(how, Path(path), Path(cache))
        return
    if arguments.data is None:
        parser.error("--data is needed")
    repeats = 1 if arguments.quick else arguments.repeats

    print(machine.describe())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = write_csv(arguments.data, folder, _QUICK_ROWS if arguments.quick else None)
        kinds = ("textbook" if arguments.whole_textbook else "textbook, first rows", "first", "second")
        runs: dict[str, list[dict[str, float]]] = {kind: [] for kind in kinds}
        for i in range(repeats):  # in turn, so that a busy machine is busy for all of them
            for kind in kinds:
                runs[kind].append(measure(kind, path, folder / f"cache{i}"))
        megabytes = path.stat().st_size / 1e6

    rows = int(runs["first"][0]["rows"])
    print(f"fer2013.csv: {megabytes:.0f} MB, {rows:,} rows; PrivateTest is copies of PublicTest rows.")
    print(f"Median of {repeats} fresh processes each.")
    base = None
    print(f"{'':<30}{'seconds':>9}{'peak MB':>9}{'times as fast':>15}")
    for kind, label in zip(kinds, ("textbook: csv + split", "first opening", "second opening"), strict=True):
        scale = rows / runs[kind][0]["rows"]
        seconds = float(np.median([r["seconds"] for r in runs[kind]])) * scale
        memory = float(np.median([r["mb"] for r in runs[kind]]))
        base = seconds if base is None else base
        scaled = f" (x{scale:.1f})" if scale > 1 else ""
        print(f"{label + scaled:<30}{seconds:>9.2f}{memory:>9.0f}{base / seconds:>15.1f}")
    if not arguments.whole_textbook and rows > _TEXTBOOK_ROWS:
        print(f"The textbook reader read the first {_TEXTBOOK_ROWS:,} rows; its time is scaled, its memory is not.")


if __name__ == "__main__":
    main()
