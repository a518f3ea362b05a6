// SPDX-License-Identifier: GPL-2.0
//! Transport protocols: what the socket core knows about one (`struct proto`).
//!
//! A protocol is a type that implements [`Protocol`] and one static [`Proto`]. Registering the static
//! makes the slab that the protocol's sockets live in; the registration ends when its token is dropped,
//! and until the last socket is freed the module cannot go, for each socket holds a reference to it.
//!
//! C header: [`include/net/sock.h`](srctree/include/net/sock.h)

use super::{
    ehash::Table,
    minisock::MiniKind,
    netns::Net,
    sock::{
        Sk,
        Sock,
        SockRef, //
    },
    sock_lock::Locked,
    sock_soft::{
        self,
        Event,
        Soft, //
    },
    socket::SocketOps,
    timer, //
};
use crate::{
    bindings,
    platform::Skb, //
};
use core::{
    cell::UnsafeCell,
    marker::PhantomData,
    mem::{
        offset_of,
        size_of,
        MaybeUninit, //
    },
    ptr::{
        self,
        addr_of_mut,
        NonNull, //
    },
    sync::atomic::{
        AtomicI32,
        AtomicU8,
        AtomicUsize,
        Ordering, //
    },
};
use kernel::{
    error::{
        code::*,
        to_result, //
    },
    ffi::{
        c_int,
        c_long,
        c_ulong, //
    },
    prelude::*,
    ThisModule, //
};

/// A transport protocol.
///
/// Callbacks run with the socket's lock held unless they say otherwise.
pub trait Protocol: Sized + 'static {
    /// The name, below 32 bytes, as `/proc/net/protocols` and the slab show it.
    const NAME: &'static CStr;
    /// `SOCK_STREAM`, `SOCK_DGRAM` ….
    const TYPE: u16;
    /// The IP protocol's number.
    const PROTOCOL: u16;
    /// What any holder of a reference may read. Its default stands in every new socket.
    type Shared: Send + Sync + Default;
    /// What the holder of the socket's lock may change.
    type Private: Send;
    /// What stands in the look-up table for a connection that is not yet one.
    type HalfOpen: MiniKind;
    /// What stands in the look-up table for a connection that is no more.
    type TimeWait: MiniKind;

    /// The protocol's static.
    fn proto() -> &'static Proto<Self>;

    /// The look-up table, which stands from before the protocol's registration until after it.
    fn table() -> &'static Table<Self>;

    /// Makes the private part of a new socket in `net` where it will stand: a connection's is more than a kilobyte.
    fn init_private<'a>(
        slot: &'a mut MaybeUninit<Self::Private>,
        net: &Net,
    ) -> &'a mut Self::Private;

    /// Sets up a new socket: buffer sizes, GSO, callbacks.
    fn init(sk: &Sock<Self>);

    /// A packet that waited while a user owned the socket. Datagrams go straight into the receive queue: none
    /// waits.
    fn backlog_rcv(sk: &mut Locked<'_, Self>, skb: Skb) {
        let _ = sk;
        drop(skb);
    }

    /// A user gives the socket back: what was put off for that moment is done now.
    fn release_cb(sk: &mut Locked<'_, Self>) {
        let _ = sk;
    }

    /// The socket's fine timer, if the protocol has one.
    #[inline]
    fn soft(shared: &Self::Shared) -> Option<&Soft<Self>> {
        let _ = shared;
        None
    }

    /// A timer of the socket's is due, or it was kicked. In softirq.
    fn on_event(sk: &mut Locked<'_, Self>, event: Event) {
        let _ = (sk, event);
    }

    /// The same while a user owned the socket: remember it for [`Protocol::release_cb`]. In softirq, the socket
    /// not owned by the caller, its spinlock held.
    fn defer(sk: &Sock<Self>, event: Event) {
        let _ = (sk, event);
    }

    /// Streams only: a packet that [`Sk::set_owner_w`] charged was freed, or may have been. Any context, the locks
    /// of queueing disciplines included; no lock of the socket's.
    fn sent(sk: &Sock<Self>) {
        let _ = sk;
    }

    /// Streams only: whether more may be queued for sending, apart from what SO_SNDBUF says. With `wake` it
    /// must be worth waking a writer. Any context, no lock.
    fn memory_free(sk: &Sock<Self>, wake: bool) -> bool {
        let _ = (sk, wake);
        true
    }

    /// The protocol's memory passed its pressure mark for this socket's sake, or is below it again after so many
    /// milliseconds. Any context, the socket's lock held.
    fn memory_pressure(_sk: &Sock<Self>, _ended_after_ms: Option<u32>) {}

    /// `SO_KEEPALIVE` was set to `on`.
    fn keepalive(sk: &mut Locked<'_, Self>, on: bool) {
        let _ = (sk, on);
    }

    /// The last reference is gone: frees what is queued, and uncharges it.
    fn destruct(sk: &mut Locked<'_, Self>);
}

