// SPDX-License-Identifier: GPL-2.0
//! The states that a connection is in: its own, that of loss recovery, that of its timer.

/// The states of 3.3.2, with Linux's numbers (`include/net/tcp_states.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum State {
    /// Data flows both ways.
    Established = 1,
    /// Our SYN is out.
    SynSent = 2,
    /// The peer's SYN is in and ours is out, not yet acknowledged.
    SynRecv = 3,
    /// We closed; our FIN is not yet acknowledged.
    FinWait1 = 4,
    /// We closed and the peer knows; it may still send.
    FinWait2 = 5,
    /// Both closed: old segments die out.
    TimeWait = 6,
    /// No connection.
    Close = 7,
    /// The peer closed; we may still send.
    CloseWait = 8,
    /// Both closed; our FIN is not yet acknowledged.
    LastAck = 9,
    /// Waiting for SYNs.
    Listen = 10,
    /// Both closed at once; our FIN is not yet acknowledged.
    Closing = 11,
}

impl State {
    /// Whether data of ours may be sent or retransmitted, or a FIN (`TCPF_*` set in `tcp_sendmsg`).
    #[inline]
    pub(super) fn can_send(self) -> bool {
        matches!(self, State::Established | State::CloseWait)
    }

    /// Whether both SYNs have been exchanged.
    #[inline]
    pub(super) fn synchronised(self) -> bool {
        !matches!(
            self,
            State::Close | State::Listen | State::SynSent | State::SynRecv
        )
    }
}

/// How far loss recovery has gone (`enum tcp_ca_state`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum CaState {
    /// Nothing is wrong.
    Open = 0,
    /// Duplicate ACKs have come, too few for a loss.
    Disorder = 1,
    /// The window is being reduced for another reason than a loss: ECN, or a full queue of this host.
    Cwr = 2,
    /// Fast recovery: RFC 6582.
    Recovery = 3,
    /// After a retransmission timeout.
    Loss = 4,
}

/// What the retransmission timer stands for (`icsk_pending`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pending {
    /// Sent data must be acknowledged.
    Retrans,
    /// The peer's window is closed and must be probed.
    Probe0,
    /// Segments that are late will be lost (RFC 8985, 6.3).
    ReoTimeout,
    /// The end of a flight is not acknowledged: a tail loss probe (RFC 8985, 7).
    LossProbe,
    /// There was no memory for a FIN.
    Fin,
}
