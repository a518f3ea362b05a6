// SPDX-License-Identifier: GPL-2.0
//! Characters of a script, with their line: blanks, comments, words, numbers, strings.
//!
//! What a character means depends on where it stands (`.5` is a time here, flags and an ACE value
//! there), so the parser asks for the kind of token that it expects; there is no token list.

use std::collections::HashMap;

use anyhow::bail;
use anyhow::Result;

/// A place in a script's text.
#[derive(Clone, Debug)]
pub struct Scanner<'a> {
    text: &'a str,
    at: usize,
    /// `-D NAME=value`: the word NAME reads as `value`.
    defines: &'a HashMap<String, String>,
}

/// Whether a word may contain this character.
fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

impl<'a> Scanner<'a> {
    /// Starts at the beginning.
    pub fn new(text: &'a str, defines: &'a HashMap<String, String>) -> Self {
        Scanner {
            text,
            at: 0,
            defines,
        }
    }

    /// What has not been read.
    pub fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// The line of the next character, from 1.
    pub fn line(&self) -> usize {
        1 + self.text[..self.at].matches('\n').count()
    }

    /// Skips blanks and comments.
    pub fn blanks(&mut self) -> Result<()> {
        loop {
            let rest = self.rest();
            let trimmed = rest.trim_start();
            self.at += rest.len() - trimmed.len();
            if trimmed.starts_with("//") {
                self.at += trimmed.find('\n').unwrap_or(trimmed.len());
            } else if trimmed.starts_with("/*") {
                match trimmed.find("*/") {
                    Some(n) => self.at += n + 2,
                    None => bail!("the comment has no end"),
                }
            } else {
                return Ok(());
            }
        }
    }

    /// The next character that is neither blank nor comment, without reading it.
    pub fn peek(&mut self) -> Result<Option<char>> {
        self.blanks()?;
        Ok(self.rest().chars().next())
    }

    /// Reads `what` if it comes next.
    pub fn eat(&mut self, what: &str) -> Result<bool> {
        self.blanks()?;
        let found = self.rest().starts_with(what);
        if found {
            self.at += what.len();
        }
        Ok(found)
    }

    /// Requires `what` to come next.
    pub fn expect(&mut self, what: &str) -> Result<()> {
        if self.eat(what)? {
            return Ok(());
        }
        bail!("`{what}` expected before {}", self.here())
    }

    /// What comes next, for a message.
    pub fn here(&self) -> String {
        match self.rest().lines().next() {
            Some(line) if !line.is_empty() => {
                format!("`{}`", line.chars().take(40).collect::<String>())
            }
            _ => "the end of the line".to_string(),
        }
    }

    /// Reads characters while they satisfy `accept`.
    pub fn run(&mut self, accept: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|c| !accept(c)).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    /// The word that comes next, without reading it; empty if none does.
    pub fn peek_word(&mut self) -> Result<&'a str> {
        self.blanks()?;
        let mut ahead = self.clone();
        Ok(ahead.run(is_word))
    }

    /// Reads a word, and says what it stands for.
    pub fn word(&mut self) -> Result<String> {
        self.blanks()?;
        let word = self.run(is_word);
        if word.is_empty() {
            bail!("a word expected before {}", self.here());
        }
        Ok(self.defines.get(word).cloned().unwrap_or(word.to_string()))
    }

    /// Reads a word if it is `what`.
    pub fn eat_word(&mut self, what: &str) -> Result<bool> {
        let found = self.peek_word()? == what;
        if found {
            self.at += what.len();
        }
        Ok(found)
    }

    /// Reads a decimal number of at most `max`.
    pub fn number(&mut self, max: u64) -> Result<u64> {
        self.blanks()?;
        let here = self.here();
        let digits = self.run(|c| c.is_ascii_digit());
        match digits.parse::<u64>() {
            Ok(n) if n <= max => Ok(n),
            Ok(n) => bail!("{n} is greater than {max}"),
            Err(_) => bail!("a number expected before {here}"),
        }
    }

    /// Reads an integer as C writes it: decimal or hexadecimal, with or without a sign.
    pub fn integer(&mut self) -> Result<i64> {
        self.blanks()?;
        let here = self.here();
        let negative = self.eat("-")?;
        let digits = self.run(|c| c.is_ascii_alphanumeric());
        let value = match digits.strip_prefix("0x") {
            Some(hex) => u64::from_str_radix(hex, 16).map(|v| v as i64),
            None => digits.parse::<i64>(),
        };
        match value {
            Ok(v) if negative => Ok(v.wrapping_neg()),
            Ok(v) => Ok(v),
            Err(_) => bail!("an integer expected before {here}"),
        }
    }

    /// Reads seconds, as `0.25` or `.25`, and gives microseconds.
    pub fn seconds(&mut self) -> Result<i64> {
        self.blanks()?;
        let here = self.here();
        let whole = self.run(|c| c.is_ascii_digit());
        let mut fraction = "";
        // Three dots are not part of a number.
        if self.rest().starts_with('.') && !self.rest().starts_with("...") {
            self.at += 1;
            fraction = self.run(|c| c.is_ascii_digit());
        }
        if whole.is_empty() && fraction.is_empty() {
            bail!("a time expected before {here}");
        }
        let whole: i64 = if whole.is_empty() { 0 } else { whole.parse()? };
        let micros: i64 = format!("{fraction:0<6.6}").parse()?;
        match whole
            .checked_mul(1_000_000)
            .and_then(|w| w.checked_add(micros))
        {
            Some(t) => Ok(t),
            None => bail!("{whole} s is too long"),
        }
    }

    /// Reads up to and over `end`.
    pub fn until(&mut self, end: &str) -> Result<&'a str> {
        let rest = self.rest();
        match rest.find(end) {
            Some(n) => {
                self.at += n + end.len();
                Ok(&rest[..n])
            }
            None => bail!("`{end}` is missing"),
        }
    }

    /// Reads the inside of a string whose opening quote has been read.
    pub fn string(&mut self) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        loop {
            let rest = self.rest();
            let mut chars = rest.chars();
            match chars.next() {
                None => bail!("the string has no end"),
                Some('"') => {
                    self.at += 1;
                    return Ok(out);
                }
                Some('\\') => {
                    let (byte, len) = match chars.next() {
                        Some('n') => (b'\n', 2),
                        Some('t') => (b'\t', 2),
                        Some('0') => (0, 2),
                        Some('x') => {
                            let hex = rest.get(2..4).unwrap_or("");
                            match u8::from_str_radix(hex, 16) {
                                Ok(b) => (b, 4),
                                Err(_) => bail!("`\\x{hex}` in a string"),
                            }
                        }
                        Some(c) if c.is_ascii() => (c as u8, 2),
                        _ => bail!("a backslash at the end of a string"),
                    };
                    out.push(byte);
                    self.at += len;
                }
                Some(c) => {
                    out.extend_from_slice(c.to_string().as_bytes());
                    self.at += c.len_utf8();
                }
            }
        }
    }
}
