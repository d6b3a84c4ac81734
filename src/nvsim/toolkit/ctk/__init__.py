"""nvidia-ctk's command line: its commands as data, the libraries that read them (urfave/cli 2 and 3), help texts, and ``config``."""
