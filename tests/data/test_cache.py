import gc
import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import tensorflow as tf

from emotion.base.errors import UserError
from emotion.data.cache import failing, open_store
from emotion.data.examples import Examples
from emotion.data.fingerprint import hash_pixels
from emotion.faces import images as faces
from emotion.faces.contract import Contract
from tests.helpers.pictures import read_picture

CONTRACTS = [Contract(16, 16, "gray"), Contract(20, 12, "rgb")]
CACHES = ("memory", "disk", "none")


def pictures(count=70, height=20, width=24, channels=3):
    generator = np.random.default_rng(0)
    coarse = generator.integers(0, 256, (count, 4, 4, channels)).astype(np.uint8)
    return np.stack([cv2.resize(c, (width, height)).reshape(height, width, channels) for c in coarse])


def in_memory(images):
    hashes = np.array([hash_pixels(image) for image in images], "S16")
    return Examples(np.arange(len(images)) % 7, hashes, images=images)


@pytest.fixture
def files(tmp_path):
    """The same pictures as PNG files."""
    images = pictures()
    folder = tmp_path / "pictures"
    folder.mkdir()
    paths = [folder / f"{i}.png" for i in range(len(images))]
    for path, image in zip(paths, images, strict=True):
        assert cv2.imwrite(str(path), image)
    held = in_memory(images)
    return Examples(held.labels, held.hashes, paths=np.array([str(p) for p in paths]))


def only_file(folder):
    (path,) = folder.iterdir()
    return path


@pytest.mark.parametrize("contract", CONTRACTS, ids=str)
@pytest.mark.parametrize("cache", CACHES)
@pytest.mark.parametrize("source", ["files", "images"])
def test_every_cache_gives_what_prepare_gives(files, source, cache, contract, tmp_path):
    images = pictures()
    examples = files if source == "files" else in_memory(images)
    store = open_store(examples, contract, cache=cache, cache_dir=tmp_path / "cache")
    rows = np.array([69, 0, 3, 3, 64])
    expected = np.stack([faces.prepare(images[row], contract) for row in rows])
    assert len(store) == 70
    assert store.shape == contract.shape
    np.testing.assert_array_equal(store.read(rows), expected)
    dataset = tf.data.Dataset.from_tensors(rows).map(store.fetch)
    assert dataset.element_spec.shape == (5, *contract.shape)
    np.testing.assert_array_equal(dataset.get_single_element(), expected)


@pytest.mark.parametrize("cache", CACHES)
def test_grey_pictures_keep_their_pixels(cache, tmp_path):
    images = pictures(channels=1)[..., 0]
    store = open_store(in_memory(images), Contract(20, 24, "gray"), cache=cache, cache_dir=tmp_path)
    np.testing.assert_array_equal(store.read(np.arange(70))[..., 0], images)


@pytest.mark.parametrize("cache", CACHES)
def test_red_stays_red(cache, tmp_path):
    path = tmp_path / "red.png"
    cv2.imwrite(str(path), np.full((20, 20, 3), (0, 0, 255), np.uint8))  # OpenCV's order is BGR
    examples = Examples(np.zeros(1, np.int64), np.array([b"red"], "S16"), paths=np.array([str(path)]))
    store = open_store(examples, Contract(16, 16, "rgb"), cache=cache, cache_dir=tmp_path / "cache")
    np.testing.assert_array_equal(store.read(np.array([0]))[0, 5, 5], [255, 0, 0])


@pytest.mark.parametrize("cache", CACHES)
def test_colour_files_turn_grey_as_frames_of_a_video_do(files, cache, tmp_path):
    """libjpeg's own grey differs from OpenCV's: reading in grey would make training differ from live video."""
    jpeg = tmp_path / "face.jpg"
    cv2.imwrite(str(jpeg), pictures(1)[0])
    examples = Examples(np.zeros(1, np.int64), np.array([b"x"], "S16"), paths=np.array([str(jpeg)]))
    contract = Contract(16, 16, "gray")
    store = open_store(examples, contract, cache=cache, cache_dir=tmp_path / "cache")
    frame = read_picture(jpeg)
    np.testing.assert_array_equal(store.read(np.array([0]))[0], faces.prepare(frame, contract))


@pytest.mark.parametrize("cache", CACHES)
def test_no_examples(cache, tmp_path):
    empty = in_memory(pictures())
    store = open_store(empty.take(np.array([], np.int64)), CONTRACTS[0], cache=cache, cache_dir=tmp_path)
    assert len(store) == 0
    assert store.read(np.array([], np.int64)).shape == (0, 16, 16, 1)


# ---------------------------------------------------------------------------------------------------------------- disk


def test_the_disk_cache_is_an_npy_file_that_the_next_run_reuses(files, tmp_path):
    first = open_store(files, CONTRACTS[0], cache="disk", cache_dir=tmp_path / "cache", key="faces-train")
    expected = first.read(np.arange(70))
    path = only_file(tmp_path / "cache")
    assert path.name.startswith("faces-train-")
    np.testing.assert_array_equal(np.load(path), expected)
    for original in files.paths:
        Path(original).unlink()
    again = open_store(files, CONTRACTS[0], cache="disk", cache_dir=tmp_path / "cache", key="faces-train")
    np.testing.assert_array_equal(again.read(np.arange(70)), expected)


