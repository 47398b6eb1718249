//! The lines of the table, for the screen and for `--once`.

use std::cmp::Ordering;
use std::collections::HashSet;

use super::model::{Member, Role, Session, Snapshot, Status};
use super::words;

/// By what the workers of a session are sorted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Sort {
    /// As they stand in the session.
    #[default]
    Slot,
    Cpu,
    Memory,
    Age,
    Name,
}

impl Sort {
    pub(super) fn next(self) -> Sort {
        match self {
            Sort::Slot => Sort::Cpu,
            Sort::Cpu => Sort::Memory,
            Sort::Memory => Sort::Age,
            Sort::Age => Sort::Name,
            Sort::Name => Sort::Slot,
        }
    }

    fn compare(self, a: &Member, b: &Member) -> Ordering {
        match self {
            Sort::Slot => Ordering::Equal,
            Sort::Cpu => b.cpu.total_cmp(&a.cpu),
            Sort::Memory => b.memory.cmp(&a.memory),
            Sort::Age => b.age.total_cmp(&a.age),
            Sort::Name => a.name.cmp(&b.name),
        }
    }
}

/// How the table is to be.
#[derive(Clone, Debug, Default)]
pub(super) struct Arrangement {
    pub(super) sort: Sort,
    pub(super) reversed: bool,
    pub(super) without_spares: bool,
    /// Names of the sessions of which the host alone is shown.
    pub(super) folded: HashSet<String>,
}

/// A line.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) session: String,
    pub(super) member: Member,
    /// The text of the last column, with its indent.
    pub(super) text: String,
    /// The zygote, whose child a worker is.
    pub(super) zygote: i32,
}

impl Row {
    /// What tells it from other lines, from one snapshot to the next.
    pub(super) fn key(&self) -> (i32, Option<u64>, &str) {
        (self.member.pid, self.member.job, &self.session)
    }

    /// Process id, status, CPU, memory and age as they are shown.
    pub(super) fn cells(&self) -> [String; 5] {
        let Member { pid, cpu, memory, age, status, .. } = &self.member;
        let has = |text: String| if *pid == 0 { "-".to_owned() } else { text };
        [
            has(pid.to_string()),
            <&str>::from(status).to_owned(),
            has(format!("{cpu:.1}")),
            has(words::bytes(*memory)),
            if *age > 0.0 || *pid != 0 { words::time(*age) } else { "-".to_owned() },
        ]
    }
}

/// All lines of a snapshot.
pub(super) fn rows(snapshot: &Snapshot, how: &Arrangement) -> Vec<Row> {
    snapshot.sessions.iter().flat_map(|session| session_rows(session, how)).collect()
}

fn session_rows(session: &Session, how: &Arrangement) -> Vec<Row> {
    let folded = how.folded.contains(&session.name);
    let supervisors = session.members.iter().filter(|member| member.role != Role::Worker);
    let mut workers: Vec<&Member> =
        session.members.iter().filter(|member| member.role == Role::Worker).collect();
    workers.retain(|worker| !(how.without_spares && worker.status == Status::Spare));
    if how.reversed && how.sort == Sort::Slot {
        workers.reverse();
    }
    // Stable, and spares come last, whatever the order.
    workers.sort_by(|a, b| {
        let order = how.sort.compare(a, b);
        let order = if how.reversed { order.reverse() } else { order };
        (a.status == Status::Spare).cmp(&(b.status == Status::Spare)).then(order)
    });
    let zygote = session.members.iter().find(|member| member.role == Role::Zygote).map_or(0, |it| it.pid);
    let jobs =
        session.members.iter().filter(|it| it.role == Role::Worker && it.status != Status::Spare).count();
    let row = |member: &Member| {
        let indent = "  ".repeat(session.depth);
        let text = match member.role {
            Role::Host => {
                let mark = if folded { "+" } else { "-" };
                let plural =
                    |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
                let counts = format!("{}, {}", plural(jobs, "job"), plural(session.spares, "spare"));
                format!("{indent}{mark} {}  [{counts}]", member.description())
            }
            _ => format!("{indent}    {}", member.description()),
        };
        Row { session: session.name.clone(), member: member.clone(), text, zygote }
    };
    let shown = supervisors.chain(workers).take(if folded { 1 } else { usize::MAX });
    shown.map(row).collect()
}

