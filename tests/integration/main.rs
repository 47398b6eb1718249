//! Tests of whole processes: what scripts see, and what the system shows of them meanwhile.

mod command;
mod exhaustion;
mod interrupt;
mod kill;
mod leftovers;
mod nested;
mod refused;
mod specs;
mod supervisors;
mod timeouts;
mod versions;
