"""Every command line that README and docs show, as it is printed: read here by all, and run on small data by most."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

from emotion import runs
from emotion.base.errors import UserError
from emotion.config import cli
from emotion.data import ferplus, synthetic
from emotion.faces.labels import EMOTIONS, NUMBERINGS
from tests.conftest import REPOSITORY, emotion
from tests.helpers.once import made_once

#: README and docs but for what runs wrote, and decisions; tests/test_tutorials.py types the lines with a ``$``.
_FOLDERS = ("docs", "docs/howto", "docs/tutorials", "docs/explanation", "docs/reference", "docs/project")
PAGES = (
    "README.md",
    *(f"{folder}/{path.name}" for folder in _FOLDERS for path in sorted((REPOSITORY / folder).glob("*.md"))),
)
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_COMMAND = re.compile(r"^\$? ?((?:\w+=\S+ +)*)emotion (\w+)(.*)$")
#: Commands that have no config.
_PLAIN = ("runs", "doctor", "completion")

#: Lines that cannot run here, by a part of them, and why.
NOT_RUN = {
    "emotion live   ": "needs a camera",
    "source=camera": "needs a camera",
    "source=1 ": "needs a camera",
    "run=best                                    # the first camera": "needs a camera",
    "run=best/exports/litert-int8                  # live": "needs a camera",
    "source=0 display=browser": "needs a camera",
    "per_emotion=300": "searches the Internet; tests/collect has a server for it",
    "rtsp://camera.local": "needs a stream; tests/video has one",
    "hydra/launcher=slurm": "needs a cluster; tests/jobs has one",
    "KERASTUNER": "needs other machines; tests/tune has workers",
    "tls.cert": "needs a certificate; tests/serve makes one",
    "resume=latest": "needs a stopped training; tests/train and tests/tune have them",
    "-m ... hydra": "stands for the line before it",
    "apply=": "needs a saved review; tests/collect has one",
    "experiment=comparison": "several trainings of two networks; tests/train/test_sweep.py trains such a sweep",
    "model=choice(cnn, mobilenet_v2)": "needs ImageNet's weights; tests/tune searches two networks",
    "trainer.teacher=<id": "needs a better run of that dataset; tests/train/test_distillation.py has one",
    "tuner.workers=2": "a search of several trainings; tests/tune has shorter ones",
    "augmentation=light,standard": "twelve trainings; the next sweep has six",
    "outputs/<search>": "needs a finished search; tests/test_tutorials.py types one",
    "model._target_=": "needs a run of a network of one's own; tests/train/test_repeating.py has one",
    "run=latest       # also doubtful labels": "needs a run of that dataset; tests/audit has one",
    "completion": "tests/test_completion.py does it in real shells",
    "token=<a long secret>": "stands behind a proxy; tests/serve has two",
    "run=outputs/thesis/0": "scores the run that the tutorial's other lines make",
    "demo": "tests/test_front_door.py runs it",
}
#: What is added to lines that would train for minutes to hours: an epoch, and no weights from the Internet.
SHORTENED = ("trainer.epochs=1", "trainer.batch_size=16")
NO_WEIGHTS = {
    "model=cnn,mobilenet_v2": "model.weights@mobilenet_v2=null",
    "model=mobilenet_v2": "model.weights=null",
}
#: What an example's placeholder stands for.
PLACEHOLDERS = {
    "<id of a better run>": "latest",
    "<id>": "latest",
    "<yours>": "latest",
    "<theirs>": "latest",
    "<run>": "latest",
    "<its folder>": "latest",
    "<search>": "search",
    "<sweep>": "latest",
    "<a long secret>": "sixteen-letters-or-more",
}


@dataclass(frozen=True)
class Line:
    page: str
    text: str  # as it is printed, without the lines' ends
    variables: dict[str, str]
    command: str
    arguments: tuple[str, ...]

    @property
    def why_not(self) -> str | None:
        if self.text.startswith("$ "):
            return "typed in its order by tests/test_tutorials.py"
        return next((reason for part, reason in NOT_RUN.items() if part in self.text), None)


def _lines() -> list[Line]:
    found = []
    for page in PAGES:
        text = (REPOSITORY / page).read_text()
        blocks = [block for _, block in _FENCE.findall(text)]
        inline = re.findall(r"`(emotion \w+ [^`]+)`", _FENCE.sub("", text))
        for block in [*blocks, *inline]:
            for text in re.sub(r"\\\n\s*", " ", block).splitlines():
                match = _COMMAND.match(text)
                if match:
                    given = dict(pair.split("=", 1) for pair in match[1].split())
                    rest = match[3]
                    for placeholder, value in PLACEHOLDERS.items():
                        rest = rest.replace(placeholder, value)
                    words = [word for word in shlex.split(rest, comments=True) if word != "..."]
                    found.append(Line(page, text, given, match[2], tuple(words)))
    return found


LINES = _lines()
RUN = list({line.text.partition("#")[0].strip(): line for line in LINES if line.why_not is None}.values())


def _name(line: Line) -> str:
    return re.sub(r"\s+", " ", line.text.partition("#")[0].partition("emotion ")[2])[:80]


def _files() -> dict[str, str]:
    """The files that the pages print, whose first line is their name."""
    files = {}
    for page in PAGES:
        for _, block in _FENCE.findall((REPOSITORY / page).read_text()):
            head = re.match(r"# (my_\S+\.(?:py|yaml))\n", block)
            if head:
                files[head[1]] = block
    return files


def test_the_pages_have_commands() -> None:
    assert len(LINES) > 50
    assert {line.page for line in LINES} >= {"README.md"}
    unused = [part for part in NOT_RUN if part != "demo" and not any(part in line.text for line in LINES)]
    assert unused == [], "reasons for lines that no page shows any more"
    assert {"my_models.py", "my_conf/model/mine.yaml", "my_conf/augmentation/mine.yaml"} <= set(_files())


def test_a_shell_reads_every_printed_line() -> None:
    """Those of the pages, and of comments and help in conf: a bracket without quotes is a syntax error, or a file."""
    text = "\n".join(path.read_text() for path in sorted((REPOSITORY / "conf").rglob("*.yaml")))
    of_conf = re.findall(r"^[# ]+(python -m emotion\..*)", re.sub(r"\\\n#\s*", " ", text), re.MULTILINE)
    assert len(of_conf) > 50
    lines = [*(line.text.removeprefix("$ ") for line in LINES), *of_conf]
    script = re.sub(r"<[a-z ]+>", "id", "\n".join(lines))
    read = subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True, check=False)
    assert read.stderr == ""
    # zsh, the shell of macOS, takes key=[a,b] without quotes for the name of a file.
    bare = [re.sub(r"'[^']*'|\"[^\"]*\"|\s#.*", "", line) for line in script.splitlines()]
    assert [line for line in bare if re.search(r"=\S*[\[*?]", line)] == []


@pytest.mark.slow
@pytest.mark.parametrize("line", [line for line in LINES if line.command not in _PLAIN], ids=_name)
def test_every_printed_line_is_read(line: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its keys, groups and values exist; data that is not here may be missing."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    for name, text in _files().items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    said = ""
    try:
        cli.request(line.command, list(line.arguments))
    except UserError as error:
        said = str(error)
    assert not said or "epohs" in line.text or re.match(r"\S*(root|file|path|votes|against|config-dir): no such", said)


@pytest.fixture(scope="module")
def world(common: Path, trained: runs.Run) -> Path:
    """The folder that the pages speak of, with little in it."""
    with made_once(common / "documented") as folder:
        if folder:
            _make(folder, trained)
    return common / "documented"


def _make(folder: Path, trained: runs.Run) -> None:
    for name, text in _files().items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    for place in ("data/faces", "data/others", "data/mine", "photos"):
        for number in range(84):
            path = folder / place / EMOTIONS[number % 7] / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), synthetic.picture(len(place), number, 96, 1.0))
    for number in range(80):  # ten people, seven emotions and contempt
        path = folder / "ckplus" / (*EMOTIONS, "contempt")[number % 8] / f"S{number // 8:03d}_{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), synthetic.picture(3, number, 64, 1.0))
    _write_fer2013(folder / "data" / "fer2013")
    for i in range(2):
        cv2.imwrite(str(folder / "photos" / f"{i}.png"), synthetic.picture(1, i, 240, 0.3))
    for name in ("film.mp4", "clip.mp4"):
        writer = cv2.VideoWriter(str(folder / name), cv2.VideoWriter.fourcc(*"mp4v"), 20, (240, 240))
        for _ in range(15):
            writer.write(synthetic.picture(1, 3, 240, 0.3))
        writer.release()
    (folder / "docs" / "results").mkdir(parents=True)
    shutil.copytree(trained.path, folder / "outputs" / trained.id)
    _write_networks(folder)


def _write_networks(folder: Path) -> None:
    """Somebody's network; a random one."""
    import keras

    network = keras.Sequential(
        [keras.Input((48, 48, 1)), keras.layers.Conv2D(4, 3, 4), keras.layers.Flatten(),
         keras.layers.Dense(7, activation="softmax")]
    )  # fmt: skip
    network.save(folder / "theirs.hdf5")


