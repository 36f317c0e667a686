"""Everything that the store raises on purpose.

StoreError
├── StoreUnreachable   the address cannot be opened
├── StoreTooNew        a newer Afterglow has written this store
├── BadWindow          a period that cannot be read
├── BadFilter          a filter or an order that cannot be read, and where
├── BadScope           what no token may be for
├── NotFound           no such application, run, experiment, snapshot
├── SourceRefused      a file that is no journal
│   ├── SourceShrunk   … or that has lost bytes which were read before
│   └── SourceUnreadable   … or that the system does not let us read: not now
├── JournalRefused     a chunk of what turned out to be no journal
├── NotYours           a chunk of a journal that another cluster sends
├── BackupFailed       a backup that cannot be made, or put back
└── TooFarAhead        chunks come faster than rows are made of them
"""


class StoreError(Exception):
    """The root: catch this to catch all of them."""


class StoreUnreachable(StoreError):
    pass


class StoreTooNew(StoreError):
    pass


class BadWindow(StoreError, ValueError):
    pass


class BadFilter(StoreError, ValueError):
    """`why` it cannot be read, and the piece of `text` that is to blame: from character `start`, counted from 0, to
    before `end`. As text it shows the piece, underlined."""

    def __init__(self, why: str, text: str, start: int, end: int) -> None:
        super().__init__(why, text, start, end)
        self.why, self.text, self.start, self.end = why, text, start, end

    def __str__(self) -> str:
        first = max(self.start - _SHOWN // 2, 0)
        line = "".join(each if each.isprintable() else " " for each in self.text[first : first + _SHOWN])
        length = max(min(self.end, first + _SHOWN) - self.start, 1)
        before = "…" if first else ""
        after = "…" if len(self.text) > first + _SHOWN else ""
        underline = " " * (len(before) + self.start - first) + "^" * length
        return f"{self.why} (at character {self.start + 1})\n  {before}{line}{after}\n  {underline}"


_SHOWN = 100  # characters of the text around the piece


class BadPage(StoreError, ValueError):
    """`Query.after` is not what an earlier page of the same query gave as its `next`."""


class TooSlow(StoreError, TimeoutError):
    pass


class NotFound(StoreError, LookupError):
    pass


class SourceRefused(StoreError):
    pass


class SourceShrunk(SourceRefused):
    pass


class SourceUnreadable(SourceRefused):
    pass


class JournalRefused(StoreError):
    pass


class NotYours(StoreError):
    pass


class BadScope(StoreError, ValueError):
    pass


class TooFarAhead(StoreError):
    pass


class BackupFailed(StoreError):
    pass
