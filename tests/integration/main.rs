//! Tests of whole processes: what scripts see, and what the system shows of them meanwhile.

mod attacks;
mod book;
mod command;
mod examples;
mod exhaustion;
mod interrupt;
mod kill;
mod leftovers;
mod lifetime;
mod locks;
mod log;
mod long_run;
mod mad;
mod nested;
mod pool;
mod refused;
mod run;
mod sandbox;
mod shared_limits;
mod specs;
mod storm;
mod supervisors;
mod timeouts;
mod top;
mod trace;
mod versions;
