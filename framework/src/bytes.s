# Copies and fills of untyped and user memory.
#
# Each returns how many bytes are left, which is 0 unless a fault stopped it; the words loops then
# count from their last full step. `may_fault` (defined by the target) makes label 8 follow a fault.

.text

# fn copy_words(to: rdi, from: rsi, len: rdx) -> rax
.balign 16
.globl jinux_copy_words
jinux_copy_words:
    mov rax, rdx
    cmp rax, 128
    jb 3f
.balign 16
2:
.irp offset, 0, 32, 64, 96
    may_fault mov rcx, [rsi + \offset]
    may_fault mov rdx, [rsi + \offset + 8]
    may_fault mov r8, [rsi + \offset + 16]
    may_fault mov r9, [rsi + \offset + 24]
    may_fault mov [rdi + \offset], rcx
    may_fault mov [rdi + \offset + 8], rdx
    may_fault mov [rdi + \offset + 16], r8
    may_fault mov [rdi + \offset + 24], r9
.endr
    sub rsi, -128
    sub rdi, -128
    add rax, -128
    cmp rax, 128
    jae 2b
3:  cmp rax, 8
    jb 5f
4:  may_fault mov rcx, [rsi]
    may_fault mov [rdi], rcx
    add rsi, 8
    add rdi, 8
    sub rax, 8
    cmp rax, 8
    jae 4b
5:  test eax, eax
    jz 8f
6:  may_fault mov cl, [rsi]
    may_fault mov [rdi], cl
    inc rsi
    inc rdi
    dec eax
    jnz 6b
8:  ret

# fn copy_bytes(to: rdi, from: rsi, len: rdx) -> rax: exact when it faults.
.balign 16
.globl jinux_copy_bytes
jinux_copy_bytes:
    mov rcx, rdx
    may_fault rep movsb
8:  mov rax, rcx
    ret

# fn fill_words(to: rdi, word: rsi, len: rdx) -> rax; all bytes of the word are the same.
.balign 16
.globl jinux_fill_words
jinux_fill_words:
    mov rax, rdx
    cmp rax, 256
    jb 3f
.balign 16
2:
.irp offset, 0, 64, 128, 192
    may_fault mov [rdi + \offset], rsi
    may_fault mov [rdi + \offset + 8], rsi
    may_fault mov [rdi + \offset + 16], rsi
    may_fault mov [rdi + \offset + 24], rsi
    may_fault mov [rdi + \offset + 32], rsi
    may_fault mov [rdi + \offset + 40], rsi
    may_fault mov [rdi + \offset + 48], rsi
    may_fault mov [rdi + \offset + 56], rsi
.endr
    add rdi, 256
    sub rax, 256
    cmp rax, 256
    jae 2b
3:  cmp rax, 8
    jb 5f
4:  may_fault mov [rdi], rsi
    add rdi, 8
    sub rax, 8
    cmp rax, 8
    jae 4b
5:  test eax, eax
    jz 8f
6:  may_fault mov [rdi], sil
    inc rdi
    dec eax
    jnz 6b
8:  ret

# fn fill_bytes(to: rdi, word: rsi, len: rdx) -> rax: exact when it faults.
.balign 16
.globl jinux_fill_bytes
jinux_fill_bytes:
    mov rcx, rdx
    mov eax, esi
    may_fault rep stosb
8:  mov rax, rcx
    ret
