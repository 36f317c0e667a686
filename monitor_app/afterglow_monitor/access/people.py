"""Who a signed-in person is, and which role he has: from what the provider says of him, by the settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from afterglow_monitor.settings import ROLES, SignInSettings

VIEWER, EDITOR, ADMIN = ROLES
_EARLY_S = 300  # that the provider's clock may be ahead of ours


@dataclass(frozen=True)
class Person:
    """`among`: his name and his groups, by which settings mean him, in lower case. `logins`: as whom his jobs run."""

    name: str
    role: str
    among: frozenset[str]
    logins: frozenset[str]

    @property
    def writes(self) -> bool:
        return self.role in (EDITOR, ADMIN)


def person_of(claims: Mapping[str, Any], settings: SignInSettings, *, now: int) -> Person | None:
    """Of an ID token's claims; None where they are too old (`now`: ms), name nobody, or somebody without a role."""
    name, signed_in = claims.get(settings.name), claims.get("iat")
    if not isinstance(name, str) or not name or not isinstance(signed_in, int | float):
        return None
    if settings.name == "email" and claims.get("email_verified") is False:
        return None  # anyone may write any address into his account
    if not -_EARLY_S <= now / 1000 - signed_in < settings.hours * 3600:
        return None
    among = frozenset(each.casefold() for each in (name, *_texts(claims.get(settings.groups))))
    role = _role(among, settings)
    logins = frozenset({name, *_texts(claims.get(settings.login))})
    return None if role is None else Person(name, role, among, logins)


def _role(among: frozenset[str], settings: SignInSettings) -> str | None:
    """The highest that any list gives him."""
    lists = ((ADMIN, settings.admins), (EDITOR, settings.editors), (VIEWER, settings.viewers))
    for role, members in lists:
        if among & {each.casefold() for each in members}:
            return role
    return settings.default_role if settings.default_role in ROLES else None


def _texts(claim: Any) -> list[str]:
    said = claim if isinstance(claim, list | tuple) else [claim]
    return [each for each in said if isinstance(each, str) and each]
