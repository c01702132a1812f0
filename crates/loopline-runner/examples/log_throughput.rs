//! Measures how many lines a second the log takes, with secrets and matchers on.
//!
//! `cargo run --release -p loopline-runner --example log_throughput [MILLIONS]`
#![expect(clippy::print_stdout, reason = "an example prints what it measures")]

use std::io;
use std::path::Path;

use loopline_clock::Clock;
use loopline_runner::log::{Effect, Masker, Matchers, Options, Pipeline, Sink};
use loopline_workflow::run::Annotation;

#[derive(Default)]
struct Count {
    bytes: usize,
    annotations: usize,
}

impl Sink for Count {
    fn lines(&mut self, lines: &[u8]) {
        self.bytes += lines.len();
    }

    fn annotation(&mut self, _: Annotation) {
        self.annotations += 1;
    }

    fn effect(&mut self, _: Effect) {}

    fn read_matcher(&mut self, _: &Path) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn file_exists(&mut self, _: &Path) -> bool {
        false
    }
}

const MATCHERS: &str = r#"{"problemMatcher":[
 {"owner":"tsc","pattern":[{"regexp":"^(?:\\s+\\d+\\>)?([^\\s].*)[\\(:](\\d+)[,:](\\d+)(?:\\):\\s+|\\s+-\\s+)(error|warning|info)\\s+TS(\\d+)\\s*:\\s*(.*)$","file":1,"line":2,"column":3,"severity":4,"code":5,"message":6}]},
 {"owner":"eslint-compact","pattern":[{"regexp":"^(.+):\\sline\\s(\\d+),\\scol\\s(\\d+),\\s(Error|Warning|Info)\\s-\\s(.+)\\s\\((.+)\\)$","file":1,"line":2,"column":3,"severity":4,"message":5,"code":6}]}]}"#;

fn main() {
    let millions: usize = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(5);
    let clock = Clock::real();
    let lines: Vec<String> = (0..2000)
        .map(|n| format!("[{n:>5}/2000] Compiling module src/lib/part{n}.rs (ok, {} ms)\n", n % 97))
        .collect();
    let plain = lines.concat();
    let with_secrets = plain.replace("part1", "s3cret-token-7");
    let with_paths = plain.replace("src/lib/", "crate::lib::");
    let coloured = plain.replace("Compiling", "\x1b[32mCompiling\x1b[0m");
    let stylish = r#"{"problemMatcher":[{"owner":"eslint-stylish","pattern":[{"regexp":"^\\s*([^\\s].*)$","file":1},{"regexp":"^\\s+(\\d+):(\\d+)\\s+(error|warning|info)\\s+(.*)\\s\\s+(.*)$","line":1,"column":2,"severity":3,"message":4,"code":5,"loop":true}]}]}"#;
    for (name, text, secrets, matchers) in [
        ("plain, nothing on", &plain, 0, ""),
        ("plain, 5 secrets", &plain, 5, ""),
        ("plain, 50 secrets", &plain, 50, ""),
        ("plain, 5 secrets, 2 matchers", &plain, 5, MATCHERS),
        ("secret in half the lines, 2 matchers", &with_secrets, 5, MATCHERS),
        ("`::` in every line, 2 matchers", &with_paths, 5, MATCHERS),
        ("colours in every line, 2 matchers", &coloured, 5, MATCHERS),
        ("a matcher that begins on every line", &plain, 5, stylish),
    ] {
        let masker = Masker::new();
        for index in 0..secrets {
            masker.add(&format!("s3cret-token-{}", index * 7)).expect("few secrets");
        }
        let set = Matchers::new();
        if !matchers.is_empty() {
            set.add(matchers.as_bytes()).expect("the example's matchers");
        }
        let mut pipeline =
            Pipeline::new(Options { workspace: "/work".into(), ..Options::default() }, masker, set);
        let mut count = Count::default();
        let stream = text.repeat(8);
        let rounds = (millions * 1_000_000).div_ceil(2000 * 8);
        let before = clock.monotonic();
        for _ in 0..rounds {
            for chunk in stream.as_bytes().chunks(128 * 1024) {
                pipeline.push(chunk, &mut count);
            }
        }
        pipeline.finish(&mut count);
        let seconds = (clock.monotonic() - before).as_secs_f64();
        let total = (rounds * 2000 * 8) as f64;
        println!(
            "{name}: {:.2} million lines/s, {:.0} MB/s, {} annotations",
            total / seconds / 1e6,
            (rounds * stream.len()) as f64 / seconds / 1e6,
            count.annotations
        );
    }
}
