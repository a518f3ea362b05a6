// SPDX-License-Identifier: GPL-2.0
//! The part of Python that scripts use: `assert COND, MESSAGE` and `NAME = VALUE`, separated by newlines
//! or semicolons; integers, names, strings and their formatting; arithmetic, comparisons and their
//! chains, `and`, `or`, `not`.

use std::fmt;
use std::fmt::Display;

use anyhow::bail;
use anyhow::Result;

use super::info::Names;

/// What an expression yields.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Value {
    Int(i64),
    Str(String),
    Tuple(Vec<Value>),
}

impl Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Int(n) => n.fmt(f),
            Value::Str(s) => s.fmt(f),
            Value::Tuple(items) => {
                let items: Vec<_> = items.iter().map(Value::to_string).collect();
                write!(f, "({})", items.join(", "))
            }
        }
    }
}

impl Value {
    fn truth(&self) -> bool {
        match self {
            Value::Int(n) => *n != 0,
            Value::Str(s) => !s.is_empty(),
            Value::Tuple(items) => !items.is_empty(),
        }
    }

    fn int(&self) -> Result<i64> {
        match self {
            Value::Int(n) => Ok(*n),
            other => bail!("{other} is no integer"),
        }
    }
}

/// A token of a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Int(i64),
    Name(String),
    Str(String),
    Op(&'static str),
    End,
}

/// Operators, the longer ones first.
const OPERATORS: [&str; 24] = [
    "==", "!=", "<=", ">=", "<<", ">>", "//", "**", "<", ">", "+", "-", "*", "/", "%", "&", "|",
    "^", "~", "(", ")", ",", "=", ":",
];

/// Splits a block into tokens; statements end with [`Token::End`].
fn tokens(text: &str) -> Result<Vec<Token>> {
    let mut out = Vec::new();
    let mut depth = 0usize;
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if c == '\\' && rest[1..].lines().next().is_none_or(|l| l.trim().is_empty()) {
            // The line goes on in the next one, if there is one.
            rest = &rest[rest.find('\n').map_or(rest.len(), |end| end + 1)..];
        } else if c == '\n' || c == ';' {
            if depth == 0 {
                out.push(Token::End);
            }
            rest = &rest[1..];
        } else if c == '#' {
            rest = &rest[rest.find('\n').unwrap_or(rest.len())..];
        } else if c.is_whitespace() {
            rest = &rest[c.len_utf8()..];
        } else if c.is_ascii_digit() {
            let end = rest
                .find(|c: char| !c.is_ascii_alphanumeric())
                .unwrap_or(rest.len());
            let word = &rest[..end];
            let value = match word.strip_prefix("0x") {
                Some(hex) => i64::from_str_radix(hex, 16),
                None => word.parse(),
            };
            match value {
                Ok(n) => out.push(Token::Int(n)),
                Err(_) => bail!("`{word}` is no integer"),
            }
            rest = &rest[end..];
        } else if c.is_ascii_alphabetic() || c == '_' {
            let end = rest
                .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                .unwrap_or(rest.len());
            out.push(Token::Name(rest[..end].to_string()));
            rest = &rest[end..];
        } else if c == '"' || c == '\'' {
            let Some(len) = rest[1..].find(c) else {
                bail!("a string has no end");
            };
            out.push(Token::Str(rest[1..1 + len].to_string()));
            rest = &rest[len + 2..];
        } else if let Some(op) = OPERATORS.iter().find(|op| rest.starts_with(**op)) {
            match *op {
                "(" => depth += 1,
                ")" => depth = depth.saturating_sub(1),
                _ => {}
            }
            out.push(Token::Op(op));
            rest = &rest[op.len()..];
        } else {
            bail!("`{c}` means nothing here");
        }
    }
    out.push(Token::End);
    Ok(out)
}

/// Runs a block. Names that it assigns are added to `names`.
///
/// # Errors
///
/// A failed assertion, with its message; an unknown name; anything that is not in the subset.
pub fn run(text: &str, names: &mut Names) -> Result<()> {
    let tokens = tokens(text)?;
    for statement in tokens.split(|t| *t == Token::End) {
        if !statement.is_empty() {
            run_statement(statement, names)?;
        }
    }
    Ok(())
}

/// Whether [`run`] can run the block, whatever its names stand for.
pub fn check(text: &str) -> Result<()> {
    let tokens = tokens(text)?;
    for statement in tokens.split(|t| *t == Token::End) {
        if statement.is_empty() {
            continue;
        }
        let mut p = Parser {
            tokens: statement,
            at: 0,
            names: None,
        };
        p.statement()?;
    }
    Ok(())
}

