//! What names mean: a reference leads to a manifest, an alias to another reference.

use std::io;
use std::path::{Path, PathBuf};

use fs_err as fs;
use oci_spec::image::Descriptor;
use serde::{Deserialize, Serialize};

use super::{Item, Lease, Store, StoreError, make_private, sync_folder, write_whole};
use crate::digest::Digest;
use crate::reference::{Reference, is_tag};

/// The folder of a repository's tags; no part of a repository's name begins so.
pub(crate) const TAGS: &str = "_tags";
/// How often a folder may be taken away while a name is written into it.
const MAX_TRIES: usize = 16;
/// How far aliases lead.
const MAX_ALIASES: usize = 8;

/// What a name means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Target {
    /// Another name, for an image that is here under it.
    Alias {
        /// The other name.
        alias: String,
    },
    /// A manifest or an index of manifests.
    Manifest(Box<Descriptor>),
}

/// A name and what it means.
#[derive(Clone, Debug)]
pub struct Named {
    /// The name.
    pub reference: Reference,
    /// What it means.
    pub target: Target,
}

impl Store {
    /// Says what `reference` means, aliases followed; nothing where it is not known here. A
    /// digest beside a tag must agree.
    ///
    /// # Errors
    /// [`StoreError::AliasLoop`]; [`StoreError::Damaged`].
    pub fn look_up(&self, reference: &Reference) -> Result<Option<Descriptor>, StoreError> {
        let mut reference = reference.clone();
        for _ in 0..MAX_ALIASES {
            match self.target(&reference)? {
                None => return Ok(None),
                Some(Target::Manifest(descriptor)) => {
                    let differs = reference
                        .digest()
                        .is_some_and(|digest| digest.as_str() != descriptor.digest().as_ref());
                    return Ok((!differs).then_some(*descriptor));
                }
                Some(Target::Alias { alias }) => reference = alias.parse()?,
            }
        }
        Err(StoreError::AliasLoop(reference.familiar()))
    }

    /// Says what `reference` itself means.
    ///
    /// # Errors
    /// [`StoreError::Damaged`]; [`StoreError::Io`].
    pub fn target(&self, reference: &Reference) -> Result<Option<Target>, StoreError> {
        read_target(&self.tags(reference).join(file_name(reference)))
    }

    /// Lets `reference` lead to a manifest that `lease` holds.
    ///
    /// # Errors
    /// [`StoreError::NoBlob`] where the manifest is not here; [`StoreError::Io`].
    pub fn set(
        &self,
        reference: &Reference,
        descriptor: &Descriptor,
        lease: &Lease,
    ) -> Result<(), StoreError> {
        let digest = Digest::try_from(descriptor.digest())?;
        lease.hold(&Item::Blob(digest.clone()))?;
        if self.blob_size(&digest)?.is_none() {
            return Err(StoreError::NoBlob(digest));
        }
        // The blobs' names are on the disk before the name that leads to them.
        sync_folder(&self.path("blobs/sha256"))?;
        self.write_target(reference, &Target::Manifest(Box::new(descriptor.clone())))
    }

    /// Lets `reference` mean what `other` means.
    ///
    /// # Errors
    /// [`StoreError::NoImage`] where `other` means nothing; [`StoreError::AliasLoop`].
    pub fn set_alias(&self, reference: &Reference, other: &Reference) -> Result<(), StoreError> {
        let before = self.target(reference)?;
        self.write_target(reference, &Target::Alias { alias: other.to_string() })?;
        let sound = match self.look_up(reference) {
            Ok(Some(_)) => return Ok(()),
            Ok(None) => StoreError::NoImage(other.familiar()),
            Err(error) => error,
        };
        match before {
            Some(before) => self.write_target(reference, &before)?,
            None => drop(self.remove_name(reference)?),
        }
        Err(sound)
    }

    fn write_target(&self, reference: &Reference, target: &Target) -> Result<(), StoreError> {
        let folder = self.tags(reference);
        let bytes = serde_json::to_vec(target).map_err(io::Error::other)?;
        let _no_collection = self.begin_use()?;
        let mut tries = 0;
        loop {
            make_private(&folder)?;
            match write_whole(&folder.join(file_name(reference)), &bytes, self.clock()) {
                // Whoever removed another name has just taken the empty folder away.
                Err(error) if is_absent(&error) && tries < MAX_TRIES => tries += 1,
                other => return Ok(other?),
            }
        }
    }

