"""Providers out of files: every form that people have, and every message with its file and line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from addons.settings import SettingsError
from addons.store import ProviderStore, Refused, WrongSecret, make, sealing
from addons.store.importing import parse

SECRET = SecretStr("the secret of the store")
SEALED = "aes256gcm:" + "QUFB" * 12

YAML = """
# people write comments
providers:
  - name: lab
    kind: litellm
    base_url: http://h:1/v1/
    model: m
    models: [m, n]
    api_key: sk-lab-1
  - {name: zhipu, api-key: sk-zhipu-1, enabled: no}
"""
BY_NAME = """
providers:
  lab: {api-base: http://h:1/v1, model: m, models: "m, n", api_key: sk-lab-1}
  zhipu: {api_key: sk-zhipu-1, enabled: false}
"""
BARE_YAML = YAML.replace("providers:\n", "").replace("\n  ", "\n")
LIST = [
    {"name": "lab", "base_url": "http://h:1/v1", "model": "m", "models": ["m", "n"], "api_key": "sk-lab-1"},
    {"name": "zhipu", "kind": "zhipu", "api_key": "sk-zhipu-1", "enabled": "0"},
]
LINKS = """
# a comment
lab
  kind "openai_like"
  base-url "http://h:1/v1"
  default-model "m"
  models "m, n"
  api-key "sk-lab-1"
zhipu
\tapi-key 'sk-zhipu-1'
\tenabled "no"
"""
DEEP = """
providers
    lab
        api-base http://h:1/v1
        model m
        models
            m
            n
        api-key "sk-lab-1"
    zhipu
        api-key: sk-zhipu-1
        enabled: false
"""

FILES = {
    "p.yaml": YAML,
    "named.yml": BY_NAME,
    "bare.yaml": BARE_YAML,
    "marked.yaml": "---" + BARE_YAML,
    "p.json": json.dumps({"providers": LIST}, indent=2),
    "array.json": json.dumps(LIST),
    "named.json": json.dumps({"providers": {row["name"]: {**row, "name": row["name"]} for row in LIST}}),
    "p.lino": LINKS,
    "p.lenv": LINKS,
    "deep.lenv": DEEP,
    "json-without-an-ending": json.dumps(LIST),
    "yaml-without-an-ending": YAML,
    "links-without-an-ending": DEEP,
}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealing, "N", 2**10)
    monkeypatch.setattr(sealing, "P", 1)


@pytest.fixture
def store(tmp_path: Path) -> ProviderStore:
    return ProviderStore(tmp_path / "store" / "providers.db", SECRET)


def take(store: ProviderStore, tmp_path: Path, name: str, text: str) -> list[str]:
    (tmp_path / name).write_text(text)
    return store.take_from(tmp_path / name)[1]


def keys(store: ProviderStore) -> dict[str, str | None]:
    found = {record.name: store.key(record.name) for record in store.list()}
    return {name: key.get_secret_value() if key else None for name, key in found.items()}


@pytest.mark.parametrize("name", FILES)
def test_the_same_from_every_form(store: ProviderStore, tmp_path: Path, name: str) -> None:
    take(store, tmp_path, name, FILES[name])
    assert keys(store) == {"lab": "sk-lab-1", "zhipu": "sk-zhipu-1"}
    lab, zhipu = store.list()
    assert (lab.kind, lab.base_url, lab.default_model) == ("openai-compatible", "http://h:1/v1", "m")
    assert lab.models == ("m", "n") and lab.enabled and (zhipu.provider, zhipu.enabled) == ("zhipu", False)


def test_one_object(store: ProviderStore, tmp_path: Path) -> None:
    take(store, tmp_path, "p.json", json.dumps(LIST[0]))
    assert keys(store) == {"lab": "sk-lab-1"}
    take(store, tmp_path, "p.yaml", "name: zhipu\napi_key: sk-zhipu-1\n")
    assert keys(store) == {"lab": "sk-lab-1", "zhipu": "sk-zhipu-1"}


ENV = """
# keys
export ZHIPU_API_KEY="sk-zhipu-1"
GOOGLE_API_KEY=sk-gemini-1
LAB_API_KEY=sk-lab-1 # ours
LAB_BASE_URL=http://h:1/v1
LAB_MODEL=m
PATH=/bin
EMPTY_API_KEY=
"""


def test_an_env_file(store: ProviderStore, tmp_path: Path) -> None:
    notes = take(store, tmp_path, ".env", ENV)
    assert keys(store) == {"zhipu": "sk-zhipu-1", "gemini": "sk-gemini-1", "lab": "sk-lab-1"}
    assert store.get("lab").base_url == "http://h:1/v1" and store.get("lab").default_model == "m"
    assert notes == [f"{tmp_path / '.env'}: is about no provider and was left out: PATH"]


def test_a_store_of_others_keeps_its_keys_sealed(store: ProviderStore, tmp_path: Path) -> None:
    row = {"name": "lab", "kind": "openai-compatible", "base_url": "http://h:1/v1", "encrypted_api_key": SEALED}
    take(store, tmp_path, "providers.lenv", f"# header\nlab: {json.dumps({**row, 'models': [], 'enabled': True})}\n")
    assert store.get("lab").encrypted_api_key == SEALED
    assert store.get("lab").redacted()["has_encrypted_api_key"] is True


def test_another_store_of_ours(store: ProviderStore, tmp_path: Path) -> None:
    other = ProviderStore(tmp_path / "other.lenv", SECRET)
    other.put(make({"name": "zhipu"}), SecretStr("sk-zhipu-1"))
    store.take_from(other.path)
    assert keys(store) == {"zhipu": "sk-zhipu-1"}
    with pytest.raises(WrongSecret):
        ProviderStore(tmp_path / "third.db", SecretStr("x")).take_from(other.path)


def test_what_our_lists_say_can_be_read_again(store: ProviderStore, tmp_path: Path) -> None:
    store.put(make({"name": "lab", "base_url": "http://h:1/v1", "models": ["m"]}))
    rows = {"data": [record.redacted() for record in store.list()], "catalogue": []}
    other = ProviderStore(tmp_path / "other.db", SECRET)
    take(other, tmp_path, "list.json", json.dumps(rows))
    assert other.list() == store.list()


# file name, its text, what is said after the file's name
WRONG = [
    ("p.json", '{"providers": [\n  {"name": "a",}\n]}', ":2: is not valid JSON"),
    ("p.json", '{"providers": [\n  {"name": "zhipu"},\n  {"name": "b"}\n]}', ":3: b: base_url: is required"),
    ("p.json", '{"providers": [\n  {"name": "zhipu"},\n  7\n]}', ":3: expected a map"),
    ("p.json", '{"providers": 7}', ":1: expected a list of providers"),
    ("p.json", "[]", ": has no provider in it"),
    ("p.json", '[{"name": "zhipu", "keyy": 1}]', ":1: zhipu: keyy: unknown key"),
    ("p.json", '[{"name": "zhipu", "api_key": 7}]', ":1: zhipu: api_key: expected text"),
    ("p.json", '[{"name": "zhipu", "models": 7}]', ":1: zhipu: models: expected a list of names"),
    ("p.json", '[{"name": "zhipu", "model": "a", "default_model": "b"}]', "default_model: is there twice, under two"),
    ("p.json", '[{"name": "zhipu"},\n{"name": "zhipu"}]', ":2: zhipu: is there twice; the first is on line 1"),
    ("p.json", '[{"base_url": "http://h"}]', ":1: name: is required"),
    ("p.json", "[" * 100_000, ": is n"),
    ("p.yaml", "providers:\n  - name: a\n   kind: b\n", "is not valid YAML"),
    ("p.yaml", "- name: zhipu\n- name: b\n", ":2: b: base_url: is required"),
    ("p.yaml", "- name: zhipu\n- {name: [}\n", ":2: is not valid YAML"),
    ("p.yaml", "providers: 7\n", ":1: providers: expected a list of providers"),
    ("p.yaml", "- {name: zhipu, enabled: maybe}\n", ":1: zhipu: enabled: expected true or false, not 'maybe'"),
    (".env", "ZHIPU_API_KEY=a\nhello\n", ":2: expected NAME=VALUE"),
    (".env", "X=1\n\nFOO_API_KEY=sk-1\n", ":3: foo: base_url: is required, since 'foo' is no provider"),
    (".env", "PATH=/bin\n", ": has no provider in it"),
    ("p.lenv", "lab: {\"name\": \"lab\",}\n", ":1: lab: expected `NAME: {JSON}`"),
    ("p.lenv", 'lab: {"name": "lab", "base_url": "http://h", "encrypted_api_key": "x"}\n', "is no sealed key"),
    ("p.lino", 'lab\n  kindd "x"\n', ":2: lab.kindd: unknown key; there is kind"),
    ("p.lino", 'lab\n  base-url "http://h"\n    deep "x"\n', ":2: lab.base-url: only `models` may have lines under"),
    ("p.lino", 'lab\n    base-url "http://h"\n  model m\n', ":3: model: stands in a column that no line before it"),
    ("p.lino", "lab\n  model\n", ":2: lab.model: has no value"),
    ("p.lino", 'lab\n  base-url "http://h\n', ':2: expected a name, or a name and a "value"'),
    ("p.lino", "zhipu\n  model m\n  model n\n", ":3: zhipu.model: is there twice"),
    ("p.lino", 'zhipu "x"\n', ":1: zhipu: expected a provider's name alone"),
    ("p.lino", "# nothing\n", ": has no provider in it"),
    ("p.bin", "\x00\x01", ":1: "),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text", "says"), WRONG)
def test_what_is_wrong_is_named(store: ProviderStore, tmp_path: Path, name: str, text: str, says: str) -> None:
    with pytest.raises(Refused) as caught:
        take(store, tmp_path, name, text)
    assert says in str(caught.value)
    assert str(caught.value).startswith(f"{tmp_path / name}:") and "sk-1" not in str(caught.value)
    assert not store.path.exists()


def test_all_problems_at_once(store: ProviderStore, tmp_path: Path) -> None:
    with pytest.raises(Refused) as caught:
        take(store, tmp_path, "p.yaml", "- name: a\n- name: zhipu\n- name: b\n")
    assert [(problem.line, problem.key) for problem in caught.value.problems] == [(1, "a"), (3, "b")]


ENDINGS = ("x.json", "x.yaml", ".env", "x.lenv", "x.lino", "x")
SMALL = ("lab: {}", '[{"name": "zhipu"}]', "a\n  b\n    c\n  d", "\ufeff{", "- - -", "{}", "[[", '"')
SAMPLES = (*FILES.values(), ENV, *SMALL)
MARKS = ("{", "}", ":", "\n", "  ", '"', "\x00", "[", "\t")


@given(st.data())
def test_junk_is_refused_and_never_breaks(data: st.DataObject) -> None:
    text = data.draw(st.sampled_from(SAMPLES))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text)))
        junk = data.draw(st.one_of(st.text(max_size=4), st.sampled_from(MARKS)))
        text = text[:at] + junk + text[at + data.draw(st.integers(0, 6)) :]
    try:
        found = parse(text, data.draw(st.sampled_from(ENDINGS)))
    except SettingsError as error:
        assert error.problems and all(problem.reason for problem in error.problems)
    else:
        assert found.entries and all(entry.record.name for entry in found.entries)


@pytest.mark.parametrize("data", [b"\xff\xfe\x00", None])
def test_a_file_that_cannot_be_read(store: ProviderStore, tmp_path: Path, data: bytes | None) -> None:
    if data is not None:
        (tmp_path / "f").write_bytes(data)
    with pytest.raises(Refused, match=r"/f: (is not UTF-8 text|cannot be read)"):
        store.take_from(tmp_path / "f")
