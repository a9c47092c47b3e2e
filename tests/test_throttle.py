"""Wrong codes and keys, tried by the thousand."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer.errors import ClassError, StoreError, ThrottleError
from fer.throttle import WINDOW_S, Throttle


def wrong(throttle: Throttle, who: str, now: float) -> bool:
    """A wrong try; whether it was heard."""
    try:
        with throttle.attempt(who, now):
            raise ClassError("wrong")
    except ClassError:
        return True
    except ThrottleError:
        return False


def right(throttle: Throttle, who: str, now: float) -> None:
    with throttle.attempt(who, now):
        pass


def test_of_a_thousand_wrong_tries_at_once_a_visitor_makes_as_many_as_are_allowed():
    throttle = Throttle(20, 600)
    assert sum(wrong(throttle, "a", 100.0) for _ in range(1000)) == 20
    assert throttle.refused == 980
    assert wrong(throttle, "b", 100.0)


def test_of_a_thousand_visitors_all_together_make_as_many_as_are_allowed():
    throttle = Throttle(20, 600)
    assert sum(wrong(throttle, f"v{i}", 100.0) for i in range(1000)) == 600


def test_a_thousand_tries_from_many_threads_gain_nothing():
    throttle = Throttle(20, 600)
    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(lambda _: wrong(throttle, "a", 100.0), range(1000))) == 20


@pytest.mark.parametrize("replicas", [1, 2, 3, 7])
def test_who_guesses_at_all_replicas_makes_no_more_tries_than_at_one(replicas: int):
    throttles = [Throttle(20, 600, replicas) for _ in range(replicas)]
    assert 0 < sum(wrong(throttle, "a", 100.0) for throttle in throttles for _ in range(50)) <= 20
    throttles = [Throttle(20, 600, replicas) for _ in range(replicas)]
    assert 0 < sum(wrong(throttle, f"v{i}", 100.0) for throttle in throttles for i in range(1000)) <= 600


def test_many_replicas_still_hear_a_wrong_try_each():
    assert wrong(Throttle(20, 600, 100), "a", 100.0)


def test_who_waits_as_long_as_the_sentence_says_is_heard_again():
    throttle = Throttle(20, 600)
    for _ in range(20):
        wrong(throttle, "a", 100.0)
    with pytest.raises(ThrottleError, match=r"Wait 3 seconds and try again\.$"):
        right(throttle, "a", 100.0)
    right(throttle, "a", 103.0)
    assert wrong(throttle, "a", 103.0) and not wrong(throttle, "a", 103.0)
    assert sum(wrong(throttle, "a", 103.0 + WINDOW_S) for _ in range(99)) == 20


@pytest.mark.parametrize("error", [None, StoreError("away"), KeyboardInterrupt()])
def test_what_was_not_wrong_does_not_count(error: BaseException | None):
    throttle = Throttle(2, 4)
    for _ in range(50):
        try:
            with throttle.attempt("a", 100.0):
                if error:
                    raise error
        except (StoreError, KeyboardInterrupt):
            pass
    assert [wrong(throttle, "a", 100.0) for _ in range(3)] == [True, True, False]


def test_a_right_try_does_not_make_wrong_ones_undone():
    throttle = Throttle(3, 600)
    for _ in range(2):
        wrong(throttle, "a", 100.0)
        right(throttle, "a", 100.0)
    assert wrong(throttle, "a", 100.0) and not wrong(throttle, "a", 100.0)


@given(gaps_s=st.lists(st.floats(0, 90), max_size=80), each=st.integers(1, 5))
def test_in_no_window_does_anybody_make_more_than_twice_what_is_allowed(gaps_s: list[float], each: int):
    throttle, now, heard = Throttle(each, 600), 0.0, list[float]()
    for gap_s in gaps_s:
        now += gap_s
        heard += [now] * wrong(throttle, "a", now)
    assert all(sum(begin <= at < begin + WINDOW_S for at in heard) <= 2 * each for begin in heard)


def test_no_number_of_visitors_fills_the_memory():
    throttle = Throttle(5, 50)
    for i in range(20_000):
        wrong(throttle, f"v{i}", i / 10)
        assert len(throttle._visitors) <= 100
