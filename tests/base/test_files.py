"""Files are on disk whole or not at all, whatever happens to whoever writes them."""

from __future__ import annotations

import multiprocessing
import resource
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emotion.base import files
from emotion.base.errors import UserError


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def _write_half(path: Path) -> None:
    with files.replacing(path) as temporary:
        temporary.write_bytes(b"half of the new")
        raise KeyboardInterrupt


def test_an_interrupted_write_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt):
        _write_half(path)
    assert _names(tmp_path) == ["file"]
    assert path.read_bytes() == b"old"


def test_a_disk_that_takes_no_more_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            files.write_bytes(path, bytes(2 << 20))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert _names(tmp_path) == ["file"]
    assert path.read_bytes() == b"old"


def test_a_target_that_cannot_be_replaced_leaves_nothing_beside_it(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError):
        files.write_text(tmp_path / "folder", "text")
    assert _names(tmp_path) == ["folder"]


def test_a_new_file_is_for_all_to_read_and_its_temporary_one_ends_like_it(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    with files.replacing(path) as temporary:
        assert temporary.suffix == ".keras"
        assert temporary.parent == tmp_path
        assert not path.exists()
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


@pytest.mark.parametrize("name", [f"{'x' * 246}.png", f"{'ü' * 120}.png", ".hidden", "[a]*?.json"])
def test_any_name_that_a_file_may_have(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    files.write_bytes(path, b"old")
    files.write_bytes(path, b"new")
    files.remove_unfinished(path)
    assert _names(tmp_path) == [name]
    assert path.read_bytes() == b"new"


def test_a_link_is_replaced_not_followed(tmp_path: Path) -> None:
    (tmp_path / "original").write_text("original")
    (tmp_path / "link").symlink_to("original")
    files.write_text(tmp_path / "link", "new")
    assert (tmp_path / "original").read_text() == "original"
    assert (tmp_path / "link").read_text() == "new"
    assert not (tmp_path / "link").is_symlink()


def _write_often(path: Path, letter: str) -> None:
    for _ in range(50):
        files.write_text(path, letter * 100_000)


@pytest.mark.slow
def test_processes_that_write_one_file_at_once_never_mix(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("a" * 100_000)
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_write_often, args=(path, letter)) for letter in "bc"]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        content = path.read_text()
        assert len(content) == 100_000
        assert len(set(content)) == 1
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert _names(tmp_path) == ["file"]


@pytest.mark.slow
def test_what_a_killed_process_left_is_removed_once_it_is_surely_nobodys(tmp_path: Path) -> None:
    path, neighbour = tmp_path / "cache" / "file.npz", tmp_path / "cache" / "file.npz.other"
    code = (
        "import sys, time; from pathlib import Path; from emotion.base import files\n"
        "with files.replacing_in_cache(Path(sys.argv[1])) as temporary:\n"
        "    temporary.write_text('half'); print('half', flush=True); time.sleep(60)\n"
    )
    for each in (path, neighbour):
        with subprocess.Popen([sys.executable, "-c", code, str(each)], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"half\n"
            process.kill()
    left = _names(path.parent)
    assert len(left) == 2
    with files.replacing_in_cache(path) as temporary:
        temporary.write_text("whole")
    assert _names(path.parent) == [next(n for n in left if "other" in n), "file.npz"], "the neighbour's is not ours"


def test_a_failed_write_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    files.write_json(path, {"a": 1})
    with pytest.raises(ValueError, match="nan"):
        files.write_json(path, {"a": float("nan")})
    assert files.read_json(path) == {"a": 1}
    assert _names(tmp_path) == ["x.json"]


@given(st.binary(max_size=50))
def test_damaged_json_is_a_users_problem_not_a_traceback(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("json") / "run.json"
    path.write_bytes(data)
    found, message = None, ""
    try:
        found = files.read_json(path)
    except UserError as error:
        message = str(error)
    assert isinstance(found, dict) or str(path) in message
