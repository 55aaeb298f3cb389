"""Everything once, on drawn faces: ``python -m emotion.demo`` (``make demo``).

The model that ships labels a video; then a network is trained, evaluated, and labels it too.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
import time
from pathlib import Path

from emotion import runs
from emotion.base import exits, files
from emotion.base.errors import UserError
from emotion.runs import published, swept

_OUTPUTS = Path("outputs")


def demo() -> None:
    """Run the commands that a user would type, and list their output.

    Raises:
        UserError: One of the commands failed; it has printed why.
    """
    from emotion.data import synthetic

    began = time.perf_counter()
    folder = runs.new_folder(_OUTPUTS, "demo")
    video, labelled, log = folder / "faces.mp4", folder / "labelled.mp4", folder / "faces.jsonl"
    step("draw a video, and label its faces with the model that ships with emotion")
    folder.mkdir(parents=True)
    synthetic.video(video)
    output = {video: "a drawn video", **_label_with_shipped(folder, video)}
    step("train a small network on drawn faces")
    command("emotion.train", "experiment=quickstart", f"hydra.run.dir={folder}")
    step("evaluate it")
    command("emotion.evaluate", f"run={folder}")
    step("label the video's faces with it")
    command("emotion.live", f"run={folder}", f"source={video}", "display=none", f"save={labelled}", f"log={log}")
    output |= {
        folder: "the run: checkpoints, model.tflite, metrics, config",
        folder / "report.md": "its scores, with plots",
        labelled: "the video with this run's boxes and labels",
        log: "one line per face and frame",
    }
    width = max(len(str(path)) for path in output)
    lines = "\n".join(f"  {path!s:<{width}}  {what}" for path, what in output.items())
    ours = f"\n  {python()} -m emotion.live" if published.shipped_ids() else ""
    print(f"""
Made in {(time.perf_counter() - began) / 60:.1f} minutes:
{lines}
The faces are drawn. They show how the tool works, and nothing about real faces.

Try next:{ours}
  {python()} -m emotion.train dataset=fer2013 dataset.root=<folder with fer2013.csv> experiment=fer2013_quick
  {python()} -m emotion.live run={folder.name} source=0 display=window
  {swept.tensorboard(_OUTPUTS)}""")


def _label_with_shipped(folder: Path, video: Path) -> dict[Path, str]:
    """Label the video with the model that ships, where there is one; its output files, and what each is."""
    if not published.shipped_ids():
        print("left out: no pretrained run is installed here")
        return {}
    print("It was trained on photographs, so its labels of drawn faces mean little.", flush=True)
    labelled, log = folder / f"{published.SHIPPED}.mp4", folder / f"{published.SHIPPED}.jsonl"
    command("emotion.live", f"source={video}", "display=none", f"save={labelled}", f"log={log}")
    return {labelled: "the video with the boxes and labels of the model that ships", log: "one line per face and frame"}


def step(what: str) -> None:
    print(f"\n== {what}", flush=True)


def command(module: str, *arguments: str) -> None:
    """Run one of our commands as a user would, and stop where it fails."""
    line = [sys.executable, "-m", module, *arguments]
    print(f"$ {python()} {shlex.join(line[1:])}", flush=True)
    code = subprocess.run(line, check=False).returncode
    if code:
        raise UserError(f"python -m {module} ended with exit code {code}; its message is above")


def python() -> str:
    """This interpreter as a user in this folder would call it."""
    return files.from_here(Path(sys.executable))


_HELP = f"""Show the whole path on drawn faces; takes about 5 minutes and needs no data, no camera and no network.

  emotion demo

It draws a video, labels it with the model that ships, trains a small network on drawn faces, evaluates it, labels the
video with it, and lists what it made below {_OUTPUTS}/. Each command is printed before it runs.
"""


def main() -> None:
    with exits.exit_codes():
        if {"--help", "-h"} & set(sys.argv[1:]):
            print(_HELP, end="")
            return
        if sys.argv[1:]:
            raise UserError(f"{sys.argv[1]}: emotion.demo takes no arguments; --help says what it does")
        demo()


if __name__ == "__main__":
    main()
