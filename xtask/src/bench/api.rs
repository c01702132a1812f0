//! `cargo xtask bench api`: the API server alone, and its store beside etcd.
//!
//! Everything is measured in a release build: a debug build of this program builds the release
//! and hands over to it. Figures come with the machine's load at that moment and, where a process
//! of its own serves, with its processor time, because wall time alone says little on a machine
//! that has other work. The rounds of contestants alternate; medians are shown.
#![expect(clippy::disallowed_methods, reason = "a benchmark starts processes and reads the clock")]

mod etcd;
mod load;
mod process;
mod watching;
mod wire;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use fs_err as fs;
use loopline_apiserver::{Options, Server};
use loopline_store::object::{Durability, SqliteOptions, SqliteStore};

use load::{Ours, Rate};
use process::{Process, load_average};

/// How many clients write at a time, case by case.
const WRITERS: &[usize] = &[1, 16, 64];
/// How many watchers wait, case by case.
const WATCHERS: &[usize] = &[1, 100, 1000];
/// How often every rate is measured.
const ROUNDS: usize = 3;
/// How often a server is started.
const STARTS: usize = 9;
/// How long each rate is measured.
const STRETCH: Duration = Duration::from_secs(2);
/// How many objects the larger of the two stores holds that are started from.
const OBJECTS: usize = 10_000;

/// What can be measured by itself.
const PARTS: &[&str] = &["start", "writes", "reads", "watches"];

/// Runs the benchmark, or the parts of it that are named, and prints its figures as they come.
pub(crate) fn api(root: &Path, parts: &[&str]) -> anyhow::Result<()> {
    if let Some(unknown) = parts.iter().find(|part| !PARTS.contains(part)) {
        bail!("there is no part {unknown:?}; there are: {}", PARTS.join(", "));
    }
    if cfg!(debug_assertions) {
        // Both in one build, so that what they share is built once.
        let status = Command::new("cargo")
            .args(["build", "--release", "--package", "loopline", "--package", "xtask"])
            .current_dir(root)
            .status()
            .context("cargo")?;
        if !status.success() {
            bail!("the release build failed");
        }
        let program = super::release_binary(root)?.with_file_name("xtask");
        let status =
            Command::new(&program).args(["bench", "api"]).args(parts).current_dir(root).status();
        if !status.with_context(|| program.display().to_string())?.success() {
            bail!("the benchmark failed");
        }
        return Ok(());
    }
    let binary = super::release_binary(root)?;
    let scratch = super::empty_folder(&root.join("target/bench-api"))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let asked = |part| parts.is_empty() || parts.contains(&part);
    runtime.block_on(async {
        if asked("start") {
            starts(&binary, &scratch).await?;
        }
        if asked("writes") {
            writes(&binary, &scratch).await?;
        }
        if asked("reads") {
            reads(&binary, &scratch).await?;
        }
        if asked("watches") {
            watches(&binary, &scratch).await?;
        }
        anyhow::Ok(())
    })?;
    fs::remove_dir_all(&scratch)?;
    Ok(())
}

/// Cold starts and idle memory.
async fn starts(binary: &Path, scratch: &Path) -> anyhow::Result<()> {
    println!("| start | median to /readyz | least | resident, idle | of it anonymous | load |");
    println!("|---|---|---|---|---|---|");
    for (name, objects, goal_ms) in [("empty", 0, 100.0), ("10,000 objects", OBJECTS, 400.0)] {
        let data = scratch.join(format!("start-{objects}"));
        if objects > 0 {
            let server = Process::start(binary, &data).await?;
            load::fill(server.address(), objects).await?;
        }
        let mut times = Vec::new();
        let mut memory = (0, 0);
        for round in 0..STARTS {
            if objects == 0 && data.exists() {
                fs::remove_dir_all(&data)?;
            }
            let server = Process::start(binary, &data).await?;
            times.push(server.ready_ms());
            if round + 1 == STARTS {
                tokio::time::sleep(Duration::from_secs(2)).await;
                memory = server.memory_kib()?;
            }
        }
        times.sort_by(f64::total_cmp);
        println!(
            "| {name} | {:.1} ms (goal {goal_ms:.0}) | {:.1} ms | {:.1} MB (goal 40) | {:.1} MB | \
             {} |",
            median(&times),
            times[0],
            megabytes(memory.0),
            megabytes(memory.1),
            load_average(),
        );
    }
    println!();
    Ok(())
}

