// SPDX-License-Identifier: GPL-2.0
//! The table of options against the kernel, and what some of them do.

use std::time::Duration;

use anyhow::bail;
use anyhow::Context;
use anyhow::Result;
use netlab::c;
use netlab::check;
use netlab::check_eq;
use netlab::ktap::errno_name;
use netlab::ktap::want_errno;
use netlab::ktap::Sysc;
use netlab::Errno;
use netlab::Sock;

use crate::case::Case;
use crate::case::Ctx;
use crate::options::Get;
use crate::options::On;
use crate::options::Row;
use crate::options::Set;
use crate::options::TABLE;

const G: &str = "options";

/// The cases of this file.
pub const CASES: &[Case] = &[
    Case::one(G, "SOL_SOCKET_as_the_table_says", |ctx| {
        level(ctx, c::SOL_SOCKET)
    }),
    Case::one(G, "IPPROTO_IP_as_the_table_says", |ctx| {
        level(ctx, c::IPPROTO_IP)
    }),
    Case::one(G, "IPPROTO_TCP_as_the_table_says", |ctx| {
        level(ctx, c::IPPROTO_TCP)
    }),
    Case::one(G, "unknown_level_and_number_ENOPROTOOPT", unknown),
    Case::one(G, "short_value_EINVAL", short),
    Case::one(G, "values_out_of_range_EINVAL", out_of_range),
    Case::one(G, "SO_MARK_without_capability_EPERM", mark),
    Case::two(G, "SO_BINDTODEVICE_other_device_is_deaf", bindtodevice).veth(),
    Case::two(G, "SO_ATTACH_FILTER_drops_what_it_refuses", filter),
    Case::two(G, "SO_REUSEPORT_shares_a_port", reuseport),
    Case::one(G, "TCP_options_on_UDP", tcp_on_udp),
    Case::two(G, "SO_SNDBUF_grows_alike_at_both_ends", sndbuf),
    Case::two(
        G,
        "SO_TIMESTAMP_when_the_bytes_of_a_stream_came",
        stream_stamps,
    ),
    Case::two(
        G,
        "TCP_DEFER_ACCEPT_no_connection_before_its_data",
        defer_accept,
    ),
    Case::two(
        G,
        "TCP_SAVE_SYN_keeps_the_headers_for_one_reading",
        save_syn,
    ),
];

fn try_row(ctx: &Ctx, row: &Row) -> Result<Option<String>> {
    let sock = match row.on {
        On::Tcp => ctx.tcp()?,
        On::Udp => ctx.lab.a.udp(ctx.family())?,
    };
    let (want_set, want_get) = row.expected(ctx.family().is_rustnet());
    let name = row.name;
    if want_set != Set::Skip {
        let set = match sock.setsockopt(row.level, row.number, row.value) {
            Ok(()) => Set::Ok,
            Err(Errno(e)) => Set::Err(e),
        };
        if set != want_set {
            let (set, want) = (show_set(set), show_set(want_set));
            return Ok(Some(format!("set {name}: {set} instead of {want}")));
        }
    }
    let got = sock.getsockopt(row.level, row.number, room(row));
    let get = match (&got, want_get) {
        (Err(Errno(e)), _) => Get::Err(*e),
        (Ok(_), Get::Ok) => Get::Ok,
        (Ok(v), _) => {
            let mut word = [0; 4];
            word[..v.len().min(4)].copy_from_slice(&v[..v.len().min(4)]);
            Get::Is(i32::from_ne_bytes(word))
        }
    };
    if get != want_get {
        let (get, want) = (show_get(get), show_get(want_get));
        return Ok(Some(format!("get {name}: {get} instead of {want}")));
    }
    Ok(None)
}

/// An int's room, unless the option only speaks in structures.
fn room(row: &Row) -> usize {
    match row.get {
        Get::Ok => 64,
        _ => 4,
    }
}

fn show_set(s: Set) -> String {
    match s {
        Set::Err(e) => errno_name(e),
        other => format!("{other:?}"),
    }
}

fn show_get(g: Get) -> String {
    match g {
        Get::Err(e) => errno_name(e),
        other => format!("{other:?}"),
    }
}

