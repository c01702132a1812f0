//! What a job may not do to the machine, and that it can still do its work.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use loopline_sandbox::{Bounds, Machine as _, Means, Network, Output, ProcessSpec, Sandbox};

use crate::sandbox::{run, spec, start, start_as};
use crate::support::{bash, block_on, read_all, read_line};

fn has(sandbox: &Sandbox, program: &str) -> bool {
    let script = format!(
        "command -v {program} >/dev/null && {program} --version >/dev/null 2>&1 && echo yes"
    );
    let found = !run(sandbox, &script).is_empty();
    if !found {
        println!("SKIPPED: {program} is not installed or not visible");
    }
    found
}

#[test]
fn calls_into_the_kernel_itself_are_refused() {
    let Some((_scratch, sandbox)) = start() else { return };
    if !has(&sandbox, "perl") {
        return;
    }
    let calls = [
        ("add_key", libc::SYS_add_key),
        ("bpf", libc::SYS_bpf),
        ("delete_module", libc::SYS_delete_module),
        ("finit_module", libc::SYS_finit_module),
        ("init_module", libc::SYS_init_module),
        ("kexec_file_load", libc::SYS_kexec_file_load),
        ("kexec_load", libc::SYS_kexec_load),
        ("keyctl", libc::SYS_keyctl),
        ("lookup_dcookie", libc::SYS_lookup_dcookie),
        ("open_by_handle_at", libc::SYS_open_by_handle_at),
        ("perf_event_open", libc::SYS_perf_event_open),
        ("request_key", libc::SYS_request_key),
        ("userfaultfd", libc::SYS_userfaultfd),
    ];
    for (name, number) in calls {
        // Zeroes, with which some of these would be merely wrong, or for `keyctl` even fine.
        let script =
            format!("perl -e '$r = syscall({number}, 0, 0, 0, 0, 0); print $r, \" \", $!+0'");
        assert_eq!(run(&sandbox, &script), format!("-1 {}", libc::EPERM), "{name}");
    }
    let script = format!("perl -e '$x = \"x\"; ioctl(STDIN, {}, $x); print $!+0'", libc::TIOCSTI);
    let spec = ProcessSpec { output: Output::Pty, ..bash(&script, Path::new("/")) };
    let mut process = sandbox.spawn(&spec).unwrap();
    assert_eq!(read_all(process.take_output()), libc::EPERM.to_string());
    assert_eq!(run(&sandbox, "grep ^Seccomp: /proc/self/status"), "Seccomp:\t2\n");
}

/// `keyctl` by the numbers of i386 and of x32.
const FOREIGN: &str = r#"
#include <errno.h>
#include <stdio.h>
#include <unistd.h>
int main(void) {
    errno = 0;
    long other = syscall(0x40000000 + 250, 0, 0, 0, 0, 0);
    printf("%ld %d\n", other, errno == ENOSYS);
    fflush(stdout);
    long old;
    __asm__ volatile("int $0x80" : "=a"(old) : "a"(288), "b"(0), "c"(0), "d"(0) : "memory");
    printf("%d\n", (int)old);
    return 0;
}
"#;

#[test]
fn programs_of_other_architectures_are_refused_the_same() {
    if cfg!(not(target_arch = "x86_64")) {
        println!("SKIPPED: this is not x86-64");
        return;
    }
    let Some((scratch, sandbox)) = start() else { return };
    if !has(&sandbox, "cc") {
        return;
    }
    fs_err::write(scratch.path().join("work/foreign.c"), FOREIGN).unwrap();
    match run(&sandbox, "cc -o foreign foreign.c && ./foreign").as_str() {
        "-1 1\n-1\n" => {}
        // A kernel without i386 programs ends one that tries with a signal.
        "-1 1\n" => println!("SKIPPED: this kernel runs no i386 programs"),
        text => panic!("{text}"),
    }
}

