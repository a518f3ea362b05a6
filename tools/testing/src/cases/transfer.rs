// SPDX-License-Identifier: GPL-2.0
//! Bulk data: right to the last byte, by every way that the kernel offers.

use std::io::Seek;
use std::io::SeekFrom;
use std::io::Write;
use std::os::fd::AsRawFd;

use anyhow::Result;
use netlab::c;
use netlab::check;
use netlab::check_eq;
use netlab::ktap::Sysc;
use netlab::payload;
use netlab::payload::Stream;

use crate::case::Case;
use crate::case::Ctx;

const G: &str = "transfer";
const MIB: usize = 1 << 20;

/// The cases of this file.
pub const CASES: &[Case] = &[
    Case::two(G, "16_MiB_to_the_server", upload).secs(120),
    Case::two(G, "16_MiB_to_the_client", download).secs(120),
    Case::two(G, "4_MiB_both_ways_at_once", exchange).secs(120),
    Case::two(G, "one_byte_writes", small_writes).secs(120),
    Case::two(G, "one_byte_reads", small_reads).secs(120),
    Case::two(G, "small_receive_buffer", small_buffer).secs(120),
    Case::two(G, "zero_window_opens_again", zero_window).secs(120),
    Case::two(G, "sendfile", sendfile),
    Case::two(G, "splice_out_of_a_pipe", splice_out),
    Case::two(G, "splice_into_a_pipe", splice_in),
    Case::two(
        G,
        "many_writers_on_one_socket_keep_whole_writes_in_order",
        writers,
    ),
];

fn upload(ctx: &Ctx) -> Result<()> {
    let (client, server) = ctx.connected()?;
    payload::transfer(&client, &server, 1, ctx.part(16 * MIB))
}

fn download(ctx: &Ctx) -> Result<()> {
    let (client, server) = ctx.connected()?;
    payload::transfer(&server, &client, 2, ctx.part(16 * MIB))
}

fn exchange(ctx: &Ctx) -> Result<()> {
    let (client, server) = ctx.connected()?;
    payload::exchange(&client, &server, 3, ctx.part(4 * MIB))
}

fn small_writes(ctx: &Ctx) -> Result<()> {
    let (client, server) = ctx.connected()?;
    let data = Stream::new(4).bytes(ctx.part(20_000));
    for nodelay in [false, true] {
        client.nodelay(nodelay).sys("TCP_NODELAY")?;
        std::thread::scope(|s| {
            let t = s.spawn(|| data.chunks(1).try_for_each(|b| client.send_all(b)));
            let mut got = vec![0; data.len()];
            let r = server.recv_exact(&mut got);
            t.join().expect("no panic").sys("send")?;
            r.sys("recv")?;
            check!(got == data, "data differs (TCP_NODELAY {nodelay})");
            Ok::<_, anyhow::Error>(())
        })?;
    }
    Ok(())
}

fn small_reads(ctx: &Ctx) -> Result<()> {
    let (client, server) = ctx.connected()?;
    let data = Stream::new(5).bytes(ctx.part(20_000));
    std::thread::scope(|s| {
        let t = s.spawn(|| client.send_all(&data));
        let mut got = Vec::new();
        let mut one = [0; 1];
        while got.len() < data.len() {
            server.recv_exact(&mut one).sys("recv")?;
            got.push(one[0]);
        }
        t.join().expect("no panic").sys("send")?;
        check!(got == data, "data differs");
        Ok(())
    })
}

fn small_buffer(ctx: &Ctx) -> Result<()> {
    let l = ctx.server_tcp()?;
    l.set(c::SOL_SOCKET, c::SO_RCVBUF, 2048).sys("SO_RCVBUF")?;
    l.bind(ctx.lab.b.at(0)).sys("bind")?;
    l.listen(1).sys("listen")?;
    let (client, server) = ctx.connect_to(&l, l.local().sys("name")?)?;
    client
        .set(c::SOL_SOCKET, c::SO_SNDBUF, 4608)
        .sys("SO_SNDBUF")?;
    payload::transfer(&client, &server, 6, ctx.part(MIB / 4))
}

/// The reader stops until the writer is stuck on a closed window, then takes everything.
fn zero_window(ctx: &Ctx) -> Result<()> {
    let (client, server) = ctx.connected()?;
    server
        .set(c::SOL_SOCKET, c::SO_RCVBUF, 8192)
        .sys("SO_RCVBUF")?;
    client
        .set(c::SOL_SOCKET, c::SO_SNDBUF, 16384)
        .sys("SO_SNDBUF")?;
    for round in 0..3 {
        let total = MIB / 8;
        std::thread::scope(|s| {
            let (tx, rx) = std::sync::mpsc::channel();
            let client = &client;
            let t = s.spawn(move || {
                tx.send(crate::blocked::gettid()).expect("receiver lives");
                payload::send_stream(client, round, total)
            });
            let stuck = crate::blocked::until_blocked(rx.recv()?, &[c::SYS_sendto]);
            let got = payload::recv_stream(&server, total);
            let sent = t.join().expect("no panic")?;
            stuck?;
            check_eq!(got?, sent, "SHA-256 in round {round}");
            Ok::<_, anyhow::Error>(())
        })?;
    }
    Ok(())
}