    /// Forgets a name; says whether it was known.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn remove_name(&self, reference: &Reference) -> Result<bool, StoreError> {
        let folder = self.tags(reference);
        let _no_collection = self.begin_use()?;
        match fs::remove_file(folder.join(file_name(reference))) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            other => other?,
        }
        sync_folder(&folder)?;
        // Empty folders go; one that is not empty stays, as does what another process just made.
        let top = self.path("references");
        let mut empty = folder.as_path();
        while empty != top && std::fs::remove_dir(empty).is_ok() {
            let Some(parent) = empty.parent() else { break };
            empty = parent;
        }
        Ok(true)
    }

    /// Returns all names, sorted.
    ///
    /// # Errors
    /// [`StoreError::Damaged`]; [`StoreError::Io`].
    pub fn names(&self) -> Result<Vec<Named>, StoreError> {
        let top = self.path("references");
        let mut named = Vec::new();
        for (name, folder) in repositories(&top)? {
            for file in names_in(&folder, |file| is_tag(file) || file.starts_with('@'))? {
                let Some(target) = read_target(&folder.join(TAGS).join(&file))? else { continue };
                let reference: Reference = match file.strip_prefix('@') {
                    Some(hex) => format!("{name}@sha256:{hex}"),
                    None => format!("{name}:{file}"),
                }
                .parse()?;
                named.push(Named { reference, target });
            }
        }
        named.sort_by(|a, b| a.reference.cmp(&b.reference));
        Ok(named)
    }

    fn tags(&self, reference: &Reference) -> PathBuf {
        self.path("references").join(reference.registry()).join(reference.repository()).join(TAGS)
    }
}

/// Reads what a name means, from its file.
pub(crate) fn read_target(path: &Path) -> Result<Option<Target>, StoreError> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|error| StoreError::Damaged { path: path.to_owned(), why: error.to_string() }),
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Says whether an error means that there is no such name.
pub(crate) fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Returns the repositories below `top`, with their folders.
pub(crate) fn repositories(top: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let mut found = Vec::new();
    let mut open = vec![(String::new(), top.to_path_buf())];
    while let Some((name, folder)) = open.pop() {
        let entries = match fs::read_dir(&folder) {
            Err(error) if is_absent(&error) => continue,
            other => other?,
        };
        let mut is_repository = false;
        for entry in entries {
            let entry = entry?;
            let Ok(part) = entry.file_name().into_string() else { continue };
            if part.starts_with('_') {
                is_repository = true;
            } else if !part.starts_with('.') && entry.file_type()?.is_dir() {
                let inside = if name.is_empty() { part.clone() } else { format!("{name}/{part}") };
                open.push((inside, folder.join(part)));
            }
        }
        if is_repository && !name.is_empty() {
            found.push((name, folder));
        }
    }
    found.sort();
    Ok(found)
}

/// Returns the tags of the repository in `folder`, sorted.
pub(crate) fn tags_in(folder: &Path) -> io::Result<Vec<String>> {
    names_in(folder, is_tag)
}

/// Returns the file that says what a reference means: its tag, or `@` and the digits of its
/// digest where it has nothing else.
fn file_name(reference: &Reference) -> String {
    match (reference.tag(), reference.digest()) {
        (Some(tag), _) => tag.to_owned(),
        (None, Some(digest)) => format!("@{}", digest.hex()),
        // No reference has neither.
        (None, None) => "latest".to_owned(),
    }
}

fn names_in(folder: &Path, is_name: impl Fn(&str) -> bool) -> io::Result<Vec<String>> {
    let mut tags = Vec::new();
    let entries = match fs::read_dir(folder.join(TAGS)) {
        Err(error) if is_absent(&error) => return Ok(tags),
        other => other?,
    };
    for entry in entries {
        if let Ok(tag) = entry?.file_name().into_string()
            && is_name(&tag)
        {
            tags.push(tag);
        }
    }
    tags.sort();
    Ok(tags)
}
