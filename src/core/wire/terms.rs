//! The numbers of a [`Charter`]: all that supervisors need of it. They fork workers, so they must not have read what else stands
//! there: names, paths, variables.

use super::charter::Charter;
use super::limits::Limits;
use super::settings::Stdio;

/// See the module's header.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// What the job may use.
    pub limits: Limits,
    /// How many jobs it may have at once.
    pub jobs: u32,
    /// Whether a sandboxed job started it.
    pub nested: bool,
    /// Whether its standard output and its standard error are captured.
    pub captured: [bool; 2],
    /// The shared objects that it was given, in order.
    pub objects: Vec<u64>,
}

/// How many words the numbers take beside the objects.
pub const WORDS: usize = 7;

impl Terms {
    /// Those of a charter.
    pub fn of(charter: &Charter) -> Terms {
        let settings = &charter.settings;
        Terms {
            limits: settings.limits,
            jobs: settings.sandbox.as_ref().map_or(0, |policy| policy.jobs),
            nested: charter.nested,
            captured: [settings.stdout, settings.stderr].map(|stream| stream == Stdio::Capture),
            objects: charter.objects.clone(),
        }
    }

    /// Everything but the objects.
    pub fn to_words(&self) -> [u64; WORDS] {
        let Limits { memory, cpu, files, fsize, result } = self.limits;
        let [memory, cpu, files, fsize, result] =
            [memory, cpu, files, fsize, result].map(|limit| limit.unwrap_or(u64::MAX));
        let marks = [self.nested, self.captured[0], self.captured[1]];
        let marks = marks.iter().enumerate().map(|(bit, mark)| u64::from(*mark) << bit).sum();
        [memory, cpu, files, fsize, result, self.jobs.into(), marks]
    }

    /// The inverse.
    pub fn from_words(words: [u64; WORDS], objects: Vec<u64>) -> Terms {
        let [memory, cpu, files, fsize, result, jobs, marks] = words;
        let [memory, cpu, files, fsize, result] =
            [memory, cpu, files, fsize, result].map(|word| Some(word).filter(|word| *word != u64::MAX));
        let mark = |bit: u32| marks >> bit & 1 != 0;
        Terms {
            limits: Limits { memory, cpu, files, fsize, result },
            jobs: u32::try_from(jobs).unwrap_or(u32::MAX),
            nested: mark(0),
            captured: [mark(1), mark(2)],
            objects,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::sandbox::SandboxPolicy;
    use super::super::settings::Settings;
    use super::*;

    #[test]
    fn the_numbers_of_a_charter_come_back_from_words() {
        let limits = Limits { memory: Some(64), files: Some(3), result: Some(0), ..Limits::default() };
        let sandbox = Some(SandboxPolicy { jobs: 7, ..SandboxPolicy::default() });
        let settings = Settings { limits, sandbox, stderr: Stdio::Capture, ..Settings::default() };
        let charter = Charter { settings, objects: vec![2, u64::MAX], nested: true, ..Charter::default() };
        let terms = Terms::of(&charter);
        assert_eq!((terms.jobs, terms.nested, terms.captured), (7, true, [false, true]));
        assert_eq!(Terms::from_words(terms.to_words(), terms.objects.clone()), terms);
        assert_eq!(Terms::from_words(Terms::default().to_words(), Vec::new()), Terms::default());
    }
}
