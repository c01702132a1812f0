//! BuildKit's own parser files: what must parse, into what, and what must be refused.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use expect_test::expect;
use loopline_formats::dockerfile::tree::{Arguments, Heredoc, Instruction, Word};
use loopline_source::SourceFile;

use super::read;
use crate::folder;

#[test]
fn every_parser_file_reads_as_its_result_says() {
    let Some(folder) = folder("LOOPLINE_CONFORMANCE") else { return };
    let cases = cases(&folder.join("dockerfile-parser"));
    let mut wrong = Vec::new();
    for case in &cases {
        let text = fs_err::read_to_string(case.join("Dockerfile")).expect("a Dockerfile");
        let expected = fs_err::read_to_string(case.join("result")).expect("its result");
        let parsed = read(&text);
        let found: Vec<String> = parsed.dockerfile.instructions.iter().map(dump).collect();
        if !parsed.problems.is_empty() || found.join("\n") != expected.trim() {
            let problems = &parsed.problems;
            wrong.push(format!("{}:\n{}\n{problems:?}", case.display(), found.join("\n")));
        }
    }
    println!("parser files: {} of {} as expected", cases.len() - wrong.len(), cases.len());
    assert!(cases.len() >= 20, "the parser files are there");
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn every_negative_file_is_refused() {
    let Some(folder) = folder("LOOPLINE_CONFORMANCE") else { return };
    let cases = cases(&folder.join("dockerfile-parser-negative"));
    let mut accepted = Vec::new();
    for case in &cases {
        let text = fs_err::read_to_string(case.join("Dockerfile")).expect("a Dockerfile");
        let problems = read(&text).problems;
        println!("{}: {problems:?}", case.display());
        if problems.is_empty() {
            accepted.push(case);
        }
    }
    assert!(cases.len() >= 3, "the negative files are there");
    assert!(accepted.is_empty(), "{accepted:?}");
}

#[test]
fn problems_have_the_builders_words_and_a_line() {
    let text = "FROM a\nENV x\nENV a=b \\\n c\nCMD [1]\nRUN <<A\nb\n";
    let shown: Vec<String> = read(text)
        .problems
        .iter()
        .map(|problem| {
            format!("{} at {}-{}: {problem}", problem.line, problem.span.start, problem.span.end)
        })
        .collect();
    expect![[r#"
        2 at 11-12: ENV must have two arguments
        3 at 17-25: Syntax error - can't find = in "c". Must be of the form: name=value
        5 at 30-33: when using JSON array syntax, arrays must be comprised of strings only
        6 at 34-41: unterminated heredoc"#]]
    .assert_eq(&shown.join("\n"));
    let one = |text: &str| read(text).problems.first().map(ToString::to_string);
    assert_eq!(one("# c\n").as_deref(), Some("file with no instructions"));
    assert_eq!(one("").as_deref(), Some("file with no instructions"));
    assert_eq!(
        one("#escape=x\nFROM a").as_deref(),
        Some("invalid escape token 'x' does not match ` or \\")
    );
    assert_eq!(
        one("#syntax=a\n#syntax=b\nFROM a").as_deref(),
        Some("only one syntax parser directive can be used")
    );
    assert_eq!(
        one(&format!("FROM a\nRUN {}", "x".repeat(70_000))).as_deref(),
        Some("dockerfile line greater than max allowed size of 65535")
    );
    assert_eq!(
        one(&format!("{}RUN x", "ONBUILD ".repeat(20))).as_deref(),
        Some("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed")
    );
}

#[test]
fn here_documents_are_found() {
    let bodies = |text: &str| -> Vec<(String, String, bool)> {
        let parsed = read(text);
        assert!(parsed.problems.is_empty(), "{text}: {:?}", parsed.problems);
        let file = SourceFile::new("Dockerfile", text);
        let content =
            |heredoc: &Heredoc| (heredoc.name.clone(), heredoc.content(&file), heredoc.expand);
        parsed.dockerfile.instructions.iter().flat_map(|i| i.heredocs.iter().map(content)).collect()
    };
    let one = |name: &str, body: &str, expand| vec![(name.to_owned(), body.to_owned(), expand)];
    assert_eq!(bodies("RUN <<E\na\n\nE\n"), one("E", "a\n\n", true));
    assert_eq!(bodies("RUN << E\na\nE"), one("E", "a\n", true));
    assert_eq!(bodies("RUN <<-E\n\t\ta\n\tE"), one("E", "a\n", true));
    assert_eq!(bodies("RUN <<'E F'\r\na\r\nE F\r\n"), one("E F", "a\r\n", false));
    assert_eq!(bodies("RUN <<\"E\"x\na\nEx\n"), one("Ex", "a\n", false));
    assert_eq!(bodies("RUN <<$E\na\n$E\n"), one("$E", "a\n", true));
    assert_eq!(bodies("ONBUILD COPY <<a /b\nE\na"), one("a", "E\n", true));
    assert_eq!(bodies("RUN <<E\nE\nRUN <<F\n<<E\nF\n").len(), 2);
    for text in
        ["RUN <<<E\n", "RUN \"<<E\"\n", "RUN ['<<E']\nCMD <<E\n", "RUN [\"<<E\"]\n", "RUN <<\n"]
    {
        assert_eq!(bodies(text), vec![], "{text}");
    }
}

#[test]
fn a_tree_has_places() {
    let text = "FROM --platform=linux/amd64 a AS b\nENV A=1 \\\n  # c\n  B=\"2\\\n3\"\nCMD [ \"x\", \"y z\" ]\n";
    let parsed = read(text);
    let mut out = String::new();
    for instruction in &parsed.dockerfile.instructions {
        let mut show = |word: &Word| {
            let Word { text: word, span } = word;
            let source = &text[span.start as usize..span.end as usize];
            let _infallible = writeln!(out, "{word:?} {source:?}");
        };
        instruction.flags.iter().for_each(&mut show);
        match &instruction.arguments {
            Arguments::Words(words) | Arguments::Json(words) => words.iter().for_each(&mut show),
            Arguments::Pairs(pairs) => pairs.iter().for_each(|pair| {
                show(&pair.key);
                show(&pair.value);
            }),
            other => panic!("{other:?}"),
        }
    }
    expect![[r#"
        "--platform=linux/amd64" "--platform=linux/amd64"
        "a" "a"
        "AS" "AS"
        "b" "b"
        "A" "A"
        "1" "1"
        "B" "B=\"2\\\n3\""
        "\"23\"" "B=\"2\\\n3\""
        "x" "\"x\""
        "y z" "\"y z\""
    "#]]
    .assert_eq(&out);
}

fn cases(folder: &Path) -> Vec<PathBuf> {
    let mut cases: Vec<_> = fs_err::read_dir(folder)
        .expect("the folder can be listed")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.join("Dockerfile").is_file())
        .collect();
    cases.sort();
    cases
}

/// Returns an instruction as BuildKit's tree dumper writes it.
fn dump(instruction: &Instruction) -> String {
    format!("({})", inner(instruction))
}

fn inner(instruction: &Instruction) -> String {
    let mut out = instruction.keyword.text.to_lowercase();
    if !instruction.flags.is_empty() {
        let flags: Vec<String> = instruction.flags.iter().map(|flag| quoted(&flag.text)).collect();
        let _infallible = write!(out, " [{}]", flags.join(" "));
    }
    arguments(&instruction.arguments, &mut out);
    out.trim().to_owned()
}

fn arguments(from: &Arguments, out: &mut String) {
    let mut add = |text: &str| {
        out.push(' ');
        out.push_str(&quoted(text));
    };
    match from {
        Arguments::None => {}
        Arguments::Text(word) | Arguments::Invalid(word) => add(&word.text),
        Arguments::Words(words) | Arguments::Json(words) => {
            words.iter().for_each(|word| add(&word.text));
        }
        Arguments::Pairs(pairs) => pairs.iter().for_each(|pair| {
            add(&pair.key.text);
            add(&pair.value.text);
            add(if pair.legacy { "" } else { "=" });
        }),
        Arguments::Nested(nested) => {
            let _infallible = write!(out, " ({})", inner(nested));
        }
        Arguments::Health(kind, command) => {
            add(&kind.text);
            arguments(command, out);
        }
    }
}

/// Returns `text` in quotes, with the escapes Go uses.
fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if (c as u32) < 0x20 || c == '\u{7f}' => {
                let _infallible = write!(out, "\\x{:02x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
