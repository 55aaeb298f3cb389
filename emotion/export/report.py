"""``report.md`` of an export: whether it equals its checkpoint, what it costs, how to use it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from emotion.base import files
from emotion.reports.markdown import table

_NAMES = {"litert": "LiteRT", "onnx": "ONNX", "saved_model": "SavedModel"}

_STANDALONE = {
    "litert": """from ai_edge_litert.interpreter import Interpreter

model = Interpreter("model.tflite")
classify = model.get_signature_runner("serving_default")
probabilities = classify(image=pictures)["probabilities"]""",
    "onnx": """import onnxruntime

model = onnxruntime.InferenceSession("model.onnx")
probabilities = model.run(["probabilities"], {"image": pictures})[0]""",
    "saved_model": """import tensorflow as tf

model = tf.saved_model.load("model/1")
probabilities = model.signatures["serving_default"](image=tf.constant(pictures))["probabilities"].numpy()""",
}


def write(folder: Path, report: Mapping[str, Any], contract: Mapping[str, Any]) -> None:
    """Write ``report.json`` and ``report.md``.

    Args:
        folder: The export's.
        report: See :func:`emotion.export.export`.
        contract: The fields of ``contract.json``.
    """
    files.write_json(folder / "report.json", report)
    files.write_text(folder / "report.md", _markdown(report, contract))


def summary(report: Mapping[str, Any]) -> str:
    """The figures as lines for the terminal."""
    lines = [f"{report['run']} as {report['name']}: {report['pictures']:,} pictures of the {report['compared_on']}"]
    lines += [f"  {name:<26}{value}" for name, value in _figures(report).items()]
    if report["moved"]:
        lines.append(f"  recall moved by more than 2 points: {', '.join(_moves(report))}")
    return "\n".join(lines)


def title(report: Mapping[str, Any]) -> str:
    """Such as ``LiteRT, int8``."""
    return f"{_NAMES[report['format']]}, {report['quantize'] or 'float32'}"


def _figures(report: Mapping[str, Any]) -> dict[str, str]:
    found = {"largest difference": f"{report['max_difference']:.2g} in a probability"}
    found["changed labels"] = f"{report['changed_labels']:,} of {report['pictures']:,}"
    if report["accuracy"]:
        before, after = report["accuracy"]["checkpoint"], report["accuracy"]["export"]
        found["accuracy"] = f"{100 * after:.2f} % (checkpoint {100 * before:.2f} %)"
    ratio = report["size_ratio"]
    found["size"] = f"{report['bytes'] / 1e6:.2f} MB" + (
        f" ({ratio:.2f} times the float32 LiteRT file)" if ratio else ""
    )
    times = report["latency_ms"]
    if times:
        beside = f" (float32 LiteRT {times['float32_litert']:.2f} ms)" if "float32_litert" in times else ""
        found["latency"] = f"{times['export']:.2f} ms{beside}, median, one picture, one thread"
    return found


def _moves(report: Mapping[str, Any]) -> list[str]:
    return [
        f"{name} ({100 * report['recall'][name]['checkpoint']:.1f} to {100 * report['recall'][name]['export']:.1f} %)"
        for name in report["moved"]
    ]


def _markdown(report: Mapping[str, Any], contract: Mapping[str, Any]) -> str:
    sections = [
        f"# {report['run']}: {title(report)}",
        _verdict(report),
        "## Beside the checkpoint\n\n" + _table(_figures(report)),
        *(["## Recall of each emotion\n\n" + _recall(report)] if report["recall"] else []),
        *(["## Use\n\n" + _use(report, contract)] if report["status"] == "done" else []),
        "## How it was made\n\n" + _table(_facts(report)) + f"\n\n```sh\n{report['command']}\n```",
    ]
    return "\n\n".join(sections) + "\n"


def _verdict(report: Mapping[str, Any]) -> str:
    tolerance = report["tolerance"]
    allowed = []
    if tolerance["probability"] is not None:
        allowed.append(f"no probability differs by more than {tolerance['probability']:g}")
    if tolerance["accuracy"] is not None:
        allowed.append(f"the accuracy differs by no more than {100 * tolerance['accuracy']:g} points")
    within = f"within the tolerance: {' and '.join(allowed)}"
    if report["status"] == "done":
        text = f"**Equal to the checkpoint** ({within})."
    else:
        text = (
            f"**Not equal to the checkpoint**, so the model was not kept ({within}): {'; '.join(report['failures'])}."
        )
    if report["compared_on"] == "drawn faces":
        text += (
            " The run's data is not at hand: the two were compared on drawn faces, and there is no accuracy to give."
        )
    if report["moved"]:
        text += f" Recall moved by more than 2 points: {', '.join(_moves(report))}."
    return text


def _recall(report: Mapping[str, Any]) -> str:
    rows = []
    for name, recall in report["recall"].items():
        before, after = recall["checkpoint"], recall["export"]
        known = before is not None and after is not None
        rows.append(
            {
                "Emotion": name,
                "Pictures": f"{recall['support']:,}",
                "Checkpoint": f"{100 * before:.1f} %" if known else None,
                "Export": f"{100 * after:.1f} %" if known else None,
                "Points": f"{100 * (after - before):+.1f}" if known else None,
            }
        )
    return table(rows, ["Emotion", "Pictures", "Checkpoint", "Export", "Points"])


def _use(report: Mapping[str, Any], contract: Mapping[str, Any]) -> str:
    channels = 1 if contract["colour"] == "gray" else 3
    shape = f"[N, {contract['height']}, {contract['width']}, {channels}]"
    colour = "grey" if channels == 1 else "red, green, blue"
    text = (
        f"Live: `{report['live']}`\n\n"
        f"Alone, where `pictures` is a uint8 array {shape} ({colour}), prepared as `contract.json` says, and each row "
        f"of the float32 result holds the probabilities of {', '.join(contract['labels'])}:\n\n"
        f"```python\n{_STANDALONE[report['format']]}\n```"
    )
    if report["format"] == "saved_model":
        text += "\n\nTensorFlow Serving: `--model_base_path` is the folder `model`; the signature is `serving_default`."
    return text


def _facts(report: Mapping[str, Any]) -> dict[str, str]:
    found = {
        "Run": report["run"],
        "Checkpoint": f"SHA-256 {report['checkpoint']['sha256'][:16]}",
        "Compared on": f"{report['pictures']:,} pictures: {report['compared_on']}",
        "Made": report["made"],
        "With": ", ".join(f"{name} {version}" for name, version in report["versions"].items()),
    }
    if report["data"]:
        found["Data"] = f"fingerprint {report['data'][:16]}"
    if report["calibration"]:
        found["Calibrated on"] = f"{report['calibration']['pictures']:,} pictures of the training split"
    return found


def _table(rows: Mapping[str, str]) -> str:
    return table([{"name": name, "value": value} for name, value in rows.items()], {"name": "", "value": ""})
