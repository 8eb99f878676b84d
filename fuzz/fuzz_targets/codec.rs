//! The codec: whatever octets come, nothing panics, nothing is lost.

#![no_main]

use amqp_serde::types::{
    ByteArray, FieldArray, FieldName, FieldTable, FieldValue, LongStr, ShortStr,
};
use amqp_serde::{from_bytes, to_bytes};
use libfuzzer_sys::fuzz_target;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// `basic.deliver` (AMQP 0-9-1 §1.8.3.13).
#[derive(Debug, Serialize, Deserialize)]
struct Deliver {
    consumer_tag: ShortStr,
    delivery_tag: u64,
    redelivered: u8,
    exchange: ShortStr,
    routing_key: ShortStr,
}

/// Some of a message's properties, one of each type.
#[derive(Debug, Serialize, Deserialize)]
struct Properties {
    flags: [u8; 2],
    content_type: Option<ShortStr>,
    headers: Option<FieldTable>,
    priority: Option<u8>,
    timestamp: Option<u64>,
}

/// Rust's own types, which take the length before them.
#[derive(Debug, Deserialize)]
struct Measured {
    _text: (u8, String),
    _octets: (u32, Vec<u8>),
    _values: (u32, Vec<FieldValue>),
    _units: (u8, Vec<()>),
}

fn written_back<T: DeserializeOwned + Serialize>(octets: &[u8]) -> Option<T> {
    let value = from_bytes::<T>(octets).ok()?;
    assert_eq!(to_bytes(&value).expect("what was read can be written"), octets);
    Some(value)
}

/// Looks at everything in a value, as a consumer may.
fn look(value: &FieldValue) {
    match value {
        FieldValue::A(array) => {
            assert!(array.as_bytes().ends_with(array.opaque_tail()));
            array.iter().for_each(look);
        }
        FieldValue::F(table) => look_into(table),
        FieldValue::S(string) => {
            assert_eq!(string.as_str().is_some(), std::str::from_utf8(string.as_bytes()).is_ok())
        }
        value => {
            let octets = to_bytes(value).expect("a value can be written");
            let read: FieldValue = from_bytes(&octets).expect("what was written can be read");
            assert_eq!(to_bytes(&read).expect("a value can be written"), octets);
        }
    }
}

fn look_into(table: &FieldTable) {
    assert!(table.as_bytes().ends_with(table.opaque_tail()));
    table.as_ref().values().for_each(look);
    for field in table {
        assert!(table.get(&field.name()).is_some());
    }
}

/// Puts in and takes out, and checks that nothing else changes.
fn change(mut table: FieldTable) {
    let before: usize = table.iter().count();
    let name = FieldName::try_from("x-added").expect("a short name");
    let same = table.iter().filter(|f| f.name_bytes() == name.as_bytes());
    let rest = before - same.count();
    let tail = table.opaque_tail().to_owned();
    table.insert(name.clone(), "value".into());
    assert_eq!(table.get(&name), Some(&"value".into()));
    assert_eq!(table.iter().count(), rest + 1);
    assert_eq!(table.opaque_tail(), tail);
    table.remove(&name);
    assert_eq!(table.iter().count(), rest);
}

fuzz_target!(|octets: &[u8]| {
    written_back::<Deliver>(octets);
    written_back::<Properties>(octets);
    written_back::<LongStr>(octets);
    written_back::<ByteArray>(octets);
    if let Some(name) = written_back::<ShortStr>(octets) {
        ShortStr::try_from(name.to_string()).expect("its text is a short string too");
    }
    let _ = from_bytes::<Measured>(octets);
    if let Ok(value) = from_bytes::<FieldValue>(octets) {
        look(&value);
    }

    // The rest is about what is inside: any octets make a table and an array.
    let length = u32::try_from(octets.len()).expect("a short input").to_be_bytes();
    let wire = [&length[..], octets].concat();
    let table: FieldTable = written_back(&wire).expect("any octets make a table");
    let array: FieldArray = written_back(&wire).expect("any octets make an array");
    look_into(&table);
    look(&FieldValue::A(array));
    let _ = format!("{table} {table:?}");
    let _ = table == table.clone();
    change(table);
});
