"""Tells whether the writer of a journal lives: it holds a lock on `<instance>.lock` beside the journal, which the
operating system lets go of when it dies, however it dies. The Java listener takes the same kind of lock."""

import contextlib
import os
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: nobody is ever taken for dead there
    fcntl = None  # type: ignore[assignment]

# Closing any descriptor of a file gives up this process's locks on it: those that it holds are not to be opened again.
_held: set[Path] = set()


class JournalLock:
    """A lock that is held."""

    def __init__(self, file: Path, descriptor: int) -> None:
        self._file, self._descriptor = file, descriptor
        _held.add(file)

    @classmethod
    def take(cls, journal: Path) -> "JournalLock | None":
        """The lock of a new journal; None where the file system has none."""
        return cls._take(journal, os.O_CREAT)

    @classmethod
    def of_dead(cls, journal: Path) -> "JournalLock | None":
        """The lock of a journal whose writer is dead and which nobody else is sending; None of any other."""
        lock = cls._take(journal, 0)
        if lock is not None and not journal.exists():
            lock.delete()  # it was sent, and is gone
            return None
        return lock

    @classmethod
    def _take(cls, journal: Path, flags: int) -> "JournalLock | None":
        file = lock_file(journal)
        if fcntl is None or file in _held:
            return None
        try:
            descriptor = os.open(file, os.O_WRONLY | flags, 0o600)
        except OSError:
            return None
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            return None
        return cls(file, descriptor)

    def release(self) -> None:
        """Let go of it: whoever takes it next takes the writer for dead."""
        os.close(self._descriptor)
        _held.discard(self._file)

    def delete(self) -> None:
        """The journal is gone, and its lock with it."""
        with contextlib.suppress(OSError):
            self._file.unlink(missing_ok=True)
        self.release()


def lock_file(journal: Path) -> Path:
    return Path(os.path.realpath(journal)).with_suffix(".lock")
