// SPDX-License-Identifier: GPL-2.0
//! A group on a device: whose packets all sockets together want, and what of that is still to be told.
//!
//! Of each source is counted how many sockets name it in either mode, so that what a socket does costs as much as the
//! sources it names, however many sockets there are (RFC 3376, 3.2).
//!
//! Mirrors [`struct ip_mc_list`, `struct ip_sf_list`](srctree/include/linux/igmp.h)

use super::membership::Filter;
use super::report::Reports;
use super::HOST;
use crate::platform::{
    AllocError,
    Arc,
    Lock, //
};
use crate::stack::ip::route::trie::Trie;
use crate::stack::time::Instant;
use crate::stack::wire::igmp::{
    Record,
    Version, //
};
use crate::stack::wire::ipv4::Addr;
use core::sync::atomic::{
    AtomicBool,
    AtomicU32,
    AtomicU8,
    Ordering::Relaxed, //
};

/// A group. Its state is changed under the lock of its device.
#[derive(Debug)]
pub struct Group {
    addr: Addr,
    joined: AtomicBool,
    pub(super) state: Lock<State>,
}

impl Group {
    pub(super) fn new(addr: Addr) -> Group {
        Group {
            addr,
            joined: AtomicBool::new(false),
            state: Lock::new(State::default()),
        }
    }

    /// Which group.
    #[inline]
    pub fn addr(&self) -> Addr {
        self.addr
    }

    /// Whether a socket is in it.
    #[inline]
    pub(super) fn is_joined(&self) -> bool {
        self.joined.load(Relaxed)
    }

    pub(super) fn set_joined(&self, joined: bool) {
        self.joined.store(joined, Relaxed);
    }

    /// How many sockets are in it, when something is told of it next, and whether this host was the last to do so.
    pub fn summary(&self) -> (u32, Option<Instant>, bool) {
        let state = self.state.lock();
        let [include, exclude] = state.users;
        (
            include.saturating_add(exclude),
            state.answer_at(),
            state.reporter,
        )
    }

    /// Calls `f` with each source that sockets name, and how many name it as wanted and as not wanted.
    pub fn for_each_source(&self, mut f: impl FnMut(Addr, [u32; 2])) {
        let sources = self.state.lock().sources.clone();
        each(&sources, |addr, s| {
            let users = [&s.users[0], &s.users[1]].map(|n| n.load(Relaxed));
            if users != [0; 2] {
                f(addr, users);
            }
        });
    }
}

/// A source, of which packets to the group are or are not wanted. Changed under the group's lock.
#[derive(Debug, Default)]
struct Source {
    /// How many sockets name it, by their mode.
    users: [AtomicU32; 2],
    /// How often is still to be told that it has changed.
    repeats: AtomicU8,
    /// Whether it is in the group's list; kept during a change.
    was_listed: AtomicBool,
    /// A router has asked for it.
    asked: AtomicBool,
}

/// What a group has to say for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// What is wanted, of all sources.
    Whole,
    /// Which of the sources are wanted that a router has asked for.
    Sources,
    /// That it was left.
    Leave,
}

/// Whether there is more to tell of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// The same once more, for it may be lost.
    Again,
    /// No.
    All,
}

#[derive(Debug, Default)]
pub(super) struct State {
    /// How many sockets are in the group: those that name whom they want, and those that name whom they do not.
    users: [u32; 2],
    sources: Trie<Arc<Source>>,
    /// How often is still to be told that the mode has changed.
    mode_repeats: u8,
    /// What is to be said, and when.
    answer: Option<(Instant, Answer)>,
    /// How often is still to be said, in versions 1 and 2, that the group was joined.
    unasked: u8,
    /// Nobody has reported the group since this host did, in versions 1 and 2.
    reporter: bool,
}

fn each(sources: &Trie<Arc<Source>>, mut f: impl FnMut(Addr, &Source)) {
    sources.walk((Addr::ANY, 0), |addr, _, s| {
        f(addr, s);
        true
    });
}

impl State {
    pub(super) fn is_joined(&self) -> bool {
        self.users != [0; 2]
    }

    /// Whether the list is of those that are not wanted.
    fn excludes(&self) -> bool {
        self.users[1] != 0
    }

    /// Whether a source is in the list: of those that are wanted, if a socket wants it; of those that are not, if all
    /// sockets say so.
    fn lists(&self, s: &Source) -> bool {
        let [include, exclude] = [&s.users[0], &s.users[1]].map(|n| n.load(Relaxed));
        match self.excludes() {
            true => exclude == self.users[1] && include == 0,
            false => include != 0,
        }
    }

