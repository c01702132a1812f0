//! The `owner/name` of a repository, read from its remote's address. No IO lives here.

use std::fmt;

/// A repository's owner and name as a forge shows them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slug {
    /// The owner; groups of GitLab are joined with `/`.
    pub owner: String,
    /// The name, without `.git`.
    pub name: String,
    /// The forge's host name, absent for folders.
    pub host: Option<String>,
}

impl fmt::Display for Slug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.owner, self.name)
    }
}

impl Slug {
    /// Reads `https://host/owner/name.git`, `ssh://git@host:22/owner/name` and
    /// `git@host:owner/name.git`; returns nothing for addresses of another shape, such as folders.
    #[must_use]
    pub fn from_url(url: &str) -> Option<Self> {
        let url = url.trim();
        let (authority, path) = match url.split_once("://") {
            Some(("https" | "http" | "ssh" | "git" | "git+ssh", rest)) => rest.split_once('/')?,
            Some(_) => return None,
            None => {
                let (authority, path) = url.split_once(':')?;
                if authority.contains('/') {
                    return None;
                }
                (authority, path)
            }
        };
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        let host = host.split_once(':').map_or(host, |(host, _)| host);
        let path = path.split(['?', '#']).next()?.trim_matches('/');
        let path = path.strip_suffix(".git").unwrap_or(path);
        let (owner, name) = path.rsplit_once('/')?;
        let whole = |part: &str| !part.is_empty() && part != "." && part != "..";
        if host.is_empty() || !whole(name) || !owner.split('/').all(whole) {
            return None;
        }
        Some(Self {
            owner: owner.to_owned(),
            name: name.to_owned(),
            host: Some(host.to_ascii_lowercase()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Slug;

    #[test]
    fn addresses_of_forges_and_other_things() {
        for (url, expected) in [
            ("https://github.com/acme/shop.git", Some("github.com acme/shop")),
            ("https://token@github.com/acme/shop", Some("github.com acme/shop")),
            ("https://u:p@GitHub.com:443/acme/shop/", Some("github.com acme/shop")),
            ("git@github.com:acme/shop.git", Some("github.com acme/shop")),
            (
                "ssh://git@gitlab.example:2222/group/sub/shop.git",
                Some("gitlab.example group/sub/shop"),
            ),
            ("gitlab.com:group/shop", Some("gitlab.com group/shop")),
            ("/srv/git/shop.git", None),
            ("../shop", None),
            ("./a:b/c", None),
            ("file:///srv/acme/shop.git", None),
            ("https://github.com/shop", None),
            ("https://github.com/acme/..", None),
            ("git@github.com:/acme//shop", None),
            ("", None),
        ] {
            let found = Slug::from_url(url)
                .map(|slug| format!("{} {slug}", slug.host.as_deref().unwrap_or("-")));
            assert_eq!(found.as_deref(), expected, "{url}");
        }
    }
}
