"""Credentials: every form in, one form out, none where it does not belong; and the two checks against web pages."""

from dataclasses import replace

import pytest
from pydantic import SecretStr

from addons.credentials import MASK, ClientKey, Taken, admit, forward_headers, outgoing, serves, take
from addons.settings import Auth, Settings
from addons.settings_model import Cors
from addons.settings_upstream import Upstream
from translators.model import BadRequest

SECRET = "s3cret"

# header, value, what was presented
FORMS = [
    ("Authorization", f"Bearer {SECRET}", ("authorization", SECRET)),
    ("authorization", f"bearer   {SECRET} ", ("authorization", SECRET)),
    ("AUTHORIZATION", f"BEARER {SECRET}", ("authorization", SECRET)),
    ("x-api-key", SECRET, ("x-api-key", SECRET)),
    ("X-Api-Key", f" {SECRET} ", ("x-api-key", SECRET)),
    ("api-key", SECRET, ("api-key", SECRET)),
    ("x-goog-api-key", SECRET, ("x-goog-api-key", SECRET)),
    ("openai-api-key", SECRET, ("openai-api-key", SECRET)),
    ("anthropic-api-key", SECRET, ("anthropic-api-key", SECRET)),
    ("Authorization", f"Basic {SECRET}", None),
    ("Authorization", SECRET, None),
    ("Authorization", "Bearer", None),
    ("Authorization", "", None),
    ("x-api-key", "", None),
    ("proxy-authorization", f"Bearer {SECRET}", None),
    ("Cookie", f"session={SECRET}", None),
]


def fields(*pairs: tuple[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode()) for name, value in pairs]


@pytest.mark.parametrize(("name", "value", "presented"), FORMS)
def test_a_header_is_taken_and_masked(name: str, value: str, presented: tuple[str, str] | None) -> None:
    others = fields(("Host", "h"), ("X-Other", "stays"))
    taken = take([others[0], *fields((name, value)), others[1]], "/v1/messages")
    assert taken.presented == ((presented,) if presented else ())
    assert taken.fields == (others[0], (name.encode(), MASK), others[1])
    assert SECRET not in repr(taken)


# path -> what is left, keys
PATHS = [
    ("/v1/m", "/v1/m", ()),
    ("/v1/m?", "/v1/m?", ()),
    ("/v1/m?alt=sse", "/v1/m?alt=sse", ()),
    (f"/v1/m?key={SECRET}", "/v1/m", (SECRET,)),
    (f"/v1/m?alt=sse&key={SECRET}", "/v1/m?alt=sse", (SECRET,)),
    (f"/v1/m?key={SECRET}&alt=sse&x=%20", "/v1/m?alt=sse&x=%20", (SECRET,)),
    (f"/v1/m?k%65y={SECRET}", "/v1/m", (SECRET,)),
    ("/v1/m?key=a%2Fb", "/v1/m", ("a/b",)),
    ("/v1/m?key=", "/v1/m", ()),
    ("/v1/m?key", "/v1/m", ()),
    ("/v1/m?key=a&key=b", "/v1/m", ("a", "b")),
    (f"/v1/m?monkey={SECRET}&Key=x", f"/v1/m?monkey={SECRET}&Key=x", ()),
    ("/v1/m?a=b?key=c", "/v1/m?a=b?key=c", ()),
    ("/v1/key=x", "/v1/key=x", ()),
]


@pytest.mark.parametrize(("path", "left", "keys"), PATHS)
def test_the_key_leaves_the_path(path: str, left: str, keys: tuple[str, ...]) -> None:
    taken = take([], path)
    assert taken.path == left and taken.presented == tuple(("?key", key) for key in keys)


def test_nothing_to_take_leaves_everything() -> None:
    plain = fields(("Host", "h"), ("Accept", "*/*"))
    assert take(plain, "/x?a=b") == Taken((), tuple(plain), "/x?a=b")


def test_equal_ones_count_as_one() -> None:
    taken = take(fields(("x-api-key", "a"), ("authorization", "Bearer a"), ("X-API-Key", "a")), "/?key=a")
    assert taken.values == ("a",) and len(taken.presented) == 3
    assert [value for _, value in taken.fields] == [MASK] * 3


def test_bytes_that_are_no_text_are_still_compared() -> None:
    taken = take([(b"x-api-key", b"\xff\xfe")], "/")
    assert len(taken.values) == 1
    with pytest.raises(BadRequest, match="not valid"):
        admit(taken, settings(mode="proxy_key"), host=None, origin=None)


# ------------------------------------------------------------------------------------------------ who gets in

KEYS = [("one", "1"), ("two", "2"), ("schlüssel", "3")]


