"""The config file: every key and default of the contract, and what is said of a file that is wrong."""

from collections.abc import Callable
from pathlib import Path

import pytest

from addons.settings import Settings, SettingsError, changed_listen, check_reachable, load
from addons.settings_model import File, parse_size

ROOT = Path(__file__).resolve().parents[2]

# Every key that a config may have.
WHOLE = """\
listen: 127.0.0.1:8080
policy: balanced
auth:
  mode: proxy_key
  keys: [{env: LLM_LINK_API_KEY}]
upstreams:
  zhipu: {provider: zhipu}
  local:
    protocol: openai-chat
    base_url: http://127.0.0.1:9000/v1
    api_key: {env: LOCAL_KEY}
    headers: {x-team: blue}
    params: {update: {}, add: {}, rename: {}, delete: []}
    proxy: direct
    timeout: {connect: 10, first_byte: 120, idle: 300, total: 0}
    limits: {context_window: 200000, max_output_tokens: 8192}
    surface: {input: [text, image, pdf], tools: {parallel: true, search: false}}
    rate: {requests_per_minute: 0, tokens_per_minute: 0, concurrent: 0}
models:
  claude-haiku-*: local/qwen3-4b
  claude-*: [zhipu/glm-4.6, local/qwen3-32b]
  gpt-5: {target: zhipu/glm-4.6, params: {update: {temperature: 0.6}}}
  fast: {targets: [{target: local/a, weight: 3}, local/b], choose: weighted}
  "*": local/*
addressing: true
retry: {attempts: 3, statuses: [408, 429, 500, 502, 503, 504, 529], cooldown: 30, max_wait: 5}
limits:
  {request_body: 64MiB, sse_frame: 8MiB, error_body: 64KiB, capture: 1MiB,
   rate: {requests_per_minute: 0, tokens_per_minute: 0, concurrent: 0}}
keep: {exchanges: 2000, bytes: 256MiB}
keepalive: 10
keepalive_early: 0
rules: [configs/rules/my_rule.py]
usage: {store: "sqlite:llm-link.db"}
store: {path: providers.db, secret: {env: LLM_LINK_SECRET}}
cors: {origins: []}
control: {enabled: true, keys: [{env: LLM_LINK_ADMIN_KEY}]}
logging: {level: info, format: text, file: null}
"""
ENVIRON = {
    "LLM_LINK_API_KEY": "proxy-secret",
    "LOCAL_KEY": "local-secret",
    "LLM_LINK_SECRET": "store-secret",
    "LLM_LINK_ADMIN_KEY": "admin-secret",
    "ZHIPU_API_KEY": "zhipu-secret",
}
LOCAL = "upstreams: {a: {protocol: openai-chat, base_url: 'http://127.0.0.1:9/v1'}}\n"

Loader = Callable[..., Settings]


@pytest.fixture
def config(tmp_path: Path) -> Loader:
    def read(text: str, environ: dict[str, str] | None = None, **said: object) -> Settings:
        path = tmp_path / "c.yaml"
        path.write_text(text)
        return load(path, environ or {}, cwd=tmp_path, **said)  # type: ignore[arg-type]

    return read


def test_the_whole_file(config: Loader, tmp_path: Path) -> None:
    settings = config(WHOLE, ENVIRON)
    assert settings.listen == ("127.0.0.1", 8080)
    assert settings.auth.mode == "proxy_key" and settings.auth.written
    assert [key.secret.get_secret_value() for key in settings.auth.keys] == ["proxy-secret"]
    zhipu, local = settings.upstreams.values()
    assert zhipu.root == "https://open.bigmodel.cn/api/paas/v4" and zhipu.key.get_secret_value() == "zhipu-secret"
    assert local.root == "http://127.0.0.1:9000/v1" and local.key.get_secret_value() == "local-secret"
    assert local.headers == (("x-team", "blue"),) and local.proxy is None
    assert [(ref.upstream, ref.model) for ref in settings.models["claude-*"].targets] == [
        ("zhipu", "glm-4.6"),
        ("local", "qwen3-32b"),
    ]
    assert settings.models["gpt-5"].targets[0].params.update == {"temperature": 0.6}
    assert [ref.weight for ref in settings.models["fast"].targets] == [3, 1]
    assert settings.rules[0].path == str(tmp_path / "configs/rules/my_rule.py")
    assert settings.store.path == str(tmp_path / "providers.db")


