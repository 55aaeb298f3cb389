"""The index of pixel hashes: decodes each file once, notices changes, and is only a shortcut."""

import json
import logging
import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from emotion.base import progress
from emotion.data import pixel_index
from emotion.data.fingerprint import hash_pixels
from emotion.data.pixel_index import hash_files
from emotion.data.similar import perceptual_hash
from emotion.faces import decoding

NAMES = ["a/1.png", "a/2.png", "b c/new\nline.png", "b c/ü.png", "a/broken.jpg", "a/missing.png"]


def picture(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (9, 9, 3), np.uint8)


def write(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(".png", picture(seed))[1].tobytes())


@pytest.fixture
def root(tmp_path) -> Path:
    for i, name in enumerate(NAMES[:4]):
        write(tmp_path / "data" / name, i)
    (tmp_path / "data" / NAMES[4]).write_text("no picture")
    return tmp_path / "data"


@pytest.fixture
def decoded(monkeypatch) -> list[bytes]:
    """What is really decoded."""
    calls: list[bytes] = []
    real = decoding.decode
    monkeypatch.setattr(pixel_index, "decode", lambda data: calls.append(data) or real(data))
    return calls


def test_hashes_and_reasons_stand_at_their_files_places(root):
    hashes, perceptual, reasons, notes = hash_files(root, NAMES, None)
    for i in range(4):
        assert hashes[i] == np.array(hash_pixels(picture(i)), "S16")
        assert tuple(perceptual[i].tolist()) == perceptual_hash(picture(i))
    assert reasons == {4: "not an image that can be decoded", 5: "No such file or directory"}
    assert notes == ()


def test_only_what_changed_is_decoded_again(root, tmp_path, decoded):
    first, _, reasons, _ = hash_files(root, NAMES, tmp_path / "cache")
    assert len(decoded) == 5
    decoded.clear()
    again, _, same_reasons, _ = hash_files(root, NAMES[::-1], tmp_path / "cache")
    assert again.tolist() == first.tolist()[::-1]
    assert {5 - i: reason for i, reason in same_reasons.items()} == reasons
    assert decoded == []

    write(root / NAMES[0], 10)
    os.utime(root / NAMES[0], ns=(1, 1))
    os.utime(root / NAMES[1], ns=(1, 1))  # touched, not changed
    write(root / NAMES[4], 11)
    write(root / NAMES[5], 12)  # what was missing is there now
    changed, _, reasons, _ = hash_files(root, NAMES, tmp_path / "cache")
    assert len(decoded) == 4
    assert reasons == {}
    assert [changed[i] == first[i] for i in range(6)] == [False, True, True, True, False, False]
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_a_file_that_could_not_be_read_is_tried_again(root, tmp_path, monkeypatch):
    def refuse(path) -> bytes:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", refuse)
        assert hash_files(root, NAMES[:1], tmp_path / "cache")[2] == {0: "Permission denied"}
    assert hash_files(root, NAMES[:1], tmp_path / "cache")[2] == {}


def test_another_opencv_decodes_again(root, tmp_path, decoded, monkeypatch):
    hash_files(root, NAMES[:4], tmp_path / "cache")
    monkeypatch.setattr(pixel_index, "_VERSION", "another")
    hash_files(root, NAMES[:4], tmp_path / "cache")
    assert len(decoded) == 8


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b'{"version": 1}',
        b'{"version": "VERSION", "files": [1]}',
        b'{"version": "VERSION", "files": {"a/1.png": [1, 2]}}',
        *(
            b'{"version": "VERSION", "files": {"a/1.png": [SIZE, TIME, %s]}}' % rest
            for rest in (
                b'"xyz", null, 1', b'"abcd", null, 1', b'"%s", null, 1' % (b"z" * 64), b"null, null, 1", b"null, 5, 1",
                b"5, null, 1", b'"%s", null, null' % (b"0" * 64), b'"%s", null, true' % (b"0" * 64),
                b'"%s", null' % (b"0" * 64), b'"%s"' % (b"0" * 64),
            )
        ),
    ],
)  # fmt: skip
def test_a_damaged_index_is_made_anew(root, tmp_path, content):
    first, _, _, _ = hash_files(root, NAMES, tmp_path / "cache")
    (index,) = (tmp_path / "cache").iterdir()
    good, status = index.read_bytes(), (root / NAMES[0]).stat()
    content = content.replace(b"VERSION", pixel_index._VERSION.encode())
    index.write_bytes(content.replace(b"SIZE", b"%d" % status.st_size).replace(b"TIME", b"%d" % status.st_mtime_ns))
    again, _, _, notes = hash_files(root, NAMES, tmp_path / "cache")
    assert again.tolist() == first.tolist()
    assert notes == ()
    assert index.read_bytes() == good


def test_progress_lines_where_there_is_no_terminal(root, monkeypatch, caplog):
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN_LINES", -1.0)
    with caplog.at_level(logging.INFO, logger="emotion"):
        hash_files(root, NAMES, None)
    assert "Decoding images: 6 of 6" in caplog.text


def test_a_bar_on_a_terminal(root, monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("FORCE_COLOR", "1")
    hashes, _, _, _ = hash_files(root, NAMES, None)
    assert "Decoding images" in capsys.readouterr().err
    assert len(set(hashes.tolist())) == 5  # four pictures and the empty hash


def test_an_entry_is_taken_as_it_stands_where_it_is_whole(root, tmp_path):
    """What the damaged ones above are damaged copies of."""
    hash_files(root, NAMES, tmp_path / "cache")
    (index,) = (tmp_path / "cache").iterdir()
    content = json.loads(index.read_bytes())
    content["files"][NAMES[0]][2:] = ["0123456789abcdef" * 4, None, 1]
    content["files"][NAMES[1]][2:] = [None, "a reason", 1]
    index.write_text(json.dumps(content))
    hashes, perceptual, reasons, _ = hash_files(root, NAMES, tmp_path / "cache")
    assert hashes[0] == bytes.fromhex("0123456789abcdef" * 2)
    assert perceptual[0].tolist() == [0x0123456789ABCDEF] * 2
    assert reasons[1] == "a reason"
