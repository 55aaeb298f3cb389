"""The audit of a dataset with planted faults: what it finds, writes, prints, and how it ends."""

from __future__ import annotations

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest

from emotion import audit
from emotion.audit.examine import Report
from emotion.base.errors import UserError
from emotion.config import checks
from emotion.config.commands import FINDINGS
from tests.audit.conftest import config
from tests.conftest import answered, compose, emotion


@pytest.fixture(scope="module")
def outcome(faulty: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Report, Path]:
    root = tmp_path_factory.mktemp("audited")
    shutil.copytree(faulty, root / "faces")
    cfg = config(root / "faces", f"folder={root / 'audit'}", "fail_on=[leakage,altered,unreadable]")
    return audit.audit(cfg), root


def names(report: Report, finding: str) -> set[str]:
    """Split, folder and file of all pictures that have a fault; of contradictions, those with equal pixels."""
    found = [group for group in report.finding(finding).groups if group.caption != "look alike"]
    return {"/".join(Path(report.pictures.name_of(i)).parts[-3:]) for group in found for i in group.pictures}


def test_every_planted_fault_is_found_and_nothing_else(outcome: tuple[Report, Path]) -> None:
    report, _ = outcome
    assert names(report, "leakage") == {"test/happy/copy.png", "train/happy/0.png"}
    assert report.finding("leakage").details["test_in_train"] == 1
    assert {"test/neutral/near.jpg", "train/neutral/2.png"} <= names(report, "near_leakage")
    assert report.finding("near_leakage").count == 1
    assert names(report, "conflicts") == {"train/sad/copy-of-angry.png", "train/angry/1.png"}
    assert report.finding("conflicts").details["groups"] == 1
    assert names(report, "duplicates") == names(report, "leakage") | names(report, "conflicts")
    details = report.finding("duplicates").details
    assert (details["groups"], details["pictures"], details["surplus"]) == (2, 4, 2)
    assert details["within"] == {"train": 2, "validation": 0, "test": 0}
    assert names(report, "near_duplicates") >= names(report, "near_leakage")
    assert names(report, "blank") == {"train/angry/black.png", "train/fearful/message.png"}
    assert names(report, "tiny") == {"train/surprised/tiny.png"}
    assert {"train/angry/black.png", "train/fearful/message.png"} <= names(report, "no_face")
    assert report.finding("no_face").count <= 8, "the cascades see most drawn faces"
    [unreadable] = report.finding("unreadable").details["files"]
    assert unreadable["name"].endswith("broken.png")
    assert unreadable["reason"] == "truncated"
    assert not report.finding("imbalance").met
    assert not report.finding("altered").met


def test_only_findings_that_are_named_and_met_fail_it(outcome: tuple[Report, Path]) -> None:
    report, _ = outcome
    assert report.failed == ("leakage", "unreadable")
    assert [f.name for f in report.findings] == [name for name in FINDINGS if name != "label_noise"]


def test_counts_are_those_of_the_folders(outcome: tuple[Report, Path]) -> None:
    report, root = outcome
    faces = root / "faces"
    for split, folder in {"train": "train", "validation": "val", "test": "test"}.items():
        there = {p.name: len(list(p.iterdir())) for p in (faces / folder).iterdir()}
        if split == "train":
            there["disgusted"] -= 1  # the broken one
        assert report.counts[split] == there


@pytest.mark.slow
def test_the_json_is_strict_and_names_every_picture(outcome: tuple[Report, Path]) -> None:
    report, root = outcome

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    content = json.loads((root / "audit" / "audit.json").read_text(), parse_constant=refuse)
    assert content["failed"] == ["leakage", "unreadable"]
    assert list(content["findings"]) == [f.name for f in report.findings]
    [group] = content["findings"]["leakage"]["groups"]
    assert [(p["split"], p["label"]) for p in group["pictures"]] == [("test", "happy"), ("train", "happy")]
    assert content["framing"]["margin"] == report.framing.margin
    for spread in content["distributions"].values():
        for shares in spread["shares"].values():
            assert len(shares) == len(spread["edges"]) - 1
            assert sum(shares) == pytest.approx(1)
    assert "base64" not in json.dumps(content)


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: set[str] = set()
        self.pictures = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.ids.add(given.get("id") or "")
        self.pictures += tag == "img"
        self.links += [v for k, v in attrs if k in ("src", "href") and v]


def test_the_page_holds_its_pictures_and_loads_nothing(outcome: tuple[Report, Path]) -> None:
    _, root = outcome
    text = (root / "audit" / "audit.html").read_text()
    page = _Page()
    page.feed(text)
    assert page.pictures >= 15
    assert all(link.startswith(("data:image/", "#")) for link in page.links)
    assert all(link[1:] in page.ids for link in page.links if link.startswith("#"))
    assert "url(" not in text
    assert "http" not in re.sub(r"data:image/[^\"]*", "", text).replace("http-equiv", "")
    assert f"holds {page.pictures} images" in text


