//! A message's properties with some of them changed, and every other octet as it came.

use amqprs::{BasicProperties, FieldTable};

use super::properties::Properties;

/// What becomes of one header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It stays as it is.
    Keep,
    /// It goes.
    Drop,
    /// Its value stays, under this name of at most 255 bytes.
    Rename(&'static str),
}

/// The value of a header that is added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Added {
    /// A long string (`S`).
    Text(Vec<u8>),
    /// A signed 64-bit integer (`l`).
    Integer(i64),
    /// A timestamp (`T`), in seconds since 1970.
    Timestamp(u64),
}

/// The properties that a copy must not have; they are handed out instead.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// `expiration`, as it came.
    pub expiration: Option<Vec<u8>>,
    /// `user_id`, as it came.
    pub user_id: Option<Vec<u8>>,
}

/// The flags of `basic`'s properties, the highest bit first (AMQP 0-9-1 section 4.2.6.1), and how
/// each is written.
const LAYOUT: [Kind; 14] = [
    Kind::Short,     // content_type
    Kind::Short,     // content_encoding
    Kind::Table,     // headers
    Kind::Octets(1), // delivery_mode
    Kind::Octets(1), // priority
    Kind::Short,     // correlation_id
    Kind::Short,     // reply_to
    Kind::Short,     // expiration
    Kind::Short,     // message_id
    Kind::Octets(8), // timestamp
    Kind::Short,     // type
    Kind::Short,     // user_id
    Kind::Short,     // app_id
    Kind::Short,     // cluster_id
];

const EXPIRATION: usize = 7;
const USER_ID: usize = 11;

enum Kind {
    Short,
    Table,
    Octets(usize),
}

impl Properties {
    /// The same without `expiration` and `user_id`, and what these were.
    #[must_use]
    pub fn without_expiry_and_user(&self) -> (Properties, Removed) {
        match split(&self.0) {
            Some((properties, removed)) => (Properties(properties), removed),
            // Not reached: the codec reads what it has written.
            None => (self.clone(), Removed::default()),
        }
    }

