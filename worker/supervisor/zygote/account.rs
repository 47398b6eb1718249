//! What a sandboxed job and its line may use: all jobs but the first have together once more what that has, memory, CPU time,
//! and as many at once as its sandbox grants. What a job may use is set aside when it starts, and what it has not used
//! is there again when it has ended.

use llib_core::wire::cause::Scarce;
use llib_core::wire::limits::Limits;

/// CPU time that each job costs its line beside its own, in microseconds: what the zygote needs for it, and what it can use
/// before its limit stops it.
const FEE: u64 = 1000;

/// What is left for the jobs of one line. `None` is without limit.
pub(super) struct Account {
    /// Slot of the line's first job.
    pub(super) first: u32,
    jobs: u32,
    memory: Option<u64>,
    cpu: Option<u64>,
    /// What a job gets that asks for nothing.
    share: Limits,
}

impl Account {
    pub(super) fn new(first: u32, limits: Limits, jobs: u32) -> Account {
        let share = |limit: Option<u64>| limit.map(|limit| limit / u64::from(jobs.max(1)));
        let share = Limits { memory: share(limits.memory), cpu: share(limits.cpu), ..Limits::default() };
        Account { first, jobs, memory: limits.memory, cpu: limits.cpu, share }
    }

    /// Sets aside what a job asks for, or its share of it, or what is left of that; no more than its starter itself has, `most`.
    pub(super) fn set_aside(&mut self, asked: Limits, most: Limits) -> Result<Limits, Scarce> {
        let share = self.share.least(most);
        // One that asks for more than there ever was is told so, and not given less.
        let within =
            |asked: Option<u64>, most: Option<u64>| asked.zip(most).is_none_or(|(asked, most)| asked <= most);
        if !within(asked.memory, most.memory) {
            return Err(Scarce::Memory);
        }
        if !within(asked.cpu, most.cpu) {
            return Err(Scarce::Cpu);
        }
        let part = |asked: Option<u64>, share: Option<u64>, left: u64| {
            asked.unwrap_or(share.unwrap_or(left).min(left))
        };
        if self.jobs == 0 {
            return Err(Scarce::Jobs);
        }
        let memory = match self.memory {
            None => asked.memory,
            Some(left) => {
                let part = part(asked.memory, share.memory, left);
                Some(part).filter(|part| *part <= left && *part > 0).ok_or(Scarce::Memory)?.into()
            }
        };
        let cpu = match self.cpu {
            None => asked.cpu,
            Some(left) => {
                let left = left.checked_sub(FEE).ok_or(Scarce::Cpu)?;
                let part = part(asked.cpu, share.cpu, left);
                Some(part).filter(|part| *part <= left && *part > 0).ok_or(Scarce::Cpu)?.into()
            }
        };
        self.jobs -= 1;
        self.memory = self.memory.zip(memory).map(|(left, memory)| left.saturating_sub(memory));
        self.cpu = self.cpu.zip(cpu).map(|(left, cpu)| left.saturating_sub(cpu.saturating_add(FEE)));
        Ok(Limits { memory, cpu, ..Limits::default() })
    }

