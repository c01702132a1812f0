//! Whole repositories run to the end: a Rust crate, a Python package, a monorepo, a Node service.
#![expect(clippy::disallowed_methods, reason = "a test asks whether npm and cargo are there")]
#![expect(clippy::print_stdout, reason = "what is skipped is said aloud")]

use std::path::Path;
use std::process::{Command, Stdio};

use crate::repository::{Ran, Repository};

/// Asserts that a run is green and says each of `lines`.
fn assert_green(ran: &Ran, lines: &[&str]) {
    assert_eq!(ran.code, Some(0), "{}", ran.all());
    let all = ran.all();
    for line in lines {
        assert!(all.contains(line), "`{line}` is missing from:\n{all}");
    }
}

/// Returns whether `program arguments` succeeds; says aloud where it does not.
fn has(program: &str, arguments: &[&str]) -> bool {
    let status = Command::new(program)
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .stdin(Stdio::null())
        .status();
    let works = status.is_ok_and(|status| status.success());
    if !works {
        println!("skipped: `{program} {}` does not work here", arguments.join(" "));
    }
    works
}

#[test]
fn a_rust_crate() {
    if !has("cargo", &["--version"]) {
        return;
    }
    let repository = Repository::new([
        (
            "Cargo.toml",
            "[package]\nname = \"adder\"\nversion = \"0.3.0\"\nedition = \"2021\"\n[workspace]\n",
        ),
        (
            "src/lib.rs",
            "/// Adds.\npub fn add(a: u32, b: u32) -> u32 {\n    a + b\n}\n\n#[cfg(test)]\nmod tests {\n    \
             #[test]\n    fn adds() {\n        assert_eq!(super::add(2, 2), 4);\n    }\n}\n",
        ),
        (".gitignore", "target/\n"),
        (
            ".github/workflows/rust.yml",
            r#"name: Rust
on:
  push:
    branches: [main]
    paths-ignore: ['**.md']
env:
  CARGO_TERM_COLOR: never
  CARGO_NET_OFFLINE: 'true'
jobs:
  version:
    runs-on: ubuntu-latest
    outputs:
      version: ${{ steps.v.outputs.version }}
    steps:
      - uses: actions/checkout@v4
      - id: v
        run: echo "version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml)" >> "$GITHUB_OUTPUT"
  test:
    needs: version
    runs-on: ubuntu-latest
    strategy:
      fail-fast: false
      matrix:
        profile: [dev, release]
        include:
          - profile: release
            flags: --release
    steps:
      - uses: actions/checkout@v4
      - uses: actions/cache@v4
        with:
          path: target
          key: ${{ runner.os }}-${{ matrix.profile }}-${{ hashFiles('Cargo.toml', 'src/**') }}
      - run: cargo test ${{ matrix.flags }}
      - run: echo "tested ${{ needs.version.outputs.version }} as ${{ matrix.profile }}"
"#,
        ),
    ]);
    let ran = repository.loopline(&["run"]);
    assert_green(
        &ran,
        &["tested 0.3.0 as dev", "tested 0.3.0 as release", "test tests::adds ... ok"],
    );
    let again = repository.loopline(&["run"]);
    assert_green(&again, &["tested 0.3.0 as dev"]);
    // The second run finds what the first one saved.
    assert!(again.all().contains("hit"), "{}", again.all());
}

#[test]
fn a_python_package() {
    if !has("python3", &["--version"]) {
        return;
    }
    let repository = Repository::new([
        ("pyproject.toml", "[project]\nname = \"greeter\"\nversion = \"1.0\"\n"),
        ("greeter/__init__.py", "def greet(name):\n    return f'hello {name}'\n"),
        (
            "tests/test_greeter.py",
            "import unittest\nimport greeter\n\nclass T(unittest.TestCase):\n    \
             def test_greet(self):\n        self.assertEqual(greeter.greet('you'), 'hello you')\n",
        ),
        ("tests/__init__.py", ""),
        (
            ".github/workflows/python.yaml",
            r#"name: Python
on: [push, pull_request]
defaults:
  run:
    shell: bash
jobs:
  test:
    runs-on: ubuntu-latest
    timeout-minutes: 5
    steps:
      - uses: actions/checkout@v4
      - uses: actions/setup-python@v5
        with:
          python-version: '3.x'
      - run: python -m unittest discover -v 2>&1 | tee report.txt
      - name: Report
        if: ${{ !cancelled() }}
        shell: python
        run: |
          import os
          text = open('report.txt').read()
          with open(os.environ['GITHUB_STEP_SUMMARY'], 'a') as summary:
              summary.write('## Tests\n' + text.splitlines()[-1] + '\n')
          with open(os.environ['GITHUB_OUTPUT'], 'a') as output:
              output.write('report<<EOF\n' + text + '\nEOF\n')
        id: report
      - run: test "$TAIL" = OK
        env:
          TAIL: ${{ contains(steps.report.outputs.report, 'OK') && 'OK' || 'not ok' }}
      - uses: actions/upload-artifact@v4
        with:
          name: report
          path: report.txt
"#,
        ),
    ]);
    let ran = repository.loopline(&["run"]);
    assert_green(&ran, &["test_greet", "report"]);
    let artifacts = repository.loopline(&["artifacts"]);
    assert_green(&artifacts, &["report  "]);
    let into = repository.path().join("got");
    let got = repository.loopline(&[
        "artifacts",
        "--get",
        "report",
        "--into",
        &into.display().to_string(),
    ]);
    assert_green(&got, &[]);
    assert!(fs_err::read_to_string(into.join("report.txt")).unwrap().contains("OK"));
}

