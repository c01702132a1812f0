//! The store against a real file system.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod model;
mod object;

use std::sync::mpsc::sync_channel;

use loopline_clock::Clock;
use loopline_store::{
    Area, Claim, DataFolder, Group, Policy, Queue, Request, RunReader, RunWriter, State, serve,
};
use loopline_workflow::run::{Conclusion, Event, JobKey, Recorder as _};

fn folder() -> (tempfile::TempDir, DataFolder) {
    let scratch = tempfile::tempdir().unwrap();
    let data = DataFolder::open(scratch.path().join("data")).unwrap();
    (scratch, data)
}

fn finished() -> Event {
    let at = String::new();
    Event::RunFinished { conclusion: Conclusion::Success, error: None, at, duration_ms: 7 }
}

#[test]
fn a_run_that_dies_is_interrupted_and_keeps_every_acknowledged_line() {
    let (_scratch, data) = folder();
    let job = JobKey("call/é 1".to_owned());
    let writer = RunWriter::create(&data).unwrap();
    writer.event(&Event::JobQueued { job: job.clone(), name: "one".to_owned() });
    writer.log(&job, 2, b"first\n");
    writer.log(&job, 2, b"second\n");
    let reader = RunReader::open(&data, "latest").unwrap();
    let summary = reader.summary().unwrap();
    assert_eq!(reader.state(&summary).unwrap(), State::Running);
    // What a killed process leaves: a line cut in the middle, and no lock.
    let journal = reader.folder().join("journal.ndjson");
    let mut text = fs_err::read_to_string(&journal).unwrap();
    text.push_str("{\"event\":\"job_fin");
    drop(writer);
    fs_err::write(&journal, text).unwrap();
    let summary = reader.summary().unwrap();
    assert_eq!(reader.state(&summary).unwrap(), State::Interrupted);
    assert_eq!(summary.jobs.len(), 1);
    let logs = reader.logs(&job).unwrap();
    assert_eq!(logs.iter().map(|log| log.step).collect::<Vec<_>>(), [2]);
    assert_eq!(fs_err::read_to_string(&logs[0].path).unwrap(), "first\nsecond\n");
}

#[test]
fn many_logs_stay_whole_though_few_files_are_open() {
    let (_scratch, data) = folder();
    let writer = RunWriter::create(&data).unwrap();
    for round in 0..3 {
        for job in 0..100 {
            writer.log(&JobKey(format!("j{job}")), 1, format!("{round}\n").as_bytes());
        }
    }
    writer.event(&finished());
    writer.finish().unwrap();
    let reader = RunReader::open(&data, "1").unwrap();
    assert_eq!(reader.state(&reader.summary().unwrap()).unwrap(), State::Finished);
    for job in 0..100 {
        let logs = reader.logs(&JobKey(format!("j{job}"))).unwrap();
        assert_eq!(fs_err::read_to_string(&logs[0].path).unwrap(), "0\n1\n2\n");
    }
}

#[test]
fn a_newer_layout_is_refused_by_name() {
    let (scratch, data) = folder();
    fs_err::write(data.root().join("VERSION"), "99\n").unwrap();
    let error = DataFolder::open(scratch.path().join("data")).unwrap_err();
    assert!(error.to_string().contains("layout 99"), "{error}");
}

#[test]
fn runs_and_workflows_are_counted() {
    let (_scratch, data) = folder();
    assert_eq!([data.new_run().unwrap(), data.new_run().unwrap()], [1, 2]);
    assert_eq!(data.runs().unwrap(), [2, 1]);
    let root = std::path::Path::new("/r");
    assert_eq!(data.next_run_number(root, "a.yml").unwrap(), 1);
    assert_eq!(data.next_run_number(root, "b.yml").unwrap(), 1);
    assert_eq!(data.next_run_number(root, "a.yml").unwrap(), 2);
}

