// SPDX-License-Identifier: GPL-2.0
//! What `nft` says of packets: filters, address translation, marks, queues.
//!
//! The rules stand in the namespace of one end; a case runs with each family there.

use std::io::BufRead;
use std::io::BufReader;
use std::io::Write;
use std::net::Ipv4Addr;
use std::net::SocketAddrV4;
use std::process::Child;
use std::process::ChildStdin;
use std::process::Command;
use std::process::Stdio;
use std::sync::mpsc;
use std::time::Duration;

use anyhow::bail;
use anyhow::Context;
use anyhow::Result;
use netlab::c;
use netlab::check;
use netlab::check_eq;
use netlab::ktap::skip;
use netlab::ktap::want_errno;
use netlab::ktap::Sysc;
use netlab::ns::Namespace;
use netlab::payload;
use netlab::wait;
use netlab::Sock;

use crate::case::Case;
use crate::case::Ctx;

const G: &str = "netfilter";
/// A second address of A.
const ALIAS: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 99);

/// The cases of this file.
pub const CASES: &[Case] = &[
    Case::two(G, "DNAT_to_a_listener", dnat_tcp).veth().fresh(),
    Case::two(G, "DNAT_of_datagrams_and_their_fragments", dnat_udp)
        .veth()
        .fresh(),
    Case::two(G, "replies_to_a_SNATed_connection", snat_tcp)
        .veth()
        .fresh(),
    Case::two(G, "replies_to_SNATed_datagrams", snat_udp)
        .veth()
        .fresh(),
    Case::two(G, "errors_about_a_SNATed_datagram", snat_error)
        .veth()
        .fresh(),
    Case::two(G, "output_DNAT_to_another_port", dnat_output)
        .veth()
        .fresh(),
    Case::one(G, "a_drop_on_output_is_EPERM", drop_eperm)
        .veth()
        .fresh(),
    Case::two(G, "REJECT_of_what_comes", reject_input)
        .veth()
        .fresh(),
    Case::two(G, "REJECT_of_what_goes", reject_output)
        .veth()
        .fresh(),
    Case::two(G, "a_stateful_firewall_at_both_ends", stateful)
        .veth()
        .fresh(),
    Case::two(G, "connmark_is_remembered", connmark)
        .veth()
        .fresh(),
    Case::one(G, "socket_mark_and_user_are_seen", sender)
        .veth()
        .fresh(),
    Case::one(G, "a_mark_set_on_output_changes_the_way", reroute)
        .veth()
        .fresh(),
    Case::two(G, "NFQUEUE_lets_a_connection_pass", queue_accept)
        .veth()
        .fresh(),
    Case::two(G, "NFQUEUE_closed_with_packets_in_it", queue_closed)
        .veth()
        .fresh(),
];

/// Runs lines of `nft`.
pub fn nft(ns: &Namespace, rules: &str) -> Result<()> {
    ns.run(&["nft", rules]).map(drop)
}

/// One chain of a table of its own, with rules.
pub fn chain(ns: &Namespace, name: &str, hook: &str, rules: &str) -> Result<()> {
    // In one process: to start one costs the guest more than what it does.
    let mut all = format!("add table ip {name}; add chain ip {name} c {{ type {hook}; }}");
    for rule in rules.lines().map(str::trim).filter(|r| !r.is_empty()) {
        all += &format!("; add rule ip {name} c {rule}");
    }
    nft(ns, &all)
}

/// How many packets the rules of a table with a counter have seen, one after another.
pub fn counters(ns: &Namespace, name: &str) -> Result<Vec<u64>> {
    let text = ns.run(&["nft", &format!("list table ip {name}")])?;
    let numbers = text.split("packets ").skip(1);
    Ok(numbers
        .filter_map(|t| t.split_whitespace().next()?.parse().ok())
        .collect())
}

fn at(ip: Ipv4Addr, port: u16) -> SocketAddrV4 {
    SocketAddrV4::new(ip, port)
}

