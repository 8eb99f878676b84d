//! The sink as the harness has it: a process of its own, asked over HTTP.

use std::env::current_exe;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::Failure;
use crate::children;

const ANSWER_MAX: Duration = Duration::from_secs(10);

/// Which kind of backend it plays.
#[derive(Debug, Clone, Copy, Default)]
pub struct Manner {
    /// One reply in so many comes so much late, such as `100:200ms`.
    pub late: Option<&'static str>,
    pub measures_delays: bool,
}

/// What the sink has received, and when it said so.
#[derive(Debug, Clone)]
pub struct Count {
    pub at_ns: u64,
    pub received: u64,
    /// Connections that were ever opened, these questions' among them.
    pub connections: u64,
    delays_ns: Value,
}

impl Count {
    /// Of the delays from publishing to receipt: `p50`, `p90`, `p99` or `p99.9`, in milliseconds.
    pub fn delay_ms(&self, quantile: &str) -> f64 {
        self.delays_ns[quantile].as_f64().unwrap_or(f64::NAN) / 1e6
    }
}

/// Ends with its value.
pub struct Receipts {
    child: Child,
    port: u16,
}

impl Receipts {
    pub fn start(manner: Manner) -> Result<Receipts, Failure> {
        let mut command = Command::new(current_exe()?);
        command.arg("sink").stdin(Stdio::null()).stdout(Stdio::piped());
        if let Some(late) = manner.late {
            command.args(["--slow", late]);
        }
        if manner.measures_delays {
            command.arg("--delays");
        }
        let mut child = command.process_group(0).spawn()?;
        children::started(child.id());
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        if let Ok(port) = line.trim().parse() {
            return Ok(Receipts { child, port });
        }
        children::kill(child.id());
        child.wait()?;
        Err("the sink did not start".into())
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where messages are to go.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/messages", self.port)
    }

    /// Waits until so many have come in; `None` when that takes too long.
    pub fn await_number(&self, number: u64, at_most: Duration) -> Result<Option<Count>, Failure> {
        self.ask(&format!("/await/{number}"), at_most)
    }

    /// What has come in so far.
    pub fn count(&self) -> Result<Count, Failure> {
        self.ask("/stats", ANSWER_MAX)?.ok_or_else(|| "the sink does not answer".into())
    }

    /// Forgets all delays so far.
    pub fn forget_delays(&self) -> Result<(), Failure> {
        self.ask("/forget", ANSWER_MAX).map(drop)
    }

    fn ask(&self, path: &str, at_most: Duration) -> Result<Option<Count>, Failure> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        stream.set_read_timeout(Some(at_most))?;
        stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: sink\r\n\r\n").as_bytes())?;
        let mut answer = Vec::new();
        let mut part = [0; 4096];
        while !answer.ends_with(b"}") {
            match stream.read(&mut part) {
                Ok(0) => return Err("the sink closed the connection".into()),
                Ok(length) => answer.extend_from_slice(&part[..length]),
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
                {
                    return Ok(None);
                }
                Err(error) => return Err(error.into()),
            }
        }
        let text = String::from_utf8_lossy(&answer);
        let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        let body: Value = serde_json::from_str(body)?;
        let number = |key: &str| body[key].as_u64().ok_or("the sink's answer is not whole");
        Ok(Some(Count {
            at_ns: number("at_ns")?,
            received: number("received")?,
            connections: number("connections")?,
            delays_ns: body["delays_ns"].clone(),
        }))
    }
}

impl Drop for Receipts {
    fn drop(&mut self) {
        children::kill(self.child.id());
        self.child.wait().ok();
    }
}