def test_the_whole_file_works(config: Loader) -> None:
    assert config(WHOLE, ENVIRON).warnings == ()


LATER = [
    ("upstreams: {a: {provider: local, proxy: 'socks5://127.0.0.1:1080'}}", "upstreams.a.proxy"),
]


@pytest.mark.parametrize(("text", "key"), LATER)
def test_a_later_key(config: Loader, text: str, key: str) -> None:
    (line,) = config(text if "upstreams" in text else LOCAL + text).warnings
    assert f": {key}: " in line


SILENT = [
    "usage: off",
    "usage: {store: off}",
    "control: {enabled: false}",
    "cors: {origins: ['https://a.b']}",
    "upstreams: {a: {provider: local, proxy: 'http://127.0.0.1:3128'}}",
    "keepalive_early: 5",
    "auth: {mode: none}",
]


@pytest.mark.parametrize("text", SILENT)
def test_a_key_that_works_says_nothing(config: Loader, text: str) -> None:
    assert config(text if "upstreams" in text else LOCAL + text).warnings == ()


DEFAULTS = {
    "policy": "balanced",
    "keepalive": 10,
    "keepalive_early": 0,
    "retry.attempts": 3,
    "retry.statuses": (408, 429, 500, 502, 503, 504, 529),
    "retry.cooldown": 30,
    "retry.max_wait": 5,
    "limits.request_body": 64 * 1024**2,
    "limits.sse_frame": 8 * 1024**2,
    "limits.error_body": 64 * 1024,
    "limits.capture": 1024**2,
    "limits.rate.requests_per_minute": 0,
    "limits.rate.tokens_per_minute": 0,
    "limits.rate.concurrent": 0,
    "keep.exchanges": 2000,
    "keep.bytes": 256 * 1024**2,
    "cors.origins": (),
    "control.enabled": True,
    "control.keys": (),
    "logging.level": "info",
    "logging.format": "text",
    "logging.file": None,
    "rules": (),
}
TIMEOUT = {"connect": 10, "first_byte": 120, "idle": 300, "total": 0}


@pytest.mark.parametrize(("key", "value"), DEFAULTS.items())
def test_a_default(config: Loader, key: str, value: object) -> None:
    settings: object = config(LOCAL)
    shape: object = File()
    for name in key.split("."):
        settings, shape = getattr(settings, name), getattr(shape, name)
    assert settings == shape == value


def test_a_part_of_a_map_may_be_given_alone(config: Loader) -> None:
    settings = config(
        "upstreams: {a: {provider: local, timeout: {idle: 5}}}\nretry: {attempts: 1}\nlimits: {capture: 0}\n"
    )
    assert settings.upstreams["a"].timeout.model_dump() == {**TIMEOUT, "idle": 5}
    assert (settings.retry.attempts, settings.retry.max_wait) == (1, 5)
    assert (settings.limits.capture, settings.limits.error_body) == (0, 64 * 1024)


def test_a_key_with_nothing_after_it_is_not_given(config: Loader) -> None:
    settings = config(LOCAL + "auth:\nretry:\nmodels:\nlisten:\n")
    assert not settings.auth.written and settings.retry.attempts == 3 and list(settings.models) == ["*"]


def test_an_anchor_and_a_merge(config: Loader) -> None:
    text = (
        "upstreams:\n  a: &a {provider: local, timeout: {idle: 5}}\n  b: {<<: *a, base_url: 'http://127.0.0.1:1/v1'}\n"
    )
    upstreams = config(text + "models: {}").upstreams
    assert upstreams["b"].timeout.idle == 5 and upstreams["b"].port == 1 and upstreams["a"].port == 8000


