"""FER2013: its cache, splits and layouts, on noise and on the real data."""

import os
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from omegaconf import OmegaConf

from emotion.base.errors import UserError
from emotion.data import fer2013, fer_csv, sources
from emotion.data.examples import Examples, Splits
from emotion.data.fer_csv import USAGES
from emotion.data.fingerprint import bottom_k, hash_pixels, load_sketch, recognise_fer2013
from emotion.faces.labels import EMOTIONS

FER_ORDER = ("angry", "disgusted", "fearful", "happy", "sad", "surprised", "neutral")


def config(root: Path, cache: Path, **values):
    base = {"name": "fer2013", "root": str(root), "cache_dir": str(cache), "split_seed": 0, "limit": None}
    return OmegaConf.create({**base, "validation_fraction": 0.1, "test_fraction": 0.1, **values})


def as_csv(rows) -> bytes:
    """Rows of (emotion, pixels, usage) as the official file has them."""
    lines = [f"{emotion},{' '.join(map(str, pixels))},{usage}" for emotion, pixels, usage in rows]
    return "\r\n".join(["emotion,pixels,Usage", *lines, ""]).encode()


def faces(n: int, seed: int = 0, usages=("Training",)):
    """n rows of 48x48 noise for each usage, all emotions in turn."""
    rng = np.random.default_rng(seed)
    return [(i % 7, rng.integers(0, 256, 48 * 48), usage) for usage in usages for i in range(n)]


# ------------------------------------------------------------------------------------------------------- the cache


@pytest.fixture
def small_csv(tmp_path) -> Path:
    path = tmp_path / "data" / "fer2013.csv"
    path.parent.mkdir()
    path.write_bytes(as_csv(faces(14, usages=USAGES)))
    return path


@pytest.fixture
def parsed(monkeypatch) -> list[Path]:
    """The files that are really parsed."""
    calls: list[Path] = []
    real = fer_csv.parse
    monkeypatch.setattr(fer_csv, "parse", lambda path, **kw: calls.append(path) or real(path, **kw))
    return calls


def same(a: Splits, b: Splits) -> bool:
    return a.fingerprint == b.fingerprint and np.array_equal(a.train.images, b.train.images)


def test_the_cache_is_used_and_made_anew_when_the_file_changes(tmp_path, small_csv, parsed):
    cfg = config(small_csv, tmp_path / "cache")
    first = sources.load(cfg)
    assert same(first, sources.load(cfg))
    assert len(parsed) == 1
    os.utime(small_csv, ns=(0, 12345))
    assert same(first, sources.load(cfg))
    assert len(parsed) == 2
    small_csv.write_bytes(as_csv(faces(14, seed=1, usages=USAGES)))
    assert not same(first, sources.load(cfg))
    assert len(parsed) == 3
    assert len(list((tmp_path / "cache").iterdir())) == 1  # what is out of date is gone


