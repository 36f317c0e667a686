"""A real OIDC provider on this machine, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import BrowserContext, Page, expect

from tests.support.tracking import free_port

STARTUP_SECONDS = 60.0


@contextmanager
def running_provider(folder: Path, users: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """It knows these `users` with their claims; gives the address of its configuration."""
    port = free_port()
    said = [word for sub, claims in users.items() for word in ("--user-claims", json.dumps({"sub": sub, **claims}))]
    command = [sys.executable, "-m", "oidc_provider_mock", "--port", str(port), *said]
    with (folder / "provider.log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as server:
        try:
            address = f"http://127.0.0.1:{port}/.well-known/openid-configuration"
            _await(address, server)
            yield address
        finally:
            server.kill()
            server.wait(10)


def _await(address: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + STARTUP_SECONDS
    while True:
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except OSError:
            if server.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def sign_in(context: BrowserContext, address: str, who: str, *, shows: str = "Sign out") -> Page:
    """A page of Monitor at which this person has signed in, once it `shows` that."""
    # The provider's form takes its looks from elsewhere; ours takes nothing from there.
    context.route("https://cdn.jsdelivr.net/**", lambda route: route.fulfill(body=""))
    page = context.new_page()
    page.set_default_timeout(60_000)
    page.goto(address)
    page.get_by_role("button", name="Sign in").click()
    page.locator("input[name='sub']").fill(who)
    page.get_by_role("button", name="Authorize", exact=True).click()
    expect(page.get_by_text(shows)).to_be_visible(timeout=60_000)
    return page
