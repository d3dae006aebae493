"""deploy/: no image is built here, but all that can be asked of its parts without one is."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import yaml

from addons.settings import load
from tests.harness import ROOT, Upstream
from tests.test_readme import check_ours

DEPLOY = ROOT / "deploy"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text("utf-8").replace("\\\n", " ")
KEYS = {"LLM_LINK_API_KEY": "a", "LLM_LINK_ADMIN_KEY": "b", "DEEPSEEK_API_KEY": "c"}


def said(instruction: str) -> list[str]:
    found = re.findall(rf"^{instruction}\b.*?(\[.*\])$", DOCKERFILE, re.M)
    return [str(word) for word in json.loads(found[-1])]


def test_the_image_starts_what_there_is() -> None:
    assert said("ENTRYPOINT") == ["/opt/llm-link/bin/llm-link"]
    check_ours(said("CMD"))
    assert "USER 10001" in DOCKERFILE


def test_the_image_holds_what_the_wheel_needs() -> None:
    copied = {word for line in re.findall(r"^COPY (?!--from)(.*)$", DOCKERFILE, re.M) for word in line.split()[:-1]}
    assert all((ROOT / name).exists() for name in copied)
    ignore = (DEPLOY / "Dockerfile.dockerignore").read_text().split()
    assert {f"!{name}" for name in copied} == {word for word in ignore if word.startswith("!")}
    setup = tomllib.loads((ROOT / "pyproject.toml").read_text())
    folders = set(setup["tool"]["setuptools"]["package-dir"].values())
    assert folders | {setup["project"]["readme"], *setup["project"]["license-files"]} <= copied


def test_the_health_check_knows_ready_from_not_ready() -> None:
    words = json.loads(re.findall(r"HEALTHCHECK.*?CMD (\[.*\])$", DOCKERFILE, re.M)[0])
    states = [200, 503]
    server = Upstream(lambda conn, seen: conn.json({}, states.pop(0) if seen.path == "/ready" else 404))
    code = words[2].replace("127.0.0.1:8080", f"127.0.0.1:{server.port}")
    try:
        codes = [subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=30).returncode for _ in "12"]
    finally:
        server.stop()
    assert codes == [0, 1] and words[:2] == ["/opt/llm-link/bin/python", "-c"]


def test_compose_serves_a_config_that_is_good() -> None:
    (service,) = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"].values()
    assert set(service["environment"]) == set(KEYS)
    config = DEPLOY / service["volumes"][0].split(":")[0]
    assert service["volumes"][0].split(":")[1] == said("CMD")[2]
    assert (DEPLOY / service["build"]["context"] / service["build"]["dockerfile"]).is_file()
    settings = load(config, KEYS, serve={"host": "0.0.0.0"})
    assert settings.auth.mode == "proxy_key" and not settings.warnings


def test_the_unit_starts_what_there_is() -> None:
    unit = (DEPLOY / "llm-link.service").read_text()
    (line,) = re.findall(r"^ExecStart=(.*)$", unit, re.M)
    program, *words = shlex.split(line)
    check_ours(words)
    assert Path(program).name == "llm-link" and "RestartPreventExitStatus=2" in unit and "DynamicUser=yes" in unit