/// The static of a protocol: the `struct proto`, and the memory accounts it points to.
pub struct Proto<P: Protocol> {
    proto: UnsafeCell<bindings::proto>,
    ops: UnsafeCell<bindings::proto_ops>,
    sockets: UnsafeCell<bindings::percpu_counter>,
    allocated: UnsafeCell<bindings::atomic_long_t>,
    pressure: UnsafeCell<c_ulong>,
    /// `tcp_mem`: low, pressure, high, in pages.
    mem: UnsafeCell<[c_long; 3]>,
    _p: PhantomData<P>,
}

// SAFETY: The cells are written while registering, which happens once and before the first socket, and
// afterwards by the socket core, which knows how to.
unsafe impl<P: Protocol> Sync for Proto<P> {}

impl<P: Protocol> Proto<P> {
    /// A protocol that is not registered yet.
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        // SAFETY: For each of these C types all zeroes is a value.
        unsafe {
            Proto {
                proto: UnsafeCell::new(core::mem::zeroed()),
                ops: UnsafeCell::new(core::mem::zeroed()),
                sockets: UnsafeCell::new(core::mem::zeroed()),
                allocated: UnsafeCell::new(core::mem::zeroed()),
                pressure: UnsafeCell::new(0),
                mem: UnsafeCell::new([0; 3]),
                _p: PhantomData,
            }
        }
    }

    /// The `struct proto`, for comparison and for `sk_alloc`.
    #[inline]
    pub fn as_ptr(&self) -> *mut bindings::proto {
        self.proto.get()
    }

    /// What the socket layer calls.
    #[inline]
    pub(super) fn ops(&self) -> *const bindings::proto_ops {
        self.ops.get()
    }

    /// Whether the protocol's memory passed its pressure mark (`tcp_memory_pressure`).
    #[inline]
    pub fn under_pressure(&self) -> bool {
        // SAFETY: A static's word; C writes it by WRITE_ONCE.
        unsafe { self.pressure.get().read_volatile() != 0 }
    }

    /// Whether the memory in use is below the first number of `tcp_mem`.
    ///
    /// Mirrors [`sk_prot_mem_limits`](srctree/include/net/sock.h)
    #[inline]
    pub fn below_low_mark(&self) -> bool {
        // SAFETY: Written before the first socket, and never again.
        let [low, _, _] = unsafe { *self.mem.get() };
        self.allocated() < low as i64
    }

    /// Sockets that exist, roughly (`sockets_allocated`).
    pub fn sockets(&self) -> i64 {
        // SAFETY: The counter is initialised while the protocol is registered; reading it before gives 0.
        unsafe { (*self.sockets.get()).count }
    }

    /// Memory in use, in pages, roughly (`memory_allocated`).
    pub fn allocated(&self) -> i64 {
        // SAFETY: A static's word, read once.
        unsafe { (&raw const (*self.allocated.get()).counter).read_volatile() }
    }

    /// Registers the protocol for the family `family`, and makes its slab. `mem` is `tcp_mem`, in pages, if
    /// the protocol's memory is accounted for at all.
    ///
    /// # Errors
    ///
    /// ENOMEM, ENOBUFS; EBUSY if it is registered already.
    ///
    /// Mirrors [`tcp_prot`](srctree/net/ipv4/tcp_ipv4.c)
    pub fn register(
        &'static self,
        family: c_int,
        module: &'static ThisModule,
        mem: Option<[c_long; 3]>,
    ) -> Result<ProtoRegistration<P>>
    where
        P: SocketOps,
    {
        let p = self.proto.get();
        // SAFETY: Called once, from the module's init, before any socket exists.
        if unsafe { !(*p).slab.is_null() } {
            return Err(EBUSY);
        }
        // SAFETY: As above; the counter lives as long as the module.
        to_result(unsafe {
            bindings::percpu_counter_init(self.sockets.get(), 0, bindings::GFP_KERNEL)
        })?;
        // SAFETY: Plain allocation; zeroed memory is a value for `int`.
        let fw = unsafe { bindings::alloc_percpu_int() };
        if fw.is_null() {
            // SAFETY: Initialised above.
            unsafe { bindings::percpu_counter_destroy_many(self.sockets.get(), 1) };
            return Err(ENOMEM);
        }
        // SAFETY: Nobody else sees `*p` before `proto_register`.
        unsafe {
            *self.ops.get() = super::proto_ops::ops::<P>(family, module);
            FAMILY.store(family, Ordering::Relaxed);
            (*p).owner = module.as_ptr().cast();
            (*p).backlog_rcv = Some(backlog_rcv::<P>);
            (*p).release_cb = Some(release_cb::<P>);
            (*p).keepalive = Some(keepalive::<P>);
            (*p).sockets_allocated = self.sockets.get();
            (*p).per_cpu_fw_alloc = fw;
            if let Some(mem) = mem {
                *self.mem.get() = mem;
                (*p).enter_memory_pressure = Some(enter_memory_pressure::<P>);
                (*p).leave_memory_pressure = Some(leave_memory_pressure::<P>);
                (*p).memory_allocated = self.allocated.get();
                (*p).memory_pressure = self.pressure.get();
                (*p).sysctl_mem = self.mem.get().cast();
            }
            // The host's tcp_wmem and tcp_rmem of the namespace: their first values are what a socket may
            // always have.
            (*p).sysctl_wmem_offset = offset_of!(bindings::net, ipv4.sysctl_tcp_wmem) as u32;
            (*p).sysctl_rmem_offset = offset_of!(bindings::net, ipv4.sysctl_tcp_rmem) as u32;
            (*p).max_header = bindings::MAX_TCP_HEADER as c_int;
            (*p).obj_size = size_of::<Sock<P>>() as _;
            (*p).no_autobind = true;
            // Freed objects may be reused at once under the eyes of lock-free readers, who take a
            // reference and look again. The allocator's pointer goes where `sk_rcu` is.
            (*p).slab_flags = bindings::SLAB_TYPESAFE_BY_RCU;
            (*p).freeptr_offset = offset_of!(bindings::sock, __bindgen_anon_5) as _;
            if u32::from(P::TYPE) == bindings::sock_type_SOCK_STREAM {
                (*p).stream_memory_free = Some(stream_memory_free::<P>);
            }
            let name = P::NAME.to_bytes();
            let n = name.len().min((*p).name.len() - 1);
            ptr::copy_nonoverlapping(name.as_ptr(), addr_of_mut!((*p).name).cast(), n);
        }
        // SAFETY: `*p` is filled, and static.
        let ret = to_result(unsafe { bindings::proto_register(p, 1) });
        if let Err(e) = ret {
            // SAFETY: Both were set up above and nobody uses them.
            unsafe {
                bindings::free_percpu(fw.cast());
                bindings::percpu_counter_destroy_many(self.sockets.get(), 1);
            }
            return Err(e);
        }
        Ok(ProtoRegistration { proto: self })
    }

    /// Makes a socket and, if there is one, ties it to `sock`.
    ///
    /// # Errors
    ///
    /// ENOBUFS when there is no memory, as Linux says.
    ///
    /// # Safety
    ///
    /// `net` is alive; `sock`, if not null, is a `struct socket` without a socket yet. The protocol is
    /// registered.
    ///
    /// Mirrors [`inet_create`](srctree/net/ipv4/af_inet.c)
    pub(super) unsafe fn create(
        &'static self,
        net: *mut bindings::net,
        sock: *mut bindings::socket,
        family: c_int,
        kern: c_int,
    ) -> Result<NonNull<Sock<P>>> {
        // SAFETY: The caller's promises.
        let sk = unsafe {
            bindings::sk_alloc(net, family, bindings::GFP_KERNEL, self.proto.get(), kern)
        };
        let so = NonNull::new(sk.cast::<Sock<P>>()).ok_or(ENOMEM)?;
        // SAFETY: The object is ours alone and of the size of a `Sock<P>`; the parts that are not
        // `struct inet_sock` are initialised here, before anybody can find it.
        unsafe {
            (*so.as_ptr()).linked = AtomicU8::new(0);
            (*so.as_ptr()).shared.write(P::Shared::default());
            P::init_private((*so.as_ptr()).private.get_mut(), Net::from_ptr(net));
            bindings::sock_init_data(sock, sk);
            (*sk).sk_destruct = Some(destruct::<P>);
            (*sk).sk_protocol = P::PROTOCOL;
            (*sk).sk_type = P::TYPE;
            (*sk).sk_backlog_rcv = Some(backlog_rcv::<P>);
            if u32::from(P::TYPE) == bindings::sock_type_SOCK_STREAM {
                (*sk).sk_write_space = Some(sent::<P>);
            }
            (*sk).__bindgen_anon_3.sk_timer.function = Some(timer::<P>);
            let inet = sk.cast::<bindings::inet_sock>();
            (*inet).uc_ttl = -1;
            (*inet).mc_ttl = 1;
            bindings::sk_sockets_allocated_inc(sk);
        }
        // SAFETY: Just initialised, and nobody else's yet.
        let s = unsafe {
            let s = Sock::<P>::from_raw(sk);
            if let Some(soft) = P::soft(s.shared()) {
                soft.set_up(sk);
            }
            s
        };
        P::init(s);
        Ok(so)
    }
}

