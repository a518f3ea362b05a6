// SPDX-License-Identifier: GPL-2.0
//! Who allocates: the chains of callers, which the kernel's tracing hands out.
//!
//! A trigger at the events of the slab allocator records the stack, of every allocation or of those that came to
//! nothing. The records are read as the ring buffer has them, for to print one costs the debug kernel as much as
//! a whole case.

use std::fs;
use std::fs::File;
use std::hash::DefaultHasher;
use std::hash::Hash;
use std::hash::Hasher;
use std::io::Read;
use std::ops::Range;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::path::PathBuf;

use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;

use crate::faults::DEPTH;

/// A chain of callers, from the allocator out to the module's outermost function in the same context: two that are
/// equal differ in the data alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Chain(u64);

#[cfg(test)]
impl Chain {
    pub fn of(name: u64) -> Chain {
        Chain(name)
    }
}

/// Which allocations to record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// All of them.
    Every,
    /// Those that failed.
    Failed,
}

/// The kernel's records of allocations with code of the module on their stack.
pub struct Chains {
    /// A trace of our own beside the kernel's.
    dir: PathBuf,
    /// Whose allocations count.
    module: Range<u64>,
    /// Where the leak detector hears of an allocation, and makes one itself, which does not count.
    kmemleak: Range<u64>,
    /// Where softirqs begin: what they interrupted is no caller.
    softirq: Range<u64>,
    /// How the ring buffer calls a record of a stack.
    id: u16,
    /// What the triggers say now.
    of: Option<Of>,
}

/// The events whose allocations `failslab` counts.
const EVENTS: [&str; 2] = ["kmalloc", "kmem_cache_alloc"];

impl Chains {
    /// Prepares the records; nothing is recorded yet.
    pub fn new(module: Range<u64>, kmemleak: Range<u64>, softirq: Range<u64>) -> Result<Chains> {
        let dir = PathBuf::from("/sys/kernel/tracing/instances/faults");
        if !dir.exists() {
            fs::create_dir(&dir)
                .with_context(|| format!("a trace of our own: {}", dir.display()))?;
        }
        let format = fs::read_to_string("/sys/kernel/tracing/events/ftrace/kernel_stack/format")
            .context("how a stack is recorded")?;
        let id = format
            .lines()
            .find_map(|l| l.strip_prefix("ID: ")?.trim().parse().ok())
            .context("how a stack is recorded: no ID")?;
        let chains = Chains {
            dir,
            module,
            kmemleak,
            softirq,
            id,
            of: None,
        };
        chains.set("tracing_on", "0")?;
        // A case makes thousands of allocations, of some 200 bytes here.
        chains.set("buffer_size_kb", "8192")?;
        Ok(chains)
    }

    fn set(&self, name: &str, value: &str) -> Result<()> {
        let path = self.dir.join(name);
        fs::write(&path, value).with_context(|| format!("{}: {value}", path.display()))
    }

    /// Records from now on.
    pub fn begin(&mut self, of: Of) -> Result<()> {
        if self.of != Some(of) {
            for event in EVENTS {
                let trigger = format!("events/kmem/{event}/trigger");
                // The one before, be it that of a process that a case which hung has taken with it.
                let _ = self.set(&trigger, "!stacktrace");
                let when = if of == Of::Failed { " if ptr == 0" } else { "" };
                self.set(&trigger, &format!("stacktrace{when}"))?;
            }
            self.of = Some(of);
        }
        // What was recorded before is gone.
        self.set("trace", "")?;
        self.set("tracing_on", "1")
    }

    /// Ends it: the chains recorded since, in their order on each processor.
    pub fn end(&self) -> Result<Vec<Chain>> {
        self.set("tracing_on", "0")?;
        let mut chains = Vec::new();
        for cpu in fs::read_dir(self.dir.join("per_cpu"))? {
            for page in pages(&cpu?.path().join("trace_pipe_raw"))? {
                for record in records(&page)? {
                    chains.extend(stack(record, self.id).and_then(|s| self.chain(&s)));
                }
            }
        }
        Ok(chains)
    }

    /// What names a stack, if the module is on it.
    fn chain(&self, stack: &[u64]) -> Option<Chain> {
        if stack.iter().any(|at| self.kmemleak.contains(at)) {
            return None;
        }
        let context = stack
            .iter()
            .take(DEPTH)
            .position(|at| self.softirq.contains(at))
            .unwrap_or(stack.len().min(DEPTH));
        let outermost = stack[..context]
            .iter()
            .rposition(|at| self.module.contains(at))
            // A softirq that interrupted the module counts, too, whatever it does itself.
            .or_else(|| {
                let module = |at: &u64| self.module.contains(at);
                stack
                    .iter()
                    .take(DEPTH)
                    .any(module)
                    .then_some(context.checked_sub(1)?)
            })?;
        let mut hasher = DefaultHasher::new();
        stack[..=outermost].hash(&mut hasher);
        Some(Chain(hasher.finish()))
    }
}

