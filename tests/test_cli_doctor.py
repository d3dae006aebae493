"""`llm-link doctor` against real servers, real files and programs that stand on a PATH of their own."""

from __future__ import annotations

import datetime
import json
import os
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from addons.asking import Asked as Answer
from addons.asking import ask
from addons.settings import Upstream, load
from addons.settings_upstream import Proxy
from scripts import doctor_clients, doctor_machine
from scripts.doctor_clients import Client, leads_to
from scripts.doctor_config import judge
from tests import forked
from tests.harness import Conn, Seen, clean_environ, free_port
from tests.harness import Upstream as Server

KEY = "sk-doctor-1"


def doctor(*words: object, home: Path, **environ: str) -> tuple[int, dict[str, dict[str, Any]], str]:
    """Exit code, findings by `area name`, and all that was said."""
    full = {**clean_environ(), "HOME": str(home), "PATH": str(home / "bin"), **environ}
    done = forked.llm_link("doctor", *words, cwd=home, environ=full)
    assert "Traceback" not in done.stderr, done.stderr
    found = json.loads(done.stdout)["findings"] if "--json" in words else []
    return done.returncode, {f"{f['area']} {f['name']}": f for f in found}, done.stdout + done.stderr


def lists_models(conn: Conn, seen: Seen) -> None:
    """A provider that knows one key."""
    if seen.headers.get("authorization") != f"Bearer {KEY}":
        conn.json({"error": {"message": f"wrong key {seen.headers.get('authorization')}"}}, 401)
    else:
        conn.json({"data": [{"id": "glm-1"}, {"id": "glm-2"}]})


def write_config(home: Path, url: str, **more: str) -> Path:
    path = home / "llm-link.yaml"
    lines = [f"listen: 127.0.0.1:{free_port()}", "upstreams:", "  up:", "    protocol: openai-chat"]
    lines += [f"    base_url: {url}/v1", *(f"    {name}: {value}" for name, value in more.items())]
    path.write_text("\n".join([*lines, "models: {fast: up/glm-1, slow: up/glm-9}", ""]))
    return path


@pytest.fixture(scope="module")
def provider() -> Iterator[Server]:
    server = Server(lists_models)
    yield server
    server.stop()


# ------------------------------------------------------------------------------------------------ as a whole


def test_a_setup_that_works_but_for_one_model(provider: Server, tmp_path: Path) -> None:
    config = write_config(tmp_path, provider.url, api_key="{env: UP_KEY}")
    before = tree(tmp_path)
    words = ("--config", config, "--web-port", free_port())
    code, found, said = doctor(*words, "--json", home=tmp_path, UP_KEY=KEY)
    assert code == 0 and tree(tmp_path) == before  # it only looks
    assert {f["state"] for name, f in found.items() if name != "upstream up"} == {"ok"}
    up = found["upstream up"]
    assert up["state"] == "warn" and "lists 2 models" in up["detail"] and "the key is good" in up["detail"]
    assert "glm-9" in up["advice"] and "glm-1" not in up["advice"]
    assert found["key up"]["detail"] == "from UP_KEY (the environment)"
    assert KEY not in said
    code, _, said = doctor(*words, home=tmp_path, UP_KEY=KEY)
    assert code == 0 and "What to do:\n  up: " in said and "\x1b" not in said


def tree(folder: Path) -> list[str]:
    return sorted(str(path) for path in folder.rglob("*"))


