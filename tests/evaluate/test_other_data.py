"""Scoring on data that a run was not trained on: all of it counts, what was trained on is found, faces are cut out."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from omegaconf import OmegaConf

from emotion import evaluate, runs
from emotion.base import files
from emotion.base.errors import UserError
from emotion.data import seen, sources, synthetic
from emotion.data.examples import ALL
from emotion.evaluate import cutting, slicing
from emotion.faces import images
from emotion.faces.labels import EMOTIONS
from tests.conftest import compose


def _write(folder: Path, numbers: range, label: int | None = None, side: int = 48) -> list[Path]:
    """Drawn faces as files in class folders."""
    paths = []
    for number in numbers:
        emotion = EMOTIONS[number % len(EMOTIONS) if label is None else label]
        path = folder / emotion / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(path), synthetic.picture(0, number, side, 0.3))
        paths.append(path)
    return paths


def _dataset(root: Path, **keys: Any) -> Any:
    pairs = [f"dataset.{key}={value}" for key, value in keys.items()]
    return compose("train", "dataset=folder", f"dataset.root={root}", *pairs).dataset


@pytest.mark.slow
def test_every_image_of_a_folder_counts_whatever_is_missing(tmp_path: Path) -> None:
    _write(tmp_path / "few", range(3))  # one of three emotions each: no training could divide them
    assert np.bincount(sources.load_whole(_dataset(tmp_path / "few"))[ALL].labels, minlength=7).tolist() == [
        1, 1, 1, 0, 0, 0, 0,
    ]  # fmt: skip
    with pytest.raises(UserError, match="only 1 different image"):
        sources.load(_dataset(tmp_path / "few"))
    _write(tmp_path / "tested" / "test", range(14))
    assert len(sources.load_whole(_dataset(tmp_path / "tested"))[ALL]) == 14
    with pytest.raises(UserError, match="found test but no train folder"):
        sources.load(_dataset(tmp_path / "tested"))
    _write(tmp_path / "tested" / "train", range(14, 35))
    assert len(sources.load_whole(_dataset(tmp_path / "tested"))[ALL]) == 35
    assert len(sources.load_whole(_dataset(tmp_path / "tested", limit=10))[ALL]) == 10


@pytest.mark.slow
def test_all_of_a_divided_dataset_are_its_splits_together() -> None:
    dataset = compose("train", "dataset=synthetic", "dataset.per_emotion=10", "dataset.image_size=48").dataset
    splits, whole = sources.load(dataset), sources.load_whole(dataset)
    together = np.concatenate([splits[s].hashes for s in ("train", "validation", "test")])
    assert sorted(whole[ALL].hashes) == sorted(together)


@pytest.mark.slow
def test_a_set_of_thirty_thousand_images_takes_less_than_300_kb_and_knows_its_own(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    hashes = np.frombuffer(rng.bytes(16 * 60_000), "S16")
    known = seen.compact(hashes[:30_000])
    assert seen.among(hashes, known).tolist() == [True] * 30_000 + [False] * 30_000
    dataset = compose("train", "dataset=synthetic", "dataset.per_emotion=10", "dataset.image_size=48").dataset
    splits = sources.load(dataset)
    seen.save(tmp_path, seen.of(splits))
    stored = seen.load(tmp_path)
    assert stored is not None
    assert seen.among(splits.validation.hashes, stored).all()
    assert not seen.among(splits.test.hashes, stored).any()
    np.save(tmp_path / "thirty.npy", known)
    assert (tmp_path / "thirty.npy").stat().st_size < 300_000
    for damage in (b"", b"\x93NUMPY", (tmp_path / seen.FILE).read_bytes()[:-3]):
        (tmp_path / seen.FILE).write_bytes(damage)
        with pytest.raises(UserError, match=r"trained_on\.npy: damaged"):
            seen.load(tmp_path)


def test_shipped_and_published_runs_know_what_they_were_trained_on() -> None:
    shipped = runs.resolve("pretrained", "outputs")
    known = seen.load(shipped.path)
    assert known is not None
    images_seen = sum(sum(shipped.record().data["counts"][split].values()) for split in ("train", "validation"))
    assert 0.9 * images_seen < len(known) <= images_seen
    assert (shipped.path / seen.FILE).stat().st_size < 300_000


@pytest.fixture
def run(trained: runs.Run, tmp_path: Path) -> runs.Run:
    """A copy of the trained run whose data is gone."""
    shutil.copytree(trained.path, tmp_path / "run")
    copy = runs.Run(tmp_path / "run", "run")
    cfg = copy.config()
    cfg.dataset = _dataset(tmp_path / "gone")
    OmegaConf.save(cfg, copy.path / "config.yaml", resolve=True)
    return copy


def _evaluate(run: runs.Run, *options: str) -> dict[str, Any]:
    return evaluate.evaluate(compose("evaluate", f"run={run.path}", "bootstrap=50", *options))


@pytest.mark.slow
def test_images_that_were_trained_on_are_found_among_others_without_the_data(
    trained: runs.Run, run: runs.Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = sources.load(trained.config().dataset)
    for number in range(5):
        path = tmp_path / "faces" / EMOTIONS[own.train.labels[number]] / f"own{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), own.train.image(number))
    _write(tmp_path / "faces", range(7000, 7009))
    score = _evaluate(run, "dataset=folder", f"dataset.root={tmp_path / 'faces'}", "faces=whole")
    assert score["n"] == 14
    assert (score["leak_free"]["n"], score["leak_free"]["excluded"]) == (9, 5)
    assert "all images), 14 images" in (out := capsys.readouterr().out)
    assert "without 5 seen in training or validation" in out
    (folder,) = (run.path / "evaluations").iterdir()
    assert folder.name.endswith("-all")
    assert "**All images (own images, all images): accuracy" in (folder / "report.md").read_text()
    with np.load(folder / "predictions.npz") as stored:
        assert stored["all_leaked"].sum() == 5


@pytest.mark.slow
def test_a_runs_own_data_at_another_place_is_scored_on_its_test_split(run: runs.Run, trained: runs.Run) -> None:
    tiny = trained.config().dataset
    options = [f"dataset.{key}={tiny[key]}" for key in ("per_emotion", "image_size", "noise")]
    score = _evaluate(run, "dataset=synthetic", *options)
    assert score["n"] == sum(run.record().data["counts"]["test"].values())
    assert not (run.path / "evaluations").exists()
    every = _evaluate(run, "dataset=synthetic", "split=all", *options)
    assert every["n"] == sum(sum(counts.values()) for counts in run.record().data["counts"].values())


def _photo(number: int) -> np.ndarray:
    """A drawn face in the lower right of a grey photo."""
    photo = np.full((480, 640, 3), 120, np.uint8)
    photo[250:442, 400:592] = cv2.resize(synthetic.picture(0, number, 96, 0.0), (192, 192))
    return photo


@pytest.mark.slow
def test_faces_are_cut_out_of_photos_with_the_contracts_margin(tmp_path: Path) -> None:
    for number in range(7):
        path = tmp_path / "photos" / EMOTIONS[number] / f"{number}.png"
        path.parent.mkdir(parents=True)
        cv2.imwrite(str(path), _photo(number))
    cv2.imwrite(str(tmp_path / "photos" / "happy" / "nobody.png"), np.full((480, 640, 3), 90, np.uint8))
    every = sources.load_whole(_dataset(tmp_path / "photos"))[ALL]
    contract = runs.resolve("pretrained", "outputs").contract()
    cache = str(tmp_path / "cache")
    cut = cutting.cut(every, contract, "auto", "whole", cache, str(tmp_path / "photos"))
    assert "are photos, not face crops" in cut.note
    assert cut.note.endswith("faces=largest")
    assert [Path(name).name for name in cut.without] == ["nobody.png"]
    assert "no face found in 1 of 8, which are scored whole" in cut.note
    assert "% of an image's side" in cut.note
    cascade = images.load_cascade()
    for i in range(len(every)):
        photo, taken = every.image(i), cut.examples.image(i)
        boxes = images.detect(cascade, photo)
        expected = images.crop(photo, boxes[0], contract.crop_margin) if boxes else photo
        np.testing.assert_array_equal(taken, expected)
    fewer = cutting.cut(every, contract, "search", "leave_out", cache)
    assert len(fewer.examples) == 7
    assert cutting.cut(every, contract, "whole", "whole", cache).examples is every
    nobody = every.take(np.flatnonzero([Path(str(p)).name == "nobody.png" for p in every.paths]))
    with pytest.raises(UserError, match="no face was found in any of the 1 images"):
        cutting.cut(nobody, contract, "search", "whole", cache)
    few = cutting.cut(nobody, contract, "auto", "whole", cache)
    assert few.examples is nobody
    assert "too few show a face" in few.note


@pytest.mark.slow
def test_images_that_are_framed_as_the_models_are_stay_whole(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    contract = runs.resolve("pretrained", "outputs").contract()
    cascade = images.load_cascade()
    root = tmp_path / "crops" / "happy"
    root.mkdir(parents=True)
    for number in rng.choice(500, 30, replace=False).tolist():
        photo = _photo(number)
        for box in images.detect(cascade, photo)[:1]:
            cv2.imwrite(str(root / f"{number}.png"), images.crop(photo, box, contract.crop_margin))
    every = sources.load_whole(_dataset(tmp_path / "crops"))[ALL]
    assert len(every) > 20
    cut = cutting.cut(every, contract, "auto", "whole", str(tmp_path / "cache"))
    assert cut.examples is every
    assert cut.note.startswith("faces: images are scored whole, as the face takes")


@pytest.mark.slow
def test_what_has_no_face_is_listed_and_counted(
    run: runs.Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(7):
        path = tmp_path / "photos" / EMOTIONS[number] / f"{number}.png"
        path.parent.mkdir(parents=True)
        cv2.imwrite(str(path), _photo(number))
    cv2.imwrite(str(tmp_path / "photos" / "sad" / "nobody.png"), np.full((480, 640, 3), 90, np.uint8))
    options = ("dataset=folder", f"dataset.root={tmp_path / 'photos'}", f"dataset.cache_dir={tmp_path}")
    assert _evaluate(run, *options, "faces=search")["n"] == 8
    assert _evaluate(run, *options, "faces=search", "no_face=leave_out")["n"] == 7
    assert "1 images without a face" in capsys.readouterr().out
    searched, faces = sorted((run.path / "evaluations").iterdir(), key=lambda path: path.name, reverse=True)
    assert searched.name.endswith("-all-search")
    assert faces.name.endswith("-all-faces")
    assert (searched / evaluate.NO_FACE).read_text().endswith("/sad/nobody.png\n")
    assert files.read_json(searched / "metrics.json")["all"]["n"] == 8


@pytest.mark.slow
def test_metadata_and_measurements_divide_the_images(tmp_path: Path) -> None:
    paths = _write(tmp_path / "faces", range(28))
    rows = [f"{path.name},{'dark' if i % 2 else 'light'},{i},same" for i, path in enumerate(paths)]
    (tmp_path / "faces" / "faces.csv").write_text("\n".join(["file,light,age,camera", *rows]) + "\n")
    dataset = _dataset(tmp_path / "faces", metadata="faces.csv", cache_dir=tmp_path / "cache")
    every = sources.load_whole(dataset)[ALL]
    columns = slicing.columns(every, dataset)
    assert set(columns) - {"face size"} == {"light", "age", "brightness", "sharpness"}, "the others divide nothing"
    light = dict(zip((Path(str(p)).name for p in every.paths), columns["light"].tolist(), strict=True))
    assert light == {path.name: "dark" if i % 2 else "light" for i, path in enumerate(paths)}
    assert np.unique(columns["age"], return_counts=True)[1].tolist() == [7] * 4, "28 ages are four quarters"
    (tmp_path / "faces" / "faces.csv").write_text("\n".join(["file,light", *[r[:5] + ",x" for r in rows[:3]]]))
    with pytest.raises(UserError, match=r"faces\.csv"):
        slicing.columns(every, dataset)


@pytest.mark.nightly
@pytest.mark.slow
def test_slices_are_in_the_report_and_the_summary(
    run: runs.Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = _write(tmp_path / "faces", range(7000, 7056))
    rows = [f"{path.name},{'left' if i < 28 else 'right'}" for i, path in enumerate(paths)]
    (tmp_path / "faces" / "faces.csv").write_text("\n".join(["file,side", *rows]) + "\n")
    options = ("dataset=folder", f"dataset.root={tmp_path / 'faces'}", "faces=whole", "dataset.metadata=faces.csv")
    score = _evaluate(run, *options, f"dataset.cache_dir={tmp_path}")
    assert sum(row["n"] for row in score["slices"]["side"]["slices"]) == 56
    assert "side: " in capsys.readouterr().out
    (folder,) = (run.path / "evaluations").iterdir()
    report = (folder / "report.md").read_text()
    assert "## Slices" in report
    assert "| side | left | 28 |" in report or "| side | right | 28 |" in report
    assert "slices" not in _evaluate(run, *options, "slices=false", f"dataset.cache_dir={tmp_path}")
