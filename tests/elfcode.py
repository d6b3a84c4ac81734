"""Machine code of the programs and libraries that `elfwriter` writes: assembly for the reader, hex for the file.

A test assembles the sources where an assembler is installed and compares.
"""

from __future__ import annotations

# x86-64. Prints "B" (begun), then the link map ("M path" a line). Then for each call of the table: the result of the dlopen
# ("O path of the object", "E dlerror text", "N" for NULL without a text, "S" for a call whose caller is not loaded), and the link
# map again. Ends with the status of the table. It is position independent and needs nothing of libc but the two functions.
# Table, 8 bytes each, offsets from the table: slot of DT_DEBUG (0 = none), slot of dlopen, slot of dlerror, status, number of
# calls; then for each call: tag of the calling library (0 = the program), flags, offset of the name (0 = NULL).
MAIN_X86_64_SOURCE = """
.intel_syntax noprefix
.globl _start
_start:
    and rsp,-16
    lea rbx,[rip+table]
    mov edi,'B'
    xor esi,esi
    call line
    call map
    mov r13,[rbx+32]
    lea r12,[rbx+40]
next:
    test r13,r13
    jz done
    dec r13
    mov rdi,[rbx+8]
    mov rdi,[rbx+rdi]
    mov rsi,[r12+16]
    test rsi,rsi
    jz 1f
    add rsi,rbx
1:  mov edx,[r12+8]
    mov rcx,[r12]
    test rcx,rcx
    jz direct
    call object
    test rax,rax
    jz absent
    mov rax,[rax]
    add rax,0x3d0
    call rax
    jmp told
direct:
    mov rax,rdi
    mov rdi,rsi
    mov esi,edx
    call rax
told:
    test rax,rax
    jz failed
    mov rsi,[rax+8]
    mov edi,'O'
    call line
    call map
    jmp step
failed:
    mov rax,[rbx+16]
    call [rbx+rax]
    mov rsi,rax
    mov edi,'E'
    test rax,rax
    jnz 1f
    mov edi,'N'
1:  call line
    call map
    jmp step
absent:
    mov edi,'S'
    xor esi,esi
    call line
step:
    add r12,24
    jmp next
done:
    mov edi,[rbx+24]
    mov eax,231
    syscall

object:
    mov rax,[rbx]
    test rax,rax
    jz 3f
    mov rax,[rbx+rax]
    test rax,rax
    jz 3f
    mov rax,[rax+8]
1:  mov rax,[rax+24]
    test rax,rax
    jz 3f
    mov r8,[rax]
    test r8,r8
    jz 1b
    movabs r9,0x6761746d6973766e
    cmp [r8+0x3c0],r9
    jne 1b
    cmp [r8+0x3c8],rcx
    jne 1b
3:  ret

map:
    push r14
    mov r14,[rbx]
    test r14,r14
    jz 2f
    mov r14,[rbx+r14]
    test r14,r14
    jz 2f
    mov r14,[r14+8]
1:  test r14,r14
    jz 2f
    mov rsi,[r14+8]
    mov edi,'M'
    call line
    mov r14,[r14+24]
    jmp 1b
2:  pop r14
    ret

line:
    push r15
    mov r15,rsi
    push 0x0a
    movzx edi,dil
    or edi,0x2000
    push rdi
    mov edi,1
    mov rsi,rsp
    mov edx,2
    mov eax,1
    syscall
    test r15,r15
    jz 2f
    xor edx,edx
1:  cmp byte ptr [r15+rdx],0
    je 3f
    inc rdx
    jmp 1b
3:  mov edi,1
    mov rsi,r15
    mov eax,1
    syscall
2:  mov edi,1
    lea rsi,[rsp+8]
    mov edx,1
    mov eax,1
    syscall
    pop rdi
    pop rdi
    pop r15
    ret
.balign 8
table:
"""
MAIN_X86_64 = bytes.fromhex("""
    4883e4f0488d1da5010000bf4200000031f6e831010000e8f90000004c8b6b204c8d63284d85ed0f849b00000049ffcd488b7b08488b3c3b
    498b7424104885f674034801de418b542408498b0c244885c97417e87a0000004885c07456488b004805d0030000ffd0eb0a4889f84889f7
    89d6ffd04885c07415488b7008bf4f000000e8c1000000e889000000eb31488b4310ff14034889c6bf450000004885c07505bf4e000000e8
    9c000000e864000000eb0cbf5300000031f6e8890000004983c418e95cffffff8b7b18b8e70000000f05488b034885c0743a488b04034885
    c07431488b4008488b40184885c074244c8b004d85c074ef49b96e7673696d7461674d3988c003000075dc493988c803000075d3c341564c
    8b334d85f674264e8b34334d85f6741d4d8b76084d85f67414498b7608bf4d000000e8090000004d8b7618ebe7415ec341574989f76a0a40
    0fb6ff81cf0020000057bf010000004889e6ba02000000b8010000000f054d85ff741d31d241803c1700740548ffc2ebf4bf010000004c89
    feb8010000000f05bf01000000488d742408ba01000000b8010000000f055f5f415fc30f1f440000
""")

# x86-64. In every library, behind its tag: int call(dlopen, name, flags), so that the return address lies in this library.
CALL_X86_64_SOURCE = """
.intel_syntax noprefix
    sub rsp,8
    mov rax,rdi
    mov rdi,rsi
    mov esi,edx
    call rax
    add rsp,8
    ret
"""
CALL_X86_64 = bytes.fromhex("4883ec084889f84889f789d6ffd04883c408c3")


def exit_code(machine: str, status: int) -> bytes:
    """Code that ends the process with `status`."""
    if machine == "x86_64":  # mov edi, status; mov eax, 231; syscall
        return b"\xbf" + status.to_bytes(4, "little") + b"\xb8\xe7\0\0\0\x0f\x05"
    if machine == "i386":  # mov ebx, status; mov eax, 1; int 0x80
        return b"\xbb" + status.to_bytes(4, "little") + b"\xb8\x01\0\0\0\xcd\x80"
    if machine == "aarch64":  # mov x0, #status; mov x8, #94; svc #0
        words = (0xD2800000 | status << 5, 0xD2800BC8, 0xD4000001)
        return b"".join(w.to_bytes(4, "little") for w in words)
    raise ValueError(f"no code for {machine}")
