//! Which files of the agents' directory are agent files.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

/// The agent files in `directory`, by name.
///
/// Hidden files and whatever does not end in `.toml` are passed over: editors' leftovers
/// (`orders.toml~`, `.orders.toml.swp`), copies (`orders.toml.bak`), a package manager's
/// (`orders.toml.dpkg-new`).
pub(super) fn agent_files(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in directory.read_dir()? {
        let name = entry?.file_name();
        if is_agent_file(&name) {
            files.push(directory.join(name));
        }
    }
    files.sort();
    Ok(files)
}

fn is_agent_file(name: &OsStr) -> bool {
    let name = name.as_encoded_bytes();
    !name.starts_with(b".") && !name.starts_with(b"#") && name.ends_with(b".toml")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leftovers_are_passed_over() {
        for name in ["orders.toml", "a b.toml", "a.b.toml"] {
            assert!(is_agent_file(OsStr::new(name)), "{name}");
        }
        for name in [
            ".orders.toml",
            ".#orders.toml",
            ".orders.toml.swp",
            "#orders.toml#",
            "#orders.toml",
            "orders.toml~",
            "orders.toml.bak",
            "orders.toml.dpkg-old",
            "orders.toml.example",
            "orders.TOML",
            "README.md",
            "orders",
            ".toml",
        ] {
            assert!(!is_agent_file(OsStr::new(name)), "{name}");
        }
    }
}
