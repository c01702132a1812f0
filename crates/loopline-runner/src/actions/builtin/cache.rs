//! `actions/cache`, `/restore` and `/save`: folders kept between runs as gzip archives.
//!
//! A path in an archive begins with the folder it is relative to, because the workspace of the
//! next job is elsewhere. Archives may have been stored by hostile jobs, so unpacking trusts no
//! path and follows no link.

use std::io;
use std::path::{Component, Path, PathBuf};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use fs_err as fs;
use sha2::{Digest as _, Sha256};

use super::context::{Context, Failure};
use super::files;
use crate::glob::{GlobError, Globs};

const KNOWN: &[&str] = &[
    "path",
    "key",
    "restore-keys",
    "upload-chunk-size",
    "fail-on-cache-miss",
    "lookup-only",
    "save-always",
];
const UNSUPPORTED: &[&str] = &["enablecrossosarchive"];
/// Names of what `post` gets back.
const STATE_KEY: &str = "loopline-cache-key";
const STATE_PATHS: &str = "loopline-cache-paths";
const STATE_MATCHED: &str = "loopline-cache-matched";
/// How many bytes an archive may unpack to.
const MAX_UNPACKED_BYTES: u64 = 50 * 1024 * 1024 * 1024;
/// How many files an archive may hold.
const MAX_FILES: u64 = 5_000_000;

pub(super) fn main(context: &mut Context<'_>) -> Result<(), Failure> {
    let matched = restore(context)?;
    let key = context.input("key").to_owned();
    let paths = context.lines("path").join("\n");
    remember(context, &key, &paths, matched.as_deref());
    Ok(())
}

/// Notes what `post` saves.
pub(super) fn remember(context: &mut Context<'_>, key: &str, paths: &str, matched: Option<&str>) {
    for (name, value) in
        [(STATE_KEY, key), (STATE_PATHS, paths), (STATE_MATCHED, matched.unwrap_or_default())]
    {
        context.state.insert(name.to_owned(), value.to_owned());
    }
}

/// Restores what the inputs say; returns the key that was found.
pub(super) fn restore(context: &mut Context<'_>) -> Result<Option<String>, Failure> {
    context.check_inputs(KNOWN, UNSUPPORTED)?;
    let key = required(context, "key")?;
    let paths = context.lines("path");
    if paths.is_empty() {
        return Err(Failure("input `path` is needed".to_owned()));
    }
    let restore_keys = context.lines("restore-keys");
    let lookup_only = context.flag("lookup-only", false)?;
    let found = restore_paths(context, &paths, &key, &restore_keys, lookup_only)?;
    context.set("cache-primary-key", key.clone());
    context.set("cache-hit", if found.is_none() { "" } else { exact(&found, &key) });
    context.set("cache-matched-key", found.clone().unwrap_or_default());
    if found.is_none() && context.flag("fail-on-cache-miss", false)? {
        return Err(Failure(format!(
            "Failed to restore cache entry. Exiting as fail-on-cache-miss is set. Input key: {key}"
        )));
    }
    Ok(found)
}

fn exact(found: &Option<String>, key: &str) -> &'static str {
    if found.as_deref().is_some_and(|found| found.eq_ignore_ascii_case(key)) {
        "true"
    } else {
        "false"
    }
}

fn required(context: &Context<'_>, name: &str) -> Result<String, Failure> {
    match context.input(name) {
        "" => Err(Failure(format!("input `{name}` is needed"))),
        value => Ok(value.to_owned()),
    }
}

/// Restores paths; returns the key that was found.
pub(super) fn restore_paths(
    context: &mut Context<'_>,
    paths: &[String],
    key: &str,
    restore_keys: &[String],
    lookup_only: bool,
) -> Result<Option<String>, Failure> {
    let failed = |error| Failure::of(format!("restore the cache {key}"), error);
    let entry =
        context.caches.find(context.scope, key, restore_keys, &version(paths)).map_err(failed)?;
    let Some(entry) = entry else {
        let keys: Vec<&str> =
            std::iter::once(key).chain(restore_keys.iter().map(String::as_str)).collect();
        context.log(&format!("Cache not found for input keys: {}", keys.join(", ")));
        return Ok(None);
    };
    if lookup_only {
        context.log(&format!("Cache found and can be restored from key: {}", entry.key));
        return Ok(Some(entry.key));
    }
    let file = context.caches.file(&entry);
    unpack(context, &file)?;
    context.log(&format!("Cache restored from key: {}", entry.key));
    Ok(Some(entry.key))
}

pub(super) fn save_now(context: &mut Context<'_>) -> Result<(), Failure> {
    context.check_inputs(KNOWN, UNSUPPORTED)?;
    let key = required(context, "key")?;
    let paths = context.lines("path");
    save_paths(context, &paths, &key)
}

/// Saves what `main` noted, unless exactly it was restored.
pub(super) fn post(context: &mut Context<'_>) -> Result<(), Failure> {
    let state = |name: &str| context.state.get(name).cloned().unwrap_or_default();
    let (key, paths, matched) = (state(STATE_KEY), state(STATE_PATHS), state(STATE_MATCHED));
    if key.is_empty() {
        return Ok(());
    }
    if matched.eq_ignore_ascii_case(&key) {
        context.log(&format!("Cache hit occurred on the primary key {key}, not saving cache."));
        return Ok(());
    }
    let paths: Vec<String> = paths.lines().map(str::to_owned).collect();
    save_paths(context, &paths, &key)
}

