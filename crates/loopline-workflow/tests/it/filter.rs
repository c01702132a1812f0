//! Filters of events: GitHub's cheat sheet, order, reasons, and hostile patterns.

use expect_test::{Expect, expect};
use loopline_source::Span;
use loopline_workflow::github::filter::{
    Change, EventFilter, MAX_PATTERN_LENGTH, Pattern, PatternError, PatternList, Reference,
};
use loopline_workflow::github::model::{Filters, Text};

#[test]
fn patterns_cover_what_the_cheat_sheet_says() {
    let table: &[(&str, &[&str], &[&str])] = &[
        ("feature/*", &["feature/my-branch", "feature/"], &["feature/a/b", "feature"]),
        ("feature/**", &["feature/beta-a/my-branch", "feature/x"], &["feature", "xfeature/y"]),
        ("main", &["main"], &["Main", "main2", "a/main"]),
        ("*", &["main", ""], &["releases/10"]),
        ("**", &["all/the/branches", "x", ""], &[]),
        ("*feature", &["mona-feature", "feature", "ver-10-feature"], &["a/feature"]),
        ("v2*", &["v2", "v2.0", "v2.9"], &["v1", "v2/0"]),
        ("v[12].[0-9]+.[0-9]+", &["v1.10.1", "v2.0.0"], &["v3.1.0", "v1..1", "v1x10x1"]),
        ("*.jsx?", &["page.js", "page.jsx"], &["page.jsxx", "a/page.js", "pagejs"]),
        ("**.js", &["index.js", "js/index.js", "src/js/app.js"], &["index.jsx"]),
        ("docs/*", &["docs/README.md"], &["docs/a/b.md"]),
        ("docs/**", &["docs/README.md", "docs/mona/octocat.txt"], &["docs", "x/docs/a"]),
        ("docs/**/*.md", &["docs/README.md", "docs/a/markdown/file.md"], &["docsREADME.md"]),
        ("**/docs/**", &["docs/hello.md", "dir/docs/my-file.txt"], &["mydocs/a", "docs"]),
        ("**/README.md", &["README.md", "js/README.md"], &["MY-README.md"]),
        ("**/*src/**", &["a/src/app.js", "my-src/code/js/app.js"], &["src"]),
        ("**/*-post.md", &["my-post.md", "path/their-post.md"], &["post.md"]),
        ("Octoc?t", &["Octoct", "Octot"], &["Octocat"]),
        ("[CB]at", &["Cat", "Bat"], &["cat", "at"]),
        ("a[._-]b", &["a.b", "a_b", "a-b"], &["a+b", "acb"]),
        ("a[!x^]b", &["a!b", "axb", "a^b"], &["acb"]),
        (r"a\*\+\[b", &["a*+[b"], &["aa[b"]),
        (r"[\]\-\\]", &["]", "-", "\\"], &["a"]),
        ("a+?", &["", "a", "aaa"], &["b"]),
        ("+a", &["+a"], &["a"]),
        ("a.b(c)|d$", &["a.b(c)|d$"], &["axb(c)"]),
        ("é+", &["éé"], &["e"]),
    ];
    for (text, covered, others) in table {
        let pattern = Pattern::parse(text).unwrap();
        for name in *covered {
            assert!(pattern.covers(name), "{text} covers {name}");
        }
        for name in *others {
            assert!(!pattern.covers(name), "{text} does not cover {name}");
        }
    }
}

#[test]
fn the_last_pattern_that_covers_a_name_decides() {
    let list =
        PatternList::parse(["releases/**", "!releases/**-alpha", "releases/9-alpha"]).unwrap();
    assert!(list.matches("releases/10"));
    assert!(!list.matches("releases/beta/3-alpha"));
    assert!(list.matches("releases/9-alpha"));
    assert!(!list.matches("main"));
    assert!(!PatternList::parse(["!main"]).unwrap().matches("dev"));
    assert_eq!(list.deciding("releases/1-alpha").unwrap().text(), "!releases/**-alpha");
}

#[test]
fn what_is_no_pattern_is_refused() {
    for (text, error) in [
        ("a[b", PatternError::UnclosedBracket(1)),
        ("!a[b", PatternError::UnclosedBracket(2)),
        ("[]", PatternError::EmptyBrackets(0)),
        ("[9-0]", PatternError::BackwardRange(0)),
        ("a\\", PatternError::TrailingBackslash),
        (&"a".repeat(MAX_PATTERN_LENGTH + 1), PatternError::TooLong),
    ] {
        assert_eq!(Pattern::parse(text).unwrap_err(), error);
    }
}

#[test]
fn hostile_patterns_take_linear_time() {
    let name = format!("{}b", "a".repeat(20_000));
    for text in [
        "*a".repeat(1_000),
        "a+".repeat(1_000),
        "**/".repeat(1_000),
        format!("a{}", "+?".repeat(2_000)),
        "a?".repeat(2_000),
    ] {
        Pattern::parse(&text).unwrap().covers(&name);
    }
}

