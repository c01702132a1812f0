//! The API of this machine and the commands around it, as processes.
#![expect(clippy::disallowed_methods, reason = "a test starts and ends processes")]

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::Value;

use crate::repository::Ran;

/// A folder of data, and the servers that have it one after the other.
pub(crate) struct Place {
    folder: tempfile::TempDir,
}

/// A server that runs; it is interrupted at the end.
pub(crate) struct Running {
    child: Child,
    out: BufReader<ChildStdout>,
    pub(crate) kubeconfig: PathBuf,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Returns a command of the binary that works in this folder.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_loopline"));
        command
            .args(arguments)
            .current_dir(self.path())
            .env_remove("KUBECONFIG")
            .env("NO_COLOR", "1")
            .env("HOME", self.path())
            .env("LOOPLINE_DATA", self.path().join("data"));
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        Ran::of(&self.command(arguments).output().unwrap())
    }

    /// Starts the API and waits until it serves.
    pub(crate) fn serve(&self, arguments: &[&str]) -> Running {
        let mut child = self
            .command(&["api", "--json", "--listen", "127.0.0.1:0"])
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        let said: Value = serde_json::from_str(&line).unwrap();
        let Some(kubeconfig) = said["kubeconfig"].as_str() else { panic!("{said}") };
        let kubeconfig = kubeconfig.into();
        Running { child, out, kubeconfig }
    }
}

impl Running {
    /// Interrupts the server and returns its exit status.
    pub(crate) fn end(mut self) -> Option<i32> {
        self.interrupt();
        let mut rest = String::new();
        self.out.read_line(&mut rest).unwrap();
        self.child.wait().unwrap().code()
    }

    fn interrupt(&self) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // A test that failed half-way leaves none behind.
        if let Ok(None) = self.child.try_wait() {
            self.child.kill().unwrap();
            self.child.wait().unwrap();
        }
    }
}

#[test]
fn a_damaged_database_names_the_snapshot_to_go_back_to() {
    let place = Place::new();
    let none = place.run(&["backup", "one.db"]);
    assert_eq!(none.code, Some(2), "{}", none.err);
    assert!(none.err.contains("there are no objects"), "{}", none.err);
    let server = place.serve(&["--crds", "flagger.app"]);
    let taken = place.run(&["--json", "backup", "one.db"]);
    assert_eq!(taken.code, Some(0), "{}{}", taken.out, taken.err);
    let taken: Value = serde_json::from_str(&taken.out).unwrap();
    assert!(taken["objects"].as_u64().unwrap() > 10, "{taken}");
    assert!(taken["owner"].as_str().unwrap().starts_with("loopline api (process "), "{taken}");
    let again = place.run(&["backup", "one.db"]);
    assert_eq!(again.code, Some(2), "{}", again.err);
    assert!(again.err.contains("--force"), "{}", again.err);
    let busy = place.run(&["restore", "one.db"]);
    assert_eq!(busy.code, Some(1), "{}", busy.err);
    assert!(busy.err.contains("is in use by loopline api (process "), "{}", busy.err);
    assert!(server.kubeconfig.exists());
    assert_eq!(server.end(), Some(130));
    // Without a server, and the newest of two.
    let second = place.run(&["backup", "two.db"]);
    assert_eq!(second.code, Some(0), "{}", second.err);

    let database = place.path().join("data/api/objects.db");
    let mut bytes = fs_err::read(&database).unwrap();
    let length = bytes.len();
    bytes[4096..length / 2].fill(0xa5);
    fs_err::write(&database, bytes).unwrap();
    let refused = place.run(&["api", "--listen", "127.0.0.1:0"]);
    assert_eq!(refused.code, Some(1), "{}", refused.err);
    let newest = place.path().canonicalize().unwrap().join("two.db");
    let next = format!("loopline restore {}", newest.display());
    assert!(refused.err.contains(&next), "{}", refused.err);
    let worse = place.run(&["backup", "--force", "one.db"]);
    assert_eq!(worse.code, Some(1), "{}{}", worse.out, worse.err);

    fs_err::write(place.path().join("bad.db"), "not a database, but longer than nothing").unwrap();
    let bad = place.run(&["restore", "bad.db"]);
    assert_eq!(bad.code, Some(1), "{}", bad.err);
    assert!(bad.err.contains("were left as they are"), "{}", bad.err);
    let restored = place.run(&["restore", newest.to_str().unwrap()]);
    assert_eq!(restored.code, Some(0), "{}", restored.err);
    assert!(place.path().join("data/api/objects.db.replaced").exists());
    let server = place.serve(&[]);
    let third = place.run(&["--json", "backup", "three.db"]);
    let third: Value = serde_json::from_str(&third.out).unwrap();
    assert!(third["objects"].as_u64() >= taken["objects"].as_u64(), "{third} {taken}");
    assert_eq!(server.end(), Some(130));
}
