//! The host executor.

use std::fs::File;
use std::io::Write as _;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::time::Duration;

use loopline_sandbox::{Host, Machine as _, Output, Signal, SpawnError, Stdin, Waited};

use crate::support::{bash, block_on, is_alive, read_all, read_line};

#[test]
fn both_streams_share_one_pipe_in_order_and_the_status_is_the_programs() {
    let host = Host::new("job");
    let mut process =
        host.spawn(&bash("echo 1; echo 2 >&2; echo 3; exit 7", Path::new("/tmp"))).unwrap();
    assert_eq!(read_all(process.take_output()), "1\n2\n3\n");
    let status = block_on(process.wait()).unwrap();
    assert_eq!(status.code(), Some(7));
    assert_eq!(block_on(process.wait()).unwrap().code(), Some(7));
}

#[test]
fn a_wait_without_a_runtime_ends_with_the_process_the_wake_or_the_limit() {
    let host = Host::new("job");
    let mut process = host.spawn(&bash("read -r x || exit 3", Path::new("/"))).unwrap();
    assert!(
        matches!(process.wait_blocking(None, None), Ok(Waited::Ended(s)) if s.code() == Some(3))
    );
    let (held, input) = std::io::pipe().unwrap();
    let mut spec = bash("read -r x || exit 3", Path::new("/"));
    spec.stdin = Stdin::Fd(held.into());
    let mut process = host.spawn(&spec).unwrap();
    let (wake, mut waker) = std::io::pipe().unwrap();
    assert_eq!(process.wait_blocking(None, Some(Duration::ZERO)).unwrap(), Waited::Late);
    waker.write_all(b"x").unwrap();
    assert_eq!(process.wait_blocking(Some(wake.as_fd()), None).unwrap(), Waited::Woken);
    drop(input);
    assert!(
        matches!(process.wait_blocking(None, None), Ok(Waited::Ended(s)) if s.code() == Some(3))
    );
}

#[test]
fn the_environment_is_exactly_the_given_one_and_a_marker() {
    let host = Host::new("job");
    let mut spec = bash("", Path::new("/"));
    spec.program = "env".into();
    spec.args.clear();
    let mut process = host.spawn(&spec).unwrap();
    let text = read_all(process.take_output());
    let names: Vec<_> = text.lines().map(|line| line.split_once('=').unwrap().0).collect();
    assert_eq!(names, ["HOME", "LOOPLINE_JOB_MARKER", "PATH"]);
}

#[test]
fn standard_input_and_output_can_be_files() {
    let host = Host::new("job");
    let mut input = tempfile::tempfile().unwrap();
    input.write_all(b"hello").unwrap();
    std::io::Seek::rewind(&mut input).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out");
    let mut spec = bash("cat; pwd >&2", folder.path());
    spec.stdin = Stdin::Fd(input.into());
    spec.output = Output::Fd(fs_err::File::create(&path).unwrap().into_parts().0.into());
    let mut process = host.spawn(&spec).unwrap();
    assert!(block_on(process.wait()).unwrap().success());
    assert_eq!(
        fs_err::read_to_string(path).unwrap(),
        format!("hello{}\n", folder.path().display())
    );
}

#[test]
fn what_cannot_be_started_says_why() {
    let host = Host::new("job");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("script");
    fs_err::write(&file, "#!/no/such/interpreter\n").unwrap();

    let mut spec = bash("", folder.path());
    spec.program = "no-such-program".into();
    let error = host.spawn(&spec).unwrap_err();
    assert!(matches!(error, SpawnError::NotFound { .. }));
    assert!(error.to_string().contains("/usr/local/bin"), "{error}");

    spec.program = file.clone().into();
    assert!(matches!(host.spawn(&spec).unwrap_err(), SpawnError::Denied { .. }));
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs_err::set_permissions(&file, executable).unwrap();
    assert!(matches!(host.spawn(&spec).unwrap_err(), SpawnError::Interpreter { .. }));
    spec.program = "./script".into();
    assert!(matches!(host.spawn(&spec).unwrap_err(), SpawnError::Interpreter { .. }));
    fs_err::write(&file, "\u{7f}neither").unwrap();
    assert!(matches!(host.spawn(&spec).unwrap_err(), SpawnError::Format { .. }));

    let spec = bash("", Path::new("/no/such/folder"));
    assert!(matches!(host.spawn(&spec).unwrap_err(), SpawnError::Directory { .. }));
    let spec = bash("\0", folder.path());
    assert!(matches!(host.spawn(&spec).unwrap_err(), SpawnError::ZeroByte { .. }));
    let spec = bash(&"x".repeat(200 << 10), folder.path());
    assert!(matches!(host.spawn(&spec).unwrap_err(), SpawnError::TooLarge { .. }));
}

