"""Tools that the provider runs, on targets that run such a tool too and on those that do not."""

from __future__ import annotations

from typing import Any

import pytest

from .pairs import losses, refused, sent

SEARCH: dict[str, Any] = {
    "type": "web_search",
    "filters": {"allowed_domains": ["https://a.example/", "b.example"]},
    "user_location": {"type": "approximate", "city": "Bonn"},
    "search_context_size": "low",
}
SEARCHES: dict[str, dict[str, Any]] = {
    "rs": {"tools": [SEARCH]},
    "an": {"tools": [{"type": "web_search_20260209", "name": "web_search", "max_uses": 3,
                      "allowed_domains": ["a.example"], "user_location": {"type": "approximate", "city": "Bonn"}}]},
    "gm": {"tools": [{"google_search": {}}]},
    "cc": {"web_search_options": {"search_context_size": "low",
                                  "user_location": {"type": "approximate", "approximate": {"city": "Bonn"}}}},
}  # fmt: skip
BONN = {"type": "approximate", "city": "Bonn"}


def test_a_search_has_its_options_on_both_sides() -> None:
    (tool,) = sent("rs-an", SEARCHES["rs"])["tools"]
    assert tool["type"].startswith("web_search_2") and tool["name"] == "web_search"
    assert tool["allowed_domains"] == ["a.example", "b.example"] and tool["user_location"] == BONN
    (tool,) = sent("an-rs", SEARCHES["an"])["tools"]
    assert tool == {"type": "web_search", "filters": {"allowed_domains": ["a.example"]}, "user_location": BONN}
    (tool,) = sent("cc-rs", SEARCHES["cc"])["tools"]
    assert tool == {"type": "web_search", "user_location": BONN, "search_context_size": "low"}
    for client in ("rs", "an", "cc"):
        assert sent(f"{client}-gm", SEARCHES[client])["tools"] == [{"googleSearch": {}}]
    assert sent("gm-rs", SEARCHES["gm"])["tools"] == [{"type": "web_search"}]
    assert sent("gm-an", SEARCHES["gm"])["tools"][0]["name"] == "web_search"


def test_an_option_that_the_target_lacks_is_a_loss() -> None:
    assert losses("rs-gm", SEARCHES["rs"])["tools[0].allowed_domains"] == "r/w/w"
    assert losses("an-rs", SEARCHES["an"])["tools[0].max_uses"] == "w/w/w"
    assert losses("rs-an", SEARCHES["rs"])["tools[0].search_context_size"] == "i/i/i"
    blocked = {"tools": [{"type": "web_search_20250305", "name": "web_search", "blocked_domains": ["x.example"]}]}
    assert losses("an-rs", blocked)["tools[0].blocked_domains"] == "r/w/w"


@pytest.mark.parametrize("client", SEARCHES)
@pytest.mark.parametrize("upstream", ["cc", "ol"])
def test_a_search_alone_is_refused_where_nobody_can_run_it(client: str, upstream: str) -> None:
    if client != upstream:
        assert refused(f"{client}-{upstream}", SEARCHES[client]).code == "unsupported_translation"
        assert "tools" not in sent(f"{client}-{upstream}", SEARCHES[client], "max_compat")


@pytest.mark.parametrize(("pair", "client"), [("rs-an", "rs"), ("an-rs", "an"), ("rs-gm", "rs")])
def test_a_target_without_a_search_is_sent_none(pair: str, client: str) -> None:
    """Claude Code's WebSearch is such a request: nothing but the search, and that one forced."""
    name = {"type": "web_search"} if client == "rs" else {"type": "tool", "name": "web_search"}
    body = {**SEARCHES[client], "tool_choice": name}
    assert refused(pair, body, search=False).code == "unsupported_translation"
    made = sent(pair, body, "max_compat", search=False)
    assert "tools" not in made and "tool_choice" not in made and "toolConfig" not in made


def test_a_search_is_dropped_and_the_functions_stay() -> None:
    function = {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}}
    body = {"tools": [SEARCH, function], "tool_choice": "auto"}
    for pair in ("rs-cc", "rs-ol"):
        assert [tool["function"]["name"] for tool in sent(pair, body)["tools"]] == ["f"]
    assert [tool["name"] for tool in sent("rs-an", body, search=False)["tools"]] == ["f"]
    forced = {**body, "tool_choice": {"type": "web_search"}}
    for pair in ("rs-cc", "rs-an", "rs-gm"):
        made = sent(pair, forced, "max_compat", search=False)
        assert "tool_choice" not in made and "toolConfig" not in made


