//! Names of images.

/// Returns whether `name` can be an image's: a path in lower case, a tag, a digest.
pub fn is_reference(name: &str) -> bool {
    let (name, digest) = match name.split_once('@') {
        Some((name, digest)) => (name, Some(digest)),
        None => (name, None),
    };
    let valid_digest = digest.is_none_or(|digest| {
        digest.split_once(':').is_some_and(|(kind, hash)| {
            !kind.is_empty()
                && hash.len() >= 32
                && hash.bytes().all(|byte| byte.is_ascii_hexdigit())
        })
    });
    let path_start = name.rfind('/').map_or(0, |at| at + 1);
    let (path, tag) = match name[path_start..].split_once(':') {
        Some((last, tag)) => (&name[..path_start + last.len()], Some(tag)),
        None => (name, None),
    };
    let valid_tag = tag.is_none_or(|tag| {
        (1..=128).contains(&tag.len())
            && !tag.starts_with(['.', '-'])
            && tag.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'))
    });
    let mut parts: Vec<&str> = path.split('/').collect();
    let host = parts.len() > 1
        && (parts[0].contains(['.', ':'])
            || parts[0] == "localhost"
            || parts[0].to_lowercase() != parts[0]);
    if host {
        let host = parts.remove(0);
        if host.is_empty()
            || !host.chars().all(|c| {
                c.is_ascii_alphanumeric() || matches!(c, '.' | ':' | '-' | '_' | '[' | ']')
            })
        {
            return false;
        }
    }
    let component = |part: &&str| {
        let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        part.starts_with(alphanumeric)
            && part.ends_with(alphanumeric)
            && part.chars().all(|c| alphanumeric(c) || matches!(c, '.' | '_' | '-'))
            && !part.contains("..")
            && !part.contains("___")
    };
    valid_digest && valid_tag && parts.iter().all(component)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_images_are_told_from_others() {
        for name in ["a", "a:1", "a/b:1.2_x-y", "x.y:5000/a/b", "localhost/a", "a__b", "a---b"] {
            assert!(is_reference(name), "{name}");
        }
        let digest = format!("a:1@sha256:{}", "0".repeat(64));
        assert!(is_reference(&digest));
        for name in ["", "A", "a:", "a:.x", "a/", "/a", "a..b", "a b", "a@sha256:0", "a/B", "-a"] {
            assert!(!is_reference(name), "{name}");
        }
    }
}
