// SPDX-License-Identifier: GPL-2.0
//! HyStart: leaving slow start before it overruns the path.
//!
//! Slow start doubles the window until something is lost, and what is lost then is as much as half a
//! window: without SACK that takes a round trip for each segment to mend. Before it comes to that the
//! queue that fills shows as a growing round-trip time (RFC 9406). As Linux's CUBIC does, the window
//! stops doubling at once; conservative slow start (RFC 9406, 4.2) is not tried.
//!
//! Mirrors the delay part of [`hystart_update`](srctree/net/ipv4/tcp_cubic.c)

use crate::stack::tcp::seq::SeqNum;

/// Samples that a round trip gives before it is judged (RFC 9406, 4.3, N_RTT_SAMPLE).
const MIN_SAMPLES: u8 = 8;
/// By how much a round trip must have grown at the least, in microseconds (MIN_RTT_THRESH).
const MIN_RTT_THRESH_US: u32 = 4_000;
/// By how much it must have grown at the most (MAX_RTT_THRESH).
const MAX_RTT_THRESH_US: u32 = 16_000;
/// Windows below this, in segments, are too small to overrun anything (`hystart_low_window`).
pub const LOW_WINDOW: u32 = 16;

/// What is known of the present round trip.
#[derive(Clone, Copy, Debug, Default)]
pub struct HyStart {
    /// The round ends when this is acknowledged: what was sent when it began.
    end_seq: SeqNum,
    /// The shortest round-trip time of this round, in microseconds; 0 if there is none.
    curr_rtt_us: u32,
    samples: u8,
}

impl HyStart {
    /// Takes the round-trip time of a segment, with the sequence numbers as they are after its
    /// acknowledgement and the connection's shortest round-trip time. Returns whether to leave slow start.
    pub fn sample(&mut self, una: SeqNum, nxt: SeqNum, rtt_us: u32, min_rtt_us: u32) -> bool {
        if self.curr_rtt_us == 0 || una.after(self.end_seq) {
            *self = HyStart {
                end_seq: nxt,
                curr_rtt_us: rtt_us.max(1),
                samples: 1,
            };
            return false;
        }
        self.curr_rtt_us = self.curr_rtt_us.min(rtt_us.max(1));
        if self.samples < MIN_SAMPLES {
            self.samples = self.samples.saturating_add(1);
            return false;
        }
        let thresh = (min_rtt_us >> 3).clamp(MIN_RTT_THRESH_US, MAX_RTT_THRESH_US);
        self.curr_rtt_us > min_rtt_us.saturating_add(thresh)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds rounds of `n` samples each; returns the round in which slow start ends.
    fn rounds(n: u32, rtts: &[u32]) -> Option<usize> {
        let mut h = HyStart::default();
        let mut seq = SeqNum::new(u32::MAX - 5);
        let mut min = u32::MAX;
        for (round, rtt) in rtts.iter().enumerate() {
            let end = seq.add(n);
            for _ in 0..n {
                seq = seq.add(1);
                min = min.min(*rtt);
                if h.sample(seq, end, *rtt, min) {
                    return Some(round);
                }
            }
        }
        None
    }

    #[test]
    fn sample__a_steady_path_goes_on() {
        assert_eq!(rounds(20, &[1000; 50]), None);
        assert_eq!(rounds(20, &[200_000; 50]), None);
    }

    #[test]
    fn sample__a_queue_that_fills_ends_it() {
        assert_eq!(rounds(20, &[1000, 1500, 3000, 6000, 12_000]), Some(3));
    }

    #[test]
    fn sample__an_eighth_counts_on_a_long_path() {
        assert_eq!(rounds(20, &[100_000, 111_000, 111_000, 114_000]), Some(3));
    }

    #[test]
    fn sample__too_few_samples_say_nothing() {
        assert_eq!(rounds(4, &[1000, 50_000, 50_000]), None);
    }
}
