"""The catalogue: every provider that is promised, with facts that hold together."""

from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import pytest

from addons.catalog import FILE, Catalogue, Model, Provider, catalogue, glob, is_loopback, load, name_fault
from addons.credentials import FORMS
from addons.settings import SettingsError
from addons.settings_model import PROTOCOLS
from addons.settings_upstream import root_path, split_url
from translators.codec import Traits
from translators.model import EFFORTS

ROWS = catalogue().providers
DOORS = [(name, protocol) for name, row in ROWS.items() for protocol in row.protocols]

# provider -> protocol, root, key variable
PROMISED = {
    "openai": ("openai-chat", "https://api.openai.com/v1", "OPENAI_API_KEY"),
    "anthropic": ("anthropic", "https://api.anthropic.com/v1", "ANTHROPIC_API_KEY"),
    "zhipu": ("openai-chat", "https://open.bigmodel.cn/api/paas/v4", "ZHIPU_API_KEY"),
    "aliyun": ("openai-chat", "https://dashscope.aliyuncs.com/compatible-mode/v1", "ALIYUN_API_KEY"),
    "volcengine": ("openai-chat", "https://ark.cn-beijing.volces.com/api/v3", "VOLCENGINE_API_KEY"),
    "tencent": ("openai-chat", "https://api.hunyuan.cloud.tencent.com/v1", "TENCENT_API_KEY"),
    "longcat": ("openai-chat", "https://api.longcat.chat/openai/v1", "LONGCAT_API_KEY"),
    "moonshot": ("openai-chat", "https://api.moonshot.cn/v1", "MOONSHOT_API_KEY"),
    "minimax": ("openai-chat", "https://api.minimax.io/v1", "MINIMAX_API_KEY"),
    "ollama": ("ollama", "http://localhost:11434/api", "OLLAMA_API_KEY"),
    "gemini": ("gemini", "https://generativelanguage.googleapis.com/v1beta", "GEMINI_API_KEY"),
    "deepseek": ("openai-chat", "https://api.deepseek.com/v1", "DEEPSEEK_API_KEY"),
    "openrouter": ("openai-chat", "https://openrouter.ai/api/v1", "OPENROUTER_API_KEY"),
    "groq": ("openai-chat", "https://api.groq.com/openai/v1", "GROQ_API_KEY"),
    "mistral": ("openai-chat", "https://api.mistral.ai/v1", "MISTRAL_API_KEY"),
    "xai": ("openai-chat", "https://api.x.ai/v1", "XAI_API_KEY"),
    "together": ("openai-chat", "https://api.together.xyz/v1", "TOGETHER_API_KEY"),
    "fireworks": ("openai-chat", "https://api.fireworks.ai/inference/v1", "FIREWORKS_API_KEY"),
    "local": ("openai-chat", "http://127.0.0.1:8000/v1", ""),
}
# How reasoning may be asked for in each protocol; the codecs list the same.
STYLES = {
    "openai-chat": {"", "effort", "thinking", "enable_thinking", "reasoning", "none"},
    "openai-responses": {"", "effort", "none"},
    "anthropic": {"", "adaptive", "always", "budget", "none"},
    "gemini": {"", "level", "budget", "none"},
    "ollama": {"", "none"},
}


def traits(provider: str, model: str, protocol: str = "") -> Traits:
    row = ROWS[provider]
    return msgspec.convert(catalogue().traits(protocol or row.protocol, model, row), Traits)


def test_every_promised_provider_is_there() -> None:
    assert list(ROWS) == list(PROMISED)


@pytest.mark.parametrize("name", PROMISED)
def test_a_provider(name: str) -> None:
    row, (protocol, root, variable) = ROWS[name], PROMISED[name]
    parts = urlsplit(row.base_url)
    assert f"{parts.scheme}://{parts.netloc}{root_path(parts.path, protocol)}" == root
    assert (row.name, row.protocol) == (name, protocol) and row.title
    assert (row.key_env[0] if row.key_env else "") == variable
    assert row.key_required == (name not in ("ollama", "local"))
    assert all(variable.endswith("_API_KEY") for variable in row.key_env), "else .env could not fill it"
    assert name == "local" or row.default_model
    assert not row.models or name == "ollama" or row.model(row.default_model), "the default model is in the list"


