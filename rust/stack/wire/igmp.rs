// SPDX-License-Identifier: GPL-2.0
//! IGMP messages, versions 1 to 3 (RFC 1112, RFC 2236, RFC 3376).
//!
//! What the check covers: the checksum, the length of the type's fixed part, and that the sources that a query counts
//! are there. A query of eight bytes is of version 2, or of version 1 if it says nothing of time (RFC 3376, 7.1).
//!
//! Mirrors [`struct igmphdr`, `struct igmpv3_query`, `struct igmpv3_report`](srctree/include/uapi/linux/igmp.h)

use super::super::drop_reason::DropReason;
use super::super::time::Duration;
use super::checksum;
use super::ipv4::Addr;
use super::put;

/// Bytes of a message of version 1 or 2, and of a report of version 3 without its records.
pub const HEADER_LEN: usize = 8;
/// Bytes of a record without its sources.
pub const RECORD_LEN: usize = 8;
/// Bytes of a query of version 3 without its sources.
const QUERY_V3_LEN: usize = 12;

/// Where reports of version 3 go.
const ALL_V3_ROUTERS: Addr = Addr::new(224, 0, 0, 22);
/// Where is told that a group was left.
const ALL_ROUTERS: Addr = Addr::new(224, 0, 0, 2);
/// The group that every host is in and nobody reports.
pub const ALL_HOSTS: Addr = Addr::new(224, 0, 0, 1);

const QUERY: u8 = 0x11;
const REPORT_V1: u8 = 0x12;
const REPORT_V2: u8 = 0x16;
const LEAVE: u8 = 0x17;
const REPORT_V3: u8 = 0x22;

/// A version of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// RFC 1112.
    V1 = 1,
    /// RFC 2236.
    V2 = 2,
    /// RFC 3376.
    V3 = 3,
}

/// What a router asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Query<'a> {
    /// What the router speaks.
    pub version: Version,
    /// Answers come within this time; zero in version 1.
    pub max_resp: Duration,
    /// The group that is asked for, [`Addr::ANY`] for all.
    pub group: Addr,
    /// How often the router has hosts repeat themselves; zero if it does not say.
    pub qrv: u8,
    /// How often it asks; zero if it does not say.
    pub interval: Duration,
    sources: &'a [u8],
}

impl Query<'_> {
    /// The sources that are asked for; none if any source is meant.
    pub fn sources(&self) -> impl Iterator<Item = Addr> + Clone + '_ {
        let words = self.sources.chunks_exact(4);
        words.filter_map(|w| Some(Addr::from_octets(*w.first_chunk()?)))
    }
}

/// A message, as far as a host must understand it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// A router asks.
    Query(Query<'a>),
    /// A host, in version 1 or 2, says that it is in a group.
    Report(Addr),
    /// What only routers listen to.
    Other,
}

/// Eight bits that say numbers below 128 exactly and larger ones roughly (RFC 3376, 4.1.1).
const fn decode(code: u8) -> u64 {
    match code {
        0..128 => code as u64,
        _ => (((code & 0xf) | 0x10) as u64) << (((code >> 4) & 7) + 3),
    }
}

const fn tenths(n: u64) -> Duration {
    Duration::from_millis(n * 100)
}

impl<'a> Message<'a> {
    /// Reads a message.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, DropReason> {
        let Some((header, rest)) = bytes.split_first_chunk::<HEADER_LEN>() else {
            return Err(DropReason::PktTooSmall);
        };
        if checksum::fold(checksum::partial(bytes, 0)) != 0xffff {
            return Err(DropReason::SkbCsum);
        }
        let [kind, code, _, _, group @ ..] = *header;
        let group = Addr::from_octets(group);
        match kind {
            QUERY => Self::query(code, group, rest).map(Message::Query),
            REPORT_V1 | REPORT_V2 => Ok(Message::Report(group)),
            _ => Ok(Message::Other),
        }
    }

    fn query(code: u8, group: Addr, rest: &'a [u8]) -> Result<Query<'a>, DropReason> {
        let old = |version, max_resp| Query {
            version,
            max_resp,
            group,
            qrv: 0,
            interval: Duration::ZERO,
            sources: &[],
        };
        if rest.is_empty() {
            return Ok(match code {
                0 => old(Version::V1, Duration::ZERO),
                _ => old(Version::V2, tenths(code as u64)),
            });
        }
        const MORE: usize = QUERY_V3_LEN - HEADER_LEN;
        let Some(([flags, qqic, n @ ..], sources)) = rest.split_first_chunk::<MORE>() else {
            return Err(DropReason::PktTooSmall);
        };
        let n = usize::from(u16::from_be_bytes(*n));
        // 65,535 words at the most: fits.
        let sources = sources.get(..n.wrapping_mul(4));
        Ok(Query {
            version: Version::V3,
            max_resp: tenths(decode(code)),
            group,
            qrv: flags & 7,
            interval: Duration::from_secs(decode(*qqic)),
            sources: sources.ok_or(DropReason::PktTooSmall)?,
        })
    }
}

/// What a record of a report says (RFC 3376, 4.2.12).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record {
    /// Packets of these sources are wanted.
    IsInclude = 1,
    /// Packets of all but these are.
    IsExclude = 2,
    /// From now on those of these.
    ToInclude = 3,
    /// From now on those of all but these.
    ToExclude = 4,
    /// Those of these, too.
    Allow = 5,
    /// Those of these no longer.
    Block = 6,
}

impl Record {
    /// Whether what does not fit into one packet may be left out: of those that are not wanted a router must not be told
    /// in two messages, for the second would be taken to replace the first (RFC 3376, 4.2.16).
    pub fn is_one(self) -> bool {
        matches!(self, Record::IsExclude | Record::ToExclude)
    }

