"""The password for pushes: made once, private, and the registry's file opens with it."""

import base64
import json
import stat
from pathlib import Path

import bcrypt

from labkit.provision.registry import PUSH, USER, credentials


def test_the_password_is_made_once_and_kept_from_others(tmp_path: Path) -> None:
    first = credentials(tmp_path)
    assert credentials(tmp_path) == first
    assert len(first.password) >= 24
    assert stat.S_IMODE((tmp_path / "pki" / "registry-push.json").stat().st_mode) == 0o600


def test_another_cluster_has_another_password(tmp_path: Path) -> None:
    assert credentials(tmp_path / "a").password != credentials(tmp_path / "b").password


def test_the_registrys_file_and_skopeos_file_belong_together(tmp_path: Path) -> None:
    made = credentials(tmp_path)
    user, _, hashed = made.htpasswd.strip().partition(":")
    assert user == USER
    assert bcrypt.checkpw(made.password.encode(), hashed.encode())
    auth = json.loads(made.auth_file())["auths"][PUSH]["auth"]
    assert base64.b64decode(auth).decode() == f"{USER}:{made.password}"
