//! What a run promises of its record: with a full disk, and killed at any point.
#![expect(clippy::disallowed_methods, reason = "a test starts, mounts and kills")]

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use crate::repository::{Ran, Repository};

/// How often a run is killed, each time one event later.
const KILLS: usize = 30;

fn workflow(steps: &str) -> String {
    format!("on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps:\n{steps}")
}

/// Runs Loopline with a data folder of `size` in a mount namespace of its own.
#[expect(clippy::print_stdout, reason = "a test that is skipped says so")]
fn with_little_space(repository: &Repository, size: &str, commands: &[&str]) -> Option<Ran> {
    let data = repository.scratch().join("small");
    fs_err::create_dir_all(&data).unwrap();
    let mut script =
        format!("mount -t tmpfs -o size={size} tmpfs '{}' || exit 111\n", data.display());
    for command in commands {
        script.push_str(&format!("\"$0\" {command}; echo \"exit $?\"\n"));
    }
    let loopline = repository.command(&[]);
    let mut command = Command::new("unshare");
    command.args(["--mount", "--map-root-user", "sh", "-c", &script]).arg(loopline.get_program());
    command.current_dir(repository.path());
    for (name, value) in loopline.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.env("LOOPLINE_DATA", &data);
    let ran = match command.output() {
        Ok(output) => Ran::of(&output),
        Err(error) => {
            println!("SKIPPED: unshare: {error}");
            return None;
        }
    };
    if ran.code == Some(111) || !ran.out.contains("exit ") {
        println!("SKIPPED: no file system may be mounted here: {}", ran.err);
        return None;
    }
    Some(ran)
}

#[test]
fn a_run_whose_record_does_not_fit_on_the_disk_is_never_green() {
    let large = "head -c 6000000 /dev/zero | tr '\\0' x | fold -w 99";
    for (size, steps) in [
        // The log of the last step is lost, and everything else is kept.
        ("2m", format!("      - run: {large}\n")),
        ("2m", format!("      - run: {large}\n        continue-on-error: true\n")),
        ("64k", format!("      - run: {large}\n      - run: echo next\n")),
        ("2m", format!("      - run: {large} > big; cat big\n")),
    ] {
        let repository = Repository::new([(".github/workflows/ci.yml", &*workflow(&steps))]);
        let commands = ["run --executor host", "runs"];
        let Some(ran) = with_little_space(&repository, size, &commands) else { return };
        let said = ran.all();
        assert!(
            ran.out.contains("exit 1\n") || ran.out.contains("exit 70\n"),
            "{size} {steps}: {said}"
        );
        assert!(said.contains("No space left on device"), "{size} {steps}: {said}");
        // Neither the list of runs nor the last line of the run says otherwise.
        assert!(!ran.out.contains("  success"), "{size} {steps}: {said}");
        assert!(!ran.err.contains("success  in"), "{size} {steps}: {said}");
    }
    // A job that is tolerated does not make it green either.
    let tolerated = format!(
        "on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    continue-on-error: true\n    steps:\n      - run: {large}\n"
    );
    let repository = Repository::new([(".github/workflows/ci.yml", &*tolerated)]);
    let commands = ["run --executor host", "runs"];
    let Some(ran) = with_little_space(&repository, "2m", &commands) else { return };
    assert!(ran.out.contains("exit 1\n") && !ran.out.contains("  success"), "{}", ran.all());
}

#[test]
fn a_run_killed_at_any_point_keeps_what_it_said_and_goes_on_from_there() {
    let repository = Repository::new([(
        ".github/workflows/ci.yml",
        "on: push\nenv: {MARKS: '${{ vars.MARKS }}'}\njobs:\n  \
         a:\n    runs-on: ubuntu-latest\n    outputs: {x: '${{ steps.s.outputs.x }}'}\n    \
         steps:\n      - run: echo a >> \"$MARKS\"; echo line-a1; echo line-a2\n      \
         - id: s\n        run: echo x=41 >> $GITHUB_OUTPUT; echo line-a3\n  \
         b:\n    needs: a\n    runs-on: ubuntu-latest\n    \
         steps:\n      - run: echo b >> \"$MARKS\"; echo line-b1 ${{ needs.a.outputs.x }}\n      \
         - run: echo line-b2\n  \
         c:\n    needs: b\n    runs-on: ubuntu-latest\n    \
         steps:\n      - run: echo c >> \"$MARKS\"; echo line-c1\n",
    )]);
    let mut number = 0;
    for after in 1..=KILLS {
        let marks = repository.scratch().join(format!("marks-{after}"));
        let marks_variable = format!("MARKS={}", marks.display());
        let arguments = ["run", "--json", "--executor", "host", "--var", &marks_variable];
        let mut command = repository.command(&arguments);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let said: Vec<serde_json::Value> =
            lines.take(after).map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect();
        child.kill().unwrap();
        let ended = child.wait().unwrap();
        number += 1;
        let run = number.to_string();
        let text =
            |value: &serde_json::Value, key: &str| value[key].as_str().unwrap_or("").to_owned();
        let logs = repository.loopline(&["logs", &run]);
        for event in said.iter().filter(|event| event["event"] == "log") {
            let line = text(event, "line");
            assert!(logs.out.contains(&line), "kill {after}: `{line}` is lost:\n{}", logs.all());
        }
        if ended.code() == Some(0) {
            // It was done before it was killed.
            continue;
        }
        let runs = repository.loopline(&["runs"]);
        let listed =
            runs.out.lines().find(|line| line.trim_start().starts_with(&format!("{run} ")));
        let finished = said.iter().any(|event| event["event"] == "run_finished");
        let right =
            listed.is_some_and(|line| line.contains("interrupted") || line.contains("success"));
        assert!(
            right && !(finished && listed.unwrap().contains("interrupted")),
            "kill {after}: {}",
            runs.all()
        );
        let rerun = repository.loopline(&["rerun", &run, "--failed"]);
        number += 1;
        assert_eq!(rerun.code, Some(0), "kill {after}: {}", rerun.all());
        let marks = fs_err::read_to_string(&marks).unwrap_or_default();
        for job in ["a", "b", "c"] {
            let done = said.iter().any(|it| it["event"] == "job_finished" && it["job"] == job);
            let times = marks.lines().filter(|mark| *mark == job).count();
            assert!(
                if done { times == 1 } else { (1..=2).contains(&times) },
                "kill {after}: job {job} ran {times} times, finished before: {done}"
            );
        }
    }
}
