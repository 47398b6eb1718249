//! Any bytes as what supervisors and workers are told: messages, settings, grants. Every outcome but a crash is right, and
//! nobody gets more than the one who asks has.
#![no_main]

use llib_core::wire::attributes::Attributes;
use llib_core::wire::charter::Charter;
use llib_core::wire::limits::Limits;
use llib_core::wire::monitor::Request;
use llib_core::wire::pooled::{HEAD, Head};
use llib_core::wire::sandbox::SandboxPolicy;
use llib_core::wire::settings::Settings;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _ = Attributes::from_bytes(data);
    let _ = Request::read(data);
    let _ = data.first_chunk::<HEAD>().map(|bytes| Head::from_bytes(*bytes));
    let Some((claim, used)) = Settings::from_bytes(data) else { return };
    assert!(used <= data.len(), "settings are part of the message");
    let rest = Charter::from_bytes(&data[used..]).unwrap_or_else(|| Charter {
        settings: Settings { sandbox: Some(SandboxPolicy::default()), ..Settings::default() },
        ..Charter::default()
    });
    let granted = Limits { memory: Some(1 << 20), cpu: Some(1_000_000), ..Limits::default() };
    let Ok(narrow) = rest.narrow(claim, granted) else { return };
    let (Some(policy), Some(outer)) = (&narrow.sandbox, &rest.settings.sandbox) else {
        panic!("a job from a sandbox is in one");
    };
    assert!(outer.net || !policy.net, "no network that its starter has not");
    assert!(outer.exec || !policy.exec, "no programs that its starter has not");
    assert!(policy.env.iter().all(|name| outer.env.contains(name)), "no variable that its starter has not");
    assert!(narrow.limits.memory.is_some_and(|bytes| bytes <= 1 << 20), "no more memory than was granted");
});
