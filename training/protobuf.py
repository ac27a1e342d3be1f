"""Protocol buffers' wire format, as much of it as reading and writing an ONNX file takes.

A message is a list of fields, each a number, a wire type and a value: an int
for a varint, bytes for everything else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_SIZES = {FIXED64: 8, FIXED32: 4}

Field = tuple[int, int, int | bytes]


def fields(message: bytes) -> Iterator[Field]:
    """Yields the fields of a message in their order. Raises ValueError where it is cut short or of another kind."""
    at = 0
    while at < len(message):
        key, at = _read_varint(message, at)
        number, kind = key >> 3, key & 7
        if kind == VARINT:
            value, at = _read_varint(message, at)
            yield number, kind, value
            continue
        if kind == BYTES:
            size, at = _read_varint(message, at)
        elif kind in _SIZES:
            size = _SIZES[kind]
        else:
            raise ValueError(f"field {number} has wire type {kind}")
        if at + size > len(message):
            raise ValueError(f"field {number} is cut short")
        yield number, kind, message[at : at + size]
        at += size


def pack(content: Iterable[Field]) -> bytes:
    """Returns the message that holds these fields."""
    out = []
    for number, kind, value in content:
        out.append(_varint(number << 3 | kind))
        if isinstance(value, int):
            out.append(_varint(value))
            continue
        if kind == BYTES:
            out.append(_varint(len(value)))
        out.append(value)
    return b"".join(out)


def _read_varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(message):
            raise ValueError("a number is cut short")
        value |= (message[at] & 0x7F) << shift
        shift += 7
        at += 1
        if message[at - 1] < 0x80:
            return value, at


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
