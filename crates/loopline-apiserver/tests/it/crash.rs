//! Power for nobody: the server is killed in the middle of writes, again and again. What was
//! acknowledged is there afterwards, watches that come back miss nothing and see nothing twice,
//! and revisions never go back, while the past is being compacted.
//!
//! The server is this test's own program, started anew as a child that serves until it is killed.
#![expect(clippy::disallowed_methods, reason = "a process to kill, and its environment")]

use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use futures_util::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{DeleteParams, ListParams, PostParams, Preconditions, WatchEvent, WatchParams};
use kube::{Api, Client, Config, ResourceExt as _};
use loopline_apiserver::http::{Listener, serve};
use loopline_apiserver::{Options, Server};
use loopline_store::object::{Durability, ObjectStore as _, SqliteOptions, SqliteStore};
use tokio::sync::Notify;
use tokio::task::JoinSet;

/// Set for the child: the folder of its store.
const FOLDER: &str = "LOOPLINE_TEST_CRASH_FOLDER";
/// How often the server is killed; the variable of the same name asks for more.
const ROUNDS: u32 = 15;
const ROUNDS_VARIABLE: &str = "LOOPLINE_TEST_CRASH_ROUNDS";
/// How many clients write at a time, and how many objects each of them has.
const WRITERS: usize = 6;
const OBJECTS: u64 = 8;
/// How many clients watch at a time.
const WATCHERS: usize = 3;
/// The fewest and the most writes that are acknowledged before the server is killed.
const WRITES: (u64, u64) = (20, 200);
/// How far behind the slowest watcher the past is forgotten.
const KEPT: u64 = 50;

/// What stands under a name: a value and its revision, or nothing.
type Standing = Option<(String, u64)>;

/// The child: serves until it is killed; a number on its standard input compacts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn serves_until_it_is_killed() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let store = SqliteStore::open(&SqliteOptions {
        folder: folder.into(),
        durability: Durability::Full,
        owner: "a test".to_owned(),
    });
    let store = Arc::new(store.unwrap());
    let mut options = Options::ephemeral().unwrap();
    options.store = Arc::clone(&store) as _;
    let server = Server::new(options);
    server.prepare().await.unwrap();
    let listener = Listener::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
    println!("\nserving http://{}", listener.address());
    let runtime = tokio::runtime::Handle::current();
    std::thread::spawn(move || {
        for line in std::io::stdin().lines() {
            let revision = line.unwrap().parse().unwrap();
            runtime.block_on(store.compact(revision)).unwrap();
        }
    });
    serve(server, listener).await;
}

/// A running server.
struct Serving {
    child: Child,
    input: ChildStdin,
    client: Client,
}

impl Serving {
    fn start(folder: &Path) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "crash::serves_until_it_is_killed", "--nocapture"]);
        command.env(FOLDER, folder).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let url = lines
            .map(Result::unwrap)
            .find_map(|line| line.strip_prefix("serving ").map(str::to_owned))
            .expect("the child serves");
        let client = Client::try_from(Config::new(url.parse().unwrap())).unwrap();
        let input = child.stdin.take().unwrap();
        Self { child, input, client }
    }

    fn maps(&self) -> Api<ConfigMap> {
        Api::namespaced(self.client.clone(), "default")
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// Random numbers that a seed repeats.
#[derive(Clone)]
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % end
    }
}

/// Counts acknowledged writes and tells when there are enough.
#[derive(Default)]
struct Progress {
    acknowledged: AtomicU64,
    latest: AtomicU64,
    changed: Notify,
}

impl Progress {
    fn acknowledge(&self, revision: u64) {
        self.latest.fetch_max(revision, Ordering::SeqCst);
        self.acknowledged.fetch_add(1, Ordering::SeqCst);
        self.changed.notify_one();
    }

    async fn wait_for(&self, count: u64) {
        while self.acknowledged.load(Ordering::SeqCst) < count {
            self.changed.notified().await;
        }
    }
}

/// One client that writes objects nobody else writes.
struct Writer {
    number: usize,
    random: Random,
    standing: BTreeMap<String, Standing>,
    /// The write that had no answer when the server was killed: the name, and what would stand.
    unanswered: Option<(String, Option<String>)>,
    /// Every write that was acknowledged: its revision, the name, and what stood then.
    acknowledged: Vec<(u64, String, Option<String>)>,
    written: u64,
}

fn revision(map: &ConfigMap) -> u64 {
    map.resource_version().unwrap().parse().unwrap()
}