def settings(mode: str = "none", host: str | None = None, origins: tuple[str, ...] = ()) -> Settings:
    keys = tuple(ClientKey(SecretStr(secret), label) for secret, label in KEYS)
    return Settings(auth=Auth(mode, keys, True), host=host, cors=Cors(origins=origins))  # type: ignore[arg-type]


def status(taken: Taken, known: Settings, host: str | None = None, origin: str | None = None) -> int:
    try:
        admit(taken, known, host=host, origin=origin)
    except BadRequest as error:
        assert SECRET not in error.error.message
        return error.error.status
    return 200


def given(*values: str) -> Taken:
    return Taken(tuple(("x-api-key", value) for value in values))


@pytest.mark.parametrize("mode", ["none", "proxy_key", "client_key"])
def test_credentials_that_differ_are_a_400(mode: str) -> None:
    assert status(given("one", SECRET), settings(mode)) == 400


@pytest.mark.parametrize(("key", "label"), KEYS)
def test_a_key_that_is_required(key: str, label: str) -> None:
    found = admit(given(key), settings("proxy_key"), host="evil.example", origin="https://evil.example")
    assert found is not None and found.label == label


@pytest.mark.parametrize("values", [(), ("three",), ("on",), ("one ",), ("ONE",), ("",)])
def test_a_key_that_is_missing_or_wrong(values: tuple[str, ...]) -> None:
    assert status(given(*values), settings("proxy_key")) == 401


ORIGINS = [
    (None, 200), ("http://localhost:5173", 200), ("http://127.0.0.1", 200), ("https://[::1]:3000", 200),
    ("HTTP://LOCALHOST", 200), ("http://app.localhost:80", 200), ("tauri://localhost", 200), ("file://", 200),
    ("app://obsidian.md", 200), ("vscode-webview://0a1b2c", 200), ("https://allowed.example", 200),
    ("https://ALLOWED.example", 200),
    ("https://evil.example", 403), ("null", 403), ("", 403), ("https://localhost.evil.example", 403),
    ("https://evil.example/localhost", 403), ("https://user@localhost", 403), ("http://localhost@evil.example", 403),
    ("https://allowed.example.evil", 403), ("http://allowed.example", 403), ("https://allowed.example:8443", 403),
    ("chrome-extension://abc", 403), ("application://x", 403), ("http://0.0.0.0", 403), ("localhost", 403),
]  # fmt: skip


@pytest.mark.parametrize("mode", ["none", "client_key"])
@pytest.mark.parametrize(("origin", "code"), ORIGINS)
def test_an_origin(origin: str | None, code: int, mode: str) -> None:
    known = settings(mode, origins=("https://Allowed.example",))
    assert status(given(), known, host="127.0.0.1:8080", origin=origin) == code


HOSTS = [
    (None, None, 200), ("localhost:8080", None, 200), ("localhost", None, 200), ("127.0.0.1:8080", None, 200),
    ("[::1]:8080", None, 200), ("LOCALHOST.", None, 200), ("x.localhost", None, 200),
    ("evil.example", None, 403), ("evil.example:8080", None, 403), ("192.168.1.2:8080", None, 403), ("", None, 403),
    ("127.0.0.1.evil.example", None, 403), ("a b", None, 403), ("[::1", None, 403), ("::1", None, 403),
    ("proxy.lan:8080", "proxy.lan", 200), ("PROXY.lan", "proxy.lan", 200), ("other.lan", "proxy.lan", 403),
    ("10.0.0.5:8080", "10.0.0.5", 200), ("10.0.0.6", "10.0.0.5", 403), ("localhost", "10.0.0.5", 200),
    ("192.168.1.2:8080", "0.0.0.0", 200), ("[fd00::5]:8080", "::", 200), ("evil.example", "0.0.0.0", 403),
    ("evil.example", "::", 403),
]  # fmt: skip


@pytest.mark.parametrize(("host", "listen", "code"), HOSTS)
def test_a_host(host: str | None, listen: str | None, code: int) -> None:
    assert status(given(), settings(host=listen), host=host) == code


def test_without_a_required_key_the_client_may_send_one() -> None:
    assert admit(given("anything"), settings(), host="localhost", origin=None) is None


PEERS = [("127.0.0.1", None, True), ("::1", None, True), ("::ffff:127.0.0.1", None, True), ("10.0.0.1", None, False),
         ("", None, False), ("10.0.0.1", "0.0.0.0", True), ("10.0.0.1", "127.0.0.1", True)]  # fmt: skip


@pytest.mark.parametrize(("peer", "host", "served"), PEERS)
def test_which_peers_are_served(peer: str, host: str | None, served: bool) -> None:
    assert serves(peer, host) == served


