//! The system calls a job may not make: those that reach into the kernel itself and that no build
//! needs. They fail as for any user who may not; nothing is killed, and everything else is allowed.
#![expect(unsafe_code, reason = "a filter is handed to the kernel as a C structure")]

use std::io;

use libc::{c_ulong, sock_filter, sock_fprog};

/// The refused calls by name, with their numbers for native programs.
#[cfg(target_arch = "x86_64")]
const NATIVE: Table = Table {
    architecture: 0xc000_003e,
    refused: &REFUSED,
    ioctl: 16,
    // Numbers from here on are those of the x32 mode, which kernels seldom have.
    foreign_from: Some(0x4000_0000),
};
#[cfg(target_arch = "x86_64")]
/// i386 programs.
const COMPATIBLE: Table = Table {
    architecture: 0x4000_0003,
    refused: &[128, 129, 253, 283, 286, 287, 288, 336, 342, 350, 357, 374],
    ioctl: 54,
    foreign_from: None,
};

#[cfg(target_arch = "aarch64")]
const NATIVE: Table =
    Table { architecture: 0xc000_00b7, refused: &REFUSED, ioctl: 29, foreign_from: None };
#[cfg(target_arch = "aarch64")]
/// 32-bit ARM programs.
const COMPATIBLE: Table = Table {
    architecture: 0x4000_0028,
    refused: &[128, 129, 249, 309, 310, 311, 347, 364, 371, 379, 386, 388, 401],
    ioctl: 54,
    foreign_from: None,
};

/// The same for every architecture.
const REFUSED: [libc::c_long; 13] = [
    libc::SYS_add_key,
    libc::SYS_bpf,
    libc::SYS_delete_module,
    libc::SYS_finit_module,
    libc::SYS_init_module,
    libc::SYS_kexec_file_load,
    libc::SYS_kexec_load,
    libc::SYS_keyctl,
    libc::SYS_lookup_dcookie,
    libc::SYS_open_by_handle_at,
    libc::SYS_perf_event_open,
    libc::SYS_request_key,
    libc::SYS_userfaultfd,
];

/// Requests of ioctl(2) that put words into the mouth of whoever sits at the terminal.
const REFUSED_IOCTLS: [c_ulong; 2] = [libc::TIOCSTI, libc::TIOCLINUX];

/// What is refused to programs of one architecture.
struct Table {
    architecture: u32,
    refused: &'static [libc::c_long],
    ioctl: u32,
    /// Calls from this number on do not exist.
    foreign_from: Option<u32>,
}

/// Where the kernel puts what the filter looks at (`struct seccomp_data`).
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
/// The lower half of the second argument; both architectures have it first.
const SECOND_ARGUMENT: u32 = 24;

const LOAD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
const IF_EQUAL: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
const IF_AT_LEAST: u32 = libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K;
const RETURN: u32 = libc::BPF_RET | libc::BPF_K;

const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;

