// SPDX-License-Identifier: GPL-2.0

use super::*;
use crate::script::What;

fn parsed(text: &str) -> Result<Script, String> {
    parse(text, &HashMap::new()).map_err(|e| format!("{e:#}"))
}

fn events(text: &str) -> Vec<Event> {
    parsed(text).unwrap().events
}

#[test]
fn parse__the_parts_of_a_script() {
    let script = parsed(
        "// A comment.\n--mss=1000 // more\n--send_omit_free\n`./defaults.sh\n x`\n\
         /* A long\n comment */ 0 close(3) = 0\n+.1 `true`\n`cleanup`\n",
    )
    .unwrap();
    let mss = Some("1000".to_string());
    assert_eq!(
        script.options,
        [
            ("mss".to_string(), mss),
            ("send_omit_free".to_string(), None)
        ]
    );
    assert_eq!(script.init.as_deref(), Some("./defaults.sh\n x"));
    assert_eq!(script.cleanup.as_deref(), Some("cleanup"));
    assert_eq!(script.events.len(), 2);
    assert_eq!(script.events[0].line, 7);
    assert_eq!(script.events[1].what, What::Command("true".to_string()));
}

#[test]
fn parse__forms_of_times() {
    let packet = "> . 1:1(0) ack 1";
    let all = events(&format!(
        "0.5 {packet} +.000001 {packet} +0~+.2 {packet} 1 ~ 2.25 {packet} * {packet}"
    ));
    let times: Vec<_> = all.iter().map(|e| e.time).collect();
    assert_eq!(
        times,
        [
            Time::Absolute(500_000),
            Time::Relative(1),
            Time::RelativeRange(0, 200_000),
            Time::AbsoluteRange(1_000_000, 2_250_000),
            Time::Any,
        ]
    );
}

#[test]
fn parse__blocking_call() {
    let all = events("+.002 ... 0.052 connect(4, ..., ...) = 0");
    let What::Call(call) = &all[0].what else {
        panic!("{all:?}");
    };
    assert_eq!(call.end, Some(52_000));
    assert_eq!(all[0].time, Time::Relative(2_000));
    assert_eq!(call.args, [Expr::Int(4), Expr::Ellipsis, Expr::Ellipsis]);
}

#[test]
fn parse__arguments_and_results() {
    let all = events(
        r#"0 f("\xa1b", [A | B], {x=1, y(2)=[3]}, {..., 40}, NULL, -1) = -1 EAGAIN (Try again)
           +0 fcntl(3, F_GETFL) = 0x2 (flags O_RDWR)
           +0 g() = -1 (whatever)"#,
    );
    let calls: Vec<_> = all
        .iter()
        .filter_map(|e| match &e.what {
            What::Call(call) => Some(call),
            _ => None,
        })
        .collect();
    let f = calls[0];
    assert_eq!(f.args[0], Expr::Str(vec![0xa1, b'b']));
    let words = ["A", "B"].map(|w| Expr::Word(w.to_string()));
    assert_eq!(f.args[1], Expr::List(vec![Expr::Or(words.to_vec())]));
    assert_eq!(f.args[2].field("x"), Some(&Expr::Int(1)));
    assert_eq!(f.args[2].field("y"), Some(&Expr::List(vec![Expr::Int(3)])));
    assert_eq!(f.result, Some(Expr::Int(-1)));
    assert_eq!(f.errno.as_deref(), Some("EAGAIN"));
    assert_eq!(calls[1].result, Some(Expr::Int(2)));
    assert_eq!(
        (&calls[2].result, &calls[2].errno),
        (&Some(Expr::Int(-1)), &None)
    );
}

#[test]
fn parse__defines_replace_words() {
    let defines = HashMap::from([("COOKIE".to_string(), "00ff".to_string())]);
    let script = parse("0 > S 0:0(0) <FO COOKIE,nop,nop>", &defines).unwrap();
    let What::Expect(packet) = &script.events[0].what else {
        panic!("{script:?}");
    };
    assert_eq!(packet.to_string(), "S 0:0(0) <FO 00ff,nop,nop>");
}

#[test]
fn parse__errors_name_their_line() {
    for (text, line, what) in [
        (
            "0 close(3) = 0\n+0 > S 0:1(0)",
            2,
            "the end is not the start plus the length",
        ),
        ("0 close(3 = 0", 1, "`,` expected"),
        ("\n\n* close(3) = 0", 3, "only an outbound packet"),
        ("0...1 > . 1:1(0)", 1, "only a system call"),
        ("0 > X 1:1(0)", 1, "no TCP flags"),
        ("0 > . 1:1(0) <what 3>", 1, "no TCP option"),
        ("`true`", 1, "no events"),
        (
            "0 close(3) = 0 `a` +1 close(3) = 0",
            1,
            "only be first or last",
        ),
    ] {
        let error = parsed(text).unwrap_err();
        assert!(error.contains(&format!("line {line}")), "{text}: {error}");
        assert!(error.contains(what), "{text}: {error}");
    }
}

/// Where the kernel's source is, its scripts must be understood, all of them.
#[test]
fn parse__scripts_of_the_kernel() {
    let Some(dir) = crate::script::kernel_scripts() else {
        println!("skipped: no kernel source (RUSTNET_KERNEL_SRC)");
        return;
    };
    let defines = crate::settings::defines(&[]).unwrap();
    let mut count = 0;
    for entry in std::fs::read_dir(&dir).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|e| e != "pkt") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let script = parse(&text, &defines).unwrap_or_else(|e| panic!("{path:?}: {e:#}"));
        for event in &script.events {
            if let What::Code(code) = &event.what {
                crate::code::is_simple(code)
                    .unwrap_or_else(|e| panic!("{path:?}:{}: {e:#}", event.line));
            }
        }
        count += 1;
    }
    assert!(count >= 165, "only {count} scripts in {dir:?}");
}
