//! Measures what a run costs beyond its processes: `cargo run --release -p loopline-runner
//! --example run_overhead`. Prints the median of several runs, in milliseconds.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement for developers")]
#![expect(clippy::disallowed_methods, reason = "it needs the PATH of whoever measures")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use loopline_clock::Clock;
use loopline_runner::actions::NoBuiltins;
use loopline_runner::host::{
    Actions, Claim, FetchError, FetchedAction, Folders, GroupRefusal, Groups, Host, HostError,
    Keep, Machines, NoServices, NothingProtected, default_job_limit,
};
use loopline_runner::log::Masker;
use loopline_runner::{Cancel, run};
use loopline_sandbox::Machine;
use loopline_source::SourceFile;
use loopline_workflow::github::event::{Event, Facts, RunFacts};
use loopline_workflow::github::{parse, plan, schedule};
use loopline_workflow::run::{Conclusion, JobKey, Recorder};

const REPEATS: usize = 9;

struct Silent;

impl Recorder for Silent {
    fn event(&self, _: &loopline_workflow::run::Event) {}

    fn log(&self, _: &JobKey, _: u32, _: &[u8]) {}
}

struct Nothing;

impl Machines for Nothing {
    fn machine(&self, job: &JobKey, _: &Folders) -> Result<Arc<dyn Machine>, HostError> {
        Ok(Arc::new(loopline_sandbox::Host::new(job.as_str())))
    }
}

impl Actions for Nothing {
    fn fetch(&self, _: &str, _: &str, _: &str) -> Result<FetchedAction, FetchError> {
        Err("there are none".into())
    }
}

impl Groups for Nothing {
    fn take(
        &self,
        _: &Claim,
        _: &Cancel,
        _: &mut dyn FnMut(&str),
    ) -> Result<Box<dyn Send>, GroupRefusal> {
        Ok(Box::new(()))
    }
}

fn once(text: &str, clock: &Clock) -> f64 {
    let folder = tempfile::tempdir().unwrap();
    let started = clock.monotonic();
    let file = SourceFile::new(".github/workflows/test.yml", text);
    let (workflow, errors) =
        parse::workflow(&file, &parse::Options::default(), &mut |_: &str, _: &SourceFile| None);
    assert!(errors.is_empty());
    let facts = Facts::default();
    let planned = plan::plan(plan::Request {
        workflow: Arc::new(workflow),
        event: Event::synthesize("push", &facts, &BTreeMap::new(), None).unwrap(),
        facts,
        run: RunFacts::default(),
        inputs: BTreeMap::new(),
        vars: BTreeMap::new(),
        secrets: BTreeMap::new(),
        settings: plan::Settings::default(),
    })
    .unwrap();
    let options =
        schedule::Options { limit: Some(default_job_limit()), ..schedule::Options::default() };
    let host = Host {
        recorder: Arc::new(Silent),
        clock: clock.clone(),
        machines: Arc::new(Nothing),
        actions: Arc::new(Nothing),
        builtins: Arc::new(NoBuiltins),
        services: Arc::new(NoServices),
        approvals: Arc::new(NothingProtected),
        groups: Arc::new(Nothing),
        masker: Masker::new(),
        environment: Arc::new([("PATH".to_owned(), std::env::var("PATH").unwrap())].into()),
        repository: folder.path().to_path_buf(),
        folder: folder.path().join("run"),
        tool_cache: folder.path().join("tools"),
        node: None,
        runner_name: "bench".to_owned(),
        debug: false,
        keep: Keep::Nothing,
        jobs: loopline_runner::JobTokens::default(),
    };
    let conclusion =
        run(schedule::Run::new(&planned, options), Arc::new(host), &Cancel::new().unwrap());
    assert_eq!(conclusion.unwrap(), Conclusion::Success);
    (clock.monotonic() - started).as_secs_f64() * 1000.0
}

fn measure(name: &str, text: &str) {
    let clock = Clock::real();
    let mut times: Vec<f64> = (0..REPEATS).map(|_| once(text, &clock)).collect();
    times.sort_by(f64::total_cmp);
    println!("{name:<24} {:>9.2} ms (best {:.2})", times[REPEATS / 2], times[0]);
}

fn job(id: &str, more: &str, steps: usize) -> String {
    let mut text = format!("  {id}:\n    runs-on: ubuntu-latest\n{more}    steps:\n");
    for _ in 0..steps {
        text.push_str("      - run: 'true'\n");
    }
    text
}

fn main() {
    let head = "on: push\njobs:\n";
    measure("1 job x 1 step", &format!("{head}{}", job("a", "", 1)));
    measure("1 job x 50 steps", &format!("{head}{}", job("a", "", 50)));
    let mut many = head.to_owned();
    (0..20).for_each(|number| many.push_str(&job(&format!("j{number}"), "", 1)));
    measure("20 jobs x 1 step", &many);
    let mut chain = format!("{head}{}", job("j0", "", 1));
    for number in 1..10 {
        write!(
            chain,
            "{}",
            job(&format!("j{number}"), &format!("    needs: j{}\n", number - 1), 1)
        )
        .unwrap();
    }
    measure("chain of 10 jobs", &chain);
    let legs: Vec<String> = (0..256).map(|leg| leg.to_string()).collect();
    let matrix = format!("    strategy:\n      matrix:\n        n: [{}]\n", legs.join(", "));
    measure("matrix of 256 legs", &format!("{head}{}", job("m", &matrix, 1)));
}
