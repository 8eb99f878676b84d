//! Our arguments as the client library's tables.

use std::collections::BTreeMap;

use amqprs::{FieldName, FieldTable, FieldValue};

use crate::config::definition::{Argument, QueueType};

/// Makes a table of `arguments`.
pub(super) fn table(arguments: &BTreeMap<String, Argument>) -> FieldTable {
    let mut table = FieldTable::new();
    for (name, value) in arguments {
        let value = match value {
            Argument::Boolean(value) => FieldValue::t(*value),
            Argument::Integer(value) => FieldValue::l(*value),
            Argument::Text(value) => FieldValue::from(value.as_str()),
        };
        insert(&mut table, name, value);
    }
    table
}

/// Adds one argument.
pub(super) fn insert(table: &mut FieldTable, name: &str, value: FieldValue) {
    let name = FieldName::try_from(name).expect("argument names were checked on load");
    table.insert(name, value);
}

/// The value of `x-queue-type`.
pub(super) fn queue_type(kind: QueueType) -> FieldValue {
    FieldValue::from(match kind {
        QueueType::Classic => "classic",
        QueueType::Quorum => "quorum",
        QueueType::Stream => "stream",
    })
}
