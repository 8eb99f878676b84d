//! What the loader as a whole promises; the wording of each problem is in `tests/fixtures`.

use std::ffi::OsString;
use std::path::PathBuf;

use super::Environment;

/// An environment without variables or credentials.
pub(crate) struct NoEnvironment;

impl Environment for NoEnvironment {
    fn variable(&self, _: &str) -> Option<OsString> {
        None
    }

    fn credentials_directory(&self) -> Option<PathBuf> {
        None
    }
}

/// A valid agent file with `amqp_keys` among its keys.
pub(crate) fn agent_text(amqp_keys: &str) -> String {
    format!(
        "[\"async/amqp\"]\nhost = \"amqp://localhost\"\nname = \"orders\"\n{amqp_keys}\n\
         [[backend]]\nhost = \"http://127.0.0.1:8080\"\nurl_pattern = \"/orders\"\n"
    )
}
