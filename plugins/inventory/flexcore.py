"""Hosts from the nodes of a FlexCore cluster, in groups by what they do and run."""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import urlsplit

from ansible.errors import AnsibleParserError
from ansible.plugins.inventory import BaseInventoryPlugin, Constructable
from flexcore_client.client import FlexCoreClient
from flexcore_client.clock import SystemClock
from flexcore_client.connection import read_connection, with_environment
from flexcore_client.errors import ClientError, InputError
from flexcore_client.event_loop import run
from flexcore_client.node_work import read_nodes
from flexcore_client.targets import parse_targets

DOCUMENTATION = r"""
name: flexcore
short_description: The nodes of a FlexCore cluster as hosts
version_added: "0.1.0"
description:
  - Asks one node of a FlexCore cluster who is there, from the controller, and makes a host of each node.
  - A host has the name of its node, and C(ansible_host) from the address that the node says of itself. What the cluster
    knows of it is in the variables C(node_status), C(node_version), C(node_address) and C(node_leads).
  - All hosts are in the group O(group). Others are by status, such as C(flexcore_active) and C(flexcore_lost), and by
    version, such as C(flexcore_version_0_1_0_54bb9acc).
options:
  plugin:
    description: Tells that the file is for this plugin.
    required: true
    choices: [flexcore]
  group:
    description: Group of all hosts.
    type: str
    default: flexcore
extends_documentation_fragment:
  - flexcore.connection
  - constructed
author:
  - FlexCore Ops contributors
"""

EXAMPLES = r"""
# inventories/cluster/nodes.flexcore.yml
plugin: flexcore
url: https://flexcore.example.org:8443
# The token comes from FLEXCORE_TOKEN or FLEXCORE_TOKEN_FILE, or stands here encrypted by ansible-vault.
compose:
  ansible_user: "'deploy'"
"""

ENDINGS = ("flexcore.yml", "flexcore.yaml")
FACTS = ("status", "version", "address")


class InventoryModule(BaseInventoryPlugin, Constructable):
    """The plugin."""

    NAME = "flexcore"

    def verify_file(self, path: str) -> bool:
        """Accept files whose names end in flexcore.yml."""
        return bool(super().verify_file(path)) and path.endswith(ENDINGS)

    def parse(self, inventory: Any, loader: Any, path: str, cache: bool = True) -> None:
        """Ask the cluster and fill the inventory; raises AnsibleParserError that says what is wrong."""
        super().parse(inventory, loader, path, cache)
        self._read_config_data(path)
        try:
            cluster = run(self._cluster())
        except (ClientError, InputError) as error:
            raise AnsibleParserError(f"{path}: {error}") from None
        group = self.inventory.add_group(self.get_option("group"))
        for node in cluster["nodes"]:
            self._add(node, group, leads=node.get("node_id") == cluster["leader"])

    async def _cluster(self) -> dict[str, Any]:
        options = with_environment(self.get_options(), os.environ)
        if not options["url"]:
            raise InputError("url is missing: give it, or set FLEXCORE_URL, for example http://core1:8080")
        connection, clock = read_connection(options), SystemClock()
        target = parse_targets([{"url": options["url"]}], api=connection.api)[0]
        if target.address.service != "flexcore":
            raise InputError(f"url is {target.address.url}: FlexCore is asked over http:// or https://")
        async with connection.transport(target.address, clock) as transport:
            return await read_nodes(FlexCoreClient(target, transport), None, None)

    def _add(self, node: dict[str, Any], group: str, *, leads: bool) -> None:
        host = self.inventory.add_host(str(node["node_id"]), group)
        for name in FACTS:
            self.inventory.set_variable(host, f"node_{name}", node.get(name))
        self.inventory.set_variable(host, "node_leads", leads)
        address = urlsplit(str(node.get("address") or "")).hostname
        if address:
            self.inventory.set_variable(host, "ansible_host", address)
        for suffix in (node.get("status"), f"version_{node['version']}" if node.get("version") else None):
            if suffix:
                self.inventory.add_child(self.inventory.add_group(self._group(group, suffix)), host)
        variables = self.inventory.get_host(host).get_vars()
        strict = self.get_option("strict")
        self._set_composite_vars(self.get_option("compose"), variables, host, strict=strict)
        self._add_host_to_composed_groups(self.get_option("groups"), variables, host, strict=strict)
        self._add_host_to_keyed_groups(self.get_option("keyed_groups"), variables, host, strict=strict)

    def _group(self, group: str, suffix: str) -> str:
        return f"{group}_{self._sanitize_group_name(str(suffix))}"
