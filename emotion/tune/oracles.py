"""Keras Tuner's oracles over a space in Hydra's grammar, with their state on disk so that a killed search can resume.

Importing this imports TensorFlow, by way of Keras Tuner.
"""

from __future__ import annotations

import json
import logging
import shutil
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import keras_tuner
from keras_tuner import oracles as published
from omegaconf import DictConfig

from emotion.base import files
from emotion.base.errors import UserError
from emotion.tune.space import Choice, Parameter

log = logging.getLogger(__name__)

#: Keras Tuner's own limit is never reached: its exception would leave the oracle locked.
_NO_LIMIT = 2**31


class _Resumable:
    """Lets an oracle write its files whole or not at all, and resume with the trials it had when it was killed.

    Attributes:
        fault: What failed in writing. Raised there, it would leave the oracle locked.
        asked: When each worker last asked for a trial, in seconds of the monotonic clock.
    """

    fault: OSError | None = None

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.asked: dict[str, float] = {}
        super().__init__(*arguments, **options)

    def create_trial(self, tuner_id: str) -> Any:
        self.asked[tuner_id] = time.monotonic()
        return super().create_trial(tuner_id)  # type: ignore[misc]

    @keras_tuner.synchronized
    def take_from(self, tuner_id: str) -> None:
        """Forget a worker; a trial that it had goes to the next that asks."""
        oracle: Any = self
        oracle.tuner_ids.discard(tuner_id)
        trial = oracle.ongoing_trials.pop(tuner_id, None)
        if trial is not None:
            oracle._retry_queue.append(trial.trial_id)
            self.save()

    def save(self) -> None:
        self._write(self._get_oracle_fname(), self.get_state())  # type: ignore[attr-defined]

    def _save_trial(self, trial: Any) -> None:
        self._write(Path(self._get_trial_dir(trial.trial_id)) / "trial.json", trial.get_state())  # type: ignore[attr-defined]

    def _write(self, path: str | Path, state: dict[str, Any]) -> None:
        try:
            files.write_text(Path(path), json.dumps(state))
        except OSError as error:
            self.fault = self.fault or error

    def resume(self) -> None:
        """Load the saved state, UserError if it is damaged; trials that had begun but not ended come first."""
        oracle: Any = self
        try:
            oracle.reload()
        except (OSError, ValueError, LookupError, RuntimeError, TypeError, AttributeError) as error:
            path = oracle._get_oracle_fname()
            raise UserError(f"{path}: damaged ({type(error).__name__}); restore it, or begin a new search") from None
        # Keras Tuner saves before it takes an ended trial off its list, so that one would be tried again.
        queue = [trial_id for trial_id in oracle._retry_queue if trial_id not in oracle.end_order]
        oracle._retry_queue = sorted(set(queue), key=int, reverse=True)  # its end comes first
        for trial_id in [t for t in oracle.trials if t not in oracle.start_order]:  # drawn, never handed out
            del oracle.trials[trial_id]
            shutil.rmtree(oracle._get_trial_dir(trial_id))
        oracle.tuner_ids = set()


class _Random(_Resumable, published.RandomSearchOracle):
    pass


class _Grid(_Resumable, published.GridSearchOracle):
    pass


class _Bayesian(_Resumable, published.BayesianOptimizationOracle):
    def populate_space(self, trial_id: str) -> Any:
        """Keras Tuner's, but values that were tried already are replaced by random ones, until there are no others."""
        answer = super().populate_space(trial_id)
        if answer.get("values") and self._duplicate(answer["values"]):
            return self._random_populate_space()
        return answer


class _Hyperband(_Resumable, published.HyperbandOracle):
    def begin_within(self, trials: int) -> None:
        """Begin with the largest bracket that so many trials can finish: else none would ever be promoted.

        The last bracket, which promotes none either, is left out: with it a resumed search with more trials could not
        promote.
        """
        bracket: int = self._current_bracket  # type: ignore[has-type]
        while bracket > 1 and self.trials_of(bracket) > trials:
            bracket -= 1
        if bracket and self.trials_of(bracket) > trials:
            log.warning(
                "tuner.max_trials=%d ends before Hyperband's first promotion, which takes %d trials",
                trials, self.trials_of(bracket),
            )  # fmt: skip
        self._current_bracket = bracket
        self._brackets: list[dict[str, Any]] = []
        self._start_new_bracket()

    def trials_of(self, bracket: int) -> int:
        return sum(self._get_size(bracket, number) for number in range(bracket + 1))


_ORACLES: dict[str, Any] = {"random": _Random, "grid": _Grid, "bayesian": _Bayesian, "hyperband": _Hyperband}


def build(cfg: DictConfig, parameters: list[Parameter], folder: Path) -> Any:
    """The ``keras_tuner.Oracle`` that a config of ``emotion.tune`` names, in the state saved in a folder, if any.

    Raises:
        UserError: The saved state is damaged.
    """
    tuner = cfg.tuner
    common: dict[str, Any] = {
        "objective": keras_tuner.Objective(tuner.objective, "min" if tuner.objective == "val_loss" else "max"),
        "hyperparameters": _hyperparameters(parameters),
        "seed": tuner.seed + 1,  # Keras Tuner takes 0 for none
        "max_consecutive_failed_trials": _NO_LIMIT,
    }
    own: dict[str, Any] = {}
    if tuner.name == "hyperband":
        own = {"max_epochs": cfg.trainer.epochs, "factor": tuner.factor, "hyperband_iterations": tuner.iterations}
    elif tuner.name == "bayesian":
        own = {"num_initial_points": tuner.initial_points, "alpha": tuner.alpha, "beta": tuner.beta}
    oracle = _ORACLES[tuner.name](**own, **common)
    oracle.max_trials = tuner.max_trials  # Hyperband's constructor takes none
    oracle.verbose = 0
    oracle._set_project_dir(str(folder.parent), folder.name)
    if (folder / "oracle.json").is_file():
        oracle.resume()
    elif isinstance(oracle, _Hyperband) and tuner.max_trials is not None:
        oracle.begin_within(tuner.max_trials)
    return oracle


def _hyperparameters(parameters: list[Parameter]) -> keras_tuner.HyperParameters:
    """A space in Keras Tuner's terms: keys of one model only are conditional on the choice of that model."""
    space = keras_tuner.HyperParameters()
    for parameter in sorted(parameters, key=lambda p: p.only_for is not None):  # conditions after what they name
        group, options = parameter.key.partition(".")[0], parameter.only_for
        with nullcontext() if options is None else space.conditional_scope(group, list(options)):
            if isinstance(parameter, Choice):
                space.Choice(parameter.key, list(parameter.values))
            else:
                number = space.Int if parameter.whole else space.Float
                number(parameter.key, parameter.low, parameter.high, sampling="log" if parameter.log else "linear")
    return space


def total(cfg: DictConfig, oracle: Any, grid: int | None) -> int | None:
    """How many trials there will be at most; None where that cannot be known."""
    planned = grid if cfg.tuner.name == "grid" else None
    if cfg.tuner.name == "hyperband":
        planned = oracle.hyperband_iterations * sum(map(oracle.trials_of, range(oracle._get_num_brackets())))
    known = [n for n in (planned, cfg.tuner.max_trials) if n is not None]
    return min(known) if known else None
