"""Make `import etcd3` work: etcd3 0.12.0 with any current protobuf.

etcd3's generated `*_pb2.py` files date from 2018: they build their descriptors by hand, which protobuf >= 4 refuses
("Descriptors cannot be created directly"). The descriptors themselves are fine. Each file carries its own, serialized,
as the literal `serialized_pb=_b('...')`. So:

    etcd3/etcdrpc/kv_pb2.py --ast--> serialized_pb --> DescriptorPool --> message classes --> sys.modules["...kv_pb2"]

Nothing of the generated files is executed, the rest of etcd3 runs unmodified, and the pool is private, so that another
package may register files of the same names. Import this module before `etcd3`:

    from labkit.storage import etcd3_import  # noqa: F401
    import etcd3
"""

from __future__ import annotations

import ast
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.internal import enum_type_wrapper

_RPC = "etcd3.etcdrpc"
# A file may only import files that stand before it.
_FILES = ("kv_pb2", "auth_pb2", "rpc_pb2")


def serialized_descriptor(source: str) -> bytes:
    """The FileDescriptorProto in a generated file's text: the argument of its `serialized_pb=_b('...')`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.keyword) and node.arg == "serialized_pb" and isinstance(node.value, ast.Call):
            literal = node.value.args[0]
            if isinstance(literal, ast.Constant) and isinstance(literal.value, str):
                return literal.value.encode("latin1")
    raise ImportError("no serialized_pb=_b('...') in etcd3's generated code: is this etcd3 0.12.0?")


def _module_of(name: str, serialized: bytes, pool: descriptor_pool.DescriptorPool) -> ModuleType:
    """A module with one class per message and one wrapper per enum, as protoc's generated code has."""
    file = pool.AddSerializedFile(serialized)
    module = ModuleType(f"{_RPC}.{name}")
    proto = descriptor_pb2.FileDescriptorProto.FromString(serialized)
    prefix = f"{proto.package}." if proto.package else ""
    for message in proto.message_type:
        descriptor = pool.FindMessageTypeByName(prefix + message.name)
        setattr(module, message.name, message_factory.GetMessageClass(descriptor))
    for enum in proto.enum_type:
        setattr(module, enum.name, enum_type_wrapper.EnumTypeWrapper(pool.FindEnumTypeByName(prefix + enum.name)))
        for value in enum.value:
            setattr(module, value.name, value.number)
    module.__dict__["DESCRIPTOR"] = file
    return module


def mend() -> None:
    """Put message modules for etcd3's three generated files into sys.modules. A second call does nothing."""
    if f"{_RPC}.{_FILES[-1]}" in sys.modules:
        return
    spec = importlib.util.find_spec("etcd3")
    if spec is None or not spec.submodule_search_locations:
        raise ImportError("etcd3 is not installed: pip install etcd3==0.12.0")
    folder = Path(next(iter(spec.submodule_search_locations))) / "etcdrpc"
    pool = descriptor_pool.DescriptorPool()
    for name in _FILES:
        serialized = serialized_descriptor((folder / f"{name}.py").read_text())
        sys.modules[f"{_RPC}.{name}"] = _module_of(name, serialized, pool)


mend()
