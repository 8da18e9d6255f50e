"""Messages over a socket: whole or not at all, and never blocking the parent."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labtech_cli.run import wire


@pytest.fixture
def ends() -> Iterator[tuple[wire.Channel, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield wire.Channel(ours), theirs


@pytest.mark.parametrize("message", [None, 0, "text", {"a": [1, 2]}, b"x" * 5_000_000], ids=lambda m: type(m).__name__)
def test_a_message_arrives_whole(ends: tuple[wire.Channel, socket.socket], message: object) -> None:
    channel, theirs = ends
    sender = threading.Thread(target=wire.send, args=(theirs, [message]))
    sender.start()
    found: list[object] = []
    while not found:
        found = channel.messages()
    sender.join()
    assert found == [[message]] and not channel.closed


def test_what_cannot_be_sent_yet_waits_without_blocking(ends: tuple[wire.Channel, socket.socket]) -> None:
    channel, theirs = ends
    messages = [["x" * 1_000_000, number] for number in range(5)]
    for message in messages:
        channel.post(message)
    assert channel.pending
    found = []
    inbox = wire.Inbox(theirs)
    reader = threading.Thread(target=lambda: found.extend(inbox.receive() for _ in messages))
    reader.start()
    while channel.pending:
        channel.flush()
    reader.join()
    assert found == messages


def test_the_end_of_the_other_side_is_noticed_after_what_it_said(ends: tuple[wire.Channel, socket.socket]) -> None:
    channel, theirs = ends
    wire.send(theirs, ["last words"])
    theirs.sendall(wire.encode(["cut off"])[:-3])
    theirs.close()
    said = channel.messages()
    while not channel.closed:
        said += channel.messages()
    assert said == [["last words"]]
    channel.post(["nobody hears"])
    channel.flush()
    assert not channel.pending


def test_receiving_from_an_end_that_is_gone_gives_none(ends: tuple[wire.Channel, socket.socket]) -> None:
    channel, theirs = ends
    channel.sock.setblocking(True)
    channel.sock.sendall(wire.encode("whole") + wire.encode("cut off")[:-1])
    channel.sock.close()
    inbox = wire.Inbox(theirs)
    assert inbox.receive() == "whole"
    assert inbox.receive() is None


@settings(deadline=None)
@given(messages=st.lists(st.lists(st.binary(max_size=300)), max_size=8), cuts=st.lists(st.integers(1, 700), max_size=9))
def test_messages_survive_being_cut_anywhere(messages: list[list[bytes]], cuts: list[int]) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        channel, found = wire.Channel(ours), []
        data = b"".join(wire.encode(message) for message in messages)
        for cut in [*cuts, len(data)]:
            theirs.sendall(data[:cut])
            data = data[cut:]
            found += channel.messages()
        assert found == messages
