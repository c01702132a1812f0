//! The pipeline as a whole: text in at every split, the same text and events out.

use std::io;
use std::path::Path;

use expect_test::{Expect, expect};
use loopline_workflow::run::Annotation;

use super::{Effect, Masker, Matchers, Options, Pipeline, Sink};

/// Writes down what happens, in order.
#[derive(Default)]
struct Record {
    text: String,
}

impl Sink for Record {
    fn lines(&mut self, lines: &[u8]) {
        assert_eq!(lines.last(), Some(&b'\n'));
        self.text.push_str(&std::str::from_utf8(lines).unwrap().replace('\x1b', "<ESC>"));
    }

    fn annotation(&mut self, annotation: Annotation) {
        let place = annotation.place.map_or_else(String::new, |place| {
            format!(" at {}:{}:{}", place.file, place.line, place.column)
        });
        let title = annotation.title.map_or_else(String::new, |title| format!(" ({title})"));
        self.text.push_str(&format!(
            "    -> {:?}: {:?}{title}{place}\n",
            annotation.level, annotation.message
        ));
    }

    fn effect(&mut self, effect: Effect) {
        self.text.push_str(&format!("    -> {effect:?}\n"));
    }

    fn read_matcher(&mut self, path: &Path) -> io::Result<Vec<u8>> {
        match path.to_str() {
            Some("/w/gcc.json") => Ok(br#"{"problemMatcher":[{"owner":"gcc","pattern":[{
                "regexp":"^(.*):(\\d+):(\\d+):\\s+(?:fatal\\s+)?(warning|error):\\s+(.*)$",
                "file":1,"line":2,"column":3,"severity":4,"message":5}]}]}"#
                .to_vec()),
            Some("/w/two.json") => Ok(br#"{"problemMatcher":[{"owner":"two","pattern":[
                {"regexp":"^in (.*)$","file":1},{"regexp":"^  (\\d+): (.*)$","line":1,"message":2,
                "loop":true}]}]}"#
                .to_vec()),
            Some("/w/bad.json") => Ok(br#"{"problemMatcher":[{"owner":"bad","pattern":[
                {"regexp":"(?<=x)y","message":0}]}]}"#
                .to_vec()),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn file_exists(&mut self, path: &Path) -> bool {
        !path.ends_with("missing.c")
    }
}

fn run(input: &[u8], secrets: &[&str], split: impl Fn(usize) -> bool) -> String {
    let masker = Masker::new();
    for secret in secrets {
        masker.add(secret).unwrap();
    }
    let options = Options { workspace: "/w".into(), ..Options::default() };
    let mut pipeline = Pipeline::new(options, masker, Matchers::new());
    let mut record = Record::default();
    let mut start = 0;
    for end in 1..=input.len() {
        if split(end) || end == input.len() {
            pipeline.push(&input[start..end], &mut record);
            start = end;
        }
    }
    pipeline.finish(&mut record);
    record.text
}

/// Checks that every way to split the input gives the same.
#[track_caller]
fn check(input: &[u8], secrets: &[&str], expected: Expect) {
    let whole = run(input, secrets, |_| false);
    for size in [1, 2, 3, 7] {
        assert_eq!(run(input, secrets, |at| at % size == 0), whole, "in chunks of {size}");
    }
    for at in 1..input.len() {
        assert_eq!(run(input, secrets, |end| end == at), whole, "split at {at}");
    }
    expected.assert_eq(&whole);
}

