"""The fuzzer's corpus, as data: every door, and what has broken servers before, in paths, heads, chunks and bodies."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from typing import Any

CLIENT_KEY = "sk-fuzz-of-the-client-77aa"  # must never come out anywhere

Field = tuple[bytes, bytes]

# ------------------------------------------------------------------------------------------------ doors

GENERATE: tuple[tuple[str, str], ...] = (
    *(("openai-chat", path) for path in ("/v1/chat/completions", "/chat/completions", "/openai/v1/chat/completions")),
    *(("openai-responses", path) for path in ("/v1/responses", "/responses", "/openai/v1/responses")),
    *(("anthropic", path) for path in ("/v1/messages", "/anthropic/v1/messages")),
    *(
        ("gemini", f"{prefix}/{version}/models/{{m}}:{verb}")
        for prefix, version, verb in (
            ("", "v1beta", "generateContent"),
            ("/google", "v1", "streamGenerateContent?alt=sse"),
            ("/gemini", "v1beta", "streamGenerateContent"),
        )
    ),
    *(("ollama", path) for path in ("/api/chat", "/ollama/api/chat")),
)
# protocol, path, methods that it takes
SERVICES: tuple[tuple[str, str, str], ...] = (
    ("anthropic", "/v1/messages/count_tokens", "POST"),
    ("openai-responses", "/v1/responses/input_tokens", "POST"),
    ("openai-responses", "/v1/responses/compact", "POST"),
    ("openai-responses", "/v1/responses/resp_1", "GET DELETE"),
    ("openai-responses", "/v1/responses/resp_1/cancel", "POST"),
    ("openai-responses", "/v1/responses/resp_1/input_items", "GET"),
    ("gemini", "/v1beta/models/m:countTokens", "POST"),
    ("gemini", "/v1beta/models/m:embedContent", "POST"),
    ("gemini", "/v1beta/models/m:batchEmbedContents", "POST"),
    ("ollama", "/api/generate", "POST"),
    ("ollama", "/api/show", "POST"),
    ("ollama", "/api/show/m", "GET"),
    ("ollama", "/api/tags", "GET HEAD"),
    ("ollama", "/api/version", "GET"),
    ("ollama", "/api/ps", "GET"),
    ("ollama", "/api/embed", "POST"),
    ("ollama", "/api/embeddings", "POST"),
    ("openai-chat", "/v1/embeddings", "POST"),
    ("openai-chat", "/v1/models", "GET HEAD"),
    ("openai-chat", "/openai/v1/models/m", "GET"),
    ("anthropic", "/anthropic/v1/models", "GET"),
    ("gemini", "/google/v1beta/models", "GET"),
    ("openai-chat", "/v1/ws", "GET"),
    ("openai-chat", "/health", "GET HEAD"),
    ("openai-chat", "/ready", "GET HEAD"),
    ("", "/", "GET HEAD"),
)
METHODS = ("GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE", "PROPFIND", "get", "X-Y")
# Put into paths: in the place of a model, and anywhere.
SEGMENTS = (
    "..", ".", "", "%2e%2e", "%2e%2e%2f%2e%2e%2fadmin", "..%2f..", "//evil.example", "@evil.example", "%00", "%0d%0a",
    "%0d%0ahost:%20evil.example", "%", "%zz", "%ff", "%c3%28", "a%2fb", "a:b", "a?b", "a#b", "models", ";x=1",
    "\\..\\", "http://evil.example", "http:%2f%2fevil.example", "x" * 300, "~", "%25", "*", "{m}", "$(id)", "resp_1",
    "namespaces/x", "openai-chat/../x", "openai-chat/m", "gemini:m", "anthropic%2fm", "m:streamGenerateContent", "v1",
    "v1beta", "api",
)  # fmt: skip
TARGETS = (
    "http://evil.example/v1/messages", "https://evil.example:443/v1/chat/completions", "*", "evil.example:443",
    "//evil/v1", "/", "//", "///v1/messages", "/\\evil.example", "/v1/messages#x", "/v1/messages?",
    "/v1/messages??key=&&", "/?key=1", "/v1/messages?" + "a=b&" * 2000, "/" + "a/" * 4000, "/v1/./messages",
    "/v1/../v1/messages", "/V1/MESSAGES", "/namespaces/default/v1/messages", "/namespaces/evil/v1/messages",
    "/namespaces//v1/messages", "/namespaces/", "/v1/models/", "/v1beta/models/:generateContent", "/v1beta/models/m:",
    "/admin/state", "/api/config/current", "/dashboard", "/metrics",
)  # fmt: skip

# ------------------------------------------------------------------------------------------------ heads

HEADERS: tuple[Field, ...] = (
    (b"host", b"evil.example"), (b"host", b""), (b"host", b"127.0.0.1:99999"), (b"host", b"[::1]"), (b"host", b"a@b"),
    (b"x-forwarded-host", b"evil.example"), (b"forwarded", b"host=evil.example"),
    (b"origin", b"https://evil.example"), (b"origin", b"null"), (b"origin", b"http://localhost.evil.example"),
    (b"expect", b"100-continue"), (b"expect", b"x"), (b"connection", b"content-length, host, authorization"),
    (b"connection", b"close"), (b"connection", b"upgrade"), (b"upgrade", b"websocket"), (b"upgrade", b"h2c"),
    (b"te", b"trailers"), (b"trailer", b"x"), (b"range", b"bytes=0-1"), (b"content-type", b"text/plain"),
    (b"content-type", b"application/json; charset=utf-16"), (b"content-type", b"\xff\xfe"), (b"accept", b"text/html"),
    (b"accept-encoding", b"gzip, br, zstd, *;q=0"), (b"anthropic-version", b""),
    (b"anthropic-beta", b"\xff,,,\xe2\x82"), (b"cookie", b"a=b; " + CLIENT_KEY.encode()),
    (b"x-utf", "naïve 漢".encode()), (b"authorization", b"Bearer " + CLIENT_KEY.encode()),
    (b"authorization", b"Basic " + CLIENT_KEY.encode()), (b"authorization", b"Bearer"),
    (b"x-api-key", CLIENT_KEY.encode()), (b"x-goog-api-key", CLIENT_KEY.encode()), (b"api-key", CLIENT_KEY.encode()),
    (b"x-api-key", b"another"), (b"proxy-authorization", b"Basic " + CLIENT_KEY.encode()),
    (b"content-encoding", b"gzip"), (b"content-encoding", b"br"), (b"content-encoding", b"zstd, gzip"),
    (b"content-encoding", b"identity"), (b"content-encoding", b"no"), (b"content-encoding", b","),
    (b"x-llm-link-request-id", b"evil"), (b"x-stainless-retry-count", b"9" * 99), (b"if-none-match", b"*"),
    (b"x" * 300, b"y"), (b"x-long", b"z" * 60_000), (b"date", b"0"), (b"content-md5", b"?"), (b"via", b"1.1 x"),
    (b"max-forwards", b"0"), (b"content-location", b"http://evil.example"), (b"x-http-method-override", b"DELETE"),
    (b"base-url", b"http://evil.example"),
)  # fmt: skip
# Lines of a head that are no good. Each goes on a connection of its own.
BAD_LINES: tuple[bytes, ...] = (
    b"x: a\rb: c", b"x: a\nb: c", b"x: a\x00b", b"x : a", b"x\x00: a", b": a", b"no colon", b" folded: at once",
    b"x: a\r\n folded", b"x: a\r\n\tfolded", b"content-length: 5\r\ncontent-length: 6", b"content-length: 5, 5",
    b"content-length: -1", b"content-length: +5", b"content-length: 0x5", b"content-length: 5 ",
    b"content-length: 5_0", b"content-length: \xd9\xa5", b"content-length: " + b"9" * 30, b"content-length:",
    b"transfer-encoding: chunked, identity", b"transfer-encoding: Chunked", b"transfer-encoding: xchunked",
    b"transfer-encoding: chunked\r\ntransfer-encoding: chunked", b"transfer-encoding:\x0bchunked",
    b"transfer-encoding: gzip, chunked", b"content-length: 5\r\ntransfer-encoding: chunked",
    b"transfer-encoding : chunked", b"x(y): a", b"\xff: a", b"host: a\r\nhost: b", b"x: " + b"a" * 1_100_000,
)  # fmt: skip
CHUNKED: tuple[bytes, ...] = (
    b"0\r\n\r\n", b"2\r\n{}\r\n0\r\n\r\n", b"2;ext=\"x\"\r\n{}\r\n0\r\n\r\n", b"02\r\n{}\r\n00\r\n\r\n",
    b"g\r\n{}\r\n", b"-2\r\n{}\r\n", b"2\n{}\n0\n\n", b"ffffffffffffffff\r\n{}", b"2\r\n{}0\r\n\r\n",
    b"2\r\n{}\r\n0\r\nx: y\r\n\r\n", b"\r\n", b"2\r\n{}\r\n0\r\nx y\r\n\r\n", b"1\r\n{\r\n1\r\n}\r\n0\r\n\r\n",
    b"0x2\r\n{}\r\n0\r\n\r\n", b"2 \r\n{}\r\n0\r\n\r\n",
)  # fmt: skip
RAW: tuple[bytes, ...] = (
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"\x16\x03\x03", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"\r\n\r\n\r\n", b"GET / HTTP/1.1", b"GET /\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET / HTTP/1.0\r\n\r\n",
    b"GET  /  HTTP/1.1\r\n\r\n", b"GET / http/1.1\r\n\r\n",
    b"POST /v1/messages HTTP/1.1\r\ncontent-length: 9\r\n\r\n{", b"SSH-2.0-x\r\n", b"\x05\x01\x00",
    b"CONNECT evil.example:443 HTTP/1.1\r\nhost: evil.example\r\n\r\n", b"GET http://evil.example/ HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\nhost: 127.0.0.1\n\n", b"{\"model\": 1}", b"\x00" * 99, b"\xff" * 99, b"G" * 5000,
    b"GET /\x00 HTTP/1.1\r\n\r\n", b"GET /\xff\xfe HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n",
    b"GET /a b HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n", b"OPTIONS * HTTP/1.1\r\n\r\n",
)  # fmt: skip

# ------------------------------------------------------------------------------------------------ bodies


def _deep(opening: str, closing: str, levels: int = 100_000) -> Callable[[], bytes]:
    return lambda: (opening * levels + "1" + closing * levels).encode()


def _in_chat(field: str) -> Callable[[], bytes]:
    rest = '{"model":"openai-chat","messages":[{"role":"user","content":"x"}],"max_tokens":9,'
    return lambda: (rest + field + "}").encode()


# Rare: these cost more than they are long.
HEAVY: dict[str, Callable[[], bytes]] = {
    "deep lists": _deep("[", "]"),
    "deep maps": _deep('{"a":', "}"),
    "deep messages": _deep('{"messages":[', "]}", 50_000),
    "deep, and cut": lambda: b"[" * 500_000,
    "deep in a field": _in_chat('"x":' + "[" * 100_000 + "]" * 100_000),
    "deep in a schema": _in_chat('"tools":' + '[{"items":' * 50_000 + "1" + "}]" * 50_000),
    "a hundred thousand figures": _in_chat('"top_p":' + "9" * 100_000),
    "figures after the point": _in_chat('"top_p":0.' + "9" * 100_000),
    "a long text": _in_chat('"user":"' + "x" * 700_000 + '"'),
    "many keys": lambda: b"{" + b",".join(b'"k%d":%d' % (n, n) for n in range(20_000)) + b"}",
    "many equal keys": lambda: b"{" + b",".join([b'"model":"m"'] * 20_000) + b"}",
    "many backslashes": _in_chat('"user":"' + "\\\\" * 200_000 + '\\ud800"'),
    "many lone surrogates": _in_chat('"user":"' + "\\ud800" * 60_000 + '"'),
    "a gzip bomb": lambda: gzip.compress(bytes(50 << 20), 9),
    "more than the limit": lambda: b'{"x":"' + b"y" * (3 << 19) + b'"}',
}
LIGHT: tuple[bytes, ...] = (
    b"", b" ", b"null", b"true", b"0", b'""', b"[]", b"{}", b"{", b"}", b'{"', b'{"model"', b'{"model":}', b"{}{}",
    b"{},", b"\xef\xbb\xbf{}", "{}".encode("utf-16"), b"\x00", b"{}\x00", b"\xff\xfe", b"NaN", b"[NaN]",
    b'{"model":NaN}', b"1e400", b'{"temperature":1e400}', b'{"max_tokens":-0}', b'{"max_tokens":1e2}',
    b'{"max_tokens":' + b"9" * 400 + b"}", b'{"model":"\\ud800"}', b'{"model":"\xed\xa0\x80"}', b'{"model":"\xc3("}',
    b'{"model":"a\nb"}', b'{"model":"\\u0000"}',
    b'{"model":"openai-chat","model":"anthropic","stream":true,"stream":false}', b'{"model":"../../x"}',
    b'{"mod\\u0065l":"m"}', b'{"model":"openai-chat/../../admin"}', b'{"model":"m\\r\\nhost: evil.example"}',
    b'{"model":["m"]}', b'{"model":{"a":1}}', b'{"base_url":"http://evil.example","model":"m"}',
    b'{"model":"' + b"m" * 5000 + b'"}', b"{'model': 'm'}", b"<xml/>", b"model=m&stream=true",
    b"--b\r\ncontent-disposition: form-data; name=a\r\n\r\n1\r\n--b--", zlib.compress(b"{}"),
)  # fmt: skip
WORDS: tuple[Any, ...] = (
    "user", "assistant", "system", "tool", "model", "function", "text", "image", "tool_use", "tool_result", "auto",
    "none", "data:image/png;base64,AAAA", "data:;base64,%%%", "http://evil.example/x.png", "json_schema", "thinking",
    "enabled", "x" * 3000, -1, 0, 1, 1e300, -1e-300, 2**63, 2**64, 0.1, True, False, None, [], {}, [[]],
    {"type": "text"}, {"type": None}, {"type": {}}, {"$ref": "#"},
    {"$ref": "#/properties/a", "properties": {"a": {"$ref": "#"}}}, {"anyOf": []}, {"enum": [None, 1, "a"]},
    {"type": "object", "properties": []}, "\ud800", "\x00", "\u2028", "<think>", "</think>", "data: [DONE]\n\n", "*",
    "m",
)  # fmt: skip
