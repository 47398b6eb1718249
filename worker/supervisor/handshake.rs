//! The first word to the host: that there is a session, or why there is none.

use ipc_channel::ipc::IpcSender;
use llib_core::sys::ring::Ring;
use llib_core::wire::control::{Hello, Ready};

/// Tells the host that there will be no session.
pub(crate) fn refuse(address: &str, ring: &Ring, reason: String) {
    if let Ok(sender) = IpcSender::<Hello>::connect(address.to_owned()) {
        // A host that is gone needs no reason.
        let _ = sender.send(Hello::Failed(reason));
    }
    ring.ring();
}

/// Tells the host that the session serves. False if the host is gone.
pub(crate) fn greet(address: &str, ring: &Ring, ready: Ready) -> bool {
    let sent = IpcSender::<Hello>::connect(address.to_owned())
        .is_ok_and(|sender| sender.send(Hello::Ready(ready)).is_ok());
    if sent {
        ring.ring();
    }
    sent
}