def _write_fer2013(folder: Path) -> None:
    folder.mkdir(parents=True)
    usages = ["Training"] * 140 + ["PublicTest"] * 35 + ["PrivateTest"] * 35
    numbers = {EMOTIONS[label]: int(number) for number, label in enumerate(_labels())}
    rows, votes = ["emotion,pixels,Usage"], [",".join(("Usage", "Image name", *ferplus.COLUMNS))]
    words = ("neutral", "happy", "surprised", "sad", "angry", "disgusted", "fearful")
    for i, usage in enumerate(usages):
        grey = cv2.cvtColor(synthetic.picture(5, i, 48, 1.0), cv2.COLOR_BGR2GRAY)
        rows.append(f"{numbers[EMOTIONS[i % 7]]},{' '.join(map(str, np.ravel(grey)))},{usage}")
        cast = [10 * (word == EMOTIONS[i % 7]) for word in words] + [0, 0, 0]
        votes.append(f"{usage},fer{i}.png,{','.join(map(str, cast))}")
    (folder / "fer2013.csv").write_text("\n".join(rows) + "\n")
    (folder / "fer2013new.csv").write_text("\n".join(votes) + "\n")


def _labels() -> list[int]:
    """Our label of each of FER2013's numbers."""
    from emotion.faces.labels import index_of

    return [index_of(str(number), "fer2013") for number in NUMBERINGS["fer2013"]]


