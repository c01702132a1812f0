//! Workflows that must not end green: refused before they run, or red, always with a reason.
//!
//! Each file in `negative/` is one workflow. `negative.expected` holds how each ends: the exit
//! status and the line that says why. A new file needs no code; run the tests with
//! `UPDATE_EXPECT=1` and read what it says before you keep it.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use expect_test::expect_file;

use crate::repository::Repository;

#[test]
fn nothing_broken_is_green() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/negative");
    let mut cases: Vec<_> =
        fs_err::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    assert!(cases.len() >= 100, "only {} negative workflows", cases.len());
    let next = AtomicUsize::new(0);
    let ends: Mutex<Vec<(usize, String)>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let index = cases.iter().position(|other| other == case).unwrap();
                    let end = end_of(case);
                    ends.lock().unwrap().push((index, end));
                }
            });
        }
    });
    let mut ends = ends.into_inner().unwrap();
    ends.sort();
    let mut text = String::new();
    for (_, end) in ends {
        writeln!(text, "{end}").unwrap();
    }
    expect_file!["negative.expected"].assert_eq(&text);
}

fn end_of(case: &Path) -> String {
    let name = case.file_stem().unwrap().to_string_lossy().into_owned();
    let workflow = fs_err::read_to_string(case).unwrap();
    let repository = Repository::new([(".github/workflows/case.yml", workflow.as_str())]);
    let ran = repository.loopline(&["run", "case.yml", "--offline"]);
    let code = ran.code;
    assert!(matches!(code, Some(1 | 2)), "{name} ended with {code:?}:\n{}", ran.all());
    let all = ran.all();
    let why = all
        .lines()
        .find_map(|line| {
            let at = ["error: ", "error[", "the job has exceeded"]
                .iter()
                .find_map(|word| line.find(word))?;
            Some(line[at..].to_owned())
        })
        .unwrap_or_else(|| panic!("{name} gives no reason:\n{all}"));
    let why = why.replace(&repository.scratch().display().to_string(), "SCRATCH");
    let path = why.find(" in PATH (").map_or(why.len(), |at| at + " in PATH".len());
    format!("{name}: {} {}", code.unwrap_or_default(), &why[..path])
}
