//! Artifacts and caches in folders.
//!
//! Each is a folder of its own with the file and what is known of it, made aside and renamed
//! into place, so a crash leaves the whole or nothing. Retention by age is the store's business.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use fs_err as fs;
use loopline_clock::{Clock, Timestamp};
use sha2::{Digest as _, Sha256};

use super::storage::{
    Artifact, Artifacts, CacheEntry, CacheScope, Caches, NewArtifact, StorageError,
};

/// How large all caches may be together unless told otherwise, in bytes (GitHub's limit).
pub const DEFAULT_CACHE_QUOTA_BYTES: u64 = 10 * 1024 * 1024 * 1024;
/// How large one artifact may be unless told otherwise, in bytes.
pub const DEFAULT_ARTIFACT_LIMIT_BYTES: u64 = 10 * 1024 * 1024 * 1024;
/// How long names and keys may be, in bytes (GitHub's limit for keys).
const MAX_NAME_BYTES: usize = 512;
const META: &str = "entry.json";
const FILE: &str = "file";
/// Files on their way in; ignored by everything that lists.
const STAGING: &str = ".staging";

/// Folders of artifacts and caches.
pub struct Disk {
    artifacts: PathBuf,
    caches: PathBuf,
    clock: Clock,
    cache_quota_bytes: u64,
    artifact_limit_bytes: u64,
    /// Keeps two jobs from making room or replacing at the same time.
    writing: Mutex<()>,
}

impl Disk {
    /// Returns the store in the two folders, which are made when needed.
    pub fn new(artifacts: PathBuf, caches: PathBuf, clock: Clock) -> Self {
        Self {
            artifacts,
            caches,
            clock,
            cache_quota_bytes: DEFAULT_CACHE_QUOTA_BYTES,
            artifact_limit_bytes: DEFAULT_ARTIFACT_LIMIT_BYTES,
            writing: Mutex::new(()),
        }
    }

    /// Returns the store with another quota for all caches together, in bytes.
    #[must_use]
    pub fn with_cache_quota(mut self, bytes: u64) -> Self {
        self.cache_quota_bytes = bytes;
        self
    }

    /// Removes the artifacts whose workflow said how long they are kept, once that is over;
    /// returns how many there were and their size in bytes. With `remove` unset, only counts.
    ///
    /// # Errors
    /// Where the store cannot be read or an artifact cannot be removed.
    pub fn prune_expired(&self, remove: bool) -> Result<(u64, u64), StorageError> {
        let listing = match fs::read_dir(&self.artifacts) {
            Ok(listing) => listing,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((0, 0)),
            Err(error) => return Err(error.into()),
        };
        let now = self.clock.now();
        let (mut count, mut bytes) = (0, 0);
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        for run in listing {
            let run = run?;
            if run.file_name() == STAGING || !run.file_type()?.is_dir() {
                continue;
            }
            for artifact in entries::<Artifact>(&run.path())? {
                let expires = artifact.expires.as_deref().map(str::parse::<Timestamp>);
                if !expires.is_some_and(|expires| expires.is_ok_and(|expires| expires <= now)) {
                    continue;
                }
                if remove {
                    fs::remove_dir_all(run.path().join(address(&[&artifact.name])))?;
                }
                count += 1;
                bytes += artifact.size_bytes;
            }
        }
        Ok((count, bytes))
    }

    fn artifact_folder(&self, run: &str, name: &str) -> PathBuf {
        self.artifacts.join(run).join(address(&[name]))
    }

    fn cache_folder(&self, scope: &CacheScope, key: &str, version: &str) -> PathBuf {
        self.caches.join(address(&[&scope.repository, &scope.write, version, key]))
    }

    fn cache_entries(&self) -> Result<Vec<CacheEntry>, StorageError> {
        entries(&self.caches)
    }

    fn make_room(&self, needed: u64) -> Result<(), StorageError> {
        let mut all = self.cache_entries()?;
        let mut total: u64 = all.iter().map(|entry| entry.size_bytes).sum();
        all.sort_by(|a, b| a.used.cmp(&b.used));
        for entry in all {
            if total.saturating_add(needed) <= self.cache_quota_bytes {
                break;
            }
            fs::remove_dir_all(self.entry_folder(&entry))?;
            total = total.saturating_sub(entry.size_bytes);
        }
        Ok(())
    }

