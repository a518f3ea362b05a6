// SPDX-License-Identifier: GPL-2.0
//! Gathering what comes in bursts.
//!
//! While a user owns the socket, segments wait for him. Those that follow each other are joined there, so
//! that they are worked off as one ([`coalesce`]), and all that he works off when he lets go is
//! acknowledged at once ([`Sock::release_cb`]). Beyond a gap, an acknowledgement for every segment would
//! tell the peer little after the first ones: one is sent for all that come within a part of a round trip.

use super::{
    skb::Flags,
    sock::Sock,
    HEADER_LEN, //
};
use crate::platform::{
    SkBuff,
    Skb, //
};
use crate::stack::{
    env::Env,
    time::Duration, //
};
use core::ops::Range;

/// So many acknowledgements beyond a gap are sent at once: they start the peer's fast retransmission
/// (RFC 5681, 3.2; `TCP_FASTRETRANS_THRESH`).
const DUP_ACKS: u8 = 3;

/// Segments with one of these are never joined.
const NEVER: Flags = Flags::SYN.and(Flags::RST).and(Flags::URG).and(Flags::FIN);

/// Where fields stand in the header.
const ACK: Range<usize> = 8..12;
const DOFF: usize = 12;
const WINDOW: Range<usize> = 14..16;

/// Joins `skb` to `tail`, which waits in front of it, if it is the next segment and differs in nothing but
/// the payload. The data of both begin with the TCP header; [`super::Segment::parse`] has seen both, and
/// their checksums are verified. Returns by how much the true size of `tail` grew.
///
/// Context: softirq, the socket's spinlock held.
///
/// # Errors
///
/// Gives `skb` back as it was if they cannot be joined.
///
/// Mirrors [`tcp_add_backlog`](srctree/net/ipv4/tcp_ipv4.c).
pub fn coalesce(tail: &mut SkBuff, mut skb: Skb) -> Result<usize, Skb> {
    let (before, cb) = (*tail.tcp_cb(), *skb.tcp_cb());
    let same = before.end_seq == cb.seq
        && before.dsfield == cb.dsfield
        && !before.flags.and(cb.flags).has(NEVER)
        && before.flags.has(Flags::ACK)
        && cb.flags.has(Flags::ACK)
        && before.flags.has(Flags::ECE) == cb.flags.has(Flags::ECE)
        && before.flags.has(Flags::CWR) == cb.flags.has(Flags::CWR);
    if !same {
        return Err(skb);
    }
    let Some((doff, ack_and_window)) = same_header(tail.linear(), skb.linear()) else {
        return Err(skb);
    };
    let segs = tail.gso_segs().max(1).saturating_add(skb.gso_segs().max(1));
    let size = |skb: &SkBuff| match skb.gso_size() {
        0 => skb.len().saturating_sub(doff).min(usize::from(u16::MAX)) as u16,
        n => n,
    };
    let mss = size(tail).max(size(&skb));
    skb.pull(doff);
    let delta = match tail.try_coalesce(skb) {
        Ok(delta) => delta,
        Err(mut skb) => {
            // The header is still there, in the headroom.
            let _ = skb.push(doff);
            return Err(skb);
        }
    };
    tail.set_rx_segs(mss, segs);
    tail.tcp_cb_mut().end_seq = cb.end_seq;
    // Nobody shares the header of a packet that could be joined to. If he did, an older acknowledgement would
    // stand there.
    if let (false, Some(header)) = (cb.ack_seq.before(before.ack_seq), tail.writable(HEADER_LEN)) {
        ack_and_window.write(header);
        tail.tcp_cb_mut().ack_seq = cb.ack_seq;
    }
    Ok(delta)
}

/// Length of the header, and acknowledgement and window of the other, if both have the same options.
fn same_header(one: &[u8], other: &[u8]) -> Option<(usize, AckAndWindow)> {
    // With the reserved bits, of which one is AE.
    let doff = *other.get(DOFF)?;
    let options = HEADER_LEN..usize::from(doff >> 4) * 4;
    let same =
        *one.get(DOFF)? == doff && one.get(options.clone())? == other.get(options.clone())?;
    let ack = other.get(ACK)?.try_into().ok()?;
    let window = other.get(WINDOW)?.try_into().ok()?;
    same.then_some((options.end, AckAndWindow { ack, window }))
}

