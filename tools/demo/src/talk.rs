// SPDX-License-Identifier: GPL-2.0
//! The exchanges with programs on the host.

use std::time::Duration;
use std::time::Instant;

use anyhow::bail;
use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use netlab::c;
use netlab::kstate;
use netlab::ktap::Sysc;
use netlab::lab::Lab;
use netlab::lab::Link;
use netlab::payload::hex;
use netlab::payload::Stream;
use netlab::Sock;
use sha2::Digest;
use sha2::Sha256;

use crate::observe::Probes;
use crate::observe::Trace;
use crate::Args;

/// How long the host may stay silent.
const PATIENCE: Duration = Duration::from_secs(60);

/// Fetches the file with HTTP/1.0 and compares its digest. The first request and the first data are
/// observed; the probes are gone before the bulk comes.
pub fn fetch(args: &Args, trace: &mut Option<Trace>) -> Result<String> {
    let sock = Sock::tcp(args.family).sys("socket")?;
    sock.timeo(c::SO_RCVTIMEO, PATIENCE).sys("SO_RCVTIMEO")?;
    let start = Instant::now();
    sock.connect(args.http).sys("connect")?;
    let request = format!("GET /payload HTTP/1.0\r\nHost: {}\r\n\r\n", args.http);
    let probes = Probes::arm();
    sock.send_all(request.as_bytes()).sys("send")?;
    let mut buf = vec![0; 65536];
    let first = sock.recv(&mut buf, 0).sys("recv")?;
    match probes.and_then(Probes::read) {
        Ok(t) => *trace = Some(t),
        Err(e) => println!("  note  observing: {e:#}"),
    }
    let mut head = buf[..first].to_vec();
    let body = loop {
        if let Some(at) = head.windows(4).position(|w| w == b"\r\n\r\n") {
            break at + 4;
        }
        let n = sock.recv(&mut buf, 0).sys("recv")?;
        ensure!(n > 0 && head.len() < 1 << 16, "no HTTP header");
        head.extend_from_slice(&buf[..n]);
    };
    let status = String::from_utf8_lossy(&head[..body.min(40)]).into_owned();
    ensure!(status.contains(" 200 "), "the server says {status:?}");
    let mut hash = Sha256::new();
    hash.update(&head[body..]);
    let mut len = head.len() - body;
    loop {
        let n = sock.recv(&mut buf, 0).sys("recv")?;
        if n == 0 {
            break;
        }
        hash.update(&buf[..n]);
        len += n;
    }
    let took = start.elapsed().as_secs_f64();
    let sha = hex(&hash.finalize());
    ensure!(
        sha == args.sha,
        "SHA-256 of {len} bytes is {sha}, not {}",
        args.sha
    );
    Ok(format!("{len} bytes in {took:.1} s, SHA-256 {sha} matches"))
}

/// Serves one request. The digest is printed for the host to compare; the line with "serving" tells
/// the host to come.
pub fn serve(args: &Args) -> Result<String> {
    let l = Sock::tcp(args.family).sys("socket")?;
    l.set(c::SOL_SOCKET, c::SO_REUSEADDR, 1)
        .sys("SO_REUSEADDR")?;
    l.bind(format!("0.0.0.0:{}", args.serve).parse()?)
        .sys("bind")?;
    l.listen(4).sys("listen")?;
    println!("demo: serving");
    l.timeo(c::SO_RCVTIMEO, PATIENCE).sys("SO_RCVTIMEO")?;
    let (conn, from) = l.accept4(0).sys("accept")?;
    conn.timeo(c::SO_RCVTIMEO, PATIENCE).sys("SO_RCVTIMEO")?;
    conn.timeo(c::SO_SNDTIMEO, PATIENCE).sys("SO_SNDTIMEO")?;
    let mut request = Vec::new();
    let mut buf = [0; 4096];
    while !request.windows(4).any(|w| w == b"\r\n\r\n") {
        let n = conn.recv(&mut buf, 0).sys("recv")?;
        ensure!(n > 0, "the client left before it had asked");
        request.extend_from_slice(&buf[..n]);
    }
    ensure!(
        request.starts_with(b"GET "),
        "no GET: {:?}",
        String::from_utf8_lossy(&request)
    );
    let body = Stream::new(2026).bytes(args.size);
    let head = format!(
        "HTTP/1.0 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    conn.send_all(head.as_bytes()).sys("send")?;
    conn.send_all(&body).sys("send")?;
    conn.shutdown(c::SHUT_WR).sys("shutdown")?;
    while conn.recv(&mut buf, 0).sys("recv")? > 0 {}
    let sha = hex(&Sha256::digest(&body));
    println!("demo: served {sha}");
    Ok(format!("{} bytes to {from}, SHA-256 {sha}", body.len()))
}

/// Datagrams of growing size, each to come back as it was.
pub fn datagrams(args: &Args) -> Result<String> {
    let sock = Sock::udp(args.family).sys("socket")?;
    sock.connect(args.udp).sys("connect")?;
    sock.timeo(c::SO_RCVTIMEO, Duration::from_secs(2))
        .sys("SO_RCVTIMEO")?;
    let mut buf = [0; 2000];
    let sizes = [1, 2, 63, 512, 1000, 1472];
    for size in sizes {
        let data = Stream::new(size as u64).bytes(size);
        // UDP may lose: three tries.
        let mut answer = None;
        for _ in 0..3 {
            sock.send(&data, 0).sys("send")?;
            if let Ok(n) = sock.recv(&mut buf, 0) {
                answer = Some(n);
                break;
            }
        }
        let n = answer.with_context(|| format!("no answer to {size} bytes"))?;
        ensure!(buf[..n] == data, "{size} bytes came back as {n} others");
    }
    Ok(format!(
        "{} datagrams of 1 to 1472 bytes came back unchanged",
        sizes.len()
    ))
}

/// Two namespaces; in one of them RustNet owns everything, and the host's ping asks it.
pub fn ping(args: &Args) -> Result<String> {
    let lab = Lab::new(Link::Veth)?;
    let rustnet = args.family.is_rustnet();
    if rustnet {
        lab.b.ns.sysctl("net/rustnet/mode", "replace")?;
    }
    let text = lab
        .a
        .ns
        .run(&["ping", "-c", "3", "-W", "5", &lab.b.ip.to_string()])?;
    let line = text
        .lines()
        .find(|l| l.contains("received"))
        .unwrap_or("")
        .trim()
        .to_string();
    if !rustnet {
        return Ok(line);
    }
    // Both stacks count in the same place: what both had heard would be counted twice.
    let echos = kstate::snmp(&lab.b.ns, "Icmp", "InEchos")?;
    if echos != 3 {
        bail!("{echos} echo requests were counted in the namespace, not 3");
    }
    Ok(format!(
        "{line}; counted in the namespace: {echos} requests"
    ))
}
