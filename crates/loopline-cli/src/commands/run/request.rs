//! What a run was asked for: the command's options, read and checked, secrets apart.
//!
//! A [`Request`] is kept in the run's record so that `loopline rerun` can repeat it. Values of
//! secrets never are; their names are, so that a rerun can say which ones it needs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::arguments::{Executor, RunArguments};
use crate::environment;
use crate::error::CommandError;

/// The largest file of variables or secrets, in bytes.
const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024;

/// Everything that decides what a run does, except secrets' values.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Request {
    pub(crate) workflow: Option<String>,
    pub(crate) jobs: Vec<String>,
    pub(crate) event: Option<String>,
    pub(crate) event_file: Option<PathBuf>,
    pub(crate) inputs: BTreeMap<String, String>,
    pub(crate) vars: BTreeMap<String, String>,
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) matrix: Vec<(String, String)>,
    pub(crate) sandbox: Option<bool>,
    pub(crate) job_limit: Option<usize>,
    pub(crate) keep: bool,
    pub(crate) real_actions: bool,
    pub(crate) lenient_tools: bool,
    pub(crate) offline: bool,
    pub(crate) actions: Option<PathBuf>,
    pub(crate) skip_unsupported: bool,
    pub(crate) strict: Option<bool>,
    pub(crate) yes: bool,
    pub(crate) protect: Vec<String>,
    /// The names of the secrets that were given.
    pub(crate) secret_names: Vec<String>,
}

/// Secrets by name. Their values are never printed, also not by `Debug`.
#[derive(Clone, Default)]
pub(crate) struct Secrets(pub(crate) BTreeMap<String, String>);

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Request {
    /// Reads the options of `loopline run`.
    pub(crate) fn read(arguments: &RunArguments) -> Result<(Self, Secrets), CommandError> {
        let secrets = read_secrets(&arguments.secret, arguments.secret_file.as_deref())?;
        let env = match &arguments.env_file {
            Some(path) => read_variables(path)?,
            None => BTreeMap::new(),
        };
        let absolute = |path: &PathBuf| std::path::absolute(path);
        let actions = match (&arguments.actions, environment::ACTIONS.get_os()) {
            (Some(path), _) => Some(absolute(path)?),
            (None, Some(path)) => Some(absolute(&path.into())?),
            (None, None) => None,
        };
        let request = Self {
            workflow: arguments.workflow.clone(),
            jobs: arguments.job.clone(),
            event: arguments.event.clone(),
            event_file: arguments.event_file.as_ref().map(absolute).transpose()?,
            inputs: pairs("--input", &arguments.input)?.into_iter().collect(),
            vars: pairs("--var", &arguments.var)?.into_iter().collect(),
            env,
            matrix: pairs("--matrix", &arguments.matrix)?,
            sandbox: arguments.executor.map(|executor| executor == Executor::Sandbox),
            job_limit: arguments.jobs,
            keep: arguments.keep,
            real_actions: arguments.real_actions,
            lenient_tools: arguments.lenient_tools,
            offline: arguments.offline || environment::OFFLINE.is_on(),
            actions,
            skip_unsupported: arguments.skip_unsupported,
            strict: match (arguments.strict, arguments.no_strict) {
                (true, _) => Some(true),
                (_, true) => Some(false),
                _ => None,
            },
            yes: arguments.yes,
            protect: arguments.protect.clone(),
            secret_names: secrets.0.keys().cloned().collect(),
        };
        if request.job_limit == Some(0) {
            return Err(CommandError::usage("--jobs 0 would run nothing"));
        }
        Ok((request, secrets))
    }
}

/// Reads `--secret` and `--secret-file`.
pub(crate) fn read_secrets(given: &[String], file: Option<&Path>) -> Result<Secrets, CommandError> {
    let mut secrets = match file {
        Some(path) => read_variables(path)?,
        None => BTreeMap::new(),
    };
    for secret in given {
        let (name, value) = match secret.split_once('=') {
            Some((name, value)) => (name, value.to_owned()),
            None => {
                let value = environment::of_name(secret).ok_or_else(|| {
                    CommandError::usage(format!(
                        "--secret {secret}: there is no environment variable {secret}"
                    ))
                    .hint(format!("`--secret-file FILE` reads {secret}=VALUE from a file"))
                })?;
                (secret.as_str(), value)
            }
        };
        check_name("--secret", name)?;
        secrets.insert(name.to_owned(), value);
    }
    Ok(Secrets(secrets))
}

