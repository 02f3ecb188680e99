// System calls, and the one way to start a process, without a C library.
//
// glibc's start-up reads the processor's features with some thirty CPUID instructions, each of
// which traps in a virtual machine: a static program that only returns takes 470 µs there, this
// one 120. On other architectures than x86-64 the same few functions go through the C library.
// Every call returns -errno on failure.
#pragma once

#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>

namespace sys {

// Runs function(argument) in a new process that borrows our memory, on a stack of its own, while
// we sleep until it has exec'd or exited. Returns its pid.
inline constexpr long kVforkFlags = CLONE_VM | CLONE_VFORK | SIGCHLD;

#if defined(__x86_64__)

inline long Call(long number, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0) {
  long result;
  register long r10 asm("r10") = d;
  register long r8 asm("r8") = e;
  asm volatile("syscall"
               : "=a"(result)
               : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
               : "rcx", "r11", "memory");
  return result;
}

extern "C" long AllotClone(long flags, void* stack_top, int (*function)(void*), void* argument);
asm(R"(
  .text
  .type AllotClone, @function
AllotClone:
  mov %rdx, %r8        # kept by the kernel: only read as an argument with CLONE_SETTLS
  mov %rcx, %r9
  xor %edx, %edx
  xor %r10d, %r10d
  mov $56, %eax        # clone
  syscall
  test %rax, %rax
  jnz 1f
  xor %ebp, %ebp
  mov %r9, %rdi
  call *%r8
  hlt
1:
  ret
  .size AllotClone, .-AllotClone

  .type AllotClone3, @function
AllotClone3:
  mov %rdx, %r8        # kept by the kernel
  mov %rcx, %r9
  mov $435, %eax       # clone3
  syscall
  test %rax, %rax
  jnz 1f
  xor %ebp, %ebp
  mov %r9, %rdi
  call *%r8
  hlt
1:
  ret
  .size AllotClone3, .-AllotClone3

  .globl _start
  .type _start, @function
_start:
  xor %ebp, %ebp
  mov %rsp, %rdi
  and $-16, %rsp
  call AllotStart
  hlt
  .size _start, .-_start
)");

struct CloneArguments {  // struct clone_args of linux/sched.h, up to what we use
  uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid,
      set_tid_size, cgroup;
};
extern "C" long AllotClone3(CloneArguments* arguments, size_t size, int (*function)(void*),
                            void* argument);

// `cgroup`: an open folder of the cgroup (v2) to be born in, or -1. Moving a process later would
// take the kernel's lock over all forks, and that is milliseconds.
inline long Spawn(int (*function)(void*), void* argument, char* stack, size_t size, long cgroup) {
  if (cgroup < 0) return AllotClone(kVforkFlags, stack + size, function, argument);
  constexpr uint64_t kIntoCgroup = 0x200000000;  // CLONE_INTO_CGROUP, Linux 5.7
  CloneArguments arguments{};
  arguments.flags = CLONE_VM | CLONE_VFORK | kIntoCgroup;
  arguments.exit_signal = SIGCHLD;
  arguments.stack = reinterpret_cast<uint64_t>(stack);
  arguments.stack_size = size;
  arguments.cgroup = static_cast<uint64_t>(cgroup);
  return AllotClone3(&arguments, sizeof arguments, function, argument);
}

#else

}  // namespace sys
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>
namespace sys {

inline long Call(long number, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0) {
  const long result = syscall(number, a, b, c, d, e);
  return result < 0 ? -errno : result;
}

// Without the vfork in assembler, the supervisor itself joins the cgroup just before: its device
// filter and its limits then hold for the supervisor too, which needs no more than they give.
inline long Spawn(int (*function)(void*), void* argument, char* stack, size_t size, long cgroup) {
  if (cgroup >= 0) {
    const int procs = openat(static_cast<int>(cgroup), "cgroup.procs", O_WRONLY | O_CLOEXEC);
    const bool joined = procs >= 0 && write(procs, "0", 1) == 1;
    const int error = errno;
    if (procs >= 0) close(procs);
    if (!joined) return -error;
  }
  const int pid = clone(function, stack + size, kVforkFlags, argument);
  return pid < 0 ? -errno : pid;
}

#endif

template <class T>
long Word(T* pointer) {
  return reinterpret_cast<long>(pointer);
}
[[noreturn]] inline void Exit(int code) {
  for (;;) Call(SYS_exit_group, code);
}

}  // namespace sys
