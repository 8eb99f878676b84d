//! Tables and arrays are their octets, whatever those are.

use amqp_serde::types::{FieldArray, FieldName, FieldTable, FieldValue};
use amqp_serde::{Error, from_bytes, to_bytes};

fn name(octets: &[u8]) -> FieldName {
    octets.try_into().unwrap()
}

/// A table as it stands on the wire.
fn wire_table(fields: &[u8]) -> Vec<u8> {
    let length = u32::try_from(fields.len()).unwrap();
    [&length.to_be_bytes(), fields].concat()
}

fn table(fields: &[u8]) -> FieldTable {
    from_bytes(&wire_table(fields)).unwrap()
}

/// `levels` tables or arrays, one inside the other, each with octets before
/// (tag, perhaps a name) and its length.
fn nested(levels: usize, before: &[u8]) -> Vec<u8> {
    let mut reversed: Vec<u8> = Vec::new();
    for _ in 0..levels {
        let length = u32::try_from(reversed.len()).unwrap().to_be_bytes();
        reversed.extend(length.iter().rev());
        reversed.extend(before.iter().rev());
    }
    reversed.reverse();
    reversed
}

#[test]
fn names_and_values_that_are_not_text_are_kept() {
    let fields = b"\x01\xffS\0\0\0\x03a\xfeb\x01kS\0\0\0\x01v";
    let table = table(fields);
    let value = table.get(&name(b"\xff")).unwrap();
    let FieldValue::S(string) = value else {
        panic!("not a string: {value:?}");
    };
    assert_eq!(string.as_bytes(), b"a\xfeb");
    assert_eq!(string.as_ref(), "a\u{fffd}b");
    assert_eq!(table.get(&name(b"k")), Some(&"v".into()));
    assert_eq!(to_bytes(&table).unwrap(), wire_table(fields));
}

#[test]
fn names_with_the_same_view_as_text_are_two_names() {
    let table = table(b"\x01\xfeB\x01\x01\xffB\x02");
    assert_eq!(table.as_ref().len(), 2);
    assert_eq!(table.get(&name(b"\xfe")), Some(&FieldValue::B(1)));
    assert_eq!(table.get(&name(b"\xff")), Some(&FieldValue::B(2)));
}

#[test]
fn order_repeated_names_and_odd_booleans_are_written_as_they_were_read() {
    let fields = b"\x01zt\x02\x01aB\x01\x01zt\x00";
    let table = table(fields);
    assert_eq!(table.as_ref().len(), 2);
    assert_eq!(table.get(&name(b"z")), Some(&false.into()));
    let names: Vec<_> = table.iter().map(|field| field.name_bytes()).collect();
    assert_eq!(names, [b"z", b"a", b"z"]);
    assert_eq!(to_bytes(&table).unwrap(), wire_table(fields));
}

#[test]
fn an_unknown_tag_leaves_the_rest_of_the_table_as_octets() {
    let fields = b"\x01aB\x01\x01q?\x00\x00\x01zB\x02";
    let table = table(fields);
    assert_eq!(table.iter().count(), 1);
    assert_eq!(table.opaque_tail(), b"\x01q?\x00\x00\x01zB\x02");
    assert_eq!(to_bytes(&table).unwrap(), wire_table(fields));
}

#[test]
fn a_length_beyond_the_table_leaves_the_rest_as_octets() {
    let table = table(b"\x01aB\x01\x01sS\xff\xff\xff\xffhi");
    assert_eq!(table.iter().count(), 1);
    assert_eq!(table.opaque_tail(), b"\x01sS\xff\xff\xff\xffhi");
}

#[test]
fn a_table_longer_than_the_frame_is_an_error_and_takes_no_memory() {
    let read = from_bytes::<FieldTable>(b"\xff\xff\xff\xff\x01aB\x01");
    assert!(matches!(read, Err(Error::Syntax)));
}

#[test]
fn a_field_is_put_at_the_end_but_before_what_is_not_understood() {
    let mut table = table(b"\x01aB\x01\x01q?");
    assert_eq!(table.insert(name(b"b"), FieldValue::B(2)), None);
    assert_eq!(table.as_bytes(), b"\x01aB\x01\x01bB\x02\x01q?");
    assert_eq!(table.get(&name(b"b")), Some(&FieldValue::B(2)));
}

