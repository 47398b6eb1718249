//! Rules for system calls, compiled into a program of classic BPF: seccomp(2), bpf(4).
//!
//! The program finds the call's number by a binary search, so that it decides every call in some ten steps; the
//! kernel runs it once for each number when it is installed, to find those that are always allowed, and that
//! is most of what installing costs.

use std::mem::offset_of;

use libc::{seccomp_data, sock_filter};

/// What happens to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// It is made.
    Allow,
    /// It fails with this error number.
    Fail(i32),
    /// SIGSYS in the process, whose handler notes the call and ends it: see `sys::sigsys`.
    Deny,
    /// The process ends at once.
    Kill,
}

/// What has to hold of an argument, of which the lower 32 bits are compared: the kernel takes no more of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Check {
    /// Argument, values: it is one of them.
    In(u8, &'static [u32]),
    /// Argument, mask, value: its bits under the mask are these.
    Masked(u8, u32, u32),
    /// Argument, value: it is no less.
    AtLeast(u8, u32),
    /// Argument: the process's own id.
    OwnPid(u8),
    /// Argument: a number that the process makes up and forgets.
    Key(u8),
}

/// System calls that are treated alike.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rule {
    /// Their numbers.
    pub(super) calls: &'static [i64],
    /// All of these have to hold for `then`.
    pub(super) when: &'static [Check],
    pub(super) then: Action,
    pub(super) otherwise: Action,
    /// Why a job may make these calls, or must not.
    #[cfg_attr(not(test), expect(dead_code, reason = "for readers, and a test that there is one"))]
    pub(super) why: &'static str,
}

/// A compiled program. What depends on the process is filled in when it is installed.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    code: Vec<sock_filter>,
    own_pid: Vec<usize>,
    key: Vec<usize>,
}

#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 0xc000_00b7;
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const ARCHITECTURE: u32 = 0;

const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
const MASK: u16 = (libc::BPF_ALU | libc::BPF_AND | libc::BPF_K) as u16;
const IF_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
const IF_AT_LEAST: u16 = (libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K) as u16;
const JUMP: u16 = (libc::BPF_JMP | libc::BPF_JA) as u16;
const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;

fn step(code: u16, k: u32) -> sock_filter {
    sock_filter { code, jt: 0, jf: 0, k }
}

fn action(action: Action) -> sock_filter {
    step(
        RETURN,
        match action {
            Action::Allow => libc::SECCOMP_RET_ALLOW,
            Action::Fail(error) => libc::SECCOMP_RET_ERRNO | error.cast_unsigned(),
            Action::Deny => libc::SECCOMP_RET_TRAP,
            Action::Kill => libc::SECCOMP_RET_KILL_PROCESS,
        },
    )
}

/// Offset of the lower half of an argument; both architectures are little-endian.
fn argument(index: u8) -> u32 {
    (offset_of!(seccomp_data, args) + 8 * usize::from(index)) as u32
}

/// No system call has this number or a higher one; those of x86-64's other interface, x32, do.
pub(super) const NO_CALLS: u32 = 1024;

/// A run of numbers that are treated alike.
struct Range {
    first: u32,
    rule: Option<Rule>,
}

