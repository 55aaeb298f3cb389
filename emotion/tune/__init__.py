"""Search for a better config: ``python -m emotion.tune model=mobilenet_v2 tuner=hyperband tuner.max_trials=30``.

Keras Tuner's oracles choose the values; every trial is a complete run of ``emotion.train`` in a process of its own.
"""

from __future__ import annotations

import errno
import logging
import sys
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from emotion import runs
from emotion.base import exits, files, locks, logs
from emotion.base.errors import UserError
from emotion.base.interrupts import Interrupted, sigterm_raises
from emotion.base.progress import bars
from emotion.config import cli
from emotion.runs import swept
from emotion.tune import history, results, space, workers
from emotion.tune.plan import Plan, create_search, find_search, finish_search, resumed_plan
from emotion.tune.results import Reporter, short
from emotion.tune.space import Parameter

log = logging.getLogger(__name__)


class FailingError(Exception):
    """Trials fail one after the other, so the next ones would too."""

    def __init__(self, failed: list[history.Trial]) -> None:
        super().__init__(f"the last {len(failed)} trials failed")
        self.failed = failed


def tune(plan: Plan, cfg: DictConfig, parameters: list[Parameter], search: Path) -> history.Trial | None:
    """Search until the limit of trials or the end of the space, from wherever an earlier call ended.

    Args:
        plan, search: The search's plan and folder.
        cfg, parameters: From :meth:`Plan.compose` without values and :meth:`Plan.parameters`.

    Returns:
        The best trial; None where none was completed.

    Raises:
        UserError: Another process runs this search, or a file of it is damaged.
        OSError: The disk is full, or may not be written to.
        FailingError: Too many trials failed in a row.
    """
    log.warning("searching %s", ", ".join(p.key for p in parameters))
    with locks.held(search):
        history.read(search)  # damaged files are reported before anything slow begins
        if (state := search / history.ORACLE / "oracle.json").is_file():
            files.read_json(state)
        logs.import_tensorflow()
        from emotion.tune import oracles

        oracle = oracles.build(cfg, parameters, search / history.ORACLE)
        total = oracles.total(cfg, oracle, space.trials_of_a_grid(parameters))
        ended_before = len(oracle.end_order)
        with bars(sys.stdout) as display, sigterm_raises():
            reporter = Reporter(search, cfg, total, display)

            def report() -> None:
                if oracle.fault is not None:
                    raise oracle.fault
                ended = [int(number) for number in oracle.end_order[ended_before:]]  # first: trials may end meanwhile
                trials = history.read(search)
                reporter.update(trials)
                failed = history.failures_in_a_row(trials, ended)
                if len(failed) >= cfg.tuner.max_failures:
                    raise FailingError(failed)

            workers.run(oracle, plan, search, cfg.tuner.workers, cfg.tuner.objective, report)
            report()
    return history.best(history.read(search), cfg.tuner.objective)


def _search(asked: cli.Request) -> int:
    """Do what the command line asks for; return the exit code."""
    assert asked.cfg is not None
    if asked.cfg.resume is None:
        if workers.is_worker():
            raise UserError("KERASTUNER_TUNER_ID: this is a worker; say which search it joins: resume=<id>")
        plan, cfg = Plan.of(asked), asked.cfg
        parameters = plan.parameters(cfg)  # a wrong space is refused before a folder is made
        search = runs.new_folder(Path(cfg.outputs), "tune")
        create_search(search, plan, cfg)
    else:
        search = find_search(asked.cfg.resume, asked.cfg.outputs)
        if workers.is_worker():
            workers.join(search, Plan.load(search, asked))
            return 0
        plan = resumed_plan(search, asked)
        cfg = plan.compose()
        parameters = plan.parameters(cfg)
        files.write_text(search / "config.yaml", OmegaConf.to_yaml(cfg, resolve=True))
    print(f"search {search}")
    resume = f"python -m emotion.tune resume={search}"
    try:
        best = tune(plan, cfg, parameters, search)
    except (KeyboardInterrupt, Interrupted):
        print(f"interrupted; resume it: {resume}")
        raise
    except FailingError as error:
        results.write(plan, search, cfg, history.read(search), parameters)
        last = (error.failed[0].message.strip().splitlines() or [""])[-1]
        log.error("%s, so the search ends: %s\nsee %s", error, last, search / "report.md")
        log.error("correct the cause, then resume: %s", resume)
        return 1
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES):
            raise
        where = error.filename or search
        raise UserError(f"{where}: cannot write ({error.strerror}). Make room, then resume: {resume}") from None
    trials = history.read(search)
    results.write(plan, search, cfg, trials, parameters)
    finish_search(search)
    _print_result(search, cfg, trials, best)
    return 0 if best is not None else 1


def _print_result(search: Path, cfg: DictConfig, trials: list[history.Trial], best: history.Trial | None) -> None:
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
    print(f"compare:     {swept.tensorboard(search / 'trials')}")


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
