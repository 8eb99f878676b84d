//! The public interface that amqprs and its users build on.

use std::collections::HashMap;
use std::hash::Hash;
use std::num::TryFromIntError;

use amqp_serde::types::*;
use amqp_serde::{Deserializer, Error, from_bytes, to_buffer, to_bytes};
use bytes::BytesMut;
use serde::de::DeserializeOwned;
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};

#[test]
fn every_type_has_the_traits_it_is_expected_to_have() {
    fn wire<T: Serialize + DeserializeOwned + Clone + PartialEq + std::fmt::Debug>() {}
    fn shown<T: std::fmt::Display + Send + Sync + 'static>() {}
    fn key<T: Eq + Hash + Default>() {}
    wire::<ShortStr>();
    wire::<LongStr>();
    wire::<DecimalValue>();
    wire::<ByteArray>();
    wire::<FieldArray>();
    wire::<FieldTable>();
    wire::<FieldValue>();
    shown::<ShortStr>();
    shown::<LongStr>();
    shown::<DecimalValue>();
    shown::<ByteArray>();
    shown::<FieldArray>();
    shown::<FieldTable>();
    shown::<FieldValue>();
    shown::<Error>();
    key::<FieldName>();
    key::<LongStr>();
}

#[test]
fn strings_convert_to_and_from_rust_s_own() {
    let short: ShortStr = "hi".try_into().unwrap();
    let long: LongStr = String::from("hi").try_into().unwrap();
    let as_ref: (&String, &String) = (short.as_ref(), long.as_ref());
    assert_eq!(as_ref, (&"hi".to_owned(), &"hi".to_owned()));
    assert_eq!(format!("{short}{long}"), "hihi");
    assert_eq!(String::from(short) + &String::from(long), "hihi");
    let too_long: Result<ShortStr, TryFromIntError> = "x".repeat(256).try_into();
    assert!(too_long.is_err());
}

#[test]
fn values_convert_to_and_from_rust_s_own() {
    let flag = bool::try_from(FieldValue::from(true));
    assert!(flag.unwrap());
    let value = FieldValue::from("text");
    let text: (&str, &String, &LongStr) =
        ((&value).try_into().unwrap(), (&value).try_into().unwrap(), (&value).try_into().unwrap());
    assert_eq!((text.0, text.1.as_str()), ("text", "text"));
    assert_eq!(text.2.as_str(), Some("text"));
    assert_eq!(String::try_from(value.clone()).unwrap(), "text");
    assert_eq!(LongStr::try_from(value).unwrap().to_string(), "text");
    let table = FieldTable::try_from(FieldValue::from(FieldTable::new()));
    assert_eq!(table.unwrap(), FieldTable::default());
    let refused = bool::try_from(FieldValue::V).unwrap_err();
    assert_eq!(refused.to_string(), "not a bool");
}

