// SPDX-License-Identifier: GPL-2.0
//! Loading and unloading. Only run when the group is named, for it takes the module away.

use std::time::Duration;

use anyhow::bail;
use anyhow::Context;
use anyhow::Result;
use netlab::c;
use netlab::check;
use netlab::check_eq;
use netlab::kstate::slabinfo;
use netlab::ktap::want_errno;
use netlab::ktap::Sysc;
use netlab::module;
use netlab::payload;
use netlab::wait;
use netlab::Errno;
use netlab::Family;
use netlab::Sock;
use nix::kmod::delete_module;
use nix::kmod::finit_module;
use nix::kmod::DeleteModuleFlags;
use nix::kmod::ModuleInitFlags;

use crate::case::Case;
use crate::case::Ctx;
use crate::cases::netfilter::chain;
use crate::cases::netfilter::Queue;
use crate::faults::Nth;

const G: &str = "module";
const NAME: &str = "rustnet";

/// The cases of this file.
pub const CASES: &[Case] = &[
    Case::own(G, "unload_refused_while_a_socket_lives", refused).secs(180),
    Case::own(G, "unload_refused_while_a_connection_lives", connection).secs(180),
    Case::own(G, "nothing_is_left_after_unload", nothing_left).secs(180),
    Case::own(G, "second_load_EEXIST", twice),
    Case::own(G, "load_and_unload_50_times_with_traffic", fifty).secs(400),
    Case::own(G, "namespaces_come_and_go_while_loaded", namespaces).secs(120),
    Case::own(G, "packets_in_a_queue_do_not_outlive_it", queued).secs(180),
    Case::own(G, "loaded_by_the_first_socket", autoload).secs(180),
    Case::own(G, "family_parameter", family_parameter).secs(180),
    Case::own(G, "load_without_memory", load_without_memory).secs(900),
];

/// delete_module(2), which tells the errno where rmmod only tells a story.
fn unload() -> Result<(), Errno> {
    delete_module(c"rustnet", DeleteModuleFlags::O_NONBLOCK).map_err(|e| Errno(e as i32))
}

/// Unloads as soon as the last orphan is gone.
fn unload_soon() -> Result<()> {
    // Orphans of earlier cases, whose peers went with their namespaces, last this long in Linux too.
    wait::until_for(
        Duration::from_secs(120),
        "the module without users",
        || match unload() {
            Err(Errno(c::EAGAIN)) => None,
            other => Some(other),
        },
    )?
    .sys("delete_module")
}

fn load(ctx: &Ctx) -> Result<()> {
    if !module::loaded(NAME) {
        module::insmod(&ctx.args.module)?;
    }
    Ok(())
}

fn traffic(ctx: &Ctx, family: Family) -> Result<()> {
    let l = ctx.lab.b.tcp(family)?;
    l.bind(ctx.lab.b.at(0)).sys("bind")?;
    l.listen(4).sys("listen")?;
    let client = ctx.lab.a.tcp(family)?;
    client.connect(l.local().sys("name")?).sys("connect")?;
    let server = l.accept().sys("accept")?;
    payload::exchange(&client, &server, 1, 50_000)?;
    let (a, b) = (ctx.lab.a.udp(family)?, ctx.lab.b.udp(family)?);
    b.bind(ctx.lab.b.at(0)).sys("bind")?;
    a.sendto(b"x", 0, b.local().sys("name")?).sys("sendto")?;
    b.recv(&mut [0; 1], 0).sys("recv")?;
    Ok(())
}

/// What an unloaded module must not leave behind.
fn leftovers(ctx: &Ctx) -> Result<()> {
    for end in [&ctx.lab.a, &ctx.lab.b] {
        for file in ["ptype", "protocols"] {
            let text = end.ns.proc_net(file)?.to_lowercase();
            check!(
                !text.contains("rustnet"),
                "/proc/net/{file} still shows it:\n{text}"
            );
        }
        check!(
            end.ns.proc_net("rustnet/stat").is_err(),
            "/proc/net/rustnet is still there"
        );
        let sysctl = end
            .ns
            .enter(|| std::path::Path::new("/proc/sys/net/rustnet").exists());
        check!(!sysctl, "/proc/sys/net/rustnet is still there");
    }
    for (name, slab) in slabinfo()? {
        check!(
            !name.to_lowercase().contains(NAME),
            "slab cache {name}: {} objects",
            slab.active
        );
    }
    check!(
        !std::path::Path::new("/sys/module/rustnet").exists(),
        "/sys/module/rustnet is there"
    );
    Ok(())
}

