// SPDX-License-Identifier: GPL-2.0
//! The caller's memory in one system call: data to send, room for what is received, options.
//!
//! C header: [`include/linux/uio.h`](srctree/include/linux/uio.h)

use super::skbuff::SkBuff;
use crate::bindings;
use core::{
    marker::PhantomData,
    mem::{
        size_of,
        size_of_val,
        MaybeUninit, //
    },
    ptr::NonNull,
};
use kernel::{
    error::{
        code::*,
        Result, //
    },
    ffi::c_int, //
};

/// The user's buffer could not be read or written (EFAULT).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault;

impl From<Fault> for kernel::error::Error {
    fn from(_: Fault) -> Self {
        EFAULT
    }
}

/// The caller's buffers of one sendmsg or recvmsg (`struct iov_iter`), and the place reached in them.
///
/// # Invariants
///
/// The pointer is to a live iterator that is this value's alone for `'a`; it was made by the socket core,
/// which checked the user's addresses.
pub struct MsgIter<'a> {
    iter: NonNull<bindings::iov_iter>,
    _p: PhantomData<&'a mut bindings::iov_iter>,
}

impl MsgIter<'_> {
    /// The iterator of a message.
    ///
    /// # Safety
    ///
    /// `iter` is a live iterator that nobody else uses for the lifetime of the result, in the context of the
    /// process whose memory it describes.
    #[inline]
    pub(super) unsafe fn from_raw(iter: NonNull<bindings::iov_iter>) -> Self {
        // INVARIANT: The caller's promise.
        MsgIter {
            iter,
            _p: PhantomData,
        }
    }

    #[inline]
    pub(super) fn as_ptr(&mut self) -> *mut bindings::iov_iter {
        self.iter.as_ptr()
    }

    /// Bytes that can still be taken or given.
    #[inline]
    pub fn remaining(&self) -> usize {
        // SAFETY: A live iterator; the count lies in the same place whatever the iterator's type.
        unsafe {
            let iter = self.iter.as_ref();
            iter.__bindgen_anon_1.__bindgen_anon_1.as_ref().count
        }
    }

    #[inline]
    fn set_remaining(&mut self, n: usize) {
        // SAFETY: A live iterator, ours alone. A count below the true one only hides what lies behind, and
        // `limited` gives back just what it took (`iov_iter_truncate`, `iov_iter_reexpand`).
        unsafe {
            let iter = self.iter.as_mut();
            iter.__bindgen_anon_1.__bindgen_anon_1.as_mut().count = n;
        }
    }

    /// Lets `f` see no more than the next `n` bytes; it is told how many lie behind them.
    #[inline]
    pub fn limited<R>(&mut self, n: usize, f: impl FnOnce(&mut Self, usize) -> R) -> R {
        let hidden = self.remaining().saturating_sub(n);
        if hidden != 0 {
            self.set_remaining(n);
        }
        let r = f(self, hidden);
        if hidden != 0 {
            self.set_remaining(self.remaining().wrapping_add(hidden));
        }
        r
    }

    /// Goes back by `n` bytes that were taken.
    pub fn revert(&mut self, n: usize) {
        // SAFETY: A live iterator; the callers only give back what they took.
        unsafe { bindings::iov_iter_revert(self.as_ptr(), n) };
    }

    /// Takes exactly `buf.len()` bytes.
    ///
    /// # Errors
    ///
    /// [`Fault`] when the memory cannot be read or there are fewer; then nothing is taken.
    pub fn copy_from(&mut self, buf: &mut [u8]) -> Result<(), Fault> {
        // SAFETY: `buf` is writable for its length.
        let n =
            unsafe { bindings::_copy_from_iter(buf.as_mut_ptr().cast(), buf.len(), self.as_ptr()) };
        if n == buf.len() {
            return Ok(());
        }
        self.revert(n);
        Err(Fault)
    }

    /// Gives all of `buf`.
    ///
    /// # Errors
    ///
    /// [`Fault`] when the memory cannot be written or is too small.
    pub fn copy_to(&mut self, buf: &[u8]) -> Result<(), Fault> {
        // SAFETY: `buf` is readable for its length.
        let n = unsafe { bindings::_copy_to_iter(buf.as_ptr().cast(), buf.len(), self.as_ptr()) };
        if n == buf.len() {
            Ok(())
        } else {
            Err(Fault)
        }
    }

    /// Takes exactly `buf.len()` bytes and sums them: the result continues `sum`, an unfolded Internet
    /// checksum of what stands before them at an even offset.
    ///
    /// # Errors
    ///
    /// As [`MsgIter::copy_from`].
    pub fn csum_and_copy_from(&mut self, buf: &mut [u8], sum: u32) -> Result<u32, Fault> {
        let mut csum = sum;
        // SAFETY: `buf` is writable for its length.
        let ok = unsafe {
            bindings::csum_and_copy_from_iter_full(
                buf.as_mut_ptr().cast(),
                buf.len(),
                &mut csum,
                self.as_ptr(),
            )
        };
        if ok {
            Ok(csum)
        } else {
            Err(Fault)
        }
    }

    /// Gives `len` bytes of a packet from `offset` on.
    ///
    /// # Errors
    ///
    /// [`Fault`]; then nothing is given.
    ///
    /// Mirrors [`skb_copy_datagram_iter`](srctree/net/core/datagram.c)
    #[inline]
    pub fn copy_datagram(&mut self, skb: &SkBuff, offset: usize, len: usize) -> Result<(), Fault> {
        // SAFETY: Both are live, and the function checks offset and length against the packet.
        let ret = unsafe {
            bindings::skb_copy_datagram_iter(
                skb.as_ptr(),
                offset as c_int,
                self.as_ptr(),
                len as c_int,
            )
        };
        if ret == 0 {
            Ok(())
        } else {
            Err(Fault)
        }
    }
}

