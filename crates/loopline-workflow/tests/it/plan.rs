//! Plans: what is decided before a run begins.

use std::collections::BTreeMap;
use std::sync::Arc;

use expect_test::{Expect, expect};
use loopline_diagnostic::Severity;
use loopline_source::SourceFile;
use loopline_workflow::github::event::{Event, Facts, GitRef, RunFacts, choose, github_context};
use loopline_workflow::github::model::Workflow;
use loopline_workflow::github::parse;
use loopline_workflow::github::plan::{
    Labels, Plan, Refused, Request, Selection, Settings, plan, triggers,
};

/// Reads a workflow; files after `--- PATH` lines are those it may call.
pub(crate) fn read(text: &str) -> Result<Workflow, String> {
    let mut parts = text.split("--- ");
    let main = SourceFile::new(".github/workflows/ci.yml", parts.next().unwrap_or_default());
    let files: BTreeMap<String, String> = parts
        .filter_map(|part| part.split_once('\n'))
        .map(|(path, text)| (path.trim().to_owned(), text.to_owned()))
        .collect();
    let mut loader = |uses: &str, _: &SourceFile| {
        let path = uses.trim_start_matches("./");
        files.get(path).map(|text| SourceFile::new(path, text.as_str()))
    };
    let (workflow, errors) = parse::workflow(&main, &parse::Options::default(), &mut loader);
    if errors.is_empty() {
        return Ok(workflow);
    }
    Err(errors.iter().map(|error| error.message()).collect::<Vec<_>>().join("\n"))
}

/// What a test changes of an ordinary request.
#[derive(Clone, Default)]
pub(crate) struct Given {
    pub(crate) event: Option<&'static str>,
    pub(crate) facts: Facts,
    pub(crate) inputs: BTreeMap<String, String>,
    pub(crate) secrets: BTreeMap<String, String>,
    pub(crate) settings: Settings,
}

/// Plans a workflow, or returns why not, one line a reason.
pub(crate) fn plan_of(workflow: Workflow, given: Given) -> Result<Plan, String> {
    let Given { event, facts, inputs, secrets, settings } = given;
    let choice = choose(&workflow, &facts, event).map_err(|error| error.to_string())?;
    let event = Event::synthesize(&choice.name, &facts, &BTreeMap::new(), None)
        .map_err(|error| error.to_string())?;
    let request = Request {
        workflow: Arc::new(workflow),
        event,
        facts,
        run: RunFacts {
            workflow_path: ".github/workflows/ci.yml".to_owned(),
            ..RunFacts::default()
        },
        inputs,
        vars: BTreeMap::new(),
        secrets,
        settings,
    };
    plan(request).map_err(|refused| reasons(&refused))
}

