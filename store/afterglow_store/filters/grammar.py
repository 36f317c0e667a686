"""The grammar, one function a rule.

    filter      all {OR all}
    all         one {[AND] one}
    one         "(" filter ")" | comparison
    comparison  field (comparator value | [NOT] IN list | IS [NOT] NULL)

AND holds tighter than OR. MLflow lets AND be left out, doubled, and stand at either end of a filter; so it is here.
"""

from __future__ import annotations

import math

from afterglow_store.errors import BadFilter
from afterglow_store.filters.condition import Comparison, Condition, Value, all_of, any_of
from afterglow_store.filters.fields import COMPARATORS, NULL_TESTS, Of, Reference
from afterglow_store.filters.reader import KEYWORDS, Reader
from afterglow_store.filters.values import read_list, read_value

MAX_COMPARISONS = 200  # SQLite takes expressions up to a depth of 1,000
MAX_DEPTH = 50  # brackets within brackets

_IS = {
    "text": "text, also where it looks like a number",
    "choice": "one of a few texts",
    "number": "a number",
    "time": "a time",
    "duration": "a duration",
    "boolean": "true or false",
}
_MEANT = {"==": "=", "<>": "!=", "=<": "<=", "=>": ">=", "!": "!=", "===": "=", "!==": "!="}


def parse(text: str, of: Of = "runs", *, now: int) -> Condition | None:
    """The condition that a filter says; None if it says nothing.

    `now` (ms since 1970 UTC) is what spans such as `start_time > 7d` count back from. Raises BadFilter.
    """
    return _Grammar(Reader(text, of), now).whole()


class _Grammar:
    def __init__(self, reader: Reader, now: int) -> None:
        self.reader = reader
        self.now = now
        self.depth = 0
        self.comparisons = 0

    def whole(self) -> Condition | None:
        self._skip_ands()
        if self.reader.at_end():
            return None
        condition = self._filter()
        if not self.reader.at_end():
            raise self._bad_rest()
        return condition

    def _filter(self) -> Condition:
        parts = [self._all()]
        while self.reader.accept("OR"):
            parts.append(self._all())
        return any_of(parts)

    def _all(self) -> Condition:
        parts = [self._one()]
        while self._goes_on():
            parts.append(self._one())
        return all_of(parts)

    def _goes_on(self) -> bool:
        if self._skip_ands():
            return not self.reader.at_end()
        token = self.reader.next
        return token.kind == "quoted" or (token.kind == "word" and token.keyword not in KEYWORDS)

    def _skip_ands(self) -> bool:
        before = self.reader.at
        while self.reader.accept("AND"):
            pass
        return self.reader.at > before

    def _one(self) -> Condition:
        if self.reader.next.keyword == "NOT":
            raise self.reader.bad(
                "NOT stands before IN, LIKE, ILIKE and NULL only; turn the comparison round, as in a != 'b'"
            )
        opening = self.reader.next
        if not self.reader.accept("("):
            return self._comparison()
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self.reader.bad(f"More than {MAX_DEPTH} brackets within brackets", opening)
        inner = self._filter()
        if not self.reader.accept(")"):
            raise self._bad_rest(f"The bracket at character {opening.start + 1} is not closed")
        self.depth -= 1
        return inner

    def _comparison(self) -> Comparison:
        first = self.reader.next
        self.comparisons += 1
        if self.comparisons > MAX_COMPARISONS:
            raise self.reader.bad(f"More than {MAX_COMPARISONS} comparisons in one filter")
        asked = self.reader.field()
        operator = self._operator(asked)
        value = self._value(asked, operator)
        if isinstance(value, float) and math.isnan(value) and operator not in ("=", "!="):
            why = "NaN is neither less nor more than anything: ask for = NaN or != NaN"
            raise self.reader.bad(why, first, self.reader.before)
        return Comparison(asked.field, operator, value, asked.key)

    def _value(self, asked: Reference, operator: str) -> Value:
        if operator in NULL_TESTS:
            return None
        if operator in ("IN", "NOT IN"):
            return read_list(self.reader, asked)
        return read_value(self.reader, asked, now=self.now)

    def _operator(self, asked: Reference) -> str:
        first = self.reader.next
        operator = self._symbol() if first.kind == "symbol" else self._words(asked)
        if operator not in asked.field.comparators:
            why = f"{asked} is {_IS[asked.field.kind]}. {operator} is none of {', '.join(asked.field.comparators)}"
            raise self.reader.bad(why, first, self.reader.before)
        return operator

    def _symbol(self) -> str:
        token = self.reader.next
        if token.text not in COMPARATORS["number"]:
            hint = f": write {_MEANT[token.text]}" if token.text in _MEANT else ""
            raise self.reader.bad(f"{token.text} is no comparator{hint}")
        return self.reader.take().text

    def _words(self, asked: Reference) -> str:
        if self.reader.accept("IS"):
            negated = self.reader.accept("NOT")
            self.reader.expect("NULL", "NULL is expected after IS: IS NULL, IS NOT NULL")
            return "IS NOT NULL" if negated else "IS NULL"
        negated = self.reader.accept("NOT")
        for word in ("LIKE", "ILIKE", "IN"):
            if self.reader.accept(word):
                return f"NOT {word}" if negated else word
        after = "NOT: IN, LIKE, ILIKE" if negated else f"{asked}: {', '.join(asked.field.comparators)}"
        raise self.reader.bad(f"A comparator is expected after {after}")

    def _bad_rest(self, at_its_end: str = "") -> BadFilter:
        if self.reader.next.text == ")":
            return self.reader.bad("This bracket closes none")
        return self.reader.bad(at_its_end if self.reader.at_end() else "AND or OR is expected here")
