"""What the list of flows says of an exchange, and whose comment and marker it is."""

from __future__ import annotations

import re
from typing import Any

import pytest
from mitmproxy import flowfilter
from mitmproxy.http import HTTPFlow
from mitmproxy.test.tflow import tflow
from mitmproxy.utils.emoji import emoji

from addons import recorder
from addons.exchange import METADATA
from addons.flow_list import MARKERS, SIGNS, comment, marker, noteworthy
from addons.views import VIEWS
from tests.harness import ROOT

_ATTEMPT = {"upstream": "zhipu", "model": "glm", "protocol": "openai-chat"}
_USAGE = {"input": 1000, "cache_read": 3000, "cache_write": 0, "output": 80, "reasoning": 20, "estimated": False}


def record(**changed: Any) -> dict[str, Any]:
    return {
        "client": {"protocol": "anthropic", "purpose": "generate", "model": "claude-x", "stream": True},
        "attempts": [_ATTEMPT],
        "warnings": [],
        "status": 200,
        "error": None,
        "cancelled": False,
        "timings": {"started": 100.0, "head": 101.0, "ended": 103.0},
        "usage": _USAGE,
        "conversation": {"id": "a1b2c3", "number": 3},
        **changed,
    }


def test_a_comment_can_be_read() -> None:
    said = comment(record(), "claude-cli/2.1.3 (external, cli)")
    assert said == (
        "claude-x → zhipu/glm · turn 3 #a1b2c3 · 4,000 (75% cached) + 100 tokens · anthropic → openai-chat · claude-cli"
    )
    priced = record(cost=0.01234)
    priced["client"]["app"] = "claude-code"
    said = comment(priced, "claude-cli/2.1.3")
    assert "tokens · $0.0123 ·" in said and said.endswith("· claude-code · claude-cli")


@pytest.mark.parametrize(
    ("changed", "name", "words"),
    [
        ({"error": {"kind": "overloaded"}, "status": 529, "usage": None}, "failed", "529 overloaded"),
        ({"attempts": [_ATTEMPT, _ATTEMPT]}, "retried", "retried, 2 attempts"),
        ({"warnings": [["top_k", "dropped", ""], ["seed", "dropped", ""]]}, "lossy", "lossy: top_k, seed"),
        ({"timings": {"started": 100.0, "head": 111.0, "ended": 112.0}}, "slow", "slow"),
        ({"timings": {"started": 100.0, "head": None, "ended": 112.0}}, "slow", "slow"),
    ],
)
def test_what_is_worth_a_look_is_marked_and_said(changed: dict[str, Any], name: str, words: str) -> None:
    found = record(**changed)
    assert noteworthy(found) == [name] and marker(found) == MARKERS[name]
    assert words in comment(found)


def test_nothing_is_marked_where_all_is_well() -> None:
    assert marker(record()) == "" and noteworthy(record()) == []
    assert all(name in emoji for name in MARKERS.values())


def test_other_ends() -> None:
    assert "hung up" in comment(record(cancelled=True))
    assert "running" in comment(record(timings={"started": 1.0, "head": None, "ended": None}))
    assert comment(record(attempts=[], usage=None, conversation=None)) == "claude-x · anthropic"
    both = record(error={"kind": "server"}, warnings=[["a", "b", "c"]])
    assert marker(both) == MARKERS["failed"] and comment(both).startswith("❌✂ claude-x")
    assert "lossy: a" in comment(both) and {name: emoji[mark] for name, mark in MARKERS.items()} == SIGNS


def test_mitmproxys_filters_find_by_comment_and_marker() -> None:
    flow = _listed(record(warnings=[["top_k", "dropped", ""]]))
    for words in ("~comment claude-x", '~comment "→ zhipu/"', "~comment #a1b2c3", "~comment lossy", "~marker scissors"):
        assert flowfilter.match(words, flow), words
    for words in ("~comment openrouter", "~marker repeat", "~comment #ffffff"):
        assert not flowfilter.match(words, flow), words


def test_the_docs_name_the_views_the_markers_and_filters_that_work() -> None:
    page = (ROOT / "docs" / "inspect.md").read_text("utf-8")
    rows = [line.split(" |")[0][2:].split(" (")[0] for line in page.split("\n") if line.startswith("| LLM")]
    assert rows == [view.name for view in VIEWS]
    assert dict(re.findall(r"^\| `(:\w+:)` \| (\S+) \|", page, re.M)) == {MARKERS[n]: SIGNS[n] for n in MARKERS}
    filters = re.findall(r"`(~[a-z]+ [^`]+)`", page)
    assert len(filters) > 9
    for words in filters:
        flowfilter.parse(words)


def _listed(found: dict[str, Any], flow: HTTPFlow | None = None) -> HTTPFlow:
    flow = flow or tflow(resp=True)
    flow.metadata[METADATA] = found | {k: v for k, v in _old(flow).items() if k in ("comment", "marker")}
    recorder.Recorder().note(flow)
    return flow


def _old(flow: HTTPFlow) -> dict[str, Any]:
    return flow.metadata.get(METADATA) or {}


def test_the_users_comment_and_marker_stay() -> None:
    flow = tflow(resp=True)
    flow.comment, flow.marked = "look here", ":star:"
    _listed(record(warnings=[["a", "b", "c"]]), flow)
    assert (flow.comment, flow.marked) == ("look here", ":star:") and recorder.pinned(flow)


def test_ours_change_with_the_exchange_and_pin_nothing() -> None:
    flow = _listed(record(timings={"started": 1.0, "head": None, "ended": None}))
    assert "running" in flow.comment
    _listed(record(warnings=[["a", "b", "c"]]), flow)
    assert "running" not in flow.comment and flow.marked == MARKERS["lossy"] and not recorder.pinned(flow)
    assert recorder.clear(flow) is not None
    assert (flow.comment, flow.marked, METADATA in flow.metadata) == ("", "", False)


def test_a_flow_of_somebody_else() -> None:
    flow = tflow(resp=True)
    recorder.Recorder().note(flow)
    assert flow.comment == "GET /path" and not recorder.pinned(flow)
    flow.marked = ":star:"
    assert recorder.pinned(flow) and recorder.clear(flow) is None and flow.marked == ":star:"
