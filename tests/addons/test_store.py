"""The provider store on the disk, with real files and real processes: what is damaged is named and never overwritten,
what a writer left half done changes nothing, and writers that come at once lose nothing."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import SecretStr

from addons.store import (
    Damaged,
    Missing,
    NoSecret,
    ProviderStore,
    Refused,
    StoreError,
    WrongSecret,
    make,
    open_store,
    sealing,
)
from addons.store import lines as store_lines
from tests.harness import ROOT

SECRET, OTHER = SecretStr("the secret of the store"), SecretStr("another secret")
KEY = "sk-of-the-upstream-4711"
LAB = {"name": "lab", "base_url": "http://h:1/v1", "default_model": "m"}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The derivation is slow on purpose; what is tested here is not how slow."""
    monkeypatch.setattr(sealing, "N", 2**10)
    monkeypatch.setattr(sealing, "P", 1)


@pytest.fixture
def store(tmp_path: Path) -> ProviderStore:
    made = ProviderStore(tmp_path / "providers.db", SECRET)
    made.put(make(LAB), SecretStr(KEY))
    made.put(make({"name": "zhipu"}), SecretStr("sk-zhipu-2"))
    made.put(make({"name": "bare", "base_url": "http://h:2"}))
    return made


def key_of(store: ProviderStore, name: str) -> str | None:
    key = store.key(name)
    return None if key is None else key.get_secret_value()


def line_of(store: ProviderStore, name: str) -> int:
    rows = store.path.read_text().split("\n")
    return next(n for n, row in enumerate(rows, 1) if row.startswith(f"{name}: "))


# ------------------------------------------------------------------------------------------------ what it holds


def test_what_was_put_in_comes_out(store: ProviderStore) -> None:
    assert [record.name for record in store.list()] == ["lab", "zhipu", "bare"]
    assert (key_of(store, "lab"), key_of(store, "zhipu"), key_of(store, "bare")) == (KEY, "sk-zhipu-2", None)
    assert store.find("nobody") is None
    for call in (store.get, store.remove, store.key):
        with pytest.raises(Missing, match="there is no provider 'nobody'"):
            call("nobody")
    store.remove("lab")
    assert [record.name for record in store.list()] == ["zhipu", "bare"] and key_of(store, "zhipu") == "sk-zhipu-2"


def test_nothing_shows_a_key(store: ProviderStore) -> None:
    text = store.path.read_text()
    shown = "".join(json.dumps(record.redacted()) for record in store.list())
    assert KEY not in text and base64.b64encode(KEY.encode()).decode()[:-4] not in text
    assert KEY not in shown and "aes256gcm" not in shown and '"has_encrypted_api_key": true' in shown
    assert "aes256gcm" not in str(store.get("lab").redacted()) and KEY not in repr(store.__dict__)


def test_a_record_keeps_its_key_when_it_changes(store: ProviderStore) -> None:
    store.put(make({**LAB, "default_model": "n"}))
    assert key_of(store, "lab") == KEY and store.get("lab").default_model == "n"
    store.put(make({**LAB, "base_url": "http://elsewhere:1/v1"}))
    assert key_of(store, "lab") == KEY
    store.put(make(LAB), keep_key=False)
    assert key_of(store, "lab") is None


def test_all_or_none(store: ProviderStore) -> None:
    from addons.store import Entry

    before = store.path.read_bytes()
    with pytest.raises(Refused, match="api_key: must be printable"):
        store.put_all([Entry(make({"name": "openai"}), SecretStr("good")), Entry(make(LAB), SecretStr("a\nb"))])
    assert store.path.read_bytes() == before


def test_only_its_owner_reads_it(store: ProviderStore, tmp_path: Path) -> None:
    store.path.chmod(0o644)
    store.put(make({"name": "openai"}))
    assert store.path.stat().st_mode & 0o777 == 0o600
    deep = ProviderStore(tmp_path / "made" / "for it" / "p.db", SECRET)
    deep.put(make(LAB))
    assert deep.path.parent.stat().st_mode & 0o777 == 0o700


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "link.db").symlink_to(tmp_path / "real.db")
    ProviderStore(tmp_path / "link.db", SECRET).put(make(LAB))
    assert (tmp_path / "link.db").is_symlink() and ProviderStore(tmp_path / "real.db", SECRET).find("lab")


