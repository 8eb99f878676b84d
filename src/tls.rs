//! What the daemon trusts and shows when it speaks TLS, to brokers and to backends alike.

use std::path::PathBuf;
use std::sync::Arc;

use crate::secret::Secret;

/// TLS material, read when the configuration is read, so that a reload notices a renewed certificate.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TlsSettings {
    /// Certificates to trust instead of the system's.
    pub ca: Option<Pem>,
    /// What to show when the peer asks who we are.
    pub identity: Option<Identity>,
    /// The name to ask for and check instead of the host's.
    pub server_name: Option<String>,
}

/// A file of PEM blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pem {
    /// Where it was read from, for messages.
    pub path: PathBuf,
    /// Its text.
    pub text: Arc<str>,
}

/// A client certificate and its private key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The chain, leaf first.
    pub certificates: Pem,
    /// Where the key was read from, for messages.
    pub key_path: PathBuf,
    /// The key's text.
    pub key: Secret,
}
