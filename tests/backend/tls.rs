//! TLS to backends: whom we trust, what we show, which HTTP is spoken.

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use amqp_agentd::backend::{Answer, Backend, BackendError, Clients};
use amqp_agentd::config::definition::{BackendDefinition, Http2};
use amqp_agentd::outcome::{NotSent, Reply};
use amqp_agentd::secret::Secret;
use amqp_agentd::tls::{self, Identity, Pem, TlsError, TlsSettings};
use bytes::Bytes;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper::{Response, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use super::server::{accept, definition, listen, make, send, status};

/// Each with a name of its own, so that a stranger's is not taken for a forgery.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        params.distinguished_name.push(DnType::CommonName, format!("authority {number}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn pem(&self) -> Pem {
        pem("ca.pem", &self.0.pem())
    }

    fn issue(&self, name: &str) -> Identity {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Identity {
            certificates: pem("own.pem", &certificate.pem()),
            key_path: PathBuf::from("own.key"),
            key: Secret::new(key.serialize_pem()),
        }
    }
}

fn pem(path: &str, text: &str) -> Pem {
    Pem { path: PathBuf::from(path), text: Arc::from(text) }
}

/// A server that shows a certificate for `name` and asks for one of `clients` if there are any.
fn acceptor(
    authority: &Authority,
    name: &str,
    clients: Option<&Authority>,
) -> tokio_rustls::TlsAcceptor {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(clients) => {
            let mut roots = rustls::RootCertStore::empty();
            roots.add(clients.0.der().clone()).unwrap();
            let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(
                Arc::new(roots),
                provider,
            );
            builder.with_client_cert_verifier(verifier.build().unwrap())
        }
    };
    let identity = authority.issue(name);
    let chain = CertificateDer::pem_slice_iter(identity.certificates.text.as_bytes());
    let key = PrivateKeyDer::from_pem_slice(identity.key.expose().as_bytes()).unwrap();
    let mut config = builder.with_single_cert(chain.map(Result::unwrap).collect(), key).unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    tokio_rustls::TlsAcceptor::from(Arc::new(config))
}

fn trusting(listener: &TcpListener, host: &str, ca: Pem) -> BackendDefinition {
    let port = listener.local_addr().unwrap().port();
    let mut definition = definition(&[&format!("https://{host}:{port}/orders")]);
    definition.tls.ca = Some(ca);
    definition
}

/// Sends one request while the server answers 200 over HTTP/1.1 and 222 over HTTP/2.
async fn exchange(
    backend: &Backend,
    listener: &TcpListener,
    acceptor: &tokio_rustls::TlsAcceptor,
) -> Answer {
    let serve = async {
        loop {
            let Ok(stream) = acceptor.accept(accept(listener).await).await else { continue };
            let service = service_fn(|request: hyper::Request<hyper::body::Incoming>| async move {
                let status = if request.version() == Version::HTTP_2 { 222 } else { 200 };
                let body = Full::new(Bytes::new());
                Ok::<_, Infallible>(Response::builder().status(status).body(body).unwrap())
            });
            let builder = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
            builder.serve_connection(TokioIo::new(stream), service).await.ok();
        }
    };
    tokio::select! {
        answer = send(backend, "body") => answer,
        () = serve => panic!("the server ended"),
    }
}

#[tokio::test]
async fn tls_decides_which_http_is_spoken() {
    let authority = Authority::new();
    let acceptor = acceptor(&authority, "127.0.0.1", None);
    let table = [(Http2::Negotiate, 222), (Http2::PriorKnowledge, 222), (Http2::Never, 200)];
    for (http2, expected) in table {
        let listener = listen().await;
        let mut definition = trusting(&listener, "127.0.0.1", authority.pem());
        definition.http2 = http2;
        let answer = exchange(&make(&definition), &listener, &acceptor).await;
        assert_eq!(status(&answer.reply), Some(expected), "{http2:?}");
    }
}

#[tokio::test]
async fn a_configured_host_is_sent_over_http1() {
    let authority = Authority::new();
    let acceptor = acceptor(&authority, "127.0.0.1", None);
    let listener = listen().await;
    let mut definition = trusting(&listener, "127.0.0.1", authority.pem());
    definition.headers = vec![("host".to_owned(), Secret::new("orders.internal"))];
    let answer = exchange(&make(&definition), &listener, &acceptor).await;
    assert_eq!(status(&answer.reply), Some(200));
}

#[track_caller]
fn assert_tls_failure(answer: &Answer, expected: &str) {
    let Reply::NotSent(NotSent::Tls, text) = &answer.reply else {
        panic!("unexpected: {answer:?}");
    };
    assert!(text.contains(expected), "{text}");
}

#[tokio::test]
async fn a_certificate_of_a_stranger_sends_nothing() {
    let acceptor = acceptor(&Authority::new(), "127.0.0.1", None);
    let listener = listen().await;
    let definition = trusting(&listener, "127.0.0.1", Authority::new().pem());
    let answer = exchange(&make(&definition), &listener, &acceptor).await;
    assert_tls_failure(&answer, "invalid peer certificate: UnknownIssuer");
}