SIZES = [(512, 512), ("512", 512), ("0", 0), ("64KiB", 65536), ("64 kib", 65536), ("1.5MiB", 1572864),
         ("2GB", 2 * 10**9), ("1M", 10**6), ("3B", 3)]  # fmt: skip


@pytest.mark.parametrize(("text", "size"), SIZES)
def test_a_size(text: object, size: int) -> None:
    assert parse_size(text) == size


LISTENS = [
    ("127.0.0.1:8080", "127.0.0.1", True),
    ("'[::1]:8080'", "::1", True),
    ("localhost:8080", "localhost", True),
    ("':8080'", None, True),
    ("8080", None, True),
    ("0.0.0.0:8080", "0.0.0.0", False),
    ("'[::]:8080'", "::", False),
    ("proxy.example:8080", "proxy.example", False),
]


@pytest.mark.parametrize(("listen", "host", "loopback"), LISTENS)
def test_listen(config: Loader, listen: str, host: str | None, loopback: bool) -> None:
    settings = config(LOCAL + f"listen: {listen}\nauth: {{mode: none}}\n")
    assert settings.listen is not None and settings.listen.port == 8080
    assert (settings.host, settings.loopback_only, settings.addressing) == (host, loopback, loopback)


def test_addressing_can_be_said(config: Loader) -> None:
    assert config(LOCAL + "listen: 0.0.0.0:1\nauth: {mode: none}\naddressing: true").addressing
    assert not config(LOCAL + "addressing: false").addressing


def test_the_command_line_may_name_the_host(config: Loader) -> None:
    settings = config(LOCAL)
    assert settings.addressing and settings.served_on("") is settings and settings.served_on(None) is settings
    elsewhere = settings.served_on("0.0.0.0")
    assert not elsewhere.loopback_only and not elsewhere.addressing and elsewhere.host == "0.0.0.0"


REACHABLE = [
    (None, "", True),
    ("127.0.0.1", "", True),
    ("localhost", "", True),
    ("0.0.0.0", "", False),
    ("192.168.1.2", "", False),
    ("0.0.0.0", "auth: {mode: none}", True),
    ("0.0.0.0", "auth: {keys: [{value: k}]}", True),
]


@pytest.mark.parametrize(("host", "auth", "good"), REACHABLE)
def test_who_can_be_reached_by_others_needs_auth_written_out(
    config: Loader, host: str | None, auth: str, good: bool
) -> None:
    settings = config(LOCAL + auth)
    if good:
        return check_reachable(host, settings)
    with pytest.raises(SettingsError, match="auth: must be written out"):
        check_reachable(host, settings)


def test_a_listen_that_others_reach_is_refused_at_once(config: Loader) -> None:
    with pytest.raises(SettingsError, match="auth: must be written out"):
        config(LOCAL + "listen: 0.0.0.0:8080")
    assert config(LOCAL + "listen: 0.0.0.0:8080", {"LLM_LINK_API_KEY": "k"}).auth.mode == "proxy_key"


def test_the_environment_key_means_proxy_key_where_the_file_has_no_auth(config: Loader) -> None:
    key = {"LLM_LINK_API_KEY": "from-env"}
    settings = config(LOCAL, key)
    assert settings.auth.mode == "proxy_key" and settings.auth.keys[0].secret.get_secret_value() == "from-env"
    assert config(LOCAL + "auth: {mode: client_key}", key).auth.mode == "client_key"
    assert config(LOCAL + "auth: {mode: proxy_key}", key).auth.keys[0].secret.get_secret_value() == "from-env"
    assert config(LOCAL + "auth: {keys: [{value: own}]}", key).auth.keys[0].secret.get_secret_value() == "own"
    assert config(LOCAL).auth.mode == "none"


