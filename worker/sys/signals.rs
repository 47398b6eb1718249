//! What this process does with signals, sigaction(2) and sigprocmask(2).

/// Signals that are looked at: those with names.
const NAMED: usize = 32;

/// The action of each signal, and the mask of the calling thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Actions {
    handlers: [usize; NAMED],
    blocked: u64,
}

/// As they are now. Some 7 µs.
pub fn actions() -> Actions {
    let handlers = std::array::from_fn(|signal| {
        // SAFETY: an all-zero record is a value; the call changes nothing and fills it in, or leaves it for numbers that are
        // no signal's.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            libc::sigaction(signal as libc::c_int, std::ptr::null(), &mut action);
            action.sa_sigaction
        }
    });
    // SAFETY: as above; numbers of signals are held to the set's size.
    let blocked = unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigprocmask(libc::SIG_BLOCK, std::ptr::null(), &mut set);
        (1..=64)
            .filter(|signal| libc::sigismember(&set, *signal) == 1)
            .fold(0, |mask, signal| mask | 1 << (signal - 1))
    };
    Actions { handlers, blocked }
}

impl Actions {
    /// Puts back actions and mask, but for handlers that are another's now: of those it is not known how they were set.
    pub fn restore(&self) {
        let now = actions();
        for (signal, (handler, now)) in (0..).zip(self.handlers.into_iter().zip(now.handlers)) {
            if handler != now && [libc::SIG_DFL, libc::SIG_IGN].contains(&handler) {
                crate::set_signal(signal, handler == libc::SIG_IGN);
            }
        }
        if self.blocked != now.blocked {
            // SAFETY: an empty set is made before it is used; the call reads it, and changes no memory.
            unsafe {
                let mut set: libc::sigset_t = std::mem::zeroed();
                libc::sigemptyset(&mut set);
                for signal in (1..=64).filter(|signal| self.blocked >> (signal - 1) & 1 != 0) {
                    libc::sigaddset(&mut set, signal);
                }
                libc::sigprocmask(libc::SIG_SETMASK, &set, std::ptr::null_mut());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ignored_signal_shows_and_nothing_else_changes() {
        let before = actions();
        crate::set_signal(libc::SIGWINCH, true);
        let ignored = actions();
        assert_ne!(ignored, before);
        before.restore();
        assert_eq!(actions(), before);
    }
}
