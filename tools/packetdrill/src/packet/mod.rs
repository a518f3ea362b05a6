// SPDX-License-Identifier: GPL-2.0
//! Packets, as a script spells them and as they cross the wire.
//!
//! * this file: what a packet is; one type for what a script says and for what was seen;
//! * [`notation`] reads and prints the script's notation;
//! * [`wire`] makes bytes of a packet and the other way round;
//! * [`matching`] compares what was seen with what was expected.
//!
//! Sequence numbers are plain numbers here; [`crate::connection`] translates between the script's and
//! the live ones.

pub mod matching;
pub mod notation;
pub mod wire;

/// A packet. IPv4, without ports: the connection knows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// What is said of the IP header.
    pub ip: Ip,
    /// The rest.
    pub body: Body,
}

/// What a script may say of an IP header. Unsaid is unchecked outbound, and 0 or the default inbound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ip {
    /// The ECN field.
    pub ecn: Option<Ecn>,
    /// The whole byte that was TOS.
    pub tos: Option<u8>,
    /// Time to live.
    pub ttl: Option<u8>,
}

/// The ECN field of an IP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ecn {
    /// 0.
    NotEct,
    /// 1.
    Ect1,
    /// 2.
    Ect0,
    /// 3.
    Ce,
    /// 1 or 2; only for expected packets.
    Ect01,
}

/// What follows the IP header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// A segment.
    Tcp(Tcp),
    /// An error message.
    Icmp(Icmp),
}

/// A TCP segment; its payload is zeros.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tcp {
    /// All flags.
    pub flags: Flags,
    /// Sequence number.
    pub seq: u32,
    /// Bytes of payload.
    pub len: u32,
    /// Acknowledgement number, if it is given.
    pub ack: Option<u32>,
    /// The raw window field.
    pub win: Option<u16>,
    /// The urgent pointer.
    pub urg: Option<u16>,
    /// Options; `None` is the script's `<...>`: unchecked.
    pub options: Option<Vec<TcpOption>>,
}

/// The flags of a TCP header, reserved bits included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(pub u16);

impl Flags {
    /// No more data.
    pub const FIN: Flags = Flags(0x001);
    /// Synchronize.
    pub const SYN: Flags = Flags(0x002);
    /// Reset.
    pub const RST: Flags = Flags(0x004);
    /// Push.
    pub const PSH: Flags = Flags(0x008);
    /// The acknowledgement number counts.
    pub const ACK: Flags = Flags(0x010);
    /// The urgent pointer counts.
    pub const URG: Flags = Flags(0x020);
    /// ECN echo.
    pub const ECE: Flags = Flags(0x040);
    /// Congestion window reduced.
    pub const CWR: Flags = Flags(0x080);
    /// Accurate ECN (RFC 9768), once the nonce sum.
    pub const AE: Flags = Flags(0x100);

    /// Whether all of these are set.
    pub fn has(self, other: Flags) -> bool {
        self.0 & other.0 == other.0
    }

    /// These and those.
    pub fn with(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }

    /// These without those.
    pub fn without(self, other: Flags) -> Flags {
        Flags(self.0 & !other.0)
    }

    /// Only those of `other`.
    pub fn only(self, other: Flags) -> Flags {
        Flags(self.0 & other.0)
    }
}

/// A TCP option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TcpOption {
    /// End of list.
    Eol,
    /// Padding.
    Nop,
    /// Maximum segment size.
    Mss(u16),
    /// Window scale.
    Wscale(u8),
    /// SACK permitted.
    SackOk,
    /// Timestamp.
    Ts {
        /// The sender's clock.
        val: u32,
        /// Echo of the other's.
        ecr: u32,
    },
    /// Selective acknowledgements, left and right edges.
    Sack(Vec<(u32, u32)>),
    /// Fast Open (RFC 7413).
    FastOpen(Vec<u8>),
    /// Fast Open by the experimental option (RFC 6994).
    FastOpenExp(Vec<u8>),
    /// MD5 signature (RFC 2385).
    Md5(Vec<u8>),
    /// Accurate ECN, option AccECN0 (kind 172) or AccECN1 (kind 174), with one to three counters.
    AccEcn {
        /// Whether the order is ECT(1), CE, ECT(0).
        one_first: bool,
        /// 24-bit counters in the option's order.
        counters: Vec<u32>,
    },
    /// Any other.
    Other {
        /// Its kind.
        kind: u8,
        /// What follows the length.
        data: Vec<u8>,
    },
}

/// An ICMP error about a segment that the stack under test has sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Icmp {
    /// Type.
    pub kind: u8,
    /// Code.
    pub code: u8,
    /// Next-hop MTU.
    pub mtu: Option<u16>,
    /// Sequence number and length of the quoted segment.
    pub quoted: Option<(u32, u32)>,
}

impl Packet {
    /// The segment, if it is one.
    pub fn tcp(&self) -> Option<&Tcp> {
        match &self.body {
            Body::Tcp(tcp) => Some(tcp),
            Body::Icmp(_) => None,
        }
    }
}
