//! `actions/checkout`: the working tree that is there already, or a clone of something else.

use std::path::Path;

use super::context::{Context, Failure};
use crate::leash::Leash;

/// Some need nothing to be done for them: progress is never shown, a job's processes own its
/// files (`set-safe-directory`), and the three of ssh have no effect without a key.
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
    "sparse-checkout",
    "sparse-checkout-cone-mode",
    "lfs",
    "submodules",
    "ssh-known-hosts",
    "ssh-strict",
    "ssh-user",
];
const UNSUPPORTED: &[&str] = &["ssh-key"];

/// Which submodules are wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Submodules {
    /// None.
    #[default]
    No,
    /// The repository's own.
    Yes,
    /// Also those of submodules.
    Recursive,
}

/// What is wanted besides, or instead of, all files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extras {
    /// The submodules.
    pub submodules: Submodules,
    /// Only these folders, or what these patterns match; everything if empty.
    pub sparse: Vec<String>,
    /// Whether they are folders.
    pub sparse_cone: bool,
    /// Whether large files are fetched.
    pub lfs: bool,
}

/// What to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// Whether all tags are wanted.
    pub fetch_tags: bool,
    /// Which objects are left out until they are needed; none if empty.
    pub filter: &'a str,
    /// What is wanted besides.
    pub extras: Extras,
}

/// What was cloned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cloned {
    /// The commit that is checked out.
    pub commit: String,
    /// The whole name of the ref it was found by; the commit where there was none.
    pub reference: String,
}

/// Where commits come from.
pub trait Sources: Send + Sync {
    /// Copies the working tree the run is of into an empty or missing folder.
    ///
    /// # Errors
    /// [`Failure`].
    fn copy_working_tree(
        &self,
        extras: &Extras,
        target: &Path,
        leash: &Leash<'_>,
    ) -> Result<(), Failure>;

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
    let extras = extras(context)?;
    let own = |name: &str| context.env.get(name).map_or("", String::as_str);
    let (own_repository, own_ref, own_sha) =
        (own("GITHUB_REPOSITORY"), own("GITHUB_REF"), own("GITHUB_SHA"));
    let repository = match context.input("repository") {
        "" => own_repository,
        given => given,
    };
    check_repository(repository)?;
    let reference = context.input("ref");
    let short = own_ref.strip_prefix("refs/heads/").or(own_ref.strip_prefix("refs/tags/"));
    let is_own = repository.eq_ignore_ascii_case(own_repository);
    let is_current = is_own
        && (reference.is_empty()
            || reference == own_ref
            || reference == own_sha
            || Some(reference) == short);
    for name in ["show-progress", "set-safe-directory", "ssh-strict"] {
        context.flag(name, true)?;
    }
    let depth = match context.input("fetch-depth") {
        "" => 1,
        depth => depth.parse().map_err(|_| {
            Failure(format!("input `fetch-depth` is `{depth}`, and must be a number"))
        })?,
    };
    let request = CloneRequest {
        repository,
        reference,
        server: match context.input("github-server-url") {
            "" => context.env.get("GITHUB_SERVER_URL").map_or("https://github.com", |s| s),
            given => given,
        },
        token: context.input("token"),
        depth,
        fetch_tags: context.flag("fetch-tags", false)?,
        filter: context.input("filter"),
        extras,
    };
    if context.flag("persist-credentials", false)? && !request.token.is_empty() && !is_own {
        return Err(Failure(
            "`persist-credentials: true` would leave the token on this machine's disk, which \
             Loopline does not do; give the token to the steps that need it"
                .to_owned(),
        ));
    }
    let target = super::files::inside(context.workspace, context.input("path"))?;
    let keeps = !context.flag("clean", true)? && is_filled(&target)?;
    if keeps {
        return Err(Failure(format!(
            "`clean: false` keeps what is in {}, which Loopline cannot check out over yet; \
             check out to another `path`",
            target.display()
        )));
    }
    super::files::empty(context.workspace, &target)?;
    let (commit, found, line) = if is_current {
        context.sources.copy_working_tree(&request.extras, &target, context.leash)?;
        let place = match context.input("path") {
            "" => "the workspace",
            path => path,
        };
        let line = format!(
            "Copied the working tree to {place}, uncommitted changes and whole history included."
        );
        (own_sha.to_owned(), own_ref.to_owned(), line)
    } else {
        let given = reference.to_owned();
        let cloned = context.sources.clone_repository(request, &target, context.leash)?;
        let line = format!("Checked out {repository} at {}.", cloned.commit);
        // As with the original: what was asked for, and nothing where that was a commit.
        let found = match given.as_str() {
            "" => cloned.reference,
            commit if commit.eq_ignore_ascii_case(&cloned.commit) => String::new(),
            _ => given,
        };
        (cloned.commit, found, line)
    };
    context.log(&line);
    context.set("commit", commit);
    context.set("ref", found);
    Ok(())
}

fn extras(context: &Context<'_>) -> Result<Extras, Failure> {
    let submodules = match context.input("submodules").to_ascii_lowercase().as_str() {
        "" | "false" => Submodules::No,
        "true" => Submodules::Yes,
        "recursive" => Submodules::Recursive,
        other => {
            return Err(Failure(format!(
                "input `submodules` is `{other}`, and must be `true`, `false` or `recursive`"
            )));
        }
    };
    Ok(Extras {
        submodules,
        sparse: context.lines("sparse-checkout"),
        sparse_cone: context.flag("sparse-checkout-cone-mode", true)?,
        lfs: context.flag("lfs", false)?,
    })
}

/// The name becomes a part of an address.
fn check_repository(repository: &str) -> Result<(), Failure> {
    let good = |part: &str| {
        !matches!(part, "" | "." | "..")
            && part.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    };
    match repository.split_once('/') {
        Some((owner, name)) if good(owner) && name.split('/').all(good) => Ok(()),
        _ => Err(Failure(format!("`{repository}` is no repository: expected OWNER/NAME"))),
    }
}

fn is_filled(folder: &Path) -> Result<bool, Failure> {
    match fs_err::read_dir(folder) {
        Ok(mut entries) => Ok(entries.next().is_some()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Failure::of("look at the folder", error)),
    }
}
