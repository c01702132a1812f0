//! `actions/upload-artifact` and `actions/download-artifact` (version 4 and later).

use std::io;
use std::path::{Component, Path, PathBuf};

use fs_err as fs;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use super::context::{Context, Failure};
use super::files;
use crate::glob::{GlobError, Globs};
use crate::leash::Leash;
use crate::services::disk;
use crate::services::storage::{Artifact, NewArtifact, StorageError};

const UPLOAD: &[&str] = &[
    "name",
    "path",
    "if-no-files-found",
    "retention-days",
    "compression-level",
    "overwrite",
    "include-hidden-files",
    "archive",
];
const DOWNLOAD: &[&str] = &[
    "name",
    "artifact-ids",
    "path",
    "pattern",
    "merge-multiple",
    "github-token",
    "repository",
    "run-id",
    "digest-mismatch",
];
/// How many days an artifact is kept at most (GitHub's limit).
const MAX_RETENTION_DAYS: i64 = 90;
/// How many bytes one artifact may unpack to.
const MAX_UNPACKED_BYTES: u64 = 50 * 1024 * 1024 * 1024;
/// The first version of download-artifact that puts a single artifact that was asked for by its
/// id into the folder itself.
const FIRST_FLAT_DOWNLOAD: u64 = 5;
/// The first version that fails where an artifact is not as it was stored.
const FIRST_STRICT_DOWNLOAD: u64 = 8;
const DEFAULT_NAME: &str = "artifact";

pub(super) fn upload(context: &mut Context<'_>) -> Result<(), Failure> {
    context.check_inputs(UPLOAD, &[])?;
    let archive = context.flag("archive", true)?;
    let mut name = match context.input("name") {
        "" => DEFAULT_NAME.to_owned(),
        name => name.to_owned(),
    };
    let hidden = context.flag("include-hidden-files", false)?;
    let overwrite = context.flag("overwrite", false)?;
    let level = match context.input("compression-level") {
        "" => 6,
        text => match text.parse::<i64>() {
            Ok(level @ 0..=9) => level,
            _ => return Err(Failure(format!("input `compression-level` is `{text}`, not 0 to 9"))),
        },
    };
    let expires = expiry(context)?;
    if context.lines("path").is_empty() {
        return Err(Failure("input `path` is needed".to_owned()));
    }
    let if_none = match context.input("if-no-files-found") {
        "" => "warn",
        known @ ("warn" | "error" | "ignore") => known,
        other => {
            return Err(Failure(format!(
                "input `if-no-files-found` is `{other}`, and must be `warn`, `error` or `ignore`"
            )));
        }
    }
    .to_owned();
    let (root, found) = search(context, hidden)?;
    if found.is_empty() {
        let text = format!(
            "No files were found with the provided path: {}. No artifacts will be uploaded.",
            context.lines("path").join(" ")
        );
        match if_none.as_str() {
            "error" => return Err(Failure(text)),
            "ignore" => context.log(&text),
            _ => context.log(&format!("::warning::{text}")),
        }
        return Ok(());
    }
    let mut mime_type = "application/zip";
    if !archive {
        let [one] = found.as_slice() else {
            return Err(Failure(format!(
                "with `archive: false` one file is stored as it is, and the path names {}",
                found.len()
            )));
        };
        name = one.file_name().unwrap_or_default().to_string_lossy().into_owned();
        // A zip archive stays one, so that downloading unpacks it, as with the original.
        if !name.to_ascii_lowercase().ends_with(".zip") {
            mime_type = "application/octet-stream";
        }
    }
    let failed = |error: &dyn std::fmt::Display| Failure::of(format!("store {name}"), error);
    let staging = context.artifacts.staging().map_err(|error| failed(&error))?;
    let file = staging.join("artifact.zip");
    let packed = match found.as_slice() {
        [one] if !archive => take_whole(context, one, &file),
        _ => pack(context, &root, &found, level, &file),
    };
    let stored = packed.and_then(|()| {
        let new = NewArtifact {
            run: context.run,
            job: context.job,
            name: &name,
            mime_type,
            expires: expires.as_deref(),
            overwrite,
        };
        context.artifacts.put(new, &file).map_err(|error| match error {
            StorageError::Exists(_) => Failure(format!(
                "an artifact with the name {name} already exists in this run; `overwrite: true` \
                 replaces it"
            )),
            error => failed(&error),
        })
    });
    // What cannot be removed now goes when the store is pruned.
    let _gone = fs::remove_dir_all(&staging);
    let artifact = stored?;
    (context.on_stored)(&artifact);
    context.log(&format!(
        "Artifact {name}: {} files, {} bytes, {}",
        found.len(),
        artifact.size_bytes,
        artifact.digest
    ));
    context.set("artifact-id", artifact.id.to_string());
    context.set("artifact-digest", artifact.digest.trim_start_matches("sha256:"));
    let server = context.env.get("GITHUB_SERVER_URL").cloned().unwrap_or_default();
    let repository = context.env.get("GITHUB_REPOSITORY").cloned().unwrap_or_default();
    let run = context.run.to_owned();
    let id = artifact.id;
    context.set("artifact-url", format!("{server}/{repository}/actions/runs/{run}/artifacts/{id}"));
    Ok(())
}

