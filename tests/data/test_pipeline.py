import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from omegaconf import OmegaConf

from emotion.base.errors import UserError
from emotion.data.augment import Op
from emotion.data.cache import open_store
from emotion.data.examples import Examples
from emotion.data.pipeline import Augmentation, evaluation, grid, steps_per_epoch, training
from emotion.data.weights import class_weights
from emotion.faces.contract import Contract
from tests.conftest import REPOSITORY, compose

COUNT = 53
LABELS = np.random.default_rng(0).integers(0, 7, COUNT)
ONES = np.ones(7, np.float32)
PLAIN = Augmentation()


def number_pictures(size=8):
    """Each picture's pixels all say which one it is."""
    return np.broadcast_to(np.arange(COUNT, dtype=np.uint8)[:, None, None] * 4, (COUNT, size, size)).copy()


def store_of(images, cache="memory", cache_dir="."):
    colour = "gray" if images.ndim == 3 else "rgb"
    hashes = np.arange(len(images)).astype("S16")
    examples = Examples(np.zeros(len(images), np.int64), hashes, images=images)
    return open_store(examples, Contract(images.shape[1], images.shape[2], colour), cache=cache, cache_dir=cache_dir)


@pytest.fixture(scope="module")
def store():
    return store_of(number_pictures())


@pytest.fixture(scope="module")
def noise():
    return store_of(np.random.default_rng(1).integers(0, 256, (COUNT, 12, 12, 3)).astype(np.uint8))


@pytest.fixture(scope="module")
def strong():
    """Everything that is random, at once."""
    cfg = compose("train", "augmentation=strong", "augmentation.cutmix=1.0", "augmentation.mix_probability=0.8")
    return Augmentation.from_config(cfg.augmentation)


def batches(store, augmentation=PLAIN, weights=ONES, **options):
    options = {"batch_size": 8, "seed": 5, "epochs": 3} | options
    dataset = training(store, LABELS, augmentation=augmentation, class_weights=weights, **options)
    return [tuple(part.numpy() for part in batch) for batch in dataset]


def assert_equal(left, right):
    assert len(left) == len(right)
    for a, b in zip(left, right, strict=True):
        for x, y in zip(a, b, strict=True):
            np.testing.assert_array_equal(x, y)


def rows_of(batch):
    return batch[0][:, 0, 0, 0] // 4


# -------------------------------------------------------------------------------------------------------- determinism


