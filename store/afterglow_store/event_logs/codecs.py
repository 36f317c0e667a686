"""The plain bytes of a file, whichever of Spark's codecs wrote it.

Spark frames three of them in its libraries' own ways, which no reader of `.lz4` or `.snappy` files knows: LZ4Block of
lz4-java, the stream of snappy-java, the chunks of compress-lzf. zstd is the usual format, in many frames.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from pathlib import PurePath
from typing import Any, BinaryIO

from afterglow_store.errors import SourceRefused

PIECE_BYTES = 512 << 10  # what is larger leaves the processor's cache before it is parsed
ZSTD_BLOCKS = 8  # that are unpacked at once: of at most 128 KiB each, whatever they are packed into
MAX_BLOCK_BYTES = 64 << 20  # far above what Spark writes (32 KiB to 1 MiB): a longer one is a damaged length


class BrokenLog(SourceRefused):
    """The file is not what its codec writes. Says at which byte."""


class _Input:
    """A file that is read in exact parts, so that an incomplete one at its end is told from a damaged one."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.position = file.tell()

    def take(self, size: int) -> bytes | None:
        """`size` bytes, or None where the file ends before."""
        data = self.file.read(size)
        self.position += len(data)
        return data if len(data) == size else None

    def block(self, size: int) -> bytes | None:
        if not 0 <= size <= MAX_BLOCK_BYTES:
            raise BrokenLog(f"a block of {size:,} bytes at byte {self.position:,}")
        return self.take(size)


# Plain bytes, and where in the file reading may begin anew after them, if it may.
Piece = tuple[bytes, int | None]
Codec = Callable[[BinaryIO], Iterator[Piece]]  # in their order, up to the last complete one


def codec_of(name: str) -> Codec:
    """By a file's name, as Spark gives it: `.inprogress` and `.compact` come after the codec's ending, if there is one.
    A codec raises BrokenLog where the file is damaged."""
    for ending in reversed(PurePath(name).suffixes):
        if ending not in (".inprogress", ".compact"):
            return _CODECS.get(ending, plain)
    return plain


def plain(file: BinaryIO) -> Iterator[Piece]:
    while piece := file.read(PIECE_BYTES):
        yield piece, None  # anywhere: see LogFile


def zstd(file: BinaryIO) -> Iterator[Piece]:
    """One frame after the other, some blocks at a time. Of a frame without its end, what its complete blocks hold.

    A reader that is given packed bytes unpacks all of them: of a line of the same letter 30,000 times as many. So the
    blocks are found here (RFC 8878, section 3.1.1), and the library only unpacks them.
    """
    import zstandard  # noqa: PLC0415 - with pyarrow 50 MB, which most processes need never

    data, decompressor = _Input(file), zstandard.ZstdDecompressor()
    while (magic := data.take(4)) is not None:
        if magic == b"\x28\xb5\x2f\xfd":
            yield from _zstd_frame(data, decompressor.decompressobj(), magic)
        elif magic[0] & 0xF0 == 0x50 and magic[1:] == b"\x2a\x4d\x18":  # to be skipped
            data.block(int.from_bytes(data.take(4) or b"", "little"))
        else:
            raise BrokenLog(f"no zstd frame at byte {data.position - 4:,}")


def _zstd_frame(data: _Input, frame: Any, magic: bytes) -> Iterator[Piece]:
    import zstandard  # noqa: PLC0415

    head = data.take(1) or b"\0"
    packed, over = [magic, head, data.take(_zstd_head_size(head[0])) or b""], False
    while not over:
        while not over and len(packed) < ZSTD_BLOCKS and (block := _zstd_block(data)) is not None:
            over = bool(block[0] & 1)
            packed.append(block)
        if over and head[0] & 4:
            packed.append(data.take(4) or b"")  # a checksum
        if not packed:
            return
        try:
            yield frame.decompress(b"".join(packed)), data.position if over else None
        except zstandard.ZstdError as exc:
            raise BrokenLog(f"{exc}, before byte {data.position:,}") from exc
        packed.clear()


