//! What can go wrong, in sentences.

use super::protect::Failure;

/// Why values could not be encoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// A value cannot travel.
    #[error("cannot send {path}: {reason}")]
    Unsendable {
        /// Where it was found, as `upvalue 'pg' → field 'sock'`.
        path: String,
        /// Why, as `userdata 'tcp{client}' has no __clone`.
        reason: String,
    },
    /// The message would be longer than the options allow.
    #[error("cannot send more than {limit} bytes")]
    TooLong {
        /// The limit, in bytes.
        limit: usize,
    },
    /// Lua could not allocate memory.
    #[error("not enough memory")]
    Memory,
    /// Lua raised an error of its own.
    #[error("cannot send the values: {0}")]
    Lua(String),
    /// A defect of llib.
    #[error("internal error while encoding: {0}")]
    Defect(String),
}

impl From<Failure> for EncodeError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Memory => Self::Memory,
            Failure::Lua(message) => Self::Lua(message),
            Failure::Panic(message) => Self::Defect(message),
        }
    }
}

/// Why a message could not be decoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes are no message, or no longer one.
    #[error("the message is damaged at byte {at}: {what}")]
    Corrupt {
        /// Offset at which that was noticed.
        at: usize,
        /// What is wrong there.
        what: &'static str,
    },
    /// The options do not allow something that the message contains.
    #[error("{0} is not accepted here")]
    Refused(&'static str),
    /// The message is longer than the options allow.
    #[error("the message has {len} bytes, more than the {limit} accepted here")]
    TooLong {
        /// Its length.
        len: usize,
        /// The limit.
        limit: usize,
    },
    /// Its values take more memory than the options allow.
    #[error("its values would take more than the {limit} bytes of memory accepted here")]
    TooMuch {
        /// The limit, in bytes.
        limit: usize,
    },
    /// Making its values takes longer than a message of its length can need.
    #[error("its values take too long to make for their length: their keys or strings are chosen to collide")]
    TooSlow,
    /// More values than the Lua stack takes.
    #[error("too many values ({0}) for the Lua stack")]
    TooMany(usize),
    /// Something named by module and field is not here.
    #[error("cannot find '{name}' here: {reason}")]
    Named {
        /// `module` or `module.field`.
        name: String,
        /// Lua's reason, or what was found instead.
        reason: String,
    },
    /// Lua refused a function's code.
    #[error("cannot load a function: {0}")]
    Code(String),
    /// The constructor that a `__clone` named failed.
    #[error("a constructor returned by __clone failed: {0}")]
    Constructor(String),
    /// The type of a copied userdata is not known here, or does not allow it.
    #[error("cannot copy userdata '{name}': {reason}")]
    Raw {
        /// Its `__name`.
        name: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// An object of llib could not be opened.
    #[error("{0}")]
    Handle(String),
    /// Lua could not allocate memory.
    #[error("not enough memory")]
    Memory,
    /// Lua raised an error of its own.
    #[error("cannot receive the values: {0}")]
    Lua(String),
    /// A defect of llib.
    #[error("internal error while decoding: {0}")]
    Defect(String),
}

impl From<Failure> for DecodeError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Memory => Self::Memory,
            Failure::Lua(message) => Self::Lua(message),
            Failure::Panic(message) => Self::Defect(message),
        }
    }
}
