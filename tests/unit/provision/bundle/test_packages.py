from labkit.provision.bundle.packages import _places

INDEX = """Package: attr
Version: 1:2.5.1-4
Architecture: amd64
Description: a tool
 that: is described
Filename: pool/main/a/attr/attr_2.5.1-4_amd64.deb

Package: adduser
Version: 3.134
Architecture: all
Filename: pool/main/a/adduser/adduser_3.134_all.deb
"""


def test_a_package_goes_where_a_mirror_has_it() -> None:
    assert dict(_places(INDEX)) == {
        "attr_1%3a2.5.1-4_amd64.deb": "pool/main/a/attr/attr_2.5.1-4_amd64.deb",
        "adduser_3.134_all.deb": "pool/main/a/adduser/adduser_3.134_all.deb",
    }
