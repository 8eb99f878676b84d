//! On which ways a backend is reached: TLS, HTTP/2, proxies.

use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Response, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use crate::support::wait::within;
use crate::support::{Agent, Backend, Broker, Daemon, Message, Reply, Scene};

/// The loopback interface takes a connection long before that, if it takes it at all.
const SOON: Duration = Duration::from_millis(300);

/// An authority, and what it issues.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Authority {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Authority(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Certificate and key, as PEM.
    fn issue(&self, name: &str) -> (rcgen::Certificate, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &self.0).unwrap(), key.serialize_pem())
    }

    /// Writes `ca.pem`, `client.pem` and `client.key`.
    fn write(&self, dir: &Path) {
        let (certificate, key) = self.issue("client");
        std::fs::write(dir.join("ca.pem"), self.0.pem()).unwrap();
        std::fs::write(dir.join("client.pem"), certificate.pem()).unwrap();
        std::fs::write(dir.join("client.key"), key).unwrap();
    }

    /// Shows a certificate for 127.0.0.1 and asks for one of its own.
    fn acceptor(&self) -> TlsAcceptor {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(
            Arc::new(roots),
            Arc::clone(&provider),
        );
        let (certificate, key) = self.issue("127.0.0.1");
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier.build().unwrap())
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        TlsAcceptor::from(Arc::new(config))
    }
}

/// Speaks TLS in front of a backend.
struct Front {
    port: u16,
    _server: JoinSet<()>,
}

impl Front {
    async fn of(backend: &Backend, acceptor: TlsAcceptor) -> Front {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (port, target) = (listener.local_addr().unwrap().port(), backend.port());
        let mut server = JoinSet::new();
        server.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let acceptor = acceptor.clone();
                connections.spawn(async move {
                    let Ok(mut stream) = acceptor.accept(stream).await else { return };
                    let mut plain = TcpStream::connect(("127.0.0.1", target)).await.unwrap();
                    drop(tokio::io::copy_bidirectional(&mut stream, &mut plain).await);
                });
            }
        });
        Front { port, _server: server }
    }

    fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }
}

#[tokio::test]
async fn https_with_an_own_authority_and_a_client_certificate_delivers() {
    let (vhost, backend) = (Broker::any().vhost(), Backend::start());
    let authority = Authority::new();
    let front = Front::of(&backend, authority.acceptor()).await;
    let daemon = Daemon::new();
    authority.write(&daemon.agents_dir());
    let tls = toml::toml! { ca = "ca.pem" cert = "client.pem" key = "client.key" };
    let agent = Agent::between("parcels", &vhost.url(), &front.url()).set_backend("tls", tls);
    let mut scene = Scene::with(daemon, vhost, &agent).await;
    scene.publish(1..=3).await;
    let requests = backend.wait_for(3).await;
    let host = format!("127.0.0.1:{}", front.port);
    assert_eq!(requests[0].header("host"), Some(host.as_str()));
    scene.end(0).await;
}

#[tokio::test]
async fn a_tls_failure_holds_and_costs_no_message() {
    let (vhost, backend) = (Broker::any().vhost(), Backend::start());
    let authority = Authority::new();
    let front = Front::of(&backend, authority.acceptor()).await;
    let daemon = Daemon::new();
    Authority::new().write(&daemon.agents_dir());
    let tls = toml::toml! { ca = "ca.pem" };
    let stranger = Agent::between("parcels", &vhost.url(), &front.url()).set_backend("tls", tls);
    let mut scene = Scene::with(daemon, vhost, &stranger).await;
    scene.publish(["one"]).await;
    scene.daemon.wait_for_log(&["ERROR", "holding", "TLS"]).await;
    assert_eq!(backend.requests(), []);
    scene.end(1).await;
}