#[test]
fn an_exit_is_known_while_a_grandchild_holds_the_output() {
    let host = Host::new("job");
    let mut process = host.spawn(&bash("sleep 1000 & echo $!", Path::new("/"))).unwrap();
    assert!(block_on(process.wait()).unwrap().success());
    let mut output = File::from(process.take_output().unwrap());
    let grandchild = read_line(&mut output);
    assert!(is_alive(&grandchild));
    process.signal(Signal::Kill).unwrap();
    assert_eq!(read_line(&mut output), "");
}

#[test]
fn a_signal_reaches_the_whole_group() {
    let host = Host::new("job");
    let script = "trap 'wait; echo outer; exit 3' INT; \
                  (trap 'echo inner; exit' INT; echo up; while :; do sleep 0.01; done) & wait";
    let mut process = host.spawn(&bash(script, Path::new("/"))).unwrap();
    let mut output = File::from(process.take_output().unwrap());
    assert_eq!(read_line(&mut output), "up");
    process.signal(Signal::Interrupt).unwrap();
    assert_eq!(read_line(&mut output), "inner");
    assert_eq!(read_line(&mut output), "outer");
    assert_eq!(block_on(process.wait()).unwrap().code(), Some(3));
}

/// A process that left its session, forked twice and perhaps cleared its environment.
fn daemon(clear: &str) -> String {
    format!("(setsid {clear} sh -c 'echo $$; exec sleep 1000 </dev/null >/dev/null 2>&1' &) ")
}

#[test]
fn no_orphan_survives_a_teardown_and_other_jobs_keep_theirs() {
    let other = Host::new("other");
    let mut process = other.spawn(&bash(&daemon(""), Path::new("/"))).unwrap();
    let kept = read_line(&mut File::from(process.take_output().unwrap()));

    let host = Host::new("job");
    let mut process = host.spawn(&bash(&daemon(""), Path::new("/"))).unwrap();
    assert!(block_on(process.wait()).unwrap().success());
    let orphan = read_line(&mut File::from(process.take_output().unwrap()));
    let running = host.spawn(&bash("sleep 1000", Path::new("/"))).unwrap();
    assert!(is_alive(&orphan));

    let teardown = host.teardown().unwrap();
    assert_eq!(teardown.orphans_killed, 1);
    assert!(!is_alive(&orphan));
    assert!(!is_alive(&running.id().to_string()));
    assert!(is_alive(&kept));
    let refused = host.spawn(&bash("", Path::new("/"))).unwrap_err();
    assert!(matches!(refused, SpawnError::TornDown { .. }));

    drop(other);
    assert!(!is_alive(&kept));
}

#[test]
fn a_fork_bomb_ends() {
    let host = Host::new("bomb");
    let script = "for i in $(seq 40); do setsid sh -c 'echo up; exec sleep 1000' & done; wait";
    let mut process = host.spawn(&bash(script, Path::new("/"))).unwrap();
    let mut output = File::from(process.take_output().unwrap());
    for _ in 0..40 {
        assert_eq!(read_line(&mut output), "up");
    }
    drop(process);
    assert_eq!(host.teardown().unwrap().orphans_killed, 40);
}

#[test]
fn a_terminal_is_a_terminal() {
    let host = Host::new("job");
    let mut spec = bash("test -t 0 && test -t 2 && tty && echo yes > /dev/tty", Path::new("/"));
    spec.output = Output::Pty;
    let mut process = host.spawn(&spec).unwrap();
    let text = read_all(process.take_output());
    assert!(block_on(process.wait()).unwrap().success());
    assert!(text.starts_with("/dev/pts/") && text.ends_with("yes\r\n"), "{text:?}");
}

#[test]
fn the_jobs_listener_is_on_loopback() {
    let address = Host::new("job").listen().unwrap().local_addr().unwrap();
    assert!(address.ip().is_loopback());
}
