// SPDX-License-Identifier: GPL-2.0
//! System calls with whatever arguments a script spells, NULL pointers and wrong lengths included.
//!
//! The only module with unsafe code: a safe wrapper would refuse the arguments whose refusal by the
//! kernel is what a script tests. Memory is safe all the same, for a pointer can only be NULL or lead
//! into a buffer that the call owns, and [`SHAPES`] says of each call how much the kernel may touch
//! there. A call that the table lacks is not made.

use uapi::c;
use uapi::Errno;

/// An argument of a system call.
#[derive(Debug)]
pub enum Arg {
    /// By value.
    Int(i64),
    /// A NULL pointer.
    Null,
    /// A pointer to these bytes, which the kernel may read and write.
    Bytes(Vec<u8>),
    /// A pointer to a `struct msghdr`.
    Message(Message),
}

/// What a `struct msghdr` leads to.
#[derive(Debug, Default)]
pub struct Message {
    /// `msg_name`, NULL if empty.
    pub name: Vec<u8>,
    /// `msg_iov`.
    pub iov: Vec<Vec<u8>>,
    /// `msg_control`, NULL if empty; afterwards what the kernel filled in.
    pub control: Vec<u8>,
    /// `msg_flags`.
    pub flags: i32,
}

impl Arg {
    /// The bytes that it points to; empty if it does not.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Arg::Bytes(b) => b,
            _ => &[],
        }
    }

    /// The bytes, as an integer of this machine; 0 if they are fewer than 4.
    pub fn int(&self) -> i32 {
        match self.bytes() {
            [a, b, c, d, ..] => i32::from_ne_bytes([*a, *b, *c, *d]),
            _ => 0,
        }
    }
}

/// How many bytes the kernel may touch at a pointer.
#[derive(Clone, Copy, Debug)]
enum Size {
    /// As the argument with this index says.
    Arg(usize),
    /// As the integer says to which the argument with this index points.
    Through(usize),
    /// So many.
    Fixed(usize),
    /// So many times the argument with this index.
    Times(usize, usize),
    /// Until a zero byte.
    Text,
    /// What the number of the ioctl says, and never less than a `struct ifreq`.
    Ioctl,
    /// A `struct msghdr`, made by [`call`] itself.
    Message,
}

/// One system call and its pointers.
struct Shape {
    nr: c::c_long,
    pointers: &'static [(usize, Size)],
}

const fn shape(nr: c::c_long, pointers: &'static [(usize, Size)]) -> Shape {
    Shape { nr, pointers }
}

/// Bytes of a `struct ifreq`.
pub const IFREQ: usize = 40;

/// Every call that can be made.
const SHAPES: &[Shape] = &[
    shape(c::SYS_socket, &[]),
    shape(c::SYS_bind, &[(1, Size::Arg(2))]),
    shape(c::SYS_listen, &[]),
    shape(c::SYS_accept, &[(1, Size::Through(2)), (2, Size::Fixed(4))]),
    shape(c::SYS_connect, &[(1, Size::Arg(2))]),
    shape(c::SYS_shutdown, &[]),
    shape(c::SYS_close, &[]),
    shape(c::SYS_read, &[(1, Size::Arg(2))]),
    shape(c::SYS_write, &[(1, Size::Arg(2))]),
    shape(c::SYS_sendto, &[(1, Size::Arg(2)), (4, Size::Arg(5))]),
    shape(
        c::SYS_recvfrom,
        &[
            (1, Size::Arg(2)),
            (4, Size::Through(5)),
            (5, Size::Fixed(4)),
        ],
    ),
    shape(c::SYS_sendmsg, &[(1, Size::Message)]),
    shape(c::SYS_recvmsg, &[(1, Size::Message)]),
    shape(c::SYS_setsockopt, &[(3, Size::Arg(4))]),
    shape(
        c::SYS_getsockopt,
        &[(3, Size::Through(4)), (4, Size::Fixed(4))],
    ),
    shape(c::SYS_fcntl, &[]),
    shape(c::SYS_ioctl, &[(2, Size::Ioctl)]),
    shape(c::SYS_openat, &[(1, Size::Text)]),
    shape(c::SYS_pipe2, &[(0, Size::Fixed(8))]),
    shape(c::SYS_sendfile, &[(2, Size::Fixed(8))]),
    shape(c::SYS_splice, &[(1, Size::Fixed(8)), (3, Size::Fixed(8))]),
    shape(c::SYS_epoll_create1, &[]),
    shape(c::SYS_epoll_ctl, &[(3, Size::Fixed(12))]),
    shape(
        c::SYS_epoll_pwait,
        &[(1, Size::Times(12, 2)), (4, Size::Fixed(8))],
    ),
    shape(
        c::SYS_ppoll,
        &[(0, Size::Times(8, 1)), (2, Size::Fixed(16))],
    ),
    shape(c::SYS_mlockall, &[]),
    shape(c::SYS_prctl, &[]),
];

