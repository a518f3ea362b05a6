// SPDX-License-Identifier: GPL-2.0
//! SYN cookies: a listener under a flood of SYNs keeps nothing (RFC 4987, 3.6).
//!
//! What a half-open connection would remember travels in the SYN-ACK and comes back in the ACK. The
//! sequence number holds a hash over both ends that only this host can make, the minute, and one of four
//! sizes of segments. The timestamp, if the peer uses them, holds the rest in its lowest six bits:
//!
//! ```text
//!   | 31 … 6    | 5   | 4    | 3 … 0        |
//!   | timestamp | ECN | SACK | window scale |     15 for no window scaling
//! ```
//!
//! Mirrors [`syncookies.c`](srctree/net/ipv4/syncookies.c)

use super::{
    listen::{
        self,
        ListenConfig,
        Request, //
    },
    options::Options,
    segment::Segment,
    seq::SeqNum,
    skb::Flags, //
};
use crate::stack::{
    socket::{
        siphash::{
            siphash24_u64x2,
            Key, //
        },
        FourTuple, //
    },
    time::{
        Duration,
        Instant, //
    }, //
};

/// Bits of the sequence number below the minute (`COOKIEBITS`).
const BITS: u32 = 24;
const MASK: u32 = (1 << BITS) - 1;
/// How long a listener takes cookies after it has last sent one (`TCP_SYNCOOKIE_VALID`).
pub const VALID: Duration = Duration::from_secs(120);
/// How many minutes old a cookie may be (`MAX_SYNCOOKIE_AGE`).
const MAX_AGE: u32 = 2;
/// The sizes of segments that a cookie can hold, the commonest ones (Alcock and Nelson, 2011).
const MSSTAB: [u16; 4] = [536, 1300, 1440, 1460];
/// Bits of the timestamp that hold options.
const TSBITS: u32 = 6;
const TS_WSCALE: u32 = 0xf;
const TS_SACK: u32 = 1 << 4;
const TS_ECN: u32 = 1 << 5;

/// What makes this host's cookies.
#[derive(Clone, Copy, Debug)]
pub struct Secret(pub [Key; 2]);

impl Secret {
    fn hash(&self, id: FourTuple, count: u32, which: usize) -> u32 {
        let key = self.0.get(which).copied().unwrap_or_default();
        let addrs = (u64::from(id.saddr.to_u32()) << 32) | u64::from(id.daddr.to_u32());
        let rest = (u64::from(id.sport) << 48) | (u64::from(id.dport) << 32) | u64::from(count);
        siphash24_u64x2(addrs, rest, &key) as u32
    }

    /// Hash of both ends, plus their number, plus the minute, plus a hash of the minute and `data`.
    ///
    /// Mirrors [`secure_tcp_syn_cookie`](srctree/net/ipv4/syncookies.c).
    fn make(&self, id: FourTuple, irs: SeqNum, data: u32, now: Instant) -> u32 {
        let count = minute(now);
        self.hash(id, 0, 0)
            .wrapping_add(irs.get())
            .wrapping_add(count << BITS)
            .wrapping_add(self.hash(id, count, 1).wrapping_add(data) & MASK)
    }

    /// The data of a cookie; anything else if it is none of ours, or too old.
    ///
    /// Mirrors [`check_tcp_syn_cookie`](srctree/net/ipv4/syncookies.c).
    fn open(&self, id: FourTuple, irs: SeqNum, cookie: u32, now: Instant) -> Option<u32> {
        let cookie = cookie.wrapping_sub(self.hash(id, 0, 0).wrapping_add(irs.get()));
        let count = minute(now);
        let age = count.wrapping_sub(cookie >> BITS) & (u32::MAX >> BITS);
        if age >= MAX_AGE {
            return None;
        }
        Some(cookie.wrapping_sub(self.hash(id, count.wrapping_sub(age), 1)) & MASK)
    }
}

/// Mirrors [`tcp_cookie_time`](srctree/include/net/tcp.h).
fn minute(now: Instant) -> u32 {
    (now.as_nanos() / 60_000_000_000) as u32
}

