// SPDX-License-Identifier: GPL-2.0
//! What a namespace says of all its sockets: its `net.ipv4.*`, and the counters that `nstat` shows.

use std::net::Ipv4Addr;
use std::net::SocketAddrV4;

use anyhow::bail;
use anyhow::Result;
use netlab::c;
use netlab::check;
use netlab::check_eq;
use netlab::kstate;
use netlab::ktap::want_errno;
use netlab::ktap::Sysc;
use netlab::lab::End;
use netlab::tcpinfo::TcpInfo;
use netlab::wait;

use crate::case::Case;
use crate::case::Ctx;

const G: &str = "namespace";

/// The cases of this file.
pub const CASES: &[Case] = &[
    Case::two(G, "counts_a_connection", connection)
        .veth()
        .fresh(),
    Case::two(G, "counts_each_packet_once", packets)
        .veth()
        .fresh(),
    Case::two(G, "counts_packets_to_many", to_many)
        .veth()
        .fresh(),
    Case::two(G, "counts_a_refused_connection", refused)
        .veth()
        .fresh(),
    Case::two(G, "counts_a_reset_connection", reset)
        .veth()
        .fresh(),
    Case::two(G, "sysctl_options_of_the_handshake", handshake)
        .veth()
        .fresh(),
    Case::two(G, "sysctl_defaults_of_options", defaults)
        .veth()
        .fresh(),
    Case::two(G, "sysctl_tcp_syn_retries", syn_retries)
        .veth()
        .fresh(),
];

/// A counter of `/proc/net/snmp` or `netstat` at one end, and what it was when first looked at.
struct Counter<'a> {
    end: &'a End,
    group: &'static str,
    name: &'static str,
    before: u64,
}

impl<'a> Counter<'a> {
    fn new(end: &'a End, group: &'static str, name: &'static str) -> Result<Self> {
        let mut c = Counter {
            end,
            group,
            name,
            before: 0,
        };
        c.before = c.read()?;
        Ok(c)
    }

    fn read(&self) -> Result<u64> {
        match self.group {
            "TcpExt" | "IpExt" => kstate::netstat(&self.end.ns, self.group, self.name),
            _ => kstate::snmp(&self.end.ns, self.group, self.name),
        }
    }

    fn grown(&self) -> Result<u64> {
        Ok(self.read()?.wrapping_sub(self.before))
    }

    /// Waits until it has grown by `n`: what the other end does is counted a little later.
    fn grows_by(&self, n: u64) -> Result<()> {
        let what = format!("{}{} of {}", self.group, self.name, self.end.dev);
        let mut got = 0;
        let grown = wait::until(&what, || {
            got = self.grown().ok()?;
            (got == n).then_some(())
        });
        if grown.is_err() {
            bail!("{what} grew by {got}, not by {n}");
        }
        Ok(())
    }
}

fn connection(ctx: &Ctx) -> Result<()> {
    let (a, b) = (&ctx.lab.a, &ctx.lab.b);
    let active = Counter::new(a, "Tcp", "ActiveOpens")?;
    let passive = Counter::new(b, "Tcp", "PassiveOpens")?;
    let estab = [
        Counter::new(a, "Tcp", "CurrEstab")?,
        Counter::new(b, "Tcp", "CurrEstab")?,
    ];
    let (a_out, b_in) = (
        Counter::new(a, "Tcp", "OutSegs")?,
        Counter::new(b, "Tcp", "InSegs")?,
    );
    let failed = [
        Counter::new(a, "Tcp", "AttemptFails")?,
        Counter::new(b, "Tcp", "EstabResets")?,
        Counter::new(a, "Tcp", "RetransSegs")?,
        Counter::new(b, "Tcp", "InErrs")?,
    ];
    let tw = Counter::new(a, "TcpExt", "TW")?;
    {
        let (client, server) = ctx.connected()?;
        client.send_all(b"hello").sys("send")?;
        server.recv_exact(&mut [0; 5]).sys("recv")?;
        for e in &estab {
            e.grows_by(1)?;
        }
        drop(client);
        server.recv_to_end().sys("recv")?;
    }
    tw.grows_by(1)?;
    active.grows_by(1)?;
    passive.grows_by(1)?;
    for c in estab.iter().chain(&failed) {
        c.grows_by(0)?;
    }
    // Six at least: SYN, ACK, data, the ACK of nothing, FIN, the ACK of the FIN; one more if the FIN of
    // the other end was late.
    let sent = a_out.grown()?;
    check!((4..=8).contains(&sent), "{sent} segments sent");
    b_in.grows_by(sent)
}