fn value(map: &ConfigMap) -> String {
    map.data.as_ref().unwrap()["k"].clone()
}

fn object(name: &str, value: &str, revision: Option<u64>) -> ConfigMap {
    let mut map = ConfigMap::default();
    map.metadata.name = Some(name.to_owned());
    map.metadata.resource_version = revision.map(|it| it.to_string());
    map.data = Some(BTreeMap::from([("k".to_owned(), value.to_owned())]));
    map
}

impl Writer {
    fn new(number: usize) -> Self {
        let standing = (0..OBJECTS).map(|object| (format!("w{number}-{object}"), None)).collect();
        Self {
            number,
            random: Random(0x9e37_79b9_7f4a_7c15 + number as u64),
            standing,
            unanswered: None,
            acknowledged: Vec::new(),
            written: 0,
        }
    }

    /// Writes until the connection breaks.
    async fn run(mut self, maps: Api<ConfigMap>, progress: Arc<Progress>) -> Self {
        loop {
            let name = format!("w{}-{}", self.number, self.random.below(OBJECTS));
            self.written += 1;
            let text = format!("{}:{}", self.written, "x".repeat(self.random.below(3000) as usize));
            let standing = self.standing[&name].clone();
            let delete = standing.is_some() && self.random.below(4) == 0;
            let wanted = (!delete).then(|| text.clone());
            let answer = match &standing {
                None => maps.create(&PostParams::default(), &object(&name, &text, None)).await,
                Some((_, at)) if delete => {
                    let version =
                        Preconditions { resource_version: Some(at.to_string()), uid: None };
                    let only = DeleteParams { preconditions: Some(version), ..Default::default() };
                    match maps.delete(&name, &only).await {
                        // The answer does not say at which revision it was deleted.
                        Ok(_) => {
                            self.standing.insert(name, None);
                            progress.acknowledge(0);
                            continue;
                        }
                        Err(error) => Err(error),
                    }
                }
                Some((_, at)) => {
                    maps.replace(&name, &PostParams::default(), &object(&name, &text, Some(*at)))
                        .await
                }
            };
            match answer {
                Ok(map) => {
                    assert_eq!(Some(value(&map)), wanted);
                    let at = revision(&map);
                    self.acknowledged.push((at, name.clone(), wanted.clone()));
                    self.standing.insert(name, wanted.map(|wanted| (wanted, at)));
                    progress.acknowledge(at);
                }
                Err(kube::Error::Api(status)) => panic!("{name}: {status}"),
                // The server was killed: nobody knows whether this one was written.
                Err(_) => {
                    self.unanswered = Some((name, wanted));
                    return self;
                }
            }
        }
    }

    /// Compares what is there with what was acknowledged, and learns what became of the rest.
    fn check(&mut self, there: &HashMap<String, Standing>) {
        let unanswered = self.unanswered.take();
        for (name, standing) in &mut self.standing {
            let found = there.get(name).cloned().flatten();
            if found == *standing {
                continue;
            }
            let text = found.as_ref().map(|(text, _)| text.clone());
            let expected = unanswered.as_ref().filter(|(other, _)| other == name);
            assert_eq!(
                expected.map(|(_, wanted)| wanted),
                Some(&text),
                "{name}: acknowledged {standing:?}"
            );
            *standing = found;
        }
    }
}

/// The revision, what happened (the first letter of the event's type), the name, the value.
type Seen = (u64, char, String, String);

/// A client that watches and comes back where it was.
#[derive(Clone)]
struct Watching {
    position: Arc<AtomicU64>,
    events: Arc<Mutex<Vec<Seen>>>,
}

impl Watching {
    /// Watches until the connection breaks.
    async fn run(self, maps: Api<ConfigMap>) {
        let from = self.position.load(Ordering::SeqCst).to_string();
        let Ok(stream) = maps.watch(&WatchParams::default().timeout(290), &from).await else {
            return;
        };
        let mut stream = stream.boxed();
        // An error of the connection ends the watch; an event that is an error fails the test.
        while let Ok(Some(event)) = stream.try_next().await {
            let (kind, map) = match event {
                WatchEvent::Added(map) => ('A', map),
                WatchEvent::Modified(map) => ('M', map),
                WatchEvent::Deleted(map) => ('D', map),
                other => panic!("{other:?}"),
            };
            let at = revision(&map);
            if map.name_any().starts_with('w') {
                self.events.lock().unwrap().push((at, kind, map.name_any(), value(&map)));
            }
            self.position.store(at, Ordering::SeqCst);
        }
    }

