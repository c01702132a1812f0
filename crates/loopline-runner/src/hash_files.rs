//! The function `hashFiles`: one digest over the files that patterns find in the workspace.

use std::io::{self, Read as _};
use std::path::Path;
use std::time::Duration;

use fs_err as fs;
use loopline_clock::Clock;
use sha2::{Digest as _, Sha256};

use crate::glob::{GlobError, Globs};

/// How long one call may take; GitHub's runner has the same limit.
const TIME_LIMIT: Duration = Duration::from_secs(120);
/// How much of a file is read at once.
const CHUNK_BYTES: usize = 128 * 1024;
const FOLLOW_LINKS: &str = "--follow-symbolic-links";

/// Why there is no digest.
#[derive(Debug, thiserror::Error)]
pub enum HashError {
    /// The first argument is an option nobody knows.
    #[error("invalid glob option {0}, available option: '{FOLLOW_LINKS}'")]
    Option(String),
    /// It took too long.
    #[error("hashFiles did not finish within {} seconds", TIME_LIMIT.as_secs())]
    TooSlow,
    /// The patterns cannot be used, or a folder cannot be read.
    #[error(transparent)]
    Glob(#[from] GlobError),
    /// A file could not be read.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Returns the SHA-256 over the SHA-256 digests of the matching files inside `workspace`, in
/// lowercase hexadecimal digits, or an empty text where none matches.
///
/// # Errors
/// [`HashError`], each variant as it says.
pub fn hash_files(
    arguments: &[impl AsRef<str>],
    workspace: &Path,
    home: &Path,
    clock: &Clock,
) -> Result<String, HashError> {
    let mut patterns = arguments;
    let mut follow_links = false;
    if let Some(option) = arguments.first().filter(|first| first.as_ref().starts_with("--")) {
        if !option.as_ref().eq_ignore_ascii_case(FOLLOW_LINKS) {
            return Err(HashError::Option(option.as_ref().to_owned()));
        }
        follow_links = true;
        patterns = &arguments[1..];
    }
    let text = patterns.iter().map(AsRef::as_ref).collect::<Vec<_>>().join("\n");
    let globs = Globs::parse(&text, workspace, home)?;
    let deadline = clock.monotonic() + TIME_LIMIT;
    let mut all = Sha256::new();
    let mut any = false;
    let mut chunk = vec![0; CHUNK_BYTES];
    globs.walk(follow_links, |path, is_folder| {
        if is_folder || !path.starts_with(workspace) || fs::metadata(path).is_ok_and(|m| m.is_dir())
        {
            return Ok(());
        }
        let mut file = fs::File::open(path)?;
        let mut one = Sha256::new();
        loop {
            if clock.monotonic() > deadline {
                return Err(HashError::TooSlow);
            }
            match file.read(&mut chunk)? {
                0 => break,
                read => one.update(&chunk[..read]),
            }
        }
        all.update(one.finalize());
        any = true;
        Ok(())
    })?;
    if !any {
        return Ok(String::new());
    }
    Ok(all.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_over_digests_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::real();
        fs::write(folder.path().join("a"), "one").unwrap();
        fs::write(folder.path().join("b"), "two").unwrap();
        let hash = |arguments: &[&str]| {
            hash_files(arguments, folder.path(), folder.path(), &clock)
                .unwrap_or_else(|error| format!("error: {error}"))
        };
        // printf one | sha256sum | xxd -r -p; likewise two; both through sha256sum.
        let both = hash(&["a", "b"]);
        assert_eq!(both, hash(&["*"]));
        assert_eq!(both.len(), 64);
        assert_ne!(both, hash(&["a"]));
        assert_eq!(hash(&["--follow-symbolic-links", "*"]), both);
        assert_eq!(hash(&["nothing", "!b"]), "");
        assert_eq!(hash(&["/etc/passwd"]), "");
        assert_eq!(
            hash(&["--fast", "*"]),
            "error: invalid glob option --fast, available option: '--follow-symbolic-links'"
        );
    }
}
