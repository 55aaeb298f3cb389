"""``report.md`` of an export: whether it equals its checkpoint, its size and latency, how to use it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from emotion.base import files
from emotion.faces.contract import Contract
from emotion.reports.markdown import facts_table, table

_NAMES = {"litert": "LiteRT", "onnx": "ONNX", "saved_model": "SavedModel"}

_STANDALONE = {
    "litert": """from ai_edge_litert.interpreter import Interpreter

model = Interpreter("model.tflite")
classify = model.get_signature_runner("serving_default")
probabilities = classify(image=images)["probabilities"]""",
    "onnx": """import onnxruntime

model = onnxruntime.InferenceSession("model.onnx")
probabilities = model.run(["probabilities"], {"image": images})[0]""",
    "saved_model": """import tensorflow as tf

model = tf.saved_model.load("model/1")
probabilities = model.signatures["serving_default"](image=tf.constant(images))["probabilities"].numpy()""",
}


def write(folder: Path, report: Mapping[str, Any], contract: Contract) -> None:
    """Write an export's ``report.json`` and ``report.md``; the report is what :func:`emotion.export.export` returns."""
    files.write_json(folder / "report.json", report)
    files.write_text(folder / "report.md", _markdown(report, contract))


def summary(report: Mapping[str, Any]) -> str:
    """The figures as lines for the terminal."""
    lines = [f"{report['run']} as {report['name']}: {report['pictures']:,} images ({report['compared_on']})"]
    lines += [f"  {name:<26}{value}" for name, value in _figures(report).items()]
    if report["moved"]:
        lines.append(f"  recall changed by more than 2 points: {_moves(report)}")
    return "\n".join(lines)


def _figures(report: Mapping[str, Any]) -> dict[str, str]:
    figures = {"largest difference": f"{report['max_difference']:.2g} in a probability"}
    share = 100 * report["changed_labels"] / report["pictures"]
    figures["changed labels"] = f"{report['changed_labels']:,} of {report['pictures']:,} ({share:.1f} %)"
    if report["accuracy"]:
        before, after = report["accuracy"]["checkpoint"], report["accuracy"]["export"]
        figures["accuracy"] = f"{100 * after:.2f} % (checkpoint {100 * before:.2f} %)"
    ratio, times = report["size_ratio"], report["latency_ms"]
    of_float32 = f" ({ratio:.2f} times the float32 LiteRT file)" if ratio else ""
    figures["size"] = f"{report['bytes'] / 1e6:.2f} MB{of_float32}"
    if times:
        of_float32 = f" (float32 LiteRT {times['float32_litert']:.2f} ms)" if "float32_litert" in times else ""
        figures["latency"] = f"{times['export']:.2f} ms{of_float32}, median, one image, one thread"
    return figures


def _moves(report: Mapping[str, Any]) -> str:
    recalls = ((name, report["recall"][name]) for name in report["moved"])
    return ", ".join(f"{name} ({100 * r['checkpoint']:.1f} to {100 * r['export']:.1f} %)" for name, r in recalls)


def _markdown(report: Mapping[str, Any], contract: Contract) -> str:
    sections = [
        f"# {report['run']}: {_NAMES[report['format']]}, {report['quantize'] or 'float32'}",
        _verdict(report),
        "## Compared with the checkpoint\n\n" + facts_table(_figures(report)),
        *(["## Recall per emotion\n\n" + _recall(report)] if report["recall"] else []),
        *(["## Use\n\n" + _use(report, contract)] if report["status"] == "done" else []),
        "## How it was made\n\n" + facts_table(_facts(report)) + f"\n\n```sh\n{report['command']}\n```",
    ]
    return "\n\n".join(sections) + "\n"


def _verdict(report: Mapping[str, Any]) -> str:
    tolerance = report["tolerance"]
    units = {
        "probability": (1, "in any probability"),
        "changed_labels": (100, "% of labels"),
        "accuracy": (100, "points of accuracy"),
    }
    given = [(tolerance[key], *unit) for key, unit in units.items() if tolerance[key] is not None]
    limits = [f"{factor * value:g} {unit}" for value, factor, unit in given]
    within = f"(tolerance: {', '.join(limits)})"
    if report["warnings"]:
        text = f"**Warning: it differs from the checkpoint and was accepted all the same** {within}: "
        text += f"{'; '.join(report['warnings'])}."
    elif report["status"] == "done":
        text = f"**Equal to the checkpoint** {within}."
    else:
        failures = "; ".join(report["failures"])
        text = f"**Not equal to the checkpoint** {within}; the model file was discarded: {failures}."
    if report["compared_on"] == "drawn faces":
        text += " The run's data is not available: the two were compared on drawn faces, so the accuracy is not known."
    return text + (f" Recall changed by more than 2 points: {_moves(report)}." if report["moved"] else "")


def _recall(report: Mapping[str, Any]) -> str:
    columns = ["Emotion", "Images", "Checkpoint", "Export", "Points"]
    rows = []
    for name, recall in report["recall"].items():
        before, after, cells = recall["checkpoint"], recall["export"], [name, f"{recall['support']:,}"]
        if before is not None and after is not None:
            cells += [f"{100 * before:.1f} %", f"{100 * after:.1f} %", f"{100 * (after - before):+.1f}"]
        rows.append(dict(zip(columns, cells, strict=False)))
    return table(rows, columns)


def _use(report: Mapping[str, Any], contract: Contract) -> str:
    colour = "grey" if contract.channels == 1 else "red, green, blue"
    text = (
        f"Live: `{report['live']}`\n\n"
        f"Without this package, where `images` is a uint8 array [N, {', '.join(map(str, contract.shape))}] ({colour}), "
        f"prepared as `contract.json` says, and each row of the float32 result holds the probabilities of "
        f"{', '.join(contract.labels)}:\n\n"
        f"```python\n{_STANDALONE[report['format']]}\n```"
    )
    if contract.target_prior is not None:
        text += (
            "\n\nThese are the network's own outputs. For the class prior that this export answers for, multiply them "
            "by `target_prior` / `prior` of `contract.json` and divide each row by its sum, as live video does."
        )
    if report["format"] == "saved_model":
        text += "\n\nTensorFlow Serving: `--model_base_path` is the folder `model`; the signature is `serving_default`."
    return text


def _facts(report: Mapping[str, Any]) -> dict[str, str]:
    facts = {
        "Run": report["run"],
        "Checkpoint": f"SHA-256 {report['checkpoint']['sha256'][:16]}",
        "Compared on": f"{report['pictures']:,} images: {report['compared_on']}",
        "Made": report["made"],
        "With": ", ".join(f"{name} {version}" for name, version in report["versions"].items()),
    }
    if report["data"]:
        facts["Data"] = f"fingerprint {report['data'][:16]}"
    if report["calibration"]:
        facts["Calibrated on"] = f"{report['calibration']['pictures']:,} images of the training split"
    return facts
