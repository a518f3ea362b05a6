// SPDX-License-Identifier: GPL-2.0
//! `/proc/net/rustnet/igmp` and `mcfilter`: the groups that RustNet's sockets are in, and the sources that they name, in the
//! columns of the host's files.

use super::{
    settings,
    with_ctx,
    Device, //
};
use crate::{
    abstractions::{
        inet::JIFFY_NS,
        memory::Arc,
        netdevice::NetDevice,
        netns::Net,
        proc_fs::{
            Dir,
            Show, //
        },
        timer, //
    },
    glue::net::State,
    stack::wire::ipv4::Addr, //
};
use kernel::{
    error::Result,
    seq_file::SeqFile, //
};

/// Prints to a file. The kernel's own macro only takes what implements the kernel's `Display`.
macro_rules! print {
    ($m:expr, $($args:tt)*) => { $m.call_printf(format_args!($($args)*)) };
}

/// Adds the files.
pub(in crate::glue) fn register(dir: &Dir) -> Result {
    dir.add::<IgmpFile>(c"igmp")?;
    dir.add::<FilterFile>(c"mcfilter")
}

/// Calls `f` with each device that has groups.
fn each(net: &Net, mut f: impl FnMut(&Arc<Device>, &NetDevice)) {
    let Some(state) = State::of(net) else { return };
    state.igmp.all().walk((Addr::ANY, 0), |_, _, device| {
        if !device.interface.is_empty() {
            NetDevice::with(net, device.ifindex, |dev| f(device, dev));
        }
        true
    });
}

/// Mirrors [`igmp_mc_seq_show`](srctree/net/ipv4/igmp.c)
struct IgmpFile;

impl Show for IgmpFile {
    fn show(net: &Net, m: &SeqFile) -> Result {
        print!(
            m,
            "Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter\n"
        );
        each(net, |device, dev| {
            let version = with_ctx(&settings(dev), |ctx| device.interface.version(ctx)) as u8;
            let mut n = 0u32;
            device.interface.for_each(|_| n = n.wrapping_add(1));
            dev.with_name(|name| {
                let name = name.to_str().unwrap_or("?");
                print!(m, "{}\t{name:<10}: {n:5}      V{version}\n", device.ifindex);
            });
            let now = timer::now();
            device.interface.for_each(|g| {
                let (users, at, reporter) = g.summary();
                let ticks = at.map_or(0, |at| at.since(now).as_nanos() / JIFFY_NS);
                print!(
                    m,
                    "\t\t\t\t{:08X} {users:5} {}:{ticks:08X}\t\t{}\n",
                    g.addr().to_be(),
                    u8::from(at.is_some()),
                    u8::from(reporter),
                );
            });
        });
        Ok(())
    }
}

/// Mirrors [`igmp_mcf_seq_show`](srctree/net/ipv4/igmp.c)
struct FilterFile;

impl Show for FilterFile {
    fn show(net: &Net, m: &SeqFile) -> Result {
        print!(m, "Idx Device        MCA        SRC    INC    EXC\n");
        each(net, |device, dev| {
            device.interface.for_each(|g| {
                g.for_each_source(|source, [include, exclude]| {
                    dev.with_name(|name| {
                        let name = name.to_str().unwrap_or("?");
                        print!(
                            m,
                            "{:3} {name:>6.6} 0x{:08x} 0x{:08x} {include:6} {exclude:6}\n",
                            device.ifindex,
                            g.addr().to_u32(),
                            source.to_u32(),
                        );
                    });
                });
            });
        });
        Ok(())
    }
}
