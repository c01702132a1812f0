//! The builder's rules, our own, and the settings that turn rules on, off, up and down.

use std::collections::BTreeMap;

use expect_test::{Expect, expect};
use loopline_formats::dockerfile::check::{self, Report};
use loopline_source::{MemoryTree, SourceFile};

fn report(text: &str, files: &[(&str, &str)]) -> Report {
    let tree: MemoryTree = files.iter().copied().collect();
    check::dockerfile(&SourceFile::new("app/Dockerfile", text), &tree)
}

/// Shows the findings of rules that are not hadolint's.
fn others(text: &str, files: &[(&str, &str)]) -> String {
    show(&report(text, files), |code| !code.starts_with("DL") && code != "LL0402")
}

fn show(report: &Report, is: impl Fn(&str) -> bool) -> String {
    let of = |finding: &loopline_diagnostic::Diagnostic| {
        let at = finding.primary.file.position(finding.primary.span.start);
        let hints: String = finding.hints.iter().map(|hint| format!(" ({hint})")).collect();
        format!("{at} {}: {}{hints}\n", finding.rule.code, finding.message)
    };
    report.findings.iter().filter(|finding| is(finding.rule.code)).map(of).collect()
}

fn check(text: &str, expected: &Expect) {
    expected.assert_eq(&others(text, &[]));
}

