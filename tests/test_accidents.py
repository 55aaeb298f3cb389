"""Mistakes at every command, in a table: each is answered in few lines with exit code 2, and nothing is changed."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from emotion import runs
from emotion.base import files, words
from emotion.faces.contract import Contract
from emotion.faces.labels import EMOTIONS
from tests.conftest import compose, emotion

#: Command, arguments, what the message says.
MISTAKES: list[tuple[str, list[str], str]] = [
    # numbers
    *(
        ("train", [f"trainer.batch_size={value}"], r"trainer\.batch_size")
        for value in ("word", "0", "-3", "1e12", "8" * 60, "7" * 4000, "[2]", "{b:2}", "false", "nan", "-inf", "3 4")
    ),
    *(
        ("train", [f"{key}={value}"], re.escape(key))
        for key, value in (
            ("trainer.learning_rate", "nan"), ("trainer.weight_decay", "inf"), ("trainer.clip_norm", "inf"),
            ("trainer.min_delta", "nan"), ("trainer.warmup_epochs", "inf"), ("model.dropout", "-0.5"),
            ("model.stages", "[nan]"), ("dataset.crop_margin", "-inf"), ("augmentation.mixup", "inf"), ("seed", "-9"),
            ("augmentation.ops", "[{shear:{degrees:inf}}]"), ("dataset", "[synthetic]"), ("trainer", "[a,b]"),
        )
    ),
    ("train", ["trainer.class_weight={" + ",".join(f"{e}:0" for e in EMOTIONS) + "}"], "all weights are 0"),
    ("train", ["trainer.class_weight={" + ",".join(f"{e}:inf" for e in EMOTIONS) + "}"], "class_weight.angry"),
    ("train", ["trainer.class_weight={" + ",".join(f"{e}:nan" for e in EMOTIONS) + "}"], "class_weight.angry"),
    ("live", ["run=whole", "source=clip.avi", "smoothing=inf"], "smoothing"),
    ("live", ["run=whole", "source=clip.avi", "detector.min_size=nan"], r"detector\.min_size"),
    ("collect", ["root=d", "source=folder", "path=faces", "crop_margin=inf"], "crop_margin"),
    ("tune", ["tuner.beta=inf", "tuner=bayesian"], r"tuner\.beta"),
    ("audit", ["dataset.root=faces", "limits.imbalance=inf"], r"limits\.imbalance"),
    # long, hostile and empty arguments
    ("train", ["y" * 50_000 + "=1"], "50,000 characters"),
    ("train", ["seed=" + "[" * 300 + "]" * 300], "seed"),
    ("train", ["seed=" + "${" * 90 + "}" * 90], "seed"),
    ("train", [f"trainer.z{i}=1" for i in range(120)], r"trainer\.z0.*"),
    ("train", ["trainer.optimizer=\x1b]0;x\x07\u202e"], r"trainer\.optimizer"),
    ("train", ["outputs="], "outputs: nothing after"),
    ("train", ["hydra.run.dir="], r"hydra\.run\.dir: nothing after"),
    ("evaluate", ["run= "], "run: nothing after"),
    ("live", ["source="], "source: nothing after"),
    ("compare", ["runs=''"], "runs: nothing after"),
    ("publish", ["run=whole", "folder="], "folder: nothing after"),
    ("train", ["--experimental-rerun", "config.pickle"], "--experimental-rerun"),
    ("train", ["--config-dir", "nowhere"], "nowhere"),
    ("train", ["--config-dir", "configs", "model=tagged"], "tagged|tag"),
    ("train", ["--config-dir", "damaged", "model=torn"], "torn"),
    # runs that are not there, or damaged
    *((command, ["run=never"], "never") for command in ("evaluate", "export", "live")),
    ("evaluate", ["run=" + "v" * 4000], "v"),
    ("evaluate", ["run=~nobodyatall/x"], "nobodyatall"),
    ("evaluate", ["run=/dev/full"], "/dev/full|run"),
    *(("evaluate", [f"run={name}"], says) for name, says in (
        ("torn", r"run\.json"), ("typed", "epoch"), ("deep", r"run\.json"), ("newer", "format"),
    )),
    *(("live", [f"run={name}", "source=clip.avi", "display=none"], says) for name, says in (
        ("torn", r"run\.json"), ("nocontract", r"contract\.json"), ("hugecontract", r"contract\.json.*height|height"),
        ("fifocontract", r"contract\.json.*regular"), ("longlabel", "labels"), ("hot", "temperature"),
    )),
    *(("publish", [f"run={name}", "folder=x"], says) for name, says in (
        ("tagged", "not done"), ("torn", r"run\.json"), ("whole", "not done"),
    )),
    ("train", ["resume=foreign", "trainer.epochs=3"], r"names 'shutil\.rmtree'"),
    ("train", ["resume=aliases", "trainer.epochs=3"], r"config\.yaml.*alias"),
    ("train", ["resume=secret", "trainer.epochs=3"], r"config\.yaml.*interpolation"),
    ("train", ["resume=dataset", "trainer.epochs=3"], r"config\.yaml.*dataset"),
    ("train", ["resume=ranged", "trainer.epochs=3"], r"config\.yaml.*batch_size"),
    ("tune", ["resume=search"], r"search\.json"),
    ("tune", ["resume=../.."], "resume"),
    # exports
    *(("live", [f"run=whole/exports/{name}", "source=clip.avi"], says) for name, says in (
        ("never", "never"), ("torn", r"report\.json"), ("typed", r"report\.json"), ("nul", r"report\.json"),
        ("gone", r"contract\.json"),
    )),
    # places
    ("live", ["run=whole", "source=clip.avi", "save=pipe.avi", "display=none"], "save|whole"),
    ("compare", ["runs=whole", "folder=/dev/null/x"], "folder|left out|whole"),
    ("export", ["run=whole", "folder=/"], "folder|checkpoint"),
    ("export", ["run=whole", "folder=loop"], "folder|checkpoint"),
    ("collect", ["root=loop", "source=folder", "path=faces"], "loop"),
    ("collect", ["root=clip.avi", "source=folder", "path=faces"], "root"),
    ("collect", ["root=" + "q" * 300, "source=folder", "path=faces"], "root|long"),
    ("collect", ["root=escape/faces", "source=folder", "path=faces"], r"manifest\.jsonl: line 1: its file"),
    ("collect", ["root=escape/faces", "apply=decisions.json"], r"manifest\.jsonl: line 1: its file|apply"),
    ("collect", ["root=faces", "apply=pipe.json"], "apply: .*regular file"),
    ("collect", ["root=faces", "apply=torn.json"], "apply"),
    ("audit", ["dataset.root=escape/faces"], r"manifest\.jsonl: line 1: its file"),
    ("audit", ["dataset.root=nowhere"], r"dataset\.root"),
    ("adopt", ["file=pipe.avi", "labels=[a,b]", "pixels=raw"], "file|labels"),
    ("adopt", ["file=/dev/zero", f"labels=[{','.join(EMOTIONS)}]", "pixels=raw"], "file"),
]  # fmt: skip


def _run(root: Path, name: str, **record: object) -> Path:
    run = runs.create(root / name, root, compose("train", "experiment=quickstart", f"outputs={root}"))
    runs.update(run, status="interrupted", epoch=1, **record)
    Contract(16, 16).save(run.path / "contract.json")
    run.checkpoints.mkdir()
    run.state.write_bytes(b"x")
    return run.path


def _config(folder: Path, old: str, new: str) -> None:
    text = (folder / "config.yaml").read_text()
    assert re.search(old, text, re.M)
    (folder / "config.yaml").write_text(re.sub(old, new, text, count=1, flags=re.M))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory with datasets, runs and files of every damaged kind."""
    root = tmp_path_factory.mktemp("accidents")
    out = root / "outputs"
    _run(out, "whole")
    (_run(out, "torn") / "run.json").write_text('{"status": "do')
    (_run(out, "deep") / "run.json").write_text("[" * 50_000)
    records: dict[str, dict[str, object]] = {"typed": {"epoch": "x"}, "newer": {"format": 99}}
    for name, change in records.items():
        path = _run(out, name) / "run.json"
        files.write_json(path, files.read_json(path) | change)
    (_run(out, "nocontract") / "contract.json").unlink()
    contracts: dict[str, dict[str, object]] = {"hugecontract": {"height": 10**9}, "hot": {"temperature": 1e9}}
    contracts["longlabel"] = {"labels": ["x" * 5000, "y"]}
    for name, change in contracts.items():
        path = _run(out, name) / "contract.json"
        files.write_json(path, files.read_json(path) | change)
    (pipe := _run(out, "fifocontract") / "contract.json").unlink()
    os.mkfifo(pipe)
    _config(_run(out, "foreign"), r"_target_: .*", "_target_: shutil.rmtree")
    _config(_run(out, "aliases"), r"^seed:", "a: &a [x]\nb: *a\nseed:")
    _config(_run(out, "tagged"), r"^seed: .*", "seed: !!python/object/apply:os.system ['touch PWNED']")
    _config(_run(out, "secret"), r"^seed: .*", "seed: ${oc.env:HOME}")
    _config(_run(out, "dataset"), r"^  name: synthetic", "  name: ../../x")
    _config(_run(out, "ranged"), r"^  batch_size: .*", "  batch_size: -4")
    (out / "search").mkdir()
    files.write_json(out / "search" / "search.json", {"plan": {"overrides": [5]}})
    checkpoint = {"path": "x", "sha256": "y"}
    whole = {"status": "done", "run": "whole", "format": "litert", "sha256": "z", "checkpoint": checkpoint}
    reports: dict[str, dict[str, object]] = {"typed": {"format": {}}, "gone": {}}
    reports["nul"] = {"checkpoint": {"path": "\0", "sha256": "y"}}
    for name, change in reports.items():
        (folder := out / "whole/exports" / name).mkdir(parents=True)
        files.write_json(folder / "report.json", whole | change)
    (out / "whole/exports/torn").mkdir()
    (out / "whole/exports/torn/report.json").write_text("{")
    for number, label in enumerate(EMOTIONS):
        for folder in (root / "faces" / label, root / "escape/faces" / label):
            folder.mkdir(parents=True)
            image = np.random.default_rng(number).integers(0, 256, (64, 64, 3), np.uint8)
            cv2.imwrite(str(folder / "a.png"), image)
    (root / "escape/faces/manifest.jsonl").write_text(
        '{"key":"a","decision":"rejected","emotion":"sad","label_source":"folder","file":"sad/../../../clip.avi"}\n'
    )
    (root / "clip.avi").write_bytes(b"precious")
    (root / "torn.json").write_text('{"emotion": "happy", "decisions": [')
    (root / "decisions.json").write_text('{"emotion": "sad", "saved": "1", "decisions": []}')
    for name in ("pipe.avi", "pipe.json"):
        os.mkfifo(root / name)
    (root / "loop").symlink_to("loop")
    (root / "configs/model").mkdir(parents=True)
    (root / "configs/model/tagged.yaml").write_text("_target_: !!python/object/apply:os.system ['touch PWNED']\n")
    (root / "damaged/model").mkdir(parents=True)
    (root / "damaged/model/torn.yaml").write_text("a: [1\nb: : :")
    (root / "config.pickle").write_bytes(b"cos\nsystem\n(S'touch PWNED'\ntR.")
    return root


def snapshot(root: Path) -> dict[str, str]:
    """Every file and its digest, but for locks, which are made on the way."""
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        for path in root.rglob("*")
        if path.name != ".lock"
    }


def _id(case: tuple[str, list[str], str]) -> str:
    return words.shortened(f"{case[0]} {' '.join(case[1][-2:])}".encode("unicode_escape").decode(), 50)


@pytest.mark.nightly
@pytest.mark.parametrize("case", MISTAKES, ids=_id)
def test_a_mistake_is_answered_in_few_lines_and_changes_nothing(case: tuple[str, list[str], str], place: Path) -> None:
    command, arguments, says = case
    before = snapshot(place)
    done = emotion(command, *arguments, cwd=place, check=False)  # a process: Hydra's handlers keep its streams
    text = done.stdout + done.stderr
    assert done.returncode == 2, text
    assert "Traceback" not in text
    assert re.search(says, text, re.S), text[-2000:]
    assert words.printable(text) == text
    assert max(map(len, text.splitlines())) <= 410
    assert len(text.splitlines()) <= 60
    assert snapshot(place) == before
