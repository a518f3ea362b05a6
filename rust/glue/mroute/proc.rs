// SPDX-License-Identifier: GPL-2.0
//! `/proc/net/rustnet/ip_mr_vif` and `ip_mr_cache`: the vifs, and where packets to groups go, in the columns of the host's
//! `/proc/net/ip_mr_vif` (less those that say what the daemon said) and `/proc/net/ip_mr_cache`.

use super::super::net::State;
use crate::abstractions::{
    netdevice::NetDevice,
    netns::Net,
    proc_fs::{
        Dir,
        Show, //
    }, //
};
use crate::stack::ip::mroute::MAXVIFS;
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
    dir.add::<VifFile>(c"ip_mr_vif")?;
    dir.add::<CacheFile>(c"ip_mr_cache")
}

/// Mirrors [`ipmr_vif_seq_show`](srctree/net/ipv4/ipmr.c)
struct VifFile;

impl Show for VifFile {
    fn show(net: &Net, m: &SeqFile) -> Result {
        print!(m, "Interface      BytesIn  PktsIn  BytesOut PktsOut\n");
        let Some(router) = State::of(net).and_then(|s| s.mroute.get()) else {
            return Ok(());
        };
        for n in 0..MAXVIFS as u8 {
            let Some((ifindex, counts)) = router.vifs.ifindex(n).zip(router.vifs.counts(n)) else {
                continue;
            };
            let [pkt_in, pkt_out, bytes_in, bytes_out] = counts;
            NetDevice::with(net, ifindex, |dev| {
                dev.with_name(|name| {
                    let name = name.to_str().unwrap_or("?");
                    print!(
                        m,
                        "{n:2} {name:<10} {bytes_in:8} {pkt_in:7}  {bytes_out:8} {pkt_out:7}\n"
                    );
                })
            });
        }
        Ok(())
    }
}

/// What waits for the daemon's answer comes last, with -1 for the vif.
///
/// Mirrors [`ipmr_mfc_seq_show`](srctree/net/ipv4/ipmr.c)
struct CacheFile;

impl Show for CacheFile {
    fn show(net: &Net, m: &SeqFile) -> Result {
        print!(m, "Group    Origin   Iif     Pkts    Bytes    Wrong Oifs\n");
        let Some(router) = State::of(net).and_then(|s| s.mroute.get()) else {
            return Ok(());
        };
        router.mfc.for_each(|c| {
            let (group, origin) = (c.group().to_be(), c.origin().to_be());
            let [packets, bytes, wrong] = c.counts();
            print!(
                m,
                "{group:08X} {origin:08X} {:<3} {packets:8} {bytes:8} {wrong:8}",
                c.parent()
            );
            for n in 0..MAXVIFS as u8 {
                if let Some(ttl) = c.threshold(n).filter(|_| router.vifs.ifindex(n).is_some()) {
                    print!(m, " {n:2}:{ttl:<3}");
                }
            }
            print!(m, "\n");
        });
        router.unresolved.lock().for_each(|origin, group| {
            let (group, origin) = (group.to_be(), origin.to_be());
            print!(
                m,
                "{group:08X} {origin:08X} {:<3} {:8} {:8} {:8}\n", -1, 0, 0, 0
            );
        });
        Ok(())
    }
}
