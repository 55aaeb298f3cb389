"""The built wheel in an environment of its own, used from another folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import httpx
import pytest

from tests.conftest import REPOSITORY

pytestmark = [pytest.mark.slow, pytest.mark.nightly(nights=1)]


@pytest.fixture(scope="module")
def binaries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ``bin`` folder of a clean environment with the wheel.

    What the wheel depends on is linked in from here by a ``.pth`` file, which is read without following the one that
    makes this checkout importable: the environment has no other ``emotion`` than the wheel's.
    """
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(REPOSITORY)],
        check=True,
        capture_output=True,
    )
    environment = folder / "venv"
    venv.create(environment, with_pip=False)  # ours installs into it: bringing pip takes longer than all the rest
    python = environment / "bin" / "python"
    wheel = next(folder.glob("emotion-*.whl"))
    pip = [sys.executable, "-m", "pip", "--python", str(python)]
    subprocess.run([*pip, "install", "--quiet", "--no-deps", "--no-index", str(wheel)], check=True, capture_output=True)
    inner = subprocess.run(
        [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    (Path(inner.stdout.strip()) / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return environment / "bin"


def run(*line: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    clean = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    return subprocess.run(line, cwd=cwd, capture_output=True, text=True, check=False, env=clean)


def test_the_wheel_brings_its_configs_and_commands(binaries: Path, tmp_path: Path) -> None:
    where = run(
        str(binaries / "python"),
        "-c",
        "from emotion.config import schema as s; print(s.__file__, s.CONF)",
        cwd=tmp_path,
    )
    assert where.stdout.count(str(binaries.parent)) == 2, where.stdout + where.stderr
    for module in ("train", "evaluate", "live"):
        shown = run(str(binaries / f"emotion-{module}"), "--help", cwd=tmp_path)
        assert shown.returncode == 0, shown.stderr
        assert f"python -m emotion.{module}" in shown.stdout
    composed = run(
        str(binaries / "emotion-train"), "experiment=quickstart", "augmentation=strong", "--cfg", "job", cwd=tmp_path
    )
    assert composed.returncode == 0, composed.stderr
    assert "per_emotion: 300" in composed.stdout
    assert "erase:" in composed.stdout
    wrong = run(str(binaries / "emotion-train"), "trainer.epohs=3", cwd=tmp_path)
    assert wrong.returncode == 2
    assert "trainer.epochs" in wrong.stderr


def test_the_wheel_brings_the_model_that_ships(binaries: Path, tmp_path: Path) -> None:
    said = run(
        str(binaries / "python"), "-c",
        "from emotion import runs; from emotion.runs import published\n"
        "for name in published.shipped_ids(): print(name, runs.resolve(name, 'outputs').tflite_fault(), 'whole')",
        cwd=tmp_path,
    )  # fmt: skip
    assert said.returncode == 0, said.stderr
    ours = sorted(p.parent.name for p in (REPOSITORY / "emotion" / "pretrained").glob("*/run.json"))
    assert said.stdout.splitlines() == [f"pretrained/{name} None whole" for name in ours]
    live = run(str(binaries / "emotion-live"), "source=missing.mp4", "display=none", cwd=tmp_path)
    assert live.returncode == 2
    assert ("no such file 'missing.mp4'" if ours else "this installation has none") in live.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_wheel_trains(binaries: Path, tmp_path: Path) -> None:
    from tests.conftest import TINY

    done = run(str(binaries / "emotion-train"), *TINY, "trainer.epochs=1", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(list(tmp_path.glob("outputs/*/model.tflite"))) == 1
    again = run(str(binaries / "python"), "-m", "emotion.evaluate", "run=latest", "bootstrap=0", cwd=tmp_path)
    assert again.returncode == 0, again.stderr


def test_the_wheel_serves_a_page_that_labels_a_face(binaries: Path, tmp_path: Path) -> None:
    """Those who installed ``emotion[serve]`` type one command and open the address that it prints."""
    from tests.helpers.serving import face

    clean = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    line = [str(binaries / "emotion-serve"), "port=0"]
    with subprocess.Popen(line, cwd=tmp_path, stdout=subprocess.PIPE, text=True, env=clean) as process:
        try:
            address = re.findall(r"http://\S+/", process.stdout.readline())[0]
            with httpx.Client(base_url=address, timeout=60) as client:
                for name in ("", "page.js", "page.css", "openapi.json"):
                    assert client.get(name).status_code == 200, name
                answer = client.post("v1/pictures", content=face(), headers={"Content-Type": "image/jpeg"}).json()
        finally:
            process.terminate()
    assert len(answer["pictures"][0]["faces"]) == 1
    assert list(tmp_path.iterdir()) == []
