"""Models keep the contract, load without our code, and other people's fit in."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from omegaconf import OmegaConf

from emotion.base.errors import UserError
from tests.conftest import compose

keras = pytest.importorskip("keras")
from emotion.models import cost  # noqa: E402
from emotion.models.build import build, contract_of  # noqa: E402
from tests.helpers.tiers import rest_nightly  # noqa: E402


def made(*overrides: str) -> Any:
    cfg = compose("train", *overrides).model
    return build(cfg, contract_of(cfg, 0.0))


_MOBILENET = ("model=mobilenet_v2", "model.weights=null", "model.alpha=0.35")


@pytest.mark.slow
@pytest.mark.parametrize(
    "overrides",
    [
        ["model=cnn"],
        ["model=cnn", "model.colour=rgb", "model.residual=true", "model.squeeze_excitation=true"],
        ["model=cnn", "model.stages=[64,128,256,512]", "model.stage_dropout=0.1", "model.activation=silu"],
        pytest.param([*_MOBILENET], marks=pytest.mark.slow),
        pytest.param([*_MOBILENET, "model.colour=rgb", "model.input_size=64"], marks=pytest.mark.slow),
    ],
    ids=" ".join,
)
def test_uint8_in_probabilities_out(overrides: list[str]) -> None:
    model = made(*overrides)
    shape = model.input_shape[1:]
    pictures = np.random.default_rng(0).integers(0, 256, (3, *shape), dtype=np.uint8)
    probabilities = model.predict(pictures, verbose=0)
    assert probabilities.shape == (3, 7)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-5)
    assert model.count_params() < 5_000_000


@pytest.mark.slow
def test_normalisation_is_inside() -> None:
    model = made("model=cnn", "model.stages=[8]")
    middle = keras.Model(model.input, model.get_layer("normalise").output)
    out = middle.predict(np.array([0, 255], np.uint8).reshape(2, 1, 1, 1).repeat(48, 1).repeat(48, 2), verbose=0)
    assert out[0].min() == out[0].max() == -1
    assert out[1].min() == out[1].max() == 1


@pytest.mark.slow
def test_grey_is_repeated_for_a_backbone_with_three_channels() -> None:
    model = made("model=mobilenet_v2", "model.weights=null", "model.alpha=0.35", "model.input_size=32")
    assert model.input_shape == (None, 32, 32, 1)
    assert model.get_layer("backbone").input_shape == (None, 32, 32, 3)


@pytest.mark.slow
@pytest.mark.parametrize(
    "overrides", rest_nightly([["model=cnn", "model.residual=true"], ["model=mobilenet_v2", "model.alpha=0.35"]])
)
def test_a_checkpoint_loads_in_safe_mode_without_our_code(overrides: list[str], tmp_path: Path) -> None:
    model = made(*overrides, *(["model.weights=null"] if "mobilenet" in overrides[0] else []))
    model.save(tmp_path / "model.keras")
    pictures = np.zeros((1, *model.input_shape[1:]), np.uint8)
    np.save(tmp_path / "expected.npy", model.predict(pictures, verbose=0))
    script = (
        "import sys; sys.modules['emotion'] = None\n"  # importing it would raise
        "import keras, numpy as np\n"
        "model = keras.saving.load_model('model.keras', compile=False, safe_mode=True)\n"
        "found = model.predict(np.zeros((1, *model.input_shape[1:]), np.uint8), verbose=0)\n"
        "np.testing.assert_allclose(found, np.load('expected.npy'), atol=1e-6)\n"
    )
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True, capture_output=True)


_MINE = """
import keras
from emotion.models.blocks import head, normalised_input

def build(contract, width=8):
    inputs, x = normalised_input(contract)
    x = keras.layers.Conv2D(width, 3, strides=4)(x)
    return keras.Model(inputs, head(keras.layers.GlobalAveragePooling2D()(x), contract))

def logits(contract):
    inputs, x = normalised_input(contract)
    return keras.Model(inputs, keras.layers.Dense(7, activation="softmax")(keras.layers.Flatten()(x))[:, :3])

def floats(contract):
    inputs = keras.Input(contract.shape)
    return keras.Model(inputs, head(keras.layers.Flatten()(inputs), contract))

