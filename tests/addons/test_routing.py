"""From the client's model name to targets: the order, the names that are refused, and the lists."""

from pathlib import Path

import pytest

from addons.routing import MAX_LISTED, Router, Target
from addons.settings import Reverse, Settings, load
from translators.model import BadRequest

CONFIG = """\
upstreams:
  local: {protocol: openai-chat, base_url: 'http://127.0.0.1:9/v1', params: {delete: [user]}}
  zhipu: {provider: zhipu, api_key: {value: k}}
  volc: {provider: volcengine, api_key: {value: k}, limits: {context_window: 5000}}
  qwen3: {provider: aliyun, api_key: {value: k}}
models:
  claude-haiku-*: local/small
  fast: local/tiny
  claude-*: [zhipu/glm-4.6, local/big]
  gpt-5: {target: zhipu/glm-4.6, params: {update: {temperature: 0.6}}}
  zhipu/glm-4.5: local/exact-first
  slashes: local/vendor/some-model
  db: volc/doubao-seed-1.6
  same: local/*
  weighted: {targets: [{target: local/a, weight: 3}, local/b], choose: weighted}
"""
STAR = '  "*": local/*\n'


def settings_of(tmp_path: Path, text: str) -> Settings:
    path = tmp_path / "c.yaml"
    path.write_text(text)
    return load(path, {}, cwd=tmp_path)


@pytest.fixture
def router(tmp_path: Path) -> Router:
    return Router(settings_of(tmp_path, CONFIG))


def targets(router: Router, model: str) -> list[str]:
    return [target.address for target in router.resolve(model).targets]


RESOLVED = [
    ("fast", ["local/tiny"]),
    ("claude-haiku-5", ["local/small"]),
    ("claude-opus-5", ["zhipu/glm-4.6", "local/big"]),
    ("claude-opus-5[1m]", ["zhipu/glm-4.6", "local/big"]),
    ("gpt-5", ["zhipu/glm-4.6"]),
    ("slashes", ["local/vendor/some-model"]),
    ("same", ["local/same"]),
    ("zhipu/glm-4.5", ["local/exact-first"]),  # an exact name comes before an address
    ("zhipu/glm-5.3", ["zhipu/glm-5.3"]),
    ("zhipu:glm-5.3", ["zhipu/glm-5.3"]),
    ("local/a/b", ["local/a/b"]),
    ("local:a:b/c", ["local/a:b/c"]),
    ("local/a:b", ["local/a:b"]),
    ("qwen3:8b", ["qwen3/8b"]),  # an upstream of that name is meant
]


@pytest.mark.parametrize(("model", "found"), RESOLVED)
def test_resolving(router: Router, model: str, found: list[str]) -> None:
    assert targets(router, model) == found


def test_a_target_knows_what_goes_over_the_wire(router: Router) -> None:
    (target,) = router.resolve("db").targets
    assert isinstance(target, Target)
    assert (target.model, target.backend, target.address) == (
        "doubao-seed-1.6", "doubao-seed-1-6-250615", "volc/doubao-seed-1.6")  # fmt: skip
    assert target.traits.context_window == 5000 and target.traits.reasoning == "thinking"
    assert target.upstream.protocol == "openai-chat" and target.params == ()


def test_params_of_the_upstream_come_before_those_of_the_target(tmp_path: Path) -> None:
    text = CONFIG.replace("slashes: local/vendor/some-model", "slashes: {target: local/m, params: {add: {top_p: 1}}}")
    (target,) = Router(settings_of(tmp_path, text)).resolve("slashes").targets
    assert [(one.delete, one.add) for one in target.params] == [(("user",), {}), ((), {"top_p": 1})]


def test_a_route_says_how_to_choose(router: Router) -> None:
    route = router.resolve("weighted")
    assert (route.choose, route.name) == ("weighted", "weighted")
    assert [target.weight for target in route.targets] == [3, 1]
    assert router.resolve("local/x").name == ""


def test_an_unknown_model_is_a_404_that_names_what_there_is(router: Router) -> None:
    with pytest.raises(BadRequest) as caught:
        router.resolve("gemini-9")
    error = caught.value.error
    assert (error.status, error.kind, error.param) == (404, "not_found", "model")
    assert "'gemini-9'" in error.message and "claude-haiku-*, fast, claude-*" in error.message
    assert "zhipu/MODEL" in error.message


def test_the_names_in_a_404_are_bounded(tmp_path: Path) -> None:
    lines = "".join(f"  name-{n}: local/m\n" for n in range(500))
    with pytest.raises(BadRequest) as caught:
        Router(settings_of(tmp_path, CONFIG + lines)).resolve("nothing")
    message = caught.value.error.message
    assert message.count(",") <= MAX_LISTED and message.endswith(", ….")


