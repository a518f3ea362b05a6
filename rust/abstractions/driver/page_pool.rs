// SPDX-License-Identifier: GPL-2.0
//! Pages for received frames, mapped once and used again. Two frames share one where they fit.
//!
//! C header: [`include/net/page_pool/helpers.h`](srctree/include/net/page_pool/helpers.h)

use super::dma;
use super::netdev::{
    self,
    Device, //
};
use super::skb::RxSkb;
use crate::bindings;
use core::mem::ManuallyDrop;
use core::ptr::NonNull;
use kernel::error::{
    from_err_ptr,
    Result, //
};

/// Bytes of a page.
pub(crate) const PAGE_SIZE: usize = bindings::PAGE_SIZE;
/// Room in front of a frame for the headers of whoever sends it on, and for aligning its IP header.
///
/// Mirrors [`NET_SKB_PAD`](srctree/include/linux/skbuff.h)
pub(crate) const HEADROOM: usize = bindings::NET_IP_ALIGN
    + if bindings::L1_CACHE_BYTES > 32 {
        bindings::L1_CACHE_BYTES
    } else {
        32
    };
/// What a frame's page has to offer behind the frame.
pub(crate) const TAILROOM: usize =
    core::mem::size_of::<bindings::skb_shared_info>().next_multiple_of(bindings::SMP_CACHE_BYTES);

/// Bytes of the half of a page.
const HALF: usize = PAGE_SIZE / 2;
const _: () = assert!(HALF > HEADROOM + TAILROOM);

/// A pool of pages for one receive ring. Dropped, it goes when its last page has come back.
///
/// # Invariants
///
/// The pointer is a pool of ours. Pages are taken from it by one at a time: whoever holds `&mut`. `size` is
/// [`PAGE_SIZE`] or [`HALF`]. `need_sync` is whether a page that was taken so far may have to be synchronised.
pub(crate) struct PagePool {
    ptr: NonNull<bindings::page_pool>,
    dma: dma::Device,
    size: usize,
    need_sync: bool,
}

// SAFETY: C guards what others do; taking pages is exclusive by `&mut`.
unsafe impl Send for PagePool {}

impl PagePool {
    /// A pool for about `n` frames of at most `len` bytes, which the NAPI instance of `dev` uses. A frame is
    /// charged to whom it is for with all the memory it has: half a page if that is enough. Process context:
    /// may sleep.
    pub(crate) fn new<T: netdev::Driver>(
        dma: dma::Device,
        dev: &Device<T>,
        n: u32,
        len: usize,
    ) -> Result<Self> {
        let size = if len <= HALF - HEADROOM - TAILROOM {
            HALF
        } else {
            PAGE_SIZE
        };
        // SAFETY: All zeroes is a value of this C structure.
        let mut params: bindings::page_pool_params = unsafe { core::mem::zeroed() };
        params.__bindgen_anon_1.fast =
            bindings::page_pool_params__bindgen_ty_1_page_pool_params_fast {
                order: 0,
                pool_size: n.div_ceil((PAGE_SIZE / size) as u32),
                nid: bindings::NUMA_NO_NODE,
                dev: dma.as_ptr(),
                napi: dev.napi(),
                dma_dir: bindings::dma_data_direction_DMA_FROM_DEVICE,
                max_len: PAGE_SIZE as u32,
                offset: 0,
            };
        params.__bindgen_anon_2.slow =
            bindings::page_pool_params__bindgen_ty_2_page_pool_params_slow {
                netdev: dev.as_ptr(),
                queue_idx: 0,
                flags: bindings::PP_FLAG_DMA_MAP | bindings::PP_FLAG_DMA_SYNC_DEV,
                init_callback: None,
                init_arg: core::ptr::null_mut(),
            };
        // SAFETY: The parameters are copied; device and NAPI instance outlive the pool, which is part of the
        // driver's data.
        let ptr = from_err_ptr(unsafe { bindings::page_pool_create(&params) })?;
        // INVARIANT: Just made.
        // SAFETY: Neither an error nor null.
        let ptr = unsafe { NonNull::new_unchecked(ptr) };
        Ok(PagePool {
            ptr,
            dma,
            size,
            need_sync: false,
        })
    }

    /// Room for a frame, mapped for the card. Softirq or process context, never sleeps.
    #[inline]
    pub(crate) fn alloc(&mut self) -> Option<Page> {
        const GFP: bindings::gfp_t = bindings::GFP_ATOMIC | bindings::__GFP_NOWARN;
        let (pool, mut offset) = (self.ptr.as_ptr(), 0);
        // SAFETY: By the type invariant; `&mut` makes us the only one.
        let page = unsafe {
            if self.size == PAGE_SIZE {
                bindings::page_pool_alloc_pages(pool, GFP)
            } else {
                bindings::page_pool_alloc_frag(pool, &mut offset, self.size as u32, GFP)
            }
        };
        let page = NonNull::new(page)?;
        if !self.need_sync {
            // INVARIANT: Memory is mapped before it is handed out, and a mapping that needs to be synchronised sets this
            // for the whole device.
            // SAFETY: A live device.
            self.need_sync = unsafe { bindings::dma_dev_need_sync(self.dma.as_ptr()) };
        }
        // SAFETY: Pages of such a pool are mapped, and in the kernel's own mapping of memory.
        let (va, dma) = unsafe {
            (
                bindings::page_address(page.as_ptr()).cast::<u8>(),
                bindings::page_pool_get_dma_addr(page.as_ptr()),
            )
        };
        // INVARIANT: The page is from the pool, and as much of it as the pool hands out is ours.
        Some(Page {
            pool: self.ptr,
            page,
            // SAFETY: A page in the kernel's mapping has an address, and the offset is within it.
            va: unsafe { NonNull::new_unchecked(va.add(offset as usize)) },
            dma: dma.wrapping_add(offset.into()),
            size: self.size,
        })
    }

