//! How the command line finds the running daemon, and asks it.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::DeserializeOwned;
use url::Url;

use super::{BAD_CONFIGURATION, FAILED, WRONG_USAGE, say};
use crate::admin::client::{self, Answer, Place, Unheard};
use crate::admin::problem::Problem;
use crate::config::suggest::nearest;
use crate::config::{self, Paths, ProcessEnvironment, Trusting};

/// The longest that an answer may take.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// The longest that a reload may take: the daemon gives itself a minute.
const RELOAD_MAX: Duration = Duration::from_secs(65);

/// Where the daemon answers.
#[derive(Debug, clap::Args)]
pub(super) struct Daemon {
    /// The daemon's socket [default: the one that its main file names]
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Ask over TCP instead
    #[arg(long, help = "Ask over TCP instead, such as http://127.0.0.1:9672", value_name = "URL", conflicts_with = "socket", value_parser = tcp)]
    url: Option<Place>,
    /// The daemon's main file [default: /etc/amqp-agentd/amqp-agentd.toml, which need not exist]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// The address that a URL names.
fn tcp(text: &str) -> Result<Place, String> {
    let wrong = || "write it as http://HOST:PORT; the daemon speaks no TLS".to_owned();
    let url = Url::parse(text).map_err(|_| wrong())?;
    let host = url.host_str().filter(|_| url.scheme() == "http").ok_or_else(wrong)?;
    Ok(Place::Tcp(format!("{host}:{}", url.port_or_known_default().unwrap_or(80))))
}

/// What was not to be had: said already, and the exit code.
pub(super) struct Unasked(pub(super) u8);

impl Daemon {
    /// Where to ask. What is wrong with a main file that nobody named is `check`'s to tell: the
    /// daemon may run with it as it was.
    pub(super) fn place(&self) -> Result<Place, Unasked> {
        if let Some(place) = &self.url {
            return Ok(place.clone());
        }
        if let Some(path) = &self.socket {
            return Ok(Place::Socket(path.clone()));
        }
        let paths = Paths { main: self.config.clone(), agents: None };
        let (settings, problems) = config::load_settings(&paths, &Trusting(&ProcessEnvironment));
        let mut errors = problems.iter().filter(|problem| problem.is_error()).peekable();
        if self.config.is_some() && errors.peek().is_some() {
            errors.for_each(|error| say(&error.to_string()));
            return Err(Unasked(BAD_CONFIGURATION));
        }
        let admin = settings.admin;
        let socket = admin.socket.map(|socket| Place::Socket(socket.path));
        let tcp = || admin.listen.first().map(|address| Place::listening(*address));
        socket.or_else(tcp).ok_or_else(|| {
            let main = paths.main_file();
            say(&format!("{} turns the admin interface off, so the daemon can't be asked: `socket` in [admin] is \"\"", main.display()));
            Unasked(FAILED)
        })
    }
}

/// Runs `work` on this thread alone.
pub(super) fn alone<T>(work: impl Future<Output = io::Result<T>>) -> Result<T, Unasked> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.and_then(|runtime| runtime.block_on(work)).map_err(|error| {
        say(&format!("failed to start: {error}"));
        Unasked(FAILED)
    })
}

/// Looks at `path`.
pub(super) async fn get(place: &Place, path: &str) -> Result<Answer, Unheard> {
    client::ask(place, Method::GET, path, ANSWER_MAX).await
}

/// Has something done.
pub(super) async fn post(place: &Place, path: &str) -> Result<Answer, Unheard> {
    let max = if path == "/reload" { RELOAD_MAX } else { ANSWER_MAX };
    client::ask(place, Method::POST, path, max).await
}

/// The path of an agent, and of what is beneath it.
pub(super) fn agent_path(agent: &str, below: &str) -> String {
    format!("/agents/{}{below}", utf8_percent_encode(agent, NON_ALPHANUMERIC))
}

/// What an answer of success says.
pub(super) fn read<T: DeserializeOwned>(place: &Place, answer: &Answer) -> Result<T, Unheard> {
    serde_json::from_slice(&answer.body).map_err(|error| {
        let what =
            format!("{error}; is it an amqp-agentd of version {}?", env!("CARGO_PKG_VERSION"));
        Unheard::Garbled(place.clone(), what)
    })
}

/// What an answer without success says, and the exit code. `agent` is the one that was asked for.
pub(super) fn refused(place: &Place, answer: &Answer, agent: Option<&str>) -> (u8, String) {
    let problem: Problem = match read(place, answer) {
        Ok(problem) => problem,
        Err(unheard) => return (FAILED, unheard.to_string()),
    };
    let (Some(agents), Some(agent)) = (&problem.agents, agent) else {
        return (FAILED, problem.detail);
    };
    let names: Vec<&str> = agents.iter().map(String::as_str).collect();
    let remedy = match nearest(agent, &names) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None if names.is_empty() => "the daemon has none".to_owned(),
        None => format!("there are: {}", names.join(", ")),
    };
    (WRONG_USAGE, format!("no agent `{agent}`; {remedy}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_http_and_a_host() {
        assert_eq!(tcp("http://127.0.0.1:9672"), Ok(Place::Tcp("127.0.0.1:9672".to_owned())));
        assert_eq!(tcp("http://[::1]:9672/"), Ok(Place::Tcp("[::1]:9672".to_owned())));
        assert_eq!(tcp("http://orders"), Ok(Place::Tcp("orders:80".to_owned())));
        for wrong in ["", "127.0.0.1:9672", "https://127.0.0.1:9672", "unix:/run/x.sock"] {
            assert!(tcp(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_name_stays_one_part_of_the_path() {
        assert_eq!(agent_path("orders", "/pause"), "/agents/orders/pause");
        assert_eq!(agent_path("a/b?c", ""), "/agents/a%2Fb%3Fc");
    }
}
