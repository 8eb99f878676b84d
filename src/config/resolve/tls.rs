//! PEM files: read and looked into, so that `check` finds what a handshake would.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::CertifiedKey;
use toml::Spanned;

use super::Scope;
use crate::config::read::{ReadFault, read_text};
use crate::config::source_map::Span;
use crate::config::spec::{BrokerTlsSpec, Key};
use crate::config::value::Section;
use crate::secret::Secret;
use crate::tls::{Identity, Pem, TlsSettings};

/// The longest PEM file: a whole system's trust store fits.
const PEM_BYTES_MAX: u64 = 1024 * 1024;

/// A value and where it stands.
pub(super) type Located<'s> = (Span, &'s str);

/// A key's value and where it stands.
pub(super) fn located(key: Option<&Spanned<String>>) -> Option<Located<'_>> {
    key.map(|key| (key.span(), key.get_ref().as_str()))
}

/// The files and names of one `tls` table or one URI.
#[derive(Debug, Clone, Default)]
pub(super) struct TlsFiles<'s> {
    /// Certificates to trust.
    pub ca: Option<Located<'s>>,
    /// The client certificate.
    pub cert: Option<Located<'s>>,
    /// Its key.
    pub key: Option<Located<'s>>,
    /// The name to check.
    pub server_name: Option<Located<'s>>,
}

impl<'s> TlsFiles<'s> {
    /// Those of the `tls` table in `["async/amqp"]`.
    pub(super) fn of(tls: Option<&'s Section<BrokerTlsSpec>>) -> Self {
        let file = |key: fn(&BrokerTlsSpec) -> &Key<String>| located(key(tls?).as_ref());
        Self {
            ca: file(|tls| &tls.ca),
            cert: file(|tls| &tls.cert),
            key: file(|tls| &tls.key),
            server_name: file(|tls| &tls.server_name),
        }
    }

    /// Reads them all.
    pub(super) fn load(&self, scope: &mut Scope<'_, '_>) -> TlsSettings {
        let ca = self.ca.as_ref().and_then(|ca| trusted(ca, scope));
        let identity = match (&self.cert, &self.key) {
            (Some(cert), Some(key)) => identity(cert, key, scope),
            (Some((span, _)), None) => {
                scope.report.error(
                    span,
                    "a client certificate without its private key",
                    "name the key's PEM file in `key`",
                );
                None
            }
            (None, Some((span, _))) => {
                scope.report.error(
                    span,
                    "a private key without its certificate",
                    "name the certificate's PEM file in `cert`",
                );
                None
            }
            (None, None) => None,
        };
        if let Some((span, name)) = &self.server_name
            && ServerName::try_from(*name).is_err()
        {
            scope.report.spoil(
                span,
                "the server name is no DNS name and no address",
                "write the name that the server's certificate is for",
            );
        }
        let server_name = self.server_name.as_ref().map(|(_, name)| (*name).to_owned());
        TlsSettings { ca, identity, server_name }
    }
}

fn trusted(ca: &Located<'_>, scope: &mut Scope<'_, '_>) -> Option<Pem> {
    let pem = pem(ca, scope)?;
    let certificates = certificates(&ca.0, &pem, scope)?;
    let mut roots = rustls::RootCertStore::empty();
    for certificate in certificates {
        if let Err(error) = roots.add(certificate) {
            scope.report.spoil(
                &ca.0,
                format!("a certificate in the file cannot be trusted: {error}"),
                "give certificates of authorities, as PEM",
            );
            return None;
        }
    }
    Some(pem)
}

fn identity(cert: &Located<'_>, key: &Located<'_>, scope: &mut Scope<'_, '_>) -> Option<Identity> {
    let chain = pem(cert, scope);
    let key_pem = pem(key, scope);
    let chain = chain?;
    let certificates = certificates(&cert.0, &chain, scope);
    let key_pem = key_pem?;
    let parsed = PrivateKeyDer::from_pem_slice(key_pem.text.as_bytes()).ok();
    let signing = parsed.and_then(|key| rustls::crypto::ring::sign::any_supported_type(&key).ok());
    let Some(signing) = signing else {
        scope.report.spoil(
            &key.0,
            "the file holds no private key that can be used",
            "give an unencrypted RSA, ECDSA or Ed25519 key as PEM, with BEGIN PRIVATE KEY",
        );
        return None;
    };
    let pair = CertifiedKey::new(certificates?, signing);
    if let Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::KeyMismatch)) =
        pair.keys_match()
    {
        scope.report.spoil(
            &key.0,
            "the private key is not the certificate's",
            "give the key that the certificate was made for",
        );
        return None;
    }
    Some(Identity {
        certificates: chain,
        key_path: key_pem.path,
        key: Secret::new(key_pem.text.as_ref()),
    })
}

fn pem((span, path): &Located<'_>, scope: &mut Scope<'_, '_>) -> Option<Pem> {
    let path = scope.located(span, path);
    match read_text(&path, PEM_BYTES_MAX) {
        Ok(text) => Some(Pem { path, text: Arc::from(text) }),
        Err(fault) => {
            unreadable(span, &path, &fault, scope);
            None
        }
    }
}

fn unreadable(span: &Span, path: &Path, fault: &ReadFault, scope: &mut Scope<'_, '_>) {
    let remedy = match fault {
        ReadFault::Io(_) => "name a PEM file that the daemon's user may read",
        ReadFault::NotAFile | ReadFault::TooLong { .. } => "name a PEM file",
        ReadFault::NotUtf8 { .. } => "convert it to PEM; DER is not read",
    };
    let shown = if scope.report.is_concealed(span) {
        "the file".to_owned()
    } else {
        crate::config::report::quoted(&path.to_string_lossy())
    };
    scope.report.spoil(span, format!("{shown} {fault}"), remedy);
}

fn certificates(
    span: &Span,
    pem: &Pem,
    scope: &mut Scope<'_, '_>,
) -> Option<Vec<CertificateDer<'static>>> {
    let parsed: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.text.as_bytes()).collect();
    match parsed {
        Ok(certificates) if !certificates.is_empty() => Some(certificates),
        Ok(_) => {
            scope.report.spoil(
                span,
                "the file holds no certificate",
                "give a PEM file with BEGIN CERTIFICATE",
            );
            None
        }
        Err(_) => {
            scope.report.spoil(span, "the file is not well-formed PEM", "give a PEM file");
            None
        }
    }
}
