//! What can go wrong, in sentences.

use std::fmt;

use super::protect::Failure;

/// Why values could not be encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EncodeError {
    /// A value cannot travel.
    Unsendable {
        /// Where it was found, as `upvalue 'pg' → field 'sock'`.
        path: String,
        /// Why, as `userdata 'tcp{client}' has no __clone`.
        reason: String,
    },
    /// The message would be longer than the options allow.
    TooLong {
        /// The limit, in bytes.
        limit: usize,
    },
    /// Lua could not allocate memory.
    Memory,
    /// Lua raised an error of its own.
    Lua(String),
    /// A defect of llib.
    Defect(String),
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsendable { path, reason } => write!(f, "cannot send {path}: {reason}"),
            Self::TooLong { limit } => write!(f, "cannot send more than {limit} bytes"),
            Self::Memory => f.write_str("not enough memory"),
            Self::Lua(message) => write!(f, "cannot send the values: {message}"),
            Self::Defect(message) => write!(f, "internal error while encoding: {message}"),
        }
    }
}

impl std::error::Error for EncodeError {}

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
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DecodeError {
    /// The bytes are no message, or no longer one.
    Corrupt {
        /// Offset at which that was noticed.
        at: usize,
        /// What is wrong there.
        what: &'static str,
    },
    /// The options do not allow something that the message contains.
    Refused(&'static str),
    /// The message is longer than the options allow.
    TooLong {
        /// Its length.
        len: usize,
        /// The limit.
        limit: usize,
    },
    /// Its values take more memory than the options allow.
    TooMuch {
        /// The limit, in bytes.
        limit: usize,
    },
    /// More values than the Lua stack takes.
    TooMany(usize),
    /// Something named by module and field is not here.
    Named {
        /// `module` or `module.field`.
        name: String,
        /// Lua's reason, or what was found instead.
        reason: String,
    },
    /// Lua refused a function's code.
    Code(String),
    /// The constructor that a `__clone` named failed.
    Constructor(String),
    /// The type of a copied userdata is not known here, or does not allow it.
    Raw {
        /// Its `__name`.
        name: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// An object of llib could not be opened.
    Handle(String),
    /// Lua could not allocate memory.
    Memory,
    /// Lua raised an error of its own.
    Lua(String),
    /// A defect of llib.
    Defect(String),
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Corrupt { at, what } => write!(f, "the message is damaged at byte {at}: {what}"),
            Self::Refused(what) => write!(f, "{what} is not accepted here"),
            Self::TooLong { len, limit } => {
                write!(f, "the message has {len} bytes, more than the {limit} accepted here")
            }
            Self::TooMuch { limit } => {
                write!(f, "its values would take more than the {limit} bytes of memory accepted here")
            }
            Self::TooMany(count) => write!(f, "too many values ({count}) for the Lua stack"),
            Self::Named { name, reason } => write!(f, "cannot find '{name}' here: {reason}"),
            Self::Code(reason) => write!(f, "cannot load a function: {reason}"),
            Self::Constructor(reason) => write!(f, "a constructor returned by __clone failed: {reason}"),
            Self::Raw { name, reason } => write!(f, "cannot copy userdata '{name}': {reason}"),
            Self::Handle(reason) => f.write_str(reason),
            Self::Memory => f.write_str("not enough memory"),
            Self::Lua(message) => write!(f, "cannot receive the values: {message}"),
            Self::Defect(message) => write!(f, "internal error while decoding: {message}"),
        }
    }
}

impl std::error::Error for DecodeError {}

impl From<Failure> for DecodeError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Memory => Self::Memory,
            Failure::Lua(message) => Self::Lua(message),
            Failure::Panic(message) => Self::Defect(message),
        }
    }
}
