// SPDX-License-Identifier: GPL-2.0
//! The operations that are measured, one function each: nanoseconds per operation.
//!
//! Under `-icount shift=0` a virtual nanosecond is one instruction, so these are instruction counts
//! of everything that one operation causes: both ends' system calls, both stacks, veth and the
//! switches between the two threads.

use std::net::SocketAddrV4;
use std::time::Duration;

use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use netlab::ktap::Sysc;
use netlab::lab::Lab;
use netlab::tap::Tap;
use netlab::tap::ETH_P_LOCAL;
use netlab::Family;
use netlab::Sock;

use crate::router::Router;
use crate::work;

/// How much of everything to do.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// Round trips, or connections, in one run, after a tenth as many for warming up.
    pub ops: u32,
    /// Bytes of one bulk run.
    pub bulk: usize,
}

/// One kind of operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// A request of 1 byte and a reply of 1 byte over TCP.
    TcpRr1,
    /// The same with 1 KiB each way.
    TcpRr1k,
    /// One byte of a long transfer in 64 KiB writes and reads.
    TcpBulk,
    /// socket, connect, accept, close on both sides, ending in TIME_WAIT.
    ConnectClose,
    /// The same with SO_LINGER 0: the close is a reset and leaves nothing behind.
    ConnectReset,
    /// A datagram of 1 byte and its answer.
    UdpRr1,
    /// A frame and its answer over AF_PACKET: what the devices and the system calls cost alone.
    Floor,
    /// A packet of 64 bytes, IP header included, through a router.
    Forward64,
    /// The same of 1500 bytes.
    Forward1500,
    /// A short frame over AF_PACKET that nobody waits for at the other end.
    Frames,
    /// The same, as long as the wire carries.
    LongFrames,
}

impl Op {
    /// What two families are compared by, in the order of the table.
    pub const ALL: [Op; 9] = [
        Op::Floor,
        Op::TcpRr1,
        Op::TcpRr1k,
        Op::TcpBulk,
        Op::ConnectClose,
        Op::ConnectReset,
        Op::UdpRr1,
        Op::Forward64,
        Op::Forward1500,
    ];

    /// The name in the table and in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Op::TcpRr1 => "tcp_rr_1B",
            Op::TcpRr1k => "tcp_rr_1KiB",
            Op::TcpBulk => "tcp_bulk_per_byte",
            Op::ConnectClose => "tcp_connect_close",
            Op::ConnectReset => "tcp_connect_reset",
            Op::UdpRr1 => "udp_rr_1B",
            Op::Floor => "packet_rr_floor",
            Op::Forward64 => "forward_64B",
            Op::Forward1500 => "forward_1500B",
            Op::Frames => "frame_67B",
            Op::LongFrames => "frame_1514B",
        }
    }

    /// Whether it is done with sockets of a family.
    pub fn has_family(self) -> bool {
        !matches!(self, Op::Floor | Op::Frames | Op::LongFrames)
    }

    /// Whether [`Op::Floor`] says what this could cost at the least.
    pub fn has_floor(self) -> bool {
        matches!(self, Op::TcpRr1 | Op::TcpRr1k | Op::UdpRr1)
    }

    /// Runs it once and returns nanoseconds per operation.
    pub fn measure(
        self,
        lab: &Lab,
        router: Option<&Router>,
        family: Family,
        effort: Effort,
    ) -> Result<f64> {
        let forward = |len| {
            let router = router.context("no router here")?;
            router.forward(family, len, effort.ops)
        };
        match self {
            Op::TcpRr1 => tcp_rr(lab, family, 1, effort.ops),
            Op::TcpRr1k => tcp_rr(lab, family, 1024, effort.ops),
            Op::TcpBulk => tcp_bulk(lab, family, effort.bulk),
            Op::ConnectClose => connects(lab, family, effort.ops, false),
            Op::ConnectReset => connects(lab, family, effort.ops, true),
            Op::UdpRr1 => udp_rr(lab, family, effort.ops),
            Op::Floor => floor(lab, effort.ops),
            Op::Forward64 => forward(64),
            Op::Forward1500 => forward(1500),
            Op::Frames => frames(lab, SHORT, effort.ops * 10),
            Op::LongFrames => frames(lab, 1500, effort.ops * 10),
        }
        .with_context(|| format!("{} on {family}", self.name()))
    }
}