MODELS = [
    (None, "anything", ["a/b"], True),
    (("claude-*",), "claude-haiku", ["local/x"], True),
    (("claude-*",), "gpt-5", ["local/x"], False),
    (("claude-*",), "local/x", ["local/x"], False),
    (("local/*",), "fast", ["local/x", "local/y"], True),
    (("local/*",), "fast", ["local/x", "zhipu/y"], False),
    (("local/*",), "fast", [], False),
    ((), "fast", ["local/x"], False),
]


@pytest.mark.parametrize(("models", "name", "addresses", "allowed"), MODELS)
def test_what_a_key_may_ask_for(models: tuple[str, ...] | None, name: str, addresses: list[str], allowed: bool) -> None:
    assert ClientKey(SecretStr("k"), models=models).allows(name, addresses) == allowed


# ------------------------------------------------------------------------------------------------ what goes upstream


def x_api_key(key: str) -> tuple[str, str]:
    return "x-api-key", key


PLAIN = Upstream("a", "anthropic", "https", "h", 443, "/v1")
KEYED = replace(PLAIN, keys=(SecretStr("own"),))
BEARER = ("authorization", "Bearer client")
CLIENTS = {
    "bearer": Taken((("authorization", "client"),)),
    "x-api-key": Taken((("x-api-key", "client"),)),
    "google": Taken((("x-goog-api-key", "client"),)),
    "query": Taken((("?key", "client"),)),
    "two": Taken((("authorization", "client"), ("x-api-key", "client"))),
    "none": Taken(),
}
OUTGOING = [
    # upstream, client, mode, same protocol -> the header
    (KEYED, "bearer", "none", True, ("x-api-key", "own")),
    (KEYED, "bearer", "client_key", True, ("x-api-key", "own")),
    (KEYED, "none", "proxy_key", False, ("x-api-key", "own")),
    (replace(KEYED, auth="bearer"), "x-api-key", "none", True, ("authorization", "Bearer own")),
    (PLAIN, "bearer", "none", True, None),
    (PLAIN, "bearer", "proxy_key", True, None),
    (PLAIN, "none", "client_key", True, None),
    (PLAIN, "bearer", "client_key", True, BEARER),
    (PLAIN, "x-api-key", "client_key", True, ("x-api-key", "client")),
    (PLAIN, "google", "client_key", True, ("x-goog-api-key", "client")),
    (PLAIN, "two", "client_key", True, BEARER),
    (PLAIN, "query", "client_key", True, ("x-api-key", "client")),
    (PLAIN, "bearer", "client_key", False, ("x-api-key", "client")),
    (PLAIN, "google", "client_key", False, ("x-api-key", "client")),
    (replace(PLAIN, auth="bearer"), "x-api-key", "client_key", False, BEARER),
    (replace(PLAIN, auth="bearer"), "query", "client_key", True, BEARER),
]


@pytest.mark.parametrize(("upstream", "client", "mode", "same", "header"), OUTGOING)
def test_the_upstream_gets_one_credential_or_none(
    upstream: Upstream, client: str, mode: str, same: bool, header: tuple[str, str] | None
) -> None:
    assert outgoing(upstream, x_api_key, CLIENTS[client], mode, same) == ([header] if header else [])


KEPT = ["accept", "Accept-Encoding", "anthropic-beta", "anthropic-version", "User-Agent", "x-app", "x-stainless-lang",
        "content-type", "Origin", "x-claude-code-session-id"]  # fmt: skip
LEFT = [
    "Authorization", "x-api-key", "API-Key", "x-goog-api-key", "openai-api-key", "anthropic-api-key", "Cookie",
    "Host", "Connection", "Keep-Alive", "Proxy-Authorization", "Proxy-Connection", "TE", "Trailer",
    "Transfer-Encoding", "Upgrade", "Content-Length", "Content-Encoding", "Expect", "x-llm-link-request-id",
    "X-LLM-Link-Anything", ":authority",
]  # fmt: skip


def test_the_clients_headers_go_to_the_same_protocol_only() -> None:
    sent = fields(*((name, "v") for pair in zip(KEPT + LEFT, LEFT + KEPT, strict=True) for name in pair))
    assert forward_headers(sent, same_protocol=False) == []
    assert {name.decode() for name, _ in forward_headers(sent, same_protocol=True)} == set(KEPT)


def test_what_the_connection_header_names_is_hop_by_hop() -> None:
    sent = fields(("Connection", "close, X-Hop"), ("x-hop", "1"), ("x-other", "2"))
    assert forward_headers(sent, same_protocol=True) == fields(("x-other", "2"))


def test_repeated_headers_keep_their_order() -> None:
    sent = fields(("anthropic-beta", "a"), ("x", "1"), ("anthropic-beta", "b"))
    assert forward_headers(sent, same_protocol=True) == sent
