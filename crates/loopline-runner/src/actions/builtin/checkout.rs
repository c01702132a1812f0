//! `actions/checkout`: the working tree that is there already, or a clone of something else.

use std::path::Path;

use super::context::{Context, Failure};
use crate::leash::Leash;

const KNOWN: &[&str] = &[
    "repository",
    "ref",
    "token",
    "persist-credentials",
    "path",
    "clean",
    "fetch-depth",
    "fetch-tags",
    "show-progress",
    "set-safe-directory",
    "github-server-url",
    "filter",
    "ssh-known-hosts",
    "ssh-strict",
    "ssh-user",
];
const UNSUPPORTED: &[&str] = &["ssh-key", "sparse-checkout", "lfs", "submodules"];

/// What to clone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CloneRequest<'a> {
    /// `owner/name`.
    pub repository: &'a str,
    /// A branch, a tag, a full ref or a commit; the default branch if empty.
    pub reference: &'a str,
    /// The server, without a trailing slash.
    pub server: &'a str,
    /// What the server may be shown.
    pub token: &'a str,
    /// How many commits; all if 0.
    pub depth: u32,
}

/// What was cloned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cloned {
    /// The commit that is checked out.
    pub commit: String,
    /// The ref it was found by.
    pub reference: String,
}

/// Where commits come from.
pub trait Sources: Send + Sync {
    /// Copies the working tree the run is of into an empty or missing folder.
    ///
    /// # Errors
    /// [`Failure`].
    fn copy_working_tree(&self, target: &Path, leash: &Leash<'_>) -> Result<(), Failure>;

    /// Checks a commit out into an empty or missing folder.
    ///
    /// # Errors
    /// [`Failure`], also where the network may not be used.
    fn clone_repository(
        &self,
        request: CloneRequest<'_>,
        target: &Path,
        leash: &Leash<'_>,
    ) -> Result<Cloned, Failure>;
}

pub(super) fn main(context: &mut Context<'_>) -> Result<(), Failure> {
    context.check_inputs(KNOWN, UNSUPPORTED)?;
    let own = |name: &str| context.env.get(name).map_or("", String::as_str);
    let (own_repository, own_ref, own_sha) =
        (own("GITHUB_REPOSITORY"), own("GITHUB_REF"), own("GITHUB_SHA"));
    let repository = match context.input("repository") {
        "" => own_repository,
        given => given,
    };
    let reference = context.input("ref");
    let short = own_ref.strip_prefix("refs/heads/").or(own_ref.strip_prefix("refs/tags/"));
    let is_own = repository.eq_ignore_ascii_case(own_repository)
        && (reference.is_empty()
            || reference == own_ref
            || reference == own_sha
            || Some(reference) == short);
    let path = context.input("path");
    let target = super::files::inside(context.workspace, path)?;
    let (commit, found) = if is_own {
        let outputs = (own_sha.to_owned(), own_ref.to_owned());
        let place = if path.is_empty() { "the workspace".to_owned() } else { path.to_owned() };
        super::files::empty(context.workspace, &target)?;
        context.sources.copy_working_tree(&target, context.leash)?;
        context.log(&format!("Copied the working tree to {place}, uncommitted changes included."));
        outputs
    } else {
        let depth = context.input("fetch-depth");
        let depth = if depth.is_empty() { "1" } else { depth };
        let request = CloneRequest {
            repository,
            reference,
            server: match context.input("github-server-url") {
                "" => context.env.get("GITHUB_SERVER_URL").map_or("https://github.com", |s| s),
                given => given,
            },
            token: context.input("token"),
            depth: depth.parse().map_err(|_| {
                Failure(format!("input `fetch-depth` is `{depth}`, and must be a number"))
            })?,
        };
        super::files::empty(context.workspace, &target)?;
        let cloned = context.sources.clone_repository(request, &target, context.leash)?;
        let line = format!("Checked out {repository} at {}.", cloned.commit);
        context.log(&line);
        (cloned.commit, cloned.reference)
    };
    context.set("commit", commit);
    context.set("ref", found);
    Ok(())
}
