//! The check of workflows, on the test inputs that actionlint publishes and on the guide.

use std::collections::BTreeSet;
use std::path::Path;

use loopline_source::{MemoryTree, SourceFile};
use loopline_workflow::github::check::{self, Options};

use crate::{files, folder};

/// The share of `err` files that must agree, in percent.
const FLOOR_PERCENT: usize = 90;

fn check(path: &Path) -> (SourceFile, Vec<loopline_diagnostic::Diagnostic>) {
    let text = fs_err::read_to_string(path).expect("the file is UTF-8");
    let file = SourceFile::new("test.yaml", text);
    let found = check::workflow(&file, &MemoryTree::new(), &Options::default());
    (file, found)
}

/// Reads the places from lines such as `test.yaml:3:4: ...` or `/test\.yaml:3:4: .../`.
///
/// What shellcheck and pyflakes find in scripts is left out: those files
/// (`shellcheck_*`, `pyflakes_*`) must then be free of other findings.
fn expected(text: &str) -> BTreeSet<(u32, u32)> {
    text.lines()
        .filter(|line| !line.contains("[shellcheck") && !line.contains("[pyflakes"))
        .filter_map(|line| {
            let mut parts = line.split(':');
            let _name = parts.next()?;
            Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
        })
        .collect()
}

/// Returns whether `found` is the true place of what actionlint puts at `wanted`.
///
/// It counts the columns of a text of several lines from where the text begins (so all its
/// findings are on the line of the `|`), and those of a quoted `if` from its quote; we point at
/// the words themselves.
fn is_true_place(file: &SourceFile, wanted: (u32, u32), found: (u32, u32)) -> bool {
    let line = file.line_text(wanted.0);
    let indentation = |line: &str| line.len() - line.trim_start_matches([' ', '-']).len();
    if found.0 == wanted.0 {
        let quoted = line.contains("if: '") || line.contains("if: \"");
        return quoted && found.1 == wanted.1 + 1;
    }
    let header = line.trim_end().trim_end_matches(['-', '+']).ends_with(['|', '>']);
    header
        && found.0 > wanted.0
        && (wanted.0 + 1..=found.0).all(|number| {
            let inner = file.line_text(number);
            inner.trim().is_empty() || indentation(inner) > indentation(line)
        })
}

