//! Credentials, where Docker keeps them: `config.json` and the programs that it names.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use fs_err as fs;
use serde::Deserialize;

/// The largest configuration file.
const MAX_BYTES: u64 = 4 * 1024 * 1024;
/// What Docker calls its own registry.
const DOCKER_KEY: &str = "https://index.docker.io/v1/";
/// The user's name that says that the secret is a token.
const TOKEN_USER: &str = "<token>";

/// Docker writes padding, other programs do not always.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Who the user is at a registry.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    /// A name and a password.
    Password {
        /// The name.
        user: String,
        /// The password.
        password: String,
    },
    /// A token that others are given for.
    Identity(String),
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Password { user, .. } => write!(f, "Password({user})"),
            Self::Identity(_) => f.write_str("Identity"),
        }
    }
}

/// Why credentials cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The file is not what Docker writes.
    #[error("{}: {why}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A program that keeps credentials failed.
    #[error("ask `{program}`, which {} names, for the login at {registry}: {why}", path.display())]
    Helper {
        /// The program.
        program: String,
        /// The file.
        path: PathBuf,
        /// Whose login was asked for.
        registry: String,
        /// What happened.
        why: String,
    },
}

/// Starts a credential helper with one argument, gives it `input` and returns whether it succeeded
/// and what it printed. Whoever owns processes implements it.
pub trait RunHelper: Send + Sync {
    /// Runs the program to its end.
    ///
    /// # Errors
    /// Where it cannot be started.
    fn run(&self, program: &str, argument: &str, input: &[u8]) -> io::Result<(bool, Vec<u8>)>;
}

/// Docker's configuration, as far as it is about credentials.
#[derive(Clone)]
pub struct DockerConfig {
    path: PathBuf,
    file: File,
    helpers: Option<Arc<dyn RunHelper>>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct File {
    auths: HashMap<String, Auth>,
    cred_helpers: HashMap<String, String>,
    creds_store: Option<String>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct Auth {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
}

/// What a helper prints.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Kept {
    username: String,
    secret: String,
}

impl std::fmt::Debug for DockerConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DockerConfig({})", self.path.display())
    }
}

impl DockerConfig {
    /// Reads the file at `path`; nobody is known anywhere if there is none.
    ///
    /// # Errors
    /// [`ConfigError::Syntax`]; [`ConfigError::Io`].
    pub fn read(path: &Path, helpers: Option<Arc<dyn RunHelper>>) -> Result<Self, ConfigError> {
        use std::io::Read as _;
        let mut bytes = Vec::new();
        match fs::File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => bytes.extend(b"{}"),
            other => drop(other?.take(MAX_BYTES).read_to_end(&mut bytes)?),
        }
        let file = serde_json::from_slice(&bytes).map_err(|error| ConfigError::Syntax {
            path: path.to_owned(),
            why: error.to_string(),
        })?;
        Ok(Self { path: path.to_owned(), file, helpers })
    }

    /// Returns the configuration of somebody who is known nowhere.
    pub fn none() -> Self {
        Self { path: PathBuf::new(), file: File::default(), helpers: None }
    }

    /// Returns who the user is at `registry`. It may start a program and wait for it.
    ///
    /// # Errors
    /// [`ConfigError::Helper`]; [`ConfigError::Syntax`].
    pub fn credentials(&self, registry: &str) -> Result<Option<Credentials>, ConfigError> {
        let keys = keys(registry);
        let helper = keys.iter().find_map(|key| self.file.cred_helpers.get(key));
        if let Some(helper) = helper.or(self.file.creds_store.as_ref()) {
            for key in &keys {
                if let Some(found) = self.ask(helper, key)? {
                    return Ok(Some(found));
                }
            }
        }
        match keys.iter().find_map(|key| self.file.auths.get(key)) {
            Some(auth) => self.read_auth(auth, registry),
            None => Ok(None),
        }
    }

    fn read_auth(&self, auth: &Auth, registry: &str) -> Result<Option<Credentials>, ConfigError> {
        if let Some(token) = auth.identitytoken.clone().filter(|token| !token.is_empty()) {
            return Ok(Some(Credentials::Identity(token)));
        }
        if let (Some(user), Some(password)) = (&auth.username, &auth.password) {
            let (user, password) = (user.clone(), password.clone());
            return Ok(Some(Credentials::Password { user, password }));
        }
        let Some(encoded) = auth.auth.as_deref().filter(|it| !it.is_empty()) else {
            return Ok(None);
        };
        let decoded = BASE64.decode(encoded.trim()).ok().and_then(|it| String::from_utf8(it).ok());
        let pair = decoded.as_deref().and_then(|text| text.split_once(':'));
        let (user, password) = pair.ok_or_else(|| ConfigError::Syntax {
            path: self.path.clone(),
            why: format!("the `auth` of {registry} is not `USER:PASSWORD` in base64"),
        })?;
        // Docker pads passwords with zero bytes.
        let password = password.trim_end_matches('\0').to_owned();
        Ok(Some(Credentials::Password { user: user.to_owned(), password }))
    }

    /// Asks a program; what it is asked for goes to its standard input, never into its arguments.
    fn ask(&self, helper: &str, key: &str) -> Result<Option<Credentials>, ConfigError> {
        let program = format!("docker-credential-{helper}");
        let failed = |why: String| ConfigError::Helper {
            program: program.clone(),
            path: self.path.clone(),
            registry: key.to_owned(),
            why,
        };
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if helper.is_empty() || !helper.bytes().all(is_name) {
            return Err(failed("that is no program's name".to_owned()));
        }
        let Some(helpers) = &self.helpers else {
            return Err(failed("programs are not started here".to_owned()));
        };
        let (success, printed) = helpers
            .run(&program, "get", key.as_bytes())
            .map_err(|error| failed(error.to_string()))?;
        if !success {
            let text = String::from_utf8_lossy(&printed);
            if text.contains("credentials not found") {
                return Ok(None);
            }
            return Err(failed(text.lines().next().unwrap_or("it failed").trim().to_owned()));
        }
        // What it prints is a secret, so it is in no message.
        let kept: Kept = serde_json::from_slice(&printed)
            .map_err(|_| failed("it did not print a login".to_owned()))?;
        if kept.secret.is_empty() {
            return Ok(None);
        }
        Ok(Some(if kept.username == TOKEN_USER {
            Credentials::Identity(kept.secret)
        } else {
            Credentials::Password { user: kept.username, password: kept.secret }
        }))
    }
}

