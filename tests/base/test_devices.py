"""Sharing a machine: a GPU for each job, with a made-up ``nvidia-smi``, real processes and real locks."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from emotion.base import devices

TWO_GPUS = "GPU 0: NVIDIA H100 (UUID: GPU-aaa)\nGPU 1: NVIDIA H100 (UUID: GPU-bbb)\n"
_DIVIDED = """GPU 0: NVIDIA H100 (UUID: GPU-aaa)
  MIG 1g.10gb     Device  0: (UUID: MIG-one)
  MIG 1g.10gb     Device  1: (UUID: MIG-two)
GPU 1: NVIDIA H100 (UUID: GPU-bbb)
"""


def fake_nvidia_smi(folder: Path, says: str) -> str:
    """Put an ``nvidia-smi`` into a folder; returns the PATH that finds it first."""
    folder.mkdir(exist_ok=True)
    (folder / "says").write_text(says)
    program = folder / "nvidia-smi"
    program.write_text(f'#!/bin/sh\ntest "$1" = -L && exec cat "{folder}/says"\n')
    program.chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


@pytest.mark.parametrize(
    ("says", "expected"),
    [(TWO_GPUS, ["GPU-aaa", "GPU-bbb"]), (_DIVIDED, ["MIG-one", "MIG-two", "GPU-bbb"]), ("No devices found\n", [])],
)
def test_gpus_are_found(says: str, expected: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", fake_nvidia_smi(tmp_path, says))
    assert devices.gpus() == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [("1,0", ["1", "0"]), ("GPU-aaa", ["GPU-aaa"]), ("", []), ("-1", []), ("0, 2,-1,3", ["0", "2"])],
)
def test_what_a_person_chose_is_kept_to(
    given: str, expected: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", fake_nvidia_smi(tmp_path, TWO_GPUS))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given)
    assert devices.gpus() == expected


def test_no_nvidia_smi_means_no_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert devices.gpus() == []


@pytest.mark.parametrize(
    ("gpus", "cores", "gigabytes", "expected"),
    [("0,1", 16, 64, 2), ("", 2, 24, 2), ("", 16, 33, 8), ("", 4, 2, 1)],
)
def test_a_job_on_each_gpu_or_on_each_core_that_has_memory(
    gpus: str, cores: int, gigabytes: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", gpus)
    monkeypatch.setattr(devices, "cores", lambda: cores)
    monkeypatch.setattr(devices, "memory", lambda: gigabytes * 2**30)
    assert devices.default_jobs() == expected


@pytest.mark.skipif(not Path("/proc/meminfo").is_file(), reason="only Linux tells its memory there")
def test_memory_is_at_most_what_the_machine_has() -> None:
    total = 1024 * int(Path("/proc/meminfo").read_text().split()[1])
    assert 2**28 < devices.memory() <= total


def test_cores_are_divided_unless_a_person_said_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.delenv("TF_NUM_INTEROP_THREADS", raising=False)
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "3")
    with devices.share(1) as mine:
        assert mine.environment == {"TF_NUM_INTEROP_THREADS": str(devices.cores())}
    with devices.share(1000) as mine:
        assert mine.environment == {"TF_NUM_INTEROP_THREADS": "1"}
    with devices.share(2, threads=False) as mine:
        assert mine.environment == {}


def test_a_job_on_a_cluster_uses_the_cores_it_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in devices.THREADS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "6")
    assert devices.slurm_threads() == dict.fromkeys(devices.THREADS, "6")
    monkeypatch.delenv("SLURM_CPUS_PER_TASK")
    assert devices.slurm_threads() == {}


class Holder:
    """A process that claims a share, tells of it, and holds it until its input ends."""

    _CODE = (
        "import sys; from emotion.base import devices\n"
        "with devices.share(int(sys.argv[1]), whole_machine=sys.argv[2] == 'whole') as mine:\n"
        "    print(mine.environment['CUDA_VISIBLE_DEVICES'], flush=True); sys.stdin.read()\n"
    )

    def __init__(self, jobs: int, environment: dict[str, str], how: str = "one") -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", self._CODE, str(jobs), how],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment},
        )  # fmt: skip

    def claim(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline().strip()

    def end(self) -> None:
        self.process.communicate(timeout=20)


@pytest.fixture
def hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Holder]]:
    """Start a process that claims a share of a machine with two GPUs; it ends with the test."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    machine = {"PATH": fake_nvidia_smi(tmp_path / "bin", TWO_GPUS), "TMPDIR": str(tmp_path)}
    holders: list[Holder] = []

    def begin(jobs: int, how: str = "one") -> Holder:
        holders.append(Holder(jobs, machine, how))
        return holders[-1]

    yield begin
    for holder in holders:
        holder.process.kill()
        holder.end()


@pytest.mark.slow
def test_two_jobs_never_share_a_gpu_and_a_third_waits(hold: Callable[..., Holder]) -> None:
    first, second = hold(2), hold(2)
    assert {first.claim(), second.claim()} == {"GPU-aaa", "GPU-bbb"}
    third = hold(2)
    waiting = third.process.stdout
    assert waiting
    assert select.select([waiting], [], [], 1.5)[0] == [], "both GPUs are held"
    first.process.kill()  # a lock goes with its process, however that ends
    assert third.claim() in ("GPU-aaa", "GPU-bbb")


@pytest.mark.slow
def test_more_jobs_than_gpus_are_spread_evenly(hold: Callable[..., Holder]) -> None:
    claims = [hold(4).claim() for _ in range(4)]
    assert sorted(claims) == ["GPU-aaa", "GPU-aaa", "GPU-bbb", "GPU-bbb"]
    assert claims[0] != claims[1]


@pytest.mark.slow
def test_a_job_that_spreads_takes_all_gpus_and_waits_for_them(hold: Callable[..., Holder]) -> None:
    one = hold(2)
    assert one.claim() == "GPU-aaa"
    whole = hold(1, "whole")
    waiting = whole.process.stdout
    assert waiting
    assert select.select([waiting], [], [], 1.5)[0] == [], "one of them is held"
    one.end()
    assert whole.claim() == "GPU-aaa,GPU-bbb"
