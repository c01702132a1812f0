//! What is known of the repository and its commit, gathered by somebody else.

use serde::{Deserialize, Serialize};

/// A branch or a tag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GitRef {
    /// `refs/heads/NAME`.
    Branch(String),
    /// `refs/tags/NAME`.
    Tag(String),
}

impl GitRef {
    /// Reads a full ref, or takes a bare name for a branch.
    pub fn parse(text: &str) -> Self {
        if let Some(tag) = text.strip_prefix("refs/tags/") {
            return Self::Tag(tag.to_owned());
        }
        Self::Branch(text.strip_prefix("refs/heads/").unwrap_or(text).to_owned())
    }

    /// Returns the short name.
    pub fn name(&self) -> &str {
        match self {
            Self::Branch(name) | Self::Tag(name) => name,
        }
    }

    /// Returns the full ref.
    pub fn full(&self) -> String {
        match self {
            Self::Branch(name) => format!("refs/heads/{name}"),
            Self::Tag(name) => format!("refs/tags/{name}"),
        }
    }
}

/// Somebody who wrote or committed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// The name.
    pub name: String,
    /// The address.
    pub email: String,
}

/// A pull request, where one is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullRequest {
    /// Its number.
    pub number: u64,
    /// The branch it goes to.
    pub base: String,
    /// The commit of that branch, where known.
    pub base_sha: Option<String>,
    /// The branch it comes from.
    pub head: String,
    /// Its title.
    pub title: String,
}

/// What is known of the repository and its commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// `owner/name`.
    pub repository: String,
    /// The address of the server, without a slash at the end (`https://github.com`).
    pub server_url: String,
    /// The commit, 40 hexadecimal digits (all zero where there is none yet).
    pub sha: String,
    /// The commit before, where there is one.
    pub before: Option<String>,
    /// What is checked out; the default branch where the head is detached.
    pub git_ref: GitRef,
    /// The default branch's name.
    pub default_branch: String,
    /// Who starts the run.
    pub actor: String,
    /// Who wrote the commit.
    pub author: Person,
    /// Who committed it.
    pub committer: Person,
    /// The commit's message.
    pub message: String,
    /// When it was committed, RFC 3339.
    pub committed_at: String,
    /// The paths that changed since `before` (or since the pull request's base), sorted; `None`
    /// where that cannot be known.
    pub changed_files: Option<Vec<String>>,
    /// The pull request, where one is known.
    pub pull_request: Option<PullRequest>,
}

impl Default for Facts {
    fn default() -> Self {
        Self {
            repository: "local/repository".to_owned(),
            server_url: "https://github.com".to_owned(),
            sha: "0".repeat(40),
            before: None,
            git_ref: GitRef::Branch("main".to_owned()),
            default_branch: "main".to_owned(),
            actor: "local".to_owned(),
            author: Person::default(),
            committer: Person::default(),
            message: String::new(),
            committed_at: "1970-01-01T00:00:00Z".to_owned(),
            changed_files: None,
            pull_request: None,
        }
    }
}

impl Facts {
    /// Returns the part of the repository before the slash.
    pub fn owner(&self) -> &str {
        self.repository.split_once('/').map_or("", |(owner, _)| owner)
    }

    /// Returns the part of the repository after the slash.
    pub fn name(&self) -> &str {
        self.repository.split_once('/').map_or(&self.repository, |(_, name)| name)
    }

    /// Returns the pull request, or the one that the checked-out branch would open.
    pub fn pull_request(&self) -> PullRequest {
        self.pull_request.clone().unwrap_or_else(|| PullRequest {
            number: 1,
            base: self.default_branch.clone(),
            base_sha: self.before.clone(),
            head: self.git_ref.name().to_owned(),
            title: self.message.lines().next().unwrap_or_default().to_owned(),
        })
    }

    /// Returns a number that stands for the id the server would give to `name`: the same for the
    /// same name, and never 0.
    pub(super) fn id_of(name: &str) -> u64 {
        const ID_BITS: u32 = 31;
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte.to_ascii_lowercase())).wrapping_mul(0x0100_0000_01b3)
        });
        (hash >> (u64::BITS - ID_BITS)) | 1
    }
}