fn level(ctx: &Ctx, level: i32) -> Result<()> {
    let mut wrong = Vec::new();
    for row in TABLE.iter().filter(|r| r.level == level) {
        wrong.extend(try_row(ctx, row)?);
    }
    if !wrong.is_empty() {
        bail!("{}", wrong.join("\n"));
    }
    Ok(())
}

fn unknown(ctx: &Ctx) -> Result<()> {
    let s = ctx.tcp()?;
    want_errno(
        "SOL_SOCKET 9999",
        s.set(c::SOL_SOCKET, 9999, 1),
        c::ENOPROTOOPT,
    )?;
    want_errno(
        "IPPROTO_IP 9999",
        s.set(c::IPPROTO_IP, 9999, 1),
        c::ENOPROTOOPT,
    )?;
    want_errno(
        "IPPROTO_TCP 9999",
        s.set(c::IPPROTO_TCP, 9999, 1),
        c::ENOPROTOOPT,
    )?;
    want_errno(
        "get IPPROTO_TCP 9999",
        s.get(c::IPPROTO_TCP, 9999),
        c::ENOPROTOOPT,
    )?;
    want_errno("level 250", s.set(250, 1, 1), c::ENOPROTOOPT)
}

fn short(ctx: &Ctx) -> Result<()> {
    let s = ctx.tcp()?;
    want_errno(
        "SO_KEEPALIVE",
        s.setsockopt(c::SOL_SOCKET, c::SO_KEEPALIVE, &[1]),
        c::EINVAL,
    )?;
    want_errno(
        "TCP_NODELAY",
        s.setsockopt(c::IPPROTO_TCP, c::TCP_NODELAY, &[1]),
        c::EINVAL,
    )?;
    want_errno(
        "SO_LINGER",
        s.setsockopt(c::SOL_SOCKET, c::SO_LINGER, &[1; 4]),
        c::EINVAL,
    )?;
    // The IP level has always taken single bytes.
    s.setsockopt(c::IPPROTO_IP, c::IP_TTL, &[9])
        .sys("IP_TTL of one byte")?;
    check_eq!(s.get(c::IPPROTO_IP, c::IP_TTL).sys("IP_TTL")?, 9, "IP_TTL");
    Ok(())
}

fn out_of_range(ctx: &Ctx) -> Result<()> {
    let s = ctx.tcp()?;
    for (name, level, option, value) in [
        ("TCP_MAXSEG 10", c::IPPROTO_TCP, c::TCP_MAXSEG, 10),
        ("TCP_MAXSEG 40000", c::IPPROTO_TCP, c::TCP_MAXSEG, 40000),
        ("TCP_KEEPIDLE 0", c::IPPROTO_TCP, c::TCP_KEEPIDLE, 0),
        ("TCP_KEEPIDLE 40000", c::IPPROTO_TCP, c::TCP_KEEPIDLE, 40000),
        ("TCP_KEEPINTVL 0", c::IPPROTO_TCP, c::TCP_KEEPINTVL, 0),
        ("TCP_KEEPCNT 200", c::IPPROTO_TCP, c::TCP_KEEPCNT, 200),
        ("TCP_SYNCNT 0", c::IPPROTO_TCP, c::TCP_SYNCNT, 0),
        (
            "TCP_USER_TIMEOUT -1",
            c::IPPROTO_TCP,
            c::TCP_USER_TIMEOUT,
            -1,
        ),
        ("IP_TTL 0", c::IPPROTO_IP, c::IP_TTL, 0),
        ("IP_TTL 256", c::IPPROTO_IP, c::IP_TTL, 256),
        ("IP_MTU_DISCOVER 9", c::IPPROTO_IP, c::IP_MTU_DISCOVER, 9),
    ] {
        want_errno(name, s.set(level, option, value), c::EINVAL)?;
    }
    // What is out of range here is clamped there.
    s.set(c::IPPROTO_IP, c::IP_TTL, -1)
        .sys("IP_TTL -1, the default")?;
    check_eq!(
        s.get(c::IPPROTO_IP, c::IP_TTL).sys("IP_TTL")?,
        64,
        "IP_TTL by default"
    );
    Ok(())
}

