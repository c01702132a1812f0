//! What happens to a run from outside: cancelled, interrupted, killed, repeated, looked into.
#![expect(clippy::disallowed_methods, reason = "a test starts, signals and waits for processes")]

use std::process::{Child, Command, Stdio};

use crate::repository::Repository;

/// Starts a run in the background, its output thrown away.
fn start(repository: &Repository, arguments: &[&str]) -> Child {
    let mut command = repository.command(arguments);
    command.stdout(Stdio::null()).stderr(Stdio::null()).stdin(Stdio::null()).spawn().unwrap()
}

/// How often a log is looked at; each look is a process of its own.
const MAX_LOOKS: usize = 10_000;

/// Waits until `loopline logs RUN` holds `text`; the process is alive all the while.
fn wait_for(repository: &Repository, child: &mut Child, run: &str, text: &str) {
    for _ in 0..MAX_LOOKS {
        let logs = repository.loopline(&["logs", run]);
        if logs.out.contains(text) {
            return;
        }
        assert!(child.try_wait().unwrap().is_none(), "it ended before `{text}`:\n{}", logs.all());
    }
    child.kill().unwrap();
    panic!("`{text}` never came");
}

fn signal(child: &Child, signal: &str) {
    let id = child.id().to_string();
    assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
}

const LONG: &str = "on: push\njobs:\n  first:\n    runs-on: ubuntu-latest\n    outputs:\n      \
    x: ${{ steps.s.outputs.x }}\n    steps:\n      - id: s\n        \
    run: echo x=41 >> $GITHUB_OUTPUT; echo first-ran\n  long:\n    needs: first\n    \
    runs-on: ubuntu-latest\n    steps:\n      \
    - run: |\n          echo got ${{ needs.first.outputs.x }} marker\n          \
    if [ -e WAIT ]; then while :; do read -r -t 1 <> <(:) || :; done; fi\n        \
    shell: bash\n        working-directory: ${{ github.workspace }}\n      \
    - if: always()\n        run: echo cleaned up\n";

/// The same with a first step that brings the file `WAIT`.
fn long() -> Repository {
    let checkout =
        "    steps:\n      - uses: actions/checkout@v4\n      - run: |\n          echo got";
    let text = LONG.replace("    steps:\n      - run: |\n          echo got", checkout);
    assert!(text.contains("checkout"));
    Repository::new([(".github/workflows/ci.yml", text.as_str()), ("WAIT", "")])
}

#[test]
fn a_cancelled_run_cleans_up_and_says_so() {
    let repository = long();
    let mut child = start(&repository, &["run"]);
    wait_for(&repository, &mut child, "1", "got 41 marker");
    let cancel = repository.loopline(&["cancel", "1"]);
    assert_eq!(cancel.code, Some(0), "{}", cancel.all());
    assert_eq!(child.wait().unwrap().code(), Some(1));
    let logs = repository.loopline(&["logs", "1"]);
    assert!(logs.out.contains("cleaned up"), "{}", logs.all());
    assert!(repository.loopline(&["runs"]).out.contains("cancelled"));
    let again = repository.loopline(&["cancel", "1"]);
    assert_eq!(again.code, Some(2), "{}", again.all());
}

#[test]
fn an_interrupted_command_exits_with_130() {
    let repository = long();
    let mut child = start(&repository, &["run", "--executor", "host"]);
    wait_for(&repository, &mut child, "1", "got 41 marker");
    signal(&child, "-INT");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let logs = repository.loopline(&["logs", "1"]);
    assert!(logs.out.contains("cleaned up"), "{}", logs.all());
}

#[test]
fn a_killed_run_keeps_its_lines_and_resumes_with_its_outputs() {
    let repository = long();
    let mut child = start(&repository, &["run"]);
    wait_for(&repository, &mut child, "1", "got 41 marker");
    signal(&child, "-KILL");
    child.wait().unwrap();
    let runs = repository.loopline(&["runs"]);
    assert!(runs.out.contains("interrupted"), "{}", runs.all());
    let logs = repository.loopline(&["logs", "1"]);
    assert!(logs.out.contains("got 41 marker") && logs.out.contains("first-ran"), "{}", logs.all());
    fs_err::remove_file(repository.path().join("WAIT")).unwrap();
    let rerun = repository.loopline(&["rerun", "1", "--failed"]);
    assert_eq!(rerun.code, Some(0), "{}", rerun.all());
    assert!(rerun.out.contains("got 41 marker"), "{}", rerun.all());
    assert!(!rerun.out.contains("first-ran"), "a finished job ran again:\n{}", rerun.all());
}

#[test]
fn a_shell_opens_where_a_job_failed() {
    let repository = Repository::new([(
        ".github/workflows/ci.yml",
        "on: push\njobs:\n  j:\n    runs-on: ubuntu-latest\n    env: {PLAIN: yes-plain}\n    \
         steps:\n      - run: echo data > made; exit 7\n        \
         env: {TOKEN: '${{ secrets.T }}'}\n",
    )]);
    let ran = repository.loopline(&["run", "--secret", "T=hunter2hunter2"]);
    assert_eq!(ran.code, Some(1), "{}", ran.all());
    let script = "cat made; echo \"[$TOKEN] $PLAIN\"; exit 9";
    let shell = repository.loopline(&["shell", "1", "j", "--", "sh", "-c", script]);
    assert_eq!(shell.code, Some(9), "{}", shell.all());
    assert_eq!(shell.out, "data\n[] yes-plain\n");
    assert!(shell.err.contains("TOKEN"), "{}", shell.err);
}