/// Two fields of the header as they stand there.
struct AckAndWindow {
    ack: [u8; 4],
    window: [u8; 2],
}

impl AckAndWindow {
    fn write(self, header: &mut [u8]) {
        if let Some(field) = header.get_mut(ACK) {
            field.copy_from_slice(&self.ack);
        }
        if let Some(field) = header.get_mut(WINDOW) {
            field.copy_from_slice(&self.window);
        }
    }
}

impl Sock {
    /// An acknowledgement is due now. In process context, more segments may wait behind this one: then it is
    /// due when all have been worked off.
    #[inline]
    pub(super) fn send_or_gather_ack<E: Env>(&mut self, env: &mut E) {
        if env.owned_by_user() && env.sysctl().tcp_backlog_ack_defer() != 0 {
            self.ack_deferred = true;
        } else {
            self.send_ack(env);
        }
    }

    /// A segment came, and there is a gap: the first acknowledgements go at once, then one for all that come
    /// within a third of a round trip, and at the latest after `tcp_comp_sack_nr` segments.
    ///
    /// Mirrors [`__tcp_ack_snd_check`](srctree/net/ipv4/tcp_input.c).
    pub(super) fn ack_gap<E: Env>(&mut self, env: &mut E) {
        if !self.sack_ok || self.compressed_ack >= env.sysctl().tcp_comp_sack_nr() {
            return self.send_ack(env);
        }
        if self.compressed_ack_rcv_nxt != self.rcv_nxt {
            self.compressed_ack_rcv_nxt = self.rcv_nxt;
            self.dup_ack_counter = 0;
        }
        if self.dup_ack_counter < DUP_ACKS {
            self.dup_ack_counter = self.dup_ack_counter.saturating_add(1);
            return self.send_ack(env);
        }
        self.compressed_ack = self.compressed_ack.saturating_add(1);
        if self.compressed_at.is_none() {
            self.compressed_at = Some(env.now().plus(self.compress_delay(env)));
        }
    }

    /// For how long an acknowledgement beyond a gap may wait for others.
    fn compress_delay<E: Env>(&self, env: &E) -> Duration {
        // Both are in eighths of a microsecond.
        let rtt = match self.srtt_us {
            0 => self.rcv_rtt_us,
            srtt => srtt.min(self.rcv_rtt_us),
        };
        let percent = u64::from(
            env.sysctl()
                .tcp_comp_sack_rtt_percent()
                .max(0)
                .unsigned_abs(),
        );
        let share = u64::from(rtt).saturating_mul(1000 / 8 * percent) / 100;
        Duration::from_nanos(share).min(env.sysctl().tcp_comp_sack_delay_ns())
    }

    /// Acknowledges what waits for others, now.
    ///
    /// Mirrors [`tcp_sack_compress_send_ack`](srctree/net/ipv4/tcp_input.c).
    pub(super) fn compress_send_ack<E: Env>(&mut self, env: &mut E) {
        if self.compressed_ack != 0 {
            // One that is sent is none that was spared.
            self.compressed_ack = self.compressed_ack.wrapping_sub(1);
            self.compressed_at = None;
            self.send_ack(env);
        }
    }

    /// They have waited for long enough.
    ///
    /// Mirrors [`tcp_compressed_ack_kick`](srctree/net/ipv4/tcp_timer.c).
    pub(super) fn compressed_ack_kick<E: Env>(&mut self, env: &mut E) {
        self.compressed_at = None;
        self.compress_send_ack(env);
    }

    /// Whether [`Sock::release_cb`] has anything to do.
    #[inline]
    pub fn ack_deferred(&self) -> bool {
        self.ack_deferred
    }

    /// The user who owned the socket lets go, and all that waited for him has been worked off.
    ///
    /// Mirrors [`tcp_release_cb`](srctree/net/ipv4/tcp_output.c).
    pub fn release_cb<E: Env>(&mut self, env: &mut E) {
        if core::mem::take(&mut self.ack_deferred) && self.ack.scheduled {
            self.send_ack(env);
        }
    }
}
