// SPDX-License-Identifier: GPL-2.0
//! Netfilter: hooks of ours, and our packets' walk through everybody's.
//!
//! C header: [`include/linux/netfilter.h`](srctree/include/linux/netfilter.h)

use super::netdevice::NetDevice;
use super::netns::{
    self,
    Net,
    PerNet, //
};
use super::rcu;
use super::skbuff::{
    SkBuff,
    Skb, //
};
use crate::bindings;
use core::cell::UnsafeCell;
use core::ptr::{
    addr_of,
    addr_of_mut,
    null_mut, //
};
use core::sync::atomic::{
    AtomicPtr,
    Ordering, //
};
use kernel::alloc::{
    flags::GFP_KERNEL,
    KBox, //
};
use kernel::error::{
    code::ENXIO,
    to_result,
    Result, //
};

/// The places of IPv4's path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Point {
    /// Behind the checks of the header, before the route is known.
    PreRouting = bindings::nf_inet_hooks_NF_INET_PRE_ROUTING as u8,
    /// For this host.
    LocalIn = bindings::nf_inet_hooks_NF_INET_LOCAL_IN as u8,
    /// For somebody else.
    Forward = bindings::nf_inet_hooks_NF_INET_FORWARD as u8,
    /// From this host.
    LocalOut = bindings::nf_inet_hooks_NF_INET_LOCAL_OUT as u8,
    /// About to leave.
    PostRouting = bindings::nf_inet_hooks_NF_INET_POST_ROUTING as u8,
}

type OkFn =
    unsafe extern "C" fn(*mut bindings::net, *mut bindings::sock, *mut bindings::sk_buff) -> i32;

impl Point {
    fn from_raw(n: u8) -> Option<Point> {
        [
            Point::PreRouting,
            Point::LocalIn,
            Point::Forward,
            Point::LocalOut,
            Point::PostRouting,
        ]
        .into_iter()
        .find(|p| *p as u8 == n)
    }

    /// Where a packet of ours goes on behind this place. One function for each, for a program that had
    /// the packet in its queue hands back nothing else.
    fn okfn(self) -> OkFn {
        match self {
            Point::PreRouting => okfn::<{ Point::PreRouting as u8 }>,
            Point::LocalIn => okfn::<{ Point::LocalIn as u8 }>,
            Point::Forward => okfn::<{ Point::Forward as u8 }>,
            Point::LocalOut => okfn::<{ Point::LocalOut as u8 }>,
            Point::PostRouting => okfn::<{ Point::PostRouting as u8 }>,
        }
    }
}

/// A packet on its way through hooks, which a hook may look at and may take.
pub(crate) struct Passing<'a> {
    skb: *mut bindings::sk_buff,
    state: &'a bindings::nf_hook_state,
    taken: bool,
}

impl<'a> Passing<'a> {
    /// Whether somebody else holds the packet too: then its pointers may not be moved.
    #[inline]
    pub(crate) fn shared(&self) -> bool {
        // SAFETY: The packet is the hook's for the time of the call.
        unsafe { SkBuff::from_ptr(self.skb) }.shared()
    }

    /// The packet. Its data begin with the network header.
    #[inline]
    pub(crate) fn skb(&self) -> &SkBuff {
        // SAFETY: The packet is the hook's for the time of the call.
        unsafe { SkBuff::from_ptr(self.skb) }
    }

    /// The packet, to be changed.
    #[inline]
    pub(crate) fn skb_mut(&mut self) -> &mut SkBuff {
        // SAFETY: The packet is the hook's for the time of the call, and `self` is borrowed exclusively.
        unsafe { SkBuff::from_ptr_mut(self.skb) }
    }

