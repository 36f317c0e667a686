"""What a person, or a request, may see of the store: its `Scope`, from [[visible]] in the settings."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from afterglow_monitor.access.people import ADMIN, Person
from afterglow_monitor.settings import Settings, VisibleRule
from afterglow_store.visibility import NOTHING, Grant, Scope, exactly, like

EVERYONE = "*"

# Of the request that is answered: threads that a route starts for it have it, too.
_asking: ContextVar[Scope | None] = ContextVar("afterglow_asking", default=NOTHING)


def scope_of(person: Person | None, settings: Settings) -> Scope | None:
    """None: everything, which is what everybody sees without rules, and an admin with them."""
    if not settings.visible:
        return None
    if person is None:
        return NOTHING
    if person.role == ADMIN:
        return None
    return Scope(tuple(_grant(rule, person) for rule in settings.visible if _means(rule, person)))


def _means(rule: VisibleRule, person: Person) -> bool:
    return EVERYONE in rule.who or bool(person.among & {each.casefold() for each in rule.who})


def _grant(rule: VisibleRule, person: Person) -> Grant:
    users = None if rule.users is None else tuple(map(like, rule.users))
    if rule.own:
        users = (*(users or ()), *map(exactly, sorted(person.logins)))
    return Grant(_patterns(rule.experiments), _patterns(rule.workspaces), users)


def _patterns(said: tuple[str, ...] | None) -> tuple[str, ...] | None:
    return None if said is None else tuple(map(like, said))


@contextmanager
def asking(scope: Scope | None) -> Iterator[None]:
    """For the time in which a request is answered."""
    was = _asking.set(scope)
    try:
        yield
    finally:
        _asking.reset(was)


def of_request(settings: Settings) -> Scope | None:
    """What the request may see that is answered here; where rules are set and there is none, nothing."""
    return _asking.get() if settings.visible else None
