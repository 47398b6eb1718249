//! Tests of whole processes: what scripts see, and what the system shows of them meanwhile.

mod command;
mod interrupt;
mod kill;
mod nested;
mod specs;
mod timeouts;
