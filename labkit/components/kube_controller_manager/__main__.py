"""`python -m labkit.components.kube_controller_manager`."""

from labkit.components.kube_controller_manager.main import main

if __name__ == "__main__":
    main()