@pytest.mark.parametrize(("name", "protocol"), DOORS)
def test_a_door(name: str, protocol: str) -> None:
    row = ROWS[name]
    door = row.endpoint(protocol)
    assert door is not None and protocol in PROTOCOLS and door.auth in {"", *FORMS}
    assert split_url(door.base_url).scheme == ("http" if name in ("ollama", "local") else "https")
    assert not root_path(urlsplit(door.base_url).path, protocol).endswith(("/chat/completions", "/messages"))
    for model in ["", *(model.id for model in row.models)]:
        found = msgspec.convert(catalogue().traits(protocol, model, row), Traits)
        assert found.reasoning in STYLES[protocol], model
        assert set(found.efforts) <= set(EFFORTS)
        assert list(found.efforts) == sorted(found.efforts, key=EFFORTS.index), "least first"


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row.regions])
def test_regions(name: str) -> None:
    row = ROWS[name]
    for region, urls in row.regions.items():
        assert urls and set(urls) <= set(row.protocols)
        for protocol, url in urls.items():
            door = row.endpoint(protocol, region)
            assert door is not None and door.base_url == url and split_url(url)
    assert row.endpoint(row.protocol, next(iter(row.regions))) is not None


REGIONS = [
    ("minimax", "cn", "openai-chat", "https://api.minimaxi.com/v1"),
    ("minimax", "cn", "anthropic", "https://api.minimaxi.com/anthropic"),
    ("minimax", "global", "anthropic", "https://api.minimax.io/anthropic"),
    ("moonshot", "global", "", "https://api.moonshot.ai/v1"),
    ("zhipu", "global", "", "https://api.z.ai/api/paas/v4"),
    ("aliyun", "international", "", "https://dashscope-intl.aliyuncs.com/compatible-mode/v1"),
]


@pytest.mark.parametrize(("name", "region", "protocol", "url"), REGIONS)
def test_a_region(name: str, region: str, protocol: str, url: str) -> None:
    door = ROWS[name].endpoint(protocol, region)
    assert door is not None and door.base_url == url


def test_a_region_without_that_door_has_none() -> None:
    assert ROWS["minimax"].endpoint("openai-responses", "cn") is None
    assert ROWS["mistral"].endpoint("anthropic") is None


HOSTS = [
    ("api.anthropic.com", 443, "anthropic", ""),
    ("API.ANTHROPIC.COM", 8443, "anthropic", ""),
    ("api.z.ai", 443, "zhipu", "global"),
    ("api.minimaxi.com", 443, "minimax", "cn"),
    ("localhost", 11434, "ollama", ""),
    ("[::1]", 11434, "ollama", ""),
    ("ollama.com", 443, "ollama", "cloud"),
    ("api.together.ai", 443, "together", ""),
    ("localhost", 8000, None, None),
    ("evil-api.anthropic.com", 443, None, None),
    ("api.anthropic.com.evil.example", 443, None, None),
]


@pytest.mark.parametrize(("host", "port", "name", "region"), HOSTS)
def test_a_host(host: str, port: int, name: str | None, region: str | None) -> None:
    found = catalogue().at_host(host, port)
    assert (found[0].name, found[1]) == (name, region) if found else name is None


def test_layers_go_from_the_general_to_the_special() -> None:
    gpt = traits("openai", "gpt-5")
    assert gpt.max_tokens_field == "max_completion_tokens"
    assert {"stop", "temperature", "frequency_penalty"} <= set(gpt.drop)
    assert gpt.efforts == ("minimal", "low", "medium", "high") and gpt.context_window == 400000
    assert traits("openai", "gpt-4o").drop == () and traits("openai", "gpt-4o").reasoning == "none"
    routed = traits("openrouter", "openai/gpt-5")
    assert "temperature" in routed.drop and routed.reasoning == "reasoning" and routed.max_tokens_field == "max_tokens"
    assert traits("deepseek", "deepseek-v4-pro").replay == "reasoning_content"
    assert traits("deepseek", "deepseek-v4-pro", "anthropic").replay == ""
    assert traits("aliyun", "qwen3-coder-plus").reasoning == "none"
    assert traits("aliyun", "qwen-plus").reasoning == "enable_thinking"
    assert traits("groq", "llama-3.3-70b-versatile").drop == ("logit_bias", "logprobs", "n")