@pytest.mark.parametrize("damage", ["half", "flipped", "empty", "text", "other arrays"])
def test_a_damaged_cache_is_regenerated(tmp_path, small_csv, parsed, damage):
    cfg = config(small_csv, tmp_path / "cache")
    first = sources.load(cfg)
    (cached,) = (tmp_path / "cache").iterdir()
    data = bytearray(cached.read_bytes())
    if damage == "flipped":
        data[len(data) // 2] ^= 1
    cached.write_bytes({"half": data[: len(data) // 2], "empty": b"", "text": b"no cache"}.get(damage, data))
    if damage == "other arrays":
        np.savez(cached, images=np.zeros((3, 2, 2), np.uint8), emotions=[0], usage=[0], hashes=["a"], has_usage=True)
    again = sources.load(cfg)
    assert same(first, again)
    assert any("regenerated" in note for note in again.notes)
    assert len(parsed) == 2
    assert not any("regenerated" in note for note in sources.load(cfg).notes)
    assert len(parsed) == 2


def test_without_a_writable_cache_it_goes_on(tmp_path, small_csv):
    blocker = tmp_path / "file"
    blocker.write_text("")
    splits = sources.load(config(small_csv, blocker / "cache"))
    assert len(splits.train) == 14
    assert any("cannot be written" in note for note in splits.notes)


@pytest.mark.slow
def test_killed_while_the_cache_is_written(tmp_path, small_csv):
    code = (
        "import sys, time, numpy as np\n"
        "from pathlib import Path\n"
        "from emotion.data import fer2013\n"
        "def half(file, **arrays):\n"
        "    file.write(b'PK half a cache'); file.flush(); print('half', flush=True); time.sleep(60)\n"
        "np.savez = half\n"
        "fer2013.read_csv(Path(sys.argv[1]), Path(sys.argv[2]))\n"
    )
    cache = tmp_path / "cache"
    with subprocess.Popen([sys.executable, "-c", code, str(small_csv), str(cache)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"half\n"
        process.kill()
    (left,) = cache.iterdir()
    assert left.name.startswith(".new-")
    os.utime(left, (time.time() - 7200,) * 2)
    splits = sources.load(config(small_csv, cache))
    assert len(splits.train) == 14
    assert not any("regenerated" in note for note in splits.notes)
    assert [p.suffix for p in cache.iterdir()] == [".npz"]  # the old half is swept up


# ------------------------------------------------------------------------------------------------ splits and layouts


def test_official_splits_and_class_order(tmp_path, small_csv):
    splits = sources.load(config(small_csv, tmp_path / "cache"))
    rows = faces(14, usages=USAGES)
    for split, start in (("train", 0), ("validation", 14), ("test", 28)):
        assert [EMOTIONS[i] for i in splits[split].labels] == [FER_ORDER[r[0]] for r in rows[start : start + 14]]
        assert np.array_equal(splits[split].images[3].ravel(), rows[start + 3][1])
        assert splits[split].hashes[3] == np.array(hash_pixels(splits[split].images[3]), "S16")
    assert any("PublicTest is validation, PrivateTest is test" in note for note in splits.notes)


@pytest.mark.parametrize(
    ("usages", "sizes", "note"),
    [
        (("Training", "PublicTest"), (126, 14, 140), "PrivateTest is missing: PublicTest is test"),
        (("Training", "PrivateTest"), (126, 14, 140), "PublicTest is missing: PrivateTest is test"),
        (("Training",), (112, 14, 14), "PublicTest and PrivateTest are missing"),
    ],
)
def test_missing_splits(tmp_path, usages, sizes, note):
    path = tmp_path / "fer2013.csv"
    path.write_bytes(as_csv(faces(140, usages=usages)))
    splits = sources.load(config(path, tmp_path / "cache"))
    assert tuple(len(splits[s]) for s in ("train", "validation", "test")) == pytest.approx(sizes, abs=4)
    assert any(note in n for n in splits.notes)


def test_the_competitions_train_csv_has_no_usage(tmp_path):
    lines = [f'{e},"{" ".join(map(str, p))}"' for e, p, _ in faces(70)]
    (tmp_path / "train.csv").write_text("emotion,pixels\n" + "\n".join(lines) + "\n")
    splits = sources.load(config(tmp_path, tmp_path / "cache"))
    assert len(splits.train) + len(splits.validation) + len(splits.test) == 70
    assert any("no Usage column" in note for note in splits.notes)


def test_no_training_rows(tmp_path):
    path = tmp_path / "fer2013.csv"
    path.write_bytes(as_csv(faces(7, usages=("PublicTest",))))
    with pytest.raises(UserError, match=r"fer2013\.csv: no row has the Usage Training"):
        sources.load(config(path, tmp_path / "cache"))


def test_limit_caps_each_split(tmp_path, small_csv):
    splits = sources.load(config(small_csv, tmp_path / "cache", limit=7))
    assert [len(splits[s]) for s in ("train", "validation", "test")] == [7, 7, 7]
    assert splits.fingerprint["counts"]["test"] == dict.fromkeys(EMOTIONS, 1)


def test_where_it_is_found(tmp_path):
    root, deep = tmp_path / "root", tmp_path / "root" / "fer2013"
    with pytest.raises(UserError, match="no such file or folder"):
        fer2013.find(root)
    deep.mkdir(parents=True)
    (root / "readme.txt").write_text("")
    with pytest.raises(UserError, match=r"neither fer2013\.csv.*found: fer2013, readme\.txt"):
        fer2013.find(root)
    for folder in ("train", "Test"):
        (deep / folder).mkdir()
    assert fer2013.find(root)[0] == deep
    (root / "icml_face_data.csv").write_text("")
    assert fer2013.find(root)[0] == root / "icml_face_data.csv"
    (deep / "fer2013.csv").write_text("")
    taken, (note,) = fer2013.find(root)
    assert taken == deep / "fer2013.csv"
    assert "Also there and not read" in note
    assert str(deep / "fer2013.csv") in note


def mirror(root: Path, rows, name="{usage}_{i}.png", words=FER_ORDER) -> Path:
    for i, (emotion, pixels, usage) in enumerate(rows):
        folder = root / ("train" if usage == "Training" else "test") / words[emotion]
        folder.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / name.format(usage=usage, i=i)), np.uint8(pixels).reshape(48, 48))
    return root


@pytest.mark.parametrize(
    "words", [FER_ORDER, tuple("0123456"), ("Angry", "Disgust", "Fear", "Happy", "Sad", "Surprise", "Neutral")]
)
def test_csv_and_folder_mirror_are_the_same_data(tmp_path, small_csv, words):
    root = mirror(tmp_path / "mirror", faces(14, usages=USAGES), words=words)
    a = sources.load(config(small_csv, tmp_path / "cache"))
    b = sources.load(config(root, tmp_path / "cache"))
    assert a.fingerprint == b.fingerprint
    assert any("PublicTest is validation, PrivateTest is test" in note for note in b.notes)


def test_a_held_out_validation_split_is_the_same_from_csv_and_mirror(tmp_path):
    rows = faces(70, usages=USAGES[:2])
    (tmp_path / "fer2013.csv").write_bytes(as_csv(rows))
    a = sources.load(config(tmp_path / "fer2013.csv", tmp_path / "cache"))
    b = sources.load(config(mirror(tmp_path / "mirror", rows), tmp_path / "cache"))
    assert a.fingerprint == b.fingerprint


def test_a_mirror_with_another_class_is_sent_to_the_folder_source(tmp_path):
    root = mirror(tmp_path / "mirror", faces(7, usages=USAGES))
    (root / "train" / "contempt").mkdir()
    with pytest.raises(UserError, match=r"train/contempt: class 'contempt' is none(.|\n)*use dataset=folder"):
        sources.load(config(root, tmp_path / "cache"))


def test_a_mirrors_test_folder_without_names_is_the_test_split(tmp_path):
    root = mirror(tmp_path / "mirror", faces(70, usages=USAGES), name="im{i}.png")
    splits = sources.load(config(root, tmp_path / "cache"))
    assert len(splits.test) == 140
    assert any("names neither PublicTest nor PrivateTest" in note for note in splits.notes)


# ------------------------------------------------------------------------------------------------------ the real data


@pytest.fixture(scope="module")
def real(shared):
    with np.load(shared / "data" / "fer2013_dev.npz") as z:
        return {k: z[k] for k in ("images", "labels", "usage", "pixel_source")}


@pytest.fixture(scope="module")
def real_csv(real, tmp_path_factory):
    folder = tmp_path_factory.mktemp("fer2013")
    path = folder / "fer2013.csv"
    words = [str(value) for value in range(256)]
    with path.open("w", newline="") as file:  # as the official file is written, by csv.writer
        file.write("emotion,pixels,Usage\r\n")
        for label, image, usage in zip(real["labels"], real["images"], real["usage"], strict=True):
            file.write(f"{label},{' '.join([words[value] for value in image.tobytes()])},{usage}\r\n")
    yield path
    path.unlink()


@pytest.mark.slow
def test_real_csv(real, real_csv, tmp_path):
    splits = sources.load(config(real_csv, tmp_path / "cache"))
    assert splits.fingerprint["recognised"] == "FER2013 as published (PrivateTest missing)"
    assert splits.fingerprint["counts"]["test"] == load_sketch()["counts"]["PublicTest"]
    both = np.bincount(np.concatenate([splits.train.labels, splits.validation.labels]), minlength=7)
    assert dict(zip(EMOTIONS, both.tolist(), strict=True)) == load_sketch()["counts"]["Training"]
    assert np.array_equal(splits.test.images, real["images"][real["usage"] == "PublicTest"])

    training = np.concatenate([splits.train.hashes, splits.validation.hashes])
    assert int(np.isin(splits.test.hashes, training).sum()) == 280
    assert not set(splits.train.hashes.tolist()) & set(splits.validation.hashes.tolist())
    shares = np.bincount(splits.validation.labels) / both
    assert shares == pytest.approx(np.full(7, 0.1), abs=0.005)
    assert same(splits, sources.load(config(real_csv, tmp_path / "cache")))


@pytest.mark.slow
def test_the_shipped_sample_is_of_lossless_pictures(real):
    for usage in ("Training", "PublicTest"):
        rows = np.flatnonzero((real["usage"] == usage) & (real["pixel_source"] == 0))
        hashes = np.array([hash_pixels(real["images"][i]) for i in rows], "S16")
        assert bottom_k(hashes) == load_sketch()["sample"][usage]


@pytest.mark.slow
def test_altered_mirrors_of_the_real_data_are_said_to_be_some(real):
    rows = np.flatnonzero(real["usage"] == "PublicTest")
    labels = np.array([EMOTIONS.index(e) for e in FER_ORDER])[real["labels"][rows]]

    def recognised(change) -> str:
        images = np.array([change(i) for i in real["images"][rows]])
        hashes = np.array([hash_pixels(i) for i in images], "S16")
        return str(recognise_fer2013({"test": Examples(labels=labels, hashes=hashes, images=images)}))

    def as_jpeg(image):
        return cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 95])[1], cv2.IMREAD_GRAYSCALE)

    assert recognised(lambda i: i) == "FER2013 as published (Training and PrivateTest missing)"
    changes = (lambda i: cv2.GaussianBlur(i, (3, 3), 0), lambda i: cv2.resize(i, (96, 96)), cv2.equalizeHist, as_jpeg)
    for change in changes:
        assert recognised(change).startswith("a mirror of FER2013 with altered pixels (")


@pytest.mark.nightly
@pytest.mark.slow
def test_real_folder_mirror_equals_the_csv(shared, tmp_path):
    script = shared / "data" / "make_fer2013.py"
    for layout in ("csv", "folder"):
        line = [sys.executable, str(script), layout, str(tmp_path / layout), "--limit", "1500"]
        subprocess.run(line, check=True, stdout=subprocess.DEVNULL)
    a = sources.load(config(tmp_path / "csv", tmp_path / "cache"))
    b = sources.load(config(tmp_path / "folder", tmp_path / "cache"))
    assert a.fingerprint == b.fingerprint
    assert b.train.images is None