    /// Makes an entry of each source that a filter names.
    pub(super) fn make_room(&mut self, filter: &Filter) -> Result<(), AllocError> {
        for source in filter.sources() {
            if self.sources.get(*source, HOST).is_none() {
                let new = Arc::try_new(Source::default())?;
                self.sources = self.sources.insert(*source, HOST, new)?;
            }
        }
        Ok(())
    }

    /// A socket wants `new` instead of `old`; whether routers are to be told, `qrv` times. There is room for what is new.
    ///
    /// Mirrors [`sf_markstate`, `sf_setstate`](srctree/net/ipv4/igmp.c)
    pub(super) fn change(&mut self, old: Option<&Filter>, new: Option<&Filter>, qrv: u8) -> bool {
        let excluded = self.excludes();
        each(&self.sources, |_, s| {
            s.was_listed.store(self.lists(s), Relaxed)
        });
        for (filter, by) in [(old, u32::MAX), (new, 1)] {
            let Some(filter) = filter else { continue };
            let mode = usize::from(filter.excludes());
            if let Some(n) = self.users.get_mut(mode) {
                *n = n.wrapping_add(by);
            }
            for source in filter.sources() {
                if let Some(n) = self.source(*source).and_then(|s| s.users.get(mode)) {
                    n.fetch_add(by, Relaxed);
                }
            }
        }
        let mut changes = false;
        if excluded != self.excludes() {
            // Says of all sources what is to be said.
            self.mode_repeats = qrv;
            each(&self.sources, |_, s| s.repeats.store(0, Relaxed));
            changes = true;
        } else {
            each(&self.sources, |_, s| {
                if s.was_listed.load(Relaxed) != self.lists(s) {
                    s.repeats.store(qrv, Relaxed);
                    changes = true;
                }
            });
        }
        self.prune();
        changes
    }

    fn source(&self, addr: Addr) -> Option<&Source> {
        self.sources.get(addr, HOST).map(|s| &**s)
    }

    /// Forgets sources of which there is nothing to say. Without memory they stay.
    fn prune(&mut self) {
        let mut sources = self.sources.clone();
        each(&self.sources, |addr, s| {
            let users = s.users.iter().any(|n| n.load(Relaxed) != 0);
            if !users && s.repeats.load(Relaxed) == 0 {
                if let Ok(without) = sources.remove(addr, HOST) {
                    sources = without;
                }
            }
        });
        self.sources = sources;
    }

    /// Nothing is to be told of what has changed.
    pub(super) fn forget_changes(&mut self) {
        self.mode_repeats = 0;
        each(&self.sources, |_, s| s.repeats.store(0, Relaxed));
        self.prune();
    }

    /// Nothing at all is to be told.
    pub(super) fn forget(&mut self) {
        self.forget_changes();
        self.answer = None;
        self.unasked = 0;
        self.reporter = false;
    }

    /// Everything is to be told as if it had changed just now.
    pub(super) fn tell_all(&mut self, qrv: u8) {
        match self.excludes() {
            true => self.mode_repeats = qrv,
            false => each(&self.sources, |_, s| s.repeats.store(qrv, Relaxed)),
        }
    }

    /// It is to be said so often that the group was joined, though nobody has asked.
    pub(super) fn tell_unasked(&mut self, times: u8, now: Instant) {
        self.unasked = times;
        self.answer(now, Answer::Whole);
    }

    /// It is to be said that the group was left.
    pub(super) fn say_leave(&mut self, now: Instant) {
        self.reporter = false;
        self.unasked = 0;
        self.answer = Some((now, Answer::Leave));
    }

    /// Whether nobody has reported the group since this host did.
    pub(super) fn was_last_to_report(&self) -> bool {
        self.reporter
    }

    /// Somebody else has reported the group.
    ///
    /// Mirrors [`igmp_stop_timer`](srctree/net/ipv4/igmp.c)
    pub(super) fn suppress(&mut self) {
        if !matches!(self.answer, Some((_, Answer::Leave))) {
            self.answer = None;
        }
        self.unasked = 0;
        self.reporter = false;
    }