@pytest.mark.slow
def test_the_server_serves_as_it_is_printed(world: Path) -> None:
    line = next(line for line in RUN if line.command == "serve" and "run=best" in line.text)
    command = [sys.executable, "-m", "emotion.serve", *line.arguments, "port=0"]
    with subprocess.Popen(command, cwd=world, stdout=subprocess.PIPE, text=True) as process:
        try:
            address = re.findall(r"http://\S+/", process.stdout.readline())[0]
            with urllib.request.urlopen(f"{address}healthz", timeout=60) as answer:
                assert answer.status == 200
        finally:
            process.terminate()
    assert process.returncode in (0, 143)


@pytest.mark.documentation
@pytest.mark.slow
@pytest.mark.parametrize("line", [line for line in RUN if line.command != "serve"], ids=_name)
def test_the_line_runs_as_it_is_printed(line: Line, world: Path, tmp_path: Path) -> None:
    here = tmp_path / "here"
    shutil.copytree(world, here)
    more: tuple[str, ...] = ("display=none",) if line.command == "live" and "display=" not in line.text else ()
    if line.command in ("train", "tune"):
        more = (*SHORTENED, *(value for model, value in NO_WEIGHTS.items() if f"{model} " in f"{line.text} "))
        more += ("tuner.max_trials=2",) if line.command == "tune" else ()
        more += () if "dataset" in line.text or "again=" in line.text else ("dataset.per_emotion=12",)
    if "exports/" in line.text:
        emotion("export", "run=latest", "quantize=int8", "format=litert", cwd=here, check=False)
        if line.command == "compare":
            emotion("evaluate", "run=latest/exports/litert-int8", cwd=here)
    if "=scored" in line.text:  # two lines of one page, after a line before them
        emotion("publish", "run=best", "folder=published/mine", "half=true", cwd=here)
        if line.command == "publish":
            scored = ("run=published/mine", "datasets=[data/faces]", "folder=scored")
            emotion("evaluate", *scored, cwd=here)
    variables = {key: str(here) if value == "." else value for key, value in line.variables.items()}
    module = "listing" if line.command == "runs" else line.command
    done = emotion(module, *line.arguments, *more, cwd=here, check=False, env=os.environ | variables)
    expected = 1 if "fail_on=" in line.text and done.returncode == 1 else 0
    said = f"{line.text}\n{done.stdout[-1500:]}\n{done.stderr[-1500:]}"
    assert done.returncode == expected or ("quantize=int8" in line.text and "tolerance" in said), said
    assert "Traceback" not in done.stderr