/// The sums for the first line.
pub(super) fn summary(snapshot: &Snapshot) -> String {
    let members = || snapshot.sessions.iter().flat_map(|session| &session.members);
    let count = |wanted: &[Status]| {
        members().filter(|it| it.role == Role::Worker && wanted.contains(&it.status)).count()
    };
    let cpu: f64 = members().filter(|it| it.role != Role::Host).map(|it| it.cpu).sum();
    let memory: u64 = members().filter(|it| it.role != Role::Host).map(|it| it.memory).sum();
    let nested = snapshot.sessions.iter().filter(|session| session.depth > 0).count();
    let nested = if nested > 0 { format!(" ({nested} nested)") } else { String::new() };
    format!(
        "{} sessions{nested}, {} running, {} waiting, {} spare, workers' cpu {cpu:.0}%, memory {}",
        snapshot.sessions.len(),
        count(&[Status::Running, Status::Closing]),
        count(&[Status::Waiting]),
        count(&[Status::Spare]),
        words::bytes(memory),
    )
}

/// The table as text.
pub(super) fn text(snapshot: &Snapshot) -> String {
    let mut text = format!("{}\n", summary(snapshot));
    if !snapshot.sessions.is_empty() {
        text += &format!("{:>8} {:<8} {:>6} {:>7} {:>7}  NAME\n", "PID", "STATUS", "CPU%", "MEM", "AGE");
    }
    for row in rows(snapshot, &Arrangement::default()) {
        let [pid, status, cpu, memory, age] = row.cells();
        text += &format!("{pid:>8} {status:<8} {cpu:>6} {memory:>7} {age:>7}  {}\n", row.text);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker(pid: i32, status: Status, cpu: f64) -> Member {
        Member { pid, status, cpu, name: format!("job {pid}"), ..Member::default() }
    }

    fn snapshot() -> Snapshot {
        let host = Member { role: Role::Host, ..worker(1, Status::Running, 0.0) };
        let zygote = Member { role: Role::Zygote, ..worker(3, Status::Running, 0.0) };
        let spare = worker(12, Status::Spare, 99.0);
        let members =
            vec![host, zygote, spare, worker(10, Status::Running, 5.0), worker(11, Status::Waiting, 7.0)];
        Snapshot { sessions: vec![Session { name: "one".to_owned(), depth: 0, spares: 1, members }] }
    }

    fn pids(how: &Arrangement) -> Vec<i32> {
        rows(&snapshot(), how).iter().map(|row| row.member.pid).collect()
    }

    #[test]
    fn workers_are_sorted_and_spares_come_last() {
        let mut how = Arrangement::default();
        assert_eq!(pids(&how), [1, 3, 10, 11, 12]);
        how.sort = Sort::Cpu;
        assert_eq!(pids(&how), [1, 3, 11, 10, 12]);
        how.reversed = true;
        assert_eq!(pids(&how), [1, 3, 10, 11, 12]);
        how.without_spares = true;
        assert_eq!(pids(&how), [1, 3, 10, 11]);
        how.folded.insert("one".to_owned());
        assert_eq!(pids(&how), [1]);
        let mut sort = Sort::Slot;
        (0..5).for_each(|_| sort = sort.next());
        assert_eq!(sort, Sort::Slot);
    }

    #[test]
    fn the_table_says_what_there_is() {
        let text = text(&snapshot());
        assert!(text.starts_with("1 sessions, 1 running, 1 waiting, 1 spare"), "{text}");
        assert!(text.contains("- job 1  [2 jobs, 1 spare]"), "{text}");
    }
}