    fn entry_folder(&self, entry: &CacheEntry) -> PathBuf {
        let address = address(&[&entry.repository, &entry.scope, &entry.version, &entry.key]);
        self.caches.join(address)
    }

    /// Moves `file` with `meta` to `folder`.
    fn place(
        &self,
        root: &Path,
        folder: &Path,
        file: &Path,
        meta: &impl serde::Serialize,
    ) -> Result<(), StorageError> {
        let aside = root.join(STAGING).join(self.clock.uuid());
        fs::create_dir_all(&aside)?;
        fs::write(aside.join(META), serde_json::to_vec(meta)?)?;
        if let Err(error) = fs::rename(file, aside.join(FILE)) {
            if error.kind() != io::ErrorKind::CrossesDevices {
                return Err(error.into());
            }
            fs::copy(file, aside.join(FILE))?;
        }
        if let Some(parent) = folder.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::rename(&aside, folder)?;
        Ok(())
    }
}

impl Artifacts for Disk {
    fn staging(&self) -> Result<PathBuf, StorageError> {
        staging(&self.artifacts, &self.clock)
    }

    fn put(&self, new: NewArtifact<'_>, file: &Path) -> Result<Artifact, StorageError> {
        check_artifact_name(new.name)?;
        check_run(new.run)?;
        let size_bytes = fs::metadata(file)?.len();
        if size_bytes > self.artifact_limit_bytes {
            return Err(StorageError::OverQuota {
                name: format!("artifact {}", new.name),
                size_bytes,
                quota_bytes: self.artifact_limit_bytes,
            });
        }
        let artifact = Artifact {
            id: number(&[new.run, new.name, &self.clock.uuid()]),
            run: new.run.to_owned(),
            job: new.job.to_owned(),
            name: new.name.to_owned(),
            size_bytes,
            digest: digest(file)?,
            mime_type: new.mime_type.to_owned(),
            created: self.clock.now().to_string(),
            expires: new.expires.map(str::to_owned),
        };
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = self.artifact_folder(new.run, new.name);
        if folder.exists() {
            if !new.overwrite {
                return Err(StorageError::Exists(format!("artifact {}", new.name)));
            }
            fs::remove_dir_all(&folder)?;
        }
        self.place(&self.artifacts, &folder, file, &artifact)?;
        Ok(artifact)
    }

    fn list(&self, run: &str) -> Result<Vec<Artifact>, StorageError> {
        check_run(run)?;
        let mut all: Vec<Artifact> = entries(&self.artifacts.join(run))?;
        all.sort_by(|a, b| (&a.created, &a.name).cmp(&(&b.created, &b.name)));
        Ok(all)
    }

    fn file(&self, artifact: &Artifact) -> PathBuf {
        self.artifact_folder(&artifact.run, &artifact.name).join(FILE)
    }

    fn delete(&self, run: &str, name: &str) -> Result<Option<Artifact>, StorageError> {
        check_run(run)?;
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = self.artifact_folder(run, name);
        let Some(artifact) = read(&folder)? else { return Ok(None) };
        fs::remove_dir_all(folder)?;
        Ok(Some(artifact))
    }
}

impl Caches for Disk {
    fn staging(&self) -> Result<PathBuf, StorageError> {
        staging(&self.caches, &self.clock)
    }

    fn has(&self, scope: &CacheScope, key: &str, version: &str) -> Result<bool, StorageError> {
        Ok(self.cache_folder(scope, key, version).join(META).exists())
    }

    fn put(
        &self,
        scope: &CacheScope,
        key: &str,
        version: &str,
        file: &Path,
    ) -> Result<CacheEntry, StorageError> {
        check_key(key)?;
        let size_bytes = fs::metadata(file)?.len();
        if size_bytes > self.cache_quota_bytes {
            return Err(StorageError::OverQuota {
                name: format!("cache {key}"),
                size_bytes,
                quota_bytes: self.cache_quota_bytes,
            });
        }
        let now = self.clock.now().to_string();
        let entry = CacheEntry {
            id: number(&[&scope.repository, &scope.write, version, key]),
            repository: scope.repository.clone(),
            scope: scope.write.clone(),
            key: key.to_owned(),
            version: version.to_owned(),
            size_bytes,
            created: now.clone(),
            used: now,
        };
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = self.cache_folder(scope, key, version);
        if folder.exists() {
            return Err(StorageError::Exists(format!("cache {key}")));
        }
        self.make_room(size_bytes)?;
        self.place(&self.caches, &folder, file, &entry)?;
        Ok(entry)
    }

