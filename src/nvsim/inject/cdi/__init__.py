"""CDI specs that exist: names, reading, rules, registry, their application to an OCI config, and the plan and its doing."""
