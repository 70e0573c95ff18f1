"""Physics: one scene (robot and ground) and the engines that step it."""
