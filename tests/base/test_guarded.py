"""Files that claim, hide or nest more than they should are refused by name, before they cost anything."""

from __future__ import annotations

import os
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from emotion.base import files, guarded
from emotion.base.errors import UserError


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"5", b"\xff\xfe{\0}\0", b"[" * 100_000, b'{"a": NaN}', b'{"a": -Infinity}', b'{"a": 1e999}',
     b'{"a": ' + b"9" * 5000 + b"}", b'{"a": 99999999999999999999}', b'{"a": "\\ud800"}', b'{"\\udfff": 1}',
     b'{"a": ' * 101 + b"1" + b"}" * 101],
    ids=range(14),
)  # fmt: skip
def test_json_that_no_command_writes_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(UserError, match=r"x\.json: (damaged|cannot be read)"):
        files.read_json(tmp_path / "x.json")


def test_a_large_file_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "x.json").open("wb") as file:
        file.truncate(1 << 40)  # sparse
    with pytest.raises(UserError, match="larger than 16 MB"):
        files.read_json(tmp_path / "x.json")


def test_a_fifo_and_a_device_answer_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.json")
    (tmp_path / "y.json").symlink_to("/dev/zero")
    for name in ("x.json", "y.json"):
        with pytest.raises(UserError, match="not a regular file"):
            files.read_json(tmp_path / name)


ALIASES = "a: &a [x,x]\nb: [*a,*a]\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (ALIASES, "alias"), ("a: !!python/object/apply:os.system ['touch x']", "tag"), ("a: !x 1", "tag"),
        ("a: ${oc.env:HOME}", "interpolation"),
        ("a: " + "[" * 200 + "]" * 200, "levels"), ("a: [", ""), ("a: \x00", ""),
    ],
)  # fmt: skip
def test_yaml_that_no_command_writes_is_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(UserError, match=rf"x\.yaml: damaged .*{said}"):
        guarded.read_yaml(tmp_path / "x.yaml")


def test_yaml_of_ours_passes(tmp_path: Path) -> None:
    content = {"model": {"stages": [8, 16], "lr": 1e-5, "name": "yes", "none": None, "path": "/a b/ü"}}
    (tmp_path / "x.yaml").write_text(yaml.safe_dump(content))
    assert yaml.safe_load(guarded.read_yaml(tmp_path / "x.yaml")) == content


ARRAYS: dict[str, Any] = {
    "a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.array([b"x" * 16], "S16"),
    "c": np.zeros((0, 7), np.int8), "d": np.float64(3),
    "e": np.asfortranarray(np.arange(6).reshape(2, 3)), "f": np.array([True, False]),
}  # fmt: skip


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_are_what_numpy_wrote(tmp_path: Path, save: Any) -> None:
    save(tmp_path / "x.npz", **ARRAYS)
    found = guarded.read_arrays(tmp_path / "x.npz")
    assert found.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == np.asarray(array).dtype
    assert guarded.read_arrays(tmp_path / "x.npz", ["a"]).keys() == {"a"}
    np.save(tmp_path / "x.npy", ARRAYS["a"])
    np.testing.assert_array_equal(guarded.read_array(tmp_path / "x.npy"), ARRAYS["a"])


def _header(shape: tuple[int, ...], kind: str = "<f4") -> bytes:
    head = repr({"descr": kind, "fortran_order": False, "shape": shape}).encode()
    head += b" " * (-(len(head) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head


@pytest.mark.parametrize(
    "content",
    [_header((2**31, 8)) + b"\0" * 999, _header((10**18,)) + b"\0", _header((4,)) + b"\0" * 15,
     _header((-1,)) + b"\0" * 4, _header((1,), "|O") + b"\0" * 8, _header((1,), "<M8[s]") + b"\0" * 8,
     b"\x93NUMPY\x01\x00\xff\xffx", b"x" * 200],
    ids=range(8),
)  # fmt: skip
def test_an_array_that_claims_more_than_is_there_costs_nothing(tmp_path: Path, content: bytes) -> None:
    with zipfile.ZipFile(tmp_path / "x.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", content)
    (tmp_path / "x.npy").write_bytes(content)
    with pytest.raises(UserError, match=r"x\.npz: damaged"):
        guarded.read_arrays(tmp_path / "x.npz")
    with pytest.raises(UserError, match=r"x\.npy: damaged"):
        guarded.read_array(tmp_path / "x.npy")


@pytest.mark.slow
def test_an_archive_of_zeros_is_not_unpacked(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.npz", "w", zipfile.ZIP_DEFLATED) as archive, archive.open("a.npy", "w") as file:
        file.write(_header((300 << 20,), "|u1"))
        for _ in range(300):
            file.write(bytes(1 << 20))
    with pytest.raises(UserError, match="its array a claims 314,572,800 bytes"):
        guarded.read_arrays(tmp_path / "x.npz")


def test_python_objects_are_never_built(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return os.system, (f"touch {tmp_path / 'PWNED'}",)

    np.savez(tmp_path / "x.npz", a=np.array([Evil()], object))
    with pytest.raises(UserError, match="expected numbers or text"):
        guarded.read_arrays(tmp_path / "x.npz")
    assert not (tmp_path / "PWNED").exists()


@pytest.mark.parametrize(
    ("value", "hint", "fits"),
    [
        (1, int, True), (True, int, False), (1.0, int, False), (1, float, True), (True, float, False), ("x", str, True),
        (None, str | None, True), (5, str | None, False), ({"a": [1]}, dict[str, list[int]], True),
        ({"a": [True]}, dict[str, list[int]], False), ([1, "a"], list[Any], True), ({"a": 1}, dict[str, Any], True),
    ],
)  # fmt: skip
def test_types_of_json(value: object, hint: Any, fits: bool) -> None:
    assert guarded.fits(value, hint) is fits


def test_what_a_killed_process_left_goes_with_the_next_that_comes_by(tmp_path: Path) -> None:
    ended = os.fork()
    if not ended:
        os._exit(0)
    os.waitpid(ended, 0)
    mine = files.prefix(tmp_path / "model.tflite")
    left = tmp_path / f"{re.sub(f'-{os.getpid()}-$', f'-{ended}-', mine)}0123.tflite"
    (folder := tmp_path / f".new-exports-{left.name.split('-')[2]}-{ended}-abc").mkdir()
    for path in (left, other := tmp_path / f"{mine}0123.tflite", user := tmp_path / ".new-year.txt"):
        path.write_bytes(b"half")
    files.sweep(tmp_path)
    assert not left.exists()
    assert not folder.exists()
    assert other.exists(), "its process is at work"
    assert user.exists()


def test_a_config_whose_aliases_unfold_without_end_is_refused_at_once(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x,x,x,x,x,x,x,x,x,x]"]
    lines += [f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)]
    (tmp_path / "x.yaml").write_text("\n".join(lines))
    with pytest.raises(UserError, match=r"x\.yaml: damaged .*parts"):
        guarded.check_expansion(tmp_path / "x.yaml")
    (tmp_path / "x.yaml").write_text(ALIASES)
    guarded.check_expansion(tmp_path / "x.yaml")
    (tmp_path / "x.yaml").write_bytes(bytes(range(256)))
    with pytest.raises(UserError, match=r"x\.yaml: damaged"):
        guarded.check_expansion(tmp_path / "x.yaml")
