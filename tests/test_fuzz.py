"""Files from elsewhere, damaged at random: every reader returns what its callers expect, or says what is wrong.

The seed is that of the day unless ``EMOTION_FUZZ_SEED`` sets one; a failure names it with the damaged file.
"""

from __future__ import annotations

import copy
import datetime
import io
import json
import os
import random
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from omegaconf import OmegaConf

from emotion import runs
from emotion.base import files
from emotion.base.errors import UserError
from emotion.collect import decisions
from emotion.compare import candidates
from emotion.config import cli
from emotion.data import fer_csv, manifest
from emotion.data.crop_margin import CropMargin
from emotion.data.manifest import Manifest
from emotion.faces import decoding
from emotion.faces.contract import Contract
from emotion.faces.formats import UnreadableImageError
from emotion.runs import creating, exports, figures, predictions, record
from emotion.runs.history import read_history
from emotion.runs.selection import select
from emotion.tune.plan import Plan
from tests.conftest import compose
from tests.helpers.tiers import rest_nightly

SEED = int(os.environ.get("EMOTION_FUZZ_SEED", datetime.date.today().toordinal()))

#: What no schema expects, or only just.
EVIL: tuple[Any, ...] = (
    None, True, -1, 0, 10**30, 1e308, -0.5, "", "x" * 5000,
    "../../x", "/etc/passwd", "\x1b]0;x\x07", "\u202e", "é", "NaN",
    [], [[]], {}, {"a": 1}, [1, "a", None], "${oc.env:HOME}", "2026-01-01",
)  # fmt: skip


def _places(content: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    return [at, *(place for key, value in inner for place in _places(value, (*at, key)))]


def other_value(content: Any, chance: random.Random) -> Any:
    """JSON with one to three of its values replaced, removed or renamed."""
    content = copy.deepcopy(content)
    for _ in range(chance.randint(1, 3)):
        at = chance.choice(_places(content))
        if not at:
            content = chance.choice(EVIL) if chance.random() < 0.05 else content
            continue
        parent = content
        for key in at[:-1]:
            parent = parent[key]
        how = chance.random()
        if how < 0.75:
            parent[at[-1]] = copy.deepcopy(chance.choice(EVIL))
        elif how < 0.9:
            del parent[at[-1]]
        elif isinstance(parent, dict):
            parent[str(chance.choice(EVIL))] = parent.pop(at[-1])
    return content


def other_bytes(data: bytes, chance: random.Random) -> bytes:
    """Data with bytes flipped, cut off, doubled or put in."""
    changed = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(changed) + 1)
        how = chance.randrange(5)
        if how == 0 and at < len(changed):
            changed[at] ^= 1 << chance.randrange(8)
        elif how == 1:
            del changed[at:]
        elif how == 2:
            del changed[at : at + chance.randint(1, 20)]
        elif how == 3:
            changed[at:at] = changed[at : at + chance.randint(1, 200)]
        else:
            changed[at:at] = chance.choice(
                [b"\0", b"\xff\xfe", b"[" * 3000, b"{", b'"', b"\n", b"9" * 400, b"-", b"&a *a"]
            )
    return bytes(changed)


def as_text(content: Any) -> bytes:
    return json.dumps(content).encode()


def as_yaml(content: Any) -> bytes:
    return str(OmegaConf.to_yaml(OmegaConf.create({"x": content}))).encode() if not isinstance(content, dict) else (
        "\n".join(f"{key}: {json.dumps(value)}" for key, value in content.items()).encode()
    )  # fmt: skip


