// SPDX-License-Identifier: GPL-2.0
//! `--faults`: every case again and again, each time with another allocation failing.
//!
//! * [`chain`] tells who allocates;
//! * [`places`] chooses the allocations by that.

mod chain;
mod places;

use std::collections::HashMap;
use std::ops::Range;

use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use netlab::ktap::skip;
use netlab::ktap::Outcome;
use netlab::lab::Lab;

use crate::case::Planned;
use crate::faults;
use crate::faults::Faults;
use crate::faults::Symbols;
use crate::faults::Which;
use crate::runner::guarded;
use crate::runner::once;
use crate::runner::surroundings;
use crate::Args;

use chain::Chain;
use chain::Chains;
use chain::Of;
use places::Failed;
use places::Places;

/// What lasts from case to case.
pub struct Sweep {
    which: Which,
    /// Where RustNet's code lies.
    module: Range<u64>,
    /// Where the kernel's leak detector hears of an allocation.
    kmemleak: Range<u64>,
    /// Who allocates, where the kernel tells: it does of the slab allocator's failures, not of the page allocator's.
    chains: Option<Chains>,
    failed: Failed,
}

impl Sweep {
    fn new(which: Which) -> Result<Sweep> {
        let symbols = Symbols::read()?;
        let module = symbols.text_of("rustnet")?;
        let kmemleak = symbols.function("kmemleak_alloc")?;
        let softirq = symbols.function("handle_softirqs")?;
        let chains = match which {
            Which::Slab => Some(Chains::new(module.clone(), kmemleak.clone(), softirq)?),
            Which::Page => None,
        };
        Ok(Sweep {
            which,
            module,
            kmemleak,
            chains,
            failed: Failed::default(),
        })
    }

    /// Does `f`; by which chains the module allocated meanwhile, or failed to. None, if that is not known.
    fn during<R>(&mut self, of: Of, f: impl FnOnce() -> R) -> Result<(R, Vec<Chain>)> {
        let Some(chains) = &mut self.chains else {
            return Ok((f(), Vec::new()));
        };
        chains.begin(of)?;
        let done = f();
        Ok((done, chains.end()?))
    }
}

/// The sweep, begun with its first case.
pub fn begun(sweep: &mut Option<Sweep>, which: Which) -> Result<&mut Sweep> {
    match sweep {
        Some(sweep) => Ok(sweep),
        None => Ok(sweep.insert(Sweep::new(which)?)),
    }
}

/// Runs one case for each of its allocations that is worth it, with that one failing; says how often it was disturbed
/// by that.
pub fn case(
    args: &Args,
    planned: &Planned,
    labs: &mut HashMap<String, Lab>,
    sweep: &mut Sweep,
) -> Result<String> {
    // What kmemleak takes to note an allocation is none of the module's.
    let faults = Faults::new(sweep.which, &sweep.module, &sweep.kmemleak, args.family)?;
    // What only the first connection of two hosts allocates is not expected of the next.
    if let Outcome::Skip(why) = once(args, planned, labs) {
        return Err(skip(why));
    }
    let ctx = surroundings(args, planned, labs, planned.case.fresh)?;
    let (_, expected) = sweep.during(Of::Every, || guarded(|| (planned.case.run)(&ctx)))?;
    drop(ctx);

    let all = expected.len();
    let mut places = Places::new(expected, std::mem::take(&mut sweep.failed));
    let mut run = Run {
        args,
        planned,
        labs,
        sweep,
        faults,
        failed: 0,
        noticed: 0,
    };
    let done = run.all(&mut places);
    let Run {
        failed, noticed, ..
    } = run;
    let (left_out, never) = (places.left_out(), places.never());
    sweep.failed = places.end();
    done?;
    Ok(format!(
        "{failed} allocations failed in turn, {noticed} were noticed; {all} were expected: {left_out} were like others, \
         {never} chains never failed"
    ))
}

/// One case that runs again and again.
struct Run<'a> {
    args: &'a Args,
    planned: &'a Planned,
    labs: &'a mut HashMap<String, Lab>,
    sweep: &'a mut Sweep,
    faults: Faults,
    /// How many allocations failed.
    failed: u64,
    /// How many of those the case was disturbed by.
    noticed: u64,
}

impl Run<'_> {
    /// Until it runs through without a failure.
    fn all(&mut self, places: &mut Places) -> Result<()> {
        let mut n = places.from(self.args.from);
        while n <= self.args.upto && self.fail(n, places)? {
            n = places.after(n);
        }
        // Where the order of allocations was another than expected.
        for (chain, n) in places.missed() {
            for n in [n, n.saturating_sub(1).max(1), n + 1] {
                if !places.knows(chain) && (self.args.from..=self.args.upto).contains(&n) {
                    self.fail(n, places)?;
                }
            }
            places.sought(chain);
        }
        Ok(())
    }

    /// Once, with the `n`-th allocation failing; whether there were so many.
    fn fail(&mut self, n: u64, places: &mut Places) -> Result<bool> {
        println!("@at {n}");
        if n == self.args.upto {
            self.faults.tell()?;
        }
        let case = &self.planned.case;
        // Namespaces made for a case cost as many allocations as the case itself; they have one of their own,
        // memory.namespaces.
        let ctx = surroundings(self.args, self.planned, self.labs, case.fresh)?;
        self.faults.arm(n)?;
        let run = || guarded(|| (case.run)(&ctx));
        let (outcome, chains) = self.sweep.during(Of::Failed, run)?;
        let fired = self.faults.disarm(self.args.family)?;
        for chain in chains {
            places.has_failed(n, chain);
        }
        if let Outcome::Fail(why) = outcome {
            self.noticed += 1;
            let excusable = fired && faults::excusable(case.group, &why);
            ensure!(excusable, "allocation {n} (it failed: {fired}): {why}");
            println!("{n}: {why}");
        }
        // Not where the case ran, which may have broken its own namespaces; and those go first, for there is but one
        // pair of cards.
        drop(ctx);
        let ctx = surroundings(self.args, self.planned, self.labs, false)?;
        faults::afterwards(&ctx).with_context(|| format!("allocation {n}"))?;
        self.failed += u64::from(fired);
        Ok(fired)
    }
}
