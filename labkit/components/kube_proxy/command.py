"""Run one of the kernel's tools (iptables-restore, nft, conntrack): text in, text out, bounded."""

import asyncio

SECONDS = 60


async def run(failure: type[Exception], *command: str, text: str = "", package: str) -> str:
    """What it printed; `failure` with what it said when it does not end well. package: where the tool comes from."""
    pipe = asyncio.subprocess.PIPE
    try:
        process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=pipe)
    except OSError as exc:
        raise failure(f"{command[0]}: {exc.strerror}; install the package {package}") from exc
    try:
        async with asyncio.timeout(SECONDS):
            out, err = await process.communicate(text.encode())
    except TimeoutError as exc:
        raise failure(f"{command[0]} did not end within {SECONDS} s") from exc
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise failure(f"{' '.join(command)}: {err.decode(errors='replace').strip()}")
    return out.decode()