/// Reads what a processor's ring buffer holds, page by page.
fn pages(path: &Path) -> Result<Vec<Vec<u8>>> {
    let mut file = File::options()
        .read(true)
        .custom_flags(rustix::fs::OFlags::NONBLOCK.bits() as i32)
        .open(path)
        .with_context(|| path.display().to_string())?;
    let mut pages = Vec::new();
    loop {
        // One at a time, whatever is read with it.
        let mut page = vec![0; 4096];
        match file.read(&mut page) {
            Ok(0) => return Ok(pages),
            Ok(n) => {
                page.truncate(n);
                pages.push(page);
            }
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => return Ok(pages),
            Err(e) => return Err(e).with_context(|| path.display().to_string()),
        }
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<usize> {
    let bytes = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_ne_bytes(bytes.try_into().ok()?) as usize)
}

/// The records of one page (include/linux/ring_buffer.h, `struct ring_buffer_event`).
fn records(page: &[u8]) -> Result<Vec<&[u8]>> {
    // A time stamp, how many bytes are in use (the flags of lost events above), and those.
    let used = u32_at(page, 8).context("a page of the trace has no header")? & 0xf_ffff;
    let data = page.get(16..).and_then(|d| d.get(..used));
    let data = data.with_context(|| format!("a page of the trace with {used} bytes"))?;
    let (mut records, mut at) = (Vec::new(), 0);
    while let Some(header) = u32_at(data, at) {
        let long = || u32_at(data, at + 4).context("a record of the trace without its length");
        let (start, end) = match header & 0x1f {
            // The length, itself included.
            0 => (at + 8, at + 4 + long()?),
            // Nothing more on this page, or a gap.
            29 if header >> 5 == 0 => break,
            29 => {
                at += 4 + long()?;
                continue;
            }
            // Time passes.
            30 | 31 => {
                at += 8;
                continue;
            }
            words => (at + 4, at + 4 + 4 * words),
        };
        ensure!(start <= end, "a record of the trace ends before it starts");
        let record = data.get(start..end);
        records.push(record.context("a record of the trace ends behind its page")?);
        at = end;
    }
    Ok(records)
}

/// The addresses of a record, innermost first, if it is one of a stack (kernel/trace/trace_entries.h, `kernel_stack`).
fn stack(record: &[u8], id: u16) -> Option<Vec<u64>> {
    // What every record begins with, eight bytes; how many there are, and those, aligned.
    if record.get(..2)? != id.to_ne_bytes() {
        return None;
    }
    let words = record.get(16..)?.chunks_exact(8);
    let words = words.map(|w| u64::from_ne_bytes(w.try_into().expect("eight bytes")));
    Some(words.take(u32_at(record, 8)?).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(data: &[u8]) -> Vec<u8> {
        let mut page = vec![0; 8];
        page.extend((data.len() as u64).to_ne_bytes());
        page.extend(data);
        page
    }

    fn event(kind: u32, words: &[u32]) -> Vec<u8> {
        let words = std::iter::once(&kind).chain(words);
        words.flat_map(|w| w.to_ne_bytes()).collect()
    }

    #[test]
    fn records_of_each_kind_are_found() {
        let data = [
            event(30, &[7]),
            event(2, &[1, 2]),
            event(0, &[12, 3, 4]),
            event((1 << 5) | 29, &[4]),
            event(1, &[5]),
            event(29, &[]),
            event(1, &[6]),
        ]
        .concat();
        let page = page(&data);
        let found: Vec<Vec<u8>> = records(&page).unwrap().iter().map(|r| r.to_vec()).collect();
        let words = |w: &[u32]| w.iter().flat_map(|w| w.to_ne_bytes()).collect::<Vec<u8>>();
        assert_eq!(found, [words(&[1, 2]), words(&[3, 4]), words(&[5])]);
    }

    #[test]
    fn a_page_that_lies_is_refused() {
        assert!(records(&[0; 11]).is_err());
        let mut short = page(&event(2, &[1, 2]));
        short.pop();
        assert!(records(&short).is_err());
        assert!(records(&page(&event(3, &[1, 2]))).is_err());
        assert!(records(&page(&event(0, &[2]))).is_err());
    }

    #[test]
    fn a_stack_is_as_long_as_it_says() {
        let mut record = vec![4, 0, 0, 0, 0, 0, 0, 0];
        record.extend(2u64.to_ne_bytes());
        for at in [10u64, 20, 30] {
            record.extend(at.to_ne_bytes());
        }
        assert_eq!(stack(&record, 4), Some(vec![10, 20]));
        assert_eq!(stack(&record, 5), None);
        assert_eq!(stack(&record[..9], 4), None);
    }

    fn chains() -> Chains {
        Chains {
            dir: PathBuf::new(),
            module: 100..200,
            kmemleak: 70..80,
            softirq: 50..60,
            id: 4,
            of: None,
        }
    }

    #[test]
    fn a_chain_ends_with_the_module() {
        let c = chains();
        assert_eq!(c.chain(&[1, 2, 3]), None);
        let one = c.chain(&[1, 150, 2, 160, 3]);
        assert!(one.is_some());
        assert_eq!(one, c.chain(&[1, 150, 2, 160, 4, 5]));
        assert_ne!(one, c.chain(&[1, 150, 2, 161, 3]));
        assert_eq!(c.chain(&[1, 75, 150, 2]), None);
    }

    #[test]
    fn what_a_softirq_interrupted_is_no_caller() {
        let c = chains();
        let one = c.chain(&[1, 150, 2, 55, 160, 3]);
        assert!(one.is_some());
        assert_eq!(one, c.chain(&[1, 150, 2, 56, 7]));
        // It counts for failslab all the same.
        let other = c.chain(&[1, 2, 55, 160]);
        assert!(other.is_some());
        assert_eq!(other, c.chain(&[1, 2, 58, 170, 9]));
    }
}