number = 7
needy = lambda contract, depth: None
failing = lambda contract: keras.layers.Dense(-1)
nothing = lambda contract: None
anything = lambda contract, **options: build(contract)
"""


def test_a_users_own_model_needs_no_change_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_models.py").write_text(_MINE)
    monkeypatch.syspath_prepend(tmp_path)
    mine = OmegaConf.create({"_target_": "my_models.build", "name": "mine", "input_size": 32, "width": 4})
    model = build(mine, contract_of(mine, 0.0))
    assert model.input_shape == (None, 32, 32, 1)
    changes: list[tuple[dict[str, Any], str]] = [
        ({"widht": 4}, "model.widht: my_models.build takes no 'widht'. Did you mean 'width'"),
        ({"_target_": "my_models.bild"}, "cannot import 'my_models.bild'"),
        ({"_target_": "no_such_module.build"}, "cannot import 'no_such_module.build'"),
        ({"_target_": "my_models.logits", "width": None}, "float32 probabilities of shape"),
        ({"_target_": "my_models.floats", "width": None}, "one uint8 input"),
        ({"_target_": "my_models.number"}, "cannot import 'my_models.number' (Located non-callable"),
        ({"_target_": "my_models.needy", "width": None}, "model.depth: no value given, and my_models.needy needs one"),
        ({"_target_": "my_models.failing", "width": None}, "my_models.failing cannot build this model (ValueError: "),
        ({"_target_": "my_models.nothing", "width": None}, "my_models.nothing returned NoneType, must return a keras"),
    ]
    for change, said in changes:
        wrong = OmegaConf.create({k: v for k, v in (dict(mine) | change).items() if v is not None})
        with pytest.raises(UserError) as caught:
            build(wrong, contract_of(wrong, 0.0))
        assert said in str(caught.value)
    takes_all = OmegaConf.create({**mine, "_target_": "my_models.anything", "what": "ever"})
    assert build(takes_all, contract_of(takes_all, 0.0)).input_shape == model.input_shape


@pytest.mark.parametrize("number", [1, 2])
def test_a_module_of_one_test_is_not_read_by_another(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "of_a_test.py").write_text(f"number = {number}\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert importlib.import_module("of_a_test").number == number


@pytest.mark.slow
def test_weights_from_a_file(shared: Path) -> None:
    path = next((shared / "weights").glob("mobilenet_v2_weights_*0.35*"))
    loaded = made("model=mobilenet_v2", "model.alpha=0.35", f"model.weights={path}")
    again = made("model=mobilenet_v2", "model.alpha=0.35", f"model.weights={path}")
    kernel = loaded.get_layer("backbone").get_weights()[0]
    np.testing.assert_array_equal(kernel, again.get_layer("backbone").get_weights()[0])
    with pytest.raises(UserError, match=r"does not fit MobileNetV2 with alpha=1\.0"):
        made("model=mobilenet_v2", "model.alpha=1.0", f"model.weights={path}")


@pytest.mark.slow
def test_missing_weights_say_where_to_put_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"model\.weights: no such file 'nowhere\.h5'"):
        made("model=mobilenet_v2", "model.weights=nowhere.h5")
    with pytest.raises(UserError, match=r"model\.alpha: there are ImageNet weights for 0\.35"):
        made("model=mobilenet_v2", "model.alpha=0.4")

    def no_network(*_: object, **__: object) -> None:
        raise Exception("URL fetch failure: [Errno -3] Temporary failure in name resolution")

    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(keras.utils, "get_file", no_network)
    with pytest.raises(UserError) as caught:
        made("model=mobilenet_v2", "model.weights=imagenet")
    assert "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_96_no_top.h5" in str(caught.value)
    assert str(tmp_path / "models") in str(caught.value)


@pytest.mark.slow
def test_mobilenet_s_statistics_follow_within_an_epoch_of_a_small_dataset() -> None:
    backbone = made("model=mobilenet_v2", "model.weights=null", "model.alpha=0.35").get_layer("backbone")
    norms = [layer for layer in backbone.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert norms
    # 0.999, as Keras has it, leaves a third of the old statistics after a thousand steps.
    assert all(layer.momentum**50 < 0.01 for layer in norms)


@pytest.mark.slow
def test_a_stem_of_stride_two_halves_every_map() -> None:
    plain = made("model=cnn_small", "model.residual=true")
    strided = made("model=cnn_small", "model.residual=true", "model.stem_stride=2")
    assert plain.get_layer("stage1_out").output.shape[1:3] == (48, 48)
    assert strided.get_layer("stage1_out").output.shape[1:3] == (24, 24)
    assert strided.count_params() == plain.count_params()


@pytest.mark.slow
def test_separable_convolutions_cost_an_eighth() -> None:
    plain, separable = made("model=cnn"), made("model=cnn", "model.separable=true")
    assert separable.get_layer("stage1_conv1").kernel.shape == (3, 3, 1, 32), "of one channel, nothing to separate"
    assert separable.get_layer("stage3_conv2").kernel.shape == (1, 1, 128, 128)
    assert 0.1 < cost.multiply_adds(separable) / cost.multiply_adds(plain) < 0.15
