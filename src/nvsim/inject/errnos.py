"""What Go programs and the kernel's own messages say of an errno, by its name (``syscall.Errno``, strerror; EXDEV as ``os.Root`` tells it)."""

from __future__ import annotations

ERRNO_TEXT = {
    "EACCES": "permission denied",
    "EBUSY": "device or resource busy",
    "EEXIST": "file exists",
    "EISDIR": "is a directory",
    "ELOOP": "too many levels of symbolic links",
    "ENAMETOOLONG": "file name too long",
    "ENOENT": "no such file or directory",
    "ENOTDIR": "not a directory",
    "EROFS": "read-only file system",
    "EXDEV": "path escapes from parent",
}