/// A datagram there, and one back to where it came from; the ends as each other's socket sees them.
fn ask(
    client: &Sock,
    server: &Sock,
    to: SocketAddrV4,
    len: usize,
) -> Result<(SocketAddrV4, SocketAddrV4)> {
    let data = payload::Stream::new(len as u64).bytes(len);
    client.sendto(&data, 0, to).sys("sendto")?;
    let mut buf = vec![0; 65_536];
    server.await_events(c::POLLIN).sys("poll of the server")?;
    let (n, from) = server.recvfrom(&mut buf, 0).sys("recvfrom")?;
    check!(buf[..n] == data, "{len} bytes came as {n}, or changed");
    server.sendto(&data, 0, from).sys("sendto back")?;
    client.await_events(c::POLLIN).sys("poll of the client")?;
    let (n, back) = client.recvfrom(&mut buf, 0).sys("recvfrom")?;
    check!(buf[..n] == data, "{len} bytes came back as {n}, or changed");
    Ok((from, back))
}

fn dnat_tcp(ctx: &Ctx) -> Result<()> {
    let b = &ctx.lab.b;
    let (l, addr) = ctx.listener(8)?;
    let rule = format!("tcp dport 80 dnat to {addr}");
    chain(&b.ns, "pre", "nat hook prerouting priority dstnat", &rule)?;
    let client = ctx.tcp()?;
    client.connect(b.at(80)).sys("connect")?;
    let server = l.accept().sys("accept")?;
    check_eq!(server.local().sys("name")?, addr, "the server's name");
    check_eq!(client.peer().sys("peer")?, b.at(80), "the client's peer");
    payload::exchange(&client, &server, 1, 300_000)?;
    drop(client);
    check_eq!(server.recv(&mut [0; 1], 0).sys("recv")?, 0, "the end");
    // Without a listener the reset comes from the port that was asked for.
    drop((l, server));
    want_errno("connect", ctx.tcp()?.connect(b.at(80)), c::ECONNREFUSED)
}

fn dnat_udp(ctx: &Ctx) -> Result<()> {
    let b = &ctx.lab.b;
    let (client, server) = (ctx.udp()?, ctx.server_udp()?);
    let rule = format!("udp dport 53 dnat to {}", server.local().sys("name")?);
    chain(&b.ns, "pre", "nat hook prerouting priority dstnat", &rule)?;
    for len in [1, 1472, 3000, 20_000] {
        let (_, back) = ask(&client, &server, b.at(53), len)?;
        check_eq!(back, b.at(53), "who answered");
    }
    Ok(())
}

/// The rule by which what A sends to B comes from its other address.
fn snat(ctx: &Ctx, protocol: &str) -> Result<()> {
    let a = &ctx.lab.a;
    a.ns.ip(&format!("addr add {ALIAS}/24 dev {}", a.dev))?;
    let rule = format!(
        "ip daddr {} ip protocol {protocol} snat to {ALIAS}",
        ctx.lab.b.ip
    );
    chain(&a.ns, "post", "nat hook postrouting priority srcnat", &rule)
}

fn snat_tcp(ctx: &Ctx) -> Result<()> {
    snat(ctx, "tcp")?;
    let (client, server) = ctx.connected()?;
    check_eq!(
        *server.peer().sys("peer")?.ip(),
        ALIAS,
        "whom the server sees"
    );
    check_eq!(
        *client.local().sys("name")?.ip(),
        ctx.lab.a.ip,
        "the client's name"
    );
    payload::exchange(&client, &server, 2, 300_000)?;
    drop(server);
    check_eq!(client.recv(&mut [0; 1], 0).sys("recv")?, 0, "the end");
    let closed = ctx.closed_port()?;
    want_errno("connect", ctx.tcp()?.connect(closed), c::ECONNREFUSED)
}

