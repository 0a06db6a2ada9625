"""One encrypted matrix-nio client under remote control, for conversations with other SDKs: nio_peer.py BASE_URL FOLDER.

A line of JSON with a "do" in, one line of JSON out. FOLDER holds the store of its keys.
"""
import asyncio
import hashlib
import io
import json
import secrets
import sys

import nio
from nio.crypto.attachments import decrypt_attachment

LIVE_S = 20
# Keys are uploaded and queried between two syncs, so a sync must not be parked for long.
SYNC_MS = 2_000


class Peer:
    def __init__(self, base, folder):
        config = nio.AsyncClientConfig(store_sync_tokens=True, encryption_enabled=True)
        self.name, self.password = "nio" + secrets.token_hex(6), "Pw-" + secrets.token_hex(8)
        self.client = nio.AsyncClient(base, self.name, store_path=folder, config=config)
        self.base, self.room, self.loop = base, None, None
        self.texts, self.files, self.sealed = {}, {}, 0
        self.news = asyncio.Condition()

    async def sign_up(self):
        door = nio.AsyncClient(self.base, self.name)
        try:
            answered(await door.register(self.name, self.password), nio.RegisterResponse)
        finally:
            await door.close()
        answered(await self.client.login(self.password, device_name="nio"), nio.LoginResponse)
        self.client.add_event_callback(self.on_text, nio.RoomMessageText)
        self.client.add_event_callback(self.on_file, nio.RoomEncryptedFile)
        self.client.add_event_callback(self.on_sealed, nio.MegolmEvent)
        self.client.add_response_callback(self.on_sync, nio.SyncResponse)
        self.loop = asyncio.create_task(self.client.sync_forever(timeout=SYNC_MS, full_state=True))
        await self.until("its keys on the server", lambda: not self.client.should_upload_keys)

    async def on_text(self, room, event):
        self.texts[event.body] = event.decrypted

    async def on_file(self, room, event):
        self.files[event.body] = event

    async def on_sealed(self, room, event):
        self.sealed += 1

    async def on_sync(self, response):
        async with self.news:
            self.news.notify_all()

    async def until(self, claim, check):
        async def wait():
            async with self.news:
                await self.news.wait_for(check)
        waiting = asyncio.create_task(wait())
        done, _ = await asyncio.wait([waiting, self.loop], timeout=LIVE_S, return_when=asyncio.FIRST_COMPLETED)
        if self.loop in done:
            self.loop.result()
        if waiting not in done:
            waiting.cancel()
            raise AssertionError(f"not within {LIVE_S} s: {claim}")
        waiting.result()

    async def create(self, invite):
        encryption = {"type": "m.room.encryption", "state_key": "", "content": {"algorithm": "m.megolm.v1.aes-sha2"}}
        response = await self.client.room_create(name="Babel", invite=invite, initial_state=[encryption])
        self.room = answered(response, nio.RoomCreateResponse).room_id
        await self.entered()
        return {"room": self.room}

    async def join(self, room):
        self.room = room
        await self.until("the invite", lambda: room in self.client.invited_rooms)
        answered(await self.client.join(room), nio.JoinResponse)
        await self.entered()
        return {}

    async def entered(self):
        rooms = self.client.rooms
        await self.until("the encrypted room", lambda: self.room in rooms and rooms[self.room].encrypted)

    async def members(self, count):
        await self.until("all members", lambda: len(self.client.rooms[self.room].users) == count)
        await self.until("their keys", lambda: not self.client.should_query_keys)
        return {}

    async def send(self, content):
        response = await self.client.room_send(self.room, "m.room.message", content, ignore_unverified_devices=True)
        return {"event": answered(response, nio.RoomSendResponse).event_id}

    async def say(self, text):
        return await self.send({"msgtype": "m.text", "body": text})

    async def hear(self, text):
        await self.until(f'"{text}"', lambda: text in self.texts)
        return {"encrypted": self.texts[text]}

    async def attach(self, name, bytes):
        data = pattern(bytes)
        response, keys = await self.client.upload(
            lambda *_: io.BytesIO(data), "application/octet-stream", name, encrypt=True, filesize=bytes)
        file = {"url": answered(response, nio.UploadResponse).content_uri, **keys}
        return await self.send({"msgtype": "m.file", "body": name, "file": file, "info": {"size": bytes}})

    async def fetch(self, name):
        await self.until(name, lambda: name in self.files)
        event = self.files[name]
        response = answered(await self.client.download(event.url), nio.MemoryDownloadResponse)
        plain = decrypt_attachment(response.body, event.key["k"], event.hashes["sha256"], event.iv)
        return {"sha256": hashlib.sha256(plain).hexdigest()}

    async def count_sealed(self):
        return {"count": self.sealed}

    async def close(self):
        if self.loop:
            self.loop.cancel()
            await asyncio.gather(self.loop, return_exceptions=True)
        await self.client.close()


def pattern(size):
    """The bytes that every peer sends as a file of that size."""
    return bytes((place * 31 + (place >> 8)) & 0xFF for place in range(size))


def answered(response, kind):
    if not isinstance(response, kind):
        raise AssertionError(f"expected {kind.__name__}, got {response}")
    return response


def tell(message):
    print(json.dumps(message), flush=True)


async def main(base, folder):
    peer = Peer(base, folder)
    verbs = {name: getattr(peer, name) for name in ("create", "join", "members", "say", "hear", "attach", "fetch")}
    verbs["sealed"] = peer.count_sealed
    try:
        await peer.sign_up()
        for value in (peer.password, peer.client.access_token):
            tell({"secret": value})
        tell({"user": peer.client.user_id})
        while line := await asyncio.to_thread(sys.stdin.readline):
            order = json.loads(line)
            try:
                tell(await verbs[order.pop("do")](**order))
            except Exception as error:  # told to the other side, which judges it
                tell({"failed": f"{type(error).__name__}: {error}"})
    finally:
        await peer.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
