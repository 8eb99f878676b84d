//! The program: everything is in the library, so that tests can have it too.

use std::process::ExitCode;

fn main() -> ExitCode {
    amqp_agentd::cli::main()
}
