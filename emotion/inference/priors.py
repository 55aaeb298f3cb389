"""Class priors of runs, and of the faces of a video; see :mod:`emotion.faces.priors`."""

from __future__ import annotations

import hashlib
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from emotion import runs
from emotion.base.errors import UserError
from emotion.faces import priors
from emotion.faces.contract import Contract
from emotion.inference import held_out
from emotion.metrics import calibration
from emotion.runs.exports import Exported

log = logging.getLogger(__name__)

Floats = np.ndarray[Any, np.dtype[np.float64]]


def contract(run: runs.Run | Exported, setting: Any) -> Contract:
    """The contract of a run or an export whose answers are for what ``prior=`` asks for.

    Where a run's contract does not record the shares of training, they are computed from the data that its config
    names. With ``estimate`` they are recorded and nothing is asked for yet.

    Raises:
        UserError: A value that is none of ``prior=`` for this run's labels, or shares that are neither recorded nor to
            be computed.
    """
    found, setting = run.contract(), plain(setting)
    if isinstance(run, runs.Run) and run.export is not None:  # it may answer for another prior than its run
        found = Contract.load(run.export / "contract.json")
    for problem in priors.problems(setting, found.labels):
        raise UserError(problem)
    if found.prior is None and setting not in (None, priors.TRAINING) and isinstance(run, runs.Run):
        found = replace(found, prior=_computed(run))
    return priors.with_target(found, setting)


def plain(setting: Any) -> Any:
    """A value of ``prior=`` without OmegaConf's types."""
    value = OmegaConf.to_container(setting) if isinstance(setting, DictConfig) else setting
    return {str(name): share for name, share in value.items()} if isinstance(value, Mapping) else value


def word(setting: Any) -> str | None:
    """A value of ``prior=`` as part of a folder's name: a word, or ``prior-`` and six digits that tell shares apart."""
    value = plain(setting)
    if not isinstance(value, Mapping):
        return None if value is None else str(value)
    text = ",".join(f"{name}:{float(share):g}" for name, share in sorted(value.items()))
    return f"prior-{hashlib.sha256(text.encode()).hexdigest()[:6]}"


def _computed(run: runs.Run) -> priors.Shares:
    from emotion.data import weights

    try:
        splits, trainer = held_out.of_run(run), run.config().get("trainer")
        if trainer is None:
            raise UserError("its config has no trainer")
    except (UserError, OmegaConfBaseException) as error:
        raise UserError(
            f"prior: contract.json of run {run.id} does not record the class shares of its training, and they cannot "
            f"be computed: {error}. Take prior=training, put the data back where the run's config says, or write the "
            f'shares into {run.path / "contract.json"}: "prior": [one share a label, in the labels\' order]'
        ) from None
    shares = weights.prior(splits.train, trainer, splits.labels)
    log.info("prior: the class shares of training were not recorded; computed from the data of run %s", run.id)
    return shares


#: Seconds over which a track's shares are estimated, and for how long it must be seen until its own answers count as
#: much as the belief that its shares are those that answers would be for without an estimate.
REMEMBERED, BELIEVED = 120.0, 30.0
# A face that was out of sight does not count for the time of its absence.
_LONGEST_STEP = 1.0


@dataclass
class _Track:
    time: float
    sums: Floats  # of its probabilities, each times the seconds that it stands for
    seconds: float = 0.0


class TrackPriors:
    """The class prior of each track, re-estimated from its own answers of the last minutes.

    Expectation maximisation step by step (Cappe and Moulines 2009, "On-line expectation-maximization algorithm for
    latent data models"): each answer is moved to the present estimate and counted, and older ones fade. Answers of one
    face are alike, so the estimate begins as a belief and only time moves it.

    Args:
        contract: The classifier's, with its ``prior``; the belief is its target prior, or else that of training.
    """

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        believed = contract.target_prior or priors.trained_prior(contract)
        self._believed = np.array(believed, np.float64)
        self._tracks: dict[int, _Track] = {}

    def update(self, track: int, time: float, answer: Sequence[float]) -> tuple[float, ...]:
        """What a track's answer, float ``[labels]`` as the classifier gives it, is for the prior estimated until now.

        ``time`` is in seconds.
        """
        state = self._tracks.setdefault(track, _Track(time, np.zeros_like(self._believed)))
        own = calibration.own(np.array([answer], np.float32), self._contract)
        moved = priors.adjust(own, priors.trained_prior(self._contract), self.of(track))
        step = min(max(0.0, time - state.time), _LONGEST_STEP)
        decay = math.exp(-step / REMEMBERED)
        state.sums = decay * state.sums + step * moved[0]
        state.seconds = decay * state.seconds + step
        state.time = time
        return tuple(calibration.apply(moved, self._contract.temperature)[0].tolist())

    def of(self, track: int) -> priors.Shares:
        """The shares estimated for a track until now, in the order of the labels."""
        state = self._tracks.get(track)
        sums, seconds = (state.sums, state.seconds) if state else (0.0, 0.0)
        return tuple(((sums + BELIEVED * self._believed) / (seconds + BELIEVED)).tolist())

    def keep(self, alive: set[int]) -> None:
        """Forget all other tracks."""
        self._tracks = {track: state for track, state in self._tracks.items() if track in alive}

    def reset(self) -> None:
        """Forget all tracks."""
        self._tracks.clear()
