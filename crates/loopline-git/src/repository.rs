//! One repository on disk: discovery, HEAD, revisions, history. Listing the working tree and
//! writing trees live in their own modules.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use gix::bstr::ByteSlice as _;

use crate::error::{Error, Result, reading};
use crate::slug::Slug;

/// The most references looked at when asking which tags name a commit.
pub const TAGS_MAX: usize = 100_000;
/// The most changed paths returned between two commits.
pub const CHANGED_FILES_MAX: usize = 1_000_000;

/// A repository opened for reading.
#[derive(Debug)]
pub struct Repository {
    pub(crate) inner: gix::Repository,
}

/// What is checked out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The commit, 40 hexadecimal digits; absent before the first commit.
    pub commit: Option<String>,
    /// The branch without `refs/heads/`; absent when detached.
    pub branch: Option<String>,
}

/// Who wrote or committed, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// The name.
    pub name: String,
    /// The mail address.
    pub email: String,
    /// Seconds since 1970-01-01T00:00:00Z.
    pub time_seconds: i64,
    /// The author's offset from UTC in seconds.
    pub offset_seconds: i32,
}

/// What an event's payload says of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitSummary {
    /// The commit, 40 hexadecimal digits.
    pub id: String,
    /// Its tree, 40 hexadecimal digits.
    pub tree: String,
    /// Its parents in order; none where a shallow clone ends here.
    pub parents: Vec<String>,
    /// Whether the clone is shallow and ends at this commit, so that its parents are not known.
    pub is_boundary: bool,
    /// The whole message.
    pub message: String,
    /// Who wrote it.
    pub author: Person,
    /// Who committed it.
    pub committer: Person,
}

impl Repository {
    /// Finds the repository that holds a folder, looking upwards.
    ///
    /// # Errors
    /// When there is none or it cannot be read.
    pub fn discover(folder: &Path) -> Result<Self> {
        let options = || gix::open::Options::isolated().bail_if_untrusted(false);
        let trust = gix::sec::trust::Mapping { full: options(), reduced: options() };
        let inner = gix::ThreadSafeRepository::discover_opts(
            folder,
            gix::discover::upwards::Options::default(),
            trust,
        )
        .map_err(|source| Error::NotARepository {
            folder: folder.to_owned(),
            source: Box::new(source),
        })?
        .to_thread_local();
        Ok(Self { inner })
    }

    /// Returns the top folder of the working tree; nothing for a bare repository.
    #[must_use]
    pub fn working_folder(&self) -> Option<&Path> {
        self.inner.workdir()
    }

    /// Returns the folder of this working tree's own git state (`.git`, or a linked worktree's).
    #[must_use]
    pub fn git_folder(&self) -> &Path {
        self.inner.git_dir()
    }

    /// Returns the folder that holds objects and references, shared by linked worktrees.
    #[must_use]
    pub fn common_folder(&self) -> PathBuf {
        self.inner.common_dir().to_owned()
    }

    /// Returns what is checked out.
    ///
    /// # Errors
    /// When HEAD is malformed or cannot be read.
    pub fn head(&self) -> Result<Head> {
        let head = self.inner.head().map_err(reading("HEAD"))?;
        let branch = head.referent_name().and_then(|name| {
            name.as_bstr().strip_prefix(b"refs/heads/").map(|name| name.to_str_lossy().into_owned())
        });
        let commit = if head.is_unborn() {
            None
        } else {
            Some(self.inner.head_id().map_err(reading("HEAD"))?.to_hex().to_string())
        };
        Ok(Head { commit, branch })
    }

    /// Returns the tags that name a commit, in order of name, annotated ones included.
    ///
    /// # Errors
    /// When references cannot be read or there are more than [`TAGS_MAX`].
    pub fn tags_at(&self, commit: &str) -> Result<Vec<String>> {
        let platform = self.inner.references().map_err(reading("references"))?;
        let mut tags = Vec::new();
        for (count, reference) in platform.tags().map_err(reading("tags"))?.enumerate() {
            if count >= TAGS_MAX {
                return Err(Error::TooMuch { what: "tags", limit: TAGS_MAX as u64 });
            }
            // A tag whose object is missing (a shallow or broken clone) names no commit we have.
            let Ok(mut reference) = reference else { continue };
            let name = reference.name().shorten().to_str_lossy().into_owned();
            if reference.peel_to_id().is_ok_and(|id| id.to_hex() == *commit) {
                tags.push(name);
            }
        }
        tags.sort();
        Ok(tags)
    }

    /// Returns the address of a remote as configured, which may hold a credential: show it never.
    #[must_use]
    pub fn remote_url(&self, remote: &str) -> Option<String> {
        let key = format!("remote.{remote}.url");
        self.inner.config_snapshot().string(key.as_str()).map(|url| url.to_str_lossy().into_owned())
    }

    /// Returns the repository's owner and name from `origin`, else `local/<folder name>`.
    #[must_use]
    pub fn slug(&self) -> Slug {
        self.remote_url("origin").as_deref().and_then(Slug::from_url).unwrap_or_else(|| {
            let folder = self.inner.workdir().unwrap_or_else(|| self.inner.git_dir());
            // Discovery may have answered with a relative path such as `.`, which has no name.
            let folder = fs_err::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
            let name = folder.file_name().map_or_else(
                || "repository".to_owned(),
                |name| name.to_string_lossy().into_owned(),
            );
            let name = name.strip_suffix(".git").map_or(name.clone(), str::to_owned);
            Slug { owner: "local".to_owned(), name, host: None }
        })
    }

