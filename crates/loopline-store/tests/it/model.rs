//! The store beside a model of it: random writes, lists as of revisions, watches, compactions and
//! restarts, each compared with what a list of all changes in memory says.

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;
use loopline_store::object::{
    Durability, ListOptions, ObjectStore as _, Precondition, Record, SqliteOptions, SqliteStore,
    StoreError, Watcher,
};

/// The keys; one prefix is the beginning of another's name, and not above it.
const KEYS: [&str; 6] = ["a/x", "a/y", "ab/x", "a/y/z", "b/x", "a/\u{fc}"];
/// The prefixes that are listed and watched.
const PREFIXES: [&str; 4] = ["", "a/", "ab/", "b/"];

/// All changes, which is all there is to know.
#[derive(Default)]
struct Model {
    /// Key, value (nothing where it was deleted); the index is the revision less one.
    changes: Vec<(&'static str, Option<Bytes>)>,
    compacted: u64,
}

impl Model {
    fn revision(&self) -> u64 {
        self.changes.len() as u64
    }

    /// What stood under the keys at a revision.
    fn at(&self, revision: u64) -> BTreeMap<&'static str, Record> {
        let mut state: BTreeMap<&'static str, Record> = BTreeMap::new();
        for (index, (key, value)) in self.changes.iter().enumerate().take(revision as usize) {
            let revision = index as u64 + 1;
            match value {
                None => drop(state.remove(key)),
                Some(value) => {
                    let created = state.get(key).map_or(revision, |record| record.created);
                    let key_text = (*key).to_owned();
                    let value = value.clone();
                    state.insert(key, Record { key: key_text, created, revision, value });
                }
            }
        }
        state
    }

    fn now(&self) -> BTreeMap<&'static str, Record> {
        self.at(self.revision())
    }
}

/// A watch, and where the model says that it stands.
struct Watched {
    watcher: Watcher,
    prefix: &'static str,
    position: u64,
}

impl Watched {
    /// Reads all there is and compares.
    async fn drain(&mut self, model: &Model) {
        for revision in self.position + 1..=model.revision() {
            let (key, value) = &model.changes[revision as usize - 1];
            if !key.starts_with(self.prefix) {
                continue;
            }
            let before = model.at(revision - 1).remove(key);
            let change = self.watcher.try_next().await.unwrap().expect("a change");
            assert_eq!((&*change.key, change.revision), (*key, revision));
            assert_eq!(&change.value, value);
            let created = before.as_ref().map_or(revision, |record| record.created);
            assert_eq!(change.created, created);
            let before = before.map(|record| (record.revision, record.value));
            assert_eq!(change.previous, before);
        }
        assert_eq!(self.watcher.try_next().await.unwrap(), None, "one too many");
        assert_eq!(self.watcher.progress().await, Some(model.revision()));
        self.position = model.revision();
    }
}

/// Reads one operation after the other from random bytes.
struct Choices<'a>(std::slice::Iter<'a, u8>);

impl Choices<'_> {
    fn below(&mut self, end: u64) -> Option<u64> {
        Some(u64::from(*self.0.next()?) % end)
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> Option<T> {
        Some(all[self.below(all.len() as u64)? as usize])
    }
}

fn open(folder: &Path) -> SqliteStore {
    SqliteStore::open(&SqliteOptions {
        folder: folder.to_path_buf(),
        durability: Durability::Ephemeral,
        owner: "a test".to_owned(),
    })
    .unwrap()
}

async fn write(store: &SqliteStore, model: &mut Model, choices: &mut Choices<'_>) -> Option<()> {
    let key = choices.of(&KEYS)?;
    let there = model.now().remove(key);
    let asked = match choices.below(4)? {
        0 => None,
        1 => Some(choices.below(model.revision() + 2)?),
        _ => there.as_ref().map(|record| record.revision),
    };
    let delete = choices.below(3)? == 0;
    let value = Bytes::from(vec![b'v'; usize::try_from(choices.below(200)?).unwrap()]);
    let answer = match asked {
        Some(revision) if delete => store.delete(key, revision).await,
        Some(revision) => store.put(key, value.clone(), Precondition::Revision(revision)).await,
        None => store.put(key, value.clone(), Precondition::Absent).await,
    };
    let deleted = delete && asked.is_some();
    match (asked, there) {
        (None, None) => {}
        (Some(asked), Some(record)) if asked == record.revision => {}
        (Some(_), None) => {
            assert!(matches!(answer, Err(StoreError::NotFound(_))), "{answer:?}");
            return Some(());
        }
        (_, Some(record)) => {
            assert!(matches!(answer, Err(StoreError::Conflict(found)) if *found == record));
            return Some(());
        }
    }
    model.changes.push((key, (!deleted).then_some(value)));
    assert_eq!(answer.unwrap(), model.revision());
    Some(())
}

