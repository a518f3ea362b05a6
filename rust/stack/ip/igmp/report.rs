// SPDX-License-Identifier: GPL-2.0
//! Records become messages, none longer than the link takes.
//!
//! Mirrors [`add_grec`](srctree/net/ipv4/igmp.c)

use crate::platform::{
    Skb,
    SkbQueue,
    MAX_HEADER, //
};
use crate::stack::wire::igmp::{
    finish_report,
    Record,
    Word,
    HEADER_LEN,
    RECORD_LEN, //
};
use crate::stack::wire::ipv4::Addr;

/// Bytes of a message at the most, however long a packet the link takes: what an Ethernet takes, so that the buffers are
/// small.
const LONGEST: usize = 1476;

/// Messages in the making. Without memory what would have been in them is lost as it might be on a wire.
pub(super) struct Reports {
    done: SkbQueue,
    /// The message that more records may go into, and how many it has.
    open: Option<(Skb, u16)>,
    /// Bytes of a message at the most.
    most: usize,
}

impl Reports {
    pub(super) fn new(most: usize) -> Self {
        Reports {
            done: SkbQueue::new(),
            open: None,
            // One record with one source always fits: RFC 791 lets no link take less than 68 bytes.
            most: most.clamp(HEADER_LEN + RECORD_LEN + 4, LONGEST),
        }
    }

    /// A message of its own.
    pub(super) fn word(&mut self, word: Word, group: Addr) {
        if let Some(mut skb) = Skb::alloc(MAX_HEADER, HEADER_LEN) {
            if append(&mut skb, &word.message(group)) {
                self.done.push_back(skb);
            }
        }
    }

    fn close(&mut self) {
        if let Some((mut skb, n)) = self.open.take() {
            let len = skb.len();
            if let Some(message) = skb.writable(len) {
                finish_report(message, n);
                self.done.push_back(skb);
            }
        }
    }

    /// Bytes that are left in the open message.
    fn room(&self) -> usize {
        let used = self.open.as_ref().map_or(self.most, |(skb, _)| skb.len());
        self.most.saturating_sub(used)
    }

    /// Room for at least `need` bytes, in another message if this one has not so much.
    fn open(&mut self, need: usize) -> Option<&mut (Skb, u16)> {
        if self.room() < need {
            self.close();
            let mut skb = Skb::alloc(MAX_HEADER, self.most)?;
            if !append(&mut skb, &[0; HEADER_LEN]) {
                return None;
            }
            self.open = Some((skb, 0));
        }
        self.open.as_mut()
    }

    /// A record of `group` with those sources that `sources` calls its argument with: the same whenever it is called.
    pub(super) fn record(
        &mut self,
        kind: Record,
        group: Addr,
        mut sources: impl FnMut(&mut dyn FnMut(Addr)),
    ) {
        let mut left = 0usize;
        sources(&mut |_| left = left.saturating_add(1));
        // What fits whole into a message of its own is not cut.
        let whole = RECORD_LEN.saturating_add(left.saturating_mul(4));
        let need = match whole <= self.most.saturating_sub(HEADER_LEN) {
            true => whole,
            false => self.most,
        };
        let Some(mut room) = self.start(kind, group, left, need) else {
            return;
        };
        let mut lost = false;
        sources(&mut |source| {
            if room == 0 && !lost {
                let next = match kind.is_one() {
                    true => None,
                    false => self.start(kind, group, left, self.most),
                };
                lost = next.is_none();
                room = next.unwrap_or(0);
            }
            if let Some((skb, _)) = self.open.as_mut().filter(|_| !lost) {
                lost = !append(skb, &source.octets());
                room = room.saturating_sub(1);
                left = left.saturating_sub(1);
            }
        });
    }

    /// Begins a record with as many of `n` sources as fit, which is said, where there is room for `need` bytes.
    fn start(&mut self, kind: Record, group: Addr, n: usize, need: usize) -> Option<usize> {
        let most = self.most;
        let (skb, records) = self.open(need)?;
        let room = most.saturating_sub(skb.len()).saturating_sub(RECORD_LEN) / 4;
        let n = n.min(room);
        *records = records.saturating_add(1);
        append(skb, &kind.head(group, n as u16)).then_some(n)
    }

    pub(super) fn finish(mut self) -> SkbQueue {
        self.close();
        self.done
    }
}

fn append(skb: &mut Skb, bytes: &[u8]) -> bool {
    let to = skb.put(bytes.len());
    to.and_then(|to| to.get_mut(..bytes.len()))
        .map(|to| to.copy_from_slice(bytes))
        .is_some()
}
