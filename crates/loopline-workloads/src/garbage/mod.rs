//! Garbage collection: what nobody owns any more is deleted; owners wait for their dependents, or
//! let them go.
//!
//! [`graph`] knows who owns whom and says what is to be looked at; [`collect`] looks at it, with
//! the objects as they are now, and acts. Owners are told apart by their `uid`: an object of the
//! same name that was made later owns nothing of its predecessor's.

mod collect;
pub mod graph;

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::{BoxStream, FuturesUnordered, SelectAll};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::DynamicObject;
use kube::core::PartialObjectMeta;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, ResourceExt as _};

use crate::resources::{self, Deletable};
use collect::Collector;
use graph::{Graph, Node, Owner, Uid, Work};

/// How many objects are looked at side by side.
const MAX_CONCURRENT: usize = 16;

/// How long is waited before the resources are asked for again when that failed.
const RESOURCES_RETRY: Duration = Duration::from_millis(500);

/// The first wait after a failure; each further one is twice as long.
const FIRST_RETRY: Duration = Duration::from_millis(20);

/// The longest wait after failures.
const MAX_RETRY: Duration = Duration::from_secs(30);

/// The finalizer of owners that wait for their dependents.
const FOREGROUND: &str = "foregroundDeletion";

/// The finalizer of owners that let their dependents go.
const ORPHAN: &str = "orphan";

/// An event of a resource's watch.
type Seen = (usize, Result<watcher::Event<PartialObjectMeta<DynamicObject>>, watcher::Error>);

/// Collects garbage; never ends.
pub(crate) async fn run(client: Client) {
    let mut state = State {
        graph: Graph::default(),
        watched: Vec::new(),
        gone: HashSet::new(),
        known: HashMap::new(),
        queue: VecDeque::new(),
        queued: HashSet::new(),
        failures: HashMap::new(),
    };
    let mut streams: SelectAll<BoxStream<'static, Seen>> = SelectAll::new();
    let mut running: FuturesUnordered<BoxFuture<'static, Finished>> = FuturesUnordered::new();
    // Definitions come and go with new resources; what is built in is there from the beginning.
    let definitions: Api<PartialObjectMeta<CustomResourceDefinition>> = Api::all(client.clone());
    let mut definitions =
        watcher(definitions, watcher::Config::default()).default_backoff().boxed();
    let mut ask = Some(Duration::ZERO);
    loop {
        while running.len() < MAX_CONCURRENT
            && let Some(work) = state.queue.pop_front()
        {
            state.queued.remove(&work);
            running.push(state.start(&client, work));
        }
        tokio::select! {
            Some((index, event)) = streams.next(), if !streams.is_empty() => {
                match event {
                    Ok(event) => state.see(index, event),
                    Err(_) if is_gone(&event) => state.forget(index),
                    // Other errors are the watcher's to retry; it says what it sees next.
                    Err(_) => {}
                }
            }
            Some(finished) = running.next(), if !running.is_empty() => state.finish(finished),
            Some(_) = definitions.next() => ask = Some(Duration::ZERO),
            () = tokio::time::sleep(ask.unwrap_or_default()), if ask.is_some() => {
                let found = resources::deletable(&client).await;
                ask = found.is_err().then_some(RESOURCES_RETRY);
                for one in found.unwrap_or_default() {
                    if state.is_new(&one) {
                        let index = state.watched.len();
                        streams.push(watch(&client, &one, index));
                        state.watched.push(one);
                    }
                }
            }
        }
    }
}

fn watch(client: &Client, one: &Deletable, index: usize) -> BoxStream<'static, Seen> {
    let api: Api<PartialObjectMeta<DynamicObject>> = Api::all_with(client.clone(), &one.resource);
    watcher(api, watcher::Config::default())
        .default_backoff()
        .scan(false, move |ended, event| {
            let goes_on = !*ended;
            *ended = is_gone(&event);
            std::future::ready(goes_on.then_some((index, event)))
        })
        .boxed()
}

