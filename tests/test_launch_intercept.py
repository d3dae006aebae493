"""`llm-link launch --intercept` and `serve --intercept`: clients that are told of a proxy and nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from addons import redirector
from scripts import serve
from scripts.serve import Options
from tests.harness import ROOT, Upstream, clean_environ, config, free_port
from tests.rulebook import echo, speaking
from tests.test_cli import argv_of, llm_link, option

CLIENT = """
import os, sys, anthropic, httpx, ssl
sdk = anthropic.Anthropic(api_key="sk-ant-of-the-client")
assert str(sdk.base_url) == "https://api.anthropic.com"
answer = sdk.messages.create(model="m", max_tokens=50, messages=[{"role": "user", "content": "Hi"}])
print(answer.content[0].text, *sys.argv[1:])
for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"):
    assert "BEGIN CERTIFICATE" in open(os.environ[name]).read(), name
assert len(ssl.create_default_context().get_ca_certs()) > 20  # those of the system too
assert "127.0.0.1" in os.environ["NO_PROXY"]
raise SystemExit(7)
"""


def test_a_program_as_it_is_gets_answers_of_another_provider(tmp_path: Path) -> None:
    server = Upstream(speaking("openai-chat", echo))
    (tmp_path / "client.py").write_text(CLIENT, "utf-8")
    path = tmp_path / "c.yaml"
    path.write_text(yaml.safe_dump(config(server)), "utf-8")
    words = ("launch", sys.executable, "--intercept", "--config", path, "--", "client.py", "more", "words")
    done = llm_link(*words, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (7, "you said Hi more words\n"), done.stderr
    assert "its requests go to u0 (openai-chat)" in done.stderr
    assert server.seen[-1].headers["authorization"] == "Bearer key-0"
    server.stop()


def test_what_makes_no_sense_is_said(tmp_path: Path) -> None:
    done = llm_link("launch", "claude", "--intercept", "--demo", cwd=tmp_path)
    assert done.returncode == 2 and "--demo is of no use with --intercept" in done.stderr
    done = llm_link("launch", "no-such-program-here", "--intercept", cwd=tmp_path)
    assert done.returncode == 127 and "there is no program no-such-program-here" in done.stderr


def test_serve_as_a_proxy() -> None:
    options = Options(None, modes=("regular", "local:claude"), proxy_auth=Path("/x/users"))
    argv = argv_of(options, serve.check(options, {}))
    assert [argv[n + 1] for n, word in enumerate(argv) if word == "--mode"] == ["regular", "local:claude"]
    assert (option(argv, "--listen-host"), option(argv, "--listen-port")) == ("127.0.0.1", "8080")
    assert "proxyauth=@/x/users" in argv


def test_serve_needs_no_config_in_the_way_of_a_client(tmp_path: Path) -> None:
    words = ["-m", "scripts.cli", "serve", "--intercept", "--port", str(free_port())]
    environ = {**clean_environ(), "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        [sys.executable, *words], cwd=tmp_path, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        said.append(line)
        if "no config file" in line:
            process.terminate()
    assert process.wait(10) != 2 and "requests to the hosts of known providers go there" in "".join(said)


def test_local_mode_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if sys.platform != "linux":
        pytest.skip("another redirector than Linux's: it runs on Linux")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert redirector.missing() == "mitmproxy starts its redirector with sudo, which is not here"
    done = llm_link("serve", "--mode", "local:claude", cwd=tmp_path)
    assert done.returncode == 2 and "--mode local:claude: mitmproxy starts its redirector with sudo" in done.stderr