impl Program {
    /// Compiles rules; calls without one get `default`. A later rule for the same call replaces an earlier one.
    pub(super) fn new(rules: &[&[Rule]], default: Action) -> Program {
        let mut by_number = std::collections::BTreeMap::new();
        for rule in rules.iter().copied().flatten() {
            for number in rule.calls.iter().filter_map(|call| u32::try_from(*call).ok()) {
                by_number.insert(number, *rule);
            }
        }
        let mut ranges = vec![Range { first: 0, rule: None }];
        let mut unknown = true;
        for (number, rule) in by_number {
            if number >= NO_CALLS && std::mem::take(&mut unknown) {
                ranges.push(Range { first: NO_CALLS, rule: None });
            }
            let put = |ranges: &mut Vec<Range>, first: u32, rule: Option<Rule>| {
                // What starts where the last one does replaces it.
                if ranges.last().is_some_and(|last| last.first == first) {
                    ranges.pop();
                }
                let same = ranges.last().is_some_and(|last| treatment(&last.rule) == treatment(&rule));
                if !same {
                    ranges.push(Range { first, rule });
                }
            };
            put(&mut ranges, number, Some(rule));
            put(&mut ranges, number + 1, None);
        }
        if unknown {
            ranges.push(Range { first: NO_CALLS, rule: None });
        }
        let mut program = Program { code: Vec::new(), own_pid: Vec::new(), key: Vec::new() };
        program.code.push(step(LOAD, offset_of!(seccomp_data, arch) as u32));
        program.code.push(sock_filter { jt: 1, ..step(IF_EQUAL, ARCHITECTURE) });
        // Calls of another architecture have other numbers.
        program.code.push(action(Action::Kill));
        program.code.push(step(LOAD, offset_of!(seccomp_data, nr) as u32));
        program.search(&ranges, default);
        program
    }

    /// The steps from the number to what becomes of the call.
    fn search(&mut self, ranges: &[Range], default: Action) {
        if let [only] = ranges {
            let default = if only.first >= NO_CALLS { Action::Deny } else { default };
            return self.decide(only.rule.as_ref(), default);
        }
        let (lower, upper) = ranges.split_at(ranges.len() / 2);
        let branch = self.code.len();
        self.code.push(step(IF_AT_LEAST, upper[0].first));
        // Conditional jumps reach 255 steps.
        self.code.push(step(JUMP, 0));
        self.search(lower, default);
        let distance = self.code.len() - (branch + 2);
        match u8::try_from(distance + 1) {
            Ok(near) => {
                self.code[branch].jt = near;
                self.code[branch].jf = 1;
            }
            Err(_) => {
                self.code[branch].jf = 1;
                self.code[branch + 1].k = distance as u32;
            }
        }
        self.search(upper, default);
    }

    fn decide(&mut self, rule: Option<&Rule>, default: Action) {
        let Some(rule) = rule else { return self.code.push(action(default)) };
        for check in rule.when {
            self.check(*check, rule.otherwise);
        }
        self.code.push(action(rule.then));
    }

    /// Goes on where the check holds, and else returns `otherwise`.
    fn check(&mut self, check: Check, otherwise: Action) {
        let equal = |k| sock_filter { jt: 1, ..step(IF_EQUAL, k) };
        match check {
            Check::In(index, values) => {
                self.code.push(step(LOAD, argument(index)));
                for (position, value) in values.iter().enumerate() {
                    // Over the remaining comparisons and what follows them.
                    let over = (values.len() - position) as u8;
                    self.code.push(sock_filter { jt: over, ..step(IF_EQUAL, *value) });
                }
            }
            Check::Masked(index, mask, value) => {
                let load = step(LOAD, argument(index));
                self.code.extend([load, step(MASK, mask), equal(value)]);
            }
            Check::AtLeast(index, least) => {
                let load = step(LOAD, argument(index));
                self.code.extend([load, sock_filter { jt: 1, ..step(IF_AT_LEAST, least) }]);
            }
            Check::OwnPid(index) => {
                self.code.push(step(LOAD, argument(index)));
                self.own_pid.push(self.code.len());
                self.code.push(equal(0));
            }
            Check::Key(index) => {
                self.code.push(step(LOAD, argument(index)));
                self.key.push(self.code.len());
                self.code.push(equal(0));
            }
        }
        self.code.push(action(otherwise));
    }

    /// The program for the process with this id and this key.
    pub(super) fn for_process(&self, pid: u32, key: u32) -> Vec<sock_filter> {
        let mut code = self.code.clone();
        for at in &self.own_pid {
            code[*at].k = pid;
        }
        for at in &self.key {
            code[*at].k = key;
        }
        code
    }
}

/// What makes two rules the same to the program.
fn treatment(rule: &Option<Rule>) -> Option<(Action, &[Check], Action)> {
    rule.as_ref().map(|rule| (rule.then, rule.when, rule.otherwise))
}

#[cfg(test)]
pub(super) mod tests;
