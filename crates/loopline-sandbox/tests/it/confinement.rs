//! What a job may not do to the machine, and that it can still do its work.

use std::path::Path;

use loopline_sandbox::{Machine as _, Output, ProcessSpec, Sandbox};

use crate::sandbox::{run, start};
use crate::support::{bash, read_all};

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
