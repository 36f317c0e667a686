"""Everything that the store raises on purpose.

StoreError
├── StoreUnreachable   the address cannot be opened
├── StoreTooNew        a newer Afterglow has written this store
├── BadWindow          a period that cannot be read
├── NotFound           no such application, run, experiment, snapshot
└── SourceRefused      a file that is no journal, or one that has shrunk
"""


class StoreError(Exception):
    """The root: catch this to catch all of them."""


class StoreUnreachable(StoreError):
    pass


class StoreTooNew(StoreError):
    pass


class BadWindow(StoreError, ValueError):
    pass


class BadPage(StoreError, ValueError):
    """`Query.after` is not what an earlier page of the same query gave as its `next`."""


class TooSlow(StoreError, TimeoutError):
    pass


class NotFound(StoreError, LookupError):
    pass


class SourceRefused(StoreError):
    pass