fn refused(ctx: &Ctx) -> Result<()> {
    load(ctx)?;
    for ty in [c::SOCK_STREAM, c::SOCK_DGRAM] {
        let s = ctx
            .lab
            .a
            .ns
            .enter(|| Sock::new(ctx.family(), ty, 0))
            .sys("socket")?;
        want_errno("delete_module", unload(), c::EWOULDBLOCK)?;
        drop(s);
    }
    unload_soon()?;
    load(ctx)
}

fn connection(ctx: &Ctx) -> Result<()> {
    load(ctx)?;
    let l = ctx.lab.b.tcp(ctx.family())?;
    l.bind(ctx.lab.b.at(0)).sys("bind")?;
    l.listen(4).sys("listen")?;
    // Connected and never accepted: no descriptor holds the server's half.
    let client = ctx.lab.a.tcp(Family::INET)?;
    client.connect(l.local().sys("name")?).sys("connect")?;
    want_errno("delete_module", unload(), c::EWOULDBLOCK)?;
    drop(l);
    drop(client);
    unload_soon()?;
    load(ctx)
}

fn nothing_left(ctx: &Ctx) -> Result<()> {
    load(ctx)?;
    traffic(ctx, ctx.family())?;
    unload_soon()?;
    leftovers(ctx)?;
    want_errno(
        "socket after unload",
        without_autoload(ctx)?.map(drop),
        c::EAFNOSUPPORT,
    )?;
    load(ctx)
}

/// socket(2) while nothing can be loaded by it.
fn without_autoload(ctx: &Ctx) -> Result<Result<Sock, Errno>> {
    let path = "/proc/sys/kernel/modprobe";
    let helper = std::fs::read_to_string(path)?;
    std::fs::write(path, "/nonexistent")?;
    let got = ctx.lab.a.ns.enter(|| Sock::tcp(ctx.family()));
    std::fs::write(path, helper.trim())?;
    Ok(got)
}

fn twice(ctx: &Ctx) -> Result<()> {
    load(ctx)?;
    match module::insmod(&ctx.args.module) {
        Err(e) if format!("{e:#}").contains("exists") => Ok(()),
        Err(e) => Err(e.context("another error than EEXIST")),
        Ok(()) => bail!("the module was loaded twice"),
    }
}

fn fifty(ctx: &Ctx) -> Result<()> {
    for round in 0..50 {
        load(ctx)?;
        traffic(ctx, ctx.family()).with_context(|| format!("traffic of round {round}"))?;
        unload_soon().with_context(|| format!("unload of round {round}"))?;
    }
    leftovers(ctx)?;
    load(ctx)
}

/// Namespaces that are made, used and dropped while the module is loaded, and one that outlives it.
fn namespaces(ctx: &Ctx) -> Result<()> {
    load(ctx)?;
    for round in 0..10 {
        let lab = netlab::lab::Lab::new(netlab::lab::Link::Veth)?;
        let inner = Ctx {
            lab,
            args: ctx.args.clone(),
            ..*ctx
        };
        traffic(&inner, ctx.family()).with_context(|| format!("round {round}"))?;
    }
    unload_soon()?;
    leftovers(ctx)?;
    load(ctx)?;
    traffic(ctx, ctx.family())
}

