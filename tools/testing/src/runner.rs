// SPDX-License-Identifier: GPL-2.0
//! Runs the plan in a child process, under a watchdog.
//!
//! A case that hangs in the kernel cannot be stopped from within its own process. So the parent reads
//! what the child reports; when a case overstays, it prints where the child's threads sleep, kills it
//! and starts another child with the rest of the plan.

use std::collections::HashMap;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Write;
use std::panic::AssertUnwindSafe;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::mpsc;
use std::time::Duration;
use std::time::Instant;

use netlab::ktap::Outcome;
use netlab::ktap::Report;
use netlab::lab::Lab;
use netlab::lab::Link;

use crate::case::lay;
use crate::case::Ctx;
use crate::case::Planned;
use crate::sweep;
use crate::Args;

/// What takes longer is worth a remark: the whole run should stay short.
const SLOW: Duration = Duration::from_secs(3);

/// How long a case with --faults may run and run again without a word.
const QUIET: Duration = Duration::from_secs(60);

/// Runs the plan, prints KTAP, and says whether everything held.
pub fn parent(args: &Args, plan: &[Planned]) -> bool {
    let mut report = Report::start(plan.len());
    let mut rest = plan;
    while !rest.is_empty() {
        let done = one_child(args, rest, &mut report);
        rest = &rest[done..];
    }
    report.finish()
}

/// Runs cases in one child until it is through or has to be given up; returns how many are done.
fn one_child(args: &Args, plan: &[Planned], report: &mut Report) -> usize {
    let mut child = spawn(plan);
    let done = watch(&mut child, args, plan, report);
    let _ = child.kill();
    // On a thread: what hangs in the kernel may survive even this signal.
    std::thread::spawn(move || child.wait());
    done
}

/// Reports what the child says, case by case, until one of them overstays or the child dies.
fn watch(child: &mut Child, args: &Args, plan: &[Planned], report: &mut Report) -> usize {
    let (tx, rx) = mpsc::channel();
    let stdout = child.stdout.take().expect("piped");
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if tx.send(line).is_err() {
                return;
            }
        }
    });

    for (i, planned) in plan.iter().enumerate() {
        let mut start = Instant::now();
        let mut told = start;
        // With --faults: which allocation fails just now.
        let mut at = String::new();
        let limit = Duration::from_secs_f64(planned.case.secs as f64 * args.patience);
        let outcome = loop {
            match rx.recv_timeout(limit.saturating_sub(start.elapsed())) {
                Ok(line) if line.starts_with("@at ") => {
                    at = line.replacen("@at", ", failing allocation", 1);
                    // A case is many runs then, of which most say nothing.
                    if told.elapsed() > QUIET {
                        told = Instant::now();
                        println!("# {}{at}", planned.name);
                    }
                    start = Instant::now();
                }
                Ok(line) => match parse(&line, &planned.name) {
                    Some(outcome) => break outcome,
                    None => println!("# {line}"),
                },
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    where_it_hangs(child.id());
                    let why = format!("still running after {} s{at}", limit.as_secs());
                    report.case(&planned.name, &Outcome::Fail(why));
                    return i + 1;
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    let how = child
                        .wait()
                        .map_or_else(|e| e.to_string(), |s| s.to_string());
                    let why = format!("the test process died: {how}{at}");
                    report.case(&planned.name, &Outcome::Fail(why));
                    return i + 1;
                }
            }
        };
        report.case(&planned.name, &outcome);
        let took = start.elapsed();
        if took > SLOW {
            println!("# that took {:.1} s", took.as_secs_f64());
        }
    }
    plan.len()
}

fn spawn(plan: &[Planned]) -> Child {
    let me = std::env::current_exe().expect("/proc is mounted");
    let mut child = Command::new(me)
        .args(std::env::args_os().skip(1))
        .arg("--child")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the test program can run itself");
    let mut names = plan
        .iter()
        .map(|p| p.name.as_str())
        .collect::<Vec<_>>()
        .join("\n");
    names.push('\n');
    let mut stdin = child.stdin.take().expect("piped");
    // On a thread: the list may be longer than the pipe.
    std::thread::spawn(move || stdin.write_all(names.as_bytes()));
    child
}