#[test]
fn the_owner_of_a_run_is_asked_through_its_socket() {
    let (_scratch, data) = folder();
    let writer = RunWriter::create(&data).unwrap();
    let (asked, requests) = sync_channel(1);
    let control = serve(writer.folder(), move |request| {
        asked.send(request).map_err(|error| error.to_string())
    })
    .unwrap();
    let request = Request::Cancel { job: None, reason: "a test".to_owned(), force: false };
    request.send(writer.folder()).unwrap();
    assert_eq!(requests.recv().unwrap(), request);
    drop(control);
    let error = request.send(writer.folder()).unwrap_err();
    assert_eq!(error.to_string(), "no process is running it");
}

#[test]
fn a_group_has_one_holder_and_the_next_one_gets_it() {
    let (_scratch, data) = folder();
    let claim = |run| Claim { run, job: Some("build".to_owned()) };
    let held = Group::try_take(&data, "Deploy", &claim(1)).unwrap().unwrap();
    let holder = Group::try_take(&data, "deploy", &claim(2)).unwrap().unwrap_err();
    assert_eq!(holder, Some(claim(1)));
    let waiting = {
        let data = data.clone();
        std::thread::spawn(move || {
            Group::wait(&data, "deploy", &claim(2), Queue::Single).map(drop).unwrap();
        })
    };
    while Group::pending(&data, "deploy").unwrap() != Some(claim(2)) {
        std::thread::yield_now();
    }
    drop(held);
    waiting.join().unwrap();
    assert!(Group::try_take(&data, "deploy", &claim(3)).unwrap().is_ok());
}

#[test]
fn pruning_keeps_what_runs_and_removes_the_oldest_first() {
    let (_scratch, data) = folder();
    let clock = Clock::real();
    let running = RunWriter::create(&data).unwrap();
    for _ in 0..3 {
        let run = data.new_run().unwrap();
        fs_err::write(data.run(run).join("journal.ndjson"), vec![b' '; 100_000]).unwrap();
    }
    let policy = Policy { bytes: 150_000, ..Policy::default_of(Area::Runs) };
    let pruned = data.prune(Area::Runs, policy, &clock).unwrap();
    assert_eq!(pruned.entries, 2);
    let kept = data.runs().unwrap();
    assert!(kept.contains(&running.number()) && kept.len() == 2, "{kept:?}");
}

#[test]
fn a_folder_tree_does_not_leave_its_folder() {
    use loopline_source::{FileTree as _, TreeError};
    let scratch = tempfile::tempdir().unwrap();
    let root = scratch.path().join("root");
    fs_err::create_dir_all(root.join("a")).unwrap();
    fs_err::write(root.join("a/b.yml"), "x: 1").unwrap();
    fs_err::write(root.join("bad"), [0xff]).unwrap();
    fs_err::write(scratch.path().join("secret"), "s").unwrap();
    std::os::unix::fs::symlink("../secret", root.join("out")).unwrap();
    let tree = loopline_store::FolderTree::new(&root).unwrap();
    assert_eq!(tree.read("a/b.yml").unwrap(), "x: 1");
    assert!(matches!(tree.read("../secret"), Err(TreeError::NotAFile)));
    assert!(matches!(tree.read("out"), Err(TreeError::NotAFile)));
    assert!(matches!(tree.read("a"), Err(TreeError::NotAFile)));
    assert!(matches!(tree.read("none"), Err(TreeError::NotFound)));
    assert!(matches!(tree.read("bad"), Err(TreeError::NotUtf8 { offset: 0 })));
    assert_eq!(tree.list("").unwrap(), ["a/b.yml", "bad", "out"]);
}

#[test]
fn folders_without_permissions_are_pruned_too() {
    use std::os::unix::fs::PermissionsExt as _;
    let (_scratch, data) = folder();
    let run = data.new_run().unwrap();
    let locked = data.run(run).join("jobs/j/layers/work/work");
    fs_err::create_dir_all(&locked).unwrap();
    fs_err::set_permissions(&locked, std::fs::Permissions::from_mode(0o000)).unwrap();
    let all = Policy { bytes: 0, age: std::time::Duration::ZERO };
    assert_eq!(data.prune(Area::Runs, all, &Clock::real()).unwrap().entries, 1);
    assert!(data.runs().unwrap().is_empty());
}
