"""What is said outside the file: the reverse target, the flags of `serve`, the environment, and who wins."""

import json
from pathlib import Path

import pytest

from addons.settings import Reverse, Settings, SettingsError, load

ANTHROPIC = Reverse("https", "api.anthropic.com", 443)


def reverse(*target: object, environ: dict[str, str] | None = None, protocol: str = "") -> Settings:
    return load(None, environ or {}, reverse=Reverse(*target), protocol=protocol)  # type: ignore[arg-type]


# target, llm_link_protocol -> upstream, protocol, root
TARGETS = [
    (("https", "api.anthropic.com", 443), "", "anthropic", "anthropic", "https://api.anthropic.com/v1"),
    (("https", "API.Anthropic.com.", 443), "", "anthropic", "anthropic", "https://api.anthropic.com./v1"),
    (("https", "api.openai.com", 443), "", "openai", "openai-chat", "https://api.openai.com/v1"),
    (("https", "api.openai.com", 443), "openai-responses", "openai", "openai-responses", "https://api.openai.com/v1"),
    (("https", "eu.api.openai.com", 443), "", "openai", "openai-chat", "https://eu.api.openai.com/v1"),
    (("https", "open.bigmodel.cn", 443), "", "zhipu", "openai-chat", "https://open.bigmodel.cn/api/paas/v4"),
    (("https", "api.z.ai", 443), "anthropic", "zhipu", "anthropic", "https://api.z.ai/api/anthropic/v1"),
    (("https", "api.minimaxi.com", 443), "", "minimax", "openai-chat", "https://api.minimaxi.com/v1"),
    (("https", "api.groq.com", 443), "", "groq", "openai-chat", "https://api.groq.com/openai/v1"),
    (("https", "api.groq.com", 443), "gemini", "groq", "openai-chat", "https://api.groq.com/openai/v1"),
    (("https", "generativelanguage.googleapis.com", 443), "", "gemini", "gemini",
     "https://generativelanguage.googleapis.com/v1beta"),
    (("http", "localhost", 11434), "", "ollama", "ollama", "http://localhost:11434/api"),
    (("http", "::1", 11434), "", "ollama", "ollama", "http://[::1]:11434/api"),
    (("http", "127.0.0.1", 11434), "openai-chat", "ollama", "openai-chat", "http://127.0.0.1:11434/v1"),
    (("http", "127.0.0.1", 8000), "", "upstream", "openai-chat", "http://127.0.0.1:8000/v1"),
    (("http", "127.0.0.1", 8000), "anthropic", "upstream", "anthropic", "http://127.0.0.1:8000/v1"),
    (("http", "gpu.example", 80), "gemini", "upstream", "gemini", "http://gpu.example/v1beta"),
    (("http", "gpu.example", 80), "ollama", "upstream", "ollama", "http://gpu.example/api"),
    (("https", "gpu.example", 8443), "openai-responses", "upstream", "openai-responses", "https://gpu.example:8443/v1"),
]  # fmt: skip


@pytest.mark.parametrize(("target", "protocol", "name", "spoken", "root"), TARGETS)
def test_the_reverse_target_is_the_only_upstream(
    target: tuple[str, str, int], protocol: str, name: str, spoken: str, root: str
) -> None:
    settings = reverse(*target, protocol=protocol)
    (upstream,) = settings.upstreams.values()
    assert (upstream.name, upstream.protocol, upstream.root) == (name, spoken, root)
    assert [(ref.upstream, ref.model) for ref in settings.models["*"].targets] == [(name, "*")]
    assert not settings.addressing, "every name goes through unchanged, also one with a slash"
    assert settings.loopback_only and settings.source is None


# target, environment -> mode, key, what the start line says
KEYS = [
    (ANTHROPIC, {"ANTHROPIC_API_KEY": "k"}, "none", "k", "key from ANTHROPIC_API_KEY, auth none"),
    (ANTHROPIC, {}, "client_key", None, "ANTHROPIC_API_KEY is not set: the client's key is forwarded, auth client_key"),
    (ANTHROPIC, {"ANTHROPIC_API_KEY": ""}, "client_key", None, "auth client_key"),
    (ANTHROPIC, {"LLM_LINK_API_KEY": "p"}, "proxy_key", None, "no key, auth proxy_key"),
    (Reverse("https", "gpu.example", 443), {}, "client_key", None, "the client's key is forwarded, auth client_key"),
    (Reverse("http", "localhost", 11434), {}, "none", None, "no key, auth none"),
]


