// SPDX-License-Identifier: GPL-2.0
//! What a routing daemon says of groups: the options and requests of its raw socket for IGMP.
//!
//! Everything here runs in process context under the RTNL, which Linux changes these tables under, too. In `coexist` the
//! host sends packets on, and its own options are there for that: ours are unknown.
//!
//! Mirrors [`ip_mroute_setsockopt`](srctree/net/ipv4/ipmr.c)

use super::{
    super::{
        net::{
            Mode,
            State, //
        },
        raw::Raw,
        route, //
    },
    give_up,
    Held,
    Router, //
};
use crate::{
    abstractions::{
        bh,
        iov::{
            OptIn,
            OptOut, //
        },
        memory::Arc,
        netdevice::{
            DevRef,
            NetDevice, //
        },
        rcu::RcuBox,
        rtnl::Rtnl,
        sock::Sock,
        socket::IoctlArg, //
    },
    bindings,
    stack::{
        ip::mroute::{
            ctl::{
                self,
                Mfcctl,
                Vifctl,
                VIFF_USE_IFINDEX, //
            },
            mfc::Added,
            MAXVIFS, //
        },
        wire::ipv4::Addr, //
    },
};
use core::sync::atomic::Ordering;
use kernel::{
    error::{
        code::*,
        Result, //
    },
    ffi::c_int, //
};

/// What `MRT_VERSION` says: mrouted's 3.5.
const VERSION: c_int = 0x0305;

/// Whether an option of level SOL_IP is one of these.
pub(in crate::glue) fn is_option(name: c_int) -> bool {
    (bindings::MRT_BASE..=bindings::MRT_MAX).contains(&(name as u32))
}

/// Whether the socket is one that can be a daemon's.
fn is_igmp(so: &Sock<Raw>) -> bool {
    u32::from(so.num()) == bindings::IPPROTO_IGMP
}

/// setsockopt(2) of one of these options. Without the socket's lock; sleeps.
///
/// # Errors
///
/// EOPNOTSUPP for a socket of another protocol; ENOPROTOOPT in `coexist`, and for what RustNet does not do: PIM, several
/// tables; EACCES for who neither is the daemon nor may administer the network; EADDRINUSE for a second daemon and for a
/// vif that is there; EADDRNOTAVAIL for a device or a vif that is not; ENFILE for a vif that cannot be; ENOENT for an
/// entry that is not there; EINVAL, EFAULT, ENOMEM.
pub(in crate::glue) fn setsockopt(so: &Sock<Raw>, name: c_int, val: &OptIn<'_>) -> Result {
    if !is_igmp(so) {
        return Err(EOPNOTSUPP);
    }
    let state = State::of(so.net()).ok_or(ENOPROTOOPT)?;
    let rtnl = Rtnl::lock();
    let router = state.mroute.get();
    let daemon = router.as_ref().is_some_and(|r| r.is_daemon(so));
    if state.mode() != Mode::Replace && !daemon {
        return Err(ENOPROTOOPT);
    }
    if name as u32 == bindings::MRT_INIT {
        return init(state, so, val, &rtnl);
    }
    if !daemon && !state.net.may_administer() {
        return Err(EACCES);
    }
    match name as u32 {
        bindings::MRT_DONE => match router {
            Some(router) if daemon => {
                done(state, &router, &rtnl);
                Ok(())
            }
            _ => Err(EACCES),
        },
        bindings::MRT_ADD_VIF => {
            let v = Vifctl::parse(&val.exactly()?);
            vif_add(state, &v, !daemon, &rtnl)
        }
        bindings::MRT_DEL_VIF => {
            let n = vif_number(Vifctl::parse(&val.exactly()?).vifi)?;
            match router {
                Some(r) if r.vif_delete(n, &rtnl) => Ok(()),
                _ => Err(EADDRNOTAVAIL),
            }
        }
        bindings::MRT_ADD_MFC | bindings::MRT_ADD_MFC_PROXY => {
            let m = Mfcctl::parse(&val.exactly()?);
            let by_parent = name as u32 == bindings::MRT_ADD_MFC_PROXY;
            mfc_add(state, &m, by_parent, !daemon, &rtnl)
        }
        bindings::MRT_DEL_MFC | bindings::MRT_DEL_MFC_PROXY => {
            let m = Mfcctl::parse(&val.exactly()?);
            let by_parent = name as u32 == bindings::MRT_DEL_MFC_PROXY;
            match router {
                Some(r) if r.mfc.remove(&m, by_parent) => Ok(()),
                _ => Err(ENOENT),
            }
        }
        bindings::MRT_FLUSH => {
            let what = u32::from_ne_bytes(val.exactly()?);
            if let Some(router) = router {
                clean(state, &router, what, &rtnl);
            }
            Ok(())
        }
        bindings::MRT_ASSERT => {
            let on = i32::from_ne_bytes(val.exactly()?);
            let router = state.mroute.get_or_new(state.net, &rtnl)?;
            router.assert.store(on, Ordering::Relaxed);
            Ok(())
        }
        _ => Err(ENOPROTOOPT),
    }
}

