//! The one thread that writes: takes what has arrived, commits it in one transaction, answers.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use bytes::Bytes;
use rusqlite::Connection;
use tokio::sync::oneshot;

use super::ring::Ring;
use super::{Change, Precondition, Revision, StoreError, database};

/// The most writes in one transaction.
const MAX_BATCH: usize = 128;

/// A request to the writer, with whom to answer.
pub(super) enum Request {
    /// Write or delete a key.
    Write {
        key: String,
        /// Nothing deletes.
        value: Option<Bytes>,
        precondition: Precondition,
        answer: oneshot::Sender<Result<Revision, StoreError>>,
    },
    /// Forget what was replaced up to a revision.
    Compact { to: Revision, answer: oneshot::Sender<Result<(), StoreError>> },
}

pub(super) struct Writer {
    pub(super) connection: Connection,
    pub(super) path: PathBuf,
    pub(super) state: database::State,
    pub(super) ring: Arc<Ring>,
}

/// A write that was carried out in the open transaction.
struct Done {
    change: Arc<Change>,
    answer: oneshot::Sender<Result<Revision, StoreError>>,
}

impl Writer {
    /// Serves requests until all senders are gone.
    pub(super) fn run(mut self, requests: &Receiver<Request>) {
        while let Ok(first) = requests.recv() {
            let mut batch = vec![first];
            while batch.len() < MAX_BATCH
                && let Ok(next) = requests.try_recv()
            {
                batch.push(next);
            }
            self.serve(batch);
        }
        self.ring.close();
        // Leaves one file behind instead of a file and its log; a failure here loses nothing,
        // because the log is read at the next start.
        let _ = self.connection.execute_batch("pragma wal_checkpoint(truncate)");
    }

    fn serve(&mut self, batch: Vec<Request>) {
        let mut writes = Vec::new();
        let mut compactions = Vec::new();
        for request in batch {
            match request {
                Request::Write { key, value, precondition, answer } => {
                    writes.push((key, value, precondition, answer));
                }
                Request::Compact { to, answer } => compactions.push((to, answer)),
            }
        }
        if !writes.is_empty() {
            self.write(writes);
        }
        for (to, answer) in compactions {
            // The asker may have gone; the compaction is done all the same.
            let _ = answer.send(self.compact(to));
        }
    }

    #[expect(clippy::type_complexity, reason = "the fields of one variant, taken apart once")]
    fn write(
        &mut self,
        writes: Vec<(
            String,
            Option<Bytes>,
            Precondition,
            oneshot::Sender<Result<Revision, StoreError>>,
        )>,
    ) {
        let mut done: Vec<Done> = Vec::with_capacity(writes.len());
        let mut refused = Vec::new();
        let mut revision = self.state.revision;
        let mut failure = self.begin().err();
        for (key, value, precondition, answer) in writes {
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
                    let error = StoreError::of_database(&self.path, &error);
                    refused.push((answer, error.clone()));
                    failure = Some(error);
                }
            }
        }
        if failure.is_none()
            && let Err(error) = self.commit(revision)
        {
            failure = Some(StoreError::of_database(&self.path, &error));
        }
        match failure {
            None => {
                self.state.revision = revision;
                self.ring.push(done.iter().map(|one| Arc::clone(&one.change)).collect());
                for one in done {
                    // The asker may have gone; the write stands all the same.
                    let _ = one.answer.send(Ok(one.change.revision));
                }
            }
            Some(error) => {
                // Nothing of the transaction stands, so nobody is told that it does.
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
        self.connection
            .execute_batch("begin immediate")
            .map_err(|error| StoreError::of_database(&self.path, &error))
    }

    fn commit(&self, revision: Revision) -> rusqlite::Result<()> {
        if revision != self.state.revision {
            database::set_meta(&self.connection, "revision", revision)?;
        }
        self.connection.execute_batch("commit")
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

    fn compact(&mut self, to: Revision) -> Result<(), StoreError> {
        if to > self.state.revision {
            return Err(StoreError::Future { asked: to, latest: self.state.revision });
        }
        if to <= self.state.compacted {
            return Ok(());
        }
        let at = |error: rusqlite::Error| StoreError::of_database(&self.path, &error);
        let transaction = self.connection.unchecked_transaction().map_err(at)?;
        database::compact(&transaction, self.state.compacted, to).map_err(at)?;
        transaction.commit().map_err(at)?;
        self.state.compacted = to;
        Ok(())
    }
}
