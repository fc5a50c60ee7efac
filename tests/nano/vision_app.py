"""The route: a picture's fields and text; the page is served."""

import io
from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from PIL import Image, ImageDraw, ImageFont

from tools.nano import routes, server


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEEDBED_MODEL", "smollm2")
        app = server.create_app()
        routes.add_routes(app)
        yield TestClient(app)


def test_fields_of_a_picture_are_found(client: TestClient) -> None:
    picture, buffer = Image.new("RGB", (900, 200), "white"), io.BytesIO()
    ImageDraw.Draw(picture).text((40, 80), "TOTAL 1190.00 EUR", "black", ImageFont.load_default(36))
    picture.save(buffer, "PNG")
    response = client.post("/extract", files={"picture": buffer.getvalue()}).json()
    assert (response["fields"]["total"], response["fields"]["currency"]) == ("1190.00", "EUR")
    assert "TOTAL" in response["text"]


def test_other_file_is_refused(client: TestClient) -> None:
    response = client.post("/extract", files={"picture": b"not a picture"})
    assert (response.status_code, "cannot identify" in response.text) == (400, True)


def test_page_is_served(client: TestClient) -> None:
    assert "gradio" in client.get("/").text
