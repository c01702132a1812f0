//! Concurrency groups over the data folder: across runs, processes and terminals.

use std::io;
use std::os::fd::AsFd as _;
use std::sync::{Arc, Mutex, PoisonError};

use loopline_runner::host::{Claim, GroupRefusal, Groups, Queue};
use loopline_runner::{Cancel, Level};
use loopline_store::{self as store, DataFolder, Group, GroupError, Request};
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};

/// The groups of one run.
pub(crate) struct DataGroups {
    pub(crate) data: DataFolder,
    /// The run's number.
    pub(crate) run: u64,
}

impl Groups for DataGroups {
    fn take(
        &self,
        claim: &Claim,
        cancel: &Cancel,
        waiting: &mut dyn FnMut(&str),
    ) -> Result<Box<dyn Send>, GroupRefusal> {
        let own = store::Claim {
            run: self.run,
            job: claim.job.as_ref().map(|job| job.as_str().to_owned()),
        };
        let holder = match Group::try_take(&self.data, &claim.group, &own).map_err(refusal)? {
            Ok(group) => return Ok(Box::new(group)),
            Err(holder) => holder,
        };
        if let Some(holder) = &holder {
            waiting(&format!("run {} holds it", holder.run));
            if claim.cancel_in_progress {
                self.ask_to_end(holder, &claim.group);
            }
        }
        if claim.queue == Queue::Single
            && let Some(pending) = Group::pending(&self.data, &claim.group).map_err(refusal)?
        {
            self.ask_to_end(&pending, &claim.group);
        }
        self.wait(claim, own, cancel)
    }
}

impl DataGroups {
    /// Asks the holder of a group to give way. A holder that ended meanwhile already has.
    fn ask_to_end(&self, holder: &store::Claim, group: &str) {
        let request = Request::Cancel {
            job: holder.job.clone().map(loopline_workflow::run::JobKey),
            reason: format!("run {} took its place in concurrency group {group}", self.run),
            force: false,
        };
        let _ended = request.send(&self.data.run(holder.run));
    }

    /// Waits on a thread of its own, because a lock cannot be waited for beside anything else.
    fn wait(
        &self,
        claim: &Claim,
        own: store::Claim,
        cancel: &Cancel,
    ) -> Result<Box<dyn Send>, GroupRefusal> {
        let queue = match claim.queue {
            Queue::Single => store::Queue::Single,
            Queue::Max => store::Queue::Max,
        };
        let taken = Arc::new(eventfd(0, EventfdFlags::CLOEXEC).map_err(io::Error::from)?);
        let result: Arc<Mutex<Option<Result<Group, GroupError>>>> = Arc::default();
        let (data, group) = (self.data.clone(), claim.group.clone());
        let (set, signal) = (Arc::clone(&result), Arc::clone(&taken));
        let thread = std::thread::Builder::new().name("concurrency-group".to_owned());
        thread.spawn(move || {
            let group = Group::wait(&data, &group, &own, queue);
            *set.lock().unwrap_or_else(PoisonError::into_inner) = Some(group);
            // An eventfd takes its first 1.
            let _woken = rustix::io::write(&*signal, &1_u64.to_ne_bytes());
        })?;
        let mut polled = vec![PollFd::from_borrowed_fd(taken.as_fd(), PollFlags::IN)];
        polled.extend(
            cancel.above(Level::None).map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)),
        );
        loop {
            match poll(&mut polled, None) {
                Ok(_) => {}
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(io::Error::from(error).into()),
            }
            if let Some(taken) = result.lock().unwrap_or_else(PoisonError::into_inner).take() {
                return Ok(Box::new(taken.map_err(refusal)?));
            }
            if cancel.is_cancelled() {
                return Err(GroupRefusal::Cancelled);
            }
        }
    }
}

fn refusal(error: GroupError) -> GroupRefusal {
    match error {
        GroupError::Superseded => GroupRefusal::Superseded,
        GroupError::Full => GroupRefusal::Full,
        GroupError::Io(error) => GroupRefusal::Io(error),
    }
}
