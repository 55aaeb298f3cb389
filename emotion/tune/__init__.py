"""Search for a better config: ``python -m emotion.tune model=mobilenet_v2 tuner=hyperband tuner.max_trials=30``.

Keras Tuner's oracles choose the values; every trial is a complete run of ``emotion.train`` in a process of its own.
"""

from __future__ import annotations

import errno
import logging
import os
import sys
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from emotion import runs
from emotion.base import exits, files, locks, logs
from emotion.base.errors import UserError
from emotion.base.interrupts import Interrupted, sigterm_raises
from emotion.config import cli
from emotion.tune import history, loop, results, searches, space, worker
from emotion.tune.plan import Plan
from emotion.tune.progress import Reporter, short
from emotion.tune.space import Parameter

log = logging.getLogger(__name__)


def tune(plan: Plan, cfg: DictConfig, parameters: list[Parameter], search: Path) -> history.Tried | None:
    """Search until the trials are used up or the space is, from wherever an earlier call was left.

    Args:
        plan: What was asked for; composes every trial's config.
        cfg: What it composes to without values.
        parameters: What is searched, from :meth:`emotion.tune.plan.Plan.parameters`.
        search: The search's folder, which holds its plan.

    Returns:
        The best trial; None where none was completed.

    Raises:
        UserError: Another process is at this search, or a file of it is damaged.
        OSError: The disk is full, or may not be written to.
        FailingError: Too many trials failed in a row.
    """
    log.warning("searching %s", ", ".join(p.key for p in parameters))
    with locks.held(search):
        history.read(search)  # damaged files are told before anything slow begins
        if (state := search / history.ORACLE / "oracle.json").is_file():
            files.read_json(state)
        logs.import_tensorflow()
        from emotion.tune import chief, oracles

        oracle = oracles.build(cfg, parameters, search / history.ORACLE)
        total = oracles.total(cfg, oracle, space.trials_of_a_grid(parameters))
        together = cfg.tuner.workers > 0 or searches.is_chief()
        reporter = Reporter(search, cfg.tuner.objective, total)
        ended_before = len(oracle.end_order)

        def look() -> None:
            if oracle.fault is not None:
                raise oracle.fault
            ended = [int(number) for number in oracle.end_order[ended_before:]]  # first: trials may end meanwhile
            trials = history.read(search)
            reporter.update(trials)
            row = history.failures_in_a_row(trials, ended)
            if len(row) >= cfg.tuner.max_failures:
                raise FailingError(row)

        with reporter.shown(), sigterm_raises():
            if together:
                chief.run(oracle, search, cfg.tuner.workers, *_address(), look)
            else:
                loop.until_stopped(oracle, "tuner0", plan, search, cfg.tuner.objective, look)
            look()
    return history.best(history.read(search), cfg.tuner.objective)


class FailingError(Exception):
    """Trials fail one after the other, so the next ones would too."""

    def __init__(self, row: list[history.Tried]) -> None:
        super().__init__(f"the last {len(row)} trials failed")
        self.row = row


def _address() -> tuple[str, int]:
    """Where the chief listens: on this machine alone, at a free port, unless Keras Tuner's variables say otherwise."""
    given = os.environ.get("KERASTUNER_ORACLE_PORT", "0")
    if not given.isdigit():
        raise UserError(f"KERASTUNER_ORACLE_PORT: '{given}' is not a port number")
    return os.environ.get("KERASTUNER_ORACLE_IP", "127.0.0.1"), int(given)


def _search(asked: cli.Request) -> int:
    """Do what the command line asks for; return the exit code."""
    assert asked.cfg is not None
    if asked.cfg.resume is None:
        if searches.is_worker():
            raise UserError("KERASTUNER_TUNER_ID: this is a worker; say whose search it joins: resume=<id>")
        plan, cfg = Plan.of(asked), asked.cfg
        parameters = plan.parameters(cfg)  # a wrong space is answered before there is a folder
        search = runs.new_folder(Path(cfg.outputs), "tune")
        searches.create(search, plan, cfg)
    else:
        search = searches.resolve(asked.cfg.resume, asked.cfg.outputs)
        if searches.is_worker():
            worker.join(search)
            return 0
        plan = searches.going_on(search, asked)
        cfg = plan.compose()
        parameters = plan.parameters(cfg)
        files.write_text(search / "config.yaml", OmegaConf.to_yaml(cfg, resolve=True))
    print(f"search {search}")
    try:
        best = tune(plan, cfg, parameters, search)
    except (KeyboardInterrupt, Interrupted):
        print(f"interrupted; go on with it: python -m emotion.tune resume={search}")
        raise
    except FailingError as error:
        trials = history.read(search)
        results.write(plan, search, cfg, trials, parameters)
        last = (error.row[0].message.strip().splitlines() or [""])[-1]
        log.error("%s, so the search ends: %s\nsee %s", error, last, search / "report.md")
        log.error("put it right, then go on: python -m emotion.tune resume=%s", search)
        return 1
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES):
            raise
        raise UserError(
            f"{error.filename or search}: cannot write ({error.strerror}). Make room; go on with the search: "
            f"python -m emotion.tune resume={search}"
        ) from None
    trials = history.read(search)
    results.write(plan, search, cfg, trials, parameters)
    searches.finish(search)
    _say(search, cfg, trials, best)
    return 0 if best is not None else 1


def _say(search: Path, cfg: DictConfig, trials: list[history.Tried], best: history.Tried | None) -> None:
    failed = sum(t.status == "failed" for t in trials)
    print(f"{len(trials)} trials{f', {failed} failed' if failed else ''}; report: {search / 'report.md'}")
    if best is None:
        print("no trial was completed")
        return
    spread = "" if best.deviation is None else f" ± {best.deviation:.4f}"
    print(f"best: trial {best.number}, {cfg.tuner.objective} {best.objective:.4f}{spread}")
    for key, value in best.values.items():
        print(f"  {key}: {short(value)}")
    print(f"train it:    {results.command(search)}")
    print(f"run it live: python -m emotion.live run={best.run}")
    print(f"compare:     tensorboard --logdir {search / 'trials'}")


def main() -> None:
    with exits.exit_codes():
        asked = cli.request("tune")
        if asked.multirun:
            raise UserError("emotion.tune searches by itself; leave out -m / --multirun")
        if asked.cfg is None or asked.shows:
            cli.launch(asked, lambda cfg: None)  # Hydra shows it
            return
        logs.set_up()
        if code := _search(asked):
            sys.exit(code)