    /// The same with other headers: each by its `fate`, and then those of `added`, which replace
    /// any of the same name.
    #[must_use]
    pub fn with_headers(
        &self,
        fate: impl Fn(&[u8]) -> Fate,
        added: impl IntoIterator<Item = (&'static str, Added)>,
    ) -> Properties {
        let added: Vec<_> = added.into_iter().collect();
        let is_replaced = |name: &[u8]| added.iter().any(|(new, _)| new.as_bytes() == name);
        let mut octets = Vec::new();
        if let Some(table) = self.0.headers() {
            let mut fields = table.iter();
            let mut rest = fields.rest();
            while let Some(field) = fields.next() {
                let whole = &rest[..rest.len() - fields.rest().len()];
                rest = fields.rest();
                match fate(field.name_bytes()) {
                    Fate::Keep if !is_replaced(field.name_bytes()) => {
                        octets.extend_from_slice(whole);
                    }
                    Fate::Keep | Fate::Drop => {}
                    Fate::Rename(name) => {
                        put_name(&mut octets, name);
                        octets.extend_from_slice(&whole[1 + field.name_bytes().len()..]);
                    }
                }
            }
        }
        for (name, value) in &added {
            put_name(&mut octets, name);
            value.put(&mut octets);
        }
        let headers = table(&octets);
        let mut properties = self.0.clone();
        properties.with_headers(headers);
        Properties(properties)
    }

    /// The octets that they take in a content header frame.
    #[must_use]
    pub fn octets(&self) -> usize {
        amqp_serde::to_bytes(&self.0).map_or(0, |octets| octets.len())
    }
}

impl Added {
    fn put(&self, octets: &mut Vec<u8>) {
        match self {
            Self::Text(text) => {
                octets.push(b'S');
                octets.extend(u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes());
                octets.extend_from_slice(text);
            }
            Self::Integer(value) => {
                octets.push(b'l');
                octets.extend(value.to_be_bytes());
            }
            Self::Timestamp(seconds) => {
                octets.push(b'T');
                octets.extend(seconds.to_be_bytes());
            }
        }
    }
}

fn put_name(octets: &mut Vec<u8>, name: &str) {
    octets.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
    octets.extend_from_slice(name.as_bytes());
}

/// A table of these octets.
fn table(octets: &[u8]) -> FieldTable {
    let length = u32::try_from(octets.len()).unwrap_or(u32::MAX);
    let wire = [&length.to_be_bytes()[..], octets].concat();
    amqp_serde::from_bytes(&wire).unwrap_or_default()
}

fn split(properties: &BasicProperties) -> Option<(BasicProperties, Removed)> {
    let octets = amqp_serde::to_bytes(properties).ok()?;
    let (flags, mut rest) = octets.split_first_chunk::<2>()?;
    let mut flags = u16::from_be_bytes(*flags);
    let mut kept = vec![0; 2];
    let mut removed = Removed::default();
    for (place, kind) in LAYOUT.iter().enumerate() {
        let flag = 0x8000 >> place;
        if flags & flag == 0 {
            continue;
        }
        let length = match kind {
            Kind::Short => 1 + usize::from(*rest.first()?),
            Kind::Table => {
                4 + usize::try_from(u32::from_be_bytes(*rest.first_chunk::<4>()?)).ok()?
            }
            Kind::Octets(count) => *count,
        };
        let (field, behind) = rest.split_at_checked(length)?;
        rest = behind;
        match place {
            EXPIRATION => removed.expiration = Some(field[1..].to_vec()),
            USER_ID => removed.user_id = Some(field[1..].to_vec()),
            _ => {
                kept.extend_from_slice(field);
                continue;
            }
        }
        flags &= !flag;
    }
    kept[..2].copy_from_slice(&flags.to_be_bytes());
    Some((amqp_serde::from_bytes(&kept).ok()?, removed))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Properties of these octets: flags, then values.
    fn read(octets: &[u8]) -> Properties {
        Properties(amqp_serde::from_bytes(octets).expect("they are properties"))
    }

    fn written(properties: &Properties) -> Vec<u8> {
        amqp_serde::to_bytes(&properties.0).expect("they can be written")
    }

    #[test]
    fn only_expiration_and_user_go_and_all_other_octets_stay() {
        // Every property there is, texts that are not UTF-8 among them.
        let all = b"\xff\xfc\x02\xff\xfe\x01e\0\0\0\x08\x01\xffS\0\0\0\x01\xff\x02\x05\x01c\x01r\x0260\x01m\0\0\0\0\0\0\0\x09\x01t\x02me\x01a\x01i";
        let (properties, removed) = read(all).without_expiry_and_user();
        assert_eq!(removed.expiration.as_deref(), Some(&b"60"[..]));
        assert_eq!(removed.user_id.as_deref(), Some(&b"me"[..]));
        let kept = b"\xfe\xec\x02\xff\xfe\x01e\0\0\0\x08\x01\xffS\0\0\0\x01\xff\x02\x05\x01c\x01r\x01m\0\0\0\0\0\0\0\x09\x01t\x01a\x01i";
        assert_eq!(written(&properties), kept);
        let (none, removed) = read(b"\0\0").without_expiry_and_user();
        assert_eq!((written(&none).as_slice(), removed), (&b"\0\0"[..], Removed::default()));
    }

    #[test]
    fn a_header_is_renamed_or_goes_and_the_others_keep_order_and_octets() {
        let headers = b"\x01aS\0\0\0\x01\xff\x01bt\x02\x01aI\0\0\0\x01\x01cL\0\0\0\0\0\0\0\x07";
        let whole = [&b"\x20\0\0\0\0\x1e"[..], headers].concat();
        let changed = read(&whole).with_headers(
            |name| match name {
                b"b" => Fate::Drop,
                b"c" => Fate::Rename("other"),
                _ => Fate::Keep,
            },
            [("n", Added::Integer(1)), ("t", Added::Text(vec![0xff]))],
        );
        let fields: Vec<_> = changed
            .0
            .headers()
            .expect("there are some")
            .iter()
            .map(|field| (field.name_bytes().to_vec(), field.tag(), field.value_bytes().to_vec()))
            .collect();
        let expected = [
            (&b"a"[..], b'S', &b"\xff"[..]),
            (b"a", b'I', b"\0\0\0\x01"),
            (b"other", b'L', b"\0\0\0\0\0\0\0\x07"),
            (b"n", b'l', b"\0\0\0\0\0\0\0\x01"),
            (b"t", b'S', b"\xff"),
        ];
        let expected: Vec<_> =
            expected.iter().map(|(n, t, v)| (n.to_vec(), *t, v.to_vec())).collect();
        assert_eq!(fields, expected);
    }
}
