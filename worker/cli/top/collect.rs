//! Sessions as they are now: what they publish of themselves, held against the process table.
//!
//! Anybody may have written a file of a session's name, so nothing in it is shown that the system does not confirm: the
//! zygote has the file mapped, guard and host are its parents, and each worker is its child.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use llib_core::shared::{Kind, objects};
use llib_core::shm::Awaited;
use llib_core::shm::{SLOTS, SessionView, SlotView, State, TreeView, sessions};
use llib_core::sync::Owner;
use llib_core::sys::clock;

use super::model::{Held, Member, Role, Session, Snapshot, Status, Wait};
use super::proc::{self, Process};
use super::words::printable;

/// Objects of a tree whose locks are looked at.
const MOST_OBJECTS: usize = 2000;

/// Takes snapshots; remembers what CPU percentages and names need.
#[derive(Default)]
pub(super) struct Collector {
    /// CPU time of each process at the last snapshot, and when that was.
    before: HashMap<(i32, u64), (Duration, Instant)>,
    /// Names of jobs, which are gone from memory once there is a reply.
    names: HashMap<(String, u32, u32), String>,
}

/// A tree's locks.
struct Locks {
    tree: TreeView,
    held: Vec<(Held, Owner)>,
}

impl Collector {
    /// All sessions; with `hosts` those of these processes, and of their jobs.
    pub(super) fn snapshot(&mut self, hosts: &[i32]) -> Snapshot {
        let uptime = proc::uptime();
        let mut used = HashMap::new();
        let mut trees: HashMap<String, Option<Locks>> = HashMap::new();
        let mut found = Vec::new();
        for view in sessions() {
            let locks = trees.entry(view.tree.clone()).or_insert_with(|| look_at(&view.tree));
            let mut look = Look { collector: self, used: &mut used, uptime, locks: locks.as_ref() };
            found.extend(look.session(&view));
        }
        let seen = |key: &(String, u32, u32)| found.iter().any(|session| session.name == key.0);
        self.names.retain(|key, _| seen(key));
        self.before = used;
        Snapshot { sessions: arrange(found, hosts) }
    }
}

/// Nested sessions after the one whose job their host is, and only those that are wanted.
fn arrange(mut found: Vec<Session>, hosts: &[i32]) -> Vec<Session> {
    found.sort_by_key(|session| (session.members[0].started, session.members[0].pid));
    let is_job =
        |pid: i32, of: &Session| of.members.iter().any(|it| it.pid == pid && it.role == Role::Worker);
    let mut left: Vec<Option<Session>> = found.into_iter().map(Some).collect();
    let mut arranged: Vec<Session> = Vec::new();
    loop {
        // A root, or else what is left of a circle, which no real sessions make.
        let root = left.iter().position(|session| {
            session.as_ref().is_some_and(|session| {
                let host = session.members[0].pid;
                hosts.contains(&host)
                    || (hosts.is_empty() && !left.iter().flatten().any(|other| is_job(host, other)))
            })
        });
        let Some(session) = root.and_then(|index| left[index].take()) else { break };
        let mut pending = vec![session];
        while let Some(session) = pending.pop() {
            for other in left.iter_mut().rev() {
                if other.as_ref().is_some_and(|other| is_job(other.members[0].pid, &session)) {
                    pending.extend(other.take().map(|other| nested(other, &session)));
                }
            }
            arranged.push(session);
        }
    }
    arranged
}

/// A session whose host is a job of another one: the host is called as the job is there.
fn nested(mut session: Session, parent: &Session) -> Session {
    session.depth = parent.depth + 1;
    let host = session.members[0].pid;
    if let Some(job) = parent.members.iter().find(|member| member.pid == host) {
        session.members[0].name = format!("job {}", job.name);
    }
    session
}

fn look_at(name: &str) -> Option<Locks> {
    let tree = TreeView::of(name)?;
    let numbers = tree.held.iter().map(|held| (Held::Lock(held.id), held.owner));
    let (objects, _) = objects(&tree, MOST_OBJECTS);
    let others = objects.iter().filter_map(|it| Some((Held::Object(it.kind, it.id), it.owner?)));
    let held = numbers.chain(others).collect();
    Some(Locks { tree, held })
}