# ------------------------------------------------------------------------------------------------ what can be wrong


def refuses_to_write(store: ProviderStore, error: type[StoreError]) -> None:
    """Whatever is asked, the file stays as it is."""
    before = store.path.read_bytes()
    for change in (
        lambda: store.put(make({"name": "openai"}), SecretStr("sk-new-1")),
        lambda: store.rotate(SecretStr("a new secret")),
    ):
        with pytest.raises(error):
            change()
    assert store.path.read_bytes() == before


def test_a_wrong_secret(store: ProviderStore) -> None:
    wrong = ProviderStore(store.path, OTHER)
    with pytest.raises(WrongSecret, match=r"providers\.db: was sealed with another secret than this one"):
        wrong.key("lab")
    refuses_to_write(wrong, WrongSecret)
    assert [record.name for record in wrong.list()] == ["lab", "zhipu", "bare"]  # names need no secret
    assert key_of(store, "lab") == KEY


def test_no_secret(store: ProviderStore) -> None:
    none = ProviderStore(store.path)
    with pytest.raises(NoSecret, match=r"sealed with a secret that is not set \(LLM_LINK_SECRET"):
        none.key("lab")
    refuses_to_write(none, NoSecret)


def test_any_flipped_byte_is_found_and_its_line_named(store: ProviderStore) -> None:
    good, records = store.path.read_bytes(), store.list()
    comment = good.index(b"\n")
    for at in range(comment + 1, len(good)):
        flipped = good[at] ^ (1 << at % 8)
        store.path.write_bytes(good[:at] + bytes([flipped]) + good[at + 1 :])
        try:
            found = store.list()
        except Damaged as error:
            first = error.problems[0]
            assert first.line in (0, good.count(b"\n", 0, at) + 1) and first.reason
            assert KEY not in str(error)
        else:  # the case of a \u escape, or a comment that was a newline before it
            assert found == records and key_of(store, "lab") == KEY
    store.path.write_bytes(good)


def test_a_flipped_byte_of_a_key_is_told_from_a_wrong_secret(store: ProviderStore) -> None:
    good, number = store.path.read_text(), line_of(store, "lab")
    sealed = store.get("lab").encrypted_api_key
    turned = sealed[:-6] + ("A" if sealed[-6] != "A" else "B") + sealed[-5:]
    store.path.write_text(good.replace(sealed, turned))
    for secret in (SECRET, OTHER, None):
        with pytest.raises(Damaged, match=rf"providers\.db:{number}: lab: is damaged: it is not what was written"):
            ProviderStore(store.path, secret).key("lab")
    refuses_to_write(store, Damaged)


def rewritten(store: ProviderStore, name: str, **changed: object) -> None:
    """What somebody who can compute the sums would write."""
    contents = store_lines.read(store.path, "provider store")
    assert contents is not None
    contents.records[name].update(changed)
    store_lines.replace(store.path, store_lines.render(contents, "provider store", "x"))


@pytest.mark.parametrize("changed", [{"base_url": "http://evil/v1"}, {"base_url": "", "provider": "openai"}])
def test_a_key_does_not_open_for_another_address(store: ProviderStore, changed: dict[str, str]) -> None:
    rewritten(store, "lab", **changed)
    with pytest.raises(Damaged, match=r":3: lab: its key does not open: it was sealed elsewhere, or for another"):
        store.key("lab")
    assert key_of(store, "zhipu") == "sk-zhipu-2"


def test_a_key_does_not_open_for_another_name(store: ProviderStore) -> None:
    rewritten(store, "zhipu", encrypted_api_key=store.get("lab").encrypted_api_key)
    with pytest.raises(Damaged, match="zhipu: its key does not open"):
        store.key("zhipu")


