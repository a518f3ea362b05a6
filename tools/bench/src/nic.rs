// SPDX-License-Identifier: GPL-2.0
//! Throughput over two e1000s of one guest on one hub, in real time.
//!
//! Interrupts of an emulated card come when the emulator's host lets them, so this is not for an
//! ICOUNT guest: both families take turns and medians are compared.

use anyhow::Result;
use netlab::lab::Lab;
use netlab::lab::Link;
use netlab::module;
use netlab::tcpinfo::TcpInfo;
use netlab::Family;

use crate::median;
use crate::ops::bulk;
use crate::ops::connected;

/// Alternating runs of each direction.
const RUNS: usize = 7;
/// Bytes of one run.
const BYTES: usize = 32 << 20;
/// The least share of AF_INET's throughput.
const SHARE: f64 = 0.9;

/// Measures both directions, prints MB/s, and with `check` judges them.
pub fn run(subject: Family, module: &str, check: bool) -> Result<bool> {
    if subject.is_rustnet() && !module::loaded("rustnet") {
        module::insmod(module)?;
    }
    let lab = Lab::new(Link::Nic)?;
    let swapped = Lab {
        link: lab.link,
        a: lab.b.clone(),
        b: lab.a.clone(),
    };
    let mut held = true;
    println!(
        "{:<12}{:>12}{:>12}{:>8}",
        "MB/s",
        "inet",
        subject.to_string(),
        "ratio"
    );
    for (n, (name, lab)) in [("a to b", &lab), ("b to a", &swapped)]
        .into_iter()
        .enumerate()
    {
        let (mut inet, mut ours) = (Vec::new(), Vec::new());
        for _ in 0..RUNS {
            inet.push(throughput(lab, Family::INET)?);
            ours.push(throughput(lab, subject)?);
        }
        let (inet, ours) = (median(inet), median(ours));
        let ratio = ours / inet;
        println!("{name:<12}{inet:>12.1}{ours:>12.1}{ratio:>8.3}");
        if check {
            let word = if ratio >= SHARE { "ok" } else { "not ok" };
            println!(
                "{word} {} e1000 {name}: {subject} / inet {ratio:.3} (least {SHARE})",
                n + 1
            );
            held &= ratio >= SHARE;
        }
    }
    Ok(held)
}

/// MB/s, and on standard error what the sender had to send again: a slow run is often a lossy one.
pub fn throughput(lab: &Lab, family: Family) -> Result<f64> {
    let (client, server) = connected(lab, family)?;
    bulk(&client, &server, 4 << 20)?;
    let took = bulk(&client, &server, BYTES)?;
    if let Ok(i) = TcpInfo::of(&client) {
        let (again, cwnd) = (i.total_retrans().unwrap_or(0), i.snd_cwnd().unwrap_or(0));
        let (sent, mss) = (i.segs_out().unwrap_or(0), i.snd_mss().unwrap_or(0));
        eprintln!("# {family}: {sent} segments of {mss}, {again} again, cwnd {cwnd}, {took:.2?}");
    }
    Ok(BYTES as f64 / 1e6 / took.as_secs_f64())
}
