"""Requests and answers, over HTTP."""

import base64
import json
import re

import numpy as np
import pytest

from serving.conftest import Client, png, served

DARK = np.full((8, 10), 51, dtype=np.uint8)  # a fifth of 255
LIGHT = np.full((8, 10), 204, dtype=np.uint8)
JSON, PNG = "application/json", "image/png"


def form(*parts: tuple[str, str, bytes]) -> tuple[bytes, str]:
    """Return a form of parts (field, name of the file, data), and its content type."""
    body = b""
    for field, file, data in parts:
        called = f'; filename="{file}"' if file else ""
        head = f'--xyz\r\nContent-Disposition: form-data; name="{field}"{called}\r\n\r\n'
        body += head.encode() + data + b"\r\n"
    return body + b"--xyz--\r\n", "multipart/form-data; boundary=xyz"


def test_a_picture_gets_its_probabilities(client: Client) -> None:
    for kind in (PNG, "image/jpeg", "application/octet-stream", "IMAGE/PNG; q=1"):
        status, answer = client.predict(png(DARK), kind)
        assert status == 200
        (prediction,) = answer["predictions"]
        assert prediction["label"] == "dark"
        assert prediction["probability"] == pytest.approx(0.8)
        assert prediction["probabilities"] == pytest.approx({"dark": 0.8, "bright": 0.2})
        assert "warning" not in prediction


def test_a_light_background_is_warned_of(client: Client) -> None:
    _, answer = client.predict(png(LIGHT), PNG)
    (prediction,) = answer["predictions"]
    assert prediction["label"] == "bright"
    assert prediction["warning"].startswith("the background is light")


def test_forms_and_lists_hold_several(client: Client) -> None:
    pictures = [png(DARK), png(LIGHT, "JPEG"), png(DARK)]
    parts = [("image", f"{k}.png", picture) for k, picture in enumerate(pictures)]
    texts = {"images": [base64.b64encode(each).decode() for each in pictures]}
    numbers = {"images": [np.full((4, 5), level).tolist() for level in (51, 204, 51)]}
    bodies = [form(*parts), (json.dumps(texts), JSON), (json.dumps(numbers), JSON)]
    for body, kind in bodies:
        status, answer = client.predict(body, kind)
        assert status == 200
        assert [each["label"] for each in answer["predictions"]] == ["dark", "bright", "dark"]
        assert answer["predictions"][1]["probability"] == pytest.approx(0.8, abs=0.01)


ONE = png(DARK)


@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        (400, b"", PNG, "is empty"),
        (400, b"{", JSON, "not JSON"),
        (400, b"no form", "multipart/form-data; boundary=xyz", "form cannot be read"),
        (400, ONE, "multipart/form-data", "form cannot be read: Missing boundary"),
        (400, ONE, f"multipart/form-data; boundary={'x' * 999}", "form cannot be read"),
        (400, b"--xyz\r\n\r\nhead is missing\r\n--xyz--\r\n", form()[1], "form cannot be read"),
        (413, bytes(20_001), PNG, "more than 20,000 bytes"),
        (413, bytes(160_000), JSON, "more than 20,000 bytes"),
        (415, ONE, None, "Content-Type must be that of a picture"),
        (415, ONE, "text/plain", "not 'text/plain'"),
        (415, ONE, "application/x-www-form-urlencoded", "such as image/png"),
        (422, ONE[:45], PNG, "cannot be decoded"),
        (422, b"no picture", PNG, "is not a picture that can be read"),
        (422, b"<svg/>", "image/svg+xml", "SVG"),
        (422, png(np.zeros((200, 100), np.uint8)), PNG, "the limit is 0.01"),
        (422, b"{}", JSON, '{"images": …}'),
        (422, json.dumps({"images": [[[0] * 5] * 4] * 6}).encode(), JSON, "6 images are too many"),
        (422, form()[0], form()[1], "field 'image'"),
        (422, form(("picture", "a.png", ONE))[0], form()[1], "field 'image'"),
        (422, form(("image", "", ONE))[0], form()[1], "field 'image'"),
        (422, form(("image", "../../etc/passwd", b"?"))[0], form()[1], "the picture is not"),
        (400, form(*[("image", "a.png", ONE)] * 6)[0], form()[1], "Too many files"),
    ],
)
def test_what_is_wrong_is_told(
    client: Client, status: int, body: bytes, kind: str | None, words: str
) -> None:
    found, answer = client.predict(body, kind)
    assert (found, list(answer)) == (status, ["error"])
    assert words in answer["error"]
    assert not re.search(r"/\w+/|Traceback|\.py", answer["error"].replace("image/png", ""))