fn mark(ctx: &Ctx) -> Result<()> {
    let s = ctx.tcp()?;
    let as_nobody = crate::cases::as_nobody(|| s.set(c::SOL_SOCKET, c::SO_MARK, 1))?;
    want_errno("SO_MARK as nobody", as_nobody, c::EPERM)
}

fn bindtodevice(ctx: &Ctx) -> Result<()> {
    let (l, addr) = ctx.listener(1)?;
    l.setsockopt(c::SOL_SOCKET, c::SO_BINDTODEVICE, b"lo\0")
        .sys("SO_BINDTODEVICE lo")?;
    want_errno(
        "connect from the wire",
        ctx.tcp()?.connect(addr),
        c::ECONNREFUSED,
    )?;
    let dev = format!("{}\0", ctx.lab.b.dev);
    l.setsockopt(c::SOL_SOCKET, c::SO_BINDTODEVICE, dev.as_bytes())
        .sys("SO_BINDTODEVICE")?;
    ctx.tcp()?
        .connect(addr)
        .sys("connect through the bound device")?;
    let odd = l.setsockopt(c::SOL_SOCKET, c::SO_BINDTODEVICE, b"nosuch\0");
    want_errno("no such device", odd, c::ENODEV)
}

/// A classic filter is a pointer in a structure, which safe code cannot make; python3 does it.
fn filter(ctx: &Ctx) -> Result<()> {
    let (a, b) = (ctx.udp()?, ctx.server_udp()?);
    // One instruction: ret #0, drop everything.
    let ask = "import socket, struct, ctypes\n\
               code = ctypes.create_string_buffer(struct.pack('HBBI', 6, 0, 0, 0))\n\
               prog = struct.pack('HL', 1, ctypes.addressof(code))\n\
               s = socket.socket(fileno=0)\n\
               s.setsockopt(socket.SOL_SOCKET, 26, prog)\n\
               s.detach()\n";
    crate::cases::python(&b, ask)?;
    let to = b.local().sys("name")?;
    a.sendto(b"filtered", 0, to).sys("sendto")?;
    // What comes behind it on the same way tells that it has been there.
    let behind = ctx.server_udp()?;
    a.sendto(b"behind", 0, behind.local().sys("name")?)
        .sys("sendto")?;
    behind.recv(&mut [0; 6], 0).sys("recv behind it")?;
    b.set(c::SOL_SOCKET, c::SO_DETACH_FILTER, 0)
        .sys("SO_DETACH_FILTER")?;
    a.sendto(b"passed", 0, to).sys("sendto")?;
    let mut buf = [0; 9];
    let n = b.recv(&mut buf, 0).sys("recv")?;
    check_eq!(&buf[..n], b"passed", "first datagram delivered");
    Ok(())
}

fn reuseport(ctx: &Ctx) -> Result<()> {
    let one = ctx.server_tcp()?;
    one.set(c::SOL_SOCKET, c::SO_REUSEPORT, 1)
        .sys("SO_REUSEPORT")?;
    one.bind(ctx.lab.b.at(0)).sys("bind")?;
    one.listen(16).sys("listen")?;
    let addr = one.local().sys("name")?;
    let without = ctx.server_tcp()?;
    want_errno("bind without it", without.bind(addr), c::EADDRINUSE)?;
    let two = ctx.server_tcp()?;
    two.set(c::SOL_SOCKET, c::SO_REUSEPORT, 1)
        .sys("SO_REUSEPORT")?;
    two.bind(addr).sys("second bind")?;
    two.listen(16).sys("second listen")?;
    let mut clients: Vec<Sock> = Vec::new();
    for _ in 0..12 {
        let client = ctx.tcp()?;
        client.connect(addr).sys("connect")?;
        clients.push(client);
    }
    let mut shares = [0; 2];
    for (share, l) in shares.iter_mut().zip([&one, &two]) {
        while l.poll(c::POLLIN, Duration::from_millis(50)).sys("poll")? != 0 {
            l.accept().sys("accept")?;
            *share += 1;
        }
    }
    check_eq!(
        shares[0] + shares[1],
        12,
        "connections accepted by the two listeners"
    );
    check!(
        shares[0] > 0 && shares[1] > 0,
        "one listener got everything: {shares:?}"
    );
    Ok(())
}