/// Bytes that open the windows and size the buffers, before a bulk run counts.
const WARM_BULK: usize = 4 << 20;

/// A tenth, but never fewer than 200: caches, the congestion window and the delayed-ACK state settle.
pub fn warm_up(ops: u32) -> u32 {
    (ops / 10).max(200)
}

/// Nanoseconds of one operation.
pub fn per_op(took: Duration, ops: u32) -> f64 {
    took.as_nanos() as f64 / f64::from(ops)
}

/// A listener at `b`, its address, and a connected pair across the link.
pub fn connected(lab: &Lab, family: Family) -> Result<(Sock, Sock)> {
    let (listener, addr) = listener(lab, family)?;
    let client = lab.a.tcp(family)?;
    client.connect(addr).sys("connect")?;
    let server = listener.accept().sys("accept")?;
    client.nodelay(true).sys("TCP_NODELAY")?;
    server.nodelay(true).sys("TCP_NODELAY")?;
    Ok((client, server))
}

/// A listener at `b` on a free port.
pub fn listener(lab: &Lab, family: Family) -> Result<(Sock, SocketAddrV4)> {
    let listener = lab.b.tcp(family)?;
    listener.bind(lab.b.at(0)).sys("bind")?;
    listener.listen(4096).sys("listen")?;
    let addr = listener.local().sys("getsockname")?;
    Ok((listener, addr))
}

fn tcp_rr(lab: &Lab, family: Family, size: usize, ops: u32) -> Result<f64> {
    let (client, server) = connected(lab, family)?;
    ping_pong(&client, &server, size, ops)
}

fn udp_rr(lab: &Lab, family: Family, ops: u32) -> Result<f64> {
    let (a, b) = (lab.a.udp(family)?, lab.b.udp(family)?);
    a.bind(lab.a.at(0)).sys("bind")?;
    b.bind(lab.b.at(0)).sys("bind")?;
    a.connect(b.local().sys("getsockname")?).sys("connect")?;
    b.connect(a.local().sys("getsockname")?).sys("connect")?;
    ping_pong(&a, &b, 1, ops)
}

fn ping_pong(client: &Sock, server: &Sock, size: usize, ops: u32) -> Result<f64> {
    let all = warm_up(ops) + ops;
    std::thread::scope(|s| {
        let echo = s.spawn(|| -> Result<()> {
            let mut buf = vec![0; size];
            for _ in 0..all {
                server.recv_exact(&mut buf).sys("server recv")?;
                server.send_all(&buf).sys("server send")?;
            }
            Ok(())
        });
        let run = || -> Result<Duration> {
            let mut buf = vec![7; size];
            let mut start = work::now();
            for i in 0..all {
                if i == all - ops {
                    start = work::now();
                }
                client.send_all(&buf).sys("client send")?;
                client.recv_exact(&mut buf).sys("client recv")?;
            }
            Ok(work::now() - start)
        };
        let took = run();
        if took.is_err() {
            let _ = client.shutdown(netlab::c::SHUT_RDWR);
        }
        echo.join()
            .expect("no panic")
            .and(took)
            .map(|t| per_op(t, ops))
    })
}

fn tcp_bulk(lab: &Lab, family: Family, bytes: usize) -> Result<f64> {
    let (client, server) = connected(lab, family)?;
    let took = bulk(&client, &server, WARM_BULK).and_then(|_| bulk(&client, &server, bytes))?;
    Ok(took.as_nanos() as f64 / bytes as f64)
}