    fn find(
        &self,
        scope: &CacheScope,
        key: &str,
        restore_keys: &[String],
        version: &str,
    ) -> Result<Option<CacheEntry>, StorageError> {
        let mut all = self.cache_entries()?;
        all.retain(|entry| entry.repository == scope.repository && entry.version == version);
        all.sort_by(|a, b| b.created.cmp(&a.created));
        for reference in &scope.read {
            let seen = || all.iter().filter(|entry| entry.scope == *reference);
            let exact = seen().find(|entry| entry.key == key);
            let found = exact.or_else(|| {
                std::iter::once(key)
                    .chain(restore_keys.iter().map(String::as_str))
                    .find_map(|prefix| seen().find(|entry| entry.key.starts_with(prefix)))
            });
            if let Some(found) = found {
                let entry = CacheEntry { used: self.clock.now().to_string(), ..found.clone() };
                let folder = self.entry_folder(&entry);
                let aside = folder.join(format!("{META}.{}", self.clock.random_hex(4)));
                fs::write(&aside, serde_json::to_vec(&entry)?)?;
                fs::rename(aside, folder.join(META))?;
                return Ok(Some(entry));
            }
        }
        Ok(None)
    }

    fn file(&self, entry: &CacheEntry) -> PathBuf {
        self.entry_folder(entry).join(FILE)
    }
}

