//! The object store: preconditions, lists and watches as of revisions, compaction, damage.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use loopline_store::object::{
    Change, Durability, ListOptions, ObjectStore, Precondition, Retention, SqliteOptions,
    SqliteStore, StoreError, backup, newest_snapshot, restore,
};

fn value(text: &str) -> Bytes {
    Bytes::from(text.to_owned())
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

fn options(folder: &std::path::Path) -> SqliteOptions {
    SqliteOptions {
        folder: folder.to_path_buf(),
        durability: Durability::Full,
        owner: "a test".to_owned(),
    }
}

fn list(prefix: &str) -> ListOptions {
    ListOptions { prefix: prefix.to_owned(), ..ListOptions::default() }
}

fn show(change: &Change) -> String {
    let text = |bytes: &Bytes| String::from_utf8(bytes.to_vec()).unwrap();
    format!(
        "{} {} {} <- {}",
        change.revision,
        change.key,
        change.value.as_ref().map_or("-".to_owned(), text),
        change
            .previous
            .as_ref()
            .map_or("-".to_owned(), |(at, value)| format!("{at}:{}", text(value))),
    )
}

#[test]
fn writes_hold_their_preconditions() {
    runtime().block_on(async {
        let store = SqliteStore::ephemeral().unwrap();
        assert_eq!(store.put("pods/a/x", value("1"), Precondition::Absent).await.unwrap(), 1);
        let again = store.put("pods/a/x", value("2"), Precondition::Absent).await.unwrap_err();
        assert!(matches!(again, StoreError::Conflict(record) if record.revision == 1));
        assert_eq!(store.put("pods/a/x", value("2"), Precondition::Revision(1)).await.unwrap(), 2);
        let stale = store.put("pods/a/x", value("3"), Precondition::Revision(1)).await;
        assert!(matches!(stale, Err(StoreError::Conflict(record)) if record.value == "2"));
        let missing = store.put("pods/a/y", value("3"), Precondition::Revision(1)).await;
        assert!(matches!(missing, Err(StoreError::NotFound(_))));
        assert!(matches!(store.delete("pods/a/x", 1).await, Err(StoreError::Conflict(_))));
        assert_eq!(store.delete("pods/a/x", 2).await.unwrap(), 3);
        assert_eq!(store.get("pods/a/x").await.unwrap(), None);
        assert_eq!(store.put("pods/a/x", value("4"), Precondition::Absent).await.unwrap(), 4);
        assert_eq!(store.get("pods/a/x").await.unwrap().unwrap().created, 4);
        let long = store.put(&"k".repeat(2000), value(""), Precondition::Absent).await;
        assert!(matches!(long, Err(StoreError::TooLong { .. })));
    });
}

#[test]
fn pages_of_a_list_come_from_one_revision() {
    runtime().block_on(async {
        let store = SqliteStore::ephemeral().unwrap();
        for name in ["b", "a", "d", "c"] {
            store.put(&format!("pods/n/{name}"), value(name), Precondition::Absent).await.unwrap();
        }
        store.put("podsx/n/z", value("other"), Precondition::Absent).await.unwrap();
        let first = store.list(ListOptions { limit: Some(2), ..list("pods/") }).await.unwrap();
        assert_eq!((first.revision, first.remaining, first.records.len()), (5, 2, 2));
        store.put("pods/n/c", value("changed"), Precondition::Revision(4)).await.unwrap();
        store.delete("pods/n/d", 3).await.unwrap();
        store.put("pods/n/e", value("new"), Precondition::Absent).await.unwrap();
        let rest = store
            .list(ListOptions {
                after: Some(first.records[1].key.clone()),
                revision: Some(first.revision),
                limit: Some(2),
                ..list("pods/")
            })
            .await
            .unwrap();
        let values: Vec<&[u8]> = rest.records.iter().map(|record| &record.value[..]).collect();
        assert_eq!(values, [b"c", b"d"]);
        assert_eq!((rest.revision, rest.remaining), (5, 0));
        let future = store.list(ListOptions { revision: Some(99), ..list("pods/") }).await;
        assert!(matches!(future, Err(StoreError::Future { asked: 99, latest: 8 })));
        store.compact(6).await.unwrap();
        let old = store.list(ListOptions { revision: Some(5), ..list("pods/") }).await;
        assert!(matches!(old, Err(StoreError::Compacted { asked: 5, oldest: 6 })));
        let kept = store.list(ListOptions { revision: Some(6), ..list("pods/") }).await.unwrap();
        assert_eq!(kept.records.len(), 4);
    });
}

#[test]
fn watches_replay_and_follow() {
    runtime().block_on(async {
        let store = SqliteStore::ephemeral().unwrap();
        store.put("pods/n/a", value("1"), Precondition::Absent).await.unwrap();
        store.put("pods/m/b", value("1"), Precondition::Absent).await.unwrap();
        let mut all = store.watch("pods/", 0).await.unwrap();
        let mut one = store.watch("pods/n/a", 1).await.unwrap();
        let mut namespace = store.watch("pods/n/", 2).await.unwrap();
        assert!(namespace.try_next().await.unwrap().is_none());
        assert_eq!(namespace.progress().await, Some(2));
        store.put("pods/n/a", value("2"), Precondition::Revision(1)).await.unwrap();
        store.put("secrets/n/a", value("s"), Precondition::Absent).await.unwrap();
        store.delete("pods/n/a", 3).await.unwrap();
        let mut seen = Vec::new();
        for _ in 0..4 {
            seen.push(show(&all.next().await.unwrap()));
        }
        assert_eq!(
            seen,
            [
                "1 pods/n/a 1 <- -",
                "2 pods/m/b 1 <- -",
                "3 pods/n/a 2 <- 1:1",
                "5 pods/n/a - <- 3:2"
            ]
        );
        assert_eq!(show(&one.next().await.unwrap()), "3 pods/n/a 2 <- 1:1");
        assert_eq!(one.next().await.unwrap().revision, 5);
        assert_eq!(namespace.next().await.unwrap().revision, 3);
        assert_eq!(namespace.next().await.unwrap().revision, 5);
        assert_eq!(namespace.progress().await, Some(5));
        assert!(matches!(store.watch("pods/", 99).await, Err(StoreError::Future { .. })));
    });
}

#[test]
fn a_watch_that_fell_behind_replays_the_log_or_says_that_it_cannot() {
    runtime().block_on(async {
        let store = SqliteStore::ephemeral().unwrap();
        let mut slow = store.watch("pods/", 0).await.unwrap();
        let mut lost = store.watch("pods/", 0).await.unwrap();
        let large = Bytes::from(vec![b'x'; 64 * 1024]);
        let mut revision = 0;
        for _ in 0..600 {
            let precondition = match revision {
                0 => Precondition::Absent,
                at => Precondition::Revision(at),
            };
            revision = store.put("pods/n/a", large.clone(), precondition).await.unwrap();
        }
        for expected in 1..=600 {
            assert_eq!(slow.next().await.unwrap().revision, expected);
        }
        store.compact(300).await.unwrap();
        assert!(matches!(lost.next().await, Err(StoreError::Compacted { oldest: 300, .. })));
        let mut late = store.watch("pods/", 300).await.unwrap();
        let change = late.next().await.unwrap();
        assert_eq!((change.revision, change.previous.as_ref().unwrap().0), (301, 300));
    });
}

#[test]
fn many_writers_and_watchers_agree_on_one_order() {
    const WRITERS: usize = 8;
    const WRITES: usize = 200;
    runtime().block_on(async {
        let store = Arc::new(SqliteStore::ephemeral().unwrap());
        let mut watchers = Vec::new();
        for _ in 0..4 {
            let mut watcher = store.watch("k/", 0).await.unwrap();
            watchers.push(tokio::spawn(async move {
                let mut state = BTreeMap::new();
                let mut last = 0;
                while last < (WRITERS * WRITES) as u64 {
                    let change = watcher.next().await.unwrap();
                    assert_eq!(change.revision, last + 1, "a gap or a repetition");
                    last = change.revision;
                    let before = state.insert(change.key.clone(), change.value.clone());
                    let previous = change.previous.as_ref().map(|(_, value)| value.clone());
                    assert_eq!(before.flatten(), previous);
                }
                state
            }));
        }
        let mut writers = Vec::new();
        for writer in 0..WRITERS {
            let store = Arc::clone(&store);
            writers.push(tokio::spawn(async move {
                let mut done = 0;
                while done < WRITES {
                    let key = format!("k/{}", (done + writer) % 5);
                    let current = store.get(&key).await.unwrap();
                    let precondition = current.map_or(Precondition::Absent, |record| {
                        Precondition::Revision(record.revision)
                    });
                    let text = format!("{writer}.{done}");
                    match store.put(&key, value(&text), precondition).await {
                        Ok(_) => done += 1,
                        Err(StoreError::Conflict(_) | StoreError::NotFound(_)) => {}
                        Err(other) => panic!("{other}"),
                    }
                }
            }));
        }
        for writer in writers {
            writer.await.unwrap();
        }
        let page = store.list(list("k/")).await.unwrap();
        let truth: BTreeMap<_, _> =
            page.records.into_iter().map(|record| (record.key, Some(record.value))).collect();
        for watcher in watchers {
            assert_eq!(watcher.await.unwrap(), truth);
        }
    });
}

#[test]
fn what_was_written_is_there_after_a_restart_and_revisions_go_on() {
    let folder = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let store = SqliteStore::open(&options(folder.path())).unwrap();
        let other = SqliteStore::open(&options(folder.path())).unwrap_err();
        assert!(matches!(other, StoreError::InUse { owner, .. } if owner == "a test"));
        store.put("a/1", value("x"), Precondition::Absent).await.unwrap();
        store.delete("a/1", 1).await.unwrap();
        store.compact(2).await.unwrap();
        drop(store);
        let store = SqliteStore::open(&options(folder.path())).unwrap();
        assert_eq!(store.revision(), 2);
        assert_eq!(store.put("a/1", value("y"), Precondition::Absent).await.unwrap(), 3);
        assert!(matches!(store.watch("a/", 1).await, Err(StoreError::Compacted { .. })));
        let mut watch = store.watch("a/", 2).await.unwrap();
        assert_eq!(watch.next().await.unwrap().revision, 3);
        let statistics = store.statistics().unwrap();
        assert_eq!((statistics.keys, statistics.changes, statistics.revision), (1, 1, 3));
    });
}