#[test]
fn a_table_is_seen_as_a_hash_map() {
    let mut table = FieldTable::new();
    table.insert("a".try_into().unwrap(), FieldValue::u(1));
    let map: &HashMap<FieldName, FieldValue> = table.as_ref();
    assert_eq!(map[&"a".try_into().unwrap()], FieldValue::u(1));
    assert_eq!(table.remove(&"a".try_into().unwrap()), Some(FieldValue::u(1)));
    assert!(table.as_ref().is_empty());
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Method {
    ticket: ShortUint,
    queue: AmqpQueueName,
    no_wait: Boolean,
    priority: Option<Octect>,
    arguments: FieldTable,
    flags: [Octect; 2],
    unit: Unit,
    tag: AmqpDeliveryTag,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Unit;

#[test]
fn a_struct_is_its_fields_one_after_the_other() {
    let method = Method {
        ticket: 1,
        queue: "q".try_into().unwrap(),
        no_wait: true,
        priority: Some(7),
        arguments: FieldTable::new(),
        flags: [2, 3],
        unit: Unit,
        tag: 9,
    };
    let wire = b"\0\x01\x01q\x01\x07\0\0\0\0\x02\x03\0\0\0\0\0\0\0\x09";
    assert_eq!(to_bytes(&method).unwrap(), wire);
    assert_eq!(from_bytes::<Method>(wire).unwrap(), method);
}

#[test]
fn what_is_absent_is_not_written() {
    assert_eq!(to_bytes(&(1_u8, None::<ShortStr>, 2_u8)).unwrap(), [1, 2]);
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[expect(non_camel_case_types, reason = "variants are named by one octet")]
enum Letter {
    a,
    b(u16),
    c(u8, u8),
    d { x: u8 },
}

#[test]
fn an_enum_is_one_octet_and_what_its_variant_holds() {
    let letters = [Letter::a, Letter::b(1), Letter::c(2, 3), Letter::d { x: 4 }];
    let wire = b"ab\0\x01c\x02\x03d\x04";
    assert_eq!(to_bytes(&letters).unwrap(), wire);
    assert_eq!(from_bytes::<[Letter; 4]>(wire).unwrap(), letters);
    assert!(from_bytes::<Letter>(b"?").is_err());
    assert!(from_bytes::<Letter>(b"\xff").is_err());
}

#[test]
fn rust_s_own_strings_and_lists_take_the_length_before_them() {
    type Frame<'a> = (u8, &'a str, u32, Vec<u16>, u8, HashMap<u8, u8>, u8, char);
    let wire = b"\x02hi\0\0\0\x04\0\x01\0\x02\x02\x07\x08\x03\xe2\x82\xac";
    let frame: Frame<'_> = from_bytes(wire).unwrap();
    assert_eq!((frame.1, frame.3, frame.7), ("hi", vec![1, 2], '€'));
    assert_eq!(frame.5[&7], 8);

    assert!(matches!(from_bytes::<String>(b"hi"), Err(Error::ExpectedLength)));
    let beyond = from_bytes::<(u8, Vec<u8>)>(b"\x09a");
    assert!(matches!(beyond, Err(Error::Syntax)));
    let endless = from_bytes::<(u8, Vec<()>)>(b"\x01a");
    assert!(matches!(endless, Err(Error::Syntax)));
}

#[test]
fn a_map_of_unknown_size_is_written_with_its_length_in_octets() {
    struct Map;
    impl Serialize for Map {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let mut map = serializer.serialize_map(None)?;
            map.serialize_entry(&1_u8, &2_u16)?;
            map.end()
        }
    }
    assert_eq!(to_bytes(&Map).unwrap(), b"\0\0\0\x03\x01\0\x02");
    assert_eq!(to_bytes(&HashMap::from([(1_u8, 2_u8)])).unwrap(), [1, 2]);
}

#[test]
fn a_buffer_is_appended_to_and_says_by_how_much() {
    let mut buffer = BytesMut::from(&b"before"[..]);
    assert_eq!(to_buffer(&'S', &mut buffer).unwrap(), 1);
    assert_eq!(to_buffer(&7_u32, &mut buffer).unwrap(), 4);
    assert_eq!(&buffer[..], b"beforeS\0\0\0\x07");
}

#[test]
fn a_full_buffer_is_an_error_and_no_panic() {
    let mut room = [0_u8; 3];
    assert_eq!(to_buffer(&7_u16, &mut &mut room[..]).unwrap(), 2);
    assert!(to_buffer(&7_u32, &mut &mut room[..]).is_err());
}

#[test]
fn octets_too_few_or_too_many_are_named_as_such() {
    assert!(matches!(from_bytes::<u32>(b"\0"), Err(Error::Eof)));
    assert!(matches!(from_bytes::<u8>(b"\0\0"), Err(Error::Incomplete)));
}

#[test]
fn values_are_read_one_after_the_other_from_one_deserializer() {
    let mut deserializer = Deserializer::from_bytes(b"\x01a\x02");
    let name = ShortStr::deserialize(&mut deserializer).unwrap();
    assert_eq!(name.as_str(), Some("a"));
    assert_eq!(u8::deserialize(&mut deserializer).unwrap(), 2);
}

#[test]
fn strings_and_tables_are_one_pointer_since_amqprs_moves_each_frame_many_times() {
    assert_eq!(size_of::<Option<ShortStr>>(), size_of::<usize>());
    assert_eq!(size_of::<Option<LongStr>>(), size_of::<usize>());
    assert_eq!(size_of::<Option<FieldTable>>(), size_of::<usize>());
}