fn staging(root: &Path, clock: &Clock) -> Result<PathBuf, StorageError> {
    let folder = root.join(STAGING).join(clock.uuid());
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// Reads what is known of everything in `root`. What another process is removing is left out.
fn entries<T: serde::de::DeserializeOwned>(root: &Path) -> Result<Vec<T>, StorageError> {
    let listing = match fs::read_dir(root) {
        Ok(listing) => listing,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let mut found = Vec::new();
    for entry in listing {
        let entry = entry?;
        if entry.file_name() != STAGING {
            found.extend(read(&entry.path())?);
        }
    }
    Ok(found)
}

fn read<T: serde::de::DeserializeOwned>(folder: &Path) -> Result<Option<T>, StorageError> {
    match fs::read(folder.join(META)) {
        Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
        Err(error)
            if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
        {
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

/// Returns a file name for names that need not be file names.
fn address(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.len().to_le_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize().iter().take(20).map(|byte| format!("{byte:02x}")).collect()
}

/// Returns a number that fits a JavaScript number.
fn number(parts: &[&str]) -> u64 {
    u64::from_str_radix(&address(parts)[..12], 16).unwrap_or(0).max(1)
}

/// Returns `sha256:...` of a file.
pub(crate) fn digest(file: &Path) -> Result<String, StorageError> {
    let mut reader = fs::File::open(file)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let count = reader.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        hash.update(&buffer[..count]);
    }
    let hex: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("sha256:{hex}"))
}

/// Refuses the names that `@actions/artifact` refuses.
pub(crate) fn check_artifact_name(name: &str) -> Result<(), StorageError> {
    let bad = name.contains(['"', ':', '<', '>', '|', '*', '?', '\r', '\n', '\\', '/']);
    if name.is_empty() || name.len() > MAX_NAME_BYTES || bad {
        return Err(StorageError::Name(name.to_owned()));
    }
    Ok(())
}

/// Refuses the keys that `@actions/cache` refuses.
pub(crate) fn check_key(key: &str) -> Result<(), StorageError> {
    if key.is_empty() || key.len() > MAX_NAME_BYTES || key.contains(',') {
        return Err(StorageError::Name(key.to_owned()));
    }
    Ok(())
}

fn check_run(run: &str) -> Result<(), StorageError> {
    if run.is_empty() || !run.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        return Err(StorageError::Name(run.to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn scope(write: &str) -> CacheScope {
        CacheScope {
            repository: "o/r".to_owned(),
            write: write.to_owned(),
            read: vec![write.to_owned(), "main".to_owned()],
        }
    }

    #[test]
    fn caches_by_scope_key_and_use() {
        let folder = tempfile::tempdir().unwrap();
        let (clock, script) = Clock::scripted(Timestamp::UNIX_EPOCH);
        let disk =
            Disk::new(folder.path().join("a"), folder.path().join("c"), clock).with_cache_quota(25);
        let put = |scope_name: &str, key: &str| {
            script.advance(Duration::from_secs(1));
            let file = Caches::staging(&disk).unwrap().join("f");
            fs::write(&file, "0123456789").unwrap();
            Caches::put(&disk, &scope(scope_name), key, "v", &file).map(|_| ())
        };
        let find = |scope_name: &str, key: &str, restore: &[&str]| {
            script.advance(Duration::from_secs(1));
            let restore: Vec<String> = restore.iter().map(|&key| key.to_owned()).collect();
            disk.find(&scope(scope_name), key, &restore, "v").unwrap().map(|entry| entry.key)
        };
        put("main", "npm-1").unwrap();
        assert!(matches!(put("main", "npm-1"), Err(StorageError::Exists(_))));
        put("dev", "npm-2").unwrap();
        assert_eq!(find("main", "npm-2", &[]), None);
        assert_eq!(find("dev", "npm-2", &[]).as_deref(), Some("npm-2"));
        assert_eq!(find("dev", "npm-3", &["npm-"]).as_deref(), Some("npm-2"));
        assert_eq!(find("dev", "npm-1", &[]).as_deref(), Some("npm-1"));
        assert_eq!(find("other", "npm", &[]).as_deref(), Some("npm-1"));
        put("main", "npm-4").unwrap();
        assert_eq!(find("dev", "npm-2", &[]), None, "the longest unused made room");
        assert_eq!(find("dev", "npm-1", &[]).as_deref(), Some("npm-1"));
        assert!(matches!(put("main", "a,b"), Err(StorageError::Name(_))));
        let wrong = disk.find(&scope("main"), "npm-1", &[], "w").unwrap();
        assert_eq!(wrong, None);
    }

    #[test]
    fn artifacts_of_a_run() {
        let folder = tempfile::tempdir().unwrap();
        let (clock, script) = Clock::scripted(Timestamp::UNIX_EPOCH);
        let disk = Disk::new(folder.path().join("a"), folder.path().join("c"), clock);
        let put = |name: &str, text: &str, overwrite: bool| {
            let file = Artifacts::staging(&disk).unwrap().join("f");
            fs::write(&file, text).unwrap();
            let new = NewArtifact {
                run: "7",
                job: "j",
                name,
                mime_type: "application/zip",
                expires: None,
                overwrite,
            };
            Artifacts::put(&disk, new, &file)
        };
        put("site", "one", false).unwrap();
        assert_eq!(disk.prune_expired(true).unwrap(), (0, 0), "it says nothing of an end");
        assert!(matches!(put("site", "two", false), Err(StorageError::Exists(_))));
        let stored = put("site", "two", true).unwrap();
        assert_eq!(fs::read(Artifacts::file(&disk, &stored)).unwrap(), b"two");
        assert_eq!(disk.list("7").unwrap(), std::slice::from_ref(&stored));
        assert_eq!(disk.list("8").unwrap(), []);
        assert!(matches!(put("../x", "", false), Err(StorageError::Name(_))));
        assert!(matches!(disk.list("../7"), Err(StorageError::Name(_))));
        assert_eq!(disk.delete("7", "site").unwrap(), Some(stored));
        assert_eq!(disk.delete("7", "site").unwrap(), None);
        let file = Artifacts::staging(&disk).unwrap().join("f");
        fs::write(&file, "short").unwrap();
        let new = NewArtifact {
            run: "8",
            job: "j",
            name: "short",
            mime_type: "application/zip",
            expires: Some("1970-01-02T00:00:00Z"),
            overwrite: false,
        };
        Artifacts::put(&disk, new, &file).unwrap();
        assert_eq!(disk.prune_expired(true).unwrap(), (0, 0));
        script.advance(Duration::from_secs(24 * 3600));
        assert_eq!(disk.prune_expired(false).unwrap(), (1, 5));
        assert_eq!(disk.list("8").unwrap().len(), 1);
        assert_eq!(disk.prune_expired(true).unwrap(), (1, 5));
        assert_eq!(disk.list("8").unwrap(), []);
    }
}
