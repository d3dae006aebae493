"""One module for each row of `cli.COMMANDS`: its `app` is the command, or the group of commands, of that name."""
