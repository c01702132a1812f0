//! The database file: its tables, its settings, and the statements on them.
//!
//! `log` has every change in order; `current` says which row of it stands for a key. A row is
//! removed when a compaction passes the change that replaced it, so the row of every current
//! value, and of every value replaced within the window that watches may replay, is always there.

use std::path::Path;

use bytes::Bytes;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, OptionalExtension as _, Row, params};

use super::ring::{MAX_TAKEN, MAX_TAKEN_BYTES};
use super::{Change, ListOptions, Page, Record, Revision, StoreError};

/// The format of the database; newer opens older, older refuses newer.
const FORMAT: i64 = 1;

/// Marks the file as ours (`PRAGMA application_id`): "LPLO".
const APPLICATION: i64 = 0x4c50_4c4f;

/// How long a statement waits for another connection's lock, in milliseconds.
const BUSY_TIMEOUT_MS: u64 = 5_000;

/// How many pages may lie free in the file before some are given back: 16 MiB.
const MAX_FREE_PAGES: u64 = 4096;

/// How many pages are given back in one go.
const GIVEN_BACK: u64 = 512;

/// How much of the file the connection that writes keeps in memory, in KiB.
const WRITER_CACHE_KIB: i64 = 4096;

/// How much of the file each connection that reads keeps in memory, in KiB: there may be several,
/// and what they do not have the system has.
const READER_CACHE_KIB: i64 = 1024;

const TABLES: &str = "
create table log (
    revision integer primary key,
    key text not null,
    created integer not null,
    previous integer,
    value blob
);
create index log_key on log (key, revision);
create table current (key text primary key, revision integer not null) without rowid;
create table meta (name text primary key, value integer not null) without rowid;
insert into meta values ('revision', 0), ('compacted', 0);
";

/// What a database says of itself when it is opened.
#[derive(Clone, Copy, Debug)]
pub(super) struct State {
    pub(super) revision: Revision,
    pub(super) compacted: Revision,
}

/// Opens the connection that writes, making the tables where the file is new.
pub(super) fn open_writer(path: &Path, durable: bool) -> Result<(Connection, State), StoreError> {
    let at = |error: rusqlite::Error| StoreError::of_write(path, &error);
    let connection = Connection::open(path).map_err(at)?;
    settings(&connection, WRITER_CACHE_KIB).map_err(at)?;
    let mode = if durable { "full" } else { "off" };
    // Only a file without tables takes this setting; it does nothing to others.
    connection.pragma_update(None, "auto_vacuum", "incremental").map_err(at)?;
    connection.pragma_update(None, "journal_mode", "wal").map_err(at)?;
    connection.pragma_update(None, "synchronous", mode).map_err(at)?;
    // The default copies the log back every 1,000 pages; with larger stretches bursts of writes
    // are interrupted less often.
    connection.pragma_update(None, "wal_autocheckpoint", 4000).map_err(at)?;
    let pragma = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let application = pragma("application_id").map_err(at)?;
    let format = pragma("user_version").map_err(at)?;
    if application == 0 && format == 0 {
        let empty: i64 = connection
            .query_row("select count(*) from sqlite_schema", [], |row| row.get(0))
            .map_err(at)?;
        if empty != 0 {
            return Err(not_ours(path));
        }
        connection
            .execute_batch(&format!(
                "begin immediate; {TABLES} pragma application_id = {APPLICATION}; pragma \
                 user_version = {FORMAT}; commit;"
            ))
            .map_err(at)?;
    } else if application != APPLICATION {
        return Err(not_ours(path));
    } else if format > FORMAT {
        return Err(StoreError::Newer { path: path.to_path_buf(), found: format, known: FORMAT });
    }
    whole(&connection, path)?;
    let state = state(&connection).map_err(at)?;
    Ok((connection, state))
}

/// Makes a copy a single file that can be read from anywhere, after a look at whether it is whole.
pub(super) fn seal(path: &Path) -> Result<(State, u64), StoreError> {
    let at = |error: rusqlite::Error| StoreError::of_write(path, &error);
    let connection = Connection::open(path).map_err(at)?;
    whole(&connection, path)?;
    connection.pragma_update(None, "journal_mode", "delete").map_err(at)?;
    Ok((state(&connection).map_err(at)?, counts(&connection).map_err(at)?.0))
}

fn whole(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let verdict: String = connection
        .query_row("pragma quick_check(1)", [], |row| row.get(0))
        .map_err(|error| StoreError::of_write(path, &error))?;
    if verdict == "ok" {
        return Ok(());
    }
    Err(StoreError::Corrupt { path: path.to_path_buf(), cause: verdict })
}

