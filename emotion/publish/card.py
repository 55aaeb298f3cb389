"""The model card of a published run: Mitchell et al. 2019, "Model Cards for Model Reporting".

Every figure is read from the run's own files. What the cards of all runs share is about the task and its data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from emotion.base import files
from emotion.faces.contract import Contract
from emotion.inference import report
from emotion.publish import words
from emotion.publish.failures import Outcome
from emotion.reports import markdown
from emotion.runs import RunRecord

MODEL_FILES = ("checkpoints/best.keras", "model.tflite")


@dataclass(frozen=True)
class Subject:
    """A run's files, as a card tells of them.

    Attributes:
        name: Of the folder.
        record: ``run.json``.
        config: ``config.yaml``.
        contract: ``contract.json``.
        scores: ``metrics.json``, the splits alone.
        sizes: Bytes of each model file, by its path in the run's folder.
        hashes: SHA-256 of each file of the folder but the card.
        outcomes: What it said of drawn faces; None where it was not asked.
        picture: The picture of these, in the folder.
        hardware: What it was trained on, in the words of whoever publishes it.
    """

    name: str
    record: RunRecord
    config: DictConfig
    contract: Contract
    scores: Mapping[str, Mapping[str, Any]]
    sizes: Mapping[str, int]
    hashes: Mapping[str, str]
    outcomes: Sequence[Outcome] | None = None
    picture: str | None = None
    hardware: str | None = None


def write(path: Path, subject: Subject) -> None:
    """Write the card as Markdown."""
    files.write_text(path, text(subject))


def text(subject: Subject) -> str:
    """The card as Markdown, with the sections that Mitchell et al. propose."""
    split = report.HEADLINE_SPLIT if report.HEADLINE_SPLIT in subject.scores else list(subject.scores)[-1]
    score = subject.scores[split]
    terms = words.terms(_dataset(subject))
    sections = [
        f"# {markdown.plain(subject.name)}",
        _opening(subject, split, score),
        "## What it is\n\n" + _table(_facts(subject)),
        "## Intended use, and misuse\n\n" + words.USE,
        "## Data and its licence terms\n\n" + _data(subject, terms),
        "## Scores\n\n" + _scores(subject, split, score),
        "## Known failures\n\n" + _failures(subject, split, score),
        "## What was not measured\n\n" + words.UNMEASURED + f"\n- **The people in the data.** {terms.people}",
        "## How it was trained\n\n" + _training(subject),
        "## Files\n\n" + _files(subject),
    ]
    return "\n\n".join(sections) + "\n"


def _opening(subject: Subject, split: str, score: Mapping[str, Any]) -> str:
    labels = ", ".join(subject.contract.labels[:-1]) + " or " + subject.contract.labels[-1]
    accuracy, macro = report.percent(score["accuracy"]), report.percent(score["macro_f1"])
    return (
        f"Labels a picture of one face as {markdown.plain(labels)}. On the {markdown.plain(split)} split of "
        f"{markdown.plain(_data_name(subject))}, {score['n']:,} pictures: **accuracy {accuracy}, macro-F1 {macro}**. "
        f"It labels expressions as people labelled pictures; it does not know what anybody feels."
    )


def _facts(subject: Subject) -> dict[str, str]:
    contract, record, model = subject.contract, subject.record, subject.config.model
    colour = "grey" if contract.channels == 1 else "red, green, blue"
    half = record.published.get("half")
    size = ", ".join(f"`{name}` {bytes_ / 1e6:.2f} MB" for name, bytes_ in subject.sizes.items())
    latency, adds = record.efficiency.get("latency_ms"), record.efficiency.get("multiply_adds")
    found = {
        "Input": f"uint8 [N, {contract.height}, {contract.width}, {contract.channels}] ({colour}): a face, cut out as "
        f"the face detector frames it with {100 * contract.crop_margin:g} % of its box added on each side, resized "
        f"({contract.interpolation}). The rescaling is inside the network",
        "Output": f"float32 [N, {len(contract.labels)}]: probabilities of {', '.join(contract.labels)}",
        "Calibration": _calibration(contract),
        "Network": _settings(model, ("_target_", "input_size", "colour", "interpolation")),
        "Parameters": f"{record.parameters:,}" if record.parameters is not None else "not recorded",
        "Multiply-adds": f"{adds / 1e6:.1f} million a picture" if adds else "not recorded",
        "Latency": f"{latency:.2f} ms a picture on one thread (LiteRT, median), measured when "
        f"{'its weights were rounded' if half else 'the run was made'}"
        if latency
        else "not recorded",
        "Files": size or "none here: this is a summary of the run",
    }
    if half:
        found["Rounding"] = (
            f"the kernels are rounded to float16. On {half['pictures']:,} validation pictures no probability of "
            f"`best.keras` moved by more than {half['keras']:.2g}, none of `model.tflite` by more than "
            f"{half['litert']:.2g}. The scores below are the rounded network's"
        )
    return found


def _calibration(contract: Contract) -> str:
    if contract.temperature == 1:
        return "none: the network's own probabilities"
    return (
        f"the logits are divided by {contract.temperature:.3f} (`contract.json`), fitted on validation; live video and "
        f"evaluation do so, other users of the files have to"
    )


def _data(subject: Subject, terms: words.Terms) -> str:
    rows = {"Source": terms.source, "Licence terms": terms.licence}
    weights = OmegaConf.select(subject.config, "model.weights")
    if weights is not None:
        rows["Weights at the start"] = words.IMAGENET if weights == "imagenet" else f"Those of the file `{weights}`."
    return _table(rows) + f"\n\n**Label noise.** {terms.labels}\n\n**Repeated pictures.** {terms.repeats}"


def _scores(subject: Subject, split: str, score: Mapping[str, Any]) -> str:
    parts = [report.score_table(subject.scores), _reading(split, score)]
    if "agreement" in score:
        parts.append(report.agreement_table(subject.scores))
    parts += [f"Each emotion, {markdown.plain(split)} split:", report.class_table(score["per_class"])]
    for caption, name in (("Confusion matrix", "confusion_matrix.png"), ("Reliability", "reliability.png")):
        if name in subject.hashes:
            parts.append(f"![{caption}]({name})")
    return "\n\n".join(parts)


def _reading(split: str, score: Mapping[str, Any]) -> str:
    words = []
    if score["bootstrap"]:
        words.append(
            f"In parentheses 95 % bootstrap intervals over the pictures ({score['bootstrap']:,} resamples); another "
            f"training seed would move the figures too."
        )
    clean = score.get("leak_free")
    if clean and clean["excluded"]:
        words.append(
            f"Leak-free leaves out the {clean['excluded']:,} {split} pictures that are pixel-identical to a training "
            f"or validation picture."
        )
    elif clean:
        words.append(f"No {split} picture is pixel-identical to a training or validation picture.")
    elif split == report.HEADLINE_SPLIT:
        words.append("Whether test pictures are among the training pictures is not known.")
    words.append("The validation split chose the checkpoint, so its figures flatter.")
    return " ".join(words)


def _failures(subject: Subject, split: str, score: Mapping[str, Any]) -> str:
    classes = [(name, entry) for name, entry in score["per_class"].items() if entry["recall"]["value"] is not None]
    weakest = sorted(classes, key=lambda item: item[1]["recall"]["value"])[:2]
    rarest = min(classes, key=lambda item: item[1]["support"])
    missed = ", then ".join(
        f"{markdown.plain(name)} (recall {report.percent(entry['recall'])}, {entry['support']:,} pictures)"
        for name, entry in weakest
    )
    lines = [
        f"- It misses most {missed}.",
        f"- The rarest emotion of the {markdown.plain(split)} split is {markdown.plain(rarest[0])}, "
        f"{rarest[1]['support']:,} pictures of {score['n']:,}: its figures are the least certain.",
    ]
    lines.append(
        f"- Its confidence is off by {report.percent(score['expected_calibration_error'])} on average (expected "
        f"calibration error)."
    )
    parts = ["\n".join(lines), "Most often confused:", report.confusions(score)]
    contract = subject.contract
    parts.append(
        f"A face of fewer than {contract.height} pixels is enlarged to {contract.width}x{contract.height}, which "
        f"brings back no detail."
    )
    if subject.outcomes:
        parts += [_drawn(subject.outcomes)]
        if subject.picture:
            parts.append(f"![Drawn faces in hard conditions, and what this model said of them]({subject.picture})")
    return "\n\n".join(parts)


def _drawn(outcomes: Sequence[Outcome]) -> str:
    rows = [
        {
            "Drawn faces": outcome.condition.name,
            "What is done": outcome.condition.meaning,
            "Right": f"{outcome.right} of {outcome.faces}",
            "Same answer as in plain view": f"{outcome.same} of {outcome.faces}",
        }
        for outcome in outcomes
    ]
    return markdown.table(rows, list(rows[0])) + (
        "\n\nThe faces are drawn by this project, and nobody's. They show which conditions change this model's answer, "
        "not how often it errs on real faces: a drawing's expression is not one that the model was trained on, unless "
        "it was trained on drawings."
    )


def _training(subject: Subject) -> str:
    record, config = subject.record, subject.config
    counts = record.data.get("counts") or {}
    trainer, seconds = config.get("trainer"), record.training_seconds
    best, epochs = record.best_epoch, record.epoch
    rows = {
        "Data": f"{_data_name(subject)}, fingerprint {str(record.pixels or '')[:16]}",
        "Pictures": ", ".join(f"{sum(by.values()):,} {split}" for split, by in counts.items()),
        "Training": _settings(trainer, ("bootstrap", "threads", "deterministic", "strategy"))
        if trainer
        else "not by this project",
        "Augmentation": _augmentation(config.get("augmentation")),
        "Seed": str(record.seed),
        "Epochs": f"{epochs}; the best was {best}, by {trainer.monitor}" if epochs and trainer else "",
        "Changed on the way": record.changes,
        "Time": f"{seconds / 60:.0f} minutes of training" if seconds else "",
        "Hardware": subject.hardware or "not recorded",
        "Taught by": ", ".join(teacher["run"] for teacher in record.teachers),
        "Adopted": ", ".join(f"{k} {v}" for k, v in record.adopted.items() if isinstance(v, str)),
        "Code": record.code or "emotion of unknown version",
        "Versions": ", ".join(f"{name} {version}" for name, version in record.versions.items()),
        "Finished": record.finished or "",
    }
    made = _table({key: value for key, value in rows.items() if value})
    return f"{made}\n\nThe exact command, its folders left out:\n\n```sh\n{record.command or 'not recorded'}\n```" + (
        "\n\n![Training history](history.png)" if "history.png" in subject.hashes else ""
    )


def _files(subject: Subject) -> str:
    rows = [{"File": f"`{name}`", "SHA-256": f"`{digest}`"} for name, digest in subject.hashes.items()]
    use = (
        "`python -m emotion.live run=<this folder>` runs it; `python -m emotion.evaluate run=<this folder> "
        "dataset=... dataset.root=...` scores it on your data. `best.keras` loads in Keras's safe mode, `model.tflite` "
        "in LiteRT; both bring no code of their own.\n\n"
        if subject.sizes
        else "The model's own files are not here.\n\n"
    )
    return use + markdown.table(rows, ["File", "SHA-256"])


def _dataset(subject: Subject) -> str:
    return str(OmegaConf.select(subject.config, "dataset.name") or "folder")


def _data_name(subject: Subject) -> str:
    data = subject.record.data
    return str(data.get("recognised") or data.get("dataset") or _dataset(subject))


def _settings(group: Any, without: Sequence[str]) -> str:
    """A config group in one line: its name, then what it sets; null values are left out."""
    content: Any = OmegaConf.to_container(group, resolve=True)
    name = content.pop("name", None)
    shown = [f"{key} {_value(value)}" for key, value in content.items() if key not in without and value is not None]
    return ", ".join([*([str(name)] if name else []), *shown])


def _value(value: Any) -> str:
    return (
        "-".join(map(str, value))
        if isinstance(value, list)
        else str(value).lower()
        if isinstance(value, bool)
        else str(value)
    )


def _augmentation(group: Any) -> str:
    if group is None:
        return ""
    ops = [next(iter(op)) for op in group.get("ops") or []]
    mixed = [f"{key} {group[key]:g}" for key in ("mixup", "cutmix") if group.get(key)]
    return ", ".join([*map(str, ops), *mixed]) or "none"


def _table(rows: Mapping[str, str]) -> str:
    cells = [{"name": f"**{name}**", "value": value} for name, value in rows.items()]
    return markdown.table(cells, {"name": "", "value": ""})