CLAUDES = [
    # model, reasoning, drops sampling, prefill, mid_system, context
    ("claude-3-haiku-20240307", "none", False, True, False, 200000),
    ("claude-3-5-sonnet-20241022", "none", False, True, False, 200000),
    ("claude-3-7-sonnet-20250219", "budget", False, True, False, 200000),
    ("claude-sonnet-4-20250514", "budget", False, True, False, 200000),
    ("claude-opus-4-5-20251101", "budget", False, True, False, 200000),
    ("claude-haiku-4-5-20251001", "budget", False, True, False, 200000),
    ("claude-opus-4-6", "adaptive", False, False, False, 200000),
    ("claude-opus-4-7", "adaptive", True, False, True, 1000000),
    ("claude-opus-5", "adaptive", True, False, True, 1000000),
    ("claude-haiku-5-5", "adaptive", True, False, True, 1000000),
    ("claude-sonnet-5-5", "always", True, False, True, 1000000),
    ("claude-opus-5-5", "always", True, False, True, 1000000),
    ("claude-fable-5-1", "always", True, False, True, 1000000),
]


@pytest.mark.parametrize(("model", "reasoning", "drops", "prefill", "mid", "window"), CLAUDES)
def test_the_claude_generations(model: str, reasoning: str, drops: bool, prefill: bool, mid: bool, window: int) -> None:
    found = traits("anthropic", model)
    assert (found.reasoning, found.prefill, found.mid_system, found.context_window) == (reasoning, prefill, mid, window)
    assert ({"temperature", "top_p", "top_k"} <= set(found.drop)) == drops
    assert (found.version == "") == drops, "sampling is for the older version of the protocol"
    assert found.max_output and ("off" in found.efforts or reasoning != "adaptive")


@pytest.mark.parametrize(
    ("model", "protocol", "reasoning", "efforts"),
    [
        ("gemini-4-argon", "gemini", "level", ("low", "medium", "high")),
        ("gemini-3.8-flash", "gemini", "level", ()),
        ("gemini-3.1-pro-preview", "gemini", "level", ("low", "medium", "high")),
        ("gemini-2.5-flash", "gemini", "", ()),
        ("gemini-2.0-flash", "gemini", "none", ()),
        ("gemini-3.8-flash", "openai-chat", "effort", ("minimal", "low", "medium", "high")),
    ],
)
def test_the_gemini_generations(model: str, protocol: str, reasoning: str, efforts: tuple[str, ...]) -> None:
    found = traits("gemini", model, protocol)
    assert (found.reasoning, found.efforts) == (reasoning, efforts)
    old, new = traits("gemini", "gemini-2.5-pro", "gemini"), traits("gemini", "gemini-3.8-flash", "gemini")
    assert "off" not in old.efforts and (old.structured_tools, new.structured_tools) == (False, True)


def test_what_a_door_does_not_take_is_in_its_row() -> None:
    assert traits("mistral", "mistral-large-latest").call_id_length == 9
    assert "image_url" in traits("moonshot", "kimi-k3").drop
    assert "image_url" in traits("ollama", "x", "openai-chat").drop
    assert traits("anthropic", "claude-sonnet-5-5").search and not traits("zhipu", "glm-5.3", "anthropic").search


def test_claude_elsewhere_is_not_asked_in_the_words_of_another_protocol() -> None:
    assert traits("openrouter", "anthropic/claude-opus-5").reasoning == "reasoning"
    assert msgspec.convert(catalogue().traits("openai-chat", "claude-opus-5"), Traits) == Traits()


VOLCENGINE = [
    ("ep-20241023-abcde", {}, "ep-20241023-abcde"),
    ("doubao-seed-1-8-251228", {}, "doubao-seed-1-8-251228"),
    ("doubao-seed-1.6", {}, "doubao-seed-1-6-250615"),
    ("doubao-seed-1.6", {"doubao-seed-1.6": "ep-own"}, "ep-own"),
    ("ep-20241023-abcde", {"ep-20241023-abcde": "ep-other"}, "ep-other"),
    ("gpt-4o", {}, "doubao-seed-1-8-251228"),
    ("gpt-4o", {"*": "ep-default"}, "ep-default"),
    ("", {}, "doubao-seed-1-8-251228"),
]