/// What a program (NFQUEUE) has when the module goes would go on in code that is not there any more.
fn queued(ctx: &Ctx) -> Result<()> {
    load(ctx)?;
    let lab = netlab::lab::Lab::new(netlab::lab::Link::Veth)?;
    let far = netlab::ns::Namespace::new()?;
    let (a, b) = (&lab.a, &lab.b.ns);
    b.sysctl("net/ipv4/ip_forward", "1")?;
    b.ip(&format!(
        "link add w type veth peer name x netns {}\n\
         addr add 10.79.0.1/24 dev w\n\
         link set w up",
        far.path()
    ))?;
    far.ip("addr add 10.79.0.2/24 dev x\nlink set x up")?;
    a.ns.ip("route add default via 10.77.0.2")?;
    let there = far.enter(|| Sock::udp(Family::INET)).sys("socket")?;
    there.bind("10.79.0.2:0".parse()?).sys("bind")?;
    let to = there.local().sys("name")?;
    // Somebody else's packet, at a hook that RustNet walks it through.
    for hook in ["prerouting", "forward", "postrouting"] {
        load(ctx)?;
        b.sysctl("net/rustnet/mode", "replace")?;
        let mut queue = Queue::new(b, "hold")?;
        chain(
            b,
            "q",
            &format!("filter hook {hook} priority 0"),
            "udp dport != 1 queue to 0",
        )?;
        let here = a.udp(Family::INET)?;
        here.sendto(b"held", 0, to).sys("sendto")?;
        queue.says("packet")?;
        unload_soon().with_context(|| format!("with a packet queued at {hook}"))?;
        queue.release()?;
        b.run(&["nft", "delete table ip q"])?;
        here.sendto(b"after", 0, to).sys("sendto")?;
        let mut buf = [0; 10];
        let n = there.recv(&mut buf, 0).sys("recv")?;
        check_eq!(&buf[..n], b"after", "what came, the host routing");
    }
    // A packet of a socket's keeps the socket, and that the module.
    load(ctx)?;
    let queue = Queue::new(&a.ns, "hold")?;
    chain(
        &a.ns,
        "q",
        "filter hook output priority 0",
        "udp dport != 1 queue to 0",
    )?;
    a.udp(ctx.family())?.sendto(b"held", 0, to).sys("sendto")?;
    queue.says("packet")?;
    want_errno("delete_module", unload(), c::EWOULDBLOCK)?;
    drop(queue);
    unload_soon()?;
    load(ctx)
}

fn autoload(ctx: &Ctx) -> Result<()> {
    load(ctx)?;
    unload_soon()?;
    let s = ctx
        .tcp()
        .context("the alias net-pf-N did not load the module")?;
    check!(module::loaded(NAME), "a socket without the module");
    drop(s);
    Ok(())
}

fn family_parameter(ctx: &Ctx) -> Result<()> {
    load(ctx)?;
    unload_soon()?;
    let run = |param: &str| {
        std::process::Command::new("insmod")
            .args([&ctx.args.module, param])
            .output()
    };
    check!(
        !run("family=2")?.status.success(),
        "AF_INET's own slot was taken"
    );
    check!(
        !run("family=99")?.status.success(),
        "a family beyond AF_MAX was taken"
    );
    let out = run("family=12")?;
    check!(
        out.status.success(),
        "family=12: {}",
        String::from_utf8_lossy(&out.stderr)
    );
    traffic(ctx, Family(12)).context("traffic on family 12")?;
    check_eq!(
        without_autoload(ctx)?.is_err(),
        true,
        "the default slot is empty"
    );
    unload_soon()?;
    load(ctx)
}

/// Each allocation of loading fails once: it says so and leaves nothing behind, or does without.
fn load_without_memory(ctx: &Ctx) -> Result<()> {
    load(ctx)?;
    let nth = Nth::of_modules_like(NAME)?;
    unload_soon()?;
    let file = std::fs::File::open(&ctx.args.module).context("the module's file")?;
    let mut failed = 0;
    // Each namespace has its part, and one is like the other. Most are the names of caches in sysfs, which the kernel does
    // without.
    for n in std::iter::successors(Some(1u64), |n| Some(n + 1 + n / 16)) {
        let (done, fired) = nth.during(n, || {
            finit_module(&file, c"", ModuleInitFlags::empty()).map_err(|e| Errno(e as i32))
        })?;
        match done {
            Ok(()) => {
                traffic(ctx, ctx.family()).with_context(|| format!("without allocation {n}"))?;
                unload_soon()?;
                if !fired {
                    break;
                }
            }
            Err(e) => {
                check!(fired, "allocation {n} has not failed, and yet: {e}");
                // A cache for sockets that cannot be made says ENOBUFS (`proto_register`).
                check!(
                    matches!(e, Errno(c::ENOMEM | c::ENOBUFS)),
                    "loading without allocation {n}: {e}"
                );
                failed += 1;
            }
        }
        leftovers(ctx).with_context(|| format!("without allocation {n}"))?;
    }
    check!(failed > 5, "only {failed} allocations failed");
    load(ctx)?;
    traffic(ctx, ctx.family())
}
