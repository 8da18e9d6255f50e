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


class Inbox:
    """The worker's end for reading: waits for the next message, in as few system calls as there can be."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._data = bytearray()
        self._found: deque[Any] = deque()

    @property
    def pending(self) -> bool:
        """Whether a message has arrived that was not received yet."""
        return bool(self._found)

    def receive(self) -> Any:
        """The next message; None when the other end is gone."""
        while not self._found:
            try:
                part = self._sock.recv(_CHUNK)
            except ConnectionError:
                part = b""
            if not part:
                return None
            self._data += part
            self._found.extend(_cut(self._data))
        return self._found.popleft()


def _cut(data: bytearray) -> list[Any]:
    """The whole messages at the beginning of `data`, which are taken from it."""
    found = []
    start = 0
    while len(data) - start >= _HEAD.size:
        (size,) = _HEAD.unpack_from(data, start)
        if len(data) - start - _HEAD.size < size:
            break
        start += _HEAD.size
        found.append(pickle.loads(memoryview(data)[start : start + size]))
        start += size
    if start:
        del data[:start]
    return found


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
        return _cut(self._in)
