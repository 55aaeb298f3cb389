"""Class folders: layouts, names, files that are no whole pictures, and what is said of mistakes."""

import json
import os
import shutil
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from omegaconf import DictConfig, OmegaConf
from PIL import Image as Pillow

from emotion.base.errors import UserError
from emotion.data import sources
from emotion.data.fingerprint import hash_pixels
from emotion.faces.decoding import read as read_picture
from emotion.faces.labels import EMOTIONS


@pytest.fixture
def root(tmp_path) -> Path:
    return tmp_path / "faces"


def merged(*parts: Any) -> DictConfig:
    whole = OmegaConf.merge(*parts)
    assert isinstance(whole, DictConfig)
    return whole


@pytest.fixture
def load(root, tmp_path):
    def load(**values):
        base = OmegaConf.load(Path(__file__).parents[2] / "conf" / "dataset" / "folder.yaml")
        return sources.load(merged(base, {"root": str(root), "cache_dir": str(tmp_path / "cache")}, values))

    return load


def picture(seed: int, size: int = 12) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (size, size, 3), np.uint8)


def fill(folder: Path, names=EMOTIONS, n: int = 6, suffix: str = ".png", seed: int = 0) -> None:
    """n different pictures in each class folder."""
    for name in names:
        (folder / name).mkdir(parents=True, exist_ok=True)
        for i in range(n):
            key = zlib.crc32(f"{folder.name} {name} {i} {seed}".encode())
            assert cv2.imwrite(str(folder / name / f"{seed}_{i}{suffix}"), picture(key))


def paths(splits) -> list[str]:
    return [p for s in ("train", "validation", "test") for p in splits[s].paths.tolist()]


# ------------------------------------------------------------------------------------------------------ the layouts


@pytest.mark.slow
def test_flat_layout_is_divided_and_labelled(root, load):
    fill(root, n=20)
    splits = load()
    assert [len(splits[s]) for s in ("train", "validation", "test")] == pytest.approx([113, 13, 14], abs=4)
    assert sorted(paths(splits)) == sorted(str(p) for p in root.glob("*/*"))
    for s in ("train", "validation", "test"):
        for path, label, digest in zip(splits[s].paths, splits[s].labels, splits[s].hashes, strict=True):
            assert Path(path).parent.name == EMOTIONS[label]
            assert digest == np.array(hash_pixels(read_picture(path)), "S16")
    assert splits.train.images is None
    assert load().fingerprint == splits.fingerprint
    assert load(split_seed=1).fingerprint != splits.fingerprint


@pytest.mark.parametrize(
    "names", [("train", "val", "test"), ("Training", "Validation", "TESTING"), ("train", "dev", "test")]
)
def test_split_folders_are_taken_as_they_are(root, load, names):
    for name, n in zip(names, (5, 3, 2), strict=True):
        fill(root / name, n=n)
    splits = load()
    for split, name, n in zip(("train", "validation", "test"), names, (5, 3, 2), strict=True):
        assert len(splits[split]) == 7 * n
        assert {Path(p).parents[1].name for p in splits[split].paths} == {name}


@pytest.mark.slow
def test_missing_split_folders_are_held_out_from_train(root, load):
    fill(root / "train", n=20)
    fill(root / "test", n=2)
    splits = load()
    assert len(splits.test) == 14
    assert len(splits.validation) == pytest.approx(14, abs=3)
    assert any("No validation split of its own" in n for n in splits.notes)
    shutil.rmtree(root / "test")
    assert len(load(test_fraction=0.5).test) == pytest.approx(70, abs=3)


def test_exact_duplicates_stay_together_whatever_their_format(root, load):
    fill(root, n=10)
    for name in EMOTIONS:
        for i in range(5):
            image = read_picture(root / name / f"0_{i}.png")
            cv2.imwrite(str(root / name / f"copy_{i}.bmp"), image)
    splits = load(validation_fraction=0.3, test_fraction=0.3)
    of = {s: set(splits[s].hashes.tolist()) for s in ("train", "validation", "test")}
    assert not of["train"] & of["validation"]
    assert not of["train"] & of["test"]
    assert not of["validation"] & of["test"]
    assert len(paths(splits)) == 7 * 15


