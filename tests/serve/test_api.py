"""What programs ask: pictures, videos, a socket, the model, the V2 protocol, counts; and that the document says so."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import httpx
import jsonschema
import numpy as np
import openapi_spec_validator
import pytest

from emotion import load
from emotion.faces import decoding
from emotion.inference.session import Settings
from emotion.serve import app
from emotion.serve.guard import Access
from emotion.video import source
from tests.conftest import REPOSITORY
from tests.helpers.serving import PATIENCE, Serving, face, film, model, serving

DOCUMENT = json.loads((REPOSITORY / "emotion" / "serve" / "openapi.json").read_text())


@pytest.fixture(scope="module")
def server() -> Iterator[Serving]:
    with serving() as running:
        yield running


@pytest.fixture(scope="module")
def client(server: Serving) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=PATIENCE) as http:
        yield http


def _valid(answer: Any, name: str) -> None:
    """Hold an answer against the document."""
    schema = {"$ref": f"#/components/schemas/{name}", "components": DOCUMENT["components"]}
    jsonschema.Draft202012Validator(schema).validate(answer)


def _refused(answer: httpx.Response, status: int, field: str | None = None) -> str:
    assert answer.status_code == status, answer.text
    _valid(answer.json(), "Error")
    assert answer.json()["error"]["field"] == field
    return str(answer.json()["error"]["message"])


def test_the_document_is_openapi_and_names_every_route(server: Serving, client: httpx.Client) -> None:
    openapi_spec_validator.validate(DOCUMENT)
    assert client.get("/openapi.json").json() == DOCUMENT
    guarded: Any = app.create(server.service, Access(frozenset()))
    served = {re.sub(":path", "", route.path) for route in guarded._app.routes}
    viewers = {"/stream.mjpg"}  # where the machine's own camera is shown
    assert served == {*DOCUMENT["paths"], "/v1/live"} - viewers
    for path, methods in DOCUMENT["paths"].items():
        if "get" in methods and path not in viewers:
            answer = client.get(path.replace("{name}", model().id))
            assert answer.status_code == 200, path
            kinds = methods["get"]["responses"]["200"]["content"]
            assert answer.headers["content-type"].partition(";")[0] in kinds
    _valid(client.get("/v1/model").json(), "Model")


@pytest.mark.slow
def test_pictures_get_what_the_python_api_gives(client: httpx.Client) -> None:
    files = [("pictures", (f"{n}.jpg", face(n))) for n in range(4)]
    answer = client.post("/v1/pictures", files=files).json()
    _valid(answer, "Pictures")
    assert [p["name"] for p in answer["pictures"]] == ["0.jpg", "1.jpg", "2.jpg", "3.jpg"]
    expected = model().predict([decoding.decode(face(n)) for n in range(4)])
    assert [p["faces"] for p in answer["pictures"]] == [[f.record(model().labels) for f in p] for p in expected]
    assert sum(len(p) for p in expected) >= 4


def test_one_raw_picture_and_its_options(client: httpx.Client) -> None:
    kinds = {"image/jpeg": ".jpg", "image/png": ".png", "image/webp": ".webp"}
    for kind, ending in kinds.items():
        data = bytes(cv2.imencode(ending, decoding.decode(face(1)))[1])
        (picture,) = client.post("/v1/pictures", content=data, headers={"Content-Type": kind}).json()["pictures"]
        assert picture["name"] is None
        assert len(picture["faces"]) == 1
    options = {"faces": "whole", "min_confidence": "1"}
    answer = client.post("/v1/pictures", content=face(1), headers={"Content-Type": "image/jpeg"}, params=options)
    (whole,) = answer.json()["pictures"][0]["faces"]
    assert whole["box"] == [0, 0, 320, 240]
    assert whole["label"] == "uncertain"


def test_a_damaged_picture_does_not_lose_the_others(client: httpx.Client) -> None:
    files = [("pictures", ("good.jpg", face(1))), ("pictures", ("../../etc/passwd\n.jpg", b"no"))]
    answer = client.post("/v1/pictures", files=[*files, ("pictures", ("cut.jpg", face(2)[:999]))]).json()
    _valid(answer, "Pictures")
    good, text, cut = answer["pictures"]
    assert good["error"] is None
    assert "/" not in text["name"]
    assert text["error"]["code"] == "type"
    assert cut["error"] == {"code": "damaged", "message": "the picture is damaged: truncated", "field": None}


@pytest.mark.parametrize(
    ("query", "field", "words"),
    [
        ({"face": "whole"}, "face", "Did you mean 'faces'"),
        ({"faces": "all"}, "faces", "must be search or whole"),
        ({"min_confidence": "2"}, "min_confidence", "from 0 to 1"),
        ({"min_confidence": "nan"}, "min_confidence", "must be a number"),
    ],
)
def test_wrong_options(client: httpx.Client, query: dict[str, str], field: str, words: str) -> None:
    answer = client.post("/v1/pictures", content=face(), headers={"Content-Type": "image/jpeg"}, params=query)
    assert words in _refused(answer, 422, field)


def test_wrong_addresses_methods_and_kinds(client: httpx.Client) -> None:
    assert "openapi.json" in _refused(client.get("/v1/picture"), 404)
    _refused(client.get("/v1/pictures"), 405)
    _refused(client.post("/v1/pictures", content=b"{}", headers={"Content-Type": "text/json"}), 415, "Content-Type")
    _refused(client.post("/v1/pictures", files={"picture": face()}), 422, "pictures")
    _refused(client.post("/v1/pictures", data={"pictures": "/etc/passwd"}, files={"x": b""}), 422, "pictures")
    broken = {"Content-Type": "multipart/form-data; boundary=x"}
    _refused(client.post("/v1/pictures", content=b"--x\r\nbroken", headers=broken), 400, "pictures")
    _refused(client.post("/v1/pictures", content=b"", headers={"Content-Type": "multipart/form-data"}), 400, "pictures")


@pytest.mark.slow
def test_a_video_is_answered_line_by_line(client: httpx.Client, drawn: Any) -> None:
    expected = [[face.record(model().labels) for face in faces] for _, faces in model().video(drawn[0])]
    data = drawn[0].read_bytes()
    for how in ({"files": {"video": ("a.mp4", data)}}, {"content": data, "headers": {"Content-Type": "video/mp4"}}):
        with client.stream("POST", "/v1/videos", **how) as answer:
            assert answer.headers["content-type"].startswith("application/x-ndjson")
            lines = [json.loads(line) for line in answer.iter_lines()]
        for line in lines:
            _valid(line, "Frame")
        assert [line["faces"] for line in lines] == expected
        assert [line["time"] for line in lines] == pytest.approx([f.time for f in source.frames(drawn[0])], abs=1e-6)
    some = client.post("/v1/videos", content=data, params={"stride": 5, "max_frames": 11}).text.splitlines()
    assert [json.loads(line)["frame"] for line in some] == [0, 5, 10, 15, 20]


def test_what_is_no_video(client: httpx.Client, tmp_path: Path) -> None:
    playlist = b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/passwd\n"
    concat = b"ffconcat version 1.0\nfile /etc/passwd\n"
    for data in (b"", b"text", playlist, concat, face(), b"v=0\r\nc=IN IP4 127.0.0.1\r\n"):
        _refused(client.post("/v1/videos", content=data), 415, "video")
    said = _refused(client.post("/v1/videos", content=b"\0\0\0\x18ftypmp42" + bytes(500)), 400, "video")
    assert said.startswith("the video is not a video or image that can be opened")
    assert "/" not in said


@pytest.mark.slow
def test_the_socket_labels_a_camera(server: Serving, drawn: Any) -> None:
    frames = film(drawn[0])
    times = [frame.time for frame in source.frames(drawn[0])]
    session = model().session()
    with server.visitor() as visitor:
        for number, (data, time) in enumerate(zip(frames, times, strict=True)):
            answer = visitor.ask(data, 1000 * time)
            _valid(answer, "Frame")
            assert (answer["frame"], answer["width"], answer["height"]) == (number, 640, 360)
            expected = session.step(decoding.decode(data), time)
            assert answer["faces"] == [f.record(model().labels) for f in expected]


def test_a_visitor_chooses_and_a_wrong_message_is_answered(server: Serving) -> None:
    with server.visitor() as visitor:
        visitor.socket.send(json.dumps({"min_confidence": 1, "smoothing": 0}))
        assert visitor.answer() == {"settings": {"smoothing": 0.0, "min_confidence": 1.0, "prior": "as served"}}
        assert {f["label"] for f in visitor.ask(face(1))["faces"]} == {"uncertain"}
        for text in ("", "[]", '{"smoothing": 61}', '{"smoothing": true}', '{"colour": 1}', "[" * 50_000):
            visitor.socket.send(text)
            _valid(visitor.answer(), "Error")
        for data in (b"", b"12345678", bytes(9), b"\x7f\xf8" + bytes(6) + face(1), bytes(8) + face(1)[:500]):
            visitor.socket.send(data)
            _valid(visitor.answer(), "Error")
        assert len(visitor.ask(face(1), 5.0)["faces"]) == 1, "it goes on"


@pytest.mark.slow
def test_a_visitor_chooses_the_class_prior(server: Serving, client: httpx.Client) -> None:
    offered = client.get("/v1/model").json()["priors"]
    if model().contract.prior is None:
        pytest.skip("the model that ships records no prior")
    assert offered == ["as served", "training", "balanced", "estimate"]
    with server.visitor() as visitor:
        answers = {}
        for prior in offered:
            visitor.socket.send(json.dumps({"prior": prior}))
            assert visitor.answer()["settings"]["prior"] == prior
            (answers[prior],) = (f["raw"] for f in visitor.ask(face(1))["faces"])
        visitor.socket.send('{"prior": "mine"}')
        assert visitor.answer()["error"]["field"] == "prior"
    (expected,) = load("pretrained", prior="balanced").predict(decoding.decode(face(1)))[0]
    assert list(answers["balanced"].values()) == pytest.approx(expected.raw, abs=1e-5)
    assert answers["balanced"] != answers["training"]


def test_another_size_and_a_jump_in_time_are_no_fault(server: Serving) -> None:
    with server.visitor() as visitor:
        first = visitor.ask(face(1), 1000.0)["faces"]
        turned = visitor.ask(face(1, 240, 320), 1040.0)
        assert (turned["width"], turned["height"]) == (240, 320)
        back = visitor.ask(face(1), 10.0)["faces"]
        assert back[0]["track"] > first[0]["track"]


def test_v2_classifies_prepared_images(server: Serving, client: httpx.Client) -> None:
    name, contract = model().id, model().contract
    described = client.get(f"/v2/models/{name}").json()
    assert described["inputs"] == [{"name": "image", "datatype": "UINT8", "shape": [-1, *contract.shape]}]
    assert described["outputs"][0]["name"] == "probabilities"
    batch = np.random.default_rng(0).integers(0, 256, (5, *contract.shape), np.uint8)
    expected = model().classifier.probabilities(batch)
    asked = {"name": "image", "datatype": "UINT8", "shape": list(batch.shape), "data": batch.ravel().tolist()}
    for data in (asked["data"], batch.tolist()):
        body = {"id": "7", "inputs": [asked | {"data": data}]}
        answer = client.post(f"/v2/models/{name}/infer", json=body).json()
        _valid(body, "InferRequest")
        _valid(answer, "InferAnswer")
        assert answer["id"] == "7"
        (output,) = answer["outputs"]
        assert output["shape"] == [5, 7]
        assert np.allclose(output["data"], expected.ravel(), atol=1e-7)
    assert client.get("/v2/health/ready").json() == {"ready": True}
    wrong: Any
    for wrong in (
        None, [], {"inputs": []}, {"inputs": [asked | {"name": "x"}]}, {"inputs": [asked | {"shape": [5]}]},
        {"inputs": [asked | {"shape": [10**9, *contract.shape]}]}, {"inputs": [asked | {"data": [1, 2]}]},
        {"inputs": [asked | {"data": [256] * batch.size}]}, {"inputs": [asked | {"data": [[1], [1, 2]]}]},
        {"inputs": [asked | {"data": ["a"] * batch.size}]}, {"inputs": [asked | {"shape": ["5", *contract.shape]}]},
    ):  # fmt: skip
        refused = client.post(f"/v2/models/{name}/infer", json=wrong)
        assert refused.status_code == 422
        _valid(refused.json(), "Error")
    _refused(client.get("/v2/models/other"), 404, "name")


@pytest.mark.slow
def test_counts_in_prometheus_format(drawn: Any) -> None:
    with serving(settings=Settings(min_confidence=0.0)) as server:
        httpx.post(f"{server.url}/v1/pictures", files=[("pictures", ("a", face(1))), ("pictures", ("b", b"no"))])
        httpx.get(f"{server.url}/nothing")
        with server.visitor() as visitor:
            visitor.ask(face(2))
            text = httpx.get(f"{server.url}/metrics").text
    sample = re.compile(r'[a-z_]+(\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\})? [0-9.e+-]+$')
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert all(sample.match(line) for line in lines)
    assert len({line.rpartition(" ")[0] for line in lines}) == len(lines)
    values = {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines}
    assert values['emotion_requests_total{route="pictures",status="2xx"}'] == 1
    assert values['emotion_requests_total{route="other",status="4xx"}'] == 1
    assert values['emotion_pictures_total{route="pictures"}'] == 1
    assert values['emotion_pictures_total{route="live"}'] == 1
    assert values['emotion_refused_total{code="type"}'] == 1
    assert values["emotion_sessions"] == 1
    assert values["emotion_work_seconds_count"] == values['emotion_work_seconds_bucket{le="+Inf"}'] == 2
    assert sum(v for k, v in values.items() if k.startswith("emotion_faces_total")) == 2


@pytest.mark.slow
def test_many_at_once_get_their_own_answers(server: Serving) -> None:
    found: dict[int, list[int]] = {}

    def visit(number: int) -> None:
        with server.visitor() as visitor:
            answers = [visitor.ask(face(number), 100.0 * i) for i in range(5)]
        found[number] = [len(answer["faces"]) for answer in answers]

    threads = [threading.Thread(target=visit, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    expected = {n: [len(model().predict(decoding.decode(face(n)))[0])] * 5 for n in range(6)}
    assert found == expected


@pytest.mark.slow
def test_the_clients_of_the_documentation_run(server: Serving, tmp_path: Path) -> None:
    page = (REPOSITORY / "docs" / "serving.md").read_text().replace("http://localhost:8000", server.url)
    (tmp_path / "a.jpg").write_bytes(face(1))
    (tmp_path / "b.jpg").write_text("no picture")
    for language, ending, program in (("python", "py", sys.executable), ("js", "mjs", shutil.which("node"))):
        code = re.findall(rf"```{language}\n(.*?)```", page, re.S)[0]
        assert code.count("\n") <= 11
        (tmp_path / f"client.{ending}").write_text(code)
        if program:
            line = [program, f"client.{ending}"]
            done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=PATIENCE)
            assert re.search(
                r"a\.jpg.*(neutral|happy|sad|angry|surprised|fearful|disgusted|uncertain)", done.stdout, re.S
            )
            assert "b.jpg not one of image/jpeg" in done.stdout
