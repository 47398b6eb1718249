//! What stands in front of a pool job's values.

/// Bytes of the head.
pub const HEAD: usize = 8;

/// The head of a pool job's payload. The working directory follows if it is given, then the function's message if there is
/// one, then that of the values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// Whether the values are the index of the first item and then items, for each of which the function is called.
    pub map: bool,
    /// Length of the host's working directory. 0: it is the one of the pool's settings.
    pub directory: u16,
    /// Length of the message that holds the function alone. 0: the function is the first of the values.
    pub function: u32,
}

impl Head {
    /// As it stands in a payload.
    pub fn to_bytes(self) -> [u8; HEAD] {
        (u64::from(self.function) << 32 | u64::from(self.directory) << 8 | u64::from(self.map)).to_le_bytes()
    }

    /// The inverse.
    pub fn from_bytes(bytes: [u8; HEAD]) -> Head {
        let word = u64::from_le_bytes(bytes);
        Head { map: word & 1 != 0, directory: (word >> 8) as u16, function: (word >> 32) as u32 }
    }
}

#[cfg(test)]
mod tests {
    use super::Head;

    #[test]
    fn a_head_comes_back_as_it_was() {
        let head = Head { map: true, directory: u16::MAX - 3, function: u32::MAX - 7 };
        assert_eq!(Head::from_bytes(head.to_bytes()), head);
    }
}
