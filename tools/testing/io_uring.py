#!/usr/bin/python3 -IS
# SPDX-License-Identifier: GPL-2.0
"""io_uring.py CLIENT SERVER CASE: sockets of these families (numbers) through io_uring, over 127.0.0.1.

The ring is driven by its bare system calls, for a socket family that no library knows. Exits with 0 if
the case holds, with 4 if this kernel has no io_uring; says otherwise what was different.

Without site, and with _socket instead of the module around it, Python starts in half the time: that is
most of what a case takes where the processor is emulated.
"""

import ctypes
import errno
import mmap
import os
import _socket as socket
import struct
import sys

libc = ctypes.CDLL(None, use_errno=True)
SETUP, ENTER = 425, 426
GETEVENTS = 1
OFF_SQES = 0x10000000
SENDMSG, RECVMSG, POLL_ADD, ACCEPT, CANCEL, CONNECT = 9, 10, 6, 13, 14, 16
SEND, RECV, SHUTDOWN = 26, 27, 34
POLLIN, POLLOUT, POLLRDHUP = 1, 4, 0x2000


def check(ok, what):
    if not ok:
        raise OSError(ctypes.get_errno(), what)


class Ring:
    """A ring of 8 entries. A completion is told by its user_data."""

    def __init__(self):
        params = bytearray(120)
        c = (ctypes.c_char * 120).from_buffer(params)
        self.fd = libc.syscall(SETUP, 8, c)
        if self.fd < 0 and ctypes.get_errno() in (errno.ENOSYS, errno.EPERM):
            sys.exit(4)
        check(self.fd >= 0, "io_uring_setup")
        sq, cq = struct.unpack_from("<10I", params, 40), struct.unpack_from("<10I", params, 80)
        entries = struct.unpack_from("<2I", params, 0)
        size = max(sq[6] + entries[0] * 4, cq[5] + entries[1] * 16)
        # Both rings in one mapping: IORING_FEAT_SINGLE_MMAP, there since 5.4.
        self.ring = mmap.mmap(self.fd, size, mmap.MAP_SHARED, offset=0)
        self.sqes = mmap.mmap(self.fd, entries[0] * 64, mmap.MAP_SHARED, offset=OFF_SQES)
        self.sq_tail, self.sq_mask, self.sq_array = sq[1], sq[2], sq[6]
        self.cq_head, self.cq_tail, self.cq_mask, self.cqes = cq[0], cq[1], cq[2], cq[5]
        self.done, self.kept = {}, []

    def word(self, at):
        return struct.unpack_from("<I", self.ring, at)[0]

    def enter(self, submit, wait):
        n = libc.syscall(ENTER, self.fd, submit, wait, GETEVENTS if wait else 0, None, 0)
        check(n >= 0, "io_uring_enter")

    def submit(self, user, op, fd, addr=0, length=0, off=0, flags=0):
        tail = self.word(self.sq_tail)
        slot = tail & self.word(self.sq_mask)
        struct.pack_into("<BBHiQQIIQQQQ", self.sqes, slot * 64, op, 0, 0, fd, off, addr, length, flags, user, 0, 0, 0)
        struct.pack_into("<I", self.ring, self.sq_array + 4 * slot, slot)
        struct.pack_into("<I", self.ring, self.sq_tail, (tail + 1) & 0xFFFFFFFF)
        self.enter(1, 0)

    def reap(self):
        head = self.word(self.cq_head)
        while head != self.word(self.cq_tail):
            at = self.cqes + 16 * (head & self.word(self.cq_mask))
            user, res, _ = struct.unpack_from("<QiI", self.ring, at)
            self.done[user] = res
            head = (head + 1) & 0xFFFFFFFF
        struct.pack_into("<I", self.ring, self.cq_head, head)

    def wait(self, user):
        self.reap()
        while user not in self.done:
            self.enter(0, 1)
            self.reap()
        return self.done.pop(user)

    def pending(self, user):
        self.reap()
        return user not in self.done


