//! Shared memory: /dev/shm may be missing, not writable, or restricted; errors name it.

use support::Script;

use super::{can_mount, prepared};

/// The first error of a job, of an object and of a lock.
const ERRORS: &str = r#"
    for _, f in ipairs {
        function() return thread.async(function() return 1 end):await() end,
        function() return thread.buffer(1):get() end,
        function() return thread.lock(1, 0) end,
    } do say(select(2, pcall(f))) end
"#;

/// The errors of a script after a preparation, each of which has to say all of these words.
fn expect_errors(preparation: &str, user: &[&str], words: &[&str]) {
    let line = prepared(preparation);
    let outcome = Script::new(ERRORS).wrapped(&line).wrapped(user).run();
    let lines: Vec<&str> = outcome.output().lines().collect();
    assert_eq!(lines.len(), 3, "{outcome:?}");
    for line in lines {
        assert!(words.iter().all(|word| line.contains(word)), "{preparation}: {line}");
    }
}

#[test]
fn without_a_place_for_shared_memory_errors_say_what_to_do() {
    if can_mount() {
        let preparation = "mount -t tmpfs tmpfs /dev\nmknod -m 666 /dev/null c 1 3";
        expect_errors(preparation, &[], &["No such file", "there is no /dev/shm: mount a tmpfs there"]);
        expect_errors(&format!("{preparation}\n: >/dev/shm"), &[], &["there is no /dev/shm"]);
    }
}

#[test]
fn a_place_for_shared_memory_that_cannot_be_written_is_named() {
    if can_mount() {
        let words = ["a /dev/shm, usually a tmpfs, in which this user may create files"];
        expect_errors("mount -t tmpfs -o ro tmpfs /dev/shm", &[], &[words[0], "Read-only file system"]);
        let nobody = ["setpriv", "--reuid=64090", "--regid=64000", "--clear-groups"];
        let preparation = "mount -t tmpfs -o mode=755 tmpfs /dev/shm";
        expect_errors(preparation, &nobody, &[words[0], "Permission denied"]);
    }
}

#[test]
fn shared_memory_need_not_be_executable() {
    if !can_mount() {
        return;
    }
    let line = prepared("mount -t tmpfs -o noexec,nosuid,nodev,size=64M tmpfs /dev/shm");
    let script = r#"
        local shared = thread.buffer(1)
        assert(thread.async(function() shared:mod(function(n) return n + 41 end) return true end):await())
        say(shared:get(), #thread.async(function() return ("x"):rep(0x100000) end):await())
    "#;
    assert_eq!(Script::new(script).wrapped(&line).run().output(), "42\t1048576\n");
}

#[test]
fn a_filter_that_denies_advice_is_not_taken_for_a_lack_of_memory() {
    let number = u32::try_from(libc::SYS_madvise).expect("numbers of system calls are small");
    let outcome = Script::new(ERRORS).without_system_call(number).run();
    let lines: Vec<&str> = outcome.output().lines().collect();
    assert!(lines[0].contains("failed to set the segment apart: Function not implemented"), "{outcome:?}");
    assert_eq!(lines[1..], ["1", "true"], "{outcome:?}");
}
