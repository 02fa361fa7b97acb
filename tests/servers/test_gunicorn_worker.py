"""What our worker of gunicorn's does otherwise: how it receives."""

import socket
import tracemalloc
from collections.abc import Iterator

import pytest

from songs_api.servers.gunicorn_connections import Receiver

HEAD = b"x" * 2_000

Ends = tuple[socket.socket, socket.socket]


@pytest.fixture
def ends() -> Iterator[Ends]:
    """The two ends of a connection."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def test_what_was_sent_is_received(ends: Ends) -> None:
    """Piece by piece as asked for, each by itself, and nothing at the end."""
    ours, theirs = ends
    receiver = Receiver(ours)
    theirs.sendall(b"one two")
    first = receiver.recv(3)
    theirs.sendall(b"y" * 100_000)
    theirs.close()
    rest = b"".join(iter(lambda: receiver.recv(1_000_000), b""))

    assert (first, rest) == (b"one", b" two" + b"y" * 100_000)


def test_two_sockets_share_no_bytes(ends: Ends) -> None:
    """Though both are received by way of one buffer."""
    receivers = [Receiver(end) for end in ends]
    ends[0].sendall(b"longer")
    ends[1].sendall(b"short")
    received = [receiver.recv(10) for receiver in receivers]

    assert received == [b"short", b"longer"]


def test_its_time_out_is_the_sockets(ends: Ends) -> None:
    """By it gunicorn bounds how long it drains a body."""
    receiver = Receiver(ends[0])
    receiver.settimeout(0.01)

    assert (receiver.gettimeout(), ends[0].gettimeout()) == (0.01, 0.01)
    with pytest.raises(TimeoutError):
        receiver.recv(1)


def test_no_more_is_reserved_than_came(ends: Ends) -> None:
    """What is reserved for more leaves holes between all that others reserve meanwhile."""
    receiver = Receiver(ends[0])
    for end in (ends[1], ends[1]):
        end.sendall(HEAD)
    receiver.recv(len(HEAD))  # the buffer of this thread is made
    tracemalloc.start()
    try:
        head = receiver.recv(8_192)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert head == HEAD
    assert most < 2 * len(HEAD)