class Folder:
    """A whole run with an export, and a dataset; and what reads each of their files."""

    def __init__(self, root: Path) -> None:
        self.root, self.run = root, runs.create(root / "out" / "run", root / "out", compose("train"))
        (self.run.path / "model.tflite").write_bytes(b"only looked for here")
        teacher = {"run": "b", "checkpoint": "0" * 64}
        changed = [{"after_epoch": 1, "settings": {"trainer.epochs": [1, 2]}}]
        scores = {"validation": {"accuracy": 0.5, "macro_f1": 0.4}, "test": {"accuracy": 0.5, "macro_f1": 0.4}}
        data = {
            "pixels": "ab" * 32,
            "counts": {"train": {"happy": 3}},
            "pixels_by_split": {"train": "ab"},
            "dataset": "x",
        }
        runs.update(
            self.run, status="done", scores=scores, data=data, teachers=[teacher], changed=changed, epoch=1, best=0.4,
            tflite={"checkpoint": "a", "sha256": "b"}, efficiency={"latency_ms": 1.0, "multiply_adds": 5},
            objective={"name": "val_macro_f1", "value": 0.4, "epoch": 1},
        )  # fmt: skip
        Contract(16, 16).save(self.run.path / "contract.json")
        interval = {"value": 0.5, "low": 0.1, "high": 0.9}
        per_class = {"happy": {"recall": interval, "support": 3}}
        scored = {"n": 3, "accuracy": interval, "macro_f1": interval, "per_class": per_class, "bootstrap": 10}
        files.write_json(self.run.path / "metrics.json", {"checkpoint": "a", "data": "b", "test": scored})
        columns = predictions.Predictions(
            np.full((3, 7), 1 / 7, np.float32), np.arange(3, dtype=np.int8), np.array([b"a" * 16] * 3, "S16")
        )
        predictions.write(self.run.path, {"test": columns})
        (self.run.path / "history.csv").write_text("epoch,loss\n1,0.5\n2,0.4\n")
        export = self.run.path / "exports" / "mine"
        export.mkdir(parents=True)
        report = {"status": "done", "run": "run", "format": "litert", "sha256": "z", "latency_ms": {"export": 1.0}}
        checkpoint = {"path": "../../checkpoints/best.keras", "sha256": "y"}
        files.write_json(export / "report.json", report | {"checkpoint": checkpoint})
        plan = Plan.of(cli.request("tune", ["experiment=quickstart"])).as_json()
        files.write_json(root / "search.json", {"plan": plan, "finished": None})
        files.write_json(root / "dataset.json", {"source": "emotion.audit", "crop_margin": 0.1, "pictures": 5})
        rows = [{"file": "happy/a.png", "shown": "kept", "decision": "rejected"}]
        files.write_json(root / "decisions.json", {"emotion": "happy", "saved": "2026", "decisions": rows})
        lines: list[dict[str, Any]] = [
            {"key": "a#1", "face": 0, "of": 1, "decision": "kept", "emotion": "happy", "label_source": "query",
             "file": "happy/a.png", "pixels": "ab" * 16, "perceptual_hash": "ab" * 16, "source": "video", "crop": {}},
            {"event": "review", "file": "happy/a.png", "decision": "accepted"},
            {"event": "quarantine", "file": "happy/a.png", "reason": "x"},
            {"event": "found again", "key": "a#1", "emotion": "sad"},
        ]  # fmt: skip
        (root / "manifest.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        pixels = " ".join(["7"] * 2304)
        (root / "fer2013.csv").write_text(f"emotion,pixels,Usage\n0,{pixels},Training\n3,{pixels},PublicTest\n")
        for ending in (".png", ".jpg", ".bmp", ".webp"):
            image = np.random.default_rng(0).integers(0, 256, (24, 24, 3), np.uint8)
            (root / f"face{ending}").write_bytes(cv2.imencode(ending, image)[1].tobytes())
        self.asked = cli.request("tune", ["resume=x"])

    def whole(self) -> dict[str, tuple[Path, Callable[[Path], object], bool]]:
        """By kind: the file, what reads it and uses what was read, and whether it is JSON in structure."""
        path = self.run.path
        return {
            "run.json": (path / "run.json", self._record, True),
            "contract.json": (path / "contract.json", Contract.load, True),
            "metrics.json": (path / "metrics.json", lambda p: figures.read_metrics(p.parent, "again"), True),
            "report.json": (path / "exports/mine/report.json", self._export, True),
            "config.yaml": (path / "config.yaml", self._config, False),
            "predictions.npz": (path / "predictions.npz", self._predictions, False),
            "history.csv": (path / "history.csv", read_history, False),
            "search.json": (self.root / "search.json", lambda p: Plan.load(p.parent, self.asked), True),
            "dataset.json": (self.root / "dataset.json", lambda p: CropMargin.load(p.parent), True),
            "decisions.json": (self.root / "decisions.json", decisions.read, True),
            "manifest.jsonl": (self.root / "manifest.jsonl", self._manifest, False),
            "fer2013.csv": (self.root / "fer2013.csv", fer_csv.parse, False),
            "face.png": (self.root / "face.png", self._image, False),
            "face.jpg": (self.root / "face.jpg", self._image, False),
            "face.bmp": (self.root / "face.bmp", self._image, False),
            "face.webp": (self.root / "face.webp", self._image, False),
        }  # fmt: skip

    def _record(self, path: Path) -> None:
        found = record.read(path.parent)
        assert isinstance(found.changes + found.code + str(found.pixels), str)
        for name in ("best", "latest"):
            runs.resolve(name, path.parent.parent).record()
        assert select("all", path.parent.parent)
        assert found.scores.get("validation", {}).get("macro_f1", 0) is not False
        assert all(teacher["run"] for teacher in found.teachers)
        json.dumps(found.to_json(), allow_nan=False)

    def _predictions(self, path: Path) -> None:
        found = predictions.read_folder(path.parent, ["test"], "x")["test"]
        np.bincount(found.labels, minlength=7), found.probabilities.argmax(axis=1)

    def _export(self, path: Path) -> None:
        export = exports.find(path.parent, self.root / "out")
        if export is not None:
            assert export.id
            export.is_stale()
            export.check()

    def _config(self, path: Path) -> None:
        cfg = self.run.config()
        creating.with_absolute_paths(OmegaConf.merge(cfg, {"outputs": str(self.root)}))  # type: ignore[arg-type]
        candidates._config(self.run)

    def _manifest(self, path: Path) -> None:
        manifest.unreviewed(path.parent)
        manifest.origins(path.parent)
        assert all("key" in line for line in Manifest.open(path.parent).records())

    def _image(self, path: Path) -> None:
        data = path.read_bytes()
        decoding.header(data)
        decoding.decode(data)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    return Folder(tmp_path_factory.mktemp("fuzz"))


KINDS = ("run.json", "contract.json", "metrics.json", "report.json", "config.yaml", "predictions.npz", "history.csv",
         "search.json", "dataset.json", "decisions.json", "manifest.jsonl", "fer2013.csv", "face.png", "face.jpg",
         "face.bmp", "face.webp")  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("cases", rest_nightly([80, 160]))
@pytest.mark.parametrize("kind", KINDS)
def test_no_damaged_file_ends_in_a_traceback(folder: Folder, kind: str, cases: int) -> None:
    path, use, structured = folder.whole()[kind]
    original = path.read_bytes()
    use_whole(use, path)
    refused = 0
    try:
        for number in range(cases):
            chance = random.Random(f"{SEED}-{kind}-{number}")
            damaged = _damaged(kind, original, structured, chance)
            path.write_bytes(damaged)
            try:
                use(path)
            except (UserError, UnreadableImageError):
                refused += 1
            except Exception as error:
                raise AssertionError(f"EMOTION_FUZZ_SEED={SEED}, case {number}: {damaged[:1500]!r}") from error
    finally:
        path.write_bytes(original)
    assert refused > cases // 20, "the files are hardly damaged"


def use_whole(use: Callable[[Path], object], path: Path) -> None:
    if path.name == "report.json":  # the export has no model
        with pytest.raises(UserError, match="missing"):
            use(path)
    else:
        use(path)


def _damaged(kind: str, original: bytes, structured: bool, chance: random.Random) -> bytes:
    if kind == "predictions.npz" and chance.random() < 0.6:
        return _other_arrays(original, chance)
    if kind == "manifest.jsonl" and chance.random() < 0.7:
        lines = [json.loads(line) for line in original.splitlines()]
        at = chance.randrange(len(lines))
        lines[at] = other_value(lines[at], chance)
        return b"".join(as_text(line) + b"\n" for line in lines)
    if kind == "config.yaml" and chance.random() < 0.7:
        return as_yaml(other_value(OmegaConf.to_container(OmegaConf.create(original.decode())), chance))
    if structured and chance.random() < 0.7:
        return as_text(other_value(json.loads(original), chance))
    return other_bytes(original, chance)


def _other_arrays(original: bytes, chance: random.Random) -> bytes:
    """An archive whose arrays have other types and shapes, or headers that claim more than is there."""
    with np.load(io.BytesIO(original)) as data:
        arrays = dict(data)
    name = chance.choice(sorted(arrays))
    shape = chance.choice([(0,), (3,), (3, 7), (1, 1, 1), ()])
    kind = chance.choice(["f4", "f8", "i8", "S16", "U4", "?", "c8", "M8[s]", "V3"])
    arrays[name] = np.zeros(shape, kind)
    if chance.random() < 0.3:
        arrays[name] = np.full((3, 7), chance.choice([np.nan, np.inf, -1.0]), np.float32)
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    if chance.random() < 0.7:
        return buffer.getvalue()
    head = repr({"descr": "<f4", "fortran_order": False, "shape": (2**31, chance.randint(1, 9))}).encode()
    head += b" " * (-(len(head) + 11) % 64) + b"\n"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for other in arrays:
            archive.writestr(
                f"{other}.npy", b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head + b"\0" * 999
            )
    return buffer.getvalue()