fn snat_udp(ctx: &Ctx) -> Result<()> {
    snat(ctx, "udp")?;
    let (client, server) = (ctx.udp()?, ctx.server_udp()?);
    let to = server.local().sys("name")?;
    for len in [1, 1472, 3000, 20_000] {
        let (from, back) = ask(&client, &server, to, len)?;
        check_eq!((*from.ip(), back), (ALIAS, to), "both ends");
    }
    Ok(())
}

/// Connection tracking puts the old addresses into the quoted packet, too.
fn snat_error(ctx: &Ctx) -> Result<()> {
    snat(ctx, "udp")?;
    let client = ctx.udp()?;
    client.connect(ctx.lab.b.at(9)).sys("connect")?;
    client.send(b"x", 0).sys("send")?;
    client.await_events(c::POLLERR).sys("poll")?;
    check_eq!(
        client.take_error().sys("SO_ERROR")?,
        c::ECONNREFUSED,
        "SO_ERROR"
    );
    Ok(())
}

fn dnat_output(ctx: &Ctx) -> Result<()> {
    let (a, b) = (&ctx.lab.a, &ctx.lab.b);
    let (l, addr) = ctx.listener(8)?;
    let (client, server) = (ctx.udp()?, ctx.server_udp()?);
    let to = server.local().sys("name")?;
    let rules = format!("tcp dport 80 dnat to {addr}\nudp dport 53 dnat to {to}");
    chain(&a.ns, "out", "nat hook output priority dstnat", &rules)?;
    let (_, back) = ask(&client, &server, b.at(53), 3000)?;
    check_eq!(back, b.at(53), "who answered");
    let client = ctx.tcp()?;
    client.connect(b.at(80)).sys("connect")?;
    let server = l.accept().sys("accept")?;
    check_eq!(client.peer().sys("peer")?, b.at(80), "the client's peer");
    payload::exchange(&client, &server, 3, 100_000)
}

fn drop_eperm(ctx: &Ctx) -> Result<()> {
    let (a, b) = (&ctx.lab.a, &ctx.lab.b);
    let rules = "udp dport 7 drop\nip protocol icmp drop";
    chain(&a.ns, "out", "filter hook output priority 0", rules)?;
    let rule = "udp dport 9 drop";
    chain(&a.ns, "post", "filter hook postrouting priority 0", rule)?;
    let s = ctx.udp()?;
    for port in [7, 9] {
        want_errno("sendto", s.sendto(b"x", 0, b.at(port)), c::EPERM)?;
        // Corked and long ones, too.
        s.sendto(b"x", c::MSG_MORE, b.at(port))
            .sys("sendto, more")?;
        want_errno("the last", s.sendto(b"y", 0, b.at(port)), c::EPERM)?;
        want_errno("3000 bytes", s.sendto(&[0; 3000], 0, b.at(port)), c::EPERM)?;
    }
    s.sendto(b"x", 0, b.at(10)).sys("sendto another port")?;
    let raw = || Sock::new(ctx.family(), c::SOCK_RAW, c::IPPROTO_ICMP);
    let raw = a.ns.enter(raw).sys("socket(RAW)")?;
    let echo = [8, 0, 0xf7, 0xfd, 0, 1, 0, 1];
    want_errno("an echo request", raw.sendto(&echo, 0, b.at(0)), c::EPERM)
}