def _zstd_head_size(said: int) -> int:
    """Of what comes after this byte: the window's size, a dictionary's id, and the size of the content."""
    single, dictionary, content = said >> 5 & 1, said & 3, said >> 6
    return 1 - single + (0, 1, 2, 4)[dictionary] + (single, 2, 4, 8)[content]


def _zstd_block(data: _Input) -> bytes | None:
    """With its head; None where it is not complete."""
    if (head := data.take(3)) is None:
        return None
    said = int.from_bytes(head, "little")
    of_one_byte = said >> 1 & 3 == 1
    block = data.block(1 if of_one_byte else said >> 3)
    return None if block is None else head + block


def lz4(file: BinaryIO) -> Iterator[Piece]:
    data, codec = _Input(file), _codec("lz4_raw")
    while (head := data.take(21)) is not None:
        magic, token, packed, size, _checksum = struct.unpack("<8sBiiI", head)
        if magic != b"LZ4Block":
            raise BrokenLog(f"no LZ4Block at byte {data.position - 21:,}")
        if (block := data.block(packed)) is None:
            return
        if size:  # an empty block ends a stream; another one may follow
            yield block if token & 0xF0 == 0x10 else _unpacked(codec, block, size, data), data.position


def snappy(file: BinaryIO) -> Iterator[Piece]:
    data, codec = _Input(file), _codec("snappy")
    while (head := data.take(4)) is not None:
        if head == b"\x82SNA":  # the header of a stream: magic, version, compatible version
            if data.take(12) is None:
                return
            continue
        if (block := data.block(int.from_bytes(head, "big"))) is None:
            return
        yield _unpacked(codec, block, _snappy_size(block), data), data.position


def lzf(file: BinaryIO) -> Iterator[Piece]:
    data = _Input(file)
    while (head := data.take(5)) is not None:
        magic, kind, size = struct.unpack(">2sBH", head)
        if magic != b"ZV" or kind > 1:
            raise BrokenLog(f"no LZF chunk at byte {data.position - 5:,}")
        if kind and data.take(2) is None:
            return
        if (block := data.block(size)) is None:
            return
        yield _lzf_unpacked(block, data) if kind else block, data.position


def _codec(name: str) -> Any:
    import pyarrow  # noqa: PLC0415

    return pyarrow.Codec(name)


def _unpacked(codec: Any, block: bytes, size: int, data: _Input) -> bytes:
    if not 0 <= size <= MAX_BLOCK_BYTES:
        raise BrokenLog(f"a block of {size:,} plain bytes before byte {data.position:,}")
    try:
        return bytes(codec.decompress(block, size, asbytes=True))
    except OSError as exc:  # so pyarrow calls damaged data
        raise BrokenLog(f"{exc} before byte {data.position:,}") from exc


def _snappy_size(block: bytes) -> int:
    """The plain size that a raw snappy block begins with, seven bits a byte."""
    size = 0
    for index, byte in enumerate(block[:5]):
        size |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return size
    raise BrokenLog("a snappy block without its size")


def _lzf_unpacked(block: bytes, data: _Input) -> bytes:
    try:
        return _lzf_plain(block)
    except IndexError as exc:
        raise BrokenLog(f"a damaged LZF chunk before byte {data.position:,}") from exc


def _lzf_plain(block: bytes) -> bytes:
    """Literal runs, and references back into what was written so far. IndexError where the block is none of LZF's."""
    out, at = bytearray(), 0
    while at < len(block):
        control = block[at]
        at += 1
        if control < 32:
            out += block[at : at + control + 1]
            at += control + 1
            continue
        length = control >> 5
        if length == 7:
            length += block[at]
            at += 1
        start = len(out) - ((control & 0x1F) << 8) - block[at] - 1
        at += 1
        _repeat(out, start, length + 2)
    return bytes(out)


def _repeat(out: bytearray, start: int, length: int) -> None:
    """Append `length` bytes from `start` on, the ones just appended among them."""
    if start < 0:
        raise IndexError(start)
    period = len(out) - start
    if length <= period:
        out += out[start : start + length]
        return
    unit = bytes(out[start:])
    out += (unit * (length // period + 1))[:length]


_CODECS: dict[str, Codec] = {".zstd": zstd, ".lz4": lz4, ".snappy": snappy, ".lzf": lzf}
