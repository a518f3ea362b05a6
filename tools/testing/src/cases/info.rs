// SPDX-License-Identifier: GPL-2.0
//! TCP_INFO: Linux's structure, every field that means something here filled.

use anyhow::Result;
use netlab::c;
use netlab::check;
use netlab::check_eq;
use netlab::ktap::want_errno;
use netlab::ktap::Sysc;
use netlab::payload;
use netlab::tcpinfo::TcpInfo;
use netlab::Sock;

use crate::case::Case;
use crate::case::Ctx;

const G: &str = "info";

/// The cases of this file.
pub const CASES: &[Case] = &[
    Case::one(G, "length_and_state_of_a_new_socket", fresh),
    Case::one(G, "truncates_to_the_callers_room", truncates),
    Case::one(G, "not_settable_ENOPROTOOPT", not_settable),
    Case::two(G, "negotiated_options_and_scales", negotiated).veth(),
    Case::two(G, "sizes_and_windows", sizes).veth(),
    Case::two(G, "counts_after_a_transfer", counts).veth(),
    Case::two(G, "round_trip_times_are_plausible", times).veth(),
    Case::two(G, "listener_reports_its_queue", listener).veth(),
    Case::two(G, "proc_shows_the_connection", proc).veth(),
];

fn info(s: &Sock) -> Result<TcpInfo> {
    TcpInfo::of(s).sys("TCP_INFO")
}

fn field<T>(name: &str, value: Option<T>) -> Result<T> {
    value.ok_or_else(|| anyhow::anyhow!("the structure is too short for {name}"))
}

fn fresh(ctx: &Ctx) -> Result<()> {
    let i = info(&ctx.tcp()?)?;
    // What any kernel of the last years fills at least: up to tcpi_rcv_wnd.
    check!(i.0.len() >= 236, "only {} bytes", i.0.len());
    check_eq!(i.state_name(), "CLOSE", "state");
    Ok(())
}

fn truncates(ctx: &Ctx) -> Result<()> {
    let s = ctx.tcp()?;
    check_eq!(
        s.getsockopt(c::IPPROTO_TCP, c::TCP_INFO, 104)
            .sys("get")?
            .len(),
        104,
        "length"
    );
    check_eq!(
        s.getsockopt(c::IPPROTO_TCP, c::TCP_INFO, 1)
            .sys("get")?
            .len(),
        1,
        "length"
    );
    Ok(())
}

fn not_settable(ctx: &Ctx) -> Result<()> {
    want_errno(
        "set",
        ctx.tcp()?.set(c::IPPROTO_TCP, c::TCP_INFO, 1),
        c::ENOPROTOOPT,
    )
}

fn negotiated(ctx: &Ctx) -> Result<()> {
    let (client, server) = ctx.connected()?;
    for s in [&client, &server] {
        let i = info(s)?;
        let options = field("options", i.options())?;
        let mut wanted = vec![("timestamps", 1), ("window scale", 4)];
        if ctx.offers_sack() {
            wanted.push(("SACK", 2));
        }
        for (name, bit) in wanted {
            check!(
                options & bit != 0,
                "{name} not negotiated: options {options:#x}"
            );
        }
        let scales = field("wscale", i.wscale())?;
        check!(scales & 15 <= 14 && scales >> 4 <= 14, "scales {scales:#x}");
    }
    let (c, s) = (
        field("w", info(&client)?.wscale())?,
        field("w", info(&server)?.wscale())?,
    );
    check_eq!((c & 15, c >> 4), (s >> 4, s & 15), "the two ends' scales");
    Ok(())
}

fn sizes(ctx: &Ctx) -> Result<()> {
    let (client, server) = ctx.connected()?;
    payload::transfer(&client, &server, 1, 200_000)?;
    let (c, s) = (info(&client)?, info(&server)?);
    check_eq!(c.snd_mss(), Some(1448), "snd_mss");
    check_eq!(c.pmtu(), Some(1500), "pmtu");
    check_eq!(c.advmss(), Some(1448), "advmss");
    check!(
        s.rcv_mss().is_some_and(|m| (536..=1448).contains(&m)),
        "rcv_mss {:?}",
        s.rcv_mss()
    );
    check!(
        c.snd_cwnd().is_some_and(|w| w >= 10),
        "snd_cwnd {:?}",
        c.snd_cwnd()
    );
    check!(
        c.snd_wnd().is_some_and(|w| w > 10_000),
        "snd_wnd {:?}",
        c.snd_wnd()
    );
    check!(
        s.rcv_wnd().is_some_and(|w| w > 10_000),
        "rcv_wnd {:?}",
        s.rcv_wnd()
    );
    check!(
        s.rcv_space().is_some_and(|w| w > 0),
        "rcv_space {:?}",
        s.rcv_space()
    );
    Ok(())
}

