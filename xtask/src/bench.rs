//! `cargo xtask bench pipelines`: Loopline beside plain bash, and act where it is installed.
//!
//! Every case is run by one contestant after the other, each several times in a row, so that what
//! one leaves behind does not slow the next; the table shows medians and what they mean: milliseconds beyond bash, and how many times faster than act. Nothing is
//! asserted here: machines differ, ratios are for reading.
#![expect(clippy::disallowed_methods, reason = "a benchmark starts processes and reads the clock")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use fs_err as fs;

/// How often each contestant runs each case.
const ROUNDS: usize = 5;

struct Case {
    name: &'static str,
    workflow: String,
    /// What bash does instead.
    script: String,
    /// Steps and jobs, for the numbers per step and per job.
    steps: u32,
    jobs: u32,
}

struct Contestant {
    name: &'static str,
    command: Box<dyn Fn(&Path) -> Command>,
}

/// Runs the benchmark and returns the table.
pub(crate) fn pipelines(root: &Path) -> anyhow::Result<String> {
    let status = Command::new("cargo")
        .args(["build", "--release", "--package", "loopline"])
        .current_dir(root)
        .status()
        .context("cargo")?;
    if !status.success() {
        bail!("the release build failed");
    }
    let binary = release_binary(root)?;
    let scratch = root.join("target/bench");
    fs::create_dir_all(&scratch)?;
    let mut table = String::new();
    writeln!(table, "| case | {} |", titles(&contestants(&binary, &scratch)).join(" | "))?;
    writeln!(table, "|---|{}", "---|".repeat(titles(&contestants(&binary, &scratch)).len()))?;
    for case in cases() {
        let folder = scratch.join(case.name.replace(' ', "-"));
        prepare(&folder, &case)?;
        let contestants = contestants(&binary, &scratch);
        let mut times: Vec<Vec<Duration>> = vec![Vec::new(); contestants.len()];
        let mut failed = vec![false; contestants.len()];
        for (index, contestant) in contestants.iter().enumerate() {
            for _ in 0..ROUNDS {
                if failed[index] {
                    continue;
                }
                let mut command = (contestant.command)(&folder);
                command.current_dir(&folder).stdout(Stdio::null()).stderr(Stdio::null());
                let started = Instant::now();
                let status = command.status();
                times[index].push(started.elapsed());
                failed[index] = !status.is_ok_and(|status| status.success());
            }
        }
        let medians: Vec<Option<Duration>> =
            times.into_iter().zip(&failed).map(|(times, failed)| median(times, *failed)).collect();
        let bash = medians[0].unwrap_or_default();
        let mut row = format!("| {} ", case.name);
        for (index, median) in medians.iter().enumerate() {
            let cell = match median {
                None => "failed".to_owned(),
                Some(median) if index == 0 => format!("{:.1} ms", ms(*median)),
                Some(median) => {
                    let over = ms(*median) - ms(bash);
                    let per_step = over / f64::from(case.steps.max(1));
                    let per_job = over / f64::from(case.jobs.max(1));
                    format!(
                        "{:.1} ms ({over:+.1}; {per_step:.2}/step, {per_job:.2}/job)",
                        ms(*median)
                    )
                }
            };
            write!(row, "| {cell} ")?;
        }
        let act = contestants.iter().position(|contestant| contestant.name == "act");
        if let (Some(Some(act)), Some(host)) = (act.map(|index| medians[index]), medians[1]) {
            let over = |time: Duration| (ms(time) - ms(bash)).max(0.01);
            write!(row, "| {:.1}x |", over(act) / over(host))?;
        } else {
            write!(row, "| |")?;
        }
        writeln!(table, "{row}")?;
    }
    Ok(table)
}

fn titles(contestants: &[Contestant]) -> Vec<&'static str> {
    let mut titles: Vec<_> = contestants.iter().map(|contestant| contestant.name).collect();
    titles.push("act's overhead / ours");
    titles
}

fn release_binary(root: &Path) -> anyhow::Result<PathBuf> {
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let binary = target.join("release/loopline");
    if !binary.exists() {
        bail!("{} is not there", binary.display());
    }
    Ok(binary)
}

