//! One file of commands and what they print.

use std::path::Path;
use std::process::Command;

use loopline_apiserver::Server;
use serde_json::json;

use crate::support::make;

/// When a command that waits for what does not happen is ended, so that its line is told.
const TIME_LIMIT_SECONDS: &str = "120";

/// A session, as its file has it.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) name: String,
    pub(super) commands: Vec<Expected>,
    files: Vec<(String, String)>,
}

/// A command, and what it is to print.
#[derive(Debug)]
pub(super) struct Expected {
    pub(super) line: String,
    output: Vec<String>,
}

impl Session {
    /// Reads a session's file.
    pub(super) fn read(path: &Path) -> Self {
        let text = fs_err::read_to_string(path).unwrap();
        let mut commands: Vec<Expected> = Vec::new();
        let mut files: Vec<(String, String)> = Vec::new();
        for line in text.lines() {
            if let Some(name) = line.strip_prefix("== ") {
                files.push((name.to_owned(), String::new()));
            } else if let Some((_, content)) = files.last_mut() {
                content.push_str(line);
                content.push('\n');
            } else if let Some(command) = line.strip_prefix("$ ") {
                commands.push(Expected { line: command.to_owned(), output: Vec::new() });
            } else if let Some(command) = commands.last_mut() {
                command.output.push(line.to_owned());
            }
        }
        // The empty line before the files belongs to nothing.
        if let Some(last) = commands.last_mut().filter(|_| !files.is_empty()) {
            last.output.pop_if(|line| line.is_empty());
        }
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        Self { name, commands, files }
    }

    /// Makes the session's namespace.
    pub(super) async fn prepare(&self, server: &Server) {
        let namespace =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.name}});
        make(server, namespace).await.ok();
    }

    /// Runs the commands; returns what they print other than they should, or, where what they
    /// print is not `exact`, those that end otherwise.
    pub(super) fn run(&self, url: &str, exact: bool) -> Vec<String> {
        let home = tempfile::tempdir().unwrap();
        for (name, content) in &self.files {
            let path = home.path().join(name);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, content).unwrap();
        }
        let configuration = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "it", "cluster": {"server": url}}],
            "contexts": [{"name": "it", "context": {"cluster": "it", "namespace": self.name}}],
            "current-context": "it",
        });
        fs_err::write(home.path().join("config"), configuration.to_string()).unwrap();
        #[expect(clippy::disallowed_methods, reason = "asked for by who writes the sessions")]
        let bless = std::env::var_os("KUBECTL_SESSIONS").map(std::path::PathBuf::from);
        let mut wrong = Vec::new();
        for command in &self.commands {
            let found = execute(&command.line, home.path());
            if let Some(folder) = &bless {
                record(&folder.join(&self.name), &command.line, &found);
            }
            let right = if exact {
                matches(&command.output, &found)
            } else {
                status(&command.output) == status(&found)
            };
            if !right {
                wrong.push(format!(
                    "{}: $ {}\nexpected:\n{}\nfound:\n{}\n",
                    self.name,
                    command.line,
                    command.output.join("\n"),
                    found.join("\n")
                ));
            }
        }
        wrong
    }
}

/// Runs a line of shell; returns the lines it prints, and its status where it fails.
fn execute(line: &str, home: &Path) -> Vec<String> {
    #[expect(clippy::disallowed_methods, reason = "a real client, outside of any sandbox")]
    let mut command = Command::new("timeout");
    let output = command
        .env_clear()
        .env("PATH", crate::support::path())
        .env("HOME", home)
        .env("KUBECONFIG", home.join("config"))
        .current_dir(home)
        .stdin(std::process::Stdio::null())
        .args([TIME_LIMIT_SECONDS, "sh", "-c", line])
        .output()
        .unwrap();
    let mut lines: Vec<String> =
        String::from_utf8(output.stdout).unwrap().lines().map(ToOwned::to_owned).collect();
    let errors = String::from_utf8(output.stderr).unwrap();
    lines.extend(errors.lines().map(|line| format!("! {line}")));
    if !output.status.success() {
        lines.push(format!("? {}", output.status.code().unwrap_or(-1)));
    }
    lines
}

/// Writes down what a command printed, for who writes a session.
fn record(path: &Path, line: &str, found: &[String]) {
    let mut text = fs_err::read_to_string(path).unwrap_or_default();
    for line in std::iter::once(&format!("$ {line}")).chain(found) {
        text.push_str(line);
        text.push('\n');
    }
    fs_err::write(path, text).unwrap();
}

/// Returns the line that tells a failure's status.
fn status(lines: &[String]) -> Option<&String> {
    lines.last().filter(|line| line.starts_with("? "))
}

fn matches(expected: &[String], found: &[String]) -> bool {
    expected.len() == found.len()
        && expected.iter().zip(found).all(|(expected, found)| line_matches(expected, found))
}

/// Whether a line is what a pattern says; white space at the end does not count.
fn line_matches(expected: &str, found: &str) -> bool {
    let (expected, found) = (expected.trim_end(), found.trim_end());
    let mut parts = expected.split("[..]");
    let Some(mut rest) = parts.next().and_then(|first| found.strip_prefix(first)) else {
        return false;
    };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[test]
fn patterns_match_lines() {
    assert!(line_matches("a [..]s b", "a 12s b"));
    assert!(line_matches("a [..] c [..]", "a b c d"));
    assert!(line_matches("a", "a  "));
    assert!(!line_matches("a [..] c", "a b"));
    assert!(!line_matches("a", "a b"));
}
