"""A filter's text cut into pieces: words, quoted pieces, comparators, brackets and commas."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from afterglow_store.errors import BadFilter

MAX_LENGTH = 100_000  # characters

# Quotes end where they end for MLflow: a doubled quote, and one after a backslash, belong to what is quoted.
_QUOTED = r"""'(?:''|\\'|[^'])*'|"(?:""|\\"|[^"])*"|`(?:``|[^`])*`"""
_TOKEN = re.compile(
    rf"""\s*(?:
        (?P<quoted> {_QUOTED})
      | (?P<symbol> [<>=!]+ | [(),])
      | (?P<word> [^\s'"`()<>=!,]+)
      | (?P<open> ['"`])
      | (?P<end> \Z))""",
    re.VERBOSE,
)

TokenKind = Literal["quoted", "symbol", "word", "end"]


@dataclass(frozen=True)
class Token:
    """A piece of the text, which stands from character `start` (counted from 0) to before `end`."""

    kind: TokenKind
    text: str
    start: int
    end: int

    @property
    def keyword(self) -> str:
        """The word in capitals; empty if it is none."""
        return self.text.upper() if self.kind == "word" else ""

    @property
    def value(self) -> str:
        """What is between the quotes, as it stands there: as in MLflow, a backslash or a doubled quote stays. In
        backticks, which MLflow has for keys only, two of them are one."""
        inner = self.text[1:-1]
        return inner.replace("``", "`") if self.text[0] == "`" else inner


def tokens(text: str) -> list[Token]:
    """The pieces of a filter; the last one is its end. Raises BadFilter where a quote is not closed."""
    if len(text) > MAX_LENGTH:
        raise BadFilter(f"A filter has at most {MAX_LENGTH:,} characters, this one {len(text):,}", text, 0, 0)
    found: list[Token] = []
    at = 0
    while not found or found[-1].kind != "end":
        match = _TOKEN.match(text, at)
        if match is None or match.lastgroup is None:  # cannot be: every character begins one of them
            raise BadFilter("This cannot be read", text, at, at)
        kind, at = match.lastgroup, match.end()
        if kind == "open":
            quote = match["open"]
            raise BadFilter(
                f"This {quote} is not closed: another {quote} is missing", text, match.start(kind), len(text)
            )
        found.append(Token(kind, match[kind], match.start(kind), at))  # type: ignore[arg-type]  # the group's name
    return found


def quoted(value: str) -> str:
    """A text value as a filter has it."""
    for quote in ("'", '"'):
        # A backslash before the closing quote would take it into the value, if another quote follows.
        if quote not in value and not value.endswith("\\"):
            return f"{quote}{value}{quote}"
    return in_backticks(value)


def in_backticks(text: str) -> str:
    return "`" + text.replace("`", "``") + "`"
