// SPDX-License-Identifier: GPL-2.0
//! A small language for tests that read like a trace: `send!` gives the socket a segment, `recv!` says
//! what it must have sent, and there is a ready-made socket in every state.
//!
//! Our numbers begin at [`ISS`], the peer's at [`IRS`]; neither side has options but the MSS, so that
//! every number can be read off.

use super::*;
use crate::stack::drop_reason::DropReason;

/// Our initial sequence number.
pub(super) const ISS: u32 = 1000;
/// The peer's.
pub(super) const IRS: u32 = 5000;

/// A segment, as a test writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seg {
    pub(super) flags: Flags,
    pub(super) seq: u32,
    pub(super) ack: u32,
    pub(super) win: u16,
    pub(super) data: &'static [u8],
    pub(super) mss: u16,
    pub(super) sack_ok: bool,
    pub(super) sack: Vec<(u32, u32)>,
}

impl Seg {
    /// From the letters of its flags: F, S, R, P, A.
    pub(super) fn new(flags: &str) -> Seg {
        let flags = flags.chars().fold(Flags::NONE, |f, c| {
            f.and(match c {
                'F' => Flags::FIN,
                'S' => Flags::SYN,
                'R' => Flags::RST,
                'P' => Flags::PSH,
                'A' => Flags::ACK,
                // N for none.
                'N' => Flags::NONE,
                other => panic!("no flag {other}"),
            })
        });
        Seg {
            flags,
            seq: 0,
            ack: 0,
            win: 65_535,
            data: b"",
            mss: 0,
            sack_ok: false,
            sack: Vec::new(),
        }
    }

    fn options(&self) -> Vec<u8> {
        let mut o = Vec::new();
        if self.mss != 0 {
            o.extend_from_slice(&[2, 4]);
            o.extend_from_slice(&self.mss.to_be_bytes());
        }
        if self.sack_ok {
            o.extend_from_slice(&[1, 1, 4, 2]);
        }
        if !self.sack.is_empty() {
            o.extend_from_slice(&[1, 1, 5, 2 + 8 * self.sack.len() as u8]);
            for (start, end) in &self.sack {
                o.extend_from_slice(&start.to_be_bytes());
                o.extend_from_slice(&end.to_be_bytes());
            }
        }
        o
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let options = self.options();
        let doff = 20 + options.len();
        let mut b = vec![0; doff];
        b[..2].copy_from_slice(&80u16.to_be_bytes());
        b[2..4].copy_from_slice(&40_000u16.to_be_bytes());
        b[4..8].copy_from_slice(&self.seq.to_be_bytes());
        b[8..12].copy_from_slice(&self.ack.to_be_bytes());
        b[12] = (doff as u8 / 4) << 4;
        b[13] = self.flags.bits();
        b[14..16].copy_from_slice(&self.win.to_be_bytes());
        b[20..doff].copy_from_slice(&options);
        b.extend_from_slice(self.data);
        b
    }
}

/// Gives a socket a segment: `send!(h, FA, seq 5001, ack 1001, data b"bye")`.
macro_rules! send {
    ($h:expr, $flags:ident $(, $field:ident $value:expr)*) => {{
        let seg = Seg { $($field: $value,)* ..Seg::new(stringify!($flags)) };
        $h.deliver(&seg.bytes())
    }};
}

/// What a socket must have sent since the last look: `recv!(h, [A, seq 1001, ack 5002])`. Numbers that
/// are not named are zero, windows and PSH do not count.
macro_rules! recv {
    ($h:expr, $([$flags:ident $(, $field:ident $value:expr)*]),*) => {{
        let want: Vec<(Flags, u32, u32, Vec<u8>)> = vec![$({
            let s = Seg { $($field: $value,)* ..Seg::new(stringify!($flags)) };
            (s.flags, s.seq, s.ack, s.data.to_vec())
        }),*];
        let got: Vec<(Flags, u32, u32, Vec<u8>)> = $h
            .sent()
            .into_iter()
            .map(|(s, data)| {
                let flags = Flags::from_bits(s.flags.bits() & !Flags::PSH.bits());
                (flags, s.seq.get(), s.ack_seq.get(), data)
            })
            .collect();
        assert_eq!(got, want);
    }};
}

pub(super) use recv;
pub(super) use send;

/// CLOSED.
pub(super) fn closed() -> Host {
    Host::new()
}

/// SYN-SENT: our SYN is out.
pub(super) fn syn_sent() -> Host {
    let mut h = Host::new();
    h.sock
        .connect(&mut h.world, client_id(), ISS, 0)
        .expect("connect");
    recv!(h, [S, seq ISS]);
    h
}

/// SYN-RECEIVED, by simultaneous open.
pub(super) fn syn_recv() -> Host {
    let mut h = syn_sent();
    send!(h, S, seq IRS, mss 1460).expect("a SYN");
    recv!(h, [SA, seq ISS, ack IRS + 1]);
    h
}

