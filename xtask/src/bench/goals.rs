//! The cases with a goal of their own: random graphs of jobs, long files, large trees, long logs.
#![expect(clippy::disallowed_methods, reason = "a benchmark starts processes")]

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use anyhow::Context as _;
use fs_err as fs;

use super::measure::{Taken, measure, peak_memory, prepare};
use super::{Sizes, repository, run};

/// How often each case is run.
const ROUNDS: usize = 5;
/// The length of a step in a random graph: up to this many times five milliseconds.
const SLEEPS: u64 = 5;

/// Measures all cases and prints their table, row by row. `fixed` is what a run of one step takes.
pub(super) fn print_table(
    binary: &Path,
    scratch: &Path,
    sizes: &Sizes,
    fixed: Taken,
) -> anyhow::Result<()> {
    println!("\n| goal | measured | beside | ratio |\n|---|---|---|---|");
    let mut row = String::new();
    let show = |row: &mut String| {
        print!("{row}");
        row.clear();
    };
    graphs(binary, scratch, sizes.graphs, fixed, &mut row)?;
    show(&mut row);
    long_files(binary, scratch, &mut row)?;
    show(&mut row);
    large_tree(binary, scratch, fixed, &mut row)?;
    show(&mut row);
    log_lines(binary, scratch, fixed, &mut row)?;
    show(&mut row);
    memory(binary, scratch, sizes.log_gigabytes, &mut row)?;
    show(&mut row);
    Ok(())
}

/// A generator of numbers that are the same in every run (splitmix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound.max(1)
    }
}

/// Random graphs: how much longer they take than their longest path of sleeps, beside `make` with
/// the same graph and the same shell.
fn graphs(
    binary: &Path,
    scratch: &Path,
    count: u64,
    fixed: Taken,
    table: &mut String,
) -> anyhow::Result<()> {
    let folder = scratch.join("graphs");
    let (mut over, mut make_over) = (Vec::new(), Vec::new());
    for seed in 0..count {
        let mut dice = Dice(seed);
        let jobs = usize::try_from(4 + dice.below(17))?;
        let mut text = String::from("on: push\njobs:\n");
        let mut rules = String::from("SHELL = bash\n.SHELLFLAGS = -e -c\nall:");
        for job in 0..jobs {
            write!(rules, " j{job}")?;
        }
        rules.push('\n');
        let mut ends: Vec<u64> = Vec::new();
        for job in 0..jobs {
            let mut needs: Vec<usize> = Vec::new();
            for earlier in 0..job {
                if dice.below(u64::try_from(job)?) < 2 {
                    needs.push(earlier);
                }
            }
            let sleep_ms = 5 * (1 + dice.below(SLEEPS));
            let start = needs.iter().map(|need| ends[*need]).max().unwrap_or(0);
            ends.push(start + sleep_ms);
            let needs: Vec<_> = needs.iter().map(|need| format!("j{need}")).collect();
            writeln!(
                text,
                "  j{job}:\n    runs-on: ubuntu-latest\n    needs: [{}]\n    steps:\n      \
                 - run: sleep 0.{sleep_ms:03}",
                needs.join(", ")
            )?;
            // `true` keeps bash from replacing itself by the sleep, as a file of commands does.
            writeln!(rules, "j{job}: {}\n\tsleep 0.{sleep_ms:03}; true", needs.join(" "))?;
        }
        repository(&folder, &text)?;
        fs::write(folder.join("Makefile"), rules)?;
        let taken = measure(1, || run(binary, scratch, &folder, "host"))
            .with_context(|| format!("the graph of seed {seed} failed"))?;
        let critical_ms = f64::from(u32::try_from(ends.into_iter().max().unwrap_or(0))?);
        over.push(taken.median_ms - critical_ms);
        let make = measure(1, || {
            let mut command = Command::new("make");
            command.arg(format!("-j{jobs}")).current_dir(&folder);
            command
        });
        make_over.extend(make.map(|make| make.median_ms - critical_ms));
    }
    let (median, p95, max) = spread(&mut over);
    let beside = if make_over.is_empty() {
        "`make` is not installed | ".to_owned()
    } else {
        let (make_median, make_p95, make_max) = spread(&mut make_over);
        format!(
            "`make -j`: median {make_median:.1}, p95 {make_p95:.1}, max {make_max:.1} ms | {:.2}",
            median / make_median
        )
    };
    writeln!(
        table,
        "| {count} random graphs, beyond the critical path of their sleeps (20 ms) | median \
         {median:.1}, p95 {p95:.1}, max {max:.1} ms; {:.1} of it is 1 job of 1 step | {beside} |",
        fixed.median_ms,
    )?;
    Ok(())
}

/// Returns the median, the 95th percentile and the maximum of a list that is not empty.
fn spread(list: &mut [f64]) -> (f64, f64, f64) {
    list.sort_by(f64::total_cmp);
    let at = |share: usize| list[(list.len() * share / 100).min(list.len() - 1)];
    (at(50), at(95), at(100))
}

