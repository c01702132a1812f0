//! Watches: what is there, then every change, with selectors seen as what the client has.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use loopline_store::object::{Change, Revision, StoreError, Watcher};
use serde_json::{Value, json};
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::get::{check_reached, invalid_list_option};
use crate::call::Call;
use crate::changes::Decoded;
use crate::selector::Filter;
use crate::status::{Result, Status};
use crate::storage::of_store;

/// How long a watch lasts where the client does not say; a random part of as much is added, so
/// that many clients do not come back at once.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30 * 60);

/// The longest watch.
const MAX_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);

/// How often a client that takes bookmarks gets one.
const BOOKMARK_INTERVAL: Duration = Duration::from_secs(60);

/// How long before its end a watch sends a last bookmark.
const BOOKMARK_BEFORE_END: Duration = Duration::from_secs(2);

/// The annotation of the bookmark after the initial events.
const INITIAL_END: &str = "k8s.io/initial-events-end";

/// An event of a watch.
#[derive(Clone, Debug)]
pub struct Event {
    /// `ADDED`, `MODIFIED`, `DELETED`, `BOOKMARK` or `ERROR`.
    pub kind: &'static str,
    subject: Subject,
}

/// What an event is about.
#[derive(Clone, Debug)]
enum Subject {
    /// An object of this watch alone.
    Own(Value),
    /// A change that all watchers share.
    Shared(Arc<Decoded>),
}

impl Event {
    fn own(kind: &'static str, object: Value) -> Self {
        Self { kind, subject: Subject::Own(object) }
    }

    /// Returns the object.
    pub fn object(&self) -> &Value {
        match &self.subject {
            Subject::Own(object) => object,
            Subject::Shared(decoded) if self.kind == "DELETED" => {
                decoded.before.as_ref().unwrap_or(&Value::Null)
            }
            Subject::Shared(decoded) => decoded.after.as_ref().unwrap_or(&Value::Null),
        }
    }

    /// Returns the event with its whole object as a line of a stream.
    pub(crate) fn line(&self) -> Bytes {
        match &self.subject {
            Subject::Own(object) => Bytes::from(crate::changes::line(self.kind, object)),
            Subject::Shared(decoded) => decoded.line(self.kind),
        }
    }
}

/// A running watch.
pub struct Watch {
    call: Call,
    filter: Filter,
    watcher: Watcher,
    /// Events that are there before the first change.
    initial: VecDeque<Event>,
    bookmarks: bool,
    ends: tokio::time::Instant,
    next_bookmark: tokio::time::Instant,
    last_bookmark_sent: bool,
    /// Rings when the watch has to do something by itself. It and the next are kept from event to
    /// event: to register for them anew would cost more than an event does.
    alarm: Pin<Box<tokio::time::Sleep>>,
    shutdown: Pin<Box<WaitForCancellationFutureOwned>>,
    over: bool,
}

impl Call {
    /// Starts the watch that the options ask for.
    ///
    /// # Errors
    /// 400 and 422 for options that do not go together, 410 for revisions that are gone.
    pub async fn watch(self) -> Result<Watch> {
        let mut filter = Filter::parse(&self.query, &self.entry.resource)?;
        if let Some(name) = &self.path.name {
            filter = filter.and_name(name);
        }
        let bookmarks = self.query.flag("allowWatchBookmarks")?;
        let asked = self.revision_option()?;
        let rule = self.query.get("resourceVersionMatch");
        let initial_events = self
            .query
            .get("sendInitialEvents")
            .map(|_| self.query.flag("sendInitialEvents"))
            .transpose()?;
        match (initial_events, rule) {
            (Some(_), None) => {
                return Err(invalid_list_option(
                    "resourceVersionMatch",
                    "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
                ));
            }
            (Some(_), Some(rule)) if rule != "NotOlderThan" => {
                return Err(invalid_list_option(
                    "resourceVersionMatch",
                    "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
                ));
            }
            (None, Some(_)) => {
                return Err(invalid_list_option(
                    "resourceVersionMatch",
                    "resourceVersionMatch is forbidden for watch unless sendInitialEvents is \
                     provided",
                ));
            }
            _ => {}
        }
        let timeout = self.watch_timeout()?;
        let server = self.server.clone();
        let mut initial = VecDeque::new();
        let from = match (initial_events, asked) {
            (Some(true), asked) => {
                if let Some(asked) = asked {
                    check_reached(&server, asked)?;
                }
                let revision = self.initial(&filter, &mut initial).await?;
                if bookmarks {
                    let end = self.bookmark(revision, json!({INITIAL_END: "true"}));
                    initial.push_back(end);
                }
                revision
            }
            (None, None | Some(0)) => self.initial(&filter, &mut initial).await?,
            (Some(false), None | Some(0)) => server.store().revision(),
            (_, Some(asked)) => asked,
        };
        let prefix = match filter.name() {
            Some(name) if !self.namespace().is_empty() || !self.entry.resource.namespaced => {
                self.entry.key(self.namespace(), name)
            }
            _ => self.entry.prefix(self.namespace()),
        };
        let watcher = server.store().watch(&prefix, from).await.map_err(of_store)?;
        let shutdown = server.shutdown().clone().cancelled_owned();
        let now = tokio::time::Instant::now();
        Ok(Watch {
            call: self,
            filter,
            watcher,
            initial,
            bookmarks,
            ends: now + timeout,
            next_bookmark: now + BOOKMARK_INTERVAL,
            last_bookmark_sent: false,
            alarm: Box::pin(tokio::time::sleep_until(now + timeout)),
            shutdown: Box::pin(shutdown),
            over: false,
        })
    }