/// Makes a system call. What the kernel has written is in `args` afterwards.
///
/// # Errors
///
/// The call's errno; ENOSYS for one that [`SHAPES`] lacks, ERANGE where the kernel might touch more than
/// an argument holds.
pub fn call(nr: c::c_long, args: &mut [Arg]) -> Result<i64, Errno> {
    let shape = SHAPES.iter().find(|s| s.nr == nr).ok_or(Errno(c::ENOSYS))?;
    if args.len() > 6 {
        return Err(Errno(c::ENOSYS));
    }
    for (index, arg) in args.iter().enumerate() {
        let size = shape.pointers.iter().find(|(at, _)| *at == index);
        let fits = match (arg, size.map(|(_, size)| *size)) {
            (Arg::Int(_), None) => true,
            // Where a pointer may be, a number must not: it would be one to anywhere. ioctl takes both.
            (Arg::Int(_), Some(Size::Ioctl)) => ioctl_takes_value(args),
            (Arg::Int(_), Some(_)) => false,
            (Arg::Null, _) => true,
            (Arg::Bytes(_), None) => false,
            (Arg::Bytes(bytes), Some(size)) => fits(bytes, size, args),
            (Arg::Message(_), size) => matches!(size, Some(Size::Message)),
        };
        if !fits {
            return Err(Errno(c::ERANGE));
        }
    }
    // What the message headers lead to must live until the call is over.
    let mut headers = Vec::new();
    let mut raw = [0usize; 6];
    for (slot, arg) in raw.iter_mut().zip(args.iter_mut()) {
        *slot = match arg {
            Arg::Int(v) => *v as usize,
            Arg::Null => 0,
            Arg::Bytes(bytes) => bytes.as_mut_ptr() as usize,
            Arg::Message(message) => {
                let mut header = Box::new(Header::new(message));
                let at = &raw mut header.msg as usize;
                headers.push(header);
                at
            }
        };
    }
    // SAFETY: Every pointer among the arguments is NULL or was taken above from a buffer that `args` or
    // `headers` owns and that nothing else borrows; the loop before has checked with SHAPES that the
    // kernel touches no more than the buffer holds, and `Header` that its lengths are those of its
    // buffers. The calls in SHAPES keep no pointer beyond their return, except that MSG_ZEROCOPY keeps
    // the pages, which the kernel only reads and itself keeps alive.
    let result = unsafe { c::syscall(nr, raw[0], raw[1], raw[2], raw[3], raw[4], raw[5]) };
    let errno = Errno(
        std::io::Error::last_os_error()
            .raw_os_error()
            .unwrap_or(c::EIO),
    );
    for (header, arg) in headers.iter().zip(args.iter_mut().filter_map(Arg::message)) {
        arg.flags = header.msg.msg_flags;
        arg.control.truncate(header.msg.msg_controllen);
        arg.name.truncate(header.msg.msg_namelen as usize);
    }
    match result {
        -1 => Err(errno),
        value => Ok(value),
    }
}

