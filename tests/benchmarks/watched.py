"""A page in Chromium that notes by itself when what it paints can first be seen.

Lists are painted on a canvas, so each text that is written on one is noted, with the frame after it; elements are
looked for whenever the document changes. The clock is the page's own and begins with the event that the page got from
the person, or with the navigation: what Playwright takes to act and to ask is not in it.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager

from playwright.sync_api import Page, Playwright, TimeoutError, ViewportSize

from tests.support.browser import FLAGS, Complaints
from tests.support.parts import require

TIMEOUT_MS = 120_000
SCREEN: ViewportSize = {"width": 1920, "height": 1080}
NOTES = """
(() => {
  const seen = new Map();  // texts and selectors, and when the frame with them was over: ms, null until then
  let began = 0, asked = [], fresh = [];
  const note = (what) => {
    if (seen.has(what)) return;
    seen.set(what, null);
    if (!fresh.length) requestAnimationFrame(() => {
      const now = performance.now();
      for (const each of fresh) seen.set(each, now);
      fresh = [];
    });
    fresh.push(what);
  };
  const write = CanvasRenderingContext2D.prototype.fillText;
  CanvasRenderingContext2D.prototype.fillText = function (text, ...at) {
    note(text);
    return write.call(this, text, ...at);
  };
  new MutationObserver(() => {
    for (const each of asked) if (!seen.has(each) && document.querySelector(each)) note(each);
  }).observe(document, { childList: true, subtree: true, attributes: true });
  for (const kind of ["pointerup", "keydown", "popstate"]) addEventListener(kind, (event) => {
    if (kind === "keydown" && event.key !== "Enter") return;
    began = event.timeStamp;
    seen.clear();
    fresh = [];
  }, true);
  window.watched = {
    all: () => [...seen.keys()],
    ask: (selectors) => { asked = selectors; },
    // Of all that is awaited, when the last was seen; of what is a list by itself, the first of that list.
    seen: (awaited) => {
      const moments = awaited.map((any) => [any].flat().map((each) => seen.get(each)).filter((each) => each));
      return moments.every((each) => each.length)
        ? Math.max(...moments.map((each) => Math.min(...each))) - began : null;
    },
  };
})();
"""
Awaited = Sequence[str | Sequence[str]]  # texts on canvases, and selectors; of a sequence in it any one is enough


class Watched:
    """`errors`: what went wrong in it. `selectors` are looked for beside the texts on canvases."""

    def __init__(self, page: Page, selectors: Sequence[str] = ()) -> None:
        self.page = page
        self._complaints = Complaints()
        self._complaints.watch(page)
        page.set_default_timeout(TIMEOUT_MS)
        page.add_init_script(f"{NOTES}window.watched.ask({[*selectors]!r});")

    @property
    def errors(self) -> list[str]:
        return self._complaints.lines

    def __enter__(self) -> Watched:
        return self

    def __exit__(self, *_: object) -> None:
        self.page.close()

    def opened(self, address: str, awaited: Awaited) -> float:
        """As `open`, of a page that is closed then. Raises AssertionError when anything went wrong in it."""
        with self:
            took = self.open(address, awaited)
            assert not self.errors, self.errors
            return took

    def open(self, address: str, awaited: Awaited) -> float:
        """How many ms after it has begun to go to `address` all that is awaited could be seen."""
        self.page.goto(address, wait_until="commit")
        return self._seen(awaited)

    def after(self, act: Callable[[], object], awaited: Awaited) -> float:
        """The same after the last click or Enter of `act`, or after it has gone back."""
        act()
        return self._seen(awaited)

    def _seen(self, awaited: Awaited) -> float:
        try:
            found = self.page.wait_for_function("(awaited) => window.watched.seen(awaited)", arg=[*awaited], polling=50)
        except TimeoutError as exc:
            painted = self.page.evaluate("() => window.watched.all()")
            raise AssertionError(f"not all of {awaited} came to be seen on {self.page.url}, but {painted}") from exc
        return float(found.json_value())


@contextmanager
def profile(playwright: Playwright) -> Iterator[Callable[..., Watched]]:
    """Opens pages in a browser whose profile begins empty: the first load is a cold one, as of a new visitor."""
    flags = [*FLAGS, "--no-sandbox"] if os.geteuid() == 0 else FLAGS
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        closing(
            playwright.chromium.launch_persistent_context(
                folder, executable_path=require("chromium"), args=flags, viewport=SCREEN, locale="en-GB"
            )
        ) as context,
    ):
        yield lambda selectors=(): Watched(context.new_page(), selectors)