fn packets(ctx: &Ctx) -> Result<()> {
    const N: u64 = 10;
    const LEN: usize = 100;
    let (a, b) = (&ctx.lab.a, &ctx.lab.b);
    let (client, server) = (ctx.udp()?, ctx.server_udp()?);
    let counters = [
        (Counter::new(a, "Ip", "OutRequests")?, N),
        (Counter::new(a, "Ip", "OutTransmits")?, N),
        (
            Counter::new(a, "IpExt", "OutOctets")?,
            N * (LEN as u64 + 28),
        ),
        (Counter::new(a, "Udp", "OutDatagrams")?, N),
        (Counter::new(b, "Ip", "InReceives")?, N),
        (Counter::new(b, "Ip", "InDelivers")?, N),
        (Counter::new(b, "IpExt", "InOctets")?, N * (LEN as u64 + 28)),
        (Counter::new(b, "IpExt", "InNoECTPkts")?, N),
        (Counter::new(b, "Udp", "InDatagrams")?, N),
        (Counter::new(b, "Udp", "NoPorts")?, 0),
        (Counter::new(b, "Ip", "InDiscards")?, 0),
    ];
    for _ in 0..N {
        client
            .sendto(&[7; LEN], 0, server.local().sys("name")?)
            .sys("sendto")?;
        server.recv(&mut [0; LEN], 0).sys("recv")?;
    }
    for (c, n) in &counters {
        c.grows_by(*n)?;
    }
    Ok(())
}

/// Packets to a group, and to everybody on the link.
fn to_many(ctx: &Ctx) -> Result<()> {
    const N: u64 = 10;
    const LEN: usize = 100;
    const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 2, 3);
    let (a, b) = (&ctx.lab.a, &ctx.lab.b);
    let client = ctx.udp()?;
    client
        .set(c::SOL_SOCKET, c::SO_BROADCAST, 1)
        .sys("SO_BROADCAST")?;
    client
        .setsockopt(c::IPPROTO_IP, c::IP_MULTICAST_IF, &a.ip.octets())
        .sys("IP_MULTICAST_IF")?;
    let server = b.udp(ctx.server)?;
    server
        .bind(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0))
        .sys("bind")?;
    let mreq = [GROUP.octets(), b.ip.octets()].concat();
    server
        .setsockopt(c::IPPROTO_IP, c::IP_ADD_MEMBERSHIP, &mreq)
        .sys("IP_ADD_MEMBERSHIP")?;
    let port = server.local().sys("name")?.port();
    let [net, subnet, link, _] = a.ip.octets();
    let everybody = Ipv4Addr::new(net, subnet, link, 255);
    for (to, out, come) in [
        (
            GROUP,
            ["OutMcastPkts", "OutMcastOctets"],
            ["InMcastPkts", "InMcastOctets"],
        ),
        (
            everybody,
            ["OutBcastPkts", "OutBcastOctets"],
            ["InBcastPkts", "InBcastOctets"],
        ),
    ] {
        let both = |end, [packets, bytes]: [&'static str; 2]| -> Result<_> {
            Ok([
                (Counter::new(end, "IpExt", packets)?, N),
                (Counter::new(end, "IpExt", bytes)?, N * (LEN as u64 + 28)),
            ])
        };
        let counters = [both(a, out)?, both(b, come)?];
        for _ in 0..N {
            client
                .sendto(&[7; LEN], 0, SocketAddrV4::new(to, port))
                .sys("sendto")?;
            server.await_events(c::POLLIN).sys("poll")?;
            server.recv(&mut [0; LEN], 0).sys("recv")?;
        }
        for (c, n) in counters.iter().flatten() {
            c.grows_by(*n)?;
        }
    }
    Ok(())
}

fn refused(ctx: &Ctx) -> Result<()> {
    let (a, b) = (&ctx.lab.a, &ctx.lab.b);
    let failed = Counter::new(a, "Tcp", "AttemptFails")?;
    let again = Counter::new(a, "TcpExt", "TCPSynRetrans")?;
    let resets = Counter::new(b, "Tcp", "OutRsts")?;
    let port = ctx.closed_port()?;
    want_errno("connect", ctx.tcp()?.connect(port), c::ECONNREFUSED)?;
    failed.grows_by(1)?;
    // A machine that stands still for a second sends the SYN again; each is answered.
    resets.grows_by(1 + again.grown()?)
}

