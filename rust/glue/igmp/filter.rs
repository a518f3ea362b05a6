// SPDX-License-Identifier: GPL-2.0
//! Reading back who may send to a group that a socket has joined.
//!
//! Mirrors [`ip_mc_msfget`, `ip_mc_gsfget`](srctree/net/ipv4/igmp.c)

use super::{
    options::{
        addr,
        number,
        storage,
        Which,
        GROUP_FILTER,
        MSFILTER,
        STORAGE, //
    },
    Member, //
};
use crate::{
    abstractions::{
        iov::OptOut,
        rtnl::Rtnl,
        sock::Sock, //
    },
    bindings,
    glue::net::State,
    stack::wire::ipv4::Addr,
};
use kernel::{
    error::{
        code::*,
        Result, //
    },
    prelude::*, //
};

/// What of a filter goes to the user: mode, number, and as many of the addresses as he asked for.
fn filter<P: Member>(
    so: &Sock<P>,
    group: Addr,
    ifindex: i32,
    asked: u32,
) -> Result<(u32, usize, KVec<u32>)> {
    if !group.is_multicast() {
        return Err(EINVAL);
    }
    let rtnl = Rtnl::lock();
    let groups = P::groups(so.shared());
    let mut sources = KVec::new();
    if let Some(joined) = groups.find(|j| j.group == group && j.ifindex == ifindex) {
        let all = joined.filter.sources();
        for source in all.iter().take(asked as usize) {
            sources.push(source.to_u32(), GFP_KERNEL)?;
        }
        let mode = match joined.filter.excludes() {
            true => bindings::MCAST_EXCLUDE,
            false => bindings::MCAST_INCLUDE,
        };
        return Ok((mode, all.len(), sources));
    }
    let mut full = Ok(());
    let each = |addr| {
        if sources.len() < asked as usize && full.is_ok() {
            full = sources.push(addr, GFP_KERNEL);
        }
    };
    let found = so.source_filter(group.to_u32(), ifindex, each, &rtnl);
    full?;
    let (mode, n) = found.ok_or(EADDRNOTAVAIL)?;
    Ok((mode, n, sources))
}

fn put(bytes: &mut [u8], at: usize, part: &[u8]) {
    if let Some(to) = bytes.get_mut(at..at.saturating_add(part.len())) {
        to.copy_from_slice(part);
    }
}

/// IP_MSFILTER. Without the socket's lock.
///
/// # Errors
///
/// EINVAL for no group, EADDRNOTAVAIL for one that was not joined, ENODEV, ENOMEM, EFAULT.
pub(in crate::glue) fn msfilter<P: Member>(so: &Sock<P>, out: &mut OptOut<'_>) -> Result {
    let mut head = [0; MSFILTER];
    out.get_asked(&mut head)?;
    let group = addr(&head, 0);
    if !group.is_multicast() {
        return Err(EINVAL);
    }
    let state = State::of(so.net()).ok_or(ENODEV)?;
    let mut which = Which {
        group,
        address: addr(&head, 4),
        ifindex: 0,
    };
    if !which.find_dev(state) {
        return Err(ENODEV);
    }
    let asked = number(&head, 12);
    let (mode, n, sources) = filter(so, group, which.ifindex, asked)?;
    put(&mut head, 8, &mode.to_ne_bytes());
    put(&mut head, 12, &(n as u32).to_ne_bytes());
    let mut answer = KVec::new();
    answer.extend_from_slice(&head, GFP_KERNEL)?;
    for s in &sources {
        answer.extend_from_slice(&s.to_be_bytes(), GFP_KERNEL)?;
    }
    out.put_bytes(&answer)
}

/// MCAST_MSFILTER. Without the socket's lock.
///
/// # Errors
///
/// As [`msfilter`].
pub(in crate::glue) fn group_filter<P: Member>(so: &Sock<P>, out: &mut OptOut<'_>) -> Result {
    let mut head = [0; GROUP_FILTER];
    out.get_asked(&mut head)?;
    let group = storage(&head, 8).ok_or(EINVAL)?;
    let ifindex = number(&head, 0) as i32;
    let asked = number(&head, 140);
    let (mode, n, sources) = filter(so, group, ifindex, asked)?;
    put(&mut head, 136, &mode.to_ne_bytes());
    put(&mut head, 140, &(n as u32).to_ne_bytes());
    let mut answer = KVec::new();
    answer.extend_from_slice(&head, GFP_KERNEL)?;
    for s in &sources {
        let mut one = [0; STORAGE];
        put(&mut one, 0, &(bindings::AF_INET as u16).to_ne_bytes());
        put(&mut one, 4, &s.to_be_bytes());
        answer.extend_from_slice(&one, GFP_KERNEL)?;
    }
    out.put_bytes(&answer)
}
