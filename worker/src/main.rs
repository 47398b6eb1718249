//! Worker process.
use llib_worker as _;
fn main(){}