fn reset(ctx: &Ctx) -> Result<()> {
    let (a, b) = (&ctx.lab.a, &ctx.lab.b);
    let (client, server) = ctx.connected()?;
    let ended = Counter::new(b, "Tcp", "EstabResets")?;
    let sent = Counter::new(a, "Tcp", "OutRsts")?;
    let unread = Counter::new(a, "TcpExt", "TCPAbortOnClose")?;
    server.send_all(b"unread").sys("send")?;
    client.await_events(c::POLLIN).sys("poll")?;
    drop(client);
    for counter in [ended, sent, unread] {
        counter.grows_by(1)?;
    }
    Ok(())
}

fn handshake(ctx: &Ctx) -> Result<()> {
    const TIMESTAMPS: u8 = 1;
    const WSCALE: u8 = 4;
    for (name, bit) in [
        ("tcp_timestamps", TIMESTAMPS),
        ("tcp_window_scaling", WSCALE),
    ] {
        // Who opens does not offer it, and who answers does not take the offer.
        for end in [&ctx.lab.a, &ctx.lab.b] {
            end.ns.sysctl(&format!("net/ipv4/{name}"), "0")?;
            let (client, server) = ctx.connected()?;
            for s in [&client, &server] {
                let options = TcpInfo::of(s).sys("TCP_INFO")?.options().unwrap_or(0);
                check_eq!(
                    options & (TIMESTAMPS | WSCALE),
                    (TIMESTAMPS | WSCALE) & !bit,
                    "options with {name}=0 at {}",
                    end.dev
                );
            }
            end.ns.sysctl(&format!("net/ipv4/{name}"), "1")?;
        }
    }
    Ok(())
}

fn defaults(ctx: &Ctx) -> Result<()> {
    for (name, value, opt) in [
        ("tcp_keepalive_time", 31, c::TCP_KEEPIDLE),
        ("tcp_keepalive_intvl", 32, c::TCP_KEEPINTVL),
        ("tcp_keepalive_probes", 33, c::TCP_KEEPCNT),
        ("tcp_syn_retries", 34, c::TCP_SYNCNT),
        ("tcp_fin_timeout", 35, c::TCP_LINGER2),
    ] {
        let (before, own) = (ctx.tcp()?, ctx.tcp()?);
        own.set(c::IPPROTO_TCP, opt, 7).sys("setsockopt")?;
        ctx.lab
            .a
            .ns
            .sysctl(&format!("net/ipv4/{name}"), &value.to_string())?;
        // Also where the socket was there before: it has no value of its own.
        for (s, wanted) in [(&before, value), (&ctx.tcp()?, value), (&own, 7)] {
            check_eq!(
                s.get(c::IPPROTO_TCP, opt).sys("getsockopt")?,
                wanted,
                "{name}"
            );
        }
    }
    ctx.lab.a.ns.sysctl("net/ipv4/ip_default_ttl", "77")?;
    check_eq!(
        ctx.tcp()?.get(c::IPPROTO_IP, c::IP_TTL).sys("IP_TTL")?,
        77,
        "IP_TTL"
    );
    Ok(())
}

fn syn_retries(ctx: &Ctx) -> Result<()> {
    let (a, b) = (&ctx.lab.a, &ctx.lab.b);
    a.ns.sysctl("net/ipv4/tcp_syn_retries", "1")?;
    a.ns.sysctl_if_there("net/ipv4/tcp_syn_linear_timeouts", "0")?;
    let again = Counter::new(a, "TcpExt", "TCPSynRetrans")?;
    let timeouts = Counter::new(a, "TcpExt", "TCPAbortOnTimeout")?;
    // Nobody answers: the frames of the peer do not come back.
    let mac = b.mac.map(|x| format!("{x:02x}")).join(":");
    a.ns.ip(&format!(
        "neigh replace 203.0.113.9 lladdr {mac} dev {} nud permanent\n\
         route add 203.0.113.9/32 dev {}",
        a.dev, a.dev
    ))?;
    let nowhere = std::net::SocketAddrV4::new([203, 0, 113, 9].into(), 9);
    want_errno("connect", ctx.tcp()?.connect(nowhere), c::ETIMEDOUT)?;
    again.grows_by(1)?;
    timeouts.grows_by(1)
}