fn reject_input(ctx: &Ctx) -> Result<()> {
    let (l, addr) = ctx.listener(8)?;
    let server = ctx.server_udp()?;
    let to = server.local().sys("name")?;
    let rules = format!(
        "tcp dport {} counter reject with tcp reset\n\
         udp dport {} counter reject with icmp type port-unreachable",
        addr.port(),
        to.port()
    );
    chain(&ctx.lab.b.ns, "in", "filter hook input priority 0", &rules)?;
    want_errno("connect", ctx.tcp()?.connect(addr), c::ECONNREFUSED)?;
    let client = ctx.udp()?;
    client.connect(to).sys("connect")?;
    client.send(b"x", 0).sys("send")?;
    client.await_events(c::POLLERR).sys("poll")?;
    check_eq!(
        client.take_error().sys("SO_ERROR")?,
        c::ECONNREFUSED,
        "SO_ERROR"
    );
    for (s, what) in [(&l, "listener"), (&server, "server")] {
        let ready = s.poll(c::POLLIN, Duration::ZERO).sys("poll")?;
        check_eq!(ready, 0, "events of the {what}");
    }
    let counted = counters(&ctx.lab.b.ns, "in")?;
    check_eq!(counted, [1, 1], "packets refused");
    Ok(())
}

fn reject_output(ctx: &Ctx) -> Result<()> {
    let a = &ctx.lab.a;
    let (_l, addr) = ctx.listener(8)?;
    let rules = format!(
        "tcp dport {} reject with tcp reset\n\
         udp dport 9 reject with icmp type admin-prohibited",
        addr.port()
    );
    chain(&a.ns, "out", "filter hook output priority 0", &rules)?;
    want_errno("connect", ctx.tcp()?.connect(addr), c::ECONNREFUSED)?;
    let client = ctx.udp()?;
    client.connect(ctx.lab.b.at(9)).sys("connect")?;
    // Refused at once, and told by a message, too.
    let sent = client.send(b"x", 0);
    check!(sent.is_err(), "what was refused was sent");
    client.await_events(c::POLLERR).sys("poll")?;
    check_eq!(
        client.take_error().sys("SO_ERROR")?,
        c::EHOSTUNREACH,
        "SO_ERROR"
    );
    Ok(())
}

fn stateful(ctx: &Ctx) -> Result<()> {
    let (l, addr) = ctx.listener(8)?;
    let server = ctx.server_udp()?;
    let to = server.local().sys("name")?;
    let rules = |first: &str| {
        format!(
            "ct state invalid counter drop\n\
             ct state established,related counter accept\n\
             {first}\n\
             drop"
        )
    };
    let (a, b) = (&ctx.lab.a.ns, &ctx.lab.b.ns);
    let hook = "filter hook input priority 0";
    chain(a, "in", hook, &rules("iif lo accept"))?;
    let open = format!(
        "tcp dport {} ct state new accept\nudp dport {} ct state new accept",
        addr.port(),
        to.port()
    );
    chain(b, "in", hook, &rules(&open))?;
    let (client, conn) = ctx.connect_to(&l, addr)?;
    payload::exchange(&client, &conn, 4, 200_000)?;
    ask(&ctx.udp()?, &server, to, 3000)?;
    // Related to what A sent: its error is let in.
    let rule = "udp dport 9 reject";
    chain(b, "first", "filter hook input priority -10", rule)?;
    let refused = ctx.udp()?;
    refused.connect(ctx.lab.b.at(9)).sys("connect")?;
    refused.send(b"x", 0).sys("send")?;
    refused.await_events(c::POLLERR).sys("poll")?;
    for ns in [a, b] {
        let seen = counters(ns, "in")?;
        let [invalid, established, ..] = seen[..] else {
            bail!("no counters: {seen:?}");
        };
        check!(
            invalid == 0 && established > 0,
            "{invalid} invalid, {established} established"
        );
    }
    // What nobody asked for is not.
    let uninvited = ctx.udp()?;
    ctx.server_udp()?
        .sendto(b"x", 0, uninvited.local().sys("name")?)
        .sys("sendto")?;
    // This exchange is later on the same link.
    ask(&ctx.udp()?, &server, to, 1)?;
    let ready = uninvited.poll(c::POLLIN, Duration::ZERO).sys("poll")?;
    check_eq!(ready, 0, "events of a socket that nobody should reach");
    Ok(())
}

