"""Sharing one machine between jobs that train at the same time: a GPU and a part of the cores for each.

GPUs are found with ``nvidia-smi`` and claimed with locks on files: that needs neither TensorFlow nor a server, and
separates the user's other sweeps too. A lock ends with the processes that hold it.
"""

from __future__ import annotations

import getpass
import math
import os
import re
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows, where TensorFlow has no GPUs either
    fcntl = None  # type: ignore[assignment]

#: Seconds between two tries to claim a GPU that others hold.
_TRY_EVERY = 0.5

#: Memory to count on for a job, in bytes: MobileNetV2 at 96x96 in batches of 128 holds three quarters of it.
_JOB_MEMORY = 4 * 2**30

#: TensorFlow's own variables: threads within an operation, and operations at once.
THREADS = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")


@dataclass(frozen=True)
class Share:
    """A job's part of the machine.

    Attributes:
        environment: Variables for its process.
        descriptors: The locks to keep open in it.
    """

    environment: dict[str, str] = field(default_factory=dict)
    descriptors: tuple[int, ...] = ()


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def gpus() -> list[str]:
    """What ``CUDA_VISIBLE_DEVICES`` calls each GPU of this machine that this process may use.

    A variable that is set already is taken as it is. Else these are ``nvidia-smi``'s UUIDs, since CUDA numbers GPUs
    in another order; of a GPU that is divided (MIG), those of its instances.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        names = [name.strip() for name in visible.split(",")]
        # CUDA ignores what follows the first name that is no GPU's; an empty one and -1 are used to hide all.
        end = next((i for i, name in enumerate(names) if name in ("", "-1")), len(names))
        return names[:end]
    try:
        output = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=30, check=True).stdout
    except (OSError, subprocess.SubprocessError):  # no driver, or one that does not answer
        return []
    instances: list[list[str]] = []  # of each GPU, after its own name
    for line in output.splitlines():
        match = re.match(r"(\s*)(?:GPU|MIG) .*\(UUID: ([^)]+)\)", line)
        if match and match[1]:
            instances[-1].append(match[2])
        elif match:
            instances.append([match[2]])
    return [name for gpu in instances for name in (gpu[1:] or gpu)]


def default_jobs() -> int:
    """How many jobs to train at once: one per GPU; where there are none, one per core, as far as memory allows.

    Jobs on one core each are faster in sum than one job on all cores: ``benchmarks/jobs_side_by_side.py``.
    """
    return len(gpus()) or max(1, min(cores(), memory() // _JOB_MEMORY))


def memory() -> int:
    """The memory that this process may use, in bytes: the machine's, or its container's limit."""
    if not hasattr(os, "sysconf"):  # Windows
        return cores() * _JOB_MEMORY // 2
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        return min(whole, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    except (OSError, ValueError):  # no cgroups, or "max"
        return whole


def slurm_threads() -> dict[str, str]:
    """Variables for a job on a cluster: as many threads as Slurm gave it cores."""
    cpus = os.environ.get("SLURM_CPUS_PER_TASK")
    return {name: cpus for name in THREADS if name not in os.environ} if cpus else {}


@contextmanager
def share(jobs: int, *, whole_machine: bool = False, threads: bool = True) -> Iterator[Share]:
    """Claim a job's part of this machine, and wait for it where others hold it.

    With at most as many jobs as GPUs, no two jobs are ever on one GPU. With more, they are spread evenly.

    Args:
        jobs: How many jobs train at once.
        whole_machine: The job spreads over several GPUs, so it takes as many as there are for each job.
        threads: Divide the cores too; false where the job's config says how many threads it uses.
    """
    environment = {}
    if threads:
        number = str(max(1, cores() // jobs))
        environment = {name: number for name in THREADS if name not in os.environ}
    names = gpus()
    if not names or fcntl is None:
        yield Share(environment)
        return
    count = max(1, len(names) // jobs) if whole_machine else 1
    with ExitStack() as held:
        claims = _claim(names, count, math.ceil(jobs / len(names)), held)
        environment["CUDA_VISIBLE_DEVICES"] = ",".join(claims)
        yield Share(environment, tuple(claims.values()))


def _claim(names: Sequence[str], count: int, places: int, held: ExitStack) -> dict[str, int]:
    """Wait for a place on each of ``count`` GPUs, on those with the fewest jobs first; names to open locks."""
    folder = Path(tempfile.gettempdir()) / f"emotion-gpus-{getpass.getuser()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    while True:
        with ExitStack() as stack:
            claims: dict[str, int] = {}
            for place, name in product(range(places), names):
                if len(claims) == count or name in claims:
                    continue
                lock = os.open(folder / f"{name.replace('/', '_')}.{place}", os.O_RDWR | os.O_CREAT, 0o600)
                stack.callback(os.close, lock)
                with suppress(BlockingIOError):
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    claims[name] = lock
            if len(claims) == count:
                held.push(stack.pop_all())
                return claims
        time.sleep(_TRY_EVERY)