def test_without_addressing_an_address_is_a_name_like_others(tmp_path: Path) -> None:
    router = Router(settings_of(tmp_path, "addressing: false\n" + CONFIG))
    with pytest.raises(BadRequest) as caught:
        router.resolve("zhipu/glm-5.3")
    assert caught.value.error.status == 404 and "zhipu/MODEL" not in caught.value.error.message
    starred = Router(settings_of(tmp_path, "addressing: false\n" + CONFIG + STAR))
    assert targets(starred, "zhipu/glm-5.3") == ["local/zhipu/glm-5.3"]


def test_a_prefix_that_is_no_upstream_is_part_of_the_name(tmp_path: Path) -> None:
    router = Router(settings_of(tmp_path, CONFIG + STAR))
    for name in ("openai/gpt-oss-120b", "llama3:8b", "/x", "x/", ":x", "local/", "Zhipu/glm"):
        assert targets(router, name) == [f"local/{name}"]


def test_globs_are_tried_as_written(tmp_path: Path) -> None:
    text = CONFIG.split("models:")[0] + "models: {a*: local/first, a-*: local/second, '*': local/third}"
    router = Router(settings_of(tmp_path, text))
    assert [targets(router, name) for name in ("a-b", "b")] == [["local/first"], ["local/third"]]


@pytest.mark.parametrize("model", ["", " ", "\t"])
def test_no_model_without_a_star_is_a_400(router: Router, model: str) -> None:
    with pytest.raises(BadRequest) as caught:
        router.resolve(model)
    assert caught.value.error.status == 400 and "There is: " in caught.value.error.message


EMPTY = [
    ("'*': [zhipu/glm-4.6, local/x]", "zhipu/glm-4.6"),
    ("'*': zhipu/*", "zhipu/glm-5.3"),
    ("'*': volc/*", "volc/doubao-seed-1-8-251228"),
    ("'*': local/*", None),
]


@pytest.mark.parametrize(("star", "found"), EMPTY)
def test_no_model_takes_the_first_target_of_the_star(tmp_path: Path, star: str, found: str | None) -> None:
    router = Router(settings_of(tmp_path, f"{CONFIG}  {star}\n"))
    if found is not None:
        assert targets(router, "") == [found]
    else:
        with pytest.raises(BadRequest, match="names no model"):
            router.resolve("")


REFUSED = ["local/../secret", "..", "local/a/../b", "local:..", "a\nb", "a\x00", "a\x7fb", "x" * 257, "local/\u2028"]


@pytest.mark.parametrize("model", REFUSED)
def test_a_name_that_must_not_get_into_a_url(tmp_path: Path, model: str) -> None:
    router = Router(settings_of(tmp_path, CONFIG + STAR))
    with pytest.raises(BadRequest) as caught:
        router.resolve(model)
    assert (caught.value.error.status, caught.value.error.param) == (400, "model")
    assert len(model) < 3 or model not in caught.value.error.message


def test_zero_config_takes_every_name_unchanged() -> None:
    router = Router(load(None, {}, reverse=Reverse("https", "api.groq.com", 443)))
    for name in ("openai/gpt-oss-120b", "groq/compound", "a:b"):
        (target,) = router.resolve(name).targets
        assert target.backend == name and target.upstream.name == "groq"


def test_without_settings_nothing_is_known() -> None:
    with pytest.raises(BadRequest, match="No models are configured"):
        Router(Settings()).resolve("x")
    assert Router(Settings()).known_models() == []


def test_the_same_name_is_resolved_once(router: Router) -> None:
    assert router.resolve("fast") is router.resolve("fast")


# ------------------------------------------------------------------------------------------------ lists


def test_exact_names_come_first_then_what_globs_match(router: Router) -> None:
    names = [info.id for info in router.known_models()]
    exact = ["fast", "gpt-5", "zhipu/glm-4.5", "slashes", "db", "same", "weighted"]
    assert names[: len(exact)] == exact and len(names) == len(set(names))
    haikus = [name for name in names if name.startswith("claude-haiku")]
    assert haikus and names[len(exact) : len(exact) + len(haikus)] == haikus
    assert "claude-opus-5-5" in names and not [name for name in names[len(exact) :] if not name.startswith("claude-")]


def test_a_row_of_the_list_is_about_its_target(router: Router) -> None:
    rows = {info.id: info for info in router.known_models()}
    assert rows["gpt-5"].owner == "zhipu" and rows["gpt-5"].context_window == 200000 and rows["gpt-5"].reasoning
    assert rows["db"].context_window == 5000 and rows["db"].vision
    assert rows["fast"].owner == "local" and rows["fast"].context_window == 0 and rows["fast"].tools


def test_a_star_to_an_upstream_of_the_catalogue_lists_its_models(tmp_path: Path) -> None:
    router = Router(settings_of(tmp_path, CONFIG.split("models:")[0] + "models: {'*': zhipu/*}"))
    names = [info.id for info in router.known_models()]
    assert names and all(name.startswith("glm-") for name in names)


def test_a_star_to_another_upstream_lists_the_catalogue(tmp_path: Path) -> None:
    names = [info.id for info in Router(settings_of(tmp_path, CONFIG + STAR)).known_models()]
    assert {"gpt-5", "claude-opus-5-5", "glm-5.3"} <= set(names)
