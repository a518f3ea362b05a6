// SPDX-License-Identifier: GPL-2.0
//! What the transport protocols ask of the world around one socket.
//!
//! The stack is sans-IO: a packet, a system call or a timer comes in, and what goes out goes
//! through this trait: packets, wake-ups, and charges to the socket's memory. Timers do not pass
//! here; a connection reports its next deadlines (`tcp::Sock::next_expiry`, `next_fine_expiry`) and
//! whoever called it arms the clock.
//!
//! Every method is called with the socket's lock held (process context, or softirq with the
//! socket not owned by a user), none of them may sleep, and none may call back into the connection.

use super::counters::Counter;
use super::errno::Errno;
use super::ip::route::metrics::Metrics;
use super::tcp::{Pacing, State, TimeWait};
use super::time::{Duration, Instant};
use crate::platform::{Fault, MsgIter, SkBuff, Skb, Sysctl};

/// What the route to the peer allows. Cheap to ask for: glue answers from the socket's cached route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Path {
    /// The path MTU, IP header included, in bytes.
    pub mtu: u32,
    /// The largest packet, headers excluded, that may leave as one GSO packet, in bytes. Equal to or
    /// below one segment's size where the device cannot segment and software segmentation is off.
    pub gso_max_size: u32,
    /// The largest number of segments in one GSO packet.
    pub gso_max_segs: u16,
}

/// Why appending user data to a segment stopped short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Append {
    /// That many bytes were appended, at least one.
    Bytes(usize),
    /// The segment has no room for another fragment: start a new one.
    Full,
    /// No page, or the socket may not be charged for it: wait for memory.
    NoMemory,
    /// The user's buffer is not readable.
    Fault,
}

/// The surroundings of one transport socket.
pub trait Env {
    /// The time at which this call, packet or timer is being processed. The same value for the
    /// whole of one entry into the stack.
    fn now(&self) -> Instant;

    /// The namespace's `net.ipv4.*`.
    fn sysctl(&self) -> &Sysctl;

    /// Hands a segment to the IP layer (`ip::queue_xmit`): its data begins with the transport
    /// header, whose checksum is left to the device or the device layer. Consumes the packet.
    fn queue_xmit(&mut self, skb: Skb) -> Result<(), Errno>;

    /// What the route to the peer allows now. `None` when there is no route.
    fn path(&mut self) -> Option<Path>;

    /// The MTU that the peer is told of in the MSS option, in bytes: this side's own, whatever was learned
    /// of the path (RFC 9293, 3.7.1). `None` when there is no route.
    fn adv_mtu(&mut self) -> Option<u32>;

    /// What the route to the peer says beside its MTU, as it was last looked up; nothing without a route.
    fn metrics(&self) -> Metrics {
        Metrics::default()
    }

    /// Who paces this socket's packets.
    fn pacing(&self) -> Pacing;

    /// The rate at which packets should leave, in bytes per second (`sk_pacing_rate`); [`u64::MAX`] for any.
    fn pacing_rate(&self) -> u64;

    /// The most that the user allows it to be (SO_MAX_PACING_RATE).
    fn max_pacing_rate(&self) -> u64;

    /// The part of the rate, as a power of two, that may lie in the queues of this host, and that makes a packet
    /// (`sk_pacing_shift`): 10 is about a millisecond's.
    fn pacing_shift(&self) -> u32;

    /// Sets [`Env::pacing_rate`], but not above [`Env::max_pacing_rate`].
    fn set_pacing_rate(&mut self, rate: u64);

    /// A message says that packets longer than `mtu` bytes do not get through; 0 where it does not say how
    /// long they may be. The path's MTU after that, of which [`Env::path`] tells too, and whether the
    /// socket's packets may still be cut on their way.
    fn update_pmtu(&mut self, mtu: u32) -> Option<(u32, bool)>;

    /// The path has shown that it works: confirms the neighbour (RFC 4861, 7.3.1's upper-layer hint).
    fn confirm_neigh(&mut self);

    /// The path seems broken: forget the cached route so that the next packet looks it up again.
    fn negative_advice(&mut self);

