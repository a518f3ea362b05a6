// SPDX-License-Identifier: GPL-2.0
//! The steps of a packet, read from `path.txt`, and the symbols that stand for them in this kernel.

use anyhow::Context;
use anyhow::Result;

/// Down to the wire, or up from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From the system call to the card.
    Down,
    /// From the card to the system call.
    Up,
}

/// One step.
#[derive(Clone, Debug)]
pub struct Step {
    /// The way it belongs to.
    pub way: Way,
    /// The matcher of `path.txt`.
    pub matcher: String,
    /// The C function that has this place in Linux, or "-" where this is Linux.
    pub twin: String,
    /// Whose function it is.
    pub who: String,
    /// The symbols found for it; empty when the function was inlined or does not exist.
    pub symbols: Vec<String>,
    /// The function's name as people write it.
    pub name: String,
}

/// Reads the table and looks its symbols up.
pub fn load() -> Result<Vec<Step>> {
    let kallsyms = std::fs::read_to_string("/proc/kallsyms").context("/proc/kallsyms")?;
    let mut kernel = std::collections::HashSet::new();
    let mut module = Vec::new();
    for line in kallsyms.lines() {
        let mut words = line.split_whitespace();
        let (Some(_), Some(kind), Some(symbol)) = (words.next(), words.next(), words.next()) else {
            continue;
        };
        if !kind.eq_ignore_ascii_case("t") {
            continue;
        }
        match words.next() {
            Some("[rustnet]") => {
                let name = format!("{:#}", rustc_demangle::demangle(symbol));
                module.push((symbol, name));
            }
            _ => {
                kernel.insert(symbol);
            }
        }
    }
    Ok(table()
        .map(|mut step| {
            match step.matcher.strip_prefix("rust:") {
                None => {
                    if kernel.contains(step.matcher.as_str()) {
                        step.symbols.push(step.matcher.clone());
                    }
                }
                Some(words) => {
                    for (symbol, name) in &module {
                        if matches(name, words) {
                            step.symbols.push(format!("rustnet:{symbol}"));
                            step.name = short(name);
                        }
                    }
                }
            }
            step
        })
        .collect())
}

/// All words occur, it is no closure, and no drop glue.
fn matches(name: &str, words: &str) -> bool {
    // A colon at the end of a word asks for the end of the function's own name.
    let ended = format!("{name}:");
    words.split_whitespace().all(|w| ended.contains(w))
        && !name.contains("{closure")
        && !name.contains("drop_in_place")
}

/// `<rustnet_main::stack::tcp::sock::Sock>::transmit::<…>` as `tcp::sock::Sock::transmit`.
fn short(name: &str) -> String {
    let name = name.split("::<").next().unwrap_or(name);
    let name = match name.split_once(" as ") {
        // An implementation of a trait: the type and the method.
        Some((ty, rest)) => format!("{ty}::{}", rest.rsplit(">::").next().unwrap_or("")),
        None => name.to_string(),
    };
    name.replace(['<', '>'], "")
        .replace("rustnet_main::", "")
        .replace("stack::", "")
}

fn table() -> impl Iterator<Item = Step> {
    include_str!("path.txt").lines().filter_map(|line| {
        let line = line.split('#').next()?.trim();
        let mut fields = line.split('|').map(|f| f.trim().to_string());
        let way = match fields.next()?.as_str() {
            "down" => Way::Down,
            "up" => Way::Up,
            _ => return None,
        };
        let matcher = fields.next()?;
        let name = matcher.clone();
        let (twin, who) = (fields.next()?, fields.next()?);
        Some(Step {
            way,
            matcher,
            twin,
            who,
            symbols: Vec::new(),
            name,
        })
    })
}

#[cfg(test)]
#[allow(non_snake_case)]
mod tests {
    use super::*;

    #[test]
    fn table__every_line_is_a_step() {
        let lines = include_str!("path.txt").lines();
        let count = lines
            .filter(|l| !l.trim().is_empty() && !l.starts_with('#'))
            .count();
        assert_eq!(table().count(), count);
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
    fn matches__colon_ends_the_name() {
        assert!(matches("a::Sock>::transmit", "Sock>::transmit:"));
        assert!(!matches("a::Sock>::transmit_again", "Sock>::transmit:"));
        assert!(!matches("a::xmit::{closure#0}", "xmit"));
    }
}
