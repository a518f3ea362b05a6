// SPDX-License-Identifier: GPL-2.0
//! Files under `/proc/net`, one set per network namespace.
//!
//! C header: [`include/linux/proc_fs.h`](srctree/include/linux/proc_fs.h)

use super::netns::Net;
use crate::bindings;
use core::ffi::CStr;
use core::ptr::NonNull;
use kernel::error::{
    code,
    from_result,
    Result, //
};
use kernel::seq_file::SeqFile;

/// A directory `/proc/net/NAME`, removed with everything in it when dropped.
///
/// # Invariants
///
/// The entry is from `proc_net_mkdir` and has not been removed.
pub(crate) struct Dir(NonNull<bindings::proc_dir_entry>);

// SAFETY: Entries are guarded by C.
unsafe impl Send for Dir {}
// SAFETY: As above.
unsafe impl Sync for Dir {}

/// What a file shows.
pub(crate) trait Show {
    /// Writes the whole file for `net`. Process context; may sleep. It is called again with a larger
    /// buffer when the file did not fit.
    fn show(net: &Net, m: &SeqFile) -> Result;
}

impl Dir {
    /// Makes `/proc/net/NAME` of `net`.
    pub(crate) fn new(net: &Net, name: &CStr) -> Result<Dir> {
        // SAFETY: The namespace is alive, and the name is copied.
        let dir = unsafe {
            bindings::proc_net_mkdir(net.as_ptr(), name.as_ptr().cast(), (*net.as_ptr()).proc_net)
        };
        NonNull::new(dir).map(Dir).ok_or(code::ENOMEM)
    }

    /// The entry, for files of another kind.
    pub(crate) fn as_ptr(&self) -> *mut bindings::proc_dir_entry {
        self.0.as_ptr()
    }

    /// Adds a file that everybody may read.
    pub(crate) fn add<S: Show>(&self, name: &CStr) -> Result {
        // SAFETY: The directory is alive by the type invariant; the name is copied.
        let entry = unsafe {
            bindings::proc_create_net_single(
                name.as_ptr().cast(),
                0o444,
                self.0.as_ptr(),
                Some(show::<S>),
                core::ptr::null_mut(),
            )
        };
        NonNull::new(entry).map(|_| ()).ok_or(code::ENOMEM)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        // SAFETY: Not removed yet by the type invariant. Waits for readers, so that nothing of the module is
        // called afterwards.
        unsafe { bindings::proc_remove(self.0.as_ptr()) };
    }
}

/// # Safety
///
/// Called by C to fill a file made by [`Dir::add`].
unsafe extern "C" fn show<S: Show>(
    seq: *mut bindings::seq_file,
    _v: *mut kernel::ffi::c_void,
) -> kernel::ffi::c_int {
    from_result(|| {
        // SAFETY: A file of `proc_create_net_single` keeps its namespace in `private`, with a reference.
        let net = unsafe { Net::from_ptr((*seq).private.cast()) };
        // SAFETY: The file is ours during the call; the two bindings are of the same structure.
        let m = unsafe { SeqFile::from_raw(seq.cast()) };
        S::show(net, m)?;
        Ok(0)
    })
}