def test_no_secret_is_in_a_repr(config: Loader) -> None:
    proxied = WHOLE.replace("proxy: direct", "proxy: 'http://user:proxy-login@127.0.0.1:3128'")
    settings = config(proxied, ENVIRON)
    proxy = settings.upstreams["local"].proxy
    assert proxy is not None and proxy.login is not None and proxy.login.get_secret_value() == "user:proxy-login"
    assert not [secret for secret in [*ENVIRON.values(), "proxy-login"] if secret in repr(settings)]


def test_a_missing_provider_key_is_a_warning(config: Loader) -> None:
    text = "upstreams: {z: {provider: zhipu}}\n"
    assert "upstreams.z: has no key: ZHIPU_API_KEY is not set" in config(text).warnings[0]
    assert config(text, {"ZHIPU_API_KEY": "x"}).warnings == ()
    assert config(text + "auth: {mode: client_key}").warnings == ()


def test_the_first_key_variable_that_is_set_counts(config: Loader) -> None:
    text = "upstreams: {v: {provider: volcengine}}"
    key = config(text, {"VOLCENGINE_API_KEY": "", "ARK_API_KEY": "ark"}).upstreams["v"].key
    assert key is not None and key.get_secret_value() == "ark"


def test_without_models_an_upstream_that_is_alone_takes_every_name(config: Loader) -> None:
    assert list(config(LOCAL).models) == ["*"]
    assert config(LOCAL + "models: {}").models == {}
    assert config("upstreams: {a: {provider: local}, b: {provider: local}}").models == {}


def test_params_of_an_entry_hold_for_its_targets(config: Loader) -> None:
    text = "models: {x: {targets: [a/b, {target: a/c, params: {delete: [u]}}], params: {delete: [v]}}}"
    assert [ref.params.delete for ref in config(LOCAL + text).models["x"].targets] == [("v",), ("u",)]


def test_a_changed_listen_is_seen(config: Loader) -> None:
    one, same, other = (config(LOCAL + f"listen: 127.0.0.1:{port}") for port in (1, 1, 2))
    assert changed_listen(one, other) and not changed_listen(one, same)


@pytest.mark.parametrize("path", sorted((ROOT / "configs" / "examples").glob("*.yaml")), ids=lambda path: path.stem)
def test_an_example_is_good(path: Path, tmp_path: Path) -> None:
    names = ("ANTHROPIC_API_KEY", "OPENAI_API_KEY", "ZHIPU_API_KEY", "MOONSHOT_API_KEY", "TEAM_KEY_ANNA", "TEAM_KEY_CI")
    assert load(path, dict.fromkeys(names, "k"), cwd=tmp_path).warnings == ()


def test_the_example_config_needs_nothing_and_warns_of_nothing(tmp_path: Path) -> None:
    settings = load(ROOT / "configs" / "llm-link.yaml", {}, cwd=tmp_path)
    assert settings.warnings == () and settings.addressing and settings.listen == ("127.0.0.1", 8080)
    assert "upstream local (openai-chat, http://127.0.0.1:8000/v1), no key, auth none" in settings.start_line


def test_the_comments_of_the_example_config_are_good_too(config: Loader) -> None:
    lines = (ROOT / "configs" / "llm-link.yaml").read_text().split("\n\n", 1)[1].splitlines()
    whole = "\n".join(line.replace("# ", "", 1) if line.lstrip().startswith("# ") else line for line in lines)
    environ = {"LLM_LINK_API_KEY": "a", "TEAM_KEY": "b", "LOCAL_KEY": "c", "ZHIPU_API_KEY": "d", "MINIMAX_API_KEY": "e"}
    settings = config(whole, {**environ, "DEEPSEEK_API_KEY": "f", "LLM_LINK_SECRET": "g", "LLM_LINK_ADMIN_KEY": "h"})
    assert list(settings.upstreams) == ["local", "zhipu", "minimax", "deepseek"] and len(settings.auth.keys) == 2