def test_a_forced_search_has_the_targets_name() -> None:
    preview = {"tools": [{"type": "web_search_preview"}], "tool_choice": {"type": "web_search_preview"}}
    assert sent("rs-an", preview)["tool_choice"] == {"type": "tool", "name": "web_search"}
    forced = {**SEARCHES["an"], "tool_choice": {"type": "tool", "name": "web_search"}}
    assert sent("an-rs", forced)["tool_choice"] == {"type": "web_search"}


def test_pages_and_code() -> None:
    google = {"tools": [{"urlContext": {}}, {"codeExecution": {}}]}
    assert [tool["name"] for tool in sent("gm-an", google)["tools"]] == ["web_fetch", "code_execution"]
    assert [tool["type"] for tool in sent("gm-rs", google)["tools"]] == ["web_search", "code_interpreter"]
    code = {"tools": [{"type": "code_interpreter", "container": {"type": "auto"}}]}
    assert [tool["name"] for tool in sent("rs-an", code)["tools"]] == ["code_execution"]
    assert sent("rs-gm", code)["tools"] == [{"codeExecution": {}}]


def test_what_cannot_be_carried_over_is_refused() -> None:
    for tool in ({"type": "file_search", "vector_store_ids": ["vs"]}, {"type": "computer"}):
        for upstream in ("cc", "an", "gm", "ol"):
            assert refused(f"rs-{upstream}", {"tools": [tool]}, "max_compat").param == "tools[0]"


# ------------------------------------------------------------------------------------------------ what a target takes


def test_pictures_by_their_address_where_the_target_takes_data_only() -> None:
    content = [{"type": "image_url", "image_url": {"url": "https://x.example/a.png", "detail": "high"}}]
    chat = {"messages": [{"role": "user", "content": content}]}
    for pair in ("cc-an", "cc-rs"):
        assert refused(pair, chat, drop=("image_url",)).code == "unsupported_translation"
        assert "x.example" in str(sent(pair, chat, "max_compat", drop=("image_url",)))
    source = {"type": "url", "url": "https://x.example/a.png"}
    claude = {"messages": [{"role": "user", "content": [{"type": "image", "source": source}]}]}
    assert refused("an-cc", claude, drop=("image_url",)).code == "unsupported_translation"
    found = losses("rs-cc", {"input": [{"role": "user", "content": [
        {"type": "input_image", "image_url": "https://x.example/a.png", "detail": "high"}]}]}, drop=("detail",))
    assert list(found.values()) == ["i/i/i"]


def test_ids_of_a_fixed_length() -> None:
    use = {"type": "tool_use", "id": "toolu_01AbC", "name": "f", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "toolu_01AbC", "content": "r"}
    talk = [{"role": "user", "content": "go"}, {"role": "assistant", "content": [use]},
            {"role": "user", "content": [result]}]  # fmt: skip
    messages = sent("an-cc", {"messages": talk}, call_id_length=9)["messages"]
    id = messages[1]["tool_calls"][0]["id"]
    assert len(id) == 9 and id.isalnum() and messages[2]["tool_call_id"] == id
    talk = [talk[0], {"role": "assistant", "content": [{**use, "id": "abcDEF123"}]}]
    assert sent("an-cc", {"messages": talk}, call_id_length=9)["messages"][1]["tool_calls"][0]["id"] == "abcDEF123"


def test_of_two_tools_with_one_name_the_first_counts() -> None:
    functions = [{"type": "function", "function": {"name": "f", "description": text}} for text in ("one", "two")]
    tools = sent("cc-rs", {"tools": functions})["tools"]
    assert [tool["description"] for tool in tools] == ["one"]


def test_a_limit_of_calls_is_one_of_the_search_where_that_is_the_only_tool() -> None:
    body = {**SEARCHES["rs"], "max_tool_calls": 2}
    assert sent("rs-an", body)["tools"][0]["max_uses"] == 2 and "max_tool_calls" not in losses("rs-an", body)
    function = {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}}
    assert losses("rs-an", {"tools": [SEARCH, function], "max_tool_calls": 2})["max_tool_calls"] == "w/w/w"
