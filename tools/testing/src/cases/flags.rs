// SPDX-License-Identifier: GPL-2.0
//! The flags of send and receive, FIONREAD and SIOCOUTQ.

use std::time::Duration;

use anyhow::Result;
use netlab::c;
use netlab::check;
use netlab::check_eq;
use netlab::ktap::want_errno;
use netlab::ktap::Sysc;
use netlab::tcpinfo::TcpInfo;
use netlab::Sock;

use crate::blocked::gettid;
use crate::blocked::until_blocked;
use crate::case::Case;
use crate::case::Ctx;
use crate::cases::outq;

const G: &str = "flags";

/// The cases of this file.
pub const CASES: &[Case] = &[
    Case::two(G, "MSG_PEEK_leaves_the_data", peek),
    Case::two(G, "MSG_PEEK_across_segments", peek_across),
    Case::two(G, "MSG_TRUNC_discards_stream_data", trunc),
    Case::two(G, "MSG_WAITALL_waits_for_all", waitall),
    Case::two(G, "MSG_WAITALL_ends_at_FIN", waitall_fin),
    Case::two(G, "MSG_DONTWAIT_recv_EAGAIN", dontwait_recv),
    Case::two(G, "MSG_DONTWAIT_send_until_EAGAIN", dontwait_send),
    Case::two(G, "MSG_OOB_recv_without_urgent_data_EINVAL", oob),
    Case::two(G, "MSG_OOB_byte_is_read_apart", oob_apart),
    Case::two(G, "zero_length_send_and_recv", zero_length),
    Case::two(G, "recvmsg_gathers_into_the_vector", vectors),
    Case::two(G, "FIONREAD_counts_what_can_be_read", fionread),
    Case::one(G, "FIONREAD_on_a_listener_EINVAL", fionread_listener),
    Case::two(G, "SIOCOUTQ_counts_what_is_not_acknowledged", siocoutq)
        .veth()
        .fresh(),
    Case::two(G, "recv_gives_what_is_there", short_read),
    Case::two(G, "send_in_full_when_blocking", full_send),
];

/// A connection of which the server has `data` to read already.
fn with_data(ctx: &Ctx, data: &[u8]) -> Result<(Sock, Sock)> {
    let (client, server) = ctx.connected()?;
    client.send_all(data).sys("send")?;
    netlab::wait::until("the data at the server", || {
        (server.inq().ok()? >= data.len() as u64).then_some(())
    })?;
    Ok((client, server))
}

fn peek(ctx: &Ctx) -> Result<()> {
    let (_client, server) = with_data(ctx, b"abcdef")?;
    let mut buf = [0; 4];
    check_eq!(
        server.recv(&mut buf, c::MSG_PEEK).sys("peek")?,
        4,
        "length peeked"
    );
    check_eq!(&buf, b"abcd", "data peeked");
    check_eq!(
        server.recv(&mut buf, c::MSG_PEEK).sys("peek")?,
        4,
        "length peeked again"
    );
    check_eq!(&buf, b"abcd", "data peeked again");
    let mut all = [0; 16];
    check_eq!(
        server.recv(&mut all, 0).sys("recv")?,
        6,
        "length read afterwards"
    );
    check_eq!(&all[..6], b"abcdef", "data read afterwards");
    want_errno(
        "peek at nothing",
        server.recv(&mut all, c::MSG_PEEK | c::MSG_DONTWAIT),
        c::EAGAIN,
    )
}

fn peek_across(ctx: &Ctx) -> Result<()> {
    let data = netlab::payload::Stream::new(1).bytes(5000);
    let (_client, server) = with_data(ctx, &data)?;
    let mut buf = vec![0; 5000];
    let n = server
        .recv(&mut buf, c::MSG_PEEK | c::MSG_WAITALL)
        .sys("peek")?;
    check_eq!(n, 5000, "length peeked across segments");
    check!(buf == data, "data peeked across segments differs");
    check_eq!(server.inq().sys("FIONREAD")?, 5000, "what is left to read");
    Ok(())
}

