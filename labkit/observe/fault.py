"""Something that is wrong, in words, with what to type next."""

import msgspec


class Fault(msgspec.Struct, kw_only=True, rename="camel"):
    """text: what is missing. mend: what to type, or to look at, next."""

    text: str
    mend: str
