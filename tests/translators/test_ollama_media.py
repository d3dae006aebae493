"""What the shared reading of media makes of odd base64, which Ollama's bare images depend on."""

from __future__ import annotations

import pytest

from translators.media import media_type, plain_text
from translators.model import Blob


@pytest.mark.parametrize(
    ("blob", "kind"),
    [
        (Blob(data="iVBORw0KGgo="), "image/png"),
        (Blob("image/png", "/9j/4AAQ"), "image/jpeg"),
        (Blob("Image/JPG; q=1", "AAAA"), "image/jpeg"),
        (Blob(data="AAAA"), None),
    ],
)
def test_the_bytes_say_more_than_the_label(blob: Blob, kind: str | None) -> None:
    assert media_type(blob) == kind


@pytest.mark.parametrize(
    ("blob", "text"),
    [
        (Blob(text="t"), "t"),
        (Blob("text/plain", "aGVs\nbG8"), "hello"),
        (Blob("text/plain", "aGVsbG8xx"), None),
        (Blob("image/png", "aGk="), None),
        (Blob(url="http://x"), None),
    ],
)
def test_the_text_of_a_file(blob: Blob, text: str | None) -> None:
    assert plain_text(blob) == text