/// Opens a connection that only reads.
pub(super) fn open_reader(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)
        .map_err(|error| StoreError::of_read(path, &error))?;
    settings(&connection, READER_CACHE_KIB).map_err(|error| StoreError::of_read(path, &error))?;
    Ok(connection)
}

fn settings(connection: &Connection, cache_kib: i64) -> rusqlite::Result<()> {
    connection.busy_timeout(std::time::Duration::from_millis(BUSY_TIMEOUT_MS))?;
    connection.pragma_update(None, "cache_size", -cache_kib)?;
    connection.set_prepared_statement_cache_capacity(32);
    // Statements stay prepared whatever is bound to them: without this, each new key has SQLite
    // look for a better plan, which takes longer than the look-up.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(())
}

fn not_ours(path: &Path) -> StoreError {
    StoreError::Corrupt {
        path: path.to_path_buf(),
        cause: "the file is a database of another program".to_owned(),
    }
}

fn state(connection: &Connection) -> rusqlite::Result<State> {
    let meta = |name: &str| {
        connection.query_row("select value from meta where name = ?1", [name], |row| {
            row.get::<_, Revision>(0)
        })
    };
    Ok(State { revision: meta("revision")?, compacted: meta("compacted")? })
}

/// Begins a transaction that writes.
pub(super) fn begin(connection: &Connection) -> rusqlite::Result<()> {
    connection.prepare_cached("begin immediate")?.execute([])?;
    Ok(())
}

/// Commits the transaction; what it wrote is on the disk afterwards.
pub(super) fn commit(connection: &Connection) -> rusqlite::Result<()> {
    connection.prepare_cached("commit")?.execute([])?;
    Ok(())
}

/// Gives free pages back to the disk, some at a time, where there are many; returns whether there
/// are more to give.
pub(super) fn shrink(connection: &Connection) -> rusqlite::Result<bool> {
    let free = || connection.pragma_query_value(None, "freelist_count", |row| row.get::<_, u64>(0));
    let before = free()?;
    if before <= MAX_FREE_PAGES {
        return Ok(false);
    }
    let pages = (before - MAX_FREE_PAGES).min(GIVEN_BACK);
    connection.execute_batch(&format!("pragma incremental_vacuum({pages})"))?;
    let after = free()?;
    Ok(after < before && after > MAX_FREE_PAGES)
}

/// Returns how many bytes the file has, and how many of them lie free.
pub(super) fn sizes(connection: &Connection) -> rusqlite::Result<(u64, u64)> {
    let pragma = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, u64>(0));
    let page = pragma("page_size")?;
    Ok((pragma("page_count")? * page, pragma("freelist_count")? * page))
}

/// Returns what stands under a key.
pub(super) fn get(connection: &Connection, key: &str) -> rusqlite::Result<Option<Record>> {
    connection
        .prepare_cached(
            "select l.key, l.created, l.revision, l.value from current c join log l on l.revision \
             = c.revision where c.key = ?1",
        )?
        .query_row([key], record)
        .optional()
}

/// Appends a change to the log and makes it the key's current row.
pub(super) fn append(connection: &Connection, change: &Change) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "insert into log (revision, key, created, previous, value) values (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![
            change.revision,
            change.key,
            change.created,
            change.previous.as_ref().map(|(revision, _)| *revision),
            change.value.as_deref(),
        ])?;
    if change.value.is_some() {
        connection
            .prepare_cached(
                "insert into current values (?1, ?2) on conflict (key) do update set revision = \
                 excluded.revision",
            )?
            .execute(params![change.key, change.revision])?;
    } else {
        connection.prepare_cached("delete from current where key = ?1")?.execute([&change.key])?;
    }
    Ok(())
}

/// Writes one of the counters.
pub(super) fn set_meta(
    connection: &Connection,
    name: &str,
    value: Revision,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached("update meta set value = ?2 where name = ?1")?
        .execute(params![name, value])?;
    Ok(())
}

/// Removes what no reader can ask for once `to` is the oldest revision; `from` is the oldest now.
pub(super) fn compact(
    connection: &Connection,
    from: Revision,
    to: Revision,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "delete from log where revision in (select previous from log where revision > ?1 and \
             revision <= ?2 and previous is not null)",
        )?
        .execute(params![from, to])?;
    connection
        .prepare_cached("delete from log where revision > ?1 and revision <= ?2 and value is null")?
        .execute(params![from, to])?;
    set_meta(connection, "compacted", to)
}

