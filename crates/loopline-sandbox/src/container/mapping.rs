//! Which users of the host those inside a container are. For root everybody is who they are; for
//! anybody else root inside is themselves, and the others are of their range of subordinate users,
//! where they have one and `newuidmap` and `newgidmap` are there to give it to them.

use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;

use fs_err as fs;

use crate::sandbox::helper::map_users;

/// Maps the users of a process that waits for it in a new user namespace. Returns a note where
/// fewer are mapped than containers want.
pub(super) fn map(child: i32) -> io::Result<Option<String>> {
    let user = rustix::process::geteuid();
    if user.is_root() {
        return map_users(child, true).map(|()| None);
    }
    let name = account(user.as_raw());
    let users = range("/etc/subuid", user.as_raw(), name.as_deref());
    let groups = range("/etc/subgid", user.as_raw(), name.as_deref());
    let group = rustix::process::getegid().as_raw();
    let given = match (users, groups) {
        (Some(users), Some(groups)) => give("newuidmap", child, user.as_raw(), users)
            .and_then(|()| give("newgidmap", child, group, groups)),
        _ => Err(io::Error::other("/etc/subuid and /etc/subgid name no range of this user's")),
    };
    let Err(error) = given else { return Ok(None) };
    let file = |name: &str| Path::new("/proc").join(child.to_string()).join(name);
    fs::write(file("setgroups"), "deny")?;
    fs::write(file("uid_map"), format!("0 {user} 1", user = user.as_raw()))?;
    fs::write(file("gid_map"), format!("0 {group} 1"))?;
    Ok(Some(format!("root is the only user inside: {error}")))
}

/// Gives a process its own user as root and a range of subordinate ones, by the program that may.
fn give(program: &str, child: i32, own: u32, (first, count): (u32, u32)) -> io::Result<()> {
    let numbers = [0, own, 1, 1, first, count].map(|number| number.to_string());
    #[expect(clippy::disallowed_methods, reason = "a program of the system's that ends at once")]
    let status = std::process::Command::new(program)
        .arg(child.to_string())
        .args(numbers)
        .status()
        .map_err(|error| io::Error::new(error.kind(), format!("{program}: {error}")))?;
    if status.success() {
        return Ok(());
    }
    let code = status.code().or(status.signal()).unwrap_or_default();
    Err(io::Error::other(format!("{program} has ended with {code}")))
}

/// Returns the name of a user.
fn account(uid: u32) -> Option<String> {
    let text = fs::read_to_string("/etc/passwd").ok()?;
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    })
}

/// Returns the first range that a file gives to a user, by number or name.
fn range(file: &str, uid: u32, name: Option<&str>) -> Option<(u32, u32)> {
    first_range(&fs::read_to_string(file).ok()?, uid, name)
}

fn first_range(text: &str, uid: u32, name: Option<&str>) -> Option<(u32, u32)> {
    text.lines().find_map(|line| {
        let mut fields = line.trim().split(':');
        let whose = fields.next()?;
        if whose.parse() != Ok(uid) && Some(whose) != name {
            return None;
        }
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_found_by_name_and_by_number() {
        let text = "# ranges\nother:1:2\nme:100000:65536\n7:5:6\nme:1:1\n";
        assert_eq!(first_range(text, 1000, Some("me")), Some((100_000, 65536)));
        assert_eq!(first_range(text, 7, None), Some((5, 6)));
        assert_eq!(first_range(text, 8, Some("nobody")), None);
        assert_eq!(first_range("me:x:1", 1, Some("me")), None);
    }
}