/// Files with many jobs: how long a plan takes, and whether that grows as they do.
fn long_files(binary: &Path, scratch: &Path, table: &mut String) -> anyhow::Result<()> {
    let mut found = Vec::new();
    for jobs in [1_000, 10_000] {
        let mut text = String::from("on: push\njobs:\n");
        for job in 0..jobs {
            writeln!(text, "  j{job}:\n    runs-on: ubuntu-latest")?;
            if job >= 10 {
                writeln!(text, "    needs: j{}", job - 10)?;
            }
            writeln!(text, "    steps:\n      - run: echo ${{{{ github.sha }}}}")?;
        }
        let folder = scratch.join(format!("long-{jobs}"));
        repository(&folder, &text)?;
        let taken = measure(ROUNDS, || {
            let mut command = run(binary, scratch, &folder, "host");
            command.arg("--plan");
            command
        });
        found.push(taken.with_context(|| format!("the plan of {jobs} jobs failed"))?);
    }
    let (small, large) = (found[0].least_ms, found[1].least_ms);
    writeln!(
        table,
        "| 10,000 jobs in a file, planned | {large:.0} ms | 1,000 jobs: {small:.0} ms | {:.1} (10 \
         is linear) |",
        large / small
    )?;
    Ok(())
}

/// A private copy of a work tree beside `cp -a`.
fn large_tree(
    binary: &Path,
    scratch: &Path,
    fixed: Taken,
    table: &mut String,
) -> anyhow::Result<()> {
    let folder = scratch.join("tree");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    for file in 0..10_000 {
        let parent = folder.join(format!("src/{:02}", file / 100));
        if file % 100 == 0 {
            fs::create_dir_all(&parent)?;
        }
        fs::write(parent.join(format!("{file}.txt")), format!("{file:02000}\n"))?;
    }
    let text = "on: push\njobs:\n  j:\n    runs-on: ubuntu-latest\n    steps:\n      \
                - uses: actions/checkout@v4\n";
    super::commit(&folder, text)?;
    let ours = measure(ROUNDS, || run(binary, scratch, &folder, "host"))
        .context("the run that checks a tree out failed")?;
    let copy = scratch.join("tree-copy");
    let theirs = measure(ROUNDS, || {
        let mut command = Command::new("sh");
        command.arg("-c").arg("rm -rf \"$1\" && cp -a \"$0\" \"$1\"").arg(&folder).arg(&copy);
        command
    })
    .context("cp failed")?;
    fs::remove_dir_all(&copy)?;
    let over = ours.median_ms - fixed.median_ms;
    writeln!(
        table,
        "| a private copy of 10,000 files, made and removed (300 ms) | {over:.0} ms | `cp -a`, \
         removed too: {:.0} ms | {:.2} |",
        theirs.median_ms,
        over / theirs.median_ms
    )?;
    Ok(())
}

/// How fast lines go through masks and matchers to the journal.
fn log_lines(
    binary: &Path,
    scratch: &Path,
    fixed: Taken,
    table: &mut String,
) -> anyhow::Result<()> {
    let folder = scratch.join("lines");
    const LINES: u32 = 2_000_000;
    let print =
        format!("yes 'compiling module core: 12 of 80 units are up to date' | head -n {LINES}");
    let text = format!(
        "on: push\njobs:\n  j:\n    runs-on: ubuntu-latest\n    steps:\n      - run: |\n          \
         echo '::add-mask::correct-horse-battery'\n          echo '::add-mask::s3cr3t/value+more'\n          \
         echo '{{\"problemMatcher\":[{{\"owner\":\"cc\",\"pattern\":[{{\"regexp\":\
         \"^(.+\\\\.c):(\\\\d+):(\\\\d+): (error|warning): (.*)$\",\"file\":1,\"line\":2,\
         \"column\":3,\"severity\":4,\"message\":5}}]}}]}}' > matcher.json\n          \
         echo '::add-matcher::matcher.json'\n          {print}\n"
    );
    repository(&folder, &text)?;
    let ours = measure(3, || run(binary, scratch, &folder, "host"))
        .context("the run that prints lines failed")?;
    let theirs = measure(3, || {
        let mut command = Command::new("bash");
        command.arg("-c").arg(&print);
        command
    })
    .context("bash failed")?;
    let rate = |ms: f64| f64::from(LINES) / ms / 1000.0;
    writeln!(
        table,
        "| log lines through masks and a matcher (2 M/s) | {:.2} M/s | bash to nowhere: {:.1} M/s \
         | {:.2} |",
        rate(ours.least_ms - fixed.least_ms),
        rate(theirs.least_ms),
        theirs.least_ms / (ours.least_ms - fixed.least_ms)
    )?;
    Ok(())
}

/// The most memory held while a step prints a lot.
fn memory(binary: &Path, scratch: &Path, gigabytes: u64, table: &mut String) -> anyhow::Result<()> {
    let mut found = Vec::new();
    for megabytes in [10, gigabytes * 1000] {
        let folder = scratch.join("memory");
        let text = format!(
            "on: push\njobs:\n  j:\n    runs-on: ubuntu-latest\n    steps:\n      - run: yes \
             'a line of a long log, as builds print them all day' | head -c {megabytes}000000\n"
        );
        repository(&folder, &text)?;
        found.push(peak_memory(run(binary, scratch, &folder, "host"))?);
        // The journal keeps what it was given.
        prepare(Command::new("rm").arg("-rf").arg(scratch.join("data")))?;
    }
    let (_, small) = found[0];
    let (ms, large) = found[1];
    let mebibytes = |kib: u64| f64::from(u32::try_from(kib).unwrap_or(u32::MAX)) / 1024.0;
    writeln!(
        table,
        "| peak memory while a step prints {gigabytes} GB (15 MB) | {:.1} MiB, in {:.1} s | a step \
         that prints 10 MB: {:.1} MiB | {:.2} |",
        mebibytes(large),
        ms / 1000.0,
        mebibytes(small),
        mebibytes(large) / mebibytes(small).max(0.1)
    )?;
    Ok(())
}
