"""Sending a message to an address of Apprise: a webhook, mail, Slack, Teams and many others."""

from __future__ import annotations

import logging

from afterglow_monitor.errors import CannotTell
from afterglow_monitor.secrets import hushed

_MOST = 300  # characters of what Apprise says of a failure


def tell(address: str, title: str, text: str) -> None:
    """Send it, as plain text. Raises CannotTell, which does not tell the address."""
    import apprise  # noqa: PLC0415 - a second, for who has no alerts

    message = apprise.Apprise(asset=apprise.AppriseAsset(app_id="Afterglow", app_desc="Afterglow", async_mode=False))
    if not message.add(address):
        raise CannotTell("this is no address that Apprise knows: see https://github.com/caronc/apprise/wiki")
    with apprise.LogCapture(level=logging.WARNING, fmt="%(message)s") as said:  # type: ignore[no-untyped-call]
        sent = message.notify(title=title, body=text, body_format=apprise.NotifyFormat.TEXT)
        why = said.getvalue()
    if not sent:
        lines = why.replace(address, "***").strip().splitlines()
        raise CannotTell(hushed(lines[-1])[:_MOST] if lines else "it was not taken")
