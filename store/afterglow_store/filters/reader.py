"""Reads the pieces of a filter one after the other, and says what is wrong with one."""

from __future__ import annotations

from difflib import get_close_matches

from afterglow_store.errors import BadFilter
from afterglow_store.filters.fields import FIELDS, Of, Reference, find, is_keyed, nearest
from afterglow_store.filters.tokens import Token, tokens

KEYWORDS = ("AND", "OR", "NOT", "IN", "LIKE", "ILIKE", "IS", "NULL", "ASC", "DESC")
_LONGEST = 1_000  # characters of a message, in which names are as long as they were typed
_NO_DATASETS = "The store keeps no datasets of runs, so a search by them would find nothing: leave this out"


class Reader:
    """Stands before one piece of a filter for items `of` a kind."""

    def __init__(self, text: str, of: Of) -> None:
        self.text = text
        self.of: Of = of
        self.at = 0
        self._tokens = tokens(text)

    @property
    def next(self) -> Token:
        return self._tokens[self.at]

    @property
    def before(self) -> Token:
        """The one that was taken last."""
        return self._tokens[self.at - 1]

    def at_end(self) -> bool:
        return self.next.kind == "end"

    def take(self) -> Token:
        token = self.next
        if token.kind != "end":
            self.at += 1
        return token

    def accept(self, *words: str) -> bool:
        """Go past one of these keywords or symbols, if it is the next."""
        found = self.next.keyword in words or (self.next.kind == "symbol" and self.next.text in words)
        if found:
            self.take()
        return found

    def expect(self, word: str, why: str) -> None:
        if not self.accept(word):
            raise self.bad(why)

    def bad(self, why: str, token: Token | None = None, last: Token | None = None) -> BadFilter:
        """What to raise about `token`, the next one by default, or about all from it to `last`."""
        first = token or self.next
        shortened = why if len(why) <= _LONGEST else why[:_LONGEST] + "…"
        return BadFilter(shortened, self.text, first.start, (last or first).end)

    def field(self) -> Reference:
        """Take the name of a field, and its key: `metrics.rmse`, ``params.`a b` ``, `status`."""
        first = self.next
        name = self._name()
        found = find(self.of, name)
        if found is None:
            raise self._unknown(name, first)
        return found

    def _name(self) -> str:
        first = self.next
        if first.kind not in ("word", "quoted") or first.text.startswith("'") or first.keyword in KEYWORDS:
            raise self.bad(f"The name of a field is expected here{_instead(first)}")
        self.take()
        name = first.text if first.kind == "word" else first.value
        if first.kind == "quoted" and self._touches(first) and self.next.text.startswith("."):
            name += self.take().text
        if name.endswith(".") and self._touches(self.before) and self.next.kind == "quoted":
            name = self._with_quoted_key(name, first)
        elif name.endswith("."):
            raise self.bad(f"The name of a field is expected right after {name!r}, without a space", first)
        return name

    def _with_quoted_key(self, name: str, first: Token) -> str:
        key = self.take()
        if name.count(".") > 1:
            prefix, _, start = name.partition(".")
            raise self.bad(f"Put the whole key in quotes: {prefix}.`{start}{key.value}`", first, key)
        return name + key.value

    def _touches(self, token: Token) -> bool:
        return self.next.start == token.end and self.next.kind in ("word", "quoted")

    def _unknown(self, name: str, first: Token) -> BadFilter:
        if self.of == "runs" and name.partition(".")[0] in ("dataset", "datasets"):
            return self.bad(_NO_DATASETS, first, self.before)
        if is_keyed(self.of, name):
            return self.bad(f"{name} needs a key, right after a point: {name}.<key>", first, self.before)
        near = nearest(self.of, name) or (_meant_keyword(name) if first.start else None)
        why = f"Did you mean {near}?" if near else f"Known are {_known(self.of)}"
        return self.bad(f"{name!r} is no field of {self.of}. {why}", first, self.before)


def _instead(token: Token) -> str:
    return "" if token.kind == "end" else f", not {token.text}"


def _meant_keyword(name: str) -> str | None:
    if name in ("&&", "&", "||", "|"):
        return "AND" if "&" in name else "OR"
    return next(iter(get_close_matches(name.upper(), KEYWORDS, n=1)), None)


def _known(of: Of) -> str:
    names = [f"{field.name}.<key>" if field.keyed else field.name for field in FIELDS[of]]
    return ", ".join(dict.fromkeys("spark.<figure>" if name.startswith("spark.") else name for name in names))
