"""etcd3 0.12.0 imports, with today's protobuf, and its messages travel."""

import subprocess
import sys

import pytest

from labkit.storage import etcd3_import

CHECK = """
from labkit.storage import etcd3_import
import etcd3, etcd3.etcdrpc as rpc
sent = rpc.TxnRequest(compare=[rpc.Compare(result=rpc.Compare.EQUAL, target=rpc.Compare.MOD, key=b"k", mod_revision=7)])
assert rpc.TxnRequest.FromString(sent.SerializeToString()) == sent
assert rpc.NOSPACE == 1 and rpc.AlarmType.Name(1) == "NOSPACE"
assert etcd3.client and rpc.KVStub and rpc.WatchStub and rpc.LeaseStub
etcd3_import.mend()
assert rpc.TxnRequest is etcd3.etcdrpc.TxnRequest
"""


def test_in_a_fresh_interpreter() -> None:
    done = subprocess.run([sys.executable, "-c", CHECK], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr


def test_another_etcd3_is_named() -> None:
    with pytest.raises(ImportError, match=r"is this etcd3 0\.12\.0"):
        etcd3_import.serialized_descriptor("DESCRIPTOR = pool.AddSerializedFile(b'')")
