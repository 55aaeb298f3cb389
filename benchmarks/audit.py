"""How long the audit of FER2013 takes, beside reading the file and one plain Haar pass over the same pictures.

    python benchmarks/audit.py --data ../shared/data

The CSV is written by that folder's ``make_fer2013.py`` into a temporary folder, with copies of PublicTest rows standing
in for PrivateTest, so that it has the published 35,887 rows; of the published ones 34,047 are different pictures. Each
audit is the command in a fresh process: the first with an empty cache, the second with what the first left. The Haar
pass is timed on a part of the pictures and scaled.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import machine
from fer2013_csv import measure, write_csv

from emotion.data import fer_csv
from emotion.faces import images as faces

_QUICK_ROWS = 250
_HAAR_PICTURES = 1500


def audit(root: Path, cache: Path, folder: Path) -> tuple[float, float, float]:
    """Run the command; return its seconds, the processor's seconds and the memory's peak in MB."""
    line = [sys.executable, "-m", "emotion.audit", "dataset=fer2013", f"dataset.root={root}"]
    line += [f"dataset.cache_dir={cache}", f"folder={folder}"]
    repository = str(Path(__file__).resolve().parents[1])
    started = time.perf_counter()
    with (folder.parent / "log.txt").open("w") as log:
        process = subprocess.Popen(line, stdout=log, stderr=log, env=os.environ | {"PYTHONPATH": repository})
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if status:
        raise RuntimeError((folder.parent / "log.txt").read_text()[-2000:])
    return time.perf_counter() - started, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def haar(path: Path) -> float:
    """Seconds a picture of one pass of the cascade, doubled in size and with default settings, in two threads."""
    images = fer_csv.parse(path).images[:_HAAR_PICTURES]
    cv2.setNumThreads(1)

    def some(start: int) -> None:
        cascade = faces.load_cascade()
        for image in images[start::2]:
            faces.detect(cascade, cv2.resize(image, None, fx=2, fy=2))

    started = time.perf_counter()
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(some, range(2)))
    return (time.perf_counter() - started) / len(images)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder with make_fer2013.py and its data")
    parser.add_argument(
        "--quick", action="store_true", help=f"{_QUICK_ROWS:,} rows of each split: only to see that it works"
    )
    arguments = parser.parse_args()
    if arguments.data is None:
        parser.error("--data is needed")
    print(machine.describe())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = write_csv(arguments.data, folder, _QUICK_ROWS if arguments.quick else None)
        reading = measure("first", path, folder / "cache-reading")
        one = haar(path)
        first = audit(path, folder / "cache", folder / "first")
        second = audit(path, folder / "cache", folder / "second")
        found = json.loads((folder / "first" / "audit.json").read_text())
    rows = int(reading["rows"])
    different = rows - found["findings"]["duplicates"]["details"]["surplus"]
    print(f"{rows:,} pictures, {different:,} of them different: those with the same pixels are measured once.")
    print(f"{'':<38}{'seconds':>9}{'CPU s':>9}{'peak MB':>9}")
    print(f"{'reading the file':<38}{reading['seconds']:>9.1f}{'':>9}{reading['mb']:>9.0f}")
    print(f"{'one Haar pass, doubled (a part, scaled)':<38}{one * rows:>8.1f}")
    for label, (seconds, cpu, memory) in (("audit, first", first), ("audit, second", second)):
        print(f"{label:<38}{seconds:>9.1f}{cpu:>9.1f}{memory:>9.0f}")
    print(f"The first audit takes {first[0] / (reading['seconds'] + one * rows):.2f} times as long as both together.")


if __name__ == "__main__":
    main()
