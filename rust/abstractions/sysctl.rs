// SPDX-License-Identifier: GPL-2.0
//! A word, or two numbers, in `/proc/sys/net`, one file per network namespace.
//!
//! C header: [`include/linux/sysctl.h`](srctree/include/linux/sysctl.h)
//!
//! The kernel's permission hook for `net` makes the file of a namespace writable for those with
//! CAP_NET_ADMIN over it, and for nobody else.

use super::netns::Net;
use crate::bindings;
use core::cell::UnsafeCell;
use core::ffi::CStr;
use core::ptr::NonNull;
use kernel::alloc::{
    flags::GFP_KERNEL,
    KBox, //
};
use kernel::error::{
    code,
    from_result,
    to_result,
    Result, //
};
use kernel::ffi::{
    c_int,
    c_void, //
};

/// Bytes of the longest word.
const MAX: usize = 32;

/// A setting that is one word out of a few.
pub(crate) trait Word: Sync {
    /// The word now.
    fn get(&self) -> &'static str;

    /// Sets it. `EINVAL` for a word it does not know. Process context; may sleep.
    fn set(&self, word: &str) -> Result;
}

/// A setting that is a range of ports, both ends included.
pub(crate) trait Ports: Sync {
    /// The lowest and the highest.
    fn get(&self) -> (u16, u16);

    /// Sets them; the first is not 0 and not above the second. Process context; may sleep.
    fn set(&self, low: u16, high: u16) -> Result;
}

/// The registered file, removed when dropped.
///
/// # Invariants
///
/// The header is from `register_net_sysctl_sz` for `table`, whose `data` is a live `T`.
pub(crate) struct Registration<T: Sync + 'static> {
    header: NonNull<bindings::ctl_table_header>,
    _table: KBox<UnsafeCell<bindings::ctl_table>>,
    _setting: core::marker::PhantomData<&'static T>,
}

// SAFETY: Guarded by C.
unsafe impl<T: Sync> Send for Registration<T> {}
// SAFETY: As above.
unsafe impl<T: Sync> Sync for Registration<T> {}

impl<T: Word + 'static> Registration<T> {
    /// Makes `/proc/sys/DIR/NAME` of `net`, a word.
    pub(crate) fn word(
        net: &Net,
        dir: &'static CStr,
        name: &'static CStr,
        word: &'static T,
    ) -> Result<Self> {
        Self::register(net, dir, name, word, word_handler::<T>)
    }
}

impl<T: Ports + 'static> Registration<T> {
    /// Makes `/proc/sys/DIR/NAME` of `net`, a range of ports.
    pub(crate) fn ports(
        net: &Net,
        dir: &'static CStr,
        name: &'static CStr,
        range: &'static T,
    ) -> Result<Self> {
        Self::register(net, dir, name, range, ports_handler::<T>)
    }
}

/// What C calls to read or write a file.
type Handler = unsafe extern "C" fn(
    *const bindings::ctl_table,
    c_int,
    *mut c_void,
    *mut usize,
    *mut bindings::loff_t,
) -> c_int;

impl<T: Sync + 'static> Registration<T> {
    fn register(
        net: &Net,
        dir: &'static CStr,
        name: &'static CStr,
        setting: &'static T,
        handler: Handler,
    ) -> Result<Self> {
        // SAFETY: All zeroes is a value of this C structure.
        let mut table: bindings::ctl_table = unsafe { core::mem::zeroed() };
        table.procname = name.as_ptr().cast();
        table.data = core::ptr::from_ref(setting).cast_mut().cast();
        table.maxlen = MAX as c_int;
        table.mode = 0o644;
        table.proc_handler = Some(handler);
        let table = KBox::new(UnsafeCell::new(table), GFP_KERNEL)?;
        // SAFETY: Table, names and word outlive the registration.
        let header = unsafe {
            bindings::register_net_sysctl_sz(net.as_ptr(), dir.as_ptr().cast(), table.get(), 1)
        };
        Ok(Registration {
            header: NonNull::new(header).ok_or(code::ENOMEM)?,
            _table: table,
            _setting: core::marker::PhantomData,
        })
    }
}

impl<T: Sync + 'static> Drop for Registration<T> {
    fn drop(&mut self) {
        // SAFETY: Registered by `register`, once; waits for whoever is inside the handler.
        unsafe { bindings::unregister_net_sysctl_table(self.header.as_ptr()) };
    }
}

/// # Safety
///
/// Called by C for a table made by [`Registration::word`].
unsafe extern "C" fn word_handler<W: Word>(
    table: *const bindings::ctl_table,
    write: c_int,
    buffer: *mut c_void,
    lenp: *mut usize,
    ppos: *mut bindings::loff_t,
) -> c_int {
    from_result(|| {
        // SAFETY: The table's data is a live `W` by the invariant of `Registration`.
        let word = unsafe { &*(*table).data.cast::<W>() };
        let mut text = [0u8; MAX];
        if write == 0 {
            for (to, from) in text.iter_mut().take(MAX - 1).zip(word.get().bytes()) {
                *to = from;
            }
        }
        // SAFETY: All zeroes is a value of this C structure; only these two fields are looked at.
        let mut tmp: bindings::ctl_table = unsafe { core::mem::zeroed() };
        tmp.data = text.as_mut_ptr().cast();
        tmp.maxlen = MAX as c_int;
        // SAFETY: The caller's arguments are handed through; `text` is `maxlen` bytes long.
        to_result(unsafe { bindings::proc_dostring(&tmp, write, buffer.cast(), lenp, ppos) })?;
        if write != 0 {
            let word_in = CStr::from_bytes_until_nul(&text)
                .ok()
                .and_then(|s| s.to_str().ok())
                .ok_or(code::EINVAL)?;
            word.set(word_in.trim())?;
        }
        Ok(0)
    })
}

/// # Safety
///
/// Called by C for a table made by [`Registration::ports`].
unsafe extern "C" fn ports_handler<T: Ports>(
    table: *const bindings::ctl_table,
    write: c_int,
    buffer: *mut c_void,
    lenp: *mut usize,
    ppos: *mut bindings::loff_t,
) -> c_int {
    from_result(|| {
        // SAFETY: The table's data is a live `T` by the invariant of `Registration`.
        let setting = unsafe { &*(*table).data.cast::<T>() };
        let (low, high) = setting.get();
        let mut range: [c_int; 2] = [low.into(), high.into()];
        let (mut least, mut most): (c_int, c_int) = (1, u16::MAX.into());
        // SAFETY: All zeroes is a value of this C structure.
        let mut tmp: bindings::ctl_table = unsafe { core::mem::zeroed() };
        tmp.data = range.as_mut_ptr().cast();
        tmp.maxlen = core::mem::size_of_val(&range) as c_int;
        tmp.extra1 = (&raw mut least).cast();
        tmp.extra2 = (&raw mut most).cast();
        // SAFETY: The caller's arguments are handed through; data and bounds are numbers that live here.
        to_result(unsafe {
            bindings::proc_dointvec_minmax(&tmp, write, buffer.cast(), lenp, ppos)
        })?;
        if write != 0 {
            match range.map(u16::try_from) {
                [Ok(low), Ok(high)] if low <= high => setting.set(low, high)?,
                _ => return Err(code::EINVAL),
            }
        }
        Ok(0)
    })
}