fn tcp_on_udp(ctx: &Ctx) -> Result<()> {
    let u = ctx.lab.a.udp(ctx.family())?;
    want_errno(
        "TCP_NODELAY",
        u.set(c::IPPROTO_TCP, c::TCP_NODELAY, 1),
        c::ENOPROTOOPT,
    )?;
    want_errno(
        "TCP_INFO",
        u.getsockopt(c::IPPROTO_TCP, c::TCP_INFO, 100),
        c::EOPNOTSUPP,
    )
}

fn defer_accept(ctx: &Ctx) -> Result<()> {
    let (l, addr) = ctx.listener(4)?;
    l.set(c::IPPROTO_TCP, c::TCP_DEFER_ACCEPT, 20)
        .sys("TCP_DEFER_ACCEPT")?;
    // 1 + 2 + 4 + 8 + 16 s: told is how long so many SYN-ACKs take.
    let secs = l.get(c::IPPROTO_TCP, c::TCP_DEFER_ACCEPT);
    check_eq!(
        secs.sys("TCP_DEFER_ACCEPT")?,
        31,
        "TCP_DEFER_ACCEPT read back"
    );
    let silent = ctx.tcp()?;
    silent.connect(addr).sys("connect")?;
    let talker = ctx.tcp()?;
    talker.connect(addr).sys("connect")?;
    let patience = Duration::from_millis(100);
    check_eq!(
        l.poll(c::POLLIN, patience).sys("poll")?,
        0,
        "events of the listener before there are data"
    );
    talker.send_all(b"data").sys("send")?;
    l.await_events(c::POLLIN).sys("poll")?;
    let (server, from) = l.accept4(0).sys("accept")?;
    check_eq!(from, talker.local().sys("name")?, "who was accepted");
    let mut buf = [0; 9];
    let n = server.recv(&mut buf, c::MSG_DONTWAIT).sys("recv")?;
    check_eq!(&buf[..n], b"data", "what is there at once");
    check_eq!(
        l.poll(c::POLLIN, patience).sys("poll")?,
        0,
        "events of the listener while the other client is silent"
    );
    Ok(())
}

fn save_syn(ctx: &Ctx) -> Result<()> {
    let get = |s: &Sock, room| s.getsockopt(c::IPPROTO_TCP, c::TCP_SAVED_SYN, room);
    let (l, addr) = ctx.listener(4)?;
    let (_client, server) = ctx.connect_to(&l, addr)?;
    check_eq!(
        get(&server, 200).sys("TCP_SAVED_SYN")?.len(),
        0,
        "bytes saved unasked"
    );
    for (mode, link) in [(1, 0), (2, 14)] {
        l.set(c::IPPROTO_TCP, c::TCP_SAVE_SYN, mode)
            .sys("TCP_SAVE_SYN")?;
        let (client, server) = ctx.connect_to(&l, addr)?;
        want_errno("TCP_SAVED_SYN in 10 bytes", get(&server, 10), c::EINVAL)?;
        let syn = get(&server, 200).sys("TCP_SAVED_SYN")?;
        check!(syn.len() >= link + 44, "{} bytes of headers", syn.len());
        let (ip, tcp) = syn[link..].split_at(20);
        check_eq!((ip[0], ip[9]), (0x45, 6), "version, length and protocol");
        check_eq!(
            usize::from(tcp[12] >> 4) * 4,
            tcp.len(),
            "length of the TCP header"
        );
        check_eq!(tcp[13] & 0x17, 2, "RST, SYN, ACK, FIN: flags");
        let port = client.local().sys("name")?.port();
        check_eq!(u16::from_be_bytes([tcp[0], tcp[1]]), port, "source port");
        check_eq!(
            get(&server, 200).sys("TCP_SAVED_SYN")?.len(),
            0,
            "bytes read once more"
        );
        // The child has the listener's setting, but no SYN of its own to come.
        let inherited = server.get(c::IPPROTO_TCP, c::TCP_SAVE_SYN);
        check_eq!(
            inherited.sys("TCP_SAVE_SYN")?,
            mode,
            "TCP_SAVE_SYN inherited"
        );
    }
    want_errno(
        "TCP_SAVE_SYN 3",
        l.set(c::IPPROTO_TCP, c::TCP_SAVE_SYN, 3),
        c::EINVAL,
    )
}

