# Entry of the bare image (PVH: 32-bit protected mode, flat segments, paging off, EBX = start_info).
# Turns on long mode with the boot page tables and calls boot::start on the boot stack.

.section .note.pvh, "a", @note
    .long 4, 4, 18                      # name size, descriptor size, XEN_ELFNOTE_PHYS32_ENTRY
    .asciz "Xen"
    .long pvh_start

.section .boot, "awx", @progbits
.code32
.globl pvh_start
pvh_start:
    cld
    mov eax, cr4
    or eax, 0xa0                        # PAE, PGE
    mov cr4, eax
    mov eax, offset boot_pml4
    mov cr3, eax
    mov ecx, 0xc0000080                 # EFER
    rdmsr
    or eax, 0x901                       # SCE, LME, NXE
    wrmsr
    mov eax, 0x80010033                 # PG, WP, NE, ET, MP, PE
    mov cr0, eax
    lgdt [boot_gdt_pointer]
    ljmp 0x08, offset long_mode
.code64
long_mode:
    xor eax, eax
    mov ds, eax
    mov es, eax
    mov ss, eax
    mov fs, eax
    mov gs, eax
    movabs rax, offset start_high
    jmp rax

.balign 8
boot_gdt:
    .quad 0
    .quad 0x00af9b000000ffff            # 64-bit code, ring 0
boot_gdt_pointer:
    .short 15
    .long boot_gdt

# The first GiB three times: at 0 (for this code), in the physical map, and at KERNEL_BASE.
.balign 4096
.globl boot_pml4
boot_pml4:
    .quad boot_pdpt_low + 3
    .fill 255, 8, 0
    .quad boot_pdpt_low + 3
    .fill 254, 8, 0
    .quad boot_pdpt_high + 3
boot_pdpt_low:
    .quad boot_pd + 3
    .fill 511, 8, 0
boot_pdpt_high:
    .fill 510, 8, 0
    .quad boot_pd + 3
    .quad 0
boot_pd:
    .set page, 0
    .rept 512
    .quad page + 0x83                   # present, writable, 2 MiB
    .set page, page + 0x200000
    .endr

.section .text.entry, "ax", @progbits
start_high:
    mov rsp, offset boot_stack_top
    xor ebp, ebp
    mov edi, ebx
    call {start}
    ud2

# The first CPU's kernel stack; the page below it is unmapped once the kernel has its own tables.
.section .bss, "aw", @nobits
.balign 4096
.globl boot_stack_guard
boot_stack_guard:
    .skip 4096
    .skip {stack_size}
.globl boot_stack_top
boot_stack_top:

.section .ksyms, "a", @progbits
.balign 4096
    .ascii "KSYM"
    .long 8
.text