fn reasons(refused: &Refused) -> String {
    let errors = refused.findings.iter().filter(|it| it.severity == Severity::Error);
    let lines = errors.map(|finding| {
        let position = finding.primary.file.position(finding.primary.span.start);
        format!("{} {position} {}", finding.rule.code, finding.message)
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn check(text: &str, given: Given, expected: Expect) {
    let shown = match read(text).and_then(|workflow| plan_of(workflow, given)) {
        Ok(plan) => plan.to_string(),
        Err(refused) => format!("refused\n{refused}\n"),
    };
    expected.assert_eq(&shown);
}

#[test]
fn a_plan_shows_jobs_legs_and_what_is_known_later() {
    check(
        "
name: CI
on: {push: {branches: [main, 'release/**']}}
jobs:
  build:
    runs-on: ubuntu-latest
    outputs: {list: '${{ steps.a.outputs.list }}'}
    steps:
      - uses: actions/checkout@v4
      - {id: a, run: make, name: 'Build ${{ github.ref_name }}'}
  test:
    needs: build
    runs-on: ${{ matrix.os }}
    strategy:
      fail-fast: false
      matrix: {os: [ubuntu-22.04, ubuntu-latest], node: [20, 22], exclude: [{os: ubuntu-22.04, node: 22}]}
    steps: [{run: 'npm test'}]
  fan:
    needs: build
    runs-on: ubuntu-latest
    strategy: {matrix: {part: '${{ fromJSON(needs.build.outputs.list) }}'}}
    steps: [{run: 'echo ${{ matrix.part }}'}]
  never:
    if: github.event_name == 'release'
    runs-on: windows-latest
    steps: [{run: x}]
  deploy:
    needs: [test, fan]
    if: always() && needs.test.result == 'success'
    runs-on: ubuntu-latest
    environment: {name: production, url: 'https://example.org'}
    steps: [{run: deploy}]
",
        Given::default(),
        expect![[r#"
            CI (.github/workflows/ci.yml)
            push on refs/heads/main: GitHub starts it, branch `main` matches `main` of `branches`
            build on ubuntu-latest
              1. Run actions/checkout@v4
              2. Build main
            never on windows-latest (not this machine), skipped: success() && (github.event_name == 'release')
              1. Run x
            test, needs build
              * test.0 "test (ubuntu-22.04, 20)" on ubuntu-22.04
              * test.1 "test (ubuntu-latest, 20)" on ubuntu-latest
              * test.2 "test (ubuntu-latest, 22)" on ubuntu-latest
              fail-fast false, 3 at once
              1. Run npm test
            fan, needs build
              * legs known later
              1. Run echo ${{ matrix.part }}
            deploy on ubuntu-latest, needs test, fan, environment production, decided later: always() && needs.test.result == 'success'
              1. Run deploy
        "#]],
    );
}

#[test]
fn jobs_for_other_machines_are_refused_or_passed_over_aloud() {
    let text = "
on: push
jobs:
  a: {runs-on: windows-latest, steps: [{run: x}]}
  b: {runs-on: [self-hosted, gpu], steps: [{run: x}]}
  c:
    strategy: {matrix: {os: [ubuntu-latest, macos-14]}}
    runs-on: ${{ matrix.os }}
    steps: [{run: x}]
";
    check(
        text,
        Given::default(),
        expect![[r#"
        refused
        LL0304 4:16 job `a`: the runner label `windows-latest` asks for Windows, and this machine is Linux
        LL0304 5:16 job `b`: the runner label `gpu` is not a label of this machine
        LL0304 8:14 job `c`: the runner label `macos-14` asks for macOS, and this machine is Linux
    "#]],
    );
    let skip = Settings { skip_unsupported: true, ..Settings::default() };
    check(
        text,
        Given { settings: skip, ..Given::default() },
        expect![[r#"
        .github/workflows/ci.yml (.github/workflows/ci.yml)
        push on refs/heads/main: GitHub starts it, `on` has `push` without filters
        a on windows-latest (not this machine)
          1. Run x
        b on self-hosted+gpu (not this machine)
          1. Run x
        c
          * c.0 "c (ubuntu-latest)" on ubuntu-latest
          * c.1 "c (macos-14)" on macos-14 (not this machine)
          1. Run x
        warning[LL0304]: job `a`: the runner label `windows-latest` asks for Windows, and this machine is Linux; it is skipped (.github/workflows/ci.yml:4:16)
        warning[LL0304]: job `b`: the runner label `gpu` is not a label of this machine; it is skipped (.github/workflows/ci.yml:5:16)
        warning[LL0304]: job `c`: the runner label `macos-14` asks for macOS, and this machine is Linux; it is skipped (.github/workflows/ci.yml:8:14)
    "#]],
    );
    let gpu = Settings {
        labels: Labels::new("x64", ["gpu"]),
        skip_unsupported: true,
        ..Settings::default()
    };
    check(
        text,
        Given { settings: gpu, ..Given::default() },
        expect![[r#"
        .github/workflows/ci.yml (.github/workflows/ci.yml)
        push on refs/heads/main: GitHub starts it, `on` has `push` without filters
        a on windows-latest (not this machine)
          1. Run x
        b on self-hosted+gpu
          1. Run x
        c
          * c.0 "c (ubuntu-latest)" on ubuntu-latest
          * c.1 "c (macos-14)" on macos-14 (not this machine)
          1. Run x
        warning[LL0304]: job `a`: the runner label `windows-latest` asks for Windows, and this machine is Linux; it is skipped (.github/workflows/ci.yml:4:16)
        warning[LL0304]: job `c`: the runner label `macos-14` asks for macOS, and this machine is Linux; it is skipped (.github/workflows/ci.yml:8:14)
    "#]],
    );
}

#[test]
fn called_workflows_are_part_of_the_plan() {
    check(
        "
on: push
jobs:
  call:
    strategy: {matrix: {region: [eu, us]}}
    uses: ./.github/workflows/deploy.yml
    with: {target: staging}
    secrets: inherit
--- .github/workflows/deploy.yml
on:
  workflow_call:
    inputs: {target: {type: string, required: true}, dry: {type: boolean, default: true}}
jobs:
  migrate: {runs-on: ubuntu-latest, environment: '${{ inputs.target }}', steps: [{run: x}]}
  swap: {needs: migrate, if: '!inputs.dry', runs-on: ubuntu-latest, steps: [{run: x}]}
",
        Given::default(),
        expect![[r#"
            .github/workflows/ci.yml (.github/workflows/ci.yml)
            push on refs/heads/main: GitHub starts it, `on` has `push` without filters
            call
              * call.0 "call (eu)"
              * call.1 "call (us)"
              calls ./.github/workflows/deploy.yml
              call/migrate "call / migrate" on ubuntu-latest, environment staging
                1. Run x
              call/swap "call / swap" on ubuntu-latest, needs call/migrate, skipped: success() && (!inputs.dry)
                1. Run x
        "#]],
    );
}

#[test]
fn a_selection_keeps_what_the_job_needs() {
    let text = "
on: push
jobs:
  a: {runs-on: ubuntu-latest, steps: [{run: x}]}
  b: {runs-on: ubuntu-latest, needs: a, steps: [{run: x}]}
  c: {runs-on: windows-latest, steps: [{run: x}]}
  d:
    runs-on: ubuntu-latest
    strategy: {matrix: {v: [1, 2]}}
    steps: [{run: x}]
";
    let selection = |jobs: &[&str]| Given {
        settings: Settings {
            selection: Selection::new(jobs.iter().map(|it| (*it).to_owned())),
            matrix: vec![("v".to_owned(), "2".to_owned())],
            ..Settings::default()
        },
        ..Given::default()
    };
    check(
        text,
        selection(&["b"]),
        expect![[r#"
        .github/workflows/ci.yml (.github/workflows/ci.yml)
        push on refs/heads/main: GitHub starts it, `on` has `push` without filters
        a on ubuntu-latest
          1. Run x
        b on ubuntu-latest, needs a
          1. Run x
    "#]],
    );
    check(
        text,
        selection(&["d"]),
        expect![[r#"
        .github/workflows/ci.yml (.github/workflows/ci.yml)
        push on refs/heads/main: GitHub starts it, `on` has `push` without filters
        d
          * d.1 "d (2)" on ubuntu-latest
          1. Run x
    "#]],
    );
    check(
        text,
        selection(&["nowhere"]),
        expect![[r#"
        refused
        LL0231 2:5 the workflow has no job `nowhere`
    "#]],
    );
}

#[test]
fn filters_say_which_pattern_decided() {
    let facts = |git_ref: &str, changed: Option<&[&str]>| Facts {
        git_ref: GitRef::parse(git_ref),
        changed_files: changed.map(|paths| paths.iter().map(|it| (*it).to_owned()).collect()),
        ..Facts::default()
    };
    let cases: &[(&str, &str, Facts)] = &[
        ("push", "on: push", facts("main", None)),
        ("push", "on: {push: {branches: [main]}}", facts("main", None)),
        ("push", "on: {push: {branches: [main]}}", facts("feature/a", None)),
        ("push", "on: {push: {branches: ['feature/*']}}", facts("feature/a/b", None)),
        ("push", "on: {push: {branches: ['feature/**']}}", facts("feature/a/b", None)),
        (
            "push",
            "on: {push: {branches: ['**', '!feature/**', 'feature/keep']}}",
            facts("feature/a", None),
        ),
        (
            "push",
            "on: {push: {branches: ['**', '!feature/**', 'feature/keep']}}",
            facts("feature/keep", None),
        ),
        ("push", "on: {push: {branches-ignore: ['wip-*']}}", facts("wip-1", None)),
        ("push", "on: {push: {tags: ['v[0-9]+.[0-9]+']}}", facts("refs/tags/v1.20", None)),
        ("push", "on: {push: {tags: ['v*']}}", facts("main", None)),
        ("push", "on: {push: {branches: [main]}}", facts("refs/tags/v1", None)),
        (
            "push",
            "on: {push: {paths: ['src/**', '!src/**.md']}}",
            facts("main", Some(&["src/a/b.md"])),
        ),
        ("push", "on: {push: {paths: ['**.js']}}", facts("main", Some(&["a.md", "b/c.js"]))),
        (
            "push",
            "on: {push: {paths-ignore: [docs/**]}}",
            facts("main", Some(&["docs/a", "docs/b/c"])),
        ),
        (
            "push",
            "on: {push: {paths-ignore: [docs/**]}}",
            facts("main", Some(&["docs/a", "src/c"])),
        ),
        ("push", "on: {push: {paths: [src/**]}}", facts("main", None)),
        ("pull_request", "on: {pull_request: {branches: [main]}}", facts("feature", None)),
        ("pull_request", "on: {pull_request: {types: [closed]}}", facts("feature", None)),
        ("release", "on: {release: {types: [published]}}", facts("refs/tags/v1", None)),
        ("release", "on: push", facts("main", None)),
    ];
    let mut shown = String::new();
    for (name, on, facts) in cases {
        let text = format!("{on}\njobs: {{a: {{runs-on: ubuntu-latest, steps: [{{run: x}}]}}}}\n");
        let workflow = read(&text).expect("the case can be read");
        let event = Event::synthesize(name, facts, &BTreeMap::new(), None).expect("an event");
        let verdict = triggers(&workflow, &event);
        let place = verdict
            .place
            .map_or(String::new(), |place| format!(" ({}:{})", place.line, place.column));
        let starts = if verdict.triggers { "yes" } else { "no " };
        shown.push_str(&format!("{starts} {}: {}{place}\n", event.git_ref, verdict.reason));
    }
    expect![[r#"
        yes refs/heads/main: `on` has `push` without filters (1:5)
        yes refs/heads/main: branch `main` matches `main` of `branches` (1:24)
        no  refs/heads/feature/a: branch `feature/a` matches none of `branches` (1:24)
        no  refs/heads/feature/a/b: branch `feature/a/b` matches none of `branches` (1:24)
        yes refs/heads/feature/a/b: branch `feature/a/b` matches `feature/**` of `branches` (1:24)
        no  refs/heads/feature/a: branch `feature/a` matches `!feature/**` of `branches` (1:30)
        yes refs/heads/feature/keep: branch `feature/keep` matches `feature/keep` of `branches` (1:45)
        no  refs/heads/wip-1: branch `wip-1` matches `wip-*` of `branches-ignore` (1:31)
        yes refs/tags/v1.20: tag `v1.20` matches `v[0-9]+.[0-9]+` of `tags` (1:20)
        no  refs/heads/main: branch `main` is no tag, and there is only `tags` (1:20)
        no  refs/tags/v1: tag `v1` is no branch, and there is only `branches` (1:24)
        no  refs/heads/main: the one changed file is outside of `paths` (1:21)
        yes refs/heads/main: file `b/c.js` matches `**.js` of `paths` (1:21)
        no  refs/heads/main: each of the 2 changed files is ignored by `paths-ignore` (1:28)
        yes refs/heads/main: file `src/c` matches none of `paths-ignore` (1:28)
        yes refs/heads/main: which files changed is not known, so paths are not looked at (1:21)
        yes refs/pull/1/merge: branch `main` matches `main` of `branches` (1:32)
        no  refs/pull/1/merge: `types` does not have `synchronize` (1:29)
        yes refs/tags/v1: `types` has `published` (1:24)
        no  refs/tags/v0.0.0-0000000: `on` does not have `release` (1:5)
    "#]]
    .assert_eq(&shown);
}

#[test]
fn the_event_is_chosen_and_the_choice_explained() {
    let cases: &[(&str, Option<&str>)] = &[
        ("on: push", None),
        ("on: {push: {branches: [main]}, pull_request: {}}", None),
        ("on: {push: {branches: [other]}, pull_request: {}}", None),
        ("on: {push: {tags: [v*]}}", None),
        ("on: {push: {tags: [v*]}, workflow_dispatch: {}}", None),
        ("on: {schedule: [{cron: '0 0 * * *'}]}", None),
        ("on: {schedule: [{cron: '0 0 * * *'}], workflow_dispatch: {}}", None),
        ("on: {workflow_call: {}}", None),
        ("on: [push, release]", Some("release")),
        ("on: [push, release]", Some("issues")),
    ];
    let mut shown = String::new();
    for (on, wanted) in cases {
        let text = format!("{on}\njobs: {{a: {{runs-on: ubuntu-latest, steps: [{{run: x}}]}}}}\n");
        let workflow = read(&text).expect("the case can be read");
        match choose(&workflow, &Facts::default(), *wanted) {
            Ok(choice) => shown.push_str(&format!("{}: {}\n", choice.name, choice.reason)),
            Err(error) => shown.push_str(&format!("error: {error}\n")),
        }
    }
    expect![[r#"
        push: `on` has `push` without filters
        push: branch `main` matches `main` of `branches`
        pull_request: `on` has `pull_request` without filters
        push: nothing else can start it, although its filters would not (branch `main` is no tag, and there is only `tags`)
        workflow_dispatch: `on` has `workflow_dispatch`
        schedule: it is what the workflow runs on
        workflow_dispatch: `on` has `workflow_dispatch`
        workflow_call: it is what the workflow runs on
        release: it was asked for
        error: the workflow does not run on `issues`; it runs on `push`, `release`
    "#]].assert_eq(&shown);
}

#[test]
fn every_guide_workflow_has_a_plan() {
    let Some(root) = crate::folder("LOOPLINE_GUIDE") else { return };
    let mut folders = vec![root.clone()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs_err::read_dir(&folder).expect("the guide can be listed") {
            let path = entry.expect("the guide can be listed").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.to_string_lossy().contains(".github/workflows/")
                && path.extension().is_some_and(|it| it == "yml" || it == "yaml")
            {
                files.push(path);
            }
        }
    }
    files.sort();
    assert!(!files.is_empty(), "the guide has workflows");
    let mut shown = String::new();
    for path in files {
        let text = fs_err::read_to_string(&path).expect("the file can be read");
        let name = path
            .strip_prefix(&root)
            .expect("a path below the guide")
            .to_string_lossy()
            .into_owned();
        shown.push_str(&format!("== {name}\n"));
        let settings = Settings { has_image_engine: true, ..Settings::default() };
        let given = Given { settings, ..Given::default() };
        match read(&text).and_then(|workflow| plan_of(workflow, given)) {
            Ok(plan) => {
                let without = read(&text).and_then(|workflow| plan_of(workflow, Given::default()));
                let lines = plan
                    .to_string()
                    .lines()
                    .filter(|line| !line.starts_with("  "))
                    .collect::<Vec<_>>()
                    .join("\n");
                shown.push_str(&format!("{lines}\n"));
                if let Err(refused) = without {
                    shown.push_str(&format!("without an image engine:\n{refused}\n"));
                }
            }
            Err(refused) => shown.push_str(&format!("refused\n{refused}\n")),
        }
    }
    println!("{shown}");
    // One file of the guide has no `on` at all, and GitHub would not take it either.
    let refused: Vec<&str> = shown.split("\nrefused\n").skip(1).collect();
    assert!(
        refused.iter().all(|rest| rest.starts_with("Required property is missing: on\n")),
        "{shown}"
    );
    assert!(refused.len() <= 1, "{shown}");
}

#[test]
fn ten_thousand_jobs_are_planned_in_linear_work() {
    let mut text = String::from("on: push\njobs:\n");
    for index in 0..10_000 {
        text.push_str(&format!("  j{index}:\n    runs-on: ubuntu-latest\n"));
        if index > 0 {
            text.push_str(&format!("    needs: [j{}]\n", index - 1));
        }
        text.push_str("    steps: [{run: echo}]\n");
    }
    let plan = plan_of(read(&text).expect("it can be read"), Given::default()).expect("a plan");
    assert_eq!(plan.jobs.len(), 10_000);
}

#[test]
fn the_github_context_follows_the_event() {
    let facts = Facts {
        repository: "octo/app".to_owned(),
        sha: "c0ffee".to_owned(),
        git_ref: GitRef::Branch("feature".to_owned()),
        ..Facts::default()
    };
    let run =
        RunFacts { workflow_path: ".github/workflows/ci.yml".to_owned(), ..RunFacts::default() };
    let made =
        |name: &str| Event::synthesize(name, &facts, &BTreeMap::new(), None).expect("an event");
    let from_file = Event::from_text(
        "pull_request",
        r#"{"action": "closed", "number": 7, "pull_request": {"base": {"ref": "next"}, "head": {"ref": "x"}}}"#,
        &facts,
    );
    let mut shown = String::new();
    for event in [
        made("push"),
        made("pull_request"),
        made("release"),
        made("schedule"),
        from_file.expect("an event"),
    ] {
        let context = github_context(&event, &facts, &run, Some("CI"));
        let field = |name: &str| context[name].as_str().unwrap_or("?").to_owned();
        let names = [
            "event_name",
            "ref",
            "ref_name",
            "ref_type",
            "base_ref",
            "head_ref",
            "sha",
            "workflow_ref",
        ];
        shown.push_str(&names.map(field).join(" | "));
        shown.push_str(&format!(" | {}\n", context["event"]["action"]));
    }
    expect![[r#"
        push | refs/heads/feature | feature | branch |  |  | c0ffee | octo/app/.github/workflows/ci.yml@refs/heads/feature | null
        pull_request | refs/pull/1/merge | 1/merge | branch | main | feature | c0ffee | octo/app/.github/workflows/ci.yml@refs/pull/1/merge | "synchronize"
        release | refs/tags/v0.0.0-c0ffee | v0.0.0-c0ffee | tag |  |  | c0ffee | octo/app/.github/workflows/ci.yml@refs/tags/v0.0.0-c0ffee | "published"
        schedule | refs/heads/main | main | branch |  |  | c0ffee | octo/app/.github/workflows/ci.yml@refs/heads/main | null
        pull_request | refs/pull/7/merge | 7/merge | branch | next | x | c0ffee | octo/app/.github/workflows/ci.yml@refs/pull/7/merge | "closed"
    "#]].assert_eq(&shown);
    for wrong in ["", "[]", "{"] {
        assert!(Event::from_text("push", wrong, &facts).is_err());
    }
    assert!(Event::from_text("pushed", "{}", &facts).is_err());
}