/// ESTABLISHED.
pub(super) fn established() -> Host {
    let mut h = syn_sent();
    send!(h, SA, seq IRS, ack ISS + 1, mss 1460).expect("a SYN-ACK");
    recv!(h, [A, seq ISS + 1, ack IRS + 1]);
    h
}

/// ESTABLISHED, and both sides allow SACK. Segments of ours are 1000 bytes long.
pub(super) fn established_sack() -> Host {
    let mut h = syn_sent();
    send!(h, SA, seq IRS, ack ISS + 1, mss 1000, sack_ok true).expect("a SYN-ACK");
    recv!(h, [A, seq ISS + 1, ack IRS + 1]);
    h
}

/// FIN-WAIT-1: we closed.
pub(super) fn fin_wait1() -> Host {
    let mut h = established();
    h.sock
        .shutdown(&mut h.world, Shutdown::SEND)
        .expect("shutdown");
    recv!(h, [FA, seq ISS + 1, ack IRS + 1]);
    h
}

/// FIN-WAIT-2: and the peer knows.
pub(super) fn fin_wait2() -> Host {
    let mut h = fin_wait1();
    send!(h, A, seq IRS + 1, ack ISS + 2).expect("an ACK");
    recv!(h,);
    h
}

/// CLOSING: both closed at once.
pub(super) fn closing() -> Host {
    let mut h = fin_wait1();
    send!(h, FA, seq IRS + 1, ack ISS + 1).expect("a FIN");
    recv!(h, [A, seq ISS + 2, ack IRS + 2]);
    h
}

/// CLOSE-WAIT: the peer closed.
pub(super) fn close_wait() -> Host {
    let mut h = established();
    send!(h, FA, seq IRS + 1, ack ISS + 1).expect("a FIN");
    due_ack(&mut h);
    recv!(h, [A, seq ISS + 1, ack IRS + 2]);
    h
}

/// Lets the time pass after which an ACK that is owed must leave. As in Linux the ACK of a FIN waits,
/// for the user may answer with data or with a FIN of his own.
pub(super) fn due_ack(h: &mut Host) {
    if let (true, Some(at)) = (h.world.out.is_empty(), h.sock.delack_at) {
        assert!(at.since(h.world.now) <= DELACK_MAX);
        h.world.now = at;
        h.sock.on_timer(&mut h.world);
    }
}

/// LAST-ACK: and we closed, too.
pub(super) fn last_ack() -> Host {
    let mut h = close_wait();
    h.sock
        .shutdown(&mut h.world, Shutdown::SEND)
        .expect("shutdown");
    recv!(h, [FA, seq ISS + 1, ack IRS + 2]);
    h
}

/// TIME-WAIT: what is left of a connection that we closed first.
pub(super) fn time_wait() -> (TimeWait, Instant) {
    let mut h = fin_wait2();
    send!(h, FA, seq IRS + 1, ack ISS + 2).expect("a FIN");
    recv!(h, [A, seq ISS + 2, ack IRS + 2]);
    let now = h.world.now;
    let (tw, _) = h.world.tw.take().expect("a TIME_WAIT");
    done(h);
    (tw, now)
}

/// A socket in every state in which segments are numbered, with SND.NXT and RCV.NXT.
pub(super) fn synchronized() -> Vec<(Host, State, u32, u32)> {
    vec![
        (established(), State::Established, ISS + 1, IRS + 1),
        (fin_wait1(), State::FinWait1, ISS + 2, IRS + 1),
        (fin_wait2(), State::FinWait2, ISS + 2, IRS + 1),
        (closing(), State::Closing, ISS + 2, IRS + 2),
        (close_wait(), State::CloseWait, ISS + 1, IRS + 2),
        (last_ack(), State::LastAck, ISS + 2, IRS + 2),
    ]
}

/// The end of a test: nothing queued, nothing charged, no deadline.
pub(super) fn done(mut h: Host) {
    h.world.dead = true;
    h.sock.abort(&mut h.world);
    h.sock.drop_queues(&mut h.world);
    assert_eq!(h.sock.state, State::Close);
    assert_eq!(h.next_deadline(), None, "a timer is left");
    h.world.out.clear();
    h.world.assert_clean();
}

#[test]
fn ready_made__are_what_they_say() {
    for (h, state, snd_nxt, rcv_nxt) in synchronized() {
        assert_eq!(h.sock.state, state);
        assert_eq!(h.world.state, state);
        assert_eq!(
            (h.sock.snd_nxt.get(), h.sock.rcv_nxt.get()),
            (snd_nxt, rcv_nxt),
            "{state:?}"
        );
        done(h);
    }
    for (h, state) in [
        (closed(), State::Close),
        (syn_sent(), State::SynSent),
        (syn_recv(), State::SynRecv),
    ] {
        assert_eq!(h.sock.state, state);
        done(h);
    }
    assert_eq!(time_wait().0.substate, State::TimeWait);
}

/// The reason for which `result` says that a segment was dropped.
pub(super) fn dropped(result: Result<(), DropReason>) -> DropReason {
    result.expect_err("the segment was taken")
}
