//! Tests of whole processes: what scripts see, and what the system shows of them meanwhile.

mod command;
mod specs;
