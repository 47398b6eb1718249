//! Runs programs as the kernel would.

use super::*;

const PID: u32 = 4242;
const KEY: u32 = 0x5eed_1234;

/// Interprets a program for a call; what it returns, and the steps it took.
pub(in super::super) fn run(program: &Program, call: i64, args: [u64; 6]) -> (u32, usize) {
    run_on(program, ARCHITECTURE, call as u32, args)
}

fn run_on(program: &Program, arch: u32, call: u32, args: [u64; 6]) -> (u32, usize) {
    let mut data = [0u8; 64];
    data[..4].copy_from_slice(&call.to_le_bytes());
    data[4..8].copy_from_slice(&arch.to_le_bytes());
    for (index, arg) in args.iter().enumerate() {
        data[16 + 8 * index..24 + 8 * index].copy_from_slice(&arg.to_le_bytes());
    }
    let code = program.for_process(PID, KEY);
    let (mut at, mut value, mut steps) = (0, 0u32, 0);
    loop {
        let sock_filter { code, jt, jf, k } = code[at];
        steps += 1;
        at += 1;
        let mut branch = |condition: bool| at += usize::from(if condition { jt } else { jf });
        match code {
            LOAD => value = u32::from_le_bytes(data[k as usize..][..4].try_into().unwrap()),
            MASK => value &= k,
            IF_EQUAL => branch(value == k),
            IF_AT_LEAST => branch(value >= k),
            JUMP => at += k as usize,
            RETURN => return (k, steps),
            other => panic!("an unknown instruction {other}"),
        }
    }
}

pub(in super::super) fn verdict(program: &Program, call: i64, args: [u64; 6]) -> Action {
    match run(program, call, args).0 {
        libc::SECCOMP_RET_ALLOW => Action::Allow,
        libc::SECCOMP_RET_TRAP => Action::Deny,
        libc::SECCOMP_RET_KILL_PROCESS => Action::Kill,
        other if other & 0xffff_0000 == libc::SECCOMP_RET_ERRNO => Action::Fail((other & 0xffff) as i32),
        other => panic!("an unknown verdict {other:x}"),
    }
}

fn rule(call: i64, when: &'static [Check], then: Action) -> Rule {
    Rule { calls: vec![call].leak(), when, then, otherwise: Action::Deny, why: "a test" }
}

#[test]
fn every_number_gets_what_its_rule_says() {
    let rules: Vec<Rule> = [0, 1, 2, 5, 7, 8, 9, 300, 301, 400, 0x1000_0000]
        .iter()
        .map(|call| rule(*call, &[], if call % 2 == 0 { Action::Allow } else { Action::Fail(13) }))
        .collect();
    let program = Program::new(&[&rules], Action::Deny);
    for call in (0..1000).chain([0x0fff_ffff, 0x1000_0000, 0x1000_0001, 0x4000_0000, u32::MAX.into()]) {
        let expected = rules.iter().find(|rule| rule.calls == [call]).map_or(Action::Deny, |rule| rule.then);
        assert_eq!(verdict(&program, call, [0; 6]), expected, "call {call}");
    }
}

#[test]
fn a_large_program_jumps_far_and_decides_fast() {
    let rules: Vec<Rule> =
        (0..600).step_by(2).map(|call| rule(call, &[Check::In(0, &[1, 2, 3])], Action::Allow)).collect();
    let program = Program::new(&[&rules], Action::Deny);
    for call in 0..600 {
        let (found, steps) = run(&program, call, [2, 0, 0, 0, 0, 0]);
        let expected = if call % 2 == 0 { libc::SECCOMP_RET_ALLOW } else { libc::SECCOMP_RET_TRAP };
        assert_eq!(found, expected, "call {call}");
        assert!(steps < 40, "{steps} steps for call {call}");
        assert_eq!(verdict(&program, call, [4, 0, 0, 0, 0, 0]), Action::Deny, "call {call}");
    }
    assert!(program.code.len() < 4096, "the kernel takes no longer one");
}

#[test]
fn arguments_are_held_to_their_checks() {
    let program = Program::new(
        &[&[
            rule(1, &[Check::In(0, &[4, 6]), Check::Masked(1, 0xf0, 0x20)], Action::Allow),
            rule(3, &[Check::OwnPid(0)], Action::Allow),
            rule(6, &[Check::Key(1)], Action::Allow),
            rule(5, &[Check::AtLeast(0, 3)], Action::Allow),
        ]],
        Action::Kill,
    );
    let yes = |call, args| assert_eq!(verdict(&program, call, args), Action::Allow, "{call} {args:?}");
    let no = |call, args| assert_eq!(verdict(&program, call, args), Action::Deny, "{call} {args:?}");
    yes(1, [4, 0x20, 0, 0, 0, 0]);
    yes(1, [6, 0xf2f, 0, 0, 0, 0].map(|arg| if arg == 0xf2f { 0xf02f } else { arg }));
    no(1, [5, 0x20, 0, 0, 0, 0]);
    no(1, [4, 0x30, 0, 0, 0, 0]);
    yes(3, [PID.into(), 0, 0, 0, 0, 0]);
    no(3, [1, 0, 0, 0, 0, 0]);
    no(3, [u64::from(PID.wrapping_neg()), 0, 0, 0, 0, 0]);
    yes(6, [0, KEY.into(), 0, 0, 0, 0]);
    no(6, [0, 0, 0, 0, 0, 0]);
    yes(5, [3, 0, 0, 0, 0, 0]);
    no(5, [2, 0, 0, 0, 0, 0]);
    assert_eq!(verdict(&program, 4, [0; 6]), Action::Kill);
}

#[test]
fn a_later_rule_for_a_call_replaces_an_earlier_one() {
    let first = [rule(10, &[], Action::Allow), rule(11, &[], Action::Allow)];
    let second = [rule(10, &[], Action::Fail(1))];
    let program = Program::new(&[&first, &second], Action::Deny);
    assert_eq!(verdict(&program, 10, [0; 6]), Action::Fail(1));
    assert_eq!(verdict(&program, 11, [0; 6]), Action::Allow);
}

#[test]
fn calls_of_another_architecture_kill() {
    let program = Program::new(&[&[rule(1, &[], Action::Allow)]], Action::Allow);
    assert_eq!(run_on(&program, 0x4000_0003, 1, [0; 6]).0, libc::SECCOMP_RET_KILL_PROCESS);
}
