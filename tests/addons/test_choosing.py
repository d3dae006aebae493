"""Who is asked first, who is left alone, and who comes back."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

import pytest
from pydantic import SecretStr

from addons.choosing import MOST, SILENT, Board, price
from addons.routing import Route, Target
from addons.settings_upstream import Upstream
from translators.codec import Traits
from translators.model import ApiError

BUSY = ApiError(503, "overloaded", "busy")
GONE = ApiError(502, "disconnected", "gone")
LIMITED = ApiError(429, "rate_limit", "slow down", retry_after=7)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def board(clock: Clock) -> Board:
    return Board(clock, random.Random(1))


def target(name: str, model: str = "m", window: int = 0, weight: int = 1, key: int = 0, host: str = "h") -> Target:
    upstream = Upstream(name, "openai-chat", "https", host, 443, "/v1", keys=(SecretStr("a"), SecretStr("b")))
    return Target(upstream, model, model, Traits(context_window=window), weight=weight, key=key)


A, B, C = target("a"), target("b"), target("c")


def names(targets: Sequence[Target]) -> str:
    return "".join(found.upstream.name for found in targets)


def ask(board: Board, *targets: Target, choose: str = "order") -> str:
    return names(board.order(Route(targets or (A, B, C), "r", choose)))


def fail(board: Board, which: Target, error: ApiError = BUSY, cooldown: float = 30) -> None:
    board.begin(which)
    board.failed(which, error, cooldown)


def test_order_is_as_written(board: Board) -> None:
    assert [ask(board) for _ in range(3)] == ["abc"] * 3


def test_who_failed_comes_last_until_it_has_cooled_down(board: Board, clock: Clock) -> None:
    fail(board, A)
    assert ask(board) == "bca"
    clock.now += 31
    assert ask(board) == "abc"


def test_retry_after_is_the_time_that_it_cools_down(board: Board, clock: Clock) -> None:
    fail(board, A, LIMITED)
    clock.now += 6
    assert ask(board) == "bca"
    clock.now += 2
    assert ask(board) == "abc"


def test_where_all_cool_down_the_one_that_is_free_soonest_is_first(board: Board) -> None:
    fail(board, A)
    fail(board, B, LIMITED)
    assert ask(board, A, B) == "ba"


def test_no_cooldown_means_none(board: Board) -> None:
    fail(board, A, LIMITED, cooldown=0)
    assert ask(board) == "abc"


def test_one_exchange_probes_and_the_others_keep_away(board: Board, clock: Clock) -> None:
    fail(board, A)
    clock.now += 31
    assert ask(board) == "abc"
    board.begin(A)
    assert ask(board) == "bca", "somebody is probing it"
    board.good(A, 0.1)
    assert ask(board) == "abc"


@pytest.mark.parametrize("ending", ["failed", "left"])
def test_a_probe_that_is_no_success_frees_the_place(board: Board, clock: Clock, ending: str) -> None:
    fail(board, A)
    clock.now += 31
    board.begin(A)
    if ending == "left":  # the client hung up: the next one probes
        board.left(A)
        assert ask(board) == "abc"
    else:
        board.failed(A, BUSY, 30)
        assert ask(board) == "bca"


def test_another_model_of_an_upstream_is_not_to_blame(board: Board) -> None:
    fail(board, A)
    other = target("a", "other")
    assert names(board.order(Route((other, B)))) == "ab"


def test_an_upstream_that_never_answers_cools_down_as_a_whole(board: Board) -> None:
    other = target("a", "other")
    for _ in range(SILENT):
        assert names(board.order(Route((other, B)))) == "ab"
        fail(board, A, GONE)
    assert names(board.order(Route((other, B)))) == "ba"
    board.begin(other)
    board.good(other, 0.1)
    assert names(board.order(Route((other, B)))) == "ab"


def test_an_answer_in_between_breaks_the_row(board: Board) -> None:
    other = target("a", "other")
    for _ in range(SILENT):
        fail(board, A, GONE)
        fail(board, A, BUSY)
    assert names(board.order(Route((other, B)))) == "ab"


def test_round_robin_begins_with_each_in_turn(board: Board) -> None:
    assert [ask(board, choose="round_robin") for _ in range(4)] == ["abc", "bca", "cab", "abc"]


def test_least_busy_counts_what_is_in_flight_by_weight(board: Board) -> None:
    heavy = target("h", weight=3)
    for _ in range(2):
        board.begin(heavy)
    board.begin(A)
    assert ask(board, A, heavy, B, choose="least_busy") == "bha"
    board.good(A, 0.1)
    assert ask(board, A, heavy, B, choose="least_busy") == "abh"


def test_weighted_draws_by_weight(board: Board) -> None:
    heavy = target("h", weight=3)
    firsts = Counter(ask(board, A, heavy, choose="weighted")[0] for _ in range(4000))
    assert 2850 < firsts["h"] < 3150


def test_fastest_asks_the_unknown_first_and_then_the_quickest(board: Board) -> None:
    for which, seconds in ((A, 0.9), (B, 0.1)):
        board.begin(which)
        board.good(which, seconds)
    assert ask(board, choose="fastest") == "cba"
    for _ in range(20):  # it got slow
        board.begin(B)
        board.good(B, 2.0)
    assert ask(board, A, B, choose="fastest") == "ab"


def test_cheapest_is_ones_own_machine_then_the_price_then_the_unknown(board: Board) -> None:
    own = target("o", host="127.0.0.1")
    dear, cheap, unknown = target("d", "gpt-4-turbo"), target("c", "gpt-4o-mini"), target("u", "nobody-knows")
    assert price(cheap) < price(dear) < price(unknown)
    assert ask(board, unknown, dear, cheap, own, choose="cheapest") == "ocdu"


def test_several_keys_of_an_upstream_take_turns_and_cool_down_alone(board: Board) -> None:
    first, second = target("a", key=0), target("a", key=1)
    route = Route((first, second, B))
    assert [[t.key for t in board.order(route)[:2]] for _ in range(2)] == [[0, 1], [1, 0]]
    fail(board, first, LIMITED)
    assert all((board.order(route)[0].key, names(board.order(route))) == (1, "aba") for _ in range(4))


def test_a_window_that_is_too_small_is_passed_over(board: Board) -> None:
    small, large = target("s", window=1000), target("l", window=100_000)
    assert names(board.order(Route((small, large)), lambda: 5000)) == "l"
    assert names(board.order(Route((small, large)), lambda: 500)) == "sl"
    assert names(board.order(Route((small, A)), lambda: 5000)) == "a", "who does not say may be large enough"
    assert names(board.order(Route((small, large)), lambda: 500_000)) == "sl", "one of them has to say no"


def test_the_prompt_is_counted_only_where_windows_differ(board: Board) -> None:
    def never() -> int:
        raise AssertionError

    assert names(board.order(Route((A, B)), never)) == "ab"
    assert names(board.order(Route((target("s", window=10),)), never)) == "s"


def test_names_that_clients_make_up_do_not_fill_the_memory(board: Board) -> None:
    for n in range(MOST + 500):
        fail(board, target("a", f"m{n}"))
    assert len(board._standings) <= MOST + 1
