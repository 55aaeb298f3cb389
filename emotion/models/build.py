"""Building the Keras model of a config, and checking that it keeps the contract."""

from __future__ import annotations

import inspect
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import keras
from hydra.utils import get_method
from omegaconf import DictConfig, OmegaConf

from emotion.base.errors import UserError, did_you_mean
from emotion.base.progress import working
from emotion.config.rules import MODELS
from emotion.config.schema import Model
from emotion.faces.contract import Contract
from emotion.faces.labels import EMOTIONS

#: Keys of a model config that are read here and in training; all others are passed to the model's function.
SHARED_KEYS = {f.name for f in fields(Model)}


def contract_of(model: DictConfig, crop_margin: float, labels: tuple[str, ...] = EMOTIONS) -> Contract:
    """The contract of a model config."""
    size = int(model.input_size)
    return Contract(size, size, model.get("colour", "gray"), crop_margin, model.get("interpolation", "area"), labels)


@working("building the network")
def build(model: DictConfig, contract: Contract) -> keras.Model:
    """Call the function that ``model._target_`` names with the contract and the model's own keys.

    Raises:
        UserError: There is no such function, it does not take one of the keys, or its model does not keep the
            contract: uint8 ``[N, H, W, C]`` in, float32 ``[N, len(labels)]`` probabilities out.
    """
    target = model["_target_"]
    if target not in MODELS and (here := str(Path.cwd())) not in sys.path:
        sys.path.append(here)  # for a module beside the user, where Python was not started with -m
    try:
        function = get_method(target)
    except Exception as error:  # Hydra wraps all errors of the import
        cause = error.__cause__ or error
        raise UserError(f"model._target_: cannot import '{target}' ({cause}). It is <module>.<function>") from None
    own = OmegaConf.to_container(model, resolve=True)
    assert isinstance(own, dict)
    options = {str(k): v for k, v in own.items() if k not in SHARED_KEYS}
    _check_options(target, function, options)
    try:
        built = function(contract, **options)
    except UserError:
        raise
    except Exception as error:  # of the user's own function, or of Keras; the run's log has the traceback
        reason = (str(error).strip() or type(error).__name__).partition("\n")[0][:300]
        raise UserError(
            f"model._target_: {target} cannot build this model ({type(error).__name__}: {reason}); correct it, or its "
            f"settings under model"
        ) from error
    _check_contract(target, built, contract)
    return built


def _check_options(target: str, function: Any, options: dict[str, Any]) -> None:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        raise UserError(f"model._target_: {target} is no function that builds a model") from None
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return
    names = [p.name for p in parameters][1:]
    for key in options:
        if key not in names:
            raise UserError(f"model.{key}: {target} takes no '{key}'.{did_you_mean(key, names)} It takes: {names}")
    for p in parameters:
        if p.name in names and p.default is p.empty and p.name not in options:
            raise UserError(f"model.{p.name}: no value given, and {target} needs one. Set +model.{p.name}=...")


def _check_contract(target: str, built: Any, contract: Contract) -> None:
    if not isinstance(built, keras.Model):
        raise UserError(f"model._target_: {target} returned {type(built).__name__}, must return a keras.Model")
    expected_in, expected_out = (None, *contract.shape), (None, len(contract.labels))
    if len(built.inputs) != 1 or tuple(built.input_shape) != expected_in or built.inputs[0].dtype != "uint8":
        raise UserError(
            f"model._target_: {target} must take one uint8 input of shape {expected_in}; "
            f"begin it with emotion.models.blocks.normalised_input(contract)"
        )
    if tuple(built.output_shape) != expected_out or built.outputs[0].dtype != "float32":
        raise UserError(
            f"model._target_: {target} must return float32 probabilities of shape {expected_out}; "
            f"end it with emotion.models.blocks.head(x, contract)"
        )