def test_compressed_bodies_and_other_methods_and_paths_are_refused(client: Client) -> None:
    status, answer = client.predict(ONE, PNG, Content_Encoding="gzip")
    assert (status, "gzip" in answer["error"]) == (415, True)
    status, headers, body = client.ask("GET", "/predict")
    assert (status, headers["allow"]) == (405, "POST")
    assert "error" in json.loads(body)
    for path in ("/predict/", "/nowhere", "/../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "//", "/%ff"):
        status, _, body = client.ask("GET", path)
        assert (status, list(json.loads(body))) == (404, ["error"]), path


def test_a_body_too_large_is_not_waited_for(client: Client) -> None:
    for headers in (
        {"Content_Length": str(10**15)},
        {"Content_Length": "30000", "Expect": "100-continue"},
    ):
        status, _, body = client.ask("POST", "/predict", b"", PNG, **headers)
        assert (status, list(json.loads(body))) == (413, ["error"])


def test_a_body_in_chunks_is_limited_too(client: Client) -> None:
    assert client.ask("POST", "/predict", iter([ONE[:50], ONE[50:]]), PNG)[0] == 200
    assert client.ask("POST", "/predict", iter([bytes(5000)] * 5), PNG)[0] == 413


def test_health_and_description_and_page(client: Client) -> None:
    status, _, body = client.ask("GET", "/health")
    assert (status, json.loads(body)) == (
        200,
        {"status": "ready", "image_shape": [1, 4, 5], "classes": ["dark", "bright"]},
    )
    described = json.loads(client.ask("GET", "/openapi.json")[2])
    assert described["openapi"].startswith("3.1")
    assert set(described["paths"]) == {"/", "/predict", "/health", "/metrics", "/openapi.json"}
    for path, methods in described["paths"].items():
        for method, each in methods.items():
            if method == "get":
                status, headers, _ = client.ask("GET", path)
                (kind,) = each["responses"]["200"]["content"]
                assert (status, headers["content-type"].partition(";")[0]) == (200, kind)
    status, _, page = client.ask("GET", "/", Host="<b>.example")
    assert "http://&lt;b&gt;.example/predict" in page.decode()
    assert "dark, bright" in page.decode()


def test_what_happens_is_counted() -> None:
    with served() as client:
        for body in (ONE, ONE, b"?"):
            client.predict(body, PNG)
        client.predict(form(("image", "a", ONE), ("image", "b", ONE))[0], form()[1])
        client.ask("GET", "/nowhere")
        assert client.metric('lenetscope_requests_total{path="/predict",status="200"}') == 3
        assert client.metric('lenetscope_requests_total{path="/predict",status="422"}') == 1
        assert client.metric('lenetscope_requests_total{path="other",status="404"}') == 1
        assert client.metric("lenetscope_images_total") == 4
        assert client.metric("lenetscope_batch_images_count") == 3
        assert client.metric("lenetscope_batch_images_sum") == 4
        assert client.metric('lenetscope_request_seconds_count{path="/predict"}') == 4
        assert client.metric("lenetscope_requests_in_progress") == 0


def test_a_fault_of_the_program_is_not_told_to_clients(caplog: pytest.LogCaptureFixture) -> None:
    def broken(_images: np.ndarray) -> np.ndarray:
        raise RuntimeError("secret /path")

    with served(broken) as client:
        status, answer = client.predict(ONE, PNG)
        assert (status, answer) == (500, {"error": "the server made a mistake, and has logged it."})
        assert client.metric('lenetscope_requests_total{path="/predict",status="500"}') == 1
    assert "secret /path" in caplog.text