/// The value that setsockopt was given: in the user's memory, or the kernel's.
#[derive(Clone, Copy)]
pub struct OptIn<'a> {
    val: bindings::sockptr_t,
    len: usize,
    _p: PhantomData<&'a ()>,
}

/// Values of which every bit pattern is one: they may be copied from and to the user.
///
/// # Safety
///
/// The type has no padding and no invalid bit patterns.
pub unsafe trait Plain: Copy {}

// SAFETY: Plain numbers.
unsafe impl Plain for i32 {}
// SAFETY: Plain numbers.
unsafe impl Plain for u32 {}
// SAFETY: Plain numbers.
unsafe impl Plain for u64 {}
// SAFETY: Plain numbers.
unsafe impl Plain for u8 {}
// SAFETY: Three 32-bit words, no padding.
unsafe impl Plain for bindings::linger {}

impl OptIn<'_> {
    /// # Safety
    ///
    /// `val` is what the socket core was given for this call, `len` bytes long.
    pub(super) unsafe fn from_raw(val: bindings::sockptr_t, len: usize) -> Self {
        OptIn {
            val,
            len,
            _p: PhantomData,
        }
    }

    /// The socket core's own form.
    pub(super) fn raw(&self) -> (bindings::sockptr_t, usize) {
        (self.val, self.len)
    }

    /// Its length as the user gave it.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Reads a value of type `T`.
    ///
    /// # Errors
    ///
    /// EINVAL when the user gave fewer bytes, EFAULT when they cannot be read.
    pub fn get<T: Plain>(&self) -> Result<T> {
        if self.len < size_of::<T>() {
            return Err(EINVAL);
        }
        let mut out = MaybeUninit::<T>::uninit();
        // SAFETY: `out` has room for what is copied.
        let ret = unsafe {
            bindings::copy_from_sockptr(out.as_mut_ptr().cast(), self.val, size_of::<T>())
        };
        if ret != 0 {
            return Err(EFAULT);
        }
        // SAFETY: All bytes were written, and every pattern is a value.
        Ok(unsafe { out.assume_init() })
    }

    /// Reads up to `buf.len()` bytes and says how many there were.
    ///
    /// # Errors
    ///
    /// EFAULT when they cannot be read.
    pub fn get_bytes(&self, buf: &mut [u8]) -> Result<usize> {
        let n = self.len.min(buf.len());
        // SAFETY: `buf` has room for what is copied.
        let ret = unsafe { bindings::copy_from_sockptr(buf.as_mut_ptr().cast(), self.val, n) };
        if ret != 0 {
            return Err(EFAULT);
        }
        Ok(n)
    }

    /// Reads the first `N` bytes.
    ///
    /// # Errors
    ///
    /// EINVAL when the user gave fewer, EFAULT when they cannot be read.
    pub fn bytes<const N: usize>(&self) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        match self.get_bytes(&mut bytes)? {
            n if n < N => Err(EINVAL),
            _ => Ok(bytes),
        }
    }

    /// Reads a value of exactly `N` bytes.
    ///
    /// # Errors
    ///
    /// EINVAL when the user gave fewer or more, EFAULT when they cannot be read.
    pub fn exactly<const N: usize>(&self) -> Result<[u8; N]> {
        match self.len == N {
            true => self.bytes(),
            false => Err(EINVAL),
        }
    }
}