@pytest.mark.parametrize(("model", "overrides", "backend"), VOLCENGINE)
def test_volcengine_gets_endpoint_ids(model: str, overrides: dict[str, str], backend: str) -> None:
    assert ROWS["volcengine"].backend(model, overrides) == backend


def test_other_providers_take_the_name_as_it_is() -> None:
    assert ROWS["zhipu"].backend("anything", {}) == "anything"
    assert ROWS["zhipu"].backend("anything", {"anything": "else"}) == "else"
    assert ROWS["zhipu"].backend("", {}) == "glm-5.3"


def test_looking_models_up() -> None:
    assert [model.id for _, model in catalogue().matching("glm-4.5-*", [ROWS["zhipu"]])] == [
        "glm-4.5-x", "glm-4.5-air", "glm-4.5-airx", "glm-4.5-flash"]  # fmt: skip
    names = [model.id for _, model in catalogue().matching("*")]
    assert len(names) == len(set(names)) > 100
    known = catalogue().info("glm-4.6")
    assert known is not None and known.context_window == 200000 and known.reasoning
    assert catalogue().info("glm-4.6", ROWS["openai"]) is None and catalogue().info("nothing") is None


GLOBS = [
    ("claude-*", "claude-opus-5", True),
    ("claude-*", "xclaude-", False),
    ("gpt-?", "gpt-5", True),
    ("gpt-?", "gpt-55", False),
    ("m[1m]", "m[1m]", True),
    ("m[1m]", "m1", False),
    ("*", "any\nthing", True),
    ("a.c", "abc", False),
    ("A*", "abc", False),
]


@pytest.mark.parametrize(("pattern", "name", "fits"), GLOBS)
def test_globs_know_stars_and_question_marks_only(pattern: str, name: str, fits: bool) -> None:
    assert bool(glob(pattern).match(name)) == fits


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST.", "a.localhost", "127.0.0.1", "127.9.9.9", "::1", "[::1]",
                                  "::ffff:127.0.0.1", "::1%lo"])  # fmt: skip
def test_loopback(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["", "0.0.0.0", "::", "10.0.0.1", "localhost.evil.example", "127.0.0.1.evil.example",
                                  "notlocalhost", "::ffff:10.0.0.1", "2130706433"])  # fmt: skip
def test_not_loopback(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize("name", ["a", "a/b", "a..b", "x:y", "...", "claude[1m]", "模型", "a" * 256, "a b"])
def test_a_good_name(name: str) -> None:
    assert name_fault(name) == ""


@pytest.mark.parametrize("name", ["..", "a/..", "../a", "a\\..\\b", "a:..", "a\nb", "\x00", "a\x7f", "\x85", "a\u2028",
                                  "\ud800", "a" * 257])  # fmt: skip
def test_a_bad_name(name: str) -> None:
    assert name_fault(name)


@pytest.mark.parametrize(
    ("providers", "said"),
    [
        ("p: {title: P, protocol: anthropic}", "missing required field `base_url`"),
        ("p: {title: P, protocol: anthropic, base_url: 'https://h', nme: x}", "unknown field `nme`"),
        ("p: {title: P, protocol: anthropic, base_url: 'https://h', traits: {prefil: true}}", "unknown field `prefil`"),
        ("p: {title: P, protocol: anthropic, base_url: 'https://h', models: [{id: m, traits: {efforts: 5}}]}", "array"),
    ],
)
def test_a_row_that_is_wrong_is_an_error(tmp_path: Path, providers: str, said: str) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(f"providers:\n  {providers}\n")
    with pytest.raises(SettingsError, match=said):
        load(path)


def test_the_catalogue_is_read_once_and_stands_beside_the_program() -> None:
    assert catalogue() is catalogue() and FILE.is_file() and FILE.name == "providers.yaml"
    assert isinstance(load(FILE), Catalogue)
    assert all(isinstance(row, Provider) and all(isinstance(m, Model) for m in row.models) for row in ROWS.values())