/// Returns what a registry is called in the file; Docker has written several forms.
fn keys(registry: &str) -> Vec<String> {
    if registry == crate::reference::DEFAULT_REGISTRY {
        let others = ["docker.io", "index.docker.io", "registry-1.docker.io"];
        let others = others.iter().map(|key| (*key).to_owned());
        return std::iter::once(DOCKER_KEY.to_owned()).chain(others).collect();
    }
    ["", "https://", "http://"]
        .iter()
        .flat_map(|scheme| ["", "/", "/v1/", "/v2/"].map(|end| format!("{scheme}{registry}{end}")))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    struct Helper(Mutex<Vec<String>>);

    impl RunHelper for Helper {
        fn run(&self, program: &str, argument: &str, input: &[u8]) -> io::Result<(bool, Vec<u8>)> {
            let input = String::from_utf8_lossy(input).into_owned();
            self.0.lock().expect("a lock").push(format!("{program} {argument} < {input}"));
            Ok(match input.as_str() {
                "kept.example" => {
                    (true, br#"{"ServerURL":"x","Username":"ada","Secret":"s"}"#.to_vec())
                }
                "token.example" => {
                    (true, br#"{"ServerURL":"x","Username":"<token>","Secret":"t"}"#.to_vec())
                }
                "odd.example" => (true, b"secret but no JSON".to_vec()),
                "locked.example" => (false, b"the key chain is locked\n".to_vec()),
                _ => (false, b"credentials not found in native keychain\n".to_vec()),
            })
        }
    }

    #[test]
    fn credentials_are_where_docker_keeps_them() {
        let scratch = tempfile::tempdir().expect("a folder");
        let path = scratch.path().join("config.json");
        fs::write(
            &path,
            r#"{ "auths": {
                "https://index.docker.io/v1/": { "auth": "YWRhOnM6Mw==" },
                "plain.example:5000": { "auth": "Ym9iOng" },
                "https://old.example/v1/": { "username": "eve", "password": "p" },
                "id.example": { "auth": "", "identitytoken": "tok" },
                "bad.example": { "auth": "%%%" }, "empty.example": {} },
              "credHelpers": { "kept.example": "one", "token.example": "one", "odd.example": "one",
                "locked.example": "one", "evil.example": "../evil" }, "HttpHeaders": {} }"#,
        )
        .expect("the file");
        let helper = Arc::new(Helper(Mutex::default()));
        let config =
            DockerConfig::read(&path, Some(Arc::<Helper>::clone(&helper))).expect("a file");
        let password = |user: &str, password: &str| {
            Some(Credentials::Password { user: user.to_owned(), password: password.to_owned() })
        };
        for (registry, expected) in [
            ("docker.io", password("ada", "s:3")),
            ("plain.example:5000", password("bob", "x")),
            ("old.example", password("eve", "p")),
            ("id.example", Some(Credentials::Identity("tok".to_owned()))),
            ("empty.example", None),
            ("other.example", None),
            ("kept.example", password("ada", "s")),
            ("token.example", Some(Credentials::Identity("t".to_owned()))),
        ] {
            assert_eq!(config.credentials(registry).expect(registry), expected, "{registry}");
        }
        let asked = helper.0.lock().expect("a lock").clone();
        assert_eq!(asked[0], "docker-credential-one get < kept.example");
        for (registry, why) in [
            ("bad.example", "not `USER:PASSWORD` in base64"),
            ("odd.example", "it did not print a login"),
            ("locked.example", "the key chain is locked"),
            ("evil.example", "no program's name"),
        ] {
            let error = config.credentials(registry).expect_err(registry).to_string();
            assert!(error.contains(why) && !error.contains("secret"), "{error}");
        }
    }
}