impl Arg {
    fn message(&mut self) -> Option<&mut Message> {
        match self {
            Arg::Message(message) => Some(message),
            _ => None,
        }
    }
}

/// A `struct msghdr` and its vector.
struct Header {
    msg: c::msghdr,
    /// Only the kernel looks at it, through `msg`.
    _iov: Vec<c::iovec>,
}

impl Header {
    /// Leads into `message`, which must not be touched while this is used.
    fn new(message: &mut Message) -> Header {
        let mut iov: Vec<c::iovec> = message
            .iov
            .iter_mut()
            .map(|part| c::iovec {
                iov_base: part.as_mut_ptr().cast(),
                iov_len: part.len(),
            })
            .collect();
        let mut msg: c::msghdr = uapi::pod_zeroed();
        if !message.name.is_empty() {
            msg.msg_name = message.name.as_mut_ptr().cast();
            msg.msg_namelen = message.name.len() as u32;
        }
        if !message.control.is_empty() {
            msg.msg_control = message.control.as_mut_ptr().cast();
            msg.msg_controllen = message.control.len();
        }
        msg.msg_iov = iov.as_mut_ptr();
        msg.msg_iovlen = iov.len();
        msg.msg_flags = message.flags;
        Header { msg, _iov: iov }
    }
}

fn fits(bytes: &[u8], size: Size, args: &[Arg]) -> bool {
    let int = |at: usize| match args.get(at) {
        Some(Arg::Int(v)) => usize::try_from(*v).ok(),
        _ => None,
    };
    let needed = match size {
        Size::Arg(at) => int(at),
        Size::Through(at) => match args.get(at) {
            // Without a length the kernel writes nothing.
            Some(Arg::Null) => Some(0),
            // A negative length is refused by the kernel.
            Some(arg @ Arg::Bytes(_)) => usize::try_from(arg.int()).ok().or(Some(0)),
            _ => None,
        },
        Size::Fixed(n) => Some(n),
        Size::Times(n, at) => int(at).and_then(|count| count.checked_mul(n)),
        Size::Text => return bytes.contains(&0),
        Size::Ioctl => int(1).map(|request| IFREQ.max((request >> 16) & 0x3fff)),
        Size::Message => None,
    };
    needed.is_some_and(|n| n <= bytes.len())
}

/// Whether this ioctl's third argument is a number.
fn ioctl_takes_value(args: &[Arg]) -> bool {
    matches!(args.get(1), Some(Arg::Int(request)) if *request == i64::from(TUNSETOFFLOAD))
}

/// `_IOW('T', 202, int)`: which interface a descriptor of /dev/net/tun is.
pub const TUNSETIFF: u32 = 0x4004_54ca;
/// `_IOW('T', 208, unsigned int)`: what its reader can digest.
pub const TUNSETOFFLOAD: u32 = 0x4004_54d0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn call__null_pointer_reaches_the_kernel() {
        let mut fds = [Arg::Bytes(vec![0; 8]), Arg::Int(0)];
        call(c::SYS_pipe2, &mut fds).unwrap();
        let write_end = i32::from_ne_bytes(fds[0].bytes()[4..8].try_into().unwrap());
        let mut args = [Arg::Int(write_end.into()), Arg::Null, Arg::Int(10)];
        assert_eq!(call(c::SYS_write, &mut args), Err(Errno(c::EFAULT)));
    }

    #[test]
    fn call__length_beyond_the_buffer_is_refused() {
        let mut args = [Arg::Int(-1), Arg::Bytes(vec![0; 4]), Arg::Int(5)];
        assert_eq!(call(c::SYS_read, &mut args), Err(Errno(c::ERANGE)));
        let mut args = [Arg::Int(-1), Arg::Int(4096), Arg::Int(5)];
        assert_eq!(call(c::SYS_read, &mut args), Err(Errno(c::ERANGE)));
    }

    #[test]
    fn call__unknown_number_is_not_made() {
        assert_eq!(call(c::SYS_reboot, &mut []), Err(Errno(c::ENOSYS)));
    }
}