def test_words_of_other_datasets_and_two_folders_of_one_emotion(root, load):
    fill(root, ("Anger", "disgust", "FEAR", "3_happiness", "Neutral", "surprise", "sad"))
    fill(root, ("sadness",), seed=1)
    splits = load()
    counts = np.bincount(np.concatenate([splits[s].labels for s in ("train", "validation", "test")]), minlength=7)
    assert counts.tolist() == [6, 6, 6, 6, 6, 12, 6]
    assert any("are both 'sad': merged" in n for n in splits.notes)


def test_numbers_need_a_numbering(root, load):
    fill(root, [str(i) for i in range(1, 8)])
    with pytest.raises(UserError, match=r"class '1' is a number.*dataset\.numbering"):
        load()
    splits = load(numbering="rafdb")
    surprised = [p for s in ("train", "validation", "test") for p in splits[s].paths[splits[s].labels == 6].tolist()]
    assert {Path(p).parent.name for p in surprised} == {"1"}


def test_fewer_emotions_are_noted(root, load):
    fill(root, ("happy", "sad"))
    assert any("no folder for angry, disgusted, fearful, neutral, surprised" in n for n in load().notes)


def test_limit(root, load):
    fill(root, n=20)
    assert len(load(limit=7).train) == 7


# --------------------------------------------------------------------------------------------- what is said of mistakes


def test_no_such_root(root, load):
    with pytest.raises(UserError, match=r"dataset\.root: no such folder '.*faces'"):
        load()
    root.write_text("")
    with pytest.raises(UserError, match="is a file, must be a folder"):
        load()
    with pytest.raises(UserError, match=r"dataset\.root: no value"):
        load(root=None)


def test_no_class_folders(root, load):
    (root / "photos").mkdir(parents=True)
    (root / "__MACOSX").mkdir()
    with pytest.raises(UserError, match=r"no class folders in it \(found: photos\)\. Expected <root>/<emotion>"):
        load()
    fill(root / "photos")
    with pytest.raises(UserError, match=r"Did you mean dataset\.root=.*faces/photos\?"):
        load()


def test_an_unknown_class_is_named_with_its_path_and_can_be_ignored(root, load):
    fill(root, (*EMOTIONS, "contempt", "surprized"))
    with pytest.raises(UserError) as caught:
        load()
    message = str(caught.value)
    assert f"{root / 'contempt'}: class 'contempt' is none of the seven" in message
    assert f"{root / 'surprized'}" in message
    assert "Did you mean 'surprised'" in message
    assert "dataset.ignore=[contempt,surprized]" in message
    assert len(paths(load(ignore=["Contempt", "surprized"]))) == 42
    with pytest.raises(
        UserError, match=r"dataset\.ignore: no folder in .* is called contemt\. Did you mean 'contempt'"
    ):
        load(ignore=["contemt", "surprized"])


def test_an_empty_class_is_named_with_its_path(root, load):
    fill(root)
    (root / "sad" / "keep").mkdir()
    for p in (root / "sad").glob("*.png"):
        p.unlink()
    (root / "sad" / "list.txt").write_text("a")
    with pytest.raises(UserError, match=r"faces/sad: no images in it.*dataset\.ignore=\[sad\]"):
        load()
    fill(root, ("sadness",))
    assert any("sad" in n and "merged" in n for n in load().notes)


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        (("train", "training"), "both mean the train split"),
        (("train", "vaild"), r"vaild, which is no split\. Did you mean 'valid'"),
        (("train", "happy"), "happy, which is no split"),
        (("test",), "found test but no train folder"),
    ],
)
def test_odd_split_folders(root, load, folders, message):
    for folder in folders:
        fill(root / folder)
    with pytest.raises(UserError, match=message):
        load()


def test_too_few_different_pictures(root, load):
    fill(root)
    for p in (root / "sad").glob("*.png"):
        cv2.imwrite(str(p), picture(0))
    with pytest.raises(UserError, match="'sad' has only 1 different image"):
        load()


