//! Runs as scripts: reports in, actions out.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write;

use expect_test::{Expect, expect};
use loopline_workflow::github::expression::Value;
use loopline_workflow::github::schedule::{Action, JobResult, JobStart, Options, Run};
use loopline_workflow::run::{Conclusion, JobKey};

use crate::plan::{Given, plan_of, read};

/// Outputs by name.
pub(crate) type Outputs = Vec<(&'static str, &'static str)>;

/// What the driver of a test does when a job is started, and more.
#[derive(Default)]
pub(crate) struct Script {
    /// How a job ends: by key, or by the key's part before the dot; success where not said.
    pub(crate) results: BTreeMap<&'static str, (Conclusion, Outputs)>,
    /// Jobs that are not reported by themselves.
    pub(crate) hold: Vec<&'static str>,
    /// Cancels the run when this job is started.
    pub(crate) cancel_at: Option<&'static str>,
    /// Environments that nobody approves.
    pub(crate) reject: Vec<&'static str>,
    /// Claims that are refused.
    pub(crate) refuse: Vec<&'static str>,
    pub(crate) options: Options,
}

/// Runs to the end; returns what happened and how the run ended.
pub(crate) fn simulate(text: &str, given: Given, script: Script) -> (String, Option<Conclusion>) {
    let plan = match read(text).and_then(|workflow| plan_of(workflow, given)) {
        Ok(plan) => plan,
        Err(refused) => return (format!("refused\n{refused}\n"), None),
    };
    let mut run = Run::new(&plan, script.options);
    let mut log = String::new();
    let mut running: VecDeque<(JobKey, JobResult)> = VecDeque::new();
    let mut conclusion = None;
    loop {
        let actions = run.next();
        if actions.is_empty() {
            let Some((key, result)) = running.pop_front() else { break };
            writeln!(log, "< {key} {}", result.conclusion.as_str()).expect("text");
            run.finished(&key, result).expect("the job was started");
            continue;
        }
        for action in actions {
            show(&mut log, &action);
            match action {
                Action::Start(start) => {
                    let key = start.key.as_str();
                    let base = key.split('.').next().unwrap_or(key);
                    let found = script.results.get(key).or_else(|| script.results.get(base));
                    let (conclusion, outputs) =
                        found.cloned().unwrap_or((Conclusion::Success, Vec::new()));
                    let mut result = JobResult::of(conclusion);
                    result.outputs = outputs
                        .iter()
                        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                        .collect();
                    if script.cancel_at == Some(key) {
                        log.push_str("< cancel\n");
                        run.cancel();
                    }
                    if script.hold.contains(&key) || script.hold.contains(&base) {
                        running.push_back((start.key.clone(), result));
                    } else {
                        running.push_front((start.key.clone(), result));
                    }
                }
                Action::Cancel { key, .. } => {
                    for (running, result) in &mut running {
                        if *running == key {
                            *result = JobResult::of(Conclusion::Cancelled);
                        }
                    }
                }
                Action::NeedApproval { key, environment, .. } => {
                    let approved = !script.reject.contains(&environment.as_str());
                    run.decided(&key, approved, "the test").expect("it waits for approval");
                }
                Action::Acquire(claim) => {
                    if script.refuse.contains(&claim.group.as_str()) {
                        run.refused(claim.id, "a newer claim took its place").expect("a claim");
                    } else {
                        run.acquired(claim.id).expect("a claim");
                    }
                }
                Action::Finished { conclusion: found, .. } => conclusion = Some(found),
                _ => {}
            }
        }
    }
    assert!(run.is_finished(), "the run hangs:\n{log}");
    (log, conclusion)
}

