//! The system calls of a room are the same by whichever numbers a program makes them: those of i386 by `int $0x80` from
//! code of 64 bits, those of x86-64 by `syscall` from code of 32, and each from its own.

use anyhow::{Result, ensure};
use statify_tests::case::{Case, Cases};

use crate::rootfs::check_rooms::bodies_with;
use crate::rootfs::checks::{all_well, program};

pub fn add(cases: &mut Cases) {
    cases.needing(&["libc-32"]).check("check/calls-of-every-machine", calls);
}

/// Calls with their numbers on i386 and x86-64 (0: none there), arguments, and the error that is answered (0: none).
/// `P` is memory, in which there are numbers for what takes its arguments from there.
const CALLS: &[(&str, u32, u32, &str, &str)] = &[
    // What is permitted.
    ("getpid", 20, 39, "0, 0, 0", "0"),
    ("openat", 295, 257, "-100, S(\"/\"), 0", "0"),
    (
        "mmap, arguments in memory",
        90,
        0,
        "(P[0] = P[2] = 0, P[1] = 4096, P[3] = 0x22, P[4] = -1, P[5] = 0, P), 0, 0",
        "0",
    ),
    ("clock_gettime64", 403, 0, "0, P, 0", "0"),
    ("clock_gettime", 265, 228, "0, P, 0", "0"),
    ("statfs64", 268, 0, "S(\"/\"), 84, P", "0"),
    ("_llseek", 140, 0, "9999, 0, 0", "EBADF"),
    ("socket of the internet", 359, 41, "2, 1, 0", "0"),
    ("socketpair", 360, 53, "1, 1, 0", "EFAULT"),
    ("get_thread_area", 244, 0, "0, 0, 0", "EFAULT"),
    // What is on no list.
    ("socketpair of datagrams", 360, 53, "1, 2, 0", "ENOSYS"),
    (
        "socketpair by socketcall",
        102,
        0,
        "8, (P[0] = 1, P[1] = 2, P[2] = 0, P[3] = 0, P), 0",
        "ENOSYS",
    ),
    ("io_uring_setup", 425, 425, "4, P, 0", "ENOSYS"),
    ("clone3", 435, 435, "P, 88, 0", "ENOSYS"),
    ("memfd_create", 356, 319, "S(\"x\"), 0, 0", "ENOSYS"),
    ("memfd_secret", 447, 447, "0, 0, 0", "ENOSYS"),
    ("add_key", 286, 248, "S(\"user\"), S(\"x\"), P", "ENOSYS"),
    ("keyctl", 288, 250, "0, 0, 0", "ENOSYS"),
    ("semget by ipc", 117, 0, "2, 0, 1", "ENOSYS"),
    ("shmget by ipc", 117, 0, "23, 0, 4096", "ENOSYS"),
    ("shmget", 395, 29, "0, 4096, 01600", "ENOSYS"),
    ("semget", 393, 64, "0, 1, 01600", "ENOSYS"),
    ("msgget", 399, 68, "0, 01600, 0", "ENOSYS"),
    ("mq_open", 277, 240, "S(\"x\"), 0102, 0600", "ENOSYS"),
    ("userfaultfd", 374, 323, "1, 0, 0", "ENOSYS"),
    ("kcmp", 349, 312, "1, 1, 0", "ENOSYS"),
    ("modify_ldt", 123, 154, "0, P, 16", "ENOSYS"),
    ("uselib", 86, 134, "S(\"/x\"), 0, 0", "ENOSYS"),
    ("vmsplice", 316, 278, "1, P, 0", "ENOSYS"),
    ("pidfd_getfd", 438, 438, "1, 0, 0", "ENOSYS"),
    ("sync", 36, 162, "0, 0, 0", "ENOSYS"),
    ("sysfs", 135, 139, "3, 0, 0", "ENOSYS"),
    ("_sysctl", 149, 156, "P, 0, 0", "ENOSYS"),
    ("fsopen", 430, 430, "S(\"ext4\"), 0, 0", "ENOSYS"),
    ("x32's getpid", 0x4000_0014, 0x4000_0027, "0, 0, 0", "ENOSYS"),
    ("x32's socket", 0x4000_0167, 0x4000_0029, "1, 1, 0", "ENOSYS"),
    ("x32's execve", 0, 0x4000_0208, "S(\"/usr/bin/one\"), 0, 0", "ENOSYS"),
    // What is not permitted.
    ("mount", 21, 165, "S(\"none\"), S(\"/tmp\"), S(\"tmpfs\")", "EPERM"),
    ("umount", 22, 0, "S(\"/tmp\"), 0, 0", "EPERM"),
    ("umount2", 52, 166, "S(\"/tmp\"), 2, 0", "EPERM"),
    ("ptrace", 26, 101, "0, 0, 0", "EPERM"),
    ("reboot", 88, 169, "0xfee1dead, 672274793, 0", "EPERM"),
    ("chroot", 61, 161, "S(\"/tmp\"), 0, 0", "EPERM"),
    ("unshare", 310, 272, "0x10000000, 0, 0", "EPERM"),
    ("setns", 346, 308, "0, 0, 0", "EPERM"),
    ("clone into a user namespace", 120, 56, "0x10000011, 0, 0", "EPERM"),
    ("bpf", 357, 321, "0, P, 72", "EPERM"),
    ("perf_event_open", 336, 298, "P, 0, -1", "EPERM"),
    ("process_vm_readv", 347, 310, "1, 0, 0", "EPERM"),
    ("sethostname", 74, 170, "S(\"x\"), 1, 0", "EPERM"),
    ("stime", 25, 0, "P, 0, 0", "EPERM"),
    ("clock_settime64", 404, 0, "0, P, 0", "EPERM"),
    ("iopl", 110, 172, "3, 0, 0", "EPERM"),
    ("syslog", 103, 103, "10, 0, 0", "EPERM"),
    // Families and protocols that are not there.
    ("unix socket", 359, 41, "1, 1, 0", "EAFNOSUPPORT"),
    (
        "unix socket by socketcall",
        102,
        0,
        "1, (P[0] = 1, P[1] = 1, P[2] = 0, P), 0",
        "EAFNOSUPPORT",
    ),
    ("vsock", 359, 41, "40, 1, 0", "EAFNOSUPPORT"),
    ("sctp", 359, 41, "2, 1, 132", "EPROTONOSUPPORT"),
];

