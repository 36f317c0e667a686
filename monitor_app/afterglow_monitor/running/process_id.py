"""Which process holds a lease, named so that others on the same machine can tell that it is gone; and which folder two
processes mean by one path."""

from __future__ import annotations

import os
import re
import socket
from functools import cache
from pathlib import Path

_NETWORK = re.compile(r"nfs4?|cifs|smb3?|ceph|lustre|glusterfs|9p|beegfs|gpfs|afs|fuse\..*")


def host() -> str:
    return socket.gethostname()


@cache
def this_process() -> str:
    """`HOST/PROCESS/START`. Ids of processes are those of a boot and a namespace: both are in it."""
    return f"{host()}/{_space()}/{os.getpid()}/{_started(os.getpid())}"


def is_gone(holder: str) -> bool:
    """Whether it is known for certain that this process is no more: only of one that lived where we do."""
    _, space, pid, started = (*holder.rsplit("/", 3), "", "", "")[:4]
    return bool(space) and space == _space() and pid.isdecimal() and _started(int(pid)) != started


def folder_id(folder: str) -> str:
    """A name of the folder that differs between two folders of one path on two machines, and is the same on all
    machines that share a network's. What is no folder here, as an object store, is named by its address."""
    try:
        found = os.stat(folder)
        source, kind, inside = _mount(Path(folder).resolve())
    except OSError:
        return f"{host()}:{folder}" if "://" not in folder else folder
    if _NETWORK.fullmatch(kind):
        return f"{source}:{inside}"
    return f"{_boot() or host()}:{found.st_dev}:{found.st_ino}"


def _mount(path: Path) -> tuple[str, str, str]:
    """What the file system of a path is mounted from, its kind, and the path inside of it."""
    best, found = "", ("", "", str(path))
    for line in _lines("/proc/self/mountinfo"):
        before, _, after = line.partition(" - ")
        root, point = (part.encode().decode("unicode_escape") for part in before.split()[3:5])
        kind, source = after.split()[:2]
        if len(point) >= len(best) and path.is_relative_to(point):
            best, found = point, (source, kind, str(Path(root) / path.relative_to(point)))
    return found


def _lines(file: str) -> list[str]:
    try:
        return Path(file).read_text(encoding="utf-8").splitlines()
    except OSError:  # not on Linux
        return []


@cache
def _boot() -> str:
    return "".join(_lines("/proc/sys/kernel/random/boot_id"))


@cache
def _space() -> str:
    """Of process ids; '' where that is not known."""
    try:
        return f"{_boot()}:{os.readlink('/proc/self/ns/pid')}" if _boot() else ""
    except OSError:
        return ""


def _started(pid: int) -> str:
    """When a process started, as the kernel counts; '' of one that is no more, or dead and not yet waited for."""
    stat = "".join(_lines(f"/proc/{pid}/stat")).rpartition(")")[2].split()
    return stat[19] if len(stat) > 19 and stat[0] not in "ZX" else ""
