// SPDX-License-Identifier: GPL-2.0
//! The grammar: from text to [`Script`].

use std::collections::HashMap;

use anyhow::bail;
use anyhow::Context;
use anyhow::Result;

use super::scanner::Scanner;
use super::Call;
use super::Event;
use super::Expr;
use super::Field;
use super::Script;
use super::Time;
use super::What;
use crate::packet::notation;

/// Reads a script. `defines` are the `-D NAME=value` of the command line.
///
/// # Errors
///
/// Says the line and what was expected there.
pub fn parse(text: &str, defines: &HashMap<String, String>) -> Result<Script> {
    let mut s = Scanner::new(text, defines);
    let script = parse_script(&mut s);
    script.with_context(|| format!("line {}", s.line()))
}

fn parse_script(s: &mut Scanner<'_>) -> Result<Script> {
    let mut script = Script::default();
    while s.eat("--")? {
        let name = s.run(|c| c.is_ascii_alphanumeric() || c == '_');
        let value = if s.rest().starts_with('=') {
            s.expect("=")?;
            Some(s.run(|c| !c.is_whitespace()).to_string())
        } else {
            None
        };
        script.options.push((name.to_string(), value));
    }
    if s.eat("`")? {
        script.init = Some(s.until("`")?.to_string());
    }
    while let Some(c) = s.peek()? {
        if c == '`' {
            s.expect("`")?;
            script.cleanup = Some(s.until("`")?.to_string());
            if s.peek()?.is_some() {
                bail!("a command without a time may only be first or last");
            }
            break;
        }
        script.events.push(event(s)?);
    }
    if script.events.is_empty() {
        bail!("the script has no events");
    }
    Ok(script)
}

fn event(s: &mut Scanner<'_>) -> Result<Event> {
    let line = {
        s.blanks()?;
        s.line()
    };
    let (time, end) = time(s)?;
    let what = match s.peek()? {
        Some('<') => {
            s.expect("<")?;
            What::Inject(notation::packet(s)?)
        }
        Some('>') => {
            s.expect(">")?;
            What::Expect(notation::packet(s)?)
        }
        Some('`') => {
            s.expect("`")?;
            What::Command(s.until("`")?.to_string())
        }
        Some('%') => {
            s.expect("%{")?;
            What::Code(s.until("}%")?.trim().to_string())
        }
        Some(c) if c.is_ascii_alphabetic() => What::Call(call(s, end)?),
        _ => bail!("an event expected before {}", s.here()),
    };
    match (&what, time, end) {
        (What::Call(_), _, _) | (_, _, None) => {}
        _ => bail!("only a system call can have a time `...`"),
    }
    match (&what, time) {
        (What::Expect(_), _) | (_, Time::Absolute(_) | Time::Relative(_)) => {}
        _ => bail!("only an outbound packet can have a range of times"),
    }
    Ok(Event { line, time, what })
}

/// A time, and the second one of a blocking call.
fn time(s: &mut Scanner<'_>) -> Result<(Time, Option<i64>)> {
    if s.eat("*")? {
        return Ok((Time::Any, None));
    }
    let relative = s.eat("+")?;
    let start = s.seconds()?;
    if s.eat("~")? {
        let second_is_relative = s.eat("+")?;
        let end = s.seconds()?;
        if relative != second_is_relative {
            bail!("both ends of a range of times are relative, or none");
        }
        if end < start {
            bail!("the range of times ends before it begins");
        }
        return Ok(match relative {
            true => (Time::RelativeRange(start, end), None),
            false => (Time::AbsoluteRange(start, end), None),
        });
    }
    let end = match s.eat("...")? {
        true => Some(s.seconds()?),
        false => None,
    };
    if end.is_some_and(|end| end < start) {
        bail!("the call returns before it begins");
    }
    Ok(match relative {
        true => (Time::Relative(start), end),
        false => (Time::Absolute(start), end),
    })
}

fn call(s: &mut Scanner<'_>, end: Option<i64>) -> Result<Call> {
    let name = s.word()?;
    s.expect("(")?;
    let mut args = Vec::new();
    if !s.eat(")")? {
        loop {
            args.push(expr(s)?);
            if s.eat(")")? {
                break;
            }
            s.expect(",")?;
        }
    }
    s.expect("=")?;
    let result = match s.eat("?")? {
        true => None,
        false => Some(expr(s)?),
    };
    let errno = match s.peek()? {
        Some(c) if c.is_ascii_uppercase() => Some(s.word()?),
        _ => None,
    };
    if s.eat("(")? {
        s.until(")")?;
    }
    Ok(Call {
        name,
        args,
        end,
        result,
        errno,
    })
}

/// An argument, or a result.
pub fn expr(s: &mut Scanner<'_>) -> Result<Expr> {
    let first = term(s)?;
    let mut all = vec![first];
    while s.eat("|")? {
        all.push(term(s)?);
    }
    Ok(match all.len() {
        1 => all.remove(0),
        _ => Expr::Or(all),
    })
}

fn term(s: &mut Scanner<'_>) -> Result<Expr> {
    if s.eat("...")? {
        return Ok(Expr::Ellipsis);
    }
    if s.eat("\"")? {
        return Ok(Expr::Str(s.string()?));
    }
    if s.eat("[")? {
        let mut items = Vec::new();
        while !s.eat("]")? {
            items.push(expr(s)?);
            if !s.eat(",")? {
                s.expect("]")?;
                break;
            }
        }
        return Ok(Expr::List(items));
    }
    if s.eat("{")? {
        let mut fields = Vec::new();
        while !s.eat("}")? {
            fields.push(field(s)?);
            if !s.eat(",")? {
                s.expect("}")?;
                break;
            }
        }
        return Ok(Expr::Struct(fields));
    }
    match s.peek()? {
        Some(c) if c.is_ascii_digit() || c == '-' => Ok(Expr::Int(s.integer()?)),
        Some(c) if c.is_ascii_alphabetic() || c == '_' => {
            let word = s.word()?;
            // What a word was defined as may be a number.
            Ok(match word.parse() {
                Ok(n) => Expr::Int(n),
                Err(_) => Expr::Word(word),
            })
        }
        _ => bail!("an argument expected before {}", s.here()),
    }
}

fn field(s: &mut Scanner<'_>) -> Result<Field> {
    let mut ahead = s.clone();
    if ahead.peek()?.is_some_and(|c| c.is_ascii_alphabetic()) {
        let name = ahead.word()?;
        let mut arg = None;
        if ahead.eat("(")? {
            arg = Some(expr(&mut ahead)?);
            ahead.expect(")")?;
        }
        if ahead.eat("=")? {
            *s = ahead;
            return Ok(Field {
                name: Some(name),
                arg,
                value: expr(s)?,
            });
        }
    }
    Ok(Field {
        name: None,
        arg: None,
        value: expr(s)?,
    })
}

#[cfg(test)]
mod tests;