/// # Safety
///
/// Called by the socket core with a live socket of `P`'s.
unsafe extern "C" fn stream_memory_free<P: Protocol>(
    sk: *const bindings::sock,
    wake: c_int,
) -> bool {
    // SAFETY: The caller's promise.
    P::memory_free(unsafe { Sock::<P>::from_raw(sk.cast_mut()) }, wake != 0)
}

/// The protocol is registered as long as this lives; dropped after every socket is gone.
pub struct ProtoRegistration<P: Protocol> {
    proto: &'static Proto<P>,
}

impl<P: Protocol> Drop for ProtoRegistration<P> {
    fn drop(&mut self) {
        let p = self.proto.proto.get();
        // SAFETY: Registered by the invariant of the type. Each socket holds a reference to the module,
        // so there is none left; objects that RCU still holds back are waited for, because the code
        // that frees them is in this module and the slab must be empty.
        unsafe {
            bindings::rcu_barrier();
            bindings::proto_unregister(p);
            bindings::free_percpu((*p).per_cpu_fw_alloc.cast());
            bindings::percpu_counter_destroy_many(self.proto.sockets.get(), 1);
            (*p).slab = ptr::null_mut();
        }
    }
}

/// The number under which the family was registered.
static FAMILY: AtomicI32 = AtomicI32::new(0);

