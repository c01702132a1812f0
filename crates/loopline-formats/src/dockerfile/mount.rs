//! `RUN --mount=type=cache,target=/root/.cache`: one line of comma-separated fields.

use super::word;

/// A mount of one `RUN`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mount {
    /// What is mounted.
    pub kind: Kind,
    /// The stage or image it comes from.
    pub from: Option<String>,
    /// The path in there; for a secret its id.
    pub source: Option<String>,
    /// Where it is mounted.
    pub target: Option<String>,
    /// Whether it cannot be written to.
    pub read_only: bool,
    /// The largest size, in bytes (`tmpfs`).
    pub size_bytes: Option<u64>,
    /// `id`: of the cache, the secret or the agent.
    pub id: Option<String>,
    /// Who may use the cache at the same time.
    pub sharing: Sharing,
    /// Whether the build fails without the secret or agent.
    pub required: bool,
    /// The mode of the secret, socket or cache folder.
    pub mode: Option<u32>,
    /// The owner of the secret, socket or cache folder.
    pub uid: Option<u32>,
    /// The group of the secret, socket or cache folder.
    pub gid: Option<u32>,
    /// `env`: the variable that holds the secret.
    pub env: Option<String>,
}

/// What is mounted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "they are the words of the format")]
pub enum Kind {
    #[default]
    Bind,
    Cache,
    Tmpfs,
    Secret,
    Ssh,
}

impl Kind {
    const ALL: [(&'static str, Self); 5] = [
        ("bind", Self::Bind),
        ("cache", Self::Cache),
        ("tmpfs", Self::Tmpfs),
        ("secret", Self::Secret),
        ("ssh", Self::Ssh),
    ];

    /// Returns the word of the format.
    pub fn name(self) -> &'static str {
        Self::ALL.into_iter().find(|(_, kind)| *kind == self).map_or("bind", |(name, _)| name)
    }
}

/// Who may use a cache at the same time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "they are the words of the format")]
pub enum Sharing {
    #[default]
    Shared,
    Private,
    Locked,
}

