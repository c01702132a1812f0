//! Follows the links of a path inside a root that is somewhere else, or several folders together.

use std::ffi::OsString;
use std::io;
use std::path::{Component, Path, PathBuf};

/// How many links one path may lead through, as in the kernel.
const LINKS: usize = 40;

/// Returns where a path from the root leads: links are followed as far as they exist, one at the end
/// only if asked, and what is missing stays as it is named. `read_link` says what a path is a link
/// to, if it is one; it is only asked for paths without links on the way, so that whoever answers
/// decides where the root is, and nothing leads out of it.
///
/// # Errors
/// Where there are more links than the kernel follows, and what `read_link` fails with.
pub fn follow_links(
    path: &Path,
    follow_last: bool,
    mut read_link: impl FnMut(&Path) -> io::Result<Option<PathBuf>>,
) -> io::Result<PathBuf> {
    let mut left: Vec<OsString> = components(path);
    let mut found = PathBuf::from("/");
    let mut links = 0;
    while let Some(name) = left.pop() {
        if name == ".." {
            found.pop();
            continue;
        }
        let next = found.join(&name);
        if !follow_last && left.is_empty() {
            return Ok(next);
        }
        match read_link(&next)? {
            None => found = next,
            Some(target) => {
                links += 1;
                if links > LINKS {
                    return Err(rustix::io::Errno::LOOP.into());
                }
                if target.is_absolute() {
                    found = PathBuf::from("/");
                }
                left.extend(components(&target));
            }
        }
    }
    Ok(found)
}

/// The names of a path, the last first.
fn components(path: &Path) -> Vec<OsString> {
    let names = path.components().filter_map(|it| match it {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    });
    let mut names: Vec<_> = names.collect();
    names.reverse();
    names
}
