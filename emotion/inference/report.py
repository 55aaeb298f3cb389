"""``report.md``: what a run scored, how sure that is, where it errs, and how it was made."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from emotion.base import files
from emotion.inference import wording
from emotion.metrics import agreement
from emotion.metrics.slices import LEAST
from emotion.reports.markdown import plain, table, text_table

#: The headline comes from this split where it was scored.
HEADLINE_SPLIT = "test"

#: Of every score: the headings of its metrics, in the order of all tables.
METRICS = {
    "accuracy": "Accuracy",
    "macro_f1": "Macro-F1",
    "balanced_accuracy": "Balanced accuracy",
    "top2_accuracy": "Top-2 accuracy",
    "negative_log_likelihood": "Negative log-likelihood (nats)",
    "expected_calibration_error": "Expected calibration error",
    "adaptive_calibration_error": "Adaptive calibration error",
}
Metric = Mapping[str, float | None]
#: What the tables of several runs on several datasets show.
ACROSS = ("accuracy", "macro_f1", "balanced_accuracy", "expected_calibration_error")

_IN_NATS = ("negative_log_likelihood", "kl_divergence")


def write(
    path: Path,
    *,
    title: str,
    facts: Mapping[str, str],
    scores: Mapping[str, Mapping[str, Any]],
    plots: Mapping[str, str],
) -> None:
    """Write a Markdown report; a reader never sees half of one.

    Args:
        facts: How it was made, as plain text. A fact called ``command`` (in any case) is set apart, to be copied.
        scores: Split to what :func:`emotion.metrics.score` or ``score_with_leak_free`` returned. ``test`` makes the
            headline, or the last split where there is no ``test``. A ``test`` without ``leak_free`` was not checked.
        plots: Caption to plot, relative to the report's folder.

    Raises:
        ValueError: No scores, or a plot whose path is absolute or that does not exist.
    """
    if not scores:
        raise ValueError("a report needs the scores of at least one split")
    split = HEADLINE_SPLIT if HEADLINE_SPLIT in scores else list(scores)[-1]
    headline = scores[split]
    sections = [
        f"# {plain(title)}",
        _headline(split, headline),
        "## Scores\n\n" + score_table(scores),
        wording.meaning(headline, scores),
        *([_prior(headline["target_prior"])] if "target_prior" in headline else []),
        *(["## Each part\n\n" + part_table(headline["parts"])] if headline.get("parts") else []),
        *(["## Agreement with people\n\n" + agreement_table(scores)] if "agreement" in headline else []),
        *(["## Slices\n\n" + _slices(headline["slices"])] if headline.get("slices") else []),
        f"## Each emotion ({_shown(split)})\n\n" + class_table(headline["per_class"]),
        "### Most often confused\n\n" + confusions(headline),
        *(["## Plots\n\n" + "\n\n".join(_image(path, *plot) for plot in plots.items())] if plots else []),
        "## How it was made\n\n" + _facts(facts),
    ]
    files.write_text(path, "\n\n".join(sections) + "\n")


def part_table(parts: Mapping[str, Mapping[str, Any]]) -> str:
    """A row of scores for each part of a mixed dataset, by the part's own labels."""
    rows = [
        {"Part": plain(name), "Images": f"{score['n']:,}", **{key: figure(key, score.get(key)) for key in METRICS}}
        for name, score in parts.items()
    ]
    return table(rows, {"Part": "Part", "Images": "Images", **METRICS})