    /// A segment for stream data: headroom for every header below, no payload yet. Charged to the
    /// socket when `wmem_charge` says so. In process context it may reclaim memory, never sleep for it.
    fn alloc_stream(&mut self) -> Option<Skb>;

    /// Copies up to `max` bytes of the caller's data to the end of `skb`. The socket's send memory is
    /// charged with the growth of `skb`'s true size.
    fn append(&mut self, skb: &mut SkBuff, msg: &mut MsgIter<'_>, max: usize) -> Append;

    /// Asks for the time stamps that the user wants of `skb`'s last byte (`SOF_TIMESTAMPING_*`); `key` is the
    /// number that they will have. Returns whether [`Env::ack_timestamp`] is one of them.
    fn tx_timestamp(&mut self, skb: &mut SkBuff, tsflags: u32, key: u32) -> bool;

    /// The last byte for which [`Env::tx_timestamp`] was called was acknowledged now; `key` is its number. Called
    /// with a segment that has left its queue.
    fn ack_timestamp(&mut self, skb: &mut SkBuff, key: u32);

    /// Copies `len` bytes of `skb` from `offset` to the caller's buffer.
    fn copy_out(
        &mut self,
        skb: &SkBuff,
        offset: usize,
        msg: &mut MsgIter<'_>,
        len: usize,
    ) -> Result<(), Fault>;

    /// `SO_SNDBUF` as the kernel keeps it, in bytes of true size.
    fn sndbuf(&self) -> u32;

    /// Grows the send buffer to `bytes` unless the user fixed it.
    fn set_sndbuf(&mut self, bytes: u32);

    /// `SO_RCVBUF` as the kernel keeps it, in bytes of true size.
    fn rcvbuf(&self) -> u32;

    /// Grows the receive buffer to `bytes` unless the user fixed it.
    fn set_rcvbuf(&mut self, bytes: u32);

    /// Whether the user fixed the receive buffer's size (`SOCK_RCVBUF_LOCK`).
    fn rcvbuf_locked(&self) -> bool;

    /// Bytes for which a reader wants to be woken (`SO_RCVLOWAT`), at least 1.
    fn rcvlowat(&self) -> u32;

    /// True size of the packets that wait until the socket's owner lets go, in bytes.
    fn backlog_len(&self) -> u32;

    /// True size of everything received and not yet freed, in bytes.
    fn rmem_alloc(&self) -> u32;

    /// True size of everything queued for sending, in bytes (`sk_wmem_queued`).
    fn wmem_queued(&self) -> u32;

    /// True size of the socket's packets that lie in the queues of this host, below the stack, in bytes.
    fn queued_below(&self) -> u32;

    /// Has [`tcp::Sock::tsq_handler`](super::tcp::Sock::tsq_handler) called when the next of the socket's packets has
    /// left this host. Returns whether more than `limit` bytes lie there even now: otherwise it may not be called.
    fn throttle(&mut self, limit: u32) -> bool;

    /// Whether the call that [`Env::throttle`] asked for is still to come.
    fn is_throttled(&self) -> bool;

    /// Charges `bytes` of true size to the send queue, whatever the limits say.
    fn wmem_charge(&mut self, bytes: usize);

    /// Returns `bytes` of true size from the send queue.
    fn wmem_uncharge(&mut self, bytes: usize);

    /// Charges `skb` to the receive buffer; it is returned when the packet is freed. `false` when the
    /// memory limits refuse it; `force` charges regardless (a FIN, or the one segment a reader waits for).
    fn rmem_charge(&mut self, skb: &mut SkBuff, force: bool) -> bool;

    /// A packet that is charged to the receive buffer grew by `bytes` of true size.
    fn rmem_grow(&mut self, bytes: usize);

    /// Whether the protocol as a whole is short of memory (`tcp_mem`).
    fn under_memory_pressure(&self) -> bool;

    /// Whether buffers may grow: the protocol as a whole is not short of memory, and has not come near it (the first
    /// number of `tcp_mem`).
    fn buffers_may_grow(&self) -> bool;

    /// Mirrors the connection's state where lock-free readers find it (poll, look-ups, /proc).
    /// [`State::Close`] also removes the socket from the look-up tables.
    fn set_state(&mut self, state: State);

    /// Whether the user has closed the socket (`SOCK_DEAD`): nobody is left to wake.
    fn is_dead(&self) -> bool;

    /// Whether a user holds the socket: not before accept(2), not after close(2).
    fn is_held(&self) -> bool;

    /// Whether a user owns the socket: in process context. A segment that comes then has waited for him, and
    /// more may wait behind it.
    fn owned_by_user(&self) -> bool;

    /// Whether urgent data are read with the rest (`SO_OOBINLINE`).
    fn urg_inline(&self) -> bool;

    /// Tells the socket's owner that urgent data are coming (`SIGURG`).
    fn send_sigurg(&mut self);

    /// Bits of the user's shutdowns and the peer's FIN: see [`Shutdown`].
    fn shutdown(&self) -> Shutdown;

    /// Adds bits to [`Env::shutdown`].
    fn add_shutdown(&mut self, bits: Shutdown);

    /// Sets the pending error of the socket (`SO_ERROR`) and wakes whoever waits for it.
    fn report_error(&mut self, error: Errno);

    /// Whether the user wants to know at once what routers say (`IP_RECVERR`).
    fn wants_errors(&self) -> bool;

    /// Remembers a soft error: reported if the connection later times out.
    fn set_soft_error(&mut self, error: Errno);

    /// Takes the soft error.
    fn soft_error(&self) -> Option<Errno>;

    /// Data, or the end of data, can be read.
    fn data_ready(&mut self);

    /// Whether a writer found the send buffer full and waits, or polls, for room (`SOCK_NOSPACE`).
    fn writer_waits(&self) -> bool;

    /// Send memory was returned: wakes writers if there is room enough (the rule of
    /// `sk_stream_write_space`: a third of the buffer).
    fn write_space(&mut self);

    /// The connection changed state in a way that `poll` reports.
    fn state_change(&mut self);

    /// Leaves `tw` in the look-up tables in place of this connection for `timeout`; the connection is
    /// then done. Failing to allocate it is not an error: the port is free a little early.
    fn time_wait(&mut self, tw: TimeWait, timeout: Duration);

    /// Takes the connection out of every table and, if the user has closed it, drops the last
    /// reference (`inet_csk_destroy_sock`). Called once, in state [`State::Close`].
    fn done(&mut self);

    /// A number that nobody can predict.
    fn random(&mut self) -> u32;

    /// Counts `event` in the namespace.
    #[inline]
    fn count(&mut self, event: Counter) {
        self.count_n(event, 1);
    }

    /// Counts `event` in the namespace `n` times.
    fn count_n(&mut self, event: Counter, n: u32);
}

/// Which directions of a connection are shut (`RCV_SHUTDOWN`, `SEND_SHUTDOWN`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shutdown(u8);

impl Shutdown {
    /// Nothing is shut.
    pub const NONE: Shutdown = Shutdown(0);
    /// Nothing more will be received: the peer sent FIN, or the user shut reading.
    pub const RCV: Shutdown = Shutdown(1);
    /// Nothing more may be sent.
    pub const SEND: Shutdown = Shutdown(2);
    /// Both.
    pub const BOTH: Shutdown = Shutdown(3);

    /// The kernel's bits.
    #[inline]
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// From the kernel's bits; unknown ones are dropped.
    #[inline]
    pub const fn from_bits(bits: u8) -> Self {
        Shutdown(bits & 3)
    }

    /// Whether receiving is shut.
    #[inline]
    pub const fn rcv(self) -> bool {
        self.0 & 1 != 0
    }

    /// Whether sending is shut.
    #[inline]
    pub const fn send(self) -> bool {
        self.0 & 2 != 0
    }

    /// The union of both.
    #[inline]
    pub const fn and(self, other: Shutdown) -> Shutdown {
        Shutdown(self.0 | other.0)
    }
}