    /// Makes the first `len` bytes that the card wrote to `page`, one of this pool's, readable here; at most what the page
    /// holds.
    ///
    /// Call before [`Page::frame`], [`Page::into_skb`] and [`Page::add_to`].
    #[inline]
    pub(crate) fn sync_for_cpu(&self, page: &Page, len: usize) {
        if self.need_sync {
            page.sync_for_cpu(len);
        }
    }
}

impl Drop for PagePool {
    fn drop(&mut self) {
        // SAFETY: By the type invariant. Pages that are still out keep the pool until they come back.
        unsafe { bindings::page_pool_destroy(self.ptr.as_ptr()) };
    }
}

/// A page of a pool, or half of one; goes back there when dropped.
///
/// # Invariants
///
/// `page` is from `pool`, and this owns the `size` bytes of it from `va` on; `dma` is the card's address of
/// `va`. `size` is [`PAGE_SIZE`] or [`HALF`].
pub(crate) struct Page {
    pool: NonNull<bindings::page_pool>,
    page: NonNull<bindings::page>,
    va: NonNull<u8>,
    dma: u64,
    size: usize,
}

// SAFETY: A page is bound to no CPU and no task.
unsafe impl Send for Page {}

impl Page {
    /// Where in its page the frame begins, in bytes.
    #[inline]
    fn offset(&self) -> usize {
        (self.va.as_ptr() as usize % PAGE_SIZE).wrapping_add(HEADROOM)
    }

    /// As many of `len` bytes as are there behind the headroom.
    #[inline]
    fn fits(&self, len: usize) -> usize {
        // Half a page is more than the headroom.
        len.min(self.size.wrapping_sub(HEADROOM))
    }

    /// Where the card is to write a frame: behind the headroom.
    #[inline]
    pub(crate) fn addr(&self) -> u64 {
        self.dma.wrapping_add(HEADROOM as u64)
    }

    /// See [`PagePool::sync_for_cpu`].
    fn sync_for_cpu(&self, len: usize) {
        let (len, offset) = (self.fits(len) as u32, self.offset() as u32);
        // SAFETY: By the type invariant; within the page.
        unsafe {
            bindings::page_pool_dma_sync_for_cpu(
                self.pool.as_ptr(),
                self.page.as_ptr(),
                offset,
                len,
            )
        };
    }

    /// The first `len` bytes that the card wrote; at most what the page holds. The card may write on, if it
    /// is malicious: whoever wants to judge the bytes copies them first.
    #[inline]
    pub(super) fn frame(&self, len: usize) -> (*const u8, usize) {
        let len = self.fits(len);
        // SAFETY: The headroom is less than half a page.
        (unsafe { self.va.as_ptr().add(HEADROOM) }, len)
    }

    /// Makes a packet of the page, whose data are the first `len` bytes that the card wrote. `None` if
    /// there is no memory, or if the page would not hold them; then the page goes back.
    ///
    /// NAPI's poll function only.
    #[inline]
    pub(crate) fn into_skb(self, len: usize) -> Option<RxSkb> {
        if len > self.size.wrapping_sub(HEADROOM + TAILROOM) {
            return None;
        }
        // SAFETY: So many bytes are ours, and the frame and the shared info behind it fit in.
        let skb = unsafe { bindings::napi_build_skb(self.va.as_ptr().cast(), self.size as u32) };
        let skb = NonNull::new(skb)?;
        let _ = ManuallyDrop::new(self);
        // SAFETY: A new packet is ours alone; the page is its own now, and goes back to the pool with it.
        // Headroom and length were checked.
        unsafe {
            bindings::skb_mark_for_recycle(skb.as_ptr());
            Some(RxSkb::new(skb, HEADROOM, len))
        }
    }

    /// Adds the first `len` bytes that the card wrote to a packet, as its next fragment; at most what the
    /// page holds. Without effect if the packet cannot have more fragments.
    #[inline]
    pub(crate) fn add_to(self, skb: &mut RxSkb, len: usize) {
        let (len, offset) = (self.fits(len), self.offset());
        let n = skb.fragments();
        if n >= bindings::MAX_SKB_FRAGS {
            return;
        }
        let page = ManuallyDrop::new(self);
        // SAFETY: The packet is ours alone, marked as made of a pool's pages, and has room; the page is its
        // own from here on.
        unsafe {
            bindings::skb_add_rx_frag(
                skb.as_ptr(),
                n as i32,
                page.page.as_ptr(),
                offset as i32,
                len as i32,
                page.size as u32,
            )
        };
    }
}

impl Drop for Page {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: By the type invariant. The other half, if there is one, keeps the page.
        unsafe { bindings::page_pool_put_full_page(self.pool.as_ptr(), self.page.as_ptr(), false) };
    }
}
