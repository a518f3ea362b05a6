// SPDX-License-Identifier: GPL-2.0
//! What a packet is for: a connection, a half-open one, a TIME_WAIT, a listener, or nobody.

use super::{
    Conn,
    FakeHost, //
};
use crate::platform::Skb;
use crate::stack::drop_reason::DropReason;
use crate::stack::ip;
use crate::stack::socket::FourTuple;
use crate::stack::tcp::listen::{
    check_req,
    conn_request,
    synack,
    CheckReq,
    ListenConfig, //
};
use crate::stack::tcp::{
    send_reset,
    Flags,
    Segment,
    Sock,
    State,
    Surroundings,
    TwAction,
    TIMEWAIT_LEN, //
};
use crate::stack::wire::checksum;
use crate::stack::wire::ipv4::Protocol;

impl FakeHost {
    /// A packet from the network.
    pub fn input(&mut self, bytes: &[u8]) {
        if let Err(reason) = self.rcv(bytes) {
            *self.drops.entry(reason).or_default() += 1;
        }
    }

    fn rcv(&mut self, bytes: &[u8]) -> Result<(), DropReason> {
        let mut skb = Skb::from_bytes(bytes);
        let header = ip::rcv(&mut skb, |_| ())?;
        if header.daddr != self.addr {
            return Err(DropReason::IpInAddrErrors);
        }
        if header.is_fragment() {
            return Err(DropReason::FragInvalid);
        }
        ip::input::deliver_finish(&mut skb, &header);
        if header.protocol != Protocol::TCP {
            return Err(DropReason::IpNoProto);
        }
        let len = u32::from(header.payload_len());
        let pseudo = checksum::pseudo_header(header.saddr, header.daddr, Protocol::TCP.0, len);
        if !skb.csum_valid(pseudo) {
            return Err(DropReason::TcpCsum);
        }
        let seg = Segment::parse(&mut skb)?;
        let id = FourTuple {
            saddr: header.daddr,
            daddr: header.saddr,
            sport: seg.dest,
            dport: seg.source,
        };
        self.tcp_rcv(id, skb, &seg, None)
    }

    /// A segment of the connection `id`; `isn` is where a new one must begin.
    fn tcp_rcv(
        &mut self,
        id: FourTuple,
        skb: Skb,
        seg: &Segment,
        isn: Option<u32>,
    ) -> Result<(), DropReason> {
        if let Some(conn) = self.conns.get_mut(&id) {
            if conn.sock.state != State::Close {
                let result = conn.sock.v4_do_rcv(&mut conn.world, skb, seg);
                self.after(id);
                return result;
            }
        }
        if self.requests.contains_key(&id) {
            return self.request_rcv(id, skb, seg);
        }
        if let Some((tw, until)) = self.time_waits.get_mut(&id) {
            let mut around = Surroundings {
                sysctl: &self.sysctl,
                now: self.now,
                count: &mut |_| {},
            };
            let verdict = tw.rcv(&mut around, seg, id);
            if verdict.restart {
                *until = self.now.plus(TIMEWAIT_LEN);
            }
            match verdict.action {
                TwAction::Drop(reason) => return Err(reason),
                TwAction::Ack(ack) => self.transmit(id, ack),
                TwAction::Kill => {
                    self.time_waits.remove(&id);
                }
                TwAction::Reset(rst) => {
                    self.time_waits.remove(&id);
                    if let Some(rst) = rst {
                        self.transmit(id, rst);
                    }
                }
                TwAction::Syn(floor) => {
                    self.time_waits.remove(&id);
                    return self.tcp_rcv(id, skb, seg, Some(floor.get()));
                }
            }
            return Ok(());
        }
        let flags = Flags::SYN.and(Flags::ACK).and(Flags::RST).and(Flags::FIN);
        let is_syn = seg.flags.bits() & flags.bits() == Flags::SYN.bits();
        if is_syn && self.listeners.contains_key(&id.sport) {
            let isn = isn.unwrap_or_else(|| self.rng.next_u32());
            return self.listen_rcv(id, seg, isn);
        }
        if let Some(rst) = send_reset(seg, id) {
            self.transmit(id, rst);
        }
        Err(DropReason::NoSocket)
    }

    /// A SYN for a listener.
    fn listen_rcv(&mut self, id: FourTuple, seg: &Segment, isn: u32) -> Result<(), DropReason> {
        let world = self.world();
        let listener = self.listeners.get(&id.sport).ok_or(DropReason::NoSocket)?;
        if listener.accepted.len() > listener.backlog {
            return Err(DropReason::TcpListenOverflow);
        }
        let cfg = ListenConfig {
            sysctl: &self.sysctl,
            rcvbuf: world.rcvbuf,
            rcvbuf_locked: false,
            window_clamp: 0,
            init_rwnd: 0,
            mtu: self.mtu,
            user_mss: 0,
            defer_accept: 0,
        };
        let ts_offset = self.rng.next_u32();
        let mut req = conn_request(&cfg, seg, id, isn, ts_offset, self.now);
        let skb = synack(&mut req, self.now).ok_or(DropReason::Nomem)?;
        self.transmit(id, skb);
        let at = self.now.plus(req.timeout());
        self.requests.insert(id, (req, at));
        Ok(())
    }

    /// A segment for a half-open connection.
    fn request_rcv(&mut self, id: FourTuple, skb: Skb, seg: &Segment) -> Result<(), DropReason> {
        let world = self.world();
        let Some((req, _)) = self.requests.get_mut(&id) else {
            return Err(DropReason::NoSocket);
        };
        let mut around = Surroundings {
            sysctl: &self.sysctl,
            now: self.now,
            count: &mut |_| {},
        };
        match check_req(req, &mut around, seg) {
            CheckReq::Drop(reason) => return Err(reason),
            CheckReq::Deferred => {}
            CheckReq::RetransmitSynAck => {
                if let Some(skb) = synack(req, self.now) {
                    self.transmit(id, skb);
                }
            }
            CheckReq::Ack(skb) => self.transmit(id, skb),
            CheckReq::Reset(rst) => {
                if let Some(rst) = rst {
                    self.transmit(id, rst);
                }
            }
            CheckReq::Kill(rst, reason) => {
                self.requests.remove(&id);
                if let Some(rst) = rst {
                    self.transmit(id, rst);
                }
                return Err(reason);
            }
            CheckReq::Establish => {
                let req = *req;
                let listener = self
                    .listeners
                    .get_mut(&id.sport)
                    .ok_or(DropReason::NoSocket)?;
                if listener.accepted.len() > listener.backlog {
                    return Err(DropReason::TcpListenOverflow);
                }
                self.requests.remove(&id);
                let mut conn = Conn {
                    sock: Sock::new(),
                    world,
                };
                conn.sock
                    .open_request(&mut conn.world, &req, &listener.parent);
                listener.accepted.push_back(id);
                let result = conn.sock.v4_do_rcv(&mut conn.world, skb, seg);
                self.conns.insert(id, conn);
                self.after(id);
                return result;
            }
        }
        Ok(())
    }
}
