//! The one thread that writes: takes what has arrived, commits it in one transaction, answers;
//! between two batches it forgets a stretch of the past and gives pages back to the disk.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::Duration;

use bytes::Bytes;
use loopline_clock::Clock;
use rusqlite::Connection;
use tokio::sync::oneshot;

use super::ring::Ring;
use super::window::{Retention, Window};
use super::{Change, Precondition, Revision, StoreError, database};

/// The most writes in one transaction.
const MAX_BATCH: usize = 128;

/// The most revisions that are forgotten in one transaction, so that writers wait but shortly.
const MAX_FORGOTTEN: u64 = 1000;

/// How long the writer waits for requests before it looks after the file.
const IDLE: Duration = Duration::from_secs(5);

/// How many batches may come before the writer looks after the file all the same. They write
/// less than is forgotten in one transaction, so that the past does not grow under any load.
const MAX_BUSY_BATCHES: u32 = 4;

/// An answer to somebody who asked; it may have gone meanwhile.
type Answer<T> = oneshot::Sender<Result<T, StoreError>>;

/// A request to the writer, with whom to answer.
pub(super) enum Request {
    /// Write or delete a key.
    Write(Write),
    /// Forget what was replaced up to a revision.
    Compact { to: Revision, answer: Answer<()> },
    /// Keep more or less of the past from now on.
    Retain(Retention),
}

/// A write that was asked for.
pub(super) struct Write {
    pub(super) key: String,
    /// Nothing deletes.
    pub(super) value: Option<Bytes>,
    pub(super) precondition: Precondition,
    pub(super) answer: Answer<Revision>,
}

pub(super) struct Writer {
    connection: Connection,
    path: PathBuf,
    state: database::State,
    ring: Arc<Ring>,
    clock: Clock,
    window: Window,
    /// Compactions that were asked for, in the order of their arrival.
    compactions: VecDeque<(Revision, Answer<()>)>,
    /// How many batches were served since the file was looked after.
    busy: u32,
    /// There is more to be done for the file than one step.
    behind: bool,
}

/// A write that was carried out in the open transaction.
struct Done {
    change: Arc<Change>,
    answer: Answer<Revision>,
}

impl Writer {
    pub(super) fn new(
        connection: Connection,
        path: PathBuf,
        state: database::State,
        ring: Arc<Ring>,
    ) -> Self {
        let clock = Clock::real();
        let window = Window::new(Retention::default(), clock.monotonic(), state.revision);
        Self {
            connection,
            path,
            state,
            ring,
            clock,
            window,
            compactions: VecDeque::new(),
            busy: 0,
            behind: false,
        }
    }

    /// Serves requests until all senders are gone.
    pub(super) fn run(mut self, requests: &Receiver<Request>) {
        loop {
            let first = if self.compactions.is_empty() && !self.behind {
                match requests.recv_timeout(IDLE) {
                    Ok(first) => Some(first),
                    Err(RecvTimeoutError::Timeout) => None,
                    Err(RecvTimeoutError::Disconnected) => break,
                }
            } else {
                match requests.try_recv() {
                    Ok(first) => Some(first),
                    Err(TryRecvError::Empty) => None,
                    Err(TryRecvError::Disconnected) => break,
                }
            };
            let idle = first.is_none();
            if let Some(first) = first {
                let mut batch = vec![first];
                while batch.len() < MAX_BATCH
                    && let Ok(next) = requests.try_recv()
                {
                    batch.push(next);
                }
                self.serve(batch);
            }
            self.compact_as_asked();
            self.busy += 1;
            if idle || self.busy >= MAX_BUSY_BATCHES {
                self.busy = 0;
                // What fails here (a full disk) is tried again the next time, and fails the
                // writes that it concerns by themselves.
                self.behind = self.look_after(idle).unwrap_or(false);
            }
        }
        self.ring.close();
        // Leaves one file behind instead of a file and its log; a failure here loses nothing,
        // because the log is read at the next start.
        let _ = self.connection.execute_batch("pragma wal_checkpoint(truncate)");
    }

    fn serve(&mut self, batch: Vec<Request>) {
        let mut writes = Vec::with_capacity(batch.len());
        for request in batch {
            match request {
                Request::Write(write) => writes.push(write),
                Request::Compact { to, answer } => self.compactions.push_back((to, answer)),
                Request::Retain(retention) => self.window.retain(retention),
            }
        }
        if !writes.is_empty() {
            self.write(writes);
        }
    }