impl Locks {
    fn held_by(&self, pid: i32) -> Vec<Held> {
        let mine = self.held.iter().filter(|(_, owner)| self.tree.process(*owner) == Some(pid));
        mine.map(|(held, _)| *held).collect()
    }

    /// What is waited for, as what it is, and who has it.
    fn wanted(&self, awaited: Awaited) -> Option<(Held, Option<i32>)> {
        let is_it = |held: &Held| match (awaited, held) {
            (Awaited::Lock(id), Held::Lock(held)) => id == *held,
            (Awaited::Object(id), Held::Object(_, held)) => id == *held,
            _ => false,
        };
        let (held, owner) = self.held.iter().find(|(held, _)| is_it(held))?;
        Some((*held, self.tree.process(*owner)))
    }
}

struct Look<'a> {
    collector: &'a mut Collector,
    used: &'a mut HashMap<(i32, u64), (Duration, Instant)>,
    uptime: Duration,
    locks: Option<&'a Locks>,
}

impl Look<'_> {
    /// A session that is real, and runs.
    fn session(&mut self, view: &SessionView) -> Option<Session> {
        let zygote = proc::process(view.zygote).filter(|it| it.parent == view.guard && it.state != 'Z')?;
        // Nobody's child, so nothing else of it can be checked.
        let guard = proc::process(view.guard).filter(|it| it.title == "llib-guard")?;
        let host = proc::process(view.host)?;
        if !proc::maps(zygote.pid, &view.name) {
            return None;
        }
        let words = proc::command_line(host.pid).unwrap_or_else(|| host.title.clone());
        let mut members = vec![
            self.member(&host, Role::Host, Status::Running, &words),
            self.member(&guard, Role::Guard, Status::Running, "guard"),
            self.member(&zygote, Role::Zygote, Status::Running, "zygote"),
        ];
        let (mut pools, mut spares) = (HashMap::new(), 0);
        for slot in &view.slots {
            if let Some((pool, _)) = slot.pool {
                pools.entry(pool).or_insert_with(|| view.pool(pool));
            }
            let process = proc::process(slot.pid).filter(|it| it.parent == zygote.pid);
            if slot.state == State::Spare {
                spares += usize::from(process.is_some());
            }
            members.extend(self.worker(view, slot, process, &pools));
        }
        members[0].waits = view.waiting.map(|awaited| self.wait(view, awaited));
        members[0].status = match (host.state, &members[0].waits) {
            ('T' | 't', _) => Status::Paused,
            (_, Some(_)) => Status::Waiting,
            _ => Status::Running,
        };
        Some(Session { name: view.name.clone(), depth: 0, spares, members })
    }

    fn member(&mut self, process: &Process, role: Role, status: Status, name: &str) -> Member {
        let (now, cpu, age) = (Instant::now(), process.cpu(), process.age(self.uptime));
        let key = (process.pid, process.started);
        // The first time it is the share of its whole life, as ps(1) has it.
        let (spent, time) = match self.collector.before.get(&key) {
            Some((before, at)) => (cpu.saturating_sub(*before), now - *at),
            None => (cpu, age),
        };
        self.used.insert(key, (cpu, now));
        let share = if time.is_zero() { 0.0 } else { spent.as_secs_f64() / time.as_secs_f64() * 100.0 };
        Member {
            role,
            pid: process.pid,
            started: process.started,
            status,
            name: printable(name),
            cpu: (share * 10.0).round() / 10.0,
            memory: proc::proportional(process.pid).unwrap_or(process.resident),
            age: age.as_secs_f64(),
            holds: self.locks.map(|locks| locks.held_by(process.pid)).unwrap_or_default(),
            ..Member::default()
        }
    }

    fn worker(
        &mut self,
        view: &SessionView,
        slot: &SlotView,
        process: Option<Process>,
        pools: &HashMap<u32, Option<(u64, Vec<llib_core::shm::PoolSeat>)>>,
    ) -> Option<Member> {
        let spare = slot.state == State::Spare;
        let key = (view.name.clone(), slot.index, slot.generation);
        if let Some(name) = slot.name.as_ref().filter(|name| !name.is_empty()) {
            self.collector.names.insert(key.clone(), name.clone());
        }
        let title = process.as_ref().map(|process| process.title.trim_start_matches("llib:").to_owned());
        let known = self.collector.names.get(&key).cloned().or(title.clone());
        let name = if spare { "spare".to_owned() } else { known.unwrap_or_default() };
        let pool = slot.pool.and_then(|(number, seat)| {
            let (queued, seats) = pools.get(&number)?.as_ref()?;
            Some((number, *queued, seats.get(seat).copied()?))
        });
        let status = status(slot, process.as_ref(), pool.map(|(_, _, seat)| seat.busy));
        let mut member = match &process {
            Some(process) => self.member(process, Role::Worker, status, &name),
            // A job that waits for a process, or whose process is gone while nobody has awaited it.
            None if matches!(slot.state, State::Pending | State::Dead) => {
                Member { status, name: printable(&name), ..Member::default() }
            }
            None => return None,
        };
        if !spare {
            let since = Duration::from_nanos(clock::now().saturating_sub(slot.started));
            member.job = Some(u64::from(slot.generation) * SLOTS as u64 + u64::from(slot.index));
            member.age = since.as_secs_f64();
            member.deadline = slot.deadline.map(|at| clock::until(at).as_secs_f64());
        }
        if let Some((number, queued, seat)) = pool {
            (member.pool, member.queued, member.done) = (Some(number), Some(queued), Some(seat.jobs));
        }
        member.sandboxed = slot.sandboxed;
        if process.is_some() && slot.reply == 0 {
            // A job that awaits one is a host, whose jobs are another session's.
            member.waits = slot.waiting.map(|awaited| match awaited {
                Awaited::Job(id) => Wait { what: format!("its job {id}"), holder: None },
                awaited => self.wait(view, awaited),
            });
        }
        Some(member)
    }

    fn wait(&self, view: &SessionView, awaited: Awaited) -> Wait {
        let known = self.locks.and_then(|locks| locks.wanted(awaited));
        let what = match (awaited, known) {
            (_, Some((held, _))) => held.to_string(),
            (Awaited::Lock(id), None) => Held::Lock(id).to_string(),
            (Awaited::Object(id), None) => format!("object {}", super::words::short(id)),
            (Awaited::Push(id), None) => format!("room in {}", Held::Object(Kind::Channel, id)),
            (Awaited::Pop(id), None) => format!("an item of {}", Held::Object(Kind::Channel, id)),
            (Awaited::Job(id), None) => {
                let key = (view.name.clone(), (id % SLOTS as u64) as u32, (id / SLOTS as u64) as u32);
                let name = self.collector.names.get(&key);
                name.map_or_else(|| format!("job {id}"), |name| format!("job {id}, {}", printable(name)))
            }
            (Awaited::Pool(number), None) => format!("pool {number}"),
        };
        Wait { what, holder: known.and_then(|(_, holder)| holder) }
    }
}

fn status(slot: &SlotView, process: Option<&Process>, busy: Option<bool>) -> Status {
    let letter = process.map_or('X', |process| process.state);
    match slot.state {
        State::Spare => Status::Spare,
        State::Pending => Status::Queued,
        State::Dead => Status::Ended,
        State::Released | State::Free => Status::Leaving,
        State::Busy => match (slot.reply, letter, busy) {
            (1, ..) => Status::Done,
            (2.., ..) => Status::Failed,
            (_, 'T' | 't', _) => Status::Paused,
            (_, 'Z' | 'X', _) => Status::Ended,
            _ if slot.waiting.is_some() => Status::Waiting,
            _ if slot.closing => Status::Closing,
            (.., Some(false)) => Status::Idle,
            _ => Status::Running,
        },
    }
}
