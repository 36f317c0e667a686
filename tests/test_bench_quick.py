"""When `make bench-quick` fails."""

from tests.benchmarks.search import Timing, slower

KEPT = {"a list": Timing([3.0, 3.5, 9.0], 50).raw(), "a filter": Timing([40.0, 41.0], 50).raw()}


def test_what_takes_twice_as_long_each_time_is_slower() -> None:
    assert slower(KEPT, {"a list": Timing([6.5] * 20, 50), "a filter": Timing([81.0, 95.0], 50)}) == [*KEPT]


def test_what_something_else_held_up_for_most_of_the_time_is_not() -> None:
    assert slower(KEPT, {"a list": Timing([300.0] * 19 + [5.5], 50), "a filter": Timing([400.0, 79.0], 50)}) == []


def test_what_was_stopped_is_slower() -> None:
    assert slower(KEPT, {"a list": Timing([], None), "a filter": Timing([40.0], 50)}) == ["a list"]


def test_what_was_not_kept_is_not_compared() -> None:
    assert (
        slower(KEPT | {"a text": Timing([], None).raw()}, {"a text": Timing([9.0], 50), "new": Timing([9.0], 1)}) == []
    )


def test_a_slow_machine_is_slow_at_all_questions_and_not_without_end() -> None:
    kept = {f"question {number}": Timing([10.0], 50).raw() for number in range(20)}

    def taking(ms: float) -> dict[str, Timing]:
        return {name: Timing([ms], 50) for name in kept}

    assert slower(kept, taking(25.0)) == []
    assert slower(kept, taking(25.0) | {"question 7": Timing([51.0], 50)}) == ["question 7"]
    assert slower(kept, taking(61.0)) == [*kept]
