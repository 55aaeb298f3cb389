"""The card tells only what a run's files say, whatever they say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from omegaconf import OmegaConf

from emotion import metrics
from emotion.faces.contract import Contract
from emotion.faces.labels import EMOTIONS
from emotion.publish import card
from emotion.runs import RunRecord
from tests.conftest import compose

_RNG = np.random.default_rng(0)
_LABELS = np.arange(140) % 7
_PROBABILITIES = _RNG.dirichlet(np.ones(7), 140).astype(np.float32)
_SCORE = metrics.score(_PROBABILITIES, _LABELS, names=EMOTIONS, bootstrap=0)


@pytest.fixture(scope="module")
def subject() -> card.Subject:
    cfg = compose("train", "dataset=fer2013", "dataset.root=fer", "model=mobilenet_v2")
    return card.Subject(
        name="mine",
        record=RunRecord(status="done", command="python -m emotion.train", versions={"keras": "3.15.1"}),
        config=OmegaConf.create({"dataset": cfg.dataset, "model": cfg.model}),
        contract=Contract(96, 96, temperature=1.25),
        scores={"validation": _SCORE},
        sizes={},
        hashes={"run.json": "ab" * 32},
    )


def test_a_model_that_was_not_trained_here_has_a_card_too(subject: card.Subject) -> None:
    said = card.text(subject)
    assert "| **Training** | not by this project |" in said
    assert "| **Parameters** | not recorded |" in said
    assert "| **Hardware** | not recorded |" in said
    assert "divided by 1.250" in said
    assert "The model's own files are not here" in said
    assert "On the validation split" in said


@pytest.mark.parametrize(
    ("dataset", "words", "others"),
    [
        ("fer2013", ["no licence to pass them on", "63 %", "ImageNet"], ["MIT licence"]),
        ("ferplus", ["no licence to pass them on", "63 %", "MIT licence"], []),
        ("folder", ["The person who trained the model has to say"], ["FER2013", "Kaggle"]),
        ("somebody's own", ["The person who trained the model has to say"], ["FER2013", "Kaggle"]),
    ],
)
def test_the_terms_are_those_of_the_data(
    subject: card.Subject, dataset: str, words: list[str], others: list[str]
) -> None:
    config = subject.config.copy()
    OmegaConf.set_struct(config, False)
    config.dataset = {"name": dataset}
    said = card.text(replace(subject, config=config))
    assert [word for word in words if word not in said] == []
    assert [word for word in others if word in said] == []


def test_a_mixed_datasets_card_says_what_its_parts_say_once(subject: card.Subject) -> None:
    config = subject.config.copy()
    OmegaConf.set_struct(config, False)
    config.dataset = {"name": "mixed", "parts": [{"name": "fer2013"}, {"name": "ferplus"}, {"name": "folder"}]}
    parts = metrics.score_parts(_PROBABILITIES, {"fer2013": _LABELS, "mine": np.where(_LABELS < 3, _LABELS, -1)})
    said = card.text(replace(subject, config=config, scores={"validation": _SCORE | {"parts": parts}}))
    for words in (
        "MIT licence",
        "each with one label",
        "collected by the user",
        "The person who trained the model has to say",
    ):
        assert said.count(words) == 1
    assert said.count("there is no licence to pass them on") == 1
    assert "| mine | 60 |" in said


def test_a_fine_tuned_networks_card_names_the_run_that_it_began_with(subject: card.Subject) -> None:
    record = replace(subject.record, teachers=[{"run": "theirs", "checkpoint": "ab" * 32}])
    cfg = compose("train", "trainer.teacher=theirs", "trainer.initial_weights=teacher")
    config = OmegaConf.create({"dataset": cfg.dataset, "model": cfg.model, "trainer": cfg.trainer})
    said = card.text(replace(subject, record=record, config=config))
    assert "Those of run `theirs`; the terms of its data hold as well." in said


def test_misuse_is_named(subject: card.Subject) -> None:
    said = card.text(subject)
    for word in ("hiring", "policing", "lies", "medical", "consent", "An expression is no feeling", "skin tone"):
        assert word in said.replace("skin\n  tone", "skin tone")


def test_leaks_are_told_as_they_were_found(subject: card.Subject) -> None:
    leaked = np.arange(140) < 20
    found = metrics.score_with_leak_free(_PROBABILITIES, _LABELS, leaked, names=EMOTIONS, bootstrap=0)
    said = card.text(replace(subject, scores={"test": found}))
    assert "leaves out the 20 test images" in said
    assert "is not known" in card.text(replace(subject, scores={"test": _SCORE}))
    none = metrics.score_with_leak_free(_PROBABILITIES, _LABELS, leaked & False, names=EMOTIONS, bootstrap=0)
    assert "No test image is pixel-identical" in card.text(replace(subject, scores={"test": none}))