/// Lists keys, all as of one revision.
pub(super) fn list(
    connection: &Connection,
    options: &ListOptions,
    known: impl Fn(&State, Revision) -> Result<(), StoreError>,
) -> Result<Result<Page, StoreError>, rusqlite::Error> {
    let transaction = connection.unchecked_transaction()?;
    let state = state(&transaction)?;
    let revision = options.revision.unwrap_or(state.revision);
    if let Err(error) = known(&state, revision) {
        return Ok(Err(error));
    }
    let start = options.after.clone().map_or_else(|| options.prefix.clone(), |after| after + "\0");
    let end = end_of(&options.prefix);
    let limit = options.limit.map_or(-1, |limit| i64::try_from(limit).unwrap_or(i64::MAX));
    // An old list is read from the log's index; the current one from its own table.
    let source = if revision == state.revision {
        "from current c join log l on l.revision = c.revision where c.key >= ?1 and c.key < ?2 \
         and ?3 = ?3 order by c.key"
    } else {
        "from (select key, max(revision) as revision from log where key >= ?1 and key < ?2 and \
         revision <= ?3 group by key) c join log l on l.revision = c.revision where l.value is \
         not null order by c.key"
    };
    let mut records = Vec::new();
    {
        let sql = format!("select l.key, l.created, l.revision, l.value {source} limit {limit}");
        let mut statement = transaction.prepare(&sql)?;
        let mut rows = statement.query(params![start, end, revision])?;
        while let Some(row) = rows.next()? {
            records.push(record(row)?);
        }
    }
    let mut remaining = 0;
    if options.limit.is_some_and(|limit| records.len() == limit)
        && let Some(last) = records.last()
    {
        let sql = format!("select count(*) from (select 1 {source})");
        remaining = transaction.query_row(
            &sql,
            params![format!("{}\0", last.key), end, revision],
            |row| row.get(0),
        )?;
    }
    Ok(Ok(Page { records, revision, remaining }))
}

/// Reads changes after `after` and not after `until` from the log, as many as a watcher takes in
/// one go. Returns them with the revision up to which there are no others.
pub(super) fn changes(
    connection: &Connection,
    prefix: &str,
    after: Revision,
    until: Revision,
) -> rusqlite::Result<(Vec<Change>, Revision)> {
    let (start, end) = bounds(prefix);
    let mut statement = connection.prepare_cached(
        "select l.key, l.revision, l.created, l.value, p.revision, p.value from log l left join \
         log p on p.revision = l.previous where l.revision > ?1 and l.revision <= ?2 and l.key >= \
         ?3 and l.key < ?4 order by l.revision limit ?5",
    )?;
    let mut rows = statement.query(params![after, until, start, end, MAX_TAKEN])?;
    let mut changes = Vec::new();
    let mut bytes = 0;
    while let Some(row) = rows.next()? {
        let previous: Option<Revision> = row.get(4)?;
        let before: Option<Vec<u8>> = row.get(5)?;
        let change = Change {
            key: row.get(0)?,
            revision: row.get(1)?,
            created: row.get(2)?,
            value: row.get::<_, Option<Vec<u8>>>(3)?.map(Bytes::from),
            previous: previous.zip(before.map(Bytes::from)),
        };
        let revision = change.revision;
        bytes += change.size();
        changes.push(change);
        if changes.len() == MAX_TAKEN || bytes >= MAX_TAKEN_BYTES {
            return Ok((changes, revision));
        }
    }
    Ok((changes, until))
}

/// Returns the oldest revision that lists and watches can ask for.
pub(super) fn oldest(connection: &Connection) -> rusqlite::Result<Revision> {
    Ok(state(connection)?.compacted)
}

/// Returns how many keys there are and how many changes are kept.
pub(super) fn counts(connection: &Connection) -> rusqlite::Result<(u64, u64)> {
    connection.query_row(
        "select (select count(*) from current), (select count(*) from log)",
        [],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )
}

/// Returns the keys that a watch of `prefix` covers: those below it, or the one that equals it.
fn bounds(prefix: &str) -> (String, String) {
    if prefix.is_empty() || prefix.ends_with('/') {
        (prefix.to_owned(), end_of(prefix))
    } else {
        (prefix.to_owned(), format!("{prefix}\0"))
    }
}

/// Returns the first key after all that begin with `prefix`, which ends in `/` (or is empty).
fn end_of(prefix: &str) -> String {
    prefix.strip_suffix('/').map_or_else(|| "\u{10ffff}".to_owned(), |stem| format!("{stem}0"))
}

fn record(row: &Row<'_>) -> rusqlite::Result<Record> {
    Ok(Record {
        key: row.get(0)?,
        created: row.get(1)?,
        revision: row.get(2)?,
        value: Bytes::from(row.get::<_, Vec<u8>>(3)?),
    })
}