#[test]
fn ordinary_work_goes_on() {
    let Some((_scratch, sandbox)) = start() else { return };
    let works = [
        ("cc", "echo 'int main(void){return 7;}' > a.c && cc -O2 -o a a.c; ./a; echo $?", "7\n"),
        (
            "git",
            "git init -q r && cd r && git -c user.name=a -c user.email=a@b commit -q \
             --allow-empty -m first && git log --format=%s",
            "first\n",
        ),
        (
            "node",
            "node -e 'require(\"child_process\").exec(\"echo child\", (e, o) => \
             process.stdout.write(o))'",
            "child\n",
        ),
        (
            "python3",
            "python3 -c 'import subprocess, threading\nt = threading.Thread(target=lambda: \
             print(subprocess.run([\"echo\", \"child\"], capture_output=True, \
             text=True).stdout, end=\"\"))\nt.start(); t.join()'",
            "child\n",
        ),
    ];
    for (program, script, expected) in works {
        if has(&sandbox, program) {
            assert_eq!(run(&sandbox, &format!("{{ {script}; }} 2>&1")), expected, "{program}");
        }
    }
}

/// A sandbox that may have few processes; `None`, said aloud, where nothing keeps it to that.
fn start_small(processes: u32) -> Option<(tempfile::TempDir, Sandbox)> {
    let scratch = tempfile::tempdir().unwrap();
    fs_err::create_dir(scratch.path().join("work")).unwrap();
    let bounds = Bounds { processes, ..Bounds::of_machine() };
    let sandbox =
        start_as(&loopline_sandbox::SandboxSpec { bounds, ..spec(scratch.path(), Network::None) })?;
    if sandbox.enforced().processes == Means::None {
        println!("SKIPPED: this kernel gives this user no bound on processes");
        return None;
    }
    has(&sandbox, "perl").then_some((scratch, sandbox))
}

#[test]
fn a_fork_bomb_fails_and_ends_with_its_sandbox() {
    let Some((_scratch, sandbox)) = start_small(64) else { return };
    // One that gives up: its step is red.
    let script = "exec perl -e 'while (1) { $p = fork; exit 3 unless defined $p; \
                  $p or do { close STDOUT; sleep 1000 } }'";
    let mut process = sandbox.spawn(&bash(script, Path::new("/"))).unwrap();
    assert_eq!(block_on(process.wait()).unwrap().code(), Some(3));
    let killed = sandbox.teardown().unwrap().orphans_killed;
    assert!((32..64).contains(&killed), "{killed}");

    // One that does not, in every process of it.
    let Some((_scratch, sandbox)) = start_small(64) else { return };
    let script = "exec perl -e '$| = 1; while (1) { defined fork or \
                  do { print \"full $$\\n\"; sleep 1000 } }'";
    let mut process = sandbox.spawn(&bash(script, Path::new("/"))).unwrap();
    let mut output = File::from(process.take_output().unwrap());
    assert!(read_line(&mut output).starts_with("full "));
    let killed = sandbox.teardown().unwrap().orphans_killed;
    assert!((32..64).contains(&killed), "{killed}");
    // Everybody who held the pipe is gone.
    let mut rest = String::new();
    output.read_to_string(&mut rest).unwrap();
}

#[test]
fn nothing_is_left_of_the_control_groups() {
    let Some((_scratch, sandbox)) = start() else { return };
    let name = format!("/loopline-{}-", std::process::id());
    let folders: Vec<_> = run(&sandbox, "cat /proc/self/cgroup")
        .lines()
        .filter(|line| line.contains(&name))
        .map(|line| {
            let mut fields = line.splitn(3, ':').skip(1);
            let (controller, path) = (fields.next().unwrap(), fields.next().unwrap());
            Path::new("/sys/fs/cgroup").join(controller).join(path.trim_start_matches('/'))
        })
        .collect();
    let enforced = sandbox.enforced();
    if ![enforced.processes, enforced.memory].contains(&Means::ControlGroup) {
        assert!(folders.is_empty(), "{folders:?}");
        println!("SKIPPED: there is no control group this user may divide");
        return;
    }
    assert!(!folders.is_empty());
    assert!(folders.iter().all(|folder| folder.exists()), "{folders:?}");
    sandbox.teardown().unwrap();
    assert!(!folders.iter().any(|folder| folder.exists()), "{folders:?}");
}
