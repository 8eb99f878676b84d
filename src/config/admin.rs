//! `[admin]` of the main file: where the running daemon can be asked.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

use toml::Spanned;

use super::definition::{AdminSettings, AdminSocket};
use super::report::Report;
use super::source_map::FileId;
use super::spec::AdminSpec;

/// The socket unless another is named.
pub const ADMIN_SOCKET: &str = "/run/amqp-agentd/admin.sock";

/// What the kernel has room for in a socket's address, the byte at its end taken off.
const SOCKET_BYTES_MAX: usize = 107;

impl Default for AdminSettings {
    /// What holds without a main file.
    fn default() -> Self {
        let socket = AdminSocket { path: ADMIN_SOCKET.into(), mode: 0o660, is_named: false };
        Self { socket: Some(socket), listen: Vec::new(), allow_control: false }
    }
}

/// What `spec`, read from `file`, means.
pub(super) fn admin_settings(
    spec: &AdminSpec,
    file: FileId,
    report: &mut Report<'_>,
) -> AdminSettings {
    let mut settings = AdminSettings::default();
    if let Some(key) = &spec.socket {
        settings.socket = socket(key, file, report);
    }
    if let (Some(key), Some(socket)) = (&spec.socket_mode, &mut settings.socket)
        && let Some(mode) = mode(key, report)
    {
        socket.mode = mode;
    }
    if let Some(key) = &spec.listen {
        for (span, text) in key.get_ref().each(&key.span()) {
            match address(text) {
                Some(address) if !settings.listen.contains(&address) => {
                    settings.listen.push(address);
                }
                Some(_) => {}
                None => {
                    let shown = report.quote(&span, text);
                    report.spoil(
                        &span,
                        format!("`listen` has {shown}, which is no address with a port"),
                        "write \"127.0.0.1:9672\", \"[::1]:9672\", or a port alone, which means 127.0.0.1; \"0.0.0.0:9672\" is every address of the machine",
                    );
                }
            }
        }
    }
    if let Some(key) = &spec.allow_control {
        settings.allow_control = *key.get_ref();
        if settings.allow_control && spec.listen.is_none() {
            report.warning(
                &key.span(),
                "`allow_control` is for `listen`, which is not set",
                "leave it out: over the Unix socket control is always allowed",
            );
        }
    }
    settings
}

/// The socket that is named; an empty name is none.
fn socket(key: &Spanned<String>, file: FileId, report: &mut Report<'_>) -> Option<AdminSocket> {
    let text = key.get_ref();
    if text.is_empty() {
        return None;
    }
    let directory = report.sources.path(file).parent().unwrap_or(Path::new(""));
    let path = directory.join(text);
    let length = path.as_os_str().len();
    if length > SOCKET_BYTES_MAX || text.contains('\0') {
        report.spoil(
            &key.span(),
            format!("`socket` is a path of {length} bytes"),
            format!("use one of at most {SOCKET_BYTES_MAX}, which is what the system takes"),
        );
    }
    Some(AdminSocket { path, is_named: true, ..AdminSettings::default().socket? })
}

/// Permissions, as `chmod` takes them.
fn mode(key: &Spanned<String>, report: &mut Report<'_>) -> Option<u32> {
    let text = key.get_ref();
    let is_octal = matches!(text.len(), 3 | 4) && text.bytes().all(|b| matches!(b, b'0'..=b'7'));
    let mode = is_octal.then(|| u32::from_str_radix(text, 8).ok()).flatten();
    let mode = mode.filter(|mode| *mode <= 0o777);
    let Some(mode) = mode else {
        let shown = report.quote(&key.span(), text);
        report.spoil(
            &key.span(),
            format!("`socket_mode` is {shown}, which is no set of permissions"),
            "write three octal digits: \"0660\" for the daemon's user and group, \"0600\" for its user alone",
        );
        return None;
    };
    if mode & 0o002 != 0 {
        report.warning(
            &key.span(),
            "`socket_mode` lets everyone on the machine pause agents and reload",
            "use \"0660\", and put who may into the daemon's group",
        );
    }
    Some(mode)
}

/// An address and a port. A name would be looked up, and who answers may change.
fn address(text: &str) -> Option<SocketAddr> {
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let port = text.strip_prefix("localhost:").unwrap_or(text);
    if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) {
        return port.parse().ok().map(|port| SocketAddr::new(loopback, port));
    }
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_alone_is_loopback_and_a_name_is_none() {
        for (text, wanted) in [
            ("9672", Some("127.0.0.1:9672")),
            ("localhost:9672", Some("127.0.0.1:9672")),
            ("0.0.0.0:80", Some("0.0.0.0:80")),
            ("[::1]:9672", Some("[::1]:9672")),
            ("127.0.0.1:0", Some("127.0.0.1:0")),
            ("", None),
            (":9672", None),
            ("localhost", None),
            ("65536", None),
            ("example.org:9672", None),
            ("::1:9672:", None),
            ("127.0.0.1", None),
        ] {
            let address = address(text).map(|address| address.to_string());
            assert_eq!(address.as_deref(), wanted, "{text}");
        }
    }
}
