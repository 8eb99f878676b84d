//! JSON with the place of everything in it, which `serde_json` does not tell.
//!
//! Only the structure is read here: strings and numbers are `serde_json`'s.

use super::tree::{Member, Node, Value};

/// Deeper than any configuration; `serde_json` draws the line there too.
const DEPTH_MAX: usize = 127;

/// Where a text is no JSON, and why.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// The byte.
    pub at: usize,
    /// A lowercase fragment.
    pub problem: &'static str,
}

/// What `text` says. Of a key that stands twice, both are kept.
pub(super) fn parse(text: &str) -> Result<Node, Fault> {
    let mut scanner = Scanner { text, at: 0, depth: 0 };
    let node = scanner.value()?;
    match scanner.next() {
        None => Ok(node),
        Some(_) => Err(scanner.fault("something follows the end of the JSON")),
    }
}

struct Scanner<'t> {
    text: &'t str,
    /// Always before a whole character.
    at: usize,
    depth: usize,
}

impl Scanner<'_> {
    fn fault(&self, problem: &'static str) -> Fault {
        Fault { at: self.at, problem }
    }

    /// The next byte that is no white space, which is passed over.
    fn next(&mut self) -> Option<u8> {
        let rest = &self.text.as_bytes()[self.at..];
        let space = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'));
        self.at += space.count();
        self.text.as_bytes().get(self.at).copied()
    }

    fn value(&mut self) -> Result<Node, Fault> {
        let first = self.next();
        let start = self.at;
        let value = match first {
            Some(b'{') => Value::Table(self.entries(b'}', Self::member)?),
            Some(b'[') => Value::List(self.entries(b']', Self::value)?),
            Some(b'"') => Value::Text(self.string()?),
            Some(b'-' | b'0'..=b'9' | b'a'..=b'z') => self.word()?,
            _ => return Err(self.fault("a value is expected here")),
        };
        Ok(Node { span: start..self.at, value })
    }

    /// What stands between a bracket and the one that closes it.
    fn entries<T>(
        &mut self,
        close: u8,
        entry: fn(&mut Self) -> Result<T, Fault>,
    ) -> Result<Vec<T>, Fault> {
        let mut entries = Vec::new();
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(self.fault("it is nested too deeply"));
        }
        self.at += 1;
        if self.next() != Some(close) {
            loop {
                entries.push(entry(self)?);
                match self.next() {
                    Some(b',') => self.at += 1,
                    Some(byte) if byte == close => break,
                    _ if close == b'}' => return Err(self.fault("`,` or `}` is expected here")),
                    _ => return Err(self.fault("`,` or `]` is expected here")),
                }
            }
        }
        self.at += 1;
        self.depth -= 1;
        Ok(entries)
    }

    fn member(&mut self) -> Result<Member, Fault> {
        if self.next() != Some(b'"') {
            return Err(self.fault("a key in double quotes is expected here"));
        }
        let start = self.at;
        let name = self.string()?;
        let key = start..self.at;
        if self.next() != Some(b':') {
            return Err(self.fault("`:` is expected here"));
        }
        self.at += 1;
        Ok(Member { name, key, node: self.value()? })
    }

    fn string(&mut self) -> Result<String, Fault> {
        let mut rest = self.text.bytes().enumerate().skip(self.at + 1);
        let end = loop {
            match rest.next() {
                Some((_, b'\\')) => drop(rest.next()),
                Some((end, b'"')) => break end + 1,
                Some(_) => {}
                None => return Err(self.fault("a string that is never closed")),
            }
        };
        let problem = "a string with a control character, or an escape that JSON does not have";
        let text = self.text.get(self.at..end);
        let text = text.and_then(|text| serde_json::from_str(text).ok());
        let text = text.ok_or_else(|| self.fault(problem))?;
        self.at = end;
        Ok(text)
    }

    /// A number, `true`, `false` or `null`.
    fn word(&mut self) -> Result<Value, Fault> {
        let is_part =
            |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
        let rest = &self.text.as_bytes()[self.at..];
        let length = rest.iter().take_while(|byte| is_part(byte)).count();
        let word = self.text.get(self.at..self.at + length).unwrap_or_default();
        let value = match word {
            "null" => Value::Null,
            "true" => Value::Flag(true),
            "false" => Value::Flag(false),
            _ => match serde_json::from_str(word) {
                Ok(number) => Value::Number(number),
                Err(_) => return Err(self.fault("what stands here is no value of JSON")),
            },
        };
        self.at += length;
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plain(node: &Node) -> serde_json::Value {
        match &node.value {
            Value::Null => serde_json::Value::Null,
            Value::Flag(flag) => (*flag).into(),
            Value::Number(number) => number.clone().into(),
            Value::Text(text) => text.as_str().into(),
            Value::List(nodes) => nodes.iter().map(plain).collect(),
            Value::Table(members) => {
                members.iter().map(|member| (member.name.clone(), plain(&member.node))).collect()
            }
        }
    }

    /// Bits of JSON in any order: mostly wrong, and often nearly right.
    fn scraps() -> impl Strategy<Value = String> {
        let scrap = prop_oneof![
            "[\\[\\]{}:,\" \n]",
            "\"(\\\\[\"\\\\/bfnrtu]|[a-z\u{fc}])*\"",
            "-?[0-9]{1,3}(\\.[0-9]+)?([eE][+-]?[0-9]+)?",
            "true|false|null|nul|\\[\\]|\\{\\}|\"a\":",
        ];
        proptest::collection::vec(scrap, 0..12).prop_map(|scraps| scraps.concat())
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<f64>().prop_map(Into::into),
            any::<String>().prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
                proptest::collection::hash_map(any::<String>(), inner, 0..6)
                    .prop_map(|members| members.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_serde_takes_is_taken_and_nothing_else(text in prop_oneof![scraps(), any::<String>()]) {
            let ours = parse(&text);
            let theirs = serde_json::from_str::<serde_json::Value>(&text);
            prop_assert_eq!(ours.as_ref().ok().map(plain), theirs.ok());
            if let Err(fault) = ours {
                prop_assert!(text.is_char_boundary(fault.at), "{fault:?}");
            }
        }

        #[test]
        fn json_is_read_as_serde_reads_it(value in json(), pretty in any::<bool>()) {
            let text = if pretty { format!("{value:#}") } else { value.to_string() };
            let node = parse(&text).map_err(|fault| TestCaseError::fail(format!("{fault:?}")))?;
            prop_assert_eq!(plain(&node), serde_json::from_str::<serde_json::Value>(&text).unwrap());
        }
    }

    #[test]
    fn depth_is_limited_where_serde_limits_it() {
        for depth in [126, 127, 128, 100_000] {
            let text = "[".repeat(depth) + &"]".repeat(depth);
            let theirs = serde_json::from_str::<serde_json::Value>(&text).is_ok();
            assert_eq!(parse(&text).is_ok(), theirs, "{depth}");
        }
    }

    #[test]
    fn keys_and_values_have_their_places() {
        let text = "{ \"a\" : [ 1, \"\u{fc}\" ] }";
        let node = parse(text).unwrap();
        let Value::Table(members) = &node.value else { panic!("{node:?}") };
        assert_eq!(&text[members[0].key.clone()], "\"a\"");
        assert_eq!(&text[members[0].node.span.clone()], "[ 1, \"\u{fc}\" ]");
        let Value::List(entries) = &members[0].node.value else { panic!("{node:?}") };
        assert_eq!(&text[entries[1].span.clone()], "\"\u{fc}\"");
    }
}
