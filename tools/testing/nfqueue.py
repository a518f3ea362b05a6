#!/usr/bin/python3 -IS
# SPDX-License-Identifier: GPL-2.0
"""nfqueue.py accept|hold: the program behind `nft … queue` number 0.

Says "ready" once it is bound, then "packet HOOK" for each packet. With accept each goes on at once; with
hold all of them wait until a line comes, and go on then ("released N").
"""
import os
import _socket as socket
import struct
import sys

NFNL_SUBSYS_QUEUE, MSG_PACKET, MSG_VERDICT, MSG_CONFIG = 3, 0, 1, 2
CFG_CMD, CFG_PARAMS, PACKET_HDR, VERDICT_HDR = 1, 2, 1, 2
BIND, COPY_META, NF_ACCEPT = 1, 1, 1
REQUEST, ACK = 1, 4
SO_RCVBUFFORCE, SOL_NETLINK, NETLINK_NO_ENOBUFS = 33, 270, 5
QUEUE = 0


def attribute(kind, data):
    whole = struct.pack("=HH", 4 + len(data), kind) + data
    return whole + bytes(-len(whole) % 4)


def message(kind, flags, *attributes):
    body = struct.pack("!BBH", socket.AF_INET, 0, QUEUE) + b"".join(attributes)
    kind |= NFNL_SUBSYS_QUEUE << 8
    return struct.pack("=IHHII", 16 + len(body), kind, REQUEST | flags, 0, 0) + body


def attributes(data):
    while len(data) >= 4:
        size, kind = struct.unpack_from("=HH", data)
        yield kind & 0x3fff, data[4:size]
        data = data[(size + 3) & ~3:]


s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)
s.bind((0, 0))
s.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 16 << 20)
s.setsockopt(SOL_NETLINK, NETLINK_NO_ENOBUFS, 1)


def ask(*attrs):
    s.send(message(MSG_CONFIG, ACK, *attrs))
    errno = -struct.unpack_from("=i", s.recv(65536), 16)[0]
    if errno:
        sys.exit("NFQUEUE: " + os.strerror(errno))


def accept(ident):
    s.send(message(MSG_VERDICT, 0, attribute(VERDICT_HDR, struct.pack("!II", NF_ACCEPT, ident))))


def packets():
    """Identifier and hook of each packet, as they come."""
    while True:
        data = s.recv(1 << 17)
        while len(data) >= 16:
            size, kind = struct.unpack_from("=IH", data)
            if kind == NFNL_SUBSYS_QUEUE << 8 | MSG_PACKET:
                header = dict(attributes(data[20:size]))[PACKET_HDR]
                ident, _, hook = struct.unpack_from("!IHB", header)
                yield ident, hook
            data = data[(size + 3) & ~3:]


ask(attribute(CFG_CMD, struct.pack("!BxH", BIND, socket.AF_INET)))
ask(attribute(CFG_PARAMS, struct.pack("!IB", 0, COPY_META)))
print("ready", flush=True)
if sys.argv[1] == "accept":
    for ident, hook in packets():
        print("packet", hook, flush=True)
        accept(ident)
else:
    ident, hook = next(packets())
    print("packet", hook, flush=True)
    sys.stdin.readline()
    accept(ident)
    print("released", flush=True)
    sys.stdin.readline()