/// Moves `bytes` and returns how long it took until the last of them was read.
pub fn bulk(from: &Sock, to: &Sock, bytes: usize) -> Result<Duration> {
    const CHUNK: usize = 64 * 1024;
    std::thread::scope(|s| {
        let start = work::now();
        let sender = s.spawn(|| -> Result<()> {
            let buf = vec![0x5a; CHUNK];
            let mut left = bytes;
            while left > 0 {
                left -= from.send(&buf[..CHUNK.min(left)], 0).sys("send")?;
            }
            Ok(())
        });
        let run = || -> Result<Duration> {
            let mut buf = vec![0; CHUNK];
            let mut left = bytes;
            while left > 0 {
                let n = to.recv(&mut buf[..CHUNK.min(left)], 0).sys("recv")?;
                ensure!(n > 0, "the stream ended {left} bytes early");
                left -= n;
            }
            Ok(work::now() - start)
        };
        let took = run();
        if took.is_err() {
            let _ = from.shutdown(netlab::c::SHUT_RDWR);
        }
        sender.join().expect("no panic").and(took)
    })
}

fn connects(lab: &Lab, family: Family, ops: u32, reset: bool) -> Result<f64> {
    let (listener, addr) = listener(lab, family)?;
    let all = warm_up(ops) + ops;
    std::thread::scope(|s| {
        let server = s.spawn(|| -> Result<()> {
            let mut buf = [0; 1];
            for _ in 0..all {
                let conn = listener.accept().sys("accept")?;
                if reset {
                    // ECONNRESET is what the peer's close means here.
                    let _ = conn.recv(&mut buf, 0);
                } else {
                    let n = conn.recv(&mut buf, 0).sys("recv")?;
                    ensure!(n == 0, "data on a connection that carries none");
                }
            }
            Ok(())
        });
        let run = || -> Result<Duration> {
            lab.a
                .ns
                .enter(|| {
                    let mut start = work::now();
                    for i in 0..all {
                        if i == all - ops {
                            start = work::now();
                        }
                        let conn = Sock::tcp(family).sys("socket")?;
                        conn.connect(addr).sys("connect")?;
                        if reset {
                            conn.linger(true, 0).sys("SO_LINGER")?;
                        }
                    }
                    Ok(start)
                })
                .map(|start| work::now() - start)
        };
        let took = run();
        if took.is_err() {
            let _ = listener.shutdown(netlab::c::SHUT_RDWR);
        }
        server
            .join()
            .expect("no panic")
            .and(took)
            .map(|t| per_op(t, ops))
    })
}

/// As long as the packet of a TCP segment with one byte and the timestamp option.
const SHORT: usize = 53;

fn frames(lab: &Lab, bytes: usize, ops: u32) -> Result<f64> {
    let tap = Tap::new(&lab.a, ETH_P_LOCAL)?;
    let frame = netlab::frame::ethernet(lab.b.mac, lab.a.mac, ETH_P_LOCAL, &vec![0; bytes]);
    let all = warm_up(ops) + ops;
    let mut start = work::now();
    for i in 0..all {
        if i == all - ops {
            start = work::now();
        }
        tap.send(&frame).sys("send(AF_PACKET)")?;
    }
    Ok(per_op(work::now() - start, ops))
}

fn floor(lab: &Lab, ops: u32) -> Result<f64> {
    let a = Tap::new(&lab.a, ETH_P_LOCAL)?;
    let b = Tap::new(&lab.b, ETH_P_LOCAL)?;
    let filler = [0; SHORT];
    let forth = netlab::frame::ethernet(lab.b.mac, lab.a.mac, ETH_P_LOCAL, &filler);
    let back = netlab::frame::ethernet(lab.a.mac, lab.b.mac, ETH_P_LOCAL, &filler);
    let all = warm_up(ops) + ops;
    std::thread::scope(|s| {
        let echo = s.spawn(|| -> Result<()> {
            let mut buf = [0; 256];
            for _ in 0..all {
                b.recv_into(&mut buf).sys("recv(AF_PACKET)")?;
                b.send(&back).sys("send(AF_PACKET)")?;
            }
            Ok(())
        });
        let mut buf = [0; 256];
        let mut start = work::now();
        for i in 0..all {
            if i == all - ops {
                start = work::now();
            }
            a.send(&forth).sys("send(AF_PACKET)")?;
            a.recv_into(&mut buf).sys("recv(AF_PACKET)")?;
        }
        let took = work::now() - start;
        echo.join().expect("no panic")?;
        Ok(per_op(took, ops))
    })
}