    fn write(&mut self, writes: Vec<Write>) {
        let mut done: Vec<Done> = Vec::with_capacity(writes.len());
        let mut refused = Vec::new();
        let mut revision = self.state.revision;
        let mut failure = self.begin().err();
        for Write { key, value, precondition, answer } in writes {
            if let Some(error) = &failure {
                refused.push((answer, error.clone()));
                continue;
            }
            match self.apply(key, value, precondition, revision + 1) {
                Ok(Ok(change)) => {
                    revision += 1;
                    done.push(Done { change: Arc::new(change), answer });
                }
                Ok(Err(error)) => refused.push((answer, error)),
                Err(error) => {
                    let error = StoreError::of_write(&self.path, &error);
                    refused.push((answer, error.clone()));
                    failure = Some(error);
                }
            }
        }
        if failure.is_none()
            && let Err(error) = self.commit(revision)
        {
            failure = Some(StoreError::of_write(&self.path, &error));
        }
        match failure {
            None => {
                self.state.revision = revision;
                let bytes = done.iter().map(|one| one.change.bytes()).sum();
                self.window.note(self.clock.monotonic(), revision, bytes);
                self.ring.push(done.iter().map(|one| Arc::clone(&one.change)).collect());
                for one in done {
                    // The asker may have gone; the write stands all the same.
                    let _ = one.answer.send(Ok(one.change.revision));
                }
            }
            Some(error) => {
                // Nothing of the transaction stands, so nobody is told that it does. Where the
                // database has rolled back by itself there is nothing left to roll back.
                let _ = self.connection.execute_batch("rollback");
                for one in done {
                    let _ = one.answer.send(Err(error.clone()));
                }
            }
        }
        for (answer, error) in refused {
            let _ = answer.send(Err(error));
        }
    }

    fn begin(&self) -> Result<(), StoreError> {
        database::begin(&self.connection).map_err(|error| StoreError::of_write(&self.path, &error))
    }

    fn commit(&self, revision: Revision) -> rusqlite::Result<()> {
        if revision != self.state.revision {
            database::set_meta(&self.connection, "revision", revision)?;
        }
        database::commit(&self.connection)
    }

    /// Carries out one write in the open transaction, if its precondition holds.
    fn apply(
        &self,
        key: String,
        value: Option<Bytes>,
        precondition: Precondition,
        revision: Revision,
    ) -> rusqlite::Result<Result<Change, StoreError>> {
        let current = database::get(&self.connection, &key)?;
        match (precondition, &current) {
            (Precondition::Absent, None) => {}
            (Precondition::Revision(asked), Some(record)) if record.revision == asked => {}
            (Precondition::Revision(_), None) => return Ok(Err(StoreError::NotFound(key))),
            (_, Some(record)) => return Ok(Err(StoreError::Conflict(Box::new(record.clone())))),
        }
        let created = current.as_ref().map_or(revision, |record| record.created);
        let previous = current.map(|record| (record.revision, record.value));
        let change = Change { key, revision, created, value, previous };
        database::append(&self.connection, &change)?;
        Ok(Ok(change))
    }

    /// Carries out one step of the compaction that was asked for first.
    fn compact_as_asked(&mut self) {
        let Some((to, answer)) = self.compactions.pop_front() else { return };
        if to > self.state.revision {
            let _ = answer.send(Err(StoreError::Future { asked: to, latest: self.state.revision }));
            return;
        }
        match self.forget(to) {
            Err(error) => {
                let _ = answer.send(Err(error));
            }
            Ok(()) if self.state.compacted < to => self.compactions.push_front((to, answer)),
            Ok(()) => {
                let _ = answer.send(Ok(()));
            }
        }
    }

    /// Keeps the past and the file from growing, one step at a time; returns whether there is more
    /// to do. Small steps wait until nobody writes.
    fn look_after(&mut self, idle: bool) -> Result<bool, StoreError> {
        let target = self.window.target(self.clock.monotonic());
        if target >= self.state.compacted + if idle { 1 } else { MAX_FORGOTTEN } {
            self.forget(target)?;
        }
        let more = database::shrink(&self.connection)
            .map_err(|error| StoreError::of_write(&self.path, &error))?;
        Ok(more || target > self.state.compacted + MAX_FORGOTTEN)
    }

    /// Forgets a stretch of the past, not beyond `to`.
    fn forget(&mut self, to: Revision) -> Result<(), StoreError> {
        if to <= self.state.compacted {
            return Ok(());
        }
        let to = to.min(self.state.compacted + MAX_FORGOTTEN);
        let at = |error: rusqlite::Error| StoreError::of_write(&self.path, &error);
        let transaction = self.connection.unchecked_transaction().map_err(at)?;
        database::compact(&transaction, self.state.compacted, to).map_err(at)?;
        transaction.commit().map_err(at)?;
        self.state.compacted = to;
        Ok(())
    }
}
