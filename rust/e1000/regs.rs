// SPDX-License-Identifier: GPL-2.0
//! The card's registers: where each is and what its bits mean (manual, chapter 13).
//!
//! Each register is a type, so that the bits of one cannot be written to another.

use crate::abstractions::io::{
    Offset,
    Register, //
};

/// Declares registers: a type each, with its place and the bits it has.
macro_rules! registers {
    ($(
        $(#[$doc:meta])*
        $name:ident @ $offset:literal { $( $(#[$bdoc:meta])* $bit:ident = $value:expr, )* }
    )*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) struct $name(u32);

        impl $name {
            $( $(#[$bdoc])* pub(crate) const $bit: $name = $name($value); )*
        }

        impl Register for $name {
            const OFFSET: Offset = Offset::at($offset);

            #[inline]
            fn from_bits(bits: u32) -> Self {
                $name(bits)
            }

            #[inline]
            fn bits(self) -> u32 {
                self.0
            }
        }

        impl core::ops::BitOr for $name {
            type Output = $name;

            #[inline]
            fn bitor(self, other: $name) -> $name {
                $name(self.0 | other.0)
            }
        }
    )*};
}

/// Questions that every register's value answers.
pub(crate) trait Bits: Register {
    /// Whether one of the bits is set.
    #[inline]
    fn has(self, bits: Self) -> bool {
        self.bits() & bits.bits() != 0
    }

    /// The value without these bits.
    #[inline]
    fn without(self, bits: Self) -> Self {
        Self::from_bits(self.bits() & !bits.bits())
    }

    /// No bit is set.
    #[inline]
    fn is_clear(self) -> bool {
        self.bits() == 0
    }

    /// All ones: what a card reads as that is not there any more.
    #[inline]
    fn is_gone(self) -> bool {
        self.bits() == !0
    }
}

impl<R: Register> Bits for R {}

registers! {
    /// Device control.
    Ctrl @ 0x00000 {
        /// Full duplex.
        FD = 1 << 0,
        /// Speed by what the PHY says.
        ASDE = 1 << 5,
        /// Set link up.
        SLU = 1 << 6,
        /// Invert loss of signal.
        ILOS = 1 << 7,
        /// Force the speed.
        FRCSPD = 1 << 11,
        /// Force the duplex mode.
        FRCDPX = 1 << 12,
        /// Reset; clears itself.
        RST = 1 << 26,
        /// Heed pause frames.
        RFCE = 1 << 27,
        /// Send pause frames.
        TFCE = 1 << 28,
        /// Insert and take out VLAN tags.
        VME = 1 << 30,
    }
    /// Device status.
    Status @ 0x00008 {
        /// Full duplex.
        FD = 1 << 0,
        /// There is a link.
        LU = 1 << 1,
        /// 100 Mbit/s.
        SPEED_100 = 1 << 6,
        /// 1000 Mbit/s; both bits mean the same.
        SPEED_1000 = 1 << 7,
    }
    /// EEPROM and flash control.
    Eecd @ 0x00010 {}
    /// EEPROM read.
    Eerd @ 0x00014 {
        /// Begin; the address is in bits 8 to 15.
        START = 1 << 0,
        /// The data in bits 16 to 31 are valid.
        DONE = 1 << 4,
    }
    /// Management data: access to the PHY.
    Mdic @ 0x00020 {
        /// Write the data in bits 0 to 15 to the register in bits 16 to 20.
        WRITE = 1 << 26 | PHY_ADDRESS,
        /// Read the register in bits 16 to 20.
        READ = 2 << 26 | PHY_ADDRESS,
        /// Done.
        READY = 1 << 28,
        /// The PHY does not answer.
        ERROR = 1 << 30,
    }
    /// Flow control: address, low.
    Fcal @ 0x00028 {}
    /// Flow control: address, high.
    Fcah @ 0x0002c {}
    /// Flow control: type.
    Fct @ 0x00030 {}
    /// The type of VLAN tags.
    Vet @ 0x00038 {
        /// 802.1Q.
        DOT1Q = 0x8100,
    }
    /// Interrupt cause; reading clears it.
    Icr @ 0x000c0 {
        /// The link changed.
        LSC = 1 << 2,
        /// Symbols out of order on the link.
        RXSEQ = 1 << 3,
    }
    /// Interrupt throttling: units of 256 ns.
    Itr @ 0x000c4 {}
    /// Interrupt cause, set.
    Ics @ 0x000c8 {
        /// The link changed.
        LSC = 1 << 2,
        /// Few receive descriptors are left.
        RXDMT0 = 1 << 4,
    }
    /// Interrupt mask, set.
    Ims @ 0x000d0 {
        /// What the driver wants to hear of: a frame was sent, the link changed, symbols are out of order,
        /// few receive descriptors are left, the receive timer ran out.
        WANTED = 1 << 0 | 1 << 2 | 1 << 3 | 1 << 4 | 1 << 7,
    }
    /// Interrupt mask, clear.
    Imc @ 0x000d8 {
        /// All interrupts.
        ALL = !0,
    }
    /// Receive control.
    Rctl @ 0x00100 {
        /// Off.
        OFF = 0,
        /// Receive.
        EN = 1 << 1,
        /// Keep damaged frames.
        SBP = 1 << 2,
        /// All unicast frames.
        UPE = 1 << 3,
        /// All multicast frames.
        MPE = 1 << 4,
        /// Frames longer than 1522 bytes.
        LPE = 1 << 5,
        /// Broadcast frames.
        BAM = 1 << 15,
        /// Only the VLANs of the table.
        VFE = 1 << 18,
        /// Strip the frame check sequence.
        SECRC = 1 << 26,
    }
    /// How long the other end is to pause, in units of 512 bit times.
    Fcttv @ 0x00170 {}
    /// Transmit configuration word, for fibre.
    Txcw @ 0x00178 {}
    /// Transmit control.
    Tctl @ 0x00400 {
        /// Off.
        OFF = 0,
        /// Transmit.
        EN = 1 << 1,
        /// Pad short frames.
        PSP = 1 << 3,
        /// 15 tries after a collision, and 64 byte times to notice one in full duplex.
        COLLISIONS = 15 << 4 | 64 << 12,
        /// Again after a late collision.
        RTLC = 1 << 24,
    }
    /// Gaps between frames.
    Tipg @ 0x00410 {
        /// What copper needs (manual, table 13-77).
        COPPER = 8 | 8 << 10 | 6 << 20,
    }
    /// How the packet buffer is divided.
    Pba @ 0x01000 {
        /// 48 KiB to receive, 16 to send.
        RX_48K = 48,
        /// 40 KiB to receive, 24 to send: two jumbo frames.
        RX_40K = 40,
    }
    /// Flow control: when to let the other end go on.
    Fcrtl @ 0x02160 {}
    /// Flow control: when to stop the other end.
    Fcrth @ 0x02168 {}
    /// Receive ring: address, low.
    Rdbal @ 0x02800 {}
    /// Receive ring: address, high.
    Rdbah @ 0x02804 {}
    /// Receive ring: bytes.
    Rdlen @ 0x02808 {}
    /// Receive ring: head, the card's.
    Rdh @ 0x02810 {}
    /// Receive ring: tail, the driver's.
    Rdt @ 0x02818 {}
    /// Receive interrupt: delay.
    Rdtr @ 0x02820 {}
    /// Receive interrupt: greatest delay.
    Radv @ 0x0282c {}
    /// Transmit ring: address, low.
    Tdbal @ 0x03800 {}
    /// Transmit ring: address, high.
    Tdbah @ 0x03804 {}
    /// Transmit ring: bytes.
    Tdlen @ 0x03808 {}
    /// Transmit ring: head, the card's.
    Tdh @ 0x03810 {}
    /// Transmit ring: tail, the driver's.
    Tdt @ 0x03818 {}
    /// Transmit interrupt: delay.
    Tidv @ 0x03820 {}
    /// Transmit ring: thresholds.
    Txdctl @ 0x03828 {}
    /// Transmit interrupt: greatest delay.
    Tadv @ 0x0382c {}
    /// Receive checksum control.
    Rxcsum @ 0x05000 {
        /// Off.
        OFF = 0,
        /// TCP and UDP.
        TUOFL = 1 << 9,
    }
    /// Wake-up control.
    Wuc @ 0x05800 {
        /// Off.
        OFF = 0,
    }
}

/// The only PHY there is has address 1.
const PHY_ADDRESS: u32 = 1 << 21;

impl Rctl {
    /// The kinds of frames that come in; the rest of the register says how.
    pub(crate) const FILTER: Rctl = Rctl(Rctl::UPE.0 | Rctl::MPE.0 | Rctl::VFE.0);
}

/// Word `i` of the table of multicast hashes.
pub(crate) const fn multicast(i: usize) -> Offset {
    Offset::at(0x05200).index(i, crate::filter::MULTICAST_WORDS)
}

/// The exact address number `i`, low and high half.
pub(crate) const fn exact(i: usize) -> (Offset, Offset) {
    const RAR: Offset = Offset::at(0x05400);
    let len = 2 * crate::filter::EXACT;
    let i = i.wrapping_mul(2);
    (RAR.index(i, len), RAR.index(i.wrapping_add(1), len))
}

/// Word `i` of the table of VLANs.
pub(crate) const fn vlan(i: usize) -> Offset {
    Offset::at(0x05600).index(i, crate::filter::VLAN_WORDS)
}

/// Registers of the PHY (IEEE 802.3, clause 22).
pub(crate) mod phy {
    /// Control.
    pub(crate) const CTRL: u32 = 0;
    /// Negotiate.
    pub(crate) const CTRL_AUTONEG: u16 = 1 << 12;
    /// Negotiate anew.
    pub(crate) const CTRL_RESTART: u16 = 1 << 9;
    /// Switched off.
    pub(crate) const CTRL_POWER_DOWN: u16 = 1 << 11;
    /// What is sent comes back.
    pub(crate) const CTRL_LOOPBACK: u16 = 1 << 14;
    /// 1000 Mbit/s, full duplex.
    pub(crate) const CTRL_1000_FULL: u16 = 1 << 6 | 1 << 8;
    /// Status.
    pub(crate) const STATUS: u32 = 1;
    /// Negotiated.
    pub(crate) const STATUS_AUTONEG_DONE: u16 = 1 << 5;
}

/// The statistics registers that are read: each counts up and is cleared by reading.
pub(crate) mod counter {
    use super::Offset;

    /// Counters of 32 bits, in the order of [`names`].
    pub(crate) const ALL: [Offset; 31] = [
        Offset::at(0x04000), // CRCERRS
        Offset::at(0x04004), // ALGNERRC
        Offset::at(0x0400c), // RXERRC
        Offset::at(0x04010), // MPC
        Offset::at(0x04014), // SCC
        Offset::at(0x04018), // ECOL
        Offset::at(0x0401c), // MCC
        Offset::at(0x04020), // LATECOL
        Offset::at(0x04028), // COLC
        Offset::at(0x04030), // DC
        Offset::at(0x04034), // TNCRS
        Offset::at(0x04038), // SEC
        Offset::at(0x0403c), // CEXTERR
        Offset::at(0x04040), // RLEC
        Offset::at(0x04048), // XONRXC
        Offset::at(0x0404c), // XONTXC
        Offset::at(0x04050), // XOFFRXC
        Offset::at(0x04054), // XOFFTXC
        Offset::at(0x04074), // GPRC
        Offset::at(0x04078), // BPRC
        Offset::at(0x0407c), // MPRC
        Offset::at(0x04080), // GPTC
        Offset::at(0x040a0), // RNBC
        Offset::at(0x040a4), // RUC
        Offset::at(0x040ac), // ROC
        Offset::at(0x040b0), // RJC
        Offset::at(0x040b4), // MGTPRC
        Offset::at(0x040f0), // MPTC
        Offset::at(0x040f4), // BPTC
        Offset::at(0x040f8), // TSCTC
        Offset::at(0x040fc), // TSCTFC
    ];
    /// Counters of bytes, low half; the high half is behind it, and reading that clears both.
    pub(crate) const OCTETS: [Offset; 2] = [
        Offset::at(0x04088), // GORC
        Offset::at(0x04090), // GOTC
    ];
    /// All of them.
    pub(crate) const COUNT: usize = ALL.len() + OCTETS.len();

    /// Places in the list of counters, by name.
    #[allow(missing_docs)]
    pub(crate) mod names {
        pub(crate) const CRCERRS: usize = 0;
        pub(crate) const ALGNERRC: usize = 1;
        pub(crate) const RXERRC: usize = 2;
        pub(crate) const MPC: usize = 3;
        pub(crate) const SCC: usize = 4;
        pub(crate) const ECOL: usize = 5;
        pub(crate) const MCC: usize = 6;
        pub(crate) const LATECOL: usize = 7;
        pub(crate) const COLC: usize = 8;
        pub(crate) const DC: usize = 9;
        pub(crate) const TNCRS: usize = 10;
        pub(crate) const CEXTERR: usize = 12;
        pub(crate) const RLEC: usize = 13;
        pub(crate) const XONRXC: usize = 14;
        pub(crate) const XONTXC: usize = 15;
        pub(crate) const XOFFRXC: usize = 16;
        pub(crate) const XOFFTXC: usize = 17;
        pub(crate) const GPRC: usize = 18;
        pub(crate) const BPRC: usize = 19;
        pub(crate) const MPRC: usize = 20;
        pub(crate) const GPTC: usize = 21;
        pub(crate) const RNBC: usize = 22;
        pub(crate) const RUC: usize = 23;
        pub(crate) const ROC: usize = 24;
        pub(crate) const RJC: usize = 25;
        pub(crate) const MPTC: usize = 27;
        pub(crate) const BPTC: usize = 28;
        pub(crate) const TSCTC: usize = 29;
        pub(crate) const TSCTFC: usize = 30;
        pub(crate) const GORC: usize = 31;
        pub(crate) const GOTC: usize = 32;
    }
}
