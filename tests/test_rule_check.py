"""`llm-link check` and the rules that a config names."""

from __future__ import annotations

from pathlib import Path

from tests.test_cli import llm_link

CONFIG = "upstreams: {u: {protocol: openai-chat, base_url: 'http://127.0.0.1:9/v1'}}\nrules: [good.py, %s]\n"


def test_check_names_the_line_of_a_broken_rule(tmp_path: Path) -> None:
    (tmp_path / "good.py").write_text("def llm_request(exchange): pass\n", "utf-8")
    (tmp_path / "bad.py").write_text("import os\n\ndef llm_request(exchange)\n", "utf-8")
    config = tmp_path / "c.yaml"
    for name, said in (("bad.py", f"{tmp_path}/bad.py:3: rules[1]: SyntaxError"), ("none.py", "none.py: rules[1]: No")):
        config.write_text(CONFIG % name, "utf-8")
        done = llm_link("check", config, cwd=tmp_path)
        assert done.returncode == 2 and said in done.stderr, done.stderr
    config.write_text(CONFIG % "good.py", "utf-8")
    assert llm_link("check", config, cwd=tmp_path).returncode == 0
