"""A websocket as a client reads it (RFC 6455), on the standard library alone: 'run --server' installs nothing."""

import base64
import hashlib
import os
import socket
import ssl
import struct
import time
import urllib.parse
from collections.abc import Mapping

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
HEAD_LIMIT = 1 << 16  # bytes of the answer to the handshake
MESSAGE_LIMIT = 1 << 28  # bytes; a preview is far smaller
ACCEPT_SUFFIX = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # fixed by the RFC


class WebSocket:
    """An open connection.

    Args:
        url: http or https address with path and query.
        headers: further headers of the handshake, e.g. credentials.
        timeout: seconds to wait for the connection.

    Raises:
        OSError: nobody answers, or the answer is not a websocket (the text has the HTTP status).
    """

    def __init__(self, url: str, headers: Mapping[str, str], timeout: float):
        parts = urllib.parse.urlsplit(url)
        secure = parts.scheme == "https"
        port = parts.port or (443 if secure else 80)
        self._buffer = bytearray()
        self._parts: list[tuple[int, bytes]] = []
        self._socket = socket.create_connection((parts.hostname, port), timeout)
        self.connected = True
        try:
            if secure:
                self._socket = ssl.create_default_context().wrap_socket(self._socket, server_hostname=parts.hostname)
            self._shake_hands(parts, headers)
        except BaseException:
            self.close()
            raise

    def _shake_hands(self, parts: urllib.parse.SplitResult, headers: Mapping[str, str]) -> None:
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [f"GET {parts.path or '/'}?{parts.query} HTTP/1.1", f"Host: {parts.netloc.rpartition('@')[2]}"]
        lines += ["Upgrade: websocket", "Connection: Upgrade", f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self._socket.sendall("\r\n".join([*lines, "", ""]).encode())
        while b"\r\n\r\n" not in self._buffer and len(self._buffer) < HEAD_LIMIT:
            data = self._socket.recv(4096)
            if not data:
                break
            self._buffer += data
        head, _, rest = bytes(self._buffer).partition(b"\r\n\r\n")
        self._buffer = bytearray(rest)
        status, *fields = head.decode("latin-1").split("\r\n")
        answer = {name.strip().lower(): value.strip() for name, _, value in (field.partition(":") for field in fields)}
        wanted = base64.b64encode(hashlib.sha1(f"{key}{ACCEPT_SUFFIX}".encode()).digest()).decode()
        if " 101" not in status or answer.get("sec-websocket-accept") != wanted:
            raise OSError(f"no websocket: {status or 'no answer'}")

    def close(self) -> None:
        """Close the connection. Safe to call twice."""
        self._socket.close()
        self.connected = False

    def send(self, kind: int, payload: bytes) -> None:
        """Send one frame, masked as clients must."""
        mask = os.urandom(4)
        length = len(payload)
        head = bytes([0x80 | kind])
        if length < 126:
            head += bytes([0x80 | length])
        elif length < 1 << 16:
            head += bytes([0x80 | 126]) + struct.pack(">H", length)
        else:
            head += bytes([0x80 | 127]) + struct.pack(">Q", length)
        masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
        self._socket.sendall(head + mask + masked)

    def receive(self, timeout: float) -> tuple[int, bytes] | None:
        """The next whole message as (TEXT or BINARY, contents); None when none came within ``timeout`` seconds.

        Raises:
            ConnectionError: the connection is closed or broken, or the message is longer than any can be.
        """
        deadline = time.monotonic() + timeout
        while True:
            frame = self._frame()
            if frame is None:
                remaining = deadline - time.monotonic()
                if remaining <= 0:
                    return None
                self._fill(remaining)
                continue
            last, kind, payload = frame
            if kind == CLOSE:
                self.close()
                raise ConnectionError("the websocket was closed")
            if kind == PING:
                self.send(PONG, payload)
            elif kind < CLOSE:
                self._parts.append((kind, payload))
                self._check_length(sum(len(part) for _, part in self._parts))
                if last:
                    parts, self._parts = self._parts, []
                    return parts[0][0], b"".join(part for _, part in parts)

    def _check_length(self, length: int) -> None:
        if length > MESSAGE_LIMIT:
            self.close()
            raise ConnectionError("the server sent a message without end")

    def _fill(self, timeout: float) -> None:
        self._socket.settimeout(timeout)
        try:
            data = self._socket.recv(1 << 16)
        except TimeoutError:
            return
        except OSError as error:
            self.close()
            raise ConnectionError(f"the websocket broke: {error}") from error
        if not data:
            self.close()
            raise ConnectionError("the websocket was closed")
        self._buffer += data

    def _frame(self) -> tuple[bool, int, bytes] | None:
        """The first frame of what has arrived, taken from it; None if it is not complete."""
        data = self._buffer
        if len(data) < 2:
            return None
        length, begin = data[1] & 0x7F, 2
        if length >= 126:
            begin = 4 if length == 126 else 10
            if len(data) < begin:
                return None
            length = int.from_bytes(data[2:begin], "big")
        end = begin + length
        self._check_length(length)
        if len(data) < end:
            return None
        frame = bool(data[0] & 0x80), data[0] & 0x0F, bytes(data[begin:end])
        del data[:end]
        return frame
