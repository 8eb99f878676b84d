//! Faults drawn from a seed against the real daemon, real RabbitMQ nodes and recording backends,
//! and an oracle that knows what has to be true of every message whatever happened.
//!
//! `cargo test` makes a short run of a fixed seed; `scripts/chaos --faults 500` a long one of a new
//! seed. `--help` tells the rest. A run has a broker, a daemon and backends to itself, publishes
//! all the time, and goes from one fault to the next as soon as it has recovered. What is asked
//! of it stands in `oracle`, what can happen in `fault`.

#![expect(unreachable_pub, reason = "one test binary: everything is for the modules beside it")]

#[cfg(test)]
mod arguments;

#[cfg(test)]
mod book;

#[cfg(test)]
mod clock;

#[cfg(test)]
mod daemon;

#[cfg(test)]
mod fault;

#[cfg(test)]
mod feed;

#[cfg(test)]
mod inject;

#[cfg(test)]
mod letter;

#[cfg(test)]
mod node;

#[cfg(test)]
mod oracle;

#[cfg(test)]
mod report;

#[cfg(test)]
mod run;

#[cfg(test)]
mod site;

#[cfg(test)]
#[expect(unused_imports, dead_code, reason = "the tests of `e2e` use the rest")]
#[path = "../e2e/support/mod.rs"]
mod support;

#[cfg(test)]
mod trial;

#[cfg(test)]
mod wire;

#[cfg(test)]
mod world;

#[cfg(test)]
fn main() -> std::process::ExitCode {
    run::all()
}

// Without it there is nothing to compile: the harness is a test.
#[cfg(not(test))]
fn main() {}
