//! Counts the instructions of one message's way through the whole daemon: `scripts/instructions`.
//!
//! The daemon that ships runs under callgrind, between a broker and a backend that are not real and
//! do the same each time: the broker hands out as many messages as the window holds, the backend
//! waits for all requests before it answers any, the broker for all acks before it goes on. A run of
//! many messages less one of few leaves what messages cost, without start and end. What else the
//! machine does makes no difference, so a regression shows where no time can be measured.

#![expect(unreachable_pub, reason = "one program: everything is for the modules beside it")]

mod amqp;
mod arguments;
mod backend;
mod broker;
mod callgrind;
mod case;
mod daemon;
mod profile;
mod recorded;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use arguments::{Arguments, Wish};
use backend::Backend;
use broker::Broker;
use callgrind::{ALLOCATOR, Costs};
use case::Case;
use daemon::Daemon;
use recorded::{Figures, Records, Verdict};

/// Messages of the shorter run, after which nothing is new to the daemon, and how many more the
/// other has. Every window is a part of both.
const WARM: u32 = 500;
const COUNTED: u32 = 1000;

fn main() -> ExitCode {
    let arguments = match Arguments::read(std::env::args().skip(1)) {
        Ok(Some(arguments)) => arguments,
        Ok(None) => {
            // All benches, or all tests, of the package are being run.
            writeln!(io::stdout(), "instructions are counted by scripts/instructions").ok();
            return ExitCode::SUCCESS;
        }
        Err(text) => {
            writeln!(io::stderr(), "instructions: {text}").ok();
            return ExitCode::from(64);
        }
    };
    match run(&arguments) {
        Ok(code) => code,
        Err(error) => {
            writeln!(io::stderr(), "instructions: {error}").ok();
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> io::Result<ExitCode> {
    let program = arguments.daemon.canonicalize()?;
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/instructions/recorded.toml");
    let records = match arguments.wish {
        // What is written anew may be spoilt.
        Wish::Record => Records::read(&file).unwrap_or_default(),
        Wish::Tell | Wish::Check | Wish::Profile => Records::read(&file)?,
    };
    let tools = recorded::tools();
    let mut counted = Records { made_with: tools, ..Records::default() };
    let mut verdicts = Vec::new();
    let mut out = io::stdout();
    for case in arguments.cases() {
        let costs = costs(&program, case)?;
        let figures = Figures::of_one(
            costs.instructions(),
            costs.system_calls(),
            costs.count(&ALLOCATOR),
            COUNTED,
        );
        counted.case.insert(case.name.to_owned(), figures);
        verdicts.extend(tell(&mut out, case, figures, records.case.get(case.name))?);
        if arguments.wish == Wish::Profile {
            profile::print(&mut out, &costs, COUNTED)?;
        }
    }
    if arguments.wish == Wish::Record {
        counted.write(&file)?;
        return Ok(ExitCode::SUCCESS);
    }
    judge(&mut out, &verdicts, &records, &counted, arguments.wish)
}

/// What the messages of a long run cost beyond those of a short one.
fn costs(program: &Path, case: &Case) -> io::Result<Costs> {
    let short = run_through(program, case, WARM)?;
    Ok(run_through(program, case, WARM + COUNTED)?.beyond(&short))
}

/// One life of the daemon, in which it is handed so many messages.
fn run_through(program: &Path, case: &Case, messages: u32) -> io::Result<Costs> {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("instructions").join(case.name);
    let (broker, backend) = (Broker::listen()?, Backend::listen()?);
    let agent = case.agent(broker.address(), backend.address());
    let daemon = Daemon::start(program, &folder, &agent)?;
    let said = |error: io::Error| {
        let text = format!("{}: {error}; see {}", case.name, folder.join("daemon.log").display());
        io::Error::new(error.kind(), text)
    };
    let mut consumer = broker.consumer().map_err(said)?;
    let message = case.message();
    for _ in 0..messages / case.window {
        consumer.deliver(&message, case.window).map_err(said)?;
        let requests = backend.requests(case.window).map_err(said)?;
        let reply = || backend::reply(requests, case.status);
        if case.window == 1 { reply() } else { daemon.while_stopped(reply) }.map_err(said)?;
        consumer.await_settlements().map_err(said)?;
    }
    daemon.ask_to_end().map_err(said)?;
    consumer.farewell().map_err(said)?;
    Costs::read(&daemon.counts().map_err(said)?, &program.to_string_lossy())
}

/// Writes a line for each figure, and says how each stands to its record.
fn tell(
    out: &mut impl Write,
    case: &Case,
    figures: Figures,
    recorded: Option<&Figures>,
) -> io::Result<Vec<Verdict>> {
    let mut verdicts = Vec::new();
    let records = recorded.map(|figures| figures.each().map(|(_, record)| record));
    for (index, (what, figure)) in figures.each().into_iter().enumerate() {
        let record = records.map(|records| records[index]);
        let verdict = recorded::verdict(figure, record);
        let name = if index == 0 { case.name } else { "" };
        let change = record.map(|record| (figure / record - 1.0) * 100.0);
        let change = change.map(|change| format!("{change:+.1} %")).unwrap_or_default();
        writeln!(out, "{name:<14} {figure:>9} {what:<12} {change:>8}{verdict}")?;
        verdicts.push(verdict);
    }
    Ok(verdicts)
}

/// Says what to do, if anything. Only a check fails.
fn judge(
    out: &mut impl Write,
    verdicts: &[Verdict],
    records: &Records,
    counted: &Records,
    wish: Wish,
) -> io::Result<ExitCode> {
    let is = |verdict| verdicts.contains(&verdict);
    let text = if is(Verdict::Above) {
        "A message costs more than it should; `scripts/instructions --profile CASE` tells where it goes."
    } else if is(Verdict::Unknown) {
        "Not everything is recorded."
    } else if is(Verdict::Below) {
        "A message costs less than it did: worth recording, so that it stays so."
    } else {
        return Ok(ExitCode::SUCCESS);
    };
    writeln!(
        out,
        "\n{text}\nIf this is as it should be: `scripts/instructions --record`, and commit its file."
    )?;
    if !records.made_with.is_empty() && records.made_with != counted.made_with {
        let (then, now) = (&records.made_with, &counted.made_with);
        writeln!(out, "The tools may be why: recorded with {then}, counted with {now}.")?;
    }
    let fails = wish == Wish::Check && (is(Verdict::Above) || is(Verdict::Unknown));
    Ok(if fails { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
