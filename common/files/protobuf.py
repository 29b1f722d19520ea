"""Reading protobuf messages field by field, without any protobuf package."""

from collections.abc import Iterator

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5  # wire types


def fields(message: memoryview) -> Iterator[tuple[int, memoryview | int]]:
    """Field number and content of each field. IndexError: the message ends too early, or is none."""
    for number, _, content in typed_fields(message):
        yield number, content


def typed_fields(message: memoryview) -> Iterator[tuple[int, int, memoryview | int]]:
    """Field number, wire type and content of each field. IndexError: the message ends too early, or is none."""
    at = 0
    while at < len(message):
        key, at = read_varint(message, at)
        number, wire = key >> 3, key & 7
        if wire == VARINT:
            value, at = read_varint(message, at)
            yield number, wire, value
            continue
        if wire == BYTES:
            size, at = read_varint(message, at)
        elif wire in (FIXED64, FIXED32):
            size = 8 if wire == FIXED64 else 4
        else:
            raise IndexError("not a protobuf message")
        if number == 0 or at + size > len(message):
            raise IndexError("truncated")
        yield number, wire, message[at : at + size]
        at += size


def read_varint(message: memoryview, at: int) -> tuple[int, int]:
    """The unsigned number at a place, and the place after it."""
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not byte & 0x80:
            return value, at
        if shift > 63:
            raise IndexError("not a protobuf message")
