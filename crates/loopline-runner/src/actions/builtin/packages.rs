//! The `cache` inputs of the `setup-*` actions: what package managers download, kept between runs.
//!
//! A job on the machine itself uses the machine's own folders, which need no restoring; a job in
//! a sandbox has a home of its own, and gets them from the store. Names, folders and patterns
//! are those of the originals.

use fs_err as fs;
use sha2::{Digest as _, Sha256};

use super::cache;
use super::context::{Context, Failure};
use crate::glob::{GlobError, Globs};

/// What one package manager keeps, and which files say what it needs.
pub(super) struct Manager {
    /// As the `cache` input names it.
    pub(super) name: &'static str,
    /// The folders it keeps things in.
    pub(super) folders: &'static [&'static str],
    /// The files that decide what is in them.
    pub(super) patterns: &'static [&'static str],
    /// Those that do where the first are not there.
    pub(super) fallback: &'static [&'static str],
}

pub(super) const NODE: &[Manager] = &[
    Manager {
        name: "npm",
        folders: &["~/.npm"],
        patterns: &["package-lock.json", "npm-shrinkwrap.json", "yarn.lock"],
        fallback: &[],
    },
    Manager {
        name: "yarn",
        folders: &["~/.cache/yarn", "~/.yarn/berry/cache"],
        patterns: &["yarn.lock"],
        fallback: &[],
    },
    Manager {
        name: "pnpm",
        folders: &["~/.local/share/pnpm/store"],
        patterns: &["pnpm-lock.yaml"],
        fallback: &[],
    },
];

pub(super) const PYTHON: &[Manager] = &[
    Manager {
        name: "pip",
        folders: &["~/.cache/pip"],
        patterns: &["**/requirements.txt"],
        fallback: &["**/pyproject.toml"],
    },
    Manager {
        name: "pipenv",
        folders: &["~/.local/share/virtualenvs"],
        patterns: &["**/Pipfile.lock"],
        fallback: &[],
    },
    Manager {
        name: "poetry",
        folders: &["~/.cache/pypoetry"],
        patterns: &["**/poetry.lock"],
        fallback: &[],
    },
];

pub(super) const JAVA: &[Manager] = &[
    Manager {
        name: "maven",
        folders: &["~/.m2/repository"],
        patterns: &["**/pom.xml"],
        fallback: &[],
    },
    Manager {
        name: "gradle",
        folders: &["~/.gradle/caches", "~/.gradle/wrapper"],
        patterns: &[
            "**/*.gradle*",
            "**/gradle-wrapper.properties",
            "buildSrc/**/Versions.kt",
            "buildSrc/**/Dependencies.kt",
            "gradle/*.versions.toml",
            "**/versions.properties",
        ],
        fallback: &[],
    },
    Manager {
        name: "sbt",
        folders: &["~/.ivy2/cache", "~/.sbt", "~/.cache/coursier"],
        patterns: &[
            "**/*.sbt",
            "**/project/build.properties",
            "**/project/**.scala",
            "**/project/**.sbt",
        ],
        fallback: &[],
    },
];

pub(super) const GO: &[Manager] = &[Manager {
    name: "go",
    folders: &["~/go/pkg/mod", "~/.cache/go-build"],
    patterns: &["go.sum"],
    fallback: &["go.mod"],
}];

/// Returns the manager that the `cache` input names, if any.
pub(super) fn named(
    context: &Context<'_>,
    known: &'static [Manager],
) -> Result<Option<&'static Manager>, Failure> {
    let name = context.input("cache");
    if name.is_empty() {
        return Ok(None);
    }
    let found = known.iter().find(|manager| manager.name == name);
    found.map(Some).ok_or_else(|| {
        let names: Vec<&str> = known.iter().map(|manager| manager.name).collect();
        Failure(format!("Caching for '{name}' is not supported; there is: {}", names.join(", ")))
    })
}

/// Restores what `manager` keeps, and notes that it is saved in the end; `prefix` begins the key,
/// `exact` says that another lock file's cache is of no use.
pub(super) fn restore(
    context: &mut Context<'_>,
    manager: &Manager,
    prefix: &str,
    exact: bool,
) -> Result<(), Failure> {
    let given = context.lines("cache-dependency-path");
    let own = |patterns: &[&str]| -> Vec<String> {
        patterns.iter().map(|pattern| (*pattern).to_owned()).collect()
    };
    let (mut patterns, may_fall_back) = match given.is_empty() {
        true => (own(manager.patterns), !manager.fallback.is_empty()),
        false => (given, false),
    };
    let mut files = search(context, &patterns)?;
    if files.is_empty() && may_fall_back {
        patterns = own(manager.fallback);
        files = search(context, &patterns)?;
    }
    if files.is_empty() {
        return Err(Failure(format!(
            "Dependencies lock file is not found in {}. Supported file patterns: {}",
            context.workspace.display(),
            patterns.join(",")
        )));
    }
    if !context.confined {
        context.log(&format!(
            "{}'s cache is the machine's own ({}) and needs no restoring.",
            manager.name,
            manager.folders.join(", ")
        ));
        return Ok(());
    }
    let mut hash = Sha256::new();
    for file in &files {
        context.check_readable(file)?;
        let bytes = fs::read(file)
            .map_err(|error| Failure::of(format!("read {}", file.display()), error))?;
        hash.update(Sha256::digest(bytes));
    }
    let hash: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    let arch = if cfg!(target_arch = "aarch64") { "arm64" } else { "x64" };
    let begin = format!("{prefix}-Linux-{arch}-{}-", manager.name);
    let key = format!("{begin}{hash}");
    let paths: Vec<String> = manager.folders.iter().map(|folder| (*folder).to_owned()).collect();
    let restore_keys = if exact { Vec::new() } else { vec![begin] };
    let found = cache::restore_paths(context, &paths, &key, &restore_keys, false)?;
    let hit = found.as_deref() == Some(key.as_str());
    context.set("cache-hit", if hit { "true" } else { "false" });
    cache::remember(context, &key, &paths.join("\n"), found.as_deref());
    Ok(())
}

fn search(context: &Context<'_>, patterns: &[String]) -> Result<Vec<std::path::PathBuf>, Failure> {
    let failed = |error| Failure::of("search for lock files", error);
    let globs =
        Globs::parse(&patterns.join("\n"), context.workspace, context.home).map_err(failed)?;
    let mut files = Vec::new();
    globs
        .walk(false, |path, folder| {
            context.leash.check().map_err(GlobError::Ended)?;
            if !folder {
                files.push(path.to_path_buf());
            }
            Ok::<(), GlobError>(())
        })
        .map_err(failed)?;
    files.sort();
    files.dedup();
    Ok(files)
}