/// Refuses the calls to this process and to all it will ever start. Needs `no_new_privs`.
pub(crate) fn install() -> io::Result<()> {
    let mut program = program();
    let request = sock_fprog {
        len: u16::try_from(program.len()).map_err(io::Error::other)?,
        filter: program.as_mut_ptr(),
    };
    // SAFETY: the request and the program it points to outlive the call, which copies them.
    let result = unsafe {
        libc::prctl(
            libc::PR_SET_SECCOMP,
            c_ulong::from(libc::SECCOMP_MODE_FILTER),
            &raw const request,
            0,
            0,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// One instruction; `then` and `otherwise` say how many are skipped.
fn instruction(code: u32, value: u32, then: usize, otherwise: usize) -> sock_filter {
    let skip = |count| u8::try_from(count).unwrap_or(u8::MAX);
    // All codes are below 256, and the tables are short enough for all jumps.
    sock_filter {
        code: code.to_le_bytes()[0].into(),
        jt: skip(then),
        jf: skip(otherwise),
        k: value,
    }
}

fn program() -> Vec<sock_filter> {
    let blocks = [NATIVE, COMPATIBLE].map(|table| (table.architecture, block(&table)));
    let mut program = vec![instruction(LOAD, ARCHITECTURE, 0, 0)];
    for (architecture, block) in blocks {
        program.push(instruction(IF_EQUAL, architecture, 0, block.len()));
        program.extend(block);
    }
    // This kernel runs programs of no other architecture.
    program.push(instruction(RETURN, error(libc::ENOSYS), 0, 0));
    program
}

/// The part for one architecture; it always ends with a verdict.
fn block(table: &Table) -> Vec<sock_filter> {
    let ioctls = REFUSED_IOCTLS.len();
    // Behind the comparisons: allow, load, the requests, allow, refuse, missing.
    let mut block = vec![instruction(LOAD, NUMBER, 0, 0)];
    let comparisons = table.refused.len() + 1;
    if let Some(from) = table.foreign_from {
        block.push(instruction(IF_AT_LEAST, from, comparisons + ioctls + 4, 0));
    }
    for (index, number) in table.refused.iter().enumerate() {
        let left = comparisons - index - 1;
        let number = u32::try_from(*number).unwrap_or(u32::MAX);
        block.push(instruction(IF_EQUAL, number, left + ioctls + 3, 0));
    }
    block.push(instruction(IF_EQUAL, table.ioctl, 1, 0));
    block.push(instruction(RETURN, ALLOW, 0, 0));
    block.push(instruction(LOAD, SECOND_ARGUMENT, 0, 0));
    for (index, request) in REFUSED_IOCTLS.iter().enumerate() {
        let request = u32::try_from(*request).unwrap_or(u32::MAX);
        block.push(instruction(IF_EQUAL, request, ioctls - index, 0));
    }
    block.push(instruction(RETURN, ALLOW, 0, 0));
    block.push(instruction(RETURN, error(libc::EPERM), 0, 0));
    block.push(instruction(RETURN, error(libc::ENOSYS), 0, 0));
    block
}

fn error(number: libc::c_int) -> u32 {
    libc::SECCOMP_RET_ERRNO | (number.cast_unsigned() & libc::SECCOMP_RET_DATA)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the program as the kernel does.
    fn verdict(architecture: u32, number: u32, second: u32) -> u32 {
        let program = program();
        let (mut at, mut value) = (0, 0);
        loop {
            let it = program[at];
            at += 1;
            match u32::from(it.code) {
                LOAD if it.k == NUMBER => value = number,
                LOAD if it.k == ARCHITECTURE => value = architecture,
                LOAD if it.k == SECOND_ARGUMENT => value = second,
                IF_EQUAL => at += usize::from(if value == it.k { it.jt } else { it.jf }),
                IF_AT_LEAST => at += usize::from(if value >= it.k { it.jt } else { it.jf }),
                RETURN => return it.k,
                code => panic!("{code}"),
            }
        }
    }

    #[test]
    fn just_the_listed_calls_are_refused_to_programs_of_every_kind() {
        for table in [NATIVE, COMPATIBLE] {
            for number in 0..600 {
                let refused = table.refused.contains(&number.into());
                let expected = if refused { error(libc::EPERM) } else { ALLOW };
                assert_eq!(verdict(table.architecture, number, 0), expected, "{number}");
            }
            let ioctl = |request: c_ulong| {
                verdict(table.architecture, table.ioctl, u32::try_from(request).unwrap())
            };
            assert_eq!(ioctl(libc::TIOCSTI), error(libc::EPERM));
            assert_eq!(ioctl(libc::TIOCLINUX), error(libc::EPERM));
            assert_eq!(ioctl(libc::TIOCGWINSZ), ALLOW);
            if let Some(from) = table.foreign_from {
                assert_eq!(verdict(table.architecture, from, 0), error(libc::ENOSYS));
                assert_eq!(verdict(table.architecture, from + 250, 0), error(libc::ENOSYS));
            }
        }
        assert_eq!(verdict(0x1234, 0, 0), error(libc::ENOSYS));
    }
}