#[test]
fn valid_workflows_are_clean() {
    let Some(data) = folder("LOOPLINE_CONFORMANCE") else { return };
    let paths = files(&data.join("actionlint/ok"), "yaml");
    let mut wrong = Vec::new();
    for path in &paths {
        let (file, found) = check(path);
        for finding in found {
            let at = file.position(finding.primary.span.start);
            wrong.push(format!(
                "{}:{at}: {} {}",
                path.display(),
                finding.rule.code,
                finding.message
            ));
        }
    }
    println!("actionlint ok: {} files, {} findings too many", paths.len(), wrong.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn mistakes_are_found_where_they_are() {
    let Some(data) = folder("LOOPLINE_CONFORMANCE") else { return };
    let (mut agreed, mut total, mut lines_found, mut lines_total) = (0, 0, 0, 0);
    for path in files(&data.join("actionlint/err"), "yaml") {
        let name = path.file_stem().and_then(|name| name.to_str()).expect("a name").to_owned();
        let Ok(wanted) = fs_err::read_to_string(path.with_extension("out")) else { continue };
        let wanted = expected(&wanted);
        let (file, found) = check(&path);
        let places: BTreeSet<_> = found
            .iter()
            .map(|finding| file.position(finding.primary.span.start))
            .map(|at| (at.line, at.column))
            .collect();
        // Settle the two deliberate differences in counting, one expected place to one found.
        let mut missing: Vec<_> = wanted.difference(&places).copied().collect();
        let mut extra: Vec<_> = places.difference(&wanted).copied().collect();
        missing.retain(|wanted| {
            match extra.iter().position(|found| is_true_place(&file, *wanted, *found)) {
                Some(at) => {
                    extra.remove(at);
                    false
                }
                None => true,
            }
        });
        total += 1;
        lines_total += wanted.len();
        lines_found += wanted.len() - missing.len();
        if missing.is_empty() && extra.is_empty() {
            agreed += 1;
            continue;
        }
        println!("{name}: differs");
        for (line, column) in &missing {
            println!("  not found: {line}:{column}");
        }
        for finding in &found {
            let at = file.position(finding.primary.span.start);
            if extra.contains(&(at.line, at.column)) {
                println!("  too many: {at}: {} {}", finding.rule.code, finding.message);
            }
        }
    }
    println!("actionlint err: {agreed} of {total} files, {lines_found} of {lines_total} places");
    assert!(agreed * 100 >= total * FLOOR_PERCENT, "{agreed} of {total} files agree");
}

/// Returns what is found in `text` as lines.
fn found(text: &str) -> String {
    let file = SourceFile::new("w.yml", text);
    let lines = check::workflow(&file, &MemoryTree::new(), &Options::default());
    lines
        .iter()
        .map(|finding| {
            let at = file.position(finding.primary.span.start);
            format!("{at} {} {}\n", finding.rule.code, finding.message)
        })
        .collect()
}

#[test]
fn the_guides_workflows_are_judged() {
    let Some(guide) = folder("LOOPLINE_GUIDE") else { return };
    let mut report = String::new();
    let mut folders: Vec<_> = fs_err::read_dir(&guide)
        .expect("the guide can be listed")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    folders.sort();
    for folder in folders {
        for path in files(&folder.join(".github/workflows"), "yml") {
            let text = fs_err::read_to_string(&path).expect("the file is UTF-8");
            let name = path.strip_prefix(&guide).expect("it is inside").display().to_string();
            report.push_str(&format!("{name}\n{}", found(&text)));
        }
    }
    // Each line is a mistake in the file itself: versions of actions that GitHub no longer runs,
    // a workflow without `on`, and outputs read from a step of another job.
    expect_test::expect![[r#"
        cd/.github/workflows/blue-green.yml
        1:1 LL0202 `on` is missing in the workflow
        cd/.github/workflows/cd.yml
        62:9 LL0242 `8398a7/action-slack@v3` has no input `webhook_url`
        96:27 LL0218 no step before this one has the id `login-ecr`
        cd/.github/workflows/infrastructure.yml
        ci/.github/workflows/ci.yml
        69:13 LL0243 `codecov/codecov-action@v3` was built for a runtime or service that GitHub has retired
        cicd2/.github/workflows/ci-cd.yml
        102:13 LL0243 `codecov/codecov-action@v3` was built for a runtime or service that GitHub has retired
        compliance/.github/workflows/security-scan.yml
        30:13 LL0243 `github/codeql-action/upload-sarif@v2` was built for a runtime or service that GitHub has retired
        45:13 LL0243 `github/codeql-action/init@v2` was built for a runtime or service that GitHub has retired
        50:13 LL0243 `github/codeql-action/autobuild@v2` was built for a runtime or service that GitHub has retired
        53:13 LL0243 `github/codeql-action/analyze@v2` was built for a runtime or service that GitHub has retired
        67:13 LL0243 `github/codeql-action/upload-sarif@v2` was built for a runtime or service that GitHub has retired
        81:13 LL0243 `github/codeql-action/upload-sarif@v2` was built for a runtime or service that GitHub has retired
        devsecops/.github/workflows/security.yml
        23:15 LL0243 `github/codeql-action/init@v2` was built for a runtime or service that GitHub has retired
        119:15 LL0243 `github/codeql-action/upload-sarif@v2` was built for a runtime or service that GitHub has retired
        129:15 LL0243 `actions/upload-artifact@v3` was built for a runtime or service that GitHub has retired
        gitops/.github/workflows/deploy.yml
    "#]].assert_eq(&report);
}

#[test]
fn composite_actions_are_read_like_steps() {
    let text = "\
name: a
description: b
inputs: {level: {required: true}}
outputs:
  good: {value: '${{ steps.one.outputs.x }}'}
  bad: {value: '${{ steps.two.outputs.x }}'}
runs:
  using: composite
  steps:
    - run: echo ${{ inputs.level }} ${{ inputs.levle }}
      id: one
      shell: ${{ inputs.level }}
    - run: echo ${{ secrets.TOKEN }} ${{ matrix.anything }}
      shell: bash
";
    let action = SourceFile::new("action.yml", text);
    let report: String = check::action(&action, &MemoryTree::new(), &Options::default())
        .iter()
        .map(|finding| {
            let at = action.position(finding.primary.span.start);
            format!("{at} {} {}\n", finding.rule.code, finding.message)
        })
        .collect();
    expect_test::expect![[r#"
        6:21 LL0218 no step before this one has the id `two`
        10:41 LL0212 there is no property `levle` in `inputs`
        13:21 LL0212 there is no context `secrets`
    "#]]
    .assert_eq(&report);
}

#[test]
fn broken_texts_never_panic() {
    let Some(data) = folder("LOOPLINE_CONFORMANCE") else { return };
    let mut checked = 0;
    for kind in ["ok", "err"] {
        for path in files(&data.join("actionlint").join(kind), "yaml") {
            let text = fs_err::read_to_string(&path).expect("the file is UTF-8");
            let cuts = text.char_indices().map(|(at, _)| at).step_by(37);
            for at in cuts {
                found(&text[..at]);
                found(&format!("{}\u{e9}${{{{ {}", &text[..at], &text[at..]));
                found(&format!("{}: [ {}", &text[..at], &text[at..]));
                checked += 3;
            }
        }
    }
    println!("{checked} broken texts");
}

#[test]
fn calls_and_local_actions_are_looked_up() {
    let tree: MemoryTree = [
        (
            ".github/workflows/called.yml",
            "on:\n  workflow_call:\n    inputs:\n      name: {type: string, required: true}\n      \
             count: {type: number}\n    secrets:\n      token: {required: true}\n    outputs:\n      \
             version: {value: x}\njobs: {}\n",
        ),
        (".github/workflows/other.yml", "on: push\njobs: {}\n"),
        (
            "act/action.yml",
            "name: a\ndescription: b\ninputs:\n  must: {required: true}\n  may: {default: x}\noutputs:\n  \
             result: {}\nruns: {using: node24, main: index.js}\n",
        ),
        ("act/index.js", ""),
        (".github/actionlint.yaml", "self-hosted-runner:\n  labels: [gpu-*]\n"),
    ]
    .into_iter()
    .collect();
    let text = "\
on: push
jobs:
  good:
    uses: ./.github/workflows/called.yml
    with: {name: a, count: 3}
    secrets: {token: x}
  bad:
    uses: ./.github/workflows/called.yml
    with: {nam: a, count: many}
    secrets: {tokn: x}
  gone:
    uses: ./.github/workflows/gone.yml
  closed:
    uses: ./.github/workflows/other.yml
  after:
    needs: good
    runs-on: gpu-large
    steps:
      - uses: ./act
        id: act
        with: {mey: 1}
      - run: echo ${{ steps.act.outputs.result }} ${{ needs.good.outputs.version }}
      - run: echo ${{ steps.act.outputs.resullt }}
      - run: echo ${{ needs.good.outputs.tag }}
";
    let file = SourceFile::new("w.yml", text);
    let report: String = check::workflow(&file, &tree, &Options::default())
        .iter()
        .map(|finding| {
            let at = file.position(finding.primary.span.start);
            format!("{at} {} {} {:?}\n", finding.rule.code, finding.message, finding.hints)
        })
        .collect();
    expect_test::expect![[r#"
        8:11 LL0244 `./.github/workflows/called.yml` requires the input `name` []
        8:11 LL0244 `./.github/workflows/called.yml` requires the secret `token` []
        9:12 LL0244 `./.github/workflows/called.yml` has no input `nam` ["did you mean `name`?"]
        9:27 LL0213 the input `count` takes another type of value ["`count` is declared as a number"]
        10:15 LL0244 `./.github/workflows/called.yml` has no secret `tokn` ["did you mean `token`?"]
        12:11 LL0244 there is no workflow at `./.github/workflows/gone.yml` []
        14:11 LL0244 `./.github/workflows/other.yml` cannot be called ["it needs the event `workflow_call`"]
        19:15 LL0242 `./act` requires the input `must` []
        21:16 LL0242 `./act` has no input `mey` ["did you mean `may`?"]
        23:23 LL0212 there is no property `resullt` in `steps.act.outputs` ["did you mean `result`?"]
        24:23 LL0212 there is no property `tag` in `needs.good.outputs` []
    "#]].assert_eq(&report);
    let action =
        SourceFile::new("a/action.yml", "name: a\nruns: {using: node16, main: gone.js, env: x}\n");
    let report: String = check::action(&action, &tree, &Options::default())
        .iter()
        .map(|finding| format!("{} {}\n", finding.rule.code, finding.message))
        .collect();
    expect_test::expect![[r#"
        LL0245 an action needs `description`
        LL0245 the runtime `node16` is gone
        LL0245 there is no file `a/gone.js`
        LL0245 `env` is not a key of a JavaScript action
    "#]]
    .assert_eq(&report);
}
