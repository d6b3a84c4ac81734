"""ELF files as facts: the fields of program headers and the dynamic section that loaders and the toolkit look at."""
