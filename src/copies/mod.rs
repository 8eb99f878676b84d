//! The copies that take a message's place: one that waits for its next try, and one for people.

pub mod headers;
pub mod names;