    /// Guesses the default branch: what `origin/HEAD` names, else `main` or `master` where one
    /// exists, else the branch checked out, else `main`.
    #[must_use]
    pub fn default_branch(&self) -> String {
        if let Ok(Some(reference)) = self.inner.try_find_reference("refs/remotes/origin/HEAD")
            && let Some(name) = reference.target().try_name()
            && let Some(branch) = name.as_bstr().strip_prefix(b"refs/remotes/origin/")
        {
            return branch.to_str_lossy().into_owned();
        }
        for branch in ["main", "master"] {
            if let Ok(Some(_)) = self.inner.try_find_reference(&format!("refs/heads/{branch}")) {
                return branch.to_owned();
            }
        }
        self.head().ok().and_then(|head| head.branch).unwrap_or_else(|| "main".to_owned())
    }

    /// Resolves a revision (a name, a full or short id, `HEAD~2`) to its commit's full id.
    ///
    /// # Errors
    /// When the revision names nothing, is ambiguous or does not lead to a commit.
    pub fn rev_parse(&self, revision: &str) -> Result<String> {
        Ok(self.commit(revision)?.id().to_hex().to_string())
    }

    /// Returns what an event's payload says of a commit.
    ///
    /// # Errors
    /// When the revision does not lead to a readable commit.
    pub fn commit_summary(&self, revision: &str) -> Result<CommitSummary> {
        let commit = self.commit(revision)?;
        let boundary = self.inner.shallow_commits().map_err(reading("shallow boundary"))?;
        let is_boundary = boundary.is_some_and(|ends| ends.iter().any(|end| *end == commit.id));
        let parents = match is_boundary {
            true => Vec::new(),
            false => commit.parent_ids().map(|id| id.to_hex().to_string()).collect(),
        };
        let person = |signature: gix::actor::SignatureRef<'_>| -> Person {
            let time = signature.time().unwrap_or_default();
            Person {
                name: signature.name.trim().to_str_lossy().into_owned(),
                email: signature.email.trim().to_str_lossy().into_owned(),
                time_seconds: time.seconds,
                offset_seconds: time.offset,
            }
        };
        Ok(CommitSummary {
            id: commit.id().to_hex().to_string(),
            tree: commit.tree_id().map_err(reading("commit"))?.to_hex().to_string(),
            parents,
            is_boundary,
            message: commit.message_raw().map_err(reading("commit"))?.to_str_lossy().into_owned(),
            author: person(commit.author().map_err(reading("commit"))?),
            committer: person(commit.committer().map_err(reading("commit"))?),
        })
    }

    /// Returns whether the clone left objects out (`git clone --filter`), so that what history
    /// names need not be there.
    #[must_use]
    pub fn is_partial(&self) -> bool {
        let config = self.inner.config_snapshot();
        config.string("extensions.partialClone").is_some()
            || config.boolean("remote.origin.promisor").unwrap_or(false)
    }

    /// Returns the best common ancestor of two revisions; nothing when they share no history.
    ///
    /// # Errors
    /// When a revision cannot be resolved or history cannot be read.
    pub fn merge_base(&self, one: &str, two: &str) -> Result<Option<String>> {
        let (one, two) = (self.commit(one)?.id, self.commit(two)?.id);
        let bases = self.inner.merge_bases_many(one, &[two]).map_err(reading("history"))?;
        Ok(bases.first().map(|id| id.to_hex().to_string()))
    }

    /// Returns the paths that differ between two revisions, both sides of a rename, in order;
    /// without a base every path of `head`.
    ///
    /// # Errors
    /// When a tree cannot be read or more than [`CHANGED_FILES_MAX`] paths differ.
    pub fn changed_files(&self, base: Option<&str>, head: &str) -> Result<Vec<String>> {
        let old = match base {
            Some(base) => self.commit(base)?.tree().map_err(reading("tree"))?,
            None => self.inner.empty_tree(),
        };
        let new = self.commit(head)?.tree().map_err(reading("tree"))?;
        let mut paths = BTreeSet::new();
        let mut changes = old.changes().map_err(reading("tree"))?;
        changes.options(|options| {
            options.track_path();
            options.track_rewrites(None);
        });
        let mut overflow = false;
        let _ = changes
            .for_each_to_obtain_tree(&new, |change| {
                if !change.entry_mode().is_tree() {
                    paths.insert(change.location().to_str_lossy().into_owned());
                }
                overflow = paths.len() > CHANGED_FILES_MAX;
                Ok(if overflow {
                    std::ops::ControlFlow::Break(())
                } else {
                    std::ops::ControlFlow::Continue(())
                })
            })
            .map_err(reading("tree"))?;
        if overflow {
            return Err(Error::TooMuch { what: "changed files", limit: CHANGED_FILES_MAX as u64 });
        }
        Ok(paths.into_iter().collect())
    }

    pub(crate) fn commit(&self, revision: &str) -> Result<gix::Commit<'_>> {
        let wrap =
            |source| Error::Revision { revision: revision.to_owned(), source: Box::new(source) };
        if revision == "HEAD" && self.inner.head().map_err(reading("HEAD"))?.is_unborn() {
            return Err(Error::NoCommit);
        }
        let id = self.inner.rev_parse_single(revision).map_err(wrap)?;
        id.object().map_err(wrap)?.peel_to_commit().map_err(wrap)
    }
}