fn trunc(ctx: &Ctx) -> Result<()> {
    let (_client, server) = with_data(ctx, b"drop-keep")?;
    let mut buf = *b"......";
    check_eq!(
        server.recv(&mut buf[..5], c::MSG_TRUNC).sys("recv")?,
        5,
        "length discarded"
    );
    check_eq!(&buf, b"......", "the buffer, which must not be written");
    let mut rest = [0; 8];
    check_eq!(server.recv(&mut rest, 0).sys("recv")?, 4, "length left");
    check_eq!(&rest[..4], b"keep", "data left");
    Ok(())
}

fn waitall(ctx: &Ctx) -> Result<()> {
    let (client, server) = with_data(ctx, b"one ")?;
    std::thread::scope(|s| {
        let (tx, rx) = std::sync::mpsc::channel();
        let t = s.spawn(move || {
            tx.send(gettid()).expect("receiver lives");
            let mut buf = [0; 9];
            let n = server.recv(&mut buf, c::MSG_WAITALL)?;
            Ok::<_, netlab::Errno>(buf[..n].to_vec())
        });
        let tid = rx.recv()?;
        // It has seen the first half, and sleeps all the same.
        let asleep = until_blocked(tid, &[c::SYS_recvfrom]);
        client.send_all(b"and ").sys("send")?;
        client.send_all(b"!").sys("send")?;
        let got = t.join().expect("no panic").sys("recv")?;
        asleep?;
        check_eq!(got, b"one and !", "what MSG_WAITALL returned");
        Ok(())
    })
}

fn waitall_fin(ctx: &Ctx) -> Result<()> {
    let (client, server) = with_data(ctx, b"half")?;
    drop(client);
    let mut buf = [0; 100];
    check_eq!(
        server.recv(&mut buf, c::MSG_WAITALL).sys("recv")?,
        4,
        "length before FIN"
    );
    Ok(())
}

fn dontwait_recv(ctx: &Ctx) -> Result<()> {
    let (_client, server) = ctx.connected()?;
    want_errno("recv", server.recv(&mut [0; 1], c::MSG_DONTWAIT), c::EAGAIN)
}

fn dontwait_send(ctx: &Ctx) -> Result<()> {
    let (client, server) = ctx.connected()?;
    let chunk = [1; 32768];
    let mut sent = 0usize;
    loop {
        match client.send(&chunk, c::MSG_DONTWAIT | c::MSG_NOSIGNAL) {
            Ok(n) => sent += n,
            Err(netlab::Errno(c::EAGAIN)) => {
                // As long as the receiver has room, acknowledgements make some here.
                let ready = client.poll(c::POLLOUT, Duration::ZERO).sys("poll")?;
                if ready & c::POLLOUT == 0 {
                    break;
                }
            }
            Err(e) => return Err(e).sys("send"),
        }
        check!(sent < 1 << 30, "a gigabyte fits into the socket's buffer");
    }
    drop_all(&server, sent)?;
    check!(
        client.await_events(c::POLLOUT).sys("poll")? & c::POLLOUT != 0,
        "no POLLOUT again"
    );
    Ok(())
}

fn drop_all(sock: &Sock, mut n: usize) -> Result<()> {
    let mut buf = vec![0; 65536];
    while n > 0 {
        n -= sock.recv(&mut buf, 0).sys("recv")?;
    }
    Ok(())
}

fn oob(ctx: &Ctx) -> Result<()> {
    let (_client, server) = ctx.connected()?;
    want_errno("recv", server.recv(&mut [0; 1], c::MSG_OOB), c::EINVAL)
}

fn oob_apart(ctx: &Ctx) -> Result<()> {
    let (client, server) = ctx.connected()?;
    client.send_all(b"ab").sys("send")?;
    check_eq!(
        client
            .send(b"!", c::MSG_OOB | c::MSG_NOSIGNAL)
            .sys("urgent")?,
        1,
        "urgent byte sent"
    );
    client.send_all(b"cd").sys("send")?;
    let mut byte = [0; 1];
    netlab::wait::until("the urgent byte", || {
        server.recv(&mut byte, c::MSG_OOB).ok()
    })?;
    check_eq!(byte, *b"!", "the urgent byte");
    // The stream goes up to the mark, then on behind it.
    let mut buf = [0; 8];
    check_eq!(server.recv(&mut buf, 0).sys("recv")?, 2, "up to the mark");
    check_eq!(buf[..2], *b"ab", "before the mark");
    check_eq!(server.recv(&mut buf, 0).sys("recv")?, 2, "behind the mark");
    check_eq!(buf[..2], *b"cd", "behind the mark");
    want_errno("again", server.recv(&mut byte, c::MSG_OOB), c::EINVAL)
}

