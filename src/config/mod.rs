//! From files to definitions: what the TOML says, checked, or every problem at once.

pub mod definition;