fn run_statement(statement: &[Token], names: &mut Names) -> Result<()> {
    let mut p = Parser {
        tokens: statement,
        at: 0,
        names: Some(names),
    };
    match p.statement()? {
        Done::Assigned(name, value) => {
            names.insert(name, value);
        }
        Done::Asserted(true, _) => {}
        Done::Asserted(false, message) => match message {
            Some(m) => bail!("assertion failed: {m}"),
            None => bail!("assertion failed"),
        },
    }
    Ok(())
}

/// What a statement has done.
enum Done {
    Asserted(bool, Option<String>),
    Assigned(String, i64),
}

/// Parses and evaluates at once, by recursive descent; without `names` every name is 1.
struct Parser<'a> {
    tokens: &'a [Token],
    at: usize,
    names: Option<&'a Names>,
}

impl Parser<'_> {
    fn peek(&self) -> &Token {
        self.tokens.get(self.at).unwrap_or(&Token::End)
    }

    fn next(&mut self) -> Token {
        let token = self.peek().clone();
        self.at += 1;
        token
    }

    /// Reads one of these operators.
    fn op(&mut self, ops: &[&'static str]) -> Option<&'static str> {
        match self.peek() {
            Token::Op(op) if ops.contains(op) => {
                let op = *op;
                self.at += 1;
                Some(op)
            }
            _ => None,
        }
    }

    fn keyword(&mut self, word: &str) -> bool {
        let found = matches!(self.peek(), Token::Name(n) if n == word);
        self.at += usize::from(found);
        found
    }

    fn statement(&mut self) -> Result<Done> {
        if self.keyword("assert") {
            let condition = self.or()?.truth();
            let message = match self.op(&[","]) {
                Some(_) => Some(self.or()?.to_string()),
                None => None,
            };
            self.end()?;
            return Ok(Done::Asserted(condition, message));
        }
        let Token::Name(name) = self.next() else {
            bail!("a statement begins with a name");
        };
        if self.op(&["="]).is_none() {
            bail!("`{name}`: only assertions and assignments are known");
        }
        let value = self.or()?.int()?;
        self.end()?;
        Ok(Done::Assigned(name, value))
    }

    fn end(&self) -> Result<()> {
        match self.peek() {
            Token::End => Ok(()),
            token => bail!("{token:?} after the end of a statement"),
        }
    }

    fn or(&mut self) -> Result<Value> {
        let mut value = self.and()?;
        while self.keyword("or") {
            let right = self.and()?;
            if !value.truth() {
                value = right;
            }
        }
        Ok(value)
    }

    fn and(&mut self) -> Result<Value> {
        let mut value = self.not()?;
        while self.keyword("and") {
            let right = self.not()?;
            if value.truth() {
                value = right;
            }
        }
        Ok(value)
    }

    fn not(&mut self) -> Result<Value> {
        if self.keyword("not") {
            return Ok(Value::Int((!self.not()?.truth()).into()));
        }
        self.comparison()
    }

    /// `a <= b <= c` means both.
    fn comparison(&mut self) -> Result<Value> {
        let mut left = self.arithmetic(0)?;
        let mut all = None;
        while let Some(op) = self.op(&["==", "!=", "<=", ">=", "<", ">"]) {
            let right = self.arithmetic(0)?;
            let holds = match op {
                "==" => left == right,
                "!=" => left != right,
                _ => {
                    let (a, b) = (left.int()?, right.int()?);
                    match op {
                        "<=" => a <= b,
                        ">=" => a >= b,
                        "<" => a < b,
                        _ => a > b,
                    }
                }
            };
            all = Some(all.unwrap_or(true) && holds);
            left = right;
        }
        Ok(match all {
            Some(holds) => Value::Int(holds.into()),
            None => left,
        })
    }

    fn arithmetic(&mut self, level: usize) -> Result<Value> {
        /// Binary operators, those that bind least first.
        const LEVELS: [&[&str]; 6] = [
            &["|"],
            &["^"],
            &["&"],
            &["<<", ">>"],
            &["+", "-"],
            &["*", "/", "//", "%"],
        ];
        let Some(ops) = LEVELS.get(level) else {
            return self.unary();
        };
        let mut left = self.arithmetic(level + 1)?;
        while let Some(op) = self.op(ops) {
            let right = self.arithmetic(level + 1)?;
            left = binary(op, left, right)?;
        }
        Ok(left)
    }

    fn unary(&mut self) -> Result<Value> {
        match self.op(&["-", "+", "~"]) {
            Some("-") => Ok(Value::Int(self.unary()?.int()?.wrapping_neg())),
            Some("~") => Ok(Value::Int(!self.unary()?.int()?)),
            Some(_) => self.unary(),
            None => self.atom(),
        }
    }

    fn atom(&mut self) -> Result<Value> {
        match self.next() {
            Token::Int(n) => Ok(Value::Int(n)),
            Token::Str(s) => Ok(Value::Str(s)),
            Token::Name(name) => match self.names {
                None => Ok(Value::Int(1)),
                Some(names) => match names.get(&name) {
                    Some(value) => Ok(Value::Int(*value)),
                    None => bail!("`{name}` has no value"),
                },
            },
            Token::Op("(") => {
                let first = self.or()?;
                if self.op(&[")"]).is_some() {
                    return Ok(first);
                }
                let mut items = vec![first];
                while self.op(&[")"]).is_none() {
                    if self.op(&[","]).is_none() {
                        bail!("`)` is missing");
                    }
                    if !matches!(self.peek(), Token::Op(")")) {
                        items.push(self.or()?);
                    }
                }
                Ok(Value::Tuple(items))
            }
            token => bail!("a value expected instead of {token:?}"),
        }
    }
}

fn binary(op: &str, left: Value, right: Value) -> Result<Value> {
    if let (Value::Str(format), "%") = (&left, op) {
        return Ok(Value::Str(formatted(format, right)?));
    }
    let (a, b) = (left.int()?, right.int()?);
    let value = match op {
        "|" => Some(a | b),
        "^" => Some(a ^ b),
        "&" => Some(a & b),
        "<<" => u32::try_from(b).ok().and_then(|b| a.checked_shl(b)),
        ">>" => u32::try_from(b).ok().and_then(|b| a.checked_shr(b)),
        "+" => a.checked_add(b),
        "-" => a.checked_sub(b),
        "*" => a.checked_mul(b),
        "//" => a.checked_div_euclid(b),
        "%" => a.checked_rem_euclid(b),
        // Python's is a fraction.
        "/" if b != 0 && a % b == 0 => a.checked_div(b),
        "/" => bail!("{a} / {b} is no integer"),
        _ => None,
    };
    match value {
        Some(n) => Ok(Value::Int(n)),
        None => bail!("{a} {op} {b} has no value"),
    }
}

/// `'cwnd=%d' % value`.
fn formatted(format: &str, value: Value) -> Result<String> {
    let mut values = match value {
        Value::Tuple(items) => items.into_iter(),
        one => vec![one].into_iter(),
    };
    let mut out = String::new();
    let mut rest = format;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        let spec = rest[at + 1..].trim_start_matches(|c: char| c.is_ascii_digit() || c == '-');
        let Some(kind) = spec.chars().next() else {
            bail!("a lone `%` in {format:?}");
        };
        if kind == '%' {
            out.push('%');
        } else {
            let Some(value) = values.next() else {
                bail!("too few values for {format:?}");
            };
            match kind {
                'd' | 'i' | 'u' | 's' | 'r' => out.push_str(&value.to_string()),
                'x' => out.push_str(&format!("{:x}", value.int()?)),
                other => bail!("`%{other}` is not known"),
            }
        }
        rest = &spec[kind.len_utf8()..];
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run_with(text: &str) -> Result<(), String> {
        let mut names = Names::from([("x".to_string(), 12), ("flags".to_string(), 6)]);
        run(text, &mut names).map_err(|e| e.to_string())
    }

    #[test]
    fn run__assertions() {
        assert_eq!(run_with("assert x == 12, x"), Ok(()));
        assert_eq!(run_with("assert 10 <= x <= 12 and x != 11"), Ok(()));
        assert_eq!(
            run_with("assert (flags & 2) != 0, flags; assert not x < 3"),
            Ok(())
        );
        assert_eq!(
            run_with("assert x == 1460 // 100 - 2 # a comment\nassert x"),
            Ok(())
        );
        assert_eq!(run_with("assert x == \\\n 12;\\"), Ok(()));
        assert_eq!(run_with("y = 0x7fffffff\nassert y > x"), Ok(()));
    }

    #[test]
    fn run__failed_assertion_tells_its_message() {
        let failed = |m: &str| Err(format!("assertion failed: {m}"));
        assert_eq!(run_with("assert x == 11, x"), failed("12"));
        assert_eq!(
            run_with("assert 1 <= x <= 11, 'x=%d us' % x"),
            failed("x=12 us")
        );
        assert_eq!(
            run_with("assert 0, '%d of %d' % (x, flags)"),
            failed("12 of 6")
        );
    }

    #[test]
    fn run__what_is_not_known_is_an_error() {
        assert!(run_with("assert y == 1")
            .unwrap_err()
            .contains("`y` has no value"));
        assert!(run_with("import os")
            .unwrap_err()
            .contains("only assertions"));
        assert!(run_with("assert x / 5 == 2").is_err());
        assert!(run_with("assert x ==").is_err());
        assert!(run_with("assert (x").is_err());
    }
}
