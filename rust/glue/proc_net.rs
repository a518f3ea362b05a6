// SPDX-License-Identifier: GPL-2.0
//! `/proc/net/rustnet/{tcp,udp}`: RustNet's sockets in the format of `/proc/net/tcp` and `/proc/net/udp`,
//! so that `PROC_NET_TCP=/proc/net/rustnet/tcp ss -tan` shows them.
//!
//! Mirrors [`tcp4_seq_show`](srctree/net/ipv4/tcp_ipv4.c), [`udp4_seq_show`](srctree/net/ipv4/udp.c)

use super::{
    tcp::Tcp,
    tcp_request,
    tcp_timewait,
    udp::Udp, //
};
use crate::{
    abstractions::{
        ehash::Found,
        inet::JIFFY_NS,
        netns::Net,
        proc_fs::{
            Dir,
            Show, //
        },
        proto::Protocol,
        sock::Sock,
        sock_lock::UserLock, //
    },
    bindings,
    stack::socket::FourTuple, //
};
use core::fmt::{
    self,
    Write, //
};
use kernel::{
    error::Result,
    seq_file::SeqFile, //
};

/// Adds the files.
pub(super) fn register(dir: &Dir) -> Result {
    dir.add::<TcpFile>(c"tcp")?;
    dir.add::<UdpFile>(c"udp")
}

/// Ticks a second of the times that `/proc` shows (`USER_HZ`).
const USER_HZ: u64 = 100;

/// One line, which is filled with blanks to a fixed width: who reads such files counts on that.
struct Line {
    bytes: [u8; 160],
    len: usize,
}

impl Line {
    fn new() -> Self {
        Line {
            bytes: [b' '; 160],
            len: 0,
        }
    }

    /// Prints the line, `width` columns wide.
    fn show(&self, m: &SeqFile, width: usize) {
        let text = self.bytes.get(..self.len.max(width)).unwrap_or(&[]);
        let text = core::str::from_utf8(text).unwrap_or("");
        m.call_printf(format_args!("{}\n", text));
    }
}

impl Write for Line {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        let end = self.len.saturating_add(s.len());
        self.bytes
            .get_mut(self.len..end)
            .ok_or(fmt::Error)?
            .copy_from_slice(s.as_bytes());
        self.len = end;
        Ok(())
    }
}

/// Columns of `/proc/net/tcp` (`TMPSZ - 1`).
const TCP_WIDTH: usize = 149;
/// Columns of `/proc/net/udp`.
const UDP_WIDTH: usize = 127;

/// Jiffies as ticks of `/proc`.
fn clock_t(jiffies: u64) -> u64 {
    jiffies.saturating_mul(JIFFY_NS) / (1_000_000_000 / USER_HZ)
}

/// Both ends, as they have always been shown: addresses as numbers of the machine's byte order.
fn ends(l: &mut Line, n: usize, id: &FourTuple, state: u8) -> fmt::Result {
    write!(
        l,
        "{:4}: {:08X}:{:04X} {:08X}:{:04X} {:02X} ",
        n,
        id.saddr.to_u32().to_be(),
        id.sport,
        id.daddr.to_u32().to_be(),
        id.dport,
        state
    )
}

/// Shows every object of a table that is in the namespace, in the table's order.
fn walk<P: Protocol>(mut show: impl FnMut(Found<P>)) {
    let (connected, bound) = P::table().len();
    for chain in 0..bound.saturating_add(connected) {
        let mut n = 0;
        while let Some(found) = P::table().nth(chain, n) {
            show(found);
            n += 1;
        }
    }
}

struct TcpFile;

impl Show for TcpFile {
    fn show(net: &Net, m: &SeqFile) -> Result {
        let mut l = Line::new();
        let _ = l.write_str(
            "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode",
        );
        l.show(m, TCP_WIDTH);
        let mut n = 0;
        walk::<Tcp>(|found| {
            let mut l = Line::new();
            let shown = match &found {
                Found::Sock(so) if so.net().eq(net) => tcp_sock(&mut l, n, so),
                Found::HalfOpen(mini) if mini.net().eq(net) => {
                    tcp_request::show(mini, |id, timeouts, uid| {
                        let left = clock_t(mini.timer_left() as u64);
                        ends(&mut l, n, id, bindings::TCP_SYN_RECV as u8)?;
                        write!(
                            l,
                            "00000000:00000000 01:{left:08X} {timeouts:08X} {uid:5} {:8} 0 0 0",
                            0
                        )
                    })
                }
                Found::TimeWait(mini) if mini.net().eq(net) => {
                    tcp_timewait::show(mini, |id, state| {
                        let left = clock_t(mini.timer_left() as u64);
                        ends(&mut l, n, id, state)?;
                        write!(
                            l,
                            "00000000:00000000 03:{left:08X} 00000000 {:5} {:8} 0 3 0",
                            0, 0
                        )
                    })
                }
                _ => return,
            };
            if shown.is_ok() {
                l.show(m, TCP_WIDTH);
                n += 1;
            }
        });
        Ok(())
    }
}

fn tcp_sock(l: &mut Line, n: usize, so: &Sock<Tcp>) -> fmt::Result {
    let state = so.state();
    let id = super::tcp::id(so);
    ends(l, n, &id, state)?;
    let (tx, rx, tm) = if u32::from(state) == bindings::TCP_LISTEN {
        (0, so.ack_backlog(), None)
    } else {
        let mut lock = UserLock::new(so);
        let tp = &lock.private().tp;
        (tp.outq(), tp.unread(), tp.next_expiry())
    };
    let when = tm.map_or(0, |at| {
        at.since(super::inet_sock::now()).as_nanos() / (1_000_000_000 / USER_HZ)
    });
    write!(
        l,
        "{tx:08X}:{rx:08X} {:02X}:{when:08X} {:08X} {:5} {:8} {} {} 0",
        u8::from(tm.is_some()),
        0,
        so.uid_val(),
        0,
        so.ino(),
        so.refs(),
    )
}

struct UdpFile;

impl Show for UdpFile {
    fn show(net: &Net, m: &SeqFile) -> Result {
        let mut l = Line::new();
        let _ = l.write_str(
            "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops",
        );
        l.show(m, UDP_WIDTH);
        let mut n = 0;
        walk::<Udp>(|found| {
            let Found::Sock(so) = found else {
                return;
            };
            if !so.net().eq(net) {
                return;
            }
            let mut l = Line::new();
            let id = super::udp::id(&so);
            let shown = l
                .write_str(" ")
                .and_then(|()| ends(&mut l, n, &id, so.state()))
                .and_then(|()| {
                    write!(
                        l,
                        "{:08X}:{:08X} 00:00000000 00000000 {:5} {:8} {} {} 0 {}",
                        so.wmem_alloc().saturating_sub(1),
                        so.rmem_alloc(),
                        so.uid_val(),
                        0,
                        so.ino(),
                        so.refs(),
                        so.drops(),
                    )
                });
            if shown.is_ok() {
                l.show(m, UDP_WIDTH);
                n += 1;
            }
        });
        Ok(())
    }
}
