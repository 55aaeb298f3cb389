"""The seven emotions, and the words and numbers that datasets use for them."""

from __future__ import annotations

import re

from emotion.base.errors import UserError, did_you_mean

#: In the order of model outputs, confusion matrices, contracts and logs.
EMOTIONS = ("angry", "disgusted", "fearful", "happy", "neutral", "sad", "surprised")

#: FER+'s eighth label, which ``dataset.contempt=keep`` adds after the seven.
CONTEMPT = "contempt"

#: Words for the same emotion: ours, FER2013's, FER+'s, AffectNet's, CK+'s, RAF-DB's, everyday words and misspellings
#: in public datasets. AffectNet's "none" and RAVDESS's "calm" are not neutral and therefore missing.
ALIASES: dict[str, tuple[str, ...]] = {
    "angry": ("anger", "angrily", "mad", "furious"),
    "disgusted": ("disgust", "disgusting", "disgustedly"),
    "fearful": ("fear", "afraid", "scared", "fearfully", "frightened"),
    "happy": ("happiness", "happily", "joy", "joyful", "smile", "smiling"),
    "neutral": ("neutrality", "neutrally", "normal"),
    "sad": ("sadness", "sadly", "unhappy"),
    "surprised": ("surprise", "surprisedly", "astonished", "suprise", "suprised"),
}

#: Published class numbers. They contradict each other, so class folders named by numbers need
#: ``dataset.numbering``. Missing numbers (contempt) are not one of the seven emotions.
NUMBERINGS: dict[str, dict[int, str]] = {
    "fer2013": dict(enumerate(("angry", "disgusted", "fearful", "happy", "sad", "surprised", "neutral"))),
    "affectnet": dict(enumerate(("neutral", "happy", "sad", "surprised", "fearful", "disgusted", "angry"))),
    "rafdb": dict(enumerate(("surprised", "fearful", "disgusted", "happy", "sad", "angry", "neutral"), start=1)),
    "ckplus": {0: "neutral", 1: "angry", 3: "disgusted", 4: "fearful", 5: "happy", 6: "sad", 7: "surprised"},
}

_BY_WORD = {word: emotion for emotion in EMOTIONS for word in (emotion, *ALIASES[emotion])}
# Words without meaning in "happy_faces" or "images of sad".
_FILLERS = {"face", "faces", "image", "images", "img", "photo", "photos", "picture", "pictures", "people", "person"}
_FILLERS |= {"class", "emotion", "expression", "of", "the"}


def index_of(word: str, numbering: str | None = None) -> int:
    """Return the index in :data:`EMOTIONS` of a dataset's class name.

    Args:
        word: The class name as the dataset spells it, in any case (``Sadness``, ``3``, ``03_happy``, ``happy faces``).
            If it contains a word and a number, the word decides.
        numbering: The meaning of numbers: a key of :data:`NUMBERINGS`.

    Raises:
        UserError: The word is none of the seven emotions, or a number that needs ``numbering``.
    """
    if numbering is not None and numbering not in NUMBERINGS:
        allowed = ", ".join(NUMBERINGS)
        raise UserError(
            f"dataset.numbering: '{numbering}' is not one of {allowed}.{did_you_mean(numbering, NUMBERINGS)}"
        )
    words = [w for w in re.findall(r"[^\W\d_]+", word.lower()) if w not in _FILLERS]
    numbers = re.findall(r"(?<!^-)(?<![\d.])\d+(?![\d.])", word.strip())
    if len(words) == 1 and words[0] in _BY_WORD:
        return EMOTIONS.index(_BY_WORD[words[0]])
    if words or len(numbers) != 1:
        raise UserError(f"class '{word}' is none of the seven emotions.{did_you_mean(' '.join(words), _BY_WORD)}")
    if numbering is None:
        raise UserError(
            f"class '{word}' is a number, and published datasets number the emotions differently. "
            f"Set dataset.numbering to one of: {', '.join(NUMBERINGS)}"
        )
    emotion = NUMBERINGS[numbering].get(int(numbers[0]))
    if emotion is None:
        raise UserError(f"class '{word}' is none of the seven emotions in {numbering}'s numbering")
    return EMOTIONS.index(emotion)