/// Returns whether an event says that the resource is no longer served.
fn is_gone<T>(event: &Result<T, watcher::Error>) -> bool {
    match event {
        Err(watcher::Error::InitialListFailed(kube::Error::Api(status)))
        | Err(watcher::Error::WatchStartFailed(kube::Error::Api(status))) => status.code == 404,
        _ => false,
    }
}

/// Work that was looked at.
struct Finished {
    work: Work,
    result: kube::Result<()>,
}

struct State {
    graph: Graph,
    watched: Vec<Deletable>,
    /// Those of them that are no longer served.
    gone: HashSet<usize>,
    /// The objects that a watch has told of, to find those that a new beginning leaves out.
    known: HashMap<usize, HashSet<Uid>>,
    queue: VecDeque<Work>,
    queued: HashSet<Work>,
    failures: HashMap<Work, u32>,
}

impl State {
    fn is_new(&self, one: &Deletable) -> bool {
        !self.watched.iter().enumerate().any(|(index, known)| {
            !self.gone.contains(&index)
                && known.resource.group == one.resource.group
                && known.resource.plural == one.resource.plural
        })
    }

    /// Learns that a resource is no longer served: all its objects are gone.
    fn forget(&mut self, index: usize) {
        self.gone.insert(index);
        for one in self.graph.keep_only(index, &HashSet::new()) {
            self.enqueue(one);
        }
    }

    fn see(&mut self, index: usize, event: watcher::Event<PartialObjectMeta<DynamicObject>>) {
        let work = match event {
            watcher::Event::Apply(object) => self.node(index, &object),
            watcher::Event::InitApply(object) => {
                if let Some(uid) = object.uid() {
                    self.known.entry(index).or_default().insert(uid);
                }
                self.node(index, &object)
            }
            watcher::Event::Delete(object) => {
                object.uid().map(|uid| self.graph.remove(&uid)).unwrap_or_default()
            }
            watcher::Event::Init => {
                self.known.insert(index, HashSet::new());
                Vec::new()
            }
            watcher::Event::InitDone => {
                let present = self.known.remove(&index).unwrap_or_default();
                self.graph.keep_only(index, &present)
            }
        };
        for one in work {
            self.enqueue(one);
        }
    }

    fn node(&mut self, index: usize, object: &PartialObjectMeta<DynamicObject>) -> Vec<Work> {
        let Some(uid) = object.uid() else { return Vec::new() };
        let has = |name: &str| object.finalizers().iter().any(|one| one == name);
        let deleting = object.metadata.deletion_timestamp.is_some();
        self.graph.set(
            uid,
            Node {
                resource: index,
                namespace: object.namespace(),
                name: object.name_any(),
                owners: object
                    .owner_references()
                    .iter()
                    .map(|owner| Owner {
                        uid: owner.uid.clone(),
                        blocks: owner.block_owner_deletion == Some(true),
                    })
                    .collect(),
                foreground: deleting && has(FOREGROUND),
                orphan: deleting && has(ORPHAN),
            },
        )
    }

    fn enqueue(&mut self, work: Work) {
        if self.queued.insert(work.clone()) {
            self.queue.push_back(work);
        }
    }

    /// Begins to look at something.
    fn start(&self, client: &Client, work: Work) -> BoxFuture<'static, Finished> {
        let wait = self
            .failures
            .get(&work)
            .map(|times| FIRST_RETRY.saturating_mul(1 << (times - 1).min(16)).min(MAX_RETRY));
        let collector =
            Collector { client: client.clone(), task: self.graph.task(&work, &self.watched) };
        Box::pin(async move {
            if let Some(wait) = wait {
                tokio::time::sleep(wait).await;
            }
            let result = collector.run().await;
            Finished { work, result }
        })
    }

    fn finish(&mut self, finished: Finished) {
        let Finished { work, result } = finished;
        match result {
            Ok(()) => {
                self.failures.remove(&work);
            }
            Err(_) => {
                // Whatever failed, the object is looked at again, later each time.
                *self.failures.entry(work.clone()).or_default() += 1;
                self.enqueue(work);
            }
        }
    }
}
