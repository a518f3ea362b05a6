// SPDX-License-Identifier: GPL-2.0
//! Data whose correctness the far end can check.

use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use sha2::Digest;
use sha2::Sha256;

use crate::sock::Sock;

/// A pseudo-random stream: the same seed gives the same bytes, and no two places look alike, so that
/// a lost, doubled or misplaced segment always changes the digest.
#[derive(Clone, Debug)]
pub struct Stream {
    state: u64,
}

impl Stream {
    /// Starts the stream of this seed.
    pub fn new(seed: u64) -> Self {
        // Any odd constant will do: xorshift must not start at zero.
        Stream {
            state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
        }
    }

    /// The next 64 bits (xorshift64*).
    pub fn next_u64(&mut self) -> u64 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        self.state.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `n`.
    pub fn below(&mut self, n: u64) -> u64 {
        self.next_u64() % n
    }

    /// Fills a buffer with the next bytes of the stream.
    pub fn fill(&mut self, buf: &mut [u8]) {
        for chunk in buf.chunks_mut(8) {
            let word = self.next_u64().to_le_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
    }

    /// The next `n` bytes of the stream.
    pub fn bytes(&mut self, n: usize) -> Vec<u8> {
        let mut v = vec![0; n];
        self.fill(&mut v);
        v
    }
}

/// A SHA-256 in hexadecimal.
pub fn hex(digest: &[u8]) -> String {
    let mut text = String::new();
    for b in digest {
        for nibble in [b >> 4, b & 15] {
            text.push(char::from(b"0123456789abcdef"[usize::from(nibble)]));
        }
    }
    text
}

/// Writes `total` bytes of the seed's stream and returns their SHA-256.
pub fn send_stream(sock: &Sock, seed: u64, total: usize) -> Result<String> {
    let mut stream = Stream::new(seed);
    let mut hash = Sha256::new();
    let mut buf = vec![0; 64 * 1024];
    let mut left = total;
    // Sizes that are no multiple of anything, so that writes straddle segments and pages.
    let sizes = [65536, 1, 1447, 8192, 40000, 333];
    let mut sizes = sizes.iter().cycle();
    while left > 0 {
        let n = (*sizes.next().expect("cycle")).min(left);
        let chunk = &mut buf[..n];
        stream.fill(chunk);
        hash.update(&*chunk);
        sock.send_all(chunk)
            .with_context(|| format!("sending with {left} bytes left"))?;
        left -= n;
    }
    Ok(hex(&hash.finalize()))
}

/// Reads until `total` bytes have come and returns their SHA-256; an early end is an error.
pub fn recv_stream(sock: &Sock, total: usize) -> Result<String> {
    let mut hash = Sha256::new();
    let mut buf = vec![0; 64 * 1024];
    let mut left = total;
    while left > 0 {
        let want = buf.len().min(left);
        let n = sock
            .recv(&mut buf[..want], 0)
            .with_context(|| format!("receiving with {left} bytes left"))?;
        ensure!(n > 0, "the stream ended {left} bytes early");
        hash.update(&buf[..n]);
        left -= n;
    }
    Ok(hex(&hash.finalize()))
}

/// Sends `total` bytes from one socket to the other and compares the digests.
pub fn transfer(from: &Sock, to: &Sock, seed: u64, total: usize) -> Result<()> {
    std::thread::scope(|s| {
        let sender = s.spawn(|| send_stream(from, seed, total));
        let got = recv_stream(to, total);
        if got.is_err() {
            // The sender may wait for a window that will never open.
            let _ = from.shutdown(uapi::c::SHUT_RDWR);
        }
        let sent = sender.join().expect("the sender does not panic");
        let (got, sent) = (got?, sent?);
        ensure!(got == sent, "SHA-256 differs: sent {sent}, received {got}");
        Ok(())
    })
}

/// [`transfer`] in both directions at once.
pub fn exchange(one: &Sock, two: &Sock, seed: u64, total: usize) -> Result<()> {
    std::thread::scope(|s| {
        let forth = s.spawn(|| transfer(one, two, seed, total));
        let back = transfer(two, one, seed ^ 0xffff, total);
        forth.join().expect("no panic").and(back)
    })
}