/// The number under which the family was registered.
#[inline]
pub fn family() -> c_int {
    FAMILY.load(Ordering::Relaxed)
}

/// # Safety
///
/// Called by the socket core: `sk` is a socket of `P` whose owner, in this context, is giving it back,
/// and the packet is handed over.
unsafe extern "C" fn backlog_rcv<P: Protocol>(
    sk: *mut bindings::sock,
    skb: *mut bindings::sk_buff,
) -> c_int {
    // SAFETY: The caller's promise: the lock's owner field is set and this context is the owner.
    let mut locked = unsafe { Locked::<P>::from_raw(sk) };
    // SAFETY: The packet is handed over.
    P::backlog_rcv(&mut locked, unsafe { Skb::from_raw(skb) });
    0
}

/// # Safety
///
/// As [`backlog_rcv`].
unsafe extern "C" fn release_cb<P: Protocol>(sk: *mut bindings::sock) {
    // SAFETY: As in `backlog_rcv`.
    P::release_cb(&mut unsafe { Locked::<P>::from_raw(sk) });
}

/// # Safety
///
/// Called by `sk_setsockopt` with the socket's lock held.
unsafe extern "C" fn keepalive<P: Protocol>(sk: *mut bindings::sock, on: c_int) {
    // SAFETY: The caller's promise.
    P::keepalive(&mut unsafe { Locked::<P>::from_raw(sk) }, on != 0);
}