/// Splits `KEY=VALUE` options.
fn pairs(option: &str, given: &[String]) -> Result<Vec<(String, String)>, CommandError> {
    given
        .iter()
        .map(|pair| {
            let (name, value) = pair.split_once('=').ok_or_else(|| {
                CommandError::usage(format!("{option} {pair}: expected KEY=VALUE"))
            })?;
            if name.is_empty() {
                return Err(CommandError::usage(format!("{option} {pair}: the key is empty")));
            }
            Ok((name.to_owned(), value.to_owned()))
        })
        .collect()
}

fn check_name(option: &str, name: &str) -> Result<(), CommandError> {
    let good = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if good {
        return Ok(());
    }
    // The text may hold a value by mistake, so it is not repeated.
    Err(CommandError::usage(format!(
        "{option}: a name starts with a letter or `_` and goes on with letters, digits and `_`"
    )))
}

fn read_variables(path: &Path) -> Result<BTreeMap<String, String>, CommandError> {
    let size = fs_err::metadata(path)?.len();
    if size > MAX_FILE_BYTES {
        return Err(CommandError::usage(format!(
            "{} is larger than {MAX_FILE_BYTES} bytes",
            path.display()
        )));
    }
    let text = fs_err::read_to_string(path)?;
    parse_variables(&text).map_err(|(line, problem)| {
        CommandError::usage(format!("{}:{line}: {problem}", path.display()))
    })
}

/// Parses `KEY=VALUE` lines as dotenv files have them: `export` before the name, comments,
/// single quotes (as they are) and double quotes (`\n`, `\"`, `\\`), both over several lines.
/// Errors name the line and never what stands in it.
fn parse_variables(text: &str) -> Result<BTreeMap<String, String>, (usize, &'static str)> {
    let mut variables = BTreeMap::new();
    let mut lines = text.lines().enumerate();
    while let Some((index, line)) = lines.next() {
        let number = index + 1;
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let line = line.strip_prefix("export ").unwrap_or(line);
        let (name, rest) = line.split_once('=').ok_or((number, "expected KEY=VALUE"))?;
        let name = name.trim();
        check_name("", name).map_err(|_| (number, "the name before `=` is not a variable's"))?;
        let rest = rest.trim_start();
        let value = match rest.chars().next() {
            Some(quote @ ('"' | '\'')) => {
                let mut text = rest[1..].to_owned();
                loop {
                    if let Some(value) = unquote(&text, quote) {
                        break value;
                    }
                    let (_, next) =
                        lines.next().ok_or((number, "the quote that begins here never ends"))?;
                    text.push('\n');
                    text.push_str(next);
                }
            }
            _ => rest.split(" #").next().unwrap_or(rest).trim_end().to_owned(),
        };
        variables.insert(name.to_owned(), value);
    }
    Ok(variables)
}

/// Returns the text up to the closing `quote`, unescaped, or `None` where there is none.
fn unquote(text: &str, quote: char) -> Option<String> {
    let mut value = String::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' if quote == '"' => match characters.next() {
                Some('n') => value.push('\n'),
                Some('r') => value.push('\r'),
                Some('t') => value.push('\t'),
                Some(other @ ('"' | '\\' | '$')) => value.push(other),
                Some(other) => value.extend(['\\', other]),
                None => value.push('\\'),
            },
            _ if character == quote => return Some(value),
            _ => value.push(character),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_read_as_dotenv_has_them() {
        let text = "# note\nA=1 # one\nexport B='x y'\nC=\"a\\nb\\\"c\"\nD=\"two\nlines\"\nE=\n";
        let variables = parse_variables(text).expect("good lines");
        let pairs: Vec<_> = variables.iter().map(|(k, v)| format!("{k}={v}")).collect();
        assert_eq!(pairs, ["A=1", "B=x y", "C=a\nb\"c", "D=two\nlines", "E="]);
        assert_eq!(parse_variables("A=1\nsecretvalue"), Err((2, "expected KEY=VALUE")));
        assert_eq!(parse_variables("A='x"), Err((1, "the quote that begins here never ends")));
    }

    #[test]
    fn secrets_are_not_in_debug_output_or_errors() {
        let secrets = read_secrets(&["TOKEN=hunter2".to_owned()], None).expect("a secret");
        assert_eq!(format!("{secrets:?}"), r#"{"TOKEN"}"#);
        let error = read_secrets(&["hunter 2=x".to_owned()], None).expect_err("a bad name");
        assert!(!error.message.contains("hunter"), "{}", error.message);
    }
}
