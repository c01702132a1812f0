//! Names in layers: paths taken apart, and names that say that something was removed.

/// What begins the name of a whiteout.
pub(super) const WHITEOUT: &[u8] = b".wh.";
/// What begins the names that a file system of old used for itself.
const META: &[u8] = b".wh..wh.";
/// The name that says that nothing of the layers below is in its folder.
pub(super) const OPAQUE: &[u8] = b".wh..wh..opq";

/// The longest name that the kernel takes.
const MAX_NAME: usize = 255;

/// What a name in a layer means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Meaning<'a> {
    /// A file of the layer.
    Plain(&'a [u8]),
    /// That the file with this name is removed.
    Removed(&'a [u8]),
    /// That everything in its folder is removed.
    Opaque,
    /// Nothing any more.
    Ignored,
}

/// Returns what `name` means, or why it cannot be one.
pub(super) fn meaning(name: &[u8]) -> Result<Meaning<'_>, &'static str> {
    if name == OPAQUE {
        return Ok(Meaning::Opaque);
    }
    if name.starts_with(META) {
        return Ok(Meaning::Ignored);
    }
    match name.strip_prefix(WHITEOUT) {
        Some(b"" | b"." | b"..") => Err("a whiteout names no file"),
        Some(removed) => Ok(Meaning::Removed(removed)),
        None => Ok(Meaning::Plain(name)),
    }
}

/// A folder, and a name in it.
pub(super) type Place<'a> = (Vec<u8>, &'a [u8]);

/// Takes a path apart: its folder without leading, trailing and double slashes, and its name.
/// Nothing is returned for the root itself.
pub(super) fn split(path: &[u8]) -> Result<Option<Place<'_>>, &'static str> {
    let mut parts =
        path.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".");
    let mut folder: Vec<u8> = Vec::with_capacity(path.len());
    let mut name: Option<&[u8]> = None;
    for part in &mut parts {
        if part == b".." {
            return Err("its path leads out of the layer");
        }
        if part.len() > MAX_NAME {
            return Err("a name in its path is longer than 255 bytes");
        }
        if let Some(before) = name.replace(part) {
            if !folder.is_empty() {
                folder.push(b'/');
            }
            folder.extend_from_slice(before);
        }
    }
    Ok(name.map(|name| (folder, name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_taken_apart() {
        assert_eq!(split(b"./"), Ok(None));
        assert_eq!(split(b"/"), Ok(None));
        assert_eq!(split(b"a"), Ok(Some((Vec::new(), &b"a"[..]))));
        assert_eq!(split(b"/a//b/./c/"), Ok(Some((b"a/b".to_vec(), &b"c"[..]))));
        assert!(split(b"a/../../b").is_err());
        assert!(split(&[b'x'; 256]).is_err());
    }

    #[test]
    fn whiteouts_have_a_meaning() {
        assert_eq!(meaning(b"a"), Ok(Meaning::Plain(b"a")));
        assert_eq!(meaning(b".wh.a"), Ok(Meaning::Removed(b"a")));
        assert_eq!(meaning(b".wh..wh..opq"), Ok(Meaning::Opaque));
        assert_eq!(meaning(b".wh..wh.plnk"), Ok(Meaning::Ignored));
        assert_eq!(meaning(b".wh...a"), Ok(Meaning::Removed(b"..a")));
        assert!(meaning(b".wh...").is_err());
        assert!(meaning(b".wh.").is_err());
    }
}