/// A connection's send buffer is made for its first window, which is the same for both ends.
fn sndbuf(ctx: &Ctx) -> Result<()> {
    let of = |s: &Sock| s.get(c::SOL_SOCKET, c::SO_SNDBUF).sys("SO_SNDBUF");
    let (client, server) = ctx.connected()?;
    let fresh = of(&ctx.tcp()?)?;
    check!(of(&client)? > fresh, "it is {fresh} still");
    check_eq!(of(&client)?, of(&server)?, "the ends' SO_SNDBUF");
    Ok(())
}

/// The time in a control message: seconds and nanoseconds.
fn stamp(data: &[u8]) -> Result<Duration> {
    let word = |at: usize| {
        let bytes = data.get(at..at + 8).context("a short time stamp")?;
        Ok::<_, anyhow::Error>(u64::from_ne_bytes(bytes.try_into()?))
    };
    Ok(Duration::new(word(0)?, u32::try_from(word(8)?)?))
}

fn stream_stamps(ctx: &Ctx) -> Result<()> {
    const NS: i32 = c::SO_TIMESTAMPNS;
    const STAMPING: i32 = c::SO_TIMESTAMPING;
    let now = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let (client, server) = ctx.connected()?;
    let read = |n: usize| -> Result<Vec<(i32, i32, Vec<u8>)>> {
        let mut buf = [0; 8];
        let m = server
            .recvmsg(&mut buf[..n], c::MSG_WAITALL)
            .sys("recvmsg")?;
        check_eq!(m.len, n, "bytes read");
        Ok(m.control)
    };
    client.send_all(b"1").sys("send")?;
    check_eq!(read(1)?.len(), 0, "control messages unasked");
    server.set(c::SOL_SOCKET, NS, 1).sys("SO_TIMESTAMPNS")?;
    // Whether the kernel looks at the clock follows behind (netstamp_clear()): it begins a little later, and may yet
    // stop for a moment because of a socket that was closed before. Hence every step is tried again.
    let seen = netlab::wait::until("a time stamp", || {
        client.send_all(b"2").ok()?;
        read(1).ok().filter(|control| !control.is_empty())
    })?;
    check_eq!(seen.len(), 1, "control messages");
    let before = now()?;
    let two_packets = || -> Result<Option<Duration>> {
        client.send_all(b"3").sys("send")?;
        server.await_events(c::POLLIN).sys("poll")?;
        let between = now()?;
        client.send_all(b"4").sys("send")?;
        let told = read(2)?;
        let Some((level, ty, data)) = told.first() else {
            return Ok(None);
        };
        check_eq!((*level, *ty), (c::SOL_SOCKET, NS), "what was told");
        let at = stamp(data)?;
        check!(at <= now()?, "a packet from the future");
        Ok(Some(at).filter(|at| *at >= between))
    };
    netlab::wait::until("the time of the later of two packets", || {
        two_packets().transpose()
    })??;
    // Peeking tells, too; and SO_TIMESTAMPING in its own form.
    server.set(c::SOL_SOCKET, NS, 0).sys("SO_TIMESTAMPNS")?;
    let flags = c::SOF_TIMESTAMPING_SOFTWARE | c::SOF_TIMESTAMPING_RX_SOFTWARE;
    server
        .set(c::SOL_SOCKET, STAMPING, flags as i32)
        .sys("SO_TIMESTAMPING")?;
    let told = netlab::wait::until("the time when peeking and when reading", || {
        client.send_all(b"5").ok()?;
        let peeked = server.recvmsg(&mut [0; 1], c::MSG_PEEK).ok()?.control;
        let read = read(1).ok()?;
        Some([peeked, read]).filter(|both| both.iter().all(|control| !control.is_empty()))
    })?;
    for (level, ty, data) in told.iter().flatten() {
        check_eq!((*level, *ty), (c::SOL_SOCKET, STAMPING), "what was told");
        check_eq!(data.len(), 48, "length of struct scm_timestamping");
        check!(stamp(data)? > before, "an old time stamp");
    }
    Ok(())
}
