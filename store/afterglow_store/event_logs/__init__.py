"""Spark's own event logs: where they lie, of which files each is made, and the plain bytes in them.

A log that its driver still writes ends in the middle of a line, or of a compressed block: what is complete so far is
read, and the rest when it is there.
"""

from afterglow_store.event_logs.codecs import BrokenLog
from afterglow_store.event_logs.finding import EventLog, exists, find, plain_name
from afterglow_store.event_logs.lots import lots
from afterglow_store.event_logs.places import Place, place
from afterglow_store.event_logs.reading import LogFile

__all__ = ["BrokenLog", "EventLog", "LogFile", "Place", "exists", "find", "lots", "place", "plain_name"]