fn counts(ctx: &Ctx) -> Result<()> {
    let (client, server) = ctx.connected()?;
    let n = 300_000;
    payload::transfer(&client, &server, 2, n)?;
    netlab::wait::until("everything acknowledged", || {
        (info(&client).ok()?.unacked()? == 0).then_some(())
    })?;
    let (c, s) = (info(&client)?, info(&server)?);
    // The SYN is counted as a byte on neither side of a connection in Linux.
    check!(
        field("bytes_acked", c.bytes_acked())?.abs_diff(n as u64) <= 1,
        "bytes_acked {:?}",
        c.bytes_acked()
    );
    check_eq!(s.bytes_received(), Some(n as u64), "bytes_received");
    // A machine that pauses makes the sender probe (RFC 8985): what is sent again counts in both.
    let again = field("bytes_retrans", c.bytes_retrans())?;
    check_eq!(c.bytes_sent(), Some(n as u64 + again), "bytes_sent");
    let probed = field("total_retrans", c.total_retrans())? != 0;
    check_eq!(probed, again != 0, "total_retrans beside bytes_retrans");
    let segments = n as u32 / 1448;
    for (name, got) in [
        ("segs_out", c.segs_out()),
        ("data_segs_out", c.data_segs_out()),
        ("the peer's segs_in", s.segs_in()),
        ("the peer's data_segs_in", s.data_segs_in()),
    ] {
        check!(
            got.is_some_and(|g| g >= segments && g < 3 * segments),
            "{name} {got:?}"
        );
    }
    check!(
        c.segs_in().is_some_and(|g| g > 2),
        "segs_in {:?}",
        c.segs_in()
    );
    for (name, got) in [
        ("unacked", c.unacked()),
        ("lost", c.lost()),
        ("retrans", c.retrans()),
        ("notsent_bytes", c.notsent_bytes()),
    ] {
        check_eq!(got, Some(0), "{name} when all has arrived");
    }
    Ok(())
}

fn times(ctx: &Ctx) -> Result<()> {
    let (client, server) = ctx.connected()?;
    payload::exchange(&client, &server, 3, 100_000)?;
    let i = info(&client)?;
    check!(
        i.rtt().is_some_and(|t| t > 0 && t < 1_000_000),
        "rtt {:?}",
        i.rtt()
    );
    check!(
        i.rttvar().is_some_and(|t| t > 0 && t < 1_000_000),
        "rttvar {:?}",
        i.rttvar()
    );
    check!(
        i.min_rtt().is_some_and(|t| t < 1_000_000),
        "min_rtt {:?}",
        i.min_rtt()
    );
    let (rto, rtt) = (field("rto", i.rto())?, field("rtt", i.rtt())?);
    check!(
        (200_000..3_000_000).contains(&rto) && rto > rtt,
        "rto {rto}, rtt {rtt}"
    );
    check!(
        i.last_data_sent().is_some_and(|t| t < 60_000),
        "last_data_sent {:?}",
        i.last_data_sent()
    );
    check!(
        i.last_ack_recv().is_some_and(|t| t < 60_000),
        "last_ack_recv {:?}",
        i.last_ack_recv()
    );
    check_eq!(i.backoff(), Some(0), "backoff");
    Ok(())
}

fn listener(ctx: &Ctx) -> Result<()> {
    let (l, addr) = ctx.listener(7)?;
    let client = ctx.tcp()?;
    client.connect(addr).sys("connect")?;
    l.await_events(c::POLLIN).sys("poll")?;
    let i = info(&l)?;
    check_eq!(i.state_name(), "LISTEN", "state");
    check_eq!(i.unacked(), Some(1), "tcpi_unacked, the queue's length");
    check_eq!(i.sacked(), Some(7), "tcpi_sacked, the backlog");
    Ok(())
}

fn proc(ctx: &Ctx) -> Result<()> {
    let (client, server) = ctx.connected()?;
    server.send_all(&[0; 1234]).sys("send")?;
    let (local, remote) = (client.local().sys("name")?, client.peer().sys("peer")?);
    netlab::wait::until("the connection with 1234 bytes to read", || {
        let all = netlab::kstate::sockets(&ctx.lab.a.ns, ctx.client, "tcp").ok()?;
        all.iter()
            .any(|s| (s.local, s.remote, s.state, s.rx_queue) == (local, remote, 1, 1234))
            .then_some(())
    })
}
