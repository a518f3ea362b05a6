// SPDX-License-Identifier: GPL-2.0
//! Control messages that recvmsg() returned.

use anyhow::bail;
use anyhow::Result;
use uapi::c;

use super::values::int;
use crate::clock;
use crate::script::Expr;
use crate::script::Usec;
use crate::symbols;

/// Bytes of a `struct cmsghdr`.
const HEADER: usize = 16;
/// The `cmsg_type` of TCP's one control message.
const TCP_CM_INQ: i32 = 36;

/// One control message.
#[derive(Debug, PartialEq, Eq)]
struct Cmsg<'a> {
    level: i32,
    kind: i32,
    data: &'a [u8],
}

/// Splits a control buffer.
fn split(mut control: &[u8]) -> Result<Vec<Cmsg<'_>>> {
    let mut all = Vec::new();
    while control.len() >= HEADER {
        let len = u64::from_ne_bytes(control[..8].try_into()?) as usize;
        let level = i32::from_ne_bytes(control[8..12].try_into()?);
        let kind = i32::from_ne_bytes(control[12..16].try_into()?);
        let Some(data) = control.get(HEADER..len) else {
            bail!(
                "a control message of {len} bytes where {} are left",
                control.len()
            );
        };
        all.push(Cmsg { level, kind, data });
        let next = len.next_multiple_of(8).min(control.len());
        control = &control[next..];
    }
    Ok(all)
}

/// Compares all of them, in order.
pub fn compare(wanted: &[Expr], control: &[u8], start: Usec, tolerance: Usec) -> Result<()> {
    let got = split(control)?;
    if got.len() != wanted.len() {
        bail!(
            "recvmsg() gave {} control messages instead of {}: {got:?}",
            got.len(),
            wanted.len()
        );
    }
    for (wanted, got) in wanted.iter().zip(&got) {
        let (Some(level), Some(kind), Some(data)) = (
            wanted.field("cmsg_level"),
            wanted.field("cmsg_type"),
            wanted.field("cmsg_data"),
        ) else {
            bail!("a control message has cmsg_level, cmsg_type and cmsg_data");
        };
        let (level, kind) = (int(level)?, int(kind)?);
        if (i64::from(got.level), i64::from(got.kind)) != (level, kind) {
            bail!(
                "recvmsg() gave a control message of level {} and type {} instead of {level} and {kind}",
                got.level,
                got.kind
            );
        }
        compare_data(data, got, start, tolerance)?;
    }
    Ok(())
}

fn compare_data(wanted: &Expr, got: &Cmsg<'_>, start: Usec, tolerance: Usec) -> Result<()> {
    match (got.level, got.kind) {
        (c::SOL_SOCKET, c::SO_TIMESTAMPING) => time_stamp(wanted, got.data, start, tolerance),
        (c::SOL_IP, c::IP_RECVERR) => extended_error(wanted, got.data),
        (c::SOL_TCP, TCP_CM_INQ) => {
            let data = got.data.get(..4).map(|d| d.try_into());
            let value = data.transpose()?.map_or(0, i32::from_ne_bytes);
            let wanted = int(wanted)?;
            if i64::from(value) != wanted {
                bail!("TCP_CM_INQ is {value} instead of {wanted}");
            }
            Ok(())
        }
        (level, kind) => bail!("control messages of level {level} and type {kind} are not known"),
    }
}

/// A `struct scm_timestamping`, of which the first time is compared; 0 matches any.
fn time_stamp(wanted: &Expr, data: &[u8], start: Usec, tolerance: Usec) -> Result<()> {
    let member = |name| wanted.field(name).map(int).transpose();
    let sec = member("scm_sec")?.unwrap_or(0);
    let nsec = member("scm_nsec")?.unwrap_or(0);
    let wanted = sec * 1_000_000 + nsec / 1000;
    if wanted == 0 {
        return Ok(());
    }
    let Some(first) = data.get(..16) else {
        bail!("SCM_TIMESTAMPING has {} bytes", data.len());
    };
    let word = |at: usize| first[at..at + 8].try_into().map(i64::from_ne_bytes);
    let got = word(0)? * 1_000_000 + word(8)? / 1000 - start;
    if (got - wanted).abs() > tolerance {
        bail!(
            "SCM_TIMESTAMPING is {} s instead of {} s",
            clock::seconds(got),
            clock::seconds(wanted)
        );
    }
    Ok(())
}

/// A `struct sock_extended_err`.
fn extended_error(wanted: &Expr, data: &[u8]) -> Result<()> {
    let Some(data) = data.get(..16) else {
        bail!("IP_RECVERR has {} bytes", data.len());
    };
    let word = |at: usize| data[at..at + 4].try_into().map(u32::from_ne_bytes);
    let members = [
        ("ee_errno", i64::from(word(0)?)),
        ("ee_origin", data[4].into()),
        ("ee_type", data[5].into()),
        ("ee_code", data[6].into()),
        ("ee_info", word(8)?.into()),
        ("ee_data", word(12)?.into()),
    ];
    for (name, got) in members {
        let Some(expr) = wanted.field(name) else {
            continue;
        };
        let wanted = match expr {
            Expr::Word(word) if name == "ee_errno" => symbols::errno(word).map(i64::from),
            _ => None,
        };
        let wanted = wanted.map_or_else(|| int(expr), Ok)?;
        if got != wanted {
            bail!("{name} is {got} instead of {wanted}");
        }
    }
    Ok(())
}