    /// Queues what is there now as additions; returns the revision of the reading.
    async fn initial(&self, filter: &Filter, events: &mut VecDeque<Event>) -> Result<Revision> {
        let list = self.server.list_all(&self.entry, self.namespace(), filter).await?;
        events.extend(list.objects.into_iter().map(|object| Event::own("ADDED", object)));
        Ok(list.revision)
    }

    fn watch_timeout(&self) -> Result<Duration> {
        if let Some(seconds) = self.query.number::<u64>("timeoutSeconds")?
            && seconds > 0
        {
            return Ok(Duration::from_secs(seconds).min(MAX_TIMEOUT));
        }
        let mut byte = [0];
        self.server.clock().fill_random(&mut byte);
        Ok(DEFAULT_TIMEOUT + DEFAULT_TIMEOUT * u32::from(byte[0]) / 256)
    }

    fn bookmark(&self, revision: Revision, annotations: Value) -> Event {
        let mut object = json!({
            "kind": self.entry.resource.kind,
            "apiVersion": self.entry.api_version(),
            "metadata": {"resourceVersion": revision.to_string(), "creationTimestamp": null},
        });
        if !annotations.is_null() {
            object["metadata"]["annotations"] = annotations;
        }
        Event::own("BOOKMARK", object)
    }
}

impl Watch {
    /// Returns the call that began the watch.
    pub fn call(&self) -> &Call {
        &self.call
    }

    /// Waits for the next event; nothing where the watch is over.
    pub async fn next(&mut self) -> Option<Event> {
        if self.over {
            return None;
        }
        if let Some(event) = self.initial.pop_front() {
            return Some(event);
        }
        loop {
            // Changes that concern others must not keep a watch beyond its time.
            if tokio::time::Instant::now() >= self.ends {
                return None;
            }
            let wake = if self.bookmarks { self.ends.min(self.next_bookmark) } else { self.ends };
            if self.alarm.deadline() != wake {
                self.alarm.as_mut().reset(wake);
            }
            tokio::select! {
                biased;
                change = self.watcher.next() => match change {
                    Ok(change) => {
                        match self.event(&change) {
                            Ok(Some(event)) => return Some(event),
                            Ok(None) => {}
                            Err(status) => return Some(self.fail(&status)),
                        }
                    }
                    Err(StoreError::Closed) => return None,
                    Err(error) => return Some(self.fail(&of_store(error))),
                },
                () = self.alarm.as_mut() => {
                    if let Some(event) = self.on_time().await {
                        return event;
                    }
                }
                () = self.shutdown.as_mut() => return None,
            }
        }
    }

    /// Acts on the clock: a bookmark, or the end. The inner nothing ends the watch.
    async fn on_time(&mut self) -> Option<Option<Event>> {
        let now = tokio::time::Instant::now();
        if now >= self.ends {
            return Some(None);
        }
        self.next_bookmark = now + BOOKMARK_INTERVAL;
        if self.ends - now < BOOKMARK_INTERVAL && !self.last_bookmark_sent {
            self.last_bookmark_sent = true;
            self.next_bookmark = self.ends - BOOKMARK_BEFORE_END.min(self.ends - now);
        }
        let revision = self.watcher.progress().await?;
        Some(Some(self.call.bookmark(revision, Value::Null)))
    }

    /// Ends the watch with an error event.
    fn fail(&mut self, status: &Status) -> Event {
        self.over = true;
        Event::own("ERROR", status.to_value())
    }

    /// Turns a change into what it is to this client: an object that begins to match the
    /// selectors was added, one that ceases to match was deleted.
    fn event(&self, change: &Change) -> Result<Option<Event>> {
        let decoded = self.call.server.decode_change(&self.call.entry, change)?;
        let matches =
            |object: &Option<Value>| object.as_ref().is_some_and(|it| self.filter.matches(it));
        let kind = match (matches(&decoded.before), matches(&decoded.after)) {
            (false, false) => return Ok(None),
            (false, true) => "ADDED",
            (true, true) => "MODIFIED",
            (true, false) => "DELETED",
        };
        Ok(Some(Event { kind, subject: Subject::Shared(decoded) }))
    }
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").field("path", &self.call.path).finish_non_exhaustive()
    }
}
