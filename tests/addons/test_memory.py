"""What is remembered for clients: bounded in number, bytes and age, and each one's own."""

from __future__ import annotations

from addons.memory import ClientMemory, TurnMemory


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def memory(**bounds: int) -> tuple[TurnMemory, ClientMemory, Clock]:
    clock = Clock()
    turns = TurnMemory(**bounds, clock=clock)
    return turns, turns.of(["key"]), clock


def test_what_was_put_is_there_for_the_same_credential_only() -> None:
    turns, mine, _ = memory()
    mine.put("a", b"1")
    assert mine.get("a") == turns.of(["key"]).get("a") == b"1"
    for other in ([], ["other"], ["key", "other"], ["ke", "y"]):
        assert turns.of(other).get("a") is None


def test_the_newest_stay_and_use_keeps_a_turn_young() -> None:
    turns, mine, _ = memory(entries=2)
    mine.put("a", b"1")
    mine.put("b", b"2")
    assert mine.get("a") == b"1"
    mine.put("c", b"3")
    assert mine.get("b") is None and mine.get("a") == b"1" and len(turns) == 2


def test_bytes_are_bounded_and_one_that_is_too_large_leaves_the_others() -> None:
    turns, mine, _ = memory(size=3000)
    for n in range(9):
        mine.put(str(n), b"x" * 600)
    assert len(turns) == 3 and turns.size <= 3000 and mine.get("8") is not None
    mine.put("large", b"x" * 3000)
    assert mine.get("large") is None and mine.get("8") is not None


def test_the_same_key_counts_once() -> None:
    turns, mine, _ = memory()
    mine.put("a", b"x" * 100)
    size = turns.size
    mine.put("a", b"y" * 100)
    assert turns.size == size and mine.get("a") == b"y" * 100


def test_old_turns_are_forgotten() -> None:
    turns, mine, clock = memory(age=10)
    mine.put("a", b"1")
    clock.now = 10
    assert mine.get("a") == b"1"
    clock.now = 10.5
    assert mine.get("a") is None and turns.size == 0


def test_no_credential_is_kept_in_clear() -> None:
    turns, _, _ = memory()
    turns.of(["secret-key"]).put("a", b"1")
    assert "secret-key" not in repr(vars(turns))


def test_a_client_of_whom_nothing_is_kept_is_known_at_once() -> None:
    turns = TurnMemory(entries=2)
    mine, yours = turns.of(["mine"]), turns.of(["yours"])
    assert not mine
    mine.put("a", b"1")
    mine.put("a", b"2")
    assert mine and not yours
    for key in ("b", "c"):  # room for two: mine goes
        yours.put(key, b"3")
    assert yours and not mine
