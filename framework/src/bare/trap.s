# Entries from user mode and interrupts, and the way into user mode.
#
# The kernel stack pointer at the moment of entering user mode is the CPU's TRAP_STACK (the first
# stack of its task state segment), so every trap continues right below the frame of enter_by_*.

.section .text.trap, "ax", @progbits

.macro clear_ac                         # nop where the CPU has no SMAP
9901:
    clac
    .pushsection .smap_sites, "a", @progbits
    .quad 9901b
    .popsection
.endm

# RDI = the end of the saved part of the Regs, where all offsets count from; returns in RAX the
# vector, or 256 for a system call. Keeps RBX, RBP and RSP alone. Interrupts are off, GS is the
# kernel's, before and after.
.macro leave_kernel
    push rbp
    push rbx
    mov gs:[{TRAP_STACK}], rsp
    mov gs:[{REGS}], rdi
.endm

# By sysret: RCX and R11 become the program's RIP and RFLAGS. The registers are popped from the Regs.
.globl enter_by_sysret
enter_by_sysret:
    leave_kernel
    lea rsp, [rdi + {RAX}]
    pop rax
    pop rbx
    pop rdx
    pop rsi
    pop rdi
    pop rbp
    pop r8
    pop r9
    pop r10
    pop r12
    pop r13
    pop r14
    pop r15
    pop rcx
    pop r11
    pop rsp
    swapgs
    sysretq

.globl enter_by_iret
enter_by_iret:
    leave_kernel
    push {USER_DATA}
    push qword ptr [rdi + {RSP}]
    push qword ptr [rdi + {RFLAGS}]
    push {USER_CODE}
    push qword ptr [rdi + {RIP}]
    mov rax, [rdi + {RAX}]
    mov rbx, [rdi + {RBX}]
    mov rcx, [rdi + {RCX}]
    mov rdx, [rdi + {RDX}]
    mov rsi, [rdi + {RSI}]
    mov rbp, [rdi + {RBP}]
    mov r8, [rdi + {R8}]
    mov r9, [rdi + {R9}]
    mov r10, [rdi + {R10}]
    mov r11, [rdi + {R11}]
    mov r12, [rdi + {R12}]
    mov r13, [rdi + {R13}]
    mov r14, [rdi + {R14}]
    mov r15, [rdi + {R15}]
    mov rdi, [rdi + {RDI}]
    swapgs
    iretq

# The stack is the Regs for a while: interrupts are off, and what comes all the same has a stack of
# its own.
.globl syscall_entry
syscall_entry:
    swapgs
    mov gs:[{SCRATCH}], rsp
    mov rsp, gs:[{REGS}]
    push qword ptr gs:[{SCRATCH}]
    push r11
    push rcx
    push r15
    push r14
    push r13
    push r12
    push r10
    push r9
    push r8
    push rbp
    push rdi
    push rsi
    push rdx
    push rbx
    push rax
    mov rsp, gs:[{TRAP_STACK}]
    mov eax, 256
leave_user:
    pop rbx
    pop rbp
    ret

# One stub of 16 bytes for each vector; those without an error code push a zero.
.balign 16
.globl trap_stubs
trap_stubs:
.set vector, 0
.rept 256
    .balign 16
    .if (vector == 8) || (vector == 10) || (vector == 11) || (vector == 12) || (vector == 13) || (vector == 14) || (vector == 17) || (vector == 21) || (vector == 29) || (vector == 30)
    .else
    push 0
    .endif
    .byte 0x68                          # push imm32; the assembler would take the name for memory
    .long vector
    .if (vector == 2) || (vector == 8) || (vector == 18)
    jmp fault_stack_trap
    .else
    jmp trap
    .endif
    .set vector, vector + 1
.endr

# Stack: vector, error, rip, cs, rflags, rsp, ss.
trap:
    cld
    clear_ac
    test byte ptr [rsp + 24], 3
    jz 2f
    swapgs
    push rdi
    mov rdi, gs:[{REGS}]
    mov [rdi + {RAX}], rax
    mov [rdi + {RBX}], rbx
    mov [rdi + {RCX}], rcx
    mov [rdi + {RDX}], rdx
    mov [rdi + {RSI}], rsi
    mov [rdi + {RBP}], rbp
    mov [rdi + {R8}], r8
    mov [rdi + {R9}], r9
    mov [rdi + {R10}], r10
    mov [rdi + {R11}], r11
    mov [rdi + {R12}], r12
    mov [rdi + {R13}], r13
    mov [rdi + {R14}], r14
    mov [rdi + {R15}], r15
    pop qword ptr [rdi + {RDI}]
    pop rax
    pop qword ptr gs:[{ERROR}]
    pop qword ptr [rdi + {RIP}]
    pop rcx
    pop qword ptr [rdi + {RFLAGS}]
    pop qword ptr [rdi + {RSP}]
    mov rsp, gs:[{TRAP_STACK}]
    jmp leave_user

# From kernel mode: an interrupt, or an exception of the kernel itself.
2:  cmp dword ptr [rsp], 32
    jb 3f
    push rax
    push rcx
    push rdx
    push rsi
    push rdi
    push r8
    push r9
    push r10
    push r11
    mov edi, [rsp + 72]
    call {kernel_interrupt}
    pop r11
    pop r10
    pop r9
    pop r8
    pop rdi
    pop rsi
    pop rdx
    pop rcx
    pop rax
    add rsp, 16
    iretq
.macro push_all
    push rax
    push rcx
    push rdx
    push rbx
    push rbp
    push rsi
    push rdi
    push r8
    push r9
    push r10
    push r11
    push r12
    push r13
    push r14
    push r15
.endm
.macro pop_all
    pop r15
    pop r14
    pop r13
    pop r12
    pop r11
    pop r10
    pop r9
    pop r8
    pop rdi
    pop rsi
    pop rbp
    pop rbx
    pop rdx
    pop rcx
    pop rax
.endm
3:  push_all
    mov rdi, rsp
    call {kernel_exception}
    pop_all
    add rsp, 16
    iretq

# NMI, double fault, machine check, on a stack of their own. They come at any instruction, so GS may
# be the program's, with any base; the CPU's data is named at the stack's top.
fault_stack_trap:
    push_all
    cld
    clear_ac
    mov ecx, 0xc0000101
    rdmsr
    shl rdx, 32
    lea rbx, [rax + rdx]
    mov rax, [rsp + 176]
    mov rdx, rax
    shr rdx, 32
    wrmsr
    mov rdi, rsp
    call {kernel_exception}
    mov rax, rbx
    mov rdx, rbx
    shr rdx, 32
    mov ecx, 0xc0000101
    wrmsr
    pop_all
    add rsp, 16
    iretq
