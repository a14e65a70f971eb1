"""One file with all that `labkit up` would fetch: made where there is a network, used where there is none.

create.py    node image + machines' wheels + labkit and what it needs  ->  FILE
archive.py   FILE: a tar, the signed manifest first
keys.py      who has made it, and whom this computer believes
use.py       FILE  ->  docker's images and the cache of wheels, where `labkit up` finds them
serve.py     hands it to the room; fetch.py: takes it from there
"""
