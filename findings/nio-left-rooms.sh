#!/bin/bash
# matrix-nio cannot read a sync that has a left room of version 12 without state and timeline; of version 11 it can. Both are
# optional in the specification. Ids of version 12 have no colon.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check matrix-nio==0.26.0
"$folder/venv/bin/python" - <<'PYTHON'
import importlib.metadata
import sys
import nio

print("matrix-nio", importlib.metadata.version("matrix-nio"))
OLD, NEW = "!left:example.org", "!31hneApxJ_1o-63DmFrpeqnkFfWppnzWso1JvH3ogLM"
EMPTY = {"state": {"events": []}, "timeline": {"events": []}}


def read(room_id: str, room: dict) -> str:
    sync = {"next_batch": "1", "rooms": {"leave": {room_id: room}}}
    try:
        answer = nio.SyncResponse.from_dict(sync)
    except Exception as error:
        return f"raises {type(error).__name__}: {str(error).splitlines()[0]}"
    return type(answer).__name__


seen = {}
for name, room_id in (("version 11", OLD), ("version 12", NEW)):
    for kind, room in (("bare", {}), ("state and timeline", EMPTY)):
        seen[name, kind] = read(room_id, room)
        print(f"{name}, {kind}: {seen[name, kind]}")
broken = [which for which, answer in seen.items() if answer != "SyncResponse"]
sys.exit(0 if broken == [("version 12", "bare")] else "the behaviour has changed")
PYTHON
