"""Two accounts chat through matrix-nio as published: nio_chat.py BASE_URL. Each claim shown is a line on stdout."""
import asyncio
import secrets
import sys

import nio

MESSAGES = 20
LIVE_S = 10


class Chatter:
    """One account: what its sync loop has seen, and a condition that wakes whoever waits for more."""

    def __init__(self, base, name):
        self.name, self.password = name, "Pw-" + secrets.token_hex(8)
        self.client = nio.AsyncClient(base, name)
        self.texts, self.typing, self.receipts = [], [], set()
        self.news = asyncio.Condition()
        self.loop = None

    async def sign_up(self):
        door = nio.AsyncClient(self.client.homeserver, self.name)
        try:
            answered(await door.register(self.name, self.password), nio.RegisterResponse)
        finally:
            await door.close()
        answered(await self.client.login(self.password, device_name="nio"), nio.LoginResponse)

    def start(self):
        self.client.add_event_callback(self.on_text, nio.RoomMessageText)
        self.client.add_ephemeral_callback(self.on_typing, nio.TypingNoticeEvent)
        self.client.add_ephemeral_callback(self.on_receipt, nio.ReceiptEvent)
        self.client.add_response_callback(self.on_sync, nio.SyncResponse)
        self.loop = asyncio.create_task(self.client.sync_forever(timeout=20_000, full_state=True))

    async def on_text(self, room, event):
        self.texts.append((event.sender, event.body, event.event_id))

    async def on_typing(self, room, event):
        self.typing = event.users

    async def on_receipt(self, room, event):
        self.receipts.update((receipt.user_id, receipt.event_id) for receipt in event.receipts)

    async def on_sync(self, response):
        async with self.news:
            self.news.notify_all()

    async def sees(self, claim, check):
        async def wait():
            async with self.news:
                await self.news.wait_for(check)
        waiting = asyncio.create_task(wait())
        done, _ = await asyncio.wait([waiting, self.loop], timeout=LIVE_S, return_when=asyncio.FIRST_COMPLETED)
        if self.loop in done:
            self.loop.result()
        if waiting not in done:
            waiting.cancel()
            raise AssertionError(f"{self.name} did not see within {LIVE_S} s: {claim}")

    def bodies(self):
        return [body for _, body, _ in self.texts]

    async def close(self):
        if self.loop:
            self.loop.cancel()
            await asyncio.gather(self.loop, return_exceptions=True)
        await self.client.close()


def answered(response, kind):
    if not isinstance(response, kind):
        raise AssertionError(f"expected {kind.__name__}, got {response}")
    return response


async def say(sender, listener, room, body):
    content = {"msgtype": "m.text", "body": body}
    response = answered(await sender.client.room_send(room, "m.room.message", content), nio.RoomSendResponse)
    await listener.sees(f'"{body}"', lambda: body in listener.bodies())
    return response.event_id


async def chat(alice, bob):
    await asyncio.gather(alice.sign_up(), bob.sign_up())
    print("two users register and log in")
    alice.start()
    bob.start()
    created = answered(await alice.client.room_create(name="Colony"), nio.RoomCreateResponse)
    room = created.room_id
    answered(await alice.client.room_invite(room, bob.client.user_id), nio.RoomInviteResponse)
    await bob.sees("the invite", lambda: room in bob.client.invited_rooms)
    assert bob.client.invited_rooms[room].display_name == "Colony"
    answered(await bob.client.join(room), nio.JoinResponse)
    await bob.sees("the join", lambda: room in bob.client.rooms)
    await alice.sees("the other joining", lambda: bob.client.user_id in alice.client.rooms[room].users)
    print("create room, invite, join")

    expected = []
    for number in range(1, MESSAGES + 1):
        await say(alice, bob, room, f"from alice {number}")
        last = await say(bob, alice, room, f"from bob {number}")
        expected += [f"from alice {number}", f"from bob {number}"]
    for chatter in (alice, bob):
        await chatter.sees("the last message", lambda: len(chatter.texts) >= len(expected))
        assert chatter.bodies() == expected, chatter.bodies()
        assert {sender for sender, _, _ in chatter.texts} == {alice.client.user_id, bob.client.user_id}
    print(f"{MESSAGES} messages each way, live and in one order")

    for typist, watcher in ((alice, bob), (bob, alice)):
        await typist.client.room_typing(room, True, timeout=30_000)
        await watcher.sees("typing", lambda: typist.client.user_id in watcher.typing)
        await typist.client.room_typing(room, False)
        await watcher.sees("the end of typing", lambda: typist.client.user_id not in watcher.typing)
    print("typing, live both ways")

    await alice.client.room_read_markers(room, last, last)
    await bob.sees("the read marker's receipt", lambda: (alice.client.user_id, last) in bob.receipts)
    reply = await say(alice, bob, room, "good night")
    await bob.client.update_receipt_marker(room, reply)
    await alice.sees("the receipt", lambda: (bob.client.user_id, reply) in alice.receipts)
    print("receipts, live both ways")


async def main(base):
    tag = secrets.token_hex(6)
    alice, bob = Chatter(base, "alice" + tag), Chatter(base, "bob" + tag)
    try:
        await chat(alice, bob)
    finally:
        await asyncio.gather(alice.close(), bob.close())


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