    /// What is to be answered to a question for some sources, or for all; `None`: nothing.
    ///
    /// Mirrors [`igmp_marksources`, `igmp_xmarksources`](srctree/net/ipv4/igmp.c)
    pub(super) fn answer_for(&self, asked: impl Iterator<Item = Addr> + Clone) -> Option<Answer> {
        if asked.clone().next().is_none() {
            return Some(Answer::Whole);
        }
        if self.excludes() {
            // Which of the others are wanted is not kept for each: it is said of all of them.
            let mut asked = asked;
            let unwanted = |a| self.source(a).is_some_and(|s| self.lists(s));
            return (!asked.all(unwanted)).then_some(Answer::Whole);
        }
        let mut any = false;
        for s in asked.filter_map(|a| self.source(a)) {
            let wanted = self.lists(s);
            s.asked.fetch_or(wanted, Relaxed);
            any |= wanted;
        }
        any.then_some(Answer::Sources)
    }

    /// Has the group say something at a time, or earlier if it had to say something then already.
    ///
    /// Mirrors [`igmp_mod_timer`](srctree/net/ipv4/igmp.c)
    pub(super) fn answer(&mut self, at: Instant, what: Answer) {
        self.answer = Some(match self.answer {
            None | Some((_, Answer::Leave)) => (at, what),
            Some((before, Answer::Sources)) => (before.min(at), what),
            Some((before, Answer::Whole)) => (before.min(at), Answer::Whole),
        });
    }

    pub(super) fn answer_at(&self) -> Option<Instant> {
        self.answer.map(|(at, _)| at)
    }

    pub(super) fn take_answer(&mut self) -> Option<Answer> {
        self.answer.take().map(|(_, what)| what)
    }

    /// The group was reported; whether it is to be once more.
    pub(super) fn told(&mut self, version: Version) -> Option<()> {
        self.reporter = true;
        if version == Version::V3 {
            self.unasked = 0;
        }
        self.unasked = self.unasked.saturating_sub(1);
        (self.unasked != 0).then_some(())
    }

    /// The addresses of the sources that `which` says.
    fn select<'a>(
        &'a self,
        which: impl Fn(&Source) -> bool + Copy + 'a,
    ) -> impl FnMut(&mut dyn FnMut(Addr)) + 'a {
        move |f| {
            each(&self.sources, |addr, s| {
                if which(s) {
                    f(addr);
                }
            });
        }
    }

    /// Tells whose packets are wanted.
    pub(super) fn tell(&self, reports: &mut Reports, group: Addr) {
        if !self.is_joined() {
            return;
        }
        let kind = match self.excludes() {
            true => Record::IsExclude,
            false => Record::IsInclude,
        };
        reports.record(kind, group, self.select(|s| self.lists(s)));
    }

    /// Answers a router, in version 3.
    pub(super) fn tell_answer(&self, answer: Answer, reports: &mut Reports, group: Addr) {
        let asked = |s: &Source| s.asked.load(Relaxed) && self.lists(s);
        match answer {
            Answer::Sources if !self.excludes() => {
                reports.record(Record::IsInclude, group, self.select(asked));
            }
            _ => self.tell(reports, group),
        }
        each(&self.sources, |_, s| s.asked.store(false, Relaxed));
    }

    /// Tells what has changed (RFC 3376, 5.1).
    ///
    /// Mirrors [`igmpv3_send_cr`](srctree/net/ipv4/igmp.c)
    pub(super) fn tell_change(&mut self, reports: &mut Reports, group: Addr) -> Told {
        let changed = |s: &Source| s.repeats.load(Relaxed) != 0;
        if self.mode_repeats != 0 {
            let kind = match self.excludes() {
                true => Record::ToExclude,
                false => Record::ToInclude,
            };
            reports.record(kind, group, self.select(|s| self.lists(s)));
            self.mode_repeats = self.mode_repeats.saturating_sub(1);
        } else {
            for (kind, wanted) in [(Record::Allow, true), (Record::Block, false)] {
                let of_kind =
                    |s: &Source| changed(s) && (self.lists(s) != self.excludes()) == wanted;
                let mut none = true;
                self.select(of_kind)(&mut |_| none = false);
                if !none {
                    reports.record(kind, group, self.select(of_kind));
                }
            }
            each(&self.sources, |_, s| {
                let left = s.repeats.load(Relaxed).saturating_sub(1);
                s.repeats.store(left, Relaxed);
            });
        }
        let mut again = self.mode_repeats != 0;
        each(&self.sources, |_, s| again |= changed(s));
        if !again {
            self.prune();
        }
        match again {
            true => Told::Again,
            false => Told::All,
        }
    }
}