/// A result line of the child: `@pass NAME`, `@skip NAME<TAB>why`, `@fail NAME<TAB>why`.
fn parse(line: &str, name: &str) -> Option<Outcome> {
    let (verb, rest) = line.strip_prefix('@')?.split_once(' ')?;
    let (who, why) = rest.split_once('\t').unwrap_or((rest, ""));
    if who != name {
        return None;
    }
    let why = why.replace("\\n", "\n");
    Some(match verb {
        "pass" => Outcome::Pass,
        "skip" => Outcome::Skip(why),
        "fail" => Outcome::Fail(why),
        _ => return None,
    })
}

/// Prints, for each thread of a hanging child, the function of the kernel it sleeps in.
fn where_it_hangs(pid: u32) {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task"));
    for task in tasks.into_iter().flatten().flatten() {
        let read = |what: &str| std::fs::read_to_string(task.path().join(what));
        let tid = task.file_name().to_string_lossy().into_owned();
        let syscall = read("syscall").unwrap_or_default();
        println!(
            "# thread {tid}: syscall {}",
            syscall.split(' ').next().unwrap_or("?").trim()
        );
        for line in read("stack").unwrap_or_default().lines() {
            println!("#   {line}");
        }
    }
}

/// Runs the cases that standard input names, in order.
pub fn child(args: &Args, plan: &[Planned]) {
    let by_name: HashMap<&str, &Planned> = plan.iter().map(|p| (p.name.as_str(), p)).collect();
    let mut labs: HashMap<String, Lab> = HashMap::new();
    let mut swept = None;
    for name in std::io::stdin().lines().map_while(Result::ok) {
        let Some(planned) = by_name.get(name.as_str()) else {
            continue;
        };
        let outcome = match args.faults {
            None => once(args, planned, &mut labs),
            Some(which) => Outcome::of(
                sweep::begun(&mut swept, which)
                    .and_then(|swept| sweep::case(args, planned, &mut labs, swept))
                    .map(|said| println!("{said}")),
            ),
        };
        let (verb, why) = match outcome {
            Outcome::Pass => ("pass", String::new()),
            Outcome::Skip(why) => ("skip", why),
            Outcome::Fail(why) => ("fail", why),
        };
        println!("@{verb} {name}\t{}", why.replace('\n', "\\n"));
        let _ = std::io::stdout().flush();
    }
}

/// Runs one case.
pub fn once(args: &Args, planned: &Planned, labs: &mut HashMap<String, Lab>) -> Outcome {
    guarded(|| {
        let ctx = surroundings(args, planned, labs, planned.case.fresh)?;
        (planned.case.run)(&ctx)
    })
}

/// What came of it, a panic too.
pub fn guarded(run: impl FnOnce() -> anyhow::Result<()>) -> Outcome {
    match std::panic::catch_unwind(AssertUnwindSafe(run)) {
        Ok(result) => Outcome::of(result),
        Err(panic) => Outcome::Fail(format!("panicked: {}", words(&*panic))),
    }
}

fn words(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|s| s.to_string()))
        .unwrap_or_default()
}

/// The ends of a case, new ones if they shall be `fresh`.
pub fn surroundings(
    args: &Args,
    planned: &Planned,
    labs: &mut HashMap<String, Lab>,
    fresh: bool,
) -> anyhow::Result<Ctx> {
    // Only the mode makes one pair's namespaces differ from another's.
    let pair = if args.mode == "coexist" {
        String::new()
    } else {
        format!("{}{}", planned.client, planned.server)
    };
    let key = format!("{}{pair}", planned.link);
    let lab = match labs.get(&key).filter(|_| !fresh) {
        Some(lab) => lab.clone(),
        None => {
            // There is but one pair of cards.
            if planned.link == Link::Nic {
                labs.retain(|_, lab| lab.link != Link::Nic);
            }
            let lab = lay(planned, args)?;
            if !fresh {
                labs.insert(key, lab.clone());
            }
            lab
        }
    };
    let (client, server) = (planned.client, planned.server);
    Ok(Ctx {
        lab,
        client,
        server,
        args: args.clone(),
    })
}
