//! Fuzz targets for the workflow reader, bounded so that they run with the other tests.
//!
//! `cargo test` replays the kept inputs and a few thousand made ones; `cargo bolero test` goes on.

use bolero::check;
use loopline_source::SourceFile;
use loopline_workflow::github::parse::{self, Options};
use loopline_workflow::github::template::MAX_ERRORS;

/// How many inputs one run makes up.
const ITERATIONS: usize = 2_000;
/// How long a made-up input is, in bytes.
const MAX_LENGTH: usize = 4_096;

/// Workflows whose pieces the made-up inputs are put together from.
const SEEDS: [&str; 3] = [
    include_str!("fuzz/everything.yml"),
    include_str!("fuzz/called.yml"),
    include_str!("fuzz/hostile.yml"),
];

#[test]
fn any_text_is_read_or_refused() {
    check!().with_iterations(ITERATIONS).with_max_len(MAX_LENGTH).for_each(|input: &[u8]| {
        read(&String::from_utf8_lossy(input));
    });
}

/// Lines of real workflows in any order and indentation reach deeper than random bytes.
#[test]
fn any_arrangement_of_lines_is_read_or_refused() {
    let lines: Vec<&str> = SEEDS.iter().flat_map(|seed| seed.lines()).collect();
    check!().with_iterations(ITERATIONS).with_max_len(512).for_each(|input: &[u8]| {
        let mut text = String::from("on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n");
        for pair in input.chunks_exact(2) {
            let line = lines[usize::from(pair[0]) % lines.len()];
            match pair[1] {
                0..=127 => text.push_str(line),
                128..=200 => text.push_str(&line.trim_start()[..line.trim_start().len().min(1)]),
                indent => {
                    text.push_str(&" ".repeat(usize::from(indent % 16)));
                    text.push_str(line.trim_start());
                }
            }
            text.push('\n');
        }
        read(&text);
    });
}

#[test]
fn the_seeds_are_read() {
    let problems = |text| read(text);
    assert_eq!(problems(SEEDS[0]), 0);
    assert_eq!(problems(SEEDS[1]), 0);
    assert!(problems(SEEDS[2]) > 0);
}

/// Reads `text` as a workflow that calls itself, and as an action; returns how much is wrong.
fn read(text: &str) -> usize {
    let file = SourceFile::new("fuzz.yml", text);
    let called = SourceFile::new("called.yml", SEEDS[1]);
    let mut loader = |uses: &str, _: &SourceFile| match uses {
        "./self.yml" => Some(file.clone()),
        "./called.yml" => Some(called.clone()),
        _ => None,
    };
    let options = Options { nesting: 3, ..Options::default() };
    let (workflow, errors) = parse::workflow(&file, &options, &mut loader);
    assert!(errors.len() <= MAX_ERRORS);
    for error in &errors {
        assert!(!error.to_string().is_empty());
        assert!(error.span.is_none_or(|span| span.start <= span.end));
    }
    for job in &workflow.jobs {
        assert!(workflow.job(&job.id).is_some());
    }
    parse::action(&file, &options.limits);
    errors.len()
}
