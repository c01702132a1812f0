//! Who a process of a container runs as: names and numbers looked up in the container's own
//! `/etc/passwd` and `/etc/group`, as Docker does it.

use std::path::{Path, PathBuf};

use fs_err as fs;

/// A user as the kernel knows it, with what the container's files say of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct User {
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) groups: Vec<u32>,
    pub(super) home: PathBuf,
}

/// Files of accounts larger than this are not looked at, in bytes.
const ACCOUNTS_BYTES: u64 = 16 * 1024 * 1024;

/// Looks up `user`, `uid`, `user:group` or `uid:gid`, with further groups by name or number.
///
/// # Errors
/// A sentence, where a name is in none of the files or a number is too large.
pub(super) fn look_up(root: &Path, asked: &str, groups: &[String]) -> Result<User, String> {
    let passwd = read(&root.join("etc/passwd"))?;
    let group = read(&root.join("etc/group"))?;
    resolve(&passwd, &group, asked, groups)
}

fn read(path: &Path) -> Result<String, String> {
    match fs::metadata(path) {
        Ok(it) if it.is_file() && it.len() <= ACCOUNTS_BYTES => {
            let text = fs::read(path).map_err(|error| error.to_string())?;
            Ok(String::from_utf8_lossy(&text).into_owned())
        }
        Ok(_) => Err(format!("{} is no file of at most {ACCOUNTS_BYTES} bytes", path.display())),
        Err(_) => Ok(String::new()),
    }
}

fn resolve(passwd: &str, group: &str, asked: &str, more: &[String]) -> Result<User, String> {
    let (user, own_group) = match asked.split_once(':') {
        Some((user, group)) => (user, Some(group).filter(|it| !it.is_empty())),
        None => (asked, None),
    };
    let user = if user.is_empty() { "0" } else { user };
    let accounts = || passwd.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let by_name = accounts().find(|fields| fields.first() == Some(&user) && fields.len() >= 6);
    let number = user.parse::<u32>().ok();
    let account = by_name.or_else(|| {
        let number = number?.to_string();
        accounts().find(|fields| fields.get(2) == Some(&number.as_str()) && fields.len() >= 6)
    });
    let field = |index: usize| {
        account.as_ref().and_then(|fields| fields.get(index)).and_then(|it| it.parse().ok())
    };
    let uid = match field(2).or(number) {
        Some(uid) => uid,
        None => return Err(format!("no user `{user}` in the container's /etc/passwd")),
    };
    let name = account.as_ref().and_then(|fields| fields.first().copied());
    let gid = match own_group {
        Some(asked) => group_number(group, asked)?,
        None => field(3).unwrap_or(0),
    };
    let mut groups = Vec::new();
    if own_group.is_none() {
        for line in group.lines() {
            let fields: Vec<_> = line.split(':').collect();
            let is_member = name.is_some_and(|name| {
                fields.get(3).is_some_and(|members| members.split(',').any(|it| it == name))
            });
            if is_member && let Some(Ok(number)) = fields.get(2).map(|it| it.parse::<u32>()) {
                groups.push(number);
            }
        }
    }
    for asked in more {
        groups.push(group_number(group, asked)?);
    }
    groups.sort_unstable();
    groups.dedup();
    let home = account
        .as_ref()
        .and_then(|fields| fields.get(5))
        .filter(|home| !home.is_empty())
        .map_or_else(|| PathBuf::from("/"), PathBuf::from);
    Ok(User { uid, gid, groups, home })
}

/// Looks up whom files belong to: `user`, `user:group` or numbers, in the texts of a container's
/// files of accounts. A user without a group has its own where it is named, and the number's
/// otherwise.
///
/// # Errors
/// A sentence, where a name is in neither text.
pub fn look_up_owner(passwd: &str, group: &str, asked: &str) -> Result<(u32, u32), String> {
    let user = resolve(passwd, group, asked, &[])?;
    let is_number = asked.parse::<u32>().is_ok();
    Ok((user.uid, if is_number { user.uid } else { user.gid }))
}

fn group_number(group: &str, asked: &str) -> Result<u32, String> {
    let by_name = group.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(asked)).then(|| fields.nth(1)?.parse().ok()).flatten()
    });
    by_name
        .or_else(|| asked.parse().ok())
        .ok_or_else(|| format!("no group `{asked}` in the container's /etc/group"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nnode:x:1000:1001::/home/node:/bin/sh\n\
                          42:x:7:8::/seven:/bin/sh\nbroken:x\n";
    const GROUP: &str = "root:x:0:\nnode:x:1001:\naudio:x:29:node,other\ndocker:x:999:other\n";

    fn user(asked: &str, more: &[&str]) -> Result<(u32, u32, Vec<u32>, String), String> {
        let more: Vec<_> = more.iter().map(|it| (*it).to_owned()).collect();
        let user = resolve(PASSWD, GROUP, asked, &more)?;
        Ok((user.uid, user.gid, user.groups, user.home.display().to_string()))
    }

    #[test]
    fn names_numbers_and_groups_are_looked_up_as_docker_does() {
        let own =
            |uid, gid, groups: &[u32], home: &str| Ok((uid, gid, groups.to_vec(), home.into()));
        assert_eq!(user("", &[]), own(0, 0, &[], "/root"));
        assert_eq!(user("node", &[]), own(1000, 1001, &[29], "/home/node"));
        assert_eq!(user("1000", &[]), own(1000, 1001, &[29], "/home/node"));
        // A group that is named leaves only that one.
        assert_eq!(user("node:root", &[]), own(1000, 0, &[], "/home/node"));
        assert_eq!(user("node:55", &["docker", "7"]), own(1000, 55, &[7, 999], "/home/node"));
        // Nobody's number has group 0 and no home; a name that is a number is a name first.
        assert_eq!(user("5000", &[]), own(5000, 0, &[], "/"));
        assert_eq!(user("42", &[]), own(7, 8, &[], "/seven"));
        assert_eq!(
            user("ghost", &[]),
            Err("no user `ghost` in the container's /etc/passwd".to_owned())
        );
        assert_eq!(
            user("node:ghosts", &[]),
            Err("no group `ghosts` in the container's /etc/group".to_owned())
        );
        assert!(user("broken", &[]).is_err());
    }
}
