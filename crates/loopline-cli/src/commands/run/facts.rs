//! What the repository is and what is checked out, as plans need it.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};
use loopline_git::{Repository, Slug};
use loopline_workflow::github::event::{Facts, GitRef, Person};

use crate::environment;
use crate::error::CommandError;

/// A repository that was found.
pub(crate) struct Found {
    /// Its work tree, or the folder with `.github` where there is no repository.
    pub(crate) root: PathBuf,
    /// What is known of it.
    pub(crate) facts: Facts,
    /// What was inferred and from where, for people.
    pub(crate) notes: Vec<String>,
}

/// Finds the repository around `folder`.
pub(crate) fn find(folder: &Path) -> Result<Found, CommandError> {
    let Ok(repository) = Repository::discover(folder) else {
        return without_git(folder);
    };
    let root = repository.working_folder().ok_or_else(|| {
        CommandError::usage("this repository is bare: it has no work tree to run in")
            .hint("clone it, and run Loopline in the clone")
    })?;
    let root = fs_err::canonicalize(root)?;
    let mut notes = Vec::new();
    let facts = read(&repository, &mut notes).map_err(|error| {
        CommandError::usage(format!("cannot read the repository at {}: {error}", root.display()))
    })?;
    Ok(Found { root, facts, notes })
}

/// Makes do without git: workflows still run, on facts that say so.
fn without_git(folder: &Path) -> Result<Found, CommandError> {
    let root = folder
        .ancestors()
        .find(|folder| folder.join(".github/workflows").is_dir())
        .ok_or_else(|| {
            CommandError::usage(format!(
                "{} is in no git repository and no folder above it has .github/workflows",
                folder.display()
            ))
            .hint("go to a repository, or name it: `loopline -C DIR ...`")
        })?;
    let root = fs_err::canonicalize(root)?;
    let name = root
        .file_name()
        .map_or("repository".to_owned(), |name| name.to_string_lossy().into_owned());
    let facts =
        Facts { repository: format!("local/{name}"), actor: actor(None), ..Facts::default() };
    let notes = vec!["no git repository: the commit is all zeros, the branch is main".to_owned()];
    Ok(Found { root, facts, notes })
}

fn read(repository: &Repository, notes: &mut Vec<String>) -> loopline_git::Result<Facts> {
    let head = repository.head()?;
    let slug = repository.slug();
    let default_branch = repository.default_branch();
    let mut facts = Facts {
        repository: format!("{}/{}", slug.owner, slug.name),
        server_url: server_url(&slug),
        default_branch: default_branch.clone(),
        ..Facts::default()
    };
    let Some(commit) = head.commit else {
        notes.push("there is no commit yet: the commit is all zeros".to_owned());
        facts.git_ref = GitRef::Branch(head.branch.unwrap_or(default_branch));
        facts.actor = actor(None);
        return Ok(facts);
    };
    let summary = repository.commit_summary(&commit)?;
    facts.git_ref = match head.branch {
        Some(branch) => GitRef::Branch(branch),
        None => match repository.tags_at(&commit)?.into_iter().next() {
            Some(tag) => GitRef::Tag(tag),
            None => {
                notes.push(format!("no branch is checked out: taken for {default_branch}"));
                GitRef::Branch(default_branch)
            }
        },
    };
    let person = |person: &loopline_git::Person| Person {
        name: person.name.clone(),
        email: person.email.clone(),
    };
    facts.author = person(&summary.author);
    facts.committer = person(&summary.committer);
    facts.committed_at = when(&summary.committer);
    facts.actor = actor(Some(&summary.author.name));
    facts.message = summary.message;
    facts.before = summary.parents.into_iter().next();
    let unknown = "so which files changed is not known and `paths` are not looked at";
    if summary.is_boundary {
        notes.push(format!(
            "this clone is shallow and ends at this commit, {unknown} \
             (`git fetch --unshallow` gets the rest)"
        ));
    } else {
        facts.changed_files = match repository.changed_files(facts.before.as_deref(), &commit) {
            Ok(files) => Some(files),
            Err(error @ loopline_git::Error::Read { .. }) if repository.is_partial() => {
                notes.push(format!(
                    "this clone left objects out (`git clone --filter`), {unknown}: {error}"
                ));
                None
            }
            Err(error) => return Err(error),
        };
    }
    facts.sha = commit;
    Ok(facts)
}

fn server_url(slug: &Slug) -> String {
    format!("https://{}", slug.host.as_deref().unwrap_or("github.com"))
}

/// Returns who starts the run: the author of the commit, in the form that names on servers have.
fn actor(author: Option<&str>) -> String {
    let name = author
        .map(|name| name.trim().replace(char::is_whitespace, "-"))
        .filter(|name| !name.is_empty())
        .or_else(|| environment::USER.get());
    name.unwrap_or_else(|| "local".to_owned())
}

/// Returns when somebody committed, in their own time zone.
fn when(person: &loopline_git::Person) -> String {
    let Ok(time) = Timestamp::from_second(person.time_seconds) else {
        return Facts::default().committed_at;
    };
    let zone = Offset::from_seconds(person.offset_seconds).map_or(TimeZone::UTC, TimeZone::fixed);
    time.to_zoned(zone).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
}
