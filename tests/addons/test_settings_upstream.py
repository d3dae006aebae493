"""One upstream: base URLs as people paste them, and what its models take."""

import pytest

from addons.catalog import catalogue
from addons.settings_model import ModelLimits, Surface, ToolSurface
from addons.settings_upstream import MAX_KNOWN, Upstream, ascii_host, root_path, split_url

# protocol, path as pasted -> path that the codec continues
PATHS = [
    ("openai-chat", "", ""),
    ("openai-chat", "/", ""),
    ("openai-chat", "/v1", "/v1"),
    ("openai-chat", "/v1/", "/v1"),
    ("openai-chat", "/api/paas/v4", "/api/paas/v4"),
    ("openai-chat", "/v1/chat/completions", "/v1"),
    ("openai-chat", "/chat/completions/", ""),
    ("openai-chat", "/v1/responses", "/v1/responses"),
    ("openai-chat", "/v1beta/openai", "/v1beta/openai"),
    ("openai-responses", "/v1", "/v1"),
    ("openai-responses", "/v1/responses", "/v1"),
    ("openai-responses", "/openai", "/openai"),
    ("anthropic", "", "/v1"),
    ("anthropic", "/", "/v1"),
    ("anthropic", "/v1", "/v1"),
    ("anthropic", "/v1/", "/v1"),
    ("anthropic", "/v1/messages", "/v1"),
    ("anthropic", "/v1/messages/count_tokens", "/v1"),
    ("anthropic", "/api/anthropic", "/api/anthropic/v1"),
    ("anthropic", "/api/anthropic/v1", "/api/anthropic/v1"),
    ("anthropic", "/anthropic/messages", "/anthropic/v1"),
    ("gemini", "", "/v1beta"),
    ("gemini", "/v1", "/v1"),
    ("gemini", "/v1beta", "/v1beta"),
    ("gemini", "/v1alpha", "/v1alpha"),
    ("gemini", "/v1beta1", "/v1beta1"),
    ("gemini", "/google", "/google/v1beta"),
    ("gemini", "/v1beta/models", "/v1beta"),
    ("gemini", "/v1beta/models/gemini-3.8-flash:generateContent", "/v1beta"),
    ("ollama", "", "/api"),
    ("ollama", "/api", "/api"),
    ("ollama", "/api/", "/api"),
    ("ollama", "/api/chat", "/api"),
    ("ollama", "/api/generate", "/api"),
    ("ollama", "/v1", "/api"),
    ("ollama", "/v1/chat/completions", "/api"),
    ("ollama", "/x/v1", "/x/api"),
    ("ollama", "/ollama", "/ollama/api"),
]


@pytest.mark.parametrize(("protocol", "pasted", "path"), PATHS)
def test_a_base_url_is_brought_to_one_form(protocol: str, pasted: str, path: str) -> None:
    assert root_path(pasted, protocol) == path
    assert root_path(path, protocol) == path, "bringing it there again changes nothing"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("api.example/v1", "must begin with http:// or https://"),
        ("//api.example/v1", "must begin with"),
        ("http:///v1", "must begin with"),
        ("file:///etc/passwd", "must begin with"),
        ("http://u:p@h/v1", "must not hold a user name"),
        ("http://@h/v1", "must not hold a user name"),
        ("http://h/v1?x=1", "must not have a query"),
        ("http://h/v1?", "must not have a query"),
        ("http://h/v1#x", "must not have a query"),
        ("http://h:x/v1", "is no valid URL"),
        ("http://h:0/v1", "is no valid URL"),
        ("http://[::1/v1", "is no valid URL"),
        ("http://h/a b", "has a space"),
        ("http://h/a\nb", "has a space"),
        ("http://h/a\x7fb", "has a space"),
    ],
)
def test_a_url_that_is_none(url: str, said: str) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        split_url(url)
    assert "u:p" not in str(caught.value)


def test_a_path_must_not_climb() -> None:
    for path in ("/../v1", "/v1/..", "/./v1"):
        with pytest.raises(ValueError, match=r"must not have \. or \.\."):
            root_path(path, "anthropic")


def test_hosts() -> None:
    assert ascii_host(split_url("https://Bücher.example/v1")) == "xn--bcher-kva.example"
    with pytest.raises(ValueError, match="host name that is not valid"):
        ascii_host(split_url(f"https://{'ü' * 80}.example"))


AUTHORITIES = [
    ("http", "h", 80, "h"),
    ("https", "h", 443, "h"),
    ("http", "h", 443, "h:443"),
    ("https", "::1", 443, "[::1]"),
    ("http", "::1", 8080, "[::1]:8080"),
]


@pytest.mark.parametrize(("scheme", "host", "port", "authority"), AUTHORITIES)
def test_the_host_header(scheme: str, host: str, port: int, authority: str) -> None:
    upstream = Upstream("a", "anthropic", scheme, host, port, "/v1")
    assert upstream.authority == authority and upstream.root == f"{scheme}://{authority}/v1"


def upstream(provider: str, protocol: str = "", **said: object) -> Upstream:
    row = catalogue().providers[provider]
    return Upstream("a", protocol or row.protocol, "https", "h", 443, "/v1", provider=row, **said)  # type: ignore[arg-type]


def test_the_config_goes_over_the_catalogue() -> None:
    limits = ModelLimits(context_window=1000, max_output_tokens=10)
    surface = Surface(input=("text",), tools=ToolSurface(parallel=False, search=False))
    known = upstream("openai").traits("gpt-5")
    said = upstream("openai", limits=limits, surface=surface).traits("gpt-5")
    assert (known.context_window, known.max_output, known.parallel_tools) == (400000, 128000, True)
    assert (known.search, said.search) == (True, False)
    assert (said.context_window, said.max_output, said.parallel_tools, said.input) == (1000, 10, False, ("text",))
    assert said.max_tokens_field == "max_completion_tokens" and "temperature" in said.drop


def test_an_upstream_outside_the_catalogue_takes_what_its_model_takes() -> None:
    own = Upstream("a", "openai-chat", "https", "h", 443, "/v1")
    assert own.traits("gpt-5").max_tokens_field == "max_completion_tokens"
    assert own.traits("unheard-of").max_tokens_field == "max_tokens"
    assert own.backend("m") == "m"


def test_traits_are_remembered_and_bounded() -> None:
    own = upstream("zhipu")
    assert own.traits("glm-4.6") is own.traits("glm-4.6")
    for n in range(2 * MAX_KNOWN):
        own.traits(f"m{n}")
    assert len(own._known) <= MAX_KNOWN
