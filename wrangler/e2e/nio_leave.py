"""A matrix-nio bot whose rooms end under it: nio_leave.py BASE_URL. Each claim shown is a line on stdout.

The rooms are of version 12, whose ids have no colon. What shows that the bot's sync loop lives is a message after each end.
"""
import asyncio
import secrets
import sys

import nio

from nio_chat import Chatter, answered, say


class Bot(Chatter):
    """Remembers which rooms it was told to have left; matrix-nio itself keeps them among its rooms."""

    def __init__(self, base, name):
        super().__init__(base, name)
        self.left = set()

    async def on_sync(self, response):
        self.left.update(response.rooms.leave)
        await super().on_sync(response)


async def meet(host, bot, joins):
    """A room of the host to which the bot is invited, and which it joins or not."""
    created = answered(await host.client.room_create(name="Colony", room_version="12"), nio.RoomCreateResponse)
    room = created.room_id
    assert ":" not in room, room
    answered(await host.client.room_invite(room, bot.client.user_id), nio.RoomInviteResponse)
    await bot.sees("the invite", lambda: room in bot.client.invited_rooms)
    if joins:
        answered(await bot.client.join(room), nio.JoinResponse)
        await bot.sees("the join", lambda: room in bot.client.rooms)
    return room


async def ends(host, bot, haven, how, end, joins=True):
    room = await meet(host, bot, joins)
    response = await end(room)
    assert not isinstance(response, nio.ErrorResponse), response
    await bot.sees(f"the end by {how}", lambda: room in bot.left)
    await say(host, bot, haven, f"after the {how}")
    print(f"the sync loop outlives a {how}")


async def play(host, bot):
    await asyncio.gather(host.sign_up(), bot.sign_up())
    host.start()
    bot.start()
    haven = await meet(host, bot, True)
    user = bot.client.user_id
    await ends(host, bot, haven, "leave", bot.client.room_leave)
    await ends(host, bot, haven, "kick", lambda room: host.client.room_kick(room, user))
    await ends(host, bot, haven, "ban", lambda room: host.client.room_ban(room, user))
    await ends(host, bot, haven, "declined invite", bot.client.room_leave, joins=False)


async def main(base):
    tag = secrets.token_hex(6)
    host, bot = Chatter(base, "host" + tag), Bot(base, "bot" + tag)
    try:
        await play(host, bot)
    finally:
        await asyncio.gather(host.close(), bot.close())


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