#[test]
fn a_monorepo_with_reusable_workflows_and_composite_actions() {
    let repository = Repository::new([
        (
            ".github/workflows/ci.yml",
            r#"name: CI
run-name: CI of ${{ github.ref_name }} by ${{ github.actor }}
on:
  push:
    branches: ['ma*']
jobs:
  plan:
    runs-on: ubuntu-latest
    outputs:
      packages: ${{ steps.list.outputs.packages }}
    steps:
      - uses: actions/checkout@v4
      - id: list
        run: echo "packages=$(ls packages | python3 -c 'import json,sys; print(json.dumps(sys.stdin.read().split()))')" >> $GITHUB_OUTPUT
  packages:
    needs: plan
    strategy:
      matrix:
        package: ${{ fromJSON(needs.plan.outputs.packages) }}
    uses: ./.github/workflows/package.yml
    with:
      package: ${{ matrix.package }}
      loud: true
    secrets:
      token: ${{ secrets.DEPLOY_TOKEN }}
  done:
    needs: [plan, packages]
    if: ${{ always() && needs.packages.result == 'success' }}
    runs-on: ubuntu-latest
    steps:
      - run: echo "all done, last was ${{ needs.packages.outputs.built }}"
"#,
        ),
        (
            ".github/workflows/package.yml",
            r#"name: Package
on:
  workflow_call:
    inputs:
      package: {type: string, required: true}
      loud: {type: boolean, default: false}
    secrets:
      token: {required: true}
    outputs:
      built:
        value: ${{ jobs.build.outputs.built }}
jobs:
  build:
    runs-on: ubuntu-latest
    outputs:
      built: ${{ steps.b.outputs.result }}
    steps:
      - uses: actions/checkout@v4
      - id: b
        uses: ./actions/build
        with:
          package: ${{ inputs.package }}
          shout: ${{ inputs.loud }}
      - run: echo "token is $TOKEN and its length ${#TOKEN}"
        env:
          TOKEN: ${{ secrets.token }}
      - uses: ./actions/note
        with:
          text: after ${{ inputs.package }}
"#,
        ),
        (
            "actions/build/action.yml",
            r#"name: Build
description: Builds one package
inputs:
  package: {description: Which, required: true}
  shout: {description: Loudly, default: 'false'}
outputs:
  result: {description: What was built, value: '${{ steps.make.outputs.result }}'}
runs:
  using: composite
  steps:
    - id: make
      shell: bash
      working-directory: packages/${{ inputs.package }}
      run: |
        test -f NAME
        echo "result=$(cat NAME)" >> "$GITHUB_OUTPUT"
    - if: inputs.shout == 'true'
      shell: bash
      run: echo "BUILT ${{ steps.make.outputs.result }} in $GITHUB_ACTION_PATH"
"#,
        ),
        (
            "actions/note/action.yml",
            "name: Note\ndescription: Notes\ninputs:\n  text: {description: What}\nruns:\n  \
             using: node20\n  pre: pre.js\n  main: main.js\n  post: post.js\n",
        ),
        ("actions/note/pre.js", "console.log('never runs for a local action')\n"),
        (
            "actions/note/main.js",
            "require('fs').appendFileSync(process.env.GITHUB_STATE, `text=${process.env.INPUT_TEXT}\\n`);\n",
        ),
        ("actions/note/post.js", "console.log(`noted: ${process.env.STATE_text}`)\n"),
        ("packages/alpha/NAME", "alpha-1\n"),
        ("packages/beta/NAME", "beta-2\n"),
    ]);
    let ran = repository.loopline(&["run", "ci.yml", "--secret", "DEPLOY_TOKEN=hunter2hunter2"]);
    assert_green(
        &ran,
        &[
            "BUILT alpha-1 in",
            "BUILT beta-2 in",
            "token is *** and its length 14",
            "noted: after alpha",
            "all done, last was",
        ],
    );
    assert!(!ran.all().contains("hunter2"), "{}", ran.all());
    // A branch that no filter wants starts nothing, and says so.
    repository.git(&["checkout", "-q", "-b", "topic"]);
    let ran = repository.loopline(&["run"]);
    assert_eq!(ran.code, Some(2), "{}", ran.all());
    assert!(ran.all().contains("branch `topic` matches none"), "{}", ran.all());
}

#[test]
fn the_node_service_of_the_examples() {
    if !has("node", &["--version"]) || !has("npm", &["view", "picocolors", "version"]) {
        return;
    }
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/node-service");
    let repository = Repository::new([]);
    copy(&example, &repository.path());
    repository.commit("the service");
    let ran = repository.loopline(&["run"]);
    assert_green(&ran, &["e2e passed against http://127.0.0.1:34127 (1.2.0-"]);
    let artifacts = repository.loopline(&["artifacts"]);
    assert_green(&artifacts, &["coverage  ", "dist  "]);
    let why = repository.loopline(&["why", "latest", "deploy-production"]);
    assert_green(&why, &["github.event_name == 'workflow_dispatch'"]);
}

fn copy(from: &Path, to: &Path) {
    fs_err::create_dir_all(to).unwrap();
    for entry in fs_err::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name();
        if ["node_modules", "dist", "coverage"].iter().any(|product| name == *product) {
            continue;
        }
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to.join(name));
        } else {
            fs_err::copy(entry.path(), to.join(name)).unwrap();
        }
    }
}
