"""Envelopes: what goes in comes out, what was damaged is known as ours and gives nothing."""

from __future__ import annotations

import base64
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from translators.anthropic.wire import mark, unmark, unsigned
from translators.carry import Call, Parcel, Thought, marked, ours, refused, seal, sealed, unseal
from translators.model import ApiError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(), lambda inner: st.lists(inner, max_size=3)
)
FACTS = st.dictionaries(st.text(max_size=8), JSON, max_size=3)
PARCELS = st.builds(
    Parcel,
    st.text(),
    st.lists(st.builds(Thought, st.text(), st.booleans(), st.booleans(), FACTS, st.integers(0, 9)), max_size=3),
    st.lists(st.builds(Call, FACTS, st.text(), st.integers(0, 9), st.text()), max_size=3),
    st.dictionaries(st.integers(0, 9), FACTS, max_size=2),
)
THOUGHT = Thought("why — \U0001f389", facts={"signature": "a/b+c=="})
FULL = Parcel("s", [THOUGHT], [Call({"x": [1]}, "id", 2, "n")], {1: {}})


@given(PARCELS, st.booleans())
def test_what_is_sealed_comes_out_again(parcel: Parcel, wrap: bool) -> None:
    token = seal(parcel, wrap)
    assert ours(token) and unseal(token) == parcel and sealed(token) is not wrap


def test_the_wrapped_form_is_standard_base64_and_survives_the_other_alphabet() -> None:
    token = seal(FULL, wrap=True)
    inner = base64.b64decode(token, validate=True)
    assert inner.startswith(b"px1.") and token.startswith("cHgxL")
    for form in (base64.urlsafe_b64encode(inner).decode(), token.rstrip("=")):
        assert ours(form) and unseal(form) == FULL


@pytest.mark.parametrize("wrap", [False, True])
def test_damage_is_found_and_gives_nothing(wrap: bool) -> None:
    token = seal(FULL, wrap)
    for damaged in (token[:-9], token[: len(token) // 2], token[:20] + "AA" + token[20:], token[:9]):
        assert ours(damaged) and unseal(damaged) is None


@given(st.text())
def test_no_text_makes_it_fail(text: str) -> None:
    for token in (text, "px1." + text, "cHgxL" + text, base64.b64encode(b"px1." + text.encode()).decode()):
        assert unseal(token) is None


def test_a_parcel_of_another_form_is_none() -> None:
    content = base64.urlsafe_b64encode(b'{"scope":1}').rstrip(b"=").decode()
    assert unseal(f"px1.{content}.{zlib.crc32(content.encode()):08x}") is None


def test_envelopes_and_bare_marks_are_told_apart() -> None:
    assert unsigned(mark()) and unsigned(mark("a thought")) and unmark(mark("a thought")) == "a thought"
    assert not unsigned(seal(FULL)) and not unsigned("EqQB/+x==")
    assert unseal(mark("a thought")) is None and ours(mark())


def test_a_body_is_looked_at_only_where_a_mark_may_be() -> None:
    assert marked(b'{"signature":"px1.abc"}') and marked(b'{"thoughtSignature":"cHgxLmFi"}')
    assert not marked(b'{"text":"I said px1. to them"}')


REFUSALS = [
    "The encrypted content for item rs_1 could not be verified. Reason: Encrypted content could not be decrypted.",
    "messages.1.content.0: Invalid `signature` in `thinking` block",
    "messages.1.content.0: this `thinking` block is bound to a different conversation",
    "Corrupted thought signature.",
    "Unable to submit request because Thought signature is not valid.. Learn more: https://example.com",
]


@pytest.mark.parametrize("message", REFUSALS)
def test_what_upstreams_say_of_a_token_that_they_cannot_read(message: str) -> None:
    assert refused(ApiError(400, "invalid_request", message))
    assert not refused(ApiError(500, "server", message))


@pytest.mark.parametrize(
    "message",
    ["Function call is missing a thought_signature in functionCall parts", "max_tokens: invalid", "thinking is not on"],
)
def test_other_refusals_are_not_about_tokens(message: str) -> None:
    assert not refused(ApiError(400, "invalid_request", message))
