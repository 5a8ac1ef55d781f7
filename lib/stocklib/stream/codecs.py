"""Decompression of record batches: bytes in, bytes out, never more of them than a batch can hold.

Kafka knows five forms (https://kafka.apache.org/documentation/#recordbatch): none, gzip, snappy, lz4, zstd. A producer
chooses, so that all of them must be readable here. ``ValueError`` says why bytes are not what they claim to be.
"""

import struct
import zlib
from collections.abc import Callable
from typing import Any

import lz4.frame
import snappy
import zstandard

# A record batch has a few megabytes; a larger one is a mistake or an attack.
MAX_BYTES = 128 * 2**20
# Xerial's framing of snappy, which Kafka's Java clients write: a header, then blocks with their sizes before them.
_XERIAL, _XERIAL_HEADER = b"\x82SNAPPY\0", 16


def decompress(codec: int, data: bytes, *, limit: int = MAX_BYTES) -> bytes:
    """Return the records of a record batch whose attributes name this codec (0 to 4).

    >>> decompress(0, b"as it is")
    b'as it is'
    >>> decompress(5, b"")
    Traceback (most recent call last):
        ...
    ValueError: compression 5 is unknown
    """
    if codec not in _READERS:
        raise ValueError(f"compression {codec} is unknown")
    name, read = _READERS[codec]
    try:
        return read(data, limit)
    except OverflowError:
        raise ValueError(f"{name} that grows to more than {limit // 2**20} MiB") from None
    except Exception as error:
        raise ValueError(f"not {name}: {error}".rstrip(": ")) from error


def _plain(data: bytes, limit: int) -> bytes:
    return data


def _gzip(data: bytes, limit: int) -> bytes:
    return _members(lambda: zlib.decompressobj(wbits=31), data, limit)


def _lz4(data: bytes, limit: int) -> bytes:
    return _members(lz4.frame.LZ4FrameDecompressor, data, limit)


def _members(make_reader: Callable[[], Any], data: bytes, limit: int) -> bytes:
    """Decompress gzip or lz4, which may have several members."""
    found: list[bytes] = []
    size = 0
    while data:
        reader = make_reader()
        found.append(reader.decompress(data, limit + 1 - size))
        size += len(found[-1])
        _check_size(size, limit)
        if not reader.eof:
            raise EOFError("it ends too early")
        data = reader.unused_data or b""
    # of one member: without a copy
    return b"".join(found)


def _zstd(data: bytes, limit: int) -> bytes:
    reader = zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True)
    found: bytes = reader.read(limit + 1)
    _check_size(len(found), limit)
    return found


def _snappy(data: bytes, limit: int) -> bytes:
    if not data.startswith(_XERIAL):
        return _snappy_block(data, limit)
    found, at = bytearray(), _XERIAL_HEADER
    while at < len(data):
        (length,) = struct.unpack_from(">i", data, at)
        if not 0 <= length <= len(data) - at - 4:
            raise EOFError(f"a block of {length} bytes at {at}")
        found += _snappy_block(data[at + 4 : at + 4 + length], limit - len(found))
        at += 4 + length
    return bytes(found)


def _snappy_block(data: bytes, limit: int) -> bytes:
    # the size comes first, seven bits a byte; the library allocates it, so check it first
    size = 0
    for n, byte in enumerate(data[:5]):
        size |= (byte & 0x7F) << (7 * n)
        if byte < 0x80:
            _check_size(size, limit)
            return bytes(snappy.uncompress(data))
    raise EOFError("no size")


def _check_size(size: int, limit: int) -> None:
    if size > limit:
        raise OverflowError(f"{size} bytes")


_READERS = {0: ("plain", _plain), 1: ("gzip", _gzip), 2: ("snappy", _snappy), 3: ("lz4", _lz4), 4: ("zstd", _zstd)}
