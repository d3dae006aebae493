"""What each policy makes of a loss, and the header that tells of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from translators import policy
from translators.model import BadRequest
from translators.policy import Loss, Policy, Rule, header, judge

R, W, I = "reject", "warn", "info"  # noqa: E741

RULES: list[tuple[Rule, str, str, str]] = [
    (policy.INFO, I, I, I),
    (policy.WARN, W, W, W),
    (policy.REJECT, R, R, R),
    (policy.STRICT_REJECT, R, W, I),
    (policy.STRICT_REJECT_WARN, R, W, W),
    (policy.BALANCED_REJECT, R, R, W),
]


@pytest.mark.parametrize(("rule", "strict", "balanced", "max_compat"), RULES)
def test_the_rules(rule: Rule, strict: str, balanced: str, max_compat: str) -> None:
    loss = Loss("n", "dropped", "why", rule)
    for name, expected in zip(policy.POLICIES, (strict, balanced, max_compat), strict=True):
        assert policy.action(loss, name) == expected
        if expected == R:
            with pytest.raises(BadRequest):
                judge([loss], name, "a", "b")
        else:
            assert judge([loss], name, "a", "b") == ([loss] if expected == W else [])


def test_a_refusal_names_the_field_and_the_way_out() -> None:
    with pytest.raises(BadRequest) as caught:
        judge([Loss("n", "dropped", "one answer only", policy.BALANCED_REJECT)], "strict", "openai-chat", "anthropic")
    error = caught.value.error
    assert error.message == (
        "Cannot translate n from openai-chat to anthropic: one answer only. Remove it or set policy=max_compat."
    )
    assert (error.status, error.kind, error.code, error.param) == (400, "unsupported", "unsupported_translation", "n")


def test_what_no_policy_helps_with_does_not_promise_it() -> None:
    with pytest.raises(BadRequest, match="why.$"):
        judge([Loss("n", "dropped", "why", policy.REJECT)], "max_compat", "a", "b")


@pytest.mark.parametrize("name", policy.POLICIES)
def test_no_loss_no_warning(name: Policy) -> None:
    assert judge([], name, "a", "b") == []


def test_the_header_has_each_pair_once() -> None:
    losses = [Loss("seed", "dropped", "x"), Loss("top_k", "clamped", "y"), Loss("seed", "dropped", "z")]
    assert header(losses) == "seed=dropped,top_k=clamped"
    assert header([]) == ""


def test_a_field_that_the_client_made_up_cannot_break_the_header() -> None:
    assert header([Loss("a\r\nset-cookie: b, é\x00", "dropped", "")]) == "a??set-cookie:b;??=dropped"


_LOSSES = st.builds(Loss, st.text(max_size=30), st.sampled_from(["dropped", "clamped"]), st.just(""))


@given(st.lists(_LOSSES, max_size=80))
def test_the_header_is_short_printable_ascii(losses: list[Loss]) -> None:
    value = header(losses)
    assert len(value) <= 1024 and all("!" <= char <= "~" for char in value)


def test_many_losses_are_cut_between_pairs() -> None:
    value = header([Loss(f"messages[{n}].content", "dropped", "") for n in range(100)])
    assert 980 < len(value) <= 1024 and all(pair.endswith("=dropped") for pair in value.split(","))
