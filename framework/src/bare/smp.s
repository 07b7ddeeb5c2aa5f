# Where the other CPUs start: real mode, CS = page * 256, IP = 0. It is copied to 0x8000.
# Goes to long mode at once (paging and protection in one write) with the boot page tables, which
# map the copy at its physical address.

.section .rodata.smp, "a", @progbits
.code16
.globl smp_trampoline
smp_trampoline:
    cli
    cld
    xor eax, eax
    mov ds, ax
    mov eax, 0xa0                       # PAE, PGE
    mov cr4, eax
    mov eax, offset boot_pml4
    mov cr3, eax
    mov ecx, 0xc0000080                 # EFER: SCE, LME, NXE
    mov eax, 0x901
    xor edx, edx
    wrmsr
    # lgdt [0x8000 + ...] and ljmp 0x08:0x8000 + ..., by hand: the assembler refuses differences of
    # labels as addresses.
    .byte 0x66, 0x0f, 0x01, 0x16
    .short 0x8000 + smp_gdt_pointer - smp_trampoline
    mov eax, 0x80010033                 # PG, WP, NE, ET, MP, PE
    mov cr0, eax
    .byte 0x66, 0xea
    .long 0x8000 + smp_long_mode - smp_trampoline
    .short 0x08
.balign 8
smp_gdt:
    .quad 0
    .quad 0x00af9b000000ffff            # 64-bit code, ring 0
smp_gdt_pointer:
    .short 15
    .long 0x8000 + smp_gdt - smp_trampoline
.code64
smp_long_mode:
    xor eax, eax
    mov ds, eax
    mov es, eax
    mov ss, eax
    mov fs, eax
    mov gs, eax
    movabs rax, offset smp_high
    jmp rax
.globl smp_trampoline_end
smp_trampoline_end:

.section .text.entry, "ax", @progbits
smp_high:
    mov rax, [SMP_ROOT]                 # the stacks are not in the boot page tables
    mov cr3, rax
    mov edi, 1
    lock xadd qword ptr [SMP_NEXT], rdi
    cmp rdi, {max_cpus}
    jae 2f
    mov rsp, [SMP_STACKS + rdi * 8]
    test rsp, rsp
    jz 2f
    xor ebp, ebp
    call {run}
2:  cli
    hlt
    jmp 2b
.text