/// The socket is the daemon's from now on.
fn init(state: &State, so: &Sock<Raw>, val: &OptIn<'_>, rtnl: &Rtnl) -> Result {
    if val.len() != size_of::<c_int>() {
        return Err(EINVAL);
    }
    let router = state.mroute.get_or_new(state.net, rtnl)?;
    if router.daemon.read(|d| d.is_some()) {
        return Err(EADDRINUSE);
    }
    router.daemon.replace(Some(RcuBox::try_new(so.hold())?));
    Ok(())
}

/// There is no daemon any more, and what it has said is forgotten.
///
/// Mirrors [`mrtsock_destruct`](srctree/net/ipv4/ipmr.c)
fn done(state: &State, router: &Arc<Router>, rtnl: &Rtnl) {
    router.daemon.replace(None);
    let all = bindings::MRT_FLUSH_VIFS | bindings::MRT_FLUSH_MFC;
    clean(state, router, all, rtnl);
    // What others have made stays.
    if router.vifs.there() == 0 && router.mfc.is_empty() {
        state.mroute.0.replace(None);
    }
}

/// The socket is closed.
pub(in crate::glue) fn release(so: &Sock<Raw>) {
    if !is_igmp(so) {
        return;
    }
    let mine = || State::of(so.net()).and_then(|s| Some((s, s.mroute.get()?)));
    let is_mine = |router: &Arc<Router>| router.is_daemon(so);
    if !mine().is_some_and(|(_, router)| is_mine(&router)) {
        return;
    }
    let rtnl = Rtnl::lock();
    if let Some((state, router)) = mine().filter(|(_, router)| is_mine(router)) {
        done(state, &router, &rtnl);
    }
}

/// Forgets what `what` (`MRT_FLUSH_*`) names.
///
/// Mirrors [`mroute_clean_tables`](srctree/net/ipv4/ipmr.c)
fn clean(state: &State, router: &Router, what: u32, rtnl: &Rtnl) {
    let doomed = |fixed, one, other| what & if fixed { other } else { one } != 0;
    for n in 0..MAXVIFS as u8 {
        let fixed = {
            let held = router.held.lock();
            held.get(usize::from(n))
                .and_then(|h| h.as_ref())
                .map(|h| h.fixed)
        };
        let (one, other) = (bindings::MRT_FLUSH_VIFS, bindings::MRT_FLUSH_VIFS_STATIC);
        if fixed.is_some_and(|fixed| doomed(fixed, one, other)) {
            router.vif_delete(n, rtnl);
        }
    }
    let (one, other) = (bindings::MRT_FLUSH_MFC, bindings::MRT_FLUSH_MFC_STATIC);
    if what & (one | other) != 0 {
        router.mfc.flush(|c| doomed(c.is_fixed(), one, other));
    }
    if what & one != 0 {
        let gone = router.unresolved.lock().clear();
        give_up(state, gone);
    }
}

/// The number of a vif that can be.
fn vif_number(vifi: u16) -> Result<u8> {
    match usize::from(vifi) < MAXVIFS {
        true => Ok(vifi as u8),
        false => Err(ENFILE),
    }
}