def sock(family, kind=socket.SOCK_STREAM):
    fd = libc.socket(family, kind | socket.SOCK_CLOEXEC, 0)
    check(fd >= 0, "socket")
    return fd


def sockaddr(port):
    return ctypes.create_string_buffer(struct.pack("<H", socket.AF_INET) + struct.pack(">H", port) + bytes((127, 0, 0, 1)) + bytes(8), 16)


def bound(family, kind=socket.SOCK_STREAM):
    fd = sock(family, kind)
    check(libc.bind(fd, sockaddr(0), 16) == 0, "bind")
    name, length = ctypes.create_string_buffer(16), ctypes.c_uint(16)
    check(libc.getsockname(fd, name, ctypes.byref(length)) == 0, "getsockname")
    return fd, struct.unpack(">H", name.raw[2:4])[0]


def address(buffer):
    return ctypes.addressof(buffer)


def equal(got, want, what):
    if got != want:
        name = errno.errorcode.get(-got, got) if isinstance(got, int) else got
        sys.exit(f"{what}: {name} instead of {want}")


def pair(ring, client, server):
    """Accept waits before anybody connects."""
    listener, port = bound(server)
    check(libc.listen(listener, 8) == 0, "listen")
    peer, length = ctypes.create_string_buffer(16), ctypes.c_uint(16)
    ring.submit(1, ACCEPT, listener, address(peer), off=ctypes.addressof(length), flags=socket.SOCK_CLOEXEC)
    equal(ring.pending(1), True, "accept waits")
    c, to = sock(client), sockaddr(port)
    ring.submit(2, CONNECT, c, address(to), off=16)
    equal(ring.wait(2), 0, "connect")
    s = ring.wait(1)
    if s < 0:
        equal(s, "a descriptor", "accept")
    equal(peer.raw[:2], struct.pack("<H", socket.AF_INET), "family of the peer's address")
    equal(peer.raw[4:8], bytes((127, 0, 0, 1)), "the peer's address")
    return c, s


def connect_and_accept(ring, client, server):
    pair(ring, client, server)


def connect_refused(ring, client, server):
    fd, port = bound(server)
    to = sockaddr(port)
    ring.submit(1, CONNECT, sock(client), address(to), off=16)
    equal(ring.wait(1), -errno.ECONNREFUSED, "connect to a port without a listener")
    os.close(fd)


def send_and_receive(ring, client, server):
    c, s = pair(ring, client, server)
    for frm, to in ((c, s), (s, c)):
        data, room = ctypes.create_string_buffer(os.urandom(5000), 5000), ctypes.create_string_buffer(8000)
        got = 0
        ring.submit(1, RECV, to, address(room), 8000)
        equal(ring.pending(1), True, "recv waits for data")
        ring.submit(2, SEND, frm, address(data), 5000, flags=socket.MSG_NOSIGNAL)
        equal(ring.wait(2), 5000, "send")
        while got < 5000:
            n = ring.wait(1)
            if n <= 0:
                equal(n, "bytes", "recv")
            got += n
            if got < 5000:
                ring.submit(1, RECV, to, address(room) + got, 8000 - got)
        equal(room.raw[:5000], data.raw, "data")