    /// The fixed part of the record for `group`, with `n` sources.
    pub fn head(self, group: Addr, n: u16) -> [u8; RECORD_LEN] {
        let mut head = [0; RECORD_LEN];
        let rest = put(&mut head, [self as u8, 0]);
        let rest = put(rest, n.to_be_bytes());
        put(rest, group.octets());
        head
    }
}

/// Completes a report of version 3 with `n` records, whose first eight bytes are still free.
pub fn finish_report(message: &mut [u8], n: u16) {
    let rest = put(message, [REPORT_V3, 0, 0, 0, 0, 0]);
    put(rest, n.to_be_bytes());
    fill_checksum(message);
}

/// What a host says of one group in versions 1 and 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// It is in the group, in version 1.
    ReportV1,
    /// It is in the group.
    Report,
    /// It has left the group.
    Leave,
}

impl Word {
    /// The message.
    pub fn message(self, group: Addr) -> [u8; HEADER_LEN] {
        let kind = match self {
            Word::ReportV1 => REPORT_V1,
            Word::Report => REPORT_V2,
            Word::Leave => LEAVE,
        };
        let mut message = [0; HEADER_LEN];
        let rest = put(&mut message, [kind, 0, 0, 0]);
        put(rest, group.octets());
        fill_checksum(&mut message);
        message
    }
}

fn fill_checksum(message: &mut [u8]) {
    let sum = checksum::finish(checksum::partial(message, 0)).to_be_bytes();
    if let Some(field) = message.get_mut(2..4) {
        field.copy_from_slice(&sum);
    }
}

/// Whom a host sends a message to; `None` for what hosts do not send.
pub fn destination(message: &[u8]) -> Option<Addr> {
    let [kind, _, _, _, group @ ..] = message.first_chunk::<HEADER_LEN>()?;
    match *kind {
        REPORT_V1 | REPORT_V2 => Some(Addr::from_octets(*group)),
        LEAVE => Some(ALL_ROUTERS),
        REPORT_V3 => Some(ALL_V3_ROUTERS),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::Vec;

    const G: Addr = Addr::new(239, 1, 2, 3);

    /// A query of version 3 with a right checksum.
    fn query(code: u8, flags: u8, qqic: u8, group: Addr, n: u16, sources: &[u8]) -> Vec<u8> {
        let mut q = [&[QUERY, code, 0, 0][..], &group.octets(), &[flags, qqic]].concat();
        q.extend(n.to_be_bytes());
        q.extend(sources);
        fill_checksum(&mut q);
        q
    }

    #[test]
    fn parse__versions_by_length_and_code() {
        let old = |code| {
            let mut q = [&[QUERY, code, 0, 0][..], &G.octets()].concat();
            fill_checksum(&mut q);
            match Message::parse(&q) {
                Ok(Message::Query(q)) => (q.version, q.max_resp, q.group),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(old(0), (Version::V1, Duration::ZERO, G));
        assert_eq!(old(25), (Version::V2, Duration::from_millis(2500), G));
        assert_eq!(old(255), (Version::V2, Duration::from_millis(25_500), G));
        let bytes = query(25, 0xfa, 125, G, 2, &[10, 0, 0, 1, 10, 0, 0, 2, 9]);
        let Ok(Message::Query(q)) = Message::parse(&bytes) else {
            panic!("no query");
        };
        assert_eq!(q.version, Version::V3);
        assert_eq!((q.qrv, q.interval), (2, Duration::from_secs(125)));
        let sources = [Addr::new(10, 0, 0, 1), Addr::new(10, 0, 0, 2)];
        assert_eq!(q.sources().collect::<Vec<_>>(), sources);
    }

    #[test]
    fn parse__large_numbers_are_rough() {
        // RFC 3376, 4.1.1: (mant | 0x10) << (exp + 3).
        assert_eq!(decode(127), 127);
        assert_eq!(decode(128), 128);
        assert_eq!(decode(0b1001_0001), 17 << 4);
        assert_eq!(decode(255), 31 << 10);
    }

    #[test]
    fn parse__nothing_but_whole_messages() {
        let good = query(25, 2, 125, G, 1, &[10, 0, 0, 1]);
        assert!(Message::parse(&good).is_ok());
        for n in 0..good.len() {
            // Eight bytes are a query of another version; their checksum is not right.
            assert!(Message::parse(&good[..n]).is_err(), "{n}");
        }
        for n in [2, 0xffff] {
            let lies = query(25, 2, 125, G, n, &[10, 0, 0, 1]);
            assert_eq!(Message::parse(&lies), Err(DropReason::PktTooSmall));
        }
        let mut bad = good.clone();
        bad[5] ^= 1;
        assert_eq!(Message::parse(&bad), Err(DropReason::SkbCsum));
    }

    #[test]
    fn message__read_back() {
        for (word, to) in [
            (Word::ReportV1, G),
            (Word::Report, G),
            (Word::Leave, ALL_ROUTERS),
        ] {
            let m = word.message(G);
            assert_eq!(destination(&m), Some(to));
            let heard = match word {
                Word::Leave => Message::Other,
                _ => Message::Report(G),
            };
            assert_eq!(Message::parse(&m), Ok(heard));
        }
        let mut report = [[0; 8], Record::ToExclude.head(G, 0)].concat();
        finish_report(&mut report, 1);
        let wanted = [0x22, 0, 0xe8, 0xf9, 0, 0, 0, 1, 4, 0, 0, 0, 239, 1, 2, 3];
        assert_eq!(report, wanted);
        assert_eq!(Message::parse(&report), Ok(Message::Other));
        assert_eq!(destination(&report), Some(ALL_V3_ROUTERS));
    }
}
