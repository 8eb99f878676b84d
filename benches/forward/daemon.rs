//! The daemon's configuration: what a user would write, and nothing switched off.

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;

use url::Url;

use crate::Failure;
use crate::contestant::Job;

/// Writes the files of one agent a queue, and says how the daemon is to be started with them.
pub fn command(program: &Path, job: &Job, directory: &Path) -> Result<Command, Failure> {
    let agents = directory.join("agents.d");
    fs::create_dir(&agents)?;
    // Defaults, but for the socket, which a daemon of this machine may have.
    fs::write(directory.join("amqp-agentd.toml"), "[admin]\nsocket = \"\"\n")?;
    for queue in &job.queues {
        fs::write(agents.join(format!("{queue}.toml")), agent(job, queue)?)?;
    }
    let mut command = Command::new(program);
    command.arg("run").arg("--config").arg(directory.join("amqp-agentd.toml"));
    command.arg("--agents").arg(agents).current_dir(directory);
    command.env_remove("AMQP_AGENTD_LOG").env_remove("NOTIFY_SOCKET");
    Ok(command)
}

fn agent(job: &Job, queue: &str) -> Result<String, Failure> {
    let sink = Url::parse(&job.sink_url)?;
    let (host, path) = (sink.origin().ascii_serialization(), sink.path());
    let mut text = String::new();
    writeln!(text, "[\"async/amqp\"]\nhost = \"{}\"\nname = \"{queue}\"", job.broker_url)?;
    writeln!(text, "prefetch_count = {window}\n\n[consumer]", window = job.window)?;
    writeln!(text, "workers = {}", job.window)?;
    for number in 1..=job.backends {
        writeln!(text, "\n[[backend]]\nname = \"sink-{number}\"")?;
        writeln!(text, "host = \"{host}\"\nurl_pattern = \"{path}\"")?;
    }
    Ok(text)
}
