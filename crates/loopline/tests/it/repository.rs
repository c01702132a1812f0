//! A git repository made for one test, and the binary run in it.
#![expect(clippy::disallowed_methods, reason = "a test starts the binary and git as a user would")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A repository with a data folder of its own.
pub(crate) struct Repository {
    scratch: tempfile::TempDir,
}

/// What a command did.
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Repository {
    /// Makes a repository of `files` (path, text), committed on `main`.
    pub(crate) fn new<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let repository = Self { scratch };
        fs_err::create_dir_all(repository.path()).unwrap();
        for (path, text) in files {
            repository.write(path, text);
        }
        repository.git(&["init", "-q", "-b", "main"]);
        repository.commit("first");
        repository
    }

    /// Returns the folder that holds the repository and its data folder.
    pub(crate) fn scratch(&self) -> &Path {
        self.scratch.path()
    }

    /// Returns the repository's folder.
    pub(crate) fn path(&self) -> PathBuf {
        self.scratch.path().join("repo")
    }

    /// Writes a file of the work tree.
    pub(crate) fn write(&self, path: &str, text: &str) {
        let full = self.path().join(path);
        fs_err::create_dir_all(full.parent().unwrap()).unwrap();
        fs_err::write(full, text).unwrap();
    }

    /// Commits everything.
    pub(crate) fn commit(&self, message: &str) {
        self.git(&["add", "-A"]);
        self.git(&[
            "-c",
            "user.name=Ada",
            "-c",
            "user.email=ada@example.com",
            "commit",
            "-q",
            "--allow-empty",
            "-m",
            message,
        ]);
    }

    /// Runs git in the repository.
    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        let output = Command::new("git")
            .args(arguments)
            .current_dir(self.path())
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .output()
            .unwrap();
        assert!(output.status.success(), "git {arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Returns the command that runs Loopline here.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = loopline(self.scratch.path());
        command.args(arguments).current_dir(self.path());
        command
    }

    /// Runs Loopline here.
    pub(crate) fn loopline(&self, arguments: &[&str]) -> Ran {
        Ran::of(&self.command(arguments).output().unwrap())
    }
}

/// Returns the binary with a data folder in `scratch` and no variables of the developer's.
fn loopline(scratch: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loopline"));
    for (name, _) in std::env::vars_os() {
        let name_text = name.to_string_lossy();
        if name_text.starts_with("LOOPLINE_") || name_text.starts_with("GITHUB_") {
            command.env_remove(name);
        }
    }
    command.env("LOOPLINE_DATA", scratch.join("data")).env("NO_COLOR", "1");
    command
}

impl Ran {
    /// Returns what a finished command did.
    pub(crate) fn of(output: &Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Returns everything that was printed.
    pub(crate) fn all(&self) -> String {
        format!("{}{}", self.out, self.err)
    }
}
