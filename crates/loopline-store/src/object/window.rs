//! How much of the past is kept: a decision over numbers, without the database.

use std::collections::VecDeque;
use std::time::Duration;

use super::Revision;

/// How finely the past is divided: a limit is kept to within this part of it.
const PARTS: u32 = 64;

/// What is kept of the past, for lists and watches that ask for it. What any of the limits
/// excludes is forgotten; current values stay whatever their age.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// How many changes are kept.
    pub changes: u64,
    /// How long a change is kept while the store is open.
    pub age: Duration,
    /// How many bytes of values are kept.
    pub bytes: u64,
}

impl Default for Retention {
    fn default() -> Self {
        Self { changes: 100_000, age: Duration::from_secs(60 * 60), bytes: 256 * 1024 * 1024 }
    }
}

/// A moment of the past.
#[derive(Clone, Copy, Debug)]
struct Mark {
    at: Duration,
    /// The latest revision at that moment.
    revision: Revision,
    /// How many bytes had been written since the store was opened.
    bytes: u64,
}

/// The past since the store was opened.
#[derive(Debug)]
pub(super) struct Window {
    retention: Retention,
    /// About [`PARTS`] of them for each limit, oldest first; never empty.
    marks: VecDeque<Mark>,
    now: Mark,
}

impl Window {
    /// Begins at the moment when a store is opened: what was written before counts as written now.
    pub(super) fn new(retention: Retention, at: Duration, revision: Revision) -> Self {
        let now = Mark { at, revision, bytes: 0 };
        Self { retention, marks: VecDeque::from([now]), now }
    }

    /// Changes what is kept.
    pub(super) fn retain(&mut self, retention: Retention) {
        self.retention = retention;
    }

    /// Notes that the store has come to a revision with so many bytes.
    pub(super) fn note(&mut self, at: Duration, revision: Revision, bytes: u64) {
        self.now = Mark { at, revision, bytes: self.now.bytes + bytes };
        let Retention { changes, age, bytes } = self.retention;
        let due = self.marks.back().is_none_or(|last| {
            self.now.revision - last.revision >= changes / u64::from(PARTS)
                || at.saturating_sub(last.at) >= age / PARTS
                || self.now.bytes - last.bytes >= bytes / u64::from(PARTS)
        });
        if due {
            self.marks.push_back(self.now);
        }
    }

    /// Returns the revision up to which the past is to be forgotten.
    pub(super) fn target(&mut self, at: Duration) -> Revision {
        let Retention { changes, age, bytes } = self.retention;
        let mut target = self.now.revision.saturating_sub(changes);
        while let Some(oldest) = self.marks.front()
            && (at.saturating_sub(oldest.at) >= age || self.now.bytes - oldest.bytes >= bytes)
        {
            target = target.max(oldest.revision);
            self.marks.pop_front();
        }
        while self.marks.front().is_some_and(|oldest| oldest.revision < target) {
            self.marks.pop_front();
        }
        if self.marks.is_empty() {
            self.marks.push_back(Mark { at, ..self.now });
        }
        target
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn window(changes: u64, age: u32, bytes: u64) -> Window {
        Window::new(Retention { changes, age: SECOND * age, bytes }, Duration::ZERO, 0)
    }

    #[test]
    fn each_limit_alone_forgets() {
        let mut by_count = window(100, 1_000_000, u64::MAX);
        let mut by_age = window(u64::MAX, 100, u64::MAX);
        let mut by_bytes = window(u64::MAX, 1_000_000, 1000);
        for second in 1..=1000 {
            let at = SECOND * u32::try_from(second).unwrap();
            for window in [&mut by_count, &mut by_age, &mut by_bytes] {
                window.note(at, second, 10);
            }
            assert_eq!(by_count.target(at), second.saturating_sub(100));
        }
        let at = SECOND * 1000;
        let aged = by_age.target(at);
        assert!((898..=900).contains(&aged), "{aged}");
        let sized = by_bytes.target(at);
        assert!((898..=900).contains(&sized), "{sized}");
    }

    #[test]
    fn age_alone_forgets_while_nothing_is_written() {
        let mut window = window(1000, 100, u64::MAX);
        window.note(SECOND, 10, 0);
        window.note(SECOND * 2, 11, 0);
        assert_eq!(window.target(SECOND * 50), 0);
        assert_eq!(window.target(SECOND * 102), 11);
    }

    #[test]
    fn marks_stay_few() {
        let mut window = window(100_000, 3600, 1 << 28);
        for revision in 1..=1_000_000u64 {
            let at = Duration::from_millis(revision);
            window.note(at, revision, 2000);
            window.target(at);
            assert!(window.marks.len() <= 3 * PARTS as usize + 1);
        }
    }
}