# ---------------------------------------------------------------------------------------------------- unreadable files


def broken(folder: Path) -> dict[str, str]:
    """Files that are no whole pictures, and what must be said of each."""
    jpeg = cv2.imencode(".jpg", picture(1, 64))[1].tobytes()
    png = cv2.imencode(".png", picture(2, 64))[1].tobytes()
    (folder / "cut.jpg").write_bytes(jpeg[: len(jpeg) // 2])
    (folder / "cut.png").write_bytes(png[: len(png) // 2])
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "page.jpg").write_text("<html>404</html>")
    (folder / "noise").write_bytes(bytes(range(256)))
    (folder / "dead link.png").symlink_to(folder / "nowhere.png")
    (folder / "loop.png").symlink_to(folder / "loop.png")
    return {
        "cut.jpg": "truncated",
        "cut.png": "truncated",
        "empty.jpg": "empty file",
        "page.jpg": "not an image",
        "noise": "not an image",
        "dead link.png": "No such file",
        "loop.png": "symbolic links",
    }


@pytest.mark.slow
def test_unreadable_files_are_listed_and_too_many_stop_the_run(root, load):
    fill(root, n=20)
    expected = broken(root / "happy")
    with pytest.raises(UserError) as caught:
        load(max_unreadable=0.04)
    message = str(caught.value)
    assert "7 of 147 files are unreadable, more than dataset.max_unreadable=0.04" in message
    splits = load(max_unreadable=0.05)
    assert len(paths(splits)) == 140
    assert {Path(p).name for p, _ in splits.unreadable} == set(expected)
    for path, reason in splits.unreadable:
        assert path == str(root / "happy" / Path(path).name)
        assert expected[Path(path).name] in reason
        assert f"{path}: {reason}" in message
    assert any("Left out 7 unreadable files" in n for n in splits.notes)


def test_only_the_first_ten_are_shown(root, load):
    fill(root)
    for i in range(13):
        (root / "sad" / f"x{i:02d}.jpg").write_text("x")
    with pytest.raises(UserError, match=r"x09\.jpg: not an image[^\n]*\n  and 3 more"):
        load()


def test_a_class_of_unreadable_files_stops_the_run_whatever_is_allowed(root, load):
    fill(root)
    for p in (root / "sad").iterdir():
        p.write_bytes(b"")
    with pytest.raises(UserError, match=r"sad/0_0\.png: empty file; and no other image of 'sad' in train is readable"):
        load(max_unreadable=1)


def test_what_lies_beside_pictures_is_skipped_silently(root, load):
    fill(root)
    for name in ("labels.txt", "a.CSV", "meta.json", "Thumbs.db", ".DS_Store", "._0_0.png", "desktop.ini"):
        (root / "happy" / name).write_text("x")
    (root / ".git").mkdir()
    (root / "readme.md").write_text("x")
    os.mkfifo(root / "happy" / "pipe.png")  # opening it would wait for ever
    (root / "happy" / "link to pipe.png").symlink_to(root / "happy" / "pipe.png")
    splits = load(max_unreadable=0)
    assert len(paths(splits)) == 42
    assert splits.unreadable == ()


# -------------------------------------------------------------------------------------------------------- odd pictures


def test_every_format_that_opencv_reads(root, load):
    fill(root)
    folder, grey = root / "happy", picture(3)[:, :, 0]
    for suffix in (".jpg", ".jpeg", ".JPG", ".bmp", ".webp", ".tif", ".ppm", ".pgm", ".gif"):
        image = grey if suffix == ".pgm" else picture(4)
        assert cv2.imwrite(str(folder / f"odd{suffix}"), image)
    cv2.imwrite(str(folder / "16 bit.png"), (grey.astype(np.uint16) << 8) | 17)
    cv2.imwrite(str(folder / "grey.png"), grey)
    cv2.imwrite(str(folder / "alpha.png"), np.dstack([picture(5), grey]))
    pillow = pytest.importorskip("PIL.Image")
    pillow.fromarray(np.dstack([grey, grey // 2])).save(folder / "grey alpha.png")
    pillow.fromarray(picture(6)).convert("CMYK").save(folder / "cmyk.jpg")
    pillow.fromarray(picture(7)).convert("P").save(folder / "palette.png")
    frames = [pillow.fromarray(picture(i)) for i in (8, 9)]
    frames[0].save(folder / "animated.gif", save_all=True, append_images=frames[1:])
    frames[0].save(folder / "animated.webp", save_all=True, append_images=frames[1:], lossless=True)
    splits = load(max_unreadable=0)
    assert splits.unreadable == ()
    assert len(paths(splits)) == 42 + 17
    hashes = {
        p: h for s in ("train", "validation", "test") for p, h in zip(splits[s].paths, splits[s].hashes, strict=True)
    }
    assert hashes[str(folder / "16 bit.png")] == hashes[str(folder / "grey.png")]


def test_litter_of_other_systems_is_passed_over(root, load):
    fill(root)
    for folder in ("@eaDir", "__MACOSX", "$RECYCLE.BIN", "lost+found"):
        (root / folder).mkdir()
        (root / folder / "x.jpg").write_bytes(b"no image")
    (root / "happy" / "@eaDir").mkdir()
    for name in ("Icon\r", "x.png:Zone.Identifier", "Thumbs.db", "x.png~", "~$x.png", "x.png.crdownload"):
        (root / "happy" / name).write_bytes(b"no image")
    splits = load(max_unreadable=0)
    assert splits.unreadable == ()
    assert len(paths(splits)) == 42
    assert not any("not searched" in note for note in splits.notes)


def test_of_an_animation_the_first_frame_is_taken_and_it_is_said_each_time(root, load):
    fill(root)
    frames = [Pillow.fromarray(picture(i)) for i in (8, 9)]
    frames[0].save(root / "happy" / "animated.gif", save_all=True, append_images=frames[1:])
    for _ in range(2):  # decoded, and from the index
        assert any("only the first is taken: happy/animated.gif" in note for note in load(max_unreadable=0).notes)


def test_odd_names_links_and_folders_survive(root, load):
    fill(root)
    for name in ("two words.png", "ünï ☺.png", "new\nline.png", "-rf.png", "'quote\".png", "no suffix", "%d.png"):
        cv2.imwrite(str(root / "x.png"), picture(zlib.crc32(name.encode())))
        (root / "x.png").rename(root / "sad" / name)
    (root / "sad" / "loop").symlink_to(root, target_is_directory=True)
    (root / "sad" / "inner").mkdir()
    outside = root.parent / "elsewhere"
    shutil.move(root / "happy", outside)
    (root / "happy").symlink_to(outside, target_is_directory=True)
    (root / "happiness").symlink_to(outside, target_is_directory=True)
    splits = load()
    assert len(paths(splits)) == 49
    assert all(Path(p).is_file() for p in paths(splits))
    assert any("the 2 folders inside it were not searched" in n for n in splits.notes)


def test_a_name_that_is_no_text_is_unreadable_and_said_so(root, load):
    fill(root)
    try:
        shutil.copy(root / "sad" / "0_0.png", os.fsencode(root / "sad") + b"/bad\xff.png")
    except OSError:
        pytest.skip("this file system takes only UTF-8 names")
    (unreadable,) = load(max_unreadable=0.1).unreadable
    assert unreadable == (str(root / "sad" / "bad") + "\\udcff.png", "its name is not valid UTF-8")


@pytest.mark.slow
def test_a_second_start_gives_the_same_and_without_a_writable_cache_it_goes_on(root, load, tmp_path):
    fill(root, n=20)
    broken(root / "happy")
    first, second = load(max_unreadable=0.5), load(max_unreadable=0.5)
    assert (second.fingerprint, second.unreadable) == (first.fingerprint, first.unreadable)
    shutil.rmtree(tmp_path / "cache")
    (tmp_path / "cache").write_text("a file where the folder should be")
    third = load(max_unreadable=0.5)
    assert third.fingerprint == first.fingerprint
    assert any("cannot be written" in n for n in third.notes)


# ------------------------------------------------------------------------------- what must not be torn apart or tested


def near(image: np.ndarray, seed: int) -> np.ndarray:
    """The same picture with some noise, as another copy on the web has."""
    return cv2.add(image, np.random.default_rng(seed).integers(0, 3, image.shape, np.uint8))


@pytest.mark.slow
def test_pictures_that_look_alike_are_in_one_split(root, load):
    for e, name in enumerate(EMOTIONS):
        (root / name).mkdir(parents=True)
        for i in range(12):
            face = cv2.resize(picture(100 * e + i), (48, 48), interpolation=cv2.INTER_CUBIC)
            for k in range(3):
                assert cv2.imwrite(str(root / name / f"{i}-{k}.png"), near(face, k))
    splits = load(validation_fraction=0.2, test_fraction=0.2)
    where: dict[str, set[str]] = {}
    for split in ("train", "validation", "test"):
        for path in splits[split].paths:
            where.setdefault(str(path).rpartition("-")[0], set()).add(split)
    assert len(where) == 7 * 12
    assert all(len(found) == 1 for found in where.values())
    assert len(splits.test) > 30
    assert any("look alike" in note for note in splits.notes)


def collected(root: Path, reviewed: list[str]) -> None:
    """What emotion.collect leaves: pictures whose label is a query's, and some that a person has looked at."""
    files = sorted(str(p.relative_to(root)) for p in root.glob("*/*.png"))
    lines = [
        {"key": f, "decision": "kept", "file": f, "label_source": "query"} for f in files if not f.startswith("own")
    ]
    lines += [{"event": "review", "file": f, "decision": "accepted"} for f in reviewed]
    (root / "manifest.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.mark.slow
def test_what_nobody_has_reviewed_stays_out_of_the_test(root, load):
    fill(root, n=20)
    collected(root, [])
    splits = load()
    assert len(splits.test) == 0
    assert len(splits.train) + len(splits.validation) == 140
    assert any("140 images carry the label of a search" in note for note in splits.notes)

    happy_and_sad = [f"{name}/0_{i}.png" for name in ("happy", "sad") for i in range(10)]
    collected(root, [*happy_and_sad, "angry/0_0.png"])  # one angry picture cannot be in training and in the test
    tested = {str(Path(p).relative_to(root)) for p in load().test.paths}
    assert 8 <= len(tested) <= 12
    assert tested <= set(happy_and_sad)
    assert len(load(test_unreviewed=True).test) == pytest.approx(14, abs=4)

    collected(root, [f"{name}/0_{i}.png" for name in EMOTIONS for i in range(20)])
    assert len(load().test) == pytest.approx(14, abs=4)


def test_frames_of_a_film_are_in_one_split(root, load):
    fill(root, n=24)
    files = sorted(str(p.relative_to(root)) for p in root.glob("*/*.png"))
    lines = [
        {"key": f"film{i % 40}.mp4#{i}", "source": "video", "decision": "kept", "file": f, "label_source": "person"}
        for i, f in enumerate(files)
    ]
    (root / "manifest.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    splits = load(validation_fraction=0.2, test_fraction=0.2)
    film_of = {str(root.absolute() / f): i % 40 for i, f in enumerate(files)}
    films = {split: {film_of[str(p)] for p in splits[split].paths} for split in ("train", "validation", "test")}
    assert sum(map(len, films.values())) == 40
    assert min(map(len, films.values())) >= 3


@pytest.mark.slow
def test_a_copy_that_nobody_has_reviewed_keeps_its_twin_out_of_the_test(root, load):
    fill(root, n=20)
    for name in EMOTIONS:
        for i in range(20):
            face = cv2.imread(str(root / name / f"0_{i}.png"))
            assert cv2.imwrite(str(root / name / f"twin_{i}.png"), near(face, i))
    reviewed = [f"{name}/0_{i}.png" for name in EMOTIONS for i in range(20)]
    collected(root, reviewed)
    assert len(load().test) == 0
    collected(root, [*reviewed, *(f"happy/twin_{i}.png" for i in range(20))])
    assert {Path(p).parent.name for p in load().test.paths} == {"happy"}
