"""Where the live crop margin of a dataset comes from."""

import json

import pytest
from omegaconf import DictConfig

from emotion.base.errors import UserError
from emotion.data.crop_margin import CropMargin, for_live


def dataset(root, **values) -> DictConfig:
    return DictConfig({"name": "folder", "root": str(root), "crop_margin": None} | values)


def test_what_is_set_beats_what_was_measured_and_that_beats_nothing(tmp_path):
    margin, note = for_live(dataset(tmp_path))
    assert margin == 0
    assert "emotion.audit dataset=folder" in note
    path = CropMargin(0.15, "emotion.audit", 120).save(tmp_path)
    assert json.loads(path.read_text()) == {"crop_margin": 0.15, "source": "emotion.audit", "pictures": 120}
    margin, note = for_live(dataset(tmp_path))
    assert margin == 0.15
    assert str(path) in note
    assert for_live(dataset(tmp_path, crop_margin=-0.1))[0] == -0.1


def test_beside_a_file(tmp_path):
    (tmp_path / "fer2013.csv").write_text("")
    CropMargin(0.2, "emotion.audit", 9).save(tmp_path / "fer2013.csv")
    assert (tmp_path / "dataset.json").is_file()
    assert for_live(dataset(tmp_path / "fer2013.csv"))[0] == 0.2
    assert for_live(dataset(tmp_path))[0] == 0.2


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"title": "faces"}', '{"crop_margin": 1, "source": "me"}'])
def test_another_file_of_that_name_is_passed_over(tmp_path, content):
    (tmp_path / "dataset.json").write_text(content)
    assert for_live(dataset(tmp_path))[0] == 0


@pytest.mark.parametrize("values", ['"crop_margin": "wide"', '"crop_margin": NaN', '"crop_margin": -3', '"pictures": 3',
                                    '"crop_margin": 0, "pictures": "many"'])  # fmt: skip
def test_a_damaged_one_is_named(tmp_path, values):
    (tmp_path / "dataset.json").write_text('{"source": "emotion.audit", ' + values + "}")
    with pytest.raises(UserError, match=r"dataset\.json"):
        for_live(dataset(tmp_path))
