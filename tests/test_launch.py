"""`llm-link launch` with real processes: a proxy, the demo's model, and a client that is a small program of ours."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import select
import shlex
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scripts.launch_env import cleaned
from tests import forked
from tests.harness import ROOT, Conn, Seen, Upstream, clean_environ, config, proxy

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")  # a fork that execs at once

# It asks the model one thing, as Claude Code would, notes what it sees of the world, and then does what it is told.
CLIENT = """#!{python}
import json, os, signal, sys, time, urllib.request
from pathlib import Path
note = Path({note!r})
said = {{}}
if "ANTHROPIC_BASE_URL" in os.environ:
    body = {{"model": os.environ.get("ANTHROPIC_MODEL", "claude-x"), "max_tokens": 99}}
    body["messages"] = [{{"role": "user", "content": "hello there"}}]
    asked = urllib.request.Request(os.environ["ANTHROPIC_BASE_URL"] + "/v1/messages", json.dumps(body).encode(), {{
        "authorization": "Bearer " + os.environ["ANTHROPIC_AUTH_TOKEN"], "content-type": "application/json",
        "user-agent": "claude-cli/2.1.328 (external, sdk-cli)"}})
    said = json.load(urllib.request.urlopen(asked))
note.with_suffix(".part").write_text(json.dumps({{
    "env": dict(os.environ), "argv": sys.argv, "cwd": os.getcwd(), "said": said, "pid": os.getpid(),
    "tty": sys.stdin.isatty(), "mode": oct(os.stat(os.environ["CLAUDE_CONFIG_DIR"] + "/..").st_mode & 0o777),
    "settings": oct(os.stat(sys.argv[sys.argv.index("--settings") + 1]).st_mode & 0o777)}}))
what = sys.argv[-1]
if what == "wait-int":
    signal.signal(signal.SIGINT, lambda *_: sys.exit(7))
note.with_suffix(".part").rename(note)
if what.startswith("exit-"):
    sys.exit(int(what[5:]))
if what == "stop":
    os.kill(os.getpid(), signal.SIGSTOP)
    sys.exit(5)
if what == "die":
    os.kill(os.getpid(), signal.SIGKILL)
if what.startswith("wait"):
    time.sleep(60)
"""
OWN = {
    ".claude/settings.json": '{"theme": "dark", "model": "opus", "env": {"ANTHROPIC_BASE_URL": "http://x", "A": "1"}}',
    ".claude/CLAUDE.md": "Be brief.",
    ".claude/agents/one.md": "an agent",
    ".claude/.credentials.json": '{"claudeAiOauth": {"accessToken": "secret"}}',
    ".claude.json": '{"theme": "dark", "oauthAccount": {"x": 1}, "mcpServers": {"m": {"command": "true"}}}',
}


def tree(folder: Path) -> dict[str, Any]:
    """Every file with what is in it."""
    return {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None for p in folder.rglob("*")}


class Launch:
    """A user's home, a client to launch, and the launcher's command line."""

    def __init__(self, tmp: Path) -> None:
        self.home, self.work, self.note = tmp / "home", tmp / "work", tmp / "note.json"
        for folder in (self.home, self.work):
            folder.mkdir()
        for name, text in OWN.items():
            (self.home / name).parent.mkdir(parents=True, exist_ok=True)
            (self.home / name).write_text(text)
        self.client = tmp / "claude"
        self.client.write_text(CLIENT.format(python=sys.executable, note=str(self.note)))
        self.client.chmod(0o755)
        self.temporary = tmp / "run"
        self.temporary.mkdir(mode=0o700)

    def words(self, *more: str) -> list[str]:
        cli = [sys.executable, str(ROOT / "scripts" / "cli.py"), "launch", "claude", "--binary", str(self.client)]
        return [*cli, *more]

    def environ(self, **more: str) -> dict[str, str]:
        own = {"HOME": str(self.home), "XDG_RUNTIME_DIR": str(self.temporary), **more}
        return {**clean_environ(), **own}

    def start(self, *more: str, **kwargs: Any) -> subprocess.Popen[str]:
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        return subprocess.Popen(self.words(*more), env=self.environ(), cwd=self.work, **{**pipes, **kwargs})

    def run(self, *more: str, **environ: str) -> subprocess.CompletedProcess[str]:
        env = self.environ(**environ)
        return subprocess.run(
            self.words(*more),
            env=env,
            cwd=self.work,
            capture_output=True,
            text=True,
            timeout=60,
            stdin=subprocess.DEVNULL,
        )

    def seen(self, process: subprocess.Popen[Any] | None = None) -> dict[str, Any]:
        """What the client noted, once it did."""
        end = time.monotonic() + 40
        while not self.note.exists():
            assert time.monotonic() < end, "the client never came"
            assert process is None or process.poll() is None, process.communicate()
            time.sleep(0.05)
        return dict(json.loads(self.note.read_text()))

    def nothing_left(self) -> None:
        """No process of this launch, and no home: the proxy's folder is in its command line or its environment."""
        end = time.monotonic() + 15
        while processes := list(self.processes()):
            assert time.monotonic() < end, processes
            time.sleep(0.05)
        assert not list(self.temporary.iterdir())

    def processes(self) -> Iterator[str]:
        return (words for _, words in self.commands())

    def commands(self) -> Iterator[tuple[int, str]]:
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if str(self.temporary).encode() in (entry / "environ").read_bytes():
                    yield int(entry.name), (entry / "cmdline").read_bytes().decode().replace("\0", " ")


