"""The model card of a published run: Mitchell et al. 2019, "Model Cards for Model Reporting".

Every figure is read from the run's own files. The text that all cards share is in ``card.md.jinja``, the text of each
dataset in ``terms.yaml``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from omegaconf import DictConfig, OmegaConf

from emotion.faces.contract import Contract
from emotion.inference import report, wording
from emotion.publish.elsewhere import Elsewhere
from emotion.publish.failures import Outcome
from emotion.reports import markdown
from emotion.runs import RunRecord

_IMAGENET = (
    "Training began with ImageNet weights from Keras (Apache 2.0). ImageNet's own images may be used for "
    "non-commercial research and teaching only; none of them is here."
)


@dataclass(frozen=True)
class Subject:
    """A run's files, as the card describes them.

    Attributes:
        name: Of the folder.
        record: ``run.json``.
        config: ``config.yaml``.
        contract: ``contract.json``.
        scores: ``metrics.json``, the splits alone.
        sizes: Bytes of each model file, by its path in the run's folder.
        hashes: SHA-256 of each file of the folder but the card.
        outcomes: Its outputs for drawn faces; None where they were not measured.
        picture: The image of these, in the folder.
        hardware: What it was trained on, in the publisher's words.
        elsewhere: Its scores on other datasets, beside other runs.
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
    elsewhere: Elsewhere | None = None


def text(subject: Subject) -> str:
    """The card as Markdown, with the sections that Mitchell et al. propose."""
    split = report.HEADLINE_SPLIT if report.HEADLINE_SPLIT in subject.scores else list(subject.scores)[-1]
    score, contract = subject.scores[split], subject.contract
    terms = _terms(subject)
    beside = subject.elsewhere.rows(subject.name) if subject.elsewhere else {}
    classes = [item for item in score["per_class"].items() if item[1]["recall"]["value"] is not None]
    environment = Environment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    environment.filters |= {"plain": markdown.plain, "percent": report.percent, "count": "{:,}".format}
    template = environment.from_string(Path(__file__).with_name("card.md.jinja").read_text(encoding="utf-8"))
    return template.render(
        subject=subject,
        contract=contract,
        split=split,
        score=score,
        clean=score.get("leak_free"),
        intervals=wording.intervals(subject.scores),
        labels=", ".join(contract.labels[:-1]) + " or " + contract.labels[-1],
        data_name=_data_name(subject),
        terms=terms,
        part_table=report.part_table(score["parts"]) if score.get("parts") else "",
        facts=_table(_facts(subject)),
        data=_table({"Source": terms["source"], "Licence terms": terms["licence"]} | _initial_weights(subject)),
        score_table=report.score_table(subject.scores),
        across_tables=report.across_tables(beside) if beside else {},
        across_intervals=wording.in_parentheses(
            {f"{name} on {title}": score for name, row in beside.items() for title, score in row.items()}
        ),
        slices=list(subject.elsewhere.gaps()) if subject.elsewhere else [],
        agreement_table=report.agreement_table(subject.scores) if "agreement" in score else "",
        class_table=report.class_table(score["per_class"]),
        confusions=report.confusions(score),
        weakest=sorted(classes, key=lambda item: item[1]["recall"]["value"])[:2],
        rarest=min(classes, key=lambda item: item[1]["support"]),
        outcomes=_outcomes(subject.outcomes or ()),
        training=_table(_training(subject)),
        files=markdown.table(
            [{"File": f"`{name}`", "SHA-256": f"`{digest}`"} for name, digest in subject.hashes.items()],
            ["File", "SHA-256"],
        ),
    )


def _terms(subject: Subject) -> dict[str, str]:
    """What is said of the dataset; of a mixed one what is said of each part, once."""
    datasets: Any = OmegaConf.load(Path(__file__).with_name("terms.yaml"))
    parts = OmegaConf.select(subject.config, "dataset.parts") or ()
    kinds = dict.fromkeys([str(part.name) for part in parts] or [_dataset(subject)])
    terms = [datasets.get(kind, datasets.folder) for kind in kinds]
    said: dict[str, str] = {}
    for key in datasets.folder:
        texts = [str(term[key]) for term in terms]
        said[str(key)] = " ".join(t for t in texts if not any(t in other for other in texts if other != t))
    return said