fn contestants(binary: &Path, scratch: &Path) -> Vec<Contestant> {
    let ours = |name: &'static str, executor: &'static str| {
        let (binary, data) = (binary.to_path_buf(), scratch.join("data"));
        Contestant {
            name,
            command: Box::new(move |_| {
                let mut command = Command::new(&binary);
                command.env("LOOPLINE_DATA", &data).args(["run", "--executor", executor]);
                command
            }),
        }
    };
    let mut all = vec![
        Contestant {
            name: "bash",
            command: Box::new(|folder| {
                let mut command = Command::new("bash");
                command.arg(folder.join("bench.sh"));
                command
            }),
        },
        ours("loopline host", "host"),
        ours("loopline sandbox", "sandbox"),
    ];
    let act = Command::new("act").arg("--version").stdout(Stdio::null()).status();
    if act.is_ok_and(|status| status.success()) {
        all.push(Contestant {
            name: "act",
            command: Box::new(|_| {
                let mut command = Command::new("act");
                command.args(["push", "-P", "ubuntu-latest=-self-hosted"]);
                command
            }),
        });
    }
    all
}

fn prepare(folder: &Path, case: &Case) -> anyhow::Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fs::create_dir_all(folder.join(".github/workflows"))?;
    fs::write(folder.join(".github/workflows/bench.yml"), &case.workflow)?;
    fs::write(folder.join("bench.sh"), &case.script)?;
    for arguments in [
        &["init", "-q", "-b", "main"][..],
        &["add", "-A"],
        &["-c", "user.name=b", "-c", "user.email=b@b", "commit", "-qm", "bench"],
    ] {
        let status = Command::new("git").args(arguments).current_dir(folder).status()?;
        if !status.success() {
            bail!("git {arguments:?} failed");
        }
    }
    Ok(())
}

fn cases() -> Vec<Case> {
    let job = |name: &str, needs: &str, steps: usize, run: &str| {
        let steps = format!("      - run: {run}\n").repeat(steps);
        format!("  {name}:\n    runs-on: ubuntu-latest\n{needs}    steps:\n{steps}")
    };
    let workflow = |jobs: String| format!("on: push\njobs:\n{jobs}");
    let parallel =
        |count: usize| format!("for i in $(seq {count}); do bash -e -c true & done; wait\n");
    let chain: String = (0..10)
        .map(|index| {
            let needs = match index {
                0 => String::new(),
                _ => format!("    needs: j{}\n", index - 1),
            };
            job(&format!("j{index}"), &needs, 1, "'true'")
        })
        .collect();
    let matrix = "  m:\n    runs-on: ubuntu-latest\n    strategy:\n      matrix:\n        \
                  a: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]\n        \
                  b: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]\n    \
                  steps:\n      - run: 'true'\n";
    vec![
        Case {
            name: "1 job, 1 step",
            workflow: workflow(job("j", "", 1, "'true'")),
            script: "bash -e -c true\n".to_owned(),
            steps: 1,
            jobs: 1,
        },
        Case {
            name: "1 job, 50 steps",
            workflow: workflow(job("j", "", 50, "'true'")),
            script: "for i in $(seq 50); do bash -e -c true; done\n".to_owned(),
            steps: 50,
            jobs: 1,
        },
        Case {
            name: "20 jobs, 1 step",
            workflow: workflow((0..20).map(|i| job(&format!("j{i}"), "", 1, "'true'")).collect()),
            script: parallel(20),
            steps: 20,
            jobs: 20,
        },
        Case {
            name: "10 jobs in a chain",
            workflow: workflow(chain),
            script: "for i in $(seq 10); do bash -e -c true; done\n".to_owned(),
            steps: 10,
            jobs: 10,
        },
        Case {
            name: "256-leg matrix",
            workflow: workflow(matrix.to_owned()),
            script: parallel(256),
            steps: 256,
            jobs: 256,
        },
        Case {
            name: "200k log lines",
            workflow: workflow(job("j", "", 1, "seq 200000")),
            script: "bash -e -c 'seq 200000'\n".to_owned(),
            steps: 1,
            jobs: 1,
        },
    ]
}

fn median(mut times: Vec<Duration>, failed: bool) -> Option<Duration> {
    if failed || times.is_empty() {
        return None;
    }
    times.sort_unstable();
    Some(times[times.len() / 2])
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
