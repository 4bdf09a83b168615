"""The command line: `main` gathers the commands, a file each."""
