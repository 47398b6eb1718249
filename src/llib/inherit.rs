//! What options come to in this process: a sandboxed job passes on no more than it has.

use std::time::Duration;

use super::options::Options;
use llib_core::wire::limits::{IN_SANDBOX, SANDBOX_TIMEOUT};
use llib_core::wire::settings::Stdio;
use llib_host::Broker;

/// Fills in what was not given, and what this process is held to. The error says what it cannot have.
pub(super) fn complete(mut options: Options) -> Result<Options, String> {
    if let Some(broker) = Broker::current() {
        inherit(&mut options, broker)?;
    } else if options.sandbox.is_some() {
        options.limits = options.limits.or(IN_SANDBOX);
        options.timeout.get_or_insert(Duration::from_millis(SANDBOX_TIMEOUT));
    }
    Ok(options)
}

/// Turns options as they were given into those of a job inside `broker`'s sandbox. The error says what it cannot have.
fn inherit(options: &mut Options, broker: &Broker) -> Result<(), String> {
    for (key, stdio) in [("stdout", options.stdout), ("stderr", options.stderr)] {
        if stdio == Stdio::Capture {
            return Err(format!("option '{key}': a sandboxed job cannot capture what its own jobs print"));
        }
    }
    if options.functions {
        return Err("option 'functions': a sandboxed job takes no functions from its own jobs".to_owned());
    }
    let policy = match options.sandbox.take() {
        Some(policy) => policy.within(&broker.policy)?,
        None => broker.policy.clone(),
    };
    options.sandbox = Some(policy);
    options.limits.result = options.limits.result.into_iter().chain(broker.longest()).min();
    Ok(())
}