/// Why a text is no mount. The wording is BuildKit's.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum Error {
    #[error("failed to parse csv mounts: {0}")]
    Csv(&'static str),
    #[error("invalid field '{0}' must be a key=value pair")]
    NoValue(String),
    #[error("unexpected key '{key}' in '{field}'{}", .nearest.map(|nearest| format!(" (did you mean {nearest}?)")).unwrap_or_default())]
    UnknownKey { key: String, field: String, nearest: Option<&'static str> },
    #[error("unexpected key '{key}' for mount type '{kind}'")]
    KeyForKind { key: String, kind: &'static str },
    #[error("'{0}' doesn't support variable expansion, define alias stage instead")]
    Expansion(String),
    #[error("unsupported mount type {value:?}{}", .nearest.map(|nearest| format!(" (did you mean {nearest}?)")).unwrap_or_default())]
    UnknownKind { value: String, nearest: Option<&'static str> },
    #[error("unsupported sharing value {0:?}")]
    UnknownSharing(String),
    #[error("invalid value for {key}: {value}")]
    Value { key: String, value: String },
    #[error("invalid value {value} for {key}")]
    Number { key: String, value: String },
    #[error("{key} not allowed for {kind:?} type mounts")]
    FileInformation { key: &'static str, kind: &'static str },
    #[error("secret mount should not have a from")]
    SecretFrom,
    #[error("secret mount should not define sharing")]
    SecretSharing,
    #[error("invalid secret mount. one of source, target required")]
    SecretSource,
    #[error("both source and id can't be set")]
    SecretSourceAndId,
    #[error("invalid cache sharing set for {0} mount")]
    SharingForKind(&'static str),
    #[error(transparent)]
    Word(#[from] word::Error),
}

/// The keys that exist.
const KEYS: [&str; 19] = [
    "type",
    "from",
    "source",
    "src",
    "target",
    "dst",
    "destination",
    "readonly",
    "ro",
    "readwrite",
    "rw",
    "required",
    "size",
    "id",
    "sharing",
    "mode",
    "uid",
    "gid",
    "env",
];

/// Checks a mount before the values of variables are known: everything, if it has none.
pub(super) fn check(text: &str) -> Result<(), Error> {
    let fields = fields(text)?;
    for field in &fields {
        if let Some((key, value)) = field.split_once('=')
            && key.eq_ignore_ascii_case("from")
            && value.find('$').is_some_and(|at| at + 1 < value.len())
        {
            return Err(Error::Expansion(key.to_ascii_lowercase()));
        }
    }
    if text.contains('$') {
        return Ok(());
    }
    parse(text, &mut |value| Ok(value.to_owned())).map(drop)
}

/// Returns the `from` of a mount, which takes no variables; the last one counts.
pub(super) fn from(text: &str) -> Option<String> {
    let fields = fields(text).ok()?;
    let mut values = fields.iter().filter_map(|field| field.split_once('='));
    let found = values.rfind(|(key, _)| key.eq_ignore_ascii_case("from"));
    found.map(|(_, value)| value.to_owned()).filter(|value| !value.is_empty())
}

/// Reads a mount; `expand` gives values their variables.
///
/// # Errors
/// [`Error`], each variant as its message says.
pub fn parse(
    text: &str,
    expand: &mut dyn FnMut(&str) -> Result<String, word::Error>,
) -> Result<Mount, Error> {
    let mut mount = Mount::default();
    let mut read_only = None;
    let mut sharing = None;
    for field in fields(text)? {
        let (key, value) = match field.split_once('=') {
            Some((key, value)) => (key.to_lowercase(), Some(expand(value)?)),
            None => (field.to_lowercase(), None),
        };
        let flag = matches!(key.as_str(), "readonly" | "ro" | "readwrite" | "rw" | "required");
        let value = match value {
            Some(value) => value,
            None if flag => "true".to_owned(),
            None => return Err(Error::NoValue(field)),
        };
        let only_for = |allowed: &[Kind], mount: &Mount| {
            if allowed.contains(&mount.kind) {
                return Ok(());
            }
            Err(Error::KeyForKind { key: key.clone(), kind: mount.kind.name() })
        };
        let number = |radix| {
            u32::from_str_radix(&value, radix)
                .map(Some)
                .map_err(|_| Error::Number { key: key.clone(), value: value.clone() })
        };
        match key.as_str() {
            "type" => mount.kind = kind(&value)?,
            "from" => mount.from = Some(value),
            "source" | "src" => mount.source = Some(value),
            "target" | "dst" | "destination" => mount.target = Some(value),
            "readonly" | "ro" => read_only = Some(boolean(&key, &value)?),
            "readwrite" | "rw" => read_only = Some(!boolean(&key, &value)?),
            "required" => {
                only_for(&[Kind::Secret, Kind::Ssh], &mount)?;
                mount.required = boolean(&key, &value)?;
            }
            "size" => {
                only_for(&[Kind::Tmpfs], &mount)?;
                let bytes = bytes(&value).ok_or(Error::Value { key, value })?;
                mount.size_bytes = Some(bytes);
            }
            "id" => mount.id = Some(value),
            "env" => {
                only_for(&[Kind::Secret], &mount)?;
                mount.env = Some(value);
            }
            "sharing" => {
                sharing = Some(match value.to_lowercase().as_str() {
                    "shared" => Sharing::Shared,
                    "private" => Sharing::Private,
                    "locked" => Sharing::Locked,
                    _ => return Err(Error::UnknownSharing(value)),
                });
            }
            "mode" => mount.mode = number(8)?,
            "uid" => mount.uid = number(10)?,
            "gid" => mount.gid = number(10)?,
            _ => {
                let nearest = loopline_diagnostic::nearest(&key, &KEYS);
                return Err(Error::UnknownKey { key, field, nearest });
            }
        }
    }
    let kind = mount.kind;
    mount.read_only = read_only.unwrap_or(!matches!(kind, Kind::Cache | Kind::Tmpfs));
    mount.sharing = sharing.unwrap_or_default();
    validate(&mount, sharing.is_some())?;
    Ok(mount)
}

fn validate(mount: &Mount, sharing: bool) -> Result<(), Error> {
    let kind = mount.kind.name();
    if !matches!(mount.kind, Kind::Secret | Kind::Ssh | Kind::Cache) {
        for (key, set) in [
            ("mode", mount.mode.is_some()),
            ("uid", mount.uid.is_some()),
            ("gid", mount.gid.is_some()),
        ] {
            if set {
                return Err(Error::FileInformation { key, kind });
            }
        }
    }
    let set = |value: &Option<String>| value.as_deref().is_some_and(|value| !value.is_empty());
    if mount.kind == Kind::Secret {
        if set(&mount.from) {
            return Err(Error::SecretFrom);
        }
        if sharing {
            return Err(Error::SecretSharing);
        }
        if !set(&mount.source) && !set(&mount.target) && !set(&mount.id) && !set(&mount.env) {
            return Err(Error::SecretSource);
        }
        if set(&mount.source) && set(&mount.id) {
            return Err(Error::SecretSourceAndId);
        }
    }
    if sharing && mount.kind != Kind::Cache {
        return Err(Error::SharingForKind(kind));
    }
    Ok(())
}

fn kind(value: &str) -> Result<Kind, Error> {
    let lower = value.to_lowercase();
    Kind::ALL.into_iter().find(|(name, _)| *name == lower).map(|(_, kind)| kind).ok_or_else(|| {
        let nearest = loopline_diagnostic::nearest(&lower, &Kind::ALL.map(|(name, _)| name));
        Error::UnknownKind { value: value.to_owned(), nearest }
    })
}

/// Reads the words Go takes for a boolean.
fn boolean(key: &str, value: &str) -> Result<bool, Error> {
    match value {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(Error::Value { key: key.to_owned(), value: value.to_owned() }),
    }
}

/// Reads a size as Docker writes memory: `64m`, `1.5GiB`, `1024`.
fn bytes(text: &str) -> Option<u64> {
    let split = text.rfind(|c: char| c.is_ascii_digit() || c == '.')? + 1;
    let (number, unit) = text.split_at(split);
    let number: f64 = number.trim().parse().ok().filter(|number: &f64| *number >= 0.0)?;
    let unit = unit.trim_start().to_ascii_lowercase();
    let power = match unit.trim_end_matches('b').trim_end_matches('i') {
        "" if unit.len() <= 1 => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        "p" => 5,
        _ => return None,
    };
    let bytes = number * 1024_f64.powi(power);
    // Larger sizes than a kernel counts are a slip.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked to be in range on the same line"
    )]
    (bytes < 9.0e18).then_some(bytes as u64)
}

/// Splits one line of comma-separated values; quotes hold commas.
fn fields(text: &str) -> Result<Vec<String>, Error> {
    let mut fields = Vec::new();
    let mut rest = text;
    loop {
        if let Some(quoted) = rest.strip_prefix('"') {
            let mut field = String::new();
            let mut inner = quoted;
            loop {
                let end = inner
                    .find('"')
                    .ok_or(Error::Csv("extraneous or missing \" in quoted-field"))?;
                field.push_str(&inner[..end]);
                inner = &inner[end + 1..];
                let Some(more) = inner.strip_prefix('"') else { break };
                field.push('"');
                inner = more;
            }
            fields.push(field);
            match inner.strip_prefix(',') {
                Some(after) => rest = after,
                None if inner.is_empty() => return Ok(fields),
                None => return Err(Error::Csv("extraneous or missing \" in quoted-field")),
            }
            continue;
        }
        let end = rest.find(',').unwrap_or(rest.len());
        let field = &rest[..end];
        if field.contains('"') {
            return Err(Error::Csv("bare \" in non-quoted field"));
        }
        fields.push(field.to_owned());
        match rest.get(end + 1..) {
            Some(after) => rest = after,
            None if text.is_empty() => return Err(Error::Csv("EOF")),
            None => return Ok(fields),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Mount, String> {
        parse(text, &mut |value| Ok(value.to_owned())).map_err(|error| error.to_string())
    }

    #[test]
    fn mounts_are_read() {
        let cache = read("type=cache,target=/c,sharing=locked,id=x,mode=0700,uid=1,gid=2");
        assert_eq!(
            cache,
            Ok(Mount {
                kind: Kind::Cache,
                target: Some("/c".into()),
                id: Some("x".into()),
                sharing: Sharing::Locked,
                mode: Some(0o700),
                uid: Some(1),
                gid: Some(2),
                ..Mount::default()
            })
        );
        let bind = read("from=base,src=/a,\"dst=/b,c\",rw").expect("a mount");
        assert_eq!((bind.target.as_deref(), bind.read_only), (Some("/b,c"), false));
        assert!(read("target=/a").expect("a mount").read_only);
        assert_eq!(read("type=tmpfs,size=64m").expect("a mount").size_bytes, Some(64 << 20));
        assert!(read("type=secret,id=a,required").expect("a mount").required);
        assert_eq!(read("TYPE=SSH").expect("a mount").kind, Kind::Ssh);
    }

    #[test]
    fn mistakes_have_the_builders_words() {
        for (text, message) in [
            ("", "failed to parse csv mounts: EOF"),
            ("type=cach", "unsupported mount type \"cach\" (did you mean cache?)"),
            ("type=cache,targt=/x", "unexpected key 'targt' in 'targt=/x' (did you mean target?)"),
            ("type=cache,x", "invalid field 'x' must be a key=value pair"),
            ("type=bind,required", "unexpected key 'required' for mount type 'bind'"),
            ("type=cache,sharing=x", "unsupported sharing value \"x\""),
            ("type=cache,ro=maybe", "invalid value for ro: maybe"),
            ("type=cache,uid=x", "invalid value x for uid"),
            ("uid=1", "uid not allowed for \"bind\" type mounts"),
            ("type=secret", "invalid secret mount. one of source, target required"),
            ("type=secret,src=a,id=b", "both source and id can't be set"),
            ("type=tmpfs,sharing=shared", "invalid cache sharing set for tmpfs mount"),
            ("type=tmpfs,size=x", "invalid value for size: x"),
        ] {
            assert_eq!(read(text), Err(message.to_owned()), "{text}");
        }
    }
}
