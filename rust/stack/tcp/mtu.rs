// SPDX-License-Identifier: GPL-2.0
//! The path has become narrower: RFC 1191, believed as RFC 5927 has it.

use super::{
    seq::SeqNum,
    sock::Sock,
    state::State, //
};
use crate::stack::{
    counters::Counter,
    drop_reason::DropReason,
    env::Env,
    errno::Errno, //
};

impl Sock {
    /// "Fragmentation needed": a segment of ours that began at `quoted_seq` was too long for a hop of
    /// `mtu` bytes (0: an old router that does not say).
    ///
    /// RFC 5927, 7: only a segment that is in flight can have been too long. Context: the socket's lock is
    /// held.
    ///
    /// # Errors
    ///
    /// Why the message is not believed.
    ///
    /// Mirrors [`tcp_v4_err`, `tcp_v4_mtu_reduced`](srctree/net/ipv4/tcp_ipv4.c).
    pub fn mtu_reduced<E: Env>(
        &mut self,
        env: &mut E,
        quoted_seq: SeqNum,
        mtu: u32,
    ) -> Result<(), DropReason> {
        if matches!(self.state, State::Close | State::Listen) {
            return Err(DropReason::TcpClose);
        }
        if quoted_seq.before(self.snd_una) || !quoted_seq.before(self.snd_nxt) {
            env.count(Counter::OutOfWindowIcmps);
            return Err(DropReason::TcpInvalidSequence);
        }
        let Some((path, may_cut)) = env.update_pmtu(mtu) else {
            return Ok(());
        };
        if mtu < path && !may_cut {
            // What is sent now may still be too long. Should the connection fail, this is why.
            env.set_soft_error(Errno::EMSGSIZE);
        }
        if self.pmtu > path {
            self.sync_mss(env);
            // What was too long goes again. That is no congestion: the window stays.
            self.simple_retransmit(env);
        }
        Ok(())
    }
}
