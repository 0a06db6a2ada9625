// An OpenID provider for tests: lets everybody in who comes, and lies when it is told to.
import { createHash, createSign, generateKeyPairSync, randomBytes, sign, type KeyObject } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { text } from 'node:stream/consumers';
import { after } from 'node:test';
import type { Json } from './client.ts';

interface Code {
  challenge: string;
  nonce: string;
  redirect: string;
}

const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');

export class Provider {
  readonly client = 'tern';
  readonly secret = 'the secret of tern & co';
  /** Who comes. */
  person: Json = { sub: 'somebody' };
  /** Changes what an id token says, and how it is signed. */
  twist: (token: { header: Json; claims: Json }) => string | void = () => {};
  /** Changes the answer of the authorization endpoint. */
  bend: (answer: URLSearchParams) => void = () => {};
  readonly rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
  readonly ec = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  readonly stranger = generateKeyPairSync('rsa', { modulusLength: 2048 });
  algorithm: 'RS256' | 'ES256' = 'RS256';
  refusals: string[] = [];
  #codes = new Map<string, Code>();
  #server: Server;
  issuer = '';

  constructor() {
    this.#server = createServer(async (request, response) => {
      const url = new URL(request.url!, this.issuer);
      const [status, headers, body] = this.#answer(url, await text(request), request.headers.authorization);
      response.writeHead(status, headers).end(body);
    });
  }

  async start(): Promise<this> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    const address = this.#server.address();
    this.issuer = `http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}`;
    after(() => {
      this.#server.closeAllConnections();
      this.#server.close();
    });
    return this;
  }

  #answer(url: URL, body: string, authorization?: string): [number, Record<string, string>, string] {
    const json = (value: unknown, status = 200): [number, Record<string, string>, string] =>
      [status, { 'content-type': 'application/json' }, JSON.stringify(value)];
    switch (url.pathname) {
      case '/.well-known/openid-configuration':
        return json({
          issuer: this.issuer, authorization_endpoint: `${this.issuer}/authorize`,
          token_endpoint: `${this.issuer}/token`, jwks_uri: `${this.issuer}/jwks`,
        });
      case '/jwks':
        return json({ keys: [this.#jwk(this.rsa.publicKey, 'r', 'RS256'), this.#jwk(this.ec.publicKey, 'e', 'ES256')] });
      case '/authorize':
        return [302, { location: this.#authorize(url.searchParams) }, ''];
      case '/token': {
        const refusal = this.#check(new URLSearchParams(body), authorization);
        if (refusal) this.refusals.push(refusal);
        return refusal ? json({ error: 'invalid_grant' }, 400) : json({ token_type: 'Bearer', access_token: 'x', id_token: this.#idToken });
      }
      default:
        return json({}, 404);
    }
  }

  #jwk(key: KeyObject, kid: string, alg: string): Json {
    return { ...key.export({ format: 'jwk' }), kid, alg, use: 'sig' };
  }

  #authorize(asked: URLSearchParams): string {
    const code = randomBytes(16).toString('hex');
    const get = (name: string) => asked.get(name) ?? '';
    this.#codes.set(code, { challenge: get('code_challenge'), nonce: get('nonce'), redirect: get('redirect_uri') });
    const answer = new URLSearchParams({ code, state: get('state'), iss: this.issuer });
    this.bend(answer);
    return `${get('redirect_uri')}?${answer}`;
  }

  #idToken = '';

  #check(body: URLSearchParams, authorization = ''): string | undefined {
    const known = this.#codes.get(body.get('code') ?? '');
    const challenge = createHash('sha256').update(body.get('code_verifier') ?? '').digest('base64url');
    const basic = Buffer.from(authorization.replace('Basic ', ''), 'base64').toString().split(':').map(decodeURIComponent);
    if (!known) return 'unknown code';
    this.#codes.delete(body.get('code')!);
    if (basic[0] !== this.client || basic[1] !== this.secret) return 'client';
    if (known.challenge !== challenge) return 'verifier';
    if (known.redirect !== body.get('redirect_uri')) return 'redirect_uri';
    this.#idToken = this.#token(known.nonce);
    return undefined;
  }

  #token(nonce: string): string {
    const now = Math.floor(Date.now() / 1000);
    const header: Json = { alg: this.algorithm, kid: this.algorithm === 'RS256' ? 'r' : 'e' };
    const claims: Json = { iss: this.issuer, aud: this.client, iat: now, exp: now + 300, nonce, ...this.person };
    const token = { header, claims };
    return this.twist(token) ?? this.signed(token.header, token.claims);
  }

  signed(header: Json, claims: Json, key?: KeyObject): string {
    const content = `${part(header)}.${part(claims)}`;
    const signature = this.algorithm === 'RS256'
      ? createSign('RSA-SHA256').update(content).sign(key ?? this.rsa.privateKey)
      : sign('sha256', Buffer.from(content), { key: key ?? this.ec.privateKey, dsaEncoding: 'ieee-p1363' });
    return `${content}.${signature.toString('base64url')}`;
  }
}
