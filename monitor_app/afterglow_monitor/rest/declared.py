"""What a route is: declared once, for the server, for its description in OpenAPI and for docs/rest.md."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from afterglow_monitor.rest.problems import Problem, bad
from afterglow_monitor.rest.schemas import Schema
from afterglow_store import Page

Values = Mapping[str, Any]
Row = dict[str, Any]
MOST_TEXT = 300  # characters; an address has room for 64 KiB in all


@dataclass(frozen=True)
class Param:
    """Something that may be asked. `schema` is of JSON Schema: string, integer, boolean, or an array of strings."""

    name: str
    schema: Schema
    description: str
    where: str = "query"
    required: bool = False

    @property
    def many(self) -> bool:
        return bool(self.schema["type"] == "array")

    def read(self, texts: Sequence[str]) -> Any:
        """What these texts say. Raises Problem."""
        if self.many:
            if len(texts) > self.schema["maxItems"]:
                raise bad(self.name, f"{self.name} may be there {self.schema['maxItems']} times")
            return [self._one(text, self.schema["items"]) for text in texts]
        if len(texts) != 1:
            raise bad(self.name, f"{self.name} may be there once only")
        return self._one(texts[0], self.schema)

    def _one(self, text: str, schema: Schema) -> Any:
        if "\0" in text or len(text) > schema.get("maxLength", MOST_TEXT):
            raise self._bad(text, f"text of at most {schema.get('maxLength', MOST_TEXT):,} characters, without NUL")
        if schema["type"] == "boolean":
            if text not in ("true", "false"):
                raise self._bad(text, "true or false")
            return text == "true"
        if schema["type"] == "integer":
            return self._integer(text, schema)
        if "enum" in schema and text not in schema["enum"]:
            raise self._bad(text, f"one of {', '.join(schema['enum'])}")
        if "pattern" in schema and not re.search(schema["pattern"], text):
            raise self._bad(text, f"what it may be: {self.description}")
        return text

    def _integer(self, text: str, schema: Schema) -> int:
        least, most = schema["minimum"], schema["maximum"]
        if not re.fullmatch("[0-9]{1,19}", text) or not least <= int(text) <= most:
            raise self._bad(text, f"a whole number from {least} to {most}")
        return int(text)

    def _bad(self, text: str, wanted: str) -> Problem:
        shown = text if len(text) < 100 else f"{text[:100]}…"
        return bad(self.name, f"{self.name}={shown!r} is not {wanted}")


@dataclass(frozen=True)
class Asked:
    """What a request asks: the values of its parameters by their names, those of the path too."""

    values: Values
    now: int  # ms
    after: str | None = None  # where the page before ended

    def __getitem__(self, name: str) -> Any:
        return self.values.get(name)


@dataclass(frozen=True)
class Answer:
    """The body, and where its page ended."""

    body: Row
    next: str | None = None


@dataclass(frozen=True)
class Operation:
    """`path` is below /api/v1, with the names of its parameters in braces. `read` does everything but HTTP; without it
    the route is elsewhere, and only described here."""

    path: str
    name: str
    summary: str
    answer: str  # a name in schemas.SCHEMAS
    read: Callable[[sa.Connection, Asked], Answer] | None = None
    params: tuple[Param, ...] = ()
    paged: bool = False
    method: str = "get"
    about: Mapping[str, Any] = field(default_factory=dict)  # of OpenAPI: what takes the place of what is written of it

    def rows(self, conn: sa.Connection, asked: Asked) -> Answer:
        if self.read is None:
            raise NotImplementedError(self.path)
        return self.read(conn, asked)

    def asked(self, path: Mapping[str, str], query: Sequence[tuple[str, str]]) -> Row:
        """The values of a request. Raises Problem."""
        said: dict[str, list[str]] = {name: [text] for name, text in path.items()}
        known = {param.name: param for param in self.params}
        for name, text in query:
            if name not in known or name in path:
                raise bad(name, f"there is no parameter {name[:100]!r}: {self._have()}")
            said.setdefault(name, []).append(text)
        defaults = {param.name: param.schema["default"] for param in self.params if "default" in param.schema}
        return defaults | {name: known[name].read(texts) for name, texts in said.items()}

    def _have(self) -> str:
        names = ", ".join(param.name for param in self.params if param.where == "query")
        return f"this route has {names}" if names else "this route has none"


def page_answer(name: str, page: Page, public: Callable[[Row], Row]) -> Answer:
    return Answer({name: [public(row) for row in page.rows]}, page.next)