/// Copies the one file of an artifact that is no archive.
fn take_whole(context: &Context<'_>, path: &Path, file: &Path) -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::of(format!("store {}", path.display()), error);
    context.check_readable(path)?;
    let input = fs::File::open(path).map_err(failed)?;
    let mut out = fs::File::create(file).map_err(failed)?;
    io::copy(&mut context.leash.hold(input), &mut out).map_err(failed)?;
    Ok(())
}

fn expiry(context: &Context<'_>) -> Result<Option<String>, Failure> {
    let days = match context.input("retention-days") {
        "" | "0" => return Ok(None),
        text => text.parse::<i64>().map_err(|_| {
            Failure(format!("input `retention-days` is `{text}`, and must be a number"))
        })?,
    };
    if !(1..=MAX_RETENTION_DAYS).contains(&days) {
        return Err(Failure(format!(
            "input `retention-days` is {days}, and must be 1 to {MAX_RETENTION_DAYS}"
        )));
    }
    let now = context.clock.now();
    let then = now.as_second().saturating_add(days * 24 * 3600);
    Ok(loopline_clock::Timestamp::from_second(then).ok().map(|then| then.to_string()))
}

/// Returns the files to upload and the folder their names are relative to: the one pattern's
/// own folder, or what all of them have in common.
fn search(context: &Context<'_>, hidden: bool) -> Result<(PathBuf, Vec<PathBuf>), Failure> {
    let failed = |error| Failure::of("search for files", error);
    let globs =
        Globs::parse(context.input("path"), context.workspace, context.home).map_err(failed)?;
    let roots = globs.search_roots();
    // What is above the place a pattern searches is not looked at, as in the original.
    let is_hidden = |path: &Path| {
        roots.iter().filter(|root| path.starts_with(root)).all(|root| {
            path.strip_prefix(root.parent().unwrap_or(Path::new("/"))).is_ok_and(|inner| {
                inner.components().any(|part| part.as_os_str().to_string_lossy().starts_with('.'))
            })
        })
    };
    let mut found = Vec::new();
    globs
        .walk(true, |path, folder| {
            context.leash.check().map_err(GlobError::Ended)?;
            if !folder && (hidden || !is_hidden(path)) {
                found.push(path.to_path_buf());
            }
            Ok::<(), GlobError>(())
        })
        .map_err(failed)?;
    let root = match roots.as_slice() {
        [one] if found.len() == 1 && found[0] == *one => {
            one.parent().unwrap_or(Path::new("/")).to_path_buf()
        }
        [one] => one.clone(),
        several => common(several),
    };
    Ok((root, found))
}

fn common(paths: &[PathBuf]) -> PathBuf {
    let mut shared: Vec<Component<'_>> =
        paths.first().map(|path| path.components().collect()).unwrap_or_default();
    for path in &paths[1.min(paths.len())..] {
        let equal = shared.iter().zip(path.components()).take_while(|(a, b)| **a == *b).count();
        shared.truncate(equal);
    }
    shared.into_iter().collect()
}