fn show(log: &mut String, action: &Action) {
    let pairs = |outputs: &BTreeMap<String, String>| {
        outputs.iter().map(|(name, value)| format!(" {name}={value}")).collect::<String>()
    };
    let line = match action {
        Action::Queue { .. } => return,
        Action::Start(start) => {
            format!("> start {} \"{}\"{}", start.key, start.name, contexts(start))
        }
        Action::Skip { key, skip, .. } => {
            let trace = skip.trace.iter().map(|line| format!("\n      {line}")).collect::<String>();
            format!("> skip {key}: {}{trace}", skip.reason)
        }
        Action::Conclude { key, conclusion, error, place, .. } => {
            let at = place
                .as_ref()
                .map_or(String::new(), |place| format!(" at {}:{}", place.line, place.column));
            format!("> {} {key}: {error}{at}", conclusion.as_str())
        }
        Action::Reuse { key, outputs, .. } => format!("> reuse {key}{}", pairs(outputs)),
        Action::Cancel { key, reason } => format!("> cancel {key}: {reason}"),
        Action::NeedApproval { key, environment, .. } => format!("> approve {key} {environment}"),
        Action::Acquire(claim) => format!(
            "> acquire {} {} for {}{}{}",
            claim.id.0,
            claim.group,
            claim.job.as_ref().map_or("the run", JobKey::as_str),
            if claim.cancel_in_progress { ", cancels" } else { "" },
            if format!("{:?}", claim.queue) == "Max" { ", queues" } else { "" },
        ),
        Action::Release { claim } => format!("> release {}", claim.0),
        Action::Called { key, conclusion, outputs, .. } => {
            format!("> called {key} {}{}", conclusion.as_str(), pairs(outputs))
        }
        Action::Finished { conclusion, error } => format!(
            "> finished {}{}",
            conclusion.as_str(),
            error.as_ref().map_or(String::new(), |error| format!(": {error}"))
        ),
    };
    writeln!(log, "{line}").expect("text");
}

/// The contexts of a job that are not empty, in one line.
fn contexts(start: &JobStart) -> String {
    let mut text = String::new();
    let named = [
        ("matrix", &start.contexts.matrix),
        ("needs", &start.contexts.needs),
        ("inputs", &start.contexts.inputs),
        ("secrets", &start.contexts.secrets),
    ];
    for (name, value) in named {
        let json = Value::to_json(value).to_string();
        if !matches!(json.as_str(), "null" | "{}") {
            write!(text, " {name}={json}").expect("text");
        }
    }
    text
}

fn check(text: &str, script: Script, expected: Expect) {
    check_given(text, Given::default(), script, expected);
}

fn check_given(text: &str, given: Given, script: Script, expected: Expect) {
    expected.assert_eq(&simulate(text, given, script).0);
}

/// Jobs `NAME: NEEDS: IF` a line, all on one machine.
fn jobs(lines: &str) -> String {
    let mut text = String::from("on: push\njobs:\n");
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let mut parts = line.splitn(3, ':').map(str::trim);
        let (name, needs, condition) = (parts.next(), parts.next(), parts.next());
        write!(text, "  {}:\n    runs-on: ubuntu-latest\n", name.unwrap_or_default())
            .expect("text");
        if let Some(needs) = needs.filter(|it| !it.is_empty()) {
            writeln!(text, "    needs: [{needs}]").expect("text");
        }
        if let Some(condition) = condition.filter(|it| !it.is_empty()) {
            writeln!(text, "    if: {condition}").expect("text");
        }
        text.push_str("    steps: [{run: x}]\n");
    }
    text
}

const FAILURE: Conclusion = Conclusion::Failure;