@pytest.fixture(scope="module")
def expected(noise, strong):
    result = batches(noise, strong, threads=1)
    assert len(result) == 3 * (COUNT // 8)
    return result


@pytest.mark.slow
@pytest.mark.parametrize("threads", [1, 2, 4, None])
def test_the_number_of_threads_changes_nothing(noise, strong, expected, threads):
    assert_equal(batches(noise, strong, threads=threads), expected)


@pytest.mark.slow
@pytest.mark.parametrize("start", [1, 2])
def test_starting_later_gives_the_same_epochs(noise, strong, expected, start):
    assert_equal(batches(noise, strong, start_epoch=start), expected[start * (COUNT // 8) :])


@pytest.mark.slow
def test_more_epochs_do_not_change_the_first(noise, strong, expected):
    assert_equal(batches(noise, strong, epochs=4)[: 3 * (COUNT // 8)], expected)


@pytest.mark.slow
def test_seeds_epochs_and_steps_differ(strong):
    same = store_of(np.repeat(np.random.default_rng(1).integers(0, 256, (1, 12, 12)).astype(np.uint8), COUNT, axis=0))
    unmixed = Augmentation(ops=strong.ops)
    drawn = [b[0].tobytes() for seed in (5, 6) for b in batches(same, unmixed, seed=seed)]
    assert len(set(drawn)) == len(drawn)


@pytest.mark.slow
@pytest.mark.parametrize("cache", ["disk", "none"])
def test_caches_give_equal_batches(strong, expected, cache, tmp_path):
    images = np.random.default_rng(1).integers(0, 256, (COUNT, 12, 12, 3)).astype(np.uint8)
    other = store_of(images, cache, tmp_path)
    assert_equal(batches(other, strong), expected)


@pytest.mark.slow
@pytest.mark.parametrize("cache", ["memory", "none"])
def test_op_determinism_is_met(strong, expected, cache):
    """TensorFlow would refuse, or run one after the other, what it takes for random or stateful."""
    images = np.random.default_rng(1).integers(0, 256, (COUNT, 12, 12, 3)).astype(np.uint8)
    tf.config.experimental.enable_op_determinism()
    try:
        assert_equal(batches(store_of(images, cache), strong), expected)
    finally:
        # There is no public way back, and the other tests need none of it.
        from tensorflow.python.framework import config

        config.disable_op_determinism()


# --------------------------------------------------------------------------------------------------------------- order


def test_every_example_at_most_once_an_epoch_and_another_remainder_each_time(store):
    steps = COUNT // 8
    result = batches(store, epochs=6)
    left_out, orders = set(), set()
    for epoch in range(6):
        rows = np.concatenate([rows_of(b) for b in result[epoch * steps : (epoch + 1) * steps]])
        assert len(rows) == len(set(rows)) == steps * 8
        left_out.add(frozenset(set(range(COUNT)) - set(rows.tolist())))
        orders.add(tuple(rows))
    assert len(orders) == len(left_out) == 6
    assert all(len(rest) == COUNT - steps * 8 for rest in left_out)


def test_order_is_uniform(store):
    first = [rows_of(b)[0] for b in batches(store, epochs=400, batch_size=50)]
    assert np.bincount(first, minlength=COUNT).max() < 25  # 7.5 expected


def test_labels_belong_to_their_pictures(store):
    for batch in batches(store):
        np.testing.assert_array_equal(batch[1].argmax(axis=1), LABELS[rows_of(batch)])
        np.testing.assert_array_equal(batch[1].sum(axis=1), np.ones(8))


@pytest.mark.slow
def test_shapes_and_types_are_known_before_any_batch(noise, strong):
    dataset = training(noise, LABELS, batch_size=8, seed=0, epochs=1, augmentation=strong, class_weights=ONES)
    pictures, targets, weights = dataset.element_spec
    assert (pictures.shape, pictures.dtype) == ((8, 12, 12, 3), tf.uint8)
    assert (targets.shape, targets.dtype) == ((8, 7), tf.float32)
    assert (weights.shape, weights.dtype) == ((8,), tf.float32)


def test_fewer_examples_than_a_batch():
    assert steps_per_epoch(53, 8) == 6
    with pytest.raises(UserError, match=r"trainer.batch_size: 64 is more than the 53 .* Set trainer.batch_size=53"):
        steps_per_epoch(53, 64)


# ------------------------------------------------------------------------------------------------- mixing and weighing


def test_the_last_epochs_are_not_mixed(store):
    mixing = Augmentation(mixup=5.0, unmixed_epochs=2)
    hard = [bool((b[1].max(axis=1) == 1).all()) for b in batches(store, mixing, epochs=4)]
    steps = COUNT // 8
    assert hard[2 * steps :] == [True] * 2 * steps
    assert not all(hard[:steps])
    assert not all(hard[steps : 2 * steps])


def test_weights_by_hand_without_mixing(store):
    weights = class_weights(LABELS, "balanced")
    for batch in batches(store, weights=weights, label_smoothing=0.1):
        np.testing.assert_array_equal(batch[2], weights[LABELS[rows_of(batch)]])


def test_targets_and_weights_by_hand_with_mixup_and_smoothing():
    # Two examples, class 0 all black and class 1 all white: a mixed picture's grey is its share of class 1.
    pair = store_of(np.stack([np.zeros((8, 8), np.uint8), np.full((8, 8), 255, np.uint8)]))
    weights = np.array([2.0, 0.5, 9.0], np.float32)
    dataset = training(
        pair,
        np.array([0, 1]),
        batch_size=2,
        seed=0,
        epochs=20,
        augmentation=Augmentation(mixup=1.0),
        class_weights=weights,
        label_smoothing=0.3,
    )
    greys = []
    for pictures, targets, sample_weights in dataset.as_numpy_iterator():
        share = pictures[:, 0, 0, 0] / 255
        greys.extend(share)
        mixed = np.stack([1 - share, share, np.zeros(2)], axis=1)
        np.testing.assert_allclose(targets, 0.7 * mixed + 0.1, atol=0.003)
        np.testing.assert_allclose(sample_weights, 2.0 * (1 - share) + 0.5 * share, atol=0.006)
    assert np.mean((np.array(greys) > 0.25) & (np.array(greys) < 0.75)) > 0.1


def test_class_weights_count_in_the_last_epochs_alone():
    store = store_of(np.zeros((4, 8, 8), np.uint8))
    dataset = training(
        store,
        np.array([0, 0, 1, 1]),
        batch_size=4,
        seed=0,
        epochs=5,
        start_epoch=1,
        augmentation=PLAIN,
        class_weights=np.array([3.0, 0.5]),
        weighted_epochs=2,
    )
    found = [sorted(weights) for _, _, weights in dataset.as_numpy_iterator()]
    assert found == [[1, 1, 1, 1]] * 2 + [[0.5, 0.5, 3, 3]] * 2


@pytest.mark.slow
def test_targets_by_hand_with_cutmix():
    pair = store_of(np.stack([np.zeros((8, 8), np.uint8), np.full((8, 8), 255, np.uint8)]))
    dataset = training(
        pair,
        np.array([0, 1]),
        batch_size=2,
        seed=0,
        epochs=20,
        augmentation=Augmentation(cutmix=1.0),
        class_weights=np.array([3.0, 1.0]),
    )
    for pictures, targets, sample_weights in dataset.as_numpy_iterator():
        white = (pictures == 255).mean(axis=(1, 2, 3))
        np.testing.assert_allclose(targets, np.stack([1 - white, white], axis=1), atol=1e-6)
        np.testing.assert_allclose(sample_weights, 3 * (1 - white) + white, atol=1e-6)


# -------------------------------------------------------------------------------------------------------------- config


@pytest.mark.slow
@pytest.mark.parametrize("name", ["none", "light", "standard", "strong"])
def test_every_augmentation_config_can_be_read_and_run(name, noise):
    augmentation = Augmentation.from_config(compose("train", f"augmentation={name}").augmentation)
    assert [op.name for op in augmentation.ops][:1] == ([] if name == "none" else ["flip"])
    assert augmentation.mixup == (0.2 if name == "strong" else 0)
    assert len(batches(noise, augmentation, epochs=1)) == COUNT // 8


def test_defaults_are_filled_in():
    cfg = OmegaConf.create(
        {"ops": [{"rotate": {"degrees": 4}}], "mixup": 0, "cutmix": 0, "mix_probability": 1, "unmixed_epochs": 0}
    )
    assert Augmentation.from_config(cfg).ops == (Op("rotate", {"degrees": 4, "probability": 1.0}),)


# ---------------------------------------------------------------------------------------------------------- evaluation


@pytest.mark.parametrize("cache", ["memory", "disk", "none"])
def test_evaluation_gives_everything_in_order(cache, tmp_path):
    store = store_of(number_pictures(), cache, tmp_path)
    result = [tuple(p.numpy() for p in b) for b in evaluation(store, LABELS, batch_size=10, classes=7, threads=2)]
    assert [len(b[0]) for b in result] == [10, 10, 10, 10, 10, 3]
    np.testing.assert_array_equal(np.concatenate([rows_of(b) for b in result]), np.arange(COUNT))
    np.testing.assert_array_equal(np.concatenate([b[1] for b in result]), np.eye(7)[LABELS])
    np.testing.assert_array_equal(np.concatenate([b[2] for b in result]), np.ones(COUNT))


def test_evaluation_without_labels_gives_pictures(store):
    result = np.concatenate(list(evaluation(store, batch_size=10).as_numpy_iterator()))
    np.testing.assert_array_equal(result, store.read(np.arange(COUNT)))


# ---------------------------------------------------------------------------------------------------------------- grid


@pytest.mark.slow
def test_grid_shows_every_class_and_the_original_first(noise, strong):
    pictures = grid(noise, LABELS, strong, seed=0, count=7, variants=4)
    assert (pictures.shape, pictures.dtype) == ((7, 5, 12, 12, 3), np.uint8)
    everything = noise.read(np.arange(COUNT))
    shown = [int(np.flatnonzero((everything == row[0]).all(axis=(1, 2, 3)))[0]) for row in pictures]
    assert sorted(LABELS[shown]) == list(range(7))
    assert len(np.unique(pictures[0].reshape(5, -1), axis=0)) == 5
    np.testing.assert_array_equal(pictures, grid(noise, LABELS, strong, seed=0, count=7, variants=4))


def test_grid_of_few_examples():
    few = store_of(number_pictures()[:3])
    assert grid(few, np.array([1, 1, 2]), PLAIN, seed=0).shape == (3, 8, 8, 8, 1)


# --------------------------------------------------------------------------------------------------------------- Keras


@pytest.mark.slow
def test_keras_takes_one_iterator_through_all_epochs(store):
    import keras

    seen = []

    class Watch(keras.Model):
        def call(self, pictures):
            return tf.reduce_mean(tf.cast(pictures, tf.float32), axis=[1, 2])

        def train_step(self, data):
            first = data[0][:, 0, 0, 0]
            count = tf.numpy_function(lambda p: seen.extend((p // 4).tolist()) or len(seen), [first], tf.int64)
            return {"loss": tf.ensure_shape(count, [])}

    model = Watch()
    model.compile()
    dataset = training(store, LABELS, batch_size=8, seed=5, epochs=3, augmentation=PLAIN, class_weights=ONES)
    model.fit(dataset, epochs=3, steps_per_epoch=steps_per_epoch(COUNT, 8), shuffle=False, verbose=0)
    assert seen == [int(row) for batch in batches(store) for row in rows_of(batch)]


MEMORY = """
import gc
import numpy as np
import psutil
from tests.data.test_pipeline import ONES, PLAIN, store_of, training

process = psutil.Process()
before = process.memory_info().rss
megabytes = 300  # much more than what TensorFlow itself may take meanwhile
held = store_of(np.broadcast_to(np.ones((256, 256), np.uint8), (megabytes * 16, 256, 256)))
labels = np.zeros(len(held), np.int64)
dataset = training(held, labels, batch_size=4, seed=0, epochs=1, augmentation=PLAIN, class_weights=ONES, threads=1)
for _ in dataset.take(20):
    pass
used = process.memory_info().rss
del held, dataset
gc.collect()
print((used - before) / 2**20 / megabytes, (process.memory_info().rss - before) / 2**20 / megabytes)
"""


@pytest.mark.slow
def test_pictures_in_memory_are_held_once_and_given_back():
    """In a process of its own, where nothing else takes memory or gives it back."""
    done = subprocess.run([sys.executable, "-c", MEMORY], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    used, left = (float(share) for share in done.stdout.split())
    assert 1.0 <= used < 1.5, "one copy"
    assert left < 0.5
