// A small IRC server (RFC 2812, as much as a bridge needs) with a person of the test on it.
import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { after } from 'node:test';

const NAME = 'irc.test';

export class Irc {
  /** What was said in channels: who, where, what. */
  readonly said: { nick: string; channel: string; text: string }[] = [];
  /** Who is there, beside those who are connected. */
  readonly people = new Set<string>();
  readonly #clients = new Map<Socket, { nick: string; user: boolean; welcomed: boolean; channels: Set<string> }>();
  #server: Server | undefined;
  port = 0;

  async start(): Promise<this> {
    this.#server = createServer((socket) => this.#connected(socket));
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    const address = this.#server.address();
    this.port = typeof address === 'object' && address ? address.port : 0;
    after(() => {
      for (const socket of this.#clients.keys()) socket.destroy();
      this.#server?.close();
    });
    return this;
  }

  /** Somebody of the test says something in a channel. */
  say(nick: string, channel: string, text: string): void {
    this.people.add(nick);
    this.#tell(channel, `:${nick}!${nick}@host PRIVMSG ${channel} :${text}`);
  }

  /** Somebody of the test comes into a channel. */
  join(nick: string, channel: string): void {
    this.people.add(nick);
    this.#tell(channel, `:${nick}!${nick}@host JOIN ${channel}`);
  }

  #tell(channel: string, line: string, except?: Socket): void {
    for (const [socket, client] of this.#clients) {
      if (socket !== except && client.channels.has(channel)) socket.write(`${line}\r\n`);
    }
  }

  #connected(socket: Socket): void {
    const client = { nick: '', user: false, welcomed: false, channels: new Set<string>() };
    this.#clients.set(socket, client);
    socket.on('error', () => {});
    socket.on('close', () => this.#clients.delete(socket));
    createInterface({ input: socket }).on('line', (line) => this.#heard(socket, client, line));
  }

  #heard(socket: Socket, client: { nick: string; user: boolean; welcomed: boolean; channels: Set<string> }, line: string): void {
    const send = (text: string) => socket.write(`${text}\r\n`);
    const reply = (code: string, text: string) => send(`:${NAME} ${code} ${client.nick || '*'} ${text}`);
    const [head, ...rest] = line.replace(/^@\S+ /, '').split(' :');
    const trailing = rest.length > 0 ? rest.join(' :') : undefined;
    const [command, ...words] = head!.trim().split(/ +/);
    const first = words[0] ?? trailing ?? '';
    switch (command!.toUpperCase()) {
      case 'CAP':
        if (first === 'LS') send(`:${NAME} CAP * LS :`);
        return;
      case 'NICK':
        client.nick = first;
        break;
      case 'USER':
        client.user = true;
        break;
      case 'PING':
        send(`:${NAME} PONG ${NAME} :${trailing ?? first}`);
        return;
      case 'JOIN':
        for (const channel of first.split(',')) {
          client.channels.add(channel);
          this.#tell(channel, `:${client.nick}!${client.nick}@host JOIN ${channel}`);
          reply('353', `= ${channel} :${[client.nick, ...this.people].join(' ')}`);
          reply('366', `${channel} :End of /NAMES list.`);
        }
        return;
      case 'MODE':
        if (words.length === 1 && first.startsWith('#')) reply('324', `${first} +nt`);
        return;
      case 'PRIVMSG':
        this.said.push({ nick: client.nick, channel: first, text: trailing ?? words[1] ?? '' });
        this.#tell(first, `:${client.nick}!${client.nick}@host PRIVMSG ${first} :${trailing}`, socket);
        return;
      case 'QUIT':
        socket.end();
        return;
      default:
        return;
    }
    if (client.nick && client.user && !client.welcomed) {
      client.welcomed = true;
      reply('001', ':Welcome');
      reply('005', 'CHANTYPES=# PREFIX=(ov)@+ :are supported by this server');
      reply('422', ':No message of the day');
    }
  }
}
