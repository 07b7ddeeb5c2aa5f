# The program of a stub process. It has no data of its own, uses no vector registers, and runs first
# where the host loads it, then in the window.
#
# rbx is the block throughout. Syscall instructions whose address the filter knows are followed by a
# label `jinux_stub_at_...`.

    .pushsection .text.jinux_stub, "ax", @progbits
    .globl jinux_stub_start, jinux_stub_end
    .globl jinux_stub_at_wake, jinux_stub_at_wait, jinux_stub_at_operation, jinux_stub_at_return

# At the low address: moves to the window.
jinux_stub_start:
    movabs rdi, {code}
    mov esi, {code_len}
    mov edx, 5                          # PROT_READ | PROT_EXEC
    mov r10d, 0x12                      # MAP_PRIVATE | MAP_FIXED
    mov r8d, {image_fd}
    mov r9d, {page}
    mov eax, 9                          # mmap
    syscall
    mov ebx, 1
    cmp rax, rdi
    jne .Ljinux_leave
    movabs rdi, {data}
    mov esi, {block_len}
    mov edx, 3                          # PROT_READ | PROT_WRITE
    mov r10d, 0x11                      # MAP_SHARED | MAP_FIXED
    mov r8d, {data_fd}
    xor r9d, r9d
    mov eax, 9                          # mmap
    syscall
    mov ebx, 2
    cmp rax, rdi
    jne .Ljinux_leave
    lea rax, [rip + .Ljinux_high]
    lea rcx, [rip + jinux_stub_start]
    sub rax, rcx
    movabs rcx, {code}
    add rax, rcx
    jmp rax

# In the window: removes everything else, the stack and the vDSO too.
.Ljinux_high:
    xor edi, edi
    movabs rsi, {code}
    mov eax, 11                         # munmap
    syscall
    mov ebx, 3
    test rax, rax
    jnz .Ljinux_leave
    movabs rdi, {data} + {block_len}
    movabs rsi, 0x7ffffffff000
    sub rsi, rdi
    mov eax, 11                         # munmap
    syscall
    test rax, rax
    jnz .Ljinux_leave
    movabs rbx, {data}
    lea rsp, [rbx + {block_len}]

    # All traps go to the handler; the zygote itself takes no signal.
    lea rax, [rip + .Ljinux_handler]
    mov [rbx + {scratch}], rax
    mov qword ptr [rbx + {scratch} + 8], 0x0c000004  # SA_SIGINFO | SA_ONSTACK | SA_RESTORER
    lea rax, [rip + .Ljinux_restorer]
    mov [rbx + {scratch} + 16], rax
    mov qword ptr [rbx + {scratch} + 24], -1
    lea r12, [rip + .Ljinux_signals]
5:  movzx edi, byte ptr [r12]
    test edi, edi
    jz 6f
    lea rsi, [rbx + {scratch}]
    xor edx, edx
    mov r10d, 8
    mov eax, 13                         # rt_sigaction
    syscall
    inc r12
    jmp 5b
6:  mov edi, 38                         # PR_SET_NO_NEW_PRIVS
    mov esi, 1
    xor edx, edx
    xor r10d, r10d
    xor r8d, r8d
    mov eax, 157                        # prctl
    syscall
    mov ebx, 4
    test rax, rax
    jnz .Ljinux_leave
    movabs rbx, {data}
    mov eax, 110                        # getppid
    syscall
    cmp rax, [rbx + {parent}]
    jne .Ljinux_leave

# The zygote: forks when it is asked to.
.Ljinux_zygote:
    call .Ljinux_hand_over
    mov r12, [rbx + {slot}]
    mov edi, 0x8011                     # CLONE_PARENT | SIGCHLD
    xor esi, esi
    xor edx, edx
    xor r10d, r10d
    xor r8d, r8d
    mov eax, 56                         # clone
    syscall
    test rax, rax
    jz .Ljinux_child
    mov [rbx + {result}], eax
    jmp .Ljinux_zygote