    /// The device that it came in by.
    #[inline]
    pub(crate) fn input(&self) -> Option<&'a NetDevice> {
        // SAFETY: Alive for the time of the walk, under RCU.
        (!self.state.in_.is_null()).then(|| unsafe { NetDevice::from_ptr(self.state.in_) })
    }

    /// Whether this is a walk of our own ([`walk`]) and not the host's.
    #[inline]
    pub(crate) fn is_ours(&self) -> bool {
        match (self.state.okfn, Point::from_raw(self.state.hook)) {
            (Some(f), Some(point)) => core::ptr::eq(f as *const (), point.okfn() as *const ()),
            _ => false,
        }
    }

    /// Whether the packet only visits IPv4's hooks on its way over a bridge.
    #[inline]
    pub(crate) fn is_bridged(&self) -> bool {
        // SAFETY: The packet is the hook's for the time of the call.
        unsafe { bindings::nf_bridge_in_prerouting(self.skb) }
    }

    /// A copy of the packet, which passes on itself.
    pub(crate) fn copy(&self) -> Option<Skb> {
        // SAFETY: The packet is the hook's for the time of the call; the copy is ours.
        unsafe { Skb::from_raw_or_null(bindings::skb_clone(self.skb, bindings::GFP_ATOMIC)) }
    }

    /// Takes the packet away from whoever walks it. `None` if somebody else holds it too and there is
    /// no memory for a copy: it is then gone. To be called once.
    #[inline]
    pub(crate) fn take(&mut self) -> Option<Skb> {
        self.taken = true;
        // SAFETY: The hook answers NF_STOLEN ([`hook`]), which makes the reference ours.
        unsafe { Skb::from_raw(self.skb) }.share_check()
    }

    /// Takes the packet, walks it through the hooks of this place that follow the hook `H`, and returns
    /// it if they all let it pass.
    pub(crate) fn take_through_rest<H: Hook>(&mut self, point: Point) -> Option<Skb> {
        let skb = self.take()?;
        // SAFETY: The namespace is alive during the walk, and this is under RCU.
        let entries = unsafe { entries(Net::from_ptr(self.state.net), point) };
        if entries.is_null() {
            return Some(skb);
        }
        // SAFETY: The array is kept by RCU and has that many entries.
        let (next, n) = unsafe {
            let n = usize::from((*entries).num_hook_entries);
            let all = core::slice::from_raw_parts((*entries).hooks.as_ptr(), n);
            let ours = hook::<H> as *const ();
            let next = all
                .iter()
                .position(|e| e.hook.is_some_and(|f| core::ptr::eq(f as *const (), ours)))
                .map_or(0, |at| at.wrapping_add(1));
            (next, n)
        };
        if next == n {
            return Some(skb);
        }
        let mut state = *self.state;
        state.okfn = Some(point.okfn());
        walk_from(skb, &mut state, entries, next).ok().flatten()
    }
}

/// A hook of ours.
pub(crate) trait Hook: 'static {
    /// What the namespace has for it.
    type Owner: PerNet;

    /// Whether the packet may be worth a call. Every packet of the host pays for the question.
    #[inline]
    fn wants(_owner: &Self::Owner, _skb: &SkBuff) -> bool {
        true
    }

    /// Looks at a packet and takes it, or lets it pass. Softirq or process.
    fn call(owner: &Self::Owner, packet: &mut Passing<'_>, rcu: &rcu::ReadGuard);
}

/// A registered hook.
pub(crate) struct Registration {
    ops: KBox<UnsafeCell<bindings::nf_hook_ops>>,
    net: &'static Net,
}

// SAFETY: The structure is only touched by C, under its own locks.
unsafe impl Send for Registration {}
// SAFETY: As above.
unsafe impl Sync for Registration {}

impl Registration {
    fn new<H: Hook>(
        net: &'static Net,
        dev: *mut bindings::net_device,
        pf: u8,
        hooknum: u32,
        priority: i32,
    ) -> Result<Self> {
        let owner = netns::get::<H::Owner>(net).ok_or(ENXIO)?;
        // SAFETY: All zeroes is a value of this C structure.
        let mut ops: bindings::nf_hook_ops = unsafe { core::mem::zeroed() };
        ops.hook = Some(hook::<H>);
        ops.priv_ = core::ptr::from_ref(owner).cast_mut().cast();
        ops.dev = dev;
        ops.pf = pf;
        ops.hooknum = hooknum;
        ops.priority = priority;
        let ops = KBox::new(UnsafeCell::new(ops), GFP_KERNEL)?;
        // SAFETY: The structure stays where it is until `drop` takes it back; the namespace and the device
        // are alive.
        to_result(unsafe { bindings::nf_register_net_hook(net.as_ptr(), ops.get()) })?;
        Ok(Registration { ops, net })
    }

