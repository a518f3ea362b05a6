// SPDX-License-Identifier: GPL-2.0
//! Options of level SOL_TCP.
//!
//! Mirrors [`do_tcp_setsockopt`, `do_tcp_getsockopt`](srctree/net/ipv4/tcp.c)

use super::{
    inet_sock::error,
    sockopt,
    tcp::{
        self as glue_tcp,
        Tcp, //
    },
    tcp_connect, //
};
use crate::{
    abstractions::{
        iov::{
            OptIn,
            OptOut, //
        },
        sock::Sock,
        sock_lock::UserLock, //
    },
    bindings,
    stack::tcp::Opt, //
};
use core::mem::offset_of;
use kernel::{
    error::{
        code::*,
        Result, //
    },
    ffi::c_int, //
};

/// The option whose value is a number.
fn number(name: c_int) -> Option<Opt> {
    Some(match name as u32 {
        bindings::TCP_NODELAY => Opt::NoDelay,
        bindings::TCP_MAXSEG => Opt::MaxSeg,
        bindings::TCP_CORK => Opt::Cork,
        bindings::TCP_KEEPIDLE => Opt::KeepIdle,
        bindings::TCP_KEEPINTVL => Opt::KeepIntvl,
        bindings::TCP_KEEPCNT => Opt::KeepCnt,
        bindings::TCP_SYNCNT => Opt::SynCnt,
        bindings::TCP_LINGER2 => Opt::Linger2,
        bindings::TCP_WINDOW_CLAMP => Opt::WindowClamp,
        bindings::TCP_QUICKACK => Opt::QuickAck,
        bindings::TCP_USER_TIMEOUT => Opt::UserTimeout,
        bindings::TCP_DEFER_ACCEPT => Opt::DeferAccept,
        bindings::TCP_SAVE_SYN => Opt::SaveSyn,
        bindings::TCP_INQ => Opt::Inq,
        bindings::TCP_NOTSENT_LOWAT => Opt::NotsentLowat,
        bindings::TCP_THIN_LINEAR_TIMEOUTS => Opt::ThinLinearTimeouts,
        bindings::TCP_RTO_MAX_MS => Opt::RtoMaxMs,
        bindings::TCP_RTO_MIN_US => Opt::RtoMinUs,
        bindings::TCP_DELACK_MAX_US => Opt::DelackMaxUs,
        _ => return None,
    })
}

/// Room for the name of a congestion-control algorithm (`TCP_CA_NAME_MAX`).
const NAME_LEN: usize = 16;

/// The name of the connection's congestion-control algorithm.
fn algorithm(so: &Sock<Tcp>) -> &'static str {
    let mut lock = UserLock::new(so);
    lock.private().tp.congestion()
}

/// Gives the user the headers of the SYN that began the connection, once; nothing if they were not kept.
///
/// # Errors
///
/// EINVAL when he has too little room for them, and how much it must be; EFAULT.
fn saved_syn(so: &Sock<Tcp>, out: &mut OptOut<'_>) -> Result {
    let mut lock = UserLock::new(so);
    let saved = &mut lock.private().saved_syn;
    let Some(bytes) = saved.as_deref() else {
        return out.put_bytes(&[]);
    };
    out.put_all(bytes)?;
    *saved = None;
    Ok(())
}

/// Connections start from what their listener has now.
fn update_listener(so: &Sock<Tcp>, lock: &mut UserLock<'_, Tcp>) {
    if so.state() == bindings::TCP_LISTEN as u8 {
        if let Some(listener) = so.shared().listener.as_ref() {
            listener.update(&lock.private().tp);
        }
    }
}

/// setsockopt(2).
///
/// # Errors
///
/// ENOPROTOOPT for what RustNet does not do, EINVAL, EFAULT.
pub(super) fn set(so: &Sock<Tcp>, level: c_int, name: c_int, val: OptIn<'_>) -> Result {
    match level as u32 {
        bindings::SOL_TCP if name as u32 == bindings::TCP_CONGESTION => {
            let mut name = [0; NAME_LEN];
            let n = val.get_bytes(&mut name)?;
            let name = name.get(..n).unwrap_or(&[]);
            let name = name.split(|b| *b == 0).next().unwrap_or(&[]);
            if name.is_empty() {
                return Err(EINVAL);
            }
            let mut lock = UserLock::new(so);
            glue_tcp::enter(&mut lock, |tp, env| tp.set_congestion(env, name)).map_err(error)?;
            update_listener(so, &mut lock);
            Ok(())
        }
        bindings::SOL_TCP => {
            let opt = number(name).ok_or(ENOPROTOOPT)?;
            let value = val.get::<c_int>()?;
            let mut lock = UserLock::new(so);
            glue_tcp::enter(&mut lock, |tp, env| tp.set_option(env, opt, value)).map_err(error)?;
            update_listener(so, &mut lock);
            Ok(())
        }
        bindings::SOL_IP => {
            sockopt::set_ip(so, name, &val)?;
            let mut lock = UserLock::new(so);
            lock.private().route = None;
            Ok(())
        }
        _ => Err(ENOPROTOOPT),
    }
}

/// getsockopt(2).
///
/// # Errors
///
/// ENOPROTOOPT, EINVAL, EFAULT.
pub(super) fn get(so: &Sock<Tcp>, level: c_int, name: c_int, out: &mut OptOut<'_>) -> Result {
    match level as u32 {
        bindings::SOL_TCP => {
            if name as u32 == bindings::TCP_INFO {
                let mut lock = UserLock::new(so);
                let mut info = glue_tcp::enter(&mut lock, |tp, env| tp.info(env));
                if so.state() == bindings::TCP_LISTEN as u8 {
                    // A listener tells of its queue: how long it is, how long it may get.
                    let queue = [so.ack_backlog(), so.max_ack_backlog()];
                    let at = offset_of!(bindings::tcp_info, tcpi_unacked);
                    let room = info.0.get_mut(at..).unwrap_or(&mut []);
                    for (to, n) in room.chunks_exact_mut(4).zip(queue) {
                        to.copy_from_slice(&n.to_ne_bytes());
                    }
                }
                drop(lock);
                return out.put_bytes(&info.0);
            }
            if name as u32 == bindings::TCP_CONGESTION {
                let mut bytes = [0; NAME_LEN];
                for (to, from) in bytes.iter_mut().zip(algorithm(so).bytes()) {
                    *to = from;
                }
                return out.put_bytes(&bytes);
            }
            if name as u32 == bindings::TCP_CC_INFO {
                // Only algorithms that measure have something to tell; `reno` and `cubic` do not.
                return out.put_bytes(&[]);
            }
            if name as u32 == bindings::TCP_SAVED_SYN {
                return saved_syn(so, out);
            }
            let opt = number(name).ok_or(ENOPROTOOPT)?;
            let value = {
                let mut lock = UserLock::new(so);
                lock.private().tp.option(so.net().sysctl(), opt)
            };
            out.put_int(value)
        }
        bindings::SOL_IP => sockopt::get_ip(so, name, out, || tcp_connect::route_mtu(so)),
        // As the host: reading is not supported, writing has no such option.
        _ => Err(EOPNOTSUPP),
    }
}