fn zero_length(ctx: &Ctx) -> Result<()> {
    let (client, server) = with_data(ctx, b"x")?;
    check_eq!(
        client.send(b"", c::MSG_NOSIGNAL).sys("send")?,
        0,
        "sending nothing"
    );
    check_eq!(server.recv(&mut [], 0).sys("recv")?, 0, "receiving nothing");
    check_eq!(server.inq().sys("FIONREAD")?, 1, "data still there");
    Ok(())
}

fn vectors(ctx: &Ctx) -> Result<()> {
    use std::io::IoSlice;
    use std::io::IoSliceMut;
    use std::os::fd::AsRawFd;
    let (client, server) = ctx.connected()?;
    let parts = [
        IoSlice::new(b"ab"),
        IoSlice::new(b""),
        IoSlice::new(b"cdefg"),
    ];
    check_eq!(
        uapi::writev(client.as_raw_fd(), &parts[..]).sys("writev")?,
        7,
        "length written"
    );
    netlab::wait::until("seven bytes", || (server.inq().ok()? == 7).then_some(()))?;
    let (mut one, mut two) = ([0; 3], [0; 10]);
    let mut iov = [IoSliceMut::new(&mut one), IoSliceMut::new(&mut two)];
    let got = uapi::readv(server.as_raw_fd(), &mut iov[..]).sys("readv")?;
    let len: usize = got.iter().map(|p| p.len()).sum();
    check_eq!(len, 7, "length read");
    check_eq!((&one, &two[..4]), (b"abc", &b"defg"[..]), "data");
    Ok(())
}

fn fionread(ctx: &Ctx) -> Result<()> {
    let (client, server) = ctx.connected()?;
    check_eq!(server.inq().sys("FIONREAD")?, 0, "before anything came");
    client.send_all(&[0; 3000]).sys("send")?;
    netlab::wait::until("3000 bytes", || (server.inq().ok()? == 3000).then_some(()))?;
    server.recv_exact(&mut [0; 1000]).sys("recv")?;
    check_eq!(server.inq().sys("FIONREAD")?, 2000, "after reading 1000");
    Ok(())
}

fn fionread_listener(ctx: &Ctx) -> Result<()> {
    let (l, _) = ctx.listener(1)?;
    want_errno("FIONREAD", l.inq(), c::EINVAL)
}

/// The peer's ACKs are held back by netem, so that the figure stands still while it is read.
fn siocoutq(ctx: &Ctx) -> Result<()> {
    let (client, server) = ctx.connected()?;
    check_eq!(outq(&client)?, 0, "before sending");
    crate::cases::netem(&ctx.lab.b, "delay 3000ms")?;
    client.send_all(&[0; 777]).sys("send")?;
    check_eq!(outq(&client)?, 777, "sent, not acknowledged");
    server.recv_exact(&mut [0; 777]).sys("recv")?;
    // By TCP_INFO, for to ask for SIOCOUTQ takes a process.
    netlab::wait::until("everything acknowledged", || {
        (TcpInfo::of(&client).ok()?.unacked()? == 0).then_some(())
    })?;
    check_eq!(outq(&client)?, 0, "acknowledged");
    Ok(())
}

fn short_read(ctx: &Ctx) -> Result<()> {
    let (_client, server) = with_data(ctx, b"abc")?;
    check_eq!(
        server.recv(&mut [0; 100], 0).sys("recv")?,
        3,
        "length of a short read"
    );
    Ok(())
}

fn full_send(ctx: &Ctx) -> Result<()> {
    let (client, server) = ctx.connected()?;
    let big = netlab::payload::Stream::new(3).bytes(4 << 20);
    std::thread::scope(|s| {
        let t = s.spawn(|| client.send(&big, c::MSG_NOSIGNAL));
        let mut got = vec![0; big.len()];
        let received = server.recv_exact(&mut got);
        check_eq!(
            t.join().expect("no panic").sys("send")?,
            big.len(),
            "what one send took"
        );
        received.sys("recv")?;
        check!(got == big, "data differs");
        Ok(())
    })
}
