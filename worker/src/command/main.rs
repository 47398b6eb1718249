//! The command.
use llib_worker as _;
fn main(){println!("hi");}
