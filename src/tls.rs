//! What the daemon trusts and shows when it speaks TLS, to brokers and to backends alike.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

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

/// Why no TLS connection can be prepared from the settings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    /// A file is not PEM, or holds none of what it should.
    #[error("{}: {problem}", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Certificate and key cannot be used together.
    #[error("{} and {}: {problem}", certificates.display(), key.display())]
    Identity {
        /// The file of the certificates.
        certificates: PathBuf,
        /// The file of the key.
        key: PathBuf,
        /// What is wrong with them.
        problem: String,
    },
    /// The name to check is neither a DNS name nor an address.
    #[error("server name {0:?} is neither a DNS name nor an address")]
    ServerName(String),
    /// The system's certificates cannot be read, and no own ones are given.
    #[error("no trusted certificates: {0}")]
    NoRoots(String),
    /// The TLS library refused the settings.
    #[error("TLS cannot be set up: {0}")]
    Setup(String),
}

/// Makes the one cryptography provider the process's default, for code that asks for none itself.
///
/// Does nothing where one is installed already.
pub fn install_provider() {
    if CryptoProvider::get_default().is_none() {
        // Losing a race against another thread leaves a provider installed all the same.
        drop(CryptoProvider::install_default(rustls::crypto::ring::default_provider()));
    }
}

/// A client's TLS by `settings`, offering the protocols of `alpn` in their order.
///
/// The system's certificates are read once a process, when the first peer without an own CA
/// needs them. With a server name, the peer's certificate is checked against that name; the
/// name that is asked for (SNI) is whatever the caller connects with.
///
/// # Errors
///
/// [`TlsError`], which names the file at fault.
pub fn client_config(settings: &TlsSettings, alpn: &[&[u8]]) -> Result<ClientConfig, TlsError> {
    let roots = match &settings.ca {
        Some(pem) => Arc::new(own_roots(pem)?),
        None => system_roots()?,
    };
    let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider())
        .build()
        .map_err(|error| TlsError::Setup(error.to_string()))?;
    let builder = versions()?;
    let builder = match &settings.server_name {
        None => builder.with_webpki_verifier(verifier),
        Some(name) => {
            let name = ServerName::try_from(name.clone())
                .map_err(|_| TlsError::ServerName(name.clone()))?;
            let verifier = Arc::new(NamedVerifier { name, verifier });
            builder.dangerous().with_custom_certificate_verifier(verifier)
        }
    };
    let mut config = match &settings.identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let chain = certificates(&identity.certificates)?;
            let key = private_key(identity)?;
            builder.with_client_auth_cert(chain, key).map_err(|error| TlsError::Identity {
                certificates: identity.certificates.path.clone(),
                key: identity.key_path.clone(),
                problem: error.to_string(),
            })?
        }
    };
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    Ok(config)
}

/// A client's TLS by `settings` for connections that are made seldom and last: shared by all that
/// are alike while one of them has it, so that a thousand keep its certificates once. No session of
/// TLS is taken up again.
///
/// # Errors
///
/// As [`client_config`].
pub(crate) fn shared_config(settings: &TlsSettings) -> Result<Arc<ClientConfig>, TlsError> {
    static SHARED: Mutex<Vec<(TlsSettings, Weak<ClientConfig>)>> = Mutex::new(Vec::new());
    // Whoever panicked with it left a list that is as good as before.
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    shared.retain(|(_, config)| config.strong_count() > 0);
    let known = shared.iter().find(|(known, _)| known == settings);
    if let Some(config) = known.and_then(|(_, config)| config.upgrade()) {
        return Ok(config);
    }
    let mut config = client_config(settings, &[])?;
    config.resumption = Resumption::disabled();
    let config = Arc::new(config);
    shared.push((settings.clone(), Arc::downgrade(&config)));
    Ok(config)
}

/// TLS that trusts nobody, for clients that never speak it: no file is read.
///
/// # Errors
///
/// [`TlsError::Setup`].
pub(crate) fn unused_config() -> Result<ClientConfig, TlsError> {
    Ok(versions()?.with_root_certificates(RootCertStore::empty()).with_no_client_auth())
}

type WantsVerifier = rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>;

fn versions() -> Result<WantsVerifier, TlsError> {
    ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| TlsError::Setup(error.to_string()))
}

fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    Arc::clone(PROVIDER.get_or_init(|| Arc::new(rustls::crypto::ring::default_provider())))
}

/// The system's certificates. A failure is not kept: a reload tries again.
fn system_roots() -> Result<Arc<RootCertStore>, TlsError> {
    static ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    if let Some(roots) = ROOTS.get() {
        return Ok(Arc::clone(roots));
    }
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let problem = found.errors.first().map_or_else(
            || "the system has none; set ca to a file of certificates".to_owned(),
            ToString::to_string,
        );
        return Err(TlsError::NoRoots(problem));
    }
    Ok(Arc::clone(ROOTS.get_or_init(|| Arc::new(roots))))
}

fn own_roots(pem: &Pem) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(pem)? {
        roots.add(certificate).map_err(|error| TlsError::Pem {
            path: pem.path.clone(),
            problem: format!("not a usable CA certificate: {error}"),
        })?;
    }
    Ok(roots)
}

fn certificates(pem: &Pem) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let problem = |problem: String| TlsError::Pem { path: pem.path.clone(), problem };
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(pem.text.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|error| problem(format!("not PEM: {error}")))?;
    if certificates.is_empty() {
        return Err(problem("no certificate in it".to_owned()));
    }
    Ok(certificates)
}

fn private_key(identity: &Identity) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(identity.key.expose().as_bytes()).map_err(|error| {
        // The library's other errors may quote the file, which is the key.
        let problem = if matches!(error, rustls::pki_types::pem::Error::NoItemsFound) {
            "no private key in it that can be used without a passphrase"
        } else {
            "not PEM"
        };
        TlsError::Pem { path: identity.key_path.clone(), problem: problem.to_owned() }
    })
}

/// Checks the peer's certificate as usual, but against a name of our own.
#[derive(Debug)]
struct NamedVerifier {
    name: ServerName<'static>,
    verifier: Arc<WebPkiServerVerifier>,
}

impl ServerCertVerifier for NamedVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.verifier.verify_server_cert(end_entity, intermediates, &self.name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> TlsSettings {
        let authority = rcgen::generate_simple_self_signed(["shared.test".to_owned()]).unwrap();
        let ca = Pem { path: PathBuf::from("ca.pem"), text: authority.cert.pem().into() };
        TlsSettings { ca: Some(ca), ..TlsSettings::default() }
    }

    #[test]
    fn connections_that_trust_alike_share_what_they_trust_while_one_of_them_lives() {
        let settings = settings();
        let one = shared_config(&settings).unwrap();
        assert!(Arc::ptr_eq(&one, &shared_config(&settings.clone()).unwrap()));
        let named = TlsSettings { server_name: Some("other.test".to_owned()), ..settings.clone() };
        assert!(!Arc::ptr_eq(&one, &shared_config(&named).unwrap()));
        let gone = Arc::downgrade(&one);
        drop(one);
        assert_eq!(gone.strong_count(), 0, "nothing is kept that nobody uses");
        shared_config(&settings).unwrap();
    }
}
