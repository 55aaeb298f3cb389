"""What a reader must know to judge a comparison, in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from emotion.base.words import counted, listed
from emotion.compare import folds, groups
from emotion.compare.board import Board
from emotion.compare.groups import Group


def intervals(board: Board) -> Iterator[str]:
    """How intervals and tests were made, and how often the images were used to choose or to test."""
    drawn = f"{board.resamples:,} resamples of the images"
    yield (
        f"Intervals are 95 %: of accuracy and recall of one run Wilson's; of all other figures the percentile "
        f"bootstrap, {drawn} (seed {board.seed}), and of entries of several seeds also of these; of differences the "
        f"paired bootstrap, on the same resamples."
    )
    count = len(board.entries)
    if count < 2:
        return
    pairs = count * (count - 1) // 2
    yield (
        f"On this {board.split} set {count} entries are compared, {counted(pairs, 'pair')} for each metric; p values "
        f"are corrected for all of them (Holm), also where a table shows some."
        + (" Main effects and interactions are each corrected among themselves." if board.effects else "")
    )
    if board.ranked_on == board.split == "test":
        yield (
            f"The order is that of the test figures: the best of {count} looks better there than it is. Choose by "
            f"validation (rank_on=validation)."
        )


def of(collapsed: Sequence[Group], names: Sequence[str], split: str, runs: int) -> list[str]:
    """What a reader must know of some entries, which have these names and so many runs together."""
    notes = []
    stale = [m.run.id for group in collapsed for m in group.members if m.stale]
    if stale:
        notes.append(
            f"Stale figures, of an older checkpoint than the run's best one now: {listed(stale)}. Score such a run "
            f"again: python -m emotion.evaluate run=<id>"
        )
    for group, name in zip(collapsed, names, strict=True):
        if group.members[0].folds:
            notes.append(folds.note(name, group.members))
        if group.repeats:
            ids = listed([c.run.id for c in group.repeats])
            notes.append(f"{name}: the same config and seed again is not another sample; left out {ids}.")
    if len({groups.trained_on(m) for group in collapsed for m in group.members}) > 1:
        notes.append("These runs were tested on the same images but not trained on the same.")
    adopted = [n for group, n in zip(collapsed, names, strict=True) if group.members[0].record.adopted]
    if adopted:
        notes.append(
            f"Trained elsewhere: {listed(adopted)}. Which images they were trained on and chosen by is not known; "
            f"their leak-free figures leave out what is in the training and validation splits of this data, no more."
        )
    if split == "validation":
        notes.append(
            "The validation split chose each run's checkpoint, so validation figures are optimistic; compare on test."
        )
    if runs == 1:
        notes.append("Only one run is left: a table without a verdict.")
    elif len(collapsed) == 1:
        notes.append("Only one entry: its runs differ in the seed alone, so there is nothing to compare it with.")
    single = sum(len(group.members) == 1 for group in collapsed)
    if single and len(collapsed) > 1:
        which = (
            "Every entry has"
            if single == len(collapsed)
            else f"{single} of {len(collapsed)} entries {'has' if single == 1 else 'have'}"
        )
        notes.append(
            f"{which} one seed: what is said of them is about these trained networks; another seed may differ."
        )
    if any(1 < len(group.members) < 5 for group in collapsed) and len(collapsed) > 1:
        notes.append("Few seeds show their own spread badly; intervals are widened for it by Student's t.")
    return notes
