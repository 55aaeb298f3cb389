"""A Slurm cluster of one node on loopback, with its key, ports, spool and logs in a folder of its own.

    python -m tests.helpers.slurm_cluster          brings it up, says how to use it, and takes it down on Ctrl-C

It needs root, and Debian's ``slurm-wlm`` and ``munge``. Neither systemd nor control groups are used.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

_CONF = """
ClusterName=loopback
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={node}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
CredType=cred/munge
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
SlurmctldTimeout=30
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=1
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
ReturnToService=2
MpiDefault=none
KillWait=20
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory=4000 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


class NoClusterError(Exception):
    """A cluster cannot be had here; says why."""


def missing() -> str | None:
    """Why there can be no cluster on this machine, or None."""
    programs = [p for p in ("munged", "slurmctld", "slurmd", "sbatch") if not _which(p)]
    if programs:
        return f"{', '.join(programs)} not found: apt-get install slurm-wlm munge"
    return None if os.geteuid() == 0 else "Slurm's node daemon needs root"


@contextmanager
def cluster(cpus: int = 2) -> Iterator[dict[str, str]]:
    """Bring a cluster up; yields what its users need in their environment.

    Raises:
        NoClusterError: It does not come up; with the end of its logs.
    """
    why = missing()
    if why:
        raise NoClusterError(why)
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))  # short: a socket's path may have 107 characters
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        controller, node = _free_ports(2)
        host = socket.gethostname().partition(".")[0]
        conf = folder / "slurm.conf"
        conf.write_text(_CONF.format(folder=folder, host=host, controller=controller, node=node, cpus=cpus))
        (folder / "cgroup.conf").write_text("CgroupAutomount=no\n")
        for name in ("state", "spool"):
            (folder / name).mkdir()
        key = folder / "munge.key"
        key.write_bytes(secrets.token_bytes(1024))
        key.chmod(0o400)
        environment = {"SLURM_CONF": str(conf)}
        munge = ["munged", "--foreground", "--force", f"--key-file={key}", f"--socket={folder}/munge.socket",
                 f"--pid-file={folder}/munged.pid", f"--log-file={folder}/munged.log",
                 f"--seed-file={folder}/munged.seed"]  # fmt: skip
        stack.enter_context(_daemon(munge, environment))
        _until(lambda: (folder / "munge.socket").exists(), "munged", folder)
        stack.enter_context(_daemon(["slurmctld", "-D", "-f", str(conf)], environment))
        stack.enter_context(_daemon(["slurmd", "-D", "-f", str(conf)], environment))
        _until(lambda: _ask(environment, "sinfo", "--noheader", "--format", "%t") == "idle", "the node", folder)
        try:
            yield environment
        finally:
            _ask(environment, "scancel", "--user", "root")
            _until(lambda: not _ask(environment, "squeue", "--noheader"), "an empty queue", folder)


@contextmanager
def _daemon(line: list[str], environment: dict[str, str]) -> Iterator[None]:
    program = _which(line[0])
    assert program
    process = subprocess.Popen(
        [program, *line[1:]],
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # a terminal's Ctrl-C is for whoever uses the cluster
    )
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _which(program: str) -> str | None:
    return shutil.which(program, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")


def _ask(environment: dict[str, str], *line: str) -> str:
    done = subprocess.run(line, env={**os.environ, **environment}, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else done.stderr.strip()


def _until(happened: Callable[[], object], what: str, folder: Path, seconds: float = 40) -> None:
    end = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > end:
            logs = "\n".join(f"{p.name}: {p.read_text()[-1500:]}" for p in sorted(folder.glob("*.log")))
            raise NoClusterError(f"no {what} after {seconds:.0f} s\n{logs}")
        time.sleep(0.1)


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        found = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in found:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in found]


def main() -> None:
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with cluster(cpus=os.cpu_count() or 1) as environment:
            print("\n".join(f"export {name}={value}" for name, value in environment.items()), flush=True)
            signal.pause()
    except NoClusterError as error:
        sys.exit(f"no cluster: {error}")
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