/// Where getsockopt's value goes.
pub struct OptOut<'a> {
    opt: NonNull<bindings::sockopt_t>,
    _p: PhantomData<&'a mut bindings::sockopt_t>,
}

impl OptOut<'_> {
    /// # Safety
    ///
    /// `opt` is what the socket core was given for this call.
    pub(super) unsafe fn from_raw(opt: NonNull<bindings::sockopt_t>) -> Self {
        OptOut {
            opt,
            _p: PhantomData,
        }
    }

    /// Room that the user gave, in bytes; negative is possible.
    pub fn len(&self) -> c_int {
        // SAFETY: A live `sockopt_t`.
        unsafe { self.opt.as_ref().optlen }
    }

    /// Reads what the user's memory holds before the answer, for options that ask with it.
    ///
    /// # Errors
    ///
    /// EINVAL when the user gave fewer bytes, EFAULT when they cannot be read.
    pub fn get_asked(&mut self, buf: &mut [u8]) -> Result {
        if usize::try_from(self.len()).map_or(true, |n| n < buf.len()) {
            return Err(EINVAL);
        }
        // SAFETY: A live `sockopt_t`, ours for the call; `buf` has room for what is copied.
        let n = unsafe {
            let from = &raw mut (*self.opt.as_ptr()).iter_in;
            bindings::_copy_from_iter(buf.as_mut_ptr().cast(), buf.len(), from)
        };
        match n == buf.len() {
            true => Ok(()),
            false => Err(EFAULT),
        }
    }

    /// Writes as much of `bytes` as the user has room for, and tells how much that is.
    ///
    /// # Errors
    ///
    /// EINVAL when the user's length is negative, EFAULT when the memory cannot be written.
    pub fn put_bytes(&mut self, bytes: &[u8]) -> Result {
        let n = usize::try_from(self.len())
            .map_err(|_| EINVAL)?
            .min(bytes.len());
        // SAFETY: A live `sockopt_t`, ours for the call; `bytes` is readable for `n`.
        unsafe {
            let opt = self.opt.as_ptr();
            (*opt).optlen = n as c_int;
            if bindings::_copy_to_iter(bytes.as_ptr().cast(), n, &raw mut (*opt).iter_out) != n {
                return Err(EFAULT);
            }
        }
        Ok(())
    }

    /// Writes all of `bytes`.
    ///
    /// # Errors
    ///
    /// EINVAL when the user has too little room; he is told how much it must be. EFAULT.
    pub fn put_all(&mut self, bytes: &[u8]) -> Result {
        if usize::try_from(self.len()).map_or(true, |n| n < bytes.len()) {
            // SAFETY: A live `sockopt_t`, ours for the call.
            unsafe { (*self.opt.as_ptr()).optlen = bytes.len() as c_int };
            return Err(EINVAL);
        }
        self.put_bytes(bytes)
    }

    /// Writes a number: four bytes, or fewer if the user has no room for them.
    ///
    /// # Errors
    ///
    /// As [`OptOut::put_bytes`].
    pub fn put_int(&mut self, value: c_int) -> Result {
        self.put_bytes(&value.to_ne_bytes())
    }

    /// Writes a plain value.
    ///
    /// # Errors
    ///
    /// As [`OptOut::put_bytes`].
    pub fn put<T: Plain>(&mut self, value: &T) -> Result {
        // SAFETY: `T` has no padding, so all its bytes are initialised.
        let bytes = unsafe {
            core::slice::from_raw_parts(core::ptr::from_ref(value).cast::<u8>(), size_of_val(value))
        };
        self.put_bytes(bytes)
    }
}