# A new stub: shares the zygote's block and stack until it has mapped its own. Of all signals it
# takes those that are traps.
.Ljinux_child:
    mov rdi, rbx
    mov esi, {block_len}
    mov edx, 3                          # PROT_READ | PROT_WRITE
    mov r10d, 0x11                      # MAP_SHARED | MAP_FIXED
    mov r8d, {data_fd}
    mov r9, r12
    mov eax, 9                          # mmap
    syscall
    cmp rax, rdi
    jne .Ljinux_leave
    lea rsp, [rbx + {block_len}]
    mov edi, 1                          # PR_SET_PDEATHSIG
    mov esi, 9                          # SIGKILL
    mov eax, 157                        # prctl
    syscall
    mov eax, 110                        # getppid
    syscall
    cmp rax, [rbx + {parent}]
    jne .Ljinux_leave
    lea rax, [rbx + {stack}]
    mov [rbx + {scratch}], rax
    mov dword ptr [rbx + {scratch} + 8], 0x80000000  # SS_AUTODISARM
    mov qword ptr [rbx + {scratch} + 16], {block_len} - {stack}
    lea rdi, [rbx + {scratch}]
    xor esi, esi
    mov eax, 131                        # sigaltstack
    syscall
    movabs rax, {mask}
    mov [rbx + {scratch}], rax
    mov edi, 2                          # SIG_SETMASK
    lea rsi, [rbx + {scratch}]
    xor edx, edx
    mov r10d, 8
    mov eax, 14                         # rt_sigprocmask
    syscall
    mov edi, {data_fd}
    mov eax, 3                          # close
    syscall
    mov edi, {image_fd}
    mov eax, 3                          # close
    syscall
    mov edi, 1                          # SECCOMP_SET_MODE_FILTER
    mov esi, 4                          # SECCOMP_FILTER_FLAG_SPEC_ALLOW
    movabs rdx, {filter}
    mov eax, 317                        # seccomp
    syscall
    test rax, rax
    jnz 5f
    ud2                                 # makes a whole frame, which the kernel fills in
5:  neg eax
    mov [rbx + {error}], eax
    call .Ljinux_hand_over

.Ljinux_leave:
    mov edi, ebx
    mov eax, 231                        # exit_group
    syscall
    ud2

# Gives the turn to the kernel, and waits until it is given back.
.Ljinux_hand_over:
    mov eax, 1
    xchg [rbx + {turn}], eax
    test eax, 2
    jz 5f
    lea rdi, [rbx + {turn}]
    mov esi, 1                          # FUTEX_WAKE
    mov edx, 1
    mov eax, 202                        # futex
    syscall
jinux_stub_at_wake:
5:  mov eax, 1
    mov ecx, 3
    lock cmpxchg [rbx + {turn}], ecx    # the kernel's turn, and now we sleep
    je 6f
    test eax, 1
    jz 7f
6:  lea rdi, [rbx + {turn}]
    xor esi, esi                        # FUTEX_WAIT
    mov edx, 3
    xor r10d, r10d
    mov eax, 202                        # futex
    syscall
jinux_stub_at_wait:
    jmp 5b
7:  ret

# A trap: says what it was, does what the kernel asks, and goes on.
.Ljinux_handler:
    mov rbx, rdx
    and rbx, -{block_len}
    mov r13, rdx
    mov [rbx + {signal}], edi
    mov [rbx + {context}], rdx
    mov eax, [rsi + 8]
    mov [rbx + {signal_code}], eax
    mov rax, [rsi + 16]
    mov [rbx + {address}], rax
    mov rax, [rsi + 24]
    mov [rbx + {call}], rax
    rdfsbase rax
    mov [rbx + {fs_base}], rax
    rdgsbase rax
    mov [rbx + {gs_base}], rax
5:  call .Ljinux_hand_over
    xor r12d, r12d
6:  cmp r12d, [rbx + {count}]
    jae 8f
    mov r14d, r12d
    shl r14, 5
    lea r14, [rbx + r14 + {operations}]
    mov rdi, [r14]
    mov rsi, [r14 + 8]
    mov r9, [r14 + 16]
    mov eax, [r14 + 24]
    movzx edx, word ptr [r14 + 28]
    movzx r10d, word ptr [r14 + 30]
    mov r8d, {phys_fd}
    syscall                             # mmap, mprotect or munmap
jinux_stub_at_operation:
    cmp rax, -4095
    jae 7f
    inc r12d
    jmp 6b
7:  neg eax
    mov [rbx + {error}], eax
    jmp 5b
8:  cmp dword ptr [rbx + {come_back}], 0
    jne 5b
    mov rax, [rbx + {fs_base}]
    wrfsbase rax
    mov rax, [rbx + {gs_base}]
    wrgsbase rax
    mov rsp, r13
.Ljinux_restorer:
    mov eax, 15                         # rt_sigreturn
    syscall
jinux_stub_at_return:
    ud2

.Ljinux_signals:
    .byte 31, 11, 7, 4, 8, 5, 14, 0     # SYS, SEGV, BUS, ILL, FPE, TRAP, ALRM
jinux_stub_end:
    .popsection