@pytest.mark.slow
def test_no_pictures_where_none_are_wanted(faulty: Path, tmp_path: Path) -> None:
    audit.audit(config(faulty, f"folder={tmp_path}", "pictures=0"))
    assert "<img" not in (tmp_path / "audit.html").read_text()


@pytest.mark.slow
def test_the_markdown_shows_odd_names_as_they_are(outcome: tuple[Report, Path]) -> None:
    _, root = outcome
    text = (root / "audit" / "audit.md").read_text()
    assert "**Failed: leakage, unreadable.**" in text
    assert "broken.png: truncated" in text
    assert "| Identical across splits | 1 |" in text


def test_the_margin_goes_into_the_datasets_contract(outcome: tuple[Report, Path]) -> None:
    report, root = outcome
    written = json.loads((root / "faces" / "dataset.json").read_text())
    assert written["crop_margin"] == report.framing.margin
    assert written["source"] == "emotion.audit"
    assert written["pictures"] == report.framing.pictures
    assert abs(written["crop_margin"]) < 0.06, "drawn faces are cut along the cascade's box"


@pytest.mark.slow
def test_a_collected_datasets_margin_stays(faulty: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "faces"
    shutil.copytree(faulty, root)
    (root / "dataset.json").write_text('{"crop_margin": 0.25, "source": "emotion.collect", "pictures": 3}')
    report = audit.audit(config(root, f"folder={tmp_path / 'audit'}"))
    assert json.loads((root / "dataset.json").read_text())["crop_margin"] == 0.25
    assert "emotion.collect wrote" in report.contract
    assert f"dataset.crop_margin={report.framing.margin:g}" in capsys.readouterr().out.replace("\n", " ")


@pytest.mark.slow
def test_drop_duplicates_does_not_hide_what_is_there(outcome: tuple[Report, Path], tmp_path: Path) -> None:
    report, root = outcome
    again = audit.audit(config(root / "faces", f"folder={tmp_path}", "dataset.drop_duplicates=all"))
    assert again.finding("duplicates").count == report.finding("duplicates").count


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (("fail_on=[leakige]",), "fail_on: 'leakige' is no finding. Did you mean 'leakage'?"),
        (("fail_on=near_dupes",), "Did you mean 'near_duplicates'?"),
        (("fail_on=[label_noise]",), "fail_on: label_noise needs a run"),
        (("limits.no_face=2",), "limits.no_face: 2.0 is out of range, must be from 0 to 1"),
        (("min_side=0",), "min_side: 0 is out of range"),
        (("limits.noface=0.1",), "no such key"),
    ],
)
def test_mistakes_are_answered_before_anything_is_read(
    overrides: tuple[str, ...], said: str, faulty: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert answered(audit.main, "dataset=folder", f"dataset.root={faulty}", *overrides) == 2
    assert said in capsys.readouterr().err


def test_a_missing_root_and_an_unknown_run_are_answered(faulty: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"dataset.root: no value given"):
        checks.validate(compose("audit"))
    with pytest.raises(UserError, match="there are no runs under"):
        audit.audit(config(faulty, "run=latest", f"outputs={tmp_path}"))


def test_it_does_not_write_into_a_run(faulty: Path, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(UserError, match="is a run's folder or inside one"):
        audit.audit(config(faulty, f"folder={tmp_path / 'audit'}"))


@pytest.mark.slow
def test_a_file_in_the_folders_place_is_a_mistake(faulty: Path, tmp_path: Path) -> None:
    (tmp_path / "audit").write_text("mine")
    with pytest.raises(UserError, match="folder: cannot write to"):
        audit.audit(config(faulty, f"folder={tmp_path / 'audit'}"))
    assert (tmp_path / "audit").read_text() == "mine"


@pytest.mark.slow
def test_the_command_guards_a_pipeline(faulty: Path, tmp_path: Path) -> None:
    base = ("dataset=folder", f"dataset.root={faulty}", "dataset.max_unreadable=0.1")
    failed = emotion("audit", *base, "fail_on=[tiny,altered]", cwd=tmp_path, check=False)
    assert failed.returncode == 1
    assert "failed: tiny (fail_on)" in failed.stderr
    assert "Traceback" not in failed.stderr
    [folder] = (tmp_path / "outputs").iterdir()
    assert folder.name.endswith("_audit")
    assert {p.name for p in folder.iterdir()} == {"audit.html", "audit.md", "audit.json"}
    passed = emotion("audit", *base, "fail_on=altered", f"folder={tmp_path / 'two'}", cwd=tmp_path)
    assert "Identical across splits" in passed.stdout


@pytest.mark.slow
def test_drawn_faces_are_audited_too(tmp_path: Path) -> None:
    cfg = compose("audit", "dataset=synthetic", "dataset.per_emotion=10", f"folder={tmp_path}")
    report = audit.audit(cfg)
    assert report.finding("leakage").count == 0
    assert "set dataset.crop_margin=" in report.contract
