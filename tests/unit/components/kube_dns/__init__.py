import socket


def free_port(address: str = "127.0.0.1") -> int:
    """A port that nobody has, neither on UDP nor on TCP."""
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, socket.socket() as tcp:
            udp.bind((address, 0))
            port = int(udp.getsockname()[1])
            try:
                tcp.bind((address, port))
            except OSError:
                continue
            return port
