"""A step that waits, in its Python thread, for that thread's next command to the JVM.

Such a command costs a thread that was idle more than half a millisecond, most of it to wake the JVM's thread up. Right
before another command, which has to wake it up anyway, it costs next to nothing; and if none comes, none was needed.

Touches py4j in one place: `send_command` of pyspark's gateway client, by which every command of every thread goes.
"""

import threading
from collections.abc import Callable
from typing import Any

Step = Callable[[], None]


class _OfThread(threading.local):
    waiting: Step | None = None
    depth: int = 0  # commands that this thread has begun


class NextCommand:
    """One a gateway client; for pinned threads only, where a Python thread has a JVM thread for itself.

    That JVM thread does nothing between two commands. So whatever it submits, or starts other threads with, comes
    after the step. Where Python is called by the JVM, which then goes on by itself, a step does not wait.
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        self._send_command = client.send_command
        self._thread = _OfThread()
        client.send_command = self.send_command

    @classmethod
    def of(cls, client: Any) -> "NextCommand | None":
        """That of `client`, put in place by the first call; None where py4j is not as we know it."""
        if not (hasattr(client, "send_command") and hasattr(client, "get_thread_connection")):
            return None
        known = getattr(client.send_command, "__self__", None)
        return known if isinstance(known, NextCommand) else cls(client)

    def run_before(self, step: Step) -> None:
        """Run `step`, which may raise nothing, before this thread's next command; in place of one that waits still."""
        if self._serves_the_jvm():
            step()
        else:
            self._thread.waiting = step

    def send_command(self, *args: Any, **kwargs: Any) -> Any:
        """py4j's own, after the step that waits."""
        thread = self._thread
        if thread.waiting is not None:
            step, thread.waiting = thread.waiting, None
            step()
        thread.depth += 1
        try:
            return self._send_command(*args, **kwargs)
        finally:
            thread.depth -= 1

    def forget(self) -> None:
        """In a forked child: what waits is the parent's to do."""
        self._thread = _OfThread()

    def _serves_the_jvm(self) -> bool:
        """Whether this thread was called by the JVM: within a command of its own, or on a connection of the JVM's."""
        connection = self._client.get_thread_connection()
        ours = connection is None or getattr(connection, "initiated_from_client", False)
        return self._thread.depth > 0 or not ours
