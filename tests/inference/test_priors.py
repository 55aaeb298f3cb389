"""Class priors of runs, exports and tracks."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from emotion import runs
from emotion.base.errors import UserError
from emotion.faces.contract import Contract
from emotion.faces.images import Box
from emotion.inference import engines, priors
from emotion.inference.classifier import Classifier
from emotion.inference.session import Session, Settings
from emotion.metrics import calibration

TRAINED = (0.05, 0.05, 0.1, 0.3, 0.3, 0.1, 0.1)
CONTRACT = Contract(48, 48, prior=TRAINED, temperature=0.7)


def _answers(count: int, label: int, sure: float, seed: int = 0) -> np.ndarray:
    """A network's answers to one face: noise, and a little more for one label."""
    logits = np.log(TRAINED) + np.random.default_rng(seed).normal(0, 0.5, (count, 7))
    logits[:, label] += sure
    raised = np.exp(logits)
    return (raised / raised.sum(axis=1, keepdims=True)).astype(np.float32)


def test_what_is_read_by_a_contract_can_be_taken_back() -> None:
    raw = _answers(50, 2, 1.0)
    for target in (None, (0.1, 0.1, 0.1, 0.1, 0.2, 0.2, 0.2)):
        contract = replace(CONTRACT, target_prior=target)
        np.testing.assert_allclose(calibration.own(calibration.answers(raw, contract), contract), raw, atol=1e-5)


@pytest.mark.slow
def test_a_tracks_estimate_moves_slowly_and_alike_at_every_frame_rate() -> None:
    found = []
    for rate in (5, 25):
        track = priors.TrackPriors(CONTRACT)
        answers = calibration.answers(_answers(240 * rate, 0, 3.0), CONTRACT)
        assert track.of(1) == pytest.approx(TRAINED)
        first = track.update(1, 0.0, answers[0].tolist())
        assert first == pytest.approx(answers[0].tolist(), abs=1e-4), "a belief at first"
        history = []
        for i, row in enumerate(answers):
            track.update(1, i / rate, row.tolist())
            history.append(track.of(1)[0])
        assert history[10 * rate] < 0.3 < history[-1], "ten seconds are little, four minutes are much"
        assert sum(track.of(1)) == pytest.approx(1)
        assert track.of(2) == pytest.approx(TRAINED), "each track has its own"
        found.append(track.of(1))
        track.keep({2})
        assert track.of(1) == pytest.approx(TRAINED)
    np.testing.assert_allclose(found[0], found[1], atol=0.03)


def test_time_out_of_sight_does_not_count() -> None:
    track = priors.TrackPriors(CONTRACT)
    row = calibration.answers(_answers(1, 0, 3.0), CONTRACT)[0].tolist()
    track.update(1, 0.0, row)
    track.update(1, 500.0, row)
    assert track.of(1)[0] < 0.1


def test_a_session_estimates_only_where_it_is_asked_to() -> None:
    shipped = runs.resolve("pretrained", "outputs")
    classifier = engines.load(shipped, prior="estimate")
    row = calibration.answers(_answers(1, 1, 2.0), classifier.contract)[0].tolist()
    box = [Box(10, 10, 80, 80)]
    plain, estimating = (Session(classifier, Settings(smoothing=0, estimates_prior=e)) for e in (False, True))
    for step in range(300):
        time = 0.4 * step
        as_is, moved = plain.label(time, box, [row])[0], estimating.label(time, box, [row])[0]
    assert as_is.raw == pytest.approx(row)
    assert moved.raw[1] > as_is.raw[1] + 0.05
    estimating.reset()
    assert estimating.label(200, box, [row])[0].raw == pytest.approx(row, abs=1e-4)


def test_the_shipped_run_answers_for_a_wanted_prior() -> None:
    shipped = runs.resolve("pretrained", "outputs")
    assert sum(shipped.contract().prior or ()) == pytest.approx(1, abs=1e-4)
    usual, balanced = engines.load(shipped, prior="training"), engines.load(shipped, prior="balanced")
    faces = np.random.default_rng(0).integers(0, 256, (8, *usual.contract.shape), np.uint8)
    expected = calibration.answers(Classifier(shipped.tflite(), shipped.contract().uncalibrated()).probabilities(faces),
                                   balanced.contract)  # fmt: skip
    np.testing.assert_allclose(balanced.probabilities(faces), expected, atol=1e-6)
    assert np.abs(balanced.probabilities(faces) - usual.probabilities(faces)).max() > 0.01
    with pytest.raises(UserError, match="Did you mean 'balanced'"):
        engines.load(shipped, prior="balance")


@pytest.mark.nightly
@pytest.mark.slow
def test_an_export_carries_the_prior_that_it_was_made_for(trained: runs.Run, tmp_path: Path) -> None:
    from emotion.evaluate import evaluate
    from emotion.export import export
    from emotion.runs import exports
    from tests.conftest import compose

    shutil.copytree(trained.path, tmp_path / "run")
    shares = "{happy: 0.7, sad: 0.3}"
    report = export(compose("export", f"run={tmp_path / 'run'}", f"prior={shares}", f"outputs={tmp_path}"))
    assert "'prior={happy: 0.7, sad: 0.3}'" in report["command"]
    found = exports.find(tmp_path / "run" / "exports" / "litert", tmp_path)
    assert found is not None
    assert found.contract().target_prior == (0, 0, 0, 0.7, 0, 0.3, 0)
    assert engines.load(found).contract.target_prior == (0, 0, 0, 0.7, 0, 0.3, 0)
    assert engines.load(found, prior="training").contract.target_prior is None
    score = evaluate(compose("evaluate", f"run={found.path}", "bootstrap=0", f"outputs={tmp_path}"))
    assert score["target_prior"]["happy"] == 0.7
    assert "`target_prior` / `prior`" in (found.path / "report.md").read_text()