fn pack(
    context: &Context<'_>,
    root: &Path,
    found: &[PathBuf],
    level: i64,
    file: &Path,
) -> Result<(), Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::of("pack the artifact", error);
    let out = fs::File::create(file).map_err(|error| failed(&error))?;
    let mut archive = ZipWriter::new(io::BufWriter::new(out));
    for path in found {
        context.leash.check().map_err(|error| failed(&error))?;
        context.check_readable(path)?;
        let mut input = fs::File::open(path).map_err(|error| failed(&error))?;
        let about = input.metadata().map_err(|error| failed(&error))?;
        if !about.is_file() {
            return Err(failed(&format!("{} is no file", path.display())));
        }
        let method =
            if level == 0 { CompressionMethod::Stored } else { CompressionMethod::Deflated };
        let options = SimpleFileOptions::default()
            .compression_method(method)
            .compression_level((level > 0).then_some(level))
            .large_file(about.len() >= u64::from(u32::MAX))
            .unix_permissions(0o644);
        // A single file or a folder that is a link can lie outside the common folder.
        let inner = path.strip_prefix(root).map_err(|error| failed(&error))?;
        let name: Vec<_> =
            inner.components().map(|part| part.as_os_str().to_string_lossy()).collect();
        archive.start_file(name.join("/"), options).map_err(|error| failed(&error))?;
        io::copy(&mut context.leash.hold(&mut input), &mut archive)
            .map_err(|error| failed(&error))?;
    }
    let out = archive.finish().map_err(|error| failed(&error))?;
    out.into_inner().map_err(|error| failed(&error))?;
    Ok(())
}

/// Downloads artifacts of the run; `major` is the version of the action that is stood for.
pub(super) fn download(context: &mut Context<'_>, major: u64) -> Result<(), Failure> {
    context.check_inputs(DOWNLOAD, &["skip-decompress"])?;
    let on_mismatch = match context.input("digest-mismatch") {
        "" if major >= FIRST_STRICT_DOWNLOAD => "error",
        "" => "warn",
        known @ ("ignore" | "info" | "warn" | "error") => known,
        other => {
            return Err(Failure(format!(
                "input `digest-mismatch` is `{other}`, and must be `ignore`, `info`, `warn` or \
                 `error`"
            )));
        }
    }
    .to_owned();
    let own = context.env.get("GITHUB_REPOSITORY").cloned().unwrap_or_default();
    let (repository, run) = (context.input("repository"), context.input("run-id"));
    if (!repository.is_empty() && repository != own) || (!run.is_empty() && run != context.run) {
        return Err(Failure(
            "artifacts of other runs and repositories are not here (inputs `run-id`, \
             `repository`)"
                .to_owned(),
        ));
    }
    let path = context.input("path").to_owned();
    let target = context.path(&path);
    let Some((_, root)) = context.root_of(&target) else {
        return Err(Failure(format!("the path `{path}` is outside the job's folders")));
    };
    let root = root.to_path_buf();
    let target = files::inside(&root, &target.to_string_lossy())?;
    let all = context
        .artifacts
        .list(context.run)
        .map_err(|error| Failure::of("list the artifacts", error))?;
    let merge = context.flag("merge-multiple", false)?;
    let (name, ids) = (context.input("name").to_owned(), context.input("artifact-ids"));
    let one_id = ids.split(',').filter(|id| !id.trim().is_empty()).count() == 1;
    let single = !name.is_empty() || (one_id && major >= FIRST_FLAT_DOWNLOAD);
    let wanted: Vec<Artifact> = if !name.is_empty() && !ids.is_empty() {
        return Err(Failure("inputs `name` and `artifact-ids` exclude each other".to_owned()));
    } else if !name.is_empty() {
        let found: Vec<_> = all.into_iter().filter(|artifact| artifact.name == name).collect();
        if found.is_empty() {
            return Err(Failure(format!(
                "Unable to download artifact(s): Artifact not found for name: {name}"
            )));
        }
        found
    } else if !ids.is_empty() {
        let ids: Vec<&str> = ids.split(',').map(str::trim).filter(|id| !id.is_empty()).collect();
        let found: Vec<_> =
            all.into_iter().filter(|a| ids.contains(&a.id.to_string().as_str())).collect();
        if found.len() != ids.len() {
            return Err(Failure("None or not all of the artifact ids were found".to_owned()));
        }
        found
    } else {
        let pattern = context.input("pattern").to_owned();
        all.into_iter()
            .filter(|artifact| pattern.is_empty() || wild(&pattern, &artifact.name))
            .collect()
    };
    context.log(&format!("Found {} artifact(s)", wanted.len()));
    for artifact in &wanted {
        check_digest(context, artifact, &on_mismatch)?;
        let folder = if single || merge { target.clone() } else { target.join(&artifact.name) };
        let count =
            unpack(&context.artifacts.file(artifact), artifact, &root, &folder, context.leash)?;
        context.log(&format!("Artifact {}: {count} files to {}", artifact.name, folder.display()));
    }
    context.set("download-path", target.to_string_lossy());
    Ok(())
}

