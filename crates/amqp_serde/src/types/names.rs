//! The names that AMQP gives to plain numbers and to uses of other types.

use super::{FieldTable, LongStr, ShortStr};

/// One bit. Bits are packed into octets on the wire (AMQP 0-9-1 §4.2.5.2), so
/// use the octet that holds them.
pub type Bit = u8;
/// An octet (AMQP 0-9-1 §4.2.1).
pub type Octect = u8;
/// A boolean: zero is false, anything else is true (AMQP 0-9-1 §4.2.1).
pub type Boolean = bool;
/// 8 bits, unsigned; tag `B`.
pub type ShortShortUint = u8;
/// 8 bits, signed; tag `b`.
pub type ShortShortInt = i8;
/// 16 bits, unsigned; tag `u`.
pub type ShortUint = u16;
/// 16 bits, signed; tag `s`, or `U` in AMQP 0-9-1 §4.2.1.
pub type ShortInt = i16;
/// 32 bits, unsigned; tag `i`.
pub type LongUint = u32;
/// 32 bits, signed; tag `I`.
pub type LongInt = i32;
/// 64 bits, unsigned. No field type: RabbitMQ's are signed (RabbitMQ errata 3).
pub type LongLongUint = u64;
/// 64 bits, signed; tags `l` and `L` (RabbitMQ errata 3).
pub type LongLongInt = i64;
/// Seconds since 1970 (AMQP 0-9-1 §4.2.5.4); tag `T`.
pub type TimeStamp = u64;
/// IEEE 754, 32 bits; tag `f`.
pub type Float = f32;
/// IEEE 754, 64 bits; tag `d`.
pub type Double = f64;

/// A field's name: a short string (AMQP 0-9-1 §4.2.5.5).
pub type FieldName = ShortStr;

/// A channel's number, as each frame's header has it (AMQP 0-9-1 §4.2.3).
pub type AmqpChannelId = ShortUint;
/// A class's number.
pub type AmqpClassId = ShortUint;
/// A method's number within its class.
pub type AmqpMethodId = ShortUint;
/// Names a consumer within its channel.
pub type AmqpConsumerTag = ShortStr;
/// Numbers a delivery within its channel.
pub type AmqpDeliveryTag = LongLongUint;
/// Where a message goes.
pub type AmqpDestination = ShortStr;
/// A span of time.
pub type AmqpDuration = LongLongUint;
/// Names an exchange.
pub type AmqpExchangeName = ShortStr;
/// A number of messages.
pub type AmqpMessageCount = LongUint;
/// A place within something.
pub type AmqpOffset = LongUint;
/// A virtual host.
pub type AmqpPath = ShortStr;
/// What client and server tell of themselves.
pub type AmqpPeerProperties = FieldTable;
/// Names a queue.
pub type AmqpQueueName = ShortStr;
/// Points at something.
pub type AmqpReference = LongStr;
/// Why something was rejected, as a number.
pub type AmqpRejectCode = ShortUint;
/// Why something was rejected, in words.
pub type AmqpRejectText = ShortStr;
/// A reply, as a number.
pub type AmqpReplyCode = ShortUint;
/// A reply, in words.
pub type AmqpReplyText = ShortStr;
/// A challenge or a response while logging in.
pub type AmqpSecurityToken = LongStr;
/// A table of fields.
pub type AmqpTable = FieldTable;
/// A point in time.
pub type AmqpTimeStamp = TimeStamp;
