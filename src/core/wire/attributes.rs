//! What a process passes on to its children beside its code: the message by which supervisors learn of a change.

use serde::{Deserialize, Serialize};

/// Number of resources that setrlimit(2) knows.
pub const RESOURCES: usize = 16;

/// A limit of setrlimit(2): soft and hard, the largest number for none.
pub type Limit = (u64, u64);

/// A host's attributes, as a child of the calling thread would inherit them. Its standard streams travel beside this.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attributes {
    /// The strings of environ(7), each with a zero byte behind it.
    #[serde(skip)]
    pub environment: Vec<u8>,
    /// umask(2), unless it cannot be read.
    pub umask: Option<u32>,
    /// By the numbers of the resources.
    pub limits: [Limit; RESOURCES],
    /// Numbers of the processors of sched_setaffinity(2); none where they cannot be read.
    pub processors: Vec<u16>,
    /// Niceness, setpriority(2).
    pub nice: i32,
    /// Which of the standard streams are open.
    pub open: [bool; 3],
}

impl Attributes {
    /// As they travel: the environment comes last, as it is.
    pub fn to_bytes(&self) -> Vec<u8> {
        // Writing plain data into a vector cannot fail.
        let mut bytes = postcard::to_stdvec(self).unwrap_or_default();
        bytes.extend_from_slice(&self.environment);
        bytes
    }

    /// The inverse.
    pub fn from_bytes(bytes: &[u8]) -> Option<Attributes> {
        let (mut attributes, environment) = postcard::take_from_bytes::<Attributes>(bytes).ok()?;
        attributes.environment = environment.to_vec();
        // Whoever makes a list of its strings finds the end of the last one.
        matches!(environment.last(), None | Some(0)).then_some(attributes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_come_back_as_they_were_and_an_environment_without_an_end_does_not() {
        let attributes = Attributes {
            environment: b"A=\xff\xfe\0B=\0no sign\0".to_vec(),
            umask: Some(0o77),
            limits: std::array::from_fn(|at| (at as u64, u64::MAX)),
            processors: vec![0, 1023],
            nice: -20,
            open: [false, true, true],
        };
        assert_eq!(Attributes::from_bytes(&attributes.to_bytes()), Some(attributes.clone()));
        let endless = Attributes { environment: b"A=1".to_vec(), ..attributes };
        assert_eq!(Attributes::from_bytes(&endless.to_bytes()), None);
        assert_eq!(Attributes::from_bytes(b"nonsense"), None);
    }
}
