//! What comes from the environment: proxies and the system's certificates.
//!
//! A test cannot change its own environment, which the others read meanwhile: each runs the
//! ignored test below once more, in a process of its own.

use std::process::Output;

use amqp_agentd::backend::{Backend, BackendError, Clients};
use amqp_agentd::tls::TlsError;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::server::{OK, accept, answer_once, definition, listen, read_request, send, status, url};

/// The program that the tests below run with an environment of their own, which no test may
/// set for itself. Among the tests it has nothing to do.
#[tokio::test]
async fn child() {
    let Ok(target) = std::env::var("TEST_TARGET") else { return };
    let backend = Backend::new(&definition(&[&target]), &mut Clients::new());
    match backend {
        Ok(backend) => {
            let answer = send(&backend, "body").await;
            println!("[{:?}]", status(&answer.reply));
            println!("[{}]", answer.reply);
        }
        Err(BackendError::Tls(TlsError::NoRoots(_))) => println!("[no roots]"),
        Err(error) => panic!("{error}"),
    }
}

async fn run_child(target: &str, environment: &[(&str, &str)]) -> String {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "proxies::child", "--nocapture"]);
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"] {
        command.env_remove(name).env_remove(name.to_lowercase());
    }
    command.env("TEST_TARGET", target).envs(environment.iter().copied()).kill_on_drop(true);
    let Output { status, stdout, stderr } = command.output().await.unwrap();
    let (stdout, stderr) = (String::from_utf8(stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{stderr}");
    stdout.unwrap()
}

#[tokio::test]
async fn plain_requests_go_through_http_proxy() {
    let proxy = listen().await;
    let address = format!("http://{}", proxy.local_addr().unwrap());
    let environment = [("HTTP_PROXY", address.as_str())];
    let (output, (_stream, seen)) = tokio::join!(
        run_child("http://orders.invalid/orders", &environment),
        answer_once(&proxy, OK)
    );
    assert!(output.contains("[Some(200)]"), "{output}");
    assert!(
        seen.head.starts_with("POST http://orders.invalid/orders HTTP/1.1\r\n"),
        "{}",
        seen.head
    );
    assert_eq!(seen.body, b"body");
}

#[tokio::test]
async fn secure_requests_ask_https_proxy_for_a_tunnel() {
    let proxy = listen().await;
    let address = format!("http://{}", proxy.local_addr().unwrap());
    let serve = async {
        let mut stream = accept(&proxy).await;
        let request = read_request(&mut stream).await.unwrap();
        stream.write_all(b"HTTP/1.1 403 No\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        request
    };
    let roots = tempfile::NamedTempFile::new().unwrap();
    let authority = rcgen::generate_simple_self_signed(Vec::new()).unwrap();
    std::fs::write(roots.path(), authority.cert.pem()).unwrap();
    let roots = roots.path().to_str().unwrap();
    let environment = [("https_proxy", address.as_str()), ("SSL_CERT_FILE", roots)];
    let (output, seen) =
        tokio::join!(run_child("https://orders.invalid/orders", &environment), serve);
    assert!(seen.head.starts_with("CONNECT orders.invalid:443 HTTP/1.1\r\n"), "{}", seen.head);
    assert!(!seen.head.contains("x-amqp"), "{}", seen.head);
    assert!(output.contains("[no connection: orders.invalid: "), "{output}");
}

#[tokio::test]
async fn hosts_in_no_proxy_are_reached_directly() {
    let listener = listen().await;
    let environment = [("HTTP_PROXY", "http://proxy.invalid"), ("NO_PROXY", "127.0.0.0/8")];
    let target = url(&listener);
    let (output, _) = tokio::join!(run_child(&target, &environment), answer_once(&listener, OK));
    assert!(output.contains("[Some(200)]"), "{output}");
}

#[tokio::test]
async fn the_systems_certificates_are_needed_for_https_only() {
    let none = [("SSL_CERT_FILE", "/nonexistent"), ("SSL_CERT_DIR", "/nonexistent")];
    let listener = listen().await;
    let target = url(&listener);
    let (output, _) = tokio::join!(run_child(&target, &none), answer_once(&listener, OK));
    assert!(output.contains("[Some(200)]"), "{output}");
    let output = run_child("https://orders.invalid/", &none).await;
    assert!(output.contains("[no roots]"), "{output}");
}