#[test]
fn damage_is_refused_and_a_backup_restores() {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy.db");
    let database = folder.path().join("objects.db");
    runtime().block_on(async {
        let store = SqliteStore::open(&options(folder.path())).unwrap();
        for number in 0..200 {
            let key = format!("a/{number}");
            store.put(&key, Bytes::from(vec![b'v'; 2000]), Precondition::Absent).await.unwrap();
        }
        store.backup(&copy).await.unwrap();
        assert!(matches!(restore(folder.path(), &copy), Err(StoreError::InUse { .. })));
    });
    assert_eq!(newest_snapshot(folder.path()).unwrap(), Some(copy.canonicalize().unwrap()));
    let mut bytes = fs_err::read(&database).unwrap();
    let length = bytes.len();
    bytes[4096..length / 2].fill(0xa5);
    fs_err::write(&database, bytes).unwrap();
    let error = SqliteStore::open(&options(folder.path())).unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
    // A damaged database does not replace a good copy.
    let error = backup(folder.path(), &copy).unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
    let kept = restore(folder.path(), &copy).unwrap().unwrap();
    assert!(kept.exists());
    runtime().block_on(async {
        let store = SqliteStore::open(&options(folder.path())).unwrap();
        assert_eq!(store.statistics().unwrap().keys, 200);
    });
    fs_err::write(folder.path().join("foreign"), b"not a database").unwrap();
    let error = restore(folder.path(), &folder.path().join("foreign")).unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
}

