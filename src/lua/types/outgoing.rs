//! Values on their way to another process, or into a shared object.

use std::ffi::c_int;
use std::sync::Arc;

use crate::ffi::*;

use super::handle::Objects;
use crate::convert::{EncodeError, EncodeOptions, Message, encode};
use llib_core::shared::{Object, Parcel, tail};
use llib_core::shm::Payload;

/// Encoded values, and the objects whose handles are among them. As a payload they are all of their [`Parcel`].
pub struct Outgoing<T = Message> {
    content: T,
    objects: Vec<Arc<Object>>,
    ids: Vec<u64>,
    /// The parcel's end, if handles are in it.
    tail: Vec<u8>,
}

impl Outgoing {
    /// Encodes `count` values of the stack, from index `first` on. As [`encode()`] it pushes a value.
    ///
    /// # Safety
    /// As for [`encode()`].
    pub unsafe fn new(
        lua: *mut lua_State,
        first: c_int,
        count: c_int,
        options: &EncodeOptions<'_>,
    ) -> Result<Outgoing, EncodeError> {
        let mut objects = Objects::default();
        // SAFETY: as demanded.
        let content = unsafe { encode(lua, first, count, options, &mut objects)? };
        let objects = objects.0;
        let ids: Vec<u64> = objects.iter().map(|object| object.id()).collect();
        let tail = if ids.is_empty() { Vec::new() } else { tail(&ids) };
        Ok(Outgoing { content, objects, ids, tail })
    }

    /// The same in memory of its own, for what has to wait: values and stack may change then.
    pub fn keep(self) -> Outgoing<Vec<u8>> {
        let Outgoing { content, objects, ids, tail } = self;
        Outgoing { content: content.to_vec(), objects, ids, tail }
    }
}

impl<T: Payload> Outgoing<T> {
    /// The objects, each as often as it is there.
    pub fn objects(&self) -> Vec<&Object> {
        self.objects.iter().map(|object| &**object).collect()
    }

    /// The objects themselves, without the values.
    pub fn into_objects(self) -> Vec<Arc<Object>> {
        self.objects
    }

    /// Values and ids.
    pub fn parcel(&self) -> Parcel<'_> {
        Parcel { content: &self.content, ids: &self.ids }
    }
}

impl<T: Payload> Payload for Outgoing<T> {
    fn each<'a>(&'a self, take: &mut dyn FnMut(&'a [u8])) {
        self.content.each(take);
        if !self.tail.is_empty() {
            take(&self.tail);
        }
    }

    fn len(&self) -> usize {
        self.content.len() + self.tail.len()
    }
}