@pytest.fixture
def launch(tmp_path: Path) -> Launch:
    return Launch(tmp_path)


def on_terminal(launch: Launch, words: list[str]) -> tuple[int, int]:
    """A process with a terminal of its own: its id, and our end of the terminal."""
    environ = launch.environ(TERM="dumb", PS1="$ ")
    pid, terminal = pty.fork()
    if not pid:
        os.chdir(launch.work)
        os.execve(words[0], words, environ)
    return pid, terminal


def test_a_client_talks_through_the_proxy_and_its_exit_code_comes_through(launch: Launch) -> None:
    before = tree(launch.home)
    done = launch.run("--demo", "--", "exit-3", ZHIPU_API_KEY="provider-secret", LLM_LINK_SECRET="s", KEPT="yes")
    seen = launch.seen()
    assert done.returncode == 3, done.stderr
    assert "hello there" in json.dumps(seen["said"])
    assert seen["said"]["model"] == "demo-model"
    assert seen["mode"] == "0o700" and seen["settings"] == "0o600" and seen["cwd"] == str(launch.work)
    env = seen["env"]
    assert env["KEPT"] == "yes" and env["HOME"] == str(launch.home)
    assert "provider-secret" not in json.dumps(env) and not [
        k for k in env if k in ("ZHIPU_API_KEY", "LLM_LINK_SECRET")
    ]
    assert env["ANTHROPIC_AUTH_TOKEN"] not in " ".join(seen["argv"])
    assert tree(launch.home) == before
    launch.nothing_left()