async fn list(store: &SqliteStore, model: &Model, choices: &mut Choices<'_>) -> Option<()> {
    let options = ListOptions {
        prefix: choices.of(&PREFIXES)?.to_owned(),
        after: match choices.below(3)? {
            0 => Some(choices.of(&KEYS)?.to_owned()),
            _ => None,
        },
        revision: match choices.below(3)? {
            0 => None,
            _ => Some(choices.below(model.revision() + 2)?),
        },
        limit: match choices.below(3)? {
            0 => None,
            _ => Some(usize::try_from(choices.below(3)? + 1).unwrap()),
        },
    };
    let revision = options.revision.unwrap_or(model.revision());
    let page = store.list(options.clone()).await;
    if revision < model.compacted {
        assert!(matches!(page, Err(StoreError::Compacted { .. })), "{page:?}");
        return Some(());
    }
    if revision > model.revision() {
        assert!(matches!(page, Err(StoreError::Future { .. })), "{page:?}");
        return Some(());
    }
    let page = page.unwrap();
    // A key from outside of the prefix is no place in the list: nothing is said of it here.
    if options.after.as_ref().is_some_and(|after| !after.starts_with(&options.prefix)) {
        return Some(());
    }
    let expected: Vec<Record> = model
        .at(revision)
        .into_values()
        .filter(|record| record.key.starts_with(&options.prefix))
        .filter(|record| options.after.as_ref().is_none_or(|after| record.key > *after))
        .collect();
    let count = options.limit.unwrap_or(usize::MAX).min(expected.len());
    assert_eq!(page.records, expected[..count], "{options:?}");
    assert_eq!(page.remaining, (expected.len() - count) as u64, "{options:?}");
    assert_eq!(page.revision, revision);
    Some(())
}

async fn play(bytes: &[u8]) {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(folder.path());
    let mut model = Model::default();
    let mut watches: Vec<Watched> = Vec::new();
    let mut choices = Choices(bytes.iter());
    while let Some(operation) = choices.below(16) {
        let done = match operation {
            0..=7 => write(&store, &mut model, &mut choices).await,
            8..=10 => list(&store, &model, &mut choices).await,
            11 | 12 => {
                let (Some(prefix), Some(position)) =
                    (choices.of(&PREFIXES), choices.below(model.revision() + 2))
                else {
                    break;
                };
                match store.watch(prefix, position).await {
                    Ok(watcher) => {
                        assert!((model.compacted..=model.revision()).contains(&position));
                        watches.push(Watched { watcher, prefix, position });
                    }
                    Err(StoreError::Compacted { .. }) => assert!(position < model.compacted),
                    Err(StoreError::Future { .. }) => assert!(position > model.revision()),
                    Err(other) => panic!("{other}"),
                }
                Some(())
            }
            13 => {
                for watch in &mut watches {
                    watch.drain(&model).await;
                }
                Some(())
            }
            14 => {
                let Some(to) = choices.below(model.revision() + 1) else { break };
                // The ring would still serve them, but it promises nothing.
                for watch in &mut watches {
                    watch.drain(&model).await;
                }
                store.compact(to).await.unwrap();
                model.compacted = model.compacted.max(to);
                Some(())
            }
            _ => {
                watches.clear();
                drop(store);
                store = open(folder.path());
                Some(())
            }
        };
        if done.is_none() {
            break;
        }
        assert_eq!(store.revision(), model.revision());
    }
    for watch in &mut watches {
        watch.drain(&model).await;
    }
    for key in KEYS {
        assert_eq!(store.get(key).await.unwrap(), model.now().remove(key));
    }
}

#[test]
fn the_store_does_what_its_model_says() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    bolero::check!()
        .with_iterations(60)
        .with_max_len(400)
        .with_type::<Vec<u8>>()
        .for_each(|bytes| runtime.block_on(play(bytes)));
}