/// Compares a stored artifact with what was noted of it when it was stored.
fn check_digest(
    context: &mut Context<'_>,
    artifact: &Artifact,
    on_mismatch: &str,
) -> Result<(), Failure> {
    if on_mismatch == "ignore" {
        return Ok(());
    }
    let found = disk::digest(&context.artifacts.file(artifact))
        .map_err(|error| Failure::of(format!("read the artifact {}", artifact.name), error))?;
    if found == artifact.digest {
        return Ok(());
    }
    let text = format!(
        "the artifact {} is not as it was stored: its digest is {found}, and was {}",
        artifact.name, artifact.digest
    );
    match on_mismatch {
        "error" => return Err(Failure(text)),
        "warn" => context.log(&format!("::warning::{text}")),
        _ => context.log(&text),
    }
    Ok(())
}

/// Returns whether a name matches a pattern of `*`, `?` and `{a,b}` (names have no slashes).
fn wild(pattern: &str, name: &str) -> bool {
    if let Some((before, rest)) = pattern.split_once('{')
        && let Some((inside, after)) = rest.split_once('}')
    {
        return inside.split(',').any(|choice| wild(&format!("{before}{choice}{after}"), name));
    }
    let (pattern, name): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n, mut star) = (0, 0, None);
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(char) if *char == '?' || *char == name[n] => {
                p += 1;
                n += 1;
            }
            _ => match star {
                Some((at, from)) => {
                    (p, n) = (at + 1, from + 1);
                    star = Some((at, from + 1));
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|char| *char == '*')
}

/// Unpacks the stored `file` of `artifact` into `folder`, which lies in `root`, and returns how
/// many files that were. Nothing is written outside `root`; the archive may be a hostile job's.
///
/// # Errors
/// [`Failure`].
pub fn unpack(
    file: &Path,
    artifact: &Artifact,
    root: &Path,
    folder: &Path,
    leash: &Leash<'_>,
) -> Result<u64, Failure> {
    let failed = |error: &dyn std::fmt::Display| {
        Failure::of(format!("unpack the artifact {}", artifact.name), error)
    };
    if artifact.mime_type != "application/zip" && artifact.mime_type != "zip" {
        let target = folder.join(&artifact.name);
        files::safe_parent(root, &target)?;
        fs::copy(file, &target).map_err(|error| failed(&error))?;
        return Ok(1);
    }
    let input = fs::File::open(file).map_err(|error| failed(&error))?;
    let mut archive = ZipArchive::new(io::BufReader::new(input)).map_err(|error| failed(&error))?;
    let (mut bytes, mut count) = (0_u64, 0);
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).map_err(|error| failed(&error))?;
        let Some(name) = entry.enclosed_name() else {
            return Err(failed(&format!("`{}` leads out of its folder", entry.name())));
        };
        let target = folder.join(name);
        files::safe_parent(root, &target)?;
        if entry.is_dir() {
            files::safe_parent(root, &target.join("x"))?;
            continue;
        }
        if fs::symlink_metadata(&target).is_ok_and(|about| !about.is_dir()) {
            fs::remove_file(&target).map_err(|error| failed(&error))?;
        }
        let mut out = fs::File::create(&target).map_err(|error| failed(&error))?;
        let mut limited = io::Read::take(leash.hold(&mut entry), MAX_UNPACKED_BYTES - bytes + 1);
        bytes += io::copy(&mut limited, &mut out).map_err(|error| failed(&error))?;
        if bytes > MAX_UNPACKED_BYTES {
            return Err(failed(&"it holds more than any artifact may"));
        }
        count += 1;
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, name, expected) in [
            ("*", "a", true),
            ("build-*", "build-1", true),
            ("build-*", "rebuild-1", false),
            ("*-{linux,mac}", "x-mac", true),
            ("a?c", "abc", true),
            ("a*b*c", "aXbYbZc", true),
            ("", "a", false),
        ] {
            assert_eq!(wild(pattern, name), expected, "{pattern} on {name}");
        }
    }

    #[test]
    fn common_folders() {
        let paths = |list: &[&str]| list.iter().map(PathBuf::from).collect::<Vec<_>>();
        assert_eq!(common(&paths(&["/w/a/b", "/w/a/c"])), Path::new("/w/a"));
        assert_eq!(common(&paths(&["/w/a"])), Path::new("/w/a"));
        assert_eq!(common(&paths(&[])), Path::new(""));
    }
}
