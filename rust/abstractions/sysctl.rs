// SPDX-License-Identifier: GPL-2.0
//! A word in `/proc/sys/net`, one per network namespace.
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

/// The registered file, removed when dropped.
///
/// # Invariants
///
/// The header is from `register_net_sysctl_sz` for `table`, whose `data` is a live `W`.
pub(crate) struct Registration<W: Word + 'static> {
    header: NonNull<bindings::ctl_table_header>,
    _table: KBox<UnsafeCell<bindings::ctl_table>>,
    _word: core::marker::PhantomData<&'static W>,
}

// SAFETY: Guarded by C.
unsafe impl<W: Word> Send for Registration<W> {}
// SAFETY: As above.
unsafe impl<W: Word> Sync for Registration<W> {}

impl<W: Word + 'static> Registration<W> {
    /// Makes `/proc/sys/DIR/NAME` of `net`.
    pub(crate) fn new(
        net: &Net,
        dir: &'static CStr,
        name: &'static CStr,
        word: &'static W,
    ) -> Result<Self> {
        // SAFETY: All zeroes is a value of this C structure.
        let mut table: bindings::ctl_table = unsafe { core::mem::zeroed() };
        table.procname = name.as_ptr().cast();
        table.data = core::ptr::from_ref(word).cast_mut().cast();
        table.maxlen = MAX as c_int;
        table.mode = 0o644;
        table.proc_handler = Some(handler::<W>);
        let table = KBox::new(UnsafeCell::new(table), GFP_KERNEL)?;
        // SAFETY: Table, names and word outlive the registration.
        let header = unsafe {
            bindings::register_net_sysctl_sz(net.as_ptr(), dir.as_ptr().cast(), table.get(), 1)
        };
        Ok(Registration {
            header: NonNull::new(header).ok_or(code::ENOMEM)?,
            _table: table,
            _word: core::marker::PhantomData,
        })
    }
}

impl<W: Word + 'static> Drop for Registration<W> {
    fn drop(&mut self) {
        // SAFETY: Registered by `new`, once; waits for whoever is inside the handler.
        unsafe { bindings::unregister_net_sysctl_table(self.header.as_ptr()) };
    }
}

/// # Safety
///
/// Called by C for a table made by [`Registration::new`].
unsafe extern "C" fn handler<W: Word>(
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
