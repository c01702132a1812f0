//! The token that asks a run, a job or a background step to end: gently first, then at once.
//!
//! A token is an event descriptor a thread can poll beside a process's output, so that waiting
//! for a step costs no extra thread. Signals and their handlers are not here: the command line
//! turns Ctrl-C into calls of [`Cancel::ask`] and [`Cancel::force`].

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use loopline_workflow::run::JobKey;
use rustix::event::{EventfdFlags, eventfd};

/// How strongly something was asked to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Nobody asked.
    None,
    /// The running step is interrupted; what wants to run although cancelled still runs.
    Asked,
    /// Everything is killed now and nothing more is started.
    Forced,
}

/// A token; clones are the same token, [children](Cancel::child) follow their parent.
#[derive(Clone)]
pub struct Cancel(Arc<Inner>);

struct Inner {
    level: AtomicU8,
    reason: Mutex<Option<Arc<str>>>,
    asked: OwnedFd,
    forced: OwnedFd,
    children: Mutex<Vec<Weak<Inner>>>,
}

impl Cancel {
    /// Returns a token nobody has used.
    ///
    /// # Errors
    /// Where the system has no more descriptors.
    pub fn new() -> io::Result<Self> {
        Ok(Self(Arc::new(Inner {
            level: AtomicU8::new(0),
            reason: Mutex::new(None),
            asked: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
            forced: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
            children: Mutex::new(Vec::new()),
        })))
    }

    /// Returns a token that ends when this one does, and can end by itself.
    ///
    /// # Errors
    /// Where the system has no more descriptors.
    pub fn child(&self) -> io::Result<Self> {
        let child = Self::new()?;
        {
            let mut children = lock(&self.0.children);
            children.retain(|child| child.strong_count() > 0);
            children.push(Arc::downgrade(&child.0));
        }
        // The parent may have been asked before or while the child was entered.
        match self.level() {
            Level::None => {}
            level => child.raise(level, &self.reason()),
        }
        Ok(child)
    }

    /// Asks for a gentle end; `reason` is one sentence shown in the run.
    pub fn ask(&self, reason: &str) {
        self.raise(Level::Asked, &Arc::from(reason));
    }

    /// Ends everything now.
    pub fn force(&self, reason: &str) {
        self.raise(Level::Forced, &Arc::from(reason));
    }

    /// Returns how strongly the token was used.
    pub fn level(&self) -> Level {
        match self.0.level.load(Ordering::Acquire) {
            0 => Level::None,
            1 => Level::Asked,
            _ => Level::Forced,
        }
    }

    /// Returns whether anybody asked.
    pub fn is_cancelled(&self) -> bool {
        self.level() != Level::None
    }

    /// Returns why, or an empty text while nobody asked.
    pub fn reason(&self) -> Arc<str> {
        lock(&self.0.reason).clone().unwrap_or_else(|| Arc::from(""))
    }

    /// Returns the descriptor that becomes, and stays, readable above `seen`; `None` where there
    /// is nothing above it.
    pub fn above(&self, seen: Level) -> Option<BorrowedFd<'_>> {
        match seen {
            Level::None => Some(self.0.asked.as_fd()),
            Level::Asked => Some(self.0.forced.as_fd()),
            Level::Forced => None,
        }
    }

    fn raise(&self, level: Level, reason: &Arc<str>) {
        lock(&self.0.reason).get_or_insert_with(|| Arc::clone(reason));
        self.0.level.fetch_max(level as u8, Ordering::AcqRel);
        // An eventfd write of 1 fails only on overflow, and then it is readable anyway.
        let _woken = rustix::io::write(&self.0.asked, &1_u64.to_ne_bytes());
        if level == Level::Forced {
            let _woken = rustix::io::write(&self.0.forced, &1_u64.to_ne_bytes());
        }
        let children = lock(&self.0.children).clone();
        for child in children.iter().filter_map(Weak::upgrade) {
            Self(child).raise(level, reason);
        }
    }
}

/// The tokens of jobs that run or wait, so that somebody outside can end one of them; clones are
/// the same.
#[derive(Clone, Debug, Default)]
pub struct JobTokens(Arc<Mutex<HashMap<JobKey, Cancel>>>);

impl JobTokens {
    /// Asks `job`, and all jobs of the workflow it calls, to end; returns whether there were any.
    pub fn ask(&self, job: &JobKey, reason: &str, force: bool) -> bool {
        let called = format!("{job}/");
        let mut found = false;
        for (key, cancel) in lock(&self.0).iter() {
            if key == job || key.0.starts_with(&called) {
                found = true;
                if force {
                    cancel.force(reason);
                } else {
                    cancel.ask(reason);
                }
            }
        }
        found
    }

    pub(crate) fn set(&self, job: &JobKey, cancel: &Cancel) {
        lock(&self.0).insert(job.clone(), cancel.clone());
    }

    pub(crate) fn remove(&self, job: &JobKey) {
        lock(&self.0).remove(job);
    }
}

impl fmt::Debug for Cancel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cancel({:?})", self.level())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_follow_their_parent_but_not_the_other_way_round() {
        let run = Cancel::new().unwrap();
        let (one, two) = (run.child().unwrap(), run.child().unwrap());
        one.ask("fail-fast");
        assert_eq!((run.level(), one.level(), two.level()), {
            (Level::None, Level::Asked, Level::None)
        });
        run.ask("Ctrl-C");
        run.force("Ctrl-C again");
        assert_eq!((one.level(), two.level()), (Level::Forced, Level::Forced));
        assert_eq!((&*one.reason(), &*two.reason()), ("fail-fast", "Ctrl-C"));
        assert_eq!(run.child().unwrap().level(), Level::Forced);
    }
}
