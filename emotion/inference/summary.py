"""A run's facts and figures in short: for the report and for the terminal."""

from __future__ import annotations

from typing import Any

from emotion import runs
from emotion.data.examples import ALL
from emotion.inference import report, wording
from emotion.metrics import agreement


def facts(run: runs.Run, fingerprint: dict[str, Any], tta: str = "none") -> dict[str, str]:
    """What a reader of the report must know to judge its figures."""
    record, cfg = run.record(), run.config()
    counts = {split: sum(by.values()) for split, by in fingerprint["counts"].items()}
    rows = {
        "Data": fingerprint.get("recognised") or fingerprint["dataset"],
        "Images": ", ".join(f"{n:,} {split}" for split, n in counts.items()),
        "Fingerprint": fingerprint["pixels"][:16],
        "Model": str(cfg.model.get("name") or cfg.model["_target_"]),
        "Adopted": "{file}, SHA-256 {sha256}".format(**record.adopted) if record.adopted else "",
        "Parameters": f"{record.parameters:,}" if record.parameters is not None else "",
        "Best epoch": f"{record.best_epoch} of {record.epoch}, by {cfg.trainer.monitor}" if record.epoch else "",
        "Settings changed on resume": record.changes,
        "Training time": f"{record.training_seconds / 60:.1f} minutes" if record.training_seconds is not None else "",
        "Seed": "" if record.seed is None else str(record.seed),
        "Code": record.code,
        "Command": record.command,
        "Export": f"{run.export.name}, in place of the checkpoint" if run.export else "",
        "Test-time augmentation": "" if tta == "none" else tta,
    }
    return {k: v for k, v in rows.items() if v}


def text(run: runs.Run, split: str, score: dict[str, Any]) -> str:
    """The figures as a small table for the terminal."""
    what = "all images" if split == ALL else f"{split} split"
    official = ", official" if score["official"] else ""
    lines = [f"{run.id}: {what} ({score['test_set']}{official}), {score['n']:,} images"]
    clean = score.get("leak_free")
    for key, title in report.METRICS.items():
        title += ", 15 bins" * key.endswith("calibration_error")
        lines.append(f"  {title:<36}{report.figure(key, score[key])}")
        if "as_trained" in score:
            lines.append(f"  {'  with the prior of training':<36}{report.figure(key, score['as_trained'][key])}")
        if key in ("accuracy", "macro_f1") and clean and clean["excluded"]:
            without = f"without {clean['excluded']} seen in training or validation"
            lines.append(f"  {'  leak-free':<36}{report.figure(key, clean[key])}  {without}")
    lines += [f"  {line}" for line in report.gaps(score.get("slices", {}))]
    for key, title in agreement.METRICS.items() if "agreement" in score else ():
        lines.append(f"  {title:<36}{report.figure(key, score['agreement'][key])}")
    if split in ("test", ALL) and "leak_free" not in score:
        unknown = run.config().dataset is None
        why = "its training data is not known" if unknown else "the training data is no longer there"
        lines.append(f"  not checked for images seen in training: {why}")
    lines.append(f"  in parentheses: {wording.intervals({split: score})}" if score["bootstrap"] else "")
    return "\n".join(filter(None, lines))
