"""YAML with lines, `.env`, `--env-file` and `model-overrides.yaml`: what files may hold, and what happens with junk."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.settings import SettingsError, environment, load, read_env_file
from addons.settings_yaml import Document, key_text, parse, read

VALUES = [
    ("a: 1\nb: 2.5\nc: text", {"a": 1, "b": 2.5, "c": "text"}),
    ("a: true\nb: False\nc: yes\nd: off", {"a": True, "b": False, "c": "yes", "d": "off"}),
    ("a: ~\nb:\nc: null\nd: ''", {"a": None, "b": None, "c": None, "d": ""}),
    ("a: '1'\nb: \"true\"\nc: !!str 5\nd: ! 6", {"a": "1", "b": "true", "c": "5", "d": "6"}),
    ("a: 12:30\nb: 127.0.0.1:80\nc: 2024-01-01\nd: 1_000\ne: 0x10", {
        "a": "12:30", "b": "127.0.0.1:80", "c": "2024-01-01", "d": "1_000", "e": "0x10"}),
    ("a: 1e3\nb: -.5\nc: +3", {"a": 1000.0, "b": -0.5, "c": 3}),
    ("1: a\ntrue: b\n~: c", {"1": "a", "true": "b", "~": "c"}),
    ("a: [1, [2, {b: 3}]]", {"a": [1, [2, {"b": 3}]]}),
    ("a: &x {b: 1}\nc: *x", {"a": {"b": 1}, "c": {"b": 1}}),
    ("a: {<<: [{x: 1, y: 1}, {x: 2, z: 2}], y: 3}", {"a": {"x": 1, "z": 2, "y": 3}}),
    ("'<<': 1", {"<<": 1}),
    ("\ufeffa: 1", {"a": 1}),
    ("a: |\n  one\n  two\n", {"a": "one\ntwo\n"}),
    ("", {}),
    ("# nothing\n", {}),
    ("---\n...\n", {}),
]  # fmt: skip


@pytest.mark.parametrize(("text", "values"), VALUES)
def test_values(text: str, values: object) -> None:
    assert parse(text).values == values


# file, what is said of it
BAD = [
    ("- a", "f:1: must hold a map of keys"),
    ("text", "f:1: must hold a map of keys"),
    ("a: 1\na: 2", "f:2: a: is there twice; the first is on line 1"),
    ("x:\n  a: 1\n  b: 1\n  a: 2", "f:4: x.a: is there twice; the first is on line 2"),
    ("a: [", "f:2: is not valid YAML"),
    ("a: 'x", "f:1: is not valid YAML"),
    ("a: b: c", "f:1: is not valid YAML"),
    ("\ta: 1", "f:1: is not valid YAML"),
    ("a: @x", "f:1: is not valid YAML"),
    ("a: \x00", "f: is not valid YAML"),
    ("? [a, b]\n: c", "f:1: a key must be plain text"),
    ("a:\n  ? {b: c}\n  : d", "f:2: a: a key must be plain text"),
    ("a: *nowhere", "f:1: a: *nowhere names no anchor before it"),
    ("a: &x [*x]", "f:1: a[0]: *x names no anchor before it"),
    ("a: !!python/object:os.system x", "f:1: a: the tag tag:yaml.org,2002:python/object:os.system is not taken here"),
    ("a: !secret x", "f:1: a: the tag !secret is not taken here"),
    ("a: !!set {x, y}", "f:1: a: the tag tag:yaml.org,2002:set is not taken here"),
    ("a: !!binary aGk=", "f:1: a: the tag tag:yaml.org,2002:binary is not taken here"),
    ("a: .inf", "f:1: a: must be a finite number"),
    ("a: {<<: 5}", "f:1: a: << needs a map"),
    ("a: 1\n---\nb: 2", "f:2: a second document; only one is read"),
    ("[" * 100_000, "is nested too deeply"),
    ("a: " + "{b: " * 100 + "}" * 100, "is nested too deeply"),
]


@pytest.mark.parametrize(("text", "said"), BAD)
def test_bad_yaml_is_told_with_its_line(text: str, said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse(text, "f")
    assert said in str(caught.value)


def test_aliases_cannot_stand_for_billions() -> None:
    ten = ", ".join(["*{}"] * 10)
    levels = ["a0: &a0 [" + ", ".join("1" * 10) + "]"]
    levels += [f"a{n}: &a{n} [{ten.replace('{}', f'a{n - 1}')}]" for n in range(1, 12)]
    with pytest.raises(SettingsError, match="has more than 200000 values"):
        parse("\n".join(levels))


def test_bytes_that_are_no_text() -> None:
    for junk in (b"\xff\xff", b"\xfe", b"a: \x81", b"\x00\x01"):
        with pytest.raises(SettingsError, match="is not valid YAML"):
            parse(junk)


@given(st.text() | st.binary() | st.text(alphabet="a:-[]{}&*!|>'\"#%,? \n\t<~0."))
def test_junk_never_raises_anything_else(text: str | bytes) -> None:
    try:
        document = parse(text, "f")
    except SettingsError as error:
        assert error.problems
    else:
        assert isinstance(document.values, dict)


def test_lines_of_keys_and_items() -> None:
    document = parse("a:\n  - x\n  - b: 1\n    c: 2\nd: {e: 1,\n  f: 2}\n", "f")
    assert document.lines[("a", 1, "c")] == 4 and document.lines[("d", "f")] == 6
    assert str(document.problem(("a", 1, "c"), "no")) == "f:4: a[1].c: no"
    assert str(document.problem(("a", "skipped", 1, "c"), "no")) == "f:4: a[1].c: no"
    assert str(document.problem(("x", "y"), "no")) == "f:1: x.y: no"
    assert str(Document().problem(("x",), "no")) == "x: no"
    assert key_text(("models", "gpt-4.1", 0)) == "models.gpt-4.1[0]"


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"gone\.yaml: cannot be read: No such file"):
        load(tmp_path / "gone.yaml", {})
    with pytest.raises(SettingsError, match="cannot be read: Is a directory"):
        read(tmp_path)
    (tmp_path / "big.yaml").write_bytes(b"# " + b"x" * (5 << 20))
    with pytest.raises(SettingsError, match="is larger than 4 MiB"):
        read(tmp_path / "big.yaml")


# ------------------------------------------------------------------------------------------------ .env

ENV = """\
# a comment
A_API_KEY=bare value # with a comment
export B_API_KEY='single # "quoted" \\n'
C_API_KEY = "double \\n \\t \\" \\\\ \\x"  # after
D_API_KEY=
E_API_KEY=with#hash
F_API_KEY=a=b=c
"""
PARSED = {
    "A_API_KEY": "bare value",
    "B_API_KEY": 'single # "quoted" \\n',
    "C_API_KEY": 'double \n \t " \\ \\x',
    "D_API_KEY": "",
    "E_API_KEY": "with#hash",
    "F_API_KEY": "a=b=c",
}


@pytest.mark.parametrize("text", [ENV, ENV.replace("\n", "\r\n"), "\ufeff" + ENV, ENV.rstrip("\n")])
def test_an_env_file(tmp_path: Path, text: str) -> None:
    path = tmp_path / "keys"
    path.write_bytes(text.encode())
    assert read_env_file(path) == PARSED


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("A=1\nnonsense", "keys:2: expected NAME=VALUE"),
        ("A='x", "keys:1: A: the quotes are not closed"),
        ('A="x" y', "keys:1: A: the quotes are not closed, or more follows them"),
        ("1A=x", "keys:1: expected NAME=VALUE"),
        ("export A", "keys:1: expected NAME=VALUE"),
        ("A B=x", "keys:1: expected NAME=VALUE"),
    ],
)
def test_a_bad_env_file(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "keys"
    path.write_text(text)
    with pytest.raises(SettingsError) as caught:
        read_env_file(path)
    assert said in str(caught.value)


def test_an_env_file_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "junk").write_bytes(b"\xff\xfe\x00")
    for name in ("gone", "junk"):
        with pytest.raises(SettingsError, match=f"{name}: (cannot be read|is not UTF-8 text)"):
            read_env_file(tmp_path / name)


DOTENV = "A_API_KEY=file\nB_API_KEY=file\nC_API_KEY=file\nD_API_KEY=\nOLLAMA_BASE_URL=http://evil\nLLM_LINK_CONFIG=x\n"


def test_dot_env_fills_unset_keys_only(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(DOTENV)
    merged, notes = environment(tmp_path, {"A_API_KEY": "set", "B_API_KEY": "", "PATH": "/bin"})
    assert merged == {"A_API_KEY": "set", "B_API_KEY": "file", "C_API_KEY": "file", "PATH": "/bin"}
    assert (merged.dotenv, merged.taken) == (tmp_path / ".env", ("B_API_KEY", "C_API_KEY"))
    assert merged.origin("B_API_KEY") == str(tmp_path / ".env") and merged.origin("A_API_KEY") == "the environment"
    (note,) = notes
    assert note.endswith(".env: only *_API_KEY names are taken; ignored: LLM_LINK_CONFIG, OLLAMA_BASE_URL")
    assert "evil" not in note


def test_what_an_env_file_gave_already_is_no_reason_to_warn(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(DOTENV)
    merged, notes = environment(tmp_path, read_env_file(tmp_path / ".env"))
    assert merged["OLLAMA_BASE_URL"] == "http://evil" and merged.taken == () and notes == []


def test_the_start_line_names_the_dot_env_that_gave_keys(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("ZHIPU_API_KEY=sk-1\n")
    line = load(None, environment(tmp_path, {})[0], serve={"provider": "zhipu"}).start_line
    assert f"ZHIPU_API_KEY from {tmp_path / '.env'}" in line and "sk-1" not in line
    (tmp_path / ".env").write_text("MOONSHOT_API_KEY=\n")
    line = load(None, environment(tmp_path, {"ZHIPU_API_KEY": "sk-1"})[0], serve={"provider": "zhipu"}).start_line
    assert ".env" not in line


def test_a_dot_env_that_is_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / ".env")
    assert environment(tmp_path, {})[1][0].endswith(".env is not read: it is no regular file")


def test_no_dot_env(tmp_path: Path) -> None:
    assert environment(tmp_path, {"A": "b"}) == ({"A": "b"}, [])


def test_a_dot_env_of_somebody_else_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("A_API_KEY=x")
    monkeypatch.setattr(os, "getuid", lambda: (tmp_path / ".env").stat().st_uid + 1)
    merged, notes = environment(tmp_path, {})
    assert merged == {} and notes[0].endswith(".env is not read: it belongs to another user")


def test_a_dot_env_that_is_no_file(tmp_path: Path) -> None:
    (tmp_path / ".env").mkdir()
    merged, notes = environment(tmp_path, {})
    assert merged == {} and notes[0].endswith(".env is not read: Is a directory")


def test_bad_lines_of_dot_env_are_told_and_left(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("nonsense\nA_API_KEY=x\n")
    merged, notes = environment(tmp_path, {})
    assert merged == {"A_API_KEY": "x"} and notes[0].endswith(".env:1: expected NAME=VALUE (ignored)")
    (tmp_path / ".env").write_bytes(b"\xff\xff")
    merged, notes = environment(tmp_path, {})
    assert merged == {} and notes[0].endswith(".env: is not UTF-8 text")


# ------------------------------------------------------------------------------------------------ model-overrides.yaml


def volcengine(tmp_path: Path, overrides: str | None) -> tuple[str, tuple[str, ...]]:
    """The backend name of doubao-seed-1.6, and the warnings."""
    if overrides is not None:
        (tmp_path / "model-overrides.yaml").write_text(overrides)
    (tmp_path / "c.yaml").write_text("upstreams: {v: {provider: volcengine, api_key: {value: k}}}")
    settings = load(tmp_path / "c.yaml", {}, cwd=tmp_path)
    return settings.upstreams["v"].backend("doubao-seed-1.6"), settings.warnings


def test_model_overrides_come_first(tmp_path: Path) -> None:
    assert volcengine(tmp_path, None) == ("doubao-seed-1-6-250615", ())
    assert volcengine(tmp_path, "volcengine: {doubao-seed-1.6: ep-20250101-abcde}") == ("ep-20250101-abcde", ())


@pytest.mark.parametrize("text", ["volcengine: [", "volcengine: 5", "volcengine: {doubao-seed-1.6: 5}", "- a"])
def test_model_overrides_that_cannot_be_used_are_told_and_left(tmp_path: Path, text: str) -> None:
    name, warnings = volcengine(tmp_path, text)
    assert name == "doubao-seed-1-6-250615" and len(warnings) == 1 and "model-overrides.yaml" in warnings[0]


def test_model_overrides_of_the_working_directory_and_for_any_upstream(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "model-overrides.yaml").write_text("own: {logical: backend}\nmistral: {m: b}\n")
    text = "upstreams: {own: {protocol: anthropic, base_url: 'http://h'}, x: {provider: mistral, api_key: {value: k}}}"
    (tmp_path / "sub" / "c.yaml").write_text(text)
    settings = load(tmp_path / "sub" / "c.yaml", {}, cwd=tmp_path)
    assert [settings.upstreams["own"].backend(name) for name in ("logical", "other")] == ["backend", "other"]
    assert settings.upstreams["x"].backend("m") == "b" and "backend" not in repr(settings)
