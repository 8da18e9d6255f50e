"""Messages between processes: length, then pickle, over a stream socket. Both ends are ours."""

from __future__ import annotations

import pickle
import socket
import struct
from collections import deque
from typing import Any

_HEAD = struct.Struct("<Q")
_CHUNK = 1 << 18


def encode(message: Any) -> bytes:
    """A message as it travels: the length of its pickle, then the pickle."""
    data = pickle.dumps(message, protocol=5)
    return _HEAD.pack(len(data)) + data


def send(sock: socket.socket, message: Any) -> None:
    """Send and wait until the other end's buffer has it all."""
    sock.sendall(encode(message))


def receive(sock: socket.socket) -> Any:
    """The next message; None when the other end is gone."""
    head = _exactly(sock, _HEAD.size)
    data = _exactly(sock, _HEAD.unpack(head)[0]) if head else b""
    return pickle.loads(data) if data else None


def _exactly(sock: socket.socket, size: int) -> bytes:
    parts = bytearray()
    while len(parts) < size:
        try:
            part = sock.recv(min(size - len(parts), _CHUNK))
        except ConnectionError:
            return b""
        if not part:
            return b""
        parts += part
    return bytes(parts)


class Channel:
    """The parent's end: never blocks. What cannot be sent yet waits; what arrives is cut into messages."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        sock.setblocking(False)
        self._in = bytearray()
        self._out: deque[memoryview] = deque()
        self.closed = False

    @property
    def pending(self) -> bool:
        """Whether something waits to be sent."""
        return bool(self._out)

    def post(self, message: Any) -> None:
        self._out.append(memoryview(encode(message)))
        self.flush()

    def flush(self) -> None:
        while self._out:
            try:
                sent = self.sock.send(self._out[0])
            except BlockingIOError:
                return
            except OSError:
                self._out.clear()  # the worker is gone; its death is noticed where it is waited for
                return
            if sent == len(self._out[0]):
                self._out.popleft()
            else:
                self._out[0] = self._out[0][sent:]

    def messages(self) -> list[Any]:
        """All whole messages that have arrived; `closed` tells whether there can be more."""
        while True:
            try:
                part = self.sock.recv(_CHUNK)
            except BlockingIOError:
                break
            except OSError:
                part = b""
            if not part:
                self.closed = True
                break
            self._in += part
            if len(part) < _CHUNK:
                break
        found = []
        start = 0
        while len(self._in) - start >= _HEAD.size:
            (size,) = _HEAD.unpack_from(self._in, start)
            if len(self._in) - start - _HEAD.size < size:
                break
            start += _HEAD.size
            found.append(pickle.loads(memoryview(self._in)[start : start + size]))
            start += size
        if start:
            del self._in[:start]
        return found
