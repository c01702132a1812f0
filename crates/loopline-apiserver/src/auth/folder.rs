//! What a server keeps in its data folder so that people and programs get in: the key that signs
//! tokens, the administrator's token, and the kubeconfig that carries it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use loopline_clock::Clock;
use loopline_tls::{PrivateError, read_private, write_private};

use super::keys::{KeyError, Keys};
use super::{Authentication, User};

/// The folder of the keys, below the data folder.
pub const KEYS: &str = "keys";

/// The key that signs tokens of service accounts, as PKCS#8.
const SIGNING_KEY: &str = "service-account.key";

/// The token of the administrator.
const ADMIN_TOKEN: &str = "admin-token";

/// The key that seals secrets.
pub const SECRETS_KEY: &str = "secrets.key";

/// The kubeconfig of the administrator.
const KUBECONFIG: &str = "kubeconfig";

/// How many random bytes a token has.
const TOKEN_BYTES: usize = 32;

/// The largest file of tokens, in bytes.
const MAX_TOKEN_FILE_BYTES: usize = 1024 * 1024;

/// Why nobody gets in.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// A file cannot be used.
    #[error(transparent)]
    File(#[from] PrivateError),
    /// The signing key cannot be used.
    #[error("{}: {source}; next: put back the file that was there, or remove it, which ends all issued tokens", .path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// Why.
        source: KeyError,
    },
    /// The file of tokens cannot be read.
    #[error("{}:{line}: {why}; next: write each line as `token,user,uid` or `token,user,uid,\"group1,group2\"`", .path.display())]
    TokenFile {
        /// The file.
        path: PathBuf,
        /// The line, from one.
        line: usize,
        /// Why.
        why: &'static str,
    },
    /// The file of tokens is not there, or too large.
    #[error("{} {why}", .path.display())]
    NoTokenFile {
        /// The file.
        path: PathBuf,
        /// Why.
        why: &'static str,
    },
}

/// What lets people and programs in.
#[derive(Debug)]
pub struct Access {
    folder: PathBuf,
    /// How requests say who they come from.
    pub authentication: Authentication,
    token: String,
}

impl Access {
    /// Opens what a data folder keeps, made where it is missing.
    ///
    /// # Errors
    /// [`AccessError`].
    pub fn open(folder: &Path, clock: &Clock) -> Result<Self, AccessError> {
        let keys = folder.join(KEYS);
        let path = keys.join(SIGNING_KEY);
        let unusable = |source| AccessError::Key { path: path.clone(), source };
        let bytes = match read_private(&path)? {
            Some(bytes) => bytes,
            None => {
                let bytes = Keys::generate().map_err(unusable)?;
                write_private(&path, &bytes)?;
                bytes
            }
        };
        let signing = Keys::from_pkcs8(&bytes).map_err(unusable)?;
        let path = keys.join(ADMIN_TOKEN);
        let kept = read_private(&path)?.and_then(|bytes| String::from_utf8(bytes).ok());
        let token = match kept.map(|token| token.trim().to_owned()) {
            Some(token) if token.len() >= TOKEN_BYTES => token,
            _ => {
                let token = clock.random_hex(TOKEN_BYTES);
                write_private(&path, token.as_bytes())?;
                token
            }
        };
        let authentication = Authentication::closed()
            .with_token(&token, User::administrator())
            .with_keys(Arc::new(signing));
        Ok(Self { folder: folder.to_owned(), authentication, token })
    }

    /// Takes the tokens of a file: `token,user,uid` or `token,user,uid,"group1,group2"` a line.
    ///
    /// # Errors
    /// [`AccessError`].
    pub fn with_token_file(mut self, path: &Path) -> Result<Self, AccessError> {
        let missing = |why| AccessError::NoTokenFile { path: path.to_owned(), why };
        let bytes = read_private(path)?.ok_or_else(|| missing("is not there"))?;
        if bytes.len() > MAX_TOKEN_FILE_BYTES {
            return Err(missing("is larger than a mebibyte"));
        }
        let text = String::from_utf8(bytes).map_err(|_| missing("is no text"))?;
        for (index, line) in text.lines().enumerate() {
            if line.trim().is_empty() {
                continue;
            }
            let refuse =
                |why| AccessError::TokenFile { path: path.to_owned(), line: index + 1, why };
            let (token, user) = token_line(line).map_err(refuse)?;
            self.authentication = self.authentication.with_token(&token, user);
        }
        Ok(self)
    }

    /// Writes the administrator's kubeconfig for a server's address and returns its path.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn write_kubeconfig(
        &self,
        url: &str,
        authority: Option<&str>,
    ) -> Result<PathBuf, AccessError> {
        let path = self.folder.join(KUBECONFIG);
        write_private(&path, kubeconfig(url, authority, &self.token).as_bytes())?;
        Ok(path)
    }
}

/// Returns a kubeconfig: a server, whom to trust for it, and a token.
fn kubeconfig(url: &str, authority: Option<&str>, token: &str) -> String {
    let authority = authority.map_or(String::new(), |pem| {
        format!("    certificate-authority-data: {}\n", BASE64.encode(pem))
    });
    format!(
        "apiVersion: v1\n\
         kind: Config\n\
         clusters:\n\
         - name: loopline\n  \
           cluster:\n    \
             server: {url}\n\
         {authority}\
         users:\n\
         - name: admin\n  \
           user:\n    \
             token: {token}\n\
         contexts:\n\
         - name: loopline\n  \
           context:\n    \
             cluster: loopline\n    \
             user: admin\n    \
             namespace: default\n\
         current-context: loopline\n"
    )
}

/// Reads one line of a file of tokens.
fn token_line(line: &str) -> Result<(String, User), &'static str> {
    let fields = fields(line)?;
    let (token, name, uid, groups) = match fields.as_slice() {
        [token, name, uid] => (token, name, uid, ""),
        [token, name, uid, groups] => (token, name, uid, &**groups),
        _ => return Err("there are not three or four fields"),
    };
    if token.is_empty() || name.is_empty() {
        return Err("the token or the user is empty");
    }
    let groups = groups.split(',').map(str::trim).filter(|group| !group.is_empty());
    let user = User {
        name: name.clone(),
        uid: uid.clone(),
        groups: groups.map(str::to_owned).collect(),
        extra: Vec::new(),
    };
    Ok((token.clone(), user))
}

/// Takes a line of comma-separated values apart; quotes are doubled within quotes.
fn fields(line: &str) -> Result<Vec<String>, &'static str> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    let mut chars = line.chars().peekable();
    while let Some(char) = chars.next() {
        let Some(field) = fields.last_mut() else { break };
        match char {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                field.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            char => field.push(char),
        }
    }
    if quoted {
        return Err("a quote is not closed");
    }
    Ok(fields.iter().map(|field| field.trim().to_owned()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_tokens_are_read() {
        let (token, user) = token_line("abc, ann ,7,\"dev, \"\"ops\"\"\"").expect("a user");
        assert_eq!((token.as_str(), user.name.as_str(), user.uid.as_str()), ("abc", "ann", "7"));
        assert_eq!(user.groups, ["dev", "\"ops\""]);
        assert_eq!(token_line("abc,ann").expect_err("two"), "there are not three or four fields");
        assert_eq!(token_line("abc,ann,\"7").expect_err("open"), "a quote is not closed");
        assert_eq!(token_line(",ann,7").expect_err("empty"), "the token or the user is empty");
    }
}
