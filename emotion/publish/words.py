"""What the model cards of all runs say: of the task, and of each dataset, its source, licence terms and labels."""

from __future__ import annotations

from dataclasses import dataclass

USE = """It is for showing and studying how a machine labels facial expressions: demonstrations, teaching, research,
art, and interfaces that people chose to use and can switch off.

**Not for decisions on a person**: not for hiring, schools, policing, borders, insurance, credit, advertising, the
detection of lies, or anything medical. In some places it is against the law: the European Union's AI Act (2024/1689,
article 5) forbids inferring emotions at work and in schools, with few exceptions.

- **An expression is no feeling.** People smile when they are not happy and are angry without a frown; how a face is
  read depends on culture and on the moment (Barrett et al. 2019, "Emotional Expressions Reconsidered").
- **No consent, no use.** Do not point it at people who have not agreed, and do not keep what it says about them.
- Look at the figures below before you believe an answer, and show its probability with it."""

UNMEASURED = """- **Who is in the picture.** Glasses, beards, head coverings, make-up, age (children above all), skin
  tone and origin: the test pictures do not say, so it is not known whether it errs more for some people than for
  others. Assume that it does.
- **Heads that are turned.** The face detector that live video uses finds frontal faces; profiles are mostly not seen.
- **Video.** It was scored on single pictures. Faces in motion, talking, chewing, yawning were not.
- **Crops that are framed otherwise.** It expects a face cut out as `contract.json` says."""


@dataclass(frozen=True)
class Terms:
    """A dataset in the words of a model card.

    Attributes:
        source: Where the pictures and labels are from.
        licence: Who may do what with them.
        labels: How far the labels are to be trusted.
        repeats: What is known of pictures that occur more than once.
        people: What the data says, and does not say, of who is in it.
    """

    source: str
    licence: str
    labels: str
    repeats: str
    people: str


_FER_PICTURES = (
    "35,887 grey pictures of faces, 48x48 pixels, which were gathered by searching the web for words of emotion and "
    'cut out by a face detector (Goodfellow et al. 2013, "Challenges in Representation Learning"; a Kaggle challenge)'
)
_FER_LICENCE = (
    "FER2013 is research data of a Kaggle challenge. The pictures were found on the web; whoever is in them or took "
    "them was not asked, and there is no licence to pass them on. None of them is in this folder. Whether weights that "
    "were learnt from such pictures may be used commercially is not settled: ask a lawyer, not this card."
)
_FER_REPEATS = (
    "8 % of PublicTest, 280 of 3,589 pictures, are pixel-identical to a Training picture, and 187 more look like one "
    "that was scaled, compressed or brightened. The leak-free figures leave out the identical ones alone."
)
_FER_PEOPLE = (
    "Nobody recorded who is in the pictures: neither age, sex, skin tone nor origin is known, so no figure can be "
    "given for any group of people. Faces that a web search finds are posed and exaggerated more "
    "often than faces in life."
)
_UNKNOWN_PEOPLE = (
    "Who is in the pictures was not recorded here: neither age, sex, skin tone nor origin, so no figure can be given "
    "for any group of people."
)

TERMS: dict[str, Terms] = {
    "fer2013": Terms(
        source=f"FER2013: {_FER_PICTURES}, each with one label.",
        licence=_FER_LICENCE,
        labels=(
            "They are noisy: FER2013's label is that of the majority of ten people (FER+) for 63 % of the pictures. A "
            "model that is right about the face is therefore often counted as wrong, and some of what it has learnt is "
            "wrong."
        ),
        repeats=_FER_REPEATS,
        people=_FER_PEOPLE,
    ),
    "ferplus": Terms(
        source=(
            f"FER+: the pictures of FER2013 ({_FER_PICTURES}), labelled again by ten people each (Barsoum et al. 2016, "
            '"Training Deep Networks for Facial Expression Recognition with Crowd-Sourced Label Distribution").'
        ),
        licence=f"FER+'s votes are under the MIT licence, (c) Microsoft. {_FER_LICENCE}",
        labels=(
            "They are what most of ten people said, which is less noisy than FER2013's own labels; the two agree on "
            "63 % of the pictures. People still differ, and a majority is an opinion about a picture, not a fact about "
            "a person."
        ),
        repeats=_FER_REPEATS,
        people=_FER_PEOPLE,
    ),
    "synthetic": Terms(
        source="Faces that this project draws, by the action units that EMFACS gives each emotion. Nobody is in them.",
        licence="They come with this project, under its licence.",
        labels="They are right by construction, and as stiff as a drawing is.",
        repeats="Every picture is drawn anew.",
        people="Nobody: a model that was trained on drawings says nothing about real faces.",
    ),
    "folder": Terms(
        source="Pictures that whoever trained the model gathered; this project knows no more of them than labels.",
        licence="Whoever trained the model has to say; this project cannot know.",
        labels="How right they are was not measured for this card; `python -m emotion.audit` names doubtful ones.",
        repeats="Pictures that look alike were kept in one split, where the splits were drawn by this project.",
        people=_UNKNOWN_PEOPLE,
    ),
}

#: Of networks whose weights were not drawn at random.
IMAGENET = (
    "Training began with ImageNet weights from Keras (Apache 2.0). ImageNet's own pictures may be used for "
    "non-commercial research and teaching alone; none of them is here."
)


def terms(dataset: str) -> Terms:
    """What is known of a dataset, by the name in its config."""
    return TERMS.get(dataset, TERMS["folder"])
