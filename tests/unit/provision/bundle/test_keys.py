from pathlib import Path

from labkit.provision.bundle import keys


def test_ones_own_bundles_are_trusted_and_the_key_is_private(home: Path) -> None:
    key = keys.own()
    assert keys.is_trusted(keys.fingerprint(keys.public(key)))
    assert keys.public(keys.own()) == keys.public(key)
    assert (home / "bundle.key").stat().st_mode & 0o777 == 0o600


def test_strangers_are_trusted_once_somebody_says_so() -> None:
    stranger = "0123-4567-89ab-cdef-0123-4567-89ab-cdef"
    assert not keys.is_trusted(stranger)
    keys.trust(stranger)
    keys.trust(stranger)
    assert keys.is_trusted(stranger)
    assert not keys.is_trusted(stranger.replace("0", "1"))


def test_a_fingerprint_may_be_typed_in_any_way_but_not_in_part() -> None:
    full = "0123-4567-89ab-cdef-0123-4567-89ab-cdef"
    assert keys.same("0123456789ABCDEF 0123456789abcdef", full)
    assert not keys.same("0123-4567", full)
