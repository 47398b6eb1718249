//! llib's worker program: a guard, a zygote, and the workers that the zygote forks.
//!
//! ```text
//! host
//!  └─ guard     keeps the session's memory; outlives a killed zygote and cleans up after it
//!      └─ zygote    forks workers, reaps and kills them, keeps deadlines; runs no user code
//!          ├─ worker    one job, then gone
//!          └─ …
//! ```
//!
//! `fork` and everything that restricts a process live in this crate alone: the module's host is never touched.
//! The page that explains it is `docs/architecture.md`.

extern crate lua_runtime as _;

mod child;
mod guard;
mod job;
mod lua;
mod pool;
mod reply;
mod sandbox;
mod sys;
mod zygote;

/// Serves as a worker program with the arguments after `--llib-worker`: the host's process id, and the name of the
/// memory that its processes share. Returns an exit code where it cannot even start.
pub fn run_worker(args: &[String]) -> i32 {
    let host = args.first().and_then(|pid| pid.parse().ok());
    let (Some(host), Some(tree)) = (host, args.get(1)) else {
        eprintln!("llib-worker: this program is started by llib itself, not by hand");
        return 2;
    };
    guard::run(host, tree)
}