/// Makes a vif of a device.
///
/// Mirrors [`vif_add`](srctree/net/ipv4/ipmr.c)
fn vif_add(state: &State, v: &Vifctl, fixed: bool, rtnl: &Rtnl) -> Result {
    let n = vif_number(v.vifi)?;
    let router = state.mroute.get_or_new(state.net, rtnl)?;
    if router.vifs.ifindex(n).is_some() {
        return Err(EADDRINUSE);
    }
    let ifindex = match v.flags {
        VIFF_USE_IFINDEX => i32::from_ne_bytes(v.local),
        0 => route::device_of(state, Addr::from_octets(v.local)),
        // Tunnels, and PIM's register.
        _ => return Err(EINVAL),
    };
    let hold = |dev: &NetDevice| dev.has_ipv4().then(|| DevRef::from(dev));
    let dev = NetDevice::with(state.net, ifindex as u32, hold).flatten();
    let dev = dev.ok_or(EADDRNOTAVAIL)?;
    dev.set_allmulti(true, rtnl)?;
    if let Some(slot) = router.held.lock().get_mut(usize::from(n)) {
        *slot = Some(Held { dev, fixed });
    }
    router.vifs.add(n, ifindex as u32);
    Ok(())
}

/// Packets of a source to a group go so from now on, those that waited first.
///
/// Mirrors [`ipmr_mfc_add`](srctree/net/ipv4/ipmr.c)
fn mfc_add(state: &State, m: &Mfcctl, by_parent: bool, fixed: bool, rtnl: &Rtnl) -> Result {
    vif_number(m.parent)?;
    if !m.group.is_any() && !m.group.is_multicast() {
        return Err(EINVAL);
    }
    let router = state.mroute.get_or_new(state.net, rtnl)?;
    if router.mfc.add(m, by_parent, router.vifs.there(), fixed)? == Added::New {
        bh::held_off(|| router.resolve(state, m.origin, m.group));
    }
    Ok(())
}

/// getsockopt(2) of one of these options.
///
/// # Errors
///
/// EOPNOTSUPP for a socket of another protocol; ENOPROTOOPT in `coexist` and for what cannot be read; EINVAL, EFAULT.
pub(in crate::glue) fn getsockopt(so: &Sock<Raw>, name: c_int, out: &mut OptOut<'_>) -> Result {
    if !is_igmp(so) {
        return Err(EOPNOTSUPP);
    }
    let state = State::of(so.net()).filter(|s| s.mode() == Mode::Replace);
    let state = state.ok_or(ENOPROTOOPT)?;
    out.put_int(match name as u32 {
        bindings::MRT_VERSION => VERSION,
        bindings::MRT_ASSERT => match state.mroute.get() {
            Some(router) => router.assert.load(Ordering::Relaxed),
            None => 0,
        },
        _ => return Err(ENOPROTOOPT),
    })
}

/// ioctl(2): what was counted, for raw sockets of all protocols. `None` if the request is none of these.
///
/// # Errors
///
/// EINVAL for a vif above all that there are; EADDRNOTAVAIL for one, or an entry, that is not there; EFAULT.
///
/// Mirrors [`ipmr_ioctl`](srctree/net/ipv4/ipmr.c)
pub(in crate::glue) fn ioctl(
    so: &Sock<Raw>,
    cmd: u32,
    arg: &IoctlArg<'_>,
) -> Option<Result<c_int>> {
    let ask: fn(Option<Arc<Router>>, &IoctlArg<'_>) -> Result<c_int> = match cmd {
        bindings::SIOCGETVIFCNT => vif_counts,
        bindings::SIOCGETSGCNT => mfc_counts,
        _ => return None,
    };
    let state = State::of(so.net()).filter(|s| s.mode() == Mode::Replace)?;
    Some(ask(state.mroute.get(), arg))
}

fn vif_counts(router: Option<Arc<Router>>, arg: &IoctlArg<'_>) -> Result<c_int> {
    let mut b = [0; ctl::VIF_REQ_LEN];
    arg.get_bytes(&mut b)?;
    let n = u32::from(ctl::vif_asked(&b));
    let router = router.ok_or(EINVAL)?;
    let above = u32::BITS.wrapping_sub(router.vifs.there().leading_zeros());
    if n >= above {
        return Err(EINVAL);
    }
    let counts = router.vifs.counts(n as u8).ok_or(EADDRNOTAVAIL)?;
    ctl::answer_vif(&mut b, counts);
    arg.put_bytes(&b)
}

fn mfc_counts(router: Option<Arc<Router>>, arg: &IoctlArg<'_>) -> Result<c_int> {
    let mut b = [0; ctl::SG_REQ_LEN];
    arg.get_bytes(&mut b)?;
    let (origin, group) = ctl::sg_asked(&b);
    let counts = router.and_then(|r| r.mfc.find(origin, group, |c| c.counts()));
    ctl::answer_sg(&mut b, counts.ok_or(EADDRNOTAVAIL)?);
    arg.put_bytes(&b)
}
