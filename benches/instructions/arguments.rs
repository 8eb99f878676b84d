//! What is asked for.

use std::path::PathBuf;

use crate::case::{CASES, Case};

pub struct Arguments {
    /// The program to count.
    pub daemon: PathBuf,
    pub wish: Wish,
    /// Names of cases; all when none is named.
    named: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// Only tell.
    Tell,
    /// Fail where a figure is too high.
    Check,
    /// Write the figures down.
    Record,
    /// Tell where the instructions go, too.
    Profile,
}

impl Arguments {
    /// `None` where no daemon is named: this was not run by its script.
    pub fn read(words: impl Iterator<Item = String>) -> Result<Option<Self>, String> {
        let (mut daemon, mut wish, mut named) = (None, Wish::Tell, Vec::new());
        let mut words = words;
        while let Some(word) = words.next() {
            match word.as_str() {
                "--daemon" => daemon = Some(words.next().ok_or("--daemon takes a file")?.into()),
                "--check" => wish = Wish::Check,
                "--record" => wish = Wish::Record,
                "--profile" => wish = Wish::Profile,
                // Cargo's own.
                "--bench" | "--test" => {}
                name if CASES.iter().any(|case| case.name == name) => named.push(word),
                _ => {
                    let known = CASES.map(|case| case.name).join(", ");
                    return Err(format!("unknown option or case {word}; the cases are {known}"));
                }
            }
        }
        if wish == Wish::Record && !named.is_empty() {
            return Err("all cases are recorded together".to_owned());
        }
        Ok(daemon.map(|daemon| Self { daemon, wish, named }))
    }

    pub fn cases(&self) -> impl Iterator<Item = &'static Case> {
        let is_wanted =
            |case: &&Case| self.named.is_empty() || self.named.iter().any(|name| name == case.name);
        CASES.iter().filter(is_wanted)
    }
}
