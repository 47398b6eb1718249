//! The folder for temporary files is of no use to llib, whatever it is.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;

use support::{Interpreter, Scratch, Script, binaries};

use super::{can_mount, prepared};

const JOBS: &str = r#"
    for i = 1, 3 do assert(thread.async(function() return i end):await() == i) end
    assert(thread.buffer(7):get() == 7)
    say(thread.async(function() return #("x"):rep(0x100000) end, { stdout = "capture" }):await())
"#;

#[test]
fn the_folder_for_temporary_files_may_have_a_name_of_any_length_and_stays_empty() {
    let scratch = Scratch::new();
    for length in [90, 95, 97, 103, 107, 108, 109, 110, 200] {
        let above = scratch.path().as_os_str().len() + 1;
        let folder = scratch.path().join("d".repeat(length.max(above + 1) - above));
        fs::create_dir(&folder).unwrap();
        assert_eq!(Script::new(JOBS).env("TMPDIR", &folder).run().output(), "1048576\n", "{length}");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0, "{length}");
        fs::remove_dir(&folder).unwrap();
    }
}

#[test]
fn the_folder_for_temporary_files_may_be_missing_or_none_at_all() {
    let names = [&b"/nonexistent"[..], b"/dev/null", b"", b"relative", b"/tmp/\xff\xfe", b"/proc", b"/sys"];
    for interpreter in Interpreter::all() {
        for name in names {
            let script = Script::new(JOBS).by(interpreter).env("TMPDIR", OsString::from_vec(name.to_vec()));
            assert_eq!(script.env("RUST_BACKTRACE", "1").run().output(), "1048576\n", "{name:?}");
        }
    }
}

#[test]
fn the_folder_for_temporary_files_may_be_full_or_read_only() {
    if !can_mount() {
        return;
    }
    let mounts = [
        "mount -t tmpfs -o ro tmpfs /mnt",
        "mount -t tmpfs -o size=4k tmpfs /mnt; ! head -c 8192 /dev/zero >/mnt/full 2>/dev/null",
        "mount -t tmpfs -o nr_inodes=1 tmpfs /mnt",
    ];
    for mount in mounts {
        let line = prepared(mount);
        let script = Script::new(JOBS).env("TMPDIR", "/mnt");
        assert_eq!(script.wrapped(&line).run().output(), "1048576\n", "{mount}");
    }
}

#[test]
fn a_read_only_system_without_a_folder_for_temporary_files_runs_jobs() {
    if !can_mount() {
        return;
    }
    // Where the programs under test lie there, the folder stays, and can only be read.
    let hide = if binaries::directory().starts_with("/tmp") {
        "mount --bind /tmp /tmp\nmount -o remount,bind,ro /tmp"
    } else {
        "mount -t tmpfs -o ro tmpfs /tmp"
    };
    // The script is where nothing is any more; the shell keeps it open.
    let commands = format!(
        "exec 9<\"$SCRATCH/script.lua\"\nmount -o remount,bind,ro /\n{hide}\nmount -t tmpfs -o ro tmpfs /var/tmp\n\
         ! touch /x /tmp/x 2>/dev/null\nexec \"$1\" /proc/self/fd/9"
    );
    for interpreter in Interpreter::all() {
        let line = ["unshare", "-m", "sh", "-ec", &commands, "sh"].map(str::to_owned);
        let script = Script::new(JOBS).by(interpreter).wrapped(&line);
        assert_eq!(script.run().output(), "1048576\n", "{interpreter:?}");
    }
}