fn filters(lists: &[(&str, &[&str])]) -> EventFilter {
    let mut filters = Filters::default();
    for (key, texts) in lists {
        let texts = texts.iter().map(|text| Text { span: Span::new(0, 0), value: (*text).into() });
        let list = match *key {
            "branches" => &mut filters.branches,
            "branches-ignore" => &mut filters.branches_ignore,
            "tags" => &mut filters.tags,
            "tags-ignore" => &mut filters.tags_ignore,
            "paths" => &mut filters.paths,
            _ => &mut filters.paths_ignore,
        };
        *list = Some(texts.collect());
    }
    EventFilter::new(&filters).unwrap()
}

fn check(
    lists: &[(&str, &[&str])],
    reference: Reference<'_>,
    paths: Option<&[&str]>,
    expected: Expect,
) {
    let paths: Option<Vec<String>> =
        paths.map(|paths| paths.iter().map(|path| (*path).to_owned()).collect());
    let decision = filters(lists).decide(Change { reference, paths: paths.as_deref() });
    let mut text = if decision.runs { "runs" } else { "skipped" }.to_owned();
    for reason in &decision.reasons {
        text.push_str(&format!("; {reason}"));
    }
    expected.assert_eq(&text);
}

#[test]
fn decisions_say_why() {
    use Reference::{Branch, Tag};
    check(&[], Branch("main"), Some(&[]), expect!["runs"]);
    check(
        &[("branches", &["main", "!dev"])],
        Branch("main"),
        None,
        expect!["runs; branch `main` matches `main` of `branches`"],
    );
    check(
        &[("branches", &["*", "!dev"])],
        Branch("dev"),
        None,
        expect!["skipped; branch `dev` matches `!dev` of `branches`"],
    );
    check(
        &[("branches", &["main"])],
        Branch("dev"),
        None,
        expect!["skipped; branch `dev` matches none of `branches`"],
    );
    check(
        &[("branches", &["main"])],
        Tag("v1"),
        None,
        expect!["skipped; tag `v1` is no branch, and there is only `branches`"],
    );
    check(
        &[("branches-ignore", &["dev*"])],
        Branch("dev2"),
        None,
        expect!["skipped; branch `dev2` matches `dev*` of `branches-ignore`"],
    );
    check(
        &[("branches-ignore", &["dev*"])],
        Branch("main"),
        None,
        expect!["runs; branch `main` matches none of `branches-ignore`"],
    );
    check(
        &[("branches-ignore", &["dev*"])],
        Tag("v1"),
        None,
        expect!["skipped; tag `v1` is no branch, and there is only `branches-ignore`"],
    );
    check(&[("tags", &["v*"])], Tag("v1"), None, expect!["runs; tag `v1` matches `v*` of `tags`"]);
    check(
        &[("tags", &["v*"])],
        Branch("main"),
        None,
        expect!["skipped; branch `main` is no tag, and there is only `tags`"],
    );
    check(
        &[("tags", &["v*"]), ("branches", &["main"])],
        Branch("main"),
        None,
        expect!["runs; branch `main` matches `main` of `branches`"],
    );
    check(
        &[("tags-ignore", &["v0*"])],
        Tag("v0.1"),
        None,
        expect!["skipped; tag `v0.1` matches `v0*` of `tags-ignore`"],
    );
    check(&[("paths", &["src/**"])], Tag("v1"), Some(&["a"]), expect!["runs"]);
    check(
        &[("paths", &["src/**"])],
        Branch("b"),
        Some(&["a", "src/b"]),
        expect!["runs; file `src/b` matches `src/**` of `paths`"],
    );
    check(
        &[("paths", &["src/**", "!src/b"])],
        Branch("b"),
        Some(&["a", "src/b"]),
        expect!["skipped; each of the 2 changed files is outside of `paths`"],
    );
    check(
        &[("paths", &["src/**"])],
        Branch("b"),
        Some(&[]),
        expect!["skipped; no changed file matches `paths`"],
    );
    check(&[("paths", &["src/**"])], Branch("b"), None, expect!["runs"]);
    check(
        &[("paths-ignore", &["**.md"])],
        Branch("b"),
        Some(&["a.md", "b/c.md"]),
        expect!["skipped; each of the 2 changed files is ignored by `paths-ignore`"],
    );
    check(
        &[("paths-ignore", &["**.md"])],
        Branch("b"),
        Some(&["a.md", "b.rs"]),
        expect!["runs; file `b.rs` matches none of `paths-ignore`"],
    );
    check(
        &[("branches", &["main"]), ("paths", &["src/**"])],
        Branch("main"),
        Some(&["docs/a"]),
        expect![
            "skipped; branch `main` matches `main` of `branches`; the one changed file is outside of `paths`"
        ],
    );
}
