//! Changes as those who watch see them: decoded once and encoded once, however many watch.
//!
//! Watchers of one resource read the same changes at about the same time, so the latest few are
//! kept. Whoever needs an older one decodes it anew.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytes::Bytes;
use loopline_store::object::{Change, Revision};
use serde_json::Value;

use crate::Server;
use crate::http::reply::json_bytes;
use crate::registry::Entry;
use crate::status::Result;

/// How many changes are kept.
const MAX_CHANGES: usize = 32;

/// The largest values whose changes are kept, in bytes: decoded ones are several times as large.
const MAX_VALUE_BYTES: usize = 64 * 1024;

/// A change in the version of the entry it was read with.
#[derive(Debug)]
pub(crate) struct Decoded {
    /// The object before, at the revision of the change: what a deletion shows.
    pub(crate) before: Option<Value>,
    /// The object after.
    pub(crate) after: Option<Value>,
    added: OnceLock<Bytes>,
    modified: OnceLock<Bytes>,
    deleted: OnceLock<Bytes>,
}

impl Decoded {
    /// Returns the line of an event about the whole object.
    pub(crate) fn line(&self, kind: &str) -> Bytes {
        let (slot, object) = match kind {
            "ADDED" => (&self.added, &self.after),
            "MODIFIED" => (&self.modified, &self.after),
            _ => (&self.deleted, &self.before),
        };
        let encode = || Bytes::from(line(kind, object.as_ref().unwrap_or(&Value::Null)));
        slot.get_or_init(encode).clone()
    }
}

/// Returns an event as a line of a stream.
pub(crate) fn line(kind: &str, object: &Value) -> Vec<u8> {
    let object = json_bytes(object);
    let mut line = Vec::with_capacity(object.len() + 32);
    line.extend_from_slice(b"{\"type\":\"");
    line.extend_from_slice(kind.as_bytes());
    line.extend_from_slice(b"\",\"object\":");
    // The object ends with the end of its line, which is the line's.
    line.extend_from_slice(object.trim_ascii_end());
    line.extend_from_slice(b"}\n");
    line
}

/// The latest changes that somebody watched.
#[derive(Debug, Default)]
pub(crate) struct Changes(Mutex<VecDeque<Kept>>);

#[derive(Debug)]
struct Kept {
    revision: Revision,
    /// Held, so that no other entry can come to lie at its address.
    entry: Arc<Entry>,
    decoded: Arc<Decoded>,
}

impl Changes {
    fn find(&self, entry: &Arc<Entry>, revision: Revision) -> Option<Arc<Decoded>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter()
            .rev()
            .find(|one| one.revision == revision && Arc::ptr_eq(&one.entry, entry))
            .map(|one| Arc::clone(&one.decoded))
    }

    fn keep(&self, entry: &Arc<Entry>, revision: Revision, decoded: &Arc<Decoded>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == MAX_CHANGES {
            kept.pop_front();
        }
        kept.push_back(Kept { revision, entry: Arc::clone(entry), decoded: Arc::clone(decoded) });
    }
}

impl Server {
    /// Decodes a change into the entry's version.
    ///
    /// # Errors
    /// 500 for values that cannot be read.
    pub(crate) fn decode_change(
        &self,
        entry: &Arc<Entry>,
        change: &Change,
    ) -> Result<Arc<Decoded>> {
        if let Some(decoded) = self.changes().find(entry, change.revision) {
            return Ok(decoded);
        }
        let before = change.previous.as_ref();
        let before =
            before.map(|(_, value)| self.decode(entry, &change.key, value, change.revision));
        let after = change.value.as_ref();
        let after = after.map(|value| self.decode(entry, &change.key, value, change.revision));
        let decoded = Arc::new(Decoded {
            before: before.transpose()?,
            after: after.transpose()?,
            added: OnceLock::new(),
            modified: OnceLock::new(),
            deleted: OnceLock::new(),
        });
        let bytes = change.value.as_ref().map_or(0, Bytes::len)
            + change.previous.as_ref().map_or(0, |(_, value)| value.len());
        if bytes <= MAX_VALUE_BYTES {
            self.changes().keep(entry, change.revision, &decoded);
        }
        Ok(decoded)
    }
}
