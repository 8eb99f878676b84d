//! Every field type, octet for octet (AMQP 0-9-1 §4.2.1, RabbitMQ errata 3).

use amqp_serde::types::{ByteArray, DecimalValue, FieldArray, FieldTable, FieldValue, LongStr};
use amqp_serde::{Error, from_bytes, to_bytes};

/// Each type as it stands on the wire, and what it means.
fn field_types() -> Vec<(&'static [u8], FieldValue)> {
    let array = FieldArray::try_from(vec![FieldValue::V, "a".into()]).unwrap();
    let mut table = FieldTable::new();
    table.insert("n".try_into().unwrap(), FieldValue::B(9));
    let not_text = LongStr::try_from(&b"\xffz"[..]).unwrap();
    vec![
        (b"t\x00", FieldValue::t(false)),
        (b"t\x01", FieldValue::t(true)),
        (b"b\xfe", FieldValue::b(-2)),
        (b"B\xfe", FieldValue::B(254)),
        (b"s\xff\xfe", FieldValue::s(-2)),
        (b"U\xff\xfe", FieldValue::U(-2)),
        (b"u\xff\xfe", FieldValue::u(65534)),
        (b"I\xff\xff\xff\xfe", FieldValue::I(-2)),
        (b"i\xff\xff\xff\xfe", FieldValue::i(4_294_967_294)),
        (b"l\xff\xff\xff\xff\xff\xff\xff\xfe", FieldValue::l(-2)),
        (b"L\xff\xff\xff\xff\xff\xff\xff\xfe", FieldValue::L(-2)),
        (b"f\x3f\xc0\x00\x00", FieldValue::f(1.5)),
        (b"d\x3f\xf8\x00\x00\x00\x00\x00\x00", FieldValue::d(1.5)),
        (b"D\x02\xff\xff\xff\xfe", FieldValue::D(DecimalValue::new(2, -2))),
        (b"S\x00\x00\x00\x02hi", "hi".into()),
        (b"S\x00\x00\x00\x00", "".into()),
        (b"S\x00\x00\x00\x02\xffz", FieldValue::S(not_text)),
        (b"A\x00\x00\x00\x07VS\x00\x00\x00\x01a", FieldValue::A(array)),
        (b"A\x00\x00\x00\x00", FieldValue::A(FieldArray::new())),
        (b"T\x00\x00\x00\x00\x00\x00\x01\x00", FieldValue::T(256)),
        (b"F\x00\x00\x00\x04\x01nB\x09", FieldValue::F(table)),
        (b"F\x00\x00\x00\x00", FieldValue::F(FieldTable::new())),
        (b"V", FieldValue::V),
        (b"x\x00\x00\x00\x02\x00\xff", FieldValue::x(ByteArray::try_from(vec![0, 255]).unwrap())),
    ]
}

#[test]
fn every_field_type_is_read_and_written_octet_for_octet() {
    for (wire, value) in field_types() {
        assert_eq!(from_bytes::<FieldValue>(wire).unwrap(), value);
        assert_eq!(to_bytes(&value).unwrap(), wire, "{value:?}");
        assert_eq!(value.tag(), wire[0]);
    }
}

#[test]
fn every_field_type_survives_in_a_table_and_in_an_array() {
    let mut table = FieldTable::new();
    for (index, (_, value)) in field_types().into_iter().enumerate() {
        let name = index.to_string().try_into().unwrap();
        assert_eq!(table.insert(name, value), None);
    }
    let read: FieldTable = from_bytes(&to_bytes(&table).unwrap()).unwrap();
    assert!(read.opaque_tail().is_empty());
    let values: Vec<_> = read.iter().map(|field| field.value()).collect();
    let expected: Vec<_> = field_types().into_iter().map(|(_, value)| value).collect();
    assert_eq!(values, expected);

    let array = FieldArray::try_from(expected.clone()).unwrap();
    let read: FieldArray = from_bytes(&to_bytes(&array).unwrap()).unwrap();
    assert_eq!(read.as_slice(), expected);
    assert_eq!(read, array);
}

#[test]
fn a_value_cut_short_is_an_error_at_every_place() {
    for (wire, _) in field_types() {
        for end in 0..wire.len() {
            let cut = from_bytes::<FieldValue>(&wire[..end]);
            assert!(matches!(cut, Err(Error::Eof | Error::Syntax)), "{wire:?}");
        }
    }
}

#[test]
fn a_value_with_octets_after_it_is_an_error() {
    for (wire, _) in field_types() {
        let longer = [wire, b"!"].concat();
        let read = from_bytes::<FieldValue>(&longer);
        assert!(matches!(read, Err(Error::Incomplete)), "{wire:?}");
    }
}

#[test]
fn an_unknown_tag_is_an_error_and_no_panic() {
    for tag in (0..=255_u8).filter(|tag| !b"tbBsUuIilLfdDSATFVx".contains(tag)) {
        let read = from_bytes::<FieldValue>(&[tag, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert!(matches!(read, Err(Error::Syntax)), "{tag}");
    }
}

#[test]
fn any_octet_but_zero_is_true() {
    assert_eq!(from_bytes::<FieldValue>(b"t\x02").unwrap(), true.into());
}

#[test]
fn a_decimal_tells_its_parts() {
    let decimal = DecimalValue::new(2, 314);
    assert_eq!((decimal.scale(), decimal.value()), (2, 314));
    assert_eq!(decimal.to_string(), "Decimal(2, 314)");
}
