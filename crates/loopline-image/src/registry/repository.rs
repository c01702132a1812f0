//! A repository of a registry: which of the store's blobs it has, and under which names.
//!
//! ```text
//! repositories/NAME/_manifests/HEX    a manifest: its media type
//! repositories/NAME/_blobs/HEX        a blob; empty
//! repositories/NAME/_tags/TAG         a tag: a descriptor
//! repositories/NAME/_referrers/HEX/M  manifest M refers to HEX: its descriptor
//! ```

use std::io;
use std::time::Duration;

use fs_err as fs;
use loopline_clock::Timestamp;

use crate::digest::Digest;
use crate::store::{Store, StoreError};

/// The folder of a repository's manifests.
pub(crate) const MANIFESTS: &str = "_manifests";
/// The folder of a repository's blobs.
pub(crate) const BLOBS: &str = "_blobs";

/// How long a blob is kept that no manifest leads to: its manifest may be on its way.
pub(crate) const GRACE: Duration = Duration::from_secs(24 * 60 * 60);

/// Returns what collections keep for the repositories of `store`: manifests, and blobs that were
/// pushed or asked for within [`GRACE`]. Marks of older blobs that nothing leads to stay; a
/// registry looks for the blob as well.
pub(crate) fn roots(store: &Store) -> Result<Vec<Digest>, StoreError> {
    let mut roots = Vec::new();
    let now = store.clock().now();
    for (_, folder) in crate::store::repositories(&store.path("repositories"))? {
        for (digest, _) in entries(&folder.join(MANIFESTS))? {
            roots.push(digest);
        }
        for (digest, modified) in entries(&folder.join(BLOBS))? {
            let age = Duration::try_from(now - modified).unwrap_or_default();
            if age <= GRACE {
                roots.push(digest);
            }
        }
    }
    Ok(roots)
}

/// Returns the digests that are file names in `folder`, with the files' times.
fn entries(folder: &std::path::Path) -> io::Result<Vec<(Digest, Timestamp)>> {
    let mut found = Vec::new();
    let listed = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
        other => other?,
    };
    for entry in listed {
        let entry = entry?;
        let name = entry.file_name();
        let Some(Ok(digest)) = name.to_str().map(Digest::from_hex) else { continue };
        let modified = match entry.metadata() {
            // It was deleted meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            other => other?.modified()?,
        };
        found.push((digest, Timestamp::try_from(modified).unwrap_or(Timestamp::MAX)));
    }
    Ok(found)
}