def messages(ring, client, server, kind=socket.SOCK_STREAM):
    if kind == socket.SOCK_DGRAM:
        (s, port), c = bound(server, kind), sock(client, kind)
        name = sockaddr(port)
    else:
        (c, s), name = pair(ring, client, server), None
    parts = [ctypes.create_string_buffer(b"one ", 4), ctypes.create_string_buffer(b"two", 3)]
    room = ctypes.create_string_buffer(100)
    iov = ctypes.create_string_buffer(struct.pack("<4Q", address(parts[0]), 4, address(parts[1]), 3), 32)
    iov2 = ctypes.create_string_buffer(struct.pack("<2Q", address(room), 100), 16)
    msg = lambda v, n, to: ctypes.create_string_buffer(
        struct.pack("<QIIQQQQII", address(to) if to else 0, 16 if to else 0, 0, address(v), n, 0, 0, 0, 0), 56)
    out, into = msg(iov, 2, name), msg(iov2, 1, None)
    ring.submit(1, RECVMSG, s, address(into), 1)
    equal(ring.pending(1), True, "recvmsg waits")
    ring.submit(2, SENDMSG, c, address(out), 1)
    equal(ring.wait(2), 7, "sendmsg")
    equal(ring.wait(1), 7, "recvmsg")
    equal(room.raw[:7], b"one two", "data")


def datagrams(ring, client, server):
    messages(ring, client, server, socket.SOCK_DGRAM)


def poll(ring, client, server):
    c, s = pair(ring, client, server)
    ring.submit(1, POLL_ADD, s, flags=POLLOUT)
    equal(ring.wait(1) & POLLOUT, POLLOUT, "writable at once")
    ring.submit(2, POLL_ADD, s, flags=POLLIN)
    equal(ring.pending(2), True, "poll waits")
    equal(os.write(c, b"x"), 1, "write")
    equal(ring.wait(2) & POLLIN, POLLIN, "readable")
    ring.submit(3, POLL_ADD, s, flags=POLLRDHUP)
    equal(ring.pending(3), True, "poll waits for the end")
    ring.submit(4, SHUTDOWN, c, length=socket.SHUT_WR)
    equal(ring.wait(4), 0, "shutdown")
    equal(ring.wait(3) & POLLRDHUP, POLLRDHUP, "the peer has finished")


def cancel(ring, client, server):
    c, s = pair(ring, client, server)
    room = ctypes.create_string_buffer(100)
    listener, _ = bound(server)
    check(libc.listen(listener, 8) == 0, "listen")
    waiting = {
        10: lambda: ring.submit(10, RECV, s, address(room), 100),
        11: lambda: ring.submit(11, ACCEPT, listener),
        12: lambda: ring.submit(12, POLL_ADD, c, flags=POLLIN),
    }
    for user, submit in waiting.items():
        submit()
        equal(ring.pending(user), True, "it waits")
        ring.submit(20, CANCEL, -1, user)
        equal(ring.wait(20), 0, "cancel")
        equal(ring.wait(user), -errno.ECANCELED, f"operation {user} after cancel")
    # Neither took anything with it.
    equal(os.write(c, b"still"), 5, "write")
    equal(os.read(s, 100), b"still", "data after cancel")


def end_of_stream_and_reset(ring, client, server):
    c, s = pair(ring, client, server)
    room = ctypes.create_string_buffer(100)
    ring.submit(1, RECV, s, address(room), 100)
    equal(ring.pending(1), True, "recv waits")
    ring.submit(2, SHUTDOWN, c, length=socket.SHUT_WR)
    equal(ring.wait(2), 0, "shutdown")
    equal(ring.wait(1), 0, "recv at the end of the stream")
    ring.submit(1, RECV, c, address(room), 100)
    equal(ring.pending(1), True, "recv waits")
    linger = struct.pack("<2i", 1, 0)
    check(libc.setsockopt(s, socket.SOL_SOCKET, socket.SO_LINGER, linger, 8) == 0, "SO_LINGER")
    os.close(s)
    equal(ring.wait(1), -errno.ECONNRESET, "recv when the peer resets")


def ring_closed_with_operations(ring, client, server):
    c, s = pair(ring, client, server)
    room = ctypes.create_string_buffer(100)
    ring.submit(1, RECV, s, address(room), 100)
    ring.submit(2, POLL_ADD, c, flags=POLLIN)
    os.close(s)
    os.close(c)
    os.close(ring.fd)


def main():
    client, server, name = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    globals()[name](Ring(), client, server)


main()