#[test]
fn lines_and_their_ends() {
    check(
        b"one\ntwo\r\n10%\r20%\r\n\n\x1b[31mred\x1b[0m\xff\xfe\nno end",
        &[],
        expect![[r#"
            one
            two
            10%
            20%

            <ESC>[31mred<ESC>[0m��
            no end
        "#]],
    );
    check(b"a\r", &[], expect!["a\n"]);
    check(b"", &[], expect![""]);
}

#[test]
fn commands() {
    check(
        b"a\n  ::error file=/w/x.c,line=3,title=T::bad%0Aworse\n::group::G\nmod::path::x\n\
          ::endgroup::\n##[warning]careful\n::notice::hush\n::debug::no\n::unknown::x\n\
          ::set-output name=a::b\n::save-state name=s::t\n::set-env name=E::v\n::add-path::/p\n\
          ::set-output::x\n::echo::maybe\n::echo::on\n::group::H\n",
        &["hush"],
        expect![[r#"
            a
            ##[error]bad
            worse
                -> Error: "bad\nworse" (T) at x.c:3:0
            ##[group]G
            mod::path::x
            ##[endgroup]
            ##[warning]careful
                -> Warning: "careful"
            ##[notice]***
                -> Notice: "***"
            ::unknown::x
            ##[warning]The `set-output` command is deprecated, use the environment files (https://github.blog/changelog/2022-10-11-github-actions-deprecating-save-state-and-set-output-commands/)
                -> Warning: "The `set-output` command is deprecated, use the environment files (https://github.blog/changelog/2022-10-11-github-actions-deprecating-save-state-and-set-output-commands/)"
                -> SetOutput { name: "a", value: "b" }
            ##[warning]The `save-state` command is deprecated, use the environment files (https://github.blog/changelog/2022-10-11-github-actions-deprecating-save-state-and-set-output-commands/)
                -> Warning: "The `save-state` command is deprecated, use the environment files (https://github.blog/changelog/2022-10-11-github-actions-deprecating-save-state-and-set-output-commands/)"
                -> SaveState { name: "s", value: "t" }
            ##[error]Unable to process command '::set-env name=E::v' successfully.
                -> Error: "Unable to process command '::set-env name=E::v' successfully."
            ##[error]The `set-env` command is disabled. Please upgrade to using Environment Files or opt into unsecure command execution by setting the `ACTIONS_ALLOW_UNSECURE_COMMANDS` environment variable to `true`
                -> Error: "The `set-env` command is disabled. Please upgrade to using Environment Files or opt into unsecure command execution by setting the `ACTIONS_ALLOW_UNSECURE_COMMANDS` environment variable to `true`"
                -> Fail { reason: "The `set-env` command is disabled. Please upgrade to using Environment Files or opt into unsecure command execution by setting the `ACTIONS_ALLOW_UNSECURE_COMMANDS` environment variable to `true`" }
            ##[error]Unable to process command '::add-path::/p' successfully.
                -> Error: "Unable to process command '::add-path::/p' successfully."
            ##[error]The `add-path` command is disabled. Please upgrade to using Environment Files or opt into unsecure command execution by setting the `ACTIONS_ALLOW_UNSECURE_COMMANDS` environment variable to `true`
                -> Error: "The `add-path` command is disabled. Please upgrade to using Environment Files or opt into unsecure command execution by setting the `ACTIONS_ALLOW_UNSECURE_COMMANDS` environment variable to `true`"
                -> Fail { reason: "The `add-path` command is disabled. Please upgrade to using Environment Files or opt into unsecure command execution by setting the `ACTIONS_ALLOW_UNSECURE_COMMANDS` environment variable to `true`" }
            ##[error]Unable to process command '::set-output::x' successfully.
                -> Error: "Unable to process command '::set-output::x' successfully."
            ##[error]Required field 'name' is missing in ##[set-output] command.
                -> Error: "Required field 'name' is missing in ##[set-output] command."
                -> Fail { reason: "Required field 'name' is missing in ##[set-output] command." }
            ##[error]Unable to process command '::echo::maybe' successfully.
                -> Error: "Unable to process command '::echo::maybe' successfully."
            ##[error]Invalid echo command value. Possible values can be: 'on', 'off'. Current value is: 'maybe'.
                -> Error: "Invalid echo command value. Possible values can be: 'on', 'off'. Current value is: 'maybe'."
                -> Fail { reason: "Invalid echo command value. Possible values can be: 'on', 'off'. Current value is: 'maybe'." }
            ::group::H
            ##[group]H
        "#]],
    );
}

#[test]
fn masks_and_pauses() {
    check(
        b"before s3cret\n::add-mask::s3cret\nafter s3cret-s3cret\n::add-mask::\n\
          ::stop-commands::pause-token\n::error::not one\n::pause-token::\n::notice::again\n\
          ::stop-commands::error\n",
        &[],
        expect![[r#"
            before s3cret
            after ***-***
            ##[warning]Can't add secret mask for empty string in ##[add-mask] command.
                -> Warning: "Can't add secret mask for empty string in ##[add-mask] command."
            ::stop-commands::***
            ::error::not one
            ::***::
            ##[notice]again
                -> Notice: "again"
            ##[error]You cannot use a endToken that is an empty string, the string 'pause-logging', or another workflow command. To opt into insecure command execution, set `ACTIONS_ALLOW_UNSECURE_STOPCOMMAND_TOKENS` to `true`
                -> Error: "You cannot use a endToken that is an empty string, the string 'pause-logging', or another workflow command. To opt into insecure command execution, set `ACTIONS_ALLOW_UNSECURE_STOPCOMMAND_TOKENS` to `true`"
                -> Fail { reason: "You cannot use a endToken that is an empty string, the string 'pause-logging', or another workflow command. To opt into insecure command execution, set `ACTIONS_ALLOW_UNSECURE_STOPCOMMAND_TOKENS` to `true`" }
        "#]],
    );
}

#[test]
fn problem_matchers() {
    check(
        b"x.c:1:2: error: before\n::add-matcher::gcc.json\n::add-matcher::two.json\n\
          src/x.c:3:4: error: hush now\nnothing\n\x1b[1mx.c:5:6: \x1b[35mwarning:\x1b[0m coloured\n\
          missing.c:1:1: error: gone\n/elsewhere/x.c:1:1: error: outside\nin a.c\n  7: first\n\
            8: second\nnot\n  9: stale\n::remove-matcher owner=gcc::\nx.c:1:2: error: after\n\
          ::add-matcher::bad.json\n::add-matcher::none.json\n",
        &["hush"],
        expect![[r#"
            x.c:1:2: error: before
            ##[error]src/x.c:3:4: error: *** now
                -> Error: "*** now" at src/x.c:3:4
            nothing
            ##[warning]x.c:5:6: warning: coloured
                -> Warning: "coloured" at x.c:5:6
            ##[error]missing.c:1:1: error: gone
                -> Error: "gone"
            ##[error]/elsewhere/x.c:1:1: error: outside
                -> Error: "outside"
            in a.c
            ##[error]  7: first
                -> Error: "first" at a.c:7:0
            8: second
            not
              9: stale
            x.c:1:2: error: after
            ##[error]Unable to process command '::add-matcher::bad.json' successfully.
                -> Error: "Unable to process command '::add-matcher::bad.json' successfully."
            ##[error]problem matcher bad.json: matcher 'bad': the expression `(?<=x)y` uses look-behind, which needs unbounded time and is not supported
                -> Error: "problem matcher bad.json: matcher 'bad': the expression `(?<=x)y` uses look-behind, which needs unbounded time and is not supported"
                -> Fail { reason: "problem matcher bad.json: matcher 'bad': the expression `(?<=x)y` uses look-behind, which needs unbounded time and is not supported" }
            ##[error]Unable to process command '::add-matcher::none.json' successfully.
                -> Error: "Unable to process command '::add-matcher::none.json' successfully."
            ##[error]problem matcher none.json: entity not found
                -> Error: "problem matcher none.json: entity not found"
                -> Fail { reason: "problem matcher none.json: entity not found" }
        "#]],
    );
}

#[test]
fn ten_annotations_of_a_level() {
    let input = "::error::e\n".repeat(12) + "::notice::n\n";
    let out = run(input.as_bytes(), &[], |_| false);
    assert_eq!(out.matches("##[error]e").count(), 12);
    assert_eq!(out.matches("-> Error").count(), 10);
    assert_eq!(out.matches("-> Notice").count(), 1);
}

#[test]
fn long_lines_are_cut_and_nothing_is_lost() {
    let line = "0123456789ä".repeat(30_000);
    for size in [1000, 4096, 65_536, usize::MAX] {
        let mut input = line.clone();
        input.push_str("\nshort\n");
        let out = run(input.as_bytes(), &[], |at| at % size == 0);
        let joined = out.replace("[...]\n[...]", "");
        assert!(joined == input, "in chunks of {size}");
        if size != usize::MAX {
            assert!(out.lines().all(|line| line.len() < 200_000), "{size}");
        }
    }
}

#[test]
fn a_secret_across_a_cut_is_hidden() {
    for before in 65_400..65_700 {
        let input = format!("{}top-secret-value{}\n", "x".repeat(before), "y".repeat(70_000));
        let out = run(input.as_bytes(), &["top-secret-value"], |at| at % 1000 == 0);
        assert!(!out.contains("top") && !out.contains("value") && out.contains("***"));
    }
    let input = "ab".repeat(200_000);
    let out = run(input.as_bytes(), &["ab", "ba"], |at| at % 1000 == 0);
    assert!(!out.contains('a') && !out.contains('b'), "{out}");
}

#[test]
fn a_mask_too_long_fails_the_step_and_shows_nothing() {
    let input = format!("::add-mask::{}\nnext\n", "s".repeat(3 << 20));
    let out = run(input.as_bytes(), &[], |at| at % 65_536 == 0);
    assert!(out.contains("Fail { reason: \"a workflow command is longer than 2 MiB\" }"), "{out}");
    assert!(!out.contains("ssss") && out.ends_with("next\n"));
}

#[test]
fn no_split_leaks() {
    bolero::check!().with_type::<(Vec<u8>, Vec<u8>, Vec<u8>)>().for_each(
        |(noise, cuts, secret)| {
            let secret: String = secret.iter().map(|b| char::from(b'a' + b % 3)).collect();
            let mut input: Vec<u8> = Vec::new();
            for (index, byte) in noise.iter().enumerate() {
                input.push(match byte % 9 {
                    0 => b'\n',
                    1 => b'\r',
                    2 => b':',
                    3 => b'[',
                    other => b'a' + other % 4,
                });
                if byte % 5 == 0 {
                    input.extend_from_slice(secret.as_bytes());
                }
                if index % 7 == 0 {
                    input.extend_from_slice(b"\n::add-mask::bb\n");
                }
            }
            let whole = run(&input, &[&secret], |_| false);
            let split = run(&input, &[&secret], |at| {
                cuts.get(at % cuts.len().max(1)).is_some_and(|cut| cut % 3 == 0)
            });
            assert_eq!(split, whole);
            assert!(secret.is_empty() || !whole.contains(&secret), "{secret} in {whole}");
        },
    );
}

#[test]
fn no_bytes_panic() {
    bolero::check!().for_each(|bytes: &[u8]| {
        let mut commands = b"::add-matcher::gcc.json\n::add-matcher::two.json\n".to_vec();
        commands.extend_from_slice(bytes);
        run(&commands, &["x"], |at| at % 5 == 0);
        let _ = super::file_commands::pairs(bytes);
        let _ = super::file_commands::paths(bytes);
        let _ = super::file_commands::summary(bytes, &Masker::new());
        let _ = Matchers::new().add(bytes);
        if let Ok(text) = std::str::from_utf8(bytes) {
            let _ = super::pattern::compile(text);
        }
    });
}
