// SPDX-License-Identifier: GPL-2.0
//! What `path.txt` says: which functions to probe, and how to speak of those that are found.

/// Which part of the way a probe shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From the system call to the card.
    Down,
    /// From the card to the socket.
    Up,
    /// From the socket to the reader.
    Reader,
}

/// A function to put a probe on.
#[derive(Clone, Copy, Debug)]
pub struct Probe {
    /// What its stack shows.
    pub way: Way,
    /// The function, or several of which one is there.
    pub symbol: &'static str,
}

/// A function as it is drawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Whose it is.
    pub who: String,
    /// Its name as people write it.
    pub name: String,
    /// The C function whose place it has, or nothing.
    pub twin: Option<&'static str>,
    /// Whether it is Rust: RustNet's or the driver's.
    pub ours: bool,
}

/// The crates of the two modules, and whose they are.
const CRATES: [(&str, &str); 2] = [
    ("rustnet_main::", "RustNet"),
    ("rust_e1000_main::", "driver in Rust"),
];

/// The fields of every line of a kind.
fn lines(kind: &'static str) -> impl Iterator<Item = Vec<&'static str>> {
    include_str!("path.txt").lines().filter_map(move |line| {
        let line = line.split('#').next()?;
        let mut fields = line.split('|').map(str::trim);
        (fields.next()? == kind).then(|| fields.collect())
    })
}

/// The functions to probe.
pub fn probes() -> Vec<Probe> {
    lines("probe")
        .filter_map(|f| {
            let way = match *f.first()? {
                "down" => Way::Down,
                "up" => Way::Up,
                "reader" => Way::Reader,
                _ => return None,
            };
            Some(Probe {
                way,
                symbol: f.get(1)?,
            })
        })
        .collect()
}

/// How a symbol of a call stack is drawn; `None` for those that are not.
pub fn step(symbol: &str) -> Option<Step> {
    if lines("hide").any(|f| f.first().is_some_and(|h| symbol.starts_with(h))) {
        return None;
    }
    let full = format!("{:#}", rustc_demangle::demangle(symbol));
    let owner = CRATES.iter().find(|(name, _)| full.contains(name));
    let Some((_, owner)) = owner else {
        let label = lines("who").find(|f| symbol.contains(f[0]));
        let who = label.map_or("kernel", |f| f[1]).to_string();
        // "schedule.part.0" is still schedule.
        let name = symbol.split('.').next().unwrap_or(symbol).to_string();
        return Some(Step {
            who,
            name,
            twin: None,
            ours: false,
        });
    };
    let twin = lines("twin").find(|f| f[0].split_whitespace().all(|w| full.contains(w)));
    Some(Step {
        who: owner.to_string(),
        name: short(&full),
        twin: twin.map(|f| f[1]),
        ours: true,
    })
}

/// `<rustnet_main::stack::tcp::sock::Sock>::transmit::<…>` as `tcp::sock::Sock::transmit`.
fn short(name: &str) -> String {
    let name = match name.split_once(" as ") {
        // An implementation of a trait: the type and the method.
        Some((ty, rest)) => format!("{ty}::{}", rest.rsplit(">::").next().unwrap_or("")),
        None => name.split("::<").next().unwrap_or(name).to_string(),
    };
    name.replace(['<', '>'], "")
        .replace("rustnet_main::", "")
        .replace("rust_e1000_main::", "")
        .replace("stack::", "")
}

#[cfg(test)]
#[allow(non_snake_case)]
mod tests {
    use super::*;

    #[test]
    fn probes__of_every_way() {
        for way in [Way::Down, Way::Up, Way::Reader] {
            assert!(probes().iter().any(|p| p.way == way), "{way:?}");
        }
    }

    #[test]
    fn path__every_line_has_its_fields() {
        for (kind, fields) in [("probe", 2), ("twin", 2), ("who", 2), ("hide", 1)] {
            for f in lines(kind) {
                assert_eq!(f.len(), fields, "{kind}: {f:?}");
                assert!(f.iter().all(|w| !w.is_empty()), "{kind}: {f:?}");
            }
        }
    }

    #[test]
    fn short__drops_generics_and_traits() {
        let generic = "<rustnet_main::stack::tcp::sock::Sock>::transmit::<rustnet_main::glue::E>";
        assert_eq!(short(generic), "tcp::sock::Sock::transmit");
        let of_trait = "<rustnet_main::glue::tcp::Tcp as rustnet_main::abstractions::Ops>::sendmsg";
        assert_eq!(short(of_trait), "glue::tcp::Tcp::sendmsg");
        assert_eq!(short("rustnet_main::glue::tx::xmit"), "glue::tx::xmit");
    }

    #[test]
    fn step__knows_whose_a_function_is() {
        assert_eq!(step("do_syscall_64"), None);
        assert!(!step("e1000_xmit_frame").unwrap().ours);
        let ours = step("_RNvNtNtCsbKM6ANZVFNr_12rustnet_main4glue2tx4xmit").unwrap();
        assert_eq!(
            (ours.name.as_str(), ours.twin),
            ("glue::tx::xmit", Some("ip_output"))
        );
    }
}
