"""What Tab gives, word by word and in real shells."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from emotion import completion
from emotion.completion import words
from tests.conftest import REPOSITORY, answered
from tests.helpers.terminal import Terminal


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data" / "faces").mkdir(parents=True)
    (tmp_path / "my_conf" / "model").mkdir(parents=True)
    (tmp_path / "my_conf" / "model" / "mine.yaml").write_text("_target_: a.b\nname: mine\ninput_size: 48\nwidth: 3\n")
    (tmp_path / "film.mp4").touch()
    for name in ("20260101_cnn", "20260102_sweep/0"):
        (tmp_path / "outputs" / name).mkdir(parents=True)
        (tmp_path / "outputs" / name / "run.json").touch()
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (["tra"], ["train"]),
        (["co"], ["collect", "compare", "completion"]),
        (["runs", "st"], ["status="]),
        (["runs", "status=f"], ["status=failed"]),
        (["completion", ""], ["bash", "zsh", "fish"]),
        (["nosuch", "x"], []),
        (["train", "model=mob"], ["model=mobilenet_v2", "model=mobilenet_v2_small"]),
        (["train", "model=mobilenet_v2", "model.alp"], ["model.alpha="]),
        (["train", "trainer.monitor="], ["trainer.monitor=val_macro_f1", "trainer.monitor=val_accuracy",
                                          "trainer.monitor=val_loss"]),
        (["train", "trainer.deterministic="], ["trainer.deterministic=true", "trainer.deterministic=false"]),
        (["train", "nonsense=[", "see"], ["seed="]),
        (["train", "--config-dir", "m"], ["my_conf/"]),
        (["train", "--config-dir", "my_conf", "model=mi"], ["model=mine"]),
        (["train", "--config-dir", "my_conf", "model=mine", "model.wi"], ["model.width="]),
        (["train", "--cf"], ["--cfg"]),
        (["train", "dataset=folder", "dataset.root=da"], ["dataset.root=data/"]),
        (["evaluate", "mod"], []),
        (["evaluate", "run=2026"], ["run=20260102_sweep/0", "run=20260101_cnn"]),
        (["evaluate", "run=bes"], ["run=best"]),
        (["live", "source=fi"], ["source=film.mp4"]),
        (["live", "display=b"], ["display=browser"]),
    ],
    ids=lambda value: " ".join(value),
)  # fmt: skip
def test_words(here: Path, line: list[str], expected: list[str]) -> None:
    assert words(line) == expected


def test_a_shell_that_is_not_known_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert answered(completion.main, "fsh") == 2
    assert "no shell 'fsh'. Did you mean 'fish'? There are: bash, zsh, fish" in capsys.readouterr().err
    assert answered(completion.main) == 0
    assert 'eval "$(emotion completion zsh)"' in capsys.readouterr().out


#: How each shell starts without anybody's settings, and what makes it complete.
_SHELLS = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], 'eval "$(emotion completion bash)"'),
    "zsh": (["zsh", "-f", "-i"], 'eval "$(emotion completion zsh)"'),
    "fish": (["fish", "--no-config", "-i"], "emotion completion fish | source"),
}


@pytest.mark.slow
@pytest.mark.parametrize("shell", _SHELLS)
def test_tab_in_a_real_shell(shell: str, here: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    programs = tmp_path_factory.mktemp("bin")
    program = programs / "emotion"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m emotion "$@"\n')
    program.chmod(0o755)
    start, load = _SHELLS[shell]
    environment = {
        "PATH": f"{programs}:{os.environ['PATH']}", "HOME": str(here), "TERM": "xterm", "PS1": "> ", "COLUMNS": "200",
        "PYTHONPATH": str(REPOSITORY),
    }  # fmt: skip
    terminal = Terminal(start, here, environment)
    try:
        terminal.press(f"{load}; echo loa''ded\n")
        terminal.until("loaded")
        for typed, expected in (
            ("emotion eva", "luate"),
            ("emotion train dataset=syn", "thetic"),
            ("emotion train model=mobilenet_v2 model.alp", "ha="),
            ("emotion train trainer.monitor=val_l", "oss"),
            ("emotion evaluate run=20260101", "_cnn"),
            ("emotion live source=fil", "m.mp4"),
        ):
            terminal.press("\x15")  # Ctrl-U clears the line
            terminal.press(f"{typed}\t")
            terminal.until(f"{typed}{expected}".replace(".", r"\.") if shell == "fish" else expected)
    finally:
        terminal.close()