/// Durable writes: ours by three ways, and etcd's.
async fn writes(binary: &Path, scratch: &Path) -> anyhow::Result<()> {
    let etcd = etcd::installed();
    if !etcd {
        println!("etcd is not on PATH (Debian: etcd-server): its columns are left out\n");
    }
    println!(
        "| durable writes of 1 KiB, a second | store put, in process | API create, in process | \
         API create, HTTP | etcd put, gRPC | store / etcd | HTTP create / etcd | load |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for &writers in WRITERS {
        let mut rates: [Vec<Rate>; 4] = Default::default();
        for round in 0..ROUNDS {
            let fresh = |name: &str| scratch.join(format!("{name}-{writers}-{round}"));
            let store = Arc::new(open(&fresh("store"))?);
            rates[0].push(load::puts(&store, writers, STRETCH).await?);
            drop(store);
            let ours = Ours::InProcess(server(&fresh("in-process")).await?);
            rates[1].push(load::creates(&ours, writers, STRETCH).await?);
            drop(ours);
            let process = Process::start(binary, &fresh("http")).await?;
            let ours = Ours::Http(process.address());
            rates[2].push(process.charge(load::creates(&ours, writers, STRETCH)).await?);
            drop(process);
            if etcd {
                let process = etcd::start(&fresh("etcd")).await?;
                let puts = etcd::puts(process.address(), writers, STRETCH);
                rates[3].push(process.charge(puts).await?);
            }
        }
        let medians: Vec<Option<Rate>> = rates.iter_mut().map(|it| Rate::median(it)).collect();
        let cell = |index: usize| medians[index].map_or("-".to_owned(), |rate| rate.to_string());
        let ratio = |index: usize| match (medians[index], medians[3]) {
            (Some(ours), Some(theirs)) => format!("{:.2}x", ours.per_second / theirs.per_second),
            _ => "-".to_owned(),
        };
        println!(
            "| {writers} writers | {} | {} | {} | {} | {} | {} | {} |",
            cell(0),
            cell(1),
            cell(2),
            cell(3),
            ratio(0),
            ratio(2),
            load_average(),
        );
    }
    println!("\ngoals at 64 writers: 5,000 creates/s, 2x etcd\n");
    Ok(())
}

/// Reads of one object and of lists.
async fn reads(binary: &Path, scratch: &Path) -> anyhow::Result<()> {
    let data = scratch.join("reads");
    let process = Process::start(binary, &data).await?;
    load::fill(process.address(), load::READ_OBJECTS).await?;
    println!("| reads, a second, 16 clients | in process | HTTP | load |");
    println!("|---|---|---|---|");
    let ours = Ours::InProcess(server(&scratch.join("reads-in-process")).await?);
    ours.fill(load::READ_OBJECTS).await?;
    for (name, path) in [
        ("GET", "/api/v1/namespaces/default/configmaps/fill-7"),
        ("LIST of 500", "/api/v1/namespaces/default/configmaps?limit=500"),
        ("LIST of 500, 1 in 100 by label", "/api/v1/configmaps?labelSelector=hundredth%3D7"),
    ] {
        let mut inside = Vec::new();
        let mut outside = Vec::new();
        for _ in 0..ROUNDS {
            inside.push(load::gets(&ours, path, 16, STRETCH).await?);
            let http = Ours::Http(process.address());
            outside.push(process.charge(load::gets(&http, path, 16, STRETCH)).await?);
        }
        let cell = |rates: &mut Vec<Rate>| Rate::median(rates).map(|it| it.to_string());
        println!(
            "| {name} | {} | {} | {} |",
            cell(&mut inside).unwrap_or_default(),
            cell(&mut outside).unwrap_or_default(),
            load_average(),
        );
    }
    println!();
    Ok(())
}

/// How long events take to reach those who watch.
async fn watches(binary: &Path, scratch: &Path) -> anyhow::Result<()> {
    println!(
        "| watch delivery, p50 / p99 | in process, from the answer | in process, from the request \
         | HTTP, from the answer | HTTP, from the request | load |"
    );
    println!("|---|---|---|---|---|---|");
    for &watchers in WATCHERS {
        let ours = Ours::InProcess(server(&scratch.join(format!("watch-{watchers}"))).await?);
        let inside = watching::measure(&ours, watchers).await?;
        drop(ours);
        let data = scratch.join(format!("watch-http-{watchers}"));
        let process = Process::start(binary, &data).await?;
        let outside = watching::measure(&Ours::Http(process.address()), watchers).await?;
        println!(
            "| {watchers} watchers | {} | {} | {} | {} | {} |",
            inside.after_answer,
            inside.after_request,
            outside.after_answer,
            outside.after_request,
            load_average(),
        );
    }
    println!("\ngoals: p99 under 5 ms in process; under 10 ms with 1,000 watchers");
    Ok(())
}

fn open(folder: &Path) -> anyhow::Result<SqliteStore> {
    Ok(SqliteStore::open(&SqliteOptions {
        folder: folder.to_path_buf(),
        durability: Durability::Full,
        owner: "a benchmark".to_owned(),
    })?)
}

/// Makes a server over a durable store.
async fn server(folder: &Path) -> anyhow::Result<Server> {
    let mut options = Options::ephemeral()?;
    options.store = Arc::new(open(folder)?);
    let server = Server::new(options);
    server.prepare().await.map_err(|status| anyhow::anyhow!("{status}"))?;
    Ok(server)
}

fn median(sorted: &[f64]) -> f64 {
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

#[expect(clippy::cast_precision_loss, reason = "sizes of processes fit")]
fn megabytes(kib: u64) -> f64 {
    kib as f64 / 1024.0
}