fn connmark(ctx: &Ctx) -> Result<()> {
    let a = &ctx.lab.a.ns;
    let server = ctx.server_udp()?;
    let to = server.local().sys("name")?;
    let set = format!("udp dport {} ct mark set 7", to.port());
    chain(a, "out", "filter hook output priority 0", &set)?;
    let seen = "ct mark 7 counter\ncounter";
    chain(a, "in", "filter hook input priority 0", seen)?;
    ask(&ctx.udp()?, &server, to, 10)?;
    check_eq!(counters(a, "in")?, [1, 1], "packets in, marked and all");
    let (client, conn) = ctx.connected()?;
    client.send_all(b"x").sys("send")?;
    conn.recv_exact(&mut [0; 1]).sys("recv")?;
    check_eq!(
        counters(a, "in")?.first(),
        Some(&1),
        "packets with the mark"
    );
    let list = ctx.lab.a.ns.run(&["conntrack", "-L", "--mark", "7"])?;
    check!(
        list.contains(&format!("dport={}", to.port())),
        "conntrack -L: {list:?}"
    );
    Ok(())
}

fn sender(ctx: &Ctx) -> Result<()> {
    let a = &ctx.lab.a.ns;
    let rules = "meta mark 9 counter\nmeta skuid 0 udp dport 7 counter\nmeta priority 5 counter";
    chain(a, "out", "filter hook output priority 0", rules)?;
    let s = ctx.udp()?;
    let to = ctx.lab.b.at(7);
    s.sendto(b"x", 0, to).sys("sendto")?;
    check_eq!(counters(a, "out")?, [0, 1, 0], "mark, user, priority");
    s.set(c::SOL_SOCKET, c::SO_MARK, 9).sys("SO_MARK")?;
    s.set(c::SOL_SOCKET, c::SO_PRIORITY, 5).sys("SO_PRIORITY")?;
    s.sendto(b"x", 0, to).sys("sendto")?;
    check_eq!(counters(a, "out")?, [1, 2, 1], "mark, user, priority");
    Ok(())
}

/// A chain of type `route` has the way of what it marked looked up again.
fn reroute(ctx: &Ctx) -> Result<()> {
    let (a, b) = (&ctx.lab.a.ns, &ctx.lab.b.ns);
    a.ip(&format!(
        "link add va2 type veth peer name vb2 netns {}\n\
         addr add 10.88.0.1/24 dev va2\n\
         link set va2 up\n\
         route add default via 10.77.0.2\n\
         route add default via 10.88.0.2 table 100\n\
         rule add fwmark 7 table 100",
        b.path()
    ))?;
    b.ip("addr add 10.88.0.2/24 dev vb2\nlink set vb2 up\naddr add 192.0.2.1/32 dev lo")?;
    b.sysctl("net/ipv4/conf/all/rp_filter", "0")?;
    b.sysctl("net/ipv4/conf/vb2/rp_filter", "0")?;
    let rule = "udp dport 7 meta mark set 7";
    chain(a, "out", "route hook output priority 0", rule)?;
    let rules = "iif vb udp dport 6-7 counter\niif vb2 udp dport 6-7 counter";
    chain(b, "in", "filter hook input priority 0", rules)?;
    let s = ctx.udp()?;
    for (port, len, want) in [(6, 1, [1, 0]), (7, 1, [1, 1]), (7, 3000, [1, 2])] {
        s.sendto(&vec![0; len], 0, at(Ipv4Addr::new(192, 0, 2, 1), port))
            .sys("sendto")?;
        wait::until("packets by the one link and by the other", || {
            (counters(b, "in").ok()? == want).then_some(())
        })?;
    }
    Ok(())
}

/// A program behind a queue; killed when dropped.
pub struct Queue {
    child: Child,
    input: Option<ChildStdin>,
    lines: mpsc::Receiver<String>,
}

