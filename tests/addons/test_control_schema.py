"""schemathesis asks a real mitmdump what the OpenAPI document of its control surface promises: no 5xx, no answer of
another shape, status or content type than is documented, nothing taken that is documented as wrong.

`scripts/schema SECONDS` does it for longer, in sequences of requests too."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.harness import Conn, Seen, Upstream, config, proxy

KEY = "the-control-key"
SECONDS = os.environ.get("LLM_LINK_SCHEMA_SECONDS")
SHORT = ("--phases", "coverage,fuzzing", "--max-examples", "4", "--generation-deterministic")
LONG = ("--phases", "coverage,fuzzing,stateful", "--max-time", SECONDS or "")


def answer(conn: Conn, seen: Seen) -> None:
    conn.json({"data": [{"id": "one"}]} if seen.method == "GET" else {"error": {"message": "no"}}, 200)


def test_it_is_as_its_openapi_document_says(tmp_path: Path) -> None:
    server = Upstream(answer)
    document = {**config(server), "store": {"path": "keys.db"}, "control": {"keys": [{"value": KEY}]}}
    with proxy(tmp_path, document, environ={"LLM_LINK_SECRET": "a secret"}) as running:
        done = subprocess.run(
            [
                *(str(Path(sys.executable).with_name("schemathesis")), "run", f"{running.url}/api/openapi.json"),
                *("--header", f"Authorization: Bearer {KEY}", "--continue-on-failure", "--no-color"),
                # what is of the right shape may still name a provider, a variable or a revision that is not there
                *("--exclude-checks", "positive_data_acceptance", "--warnings", "off", "--request-timeout", "30"),
                *(LONG if SECONDS else SHORT),
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120 + int(SECONDS or 0),
        )
        log = running.log
    server.stop()
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert "Tested: " in done.stdout and "No issues found" in done.stdout, done.stdout[-3000:]
    assert "Traceback" not in log, log[-3000:]
    assert KEY not in log
    if SECONDS:
        print(done.stdout[-1500:])
