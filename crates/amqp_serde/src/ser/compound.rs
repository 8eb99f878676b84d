//! Values made of values: each is written after the other.

use std::ops::DerefMut;

use bytes::BufMut;
use serde::Serialize;
use serde::ser;

use super::Serializer;
use crate::{Error, Result};

macro_rules! one_after_the_other {
    ($($compound:ident $method:ident ($($key:ty)?);)+) => {$(
        impl<'a, 'b: 'a, W> ser::$compound for &'a mut Serializer<'b, W>
        where
            W: BufMut + DerefMut<Target = [u8]>,
        {
            type Ok = ();
            type Error = Error;

            #[inline]
            fn $method<T>(&mut self, $(_: $key,)? value: &T) -> Result<()>
            where
                T: Serialize + ?Sized,
            {
                value.serialize(&mut **self)
            }

            #[inline]
            fn end(self) -> Result<()> {
                Ok(())
            }
        }
    )+};
}

one_after_the_other! {
    SerializeSeq serialize_element ();
    SerializeTuple serialize_element ();
    SerializeTupleStruct serialize_field ();
    SerializeTupleVariant serialize_field ();
    SerializeStruct serialize_field (&'static str);
    SerializeStructVariant serialize_field (&'static str);
}