MALFORMED = [
    (lambda text: text[: len(text) // 2], "is malformed"),
    (lambda text: "\n".join(text.split("\n")[:-2]) + "\n", "is not whole: it has 2 records and was written with 3"),
    (lambda text: text + text.split("\n")[2] + "\n", "is there twice; the first is on line 3"),
    (lambda text: "hello\n" + text, ":1: is malformed"),
    (lambda text: "", "is no provider store of LLM Link"),
    (lambda text: "\x00" * 100, "is malformed"),
    (lambda text: "SQLite format 3\x00", "is malformed"),
]


@pytest.mark.parametrize(("break_it", "says"), MALFORMED)
def test_what_is_no_store(store: ProviderStore, break_it: object, says: str) -> None:
    store.path.write_text(break_it(store.path.read_text()))  # type: ignore[operator]
    with pytest.raises(Damaged, match=says):
        store.list()
    refuses_to_write(store, Damaged)


@pytest.mark.parametrize("kdf", [{"n": 2**30}, {"r": 2**20}, {"p": 10**6}, {"name": "none"}, {"salt": "?"}, {"n": "x"}])
def test_a_head_that_asks_for_the_impossible(store: ProviderStore, kdf: dict[str, object]) -> None:
    contents = store_lines.read(store.path, "provider store")
    assert contents is not None
    contents.head["kdf"].update(kdf)
    store_lines.replace(store.path, store_lines.render(contents, "provider store", "x"))
    with pytest.raises(Damaged, match=":2: its head is malformed"):
        store.key("lab")


def test_a_folder_that_cannot_be_written(store: ProviderStore, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be written"):
        ProviderStore(tmp_path / "file" / "p.db", SECRET).put(make(LAB))
    with pytest.raises(StoreError, match="cannot be read"):
        ProviderStore(tmp_path, SECRET).list()


# ------------------------------------------------------------------------------------------------ processes

HEAD = """
import os, signal, sys
from pathlib import Path
from pydantic import SecretStr
from addons.store import ProviderStore, make, sealing
sealing.N, sealing.P = 2**10, 1
store = ProviderStore(Path(sys.argv[1]), SecretStr("the secret of the store"))
"""

CRASH = """
def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)
setattr(os, sys.argv[2], die)
store.put(make({"name": "openai"}), SecretStr("sk-new-1"))
"""

WRITE = """
for n in range(int(sys.argv[3])):
    store.put(make({"name": f"{sys.argv[2]}-{n}", "base_url": "http://h:1/v1"}), SecretStr(f"sk-{sys.argv[2]}-{n}"))
"""


def start(code: str, *words: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", HEAD + code, *map(str, words)], cwd=ROOT, stderr=subprocess.PIPE)


@pytest.mark.parametrize("at", ["fsync", "replace"])
def test_a_writer_that_dies_before_the_rename_changes_nothing(store: ProviderStore, at: str) -> None:
    good = store.path.read_bytes()
    process = start(CRASH, store.path, at)
    assert process.wait(30) == -9
    assert store.path.read_bytes() == good and key_of(store, "lab") == KEY
    left = list(store.path.parent.glob(".providers.db.new-*"))
    assert len(left) == 1 and left[0].stat().st_mode & 0o777 == 0o600 and b"sk-new-1" not in left[0].read_bytes()
    store.put(make({"name": "openai"}), SecretStr("sk-new-1"))  # the lock went with its owner
    assert not list(store.path.parent.glob(".providers.db.new-*"))
    assert [record.name for record in store.list()] == ["lab", "zhipu", "bare", "openai"]


def test_writers_at_once_lose_nothing(store: ProviderStore) -> None:
    who, each = ("a", "b", "c"), 15
    writers = [start(WRITE, store.path, name, each) for name in who]
    while any(writer.poll() is None for writer in writers):
        store.list()  # a reader never sees a half
    assert [writer.communicate()[1] for writer in writers] == [b""] * 3
    assert len(store.list()) == 3 + each * len(who)
    assert all(key_of(store, f"{name}-{n}") == f"sk-{name}-{n}" for name in who for n in range(each))


def test_a_writer_that_does_not_end_is_said(store: ProviderStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_lines, "LOCK_SECONDS", 0.1)
    with store_lines.locked(store.path), pytest.raises(StoreError, match="another process is writing to it"):
        store.put(make(LAB))


# ------------------------------------------------------------------------------------------------ rotation


def test_rotation_seals_all_anew(store: ProviderStore) -> None:
    before = {record.name: record.encrypted_api_key for record in store.list()}
    head = store.path.read_text().split("\n")[1]
    assert store.rotate(OTHER) == 2
    with pytest.raises(WrongSecret):
        store.key("lab")
    new = ProviderStore(store.path, OTHER)
    assert (key_of(new, "lab"), key_of(new, "zhipu"), key_of(new, "bare")) == (KEY, "sk-zhipu-2", None)
    assert all(record.encrypted_api_key != before[record.name] for record in new.list() if before[record.name])
    assert json.loads(head.partition(": ")[2])["kdf"]["salt"] not in store.path.read_text()


def test_rotation_needs_the_old_secret(store: ProviderStore) -> None:
    refuses_to_write(ProviderStore(store.path, OTHER), WrongSecret)


# ------------------------------------------------------------------------------------------------ the form of others


def foreign(key: str, secret: str) -> str:
    """`aes256gcm:` with SHA-256 of the secret and nothing bound."""
    nonce = b"n" * 12
    data = AESGCM(hashlib.sha256(secret.encode()).digest()).encrypt(nonce, key.encode(), None)
    return "aes256gcm:" + base64.b64encode(nonce + data).decode()


def test_a_key_that_was_sealed_by_others_opens_and_is_sealed_anew(store: ProviderStore) -> None:
    store.put(make({**LAB, "name": "theirs", "encrypted_api_key": foreign("sk-theirs-1", SECRET.get_secret_value())}))
    assert key_of(store, "theirs") == "sk-theirs-1"
    store.rotate(OTHER)
    new = ProviderStore(store.path, OTHER)
    assert key_of(new, "theirs") == "sk-theirs-1" and new.get("theirs").encrypted_api_key.startswith("aes256gcm:2.")


# ------------------------------------------------------------------------------------------------ the keyring


@pytest.fixture
def ring(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[tuple[str, str], str]]:
    """A keyring of this process: the one part of the system that a test machine has not."""
    import keyring
    from keyring.backend import KeyringBackend
    from keyring.errors import PasswordDeleteError

    kept: dict[tuple[str, str], str] = {}

    class Ring(KeyringBackend):
        priority = 1  # type: ignore[assignment]

        def get_password(self, service: str, username: str) -> str | None:
            return kept.get((service, username))

        def set_password(self, service: str, username: str, password: str) -> None:
            kept[service, username] = password

        def delete_password(self, service: str, username: str) -> None:
            if kept.pop((service, username), None) is None:
                raise PasswordDeleteError("not there")

    before = keyring.get_keyring()
    keyring.set_keyring(Ring())
    yield kept
    keyring.set_keyring(before)


def test_without_a_secret_the_keyring_keeps_one(ring: dict[tuple[str, str], str], tmp_path: Path) -> None:
    store = open_store(tmp_path / "p.db", {})
    store.put(make(LAB), SecretStr(KEY))
    assert len(ring) == 1 and all(secret not in store.path.read_text() for secret in ring.values())
    assert key_of(open_store(tmp_path / "p.db", {}), "lab") == KEY
    assert key_of(open_store(tmp_path / "p.db", {"LLM_LINK_SECRET": "not its own"}), "lab") == KEY
    ring.clear()
    with pytest.raises(NoSecret, match="the keyring of this system has no secret for it"):
        store.key("lab")


def test_rotation_into_the_keyring_and_out_of_it(ring: dict[tuple[str, str], str], store: ProviderStore) -> None:
    store.rotate(None)
    assert len(ring) == 1 and key_of(ProviderStore(store.path), "lab") == KEY
    ProviderStore(store.path).rotate(None)
    assert len(ring) == 1 and key_of(ProviderStore(store.path), "lab") == KEY
    ProviderStore(store.path).rotate(OTHER)
    assert ring == {} and key_of(ProviderStore(store.path, OTHER), "lab") == KEY


@pytest.mark.parametrize("backend", ["fail", "null"])
def test_a_keyring_that_keeps_nothing(tmp_path: Path, backend: str) -> None:
    import keyring
    from keyring.backends import fail, null

    before = keyring.get_keyring()
    keyring.set_keyring({"fail": fail, "null": null}[backend].Keyring())
    try:
        with pytest.raises(NoSecret, match="set LLM_LINK_SECRET"):
            open_store(tmp_path / "p.db", {}).put(make(LAB), SecretStr(KEY))
    finally:
        keyring.set_keyring(before)
    assert not (tmp_path / "p.db").exists()
