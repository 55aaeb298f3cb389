from __future__ import annotations

import pytest

from emotion.base.litter import is_litter


@pytest.mark.parametrize(
    "name",
    [
        ".DS_Store", "._photo.jpg", "Thumbs.db", "desktop.ini", "Icon\r", "photo.jpg:Zone.Identifier", "photo.jpg~",
        "~$photo.jpg", "#photo.jpg#", "photo.jpg.part", "photo.jpg.crdownload", ".photo.jpg.icloud", "photo.jpg.tmp",
        "photo.jpg - Shortcut.lnk", ".syncthing.photo.jpg.tmp", "photo.jpg:com.apple.quarantine", "photo.jpg.bak",
    ],
)  # fmt: skip
def test_files_that_systems_leave(name: str) -> None:
    assert is_litter(name)


@pytest.mark.parametrize(
    "name", ["@eaDir", "__MACOSX", "$RECYCLE.BIN", "System Volume Information", "lost+found", "#recycle", ".Trash-1000",
             "@Recycle", ".ipynb_checkpoints", "__pycache__"]
)  # fmt: skip
def test_folders_that_systems_leave(name: str) -> None:
    assert is_litter(name, folder=True)


@pytest.mark.parametrize(
    "name",
    ["photo.jpg", "photo (conflicted copy).jpg", "Icon.png", "iconic.jpg", "a~b.jpg", "tmp.png", "#1.jpg", "12:30.png",
     "photo", "José.jpg", "happy", "$5.jpg", "~.jpg"],
)  # fmt: skip
def test_people_s_own_files_and_folders(name: str) -> None:
    assert not is_litter(name)
    assert not is_litter(name, folder=True)