def _facts(subject: Subject) -> dict[str, str]:
    contract, record, model = subject.contract, subject.record, subject.config.model
    colour = "grey" if contract.channels == 1 else "red, green, blue"
    half = record.published.get("half")
    size = ", ".join(f"`{name}` {bytes_ / 1e6:.2f} MB" for name, bytes_ in subject.sizes.items())
    latency, adds = record.efficiency.get("latency_ms"), record.efficiency.get("multiply_adds")
    facts = {
        "Input": f"uint8 [N, {contract.height}, {contract.width}, {contract.channels}] ({colour}): a face, cut out as "
        f"the face detector frames it with {100 * contract.crop_margin:g} % of its box added on each side, resized "
        f"({contract.interpolation}). The rescaling is inside the network",
        "Output": f"float32 [N, {len(contract.labels)}]: probabilities of {', '.join(contract.labels)}",
        "Calibration": _calibration(contract),
        "Class prior": _prior(contract),
        "Network": _settings(model, ("_target_", "input_size", "colour", "interpolation")),
        "Parameters": f"{record.parameters:,}" if record.parameters is not None else "not recorded",
        "Multiply-adds": f"{adds / 1e6:.1f} million per image" if adds else "not recorded",
        "Latency": f"{latency:.2f} ms per image on one thread (LiteRT, median), measured when "
        f"{'its weights were rounded' if half else 'the run was made'}"
        if latency
        else "not recorded",
        "Files": size or "none here: this is a summary of the run",
    }
    if half:
        facts["Rounding"] = (
            f"the kernels are rounded to float16. On {half['pictures']:,} validation images no probability of "
            f"`best.keras` changed by more than {half['keras']:.2g}, none of `model.tflite` by more than "
            f"{half['litert']:.2g}. The scores below are the rounded network's"
        )
    return facts


def _calibration(contract: Contract) -> str:
    if contract.temperature == 1:
        return "none: the network's own probabilities"
    return (
        f"the logits are divided by {contract.temperature:.3f} (`contract.json`), fitted on validation; live video and "
        f"evaluation do so, other users of the files have to"
    )


def _prior(contract: Contract) -> str:
    if contract.prior is None:
        return "not recorded"

    def listed(shares: Sequence[float]) -> str:
        return ", ".join(f"{name} {100 * share:.1f} %" for name, share in zip(contract.labels, shares, strict=True))

    wanted = f"; answers are given for {listed(contract.target_prior)}" if contract.target_prior else ""
    return f"training presented {listed(contract.prior)}{wanted}. `prior=balanced` and others change that"


def _initial_weights(subject: Subject) -> dict[str, str]:
    weights = OmegaConf.select(subject.config, "model.weights")
    if OmegaConf.select(subject.config, "trainer.initial_weights") == "teacher" and subject.record.teachers:
        name = subject.record.teachers[0]["run"]
        return {"Weights at the start": f"Those of run `{name}`; the terms of its data hold as well."}
    if weights is None:
        return {}
    return {"Weights at the start": _IMAGENET if weights == "imagenet" else f"Those of the file `{weights}`."}


def _outcomes(outcomes: Sequence[Outcome]) -> str:
    columns = ["Drawn faces", "What is done", "Right", "Same answer as in plain view"]
    cells = [
        (o.condition.name, o.condition.meaning, f"{o.right} of {o.faces}", f"{o.same} of {o.faces}") for o in outcomes
    ]
    return markdown.table([dict(zip(columns, row, strict=True)) for row in cells], columns)


def _training(subject: Subject) -> dict[str, str]:
    record, config = subject.record, subject.config
    counts = record.data.get("counts") or {}
    trainer, seconds = config.get("trainer"), record.training_seconds
    best, epochs = record.best_epoch, record.epoch
    rows = {
        "Data": f"{_data_name(subject)}, fingerprint {str(record.pixels or '')[:16]}",
        "Images": ", ".join(f"{sum(by.values()):,} {split}" for split, by in counts.items()),
        "Training": _settings(trainer, ("bootstrap", "threads", "deterministic", "strategy"))
        if trainer
        else "not by this project",
        "Augmentation": _augmentation(config.get("augmentation")),
        "Seed": str(record.seed),
        "Epochs": f"{epochs}; the best was {best}, by {trainer.monitor}" if epochs and trainer else "",
        "Settings changed on resume": record.changes,
        "Time": f"{seconds / 60:.0f} minutes of training" if seconds else "",
        "Hardware": subject.hardware or "not recorded",
        "Taught by": ", ".join(teacher["run"] for teacher in record.teachers),
        "Adopted": ", ".join(f"{k} {v}" for k, v in record.adopted.items() if isinstance(v, str)),
        "Code": record.code or "emotion of unknown version",
        "Versions": ", ".join(f"{name} {version}" for name, version in record.versions.items()),
        "Finished": record.finished or "",
    }
    return {key: value for key, value in rows.items() if value}


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
    if isinstance(value, list):
        return "-".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _augmentation(group: Any) -> str:
    if group is None:
        return ""
    ops = [next(iter(op)) for op in group.get("ops") or []]
    mixed = [f"{key} {group[key]:g}" for key in ("mixup", "cutmix") if group.get(key)]
    return ", ".join([*map(str, ops), *mixed]) or "none"


def _table(rows: Mapping[str, str]) -> str:
    return markdown.facts_table({f"**{name}**": value for name, value in rows.items()})
