//! Which program runs a `run` step's script, with which arguments.
//!
//! The rules are those of GitHub's runner (its script handler): an unset shell is bash with the
//! arguments of `sh`, a named shell has arguments of its own, anything else must say where the
//! script goes with `{0}`. Writing the script and starting the program happens elsewhere.

use std::borrow::Cow;
use std::path::Path;

/// What `run` needs to know about a shell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shell {
    /// The program: a name to look up on `PATH`, or a path.
    pub(crate) program: String,
    /// Its arguments; `{0}` stands for the script.
    pub(crate) arguments: Vec<String>,
    /// The script's file extension, with its dot.
    pub(crate) extension: &'static str,
    /// Whether the script needs PowerShell's error handling around it.
    powershell: bool,
}

/// Why a `shell` cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum ShellError {
    /// The text is neither a known name nor a format.
    #[error(
        "invalid shell `{0}`: it must be a built-in one (bash, sh, pwsh, python) or a format \
         string containing '{{0}}'"
    )]
    NoPlaceholder(String),
    /// A quote is not closed.
    #[error("invalid shell `{0}`: a quote is not closed")]
    Quote(String),
    /// The shell exists on Windows only.
    #[error("the shell `{0}` exists on Windows only")]
    WindowsOnly(String),
}

impl Shell {
    /// Returns the shell for a step without `shell`: `bash` where `has_bash`, else `sh`, both
    /// with the arguments of `sh` (so without `pipefail`).
    pub(crate) fn unset(has_bash: bool) -> Self {
        Self::new(if has_bash { "bash" } else { "sh" }, &["-e", "{0}"], ".sh")
    }

    /// Returns the shell that `text` names.
    ///
    /// # Errors
    /// [`ShellError`], each variant as it says.
    pub(crate) fn parse(text: &str) -> Result<Self, ShellError> {
        let text = text.trim();
        let (program, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        if rest.trim().is_empty() {
            return match program {
                "bash" => Ok(Self::new(
                    program,
                    &["--noprofile", "--norc", "-e", "-o", "pipefail", "{0}"],
                    ".sh",
                )),
                "sh" => Ok(Self::new(program, &["-e", "{0}"], ".sh")),
                "python" => Ok(Self::new(program, &["{0}"], ".py")),
                "pwsh" => Ok(Self {
                    powershell: true,
                    ..Self::new(program, &["-command", ". '{0}'"], ".ps1")
                }),
                "cmd" | "powershell" => Err(ShellError::WindowsOnly(program.to_owned())),
                _ => Err(ShellError::NoPlaceholder(text.to_owned())),
            };
        }
        if !rest.contains("{0}") {
            return Err(ShellError::NoPlaceholder(text.to_owned()));
        }
        let extension = match program {
            "bash" | "sh" => ".sh",
            "python" => ".py",
            "pwsh" => ".ps1",
            _ => "",
        };
        let mut words = words(text).ok_or_else(|| ShellError::Quote(text.to_owned()))?.into_iter();
        let program = words.next().unwrap_or_default();
        Ok(Self { powershell: program == "pwsh", program, arguments: words.collect(), extension })
    }

    fn new(program: &str, arguments: &[&str], extension: &'static str) -> Self {
        Self {
            program: program.to_owned(),
            arguments: arguments.iter().map(|&argument| argument.to_owned()).collect(),
            extension,
            powershell: false,
        }
    }

    /// Returns the text of the script file for the step's `run`.
    pub(crate) fn script<'a>(&self, run: &'a str) -> Cow<'a, str> {
        let run = if run.contains('\r') {
            Cow::Owned(run.replace("\r\n", "\n"))
        } else {
            Cow::Borrowed(run)
        };
        if self.powershell {
            Cow::Owned(format!(
                "$ErrorActionPreference = 'stop'\n{run}\nif ((Test-Path -LiteralPath \
                 variable:\\LASTEXITCODE)) {{ exit $LASTEXITCODE }}\n"
            ))
        } else {
            run
        }
    }

    /// Returns the arguments with the script's path in place.
    pub(crate) fn arguments(&self, script: &Path) -> Vec<String> {
        let script = script.to_string_lossy();
        self.arguments.iter().map(|argument| argument.replace("{0}", &script)).collect()
    }
}

/// Splits a command into words; double and single quotes group, `\"` is a quote inside double
/// quotes. `None` where a quote is not closed.
fn words(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match (quote, character) {
            (Some(open), close) if open == close => quote = None,
            (Some('"'), '\\') if matches!(characters.peek(), Some('"' | '\\')) => {
                word.get_or_insert_default().extend(characters.next());
            }
            (None, '"' | '\'') => {
                word.get_or_insert_default();
                quote = Some(character);
            }
            (None, blank) if blank.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(character),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let actual = match Shell::parse(text) {
            Ok(shell) => {
                let arguments = shell.arguments(Path::new("/s"));
                format!("{} {arguments:?} {:?}", shell.program, shell.extension)
            }
            Err(error) => format!("error: {error}"),
        };
        assert_eq!(actual, expected, "{text}");
    }

    #[test]
    fn names_formats_and_mistakes() {
        check("bash", r#"bash ["--noprofile", "--norc", "-e", "-o", "pipefail", "/s"] ".sh""#);
        check("sh", r#"sh ["-e", "/s"] ".sh""#);
        check("python", r#"python ["/s"] ".py""#);
        check("pwsh", r#"pwsh ["-command", ". '/s'"] ".ps1""#);
        check("perl {0}", r#"perl ["/s"] """#);
        check("bash -xe {0}", r#"bash ["-xe", "/s"] ".sh""#);
        check(r#"sh -c "cat {0} ''""#, r#"sh ["-c", "cat /s ''"] ".sh""#);
        check(
            "bash -l",
            "error: invalid shell `bash -l`: it must be a built-in one (bash, sh, \
             pwsh, python) or a format string containing '{0}'",
        );
        check(
            "perl",
            "error: invalid shell `perl`: it must be a built-in one (bash, sh, pwsh, \
             python) or a format string containing '{0}'",
        );
        check("sh -c \"{0}", "error: invalid shell `sh -c \"{0}`: a quote is not closed");
        check("cmd", "error: the shell `cmd` exists on Windows only");
        assert_eq!(Shell::unset(true).arguments, ["-e", "{0}"]);
        assert_eq!(Shell::unset(false).program, "sh");
    }

    #[test]
    fn powershell_stops_at_errors_and_line_breaks_are_unix() {
        let script = Shell::parse("pwsh").unwrap().script("echo 1").into_owned();
        assert!(script.starts_with("$ErrorActionPreference = 'stop'\necho 1\n"), "{script}");
        assert!(script.contains("exit $LASTEXITCODE"), "{script}");
        assert_eq!(Shell::unset(true).script("a\r\nb"), "a\nb");
    }
}
