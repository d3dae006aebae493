"""What is said of a config file that is wrong: the line, the key and the reason, and never a secret."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from addons.settings import Reverse, SettingsError, load

LOCAL = "upstreams: {a: {protocol: openai-chat, base_url: 'http://127.0.0.1:9/v1'}}\n"

Complain = Callable[[str], str]


@pytest.fixture
def complaint(tmp_path: Path) -> Complain:
    """What is said of a bad file, without the folder."""

    def read(text: str) -> str:
        path = tmp_path / "c.yaml"
        path.write_text(text)
        with pytest.raises(SettingsError) as caught:
            load(path, {}, cwd=tmp_path)
        return "\n".join(line.rpartition("/c.yaml")[2] for line in str(caught.value).splitlines())

    return read


# file, what is said of it
WRONG = [
    # shapes
    (LOCAL + "polcy: strict", ":2: polcy: unknown key (did you mean policy?)"),
    (LOCAL + "policy: lax", ":2: policy: expected one of 'strict', 'balanced' or 'max_compat'"),
    (LOCAL + "policy: 5", ":2: policy: expected one of 'strict', 'balanced' or 'max_compat'"),
    (LOCAL + "retry:\n  attempts: '3'", ":3: retry.attempts: expected a whole number"),
    (LOCAL + "retry:\n  attempts: 0", ":3: retry.attempts: must be at least 1"),
    (LOCAL + "retry: {attempts: 1.5}", ":2: retry.attempts: expected a whole number"),
    (LOCAL + "retry: {statuses: [200]}", ":2: retry.statuses[0]: must be at least 400"),
    (LOCAL + "retry: {statuses: 429}", ":2: retry.statuses: expected a list"),
    (LOCAL + "retry: 3", ":2: retry: expected a map"),
    (LOCAL + "keepalive: 10s", ":2: keepalive: expected a number"),
    (LOCAL + "keepalive: -1", ":2: keepalive: must be at least 0"),
    (LOCAL + "keepalive: true", ":2: keepalive: expected a number"),
    (LOCAL + "addressing: 'yes'", ":2: addressing: expected true or false"),
    (LOCAL + "limits: {request_body: 64 Mebibytes}", ":2: limits.request_body: expected a size such as 512"),
    (LOCAL + "limits: {request_body: 0}", ":2: limits.request_body: must be at least 1"),
    (LOCAL + "limits: {request_body: -5}", ":2: limits.request_body: must be at least 1"),
    (LOCAL + "listen: 127.0.0.1", ":2: listen: expected HOST:PORT"),
    (LOCAL + "listen: 127.0.0.1:99999", ":2: listen: expected HOST:PORT"),
    (LOCAL + "listen: 'http://127.0.0.1:80'", ":2: listen: expected HOST:PORT"),
    (LOCAL + "logging: {level: loud}", ":2: logging.level: expected one of 'debug', 'info', 'warning' or 'error'"),
    (LOCAL + "logging: {file: 5}", ":2: logging.file: expected text: put it in quotes"),
    (LOCAL + "cors: {origins: ['*']}", ":2: cors.origins: '*' is no origin"),
    (LOCAL + "usage: {store: 'mysql://x'}", ":2: usage.store: expected sqlite:FILE, redis://…, or off"),
    (LOCAL + "rules: [{required: true}]", ":2: rules[0].path: is required"),
    (LOCAL + "control: {keys: [plain]}", ":2: control.keys[0]: write {env: NAME} or {value: SECRET}"),
    # secrets
    (LOCAL + "auth: {keys: [{env: NOT_THERE}]}", ":2: auth.keys[0].env: the environment variable NOT_THERE is not set"),
    (LOCAL + "auth: {keys: [{env: A, value: b}]}", ":2: auth.keys[0]: needs exactly one of env, value and store"),
    (LOCAL + "auth: {keys: [{value: ''}]}", ":2: auth.keys[0]: the value is empty"),
    (LOCAL + "auth: {mode: proxy_key}", ":2: auth: proxy_key needs keys, LLM_LINK_API_KEY in the environment, or"),
    (LOCAL + "auth: {keys: [{store: x}]}", ":2: auth.keys[0].store: "),
    (LOCAL + "store: {secret: {store: x}}", ":2: store.secret: the secret of the store cannot be in the store"),
    (LOCAL + "auth: {mode: open}", ":2: auth.mode: expected one of 'none', 'proxy_key' or 'client_key'"),
    (LOCAL + "control: {keys: [{env: GONE}]}", ":2: control.keys[0].env: the environment variable GONE is not set"),
    (LOCAL + "store: {secret: {env: GONE}}", ":2: store.secret.env: the environment variable GONE is not set"),
    # upstreams
    ("upstreams:\n  a: {}", ":2: upstreams.a: needs a provider, or a protocol and a base_url"),
    ("upstreams:\n  a: {protocol: anthropic}", ":2: upstreams.a: needs a base_url, or a provider"),
    ("upstreams:\n  a: {protocol: smtp}", ":2: upstreams.a.protocol: expected one of 'openai-chat'"),
    ("upstreams:\n  a: {provider: zipu}", ":2: upstreams.a.provider: unknown provider 'zipu' (did you mean zhipu?)"),
    ("upstreams:\n  a: {provider: 'zhipu:mars'}", ":2: upstreams.a.provider: unknown region 'mars' of zhipu; there is"),
    (
        "upstreams:\n  a: {provider: 'mistral:eu'}",
        ":2: upstreams.a.provider: unknown region 'eu' of mistral; it has none",
    ),
    (
        "upstreams:\n  a: {provider: mistral, protocol: gemini}",
        ":2: upstreams.a.protocol: mistral does not speak gemini",
    ),
    ("upstreams:\n  a/b: {provider: local}", ":2: upstreams.a/b: the name of an upstream has letters"),
    ("upstreams: [a]", ":1: upstreams: expected a map"),
    ("upstreams: {}", "there is no upstream"),
    ("policy: strict", "there is no upstream"),
    # models
    (LOCAL + "models:\n  x:\n    - a/b\n    - bb/c", ":5: models.x[1]: unknown upstream 'bb'; there is a"),
    (LOCAL + 'models:\n  "a\\nb": a/b', ": has a control character in it"),
]
# the rest of an upstream `a`, what is said of it
UPSTREAMS = [
    ("base_url: 'ftp://x'", "base_url: must begin with http://"),
    ("base_url: 'http://u:pw@h/v1'", "base_url: must not hold a user"),
    ("base_url: 'http://h/v1?k=1'", "base_url: must not have a query"),
    ("base_url: 'http://h/../v1'", "base_url: must not have . or .."),
    ("base_url: 'http://h:99999/v1'", "base_url: is no valid URL"),
    ("base_url: 'http://h h/v1'", "base_url: has a space"),
    ("base_ur: x", "base_ur: unknown key (did you mean base_url?)"),
    ("api_key: sk-bare", "api_key: write {env: NAME}"),
    ("api_key: {env: GONE}", "api_key.env: the environment variable"),
    ("api_key: {value: 1}", "api_key.value: expected text: put it in"),
    ("api_keys: []", "api_keys: needs at least 1"),
    ("api_key: {value: x}, api_keys: [{value: x}]", "api_keys: api_key and"),
    ("headers: {X-Api-Key: x}", "headers.X-Api-Key: cannot be a static"),
    ("headers: {Host: x}", "headers.Host: cannot be a static header"),
    ('headers: {x-a: "a\\nb"}', "headers.x-a: the value has a control"),
    ("headers: {'x a': b}", "headers.x a: is no header name"),
    ("headers: {x-a: 5}", "headers.x-a: expected text: put it in quotes"),
    ("proxy: 'ftp://x'", "proxy: must begin with http:// or socks5://"),
    ("timeout: {read: 3}", "timeout.read: unknown key"),
    ("timeout: {idle: soon}", "timeout.idle: expected a number"),
    ("limits: {context_window: 0}", "limits.context_window: must be"),
    ("surface: {input: []}", "surface.input: needs at least 1"),
    ("surface: {input: [text, text]}", "surface.input: names a kind twice"),
    ("surface: {input: [smell]}", "surface.input[0]: expected one of"),
    ("params: {upd: {}}", "params.upd: unknown key"),
    ("params: {rename: {a: 1}}", "params.rename.a: expected text"),
    ("params: {update: {a: .nan}}", "params.update.a: must be a finite"),
]
# the model `x`, what is said of it
MODELS = [
    ("a", ": expected UPSTREAM/MODEL, not 'a'"),
    ("a/", ": expected UPSTREAM/MODEL, not 'a/'"),
    ("[a/b, {target: a/b, wieght: 2}]", "[1].wieght: unknown key (did you mean weight?)"),
    ("a/b*", ": only * alone can be the model of a target"),
    ("a/../b", ": the model has .. as a segment"),
    ("[]", ": needs at least 1"),
    ("{choose: order}", ".targets: is required"),
    ("{target: a/b, choose: best}", ".choose: expected one of 'order'"),
    ("{targets: [{target: a/b, weight: 0}]}", ".targets[0].weight: must be at least 1"),
    ("5", ": expected a map"),
]


@pytest.mark.parametrize(("text", "said"), WRONG)
def test_what_is_wrong_is_named_with_its_line(complaint: Complain, text: str, said: str) -> None:
    assert said in complaint(text)


@pytest.mark.parametrize(("rest", "said"), UPSTREAMS)
def test_what_is_wrong_with_an_upstream(complaint: Complain, rest: str, said: str) -> None:
    assert f":2: upstreams.a.{said}" in complaint(f"upstreams:\n  a: {{provider: local, {rest}}}\n")


@pytest.mark.parametrize(("model", "said"), MODELS)
def test_what_is_wrong_with_a_model(complaint: Complain, model: str, said: str) -> None:
    assert f":3: models.x{said}" in complaint(f"{LOCAL}models:\n  x: {model}\n")


def test_everything_that_is_wrong_is_said_at_once_in_order(complaint: Complain) -> None:
    lines = complaint("polcy: x\n" + LOCAL + "keepalive: no\nretry: {attempts: 0}\n").splitlines()
    assert [line.split(": ")[1] for line in lines] == ["polcy", "keepalive", "retry.attempts"]


@pytest.mark.parametrize(
    "text",
    [
        "upstreams:\n  a: {provider: local, api_key: TOP-SECRET}",
        "upstreams:\n  a: {provider: local, api_key: {value: TOP-SECRET, env: X}}",
        "upstreams:\n  a: {provider: local, api_key: {valeu: TOP-SECRET}}",
        "upstreams:\n  a: {provider: local, base_url: 'http://user:TOP-SECRET@h/v1'}",
        "upstreams:\n  a: {provider: local, proxy: 'ftp://user:TOP-SECRET@h'}",
        LOCAL + "auth: {keys: [{value: [TOP-SECRET]}]}",
    ],
)
def test_no_secret_is_in_a_message(complaint: Complain, text: str) -> None:
    assert "TOP-SECRET" not in complaint(text)


NAMES = """listen policy auth mode keys env value store label models upstreams provider protocol base_url api_key
    api_keys headers params update rename delete proxy timeout limits surface input tools rate target targets weight
    choose a * addressing retry statuses rules path usage cors origins control logging level file"""
KEYS = st.sampled_from(NAMES.split())
WORDS = st.sampled_from(["a/b", "a/*", "zhipu", "gemini", "8080", ""])
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | WORDS
TREES = st.recursive(
    SCALARS | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4)
)


@given(st.dictionaries(KEYS, TREES, max_size=6))
def test_whatever_stands_in_a_file_it_is_good_or_told(tmp_path_factory: pytest.TempPathFactory, values: object) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzz.yaml"
    path.write_text(yaml.safe_dump(values, allow_unicode=True), "utf-8", "surrogateescape")
    try:
        load(path, {}, cwd=path.parent, reverse=Reverse("http", "127.0.0.1", 9), serve={"model": "m"})
    except SettingsError as error:
        assert error.problems and all(problem.reason for problem in error.problems)
