//! `cargo xtask bench pipelines`: Loopline beside plain bash, and act where it is installed.
//!
//! Every case is run by one contestant after the other, each several times in a row, so that what
//! one leaves behind does not slow the next; the table shows medians, the processor time of all
//! processes, and what they mean: milliseconds beyond bash, and how many times faster than act.
//! Then come the cases with goals of their own. Nothing is asserted here: machines differ, ratios
//! are for reading.
#![expect(clippy::disallowed_methods, reason = "a benchmark starts processes")]

mod api;
mod containers;
mod goals;
mod measure;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};
use fs_err as fs;

pub(crate) use api::api;
pub(crate) use containers::containers;
use measure::{Taken, measure};

/// How often each contestant runs each case.
const ROUNDS: usize = 5;

/// How large the cases are whose size is a matter of patience.
pub(crate) struct Sizes {
    /// How many random graphs are run.
    pub(crate) graphs: u64,
    /// How much the step prints during which memory is watched.
    pub(crate) log_gigabytes: u64,
}

impl Sizes {
    /// Reads `--graphs N` and `--log-gigabytes N`.
    pub(crate) fn parse(arguments: &[&str]) -> anyhow::Result<Self> {
        let mut sizes = Self { graphs: 200, log_gigabytes: 2 };
        for pair in arguments.chunks(2) {
            let (name, number) = match pair {
                [name, number] => (*name, number.parse().with_context(|| name.to_string())?),
                _ => bail!("`{}` needs a number", pair.concat()),
            };
            match name {
                "--graphs" if number > 0 => sizes.graphs = number,
                "--log-gigabytes" if number > 0 => sizes.log_gigabytes = number,
                _ => bail!("no such option, or not above zero: `{name} {number}`"),
            }
        }
        Ok(sizes)
    }
}

/// Runs the benchmark of layers and registries, which is one of its own crate so that not
/// everything is built for it.
pub(crate) fn images(root: &Path, parts: &[&str]) -> anyhow::Result<()> {
    let status = Command::new("cargo")
        .args(["bench", "--package", "loopline-image", "--bench", "images", "--"])
        .args(parts)
        .current_dir(root)
        .status()
        .context("cargo")?;
    if !status.success() {
        bail!("the benchmark failed");
    }
    Ok(())
}

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

/// Runs the benchmark and prints the tables as far as they are known.
pub(crate) fn pipelines(root: &Path, sizes: &Sizes) -> anyhow::Result<()> {
    let binary = build_release(root)?;
    let scratch = empty_folder(&root.join("target/bench"))?;
    let mut table = String::new();
    let contestants = contestants(&binary, &scratch);
    writeln!(table, "| case | {} |", titles(&contestants).join(" | "))?;
    writeln!(table, "|---|{}", "---|".repeat(titles(&contestants).len()))?;
    let mut fixed = Taken::default();
    for case in cases() {
        let folder = scratch.join(case.name.replace(' ', "-"));
        repository(&folder, &case.workflow)?;
        fs::write(folder.join("bench.sh"), &case.script)?;
        let taken: Vec<Option<Taken>> = contestants
            .iter()
            .map(|contestant| {
                measure(ROUNDS, || {
                    let mut command = (contestant.command)(&folder);
                    command.current_dir(&folder);
                    command
                })
            })
            .collect();
        let bash = taken[0].unwrap_or_default();
        if case.steps == 1 && fixed.median_ms == 0.0 {
            fixed = taken[1].unwrap_or_default();
        }
        write!(table, "| {} ", case.name)?;
        for (index, taken) in taken.iter().enumerate() {
            write!(table, "| {} ", cell(*taken, (index > 0).then_some(bash), &case))?;
        }
        let act = contestants.iter().position(|contestant| contestant.name == "act");
        if let (Some(Some(act)), Some(host)) = (act.map(|index| taken[index]), taken[1]) {
            let over = |taken: Taken| (taken.median_ms - bash.median_ms).max(0.01);
            writeln!(
                table,
                "| {:.1}x ({:.1}x in all) |",
                over(act) / over(host),
                act.median_ms / host.median_ms
            )?;
        } else {
            writeln!(table, "| |")?;
        }
    }
    print!("{table}");
    goals::print_table(&binary, &scratch, sizes, fixed)?;
    fs::remove_dir_all(&scratch)?;
    Ok(())
}

/// Shows what a contestant took: the median, the least, the processor time, and beside bash the
/// rest by step and by job.
fn cell(taken: Option<Taken>, bash: Option<Taken>, case: &Case) -> String {
    let Some(taken) = taken else { return "failed".to_owned() };
    let own =
        format!("{:.1} ms (least {:.1}, cpu {:.0})", taken.median_ms, taken.least_ms, taken.cpu_ms);
    let Some(bash) = bash else { return own };
    let over = taken.median_ms - bash.median_ms;
    format!(
        "{own}: {over:+.1}, {:.2}/step, {:.2}/job",
        over / f64::from(case.steps.max(1)),
        over / f64::from(case.jobs.max(1))
    )
}

/// A run of the only workflow of a folder.
fn run(binary: &Path, scratch: &Path, folder: &Path, executor: &str) -> Command {
    let mut command = Command::new(binary);
    command.env("LOOPLINE_DATA", scratch.join("data")).args(["run", "--executor", executor]);
    command.current_dir(folder);
    command
}

/// What one contestant took, or that it is not there.
fn contestant_cell(taken: Option<Taken>) -> String {
    match taken {
        Some(Taken { median_ms, least_ms, cpu_ms }) => {
            format!("{median_ms:.1} ms (least {least_ms:.1}, cpu {cpu_ms:.0})")
        }
        None => "not installed, or it failed".to_owned(),
    }
}

fn titles(contestants: &[Contestant]) -> Vec<&'static str> {
    let mut titles: Vec<_> = contestants.iter().map(|contestant| contestant.name).collect();
    titles.push("act's overhead / ours");
    titles
}

/// Builds what is measured.
fn build_release(root: &Path) -> anyhow::Result<PathBuf> {
    let status = Command::new("cargo")
        .args(["build", "--release", "--package", "loopline"])
        .current_dir(root)
        .status()
        .context("cargo")?;
    if !status.success() {
        bail!("the release build failed");
    }
    release_binary(root)
}

/// Makes a folder anew.
fn empty_folder(folder: &Path) -> anyhow::Result<PathBuf> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fs::create_dir_all(folder)?;
    Ok(folder.to_owned())
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
        let (binary, scratch) = (binary.to_path_buf(), scratch.to_path_buf());
        Contestant {
            name,
            command: Box::new(move |folder| run(&binary, &scratch, folder, executor)),
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

/// Makes a folder anew, with one workflow.
fn repository(folder: &Path, workflow: &str) -> anyhow::Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    commit(folder, workflow)
}

/// Makes a repository of a folder and a workflow.
fn commit(folder: &Path, workflow: &str) -> anyhow::Result<()> {
    fs::create_dir_all(folder.join(".github/workflows"))?;
    fs::write(folder.join(".github/workflows/bench.yml"), workflow)?;
    for arguments in [
        &["init", "-q", "-b", "main"][..],
        &["add", "-A"],
        &["-c", "user.name=b", "-c", "user.email=b@b", "commit", "-qm", "bench"],
    ] {
        measure::prepare(Command::new("git").args(arguments).current_dir(folder))?;
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