/// Functions that make a call as either machine does, from either's code.
const CALLERS: &str = r#"
    extern long call_32(long, long, long, long), call_64(long, long, long, long);
#ifdef __x86_64__
    __asm__(".text\ncall_64: mov %rdi, %rax; mov %rsi, %rdi; mov %rdx, %rsi; mov %rcx, %rdx; xor %r10d, %r10d; syscall; ret\n"
            "call_32: push %rbx; mov %edi, %eax; mov %esi, %ebx; xchg %ecx, %edx; xor %esi, %esi; int $0x80; pop %rbx; movslq %eax, %rax; ret\n");
#else
    /* Into the segment of 64 bits and back (arch/x86/include/asm/segment.h: 0x33 and 0x23). */
    __asm__(".text\ncall_32: push %ebx; push %esi; xor %esi, %esi\n"
            "mov 12(%esp), %eax; mov 16(%esp), %ebx; mov 20(%esp), %ecx; mov 24(%esp), %edx\n"
            "int $0x80; pop %esi; pop %ebx; ret\n"
            "call_64: push %ebx; push %esi; push %edi\n"
            "mov 16(%esp), %eax; mov 20(%esp), %edi; mov 24(%esp), %esi; mov 28(%esp), %edx\n"
            "push $0x33; call 1f; 1: addl $(2f - 1b), (%esp); lret\n"
            ".code64\n2: mov %eax, %eax; movslq %edi, %rdi; mov %esi, %esi; mov %edx, %edx\n"
            "xor %r10d, %r10d; syscall\n"
            "sub $8, %rsp; movl $0x23, 4(%rsp); lea 3f(%rip), %rcx; movl %ecx, (%rsp); lretl\n"
            ".code32\n3: pop %edi; pop %esi; pop %ebx; ret\n");
#endif
"#;

fn calls(case: &Case) -> Result<()> {
    let mut body = String::from(
        "static int memory[4096]; int *P = memory; char *text = (char *)(memory + 2048), *next;\n\
         #define S(string) strcpy(next = text += 16, string)\n\
         int wrong = 0; long got;\n",
    );
    for (name, narrow, wide, arguments, error) in CALLS {
        for (function, number) in [("call_32", narrow), ("call_64", wide)] {
            if *number == 0 {
                continue;
            }
            body += &format!(
                "got = {function}({number:#x}, ARGUMENTS({arguments}));\n\
                 if ({error} ? got != -{error} : (unsigned long)got > -4096UL) {{ wrong++; printf(\"{name}, {function}: %ld\\n\", got); }}\n",
            );
        }
    }
    body += "printf(\"%d wrong\\n\", wrong); return wrong;";
    let prologue = format!(
        "return run(); }}\n{CALLERS}\n#define ARGUMENTS(a, b, c) (long)(a), (long)(b), (long)(c)\n\
         int run(void) {{ {body} "
    );
    // Addresses that both can name.
    let wide = ["-no-pie", "-fno-pie"];
    let programs =
        [("of-64", prologue.as_str(), &wide[..]), ("of-32", prologue.as_str(), &["-m32"][..])];
    let (_, out) = bodies_with(case, &programs)?;
    let answer = all_well(&out, &[])?;
    for (name, ..) in programs {
        let found = program(&answer, &format!("/usr/bin/{name}"))?;
        for one in found["answers"].as_array().into_iter().flatten() {
            let (judgement, exit) = (&one["judgement"], &one["end"]["exit"]);
            ensure!(judgement == "agrees" && exit == 0, "{name}: {found:#}");
        }
    }
    Ok(())
}
