// SPDX-License-Identifier: GPL-2.0
//! Hearing what routers ask and what other hosts say, and telling what is to be told when its time has come.

use super::group::{
    Answer,
    Told, //
};
use super::report::Reports;
use super::{
    each,
    earlier,
    forget,
    Control,
    Ctx,
    Interface,
    HOST,
    QUERY_RESPONSE_INTERVAL, //
};
use crate::platform::SkbQueue;
use crate::stack::time::{
    Duration,
    Instant, //
};
use crate::stack::wire::igmp::{
    Message,
    Query,
    Version,
    Word, //
};
use crate::stack::wire::ipv4::Addr;

impl Interface {
    /// Takes a message that came in by the device; says when there is something to do.
    ///
    /// Mirrors [`igmp_heard_query`, `igmp_heard_report`](srctree/net/ipv4/igmp.c)
    pub fn heard(&self, message: &Message<'_>, ctx: &mut Ctx<'_>) -> Option<Instant> {
        match message {
            Message::Query(query) => self.heard_query(query, ctx),
            // Somebody else has said it (RFC 3376, 7.2.2).
            Message::Report(group) => {
                let control = self.control.lock();
                if let Some(g) = control.asked.get(*group, HOST) {
                    g.state.lock().suppress();
                } else if let Some(g) = self.all().get(*group, HOST) {
                    g.state.lock().suppress();
                }
                None
            }
            Message::Other => None,
        }
    }

    fn heard_query(&self, query: &Query<'_>, ctx: &mut Ctx<'_>) -> Option<Instant> {
        let mut control = self.control.lock();
        if !control.up {
            return None;
        }
        if query.version != Version::V3 {
            control.old_router(query.version, ctx);
        } else if control.version(ctx) == Version::V3 {
            control.qrv = query.qrv;
            control.interval = query.interval;
        }
        let version = control.version(ctx);
        let group = match (version, query.version) {
            (Version::V1, _) | (_, Version::V1) => Addr::ANY,
            _ => query.group,
        };
        let delay = match query.max_resp {
            _ if version == Version::V1 || query.version == Version::V1 => QUERY_RESPONSE_INTERVAL,
            // At once, or nearly.
            Duration::ZERO => Duration::from_millis(1),
            some => some,
        };
        let by = ctx.within(delay);
        if group.is_any() {
            if query.sources().next().is_some() {
                return None;
            }
            if version == Version::V3 && query.version == Version::V3 {
                control.general = earlier(control.general, Some(by));
                return control.next();
            }
            // Each for itself, so that whoever answers first keeps the others from it.
            each(&self.all(), |g| {
                if ctx.reports(g.addr()) {
                    let at = ctx.within(delay);
                    g.state.lock().answer(at, Answer::Whole);
                }
            });
            control.asked = self.all();
            return control.next();
        }
        let found = self.all();
        let found = found.get(group, HOST).filter(|_| ctx.reports(group));
        let found = found.filter(|g| g.is_joined())?;
        let answer = found.state.lock().answer_for(query.sources())?;
        // Without memory the question was not heard; it is asked again.
        control.asked = control.asked.insert(group, HOST, found.clone()).ok()?;
        found.state.lock().answer(by, answer);
        control.next()
    }

    /// Does what is to be done by now: the messages that are sent, of which none is longer than `most` bytes; and when to
    /// come again. Softirq.
    ///
    /// Mirrors [`igmp_gq_timer_expire`, `igmp_ifc_timer_expire`, `igmp_timer_expire`](srctree/net/ipv4/igmp.c)
    pub fn expire(&self, most: usize, ctx: &mut Ctx<'_>) -> (SkbQueue, Option<Instant>) {
        let mut control = self.control.lock();
        let mut reports = Reports::new(most);
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= ctx.now);
        if due(control.general) {
            control.general = None;
            self.for_each(|g| {
                if ctx.reports(g.addr()) {
                    g.state.lock().tell(&mut reports, g.addr());
                }
            });
        }
        if due(control.change) {
            control.change = self.tell_changes(&mut control, &mut reports, ctx);
        }
        self.tell_answers(&mut control, &mut reports, ctx);
        (reports.finish(), control.next())
    }

    /// Tells of what has changed; when to do it again.
    ///
    /// Mirrors [`igmpv3_send_cr`](srctree/net/ipv4/igmp.c)
    fn tell_changes(
        &self,
        control: &mut Control,
        reports: &mut Reports,
        ctx: &mut Ctx<'_>,
    ) -> Option<Instant> {
        let mut again = false;
        let before = control.changed.clone();
        control.left = 0;
        each(&before, |g| {
            let told = g.state.lock().tell_change(reports, g.addr());
            match told {
                Told::Again => {
                    again = true;
                    control.left = control.left.saturating_add(u32::from(!g.is_joined()));
                }
                Told::All => forget(&mut control.changed, g.addr()),
            }
        });
        again.then(|| ctx.within(ctx.settings.unsolicited_v3))
    }

    /// Gives the answers of single groups that are due.
    fn tell_answers(&self, control: &mut Control, reports: &mut Reports, ctx: &mut Ctx<'_>) {
        let version = control.version(ctx);
        let before = control.asked.clone();
        each(&before, |g| {
            let mut state = g.state.lock();
            if state.answer_at().is_some_and(|at| at > ctx.now) {
                return;
            }
            let again = match state.take_answer() {
                None => None,
                Some(Answer::Leave) => {
                    if version == Version::V2 {
                        reports.word(Word::Leave, g.addr());
                    }
                    None
                }
                Some(_) if !state.is_joined() => None,
                Some(answer) => {
                    match version {
                        Version::V1 => reports.word(Word::ReportV1, g.addr()),
                        Version::V2 => reports.word(Word::Report, g.addr()),
                        Version::V3 => state.tell_answer(answer, reports, g.addr()),
                    }
                    state.told(version)
                }
            };
            match again {
                Some(()) => {
                    let at = ctx.within(ctx.settings.unsolicited_v2);
                    state.answer(at, Answer::Whole);
                }
                None => forget(&mut control.asked, g.addr()),
            }
        });
    }
}
