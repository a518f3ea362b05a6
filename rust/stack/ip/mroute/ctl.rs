// SPDX-License-Identifier: GPL-2.0
//! What a routing daemon hands over with `setsockopt` and `ioctl`.
//!
//! Mirrors [`linux/mroute.h`](srctree/include/uapi/linux/mroute.h)

use super::MAXVIFS;
use crate::stack::wire::ipv4::Addr;
use crate::stack::wire::put;

/// The vif is a tunnel (`VIFF_TUNNEL`).
pub const VIFF_TUNNEL: u8 = 1;
/// The vif is PIM's register (`VIFF_REGISTER`).
pub const VIFF_REGISTER: u8 = 4;
/// The device is named by its number (`VIFF_USE_IFINDEX`).
pub const VIFF_USE_IFINDEX: u8 = 8;

/// `MRT_ADD_VIF`, `MRT_DEL_VIF`. Thresholds are those of [`Mfcctl`]: the vif's own is for the daemon, as its rate limit
/// is; Linux looks at neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vifctl {
    /// The vif's number, below [`MAXVIFS`] if it is a good one.
    pub vifi: u16,
    /// `VIFF_*`.
    pub flags: u8,
    /// The device: its number, or an address on it.
    pub local: [u8; 4],
}

impl Vifctl {
    /// Bytes of `struct vifctl`.
    pub const LEN: usize = 16;

    /// Reads a `struct vifctl`.
    pub fn parse(b: &[u8; Self::LEN]) -> Self {
        let [v0, v1, flags, _, _, _, _, _, l0, l1, l2, l3, ..] = *b;
        Vifctl {
            vifi: u16::from_ne_bytes([v0, v1]),
            flags,
            local: [l0, l1, l2, l3],
        }
    }
}

/// `MRT_ADD_MFC` and its like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mfcctl {
    /// The source; [`Addr::ANY`] for all.
    pub origin: Addr,
    /// The group; [`Addr::ANY`] for all.
    pub group: Addr,
    /// The vif that packets come in by.
    pub parent: u16,
    /// For each vif, what the time to live must exceed for a packet to go out by it; 0 and 255: none does.
    pub ttls: [u8; MAXVIFS],
}

impl Mfcctl {
    /// Bytes of `struct mfcctl`.
    pub const LEN: usize = 60;

    /// Reads a `struct mfcctl`.
    pub fn parse(b: &[u8; Self::LEN]) -> Self {
        let [o0, o1, o2, o3, g0, g1, g2, g3, p0, p1, rest @ ..] = *b;
        let mut ttls = [0; MAXVIFS];
        for (to, from) in ttls.iter_mut().zip(rest) {
            *to = from;
        }
        Mfcctl {
            origin: Addr::from_octets([o0, o1, o2, o3]),
            group: Addr::from_octets([g0, g1, g2, g3]),
            parent: u16::from_ne_bytes([p0, p1]),
            ttls,
        }
    }
}

/// Bytes of `struct sioc_vif_req`, with which `SIOCGETVIFCNT` asks and is answered.
pub const VIF_REQ_LEN: usize = 40;

/// The vif that is asked about.
pub fn vif_asked(b: &[u8; VIF_REQ_LEN]) -> u16 {
    let [v0, v1, ..] = *b;
    u16::from_ne_bytes([v0, v1])
}

/// Fills in packets in, packets out, bytes in, bytes out.
pub fn answer_vif(b: &mut [u8; VIF_REQ_LEN], counts: [u64; 4]) {
    let mut rest = b.get_mut(8..).unwrap_or(&mut []);
    for n in counts {
        rest = put(rest, n.to_ne_bytes());
    }
}

/// Bytes of `struct sioc_sg_req`, with which `SIOCGETSGCNT` asks and is answered.
pub const SG_REQ_LEN: usize = 32;

/// The source and the group that are asked about.
pub fn sg_asked(b: &[u8; SG_REQ_LEN]) -> (Addr, Addr) {
    let [s0, s1, s2, s3, g0, g1, g2, g3, ..] = *b;
    (
        Addr::from_octets([s0, s1, s2, s3]),
        Addr::from_octets([g0, g1, g2, g3]),
    )
}

/// Fills in packets, bytes, packets by a wrong vif.
pub fn answer_sg(b: &mut [u8; SG_REQ_LEN], counts: [u64; 3]) {
    let mut rest = b.get_mut(8..).unwrap_or(&mut []);
    for n in counts {
        rest = put(rest, n.to_ne_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse__vifctl() {
        let b = [7, 0, 8, 1, 9, 9, 9, 9, 5, 0, 0, 0, 8, 8, 8, 8];
        let want = Vifctl {
            vifi: 7,
            flags: VIFF_USE_IFINDEX,
            local: [5, 0, 0, 0],
        };
        assert_eq!(Vifctl::parse(&b), want);
    }

    #[test]
    fn parse__mfcctl() {
        let mut b = [0xee; Mfcctl::LEN];
        b[..10].copy_from_slice(&[10, 0, 0, 1, 239, 1, 2, 3, 4, 0]);
        for (i, t) in b[10..42].iter_mut().enumerate() {
            *t = i as u8;
        }
        let m = Mfcctl::parse(&b);
        assert_eq!(
            (m.origin, m.group, m.parent),
            (Addr::new(10, 0, 0, 1), Addr::new(239, 1, 2, 3), 4)
        );
        assert_eq!(m.ttls, core::array::from_fn(|i| i as u8));
    }

    #[test]
    fn answer__keeps_the_question() {
        let mut b = [0; VIF_REQ_LEN];
        b[0] = 3;
        answer_vif(&mut b, [1, 2, 3, u64::MAX]);
        assert_eq!(vif_asked(&b), 3);
        assert_eq!(b[8..16], 1u64.to_ne_bytes());
        assert_eq!(b[32..], [0xff; 8]);
        let mut b = [7; SG_REQ_LEN];
        answer_sg(&mut b, [1, 2, 3]);
        assert_eq!(sg_asked(&b), (Addr::new(7, 7, 7, 7), Addr::new(7, 7, 7, 7)));
        assert_eq!(b[24..], 3u64.to_ne_bytes());
    }
}