#[tokio::test]
async fn a_certificate_for_another_name_sends_nothing() {
    let authority = Authority::new();
    let acceptor = acceptor(&authority, "other.internal", None);
    let listener = listen().await;
    let definition = trusting(&listener, "127.0.0.1", authority.pem());
    let answer = exchange(&make(&definition), &listener, &acceptor).await;
    assert_tls_failure(&answer, "certificate not valid for name");
}

#[tokio::test]
async fn a_server_name_is_checked_instead_of_the_host() {
    let authority = Authority::new();
    let acceptor = acceptor(&authority, "orders.internal", None);
    let listener = listen().await;
    let mut definition = trusting(&listener, "127.0.0.1", authority.pem());
    definition.tls.server_name = Some("orders.internal".to_owned());
    let answer = exchange(&make(&definition), &listener, &acceptor).await;
    assert_eq!(status(&answer.reply), Some(222));
    definition.tls.server_name = Some("else.internal".to_owned());
    let answer = exchange(&make(&definition), &listener, &acceptor).await;
    assert_tls_failure(&answer, "certificate not valid for name");
}

#[tokio::test]
async fn a_client_certificate_is_shown() {
    let authority = Authority::new();
    let acceptor = acceptor(&authority, "127.0.0.1", Some(&authority));
    let listener = listen().await;
    let mut definition = trusting(&listener, "127.0.0.1", authority.pem());
    definition.tls.identity = Some(authority.issue("agent"));
    let answer = exchange(&make(&definition), &listener, &acceptor).await;
    assert_eq!(status(&answer.reply), Some(222));
}

#[tokio::test]
async fn a_client_certificate_that_is_missing_or_unknown_sends_nothing() {
    let authority = Authority::new();
    let acceptor = acceptor(&authority, "127.0.0.1", Some(&authority));
    for identity in [None, Some(Authority::new().issue("agent"))] {
        for http2 in [Http2::Negotiate, Http2::Never] {
            let listener = listen().await;
            let mut definition = trusting(&listener, "127.0.0.1", authority.pem());
            definition.tls.identity.clone_from(&identity);
            definition.http2 = http2;
            let answer = exchange(&make(&definition), &listener, &acceptor).await;
            assert_tls_failure(&answer, "received fatal alert");
        }
    }
}

#[tokio::test]
async fn a_plain_port_is_a_failed_handshake() {
    let replies: [&[u8]; 2] = [b"HTTP/1.1 400 Bad Request\r\n\r\n", b""];
    for reply in replies {
        let listener = listen().await;
        let backend = make(&trusting(&listener, "127.0.0.1", Authority::new().pem()));
        let serve = async {
            let mut stream = accept(&listener).await;
            stream.readable().await.unwrap();
            stream.write_all(reply).await.unwrap();
        };
        let (answer, ()) = tokio::join!(send(&backend, "body"), serve);
        assert_tls_failure(&answer, "");
    }
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let authority = Authority::new();
    let identity = authority.issue("agent");
    let with_ca =
        |text: &str| TlsSettings { ca: Some(pem("ca.pem", text)), ..TlsSettings::default() };
    let with_identity = |identity| TlsSettings {
        ca: Some(authority.pem()),
        identity: Some(identity),
        server_name: None,
    };
    let mut no_key = identity.clone();
    no_key.key = Secret::new("hunter2");
    let mut broken_key = identity.clone();
    broken_key.key =
        Secret::new("-----BEGIN PRIVATE KEY-----\nhunter2!\n-----END PRIVATE KEY-----");
    let mut foreign_key = identity.clone();
    foreign_key.key = authority.issue("other").key;
    let mut bad_name = with_ca(&authority.pem().text);
    bad_name.server_name = Some("not a name".to_owned());
    let table = [
        (with_ca(""), "ca.pem: no certificate in it"),
        (with_ca("plain text"), "ca.pem: no certificate in it"),
        (with_ca(identity.key.expose()), "ca.pem: no certificate in it"),
        (with_ca("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----"), "ca.pem: not PEM: "),
        (
            with_ca("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"),
            "ca.pem: not a usable CA certificate: ",
        ),
        (
            with_identity(no_key),
            "own.key: no private key in it that can be used without a passphrase",
        ),
        (with_identity(broken_key), "own.key: not PEM"),
        (
            with_identity(foreign_key),
            "own.pem and own.key: keys may not be consistent: KeyMismatch",
        ),
        (bad_name, r#"server name "not a name" is neither a DNS name nor an address"#),
    ];
    for (settings, expected) in table {
        let error = tls::client_config(&settings, &[]).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error} instead of {expected}");
        assert!(!error.contains("hunter2"), "{error}");
    }
    assert!(tls::client_config(&with_identity(identity), &[b"h2"]).is_ok());
}

#[test]
fn a_backend_with_broken_tls_is_refused() {
    let mut definition = definition(&["https://127.0.0.1/"]);
    definition.tls.ca = Some(pem("ca.pem", ""));
    let refused = Backend::new(&definition, &mut Clients::new());
    assert!(matches!(refused, Err(BackendError::Tls(TlsError::Pem { .. }))));
}

#[test]
fn the_provider_can_be_installed_twice() {
    tls::install_provider();
    tls::install_provider();
    assert!(rustls::crypto::CryptoProvider::get_default().is_some());
}
