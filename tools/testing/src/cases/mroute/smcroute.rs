// SPDX-License-Identifier: GPL-2.0
//! SMCRoute, the daemon as Debian has it, in B's namespace.

use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;

use anyhow::bail;
use anyhow::Context;
use anyhow::Result;
use netlab::check;
use netlab::check_eq;
use netlab::wait;
use netlab::Family;

use super::*;

const CONFIG: &str = "\
phyint vb enable\n\
phyint w enable ttl-threshold 1\n\
phyint w2 enable ttl-threshold 10\n\
mroute from vb source 10.77.0.1 group 239.1.2.3 to w w2\n";

/// `smcrouted`, killed when dropped, and its files.
struct Smcroute<'a> {
    child: Child,
    dir: PathBuf,
    ctx: &'a Ctx,
}

impl Drop for Smcroute<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

impl<'a> Smcroute<'a> {
    fn start(ctx: &'a Ctx) -> Result<Self> {
        let dir = std::env::temp_dir().join(format!("smcroute-{}", std::process::id()));
        std::fs::create_dir_all(&dir)?;
        std::fs::write(dir.join("conf"), CONFIG)?;
        let at = |name: &str| dir.join(name);
        let log = std::fs::File::create(at("log"))?;
        let mut command = match ctx.family().is_rustnet() {
            true => Command::new("rustnet-run"),
            false => Command::new("env"),
        };
        command
            .env("RUSTNET_PRELOAD", "raw")
            .env("RUSTNET_PRELOAD_FAMILY", ctx.family().0.to_string())
            .arg("smcrouted")
            .args(["-n", "-N", "-l", "debug"])
            .arg("-f")
            .arg(at("conf"))
            .arg("-u")
            .arg(at("sock"))
            .arg("-P")
            .arg(at("pid"))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        let child = ctx.lab.b.ns.enter(|| command.spawn());
        let mut s = Smcroute {
            child: child.context("smcrouted")?,
            dir,
            ctx,
        };
        wait::until("smcroute's socket", || match s.child.try_wait() {
            Ok(None) => s.tell(&["show", "interfaces"]).ok().map(|_| Ok(())),
            ended => Some(Err(ended)),
        })?
        .or_else(|ended| bail!("smcrouted has ended: {ended:?}: {}", s.log()))?;
        Ok(s)
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }

    /// What `smcroutectl` prints.
    fn tell(&self, what: &[&str]) -> Result<String> {
        let sock = self.dir.join("sock");
        let sock = sock.to_str().context("a path")?;
        let argv = [&["smcroutectl", "-p", "-t", "-u", sock], what].concat();
        self.ctx.lab.b.ns.run(&argv)
    }
}

pub(super) fn smcroute(ctx: &Ctx) -> Result<()> {
    let far = lay(ctx)?;
    let (a, b) = (&ctx.lab.a, &ctx.lab.b);
    // For its files alone: who says what is SMCRoute.
    let files = Daemon::other(ctx)?;
    let daemon = Smcroute::start(ctx)?;
    check_eq!(files.vifs_there()?.len(), 3, "vifs");
    let (near, wide) = members(&far)?;
    let s = sender(&a.ns, Family::INET, a.ip)?;
    let run = || -> Result<()> {
        // By the thresholds of the configuration.
        for (ttl, what) in [(1, "one"), (2, "two"), (11, "eleven")] {
            send(&s, ttl, what.as_bytes())?;
        }
        check_eq!(heard(&near)?, ("two".into(), 1), "the first link");
        check_eq!(heard(&near)?, ("eleven".into(), 10), "the first link");
        check_eq!(heard(&wide)?, ("eleven".into(), 10), "the second link");
        // It counts by SIOCGETSGCNT.
        let shown = daemon.tell(&["-d", "show", "routes"])?;
        let line = shown.lines().find(|l| l.contains("239.1.2.3"));
        let words: Vec<_> = line.unwrap_or("").split_whitespace().collect();
        check!(
            words.contains(&"3") && words.contains(&(3 * 28 + 12).to_string().as_str()),
            "3 packets and their bytes are not in {shown:?}"
        );
        // A route by hand, and its end.
        let group = other_group(1);
        join(&near, group, NEAR)?;
        let name = group.to_string();
        daemon.tell(&["add", "vb", "10.77.0.1", &name, "w"])?;
        wait::until("the route", || {
            files.mfc_packets(a.ip, group).ok()?.map(drop)
        })?;
        send_to(&s, group, 5, b"added")?;
        check_eq!(heard(&near)?, ("added".into(), 4), "by the new route");
        daemon.tell(&["remove", "vb", "10.77.0.1", &name])?;
        wait::until("the end of the route", || {
            files.mfc_packets(a.ip, group).ok()?.is_none().then_some(())
        })?;
        // Of any source: it is asked, and its answer sends what had waited.
        let group = other_group(2);
        join(&near, group, NEAR)?;
        daemon.tell(&["add", "vb", &group.to_string(), "w"])?;
        check_eq!(
            files.mfc_packets(a.ip, group)?,
            None,
            "the route of a source"
        );
        send_to(&s, group, 5, b"first")?;
        check_eq!(heard(&near)?, ("first".into(), 4), "what had waited");
        send_to(&s, group, 5, b"second")?;
        check_eq!(heard(&near)?, ("second".into(), 4), "by the answer");
        check_eq!(files.mfc_packets(a.ip, group)?, Some(2), "packets of it");
        // A membership of the router's.
        daemon.tell(&["join", "vb", &other_group(3).to_string()])?;
        let groups = b.ns.run(&["ip", "maddress", "show", "dev", "vb"])?;
        // Of groups RustNet's sockets are in, the host knows the frames.
        check!(groups.contains("01:00:5e:01:03:03"), "not joined: {groups}");
        Ok(())
    };
    run().with_context(|| format!("smcrouted said: {}", daemon.log()))?;
    daemon.tell(&["kill"])?;
    wait::until("the end of its vifs", || {
        (files.vifs_there().ok()?.is_empty()).then_some(())
    })?;
    for dev in ["vb", "w", "w2"] {
        allmulti(&b.ns, dev, 0)?;
    }
    check_eq!(files.file("ip_mr_cache")?.len(), 0, "entries");
    Ok(())
}