@pytest.mark.parametrize(("target", "environ", "mode", "key", "line"), KEYS)
def test_whose_key_is_used(target: Reverse, environ: dict[str, str], mode: str, key: str | None, line: str) -> None:
    settings = load(None, environ, reverse=target)
    (upstream,) = settings.upstreams.values()
    assert settings.auth.mode == mode and settings.auth.written == (mode == "proxy_key")
    assert (upstream.key.get_secret_value() if upstream.key else None) == key
    assert settings.start_line.startswith(f"no config file: upstream {upstream.name}") and line in settings.start_line


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ({}, "there is no upstream: name one in a config file"),
        ({"reverse": Reverse("dns", "1.1.1.1", 53)}, "the reverse target: must begin with http:// or https://"),
        (
            {"reverse": Reverse("http", "h", 80), "protocol": "smtp"},
            "llm_link_protocol: unknown protocol 'smtp'; there is",
        ),
        ({"reverse": ANTHROPIC, "policy": "lax"}, "llm_link_policy: expected one of 'strict'"),
        ({"reverse": ANTHROPIC, "serve": {"nonsense": 1}}, "LLM_LINK_SERVE: Object contains unknown field `nonsense`"),
        ({"reverse": ANTHROPIC, "serve": {"log_level": "loud"}}, "--log-level: expected one of 'debug'"),
        ({"serve": {"provider": "zipu"}}, "--provider: unknown provider 'zipu' (did you mean zhipu?)"),
        ({"serve": {"provider": "zhipu", "base_url": "x"}}, "--base-url: must begin with http:// or https://"),
        ({"serve": {"provider": "mistral", "protocol": "gemini"}}, "--protocol: mistral does not speak gemini"),
        ({"serve": {"provider": "zhipu", "model": "a/../b"}}, "--model: the model has .. as a segment"),
        ({"serve": {"provider": "zhipu", "protocols": ["openai", "smtp"]}}, "--protocols: unknown protocol 'smtp'"),
        ({"serve": {"provider": "zhipu", "host": "0.0.0.0"}}, "auth: must be written out"),
    ],
)
def test_what_cannot_be(said: dict[str, object], error: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(None, {}, **said)  # type: ignore[arg-type]
    assert error in str(caught.value)


def serve(**flags: object) -> Settings:
    return load(None, {}, serve=flags)


def test_provider_and_model() -> None:
    settings = serve(provider="zhipu", model="glm-4.6", llm_api_key="k", api_key="c", policy="strict", log_level="WARN")
    zhipu = settings.upstreams["zhipu"]
    assert zhipu.key is not None and zhipu.key.get_secret_value() == "k"
    assert [(ref.upstream, ref.model) for ref in settings.models["*"].targets] == [("zhipu", "glm-4.6")]
    assert settings.auth.mode == "proxy_key" and settings.auth.keys[0].secret.get_secret_value() == "c"
    assert settings.policy == "strict" and settings.logging.level == "warning" and settings.auth.written
    assert settings.addressing


SERVES = [
    ({"provider": "zhipu"}, "zhipu", "https://open.bigmodel.cn/api/paas/v4", "zhipu/*", "client_key"),
    ({"provider": "zhipu", "llm_api_key": "k"}, "zhipu", "https://open.bigmodel.cn/api/paas/v4", "zhipu/*", "none"),
    ({"provider": "minimax:cn", "model": "M"}, "minimax", "https://api.minimaxi.com/v1", "minimax/M", "client_key"),
    ({"provider": "deepseek", "protocol": "anthropic"}, "deepseek", "https://api.deepseek.com/anthropic/v1",
     "deepseek/*", "client_key"),
    ({"provider": "local", "base_url": "http://h:1/v1"}, "local", "http://h:1/v1", "local/*", "none"),
    ({"base_url": "http://h:1/v1", "model": "m"}, "upstream", "http://h:1/v1", "upstream/m", "client_key"),
    ({"base_url": "http://h:1", "protocol": "anthropic"}, "upstream", "http://h:1/v1", "upstream/*", "client_key"),
    ({"provider": "ollama"}, "ollama", "http://localhost:11434/api", "ollama/*", "none"),
]  # fmt: skip


@pytest.mark.parametrize(("flags", "name", "root", "target", "mode"), SERVES)
def test_serve_without_a_file(flags: dict[str, str], name: str, root: str, target: str, mode: str) -> None:
    settings = serve(**flags)
    (upstream,) = settings.upstreams.values()
    assert (upstream.name, upstream.root, settings.auth.mode) == (name, root, mode)
    assert [f"{ref.upstream}/{ref.model}" for ref in settings.models["*"].targets] == [target]


@pytest.mark.parametrize(
    ("given", "served"),
    [
        (["openai"], ("openai-chat", "openai-responses")),
        ("anthropic,openai-chat", ("openai-chat", "anthropic")),
        ([], ("openai-chat", "openai-responses", "anthropic", "gemini", "ollama")),
    ],
)
def test_the_surfaces_that_are_served(given: object, served: tuple[str, ...]) -> None:
    assert serve(provider="local", protocols=given).protocols == served


def test_the_flags_travel_in_the_environment() -> None:
    flags = {"provider": "local", "model": "m", "host": "127.0.0.1", "port": 9, "policy": None}
    settings = load(None, {"LLM_LINK_SERVE": json.dumps(flags)}, reverse=Reverse("http", "127.0.0.1", 9))
    assert list(settings.upstreams) == ["local"] and settings.host == "127.0.0.1"
    with pytest.raises(SettingsError, match="LLM_LINK_SERVE: Input data was truncated"):
        load(None, {"LLM_LINK_SERVE": "{"})


FILE = """\
policy: strict
auth: {mode: client_key}
logging: {level: error}
upstreams: {a: {provider: local}, zhipu: {provider: zhipu, timeout: {idle: 7}, api_keys: [{value: x}]}}
models: {fast: a/b}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "c.yaml"
    path.write_text(FILE)
    return path


def test_the_command_line_goes_over_the_file(config: Path) -> None:
    flags = {"provider": "zhipu", "model": "glm-5.3", "llm_api_key": "k", "api_key": "c", "policy": "max_compat"}
    settings = load(config, {"LLM_LINK_LOG_LEVEL": "debug"}, serve={**flags, "log_level": "info"})
    zhipu = settings.upstreams["zhipu"]
    assert zhipu.timeout.idle == 7 and zhipu.key is not None and zhipu.key.get_secret_value() == "k"
    assert list(settings.upstreams) == ["a", "zhipu"] and list(settings.models) == ["*"]
    assert (settings.auth.mode, settings.policy, settings.logging.level) == ("proxy_key", "max_compat", "info")
    assert load(config, {}, serve=flags, policy="balanced").policy == "balanced"


def test_the_environment_goes_over_the_file_but_for_a_written_auth(config: Path) -> None:
    settings = load(config, {"LLM_LINK_LOG_LEVEL": "debug", "LLM_LINK_API_KEY": "k"})
    assert settings.logging.level == "debug" and settings.auth.mode == "client_key"


def test_a_file_with_upstreams_makes_the_reverse_target_unused(config: Path) -> None:
    assert list(load(config, {}, reverse=ANTHROPIC).upstreams) == ["a", "zhipu"]


def test_a_file_without_upstreams_keeps_the_reverse_target(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("policy: strict\nmodels: {fast: anthropic/claude-haiku-5-5, '*': anthropic/*}\n")
    settings = load(path, {}, reverse=ANTHROPIC)
    assert settings.policy == "strict" and list(settings.models) == ["fast", "*"] and settings.auth.mode == "client_key"
    assert settings.addressing


@pytest.mark.parametrize("flag", ["llm_api_key", "protocol"])
def test_a_flag_that_needs_to_know_which_upstream(config: Path, flag: str) -> None:
    with pytest.raises(SettingsError, match="needs --provider, since there are several upstreams"):
        load(config, {}, serve={flag: "anthropic"})


def test_a_model_alone(config: Path) -> None:
    (ref,) = load(config, {}, serve={"model": "zhipu/glm-5.3"}).models["*"].targets
    assert (ref.upstream, ref.model) == ("zhipu", "glm-5.3")
    with pytest.raises(SettingsError, match=r"--model: expected UPSTREAM/MODEL, not 'glm-5\.3'"):
        load(config, {}, serve={"model": "glm-5.3"})
    (ref,) = load(None, {}, serve={"model": "m"}, reverse=ANTHROPIC).models["*"].targets
    assert (ref.upstream, ref.model) == ("anthropic", "m")


def test_the_variable_of_ollama_names_its_server() -> None:
    environ = {"OLLAMA_BASE_URL": "http://gpu.example:11434/"}
    assert load(None, environ, serve={"provider": "ollama"}).upstreams["ollama"].root == "http://gpu.example:11434/api"
    chat = load(None, environ, serve={"provider": "ollama", "protocol": "openai-chat"})
    assert chat.upstreams["ollama"].root == "http://gpu.example:11434/v1"
    own = load(None, environ, serve={"provider": "ollama", "base_url": "http://own:1"})
    assert own.upstreams["ollama"].root == "http://own:1/api"