    /// Checks that the events tell one story without a gap or a repetition, and returns its end.
    fn check(&self) -> HashMap<String, Standing> {
        let mut last = 0;
        let mut state: HashMap<String, Standing> = HashMap::new();
        for (at, kind, name, value) in &*self.events.lock().unwrap() {
            assert!(*at > last, "revision {at} came after {last}");
            last = *at;
            let before = state.entry(name.clone()).or_default();
            assert_eq!(before.is_some(), *kind != 'A', "{at} {kind} {name}: a gap before it");
            *before = (*kind != 'D').then(|| (value.clone(), *at));
        }
        state.retain(|_, standing| standing.is_some());
        state
    }
}

async fn listed(maps: &Api<ConfigMap>) -> (u64, HashMap<String, Standing>) {
    let list = maps.list(&ListParams::default()).await.unwrap();
    let ours = list.items.iter().filter(|map| map.name_any().starts_with('w'));
    let standing = ours.map(|map| (map.name_any(), Some((value(map), revision(map))))).collect();
    (list.metadata.resource_version.unwrap().parse().unwrap(), standing)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_kill_9() {
    let rounds = std::env::var(ROUNDS_VARIABLE).map_or(ROUNDS, |text| text.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let mut random = Random(42);
    let mut writers: Vec<Writer> = (0..WRITERS).map(Writer::new).collect();
    let watching: Vec<Watching> = (0..WATCHERS)
        .map(|_| Watching { position: Arc::default(), events: Arc::default() })
        .collect();
    let mut latest = 0;
    let mut compacted = 0;
    for _ in 0..rounds {
        let mut serving = Serving::start(folder.path());
        let maps = serving.maps();
        let (now, there) = listed(&maps).await;
        assert!(now >= latest, "revision {now} after {latest} was given out");
        writers.iter_mut().for_each(|writer| writer.check(&there));
        if watching.iter().all(|one| one.position.load(Ordering::SeqCst) == 0) {
            watching.iter().for_each(|one| one.position.store(now, Ordering::SeqCst));
        }

        let progress = Arc::new(Progress::default());
        let mut watches = JoinSet::new();
        for one in &watching {
            watches.spawn(one.clone().run(maps.clone()));
        }
        let mut writing = JoinSet::new();
        for writer in writers.drain(..) {
            writing.spawn(writer.run(maps.clone(), Arc::clone(&progress)));
        }
        let wanted = WRITES.0 + random.below(WRITES.1 - WRITES.0);
        for part in 1..=4 {
            progress.wait_for(wanted * part / 4).await;
            let slowest = watching.iter().map(|one| one.position.load(Ordering::SeqCst)).min();
            let to = slowest.unwrap().saturating_sub(KEPT);
            if to > compacted {
                compacted = to;
                writeln!(serving.input, "{to}").unwrap();
            }
        }
        serving.kill();
        writers = writing.join_all().await;
        watches.join_all().await;
        latest = progress.latest.load(Ordering::SeqCst).max(now);
    }

    let serving = Serving::start(folder.path());
    let maps = serving.maps();
    let (now, mut end) = listed(&maps).await;
    assert!(now >= latest);
    writers.iter_mut().for_each(|writer| writer.check(&end));
    // One last write shows every watcher that it has seen all.
    let last = maps.create(&PostParams::default(), &object("w-last", "end", None)).await.unwrap();
    let mut watches = JoinSet::new();
    for one in &watching {
        watches.spawn(one.clone().run(maps.clone()));
    }
    for one in &watching {
        while one.position.load(Ordering::SeqCst) < revision(&last) {
            tokio::task::yield_now().await;
        }
    }
    serving.kill();
    watches.join_all().await;
    end.insert("w-last".to_owned(), Some(("end".to_owned(), revision(&last))));
    let mut acknowledged = 0;
    for one in &watching {
        assert_eq!(one.check(), end);
        let events = one.events.lock().unwrap();
        let seen: HashMap<u64, _> =
            events.iter().map(|(at, _, name, value)| (*at, (name, value))).collect();
        for (at, name, value) in writers.iter().flat_map(|writer| &writer.acknowledged) {
            assert_eq!(seen.get(at), Some(&(name, value.as_ref().unwrap())), "revision {at}");
            acknowledged += 1;
        }
    }
    assert!(compacted > 0, "the past was compacted meanwhile");
    assert!(acknowledged > u64::from(rounds) * WRITES.0, "{acknowledged} writes");
}
