"""`--save`: exchanges in files that rotate, within a bound, and that open later with all views."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from mitmproxy import contentviews, http
from mitmproxy import io as mitm_io
from mitmproxy.http import HTTPFlow
from mitmproxy.test.tflow import tflow

from addons.exchange import METADATA
from addons.saving import Saving
from addons.views import VIEWS
from tests.harness import Conn, Seen, Upstream, config, proxy
from tests.mitmweb import mitmweb


def flow(n: int, size: int = 1000) -> HTTPFlow:
    made = tflow(resp=True)
    made.request.path = f"/{n}"
    made.response.content = b"x" * size  # type: ignore[union-attr]
    made.metadata[METADATA] = {"id": f"{n}"}
    return made


def paths(*files: Path) -> list[str]:
    found = []
    for file in files:
        with file.open("rb") as opened:
            found += [each.request.path for each in mitm_io.FlowReader(opened).stream() if isinstance(each, HTTPFlow)]
    return found


def test_files_rotate_and_the_oldest_go(tmp_path: Path) -> None:
    folder = tmp_path / "made" / "for it"
    other = tmp_path / "made" / "for it" / "mine.mitm"
    saving = Saving(folder, 160_000)
    saving.open()
    other.write_bytes(b"x" * 500_000)
    for n in range(400):
        saving.add(flow(n))
    saving.close()
    files = sorted(folder.glob("llm-link-*.mitm"))
    assert other.exists() and 10 < len(files) < 20
    assert 100_000 < sum(file.stat().st_size for file in files) <= 160_000
    kept = paths(*files)
    assert kept == [f"/{n}" for n in range(400 - len(kept), 400)]  # the newest, in their order
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600} and folder.stat().st_mode & 0o777 == 0o700


def test_a_new_start_counts_the_files_of_the_last(tmp_path: Path) -> None:
    for start in range(5):
        saving = Saving(tmp_path, 40_000)
        saving.open()
        for n in range(9):
            saving.add(flow(start * 9 + n))
        saving.close()
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) <= 40_000
    assert paths(*sorted(tmp_path.iterdir()))[-1] == "/44"


def test_each_exchange_is_in_the_file_at_once(tmp_path: Path) -> None:
    saving = Saving(tmp_path)
    saving.open()
    saving.add(flow(1))
    saving.add(tflow(resp=True))  # none of ours
    assert paths(*tmp_path.iterdir()) == ["/1"]
    saving.close()
    saving.add(flow(2))
    assert paths(*tmp_path.iterdir()) == ["/1"]


def test_a_full_disk_is_said_once_and_ends_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    saving = Saving(tmp_path)
    saving.open()
    with Path("/dev/full").open("wb") as full, caplog.at_level("ERROR", "llm_link"):
        saving._file, saving._writer = full, mitm_io.FlowWriter(full)
        saving.add(flow(1))
        saving.add(flow(2))
    assert [record.message.count("no longer saved") for record in caplog.records] == [1]


def answer(conn: Conn, seen: Seen) -> None:
    message = {"role": "assistant", "content": "Hello"}
    conn.json({"id": "c", "object": "chat.completion", "created": 1, "model": "x",
               "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})  # fmt: skip


def ask(url: str, text: str) -> None:
    body = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": text}]}
    httpx.post(f"{url}/v1/messages", json=body, headers={"x-api-key": "sk-secret-1"}, timeout=10).raise_for_status()


def test_what_is_saved_opens_later_with_all_views(tmp_path: Path) -> None:
    upstream, folder = Upstream(answer), tmp_path / "saved"
    with proxy(tmp_path, config(upstream), arguments=("--set", f"llm_link_save={folder}")) as link:
        for n in range(3):
            ask(link.url, f"question {n}")
    (file,) = folder.iterdir()
    assert b"sk-secret-1" not in file.read_bytes() and b"key-0" not in file.read_bytes()
    with file.open("rb") as opened:
        flows = [each for each in mitm_io.FlowReader(opened).stream() if isinstance(each, HTTPFlow)]
    assert len(flows) == 3 and "u0/model-0" in flows[0].comment
    for view in (view for view in VIEWS if view.name not in ("LLM Compare", "LLM Neutral")):  # of what is live
        for message in (flows[2].request, flows[2].response):
            assert message is not None and view.prettify(b"", _metadata(flows[2], message))
    with mitmweb(tmp_path, config(upstream), "-r", str(file)) as web:
        loaded = web.flow(2)
        assert "question 2" in web.view(loaded, "request") and "Hello" in web.view(loaded, "response")
        assert "chat/completions" in web.view(loaded, "request", "LLM Upstream side")
    upstream.stop()


def _metadata(of: HTTPFlow, message: http.Message) -> Any:
    return contentviews.Metadata(flow=of, http_message=message)


def test_a_folder_that_cannot_be_written_refuses_the_start(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    upstream = Upstream(answer)
    with (
        pytest.raises(AssertionError, match="LLM Link: llm_link_save: .*taken"),
        proxy(tmp_path, config(upstream), arguments=("--set", f"llm_link_save={tmp_path / 'taken'}")),
    ):
        pass
    with (
        pytest.raises(AssertionError, match="LLM Link: llm_link_save_size: expected a size"),
        proxy(tmp_path, config(upstream), arguments=("--set", "llm_link_save_size=many")),
    ):
        pass
    upstream.stop()