#[test]
fn a_backup_is_of_one_moment_while_others_write() {
    let folder = tempfile::tempdir().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    assert!(matches!(
        backup(folder.path(), &elsewhere.path().join("none")),
        Err(StoreError::NotFound(_))
    ));
    runtime().block_on(async {
        let store = Arc::new(SqliteStore::open(&options(folder.path())).unwrap());
        let writing = Arc::clone(&store);
        let done = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let until = Arc::clone(&done);
        let writer = tokio::spawn(async move {
            let mut number = 0;
            while !until.load(std::sync::atomic::Ordering::Relaxed) || number < 20 {
                let value = Bytes::from(vec![b'v'; 20_000]);
                writing.put(&format!("a/{number}"), value, Precondition::Absent).await.unwrap();
                number += 1;
            }
        });
        let mut copies = Vec::new();
        for number in 0..5 {
            let path = elsewhere.path().join(format!("{number}.db"));
            let copy = store.backup(&path).await.unwrap();
            assert_eq!(copy.owner.as_deref(), Some("a test"));
            // Every write makes one key: a copy with part of a later moment has other numbers.
            assert_eq!(copy.keys, copy.revision);
            copies.push(copy);
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        writer.await.unwrap();
        assert!(copies.is_sorted_by_key(|copy| copy.revision));
    });
    let last = backup(folder.path(), &elsewhere.path().join("last.db")).unwrap();
    assert!(last.owner.is_none() && last.keys >= 20, "{last:?}");
    let names: Vec<_> = fs_err::read_dir(elsewhere.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(names.len(), 6, "{names:?}");
    let fresh = tempfile::tempdir().unwrap();
    assert!(restore(fresh.path(), &elsewhere.path().join("last.db")).unwrap().is_none());
    runtime().block_on(async {
        let store = SqliteStore::open(&options(fresh.path())).unwrap();
        assert_eq!(store.statistics().unwrap().keys, last.keys);
    });
}

#[test]
fn the_past_and_the_file_stay_bounded() {
    let folder = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let durability = Durability::Ephemeral;
        let options = SqliteOptions { durability, ..options(folder.path()) };
        let store = SqliteStore::open(&options).unwrap();
        let kept = Retention { changes: 500, age: Duration::from_secs(3600), bytes: 1 << 30 };
        store.retain(kept).await.unwrap();
        let mut revision = 0;
        let mut largest = 0;
        for round in 0..3000u32 {
            let precondition =
                if round == 0 { Precondition::Absent } else { Precondition::Revision(revision) };
            let value = Bytes::from(vec![b'v'; 20_000]);
            revision = store.put("a/x", value, precondition).await.unwrap();
            if round.is_multiple_of(100) {
                largest = largest.max(store.statistics().unwrap().changes);
            }
        }
        let statistics = store.statistics().unwrap();
        // A stretch of 1,000 is forgotten at a time, before four more batches at the latest.
        assert!(largest <= 500 + 1000 + 8, "{largest} changes");
        assert!(statistics.oldest >= 1000, "{statistics:?}");
        // 60 MB were written; what is kept, and free pages up to their own bound, is less.
        assert!(statistics.bytes < 50_000_000, "{statistics:?}");
        assert!(matches!(
            store.watch("a/", statistics.oldest - 1).await,
            Err(StoreError::Compacted { .. })
        ));
        assert_eq!(store.get("a/x").await.unwrap().unwrap().revision, 3000);

        // Two compactions at once, one of them for less, and one for what is yet to come.
        let (first, second) = tokio::join!(store.compact(3000), store.compact(2000));
        first.unwrap();
        second.unwrap();
        assert!(matches!(store.compact(3001).await, Err(StoreError::Future { .. })));
        assert_eq!(store.statistics().unwrap().changes, 1);
        let deadline = Duration::from_secs(60);
        tokio::time::timeout(deadline, async {
            // Every write lets the writer look after the file.
            while store.statistics().unwrap().free_bytes > 17 * 1024 * 1024 {
                revision = store
                    .put("a/x", Bytes::from_static(b"v"), Precondition::Revision(revision))
                    .await
                    .unwrap();
            }
        })
        .await
        .expect("free pages are given back");
    });
}
