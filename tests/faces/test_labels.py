"""The words and numbers that published datasets use, against their published tables."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emotion.base.errors import UserError
from emotion.faces.labels import ALIASES, EMOTIONS, NUMBERINGS, index_of

# As printed in each dataset's own description.
PUBLISHED = {
    "fer2013": "0 Angry, 1 Disgust, 2 Fear, 3 Happy, 4 Sad, 5 Surprise, 6 Neutral",
    "affectnet": "0 Neutral, 1 Happiness, 2 Sadness, 3 Surprise, 4 Fear, 5 Disgust, 6 Anger",
    "rafdb": "1 Surprise, 2 Fear, 3 Disgust, 4 Happiness, 5 Sadness, 6 Anger, 7 Neutral",
    "ckplus": "0 neutral, 1 anger, 3 disgust, 4 fear, 5 happy, 6 sadness, 7 surprise",
}


def name(word: str, numbering: str | None = None) -> str:
    return EMOTIONS[index_of(word, numbering)]


def test_the_order_is_fixed():
    assert EMOTIONS == ("angry", "disgusted", "fearful", "happy", "neutral", "sad", "surprised")


@pytest.mark.parametrize("dataset", NUMBERINGS)
def test_published_numbers_and_words_mean_the_same(dataset):
    rows = [row.split() for row in PUBLISHED[dataset].split(", ")]
    assert {int(number) for number, _ in rows} == set(NUMBERINGS[dataset])
    for number, word in rows:
        assert name(number, dataset) == name(word)


@pytest.mark.parametrize(
    ("word", "emotion"),
    [
        ("SADNESS", "sad"),
        ("sadly", "sad"),
        ("Sad", "sad"),
        ("03_happy", "happy"),
        ("0angry", "angry"),
        ("happy-faces", "happy"),
        ("images of fear", "fearful"),
        ("  Surprise ", "surprised"),
        ("suprise", "surprised"),
        ("Happy2", "happy"),
    ],
)
def test_spellings(word, emotion):
    assert name(word) == emotion


def test_a_word_beside_a_number_decides_whatever_the_numbering():
    assert name("3_angry", "fer2013") == "angry"


@pytest.mark.parametrize(("word", "numbering"), [("3", "fer2013"), ("03", "fer2013"), ("class_3", "fer2013")])
def test_numbers_with_zeros_and_fillers(word, numbering):
    assert name(word, numbering) == "happy"


def test_a_number_alone_asks_for_a_numbering():
    with pytest.raises(UserError, match=r"class '3' is a number.*dataset\.numbering.*fer2013, affectnet"):
        index_of("3")


@pytest.mark.parametrize(("word", "numbering"), [("2", "ckplus"), ("7", "affectnet"), ("0", "rafdb"), ("8", "fer2013")])
def test_a_number_that_is_no_emotion(word, numbering):
    with pytest.raises(UserError, match=f"'{word}' is none of the seven emotions in {numbering}"):
        index_of(word, numbering)


@pytest.mark.parametrize("word", ["contempt", "none", "calm", "not happy", "happy or sad", "", "-1", "3.0", "³", "1 2"])
def test_what_is_no_emotion_is_refused(word):
    with pytest.raises(UserError, match="none of the seven"):
        index_of(word, "fer2013")


def test_a_near_miss_is_named():
    with pytest.raises(UserError, match="Did you mean 'surprised'"):
        index_of("surprized")


def test_an_unknown_numbering_is_named():
    with pytest.raises(UserError, match=r"dataset\.numbering: 'fer2031'.*Did you mean 'fer2013'"):
        index_of("3", "fer2031")


def test_no_word_means_two_emotions():
    words = [*EMOTIONS, *(word for emotion in EMOTIONS for word in ALIASES[emotion])]
    assert len(words) == len(set(words))


@given(st.text(max_size=30), st.sampled_from([None, *NUMBERINGS]))
def test_any_folder_name_gets_an_index_or_a_user_error(word, numbering):
    with contextlib.suppress(UserError):
        assert 0 <= index_of(word, numbering) < len(EMOTIONS)