#[test]
fn the_builders_checks() {
    check(
        "FROM a:1 as Base\nFROM a:1 AS x\nRun y\nENV a b\nWORKDIR /c\nEXPOSE 80/TCP 1:2\n",
        &expect![[r#"
            1:10 FromAsCasing: `FROM` and `as` are not in the same case
            1:13 StageNameCasing: the stage's name `Base` should be lowercase
            3:1 ConsistentInstructionCasing: `Run` should be uppercase as most instructions are
            4:5 LegacyKeyValueFormat: write `ENV name=value`
            6:8 ExposeProtoCasing: the protocol `TCP` should be lowercase
            6:15 ExposeInvalidFormat: `1:2` names an address or a port of the host
        "#]],
    );
    check(
        "FROM a:1\nRUN x \\\n\n  y\n",
        &expect![[r#"
        3:1 NoEmptyContinuation: an empty line inside of `RUN`
    "#]],
    );
    check(
        "ARG TAG\nFROM a:$TAG\nFROM --platform=$BULDPLATFORM b:1\nFROM c:${TAG:-1}\n",
        &expect![[r#"
            2:6 InvalidDefaultArgInFrom: without `--build-arg` the base image is `a:`, which is no image's name
            3:6 UndefinedArgInFrom: no `ARG` before the first `FROM` declares `BULDPLATFORM` (did you mean `BUILDPLATFORM`?)
        "#]],
    );
    check(
        "ARG VERSION=1\nFROM scratch AS x\nCOPY $FILE /\nARG FILE=a\nCOPY $FILE $FIL $VERSION /x/\n\
         FROM x\nENV A=$FILE B=${C:-d} D=$PATH\nFROM a:1\nENV E=$PYTHON F=$VERSION G=$PAHT\n",
        &expect![[r#"
            3:6 UndefinedVar: nothing in this stage sets `FILE`
            5:12 UndefinedVar: nothing in this stage sets `FIL` (did you mean `FILE`?)
            5:17 UndefinedVar: nothing in this stage sets `VERSION` (add `ARG VERSION` to this stage: it is set before `FROM` only)
            9:17 UndefinedVar: nothing in this stage sets `VERSION` (add `ARG VERSION` to this stage: it is set before `FROM` only)
            9:28 UndefinedVar: nothing in this stage sets `PAHT` (did you mean `PATH`?)
        "#]],
    );
    check("FROM a:1\nWORKDIR $x/y\nCMD [\"x\"]\nENTRYPOINT y\n", &expect![[r#""#]]);
    check(
        "FROM a:1\nSHELL [\"/bin/x\"]\nCMD y\nARG SSH_KEY\nENV AUTH=x\n",
        &expect![[r#"
        4:5 SecretsUsedInArgOrEnv: `ARG` keeps `SSH_KEY`, which looks like a secret
        5:5 SecretsUsedInArgOrEnv: `ENV` keeps `AUTH`, which looks like a secret
        5:10 LL0404: the value of `AUTH` can be read by everybody
    "#]],
    );
}

#[test]
fn rules_that_say_the_same_say_it_once() {
    let text =
        "FROM --platform=linux/amd64 a:1 AS context\nWORKDIR abc\nENV TOKEN=$x\nCMD x\nCMD y\n";
    let shown = show(&report(text, &[]), |code| code != "LL0402");
    expect![[r#"
        1:6 DL3029: `--platform=linux/amd64` fixes the platform of this stage
        1:36 DL3063: `context` means something else to the builder
        2:9 DL3000: `abc` is relative to wherever the base image happens to be
        3:5 DL3064: `TOKEN` looks like a secret, and `ENV` keeps it
        4:5 DL3025: `CMD` is written for a shell, which does not pass on signals (write CMD ["x"])
        5:1 DL4003: an earlier `CMD` of this stage has no effect
        5:5 DL3025: `CMD` is written for a shell, which does not pass on signals (write CMD ["y"])
    "#]]
    .assert_eq(&shown);
}

#[test]
fn files_that_are_left_out_cannot_be_copied() {
    let files = [("app/.dockerignore", "*.md\nsecret\n")];
    let text = "FROM a:1\nCOPY x.md secret/y z /\nCOPY --from=b:1 x.md /\n";
    expect![[r#"
        2:6 CopyIgnoredFile: `.dockerignore` leaves `x.md` out
        2:11 CopyIgnoredFile: `.dockerignore` leaves `secret/y` out
    "#]]
    .assert_eq(&others(text, &files));
    let taken_back = [("app/.dockerignore", "*.md\n!x.md\n")];
    expect![[r#""#]].assert_eq(&others(text, &taken_back));
}

#[test]
fn our_own_facts() {
    let own = |text: &str| show(&report(text, &[]), |code| code.starts_with("LL"));
    expect![[r#"
        3:6 LL0402: no `USER`: the image runs as whoever its base does, which is root by default
        4:11 LL0404: the value of `TOKEN` can be read by everybody
    "#]]
    .assert_eq(&own("FROM a:1 AS b\nUSER 1\nFROM a:1\nENV TOKEN=abc\n"));
    expect![[r#""#]].assert_eq(&own("FROM a:1 AS b\nUSER 1\nFROM b\nENV TOKEN=$X\n"));
    expect![[r#"
        4:12 LL0403: `/var/lib/apt/lists` was filled by the `RUN` of line 3, whose layer keeps it
    "#]]
    .assert_eq(&own("FROM a:1\nUSER 1\nRUN apt-get update\nRUN rm -rf /var/lib/apt/lists/*\n"));
    expect![[r#"
        3:1 LL0401: COPY requires at least two arguments, but only one was provided. Destination could not be determined
        4:1 LL0401: unknown instruction: RUNN (did you mean RUN?)
        5:5 LL0401: ENV must have two arguments
        6:1 LL0401: unterminated heredoc
    "#]].assert_eq(&own("FROM a:1\nUSER 1\nCOPY x\nRUNN y\nENV z\nRUN <<E\n"));
}

const BASE: &str = "FROM a:1\nRUN apt-get install -y foo\nLABEL Big=1 when=now\n";

#[test]
fn hadolints_settings() {
    let with = |settings: &str| {
        let report = report(BASE, &[(".hadolint.yaml", settings)]);
        let mut shown = show(&report, |code| code != "LL0402");
        shown.push_str(if report.failed { "failed" } else { "passed" });
        shown
    };
    expect![[r#"
        2:5 DL3015: recommended packages are installed too: add `--no-install-recommends`
        2:24 DL3008: `foo` has no version: write `foo=<version>`
        3:7 DL3048: the label `Big` does not start with a lower case letter
        passed"#]]
    .assert_eq(&with(""));
    expect![[r#"
        2:5 DL3015: recommended packages are installed too: add `--no-install-recommends`
        failed"#]]
    .assert_eq(&with("ignored: [DL3008, DL3048]\noverride:\n  error: [DL3015]\n"));
    expect![[r#"
        1:6 DL3057: the image has no `HEALTHCHECK`
        2:5 DL3015: recommended packages are installed too: add `--no-install-recommends`
        2:24 DL3008: `foo` has no version: write `foo=<version>`
        3:7 DL3048: the label `Big` does not start with a lower case letter
        failed"#]]
    .assert_eq(&with("override:\n  info: [DL3057]\nfailure-threshold: warning\n"));
    expect![[r#"
        2:5 DL3015: recommended packages are installed too: add `--no-install-recommends`
        2:24 DL3008: `foo` has no version: write `foo=<version>`
        3:7 DL3048: the label `Big` does not start with a lower case letter
        passed"#]]
    .assert_eq(&with("failure-threshold: none\noverride:\n  error: [DL3008]\n"));
    expect![[r#"
        1:6 DL3026: `docker.io`, where `a:1` comes from, is not trusted
        2:5 DL3015: recommended packages are installed too: add `--no-install-recommends`
        2:24 DL3008: `foo` has no version: write `foo=<version>`
        3:7 DL3048: the label `Big` does not start with a lower case letter
        failed"#]]
    .assert_eq(&with("trustedRegistries: [b.c]\n"));
    expect![[r#"
        2:5 DL3015: recommended packages are installed too: add `--no-install-recommends`
        2:24 DL3008: `foo` has no version: write `foo=<version>`
        3:7 DL3048: the label `Big` does not start with a lower case letter
        passed"#]]
    .assert_eq(&with("trustedRegistries: [docker.io]\n"));
    expect![[r#"
        1:6 DL3049: the label `author` is missing
        2:5 DL3015: recommended packages are installed too: add `--no-install-recommends`
        2:24 DL3008: `foo` has no version: write `foo=<version>`
        3:7 DL3048: the label `Big` does not start with a lower case letter
        3:7 DL3050: the schema does not know the label `Big`
        3:18 DL3053: the label `when` is not a time as in RFC 3339: `now`
        passed"#]]
    .assert_eq(&with("label-schema:\n  when: rfc3339\n  author: text\nstrict-labels: true\n"));
    expect![[r#"
        2:5 DL3015: recommended packages are installed too: add `--no-install-recommends`
        2:24 DL3008: `foo` has no version: write `foo=<version>`
        3:7 DL3048: the label `Big` does not start with a lower case letter
        1:1 LL0405: no setting of hadolint: `ignore` (did you mean `ignored`?)
        3:3 LL0405: no level that rules can be given: expected `error`, `warning`, `info` or `style`
        4:16 LL0405: expected `true` or `false`
        failed"#]]
    .assert_eq(&with("ignore: [DL3008]\noverride:\n  loud: [x]\nstrict-labels: 7\n"));
    expect![[r#"
        2:5 DL3015: recommended packages are installed too: add `--no-install-recommends`
        2:24 DL3008: `foo` has no version: write `foo=<version>`
        3:7 DL3048: the label `Big` does not start with a lower case letter
        2:1 LL0101: while parsing a node, did not find expected node content
        failed"#]]
    .assert_eq(&with("a: [\n"));
}

#[test]
fn comments_silence_findings() {
    let codes = |text: &str| -> BTreeMap<String, usize> {
        let mut codes = BTreeMap::new();
        for finding in report(text, &[]).findings {
            *codes.entry(finding.rule.code.to_owned()).or_default() += 1;
        }
        codes
    };
    let run = "RUN apt-get install -y foo\n";
    let all = codes(&format!("FROM a:1\nUSER 1\n{run}"));
    assert_eq!(all.keys().collect::<Vec<_>>(), ["DL3008", "DL3015"]);
    assert_eq!(
        codes(&format!("FROM a:1\nUSER 1\n# hadolint ignore=DL3008\n{run}{run}"))["DL3008"],
        1
    );
    let global = codes(&format!("# hadolint global ignore=DL3008\nFROM a:1\nUSER 1\n{run}{run}"));
    assert!(!global.contains_key("DL3008"));
    let legacy = "FROM a:1\nUSER 1\nENV a b\n";
    assert!(codes(legacy).contains_key("LegacyKeyValueFormat"));
    assert!(codes(&format!("# check=skip=LegacyKeyValueFormat\n{legacy}")).is_empty());
    assert!(codes(&format!("# check=skip=all\n{legacy}")).is_empty());
    assert!(codes("FROM a:1\nUSER 1\n# check=skip=LegacyKeyValueFormat\nENV a b\n").is_empty());
    assert!(report(&format!("# check=error=true\n{legacy}"), &[]).failed);
    assert!(!report(legacy, &[]).failed);
    let described = "# check=experimental=all\n# nonsense\nFROM a:1 AS b\nUSER 1\n";
    assert!(codes(described).contains_key("InvalidDefinitionDescription"));
    assert!(codes("# check=what=ever\nFROM a:1\nUSER 1\n").contains_key("LL0405"));
}