    /// Registers `H` at `point` of IPv4's path in `net`, to be taken back before the namespace's [`PerNet::stop`] ends.
    /// Process context; sleeps.
    ///
    /// # Errors
    ///
    /// ENOMEM; ENXIO for a namespace that has no [`Hook::Owner`].
    pub(crate) fn ipv4<H: Hook>(net: &'static Net, point: Point, priority: i32) -> Result<Self> {
        let pf = bindings::NFPROTO_IPV4 as u8;
        Self::new::<H>(net, null_mut(), pf, point as u32, priority)
    }

    /// Registers `H` where the host's ARP takes frames in.
    pub(crate) fn arp_in<H: Hook>(net: &'static Net) -> Result<Self> {
        let pf = bindings::NFPROTO_ARP as u8;
        Self::new::<H>(net, null_mut(), pf, bindings::NF_ARP_IN, i32::MIN)
    }

    /// Registers `H` where frames of `dev` enter, behind everybody else there. To be dropped before the
    /// device leaves its namespace.
    pub(crate) fn ingress<H: Hook>(net: &'static Net, dev: &NetDevice) -> Result<Self> {
        let pf = bindings::NFPROTO_NETDEV as u8;
        let hooknum = bindings::nf_dev_hooks_NF_NETDEV_INGRESS;
        Self::new::<H>(net, dev.as_ptr(), pf, hooknum, i32::MAX)
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        // SAFETY: Registered by `new`, once. Calls under way end within a grace period.
        unsafe { bindings::nf_unregister_net_hook(self.net.as_ptr(), self.ops.get()) };
    }
}

/// What most packets of the host meet of `H`, hence without a stack frame of its own.
///
/// # Safety
///
/// Called by C with a hook registered for `H`, in softirq or process context under RCU.
unsafe extern "C" fn hook<H: Hook>(
    owner: *mut kernel::ffi::c_void,
    skb: *mut bindings::sk_buff,
    state: *const bindings::nf_hook_state,
) -> kernel::ffi::c_uint {
    // SAFETY: The namespace's value is there until a grace period after its hooks were taken back (`PerNet::stop`), and the
    // packet is the hook's for the time of the call.
    let (owner, seen) = unsafe { (&*owner.cast::<H::Owner>(), SkBuff::from_ptr(skb)) };
    match H::wants(owner, seen) {
        // SAFETY: As the caller promises.
        true => unsafe { wanted::<H>(owner, skb, state) },
        false => bindings::NF_ACCEPT,
    }
}

/// # Safety
///
/// As [`hook`].
#[inline(never)]
unsafe fn wanted<H: Hook>(
    owner: &H::Owner,
    skb: *mut bindings::sk_buff,
    state: *const bindings::nf_hook_state,
) -> kernel::ffi::c_uint {
    let mut packet = Passing {
        skb,
        // SAFETY: The state lives on the walker's stack.
        state: unsafe { &*state },
        taken: false,
    };
    // SAFETY: Whoever walks a packet through hooks is under RCU until the walk is over.
    H::call(owner, &mut packet, unsafe { rcu::ReadGuard::held() });
    match packet.taken {
        true => bindings::NF_STOLEN,
        false => bindings::NF_ACCEPT,
    }
}

/// The hooks at `point`, or null if there are none.
///
/// # Safety
///
/// To be called and used under RCU.
#[inline]
unsafe fn entries(net: &Net, point: Point) -> *const bindings::nf_hook_entries {
    // SAFETY: A namespace has a slot for each point; the pointer in it is published by RCU.
    unsafe {
        let slots =
            addr_of_mut!((*net.as_ptr()).nf.hooks_ipv4).cast::<*mut bindings::nf_hook_entries>();
        AtomicPtr::from_ptr(slots.add(point as usize)).load(Ordering::Acquire)
    }
}

