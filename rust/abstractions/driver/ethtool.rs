// SPDX-License-Identifier: GPL-2.0
//! What `ethtool` asks of a driver.
//!
//! C header: [`include/linux/ethtool.h`](srctree/include/linux/ethtool.h)

use super::netdev::{
    ops::under_rtnl,
    Driver,
    Rtnl, //
};
use crate::bindings;
use core::ffi::CStr;
use core::marker::PhantomData;
use kernel::error::{
    code::{
        EINVAL,
        EOPNOTSUPP, //
    },
    Result, //
};
use kernel::ffi::{
    c_int,
    c_void, //
};

/// Descriptors of the rings (`ethtool -g`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rings {
    /// Of the receive ring.
    pub(crate) rx: u32,
    /// Of the transmit ring.
    pub(crate) tx: u32,
}

/// The state of the link (plain `ethtool`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    /// Mbit/s and full duplex, if there is a link.
    pub(crate) speed: Option<(u32, bool)>,
    /// Whether the speed is negotiated.
    pub(crate) autoneg: bool,
}

/// Flow control by pause frames (`ethtool -a`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pause {
    /// Heeds the other end's.
    pub(crate) rx: bool,
    /// Sends its own.
    pub(crate) tx: bool,
}

/// What a driver answers. All is called in process context with the RTNL held.
pub(crate) trait Ops: Driver {
    /// Names of the counters of `ethtool -S`.
    const STATS: &'static [&'static CStr];
    /// Names of the tests of `ethtool -t`.
    const TESTS: &'static [&'static CStr];
    /// Words of `ethtool -d`.
    const REGS: usize;
    /// Bytes of the EEPROM.
    const EEPROM: usize;
    /// The largest rings.
    const MAX_RINGS: Rings;

    /// The rings there are.
    fn rings(ctx: &mut Rtnl<'_, Self>) -> Rings;

    /// Makes other rings, each of at most the largest size. On an error the old ones stay.
    fn set_rings(ctx: &mut Rtnl<'_, Self>, rings: Rings) -> Result;

    /// The counter's value, in the order of the names, through `put`.
    fn stats(ctx: &mut Rtnl<'_, Self>, put: &mut dyn FnMut(u64));

    /// Microseconds between two interrupts.
    fn rx_usecs(ctx: &mut Rtnl<'_, Self>) -> u32;

    /// Sets it.
    fn set_rx_usecs(ctx: &mut Rtnl<'_, Self>, usecs: u32) -> Result;

    /// Frames up to this many bytes are copied.
    fn rx_copybreak(ctx: &mut Rtnl<'_, Self>) -> u32;

    /// Sets it.
    fn set_rx_copybreak(ctx: &mut Rtnl<'_, Self>, bytes: u32);

    /// Negotiates the link anew (`ethtool -r`).
    fn nway_reset(ctx: &mut Rtnl<'_, Self>) -> Result;

    /// The link.
    fn link(ctx: &mut Rtnl<'_, Self>) -> Link;

    /// Flow control.
    fn pause(ctx: &mut Rtnl<'_, Self>) -> Pause;

    /// Runs the tests, offline ones only if asked; puts a result for each name, 0 if it passed. Whether
    /// all passed.
    fn self_test(ctx: &mut Rtnl<'_, Self>, offline: bool, put: &mut dyn FnMut(u64)) -> bool;

    /// The registers, through `put`.
    fn regs(ctx: &mut Rtnl<'_, Self>, put: &mut dyn FnMut(u32));

    /// The EEPROM's bytes, through `put`.
    fn eeprom(ctx: &mut Rtnl<'_, Self>, put: &mut dyn FnMut(u8));
}

/// The table of functions of a driver's devices.
pub(super) struct Table<T>(PhantomData<T>);

impl<T: Ops> Table<T> {
    /// It.
    pub(super) const OPS: &'static bindings::ethtool_ops = &bindings::ethtool_ops {
        supported_coalesce_params: bindings::ETHTOOL_COALESCE_RX_USECS,
        get_link: Some(bindings::ethtool_op_get_link),
        get_ts_info: Some(bindings::ethtool_op_get_ts_info),
        get_ringparam: Some(get_ringparam::<T>),
        set_ringparam: Some(set_ringparam::<T>),
        get_sset_count: Some(get_sset_count::<T>),
        get_strings: Some(get_strings::<T>),
        get_ethtool_stats: Some(get_ethtool_stats::<T>),
        get_coalesce: Some(get_coalesce::<T>),
        set_coalesce: Some(set_coalesce::<T>),
        get_tunable: Some(get_tunable::<T>),
        set_tunable: Some(set_tunable::<T>),
        nway_reset: Some(nway_reset::<T>),
        get_link_ksettings: Some(get_link_ksettings::<T>),
        get_pauseparam: Some(get_pauseparam::<T>),
        self_test: Some(self_test::<T>),
        get_regs_len: Some(get_regs_len::<T>),
        get_regs: Some(get_regs::<T>),
        get_eeprom_len: Some(get_eeprom_len::<T>),
        get_eeprom: Some(get_eeprom::<T>),
        // SAFETY: All zeroes is a value of this C structure: no function.
        ..unsafe { core::mem::zeroed() }
    };
}

type Dev = *mut bindings::net_device;

/// Runs `f` under the RTNL.
///
/// # Safety
///
/// As [`under_rtnl`].
unsafe fn ask<T: Driver>(dev: Dev, f: impl FnOnce(&mut Rtnl<'_, T>)) {
    // SAFETY: By the contract.
    unsafe {
        under_rtnl::<T>(dev, |ctx| {
            f(ctx);
            Ok(())
        })
    };
}

/// # Safety
///
/// As [`under_rtnl`], with a structure to fill.
unsafe extern "C" fn get_ringparam<T: Ops>(
    dev: Dev,
    out: *mut bindings::ethtool_ringparam,
    _kernel: *mut bindings::kernel_ethtool_ringparam,
    _extack: *mut bindings::netlink_ext_ack,
) {
    // SAFETY: By the contract.
    unsafe {
        ask::<T>(dev, |ctx| {
            let Rings { rx, tx } = T::rings(ctx);
            (*out).rx_max_pending = T::MAX_RINGS.rx;
            (*out).tx_max_pending = T::MAX_RINGS.tx;
            (*out).rx_pending = rx;
            (*out).tx_pending = tx;
        })
    };
}

/// # Safety
///
/// As [`under_rtnl`], with a structure to read.
unsafe extern "C" fn set_ringparam<T: Ops>(
    dev: Dev,
    ring: *mut bindings::ethtool_ringparam,
    _kernel: *mut bindings::kernel_ethtool_ringparam,
    _extack: *mut bindings::netlink_ext_ack,
) -> c_int {
    // SAFETY: By the contract.
    let (ring, max) = unsafe { (&*ring, T::MAX_RINGS) };
    // SAFETY: By the contract.
    unsafe {
        under_rtnl::<T>(dev, |ctx| {
            if ring.rx_mini_pending != 0 || ring.rx_jumbo_pending != 0 {
                return Err(EINVAL);
            }
            let rings = Rings {
                rx: ring.rx_pending.min(max.rx),
                tx: ring.tx_pending.min(max.tx),
            };
            T::set_rings(ctx, rings)
        })
    }
}

/// # Safety
///
/// Called by C.
unsafe extern "C" fn get_sset_count<T: Ops>(_dev: Dev, set: c_int) -> c_int {
    match set as bindings::ethtool_stringset {
        bindings::ethtool_stringset_ETH_SS_STATS => T::STATS.len() as c_int,
        bindings::ethtool_stringset_ETH_SS_TEST => T::TESTS.len() as c_int,
        _ => EOPNOTSUPP.to_errno(),
    }
}

/// # Safety
///
/// Called by C, with room for as many strings as [`get_sset_count`] said.
unsafe extern "C" fn get_strings<T: Ops>(_dev: Dev, set: u32, mut out: *mut u8) {
    let names = match set as bindings::ethtool_stringset {
        bindings::ethtool_stringset_ETH_SS_STATS => T::STATS,
        bindings::ethtool_stringset_ETH_SS_TEST => T::TESTS,
        _ => return,
    };
    const LEN: usize = bindings::ETH_GSTRING_LEN as usize;
    for name in names {
        // SAFETY: By the contract there is room for `LEN` bytes for each name; the last of them stays zero.
        unsafe {
            out.write_bytes(0, LEN);
            let name = name.to_bytes();
            out.copy_from_nonoverlapping(name.as_ptr(), name.len().min(LEN - 1));
            out = out.add(LEN);
        }
    }
}

/// Something that puts values one behind the other, `max` of them at the most.
///
/// # Safety
///
/// `out` must have room for `max` values.
unsafe fn writer<V>(mut out: *mut V, mut max: usize) -> impl FnMut(V) {
    move |value| {
        if let Some(left) = max.checked_sub(1) {
            max = left;
            // SAFETY: By the contract.
            unsafe {
                out.write(value);
                out = out.add(1);
            }
        }
    }
}

/// # Safety
///
/// As [`under_rtnl`], with room for as many counters as [`get_sset_count`] said.
unsafe extern "C" fn get_ethtool_stats<T: Ops>(
    dev: Dev,
    _stats: *mut bindings::ethtool_stats,
    out: *mut u64,
) {
    // SAFETY: By the contract.
    unsafe {
        let mut put = writer(out, T::STATS.len());
        ask::<T>(dev, |ctx| <T as Ops>::stats(ctx, &mut put));
    }
}

/// # Safety
///
/// As [`under_rtnl`], with a structure to fill.
unsafe extern "C" fn get_coalesce<T: Ops>(
    dev: Dev,
    out: *mut bindings::ethtool_coalesce,
    _kernel: *mut bindings::kernel_ethtool_coalesce,
    _extack: *mut bindings::netlink_ext_ack,
) -> c_int {
    // SAFETY: By the contract.
    unsafe { ask::<T>(dev, |ctx| (*out).rx_coalesce_usecs = T::rx_usecs(ctx)) };
    0
}

/// # Safety
///
/// As [`under_rtnl`], with a structure to read.
unsafe extern "C" fn set_coalesce<T: Ops>(
    dev: Dev,
    coalesce: *mut bindings::ethtool_coalesce,
    _kernel: *mut bindings::kernel_ethtool_coalesce,
    _extack: *mut bindings::netlink_ext_ack,
) -> c_int {
    // SAFETY: By the contract.
    unsafe {
        under_rtnl::<T>(dev, |ctx| {
            T::set_rx_usecs(ctx, (*coalesce).rx_coalesce_usecs)
        })
    }
}

/// # Safety
///
/// As [`under_rtnl`], with a value of the kind that the tunable says.
unsafe extern "C" fn get_tunable<T: Ops>(
    dev: Dev,
    tuna: *const bindings::ethtool_tunable,
    out: *mut c_void,
) -> c_int {
    // SAFETY: By the contract. C has seen that this one is a number of 32 bits.
    unsafe {
        under_rtnl::<T>(dev, |ctx| match (*tuna).id {
            bindings::tunable_id_ETHTOOL_RX_COPYBREAK => {
                out.cast::<u32>().write(T::rx_copybreak(ctx));
                Ok(())
            }
            _ => Err(EOPNOTSUPP),
        })
    }
}

/// # Safety
///
/// As [`get_tunable`].
unsafe extern "C" fn set_tunable<T: Ops>(
    dev: Dev,
    tuna: *const bindings::ethtool_tunable,
    value: *const c_void,
) -> c_int {
    // SAFETY: As in `get_tunable`.
    unsafe {
        under_rtnl::<T>(dev, |ctx| match (*tuna).id {
            bindings::tunable_id_ETHTOOL_RX_COPYBREAK => {
                T::set_rx_copybreak(ctx, value.cast::<u32>().read());
                Ok(())
            }
            _ => Err(EOPNOTSUPP),
        })
    }
}

/// # Safety
///
/// As [`under_rtnl`].
unsafe extern "C" fn nway_reset<T: Ops>(dev: Dev) -> c_int {
    // SAFETY: By the contract.
    unsafe { under_rtnl::<T>(dev, T::nway_reset) }
}

/// # Safety
///
/// As [`under_rtnl`], with a structure to fill.
unsafe extern "C" fn get_link_ksettings<T: Ops>(
    dev: Dev,
    out: *mut bindings::ethtool_link_ksettings,
) -> c_int {
    const MODES: u32 = bindings::SUPPORTED_10baseT_Half
        | bindings::SUPPORTED_10baseT_Full
        | bindings::SUPPORTED_100baseT_Half
        | bindings::SUPPORTED_100baseT_Full
        | bindings::SUPPORTED_1000baseT_Full
        | bindings::SUPPORTED_Autoneg
        | bindings::SUPPORTED_TP;
    // SAFETY: By the contract.
    unsafe {
        ask::<T>(dev, |ctx| {
            let Link { speed, autoneg } = T::link(ctx);
            let base = &mut (*out).base;
            let (speed, full) = speed.unzip();
            base.speed = speed.unwrap_or(bindings::SPEED_UNKNOWN as u32);
            base.duplex = match full {
                Some(true) => bindings::DUPLEX_FULL as u8,
                Some(false) => bindings::DUPLEX_HALF as u8,
                None => bindings::DUPLEX_UNKNOWN as u8,
            };
            base.port = bindings::PORT_TP as u8;
            base.autoneg = autoneg.into();
            let modes = &mut (*out).link_modes;
            for bits in [&mut modes.supported, &mut modes.advertising] {
                bindings::ethtool_convert_legacy_u32_to_link_mode(bits.as_mut_ptr(), MODES);
            }
        })
    };
    0
}

/// # Safety
///
/// As [`under_rtnl`], with a structure to fill.
unsafe extern "C" fn get_pauseparam<T: Ops>(dev: Dev, out: *mut bindings::ethtool_pauseparam) {
    // SAFETY: By the contract.
    unsafe {
        ask::<T>(dev, |ctx| {
            let Pause { rx, tx } = T::pause(ctx);
            (*out).autoneg = 1;
            (*out).rx_pause = rx.into();
            (*out).tx_pause = tx.into();
        })
    };
}

/// # Safety
///
/// As [`under_rtnl`], with room for as many results as [`get_sset_count`] said.
unsafe extern "C" fn self_test<T: Ops>(dev: Dev, test: *mut bindings::ethtool_test, out: *mut u64) {
    // SAFETY: By the contract.
    unsafe {
        let mut put = writer(out, T::TESTS.len());
        ask::<T>(dev, |ctx| {
            let offline = (*test).flags & bindings::ethtool_test_flags_ETH_TEST_FL_OFFLINE != 0;
            if !T::self_test(ctx, offline, &mut put) {
                (*test).flags |= bindings::ethtool_test_flags_ETH_TEST_FL_FAILED;
            }
        });
    }
}

/// # Safety
///
/// Called by C.
unsafe extern "C" fn get_regs_len<T: Ops>(_dev: Dev) -> c_int {
    T::REGS.wrapping_mul(4) as c_int
}

/// # Safety
///
/// As [`under_rtnl`], with room for as many bytes as [`get_regs_len`] said.
unsafe extern "C" fn get_regs<T: Ops>(
    dev: Dev,
    regs: *mut bindings::ethtool_regs,
    out: *mut c_void,
) {
    // SAFETY: By the contract.
    unsafe {
        (*regs).version = 1 << 24;
        let mut put = writer(out.cast::<u32>(), T::REGS);
        ask::<T>(dev, |ctx| T::regs(ctx, &mut put));
    }
}

/// # Safety
///
/// Called by C.
unsafe extern "C" fn get_eeprom_len<T: Ops>(_dev: Dev) -> c_int {
    T::EEPROM as c_int
}

/// # Safety
///
/// As [`under_rtnl`], with a piece of the EEPROM to read, and room for it.
unsafe extern "C" fn get_eeprom<T: Ops>(
    dev: Dev,
    piece: *mut bindings::ethtool_eeprom,
    out: *mut u8,
) -> c_int {
    // SAFETY: By the contract.
    unsafe {
        let (mut skip, len) = ((*piece).offset as usize, (*piece).len as usize);
        let mut put = writer(out, len);
        ask::<T>(dev, |ctx| {
            T::eeprom(ctx, &mut |byte| match skip.checked_sub(1) {
                Some(left) => skip = left,
                None => put(byte),
            })
        });
    }
    0
}
