//! Few processes: spares are not in the way of jobs, of what jobs run, and of what the host runs.

use std::fs;
use std::path::{Path, PathBuf};

use support::Script;

use super::can_mount;

const SCRIPT: &str = r#"
    local function count(options)
        local done, problems = 0, {}
        for i = 1, 30 do
            local value, err = thread.async(function() return 1 end, options):await()
            if value then done = done + 1 else problems[#problems + 1] = tostring(err) end
        end
        return done == 30 and done or done .. ": " .. table.concat(problems, ", ")
    end
    say("plain", count())
    say("captured", count { stdout = "capture" })
    local host, job = 0, 0
    for _ = 1, 10 do
        local code = os.execute("true")
        if code == true or code == 0 then host = host + 1 end
        local code = thread.async(function() return os.execute("true") end):await()
        if code == true or code == 0 then job = job + 1 end
    end
    say("the host's programs", host)
    say("the jobs' programs", job)
    local pair = { thread.async(function() return 1 end), thread.async(function() return 2 end) }
    say("two", pair[1]:await(), pair[2]:await())
"#;

const EXPECTED: &str =
    "plain\t30\ncaptured\t30\nthe host's programs\t10\nthe jobs' programs\t10\ntwo\t1\t2\n";

#[test]
fn a_user_who_may_have_few_processes_can_use_each_of_them() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: only root can become a user whose processes are all known");
        return;
    }
    for count in [6, 7, 8, 10, 13] {
        let user = format!("--reuid={}", 64100 + count);
        let limit = format!("--nproc={count}");
        let line = ["setpriv", &user, "--regid=64000", "--clear-groups", "prlimit", &limit];
        let outcome = Script::new(SCRIPT).wrapped(&line).run();
        assert_eq!(outcome.output(), EXPECTED, "{count} processes");
    }
}

/// A cgroup in which so many processes may be. Removed at the end.
struct Group(PathBuf);

impl Group {
    /// `None` where this user can make none, or the kernel does not count.
    fn new(most: u32) -> Option<Group> {
        for root in ["/sys/fs/cgroup/pids", "/sys/fs/cgroup"] {
            let folder = Path::new(root).join(format!("llib-test-{}-{most}", std::process::id()));
            if fs::create_dir(&folder).is_ok() {
                let group = Group(folder);
                if fs::write(group.0.join("pids.max"), most.to_string()).is_ok() {
                    return Some(group);
                }
            }
        }
        None
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

#[test]
fn a_container_that_may_have_few_processes_can_use_each_of_them() {
    for count in [6, 7, 8, 10, 13] {
        let Some(group) = Group::new(count).filter(|_| can_mount()) else {
            eprintln!("skipped: this user can make no cgroup that limits processes");
            return;
        };
        let enter = format!("echo $$ >{}/cgroup.procs; exec \"$@\"", group.0.display());
        let session = Script::new(SCRIPT).wrapped(&["sh", "-ec", &enter, "sh"]).start();
        assert_eq!(session.end().output(), EXPECTED, "{count} processes");
        session.expect_nothing_left();
    }
}

#[test]
fn spares_go_when_the_host_wants_their_processes() {
    let Some(group) = Group::new(20) else {
        eprintln!("skipped: this user can make no cgroup that limits processes");
        return;
    };
    let enter = format!("echo $$ >{}/cgroup.procs; exec \"$@\"", group.0.display());
    let session = Script::new(
        r#"
        assert(thread.async(function() return 1 end):await() == 1)
        wait(function() return thread.stats().spares == 5 end)
        -- More than fit beside the spares: the first ones are told that there is no room.
        local function run(line)
            wait(function() local code = os.execute(line) return code == true or code == 0 end)
        end
        for _ = 1, 10 do run("sleep 1000 2>/dev/null & :") end
        run("true | true")
        say(thread.async(function() return 1 end):await())
        "#,
    )
    .wrapped(&["sh", "-ec", &enter, "sh"])
    .start();
    session.expect("1");
    assert_eq!(session.end().code, Some(0));
    session.processes().iter().for_each(support::Process::kill);
}
