// SPDX-License-Identifier: GPL-2.0
//! Which of a case's allocations are worth failing: each way that leads to one in two cases, of the first its first
//! allocation and of the second its last, for the state around it differs; but not the thousandth segment of a
//! transfer, nor in every case the first socket.

use std::collections::HashMap;
use std::collections::HashSet;

use super::chain::Chain;

/// How far the order of allocations may shift from one run of a case to the next and still be followed.
const SHIFT: usize = 200;

/// How often each chain has failed in the cases so far, and which ones were looked for and not met: what an allocator
/// does by itself, once in a while, or what may not fail (`__GFP_NOFAIL`).
#[derive(Default)]
pub struct Failed {
    times: HashMap<Chain, u32>,
    in_vain: HashSet<Chain>,
}

/// The places of one case.
pub struct Places {
    /// The chains of a run in which nothing failed, in their order. Empty if they are not known: then every place
    /// counts.
    expected: Vec<Chain>,
    /// The chain of the n-th allocation is expected at `n - 1 + shift`.
    shift: isize,
    /// Where each chain is expected last.
    last: HashMap<Chain, usize>,
    /// What has failed in this case.
    here: HashSet<Chain>,
    failed: Failed,
    /// How many places were left out.
    left_out: u64,
}

impl Places {
    pub fn new(expected: Vec<Chain>, failed: Failed) -> Self {
        let places = expected.iter().enumerate();
        let last = places.map(|(at, &chain)| (chain, at)).collect();
        Places {
            expected,
            shift: 0,
            last,
            here: HashSet::new(),
            failed,
            left_out: 0,
        }
    }

    fn expected_at(&self, n: u64) -> Option<usize> {
        let at = (n as usize)
            .checked_sub(1)?
            .checked_add_signed(self.shift)?;
        (at < self.expected.len()).then_some(at)
    }

    fn is_worth_it(&self, at: usize) -> bool {
        let chain = self.expected[at];
        !self.here.contains(&chain)
            && match self.failed.times.get(&chain) {
                None => true,
                Some(1) => self.last[&chain] == at,
                Some(_) => false,
            }
    }

    /// The first place from `n` on that is worth it.
    pub fn from(&mut self, mut n: u64) -> u64 {
        while let Some(at) = self.expected_at(n) {
            if self.is_worth_it(at) {
                break;
            }
            self.left_out += 1;
            n += 1;
        }
        n
    }

    /// The place after `n`. Where the chains are not known, all of the first 100, then every place about 3 % further
    /// on, for transfers make thousands that are all alike.
    pub fn after(&mut self, n: u64) -> u64 {
        if self.expected_at(n).is_some() || n < 100 {
            self.from(n + 1)
        } else {
            self.from(n + 1 + n / 32)
        }
    }

    /// The `n`-th has failed, which was this chain.
    pub fn has_failed(&mut self, n: u64, chain: Chain) {
        self.here.insert(chain);
        *self.failed.times.entry(chain).or_default() += 1;
        let Some(at) = self.expected_at(n) else {
            return;
        };
        let nearby = (0..SHIFT).flat_map(|d| [at.checked_sub(d), at.checked_add(d)]);
        let found = nearby
            .flatten()
            .find(|&i| self.expected.get(i) == Some(&chain));
        if let Some(found) = found {
            self.shift += found as isize - at as isize;
        }
    }

    /// Where the chains that were expected but never failed, in no case, are to be looked for.
    pub fn missed(&self) -> Vec<(Chain, u64)> {
        let mut seen = HashSet::new();
        let all = self.expected.iter().enumerate();
        let missed = all.filter(|&(_, &chain)| {
            !self.knows(chain) && !self.failed.in_vain.contains(&chain) && seen.insert(chain)
        });
        missed
            .map(|(i, &chain)| (chain, (i as isize + 1 - self.shift).max(1) as u64))
            .collect()
    }

    /// It was looked for.
    pub fn sought(&mut self, chain: Chain) {
        if !self.knows(chain) {
            self.failed.in_vain.insert(chain);
        }
    }

    /// How many chains of this case never failed.
    pub fn never(&self) -> usize {
        let never = self.expected.iter().filter(|&&chain| !self.knows(chain));
        never.collect::<HashSet<_>>().len()
    }

    pub fn knows(&self, chain: Chain) -> bool {
        self.failed.times.contains_key(&chain)
    }

    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// What is to be known of the next case.
    pub fn end(self) -> Failed {
        self.failed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails what `places` says in a case that allocates by `chains`; which allocations that were.
    fn sweep(chains: &[u64], failed: &mut Failed) -> Vec<u64> {
        let expected = chains.iter().map(|&c| Chain::of(c)).collect();
        let mut places = Places::new(expected, std::mem::take(failed));
        let mut at = Vec::new();
        let mut n = places.from(1);
        while let Some(&c) = chains.get(n as usize - 1) {
            at.push(n);
            places.has_failed(n, Chain::of(c));
            n = places.after(n);
        }
        *failed = places.end();
        at
    }

    #[test]
    fn a_chain_fails_first_in_one_case_and_last_in_another() {
        let mut failed = Failed::default();
        let chains = [1, 2, 3, 3, 3, 2, 1];
        assert_eq!(sweep(&chains, &mut failed), [1, 2, 3]);
        assert_eq!(sweep(&chains, &mut failed), [5, 6, 7]);
        assert_eq!(sweep(&chains, &mut failed), []);
        assert_eq!(sweep(&[1, 4, 4, 2], &mut failed), [2]);
    }

    #[test]
    fn unknown_chains_all_count() {
        let mut places = Places::new(Vec::new(), Failed::default());
        let mut n = places.from(1);
        for at in 1..=100 {
            assert_eq!(n, at);
            n = places.after(n);
        }
        assert_eq!(n, 104);
    }

    #[test]
    fn an_order_that_shifts_is_followed() {
        let expected: Vec<Chain> = (0..50).map(Chain::of).collect();
        let mut places = Places::new(expected, Failed::default());
        // Three allocations more before it than expected.
        places.has_failed(10, Chain::of(6));
        assert_eq!(places.expected_at(11), Some(7));
        let missed = places.missed();
        assert_eq!(missed.len(), 49);
        assert!(missed.contains(&(Chain::of(7), 11)));
        assert!(!places.knows(Chain::of(7)));
        // Once.
        places.sought(Chain::of(7));
        assert_eq!(places.missed().len(), 48);
        assert_eq!(places.never(), 49);
    }
}
