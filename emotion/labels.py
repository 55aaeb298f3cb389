"""The seven emotions, and the words and numbers that other datasets use for them."""

from __future__ import annotations

from emotion.errors import UserError, did_you_mean

#: The order everywhere: model outputs, confusion matrices, contracts, logs.
EMOTIONS = ("angry", "disgusted", "fearful", "happy", "neutral", "sad", "surprised")

#: Words for the same emotion: ours, FER2013's, FER+'s, AffectNet's, CK+'s, RAF-DB's and everyday spellings.
ALIASES: dict[str, tuple[str, ...]] = {
    "angry": ("anger", "angrily", "mad"),
    "disgusted": ("disgust", "disgusting", "disgustedly"),
    "fearful": ("fear", "afraid", "scared", "fearfully"),
    "happy": ("happiness", "happily", "joy", "joyful", "smile", "smiling"),
    "neutral": ("neutrality", "neutrally", "normal", "calm", "none"),
    "sad": ("sadness", "sadly", "unhappy"),
    "surprised": ("surprise", "surprisedly", "astonished"),
}

#: Published class numbers. They contradict each other, so a folder of numbers needs ``dataset.numbering``.
#: Numbers that are missing here (contempt) are not one of the seven.
NUMBERINGS: dict[str, dict[int, str]] = {
    "fer2013": dict(enumerate(("angry", "disgusted", "fearful", "happy", "sad", "surprised", "neutral"))),
    "affectnet": dict(enumerate(("neutral", "happy", "sad", "surprised", "fearful", "disgusted", "angry"))),
    "rafdb": dict(enumerate(("surprised", "fearful", "disgusted", "happy", "sad", "angry", "neutral"), start=1)),
    "ckplus": {0: "neutral", 1: "angry", 3: "disgusted", 4: "fearful", 5: "happy", 6: "sad", 7: "surprised"},
}

_BY_WORD = {word: emotion for emotion in EMOTIONS for word in (emotion, *ALIASES[emotion])}


def index_of(word: str, numbering: str | None = None) -> int:
    """Return the index in :data:`EMOTIONS` that a dataset's word or number stands for.

    Args:
        word: A class name as a dataset spells it, in any case (``Sadness``, ``3``, ``03_happy``).
        numbering: Which dataset's numbers to read numbers by: a key of :data:`NUMBERINGS`.

    Raises:
        UserError: The word is none of the seven emotions, or a number that needs ``numbering``.
    """
    name = word.strip().lower().replace("_", " ").replace("-", " ")
    parts = name.split()
    if len(parts) == 2 and parts[0].isdigit():  # "03_happy": the word decides
        name = parts[1]
    if name in _BY_WORD:
        return EMOTIONS.index(_BY_WORD[name])
    if name.isdigit():
        if numbering is None:
            raise UserError(
                f"class '{word}' is a number, and published datasets number the emotions differently. "
                f"Set dataset.numbering to one of: {', '.join(NUMBERINGS)}"
            )
        emotion = NUMBERINGS[numbering].get(int(name))
        if emotion is not None:
            return EMOTIONS.index(emotion)
        raise UserError(f"class '{word}' is none of the seven emotions in {numbering}'s numbering")
    raise UserError(f"class '{word}' is none of the seven emotions.{did_you_mean(name, _BY_WORD)}")