#[test]
fn a_job_starts_the_moment_its_own_needs_are_done() {
    check(
        &jobs("slow\n b\n c: b\n d: c\n last: slow, d"),
        Script { hold: vec!["slow"], ..Script::default() },
        expect![[r#"
            > start slow "slow"
            > start b "b"
            < b success
            > start c "c" needs={"b":{"result":"success","outputs":{}}}
            < c success
            > start d "d" needs={"c":{"result":"success","outputs":{}}}
            < d success
            < slow success
            > start last "last" needs={"slow":{"result":"success","outputs":{}},"d":{"result":"success","outputs":{}}}
            < last success
            > finished success
        "#]],
    );
}

#[test]
fn success_looks_at_all_ancestors() {
    check(
        &jobs(
            "a
             b: a: always()
             c: b
             on_failure: b: failure()
             whatever: b: always()
             by_result: b: \"${{ always() && needs.b.result == 'success' }}\"
             cancelled: b: cancelled()",
        ),
        Script { results: BTreeMap::from([("a", (FAILURE, vec![]))]), ..Script::default() },
        expect![[r#"
            > start a "a"
            < a failure
            > start b "b" needs={"a":{"result":"failure","outputs":{}}}
            < b success
            > skip c: a job it depends on through others did not succeed
                  success() => false
            > skip cancelled: its condition does not hold
                  cancelled() => false
            > start on_failure "on_failure" needs={"b":{"result":"success","outputs":{}}}
            > start whatever "whatever" needs={"b":{"result":"success","outputs":{}}}
            > start by_result "by_result" needs={"b":{"result":"success","outputs":{}}}
            < by_result success
            < whatever success
            < on_failure success
            > finished failure
        "#]],
    );
}

#[test]
fn what_is_skipped_skips_what_needs_it() {
    check(
        &jobs("a:: github.ref == 'refs/heads/other'\n b: a\n c: b\n d: b: always()\n e: d"),
        Script::default(),
        expect![[r#"
            > skip a: its condition does not hold
                  success() && (github.ref == 'refs/heads/other') => false
                    success() => true
                    github.ref == 'refs/heads/other' => false; github.ref = 'refs/heads/main'
            > skip b: `a` ended as skipped
                  success() => false
            > skip c: `b` ended as skipped
                  success() => false
            > start d "d" needs={"b":{"result":"skipped","outputs":{}}}
            < d success
            > skip e: a job it depends on through others did not succeed
                  success() => false
            > finished success
        "#]],
    );
}

#[test]
fn a_condition_that_fails_fails_the_job() {
    check(
        &jobs("a\n b: a: \"fromJSON(needs.a.outputs.none)\"\n c: b: failure()"),
        Script::default(),
        expect![[r#"
            > start a "a"
            < a success
            > failure b: Error parsing fromJson: empty input at 9:9
            > start c "c" needs={"b":{"result":"failure","outputs":{}}}
            < c success
            > finished failure
        "#]],
    );
}

const MATRIX: &str = "
on: push
jobs:
  test:
    runs-on: ubuntu-latest
    continue-on-error: ${{ matrix.v == 9 }}
    strategy: {STRATEGY matrix: {v: [1, 2, 3, 9]}}
    steps: [{run: x}]
  after: {needs: test, runs-on: ubuntu-latest, steps: [{run: x}]}
";

#[test]
fn one_failure_cancels_the_other_legs() {
    check(
        &MATRIX.replace("STRATEGY", "max-parallel: 3,"),
        Script {
            results: BTreeMap::from([("test.1", (FAILURE, vec![]))]),
            hold: vec!["test.0", "test.2"],
            ..Script::default()
        },
        expect![[r#"
            > start test.0 "test (1)" matrix={"v":1}
            > start test.1 "test (2)" matrix={"v":2}
            > start test.2 "test (3)" matrix={"v":3}
            < test.1 failure
            > cancel test.0: `test.1` failed, and `fail-fast` is on
            > cancel test.2: `test.1` failed, and `fail-fast` is on
            > cancelled test.3: `test.1` failed, and `fail-fast` is on
            < test.0 cancelled
            < test.2 cancelled
            > skip after: `test` ended as failure
                  success() => false
            > finished failure
        "#]],
    );
}

#[test]
fn without_fail_fast_all_legs_run() {
    check(
        &MATRIX.replace("STRATEGY", "fail-fast: false, max-parallel: 1,"),
        Script { results: BTreeMap::from([("test.1", (FAILURE, vec![]))]), ..Script::default() },
        expect![[r#"
            > start test.0 "test (1)" matrix={"v":1}
            < test.0 success
            > start test.1 "test (2)" matrix={"v":2}
            < test.1 failure
            > start test.2 "test (3)" matrix={"v":3}
            < test.2 success
            > start test.3 "test (9)" matrix={"v":9}
            < test.3 success
            > skip after: `test` ended as failure
                  success() => false
            > finished failure
        "#]],
    );
}

#[test]
fn a_tolerated_failure_stops_nothing() {
    check(
        &MATRIX.replace("STRATEGY", ""),
        Script { results: BTreeMap::from([("test.3", (FAILURE, vec![]))]), ..Script::default() },
        expect![[r#"
            > start test.0 "test (1)" matrix={"v":1}
            > start test.1 "test (2)" matrix={"v":2}
            > start test.2 "test (3)" matrix={"v":3}
            > start test.3 "test (9)" matrix={"v":9}
            < test.3 failure
            < test.2 success
            < test.1 success
            < test.0 success
            > start after "after" needs={"test":{"result":"success","outputs":{}}}
            < after success
            > finished success
        "#]],
    );
}

#[test]
fn a_matrix_comes_from_another_job() {
    let text = "
on: push
jobs:
  list: {runs-on: ubuntu-latest, outputs: {all: x}, steps: [{run: x}]}
  each:
    needs: list
    name: part ${{ matrix.part }} of ${{ strategy.job-total }}
    runs-on: ubuntu-latest
    strategy: {matrix: {part: '${{ fromJSON(needs.list.outputs.all) }}', include: [{part: a, extra: true}]}}
    steps: [{run: x}]
  after: {needs: each, if: always(), runs-on: ubuntu-latest, steps: [{run: x}]}
";
    let with = |all| Script {
        results: BTreeMap::from([
            ("list", (Conclusion::Success, vec![("all", all)])),
            ("each.0", (Conclusion::Success, vec![("o", "first"), ("p", "kept")])),
            ("each.1", (Conclusion::Success, vec![("o", "second"), ("p", "")])),
        ]),
        ..Script::default()
    };
    check(
        text,
        with(r#"["a", "b"]"#),
        expect![[r#"
        > start list "list"
        < list success
        > start each.0 "part a of 2" matrix={"part":"a","extra":true} needs={"list":{"result":"success","outputs":{"all":"[\"a\", \"b\"]"}}}
        > start each.1 "part b of 2" matrix={"part":"b"} needs={"list":{"result":"success","outputs":{"all":"[\"a\", \"b\"]"}}}
        < each.1 success
        < each.0 success
        > start after "after" needs={"each":{"result":"success","outputs":{"o":"first","p":"kept"}}}
        < after success
        > finished success
    "#]],
    );
    check(
        text,
        with("not json"),
        expect![[r#"
        > start list "list"
        < list success
        > failure each: Error parsing fromJson: unexpected token at byte 0 at 9:31
        > start after "after" needs={"each":{"result":"failure","outputs":{}}}
        < after success
        > finished failure
    "#]],
    );
    check(
        text,
        with("[]"),
        expect![[r#"
            > start list "list"
            < list success
            > failure each: Matrix vector 'part' does not contain any values at 9:24
            > start after "after" needs={"each":{"result":"failure","outputs":{}}}
            < after success
            > finished failure
        "#]],
    );
    check(
        text,
        with("{}"),
        expect![[r#"
            > start list "list"
            < list success
            > failure each: The value of the matrix key 'part' must be a sequence at 9:24
            > start after "after" needs={"each":{"result":"failure","outputs":{}}}
            < after success
            > finished failure
        "#]],
    );
}

#[test]
fn cancelling_spares_what_always_runs() {
    check(
        &jobs("a\n b\n c: a\n d: a: always()\n e: a: cancelled()\n f: d"),
        Script { cancel_at: Some("b"), hold: vec!["a"], ..Script::default() },
        expect![[r#"
            > start a "a"
            > start b "b"
            < cancel
            > cancel a: the run was cancelled
            > cancel b: the run was cancelled
            < b cancelled
            < a cancelled
            > skip c: the run was cancelled
                  success() => false
            > start d "d" needs={"a":{"result":"cancelled","outputs":{}}}
            > start e "e" needs={"a":{"result":"cancelled","outputs":{}}}
            < e success
            < d success
            > skip f: the run was cancelled
                  success() => false
            > finished cancelled
        "#]],
    );
    check(
        &jobs("a:: always()\n b: a"),
        Script { cancel_at: Some("a"), ..Script::default() },
        expect![[r#"
            > start a "a"
            < cancel
            < a success
            > skip b: the run was cancelled
                  success() => false
            > finished cancelled
        "#]],
    );
}

#[test]
fn groups_are_taken_and_let_go() {
    let text = "
on: push
concurrency: {group: 'ci-${{ github.ref }}', cancel-in-progress: true}
jobs:
  a:
    strategy: {matrix: {v: [1, 2]}}
    concurrency: {group: 'a-${{ matrix.v }}', queue: max}
    runs-on: ubuntu-latest
    environment: prod
    steps: [{run: x}]
";
    check(
        text,
        Script::default(),
        expect![[r#"
        > acquire 0 ci-refs/heads/main for the run, cancels
        > acquire 1 a-1 for a.0, queues
        > acquire 2 a-2 for a.1, queues
        > approve a.0 prod
        > approve a.1 prod
        > start a.0 "a (1)" matrix={"v":1}
        > start a.1 "a (2)" matrix={"v":2}
        < a.1 success
        > release 2
        < a.0 success
        > release 1
        > release 0
        > finished success
    "#]],
    );
    check(
        text,
        Script { refuse: vec!["a-1"], ..Script::default() },
        expect![[r#"
        > acquire 0 ci-refs/heads/main for the run, cancels
        > acquire 1 a-1 for a.0, queues
        > acquire 2 a-2 for a.1, queues
        > cancelled a.0: a newer claim took its place
        > approve a.1 prod
        > start a.1 "a (2)" matrix={"v":2}
        < a.1 success
        > release 2
        > release 0
        > finished cancelled
    "#]],
    );
    check(
        text,
        Script { refuse: vec!["ci-refs/heads/main"], ..Script::default() },
        expect![[r#"
        > acquire 0 ci-refs/heads/main for the run, cancels
        > finished cancelled: a newer claim took its place
    "#]],
    );
    check(
        text,
        Script { reject: vec!["prod"], ..Script::default() },
        expect![[r#"
        > acquire 0 ci-refs/heads/main for the run, cancels
        > acquire 1 a-1 for a.0, queues
        > acquire 2 a-2 for a.1, queues
        > approve a.0 prod
        > approve a.1 prod
        > failure a.0: the test did not approve the job's environment
        > release 1
        > cancelled a.1: `a.0` failed, and `fail-fast` is on
        > release 2
        > release 0
        > finished failure
    "#]],
    );
}

const CALL: &str = "
on: push
jobs:
  first: {runs-on: ubuntu-latest, steps: [{run: x}]}
  call:
    needs: first
    strategy: {matrix: {region: [eu, us]}}
    uses: ./.github/workflows/inner.yml
    with: {region: '${{ matrix.region }}', count: 3}
    secrets: {token: '${{ secrets.DEPLOY }}'}
  after: {needs: call, runs-on: ubuntu-latest, steps: [{run: x}]}
--- .github/workflows/inner.yml
on:
  workflow_call:
    inputs:
      region: {type: string, required: true}
      count: {type: number, default: 1}
      dry: {type: boolean}
    secrets: {token: {required: true}}
    outputs:
      url: {value: '${{ jobs.up.outputs.url }}-${{ inputs.region }}'}
jobs:
  up: {runs-on: ubuntu-latest, outputs: {url: x}, steps: [{run: x}]}
  down: {needs: up, if: inputs.dry, runs-on: ubuntu-latest, steps: [{run: x}]}
";

#[test]
fn a_called_workflow_runs_with_its_own_contexts() {
    let given = Given {
        secrets: BTreeMap::from([
            ("DEPLOY".to_owned(), "s3cret".to_owned()),
            ("OTHER".to_owned(), "hidden".to_owned()),
        ]),
        ..Given::default()
    };
    let results = BTreeMap::from([
        ("call.0/up", (Conclusion::Success, vec![("url", "one")])),
        ("call.1/up", (Conclusion::Success, vec![("url", "two")])),
    ]);
    check_given(
        CALL,
        given,
        Script { results, ..Script::default() },
        expect![[r#"
        > start first "first" secrets={"DEPLOY":"s3cret","OTHER":"hidden"}
        < first success
        > start call.0/up "call (eu) / up" inputs={"region":"eu","count":3,"dry":false} secrets={"token":"s3cret"}
        > start call.1/up "call (us) / up" inputs={"region":"us","count":3,"dry":false} secrets={"token":"s3cret"}
        < call.1/up success
        > skip call.1/down: its condition does not hold
              success() && (inputs.dry) => false; inputs.dry = false
                success() => true
        > called call.1 success url=two-us
        < call.0/up success
        > skip call.0/down: its condition does not hold
              success() && (inputs.dry) => false; inputs.dry = false
                success() => true
        > called call.0 success url=one-eu
        > start after "after" needs={"call":{"result":"success","outputs":{"url":"one-eu"}}} secrets={"DEPLOY":"s3cret","OTHER":"hidden"}
        < after success
        > finished success
    "#]],
    );
}

#[test]
fn a_failure_inside_a_call_is_the_callers() {
    let results = BTreeMap::from([("call.0/up", (FAILURE, vec![]))]);
    let script = Script { results, hold: vec!["call.1/up"], ..Script::default() };
    check(
        CALL,
        script,
        expect![[r#"
        > start first "first"
        < first success
        > start call.0/up "call (eu) / up" inputs={"region":"eu","count":3,"dry":false} secrets={"token":null}
        > start call.1/up "call (us) / up" inputs={"region":"us","count":3,"dry":false} secrets={"token":null}
        < call.0/up failure
        > skip call.0/down: `up` ended as failure
              success() && (inputs.dry) => false
                success() => false
        > called call.0 failure url=-eu
        > cancel call.1/up: `call.0` failed, and `fail-fast` is on
        < call.1/up cancelled
        > skip call.1/down: the call it belongs to was cancelled
              success() && (inputs.dry) => false
                success() => false
        > called call.1 cancelled url=-us
        > skip after: `call` ended as failure
              success() => false
        > finished failure
    "#]],
    );
}

#[test]
fn a_second_attempt_repeats_what_failed_and_what_depends_on_it() {
    let text = jobs("a\n b\n c: a\n d: b\n e: c, d");
    let reuse = ["a", "c", "d", "b"].map(|key| (JobKey(key.to_owned()), Default::default()));
    let all = Options { reuse: BTreeMap::from(reuse), ..Options::default() };
    check(
        &text,
        Script { options: all.clone(), ..Script::default() },
        expect![[r#"
        > reuse a
        > reuse b
        > reuse c
        > reuse d
        > start e "e" needs={"c":{"result":"success","outputs":{}},"d":{"result":"success","outputs":{}}}
        < e success
        > finished success
    "#]],
    );
    let mut without_b = all;
    without_b.reuse.remove(&JobKey("b".to_owned()));
    check(
        &text,
        Script { options: without_b, ..Script::default() },
        expect![[r#"
        > reuse a
        > reuse c
        > start b "b"
        < b success
        > start d "d" needs={"b":{"result":"success","outputs":{}}}
        < d success
        > start e "e" needs={"c":{"result":"success","outputs":{}},"d":{"result":"success","outputs":{}}}
        < e success
        > finished success
    "#]],
    );
}

#[test]
fn the_run_has_only_so_many_places() {
    let options = Options { limit: Some(1), ..Options::default() };
    check(
        &jobs("a\n b\n c"),
        Script { options, ..Script::default() },
        expect![[r#"
        > start a "a"
        < a success
        > start b "b"
        < b success
        > start c "c"
        < c success
        > finished success
    "#]],
    );
}

#[test]
fn ten_thousand_jobs_end() {
    let mut lines = String::from("first\n");
    for index in 0..10_000 {
        writeln!(lines, "j{index}: first").expect("text");
    }
    let (log, conclusion) = simulate(&jobs(&lines), Given::default(), Script::default());
    assert_eq!(conclusion, Some(Conclusion::Success));
    assert_eq!(log.matches("> start").count(), 10_001);
}