#[test]
fn putting_a_field_replaces_those_of_its_name_and_leaves_the_others_alone() {
    let mut table = table(b"\x01zB\x01\x01at\x02\x01zB\x02");
    assert_eq!(table.insert(name(b"z"), FieldValue::V), Some(FieldValue::B(2)));
    assert_eq!(table.as_bytes(), b"\x01at\x02\x01zV");
}

#[test]
fn a_field_taken_out_is_seen_no_more() {
    let mut table = table(b"\x01aB\x01\x01bB\x02");
    assert_eq!(table.get(&name(b"a")), Some(&FieldValue::B(1)));
    assert_eq!(table.remove(&name(b"a")), Some(FieldValue::B(1)));
    assert_eq!(table.get(&name(b"a")), None);
    assert_eq!(table.remove(&name(b"a")), None);
    assert_eq!(table.as_bytes(), b"\x01bB\x02");
}

#[test]
fn fields_can_be_read_without_copying() {
    let table = table(b"\x01aS\0\0\0\x02hi\x01bS\0\0\0\x01\xff\x01nI\0\0\0\x07");
    let texts: Vec<_> = table.iter().map(|field| field.text()).collect();
    assert_eq!(texts, [Some("hi"), None, None]);
    let last = table.iter().last().unwrap();
    assert_eq!((last.tag(), last.value_bytes()), (b'I', &[0, 0, 0, 7][..]));
    assert_eq!(last.value(), FieldValue::I(7));
}

#[test]
fn tables_are_equal_in_whatever_order() {
    let one = table(b"\x01aB\x01\x01bB\x02");
    assert_eq!(one, table(b"\x01bB\x02\x01aB\x01"));
    assert_ne!(one, table(b"\x01bB\x02\x01aB\x03"));
    assert_ne!(one, table(b"\x01bB\x02\x01aB\x01?"));
}

#[test]
fn tables_and_arrays_are_shown_even_when_empty() {
    assert_eq!(FieldTable::new().to_string(), "{ }");
    assert_eq!(FieldArray::new().to_string(), "[ ]");
    assert_eq!(table(b"\x01aB\x01\x01bV").to_string(), "{ a: 1, b: () }");
    let array = FieldArray::try_from(vec![true.into(), "x".into()]).unwrap();
    assert_eq!(array.to_string(), "[ true, x ]");
    assert_eq!(Vec::from(array), [true.into(), "x".into()]);
}

#[test]
fn what_fills_a_frame_with_nested_tables_is_read_shown_compared_and_written() {
    for before in [&b"\x01nF"[..], b"\x01nA"] {
        // As deep as a frame of RabbitMQ's 128 KiB can hold.
        let inner = if before == b"\x01nF" { before } else { b"A" };
        let fields = [&before[..2], &nested(26_000, inner)[inner.len() - 1..]].concat();
        let one = table(&fields);
        let mut other = fields.clone();
        *other.last_mut().unwrap() ^= 1;
        assert_eq!(one, one.clone());
        assert_ne!(one, table(&other));
        assert!(!format!("{one} {one:?}").is_empty());
        assert!(one.opaque_tail().is_empty());
        assert_eq!(to_bytes(&one).unwrap(), wire_table(&fields));
    }
}

#[test]
fn what_lies_deeper_than_64_is_kept_but_not_looked_into() {
    let mut value = from_bytes::<FieldValue>(&nested(100, b"A")).unwrap();
    let mut depth = 0;
    while let FieldValue::A(array) = &value {
        let Some(inner) = array.as_slice().first() else {
            assert_eq!(array.opaque_tail(), nested(99 - depth, b"A"));
            break;
        };
        value = inner.clone();
        depth += 1;
    }
    // A clone starts counting afresh, so the whole of it can be walked...
    assert_eq!(depth, 99);

    // ...but not by reference.
    let value = from_bytes::<FieldValue>(&nested(100, b"A")).unwrap();
    let mut inner = &value;
    let mut depth = 0;
    while let FieldValue::A(array) = inner {
        let Some(first) = array.as_slice().first() else {
            assert_eq!(array.opaque_tail(), nested(35, b"A"));
            break;
        };
        inner = first;
        depth += 1;
    }
    assert_eq!(depth, 64);
    assert_eq!(to_bytes(&value).unwrap(), nested(100, b"A"));
}

#[test]
fn tables_built_thousands_deep_are_shown_and_let_go_without_harm() {
    let mut table = FieldTable::new();
    for _ in 0..5_000 {
        let mut outer = FieldTable::new();
        outer.insert(name(b"n"), table.into());
        table = outer;
    }
    assert!(!format!("{table:?}").is_empty());
}
