"""One package per systemd service, named as the service is. Components never import each other."""