def across_tables(scores: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> dict[str, str]:
    """Several runs on several datasets: a Markdown table of each metric's heading in :data:`ACROSS`.

    Args:
        scores: Run's name to dataset's name to scores.
    """
    titles = list(dict.fromkeys(title for row in scores.values() for title in row))
    counts = {t: {row[t]["n"] for row in scores.values() if t in row} for t in titles}
    headings = {t: f"{t} ({', '.join(f'{n:,}' for n in sorted(counts[t]))} images)" for t in titles}
    return {
        METRICS[metric]: text_table(
            ["", *headings.values()],
            [
                [name, *(figure(metric, row[t][metric]) if t in row else "–" for t in titles)]
                for name, row in scores.items()
            ],
        )
        for metric in ACROSS
    }


def percent(metric: Metric) -> str:
    """``65.3 % (63.7 to 66.8)``, from a metric's ``value``, ``low`` and ``high``; a dash where it is undefined."""
    return figure("", metric)


def figure(name: str, metric: Metric | None) -> str:
    """As :func:`percent`, or in nats where the metric of this name is measured in them; a dash for None."""
    if metric is None:  # of figures from before there was this metric
        return "–"
    scale, decimals, unit = (1, 3, "") if name in _IN_NATS else (100, 1, " %")
    value, low, high = metric["value"], metric["low"], metric["high"]
    if value is None:
        return "–"
    text = f"{scale * value:.{decimals}f}{unit}"
    if low is None or high is None:
        return text
    return f"{text} ({scale * low:.{decimals}f} to {scale * high:.{decimals}f})"


# ----------------------------------------------------------------------------------------------------------- sections


def _headline(split: str, score: Mapping[str, Any]) -> str:
    what = _shown(split).capitalize() + (", official" if score.get("official") else "")
    if "test_set" in score:
        what += f" ({plain(score['test_set'])})"
    seen = "pixel-identical to a training or validation image"
    lines = [f"**{what}: {_both(score)}** on {score['n']:,} images."]
    if "leak_free" in score:
        clean = score["leak_free"]
        if clean is None:
            lines.append(f"Every one of them is {seen}, so this measures memory.")
        elif not clean["excluded"]:
            lines.append(f"None of them is {seen}, so leaving those out changes nothing.")
        else:
            lines.append(f"**Without the {clean['excluded']:,} that are {seen}: {_both(clean)}** on {clean['n']:,}.")
    elif split not in (HEADLINE_SPLIT, "all"):
        lines.append(
            "This is no test split: a run that was trained on these images or chosen by them looks better than it is."
        )
    else:
        why = "the training data is no longer there, or was never known"
        lines.append(f"Whether some are {seen} was not checked: {why}.")
    return "  \n".join(lines)


def _shown(split: str) -> str:
    return "all images" if split == "all" else f"{plain(split)} split"


def _both(score: Mapping[str, Any]) -> str:
    return f"accuracy {percent(score['accuracy'])}, macro-F1 {percent(score['macro_f1'])}"


def score_table(scores: Mapping[str, Mapping[str, Any]]) -> str:
    """A Markdown table of a run's figures with intervals: metrics by splits, leak-free beside each."""
    columns: dict[str, Mapping[str, Any]] = {}
    for split, score in scores.items():
        columns[plain(split)] = score
        clean = score.get("leak_free")
        if clean and clean["excluded"]:
            columns[f"{plain(split)}, leak-free"] = clean
        if "as_trained" in score:
            columns[f"{plain(split)}, prior of training"] = score["as_trained"]
    rows: list[dict[str, Any]] = [{"": "Images", **{name: f"{score['n']:,}" for name, score in columns.items()}}]
    for metric, heading in METRICS.items():
        if any(metric in score for score in columns.values()):
            rows.append({"": heading, **{name: figure(metric, score.get(metric)) for name, score in columns.items()}})
    return table(rows, ["", *columns])


def agreement_table(scores: Mapping[str, Mapping[str, Any]]) -> str:
    """A Markdown table of the splits that people voted on, and what its figures mean."""
    voted = {plain(split): score["agreement"] for split, score in scores.items() if "agreement" in score}
    rows = [
        {"": title, **{name: figure(metric, score[metric]) for name, score in voted.items()}}
        for metric, title in agreement.METRICS.items()
    ]
    return table(rows, ["", *voted]) + (
        "\n\nSeveral people labelled each image, and often they differ. The scores above count the label of the "
        "majority as right; these count all votes, and take the probabilities as they are before calibration."
    )


def gaps(slices: Mapping[str, Any]) -> Iterator[str]:
    """A line for each column: its largest gap between two slices, and whether chance explains it."""
    for name, column in slices.items():
        gap = column["gap"]
        if gap is not None:
            low = "below 0.001" if gap["p"] < 0.001 else f"{gap['p']:.3f}"
            yield (
                f"{plain(name)}: {100 * gap['points']:.1f} points of accuracy between {plain(gap['best'])} and "
                f"{plain(gap['worst'])}, z test of two proportions, p {low} after Holm"
            )


def _slices(slices: Mapping[str, Any], most: int = 20) -> str:
    """A Markdown table of the accuracy on each slice, and the largest gap of each column."""
    rows, left = [], 0
    for name, column in slices.items():
        shown = column["slices"] if len(column["slices"]) <= most else column["slices"][-most:]
        left += len(column["slices"]) - len(shown)
        rows += [
            {
                "by": plain(name),
                "slice": plain(row["slice"]),
                "n": f"{row['n']:,}",
                "accuracy": percent(row["accuracy"]),
            }
            for row in shown
        ]
    text = table(rows, {"by": "By", "slice": "Slice", "n": "Images", "accuracy": "Accuracy"})
    if left:
        text += f"\n\n{left:,} slices with a higher accuracy are in `metrics.json`."
    found = "".join(f"\n- {line}" for line in gaps(slices))
    if found:
        text += (
            f"\n\nThe largest gap of each, between slices of {LEAST} images or more (z test of two proportions; p "
            f"values of all pairs of all columns together corrected after Holm; above 0.05 it may be chance):\n{found}"
        )
    return text + "\n\nIn parentheses: 95 % intervals (Wilson)."


def _prior(shares: Mapping[str, float]) -> str:
    listed = ", ".join(f"{plain(name)} {100 * share:.1f} %" for name, share in shares.items())
    return (
        f"Answers are given for another class prior than that of training: {listed}. Each probability is multiplied by "
        "this share and divided by the one that training presented, which `contract.json` records."
    )


def class_table(per_class: Mapping[str, Mapping[str, Any]]) -> str:
    """A Markdown table of precision, recall and F1, a row per emotion."""
    rows = [
        {
            "emotion": plain(name),
            "support": f"{entry['support']:,}",
            **{metric: percent(entry[metric]) for metric in ("precision", "recall", "f1")},
        }
        for name, entry in per_class.items()
    ]
    headings = {"emotion": "Emotion", "support": "Images", "precision": "Precision", "recall": "Recall", "f1": "F1"}
    return table(rows, headings)


def confusions(score: Mapping[str, Any], most: int = 5) -> str:
    """A Markdown list of the largest shares off the diagonal; emotions with fewer than ten images come last."""
    names = list(score["per_class"])
    pairs = [
        (sum(row) >= 10, count / sum(row), count, sum(row), true, predicted)
        for true, row in zip(names, score["confusion_matrix"], strict=True)
        for predicted, count in zip(names, row, strict=True)
        if count and true != predicted
    ]
    if not pairs:
        return "None: every image was labelled right."
    return "\n".join(
        f"- {plain(true)} was taken for {plain(predicted)} {100 * share:.1f} % of the time ({count:,} of {total:,})"
        for _, share, count, total, true, predicted in sorted(pairs, key=lambda pair: pair[:3], reverse=True)[:most]
    )


def _image(report: Path, caption: str, link: str) -> str:
    if Path(link).is_absolute() or not (report.parent / link).is_file():
        raise ValueError(f"plot '{link}': no such file relative to {report.parent}; draw it before the report")
    return f"![{plain(caption)}]({quote(Path(link).as_posix())})"


def _facts(facts: Mapping[str, str]) -> str:
    rows = [{"name": plain(name), "value": plain(facts[name])} for name in facts if name.lower() != "command"]
    parts = [table(rows, {"name": "", "value": ""})] if rows else []
    for command in (facts[name].strip() for name in facts if name.lower() == "command"):
        fence = "`" * max(3, 1 + max(map(len, re.findall("`+", command)), default=0))
        parts.append(f"{fence}sh\n{command}\n{fence}")
    return "\n\n".join(parts) or "Nothing was recorded."
