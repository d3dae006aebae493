"""`llm-link`: what its options become, what it prints, and how it ends."""

from __future__ import annotations

import json
import os
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import typer

from addons.settings import Settings, load
from scripts import serve
from scripts.cli import COMMANDS, app, run, with_command
from scripts.serve import Options
from tests import forked
from tests.harness import clean_environ, free_port
from tests.terminal import converse
from tests.test_readme import check_ours

Capture = pytest.CaptureFixture[str]
ROOT_GROUP = typer.main.get_command(app)
ROOT = Path(__file__).resolve().parent.parent
CONFIG = "upstreams: {local: {protocol: openai-chat, base_url: http://127.0.0.1:9/v1}}\n"


def llm_link(*words: object, cwd: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    full = {**clean_environ(), "HOME": str(cwd), "COLUMNS": "100", **environ}
    return forked.llm_link(*words, cwd=cwd, environ=full)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "llm-link.yaml"
    path.write_text(CONFIG)
    return path


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, and an environment that says nothing: for `run` in this process."""
    for name in os.environ.keys() - clean_environ().keys():
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def argv_of(options: Options, settings: Settings | None = None, environ: dict[str, str] | None = None) -> list[str]:
    loaded = settings or load(options.config, {}, serve=options.overrides)
    return serve.command(options, loaded, environ or {})


def option(argv: list[str], name: str) -> str:
    return argv[argv.index(name) + 1]


# ------------------------------------------------------------------------------------------------ the words


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ([], ["serve"]),
        (["--config", "x"], ["serve", "--config", "x"]),
        (["--app", "codex-cli", "--api-key", "T"], ["serve", "--app", "codex-cli", "--api-key", "T"]),
        (["-p", "1"], ["serve", "-p", "1"]),
        (["check", "x"], ["check", "x"]),
        (["--help"], ["--help"]),
        (["-h"], ["-h"]),
        (["--version"], ["--version"]),
        (["help"], ["--help"]),
        (["help", "serve"], ["serve", "--help"]),
    ],
)
def test_serve_is_the_default_command(given: list[str], meant: list[str]) -> None:
    assert with_command(given) == meant


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["prviders"], "did you mean providers?"),
        (["providers", "lst"], "did you mean list?"),
        (["providers"], "name one of add, list, show, remove"),
        (["--prot", "1"], "did you mean --port"),
        (["serve", "--prt=1"], "llm-link serve --help"),
        (["demo", "--port", "x"], "integer"),
        (["check"], "llm-link check FILE"),
        (["--port", "0"], "--port"),
        (["--policy", "lax"], "strict, balanced, max_compat"),
        (["--log-level", "loud"], "debug, info, warning, error"),
        ([], "there is no upstream"),
        (["--provider", "nobody"], "nobody"),
        (["--base-url", "http://127.0.0.1:9/v1", "--protocols", "smtp"], "smtp"),
        (["--config", "missing.yaml"], "missing.yaml"),
        (["--base-url", "http://127.0.0.1:9/v1", "--host", "0.0.0.0"], "auth"),
        (["--base-url", "http://127.0.0.1:9/v1", "--env-file", "missing.env"], "missing.env"),
        (["check", "missing.yaml"], "missing.yaml"),
        (["models", "zhpu"], "did you mean zhipu?"),
    ],
)
def test_bad_usage_ends_with_2_and_a_line(words: list[str], says: str, alone: Path, capfd: Capture) -> None:
    assert run(words) == 2
    said = capfd.readouterr()
    assert says in said.err and said.err.startswith("llm-link: ") and said.err.count("\n") == 1 and not said.out, said


def test_the_program_ends_with_that_code_and_line(tmp_path: Path) -> None:
    done = llm_link("--prot", "1", cwd=tmp_path)
    line = "llm-link: no such option: --prot (did you mean --port or --protocol or --protocols?)"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"{line} (llm-link serve --help says more)\n")


def test_a_bad_config_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(CONFIG + "polcy: strict\n")
    for words in (["check", path], ["serve", "--config", path]):
        done = llm_link(*words, cwd=tmp_path)
        assert done.returncode == 2
        assert f"{path}:2: polcy: " in done.stderr and done.stderr.count("\n") == 1


BIG = """\
listen: 0.0.0.0:9000
auth: {mode: proxy_key, keys: [{value: sk-client-1, label: team}]}
upstreams:
  zhipu: {provider: zhipu}
  local: {protocol: openai-chat, base_url: http://127.0.0.1:9/v1, api_key: {value: sk-local-1}}
  two: {protocol: anthropic, base_url: http://127.0.0.1:9, api_keys: [{env: ONE_KEY}, {env: TWO_API_KEY}]}
models:
  claude-*: [zhipu/glm-4.6, local/qwen]
  fast: {targets: [{target: local/a, weight: 3}, two/b], choose: weighted}
addressing: true
"""


def test_check_says_what_would_be_served(config: Path, tmp_path: Path) -> None:
    config.write_text(BIG)
    (tmp_path / ".env").write_text("TWO_API_KEY=sk-two-1\n")
    (tmp_path / "more.env").write_text("ONE_KEY=sk-one-1\n")
    words = ("check", config, "--env-file", tmp_path / "more.env")
    done = llm_link(*words, cwd=tmp_path, ZHIPU_API_KEY="sk-zhipu-1")
    assert (done.returncode, done.stderr) == (0, "")
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert lines[:2] == [
        f"{config}: good",
        "listens on 0.0.0.0:9000, auth proxy_key (1 key), policy balanced",
    ]
    assert "zhipu openai-chat https://open.bigmodel.cn/api/paas/v4 ZHIPU_API_KEY (the environment)" in lines
    assert "local openai-chat http://127.0.0.1:9/v1 the config file" in lines
    assert any(line.endswith(f"ONE_KEY (the environment), TWO_API_KEY ({tmp_path}/.env)") for line in lines)
    assert lines.index("fast weighted: local/a (weight 3), two/b (weight 1)") < lines.index(
        "claude-* zhipu/glm-4.6, then local/qwen"
    )
    assert "sk-" not in done.stdout
    found = json.loads(llm_link(*words, "--json", cwd=tmp_path, ZHIPU_API_KEY="sk-zhipu-1").stdout)
    assert found["good"] and found["listen"] == {"host": "0.0.0.0", "port": 9000, "this_machine_only": False}
    assert found["auth"] == {"mode": "proxy_key", "keys": ["team"]}
    assert [route["name"] for route in found["models"]] == ["fast", "claude-*"]
    assert "sk-" not in json.dumps(found)


def test_check_as_json_lists_what_is_wrong(config: Path, tmp_path: Path) -> None:
    config.write_text(CONFIG + "polcy: strict\n")
    done = llm_link("check", config, "--json", cwd=tmp_path)
    (problem,) = json.loads(done.stdout)["problems"]
    assert done.returncode == 2 and (problem["file"], problem["line"], problem["key"]) == (str(config), 2, "polcy")


def test_check_without_a_file(config: Path, tmp_path: Path) -> None:
    done = llm_link("check", cwd=tmp_path)
    assert done.returncode == 2 and "llm-link check FILE" in done.stderr
    assert llm_link("check", cwd=tmp_path, LLM_LINK_CONFIG=str(config)).stdout.startswith(f"{config}: good\n")


# ------------------------------------------------------------------------------------------------ what serve becomes


def test_serve_listens_on_loopback_by_default(config: Path) -> None:
    argv = argv_of(Options(config))
    assert Path(argv[0]).name == "mitmdump"
    assert Path(option(argv, "-s")) == ROOT / "addons" / "llm_link.py"
    assert (option(argv, "--listen-host"), option(argv, "--listen-port")) == ("127.0.0.1", "8080")
    assert f"llm_link_config={config}" in argv
    assert "keep_host_header=true" in argv and "connection_strategy=lazy" in argv


def test_the_command_line_wins_over_the_file(config: Path) -> None:
    config.write_text(CONFIG + "listen: '[::1]:9090'\n")
    argv = argv_of(Options(config))
    assert (option(argv, "--listen-host"), option(argv, "--listen-port")) == ("::1", "9090")
    argv = argv_of(Options(config, host="127.0.0.2", port=7))
    assert (option(argv, "--listen-host"), option(argv, "--listen-port")) == ("127.0.0.2", "7")


def test_a_listen_without_a_host_stays_on_loopback(config: Path) -> None:
    config.write_text(CONFIG + "listen: 9090\n")
    argv = argv_of(Options(config))
    assert (option(argv, "--listen-host"), option(argv, "--listen-port")) == ("127.0.0.1", "9090")


def test_the_environment_names_a_config_too(config: Path) -> None:
    assert serve.config_path(Options(), {"LLM_LINK_CONFIG": "a.yaml"}) == Path("a.yaml")
    assert serve.config_path(Options(config), {"LLM_LINK_CONFIG": "a.yaml"}) == config
    assert serve.config_path(Options(), {}) is None


def test_web_is_mitmweb_that_opens_nothing(config: Path) -> None:
    argv = argv_of(Options(config, web=True, web_port=8181))
    assert Path(argv[0]).name == "mitmweb"
    assert "--no-web-open-browser" in argv
    assert (option(argv, "--web-host"), option(argv, "--web-port")) == ("127.0.0.1", "8181")


@pytest.mark.parametrize(("level", "verbosity"), [("debug", "debug"), ("warning", "warn"), ("error", "error")])
def test_the_log_level_is_mitmproxys_too(config: Path, level: str, verbosity: str) -> None:
    assert f"termlog_verbosity={verbosity}" in argv_of(Options(config, overrides={"log_level": level}))


def test_without_the_program_beside_python_its_main_function_is_called(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    python, flag, code = serve.program("mitmdump")
    assert (python, flag) == (str(tmp_path / "python"), "-c")
    assert "import mitmdump" in code


def test_flags_and_env_file_travel_in_the_environment(tmp_path: Path) -> None:
    env_file = tmp_path / "more.env"
    env_file.write_text("ZHIPU_API_KEY=from-file\nLLM_LINK_LOG_LEVEL=debug\n")
    options = Options(env_file=env_file, overrides={"llm_api_key": "secret-1", "api_key": "secret-2"})
    environ = serve.child_environ(options, {"ZHIPU_API_KEY": "from-shell", serve.SERVE: "an old one"})
    assert environ["ZHIPU_API_KEY"] == "from-shell"
    assert environ["LLM_LINK_LOG_LEVEL"] == "debug"
    assert json.loads(environ[serve.SERVE]) == {"llm_api_key": "secret-1", "api_key": "secret-2"}


def test_it_serves_with_flags_alone_and_shows_no_secret(tmp_path: Path) -> None:
    port = free_port()
    (tmp_path / ".env").write_text("SOME_API_KEY=sk-dot-1\nOLLAMA_BASE_URL=http://evil\n")
    words = ["--base-url", "http://127.0.0.1:9/v1", "--port", port, "--api-key", "sk-client-1"]
    words += ["--llm-api-key", "sk-llm-1"]
    argv = [str(w) for w in (sys.executable, ROOT / "scripts" / "cli.py", *words)]
    log = tmp_path / "log"
    with log.open("wb") as out:
        environ = {**clean_environ(), "HOME": str(tmp_path)}
        process = subprocess.Popen(argv, stdout=out, stderr=out, stdin=subprocess.DEVNULL, cwd=tmp_path, env=environ)
    try:
        wait_ready(process, port, log)
        url = f"http://127.0.0.1:{port}/v1/models"
        assert httpx.get(url).status_code == 401
        assert httpx.get(url, headers={"authorization": "Bearer sk-client-1"}).status_code == 200
        line = Path(f"/proc/{process.pid}/cmdline")
        if line.exists():  # Linux: what everybody on the machine can read
            assert b"mitmdump" in line.read_bytes() and b"sk-" not in line.read_bytes()
        said = log.read_text()
        assert "sk-" not in said and "evil" not in said
        assert f"SOME_API_KEY from {tmp_path}/.env" in said and "ignored: OLLAMA_BASE_URL" in said
        process.terminate()
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()


def wait_ready(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    end = time.monotonic() + 20
    while time.monotonic() < end and process.poll() is None:
        try:
            if httpx.get(f"http://127.0.0.1:{port}/ready").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    pytest.fail(f"not ready:\n{log.read_text()}")


def test_a_port_that_is_taken_is_a_failure_while_running(config: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = llm_link("serve", "--config", config, "--port", taken.getsockname()[1], cwd=tmp_path)
    assert done.returncode == 1
    assert "address already in use" in (done.stdout + done.stderr).lower()


# ------------------------------------------------------------------------------------------------ the catalogue


def test_providers_list_says_whose_key_is_set(tmp_path: Path) -> None:
    done = llm_link("providers", "list", cwd=tmp_path, ZHIPU_API_KEY="sk-zhipu-1")
    rows = {line.split()[0]: line for line in done.stdout.splitlines() if line.strip()}
    assert done.returncode == 0
    assert "ZHIPU_API_KEY" in rows["zhipu"] and "not set" not in rows["zhipu"]
    assert "not set" in rows["moonshot"]
    assert "sk-zhipu-1" not in done.stdout


def test_models_of_one_provider(tmp_path: Path) -> None:
    done = llm_link("models", "zhipu", cwd=tmp_path)
    assert done.returncode == 0
    assert "glm-" in done.stdout and "openai" not in done.stdout


def test_version(tmp_path: Path) -> None:
    assert llm_link("--version", cwd=tmp_path).stdout.startswith("llm-link 0.")


def test_starting_stays_light() -> None:
    """`serve` becomes another program: what it imports before is paid at every start."""
    heavy = "('mitmproxy', 'httpx', 'rich', 'fastapi', 'cryptography', 'keyring')"
    code = f"import sys, scripts.serve, scripts.cli; print([m for m in {heavy} if m in sys.modules])"
    assert python(code) == "[]"


def test_help_of_all_imports_no_command() -> None:
    code = (
        "import sys; from scripts.cli import run; run(['--help']); print([m for m in sys.modules if '.commands.' in m])"
    )
    assert python(code).endswith("\n[]")


def python(code: str) -> str:
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environ, timeout=60)
    assert done.returncode == 0, done
    return done.stdout.strip()


# ------------------------------------------------------------------------------------------------ help


def every_command(group: Any = ROOT_GROUP, *words: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name in group.list_commands(None):
        command = group.get_command(None, name)
        yield (*words, name), command
        if hasattr(command, "get_command"):
            yield from every_command(command, *words, name)


def test_the_table_says_what_the_commands_say_of_themselves() -> None:
    for name, row in COMMANDS.items():
        command = ROOT_GROUP.get_command(None, name)
        assert (command.help or "").startswith(row.summary.rstrip(".")), name


def test_every_command_says_what_it_is_and_shows_examples() -> None:
    for words, command in every_command():
        assert command.help, words
        assert command.epilog or words == ("version",), words
        for line in (command.epilog or "").splitlines():
            said = shlex.split(line, comments=True)
            assert said[0] in ("llm-link", "mitmdump", "mitmweb"), line
            if said[0] == "llm-link":
                check_ours(said[1:])


def test_help_is_in_groups(tmp_path: Path) -> None:
    everything = llm_link("--help", cwd=tmp_path).stdout
    assert [f"\n{panel}:\n" in everything for panel in ("Run", "Look", "Set up", "Examples")] == [True] * 4
    serve_help = llm_link("serve", "-h", cwd=tmp_path).stdout
    assert "\nKeys:\n" in serve_help and "\nExamples:\n  llm-link serve " in serve_help
    assert "\x1b" not in everything + serve_help


# ------------------------------------------------------------------------------------------------ terminal and pipe


def test_a_table_is_drawn_on_a_terminal_and_plain_in_a_pipe(tmp_path: Path) -> None:
    environ = {**clean_environ(), "HOME": str(tmp_path), "COLUMNS": "100", "TERM": "xterm"}
    argv = [sys.executable, ROOT / "scripts" / "cli.py", "doctor", "--offline"]
    drawn = converse(argv, [], tmp_path, environ)
    assert drawn.code == 0 and "\x1b[32mok" in drawn.text and "─" in drawn.text
    plain = converse(argv, [], tmp_path, {**environ, "NO_COLOR": "1"})
    assert "\x1b[3" not in plain.text and "─" in plain.text
    piped = llm_link("doctor", "--offline", cwd=tmp_path).stdout
    assert "\x1b" not in piped and "─" not in piped and piped.startswith("area  ")


def test_headings_of_help_are_bold_on_a_terminal(tmp_path: Path) -> None:
    environ = {**clean_environ(), "TERM": "xterm"}
    argv = [sys.executable, ROOT / "scripts" / "cli.py", "serve", "-h"]
    assert "\x1b[1mExamples" in converse(argv, [], tmp_path, environ).text
    assert "\x1b" not in converse(argv, [], tmp_path, {**environ, "NO_COLOR": "1"}).text


def test_a_reader_that_has_enough_is_no_error(tmp_path: Path) -> None:
    words = f"{sys.executable} {ROOT / 'scripts' / 'cli.py'} models | head -n 1"
    done = subprocess.run(["bash", "-c", words], capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert done.stdout.startswith("provider") and done.stderr == ""


def test_a_terminal_of_few_letters_gets_what_it_has(tmp_path: Path) -> None:
    done = llm_link("init", "--provider", "zhipu", "--yes", cwd=tmp_path, PYTHONIOENCODING="ascii")
    assert done.returncode == 0 and "export ZHIPU_API_KEY=?" in done.stdout


def test_completion_is_installed_for_the_shell(tmp_path: Path) -> None:
    """In a home of its own; once more changes nothing."""
    words = f"{sys.executable} {ROOT / 'scripts' / 'cli.py'} --install-completion"
    environ = {**clean_environ(), "HOME": str(tmp_path)}
    done = subprocess.run(["bash", "-c", f"{words} && {words}; exit $?"], env=environ, cwd=tmp_path, timeout=60)
    assert done.returncode == 0
    assert (tmp_path / ".bashrc").read_text().count("llm-link.sh") == 1


# ------------------------------------------------------------------------------------------------ completion


def completed(line: str, cwd: Path) -> list[str]:
    """What bash offers after these words."""
    words = line.split(" ")
    done = llm_link(cwd=cwd, _LLM_LINK_COMPLETE="complete_bash", COMP_WORDS=line, COMP_CWORD=str(len(words) - 1))
    assert done.returncode == 0 and not done.stderr, done
    return done.stdout.split()


@pytest.mark.parametrize(
    ("line", "offers"),
    [
        ("llm-link ", "serve"),
        ("llm-link prov", "providers"),
        ("llm-link --prov", "--provider"),
        ("llm-link --provider zh", "zhipu"),
        ("llm-link serve --model glm-4.6", "glm-4.6"),
        ("llm-link models deep", "deepseek"),
        ("llm-link providers ", "list"),
    ],
)
def test_the_shell_completes_names(line: str, offers: str, tmp_path: Path) -> None:
    assert offers in completed(line, tmp_path)


def test_completion_is_shown_for_a_shell(tmp_path: Path) -> None:
    done = llm_link("--show-completion", "bash", cwd=tmp_path, _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")
    assert done.returncode == 0 and "complete" in done.stdout and "llm-link" in done.stdout


def test_exchanges_are_saved_where_asked(config: Path, tmp_path: Path) -> None:
    argv = argv_of(Options(config, save=tmp_path / "saved"))
    assert f"llm_link_save={tmp_path / 'saved'}" in argv
    assert not any(word.startswith("llm_link_save=") for word in argv_of(Options(config)))
