//! Properties that hold for any octets and any values.

use amqp_serde::types::{ByteArray, FieldArray, FieldName, FieldTable, FieldValue, LongStr};
use amqp_serde::{from_bytes, to_bytes};
use amqprs::{BasicProperties, Deliver, GetOk, Return};
use proptest::collection::vec;
use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;

fn reads_and_writes_back<T: DeserializeOwned + Serialize + std::fmt::Debug>(octets: &[u8]) -> bool {
    let Ok(value) = from_bytes::<T>(octets) else {
        return false;
    };
    assert_eq!(to_bytes(&value).unwrap(), octets, "{value:?}");
    true
}

/// Octets that look like fields more often than chance would have it.
fn field_octets() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        3 => any::<u8>().prop_map(|octet| vec![octet]),
        2 => proptest::sample::select(b"tbBsUuIilLfdDSATFVx".to_vec()).prop_map(|tag| vec![tag]),
        2 => (0..9_u8).prop_map(|length| vec![length]),
        2 => (0..40_u8).prop_map(|length| vec![0, 0, 0, length]),
        1 => Just(vec![0xff; 4]),
        3 => (vec(any::<u8>(), 0..4), value()).prop_map(|(name, value)| {
            let mut table = FieldTable::new();
            table.insert(name.as_slice().try_into().unwrap(), value);
            table.as_bytes().to_owned()
        }),
    ];
    vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![vec(any::<u8>(), 0..12), "\\PC{0,6}".prop_map(String::into_bytes)]
}

fn value() -> impl Strategy<Value = FieldValue> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(FieldValue::t),
        any::<i8>().prop_map(FieldValue::b),
        any::<u16>().prop_map(FieldValue::u),
        any::<i64>().prop_map(FieldValue::L),
        any::<f64>().prop_map(FieldValue::d),
        any::<u64>().prop_map(FieldValue::T),
        Just(FieldValue::V),
        text().prop_map(|octets| FieldValue::S(LongStr::try_from(&octets[..]).unwrap())),
        text().prop_map(|octets| FieldValue::x(ByteArray::try_from(octets).unwrap())),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        let fields = vec((text(), inner.clone()), 0..4);
        prop_oneof![
            vec(inner, 0..4).prop_map(|values| FieldValue::A(values.try_into().unwrap())),
            fields.prop_map(|fields| {
                let mut table = FieldTable::new();
                for (name, value) in fields {
                    table.insert(name.as_slice().try_into().unwrap(), value);
                }
                table.into()
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_octets_make_reading_panic(octets in prop_oneof![vec(any::<u8>(), 0..64), field_octets()]) {
        reads_and_writes_back::<LongStr>(&octets);
        reads_and_writes_back::<FieldName>(&octets);
        reads_and_writes_back::<FieldTable>(&octets);
        reads_and_writes_back::<FieldArray>(&octets);
        reads_and_writes_back::<ByteArray>(&octets);
        // A boolean or a property flag on its own is written as understood.
        let _ = from_bytes::<FieldValue>(&octets);
        let _ = from_bytes::<BasicProperties>(&octets);
        let _ = from_bytes::<Deliver>(&octets);
        let _ = from_bytes::<GetOk>(&octets);
        let _ = from_bytes::<Return>(&octets);
    }

    #[test]
    fn any_octets_make_a_table_that_is_written_back(octets in field_octets()) {
        let length = u32::try_from(octets.len()).unwrap().to_be_bytes();
        let wire = [&length[..], &octets].concat();
        prop_assert!(reads_and_writes_back::<FieldTable>(&wire));
        prop_assert!(reads_and_writes_back::<FieldArray>(&wire));

        let table: FieldTable = from_bytes(&wire).unwrap();
        let shown = format!("{table} {table:?}");
        prop_assert!(!shown.is_empty());
        prop_assert_eq!(&table, &table.clone());
        let names: Vec<_> = table.iter().map(|field| field.name()).collect();
        prop_assert!(names.iter().all(|name| table.get(name).is_some()));
    }

    #[test]
    fn a_value_is_read_as_it_was_written(value in value()) {
        let wire = to_bytes(&value).unwrap();
        prop_assert_eq!(from_bytes::<FieldValue>(&wire).unwrap(), value);
    }

    #[test]
    fn properties_around_any_table_are_written_back(
        name in text(),
        octets in field_octets(),
    ) {
        let short = [&[u8::try_from(name.len()).unwrap()][..], &name].concat();
        let length = u32::try_from(octets.len()).unwrap().to_be_bytes();
        let wire = [b"\xe7\xbc", &short[..], &short, &length, &octets, &short.repeat(8)].concat();
        prop_assert!(reads_and_writes_back::<BasicProperties>(&wire));
    }

    #[test]
    fn a_table_does_what_a_map_does(
        octets in field_octets(),
        steps in vec((0..4_u8, proptest::option::of(value())), 0..12),
    ) {
        let length = u32::try_from(octets.len()).unwrap().to_be_bytes();
        let mut table: FieldTable = from_bytes(&[&length[..], &octets].concat()).unwrap();
        let mut map = table.as_ref().clone();
        let tail = table.opaque_tail().to_owned();
        for (name, value) in steps {
            let name: FieldName = [name].as_slice().try_into().unwrap();
            let (was, expected) = match value {
                Some(value) => (table.insert(name.clone(), value.clone()), map.insert(name, value)),
                None => (table.remove(&name), map.remove(&name)),
            };
            prop_assert_eq!(to_bytes(&was).unwrap(), to_bytes(&expected).unwrap());
            prop_assert_eq!(table.as_ref().len(), map.len());
            prop_assert_eq!(table.opaque_tail(), &tail[..]);
        }
    }
}