fn sendfile(ctx: &Ctx) -> Result<()> {
    let (client, server) = ctx.connected()?;
    let data = Stream::new(7).bytes(ctx.part(3 * MIB + 7));
    let mut file = std::fs::File::from(std::os::fd::OwnedFd::from(
        uapi::memfd_create("payload", c::MFD_CLOEXEC).sys("memfd_create")?,
    ));
    file.write_all(&data)?;
    file.seek(SeekFrom::Start(0))?;
    std::thread::scope(|s| {
        let t = s.spawn(|| -> Result<()> {
            let mut left = data.len();
            while left > 0 {
                let n = uapi::sendfile(client.as_raw_fd(), file.as_raw_fd(), None, left);
                let n = n.sys("sendfile")?;
                check!(n > 0, "sendfile ended {left} bytes early");
                left -= n;
            }
            Ok(())
        });
        let mut got = vec![0; data.len()];
        let r = server.recv_exact(&mut got);
        t.join().expect("no panic")?;
        r.sys("recv")?;
        check!(got == data, "data differs");
        Ok(())
    })
}

fn splice_out(ctx: &Ctx) -> Result<()> {
    let (client, server) = ctx.connected()?;
    let (r, w) = uapi::pipe2(c::O_CLOEXEC).sys("pipe")?;
    let data = Stream::new(8).bytes(ctx.part(MIB));
    std::thread::scope(|s| {
        let filler = s.spawn(|| -> Result<()> {
            let mut rest = &data[..];
            while !rest.is_empty() {
                rest = &rest[uapi::write(*w, rest).sys("write")?..];
            }
            Ok(())
        });
        let mover = s.spawn(|| -> Result<()> {
            let mut left = data.len();
            while left > 0 {
                let n = uapi::splice(*r, None, client.as_raw_fd(), None, left, 0).sys("splice")?;
                check!(n > 0, "splice ended {left} bytes early");
                left -= n;
            }
            Ok(())
        });
        let mut got = vec![0; data.len()];
        let received = server.recv_exact(&mut got);
        filler.join().expect("no panic")?;
        mover.join().expect("no panic")?;
        received.sys("recv")?;
        check!(got == data, "data differs");
        Ok(())
    })
}

fn splice_in(ctx: &Ctx) -> Result<()> {
    let (client, server) = ctx.connected()?;
    let (r, w) = uapi::pipe2(c::O_CLOEXEC).sys("pipe")?;
    let data = Stream::new(9).bytes(ctx.part(MIB));
    std::thread::scope(|s| {
        let sender = s.spawn(|| {
            let sent = client.send_all(&data);
            client.shutdown(c::SHUT_WR).and(sent)
        });
        let mut got = Vec::new();
        loop {
            let n = uapi::splice(server.as_raw_fd(), None, *w, None, 65536, 0).sys("splice")?;
            if n == 0 {
                break;
            }
            let mut part = vec![0; n];
            let mut done = 0;
            while done < n {
                done += uapi::read(*r, &mut part[done..]).sys("read")?.len();
            }
            got.extend_from_slice(&part);
        }
        sender.join().expect("no panic").sys("send")?;
        check!(
            got == data,
            "data differs: {} bytes of {}",
            got.len(),
            data.len()
        );
        Ok(())
    })
}

/// Each write is shorter than the buffer, so the socket's lock keeps it whole.
fn writers(ctx: &Ctx) -> Result<()> {
    let (client, server) = ctx.connected()?;
    let (writers, each, len) = (4u8, ctx.part(200), 100usize);
    std::thread::scope(|s| {
        for id in 0..writers {
            let client = &client;
            s.spawn(move || (0..each).try_for_each(|_| client.send_all(&vec![id; len])));
        }
        let mut counts = [0; 4];
        let mut record = vec![0; len];
        for _ in 0..usize::from(writers) * each {
            server.recv_exact(&mut record).sys("recv")?;
            let id = record[0];
            check!(
                record.iter().all(|&b| b == id),
                "writes are interleaved: {record:?}"
            );
            counts[usize::from(id)] += 1;
        }
        check_eq!(counts, [each; 4], "records of each writer");
        Ok(())
    })
}