def test_a_workspace_and_paths_that_are_not_in_it(launch: Launch, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (launch.work / "own.env").write_text("OTHER=1\n")
    done = launch.run("--demo", "--workspace", "../there", "--env-file", "own.env", "--web", "--", "exit-0")
    assert done.returncode == 0, done.stderr
    assert "watch it at http://127.0.0.1:" in done.stderr
    seen = launch.seen()
    assert seen["cwd"] == seen["env"]["PWD"] == str(tmp_path / "there")
    launch.nothing_left()


def test_a_proxy_that_died_is_told_of(launch: Launch) -> None:
    process = launch.start("--demo", "--", "wait")
    seen = launch.seen(process)
    (proxy_pid,) = [pid for pid, words in launch.commands() if "mitmdump" in words]
    os.kill(proxy_pid, signal.SIGKILL)
    end = time.monotonic() + 10
    stat_file = Path(f"/proc/{proxy_pid}/stat")
    while (state := stat_file.read_text().rpartition(") ")[2][0]) != "Z":  # before that its parent cannot see it
        assert time.monotonic() < end, state
        time.sleep(0.02)
    os.kill(seen["pid"], signal.SIGTERM)
    out, _ = process.communicate(timeout=20)
    assert process.returncode == 128 + signal.SIGTERM and "the proxy had ended by itself" in out
    launch.nothing_left()


def test_a_client_that_is_killed(launch: Launch) -> None:
    done = launch.run("--demo", "--", "die")
    assert done.returncode == 128 + signal.SIGKILL
    launch.nothing_left()


def test_a_kept_home_is_layered_on_the_users_and_has_no_login_of_theirs(launch: Launch, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    assert launch.run("--demo", "--home", str(kept), "--", "exit-0").returncode == 0
    home = kept / "claude"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o700
    assert json.loads((home / "settings.json").read_text()) == {"theme": "dark", "env": {"A": "1"}}
    assert (home / "CLAUDE.md").read_text() == "Be brief." and (home / "agents" / "one.md").exists()
    assert not (home / ".credentials.json").exists()
    state = json.loads((home / ".claude.json").read_text())
    assert state["hasCompletedOnboarding"] and state["mcpServers"] and "oauthAccount" not in state
    (home / "settings.json").write_text('{"theme": "light"}')
    (home / "projects").mkdir()
    launch.note.unlink()
    assert launch.run("--demo", "--home", str(kept), "--", "exit-0").returncode == 0
    assert json.loads((home / "settings.json").read_text()) == {"theme": "light"}  # what was changed in it stays
    assert (home / "projects").is_dir()


def test_a_told_launcher_ends_both(launch: Launch) -> None:
    process = launch.start("--demo", "--", "wait")
    launch.seen(process)
    process.terminate()
    assert process.wait(20) == 128 + signal.SIGTERM
    launch.nothing_left()


def test_a_killed_launcher_leaves_no_process(launch: Launch) -> None:
    process = launch.start("--demo", "--", "wait")
    launch.seen(process)
    process.kill()
    process.wait(5)
    end = time.monotonic() + 15
    while left := list(launch.processes()):
        assert time.monotonic() < end, left
        time.sleep(0.05)


def test_an_interrupt_before_the_client_runs(launch: Launch) -> None:
    process = launch.start("--demo", "--", "wait")
    while not list(launch.temporary.iterdir()):
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 128 + signal.SIGINT
    assert not launch.note.exists()
    launch.nothing_left()


def test_ctrl_c_is_the_clients(launch: Launch) -> None:
    """On a terminal: the client decides what Ctrl-C means, and hears it once."""
    pid, terminal = on_terminal(launch, launch.words("--demo", "--", "wait-int"))
    try:
        seen = launch.seen()
        assert seen["tty"]
        os.write(terminal, b"\x03")
        end = time.monotonic() + 20
        while True:
            with contextlib.suppress(OSError):  # the terminal is gone when they are
                os.read(terminal, 65536)
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                break
            assert time.monotonic() < end
        assert os.waitstatus_to_exitcode(status) == 7
    finally:
        os.close(terminal)
    launch.nothing_left()


def test_a_client_that_suspends_itself_gives_the_shell_back(launch: Launch) -> None:
    pid, terminal = on_terminal(launch, ["/bin/bash", "--norc", "--noprofile", "-i"])
    said = ""

    def until(text: str) -> None:
        nonlocal said
        end = time.monotonic() + 40
        while text not in said:
            assert time.monotonic() < end, said
            if select.select([terminal], [], [], 0.2)[0]:
                said += os.read(terminal, 65536).decode("utf-8", "replace")
        said = said.partition(text)[2]

    try:
        os.write(terminal, (shlex.join(launch.words("--demo", "--", "stop")) + "\n").encode())
        until("Stopped")
        os.write(terminal, b"fg >/dev/null; echo code=$?\n")
        until("code=5")
    finally:
        os.close(terminal)  # as a window that is closed; SIGHUP right after `exit` left bash hanging now and then
        os.waitpid(pid, 0)
    launch.nothing_left()


def test_a_hung_up_terminal_ends_both(launch: Launch) -> None:
    pid, terminal = on_terminal(launch, launch.words("--demo", "--", "wait"))
    launch.seen()
    os.close(terminal)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) in (128 + signal.SIGHUP, -signal.SIGHUP)
    launch.nothing_left()


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (("claude", "--binary", "no-such-program"), 127, "--binary: there is no program no-such-program"),
        (("nope",), 2, "there is no app 'nope'"),
        (("cherry-studio",), 2, "`llm-link apps configure cherry-studio` says how it is set up"),
        (("claude", "--binary", "sh", "--attach", "nowhere"), 2, "--attach: expected http://HOST:PORT"),
        (("claude", "--binary", "sh", "--attach", "http://127.0.0.1:9"), 1, "--attach: no answer from"),
        (("claude", "--binary", "sh", "--base-url", "http://127.0.0.1:9/v1"), 2, "Name it with --model"),
        (("claude", "--binary", "sh", "--workspace", "/no/such"), 2, "--workspace: /no/such is no folder"),
        (("claude", "--binary", "sh", "--provider", "nope", "--model", "m"), 2, "nope"),
        (("claude", "--binary", "sh"), 2, "Anthropic has no key: set ANTHROPIC_API_KEY, name another with --provider"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(tmp_path: Path, words: tuple[str, ...], code: int, text: str) -> None:
    done = forked.llm_link("launch", *words, cwd=tmp_path, environ={**clean_environ(), "HOME": str(tmp_path)})
    assert done.returncode == code and text in done.stderr, done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_client_that_is_not_installed_is_told_how(tmp_path: Path) -> None:
    cli = [sys.executable, str(ROOT / "scripts" / "cli.py"), "launch", "codex", "--demo"]
    env = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(cli, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 127 and "npm install -g @openai/codex" in done.stderr


def say_words(conn: Conn, seen: Seen) -> None:
    message = {"role": "assistant", "content": "words"}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    conn.json({"id": "c", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice]})


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    running = Upstream(say_words)
    yield running
    running.stop()


def test_a_proxy_that_runs_already(launch: Launch, tmp_path: Path, upstream: Upstream) -> None:
    (tmp_path / "link").mkdir()
    settings = config(upstream, auth={"mode": "proxy_key", "keys": [{"value": "T"}]})
    with proxy(tmp_path / "link", settings) as running:
        done = launch.run("--attach", running.url, "--model", "m", "--", "exit-4", LLM_LINK_API_KEY="T")
        assert done.returncode == 4, done.stderr
        seen = launch.seen()
        assert seen["said"]["content"][0]["text"] == "words" and seen["env"]["ANTHROPIC_BASE_URL"] == running.url
        assert running.process.poll() is None  # it is not ours to stop
        refused = launch.run("--attach", running.url, "--api-key", "wrong", "--", "exit-4")
        assert refused.returncode == 1 and "wants another key" in refused.stderr


def test_presets_in_the_environment(launch: Launch, upstream: Upstream) -> None:
    done = launch.run(
        "--",
        "exit-0",
        PRESET_OPENAI_ENDPOINT_BASE_URL=f"{upstream.url}/v1",
        PRESET_ENDPOINT_MODEL="preset-model",
        PRESET_ENDPOINT_API_KEY="preset-key",
        LLM_UNIVERSAL_PROXY_KEY="shared",
    )
    assert done.returncode == 0, done.stderr
    seen = launch.seen()
    assert seen["said"]["content"][0]["text"] == "words" and seen["env"]["ANTHROPIC_AUTH_TOKEN"] == "shared"
    assert not [name for name in seen["env"] if name.startswith("PRESET_")]
    (asked,) = upstream.seen
    assert asked.headers["authorization"] == "Bearer preset-key" and asked.json["model"] == "preset-model"


def test_a_config_file_and_an_env_file(launch: Launch, tmp_path: Path, upstream: Upstream) -> None:
    """The names that they bring are the proxy's alone; what the file asks of clients is not asked of this one."""
    path = tmp_path / "llm-link.yaml"
    path.write_text(
        "listen: 127.0.0.1:1\nauth: {mode: proxy_key, keys: [{value: others}]}\n"
        f"upstreams: {{u: {{protocol: openai-chat, base_url: '{upstream.url}/v1', api_key: {{env: MY_KEY}}}}}}\n"
        "models: {claude-*: u/big, small: u/small}\n"
    )
    (tmp_path / "keys.env").write_text("MY_KEY=from-file\nOTHER=1\n")
    done = launch.run(
        "--config", str(path), "--env-file", str(tmp_path / "keys.env"), "--model", "small", "--", "exit-0"
    )
    assert done.returncode == 0, done.stderr
    seen = launch.seen()
    assert seen["env"]["ANTHROPIC_MODEL"] == "small" and "MY_KEY" not in seen["env"] and "OTHER" not in seen["env"]
    assert upstream.seen[0].headers["authorization"] == "Bearer from-file" and upstream.seen[0].json["model"] == "small"
    launch.nothing_left()


def test_the_environment_of_a_client() -> None:
    environ = {"A": "1", "SOME_KEY": "k", "LLM_LINK_SERVE": "{}", "ANTHROPIC_BASE_URL": "x", "NO_PROXY": "corp"}
    assert cleaned(environ, {"SOME_KEY"}) == {
        "A": "1",
        "NO_PROXY": "corp,127.0.0.1,localhost,::1",
        "no_proxy": "corp,127.0.0.1,localhost,::1",
    }
