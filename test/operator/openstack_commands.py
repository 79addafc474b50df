"""Runs commands of the `openstack` client in one process: each line of the standard input is the JSON list of arguments of one."""

import json
import sys

from openstackclient import shell

client = shell.OpenStackShell()
is_first = True
for line in sys.stdin:
    arguments = json.loads(line)
    # What its interactive mode does: the first one loads the configuration, and the others use it again.
    status = client.run(arguments) if is_first else client.run_subcommand(arguments)
    is_first = False
    if status:
        sys.exit(f"{arguments}: {status}")
