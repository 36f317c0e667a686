"""The server's settings: conf/afterglow.toml says what each is for, the code what it may be, and its default."""

from __future__ import annotations

import re
import types
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from afterglow_monitor.settings import AlertRule, MlflowServer, Settings, VisibleRule
from reference.markdown import code, page, paragraphs, prose

FILE = Path(__file__).parents[2] / "conf" / "afterglow.toml"
REPEATED: dict[str, type[BaseModel]] = {"visible": VisibleRule, "alerts": AlertRule, "mlflow": MlflowServer}
_WORDS = {str: "text", int: "whole number", float: "number", bool: "true or false"}
_LIMITS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}


@dataclass
class Group:
    """Settings that one comment is about."""

    names: list[str] = field(default_factory=list)
    about: str = ""


@dataclass
class Section:
    name: str
    about: str = ""
    groups: list[Group] = field(default_factory=list)


def settings() -> str:
    about, *sections = sections_of(FILE.read_text(encoding="utf-8"))
    return page("Settings of the server", prose(about.about), *(_shown(each) for each in sections))


def sections_of(text: str) -> list[Section]:
    """What the file says; the first section is what stands before all others."""
    found = [Section("")]
    said: list[str] = []
    for line in text.splitlines():
        repeated = re.fullmatch(r"# \[\[(\w+)\]\]", line)
        example = re.fullmatch(r"# (\w+) = [^#]*(?:# (.*))?", line) if found[-1].name in REPEATED else None
        if section := repeated or re.fullmatch(r"\[(\w+)\]", line):
            found.append(Section(section[1], " ".join(said)))
            said = []
        elif example:
            _add(found[-1], example[1], example[2] or "")
        elif more := re.fullmatch(r"# {5,}# +(.*)", line):
            found[-1].groups[-1].about += f" {more[1]}"
        elif comment := re.fullmatch(r"# (.*)", line):
            said.append(comment[1])
        elif key := re.match(r"(\w+) = ", line):
            _add(found[-1], key[1], " ".join(said))
            said = []
        elif said and not found[-1].about and not found[-1].name:
            found[-1].about, said = " ".join(said), []
    return found


def _add(section: Section, name: str, about: str) -> None:
    if about:
        section.groups.append(Group(about=about))
    section.groups[-1].names.append(name)


def _shown(section: Section) -> str:
    model = REPEATED.get(section.name) or type(getattr(Settings(home=Path("/")), section.name))
    head = f"[[{section.name}]]" if section.name in REPEATED else f"[{section.name}]"
    return paragraphs(f"## `{head}`", prose(section.about), *(_definition(each, model) for each in section.groups))


def _definition(group: Group, model: type[BaseModel]) -> str:
    terms = [f"{code(name)} · {_kind(model.model_fields[name])}" for name in group.names]
    return "\n".join(terms) + f"\n:   {prose(group.about)}"


def _kind(what: FieldInfo) -> str:
    limits = [f"{sign} {getattr(rule, name)}" for rule in what.metadata for name, sign in _LIMITS.items()
              if getattr(rule, name, None) is not None]  # fmt: skip
    kind = f"{_type(what.annotation)} {', '.join(limits)}".strip()
    if what.is_required() or what.default is None:
        return f"{kind} · {'required' if what.is_required() else 'not set'}"
    return f"{kind} · {code(_toml(what.default))}"


def _type(annotation: Any) -> str:
    if get_origin(annotation) is tuple:
        return "list of texts"
    if get_origin(annotation) is Literal:
        return " or ".join(code(f'"{each}"') for each in get_args(annotation))
    if get_origin(annotation) in (Union, types.UnionType):
        return " or ".join(_type(each) for each in get_args(annotation) if each is not type(None))
    return _WORDS[annotation]


def _toml(value: Any) -> str:
    """A default, as one writes it in the file."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"[{', '.join(_toml(each) for each in value)}]"
    return f'"{value}"' if isinstance(value, str) else str(value)
