// SPDX-License-Identifier: GPL-2.0
//! `SIOCGETVIFCNT` and `SIOCGETSGCNT`.

use anyhow::bail;
use anyhow::Context;
use anyhow::Result;
use netlab::c;
use netlab::check_eq;
use netlab::ktap::Sysc;
use netlab::Family;
use netlab::Sock;

use super::*;
use crate::cases::python;

const SIOCGETVIFCNT: u32 = 0x89e0;
const SIOCGETSGCNT: u32 = 0x89e1;

/// A request and what points to its question.
struct Ask(u32, Where);

enum Where {
    /// These bytes, with room for the answer.
    Bytes(Vec<u8>),
    /// Nowhere.
    Nowhere,
    /// Zeros that can be read alone.
    ReadOnly,
}

/// `struct sioc_vif_req`.
fn vif(n: u16) -> Ask {
    let mut b = n.to_ne_bytes().to_vec();
    b.resize(40, 0xee);
    Ask(SIOCGETVIFCNT, Where::Bytes(b))
}

/// `struct sioc_sg_req`.
fn entry(origin: Ipv4Addr, group: Ipv4Addr) -> Ask {
    let mut b = [origin.octets(), group.octets()].concat();
    b.resize(32, 0xee);
    Ask(SIOCGETSGCNT, Where::Bytes(b))
}

/// What the socket answers: the counters, or the errno.
fn ask(sock: &Sock, questions: &[Ask]) -> Result<Vec<Result<Vec<u64>, i32>>> {
    let mut list = String::new();
    for Ask(request, at) in questions {
        let at = match at {
            Where::Bytes(b) => {
                format!("bytearray({b:?})")
            }
            Where::Nowhere => "8".into(),
            Where::ReadOnly => "zeros".into(),
        };
        list += &format!("({request}, {at}), ");
    }
    // The mapping is told from all others by its name and rights. MAP_32BIT, for Python takes no address above.
    let program = format!(
        "import fcntl, mmap\n\
         m = mmap.mmap(-1, 4096, flags=mmap.MAP_SHARED | 0x40, prot=mmap.PROT_READ)\n\
         line = [l for l in open('/proc/self/maps') if ' r--s ' in l and '/dev/zero' in l][0]\n\
         zeros = int(line.split('-')[0], 16)\n\
         for request, at in [{list}]:\n\
         \x20 try:\n\
         \x20   fcntl.ioctl(0, request, at)\n\
         \x20   print('ok', at.hex())\n\
         \x20 except OSError as e:\n\
         \x20   print('errno', e.errno)\n"
    );
    let text = python(sock, &program)?;
    let answers: Result<Vec<_>> = text.lines().map(answer).collect();
    let answers = answers?;
    check_eq!(answers.len(), questions.len(), "answers in {text:?}");
    Ok(answers)
}

fn answer(line: &str) -> Result<Result<Vec<u64>, i32>> {
    Ok(match line.split_once(' ') {
        // Behind the question, which takes eight bytes in both structures.
        Some(("ok", hex)) => {
            let words = hex.as_bytes()[16..].chunks(16);
            Ok(words
                .map(|w| {
                    let n = u64::from_str_radix(std::str::from_utf8(w)?, 16)?;
                    Ok(n.swap_bytes().to_le())
                })
                .collect::<Result<_>>()?)
        }
        Some(("errno", n)) => Err(n.parse().context("errno")?),
        _ => bail!("{line:?}"),
    })
}

pub(super) fn ioctls(ctx: &Ctx) -> Result<()> {
    let far = Arc::new(lay(ctx)?);
    let a = &ctx.lab.a;
    let nobody = raw(ctx, c::IPPROTO_IGMP)?;
    check_eq!(
        ask(&nobody, &[vif(0), entry(a.ip, GROUP)])?,
        [Err(c::EINVAL), Err(c::EADDRNOTAVAIL)],
        "answers without a daemon"
    );
    let d = Daemon::new(ctx)?;
    for (n, dev) in [(0, "vb"), (2, "w2"), (4, "w")] {
        d.vif(n, dev)?;
    }
    d.route(a.ip, 0, &[(2, 1), (4, 3)])?;
    let (near, wide) = members(&far)?;
    let s = sender(&a.ns, Family::INET, a.ip)?;
    for (ttl, what) in [(3, "low"), (9, "high"), (9, "higher")] {
        send(&s, ttl, what.as_bytes())?;
        check_eq!(heard(&wide)?.0, what, "what the wide link hears");
    }
    check_eq!(heard(&near)?.0, "high", "what the near link hears");
    check_eq!(heard(&near)?.0, "higher", "what the near link hears");
    // By the wrong vif.
    Stray::new(far.clone(), "x", NEAR)?.send(a.ip, b"!")?;
    netlab::wait::until("the stray packet", || {
        (d.mfc_counts().ok()?[2] == 1).then_some(())
    })?;
    let bytes = 3 * 28 + 3 + 4 + 6;
    let questions = [
        vif(0),
        vif(2),
        vif(4),
        entry(a.ip, GROUP),
        // Between those that there are, and above all.
        vif(1),
        vif(5),
        vif(31),
        vif(32),
        vif(u16::MAX),
        entry(a.ip, other_group(1)),
        entry(NEAR, GROUP),
        entry(Ipv4Addr::UNSPECIFIED, GROUP),
        Ask(SIOCGETVIFCNT, Where::Nowhere),
        Ask(SIOCGETSGCNT, Where::Nowhere),
        // Of vif 0: there is an answer, but no room for it.
        Ask(SIOCGETVIFCNT, Where::ReadOnly),
        // Of all sources and groups, of which nothing was said.
        Ask(SIOCGETSGCNT, Where::ReadOnly),
    ];
    let answers = [
        Ok(vec![3, 0, bytes, 0]),
        Ok(vec![0, 3, 0, bytes]),
        Ok(vec![0, 2, 0, bytes - 31]),
        Ok(vec![4, bytes + 29, 1]),
        Err(c::EADDRNOTAVAIL),
        Err(c::EINVAL),
        Err(c::EINVAL),
        Err(c::EINVAL),
        Err(c::EINVAL),
        Err(c::EADDRNOTAVAIL),
        Err(c::EADDRNOTAVAIL),
        Err(c::EADDRNOTAVAIL),
        Err(c::EFAULT),
        Err(c::EFAULT),
        Err(c::EFAULT),
        Err(c::EADDRNOTAVAIL),
    ];
    check_eq!(ask(&d.sock, &questions)?, answers, "answers to the daemon");
    // Whoever has a raw socket may ask, even one for another protocol.
    let icmp = raw(ctx, c::IPPROTO_ICMP)?;
    for (who, sock) in [("another for IGMP", &nobody), ("one for ICMP", &icmp)] {
        check_eq!(ask(sock, &questions)?, answers, "answers to {who}");
    }
    // Without the highest, the one between is above all.
    d.say(MRT_DEL_VIF, &vifctl(4, 0, [0; 4]))
        .sys("MRT_DEL_VIF")?;
    d.say(MRT_DEL_MFC, &mfcctl(a.ip, GROUP, 0, &[]))
        .sys("MRT_DEL_MFC")?;
    check_eq!(
        ask(
            &d.sock,
            &[vif(4), vif(3), vif(1), vif(2), entry(a.ip, GROUP)]
        )?,
        [
            Err(c::EINVAL),
            Err(c::EINVAL),
            Err(c::EADDRNOTAVAIL),
            Ok(vec![0, 3, 0, bytes]),
            Err(c::EADDRNOTAVAIL),
        ],
        "answers after a vif and an entry have gone"
    );
    Ok(())
}
