"""Decompression of batches: bytes in, bytes out, never more of them than a batch can hold.

Kafka knows five forms (https://kafka.apache.org/documentation/#recordbatch): none, gzip, snappy, lz4, zstd. A producer
chooses, so that all of them must be readable here. ``ValueError`` says why bytes are not what they claim to be.
"""

import struct
import zlib

# A batch of messages has a few megabytes; a larger one is a mistake or an attack.
MAX_BYTES = 128 * 2**20
# Xerial's framing of snappy, which Kafka's Java clients write: a header, then blocks with their sizes before them.
_XERIAL, _XERIAL_HEADER = b"\x82SNAPPY\0", 16


def decompress(codec: int, data: bytes, *, limit: int = MAX_BYTES) -> bytes:
    """Return the records of a batch whose attributes name this codec (0 to 4).

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
        found = read(data, limit)
    except Exception as error:
        raise ValueError(f"not {name}: {error}".rstrip(": ")) from error
    if found is None:
        raise ValueError(f"{name} that grows to more than {limit // 2**20} MiB")
    return found


def _plain(data: bytes, limit: int) -> bytes | None:
    return data


def _gzip(data: bytes, limit: int) -> bytes | None:
    found = b""
    while data:
        reader = zlib.decompressobj(wbits=31)
        found += reader.decompress(data, limit + 1 - len(found))
        if len(found) > limit:
            return None
        if not reader.eof:
            raise EOFError("it ends too early")
        # a file of gzip may have several members
        data = reader.unused_data
    return found


def _snappy(data: bytes, limit: int) -> bytes | None:
    if not data.startswith(_XERIAL):
        return _snappy_block(data, limit)
    blocks, at, size = [], _XERIAL_HEADER, 0
    while at < len(data):
        (length,) = struct.unpack_from(">i", data, at)
        if not 0 <= length <= len(data) - at - 4:
            raise EOFError(f"a block of {length} bytes at {at}")
        block = _snappy_block(data[at + 4 : at + 4 + length], limit - size)
        if block is None:
            return None
        blocks.append(block)
        size += len(block)
        at += 4 + length
    return b"".join(blocks)


def _snappy_block(data: bytes, limit: int) -> bytes | None:
    import snappy

    # the size comes first, seven bits a byte; the library allocates it, so check it first
    size = sum((byte & 0x7F) << (7 * n) for n, byte in enumerate(data[: _varint_size(data)]))
    return None if size > limit else bytes(snappy.uncompress(data))


def _varint_size(data: bytes) -> int:
    for n, byte in enumerate(data[:5], start=1):
        if byte < 0x80:
            return n
    raise EOFError("no size")


def _lz4(data: bytes, limit: int) -> bytes | None:
    import lz4.frame

    found: list[bytes] = []
    size = 0
    while data:
        reader = lz4.frame.LZ4FrameDecompressor()
        part = reader.decompress(data, limit + 1 - size)
        size += len(part)
        if size > limit:
            return None
        if not reader.eof:
            raise EOFError("it ends too early")
        found.append(part)
        data = reader.unused_data or b""
    return b"".join(found)


def _zstd(data: bytes, limit: int) -> bytes | None:
    import zstandard

    reader = zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True)
    found = reader.read(limit + 1)
    return None if len(found) > limit else found


_READERS = {0: ("plain", _plain), 1: ("gzip", _gzip), 2: ("snappy", _snappy), 3: ("lz4", _lz4), 4: ("zstd", _zstd)}