#[tokio::test]
async fn http2_with_prior_knowledge_shares_one_connection() {
    let vhost = Broker::any().vhost();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (bodies, mut seen) = mpsc::channel(100);
    let mut server = JoinSet::new();
    // Only the first connection is taken.
    server.spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let service = service_fn(move |request: hyper::Request<Incoming>| {
            let bodies = bodies.clone();
            async move {
                assert_eq!(request.version(), Version::HTTP_2);
                let body = request.into_body().collect().await.unwrap().to_bytes();
                bodies.send(body).await.unwrap();
                Ok::<_, Infallible>(Response::new(Full::new(Bytes::from("fine"))))
            }
        });
        let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        drop(builder.serve_connection(TokioIo::new(stream), service).await);
    });
    let agent =
        Agent::between("parcels", &vhost.url(), &url).set_backend("http2", "prior_knowledge");
    let mut scene = Scene::of(vhost, &agent).await;
    let bodies = [Vec::new(), vec![b'x'; 1 << 20], b"last".to_vec()];
    scene.publisher.publish_all(bodies.map(|body| Message::to("parcels", body))).await;
    let mut lengths = Vec::new();
    for _ in 0..3 {
        lengths.push(within("a request", seen.recv()).await.unwrap().len());
    }
    lengths.sort_unstable();
    assert_eq!(lengths, [0, 4, 1 << 20]);
    scene.end(0).await;
}

#[tokio::test]
async fn a_proxy_named_by_the_environment_is_asked_but_for_hosts_in_no_proxy() {
    let vhost = Broker::any().vhost();
    let (proxy, direct) = (Backend::start(), Backend::start());
    let mut daemon = Daemon::new();
    daemon.set_environment("HTTP_PROXY", &proxy.url());
    daemon.set_environment("NO_PROXY", "127.0.0.1");
    let agent = Agent::new("parcels", &vhost, &direct).backend("http://nowhere.invalid", &[]);
    let mut scene = Scene::with(daemon, vhost, &agent).await;
    scene.publish(["one"]).await;
    let asked = proxy.wait_for(1).await;
    assert_eq!(asked[0].path, "http://nowhere.invalid/");
    assert_eq!(asked[0].header("host"), Some("nowhere.invalid"));
    assert_eq!(direct.wait_for(1).await[0].path, "/");
    scene.end(0).await;
}

#[tokio::test]
async fn a_connection_is_used_again_for_the_next_message() {
    let (vhost, backend) = (Broker::any().vhost(), Backend::start());
    backend.reply_with(|_| Reply::status(200).body("fine"));
    let agent = Agent::new("parcels", &vhost, &backend).set("consumer.workers", 1);
    let mut scene = Scene::of(vhost, &agent).await;
    scene.publish(1..=20).await;
    backend.wait_for(20).await;
    assert_eq!(backend.connections(), 1);
    scene.end(0).await;
}

#[tokio::test]
async fn a_proxy_that_is_away_or_opens_no_tunnel_holds_and_costs_no_message() {
    let (away, refusing) = (Backend::refusing(), Backend::replying(|_| Reply::status(502)));
    for (variable, proxy, backend) in [
        ("HTTP_PROXY", away.url(), "http://nowhere.invalid"),
        ("HTTPS_PROXY", away.url(), "https://nowhere.invalid"),
        ("HTTPS_PROXY", refusing.url(), "https://nowhere.invalid"),
    ] {
        let vhost = Broker::any().vhost();
        let mut daemon = Daemon::new();
        daemon.set_environment(variable, &proxy);
        let agent = Agent::between("parcels", &vhost.url(), backend);
        let mut scene = Scene::with(daemon, vhost, &agent).await;
        scene.publish(["one"]).await;
        scene.daemon.wait_for_log(&["ERROR", "holding"]).await;
        scene.end(1).await;
    }
    assert!(refusing.requests().iter().all(|request| request.method == "CONNECT"));
}

#[tokio::test]
async fn a_host_that_never_takes_the_connection_holds_and_costs_no_message() {
    let vhost = Broker::any().vhost();
    // Its queue of connections is full, so the kernel answers no further one.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    while let Ok(stream) = timeout(SOON, TcpStream::connect(address)).await {
        waiting.push(stream.unwrap());
    }
    let agent = Agent::between("parcels", &vhost.url(), &format!("http://{address}"))
        .set("consumer.timeout", "1s");
    let mut scene = Scene::of(vhost, &agent).await;
    scene.publish(["one"]).await;
    scene.daemon.wait_for_log(&["ERROR", "holding", "gave up"]).await;
    scene.end(1).await;
}
