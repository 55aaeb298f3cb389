import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf
from sklearn.utils.class_weight import compute_class_weight

from emotion.base.errors import UserError
from emotion.config.schema import CLASS_WEIGHTS
from emotion.data import cache, pipeline
from emotion.data.examples import Examples
from emotion.data.weights import BETA, class_weights, presented, table
from emotion.faces.contract import Contract
from emotion.faces.labels import EMOTIONS

NAMES = ("rare", "common")
LABELS = np.array([0] * 4 + [1] * 16)


def test_none_is_ones_even_for_an_absent_class():
    np.testing.assert_array_equal(class_weights(np.array([0, 0, 1]), "none", ("a", "b", "c")), np.ones(3, np.float32))


def test_balanced_by_hand_and_by_scikit_learn():
    weights = class_weights(LABELS, "balanced", NAMES)
    assert weights.dtype == np.float32
    np.testing.assert_allclose(weights, [20 / (2 * 4), 20 / (2 * 16)])
    np.testing.assert_allclose(weights, compute_class_weight("balanced", classes=np.array([0, 1]), y=LABELS))


def test_sqrt_by_hand():
    # sqrt(2.5) and sqrt(0.625) stand 2 to 1; 4 * 2w + 16 * w = 20 gives w = 5 / 6.
    np.testing.assert_allclose(class_weights(LABELS, "sqrt", NAMES), [10 / 6, 5 / 6], rtol=1e-6)


def test_effective_by_hand():
    rare, common = (1 - BETA) / (1 - BETA**4), (1 - BETA) / (1 - BETA**16)
    mean = (4 * rare + 16 * common) / 20
    np.testing.assert_allclose(class_weights(LABELS, "effective", NAMES), [rare / mean, common / mean], rtol=1e-6)


def test_effective_of_a_class_with_one_example():
    # (1 - beta) / (1 - beta ** 1) is 1; (1 - beta) / (1 - beta ** 3) is 1 / (1 + beta + beta ** 2).
    three = 1 / (1 + BETA + BETA**2)
    mean = (1 + 3 * three) / 4
    np.testing.assert_allclose(
        class_weights(np.array([0, 1, 1, 1]), "effective", NAMES), [1 / mean, three / mean], rtol=1e-6
    )


def test_a_mapping_is_taken_by_name_and_not_scaled():
    np.testing.assert_array_equal(class_weights(LABELS, {"common": 3.0, "rare": 7.0}, NAMES), [7, 3])


@pytest.mark.parametrize("setting", [*CLASS_WEIGHTS, {"rare": 1.0, "common": 2.0}])
def test_weights_are_float32(setting):
    assert class_weights(LABELS, setting, NAMES).dtype == np.float32


@pytest.mark.parametrize("given", [{"rare": 1.0}, {"rare": 1.0, "common": 1.0, "other": 1.0}])
def test_a_mapping_must_name_every_class(given):
    with pytest.raises(UserError, match="each of rare, common"):
        class_weights(LABELS, given, NAMES)


def test_an_unknown_setting_is_told_the_nearest():
    with pytest.raises(UserError, match="Did you mean 'balanced'"):
        class_weights(LABELS, "balance", NAMES)


@given(
    st.lists(st.integers(0, len(EMOTIONS) - 1), min_size=1, max_size=300),
    st.sampled_from(["balanced", "sqrt", "effective"]),
)
def test_mean_over_the_examples_is_1_absent_is_0_and_rarer_never_weighs_less(labels, setting):
    labels = np.array(labels)
    weights = class_weights(labels, setting)
    counts = np.bincount(labels, minlength=len(EMOTIONS))
    assert np.isfinite(weights).all()
    np.testing.assert_allclose(weights[labels].mean(), 1, rtol=1e-5)
    assert (weights[counts == 0] == 0).all()
    present = np.flatnonzero(counts)
    by_count = present[np.argsort(-counts[present])]
    assert (np.diff(weights[by_count]) >= -1e-6).all()


@given(st.lists(st.integers(0, len(EMOTIONS) - 1), min_size=1, max_size=300))
def test_sqrt_and_effective_lie_between_none_and_balanced(labels):
    labels = np.array(labels)
    spread = {s: np.ptp(class_weights(labels, s)[np.unique(labels)]) for s in ("balanced", "sqrt", "effective")}
    assert max(spread["sqrt"], spread["effective"]) <= spread["balanced"] + 1e-5


def test_table_lists_counts_weights_and_shares():
    lines = table(LABELS, class_weights(LABELS, "balanced", NAMES), NAMES).splitlines()
    assert lines[0].split() == ["class", "examples", "share", "weight", "weighted"]
    assert lines[1].split() == ["rare", "4", "20.0", "%", "2.500", "50.0", "%"]
    assert lines[2].split() == ["common", "16", "80.0", "%", "0.625", "50.0", "%"]
    assert len({len(line) for line in lines}) == 1


def test_table_of_nothing():
    assert "0.0 %" in table(np.array([], np.int64), np.zeros(2), NAMES)


@pytest.mark.parametrize("soft", [False, True])
def test_presented_shares_are_those_of_all_batches_of_all_epochs(soft: bool) -> None:
    labels = np.array([0] * 8 + [1] * 24 + [2] * 16)
    rng = np.random.default_rng(0)
    targets = rng.dirichlet(np.ones(3), len(labels)).astype(np.float32) if soft else None
    images = rng.integers(0, 256, (len(labels), 16, 16), np.uint8)
    train = Examples(labels, np.zeros(len(labels), "S16"), images=images, targets=targets)
    trainer = OmegaConf.create(
        {"epochs": 4, "class_weight": "balanced", "class_weight_epochs": 1, "label_smoothing": 0.1}
    )
    store = cache.open_store(train, Contract(16, 16), cache="memory", cache_dir="")
    batches = pipeline.training(
        store,
        labels,
        batch_size=16,
        seed=0,
        epochs=4,
        augmentation=pipeline.Augmentation(),
        class_weights=class_weights(labels, "balanced", ("a", "b", "c")),
        weighted_epochs=1,
        label_smoothing=0.1,
        targets=targets,
    )
    total = sum((targets * weights[:, None]).numpy().sum(axis=0) for _, targets, weights in batches)
    assert len(list(batches)) == 12
    np.testing.assert_allclose(presented(train, trainer, ("a", "b", "c")), total / total.sum(), atol=0.005)