impl Queue {
    /// Starts it in a namespace: `accept` lets packets go on, `hold` waits for [`Queue::release`].
    pub fn new(ns: &Namespace, how: &str) -> Result<Queue> {
        let spawned = ns.enter(|| {
            Command::new("nfqueue.py")
                .arg(how)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
        });
        let Ok(mut child) = spawned else {
            return Err(skip("needs nfqueue.py and python3"));
        };
        let (tx, lines) = mpsc::channel();
        let out = child.stdout.take().context("piped")?;
        std::thread::spawn(move || {
            let lines = BufReader::new(out).lines().map_while(Result::ok);
            lines
                .take_while(|l| tx.send(l.clone()).is_ok())
                .for_each(drop);
        });
        let queue = Queue {
            input: child.stdin.take(),
            child,
            lines,
        };
        queue.says("ready")?;
        Ok(queue)
    }

    /// Waits for a line that begins so.
    pub fn says(&self, word: &str) -> Result<String> {
        let got = self.lines.recv_timeout(wait::PATIENCE);
        let got = got.with_context(|| format!("the queue's program did not say {word:?}"))?;
        check!(got.starts_with(word), "the queue's program said {got:?}");
        Ok(got)
    }

    /// Lets go on what was held.
    pub fn release(&mut self) -> Result<()> {
        let mut input = self.input.as_ref().context("piped")?;
        input.write_all(b"\n")?;
        self.says("released").map(drop)
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn queue_accept(ctx: &Ctx) -> Result<()> {
    for (end, hook, number) in [
        (&ctx.lab.a, "output", 3),
        (&ctx.lab.a, "postrouting", 4),
        (&ctx.lab.b, "input", 1),
        (&ctx.lab.b, "prerouting", 0),
    ] {
        let queue = Queue::new(&end.ns, "accept")?;
        let rule = "ip protocol { tcp, udp } queue to 0";
        chain(
            &end.ns,
            "q",
            &format!("filter hook {hook} priority 0"),
            rule,
        )?;
        pass(ctx).with_context(|| format!("queued at {hook} of {}", end.dev))?;
        queue.says(&format!("packet {number}"))?;
        nft(&end.ns, "delete table ip q")?;
    }
    Ok(())
}

/// A connection and datagrams, short and in fragments.
fn pass(ctx: &Ctx) -> Result<()> {
    let (client, server) = ctx.connected()?;
    payload::exchange(&client, &server, 5, 60_000)?;
    let (client, server) = (ctx.udp()?, ctx.server_udp()?);
    let to = server.local().sys("name")?;
    ask(&client, &server, to, 10)?;
    ask(&client, &server, to, 4000).map(drop)
}

/// Packets that nobody will answer for are gone with the queue, and what they held with them.
fn queue_closed(ctx: &Ctx) -> Result<()> {
    let (client, server) = (ctx.udp()?, ctx.server_udp()?);
    let to = server.local().sys("name")?;
    let a = &ctx.lab.a.ns;
    for hook in ["output", "postrouting"] {
        let mut queue = Queue::new(a, "hold")?;
        chain(
            a,
            "q",
            &format!("filter hook {hook} priority 0"),
            "udp dport != 1 queue to 0",
        )?;
        client.sendto(b"held", 0, to).sys("sendto")?;
        queue.says("packet")?;
        let ready = server.poll(c::POLLIN, Duration::ZERO).sys("poll")?;
        check_eq!(ready, 0, "events while it is held");
        queue.release()?;
        server.await_events(c::POLLIN).sys("poll")?;
        server.recv(&mut [0; 10], 0).sys("recv")?;
        // The program holds no more, so this one stays where it is until the end.
        client.sendto(b"lost", 0, to).sys("sendto")?;
        drop(queue);
        nft(a, "delete table ip q")?;
        client.sendto(b"after", 0, to).sys("sendto")?;
        server.await_events(c::POLLIN).sys("poll")?;
        let mut buf = [0; 10];
        let n = server.recv(&mut buf, 0).sys("recv")?;
        check_eq!(&buf[..n], b"after", "what came behind the queue");
    }
    Ok(())
}
