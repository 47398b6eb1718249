//! The worker program on its own, for hosts that load the module.

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let code = match args.split_first() {
        Some((flag, rest)) if flag == llib_core::sys::spawn::WORKER_FLAG => llib_worker::run_worker(rest),
        _ => llib_worker::run_worker(&[]),
    };
    std::process::exit(code);
}