/// How many hooks there are at `point`. A hint: it may change at any time.
#[inline]
pub(crate) fn count(net: &Net, point: Point) -> u16 {
    // SAFETY: Every reader of packets runs under RCU; only the number is read.
    unsafe {
        let e = entries(net, point);
        match e.is_null() {
            true => 0,
            false => addr_of!((*e).num_hook_entries).read(),
        }
    }
}

/// Whether nobody but our own hook `H` looks at packets at `point`, if anybody does.
#[inline]
pub(crate) fn is_only<H: Hook>(net: &Net, point: Point, _rcu: &rcu::ReadGuard) -> bool {
    // SAFETY: Under RCU; the array has as many entries as it says.
    unsafe {
        let e = entries(net, point);
        e.is_null()
            || (addr_of!((*e).num_hook_entries).read() == 1
                && (*(*e).hooks.as_ptr())
                    .hook
                    .is_some_and(|f| core::ptr::eq(f as *const (), hook::<H> as *const ())))
    }
}

/// Where a packet stands that is walked through hooks by us.
pub(crate) struct Place<'a> {
    /// The namespace.
    pub(crate) net: &'a Net,
    /// The hook.
    pub(crate) point: Point,
    /// The device it came in by.
    pub(crate) input: Option<&'a NetDevice>,
    /// The device it will leave by.
    pub(crate) output: Option<&'a NetDevice>,
    /// The socket that sent it; null if none did.
    pub(crate) sk: *mut bindings::sock,
}

/// Walks `skb` through the hooks of a place. An error (positive): a hook dropped it; `None`: one queued or took it. The
/// packet may come back with another route, other addresses, other bytes.
///
/// Mirrors [`nf_hook`](srctree/include/linux/netfilter.h)
#[inline]
pub(crate) fn walk(skb: Skb, at: &Place<'_>, _rcu: &rcu::ReadGuard) -> Result<Option<Skb>, i32> {
    // SAFETY: Under RCU until the walk is over.
    let entries = unsafe { entries(at.net, at.point) };
    if entries.is_null() {
        return Ok(Some(skb));
    }
    let mut state = bindings::nf_hook_state {
        hook: at.point as u8,
        pf: bindings::NFPROTO_IPV4 as u8,
        in_: at.input.map_or(null_mut(), NetDevice::as_ptr),
        out: at.output.map_or(null_mut(), NetDevice::as_ptr),
        sk: at.sk,
        net: at.net.as_ptr(),
        okfn: Some(at.point.okfn()),
    };
    walk_from(skb, &mut state, entries, 0)
}

/// Walks on from the entry `first`. The caller is under RCU.
fn walk_from(
    skb: Skb,
    state: &mut bindings::nf_hook_state,
    entries: *const bindings::nf_hook_entries,
    first: usize,
) -> Result<Option<Skb>, i32> {
    let ptr = skb.into_raw();
    // SAFETY: The packet is ours, the state is filled, and the array is kept by RCU. The answer 1 gives the
    // packet back; with every other one it is gone.
    unsafe {
        match bindings::nf_hook_slow(ptr, state, entries, first as u32) {
            1 => Ok(Some(Skb::from_raw(ptr))),
            e if e < 0 => Err(e.wrapping_neg()),
            _ => Ok(None),
        }
    }
}

/// Where a packet goes on that a hook had queued for a program and the program let pass.
///
/// # Safety
///
/// Called by C with a reference to `skb`.
unsafe extern "C" fn okfn<const POINT: u8>(
    net: *mut bindings::net,
    sk: *mut bindings::sock,
    skb: *mut bindings::sk_buff,
) -> kernel::ffi::c_int {
    // SAFETY: The queue held references to the namespace and the socket, and passes on the packet's.
    let (net, skb) = unsafe { (Net::from_ptr(net), Skb::from_raw(skb)) };
    if let Some(point) = Point::from_raw(POINT) {
        crate::glue::filter::reinject(net, point, sk, skb);
    }
    0
}