def test_a_key_that_is_refused(provider: Server, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("UP_API_KEY=sk-wrong-1\nOLLAMA_BASE_URL=http://evil\n")
    config = write_config(tmp_path, provider.url, api_key="{env: UP_API_KEY}")
    code, found, said = doctor("--config", config, "--json", home=tmp_path)
    assert code == 1 and found["upstream up"]["state"] == "fail"
    assert "refuses the key (401)" in found["upstream up"]["detail"] and found["upstream up"]["advice"]
    assert found["key up"]["detail"] == f"from UP_API_KEY ({tmp_path}/.env)"
    assert found["config .env"]["state"] == "warn" and "OLLAMA_BASE_URL" in found["config .env"]["detail"]
    assert "sk-wrong-1" not in said and "evil" not in said


def test_every_problem_of_a_config_is_told_with_its_line(tmp_path: Path) -> None:
    config = tmp_path / "llm-link.yaml"
    config.write_text(
        "polcy: strict\nupstreams:\n  a: {provider: nobody}\n  b: {provider: zhipu, api_key: {env: NO}}\n"
    )
    code, _, said = doctor("--config", config, "--json", home=tmp_path)
    details = [f["detail"] for f in json.loads(said)["findings"] if f["area"] == "config"]
    assert code == 1 and len(details) >= 1
    assert any(d.startswith(f"{config}:1: polcy") for d in details), details


def test_without_a_config_the_providers_with_keys_count(tmp_path: Path) -> None:
    code, found, _ = doctor("--offline", "--json", home=tmp_path, ZHIPU_API_KEY=KEY, GROQ_API_KEY="")
    assert code == 0
    assert found["key zhipu"]["state"] == "ok" and found["upstream zhipu"]["state"] == "skip"
    code, found, _ = doctor("--offline", "--json", home=tmp_path)
    assert code == 0 and found["key provider keys"]["state"] == "warn"
    code, found, said = doctor("--offline", "--json", "--provider", "moonshot", home=tmp_path)
    assert "key moonshot" in found and "upstream moonshot" in found, said


def test_a_file_with_keys_that_others_may_read(provider: Server, tmp_path: Path) -> None:
    config = write_config(tmp_path, provider.url, api_key="{value: sk-wrong-1}")
    config.chmod(0o644)
    _, _, said = doctor("--config", config, "--offline", "--json", home=tmp_path)
    assert "chmod 600" in said and "sk-wrong-1" not in said
    config.chmod(0o600)
    assert "chmod 600" not in doctor("--config", config, "--offline", "--json", home=tmp_path)[2]


def test_the_key_store_must_open(tmp_path: Path) -> None:
    secret = {"LLM_LINK_SECRET": "a secret of the doctor's test"}
    words, environ = ("providers", "add", "zhipu", "--api-key-stdin"), {**clean_environ(), "HOME": str(tmp_path)}
    forked.llm_link(*words, cwd=tmp_path, environ={**environ, **secret}, typed=KEY).check_returncode()
    code, found, said = doctor("--offline", "--json", home=tmp_path, **secret)
    assert code == 0 and found["key key store"]["detail"].startswith("1 provider, ")
    assert found["key zhipu"]["detail"] == "from the key store" and "upstream zhipu" in found
    wrong_code, wrong, more = doctor("--offline", "--json", home=tmp_path, LLM_LINK_SECRET="another one, as long")
    assert wrong_code == 1 and wrong["key key store"]["state"] == "fail" and KEY not in said + more


def test_who_may_call(tmp_path: Path) -> None:
    config = tmp_path / "c.yaml"
    upstreams = "upstreams: {up: {protocol: openai-chat, base_url: 'http://127.0.0.1:9/v1'}}\n"
    config.write_text(f"listen: 0.0.0.0:{free_port()}\nauth: {{mode: none}}\n{upstreams}")
    _, found, _ = doctor("--config", config, "--offline", "--json", home=tmp_path)
    assert found["key clients"]["state"] == "warn" and "0.0.0.0" in found["key clients"]["detail"]
    config.write_text("auth: {mode: proxy_key, keys: [{value: a}]}\n" + upstreams)
    _, found, _ = doctor("--config", config, "--offline", "--json", home=tmp_path)
    assert found["key clients"]["detail"].startswith("must present one of 1 key")


# ------------------------------------------------------------------------------------------------ upstreams


def upstream(url: str, protocol: str = "openai-chat", key: str = KEY, **more: str) -> Upstream:
    path = "/v1" if protocol.startswith("openai") else ""
    serve = {"base_url": url + path, "protocol": protocol, "llm_api_key": key}
    return load(None, {}, serve=serve).upstreams["upstream"]


@pytest.mark.parametrize(
    ("protocol", "path", "header", "answer"),
    [
        ("openai-chat", "/v1/models", "authorization", {"data": [{"id": "a"}]}),
        ("openai-responses", "/v1/models", "authorization", {"data": [{"id": "a"}]}),
        ("anthropic", "/v1/models?limit=1000", "x-api-key", {"data": [{"id": "a"}]}),
        ("gemini", "/v1beta/models?pageSize=1000", "x-goog-api-key", {"models": [{"name": "models/a"}]}),
        ("ollama", "/api/tags", "authorization", {"models": [{"name": "a"}]}),
    ],
)
def test_each_protocol_is_asked_in_its_own_way(protocol: str, path: str, header: str, answer: Any) -> None:
    server = Server(lambda conn, seen: conn.json(answer))
    try:
        got = ask(upstream(server.url, protocol), 5)
    finally:
        server.stop()
    first, second = server.seen
    assert (first.path, first.headers[header].removeprefix("Bearer ")) == (path, KEY)
    assert header not in second.headers  # whether the key counts is seen without it
    assert (got.status, got.models, got.checked) == (200, ("a",), False)
    assert "anthropic-version" in first.headers if protocol == "anthropic" else True


def test_how_far_it_got(tmp_path: Path) -> None:
    assert ask(upstream("http://nowhere.invalid"), 5).step == "name"
    assert ask(upstream(f"http://127.0.0.1:{free_port()}"), 5).step == "connection"
    plain = Server(lambda conn, seen: conn.json({}))
    silent = socket.create_server(("127.0.0.1", 0))
    junk = Server(lambda conn, seen: conn.raw(b"SSH-2.0 hello\r\n\r\n"))
    try:
        assert ask(upstream(plain.url.replace("http", "https")), 2).step == "tls"
        hanging = ask(upstream(f"http://127.0.0.1:{silent.getsockname()[1]}"), 0.3)
        assert (hanging.step, hanging.status) == ("answer", 0) and "in 0.3 s" in hanging.reason
        assert ask(upstream(junk.url), 2).reason.endswith("is no HTTP")
        odd = ask(upstream(plain.url, key="sk-\u00e9\n"), 2)
        assert (odd.step, odd.status) == ("answer", 0) and "sk-" not in odd.reason
    finally:
        for server in (plain, junk):
            server.stop()
        silent.close()


def test_the_egress_proxy_is_the_way_out() -> None:
    server = Server(lists_models)  # it gets the whole URL, as a proxy does
    try:
        config = {"base_url": "http://nowhere.invalid/v1", "llm_api_key": KEY}
        up = load(None, {}, serve=config).upstreams["upstream"]
        got = ask(replace(up, proxy=Proxy("http", "127.0.0.1", server.port)), 5)
        socks = ask(replace(up, proxy=Proxy("socks5", "127.0.0.1", server.port)), 5)
    finally:
        server.stop()
    assert (got.status, got.checked, server.seen[0].path) == (200, True, "http://nowhere.invalid/v1/models")
    assert socks.step == "proxy" and "SOCKS" in socks.reason


@pytest.mark.parametrize(
    ("answer", "state", "says"),
    [
        (Answer("answer", 200, models=("a",), checked=True), "ok", "the key is good"),
        (Answer("answer", 200, models=("a",)), "ok", "the key was not checked"),
        (Answer("answer", 404), "ok", "was not checked"),
        (Answer("answer", 403), "fail", "refuses the key"),
        (Answer("answer", 429), "warn", "429"),
        (Answer("answer", 302), "fail", "leads elsewhere"),
        (Answer("answer", 503), "warn", "503"),
        (Answer("answer", 400), "warn", "400"),
        (Answer("tls", reason="the certificate of x is not trusted"), "fail", "not trusted"),
    ],
)
def test_what_an_answer_means(answer: Answer, state: str, says: str) -> None:
    found = judge(upstream("http://127.0.0.1:9"), answer, set())
    assert found.state == state and says in found.detail
    assert bool(found.advice) == (state != "ok" and answer.status != 400)


def test_without_a_key_a_refusal_is_as_it_should_be() -> None:
    up = load(None, {}, serve={"base_url": "http://127.0.0.1:9/v1"}).upstreams["upstream"]
    assert judge(up, Answer("answer", 401), set()).state == "ok"


def test_a_tag_of_ollama_may_be_left_out() -> None:
    up = upstream("http://127.0.0.1:9", "ollama")
    assert judge(up, Answer("answer", 200, models=("llama3:latest",)), {"llama3"}).state == "ok"


# ------------------------------------------------------------------------------------------------ ports


def test_a_port_that_somebody_has(tmp_path: Path) -> None:
    ours = Server(lambda conn, seen: conn.json({"status": "ok"}, headers={"x-llm-link-request-id": "r"}))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, found, _ = doctor("--port", port, "--web-port", ours.port, "--offline", "--json", home=tmp_path)
    ours.stop()
    listen, web = found[f"port listen 127.0.0.1:{port}"], found[f"port mitmweb 127.0.0.1:{ours.port}"]
    assert code == 1 and listen["state"] == "fail" and f":{port}" in listen["advice"]
    assert web["state"] == "ok" and "LLM Link" in web["detail"]


def test_an_address_that_is_not_here() -> None:
    (finding, _) = doctor_machine.ports("192.0.2.1", 8080, free_port())
    assert finding.state == "fail" and "--host" in finding.advice


# ------------------------------------------------------------------------------------------------ certificates


def authority(ends: datetime.datetime) -> bytes:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(ends - datetime.timedelta(days=400)).not_valid_after(ends)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


NOW = datetime.datetime.now(datetime.UTC)


@pytest.mark.parametrize(
    ("data", "state", "says"),
    [
        (None, ["ok"], "the first start makes it"),
        (authority(NOW + datetime.timedelta(days=300)), ["ok"], "valid until"),
        (authority(NOW + datetime.timedelta(days=3)), ["warn"], "valid until"),
        (authority(NOW - datetime.timedelta(days=3)), ["fail"], "ended on"),
        (b"junk", ["fail"], "holds no certificate"),
    ],
)
def test_the_certificate_authority(
    data: bytes | None, state: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor_machine, "CA_FOLDER", str(tmp_path))
    if data is not None:
        for name in ("mitmproxy-ca.pem", "mitmproxy-ca-cert.pem"):
            (tmp_path / name).write_bytes(data)
            (tmp_path / name).chmod(0o600)
    found = doctor_machine.certificates()
    assert [f.state for f in found] == state and says in found[0].detail
    if data is not None and state == ["ok"]:
        (tmp_path / "mitmproxy-ca.pem").chmod(0o644)
        assert doctor_machine.certificates()[1].state == "warn"


# ------------------------------------------------------------------------------------------------ clients


def install(home: Path, program: str, version: str = "9.8.7") -> None:
    """As npm does it: a link into a package that says its version."""
    package = home / "lib" / "node_modules" / program
    package.mkdir(parents=True)
    (package / "package.json").write_text(json.dumps({"version": version}))
    (package / "cli.js").write_text("#!/bin/sh\nexit 3\n")
    (package / "cli.js").chmod(0o755)
    (home / "bin").mkdir(exist_ok=True)
    (home / "bin" / program).symlink_to(package / "cli.js")


def test_clients_and_where_they_point(tmp_path: Path) -> None:
    port, nobody = free_port(), free_port()
    for program in ("codex", "claude", "opencode", "qwen"):
        install(tmp_path, program)
    (tmp_path / "bin" / "aider").write_text(f"#!/bin/sh\n[ $HOME = {tmp_path} ] || echo aider 0.86.2\n")
    (tmp_path / "bin" / "aider").chmod(0o755)
    (tmp_path / ".codex").mkdir()
    (tmp_path / ".codex" / "config.toml").write_text(
        f'# base_url = "http://x"\nbase_url = "http://localhost:{port}/v1"\n'
    )
    (tmp_path / "xdg" / "opencode").mkdir(parents=True)
    settings = {"$schema": "https://opencode.ai/config.schema.json", "baseURL": f"http://me:sk-1@127.0.0.1:{nobody}/v1"}
    (tmp_path / "xdg" / "opencode" / "opencode.json").write_text(json.dumps(settings))
    _, found, said = doctor(
        *("--port", port, "--offline", "--json"),
        home=tmp_path,
        ANTHROPIC_BASE_URL=f"http://127.0.0.1:{port}",
        XDG_CONFIG_HOME=str(tmp_path / "xdg"),
    )
    details = {name.removeprefix("client "): f["detail"] for name, f in found.items() if name.startswith("client ")}
    assert details == {
        "Codex CLI": f"9.8.7, points at us ({tmp_path}/.codex/config.toml)",
        "Claude Code": "9.8.7, points at us (ANTHROPIC_BASE_URL)",
        "opencode": f"9.8.7, points at http://127.0.0.1:{nobody}, where nobody listens "
        f"({tmp_path}/xdg/opencode/opencode.json)",
        "Qwen Code": "9.8.7, goes to its own provider",
        "aider": "0.86.2, goes to its own provider",
    }
    assert found["client opencode"]["state"] == "warn" and "sk-1" not in said


@pytest.mark.parametrize(
    ("url", "host", "ours"),
    [
        ("http://localhost:8080/v1", "127.0.0.1", True),
        ("http://[::1]:8080", "0.0.0.0", True),
        ("http://10.0.0.1:8080", "10.0.0.1", True),
        ("http://10.0.0.2:8080", "10.0.0.1", False),
        ("http://localhost:8081", "127.0.0.1", False),
        ("https://api.openai.com/v1", "127.0.0.1", False),
        ("http://localhost:junk", "127.0.0.1", False),
    ],
)
def test_which_address_is_ours(url: str, host: str, ours: bool) -> None:
    assert leads_to(url, host, 8080) is ours


def test_a_program_that_hangs_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "slow").write_text("#!/bin/sh\nexec sleep 60\n")
    (tmp_path / "slow").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(doctor_clients, "PATIENCE", 0.2)
    assert doctor_clients.version_of(Client("slow", (), ())) == ""