/// The answer to a SYN that nothing is kept of: a request with a cookie for its sequence number, and
/// the time that its timestamp is to tell. `ts_offset` is that of the connection.
///
/// Mirrors [`cookie_init_sequence`, `cookie_init_timestamp`](srctree/net/ipv4/syncookies.c).
pub fn conn_request(
    cfg: &ListenConfig<'_>,
    secret: &Secret,
    seg: &Segment,
    id: FourTuple,
    ts_offset: u32,
    now: Instant,
) -> (Request, Instant) {
    let mut syn = *seg;
    if !seg.opts.saw_tstamp || cfg.sysctl.tcp_timestamps() == 0 {
        // Without timestamps there is no place for options.
        syn.opts = Options {
            mss: seg.opts.mss,
            ..Options::default()
        };
        syn.flags = seg.flags.without(Flags::ECE.and(Flags::CWR));
    }
    let mut req = listen::conn_request(cfg, &syn, id, 0, ts_offset, now);
    let index = MSSTAB.iter().rposition(|mss| *mss <= req.mss).unwrap_or(0);
    req.isn = SeqNum::new(secret.make(id, seg.seq, index as u32, now));
    let at = timestamp(&req, now);
    (req, at)
}

/// The last moment before `now` whose timestamp ends in the options.
fn timestamp(req: &Request, now: Instant) -> Instant {
    let mut options = if req.agreed.wscale() {
        u32::from(req.wscales.snd()) & TS_WSCALE
    } else {
        TS_WSCALE
    };
    if req.agreed.sack() {
        options |= TS_SACK;
    }
    if req.agreed.ecn() {
        options |= TS_ECN;
    }
    let ms = now.as_nanos() / 1_000_000;
    let mut ts = (ms >> TSBITS << TSBITS) | u64::from(options);
    if ts > ms {
        ts = ts.saturating_sub(1 << TSBITS);
    }
    Instant::from_nanos(ts.saturating_mul(1_000_000))
}

/// The request that an ACK's cookie stands for; `None` if it is none, was forged, or is too old.
///
/// Mirrors [`cookie_v4_check`](srctree/net/ipv4/syncookies.c).
pub fn check(
    cfg: &ListenConfig<'_>,
    secret: &Secret,
    seg: &Segment,
    id: FourTuple,
    ts_offset: u32,
    now: Instant,
) -> Option<Request> {
    let isn = seg.ack_seq.sub(1);
    let irs = seg.seq.sub(1);
    let index = secret.open(id, irs, isn.get(), now)?;
    let mss = *MSSTAB.get(index as usize)?;
    // The SYN as it must have been.
    let mut syn = Segment {
        seq: irs,
        end_seq: seg.seq,
        flags: Flags::SYN,
        dsfield: 0,
        len: 0,
        opts: Options {
            mss,
            ..Options::default()
        },
        ..*seg
    };
    if seg.opts.saw_tstamp {
        let options = seg.opts.tsecr.wrapping_sub(ts_offset);
        syn.opts.saw_tstamp = true;
        syn.opts.tsval = seg.opts.tsval;
        syn.opts.sack_perm = options & TS_SACK != 0;
        if options & TS_WSCALE != TS_WSCALE {
            syn.opts.wscale = Some((options & TS_WSCALE) as u8);
        }
        if options & TS_ECN != 0 {
            syn.flags = syn.flags.and(Flags::ECE).and(Flags::CWR);
        }
        // What was turned off since cannot have been agreed to.
        let off = cfg.sysctl.tcp_timestamps() == 0
            || (syn.opts.sack_perm && cfg.sysctl.tcp_sack() == 0)
            || (syn.opts.wscale.is_some() && cfg.sysctl.tcp_window_scaling() == 0);
        if off {
            return None;
        }
    }
    let mut req = listen::conn_request(cfg, &syn, id, isn.get(), ts_offset, now);
    // Nobody remembers when the SYN-ACK was sent.
    req.sent_at = 0;
    Some(req)
}

#[cfg(test)]
mod tests;