    /// A job is gone that was granted this and used so much CPU time, in microseconds. It may be more than it was granted.
    pub(super) fn settle(&mut self, granted: Limits, used: u64) {
        self.jobs += 1;
        self.memory = self.memory.zip(granted.memory).map(|(left, memory)| left.saturating_add(memory));
        self.cpu = self.cpu.zip(granted.cpu).map(|(left, cpu)| left.saturating_add(cpu).saturating_sub(used));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: Limits =
        Limits { memory: Some(400), cpu: Some(100_000), files: None, fsize: None, result: None };

    fn memory(bytes: u64) -> Limits {
        Limits { memory: Some(bytes), ..Limits::default() }
    }

    fn cpu(micros: u64) -> Limits {
        Limits { cpu: Some(micros), ..Limits::default() }
    }

    #[test]
    fn jobs_that_ask_for_nothing_get_equal_shares() {
        let mut account = Account::new(0, LIMITS, 4);
        for _ in 0..4 {
            let granted = account.set_aside(Limits::default(), LIMITS).unwrap();
            assert_eq!(granted.memory, Some(100));
            assert!(granted.cpu.unwrap() > 20_000 && granted.cpu.unwrap() <= 25_000);
        }
        assert_eq!(account.set_aside(memory(0), LIMITS), Err(Scarce::Jobs));
    }

    #[test]
    fn no_more_is_given_than_is_there_and_what_was_not_used_comes_back() {
        let mut account = Account::new(0, LIMITS, 4);
        let all = account.set_aside(memory(400), LIMITS).unwrap();
        assert_eq!(account.set_aside(Limits::default(), LIMITS), Err(Scarce::Memory));
        assert_eq!(account.set_aside(memory(1), LIMITS), Err(Scarce::Memory));
        account.settle(all, 5_000);
        assert_eq!((account.memory, account.jobs, account.cpu), (Some(400), 4, Some(95_000 - FEE)));
        for nonsense in [cpu(95_000), cpu(u64::MAX), cpu(0), memory(u64::MAX), memory(0)] {
            assert!(account.set_aside(nonsense, LIMITS).is_err());
        }
        assert_eq!((account.memory, account.jobs), (Some(400), 4), "what is refused takes nothing");
        let most = account.set_aside(cpu(95_000 - 2 * FEE), LIMITS).unwrap();
        assert_eq!(account.cpu, Some(0));
        account.settle(most, u64::MAX);
        for asked in [Limits::default(), cpu(0), cpu(1)] {
            assert_eq!((account.cpu, account.set_aside(asked, LIMITS)), (Some(0), Err(Scarce::Cpu)));
        }
    }

    #[test]
    fn nobody_gets_more_than_its_starter() {
        let mut account = Account::new(0, LIMITS, 4);
        let starter = Limits { memory: Some(50), cpu: Some(2_000), ..Limits::default() };
        assert_eq!(account.set_aside(memory(51), starter), Err(Scarce::Memory));
        assert_eq!(account.set_aside(cpu(2_001), starter), Err(Scarce::Cpu));
        let granted = account.set_aside(Limits::default(), starter).unwrap();
        assert_eq!((granted.memory, granted.cpu), (Some(50), Some(2_000)));
    }

    #[test]
    fn each_job_costs_something_even_if_it_uses_nothing() {
        let mut account = Account::new(0, LIMITS, 1);
        let count = std::iter::from_fn(|| {
            account.set_aside(Limits::default(), LIMITS).ok().map(|granted| account.settle(granted, 0))
        });
        assert!(count.count() as u64 <= LIMITS.cpu.unwrap() / FEE);
    }

    proptest! {
        /// Whatever is asked for and used, in whatever order: what is set aside never exceeds what there is, and nobody's
        /// share gets lost.
        #[test]
        fn an_account_gives_no_more_than_it_has(
            limits in (1u64..1 << 40, 1u64..1 << 40),
            steps in prop::collection::vec((any::<bool>(), any::<Option<u64>>(), any::<Option<u64>>(), any::<u64>()), 0..60),
            jobs in 0u32..70,
        ) {
            let limits = Limits { memory: Some(limits.0), cpu: Some(limits.1), ..Limits::default() };
            let mut account = Account::new(0, limits, jobs);
            let (mut live, mut used) = (Vec::<Limits>::new(), 0u64);
            for (starts, memory, cpu, time) in steps {
                if starts {
                    live.extend(account.set_aside(Limits { memory, cpu, ..Limits::default() }, limits));
                } else if let Some(granted) = live.pop() {
                    let time = time % granted.cpu.unwrap().saturating_add(2);
                    used = used.saturating_add(time);
                    account.settle(granted, time);
                }
                let sum = |of: fn(&Limits) -> Option<u64>| live.iter().filter_map(of).sum::<u64>();
                prop_assert_eq!(account.memory.unwrap() + sum(|granted| granted.memory), limits.memory.unwrap());
                prop_assert!(account.cpu.unwrap() + sum(|granted| granted.cpu) <= limits.cpu.unwrap());
                prop_assert!(used <= limits.cpu.unwrap().saturating_add(FEE));
                prop_assert_eq!(account.jobs as usize + live.len(), jobs as usize);
            }
        }
    }
}