#[test]
fn secrets_are_nowhere() {
    let repository = Repository::new([(
        ".github/workflows/ci.yml",
        "on: push\njobs:\n  j:\n    runs-on: ubuntu-latest\n    steps:\n      - run: |\n          \
         echo \"$S\"; printf '%s' \"$S\" | base64; printf 'hun'; printf 'ter2-very-secret\\n'\n          \
         echo \"out=$S\" >> $GITHUB_OUTPUT; echo \"::error::$S\"; echo \"$LINES_SECRET\" | tail -1\n          \
         echo \"# $S\" >> $GITHUB_STEP_SUMMARY; exit 1\n        \
         env: {S: '${{ secrets.S }}', LINES_SECRET: '${{ secrets.M }}'}\n",
    )]);
    let file = repository.scratch().join("secrets");
    fs_err::write(&file, "S=hunter2-very-secret\nM=\"line-one-secret\nline-two-secret\"\n")
        .unwrap();
    let file = file.display().to_string();
    for arguments in
        [&["run", "--secret-file", &file][..], &["run", "--json", "--secret-file", &file]]
    {
        let ran = repository.loopline(arguments);
        assert_eq!(ran.code, Some(1), "{}", ran.all());
        assert!(ran.all().contains("***"), "{}", ran.all());
        for secret in ["hunter2-very", "aHVudGVyMi12ZXJ5", "line-two-secret"] {
            assert!(!ran.all().contains(secret), "`{secret}` is in:\n{}", ran.all());
        }
    }
    let data = repository.scratch().join("data/runs");
    let found = Command::new("grep")
        .args(["-r", "-l", "-e", "hunter2-very", "-e", "aHVudGVyMi12ZXJ5", "-e", "line-two-secret"])
        .arg(&data)
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&found.stdout), "");
    assert_eq!(found.status.code(), Some(1), "grep looked at nothing");
}

#[test]
fn a_newer_run_of_a_group_cancels_the_older() {
    let text = LONG.replace(
        "on: push\n",
        "on: push\nconcurrency: {group: deploy, cancel-in-progress: true}\n",
    );
    let text = text.replace(
        "    steps:\n      - run: |\n          echo got",
        "    steps:\n      - uses: actions/checkout@v4\n      - run: |\n          echo got",
    );
    let repository = Repository::new([(".github/workflows/ci.yml", text.as_str()), ("WAIT", "")]);
    let mut older = start(&repository, &["run"]);
    wait_for(&repository, &mut older, "1", "got 41 marker");
    fs_err::remove_file(repository.path().join("WAIT")).unwrap();
    let newer = repository.loopline(&["run"]);
    assert_eq!(newer.code, Some(0), "{}", newer.all());
    assert_eq!(older.wait().unwrap().code(), Some(1));
    assert!(repository.loopline(&["runs"]).out.contains("cancelled"));
}

#[test]
fn a_group_of_one_job_cancels_that_job_only() {
    let group = "    concurrency: {group: deploy, cancel-in-progress: true}\n    needs: first\n";
    let text = LONG.replace("    needs: first\n", group).replace(
        "    steps:\n      - run: |\n          echo got",
        "    steps:\n      - uses: actions/checkout@v4\n      - run: |\n          echo got",
    );
    let text = format!(
        "{text}  other:\n    needs: long\n    if: always()\n    runs-on: ubuntu-latest\n    \
         steps: [{{run: echo other-still-ran}}]\n"
    );
    let repository = Repository::new([(".github/workflows/ci.yml", text.as_str()), ("WAIT", "")]);
    let mut older = start(&repository, &["run"]);
    wait_for(&repository, &mut older, "1", "got 41 marker");
    fs_err::remove_file(repository.path().join("WAIT")).unwrap();
    let newer = repository.loopline(&["run"]);
    assert_eq!(newer.code, Some(0), "{}", newer.all());
    assert_eq!(older.wait().unwrap().code(), Some(1));
    let logs = repository.loopline(&["logs", "1"]);
    assert!(logs.out.contains("other-still-ran"), "{}", logs.all());
}

#[test]
fn every_line_of_json_output_is_json() {
    let repository = long();
    fs_err::remove_file(repository.path().join("WAIT")).unwrap();
    for arguments in [
        &["run", "--json"][..],
        &["run", "--plan", "--json"],
        &["run", "--list", "--json"],
        &["runs", "--json"],
        &["logs", "--json"],
        &["why", "--json"],
        &["check", "--json"],
        &["doctor", "--json"],
        &["prune", "--dry-run", "--json"],
        &["explain", "LL0201", "--json"],
        &["eval", "github.ref", "--json"],
        &["logs", "999", "--json"],
        &["--json"],
    ] {
        let ran = repository.loopline(arguments);
        assert!(!ran.out.is_empty() || arguments[0] == "why", "{arguments:?}: {}", ran.all());
        for line in ran.out.lines() {
            let parsed: Result<serde_json::Value, _> = serde_json::from_str(line);
            assert!(parsed.is_ok(), "{arguments:?} printed {line}");
        }
    }
}
