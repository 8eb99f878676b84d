//! The bench of the whole way: from a queue of a real RabbitMQ to an HTTP backend.
//!
//! `scripts/bench` builds everything, starts a broker and calls this. `benches/README.md` says
//! what each scenario measures and how to read it. This program is also what takes part beside
//! the daemon: it starts itself as the backend (`sink`) and as the loops, each in a process of
//! its own.

#![expect(unreachable_pub, reason = "one program: everything is for the modules beside it")]
#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "figures, far from where that matters"
)]

mod acks;
mod amqp;
mod arguments;
mod broker;
mod chart;
mod children;
mod clock;
mod contestant;
mod daemon;
mod fleet;
mod floor;
mod load;
mod loops;
mod measure;
mod progress;
mod receipts;
mod report;
mod round;
mod scenario;
mod sink;
mod stats;
mod table;

use std::env;
use std::error::Error;
use std::fs;
use std::io::{Write, stderr, stdout};
use std::process::ExitCode;

use clap::Parser;
use serde_json::{Value, json};

use arguments::Options;
use broker::Broker;
use contestant::Job;
use scenario::{Ground, LOOPS};

/// Whatever went wrong, in words.
pub type Failure = Box<dyn Error + Send + Sync>;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let done = match arguments.split_first() {
        Some((role, rest)) if role == "sink" => serve(rest).map(|()| true),
        Some((role, rest)) if LOOPS.contains(&role.as_str()) => forward(role, rest).map(|()| true),
        _ => measure_all(&Options::parse()),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            writeln!(stderr(), "forward: {error}").ok();
            ExitCode::FAILURE
        }
    }
}

fn forward(role: &str, arguments: &[String]) -> Result<(), Failure> {
    let job = Job::from_arguments(arguments)?;
    match role {
        "plain" => loops::plain(&job),
        "each" => loops::each(&job),
        "coalesced" => loops::coalesced(&job),
        "hyper" => loops::hyper(&job),
        _ => floor::run(&job),
    }
}

fn serve(arguments: &[String]) -> Result<(), Failure> {
    let (mut late, mut measures_delays) = (None, false);
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--slow" => late = arguments.next().map(|text| text.parse()).transpose()?,
            "--delays" => measures_delays = true,
            _ => return Err("sink [--slow N:Mms] [--delays]".into()),
        }
    }
    sink::serve(late, measures_delays)
}

/// Runs the scenarios and tells what came of them; false when a contestant of ours failed.
fn measure_all(options: &Options) -> Result<bool, Failure> {
    children::end_with_us()?;
    let broker = Broker::in_directory(&options.broker)?;
    let ground = Ground { options, broker: &broker };
    let mut all_went_well = true;
    let mut told: Vec<Value> = Vec::new();
    for scenario in options.scenarios() {
        for report in scenario::run(scenario, &ground)? {
            writeln!(stdout(), "{}", table::markdown(&report))?;
            all_went_well &= !report.rows.iter().any(|row| row.has_failed);
            if let Some(directory) = &options.svg {
                fs::create_dir_all(directory)?;
                let file = directory.join(format!("{}.svg", report.scenario));
                fs::write(file, chart::svg(&report))?;
            }
            told.push(report.to_json());
        }
        // After each: a long run that is ended has its figures so far.
        if let Some(file) = &options.json {
            let all = json!({ "broker": broker.release, "scenarios": told });
            fs::write(file, format!("{all:#}\n"))?;
        }
    }
    Ok(all_went_well)
}
