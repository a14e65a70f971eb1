"""What the kernel has counted of a group of processes, at one moment."""

from dataclasses import dataclass

NANOSECONDS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Counters:
    """cpu, cpu_user, cpu_system: nanoseconds since the beginning. memory: bytes in use, with the page cache;
    working_set: without the file pages that have not been used for long; rss: without any file pages."""

    cpu: int = 0
    cpu_user: int = 0
    cpu_system: int = 0
    memory: int = 0
    working_set: int = 0
    rss: int = 0
    page_faults: int = 0
    major_page_faults: int = 0

    def __add__(self, other: "Counters") -> "Counters":
        return Counters(*(getattr(self, name) + getattr(other, name) for name in self.__slots__))
