//! Names that a file and an agent can have.

/// The most characters of an agent's name.
const CHARACTERS_MAX: usize = 64;

/// `name` with each run of what an agent's name may not hold made one `-`; `None` where nothing is left of it.
pub(super) fn legal(name: &str) -> Option<String> {
    let is_legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let mut made = String::new();
    for character in name.chars() {
        match character {
            legal if is_legal(legal) => made.push(legal),
            _ if made.ends_with('-') => {}
            _ => made.push('-'),
        }
    }
    // A file that begins with a dot is passed over.
    let made: String = made.trim_start_matches(['.', '-']).chars().take(CHARACTERS_MAX).collect();
    let made = made.trim_end_matches('-').to_owned();
    (!made.is_empty()).then_some(made)
}

/// `name`, or the same with a number that none of `taken` has.
pub(super) fn free(name: &str, taken: &[&str]) -> String {
    if !taken.contains(&name) {
        return name.to_owned();
    }
    let mut number = 2_usize;
    loop {
        let end = format!("-{number}");
        let start: String = name.chars().take(CHARACTERS_MAX - end.len()).collect();
        let made = start + &end;
        if !taken.contains(&made.as_str()) {
            return made;
        }
        number += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_becomes_one_that_an_agent_can_have() {
        for (name, made) in [
            ("cool-agent", Some("cool-agent")),
            ("AsyncAgent-00", Some("AsyncAgent-00")),
            ("Orders (new)", Some("Orders-new")),
            ("../../etc/passwd", Some("etc-passwd")),
            (".hidden", Some("hidden")),
            ("\u{fc}ber", Some("ber")),
            ("", None),
            ("..", None),
            ("\u{1f980}", None),
        ] {
            assert_eq!(legal(name).as_deref(), made, "{name}");
        }
        assert_eq!(legal(&"x".repeat(100)).unwrap().len(), 64);
    }

    #[test]
    fn the_same_name_gets_a_number() {
        assert_eq!(free("a", &["b"]), "a");
        assert_eq!(free("a", &["a"]), "a-2");
        assert_eq!(free("a", &["a", "a-2"]), "a-3");
        let long = "x".repeat(64);
        assert_eq!(free(&long, &[&long]), "x".repeat(62) + "-2");
    }
}
