//! Where the daemon answers: a socket with its permissions, its own and nobody else's.

use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;

use toml::Table;

use crate::support::Daemon;

fn admin_table(socket: &Path) -> Table {
    let mut admin = Table::new();
    admin.insert("socket".to_owned(), socket.display().to_string().into());
    admin
}

fn mode(path: &Path) -> u32 {
    let metadata = path.symlink_metadata().unwrap();
    assert!(metadata.file_type().is_socket());
    metadata.permissions().mode() & 0o777
}

/// Starts a daemon that must not start; what it says.
async fn refused(mut daemon: Daemon) -> String {
    daemon.spawn();
    let status = daemon.wait_for_exit().await;
    let said = daemon.log().lines().join("\n");
    assert_eq!(status.code(), Some(1), "{said}");
    said
}

#[tokio::test]
async fn the_socket_has_its_permissions_and_goes_with_the_daemon() {
    let mut daemon = Daemon::running([]).await;
    let socket = daemon.admin_socket();
    assert_eq!(mode(&socket), 0o660);
    daemon.stop().await;
    assert!(!socket.exists());
    let mut admin = admin_table(&socket);
    admin.insert("socket_mode".to_owned(), "0602".into());
    daemon.set_main("admin", admin);
    daemon.start().await;
    assert_eq!(mode(&socket), 0o602);
    daemon.wait_for_log(&["WARN", "lets everyone on the machine"]).await;
    daemon.stop().await;
}

#[tokio::test]
async fn the_socket_of_the_dead_is_replaced_and_that_of_the_living_is_left() {
    let mut daemon = Daemon::running([]).await;
    let (socket, admin) = (daemon.admin_socket(), daemon.admin());
    daemon.kill().await;
    assert!(socket.exists(), "it had no time to remove it");
    daemon.start().await;
    assert_eq!(admin.get("/livez").await.status, 200);

    let mut second = Daemon::new();
    second.set_main("admin", admin_table(&socket));
    let said = refused(second).await;
    assert!(said.contains("another daemon answers there"), "{said}");
    assert_eq!(admin.get("/livez").await.status, 200);
    daemon.stop().await;
}

#[tokio::test]
async fn what_is_named_and_cannot_be_had_ends_the_start() {
    let mut daemon = Daemon::new();
    let file = daemon.agents_dir().join("not-a-socket");
    std::fs::write(&file, "precious").unwrap();
    daemon.set_main("admin", admin_table(&file));
    let said = refused(daemon).await;
    assert!(said.contains("something else is there, and no socket"), "{said}");

    let mut daemon = Daemon::new();
    daemon.set_main("admin", admin_table(&daemon.agents_dir().join("nowhere/admin.sock")));
    let said = refused(daemon).await;
    assert!(said.contains("No such file") && said.contains("RuntimeDirectory="), "{said}");

    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut daemon = Daemon::new();
    let socket = daemon.admin_socket();
    let mut admin = admin_table(&socket);
    admin.insert("listen".to_owned(), taken.local_addr().unwrap().port().to_string().into());
    daemon.set_main("admin", admin);
    daemon.spawn();
    assert_eq!(daemon.wait_for_exit().await.code(), Some(1));
    let said = daemon.log().lines().join("\n");
    assert!(said.contains("cannot listen on 127.0.0.1:") && said.contains("in use"), "{said}");
    assert!(!socket.exists(), "what was opened before is closed");
}

#[tokio::test]
async fn an_open_port_is_warned_of_and_a_change_waits_for_a_restart() {
    let mut daemon = Daemon::new();
    let mut admin = admin_table(&daemon.admin_socket());
    admin.insert("listen".to_owned(), "0.0.0.0:0".into());
    daemon.set_main("admin", admin);
    daemon.start().await;
    daemon.wait_for_log(&["WARN", "open to the network, without login and without TLS"]).await;
    daemon.set_main("admin", admin_table(&daemon.admin_socket()));
    daemon.reload().await;
    daemon.wait_for_log(&["WARN", "the main file's own settings changed"]).await;
    daemon.stop().await;
}