fn save_paths(context: &mut Context<'_>, paths: &[String], key: &str) -> Result<(), Failure> {
    let failed = |error| Failure::of(format!("save the cache {key}"), error);
    let version = version(paths);
    if context.caches.has(context.scope, key, &version).map_err(failed)? {
        context.log(&format!("There is a cache entry for {key} already, not saving cache."));
        return Ok(());
    }
    let staging = context.caches.staging().map_err(failed)?;
    let file = staging.join("archive");
    let packed = pack(context, paths, &file);
    let stored = match packed {
        Ok(0) => Err(Failure(
            "Path Validation Error: Path(s) specified in the action for caching do(es) not \
             exist, hence no cache is being saved."
                .to_owned(),
        )),
        Ok(_) => context.caches.put(context.scope, key, &version, &file).map_err(failed),
        Err(error) => Err(error),
    };
    // What cannot be removed now goes when the store is pruned.
    let _gone = fs::remove_dir_all(&staging);
    match stored {
        Ok(entry) => {
            context.log(&format!("Cache saved with key: {key} ({} bytes)", entry.size_bytes));
            Ok(())
        }
        // The original warns, because a run is no worse without its cache.
        Err(error) => {
            context.log(&format!("::warning::{error}"));
            Ok(())
        }
    }
}

/// What must be equal beside the key.
fn version(paths: &[String]) -> String {
    let mut hash = Sha256::new();
    for path in paths {
        hash.update(path.len().to_le_bytes());
        hash.update(path);
    }
    hash.update("loopline tar gzip 1");
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Puts the files of `paths` into an archive; returns how many of the paths there were.
fn pack(context: &Context<'_>, paths: &[String], file: &Path) -> Result<u64, Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::of("pack the cache", error);
    let globs = Globs::parse(&paths.join("\n"), context.workspace, context.home)
        .map_err(|error| failed(&error))?;
    // Like the original, take matches as they are: a folder that matches goes whole.
    let mut matches: Vec<PathBuf> = Vec::new();
    globs
        .walk(false, |path, _| {
            context.leash.check().map_err(GlobError::Ended)?;
            if !matches.iter().rev().any(|known| path.starts_with(known) && known.is_file()) {
                matches.push(path.to_path_buf());
            }
            Ok::<(), GlobError>(())
        })
        .map_err(|error| failed(&error))?;
    let out = fs::File::create(file).map_err(|error| failed(&error))?;
    let mut archive =
        tar::Builder::new(GzEncoder::new(context.leash.hold(out), Compression::fast()));
    archive.follow_symlinks(false);
    let mut count = 0;
    for path in matches {
        context.leash.check().map_err(|error| failed(&error))?;
        let about = fs::symlink_metadata(&path).map_err(|error| failed(&error))?;
        if !about.is_symlink() {
            context.check_readable(&path)?;
        }
        let (name, root) = match context.root_of(&path) {
            Some(found) => found,
            None => ("machine", Path::new("/")),
        };
        let inner = path.strip_prefix(root).map_err(|error| failed(&error))?;
        let stored = Path::new(name).join(inner);
        if about.is_dir() {
            archive.append_dir(&stored, &path).map_err(|error| failed(&error))?;
        } else if about.is_file() || about.is_symlink() {
            archive.append_path_with_name(&path, &stored).map_err(|error| failed(&error))?;
        } else {
            continue;
        }
        count += 1;
    }
    let out = archive.into_inner().and_then(GzEncoder::finish).map_err(|error| failed(&error))?;
    drop(out);
    Ok(count)
}

/// Takes an archive apart.
fn unpack(context: &Context<'_>, file: &Path) -> Result<(), Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::of("unpack the cache", error);
    let input = fs::File::open(file).map_err(|error| failed(&error))?;
    let input = context.leash.hold(io::BufReader::new(input));
    let mut archive = tar::Archive::new(GzDecoder::new(input));
    let (mut bytes, mut count) = (0_u64, 0_u64);
    for entry in archive.entries().map_err(|error| failed(&error))? {
        let mut entry = entry.map_err(|error| failed(&error))?;
        bytes = bytes.saturating_add(entry.size());
        count += 1;
        if bytes > MAX_UNPACKED_BYTES || count > MAX_FILES {
            return Err(failed(&"the archive holds more than any cache may"));
        }
        let path = entry.path().map_err(|error| failed(&error))?.into_owned();
        let mut parts = path.components();
        let root = match parts.next() {
            Some(Component::Normal(name)) => name.to_str().and_then(|n| context.root_named(n)),
            _ => None,
        };
        let Some(root) = root else {
            return Err(failed(&format!("{} is in none of the job's folders", path.display())));
        };
        let inner = parts.as_path();
        if !inner.components().all(|part| matches!(part, Component::Normal(_))) {
            return Err(failed(&format!("{} leads out of its folder", path.display())));
        }
        let target = root.join(inner);
        if target == root {
            continue;
        }
        files::safe_parent(root, &target)?;
        let kind = entry.header().entry_type();
        match fs::symlink_metadata(&target) {
            Ok(about) if about.is_dir() && kind.is_dir() => continue,
            Ok(about) if !about.is_dir() => {
                fs::remove_file(&target).map_err(|error| failed(&error))?;
            }
            _ => {}
        }
        if !(kind.is_dir() || kind.is_file() || kind.is_symlink()) {
            return Err(failed(&format!("{} is neither file, folder nor link", path.display())));
        }
        entry.set_preserve_mtime(true);
        entry.unpack(&target).map_err(|error| failed(&error))?;
    }
    Ok(())
}
