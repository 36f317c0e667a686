"""A benchmark's question that is not answered in time."""

import math
import time
from functools import partial
from multiprocessing import active_children

import pytest

from tests.benchmarks.capped import Capped


def test_is_given_up_and_its_process_ended_and_the_next_one_is_answered() -> None:
    with Capped(partial(partial, time.sleep)) as capped:
        answer = capped.ask(0.01, seconds=30)
        assert answer is not None
        assert answer.milliseconds >= 10
        [process] = active_children()
        assert capped.ask(60, seconds=0.1) is None
        assert not process.is_alive()
        assert capped.ask(0.01, seconds=30) is not None
    assert active_children() == []


def test_that_goes_wrong_raises_here_what_it_raised_there() -> None:
    with Capped(partial(partial, math.sqrt)) as capped, pytest.raises(ValueError, match="math domain"):
        capped.ask(-1, seconds=30)