def test_other_pictures_another_order_or_another_contract_are_another_file(tmp_path):
    examples = in_memory(pictures())
    for contract in (*CONTRACTS, Contract(16, 16, "gray", interpolation="linear")):
        open_store(examples, contract, cache="disk", cache_dir=tmp_path)
    open_store(examples.take(np.arange(70)[::-1]), CONTRACTS[0], cache="disk", cache_dir=tmp_path)
    open_store(in_memory(255 - pictures()), CONTRACTS[0], cache="disk", cache_dir=tmp_path)
    assert len(list(tmp_path.iterdir())) == 5
    # What is done after the pictures are prepared makes no difference to them.
    open_store(examples, Contract(16, 16, "gray", crop_margin=0.2), cache="disk", cache_dir=tmp_path)
    assert len(list(tmp_path.iterdir())) == 5


@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b[:100], lambda b: b"", lambda b: b"x" + b[1:]])
def test_a_file_that_is_not_whole_is_made_again(tmp_path, damage):
    examples = in_memory(pictures())
    expected = open_store(examples, CONTRACTS[0], cache="disk", cache_dir=tmp_path).read(np.arange(70))
    path = only_file(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    again = open_store(examples, CONTRACTS[0], cache="disk", cache_dir=tmp_path)
    np.testing.assert_array_equal(again.read(np.arange(70)), expected)
    assert path.read_bytes() == whole


def test_an_interrupted_preparation_leaves_nothing_behind(files, tmp_path):
    Path(files.paths[-1]).write_bytes(b"no picture")
    with pytest.raises(UserError, match=r"69\.png: not an image"):
        open_store(files, CONTRACTS[0], cache="disk", cache_dir=tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    open_store(in_memory(pictures()), CONTRACTS[0], cache="disk", cache_dir="~/.cache/emotion")
    assert only_file(tmp_path / ".cache/emotion").suffix == ".npy"


def test_a_full_disk_is_told_before_any_picture_is_read(files, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**6, 10**6 - 10, 10))
    Path(files.paths[0]).unlink()
    with pytest.raises(UserError, match=r"dataset.cache_dir: the images take .* dataset.cache=none"):
        open_store(files, CONTRACTS[0], cache="disk", cache_dir=tmp_path / "cache")


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"dataset.cache_dir: cannot write .*not a folder"):
        open_store(in_memory(pictures()), CONTRACTS[0], cache="disk", cache_dir=tmp_path / "file")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(UserError, match=r"dataset.cache_dir: cannot write .*Permission denied"):
        open_store(in_memory(pictures()), CONTRACTS[0], cache="disk", cache_dir=tmp_path)


def test_a_cache_cut_short_while_in_use(tmp_path):
    store = open_store(in_memory(pictures()), CONTRACTS[0], cache="disk", cache_dir=tmp_path)
    os.truncate(only_file(tmp_path), 1000)
    with pytest.raises(UserError, match="cut short"):
        store.read(np.array([69]))


@pytest.mark.slow
def test_a_store_gives_its_file_and_threads_back(tmp_path):
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    for _ in range(5):
        open_store(in_memory(pictures(8)), CONTRACTS[0], cache="disk", cache_dir=tmp_path)
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) <= before + 1  # noqa: PTH208


# ------------------------------------------------------------------------------------------------------------- trouble


@pytest.mark.parametrize("cache", ["memory", "disk"])
def test_a_file_gone_before_training_is_named(files, cache, tmp_path):
    Path(files.paths[5]).unlink()
    with pytest.raises(UserError, match=r"5\.png: No such file .* when the dataset was scanned"):
        open_store(files, CONTRACTS[0], cache=cache, cache_dir=tmp_path / "cache")


def test_a_file_gone_during_training_is_named(files, tmp_path):
    store = open_store(files, CONTRACTS[0], cache="none", cache_dir=tmp_path)
    data = Path(files.paths[5]).read_bytes()
    Path(files.paths[5]).write_bytes(data[: len(data) // 2])
    dataset = tf.data.Dataset.range(len(files)).batch(10).map(store.fetch, num_parallel_calls=2)
    with pytest.raises(UserError, match=r"5\.png: truncated"), failing(store):
        list(dataset)


def test_failing_lets_other_errors_through(tmp_path):
    store = open_store(in_memory(pictures()), CONTRACTS[0], cache="none", cache_dir=tmp_path)
    with pytest.raises(ZeroDivisionError), failing(store):
        raise ZeroDivisionError


def test_rows_out_of_range_are_errors(tmp_path):
    for cache in CACHES:
        store = open_store(in_memory(pictures()), CONTRACTS[0], cache=cache, cache_dir=tmp_path)
        for row in (70, -71):
            with pytest.raises((tf.errors.OpError, IndexError)):
                store.fetch(tf.constant([row], tf.int64))


def test_more_images_than_memory(monkeypatch, tmp_path):
    monkeypatch.setattr("emotion.data.cache.os.sysconf", lambda _: 100)
    with pytest.raises(UserError, match=r"dataset.cache=memory: 70 images of 16x16x1 .* dataset.cache=disk"):
        open_store(in_memory(pictures()), CONTRACTS[0], cache="memory", cache_dir=tmp_path)


def test_an_unknown_cache(tmp_path):
    with pytest.raises(UserError, match=r"dataset.cache: 'ram'"):
        open_store(in_memory(pictures()), CONTRACTS[0], cache="ram", cache_dir=tmp_path)