/// The protocol's word that says since when memory is short, in milliseconds, and odd, for 0 says that it is not.
///
/// # Safety
///
/// `sk` is a live socket of one of our protocols, one that accounts for memory.
unsafe fn pressure_of<'a>(sk: *mut bindings::sock) -> &'a AtomicUsize {
    // SAFETY: The caller's promise: the word is a static's, only accessed atomically.
    unsafe { AtomicUsize::from_ptr((*(*sk).__sk_common.skc_prot).memory_pressure.cast()) }
}

/// The time for that word.
fn millis() -> usize {
    timer::now().as_millis_u32() as usize | 1
}

/// # Safety
///
/// Called by the socket core for a live socket of `P`'s.
///
/// Mirrors [`tcp_enter_memory_pressure`](srctree/net/ipv4/tcp.c)
unsafe extern "C" fn enter_memory_pressure<P: Protocol>(sk: *mut bindings::sock) {
    // SAFETY: The caller's promise.
    let (word, so) = unsafe { (pressure_of(sk), Sock::<P>::from_raw(sk)) };
    if word.load(Ordering::Relaxed) == 0
        && word
            .compare_exchange(0, millis(), Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
    {
        P::memory_pressure(so, None);
    }
}

/// # Safety
///
/// As [`enter_memory_pressure`].
///
/// Mirrors [`tcp_leave_memory_pressure`](srctree/net/ipv4/tcp.c)
unsafe extern "C" fn leave_memory_pressure<P: Protocol>(sk: *mut bindings::sock) {
    // SAFETY: The caller's promise.
    let (word, so) = unsafe { (pressure_of(sk), Sock::<P>::from_raw(sk)) };
    if word.load(Ordering::Relaxed) == 0 {
        return;
    }
    let since = word.swap(0, Ordering::Relaxed);
    if since != 0 {
        let ms = millis().wrapping_sub(since);
        P::memory_pressure(so, Some(ms as u32));
    }
}

/// # Safety
///
/// Called by whoever frees a packet of this socket, which the packet keeps alive (`sock_wfree`), and by
/// `sk_setsockopt`.
unsafe extern "C" fn sent<P: Protocol>(sk: *mut bindings::sock) {
    // SAFETY: The caller's promise.
    P::sent(unsafe { Sock::<P>::from_raw(sk) });
}

/// # Safety
///
/// Called by the timer wheel with the reference that arming took.
unsafe extern "C" fn timer<P: Protocol>(t: *mut bindings::timer_list) {
    // SAFETY: The timer is `sk_timer` of a socket of ours.
    let sk: *mut bindings::sock = unsafe {
        t.byte_sub(offset_of!(bindings::sock, __bindgen_anon_3))
            .cast()
    };
    // SAFETY: The pending timer held a reference (`sk_reset_timer`), which is ours now.
    let so = unsafe { SockRef::<P>::from_raw(NonNull::new_unchecked(sk)) };
    sock_soft::deliver(&so, Event::Timer);
}

/// # Safety
///
/// Called by `__sk_destruct`: nobody else has a reference.
unsafe extern "C" fn destruct<P: Protocol>(sk: *mut bindings::sock) {
    // SAFETY: The last reference is gone, so this context has the socket to itself.
    P::destruct(&mut unsafe { Locked::<P>::from_raw(sk) });
    let so = sk.cast::<Sock<P>>();
    // SAFETY: Both parts are initialised by the type's invariants, and nobody uses them any more. What is
    // left is a `struct inet_sock`, which the kernel's own destructor cleans up.
    unsafe {
        (*so).private.get_mut().assume_init_drop();
        (*so).shared.assume_init_drop();
        bindings::sk_sockets_allocated_dec(sk);
        bindings::inet_sock_destruct(sk);
    }
}

/// Makes the connection's socket of the listener `parent`: options, filter, security and charges are
/// the parent's, the protocol's parts are new. `None` when there is no memory. In softirq, without the
/// parent's lock. The result has one reference and is in no table: nobody else knows it.
///
/// Mirrors [`inet_csk_clone_lock`](srctree/net/ipv4/inet_connection_sock.c)
pub fn clone<P: Protocol>(parent: &Sock<P>) -> Option<SockRef<P>> {
    // SAFETY: A live socket of ours; the function copies it under the rules of the socket core.
    let sk = unsafe { bindings::sk_clone(parent.as_ptr(), bindings::GFP_ATOMIC, false) };
    let nn = NonNull::new(sk)?;
    let so = sk.cast::<Sock<P>>();
    // SAFETY: The object is ours alone. The copies of the parent's two parts are raw bytes that are
    // overwritten without being dropped, and so are the timer, whose copy may look pending, and the
    // pointers that the parent keeps.
    unsafe {
        (*so).linked = AtomicU8::new(0);
        (*so).shared.write(P::Shared::default());
        P::init_private((*so).private.get_mut(), parent.net());
        if let Some(soft) = P::soft((*so).shared.assume_init_ref()) {
            soft.set_up(sk);
        }
        bindings::timer_setup_flags0(
            addr_of_mut!((*sk).__bindgen_anon_3.sk_timer),
            Some(timer::<P>),
        );
        let inet = sk.cast::<bindings::inet_sock>();
        (*inet).inet_opt = ptr::null_mut();
        (*inet).mc_list = ptr::null_mut();
        (*sk).sk_rx_dst = ptr::null_mut();
    }
    // SAFETY: `sk_clone` counts two references, one of them for a table; ours are counted by the
    // tables themselves.
    drop(unsafe { SockRef::<P>::from_raw(nn) });
    // SAFETY: The other one.
    let child = unsafe { SockRef::<P>::from_raw(nn) };
    Some(child)
}

/// The socket as packets see it that were charged to it, if it is one of the protocol `P`'s.
#[inline]
pub fn downcast<P: Protocol>(sk: &Sk) -> Option<&Sock<P>> {
    // SAFETY: A live `struct sock`.
    let creator = unsafe { (&raw const (*sk.as_ptr()).sk_prot_creator).read_volatile() };
    if creator == P::proto().as_ptr() {
        // SAFETY: Made by this protocol, from its slab.
        Some(unsafe { Sock::from_raw(sk.as_ptr()) })
    } else {
        None
    }
}
